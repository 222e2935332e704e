"""Neighbors within a cutoff: the pairs, and how many and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xbp.core.optional import require
from xbp.md.cutoff import Cutoff

__all__ = ["coordination_and_distance", "pairs_within"]

#: Candidates reach this much beyond the cutoff (Å): the further, the longer they last,
#: and the more there are. At room temperature some of thousands of atoms move by 0.7 Å.
_SKIN = 1.6


def pairs_within(
    scaled: np.ndarray,
    cell: np.ndarray,
    radius: float,
    *,
    full: bool,
    periodic: Sequence[bool],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find pairs of atoms within a distance.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (3, n_atoms)
        In units of the cell vectors, anywhere.
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, Å.
    radius : float
        Å.
    full : bool
        Every pair from both sides, or once.
    periodic : sequence of bool
        Along which cell vectors images of an atom are neighbors.

    Returns
    -------
    first, second : numpy.ndarray of int, shape (n_pairs,)
    shift : numpy.ndarray of int, shape (n_pairs, 3)
        Cells to add to second − first, of the positions as given.
    """
    vesin = require("vesin", "it finds the neighbors", "md")
    # Beyond an open side there is no image: atoms stay where they are.
    images = np.where(np.asarray(periodic)[:, None], np.floor(scaled), 0.0)
    inside = (scaled - images).T @ cell
    i, j, shift = vesin.NeighborList(cutoff=radius, full_list=full).compute(
        points=inside, box=cell, periodic=list(periodic), quantities="ijS"
    )
    # The images that were taken out are put back: positions as given are what the
    # shifts go with.
    i, j = i.astype(np.int64), j.astype(np.int64)
    moved = images.T.astype(np.int64)
    return i, j, shift.astype(np.int64) + moved[i] - moved[j]


def coordination_and_distance(
    scaled: np.ndarray, cells: np.ndarray, cutoff: Cutoff
) -> tuple[np.ndarray, np.ndarray]:
    """Count the neighbors of every atom in every frame, and average their distances.

    Pairs are sought a skin beyond the cutoff and used again while no atom has moved by
    half of it.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (n_frames, 3, n_atoms)
    cells : numpy.ndarray, shape (3, 3) or (n_frames, 3, 3)
    cutoff : Cutoff

    Returns
    -------
    numpy.ndarray, numpy.ndarray, shape (n_frames, n_atoms)
        Numbers, and mean distances (Å; NaN without a neighbor).
    """
    n_frames, _, n_atoms = scaled.shape
    counts, distances = (
        np.zeros((n_frames, n_atoms)),
        np.full((n_frames, n_atoms), np.nan),
    )
    held: _Candidates | None = None
    for frame in range(n_frames):
        cell = cells if cells.ndim == 2 else cells[frame]
        if held is None or held.outrun_by(scaled[frame], cell):
            held = _Candidates.find(scaled[frame], cell, cutoff)
        near_i, near_j, near = held.within(scaled[frame], cell)
        number = np.bincount(near_i, minlength=n_atoms) + np.bincount(
            near_j, minlength=n_atoms
        )
        total = np.bincount(near_i, near, n_atoms) + np.bincount(near_j, near, n_atoms)
        counts[frame] = number
        np.divide(total, number, out=distances[frame], where=number > 0)
    return counts, distances


@dataclass(frozen=True)
class _Candidates:
    """Pairs within the cutoff and a skin, and where the atoms were when they were found."""

    scaled: np.ndarray
    cell: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray
    squared: np.ndarray

    @classmethod
    def find(cls, scaled: np.ndarray, cell: np.ndarray, cutoff: Cutoff) -> _Candidates:
        i, j, shift = pairs_within(
            scaled, cell, cutoff.largest + _SKIN, full=False, periodic=cutoff.periodic
        )
        return cls(
            scaled, cell, i, j, np.ascontiguousarray(shift.T), cutoff.of(i, j) ** 2
        )

    def outrun_by(self, scaled: np.ndarray, cell: np.ndarray) -> bool:
        """Tell whether a pair that is not among them may have come within the cutoff."""
        moved = cell.T @ self._moved(scaled) + (cell - self.cell).T @ self.scaled
        # Pairs over a face of the cell also move by what its vectors change.
        stretch = float(np.linalg.norm(cell - self.cell, axis=1).sum())
        return 2 * float(np.sqrt((moved**2).sum(axis=0).max())) + stretch > _SKIN

    def within(
        self, scaled: np.ndarray, cell: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pairs that are within the cutoff now, and their distances in Å."""
        place, shift = cell.T @ (self.scaled + self._moved(scaled)), cell.T @ self.shift
        squared = np.zeros(self.first.size)
        for axis in range(3):  # an axis at a time stays in the cache
            d = place[axis][self.second]
            d -= place[axis][self.first]
            d += shift[axis]
            squared += d * d
        near = np.flatnonzero(squared < self.squared)
        return self.first[near], self.second[near], np.sqrt(squared[near])

    def _moved(self, scaled: np.ndarray) -> np.ndarray:
        """Return how far the atoms went, a jump over a face being none."""
        moved = scaled - self.scaled
        return np.asarray(moved - np.round(moved))
