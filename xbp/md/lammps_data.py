"""LAMMPS data files: one configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError
from xbp.md.assemble import element_of_mass, masses_of
from xbp.md.given import Given, named
from xbp.md.lammps_units import style_of
from xbp.md.lazy import Found, LazyFrames, cell_volume, choose, require_finite
from xbp.md.source import Source

__all__ = ["data_topology", "is_data_file", "open_data_file"]

#: Where the type and x stand in a line of "Atoms", and how many numbers there are
#: without the image flags.
_LAYOUTS: Final = {
    "atomic": (1, 2, 5), "charge": (1, 3, 6), "molecular": (2, 3, 6), "bond": (2, 3, 6), "angle": (2, 3, 6),
    "full": (2, 4, 7), "sphere": (1, 4, 7), "ellipsoid": (1, 4, 7), "dipole": (1, 3, 9), "electron": (1, 5, 8),
}  # fmt: skip
_SECTIONS: Final = re.compile(
    r"^(Atoms|Velocities|Masses|Atom Type Labels|[A-Z][A-Za-z]+( "
    r"[A-Za-z]+)*)\s*(#\s*(.*))?$"
)


def is_data_file(head: bytes) -> bool:
    """Tell by the beginning of a file whether it is a LAMMPS data file."""
    return b"xlo xhi" in head and b"atom types" in head


@dataclass
class _Parsed:
    n_atoms: int = 0
    low: np.ndarray = field(default_factory=lambda: np.zeros(3))
    cell: np.ndarray = field(default_factory=lambda: np.full((3, 3), np.nan))
    style: str = ""
    sections: dict[str, list[str]] = field(default_factory=dict)


def open_data_file(source: Source, given: Given, frames: slice | None) -> Found:
    """Open the configuration of a LAMMPS data file, from the corner of its cell, as dumps are read.

    Raises
    ------
    FileFormatError
        If it is damaged.
    UnitsError, QuantityError
        If units or elements are neither in the file nor given.
    """
    path = source.path
    given.allow(
        "a LAMMPS data file",
        "units",
        "elements",
        "masses",
        "lj",
        why="one configuration, without a time",
    )
    text = source.whole().decode("utf-8", "replace")
    stated = re.search(r"\bunits\s*=\s*(\w+)", text.partition("\n")[0])
    style = style_of(path, given.units, stated[1] if stated else None, given.lj)
    parsed = _parse(path, text)
    chosen = choose(1, frames, path)
    ids, kinds, position, layout = _atoms(path, parsed)
    order = np.argsort(ids, kind="stable")
    masses = _masses(path, parsed)
    element = _elements(
        path, given, parsed, kinds, masses if style.name != "lj" else {}
    )
    mass = np.array([masses.get(kind, 0.0) for kind in kinds.tolist()]) * style.mass
    if style.name == "lj" and not masses:
        mass = np.full(ids.size, style.mass)
    velocity = _velocities(path, parsed, ids, layout)
    r = ((position - parsed.low) * style.length)[order]
    v = None if velocity is None else (velocity * style.speed)[order]
    for values in (r, mass, *([] if v is None else [v])):
        require_finite(values, str(path))
    lazy = LazyFrames(chosen, ids.size, v is not None, _Held(r, v))
    return Found(
        lazy, parsed.cell[None] * style.length, element[order], mass[order] if masses or style.name == "lj" else None,
        np.zeros(1), "111", style.name == "lj",
    )  # fmt: skip


def data_topology(source: Source) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the types, or their labels, and masses of the atoms of a data file, sorted by id."""
    path = source.path
    parsed = _parse(path, source.whole().decode("utf-8", "replace"))
    ids, kinds, _, _ = _atoms(path, parsed)
    masses = _masses(path, parsed)
    labels = dict(
        row.split()[:2] for row in parsed.sections.get("Atom Type Labels", [])
    )
    kinds = kinds[np.argsort(ids, kind="stable")]
    names = np.array([labels.get(kind, kind) for kind in kinds.tolist()], dtype=str)
    return names, np.array(
        [masses.get(kind, 0.0) for kind in kinds.tolist()]
    ) if masses else None


@dataclass(frozen=True)
class _Held:
    position: np.ndarray
    velocity: np.ndarray | None

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        n = len(numbers)
        return (
            np.repeat(self.position[None], n, axis=0),
            None
            if self.velocity is None
            else np.repeat(self.velocity[None], n, axis=0),
        )


def _parse(path: Path, text: str) -> _Parsed:
    """Read the header, and cut the rest into sections."""
    parsed, bounds, tilt = _Parsed(), {}, np.zeros(3)
    lines = text.splitlines()
    section: list[str] | None = None
    for line in lines[1:]:
        bare = line.partition("#")[0].strip()
        if bare and bare[0].isalpha() and (found := _SECTIONS.match(line.strip())):
            section = parsed.sections.setdefault(found[1], [])
            if found[1] == "Atoms":
                parsed.style = (found[4] or "").strip()
        elif not bare:
            continue
        elif section is not None:
            section.append(line)
        else:
            words = bare.split()
            try:
                if bare.endswith(" atoms") and len(words) == 2:
                    parsed.n_atoms = int(words[0])
                elif words[-1] in ("xhi", "yhi", "zhi"):
                    bounds["xyz".index(words[-1][0])] = (
                        float(words[0]),
                        float(words[1]),
                    )
                elif words[-3:] == ["xy", "xz", "yz"]:
                    tilt = np.array(words[:3], dtype=float)
                elif words[-1] in ("avec", "bvec", "cvec", "abc"):
                    raise FileFormatError(
                        f"{path} has a general triclinic cell",
                        fix="write_data without triclinic/general",
                    )
            except ValueError as error:
                raise FileFormatError(
                    f"{path}: '{bare[:60]}'", reason=str(error), fix="copy it again"
                ) from None
    if set(bounds) != {0, 1, 2} or parsed.n_atoms < 1 or "Atoms" not in parsed.sections:
        raise FileFormatError(
            f"{path} is not a complete data file",
            reason="bounds, number of atoms or section Atoms missing",
        )
    parsed.low = np.array([bounds[axis][0] for axis in range(3)])
    parsed.cell = np.diag([bounds[axis][1] - bounds[axis][0] for axis in range(3)])
    parsed.cell[1, 0], parsed.cell[2, 0], parsed.cell[2, 1] = tilt
    if not (np.diag(parsed.cell) > 0).all() or not cell_volume(parsed.cell) > 0:
        raise FileFormatError(
            f"{path}: the cell has the sides {np.diag(parsed.cell)}",
            reason="they must be positive",
        )
    return parsed


