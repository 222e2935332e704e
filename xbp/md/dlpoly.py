"""DL_POLY's HISTORY: Å, ps and Å/ps, with the time of every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError
from xbp.md.given import Given, frame_times, named
from xbp.md.lazy import (
    Found,
    LazyFrames,
    cell_volume,
    choose,
    require_finite,
    require_same,
)
from xbp.md.source import Lines, Source, require_modest

__all__ = ["is_history", "open_history"]

#: Keys of the boundaries (imcon) for which the cell vectors span the cell; 6 repeats in
#: two directions.
_CELLS = {1: "111", 2: "111", 3: "111", 6: "110"}


@dataclass(frozen=True)
class _Frame:
    begin: int
    end: int
    step: int
    tstep: float
    time: float | None
    cell: np.ndarray


def is_history(head: bytes) -> bool:
    """Tell by the beginning of a file whether it is a HISTORY."""
    lines = head.split(b"\n", 3)
    return (
        len(lines) > 2
        and lines[2].lower().startswith(b"timestep ")
        and len(lines[1].split()) in (3, 5)
    )


def open_history(source: Source, given: Given, frames: slice | None) -> Found:
    """Open a HISTORY of DL_POLY.

    Its lines are: title; levels, boundaries, atoms; and for each frame ``timestep``,
    its number, the number of atoms, levels, boundaries, the MD step and (from DL_POLY 4
    on) the time; three cell vectors; and for each atom its name, index, mass and
    charge, its position, and with levels 1 and 2 its velocity and its force.

    References
    ----------
    I. T. Todorov, W. Smith et al., DL_POLY 4 user manual, section "The HISTORY file".

    Raises
    ------
    FileFormatError
        If it is damaged, its boundaries are not those of a cell, or the atoms change.
    QuantityError
        If a time that is given contradicts it.
    """
    path = source.path
    table, level, periodic, n_atoms = _index(source)
    chosen = choose(len(table), frames, path)
    picked = [table[i] for i in chosen]
    given.allow(
        "a HISTORY of DL_POLY",
        "elements",
        "masses",
        "timestep",
        "time_between_frames",
        why="in Å, ps and Å/ps",
    )
    time = frame_times(path, len(picked), own=_times(picked), between=given.between)
    if given.step is not None and any(
        abs(given.step - f.tstep) > 1e-3 * f.tstep for f in picked
    ):
        raise QuantityError(
            f"timestep={given.step:g} ps contradicts {path}",
            reason=f"its MD time step is {picked[0].tstep:g} ps",
            fix="leave timestep= out",
        )
    read = _Reader(source, tuple(table), level, n_atoms)
    names, mass, _ = read.atoms(chosen[0])
    read = _Reader(source, tuple(table), level, n_atoms, names)
    # DL_POLY's names carry charges, K+ and Cl-.
    plain = np.array(
        [name.rstrip("+-0123456789") or name for name in names.tolist()], dtype=str
    )
    element = named(
        path, names if given.elements is not None else plain, given.elements
    )
    element = np.array([e.rstrip("+-") for e in element.tolist()], dtype=str)
    cells = np.stack([frame.cell for frame in picked])
    return Found(
        LazyFrames(chosen, n_atoms, level > 0, read),
        cells,
        element,
        mass,
        time,
        periodic,
    )


def _times(picked: list[_Frame]) -> np.ndarray:
    """Return the times, ps.

    Where the file has only steps, they are those times the step, if that is one.
    """
    tsteps = np.array([frame.tstep for frame in picked])
    if all(frame.time is not None for frame in picked):
        return np.array([frame.time for frame in picked], dtype=float)
    if np.ptp(tsteps) > 1e-6 * tsteps[0]:
        raise FileFormatError(
            f"the MD time step varies from {tsteps.min():g} to {tsteps.max():g} ps, "
            "and the file has no times",
            reason="the times of its frames are not known",
            fix="use DL_POLY 4, which writes the times",
        )
    return np.asarray([frame.step for frame in picked], dtype=float) * float(tsteps[0])


def _index(source: Source) -> tuple[list[_Frame], int, str, int]:
    path, lines = source.path, Lines(source)
    lines.skip(2)
    found: list[_Frame] = []
    first: tuple[int, int, int] | None = None
    while True:
        lines.begin_frame()
        line = lines.next()
        if not line.strip():
            if line and not lines.only_blank():
                raise FileFormatError(
                    f"{path}: a blank line follows frame {len(found) - 1}",
                    fix="copy it again",
                )
            break
        where = f"{path}, frame {len(found)}"
        words = line.split()
        try:
            if words[0].lower() != b"timestep" or len(words) not in (6, 7):
                raise ValueError
            step, n_atoms, level, imcon = (int(word) for word in words[1:5])
            tstep = float(words[5])
            time = float(words[6]) if len(words) == 7 else None
        except ValueError:
            raise FileFormatError(
                f"{where} begins with '{line[:40].decode('ascii', 'replace').strip()}'",
                reason="a frame of a HISTORY begins with 'timestep' and its numbers",
                fix="the file is damaged there: copy it again",
            ) from None
        if imcon not in _CELLS:
            raise FileFormatError(
                f"{where} has the boundaries imcon = {imcon}",
                reason="only cells (1, 2, 3) and slabs (6) have three cell vectors, "
                "which define the wave vectors",
                fix="use a simulation in a cell",
            )
        if n_atoms < 1 or level not in (0, 1, 2) or not tstep > 0:
            raise FileFormatError(
                f"{where}: {n_atoms} atoms, levels {level}, step {tstep:g} ps",
                fix="copy it again",
            )
        if first is None:
            first = (n_atoms, level, imcon)
        elif first != (n_atoms, level, imcon):
            raise FileFormatError(
                f"{where} has {n_atoms} atoms, levels {level}, imcon {imcon}",
                reason=f"the first frame has {first[0]}, {first[1]}, {first[2]}",
                fix="split the file: all frames of a trajectory must contain the same "
                "atoms",
            )
        require_modest(source, 8 * n_atoms)
        rows = [lines.next() for _ in range(3)]
        begin = lines.at
        wanted = n_atoms * (2 + level)
        if lines.skip(wanted) < wanted or not (lines.ended or not found):
            if source.keep_part and found:
                break
            raise FileFormatError(
                f"{path} is cut short in frame {len(found)}",
                reason=f"the frame should have {n_atoms} atoms",
                fix=f"truncated='drop' opens the {len(found)} whole frames before it"
                if found
                else "copy it again",
            )
        found.append(_Frame(begin, lines.at, step, tstep, time, _cell(rows, where)))
    if first is None:
        raise FileFormatError(
            f"{path} has no frames", reason="it ends after its header"
        )
    return found, first[1], _CELLS[first[2]], first[0]


def _cell(rows: list[bytes], where: str) -> np.ndarray:
    try:
        cell = np.array([row.split() for row in rows], dtype=float).reshape(3, 3)
    except ValueError:
        cell = np.full((3, 3), np.nan)
    volume = cell_volume(cell)
    if not volume > 0:
        raise FileFormatError(
            f"{where}: the cell has a volume of {volume:g}",
            reason="the three cell vectors must span a positive volume",
            fix="the file is damaged there: copy it again",
        )
    return cell


@dataclass(frozen=True)
class _Reader:
    source: Source
    frames: tuple[_Frame, ...]
    level: int
    n_atoms: int
    names: np.ndarray | None = None

    def atoms(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return names, masses and vectors (n_atoms, 1 + level, 3) of a frame, sorted by the atoms' numbers."""
        frame, where = self.frames[number], f"{self.source.path}, frame {number}"
        lines = self.source.read(frame.begin, frame.end).split(b"\n")
        rows = 2 + self.level
        heads = [line.split() for line in lines[: self.n_atoms * rows : rows]]
        try:
            index = np.array([int(words[1]) for words in heads])
            mass = np.array([float(words[2]) for words in heads])
            vectors = np.stack(
                [
                    np.array(
                        b" ".join(lines[k : self.n_atoms * rows : rows]).split(),
                        dtype=float,
                    ).reshape(-1, 3)
                    for k in range(1, rows)
                ],
                axis=1,
            )
            if len(vectors) != self.n_atoms:
                raise ValueError(f"{len(vectors)} of {self.n_atoms} atoms")
        except (ValueError, IndexError) as error:
            raise FileFormatError(
                f"{where} (step {frame.step}) cannot be read",
                reason=str(error),
                fix="copy the file again",
            ) from None
        require_finite(vectors, where)
        require_finite(mass, where)
        order = np.argsort(index, kind="stable")
        if np.unique(index).size != self.n_atoms:
            raise FileFormatError(
                f"{where}: several atoms have the same number",
                reason="atom numbers must be unique",
            )
        names = np.array(
            [words[0].decode("ascii", "replace") for words in heads], dtype=str
        )
        return names[order], mass[order], vectors[order]

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        position = np.empty((len(numbers), self.n_atoms, 3))
        velocity = np.empty_like(position) if self.level > 0 else None
        for place, number in enumerate(numbers):
            names, _, vectors = self.atoms(number)
            if self.names is not None:
                require_same(names, self.names, f"{self.source.path}, frame {number}")
            position[place] = vectors[:, 0]
            if velocity is not None:
                velocity[place] = vectors[:, 1]
        return position, velocity
