"""Frames read when they are computed: what a reader finds, checked and labelled."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from xbp.core import constants
from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.guards import require_positive
from xbp.core.optional import require
from xbp.md.models import new_trajectory
from xbp.md.source import reading, require_file
from xbp.md.weights import atomic_mass

__all__ = [
    "Found",
    "Frames",
    "assemble",
    "atom_order",
    "cell_volume",
    "element_of_mass",
    "masses_of",
    "read_columns",
    "require_finite",
    "require_motion",
]

#: Positions and velocities of one frame.
Vectors = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Frames:
    """Frames that are read when they are computed.

    Attributes
    ----------
    numbers : range
        Frames of the file.
    n_atoms : int
    has_velocity : bool
    read : callable
        Some of the numbers → an iterable over these frames of positions (Å) and
        velocities (Å/ps, or None), shape (n_atoms, 3).
    """

    numbers: range
    n_atoms: int
    has_velocity: bool
    read: Callable[[range], Iterable[Vectors]]

    def stack(self, numbers: range) -> Vectors:
        """Return positions and velocities of some frames, (n_frames, n_atoms, 3)."""
        position = np.empty((len(numbers), self.n_atoms, 3))
        velocity = np.empty_like(position) if self.has_velocity else None
        for place, (r, v) in enumerate(self.read(numbers)):
            position[place] = r
            if velocity is not None:
                velocity[place] = v
        return position, velocity

    def arrays(self, chunk: int) -> tuple[Any, Any]:
        """Return positions and velocities as dask arrays, which one task reads."""
        dask = require("dask", "trajectories are opened lazily, as its arrays", "md")
        array = require("dask.array", "trajectories are opened lazily", "md")
        # One node of the graph contains the reader and its index of the file.
        chunks = dask.delayed(_Chunks(self), pure=False)
        read = dask.delayed(_read, pure=False)
        positions, velocities = [], []
        for first in range(0, len(self.numbers), chunk):
            numbers = self.numbers[first : first + chunk]
            both = read(chunks, numbers)
            shape = (len(numbers), self.n_atoms, 3)
            positions.append(array.from_delayed(both[0], shape, dtype=float))
            velocities.append(array.from_delayed(both[1], shape, dtype=float))
        moving = array.concatenate(velocities) if self.has_velocity else None
        return array.concatenate(positions), moving


class _Chunks:
    """Reads chunks of frames and keeps the last: several checks need the same ones."""

    def __init__(self, frames: Frames, most: int = 16 * 2**20) -> None:
        self._frames, self._most = frames, most
        self._kept: OrderedDict[range, Vectors] = OrderedDict()
        self._reading: dict[range, threading.Lock] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Chunks, (self._frames, self._most)

    def read(self, numbers: range) -> Vectors:
        with self._lock:
            alone = self._reading.setdefault(numbers, threading.Lock())
        with alone:  # tasks that need the same chunk wait for the first
            found = self._kept.get(numbers) or self._frames.stack(numbers)
            size = found[0].nbytes * (2 if self._frames.has_velocity else 1)
            with self._lock:
                self._kept[numbers] = found
                self._kept.move_to_end(numbers)
                while len(self._kept) * size > self._most and self._kept:
                    self._kept.popitem(last=False)
        # Users may change what they get.
        return found[0].copy(), None if found[1] is None else found[1].copy()


def _read(chunks: _Chunks, numbers: range) -> Vectors:
    return chunks.read(numbers)


@dataclass(frozen=True)
class Found:
    """What a reader finds in a file.

    Attributes
    ----------
    frames : Frames
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
        Whether masses are in Lennard-Jones units, so that they may differ from those
        of the elements.
    """

    frames: Frames
    cells: np.ndarray
    element: np.ndarray
    mass: np.ndarray | None
    time: np.ndarray
    periodic: str | None = None
    reduced: bool = False


def assemble(found: Found, mass: np.ndarray, chunk: int | None) -> xr.Dataset:
    """Return the trajectory as a Dataset, by default in chunks of about 8 MiB."""
    frames, cells = found.frames, found.cells
    bytes_ = frames.n_atoms * 24 * (2 if frames.has_velocity else 1)
    position, velocity = frames.arrays(chunk or max(1, 8 * 2**20 // bytes_))
    ds = new_trajectory(
        position,
        time=found.time,
        cell=cells[0] if np.allclose(cells, cells[0], rtol=1e-9, atol=0) else cells,
        velocity=velocity,
        element=found.element,
        mass=mass,
    )
    if found.periodic is not None:
        ds.attrs["periodic"] = found.periodic
    return ds


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
        If a word is where a number should be, or rows are missing or too many.

    Examples
    --------
    >>> read_columns(b"Cu 1.5\nZr 2\n", 2, {0: str, 1: float}, 2, "a")[1].tolist()
    [1.5, 2.0]
    """
    with reading(where), np.errstate(invalid="raise"):  # 1e400 is not an id
        table = pd.read_csv(
            io.BytesIO(text),
            sep=r"\s+",
            header=None,
            names=list(range(n_columns)),
            usecols=list(kinds),
            dtype=dict(kinds),
            engine="c",
            index_col=False,
            na_filter=False,
        )
    require_file(len(table) == n_rows, where, f"{len(table)} of {n_rows} atoms")
    columns = {column: table[column].to_numpy() for column in kinds}
    require_finite(where, *(v for v in columns.values() if v.dtype.kind == "f"))
    return columns


