"""LAMMPS text dumps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import not_used
from xbp.md.frames import (
    Found,
    Frames,
    Vectors,
    atom_order,
    cell_volume,
    read_columns,
    require_finite,
)
from xbp.md.given import Given, named
from xbp.md.source import Lines, Source, index_frames, require_file

__all__ = ["is_dump", "open_dump"]


@dataclass(frozen=True)
class _Header:
    """Header of a frame, in the dump's units; origin is the corner of the cell."""

    step: int
    time: float | None
    cell: np.ndarray
    origin: np.ndarray
    periodic: str | None
    n_atoms: int
    columns: tuple[str, ...]


def is_dump(head: bytes) -> bool:
    """Return whether a file that begins so is a LAMMPS text dump."""
    return head.startswith(b"ITEM: ")


def open_dump(source: Source, given: Given) -> Found:
    """Open a LAMMPS text dump.

    Raises
    ------
    FileFormatError
        If it is damaged or cut short, or its atoms change.
    UnitsError, QuantityError
        If units, elements or times are neither in the file nor given, or contradict it.
    """
    path, lines, stated = source.path, Lines(source), dict[str, str]()
    before: list[_Header] = []

    def begin(where: str) -> tuple[int, int, _Header] | None:
        header = _read_header(lines, where, stated)
        if header is None:
            return None
        if before:
            _require_one_run(header, before.pop(), where)
        before.append(header)
        return header.n_atoms, lines.at, header

    table = index_frames(lines, begin)
    chosen = given.choose(len(table))
    picked = [table[i].head for i in chosen]
    first = table[0].head
    require_file("id" in first.columns, path, "it has no column id", fix="dump ids")
    _require_all(given, picked, stated.get("units"))
    style = given.style(stated.get("units"))
    coordinates = _coordinates(first.columns, str(path))
    images = [c for c in ("ix", "iy", "iz") if c in first.columns]
    if len(images) < 3 or coordinates[0].endswith("u"):
        images = []
    moving = {"vx", "vy", "vz"} <= set(first.columns)
    vectors = [*coordinates, *images, *(["vx", "vy", "vz"] if moving else [])]
    kind = next((c for c in ("element", "type") if c in first.columns), None)
    labels = ["id", *([kind] if kind else [])]

    def rows(number: int, names: list[str]) -> dict[str, np.ndarray]:
        frame = table[number]
        places = {name: first.columns.index(name) for name in names}
        kinds = {places[n]: _KINDS.get(n, float) for n in names}
        where = f"{path}, frame {number} (step {frame.head.step})"
        text = source.read(frame.begin, frame.end)
        found = read_columns(text, len(first.columns), kinds, first.n_atoms, where)
        return {name: found[place] for name, place in places.items()}

    def order(number: int, found: Mapping[str, np.ndarray], same: Any) -> np.ndarray:
        where = f"{path}, frame {number} (step {table[number].head.step})"
        names = found[kind] if kind else np.zeros(found["id"].size)
        return atom_order(where, names, found["id"], same)

    atoms = rows(chosen[0], [c for c in _ATOM if c in first.columns])
    at_first = order(chosen[0], atoms, None)
    atoms = {name: values[at_first] for name, values in atoms.items()}
    identity = (atoms[kind] if kind else np.zeros(first.n_atoms), atoms["id"])

    def read(numbers: range) -> Iterator[Vectors]:
        for number in numbers:
            head = table[number].head
            found = rows(number, [*labels, *vectors])
            here = order(number, found, identity)
            values = np.stack([found[name] for name in vectors], axis=1)[here]
            r = values[:, :3]
            r = r @ head.cell if "s" in coordinates[0] else r - head.origin
            if images:
                r = r + values[:, 3:6] @ head.cell
            yield r * style.length, values[:, -3:] * style.speed if moving else None

    time = None
    if all(head.time is not None for head in picked):
        time = np.array([head.time for head in picked], dtype=float) * style.time
    mass = atoms["mass"] * style.mass if "mass" in atoms else None
    if mass is None and style.name == "lj":
        mass = np.full(first.n_atoms, style.mass)
    marks = np.array([head.step for head in picked], dtype=float)
    return Found(
        Frames(chosen, first.n_atoms, moving, read),
        np.stack([head.cell for head in picked]) * style.length,
        _elements(given, atoms),
        mass,
        given.times(len(picked), own=time, marks=marks, style=style),
        first.periodic,
        style.name == "lj",
    )


_ATOM = ("id", "type", "element", "mass")
_KINDS = {"id": "int64", "type": str, "element": str}


def _require_one_run(header: _Header, before: _Header, where: str) -> None:
    """Refuse a frame with other atoms, columns or boundaries, or that overlaps."""
    for name in ("n_atoms", "columns", "periodic"):
        here, there = getattr(header, name), getattr(before, name)
        require_file(
            here == there,
            f"{where} (step {header.step})",
            f"{name} changed from {there} to {here}",
            fix="split the file, or dump a fixed group of atoms",
        )
    require_file(
        header.step > before.step,
        where,
        f"step {header.step} follows step {before.step}: two runs, or a restart that "
        "appended to the dump",
        fix="open one part of it with frames=, or split the file",
    )


