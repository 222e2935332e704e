"""Momentum transfer of a neutron, and the energy resolution of spectrometers.

k_i² = k_f² + E/c with c = ħ²/2m = 2.0721 meV Å². Q = √(k_i² + k_f² − 2 k_i k_f cos 2θ)
is symmetric in k_i and k_f, so that indirect geometry (k_f fixed) at E has the Q of
direct geometry (k_i fixed) at −E.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import FIXED_ENERGY, given_axis, resolve_fixed_energy
from xbp.core.data import require_dims, require_values
from xbp.core.errors import CoordinateError, QuantityError, require
from xbp.core.grid import is_pair
from xbp.core.guards import require_number, require_order, require_positive
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit
from xbp.core.signal import extend_history, read, result_table
from xbp.core.units import convert_factor
from xbp.models.lineshapes import FWHM_PER_SIGMA

__all__ = [
    "detector_degrees",
    "direct_geometry_resolution",
    "instrument_resolution",
    "kinematic_limits",
    "momentum_transfer",
    "wave_number",
    "wave_numbers",
]


def wave_number(energy: np.ndarray | float) -> np.ndarray:
    """Return the wave number (1/angstrom) of neutrons of an energy (meV).

    0 where it is negative.

    Examples
    --------
    >>> float(wave_number(81.8042).round(4))
    6.2832
    """
    return np.sqrt(np.maximum(energy, 0.0) / constants.HBAR2_OVER_2M)


def wave_numbers(
    energy: np.ndarray | float, fixed_energy: np.ndarray | float, geometry: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return k_i and k_f (1/angstrom) at an energy transfer (meV).

    NaN where a neutron cannot have it.

    Examples
    --------
    >>> [float(k.round(4)) for k in wave_numbers(1.2, 1.845, "indirect")]
    [1.2122, 0.9436]
    """
    other = fixed_energy - energy if geometry == "direct" else fixed_energy + energy
    free = np.where(np.asarray(other) >= 0, wave_number(other), np.nan)
    fixed = np.broadcast_to(wave_number(fixed_energy), free.shape)
    return (fixed, free) if geometry == "direct" else (free, fixed)


def momentum_transfer(
    energy: np.ndarray | float,
    fixed_energy: np.ndarray | float,
    two_theta: np.ndarray | float,
    geometry: str = "direct",
) -> np.ndarray:
    """Return Q = √(kᵢ² + k_f² − 2 kᵢ k_f cos 2θ) in 1/angstrom.

    Parameters
    ----------
    energy : float or numpy.ndarray
        Energy transfer in meV, loss positive; broadcast against `two_theta`.
    fixed_energy : float or numpy.ndarray
        Incident energy (direct geometry) or final energy (indirect geometry), in meV.
    two_theta : float or numpy.ndarray
        Scattering angle in degrees.
    geometry : {"direct", "indirect"}
        Which energy is fixed.

    Returns
    -------
    numpy.ndarray
        NaN where a neutron cannot have the energy transfer.

    Examples
    --------
    >>> momentum_transfer(0.0, 81.8042, np.array([0.0, 60.0, 180.0])).round(4)
    array([ 0.    ,  6.2832, 12.5664])
    >>> momentum_transfer(np.array([0.4, -0.4]), 1.845, 100.0, "indirect").round(3)
    array([1.521, 1.364])
    """
    ki, kf = wave_numbers(np.asarray(energy, dtype=float), fixed_energy, geometry)
    # (kᵢ − k_f)² + 4 kᵢ k_f sin²θ does not cancel at small angles.
    Q: np.ndarray = np.sqrt(
        (ki - kf) ** 2 + 4 * ki * kf * np.sin(np.radians(two_theta) / 2) ** 2
    )
    return Q


