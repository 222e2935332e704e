"""JCAMP-DX: Raman spectra, in plain or compressed numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError
from xbp.io.guide import Guide, example
from xbp.io.reader import Format, axis_units, value_units
from xbp.io.spectrum import ONLY_RAMAN
from xbp.io.text import check, to_numbers
from xbp.io.titles import Labels, require_titles

__all__ = ["FORMAT", "JcampBackend", "open_jcamp"]

_ROW: Final = re.compile(r"##(.*?)=(.*)")
#: Units of a Raman shift in this format, without case and blanks.
_SHIFT: Final = re.compile(r"1/CM|CM\^?-1|RAMANSHIFT\((?:CM-1|1/CM)\)")
_X: Final = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)")
_SIGNS: Final = re.compile(r"(?<=[\d.])(?=[+-])")
_TOKEN: Final = re.compile(r"\s*([-+@A-Ia-i%J-Rj-rS-Zs?]?)(\d*\.?\d*)\s*")
#: The first digit, with its sign, of a letter: of a number (SQZ), of a
#: difference (DIF).
_SQZ: Final = {c: i for i, c in zip(range(-9, 10), "ihgfedcba@ABCDEFGHI", strict=True)}
_DIF: Final = {c: i for i, c in zip(range(-9, 10), "rqponmlkj%JKLMNOPQR", strict=True)}
#: The first digit of how often a number is there (DUP).
_DUP: Final = {letter: digit for digit, letter in enumerate("STUVWXYZs", start=1)}
_ONE: Final = "export the Raman spectrum by itself"
_MOST: Final = 2**20
_OTHER_VALUES: Final = ("TRANSMITTANCE", "ABSORBANCE", "REFLECTANCE", "KUBELKAMUNK")
_PROCESSED: Final = re.compile(r"derivative|logarithm|\blog\b", re.IGNORECASE)
#: Labels beside the title in every file, also of one without ##JCAMP-DX=.
_TABLES: Final = {"DATATYPE", "XYDATA", "XYPOINTS", "PEAKTABLE"}
_OTHER_FORMS: Final = ("NTUPLES", "PEAKTABLE", "PEAKASSIGNMENTS", "BLOCKS", "RADATA")


def _find(lines: list[str]) -> bool:
    labels = [label for label, _ in _rows(lines)]
    titled = labels[:1] == ["TITLE"] and not _TABLES.isdisjoint(labels)
    return titled or not {"JCAMPDX", "JCAMPCS"}.isdisjoint(labels)


def _rows(lines: list[str]) -> list[tuple[str, str]]:
    """Return labels, normalised, and what they label."""
    found = filter(None, (_ROW.match(line.strip()) for line in lines))
    return [(_label(row[1]), row[2].partition("$$")[0].strip()) for row in found]


FORMAT = Format(
    "JCAMP-DX",
    "text",
    _find,
    "it has no row ##JCAMP-DX=",
    resembles=r"^##[ \t]*JCAMP.?DX[ \t]*=|\A##[ \t]*TITLE[ \t]*=",
    strict=False,
    whole=False,
    guide=Guide(
        "light",
        "any spectrometer: JCAMP-DX",
        "Raman spectrum; XFACTOR, YFACTOR, several Y per line, pairs; compressed "
        "numbers (PAC, SQZ, DIF, DUP), decimal commas; other spectra, and several in "
        "one file, are refused",
        example("I", '"glass.jdx", T="295 K"'),
        asks=("T",),
    ),
)


@FORMAT.reader
def open_jcamp(
    path: Path,
    lines: list[str],
    *,
    T: Any = None,
    x_tolerance: float = 0.1,
    check_titles: bool = True,
    quantity: str = "raman_intensity",
    units: str = "1",
    coordinate_units: str = "1/cm",
) -> xr.Dataset:
    r"""Read a Raman spectrum in JCAMP-DX.

    Parameters
    ----------
    path : path-like
        One spectrum, ``##XYDATA=(X++(Y..Y))`` in plain or compressed numbers (AFFN,
        PAC, SQZ, DIF, DUP), or ``##XYPOINTS=(XY..XY)``.
    T : scalar with units, optional
        Temperature of the sample (bare: K). ``##TEMPERATURE=``, which is in °C by the
        format and in K in some files, is kept as an attribute but not used.
    x_tolerance : float
        Fraction of a step by which the X at the beginning of a line may differ from the
        X counted from FIRSTX, unless its digits allow more; a larger difference means
        that values were lost.
    check_titles : bool
        Whether labels that name a function of the intensity (a logarithm, a
        derivative), a factor or another axis are refused. False: they are wrong.
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
        If it is not a Raman spectrum, has several blocks, its axis is not a shift in
        1/cm, a difference was lost, or its numbers contradict NPOINTS, FIRSTX, LASTX,
        FIRSTY, the limits of X and Y, or the X of a line; if a label names a function
        of the intensity, or a wavelength.

    References
    ----------
    R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42, 151 (1988),
    doi:10.1366/0003702884428734 (JCAMP-DX 4.24).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["##TITLE=glass", "##JCAMP-DX=4.24", "##DATA TYPE=RAMAN SPECTRUM",
    ...         "##XUNITS=1/CM", "##YUNITS=COUNTS", "##XFACTOR=0.5", "##YFACTOR=10",
    ...         "##FIRSTX=20", "##LASTX=26", "##NPOINTS=4", "##XYDATA=(X++(Y..Y))",
    ...         "40 1 2", "48 3 4", "##END="]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.jdx")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_jcamp(path)
    >>> ds.E.values, ds.I.values
    (array([20., 22., 24., 26.]), array([10., 20., 30., 40.]))
    """
    shift = axis_units(coordinate_units, "E", name="coordinate_units")
    fits = quantity == "raman_intensity" and shift == "1/cm"
    check(fits, f"quantity={quantity!r} over '{shift}' is not a Raman shift in 1/cm")
    value_units(units, quantity, name="units")
    kinds = [text for label, text in _rows(lines) if label == "DATATYPE" and text]
    known = not kinds or any(re.search("RAMAN|LINK", kind.upper()) for kind in kinds)
    if not known:
        problem = f"it has no Raman spectrum, but ##DATATYPE={kinds[0]}"
        raise FileFormatError(f"{path}: {problem}", fix=ONLY_RAMAN)
    header, form, data = _parts(path, lines)
    for label, is_right in (
        ("DATATYPE", lambda text: "RAMAN" in _label(text)),
        ("XUNITS", _SHIFT.fullmatch),
        ("YUNITS", lambda text: _label(text) not in _OTHER_VALUES),
    ):
        text = header.get(label, "")
        right = is_right(re.sub(r"\s", "", text).upper())
        check(right, f"##{label}={text} is not that of a Raman spectrum over 1/cm")
    if check_titles:
        _require_labels(path.name, header)
    E, intensity = _points(header, form, data, x_tolerance)
    if E.size > 1 and E[0] > E[-1]:
        E, intensity = E[::-1], intensity[::-1]
    attrs = {"source": f"JCAMP-DX file {path.name}"}
    for label in ("TITLE", "ORIGIN", "OWNER", "SAMPLEDESCRIPTION", "TEMPERATURE"):
        if header.get(label):
            prefix = "" if label == "TITLE" else "jcamp_"
            attrs[prefix + label.lower()] = header[label]
    coords = {"E": (E, "1/cm")}
    return new_dataset(
        quantity, intensity, units="1", coords=coords, temperature=T, attrs=attrs
    )


def _require_labels(where: str, header: dict[str, str]) -> None:
    """Refuse labels that name a function of the intensity, or another axis."""
    columns = Labels("raman_intensity", "1", "E", "1/cm")
    for x, y in (("", "YUNITS"), ("XLABEL", "YLABEL"), ("", "DATATYPE")):
        titles = [header.get(x, "shift"), header.get(y, "intensity")]
        require_titles(where, [], titles, columns)
    processed = _PROCESSED.search(header.get("DATAPROCESSING", ""))
    check(not processed, f"##DATA PROCESSING= names a {processed and processed[0]}")


def _label(text: str) -> str:
    """Normalise a label: case, blanks, hyphens, slashes and underscores are ignored."""
    return re.sub(r"[\s\-/_]", "", text).upper()


def _parts(path: Path, lines: list[str]) -> tuple[dict[str, str], str, list[str]]:
    """Return the rows of the header, the form of the data and the lines of the data."""
    header: dict[str, str] = {}
    form, data, within, ended = "", [], False, False
    for line in lines:
        bare = line.partition("$$")[0].strip()
        if ended and bare:
            several = f"{path}: text follows ##END=: it has several spectra"
            raise FileFormatError(several, fix=_ONE)
        row = _ROW.match(bare)
        if row is None:
            data += [bare] if within and bare else []
            continue
        label, value, within = _label(row[1]), row[2].strip(), False
        if label in _OTHER_FORMS:
            raise FileFormatError(
                f"{path}: it has {bare[:60]!r}, not one spectrum", fix=_ONE
            )
        if label in ("XYDATA", "XYPOINTS"):
            check(not form, f"{bare[:60]!r} begins a second table")
            form, within = re.sub(r"\s", "", value).upper(), True
        elif label == "END":
            ended = True
        elif label not in ("", "COMMENT") and label[0] not in "$.":
            same = header.setdefault(label, value) == value
            check(same, f"it has ##{row[1]}= twice, {header[label]} and {value}")
    check(form and ended, "it has no ##XYDATA= or ##XYPOINTS=, or no ##END=")
    return header, form, data


def _points(
    header: dict[str, str], form: str, data: list[str], x_tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and Y times their factors, after checking them against the header."""

    def stated(label: str) -> float | None:
        text = _plain([header.get(label, "")])[0]
        return float(to_numbers([text], f"##{label}=", size=1)[0]) if text else None

    factors = [stated(label) for label in ("XFACTOR", "YFACTOR")]
    x_factor, y_factor = (1.0 if factor is None else factor for factor in factors)
    check(min(x_factor, y_factor) > 0, "##XFACTOR= or ##YFACTOR= is not positive")
    first, last, delta, n = map(stated, ("FIRSTX", "LASTX", "DELTAX", "NPOINTS"))
    if form == "(XY..XY)":
        numbers = _affn(re.sub(r"[;,]", " ", " ".join(data)))
        check(numbers.size % 2 == 0, f"{numbers.size} numbers are not pairs of X and Y")
        x, y = numbers[::2] * x_factor, numbers[1::2] * y_factor
    else:
        check(form == "(X++(Y..Y))", f"it has the unknown form {form}")
        table = _ordinates(_plain(data))
        y = np.concatenate([[], *(line.y for line in table)]) * y_factor
        if first is None or last is None or y.size < 2:
            raise ValueError(f"{y.size} values, FIRSTX={first}, LASTX={last}: no axis")
        x, step = np.linspace(first, last, y.size, retstep=True)
        steps = y.size - 1
        digit = _last_digit(header.get("DELTAX", ""))
        off_by = 0.0 if delta is None else abs(abs(delta) - abs(step))
        regular = off_by * steps <= abs(step) or off_by <= 0.51 * digit
        check(regular, f"its values are {step:g} apart, but ##DELTAX={delta}")
        starts = np.cumsum([0, *(line.y.size for line in table[:-1])])
        begins = np.array([float(line.x) for line in table]) * x_factor
        digits = max(len(line.x.partition(".")[2]) for line in table)
        rounding = 1.01 * x_factor * 10.0**-digits  # some programs cut digits off
        # The X of a line that repeats the last Y is that of the latter, or the next.
        repeats = np.array([line.repeats for line in table], dtype=int)
        offs = [
            np.abs(begins - np.append(x, x[-1] + np.sign(last - first) * abs(step))[at])
            for at in (starts, starts - repeats)
        ]
        off = min(offs, key=np.max)
        at = int(np.argmax(off))
        check(
            off[at] <= max(x_tolerance * abs(step), rounding),
            f"a line begins with X = {begins[at]:g}, not where it is counted from "
            "FIRSTX: values were lost, or XFACTOR is wrong",
        )
    check(n is None or int(n) == y.size, f"{y.size} values follow ##NPOINTS={n}")
    half = abs(np.diff(x)) / 2
    slack_y = np.array([max(y_factor, 1e-3 * np.nanmax(abs(y), initial=0))])
    for name, found, slack in (
        ("FIRSTX", x[:1], half[:1]),
        ("LASTX", x[-1:], half[-1:]),
        ("MINX", x[x.argmin() :][:1], half.max(initial=0, keepdims=True)),
        ("MAXX", x[x.argmax() :][:1], half.max(initial=0, keepdims=True)),
        ("FIRSTY", y[:1], slack_y),
        ("MINY", np.fmin.reduce(y, keepdims=True), slack_y),
        ("MAXY", np.fmax.reduce(y, keepdims=True), slack_y),
    ):
        wanted = stated(name)
        if wanted is not None and half.size:
            wrong = (abs(found - wanted) > slack).any()
            check(not wrong, f"##{name}={wanted}, but in the table it is {found}")
    return x, y


