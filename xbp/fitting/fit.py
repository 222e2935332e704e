"""Fits of any model to any signal, over all its leftover dimensions at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import range_used, select_range
from xbp.core.operation import operation
from xbp.core.signal import read, result_table
from xbp.core.units import convert_factor
from xbp.fitting.fitted import fit_everywhere
from xbp.fitting.one_fit import Guess, call
from xbp.fitting.parameters import (
    Choices,
    choices,
    parameters_of,
    require_columns,
    require_within,
)
from xbp.models.catalogue import find_model, lmfit_model, parameter_units

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["fit"]


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
    along = dim or (
        "E" if "E" in value.dims else str(value.dims[0]) if value.ndim == 1 else None
    )
    if along is None or along not in value.dims:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}, dim={dim!r}",
            reason="a fit goes along one of them",
            fix=f"say which: dim='{value.dims[-1] if value.dims else 'E'}'",
        )
    if along not in value.coords or "units" not in value[along].attrs:
        raise RangeError(
            f"dimension '{along}' has no coordinate with units",
            reason="the model is a function of it",
            fix=f"data = data.assign_coords({along}=('{along}', values, {{'units': "
            "'...'}))",
        )
    row = find_model(model) if isinstance(model, str) else None
    worker = _worker(model)
    names = parameters_of(worker)
    x_units, units, x_factor, y_factor = (
        str(value[along].attrs["units"]),
        dict[str, str](),
        1.0,
        1.0,
    )
    own_x = x_units
    if row is not None:
        own_x, own_y = row.x_units or x_units, row.y_units or signal.units
        x_factor = convert_factor(
            x_units, own_x, name=f"coordinate '{along}'", energy=along == "E"
        )
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
        edge=None if row is None else row.edge,
    )
    answer: xr.Dataset = result_table(
        signal,
        fitted.columns(names, units, (along, own_x), signal.std is not None),
        quantity="fit",
        operation="fit",
        arguments={
            "model": name, "dim": along, "start": start, "fixed": fixed, "bounds": bounds,
            **range_used("x_range", x_range, x.min(), x.max(), own_x),
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
            f"model={model!r} is no model",
            reason=str(error),
            fix="a function like lambda E, a, b: a + b * E",
        ) from error
    # The parts of a sum may each call the one variable by a name of their own.
    summed = isinstance(worker, lmfit.CompositeModel)
    if (len(worker.independent_vars) != 1 and not summed) or not worker.param_names:
        raise QuantityError(
            f"the model has the independent variables {worker.independent_vars}, "
            f"parameters {worker.param_names}",
            reason="a curve has one variable, and something to fit",
            fix="lmfit.Model(function, independent_vars=['E'])",
        )
    return worker


def _require_curve(worker: Any, x: np.ndarray, start: Mapping[str, float]) -> None:
    """Call a model that is not ours once, and refuse what is no curve."""
    parameters = worker.make_params(
        **{name: float(value) for name, value in start.items()}
    )
    try:
        with np.errstate(all="ignore"):
            y = call(worker, parameters, x)
        if y.dtype.kind not in "fiu" or y.shape not in ((), x.shape):
            raise TypeError(
                f"it returns {y.dtype} of the shape {y.shape} for {x.size} points"
            )
    except Exception as error:  # of a function that is not ours
        raise QuantityError(
            f"the model {worker.name} failed: {type(error).__name__}: {error}",
            reason="it is called with the whole coordinate as one array, and returns "
            "as many real numbers",
            fix="a function like lambda E, a, b: a + b * E",
        ) from error


def _guess_of(model: Any, worker: Any, names: list[str], chosen: Choices) -> Guess:
    """Return what finds the start of a model.

    Its own guess, or the defaults of the function and what is given.
    """
    if isinstance(model, str):
        return find_model(model).guess
    made = worker.make_params()
    defaults = {
        name: float(made[name].value) for name in names if np.isfinite(made[name].value)
    }
    missing = [
        name for name in names if name not in defaults | chosen.start | chosen.fixed
    ]
    if missing:
        raise QuantityError(
            f"no start is given for {', '.join(missing)}",
            reason="xbp does not know this model and cannot guess it",
            fix=f"start={{'{missing[0]}': 1.0}}",
        )
    return lambda x, y: defaults
