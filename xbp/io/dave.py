"""DAVE's grouped ASCII (``.grp``): spectra at several Q, by DAVE or SaveDaveGrp."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.io.geometry import angle_dataset
from xbp.io.guide import Guide, example
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
from xbp.io.text import check, header_matches, to_numbers

__all__ = ["FORMAT", "DaveBackend", "open_dave"]

_TO_MEV: Final = {"mev": 1.0, "milliev": 1.0} | dict.fromkeys(
    ("microev", "uev", "µev", "μev"), 1e-3
)
_PER_ANGSTROM: Final = re.compile(r"1/(?:angstroms?|a|å)|(?:angstroms?|a|å)\^1")


#: Powers, functions, and energies of the other sign.
_STRANGE: Final = re.compile(
    r"\b(?:log(?:10)?|ln|sqrt|chi|times|percent|relative|variance)(?![a-z])|%"
    r"|energy gain|[a-z]\s*\^\s*2|''|[*×]\s*\d|suscept",
    re.IGNORECASE,
)
#: Two comments, each above a whole number, and a third comment.
_HEADER: Final = r"\A(?:[ \t]*#.*\n[ \t]*\d+[ \t]*\n){2}[ \t]*#.*\n"


def _find(lines: list[str]) -> bool:
    return header_matches(lines, _HEADER)


FORMAT = Format(
    "DAVE ASCII",
    "text",
    _find,
    "it does not begin with two whole numbers below comments",
    resembles=_HEADER,
    strict=False,
    guide=Guide(
        "neutrons",
        "DAVE, Mantid (SaveDaveGrp): `.grp`",
        "S(Q,E) or S(2θ,E), errors; µeV or meV from the header, values per that unit",
        example("S", '"glass.grp", T="290 K"'),
        asks=("T",),
    ),
)


@FORMAT.reader
def open_dave(path: Path, lines: list[str], *, T: Any = None) -> xr.Dataset:
    """Read a DAVE ASCII group file.

    The parts are found by their places: the numbers of energies and of groups, the
    energies, the Q values (or angles), and a block of values with their errors for
    each, every part below one comment. Only the units in brackets matter in a comment.

    Parameters
    ----------
    path : path-like
        File of DAVE, or of Mantid's SaveDaveGrp.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).

    Returns
    -------
    xarray.Dataset
        ``S(Q, E)`` with ``S_std``, on an arbitrary scale; Q in 1/angstrom, E in meV, as
        points. If the second axis is in degrees, ``S(detector, E)`` as returned by
        `open_nxspe`. The values are taken per unit of the energy axis, so that ∫S dE is
        the same for a file in µeV or meV. Bins that are -1e30, infinite or NaN, or have
        negative errors, are NaN.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, or the units of an axis are not among
        µeV, meV, 1/angstrom and degrees.

    References
    ----------
    R. T. Azuah et al., J. Res. Natl. Inst. Stan. Technol. 114, 341 (2009),
    doi:10.6028/jres.114.025.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> parts = ["# energies", "2", "# Q values", "1", "# energy (micro eV)", "500",
    ...          "1500", "# Q (1/Angstrom)", "0.5", "# Group 0", "4.0 0.2", "9.0 0.3"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.grp")
    ...     _ = path.write_text(chr(10).join(parts) + chr(10))
    ...     ds = open_dave(path, T="100 K")
    >>> ds.E.values, ds.S_std.values
    (array([0.5, 1.5]), array([[200., 300.]]))
    """
    headers: list[str] = []
    parts: list[list[str]] = []
    for line in filter(str.strip, lines):
        if line.lstrip().startswith("#"):
            headers.append(line)
            parts.append([])
        else:
            check(parts, "it does not begin with a comment")
            parts[-1].append(line)
    check(len(parts) > 4, f"it has {len(parts)} parts, but needs at least 5")
    n_energy, n_group = (
        int(to_numbers(parts[i], headers[i], size=1)[0]) for i in (0, 1)
    )
    check(
        len(parts) == n_group + 4,
        f"it does not have the {n_group} groups that it declares",
    )
    for header in headers[2:]:
        strange = _STRANGE.search(header)
        check(
            not strange,
            f"{header.strip()!r} is not an axis, nor a spectrum with errors",
        )
    E_units, other_units = map(_units, headers[2:4])
    check(E_units in _TO_MEV, f"{headers[2].strip()!r} names neither meV nor µeV")
    to_mev = _TO_MEV[E_units]
    energy = to_numbers(parts[2], headers[2], size=n_energy) * to_mev
    other = to_numbers(parts[3], headers[3], size=n_group)
    both = np.stack(
        [
            to_numbers(part, header, size=2 * n_energy, infinite=True)
            for part, header in zip(parts[4:], headers[4:], strict=True)
        ]
    )
    values, std = measured(both[:, ::2], both[:, 1::2])
    values, std, _ = density_per_mev(values, std, axis=to_mev)
    attrs = {"source": f"DAVE ASCII file {path.name}"}
    common: dict[str, Any] = {
        "std": std,
        "units": "1",
        "temperature": T,
        "attrs": attrs,
    }
    if other_units in ("degrees", "degree", "deg", "°"):
        angles = {"two_theta": other}
        return angle_dataset(
            values, detector=np.arange(n_group), angles=angles, E=energy, **common
        )
    known = _PER_ANGSTROM.fullmatch(other_units)
    check(known, f"{headers[3].strip()!r} names neither 1/Angstrom nor degrees")
    coords = {"Q": (other, "1/angstrom"), "E": (energy, "meV")}
    quantity = "dynamic_structure_factor"
    return new_dataset(quantity, values, coords=coords, statistics="quantum", **common)


def _units(header: str) -> str:
    brackets = re.findall(r"\(([^()]*)\)", header)
    return re.sub(r"[\s-]", "", "".join(brackets)).lower()


DaveBackend = FORMAT.backend()
