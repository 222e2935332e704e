"""Extended XYZ, read as its producers write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import not_used
from xbp.core.optional import require
from xbp.md.frames import (
    Found,
    Frames,
    Vectors,
    atom_order,
    cell_volume,
    masses_of,
    read_columns,
    require_finite,
)
from xbp.md.given import Given, Style, named
from xbp.md.source import Lines, Source, index_frames, require_file

__all__ = ["is_extxyz", "open_extxyz", "require_consecutive"]

_PAIR = re.compile(
    r'([^\s="]+|"[^"]*")\s*=\s*("(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|\S+)'
)
_STEPS = ("timestep", "step", "md_step", "mdstep", "iteration")
_KINDS = {"S": str, "I": "int64", "R": float, "L": str}
#: Name → (first column, type, number of columns).
Columns = dict[str, tuple[int, str, int]]


@dataclass(frozen=True)
class _Header:
    n_atoms: int
    columns: Columns
    width: int
    cell: np.ndarray
    origin: np.ndarray
    periodic: str
    info: dict[str, str]
    by_gpumd: bool


def is_extxyz(head: bytes) -> bool:
    """Return whether a file that begins so is extended XYZ."""
    first, _, rest = head.partition(b"\n")
    return first.strip().isdigit() and b"lattice=" in rest.partition(b"\n")[0].lower()


def require_consecutive(path: Any, infos: list[dict[str, Any]], timed: bool) -> None:
    """Refuse a set of configurations, as of training data: labels, but no time."""
    labels = [k for info in infos for k in info if k == "config_type" or "weight" in k]
    require_file(
        len(infos) == 1 or timed or not labels,
        path,
        "a set of configurations, not a trajectory: its frames have "
        f"{''.join(labels[:1])}= but no time",
        fix="open one configuration at a time: frames=slice(0, 1)",
    )


def open_extxyz(source: Source, given: Given) -> Found:
    """Open extended XYZ.

    Raises
    ------
    FileFormatError
        If a frame is damaged or has other atoms, or the file is a set of configurations
        and not a trajectory.
    UnitsError
        If the units of velocities, or the time, are not known.
    """
    path, lines = source.path, Lines(source)
    table = index_frames(lines, lambda where: _read_header(lines, where))
    first = table[0].head
    chosen = given.choose(len(table))
    picked = [table[i].head for i in chosen]
    times, marks = _numbers(picked, "time"), None
    for key in _STEPS:
        marks = _numbers(picked, key) if marks is None else marks
    require_consecutive(
        path, [head.info for head in picked], times is not None or marks is not None
    )
    for number, frame in enumerate(table):
        for what in ("n_atoms", "columns", "periodic"):
            require_file(
                getattr(frame.head, what) == getattr(first, what),
                f"{path}, frame {number}",
                f"{what} changed: {getattr(frame.head, what)}, in the first frame "
                f"{getattr(first, what)}",
                fix="write the same atoms, columns and periodic sides in all frames",
            )
    style = _style(given, first)
    velocity, speed = _velocity(given, first.columns, style)
    length = 1.0 if style is None else style.length
    label = next((n for n in _LABELS if n in first.columns), None)
    if label is None:
        raise QuantityError(f"{path} does not give the elements: no column species")
    mass_column = next(
        (n for n in _MASSES if first.columns.get(n, ())[1:] == ("R", 1)), None
    )
    has_ids = first.columns.get("id", ())[1:] == ("I", 1)

    def rows(number: int, names: list[str]) -> dict[str, np.ndarray]:
        frame, places, kinds = table[number], {}, {}
        for name in names:
            at, kind, count = first.columns[name]
            places[name] = [at + i for i in range(count)]
            kinds.update(dict.fromkeys(places[name], _KINDS[kind]))
        text, where = source.read(frame.begin, frame.end), f"{path}, frame {number}"
        found = read_columns(text, first.width, kinds, first.n_atoms, where)
        return {
            name: found[at[0]] if len(at) == 1 else np.stack([found[i] for i in at], 1)
            for name, at in places.items()
        }

    same = [label, *(["id"] if has_ids else [])]
    atoms = rows(chosen[0], [*same, *([mass_column] if mass_column else [])])
    # Repeated ids do not identify atoms.
    has_ids = has_ids and np.unique(atoms["id"]).size == first.n_atoms
    ids = atoms["id"] if has_ids else None
    order = atom_order(str(path), atoms[label], ids)
    raw, mass = atoms[label][order], None
    if mass_column is not None:
        mass = atoms[mass_column][order] * (1.0 if style is None else style.mass)
    species = raw.astype(str)
    if label == "z":
        table = require("periodictable", "it knows elements by number", "md")
        known = {e.number: e.symbol for e in table.elements if e.number}
        species = np.array([known.get(int(z), str(z)) for z in raw.tolist()], dtype=str)
    if velocity == "momenta":
        # The masses that the writer had: of the file, else of its elements.
        speed = speed / masses_of(path, species, None, mass)[:, None]
    identity = (raw, None if ids is None else ids[order])
    wanted = [*same, "pos", *([velocity] if velocity else [])]

    def read(numbers: range) -> Iterator[Vectors]:
        for number in numbers:
            found, where = rows(number, wanted), f"{path}, frame {number}"
            ids = found["id"] if has_ids else None
            here = atom_order(where, found[label], ids, identity)
            r = (found["pos"][here] - table[number].head.origin) * length
            yield r, found[velocity][here] * speed if velocity else None

    if times is not None:
        # Without units, times are only taken to be unequal where they are.
        if style is not None:
            times = times * style.time
        else:
            counted = marks is not None and given.timestep is not None
            times, marks = None, marks if counted else times
    return Found(
        Frames(chosen, first.n_atoms, velocity is not None, read),
        np.stack([head.cell for head in picked]) * length,
        named(given, species),
        mass,
        given.times(len(picked), own=times, marks=marks, style=style),
        first.periodic,
        style is not None and style.name == "lj",
    )


_LABELS = ("species", "element", "z", "type")
_MASSES = ("mass", "masses")


def _read_header(lines: Lines, where: str) -> tuple[int, int, _Header] | None:
    line = lines.first_of_frame()
    if not line:
        return None
    count = line.strip().decode("ascii", "replace")
    require_file(
        count.isdigit() and len(count) <= 12 and int(count) > 0,
        where,
        f"it begins with '{count[:20]}', not with its number of atoms",
    )
    comment = lines.next().decode("utf-8", "replace")
    info = {
        key.strip('"').lower(): value.strip('"{}[]')
        for key, value in _PAIR.findall(comment)
    }
    text = info.get("properties", "species:S:1:pos:R:3")
    columns, width = _columns(text, where)
    origin = _floats(info.get("origin", "0 0 0"))
    cell, shown = _floats(info.get("lattice", "")), info.get("lattice")
    require_file(
        cell.size == 9 and origin.size == 3,
        where,
        f"Lattice={shown!r} must be nine numbers, and Origin three",
    )
    cell = cell.reshape(3, 3)
    cell_volume(cell, where)
    require_finite(where, origin)
    sides = info.get("pbc", "T T T").replace(",", " ").upper().split()
    require_file(
        len(sides) == 3, where, f"pbc={info.get('pbc')!r} must be three values"
    )
    periodic = "".join("1" if side in ("T", "TRUE", "1") else "0" for side in sides)
    by_gpumd = comment.lstrip().startswith("Time=")
    header = _Header(int(count), columns, width, cell, origin, periodic, info, by_gpumd)
    return int(count), lines.at, header


def _floats(text: str) -> np.ndarray:
    return np.array(text.replace(",", " ").split(), dtype=float)


def _columns(text: str, where: str) -> tuple[Columns, int]:
    """Return the columns, and the number of all."""
    words, at = text.split(":"), 0
    columns: Columns = {}
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=True):
        # More columns do not fit into a line.
        known = kind in _KINDS and count.isdigit() and 0 < int(count) < 2**15 - at
        require_file(known, where, f"Properties={text[:60]} must be name:type:number")
        columns[name.lower()] = (at, kind, int(count))
        at += int(count)
    there = columns.get("pos", ())[1:] == ("R", 3)
    require_file(there, where, f"Properties={text[:60]} has no positions (pos:R:3)")
    return columns, at


def _numbers(picked: list[_Header], key: str) -> np.ndarray | None:
    """Return the numbers that all frames have under a key, or None."""
    try:
        return np.array([float(head.info[key]) for head in picked])
    except (KeyError, ValueError):
        return None


def _style(given: Given, first: _Header) -> Style | None:
    """Return the units of the file, if they are known; lengths are in Å otherwise."""
    if first.by_gpumd and given.units in (None, "real"):
        return Given(given.path, units="real", lj=given.lj).style(None)
    if "momenta" in first.columns or first.by_gpumd:
        own = "Å, fs and Å/fs, as GPUMD writes" if first.by_gpumd else "those of ASE"
        not_used(f"the units of {given.path} are {own}", units=given.units, lj=given.lj)
        return None
    known = given.units is not None or given.lj is not None
    return given.style(None) if known else None


def _velocity(
    given: Given, columns: Columns, style: Style | None
) -> tuple[str | None, Any]:
    """Return the column of velocities, and its factor to Å/ps (of momenta u Å/ps)."""
    names = ("momenta", "vel", "velo", "velocity", "velocities")
    name = next((n for n in names if columns.get(n, ())[1:] == ("R", 3)), None)
    if name is None:
        return None, 1.0
    if name == "momenta":
        # ASE's unit of time is Å √(u/eV).
        return name, constants.HBAR_ROOT_EV_PER_U / constants.HBAR
    if style is None:
        raise UnitsError(
            f"the units of the column {name} of {given.path} are not known",
            fix="units='real' (Å/fs), 'metal' (Å/ps), …, as LAMMPS calls them",
        )
    return name, style.speed
