"""The fit engine: least squares with bounds and covariance, many curves at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from xbp.core.status import POOR_CHI2

__all__ = [
    "SLACK",
    "Function",
    "Shape",
    "Solutions",
    "by_differences",
    "permitted",
    "solve",
    "solve_function",
]

#: Parameters (m, n), and data of the rows → curves (m, k) and their derivatives
#: (n, m, k).
Shape = Callable[..., tuple[np.ndarray, np.ndarray]]
#: The same without derivatives.
Function = Callable[..., np.ndarray]

# Curves solved together: more leave the cache of the processor.
_CHUNK = 1000
_EPS = float(np.finfo(float).eps)
#: Parts of the start value within which a parameter is at a limit.
SLACK = 1e-5
# Relative step of central differences: the cube root of the rounding error.
_STEP = _EPS ** (1 / 3)


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
    size : numpy.ndarray, shape (m,)
        The same without a curve.
    slope : numpy.ndarray, shape (m, n)
        Norms of the derivatives of the residuals.
    converged : numpy.ndarray of bool, shape (m,)
        Whether each fit converged.
    at_bound, vague : numpy.ndarray of bool, shape (m, n)
        Which parameters are at a limit, and which the data do not determine, or only in
        combination with others.
    """

    values: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    size: np.ndarray
    slope: np.ndarray
    converged: np.ndarray
    at_bound: np.ndarray
    vague: np.ndarray

    def errors(
        self, free: np.ndarray, known: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return χ²/ν, covariance and stds for ν = `free` degrees of freedom.

        χ²/ν sets the scale of the latter, if errors are known where it is above
        `POOR_CHI2`: the stds then contain the misfit.
        """
        chi2 = self.chi2 / free
        # The residuals of exact data are rounding.
        least = _EPS**2 * self.size / free
        poor = np.where(chi2 > POOR_CHI2, chi2, 1.0)
        scale = poor if known else np.maximum(chi2, least)
        covariance = self.covariance * scale[:, None, None]
        return chi2, covariance, np.sqrt(np.einsum("mii->mi", covariance))

    def propagated(
        self, function: Function, weight: np.ndarray, std: np.ndarray
    ) -> np.ndarray:
        r"""Return the stds of the parameters that follow from those of the data.

        Of a fit whose weights are not the inverse errors: √ of the diagonal of
        NᵀΣN with N = W²J (JᵀW²J)⁻¹.

        Parameters
        ----------
        function : callable
            The curve that was fitted, as for `solve_function`.
        weight, std : numpy.ndarray, shape (m, k)
            Weights of the fit, and errors of the data.
        """
        none = np.full(self.values.shape, np.inf)
        sizes = np.abs(self.values)
        _, slopes = by_differences(function)(self.values, sizes, -none, none)
        moved = np.einsum("mij,jmk->mik", self.covariance, slopes * weight**2)
        return np.asarray(np.sqrt(((moved * std[:, None, :]) ** 2).sum(axis=2)))

    @classmethod
    def concatenated(cls, parts: Sequence[Solutions]) -> Solutions:
        """Return the solutions of several sets of curves as one."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def permitted(free: Any, of_noise: Any = None) -> Any:
    """Return χ²/ν that the right curve exceeds in one of 40 cases.

    `of_noise` are the degrees of freedom of the noise, if its size is not known: then
    in one of 6, as few of them hide much.

    Examples
    --------
    >>> [round(float(permitted(n)), 2) for n in (5, 50, 500)]
    [2.57, 1.43, 1.13]
    """
    if of_noise is not None:
        return scipy.special.fdtri(free, of_noise, 5 / 6)
    return scipy.special.chdtri(free, 0.025) / free


@np.errstate(all="ignore")  # what overflows has not converged
def solve(
    shape: Shape,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    *rows: np.ndarray,
    known: bool,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
    linear: Sequence[int] = (),
    max_steps: int = 200,
) -> Solutions:
    """Fit many curves at once by Levenberg–Marquardt, vectorised over the curves.

    A fit has converged when its next step is less than 3e-7 standard deviations of
    every parameter.

    Parameters
    ----------
    shape : callable
        Parameters (m, n), and `rows` → curves (m, k) and their derivatives (n, m, k).
    y, weight : numpy.ndarray, shape (m, k)
        Data and the inverse of their errors; a weight of 0 leaves a point out.
    start : numpy.ndarray, shape (m, n)
        Start values of the parameters.
    *rows : numpy.ndarray, shape (m, ...)
        What else `shape` needs to know of each curve.
    known : bool
        Whether the errors are known; otherwise the residuals determine their scale.
    low, high : numpy.ndarray, shape (n,) or (m, n)
        Limits of the parameters.
    linear : sequence of int
        Parameters without limits in which the curve is linear, and to the first of
        which its derivatives by all others are proportional. Each step ends at their
        best values, so that the fit does not follow the narrow valleys that they make.
    max_steps : int
        Largest number of steps.

    Returns
    -------
    Solutions

    References
    ----------
    D. W. Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963), doi:10.1137/0111030;
    A. Ruhe & P. Å. Wedin, SIAM Rev. 22, 318 (1980), doi:10.1137/1022057 (`linear`).

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
    limits = [np.broadcast_to(limit, start.shape) for limit in (low, high)]
    arrays = [y, weight, start, *limits, *rows]
    parts = [
        _solve(shape, known, [*linear], max_steps, *(a[i : i + _CHUNK] for a in arrays))
        for i in range(0, max(len(y), 1), _CHUNK)
    ]
    return Solutions.concatenated(parts)


def _solve(
    shape: Shape,
    known: bool,
    linear: list[int],
    max_steps: int,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *rows: np.ndarray,
) -> Solutions:
    m, n = start.shape
    values, chi2 = start.copy(), np.full(m, np.nan)
    converged, diagonal = np.zeros(m, dtype=bool), np.arange(n)
    normal = np.full((m, n, n), np.nan)
    weighted = y * weight
    size = np.einsum("mk,mk->m", weighted, weighted)
    rounding = 10 * _EPS**2 * size
    free = np.maximum((weight > 0).sum(axis=1) - n, 1)
    at = np.arange(m)
    damping, growth = np.full(m, 1e-3), np.full(m, 2.0)
    own = [y, weight, low, high, *rows]
    p = np.clip(start, low, high)

    def at_parameters(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, weight, _, _, *rows = own
        curve, slopes = shape(p, *rows)
        r = y - curve
        r *= weight
        slopes = slopes * weight
        if linear:
            move_linear(p, r, slopes)
        return r, slopes, np.einsum("mk,mk->m", r, r)

    def move_linear(p: np.ndarray, r: np.ndarray, slopes: np.ndarray) -> None:
        """Move the linear parameters, and all that depends on them, to their best."""
        own = slopes[linear]
        square = np.einsum("imk,jmk->mij", own, own)
        length = np.sqrt(np.einsum("mii->mi", square))
        usable = np.isfinite(square).all(axis=(1, 2)) & (length > 0).all(axis=1)
        length[~usable] = 1.0
        square /= length[:, :, None] * length[:, None, :]
        square[~usable] = 0.0
        # A small part of it keeps what the points do not determine finite.
        square += 1e-14 * np.eye(len(linear))
        target = np.einsum("imk,mk->mi", own, r) / length
        target[~usable] = 0.0
        move = np.linalg.solve(square, target[..., None])[..., 0] / length
        r -= np.einsum("mi,imk->mk", move, own)
        before = p[:, linear[0]].copy()
        p[:, linear] += move
        others = [i for i in range(n) if i not in linear]
        slopes[others] *= (p[:, linear[0]] / before)[:, None]

    r, slopes, cost = at_parameters(p)
    for step in range(max_steps + 1):
        square = np.empty((len(at), n, n))
        for i in range(n):
            for j in range(i + 1):
                square[:, i, j] = np.einsum("mk,mk->m", slopes[i], slopes[j])
                square[:, j, i] = square[:, i, j]
        downhill = np.einsum("nmk,mk->mn", slopes, r)
        # Parameters in units of their errors, and still those that a limit stops.
        length = np.sqrt(square[:, diagonal, diagonal])
        least, most = own[2:4]
        stopped = ((p <= least) & (downhill < 0)) | ((p >= most) & (downhill > 0))
        inverse = np.where((length > 0) & ~stopped, 1 / length, 0.0)
        scaled = square * inverse[:, :, None] * inverse[:, None, :]
        scaled[:, diagonal, diagonal] = 1 + damping[:, None]
        usable = np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(cost)
        scaled[~usable] = np.eye(n)
        slope = np.where(usable[:, None], downhill * inverse, 0.0)
        move = np.linalg.solve(scaled, slope[..., None])[..., 0]
        fall = (move * slope).sum(axis=1)
        scale = np.ones(len(at)) if known else cost / free[at]
        near = fall <= np.maximum(1e-13 * scale, rounding[at])
        done = near | ~usable | (damping > 1e12)
        if step == max_steps:
            done[:] = True
        if done.any():
            here = at[done]
            # The last step, which changes χ² by rounding, is taken too.
            ended = np.where((near & usable)[:, None], p + move * inverse, p)
            values[here] = np.clip(ended, least, most)[done]
            chi2[here], normal[here] = cost[done], square[done]
            converged[here] = (near & usable)[done]
            left = np.flatnonzero(~done)
            if not len(left):
                break
            at, damping, growth, p, r, cost, inverse, move, fall, *own = (
                np.take(a, left, axis=0)
                for a in (at, damping, growth, p, r, cost, inverse, move, fall, *own)
            )
            slopes = np.take(slopes, left, axis=1)
        trial = np.clip(p + move * inverse, *own[2:4])
        new_r, new_slopes, new_cost = at_parameters(trial)
        # Near the end steps change the sum of squares by less than its rounding: they
        # are taken, but with more damping, so that the fit ends.
        better = new_cost <= cost * (1 + 1e-14)
        # The better the linear model foretold the sum, the less damping (H. B. Nielsen,
        # Technical University of Denmark, IMM-REP-1999-05).
        gain = (cost - new_cost) / (fall + damping * (move * move).sum(axis=1))
        less = np.maximum(1 / 3, 1 - (2 * np.clip(gain, 0, 1) - 1) ** 3)
        good = new_cost <= cost
        damping = np.where(good, np.maximum(damping * less, 1e-12), damping * growth)
        growth = np.where(good, 2.0, 2 * growth)
        worse = np.flatnonzero(~better)
        if worse.size:
            trial[worse], new_cost[worse] = p[worse], cost[worse]
            new_r[worse], new_slopes[:, worse] = r[worse], slopes[:, worse]
        p, r, cost, slopes = trial, new_r, new_cost, new_slopes
    length = np.sqrt(normal[:, diagonal, diagonal])
    unit = length[:, :, None] * length[:, None, :]
    correlated = normal / unit
    finite = np.isfinite(correlated).all(axis=(1, 2))
    correlated[~finite] = np.eye(n)
    # Sums of parameters that the data do not determine have an error without limit.
    spread, axes = np.linalg.eigh(correlated)
    part = spread / spread[:, -1:] if n else spread
    known_axis = np.where(spread > n * _EPS, spread, np.nan)
    inverse = (axes / known_axis[:, None, :]) @ axes.transpose(0, 2, 1)
    inverse[~finite] = np.nan
    # 1e-10 is the square of 1e-5, the shortest axis of the derivatives that counts.
    along = (axes**2 * (part < 1e-10)[:, None, :]).sum(axis=2)
    vague = (along > along.max(axis=1, keepdims=True, initial=0.0) / 100) | (
        length == 0
    )
    # At a limit the error means nothing.
    slack = SLACK * np.where(start != 0, np.abs(start), np.abs(values))
    at_bound = np.minimum(values - low, high - values) <= slack
    return Solutions(
        values, inverse / unit, chi2, size, length, converged, at_bound, vague
    )


def by_differences(function: Function) -> Shape:
    """Return a curve with derivatives by central differences.

    The first three of its `rows`, shape (m, n), are the least size of each parameter,
    of which a small part is the step, and its limits.
    """

    def shape(
        p: np.ndarray, sizes: np.ndarray, low: np.ndarray, high: np.ndarray, *rows: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        m, n = p.shape
        steps = _STEP * np.maximum(np.abs(p), sizes)
        ahead, behind = np.minimum(p + steps, high), np.maximum(p - steps, low)
        one = np.eye(n, dtype=bool)[:, None]
        # All in one call: the function may be faster at many points than at each.
        moved = [p[None], np.where(one, ahead, p), np.where(one, behind, p)]
        every = np.concatenate(moved).reshape(-1, n)
        own = [np.tile(a, (2 * n + 1, *(1,) * (a.ndim - 1))) for a in rows]
        curves = function(every, *own)
        curves = curves.reshape(2 * n + 1, m, curves.shape[-1])
        rise = curves[1 : n + 1] - curves[n + 1 :]
        return curves[0], rise / (ahead - behind).T[:, :, None]

    return shape


def solve_function(
    function: Function,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    *rows: np.ndarray,
    known: bool,
    low: np.ndarray | float = -np.inf,
    high: np.ndarray | float = np.inf,
    max_steps: int = 200,
) -> Solutions:
    """Do what `solve` does for curves without derivatives, in any units.

    Parameters
    ----------
    function : callable
        Parameters (m, n), and `rows` → curves (m, k).
    y, weight, start, *rows, known, low, high, max_steps
        As for `solve`.

    Examples
    --------
    >>> x, y = np.arange(4.0), np.array([[1.0, 3.0, 5.0, 7.0]])
    >>> found = solve_function(lambda p: p[:, :1] + p[:, 1:] * x, y, np.ones_like(y),
    ...                        np.zeros((1, 2)), known=True)
    >>> found.values.round(6).tolist(), found.converged.tolist()
    ([[1.0, 2.0]], [True])
    """
    low, high = (np.broadcast_to(limit, start.shape) for limit in (low, high))
    bounded = np.isfinite(low) | np.isfinite(high)
    sizes = _sizes(function, y, weight, start, bounded, *rows)
    shape, begin = by_differences(function), start
    # Twice: the second time steps are parts of the sizes where it ended, not where it
    # started.
    for _ in range(2):
        found = solve(
            shape, y, weight, begin, sizes, low, high, *rows,
            known=known, low=low, high=high, max_steps=max_steps,
        )  # fmt: skip
        begin, own = found.values, np.abs(found.values)
        # Changes of the parameters that change the curve by 1e-3 of the data, or of
        # what it is beside zeros.
        with np.errstate(all="ignore"):
            size = np.where(found.size > 0, found.size, found.chi2)
            felt = 1e-3 * np.sqrt(size)[:, None] / found.slope
        # What has a bound has a size of its own.
        most = np.where(bounded, 1e3 * np.maximum(own, sizes), np.inf)
        felt = np.where(np.isfinite(felt), np.minimum(felt, most), sizes)
        sizes = np.maximum(felt, own)
    return found


@np.errstate(all="ignore")
def _sizes(
    function: Function,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    bounded: np.ndarray,
    *rows: np.ndarray,
) -> np.ndarray:
    """Return sizes of the parameters: the start values, unless they have no effect."""
    sizes = np.where(start != 0, np.abs(start), 1.0)
    before = function(start, *rows) * weight
    size = np.sqrt(((y * weight) ** 2).sum(axis=1))
    for i in range(start.shape[1]):
        first, open_ = sizes[:, i].copy(), ~bounded[:, i]
        for larger in 1e3 ** np.arange(11):
            if not open_.any():
                break
            moved = start.copy()
            moved[:, i] += first * larger
            away = function(moved, *rows) * weight - before
            change = np.sqrt((away**2).sum(axis=1)) / size
            felt = open_ & ~(change < 1e-3)
            sizes[felt & np.isfinite(change), i] = (first * larger)[
                felt & np.isfinite(change)
            ]
            open_ &= ~felt
    return sizes
