"""Fits of any model to any signal, over all remaining dimensions at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of
from xbp.core.errors import QuantityError, RangeError, shown
from xbp.core.grid import is_pair, select_range
from xbp.core.guards import require_keys, require_number
from xbp.core.history import range_used
from xbp.core.operation import operation
from xbp.core.signal import read, result_table
from xbp.core.units import (
    convert_factor,
    is_energy_like,
    magnitude,
    parse_unit,
    split_quantity,
)
from xbp.fitting.core import Shape
from xbp.fitting.many import evaluate, fit_everywhere
from xbp.fitting.over_bins import halves_of_bins, mean_over_bins
from xbp.fitting.problem import Choices, Curve
from xbp.fitting.sampled import with_counting
from xbp.fitting.shapes import gaussian_on_line
from xbp.models.catalogue import LARGEST, find_model
from xbp.models.debye_einstein import debye_einstein
from xbp.models.disorder import (
    heterogeneous_elasticity_dos,
    heterogeneous_elasticity_slopes,
)
from xbp.models.lineshapes import gaussian, lognormal
from xbp.models.model import Guess, Model, parameter_units
from xbp.models.slopes import debye_einstein_slopes

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["choices", "fit", "named_curve"]

#: Curves that are computed together by functions that need much memory for each.
_CURVES = 50


def _lognormal(x: np.ndarray) -> Shape:
    """Return `lognormal` with its derivatives."""
    log_x = np.log(np.where(x > 0, x, 1.0))

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, height, sigma = p.T[:, :, None]
        u = (log_x - np.log(energy)) / sigma
        one = np.exp(-u * u / 2) * (x > 0)
        value = height * one
        slopes = np.empty((3, *value.shape))
        slopes[1] = one
        along = value * u
        along /= sigma
        np.divide(along, energy, out=slopes[0])
        np.multiply(along, u, out=slopes[2])
        return value, slopes

    return shape


def _in_parts(
    function: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> Callable[[np.ndarray], Shape]:
    """Return the shape of a function of columns, which needs much memory for each."""

    def shape_of(x: np.ndarray) -> Shape:
        def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            parts = [
                function(x, *p[i : i + _CURVES].T[:, :, None])
                for i in range(0, max(len(p), 1), _CURVES)
            ]
            values, slopes = zip(*parts, strict=True)
            return np.concatenate(values), np.concatenate(slopes, axis=1)

        return shape

    return shape_of


#: Means over bins with derivatives; a model of another quantity is another function.
_SHAPES = {
    lognormal: mean_over_bins(_lognormal),
    gaussian: gaussian_on_line,
    heterogeneous_elasticity_dos: mean_over_bins(
        _in_parts(heterogeneous_elasticity_slopes)
    ),
    debye_einstein: mean_over_bins(_in_parts(debye_einstein_slopes)),
}


@operation(
    takes="signal",
    gives="fit",
    step=40,
    suggested=(
        "dynamic_structure_factor",
        "vibrational_dos",
        "static_structure_factor",
        "radial_distribution",
        "reduced_heat_capacity",
    ),
)
@carries_common_errors()
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
        Any signal. Where it has bounds of its bins along `dim`, means of the model over
        these are fitted. A Dataset's std weighs the points and sets the scale of the
        errors, which are √(χ²/ν) times larger above χ²/ν = 10 (points with a std of NaN
        are left out; one of 0 beside others is a bin without counts, and has the error
        of one; that of a simulated g(E) or B is at least the counting error of the
        modes of its box, as in `boson_peak`); without one, all weigh the same (of
        ``debye_einstein``, relative to their values) and the scatter about the fit sets
        the scale. In numpy the fits run one after the other, in dask chunks beside one
        another.
    model : str, Model, lmfit.Model or callable
        A name of `xbp.models.MODELS`, such as "lognormal", or a Model made of them, any
        lmfit Model (composite ones too), or a function whose first argument is the
        coordinate.
    dim : str, optional
        Dimension to fit along; by default E, or the only one.
    x_range : pair of scalars with units, optional
        Range of `dim` to fit.
    start : mapping of str to scalar with units, optional
        Values to start from, for any of the parameters. Models of xbp find their own,
        from which the fit is the one kept if that from `start` misses the points and it
        does not; others need them.
    fixed : mapping of str to scalar with units, optional
        Parameters held at a value. Those that a model holds by default are fitted if
        they have a start or bounds.
    bounds : mapping of str to pair of scalars with units, optional
        Limits of parameters; None for no limit.

    Returns
    -------
    xarray.Dataset
        Every parameter with its ``_std`` (0 where fixed), in the units that follow from
        the data's for models of xbp (others have no units); ``correlation``;
        ``chi2_reduced`` where errors are known; ``relative_residual``, the rms of what
        the fit leaves of the points over the largest of them; the range fitted,
        ``<dim>_low``, ``<dim>_high``, ``n_points``; ``status``: "ok", "no data", "too
        few points", "parameter at bound", "undetermined" (χ² does not depend on a
        parameter, or four errors away has risen by less than one error should raise it)
        or "fit failed", the numbers being NaN wherever it is not "ok";
        ``limiting_parameter``, the one that is at its bound or undetermined.
        Neighbouring points are taken as independent, and those that share counts put
        together. Errors where χ² is no parabola: ``xbp.fitting.valley``.

    Raises
    ------
    QuantityError
        If a model or parameter does not exist, a start is missing, a value is outside
        its bounds, or the model is of three dimensions and the data of two.
    RangeError
        If the data have no such dimension, or the range contains no data.
    UnitsError
        If a value has the wrong units.

    References
    ----------
    M. Newville et al., LMFIT (2014), doi:10.5281/zenodo.11813.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(1, 20, 50)
    >>> B = xbp.models.evaluate("lognormal", E, energy="5.5 meV", height=2, sigma=0.6)
    >>> result = B.bp.fit("lognormal", x_range=(2, 15), fixed={"sigma": 0.6})
    >>> str(result.status.values), round(float(result.energy), 6)
    ('ok', 5.5)
    """
    signal = with_counting(read(data))
    value = signal.value
    along = (
        dim
        if dim is not None
        else (
            "E"
            if "E" in value.dims
            else str(value.dims[0])
            if value.ndim == 1
            else None
        )
    )
    if not isinstance(along, str) or along not in value.dims:
        raise RangeError(
            f"dim={dim!r} is not one of the dimensions {tuple(value.dims)} of "
            f"'{value.name}'",
            fix=f"dim='{value.dims[-1] if value.dims else 'E'}'",
        )
    if along not in value.coords or "units" not in value[along].attrs:
        raise RangeError(
            f"dimension '{along}' has no coordinate with units",
            fix=f"data.assign_coords({along}=('{along}', values, {{'units': '...'}}))",
        )
    row = find_model(model) if isinstance(model, str | Model) else None
    if row is not None and row.dimension is not None:
        fix = "pass a shape of B, such as 'lognormal', or your own function"
        dimension_of(value, row.dimension, fix)
    worker: Any = None if row is not None else _worker(model)
    names = list(row.parameters) if row is not None else _parameters_of(worker)
    x_units = own_x = str(value[along].attrs["units"])
    units: dict[str, str] = {}
    x_factor = y_factor = 1.0
    if row is not None:
        own_x, own_y = row.x_units or x_units, row.y_units or signal.units
        if row.x_units == "K" and along != "temperature":
            raise QuantityError(
                f"{row.name} is a model of C_p(T); '{value.name}' is over {along}"
            )
        x_factor = convert_factor(
            x_units, own_x, name=f"coordinate '{along}'", energy=along == "E"
        )
        y_factor = convert_factor(signal.units, own_y, name=f"'{value.name}'")
        units = parameter_units(row, own_x, own_y)
    chosen = choices(names, units, start, fixed, bounds, row)
    _require_free_names(names, along, value)
    mask = select_range(signal.source, along, x_range, name="x_range")
    x = value[along].values[mask].astype(float) * x_factor
    curve = (
        named_curve(row) if row is not None else _own_curve(worker, names, chosen, x)
    )
    _require_limits(curve, chosen)
    columns, coords, _ = fit_everywhere(
        value.isel({along: mask}) * y_factor,
        None if signal.std is None else signal.std.isel({along: mask}) * y_factor,
        along,
        x,
        curve,
        chosen,
        {**units, along: own_x},
        half=halves_of_bins(signal.source, along)[mask] * x_factor,
        relative=row is not None and row.relative,
    )
    name = row.name if row is not None else worker.name
    answer: xr.Dataset = result_table(
        signal,
        columns,
        quantity="fit",
        operation="fit",
        arguments={
            "model": name, "dim": along,
            "start": start, "fixed": fixed, "bounds": bounds,
            **range_used("x_range", x_range, x.min(), x.max(), own_x),
        },
        attrs={"model": name},
        coords=coords,
    )  # fmt: skip
    return answer


