"""Fits of any model to any signal, over all its leftover dimensions at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.errors import QuantityError, RangeError, XbpError
from xbp.grid import select_range
from xbp.models.catalogue import find_model, lmfit_model, parameter_units
from xbp.peaks.parameters import (
    Choices,
    choices,
    lmfit_parameters,
    parameters_of,
    require_columns,
    require_within,
)
from xbp.peaks.search import WEIGHABLE
from xbp.signal import read, result_table
from xbp.status import AT_BOUND, FAILED, NO_DATA, OK, STATUSES, TOO_FEW, UNDETERMINED
from xbp.units import convert_factor

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["Fitted", "fit", "fit_everywhere"]

# A fit that finds its minimum has found it by then.
_MAX_CALLS = 5000
# A parameter this close to a limit, relative to where it started, is at it: its error means nothing.
_AT_LIMIT = 1e-5
# An error this many times the parameter and its start says that the data do not depend on it: the fit went astray.
_ASTRAY = 1e3
# Above this correlation two parameters are one.
_ONE_SUM = 1 - 1e-10

# Place of the limiting parameter (-1: none), reduced χ², relative residual, lowest and highest x, number of points:
# what `Fitted` holds beside the parameters.
_OTHERS = 6

Guess = Callable[[np.ndarray, np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Fitted:
    """Parameters (…, parameter), their stds, correlations (…, parameter, parameter), and the rest over (…)."""

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
        self, names: list[str], units: Mapping[str, str], x: tuple[str, str], known: bool
    ) -> dict[str, tuple[Any, str, str]]:
        """Return the columns of a table of results; `x` is the dimension fitted along and its units."""
        table: dict[str, tuple[Any, str, str]] = {}
        for i, name in enumerate(names):
            for suffix, array in (("", self.values), ("_std", self.stds)):
                label = f"standard deviation of {name}" if suffix else f"parameter {name}"
                table[f"{name}{suffix}"] = (array.isel(parameter=i, drop=True), units.get(name, ""), label)
        labels = {"parameter": names, "other_parameter": names}
        table["correlation"] = (self.correlation.assign_coords(labels), "1", "correlation of the parameters")
        if known:
            # Without known errors χ² has no scale to be judged by.
            table["chi2_reduced"] = (self.chi2_reduced, "1", "reduced chi-squared of the fit")
        table["relative_residual"] = (self.relative_residual, "1", "rms residual of the fit over the data")
        table[f"{x[0]}_low"] = (self.low, x[1], f"lowest {x[0]} fitted")
        table[f"{x[0]}_high"] = (self.high, x[1], f"highest {x[0]} fitted")
        table["n_points"] = (self.n_points, "1", "number of points fitted")
        table["status"] = (self.status, "", "whether the fit can be used")
        limiting = xr.apply_ufunc(
            lambda places: np.array([*names, ""])[places.astype(int)],
            self.limiting,
            dask="parallelized",
            output_dtypes=[f"<U{max(map(len, names))}"],
        )
        table["limiting_parameter"] = (limiting, "", "parameter at its bound, or undetermined")
        return table


def fit(
    data: xr.DataArray | xr.Dataset,
    model: Any,
    dim: str | None = None,
    *,
    x_range: Any = None,
    start: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Fit a model along one dimension, once for every combination of the others.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal. A Dataset's std weighs the points and sets the scale of the errors (points with a std of 0 or NaN
        are left out); without one, all weigh the same and the scatter about the fit sets the scale. In numpy the
        fits run one after the other, in dask chunks beside one another.
    model : str, lmfit.Model or callable
        A name of `xbp.models.MODELS`, any lmfit Model (composite ones too), or a function whose first argument is
        the coordinate.
    dim : str, optional
        Dimension to fit along; by default E, or the only one.
    x_range : pair of scalars with units, optional
        Range of `dim` to fit.
    start : mapping of str to scalar with units, optional
        Values to start from, for any of the parameters. Models of xbp find their own; others need them.
    fixed : mapping of str to scalar with units, optional
        Parameters held at a value.
    bounds : mapping of str to pair of scalars with units, optional
        Limits of parameters; None where there is none.

    Returns
    -------
    xarray.Dataset
        Every parameter with its ``_std`` (0 where fixed), in the units that follow from the data's for models of xbp
        (others have no units); ``correlation``; ``chi2_reduced`` where errors are known;
        ``relative_residual``, the rms of what the fit leaves of the points over the largest of them; the range fitted,
        ``<dim>_low``, ``<dim>_high``, ``n_points``; ``status``: "ok", "no data", "too few points", "parameter at
        bound", "undetermined" (an error a thousand times the parameter: start nearer) or "fit failed", the numbers
        being NaN wherever it is not "ok"; ``limiting_parameter``, the one that is at its bound or undetermined.
        Neighbouring points are taken as independent.

    Raises
    ------
    QuantityError
        If there is no such model or parameter, a start is missing, or a value is outside its bounds.
    RangeError
        If the data have no such dimension, or the range holds no data.
    UnitsError
        If a value has the wrong units.

    References
    ----------
    M. Newville et al., LMFIT (2014), doi:10.5281/zenodo.11813.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> B = xbp.models.evaluate("lognormal", np.linspace(1, 20, 50), energy="5.5 meV", height=2, sigma=0.6)
    >>> result = B.bp.fit("lognormal", x_range=("2 meV", "15 meV"), fixed={"sigma": 0.6})
    >>> str(result.status.values), round(float(result.energy), 6), result.energy.attrs["units"]
    ('ok', 5.5, 'meV')
    """
    signal = read(data)
    value = signal.value
    along = dim or ("E" if "E" in value.dims else str(value.dims[0]) if value.ndim == 1 else None)
    if along is None or along not in value.dims:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}, dim={dim!r}",
            reason="a fit goes along one of them",
            fix="say which: dim='E'",
        )
    if along not in value.coords or "units" not in value[along].attrs:
        raise RangeError(
            f"dimension '{along}' has no coordinate with units",
            reason="the model is a function of it",
            fix=f"data = data.assign_coords({along}=('{along}', values, {{'units': '...'}}))",
        )
    row = find_model(model) if isinstance(model, str) else None
    worker = _worker(model)
    names = parameters_of(worker)
    x_units, units, x_factor, y_factor = str(value[along].attrs["units"]), dict[str, str](), 1.0, 1.0
    own_x = x_units
    if row is not None:
        own_x, own_y = row.x_units or x_units, row.y_units or signal.units
        x_factor = convert_factor(x_units, own_x, name=f"coordinate '{along}'", energy=along == "E")
        y_factor = convert_factor(signal.units, own_y, name=f"'{value.name}'")
        units = parameter_units(row, own_x, own_y)
    chosen = choices(names, units, start, fixed, bounds, row)
    require_columns(names, along, value)
    require_within(worker, chosen)
    mask = select_range(signal.source, along, x_range, name="x_range")
    name = model if isinstance(model, str) else worker.name
    x = value[along].values[mask].astype(float) * x_factor
    guess = _guess_of(model, worker, names, chosen)
    if not isinstance(model, str):
        _require_curve(worker, x, guess(x, x) | chosen.start | chosen.fixed)
    fitted = fit_everywhere(
        value.isel({along: mask}) * y_factor,
        None if signal.std is None else signal.std.isel({along: mask}) * y_factor,
        along,
        x,
        worker,
        chosen,
        guess=guess,
    )
    answer: xr.Dataset = result_table(
        signal,
        fitted.columns(names, units, (along, own_x), signal.std is not None),
        quantity="fit",
        operation="fit",
        arguments={
            "model": name, "dim": along, "x_range": x_range, "start": start, "fixed": fixed, "bounds": bounds,
        },
        attrs={"model": name},
    )  # fmt: skip
    return answer


