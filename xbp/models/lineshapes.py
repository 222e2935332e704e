"""Shapes of the boson peak, on plain arrays.

Their parameters are what the fits report.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

__all__ = [
    "FWHM_PER_SIGMA",
    "bi_hill",
    "correlated_disorder",
    "damped_oscillator_current",
    "exponential_flank",
    "gaussian",
    "gaussian_disorder",
    "lognormal",
    "lognormal_fwhm",
    "lognormal_sigma",
]

Shape = Literal["lognormal", "gaussian"]

#: Full width at half maximum of a Gaussian over its standard deviation, 2√(2 ln 2).
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def lognormal(E: np.ndarray, energy: float, height: float, sigma: float) -> np.ndarray:
    """Return height · exp(−ln²(E/energy)/2σ²), whose maximum lies at `energy`.

    It assumes nothing of the glass.

    Parameters
    ----------
    E : numpy.ndarray
        Energies, in the unit of `energy`; the value at E ≤ 0 is 0.
    energy : float
        Position of the maximum (the mode; scipy's ``lognorm`` is parametrised
        otherwise).
    height : float
        Value there.
    sigma : float
        Width in ln E, dimensionless.

    Returns
    -------
    numpy.ndarray
        In the unit of `height`.

    Examples
    --------
    >>> float(lognormal(np.array(5.5), 5.5, 2.0, 0.5))
    2.0
    """
    positive = np.where(E > 0, E, np.nan)
    return np.nan_to_num(
        height * np.exp(-(np.log(positive / energy) ** 2) / (2 * sigma**2)), nan=0.0
    )


def lognormal_fwhm(energy: float, sigma: float) -> float:
    """Return the full width at half maximum of `lognormal`, 2·energy·sinh(σ√(2 ln 2)).

    Examples
    --------
    >>> round(lognormal_fwhm(5.0, lognormal_sigma(5.0, 4.0)), 12)
    4.0
    """
    return 2 * energy * math.sinh(abs(sigma) * FWHM_PER_SIGMA / 2)


def lognormal_sigma(energy: float, fwhm: float) -> float:
    """Return the σ of a `lognormal` of given position and full width."""
    return 2 * math.asinh(fwhm / (2 * energy)) / FWHM_PER_SIGMA


def gaussian(E: np.ndarray, energy: float, height: float, sigma: float) -> np.ndarray:
    """Return height · exp(−(E−energy)²/2σ²).

    Examples
    --------
    >>> float(gaussian(np.array(3.0), 3.0, 2.0, 1.0))
    2.0
    """
    return height * np.exp(-((E - energy) ** 2) / (2 * sigma**2))


def damped_oscillator_current(
    E: np.ndarray, area: float, energy: float, width: float
) -> np.ndarray:
    r"""Return the current spectrum of a damped harmonic oscillator.

    .. math:: C(E) = A \frac{2}{\pi} \frac{\Gamma E^2}{(E^2 - E_0^2)^2 + \Gamma^2 E^2},
              \quad \int_0^\infty C\,\mathrm{d}E = A

    Its maximum lies at E₀ whatever the damping; its full width at half maximum is Γ.

    Parameters
    ----------
    E : numpy.ndarray
        Energies.
    area : float
        A, in the unit of C times that of E.
    energy, width : float
        E₀ and Γ, in the unit of E.

    References
    ----------
    B. Fåk & B. Dorner, Physica B 234, 1107 (1997), doi:10.1016/S0921-4526(97)00121-X,
    which gives S = C/E².

    Examples
    --------
    >>> E = np.linspace(0, 400, 400_001)
    >>> round(float(np.trapezoid(damped_oscillator_current(E, 3.0, 5.0, 1.0), E)), 2)
    3.0
    """
    numerator = area * 2 / math.pi * width * E**2
    return np.asarray(numerator / ((E**2 - energy**2) ** 2 + (width * E) ** 2))


def correlated_disorder(E: np.ndarray, energy: float, height: float) -> np.ndarray:
    """Return height · 4E²E₀²/(E² + E₀²)², whose maximum lies at E₀ = `energy`.

    It assumes waves that couple by disorder, whose correlation falls exponentially over
    the length R_c; E₀ = ħv/R_c (from memory: Martin & Brenig; Malinovsky & Sokolov).

    Examples
    --------
    >>> correlated_disorder(np.array([5.0, 10.0]), 5.0, 2.0)
    array([2.  , 1.28])
    """
    u = np.square(np.asarray(E, dtype=float) / energy)
    return np.asarray(4 * height * u / (1 + u) ** 2)


def gaussian_disorder(E: np.ndarray, energy: float, height: float) -> np.ndarray:
    """Return height · (E/E₀)² exp(1 − E²/E₀²), whose maximum lies at E₀ = `energy`.

    It assumes waves that couple by disorder of a Gaussian correlation (from memory).
    """
    u = np.square(np.asarray(E, dtype=float) / energy)
    return np.asarray(height * u * np.exp(1 - u))


def exponential_flank(
    E: np.ndarray, energy_c: float, height: float, power: float
) -> np.ndarray:
    """Return height · (E/E_c)^m exp(−E/E_c), m = `power`; 0 below E = 0.

    Its maximum lies at m E_c; for m = 0, the flank alone, it has **no maximum** (from
    memory: Chumakov et al., Phys. Rev. Lett. 92, 245508). It assumes nothing of the
    glass.
    """
    u = np.maximum(np.asarray(E, dtype=float) / energy_c, 0.0)
    return np.asarray(height * u**power * np.exp(-u))


def bi_hill(
    E: np.ndarray,
    height: float,
    energy_1: float,
    power_1: float,
    energy_2: float,
    power_2: float,
) -> np.ndarray:
    """Return height/{[1 + (E₁/E)^h₁][1 + (E/E₂)^h₂]}; 0 at E ≤ 0 (from memory).

    It assumes nothing of the glass.
    """
    positive = np.asarray(E) > 0
    x = np.where(positive, E, 1.0)
    rise, fall = 1 + (energy_1 / x) ** power_1, 1 + (x / energy_2) ** power_2
    return np.asarray(height * positive / (rise * fall))
