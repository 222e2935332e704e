"""Fits of one model to plain data, for every combination of their other dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.independence import collapsed, independence, std_along, times_held
from xbp.core.status import (
    AT_BOUND,
    FAILED,
    NO_DATA,
    OK,
    STATUSES,
    TOO_FEW,
    UNDETERMINED,
)
from xbp.fitting.core import Shape, minimum, solve
from xbp.fitting.step import minimum_at_step

__all__ = [
    "Analytic",
    "Choices",
    "Fitted",
    "Guess",
    "evaluate",
    "fit_everywhere",
    "parameters_of",
]

Guess = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Choices:
    """Where to start, what to fix and within which bounds, in the units of the fit."""

    start: dict[str, float]
    fixed: dict[str, float]
    bounds: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Analytic:
    """A model with derivatives, of which `solve` fits many spectra at once.

    Attributes
    ----------
    shape : callable
        x → `Shape` of the parameters that are fitted.
    inward : callable
        Parameters of the model (m, n) → those that are fitted.
    outward : callable
        The inverse, with the derivatives of each by its own (m, n).
    """

    shape: Callable[[np.ndarray], Shape]
    inward: Callable[[np.ndarray], np.ndarray]
    outward: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Fitted:
    """Parameters (…, parameter), their stds and correlations, and the rest over (…)."""

    values: xr.DataArray
    stds: xr.DataArray
    correlation: xr.DataArray
    limiting: xr.DataArray
    chi2_reduced: xr.DataArray
    relative_residual: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray
    n_points: xr.DataArray
    status: xr.DataArray

    def columns(
        self,
        names: list[str],
        units: Mapping[str, str],
        x: tuple[str, str],
        known: bool,
    ) -> dict[str, tuple[Any, str, str]]:
        """Return the columns of a table; `x` is the dimension fitted along, in units.

        `known` is whether the data have errors: χ² has no scale without them.
        """
        table: dict[str, tuple[Any, str, str]] = {}
        for i, name in enumerate(names):
            unit, at = units.get(name, ""), {"parameter": i}
            table[name] = (self.values.isel(at, drop=True), unit, f"parameter {name}")
            label = f"standard deviation of {name}"
            table[f"{name}_std"] = (self.stds.isel(at, drop=True), unit, label)
        labels = {"parameter": names, "other_parameter": names}
        correlation = self.correlation.assign_coords(labels)
        limiting = xr.apply_ufunc(
            lambda places: np.array([*names, ""])[places.astype(int)],
            self.limiting,
            dask="parallelized",
            output_dtypes=[f"<U{max(map(len, names))}"],
        )
        table |= {
            "correlation": (correlation, "1", "correlation of the parameters"),
            "chi2_reduced": (self.chi2_reduced, "1", "reduced chi-squared of the fit"),
            "relative_residual": (
                self.relative_residual,
                "1",
                "rms residual of the fit over the data",
            ),
            f"{x[0]}_low": (self.low, x[1], f"lowest {x[0]} fitted"),
            f"{x[0]}_high": (self.high, x[1], f"highest {x[0]} fitted"),
            "n_points": (self.n_points, "1", "number of points fitted"),
            "status": (self.status, "", "whether the fit can be used"),
            "limiting_parameter": (
                limiting,
                "",
                "parameter at its bound, or undetermined",
            ),
        }
        if not known:
            del table["chi2_reduced"]
        return table


def fit_everywhere(
    value: xr.DataArray,
    std: xr.DataArray | None,
    dim: str,
    x: np.ndarray,
    model: Any,
    chosen: Choices,
    *,
    guess: Guess,
    relative: bool = False,
    step: str | None = None,
    analytic: Analytic | None = None,
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
    model : lmfit.Model
        The model.
    chosen : Choices
        What the user chose for its parameters.
    guess : callable
        (x, y) → where to start.
    relative : bool
        Residuals are relative to each point, not to the largest, and weigh so where
        there is no std.
    step : str, optional
        The parameter at whose x the model has a step.
    analytic : Analytic, optional
        The model with its derivatives: all spectra are then fitted at once, and one by
        one only those that this leaves undecided, or all if parameters have bounds or
        are fixed.

    Returns
    -------
    Fitted
    """
    n = len(parameters_of(model))
    if chosen.fixed or chosen.bounds or relative:
        analytic = None
    packed, code = xr.apply_ufunc(
        _fit_many,
        value,
        np.nan if std is None else std_along(std, dim),
        kwargs={
            "x": x, "model": model, "chosen": chosen, "guess": guess, "step": step,
            "relative": relative, "analytic": analytic,
        },
        input_core_dims=[[dim], [] if std is None else [dim]],
        output_core_dims=[["_number"], []],
        dask="parallelized",
        output_dtypes=[float, int],
        dask_gufunc_kwargs={
            "output_sizes": {"_number": 2 * n + n * n + 6},
            "allow_rechunk": True,
        },
    )  # fmt: skip
    extra = [c for c in packed.coords if c not in packed.dims and packed[c].ndim]
    numbers = packed.drop_vars(extra).assign_coords(collapsed(value, dim))

    def part(first: int, last: int, name: str = "parameter") -> xr.DataArray:
        piece: xr.DataArray = numbers.isel(_number=slice(first, last))
        return piece.rename(_number=name)

    rows = [part((i + 2) * n, (i + 3) * n, "other_parameter") for i in range(n)]
    correlation = xr.concat(rows, dim="parameter").transpose(
        ..., "parameter", "other_parameter"
    )
    limiting, chi2, residual, low, high, count = (
        numbers.isel(_number=i) for i in range(-6, 0)
    )
    values, stds = part(0, n), part(n, 2 * n)
    f = independence(value, dim)
    if f is not None:
        # Bins that share counts are fractions of an independent one.
        at = xr.DataArray(x, dims=dim)
        used = value.notnull() & (at >= low) & (at <= high)
        used = used if std is None else used & std.notnull()
        factor, enough = times_held(f, used, dim, n - len(chosen.fixed))
        refused = (code == STATUSES.index(OK)) & ~enough
        code = code.where(~refused, STATUSES.index(TOO_FEW)).astype(code.dtype)
        stds = stds if std is not None else stds * factor**0.5
        values, stds, correlation, chi2, residual = (
            each.where(~refused)
            for each in (values, stds, correlation, chi2 * factor, residual)
        )
    status = xr.apply_ufunc(
        lambda codes: np.array(STATUSES)[codes],
        code,
        dask="parallelized",
        output_dtypes=["<U18"],
    )
    return Fitted(
        values, stds, correlation, limiting, chi2, residual, low, high, count, status
    )


