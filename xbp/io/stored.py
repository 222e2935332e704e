"""Numbers that are in a file as they are in memory, read past its library."""

from __future__ import annotations

import bisect
import functools
import io
import itertools
import math
import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.io.classic import classic_header

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = [
    "PART",
    "Look",
    "Some",
    "Stored",
    "of_classic",
    "of_hdf5",
    "read_parts",
    "read_together",
]

#: Numbers that are read at a time: they stay in the cache of a processor.
PART: Final = 2**16
_BYTES: Final = 8 * PART
#: Pieces that a system reads in one go.
_MOST: Final = 512
#: Where bytes are in a file, and memory for them.
Piece = tuple[int, memoryview]
#: Place of the first number, and numbers in double precision, as soon as they are read.
Look = Callable[[int, np.ndarray], None]


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

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    @functools.cached_property
    def _breaks(self) -> list[int]:
        """Rows that do not follow the one before in the file."""
        apart = np.diff(self.begins) != self.row
        return (np.flatnonzero(apart) + 1).tolist()

    def some(self, rows: Sequence[int]) -> Stored:
        """Return where some rows are."""
        return replace(self, begins=self.begins[_numbers(rows)])

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
        rows = slice(*rows.indices(self.begins.size))
        count = rows.stop - rows.start
        if buffer is None:
            buffer = np.empty((count, *self.shape), self.dtype)
        values = buffer[:count]
        _read_pieces(stream, self.pieces(rows, values))
        return self.in_order(values)

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Return what was read, its bytes in the order of this machine."""
        if self.dtype.isnative:
            return values
        return values.byteswap(inplace=True).view(self.dtype.newbyteorder("="))

    def pieces(self, rows: slice, values: np.ndarray) -> list[Piece]:
        """Return where rows are, and memory in an array of the type of the file."""
        if not values.size:
            return []
        own: Any = values.reshape(-1).view(np.uint8)
        memory, breaks, size = memoryview(own), self._breaks, self.row
        low, high = (
            bisect.bisect_right(breaks, n) for n in (rows.start, rows.stop - 1)
        )
        ends = np.array([rows.start, *breaks[low:high], rows.stop])
        places = self.begins[ends[:-1]].tolist()
        bounds = itertools.pairwise(((ends - rows.start) * size).tolist())
        return [
            (place, memory[at:stop])
            for place, (at, stop) in zip(places, bounds, strict=True)
        ]

    def whole(self, look: Look = lambda at, part: None) -> np.ndarray:
        """Return all rows in double precision.

        Parameters
        ----------
        look : callable, optional
            Called with `PART` numbers after the other.

        Raises
        ------
        ValueError
            If the file is cut short.
        """
        out = np.empty((self.begins.size, *self.shape))
        flat = out.reshape(-1)
        straight = self.dtype == out.dtype
        with self.path.open("rb", buffering=0) as stream:
            if self._breaks:
                # What is converted stays in the cache of the processor.
                few = max(1, _BYTES // max(1, self.row))
                for first in range(0, len(out), few):
                    rows = slice(first, min(first + few, len(out)))
                    if straight:
                        _read_pieces(stream, self.pieces(rows, out[rows]))
                    else:
                        out[rows] = self.read(stream, rows)
                for at in range(0, flat.size, PART):
                    look(at, flat[at : at + PART])
                return out
            buffer: Any = None if straight else np.empty(PART, self.dtype)
            stream.seek(int(self.begins[0]))
            for at in range(0, flat.size, PART):
                part = flat[at : at + PART]
                read = part if straight else buffer[: part.size]
                own: Any = read.view(np.uint8)
                _read_into(stream, memoryview(own))
                if not straight:
                    part[...] = read
                look(at, part)
        return out


def _read_pieces(stream: io.FileIO, pieces: Sequence[Piece]) -> None:
    """Read pieces of a file, those that follow each other in one go.

    Each call lets other threads go on, and has to wait for them.
    """
    together: list[memoryview] = []
    first = end = -1
    for place, memory in sorted(pieces, key=operator.itemgetter(0)):
        if place != end or len(together) == _MOST:
            _read_together(stream, first, together)
            together, first, end = [], place, place
        together.append(memory)
        end += len(memory)
    _read_together(stream, first, together)


def _read_together(
    stream: io.FileIO, place: int, together: Sequence[memoryview]
) -> None:
    if len(together) > 1 and hasattr(os, "preadv"):
        size = sum(map(len, together))
        if os.preadv(stream.fileno(), together, place) == size:
            return
    for memory in together:
        stream.seek(place)
        _read_into(stream, memory)
        place += len(memory)


def _read_into(stream: io.FileIO, memory: memoryview) -> None:
    at = 0
    while at < len(memory):  # at most 2 GB are read in one go
        got = stream.readinto(memory[at:])
        if not got:
            raise ValueError(f"it ends {len(memory) - at} bytes too early")
        at += got


#: An array that was read, where it is, or none.
Some = np.ndarray | Stored | None


def read_parts(
    path: Path,
    arrays: Sequence[Some],
    n_rows: int,
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
    n_rows : int
    into : sequence of numpy.ndarray or None, optional
        Arrays of all rows: what has their type in the file is read into them.
    """
    rows = [one.row for one in arrays if isinstance(one, Stored)]
    few = max(1, _BYTES // max(1, *rows)) if rows else n_rows
    whole = [*into, *[None] * (len(arrays) - len(into))]
    buffers = [
        one.memory(few, own) if isinstance(one, Stored) else None
        for one, own in zip(arrays, whole, strict=True)
    ]
    with path.open("rb", buffering=0) as stream:
        for first in range(0, n_rows, few):
            part = slice(first, min(first + few, n_rows))
            found = [
                buffer(part)[: part.stop - first]
                if buffer is not None
                else one[part]
                if isinstance(one, np.ndarray)
                else None
                for one, buffer in zip(arrays, buffers, strict=True)
            ]
            pieces = [
                piece
                for one, own in zip(arrays, found, strict=True)
                if isinstance(one, Stored) and own is not None
                for piece in one.pieces(part, own)
            ]
            _read_pieces(stream, pieces)
            yield (
                part,
                [
                    one.in_order(own)
                    if isinstance(one, Stored) and own is not None
                    else own
                    for one, own in zip(arrays, found, strict=True)
                ],
            )


def read_together(path: Path, arrays: Mapping[str, Stored]) -> dict[str, np.ndarray]:
    """Return whole arrays of a file, in the types of the file, their bytes in order.

    What is side by side in each record of a file is read in one go.
    """
    found = {
        name: np.empty((one.begins.size, *one.shape), one.dtype)
        for name, one in arrays.items()
    }
    pieces = [
        piece
        for name, one in arrays.items()
        for piece in one.pieces(slice(0, one.begins.size), found[name])
    ]
    with path.open("rb", buffering=0) as stream:
        _read_pieces(stream, pieces)
    return {name: one.in_order(found[name]) for name, one in arrays.items()}


def _numbers(rows: Sequence[int]) -> np.ndarray:
    """Return the numbers of rows as an array, of a range without a loop over it."""
    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop, rows.step, dtype=np.int64)
    return np.array(rows, dtype=np.int64)


