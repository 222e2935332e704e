"""Sample conditions and the instrument: temperature, u², statistics, geometry.

Each comes from an argument or from the data, never from both with different values, and
is never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, get_args

import numpy as np
import xarray as xr

from xbp.core.common_errors import fingerprint
from xbp.core.data_guards import require_finite
from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    TemperatureError,
    XbpError,
)
from xbp.core.guards import at_most_one, choose, not_used, require_positive, shown
from xbp.core.pint_data import unwrap
from xbp.core.schema import COORDINATES, labels, require_same_grid, require_units
from xbp.core.units import convert_factor, magnitude, split_quantity, to_kelvin

__all__ = [
    "ERRORS",
    "FIXED_ENERGY",
    "along",
    "check_statistics",
    "errors_of_conditions",
    "given_axis",
    "resolve_fixed_energy",
    "resolve_temperature",
    "resolve_u2",
    "stated",
    "temperature_coordinate",
]

#: The coordinate that holds the fixed energy of each geometry, ``attrs["geometry"]``.
FIXED_ENERGY: Final = {"direct": "incident_energy", "indirect": "final_energy"}

#: The arguments with the standard deviations of T and of u².
ERRORS: Final = {"temperature": "T_std", "u2": "u2_std"}

#: Units of the bare numbers of an axis.
_BARE: Final = {"Q": "1/angstrom", "E": "meV", "temperature": "K"}

#: u² per axis = factor × the quantity given, for every convention in use.
U2_CONVENTIONS = {
    "u2": 1.0,
    "u2_total": 1.0 / 3.0,
    "msd": 1.0 / 6.0,
    "B_iso": 1.0 / (8.0 * math.pi**2),
}


def temperature_coordinate(value: Any) -> xr.Variable:
    """Make the scalar coordinate ``temperature`` from an argument with units (bare: K).

    Raises
    ------
    TemperatureError
        If it is not positive.
    """
    kelvin = require_positive(value, "T", "K", error=TemperatureError)
    return xr.Variable((), kelvin, {"units": "K", "long_name": "temperature"})


def _require_same(
    given: xr.DataArray, carried: Any, name: str, units: str, error: type[XbpError]
) -> None:
    """Raise an error if an argument contradicts the data."""
    if not np.allclose(carried, given, rtol=1e-6, atol=0):
        raise error(
            f"{name}= ({float(given.min()):g} {units}) contradicts the data "
            f"({float(np.min(carried)):g} {units})",
            fix=f"leave {name}= out",
        )


def _carried(
    coordinate: xr.DataArray, error: type[XbpError], *, zero: bool = False
) -> xr.DataArray:
    """Return a coordinate in its canonical units: finite and positive, or zero."""
    name = str(coordinate.name)
    canonical, label = COORDINATES[name][0], f"coordinate '{name}'"
    units = require_units(coordinate, label, canonical)
    values = require_finite(coordinate.values, label, error=error)
    if name == "temperature" and units != "K":  # degC has an offset
        values = np.asarray(to_kelvin(values, units, name=label))
    elif units != canonical:
        energy = canonical == "meV"
        values *= convert_factor(units, canonical, name=label, energy=energy)
    if not ((values > 0) | (zero & (values == 0))).all():
        raise error(
            f"{label} must be {'zero or ' * zero}positive, not {values.min():g} "
            f"{canonical}",
            fix=f"data = data.assign_coords({name}=...)",
        )
    dims = coordinate.dims
    own = {dim: coordinate.coords[dim] for dim in dims if dim in coordinate.coords}
    return xr.DataArray(values, dims=dims, coords=own)


def resolve_temperature(data: xr.DataArray, T: Any = None) -> xr.DataArray:
    """Find the temperature of the data.

    Parameters
    ----------
    data : xarray.DataArray
        Data that may carry the coordinate ``temperature`` (a scalar, or over any of its
        dimensions).
    T : scalar with units, optional
        The temperature, where the data do not carry it; a bare number is in K.

    Returns
    -------
    xarray.DataArray
        Temperature in K.

    Raises
    ------
    TemperatureError
        If it is missing, contradictory, or not positive and finite.

    Examples
    --------
    >>> import xbp
    >>> float(resolve_temperature(xbp.tutorial.open_dataset("zr46cu46al8_md").S))
    300.0
    """
    argument = None if T is None else xr.DataArray(temperature_coordinate(T))
    if "temperature" not in data.coords:
        if argument is None:
            raise TemperatureError("the temperature is not known", fix="pass T='300 K'")
        return argument
    carried = _carried(data["temperature"], TemperatureError)
    if argument is not None:
        _require_same(argument, carried, "T", "K", TemperatureError)
    return carried


def resolve_u2(
    data: xr.DataArray,
    *,
    u2: Any = None,
    u2_total: Any = None,
    msd: Any = None,
    B_iso: Any = None,
) -> xr.DataArray:
    """Find the per-axis mean-square displacement u² of the data.

    The elastic line falls as exp(−Q²u²). Others state the same displacement
    differently: u² = u²_total/3 = msd/6 = B_iso/8π².

    Parameters
    ----------
    data : xarray.DataArray
        Data that may carry the coordinate ``u2`` (per axis).
    u2, u2_total, msd, B_iso : scalar or array with units, optional
        At most one: per axis; ⟨u²⟩ summed over the axes; the plateau of ⟨|r(t)−r(0)|²⟩;
        the crystallographers' B. Bare numbers are in the inverse square of the data's Q
        unit.

    Returns
    -------
    xarray.DataArray
        u² in angstrom².

    Raises
    ------
    QuantityError
        If it is missing, given twice, contradictory, or negative.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S.drop_vars("u2")
    >>> round(float(resolve_u2(S, msd="0.06 angstrom^2")), 12)
    0.01
    """
    given = {"u2": u2, "u2_total": u2_total, "msd": msd, "B_iso": B_iso}
    name = at_most_one(**given)
    argument = None
    if name is not None:
        bare = (
            f"({data['Q'].attrs['units']})**-2" if "Q" in data.coords else "angstrom**2"
        )
        value = given[name]
        dims = value.dims if isinstance(value, xr.DataArray) else ()
        if {*dims} & {"Q", "E"}:
            raise QuantityError(
                f"{name} is over {dims}; it may depend on the sample, not on Q or E",
                fix=f"pass a number, such as {name}.mean()",
            )
        units = "angstrom**2"
        argument = xr.DataArray(along(data, value, name, units, default=bare))
        if (require_finite(argument.values, name) < 0).any():
            raise QuantityError(
                f"{name} must be zero or positive, not {argument.values.min():g}"
            )
        argument = argument * U2_CONVENTIONS[name]
    if "u2" not in data.coords:
        if argument is None:
            raise QuantityError(
                "the mean-square displacement u2 is not known",
                fix="pass u2='0.012 angstrom^2' (per axis), measure it with "
                ".bp.debye_waller(), or pass u2='0 angstrom^2' for a liquid, which has "
                "no Debye-Waller factor",
            )
        return argument
    carried = _carried(data["u2"], QuantityError, zero=True)
    if argument is not None:
        _require_same(argument, carried, str(name), "angstrom^2", QuantityError)
    return carried


def along(
    data: xr.DataArray,
    given: Any,
    name: str,
    units: str,
    *,
    default: str | None = None,
    energy: bool = False,
) -> xr.Variable:
    """Return an argument that is one number, or an array over dimensions of the data.

    Parameters
    ----------
    data : xarray.DataArray
        The data, on whose grid an array must be.
    given : scalar with units, or DataArray
        What the user passed; bare numbers are in `default`, or else in `units`.
    name, units, energy
        As for `magnitude`.

    Raises
    ------
    QuantityError, CoordinateError
        If an array is over another dimension or grid.
    UnitsError
        As for `magnitude`.

    Examples
    --------
    >>> E = ("E", [1.0, 2.0], {"units": "meV"})
    >>> S = xr.DataArray([3.0, 4.0], dims="E", coords={"E": E})
    >>> along(S, xr.DataArray([10.0, 20.0], {"E": E}, "E"), "scale", "1").values
    array([10., 20.])
    """
    if isinstance(given, xr.DataArray):
        given = unwrap(given)[0]
    number, own = split_quantity(given, name)
    if not isinstance(number, xr.DataArray) or not number.ndim:
        single = magnitude(given, units, name=name, default=default, energy=energy)
        return xr.Variable((), single)
    if not {*number.dims} <= {*data.dims} or number.dtype.kind not in "fiu":
        raise QuantityError(
            f"{name} is over {number.dims} and of type {number.dtype}; it must be real "
            f"numbers over dimensions of the data, {tuple(map(str, data.dims))}"
        )
    require_same_grid(data, number, number.dims)
    factor = convert_factor(own or default or units, units, name=name, energy=energy)
    array: xr.Variable = number.variable.astype(float) * factor
    return array


def stated(data: xr.DataArray, name: str, given: Any, options: Any, why: str) -> str:
    """Return an attribute of the data, or else the argument of the same name.

    Parameters
    ----------
    options : collection or typing.Literal
        What it can be.
    why : str
        A clause that explains why it is needed.

    Raises
    ------
    QuantityError
        If it is neither given nor carried, is not an option, or the two differ.

    Examples
    --------
    >>> C = xr.DataArray(1.0, name="C", attrs={"amount": "atoms"})
    >>> stated(C, "amount", None, ("atoms", "formula units"), "C is per mole")
    'atoms'
    """
    carried = data.attrs.get(name)
    if given is None and carried is None:
        known = get_args(options) or tuple(options)
        fix = " or ".join(f"{name}={option!r}" for option in known)
        raise QuantityError(f"attrs['{name}'] is missing: {why}", fix=fix)
    found: str = choose(carried if given is None else given, options, name)
    if carried not in (None, found):
        raise QuantityError(f"{name}={found!r}, but '{data.name}' has {carried!r}")
    return found


def errors_of_conditions(
    value: xr.DataArray, coords: Mapping[str, xr.Variable], given: Mapping[str, Any]
) -> dict[str, xr.Variable]:
    """Return the standard deviations of T and u² that are given or carried."""
    found = {}
    for name, argument in given.items():
        carried: Any = value.coords.get(f"{name}_std")
        if argument is None and (carried is None or name not in coords):
            continue
        label, own = ERRORS[name], labels(name)
        if name not in coords:
            not_used("this factor does not depend on it", **{label: argument})
        bare = f"({value['Q'].attrs['units']})**-2" if name == "u2" else "K"
        error = carried if argument is None else argument
        std = along(value, error, label, own["units"], default=bare)
        dims = coords[name].dims
        if not {*std.dims} <= {*dims} or not ((std >= 0) & (std < np.inf)).all():
            bad = f"over {std.dims}, but {name} over {dims}"
            if {*std.dims} <= {*dims}:
                bad = f"{std.values}, negative or not finite"
            raise QuantityError(f"{label} is {bad}")
        source = "" if argument is not None else carried.attrs.get("source", "")
        std.attrs = {
            "units": own["units"],
            "long_name": f"standard deviation of {own['long_name']}",
            "source": source or fingerprint(name, value, coords[name], std),
        }
        found[name] = std
    return found


def given_axis(
    given: Any,
    dim: str,
    default: str | None = None,
    *,
    error: type[XbpError] = CoordinateError,
) -> tuple[np.ndarray, str]:
    """Return an axis that a user gives as an argument.

    Parameters
    ----------
    given : 1-D array, list, pint.Quantity, or DataArray with units
        Ascending real numbers; a single one is an axis too.
    dim : {"Q", "E", "temperature"}
        What they are: momentum transfers, energies or temperatures.
    default : str, optional
        Units of bare numbers: by default 1/angstrom, meV or K.
    error : type, optional
        Class of the error for values that are not such numbers.

    Returns
    -------
    values : numpy.ndarray, shape (n,)
    units : str
        Theirs.

    Raises
    ------
    CoordinateError
        If they are no such numbers: masked, complex, dates, text, rows of different
        lengths, not ascending.
    UnitsError
        If their units are of something else.

    Examples
    --------
    >>> given_axis([2, 10.0], "temperature")
    (array([ 2., 10.]), 'K')
    """
    numbers, units, default = given, None, default or _BARE[dim]
    if not isinstance(given, list | tuple | dict | str):
        numbers, units = split_quantity(given, dim)
    # Units of single numbers in a list would be lost.
    own_units = isinstance(given, list | tuple) and any(
        hasattr(one, "magnitude") or isinstance(one, xr.DataArray) for one in given
    )
    try:
        numbers = getattr(numbers, "values", numbers)
        masked = bool(np.ma.is_masked(numbers))
        values = np.atleast_1d(np.asarray(None if masked or own_units else numbers))
    except (TypeError, ValueError):  # rows of different lengths
        values = np.array([None])
    if (
        values.dtype.kind not in "fiu"
        or values.ndim != 1
        or values.size == 0
        or not np.isfinite(values).all()
        or (np.diff(values.astype(float)) <= 0).any()
    ):
        raise error(
            f"{dim}={shown(given)} must be ascending, finite real numbers",
            fix=f"{dim}=np.linspace(start, stop, n), in {units or default}",
        )
    values, units = values.astype(float), units or default
    if dim == "temperature":
        to_kelvin(values, units, name=dim)
    else:
        convert_factor(units, _BARE[dim], name=dim, energy=dim == "E")
    return values, units


def check_statistics(value: Any, wanted: str | None = None, fix: str = "") -> str:
    """Return ``"quantum"`` or ``"classical"``.

    Raises
    ------
    QuantityError
        If it is neither, or not the one that is `wanted`.
    """
    if value is None:
        raise QuantityError(
            "attrs['statistics'] is missing",
            reason="measured spectra obey detailed balance, those of MD are even in E",
            fix="data.attrs['statistics'] = 'quantum' if measured, 'classical' for MD",
        )
    found: str = choose(value, ("quantum", "classical"), "statistics")
    if wanted not in (None, found):
        raise QuantityError(f"S(Q,E) is {found}, and must be {wanted}", fix=fix)
    return found


def resolve_fixed_energy(
    data: xr.DataArray, *, incident_energy: Any = None, final_energy: Any = None
) -> tuple[str, xr.DataArray]:
    """Find which energy the instrument fixes, and its value.

    Parameters
    ----------
    data : xarray.DataArray
        Data that may carry ``attrs["geometry"]`` and the coordinate ``incident_energy``
        (direct) or ``final_energy`` (indirect), a scalar or over the detectors.
    incident_energy, final_energy : scalar with units, optional
        One of them, where the data do not carry it; a bare number is in meV.

    Returns
    -------
    geometry : {"direct", "indirect"}
        Which of the two is fixed.
    energy : xarray.DataArray
        The fixed energy in meV, a scalar or over the detectors.

    Raises
    ------
    CoordinateError
        If it is missing, not positive, or given twice with different values.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> geometry, energy = resolve_fixed_energy(S, final_energy="1.845 meV")
    >>> geometry, float(energy)
    ('indirect', 1.845)
    """
    given = {"incident_energy": incident_energy, "final_energy": final_energy}
    given = {name: value for name, value in given.items() if value is not None}
    carried = [name for name in FIXED_ENERGY.values() if name in data.coords]
    geometry = data.attrs.get("geometry")
    names = {*given, *carried}
    if names and geometry in FIXED_ENERGY:
        names.add(FIXED_ENERGY[geometry])
    if len(names) != 1:
        raise CoordinateError(
            f"exactly one of {' and '.join(FIXED_ENERGY.values())} is needed; "
            f"given: {' and '.join(sorted(names)) or 'none'}",
            fix="pass incident_energy='60 meV' for direct geometry, or "
            "final_energy='1.845 meV' for indirect geometry",
        )
    (name,) = names
    argument = None
    if given:
        value = require_positive(
            given[name], name, "meV", energy=True, error=CoordinateError
        )
        argument = xr.DataArray(value)
    kind = {coordinate: kind for kind, coordinate in FIXED_ENERGY.items()}[name]
    if argument is not None and not carried:
        return kind, argument
    # A detector without an energy is not an error; one with a wrong energy is.
    filled = data[name].fillna(data[name].max())
    energy = _carried(filled, CoordinateError)
    if argument is not None:
        _require_same(argument, energy, name, "meV", CoordinateError)
    return kind, energy.where(data[name].notnull().variable)
