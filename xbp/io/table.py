"""The one table of numbers in a text: its rows, what may stand around them, and what would be lost without a word."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from xbp.errors import FileFormatError
from xbp.io.text import to_numbers

__all__ = ["read_table", "require_whole", "row"]

_COMMENTS = ("#", "%", "//", "!")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?|[-+]?(?:nan|inf)", re.IGNORECASE)
#: A first word like it is a coordinate, however the rest of its line reads; dates, times and 1/2 are not like it.
_LIKE_A_NUMBER = re.compile(r"(?=\.?\d)[\d_]*\.?[\d_]*(?:[eEdD][-+]?\d+)?")
#: What instruments and spreadsheets write for a value that is not there.
_MISSING = frozenset({"na", "n/a", "#n/a", "null", "none", "--", "---"})
#: The minus sign of typography, which programs write that set numbers in type.
_MINUS = str.maketrans({"\u2212": "-"})
#: Hyphens and dashes of Unicode and of Windows, which are no signs of a number but may have been meant so.
_DASHES = "+-\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d\x96\x97"


def row(line: str) -> list[str] | None:
    """Return the two or three numbers of a line, parted by commas, by semicolons or by blanks, never by a mixture.

    So ``1,5 2,5`` is no row, where some languages mean two numbers by it. Words for what is missing are NaN.

    Examples
    --------
    >>> row("\u22121; 5D-3"), row("1 --"), row("1,5 2,5"), row("-- --")
    (['-1', '5e-3'], ['1', 'nan'], None, None)
    """
    plain = line.translate(_MINUS).strip().lower()
    separator = next((mark for mark in (";", ",") if mark in plain), None)
    words = [word.strip() for word in plain.rstrip(separator).split(separator)]
    if len(words) not in (2, 3) or _NUMBER.fullmatch(words[0]) is None:
        return None
    if not all(word in _MISSING or _NUMBER.fullmatch(word) for word in words):
        return None
    # Fortran writes 1D-3.
    return ["nan" if word in _MISSING else word.replace("d", "e") for word in words]


def read_table(path: Path, lines: list[str]) -> np.ndarray:
    """Return the one run of rows with as many numbers each.

    Raises
    ------
    ValueError
        If there are no rows, or several tables.
    FileFormatError
        If a line outside the table begins with a number: it would be a measured row that is lost.
    """
    runs: list[tuple[int, list[list[str]]]] = []
    strays = []
    within = False
    for i, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(_COMMENTS):
            continue
        numbers = row(line)
        if numbers is None:
            strays += [i] if _begins_with_a_number(line) else []
        elif within and len(runs[-1][1][-1]) == len(numbers):
            runs[-1][1].append(numbers)
        else:
            runs.append((i, [numbers]))
        within = numbers is not None
    if not runs:
        raise ValueError("it has no rows of two or three numbers, written with a point for the decimals")
    # Some programs begin with the number of rows.
    first, table = runs[0]
    if strays and strays[0] < first and lines[strays[0] - 1].strip() == str(len(table)):
        strays = strays[1:]
    if strays:
        raise FileFormatError(
            f"{path}, line {strays[0]}: {lines[strays[0] - 1].strip()[:60]!r}",
            reason="it begins with a number and is no row of two or three: what it holds would be lost",
            fix="put # before it where it is a remark; write a point for the decimals, NaN for what is missing; copy "
            "the file again where it was cut",
        )
    if len(runs) > 1:
        sizes, starts = (" and ".join(map(str, part[:3])) for part in zip(*((len(r), i) for i, r in runs), strict=True))
        raise ValueError(
            f"its rows of numbers are {len(runs)} tables, of {sizes} rows, from lines {starts}, or one is cut short"
        )
    if len(table) < 2:
        raise ValueError("it has no rows of two or three numbers, written with a point for the decimals, but one")
    return to_numbers((word for numbers in table for word in numbers), "the table").reshape(len(table), -1)


def _begins_with_a_number(line: str) -> bool:
    first = re.split(r"[\s;,]", line.translate(_MINUS).strip(" \t;,"), maxsplit=1)[0]
    return _LIKE_A_NUMBER.fullmatch(first.lstrip(_DASHES)) is not None


def require_whole(lines: list[str]) -> None:
    """Refuse a last line without an end that was cut, as far as that can be told.

    It was where it is no row, or where its last number has fewer decimals than any other.

    Raises
    ------
    ValueError
    """
    last = lines[-1].strip()
    if not last or last.startswith(_COMMENTS):
        return
    rows = [numbers for numbers in map(row, lines) if numbers is not None]
    decimals = [len(numbers[-1].partition(".")[2]) for numbers in rows if numbers[-1] != "nan"]
    if row(last) is None:
        raise ValueError(f"its last line {last[:60]!r} has no end, and is no row")
    if rows[-1][-1] != "nan" and len(decimals) > 1 and decimals[-1] < min(decimals[:-1]):
        raise ValueError(f"its last line {last!r} has no end, and fewer decimals than the others")
