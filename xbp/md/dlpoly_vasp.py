"""DL_POLY's HISTORY and VASP's XDATCAR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.guards import require_agreement
from xbp.md.found import Found, cell_volume
from xbp.md.frames import Frames, Rows, matrix
from xbp.md.given import Given, named
from xbp.md.source import (
    Header,
    Lines,
    Source,
    index_frames,
    reading,
    require_file,
)

__all__ = ["is_history", "is_xdatcar", "open_history", "open_xdatcar"]

#: Keys of the boundaries (imcon) for which the cell vectors span the cell, if there are
#: any; 6 repeats in two directions, 0 in none.
_CELLS: Final = {0: "000", 1: "111", 2: "111", 3: "111", 6: "110"}


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
    boundaries, the MD step and (from DL_POLY 4 on) the time; three cell vectors, which
    without boundaries may be missing; and for each atom its name, index, mass and
    charge, its position, and with levels 1 and 2 its velocity and its force. All is in
    Å, ps and Å/ps.

    References
    ----------
    I. T. Todorov, W. Smith et al., DL_POLY 4 user manual, section "The HISTORY file".

    Raises
    ------
    FileFormatError
        If it is damaged, its boundaries are not those of a cell, or the atoms change.
    QuantityError
        If a cell or time that is given contradicts it, or it has no cell.
    """
    path, lines = source.path, Lines(source)
    lines.next()
    declared = lines.next().split()[3:4] or [b"0"]
    table = index_frames(lines, lambda where: _history_header(lines, where))
    require_file(
        source.keep_part or int(declared[0]) <= len(table),
        path,
        f"it is cut short: it has {len(table)} frames, its header declares "
        f"{int(declared[0])}",
        fix=f"truncated='drop' opens the {len(table)} frames",
    )
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    tsteps = np.array([head.info["tstep"] for head in picked])
    require_file(
        all(head.time is not None for head in picked)
        or np.ptp(tsteps) <= 1e-6 * tsteps[0],
        path,
        f"it has no times, and its MD step varies from {tsteps.min():g} to "
        f"{tsteps.max():g} ps",
        fix="use DL_POLY 4, which writes the times",
    )
    counted = np.array([head.step or 0 for head in picked]) * tsteps[0]
    timed = [head.time for head in picked if head.time is not None]
    if len(timed) == len(picked) and np.ptp(tsteps) == 0:
        off = np.abs(np.diff(timed) - np.diff(counted))
        require_file(
            bool((off <= 1e-3 * np.diff(counted) + 1e-6).all()),
            path,
            f"its times contradict its steps of {tsteps[0]:g} ps",
        )
    own = [(h.step or 0) * tsteps[0] if h.time is None else h.time for h in picked]
    step = given.step()
    for tstep in tsteps.tolist() if step is not None else ():
        require_agreement(
            step or 0, tstep, "timestep", "ps", source=str(path), tolerance=1e-3
        )
    ((n_atoms, level, imcon),) = table[0].shared.values()

    def rows(numbers: range) -> Iterator[Rows]:
        for number in numbers:
            text = source.read(table[number].begin, table[number].end).split(b"\n")
            text = text[: n_atoms * (2 + level)]
            heads = np.array([line.split()[:3] for line in text[:: 2 + level]]).T
            r, v = (
                np.array(b" ".join(text[k :: 2 + level]).split(), dtype=float)
                for k in (1, 2 if level else 1)
            )
            yield Rows(
                np.char.decode(heads[0], "ascii", "replace"),
                heads[1].astype("int64"),
                r.reshape(n_atoms, 3),
                v.reshape(n_atoms, 3) if level else None,
                heads[2].astype(float),
            )

    frames = Frames(path, chosen, rows)
    # DL_POLY's names carry charges, K+ and Cl-.
    names = frames.first.names
    bare = [name.rstrip("+-0123456789") or name for name in names.tolist()]
    element = named(given, names if given.elements else np.array(bare, dtype=str))
    times = np.array(own, dtype=float)
    return Found(
        frames,
        given.cells(np.stack([head.cell for head in picked])),
        np.array([e.rstrip("+-") for e in element.tolist()], dtype=str),
        frames.first.mass,
        given.times(len(picked), own=times) if step is None else times,
        _CELLS[imcon],
    )


