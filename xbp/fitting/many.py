"""Fits of one model to plain data, for every combination of their other dimensions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, shown
from xbp.core.independence import collapsed, independence, merged_bins, std_along
from xbp.core.signal import map_over
from xbp.core.status import FIT_LABELS, Status
from xbp.fitting.core import (
    SLACK,
    Shape,
    Solutions,
    permitted,
    solve,
    solve_function,
)
from xbp.fitting.rows import Packed, scatter
from xbp.fitting.step import solve_with_step
from xbp.fitting.valley import stretched
from xbp.models.model import Guess

__all__ = ["Choices", "Column", "Curve", "evaluate", "fit_everywhere"]

#: Array, units and long name of a column of a table.
Column = tuple[Any, str, str]


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
        The parameter at whose x the model has a step.
    """

    names: Sequence[str]
    guess: Guess
    make: Callable[[], Callable[..., Any]]
    shape: Callable[[np.ndarray], Shape] | None = None
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    edge: str | None = None


def fit_everywhere(
    value: xr.DataArray,
    std: xr.DataArray | None,
    dim: str,
    x: np.ndarray,
    curve: Curve,
    chosen: Choices,
    units: Mapping[str, str],
    *,
    relative: bool = False,
) -> tuple[dict[str, Column], dict[Hashable, xr.Variable]]:
    """Fit plain data along one dimension, for every combination of the others.

    Parameters
    ----------
    value, std : xarray.DataArray
        Data, and their standard deviation or None.
    dim : str
        Dimension to fit along.
    x : numpy.ndarray
        The coordinate there.
    curve : Curve
        The model.
    chosen : Choices
        What the user chose for its parameters.
    units : mapping of str to str
        Units of the parameters and of `dim`.
    relative : bool
        Residuals are relative to each point, not to the largest, and so are the weights
        of data without std.

    Returns
    -------
    columns : dict
        Of the table of results, as for `result_table`; `chi2_reduced` only where errors
        are known.
    coords : dict
        Coordinates of the table that the data do not have.
    """
    names, f = list(curve.names), independence(value, dim)
    answers = map_over(
        _fit_many,
        value.variable,
        np.nan if std is None else std_along(std, dim).variable,
        1.0 if f is None else f,
        dims=dim,
        gives=[["parameter"]] * 2 + [["parameter", "other_parameter"]] + [[]] * 7,
        dtypes=[float] * 8 + [f"<U{max(map(len, names))}", "<U18"],
        sizes={"parameter": len(names), "other_parameter": len(names)},
        x=x,
        curve=curve,
        chosen=chosen,
        relative=relative,
    )
    values, stds, *rest = answers
    columns: dict[str, Column] = {}
    for i, name in enumerate(names):
        at = {"parameter": i}
        columns[name] = (values.isel(at), units.get(name, ""), f"parameter {name}")
        columns[f"{name}_std"] = (stds.isel(at), "", "")
    labels = {
        "correlation": ("1", "correlation of the parameters"),
        "chi2_reduced": ("1", FIT_LABELS["chi2_reduced"]),
        "relative_residual": ("1", FIT_LABELS["relative_residual"]),
        f"{dim}_low": (units[dim], f"lowest {dim} fitted"),
        f"{dim}_high": (units[dim], f"highest {dim} fitted"),
        "n_points": ("1", "number of points fitted"),
        "limiting_parameter": ("", FIT_LABELS["limiting_parameter"]),
        "status": ("", FIT_LABELS["status"]),
    }
    for array, (name, label) in zip(rest, labels.items(), strict=True):
        columns[name] = (array, *label)
    if std is None:
        del columns["chi2_reduced"]
    coords: dict[Hashable, xr.Variable] = dict(collapsed(value, dim).items())
    for own in ("parameter", "other_parameter"):
        coords[own] = xr.Variable(own, names)
    return columns, coords


