"""Extended XYZ, read as its producers write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.core.optional import require
from xbp.md.assemble import masses_of
from xbp.md.given import Given, frame_times, named
from xbp.md.lammps_units import Style, style_of
from xbp.md.lazy import (
    Found,
    LazyFrames,
    cell_volume,
    choose,
    read_columns,
    require_same,
)
from xbp.md.source import Lines, Source, require_modest

__all__ = ["is_extxyz", "open_extxyz"]

_PAIR = re.compile(
    r'([^\s="]+|"[^"]*")\s*=\s*("(?:[^"\\]|\\.)*"|\{[^}]*\}|\[[^\]]*\]|\S+)'
)
_STEPS = ("timestep", "step", "md_step", "mdstep", "iteration")
_VELOCITIES = ("vel", "velo", "velocity", "velocities")
_KINDS = {"S": str, "I": "int64", "R": float, "L": str}


@dataclass(frozen=True)
class _Frame:
    begin: int
    end: int
    cell: np.ndarray
    origin: np.ndarray
    periodic: str
    info: dict[str, str]
    by_gpumd: bool


def is_extxyz(head: bytes) -> bool:
    """Tell by the beginning of a file whether it is extended XYZ."""
    first, _, rest = head.partition(b"\n")
    return first.strip().isdigit() and b"lattice=" in rest.partition(b"\n")[0].lower()


def open_extxyz(source: Source, given: Given, frames: slice | None) -> Found:
    """Open extended XYZ.

    Raises
    ------
    FileFormatError
        If a frame is damaged or has other atoms, or the file is a set of configurations
        and no motion.
    UnitsError
        If the units of velocities, or the time, are not known.
    """
    path = source.path
    table, columns, width, n_atoms = _index(source)
    chosen = choose(len(table), frames, path)
    picked = [table[i] for i in chosen]
    first = picked[0]
    _require_motion(path, picked)
    given.allow(
        "extended XYZ",
        "units",
        "elements",
        "masses",
        "timestep",
        "time_between_frames",
        "lj",
    )
    style = _style(path, given, first, columns)
    names = _names(source, first, columns, width, n_atoms)
    order = names["order"]
    element = named(path, names["species"], given.elements)
    mass = (
        None
        if names["mass"] is None
        else names["mass"] * (1.0 if style is None else style.mass)
    )
    length = 1.0 if style is None else style.length
    factor, velocity = _velocities(path, columns, style, first)
    own, marks = _times(picked, style, given)
    time = frame_times(
        path, len(picked), own=own, marks=marks, step=_step(given, style), between=given.between,
        ask="time_between_frames='20 "
            "fs'" + ("" if marks is None else ", or "
                                                                      "timestep='2 "
                                                                      "fs'"),
    )  # fmt: skip
    if velocity == "momenta":
        # Those that the writer had: of the file, else of its elements.
        factor = factor / masses_of(path, names["species"], None, mass)[:, None]
    read = _Reader(
        source,
        tuple(table),
        columns,
        width,
        n_atoms,
        names["raw"],
        order,
        names["ids"],
        length,
        velocity,
        factor,
    )
    lazy = LazyFrames(chosen, n_atoms, velocity is not None, read)
    cells = np.stack([frame.cell for frame in picked]) * length
    return Found(
        lazy,
        cells,
        element,
        mass,
        time,
        first.periodic,
        style is not None and style.name == "lj",
    )


def _index(
    source: Source,
) -> tuple[list[_Frame], dict[str, tuple[int, str, int]], int, int]:
    """Find the frames and read their second lines.

    Return the columns, their number and that of the atoms too.
    """
    path, lines = source.path, Lines(source)
    found: list[_Frame] = []
    columns: dict[str, tuple[int, str, int]] = {}
    width = n_atoms = 0
    while True:
        lines.begin_frame()
        line = lines.next()
        if not line.strip():
            if line and not lines.only_blank():
                raise FileFormatError(
                    f"{path}: a blank line follows frame {len(found) - 1}",
                    fix="copy it again",
                )
            break
        count = line.strip()
        if not count.isdigit() or len(count) > 12 or int(count) == 0:
            raise FileFormatError(
                f"{path}, frame {len(found)} begins with "
                f"'{line[:20].decode('ascii', 'replace').strip()}'",
                reason="an XYZ frame begins with its number of atoms",
                fix="the file is damaged there: copy it again",
            )
        require_modest(source, 8 * int(count))
        comment = lines.next().decode("utf-8", "replace")
        begin = lines.at
        if lines.skip(int(count)) < int(count) or not (lines.ended or not found):
            if source.keep_part and found:
                break
            raise FileFormatError(
                f"{path} is cut short in frame {len(found)}",
                reason=f"the frame should have {int(count)} atoms",
                fix=f"truncated='drop' opens the {len(found)} whole frames before it"
                if found
                else "copy it again",
            )
        where = f"{path}, frame {len(found)}"
        info = {
            key.strip('"').lower(): value.strip('"{}[]')
            for key, value in _PAIR.findall(comment)
        }
        these, n_columns = _columns(
            info.get("properties", "species:S:1:pos:R:3"), where
        )
        if not found:
            columns, width, n_atoms = these, n_columns, int(count)
        elif (these, int(count)) != (columns, n_atoms):
            raise FileFormatError(
                f"{where} does not contain the atoms of the first frame",
                reason=f"{int(count)} atoms instead of {n_atoms}, or other columns",
                fix="all frames of a trajectory must contain the same atoms in the "
                "same order",
            )
        found.append(_frame(begin, lines.at, comment, info, where))
    return found, columns, width, n_atoms


def _columns(text: str, where: str) -> tuple[dict[str, tuple[int, str, int]], int]:
    """Return name → (first column, type, number of columns), and the number of all."""
    words, at = text.split(":"), 0
    columns = {}
    for name, kind, count in zip(words[::3], words[1::3], words[2::3], strict=False):
        if not count.isdigit() or kind not in _KINDS or not 0 < int(count) < 1000:
            raise FileFormatError(
                f"{where}: Properties={text}",
                reason="they are name:type:number",
                fix="copy it again",
            )
        columns[name.lower()] = (at, kind, int(count))
        at += int(count)
    if len(words) % 3 or columns.get("pos", (0, "", 0))[1:] != ("R", 3):
        raise FileFormatError(
            f"{where}: Properties={text}", reason="there are no positions (pos:R:3)"
        )
    return columns, at


def _frame(
    begin: int, end: int, comment: str, info: dict[str, str], where: str
) -> _Frame:
    try:
        cell = np.array(info["lattice"].replace(",", " ").split(), dtype=float).reshape(
            3, 3
        )
        origin = np.array(
            info.get("origin", "0 0 0").replace(",", " ").split(), dtype=float
        ).reshape(3)
    except (KeyError, ValueError):
        raise FileFormatError(
            f"{where}: Lattice={info.get('lattice')!r}",
            reason="nine numbers are needed",
            fix="copy it again",
        ) from None
    volume = cell_volume(cell) if np.isfinite(origin).all() else np.nan
    if not (np.isfinite(volume) and volume > 1e-9 * np.abs(cell).max() ** 3):
        raise FileFormatError(
            f"{where}: Lattice={info['lattice']!r} has a volume of {volume:g}",
            reason="it must be positive",
        )
    sides = [
        word.upper() for word in info.get("pbc", "T T T").replace(",", " ").split()
    ]
    periodic = "".join("1" if side in ("T", "TRUE", "1") else "0" for side in sides)
    if len(sides) != 3:
        raise FileFormatError(
            f"{where}: pbc={info['pbc']!r}", reason="three values, T or F, are needed"
        )
    return _Frame(
        begin, end, cell, origin, periodic, info, comment.lstrip().startswith("Time=")
    )


def _require_motion(path: Path, picked: list[_Frame]) -> None:
    """Refuse a set of configurations that are no motion.

    Those of training data carry labels and no time.
    """
    if len(picked) == 1:
        return
    info = picked[0].info
    labels = [
        key
        for frame in picked
        for key in frame.info
        if key == "config_type" or "weight" in key
    ]
    timed = all(
        "time" in f.info or any(step in f.info for step in _STEPS) for f in picked
    )
    if labels and not timed:
        raise FileFormatError(
            f"{path} is a set of configurations, not a trajectory: its frames have "
            f"{labels[0]}= but no time",
            reason="spectra and displacements need consecutive frames of one "
            "simulation",
            fix="open one configuration at a time: frames=slice(0, 1)",
        )
    if any(frame.periodic != picked[0].periodic for frame in picked):
        raise FileFormatError(
            f"{path}: the periodic sides (pbc) change",
            reason=f"in the first frame they are {info.get('pbc')}",
        )


def _style(
    path: Path, given: Given, first: _Frame, columns: dict[str, Any]
) -> Style | None:
    """Return the units that are given.

    None for Å, where the file or its producer says the rest.
    """
    if first.by_gpumd:
        if given.units not in (None, "real"):
            raise UnitsError(
                f"units={given.units!r} contradicts {path}",
                reason="it was written by GPUMD, in Å, fs and Å/fs",
                fix="leave it out",
            )
        return style_of(path, "real", None, given.lj)
    if given.units is not None or given.lj is not None:
        if "momenta" in columns:
            raise UnitsError(
                f"units={given.units!r} contradicts {path}",
                reason="its column momenta is in the units of ASE",
                fix="leave it out",
            )
        return style_of(path, given.units, None, given.lj)
    return None


def _velocities(
    path: Path,
    columns: dict[str, tuple[int, str, int]],
    style: Style | None,
    first: _Frame,
) -> tuple[Any, str | None]:
    """Return the factor to Å/ps (of momenta: to u Å/ps), and the column."""
    there = [
        name
        for name in ("momenta", *_VELOCITIES)
        if columns.get(name, (0, "", 0))[1:] == ("R", 3)
    ]
    if not there:
        return 1.0, None
    if there[0] == "momenta":
        # ASE's unit of time is Å √(u/eV).
        return constants.HBAR_ROOT_EV_PER_U / constants.HBAR, "momenta"
    if style is None:
        raise UnitsError(
            f"the units of the column {there[0]} of {path} are not known",
            reason="programs use this name for Å/fs, Å/ps, ASE units or LAMMPS units",
            fix="units='real' (Å/fs), 'metal' (Å/ps), …, as LAMMPS calls them",
        )
    return style.speed, there[0]


def _step(given: Given, style: Style | None) -> float | None:
    from_number = (
        style is not None and style.name == "lj" and not isinstance(given.timestep, str)
    )
    return (
        given.timestep * style.time
        if from_number and given.timestep is not None and style
        else given.step
    )


def _times(
    picked: list[_Frame], style: Style | None, given: Given
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return times in ps, and marks that grow with time: both, or None."""

    def numbers(key: str) -> np.ndarray | None:
        try:
            return np.array([float(frame.info[key]) for frame in picked])
        except (KeyError, ValueError):
            return None

    time = numbers("time")
    marks = next((found for key in _STEPS if (found := numbers(key)) is not None), None)
    if time is None:
        return None, marks
    if style is not None:
        return time * style.time, marks
    # Of unknown units; but equal ones they are not, where they differ.
    return None, marks if marks is not None and given.timestep is not None else time