def _worker(model: Any) -> Any:
    """Return the model as an lmfit Model."""
    if isinstance(model, str):
        return lmfit_model(model)
    if not isinstance(model, lmfit.Model) and not callable(model):
        raise QuantityError(
            f"model={model!r} is no model",
            reason="it is neither a name, nor an lmfit.Model, nor a function",
            fix="model='lognormal', or a function like lambda E, a, b: a + b * E",
        )
    try:
        worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    except (TypeError, ValueError, IndexError) as error:
        raise QuantityError(
            f"model={model!r} is no model", reason=str(error), fix="a function like lambda E, a, b: a + b * E"
        ) from error
    # The parts of a sum may each call the one variable by a name of their own.
    summed = isinstance(worker, lmfit.CompositeModel)
    if (len(worker.independent_vars) != 1 and not summed) or not worker.param_names:
        raise QuantityError(
            f"the model has the independent variables {worker.independent_vars}, parameters {worker.param_names}",
            reason="a curve has one variable, and something to fit",
            fix="lmfit.Model(function, independent_vars=['E'])",
        )
    return worker


def _require_curve(worker: Any, x: np.ndarray, start: Mapping[str, float]) -> None:
    """Call a model that is not ours once, and refuse what is no curve."""
    parameters = worker.make_params(**{name: float(value) for name, value in start.items()})
    try:
        with np.errstate(all="ignore"):
            y = np.asarray(worker.eval(parameters, **dict.fromkeys(worker.independent_vars, x)))
        if y.dtype.kind not in "fiu" or y.shape not in ((), x.shape):
            raise TypeError(f"it returns {y.dtype} of the shape {y.shape} for {x.size} points")
    except Exception as error:  # of a function that is not ours
        raise QuantityError(
            f"the model {worker.name} failed: {type(error).__name__}: {error}",
            reason="it is called with the whole coordinate as one array, and returns as many real numbers",
            fix="a function like lambda E, a, b: a + b * E",
        ) from error