@np.errstate(all="ignore")  # what overflows has a status
def _fit_many(
    value: np.ndarray,
    std: np.ndarray,
    part: np.ndarray,
    *,
    x: np.ndarray,
    curve: Curve,
    chosen: Choices,
    relative: bool,
) -> tuple[np.ndarray, ...]:
    """Fit curves (…, k): the columns of `fit_everywhere`, over (…).

    Each point is the part `part` of an independent one.
    """
    std, part = np.asarray(std), np.asarray(part)
    outer = np.broadcast_shapes(value.shape[:-1], std.shape[:-1], part.shape[:-1])
    ys, stds, parts = (
        np.broadcast_to(a, (*outer, x.size)).reshape(-1, x.size).astype(float)
        for a in (value, std, part)
    )
    parts, mean, error, first = merged_bins(parts, ys)
    lows, highs = (end.reduceat(x, first) for end in (np.minimum, np.maximum))
    x, ys, stds = mean(x), mean(ys), error(stds)
    m, n, known = len(ys), len(curve.names), bool(std.ndim)
    # The squares of others overflow.
    usable, weights = np.abs(ys) < 1e150, np.ones(ys.shape)
    if known or relative:
        errors = stds if known else ys
        usable &= (errors > 1e-150) & (errors < 1e150)
        weights = 1 / np.where(usable, errors, 1.0)
    ys, weights = np.where(usable, ys, 0.0), np.where(usable, weights, 0.0)
    at = [i for i, name in enumerate(curve.names) if name not in chosen.fixed]
    count = usable.sum(axis=1)
    free = (usable * parts).sum(axis=1) - len(at)
    rows = np.flatnonzero((count > len(at)) & (free > 1e-9))
    starts = [_starts(curve, chosen, x[usable[i]], ys[i, usable[i]]) for i in rows]
    start = np.array([one for several in starts for one in several]).reshape(-1, n)
    own = np.array(
        [one[1] for several in starts for one in several.items()], dtype=bool
    )
    # Every start is a fit, until the best of each row is kept.
    rows = np.repeat(rows, np.array([len(several) for several in starts], dtype=int))
    fit = _Fit(curve, chosen, x, start, at, usable[rows], ys[rows], weights[rows])
    found, whole = fit.solve(known)
    chi2, covariance, errors = found.errors(free[rows], known)
    left = np.where(usable[rows], fit.curves(whole, usable[rows]), 0.0) - ys[rows]
    top = np.abs(ys[rows]) if relative else np.abs(ys[rows]).max(1, keepdims=True)
    share = left / np.where(top > 0, top, np.inf if relative else 1.0)
    seen = (ys[rows] != 0).sum(axis=1) if relative else count[rows]
    residual = np.sqrt((share**2).sum(axis=1) / seen)
    status = np.where(count == 0, Status.NO_DATA, Status.TOO_FEW).astype("<U18")
    limiting = np.full(m, "", dtype=f"<U{max(map(len, curve.names))}")
    found_status, found_limiting = fit.judge(found, errors, residual)
    table = np.full((m, 2 * n + n * n + 2), np.nan)
    # The user's start decides, unless it misses the curve and the model's own does not.
    missed = _misses(left * weights[rows], usable[rows], chi2, free[rows], known)
    rank = np.where(missed, 2 + own, own)
    # One that did not end decides where it is better by more than noise.
    least = np.full(m, np.inf)
    np.minimum.at(least, rows, np.where(found.converged, found.chi2, np.inf))
    noise = 1.0 if known else least[rows] / free[rows]
    stuck = ~found.converged & ~(found.chi2 < least[rows] - noise)
    order = np.lexsort((found.chi2, rank, stuck, rows))
    rows, best = np.unique(rows[order], return_index=True)
    best = order[best]
    ok = best[found_status[best] == Status.OK]
    covariance[ok], bent = fit.stretched(ok, found, covariance, known)
    found_status[ok[bent >= 0]] = Status.UNDETERMINED
    found_limiting[ok[bent >= 0]] = np.array(fit.names)[bent[bent >= 0]]
    stds, correlation = np.zeros((m, n)), np.tile(np.eye(n), (m, 1, 1))
    errors = np.sqrt(np.einsum("mii->mi", covariance))
    free_of = np.array(at, dtype=int)
    stds[np.ix_(rows, free_of)] = errors[best]
    unit = errors[best, :, None] * errors[best, None, :]
    correlation[np.ix_(rows, free_of, free_of)] = covariance[best] / unit
    matrix = correlation.reshape(m, n * n)
    status[rows], limiting[rows] = found_status[best], found_limiting[best]
    table[rows] = np.column_stack(
        [whole[best], stds[rows], matrix[rows], chi2[best], residual[best]]
    )
    table[status != Status.OK] = np.nan
    inside = count > 0
    low = np.where(inside, np.where(usable, lows, np.inf).min(axis=1), np.nan)
    high = np.where(inside, np.where(usable, highs, -np.inf).max(axis=1), np.nan)
    pieces = np.split(table, [n, 2 * n, 2 * n + n * n, -1], axis=1)
    shapes: list[tuple[int, ...]] = [(n,), (n,), (n, n), (), ()]
    numbers = [
        piece.reshape((*outer, *own)) for piece, own in zip(pieces, shapes, strict=True)
    ]
    others = (low, high, count, limiting, status)
    return (*numbers, *(column.reshape(outer) for column in others))


def _misses(
    left: np.ndarray, usable: np.ndarray, chi2: np.ndarray, free: Any, known: bool
) -> np.ndarray:
    """Return which fits leave more than noise; if unknown, as second differences."""
    if known:
        return np.asarray(chi2 > permitted(free))
    pack = Packed(usable)
    noise = np.nan_to_num(scatter(pack(left), pack.inside))
    most = permitted(free, np.maximum(usable.sum(axis=1) / 3, 1))
    return np.asarray(chi2 > most * np.square(noise))


