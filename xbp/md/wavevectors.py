"""Geometry of a periodic cell: the wave vectors it allows, and where images are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbp.core.errors import RangeError
from xbp.core.guards import require_memory

__all__ = ["Shells", "allowed_wavevectors", "heights", "periodic_axes"]


@dataclass(frozen=True)
class Shells:
    """Allowed wave vectors, one of each pair ±Q, sorted by shell.

    Attributes
    ----------
    hkl : numpy.ndarray of int, shape (n, 3)
        Multiples of the reciprocal cell vectors.
    shell : numpy.ndarray of int, shape (n,)
        Which shell each is in, ascending.
    direction : numpy.ndarray, shape (n, 3)
        Unit vectors.
    Q : numpy.ndarray, shape (n_shells,)
        Mean |Q| of the vectors in each shell that contains any, 1/Å.
    edges : numpy.ndarray, shape (n_shells, 2)
        Limits of those shells, 1/Å.
    n_wavevectors : numpy.ndarray of int, shape (n_shells,)
        Vectors used in each, −Q counted.
    """

    hkl: np.ndarray
    shell: np.ndarray
    direction: np.ndarray
    Q: np.ndarray
    edges: np.ndarray
    n_wavevectors: np.ndarray

    def sum_to_mean(self) -> np.ndarray:
        """Return the factors from sums over one of ±Q to means, shape (n_shells,)."""
        return 2.0 / self.n_wavevectors


def allowed_wavevectors(
    cell: np.ndarray,
    Q_max: float,
    dQ: float,
    *,
    max_per_shell: int | None = None,
    seed: int = 0,
    repeats: np.ndarray | None = None,
) -> Shells:
    """List the wave vectors Q = 2π(h a* + k b* + l c*) up to Q_max, one of each ±Q.

    Parameters
    ----------
    cell : numpy.ndarray, shape (3, 3)
        Rows are the cell vectors, Å.
    Q_max : float
        Largest |Q|, 1/Å.
    dQ : float
        Width of the shells, which begin at 0, 1/Å.
    max_per_shell : int, optional
        Keep at most this many vectors of a shell, −Q counted, drawn at random.
    seed : int
        Of that draw.
    repeats : numpy.ndarray of bool, shape (3,), optional
        Along which cell vectors the box repeats; along the others no wave vector is
        allowed, and their index is 0.

    Returns
    -------
    Shells
        Shells without any allowed vector are left out.

    Raises
    ------
    RangeError
        If no allowed vector is that small, or there are more than memory can hold.

    Examples
    --------
    >>> shells = allowed_wavevectors(2 * np.pi * np.eye(3), 1.5, 0.2)
    >>> shells.Q.round(3), shells.n_wavevectors
    (array([1.   , 1.414]), array([ 6, 12]))
    """
    along = np.ones(3, dtype=bool) if repeats is None else np.asarray(repeats)
    if not along.any():
        raise RangeError(
            "no side of the box is periodic, so no wave vectors are allowed",
            fix="use a periodic simulation; g(E), msd and local fields do not need one",
        )
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    with np.errstate(over="ignore"):
        highest = np.floor(Q_max * np.linalg.norm(cell, axis=1) / (2 * np.pi) + 1e-9)
        highest = np.where(along, highest, 0)
        # Half of the vectors of the box around the sphere, 16 numbers for each.
        count = 8 * float(np.prod(2 * highest + 1))
    what = f"the wave vectors up to Q_max={Q_max:.4g} 1/angstrom"
    require_memory(count, what, fix="lower Q_max=")
    require_memory(Q_max / dQ, f"shells of dQ={dQ:.4g} 1/angstrom", fix="raise dQ=")
    h_max, k_max, l_max = (int(n) for n in highest)
    # One plane of constant h at a time: the cube around the sphere need not fit in
    # memory.
    planes = []
    ks, ls = np.arange(-k_max, k_max + 1), np.arange(-l_max, l_max + 1)
    kl = np.stack([side.ravel() for side in np.meshgrid(ks, ls, indexing="ij")], axis=1)
    for h in range(h_max + 1):
        half = kl if h else kl[(kl[:, 0] > 0) | ((kl[:, 0] == 0) & (kl[:, 1] > 0))]
        vectors = h * reciprocal[0] + half @ reciprocal[1:]
        inside = (vectors**2).sum(axis=1) <= Q_max**2 * (1 + 1e-12)
        planes.append(np.column_stack([np.full(inside.sum(), h), half[inside]]))
    hkl = np.concatenate(planes)
    if not hkl.size:
        smallest = min(np.linalg.norm(reciprocal[along], axis=1))
        raise RangeError(
            f"Q_max={Q_max:g} 1/angstrom is below the smallest wave vector of the "
            f"cell, {smallest:.4g} 1/angstrom",
            fix="raise Q_max=, or simulate a larger box",
        )
    vectors = hkl @ reciprocal
    magnitude = np.linalg.norm(vectors, axis=1)
    # A vector that lies on an edge but for rounding belongs to the shell above,
    # whatever the rounding.
    shell = np.floor(magnitude / dQ + 1e-9).astype(int)
    order = np.argsort(shell, kind="stable")
    if max_per_shell is not None:
        drawn = np.random.default_rng(seed).permutation(shell.size)
        drawn = drawn[np.argsort(shell[drawn], kind="stable")]
        rank = np.arange(shell.size) - np.searchsorted(shell[drawn], shell[drawn])
        order = np.sort(drawn[rank < max(1, max_per_shell // 2)])
        order = order[np.argsort(shell[order], kind="stable")]
    hkl, vectors, magnitude = hkl[order], vectors[order], magnitude[order]
    present, index, n = np.unique(shell[order], return_inverse=True, return_counts=True)
    return Shells(
        hkl,
        index,
        vectors / magnitude[:, None],
        np.bincount(index, magnitude) / n,
        np.stack([present * dQ, (present + 1) * dQ], axis=1),
        2 * n,
    )


def heights(cell: np.ndarray) -> np.ndarray:
    """Return the distances between opposite faces of a cell, shape (3,)."""
    return np.asarray(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))


def periodic_axes(
    scaled: np.ndarray, cell: np.ndarray, *, plane: bool = False
) -> np.ndarray:
    """Return along which cell vectors an atom has images that can be its neighbors.

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
        False across a plane of atoms that is known to be one, or whose cell is thinner
        than half of their distance.

    Examples
    --------
    >>> plane = np.array([[0.0, 0.5], [0.0, 0.5], [0.5, 0.5]])
    >>> periodic_axes(plane, np.diag([8.0, 8.0, 0.2])).tolist()
    [True, True, False]
    >>> periodic_axes(plane, np.diag([8.0, 8.0, 9.0])).tolist()
    [True, True, True]
    """
    across = heights(cell)
    extent = np.ptp(scaled, axis=1)
    if plane:  # flat but for what a file rounds
        return np.asarray(np.arange(3) != np.argmin(extent * across))
    spacing = np.sqrt(abs(np.linalg.det(cell)) / across / scaled.shape[1])
    return np.asarray((extent > 1e-9) | (across > spacing / 2))  # flat to rounding
