"""Subtract, scale and convert, with units, standard deviations and grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pint
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import along
from xbp.core.covariance import shared_number
from xbp.core.data import Data, is_lazy, require_common_dims
from xbp.core.errors import QuantityError, UnitsError, shown
from xbp.core.grid import bin_limits, require_same_grid
from xbp.core.guards import choose, require_fraction, require_number
from xbp.core.independence import (
    difference_independence,
    independence_name,
    std_along,
)
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, QUANTITIES, quantity_name
from xbp.core.signal import Signal, extend_history, label_std, read, table_signal
from xbp.core.status import diagnosed
from xbp.core.units import (
    Frequency,
    convert_factor,
    format_unit,
    is_energy_like,
    magnitude,
    parse_unit,
    split_quantity,
    swap_unit,
    to_kelvin,
)
from xbp.reduction.comparable import (
    SUBTRACTED,
    all_subtracted,
    is_the_same,
    other_conditions,
    oversubtracted,
    require_comparable,
)
from xbp.reduction.dos_area import scaled_area

__all__ = [
    "convert",
    "scale",
    "subtract",
]


@operation(
    takes="signal", step=23, suggested=("dynamic_structure_factor", "detector_spectra")
)
@carries_common_errors(linear=True)
def subtract(
    data: Data,
    background: xr.DataArray | xr.Dataset,
    scale: Any = 1.0,
    *,
    scale_std: Any = 0.0,
    most_negative: float = 0.01,
) -> Data:
    """Subtract a background, such as the empty can: data − scale · background.

    σ² = σ_data² + scale² σ_background² + σ_scale² background², for independent
    measurements. The last term is one error that all bins share: it is kept apart, with
    its sign, in ``<name>_std_common``, and does not average out. The same background
    and scale subtracted from several data sets are the same error in all of them.

    Parameters
    ----------
    data, background : xarray.DataArray or xarray.Dataset
        The same quantity on the same grid; the background is converted to the units of
        the data. A background without standard deviation is taken as exact. One that
        lacks Q or E has one error for all bins along it, recorded in
        ``Q_independence`` (``E_independence``) and, for means over any of them, in
        ``Q_error_shared``. NaN in either is NaN in the answer.
    scale : scalar or DataArray, optional
        Transmission or self-shielding factor of the sample, dimensionless: one number,
        or an array over E, Q or any other dimension of the data, on its grid. By
        default all of the background is subtracted; with −1 it is added.
    scale_std : scalar or DataArray, optional
        Its standard deviation, likewise (absolute: percent is refused, which could be
        of the scale); that of an array is one error of all its elements.
    most_negative : float, optional
        Share of the bins that may be negative by more than three standard deviations,
        those of the scale included; chance gives 0.0013.

    Returns
    -------
    same type as `data`
        With the diagnostic ``oversubtracted`` if more of the bins than `most_negative`
        are below zero by three standard deviations, and the data were not; without
        standard deviations, if the mean is negative.

    Raises
    ------
    CoordinateError
        If the grids differ, however little, naming both.
    QuantityError
        If the two were measured or reduced in different ways: another quantity,
        geometry, convention or statistics, kᵢ/k_f applied to one alone; a background
        with errors is in the data already; the factor is
        over a dimension that the data do not have; or one background with errors is
        given for all detectors.
    UnitsError
        If the units do not convert.
    RangeError
        If `most_negative` is not between 0 and 1.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> float(abs(S.bp.subtract(S, scale=1)).max())
    0.0
    """
    most = require_fraction(most_negative, "most_negative")
    signal = read(data)
    other = read(background, signal.quantity.name)
    require_common_dims(other.value, signal.value, "the background")
    require_same_grid(signal.value, other.value, other.value.dims)
    require_comparable(signal.value, other.value, "the background")
    factor, factor_std = _factor(signal.value, scale, scale_std)
    per_unit = convert_factor(other.units, signal.units, name="the background")
    in_units = other.value.variable * per_unit
    value = signal.value.variable - factor * in_units
    std, shared = None, {}
    common: dict[str, xr.Variable] = {}
    subtracted = signal.value.attrs.get(SUBTRACTED)
    if signal.std is not None:
        variance: Any = signal.std.variable**2
        if other.std is not None:
            its_std = factor * per_unit * other.std.variable
            subtracted = all_subtracted(signal, other, factor)
            if is_the_same(signal, other):
                variance = (signal.std.variable - its_std) ** 2
                its_std = 0.0 * its_std
            shared = _shared(signal, other, its_std, common)
            if not common:
                variance = variance + its_std**2
        std = variance**0.5
    if bool((factor_std > 0).any()):
        source = fingerprint("subtract scale", other.value, factor, factor_std)
        common[source] = -factor_std * in_units
    used = {"scale": factor, "scale_std": factor_std}
    whole = None if std is None else std**2 + sum(one**2 for one in common.values())
    doubts = other_conditions(signal, other)
    doubts += oversubtracted(signal, value, whole, most)
    answer: Data = signal.answer(
        value,
        std,
        common=common,
        coords=shared,
        operation="subtract",
        # The area of a difference of g(E) is unknown.
        attrs={
            "area": None,
            "area_of": None,
            SUBTRACTED: subtracted,
            **diagnosed(signal.value.attrs, *doubts),
        },
        arguments={
            "background": other.value.attrs.get("long_name", str(other.value.name)),
            **{key: span(f) for key, f in used.items() if f.any()},
        },
    )
    return answer


def _shared(
    signal: Signal, background: Signal, std: Any, common: dict[str, xr.Variable]
) -> dict[str, xr.Variable]:
    """Return f along Q and E of a difference; or add an error of all bins to `common`.

    `std` is that of the background, in the units of the data.
    """
    value = signal.value
    dims = [dim for dim in ("Q", "E") if dim in value.dims]
    missing = {*value.dims} - {*background.value.dims}
    if "detector" in missing:
        raise QuantityError(
            "one background is subtracted from all detectors; means over detectors "
            "would treat its errors as independent",
            fix="apply angle_to_Q() first, or drop the errors of the background",
        )
    if dims and missing.issuperset(dims):
        common[fingerprint("background", background.value)] = -std
        return {}
    found: dict[str, xr.Variable] = {}
    for dim in dims:
        width = None
        if dim in missing:
            lower, upper = bin_limits(signal.source, dim)
            width = xr.Variable(dim, upper - lower)
        f = difference_independence(
            value, signal.std, background.value, std**2, dim, width
        )
        found |= {} if f is None else {independence_name(dim): f}
        if dim in missing and signal.std is not None:
            both: Any = (signal.std.variable**2 + std**2) ** 0.5
            own = std_along(signal.std, dim).variable
            found |= shared_number(both, own, std, 0.0 * both, dim)
    return found


def _factor(value: xr.DataArray, given: Any, std: Any) -> tuple[xr.Variable, ...]:
    """Return a scale and its standard deviation, over dimensions of the data."""
    _refuse_pairs(given, std, "scale")
    factor, error = (
        along(value, given, "scale", "1"),
        along(value, std, "scale_std", "1"),
    )
    least = float(np.nanmin(error.values, initial=0.0))
    require_number(least, "scale_std", least=0, error=QuantityError)
    return factor, error


def _refuse_pairs(given: Any, std: Any, name: str) -> None:
    """Refuse a number with its error in one argument, and an error in percent."""
    for one in (given, std):
        text = one if isinstance(one, str) else ""
        if isinstance(one, tuple | list) or any(s in text for s in ("±", "+-", "+/-")):
            raise UnitsError(
                f"{name}={shown(one)} is not one number",
                fix=f"{name}=0.92, {name}_std=0.03",
            )
    if "%" in str(split_quantity(std, name)[1]):
        raise UnitsError(
            f"{name}_std={shown(std)} could be absolute, or relative to the {name}",
            fix=f"{name}_std=0.03, the standard deviation itself",
        )


@operation(takes="signal", step=23, suggested="interference_function")
@carries_common_errors(linear=True)
def scale(data: Data, factor: Any, factor_std: Any = 0.0) -> Data:
    """Multiply a signal by a factor, its standard deviation and units with it.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal.
    factor : scalar, with or without units
        Its units multiply those of the data; a bare number has none.
    factor_std : scalar, optional
        Its standard deviation (bare: in the units of the factor): one error that all
        bins share, kept apart in ``<name>_std_common``.

    Returns
    -------
    same type as `data`

    Raises
    ------
    UnitsError
        If the factor or its standard deviation is not a finite scalar.
    QuantityError
        If the standard deviation is negative.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> S.bp.scale("2 barn").attrs["units"]
    'b/meV'
    """
    signal = read(data)
    _refuse_pairs(factor, factor_std, "factor")
    units = split_quantity(factor, "factor", "1")[1] or "1"
    number = magnitude(factor, units, name="factor")
    error = require_number(
        factor_std, "factor_std", units, least=0, error=QuantityError
    )
    source = fingerprint("scale factor", _shape(signal.value), number, error)
    area, each = scaled_area(signal.value, number)
    answer: Data = signal.answer(
        (signal.value * number).assign_coords(each),
        None if signal.std is None else signal.std * abs(number),
        common={source: signal.value.variable * error} if error else {},
        operation="scale",
        arguments={
            "factor": f"{number:.10g} {units}",
            "factor_std": f"{error:.10g} {units}" if error else None,
        },
        units=format_unit(parse_unit(signal.units) * parse_unit(units)),
        attrs=area,
    )
    return answer


def _shape(value: xr.DataArray) -> Any:
    """Return values over the largest: the same before and after any factor."""
    if is_lazy(value) or not value.notnull().any():
        return value
    largest = value.values.flat[np.nanargmax(np.abs(value.values))]
    return np.round(value.values / (largest or 1.0), 9) + 0.0


@operation(takes=("signal", "boson_peak"))
@carries_common_errors(linear=True)
def convert(
    data: Data,
    E: str | None = None,
    Q: str | None = None,
    temperature: str | None = None,
    *,
    frequency: Frequency | None = None,
) -> Data:
    """Change the units of coordinates, and of everything that is a density in them.

    ∫ S dE is kept: a density in E is multiplied by dE_old/dE_new, its standard
    deviation too. Any other variable whose units hold the old energy unit, such as B in
    angstrom²/meV², is rewritten in the new one.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal; or a table of `boson_peak`, whose energies, widths and heights
        become those in the new unit of E.
    E, Q, temperature : str, optional
        New units. Energy, frequency (E = hν) and wavenumber (E = hcν̃) convert into one
        another.
    frequency : {"ordinary", "angular"}, optional
        What a frequency that is not in hertz means, such as ``rad/ps``; there is no
        default.

    Returns
    -------
    same type as `data`

    Raises
    ------
    UnitsError
        If the units do not convert, or a frequency could be angular or ordinary.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> in_thz = S.bp.convert(E="THz", Q="1/nm")
    >>> in_thz.attrs["units"], in_thz.Q.attrs["units"]
    ('1/THz', '1/nm')
    >>> areas = [A.isel(Q=99).integrate("E").item() for A in (S, in_thz)]
    >>> abs(areas[0] / areas[1] - 1) < 1e-12
    True
    """
    requested = {"E": E, "Q": Q, "temperature": temperature}
    new: dict[str, str] = {k: v for k, v in requested.items() if v is not None}
    if not new or not all(isinstance(units, str) for units in new.values()):
        raise UnitsError(
            f"convert({', '.join(f'{k}={shown(v)}' for k, v in new.items())}) needs "
            "units, as convert(E='THz', Q='1/nm')"
        )
    if frequency is not None:
        choose(frequency, ("ordinary", "angular"), "frequency", error=UnitsError)
    arguments = {**new, "frequency": frequency}
    if (
        isinstance(data, xr.Dataset)
        and quantity_name(data) == "boson_peak"
        and [*new] == ["E"]
    ):
        return _convert_peaks(data, new["E"], frequency)
    signal = read(data)
    # All variables of the Dataset are over the coordinate and change together.
    alone = isinstance(signal.source, xr.DataArray)
    key = "_only" if alone else str(signal.value.name)
    ds: Any = signal.source.to_dataset(name=key) if alone else signal.source
    for dim, units in new.items():
        ds = _convert_coordinate(ds, dim, units, frequency)
    history = extend_history(signal.value.attrs.get("history"), "convert", arguments)
    ds[key].attrs["history"] = history
    if alone:
        only: Data = signal.rewrap(ds[key].rename(signal.value.name))
        return only
    if signal.std is not None:
        label_std(ds, key)
    ds.attrs["history"] = history
    whole: Data = signal.rewrap(ds)
    return whole


def _convert_peaks(
    data: xr.Dataset, units: str, frequency: Frequency | None
) -> xr.Dataset:
    """Convert every column of a table of peaks whose units contain the energy's."""
    signal = table_signal(data, "boson_peak", "energy")
    old, new = signal.units, format_unit(_energy_unit(units))
    factor = convert_factor(old, new, name="'energy'", energy=True, frequency=frequency)
    out = data.copy()
    for name, variable in data.data_vars.items():
        if "units" in variable.attrs:
            rewritten, power = swap_unit(variable.attrs["units"], old, new)
            attrs = variable.attrs | {"units": rewritten}
            out[name] = (variable * factor**power).assign_attrs(attrs)
    out.attrs["history"] = extend_history(
        data.attrs.get("history"), "convert", {"E": units, "frequency": frequency}
    )
    return out


