"""What a sample was under, and the instrument.

Temperature, mean-square displacement, kind of statistics, geometry.

Each comes from an argument or from the data, never from both with different values, and
is never guessed.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError, TemperatureError, UnitsError
from xbp.core.pint_data import unwrap
from xbp.core.schema import COORDINATES, require_same_grid, require_units
from xbp.core.units import (
    convert_factor,
    magnitude,
    split_quantity,
    to_kelvin,
)

__all__ = [
    "FIXED_ENERGY",
    "along",
    "resolve_fixed_energy",
    "resolve_temperature",
    "resolve_u2",
    "temperature_coordinate",
]

#: The coordinate that holds the fixed energy of each geometry, ``attrs["geometry"]``.
FIXED_ENERGY: Final = {"direct": "incident_energy", "indirect": "final_energy"}

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
    kelvin = magnitude(value, "K", name="T")
    if kelvin <= 0:
        raise TemperatureError(
            f"T={value} is {kelvin:g} K",
            reason="a thermodynamic temperature is positive",
            fix="give it in kelvin, like T='300 K', or as T='27 degC'",
        )
    return xr.Variable((), kelvin, {"units": "K", "long_name": "temperature"})


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
        If there is none, two different ones, or one that is not positive and finite.

    Examples
    --------
    >>> import xbp
    >>> float(resolve_temperature(xbp.tutorial.open_dataset("zr46cu46al8_md").S))
    300.0
    """
    argument = None if T is None else xr.DataArray(temperature_coordinate(T))
    if "temperature" not in data.coords:
        if argument is None:
            raise TemperatureError(
                "the temperature is not known",
                reason="the data carry no coordinate 'temperature' and T= is not given",
                fix="say T='300 K'",
            )
        return argument
    carried = data.coords["temperature"]
    units = require_units(carried, "coordinate 'temperature'", "K")
    if carried.dtype.kind not in "fiu":
        raise TemperatureError(
            f"coordinate 'temperature' holds values of type {carried.dtype}",
            reason="a temperature is a real number",
            fix="data = data.assign_coords(temperature=...), in kelvin",
        )
    values = carried.values.astype(float)
    if units != "K":
        values = np.asarray(to_kelvin(values, units, name="coordinate 'temperature'"))
    kelvin = carried.copy(data=values)
    if not (np.isfinite(values) & (values > 0)).all():
        raise TemperatureError(
            f"coordinate 'temperature' holds {values.min():g} K",
            reason="a thermodynamic temperature is finite and positive",
            fix="data = data.assign_coords(temperature=...), in kelvin",
        )
    if argument is not None and not np.allclose(
        values, float(argument), rtol=1e-9, atol=0
    ):
        raise TemperatureError(
            f"T={T} ({float(argument):g} K) contradicts the data's temperature "
            f"({values.min():g} K)",
            reason="two different temperatures are given",
            fix="leave T= out, or data.drop_vars('temperature') if the data are wrong",
        )
    return xr.DataArray(
        kelvin.drop_vars([c for c in kelvin.coords if c not in kelvin.dims])
    )


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
        If there is none, more than one, two that differ, or a negative one.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S.drop_vars("u2")
    >>> round(float(resolve_u2(S, msd="0.06 angstrom^2")), 12)
    0.01
    """
    given = {
        key: value
        for key, value in {
            "u2": u2,
            "u2_total": u2_total,
            "msd": msd,
            "B_iso": B_iso,
        }.items()
        if value is not None
    }
    if len(given) > 1:
        raise QuantityError(
            f"{' and '.join(given)} are given",
            reason="they are one displacement in different conventions",
            fix="give one of them",
        )
    argument = None
    for name, value in given.items():
        bare = (
            f"({data['Q'].attrs['units']})**-2" if "Q" in data.coords else "angstrom**2"
        )
        argument = _displacement(value, name, bare) * U2_CONVENTIONS[name]
        _require_on(data, argument, value, name)
    if "u2" not in data.coords:
        if argument is None:
            raise QuantityError(
                "the mean-square displacement u2 is not known",
                reason="the data carry no coordinate 'u2' and none of u2=, u2_total=, "
                "msd=, B_iso= is given",
                fix="say u2='0.012 angstrom^2' (per axis), measure it with "
                ".bp.debye_waller(), or say "
                "u2='0 angstrom^2' to leave the Debye-Waller factor out, as of a "
                "liquid, which has none",
            )
        return argument
    carried = _displacement(data.coords["u2"], "u2", None)
    if argument is not None and not np.allclose(
        carried.values, argument.values, rtol=1e-9, atol=0
    ):
        raise QuantityError(
            f"{next(iter(given))} means u2 = {argument.values.min():g} angstrom^2, "
            "the data carry "
            f"{carried.values.min():g} angstrom^2",
            reason="two different displacements are given",
            fix="leave the argument out, or data.drop_vars('u2') if the data are wrong",
        )
    return carried


def _displacement(value: Any, name: str, default: str | None) -> xr.DataArray:
    """Return a displacement in angstrom² as an array, finite and not negative."""
    plain = isinstance(value, xr.DataArray) and not hasattr(value.data, "magnitude")
    if plain and isinstance(value.attrs.get("units"), str):
        number, units = value, value.attrs["units"]
    else:
        number, units = split_quantity(value, name)
    if units is None and default is None:
        raise UnitsError(
            f"coordinate '{name}' has no units",
            reason="xbp never guesses them",
            fix=f"data['{name}'].attrs['units'] = '{COORDINATES['u2'][0]}'",
        )
    if isinstance(number, xr.DataArray):
        factor = convert_factor(units or default or "", "angstrom**2", name=name)
        array = (number.astype(float) * factor).drop_vars(
            [c for c in number.coords if c not in number.dims]
        )
    else:
        array = xr.DataArray(
            magnitude(value, "angstrom**2", name=name, default=default)
        )
    if array.size == 0 or not (np.isfinite(array.values) & (array.values >= 0)).all():
        raise QuantityError(
            f"{name} is {array.values.min() if array.size else 'empty'} angstrom^2",
            reason="a mean-square displacement is finite and not negative",
            fix="look at the status of the result it was taken from, or give a number",
        )
    return array


def _require_on(data: xr.DataArray, array: xr.DataArray, given: Any, name: str) -> None:
    """Hold an array of displacements to the leftover dimensions of the data."""
    for dim in array.dims:
        if dim not in data.dims or dim in ("Q", "E"):
            raise QuantityError(
                f"{name} is an array over {array.dims}",
                reason=f"the data have the dimensions {data.dims}, and a displacement "
                "is a sample's, not a bin's",
                fix="give a scalar, or one value for each of the data's further "
                f"dimensions, such as {name}.mean()",
            )
    if isinstance(given, xr.DataArray):
        require_same_grid(data, given, array.dims)


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


def check_statistics(value: Any) -> str:
    """Return ``"quantum"`` or ``"classical"``.

    Raises
    ------
    QuantityError
        If it is neither, saying what tells them apart.
    """
    if isinstance(value, str) and value in ("quantum", "classical"):
        return value
    raise QuantityError(
        "attrs['statistics'] is missing"
        if value is None
        else f"statistics={value!r} is neither 'quantum' nor 'classical'",
        reason="measured S(Q,E) obeys detailed balance, S(Q,E) straight from MD is "
        "even in E, and their "
        "thermal factors differ by up to a factor of two in the range of interest",
        fix="data.attrs['statistics'] = 'quantum' for measured data, 'classical' for "
        "MD",
    )


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
    said = data.attrs.get("geometry")
    names = {*given, *carried} | (
        {FIXED_ENERGY[said]} if said in FIXED_ENERGY else set()
    )
    if len(names) != 1 or not (given or carried):
        raise CoordinateError(
            "the fixed energy of the instrument is "
            + ("ambiguous" if len(names) > 1 else "unknown"),
            reason="the data have "
            f"{' and '.join(carried) or 'neither incident_energy nor final_energy'}, "
            f"their geometry is {said!r}, and the arguments give "
            f"{' and '.join(given) or 'none'}",
            fix="incident_energy='60 meV' for direct geometry, final_energy='1.845 "
            "meV' for indirect geometry",
        )
    (name,) = names
    energy = xr.DataArray(0.0)
    if carried:
        energy = data[name].drop_vars(
            [c for c in data[name].coords if c not in data[name].dims]
        )
        units = require_units(energy, f"coordinate '{name}'", "meV")
        energy = energy.astype(float) * convert_factor(
            units, "meV", name=f"coordinate '{name}'", energy=True
        )
    if given:
        argument = xr.DataArray(magnitude(given[name], "meV", name=name, energy=True))
        if carried and not np.allclose(energy, argument, rtol=1e-6, atol=0):
            raise CoordinateError(
                f"{name}={given[name]!r}, but the data have "
                f"{float(energy.mean()):.10g} meV",
                reason="two different energies are given",
                fix=f"leave {name}= out, or data.drop_vars('{name}') if the data are "
                "wrong",
            )
        energy = energy if carried else argument
    if not (energy.dropna(energy.dims[0]) if energy.ndim == 1 else energy).pipe(
        lambda e: (e > 0).all() and e.size
    ):
        raise CoordinateError(
            f"{name} is {float(energy.min()):g} meV",
            reason="the energy of a neutron must be positive",
            fix=f"pass {name}='60 meV'",
        )
    return next(
        kind for kind, coordinate in FIXED_ENERGY.items() if coordinate == name
    ), energy
