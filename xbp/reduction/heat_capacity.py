"""Heat capacity: per mole, and over T³."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import CoordinateError, QuantityError, TemperatureError, UnitsError
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import (
    convert_factor,
    format_unit,
    has_offset,
    is_one_of,
    magnitude,
    parse_unit,
    to_kelvin,
)

__all__ = ["Amount", "kelvins", "reduced_heat_capacity", "to_molar"]

#: What a mole of the sample is a mole of.
Amount = Literal["atoms", "formula units"]
#: Beyond it is something else, or in other units; its cube may be no number.
TEMPERATURES = (1e-9, 1e9)
#: Beyond it one over it is no number.
POSITIVE = (1e-150, 1e150)
_AMOUNTS = ("atoms", "formula units")
#: Units in which `to_molar` takes what it is told.
_GIVEN_IN = {"mass": "mg", "molar_mass": "g/mol", "atoms": "1"}


@operation(takes="heat_capacity", step=16, when=lambda C: "amount" not in C.attrs)
@carries_common_errors(linear=True)
def to_molar(
    data: Data,
    per: Amount | None = None,
    *,
    mass: Any = None,
    molar_mass: Any = None,
    atoms: Any = None,
    amount: Amount | None = None,
) -> Data:
    r"""Return the heat capacity per mole.

    .. math:: C_m = C\,\frac{M}{m}\quad\text{(per mole of formula units)}, \quad C_m/N
    \text{ (per mole of atoms)}

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` of the whole sample (such as uJ/K), per mass (J/g/K), or per
        mole; over temperature and any further dimensions.
    per : {"atoms", "formula units"}
        What the answer is a mole of.
    mass : scalar with units, optional
        Sample mass m (bare: mg), where the data are of the whole sample and
        ``C.attrs["sample_mass"]`` is not it.
    molar_mass : scalar with units, optional
        Molar mass M of a formula unit (bare: g/mol), where ``C.attrs["molar_mass"]`` is
        not there. With the mean atomic mass of an alloy and ``atoms=1`` a formula unit
        is an atom.
    atoms : number, optional
        Atoms N in a formula unit, where it is needed and
        ``C.attrs["atoms_per_formula"]`` is not there.
    amount : {"atoms", "formula units"}, optional
        What data per mole are a mole of, where ``C.attrs["amount"]`` is not there.

    Returns
    -------
    same type as `data`
        In J/mol/K, with ``attrs["amount"]`` saying `per`; a Dataset with its std, which
        does not include the errors of m and M.

    Raises
    ------
    QuantityError
        If m, M, N or `amount` is needed and not known, contradicts the file's, or is
        not positive.
    UnitsError
        If the units are of no heat capacity.

    Examples
    --------
    >>> import xbp
    >>> C = xbp.new_dataset("heat_capacity", [8478.6], units="uJ/K", coords={"temperature": ([300.0], "K")})
    >>> molar = C.bp.to_molar("atoms", mass="7.76 mg", molar_mass="60 g/mol", atoms=3)
    >>> round(float(molar.C[0]), 2), molar.C.attrs["amount"]
    (21.85, 'atoms')
    """
    if not is_one_of(per, *_AMOUNTS):
        raise QuantityError(
            f"per={per!r} is not known",
            reason="a mole is of atoms or of formula units, and they differ by a "
            "factor",
            fix="per='atoms' or per='formula units'",
        )
    signal = read(data, "heat_capacity")
    unit, factor, used = parse_unit(signal.units), 1.0, {}
    if unit.is_compatible_with("J/mol/K"):
        factor = convert_factor(signal.units, "J/mol/K")
        own = _own_amount(signal, amount)
    elif amount is not None:
        raise QuantityError(
            f"amount={amount!r} does not apply to a heat capacity in '{signal.units}'",
            reason="amount= applies only to data per mole",
            fix=f"leave amount= out; per={per!r} sets what a mole of the result "
            "refers to",
        )
    elif unit.is_compatible_with("J/g/K") or unit.is_compatible_with("J/K"):
        own = "formula units"
        used["molar_mass"] = _known(
            signal,
            molar_mass,
            "molar_mass",
            _GIVEN_IN["molar_mass"],
            "of a formula unit",
        )
        if unit.is_compatible_with("J/K"):
            used["mass"] = _known(
                signal, mass, "sample_mass", _GIVEN_IN["mass"], "of the sample"
            )
            factor = (
                convert_factor(signal.units, "J/K")
                * used["molar_mass"]
                / (used["mass"] * 1e-3)
            )
        else:
            factor = convert_factor(signal.units, "J/g/K") * used["molar_mass"]
    else:
        raise UnitsError(
            f"'{signal.value.name}' is in '{signal.units}'",
            reason="a heat capacity is in J/K, J/g/K or J/mol/K",
            fix="data['C'].attrs['units'] = 'uJ/K'",
        )
    if own != per:
        used["atoms"] = _known(
            signal, atoms, "atoms_per_formula", _GIVEN_IN["atoms"], "in a formula unit"
        )
        factor *= 1 / used["atoms"] if per == "atoms" else used["atoms"]
    answer: Data = signal.answer(
        signal.value * factor,
        None if signal.std is None else signal.std * factor,
        operation="to_molar",
        arguments={"per": per}
        | {name: f"{number:.10g} {_GIVEN_IN[name]}" for name, number in used.items()},
        units="J/K/mol",
        attrs={"amount": per},
    )
    return answer


def _own_amount(signal: Signal, given: Any) -> str:
    """Return what a heat capacity per mole is a mole of.

    Its attribute, or the argument, never a guess.
    """
    said = signal.value.attrs.get("amount")
    if said in _AMOUNTS and given in (None, said):
        return str(said)
    if said is None and is_one_of(given, *_AMOUNTS):
        return str(given)
    name = signal.value.name
    raise QuantityError(
        f"'{name}' is per mole, but of atoms or formula units is unknown"
        if said is None and given is None
        else f"'{name}' has amount {said!r}, but amount={given!r} was passed",
        reason="a mole of atoms and a mole of formula units differ by the number of "
        "atoms",
        fix="amount='atoms' or amount='formula units', whichever describes the data",
    )


def _known(signal: Signal, given: Any, attribute: str, units: str, what: str) -> float:
    """Return what the argument or the file's header says, which must not contradict one another."""
    header = signal.value.attrs.get(attribute)
    name = (
        "mass"
        if attribute == "sample_mass"
        else "atoms"
        if attribute == "atoms_per_formula"
        else attribute
    )
    values = [
        magnitude(value, units, name=name)
        for value in (given, header)
        if value is not None
    ]
    if not values:
        subject = (
            "number of atoms"
            if attribute == "atoms_per_formula"
            else attribute.replace("_", " ")
        )
        raise QuantityError(
            f"the {subject} {what} is not known",
            reason=f"neither {name}= nor attrs['{attribute}'] of the data tells it",
            fix=f"say {name}='1 {units}', with the number that it is"
            if units != "1"
            else f"say {name}=, a number",
        )
    if not POSITIVE[0] < min(values) <= max(values) < POSITIVE[1] or (
        len(values) == 2 and not np.isclose(values[0], values[1], rtol=1e-9)
    ):
        raise QuantityError(
            f"{name} is "
            f"{' against the '.join(f'{value:g} {units}' for value in values)}"
            + (" of the file" if len(values) == 2 else ""),
            reason="it is positive, and one number",
            fix=f"leave {name}= out, or set data['C'].attrs['{attribute}'] right",
        )
    return values[0]


def kelvins(value: xr.DataArray) -> np.ndarray:
    """Return the temperatures that a heat capacity stands over, in K, held to be positive."""
    if "temperature" not in value.dims:
        raise CoordinateError(
            f"'{value.name}' has no dimension 'temperature' (it has "
            f"{tuple(value.dims)})",
            reason="a heat capacity is a function of temperature",
            fix="pass C(temperature)",
        )
    coordinate = value["temperature"]
    kelvin = np.asarray(
        to_kelvin(
            coordinate.values.astype(float),
            coordinate.attrs["units"],
            name="coordinate 'temperature'",
        )
    )
    low, high = TEMPERATURES
    if not (low < kelvin[0] and kelvin[-1] < high):
        raise TemperatureError(
            f"coordinate 'temperature' reaches from {kelvin[0]:g} to {kelvin[-1]:g} K",
            reason=f"a solid has a positive temperature, between {low:g} and {high:g} "
            "K",
            fix="data = data.sel(temperature=slice(0.1, None)), or set its units right",
        )
    return kelvin


@operation(
    takes="heat_capacity",
    gives="reduced_heat_capacity",
    step=17,
    when=lambda C: "mol" in str(C.attrs.get("units")),
)
@carries_common_errors(linear=True)
def reduced_heat_capacity(data: Data, gamma: Any = 0.0) -> Data:
    r"""Return (C − γT)/T³, whose maximum is the boson peak's in the heat capacity.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` over temperature and any further dimensions.
    gamma : scalar with units, optional
        Coefficient γ of the linear term (bare: units of the data per K), taken as
        exact.

    Returns
    -------
    same type as `data`
        ``reduced_heat_capacity`` in the units of the data over K³.

    Raises
    ------
    CoordinateError, TemperatureError, UnitsError
        If there is no dimension temperature, it is not positive, or γ is of other
        units.

    References
    ----------
    R. C. Zeller and R. O. Pohl, Phys. Rev. B 4, 2029 (1971),
    doi:10.1103/PhysRevB.4.2029.

    Examples
    --------
    >>> import xbp
    >>> C = xbp.new_dataset("heat_capacity", [9.0], units="J/mol/K", coords={"temperature": ([2.0], "K")})
    >>> float(C.bp.reduced_heat_capacity(gamma="0.5 J/mol/K^2").C_T3[0])
    1.0
    """
    signal = read(data, "heat_capacity")
    kelvin = kelvins(signal.value)
    per_kelvin = format_unit(parse_unit(signal.units) / parse_unit("K"))
    slope = magnitude(gamma, per_kelvin, name="gamma")
    if abs(slope) > POSITIVE[1]:
        raise QuantityError(
            f"gamma={slope:g} {per_kelvin}",
            reason="times a temperature it is no number",
            fix="gamma='1 mJ/mol/K^2'",
        )
    T = xr.DataArray(kelvin, dims="temperature")
    out = (signal.value - (slope * T).variable) / (T**3).variable
    answer: Data = signal.answer(
        out.transpose(*signal.value.dims),
        None
        if signal.std is None
        else (signal.std / (T**3).variable).transpose(*signal.value.dims),
        operation="reduced_heat_capacity",
        arguments={"gamma": f"{slope:.10g} {per_kelvin}"},
        units=format_unit(parse_unit(signal.units) / parse_unit("K**3")),
        quantity="reduced_heat_capacity",
        attrs={"gamma": f"{slope:.10g} {per_kelvin}"},
    )
    return answer


def in_kelvin(data: Any) -> Any:
    """Return a heat capacity with its temperatures in K, where these are given from another zero.

    Examples
    --------
    >>> T = xr.DataArray([0.0, 20.0], dims="temperature", attrs={"units": "degC"})
    >>> in_kelvin(xr.Dataset(coords={"temperature": T})).temperature.values
    array([273.15, 293.15])
    """
    T = data.coords.get("temperature")
    if (
        T is None
        or "units" not in T.attrs
        or not has_offset(parse_unit(T.attrs["units"]))
    ):
        return data
    kelvin = to_kelvin(
        T.values.astype(float), T.attrs["units"], name="coordinate 'temperature'"
    )
    return data.assign_coords(temperature=(T.dims, kelvin, T.attrs | {"units": "K"}))