@np.errstate(all="ignore")  # what overflows has a status
def _fit_many(
    value: np.ndarray,
    std: np.ndarray,
    *,
    x: np.ndarray,
    model: Any,
    chosen: Choices,
    guess: Guess,
    relative: bool,
    step: str | None,
    analytic: Analytic | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit spectra (…, k): a row (…, 2n + n² + 6) of numbers each, and statuses (…).

    A row has parameters, stds, correlations, the place of the limiting parameter (-1:
    none), reduced χ², relative residual, lowest and highest x, and number of points.
    """
    std = np.asarray(std)
    outer = np.broadcast_shapes(value.shape[:-1], std.shape[:-1])
    n = len(parameters_of(model))
    ys = np.broadcast_to(value, (*outer, x.size)).reshape(-1, x.size).astype(float)
    stds = np.broadcast_to(std, (*outer, x.size)).reshape(ys.shape).astype(float)
    known = bool(std.ndim)
    # The squares of what is beyond are no numbers.
    usable, weights = np.abs(ys) < 1e150, np.ones(ys.shape)
    if known or relative:
        errors = stds if known else ys
        usable &= (errors > 1e-150) & (errors < 1e150)
        weights = 1 / np.where(usable, errors, 1.0)
    table = np.full((len(ys), 2 * n + n * n + 6), np.nan)
    codes = np.full(len(ys), -1)
    count = usable.sum(axis=1)
    table[:, -6], table[:, -1] = -1, count
    table[:, -3] = np.where(count > 0, np.where(usable, x, np.inf).min(axis=1), np.nan)
    table[:, -2] = np.where(count > 0, np.where(usable, x, -np.inf).max(axis=1), np.nan)
    codes[count <= n - len(chosen.fixed)] = STATUSES.index(TOO_FEW)
    codes[count == 0] = STATUSES.index(NO_DATA)
    starts = {
        i: guess(x[usable[i]], ys[i, usable[i]]) | chosen.start | chosen.fixed
        for i in np.flatnonzero(codes < 0).tolist()
    }
    if analytic is not None and starts:
        _solve_many(table, codes, analytic, x, ys, usable, weights, starts, known)
    for i in np.flatnonzero(codes < 0).tolist():
        at, parameters = usable[i], _lmfit_parameters(model, chosen, starts[i])
        row, status = _fit_one(
            x[at],
            ys[i, at],
            weights[i, at],
            model,
            chosen,
            parameters,
            known,
            relative,
            step,
        )
        table[i, : len(row)], codes[i] = row, STATUSES.index(status)
    return table.reshape(*outer, -1), codes.reshape(outer)


def _solve_many(
    table: np.ndarray,
    codes: np.ndarray,
    analytic: Analytic,
    x: np.ndarray,
    ys: np.ndarray,
    usable: np.ndarray,
    weights: np.ndarray,
    starts: Mapping[int, Mapping[str, float]],
    known: bool,
) -> None:
    """Fit at once, and fill in the rows whose result leaves no doubt."""
    rows = np.array(list(starts))
    start = np.array([list(starts[i].values()) for i in rows], dtype=float)
    y, at, n = np.where(usable, ys, 0.0)[rows], usable[rows], start.shape[1]
    weight = np.where(usable, weights, 0.0)[rows]
    found = solve(analytic.shape(x), y, weight, analytic.inward(start), known=known)
    values, slopes = analytic.outward(found.values)
    chi2 = found.chi2 / (at.sum(axis=1) - n)
    scale = 1.0 if known else chi2
    covariance = found.covariance * slopes[:, :, None] * slopes[:, None, :]
    unit = np.sqrt(covariance[:, range(n), range(n)])
    correlation = covariance / (unit[:, :, None] * unit[:, None, :])
    stds = unit * np.sqrt(scale)[..., None] if not known else unit
    curve, _ = analytic.shape(x)(found.values)
    left = np.where(at, curve - y, 0.0) / np.abs(y).max(axis=1, keepdims=True)
    residual = np.sqrt((left**2).sum(axis=1) / (at & (y != 0)).sum(axis=1))
    numbers = np.column_stack(
        [
            values, stds, correlation.reshape(len(rows), -1),
            np.full(len(rows), -1.0), chi2, residual,
        ]
    )  # fmt: skip
    # Undetermined parameters and those near a limit are left to a fit of their own.
    sure = found.converged & np.isfinite(numbers).all(axis=1)
    sure &= (stds < 0.3 * np.abs(values)).all(axis=1) & (values[:, 2] > 0)
    table[rows[sure], : numbers.shape[1]] = numbers[sure]
    codes[rows[sure]] = STATUSES.index(OK)


def _fit_one(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    model: Any,
    chosen: Choices,
    parameters: Any,
    known: bool,
    relative: bool,
    step: str | None,
) -> tuple[list[float], str]:
    """Fit one spectrum: the beginning of its row in `_fit_many`, and its status."""
    names = parameters_of(model)
    n = len(names)
    nothing = [np.nan] * (2 * n + n * n)
    varied = [name for name in names if parameters[name].vary]
    at = [names.index(name) for name in varied]
    start, low, high = (
        np.array([getattr(parameters[name], what) for name in varied])
        for what in ("value", "min", "max")
    )
    size = float(np.sqrt(np.mean((y * weight) ** 2))) or float(np.abs(weight).mean())

    def residual(values: np.ndarray) -> np.ndarray:
        for name, value in zip(varied, values, strict=True):
            parameters[name].value = value
        return np.asarray((evaluate(model, parameters, x) - y) * weight)

    try:
        if step in varied:
            found = minimum_at_step(
                residual, start, low, high,
                edge=varied.index(step), x=x, size=size, known=known,
            )  # fmt: skip
        else:
            found = minimum(residual, start, low, high, size=size, known=known)
    except MemoryError:
        raise
    except Exception:
        # of a function that is not ours, or because the model overflows
        found = None
    if found is None:
        return nothing, FAILED
    for limits, status in ((found.at_bound, AT_BOUND), (found.vague, UNDETERMINED)):
        if limits.any():
            return [*nothing, at[int(np.argmax(limits))]], status
    values, stds, correlation = np.zeros(n), np.zeros(n), np.eye(n)
    values[:] = [chosen.fixed.get(name, np.nan) for name in names]
    values[at], stds[at] = found.values, np.sqrt(np.diag(found.covariance))
    correlation[np.ix_(at, at)] = found.covariance / np.outer(stds[at], stds[at])
    chi2 = float((found.residual**2).sum() / (x.size - len(varied)))
    left, shown_at = found.residual / weight, y != 0
    part = left[shown_at] / y[shown_at] if relative else left / (np.abs(y).max() or 1.0)
    row = [*values, *stds, *correlation.ravel(), -1, chi2, np.sqrt(np.mean(part**2))]
    if not np.isfinite(row).all():
        return nothing, FAILED
    # An error a thousand times a parameter and its start: the data do not depend on it.
    # The guess of one that may be zero does not show its size; the user's start does.
    sizes = np.abs([chosen.start.get(name, 0.0) for name in varied])
    larger = 1e3 * np.maximum(np.abs(found.values), np.abs(start))
    most = np.where(low >= 0, larger, 1e6 * sizes)
    astray = (stds[at] > np.maximum(most, np.abs(found.values))) & (most > 0)
    if astray.any():
        return [*nothing, at[int(np.argmax(astray))]], UNDETERMINED
    return row, OK


def _lmfit_parameters(model: Any, chosen: Choices, start: Mapping[str, float]) -> Any:
    """Return lmfit Parameters with start, bounds and fixed values."""
    parameters = model.make_params()
    for name in parameters_of(model):
        p = parameters[name]
        low, high = chosen.bounds.get(name, (p.min, p.max))
        if name in chosen.fixed:
            p.set(value=chosen.fixed[name], min=-np.inf, max=np.inf, vary=False)
            continue
        # A guess at a bound or outside is moved inside: at it a fit has no slope.
        value = start.get(name, p.value)
        if not low < value < high:
            size = max(abs(value), abs(low if value <= low else high)) or 1.0
            inside = 1e-3 * min(high - low, size)
            value = float(np.clip(value, low + inside, high - inside))
        p.set(value=value, min=low, max=high)
    return parameters


def evaluate(model: Any, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return the values of an lmfit Model.

    Each of its variables is an array of its own, whatever the function does to it.
    """
    return np.asarray(
        model.eval(parameters, **{name: x.copy() for name in model.independent_vars})
    )


def parameters_of(model: Any) -> list[str]:
    """Return the parameters of an lmfit Model that do not follow from others."""
    return [str(name) for name, p in model.make_params().items() if not p.expr]