def named_curve(row: Model, guess: Guess | None = None) -> Curve:
    """Return a named model as it is fitted; `guess` replaces its own."""
    limits = {
        name: (0.0 if name in row.positive else -np.inf, _most(row, name))
        for name in row.parameters
    }
    return Curve(
        list(row.parameters),
        guess or row.guess,
        lambda: row.function,
        _SHAPES.get(row.function),
        limits,
        row.edge,
        row.vectorized,
    )


def _most(row: Model | None, name: str) -> float:
    """Return the largest value of a parameter: models have none at their limits."""
    limit = np.inf if row is None else row.below.get(name, np.inf)
    return float(np.nextafter(limit, -np.inf)) if np.isfinite(limit) else np.inf


def _own_curve(worker: Any, names: list[str], chosen: Choices, x: np.ndarray) -> Curve:
    """Return the lmfit Model of a user as it is fitted, if it gives a curve."""
    made = worker.make_params()
    defaults = {name: float(made[name].value) for name in names}
    defaults = {name: value for name, value in defaults.items() if np.isfinite(value)}
    known = defaults | chosen.start | chosen.fixed
    missing = [name for name in names if name not in known]
    if missing:
        raise QuantityError(
            f"the fit needs a start value of {', '.join(missing)}",
            fix=f"start={{'{missing[0]}': 1.0}}",
        )

    def make() -> Callable[..., np.ndarray]:
        parameters = worker.make_params()
        for name in names:
            parameters[name].set(min=-np.inf, max=np.inf)

        def function(x: np.ndarray, *values: float) -> np.ndarray:
            for name, value in zip(names, values, strict=True):
                parameters[name].value = value
            return evaluate(worker, parameters, x)

        return function

    try:
        with np.errstate(all="ignore"):
            y = make()(x, *(float(known[name]) for name in names))
        if y.dtype.kind not in "fiu" or y.shape not in ((), x.shape):
            raise TypeError(
                f"it returns {y.dtype} of shape {y.shape} for {x.size} points"
            )
    except Exception as error:  # of a function that is not ours
        raise QuantityError(
            f"the model {worker.name} failed: {type(error).__name__}: {error}",
            reason="it must return one number for each point",
            fix="a function like lambda E, a, b: a + b * E",
        ) from error
    limits = {name: (made[name].min, made[name].max) for name in names}
    return Curve(names, lambda x, y: defaults, make, limits=limits)


