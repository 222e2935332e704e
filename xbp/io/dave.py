"""DAVE's grouped ASCII (``.grp``): spectra at several Q, by DAVE or SaveDaveGrp."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.io.geometry import angle_dataset
from xbp.io.reader import Format, density_per_mev, measured, reader
from xbp.io.text import check, read_lines, to_numbers
from xbp.io.titles import named_format

__all__ = ["FORMAT", "DaveBackend", "open_dave"]

# Units in the brackets of the headers, without case, blanks and hyphens.
_MEV: Final = ("mev", "milliev")
_MICRO_EV: Final = ("microev", "uev", "µev", "μev")
_PER_ANGSTROM: Final = re.compile(r"1/(?:angstroms?|a|å)|(?:angstroms?|a|å)\^1")


def declined(lines: list[str]) -> str | None:
    """Return why a text is not DAVE ASCII, or None if it is."""
    if named_format(lines) == "DAVE ASCII":
        return None
    return "it does not begin with two whole numbers, each below a comment"


@reader("DAVE ASCII")
def open_dave(path: Path, *, T: Any = None) -> xr.Dataset:
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
    for line in read_lines(path):
        if line.lstrip().startswith("#"):
            headers.append(line)
            parts.append([])
        elif line.strip():
            check(parts, "it does not begin with a comment")
            parts[-1].append(line)
    check(len(parts) > 4, f"it has {len(parts)} parts, but needs at least 5")
    n_energy, n_group = (
        int(to_numbers(parts[i], headers[i], size=1)[0]) for i in (0, 1)
    )
    check(
        len(parts) == n_group + 4,
        f"it has {len(parts) - 4} groups where {n_group} are announced",
    )
    E_units, other_units = map(_units, headers[2:4])
    check(
        E_units in (*_MEV, *_MICRO_EV),
        f"the units of its energies, '{headers[2].strip()}', are neither meV nor micro "
        "eV",
    )
    to_mev = 1.0 if E_units in _MEV else 1e-3
    energy = to_numbers(parts[2], headers[2], size=n_energy) * to_mev
    other = to_numbers(parts[3], headers[3], size=n_group)
    both = np.stack(
        [
            to_numbers(part, header, size=2 * n_energy, infinite=True)
            for part, header in zip(parts[4:], headers[4:], strict=True)
        ]
    )
    values, std, _ = density_per_mev(
        *measured(both[:, ::2], both[:, 1::2]), axis=to_mev
    )
    attrs = {"source": f"DAVE ASCII file {path.name}"}
    if other_units in ("degrees", "degree", "deg", "°"):
        return angle_dataset(
            values,
            std,
            detector=np.arange(n_group),
            angles={"two_theta": other},
            E=energy,
            temperature=T,
            units="1",
            attrs=attrs,
        )
    check(
        _PER_ANGSTROM.fullmatch(other_units),
        f"the units of its second axis, '{headers[3].strip()}', are neither 1/Angstrom "
        "nor degrees",
    )
    return new_dataset(
        "dynamic_structure_factor",
        values,
        std=std,
        units="1",
        coords={"Q": (other, "1/angstrom"), "E": (energy, "meV")},
        temperature=T,
        statistics="quantum",
        attrs=attrs,
    )


def _units(header: str) -> str:
    bracket = re.search(r"\(([^()]*)\)", header)
    return re.sub(r"[\s-]", "", bracket[1]).lower() if bracket else ""


FORMAT = Format("DAVE ASCII", "text", declined, open_dave)
DaveBackend = FORMAT.backend()
