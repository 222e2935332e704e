"""Raman spectra of minerals from the RRUFF database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.io.guide import Guide, example
from xbp.io.reader import Format, axis_units, value_units
from xbp.io.spectrum import decimal, kept, raman_dataset
from xbp.io.text import check

__all__ = ["FORMAT", "RruffBackend", "open_rruff"]

_ROW: Final = re.compile(r"##([^=]*)=(.*)")
#: What the program of the spectrometer wrote, before the numbers.
_OTHER_ROW: Final = re.compile(r"#\s*([^#=][^=]*)=(.*)")
_REMARK: Final = re.compile(r"[#A-Za-z].*")
#: Names of other files of the database, and labels in them.
_OTHER_NAME: Final = re.compile(r"infrared|powder|x-?ray|diffraction", re.IGNORECASE)
_OTHER_LABEL: Final = re.compile(r"x-?ray|cell parameters|infrared", re.IGNORECASE)
#: What rruff.net writes about Raman spectra, and the laser in the names of all files.
_RAMAN: Final = re.compile(r"raman|broad", re.IGNORECASE)
_LASER: Final = re.compile(r"__(?:Raman|Broad_Scan)__(\d{3,4})__")


def _find(lines: list[str]) -> bool:
    labels = {match[1].strip().upper() for match in map(_ROW.match, lines) if match}
    return {"NAMES", "RRUFFID"} <= labels


FORMAT = Format(
    "a RRUFF spectrum",
    "text",
    _find,
    "it has no rows ##NAMES= and ##RRUFFID=",
    resembles=r"^##RRUFFID=",
    guide=Guide(
        "light",
        "RRUFF database: raw and processed",
        "Raman spectrum of a mineral; name, identity, chemistry, locality, laser (of "
        "the header, or of the name of the file). What is named infrared or powder is "
        "refused",
        example("I", '"quartz.txt", T="295 K"'),
        asks=("T",),
    ),
)


@FORMAT.reader
def open_rruff(
    path: Path,
    lines: list[str],
    *,
    T: Any = None,
    quantity: str = "raman_intensity",
    units: str = "1",
    coordinate_units: str = "1/cm",
) -> xr.Dataset:
    """Read a Raman spectrum of the RRUFF database.

    Parameters
    ----------
    path : path-like
        A file as downloaded, raw or processed: of rruff.info, which ends with
        ``##END=``, or of rruff.net, which names its ``##FILETYPE=``.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).
    quantity, units, coordinate_units : str
        Fixed by the database; accepted because columns need these labels. Other values
        contradict the file.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in arbitrary units over the shift in 1/cm; the name of the mineral as
        ``sample``, the ``laser``, and every row of the header as ``rruff_...``.

    Raises
    ------
    FileFormatError
        If the file is cut, damaged, or by its name or header one of infrared light or
        of X-rays, whose files look the same.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["##NAMES=Coesite", "##RRUFFID=R070565", "20.0, 63.5", "20.5, 63.0"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "coesite.txt")
    ...     _ = path.write_text(chr(10).join([*rows, "##END=", ""]))
    ...     ds = open_rruff(path)
    >>> ds.I.values, ds.attrs["sample"], ds.attrs["rruff_rruffid"]
    (array([63.5, 63. ]), 'Coesite', 'R070565')
    """
    shift = axis_units(coordinate_units, "E", name="coordinate_units")
    fits = quantity == "raman_intensity" and shift == "1/cm"
    check(fits, f"quantity={quantity!r} over '{shift}' is not a Raman shift in 1/cm")
    value_units(units, quantity, name="units")
    header: dict[str, str] = {}
    points: list[list[float | None]] = []
    ended = False
    for i, line in enumerate(lines, start=1):
        bare = line.strip()
        match = _ROW.fullmatch(bare)
        if match is None and not points:
            match = _OTHER_ROW.fullmatch(bare)
        check(not (ended and bare), "text follows ##END=")
        if match is not None:
            ended = match[1].strip().upper() == "END"
            key, value = match[1].strip(), match[2].strip()
            before = header.setdefault(key, value)
            header[key] = value if value == before else f"{before}; {value}"
        elif bare and (points or not _REMARK.fullmatch(bare)):
            words = re.split(r"\s*[,;]\s+|\s*;\s*|\s+|,", bare)
            numbers = [decimal(word) for word in words if word]
            right = len(numbers) == 2 and None not in numbers
            check(right, f"line {i}, {bare[:40]!r}, is not two numbers")
            points.append(numbers)
    stated = header.get("FILETYPE", "")
    check(ended or stated, "it does not end with ##END=")
    check(points, "it has no points")
    names = _OTHER_NAME.search(path.name) or _OTHER_LABEL.search("\n".join(header))
    other = names[0].lower() if names else ""
    if stated:  # which decides: cell parameters are of the mineral
        other = "" if _RAMAN.search(stated) else stated
    check(not other, f"it is not a Raman spectrum, but {other!r}")
    E, intensity = np.array(points, dtype=float).T
    attrs = kept("rruff", header)
    if header.get("NAMES"):
        attrs["sample"] = header["NAMES"]
    named = _LASER.search(path.name)
    laser = header.get("RAMAN WAVELENGTH") or (named[1] if named else "")
    if (wavelength := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:nm)?", laser)) is not None:
        attrs["laser"] = f"{wavelength[1]} nm"
    return raman_dataset(
        path, "RRUFF file", E, intensity, units="1/cm", T=T, attrs=attrs
    )


RruffBackend = FORMAT.backend()
