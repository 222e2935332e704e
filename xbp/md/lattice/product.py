"""The dynamical matrix of a large box times vectors, without the matrix itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from xbp.md.chebyshev import mode_moments
from xbp.md.lattice.modes import Springs

__all__ = ["BlochProduct", "random_moments"]


class BlochProduct:
    r"""The dynamical matrix times vectors, at any wave vector.

    .. math:: D(\mathbf k) = \sum_{\mathbf R} e^{i\mathbf k\cdot\mathbf R} D_{\mathbf R}

    with the real matrix D_R that acts on atoms from those of the box displaced by R.
    It has the eigenvalues of `bloch_matrix`, which has phases of the positions besides.

    Parameters
    ----------
    springs : Springs
    """

    def __init__(self, springs: Springs) -> None:
        n, root = springs.n_atoms, np.sqrt(springs.mass)
        first, second = springs.first, springs.second
        block = springs.block / (root[first] * root[second])[:, None, None]
        straight = springs.position[second] - springs.position[first]
        wraps = np.round((springs.bond - straight) @ np.linalg.inv(springs.cell))
        kinds, index = np.unique(wraps.astype(int), axis=0, return_inverse=True)
        self.images = kinds @ springs.cell
        self._parts = []
        for kind in range(len(kinds)):
            some = np.flatnonzero(index.ravel() == kind)
            some = some[np.lexsort((second[some], first[some]))]
            begin = np.searchsorted(first[some], np.arange(n + 1))
            data = block[some].astype(np.float32)
            own = (data, second[some].astype(np.int32), begin.astype(np.int32))
            blocks = scipy.sparse.bsr_array(own, shape=(springs.n_modes,) * 2)
            # By rows each element serves all vectors at once: faster than blocks.
            self._parts.append(blocks.tocsr())

    def at(self, k: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return the product at a wave vector (1/Å), in eV/Å²/u.

        It takes and returns complex vectors in single precision, shape (d n_atoms, n).
        """
        phases = np.exp(1j * (self.images @ k)).astype(np.complex64)

        def product(vectors: np.ndarray) -> np.ndarray:
            real = np.ascontiguousarray(vectors).view(np.float32)
            total = np.zeros_like(vectors)
            for phase, part in zip(phases, self._parts, strict=True):
                total += phase * (part @ real).view(np.complex64)
            return total

        return product


def random_moments(
    springs: Springs,
    k: np.ndarray,
    n_vectors: int,
    count: int,
    E_max: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Estimate the mean of T_n(x) over all modes at k, shape (count,).

    Parameters
    ----------
    springs : Springs
    k : numpy.ndarray, shape (3,)
        1/Å.
    n_vectors : int
        Number of random vectors.
    count, E_max
        As for `mode_moments`.
    rng : numpy.random.Generator
    """
    shape = (springs.n_modes, n_vectors)
    vectors = np.exp(2j * np.pi * rng.random(shape)).astype(np.complex64)
    found = mode_moments(BlochProduct(springs).at(k), vectors, count, E_max)
    return np.asarray(found.mean(axis=1) / shape[0])
