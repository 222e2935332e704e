"""Extended XYZ, read as its producers write it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import not_used
from xbp.core.units import convert_factor
from xbp.md.found import Found, cell_volume, masses_of
from xbp.md.frames import Columns, Frames, Rows, read_table
from xbp.md.given import Given, named
from xbp.md.source import (
    Header,
    Lines,
    Source,
    index_frames,
    reading,
    require_file,
)
from xbp.md.styles import Style, unit_factor
from xbp.md.topology import symbols_by_number
from xbp.md.xyz import atom_count

__all__ = ["is_extxyz", "open_extxyz", "require_consecutive"]

_PAIR = re.compile(
    r'([^\s="]+|"[^"]*")\s*=\s*("(?:[^"\\]|\\.)*"|\'[^\']*\'|\{[^}]*\}'
    r"|\[(?:[^][]|\[[^]]*\])*\]|\S+)"
)
#: Units that a comment declares: time_unit=fs, units=metal; what they convert to.
_UNITS = re.compile(
    r"(?:(time|length|pos|cell|lattice|vel|mass|energy|force)[a-z]*[_-]?)?units?"
)
#: A time with its unit in its name or its value: time_fs=20, time="20 fs".
_TIME = re.compile(r"time[\s_(\[]*(fs|ps|ns|)[)\]]?")
_TIME_VALUE = re.compile(r"([-+\d.eE]+)\s*(fs|ps|ns)")
_TARGETS = {"time": "ps", "vel": "angstrom/ps", "mass": "u"}
#: Results of potentials: energy, free_energy, ref_energy; forces, mace_forces.
_RESULTS = {"energy": "eV", "force": "eV/angstrom"}
_ENERGY = re.compile(r"(?:\w+_)?energy")
_FORCES = re.compile(r"(?:\w+_)?forces?")
_STEPS = ("timestep", "step", "md_step", "mdstep", "iteration")
_KINDS = {"S": str, "I": "int64", "R": float, "L": str}


def is_extxyz(head: bytes) -> bool:
    """Return whether a file that begins so is extended XYZ."""
    first, _, rest = head.partition(b"\n")
    comment = rest.partition(b"\n")[0].lower()
    return first.strip().isdigit() and re.search(rb"lattice\s*=", comment) is not None


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
    """Open extended XYZ; with energies and forces, which are in eV and eV/Å.

    Those of ASE, GPUMD and LAMMPS's units metal are; those of units that the comments
    declare are converted; of others they are left out.

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
    chosen = given.choose(len(table))
    picked = [table[i] for i in chosen]
    times = _numbers(picked, "time")
    counted = (_numbers(picked, key) for key in _STEPS)
    marks = next((steps for steps in counted if steps is not None), None)
    timed = times is not None or marks is not None
    require_consecutive(path, [head.info for head in picked], timed)
    columns: Columns = table[0].shared["columns"]
    declared = _declared(path, picked)
    units = {kind: declared.pop(kind, None) for kind in _RESULTS}
    by_gpumd = not declared and "gpumd" in picked[0].info
    style = _style(given, columns, by_gpumd, declared)
    velocity, speed = _velocity(given, columns, style)
    length = 1.0 if style is None else style.length
    label = next((n for n in ("species", "element", "z", "type") if n in columns), "")
    if not label:
        raise QuantityError(f"{path} does not state the elements: no column species")
    masses = _column(columns, ("mass", "masses"), (float, 1))
    ids = _column(columns, ("id",), ("int64", 1))

    with reading(f"{path}, frame {chosen[0]}"):
        atoms = read_table(
            source, picked[0], columns, filter(None, (label, ids, masses))
        )
    if ids and np.unique(atoms[ids]).size < table[0].n_rows:
        ids = ""  # repeated ids do not identify atoms
    order = np.argsort(atoms[ids], kind="stable") if ids else slice(None)
    species = atoms[label][order].astype(str)
    if label == "z":
        species = symbols_by_number(species)
    mass = None
    if masses:
        mass = atoms[masses][order] * (1.0 if style is None else style.mass)
    if velocity == "momenta":
        # The masses that the writer had: of the file, else of its elements.
        speed = speed / masses_of(path, species, None, mass)[:, None]

    def rows(numbers: range) -> Iterator[Rows]:
        for number in numbers:
            names = filter(None, (label, ids, "pos", velocity))
            found = read_table(source, table[number], columns, names)
            factor = speed
            if velocity == "momenta" and ids:  # masses are in the order of the ids
                factor = speed[np.argsort(np.argsort(found[ids]))]
            yield Rows(
                found[label],
                found[ids] if ids else None,
                (found["pos"] - table[number].origin) * length,
                found[velocity] * factor if velocity else None,
            )

    def forces(name: str) -> Frames:
        def rows(numbers: range) -> Iterator[Rows]:
            for number in numbers:
                found = read_table(
                    source, table[number], columns, filter(None, (label, ids, name))
                )
                order = found[ids] if ids else None
                yield Rows(found[label], order, found[name] * factors["force"])

        return Frames(path, chosen, rows)

    as_ase = style is None or (style.name, style.length) == ("declared", 1)
    in_ev = as_ase or by_gpumd or (style is not None and style.name == "metal")
    factors = _result_factors(units, in_ev)
    results = [name for name in columns if _FORCES.fullmatch(name)]
    results = [name for name in results if _column(columns, (name,), (float, 3))]
    energies = {n: _numbers(picked, n) for n in picked[0].info if _ENERGY.fullmatch(n)}

    if times is not None and style is not None and np.isfinite(style.time):
        times = times * style.time
    elif times is not None:
        # Without units, times are only taken to be unequal where they are.
        counts = marks is not None and given.timestep is not None
        times, marks = None, marks if counts else times
    return Found(
        Frames(path, chosen, rows),
        np.stack([head.cell for head in picked]) * length,
        named(given, species),
        mass,
        given.times(len(picked), own=times, marks=marks, style=style),
        table[0].shared["periodic"],
        style is not None and style.name == "lj",
        energies={
            n: e * factors["energy"]
            for n, e in energies.items()
            if "energy" in factors and e is not None
        },
        forces={n.removesuffix("s"): forces(n) for n in results if "force" in factors},
    )


