"""Frames read when they are computed: what a reader finds, checked and labelled."""

from __future__ import annotations

import io
import operator
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from xbp.core import constants
from xbp.core.errors import FileFormatError, QuantityError, require
from xbp.core.guards import require_keys, require_positive
from xbp.md.given import SITE
from xbp.md.models import new_trajectory
from xbp.md.plane import Frame
from xbp.md.source import Header, Source, reading, require_file
from xbp.md.weights import atomic_mass

__all__ = [
    "Columns",
    "Found",
    "Frames",
    "Rows",
    "assemble",
    "cell_volume",
    "masses_of",
    "part_of",
    "pieces",
    "read_table",
    "require_finite",
    "require_motion",
    "scaled",
]

#: Positions and velocities of some frames.
Vectors = tuple[np.ndarray, np.ndarray | None]


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
            require_file(not again.size, where(0), f"id {again[:1]} occurs twice")
            sorted_: Any = (
                None if a is None else a.take(order, axis=-2 if vectors else 0)
                for a, vectors in zip(self, (0, 0, 1, 1, 0), strict=True)
            )
            found = Rows(*sorted_)
        if first is not None:
            same = found.names is first.names or np.array_equal(
                found.names, first.names
            )
            same = same and np.array_equal(np.array(found.ids), np.array(first.ids))
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
    """

    path: Path
    numbers: range
    rows: Callable[[range], Iterator[Rows]]
    name: Callable[[int], str] = str
    kept: bool = True
    atoms: np.ndarray | None = None

    @cached_property
    def first(self) -> Rows:
        """The atoms of the first frame."""
        return next(self._read(self.numbers[:1]))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int((self.first.names if self.atoms is None else self.atoms).size)

    def _read(self, numbers: range, first: Rows | None = None) -> Iterator[Rows]:
        found, done = self.rows(numbers), 0
        while done < len(numbers):
            where = partial(self._where, numbers[done:])
            with reading(where(0)):
                rows = next(found)
            yield rows.ordered(where, first)
            done += rows.n_frames

    def _where(self, numbers: range, place: int) -> str:
        return f"{self.path}, frame {self.name(numbers[place])}"

    def stack(self, numbers: range) -> Vectors:
        """Return positions and velocities of some frames, (n_frames, n_atoms, 3)."""
        shape, place = (len(numbers), self.n_atoms, 3), 0
        moving = self.first.velocity is not None
        out: Vectors = np.empty(0), None
        for rows in self._read(numbers, self.first):
            r, v = (
                part if part is None or self.atoms is None else part[..., self.atoms, :]
                for part in (rows.position, rows.velocity)
            )
            if r is not None and r.shape == shape:  # in one piece, as the file has them
                r = np.require(r, float, ["C", "W"])
                return r, np.require(v, float, ["C", "W"]) if moving else None
            if not place:
                out = np.empty(shape), np.empty(shape) if moving else None
            for own, read in zip(out, (r, v), strict=True):
                if own is not None:
                    own[place : place + rows.n_frames] = read
            place += rows.n_frames
        return out

    def arrays(self, chunk: int) -> tuple[Any, Any]:
        """Return positions and velocities as dask arrays, which one task reads."""
        array = require("dask.array", "trajectories are opened lazily", "md")
        graphs = require("dask.highlevelgraph", "they are opened lazily", "md")
        token, count = uuid.uuid4().hex, len(self.numbers)
        parts = [
            self.numbers[first : first + chunk] for first in range(0, count, chunk)
        ]
        # One node of the graph contains the reader and its index of the file. Written
        # by hand: through dask.delayed each chunk takes a millisecond.
        file, read = f"file-{token}", f"read-{token}"
        shared: dict[str, Any] = {
            file: {file: _Chunks(self)},
            read: {
                (read, i): (_Chunks.read, file, part) for i, part in enumerate(parts)
            },
        }
        found = []
        for place in range(1 if self.first.velocity is None else 2):
            name = f"{('position', 'velocity')[place]}-{token}"
            own = {
                (name, i, 0, 0): (operator.getitem, (read, i), place)
                for i in range(len(parts))
            }
            graph = graphs.HighLevelGraph(
                {**shared, name: own}, {file: set(), read: {file}, name: {read}}
            )
            sizes = (tuple(map(len, parts)), (self.n_atoms,), (3,))
            found.append(array.Array(graph, name, sizes, dtype=float))
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

    def read(self, numbers: range) -> Vectors:
        if not self._frames.kept:
            return self._frames.stack(numbers)
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
        # Users may change what they get.
        return found[0].copy(), None if found[1] is None else found[1].copy()


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
    block : int
        Frames that are stored, and so read, together.
    """

    frames: Frames
    cells: np.ndarray
    element: np.ndarray
    mass: np.ndarray | None
    time: np.ndarray
    periodic: str | None = None
    reduced: bool = False
    block: int = 1

    def at_rest(self) -> Found:
        """Return it without velocities."""
        read = self.frames.rows

        def rows(numbers: range) -> Iterator[Rows]:
            return (one._replace(velocity=None) for one in read(numbers))

        return replace(self, frames=replace(self.frames, rows=rows))

    def without_sites(self) -> Found:
        """Return it without the virtual sites of `elements`.

        Raises
        ------
        QuantityError
            If one of them has a mass.
        """
        atoms = np.flatnonzero(self.element != SITE)
        if atoms.size == self.element.size:
            return self
        left, mass = self.element == SITE, self.mass
        heavy = np.zeros(0) if mass is None else mass[left][mass[left] > 0]
        if heavy.size or not atoms.size:
            weight = f"{heavy[0]:g} u" if heavy.size else "no atom beside"
            raise QuantityError(
                f"elements= has None for virtual sites of {self.frames.path}, with "
                f"{weight}",
                fix="name the element of every atom that has a mass",
            )
        return replace(
            self,
            frames=replace(self.frames, atoms=atoms),
            element=self.element[atoms],
            mass=None if mass is None else mass[atoms],
        )


