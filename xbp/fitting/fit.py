"""Fits of any model to any signal, over all its leftover dimensions at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import is_pair, range_used, select_range
from xbp.core.guards import require_keys, require_number, shown
from xbp.core.operation import operation
from xbp.core.signal import read, result_table
from xbp.core.units import (
    convert_factor,
    is_energy_like,
    magnitude,
    parse_unit,
    split_quantity,
)
from xbp.fitting.many import (
    Analytic,
    Choices,
    Guess,
    evaluate,
    fit_everywhere,
    parameters_of,
)
from xbp.fitting.peak import gaussian_on_line, log_normal
from xbp.models.catalogue import (
    LARGEST,
    NamedModel,
    find_model,
    lmfit_model,
    parameter_units,
)

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["choices", "fit"]


def _outward_lognormal(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slopes = np.stack([np.exp(p[:, 0]), np.exp(p[:, 1]), np.sign(p[:, 2])], axis=1)
    return np.stack([slopes[:, 0], slopes[:, 1], np.abs(p[:, 2])], axis=1), slopes


def _outward_gaussian(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slopes = np.ones_like(p)
    slopes[:, 2] = np.sign(p[:, 2])
    return p * slopes, slopes


#: Named models with derivatives.
_ANALYTIC = {
    "lognormal": Analytic(
        # Below zero it is 0 whatever the parameters, which no logarithm is.
        lambda x: log_normal(np.log(np.where(x > 0, x, np.nan))),
        lambda p: np.stack([np.log(p[:, 0]), np.log(p[:, 1]), p[:, 2]], axis=1),
        _outward_lognormal,
    ),
    "gaussian": Analytic(gaussian_on_line, lambda p: p, _outward_gaussian),
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
        Any signal. A Dataset's std weighs the points and sets the scale of the errors
        (points with a std of NaN are left out; one of 0 beside others is a bin without
        counts, and has the error of one); without one, all weigh the same and the
        scatter about the fit sets the scale. In numpy the fits run one after the other,
        in dask chunks beside one another.
    model : str, lmfit.Model or callable
        A name of `xbp.models.MODELS`, any lmfit Model (composite ones too), or a
        function whose first argument is the coordinate.
    dim : str, optional
        Dimension to fit along; by default E, or the only one.
    x_range : pair of scalars with units, optional
        Range of `dim` to fit.
    start : mapping of str to scalar with units, optional
        Values to start from, for any of the parameters. Models of xbp find their own;
        others need them.
    fixed : mapping of str to scalar with units, optional
        Parameters held at a value.
    bounds : mapping of str to pair of scalars with units, optional
        Limits of parameters; None where there is none.

    Returns
    -------
    xarray.Dataset
        Every parameter with its ``_std`` (0 where fixed), in the units that follow from
        the data's for models of xbp (others have no units); ``correlation``;
        ``chi2_reduced`` where errors are known; ``relative_residual``, the rms of what
        the fit leaves of the points over the largest of them; the range fitted,
        ``<dim>_low``, ``<dim>_high``, ``n_points``; ``status``: "ok", "no data", "too
        few points", "parameter at bound", "undetermined" (an error a thousand times the
        parameter: start nearer) or "fit failed", the numbers being NaN wherever it is
        not "ok"; ``limiting_parameter``, the one that is at its bound or undetermined.
        Neighbouring points are taken as independent.

    Raises
    ------
    QuantityError
        If there is no such model or parameter, a start is missing, or a value is
        outside its bounds.
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
    signal = read(data)
    value = signal.value
    along = dim or (
        "E" if "E" in value.dims else str(value.dims[0]) if value.ndim == 1 else None
    )
    if along is None or along not in value.dims:
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
    row = find_model(model) if isinstance(model, str) else None
    worker = _worker(model)
    names = parameters_of(worker)
    x_units = own_x = str(value[along].attrs["units"])
    units: dict[str, str] = {}
    x_factor = y_factor = 1.0
    if row is not None:
        own_x, own_y = row.x_units or x_units, row.y_units or signal.units
        x_factor = convert_factor(
            x_units, own_x, name=f"coordinate '{along}'", energy=along == "E"
        )
        y_factor = convert_factor(signal.units, own_y, name=f"'{value.name}'")
        units = parameter_units(row, own_x, own_y)
    chosen = choices(names, units, start, fixed, bounds, row)
    _require_free_names(names, along, value)
    _require_limits(worker, chosen)
    mask = select_range(signal.source, along, x_range, name="x_range")
    name = model if isinstance(model, str) else worker.name
    x = value[along].values[mask].astype(float) * x_factor
    guess = _guess_of(row, worker, names, chosen)
    if row is None:
        _require_curve(worker, x, guess(x, x) | chosen.start | chosen.fixed)
    fitted = fit_everywhere(
        value.isel({along: mask}) * y_factor,
        None if signal.std is None else signal.std.isel({along: mask}) * y_factor,
        along,
        x,
        worker,
        chosen,
        guess=guess,
        step=None if row is None else row.edge,
        analytic=_ANALYTIC.get(name) if row is not None else None,
    )
    answer: xr.Dataset = result_table(
        signal,
        fitted.columns(names, units, (along, own_x), signal.std is not None),
        quantity="fit",
        operation="fit",
        arguments={
            "model": name, "dim": along,
            "start": start, "fixed": fixed, "bounds": bounds,
            **range_used("x_range", x_range, x.min(), x.max(), own_x),
        },
        attrs={"model": name},
    )  # fmt: skip
    return answer


def _worker(model: Any) -> Any:
    """Return the model as an lmfit Model."""
    if isinstance(model, str):
        return lmfit_model(model)
    example = "a function like lambda E, a, b: a + b * E"
    try:
        worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    except Exception as error:  # whatever lmfit makes of what is no function
        raise QuantityError(
            f"model={shown(model)} is not a name, an lmfit.Model or a function",
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


def _require_curve(worker: Any, x: np.ndarray, start: Mapping[str, float]) -> None:
    """Call a user's model once, and refuse it if that gives no curve."""
    values = {name: float(value) for name, value in start.items()}
    try:
        with np.errstate(all="ignore"):
            y = evaluate(worker, worker.make_params(**values), x)
        if y.dtype.kind not in "fiu" or y.shape not in ((), x.shape):
            raise TypeError(
                f"it returns {y.dtype} of shape {y.shape} for {x.size} points"
            )
    except Exception as error:  # of a function that is not ours
        raise QuantityError(
            f"the model {worker.name} failed: {type(error).__name__}: {error}",
            reason="it is called with the coordinate as one array and returns as many "
            "real numbers",
            fix="a function like lambda E, a, b: a + b * E",
        ) from error


