"""Curves of one model beside data: their fits, what limits these, and their errors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xbp.core.status import Status
from xbp.fitting.core import (
    SLACK,
    Shape,
    Solutions,
    by_differences,
    solve,
    solve_function,
)
from xbp.fitting.over_bins import averages
from xbp.fitting.step import solve_with_step
from xbp.fitting.valley import stretched
from xbp.models.model import Guess

__all__ = ["Choices", "Curve", "Problem"]

#: Points at which a vectorized function is evaluated together: more leave the cache of
#: the processor.
_POINTS = 4096


@dataclass(frozen=True)
class Choices:
    """Where to start, what to fix and within which bounds, in the units of the fit."""

    start: dict[str, float] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A model as it is fitted.

    Attributes
    ----------
    names : sequence of str
        Its parameters.
    guess : callable
        (x, y) → where to start, or several starts, of which the best fit is kept. They
        are tried beside the start of the user.
    make : callable
        Returns f(x, *parameters) of one curve, for the use of one thread.
    shape : callable, optional
        x → `Shape` of all parameters, which has derivatives.
    limits : mapping of str to pair of float
        Limits of parameters.
    edge : str, optional
        The parameter at whose x the model has a step; for a model without `shape`.
    vectorized : bool
        Whether `make` returns a function of columns too, as in `Model`.
    """

    names: Sequence[str]
    guess: Guess
    make: Callable[[], Callable[..., Any]]
    shape: Callable[..., Shape] | None = None
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    edge: str | None = None
    vectorized: bool = False