def assemble(found: Found, mass: np.ndarray, chunk: int | None) -> xr.Dataset:
    """Return the trajectory as a Dataset, by default in chunks of about 8 MiB."""
    frames, cells = found.frames, found.cells
    bytes_ = frames.n_atoms * 24 * (1 if frames.first.velocity is None else 2)
    # Parts of blocks would be unpacked again for each chunk; huge ones stay apart.
    block = found.block if found.block * bytes_ <= 2**28 else 1
    default = max(1, 8 * 2**20 // bytes_ // block) * block
    position, velocity = frames.arrays(chunk or default)
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
    both = [None if a is None else np.atleast_2d(a) for a in (names, ids)]
    if all(a is None or (a == a[0]).all() for a in both):
        first: Any = (None if a is None else a[0] for a in both)
        yield Rows(next(first), next(first), position, velocity)
        return
    for place in range(len(position)):
        own: Any = (None if a is None else a[place % len(a)] for a in both)
        v = None if velocity is None else velocity[place]
        yield Rows(next(own), next(own), position[place], v)


def scaled(values: np.ndarray, factor: float) -> np.ndarray:
    """Return numbers times a factor: in double precision, as they are if it is 1."""
    return values if factor == 1 else np.multiply(values, factor, dtype=float)


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
    with np.errstate(invalid="raise"):  # 1e400 is not an id
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
        # Maximum and minimum need no memory, and are NaN if one value is.
        if values is None or (values.max() < 1e30 and values.min() > -1e30):
            continue
        for wrong in np.argwhere(~(np.abs(values) < 1e30))[:1].tolist():
            problem = f"it contains the value {values[tuple(wrong)]:g}"
            at = wrong[0] if values.ndim == 3 else 0
            require_file(False, where(at), problem, fix="leave that frame out: frames=")


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
    symbols = np.unique(element).tolist()
    given = require_keys(given, "masses", symbols)
    mass = np.full(element.size, np.nan) if known is None else np.array(known, float)
    mass[~(np.isfinite(mass) & (mass > 0))] = np.nan
    for symbol in symbols:
        atoms = element == symbol
        if symbol in given:
            mass[atoms] = require_positive(given[symbol], f"masses[{symbol!r}]", "u")
            continue
        here = mass[atoms]
        try:
            standard = atomic_mass(symbol)
        except QuantityError as error:
            # The user's own name for an atom; its mass must be in the file.
            if np.isnan(here).any():
                raise QuantityError(
                    f"{error.summary}, and {path} has no mass for it", fix=error.fix
                ) from None
            continue
        wrong = here[np.abs(here - standard) > tolerance * standard]
        if wrong.size:
            raise QuantityError(
                f"the mass of {symbol} in {path} is {wrong[0]:g} u, but the element "
                f"has {standard:g} u",
                fix=f"masses={{'{symbol}': '{wrong[0]:g} u'}}, or other elements=",
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
) -> list[Frame]:
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
    list of Frame
        The first and the last frame, if they can be read.

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
    ends: list[Frame] = []
    for first in sorted({0, max(0, len(numbers) - 2)}):
        pair = numbers[first : first + 2]
        try:
            position, velocity = found.frames.stack(pair)
        except FileFormatError:
            if len(numbers) == 1:
                raise
            # A damaged frame is named when it is computed; the others are good.
            continue
        speed: Any = velocity
        moving = speed is not None
        ends += [(position[i], speed[i] if moving else None) for i in (0, -1)]
        if n_atoms < 2:
            continue
        kelvin = np.nan
        if velocity is not None:
            square = _about_centre(velocity, mass) / len(pair)
            kelvin = square / (3 * (n_atoms - 1) * constants.BOLTZMANN)
        if kelvin > hottest:
            raise QuantityError(
                f"the velocities in {path} are those of {kelvin:.3g} K, above hottest="
                f"{hottest:g} K",
                fix="correct units= (or elements=, masses=), or raise hottest=",
            )
        step = float(np.ptp(found.time[first : first + 2]))
        if not step > 0:
            continue
        cells = found.cells[[first, first + 1]]
        scaled = np.matmul(position, np.linalg.inv(cells))
        hop = scaled[1] - scaled[0]
        way = (hop - np.round(hop)) @ cells.mean(axis=0)
        jump = _about_centre(way[None], mass)
        limit = min(hottest, (factor + 10 / np.sqrt(n_atoms)) * kelvin)
        density = n_atoms / abs(np.linalg.det(cells[0]))
        free = max(1 / (np.sqrt(2) * density * np.pi * diameter**2), diameter / 4)
        speed = np.sqrt(
            3 * constants.BOLTZMANN * (limit if kelvin > 0 else hottest) / mass
        )
        x = speed * step / free
        reach = float((mass * 2 * free**2 * (x + np.expm1(-x))).sum())
        reach += 3 * rounding**2 * float(mass.sum())
        if jump > reach:
            way, most = np.sqrt(np.array([jump, reach]) / mass.sum())
            raise QuantityError(
                f"from frame {first} to frame {first + 1} of {path} atoms move by "
                f"{way:.3g} angstrom in {step:.4g} ps; thermal motion is at most "
                f"{most:.3g} angstrom (T of the velocities, or hottest={hottest:g} K)",
                fix="correct units=, timestep= or time_between_frames=; open a set of "
                "configurations one at a time: frames=slice(0, 1)"
                + ("; velocities=False" if kelvin > 0 else ""),
            )
    return [ends[0], ends[-1]] if ends else []


def _about_centre(vectors: np.ndarray, mass: np.ndarray) -> float:
    """Return Σ m |v|² of some frames, less that of the centre of mass."""
    rest = vectors - np.einsum("tjc,j->tc", vectors, mass / mass.sum())[:, None]
    return float(np.einsum("tjc,tjc,j->", rest, rest, mass))
