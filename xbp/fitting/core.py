"""The fit engine: least squares with bounds and covariance, on plain arrays.

`solve` fits many curves at once, with analytic derivatives; `minimum` fits one curve
of any function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

__all__ = [
    "MAX_STEPS",
    "Minimum",
    "Residual",
    "Shape",
    "Solutions",
    "covariance_of",
    "error_of",
    "minimum",
    "solve",
]

#: Parameters (m, n) → curves (m, k) and their derivatives (n, m, k).
Shape = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Residual = Callable[[np.ndarray], np.ndarray]

#: A fit that finds its minimum has found it by then.
MAX_STEPS = 300
# Spectra solved together: more leave the cache of the processor.
_CHUNK = 1000


@dataclass(frozen=True)
class Solutions:
    """Least-squares solutions for m curves with n parameters.

    Attributes
    ----------
    values : numpy.ndarray, shape (m, n)
        Fitted parameters.
    covariance : numpy.ndarray, shape (m, n, n)
        Covariance of the parameters for residuals with an error of 1; not finite where
        the data do not determine the parameters.
    chi2 : numpy.ndarray, shape (m,)
        Sum of the squared residuals.
    converged : numpy.ndarray of bool, shape (m,)
        Whether each fit converged.
    """

    values: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    converged: np.ndarray


@np.errstate(all="ignore")  # what overflows has not converged
def solve(
    shape: Shape,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    *,
    known: bool,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
    max_steps: int = 200,
) -> Solutions:
    """Fit many curves at once by Levenberg–Marquardt, vectorised over the curves.

    A fit has converged when its next step is less than 3e-7 standard deviations of
    every parameter.

    Parameters
    ----------
    shape : callable
        Parameters (m, n) → curves (m, k) and their derivatives (n, m, k).
    y, weight : numpy.ndarray, shape (m, k)
        Data and the inverse of their errors; a weight of 0 leaves a point out.
    start : numpy.ndarray, shape (m, n)
        Start values of the parameters.
    known : bool
        Whether the errors are known; otherwise the residuals determine their scale.
    low, high : numpy.ndarray, shape (n,)
        Limits of the parameters.
    max_steps : int
        Largest number of steps.

    Returns
    -------
    Solutions

    References
    ----------
    D. W. Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963), doi:10.1137/0111030.

    Examples
    --------
    >>> x = np.arange(4.0)
    >>> def line(p):
    ...     value = p[:, :1] + p[:, 1:] * x
    ...     return value, np.stack([np.ones_like(value), 0 * value + x])
    >>> y = np.array([[1.0, 3.0, 5.0, 7.0], [0.0, 1.0, 2.0, 3.0]])
    >>> found = solve(line, y, np.ones_like(y), np.zeros((2, 2)), known=True)
    >>> found.values.round(6).tolist(), found.covariance[0].round(6).tolist()
    ([[1.0, 2.0], [0.0, 1.0]], [[0.7, -0.3], [-0.3, 0.2]])
    """
    chunks = [slice(i, i + _CHUNK) for i in range(0, max(len(y), 1), _CHUNK)]
    parts = [
        _solve(shape, y[i], weight[i], start[i], known, low, high, max_steps)
        for i in chunks
    ]
    return Solutions(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _solve(
    shape: Shape,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    known: bool,
    low: np.ndarray | float,
    high: np.ndarray | float,
    max_steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    m, n = start.shape
    values, chi2 = start.copy(), np.full(m, np.nan)
    converged, diagonal = np.zeros(m, dtype=bool), np.arange(n)
    normal = np.full((m, n, n), np.nan)
    size = (y * weight * (y * weight)).sum(axis=1) * np.finfo(float).eps ** 2
    free = np.maximum((weight > 0).sum(axis=1) - n, 1)
    at = np.arange(m)
    damping = np.full(m, 1e-3)
    p = np.clip(start, low, high)

    def at_parameters(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        curve, slopes = shape(p)
        r = (y[at] - curve) * weight[at]
        return r, slopes * weight[at], (r * r).sum(axis=1)

    r, slopes, cost = at_parameters(p)
    for step in range(max_steps + 1):
        square = np.empty((len(at), n, n))
        for i in range(n):
            for j in range(i + 1):
                square[:, i, j] = square[:, j, i] = (slopes[i] * slopes[j]).sum(axis=1)
        downhill = np.stack([(slope * r).sum(axis=1) for slope in slopes], axis=1)
        # Parameters in units of their errors, and still those that a limit stops.
        length = np.sqrt(square[:, diagonal, diagonal])
        stopped = ((p <= low) & (downhill < 0)) | ((p >= high) & (downhill > 0))
        inverse = np.where((length > 0) & ~stopped, 1 / length, 0.0)
        scaled = square * inverse[:, :, None] * inverse[:, None, :]
        scaled[:, diagonal, diagonal] = 1 + damping[:, None]
        usable = np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(cost)
        scaled[~usable] = np.eye(n)
        slope = np.where(usable[:, None], downhill * inverse, 0.0)
        move = np.linalg.solve(scaled, slope[..., None])[..., 0]
        scale = np.ones(len(at)) if known else cost / free[at]
        near = (move * slope).sum(axis=1) <= np.maximum(1e-13 * scale, 10 * size[at])
        done = near | ~usable | (damping > 1e12)
        if step == max_steps:
            done[:] = True
        if done.any():
            here = at[done]
            values[here], chi2[here], normal[here] = p[done], cost[done], square[done]
            converged[here] = (near & usable)[done]
            at, damping, p, r, cost, inverse, move = (
                a[~done] for a in (at, damping, p, r, cost, inverse, move)
            )
            slopes = slopes[:, ~done]
            if not len(at):
                break
        trial = np.clip(p + move * inverse, low, high)
        new_r, new_slopes, new_cost = at_parameters(trial)
        better = new_cost <= cost
        damping = np.where(better, np.maximum(damping * 0.1, 1e-12), damping * 8)
        if better.all():
            p, r, cost, slopes = trial, new_r, new_cost, new_slopes
        else:
            p[better], cost[better] = trial[better], new_cost[better]
            r[better], slopes[:, better] = new_r[better], new_slopes[:, better]
    length = np.sqrt(normal[:, diagonal, diagonal])
    unit = length[:, :, None] * length[:, None, :]
    correlated = normal / unit
    finite = np.isfinite(correlated).all(axis=(1, 2))
    correlated[~finite] = np.eye(n)
    # Sums of parameters that the data do not determine have an error without limit.
    spread, axes = np.linalg.eigh(correlated)
    spread = np.where(spread > n * np.finfo(float).eps, spread, np.nan)
    inverse = (axes / spread[:, None, :]) @ axes.transpose(0, 2, 1)
    inverse[~finite] = np.nan
    return values, inverse / unit, chi2, converged


@dataclass(frozen=True)
class Minimum:
    """The least-squares solution for one curve.

    Attributes
    ----------
    values : numpy.ndarray, shape (n,)
        Fitted parameters.
    residual : numpy.ndarray, shape (m,)
        Residual at the solution.
    jacobian : numpy.ndarray, shape (m, n)
        Derivatives of the residual.
    covariance : numpy.ndarray, shape (n, n)
        Covariance of the parameters.
    at_bound, vague : numpy.ndarray of bool, shape (n,)
        Which parameters are at a limit, and which are not determined by the data or
        only in combination with others.
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
    """Fit one curve; parameters and residual can have any units.

    Parameters
    ----------
    residual : callable
        Parameters (n,) → residual (m,), m > n.
    start, low, high : numpy.ndarray, shape (n,)
        Start values and limits; a limit is infinite if there is none.
    size : float
        Typical size of the residual without a curve: the rms of data divided by their
        errors.
    known : bool
        Whether the residual is in units of its error; otherwise the rms of the residual
        is taken as its error.
    max_steps : int
        Largest number of steps.

    Returns
    -------
    Minimum or None
        None if the fit did not converge.

    Examples
    --------
    >>> x, y = np.arange(4.0), np.array([1.0, 3.0, 5.0, 7.0])
    >>> found = minimum(lambda p: p[0] + p[1] * x - y, np.zeros(2), np.full(2, -np.inf),
    ...                 np.full(2, np.inf), size=4.0, known=True)
    >>> found.values.round(6), found.covariance.round(6).tolist()
    (array([1., 2.]), [[0.7, -0.3], [-0.3, 0.2]])
    """
    values, n = start, start.size
    bounded = np.isfinite(low) | np.isfinite(high)
    scale = _sizes(residual, start, ~bounded, size)
    jacobian = np.zeros((residual(start).size, 0))
    # Twice: the second time parameters are in units of their size where it ended, not
    # where it started.
    for derivatives in ("2-point", "3-point") if n else ():
        found = scipy.optimize.least_squares(
            lambda u, scale=scale: residual(u * scale) / size,
            values / scale,
            derivatives,
            (low / scale, high / scale),
            x_scale="jac",
            ftol=1e-12,
            xtol=1e-12,
            gtol=None,
            max_nfev=max_steps,
        )
        values, jacobian = found.x * scale, found.jac * size / scale
        own = np.maximum(np.abs(found.x), 1e-300)
        # Changes of the parameters that change the curve by 1e-3 of the data.
        slopes = np.maximum(np.linalg.norm(found.jac, axis=0), 1e-300)
        felt = 1e-3 * np.sqrt(found.fun.size) / slopes
        if not found.success:
            lost = felt > 1e4 * np.maximum(own, 1.0)
            if not lost.any():
                return None
            unknown, nowhere = np.full((n, n), np.nan), np.zeros(n, dtype=bool)
            left = found.fun * size
            return Minimum(values, left, jacobian, unknown, nowhere, lost)
        # What has a bound has a size of its own.
        most = np.where(bounded, 1e3 * np.maximum(own, 1.0), np.inf)
        scale = scale * np.maximum(np.minimum(felt, most), own)
    left = residual(values)
    covariance, vague = covariance_of(jacobian, error_of(left, n, size, known))
    # At a limit the error means nothing.
    near = 1e-5 * np.where(start != 0, np.abs(start), np.abs(values))
    at_bound = np.minimum(values - low, high - values) <= near
    return Minimum(values, left, jacobian, covariance, at_bound, vague)