def _last_digit(text: str) -> float:
    """Return the value of a 1 in the last place of a number; 0 of other words."""
    word = re.fullmatch(r"[-+]?\d*[.,]?(\d*)(?:[eE]([-+]?\d+))?", text.strip())
    return 0.0 if word is None else 10.0 ** (int(word[2] or 0) - len(word[1]))


class _Line(NamedTuple):
    """A line of ordinates: its X as written, its Y, and whether it repeated one."""

    x: str
    y: np.ndarray
    repeats: bool


def _plain(data: list[str]) -> list[str]:
    """Return lines with decimal points, where they have decimal commas."""
    words = [word for line in data for word in line.split()]
    commas = any("," in word for word in words) and not any("." in w for w in words)
    right = commas and all(re.fullmatch(r"[-+]?\d+(?:,\d+)?", word) for word in words)
    return [line.replace(",", ".") for line in data] if right else data


def _ordinates(data: list[str]) -> list[_Line]:
    """Return the lines of ``(X++(Y..Y))``, in any of the forms of ASDF.

    AFFN has plain numbers, PAC signs between them, SQZ a letter for the sign and first
    digit; DIF has differences, and DUP the number of equal ones. A line after one that
    ends in a difference repeats its last Y as a check.
    """
    # An E is an exponent where no other letter is a digit.
    packed = any(re.search(r"[@%A-DF-Za-df-z]", line) for line in data)
    lines: list[_Line] = []
    differs = False
    for text in data:
        if not packed:
            # Signs separate packed numbers; an exponent has a sign, too.
            bare = text if "E" in text.upper() else _SIGNS.sub(" ", text)
            numbers = _affn(bare)
            lines.append(_Line(bare.split()[0], numbers[1:], False))
            continue
        start = _X.match(text)
        check(start, f"the line {text[:40]!r} does not begin with a number, its X")
        assert start is not None
        repeats = differs
        y, differs = _unpacked(text[start.end() :])
        if repeats:
            before = lines[-1].y[-1] if lines[-1].y.size else np.nan
            check(
                y[:1] == [before],
                f"the line {text[:40]!r} does not repeat {before:g}, with which the "
                "line before it ends: differences were lost",
            )
            y = y[1:]
        lines.append(_Line(start[0].strip(), np.array(y, dtype=float), repeats))
    return lines


