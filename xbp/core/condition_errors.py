"""Standard deviations of T and of u², which all bins of a spectrum share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import xarray as xr

from xbp.core.common_errors import fingerprint
from xbp.core.conditions import along, bare_units, resolve
from xbp.core.data import require_values
from xbp.core.errors import QuantityError, shown
from xbp.core.guards import not_used
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal
from xbp.core.status import Diagnostic

__all__ = ["ERRORS", "error_of", "needed_conditions", "with_its_error"]

#: The arguments with the standard deviations of T and of u².
ERRORS: Final = {"temperature": "T_std", "u2": "u2_std"}


def with_its_error(
    name: str, given: Mapping[str, Any], std: Any = None
) -> tuple[dict[str, Any], Any]:
    """Return what states a condition, and the error that comes with it.

    Parameters
    ----------
    name : {"temperature", "u2"}
        The condition.
    given : mapping of str to scalar, xarray.DataArray or xarray.Dataset
        Arguments that state it. A table has it as a variable, `name`, with
        ``<name>_std``; an array may carry ``<name>_std`` as a coordinate.
    std : scalar or array with units, optional
        Its standard deviation, which counts more.

    Examples
    --------
    >>> import xarray as xr
    >>> table = xr.Dataset({"u2": 0.008, "u2_std": 0.001})
    >>> found, error = with_its_error("u2", {"u2": table})
    >>> float(found["u2"]), float(error)
    (0.008, 0.001)
    """
    found, label = dict(given), f"{name}_std"
    for argument, value in given.items():
        error, own = None, argument in (name, ERRORS[name].removesuffix("_std"))
        if own and isinstance(value, xr.Dataset) and name in value:
            found[argument], error = value[name], value.get(label)
        elif isinstance(value, xr.DataArray) and label in value.coords:
            error = value[label]
        if error is None:
            continue
        if not own:
            raise QuantityError(
                f"{argument}={shown(value)} has an error of {name}, not of {argument}",
                fix=f"pass {name}=, or drop '{label}' and pass {ERRORS[name]}=",
            )
        std = error if std is None else std
    return found, std


def _left_behind(name: str, given: Mapping[str, Any]) -> list[Diagnostic]:
    """Return that a condition is a column of a table whose error is in another.

    Parameters as for `with_its_error`.
    """
    text = f"{name} comes from a table with {name}_std, but is taken as exact"
    columns = [
        value
        for value in given.values()
        if isinstance(value, xr.DataArray)
        and f"{name}_std" in str(value.attrs.get("ancillary_variables", "")).split()
    ]
    if not columns:
        return []
    fix = f"{name}=table instead of {name}=table.{name}"
    return [Diagnostic("error_left_behind", "warning", text, fix)]


def error_of(
    data: xr.DataArray, name: str, condition: xr.Variable, given: Any = None
) -> xr.Variable:
    """Return the standard deviation of T or u² that is given, or else carried.

    Its attribute ``source`` names the error, which all bins share.
    """
    error: Any = data.coords[f"{name}_std"] if given is None else given
    label, (units, long_name) = ERRORS[name], COORDINATES[name]
    std = along(data, error, label, units, default=bare_units(data, name))
    if not {*std.dims} <= {*condition.dims}:
        raise QuantityError(
            f"{label} has dimensions {std.dims}, but {name} {condition.dims}"
        )
    require_values(std, label, units, least=0, below=math.inf, error=QuantityError)
    source = error.attrs.get("source", "") if given is None else ""
    std.attrs = {
        "units": units,
        "long_name": f"standard deviation of {long_name}",
        "source": source or fingerprint(name, data, condition, std),
    }
    return std


def needed_conditions(
    signal: Signal,
    needed: set[str],
    given: Mapping[str, tuple[Mapping[str, Any], Any]],
) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable], list[Diagnostic]]:
    """Return the conditions that a step needs, their standard deviations, and doubts.

    One that it does not need is refused, unless the data have the same.
    """
    value, doubts = signal.value, []
    coords, errors = {}, {}
    for name, (arguments, std) in given.items():
        stated = any(one is not None for one in arguments.values())
        if stated:
            arguments, std = with_its_error(name, arguments, std)
        if name in needed:
            coords[name] = resolve(value, name, **arguments).variable
            if std is not None or f"{name}_std" in value.coords:
                errors[name] = error_of(value, name, coords[name], std)
            elif stated and signal.std is not None:
                doubts += _left_behind(name, arguments)
        elif stated or std is not None:
            alone = {} if name in value.coords else arguments
            not_used("this step does not need it", **{ERRORS[name]: std}, **alone)
            resolve(value, name, **arguments)
    return coords, errors, doubts
