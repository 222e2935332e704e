"""Text: decoding, lines, numbers, and the one table of numbers in a text."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xbp.core.errors import FileFormatError, XbpError
from xbp.io.publish import new_file
from xbp.io.spelling import decoded, ends_whole, without_remark

__all__ = [
    "LARGEST",
    "Table",
    "check",
    "head",
    "header_matches",
    "is_ambiguous",
    "number",
    "read_bytes",
    "read_lines",
    "read_table",
    "require_one_run",
    "require_whole",
    "row",
    "start_of",
    "to_numbers",
    "translated",
    "write_text",
]

#: Magnitudes above this are not measurements; their squares overflow.
LARGEST = 1e100
_COMMENTS = ("#", "%", "//", "!")
#: A number as programs write it; Python's float() would also read 1_000.
_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(rf"{_FLOAT}|[-+]?(?:nan|inf)", re.IGNORECASE | re.ASCII)
#: The same in a table, where Fortran writes 1D-3.
_WORD = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[ed][-+]?\d+)?|[-+]?(?:nan|inf)", re.IGNORECASE
)
#: Its D before an exponent.
_FORTRAN = re.compile(r"(?<=[\d.])[dD](?=[-+]?\d)")
#: Two or three plain numbers between blanks: nearly every row of a long table.
_PLAIN_ROW = re.compile(rf"\s*({_FLOAT})\s+({_FLOAT})(?:\s+({_FLOAT}))?\s*", re.ASCII)
#: A first word like this is a coordinate, however the rest of its line reads; dates,
#: times and 1/2 are not.
_LIKE_A_NUMBER = re.compile(r"(?=\.?\d)[\d_]*\.?[\d_]*(?:[eEdD][-+]?\d+)?")
#: Fortran without room for its E, apostrophes, an error in brackets, powers of ten.
_ODD_NUMBER = re.compile(
    r"\d*\.\d+[-+]\d{2,3}|\d{1,3}(?:['\u2019`\u00b4]\d{3})+(?:[.,]\d*)?|\d[\d.]*\(\d+\)"
    r"|\d[\d.]*[\u00d7x*\u00b7]10\^?[-+]?\d+"
)
#: Blanks and apostrophes between thousands.
_THOUSANDS = re.compile(r"\d[\u00a0\u2007\u2009\u202f'\u2019]\d{3}(?!\d)")
#: Errors of spreadsheets in the place of a coordinate; they begin like a comment.
_SPREADSHEET_ERROR = re.compile(
    r"#(?:N/A|DIV/0!|VALUE!|REF!|NUM!|NAME\?|NULL!)\s*[\s;,]"
)
#: How instruments and spreadsheets write a missing value.
_MISSING = frozenset({"na", "n/a", "#n/a", "null", "none", "--", "---"})
#: Words in the place of a number.
_NO_COORDINATE = re.compile(
    r"[-+]?(?:[qs]?nan(?:\W.*)?|inf(?:inity)?|true|false|missing|nil)"
)
#: The typographic minus sign.
_MINUS = str.maketrans({"\u2212": "-"})
#: Hyphens and dashes that may have been meant as a sign.
_DASHES = "+-\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d\x96\x97"


def check(condition: object, message: str) -> None:
    """Refuse a file; its reader turns the ValueError into a FileFormatError.

    Raises
    ------
    ValueError
        If the condition is false.
    """
    if not condition:
        raise ValueError(message)


@contextlib.contextmanager
def translated(what: str, *kinds: type[Exception], fix: str = "") -> Iterator[None]:
    """Turn errors of `check`, and of other libraries, into a FileFormatError.

    Those of xbp pass, unless they are named.
    """
    try:
        yield
    except kinds as error:
        if isinstance(error, XbpError) and type(error) not in kinds:
            raise
        reason = getattr(error, "summary", None) or getattr(error, "strerror", None)
        reason = reason or str(error)
        if not isinstance(error, ValueError | OSError):
            reason = f"{type(error).__name__}: {reason}"
        raise FileFormatError(what, reason=reason, fix=fix) from error


def start_of(path: Path) -> bytes:
    """Return the first 8 kB of a file."""
    _size(path)
    with path.open("rb") as stream:
        return stream.read(8192)


def head(path: Path) -> list[str]:
    """Return the first lines of a text, the last maybe cut; none of a binary file."""
    start = start_of(path)
    text = decoded(start)
    return [] if text is None else _lines(text)


def header_matches(lines: Sequence[str], pattern: str) -> bool:
    r"""Return whether a pattern is found in the first lines of a text.

    Examples
    --------
    >>> header_matches(["# my glass", "# MYLAB 2.0", "1 2"], r"^# MYLAB\b")
    True
    """
    text = "".join(f"{line}\n" for line in lines[:400])  # no header is longer
    return re.search(pattern, text, re.MULTILINE) is not None


def read_lines(path: Path, *, complete: bool = True, endless: bool = True) -> list[str]:
    """Return the lines of a text.

    Raises
    ------
    ValueError
        If it is not a file, binary, larger than any text of data, or ends within a line
        (unless `complete` is False): programs end every line, and a number cut short
        would pass for another. If its number of rows is known, and it is not `endless`,
        a last number as long as those before it is whole.
    """
    text = decoded(read_bytes(path))
    if text is None:
        raise ValueError("it is binary")
    lines = _lines(text)
    ended = not complete or text.endswith(("\n", "\r"))
    if not (ended or endless):
        rows = "\n".join(re.sub("[,;]", " ", line) for line in lines[-400:])
        ended = ends_whole(rows.encode(), alone=False, counted=True)
    check(ended, "its last line is not complete")
    return lines


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ValueError
        If it is not a file, or larger than any text or spectrum.
    """
    size = _size(path)
    check(size <= 2**28, f"it has {size / 1e9:.3g} GB, more than any text of data")
    return path.read_bytes()


