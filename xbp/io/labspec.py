"""Raman spectra exported as text by Horiba LabSpec."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, UnitsError
from xbp.core.guards import require_positive
from xbp.core.units import parse_unit
from xbp.io.grammar import SUPERSCRIPTS, read_units
from xbp.io.guide import Guide, example
from xbp.io.reader import Format, axis_units
from xbp.io.text import check, number
from xbp.io.titles import Labels, require_titles
from xbp.reduction.raman import to_raman_shift

__all__ = ["FORMAT", "LabspecBackend", "open_labspec"]

_AXIS: Final = re.compile(r"Spectro \((?P<units>[^)]+)\)")


#: Rows of exports, of which every version of the program writes two.
_MARKS: Final = (
    "#Acq. time", "#Exposition=", "#Instrument=", "#AxisUnit[1]", "#Spectro (",
)  # fmt: skip


def _find(lines: list[str]) -> bool:
    found = {m for m in _MARKS if any(line.startswith(m) for line in lines)}
    return len(found) > 1


FORMAT = Format(
    "a LabSpec export",
    "text",
    _find,
    "it lacks header rows such as '#Acq. time', '#Instrument', '#AxisUnit[1]'",
    resembles=r"^#(?:Acq\. time|Instrument=|Axis(?:Unit|Type)\[|Spectro \()",
    is_table=True,
    endless=True,
    guide=Guide(
        "light",
        "Horiba LabSpec, text",
        "Raman spectrum, or those of a map or series, `I(spectrum, E)`; latin-1, "
        "descending axes; a shift in 1/cm, whatever its header calls it",
        example("I", '"glass.txt", T="295 K"'),
        asks=("T",),
    ),
)


@FORMAT.reader
def open_labspec(
    path: Path,
    lines: list[str],
    *,
    units: str | None = None,
    temperature: Any = None,
    laser: Any = None,
) -> xr.Dataset:
    r"""Read Raman spectra exported as text by Horiba LabSpec (LabRAM).

    Parameters
    ----------
    path : path-like
        The exported text, UTF-8 or Latin-1: two columns, or for a map or series a row
        of the axis and one for each spectrum, behind its place.
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
        units of the file; ``I(spectrum, E)`` of a map or series, with the places beside
        as ``place`` or ``place_0`` and ``place_1``, in the units of the header, if it
        has any; every header row as an attribute ``labspec_...``.

    Raises
    ------
    UnitsError, RangeError
        If `units` are neither of a shift nor of a wavelength, or `laser` is not a
        wavelength.
    FileFormatError
        If it is of another kind, is truncated, or has no units of its axis.

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
    header = _header(lines)
    dim, axis = _axis(path, units, header)
    intensity = f"{header.get('AxisType[0]', 'I')} ({header.get('AxisUnit[0]', '')})"
    titles = [header.get("AxisType[1]", "X"), intensity]
    require_titles(path.name, [], titles, Labels("raman_intensity", "1", dim, axis))
    lasers = {value for key, value in header.items() if key.startswith("Laser (nm)")}
    check(
        dim == "E" or laser is not None or len(lasers) < 2,
        f"its header names the lasers {', '.join(lasers)} nm: pass laser=",
    )
    if laser is not None:
        require_positive(laser, "laser", "nm")
    elif axis == "nm" and header.get("Laser (nm)"):
        laser = f"{header['Laser (nm)']} nm"
    points, values, places = _spectra(lines)
    order = np.argsort(points, kind="stable")
    names = [str(i) for i in range(len(values))]
    coords: dict[str, Any] = {} if places is None else {"spectrum": names}
    ds = new_dataset(
        "raman_intensity",
        values[..., order],
        units="1",
        coords=coords | {dim: (points[order], axis)},
        temperature=temperature,
    )
    columns = [] if places is None else list(places.T)
    for i, place in enumerate(columns):
        name = "place" if len(columns) == 1 else f"place_{i}"
        unit = header.get(f"AxisUnit[{i + 2}]", "")
        ds = ds.assign_coords({name: ("spectrum", place, {"units": unit or "1"})})
    if dim == "wavelength" and laser is not None:
        ds = to_raman_shift(ds, laser)
    ds.attrs["source"] = f"LabSpec export {path.name}"
    # Names that netCDF accepts.
    ds.attrs |= {
        "labspec_" + re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_"): value
        for key, value in header.items()
        if value
    }
    return ds


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


def _spectra(
    lines: list[str],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the axis, the intensities, and the places of several spectra.

    Below the header are two columns; or a row of the axis, which begins with a tab for
    each column of places, and the rows of the spectra. Commas may be decimal.
    """
    rows: list[list[float]] = []
    blank = 0
    for i, line in enumerate(lines, start=1):
        if not line.strip() or (line.startswith("#") and not _is_hidden_row(line)):
            continue
        if not rows:
            blank = len(line) - len(line.lstrip("\t"))
        values = [number(word) for word in line.split()]
        known = [v for v in values if v is not None and abs(v) != np.inf]
        size = len(rows[0]) + blank if blank and rows else len(values) if blank else 2
        what = f"line {i}, {line.strip()[:60]!r}, is not {size} numbers"
        check(len(known) == len(values) == size, what)
        rows.append(known)
    check(rows, "it has no rows below its header")
    if not blank:
        points, intensities = np.array(rows).T
        return points, intensities, None
    check(blank <= 2 and len(rows) > 1, "it has no spectra below the row of its axis")
    table = np.array(rows[1:])
    return np.array(rows[0]), table[:, blank:], table[:, :blank]


def _is_hidden_row(line: str) -> bool:
    """Return whether a row was commented out, or begins with an error as #DIV/0!."""
    words = [] if "=" in line else line.split()[1:]
    return bool(words) and all(number(word) is not None for word in words)


def _axis(where: Path, given: str | None, header: dict[str, str]) -> tuple[str, str]:
    """Return what the axis is, "E" or "wavelength", and its units."""
    stated = [match["units"] for match in map(_AXIS.fullmatch, header) if match]
    stated += filter(None, [header.get("AxisUnit[1]")])
    units = given
    if given is None:
        units = next(iter(stated), "")
        known = [read_units(text, "1/cm") for text in stated]
        check(
            all(one == known[0] for one in known),
            f"its header states the units {' and '.join(stated)}: pass units=",
        )
    text = str(units).translate(SUPERSCRIPTS)
    try:
        is_length = parse_unit(text, name="units=").is_compatible_with("nm")
        dim = "wavelength" if is_length else "E"
        return dim, axis_units(text, dim, name="units", example="1/cm")
    except UnitsError:
        if given is not None:
            raise
    wrong = f"are {text!r}, not of a shift or wavelength" if text else "are not stated"
    raise FileFormatError(
        f"{where}: the units of its axis {wrong}",
        fix="xarray.open_dataset(path, engine='labspec', units='1/cm')",
    )


LabspecBackend = FORMAT.backend()
