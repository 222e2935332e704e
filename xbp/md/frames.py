"""Frames read when they are computed: their atoms, sorted and checked."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xbp.core.errors import require
from xbp.io.masks import is_below
from xbp.md.source import Header, Source, reading, require_file

__all__ = [
    "Columns",
    "Frames",
    "Rows",
    "Vectors",
    "matrix",
    "part_of",
    "pieces",
    "read_table",
    "require_finite",
    "scaled",
]

#: Positions and velocities of some frames.
Vectors = tuple[Any, np.ndarray | None]


class Rows(NamedTuple):
    """Atoms of a frame: names or types, ids, positions, velocities, masses.

    In Å, Å/ps and u. Without ids they are in the order of the file. Positions and
    velocities are (n_atoms, 3), or (n_frames, n_atoms, 3) of several frames with the
    same atoms in the same order.
    """

    names: np.ndarray
    ids: np.ndarray | None
    position: np.ndarray
    velocity: np.ndarray | None = None
    mass: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.position) if self.position.ndim == 3 else 1

    def ordered(self, where: Callable[[int], str], first: Rows | None) -> Rows:
        """Return them by id; refuse other atoms than those of the first frame.

        Parameters
        ----------
        where : callable
            Number of the frame in these → what it is called in messages.
        first : Rows, optional

        Raises
        ------
        FileFormatError
        """
        require_finite(where, *self[2:])
        found = self
        if self.ids is not None and (np.diff(self.ids) <= 0).any():
            order = np.argsort(self.ids, kind="stable")
            again = self.ids[order][1:][np.diff(self.ids[order]) == 0]
            first_again = "".join(map(str, again[:1]))
            require_file(not again.size, where(0), f"id {first_again} occurs twice")
            sorted_: Any = (
                None if a is None else a.take(order, axis=-2 if vectors else 0)
                for a, vectors in zip(self, (0, 0, 1, 1, 0), strict=True)
            )
            found = Rows(*sorted_)
        if first is not None:
            same = all(
                own is theirs or np.array_equal(np.array(own), np.array(theirs))
                for own, theirs in zip(found[:2], first[:2], strict=True)
            )
            same = same and (first.velocity is None or found.velocity is not None)
            problem = "it does not contain the atoms of the first frame"
            require_file(same, where(0), problem, fix="write a fixed group of atoms")
        return found


@dataclass(frozen=True)
class Frames:
    """Frames that are read when they are computed.

    Attributes
    ----------
    path : Path
    numbers : range
        Frames of the file.
    rows : callable
        Some of the numbers → an iterator over their atoms, as the file has them, of one
        frame or several at a time.
    name : callable
        Number → what a frame is called in messages.
    kept : bool
        Whether frames that were read stay in memory for a while, because to read them
        again costs more than a copy.
    atoms : numpy.ndarray of int, or None
        Which of the atoms, sorted, are read; None for all.
    straight : bool
        Whether `rows` also takes the arrays of all these frames, and may read positions
        and velocities into them.
    """

    path: Path
    numbers: range
    rows: Callable[..., Iterator[Rows]]
    name: Callable[[int], str] = str
    kept: bool = True
    atoms: np.ndarray | None = None
    straight: bool = False

    @cached_property
    def first(self) -> Rows:
        """The atoms of the first frame."""
        return next(self._read(self.numbers[:1]))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int((self.first.names if self.atoms is None else self.atoms).size)

    @property
    def dtypes(self) -> list[np.dtype]:
        """Types of positions, and of velocities if there are any, in memory.

        Single precision stays so: in double it takes twice the memory, and what
        computes with it turns it into double precision itself.
        """
        vectors = (self.first.position, self.first.velocity)
        return [
            np.dtype(np.float32 if (a.dtype.kind, a.itemsize) == ("f", 4) else float)
            for a in vectors
            if a is not None
        ]

    def _read(
        self, numbers: range, first: Rows | None = None, into: Vectors | None = None
    ) -> Iterator[Rows]:
        straight = self.straight and self.atoms is None and into is not None
        found, done = self.rows(numbers, *([into] if straight else [])), 0
        while done < len(numbers):
            where = partial(self._where, numbers[done:])
            with reading(where(0)):
                rows = next(found)
            yield rows.ordered(where, first)
            done += rows.n_frames

    def _where(self, numbers: range, place: int) -> str:
        return f"{self.path}, frame {self.name(numbers[place])}"

    def stack(self, numbers: range, into: Vectors | None = None) -> Vectors:
        """Return positions and velocities of some frames, (n_frames, n_atoms, 3).

        Parameters
        ----------
        numbers : range
        into : tuple of numpy.ndarray or None, optional
            Arrays to read them into: None for what is not wanted.
        """
        shape, place = (len(numbers), self.n_atoms, 3), 0
        r_type, *v_type = self.dtypes
        out = into
        for rows in self._read(numbers, self.first, into):
            r, v = (
                part if part is None or self.atoms is None else part[..., self.atoms, :]
                for part in (rows.position, rows.velocity)
            )
            if into is None and r is not None and r.shape == shape:
                # In one piece, as the file has them.
                r = np.require(r, r_type, ["C", "W"])
                return r, np.require(v, v_type[0], ["C", "W"]) if v_type else None
            if out is None:
                out = (
                    np.empty(shape, r_type),
                    np.empty(shape, v_type[0]) if v_type else None,
                )
            for own, read in zip(out, (r, v), strict=True):
                if own is None:
                    continue
                there = own[place : place + rows.n_frames]
                if not np.may_share_memory(there, read):
                    there[...] = read
            place += rows.n_frames
        assert out is not None
        return out

    def arrays(self, chunk: int) -> tuple[Any, Any]:
        """Return positions and velocities as dask arrays, which one task reads."""
        lazy = require("xbp.md.lazy", "open trajectories lazily", "md")
        count = len(self.numbers)
        parts = [
            self.numbers[first : first + chunk] for first in range(0, count, chunk)
        ]
        found = lazy.lazy_arrays(_Chunks(self), parts, self.n_atoms, self.dtypes)
        return found[0], found[1] if len(found) == 2 else None


class _Chunks:
    """Reads chunks of frames and keeps the last: several checks need the same ones."""

    def __init__(self, frames: Frames, most: int = 16 * 2**20) -> None:
        self._frames, self._most = frames, most
        self._kept: OrderedDict[range, Vectors] = OrderedDict()
        self._reading: dict[range, threading.Lock] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Chunks, (self._frames, self._most)

    def __call__(self, numbers: range, into: Vectors | None) -> Vectors:
        if not self._frames.kept:
            return self._frames.stack(numbers, into)
        with self._lock:
            alone = self._reading.setdefault(numbers, threading.Lock())
        with alone:  # tasks that need the same chunk wait for the first
            found = self._kept.get(numbers) or self._frames.stack(numbers)
            size = sum(a.nbytes for a in found if a is not None)
            with self._lock:
                self._kept[numbers] = found
                self._kept.move_to_end(numbers)
                while len(self._kept) * size > self._most and self._kept:
                    self._kept.popitem(last=False)
        if into is None:  # users may change what they get
            return found[0].copy(), None if found[1] is None else found[1].copy()
        for own, read in zip(into, found, strict=True):
            if own is not None:
                own[...] = read
        return into


def part_of(data: Any, numbers: range) -> np.ndarray:
    """Read some frames of an array of a file, (n_frames, …)."""
    low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
    found = np.asarray(data[low : high + 1 : abs(numbers.step)])
    return found if numbers.step > 0 else found[::-1]


def pieces(
    names: np.ndarray,
    ids: np.ndarray | None,
    position: np.ndarray,
    velocity: np.ndarray | None,
) -> Iterator[Rows]:
    """Yield frames together where they have the same atoms in the same order.

    Parameters
    ----------
    names, ids : numpy.ndarray, shape (n_atoms,) or (n_frames, n_atoms)
    position, velocity : numpy.ndarray, shape (n_frames, n_atoms, 3)
    """
    both = names, ids
    if all(a is None or a.ndim == 1 or (a == a[0]).all() for a in both):
        first: Any = (a if a is None or a.ndim == 1 else a[0] for a in both)
        yield Rows(next(first), next(first), position, velocity)
        return
    for place in range(len(position)):
        own: Any = (a if a is None or a.ndim == 1 else a[place] for a in both)
        v = None if velocity is None else velocity[place]
        yield Rows(next(own), next(own), position[place], v)


def scaled(
    values: np.ndarray, factor: float, into: np.ndarray | None = None
) -> np.ndarray:
    """Return numbers times a factor: in double precision, as they are if it is 1.

    Parameters
    ----------
    values : numpy.ndarray
    factor : float
    into : numpy.ndarray, optional
        Memory for the products, if it has their shape.
    """
    if factor == 1:
        return values
    out = into if into is not None and into.shape == values.shape else None
    return np.asarray(np.multiply(values, factor, dtype=float, out=out))


#: Name → (first column, type, number of columns).
Columns = dict[str, tuple[int, Any, int]]


def read_table(
    source: Source, head: Header, columns: Columns, names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Read some columns of the rows of a frame, by name.

    Raises
    ------
    ValueError
        If a word is where a number should be, or rows are missing or too many.
    """
    spans = {n: range(columns[n][0], sum(columns[n][::2])) for n in names}
    kinds = {at: columns[n][1] for n, span in spans.items() for at in span}
    with np.errstate(invalid="raise"), _named_columns():  # 1e400 is not an id
        table = pd.read_csv(
            io.BytesIO(source.read(head.begin, head.end)),
            sep=r"\s+",
            header=None,
            names=list(range(max(at + count for at, _, count in columns.values()))),
            usecols=list(kinds),
            dtype=kinds,
            engine="c",
            index_col=False,
            na_filter=False,
        )
    problem = f"{len(table)} of {head.n_rows} atoms"
    require_file(len(table) == head.n_rows, source.path, problem)
    found = {at: table[at].to_numpy() for at in kinds}
    return {
        n: np.stack([found[at] for at in span], 1) if len(span) > 1 else found[span[0]]
        for n, span in spans.items()
    }


