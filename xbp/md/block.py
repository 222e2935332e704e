"""Some frames as plain arrays; the motion of centre of mass and cell, removed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
import scipy

from xbp.core.errors import QuantityError, require
from xbp.md.plane import require_in_plane

__all__ = [
    "ATOM_BYTES",
    "BLOCK_BYTES",
    "HALF_A_CELL",
    "Block",
    "Later",
    "cell_rate",
    "contains_affine",
    "heights",
    "resting_hops",
    "velocities_unknown",
]


#: Bytes that a task holds of its frames: of larger ones it reads parts.
BLOCK_BYTES = 256 * 2**20
#: Of each atom in a frame: positions as read and as scaled.
ATOM_BYTES = 48


class Later:
    """An array of dask that is read in the task that uses it, part by part.

    dask itself would read all of it first.

    Parameters
    ----------
    array : dask.array.Array, shape (time, atom, 3)
    call : str
        Which analysis it is for: once that is given up, nothing is read any more.
    """

    given_up: ClassVar[set[str]] = set()

    def __init__(self, array: Any, call: str) -> None:
        self._array, self._call = array, call

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the chunks of other tasks.
        (own,) = require("dask", _READS, "md").optimize(self._array)
        return Later, (own, self._call)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all of it."""
        return tuple(self._array.shape)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the parts in which it is stored."""
        return tuple(self._array.chunks)

    def __getitem__(self, part: Any) -> np.ndarray:
        """Read a part."""
        if self._call in self.given_up:
            raise InterruptedError("the analysis was given up")
        return np.asarray(self._array[part].compute(scheduler="sync"))


_READS = "read trajectories in chunks"


#: Between frames so far apart it is unknown through which side an atom left.
HALF_A_CELL: Final = "atoms move by half the cell between frames"


def velocities_unknown() -> QuantityError:
    """Return the error of velocities that are asked of positions too far apart."""
    return QuantityError(
        f"{HALF_A_CELL}: velocities are ambiguous",
        fix="write velocities, or frames more often",
    )


@dataclass(frozen=True)
class Block:
    """Some frames as plain arrays, which may still be dask's.

    Attributes
    ----------
    position, velocity : array, shape (time, atom, 3), or None
        In the units of the file; `units` turn them into Å and Å/ps.
    cells : numpy.ndarray, shape (time, 3, 3)
        Rows are the cell vectors, Å.
    units : tuple of float
        Factors of position and velocity.
    first : int
        Number of the first frame, for messages.
    field : array, shape (time, component, atom), or None
        Other numbers per atom.
    share : numpy.ndarray, shape (atom,), or None
        Fraction of the mass in each atom.
    rate : numpy.ndarray, shape (time, 3, 3), or None
        Change of the cell vectors, Å/ps, where the velocities contain it.
    dimension : int
        2 for a plane of atoms, which frames may not leave.
    moved : numpy.ndarray, shape (time, 3), or None
        `centre`, where it is known already.
    flow : numpy.ndarray, shape (time, 3), or None
        Velocity of the centre of mass, where it is known already, Å/ps.
    """

    position: Any
    velocity: Any
    cells: np.ndarray
    units: tuple[float, float]
    first: int
    field: Any = None
    share: Any = None
    rate: Any = None
    dimension: int = 3
    moved: np.ndarray | None = None
    flow: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.cells)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        one = self.velocity if self.position is None else self.position
        return int(one.shape[1])

    @property
    def fits(self) -> bool:
        """Whether all frames may be in memory, as read and as scaled."""
        return self.n_frames * self.n_atoms * ATOM_BYTES <= BLOCK_BYTES

    def part(self, start: int, stop: int) -> Block:
        """Return frames start … stop−1 of it."""
        names = ("position", "velocity", "cells", "field", "rate", "moved", "flow")
        parts: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None else a[start:stop]
            for name in names
        }
        return replace(self, **parts, first=self.first + start)

    def read_later(self, call: str) -> Block:
        """Return it with arrays of dask that are read in parts; see `Later`."""
        later: dict[str, Any] = {
            name: Later(array, call)
            for name in ("position", "velocity")
            if hasattr(array := getattr(self, name), "dask")
        }
        return replace(self, **later)

    def pieces(self) -> Iterator[Block]:
        """Yield neighbouring frames that fit in memory, all in one if they do."""
        if self.fits:
            yield self
            return
        few = max(1, BLOCK_BYTES // 4 // (self.n_atoms * ATOM_BYTES))
        for first, stop in self._stored(0):
            read = self.part(first, stop)
            for begin in range(0, stop - first, few):
                yield read.part(begin, begin + few)

    def groups(self) -> Iterator[tuple[slice, Block]]:
        """Yield all frames of some atoms that fit in memory, all of them if they do.

        What concerns all atoms is to be known before, by `at_rest` or `flowing`.
        """
        if self.fits:
            yield slice(0, self.n_atoms), self
            return
        few = max(1, BLOCK_BYTES // (self.n_frames * ATOM_BYTES))
        for first, stop in self._stored(1):
            read = self._atoms(slice(first, stop))
            for begin in range(0, stop - first, few):
                some = slice(begin, min(begin + few, stop - first))
                atoms = slice(first + some.start, first + some.stop)
                yield atoms, read._atoms(some)

    def _atoms(self, some: slice) -> Block:
        arrays: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None else a[:, some]
            for name in ("position", "velocity")
        }
        return replace(self, **arrays)

    def _stored(self, axis: int) -> list[tuple[int, int]]:
        """Return the parts of frames (axis 0) or atoms (1) that are read at a time."""
        one = self.velocity if self.position is None else self.position
        sizes = (
            one.chunks[axis] if isinstance(one, Later) else one.shape[axis : axis + 1]
        )
        ends = np.cumsum([0, *sizes]).tolist()
        return list(itertools.pairwise(ends))

    def at_rest(self) -> Block:
        """Return it with the motion of its centre of mass known, or all of it NaN."""
        if self.moved is not None:
            return self
        centre = self.centre
        known = np.isfinite(centre).all()
        return replace(self, moved=centre if known else np.full_like(centre, np.nan))

    def flowing(self) -> Block:
        """Return it with the velocity of its centre of mass known."""
        flow = [piece.split_velocities()[1] for piece in self.pieces()]
        return replace(self, flow=np.concatenate(flow))

    def scaled(self) -> np.ndarray:
        """Return positions in units of the cell vectors, shape (time, 3, atom)."""
        position = np.asarray(self.position)
        _require_finite(position, "position", self.first)
        self._require_in_plane(position, None)
        inverse = np.linalg.inv(self.cells) * self.units[0]
        # Rows are vectors: r = s·H, so s = r·H⁻¹; transposed, each axis is contiguous.
        return np.ascontiguousarray(
            np.matmul(np.swapaxes(inverse, -1, -2), np.swapaxes(position, 1, 2))
        )

    def _require_in_plane(self, position: Any, velocity: Any) -> None:
        if self.dimension == 2:
            where = f"frames {self.first} to {self.first + len(self.cells) - 1}"
            require_in_plane(position, velocity, where)

    @cached_property
    def centre(self) -> np.ndarray:
        """Displacement of the centre of mass since the first frame, in cells.

        Shape (time, 3); NaN where it is not known: see `resting_hops`.
        """
        if self.moved is not None:
            return self.moved
        centre, last = [np.zeros((1, 3))], np.empty((0, 3, self.n_atoms))
        for piece in self.pieces():
            scaled = np.concatenate([last, piece.scaled()])
            steps = motion_of_centre(scaled, self.share)
            centre.append(centre[-1][-1] + steps[len(last) :])
            last = scaled[-1:]
        return np.concatenate(centre[1:])

    def resting(self) -> np.ndarray:
        """Return `scaled`, with the centre of mass at rest if its motion is known."""
        scaled = self.scaled()
        if np.isfinite(self.centre).all():
            scaled -= self.centre[:, :, None]
        return scaled

    def _hops(self) -> tuple[np.ndarray, np.ndarray]:
        """Return displacements between frames, see `resting_hops`."""
        hops = np.diff(self.scaled(), axis=0)
        if self.moved is None:
            return resting_hops(hops, self.share)
        centre = np.diff(self.moved, axis=0)
        hops -= centre[:, :, None]
        hops -= np.round(hops)
        return hops, centre

    def drift(self, starts: list[int], length: int) -> np.ndarray:
        """Return the centre of mass's mean displacement per frame of segments, Å."""
        first = np.array(starts)
        ways = self.centre[first + length - 1] - self.centre[first]
        return np.asarray(ways @ self.cells.mean(axis=0) / max(1, length - 1))

    def path(self) -> np.ndarray:
        """Return displacements from the mean positions, Å, shape (time, 3, atom).

        The centre of mass is at rest. From frame to frame an atom goes to the nearest
        image; NaN if atoms move by half of the cell, so that this is not known.
        """
        hops, centre = self._hops()
        path = np.zeros((self.n_frames, *hops.shape[1:]))
        np.cumsum(hops, axis=0, out=path[1:])
        path -= path.mean(axis=0)
        if not np.isfinite(centre).all():
            path[:] = np.nan
        return np.ascontiguousarray(np.matmul(self.cells.mean(axis=0).T, path))

    def steps(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return `split_velocities`, taken from steps between neighbouring frames.

        One fewer than frames; NaN where atoms move by half of the cell.
        """
        hops, centre = self._hops()
        hops[~np.isfinite(centre).all(axis=1)] = np.nan
        cells = (self.cells[1:] + self.cells[:-1]) / 2
        # Rows are vectors: r = s·H.
        steps = np.matmul(np.swapaxes(cells, 1, 2), hops)
        return steps / time, np.einsum("tc,tcd->td", centre, cells) / time

    def midway(self, time: float) -> Block:
        """Return frames halfway between these, with the `steps` as velocities.

        One fewer than frames.

        Raises
        ------
        QuantityError
            If atoms move by half of the cell between frames.
        """
        scaled = self.scaled()
        hops, centre = resting_hops(np.diff(scaled, axis=0), self.share)
        if not np.isfinite(centre).all():
            raise velocities_unknown()
        hops += centre[:, :, None]
        cells = (self.cells[1:] + self.cells[:-1]) / 2
        rows = np.swapaxes(cells, 1, 2)  # r = s·H
        position, velocity = (
            np.swapaxes(np.matmul(rows, part), 1, 2)
            for part in (scaled[:-1] + hops / 2, hops / time)
        )
        return replace(
            self, position=position, velocity=velocity, cells=cells, units=(1.0, 1.0)
        )

    def velocities(self) -> np.ndarray:
        """Return velocities as they are, in Å/ps, shape (time, 3, atom)."""
        velocity = np.asarray(self.velocity)
        _require_finite(velocity, "velocity", self.first)
        self._require_in_plane(None, velocity)
        # In double precision, also if they are stored in single.
        swapped = np.swapaxes(velocity, 1, 2)
        return np.ascontiguousarray(np.multiply(swapped, self.units[1], dtype=float))

    def twice_kinetic(self, mass: np.ndarray) -> np.ndarray:
        """Return Σ m v² of every frame, the centre of mass at rest, u Å²/ps²."""
        energy = []
        few = max(1, 2**18 // (3 * self.n_atoms))  # they stay in the processor's cache
        for piece in self.pieces():
            for first in range(0, piece.n_frames, few):
                velocity, _ = piece.part(first, first + few).split_velocities()
                energy.append(np.einsum("tcj,tcj,j->t", velocity, velocity, mass))
        return np.concatenate(energy)

    def split_velocities(self) -> tuple[np.ndarray, np.ndarray]:
        """Return thermal velocities, and that of the centre of mass, shape (time, 3).

        The motion of the cell is removed if the velocities contain it.
        """
        velocity = self.velocities()
        if self.rate is not None:
            velocity = velocity - self.affine_velocities()
        flow = self.flow
        if flow is None:
            flow = velocity @ self.share
        return velocity - flow[..., None], flow

    def affine_velocities(self) -> np.ndarray:
        """Return velocities due to the motion of the cell, Å/ps, (time, 3, atom)."""
        # Rows are vectors: r = s·H, so that s carried along moves by s·dH/dt.
        return np.asarray(np.matmul(np.swapaxes(self.rate, 1, 2), self.scaled()))


def _require_finite(values: np.ndarray, name: str, first: int) -> None:
    if not np.isfinite(values.sum()):
        for frame, atom, axis in np.argwhere(~np.isfinite(values))[:1].tolist():
            raise QuantityError(
                f"the {name} of atom {atom} in frame {first + frame} is "
                f"{values[frame, atom, axis]}",
                fix=f"traj.isel(time=slice(0, {first + frame}))",
            )


def resting_hops(
    hops: np.ndarray, share: np.ndarray, reach: float = 0.45
) -> tuple[np.ndarray, np.ndarray]:
    r"""Split displacements between frames into the centre of mass's and the rest.

    .. math:: \mathbf c = \sum_j m_j \Delta\mathbf s_j \Big/ \sum_j m_j

    Parameters
    ----------
    hops : numpy.ndarray, shape (n, 3, n_atoms)
        Displacements in units of the cell vectors, wrapped or not: every atom goes to
        its nearest image in the frame of the centre of mass, which may itself move by
        any part of the cell.
    share : numpy.ndarray, shape (n_atoms,)
        Masses, of sum 1.
    reach : float
        Displacements in that frame beyond which the nearest image may be another than
        the one that the atom went to.

    Returns
    -------
    hops : numpy.ndarray, shape (n, 3, n_atoms)
        In the frame of the centre of mass.
    centre : numpy.ndarray, shape (n, 3)
        Of it; NaN where atoms move further than `reach`, so that it is not known.

    Examples
    --------
    >>> hops = np.array([[[0.30, -0.68]] * 3])
    >>> hops, centre = resting_hops(hops, np.array([0.5, 0.5]))
    >>> centre[0].round(3), hops[0, 0].round(3)
    (array([0.31, 0.31, 0.31]), array([-0.01,  0.01]))
    """
    hops = hops - np.round(hops)
    about = np.zeros((*hops.shape[:2], 1))
    if np.abs(hops).max(initial=0.0) > reach / 2:
        # The mean angle knows no faces.
        about = np.angle(np.exp(2j * np.pi * hops) @ share)[..., None] / (2 * np.pi)
        hops -= about
        hops -= np.round(hops)
    centre = (hops @ share)[..., None]
    known = np.abs(hops).max(axis=(1, 2), initial=0.0) <= reach
    hops -= centre
    return hops, np.where(known[:, None], (about + centre)[..., 0], np.nan)


def motion_of_centre(scaled: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the displacement of the centre of mass since the first frame, in cells."""
    n_frames, _, n_atoms = scaled.shape
    centre = np.zeros((n_frames, 3))
    chunk = max(1, 2**18 // (3 * n_atoms))  # they stay in the processor's cache
    for first in range(0, n_frames - 1, chunk):
        part = scaled[first : first + chunk + 1]
        centre[first + 1 : first + len(part)] = resting_hops(
            np.diff(part, axis=0), share
        )[1]
    return np.asarray(np.cumsum(centre, axis=0))


def cell_rate(cells: np.ndarray, time: np.ndarray) -> np.ndarray | None:
    """Return the rate of the cell vectors, Å/ps, (n_frames, 3, 3); None if constant."""
    constant = np.ptp(cells, axis=0).max() <= 1e-9 * np.abs(cells).max()
    if constant or len(cells) < 3:
        return None
    return np.asarray(scipy.interpolate.CubicSpline(time, cells, axis=0)(time, 1))


def contains_affine(
    velocity: np.ndarray,
    affine: np.ndarray,
    share: np.ndarray,
    *,
    uncertainty: float = 0.2,
) -> bool | None:
    r"""Return whether velocities contain the motion of the cell.

    .. math:: \alpha = \sum_j m_j \mathbf v_j\cdot\mathbf a_j \Big/ \sum_j m_j a_j^2

    Parameters
    ----------
    velocity, affine : numpy.ndarray, shape (n_frames, 3, n_atoms)
        v and a.
    share : numpy.ndarray, shape (n_atoms,)
        Masses, of any sum.
    uncertainty : float
        Standard deviation of α beyond which thermal motion hides the affine one.

    Returns
    -------
    bool or None
        Whether α is nearer to 1 than to 0; None where it is too uncertain.
    """
    along = np.einsum("tcj,tcj->tj", velocity, affine) * share
    square = float(np.einsum("tcj,tcj,j->", affine, affine, share))
    alpha = float(along.sum()) / square
    # The scatter of atoms and frames about the affine motion.
    rest = along - alpha * np.einsum("tcj,tcj->tj", affine, affine) * share
    return alpha > 0.5 if np.sqrt((rest**2).sum()) / square <= uncertainty else None


def heights(cell: np.ndarray) -> np.ndarray:
    """Return the distances between opposite faces of a cell, shape (3,)."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))
