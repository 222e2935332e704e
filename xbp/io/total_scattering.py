"""Total scattering in text: Gudrun's interference function (``.mint01``) and NOMAD's S(Q)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.construct import new_dataset
from xbp.errors import RangeError, XbpError
from xbp.io.arguments import can_open, to_path, value_units, without
from xbp.io.text import TEXT_ERRORS, head, read_lines, to_numbers, unreadable
from xbp.units import magnitude

__all__ = ["TotalScatteringBackend", "decline", "open_total_scattering"]

# Gudrun's first comment is the name of the file it wrote; NOMAD's files name the column.
_GUDRUN = re.compile(r"#\s*\S+\.(?:mint|mdor)\d\d\s*$", re.IGNORECASE)
_NOMAD = re.compile(r"#\s*L?\s*Q\W.*(?<![a-z])S\(Q\)", re.IGNORECASE)
_N_ROWS = re.compile(r"#\s*\d+\s+(\d+)\s*$")


def decline(path: Path) -> str | None:
    """Say why a file is no total scattering of Gudrun or NOMAD, or None where it is."""
    lines = head(path)
    return None if _is_gudrun(lines) or _is_nomad(lines) else "no comment names Gudrun's .mint01 or a column S(Q)"


def _is_gudrun(lines: list[str]) -> bool:
    return bool(lines and _GUDRUN.match(lines[0]))


def _is_nomad(lines: list[str]) -> bool:
    return any(_NOMAD.match(line) for line in lines if line.startswith("#"))


def open_total_scattering(
    path: str | os.PathLike[str], *, units: str = "barn", b_mean_squared: Any = None, T: Any = None
) -> xr.Dataset:
    """Read the total scattering of a liquid or glass.

    Parameters
    ----------
    path : path-like
        Comments, then Q (1/angstrom), value and, in a third column, its standard deviation.
    units : str
        Of Gudrun's F(Q), which the file does not say: "barn" (per steradian and atom) where Gudrun
        normalised to nothing, "1" where it divided by ⟨b⟩².
    b_mean_squared : scalar with units, optional
        ⟨b⟩² of the sample, in `units` if it is a bare number. With it Gudrun's F(Q) → 0 becomes the
        Faber-Ziman S(Q) = 1 + F(Q)/⟨b⟩² → 1.
    T : scalar with units, optional
        Temperature of the sample; a bare number is in K.

    Returns
    -------
    xarray.Dataset
        ``FQ(Q)``, the interference function that tends to 0, of Gudrun; ``Sq(Q)`` of NOMAD, or where
        `b_mean_squared` is given; with its standard deviation. Rows of zeros at both ends, with which
        Gudrun fills its grid, are NaN.

    Raises
    ------
    FileFormatError
        If the file is truncated or of another kind.
    UnitsError
        If `units` are of no F(Q).
    RangeError
        If ⟨b⟩² is not positive, or given for an S(Q).

    References
    ----------
    D. A. Keen, J. Appl. Cryst. 34, 172 (2001), doi:10.1107/S0021889800019993: F(Q), its Eq. 8, and
    the Faber-Ziman normalisation.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join(["# Q S(Q) error", "1.0 0.5 0.1", "2.0 1.5 0.1"]) + chr(10))
    ...     Sq = open_total_scattering(path).Sq
    >>> Sq.values, Sq.Q.attrs["units"]
    (array([0.5, 1.5]), '1/angstrom')
    """
    where = to_path(path)
    try:
        return _read(where, units, b_mean_squared, T)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "total scattering", error) from error


def _read(path: Path, given: str, b_mean_squared: Any, T: Any) -> xr.Dataset:
    units = value_units(given, "interference_function", name="units")
    lines = [line.strip() for line in read_lines(path)]
    gudrun = _is_gudrun(lines)
    if not gudrun and not _is_nomad(lines):
        raise ValueError("no comment names Gudrun's .mint01 or a column S(Q)")
    rows = [line for line in lines if line and not line.startswith("#")]
    if gudrun and len(lines) > 2 and (said := _N_ROWS.match(lines[2])) and int(said[1]) != len(rows):
        raise ValueError(f"it has {len(rows)} rows where {said[1]} are announced")
    # Some programs begin with the number of rows.
    if rows and rows[0] == str(len(rows) - 1):
        rows = rows[1:]
    n_columns = len(rows[0].split()) if rows else 0
    if n_columns not in (2, 3) or any(len(row.split()) != n_columns for row in rows):
        raise ValueError("its rows do not all have two or all have three columns")
    table = to_numbers(rows, "the table").reshape(-1, n_columns)
    Q, values = table[:, 0], table[:, 1].copy()
    std = table[:, 2].copy() if n_columns == 3 else None
    if std is not None and (std < 0).any():
        raise ValueError("some of its errors are negative")
    measured = (values != 0) if std is None else (values != 0) | (std != 0)
    if not measured.any():
        raise ValueError("all of its values are zero")
    first, last = np.flatnonzero(measured)[[0, -1]]
    for column in (values, std):
        if column is not None:
            column[:first], column[last + 1 :] = np.nan, np.nan
    quantity = "interference_function" if gudrun else "static_structure_factor"
    attrs = {"source": f"total scattering file {path.name}"}
    if gudrun and len(lines) > 1 and lines[1].strip("# "):
        attrs["title"] = lines[1].strip("# ")
    if b_mean_squared is not None:
        level = magnitude(b_mean_squared, units, name="b_mean_squared")
        if not gudrun or level <= 0:
            raise RangeError(
                f"b_mean_squared={b_mean_squared!r} does not fit {path.name}",
                reason="it must be positive" if gudrun else "the file holds S(Q), which is normalised",
                fix="leave it out, or give ⟨b⟩², such as '0.2758 barn' for SiO2",
            )
        quantity = "static_structure_factor"
        values, std = 1 + values / level, None if std is None else std / level
        attrs["normalization"] = f"Faber-Ziman, 1 + F(Q)/({level:.10g} {units})"
    return new_dataset(
        quantity,
        values,
        std=std,
        units=units if quantity == "interference_function" else "1",
        coords={"Q": (Q, "1/angstrom")},
        temperature=T,
        attrs=attrs,
    )


class TotalScatteringBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="total_scattering")``."""

    description = "Total scattering in text: Gudrun's mint01 and NOMAD's S(Q)"
    url = "https://www.isis.stfc.ac.uk/Pages/Gudrun.aspx"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "units", "b_mean_squared", "T")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        units: str = "barn",
        b_mean_squared: Any = None,
        T: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_total_scattering`."""
        ds = open_total_scattering(filename_or_obj, units=units, b_mean_squared=b_mean_squared, T=T)
        return without(ds, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the comments, so that ``xarray.open_dataset(path)`` needs no ``engine=``."""
        return can_open(filename_or_obj, decline)
