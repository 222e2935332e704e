"""Harmonic oscillators at a temperature: energy, entropy, displacement; Debye's solid.

Arguments are x = E/k_BT of modes, temperatures in K, u² in angstrom², masses in u.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import scipy

from xbp.core import constants
from xbp.models.debye_einstein import debye_heat_capacity, legendre_rule

__all__ = [
    "debye_displacement",
    "displacement_temperature",
    "heat_capacity_temperature",
    "mode_displacement",
    "mode_energy",
    "mode_entropy",
]


def mode_energy(x: np.ndarray) -> np.ndarray:
    """Return (x/2) coth(x/2), the energy of an oscillator over k_BT; 1 at x = 0.

    Examples
    --------
    >>> mode_energy(np.array([0.0, 2.0, 100.0])).round(3).tolist()
    [1.0, 1.313, 50.0]
    """
    half = np.maximum(np.asarray(x, dtype=float) / 2, 1e-150)
    return np.asarray(half / np.tanh(half))


def mode_entropy(x: np.ndarray) -> np.ndarray:
    """Return x/(eˣ − 1) − ln(1 − e^(−x)), the entropy of an oscillator over k_B.

    Examples
    --------
    >>> mode_entropy(np.array([1.0, 1e3])).round(4)
    array([1.0407, 0.    ])
    """
    x = np.clip(np.asarray(x, dtype=float), 1e-300, 700.0)
    return np.asarray(x / np.expm1(x) - np.log(-np.expm1(-x)))


def mode_displacement(x: np.ndarray) -> np.ndarray:
    """Return coth(x/2)/x: ħ²/(2Mk_BT) times it is u² of an oscillator.

    Examples
    --------
    >>> mode_displacement(np.array([1.0, 1e3])).round(4).tolist()
    [2.164, 0.001]
    """
    x = np.maximum(np.asarray(x, dtype=float), 1e-150)
    return np.asarray(1 / (x * np.tanh(x / 2)))


def debye_displacement(T: np.ndarray, theta: np.ndarray, mass: float) -> np.ndarray:
    r"""Return u² per axis of Debye's solid.

    .. math:: u^2 = \frac{3\hbar^2}{Mk_B\theta}\left[\frac14 +
              \left(\frac T\theta\right)^2\int_0^{\theta/T}
              \frac{\zeta\,d\zeta}{e^\zeta-1}\right]

    Parameters
    ----------
    T, theta : numpy.ndarray
        Temperature and Debye temperature in K.
    mass : float
        M in u.

    Returns
    -------
    numpy.ndarray
        In angstrom².

    References
    ----------
    B. T. M. Willis & A. W. Pryor, Thermal Vibrations in Crystallography (1975).

    Examples
    --------
    >>> debye_displacement(np.array([10.0, 300.0]), np.array(290.113), 50.0).round(6)
    array([0.002528, 0.010641])
    """
    x = np.asarray(theta / np.asarray(T, dtype=float))
    nodes, weights = legendre_rule(64)
    zeta = np.minimum(x, 60.0)[..., None] * (nodes + 1) / 2
    integral = (zeta / np.expm1(zeta) * weights).sum(-1) * np.minimum(x, 60.0) / 2
    size = 6 * constants.HBAR2_OVER_2U / (mass * constants.BOLTZMANN_MEV * theta)
    return np.asarray(size * (0.25 + integral / x**2))


def heat_capacity_temperature(C: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return the θ in K whose Debye heat capacity at T is C, in J/mol/K of atoms.

    0 where C is 3R or more, infinite where it is 0 or less.

    Examples
    --------
    >>> C = debye_heat_capacity(np.array([5.0, 300.0]), 290.0)
    >>> heat_capacity_temperature(C, np.array([5.0, 300.0])).round(6)
    array([290., 290.])
    """
    return _solved(debye_heat_capacity, C, T)


def displacement_temperature(u2: np.ndarray, T: np.ndarray, mass: float) -> np.ndarray:
    """Return the θ in K whose Debye solid of atoms of a mass in u has this u² at T.

    Infinite where u² is 0 or less.

    Examples
    --------
    >>> displacement_temperature(np.array([0.010641]), np.array([300.0]), 50.0).round(1)
    array([290.1])
    """
    return _solved(functools.partial(debye_displacement, mass=mass), u2, T)


def _solved(
    function: Callable[..., np.ndarray], value: np.ndarray, T: np.ndarray
) -> np.ndarray:
    """Find θ from a function of T and θ that falls with θ; its limits are 0 and ∞."""

    def single(value: float, T: float) -> float:
        def apart(log: float) -> float:
            return float(function(np.float64(T), np.exp(log)) / value) - 1

        ends = np.log(T * 1e-4), np.log(T * 1e5)
        if np.isnan(value + T):
            return math.nan
        if value <= 0 or apart(ends[1]) >= 0:
            return math.inf
        if apart(ends[0]) <= 0:
            return 0.0
        return float(np.exp(scipy.optimize.brentq(apart, *ends, xtol=1e-12)))

    return np.asarray(np.vectorize(single, otypes=[float])(value, T))