def _table(path: Path, rows: list[str], n: int, name: str) -> list[list[str]]:
    table = [row.partition("#")[0].split() for row in rows]
    if len(table) != n or len({len(row) for row in table}) > 1:
        raise FileFormatError(
            f"{path} has {len(table)} rows in {name}, or incomplete rows",
            reason=f"its header gives {n} atoms",
            fix="copy it again",
        )
    return table


def _atoms(
    path: Path, parsed: _Parsed
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return ids, types, positions (unwrapped by their image flags) and the style of the atoms."""
    table = _table(path, parsed.sections["Atoms"], parsed.n_atoms, "Atoms")
    width = len(table[0])
    style = parsed.style or {5: "atomic", 8: "atomic"}.get(width, "")
    if style not in _LAYOUTS or width not in (
        _LAYOUTS[style][2],
        _LAYOUTS[style][2] + 3,
    ):
        raise FileFormatError(
            f"{path}: the columns of Atoms are unknown ({width} of style "
            f"'{style or 'not stated'}')",
            reason=f"xbp reads the styles {', '.join(_LAYOUTS)}",
            fix="write 'Atoms # atomic', or the actual style, in the file",
        )
    kind, x, plain = _LAYOUTS[style]
    try:
        ids = np.array([int(row[0]) for row in table])
        position = np.array([row[x : x + 3] for row in table], dtype=float)
        if width > plain:
            position = (
                position
                + np.array([row[plain:] for row in table], dtype=int) @ parsed.cell
            )
    except ValueError as error:
        raise FileFormatError(
            f"{path}: Atoms cannot be read", reason=str(error), fix="copy it again"
        ) from None
    if np.unique(ids).size != ids.size:
        raise FileFormatError(
            f"{path}: an atom id occurs twice", reason="ids must be unique"
        )
    return ids, np.array([row[kind] for row in table], dtype=str), position, style


def _masses(path: Path, parsed: _Parsed) -> dict[str, float]:
    try:
        rows = [
            row.partition("#")[0].split() for row in parsed.sections.get("Masses", [])
        ]
        return {row[0]: float(row[1]) for row in rows}
    except (ValueError, IndexError) as error:
        raise FileFormatError(
            f"{path}: Masses cannot be read", reason=str(error), fix="copy it again"
        ) from None


def _elements(
    path: Path,
    given: Given,
    parsed: _Parsed,
    kinds: np.ndarray,
    masses: dict[str, float],
) -> np.ndarray:
    """Return elements: as given, by the labels of the types, or by masses that are those of one element alone."""
    if given.elements is not None:
        symbols = named(path, kinds, given.elements)
        if given.lj is None:
            masses_of(
                path, symbols, given.masses, None
            )  # refused where one is no element
        return symbols
    labels = dict(
        row.split()[:2] for row in parsed.sections.get("Atom Type Labels", [])
    )
    found = {
        kind: labels.get(kind, kind if not kind.isdigit() else "")
        for kind in np.unique(kinds).tolist()
    }
    for kind in found:
        found[kind] = found[kind] or (
            element_of_mass(masses[kind]) or "" if kind in masses else ""
        )
    missing = [kind for kind, symbol in found.items() if not symbol]
    if missing:
        raise QuantityError(
            f"the elements of {path} are unknown",
            reason=f"type {missing[0]} has "
            + (
                f"the mass {masses[missing[0]]:g}"
                if missing[0] in masses
                else "no mass"
            ),
            fix="elements={1: 'Zr', 2: 'Cu'}, or ['Zr', 'Cu'] in the order of the "
            "types",
        )
    return np.array([found[kind] for kind in kinds.tolist()], dtype=str)


def _velocities(
    path: Path, parsed: _Parsed, ids: np.ndarray, style: str
) -> np.ndarray | None:
    if "Velocities" not in parsed.sections:
        return None
    table = _table(path, parsed.sections["Velocities"], parsed.n_atoms, "Velocities")
    try:
        own = np.array([int(row[0]) for row in table])
        values = np.array([row[1:4] for row in table], dtype=float)
    except ValueError as error:
        raise FileFormatError(
            f"{path}: Velocities cannot be read", reason=str(error), fix="copy it again"
        ) from None
    place = np.argsort(own, kind="stable")
    if not np.array_equal(own[place], np.sort(ids)) or values.shape[1] != 3:
        raise FileFormatError(
            f"{path}: the velocities are those of other atoms ({style})",
            reason="the ids differ",
        )
    return np.asarray(
        values[place][np.argsort(np.argsort(ids, kind="stable"), kind="stable")]
    )
