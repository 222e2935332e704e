"""LAMMPS text dumps: an index of their frames, and frames as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xbp.core.errors import FileFormatError
from xbp.md.dump_header import (
    INCOMPLETE,
    MAX_HEADER,
    Header,
    HeaderError,
    first_item,
    read_header,
)
from xbp.md.lazy import read_columns
from xbp.md.source import BLOCK, Source, require_modest

__all__ = ["DumpIndex", "Frame", "index_dump", "read_frames"]


@dataclass(frozen=True)
class Frame:
    """Where one frame stands in the file, and what its header says.

    Attributes
    ----------
    step : int
        MD step.
    time : float or None
        Where the dump writes it.
    cell, origin : numpy.ndarray, shapes (3, 3) and (3,)
        Rows are the cell vectors, in the dump's units of length.
    begin, end : int
        Bytes of its atoms.
    periodic : str or None
        One digit for each cell vector, "1" where it repeats and "0" where not; None
        where the dump does not say.
    """

    step: int
    time: float | None
    cell: np.ndarray
    origin: np.ndarray
    begin: int
    end: int
    periodic: str | None = None


@dataclass(frozen=True)
class DumpIndex:
    """The frames of a dump, which all have the same atoms and columns.

    Attributes
    ----------
    source : Source
    frames : tuple of Frame
    columns : tuple of str
    n_atoms : int
    units : str or None
        LAMMPS's units, where the dump writes them.
    """

    source: Source
    frames: tuple[Frame, ...]
    columns: tuple[str, ...]
    n_atoms: int
    units: str | None

    @property
    def path(self) -> Path:
        """The user's file."""
        return self.source.path

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Columns the positions are read from: unwrapped ones where there are any."""
        for style in (
            ("xu", "yu", "zu"),
            ("xsu", "ysu", "zsu"),
            ("x", "y", "z"),
            ("xs", "ys", "zs"),
        ):
            if set(style) <= set(self.columns):
                return style
        raise FileFormatError(
            f"{self.path} has the columns {' '.join(self.columns)}",
            reason="positions are x y z, xu yu zu, xs ys zs or xsu ysu zsu",
            fix="dump them: dump ... custom ... id type xu yu zu vx vy vz",
        )

    @property
    def has_velocity(self) -> bool:
        """Whether velocities are written."""
        return {"vx", "vy", "vz"} <= set(self.columns)


def index_dump(
    source: Source, *, drop_truncated: bool, expansion: float = 50.0
) -> DumpIndex:
    """Find the frames of a dump and read their headers, in one pass that keeps nothing else of it.

    Parameters
    ----------
    source : Source
    drop_truncated : bool
        Leave out a last frame that is cut short.
    expansion : float
        How much larger than its compressed file a single frame may be: text of atoms
        shrinks 2 to 20 times.

    Raises
    ------
    FileFormatError
        If it is no dump, its last frame is cut short (and not to be dropped), the
        number of atoms or the columns change, steps repeat, or a frame holds more than
        its header says.
    """
    path = source.path
    head = source.read(0, MAX_HEADER)
    if not head.strip():
        raise FileFormatError(
            f"{path} is empty",
            reason="a dump begins with ITEM: TIMESTEP",
            fix="look at the path",
        )
    marker = first_item(head)
    if marker is None:
        raise FileFormatError(
            f"{path} is not a LAMMPS text dump",
            reason="it does not begin with ITEM: TIMESTEP",
            fix="name another file",
        )
    frames: list[Frame] = []
    first: Header | None = None
    # What stands before the first marker, such as the units, belongs to the first
    # frame.
    now = _Begun.at(0, head)
    needle, tail, base, marked = b"\n" + marker, b"", 0, head.find(marker)
    for block in source.blocks():
        data = tail + block
        counted, at = len(tail), 0
        while (at := data.find(needle, at) + 1) > 0:
            start = base + at
            if start <= marked:
                continue
            now.grow(source, data[counted:at], expansion)
            first = first or now.header
            frames.append(now.frame(path, start, first, frames))
            text = data[at : at + MAX_HEADER]
            now = _Begun.at(
                start,
                text
                if len(text) == MAX_HEADER
                else source.read(start, start + MAX_HEADER),
            )
            counted = max(counted, at)
        now.grow(source, data[counted:], expansion)
        tail = data[-len(marker) :]
        base += len(data) - len(tail)
    end = base + len(tail)
    truncated = now.cut_short(source, end, alone=not frames)
    if truncated is None:
        frames.append(now.frame(path, end, first or now.header, frames))
    elif not drop_truncated or not frames:
        raise FileFormatError(
            f"{path} is cut short: {truncated}",
            reason="the simulation stopped while writing, or the copy is incomplete",
            fix=f"truncated='drop' opens the {len(frames)} whole frames before it"
            if frames
            else "copy it again; there is no whole frame in it",
        )
    first = first or now.header
    assert first is not None
    return DumpIndex(source, tuple(frames), first.columns, first.n_atoms, first.units)


@dataclass
class _Begun:
    """A frame whose end is not found yet."""

    start: int
    header: Header | None
    problem: str
    lines: int = 0
    size: int = 0

    @classmethod
    def at(cls, start: int, text: bytes) -> _Begun:
        try:
            return cls(start, read_header(text), "")
        except HeaderError as error:
            return cls(start, None, str(error))

    def grow(self, source: Source, text: bytes, expansion: float) -> None:
        """Count what belongs to the frame, and stop where it is more than can be."""
        self.lines += text.count(b"\n")
        self.size += len(text)
        least = (
            0
            if self.header is None
            else self.header.n_atoms * 2 * max(1, len(self.header.columns))
        )
        require_modest(source, max(self.size, least), expansion)
        whole = len(text) >= BLOCK
        if whole and b"\n" not in text:
            wrong = f"{len(text)} bytes without a line end"
        elif (
            whole
            and self.header is not None
            and self.lines > self.header.n_atoms + MAX_HEADER
        ):
            wrong = (
                f"{self.lines} lines, but its header gives {self.header.n_atoms} atoms"
            )
        else:
            return
        raise FileFormatError(
            f"{source.path}: the frame at byte {self.start} has {wrong}",
            reason="it is damaged",
            fix="copy it again",
        )

    def frame(
        self, path: Path, end: int, first: Header | None, before: list[Frame]
    ) -> Frame:
        """Return the frame, now that its end is known, or say why it does not follow the others."""
        header, number = self.header, len(before)
        # An atom takes two bytes for each column at least: what the header claims must
        # be there.
        if (
            header is not None
            and header.n_atoms * 2 * max(1, len(header.columns)) > end - self.start + 1
        ):
            self.problem = (
                f"it declares {header.n_atoms} atoms in {end - self.start} bytes"
            )
            header = None
        if header is None or first is None:
            raise FileFormatError(
                f"{path}, frame {number}: {self.problem}",
                reason="the header is damaged",
                fix="copy the file again",
            )
        if (first.n_atoms, first.columns) != (header.n_atoms, header.columns):
            what = (
                f"{header.n_atoms} atoms, the first frame has {first.n_atoms}"
                if header.n_atoms != first.n_atoms
                else f"the columns {' '.join(header.columns)}, the first frame has "
                f"{' '.join(first.columns)}"
            )
            raise FileFormatError(
                f"{path}, frame {number} (step {header.step}) has {what}",
                reason="all frames of a trajectory must contain the same atoms",
                fix="dump a fixed group of atoms; if atoms were lost, the simulation "
                "failed",
            )
        if header.periodic != first.periodic:
            raise FileFormatError(
                f"{path}, frame {number} (step {header.step}): periodic "
                f"{header.periodic}, at first {first.periodic}",
                reason="the allowed wave vectors must be the same in all frames",
                fix="split the file there",
            )
        if before and header.step <= before[-1].step:
            raise FileFormatError(
                f"{path}: step {header.step} (frame {number}) follows step "
                f"{before[-1].step}",
                reason="the dump overlaps itself, as after a restart that appended to "
                "it, or contains two runs",
                fix=f"open one part of it: frames=slice(0, {number}), or split the "
                "file",
            )
        begin = self.start + header.size
        return Frame(
            header.step,
            header.time,
            header.cell,
            header.origin,
            begin,
            end,
            header.periodic,
        )

    def cut_short(self, source: Source, end: int, *, alone: bool) -> str | None:
        """Say what is missing of the last frame, if anything is."""
        header = self.header
        if header is None:
            if self.problem != INCOMPLETE:
                raise FileFormatError(
                    f"{source.path}: the last frame cannot be read",
                    reason=self.problem,
                    fix="copy the file again",
                )
            return f"the header of its last frame: {self.problem}"
        if header.n_atoms * 2 * max(1, len(header.columns)) > end - self.start + 1:
            return (
                f"the header of its last frame: it declares {header.n_atoms} "
                f"atoms in {end - self.start} bytes"
            )
        text = source.read(self.start + header.size, end)
        whole = text.rstrip()
        lines = whole.count(b"\n") + bool(whole)
        last = whole[whole.rfind(b"\n") + 1 :]
        if lines < header.n_atoms or len(last.split()) < len(header.columns):
            return f"its last frame has {lines} of {header.n_atoms} atoms"
        # A number may be cut short: every other frame ends its last line.
        return (
            None
            if alone or b"\n" in text[len(whole) :]
            else "its last line is incomplete"
        )


def read_table(index: DumpIndex, number: int, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of one frame, sorted by id.

    Raises
    ------
    FileFormatError
        If atoms are missing or twice there, or a word stands where a number should.
    """
    frame = index.frames[number]
    text = index.source.read(frame.begin, frame.end)
    kinds = {
        name: str if name == "element" else "int64" if name in ("id", "type") else float
        for name in columns
    }
    where = f"{index.path}, frame {number} (step {frame.step})"
    by_place = {index.columns.index(name): kind for name, kind in kinds.items()}
    found = read_columns(text, len(index.columns), by_place, index.n_atoms, where)
    table = pd.DataFrame({name: found[index.columns.index(name)] for name in columns})
    if "id" not in index.columns:
        raise FileFormatError(
            f"{where} has no column id",
            reason="LAMMPS writes atoms in any order",
            fix="dump it: dump ... custom ... id ...",
        )
    order = np.argsort(table["id"].to_numpy(), kind="stable")
    return table.iloc[order]


