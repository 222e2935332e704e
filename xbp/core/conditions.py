"""Sample conditions, such as temperature, and the instrument.

Each comes from an argument or from the data, never from both with different values, and
is never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr

from xbp.core.data import require_finite, unwrap
from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    TemperatureError,
    XbpError,
    require_absolute,
    shown,
)
from xbp.core.grid import require_same_grid
from xbp.core.guards import choose, exactly_one, require_positive
from xbp.core.numbers import span
from xbp.core.schema import COORDINATES, require_units
from xbp.core.units import convert_factor, magnitude, split_quantity, to_kelvin

__all__ = [
    "FIXED_ENERGY",
    "STATISTICS",
    "WHY_STATISTICS",
    "along",
    "bare_units",
    "dimension_of",
    "given_axis",
    "resolve",
    "resolve_fixed_energy",
    "stated",
    "statistics_of",
    "temperature_coordinate",
]

#: The coordinate that holds the fixed energy of each geometry, ``attrs["geometry"]``.
FIXED_ENERGY: Final = {"direct": "incident_energy", "indirect": "final_energy"}
#: What ``attrs["statistics"]`` can be.
STATISTICS: Final = ("quantum", "classical")
WHY_STATISTICS: Final = "measured spectra obey detailed balance, MD is even in E"
#: Units of the bare numbers of an axis.
_BARE: Final = {"Q": "1/angstrom", "E": "meV", "temperature": "K"}


def temperature_coordinate(value: Any) -> xr.Variable:
    """Make the scalar coordinate ``temperature`` from an argument with units (bare: K).

    Raises
    ------
    TemperatureError
        If it is not positive.
    """
    kelvin = require_positive(value, "T", "K", error=TemperatureError)
    return xr.Variable((), kelvin, {"units": "K", "long_name": "temperature"})


@dataclass(frozen=True)
class _Condition:
    """A property of the sample or the instrument, which a coordinate holds.

    Attributes
    ----------
    arguments : mapping of str to float
        The arguments that state it, and the factor from each to the coordinate.
    error : type
        Class of the error if it is missing, contradictory or not positive.
    missing, fix : str
        Its error where neither an argument nor the data have it.
    zero : bool
        Whether it may be zero, and an argument an array over dimensions of the data.
    """

    arguments: Mapping[str, float]
    error: type[XbpError]
    missing: str = ""
    fix: str = ""
    zero: bool = False


#: Arguments that sum over the axes: three, or two in a plane.
_SUMS: Final = ("u2_total", "msd")

_CONDITIONS: Final = {
    "temperature": _Condition(
        {"T": 1.0}, TemperatureError, "the temperature is not known", "pass T='300 K'"
    ),
    # Per axis; others sum over the axes (`_SUMS`), or state ⟨|r(t)−r(0)|²⟩ or the
    # crystallographers' B.
    "u2": _Condition(
        {"u2": 1.0, "u2_total": 1.0, "msd": 1 / 2, "B_iso": 1 / (8 * math.pi**2)},
        QuantityError,
        "the mean-square displacement u2 is not known",
        "pass u2='0.012 angstrom^2' (per axis; .bp.debye_waller() measures it), or "
        "u2='0 angstrom^2' for a liquid",
        zero=True,
    ),
    "incident_energy": _Condition({"incident_energy": 1.0}, CoordinateError),
    "final_energy": _Condition({"final_energy": 1.0}, CoordinateError),
}


def resolve(data: xr.DataArray, name: str, **given: Any) -> xr.DataArray:
    r"""Find a condition of the data: the argument that states it, or the coordinate.

    Parameters
    ----------
    data : xarray.DataArray
        Data that may carry the coordinate (a scalar, or over any of its dimensions).
    name : {"temperature", "u2", "incident_energy", "final_energy"}
        The coordinate.
    **given : scalar with units, or None
        At most one is not None. A temperature: ``T`` (bare: K). The mean-square
        displacement: ``u2`` per axis, as in exp(−Q²u²) of the elastic line;
        ``u2_total`` = 3u²; ``msd``, the plateau of ⟨\|r(t)−r(0)\|²⟩, = 6u²; ``B_iso`` =
        8π²u² (bare: inverse square of the data's Q unit; also an array over dimensions
        of the data other than Q and E). A fixed energy: its own name (bare: meV).

    Returns
    -------
    xarray.DataArray
        In K, angstrom² or meV, labelled as the coordinate.

    Raises
    ------
    TemperatureError, QuantityError, CoordinateError
        If it is missing, given twice, contradictory, or not positive and finite (u² may
        be zero).

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> float(resolve(S, "temperature", T=None))
    300.0
    >>> round(float(resolve(S.drop_vars("u2"), "u2", msd="0.06 angstrom^2")), 12)
    0.01
    """
    condition, (canonical, long_name) = _CONDITIONS[name], COORDINATES[name]
    attrs = {"units": canonical, "long_name": long_name}
    given = {key: value for key, value in given.items() if value is not None}
    argument = _argument(data, name, given).assign_attrs(attrs) if given else None
    if name not in data.coords:
        if argument is None:
            raise condition.error(condition.missing, fix=condition.fix)
        return argument
    coordinate, label = data.coords[name], f"coordinate '{name}'"
    require_absolute(coordinate.attrs, name)
    units = require_units(coordinate, label, canonical, error=condition.error)
    values = coordinate.values
    if units != canonical:
        if name == "temperature":  # degC has an offset
            values = np.asarray(to_kelvin(values.astype(float), units, name=label))
        else:
            energy = canonical == "meV"
            factor = convert_factor(units, canonical, name=label, energy=energy)
            values = values * factor
    low_enough = values >= 0 if condition.zero else values > 0
    if not (low_enough & (values < np.inf)).all():
        raise condition.error(
            f"{label} must be {'zero or ' * condition.zero}positive and finite, not "
            f"{shown(values.tolist())} {canonical}",
            fix=f"data = data.assign_coords({name}=...)",
        )
    if argument is not None and not np.allclose(values, argument, rtol=1e-6, atol=0):
        (stated_as,) = given
        raise condition.error(
            f"{name} = {span(argument, canonical, 6)} from {stated_as}= contradicts "
            f"the data, which have {span(values, canonical, 6)}",
            fix=f"leave {stated_as}= out",
        )
    dims = coordinate.dims
    own = {dim: coordinate.coords[dim] for dim in dims if dim in coordinate.coords}
    return xr.DataArray(values.astype(float), dims=dims, coords=own, attrs=attrs)


def _argument(data: xr.DataArray, name: str, given: Mapping[str, Any]) -> xr.DataArray:
    """Return the one argument that states a condition, in units of the coordinate."""
    label, condition = exactly_one(**given), _CONDITIONS[name]
    value, units = given[label], COORDINATES[name][0]
    if not condition.zero:
        energy = units == "meV"
        return xr.DataArray(
            require_positive(value, label, units, energy=energy, error=condition.error)
        )
    dims = value.dims if isinstance(value, xr.DataArray) else ()
    if {*dims} & {"Q", "E"}:
        raise QuantityError(
            f"{label} has dimensions {dims}; it must not depend on Q or E",
            fix=f"pass a number, such as {label}.mean()",
        )
    found = along(data, value, label, units, default=bare_units(data, name))
    least = require_finite(found.values, label).min()
    if least < 0:
        raise QuantityError(f"{label} must be zero or positive, not {least:g}")
    factor = condition.arguments[label]
    axes = dimension_of(data) if label in _SUMS else 1
    return xr.DataArray(found * (factor / axes))


def bare_units(data: xr.DataArray, name: str) -> str:
    """Return the units of bare numbers: those of u² follow from the data's Q."""
    if name == "u2" and "Q" in data.coords:
        return f"({data['Q'].attrs['units']})**-2"
    return COORDINATES[name][0]


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
    number, own = split_quantity(given, name, units)
    if not isinstance(number, xr.DataArray) or not number.ndim:
        single = magnitude(given, units, name=name, default=default, energy=energy)
        return xr.Variable((), single)
    if not {*number.dims} <= {*data.dims} or number.dtype.kind not in "fiu":
        raise QuantityError(
            f"{name} has dimensions {number.dims}, type {number.dtype}; it must be "
            f"real numbers over {tuple(map(str, data.dims))}"
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
        raise QuantityError(
            f"{name}={found!r} contradicts '{data.name}', which has {carried!r}"
        )
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
    if not isinstance(given, list | tuple | dict):
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


def statistics_of(data: xr.DataArray, wanted: str | None = None, fix: str = "") -> str:
    """Return ``attrs["statistics"]``, "quantum" or "classical".

    Raises
    ------
    QuantityError
        If it is neither, or not the one that is `wanted`.
    """
    found = data.attrs.get("statistics")
    if not isinstance(found, str) or found not in STATISTICS:
        raise QuantityError(
            f"attrs['statistics'] is {'missing' if found is None else repr(found)}",
            reason=WHY_STATISTICS,
            fix="data.attrs['statistics'] = 'quantum' if measured, 'classical' for MD",
        )
    if wanted not in (None, found):
        raise QuantityError(f"S(Q,E) is {found}, and must be {wanted}", fix=fix)
    return found


def dimension_of(
    data: xr.DataArray | xr.Dataset, wanted: int | None = None, fix: str = ""
) -> Literal[2, 3]:
    """Return ``attrs["dimension"]``: 3, or 2 of a plane of atoms.

    Raises
    ------
    QuantityError
        If it is neither, or not the one that is `wanted`.

    Examples
    --------
    >>> plane = xr.Dataset(attrs={"dimension": 2})
    >>> dimension_of(plane), dimension_of(xr.Dataset())
    (2, 3)
    """
    found: Literal[2, 3] = 3
    if (given := data.attrs.get("dimension")) is not None:
        plain = given.item() if isinstance(given, np.generic) else given
        found = choose(plain, (2, 3), "dimension")
    if wanted not in (None, found):
        raise QuantityError(
            f"the data have {found} dimensions; {wanted} are needed", fix=fix
        )
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
    carried = [name for name in FIXED_ENERGY.values() if name in data.coords]
    names = {*carried, *(name for name, value in given.items() if value is not None)}
    if names and (geometry := data.attrs.get("geometry")) in FIXED_ENERGY:
        names.add(FIXED_ENERGY[geometry])
    if len(names) != 1:
        raise CoordinateError(
            f"exactly one of {' and '.join(FIXED_ENERGY.values())} is needed; "
            f"given: {' and '.join(sorted(names)) or 'none'}",
            fix="pass incident_energy='60 meV' for direct geometry, or "
            "final_energy='1.845 meV' for indirect geometry",
        )
    (name,) = names
    kind = {coordinate: kind for kind, coordinate in FIXED_ENERGY.items()}[name]
    if not carried:
        return kind, resolve(data, name, **given)
    # A detector without an energy is not an error; one with a wrong energy is.
    filled = data[name].fillna(data[name].max())
    energy = resolve(data.assign_coords({name: filled}), name, **{name: given[name]})
    return kind, energy.where(data[name].notnull().variable)
