"""The one table of numbers in a text.

Its rows, what may stand around them, and what would be lost without a word.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xbp.core.errors import FileFormatError
from xbp.io.text import to_numbers

__all__ = [
    "Table",
    "is_ambiguous",
    "read_table",
    "require_one_run",
    "require_whole",
    "row",
]

_COMMENTS = ("#", "%", "//", "!")
_NUMBER = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?|[-+]?(?:nan|inf)", re.IGNORECASE
)
#: A first word like it is a coordinate, however the rest of its line reads; dates,
#: times and 1/2 are not like it.
_LIKE_A_NUMBER = re.compile(r"(?=\.?\d)[\d_]*\.?[\d_]*(?:[eEdD][-+]?\d+)?")
#: Numbers as Fortran without room for its E, with apostrophes, with an error in
#: brackets, as powers of ten; overflow.
_ODD_NUMBER = re.compile(
    r"\d*\.\d+[-+]\d{2,3}|\d{1,3}(?:['\u2019`\u00b4]\d{3})+(?:[.,]\d*)?|\d[\d.]*\(\d+\)"
    r"|\d[\d.]*[\u00d7x*\u00b7]10\^?[-+]?\d+"
)
#: Blanks and apostrophes that part thousands, and no columns.
_THOUSANDS = re.compile(r"\d[\u00a0\u2007\u2009\u202f'\u2019]\d{3}(?!\d)")
#: Errors of spreadsheets, in the place of a coordinate; they begin like a comment.
_SPREADSHEET_ERROR = re.compile(
    r"#(?:N/A|DIV/0!|VALUE!|REF!|NUM!|NAME\?|NULL!)\s*[\s;,]"
)
#: What instruments and spreadsheets write for a value that is not there.
_MISSING = frozenset({"na", "n/a", "#n/a", "null", "none", "--", "---"})
#: Words that stand for a number.
_NO_COORDINATE = re.compile(
    r"[-+]?(?:[qs]?nan(?:\W.*)?|inf(?:inity)?|true|false|missing|nil)"
)
#: The minus sign of typography, which programs write that set numbers in type.
_MINUS = str.maketrans({"\u2212": "-"})
#: Hyphens and dashes of Unicode and of Windows, which are no signs of a number but may
#: have been meant so.
_DASHES = "+-\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d\x96\x97"


#: Two or three plain numbers, with points for the decimals, between blanks: nearly
#: every row of a long table.
_NUMERAL = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_PLAIN_ROW = re.compile(rf"\s*{_NUMERAL}\s+{_NUMERAL}(?:\s+{_NUMERAL})?\s*", re.ASCII)


def row(line: str) -> list[str] | None:
    """Return the two or three numbers of a line, parted by commas, by semicolons or by blanks, never by a mixture.

    So ``1,5 2,5`` is no row, where some languages mean two numbers by it. Words for
    what is missing are NaN.

    Examples
    --------
    >>> row("\u22121; 5D-3"), row("1 --"), row("1,5 2,5"), row("-- --")
    (['-1', '5e-3'], ['1', 'nan'], None, None)
    """
    match = _PLAIN_ROW.fullmatch(line)
    if match is not None:
        first, second, third = match.groups()
        return [first, second] if third is None else [first, second, third]
    plain = line.translate(_MINUS).strip().lower()
    separator = next((mark for mark in (";", ",") if mark in plain), None)
    words = [word.strip() for word in plain.rstrip(separator).split(separator)]
    if (
        len(words) not in (2, 3)
        or _NUMBER.fullmatch(words[0]) is None
        or _THOUSANDS.search(plain)
    ):
        return None
    if not all(word in _MISSING or _NUMBER.fullmatch(word) for word in words):
        return None
    # Fortran writes 1D-3.
    return ["nan" if word in _MISSING else word.replace("d", "e") for word in words]


class Table(NamedTuple):
    """The rows of a text.

    Attributes
    ----------
    values : numpy.ndarray
        The numbers, of shape (rows, columns).
    start : int
        Line of the first row, counted from 0.
    breaks : list of int
        Rows, counted from 0, before which a comment or an empty line stands.
    words : list of list of str
        The numbers as they are written.
    """

    values: np.ndarray
    start: int
    breaks: list[int]
    words: list[list[str]]


def read_table(path: Path, lines: list[str]) -> Table:
    """Return the one run of rows with as many numbers each.

    Raises
    ------
    ValueError
        If there are no rows, or several tables.
    FileFormatError
        If a line outside the table begins with a number: it would be a measured row
        that is lost; if a number is infinite.
    """
    runs: list[tuple[int, list[list[str]]]] = []
    strays = []
    breaks = []
    within = broken = False
    ends = 0
    for i, line in enumerate(lines, start=1):
        bare = line.lstrip()
        if not bare or bare.startswith(_COMMENTS):
            strays += [i] if _SPREADSHEET_ERROR.match(bare) else []
            broken = True
            continue
        numbers = row(line)
        if numbers is None:
            strays += [i] if _begins_with_a_number(line) else []
        elif "i" in line.lower() and any("inf" in word for word in numbers):
            strays += [i]
        elif within and len(runs[-1][1][-1]) == len(numbers):
            breaks += [len(runs[-1][1])] if broken else []
            runs[-1][1].append(numbers)
        else:
            runs.append((i, [numbers]))
        ends = i if numbers is not None else ends
        within, broken = numbers is not None, False
    if not runs:
        raise ValueError("it has no rows of two or three numbers with decimal points")
    # Some programs begin with the number of rows.
    first, table = runs[0]
    if len(runs) == 1:
        strays += [
            i
            for i in (first - 1, ends + 1)
            if _lacks_a_coordinate(lines[i - 1 : i], len(table[0]))
        ]
    if strays and strays[0] < first and lines[strays[0] - 1].strip() == str(len(table)):
        strays = strays[1:]
    if strays:
        raise FileFormatError(
            f"{path}, line {strays[0]}: {lines[strays[0] - 1].strip()[:60]!r}",
            reason="this may be a data row, but it is not two or three finite numbers "
            "and would be lost",
            fix="put # before a remark; use decimal points, and NaN for missing "
            "values; copy the file again if it "
            "was cut off",
        )
    if len(runs) > 1:
        sizes, starts = (
            " and ".join(map(str, part[:3]))
            for part in zip(*((len(r), i) for i, r in runs), strict=True)
        )
        raise ValueError(
            f"its rows form {len(runs)} tables of {sizes} rows, starting at lines "
            f"{starts}, or a row is incomplete"
        )
    if len(table) < 2:
        raise ValueError(
            "it has no rows of two or three numbers, written with a point for the "
            "decimals, but one"
        )
    values = to_numbers(
        (word for numbers in table for word in numbers), "the table"
    ).reshape(len(table), -1)
    return Table(values, first - 1, breaks, table)


def _begins_with_a_number(line: str) -> bool:
    first, *others = re.split(r"[\s;,]+", line.translate(_MINUS).strip(" \t;,"))
    bare = first.lstrip(_DASHES)
    if re.fullmatch(r"\*{2,}", first):  # Fortran's overflow
        return bool(others) and all(_NUMBER.fullmatch(word) for word in others)
    return (
        _LIKE_A_NUMBER.fullmatch(bare) is not None
        or _ODD_NUMBER.match(bare) is not None
    )


def _lacks_a_coordinate(line: list[str], n_columns: int) -> bool:
    """Tell a row next to the table whose first word alone is no number, and no word of a language either."""
    text = "".join(line).translate(_MINUS).strip().lower()
    separator = next((mark for mark in (";", ",") if mark in text), None)
    words = [word.strip() for word in text.rstrip(separator).split(separator)]
    return (
        len(words) == n_columns
        and not text.startswith(_COMMENTS)
        and (
            words[0] in _MISSING
            or _NO_COORDINATE.fullmatch(words[0]) is not None
            or re.fullmatch(r"(?![a-z]{3}|[a-z]$)\S*", words[0]) is not None
        )
        and all(word in _MISSING or _NUMBER.fullmatch(word) for word in words[1:])
    )


def is_ambiguous(table: Table, lines: list[str]) -> bool:
    """Return whether two of three numbers may be one, cut by a decimal comma or by a mark of the thousands.

    ``2 600.0`` may be 2600.0, and ``1 050.5`` is 1050.5.

    Examples
    --------
    >>> lines = ["100,12,5", "101,12,7"]
    >>> is_ambiguous(read_table(Path("a.csv"), lines), lines)
    True
    >>> lines = ["100 2 600.0", "101 2 700.5"]
    >>> is_ambiguous(read_table(Path("a.txt"), lines), lines)
    True
    """
    if table.values.shape[1] != 3:
        return False

    def every(column: int, pattern: str) -> bool:
        return all(re.fullmatch(pattern, words[column]) for words in table.words)

    thousands, rest = r"[-+]?[1-9]\d{0,2}", r"\d{3}(?:\.\d*)?"
    if every(1, thousands) and every(2, rest):
        return True
    # No program writes 050 for 50.
    if any(
        words[i + 1][0] == "0"
        and re.fullmatch(rest, words[i + 1])
        and re.fullmatch(thousands, words[i])
        for words in table.words
        for i in (0, 1)
    ):
        return True
    return all(every(i, r"[-+]?\d+") for i in range(3)) and all(
        re.search(r",(?!\s)", line) and ";" not in line
        for line in lines[table.start :]
        if row(line) is not None
    )


def require_whole(lines: list[str]) -> None:
    """Refuse a last line without an end that was cut, as far as that can be told.

    It was where it is no row, or where its last number has fewer decimals than any
    other.

    Raises
    ------
    ValueError
    """
    last = lines[-1].strip()
    if not last or last.startswith(_COMMENTS):
        return
    rows = [numbers for numbers in map(row, lines) if numbers is not None]
    decimals = [
        len(numbers[-1].partition(".")[2]) for numbers in rows if numbers[-1] != "nan"
    ]
    if row(last) is None:
        raise ValueError(f"its last line {last[:60]!r} has no end, and is no row")
    if (
        rows[-1][-1] != "nan"
        and len(decimals) > 1
        and decimals[-1] < min(decimals[:-1])
    ):
        raise ValueError(
            f"its last line {last!r} has no end, and fewer decimals than the others"
        )


def require_one_run(where: Path, temperature: np.ndarray, breaks: list[int]) -> None:
    """Refuse several runs over the same temperatures, parted by comments.

    Sorted, they would pass for one.

    Raises
    ------
    FileFormatError
    """
    runs = np.split(temperature, breaks)
    for one, other in itertools.pairwise(runs):
        if one.size < 2 or other.size < 2:
            continue
        common = min(one.max(), other.max()) - max(one.min(), other.min())
        if common > 0.5 * min(np.ptp(one), np.ptp(other)) > 0:
            raise FileFormatError(
                f"{where} contains two runs, from {one[0]:g} to {one[-1]:g} and from "
                f"{other[0]:g} to {other[-1]:g}",
                reason="they cover the same temperatures and are separated by a "
                "comment or an empty line",
                fix="split the file; if it is one measurement, remove the line "
                "between the runs",
            )
