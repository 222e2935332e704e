"""LAMMPS text files: dumps, and data files of one configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from xbp.core.errors import QuantityError, UnitsError, require
from xbp.core.guards import choose, not_used, require_kind
from xbp.md.found import Found, cell_volume, masses_of
from xbp.md.frames import Frames, Rows, read_table
from xbp.md.given import SITE, Given, named
from xbp.md.source import (
    Header,
    Lines,
    Source,
    index_frames,
    reading,
    require_file,
)
from xbp.md.styles import STYLES

__all__ = [
    "data_topology",
    "element_of_mass",
    "is_data_file",
    "is_dump",
    "open_data_file",
    "open_dump",
]


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
    table = index_frames(lines, lambda where: _read_header(lines, where, stated))
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    names = table[0].shared["columns"]
    columns = {n: (at, _KINDS.get(n, float), 1) for at, n in enumerate(names)}
    require_file("id" in columns, path, "it has no column id", fix="dump ids")
    timed = all(head.time is not None for head in picked)
    _require_all(given, names, timed or len(picked) < 2, stated.get("units"))
    style = given.style(stated.get("units"))
    places = [[f"{axis}{end}" for axis in "xyz"] for end in ("u", "su", "", "s")]
    places = [names for names in places if set(names) <= set(columns)]
    require_file(
        bool(places),
        path,
        f"it has the columns {' '.join(columns)}, without positions",
        fix="dump ... custom ... id type xu yu zu vx vy vz",
    )
    coordinates, images, moving = places[0], ["ix", "iy", "iz"], ["vx", "vy", "vz"]
    if not set(images) <= set(columns) or coordinates[0].endswith("u"):
        images = []
    moving = moving if set(moving) <= set(columns) else []
    kind = next((c for c in ("element", "type") if c in columns), None)

    def rows(numbers: range) -> Iterator[Rows]:
        others = [name for names in places[1:] for name in names]
        wanted = ["id", *filter(None, [kind]), *coordinates, *images, *moving, *others]
        for number in numbers:
            head = table[number]
            found = read_table(source, head, columns, wanted)
            r, shift, v = (
                np.stack([found[n] for n in names], axis=1) if names else None
                for names in (coordinates, images, moving)
            )
            if coordinates[0] == "xs":
                scaled = all(np.abs(found[name]).max() < 2 for name in coordinates)
                require_file(scaled, path, "xs, ys, zs are not scaled to the box")
            r = r @ head.cell if "s" in coordinates[0] else r - head.origin
            for names in places[1:]:
                other = np.stack([found[name] for name in names], axis=1)
                other = other @ head.cell if "s" in names[0] else other - head.origin
                _require_one_place(r, other, head, [coordinates[0], names[0]], path)
            r = r if shift is None else r + shift @ head.cell
            yield Rows(
                found[kind] if kind else np.zeros(len(r)),
                found["id"],
                r * style.length,
                None if v is None else v * style.speed,
            )

    frames = Frames(path, chosen, rows, lambda n: f"{n} (step {table[n].step})")
    with reading(f"{path}, frame {frames.name(chosen[0])}"):
        known = [name for name in columns if name in _KINDS]
        atoms = read_table(source, picked[0], columns, known)
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


def _require_one_place(
    r: np.ndarray, other: np.ndarray, head: Header, names: list[str], path: Any
) -> None:
    """Refuse positions in two columns that differ by more than whole cells."""
    away = (r - other) @ np.linalg.inv(head.cell)
    away -= np.round(away)
    same = bool((np.abs(away) < 1e-3).all())
    require_file(same, path, f"its columns {' and '.join(names)} contradict each other")


#: Columns that describe an atom.
_KINDS: Final = {"id": "int64", "type": str, "element": str, "mass": float}


def _read_header(lines: Lines, where: str, stated: dict[str, str]) -> Header | None:
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
    shared = {"n_atoms": n_atoms, "columns": columns, "periodic": periodic}
    step, time = found["TIMESTEP"], found.get("TIME")
    return Header(n_atoms, cell, shared, step, time, origin)


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
        cell = _tilted(high - low, (xy, xz, yz))
    cell_volume(cell, where)
    return cell, low, digits if len(sides) == 3 else None


def _tilted(sides: np.ndarray, tilt: Any) -> np.ndarray:
    """Return the cell vectors of LAMMPS: lengths along the axes, and xy, xz, yz."""
    cell = np.diag(sides)
    cell[[1, 2, 2], [0, 0, 1]] = tilt
    return cell


def _require_all(
    given: Given, columns: tuple[str, ...], timed: bool, stated: str | None
) -> None:
    """Ask for everything that a file lacks at once, if that is more than one thing."""
    style = given.units if isinstance(given.units, str) else stated
    timed = timed or given.timestep is not None or given.time_between_frames is not None
    known = given if given.units is not None else replace(given, units=style)
    asked = {
        "units": (style is None, "units='metal'"),
        "σ, ε and m": (style == "lj" and given.lj is None, "lj='argon'"),
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


#: Columns of the type and of x in a line of "Atoms", and the number of columns without
#: image flags, of https://docs.lammps.org/read_data.html.
_LAYOUTS: Final = {
    "atomic": (1, 2, 5),
    "amoeba": (2, 3, 6),
    "angle": (2, 3, 6),
    "body": (1, 4, 7),
    "bond": (2, 3, 6),
    "bpm/sphere": (2, 5, 8),
    "charge": (1, 3, 6),
    "dipole": (1, 3, 9),
    "dpd": (1, 3, 6),
    "edpd": (1, 4, 7),
    "electron": (1, 5, 8),
    "ellipsoid": (1, 4, 7),
    "full": (2, 4, 7),
    "line": (2, 5, 8),
    "mdpd": (1, 3, 6),
    "molecular": (2, 3, 6),
    "peri": (1, 4, 7),
    "sph": (1, 5, 8),
    "sphere": (1, 4, 7),
    "spin": (1, 2, 9),
    "template": (1, 5, 8),
    "tri": (2, 5, 8),
}
_SECTION: Final = re.compile(r"^([A-Z][A-Za-z]+(?: [A-Za-z]+)*)\s*(?:#\s*(.*))?$")


def is_data_file(head: bytes) -> bool:
    """Return whether a file that begins so is a LAMMPS data file."""
    return b"xlo xhi" in head and b"atom types" in head


@dataclass(frozen=True)
class _Contents:
    """A data file in its own units; labels and masses are by type."""

    units: str | None
    cell: np.ndarray
    atoms: Rows
    labels: dict[str, str]
    masses: dict[str, float]


def open_data_file(source: Source, given: Given) -> Found:
    """Open a LAMMPS data file; positions are from the corner of its cell.

    Raises
    ------
    FileFormatError
        If it is damaged.
    UnitsError, QuantityError
        If units or elements are neither in the file nor given.
    """
    contents = _read(source, given.atom_style)
    style, atoms = given.style(contents.units), contents.atoms
    v = None if atoms.velocity is None else atoms.velocity * style.speed
    mass, reduced = style.masses(atoms.mass, len(atoms.names)), style.name == "lj"
    scaled = Rows(atoms.names, atoms.ids, atoms.position * style.length, v, mass)
    return Found(
        Frames(
            source.path, given.choose(1), lambda numbers: iter([scaled] * len(numbers))
        ),
        contents.cell[None] * style.length,
        _elements_of_data(given, contents, {} if reduced else contents.masses),
        mass,
        np.zeros(1),
        "111",
        reduced,
    )


def data_topology(
    source: Source, given: Given
) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Return types of atoms or their labels, by id, their masses, and whether in u."""
    contents = _read(source, given.atom_style)
    names = [contents.labels.get(kind, kind) for kind in contents.atoms.names.tolist()]
    units = contents.units if given.units is None else given.units
    in_u = units in ("metal", "real", "electron")
    return np.array(names, dtype=str), contents.atoms.mass, in_u


