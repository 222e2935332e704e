"""JCAMP-DX: Raman spectra in plain (AFFN) numbers, with factors and any number of values per line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, XbpError
from xbp.io.arguments import axis_units, can_open, to_path, value_units, without
from xbp.io.text import TEXT_ERRORS, head, read_lines, to_numbers, unreadable

__all__ = ["JcampBackend", "decline", "open_jcamp"]

_ROW: Final = re.compile(r"##(.*?)=(.*)")
#: Units of a Raman shift in this format, ignoring case and blanks.
_SHIFTS: Final = {
    "1/CM": "1/cm",
    "CM-1": "1/cm",
    "CM^-1": "1/cm",
    "RAMANSHIFT(CM-1)": "1/cm",
    "RAMANSHIFT(1/CM)": "1/cm",
}
_MISSING: Final = "?"


def decline(path: Path) -> str | None:
    """Return why a file is not JCAMP-DX, or None if it is."""
    rows = [_ROW.match(line.strip()) for line in head(path)]
    if any(
        row is not None and _label(row[1]) in ("JCAMPDX", "JCAMPCS") for row in rows
    ):
        return None
    return "it has no row ##JCAMP-DX="


def open_jcamp(
    path: str | os.PathLike[str],
    *,
    T: Any = None,
    x_tolerance: float = 0.1,
    quantity: str = "raman_intensity",
    units: str = "1",
    coordinate_units: str = "1/cm",
) -> xr.Dataset:
    r"""Read a Raman spectrum in JCAMP-DX.

    Parameters
    ----------
    path : path-like
        One spectrum, ``##XYDATA=(X++(Y..Y))`` or ``##XYPOINTS=(XY..XY)``, in AFFN:
        plain numbers.
    T : scalar with units, optional
        Temperature of the sample (bare: K). ``##TEMPERATURE=``, which is in °C by the
        format and in K in some files, is kept as an attribute but not used.
    x_tolerance : float
        Fraction of a step by which the X at the beginning of a line may differ from the
        X counted from FIRSTX, unless its digits allow more; a larger difference means
        that values were lost.
    quantity, units, coordinate_units : str
        Fixed by the format; accepted because columns need these labels. Other values
        contradict the file.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` in arbitrary units, ascending in the shift E (1/cm), with the title and
        the origin as attributes. Values that are ``?`` are NaN.

    Raises
    ------
    FileFormatError
        If it is compressed (PAC, SQZ, DIF, DUP), is not a Raman spectrum, has several
        blocks, its axis is not a shift in 1/cm, or its numbers contradict NPOINTS,
        FIRSTX, LASTX, FIRSTY or the X of a line.

    References
    ----------
    R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42, 151 (1988),
    doi:10.1366/0003702884428734 (JCAMP-DX 4.24).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["##TITLE=glass", "##JCAMP-DX=4.24", "##DATA TYPE=RAMAN SPECTRUM", "##XUNITS=1/CM", "##YUNITS=COUNTS",
    ...         "##XFACTOR=0.5", "##YFACTOR=10", "##FIRSTX=20", "##LASTX=26", "##NPOINTS=4",
    ...         "##XYDATA=(X++(Y..Y))", "40 1 2", "48 3 4", "##END="]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.jdx")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_jcamp(path)
    >>> ds.E.values, ds.I.values
    (array([20., 22., 24., 26.]), array([10., 20., 30., 40.]))
    """
    where = to_path(path)
    if (
        quantity != "raman_intensity"
        or axis_units(coordinate_units, "E", name="coordinate_units") != "1/cm"
    ):
        raise FileFormatError(
            f"quantity={quantity!r}, coordinate_units={coordinate_units!r} contradict "
            f"{where}",
            reason="xbp reads only Raman spectra over a shift in 1/cm from JCAMP-DX",
            fix="leave them out",
        )
    value_units(units, quantity, name="units")
    try:
        return _read(where, T, x_tolerance)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "JCAMP-DX", error) from error


def _label(text: str) -> str:
    """Normalise a label: the format ignores case, blanks, hyphens, slashes and underscores."""
    return re.sub(r"[\s\-/_]", "", text).upper()


def _read(where: Path, T: Any, x_tolerance: float) -> xr.Dataset:
    reason = decline(where)
    if reason is not None:
        raise ValueError(reason)
    header, form, data = _parts(where, read_lines(where))
    said = _label(header.get("DATATYPE", ""))
    if "RAMAN" not in said:
        raise _refused(
            where,
            f"##DATA TYPE={header.get('DATATYPE', '')}",
            "xbp reads only Raman spectra from JCAMP-DX",
        )
    units = _SHIFTS.get(re.sub(r"\s", "", header.get("XUNITS", "")).upper())
    if units is None:
        raise _refused(
            where,
            f"##XUNITS={header.get('XUNITS', '')}",
            "the axis must be a shift in 1/cm",
        )
    if _label(header.get("YUNITS", "")) in (
        "TRANSMITTANCE",
        "ABSORBANCE",
        "REFLECTANCE",
        "KUBELKAMUNK",
    ):
        raise _refused(
            where, f"##YUNITS={header['YUNITS']}", "this is not a Raman intensity"
        )
    E, intensity = _points(where, header, form, data, x_tolerance)
    if E.size > 1 and E[0] > E[-1]:
        E, intensity = E[::-1], intensity[::-1]
    kept = {
        label: f"jcamp_{label.lower()}"
        for label in ("ORIGIN", "OWNER", "SAMPLEDESCRIPTION", "TEMPERATURE")
    }
    kept["TITLE"] = "title"
    return new_dataset(
        "raman_intensity",
        intensity,
        units="1",
        coords={"E": (E, units)},
        temperature=T,
        attrs={"source": f"JCAMP-DX file {where.name}"}
        | {name: header[label] for label, name in kept.items() if header.get(label)},
    )


def _parts(where: Path, lines: list[str]) -> tuple[dict[str, str], str, list[str]]:
    """Return the rows of the header, the form of the data and the lines of the data."""
    header: dict[str, str] = {}
    form, data, within, ended = "", [], False, False
    for line in lines:
        bare = line.partition("$$")[0].strip()
        row = _ROW.match(bare)
        if row is None:
            if within and bare:
                data.append(bare)
            elif ended and bare:
                raise _refused(where, bare[:60], "nothing may follow ##END=")
            continue
        label, value, within = _label(row[1]), row[2].strip(), False
        if ended:
            raise _refused(
                where,
                bare[:60],
                "the file contains several blocks; xbp reads one spectrum",
            )
        if label in ("XYDATA", "XYPOINTS"):
            if form:
                raise _refused(
                    where,
                    bare[:60],
                    "the file contains two tables; xbp reads one spectrum",
                )
            form, within = re.sub(r"\s", "", value).upper(), True
        elif label in ("NTUPLES", "PEAKTABLE", "PEAKASSIGNMENTS", "BLOCKS", "RADATA"):
            raise _refused(
                where,
                bare[:60],
                "xbp reads one spectrum, given by ##XYDATA= or ##XYPOINTS=",
            )
        elif label == "END":
            ended = True
        elif header.setdefault(label, value) != value and label not in ("", "COMMENT"):
            raise _refused(
                where,
                f"##{row[1]}={header[label]} and {value}",
                "a header row may occur only once",
            )
    if not form or not ended:
        raise ValueError(
            "it has no ##XYDATA= or ##XYPOINTS=, or no ##END=: it is truncated"
        )
    return header, form, data


def _points(
    where: Path, header: dict[str, str], form: str, data: list[str], x_tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and Y with their factors applied, after checking them against the header."""
    x_factor, y_factor = (
        _positive(where, header, name) for name in ("XFACTOR", "YFACTOR")
    )
    n = _optional(header, "NPOINTS")
    first, last = (_optional(header, name) for name in ("FIRSTX", "LASTX"))
    if form == "(XY..XY)":
        numbers = _affn(where, re.sub(r"[;,]", " ", " ".join(data)).split())
        if numbers.size % 2:
            raise _refused(
                where,
                f"{numbers.size} numbers after (XY..XY)",
                "pairs need an even number",
            )
        x, y = numbers[::2] * x_factor, numbers[1::2] * y_factor
    elif form == "(X++(Y..Y))":
        # Of packed numbers the signs part them; an exponent has a sign of its own.
        words = [
            (
                line
                if "E" in line.upper()
                else re.sub(r"(?<=[\d.])(?=[+-])", " ", line)
            ).split()
            for line in data
        ]
        rows = [_affn(where, line) for line in words]
        y = (
            np.concatenate([row[1:] for row in rows]) * y_factor
            if rows
            else np.empty(0)
        )
        if first is None or last is None or y.size < 2:
            raise _refused(
                where,
                f"{y.size} values, FIRSTX={first}, LASTX={last}",
                "FIRSTX and LASTX define the X axis",
            )
        x = np.linspace(first, last, y.size)
        step = (last - first) / (y.size - 1)
        delta = _optional(header, "DELTAX")
        if delta is not None and abs(abs(delta) - abs(step)) * (y.size - 1) > abs(step):
            raise _refused(
                where,
                f"##DELTAX={delta:g}",
                f"from FIRSTX to LASTX the {y.size} values are {step:g} apart",
            )
        starts = np.cumsum([0, *(row.size - 1 for row in rows[:-1])])
        off = np.array([row[0] for row in rows]) * x_factor - x[starts]
        digits = max(len(line[0].partition(".")[2]) for line in words)
        if (
            abs(off) > max(x_tolerance * abs(step), 0.51 * x_factor * 10.0**-digits)
        ).any():
            at = int(np.argmax(abs(off)))
            raise _refused(
                where,
                f"a line begins with X = {rows[at][0] * x_factor:g}, but counting "
                f"from FIRSTX gives {x[starts[at]]:g}",
                "values were lost, or XFACTOR, FIRSTX or LASTX are wrong",
            )
    else:
        raise _refused(where, form, "xbp reads (X++(Y..Y)) and (XY..XY)")
    if n is not None and int(n) != y.size:
        raise _refused(where, f"##NPOINTS={n:g}", f"{y.size} values follow")
    for name, wanted, found, slack in (
        ("FIRSTX", first, x[:1], abs(np.diff(x[:2])) / 2), ("LASTX", last, x[-1:], abs(np.diff(x[-2:])) / 2),
        ("FIRSTY", _optional(header, "FIRSTY"), y[:1], np.array([max(y_factor, 1e-3 * np.nanmax(abs(y)))])),
    ):  # fmt: skip
        if (
            wanted is not None
            and found.size
            and slack.size
            and abs(found - wanted) > slack
        ):
            raise _refused(
                where,
                f"##{name}={wanted:g}",
                f"with its factor the value in the table is {found[0]:g}",
            )
    return x, y


def _affn(where: Path, words: list[str]) -> np.ndarray:
    """Return plain numbers; letters are the compressed forms."""
    wrong = next((word for word in words if re.search(r"[^0-9.eE?+-]", word)), None)
    if wrong is not None:
        raise _refused(
            where,
            wrong[:60],
            "the numbers are compressed (SQZ, DIF or DUP), which xbp does not read",
        )
    return to_numbers(
        ("nan" if word == _MISSING else word for word in words), "its data"
    )


def _optional(header: dict[str, str], label: str) -> float | None:
    """Return the number in a header row, if present."""
    text = header.get(label, "")
    return float(to_numbers([text], f"##{label}=", size=1)[0]) if text else None


def _positive(where: Path, header: dict[str, str], label: str) -> float:
    value = _optional(header, label)
    if value is None or value > 0:
        return 1.0 if value is None else value
    raise _refused(where, f"##{label}={value:g}", "a factor must be positive")


def _refused(where: Path, what: str, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{where}: {what}",
        reason=reason,
        fix="export one Raman spectrum as JCAMP-DX in AFFN (plain numbers), or as text",
    )


class JcampBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="jcamp")``."""

    description = "Raman spectra in JCAMP-DX"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "T", "x_tolerance")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        T: Any = None,
        x_tolerance: float = 0.1,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_jcamp`."""
        return without(
            open_jcamp(filename_or_obj, T=T, x_tolerance=x_tolerance), drop_variables
        )

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Recognise the file by the row ##JCAMP-DX=."""
        return can_open(filename_or_obj, decline)