def _sizes(
    residual: Residual, start: np.ndarray, unbounded: np.ndarray, size: float
) -> np.ndarray:
    """Return scales of the parameters: the start values, unless they have no effect."""
    sizes = np.where(start != 0, np.abs(start), 1.0)
    before = residual(start)
    for i in np.flatnonzero(unbounded):
        for larger in sizes[i] * 1e3 ** np.arange(11):
            moved = start.copy()
            moved[i] += larger
            change = float(np.sqrt(np.mean((residual(moved) - before) ** 2))) / size
            if not change < 1e-3:
                sizes[i] = larger if np.isfinite(change) else sizes[i]
                break
    return sizes


def error_of(residual: np.ndarray, n: int, size: float, known: bool) -> float:
    """Return the error of a residual: 1 if known, else its rms for n parameters."""
    if known:
        return 1.0
    rms = float(np.linalg.norm(residual)) / float(np.sqrt(residual.size - n))
    return max(rms, float(np.finfo(float).eps) * size)


def covariance_of(jacobian: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of parameters, and which of them are undetermined.

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
    # The data determine only a sum of parameters along an axis this short.
    lost = s < 1e-5 * s[0]
    along = (axes[lost] ** 2).sum(axis=0)
    vague = along > along.max() / 100 if lost.any() else np.zeros(n, dtype=bool)
    half = axes / np.maximum(s, 1e-300)[:, None] / length
    return half.T @ half, vague
