"""LAMMPS text dumps: frames of atoms in columns, which each frame names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import not_used
from xbp.md.found import Found, cell_volume
from xbp.md.frames import Columns, Frames, Rows, matrix, read_table
from xbp.md.given import Given, named
from xbp.md.source import (
    Header,
    Lines,
    Source,
    index_frames,
    reading,
    require_file,
)

__all__ = ["is_dump", "open_dump", "tilted"]

#: Columns that describe an atom.
_KINDS: Final = {"id": "int64", "type": str, "element": str, "mass": float}
_VELOCITIES: Final = ["vx", "vy", "vz"]
#: Columns of positions along x, y, z, from the most to the least preferred: "u" is
#: unwrapped, "s" scaled by the cell.
_POSITIONS: Final = [[f"{axis}{end}" for axis in "xyz"] for end in ("u", "su", "", "s")]


def is_dump(head: bytes) -> bool:
    """Return whether a file that begins so is a LAMMPS text dump."""
    return head.startswith(b"ITEM: ")


def open_dump(source: Source, given: Given) -> Found:
    """Open a LAMMPS text dump, whose frames may have other columns than the first.

    Raises
    ------
    FileFormatError
        If it is damaged or cut short, or its atoms change.
    UnitsError, QuantityError
        If units, elements or times are neither in the file nor given, or contradict it.
    """
    path, lines, stated = source.path, Lines(source), dict[str, str]()
    layouts: dict[tuple[str, ...], dict[str, Any]] = {}
    table = index_frames(
        lines, lambda where: _read_header(lines, where, layouts, stated)
    )
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    first: dict[tuple[str, ...], int] = {}  # frame of each layout
    for place, head in enumerate(picked):
        first.setdefault(head.info["columns"], place)
    names = {name for columns in first for name in columns}
    shared = {name for name in names if all(name in columns for columns in first)}
    _require_columns(first, given, path)
    timed = all(head.time is not None for head in picked)
    density = picked[0].n_rows / abs(np.linalg.det(picked[0].cell))
    dated = timed or len(picked) < 2
    _require_all(given, names, dated, stated.get("units"), float(density))
    style = given.style(stated.get("units"))
    moving = shared.issuperset(_VELOCITIES) and given.velocities is not False
    kind = next((c for c in ("element", "type") if c in shared), None)
    layout = {
        columns: _Layout.make(columns, [*filter(None, [kind])], moving)
        for columns in first
    }

    def rows(numbers: range) -> Iterator[Rows]:
        for number in numbers:
            head = table[number]
            own = layout[head.info["columns"]]
            found = read_table(source, head, own.columns, own.wanted)
            r = _positions(found, own.places[0], head, path)
            for other in own.places[1:]:
                again = _positions(found, other, head, path)
                _require_one_place(r, again, head, [own.places[0][0], other[0]], path)
            v = np.stack([found[n] for n in _VELOCITIES], axis=1) if moving else None
            yield Rows(
                found[kind] if kind else np.zeros(len(r)),
                found["id"],
                r * style.length,
                None if v is None else v * style.speed,
            )

    frames = Frames(path, chosen, rows, lambda n: f"{n} (step {table[n].step})")
    # The frame that tells most about its atoms.
    richest = max(first, key=lambda columns: len(set(columns) & set(_KINDS)))
    place = first[richest]
    with reading(f"{path}, frame {frames.name(chosen[place])}"):
        known = [name for name in richest if name in _KINDS]
        atoms = read_table(source, picked[place], layout[richest].columns, known)
    order = np.argsort(atoms["id"], kind="stable")
    atoms = {name: values[order] for name, values in atoms.items()}
    time = np.array([head.time for head in picked], dtype=float) * style.time
    return Found(
        frames,
        np.stack([head.cell for head in picked]) * style.length,
        _elements_of_dump(given, atoms),
        style.masses(atoms.get("mass"), len(order)),
        given.times(
            len(picked),
            own=time if timed else None,
            marks=np.array([head.step for head in picked], dtype=float),
            style=style,
        ),
        table[0].shared["periodic"],
        style.name == "lj",
    )


@dataclass(frozen=True)
class _Layout:
    """The columns of a frame.

    Attributes
    ----------
    columns : Columns
    wanted : list of str
        Columns that are read.
    places : list of list of str
        Columns of x, y and z: first those that are used, then those that must agree.
    """

    columns: Columns
    wanted: list[str]
    places: list[list[str]]

    @classmethod
    def make(cls, names: Collection[str], kind: list[str], moving: bool) -> _Layout:
        """Return the layout of a frame with such columns."""
        columns: Columns = {
            name: (at, _KINDS.get(name, float), 1) for at, name in enumerate(names)
        }
        places = _places(names)
        images = [n for n in ("ix", "iy", "iz") if n in columns]
        if places and all(name.endswith("u") for name in places[0]):
            images = []
        along = [name for place in places for name in place]
        every = [*kind, *along, *images, *(_VELOCITIES if moving else [])]
        return cls(columns, ["id", *dict.fromkeys(every)], places)


def _places(names: Collection[str]) -> list[list[str]]:
    """Return the columns of positions: of one convention, else of each axis its own.

    Examples
    --------
    >>> _places(["x", "y", "z", "xs", "ys", "zs"])
    [['x', 'y', 'z'], ['xs', 'ys', 'zs']]
    >>> _places(["xs", "y", "zu", "z"]), _places(["x", "y"])
    ([['xs', 'y', 'zu']], [])
    """
    whole = [place for place in _POSITIONS if set(place) <= set(names)]
    axes = [[n for n in axis if n in names] for axis in zip(*_POSITIONS, strict=True)]
    return whole or ([[axis[0] for axis in axes]] if all(axes) else [])


def _require_columns(
    first: Mapping[tuple[str, ...], int], given: Given, path: Any
) -> None:
    """Refuse frames without ids or positions, and velocities of some frames only."""
    for columns in first:
        require_file(
            "id" in columns, path, "it has no column id", fix="dump the column id"
        )
        require_file(
            bool(_places(columns)),
            path,
            f"it has the columns {' '.join(columns)}, without positions",
            fix="dump ... custom ... id type xu yu zu vx vy vz",
        )
    moving = {set(columns) >= set(_VELOCITIES): at for columns, at in first.items()}
    require_file(
        len(moving) == 1 or given.velocities is False,
        path,
        f"frame {moving.get(True)} has velocities, frame {moving.get(False)} has none",
        fix="velocities=False leaves them out, or open a part with frames=",
    )


def _positions(
    found: Mapping[str, np.ndarray], names: list[str], head: Header, path: Any
) -> np.ndarray:
    """Return positions from the corner of the cell, unwrapped where the frame says how.

    A column is x, or scaled: the number s of cell vectors in r = s₁a + s₂b + s₃c; and
    it is of the atom in the cell, or unwrapped: n₁a + n₂b + n₃c away from there.

    Parameters
    ----------
    found : mapping of str to numpy.ndarray
        Columns of the frame.
    names : list of str
        Those of x, y and z, each after a convention of its own.
    head : Header
    path : Any
        For messages.
    """
    cell, r = head.cell, np.stack([found[name] for name in names], axis=1)
    scaled = np.array(["s" in name for name in names])
    unwrapped = np.array([name.endswith("u") for name in names])
    images = [found.get(f"i{axis}") for axis in "xyz"]
    for axis, name in zip("xyz", names, strict=True):
        inside = name != f"{axis}s" or np.abs(found[name]).max() < 2
        require_file(bool(inside), path, f"{name} is not scaled to the box")
    r = r - np.where(scaled, 0.0, head.origin)
    none = np.zeros(len(r))
    shift = np.stack([none if i is None else i for i in images], axis=1)
    tilt = bool((cell != np.diag(np.diag(cell))).any())
    if tilt and len(set(unwrapped.tolist())) > 1:
        # Along a tilted axis it matters in which cell the atom is along the others.
        require_file(
            all(image is not None for image in images),
            path,
            f"some of {' '.join(names)} are unwrapped, in a tilted cell",
            fix="dump xu yu zu, or also ix iy iz",
        )
        r = r - np.where(unwrapped, np.where(scaled, shift, shift @ cell), 0.0)
    else:
        shift = np.where(unwrapped, 0.0, shift)
    if scaled.all():
        r = r @ cell
    elif scaled.any():  # s from x, y or z of the others
        equations = np.where(scaled[:, None], np.eye(3), cell.T)
        r = np.where(scaled, np.linalg.solve(equations, r.T).T @ cell, r)
    return r + shift @ cell if shift.any() else r


def _require_one_place(
    r: np.ndarray, other: np.ndarray, head: Header, names: list[str], path: Any
) -> None:
    """Refuse positions in two columns that differ by more than whole cells."""
    away = (r - other) @ np.linalg.inv(head.cell)
    away -= np.round(away)
    same = bool((np.abs(away) < 1e-3).all())
    require_file(same, path, f"its columns {' and '.join(names)} contradict each other")


def _read_header(
    lines: Lines,
    where: str,
    layouts: dict[tuple[str, ...], dict[str, Any]],
    stated: dict[str, str],
) -> Header | None:
    """Read the header of a frame; `layouts` gets its columns, `stated` the units."""
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
            rows = [lines.next().split() for _ in range(3)]
            found["box"] = _box(name, matrix(rows, "its box", 2, 3, 4), where)
        else:
            text = lines.next().decode("ascii", "replace").strip()
            other = next((what for key, what in _OTHER if name.startswith(key)), "")
            fix = "write its atoms with dump custom"
            require_file(not other, where, f"{other} of LAMMPS, no atoms", fix=fix)
            items = ("TIMESTEP", "TIME", "UNITS", "NUMBER OF ATOMS")
            known = item != name and name in items
            require_file(known, where, f"'{item[:40]}' is not an item of a LAMMPS dump")
            require_file(len(text) < 30, where, f"{name}: {text[:20]}… is too large")
            if name == "UNITS":
                before = stated.setdefault(name.lower(), text)
                problem = f"units {text} follow units {before}"
                require_file(text == before, where, problem, fix="split the file")
            else:
                found[name] = float(text) if name == "TIME" else int(text)
        line = lines.next()
    columns = tuple(name.split()[1:])
    lacking = {"TIMESTEP", "NUMBER OF ATOMS", "box"} - set(found)
    require_file(not lacking, where, f"{', '.join(sorted(lacking))} is missing")
    n_atoms, (cell, origin, periodic) = found["NUMBER OF ATOMS"], found["box"]
    require_file(n_atoms > 0, where, f"it has {n_atoms} atoms")
    unique = len(set(columns)) == len(columns)
    require_file(unique, where, f"columns repeat: {' '.join(columns)}")
    shared = {"n_atoms": n_atoms, "periodic": periodic}
    # Columns are kept once: a file may have millions of frames.
    info = layouts.setdefault(columns, {"columns": columns})
    step, time = found["TIMESTEP"], found.get("TIME")
    return Header(n_atoms, cell, shared, step, time, origin, info)


#: Items of dumps that have no atoms.
_OTHER: Final = (
    ("NUMBER OF ENTRIES", "a local dump"),
    ("DIMENSION", "a grid dump"),
    ("GRID SIZE", "a grid dump"),
)


def _box(
    item: str, bounds: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Return cell vectors, origin, and which sides are periodic, if that is stated.

    LAMMPS writes the bounds of the box around a tilted cell. Of two letters for each
    side, ``p`` is periodic.
    """
    sides = [w for w in item.split() if len(w) == 2 and set(w) <= set("pfsm")]
    digits = "".join("1" if side == "pp" else "0" for side in sides)
    wanted = (3, 4) if "abc origin" in item else (3, 3 if "xy" in item else 2)
    require_file(bounds.shape == wanted, where, f"'{item}' has {bounds.shape} numbers")
    if bounds.shape == (3, 4):
        cell, low = bounds[:, :3], bounds[:, 3]
    else:
        xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
        low = bounds[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
        high = bounds[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
        for axis, begin, end, side in zip(
            "xyz", *bounds.T[:2], high - low, strict=True
        ):
            problem = f"the bounds {begin:g} {end:g} along {axis} span {side:g}"
            require_file(bool(side > 0), where, problem)
        cell = tilted(high - low, (xy, xz, yz))
    cell_volume(cell, where)
    return cell, low, digits if len(sides) == 3 else None


def tilted(sides: np.ndarray, tilt: Any) -> np.ndarray:
    """Return the cell vectors of LAMMPS: lengths along the axes, and xy, xz, yz."""
    cell = np.diag(sides)
    cell[[1, 2, 2], [0, 0, 1]] = tilt
    return cell


#: Atoms per Å³: 0.18 in diamond. In units of σ, glasses have 0.8 to 1.2 per σ³.
_DENSEST = 0.3


def _require_all(
    given: Given,
    columns: Collection[str],
    timed: bool,
    stated: str | None,
    density: float,
) -> None:
    """Ask for everything that a file lacks at once, if that is more than one thing.

    Of atoms that are closer than those of any solid, in units of length of the file,
    the examples are in Lennard-Jones units.
    """
    style = given.units if isinstance(given.units, str) else stated
    reduced = style is None and (given.reduced or density > _DENSEST)
    suggested = "lj" if reduced else style
    timed = timed or given.timestep is not None or given.time_between_frames is not None
    known = given if given.units is not None else replace(given, units=suggested)
    asked = {
        "units": (style is None, "units='lj'" if reduced else "units='metal'"),
        "σ, ε and m": (suggested == "lj" and given.lj is None, "lj='argon'"),
        "elements": (
            given.elements is None and "element" not in columns,
            known.example("elements").partition(", or")[0],
        ),
        "time step": (not timed, known.example("timestep")),
    }
    missing = {name: fix for name, (lacks, fix) in asked.items() if lacks}
    if len(missing) > 1:
        raise UnitsError(
            f"{given.path} does not state its {', '.join(missing)}",
            fix=f"as in the LAMMPS input: {', '.join(missing.values())}",
        )


def _elements_of_dump(given: Given, atoms: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the elements, given by type or in the file, which must agree."""
    own, types = atoms.get("element"), atoms.get("type")
    # Where the input names no elements, LAMMPS writes C for all.
    unnamed = own is not None and set(own.tolist()) == {"C"}
    several = types is not None and np.unique(types).size > 1
    if given.elements is None and own is not None and not (unnamed and several):
        return own
    if types is None:
        not_used(f"{given.path} has no column type", elements=given.elements)
    if types is None or given.elements is None:
        raise QuantityError(
            f"the elements of {given.path} are unknown: it has no column 'element'",
            fix=given.example("elements"),
        )
    found = named(given, types)
    if own is not None and not unnamed and (own != found).any():
        at = int(np.argmax(own != found))
        raise QuantityError(
            f"elements= contradicts {given.path}: type {types[at]} is {own[at]} there",
            fix="leave elements= out",
        )
    return found
