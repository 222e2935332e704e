"""The heat capacity of glasses with its derivatives, for fits."""

from __future__ import annotations

import numpy as np
import scipy

from xbp.models.debye_einstein import (
    debye_heat_capacity,
    gaussian_nodes,
    mode_heat_capacity,
)

__all__ = ["debye_einstein_slopes"]


def debye_einstein_slopes(
    T: np.ndarray, *parameters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return `debye_einstein` with its derivatives by the parameters.

    .. math:: \frac{\partial C_D}{\partial\theta_D} =
        \frac{9R\,c(\theta_D/T) - 3C_D}{\theta_D}, \qquad
        c'(x) = c(x)\left(\frac2x - \coth\frac x2\right)

    c is `mode_heat_capacity`. Where the Gaussian begins at θ = 0, more of it is there
    as its mean falls or its width grows.

    Parameters
    ----------
    T : numpy.ndarray, shape (k,)
        Temperatures in K, positive.
    *parameters : numpy.ndarray, shape (m, 1)
        As for `debye_einstein`.

    Returns
    -------
    value : numpy.ndarray, shape (m, k)
    slopes : numpy.ndarray, shape (6, m, k)
    """
    gamma, n_D, theta_D, n_E, theta_E, sigma_E = parameters
    R = scipy.constants.R
    debye = debye_heat_capacity(T, theta_D)
    by_theta_D = (9 * R * mode_heat_capacity(theta_D / T) - 3 * debye) / theta_D
    mean, spread, u, chi, density = gaussian_nodes(theta_E, sigma_E)
    x = (mean + spread * u) / T[:, None]
    each = mode_heat_capacity(x)
    half = np.maximum(x / 2, 1e-300)
    series = half * (half**2 / 45 - 1 / 3)
    bend = each * np.where(half < 1e-2, series, 1 / half - 1 / np.tanh(half))
    einstein = np.einsum("...n,...n->...", each, chi)
    # Of the oscillators at 0 each adds 1 and takes the mean away.
    more = (1 - einstein) * density / spread[..., 0]
    by_mean = np.einsum("...n,...n->...", bend, chi) / T + more
    low = -mean[..., 0] / spread[..., 0]
    by_spread = np.einsum("...n,...n->...", bend, u * chi) / T + more * low
    slopes = [
        T, debye, n_D * by_theta_D, 3 * R * einstein, 3 * R * n_E * by_mean,
        3 * R * n_E * by_spread,
    ]  # fmt: skip
    value = gamma * T + n_D * debye + n_E * 3 * R * einstein
    return value, np.stack(np.broadcast_arrays(*slopes))