def _unpacked(text: str) -> tuple[list[float], bool]:
    """Return the ordinates of a line, and whether it ends in a difference."""
    y: list[float] = []
    difference: float | None = None
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        check(token and token.end() > at, f"{text[at : at + 20]!r} is not a number")
        assert token is not None
        letter, digits = token.groups()
        at = token.end()
        if letter == "?":
            check(not digits, f"?{digits} is not a number")
            y.append(np.nan)
            difference = None
        elif letter in _DUP:
            count = int(f"{_DUP[letter]}{digits}")
            check(
                y and 0 < count <= _MOST,
                f"{letter}{digits} repeats nothing: no number is before it",
            )
            for _ in range(count - 1):
                y.append(y[-1] + (difference or 0.0))
        elif letter in _DIF:
            check(y, "a line begins with a difference")
            difference = float(f"{_DIF[letter]}{digits}")
            y.append(y[-1] + difference)
        else:
            y.append(float(f"{_SQZ.get(letter, letter)}{digits}"))
            difference = None
    return y, difference is not None


def _affn(line: str) -> np.ndarray:
    """Return plain numbers; ``?`` is a missing one."""
    words = line.split()
    wrong = [word for word in words if re.search(r"[^0-9.eE?+-]", word)]
    check(not wrong, f"{''.join(wrong[:1])!r} is not a plain number")
    return to_numbers(("nan" if word == "?" else word for word in words), "its data")


JcampBackend = FORMAT.backend()