def _read(source: Source, atom_style: Any = None) -> _Contents:
    """Read the header and the sections of a data file."""
    path, text = source.path, source.whole().decode("utf-8", "replace")
    stated = re.search(rf"\bunits\b\W*({STYLES})\b", text.partition("\n")[0])
    styles: dict[str, str] = {}
    name, sections = "", dict[str, list[list[str]]]()
    for line in text.splitlines()[1:]:
        words = line.partition("#")[0].split()
        if words and words[0][0].isalpha() and (found := _SECTION.match(line.strip())):
            name = found[1]
            styles.setdefault(name, (found[2] or "").strip())
        elif words:
            sections.setdefault(name, []).append(words)
    with reading(path):
        n_atoms, cell, low = _read_box(sections.get("", []), path)
        by_type = [
            {row[0]: row[1] for row in sections.get(name, [])}
            for name in ("Masses", "Atom Type Labels")
        ]
        masses = {kind: float(mass) for kind, mass in by_type[0].items()}
    with reading(f"{path}: Atoms"):
        rows = _table(path, sections, "Atoms", n_atoms)
        width = len(rows[0])
        kind, x, plain = _layout(path, atom_style, styles["Atoms"], width)
        r = np.array([row[x : x + 3] for row in rows], dtype=float) - low
        if width > plain:  # image flags
            r += np.array([row[plain:] for row in rows], dtype=int) @ cell
        kinds = np.array([row[kind] for row in rows], dtype=str)
        mass = np.array([masses.get(kind, 0.0) for kind in kinds.tolist()])
        ids = np.array([int(row[0]) for row in rows])
        atoms = Rows(kinds, ids, r, None, mass if masses else None)
        atoms = atoms.ordered(lambda _: str(path), None)
    if "Velocities" in sections:
        with reading(f"{path}: Velocities"):
            rows = _table(path, sections, "Velocities", n_atoms)
            v = np.array([row[1:4] for row in rows], dtype=float).reshape(-1, 3)
            order = np.argsort(own := np.array([int(row[0]) for row in rows]))
            same = np.array_equal(own[order], np.asarray(atoms.ids))
            require_file(same, path, "the velocities are those of other atoms")
            atoms = atoms._replace(velocity=v[order])
    return _Contents(stated[1] if stated else None, cell, atoms, by_type[1], masses)