@operation(
    takes="signal",
    gives="kinematic_limits",
    step=2,
    suggested="detector_spectra",
    needs=("fixed_energy",),
)
def kinematic_limits(
    data: xr.DataArray | xr.Dataset,
    two_theta: Any = None,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
) -> xr.Dataset:
    """Find the range of Q that an instrument reaches at each energy transfer.

    Q² = kᵢ² + k_f² − 2 kᵢ k_f cos 2θ, at the smallest and the largest scattering angle,
    with kᵢ fixed (direct geometry) or k_f fixed (indirect geometry).

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    two_theta : scalar or pair of scalars with units, optional
        Smallest and largest scattering angle (bare: degrees), or one angle; by default
        those of the data's detectors, or 0 and 180 degrees.
    incident_energy, final_energy : scalar with units, optional
        As for `angle_to_Q`.

    Returns
    -------
    xarray.Dataset
        ``Q_min`` and ``Q_max`` over E in 1/angstrom, NaN where a neutron cannot have
        the energy transfer. Where detectors have energies of their own, the limits of
        them all.

    Raises
    ------
    CoordinateError
        If the fixed energy is missing or contradictory.
    RangeError
        If there are more than two angles, or they do not ascend between 0 and 180
        degrees.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> angles = ("3 degree", "135 degree")
    >>> limits = kinematic_limits(S, angles, incident_energy="60 meV")
    >>> limits.Q_max.sel(E=0, method="nearest").item()
    9.94...
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "kinematic_limits", error=CoordinateError)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    energies = np.unique(fixed.values[np.isfinite(fixed.values)])
    if two_theta is None and "two_theta" in value.coords:
        angles = detector_degrees(value, "two_theta")
        two_theta = (np.nanmin(angles), np.nanmax(angles))
    given = (0.0, 180.0) if two_theta is None else two_theta
    first, last = given if is_pair(given) else (given, given)
    low, high = (
        require_number(angle, "two_theta", "degree", least=0, most=180)
        for angle in (first, last)
    )
    require_order(low, high, "two_theta", "degrees")
    energy = value["E"].values * per_unit(value, "E")
    limits = (
        xr.DataArray(
            combine.reduce(
                momentum_transfer(energy, energies[:, np.newaxis], angle, geometry)
            ),
            dims="E",
            coords={"E": value.E},
        )
        for angle, combine in ((low, np.fmin), (high, np.fmax))
    )
    table: xr.Dataset = result_table(
        signal,
        {
            name: (limit, "1/angstrom", f"{word} Q that is reached")
            for name, word, limit in zip(
                ("Q_min", "Q_max"), ("smallest", "largest"), limits, strict=True
            )
        },
        quantity="kinematic_limits",
        operation="kinematic_limits",
        arguments={
            "two_theta": f"{low:g} to {high:g} degree",
            FIXED_ENERGY[geometry]: energy_text(energies),
        },
    )
    return table


def energy_text(energies: np.ndarray) -> str:
    """Write a fixed energy, or how many there are, for the history."""
    if energies.size == 1:
        return f"{energies[0]:.10g} meV"
    return f"{energies.size} from {energies[0]:.10g} to {energies[-1]:.10g} meV"


def detector_degrees(value: xr.DataArray, name: str) -> np.ndarray:
    """Return the scattering angles of detectors, or their widths, in degrees."""
    if name not in value.coords or value[name].dims != ("detector",):
        raise CoordinateError(
            f"the detectors of '{value.name}' have no '{name}'",
            fix=f"data = data.assign_coords({name}=('detector', values, {{'units': "
            "'degree'}))",
        )
    factor = convert_factor(
        value[name].attrs.get("units", "1"), "degree", name=f"coordinate '{name}'"
    )
    degrees: np.ndarray = value[name].values.astype(float) * factor
    known = degrees[~np.isnan(degrees)]
    require_values(
        known, f"'{name}'", "degrees", least=0, most=180, error=CoordinateError
    )
    return degrees


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
            "E is from indirect geometry",
            fix="take the measured width: data.bp.fit_elastic_line().fwhm",
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
    path = require_number(path_spread, "path_spread", "m", least=0)
    axis, units, mev = _energies(E)
    require_values(mev, "E (limited by incident_energy)", "meV", below=ei)
    # Speed in m/µs of a neutron of given meV.
    speed = np.sqrt(2 * ei * 1e-3 * scipy.constants.e / scipy.constants.m_n) * 1e-6
    left = 1 - mev / ei
    rho = left**1.5
    parts = (
        (1 + (l1 + l2) / l3 * rho) * dt_c,
        (1 + l2 / l3 * rho) * dt_m,
        left * (l1 / l3) * path / speed,
    )
    fwhm = 2 * ei / (l1 / speed) * np.sqrt(sum(part**2 for part in parts))
    arguments = {
        "incident_energy": f"{ei:g} meV",
        **{name: f"{x:g} m" for name, x in zip(distances, (l1, l2, l3), strict=True)},
        "moderator_time": f"{dt_m:g} us",
        "chopper_time": f"{dt_c:g} us",
        "path_spread": f"{path:g} m",
    }
    curve = _curve(axis, units, fwhm, "direct_geometry_resolution", arguments)
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
    resins = require("resins", "compute the resolution of instruments", "resolution")
    axis, units, mev = _energies(E)
    try:
        ask = resins.Instrument.from_default(instrument).get_resolution_function
        found = ask(*([] if model is None else [model]), **configuration)
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
            fix="resins.Instrument.available_instruments(), help(resins.Instrument)",
        ) from error
    what = f"the resolution of {instrument!r} at these energies"
    require_values(sigma, what, above=0, below=np.inf, error=QuantityError)
    arguments = {"instrument": instrument, "model": model, **configuration}
    fwhm = sigma * FWHM_PER_SIGMA
    return _curve(axis, units, fwhm, "instrument_resolution", arguments)


def _energies(E: Any) -> tuple[np.ndarray, str, np.ndarray]:
    """Return ascending energies, their units, and the energies in meV."""
    values, units = given_axis(list(E) if isinstance(E, range) else E, "E")
    return values, units, values * convert_factor(units, "meV", name="E", energy=True)


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
        "long_name": "energy resolution, FWHM",
        "history": extend_history(None, operation, arguments),
    }
    factor = convert_factor("meV", units, name="E", energy=True)
    coordinate = ("E", E, labels("E") | {"units": units})
    return xr.DataArray(fwhm * factor, {"E": coordinate}, ("E",), "fwhm", attrs)
