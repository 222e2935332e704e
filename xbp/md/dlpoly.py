"""DL_POLY's HISTORY: Å, ps and Å/ps, with the time of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xbp.core.guards import require_agreement
from xbp.md.frames import (
    Found,
    Frames,
    Vectors,
    atom_order,
    cell_volume,
    require_finite,
)
from xbp.md.given import Given, named
from xbp.md.source import Lines, Source, index_frames, reading, require_file

__all__ = ["is_history", "open_history"]

#: Keys of the boundaries (imcon) for which the cell vectors span the cell; 6 repeats in
#: two directions.
_CELLS = {1: "111", 2: "111", 3: "111", 6: "110"}


@dataclass(frozen=True)
class _Header:
    step: int
    tstep: float
    time: float | None
    cell: np.ndarray
    #: Numbers of atoms and levels, key of the boundaries: of all frames.
    shape: tuple[int, int, int]


def is_history(head: bytes) -> bool:
    """Return whether a file that begins so is a HISTORY."""
    lines = head.split(b"\n", 3)
    return (
        len(lines) > 2
        and lines[2].lower().startswith(b"timestep ")
        and len(lines[1].split()) in (3, 5)
    )


def open_history(source: Source, given: Given) -> Found:
    """Open a HISTORY of DL_POLY.

    Its lines are: title; levels, boundaries, atoms (and the numbers of frames and
    records); and for each frame ``timestep``, its number, the number of atoms, levels,
    boundaries, the MD step and (from DL_POLY 4 on) the time; three cell vectors; and
    for each atom its name, index, mass and charge, its position, and with levels 1 and
    2 its velocity and its force.

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
    path, lines = source.path, Lines(source)
    lines.next()
    declared = lines.next().split()[3:4]
    table = index_frames(lines, lambda where: _read_header(lines, where))
    require_file(
        source.keep_part or not declared or int(declared[0]) <= len(table),
        path,
        f"it is cut short: it has {len(table)} frames, its header declares "
        f"{declared[0].decode() if declared else ''}",
        fix=f"truncated='drop' opens the {len(table)} frames",
    )
    n_atoms, level, imcon = shape = table[0].head.shape
    for number, frame in enumerate(table):
        require_file(
            frame.head.shape == shape,
            f"{path}, frame {number}",
            f"atoms, levels, imcon are {frame.head.shape}, in the first frame {shape}",
            fix="split the file: all frames must contain the same atoms",
        )
    chosen = given.choose(len(table))
    picked = [table[i].head for i in chosen]
    tsteps = np.array([head.tstep for head in picked])
    timed = all(head.time is not None for head in picked)
    require_file(
        timed or np.ptp(tsteps) <= 1e-6 * tsteps[0],
        path,
        f"it has no times, and its MD time step varies from {tsteps.min():g} to "
        f"{tsteps.max():g} ps",
        fix="use DL_POLY 4, which writes the times",
    )
    own = np.array(
        [head.step * tsteps[0] if head.time is None else head.time for head in picked]
    )
    if (step := given.step()) is not None:
        for tstep in tsteps.tolist():
            require_agreement(
                step, tstep, "timestep", "ps", source=str(path), tolerance=1e-3
            )

    def rows(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return names, numbers, masses, and vectors (n_atoms, 1 + level, 3)."""
        frame, where = table[number], f"{path}, frame {number}"
        text = source.read(frame.begin, frame.end).split(b"\n")
        block = 2 + level
        text = text[: n_atoms * block]
        with reading(where):
            heads = [line.split() for line in text[::block]]
            index = np.array([int(words[1]) for words in heads])
            mass = np.array([float(words[2]) for words in heads])
            vectors = [
                np.array(b" ".join(text[k::block]).split(), dtype=float)
                for k in range(1, block)
            ]
            r = np.stack([v.reshape(n_atoms, 3) for v in vectors], axis=1)
        require_finite(where, r, mass)
        names = [words[0].decode("ascii", "replace") for words in heads]
        return np.array(names, dtype=str), index, mass, r

    names, index, mass, _ = rows(chosen[0])
    order = atom_order(f"{path}, frame {chosen[0]}", names, index)
    identity = (names[order], index[order])

    def read(numbers: range) -> Iterator[Vectors]:
        for number in numbers:
            here, ids, _, r = rows(number)
            r = r[atom_order(f"{path}, frame {number}", here, ids, identity)]
            yield r[:, 0], r[:, 1] if level else None

    # DL_POLY's names carry charges, K+ and Cl-.
    bare = [name.rstrip("+-0123456789") or name for name in identity[0].tolist()]
    element = named(given, identity[0] if given.elements else np.array(bare, dtype=str))
    return Found(
        Frames(chosen, n_atoms, level > 0, read),
        np.stack([head.cell for head in picked]),
        np.array([e.rstrip("+-") for e in element.tolist()], dtype=str),
        mass[order],
        given.times(len(picked), own=own) if step is None else own,
        _CELLS[imcon],
    )


def _read_header(lines: Lines, where: str) -> tuple[int, int, _Header] | None:
    line = lines.first_of_frame()
    if not line:
        return None
    words = line.split()
    require_file(
        words[0].lower() == b"timestep" and len(words) in (6, 7),
        where,
        f"it begins with '{line[:40].decode('ascii', 'replace').strip()}', not with "
        "'timestep' and its numbers",
    )
    step, n_atoms, level, imcon = (int(word) for word in words[1:5])
    tstep = float(words[5])
    time = float(words[6]) if len(words) == 7 else None
    require_file(
        imcon in _CELLS,
        where,
        f"it has the boundaries imcon = {imcon}, without the three cell vectors that "
        "define the wave vectors",
        fix="simulate in a cell (imcon 1, 2, 3) or slab (6)",
    )
    require_file(
        n_atoms > 0 and level in (0, 1, 2) and 0 < tstep < 1e30,
        where,
        f"{n_atoms} atoms, levels {level}, step {tstep:g} ps",
    )
    cell = np.array([lines.next().split() for _ in range(3)], dtype=float)
    cell_volume(cell, where)
    header = _Header(step, tstep, time, cell, (n_atoms, level, imcon))
    return n_atoms * (2 + level), lines.at, header