def _guess_of(model: Any, worker: Any, names: list[str], chosen: Choices) -> Guess:
    """Return what finds the start of a model: its own guess, or the defaults of the function and what is given."""
    if isinstance(model, str):
        return find_model(model).guess
    made = worker.make_params()
    defaults = {name: float(made[name].value) for name in names if np.isfinite(made[name].value)}
    missing = [name for name in names if name not in defaults | chosen.start | chosen.fixed]
    if missing:
        raise QuantityError(
            f"no start is given for {', '.join(missing)}",
            reason="xbp does not know this model and cannot guess it",
            fix=f"start={{'{missing[0]}': 1.0}}",
        )
    return lambda x, y: defaults


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
) -> Fitted:
    """Fit an lmfit Model along one dimension of plain data, for every combination of the others.

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
        What the user said of its parameters.
    guess : callable
        (x, y) → where to start.
    relative : bool
        Residuals are relative to each point, not to the largest, and weigh so where there is no std.

    Returns
    -------
    Fitted
    """
    n = len(parameters_of(model))
    packed, code = xr.apply_ufunc(
        _fit_one,
        value,
        np.nan if std is None else std,
        kwargs={"x": x, "model": model, "chosen": chosen, "guess": guess, "relative": relative},
        input_core_dims=[[dim], [] if std is None else [dim]],
        output_core_dims=[["_number"], []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float, int],
        dask_gufunc_kwargs={"output_sizes": {"_number": 2 * n + n * n + _OTHERS}, "allow_rechunk": True},
    )
    numbers = packed.drop_vars([c for c in packed.coords if c not in packed.dims and packed[c].ndim])

    def part(first: int, last: int) -> xr.DataArray:
        piece: xr.DataArray = numbers.isel(_number=slice(first, last)).rename(_number="parameter")
        return piece

    square = [part(2 * n + i * n, 2 * n + (i + 1) * n).rename(parameter="other_parameter") for i in range(n)]
    limiting, chi2, residual, low, high, count = (numbers.isel(_number=i) for i in range(-_OTHERS, 0))
    correlation = xr.concat(square, dim="parameter").transpose(..., "parameter", "other_parameter")
    status = xr.apply_ufunc(lambda codes: np.array(STATUSES)[codes], code, dask="parallelized", output_dtypes=["<U18"])
    return Fitted(part(0, n), part(n, 2 * n), correlation, limiting, chi2, residual, low, high, count, status)


