"""How a text is encoded and spelled: UTF-16, decimal commas, remarks after numbers."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "decoded",
    "ends_whole",
    "is_ended",
    "is_wide",
    "with_points",
    "without_remark",
]

#: Marks of the order of bytes, with which UTF-16 begins.
_WIDE = (b"\xff\xfe", b"\xfe\xff")
#: A number whose decimal point, if it has one, is a comma.
_COMMA = re.compile(r"[-+]?\d+(?:,\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
#: One whose comma may part thousands as well.
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)
#: A row of numbers, one of which has a decimal point.
_POINTS = re.compile(r"(?=.*\d\.|.*\.\d)[-+\d.eE,;\s]*\d[-+\d.eE,;\s]*")
#: Digits, decimals and digits of the exponent of a number in a row that is not ended.
#: Where two numbers in fixed columns touch: 1.500E-0022.500E-002, 1.5-2.5.
_TOUCHING = re.compile(
    rb"(?<=[eEdD][-+]\d\d)(?=\d\.)|(?<=[eEdD][-+]\d\d\d)(?=\d\.)|(?<=\d)(?=[-+][\d.])"
)
_DIGITS = re.compile(rb"[-+]?0*(\d*)\.(\d+)(?:[eEdD][-+](\d+))?")
#: A remark after numbers, but no error of a spreadsheet.
_REMARK = re.compile(r"\s+(?:#(?!\w[\w/]*[?!]|N/A)|!|%|//).*")


def decoded(content: bytes) -> str | None:
    r"""Return the text of a file; None if it is binary.

    UTF-8, UTF-16 that begins with the mark of its order of bytes, or else Latin-1, in
    which instruments write µ, Å and °, and in which every byte is a letter.

    Examples
    --------
    >>> decoded("1 µ".encode("utf-16")), decoded(b"1 \xb5"), decoded(b"\x00\x01")
    ('1 µ', '1 µ', None)
    """
    content = content.removesuffix(b"\x1a")  # the end of a file in DOS
    if content.startswith(_WIDE):
        # A part of a file may end within a letter.
        text = content[: len(content) // 2 * 2].decode("utf-16", "replace")
        return None if "\0" in text or "\ufffd" in text[:-1] else text
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def is_wide(start: bytes) -> bool:
    """Return whether a file begins like a text in UTF-16 without its mark.

    Examples
    --------
    >>> is_wide("E(meV)".encode("utf-16-le")), is_wide(b"E(meV)"), is_wide(bytes(8))
    (True, False, False)
    """
    halves = start[: len(start) // 2 * 2][::2], start[1::2]
    letters, none = sorted(halves, key=lambda half: half.count(0))
    plain = bool(letters) and all(
        32 <= byte < 127 or byte in b"\t\r\n" for byte in letters
    )
    return plain and not any(none)


def is_ended(path: Path) -> bool:
    """Return whether the last line of a text has an end."""
    content = path.read_bytes().removesuffix(b"\x1a")
    tail = content[-2:]
    if content.startswith(_WIDE):
        tail = tail.replace(b"\0", b"")
    return tail.endswith((b"\n", b"\r"))


def ends_whole(rows: bytes, *, alone: bool, counted: bool = False) -> bool:
    r"""Return whether the last of some rows of numbers, without a line end, is whole.

    Its last number must have as many decimals as those of the other rows, where these
    all have equally many; otherwise as many digits as most of them, unless the rows are
    all that there is. Where all numbers are `counted`, the last row may be shorter than
    the others.

    Examples
    --------
    >>> ends_whole(b"Cu 1.25\nCu 2.50", alone=False)
    True
    >>> ends_whole(b"Cu 1.25\nCu 2.5", alone=False)
    False
    >>> ends_whole(b"1.25E-0021.50E-002\n1.75E-002", alone=False, counted=True)
    True
    """
    words = [line.split() for line in _TOUCHING.sub(b" ", rows).split(b"\n")]
    last = words.pop()
    alike = [one[-1:] for one in words if one and len(one) == len(last)]
    rest = words if counted else []
    others = [_length(word) for one in alike or rest for word in one]
    if not others:
        return alone
    own, usual = _length(last[-1]), sorted(others)[len(others) // 2]
    if not usual[1]:  # a whole number may be of any length
        return alone
    if len({one[1:] for one in others}) == 1:
        fits = own[1:] == usual[1:]
        if fits or len(others) > 1:
            return fits
    return alone or (own[0] >= usual[0] and own[2] >= max(one[2] for one in others))


def _length(word: bytes) -> tuple[int, int, int]:
    """Return numbers of digits, decimals and digits of the exponent; 0 of integers."""
    found = _DIGITS.fullmatch(word)
    if found is None:
        return 0, 0, 0
    whole, decimals, exponent = (part or b"" for part in found.groups())
    digits = (whole + decimals).lstrip(b"0")
    return len(digits), len(decimals), len(exponent)


def with_points(lines: list[str]) -> list[str]:
    """Return lines with decimal points, where their commas are decimal beyond doubt.

    Rows of two or three numbers are separated by semicolons or blanks, none of the
    numbers has a point, here or in other rows, and not every comma may part thousands.

    Examples
    --------
    >>> with_points(["E; g", "0,5; 12", "1,0; 13,25"])
    ['E; g', '0.5; 12', '1.0; 13.25']
    >>> with_points(["1,000 5", "2,000 6"]), with_points(["1,5", "2,6"])
    (['1,000 5', '2,000 6'], ['1,5', '2,6'])
    """
    if not any("," in line for line in lines):
        return lines
    rows = {i: words for i, line in enumerate(lines) if (words := _words(line))}
    numbers = [word for words in rows.values() for word in words if "," in word]
    if len(rows) < 2 or not numbers or all(map(_THOUSANDS.fullmatch, numbers)):
        return lines
    if any(_POINTS.fullmatch(line.strip()) for line in lines):
        return lines
    return [
        line.replace(",", ".") if i in rows else line for i, line in enumerate(lines)
    ]


def _words(line: str) -> list[str] | None:
    """Return two or three numbers that may have decimal commas."""
    bare = line.translate({0x2212: "-"}).strip(" \t;")
    words = [w.strip() for w in bare.split(";")] if ";" in bare else bare.split()
    if len(words) not in (2, 3) or not all(map(_COMMA.fullmatch, words)):
        return None
    return words


def without_remark(line: str) -> str:
    """Return a line up to a remark after its numbers.

    Examples
    --------
    >>> without_remark("1.0 2.0  # noisy"), without_remark("1.0 #N/A")
    ('1.0 2.0', '1.0 #N/A')
    """
    return _REMARK.sub("", line)