def _starts(
    curve: Curve, chosen: Choices, x: np.ndarray, y: np.ndarray
) -> dict[tuple[float, ...], bool]:
    """Return where the fits of one curve start, and if without the user's values."""
    guess = curve.guess(x, y)
    several = [guess] if isinstance(guess, Mapping) else guess
    starts = [{**one, **chosen.start, **chosen.fixed} for one in several]
    if not starts or any(name not in one for one in starts for name in curve.names):
        raise QuantityError(
            f"the guess of a start returned {shown(guess)}",
            fix=f"return a value of each of {', '.join(curve.names)}",
        )
    # Those that the user's values make equal are one.
    values = {tuple(one[name] for name in curve.names): False for one in starts}
    for one in ({**guess, **chosen.fixed} for guess in several):
        if all(name in one for name in curve.names):
            values.setdefault(tuple(one[name] for name in curve.names), True)
    return values


class _Fit:
    """Curves of one model, fitted by those of its parameters that are not fixed."""

    def __init__(
        self,
        curve: Curve,
        chosen: Choices,
        x: np.ndarray,
        start: np.ndarray,
        at: list[int],
        usable: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
    ) -> None:
        self.curve, self.chosen, self.x, self.at = curve, chosen, x, at
        self.names = [curve.names[i] for i in at]
        self.usable, self.y, self.weight = usable, y, weight
        own = [chosen.bounds.get(p) or curve.limits.get(p) for p in self.names]
        limits = np.array([pair or (-np.inf, np.inf) for pair in own]).reshape(-1, 2)
        self.low, self.high = limits.T
        # Starts at a limit or outside are moved inside: at it a fit has no slope.
        begin = start[:, at]
        nearest = np.where(begin <= self.low, self.low, self.high)
        size = np.maximum(np.abs(begin), np.abs(nearest))
        step = 1e-3 * np.minimum(self.high - self.low, np.where(size > 0, size, 1.0))
        moved = np.clip(begin, self.low + step, self.high - step)
        within = (self.low < begin) & (begin < self.high)
        self.begin = np.where(within, begin, moved)
        self.start = start.copy()
        self.start[:, at] = self.begin
        self._function = None if curve.shape else curve.make()

    def curves(self, whole: np.ndarray, usable: np.ndarray) -> np.ndarray:
        """Return curves of all parameters (m, n); NaN where the model fails."""
        if self.curve.shape is not None:
            return self.curve.shape(self.x)(whole)[0]
        assert self._function is not None
        out = np.zeros(usable.shape)
        for row, own, used in zip(out, whole, usable, strict=True):
            try:
                row[used] = self._function(self.x[used], *own)
            except MemoryError:
                raise
            except Exception:  # of a function that is not ours, or an overflow
                row[:] = np.nan
        return out

    def solve(self, known: bool) -> tuple[Solutions, np.ndarray]:
        """Return the solutions, and all parameters of each, the fixed ones too."""
        stepped = self.curve.edge in self.names and len(self.y)
        found = self._with_step(known) if stepped else self._at_once(known)
        whole = self.start.copy()
        whole[:, self.at] = found.values
        return found, whole

    def _at_once(self, known: bool) -> Solutions:
        if self.curve.shape is None:
            arrays = (self.y, self.weight, self.begin)
            return solve_function(
                self._varied, *arrays, self.start, self.usable,
                known=known, low=self.low, high=self.high,
            )  # fmt: skip
        shape = self.curve.shape(self.x)

        def own(p: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, slopes = shape(self._whole(p, start))
            return value, slopes[self.at]

        return solve(
            own, self.y, self.weight, self.begin, self.start,
            known=known, low=self.low, high=self.high,
        )  # fmt: skip

    def _with_step(self, known: bool) -> Solutions:
        edge, parts = self.names.index(str(self.curve.edge)), []
        for i, used in enumerate(self.usable):

            def function(p: np.ndarray, i: int = i) -> np.ndarray:
                rows, at = np.full(len(p), i), self.usable[i]
                return self._varied(p, self.start[rows], self.usable[rows])[:, at]

            data = (self.x[used], self.y[i, used], self.weight[i, used], self.begin[i])
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

        def curve(p: np.ndarray, some: np.ndarray) -> np.ndarray:
            found = self._varied(p, start[some], usable[some]) * weight[some]
            return np.asarray(found)

        def least(i: int, some: np.ndarray, p: np.ndarray) -> np.ndarray:
            at, data = rows[some], (self.usable, self.y, self.weight)
            others = [k for k in self.at if k != self.at[i]]
            if [self.curve.names[k] for k in others] == [self.curve.edge]:
                return np.full(some.size, np.inf)  # a step alone makes no valley
            own = (self.curve, self.chosen, self.x, self._whole(p, start[some]), others)
            again, _ = _Fit(*own, *(one[at] for one in data)).solve(known)
            return np.asarray(again.chi2)

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

    def judge(
        self, found: Solutions, stds: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the status of each fit, and the parameter that limits it or ""."""
        failed = ~found.converged[:, None]
        lost = self._without_effect() & failed
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


def evaluate(model: Any, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return the values of an lmfit Model.

    Each of its variables is an array of its own, whatever the function does to it.
    """
    return np.asarray(
        model.eval(parameters, **{name: x.copy() for name in model.independent_vars})
    )
