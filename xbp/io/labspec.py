"""Raman spectra as Horiba LabSpec exports them.

a header of ``#key=value`` rows, then two columns.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.conditions import temperature_coordinate
from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, RangeError, UnitsError, XbpError
from xbp.core.schema import CONVENTIONS, QUANTITIES, SCHEMA_VERSION
from xbp.core.units import magnitude, parse_unit
from xbp.io.arguments import axis_units, can_open, to_path, without
from xbp.io.text import TEXT_ERRORS, head, number, read_lines, unreadable
from xbp.reduction.raman import to_raman_shift

__all__ = ["LabspecBackend", "decline", "open_labspec"]

#: Rows that every export of a spectrum has, by any version of the program.
_MARKS = ("Acq. time", "Instrument")
_AXIS = re.compile(r"Spectro \((?P<units>[^)]+)\)")
_SUPERSCRIPTS = str.maketrans({"¹": "1", "\u207b": "-"})


def decline(path: Path) -> str | None:
    """Say why a file is no LabSpec export, or None where it is."""
    lines = head(path)
    if not all(any(line.startswith(f"#{mark}") for line in lines) for mark in _MARKS):
        return "it has no header rows '#Acq. time' and '#Instrument'"
    return None


def open_labspec(
    path: str | os.PathLike[str],
    *,
    units: str | None = None,
    temperature: Any = None,
    laser: Any = None,
) -> xr.Dataset:
    r"""Read a Raman spectrum exported as text by Horiba LabSpec (LabRAM).

    Parameters
    ----------
    path : path-like
        The exported text of one spectrum, UTF-8 or Latin-1.
    units : str, optional
        Units of the axis, where the header does not tell (``Spectro (cm-¹)`` or
        ``AxisUnit[1]``), or to overrule it.
    temperature : scalar with units, optional
        Sample temperature (bare: K). The header's "Temperature" is of a stage that may
        not be there: it is kept as an attribute and not believed.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), which an axis in wavelengths needs; by
        default the header's.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in counts (units "1"), E the shift, positive on the Stokes side, in the
        units of the file; every header row as an attribute ``labspec_...``.

    Raises
    ------
    UnitsError, RangeError
        If `units` are neither of a shift nor of a wavelength, or `laser` is no
        wavelength.
    FileFormatError
        If it is no such file, is truncated, holds a map, or does not tell the units of
        its axis.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["#Acq. time (s)=\t30", "#Instrument=\tLabRAM", "#Spectro (cm-1)=\t290", "30\t3", "20\t2", "10\t1"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_labspec(path, temperature="295 K")
    >>> ds.I.values, ds.E.values
    (array([1., 2., 3.]), array([10., 20., 30.]))
    """
    where = to_path(path)
    try:
        return _read(where, units, temperature, laser)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "a LabSpec export", error) from error


def _read(where: Path, units: str | None, temperature: Any, laser: Any) -> xr.Dataset:
    reason = decline(where)
    if reason is not None:
        raise FileFormatError(
            f"{where} is no LabSpec export",
            reason=reason,
            fix="xbp.open_dataset(path) tells which formats were tried",
        )
    lines = read_lines(where)
    header = _header(lines)
    numbers = _columns(where, lines)
    axis = _axis(
        where,
        units if units is not None else _axis_units(header),
        given=units is not None,
    )
    if axis is None:
        raise FileFormatError(
            f"{where} does not tell the units of its axis",
            reason="its header has neither 'Spectro (...)' nor 'AxisUnit[1]'",
            fix="xarray.open_dataset(path, engine='labspec', units='1/cm')",
        )
    if laser is not None and not magnitude(laser, "nm", name="laser") > 0:
        raise RangeError(
            f"laser={laser!r}", reason="a wavelength is positive", fix="laser='532 nm'"
        )
    line = laser
    if line is None and axis == "nm" and header.get("Laser (nm)"):
        line = f"{header['Laser (nm)']} nm"
    ds = _spectrum(numbers, axis, temperature)
    if line is not None and "wavelength" in ds.dims:
        ds = to_raman_shift(ds, line)
    ds.attrs |= {"source": f"LabSpec export {where.name}"} | _attributes(header)
    return ds


def _spectrum(numbers: np.ndarray, axis: str, temperature: Any) -> xr.Dataset:
    """Label the two columns, sorted along the axis: a shift, or a wavelength."""
    place, values = numbers[np.argsort(numbers[:, 0], kind="stable")].T
    if not parse_unit(axis).is_compatible_with("nm"):
        return new_dataset(
            "raman_intensity",
            values,
            units="1",
            coords={"E": (place, axis)},
            temperature=temperature,
        )
    row = QUANTITIES["raman_intensity"]
    ds = xr.Dataset(
        {
            "I": (
                "wavelength",
                values,
                {"units": "1", "quantity": row.name, "long_name": row.label},
            )
        },
        coords={"wavelength": ("wavelength", place, {"units": axis})},
        attrs={"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION},
    )
    return (
        ds
        if temperature is None
        else ds.assign_coords(temperature=temperature_coordinate(temperature))
    )


def _header(lines: list[str]) -> dict[str, str]:
    """Return the rows of the header.

    a key that comes twice (``Range``) gets a number.
    """
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for line in lines:
        key, equals, value = (part.strip() for part in line.lstrip("#").partition("="))
        if line.startswith("#") and key and equals:
            seen[key] += 1
            found[key if seen[key] == 1 else f"{key} {seen[key]}"] = value
    return found


def _columns(path: Path, lines: list[str]) -> np.ndarray:
    """Return the two columns below the header, which tabs part.

    a comma is part of a number in some languages.
    """
    rows: list[list[float]] = []
    for i, line in enumerate(lines, start=1):
        if not line.strip() or (line.startswith("#") and not _is_hidden_row(line)):
            continue
        words = line.split()
        values = [
            value
            for value in map(number, words)
            if value is not None and abs(value) != np.inf
        ]
        if len(values) != len(words):
            raise FileFormatError(
                f"{path}, line {i}: {line.strip()[:60]!r}",
                reason="below its header a spectrum has numbers alone, parted by tabs",
                fix="export it again, with a point for the decimals; it may be "
                "truncated",
            )
        if len(values) != 2:
            raise FileFormatError(
                f"{path}, line {i}, has {len(values)} columns",
                reason="a spectrum has two; a map or a series of spectra has more, a "
                "row that was cut fewer",
                fix="export its spectra one by one, or read it by hand and label it "
                "with xbp.new_dataset(...)",
            )
        rows.append(values)
    if not rows:
        raise ValueError("it ends with its header")
    return np.array(rows)


def _is_hidden_row(line: str) -> bool:
    """Tell a row whose first number a spreadsheet made an error, such as #DIV/0!, or that was commented out."""
    words = line.split()[1:]
    return (
        "=" not in line
        and bool(words)
        and all(number(word) is not None for word in words)
    )


def _axis_units(header: dict[str, str]) -> str | None:
    """Return the units of the spectral axis, in words that `parse_unit` reads."""
    given = header.get("AxisUnit[1]")
    for key in header:
        match = _AXIS.fullmatch(key)
        given = match["units"] if match is not None and not given else given
    return given.translate(_SUPERSCRIPTS) if given else None


def _axis(where: Path, units: str | None, *, given: bool) -> str | None:
    """Return the units of the axis, a shift or a wavelength, as xbp writes them."""
    if units is None:
        return None
    try:
        is_length = parse_unit(units, name="units=").is_compatible_with("nm")
        return axis_units(
            units, "wavelength" if is_length else "E", name="units", example="1/cm"
        )
    except UnitsError as error:
        if given:
            raise
        raise FileFormatError(
            f"{where} has an axis in {units!r}",
            reason="its header says so, and that is neither a shift nor a wavelength",
            fix="xarray.open_dataset(path, engine='labspec', units='1/cm')",
        ) from error


def _attributes(header: dict[str, str]) -> dict[str, str]:
    """Return the header rows that say something, under names that netCDF takes."""
    return {
        "labspec_" + re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_"): value
        for key, value in header.items()
        if value
    }  # fmt: skip


class LabspecBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="labspec")``."""

    description = "Raman spectra exported as text by Horiba LabSpec"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "units",
        "temperature",
        "laser",
    )

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        units: str | None = None,
        temperature: Any = None,
        laser: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_labspec`."""
        return without(
            open_labspec(
                filename_or_obj, units=units, temperature=temperature, laser=laser
            ),
            drop_variables,
        )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the header."""
        return can_open(filename_or_obj, decline)