class Problem:
    """Curves of one model, fitted by those of its parameters that are not fixed.

    They are means over the bins x ± half, which is 0 of points.
    """

    def __init__(
        self,
        curve: Curve,
        chosen: Choices,
        x: np.ndarray,
        half: np.ndarray,
        start: np.ndarray,
        at: list[int],
        usable: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
    ) -> None:
        self.curve, self.chosen, self.x, self.at = curve, chosen, x, at
        self.half = half
        self.shape = curve.shape and functools.partial(curve.shape, half=half)
        self.names = [curve.names[i] for i in at]
        self.usable, self.y, self.weight = usable, y, weight
        own = [chosen.bounds.get(p) or curve.limits.get(p) for p in self.names]
        limits = np.array([pair or (-np.inf, np.inf) for pair in own]).reshape(-1, 2)
        self.low, self.high = limits.T
        self.begin = self._inside(start[:, at])
        self.start = start.copy()
        self.start[:, at] = self.begin
        self.stepped = curve.edge in self.names and len(y) > 0
        self._function = None if curve.shape else curve.make()

    def _inside(self, begin: np.ndarray) -> np.ndarray:
        """Return starts (m, n) that are at no limit, where a fit has no slope."""
        nearest = np.where(begin <= self.low, self.low, self.high)
        size = np.maximum(np.abs(begin), np.abs(nearest))
        step = 1e-3 * np.minimum(self.high - self.low, np.where(size > 0, size, 1.0))
        moved = np.clip(begin, self.low + step, self.high - step)
        within = (self.low < begin) & (begin < self.high)
        return np.asarray(np.where(within, begin, moved))

    def curves(self, whole: np.ndarray, usable: np.ndarray) -> np.ndarray:
        """Return curves of all parameters (m, n); NaN where the model fails."""
        if self.shape is not None:
            return self.shape(self.x)(whole)[0]
        edge = None
        if self.curve.edge is not None:
            edge = whole[:, [self.curve.names.index(self.curve.edge)]]
        out = np.zeros(usable.shape)
        for part, x in averages(self.x, self.half, edge):
            values = self._values(x, whole, usable)
            out += np.where(part > 0, part * values, 0.0)
        return out

    def _values(
        self, x: np.ndarray, whole: np.ndarray, usable: np.ndarray
    ) -> np.ndarray:
        """Return the model at x, (k,) of all curves or (m, k)."""
        assert self._function is not None
        out, shared = np.zeros(usable.shape), x.ndim == 1
        if self.curve.vectorized:
            size = max(_POINTS // self.x.size, 1)
            for i in range(0, len(out), size):
                columns = whole[i : i + size].T[:, :, None]
                at = x if shared else x[i : i + size]
                out[i : i + size] = self._function(at, *columns)
            return np.where(usable, out, 0.0)
        for i, (own, used) in enumerate(zip(whole, usable, strict=True)):
            at = x if shared else x[i]
            try:
                out[i, used] = self._function(at[used], *own)
            except MemoryError:
                raise
            except Exception:  # of a function that is not ours, or an overflow
                out[i] = np.nan
        return out

    def solve(self, known: bool) -> tuple[Solutions, np.ndarray]:
        """Return the solutions, and all parameters of each, the fixed ones too."""
        found = self._with_step(known) if self.stepped else self._at_once(known)
        whole = self.start.copy()
        whole[:, self.at] = found.values
        return found, whole

    def _at_once(self, known: bool) -> Solutions:
        if self.shape is None:
            arrays = (self.y, self.weight, self.begin)
            return solve_function(
                self._varied, *arrays, self.start, self.usable,
                known=known, low=self.low, high=self.high,
            )  # fmt: skip
        return solve(
            self._shape(), self.y, self.weight, self.begin, self.start,
            known=known, low=self.low, high=self.high,
        )  # fmt: skip

    def _shape(self) -> Shape:
        """Return the curves with the derivatives by the parameters that are fitted."""
        assert self.shape is not None
        shape = self.shape(self.x)

        def own(p: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, slopes = shape(self._whole(p, start))
            return value, slopes[self.at]

        return own

    def _with_step(self, known: bool) -> Solutions:
        edge, parts = self.names.index(str(self.curve.edge)), []
        for i, used in enumerate(self.usable):

            def function(p: np.ndarray, i: int = i) -> np.ndarray:
                rows, at = np.full(len(p), i), self.usable[i]
                return self._varied(p, self.start[rows], self.usable[rows])[:, at]

            bends = np.unique(
                [self.x[used] - self.half[used], self.x[used] + self.half[used]]
            )
            data = (bends, self.y[i, used], self.weight[i, used], self.begin[i])
            limits = (self.low, self.high)
            found = solve_with_step(function, *data, *limits, edge=edge, known=known)
            parts.append(found)
        return Solutions.concatenated(parts)

    def _whole(self, p: np.ndarray, start: np.ndarray) -> np.ndarray:
        whole = start.copy()
        whole[:, self.at] = p
        return whole

    def _varied(
        self, p: np.ndarray, start: np.ndarray, usable: np.ndarray
    ) -> np.ndarray:
        return self.curves(self._whole(p, start), usable)

    def _without_effect(self) -> np.ndarray:
        """Return which parameters may be twice their start and change nothing."""
        before = self.curves(self.start, self.usable)
        size = np.sqrt(((self.y * self.weight) ** 2).sum(axis=1))
        found = np.zeros(self.begin.shape, dtype=bool)
        for j, i in enumerate(self.at):
            moved = self.start.copy()
            moved[:, i] *= 2
            change = (self.curves(moved, self.usable) - before) * self.weight
            found[:, j] = np.sqrt((change**2).sum(axis=1)) < 1e-7 * size
        return np.asarray(found & (self.begin != 0))

    def stretched(
        self, rows: np.ndarray, found: Solutions, covariance: np.ndarray, known: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `valley.stretched` does, of some of the fits."""
        usable, weight, start = self.usable[rows], self.weight[rows], self.start[rows]
        errors = np.sqrt(np.einsum("mii->mi", covariance[rows]))

        def curve(p: np.ndarray, some: np.ndarray) -> np.ndarray:
            found = self._varied(p, start[some], usable[some]) * weight[some]
            return np.asarray(found)

        def least(
            held: np.ndarray, some: np.ndarray, p: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            own = self._held_in_turn if self.stepped else self._held
            return own(held, rows[some], p, errors[some], known)

        # A misfit makes errors larger, but no valley longer.
        ratio = np.einsum("mii->mi", covariance / found.covariance)[rows]
        ratio = ratio.min(axis=1, initial=np.inf)
        scale = np.ones(rows.size) if known else ratio
        tangent = found.covariance[rows] * scale[:, None, None]
        longer, bent = stretched(
            curve, least, found.values[rows], tangent, scale, found.chi2[rows],
            found.size[rows], self.low, self.high,
        )  # fmt: skip
        return longer * (ratio / scale)[:, None, None], bent

    def _held(
        self,
        held: np.ndarray,
        rows: np.ndarray,
        p: np.ndarray,
        errors: np.ndarray,
        known: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the least χ² of fits with one parameter each held, and where it is.

        Parameters
        ----------
        held, rows : numpy.ndarray of int, shape (j,)
            The parameters, and which data are fitted.
        p, errors : numpy.ndarray, shape (j, n)
            Where the fits start, and errors of the parameters.
        known : bool
            As for `solve`.
        """
        free = np.arange(p.shape[1]) != held[:, None]
        low, high = (np.where(free, end, p) for end in (self.low, self.high))
        others = [self.start[rows]]
        if self.shape is None:
            shape = by_differences(self._varied)
            ends = [np.where(free, end, p + way * errors) for end, way in
                    ((self.low, -1), (self.high, 1))]  # fmt: skip
            others = [1e3 * errors, *ends, *others, self.usable[rows]]
        else:
            shape = self._shape()

        def own(
            p: np.ndarray, free: np.ndarray, *others: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            value, slopes = shape(p, *others)
            return value, slopes * free.T[:, :, None]

        begin = np.where(free, self._inside(p), p)
        found = solve(
            own, self.y[rows], self.weight[rows], begin, free, *others,
            known=known, low=low, high=high,
        )  # fmt: skip
        return found.chi2, found.values

    def _held_in_turn(
        self,
        held: np.ndarray,
        rows: np.ndarray,
        p: np.ndarray,
        errors: np.ndarray,
        known: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Do the same for curves with a step."""
        chi2, where = np.full(held.size, np.inf), p.copy()
        for i in np.unique(held):
            some, others = np.flatnonzero(held == i), [*self.at]
            del others[i]
            if [self.curve.names[k] for k in others] == [self.curve.edge]:
                continue  # a step alone makes no valley
            start = self._whole(p[some], self.start[rows[some]])
            data = (one[rows[some]] for one in (self.usable, self.y, self.weight))
            x, half = self.x, self.half
            again = Problem(self.curve, self.chosen, x, half, start, others, *data)
            found = again.solve(known)[0]
            chi2[some] = found.chi2
            free = np.delete(np.arange(p.shape[1]), i)
            where[np.ix_(some, free)] = found.values
        return chi2, where

    def judge(
        self, found: Solutions, stds: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the status of each fit, and the parameter that limits it or ""."""
        failed = ~found.converged[:, None]
        lost = self._without_effect() & failed if failed.any() else failed
        nearest = np.minimum(found.values - self.low, self.high - found.values)
        at_bound = found.at_bound | (failed & (nearest <= SLACK * np.abs(self.begin)))
        # A valley without an end, in which the data allow any value.
        endless = failed & (self.low >= 0) & (stds > np.abs(found.values))
        finite = np.isfinite(stds).all(axis=1) & np.isfinite(residual)
        status = np.full(len(stds), Status.OK, dtype="<U18")
        limiting = np.full(len(stds), "", dtype=f"<U{max(map(len, self.curve.names))}")
        for name, flags in (
            (Status.UNDETERMINED, lost),
            (Status.AT_BOUND, at_bound),
            (Status.UNDETERMINED, found.vague),
            (Status.UNDETERMINED, endless),
            (Status.FAILED, ~found.converged | ~finite),
        ):
            each = flags.ndim == 2
            here = (flags.any(axis=1) if each else flags) & (status == Status.OK)
            status[here] = name
            if each and here.any():
                limiting[here] = np.array(self.names)[flags[here].argmax(axis=1)]
        return status, limiting
