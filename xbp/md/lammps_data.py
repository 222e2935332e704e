"""LAMMPS data files: one configuration, or the topology of a trajectory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from xbp.core.errors import QuantityError, require
from xbp.core.guards import choose, require_kind
from xbp.io.spelling import ends_whole
from xbp.md.found import Found, cell_volume, masses_of
from xbp.md.frames import Frames, Rows
from xbp.md.given import SITE, Given, named
from xbp.md.lammps_text import tilted
from xbp.md.source import Source, reading, require_file
from xbp.md.styles import STYLES

__all__ = ["data_topology", "element_of_mass", "is_data_file", "open_data_file"]


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
    ended = text.endswith("\n") or ends_whole(text.encode(), alone=True)
    require_file(ended, path, "its last line is cut short")
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
            fix="pass that of the LAMMPS input: atom_style='hybrid sphere dipole'",
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
        problem, fix = (
            "it has a general triclinic cell",
            "write_data without triclinic/general",
        )
        require_file(not general, path, problem, fix=fix)
    require_file(n_atoms > 0, path, "it has no number of atoms")
    sides = bounds[:, 1] - bounds[:, 0]
    require_file(bool((sides > 0).all()), path, f"the cell has the sides {sides}")
    cell = tilted(sides, tilt)
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
    table = require("periodictable", "look up masses", "neutron").elements
    near = [e.symbol for e in table if e.number and abs(float(e.mass) - mass) <= within]
    return near[0] if len(near) == 1 else ""
