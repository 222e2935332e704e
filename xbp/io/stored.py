"""Numbers that are in a file as they are in memory, read past its library."""

from __future__ import annotations

import functools
import io
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

from xbp.io.classic import ClassicVariable, classic_variables
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["Some", "Stored", "of_classic", "of_hdf5", "read_parts"]


@dataclass(frozen=True)
class Stored:
    """Rows of an array, each in one piece of a file.

    Attributes
    ----------
    path : Path
    dtype : numpy.dtype
        With the order of bytes of the file.
    shape : tuple of int
        Of a row.
    begins : numpy.ndarray of int, shape (n_rows,)
        Where each begins, in bytes.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    begins: np.ndarray

    def some(self, rows: range) -> Stored:
        """Return where some rows are."""
        return replace(self, begins=self.begins[np.array(rows, dtype=np.int64)])

    def memory(
        self, few: int, into: np.ndarray | None = None
    ) -> Callable[[slice], np.ndarray]:
        """Return where a few rows are read to: an array of all, if it is like them.

        But for the order of bytes, which `read` changes in place.

        Parameters
        ----------
        few : int
        into : numpy.ndarray, shape (n_rows, …), optional
        """
        mine = self.dtype.newbyteorder("="), self.shape
        if into is not None and (into.dtype, into.shape[1:]) == mine:
            return into.view(self.dtype).__getitem__
        buffer = np.empty((min(few, self.begins.size), *self.shape), self.dtype)
        return lambda _: buffer

    def read(
        self,
        stream: io.FileIO,
        rows: slice = slice(None),
        buffer: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return some rows, (n_rows, …), in the type of the file, its bytes in order.

        Parameters
        ----------
        stream : io.FileIO
        rows : slice
        buffer : numpy.ndarray, shape (at least n_rows, …), optional
            Of the type of the file; what is returned is its beginning.

        Raises
        ------
        ValueError
            If the file is cut short.
        """
        begins = self.begins[rows]
        if buffer is None:
            buffer = np.empty((begins.size, *self.shape), self.dtype)
        values = buffer[: begins.size]
        self._fill(stream, begins, values)
        if self.dtype.isnative:
            return values
        return values.byteswap(inplace=True).view(self.dtype.newbyteorder("="))

    def _fill(self, stream: io.FileIO, begins: np.ndarray, values: np.ndarray) -> None:
        """Read rows into an array of the type of the file."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if not values.size:
            return
        buffer: Any = values.reshape(-1).view(np.uint8)
        memory = memoryview(buffer)
        breaks = (np.flatnonzero(np.diff(begins) != size) + 1).tolist()
        for first, stop in itertools.pairwise([0, *breaks, begins.size]):
            at, end = first * size, stop * size
            stream.seek(int(begins[first]))
            while at < end:  # at most 2 GB are read in one go
                got = stream.readinto(memory[at:end])
                check(got, f"it ends {end - at} bytes too early")
                at += got or 0

    def whole(self) -> np.ndarray:
        """Return all rows in double precision.

        Raises
        ------
        ValueError
            If the file is cut short.
        """
        out = np.empty((self.begins.size, *self.shape))
        # What is converted stays in the cache of the processor.
        few = max(1, 2**16 // max(1, math.prod(self.shape)))
        with self.path.open("rb", buffering=0) as stream:
            if self.dtype == out.dtype:
                self._fill(stream, self.begins, out)
            else:
                for first in range(0, len(out), few):
                    rows = slice(first, first + few)
                    out[rows] = self.read(stream, rows)
        return out


#: An array that was read, where it is, or none.
Some = np.ndarray | Stored | None


def read_parts(
    path: Path,
    arrays: Sequence[Some],
    n_rows: int,
    few: int,
    into: Sequence[np.ndarray | None] = (),
) -> Iterator[tuple[slice, list[np.ndarray | None]]]:
    """Yield a few rows of arrays at a time, which stay in the cache of the processor.

    Those in the file come in the same memory again and again: copy what is kept. If
    none is, all rows come at once.

    Parameters
    ----------
    path : Path
    arrays : sequence of numpy.ndarray, Stored or None
        Read already, in the file, or missing.
    n_rows, few : int
    into : sequence of numpy.ndarray or None, optional
        Arrays of all rows: what has their type in the file is read into them.
    """
    few = few if any(isinstance(one, Stored) for one in arrays) else n_rows
    whole = [*into, *[None] * (len(arrays) - len(into))]
    buffers = [
        one.memory(few, own) if isinstance(one, Stored) else None
        for one, own in zip(arrays, whole, strict=True)
    ]
    with path.open("rb", buffering=0) as stream:
        for first in range(0, n_rows, few):
            part = slice(first, min(first + few, n_rows))
            yield (
                part,
                [
                    one.read(stream, part, None if buffer is None else buffer(part))
                    if isinstance(one, Stored)
                    else None
                    if one is None
                    else one[part]
                    for one, buffer in zip(arrays, buffers, strict=True)
                ],
            )


def of_hdf5(node: h5py.Dataset, rows: range) -> Stored | None:
    """Return where rows along the first axis are; None if HDF5 has to unpack them.

    Or if it has to convert them: from types that numpy does not know.

    Parameters
    ----------
    node : h5py.Dataset
        Of numbers, in the file itself.
    rows : range
    """
    plan, file = node.id.get_create_plist(), node.file
    kind = node.id.get_type()
    plain = node.ndim and node.size and not plan.get_nfilters()
    if not plain or (file.driver, file.userblock_size) != ("sec2", 0):
        return None
    if node.dtype.kind not in "fiu" or not kind.equal(h5py.h5t.py_create(node.dtype)):
        return None
    shape = node.shape[1:]
    size, numbers = math.prod(shape) * node.dtype.itemsize, np.array(rows, np.int64)
    begins = np.empty(0)
    if plan.get_layout() == h5py.h5d.CONTIGUOUS:
        begin = node.id.get_offset()
        if begin is None:
            return None
        begins = begin + size * numbers
    elif plan.get_layout() == h5py.h5d.CHUNKED and node.chunks[1:] == shape:
        deep, found = node.chunks[0], dict[int, int]()

        def look(chunk: h5py.h5d.StoreInfo) -> None:
            if chunk.byte_offset is not None and chunk.size == size * deep:
                found[chunk.chunk_offset[0]] = chunk.byte_offset

        node.id.chunk_iter(look)
        firsts = range(0, len(node), deep)
        if len(found) != len(firsts):
            return None  # some were never written
        where = np.array([found[first] for first in firsts], dtype=np.int64)
        begins = where[numbers // deep] + size * (numbers % deep)
    else:
        return None
    return Stored(Path(file.filename), node.dtype, shape, begins)


@functools.lru_cache(maxsize=8)
def _header(path: Path, *_version: int) -> dict[str, ClassicVariable]:
    return classic_variables(path)


def of_classic(path: Path, names: list[str], rows: range) -> dict[str, Stored] | None:
    """Return where records of variables are in a classic netCDF file.

    None if one of them has no records.

    Raises
    ------
    ValueError
        If the header is damaged.
    """
    status = path.stat()
    variables = _header(path, status.st_mtime_ns, status.st_size)
    numbers, found = np.array(rows, dtype=np.int64), dict[str, Stored]()
    for name in names:
        dtype, shape, begin, step = variables[name]
        if step is None:
            return None
        found[name] = Stored(path, dtype, shape, begin + step * numbers)
    return found