def _layout(path: Any, given: Any, stated: str, width: int) -> tuple[int, int, int]:
    """Return the columns of "Atoms": type, x, and how many without image flags.

    Raises
    ------
    QuantityError
        If the style is not known, or contradicts the file.
    """
    if given is not None:
        require_kind(given, str, "atom_style", "a style of LAMMPS, such as 'charge'")
        hybrid, *parts = given.split()
        if hybrid != "hybrid" or not parts:
            parts = [given]
        for part in parts:
            choose(part, _LAYOUTS, "atom_style")
        if stated not in ("", given, hybrid):
            raise QuantityError(
                f"atom_style={given!r} contradicts {path}: its atoms are {stated!r}",
                fix="leave atom_style= out",
            )
        found = _LAYOUTS[parts[0]]
        if parts != [given]:  # id, type, x, y, z, then what each style adds
            found = (1, 2, 5 + sum(_LAYOUTS[part][2] - 5 for part in parts))
    else:
        style = stated or {5: "atomic", 8: "atomic"}.get(width, "")
        found = _LAYOUTS.get(style, (0, 0, -9))
    if width not in (found[2], found[2] + 3):
        style = repr(given or stated) if given or stated else "not stated"
        raise QuantityError(
            f"{path}: its rows of atoms have {width} columns (atom_style: {style})",
            fix="atom_style='charge', or as in the input; 'hybrid sphere dipole'",
        )
    return found


def _read_box(header: list[list[str]], path: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of atoms, the cell, and its corner."""
    bounds, tilt, n_atoms = np.full((3, 2), np.nan), np.zeros(3), 0
    for words in header:
        if words[1:] == ["atoms"]:
            n_atoms = int(words[0])
        elif words[-1] in ("xhi", "yhi", "zhi"):
            bounds["xyz".index(words[-1][0])] = [float(word) for word in words[:2]]
        elif words[-3:] == ["xy", "xz", "yz"]:
            tilt = np.array(words[:3], dtype=float)
        general = words[-1] in ("avec", "bvec", "cvec", "abc")
        problem, fix = "it has a general triclinic cell", "write_data without it"
        require_file(not general, path, problem, fix=fix)
    require_file(n_atoms > 0, path, "it has no number of atoms")
    sides = bounds[:, 1] - bounds[:, 0]
    require_file(bool((sides > 0).all()), path, f"the cell has the sides {sides}")
    cell = _tilted(sides, tilt)
    cell_volume(cell, path)
    return n_atoms, cell, bounds[:, 0]


def _table(
    path: Any, sections: dict[str, list[list[str]]], name: str, n: int
) -> list[list[str]]:
    rows = sections.get(name, [])
    whole = len(rows) == n and len({len(row) for row in rows}) == 1
    problem = f"{len(rows)} rows in {name}, some incomplete, for {n} atoms"
    require_file(whole, path, problem)
    return rows


def _elements_of_data(
    given: Given, contents: _Contents, masses: dict[str, float]
) -> np.ndarray:
    """Return elements: as given, by type labels, or by unambiguous masses."""
    path, kinds = given.path, contents.atoms.names
    if given.elements is not None:
        symbols = named(given, kinds)
        if given.lj is None:  # names must be elements
            masses_of(path, symbols[symbols != SITE], given.masses, None)
        return symbols
    found = {}
    for kind in np.unique(kinds).tolist():
        symbol = contents.labels.get(kind) or ("" if kind.isdigit() else kind)
        found[kind] = symbol or element_of_mass(masses.get(kind, 0.0))
        if not found[kind]:
            raise QuantityError(
                f"the elements of {path} are unknown: type {kind} has the mass "
                f"{masses.get(kind, 0.0):g}",
                fix=given.example("elements"),
            )
    return np.array([found[kind] for kind in kinds.tolist()], dtype=str)


def element_of_mass(mass: float, *, within: float = 0.05) -> str:
    """Return the one element whose mass this is to `within` u, or nothing."""
    table = require("periodictable", "masses are looked up in it", "neutron").elements
    near = [e.symbol for e in table if e.number and abs(float(e.mass) - mass) <= within]
    return near[0] if len(near) == 1 else ""
