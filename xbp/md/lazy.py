"""Dask arrays of frames: a task reads a chunk, straight into the array of all."""

from __future__ import annotations

import itertools
import operator
import threading
import uuid
from collections.abc import Callable
from typing import Any, cast

import dask.array.optimization
import dask.core
import numpy as np
from dask.array import Array
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

__all__ = ["lazy_arrays"]

_flatten: Any = dask.core.flatten
_optimize: Any = dask.array.optimization.optimize
#: Positions and velocities of some frames; None where they are not wanted.
Vectors = tuple[np.ndarray | None, np.ndarray | None]
#: Frames, and the arrays to read them into, or None → those arrays, or new ones.
Read = Callable[[range, Vectors | None], Vectors]


class _Buffers:
    """Arrays of all frames, of which each task fills its part, once.

    In another process they are not there, and tasks make arrays of their own.
    """

    def __init__(
        self, shape: tuple[int, ...] = (), wanted: tuple[int, ...] = ()
    ) -> None:
        self._shape, self._wanted = shape, wanted
        self._arrays: dict[int, np.ndarray] = {}
        self._filled: set[int] = set()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Buffers, ()

    def part(self, first: int, stop: int) -> Vectors | None:
        """Return the places of some frames; None if they are filled already."""
        with self._lock:
            if not self._wanted or first in self._filled:
                return None
            self._filled.add(first)
            if not self._arrays:
                self._arrays = {place: np.empty(self._shape) for place in self._wanted}
        r, v = (
            self._arrays[place][first:stop] if place in self._arrays else None
            for place in range(2)
        )
        return r, v


def _read(read: Read, numbers: range, first: int, buffers: _Buffers | None) -> Vectors:
    stop = first + len(numbers)
    return read(numbers, None if buffers is None else buffers.part(first, stop))


class _Reads(MaterializedLayer):
    """The tasks that read chunks.

    Attributes
    ----------
    names : list of str
        Of the arrays that have them.
    shape : tuple of int
        Of each array.
    file : str
        Key of the reader.
    """

    names: list[str]
    shape: tuple[int, ...]
    file: str

    def into_arrays(
        self, asked: set[Any]
    ) -> tuple[dict[str, Any], dict[str, set[str]]]:
        """Return layers that read all chunks into common arrays, and what they need.

        Empty if only some of the chunks are asked for. Names are new: tasks of other
        arrays, which are computed beside, may have both components of a chunk.
        """
        count = len(self)
        own = [[(n, i, 0, 0) in asked for i in range(count)] for n in self.names]
        wanted = tuple(place for place, one in enumerate(own) if all(one))
        partly = any(any(one) and not all(one) for one in own)
        if count < 2 or partly or not wanted:
            return {}, {}
        buffers, reads = _Buffers(self.shape, wanted), f"into-{uuid.uuid4().hex}"
        tasks = {
            (reads, i): (*task[:-1], buffers)
            for i, task in enumerate(self.mapping.values())
        }
        layers = {reads: MaterializedLayer(tasks)}
        for place in wanted:
            layers[self.names[place]] = _components(
                self.names[place], reads, place, count
            )
        needs = {reads: {self.file}, **{self.names[n]: {reads} for n in wanted}}
        return layers, needs


def _components(name: str, reads: str, place: int, count: int) -> MaterializedLayer:
    """Return the tasks that take positions, or velocities, of what was read."""
    return MaterializedLayer(
        {(name, i, 0, 0): (operator.getitem, (reads, i), place) for i in range(count)}
    )


def _optimized(dsk: Any, keys: Any, **options: Any) -> Any:
    """Optimize a graph as dask does, after reading all chunks into common arrays."""
    if isinstance(dsk, HighLevelGraph):
        asked = set(_flatten(keys))
        # Since 2025 dask has a task in the graph that joins the chunks.
        for key in list(asked):
            asked |= set(getattr(dsk.get(key), "dependencies", ()))
        layers, needs = dict(dsk.layers), dict(dsk.dependencies)
        for layer in dsk.layers.values():
            if isinstance(layer, _Reads):
                own, theirs = layer.into_arrays(asked)
                layers |= own
                needs |= theirs
        dsk = HighLevelGraph(layers, needs)
    return _optimize(dsk, keys, **options)


def _computed_whole(array: Any) -> Array:
    """Return an array of dask that is computed whole without a copy of its chunks.

    By the methods by which dask asks a collection, of this one array: of a class of its
    own xarray would not take it beside other arrays of dask.
    """
    joined, others = array.__dask_postcompute__()
    array.__dask_optimize__ = _optimized
    array.__dask_postcompute__ = lambda: (_joined, (joined, *others))
    return cast("Array", array)


def _joined(results: Any, otherwise: Callable[..., Any], *arguments: Any) -> Any:
    """Return the array whose parts all results are, or what dask makes of them."""
    parts = list(_flatten(results, container=(list, tuple)))
    if len(parts) == 1:
        return parts[0]
    whole = getattr(parts[0], "base", None)
    if isinstance(whole, np.ndarray) and all(part.base is whole for part in parts):
        return whole
    return otherwise(results, *arguments)


def lazy_arrays(
    read: Read, parts: list[range], n_atoms: int, count: int
) -> list[Array]:
    """Return positions, and velocities if `count` is 2, as dask arrays.

    Parameters
    ----------
    read : callable
        It is in the graph once, with its index of the file.
    parts : list of range
        Frames of each chunk.
    n_atoms, count : int
    """
    token, sizes = uuid.uuid4().hex, [len(part) for part in parts]
    file, reads = f"file-{token}", f"read-{token}"
    starts = itertools.accumulate(sizes, initial=0)
    # Written by hand: through dask.delayed each chunk takes a millisecond.
    layer = _Reads(
        {
            (reads, i): (_read, file, part, first, None)
            for i, (part, first) in enumerate(zip(parts, starts, strict=False))
        }
    )
    layer.names = [f"{name}-{token}" for name in ("position", "velocity")[:count]]
    layer.shape, layer.file = (sum(sizes), n_atoms, 3), file
    shared = {file: MaterializedLayer({file: read}), reads: layer}
    made: Any = Array
    found = list[Array]()
    for place, name in enumerate(layer.names):
        graph = HighLevelGraph(
            {**shared, name: _components(name, reads, place, len(parts))},
            {file: set(), reads: {file}, name: {reads}},
        )
        chunks = (tuple(sizes), (n_atoms,), (3,))
        found.append(_computed_whole(made(graph, name, chunks, dtype=float)))
    return found
