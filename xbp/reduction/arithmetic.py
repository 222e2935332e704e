"""Arithmetic that keeps units, standard deviations and grids honest."""

from __future__ import annotations

from typing import Any

import pint
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.errors import CoordinateError, QuantityError, UnitsError
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES, QUANTITIES, quantity_name, require_same_grid
from xbp.core.signal import Signal, extend_history, label_std, read, table_signal
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
from xbp.reduction.dos_area import scaled_area

__all__ = ["convert", "require_alike", "scale", "subtract"]


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
) -> Data:
    """Subtract a background, such as the empty can: data − scale · background.

    σ² = σ_data² + scale² σ_background² + σ_scale² background², all three being measured
    independently. The last term is one error that all bins share: ``<name>_std_common``
    keeps it apart, with its sign, and means over bins leave it as it is. One background
    of one scale that is subtracted from several data sets is one and the same error in
    them.

    Parameters
    ----------
    data, background : xarray.DataArray or xarray.Dataset
        The same quantity on the same grid; the background is converted to the units of
        the data. A background without standard deviation is taken as exact. NaN in
        either is NaN in the answer.
    scale : scalar or DataArray, optional
        Transmission or self-shielding factor of the sample, dimensionless: one number,
        or an array over E, Q or any other dimension of the data, on its grid.
    scale_std : scalar or DataArray, optional
        Its standard deviation, likewise; that of an array is one error of all its
        elements.

    Returns
    -------
    same type as `data`

    Raises
    ------
    CoordinateError
        If the grids differ, however little, naming both.
    QuantityError
        If the two were reduced in different ways: another quantity, convention or
        statistics, kᵢ/k_f applied to one alone; or the factor is over a dimension that
        the data have not.
    UnitsError
        If the units do not convert.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> float(abs(S.bp.subtract(S, scale=1)).max())
    0.0
    """
    signal = read(data)
    other = read(background, signal.quantity.name)
    shared = tuple(d for d in other.value.dims if d in signal.value.dims)
    missing = [d for d in other.value.dims if d not in signal.value.dims]
    if missing:
        raise CoordinateError(
            f"the background has a dimension '{missing[0]}' that the data have not",
            reason="it is not one background but several",
            fix=f"choose one: background.isel({missing[0]}=0), or average over it",
        )
    require_same_grid(signal.value, other.value, shared)
    require_alike(signal, other, "the background")
    factor, factor_std = (
        _factor(signal.value, f, n)
        for f, n in ((scale, "scale"), (scale_std, "scale_std"))
    )
    if (factor_std < 0).any():
        raise QuantityError(
            f"scale_std={scale_std!r} is negative",
            reason="a standard deviation cannot be",
            fix="give its magnitude",
        )
    in_units = other.value.variable * convert_factor(
        other.units, signal.units, name="the background"
    )
    value = signal.value.copy(
        data=(signal.value.variable - factor * in_units)
        .transpose(*signal.value.dims)
        .data
    )
    std = signal.std
    if std is not None:
        variance: xr.Variable = std.variable**2
        if other.std is not None:
            per_unit = convert_factor(other.units, signal.units)
            variance = variance + (factor * per_unit * other.std.variable) ** 2
        std = std.copy(data=(variance**0.5).transpose(*std.dims).data)
    common = {}
    if bool((factor_std > 0).any()):
        source = fingerprint("subtract scale", other.value, factor, factor_std)
        common = {source: -factor_std * in_units}
    answer: Data = signal.answer(
        value,
        std,
        common=common,
        operation="subtract",
        attrs={
            "area": None,
            "area_of": None,
        },  # of a difference of g(E) it is not known
        arguments={
            "background": other.value.attrs.get("long_name", str(other.value.name))
        }
        | {
            name: _described(f)
            for name, f in (("scale", factor), ("scale_std", factor_std))
            if f.any()
        },
    )
    return answer


