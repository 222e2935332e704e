"""Shapes of which data have the means over bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.grid import bin_limits
from xbp.fitting.core import Shape
from xbp.models.model import Model

__all__ = [
    "GAUSS",
    "Average",
    "averages",
    "halves_of_bins",
    "mean_of_ends",
    "mean_of_model",
    "mean_over_bins",
    "places_in_bins",
]

#: Where Gauss's rule of two points has its places, of a mean over −1 … 1.
GAUSS = 3**-0.5
#: Places and weights of Gauss's rule for a mean over −1 … 1: with five places that of a
#: Gaussian is exact to 1e-5 over bins as wide as it is at half its height.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)

#: With three, of functions that take longer, to 2e-3 there, to 5e-5 over half as wide.
_THREE = tuple(zip(*np.polynomial.legendre.leggauss(3), strict=True))

#: Weights and places (…, k): a mean over bins is the sum of weights times values.
Average = list[tuple[Any, np.ndarray]]


def mean_of_ends(make: Callable[[np.ndarray], Shape]) -> Shape:
    """Return the means of a shape over bins, from its values at `places_in_bins`."""

    def shape(p: np.ndarray, *ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(ends) == 1:
            return make(ends[0])(p)
        (low, by_low), (high, by_high) = (make(end)(p) for end in ends)
        low += high
        by_low += by_high
        return low / 2, by_low / 2

    return shape


def places_in_bins(x: np.ndarray, half: np.ndarray | float) -> list[np.ndarray]:
    """Return where Gauss's rule of two points takes a mean over bins x ± half."""
    return [x + way * half * GAUSS for way in (-1, 1)] if np.any(half) else [x]


def mean_over_bins(
    make: Callable[[np.ndarray], Shape],
) -> Callable[[np.ndarray, np.ndarray], Shape]:
    """Return the means over bins x ± half of a shape of x, by Gauss's rule.

    Examples
    --------
    >>> from xbp.fitting.shapes import gaussian_on_line
    >>> shape = mean_over_bins(gaussian_on_line)(np.zeros(1), np.array([1.0]))
    >>> value, _ = shape(np.array([[0.0, 1.0, 0.5]]))
    >>> value.round(3)  # 0.5 √(π/2) erf(√2)
    array([[0.598]])
    """

    def of_bins(x: np.ndarray, half: np.ndarray) -> Shape:
        if not np.any(half):
            return make(x)
        shapes = [make(x + half * node) for node in _NODES]

        def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, slopes = zip(*(one(p) for one in shapes), strict=True)
            return (
                np.asarray(np.tensordot(_WEIGHTS / 2, values, 1)),
                np.asarray(np.tensordot(_WEIGHTS / 2, slopes, 1)),
            )

        return shape

    return of_bins


def averages(x: np.ndarray, half: np.ndarray, edge: Any = None) -> Average:
    """Return at which places functions are evaluated for their means over bins.

    Parameters
    ----------
    x, half : numpy.ndarray, shape (k,)
        Centres of the bins and half their widths, 0 of points.
    edge : float or numpy.ndarray of shape (m, 1), optional
        Where the functions have a step: both parts of its bin count by their widths.

    Examples
    --------
    >>> bins = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    >>> sum(weight * x**2 for weight, x in averages(*bins)).round(12)
    array([1.33333333, 9.33333333])
    >>> sum(w * x**2 * (x < 3.5) for w, x in averages(*bins, edge=3.5)).round(12)
    array([1.33333333, 5.8125    ])
    """
    if not np.any(half):
        return [(1.0, x)]
    low, high = x - half, x + half
    step = np.clip(np.inf if edge is None else edge, low, high)
    ends = [(low, step), (step, high)]
    width = np.where(half > 0, 2 * half, 1.0)
    found: Average = []
    for first, last in ends[: 1 if edge is None else 2]:
        # A point is in one part alone.
        part = np.where(half > 0, (last - first) / width, float(first is low))
        found += [
            (part * weight / 2, (first + last) / 2 + node * (last - first) / 2)
            for node, weight in _THREE
        ]
    return found


def mean_of_model(
    row: Model, x: np.ndarray, half: np.ndarray, p: Mapping[str, float]
) -> np.ndarray:
    """Return the means of a model over the bins x ± half."""
    edge = None if row.edge is None else p[row.edge]
    values = [
        np.where(part > 0, part * row.function(at, **p), 0.0)
        for part, at in averages(x, half, edge)
    ]
    return np.asarray(sum(values))


def halves_of_bins(data: xr.DataArray | xr.Dataset, dim: str) -> np.ndarray:
    """Return half the widths of bins over which data are means; 0 of points.

    Bins have bounds.
    """
    if data[dim].attrs.get("bounds", f"{dim}_bnds") not in data.coords:
        return np.zeros(data.sizes[dim])
    lower, upper = bin_limits(data, dim)
    return np.asarray((upper - lower) / 2)