def _energy_unit(units: str) -> pint.Unit:
    unit = parse_unit(units, like=COORDINATES["E"][0])
    if not is_energy_like(unit):
        raise UnitsError(
            f"E={units!r} is not a unit of energy, frequency or wavenumber",
            fix="E='meV', 'THz' or '1/cm'",
        )
    return unit


def _convert_coordinate(
    ds: xr.Dataset, dim: str, units: str, frequency: Frequency | None
) -> xr.Dataset:
    if dim not in ds.coords:
        raise UnitsError(
            f"the data have no coordinate '{dim}' to convert",
            fix=f"leave {dim}= out",
        )
    old, name = str(ds[dim].attrs["units"]), f"coordinate '{dim}'"
    unit = parse_unit(units, like=COORDINATES[dim][0])
    new = format_unit(_energy_unit(units) if dim == "E" else unit)
    if dim == "temperature":
        kelvin = to_kelvin(ds[dim].values.astype(float), old, name=name)
        changed = kelvin * convert_factor("K", new, name=name)
        attrs = ds[dim].attrs | {"units": new}
        return ds.assign_coords({dim: (ds[dim].dims, changed, attrs)})
    factor = convert_factor(old, new, name=name, energy=dim == "E", frequency=frequency)
    out = ds.copy()
    for key in (dim, f"{dim}_bnds"):
        if key in ds.variables:
            scaled = ds[key].variable * factor
            scaled.attrs = ds[key].attrs | ({"units": new} if key == dim else {})
            assign = out.assign_coords if key in ds.coords else out.assign
            out = assign({key: scaled})
    if dim != "E":
        return out
    for column, variable in ds.data_vars.items():
        if "units" not in variable.attrs:
            continue
        # A standard deviation is a density where its variable is one.
        of = ds.get(str(column).removesuffix("_std"), variable)
        row = QUANTITIES.get(str(of.attrs.get("quantity")))
        rewritten, power = swap_unit(variable.attrs["units"], old, new)
        if power == 0 and row is not None and row.is_density and dim in variable.dims:
            # In arbitrary units it is a density too. The units keep the factor, so that
            # converting before a reduction and after it give the same.
            unit = parse_unit(variable.attrs["units"])
            power = -1
            rewritten = format_unit(unit * parse_unit(old) / parse_unit(new))
        if power:
            out[column] = variable.variable * factor**power
            out[column].attrs = variable.attrs | {"units": rewritten}
    return out