@contextlib.contextmanager
def _named_columns() -> Iterator[None]:
    """Say in which column a word is not a number, as pandas does not."""
    try:
        yield
    except ValueError as error:
        at = re.search(r"safely convert .* in column (\d+)", str(error))
        if at is None:
            raise
        problem = f"column {int(at[1]) + 1} has a word that is not a finite number"
        raise ValueError(problem) from None


def matrix(
    rows: Iterable[Sequence[bytes | str]], what: str, *widths: int
) -> np.ndarray:
    """Return rows of words as numbers; all have as many, one of the `widths`.

    Raises
    ------
    ValueError
        If a word is not a number, or a row has too few or too many.

    Examples
    --------
    >>> matrix([["0", "1"], ["2"]], "the box", 2, 3)
    Traceback (most recent call last):
        ...
    ValueError: the box has rows of 2 and 1 numbers, not 2 or 3 in each
    """
    found = list(rows)
    sizes = [len(row) for row in found]
    if len(set(sizes)) != 1 or sizes[0] not in widths:
        own = " and ".join(map(str, dict.fromkeys(sizes)))
        needed = " or ".join(map(str, widths))
        raise ValueError(f"{what} has rows of {own} numbers, not {needed} in each")
    return np.array([[float(word) for word in row] for row in found])


def require_finite(where: Callable[[int], str], *arrays: np.ndarray | None) -> None:
    """Refuse NaN, infinity, and values above 1e30, which no simulation has.

    Parameters
    ----------
    where : callable
        Number of a frame, the first axis of arrays with three → what it is called.
    arrays : numpy.ndarray or None

    Raises
    ------
    FileFormatError
    """
    for values in arrays:
        if values is None or _is_plain(values):
            continue
        for wrong in np.argwhere(~(np.abs(values) < 1e30))[:1].tolist():
            problem = f"it contains the value {values[tuple(wrong)]:g}"
            at = wrong[0] if values.ndim == 3 else 0
            require_file(False, where(at), problem, fix="leave that frame out: frames=")


def _is_plain(values: np.ndarray, size: int = 2**16) -> bool:
    """Return whether all are below 1e30; the parts of them fit into the cache."""
    flat = values.reshape(-1)
    parts = (flat[at : at + size] for at in range(0, flat.size, size))
    return all(is_below(part, 1e30) for part in parts)
