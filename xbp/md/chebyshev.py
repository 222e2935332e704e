r"""Densities of modes without the modes: Chebyshev polynomials of a dynamical matrix.

With x = 2 E²/E_max² − 1 = −cos φ, the energy is E = E_max sin(φ/2), a smooth function
of φ. A function of E with no structure finer than σ therefore needs about E_max/σ
polynomials, also at the lowest E. A. Weiße et al., Rev. Mod. Phys. 78, 275 (2006),
doi:10.1103/RevModPhys.78.275.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from xbp.core import constants
from xbp.core.errors import RangeError

__all__ = ["bin_coefficients", "mode_moments", "number_of_moments"]


def number_of_moments(E_max: float, sigma: float, *, accuracy: float = 1e-6) -> int:
    """Return how many polynomials resolve a Gaussian of standard deviation σ, meV."""
    return int(np.ceil(E_max / (2 * sigma) * np.sqrt(2 * np.log(1 / accuracy)))) + 2


def mode_moments(
    product: Callable[[np.ndarray], np.ndarray],
    vectors: np.ndarray,
    count: int,
    E_max: float,
) -> np.ndarray:
    """Return ⟨v|T_n(x)|v⟩ of each vector, shape (count, n_vectors).

    Parameters
    ----------
    product : callable
        The dynamical matrix times vectors, eV/Å²/u.
    vectors : numpy.ndarray, shape (3 n_atoms, n_vectors)
    count : int
        Number of moments.
    E_max : float
        An energy above all modes, meV.

    Raises
    ------
    RangeError
        If there are imaginary modes, or modes above E_max.
    """
    scale = 4 * (constants.HBAR_ROOT_EV_PER_U / E_max) ** 2

    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("iv,iv->v", a.conj(), b).real.astype(float))

    def twice_x(v: np.ndarray) -> np.ndarray:
        return np.asarray(scale * product(v) - 2 * v, dtype=v.dtype)

    before, now = vectors, twice_x(vectors) / 2
    moments = np.empty((count + count % 2, vectors.shape[1]))
    moments[0], moments[1] = dot(vectors, vectors), dot(vectors, now)
    for m in range(1, len(moments) // 2):
        # T_2m and T_2m+1 from products of T_m and T_m+1.
        size = dot(now, now)
        if (size > 1.5 * moments[0]).any():
            raise RangeError(
                "the glass has imaginary modes",
                reason="the expansion in polynomials then does not converge",
                fix="relax the glass further, or use .bp.bloch_modes(Q_max=None)",
            )
        moments[2 * m] = 2 * size - moments[0]
        before, now = now, twice_x(now) - before
        moments[2 * m + 1] = 2 * dot(now, before) - moments[1]
    return moments[:count]


def bin_coefficients(
    edges: np.ndarray, sigma: float, count: int, E_max: float
) -> np.ndarray:
    """Return how moments add up to the number of modes in each bin of E.

    Parameters
    ----------
    edges : numpy.ndarray, shape (n_bins + 1,)
        meV.
    sigma : float
        Standard deviation of the Gaussian that each mode is drawn as, meV.
    count, E_max
        As for `mode_moments`.

    Returns
    -------
    numpy.ndarray, shape (n_bins, count)
    """
    n = 2 * max(count, 2 * edges.size)
    E = E_max * np.sin(np.pi * (np.arange(n) + 0.5) / n / 2)
    below = scipy.special.ndtr((edges[:, None] - E) / sigma)
    # A mode near zero spreads to negative energies; they count as positive.
    below += scipy.special.ndtr((edges[:, None] + E) / sigma)
    found = scipy.fft.dct(np.diff(below, axis=0)[:, ::-1], axis=1)[:, :count] / n
    found[:, 0] /= 2
    return np.asarray(found)
