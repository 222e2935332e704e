"""Plain XYZ of CP2K and others: positions, and velocities in a second file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from scipy import constants as si

from xbp.core.errors import QuantityError
from xbp.md.found import Found
from xbp.md.frames import Columns, Frames, Rows, read_table
from xbp.md.given import Given, at_once
from xbp.md.source import (
    Header,
    Lines,
    Source,
    index_frames,
    open_source,
    reading,
    require_file,
)
from xbp.md.styles import Style
from xbp.md.topology import Topology, elements_of, read_topology, symbols_by_number

__all__ = ["atom_count", "is_xyz", "open_xyz"]

#: A bohr per atomic unit of time (ħ/E_h) in Å/ps.
_ATOMIC: Final = 1e-2 * si.value("atomic unit of velocity")
#: Comments of CP2K, and of LAMMPS's dump xyz.
_CP2K: Final = re.compile(rb"\s*i\s*=\s*(\d+)\s*,\s*time\s*=\s*([-+\d.Ee]+)")
_LAMMPS: Final = re.compile(rb"\s*Atoms\.\s*Timestep:\s*(\d+)(?:\s+Time:\s*(\S+))?")
#: What CP2K's names of files say that they contain.
_CONTENTS: Final = {"vel": "velocities", "frc": "forces"}
_AS_OFTEN: Final = "write both as often, or open a part with frames="
_COLUMNS: Final[Columns] = {"name": (0, str, 1), "vector": (1, float, 3)}


def is_xyz(head: bytes) -> bool:
    """Return whether a file begins with a count, a comment, and an atom."""
    lines = head.split(b"\n", 3)
    if len(lines) < 3 or not lines[0].strip().isdigit():
        return False
    words = lines[2].split()
    try:
        return len(words) >= 4 and len([float(word) for word in words[1:4]]) == 3
    except ValueError:
        return False


def open_xyz(source: Source, given: Given) -> Found:
    """Open plain XYZ, in Å; it has no cell.

    CP2K's comments have steps and times in fs. Velocities are in a second file, in bohr
    per atomic unit of time, CP2K's default. A ``dump xyz`` of LAMMPS has its units.

    Raises
    ------
    FileFormatError
        If a frame is damaged or has other atoms, the velocities are of other frames, or
        CP2K's name of the file says that it has no positions.
    UnitsError, QuantityError
        If the cell, elements, units or times are neither in the file nor given.
    """
    path = source.path
    table = _frames(source)
    _require_contents(path, table, "positions")
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    by_lammps = picked[0].info.get("program") == "LAMMPS"
    style = Style("declared", time=1e-3, speed=_ATOMIC)
    allowed = ["elements", "masses", "time_between_frames", "cell", "topology"]
    if by_lammps:
        style = given.style(None)
        allowed += ["units", "lj"]
    else:
        allowed += ["velocities"]
    numbered = all(head.step is not None for head in picked)
    allowed += ["timestep"] if numbered else []
    given.allow("plain XYZ" + " of LAMMPS" * by_lammps, *allowed, "atom_style")
    with reading(f"{path}, frame {chosen[0]}"):
        names = read_table(source, picked[0], _COLUMNS, ["name"])["name"].astype(str)
    other, speeds = _velocities(given, table)
    topology = read_topology(given)
    if topology is None:
        numbers = all(name.isdigit() for name in np.unique(names).tolist())
        atomic = numbers and not by_lammps and given.elements is None
        topology = Topology(symbols_by_number(names) if atomic else names)

    def rows(wanted: range) -> Iterator[Rows]:
        for number in wanted:
            found = read_table(source, table[number], _COLUMNS, _COLUMNS)
            v = None
            if other is not None:
                both = read_table(other, speeds[number], _COLUMNS, _COLUMNS)
                same = np.array_equal(both["name"], found["name"])
                require_file(same, other.path, f"frame {number} has other atoms")
                v = both["vector"] * style.speed
            yield Rows(found["name"], None, found["vector"] * style.length, v)

    timed = all(head.time is not None for head in picked)
    steps = np.array([head.step for head in picked], dtype=float) if numbered else None
    times = np.array([head.time for head in picked], dtype=float) if timed else None
    own = None if times is None else times * style.time
    cells, element, time = at_once(
        lambda: _cells(given, picked),
        lambda: elements_of(given, topology, names.size),
        lambda: given.times(len(chosen), own=own, marks=steps, style=style),
    )
    return Found(
        Frames(path, chosen, rows),
        cells,
        element,
        style.masses(topology.masses, names.size),
        time,
        None,
        style.name == "lj",
    )


def _cells(given: Given, picked: list[Header]) -> np.ndarray:
    """Return the cells of frames: one that is given, or those of CP2K's file.

    Raises
    ------
    FileFormatError
        If a frame has no cell in the file.
    """
    path = given.cell
    if not isinstance(path, str | Path) or not Path(path).is_file():
        return np.broadcast_to(given.require_box(), (len(picked), 3, 3))
    text = open_source(Path(path)).whole().decode("ascii", "replace")
    with reading(path, "cell= a file of CP2K, or three sides"):
        title, *lines = text.splitlines()
        is_cells = "Ax [Angstrom]" in title
        require_file(is_cells, path, "it is not a file of cells of CP2K")
        rows = [line.split() for line in lines if line.strip()]
        found = {
            int(row[0]): np.array(row[2:11], dtype=float).reshape(3, 3) for row in rows
        }
    for head in picked:
        fix = _AS_OFTEN
        there = head.step in found
        require_file(there, path, f"it has no cell of step {head.step}", fix=fix)
    cells = np.stack([found[int(head.step or 0)] for head in picked])
    return replace(given, cell=None).cells(cells)


def _frames(source: Source) -> list[Header]:
    lines = Lines(source)
    return index_frames(lines, lambda where: _header(lines, where))


def atom_count(line: bytes, where: str) -> int:
    """Return the number of atoms, which the first line of a frame of XYZ states."""
    count = line.strip().decode("ascii", "replace")
    require_file(
        count.isdigit() and len(count) <= 12 and int(count) > 0,
        where,
        f"it begins with '{count[:20]}', not with its number of atoms",
    )
    return int(count)


def _header(lines: Lines, where: str) -> Header | None:
    line = lines.first_of_frame()
    if not line:
        return None
    count = atom_count(line, where)
    comment = lines.next()
    found, program = _CP2K.match(comment), "CP2K"
    if found is None:
        found, program = _LAMMPS.match(comment), "LAMMPS"
    step, time = (None, None) if found is None else found.groups()
    return Header(
        count,
        np.zeros((3, 3)),
        {"n_atoms": count, "program": program if found else ""},
        None if step is None else int(step),
        None if time is None else float(time),
        info={"program": program if found else ""},
    )


def _require_contents(path: Path, table: list[Header], wanted: str) -> None:
    """Refuse a file of CP2K whose name, such as ``project-frc-1.xyz``, says otherwise.

    Positions, velocities and forces have the same comments.
    """
    part = re.search(r"-(pos|vel|frc)-", path.name)
    contents = _CONTENTS.get(part[1], "positions") if part else wanted
    fix = "open the file of positions (-pos-)"
    if contents == "velocities":
        fix += f", with velocities={path.name!r}"
    elif wanted == "velocities":
        fix = "name the file of velocities (-vel-)"
    by_cp2k = table[0].info["program"] == "CP2K"
    problem = f"these are {contents} of CP2K, not {wanted}"
    require_file(contents == wanted or not by_cp2k, path, problem, fix=fix)


def _velocities(
    given: Given, table: list[Header]
) -> tuple[Source | None, dict[int, Header]]:
    """Return the file of velocities, and its frames by those of the positions.

    Raises
    ------
    FileFormatError
        If a frame of positions has no velocities of the same step and time.
    """
    if not given.velocities:
        return None, {}
    path = Path(given.velocities)
    require_file(path.exists(), path, "it does not exist", fix="correct velocities=")
    source = open_source(path)
    found = _frames(source)
    if found[0].info["program"] != "CP2K":
        raise QuantityError(
            f"velocities={str(path)!r} is not a file of CP2K: its units are not known",
            fix="write extended XYZ with velocities, and units=",
        )
    _require_contents(path, found, "velocities")
    by_step = {(head.step, head.time): head for head in found}
    pairs = {}
    for number in given.choose(len(table)):
        head = table[number]
        pair = by_step.get((head.step, head.time))
        require_file(
            pair is not None and pair.n_rows == head.n_rows,
            path,
            f"it has no velocities of step {head.step} of {given.path}",
            fix=_AS_OFTEN,
        )
        assert pair is not None
        pairs[number] = pair
    return source, pairs