def of_hdf5(node: h5py.Dataset, rows: Sequence[int]) -> Stored | None:
    """Return where rows along the first axis are; None if HDF5 has to unpack them.

    Or if it has to convert them: from types that numpy does not know.

    Parameters
    ----------
    node : h5py.Dataset
        Of numbers, in the file itself.
    rows : sequence of int
    """
    plan, file = node.id.get_create_plist(), node.file
    kind = node.id.get_type()
    plain = node.ndim and node.size and not plan.get_nfilters()
    in_one = file.driver in ("sec2", "fileobj") and not file.userblock_size
    if not plain or not in_one:
        return None
    if node.dtype.kind not in "fiu" or not kind.equal(h5py.h5t.py_create(node.dtype)):
        return None
    shape, numbers = node.shape[1:], _numbers(rows)
    size = math.prod(shape) * node.dtype.itemsize
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

        wanted = np.unique(numbers // deep * deep).tolist()
        if 8 * len(wanted) < len(node) // deep:  # to look for all takes longer
            for first in wanted:
                look(node.id.get_chunk_info_by_coord((first, *[0] * len(shape))))
        else:
            node.id.chunk_iter(look)
        if not found.keys() >= set(wanted):
            return None  # some were never written
        where = np.array([found[n] for n in (numbers // deep * deep).tolist()])
        begins = where.astype(np.int64) + size * (numbers % deep)
    else:
        return None
    return Stored(Path(file.filename), node.dtype, shape, begins)


def of_classic(path: Path, names: list[str], rows: range) -> dict[str, Stored]:
    """Return where rows of variables, or their records, are in a classic netCDF file.

    Of a variable without dimensions that is its one number.

    Raises
    ------
    ValueError
        If the header is damaged.
    """
    variables = classic_header(path).variables
    numbers, found = _numbers(rows), dict[str, Stored]()
    for name in names:
        own = variables[name]
        shape, step = own.shape, own.step
        if step is None:
            shape = shape[1:]
            step = math.prod(shape) * own.dtype.itemsize
        begins = own.begin + step * (numbers if own.dims else np.zeros(1, np.int64))
        found[name] = Stored(path, own.dtype, shape, begins)
    return found
