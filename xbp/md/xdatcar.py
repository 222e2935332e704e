"""VASP's XDATCAR: fractional positions, with or without a header and a title before every frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError
from xbp.md.given import Given, frame_times, named
from xbp.md.lazy import Found, LazyFrames, cell_volume, choose, require_finite
from xbp.md.source import Lines, Source, require_modest

__all__ = ["is_xdatcar", "open_xdatcar"]

_TITLE = re.compile(
    rb"\s*(direct|cartesian)?\s*(configuration|konfig)\s*=", re.IGNORECASE
)
#: The number in a title; VASP writes asterisks where it has too many digits.
_NUMBER = re.compile(rb"\s*([-+]?\d{1,15})\s*$")


@dataclass(frozen=True)
class _Header:
    cell: np.ndarray
    scale: float
    names: tuple[str, ...]
    counts: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class _Frame:
    begin: int
    end: int
    cell: np.ndarray
    factor: float | None
    mark: int | None


def is_xdatcar(head: bytes) -> bool:
    """Tell by the beginning of a file whether it is an XDATCAR.

    a cell, numbers of atoms, and a title or nothing.
    """
    lines = head.split(b"\n")
    try:
        header = _header(lines, "")
    except (FileFormatError, IndexError):
        return False
    after = lines[header.size] if header.size < len(lines) - 1 else b"?"
    return not after.strip() or _TITLE.match(after) is not None


def open_xdatcar(source: Source, given: Given, frames: slice | None) -> Found:
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
    path = source.path
    header, table = _index(source)
    chosen = choose(len(table), frames, path)
    why = "in Å, whose frame numbers are not MD steps"
    given.allow(
        "an XDATCAR of VASP", "elements", "masses", "time_between_frames", why=why
    )
    if given.between is not None:
        _require_equal_spacing(path, [table[i].mark for i in chosen])
    time = frame_times(
        path,
        len(chosen),
        between=given.between,
        ask="time_between_frames='2 fs', VASP's POTIM times NBLOCK",
    )
    n_atoms = sum(header.counts)
    element = named(path, np.repeat(header.names, header.counts), given.elements)
    cells = np.stack([table[i].cell for i in chosen])
    return Found(
        LazyFrames(chosen, n_atoms, False, _Reader(source, tuple(table), n_atoms)),
        cells,
        element,
        None,
        time,
        "111",
    )


def _require_equal_spacing(path: Path, marks: list[int | None]) -> None:
    """Refuse frames whose numbers, where they are written, do not increase by the same from frame to frame."""
    places = np.array(
        [place for place, mark in enumerate(marks) if mark is not None], dtype=float
    )
    known = np.array([mark for mark in marks if mark is not None], dtype=float)
    hops = np.diff(known) / np.diff(places)
    wrong = (hops <= 0) | (hops != hops[:1])
    if wrong.any():
        at = int(np.argmax(wrong))
        raise QuantityError(
            f"time_between_frames= contradicts {path}: frame {known[at + 1]:.0f} "
            f"follows frame {known[at]:.0f}",
            reason="its titles number the frames, and the numbers must increase by "
            "the same from frame to frame",
            fix="open an equally spaced part of it with frames=slice(...), or split "
            "the file",
        )


def _header(lines: list[bytes], where: str) -> _Header:
    """Read title, scale, cell, names (of VASP 5) and numbers of atoms."""
    damaged = f"{where}: the header cannot be read"
    try:
        scale = [float(word) for word in lines[1].split()]
        cell = np.array([line.split() for line in lines[2:5]], dtype=float).reshape(
            3, 3
        )
        words = lines[5].decode("ascii").split()
        named_ = bool(words) and not all(word.isdigit() for word in words)
        counts = tuple(int(word) for word in lines[6 if named_ else 5].split())
    except (ValueError, UnicodeDecodeError) as error:
        raise FileFormatError(damaged, reason=str(error), fix="copy it again") from None
    names = (
        tuple(word.split("_")[0].split("/")[0] for word in words)
        if named_
        else tuple(map(str, range(1, 1 + len(counts))))
    )
    volume = cell_volume(cell)
    if len(scale) != 1 or not 0 < abs(scale[0]) < 1e30 or not volume > 0:
        raise FileFormatError(
            damaged, reason=f"scale {scale}, volume {volume:g}", fix="copy it again"
        )
    if (
        not counts
        or len(counts) != len(names)
        or min(counts) < 1
        or sum(counts) > 10**12
    ):
        raise FileFormatError(
            damaged, reason=f"{counts} atoms of {names}", fix="copy it again"
        )
    # A negative scale is the volume.
    factor = scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3)
    return _Header(cell * factor, factor, names, counts, 7 if named_ else 6)


def _index(source: Source) -> tuple[_Header, list[_Frame]]:
    """Find the frames; each may have a title, a blank line or a header of its own before it."""
    path, lines = source.path, Lines(source)
    first = header = _header([lines.next() for _ in range(7)], str(path))
    if header.size == 6:
        lines = Lines(source)
        lines.skip(6)
    n_atoms = sum(header.counts)
    require_modest(source, 6 * n_atoms)
    found: list[_Frame] = []
    blank = False
    while True:
        lines.begin_frame()
        at, where = lines.at, f"{path}, frame {len(found)}"
        line = lines.next()
        words = line.split()
        title = _TITLE.match(line)
        if not line:
            break
        if not words:
            blank = True
            continue
        rest = n_atoms
        factor: float | None = None
        mark: int | None = None
        if title is not None:
            factor = header.scale if (title[1] or b"").lower() == b"cartesian" else None
            number = _NUMBER.match(line, title.end())
            mark = None if number is None else int(number[1])
            at = lines.at
        elif blank and _numbers(words) == 3:
            rest -= 1
        else:
            # VASP repeats the header where the cell changes; its first line, a title,
            # may be blank.
            head = [b"", line] if blank and _numbers(words) == 1 else [line]
            head += [lines.next() for _ in range(first.size - len(head))]
            header = _header(head, where)
            if (header.names, header.counts) != (first.names, first.counts):
                raise FileFormatError(
                    f"{where} has {header.counts} atoms of {header.names}, frame 0 "
                    f"has {first.counts} of {first.names}",
                    reason="all frames of a trajectory must contain the same atoms",
                )
            blank = False
            continue
        blank = False
        if lines.skip(rest) < rest or not (lines.ended or not found):
            if source.keep_part and found:
                break
            raise FileFormatError(
                f"{path} is cut short in frame {len(found)}",
                reason=f"the frame should have {n_atoms} atoms",
                fix=f"truncated='drop' opens the {len(found)} whole frames before it"
                if found
                else "copy it again",
            )
        found.append(_Frame(at, lines.at, header.cell, factor, mark))
    if not found:
        raise FileFormatError(
            f"{path} has no frames", reason="it ends after its header"
        )
    return first, found


def _numbers(words: list[bytes]) -> int:
    """Return how many numbers a line has, 0 if it has anything else."""
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0


@dataclass(frozen=True)
class _Reader:
    source: Source
    frames: tuple[_Frame, ...]
    n_atoms: int

    def __call__(self, numbers: range) -> tuple[np.ndarray, None]:
        position = np.empty((len(numbers), self.n_atoms, 3))
        for place, number in enumerate(numbers):
            frame = self.frames[number]
            text = self.source.read(frame.begin, frame.end)
            try:
                values = np.array(text.split(), dtype=float).reshape(self.n_atoms, 3)
            except ValueError as error:
                raise FileFormatError(
                    f"{self.source.path}, frame {number} cannot be read",
                    reason=str(error),
                    fix="copy the file again",
                ) from None
            require_finite(values, f"{self.source.path}, frame {number}")
            position[place] = (
                values @ frame.cell if frame.factor is None else values * frame.factor
            )
        return position, None