def _read_header(lines: Lines, where: str) -> Header | None:
    line = lines.first_of_frame()
    if not line:
        return None
    count = atom_count(line, where)
    comment = lines.next().decode("utf-8", "replace")
    info = {
        key.strip('"').lower(): value.strip("\"'{}[]")
        for key, value in _PAIR.findall(comment)
    }
    for key in filter(_TIME.fullmatch, list(info)):
        value = _TIME_VALUE.fullmatch(info[key].strip())
        unit = _TIME.sub(r"\1", key) or (value[2] if value else "")
        info["time"] = value[1] if value else info[key]
        info |= {"time_unit": unit} if unit else {}
    kind = info.get("coords", info.get("coordinates", "cartesian"))
    direct = kind.lower() in ("fractional", "direct", "scaled", "reduced", "crystal")
    require_file(not direct, where, f"its coordinates are {kind}, not Cartesian")
    if comment.lstrip().startswith("Time="):
        info["gpumd"] = "its producer"
    columns = _columns(info.get("properties", "species:S:1:pos:R:3"), where)
    cell, origin = (
        np.array(re.sub("[][,]", " ", info.get(key, default)).split(), dtype=float)
        for key, default in (("lattice", ""), ("origin", "0 0 0"))
    )
    sides = re.sub("[][,]", " ", info.get("pbc", "T T T")).upper().split()
    require_file(
        cell.size == 9 and origin.size == 3 and len(sides) == 3,
        where,
        "Lattice must be nine numbers, Origin and pbc three",
    )
    cell = cell.reshape(3, 3)
    cell_volume(cell, where)
    periodic = "".join("1" if side in ("T", "TRUE", "1") else "0" for side in sides)
    shared = {"n_atoms": count, "columns": columns, "periodic": periodic}
    return Header(count, cell, shared, origin=origin, info=info)


