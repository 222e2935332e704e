"""LAMMPS data files: one configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import QuantityError
from xbp.md.frames import (
    Found,
    Frames,
    Vectors,
    atom_order,
    cell_volume,
    element_of_mass,
    masses_of,
    require_finite,
)
from xbp.md.given import Given, named
from xbp.md.source import Source, reading, require_file

__all__ = ["data_topology", "is_data_file", "open_data_file"]

#: Columns of the type and of x in a line of "Atoms", and the number of columns without
#: image flags.
_LAYOUTS: Final = {
    "atomic": (1, 2, 5),
    "charge": (1, 3, 6),
    "molecular": (2, 3, 6),
    "bond": (2, 3, 6),
    "angle": (2, 3, 6),
    "full": (2, 4, 7),
    "sphere": (1, 4, 7),
    "ellipsoid": (1, 4, 7),
    "dipole": (1, 3, 9),
    "electron": (1, 5, 8),
}
_SECTION: Final = re.compile(r"^([A-Z][A-Za-z]+(?: [A-Za-z]+)*)\s*(?:#\s*(.*))?$")


def is_data_file(head: bytes) -> bool:
    """Return whether a file that begins so is a LAMMPS data file."""
    return b"xlo xhi" in head and b"atom types" in head


@dataclass
class _Contents:
    """A data file; rows of atoms are sorted by id."""

    units: str | None
    n_atoms: int = 0
    cell: np.ndarray = field(default_factory=lambda: np.full((3, 3), np.nan))
    kinds: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))
    labels: dict[str, str] = field(default_factory=dict)
    masses: dict[str, float] = field(default_factory=dict)
    position: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    velocity: np.ndarray | None = None

    def mass(self) -> np.ndarray | None:
        """Return the mass of every atom, 0 where it is not known."""
        every = np.array([self.masses.get(kind, 0.0) for kind in self.kinds.tolist()])
        return every if self.masses else None


def open_data_file(source: Source, given: Given) -> Found:
    """Open a LAMMPS data file; positions are from the corner of its cell.

    Raises
    ------
    FileFormatError
        If it is damaged.
    UnitsError, QuantityError
        If units or elements are neither in the file nor given.
    """
    contents = _read(source)
    style = given.style(contents.units)
    n = contents.n_atoms
    mass, reduced = contents.mass(), style.name == "lj"
    if mass is not None:
        mass = mass * style.mass
    elif reduced:
        mass = np.full(n, style.mass)
    v = None if contents.velocity is None else contents.velocity * style.speed
    r = contents.position * style.length
    require_finite(str(source.path), r, v, mass)

    def read(numbers: range) -> Iterator[Vectors]:
        for _ in numbers:
            yield r, v

    return Found(
        Frames(given.choose(1), n, v is not None, read),
        contents.cell[None] * style.length,
        _elements(given, contents, {} if reduced else contents.masses),
        mass,
        np.zeros(1),
        "111",
        reduced,
    )


def data_topology(source: Source) -> tuple[np.ndarray, np.ndarray | None]:
    """Return types, or their labels, and masses of the atoms of a data file, by id."""
    contents = _read(source)
    names = [contents.labels.get(kind, kind) for kind in contents.kinds.tolist()]
    return np.array(names, dtype=str), contents.mass()


def _read(source: Source) -> _Contents:
    """Read the header and the sections of a data file."""
    path, text = source.path, source.whole().decode("utf-8", "replace")
    stated = re.search(r"\bunits\s*=\s*(\w+)", text.partition("\n")[0])
    contents = _Contents(stated[1] if stated else None)
    sections: dict[str, tuple[str, list[list[str]]]] = {}
    header: list[list[str]] = []
    rows = header
    for line in text.splitlines()[1:]:
        words = line.partition("#")[0].split()
        if words and words[0][0].isalpha() and (found := _SECTION.match(line.strip())):
            rows = sections.setdefault(found[1], (found[2] or "", []))[1]
        elif words:
            rows.append(words)
    with reading(path):
        low = _read_box(contents, header, path)
    require_file("Atoms" in sections, path, "it has no section Atoms")
    with reading(f"{path}: Masses"):
        contents.masses = {
            r[0]: float(r[1]) for r in sections.get("Masses", ("", []))[1]
        }
        contents.labels = {
            r[0]: r[1] for r in sections.get("Atom Type Labels", ("", []))[1]
        }
    with reading(f"{path}: Atoms"):
        ids = _read_atoms(contents, *sections["Atoms"], low, path)
    if "Velocities" in sections:
        with reading(f"{path}: Velocities"):
            table = _table(
                path, sections["Velocities"][1], contents.n_atoms, "Velocities"
            )
            own = np.array([int(row[0]) for row in table])
            order = np.argsort(own, kind="stable")
            same = np.array_equal(own[order], ids)
            require_file(same, path, "the velocities are those of other atoms")
            values = np.array([row[1:4] for row in table], dtype=float)
            contents.velocity = values.reshape(-1, 3)[order]
    return contents


def _read_box(contents: _Contents, header: list[list[str]], path: Path) -> np.ndarray:
    """Read number of atoms and cell; return the corner of the cell."""
    bounds, tilt = np.full((3, 2), np.nan), np.zeros(3)
    for words in header:
        if words[1:] == ["atoms"]:
            contents.n_atoms = int(words[0])
        elif words[-1] in ("xhi", "yhi", "zhi"):
            bounds["xyz".index(words[-1][0])] = [float(word) for word in words[:2]]
        elif words[-3:] == ["xy", "xz", "yz"]:
            tilt = np.array(words[:3], dtype=float)
        require_file(
            words[-1] not in ("avec", "bvec", "cvec", "abc"),
            path,
            "it has a general triclinic cell",
            fix="write_data without triclinic/general",
        )
    require_file(contents.n_atoms > 0, path, "it has no number of atoms")
    sides = bounds[:, 1] - bounds[:, 0]
    require_file(bool((sides > 0).all()), path, f"the cell has the sides {sides}")
    contents.cell = np.diag(sides)
    contents.cell[[1, 2, 2], [0, 0, 1]] = tilt
    cell_volume(contents.cell, str(path))
    return bounds[:, 0]


def _table(path: Path, rows: list[list[str]], n: int, name: str) -> list[list[str]]:
    whole = len(rows) == n and len({len(row) for row in rows}) == 1
    problem = f"{len(rows)} rows in {name}, some incomplete, for {n} atoms"
    require_file(whole, path, problem)
    return rows


def _read_atoms(
    contents: _Contents, style: str, rows: list[list[str]], low: np.ndarray, path: Path
) -> np.ndarray:
    """Read types and positions, unwrapped by image flags; return the sorted ids."""
    width = len(_table(path, rows, contents.n_atoms, "Atoms")[0])
    style = style.strip() or {5: "atomic", 8: "atomic"}.get(width, "")
    kind, x, plain = _LAYOUTS.get(style, (0, 0, -9))
    require_file(
        width in (plain, plain + 3),
        path,
        f"unknown columns of Atoms ({width} of style '{style or 'not stated'}')",
        fix=f"write 'Atoms # atomic', or what is true of {', '.join(_LAYOUTS)}",
    )
    ids = np.array([int(row[0]) for row in rows])
    kinds = np.array([row[kind] for row in rows], dtype=str)
    order = atom_order(str(path), kinds, ids)
    r = np.array([row[x : x + 3] for row in rows], dtype=float) - low
    if width > plain:
        r += np.array([row[plain:] for row in rows], dtype=int) @ contents.cell
    contents.kinds, contents.position = kinds[order], r[order]
    return np.asarray(ids[order])


def _elements(
    given: Given, contents: _Contents, masses: dict[str, float]
) -> np.ndarray:
    """Return elements: as given, by type labels, or by unambiguous masses."""
    path, kinds = given.path, contents.kinds
    if given.elements is not None:
        symbols = named(given, kinds)
        if given.lj is None:  # names must be elements
            masses_of(path, symbols, given.masses, None)
        return symbols
    found = {}
    for kind in np.unique(kinds).tolist():
        mass = masses.get(kind)
        symbol = contents.labels.get(kind) or ("" if kind.isdigit() else kind)
        symbol = symbol or (element_of_mass(mass) if mass is not None else None) or ""
        if not symbol:
            has = "no mass" if mass is None else f"the mass {mass:g}"
            raise QuantityError(
                f"the elements of {path} are unknown: type {kind} has {has}",
                fix="elements={1: 'Zr', 2: 'Cu'}, or ['Zr', 'Cu'] in the order of the "
                "types",
            )
        found[kind] = symbol
    return np.array([found[kind] for kind in kinds.tolist()], dtype=str)
