"""Where a sum of squares is least and how well the points know it, on plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

__all__ = ["MAX_STEPS", "Minimum", "Residual", "covariance_of", "minimum"]

Residual = Callable[[np.ndarray], np.ndarray]

# A fit that finds its minimum has found it by then.
MAX_STEPS = 300
_TOLERANCE = 1e-12
# A parameter this close to a limit, relative to where it started, is at it: its error
# means nothing.
_AT_LIMIT = 1e-5
# Of columns of length 1, below this singular value the data fix one sum of two
# parameters, not each of them.
_ONE_SUM = 1e-5
# A fit goes nowhere from where a parameter would have to be so many times as large to
# be felt at all.
_LOST = 1e4
# By at least this part of the data does a step change the curve: less is rounding.
_FELT = 1e-3


@dataclass(frozen=True)
class Minimum:
    """A least sum of squares.

    Attributes
    ----------
    values : numpy.ndarray, shape (n,)
        The parameters there.
    residual : numpy.ndarray, shape (m,)
        The residual there.
    jacobian : numpy.ndarray, shape (m, n)
        Its derivatives.
    covariance : numpy.ndarray, shape (n, n)
        Of the parameters.
    at_bound, vague : numpy.ndarray of bool, shape (n,)
        Parameters at a limit; such as the residual does not depend on, or only on a sum
        of.
    """

    values: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray
    covariance: np.ndarray
    at_bound: np.ndarray
    vague: np.ndarray


def minimum(
    residual: Residual,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    size: float,
    known: bool,
    max_steps: int = MAX_STEPS,
) -> Minimum | None:
    """Find the least sum of squares from a start, within bounds, in any units of the parameters and of the residual.

    Parameters
    ----------
    residual : callable
        Parameters (n,) → residual (m,), m > n.
    start, low, high : numpy.ndarray, shape (n,)
        Where to start, and the limits; infinite where there is none.
    size : float
        About how large the residual is without the curve: the rms of the data over
        their errors.
    known : bool
        Whether the residual is in units of its error; otherwise its rms is its error.
    max_steps : int
        Where it gives up.

    Returns
    -------
    Minimum, or None where it did not converge

    Examples
    --------
    >>> x, y = np.arange(4.0), np.array([1.0, 3.0, 5.0, 7.0])
    >>> found = minimum(lambda p: p[0] + p[1] * x - y, np.zeros(2), np.full(2, -np.inf), np.full(2, np.inf),
    ...                 size=4.0, known=True)
    >>> found.values.round(6), found.covariance.round(6).tolist()
    (array([1., 2.]), [[0.7, -0.3], [-0.3, 0.2]])
    """
    values = start
    scale = _sizes(residual, start, ~np.isfinite(low) & ~np.isfinite(high), size)
    jacobian = np.zeros((residual(start).size, 0))
    if start.size:
        # Again from where it was found: there parameters have the size that they have,
        # not that of the start.
        for steps in ("2-point", "3-point"):
            found = scipy.optimize.least_squares(
                lambda u, scale=scale: residual(u * scale) / size,
                values / scale,
                steps,
                (low / scale, high / scale),
                x_scale="jac",
                ftol=_TOLERANCE,
                xtol=_TOLERANCE,
                gtol=None,
                max_nfev=max_steps,
            )
            values, jacobian = found.x * scale, found.jac * size / scale
            own = np.abs(found.x)
            felt = (
                _FELT
                * np.sqrt(found.fun.size)
                / np.maximum(np.linalg.norm(found.jac, axis=0), 1e-300)
            )
            if not found.success:
                lost = felt > _LOST * np.maximum(own, 1.0)
                if not lost.any():
                    return None
                unknown = np.full((start.size, start.size), np.nan)
                return Minimum(
                    values,
                    found.fun * size,
                    jacobian,
                    unknown,
                    np.zeros(start.size, dtype=bool),
                    lost,
                )
            # What has a bound has a size of its own.
            most = np.where(
                np.isfinite(low) | np.isfinite(high), 1e3 * np.maximum(own, 1.0), np.inf
            )
            scale = scale * np.maximum(np.minimum(felt, most), np.maximum(own, 1e-300))
    left = residual(values)
    covariance, vague = covariance_of(jacobian, error_of(left, start.size, size, known))
    near = _AT_LIMIT * np.where(start != 0, np.abs(start), np.abs(values))
    at_bound = np.minimum(values - low, high - values) <= near
    return Minimum(values, left, jacobian, covariance, at_bound, vague)


def _sizes(
    residual: Residual, start: np.ndarray, unbounded: np.ndarray, size: float
) -> np.ndarray:
    """Return how large parameters are.

    As at the start, or, where that is next to nothing, so that they are felt.
    """
    sizes = np.where(start != 0, np.abs(start), 1.0)
    before = residual(start)
    for i in np.flatnonzero(unbounded):
        for larger in sizes[i] * 1e3 ** np.arange(11):
            moved = start.copy()
            moved[i] += larger
            change = float(np.sqrt(np.mean((residual(moved) - before) ** 2))) / size
            if not change < _FELT:
                sizes[i] = larger if np.isfinite(change) else sizes[i]
                break
    return sizes


def error_of(residual: np.ndarray, n: int, size: float, known: bool) -> float:
    """Return the error of a residual.

    1, or its rms after a fit of n parameters, at least that of rounding.
    """
    if known:
        return 1.0
    return max(
        float(np.linalg.norm(residual)) / float(np.sqrt(residual.size - n)),
        float(np.finfo(float).eps) * size,
    )


def covariance_of(jacobian: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of the parameters, and which of them the residual does not tell.

    Parameters
    ----------
    jacobian : numpy.ndarray, shape (m, n)
        Derivatives of the residual.
    error : float
        Error of the residual.

    Returns
    -------
    covariance : numpy.ndarray, shape (n, n)
    vague : numpy.ndarray of bool, shape (n,)
    """
    n = jacobian.shape[1]
    rows = jacobian / error
    length = np.linalg.norm(rows, axis=0)
    if not (length > 0).all() or not np.isfinite(rows).all():
        return np.full((n, n), np.nan), ~(length > 0)
    if n == 0:
        return np.zeros((0, 0)), np.zeros(0, dtype=bool)
    _, s, axes = np.linalg.svd(rows / length, full_matrices=False)
    lost = s < _ONE_SUM * s[0]
    along = (axes[lost] ** 2).sum(axis=0)
    vague = along > along.max() / 100 if lost.any() else np.zeros(n, dtype=bool)
    half = axes / np.maximum(s, 1e-300)[:, None] / length
    return half.T @ half, vague