def _columns(text: str, where: str) -> Columns:
    words, at = text.split(":"), 0
    columns: Columns = {}
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=True):
        # More columns do not fit into a line.
        known = kind in _KINDS and count.isdigit() and 0 < int(count) < 2**15 - at
        problem = f"Properties={text[:60]} must be name:type:number"
        require_file(known, where, problem)
        columns[name.lower()] = (at, _KINDS[kind], int(count))
        at += int(count)
    there = columns.get("pos", ())[1:] == (float, 3)
    require_file(there, where, f"Properties={text[:60]} has no positions (pos:R:3)")
    return columns


def _column(columns: Columns, names: tuple[str, ...], kind: tuple[Any, int]) -> str:
    """Return the first of some names that is a column of this type, or nothing."""
    return next((name for name in names if columns.get(name, ())[1:] == kind), "")


def _numbers(picked: list[Header], key: str) -> np.ndarray | None:
    """Return the numbers that all frames have under a key, or None."""
    try:
        return np.array([float(head.info[key]) for head in picked])
    except (KeyError, ValueError):
        return None


def _declared(path: Any, picked: list[Header]) -> dict[str, str]:
    """Return the units that the comments declare, by what they are of."""
    found: dict[str, str] = {}
    for key, value in (item for head in picked for item in head.info.items()):
        if match := _UNITS.fullmatch(key):
            before = found.setdefault(match[1] or "", value)
            require_file(before == value, path, f"{key}={value} contradicts {before}")
    cell = found.pop("lattice", None) or found.pop("cell", None)
    length = found.get("length", found.get("pos"))
    require_file(
        cell is None or cell == length or "length" in found,
        path,
        f"its comment declares the cell in {cell}, positions in {length}",
    )
    return found


def _result_factors(units: dict[str, str | None], in_ev: bool) -> dict[str, float]:
    """Return the factors of energies and forces to eV and eV/Å, of those known."""
    if not any(units.values()):
        return dict.fromkeys(_RESULTS, 1.0) if in_ev else {}
    factors = {}
    for kind, text in units.items():
        with contextlib.suppress(UnitsError):
            factors[kind] = unit_factor(text or "", _RESULTS[kind], kind)
    return factors


def _style(
    given: Given, columns: Columns, by_gpumd: bool, declared: dict[str, str]
) -> Style | None:
    """Return the units of the file, if they are known; lengths are in Å otherwise.

    Those that the comment declares, or else those given; both must agree.
    """
    stated = declared.pop("", "").lower() or None
    if by_gpumd and given.units in (None, "real"):
        style: Style | None = Given(given.path, units="real", lj=given.lj).style(stated)
    elif "momenta" in columns or by_gpumd:
        known = "Å, fs and Å/fs, as GPUMD writes" if by_gpumd else "those of ASE"
        because = f"the units of {given.path} are {known}"
        other = stated if stated != "ase" else None
        not_used(because, units=given.units or other, lj=given.lj)
        style = None
    elif stated is not None or given.units is not None or given.lj is not None:
        style = given.style(stated)
    else:
        style = None
    own = style or Style("declared", time=np.nan, speed=np.nan)
    changed: dict[str, Any] = {}
    for kind, text in declared.items():
        field = {"vel": "speed"}.get(kind, kind if kind in _TARGETS else "length")
        target = _TARGETS.get(kind, "angstrom")
        factor = convert_factor(text, target, name=f"{kind} in {given.path}")
        if style is not None and not np.isclose(getattr(style, field), factor):
            raise UnitsError(
                f"{given.path} gives {kind} in {text!r}, which contradicts "
                f"units='{style.name}'",
                fix="leave units= out",
            )
        changed[field] = factor
    return replace(own, **changed) if declared else style


def _velocity(given: Given, columns: Columns, style: Style | None) -> tuple[str, Any]:
    """Return the column of velocities, and its factor to Å/ps (of momenta u Å/ps)."""
    names = ("momenta", "vel", "velo", "velocity", "velocities")
    name = _column(columns, names, (float, 3))
    if name == "momenta":
        # ASE's unit of time is Å √(u/eV).
        return name, constants.HBAR_ROOT_EV_PER_U / constants.HBAR
    if name and (style is None or np.isnan(style.speed)):
        raise UnitsError(
            f"the units of the column {name} of {given.path} are not known",
            fix="units='real' (Å/fs), 'metal' (Å/ps), …, as LAMMPS calls them",
        )
    return name, np.nan if style is None else style.speed
