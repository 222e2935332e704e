"""Errors of fits whose χ² is not a parabola: how it really rises along a valley."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["stretched"]

#: Indices (j,) of parameters and of fits, and starts (j, n) → the least χ² (j,) of each
#: fit with its parameter held, and where it is (j, n).
Least = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Part of the way to a limit that a test goes, and of the way of a test that shows the
#: tangent.
_WITHIN, _TANGENT = 0.999, 1e-2
#: Parts of the way to a limit from which the others count, and that end it.
_MIDDLE, _NEARLY = 0.5, 0.8
#: Squared part of the data that is above the rounding of a model.
_ROUNDING = 1e-12
#: Fits tested together: more leave the cache of the processor.
_CHUNK = 100


def stretched(
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    least: Least,
    values: np.ndarray,
    covariance: np.ndarray,
    scale: np.ndarray,
    chi2: np.ndarray,
    size: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    far: float = 4.0,
    straight: float = 3.0,
    some: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return covariances as χ² allows them, and parameters that have no error.

    .. math:: f = \max_\pm \frac{k}{\sqrt{[\chi^2(\pm k\sigma) - \chi^2(0)]/s}}

    A covariance is that of the tangent at the minimum. Who reads p ± σ takes a value
    that is kσ away as excluded, k = `far`, and this is tested: for each axis of the
    covariance the parameter that moves most is held kσ away, or just before a limit,
    and all others are fitted again. By the rise of χ² that value is excluded by k/f
    standard deviations. If these are at least `straight`, the error is kept. If they
    are less, the valley is bent, and the axis becomes f times longer, but not beyond a
    limit. If they are less than `some`, and no limit stops the parameter, it has no
    error. The test is needed only where the curve has left its tangent by k −
    `straight` standard deviations of the data.

    Where a limit is excluded by less than `straight`, the errors contain the values of
    all parameters on the way to it.

    Parameters
    ----------
    curve : callable
        Parameters (j, n) of the fits with the indices (j,) → curves over their errors
        (j, k).
    least : callable
        As `Least`.
    values, covariance : numpy.ndarray, shape (m, n) and (m, n, n)
        Of m fits.
    scale : numpy.ndarray, shape (m,)
        s, the squared size of the errors that the covariances are for.
    chi2, size : numpy.ndarray, shape (m,)
        χ² of the fits, and without a curve.
    low, high : numpy.ndarray, shape (n,)
        Limits of the parameters.
    far : float
        How many errors away χ² is tested. A table of a hundred numbers has none that is
        off by 4 but in one of 160 tables.
    straight : float
        By how many standard deviations a value that is `far` errors away must be
        excluded for the error to be kept.
    some : float
        By how many for there to be an error at all. Below 1 the interval in which the
        parameter is with a probability of 68 % does not end within `far` errors.

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
    >>> held = lambda i, rows, p: (((p**2 - 1) / s[rows])[:, 0] ** 2, p)
    >>> covariance, bent = stretched(
    ...     square, held, one, (s / 2)[:, None] ** 2, one[:, 0], 0 * one[:, 0],
    ...     s[:, 0] ** -2, np.array([0.0]), np.array([np.inf]))
    >>> np.sqrt(covariance[:, 0, 0]).round(3).tolist(), bent.tolist()
    ([0.05, 0.356], [-1, -1])
    """
    (m, n), levels = values.shape, (far, straight, some)
    bent, found = np.full(m, -1), covariance.copy()
    rows = np.flatnonzero(far**2 * scale > _ROUNDING * size) if n else np.empty(0, int)
    for begin in range(0, rows.size, _CHUNK):
        own = rows[begin : begin + _CHUNK]
        arrays = (values[own], covariance[own], scale[own], chi2[own])
        found[own], bent[own] = _stretched(
            curve, least, own, *arrays, low, high, levels
        )
    return found, bent


def _stretched(
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    least: Least,
    rows: np.ndarray,
    values: np.ndarray,
    covariance: np.ndarray,
    scale: np.ndarray,
    chi2: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    levels: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray]:
    (m, n), (far, straight, some) = values.shape, levels
    std = np.sqrt(np.einsum("mii->mi", covariance))
    unit = std[:, :, None] * std[:, None, :]
    spread, axes = np.linalg.eigh(covariance / unit)
    axes = axes * np.sqrt(np.maximum(spread, 0.0))[:, None, :]
    # Moves (m, side, axis, n) along the axes, on the sides on which the parameter that
    # moves most, with the index (m, axis), grows and falls.
    j = np.abs(axes).argmax(axis=1)
    ahead = np.sign(np.take_along_axis(axes, j[:, None], axis=1)) * axes
    sides = np.array([1.0, -1.0])[:, None, None]
    moves = sides * (ahead * std[:, :, None]).transpose(0, 2, 1)[:, None]
    way = _way(values[:, None, None], moves, low, high, far)
    least_off = (1 - straight / far) * way * np.sqrt(scale)[:, None, None]
    row, side, axis = np.nonzero(_off(curve, rows, values, moves, way) >= least_off)
    if not row.size:
        return covariance, np.full(m, -1)
    # Every parameter is tested: of two that move together the valley may be straight in
    # one, such as a height, and bent in the other, its inverse.
    off, at = np.unique(row, return_inverse=True)
    tests = np.argwhere(np.ones((off.size, 2, n)))
    same = np.ravel_multi_index((at, side, j[row, axis]), (off.size, 2, n))
    row_of, held = off[tests[:, 0]], tests[:, 2]
    step = np.zeros((len(tests), n))
    forward = (1 - 2 * tests[:, 1]) * std[row_of, held]
    step[np.arange(len(tests)), held] = forward
    further = _way(values[row_of], step, low, high, far)
    start = values[row_of] + (further / forward)[:, None] * covariance[row_of, held]
    end, _ = least(held, rows[row_of], start)
    rise = np.maximum(end - chi2[row_of], 0.0) / scale[row_of]
    factor = np.where(np.isfinite(rise), further / np.sqrt(rise), 1.0)
    # No error is longer than the way to a limit.
    stopped = further < far
    factor = np.where(stopped, np.minimum(factor, further), factor)
    factor = np.where(factor * straight > far, factor, 1.0)
    longer, lost = np.ones((m, n)), np.zeros((m, n), dtype=bool)
    np.maximum.at(longer, (row, axis), factor[same])
    none = ~stopped & (rise < some**2) & np.isin(np.arange(len(tests)), same)
    lost[row_of[none], held[none]] = True
    axes *= longer[:, None, :]
    found, moved = covariance.copy(), np.flatnonzero((longer > 1).any(axis=1))
    found[moved] = (axes @ axes.transpose(0, 2, 1) * unit)[moved]
    others = np.ones((m, n))
    own = (rows[off], values[off], covariance[off], scale[off], chi2[off])
    others[off], endless = _to_limits(least, *own, low, high, levels)
    lost[off] |= endless
    np.maximum.at(others, (row_of, held), factor)
    short = others * std / np.sqrt(np.einsum("mii->mi", found))
    short = np.where(others > 1, np.maximum(short, 1.0), 1.0)
    found *= short[:, :, None] * short[:, None, :]
    return found, np.where(lost.any(axis=1), lost.argmax(axis=1), -1)


