"""Dask arrays of frames: a task reads a chunk, straight into the array of all."""

from __future__ import annotations

import itertools
import operator
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import dask.core
import h5py
import numpy as np
import xarray as xr
from dask.array import Array
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

__all__ = ["lazy_arrays", "lazy_variables"]

_flatten: Any = dask.core.flatten
#: Positions and velocities of some frames; None where they are not wanted.
Vectors = tuple[np.ndarray | None, np.ndarray | None]
#: Frames, and the arrays to read them into, or None → those arrays, or new ones.
Read = Callable[[range, Vectors | None], Vectors]


class _Buffers:
    """Arrays of all frames, of which each task fills its part, once.

    In another process they are not there, and tasks make arrays of their own.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (),
        dtypes: Sequence[np.dtype] = (),
        wanted: tuple[int, ...] = (),
    ) -> None:
        self._shape, self._dtypes, self._wanted = shape, dtypes, wanted
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
                self._arrays = {
                    place: np.empty(self._shape, self._dtypes[place])
                    for place in self._wanted
                }
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
    dtypes : sequence of numpy.dtype
        Of the arrays.
    file : str
        Key of the reader.
    """

    names: list[str]
    shape: tuple[int, ...]
    dtypes: Sequence[np.dtype]
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
        buffers = _Buffers(self.shape, self.dtypes, wanted)
        reads = f"into-{uuid.uuid4().hex}"
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


def _optimize() -> Any:
    """Return the optimizer of dask's arrays, which its configuration may change."""
    return cast("Any", Array).__dask_optimize__


class _Optimizer:
    """Optimizes a graph as dask does, after reading all chunks into common arrays.

    It equals dask's own: dask sorts what is computed together by optimizers, and gives
    results in another order than asked for if there are several.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Optimizer) or other is _optimize()

    def __hash__(self) -> int:
        return hash(_optimize())

    def __call__(self, dsk: Any, keys: Any, **options: Any) -> Any:
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
        return _optimize()(dsk, keys, **options)


def _computed_whole(array: Any) -> Array:
    """Return an array of dask that is computed whole without a copy of its chunks.

    By the methods by which dask asks a collection, of this one array: of a class of its
    own xarray would not take it beside other arrays of dask.
    """
    joined, others = array.__dask_postcompute__()
    array.__dask_optimize__ = _Optimizer()
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
    read: Read, parts: list[range], n_atoms: int, dtypes: Sequence[np.dtype]
) -> list[Array]:
    """Return positions, and velocities if there are two types, as dask arrays.

    Parameters
    ----------
    read : callable
        It is in the graph once, with its index of the file.
    parts : list of range
        Frames of each chunk.
    n_atoms : int
    dtypes : sequence of numpy.dtype
        Of each array.
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
    layer.names = [
        f"{name}-{token}" for name in ("position", "velocity")[: len(dtypes)]
    ]
    layer.shape, layer.dtypes, layer.file = (sum(sizes), n_atoms, 3), dtypes, file
    shared = {file: MaterializedLayer({file: read}), reads: layer}
    made: Any = Array
    found = list[Array]()
    for place, (name, dtype) in enumerate(zip(layer.names, dtypes, strict=True)):
        graph = HighLevelGraph(
            {**shared, name: _components(name, reads, place, len(parts))},
            {file: set(), reads: {file}, name: {reads}},
        )
        chunks = (tuple(sizes), (n_atoms,), (3,))
        found.append(_computed_whole(made(graph, name, chunks, dtype=dtype)))
    return found


class _InFile:
    """A variable of a file that xarray has opened, read by xarray."""

    def __init__(self, variable: xr.Variable) -> None:
        self._variable = variable

    def read(self, frames: slice, out: np.ndarray) -> None:
        out[...] = self._variable[frames].values

    def close(self) -> None:
        """Close what was opened beside xarray's file, until frames are read again."""


class _InHdf5(_InFile):
    """One that HDF5 reads straight into memory, from a file open until it is closed."""

    def __init__(self, variable: xr.Variable, path: Path, name: str) -> None:
        super().__init__(variable)
        self._path, self._name, self._process = path, name, os.getpid()
        self._file: h5py.File | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _InHdf5, (self._variable, self._path, self._name)

    def read(self, frames: slice, out: np.ndarray) -> None:
        file = self._file
        # Forked processes would share a place in the file.
        if file is None or self._process != os.getpid():
            file = h5py.File(self._path, "r")
            self._process, self._file = os.getpid(), file
        file[self._name].read_direct(out, frames)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._process == os.getpid():
            file.close()


class _Opened:
    """Reads frames of variables of an open file."""

    def __init__(
        self, arrays: list[_InFile], n_atoms: int, dtypes: list[np.dtype]
    ) -> None:
        self._arrays, self._n_atoms, self._dtypes = arrays, n_atoms, dtypes

    def __call__(self, numbers: range, into: Vectors | None) -> Vectors:
        shape, part = (len(numbers), self._n_atoms, 3), slice(numbers[0], numbers.stop)
        found = into or tuple(np.empty(shape, dtype) for dtype in self._dtypes)
        for array, out in zip(self._arrays, found, strict=False):
            if out is not None:
                array.read(part, out)
        return found[0], found[1] if len(found) > 1 else None

    def close(self) -> None:
        for array in self._arrays:
            array.close()


def lazy_variables(ds: xr.Dataset, names: list[str], frames: int) -> xr.Dataset:
    """Return a Dataset of an open file, with one or two variables as dask arrays.

    Parameters
    ----------
    ds : xarray.Dataset
    names : list of str
        Of the variables: of shape (n_frames, n_atoms, 3), not read yet.
    frames : int
        Of a chunk.

    Returns
    -------
    xarray.Dataset
        Closed, it closes what was opened to read these variables, but not `ds`.
    """
    variables = [ds[name].variable for name in names]
    n_frames, n_atoms = variables[0].shape[:2]
    numbers, dtypes = range(n_frames), [one.dtype for one in variables]
    parts = [numbers[first : first + frames] for first in numbers[::frames]]
    path = Path(ds.encoding.get("source", ""))
    hdf5 = path.is_file() and h5py.is_hdf5(path)
    arrays = [
        _InHdf5(one, path, name) if hdf5 and _is_plain(one) else _InFile(one)
        for name, one in zip(names, variables, strict=True)
    ]
    opened = _Opened(arrays, n_atoms, dtypes)
    found = lazy_arrays(opened, parts, n_atoms, dtypes)
    lazy = ds.assign(
        {
            name: (one.dims, array, one.attrs, one.encoding)
            for name, one, array in zip(names, variables, found, strict=True)
        }
    )
    lazy.set_close(opened.close)
    return lazy


def _is_plain(variable: xr.Variable) -> bool:
    """Return whether xarray leaves numbers as they are in the file."""
    own = variable.encoding
    marks = [own[n] for n in ("_FillValue", "missing_value") if n in own]
    scaled = {"scale_factor", "add_offset"} & set(own)
    return not scaled and bool(np.isnan(marks).all())