def _worker(model: Any) -> Any:
    """Return a user's model as an lmfit Model."""
    example = "a function like lambda E, a, b: a + b * E"
    try:
        if not callable(model) and not isinstance(model, lmfit.Model):
            raise TypeError
        worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    except Exception as error:  # whatever lmfit says of other things
        raise QuantityError(
            f"model={shown(model)} is not a model name, an lmfit.Model or a function",
            reason=str(error),
            fix=example,
        ) from error
    # The parts of a sum may each have a name of their own for the one variable.
    summed = isinstance(worker, lmfit.CompositeModel)
    if (len(worker.independent_vars) != 1 and not summed) or not worker.param_names:
        raise QuantityError(
            f"the model has the independent variables {worker.independent_vars}, "
            f"parameters {worker.param_names}; one variable and a parameter are needed",
            fix="lmfit.Model(function, independent_vars=['E'])",
        )
    return worker


def choices(
    names: list[str],
    units: Mapping[str, str],
    start: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    bounds: Mapping[str, Any] | None,
    row: Model | None,
) -> Choices:
    """Return what the user chose for the parameters, as numbers in units of the fit.

    Raises
    ------
    QuantityError, UnitsError
        If a name is not a parameter, a value has other units, or is outside its bounds.
    """

    def number(name: str, value: Any) -> float:
        on_x = row is not None and row.parameters[name] == "x"
        if on_x and units[name] == "K":
            return kelvin_of(value, name)
        return magnitude(value, units.get(name, "1"), name=name, energy=on_x)

    limits: dict[str, tuple[float, float]] = {}
    for name, pair in require_keys(bounds, "bounds", names).items():
        if not is_pair(pair):
            raise QuantityError(
                f"bounds of {name} are {shown(pair)}, not a pair",
                fix=f"bounds={{'{name}': (0, None)}}",
            )
        low = -np.inf if pair[0] is None else number(name, pair[0])
        high = np.inf if pair[1] is None else number(name, pair[1])
        if not low < high:
            raise QuantityError(
                f"bounds of {name} are {shown(pair)}; the lower one must come first"
            )
        most = _most(row, name)
        if not low < most:
            raise QuantityError(
                f"bounds of {name} are {shown(pair)}; {name} must be below {most:g}"
            )
        limits[name] = (low, min(high, most))

    def within(given: Mapping[str, Any] | None, argument: str) -> dict[str, float]:
        found = {}
        for name, value in require_keys(given, argument, names).items():
            low, high = limits.get(name, (-LARGEST, LARGEST))
            low, high = max(low, -LARGEST), min(high, LARGEST)
            found[name] = number(name, value)
            _require_between(found[name], low, high, f"{argument}: {name}")
        return found

    begin, held = within(start, "start"), within(fixed, "fixed")
    if row is not None:
        free = {*begin, *limits}
        held = {n: v for n, v in row.held.items() if n not in free} | held
    return Choices(begin, held, limits)


