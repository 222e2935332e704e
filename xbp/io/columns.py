"""Columns of numbers in a text file, which tells neither their quantity nor their units."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.conditions import temperature_coordinate
from xbp.construct import new_dataset
from xbp.errors import FileFormatError, QuantityError
from xbp.io.text import read_columns, read_lines
from xbp.reduction.raman import to_raman_shift
from xbp.schema import CONVENTIONS, QUANTITIES, SCHEMA_VERSION
from xbp.signal import label_std
from xbp.units import format_unit, parse_unit

__all__ = ["ColumnsBackend", "decline", "open_columns", "spectrum"]


def decline(path: Path) -> str | None:
    """Say why a file is no text with columns of numbers, or None where it is."""
    try:
        read_columns(path, read_lines(path))
    except FileFormatError as error:
        return error.reason
    return None


def open_columns(
    path: str | os.PathLike[str],
    *,
    quantity: str | None = None,
    units: Sequence[str] | None = None,
    columns: Sequence[int] | None = None,
    temperature: Any = None,
    laser: Any = None,
) -> xr.Dataset:
    r"""Read two or three columns of a text file: the axis, the values and, if there, their standard deviations.

    Parameters
    ----------
    path : path-like
        Text with columns apart by spaces, tabs, semicolons or commas; UTF-8 or Latin-1; a header before them and
        text after them are left out.
    quantity : str
        What the values are: one of the vocabulary that has one dimension, such as ``"raman_intensity"``,
        ``"heat_capacity"``, ``"vibrational_dos"``.
    units : sequence of str
        Units of each column named, such as ``("1/cm", "1")`` or ``("K", "J/mol/K")``. A Raman axis in units of a
        length is a wavelength.
    columns : sequence of int, optional
        Which columns to read, counted from 0; needed where the file has others than those `units` names.
    temperature : scalar with units, optional
        Temperature of a spectrum (bare: K).
    laser : scalar with units, optional
        Wavelength of the laser; turns a Raman wavelength axis into the shift.

    Returns
    -------
    xarray.Dataset
        The axis sorted ascending; the header text in ``attrs["header"]``.

    Raises
    ------
    FileFormatError
        If the file is no such text, a row of it has another number of columns, or quantity or units are not given.
    XbpError
        If the numbers do not follow the data model: duplicates or NaN on the axis, units of another dimension.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cp.csv"
    >>> _ = path.write_text("300.1,21.1\n299.9,21.0\n")
    >>> open_columns(path, quantity="heat_capacity", units=("K", "J/mol/K")).C.values
    array([21. , 21.1])
    """
    where = Path(path)
    table = read_columns(where, read_lines(where))
    n = table.numbers.shape[1]
    if quantity is None or units is None:
        raise FileFormatError(
            f"{where} is text with {n} columns of numbers",
            reason="it tells neither what they are nor their units",
            fix="xarray.open_dataset(path, engine='columns', quantity='raman_intensity', units=('1/cm', '1'))",
        )
    row = QUANTITIES.get(quantity)
    if row is None or len(row.dims) != 1:
        raise QuantityError(
            f"quantity={quantity!r} has not one dimension",
            reason="two columns hold an axis and the values over it",
            fix=f"one of {', '.join(q for q, r in QUANTITIES.items() if len(r.dims) == 1)}",
        )
    picked = list(range(n)) if columns is None else list(columns)
    if (
        isinstance(units, str)
        or len(picked) != len(units)
        or not 2 <= len(picked) <= 3
        or not all(isinstance(c, int) and 0 <= c < n for c in picked)
    ):
        raise FileFormatError(
            f"{where} has {n} columns; columns={columns}, units={units!r}",
            reason="the axis, the values and perhaps their standard deviations are read, each with its units",
            fix="like columns=(0, 1), units=('1/cm', '1')",
        )
    ds = spectrum(quantity, table.numbers[:, picked], units, temperature=temperature, laser=laser)
    ds.attrs["source"] = f"text file {where.name}"
    if table.header:
        ds.attrs["header"] = "\n".join(table.header)
    return ds


def spectrum(
    quantity: str, numbers: np.ndarray, units: Sequence[str], *, temperature: Any = None, laser: Any = None
) -> xr.Dataset:
    """Label columns (axis, values and perhaps their standard deviations), sorted along the axis."""
    numbers = numbers[np.argsort(numbers[:, 0], kind="stable")]
    axis, values, *std = numbers.T
    row = QUANTITIES[quantity]
    if quantity == "raman_intensity" and parse_unit(units[0]).is_compatible_with("nm"):
        ds = xr.Dataset(
            {"I": ("wavelength", values)},
            coords={"wavelength": ("wavelength", axis, {"units": units[0]})},
            attrs={"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION},
        )
        ds["I"].attrs = {"units": format_unit(parse_unit(units[1])), "quantity": quantity, "long_name": row.label}
        if temperature is not None:
            ds = ds.assign_coords(temperature=temperature_coordinate(temperature))
    else:
        ds = new_dataset(
            quantity, values, units=units[1], coords={row.dims[0]: (axis, units[0])}, temperature=temperature
        )
    if std:
        ds[f"{row.variable}_std"] = (ds[row.variable].dims, std[0])
        label_std(ds, row.variable)
        ds[f"{row.variable}_std"].attrs["units"] = format_unit(parse_unit(units[2]))
    return to_raman_shift(ds, laser) if laser is not None and "wavelength" in ds.dims else ds


class ColumnsBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="columns", quantity=..., units=...)``."""

    description = "Columns of numbers in a text file, their quantity and units given"
    open_dataset_parameters = (
        "filename_or_obj", "drop_variables", "quantity", "units", "columns", "temperature", "laser",
    )  # fmt: skip

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        quantity: str | None = None,
        units: Sequence[str] | None = None,
        columns: Sequence[int] | None = None,
        temperature: Any = None,
        laser: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_columns`."""
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or [])
        ds = open_columns(
            filename_or_obj, quantity=quantity, units=units, columns=columns, temperature=temperature, laser=laser
        )
        return ds.drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never guess: such a file needs its units named."""
        return False
