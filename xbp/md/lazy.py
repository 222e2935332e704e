"""Frames that are read when they are computed, and what a reader finds of a trajectory."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xbp.core.errors import FileFormatError
from xbp.core.optional import require

__all__ = [
    "Found",
    "LazyFrames",
    "cell_volume",
    "choose",
    "read_columns",
    "require_finite",
    "require_same",
]

#: No length, speed or mass of a simulation is as large, in any units.
_LARGEST = 1e30


@dataclass(frozen=True)
class LazyFrames:
    """Frames that are read when they are computed.

    Attributes
    ----------
    numbers : range
        Frames of the file.
    n_atoms : int
    has_velocity : bool
    read : callable
        Some of the numbers → positions (Å) and velocities (Å/ps, or None), (n_frames,
        n_atoms, 3).
    """

    numbers: range
    n_atoms: int
    has_velocity: bool
    read: Callable[[range], tuple[np.ndarray, np.ndarray | None]]

    def arrays(self, chunk: int) -> tuple[Any, Any]:
        """Return positions and velocities as dask arrays.

        Both of a chunk come from one reading.
        """
        dask = require("dask", "trajectories are opened lazily, as its arrays", "md")
        array = require(
            "dask.array", "trajectories are opened lazily, as its arrays", "md"
        )
        # One node of the graph holds the reader, whose index of the file can be large;
        # the tasks refer to it.
        read, reader = (
            dask.delayed(_read, pure=False),
            dask.delayed(self.read, pure=False),
        )
        positions, velocities = [], []
        for first in range(0, len(self.numbers), chunk):
            numbers = self.numbers[first : first + chunk]
            both = read(reader, numbers)
            shape = (len(numbers), self.n_atoms, 3)
            positions.append(array.from_delayed(both[0], shape, dtype=float))
            velocities.append(array.from_delayed(both[1], shape, dtype=float))
        return array.concatenate(positions), array.concatenate(
            velocities
        ) if self.has_velocity else None


def _read(
    read: Callable[[range], tuple[np.ndarray, np.ndarray | None]], numbers: range
) -> tuple[np.ndarray, np.ndarray | None]:
    return read(numbers)


@dataclass(frozen=True)
class Found:
    """What a reader finds in a file.

    Attributes
    ----------
    lazy : LazyFrames
    cells : numpy.ndarray, shape (n_frames, 3, 3)
        Å.
    element : numpy.ndarray of str, shape (n_atoms,)
    mass : numpy.ndarray, shape (n_atoms,), or None
        u; 0 or NaN where it is not known.
    time : numpy.ndarray, shape (n_frames,)
        ps.
    periodic : str or None
        As ``attrs["periodic"]`` of a trajectory.
    reduced : bool
        Whether masses are in units of the user's own, which those of elements do not
        bind.
    """

    lazy: LazyFrames
    cells: np.ndarray
    element: np.ndarray
    mass: np.ndarray | None
    time: np.ndarray
    periodic: str | None = None
    reduced: bool = False


def choose(n: int, frames: slice | None, path: Path) -> range:
    """Return the numbers of the frames that are to be opened."""
    chosen = range(n)[slice(None) if frames is None else frames]
    if len(chosen) == 0:
        raise FileFormatError(
            f"frames={frames} selects no frame",
            reason=f"{path} has {n} frames",
            fix="widen it",
        )
    return chosen


def read_columns(
    text: bytes, n_columns: int, kinds: Mapping[int, Any], n_rows: int, where: str
) -> dict[int, np.ndarray]:
    r"""Read some columns of a table of numbers and words.

    Parameters
    ----------
    text : bytes
    n_columns : int
        Of the table.
    kinds : mapping of int to type
        Column → type.
    n_rows : int
        Rows that there must be.
    where : str
        For messages.

    Raises
    ------
    FileFormatError
        If a word stands where a number should, or rows are missing or too many.

    Examples
    --------
    >>> read_columns(b"Cu 1.5\nZr 2\n", 2, {0: str, 1: float}, 2, "a")[1].tolist()
    [1.5, 2.0]
    """
    try:
        with np.errstate(invalid="raise"):  # 1e400 is no id
            table = pd.read_csv(
                io.BytesIO(text), sep=r"\s+", header=None, names=list(range(n_columns)), usecols=list(kinds),
                dtype=dict(kinds), engine="c", index_col=False, na_filter=False,
            )  # fmt: skip
    except (
        ValueError,
        TypeError,
        ArithmeticError,
        UnicodeDecodeError,
        pd.errors.ParserError,
    ) as error:
        raise FileFormatError(
            f"{where} cannot be read", reason=str(error), fix="copy the file again"
        ) from None
    if len(table) != n_rows:
        raise FileFormatError(
            f"{where} holds {len(table)} atoms",
            reason=f"its header gives {n_rows}",
            fix="the file is damaged there: copy it again",
        )
    columns = {column: table[column].to_numpy() for column in kinds}
    for values in columns.values():
        if values.dtype.kind == "f":
            require_finite(values, where)
    return columns


def require_finite(values: np.ndarray, where: str) -> None:
    """Refuse numbers of a frame that are none, or that no simulation has.

    Raises
    ------
    FileFormatError
        If one is NaN, infinite or larger than 1e30.
    """
    wrong = ~(np.abs(values) < _LARGEST)
    if wrong.any():
        raise FileFormatError(
            f"{where} contains the value {values[wrong][0]:g}",
            reason="the simulation lost an atom, or the file is damaged",
            fix="leave that frame out: frames=",
        )


def cell_volume(cell: np.ndarray) -> float:
    """Return the volume of a cell; NaN where it has sides that no simulation has.

    Examples
    --------
    >>> round(cell_volume(np.diag([2.0, 3.0, -4.0])), 9), cell_volume(np.diag([2.0, 3.0, np.inf]))
    (24.0, nan)
    """
    return (
        float(abs(np.linalg.det(cell)))
        if (np.abs(cell) < _LARGEST).all()
        else float("nan")
    )


def require_same(
    names: np.ndarray, first: Sequence[str] | np.ndarray, where: str
) -> None:
    """Hold the names of the atoms of a frame to those of the first frame."""
    if len(names) != len(first) or (names != first).any():
        raise FileFormatError(
            f"{where} does not contain the atoms of the first frame",
            reason=f"{len(names)} atoms instead of {len(first)}, or other elements",
            fix="all frames of a trajectory must contain the same atoms in the same "
            "order",
        )
