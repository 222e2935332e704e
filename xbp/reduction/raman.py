"""From a Raman spectrum to g(E)/E²: thermal factor, coupling, sides, baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import resolve
from xbp.core.data import (
    Data,
    is_lazy,
    require_dims,
    require_some,
    require_values,
    unwrap,
)
from xbp.core.errors import CoordinateError, QuantityError, RangeError, shown
from xbp.core.grid import is_pair, select_range
from xbp.core.guards import choose, require_positive
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit, require_units
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit
from xbp.models.factors import Coupling, Side, raman_factor, raman_shift
from xbp.reduction.sign import REVERSED_BELOW, with_right_sign

__all__ = ["to_raman_shift", "to_reduced_raman"]


@operation(takes="raman_intensity", step=15)
@carries_common_errors(linear=True)
def to_raman_shift(data: Data, laser: Any) -> Data:
    r"""Turn the wavelength axis of a Raman spectrum into the shift from the laser line.

    .. math:: \tilde\nu = 1/\lambda_{laser} - 1/\lambda

    The intensities are those of the detector's pixels and stay as they are.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``raman_intensity`` over the coordinate ``wavelength`` (with units of a length,
        in any order), and any further dimensions.
    laser : scalar with units
        Wavelength of the laser (bare: the units of the coordinate), in the same medium
        as the coordinate.

    Returns
    -------
    same type as `data`
        Over ``E`` in 1/cm, ascending; positive on the Stokes side.

    Raises
    ------
    CoordinateError
        If the coordinate ``wavelength`` is missing, it is not finite and positive, or
        there is an ``E`` beside it.
    RangeError
        If a wavelength is below half or above twice that of the laser, beyond which no
        light is scattered by vibrations: its units are others.
    UnitsError
        If it, or `laser`, is not a length.

    References
    ----------
    D. A. Long, The Raman Effect (2002), doi:10.1002/0470845767, ch. 1.

    Examples
    --------
    >>> import xarray as xr, xbp
    >>> nm = ("wavelength", [532.0, 533.0, 534.0], {"units": "nm"})
    >>> I = xr.DataArray([9.0, 5.0, 6.0], dims="wavelength", coords={"wavelength": nm},
    ...                  attrs={"units": "1", "quantity": "raman_intensity"}, name="I")
    >>> I.bp.to_raman_shift("532 nm").E.values.round(2)
    array([ 0.  , 35.27, 70.4 ])
    """
    plain, rewrap = _ascending(data, "wavelength", any_order=True)
    signal = read(plain, "raman_intensity")
    value = signal.value
    if "wavelength" not in value.dims or "wavelength" not in value.coords:
        raise CoordinateError(
            f"'{value.name}' over {tuple(value.dims)} has no coordinate 'wavelength'",
            fix="leave this out: E is the Raman shift already"
            if "E" in value.dims
            else "data.rename(x='wavelength')",
        )
    if "E" in value.dims or "E" in getattr(signal.source, "variables", value.coords):
        raise CoordinateError(
            f"'{value.name}' has both 'E' and 'wavelength'",
            fix="data.drop_vars('E')",
        )
    units = require_units(value["wavelength"], "coordinate 'wavelength'", "nm")
    line = require_positive(
        magnitude(laser, "nm", name="laser", default=units),
        "laser",
        error=CoordinateError,
    )
    nm = value["wavelength"].values.astype(float) * convert_factor(
        units, "nm", name="coordinate 'wavelength'"
    )
    require_values(nm, "the wavelength", "nm", above=0, error=CoordinateError)
    what = f"the wavelength with laser={line:g} nm"
    require_values(nm, what, "nm", least=line / 2, most=2 * line)
    E = ("E", raman_shift(nm, line), labels("E") | {"units": "1/cm"})

    def moved(array: xr.DataArray) -> xr.DataArray:
        own = [c for c in array.coords if "wavelength" in array[c].dims]
        return array.drop_vars(own).rename(wavelength="E").assign_coords(E=E)

    shifted: Data = rewrap(
        signal.answer(
            *signal.both(moved),
            operation="to_raman_shift",
            arguments={"laser": f"{line:.10g} nm"},
        )
    )
    return shifted


@operation(
    takes="raman_intensity", gives="reduced_dos", step=14, needs=("temperature",)
)
@carries_common_errors(linear=True)
def to_reduced_raman(
    data: Data,
    T: Any = None,
    coupling: Coupling = "constant",
    *,
    side: Side = "stokes",
    laser_line: Any = None,
    baseline: Any = None,
    reversed_below: float | None = REVERSED_BELOW,
    highest_shift: Any = "5000 1/cm",
) -> Data:
    r"""Return g(E)/E² from a Raman spectrum, in arbitrary units.

    .. math:: \frac{I(E)}{E\,[n(E)+1]} = C(E)\,\frac{g(E)}{E^2}

    On the anti-Stokes side n(E) replaces n(E)+1. The factor (ν_L ∓ ν)³ or ⁴ of light
    scattering is not divided out: with a laser of 532 nm it changes by 1.6 or 2.1 %
    from 0 to 100 1/cm.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``raman_intensity`` over E (meV, 1/cm or THz; positive on the Stokes side;
        ascending or descending), and any further dimensions.
    T : scalar with units, optional
        Temperature (bare: K), where the data do not carry it.
    coupling : {"constant", "linear"} or callable
        C(E): constant, proportional to E, or a function of the shift in meV, positive,
        that returns numbers without units. It is divided out: the answer is g(E)/E²
        times a constant.
    side : {"stokes", "anti-stokes"}
        Which side of the laser line; the anti-Stokes side is folded onto positive E.
    laser_line : scalar with units, optional
        Up to this shift the laser line and its filter hide the spectrum: it is left
        out.
    baseline : pair of scalars with units, or list of such pairs, optional
        Ranges of E (on `side`, positive) with background alone. One range:
        its mean is subtracted; n ranges apart from one another: the polynomial of
        degree n−1 that fits all their points best, n ≤ 6. By default nothing is
        subtracted.
    reversed_below : float, optional
        For a spectrum with both sides, (I(E) − I(−E))/(I(E) + I(−E)) is k tanh(E/2k_BT)
        with k = 1, or −1 if the sign of E is reversed. If k, fitted from 0.5 to 3 k_BT
        beyond the laser line (filters hide both sides up to different shifts below), is
        below this and five of its standard deviations below 0, the data are refused.
        None: not checked.
    highest_shift : scalar with units
        Data with no point nearer to 0 are refused: they are wavenumbers of the light
        itself, or in other units. Hydrogen, the highest vibration, has 4161 1/cm.

    Returns
    -------
    same type as `data`
        ``reduced_dos`` B(E), E > 0, in units of I/E (I/E² for the linear coupling); a
        Dataset with ``B_std``, the error of the baseline included, which bins share
        (``B_std_common``), that of T not.

    Raises
    ------
    TemperatureError, UnitsError, QuantityError, CoordinateError
        If T is missing, the data do not follow the data model, or E has the other sign.
    RangeError
        If nothing is left on that side beyond the laser line, no point is below
        `highest_shift`, a baseline range has no data, or two overlap.

    References
    ----------
    R. Shuker and R. W. Gammon, Phys. Rev. Lett. 25, 222 (1970),
    doi:10.1103/PhysRevLett.25.222 (C(E)); N. V. Surovtsev and A. P. Sokolov, Phys. Rev.
    B 66, 054205 (2002), doi:10.1103/PhysRevB.66.054205 (C ∝ E).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(10, 300, 300)
    >>> I = xbp.new_dataset("raman_intensity", E, units="1",
    ...                     coords={"E": (E, "1/cm")}, temperature="300 K")
    >>> B = I.bp.to_reduced_raman()
    >>> B.B.attrs["quantity"], B.B.attrs["units"]
    ('reduced_dos', 'cm')
    """
    choose(side, Side, "side")
    if not callable(coupling):
        choose(
            coupling,
            ("constant", "linear"),
            "coupling",
            reason="or pass a function of E",
        )
    plain, rewrap = _ascending(data, "E")
    signal = read(plain, "raman_intensity")
    require_dims(
        signal.value,
        "E",
        "to_reduced_raman",
        error=CoordinateError,
        fix="from wavelengths, data.bp.to_raman_shift(laser='532 nm')",
    )
    shift, units = signal.value["E"].values, str(signal.value["E"].attrs["units"])
    highest = require_positive(highest_shift, "highest_shift", units, energy=True)
    what = f"point nearer to 0 than {highest:.5g} {units}, the highest vibration"
    fix = "subtract the wavenumber of the laser, or raise highest_shift="
    require_some(abs(shift) <= highest, what, shift, units, fix=fix)
    limit = 0.0
    if laser_line is not None:
        limit = magnitude(laser_line, units, name="laser_line", energy=True)
    temperature = resolve(signal.value, "temperature", T=T)
    to_mev = per_unit(signal.value, "E")
    checked, _ = with_right_sign(
        signal.value,
        signal.std,
        temperature,
        reversed_below,
        lowest_x=0.5,
        end=limit * to_mev,
        means="E is positive on the Stokes side",
    )
    signal = dataclasses.replace(signal, value=checked)
    value, std, bounds = _one_side(signal, side, limit)
    level = None
    if baseline is not None:
        value, level = _without_baseline(value, std, baseline)
    E = xr.DataArray(value["E"].values * to_mev, dims="E")
    temperatures, energies = xr.broadcast(temperature, E)
    by_side = raman_factor(energies.values, temperatures.values, side)
    factor = xr.DataArray(by_side * to_mev, dims=energies.dims)
    unit = parse_unit(signal.units) / parse_unit(units)
    if coupling == "linear":
        factor, unit = factor / value["E"].values, unit / parse_unit(units)
    elif callable(coupling):
        factor = factor / xr.DataArray(_called(coupling, E.values), dims="E")
    kelvin, by = temperature.variable, factor.variable
    common = {}
    if level is not None and std is not None:
        for i in range(level.sizes["_coefficient"]):
            source = fingerprint(f"baseline {i + 1}", signal.value, baseline)
            common[source] = level.isel(_coefficient=i).variable * by
    reduced: Data = rewrap(
        signal.answer(
            (value * by).transpose(*value.dims),
            None if std is None else (std * by).transpose(*value.dims),
            common=common,
            operation="to_reduced_raman",
            arguments={
                "T": span(kelvin, "K"),
                "coupling": getattr(coupling, "__name__", "callable")
                if callable(coupling)
                else coupling,
                "side": side,
                "laser_line": f"{limit:.10g} {units}",
                "baseline": baseline,
            },
            units=format_unit(unit),
            quantity="reduced_dos",
            attrs={"probe": "light"},
            coords={"temperature": kelvin},
            bounds=bounds,
        )
    )
    return reduced


def _ascending(
    data: Any, dim: str, *, any_order: bool = False
) -> tuple[Any, Callable[[Any], Any]]:
    """Take pint off, and sort a spectrum that descends along an axis."""
    if not isinstance(data, xr.DataArray | xr.Dataset):
        return data, lambda answer: answer  # `read` refuses it
    plain, rewrap = unwrap(data)
    if dim not in plain.coords or plain[dim].dims != (dim,):
        return plain, rewrap
    values = plain[dim].values
    if any_order:
        return plain.sortby(dim), rewrap
    if values.size > 1 and values.dtype.kind in "fiu" and (np.diff(values) < 0).all():
        return plain.isel({dim: slice(None, None, -1)}), rewrap
    return plain, rewrap


def _one_side(
    signal: Signal, side: Side, limit: float
) -> tuple[xr.DataArray, xr.DataArray | None, dict[str, Any]]:
    """Return the spectrum of one side beyond the laser line, with its bounds."""
    sign = 1 if side == "stokes" else -1
    E = signal.value["E"]
    shift = sign * E.values
    # From low to high shift, so backwards on the anti-Stokes side.
    order = np.flatnonzero((shift > 0) & (shift > limit))[::sign]
    units = E.attrs["units"]
    what = f"{side[:-6]}Stokes intensity beyond {limit:g} {units}"
    require_some(order + 1, what, E.values, units)
    attrs = dict(E.attrs)

    def folded(array: xr.DataArray) -> xr.DataArray:
        own = [c for c in array.coords if c != "E" and "E" in array[c].dims]
        return (
            array.isel(E=order)
            .drop_vars(own)
            .assign_coords(E=("E", shift[order], attrs))
        )

    bounds: dict[str, Any] = {}
    if "E_bnds" in signal.source.coords:
        limits = sign * signal.source["E_bnds"].transpose("E", ...).values[order]
        bounds["E"] = np.sort(limits, axis=-1).T
    return *signal.both(folded), bounds


def _without_baseline(
    value: xr.DataArray, std: xr.DataArray | None, baseline: Any
) -> tuple[xr.DataArray, xr.DataArray]:
    """Subtract the polynomial through the ranges named; return also its errors.

    One error for each of its coefficients. A polynomial of a degree above 5 would swing
    between the ranges that fix it.
    """
    ranges = baseline
    if isinstance(baseline, slice) or is_pair(baseline):
        ranges = [baseline]
    elif isinstance(baseline, np.ndarray) and baseline.ndim == 2:
        ranges = list(baseline)
    if (
        not isinstance(ranges, list | tuple)
        or not 0 < len(ranges) <= 6
        or any(limits is None for limits in ranges)
    ):
        raise RangeError(
            f"baseline={shown(baseline)} must be one range, or a list of up to 6",
            fix="baseline=('1300 1/cm', '1500 1/cm')",
        )
    masks = [select_range(value, "E", limits, name="baseline") for limits in ranges]
    if (np.sum(masks, axis=0) > 1).any():
        raise RangeError(f"the ranges of baseline={shown(baseline)} overlap")
    inside = np.any(masks, axis=0)
    degree = len(ranges) - 1
    # One range could have a single point, and the polynomial of them all no error.
    # Dask arrays are not computed to be looked at.
    enough = inside.sum() >= degree + 2
    if enough and not is_lazy(value):
        known = _usable(value, std).isel(E=inside).sum("E")
        enough = (known >= degree + 2).any()
    if not enough:
        raise RangeError(
            f"baseline={shown(baseline)} has too few points with errors: "
            f"{degree + 2} are needed"
        )
    level, errors = over_spectra(
        _polynomial,
        value,
        std,
        gives=[("E",), ("_coefficient", "E")],
        sizes={"_coefficient": degree + 1},
        E=value["E"].values.astype(float),
        inside=inside,
        degree=degree,
    )
    return (value - level.variable).transpose(*value.dims), errors


def _usable(value: Any, std: Any) -> Any:
    """Return which points have a number, and an error whose square is one too."""
    known = np.isfinite(value)
    return known if std is None else known & (std > 1e-150) & (std < 1e150)


def _polynomial(
    value: np.ndarray,
    std: np.ndarray,
    *,
    E: np.ndarray,
    inside: np.ndarray,
    degree: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the baseline and its independent errors; NaN of too few points."""
    std = std.astype(float)
    usable = inside & _usable(value, std if std.ndim else None)
    if usable.sum() < degree + 2:
        return np.full(E.size, np.nan), np.full((degree + 1, E.size), np.nan)
    # Over the points fitted x runs from −1 to 1, where powers differ most.
    first, last = E[usable][0], E[usable][-1]
    x = (2 * E - first - last) / (last - first)
    weights = 1 / std[usable] if std.ndim else None
    powers = np.vander(x, degree + 1)
    coefficients, covariance = np.polyfit(
        x[usable],
        value[usable],
        degree,
        w=weights,
        cov="unscaled" if std.ndim else True,
    )
    variances, axes = np.linalg.eigh(covariance)
    return powers @ coefficients, (
        powers @ axes * np.sqrt(np.maximum(variances, 0.0))
    ).T


def _called(coupling: Any, E: np.ndarray) -> np.ndarray:
    """Return C(E) of a callable, which must be positive numbers for every E."""
    fix = "coupling=lambda E: 1 + (E / 5)**2, E in meV"
    try:
        with np.errstate(all="ignore"):  # what overflows is refused below
            given = coupling(E.copy())
        if hasattr(given, "units") or np.asarray(given).dtype.kind not in "fiu":
            raise TypeError("it returns no plain numbers")
        answer = np.broadcast_to(np.asarray(given, dtype=float), E.shape)
    except Exception as error:  # of a function that is not ours
        raise QuantityError(
            f"coupling(E) failed: {type(error).__name__}: {error}", fix=fix
        ) from error
    require_values(answer, "coupling(E)", above=0, below=np.inf, error=QuantityError)
    return answer