def _names(
    source: Source,
    frame: _Frame,
    columns: dict[str, tuple[int, str, int]],
    width: int,
    n_atoms: int,
) -> dict[str, Any]:
    """Read what the first frame says of the atoms: names, masses, identities."""
    path = source.path
    label = next(
        (name for name in ("species", "element", "z", "type") if name in columns), None
    )
    if label is None:
        raise QuantityError(
            f"{path} does not give the elements",
            reason="it has no column species",
            fix="write that column",
        )
    mass = next(
        (
            name
            for name in ("mass", "masses")
            if columns.get(name, (0, "", 0))[1:] == ("R", 1)
        ),
        None,
    )
    ids = "id" if columns.get("id", (0, "", 0))[1:] == ("I", 1) else None
    wanted = {
        columns[name][0]: _KINDS[columns[name][1]]
        for name in (label, mass, ids)
        if name is not None
    }
    found = read_columns(
        source.read(frame.begin, frame.end),
        width,
        wanted,
        n_atoms,
        f"{path}, first frame",
    )
    raw = found[columns[label][0]].astype(str)
    order, identity = np.arange(n_atoms), None
    if ids is not None:
        numbers = found[columns[ids][0]]
        if np.unique(numbers).size == n_atoms:
            order, identity = np.argsort(numbers), np.sort(numbers)
    species = raw
    if label == "z":
        symbols = _symbols()
        species = np.array([symbols.get(int(z), z) for z in raw.tolist()], dtype=str)
    return {
        "raw": raw[order], "species": species[order], "order": order, "ids": identity,
        "mass": None if mass is None else found[columns[mass][0]][order],
    }  # fmt: skip