def _size(path: Path) -> int:
    """Return the size of a file; reading a pipe or a device may never end."""
    status = path.stat()
    check(stat.S_ISREG(status.st_mode), "it is a folder, a pipe or a device")
    return status.st_size


def _lines(text: str) -> list[str]:
    # splitlines() would also split at characters that Windows writes in comments.
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def number(word: str) -> float | None:
    """Return a word as a number; None if it is not one, or overflows.

    Examples
    --------
    >>> [number(word) for word in (" 1.5e3 ", "nan", "1_000", "1,5", "1e999")]
    [1500.0, nan, None, None, None]
    """
    word = word.strip()
    if _NUMBER.fullmatch(word) is None:
        return None
    value = float(word)
    return None if math.isinf(value) and "n" not in word.lower() else value


def to_numbers(
    lines: Iterable[str],
    what: str,
    *,
    size: int | None = None,
    infinite: bool = False,
    largest: float = LARGEST,
) -> np.ndarray:
    """Return all numbers of some lines, in order.

    Parameters
    ----------
    lines : iterable of str
        Words separated by blanks.
    what : str
        What they are, for the error.
    size : int, optional
        How many there must be.
    infinite : bool
        Whether ``inf`` may mark bins that were not measured.
    largest : float
        Magnitudes above this are not measurements; their squares overflow.

    Raises
    ------
    ValueError
        If a word is not a number, or is infinite or too large, or there are not `size`
        numbers.
    """
    joined = " ".join(lines)
    try:
        values = np.array(list(map(float, joined.split())))
    except ValueError:
        joined = _FORTRAN.sub("e", joined)
        try:
            values = np.array(list(map(float, joined.split())))
        except ValueError:
            raise ValueError(f"{what} contains words that are not numbers") from None
    words = joined.split()
    wrong = None
    if "_" in joined:
        wrong = "contains numbers with underscores"
    elif size is not None and values.size != size:
        wrong = f"has {values.size} numbers where {size} are needed"
    large = np.flatnonzero(~(abs(values) <= largest) & ~np.isnan(values))
    for word in (words[i] for i in large):
        if not word.lower().lstrip("+-").startswith("inf"):
            wrong = f"contains {word:.40}, which is too large for a measured value"
        elif not infinite:
            wrong = f"contains {word}; write NaN for missing values"
    if wrong:
        raise ValueError(f"{what} {wrong}")
    return values


