"""Raman spectra exported as text by Renishaw's WiRE."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import decimal, raman_dataset
from xbp.io.text import check

__all__ = ["FORMAT", "RenishawTextBackend", "open_renishaw_text"]

_TITLE: Final = re.compile(r"#(X|Y|Z|Time|Wave|Intensity)\b")
#: Units of the columns beside the spectrum.
_PLACES: Final = {"X": ("x", "um"), "Y": ("y", "um"), "Z": ("z", "um"),
                  "Time": ("elapsed", "s")}  # fmt: skip


def _titles(lines: list[str]) -> list[str]:
    """Return the names of the columns in the first line, without #."""
    words = lines[0].split() if lines else []
    found = [match[1] for match in map(_TITLE.fullmatch, words) if match]
    return found if len(found) == len(words) else []


def _find(lines: list[str]) -> bool:
    return _titles(lines)[-2:] == ["Wave", "Intensity"]


FORMAT = Format(
    "a WiRE export",
    "text",
    _find,
    "its first line is not '#Wave #Intensity'",
    is_table=True,
    endless=True,
    guide=Guide(
        "light",
        "Renishaw WiRE: `.txt` with `#Wave #Intensity`",
        "a spectrum, or those of a map or series with their places, `I(spectrum, E)`; "
        "the file does not say whether the wave is a shift",
        example("I", '"glass.txt", coordinate_units="1/cm", T="295 K"'),
        asks=("coordinate_units", "T", "laser"),
    ),
)


@FORMAT.reader
def open_renishaw_text(
    path: Path,
    lines: list[str],
    *,
    coordinate_units: str | None = None,
    T: Any = None,
    laser: Any = None,
) -> xr.Dataset:
    r"""Read Raman spectra exported as text by Renishaw's WiRE.

    Parameters
    ----------
    path : path-like
        The export: ``#Wave`` and ``#Intensity``, for a map or series after ``#X``,
        ``#Y``, ``#Z`` or ``#Time``.
    coordinate_units : str, optional
        "1/cm" for a Raman shift, or "nm"; needed, as the file does not have it.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in counts (units "1"), or ``I(spectrum, E)`` with x, y, z in µm and
        ``elapsed`` in s, which WiRE does not write beside them.

    Raises
    ------
    QuantityError
        If `coordinate_units` is missing.
    FileFormatError
        If the file is damaged, or its spectra do not have one axis.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["#Wave\t\t#Intensity", "22.5\t1104", "20.5\t1100"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join([*rows, ""]))
    ...     ds = open_renishaw_text(path, coordinate_units="1/cm")
    >>> ds.I.values, ds.E.values
    (array([1100., 1104.]), array([20.5, 22.5]))
    """
    titles = _titles(lines)
    rows = []
    for i, line in enumerate(lines[1:], start=2):
        words = line.split()
        if not words:
            continue
        numbers = [decimal(word) for word in words]
        right = len(numbers) == len(titles) and None not in numbers
        check(right, f"line {i}, {line.strip()[:40]!r}, is not {len(titles)} numbers")
        rows.append(numbers)
    check(len(rows) > 1, "it has no spectrum")
    table = np.array(rows, dtype=float)
    before, wave, intensity = table[:, :-2], table[:, -2], table[:, -1]
    new = np.flatnonzero((np.diff(before, axis=0) != 0).any(axis=1)) + 1
    size = int(new[0]) if new.size else len(table)
    check(
        len(table) % size == 0 and (new == np.arange(size, len(table), size)).all(),
        "its spectra have different lengths",
    )
    waves = wave.reshape(-1, size)
    check((waves == waves[0]).all(), "its spectra have axes of their own")
    places = {}
    if titles[:-2]:
        for title, column in zip(titles, before[::size].T, strict=False):
            name, units = _PLACES[title]
            places[name] = (column, units)
    values = intensity.reshape(-1, size)
    return raman_dataset(
        path,
        "WiRE export",
        waves[0],
        values if places else values[0],
        units=None,
        given=coordinate_units,
        laser=laser,
        T=T,
        attrs={},
        places=places,
    )


RenishawTextBackend = FORMAT.backend()
