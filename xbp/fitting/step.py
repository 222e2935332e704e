"""Fits of a curve that ends in a step, such as Debye's density of states.

Between two points the position of the step does not change the curve, and at a point
the curve jumps: no derivative finds it. So the other parameters are fitted with the
step fixed between each two neighbouring points, and χ² decides between which it lies.
A mean over a bin bends at the ends of the bin: so these stand for the points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbp.fitting.core import Function, Solutions, by_differences, solve_function

__all__ = ["solve_with_step"]

# Intervals of the first search, evenly over the points.
_COARSE = 16
# Where the step is far off, the others find no place.
_FEW_STEPS = 40
# Beyond this χ² above the least the step does not lie.
_EXCLUDED = 25.0
# Part of an interval that is kept from the points, on which the curve jumps, and by
# which derivatives are taken.
_INSIDE = 1e-3


@dataclass
class _Interval:
    """A fit with the step between two points: parameters (n,), derivatives (k, n)."""

    values: np.ndarray
    chi2: float
    jacobian: np.ndarray
    at_bound: np.ndarray
    vague: np.ndarray
    converged: bool


def solve_with_step(
    function: Function,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    start: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    edge: int,
    known: bool,
) -> Solutions:
    """Find the least sum of squares of one curve with a step.

    Parameters
    ----------
    function : callable
        Parameters (m, n) → curves (m, k).
    x : numpy.ndarray, shape (l,)
        Ascending places at which the curve jumps, or bends, when the step is there:
        points, or ends of bins.
    y, weight : numpy.ndarray, shape (k,)
        Data, and the inverse of their errors.
    start, low, high : numpy.ndarray, shape (n,)
        Start values and limits of the parameters.
    edge : int
        Place of the parameter that is the x of the step.
    known : bool
        Whether the errors are known.

    Returns
    -------
    Solutions
        Of one curve. The step is half way between two points unless the rest of the
        curve has it; its variance is that of anywhere between the points, and of the
        other intervals as far as χ² allows them. It is vague where it may lie beyond
        the last point.
    """
    search = _Search(function, x, y, weight, start, low, high, edge, known)
    return search.result()


@dataclass
class _Search:
    """Fits of one curve with the step between neighbouring points."""

    function: Function
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    #: Where fits start.
    best: np.ndarray
    low: np.ndarray
    high: np.ndarray
    edge: int
    known: bool
    #: Whether the rest of the curve determines the step.
    within: bool = False

    def __post_init__(self) -> None:
        x, low, high = self.x, self.low[self.edge], self.high[self.edge]
        inside = np.unique(x[(x > low) & (x < high)])
        # Below the first point nothing is left of what ends at the step, and beyond the
        # last one nothing of what begins there.
        first = [low] if np.isfinite(low) else []
        self.ends = np.unique(np.concatenate([first, inside, [high]]))
        self.rest = np.arange(self.best.size) != self.edge
        self.fits: dict[int, _Interval | None] = {}

    def visit(self, *places: int) -> int:
        """Fit with the step in these intervals, and return the best of them."""
        wanted = dict.fromkeys(k for k in places if 0 <= k < self.ends.size - 1)
        if new := [k for k in wanted if k not in self.fits]:
            self.fits |= self._fitted(np.array(new))
        return min(wanted, key=self.chi2)

    def chi2(self, k: int) -> float:
        fit = self.fits.get(k)
        return np.inf if fit is None else fit.chi2

    def _fitted(self, ks: np.ndarray) -> dict[int, _Interval | None]:
        first, last = self.ends[ks], self.ends[ks + 1]
        place = np.where(np.isfinite(last), first + (last - first) / 2, 1.5 * first)
        width = np.where(first > 0, np.minimum(last - first, first), last - first)
        gap = _INSIDE * width
        begin, n, edge = np.tile(self.best, (ks.size, 1)), self.best.size, self.edge
        begin[:, edge] = place
        y, weight = (np.tile(a, (ks.size, 1)) for a in (self.y, self.weight))
        low, high = (np.tile(a, (ks.size, 1)) for a in (self.low, self.high))
        steps = _FEW_STEPS if self.fits else 200
        if self.within:
            low[:, edge], high[:, edge] = first + gap, last - gap
            found = solve_function(
                self.function, y, weight, begin,
                known=self.known, low=low, high=high, max_steps=steps,
            )  # fmt: skip
            values, rest = found.values, np.ones(n, dtype=bool)
        else:
            rest = self.rest

            def held(p: np.ndarray, begin: np.ndarray) -> np.ndarray:
                whole = begin.copy()
                whole[:, rest] = p
                return self.function(whole)

            found = solve_function(
                held, y, weight, begin[:, rest], begin,
                known=self.known, low=low[:, rest], high=high[:, rest], max_steps=steps,
            )  # fmt: skip
            values = begin.copy()
            values[:, rest] = found.values
        sizes = np.maximum(np.abs(values), np.where(values == 0, 1.0, 0.0))
        near_low, near_high = low.copy(), high.copy()
        near_low[:, edge], near_high[:, edge] = (
            values[:, edge] - gap,
            values[:, edge] + gap,
        )
        sizes[:, edge] = np.inf
        _, slopes = by_differences(self.function)(values, sizes, near_low, near_high)
        out: dict[int, _Interval | None] = {}
        for i, k in enumerate(ks.tolist()):
            at_bound, vague = np.zeros((2, n), dtype=bool)
            at_bound[rest], vague[rest] = found.at_bound[i], found.vague[i]
            jacobian = (slopes[:, i] * self.weight).T
            chi2, converged = float(found.chi2[i]), bool(found.converged[i])
            one = _Interval(values[i], chi2, jacobian, at_bound, vague, converged)
            # What has not converged yet is an upper limit of χ².
            out[k] = one if np.isfinite(chi2) else None
        return out

    def result(self) -> Solutions:
        n, last = self.best.size, self.ends.size - 2
        if last < 0:
            return self._solution(None, np.full((n, n), np.nan))
        first = np.searchsorted(self.ends, self.best[self.edge]) - 1
        # In data that end below the step it lies beyond the last point, wherever it was
        # guessed.
        k = self.visit(int(np.clip(first, 0, last)), last)
        fit = self.fits[k]
        if fit is None:
            return self._solution(None, np.full((n, n), np.nan))
        if fit.converged:
            self.best = fit.values
        # As where the level is fixed.
        self.within = not _covariance(fit.jacobian)[1][self.edge]
        if self.within:
            self.fits.clear()
        step = max((self.ends.size - 1) // _COARSE, 1)
        coarse = self.visit(k, *range(0, last + 1, step))
        places = []
        for place, width in ((k, 2), (coarse, step)):
            while width > 1:
                width = (width + 1) // 2
                place = self.visit(place, place - width, place + width)
            while (again := self.visit(place, place - 1, place + 1)) != place:
                place = again
            places.append(place)
        return self._over_intervals(self.visit(*places))

    def _over_intervals(self, place: int) -> Solutions:
        """Return the best fit with the spread over all intervals that χ² allows."""
        best, n = self.fits[place], self.best.size
        if best is not None and not best.converged:
            # With as many steps as it needs.
            self.best = best.values
            self.fits.clear()
            best = self.fits[self.visit(place)]
        if best is None:
            return self._solution(None, np.full((n, n), np.nan))
        least = np.finfo(float).eps ** 2 * ((self.y * self.weight) ** 2).sum()
        rest, k = max(best.chi2, float(least)), self.y.size
        # Errors are in units of those of a fit by all parameters but the step.
        error = 1.0 if self.known else float(np.sqrt(rest / (k - n + 1)))

        def above(at: int) -> float:
            return (self.chi2(at) - best.chi2) / error**2

        allowed = [place]
        for direction in (-1, 1):
            at = place + direction
            while 0 <= at < self.ends.size - 1:
                self.visit(at)
                if above(at) > _EXCLUDED:
                    break
                allowed.append(at)
                at += direction
        total, covariance, vague = 0.0, np.zeros((n, n)), best.vague.copy()
        for at in allowed:
            fit = self.fits[at]
            if fit is None or not (fit.converged or fit is best):
                continue
            own = self._within_interval(fit.jacobian, at, error)
            vague[self.edge] |= not np.isfinite(own).all()
            apart = fit.values - best.values
            weight = np.exp(-above(at) / 2) * np.sqrt(own[self.edge, self.edge])
            total += weight
            covariance += weight * (own + np.outer(apart, apart))
        scale = 1.0 if self.known else rest / max(k - n, 1)
        best.vague = vague
        return self._solution(best, covariance / total / scale)

    def _within_interval(
        self, jacobian: np.ndarray, k: int, error: float
    ) -> np.ndarray:
        """Return the covariance with the step in an interval."""
        rest, edge = jacobian[:, self.rest], jacobian[:, self.edge]
        length = np.maximum(np.linalg.norm(rest, axis=0), 1e-300)
        # So do the others follow it.
        follow = -np.linalg.lstsq(rest / length, edge, rcond=None)[0] / length
        own = float(np.linalg.norm(edge + rest @ follow)) / error
        width = self.ends[k + 1] - self.ends[k]
        information = 12 / width**2 + (own**2 if self.within else 0.0)
        variance = 1 / information if information > 0 else np.inf
        moved = np.insert(follow, self.edge, 1.0)
        covariance = variance * np.outer(moved, moved)
        covariance[np.ix_(self.rest, self.rest)] += _covariance(rest)[0] * error**2
        return covariance

    def _solution(self, fit: _Interval | None, covariance: np.ndarray) -> Solutions:
        n, size = self.best.size, np.array([((self.y * self.weight) ** 2).sum()])
        if fit is None:
            none = np.zeros((1, n), dtype=bool)
            nothing, one = np.full((1, n), np.nan), np.full(1, np.nan)
            return Solutions(
                nothing, covariance[None], one, size, nothing, none[:, 0], none, none
            )
        return Solutions(
            fit.values[None], covariance[None], np.array([fit.chi2]), size,
            np.linalg.norm(fit.jacobian, axis=0)[None], np.array([fit.converged]),
            fit.at_bound[None], fit.vague[None],
        )  # fmt: skip


def _covariance(jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance of parameters, and which of them are undetermined."""
    n, length = jacobian.shape[1], np.linalg.norm(jacobian, axis=0)
    if not (length > 0).all() or not np.isfinite(jacobian).all():
        return np.full((n, n), np.nan), ~(length > 0)
    _, s, axes = np.linalg.svd(jacobian / length, full_matrices=False)
    # The data determine only a sum of parameters along an axis this short.
    along = (axes[s < 1e-5 * s[0]] ** 2).sum(axis=0)
    half = axes / np.maximum(s, 1e-300)[:, None] / length
    return half.T @ half, along > along.max() / 100