def _symbols() -> dict[int, str]:
    symbols = require(
        "ase.data", "it knows the elements by number", "md"
    ).chemical_symbols
    return dict(enumerate(symbols))


@dataclass(frozen=True)
class _Reader:
    source: Source
    frames: tuple[_Frame, ...]
    columns: dict[str, tuple[int, str, int]]
    width: int
    n_atoms: int
    names: np.ndarray
    order: np.ndarray
    ids: np.ndarray | None
    length: float
    velocity: str | None
    factor: Any

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        position = np.empty((len(numbers), self.n_atoms, 3))
        velocity = None if self.velocity is None else np.empty_like(position)
        label = next(
            name for name in ("species", "element", "z", "type") if name in self.columns
        )
        for place, number in enumerate(numbers):
            frame, where = self.frames[number], f"{self.source.path}, frame {number}"
            vectors = ["pos", *([self.velocity] if self.velocity else [])]
            wanted: dict[int, Any] = {
                self.columns[v][0] + i: float for v in vectors for i in range(3)
            }
            wanted[self.columns[label][0]] = _KINDS[self.columns[label][1]]
            if self.ids is not None:
                wanted[self.columns["id"][0]] = "int64"
            text = self.source.read(frame.begin, frame.end)
            found = read_columns(text, self.width, wanted, self.n_atoms, where)
            order = self.order
            if self.ids is not None:
                ids = found[self.columns["id"][0]]
                order = np.argsort(ids, kind="stable")
                if not np.array_equal(ids[order], self.ids):
                    raise FileFormatError(
                        f"{where} contains other atoms",
                        reason="their ids differ from those in the first frame",
                    )
            require_same(
                found[self.columns[label][0]].astype(str)[order], self.names, where
            )
            for out, name, factor in (
                (position, "pos", self.length),
                (velocity, self.velocity, self.factor),
            ):
                if out is not None and name is not None:
                    rows = np.stack(
                        [found[self.columns[name][0] + i] for i in range(3)], axis=1
                    )[order]
                    out[place] = (
                        rows - frame.origin if name == "pos" else rows
                    ) * factor
        return position, velocity