def write_text(
    path: str | os.PathLike[str], lines: Iterable[str], *, overwrite: bool
) -> None:
    """Write lines as UTF-8, to a file that appears once it is complete.

    Raises
    ------
    FileFormatError
        As for `xbp.io.publish.new_file`.
    """
    with (
        new_file(path, overwrite=overwrite) as (temporary, _),
        open(temporary, "wb") as stream,
    ):
        # UTF-8 cannot hold half of a surrogate pair, which an attribute may contain.
        stream.writelines(f"{line}\n".encode("utf-8", "replace") for line in lines)


def row(line: str) -> list[str] | None:
    """Return the two or three numbers of a line, or None.

    They are separated by commas, by semicolons or by blanks, never by a mixture: ``1,5
    2,5`` is not a row, because the commas may be decimal. Words for missing values are
    NaN.

    Examples
    --------
    >>> row("\u22121; 5D-3"), row("1 --"), row("1,5 2,5"), row("-- --")
    (['-1', '5e-3'], ['1', 'nan'], None, None)
    """
    match = _PLAIN_ROW.fullmatch(line)
    if match is not None:
        first, second, third = match.groups()
        return [first, second] if third is None else [first, second, third]
    words = _split(without_remark(line))
    if (
        len(words) not in (2, 3)
        or _WORD.fullmatch(words[0]) is None
        or _THOUSANDS.search(line)
        or not all(word in _MISSING or _WORD.fullmatch(word) for word in words)
    ):
        return None
    return ["nan" if word in _MISSING else word.replace("d", "e") for word in words]


def _split(line: str) -> list[str]:
    text = line.translate(_MINUS).strip().lower()
    separator = next((mark for mark in (";", ",") if mark in text), None)
    return [word.strip() for word in text.rstrip(separator).split(separator)]


class Table(NamedTuple):
    """The rows of a text.

    Attributes
    ----------
    values : numpy.ndarray
        The numbers, of shape (rows, columns).
    start : int
        Line of the first row, counted from 0.
    breaks : list of int
        Rows, counted from 0, that follow a comment or an empty line.
    words : list of list of str
        The numbers as they are written.
    """

    values: np.ndarray
    start: int
    breaks: list[int]
    words: list[list[str]]


