"""Raman spectra exported as text by BWRam and BWSpec of B&W Tek."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import decimal, kept, known, raman_dataset
from xbp.io.text import check

__all__ = ["FORMAT", "BwtekBackend", "open_bwtek"]

_HEADER: Final = re.compile(r"File Version[;,\t]\s*BW(?:Ram|Spec)", re.IGNORECASE)
_SHIFT: Final = "Raman Shift"
#: Columns of intensities; others are the dark, the reference and ratios to it.
_INTENSITY: Final = re.compile(r"(?:Raw data|Dark Subtracted) ?#\d+")


def _find(lines: list[str]) -> bool:
    return bool(lines) and _HEADER.match(lines[0]) is not None


FORMAT = Format(
    "a B&W Tek export",
    "text",
    _find,
    "its first line is not 'File Version;BWRam...' or 'BWSpec'",
    resembles=r"\AFile Version[;,\t]",
    endless=True,
    guide=Guide(
        "light",
        "B&W Tek BWRam, BWSpec: `.txt`",
        "the dark-subtracted spectrum over the Raman shift, or another `column=`; "
        "decimal points or commas; laser, integration time and the rest of the header",
        example("I", '"glass.txt", T="295 K"'),
        asks=("T", "column"),
    ),
)


@FORMAT.reader
def open_bwtek(
    path: Path, lines: list[str], *, T: Any = None, column: str | None = None
) -> xr.Dataset:
    """Read a Raman spectrum exported as text by B&W Tek's programs.

    Parameters
    ----------
    path : path-like
        The export: rows ``key;value``, then a table with titles.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).
    column : str, optional
        Title of the intensities; by default "Dark Subtracted #1", the raw counts minus
        those in the dark. Needed if there are several spectra, or none of that name.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in counts (units "1") over the shift in 1/cm; ``laser``,
        ``integration_time``, ``accumulations``, and every row of the header as
        ``bwtek_...``. Pixels without a shift are left out.

    Raises
    ------
    QuantityError
        If `column` is needed, or is not one of the table.
    FileFormatError
        If the file is damaged, or has no column of the Raman shift.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["File Version;BWRam4.15_10", "laser_wavelength;785,02",
    ...         "Pixel;Raman Shift;Raw data #1;Dark Subtracted #1;",
    ...         "0;20,5;1100;7,5;", "1;22,5;1104;2,5;"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join([*rows, ""]))
    ...     ds = open_bwtek(path)
    >>> ds.I.values, ds.E.values, ds.attrs["laser"]
    (array([7.5, 2.5]), array([20.5, 22.5]), '785.02 nm')
    """
    starts = [i for i, line in enumerate(lines) if line.startswith("Pixel")]
    check(len(starts) == 1, "it has no row of titles that begins with 'Pixel'")
    start = starts[0]
    mark = lines[start][len("Pixel") : len("Pixel") + 1]
    check(
        mark in (";", ",", "\t") and mark, "its titles are not separated by ; , or tab"
    )
    titles = [title.strip() for title in lines[start].split(mark)]
    header = {}
    for line in lines[:start]:
        key, _, value = line.partition(mark)
        header[key.strip()] = value.strip()
    found = [title for title in titles if _INTENSITY.fullmatch(title)]
    dark = [title for title in found if title.startswith("Dark")]
    if column is None and len(dark) == 1:
        column = dark[0]
    if column not in found:
        raise QuantityError(
            f"{path}: column={column!r} is not one of {', '.join(found) or 'none'}",
            fix=f"pass column={(found or ['...'])[-1]!r}",
        )
    check(titles.count(_SHIFT) == 1, f"it has no column {_SHIFT!r}")
    check(titles.count(str(column)) == 1, f"it has two columns {column!r}")
    places = titles.index(_SHIFT), titles.index(str(column))
    points = []
    for i, line in enumerate(lines[start + 1 :], start=start + 2):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split(mark)]
        check(len(words) == len(titles), f"line {i} has {len(words)} fields")
        at, counts = (decimal(words[place]) for place in places)
        if not words[places[0]]:
            continue
        check(None not in (at, counts), f"line {i}: {words[places[0]]!r} and "
              f"{words[places[1]]!r} are not numbers")  # fmt: skip
        points.append((at, counts))
    check(points, "it has no points")
    E, intensity = np.array(points, dtype=float).T
    rows = dict(header)
    laser = decimal(header.get("laser_wavelength", ""))
    attrs = kept("bwtek", rows)
    if laser:
        attrs["laser"] = f"{laser:.8g} nm"
    # The program spells it so.
    names = {key: "integration_time" for key in rows if re.match("int\\w+ times?", key)}
    attrs |= known(rows, names | {"average number": "accumulations"})
    return raman_dataset(
        path, "B&W Tek export", E, intensity, units="1/cm", T=T, attrs=attrs
    )


BwtekBackend = FORMAT.backend()
