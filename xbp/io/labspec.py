"""Raman spectra exported as text by Horiba LabSpec."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, RangeError, UnitsError
from xbp.core.schema import CONVENTIONS, QUANTITIES, SCHEMA_VERSION
from xbp.core.units import magnitude, parse_unit
from xbp.io.reader import Format, axis_units, reader
from xbp.io.text import check, number, read_lines
from xbp.io.titles import SUPERSCRIPTS
from xbp.reduction.raman import to_raman_shift

__all__ = ["FORMAT", "LabspecBackend", "open_labspec"]

_AXIS: Final = re.compile(r"Spectro \((?P<units>[^)]+)\)")
_LACKS: Final = "it has no header rows '#Acq. time' and '#Instrument'"


def declined(lines: list[str]) -> str | None:
    """Return why a text is not a LabSpec export, or None if it is."""
    # Rows of every export of a spectrum, by any version of the program.
    marks = ("#Acq. time", "#Instrument")
    found = (any(line.startswith(mark) for line in lines) for mark in marks)
    return None if all(found) else _LACKS


@reader("a LabSpec export")
def open_labspec(
    path: Path,
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
        Units of the axis, if the header has none (``Spectro (cm-¹)`` or
        ``AxisUnit[1]``), or to overrule it.
    temperature : scalar with units, optional
        Sample temperature (bare: K). The header's "Temperature" is of a stage that may
        not be there: it is kept as an attribute but not used.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm) for an axis in wavelengths; by default the
        header's.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in counts (units "1"), E the shift, positive on the Stokes side, in the
        units of the file; every header row as an attribute ``labspec_...``.

    Raises
    ------
    UnitsError, RangeError
        If `units` are neither of a shift nor of a wavelength, or `laser` is not a
        wavelength.
    FileFormatError
        If it is of another kind, is truncated, contains a map, or has no units of its
        axis.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["#Acq. time (s)=\t30", "#Instrument=\tLabRAM", "#Spectro (cm-1)=\t290",
    ...         "30\t3", "20\t2", "10\t1"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_labspec(path, temperature="295 K")
    >>> ds.I.values, ds.E.values
    (array([1., 2., 3.]), array([10., 20., 30.]))
    """
    lines = read_lines(path)
    check(declined(lines) is None, _LACKS)
    header = _header(lines)
    numbers = _columns(lines)
    axis = _axis(path, units, header)
    if laser is not None and not magnitude(laser, "nm", name="laser") > 0:
        raise RangeError(f"laser={laser!r} is not positive", fix="laser='532 nm'")
    if laser is None and axis == "nm" and header.get("Laser (nm)"):
        laser = f"{header['Laser (nm)']} nm"
    place, values = numbers[np.argsort(numbers[:, 0], kind="stable")].T
    if parse_unit(axis).is_compatible_with("nm"):
        ds = _over_wavelength(place, values, axis)
        if temperature is not None:
            ds = ds.assign_coords(temperature=temperature_coordinate(temperature))
        if laser is not None:
            ds = to_raman_shift(ds, laser)
    else:
        ds = new_dataset(
            "raman_intensity",
            values,
            units="1",
            coords={"E": (place, axis)},
            temperature=temperature,
        )
    ds.attrs["source"] = f"LabSpec export {path.name}"
    # Names that netCDF accepts.
    ds.attrs |= {
        "labspec_" + re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_"): value
        for key, value in header.items()
        if value
    }
    return ds


def _over_wavelength(place: np.ndarray, values: np.ndarray, units: str) -> xr.Dataset:
    row = QUANTITIES["raman_intensity"]
    label = {"units": "1", "quantity": row.name, "long_name": row.label}
    return xr.Dataset(
        {"I": ("wavelength", values, label)},
        coords={"wavelength": ("wavelength", place, {"units": units})},
        attrs={"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION},
    )


def _header(lines: list[str]) -> dict[str, str]:
    """Return the header rows ``#key=value``; a key that occurs twice gets a number."""
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for line in lines:
        key, equals, value = (part.strip() for part in line.lstrip("#").partition("="))
        if line.startswith("#") and key and equals:
            seen[key] += 1
            found[key if seen[key] == 1 else f"{key} {seen[key]}"] = value
    return found


def _columns(lines: list[str]) -> np.ndarray:
    """Return the two columns below the header; commas may be decimal."""
    rows: list[list[float]] = []
    for i, line in enumerate(lines, start=1):
        if not line.strip() or (line.startswith("#") and not _is_hidden_row(line)):
            continue
        values = [number(word) for word in line.split()]
        known = [v for v in values if v is not None and abs(v) != np.inf]
        check(
            len(known) == len(values) == 2,
            f"line {i}, {line.strip()[:60]!r}, is not two numbers: export one "
            "spectrum, with decimal points",
        )
        rows.append(known)
    check(rows, "it ends with its header")
    return np.array(rows)


def _is_hidden_row(line: str) -> bool:
    """Return whether a row was commented out, or begins with an error as #DIV/0!."""
    words = line.split()[1:]
    numeric = all(number(word) is not None for word in words)
    return "=" not in line and bool(words) and numeric


def _axis(where: Path, given: str | None, header: dict[str, str]) -> str:
    """Return the units of the axis, a shift or a wavelength, as xbp writes them."""
    units = header.get("AxisUnit[1]") if given is None else given
    for match in filter(None, map(_AXIS.fullmatch, header)):
        units = units or match["units"] if given is None else given
    reason = "its header has neither 'Spectro (...)' nor 'AxisUnit[1]'"
    if units is not None:
        units = units.translate(SUPERSCRIPTS)
        try:
            is_length = parse_unit(units, name="units=").is_compatible_with("nm")
            dim = "wavelength" if is_length else "E"
            return axis_units(units, dim, name="units", example="1/cm")
        except UnitsError as error:
            if given is not None:
                raise
            reason = error.summary
    raise FileFormatError(
        f"{where}: the units of its axis are {units!r}, neither of a shift nor of a "
        "wavelength",
        reason=reason,
        fix="xarray.open_dataset(path, engine='labspec', units='1/cm')",
    )


FORMAT = Format("LabSpec export", "text", declined, open_labspec)
LabspecBackend = FORMAT.backend()
