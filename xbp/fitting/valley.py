"""Errors of fits whose χ² is not a parabola: how it really rises along a valley."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["stretched"]

#: Standard deviations from the minimum where its errors are tested, which part of the
#: way to a limit a test goes, and which part of the way shows the tangent.
_FAR, _WITHIN, _TANGENT = 4.0, 0.999, 1e-2
#: Errors are those of the tangent if χ² makes them less than this much longer.
_STRAIGHT = 4 / 3
#: Squared part of the data that is above the rounding of a model.
_ROUNDING = 1e-12


def stretched(
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    least: Callable[[int, np.ndarray, np.ndarray], np.ndarray],
    values: np.ndarray,
    covariance: np.ndarray,
    scale: np.ndarray,
    chi2: np.ndarray,
    size: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return covariances as χ² allows them, and parameters that have no error.

    .. math:: f = \max_\pm \frac{4}{\sqrt{[\chi^2(\pm 4\sigma) - \chi^2(0)]/s}}

    A covariance is that of the tangent at the minimum. Four standard deviations away
    along each of its axes, or just before a limit, the parameter that moves most is
    held and all others are fitted again. Where χ² then has risen less than the tangent
    says, the valley is bent: above f = 4/3 the axis of the covariance becomes f times
    longer, but not beyond a limit. Where no limit stops the parameter and χ² has risen
    by less than s, which is one standard deviation, it has no error. Only where the
    curve has left its tangent by a quarter of the way can f be above 4/3.

    Parameters
    ----------
    curve : callable
        Parameters (j, n) of the fits with the indices (j,) → curves over their errors
        (j, k).
    least : callable
        Index of a parameter, indices (j,) of fits, and starts (j, n) → the least χ²
        (j,) with this parameter held.
    values, covariance : numpy.ndarray, shape (m, n) and (m, n, n)
        Of m fits.
    scale : numpy.ndarray, shape (m,)
        s, the squared size of the errors that the covariances are for.
    chi2, size : numpy.ndarray, shape (m,)
        χ² of the fits, and without a curve.
    low, high : numpy.ndarray, shape (n,)
        Limits of the parameters.

    Returns
    -------
    covariance : numpy.ndarray, shape (m, n, n)
    bent : numpy.ndarray of int, shape (m,)
        The parameter without an error; −1 if all have one.

    References
    ----------
    Profile of χ²: W. T. Eadie et al., Statistical Methods in Experimental Physics
    (1971), ch. 9; F. James and M. Roos, Comput. Phys. Commun. 10, 343 (1975),
    doi:10.1016/0010-4655(75)90039-9.

    Examples
    --------
    One number y = p², measured as 1 ± 0.1 and as 1 ± 0.4: p = 0 is 2.5 σ away in the
    second case, not 5.

    >>> one = np.ones((2, 1))
    >>> s = np.array([[0.1], [0.4]])
    >>> square = lambda p, rows: p**2 / s[rows]
    >>> held = lambda i, rows, p: ((p**2 - 1) / s[rows])[:, 0] ** 2
    >>> covariance, bent = stretched(
    ...     square, held, one, (s / 2)[:, None] ** 2, one[:, 0], 0 * one[:, 0],
    ...     s[:, 0] ** -2, np.array([0.0]), np.array([np.inf]))
    >>> np.sqrt(covariance[:, 0, 0]).round(3).tolist(), bent.tolist()
    ([0.05, 0.333], [-1, -1])
    """
    (m, n), every = values.shape, np.arange(len(values))
    bent, longer = np.full(m, -1), np.ones((m, n))
    if not (m and n):
        return covariance, bent
    std = np.sqrt(np.einsum("mii->mi", covariance))
    unit = std[:, :, None] * std[:, None, :]
    spread, axes = np.linalg.eigh(covariance / unit)
    axes = axes * np.sqrt(np.maximum(spread, 0.0))[:, None, :]
    seen = _FAR**2 * scale > _ROUNDING * size
    before = curve(values, every)
    for axis, side in itertools.product(range(n), (1.0, -1.0)):
        j = np.abs(axes[:, :, axis]).argmax(axis=1)
        # The sides are those on which parameter j grows and falls.
        sign = side * np.sign(axes[every, j, axis])
        move = sign[:, None] * axes[:, :, axis] * std
        way = _way(values, move, low, high)
        some = np.flatnonzero(seen & (way > 0))
        far, near = (
            curve((values + part * way[:, None] * move)[some], some) - before[some]
            for part in (1.0, _TANGENT)
        )
        off = np.sqrt(((far - near / _TANGENT) ** 2).sum(axis=1))
        most = way[some] * (1 - 1 / _STRAIGHT) * np.sqrt(scale[some])
        some = np.delete(some, np.flatnonzero(off < most))
        for i in np.unique(j[some]):
            own = some[j[some] == i]
            ahead = side * std[own, i]
            step = np.zeros((own.size, n))
            step[:, i] = ahead
            further = _way(values[own], step, low, high)
            start = values[own] + (further / ahead)[:, None] * covariance[own, i]
            rise = np.maximum(least(int(i), own, start) - chi2[own], 0.0) / scale[own]
            factor = np.where(np.isfinite(rise), further / np.sqrt(rise), 1.0)
            # No error is longer than the way to a limit.
            stopped = further < _FAR
            factor = np.where(stopped, np.minimum(factor, further), factor)
            factor = np.where(factor > _STRAIGHT, factor, 1.0)
            longer[own, axis] = np.maximum(longer[own, axis], factor)
            bent[own[np.flatnonzero(~stopped & (rise < 1))]] = i
    axes *= longer[:, None, :]
    found, some = covariance.copy(), np.flatnonzero((longer > 1).any(axis=1))
    found[some] = (axes @ axes.transpose(0, 2, 1) * unit)[some]
    return found, bent


def _way(values: np.ndarray, move: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Return how many times a move of one standard deviation stays within limits."""
    room = np.where(move > 0, high - values, values - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(move == 0, np.inf, room / np.abs(move)).min(axis=1)
    return np.asarray(np.minimum(_FAR, _WITHIN * times))
