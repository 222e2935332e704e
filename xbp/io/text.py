"""Text from strangers.

Decoded, limited in size, and taken apart into lines and numbers.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xbp.core.errors import FileFormatError
from xbp.io.publish import new_file

__all__ = [
    "TEXT_ERRORS",
    "head",
    "is_ended",
    "number",
    "read_lines",
    "to_numbers",
    "unreadable",
    "write_text",
]

#: What reading a damaged text may raise.
TEXT_ERRORS = (OSError, ValueError, OverflowError)

_HEAD = 8192
_MAX_BYTES = 2**28
# Python's own float() reads 1_000 too.
_NUMBER = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf)", re.IGNORECASE | re.ASCII
)


def head(path: Path) -> list[str]:
    """Return the first lines of a text, the last of them maybe cut short.

    None where it is no text.
    """
    _size(path)
    with path.open("rb") as stream:
        start = stream.read(_HEAD)
    return [] if b"\x00" in start else _lines(start)


def read_lines(path: Path, *, complete: bool = True) -> list[str]:
    """Return the lines of a text.

    Raises
    ------
    ValueError
        If it is no file, binary, larger than any text of data, or ends within a line
        (unless `complete` is False): programs end every line, and a number that was cut
        short would pass for another.
    """
    size = _size(path)
    if size > _MAX_BYTES:
        raise ValueError(
            f"it is {size} bytes long, more than the {_MAX_BYTES} of any text read here"
        )
    content = path.read_bytes()
    if b"\x00" in content:
        raise ValueError("it is binary, no text")
    if complete and not content.endswith((b"\n", b"\r")):
        raise ValueError("its last line is not complete")
    return _lines(content)


def is_ended(path: Path) -> bool:
    """Tell whether the last line of a text has an end."""
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() in (b"\n", b"\r")


def _size(path: Path) -> int:
    """Return the size of a file; reading a pipe or a device may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is a folder, a pipe or a device, no file")
    return status.st_size


def _lines(content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Instruments write µ, Å and ° in Latin-1, in which every byte is a letter.
        text = content.decode("latin-1")
    # splitlines() would also part a line at the dots that Windows writes as one byte,
    # in a comment.
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def number(word: str) -> float | None:
    """Return the number that a word is.

    None where it is none, or none that a computer holds.

    Examples
    --------
    >>> number(" 1.5e3 "), number("nan"), number("1_000"), number("1,5"), number("1e999")
    (1500.0, nan, None, None, None)
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
    largest: float = 1e100,
) -> np.ndarray:
    """Return all numbers of some lines, in order.

    Parameters
    ----------
    lines : iterable of str
        Words separated by blanks.
    what : str
        What they are, for the error.
    size : int, optional
        How many there are.
    infinite : bool
        Whether ``inf`` may stand in them, as a mark of what was not measured.
    largest : float
        Magnitudes above this are not measurements; their squares overflow.

    Raises
    ------
    ValueError
        If a word is not a number, or is infinite or too large, or there are not `size`
        numbers.
    """
    joined = " ".join(lines)
    words = joined.split()
    try:
        values = np.array(list(map(float, words)))
    except ValueError:
        raise ValueError(f"{what} holds something else than numbers") from None
    if "_" in joined:
        raise ValueError(
            f"{what} holds numbers with underscores, which no instrument writes"
        )
    is_infinite = np.isinf(values)
    words_of_infinity = [
        word
        for word in (words[i] for i in np.flatnonzero(is_infinite))
        if word.lower().lstrip("+-").startswith("inf")
    ]
    if (
        len(words_of_infinity) < is_infinite.sum()
        or (abs(values[~is_infinite]) > largest).any()
    ):
        raise ValueError(f"{what} holds a number too large to be one")
    if words_of_infinity and not infinite:
        raise ValueError(
            f"{what} contains {words_of_infinity[0]!r}, which is not a measured "
            "value; write NaN for missing values"
        )
    if size is not None and values.size != size:
        raise ValueError(f"{what} has {values.size} numbers where {size} are needed")
    return values


def unreadable(path: Path, kind: str, error: Exception) -> FileFormatError:
    """Make the error for a text that cannot be read."""
    return FileFormatError(
        f"{path} cannot be read as {kind}",
        reason=str(error) or type(error).__name__,
        fix="it may be truncated, or of another kind: copy it again, or see what "
        "xbp.open_dataset(path) says",
    )


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
        # Half of a character pair, which an attribute may hold, has no place in UTF-8.
        stream.writelines(f"{line}\n".encode("utf-8", "replace") for line in lines)
