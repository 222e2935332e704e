"""The energy resolution of an instrument, and data broadened by it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import CoordinateError, QuantityError, RangeError, UnitsError
from xbp.core.grid import bin_limits, interpolate, renamed
from xbp.core.guards import (
    choose,
    require_dims,
    require_finite,
    require_number,
    require_positive,
)
from xbp.core.independence import independence_name, mixed_independence, std_along
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.pint_data import Data, unwrap
from xbp.core.schema import COORDINATES, require_units
from xbp.core.signal import extend_history, read
from xbp.core.units import convert_factor, magnitude, split_quantity
from xbp.models.lineshapes import FWHM_PER_SIGMA

__all__ = ["convolve", "direct_geometry_resolution", "instrument_resolution"]

Width = Literal["fwhm", "sigma"]


def direct_geometry_resolution(
    E: Any,
    incident_energy: Any,
    *,
    moderator_to_chopper: Any,
    chopper_to_sample: Any,
    sample_to_detector: Any,
    moderator_time: Any,
    chopper_time: Any,
    path_spread: Any = 0.0,
) -> xr.DataArray:
    r"""Compute the energy resolution of a direct-geometry chopper spectrometer.

    .. math:: \frac{\Delta E}{E_i} = \frac{2}{t_1}\sqrt{
        \left[\left(1 + \tfrac{L_1+L_2}{L_3}\rho\right)\Delta t_c\right]^2 +
        \left[\left(1 + \tfrac{L_2}{L_3}\rho\right)\Delta t_m\right]^2 +
        \left[\tfrac{E_f}{E_i}\tfrac{L_1}{L_3}\tfrac{\Delta L_3}{v_i}\right]^2},\quad
        \rho = \left(\frac{E_f}{E_i}\right)^{3/2}

    with t₁ = L₁/v_i, the flight time from moderator to chopper. The three widths, of
    the moderator's pulse, the chopper's opening and the last flight path (sample and
    detector), are independent and small; E_f = E_i − E.

    Parameters
    ----------
    E : array_like or DataArray, shape (n,)
        Energy transfers (bare: meV), below the incident energy.
    incident_energy : scalar with units
        E_i (bare: meV).
    moderator_to_chopper, chopper_to_sample, sample_to_detector : scalar with units
        L₁, L₂, L₃ (bare: m).
    moderator_time, chopper_time : scalar with units
        Δt_m and Δt_c at the chopper, FWHM (bare: µs).
    path_spread : scalar with units
        ΔL₃, FWHM (bare: m).

    Returns
    -------
    xarray.DataArray
        FWHM over E, meV; quantity ``energy_resolution``.

    Raises
    ------
    RangeError
        If an energy transfer is not below the incident energy, or a width or distance
        is negative.
    UnitsError
        If an argument has other units.
    QuantityError
        If `E` belongs to data of indirect geometry.

    References
    ----------
    C. G. Windsor, *Pulsed Neutron Scattering* (1981); D. L. Abernathy et al., Rev. Sci.
    Instrum. 83, 015114 (2012), doi:10.1063/1.3680104.

    Examples
    --------
    >>> fwhm = direct_geometry_resolution(
    ...     [0.0, 40.0], "80 meV", moderator_to_chopper="11.6 m",
    ...     chopper_to_sample="2 m", sample_to_detector="3 m",
    ...     moderator_time="8 us", chopper_time="5 us")
    >>> fwhm.values.round(2)
    array([1.66, 0.88])
    """
    if isinstance(E, xr.DataArray) and (
        E.attrs.get("geometry") == "indirect"
        or ("final_energy" in E.coords and "incident_energy" not in E.coords)
    ):
        raise QuantityError(
            "E belongs to data of indirect geometry, which have a fixed final energy",
            fix="give convolve() the measured width: data.bp.fit_elastic_line().fwhm",
        )
    ei = require_positive(incident_energy, "incident_energy", "meV", energy=True)
    distances = {
        "moderator_to_chopper": moderator_to_chopper,
        "chopper_to_sample": chopper_to_sample,
        "sample_to_detector": sample_to_detector,
    }
    l1, l2, l3 = (require_positive(x, name, "m") for name, x in distances.items())
    dt_m = require_number(moderator_time, "moderator_time", "us", least=0)
    dt_c = require_number(chopper_time, "chopper_time", "us", least=0)
    spread = require_number(path_spread, "path_spread", "m", least=0)
    energies, units = _energies(E)
    mev = energies * convert_factor(units, "meV", name="E", energy=True)
    if (mev >= ei).any():
        raise RangeError(
            f"E reaches {mev.max():g} meV, the incident energy is {ei:g} meV; a "
            "neutron cannot lose more than it has"
        )
    # Speed in m/µs of a neutron of given meV.
    speed = np.sqrt(2 * ei * 1e-3 * scipy.constants.e / scipy.constants.m_n) * 1e-6
    left = 1 - mev / ei
    rho = left**1.5
    parts = (
        (1 + (l1 + l2) / l3 * rho) * dt_c,
        (1 + l2 / l3 * rho) * dt_m,
        left * (l1 / l3) * spread / speed,
    )
    fwhm = 2 * ei / (l1 / speed) * np.sqrt(sum(part**2 for part in parts))
    arguments = {
        "incident_energy": f"{ei:g} meV",
        **{name: f"{x:g} m" for name, x in zip(distances, (l1, l2, l3), strict=True)},
        "moderator_time": f"{dt_m:g} us",
        "chopper_time": f"{dt_c:g} us",
        "path_spread": f"{spread:g} m",
    }
    curve = _curve(energies, units, fwhm, "direct_geometry_resolution", arguments)
    return curve.assign_attrs(geometry="direct")


def instrument_resolution(
    E: Any, instrument: str, model: str | None = None, **configuration: Any
) -> xr.DataArray:
    """Take the energy resolution of an instrument from ResINS, with PyChop's models.

    Parameters
    ----------
    E : array_like or DataArray, shape (n,)
        Energy transfers (bare: meV).
    instrument : str
        As ResINS names it, like ``"ARCS"``, ``"SEQUOIA"``, ``"MARI"``, ``"LET"``.
    model : str, optional
        One of its models of that instrument; by default its own choice.
    **configuration
        Settings of that model, like ``e_init=120, chopper_frequency=600,
        chopper_package="ARCS-700-1.5-AST"``.

    Returns
    -------
    xarray.DataArray
        FWHM over E, meV; quantity ``energy_resolution``. ResINS gives σ; FWHM = 2.3548
        σ.

    Raises
    ------
    MissingDependencyError
        If resins is not installed.
    QuantityError
        If it does not know the instrument, the model or a setting, or gives no number
        at one of the energies.

    References
    ----------
    ResINS, https://resins.readthedocs.io; PyChop is part of Mantid
    (doi:10.1016/j.nima.2014.07.029).

    Examples
    --------
    >>> fwhm = instrument_resolution(
    ...     [0.0, 60.0], "ARCS", e_init=120, chopper_frequency=600)
    >>> bool(fwhm[0] > fwhm[1])
    True
    """
    resins = require("resins", "it has the models of instruments", "resolution")
    energies, units = _energies(E)
    mev = energies * convert_factor(units, "meV", name="E", energy=True)
    try:
        ask = resins.Instrument.from_default(instrument).get_resolution_function
        found = (
            ask(model, **configuration) if model is not None else ask(**configuration)
        )
        sigma = np.asarray(
            found.get_characteristics(mev[:, np.newaxis])["sigma"], dtype=float
        )
    # ResINS raises errors of its own, and Python's where a setting has another type.
    except Exception as error:
        settings = ", ".join(f"{key}={value!r}" for key, value in configuration.items())
        raise QuantityError(
            f"ResINS has no resolution for {instrument!r} with "
            f"{settings or 'its defaults'}",
            reason=str(error) or type(error).__name__,
            fix=f"instruments: {', '.join(resins.Instrument.available_instruments())}; "
            "settings: help(resins.Instrument)",
        ) from error
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        raise QuantityError(
            f"ResINS gives {instrument!r} no resolution at "
            f"{mev[~(np.isfinite(sigma) & (sigma > 0))][0]:g} meV",
            fix="leave those energies out, or raise e_init",
        )
    arguments = {"instrument": instrument, "model": model, **configuration}
    return _curve(
        energies, units, sigma * FWHM_PER_SIGMA, "instrument_resolution", arguments
    )


@operation(takes="signal", over="E", step=29, suggested="dynamic_structure_factor")
@carries_common_errors(linear=True)
def convolve(
    data: Data, resolution: Any, *, width: Width = "fwhm", tail: float = 1e-3
) -> Data:
    """Broaden a model or a simulation by the resolution of an instrument.

    The content of each bin is spread by a Gaussian of the width at its energy, and each
    bin receives the part that falls between its edges: ∫ dE is kept within the range of
    the data. Data are never deconvolved. Standard deviations follow as of independent
    bins; the bins of the answer are correlated over the width, and ``E_independence``
    is the part of an independent bin that each represents.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E. S(Q,E) on E ≥ 0 alone is first given its other side by
        `to_quantum`, or its elastic line would lose half.
    resolution : scalar with units, or DataArray over E
        The width of the Gaussian (bare: the unit of E); an array is interpolated, and
        must reach as far as the data.
    width : {"fwhm", "sigma"}
        What `resolution` is. A curve of quantity ``energy_resolution`` is a FWHM.
    tail : float
        Part of the kernel of a bin that may lie beyond the data or in NaN bins; bins
        with more are NaN.

    Returns
    -------
    same type as `data`

    Raises
    ------
    RangeError
        If the width is not positive, or the curve does not reach as far as the data.
    QuantityError, UnitsError, CoordinateError
        If the resolution is not an energy, is over another dimension, its energies are
        not ascending, or it is of another geometry than the data.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(
    ...     [1.0], np.arange(-10, 10.05, 0.1), u2="0 angstrom^2", resolution="0.6 meV")
    >>> broad = line.S.bp.convolve("0.8 meV").dropna("E")
    >>> variance = float((broad * broad.E**2).sum() / broad.sum())
    >>> round(2.3548 * variance**0.5, 2)  # 0.6 and 0.8 make 1.0
    1.0
    """
    signal = read(data)
    require_dims(signal.value, "E", "convolve", fix="convolve before the cut")
    tail = require_number(tail, "tail", above=0, below=1)
    bins = bin_limits(signal.source, "E")
    sigma = sigma_at(signal.value, resolution, width)
    value, std, shared = broaden(
        signal.value, signal.std, bins, sigma, bins, sigma, tail
    )
    dims = signal.value.dims
    answer: Data = signal.answer(
        value.transpose(*dims),
        None if std is None else std.transpose(*dims),
        operation="convolve",
        arguments={
            "resolution": resolution_text(signal.value, resolution, sigma),
            "width": width,
        },
        coords=shared,
    )
    return answer


def broaden(
    value: xr.DataArray,
    std: xr.DataArray | None,
    bins: tuple[np.ndarray, np.ndarray],
    sigma: np.ndarray,
    new_bins: tuple[np.ndarray, np.ndarray],
    new_sigma: np.ndarray,
    tail: float,
) -> tuple[xr.Variable, xr.Variable | None, dict[str, xr.Variable]]:
    """Spread every bin by its Gaussian over new bins, along E.

    Parameters
    ----------
    value, std : xarray.DataArray
        Densities over E, and their standard deviation or None.
    bins, new_bins : pair of numpy.ndarray
        Lower and upper edges; all in the unit of E.
    sigma : numpy.ndarray, shape (n,)
        Gaussian widths at the centres of the bins.
    new_sigma : numpy.ndarray, shape (m,)
        Widths at the new bins.
    tail : float
        Part of the kernel of a new bin that may lie where nothing is known.

    Returns
    -------
    value, std : xarray.Variable
        Over the new bins.
    shared : dict
        The coordinate ``E_independence`` of the new bins, where there are standard
        deviations.
    """
    E = value["E"].values.astype(float)
    low, high = (edge[:, np.newaxis] for edge in new_bins)
    share = scipy.special.ndtr((high - E) / sigma) - scipy.special.ndtr(
        (low - E) / sigma
    )
    kernel = xr.Variable(("_new", "E"), share * (bins[1] - bins[0]) / (high - low))
    middle = (new_bins[0] + new_bins[1]) / 2
    inside = scipy.special.ndtr(
        (bins[1][-1] - middle) / new_sigma
    ) - scipy.special.ndtr((bins[0][0] - middle) / new_sigma)
    valid = value.variable.notnull()
    missing = xr.dot((~valid).astype(float), kernel, dim="E")
    known = (missing < tail) & xr.Variable("_new", 1 - inside < tail)
    filled = value.variable.where(valid, 0.0)  # type: ignore[no-untyped-call]
    broad = xr.dot(filled, kernel, dim="E").where(known)
    spread = None
    shared = {}
    if std is not None:
        errors: Any = std_along(std, "E").variable
        filled = errors.where(valid, 0.0)
        spread = renamed(xr.dot(filled**2, kernel**2, dim="E").where(known) ** 0.5, "E")
        shares = kernel * xr.Variable("_new", new_bins[1] - new_bins[0])
        f = mixed_independence(value, std, shares, bins[1] - bins[0], "E")
        shared = {} if f is None else {independence_name("E"): renamed(f, "E")}
    return renamed(broad, "E"), spread, shared


def sigma_at(value: xr.DataArray, resolution: Any, width: Width) -> np.ndarray:
    """Return the Gaussian σ at the energies of data, in their units."""
    choose(width, Width, "width")
    E, units = value["E"].values.astype(float), value["E"].attrs["units"]
    if isinstance(resolution, xr.DataArray) and resolution.ndim:
        curve = unwrap(resolution)[0]
        if curve.attrs.get("quantity") == "energy_resolution" and width != "fwhm":
            raise QuantityError("the curve is a FWHM", fix="width='fwhm'")
        geometries = {x.attrs.get("geometry") for x in (curve, value)} - {None}
        if len(geometries) > 1:
            raise QuantityError(
                f"the resolution is of {curve.attrs['geometry']} geometry, the data of "
                f"{value.attrs['geometry']}",
                fix="give the measured width: data.bp.fit_elastic_line().fwhm",
            )
        wide = _curve_at(E, units, curve)
    else:
        number = magnitude(resolution, units, name="resolution", energy=True)
        wide = np.full(E.shape, number)
    if not (np.isfinite(wide) & (wide > 0)).all():
        raise RangeError(
            f"the resolution is {wide[~(wide > 0)][0]:g} {units}; a width is finite "
            "and positive"
        )
    return np.asarray(wide / FWHM_PER_SIGMA if width == "fwhm" else wide)


def resolution_text(value: xr.DataArray, resolution: Any, sigma: np.ndarray) -> str:
    """Describe a resolution for the history: FWHM, from least to largest."""
    fwhm, units = sigma * FWHM_PER_SIGMA, value["E"].attrs["units"]
    if isinstance(resolution, xr.DataArray) and resolution.ndim:
        return f"curve, FWHM {fwhm.min():.6g} to {fwhm.max():.6g} {units}"
    return f"FWHM {fwhm[0]:.10g} {units}"


def _curve_at(E: np.ndarray, units: str, curve: xr.DataArray) -> np.ndarray:
    if curve.dims != ("E",) or "E" not in curve.coords:
        raise QuantityError(
            f"the resolution is over {curve.dims}; it must be a curve over E, with a "
            "coordinate",
            fix="xr.DataArray(fwhm, {'E': ('E', energies, {'units': 'meV'})}, "
            "attrs={'units': 'meV'})",
        )
    factors = [
        convert_factor(require_units(x, name, "meV"), units, name=name, energy=True)
        for x, name in (
            (curve.E, "coordinate 'E' of the resolution"),
            (curve, "the resolution"),
        )
    ]
    own = curve.E.values.astype(float) * factors[0]
    if not np.isfinite(own).all() or (np.diff(own) <= 0).any():
        raise CoordinateError(
            "the energies of the resolution are not ascending numbers",
            fix="resolution.sortby('E').drop_duplicates('E')",
        )
    # Widths change slowly: half a bin beyond the curve its last value is used.
    step = float(np.diff(own).max()) / 2 if own.size > 1 else 0.0
    if E[0] < own[0] - step or E[-1] > own[-1] + step:
        raise RangeError(
            f"the resolution is known from {own[0]:g} to {own[-1]:g} {units}, "
            f"the data range from {E[0]:g} to {E[-1]:g}",
            fix="give it over the whole range, or cut the data: data.sel(E=slice(...))",
        )
    values = curve.assign_coords(E=own).drop_attrs(deep=False)
    at = interpolate(values, None, "E", np.clip(E, own[0], own[-1]))[0]
    return np.asarray(at.values * factors[1])


def _energies(E: Any) -> tuple[np.ndarray, str]:
    """Return ascending energies given in any way, and their units."""
    number, given = E, None
    if not isinstance(E, list | tuple | range):
        number, given = split_quantity(E, "E")
    values = np.atleast_1d(require_finite(number, "E", error=UnitsError))
    if values.ndim != 1 or values.size == 0 or (np.diff(values) <= 0).any():
        raise CoordinateError(
            f"E of shape {values.shape} is not ascending",
            fix="np.arange(start, stop, step), in meV",
        )
    return values, given or "meV"


def _curve(
    E: np.ndarray,
    units: str,
    fwhm: np.ndarray,
    operation: str,
    arguments: dict[str, Any],
) -> xr.DataArray:
    attrs = {
        "units": units,
        "quantity": "energy_resolution",
        "long_name": "energy resolution, full width at half maximum",
        "history": extend_history(None, operation, arguments),
    }
    factor = convert_factor("meV", units, name="E", energy=True)
    coordinate = ("E", E, {"units": units, "long_name": COORDINATES["E"][1]})
    return xr.DataArray(fwhm * factor, {"E": coordinate}, ("E",), "fwhm", attrs)
