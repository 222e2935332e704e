"""The models by name: as functions, as lmfit Models, as labelled data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.core.conditions import given_axis
from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import choose
from xbp.core.schema import QUANTITIES, labels
from xbp.core.signal import extend_history
from xbp.core.units import convert_factor, magnitude, parse_unit, swap_unit
from xbp.models import disorder, lineshapes, phonons, soft_modes
from xbp.models.debye_einstein import debye_einstein, fit_starts
from xbp.models.model import Model, parameter_units

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = [
    "LARGEST",
    "MODELS",
    "evaluate",
    "find_model",
    "lmfit_model",
]


#: Largest parameter: powers of a larger one overflow.
LARGEST: Final = 1e60
#: Units of what the values of a spectrum are in powers of.
_SCALES = ("meV", "THz", "s", "1/cm", "angstrom", "barn", "radian", "steradian", "mol")

#: Here, since `Model` is made with what the module of its formula has.
_HEAT_CAPACITY = Model(
    "debye_einstein",
    debye_einstein,
    "heat_capacity",
    {
        "gamma": "y/x",
        "n_D": "1",
        "theta_D": "x",
        "n_E": "1",
        "theta_E": "x",
        "sigma_E": "x",
    },
    about="heat capacity γT of electrons, of Debye phonons and of a Gaussian of "
    "Einstein modes (Li et al., Nat. Commun. 2025, Methods)",
    positive=("theta_D", "theta_E", "sigma_E"),
    meaning={
        "sigma_E": "spread of the temperatures of the Einstein modes",
    },
    guess=fit_starts,
    relative=True,
    x_units="K",
    y_units="J/mol/K",
    zero=("sigma_E",),
    scale=("gamma", "n_D", "n_E"),
    example={
        "gamma": 0.004,
        "n_D": 0.8,
        "theta_D": 260.0,
        "n_E": 0.2,
        "theta_E": 72.0,
        "sigma_E": 15.0,
    },
)
#: Every model by its name; its function documents it.
MODELS: Final = {
    row.name: replace(row, vectorized=True)
    for row in (
        *lineshapes.MODELS,
        _HEAT_CAPACITY,
        *phonons.MODELS,
        *soft_modes.MODELS,
        *disorder.MODELS,
    )
}


def find_model(name: str | Model) -> Model:
    """Return the model of a name; refuse an unknown one."""
    if isinstance(name, Model):
        return name
    why = "xbp.models.MODELS lists them; or pass an lmfit.Model or a function"
    return MODELS[choose(name, MODELS, "model", reason=why)]


def lmfit_model(name: str | Model) -> Any:
    """Return a model as an `lmfit.Model`, to combine with others and fit with lmfit.

    Parameters
    ----------
    name : str or Model
        One of `MODELS`. Those with constants of nature have units of their own: E in
        meV, T in K, C in J/mol/K; their table shows which.

    Returns
    -------
    lmfit.Model
        Its first argument is the independent variable; positive parameters have that
        bound.

    Raises
    ------
    QuantityError
        If the model is unknown.

    Examples
    --------
    >>> lmfit_model("lognormal").param_names
    ['energy', 'height', 'sigma']
    """
    row = find_model(name)
    model = lmfit.Model(row.function, name=row.name)
    for parameter in row.positive:
        model.set_param_hint(parameter, min=0.0)
    for parameter, limit in row.below.items():
        model.set_param_hint(parameter, max=limit)
    for parameter, value in row.held.items():
        model.set_param_hint(parameter, value=value, vary=False)
    return model


def evaluate(
    name: str | Model, x: Any, *, units: str | None = None, **parameters: Any
) -> Any:
    """Return a model as labelled data.

    Parameters
    ----------
    name : str or Model
        One of `MODELS`, or made of them.
    x : 1-D array, or DataArray with units
        Ascending energies (bare: meV), or temperatures (bare: K) of a heat capacity.
    units : str, optional
        Units of the values; by default those of the vocabulary, per unit of the axis
        for a density, and "1" for the reduced density of states.
    **parameters : scalars with units
        Every parameter of the model; a bare number is in the units of the axis and the
        values.

    Returns
    -------
    xarray.Dataset
        The model's quantity over E or temperature.

    Raises
    ------
    QuantityError
        If the model is unknown; a parameter is missing, unknown, or outside its
        limits; or the model is not finite somewhere.
    CoordinateError
        If `x` is not an ascending row of real numbers.
    UnitsError
        If a parameter, or the values, have the wrong units.

    Examples
    --------
    >>> B = evaluate("lognormal", [2.0, 5.5, 9.0], energy="1.33 THz", height=2.0,
    ...     sigma=0.5)
    >>> round(float(B.B.sel(E=5.5)), 3)
    2.0
    """
    row = find_model(name)
    parameters = {**row.held, **parameters}
    if set(parameters) != set(row.parameters):
        raise QuantityError(
            f"{row.name} needs the parameters {', '.join(row.parameters)} and no "
            f"other; given: {', '.join(parameters) or 'none'}"
        )
    quantity = QUANTITIES[row.quantity]
    dim = quantity.dims[-1]
    axis, x_units = given_axis(x, dim)
    along_E = (
        swap_unit(quantity.units, "meV", x_units)[0]
        if quantity.is_density
        else quantity.units
    )
    plain = "1" if row.quantity == "reduced_dos" else along_E
    y_units = units or row.y_units or plain
    if row.y_units is None:
        _require_scale(y_units)
    own_x = row.x_units or x_units
    own_y = row.y_units or y_units
    own = parameter_units(row, own_x, own_y)
    bare = parameter_units(row, x_units, y_units)
    values = {
        p: magnitude(
            value,
            own[p],
            name=p,
            default=bare[p],
            energy=row.parameters[p] == "x" and dim == "E",
        )
        for p, value in parameters.items()
    }
    _require_limits(row, values, own)
    factor = convert_factor(x_units, own_x, name=dim, energy=dim == "E")
    try:
        with np.errstate(all="ignore"):  # NaN is refused below
            y = row.function(axis * factor, **values) * convert_factor(
                own_y, y_units, name="units"
            )
    except ArithmeticError:
        y = np.full(axis.size, np.nan)
    if not np.isfinite(y).all():
        at = float(axis[np.argmin(np.isfinite(y))])
        raise QuantityError(
            f"{row.name} is not finite at {dim}={at:g} {x_units} with "
            f"{', '.join(f'{p}={value:g} {own[p]}' for p, value in values.items())}",
        )
    coords = {dim: (axis, x_units)}
    ds = new_dataset(
        row.quantity, y, units=y_units, coords=coords, statistics="unknown"
    )
    arguments = {p: f"{values[p]:.10g} {own[p]}" for p in values}
    history = extend_history(None, f"models.evaluate({row.name})", arguments)
    if row.area and parse_unit(own[row.area[0]]).is_compatible_with("1"):
        # On the scale of the model 1 is all modes, and its own area is what its
        # parameters say.
        area = sum(values[p] for p in row.area) * convert_factor(own[row.area[0]], "1")
        ds = ds.assign_coords(area=((), area, labels("area") | {"units": "1"}))
        ds[quantity.variable].attrs |= {"area": 1.0, "area_of": "all modes"}
    ds[quantity.variable].attrs["origin"] = "model"
    ds[quantity.variable].attrs["history"] = ds.attrs["history"] = history
    return ds


def _require_limits(
    row: Model, values: dict[str, float], units: dict[str, str]
) -> None:
    """Refuse parameters outside the limits of a model, such as a negative width."""
    for name, value in values.items():
        low, high = -LARGEST, row.below.get(name, LARGEST)
        if name in row.positive:
            low = 0.0 if name in row.zero else 1 / LARGEST
        if not low <= value <= high or value == row.below.get(name):
            raise QuantityError(
                f"{name}={value:g} {units[name]}".removesuffix(" 1")
                + f" of {row.name} must be between {low:g} and {high:g}",
            )


def _require_scale(units: str) -> None:
    """Refuse units that a spectrum cannot have, whatever its scale."""
    for unit in parse_unit(units, name="units")._units:
        if not any(parse_unit(unit).is_compatible_with(known) for known in _SCALES):
            raise UnitsError(
                f"units={units!r} contains '{unit}', which is not a unit of spectra",
                fix="units='1' where the scale is arbitrary",
            )
