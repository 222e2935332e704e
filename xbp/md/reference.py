"""The configuration from which displacements and strains are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.md.run import add_up
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = ["Reference", "choose_reference"]

#: Displacements (in cells) below which no face has been crossed.
_NEAR = 0.25


@dataclass(frozen=True)
class Reference:
    """One configuration.

    Attributes
    ----------
    scaled : numpy.ndarray, shape (3, n_atoms)
        In units of the cell vectors.
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, Å.
    text : str
        For history.
    """

    scaled: np.ndarray
    cell: np.ndarray
    text: str

    def moved(self, scaled: np.ndarray) -> np.ndarray:
        """Return how far the atoms are from here, the whole at rest, in units of the cell vectors.

        Parameters
        ----------
        scaled : numpy.ndarray, shape (n_frames, 3, n_atoms)
            Wrapped or not: each atom is taken at its image nearest to its place in the
            reference.

        Returns
        -------
        numpy.ndarray, shape (n_frames, 3, n_atoms)
        """
        moved = scaled - self.scaled
        if np.abs(moved).max() > _NEAR:
            # The whole may have drifted by any part of the cell: the mean angle knows
            # no faces.
            moved -= np.angle(
                np.exp(2j * np.pi * moved).mean(axis=-1, keepdims=True)
            ) / (2 * np.pi)
            moved -= np.round(moved)
        return np.asarray(moved - moved.mean(axis=-1, keepdims=True))


def choose_reference(trajectory: Trajectory, reference: Any) -> Reference:
    """Make the reference that an argument means.

    Parameters
    ----------
    trajectory : Trajectory
    reference : {"mean", "first"} or xarray.Dataset
        The mean place of every atom, the first frame, or a trajectory of one frame with
        the same atoms.

    Returns
    -------
    Reference

    Raises
    ------
    QuantityError
        If it is none of these.
    """
    first = Reference(
        trajectory.block(0, 1).scaled()[0], _cell_of(trajectory, 0), "first"
    )
    if isinstance(reference, xr.Dataset):
        other = read_trajectory(reference)
        if other.n_frames != 1 or other.n_atoms != trajectory.n_atoms:
            raise QuantityError(
                f"reference= has {other.n_frames} frames of {other.n_atoms} atoms",
                reason=f"it is one configuration of the {trajectory.n_atoms} atoms",
                fix="choose a frame: reference=other.isel(time=[0])",
            )
        return Reference(other.block(0, 1).scaled()[0], _cell_of(other, 0), "given")
    if not isinstance(reference, str) or reference not in ("mean", "first"):
        raise QuantityError(
            f"reference={reference!r} is not known",
            reason="displacements are counted from the mean places, the first frame, "
            "or a configuration",
            fix="reference='mean', 'first', or a trajectory of one frame",
        )
    if reference == "first":
        return first
    moved = add_up(trajectory, _sum_of_moves, first)["moved"] / trajectory.n_frames
    return Reference(first.scaled + moved, trajectory.mean_cell, "mean")


def _cell_of(trajectory: Trajectory, frame: int) -> np.ndarray:
    return trajectory.cell if trajectory.cell.ndim == 2 else trajectory.cell[frame]


def _sum_of_moves(block: Block, first: Reference) -> dict[str, np.ndarray]:
    return {"moved": first.moved(block.scaled()).sum(axis=0)}
