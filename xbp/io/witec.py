"""Raman spectra exported as text by WITec Project and WITec Control."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import decimal, kept, known, raman_dataset, shift_or_length
from xbp.io.text import check
from xbp.io.titles import Labels, require_titles

__all__ = ["FORMAT", "WitecBackend", "open_witec"]

#: The first line, also of exports of single particles (TrueMatch).
_MARKS: Final = ("//Exported ASCII-File", "[WITEC_TRUEMATCH_ASCII_HEADER]")
#: What begins with a letter, maybe in brackets, is a title.
_TITLE: Final = re.compile(r"[(\[/]*[^\W\d_]")
#: The row of units below the titles of a table.
_UNITS: Final = re.compile(r"\s*\"?(rel\. 1/cm|nm|1/cm)\"?(?:[\t;,]\s*\"?[^\t;]*)+")
_TITLES: Final = re.compile(r"\s*\"?X-Axis\"?\s*[\t;,]", re.IGNORECASE)
_KNOWN: Final = {
    "Excitation Wavelength [nm]": "laser",
    "ExcitationWavelength": "laser",
    "Grating": "grating",
    "Integration Time [s]": "integration_time",
    "Number Of Accumulations": "accumulations",
}


def _find(lines: list[str]) -> bool:
    if lines and lines[0].strip() in _MARKS:
        return True
    first = [line for line in lines[:60] if line.strip()]
    titles = [i for i, line in enumerate(first) if _TITLES.match(line)]
    # The program writes both rows, or one of them.
    rows = first[titles[0] : titles[0] + 3] if titles else first[:1]
    return any(_UNITS.fullmatch(row) and (titles or "CCD" in row) for row in rows)


FORMAT = Format(
    "a WITec export",
    "text",
    _find,
    f"it neither begins with {_MARKS[0]!r} nor has a row of units below X-Axis",
    resembles=r"\A(?://Exported ASCII-File|\[WITEC_)",
    endless=True,
    guide=Guide(
        "light",
        "WITec Project and Control: `.txt`",
        "one spectrum or a column for each, `I(spectrum, E)`; decimal points or "
        "commas; the header. WITec's own `.wip` is refused: export it",
        example("I", '"glass.txt", T="295 K"'),
        asks=("T", "coordinate_units", "laser"),
    ),
)


@FORMAT.reader
def open_witec(
    path: Path,
    lines: list[str],
    *,
    T: Any = None,
    coordinate_units: str | None = None,
    laser: Any = None,
) -> xr.Dataset:
    r"""Read Raman spectra exported as text by WITec's programs.

    Parameters
    ----------
    path : path-like
        The export: maybe a header ``key = value``, then ``[Data]``; titles, maybe a row
        of units, and a column for each spectrum.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).
    coordinate_units : str, optional
        "1/cm" for a Raman shift or "nm", if neither header nor titles name it.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in counts (units "1"), or ``I(spectrum, E)`` with the titles of the
        columns as ``title``; every row of the header as ``witec_...``.

    Raises
    ------
    QuantityError
        If `coordinate_units` is needed.
    FileFormatError
        If the file is damaged, or its header names something else than intensities over
        a shift or a wavelength.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["//Exported ASCII-File", "[Header]", "XAxisUnit = rel. 1/cm", "[Data]",
    ...         "X-Axis\tglass", "20.5\t1100", "22.5\t1104"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join([*rows, ""]))
    ...     ds = open_witec(path)
    >>> ds.I.values, ds.E.values, ds.E.attrs["units"]
    (array([1100., 1104.]), array([20.5, 22.5]), '1/cm')
    """
    if (n := [line.strip() for line in lines].count("[SpectrumHeader]")) > 1:
        raise FileFormatError(
            f"{path} has {n} spectra, each over an axis of its own",
            fix="export them one by one",
        )
    header: dict[str, str] = {}
    titles: list[str] = []
    named: set[str] = set()
    above, rows = [], []
    for i, line in enumerate(lines, start=1):
        bare = line.strip().strip('"')
        if not bare or bare in _MARKS or re.fullmatch(r"\[\w+\]", bare):
            continue
        words = [word.strip(' "') for word in re.split(r"[\t;]|,(?!\d)", bare)]
        numbers = [decimal(word) for word in words]
        if None not in numbers:
            rows.append(numbers)
            continue
        check(not rows, f"line {i}, {bare[:40]!r}, is not a row of numbers")
        # A damaged row must not pass for titles.
        is_title = shift_or_length(words[0]) or _TITLE.match(words[0])
        check(is_title, f"line {i}, {bare[:40]!r}, is neither a title nor numbers")
        key, equals, value = bare.partition("=")
        if equals:
            header[key.strip()] = value.strip()
        elif ":" in bare and len(words) == 1:
            key, _, value = bare.partition(":")
            header[key.strip()] = value.strip()
        else:
            above.append(words)
    check(len(rows) > 1, "it has no spectrum")
    check(len({len(row) for row in rows}) == 1, "its rows have different lengths")
    for words in above:
        unit = shift_or_length(words[0])
        named |= {unit} if unit else set()
        titles = words if not unit and len(words) == len(rows[0]) else titles
    for key, value in header.items():
        if re.match(r"X\w*(?:Unit|Kind)|SpectralUnit", key, re.IGNORECASE):
            unit = shift_or_length(value)
            check(unit, f"its axis is in {value!r}, not a Raman shift")
            named.add(str(unit))
    check(len(named) < 2, f"it names the units {' and '.join(sorted(named))}")
    units = next(iter(named), None)
    dim = "wavelength" if units not in (None, "1/cm") else "E"
    labels = Labels("raman_intensity", "1", dim, units or "1/cm")
    intensities = [words[1] for words in above if shift_or_length(words[0])]
    for title in intensities:
        require_titles(path.name, [], ["shift" if dim == "E" else "nm", title], labels)
    table = np.array(rows, dtype=float)
    check(table.shape[1] > 1, "it has only one column of numbers")
    several = table.shape[1] > 2
    ds = raman_dataset(
        path,
        "WITec export",
        table[:, 0],
        table[:, 1:].T if several else table[:, 1],
        units=units,
        given=coordinate_units,
        laser=laser,
        T=T,
        attrs=kept("witec", header) | known(header, _KNOWN),
    )
    if several and titles:
        ds = ds.assign_coords(title=("spectrum", np.array(titles[1:])))
    elif titles[1:]:
        ds.attrs["title"] = titles[1]
    return ds


WitecBackend = FORMAT.backend()
