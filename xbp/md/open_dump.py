"""LAMMPS text dumps in the data model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.md.dump import DumpIndex, Frame, index_dump, read_frames, read_table
from xbp.md.given import Given, frame_times
from xbp.md.labels import positive
from xbp.md.lammps_units import Style, style_of
from xbp.md.lazy import Found, LazyFrames, choose
from xbp.md.source import Source

__all__ = ["open_dump"]


def open_dump(
    source: Source, given: Given, frames: slice | None, *, drop_truncated: bool
) -> Found:
    """Open a LAMMPS text dump; what is given is held against what it says itself.

    Raises
    ------
    FileFormatError
        If it is damaged or cut short, or its atoms change.
    UnitsError, QuantityError
        If units, elements or times are neither in the file nor given, or contradict it.
    """
    path = source.path
    index = index_dump(source, drop_truncated=drop_truncated)
    chosen = choose(len(index.frames), frames, path)
    names = ("units", "elements", "masses", "timestep", "time_between_frames", "lj")
    given.allow("a LAMMPS dump", *names)
    picked = [index.frames[i] for i in chosen]
    _require_all(index, picked, given.units or index.units, given)
    style = style_of(path, given.units, index.units, given.lj)
    _ = index.coordinates  # refused now, not when the first frame is computed
    table = read_table(
        index,
        chosen[0],
        [c for c in ("id", "type", "element", "mass") if c in index.columns],
    )
    ids = table["id"].to_numpy()
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if repeated.size:
        raise FileFormatError(
            f"{path}: id {repeated[0]} is there twice",
            reason="ids tell atoms apart",
            fix="dump ids",
        )
    element = _elements(index, table, given.elements)
    mass = None
    if "mass" in index.columns:
        mass = table["mass"].to_numpy(float) * style.mass
    elif style.name == "lj":
        mass = np.full(ids.size, style.mass)
    kind = (
        "element"
        if "element" in index.columns
        else "type"
        if "type" in index.columns
        else None
    )
    kinds = table[kind].to_numpy() if kind else np.zeros(0)
    cells = np.stack([frame.cell for frame in picked]) * style.length

    def read(numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        return read_frames(index, numbers, ids, kinds, style.length, style.speed)

    lazy = LazyFrames(chosen, ids.size, index.has_velocity, read)
    times = _times(index, picked, given, style)
    return Found(
        lazy, cells, element, mass, times, picked[0].periodic, style.name == "lj"
    )


def _require_all(
    index: DumpIndex, picked: Sequence[Frame], style: str | None, given: Given
) -> None:
    """Ask at once for all that the file does not tell, where that is more than one thing."""
    missing = {}
    if style is None:
        missing["units"] = "units='metal'"
    if style == "lj" and given.lj is None:
        missing["σ, ε and m"] = "lj='argon'"
    if given.elements is None and "element" not in index.columns:
        missing["elements"] = "elements=['Zr', 'Cu']"
    timed = given.timestep is not None or given.time_between_frames is not None
    if not timed and len(picked) > 1 and any(frame.time is None for frame in picked):
        missing["time step"] = "timestep=0.005" if style == "lj" else "timestep='2 fs'"
    if len(missing) > 1:
        raise UnitsError(
            f"{index.path} does not tell its {', '.join(missing)}",
            reason="a dump holds numbers, steps and types alone",
            fix=f"say what the LAMMPS input says: {', '.join(missing.values())}",
        )


def _times(
    index: DumpIndex, picked: Sequence[Frame], given: Given, style: Style
) -> np.ndarray:
    """Return times of the file, or from steps.

    What is given may not contradict them.
    """
    own = None
    if all(frame.time is not None for frame in picked):
        own = np.array([frame.time for frame in picked], dtype=float) * style.time
    step = given.step
    if step is not None and style.name == "lj" and not isinstance(given.timestep, str):
        step = positive(given.timestep, "1", "timestep") * style.time
    marks = np.array([frame.step for frame in picked], dtype=float)
    ask = "timestep='2 fs', as in the LAMMPS input"
    return frame_times(
        index.path,
        len(picked),
        own=own,
        marks=marks,
        step=step,
        between=given.between,
        ask=ask,
    )


def _elements(
    index: DumpIndex, table: Any, given: Mapping[int, str] | Sequence[str] | None
) -> np.ndarray:
    if given is None:
        if "element" in index.columns:
            own = np.asarray(table["element"], dtype=str)
            if (
                set(own.tolist()) == {"C"}
                and "type" in index.columns
                and len(set(table["type"].tolist())) > 1
            ):
                raise QuantityError(
                    f"the elements of {index.path} are unknown",
                    reason="its column element is C for all types, which LAMMPS "
                    "writes if the input names no elements",
                    fix="elements={1: 'Zr', 2: 'Cu'}, or ['C', 'C'] if it is carbon",
                )
            return own
        raise QuantityError(
            f"the elements of {index.path} are unknown",
            reason=f"its columns are {' '.join(index.columns)}",
            fix="elements={1: 'Zr', 2: 'Cu'}, or ['Zr', 'Cu'] in the order of the "
            "types",
        )
    if "type" not in index.columns:
        raise QuantityError(
            f"elements={given} are given by type",
            reason=f"{index.path} has no column type",
            fix="leave elements= out",
        )
    by_type = (
        dict(given) if isinstance(given, Mapping) else dict(enumerate(given, start=1))
    )
    types = table["type"].to_numpy()
    missing = sorted(set(types.tolist()) - set(by_type))
    if missing:
        raise QuantityError(
            f"elements={given} does not name type {missing[0]}",
            reason=f"{index.path} has the types "
            f"{', '.join(map(str, sorted(set(types.tolist()))))}",
            fix="name every type",
        )
    found = np.array([by_type[t] for t in types.tolist()], dtype=str)
    if "element" in index.columns:
        own = np.asarray(table["element"], dtype=str)
        # Where its input names no elements, LAMMPS writes C for all.
        if (own != found).any() and set(own.tolist()) != {"C"}:
            at = int(np.argmax(own != found))
            raise QuantityError(
                f"elements={given} contradicts {index.path}",
                reason=f"type {types[at]} is {own[at]} in its column element",
                fix="leave elements= out",
            )
    return found
