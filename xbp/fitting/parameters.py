"""What a user says of the parameters of a fit.

Where to start, what to hold, within which bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.errors import QuantityError
from xbp.core.grid import is_pair
from xbp.core.units import is_energy_like, magnitude, parse_unit, split_quantity
from xbp.models.catalogue import LARGEST, NamedModel

__all__ = [
    "Choices",
    "choices",
    "lmfit_parameters",
    "parameters_of",
    "require_columns",
    "require_within",
]


@dataclass(frozen=True)
class Choices:
    """What the user said of the parameters, in the units of the fit."""

    start: dict[str, float]
    fixed: dict[str, float]
    bounds: dict[str, tuple[float, float]]


def choices(
    names: list[str],
    units: Mapping[str, str],
    start: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    bounds: Mapping[str, Any] | None,
    row: NamedModel | None,
) -> Choices:
    """Turn what the user said of the parameters into plain numbers, and hold it together.

    Raises
    ------
    QuantityError, UnitsError
        If a name is no parameter, a value has other units, or is outside its bounds.
    """
    for argument, given in (("start", start), ("fixed", fixed), ("bounds", bounds)):
        if not isinstance(given, Mapping | None):
            raise QuantityError(
                f"{argument}={given!r}",
                reason="it is a mapping from parameters to values",
                fix=f"{argument}={{'{names[0]}': ...}}",
            )
        unknown = [name for name in given or () if name not in names]
        if unknown:
            raise QuantityError(
                f"{argument} names {unknown[0]!r}",
                reason=f"the parameters are {', '.join(names)}",
                fix="choose among them",
            )

    def number(name: str, value: Any) -> float:
        on_x = row is not None and row.parameters[name] == "x"
        if on_x and units[name] == "K":
            return kelvin_of(value, name)
        return magnitude(value, units.get(name, "1"), name=name, energy=on_x)

    limits = {}
    for name, pair in (bounds or {}).items():
        if not is_pair(pair):
            raise QuantityError(
                f"bounds of {name} are {pair!r}",
                reason="they are a pair",
                fix=f"bounds={{'{name}': (0, None)}}",
            )
        low, high = (None if end is None else number(name, end) for end in pair)
        limits[name] = (
            -np.inf if low is None else low,
            np.inf if high is None else high,
        )
        if not limits[name][0] < limits[name][1]:
            raise QuantityError(
                f"bounds of {name} are {pair!r}",
                reason="the lower one is below the upper one",
                fix="exchange them",
            )
    made = Choices(
        {name: number(name, value) for name, value in (start or {}).items()},
        {name: number(name, value) for name, value in (fixed or {}).items()},
        limits,
    )
    for said, values in (("starts", made.start), ("is fixed", made.fixed)):
        for name, value in values.items():
            low_, high_ = limits.get(name, (-np.inf, np.inf))
            if not low_ <= value <= high_ or abs(value) > LARGEST:
                raise QuantityError(
                    f"{name} {said} at {value:g}, outside {max(low_, -LARGEST):g} to "
                    f"{min(high_, LARGEST):g}",
                    reason="a fit stays within its bounds",
                    fix="choose it inside",
                )
    return made


def kelvin_of(value: Any, name: str) -> float:
    """Return a characteristic temperature in K; an energy E is one too, E/k_B.

    Examples
    --------
    >>> round(kelvin_of("6.2 meV", "theta_E"), 2), kelvin_of(72, "theta_E")
    (71.95, 72.0)
    """
    units = split_quantity(value, name)[1]
    if units is not None and is_energy_like(parse_unit(units, name=name)):
        return magnitude(value, "meV", name=name, energy=True) / constants.BOLTZMANN_MEV
    return magnitude(value, "K", name=name)


def parameters_of(model: Any) -> list[str]:
    """Return the parameters of an lmfit Model that are fitted, without those that it computes from them."""
    return [str(name) for name, p in model.make_params().items() if not p.expr]


def lmfit_parameters(model: Any, chosen: Choices, start: dict[str, float]) -> Any:
    """Return lmfit Parameters with start, bounds and what is fixed."""
    parameters = model.make_params()
    for name in parameters_of(model):
        p = parameters[name]
        low, high = chosen.bounds.get(name, (p.min, p.max))
        if name in chosen.fixed:
            p.set(value=chosen.fixed[name], min=-np.inf, max=np.inf, vary=False)
            continue
        # A guess at a bound or outside goes inside: there a fit has no slope to go
        # along.
        value = start.get(name, p.value)
        if not low < value < high:
            size = max(abs(value), abs(low if value <= low else high)) or 1.0
            inside = 1e-3 * min(high - low, size)
            value = float(np.clip(value, low + inside, high - inside))
        p.set(value=value, min=low, max=high)
    return parameters


def require_columns(names: list[str], along: str, value: xr.DataArray) -> None:
    """Refuse parameters that would stand where something else of the table stands."""
    taken = {
        "correlation",
        "chi2_reduced",
        "relative_residual",
        "n_points",
        "status",
        "parameter",
        "other_parameter",
    }
    # The area that a g(E) carries gives way to a parameter of that name.
    carried = {str(name) for name in value.coords} - {"area"}
    taken |= {
        f"{along}_low",
        f"{along}_high",
        *(f"{name}_std" for name in names),
        *carried,
    }
    for name in names:
        if name in taken | set(map(str, value.dims)):
            raise QuantityError(
                f"the model has a parameter {name!r}",
                reason="the table of results, or the data, have something else of "
                "that name",
                fix="rename the parameter in the function",
            )


def require_within(model: Any, chosen: Choices) -> None:
    """Refuse values that the model itself has no place for, such as a negative width."""
    parameters = model.make_params()
    for name, value in (chosen.start | chosen.fixed).items():
        low, high = chosen.bounds.get(
            name, (parameters[name].min, parameters[name].max)
        )
        if not low <= value <= high:
            raise QuantityError(
                f"{name} is {value:g}",
                reason=f"the model has it from {low:g} to {high:g}",
                fix="choose it within",
            )