def _history_header(lines: Lines, where: str) -> Header | None:
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
    require_file(
        imcon in _CELLS,
        where,
        f"its cell (imcon = {imcon}) is not spanned by three vectors",
        fix="simulate in a cell (imcon 1, 2, 3) or slab (6)",
    )
    require_file(
        n_atoms > 0 and level in (0, 1, 2) and 0 < tstep < 1e30,
        where,
        f"{n_atoms} atoms, keytrj {level} and steps of {tstep:g} ps are not possible",
    )
    shared = {"atoms, levels, imcon": (n_atoms, level, imcon)}
    time = float(words[6]) if len(words) == 7 else None
    rows, begin, row = n_atoms * (2 + level), lines.at, lines.next().split()
    cell = np.zeros((3, 3))
    if imcon == 0 and len(row) > 3:  # an atom: its name, index, mass and charge
        rows -= 1
    else:
        vectors = [row, *(lines.next().split() for _ in range(2))]
        there = all(_count_numbers(vector) == 3 for vector in vectors)
        problem = f"its header (imcon = {imcon}) declares a cell, which is not there"
        require_file(there, where, problem, fix="write the cell, or imcon 0 and cell=")
        cell = matrix(vectors, "its cell", 3)
        begin = lines.at
        if imcon:
            cell_volume(cell, where)
    info = {"tstep": tstep}
    return Header(rows, cell, shared, step, time, info=info, begin=begin)


_TITLE: Final = re.compile(
    rb"\s*(direct|cartesian)?\s*(configuration|konfig)\s*=", re.IGNORECASE
)
#: The number in a title; VASP writes asterisks where it has too many digits.
_NUMBER: Final = re.compile(rb"\s*([-+]?\d{1,15})\s*$")


def is_xdatcar(head: bytes) -> bool:
    """Return whether a file begins with a cell, numbers of atoms, and a title."""
    lines = head.split(b"\n")
    try:
        with reading("XDATCAR"):
            after = lines[_xdatcar_header(lines, "XDATCAR").n_rows : -1][0]
    except FileFormatError:
        return False
    return not after.strip() or _TITLE.match(after) is not None


def open_xdatcar(source: Source, given: Given) -> Found:
    """Open an XDATCAR. It has no time and no velocities.

    Positions are fractional; frames may have headers before them.

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
        now = _xdatcar_header([lines.next() for _ in range(7)], str(path))
    size = now.n_rows
    if size == 6:
        lines = Lines(source)
        lines.skip(6)
    names, counts = now.shared["atoms"]
    n_atoms = sum(counts)

    def begin(where: str) -> Header | None:
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
                info = {"factor": now.info["factor"] if cartesian else None}
                return Header(n_atoms, now.cell, now.shared, mark, info=info)
            if blank and _count_numbers(words) == 3:
                info = {"factor": None}
                return Header(n_atoms - 1, now.cell, now.shared, info=info, begin=at)
            if words:
                # VASP repeats the header where the cell changes; its first line, a
                # title, may be blank.
                head = [b"", line] if blank and _count_numbers(words) == 1 else [line]
                head += [lines.next() for _ in range(size - len(head))]
                now = _xdatcar_header(head, where)
            blank, at = not words, lines.at
        return None

    table = index_frames(lines, begin)
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    if given.between is not None:
        _require_equal_spacing(path, [head.step for head in picked])

    def rows(numbers: range) -> Iterator[Rows]:
        species = np.repeat(names, counts)
        for number in numbers:
            head = table[number]
            words = source.read(head.begin, head.end).split()
            r = np.array(words, dtype=float).reshape(n_atoms, 3)
            factor = head.info["factor"]
            yield Rows(species, None, r @ head.cell if factor is None else r * factor)

    return Found(
        Frames(path, chosen, rows),
        np.stack([head.cell for head in picked]),
        named(given, np.repeat(names, counts)),
        None,
        given.times(len(chosen)),
        "111",
    )


def _require_equal_spacing(path: Path, marks: list[float | None]) -> None:
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
            fix="open an equally spaced part with frames=slice(...)",
        )


def _xdatcar_header(lines: list[bytes], where: str) -> Header:
    """Read title, scale, cell, names (from VASP 5 on) and numbers of atoms.

    ``n_rows`` is the number of its lines; ``info["factor"]`` that of positions to Å.
    """
    (scale,) = (float(word) for word in lines[1].split())
    cell = matrix((line.split() for line in lines[2:5]), "its cell", 3)
    words: Any = lines[5].decode("ascii").split()
    named_ = bool(words) and not all(word.isdigit() for word in words)
    counts = [int(word) for word in lines[6 if named_ else 5].split()]
    names = [str(1 + i) for i in range(len(counts))]
    if named_:
        names = [word.split("_")[0].split("/")[0] for word in words]
    volume = cell_volume(cell, where)
    require_file(0 < abs(scale) < 1e30, where, f"its scale factor is {scale:g}")
    require_file(
        len(counts) == len(names) > 0 < min(counts) and sum(counts) < 10**12,
        where,
        f"it has {counts} atoms of {names}",
    )
    # A negative scale is the volume.
    factor = scale if scale > 0 else (-scale / volume) ** (1 / 3)
    shared = {"atoms": (names, counts)}
    info = {"factor": factor}
    return Header(7 if named_ else 6, cell * factor, shared, info=info)


def _count_numbers(words: list[bytes]) -> int:
    """Return how many numbers a line has, 0 if it has anything else."""
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0
