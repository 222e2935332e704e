"""Strains of the surroundings of atoms in the modes of a glass."""

from __future__ import annotations

import numpy as np
import scipy

from xbp.md.lattice.modes import Springs, nearest_image

__all__ = ["field_amplitudes", "strain_operators"]


def field_amplitudes(
    springs: Springs,
    vectors: np.ndarray,
    k: np.ndarray,
    G: np.ndarray,
    bonds: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    r"""Return the amplitude of the strain of the atoms in each mode, at Q = k + G.

    .. math:: \mathbf X_s = \sum_j \boldsymbol\epsilon_{sj} e^{-i\mathbf G\cdot\mathbf
              r_j}, \quad \boldsymbol\epsilon_{sj} = \mathrm{sym} \sum_l
              \Big(\frac{\mathbf e_{sl}}{\sqrt{m_l}} e^{i\mathbf k\cdot\mathbf r_{jl}}
              - \frac{\mathbf e_{sj}}{\sqrt{m_j}}\Big) \otimes \mathbf w_{jl}

    Parameters
    ----------
    springs, vectors, k, G
        As for `amplitudes`.
    bonds : (first, second, weight)
        Atoms j and l of each bond, and its w, shape (n_bonds, 3), 1/Å; see
        `xbp.md.deformation.Deformation`.

    Returns
    -------
    numpy.ndarray, shape (d, d, n_Q, n_modes)
        1/(Å √u).
    """
    n, d = springs.n_atoms, springs.dimension
    by_atom = vectors.reshape(n, d, vectors.shape[-1])
    waves = np.exp(-1j * (G @ springs.position.T)).astype(vectors.dtype)
    gradient = np.empty((d, d, len(G), by_atom.shape[-1]), dtype=vectors.dtype)
    for b, operator in enumerate(strain_operators(springs, k, bonds)):
        together = waves @ operator.astype(vectors.dtype)
        for a in range(d):
            np.matmul(together, by_atom[:, a], out=gradient[a, b])
    return np.asarray((gradient + np.swapaxes(gradient, 0, 1)) / 2)


def strain_operators(
    springs: Springs,
    k: np.ndarray,
    bonds: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> list[scipy.sparse.csr_array]:
    """Return the gradients of displacements along each axis, see `field_amplitudes`.

    Matrices (n_atoms, n_atoms) from one component of the vectors to ∂u/∂r_b at each
    atom j, without its phase e^{ik·r_j}.
    """
    first, second, weight = bonds
    n = springs.n_atoms
    along = nearest_image(springs.position, springs.cell, first, second)
    phase = np.exp(1j * (along @ k)) / np.sqrt(springs.mass[second])
    rest = 1 / np.sqrt(springs.mass[first])
    found = []
    for b in range(springs.dimension):
        rows, columns = np.tile(first, 2), np.concatenate([second, first])
        values = np.concatenate([phase * weight[:, b], -rest * weight[:, b]])
        found.append(scipy.sparse.csr_array((values, (rows, columns)), shape=(n, n)))
    return found
