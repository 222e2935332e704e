"""Fits of one model to plain data, for every combination of their other dimensions."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, shown
from xbp.core.independence import (
    collapsed,
    independence,
    merged_bins,
    std_along,
    width_of_merged,
)
from xbp.core.signal import map_over
from xbp.core.status import FIT_LABELS, Status
from xbp.fitting.core import Solutions, permitted
from xbp.fitting.problem import Choices, Curve, Problem
from xbp.fitting.rows import Packed, scatter

__all__ = ["Column", "Fitted", "evaluate", "fit_everywhere"]


#: Array, units and long name of a column of a table.
Column = tuple[Any, str, str]


class Fitted(NamedTuple):
    """What `fit_everywhere` finds.

    Attributes
    ----------
    columns : dict
        Of the table of results, as for `result_table`; `chi2_reduced` only where errors
        are known.
    coords : dict
        Coordinates of the table that the data do not have.
    chi2 : xarray.Variable
        The least χ² of every fit that has ended, whatever its status: of residuals over
        the errors, or where these are not known over what weighs the points.
    """

    columns: dict[str, Column]
    coords: dict[Hashable, xr.Variable]
    chi2: Any


def fit_everywhere(
    value: xr.DataArray,
    std: xr.DataArray | None,
    dim: str,
    x: np.ndarray,
    curve: Curve,
    chosen: Choices,
    units: Mapping[str, str],
    *,
    half: np.ndarray | None = None,
    relative: bool = False,
) -> Fitted:
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
    half : numpy.ndarray, optional
        Half the widths of the bins over which the data are means; 0 of points.
    relative : bool
        Residuals are relative to each point, not to the largest, and so are the weights
        of data without std.

    Returns
    -------
    Fitted
    """
    names, f = list(curve.names), independence(value, dim)
    answers = map_over(
        _fit_many,
        value.variable,
        np.nan if std is None else std_along(std, dim).variable,
        1.0 if f is None else f,
        dims=dim,
        gives=[["parameter"]] * 2 + [["parameter", "other_parameter"]] + [[]] * 8,
        dtypes=[float] * 8 + [f"<U{max(map(len, names))}", "<U18", float],
        sizes={"parameter": len(names), "other_parameter": len(names)},
        x=x,
        curve=curve,
        chosen=chosen,
        half=np.zeros(x.size) if half is None else half,
        relative=relative,
    )
    values, stds, *rest, chi2 = answers
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
    return Fitted(columns, coords, chi2)


@np.errstate(all="ignore")  # what overflows has a status
def _fit_many(
    value: np.ndarray,
    std: np.ndarray,
    part: np.ndarray,
    *,
    x: np.ndarray,
    curve: Curve,
    chosen: Choices,
    half: np.ndarray,
    relative: bool,
) -> tuple[np.ndarray, ...]:
    """Fit curves (…, k): the columns of `fit_everywhere` and χ², over (…).

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
    half = width_of_merged(half, mean, error)
    m, n, known = len(ys), len(curve.names), bool(std.ndim)
    # The squares of others overflow.
    usable, weights = np.abs(ys) < 1e150, np.ones(ys.shape)
    if known or relative:
        errors = stds if known else ys
        usable &= (errors > 1e-150) & (errors < 1e150)
        weights = 1 / errors
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
    data = (usable[rows], ys[rows], weights[rows])
    fit = Problem(curve, chosen, x, half, start, at, *data)
    found, whole = fit.solve(known)
    chi2, covariance, errors = found.errors(free[rows], known)
    left = np.where(usable[rows], fit.curves(whole, usable[rows]), 0.0) - ys[rows]
    top = np.abs(ys[rows])
    if not relative:  # to the largest value, or that of the curve beside zeros
        top = top.max(1, keepdims=True)
        top = np.where(top > 0, top, np.abs(left).max(1, keepdims=True))
    share = left / np.where(top > 0, top, np.inf)
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
    every = rows
    rows, best = np.unique(rows[order], return_index=True)
    best = order[best]
    good = found_status == Status.OK
    ok = best[good[best]]
    covariance[ok], bent = fit.stretched(ok, found, covariance, known)
    chosen_fit = best[np.searchsorted(rows, every)]
    _add_other_minima(covariance, found, chosen_fit, good, noise)
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
    least = np.full(m, np.nan)
    least[rows] = np.where(found.converged[best], found.chi2[best], np.nan)
    inside = count > 0
    low = np.where(inside, np.where(usable, lows, np.inf).min(axis=1), np.nan)
    high = np.where(inside, np.where(usable, highs, -np.inf).max(axis=1), np.nan)
    pieces = np.split(table, [n, 2 * n, 2 * n + n * n, -1], axis=1)
    shapes: list[tuple[int, ...]] = [(n,), (n,), (n, n), (), ()]
    numbers = [
        piece.reshape((*outer, *own)) for piece, own in zip(pieces, shapes, strict=True)
    ]
    others = (low, high, count, limiting, status, least)
    return (*numbers, *(column.reshape(outer) for column in others))


def _add_other_minima(
    covariance: np.ndarray,
    found: Solutions,
    best: np.ndarray,
    good: np.ndarray,
    noise: np.ndarray | float,
) -> None:
    """Let covariances of the best fits contain other minima that noise allows.

    A minimum counts by exp(−Δχ²/2), once, however many fits end in it.

    Parameters
    ----------
    covariance : numpy.ndarray, shape (m, n, n)
        Changed in place.
    found : Solutions
    best : numpy.ndarray of int, shape (m,)
        The best fit of the same data.
    good : numpy.ndarray of bool, shape (m,)
        Which fits count.
    noise : float or numpy.ndarray, shape (m,)
        χ² of one degree of freedom.
    """
    apart = found.values - found.values[best]
    error = np.sqrt(np.einsum("mii->mi", covariance))[best]
    share = np.exp(-np.maximum(found.chi2 - found.chi2[best], 0.0) / noise / 2)
    # What is less is one minimum, up to where the fits ended.
    counts = good & good[best] & (np.abs(apart) > error).any(axis=1) & (share > 1e-6)
    for at in np.unique(best[counts]):
        total, mean = 1.0, covariance[at].copy()
        seen: list[np.ndarray] = []
        for k in np.flatnonzero(counts & (best == at)):
            if any((np.abs(apart[k] - one) < error[k]).all() for one in seen):
                continue
            seen.append(apart[k])
            total += share[k]
            mean += share[k] * (covariance[k] + np.outer(apart[k], apart[k]))
        covariance[at] = mean / total


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
            f"guess= of the model returned {shown(guess)}, not all start values",
            fix=f"return a dict with {', '.join(curve.names)}",
        )
    # Those that the user's values make equal are one.
    values = {tuple(one[name] for name in curve.names): False for one in starts}
    for one in ({**guess, **chosen.fixed} for guess in several):
        if all(name in one for name in curve.names):
            values.setdefault(tuple(one[name] for name in curve.names), True)
    return values


def evaluate(model: Any, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return the values of an lmfit Model.

    Each of its variables is an array of its own, whatever the function does to it.
    """
    return np.asarray(
        model.eval(parameters, **{name: x.copy() for name in model.independent_vars})
    )
