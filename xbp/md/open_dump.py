"""LAMMPS text dumps in the data model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.errors import FileFormatError, QuantityError, UnitsError
from xbp.md.assemble import assemble, masses_of
from xbp.md.dump import DumpIndex, Frame, index_dump, read_frames, read_table
from xbp.md.foreign import LazyFrames
from xbp.md.labels import positive
from xbp.md.lj import lennard_jones

__all__ = ["open_dump"]

#: Å and ps per unit of LAMMPS's length and time.
_UNITS = {"real": (1.0, 1e-3), "metal": (1.0, 1.0)}


def open_dump(
    path: Path,
    units: str | None,
    elements: Mapping[int, str] | Sequence[str] | None,
    masses: Mapping[str, Any] | None,
    timestep: Any,
    lj: Any,
    frames: slice | None,
    chunk_frames: int | None,
    *,
    drop_truncated: bool,
) -> xr.Dataset:
    """Open a LAMMPS text dump; arguments as for `open_trajectory`."""
    index = index_dump(path, drop_truncated=drop_truncated)
    chosen = range(len(index.frames))[frames or slice(None)]
    if len(chosen) == 0:
        raise FileFormatError(
            f"frames={frames} leaves nothing", reason=f"{path} has {len(index.frames)} frames", fix="widen it"
        )
    style = units or index.units
    picked = [index.frames[i] for i in chosen]
    _require_all(index, picked, style, elements, timestep, lj)
    if style not in ("real", "metal", "lj") or (index.units is not None and style != index.units):
        raise UnitsError(
            f"the units of {path} are {'not known' if style is None else repr(style)}",
            reason="a dump does not say them" if index.units is None else f"the file says units {index.units}",
            fix="say units='metal' (Å, ps), 'real' (Å, fs) or 'lj', as in the LAMMPS input",
        )
    if style == "lj":
        if lj is None:
            lennard_jones(None)
        mapping = lennard_jones(lj)
        length, time = mapping.length, mapping.time
    else:
        mapping = None
        length, time = _UNITS[style]
    _ = index.coordinates  # refused now, not when the first frame is computed
    table = read_table(index, chosen[0], [c for c in ("id", "type", "element", "mass") if c in index.columns])
    ids = table["id"].to_numpy()
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if repeated.size:
        raise FileFormatError(f"{path}: id {repeated[0]} is there twice", reason="ids tell atoms apart", fix="dump ids")
    element = _elements(index, table, elements)
    if "mass" in index.columns:
        mass = table["mass"].to_numpy(float) * (mapping.atomic_mass if mapping is not None else 1.0)
    elif mapping is not None:
        mass = np.full(ids.size, mapping.atomic_mass)
    else:
        mass = None
    kind = "element" if "element" in index.columns else "type" if "type" in index.columns else None
    kinds = table[kind].to_numpy() if kind else np.zeros(0)
    cells = np.stack([frame.cell for frame in picked]) * length

    def read(numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        return read_frames(index, numbers, ids, kinds, length, length / time)

    lazy = LazyFrames(chosen, ids.size, index.has_velocity, read)
    times = _times(index, picked, timestep, time, style)
    return assemble(
        lazy, times, cells, element, masses_of(element, masses, mass), chunk_frames, periodic=picked[0].periodic
    )


def _require_all(
    index: DumpIndex, picked: Sequence[Frame], style: str | None, elements: Any, timestep: Any, lj: Any
) -> None:
    """Ask at once for all that the file does not tell, where that is more than one thing."""
    missing = {}
    if style is None:
        missing["units"] = "units='metal'"
    if style == "lj" and lj is None:
        missing["σ, ε and m"] = "lj='argon'"
    if elements is None and "element" not in index.columns:
        missing["elements"] = "elements=['Zr', 'Cu']"
    if timestep is None and len(picked) > 1 and any(frame.time is None for frame in picked):
        missing["time step"] = "timestep=0.005" if style == "lj" else "timestep='2 fs'"
    if len(missing) > 1:
        raise UnitsError(
            f"{index.path} does not tell its {', '.join(missing)}",
            reason="a dump holds numbers, steps and types alone",
            fix=f"say what the LAMMPS input says: {', '.join(missing.values())}",
        )


def _times(index: DumpIndex, picked: Sequence[Frame], timestep: Any, unit: float, style: str) -> np.ndarray:
    if all(frame.time is not None for frame in picked) and timestep is None:
        return np.array([frame.time for frame in picked]) * unit
    if timestep is None:
        if len(picked) == 1:
            return np.zeros(1)
        raise UnitsError(
            f"the time step of {index.path} is not known",
            reason="a dump numbers MD steps and does not say how long one is",
            fix="timestep='2 fs', as in the LAMMPS input",
        )
    if style == "lj" and not isinstance(timestep, str):
        step = positive(timestep, "1", "timestep") * unit
    else:
        step = positive(timestep, "ps", "timestep")
    return np.array([frame.step for frame in picked]) * step


def _elements(index: DumpIndex, table: Any, given: Mapping[int, str] | Sequence[str] | None) -> np.ndarray:
    if given is None:
        if "element" in index.columns:
            return np.asarray(table["element"], dtype=str)
        raise QuantityError(
            f"the elements of {index.path} are not known",
            reason=f"its columns are {' '.join(index.columns)}",
            fix="elements={1: 'Zr', 2: 'Cu'}, or ['Zr', 'Cu'] in the order of the types",
        )
    if "type" not in index.columns:
        raise QuantityError(
            f"elements={given} are given by type", reason=f"{index.path} has no column type", fix="leave elements= out"
        )
    by_type = dict(given) if isinstance(given, Mapping) else dict(enumerate(given, start=1))
    types = table["type"].to_numpy()
    missing = sorted(set(types.tolist()) - set(by_type))
    if missing:
        raise QuantityError(
            f"elements={given} does not name type {missing[0]}",
            reason=f"{index.path} has the types {', '.join(map(str, sorted(set(types.tolist()))))}",
            fix="name every type",
        )
    return np.array([by_type[t] for t in types.tolist()], dtype=str)
