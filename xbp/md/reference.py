"""The configuration from which displacements and strains are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.md.run import add_up
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = ["NEAR", "Reference", "choose_reference"]

#: Displacements (in cells) below which no face has been crossed, and no two atoms have
#: come apart by half of the cell.
NEAR = 0.25


@dataclass(frozen=True)
class Reference:
    """One configuration, from which displacements and strains are counted.

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

    @classmethod
    def first(cls, trajectory: Trajectory, text: str) -> Reference:
        """Take the first frame."""
        block = trajectory.block(0, 1)
        return cls(block.scaled()[0], block.cells[0], text)

    def moved(self, scaled: np.ndarray) -> np.ndarray:
        """Return how far atoms are from here, the whole at rest, in units of the cell.

        Places (n_frames, 3, n_atoms) may be wrapped: the nearest image counts.
        """
        moved = scaled - self.scaled
        if np.abs(moved).max() > NEAR:
            # The whole may have drifted by any part of the cell: the mean angle is the
            # same across faces.
            mean = np.exp(2j * np.pi * moved).mean(axis=-1, keepdims=True)
            moved -= np.angle(mean) / (2 * np.pi)
            moved -= np.round(moved)
        return np.asarray(moved - moved.mean(axis=-1, keepdims=True))


def choose_reference(trajectory: Trajectory, reference: Any) -> Reference:
    """Return the reference of an argument, see `local_fields`."""
    if isinstance(reference, xr.Dataset):
        other = read_trajectory(reference)
        if other.n_frames != 1 or other.n_atoms != trajectory.n_atoms:
            raise QuantityError(
                f"reference= has {other.n_frames} frames of {other.n_atoms} atoms; it "
                f"must be one frame of {trajectory.n_atoms}",
                fix="reference=other.isel(time=[0])",
            )
        return Reference.first(other, "given")
    name: str = choose(
        reference,
        ("mean", "first"),
        "reference",
        reason="or pass one frame",
    )
    first = Reference.first(trajectory, "first")
    if name == "first":
        return first

    def moves(block: Block) -> dict[str, np.ndarray]:
        return {"moved": first.moved(block.scaled()).sum(axis=0)}

    moved = add_up(trajectory, moves)["moved"] / trajectory.n_frames
    return Reference(first.scaled + moved, trajectory.mean_cell, "mean")