def _guess_of(
    row: NamedModel | None, worker: Any, names: list[str], chosen: Choices
) -> Guess:
    """Return what finds a start: a named model's guess, or a function's defaults."""
    if row is not None:
        return row.guess
    made = worker.make_params()
    defaults = {name: float(made[name].value) for name in names}
    defaults = {name: value for name, value in defaults.items() if np.isfinite(value)}
    known = defaults | chosen.start | chosen.fixed
    missing = [name for name in names if name not in known]
    if missing:
        raise QuantityError(
            f"no start is given for {', '.join(missing)}",
            fix=f"start={{'{missing[0]}': 1.0}}",
        )
    return lambda x, y: defaults


def choices(
    names: list[str],
    units: Mapping[str, str],
    start: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    bounds: Mapping[str, Any] | None,
    row: NamedModel | None,
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
        limits[name] = (low, high)

    def within(given: Mapping[str, Any] | None, argument: str) -> dict[str, float]:
        found = {}
        for name, value in require_keys(given, argument, names).items():
            low, high = limits.get(name, (-LARGEST, LARGEST))
            low, high = max(low, -LARGEST), min(high, LARGEST)
            found[name] = number(name, value)
            if not low <= found[name] <= high:
                raise QuantityError(
                    f"{argument}: {name}={found[name]:g} is outside {low:g} to {high:g}"
                )
        return found

    return Choices(within(start, "start"), within(fixed, "fixed"), limits)


def kelvin_of(value: Any, name: str) -> float:
    """Return a characteristic temperature in K; an energy E is one too, E/k_B.

    Examples
    --------
    >>> round(kelvin_of("6.2 meV", "theta_E"), 2), kelvin_of(72, "theta_E")
    (71.95, 72.0)
    """
    units = split_quantity(value, name)[1]
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


def _require_limits(model: Any, chosen: Choices) -> None:
    """Refuse values outside the limits of the model, such as a negative width."""
    parameters = model.make_params()
    for name, value in (chosen.start | chosen.fixed).items():
        own = (parameters[name].min, parameters[name].max)
        low, high = chosen.bounds.get(name, own)
        if not low <= value <= high:
            raise QuantityError(
                f"{name}={value:g} is outside {low:g} to {high:g}, the limits of the "
                "model"
            )
