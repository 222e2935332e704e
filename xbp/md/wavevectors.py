"""The wave vectors a periodic cell allows, in shells of |Q|."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbp.core.errors import RangeError

__all__ = ["Shells", "allowed_wavevectors"]


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
        Mean |Q| of the vectors in each shell that holds any, 1/Å.
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
        """Return what turns a sum over the vectors of a shell into a mean, shape (n_shells,)."""
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
    """List the wave vectors Q = 2π(h a* + k b* + l c*) up to Q_max, one of each pair ±Q.

    Parameters
    ----------
    cell : numpy.ndarray, shape (3, 3)
        Rows are the cell vectors, Å.
    Q_max : float
        Largest |Q|, 1/Å.
    dQ : float
        Width of the shells, which begin at 0, 1/Å.
    max_per_shell : int, optional
        Keep at most so many vectors of a shell, −Q counted, drawn at random.
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
        If no allowed vector is that small.

    Examples
    --------
    >>> shells = allowed_wavevectors(2 * np.pi * np.eye(3), 1.5, 0.2)
    >>> shells.Q.round(3), shells.n_wavevectors
    (array([1.   , 1.414]), array([ 6, 12]))
    """
    along = np.ones(3, dtype=bool) if repeats is None else np.asarray(repeats)
    if not along.any():
        raise RangeError(
            "no side of the box is periodic",
            reason="only a periodic box has allowed wave vectors",
            fix="use a periodic simulation; g(E), msd and local fields do not need one",
        )
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    highest = np.floor(Q_max * np.linalg.norm(cell, axis=1) / (2 * np.pi) + 1e-9)
    h_max, k_max, l_max = (int(n) for n in np.where(along, highest, 0))
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
            f"Q_max={Q_max:g} 1/angstrom is below the smallest wave vector the cell "
            "allows",
            reason=f"that is about {smallest:.4g} 1/angstrom, 2π over the longest "
            "distance between cell faces",
            fix="raise Q_max, or simulate a larger box",
        )
    vectors = hkl @ reciprocal
    magnitude = np.linalg.norm(vectors, axis=1)
    # A vector that lies on an edge but for rounding belongs to the shell above,
    # whatever the rounding.
    shell = np.floor(magnitude / dQ + 1e-9).astype(int)
    order = np.lexsort((np.arange(shell.size), shell))
    if max_per_shell is not None:
        drawn = np.random.default_rng(seed).permutation(shell.size)
        drawn = drawn[np.argsort(shell[drawn], kind="stable")]
        rank = np.arange(shell.size) - np.searchsorted(
            shell[drawn], shell[drawn], side="left"
        )
        order = np.sort(drawn[rank < max(1, max_per_shell // 2)])
        order = order[np.argsort(shell[order], kind="stable")]
    hkl, vectors, magnitude, shell = (
        hkl[order],
        vectors[order],
        magnitude[order],
        shell[order],
    )
    present, index, count = np.unique(shell, return_inverse=True, return_counts=True)
    return Shells(
        hkl,
        index,
        vectors / magnitude[:, None],
        np.bincount(index, magnitude) / count,
        np.stack([present * dQ, (present + 1) * dQ], axis=1),
        2 * count,
    )
