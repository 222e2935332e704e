"""DAVE's grouped ASCII (``.grp``).

Spectra at several Q, as DAVE and Mantid's SaveDaveGrp write them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.errors import XbpError
from xbp.io.angles import angle_dataset
from xbp.io.arguments import can_open, to_path, without
from xbp.io.measured import density_per_mev, measured
from xbp.io.text import TEXT_ERRORS, head, read_lines, to_numbers, unreadable

__all__ = ["DaveBackend", "decline", "open_dave"]

# What stands in the brackets of the headers, without case, blanks and hyphens.
_E_UNITS = {
    "mev": 1.0,
    "milliev": 1.0,
    "microev": 1e-3,
    "uev": 1e-3,
    "µev": 1e-3,
    "μev": 1e-3,
}
_Q_UNITS = (
    "1/angstroms",
    "1/angstrom",
    "angstrom^1",
    "angstroms^1",
    "1/a",
    "a^1",
    "1/å",
    "å^1",
)
_ANGLE_UNITS = ("degrees", "degree", "deg", "°")


def decline(path: Path) -> str | None:
    """Say why a file is not DAVE ASCII, or None where it is.

    The words differ, the places of the numbers do not.
    """
    start = [line.strip() for line in head(path)[:6]]
    fits = len(start) == 6 and all(line.startswith("#") for line in start[::2][:3])
    if fits and all(line.isdigit() for line in start[1:4:2]):
        return None
    return "it does not begin with two whole numbers, each below a comment"


def open_dave(path: str | os.PathLike[str], *, T: Any = None) -> xr.Dataset:
    """Read a DAVE ASCII group file.

    The parts are found by their places: the numbers of energies and of groups, the
    energies, the Q values (or angles), and a block of values with their errors for
    each, every part below one comment. The words of the comments do not matter, but for
    the units in brackets.

    Parameters
    ----------
    path : path-like
        File of DAVE, or of Mantid's SaveDaveGrp.
    T : scalar with units, optional
        Temperature of the sample, which the file does not say; a bare number is in K.

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
    >>> parts = ["# energies", "2", "# Q values", "1", "# energy (micro eV)", "500", "1500", "# Q (1/Angstrom)", "0.5",
    ...          "# Group 0", "4.0 0.2", "9.0 0.3"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.grp")
    ...     _ = path.write_text(chr(10).join(parts) + chr(10))
    ...     ds = open_dave(path, T="100 K")
    >>> ds.E.values, ds.S_std.values
    (array([0.5, 1.5]), array([[200., 300.]]))
    """
    where = to_path(path)
    try:
        return _read(where, T)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "DAVE ASCII", error) from error


def _read(path: Path, T: Any) -> xr.Dataset:
    headers: list[str] = []
    parts: list[list[str]] = []
    for line in read_lines(path):
        if line.lstrip().startswith("#"):
            headers.append(line)
            parts.append([])
        elif line.strip():
            if not parts:
                raise ValueError("it does not begin with a comment")
            parts[-1].append(line)
    if len(parts) < 5:
        raise ValueError(
            f"it has {len(parts)} parts, where two numbers, two axes and a group are "
            "the least"
        )
    n_energy, n_group = (
        int(to_numbers(parts[i], headers[i], size=1)[0]) for i in (0, 1)
    )
    if len(parts) != n_group + 4:
        raise ValueError(
            f"it has {len(parts) - 4} groups where {n_group} are announced"
        )
    to_mev = _in_mev(headers[2])
    energy = to_numbers(parts[2], headers[2], size=n_energy) * to_mev
    other = to_numbers(parts[3], headers[3], size=n_group)
    both = np.stack(
        [
            to_numbers(parts[i + 4], headers[i + 4], size=2 * n_energy, infinite=True)
            for i in range(n_group)
        ]
    )
    values, std, _ = density_per_mev(
        *measured(both[:, ::2], both[:, 1::2]), axis=to_mev
    )
    attrs = {"source": f"DAVE ASCII file {path.name}"}
    if _units(headers[3]) in _ANGLE_UNITS:
        detectors = np.arange(n_group)
        return angle_dataset(
            values,
            std,
            detector=detectors,
            angles={"two_theta": other},
            E=energy,
            temperature=T,
            units="1",
            attrs=attrs,
        )
    if _units(headers[3]) not in _Q_UNITS:
        raise ValueError(
            f"the units of its second axis, '{headers[3].strip()}', are neither "
            "1/Angstrom nor degrees"
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


def _in_mev(header: str) -> float:
    if _units(header) not in _E_UNITS:
        raise ValueError(
            f"the units of its energies, '{header.strip()}', are neither meV nor "
            "micro eV"
        )
    return _E_UNITS[_units(header)]


class DaveBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="dave")``."""

    description = "DAVE ASCII group files of S(Q,E)"
    url = "https://www.ncnr.nist.gov/dave"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "T")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        T: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_dave`."""
        return without(open_dave(filename_or_obj, T=T), drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the first lines, so that ``xarray.open_dataset(path)`` needs no ``engine=``."""
        return can_open(filename_or_obj, decline)
