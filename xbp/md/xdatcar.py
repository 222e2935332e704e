"""VASP's XDATCAR: fractional positions, with or without headers before every frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError
from xbp.md.frames import Found, Frames, Vectors, cell_volume, require_finite
from xbp.md.given import Given, named
from xbp.md.source import Lines, Source, index_frames, reading, require_file

__all__ = ["is_xdatcar", "open_xdatcar"]

_TITLE = re.compile(
    rb"\s*(direct|cartesian)?\s*(configuration|konfig)\s*=", re.IGNORECASE
)
#: The number in a title; VASP writes asterisks where it has too many digits.
_NUMBER = re.compile(rb"\s*([-+]?\d{1,15})\s*$")


@dataclass(frozen=True)
class _Header:
    """Title, scale, cell, names (from VASP 5 on) and numbers of atoms."""

    cell: np.ndarray
    scale: float
    names: tuple[str, ...]
    counts: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class _Frame:
    """The cell, the factor to Å of Cartesian positions, and the number in the title."""

    cell: np.ndarray
    factor: float | None
    mark: int | None


def is_xdatcar(head: bytes) -> bool:
    """Return whether a file begins with a cell, numbers of atoms, and a title."""
    lines = head.split(b"\n")
    try:
        with reading("XDATCAR"):
            after = lines[_header(lines, "XDATCAR").size : -1][0]
    except FileFormatError:
        return False
    return not after.strip() or _TITLE.match(after) is not None


def open_xdatcar(source: Source, given: Given) -> Found:
    """Open an XDATCAR. It has no time and no velocities.

    Raises
    ------
    FileFormatError
        If it is damaged or cut short, or the atoms change.
    UnitsError
        If the time between frames is not given.
    QuantityError
        If the numbers in the titles of the frames are not equally spaced.
    """
    path, lines = source.path, Lines(source)
    with reading(path):
        first = _header([lines.next() for _ in range(7)], str(path))
    if first.size == 6:
        lines = Lines(source)
        lines.skip(6)
    n_atoms = sum(first.counts)
    now = first

    def begin(where: str) -> tuple[int, int, _Frame] | None:
        """Read a title, a blank line or a header of its own before a frame."""
        nonlocal now
        blank, at = False, lines.at
        lines.begin_frame()
        while line := lines.next():
            words, title = line.split(), _TITLE.match(line)
            if title is not None:
                cartesian = (title[1] or b"").lower() == b"cartesian"
                number = _NUMBER.match(line, title.end())
                mark = None if number is None else int(number[1])
                frame = _Frame(now.cell, now.scale if cartesian else None, mark)
                return n_atoms, lines.at, frame
            if blank and _numbers(words) == 3:
                return n_atoms - 1, at, _Frame(now.cell, None, None)
            if words:
                # VASP repeats the header where the cell changes; its first line, a
                # title, may be blank.
                head = [b"", line] if blank and _numbers(words) == 1 else [line]
                head += [lines.next() for _ in range(first.size - len(head))]
                now = _header(head, where)
                require_file(
                    (now.names, now.counts) == (first.names, first.counts),
                    where,
                    f"it has {now.counts} atoms of {now.names}, the first frame "
                    f"{first.counts} of {first.names}",
                )
            blank, at = not words, lines.at
        return None

    table = index_frames(lines, begin)
    chosen = given.choose(len(table))
    picked = [table[i].head for i in chosen]
    if given.between is not None:
        _require_equal_spacing(path, [frame.mark for frame in picked])

    def read(numbers: range) -> Iterator[Vectors]:
        for number in numbers:
            frame, where = table[number], f"{path}, frame {number}"
            with reading(where):
                words = source.read(frame.begin, frame.end).split()
                r = np.array(words, dtype=float).reshape(n_atoms, 3)
            require_finite(where, r)
            factor = frame.head.factor
            yield r @ frame.head.cell if factor is None else r * factor, None

    return Found(
        Frames(chosen, n_atoms, False, read),
        np.stack([frame.cell for frame in picked]),
        named(given, np.repeat(first.names, first.counts)),
        None,
        given.times(len(chosen)),
        "111",
    )


def _require_equal_spacing(path: Path, marks: list[int | None]) -> None:
    """Refuse frames whose numbers, where written, are not equally spaced."""
    known = [(place, mark) for place, mark in enumerate(marks) if mark is not None]
    places, numbers = np.array(known, dtype=float).reshape(-1, 2).T
    hops = np.diff(numbers) / np.diff(places)
    wrong = (hops <= 0) | (hops != hops[:1])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise QuantityError(
            f"time_between_frames= contradicts {path}: frame {numbers[at + 1]:.0f} "
            f"follows frame {numbers[at]:.0f}",
            fix="open an equally spaced part of it with frames=slice(...), or split "
            "the file",
        )


def _header(lines: list[bytes], where: str) -> _Header:
    """Read the header that begins with these lines."""
    (scale,) = (float(word) for word in lines[1].split())
    cell = np.array([line.split() for line in lines[2:5]], dtype=float)
    words = lines[5].decode("ascii").split()
    have_names = bool(words) and not all(word.isdigit() for word in words)
    counts = tuple(int(word) for word in lines[6 if have_names else 5].split())
    names = (
        tuple(word.split("_")[0].split("/")[0] for word in words)
        if have_names
        else tuple(map(str, range(1, 1 + len(counts))))
    )
    volume = cell_volume(cell, where)
    require_file(0 < abs(scale) < 1e30, where, f"the scale is {scale:g}")
    require_file(
        len(counts) == len(names) > 0 < min(counts) and sum(counts) < 10**12,
        where,
        f"it has {counts} atoms of {names}",
    )
    # A negative scale is the volume.
    factor = scale if scale > 0 else (-scale / volume) ** (1 / 3)
    return _Header(cell * factor, factor, names, counts, 7 if have_names else 6)


def _numbers(words: list[bytes]) -> int:
    """Return how many numbers a line has, 0 if it has anything else."""
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0