def _read_header(lines: Lines, where: str, stated: dict[str, str]) -> _Header | None:
    """Read the header of a frame; `stated` gets the units."""
    found: dict[str, Any] = {}
    line = lines.first_of_frame()
    if not line:
        return None
    while True:
        item = line.decode("ascii", "replace").strip()
        name = item.removeprefix("ITEM: ")
        if name.startswith("ATOMS") and item != name:
            break
        if name.startswith("BOX BOUNDS"):
            rows = [[float(x) for x in lines.next().split()] for _ in range(3)]
            found["box"] = _box(name, rows, where)
        else:
            text = lines.next().decode("ascii", "replace").strip()
            known = item != name and name in (
                "TIMESTEP",
                "TIME",
                "UNITS",
                "NUMBER OF ATOMS",
            )
            require_file(known, where, f"'{item[:40]}' is not an item of a LAMMPS dump")
            if name == "UNITS":
                require_file(
                    stated.setdefault("units", text) == text,
                    where,
                    f"it states units {text}, the file before units {stated['units']}",
                    fix="split the file",
                )
            else:
                require_file(
                    len(text) < 30, where, f"{name}: {text[:20]}… is too large"
                )
                found[name] = float(text) if name == "TIME" else int(text)
        line = lines.next()
    columns = tuple(name.split()[1:])
    lacking = {"TIMESTEP", "NUMBER OF ATOMS", "box"} - set(found)
    require_file(not lacking, where, f"{', '.join(sorted(lacking))} is missing")
    n_atoms, step = found["NUMBER OF ATOMS"], found["TIMESTEP"]
    require_file(n_atoms > 0, where, f"it has {n_atoms} atoms")
    require_file(abs(step) < 2**63, where, f"TIMESTEP: {step} is too large")
    unique = len(set(columns)) == len(columns)
    require_file(unique, where, f"columns repeat: {' '.join(columns)}")
    cell, origin, periodic = found["box"]
    return _Header(step, found.get("TIME"), cell, origin, periodic, n_atoms, columns)


def _box(
    item: str, rows: list[list[float]], where: str
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Return cell vectors, origin, and which sides are periodic, if that is stated.

    LAMMPS writes the bounds of the box around a tilted cell. Of two letters for each
    side, ``p`` is periodic.
    """
    bounds = np.array(rows)
    sides = [w for w in item.split() if len(w) == 2 and set(w) <= set("pfsm")]
    digits = "".join("1" if side == "pp" else "0" for side in sides)
    periodic = digits if len(sides) == 3 else None
    wanted = (3, 4) if "abc origin" in item else (3, 3 if "xy" in item else 2)
    require_file(bounds.shape == wanted, where, f"'{item}' has {bounds.shape} numbers")
    if bounds.shape == (3, 4):
        cell, low = bounds[:, :3], bounds[:, 3]
    else:
        low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
        xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
        low[0] -= min(0.0, xy, xz, xy + xz)
        high[0] -= max(0.0, xy, xz, xy + xz)
        low[1] -= min(0.0, yz)
        high[1] -= max(0.0, yz)
        for axis, (begin, end, side) in enumerate(
            zip(*bounds.T[:2], high - low, strict=True)
        ):
            problem = f"the bounds {begin:g} {end:g} along {'xyz'[axis]} span {side:g}"
            require_file(bool(side > 0), where, problem)
        cell = np.diag(high - low)
        cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    cell_volume(cell, where)
    require_finite(where, low)
    return cell, low, periodic


def _coordinates(columns: tuple[str, ...], where: str) -> tuple[str, str, str]:
    """Return the columns of positions: unwrapped ones if there are any."""
    for end in ("u", "su", "", "s"):
        names = (f"x{end}", f"y{end}", f"z{end}")
        if set(names) <= set(columns):
            return names
    require_file(
        False,
        where,
        f"it has the columns {' '.join(columns)}, without positions",
        fix="dump them: dump ... custom ... id type xu yu zu vx vy vz",
    )
    raise AssertionError


def _require_all(given: Given, picked: list[_Header], stated: str | None) -> None:
    """Ask for everything that a file lacks at once, if that is more than one thing."""
    style = given.units if isinstance(given.units, str) else stated
    missing = {}
    if style is None:
        missing["units"] = "units='metal'"
    if style == "lj" and given.lj is None:
        missing["σ, ε and m"] = "lj='argon'"
    if given.elements is None and "element" not in picked[0].columns:
        missing["elements"] = "elements=['Zr', 'Cu']"
    timed = given.timestep is not None or given.time_between_frames is not None
    if not timed and len(picked) > 1 and any(head.time is None for head in picked):
        missing["time step"] = "timestep=0.005" if style == "lj" else "timestep='2 fs'"
    if len(missing) > 1:
        raise UnitsError(
            f"{given.path} does not state its {', '.join(missing)}",
            fix=f"as in the LAMMPS input: {', '.join(missing.values())}",
        )


def _elements(given: Given, atoms: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the elements, given by type or in the file, which must agree."""
    own, types = atoms.get("element"), atoms.get("type")
    # Where the input names no elements, LAMMPS writes C for all.
    unnamed = own is not None and set(own.tolist()) == {"C"}
    if given.elements is None and own is not None:
        if unnamed and types is not None and np.unique(types).size > 1:
            raise QuantityError(
                f"the elements of {given.path} are unknown: its column element is C "
                "for all types",
                fix="elements={1: 'Zr', 2: 'Cu'}, or ['C', 'C'] if it is carbon",
            )
        return own
    if types is None:
        not_used(f"{given.path} has no column type", elements=given.elements)
        raise QuantityError(
            f"the elements of {given.path} are unknown: it has neither a column "
            "element nor type"
        )
    found = named(given, types)
    if own is not None and not unnamed and (own != found).any():
        at = int(np.argmax(own != found))
        raise QuantityError(
            f"elements= contradicts {given.path}: type {types[at]} is {own[at]} "
            "in its column element",
            fix="leave elements= out",
        )
    return found