def require_finite(where: str, *arrays: np.ndarray | None) -> None:
    """Refuse NaN, infinity, and values above 1e30, which no simulation has.

    Raises
    ------
    FileFormatError
    """
    for values in arrays:
        if values is None or (np.abs(values) < 1e30).all():
            continue
        wrong = values[~(np.abs(values) < 1e30)][0]
        raise FileFormatError(
            f"{where} contains the value {wrong:g}",
            reason="the simulation lost an atom, or the file is damaged",
            fix="leave that frame out: frames=",
        )


def cell_volume(cell: np.ndarray, where: str) -> float:
    """Return the volume of a cell; refuse cells without one.

    Raises
    ------
    FileFormatError

    Examples
    --------
    >>> round(cell_volume(np.diag([2.0, 3.0, -4.0]), "a"), 9)
    24.0
    """
    known = cell.shape == (3, 3) and (np.abs(cell) < 1e30).all()
    volume = float(abs(np.linalg.det(cell))) if known else float("nan")
    thick = volume > 1e-9 * np.abs(cell).max() ** 3
    require_file(bool(thick), where, f"the cell has a volume of {volume:g}")
    return volume


def atom_order(
    where: str,
    names: np.ndarray,
    ids: np.ndarray | None,
    first: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> np.ndarray:
    """Return the order that sorts the atoms of a frame by id.

    Parameters
    ----------
    where : str
        For messages.
    names, ids : numpy.ndarray, shape (n_atoms,)
        Names or types, and ids if there are any.
    first : tuple of names and ids, optional
        Those of the first frame, sorted.

    Raises
    ------
    FileFormatError
        If an id repeats, or the atoms are not those of the first frame.
    """
    order = np.arange(names.size) if ids is None else np.argsort(ids, kind="stable")
    if ids is not None:
        repeated = ids[order][1:][np.diff(ids[order]) == 0]
        require_file(not repeated.size, where, f"id {repeated[:1]} occurs twice")
    if first is not None:
        same = np.array_equal(names[order], first[0])
        if ids is not None and first[1] is not None:
            same = same and np.array_equal(ids[order], first[1])
        require_file(
            same,
            where,
            "it does not contain the atoms of the first frame",
            fix="write a fixed group of atoms whose types do not change",
        )
    return order


def element_of_mass(mass: float, *, within: float = 0.05) -> str | None:
    """Return the one element whose mass this is to `within` u, or None.

    Examples
    --------
    >>> element_of_mass(63.55), element_of_mass(100.0)
    ('Cu', None)
    """
    table = require("periodictable", "masses are looked up in it", "neutron").elements
    found = [
        e.symbol for e in table if e.number > 0 and abs(float(e.mass) - mass) <= within
    ]
    return found[0] if len(found) == 1 else None


def masses_of(
    path: Path,
    element: np.ndarray,
    given: Mapping[str, Any] | None,
    known: np.ndarray | None,
    *,
    tolerance: float = 0.25,
) -> np.ndarray:
    """Return the mass of every atom: as given, else in the file, else the element's.

    Parameters
    ----------
    path : Path
    element : numpy.ndarray of str, shape (n_atoms,)
    given : mapping of symbol to scalar with units, optional
        Bare: u.
    known : numpy.ndarray, shape (n_atoms,), or None
        Of the file, u; 0 or NaN where it has none.
    tolerance : float
        Relative; masses in the file that differ more from those of the elements
        contradict them.

    Raises
    ------
    QuantityError
        If masses and elements contradict, or a mass is not known.

    Examples
    --------
    >>> element, known = np.array(["Cu", "Zr"]), np.array([0.0, 91.0])
    >>> masses_of(Path("a"), element, None, known).round(1).tolist()
    [63.5, 91.0]
    """
    symbols, index = np.unique(element, return_inverse=True)
    for name in given or {}:
        if name not in symbols.tolist():
            raise QuantityError(
                f"masses= names {name!r}, but the elements of {path} are "
                f"{', '.join(symbols)}"
            )
    own = np.full(element.size, np.nan) if known is None else np.array(known, float)
    own[~(np.isfinite(own) & (own > 0))] = np.nan
    mass = np.empty(element.size)
    for number, symbol in enumerate(symbols.tolist()):
        atoms = index == number
        if given and symbol in given:
            mass[atoms] = require_positive(given[symbol], f"masses[{symbol!r}]", "u")
            continue
        here = own[atoms]
        try:
            standard = atomic_mass(symbol)
        except QuantityError as error:
            # The user's own name for an atom; its mass must be in the file.
            if np.isnan(here).any():
                raise QuantityError(
                    f"{error.summary}, and {path} has no mass for it", fix=error.fix
                ) from None
            standard = np.nan
        wrong = np.abs(here - standard) > tolerance * standard
        if wrong.any():
            raise QuantityError(
                f"the mass of {symbol} in {path} is {here[wrong][0]:g} u, but the "
                f"element has {standard:g} u",
                fix=f"correct elements=, or masses={{'{symbol}': "
                f"'{here[wrong][0]:g} u'}} if it is right",
            )
        mass[atoms] = np.where(np.isnan(here), standard, here)
    return mass


def require_motion(
    path: Path,
    found: Found,
    mass: np.ndarray,
    *,
    hottest: float,
    factor: float = 2.0,
    rounding: float = 0.002,
    diameter: float = 2.0,
) -> list[np.ndarray]:
    r"""Refuse frames whose displacements are impossible in the time between them.

    Colliding atoms at a kinetic temperature T move no further than

    .. math:: \langle\Delta r^2\rangle \le 2 \ell^2 \left(\frac{v t}{\ell} - 1 + e^{-v
        t/\ell}\right), \quad
              v^2 = \frac{3 k_B T}{m}, \quad \ell = \frac{1}{\sqrt 2\, n \pi d^2}

    which is v²t² at short times and 6Dt with D = vℓ/3 at long ones. The first two and
    the last two frames are read and compared, to the nearest images, which makes
    displacements smaller still.

    Parameters
    ----------
    path : Path
    found : Found
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    hottest : float
        Highest kinetic temperature allowed, K.
    factor : float
        Displacements may belong to a temperature this many times (and 10/√N, as few
        atoms scatter) above that of the velocities in the file.
    rounding : float
        Å, of positions.
    diameter : float
        d, Å: atoms collide at no smaller distance. ℓ is no less than a quarter of it.

    Returns
    -------
    list of numpy.ndarray
        Positions in the first and the last frame, if they can be read.

    Raises
    ------
    QuantityError
        If velocities or displacements correspond to a higher temperature.

    References
    ----------
    S. Chapman & T. G. Cowling, The Mathematical Theory of Non-Uniform Gases, 3rd ed.
    (1970), chapters 5 and 6.
    """
    numbers, n_atoms = found.frames.numbers, found.frames.n_atoms
    ends = []
    for first in sorted({0, max(0, len(numbers) - 2)}):
        pair = numbers[first : first + 2]
        try:
            position, velocity = found.frames.stack(pair)
        except FileFormatError:
            if len(numbers) == 1:
                raise
            # A damaged frame is named when it is computed; the others are good.
            continue
        ends += [position[0], position[-1]]
        if n_atoms < 2:
            continue
        kelvin = np.nan
        if velocity is not None:
            rest = (
                velocity - np.einsum("tjc,j->tc", velocity, mass / mass.sum())[:, None]
            )
            square = float(np.einsum("tjc,tjc,j->", rest, rest, mass)) / len(pair)
            kelvin = square / (3 * (n_atoms - 1) * constants.BOLTZMANN)
        if kelvin > hottest:
            raise QuantityError(
                f"the velocities in {path} correspond to {kelvin:.3g} K, above "
                f"hottest={hottest:g} K",
                fix="correct units= (or elements=, masses=); raise hottest= if it "
                "really is that hot",
            )
        if len(pair) < 2 or not found.time[first + 1] > found.time[first]:
            continue
        step = float(found.time[first + 1] - found.time[first])
        cells = found.cells[[first, first + 1]]
        jump = _jump(position, cells, mass)
        limit = min(hottest, (factor + 10 / np.sqrt(n_atoms)) * kelvin)
        density = n_atoms / abs(np.linalg.det(cells[0]))
        free = max(1 / (np.sqrt(2) * density * np.pi * diameter**2), diameter / 4)
        reach = _reach(limit if kelvin > 0 else hottest, mass, free, step)
        reach += 3 * rounding**2 * float(mass.sum())
        if jump > reach:
            way, most = (np.sqrt(square / mass.sum()) for square in (jump, reach))
            raise QuantityError(
                f"from frame {first} to frame {first + 1} of {path} atoms move by "
                f"{way:.3g} angstrom in {step:.4g} ps",
                reason=f"at the temperature of the velocities, or hottest={hottest:g} "
                f"K, they move by {most:.3g} angstrom at most",
                fix="correct units=, timestep= or time_between_frames=; a set of "
                "configurations opens one at a time: frames=slice(0, 1)",
            )
    return [ends[0], ends[-1]] if ends else []


def _jump(position: np.ndarray, cells: np.ndarray, mass: np.ndarray) -> float:
    """Return Σ m |Δr|² between two frames, to the nearest images, u Å²."""
    scaled = np.matmul(position, np.linalg.inv(cells))
    hop = scaled[1] - scaled[0]
    hop -= np.round(hop)
    way = hop @ cells.mean(axis=0)
    way -= (mass / mass.sum()) @ way
    return float(mass @ (way**2).sum(axis=1))


def _reach(kelvin: float, mass: np.ndarray, free: float, time: float) -> float:
    """Return Σ m ⟨Δr²⟩ after a time, with a mean free path `free`, u Å²."""
    way = np.sqrt(3 * constants.BOLTZMANN * kelvin / mass) * time / free
    return float((mass * 2 * free**2 * (way + np.expm1(-way))).sum())
