"""Fits of a curve that ends in a step, such as Debye's density of states.

Between two points the position of the step does not change the curve, and at a point
the curve jumps: no derivative finds it. So the other parameters are fitted with the
step fixed between each two neighbouring points, and χ² decides between which it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from xbp.fitting.core import (
    MAX_STEPS,
    Minimum,
    Residual,
    covariance_of,
    error_of,
    minimum,
)

__all__ = ["minimum_at_step"]

# Fits of the first search, evenly over the points; then it goes on from the best by
# half as many points.
_COARSE = 16
# Where the step is far off, the others find no place.
_FEW_STEPS = 40
# Beyond this χ² above the least the step does not lie.
_EXCLUDED = 25.0
# Part of an interval that is kept from the points, on which the curve jumps, and by
# which derivatives are taken.
_INSIDE = 1e-3


def minimum_at_step(
    residual: Residual,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    edge: int,
    x: np.ndarray,
    size: float,
    known: bool,
) -> Minimum | None:
    """Find the least sum of squares of a curve with a step.

    Parameters
    ----------
    residual, start, low, high, size, known
        As for `minimum`.
    edge : int
        Place of the parameter that is the x of the step.
    x : numpy.ndarray
        Ascending points, at which the curve jumps when the step is there.

    Returns
    -------
    Minimum, or None where none converged
        The step is half way between two points unless the rest of the curve has it;
        its variance is that of anywhere between the points, and of the other intervals
        as far as χ² allows them. It is vague where it may lie beyond the last point.
    """
    inside = np.unique(x[(x > low[edge]) & (x < high[edge])])
    # Below the first point nothing is left of what the step ends, and beyond the last
    # one there is no step.
    ends = np.unique(
        np.concatenate([[low[edge]] if x[0] < low[edge] else [], inside, [high[edge]]])
    )
    if ends.size < 2:
        return None
    free = np.arange(start.size) != edge
    best, within = start, False
    fits: dict[int, Minimum | None] = {}

    def held(k: int) -> Minimum | None:
        first, last = ends[k], ends[k + 1]
        place = first + (last - first) / 2 if np.isfinite(last) else 1.5 * first
        gap = _INSIDE * (min(last, 2 * first) - first)
        begin, steps = best.copy(), _FEW_STEPS if fits else MAX_STEPS
        begin[edge] = place
        if within:
            lowest, highest = low.copy(), high.copy()
            lowest[edge], highest[edge] = first + gap, last - gap
            return minimum(
                residual,
                begin,
                lowest,
                highest,
                size=size,
                known=known,
                max_steps=steps,
            )

        def rest(p: np.ndarray) -> np.ndarray:
            begin[free] = p
            return residual(begin)

        found = minimum(
            rest,
            best[free],
            low[free],
            high[free],
            size=size,
            known=known,
            max_steps=steps,
        )
        if found is None:
            return None
        values = begin.copy()
        values[free] = found.values
        ahead, behind = values.copy(), values.copy()
        ahead[edge], behind[edge] = place + gap, place - gap
        slope = (residual(ahead) - residual(behind)) / (2 * gap)
        return replace(
            found,
            values=values,
            jacobian=np.insert(found.jacobian, edge, slope, axis=1),
            at_bound=np.insert(found.at_bound, edge, False),
            vague=np.insert(found.vague, edge, False),
        )

    def chi2(fit: Minimum | None) -> float:
        return np.inf if fit is None else float((fit.residual**2).sum())

    def fit(*places: int) -> int:
        for k in places:
            if 0 <= k < ends.size - 1 and k not in fits:
                fits[k] = held(k)
        return min(places, key=lambda k: chi2(fits.get(k)))

    def descend(k: int, step: int) -> int:
        while step > 1:
            step = (step + 1) // 2
            k = fit(k, k - step, k + step)
        while (again := fit(k, k - 1, k + 1)) != k:
            k = again
        return k

    first = int(np.clip(np.searchsorted(ends, start[edge]) - 1, 0, ends.size - 2))
    # In data that end below the step it lies beyond the last point, wherever it was
    # guessed.
    first = fit(first, ends.size - 2)
    first_fit = fits[first]
    if first_fit is None:
        return None
    best = first_fit.values
    # Does the rest of the curve determine the step, as where the level is fixed?
    within = not covariance_of(first_fit.jacobian, 1.0)[1][edge]
    if within:
        fits.clear()
    step = max((ends.size - 1) // _COARSE, 1)
    k = fit(descend(first, 2), descend(fit(*range(0, ends.size - 1, step)), step))
    return _over_intervals(fits, k, ends, fit, edge, size, known, within)


def _over_intervals(
    fits: dict[int, Minimum | None],
    k: int,
    ends: np.ndarray,
    visit: Callable[..., int],
    edge: int,
    size: float,
    known: bool,
    within: bool,
) -> Minimum | None:
    """Return the best fit with the spread over all intervals that χ² allows."""
    best = fits[k]
    if best is None:
        return None
    n = best.values.size - 1
    error = error_of(best.residual, n, size, known)

    def above(at: int) -> float:
        fit = fits.get(at)
        return (
            np.inf
            if fit is None
            else float((fit.residual**2).sum() - (best.residual**2).sum()) / error**2
        )

    allowed = [k]
    for direction in (-1, 1):
        at = k + direction
        while 0 <= at < ends.size - 1:
            visit(at)
            if above(at) > _EXCLUDED:
                break
            allowed.append(at)
            at += direction
    total, covariance = 0.0, np.zeros((n + 1, n + 1))
    vague = best.vague.copy()
    for at in allowed:
        fit = fits[at]
        if fit is None:
            continue
        own = _within_interval(
            fit.jacobian, edge, ends[at + 1] - ends[at], error, within
        )
        vague[edge] |= not np.isfinite(own).all()
        apart = fit.values - best.values
        weight = np.exp(-above(at) / 2) * np.sqrt(own[edge, edge])
        total += weight
        covariance += weight * (own + np.outer(apart, apart))
    return replace(best, covariance=covariance / total, vague=vague)


def _within_interval(
    jacobian: np.ndarray, edge: int, width: float, error: float, within: bool
) -> np.ndarray:
    """Return the covariance with the step in an interval, or where the curve has it."""
    free = np.arange(jacobian.shape[1]) != edge
    rest = jacobian[:, free]
    length = np.maximum(np.linalg.norm(rest, axis=0), 1e-300)
    # So do the others follow it.
    follow = -np.linalg.lstsq(rest / length, jacobian[:, edge], rcond=None)[0] / length
    determined = (
        float(np.linalg.norm(jacobian[:, edge] + rest @ follow)) / error
        if within
        else 0.0
    )
    information = 12 / width**2 + determined**2
    variance = 1 / information if information > 0 else np.inf
    moved = np.insert(follow, edge, 1.0)
    covariance = variance * np.outer(moved, moved)
    covariance[np.ix_(free, free)] += covariance_of(rest, error)[0]
    return covariance
