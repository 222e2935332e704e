"""The wave vectors that a periodic box allows, in shells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xbp.core.errors import RangeError
from xbp.core.guards import RNG, require_memory

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
    rng: RNG = 0,
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
    rng : int, numpy.random.Generator or None
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
            "no side of the box is periodic: no wave vectors are allowed",
            fix="g(E), msd and local fields do not need them",
        )
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    with np.errstate(over="ignore"):
        highest = np.floor(Q_max * np.linalg.norm(cell, axis=1) / (2 * np.pi) + 1e-9)
        highest = np.where(along, highest, 0)
        # Of half of the vectors of the box around the sphere 16 numbers each; 3, before
        # some are drawn.
        count = (8 if max_per_shell is None else 1.5) * float(np.prod(2 * highest + 1))
    what = f"the wave vectors up to Q_max={Q_max:.4g} 1/angstrom"
    require_memory(count, what, fix="lower Q_max=")
    require_memory(Q_max / dQ, f"shells of dQ={dQ:.4g} 1/angstrom", fix="raise dQ=")

    few: Any = np.min_scalar_type(-int(highest.max()) - 1)  # of boxes of 10⁶ atoms
    planes, shells = [], []
    for plane in _planes(reciprocal, highest.astype(int), Q_max):
        # A vector that lies on an edge but for rounding belongs to the shell above,
        # whatever the rounding.
        magnitude = np.linalg.norm(plane @ reciprocal, axis=1)
        shells.append(np.floor(magnitude / dQ + 1e-9).astype(np.int32))
        planes.append(plane.astype(few))
    hkl, shell = np.concatenate(planes), np.concatenate(shells)
    if not shell.size:
        smallest = min(np.linalg.norm(reciprocal[along], axis=1))
        raise RangeError(
            f"Q_max={Q_max:g} 1/angstrom is below the smallest wave vector of the "
            f"cell, {smallest:.4g} 1/angstrom",
            fix="raise Q_max=, or simulate a larger box",
        )
    if max_per_shell is not None:
        drawn = _drawn(shell, max(1, max_per_shell // 2), rng)
        hkl, shell = hkl[drawn], shell[drawn]
    order = np.argsort(shell, kind="stable")
    hkl, shell = hkl[order].astype(int), shell[order]
    vectors = hkl @ reciprocal
    magnitude = np.linalg.norm(vectors, axis=1)
    present, index, n = np.unique(shell, return_inverse=True, return_counts=True)
    return Shells(
        hkl,
        index,
        vectors / magnitude[:, None],
        np.bincount(index, magnitude) / n,
        np.stack([present * dQ, (present + 1) * dQ], axis=1),
        2 * n,
    )


def _planes(
    reciprocal: np.ndarray, highest: np.ndarray, Q_max: float
) -> Iterator[np.ndarray]:
    """Yield the wave vectors of each h ≥ 0, one of each ±Q, shape (n, 3).

    The cube around the sphere need not fit in memory.
    """
    h_max, k_max, l_max = highest.tolist()
    ks, ls = np.arange(-k_max, k_max + 1), np.arange(-l_max, l_max + 1)
    for h in range(h_max + 1):
        # |u + l c*|² of each u = h a* + k b*.
        u = h * reciprocal[0] + ks[:, None] * reciprocal[1]
        squares = 2 * (u @ reciprocal[2])[:, None] * ls
        squares += (u**2).sum(axis=1)[:, None]
        squares += (reciprocal[2] @ reciprocal[2]) * ls**2
        inside = squares <= Q_max**2 * (1 + 1e-12)
        if h == 0:
            inside &= (ks[:, None] > 0) | ((ks[:, None] == 0) & (ls > 0))
        k, l_ = np.nonzero(inside)
        yield np.stack([np.full(k.size, h), ks[k], ls[l_]], axis=1)


def _drawn(shell: np.ndarray, most: int, rng: RNG, block: int = 2**20) -> np.ndarray:
    """Draw at most `most` places of every shell, ascending."""
    order = np.random.default_rng(rng).permutation(shell.size)
    left = np.full(int(shell.max()) + 1, most)
    kept = []
    for first in range(0, order.size, block):
        drawn = order[first : first + block]
        drawn = drawn[left[shell[drawn]] > 0]
        drawn = drawn[np.argsort(shell[drawn], kind="stable")]
        own = shell[drawn]
        rank = np.arange(own.size) - np.searchsorted(own, own)
        kept.append(drawn[rank < left[own]])
        left -= np.bincount(shell[kept[-1]], minlength=left.size)
    return np.sort(np.concatenate(kept))
