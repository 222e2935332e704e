"""Some frames of a trajectory as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xbp.core.errors import QuantityError
from xbp.md.motion import motion_of_centre, resting_hops

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """Some frames as plain arrays, which may still be dask's.

    Attributes
    ----------
    position, velocity : array, shape (time, atom, 3), or None
        In the units of the file; `units` turn them into Å and Å/ps.
    cell : numpy.ndarray, shape (3, 3) or (time, 3, 3)
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
    """

    position: Any
    velocity: Any
    cell: np.ndarray
    units: tuple[float, float]
    first: int
    field: Any = None
    share: Any = None
    rate: Any = None

    def part(self, start: int, stop: int) -> Block:
        """Return frames start … stop−1 of it."""
        parts: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None else a[start:stop]
            for name in ("position", "velocity", "field", "rate")
        }
        cell = self.cell if self.cell.ndim == 2 else self.cell[start:stop]
        return replace(self, **parts, cell=cell, first=self.first + start)

    def scaled(self) -> np.ndarray:
        """Return positions in units of the cell vectors, shape (time, 3, atom)."""
        position = np.asarray(self.position)
        _require_finite(position, "position", self.first)
        inverse = np.linalg.inv(self.cell) * self.units[0]
        # Rows are vectors: r = s·H, so s = r·H⁻¹; transposed, each axis is contiguous.
        return np.ascontiguousarray(
            np.matmul(np.swapaxes(inverse, -1, -2), np.swapaxes(position, 1, 2))
        )

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
        cell = self.cell if self.cell.ndim == 2 else self.cell.mean(axis=0)
        ways = [
            self.centre[start + length - 1] - self.centre[start] for start in starts
        ]
        return np.asarray(np.stack(ways) @ cell / max(1, length - 1))

    def path(self) -> np.ndarray:
        """Return displacements from the mean positions, Å, shape (time, 3, atom).

        The centre of mass is at rest. From frame to frame an atom goes to the nearest
        image; NaN if atoms move by half of the cell, so that this is not known.
        """
        scaled = self.scaled()
        cell = self.cell if self.cell.ndim == 2 else self.cell.mean(axis=0)
        hops, centre = resting_hops(np.diff(scaled, axis=0), self.share)
        path = np.zeros_like(scaled)
        np.cumsum(hops, axis=0, out=path[1:])
        path -= path.mean(axis=0)
        if not np.isfinite(centre).all():
            path[:] = np.nan
        return np.ascontiguousarray(np.matmul(cell.T, path))

    def steps(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return `split_velocities`, taken from steps between neighbouring frames.

        One fewer than frames; NaN where atoms move by half of the cell.
        """
        hops, centre = resting_hops(np.diff(self.scaled(), axis=0), self.share)
        hops[~np.isfinite(centre).all(axis=1)] = np.nan
        cell = (
            self.cell if self.cell.ndim == 2 else (self.cell[1:] + self.cell[:-1]) / 2
        )
        # Rows are vectors: r = s·H.
        steps = np.matmul(np.swapaxes(cell, -1, -2), hops) / time
        return steps, np.einsum(
            "tc,...cd->td" if cell.ndim == 2 else "tc,tcd->td", centre, cell
        ) / time

    def velocities(self) -> np.ndarray:
        """Return velocities as they are, in Å/ps, shape (time, 3, atom)."""
        velocity = np.asarray(self.velocity)
        _require_finite(velocity, "velocity", self.first)
        return np.ascontiguousarray(np.swapaxes(velocity, 1, 2) * self.units[1])

    def thermal_velocities(self) -> np.ndarray:
        """Return `velocities` without the motion of centre of mass and cell."""
        return self.split_velocities()[0]

    def twice_kinetic(self, mass: np.ndarray) -> np.ndarray:
        """Return Σ m v² of every frame, the centre of mass at rest, u Å²/ps²."""
        n_frames, n_atoms = self.velocity.shape[:2]
        energy = np.empty(n_frames)
        few = max(1, 2**18 // (3 * n_atoms))  # they stay in the processor's cache
        for first in range(0, n_frames, few):
            velocity = self.part(first, min(first + few, n_frames)).thermal_velocities()
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
        bad = ~np.isfinite(values)
        if bad.any():
            frame, atom, axis = (int(i[0]) for i in np.nonzero(bad))
            raise QuantityError(
                f"the {name} of atom {atom} in frame {first + frame} is "
                f"{values[frame, atom, axis]}",
                fix="leave those frames out: traj.isel(time=slice(0, "
                f"{first + frame}))",
            )
