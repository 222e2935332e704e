"""Text from instruments: its encoding, its columns of numbers, and the rows that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from xbp.errors import FileFormatError

__all__ = ["Columns", "numbers_of", "read_columns", "read_lines"]

# A spectrum has thousands of rows. What is larger is no spectrum, and shall not be held as text.
_MAX_BYTES = 200_000_000
_COMMENTS = ("#", "%", "//", "!")


class Columns(NamedTuple):
    """The table of a text file: the lines before it, its numbers (row, column)."""

    header: list[str]
    numbers: np.ndarray


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, in UTF-8 or, where it is not that, Latin-1.

    Raises
    ------
    FileFormatError
        If it cannot be read, is huge, empty, or no text.
    """
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= _MAX_BYTES else b"\0"
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read", reason=str(error), fix="check its name and permissions"
        ) from error
    if not raw.strip() or b"\0" in raw:
        raise FileFormatError(
            f"{path} holds no text",
            reason=f"it has {size} bytes" + (", zeros among them" if b"\0" in raw and size <= _MAX_BYTES else ""),
            fix="it may be truncated, or a binary format: export it as text",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def numbers_of(line: str, delimiter: str | None) -> list[float] | None:
    """Return the numbers of a line, None where anything in it is none."""
    tokens = line.split(delimiter)
    try:
        return [float(token) for token in tokens] or None
    except ValueError:
        return None


def read_columns(path: Path, lines: list[str]) -> Columns:
    """Find the one table of numbers in the lines of a file.

    Its columns stand apart by spaces and tabs, by semicolons or by commas: whichever makes the first row. Text may
    stand before it and after it, comments and blank lines within.

    Raises
    ------
    FileFormatError
        If there is no table of two columns or more, or a row that has not its number of columns, naming the line.
    """
    start, delimiter = _first_row(lines)
    if start is None:
        raise FileFormatError(
            f"{path} holds no columns of numbers",
            reason="no line of it is two numbers or more, apart by spaces, tabs, semicolons or commas",
            fix="decimal commas are not read: write 1.5, not 1,5",
        )
    rows: list[list[float]] = []
    ended = False
    for i, line in enumerate(lines[start:], start=start + 1):
        if not line.strip() or line.lstrip().startswith(_COMMENTS):
            continue
        row = numbers_of(line, delimiter)
        if row is None:
            ended = True
        elif ended or (rows and len(row) != len(rows[0])):
            raise FileFormatError(
                f"{path}, line {i}: {line.strip()[:60]!r}",
                reason="numbers go on after text that ended them"
                if ended
                else f"the rows before have {len(rows[0])} columns, this one {len(row)}",
                fix="it may be truncated or hold more than one table: export it again, one table to a file",
            )
        else:
            rows.append(row)
    return Columns([line for line in lines[:start] if line.strip()], np.array(rows))


def _first_row(lines: list[str]) -> tuple[int | None, str | None]:
    for i, line in enumerate(lines):
        for delimiter in (None, ";", ","):
            row = numbers_of(line, delimiter)
            if row is not None and len(row) > 1:
                return i, delimiter
    return None, None
