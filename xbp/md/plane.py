"""Simulations in two dimensions.

a plane of atoms in a cell too thin for neighbors above it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["heights", "periodic_axes"]

#: Cells; a plane is flat to rounding.
_FLAT = 1e-9


def heights(cell: np.ndarray) -> np.ndarray:
    """Return the distances between opposite faces of a cell (rows are its vectors), shape (3,)."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))


def periodic_axes(
    scaled: np.ndarray, cell: np.ndarray, *, plane: bool = False
) -> np.ndarray:
    """Tell along which cell vectors the images of an atom are neighbors that it can have.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (3, n_atoms)
        In units of the cell vectors.
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, Å.
    plane : bool
        All atoms are known to be in a plane, whatever the thickness of the cell.

    Returns
    -------
    numpy.ndarray of bool, shape (3,)
        False across a plane of atoms in a cell thinner than half of their distance, or
        that is known to be one: its images stand for nothing.

    Examples
    --------
    >>> plane = np.array([[0.0, 0.5], [0.0, 0.5], [0.5, 0.5]])
    >>> periodic_axes(plane, np.diag([8.0, 8.0, 0.2])).tolist(), periodic_axes(plane, np.diag([8.0, 8.0, 9.0])).tolist()
    ([True, True, False], [True, True, True])
    """
    across = heights(cell)
    spacing = np.sqrt(abs(np.linalg.det(cell)) / across / scaled.shape[1])
    flat = np.ptp(scaled, axis=1) <= _FLAT
    if plane:
        # What is known to be a plane is flat but for what a file rounds.
        flat = np.arange(3) == np.argmin(np.ptp(scaled, axis=1) * across)
    return np.asarray(~flat | ((across > spacing / 2) & (not plane)))
