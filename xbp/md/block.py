"""Some frames as plain arrays; the motion of centre of mass and cell, removed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from xbp.core.errors import QuantityError
from xbp.md.plane import require_in_plane

__all__ = [
    "Block",
    "cell_rate",
    "contains_affine",
    "heights",
    "resting_hops",
]


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

    def part(self, start: int, stop: int) -> Block:
        """Return frames start … stop−1 of it."""
        parts: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None else a[start:stop]
            for name in ("position", "velocity", "cells", "field", "rate")
        }
        return replace(self, **parts, first=self.first + start)

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
        return motion_of_centre(self.scaled(), self.share)

    def resting(self) -> np.ndarray:
        """Return `scaled`, with the centre of mass at rest if its motion is known."""
        scaled = self.scaled()
        if np.isfinite(self.centre).all():
            scaled -= self.centre[:, :, None]
        return scaled

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
        scaled = self.scaled()
        hops, centre = resting_hops(np.diff(scaled, axis=0), self.share)
        path = np.zeros_like(scaled)
        np.cumsum(hops, axis=0, out=path[1:])
        path -= path.mean(axis=0)
        if not np.isfinite(centre).all():
            path[:] = np.nan
        return np.ascontiguousarray(np.matmul(self.cells.mean(axis=0).T, path))

    def steps(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return `split_velocities`, taken from steps between neighbouring frames.

        One fewer than frames; NaN where atoms move by half of the cell.
        """
        hops, centre = resting_hops(np.diff(self.scaled(), axis=0), self.share)
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
            raise QuantityError(
                "atoms move by half the cell between frames: velocities are ambiguous",
                fix="write velocities, or frames more often",
            )
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
        return np.ascontiguousarray(np.swapaxes(velocity, 1, 2) * self.units[1])

    def twice_kinetic(self, mass: np.ndarray) -> np.ndarray:
        """Return Σ m v² of every frame, the centre of mass at rest, u Å²/ps²."""
        n_frames, n_atoms = self.velocity.shape[:2]
        energy = np.empty(n_frames)
        few = max(1, 2**18 // (3 * n_atoms))  # they stay in the processor's cache
        for first in range(0, n_frames, few):
            velocity, _ = self.part(first, first + few).split_velocities()
            energy[first : first + few] = np.einsum(
                "tcj,tcj,j->t", velocity, velocity, mass
            )
        return energy

    def split_velocities(self) -> tuple[np.ndarray, np.ndarray]:
        """Return thermal velocities, and that of the centre of mass, shape (time, 3).

        The motion of the cell is removed if the velocities contain it.
        """
        velocity = self.velocities()
        if self.rate is not None:
            velocity = velocity - self.affine_velocities()
        flow = velocity @ self.share.astype(velocity.dtype)
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
