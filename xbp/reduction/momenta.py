"""The momentum transfers of a map: of its bins of Q, or of every detector and E."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy, stated
from xbp.core.data import is_lazy, require_dims
from xbp.core.errors import CoordinateError
from xbp.core.grid import bin_limits, select_range
from xbp.core.guards import not_used
from xbp.core.schema import labels, per_unit
from xbp.core.signal import Signal
from xbp.reduction.kinematics import detector_degrees, momentum_transfer, wave_numbers

__all__ = [
    "KiOverKf",
    "flux_ratio",
    "flux_state",
    "on_one_scale",
    "require_reachable",
    "with_momenta",
]

KiOverKf = Literal["applied", "not applied"]


def flux_state(value: xr.DataArray, ki_over_kf: KiOverKf | None) -> str:
    """Return whether kᵢ/k_f was applied, as the data or the argument say."""
    return stated(value, "ki_over_kf", ki_over_kf, KiOverKf, "is kᵢ/k_f applied?")


def flux_ratio(E: np.ndarray, fixed: np.ndarray | float, geometry: str) -> np.ndarray:
    """Return kᵢ/k_f at energy transfers in meV; NaN where no neutron can be."""
    ki, kf = wave_numbers(E, fixed, geometry)
    return np.where(kf > 0, ki / np.where(kf > 0, kf, 1.0), np.nan)


def with_momenta(
    signal: Signal, Q_range: Any, instrument: Mapping[str, Any]
) -> tuple[Signal, str, np.ndarray, np.ndarray]:
    """Return the map, the dimension of its spectra, their Q in 1/angstrom and weights.

    Q and weights are over (Q, 1), or over detectors and E.
    """
    by_angle = signal.quantity.name == "detector_spectra"
    along = "detector" if by_angle else "Q"
    require_dims(
        signal.value,
        ("E", along),
        "the inversion",
        fix="invert before the cut",
        error=CoordinateError,
    )
    if by_angle:
        signal, Q = _at_angles(signal, **instrument)
        return signal, along, Q, _within(Q, Q_range).astype(float)
    not_used("S(Q,E) has its Q", **instrument)
    to_angstrom = per_unit(signal.value, "Q")
    lower, upper = bin_limits(signal.source, "Q")
    inside = select_range(signal.source, "Q", Q_range, name="Q_range")
    weight = np.where(inside, (upper - lower) * to_angstrom, 0.0)
    Q = signal.value["Q"].values * to_angstrom
    return signal, along, Q[:, np.newaxis], weight[:, np.newaxis]


def on_one_scale(
    signal: Signal, Q: np.ndarray, along: str
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return S and its error, at one angle over Q², so that both sides of E compare."""
    if along == "Q":
        return signal.value, signal.std
    square = xr.Variable((along, "E"), np.where(Q > 0, Q, np.nan) ** 2)
    return signal.both(
        lambda part: (part / square).assign_attrs(part.attrs).rename({along: "Q"})
    )


def _at_angles(
    signal: Signal,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
    ki_over_kf: KiOverKf | None = None,
) -> tuple[Signal, np.ndarray]:
    """Return S(2θ,E), with kᵢ/k_f applied, and the Q of each detector and energy.

    Parameters
    ----------
    signal : Signal
        ``detector_spectra``.
    incident_energy, final_energy, ki_over_kf
        As for `angle_to_Q`.

    Returns
    -------
    signal : Signal
    Q : numpy.ndarray, shape (n_detector, n_E)
        In 1/angstrom at the angle of the detector and the centre of the bin of E; 0
        where no neutron can be.

    Raises
    ------
    CoordinateError, QuantityError
        As for `angle_to_Q`.
    """
    value = signal.value
    applied = flux_state(value, ki_over_kf)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    E = value["E"].values * per_unit(value, "E")
    energies = np.broadcast_to(fixed.values, value.sizes["detector"])[:, np.newaxis]
    angles = detector_degrees(value, "two_theta")[:, np.newaxis]
    Q = np.nan_to_num(momentum_transfer(E, energies, angles, geometry))
    if not Q.any():
        raise CoordinateError("no detector has angle and energy")
    require_reachable(signal, geometry, fixed)
    if applied == "applied":
        return signal, Q
    ratio = xr.Variable(("detector", "E"), flux_ratio(E, energies, geometry))
    value, std = signal.both(lambda part: (part * ratio).transpose(*part.dims))
    value.attrs = {**signal.value.attrs, "ki_over_kf": "applied"}
    return replace(signal, value=value, std=std), Q


def require_reachable(signal: Signal, geometry: str, fixed: xr.DataArray) -> None:
    """Refuse spectra with counts where no neutron can be, as on a reversed axis of E.

    They are counts if their sum is 5 standard deviations above 0, and a twentieth of
    that from half the lowest such energy on, at either sign. The bin next to the limit,
    which it may cross, is left out. Dask arrays are not computed, or checked.

    Raises
    ------
    CoordinateError
    """
    if is_lazy(signal.value):
        return
    E = signal.value["E"].values * per_unit(signal.value, "E")
    energies = np.broadcast_to(fixed.values, signal.value.sizes["detector"])
    loss = E if geometry == "direct" else -E
    beyond = loss > energies[:, np.newaxis]
    inner = beyond.copy()
    inner[:, 1:] &= beyond[:, :-1]
    inner[:, :-1] &= beyond[:, 1:]
    S, std = signal.both(lambda part: part.transpose(..., "detector", "E").values)
    there = inner & np.isfinite(S)
    sums = np.where(there, S, 0.0).sum(axis=(-2, -1))
    spread = np.zeros_like(S) if std is None else np.where(there, std, 0.0)
    error = np.sqrt(np.square(spread).sum(axis=(-2, -1)))
    ends = E[inner.any(axis=0)]
    if not ends.size:
        return
    inelastic = np.abs(E) >= np.abs(ends).min() / 2
    most = 0.05 * np.nansum(np.where(inelastic, np.abs(S), 0.0), axis=(-2, -1))
    if ((sums > 5 * error) & (sums > most)).any():
        name = FIXED_ENERGY[geometry].replace("_", " ")
        raise CoordinateError(
            f"there are counts from {ends.min():.4g} to {ends.max():.4g} meV, where "
            f"the {name}, {np.nanmax(energies):.4g} meV, allows no neutrons",
            reason="the sign of E is reversed, or the fixed energy is another",
            fix="data.assign_coords(E=-data.E).sortby('E'), its bounds too, or cut_E()",
        )


def _within(Q: np.ndarray, limits: Any) -> np.ndarray:
    """Return which Q, above 0, are within limits (bare: 1/angstrom; None: all).

    Raises
    ------
    RangeError
        As for `select_range`.
    """
    if limits is None:
        return Q > 0
    axis = xr.Dataset(coords={"Q": ("Q", np.unique(Q[Q > 0]), labels("Q"))})
    some = axis["Q"].values[select_range(axis, "Q", limits, name="Q_range")]
    return np.asarray((some[0] <= Q) & (some[-1] >= Q))