def require_alike(signal: Signal, other: Signal, what: str) -> None:
    """Refuse two signals that say they were reduced in different ways."""
    for key in ("statistics", "convention", "ki_over_kf"):
        mine, its = (x.value.attrs.get(key) for x in (signal, other))
        if mine is not None and its is not None and mine != its:
            raise QuantityError(
                f"{what} has {key} {its!r}, the data {mine!r}",
                reason="they are different functions of Q and E",
                fix="reduce both in the same way first",
            )


def _factor(value: xr.DataArray, given: Any, name: str) -> xr.Variable:
    """Return a dimensionless factor as a variable over dimensions of the data."""
    number, units = split_quantity(given, name)
    if not isinstance(number, xr.DataArray) or not number.ndim:
        return xr.Variable((), magnitude(given, "1", name=name))
    foreign = [d for d in number.dims if d not in value.dims]
    if foreign or number.dtype.kind not in "fiu":
        raise QuantityError(
            f"{name} is an array over {number.dims} of type {number.dtype}",
            reason="a factor is a real number for bins of the data, which have the "
            f"dimensions {tuple(value.dims)}",
            fix=f"{name}=xr.DataArray(values, dims='E', coords={{'E': data.E}})",
        )
    require_same_grid(value, number, number.dims)
    return number.variable.astype(float) * convert_factor(units or "1", "1", name=name)