def kelvin_of(value: Any, name: str) -> float:
    """Return a characteristic temperature in K; an energy E is one too, E/k_B.

    Examples
    --------
    >>> round(kelvin_of("6.2 meV", "theta_E"), 2), kelvin_of(72, "theta_E")
    (71.95, 72.0)
    """
    units = split_quantity(value, name, "K")[1]
    if units is not None and is_energy_like(parse_unit(units, name=name)):
        return require_number(value, name, "meV", energy=True) / constants.BOLTZMANN_MEV
    return magnitude(value, "K", name=name)


def _require_free_names(names: list[str], along: str, value: xr.DataArray) -> None:
    """Refuse parameters that are named as another column or coordinate of the table."""
    taken = {
        "correlation", "chi2_reduced", "relative_residual", "n_points", "status",
        "parameter", "other_parameter", f"{along}_low", f"{along}_high",
        *(f"{name}_std" for name in names), *map(str, value.dims),
    }  # fmt: skip
    # The area that a g(E) carries gives way to a parameter of that name.
    taken |= {str(name) for name in value.coords} - {"area"}
    for name in names:
        if name in taken:
            raise QuantityError(
                f"the model has a parameter {name!r}, which is another column or a "
                "coordinate of the results",
                fix="rename the parameter in the function",
            )


def _require_limits(curve: Curve, chosen: Choices) -> None:
    """Refuse values outside the limits of the model, such as a negative width."""
    for name, value in (chosen.start | chosen.fixed).items():
        low, high = chosen.bounds.get(name) or curve.limits[name]
        _require_between(value, low, high, name)


def _require_between(value: float, low: float, high: float, name: str) -> None:
    """Refuse a value outside the bounds that were given, or the limits of the model."""
    if not low <= value <= high:
        if f"{value:g}" == f"{high:g}":
            raise QuantityError(f"{name}={value:g} must be below {high:g}")
        raise QuantityError(f"{name}={value:g} is outside {low:g} to {high:g}")


def _parameters_of(model: Any) -> list[str]:
    """Return the parameters of an lmfit Model that do not follow from others."""
    return [str(name) for name, p in model.make_params().items() if not p.expr]
