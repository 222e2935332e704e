"""Heat capacities of densities of states by quadrature, for many of these at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from xbp.models.debye_einstein import legendre_rule, mode_heat_capacity

__all__ = ["beside_step", "thermal_rule"]


@functools.lru_cache(maxsize=16)
def thermal_rule(T: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return ends, nodes and weights of a quadrature, and heat capacities there.

    These are of modes, over k_B, shape (nodes, T), at temperatures in the unit of the
    nodes. A fit takes the same ones many times.

    Parameters
    ----------
    T : bytes
        Of the array of temperatures.
    """
    kelvin = np.frombuffer(T)
    ends = np.geomspace(1e-2 * kelvin.min(), 60 * kelvin.max(), 200)
    ends = np.append(0.0, ends)
    at, weights = (a.ravel() for a in _between(ends[:-1, None], ends[1:, None]))
    return ends, at, weights, mode_heat_capacity(at[:, None] / kelvin)


def beside_step(
    g: Callable[[np.ndarray], np.ndarray], T: np.ndarray, ends: np.ndarray, step: Any
) -> np.ndarray:
    """Return what the rule misses by the step of g, whose interval has two parts.

    Parameters
    ----------
    g : callable
        Density of states, of energies (m, n) or (n,).
    T, ends : numpy.ndarray
        Temperatures, and ends of the intervals of `thermal_rule`.
    step : float or numpy.ndarray, shape (m, 1)
        Where g has a step.
    """
    i = np.clip(np.searchsorted(ends, step) - 1, 0, ends.size - 2)
    low, high = ends[i], ends[i + 1]
    middle, total = np.clip(step, low, high), np.zeros(T.shape)
    for sign, first, last in ((-1, low, high), (1, low, middle), (1, middle, high)):
        at, weights = _between(first, last)
        each = mode_heat_capacity(at[..., None] / T)
        total = total + np.einsum("...n,...nk->...k", sign * weights * g(at), each)
    return total


def _between(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of Gauss and Legendre's rule between energies."""
    nodes, weights = legendre_rule(6)
    half = (high - low) / 2
    return low + half * (1 + nodes), half * weights