def read_frames(
    index: DumpIndex,
    numbers: range,
    ids: np.ndarray,
    kinds: np.ndarray,
    length: float,
    speed: float,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read positions (from the cell's origin, unwrapped where images tell) and velocities of some frames.

    Parameters
    ----------
    index : DumpIndex
    numbers : range
        Frames.
    ids, kinds : numpy.ndarray, shape (n_atoms,)
        What identifies the atoms: it is the same in every frame.
    length, speed : float
        Factors to Å and Å/ps.

    Returns
    -------
    position, velocity : numpy.ndarray, shape (n_frames, n_atoms, 3), or None
    """
    coordinates = list(index.coordinates)
    images = [c for c in ("ix", "iy", "iz") if c in index.columns]
    images = images if len(images) == 3 and not coordinates[0].endswith("u") else []
    velocities = ["vx", "vy", "vz"] if index.has_velocity else []
    kind = (
        ["element"]
        if "element" in index.columns
        else ["type"]
        if "type" in index.columns
        else []
    )
    position = np.empty((len(numbers), index.n_atoms, 3))
    velocity = np.empty_like(position) if velocities else None
    for place, number in enumerate(numbers):
        table = read_table(
            index, number, ["id", *kind, *coordinates, *images, *velocities]
        )
        frame = index.frames[number]
        found = table["id"].to_numpy()
        if not np.array_equal(found, ids):
            _, times = np.unique(found, return_counts=True)
            odd = (
                found[~np.isin(found, ids)]
                if (times == 1).all()
                else np.unique(found)[times > 1]
            )
            raise FileFormatError(
                f"{index.path}, frame {number} (step {frame.step}) holds other atoms: "
                f"id {odd[0]} is new or doubled",
                reason="all frames of a trajectory must contain the same atoms",
                fix="dump a fixed group of atoms",
            )
        if kind and not np.array_equal(table[kind[0]].to_numpy(), kinds):
            raise FileFormatError(
                f"{index.path}, frame {number} (step {frame.step}): atoms changed "
                f"their {kind[0]}",
                reason="weights are given once for all frames",
                fix="simulations that swap or react need another analysis",
            )
        r = table[coordinates].to_numpy()
        r = r @ frame.cell if "s" in coordinates[0] else r - frame.origin
        if images:
            r = r + table[images].to_numpy() @ frame.cell
        position[place] = r * length
        if velocity is not None:
            velocity[place] = table[velocities].to_numpy() * speed
    return position, velocity