def _described(factor: xr.Variable) -> float | str:
    if not factor.ndim:
        return float(factor.values)
    return (
        f"{float(factor.min()):.10g}...{float(factor.max()):.10g} over "
        f"{', '.join(map(str, factor.dims))}"
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
    _, given = split_quantity(factor, "factor")
    units = given or "1"
    number = magnitude(factor, units, name="factor")
    error = magnitude(factor_std, units, name="factor_std", default=units)
    if error < 0:
        raise QuantityError(
            f"factor_std={factor_std!r} is negative",
            reason="a standard deviation cannot be",
            fix="give its magnitude",
        )
    std = None if signal.std is None else signal.std * abs(number)
    common = {}
    if error > 0:
        common = {
            fingerprint(
                "scale factor", signal.value, number, error
            ): signal.value.variable * error
        }
    area, each = scaled_area(signal.value, number)
    answer: Data = signal.answer(
        (signal.value * number).assign_coords(each),
        std,
        common=common,
        operation="scale",
        arguments={
            "factor": f"{number:.10g} {units}",
            "factor_std": f"{error:.10g} {units}" if error else None,
        },
        units=format_unit(parse_unit(signal.units) * parse_unit(units)),
        attrs=area,
    )
    return answer


@operation(takes="signal")
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
    arguments = {k: v for k, v in requested.items() if v is not None}
    if not arguments or not all(isinstance(v, str) for v in arguments.values()):
        raise UnitsError(
            f"convert({', '.join(f'{k}={v!r}' for k, v in arguments.items())})",
            reason="it takes the new units of one or more coordinates, as text",
            fix="data.bp.convert(E='THz', Q='1/nm')",
        )
    if (
        isinstance(data, xr.Dataset)
        and quantity_name(data) == "boson_peak"
        and set(arguments) == {"E"}
    ):
        return _convert_peaks(data, arguments["E"], frequency)
    signal = read(data)
    if frequency not in (None, "ordinary", "angular"):
        raise UnitsError(
            f"frequency={frequency!r}",
            reason="it is one of two",
            fix="'ordinary' or 'angular', or leave it out",
        )
    # Every variable of the Dataset stands on the coordinate, so all of them change
    # together.
    ds = (
        signal.source
        if isinstance(signal.source, xr.Dataset)
        else signal.source.to_dataset(name="_only")
    )
    for dim, units in arguments.items():
        ds = _convert_coordinate(ds, dim, units, frequency)
    key = signal.value.name if isinstance(signal.source, xr.Dataset) else "_only"
    history = extend_history(
        signal.value.attrs.get("history"),
        "convert",
        arguments | {"frequency": frequency},
    )
    ds[key].attrs["history"] = history
    if isinstance(signal.source, xr.DataArray):
        only: Data = signal.rewrap(ds["_only"].rename(signal.value.name))
        return only
    if signal.std is not None:
        label_std(ds, str(key))
    ds.attrs["history"] = history
    whole: Data = signal.rewrap(ds)
    return whole


def _convert_peaks(
    data: xr.Dataset, units: str, frequency: Frequency | None
) -> xr.Dataset:
    """Convert every column of a table of peaks whose units hold that of its energy."""
    signal = table_signal(data, "boson_peak", "energy")
    old, new = signal.units, format_unit(_energy_unit(units))
    factor = convert_factor(old, new, name="'energy'", energy=True, frequency=frequency)
    out = data.copy()
    for name, variable in data.data_vars.items():
        if "units" in variable.attrs:
            rewritten, power = swap_unit(variable.attrs["units"], old, new)
            out[name] = (variable * factor**power).assign_attrs(
                variable.attrs | {"units": rewritten}
            )
    out.attrs["history"] = extend_history(
        data.attrs.get("history"), "convert", {"E": units, "frequency": frequency}
    )
    return out


def _energy_unit(units: str) -> pint.Unit:
    unit = parse_unit(units, like=COORDINATES["E"][0])
    if not is_energy_like(unit):
        raise UnitsError(
            f"E={units!r} is no unit of energy transfer",
            reason="energy, frequency or wavenumber is needed",
            fix="E='meV', 'THz' or '1/cm'",
        )
    return unit


def _convert_coordinate(
    ds: xr.Dataset, dim: str, units: str, frequency: Frequency | None
) -> xr.Dataset:
    if dim not in ds.coords:
        raise UnitsError(
            f"the data have no coordinate '{dim}'",
            reason="there is nothing to convert",
            fix=f"leave {dim}= out",
        )
    old = str(ds[dim].attrs["units"])
    new = format_unit(
        _energy_unit(units)
        if dim == "E"
        else parse_unit(units, like=COORDINATES[dim][0])
    )
    if dim == "temperature":
        kelvin = to_kelvin(
            ds[dim].values.astype(float), old, name="coordinate 'temperature'"
        )
        per_kelvin = convert_factor("K", new, name="coordinate 'temperature'")
        return ds.assign_coords(
            {dim: (ds[dim].dims, kelvin * per_kelvin, ds[dim].attrs | {"units": new})}
        )
    factor = convert_factor(
        old, new, name=f"coordinate '{dim}'", energy=dim == "E", frequency=frequency
    )
    out = ds.copy()
    for name in (dim, f"{dim}_bnds"):
        if name in ds.variables:
            scaled = ds[name].variable * factor
            scaled.attrs = ds[name].attrs | ({"units": new} if name == dim else {})
            out = (
                out.assign_coords({name: scaled})
                if name in ds.coords
                else out.assign({name: scaled})
            )
    if dim != "E":
        return out
    for key, variable in ds.data_vars.items():
        if "units" not in variable.attrs:
            continue
        # A standard deviation is a density where its variable is one.
        of = ds.get(str(key).removesuffix("_std"), variable)
        row = QUANTITIES.get(str(of.attrs.get("quantity")))
        rewritten, power = swap_unit(variable.attrs["units"], old, new)
        if power == 0 and row is not None and row.is_density and dim in variable.dims:
            # In arbitrary units it is a density all the same: its numbers are per old
            # unit.
            power = -1
            rewritten = format_unit(
                parse_unit(variable.attrs["units"]) * parse_unit(old) / parse_unit(new)
            )
        if power:
            attrs = variable.attrs | {"units": rewritten}
            out[key] = variable.variable * factor**power
            out[key].attrs = attrs
    return out