def _to_limits(
    least: Least,
    rows: np.ndarray,
    values: np.ndarray,
    covariance: np.ndarray,
    scale: np.ndarray,
    chi2: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    levels: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many times longer errors are (m, n), and which parameters have none.

    Each parameter goes to its limits as far as χ² allows. Where the others are then is
    excluded by the same rise. One that grows without end has no error: the height of a
    line, where the bins do not show its width.
    """
    (m, n), (far, straight, some) = values.shape, levels
    times, lost = np.ones((m, n)), np.zeros((m, n), dtype=bool)
    std = np.sqrt(np.einsum("mii->mi", covariance))
    for k, (end, way) in itertools.product(range(n), ((low, -1), (high, 1))):
        if not np.isfinite(end[k]):
            continue
        room = np.abs(values[:, k] - end[k])
        p, ahead = values.copy(), way * covariance[:, k] / std[:, k, None] ** 2
        todo, at = np.arange(m), np.zeros(m)
        # By half of the way that is left, since valleys are bent.
        while todo.size:
            most = np.maximum(far * std[todo, k], at[todo])
            step = np.minimum((room - at)[todo] / 2, most)
            at[todo] += step
            begin = p[todo] + step[:, None] * ahead[todo]
            begin[:, k] = values[todo, k] + way * at[todo]
            held = np.full(todo.size, k)
            now, there = least(held, rows[todo], begin)
            before = np.abs(p[todo] - values[todo])
            ahead[todo], p[todo] = (there - p[todo]) / step[:, None], there
            rise = (now - chi2[todo]) / scale[todo]
            inside, part = rise < straight**2, at[todo] / room[todo]
            last = part > _NEARLY
            near = inside & (part > _MIDDLE)
            i, away = todo[near], np.abs(p[todo] - values[todo])[near]
            own = away / std[i] / np.sqrt(np.maximum(rise[near], 1e-12))[:, None]
            limit = np.where(p[i] > values[i], high - values[i], values[i] - low)
            limit = np.abs(limit) / std[i]
            endless = (away > 1.5 * before[near]) & (limit > far * own)
            lost[i] |= last[near, None] & endless & (own * some > far)
            times[i] = np.maximum(times[i], np.minimum(own, limit))
            todo = todo[inside & ~last]
    return times, lost


def _off(
    curve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: np.ndarray,
    values: np.ndarray,
    moves: np.ndarray,
    way: np.ndarray,
) -> np.ndarray:
    """Return how far curves leave their tangents at the end of each move.

    In standard deviations of the data, shape (m, side, axis), as `way`; −1 where there
    is no way, and infinity where there is no curve.
    """
    m, _, n = way.shape
    # Along each axis the tangent is that of the side on which there is more room.
    part = np.where(way[:, 0] >= way[:, 1], way[:, 0], -way[:, 1]) * _TANGENT
    far, near = way[..., None] * moves, part[..., None] * moves[:, 0]
    ends = [np.zeros((m, 1, n)), far.reshape(m, 2 * n, n), near]
    points = (values[:, None] + np.concatenate(ends, axis=1)).reshape(-1, n)
    curves = curve(points, np.repeat(rows, 3 * n + 1))
    curves = curves.reshape(m, 3 * n + 1, curves.shape[-1])
    change = (curves[:, 1:] - curves[:, :1]).reshape(m, 3, n, -1)
    along = np.stack([way[:, 0], -way[:, 1]], axis=1) / part[:, None]
    off = change[:, :2] - along[..., None] * change[:, 2:]
    size = np.nan_to_num(np.sqrt((off**2).sum(axis=-1)), nan=np.inf)
    return np.where(way > 0, size, -1.0)


def _way(
    values: np.ndarray, move: np.ndarray, low: Any, high: Any, far: float
) -> np.ndarray:
    """Return how many times a move of one standard deviation stays within limits."""
    room = np.where(move > 0, high - values, values - low)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(move == 0, np.inf, room / np.abs(move)).min(axis=-1)
    return np.asarray(np.minimum(far, _WITHIN * times))