def read_table(lines: list[str]) -> Table:
    """Return the one run of rows with equally many numbers.

    Raises
    ------
    ValueError
        If there are no rows, or several tables; if a line outside the table begins with
        a number, or a number is infinite: a measured row would be lost.
    """
    runs: list[tuple[int, list[list[str]]]] = []
    strays = []
    breaks = []
    within = broken = False
    end = 0
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
        end = i if numbers is not None else end
        within, broken = numbers is not None, False
    check(runs, "it has no rows of two or three numbers with decimal points")
    first, table = runs[0]
    if len(runs) == 1:
        strays += [
            i
            for i in (first - 1, end + 1)
            if _lacks_a_coordinate(lines[i - 1 : i], len(table[0]))
        ]
    # Some programs begin with the number of rows.
    if strays and strays[0] < first and lines[strays[0] - 1].strip() == str(len(table)):
        strays = strays[1:]
    if strays:
        raise ValueError(
            f"line {strays[0]}: {lines[strays[0] - 1].strip()[:60]!r} is not two or "
            "three finite numbers with decimal points: put # before a remark, and NaN "
            "for a missing value"
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
    check(
        len(table) > 1,
        "it has only one row of numbers",
    )
    values = to_numbers(itertools.chain.from_iterable(table), "the table")
    return Table(values.reshape(len(table), -1), first - 1, breaks, table)


def _begins_with_a_number(line: str) -> bool:
    first, *others = re.split(r"[\s;,]+", line.translate(_MINUS).strip(" \t;,"))
    bare = first.lstrip(_DASHES)
    if re.fullmatch(r"\*{2,}", first):  # Fortran's overflow
        return bool(others) and all(_WORD.fullmatch(word) for word in others)
    return bool(_LIKE_A_NUMBER.fullmatch(bare) or _ODD_NUMBER.match(bare))


def _lacks_a_coordinate(line: list[str], n_columns: int) -> bool:
    """Return whether only the first word of a line is neither a number nor a word."""
    text = "".join(line)
    words = _split(text)
    return (
        len(words) == n_columns
        and not text.lstrip().startswith(_COMMENTS)
        and (
            words[0] in _MISSING
            or _NO_COORDINATE.fullmatch(words[0]) is not None
            or re.fullmatch(r"(?![a-z]{3}|[a-z]$)\S*", words[0]) is not None
        )
        and all(word in _MISSING or _WORD.fullmatch(word) for word in words[1:])
    )


def is_ambiguous(table: Table, lines: list[str]) -> bool:
    """Return whether two numbers of a row may be one, cut at a comma or a blank.

    ``2 600.0`` may be 2600.0, and ``1 050.5`` is 1050.5.

    Examples
    --------
    >>> for lines in ["100,12,5", "101,12,7"], ["100 2 600.0", "101 2 700.5"]:
    ...     print(is_ambiguous(read_table(lines), lines))
    True
    True
    """
    words, rest = table.words, r"\d{3}(?:\.\d*)?"

    def every(column: int, pattern: str) -> bool:
        return all(re.fullmatch(pattern, numbers[column]) for numbers in words)

    thousands = r"[-+]?[1-9]\d{0,2}"
    if len(words[0]) == 3 and every(1, thousands) and every(2, rest):
        return True
    # No program writes 050 for 50.
    if any(
        after[0] == "0"
        and re.fullmatch(rest, after)
        and re.fullmatch(thousands, before)
        for numbers in words
        for before, after in itertools.pairwise(numbers)
    ):
        return True
    return (
        len(words[0]) == 3
        and all(every(i, r"[-+]?\d+") for i in range(3))
        and all(
            re.search(r",(?!\s)", line) and ";" not in line
            for line in lines[table.start :]
            if row(line) is not None
        )
    )


def require_whole(lines: list[str]) -> None:
    """Refuse a last line without an end that was cut, as far as that can be seen.

    It was if it is not a row, or if its last number has fewer decimals than all others.

    Raises
    ------
    ValueError
    """
    last = lines[-1].strip()
    if not last or last.startswith(_COMMENTS):
        return
    check(
        row(last) is not None,
        f"its last line {last[:60]!r} is cut short",
    )
    *others, final = (n[-1] for n in map(row, lines) if n is not None)
    decimals = [len(word.partition(".")[2]) for word in others if word != "nan"]
    check(
        final == "nan" or not decimals or len(final.partition(".")[2]) >= min(decimals),
        f"its last line {last!r} is cut short: it has the fewest decimals",
    )


def require_one_run(temperature: np.ndarray, breaks: list[int]) -> None:
    """Refuse several runs over the same temperatures, which sorted would pass for one.

    They are separated by comments.

    Raises
    ------
    ValueError
    """
    for one, other in itertools.pairwise(np.split(temperature, breaks)):
        if one.size < 2 or other.size < 2:
            continue
        common = min(one.max(), other.max()) - max(one.min(), other.min())
        check(
            not common > 0.5 * min(np.ptp(one), np.ptp(other)) > 0,
            f"it contains two runs, from {one[0]:g} to {one[-1]:g} and from "
            f"{other[0]:g} to {other[-1]:g}: split the file",
        )