@np.errstate(all="ignore")  # what overflows has a status
def _fit_one(
    y: np.ndarray, std: np.ndarray, *, x: np.ndarray, model: Any, chosen: Choices, guess: Guess, relative: bool
) -> tuple[np.ndarray, int]:
    """Return parameters, stds, correlations and the `_OTHERS` of `Fitted` as one row, and the status."""
    names = parameters_of(model)
    n = len(names)
    row = np.full(2 * n + n * n + _OTHERS, np.nan)
    y, std = y.astype(float), std.astype(float)
    usable = np.abs(y) < WEIGHABLE[1]
    weight = np.ones(y.size)
    smallest, largest = WEIGHABLE
    if std.ndim:
        usable &= (std > smallest) & (std < largest)
        weight = 1 / np.where(usable, std, 1.0)
    elif relative:
        usable &= (y > smallest) & (y < largest)
        weight = 1 / np.where(usable, y, 1.0)
    x, y, weight = x[usable], y[usable], weight[usable]
    row[-1], row[-_OTHERS] = x.size, -1
    if x.size:
        row[-3:-1] = x.min(), x.max()
    free = n - len(chosen.fixed)
    if x.size <= free:
        return row, STATUSES.index(NO_DATA if x.size == 0 else TOO_FEW)
    parameters = lmfit_parameters(model, chosen, guess(x, y) | chosen.start | chosen.fixed)
    begin = {name: parameters[name].value for name in names}
    variables = dict.fromkeys(model.independent_vars, x)

    def residual(p: Any) -> np.ndarray:
        return np.asarray((model.eval(p, **variables) - y) * weight)

    varied = [name for name in parameters if parameters[name].vary]
    best: Any = parameters
    covariance: Any = np.zeros((0, 0))
    # lmfit warns where it stops early; here that is a status.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if varied:
                result = lmfit.minimize(residual, parameters, scale_covar=False, max_nfev=_MAX_CALLS)
                best, covariance = result.params, getattr(result, "covar", None) if result.success else None
            misfit = residual(best)
        except (ValueError, FloatingPointError, ZeroDivisionError, OverflowError, XbpError):
            # It ran off to where the model overflows.
            return row, STATUSES.index(FAILED)
    for name in varied:
        near = _AT_LIMIT * max(abs(begin[name]), 1e-300)
        if min(best[name].value - best[name].min, best[name].max - best[name].value) <= near:
            row[-_OTHERS] = names.index(name)
            return row, STATUSES.index(AT_BOUND)
    if covariance is None or not (np.diag(covariance) > 0).all():
        return row, STATUSES.index(FAILED)
    chi2 = float((misfit**2).sum() / (x.size - free))
    at = [names.index(name) for name in varied]
    stds, correlation = np.zeros(n), np.eye(n)
    stds[at] = np.sqrt(np.diag(covariance))
    correlation[np.ix_(at, at)] = covariance / np.outer(stds[at], stds[at])
    # Without known errors the scatter about the fit stands for them.
    stds *= 1.0 if std.ndim else np.sqrt(chi2)
    values = np.array([best[name].value for name in names])
    left = misfit / weight
    shown = y != 0
    residual_size = left[shown] / y[shown] if relative else left / (np.abs(y).max() or 1.0)
    found = [*values, *stds, *correlation.ravel(), -1, chi2, np.sqrt(np.mean(residual_size**2))]
    if not np.isfinite(found).all():
        return row, STATUSES.index(FAILED)
    # Two parameters of which the data fix one sum; and such as have no influence. One that may be zero, as gamma is in
    # an insulator, may have any error beside its value.
    astray = (np.abs(correlation - np.eye(n)) > _ONE_SUM).any(axis=0) | np.array(
        [best[n].min >= 0 and s > _ASTRAY * max(v, begin[n]) for n, v, s in zip(names, values, stds, strict=True)]
    )
    if astray.any():
        row[-_OTHERS] = int(np.argmax(astray))
        return row, STATUSES.index(UNDETERMINED)
    row[: len(found)] = found
    return row, STATUSES.index(OK)
