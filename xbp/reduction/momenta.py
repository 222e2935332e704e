"""The momentum transfers of a map: of its bins of Q, or of every detector and E."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy, stated
from xbp.core.data import is_lazy, once_checked, require_dims
from xbp.core.errors import CoordinateError
from xbp.core.grid import bin_limits, select_range
from xbp.core.guards import not_used, require_number
from xbp.core.schema import Quantity, labels, per_unit
from xbp.core.signal import Signal
from xbp.reduction.kinematics import detector_degrees, momentum_transfer, wave_numbers
from xbp.reduction.sign import require_sign, with_right_sign

__all__ = [
    "UNREACHABLE",
    "KiOverKf",
    "Limits",
    "Spectra",
    "flux_ratio",
    "flux_state",
    "with_momenta",
    "with_right_axis",
]

KiOverKf = Literal["applied", "not applied"]

#: Default of ``unreachable=``: part of the inelastic counts.
UNREACHABLE: Final = 0.05


def flux_state(value: xr.DataArray, ki_over_kf: KiOverKf | None) -> str:
    """Return whether kᵢ/k_f was applied, as the data or the argument say."""
    return stated(value, "ki_over_kf", ki_over_kf, KiOverKf, "is kᵢ/k_f applied?")


def flux_ratio(E: np.ndarray, fixed: np.ndarray | float, geometry: str) -> np.ndarray:
    """Return kᵢ/k_f at energy transfers in meV; NaN where no neutron can be."""
    ki, kf = wave_numbers(E, fixed, geometry)
    return np.where(kf > 0, ki / np.where(kf > 0, kf, 1.0), np.nan)


@dataclass(frozen=True)
class Limits:
    """Where an axis of E is refused, as `xbp.angle_to_Q` explains."""

    reversed_below: float | None
    unreachable: float
    significance: float

    @classmethod
    def of(cls, reversed_below: Any, unreachable: Any, significance: Any) -> Limits:
        """Check them."""
        if reversed_below is not None:
            reversed_below = require_number(reversed_below, "reversed_below")
        return cls(
            reversed_below,
            require_number(unreachable, "unreachable", above=0),
            require_number(significance, "significance", above=0),
        )


def with_momenta(
    signal: Signal,
    Q_range: Any,
    instrument: Mapping[str, Any] | None,
    kelvin: xr.DataArray,
    limits: Limits,
) -> tuple[Signal, str, np.ndarray, np.ndarray]:
    """Return the map, the dimension of its spectra, their Q in 1/angstrom and weights.

    Q and weights are over (Q, 1), or over detectors and E.

    Raises
    ------
    CoordinateError
        If the sign of E is reversed, or as for `angle_to_Q`.
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
        signal, Q = _at_angles(signal, kelvin, limits, **(instrument or {}))
        return signal, along, Q, _within(Q, Q_range).astype(float)
    not_used("S(Q,E) has its Q", **(instrument or {}))
    value, _ = with_right_sign(
        signal.value,
        signal.std,
        kelvin,
        limits.reversed_below,
        significance=limits.significance,
    )
    signal = replace(signal, value=value)
    to_angstrom = per_unit(signal.value, "Q")
    lower, upper = bin_limits(signal.source, "Q")
    inside = select_range(signal.source, "Q", Q_range, name="Q_range")
    weight = np.where(inside, (upper - lower) * to_angstrom, 0.0)
    Q = signal.value["Q"].values * to_angstrom
    return signal, along, Q[:, np.newaxis], weight[:, np.newaxis]


def _at_angles(
    signal: Signal,
    kelvin: xr.DataArray,
    limits: Limits,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
    ki_over_kf: KiOverKf | None = None,
) -> tuple[Signal, np.ndarray]:
    """Return S(2θ,E), with kᵢ/k_f applied, and the Q of each detector and energy.

    Q is in 1/angstrom at the angle of the detector and the centre of the bin of E; 0
    where no neutron can be.
    """
    value = signal.value
    applied = flux_state(value, ki_over_kf)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    spectra = Spectra.of(signal, geometry, fixed)
    Q = np.nan_to_num(spectra.momenta(1))
    if not Q.any():
        raise CoordinateError("no detector has both an angle and an energy")
    signal = with_right_axis(signal, spectra, applied, kelvin, limits)
    if applied == "applied":
        return signal, Q
    ratio = xr.Variable(("detector", "E"), spectra.flux(1))
    value, std = signal.both(lambda part: (part * ratio).transpose(*part.dims))
    value.attrs = {**signal.value.attrs, "ki_over_kf": "applied"}
    return replace(signal, value=value, std=std), Q


class Spectra(NamedTuple):
    """Energies in meV, and where detectors are: (n_detector, 1), in meV and degrees."""

    E: np.ndarray
    fixed: np.ndarray
    angles: np.ndarray
    geometry: str

    @classmethod
    def of(cls, signal: Signal, geometry: str, fixed: xr.DataArray) -> Spectra:
        """Return those of a signal, whose detectors have angles."""
        value = signal.value
        energies = np.broadcast_to(fixed.values, value.sizes["detector"])
        angles = detector_degrees(value, "two_theta")
        E = value["E"].values * per_unit(value, "E")
        return cls(E, energies[:, np.newaxis], angles[:, np.newaxis], geometry)

    def momenta(self, sign: int) -> np.ndarray:
        """Return Q, as if E had this sign."""
        E = sign * self.E
        return momentum_transfer(E, self.fixed, self.angles, self.geometry)

    def flux(self, sign: int) -> np.ndarray:
        """Return kᵢ/k_f, as if E had this sign."""
        return flux_ratio(sign * self.E, self.fixed, self.geometry)


def with_right_axis(
    signal: Signal,
    spectra: Spectra,
    applied: str,
    kelvin: xr.DataArray | None,
    limits: Limits,
) -> Signal:
    """Return spectra after a check of their axis of E, of dask when they are computed.

    Raises
    ------
    CoordinateError
        If the sign of E is reversed, or does not fit the fixed energy: by counts where
        no neutron can be, and by detailed balance at the same Q, for which both signs
        are tried.
    """
    check: Callable[..., None] = functools.partial(
        _require_axis,
        quantity=signal.quantity,
        spectra=spectra,
        applied=applied,
        limits=limits,
    )
    parts = signal.value, signal.std, kelvin
    if not is_lazy(signal.value):
        check(*parts)
        return signal
    plain = (p if p is None else p.reset_coords(drop=True) for p in parts)
    value = once_checked(signal.value, check, *plain, along=("detector", "E"))
    return replace(signal, value=value)


def _require_axis(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray | None,
    *,
    quantity: Quantity,
    spectra: Spectra,
    applied: str,
    limits: Limits,
) -> None:
    """Refuse spectra in memory, see `with_right_axis`."""
    signal = Signal(value, std, quantity, value, lambda answer: answer)
    _require_reachable(signal, spectra, limits)
    E = spectra.E
    if limits.reversed_below is None or kelvin is None or not E[0] < 0 < E[-1]:
        return
    own, turned = (_at_common_Q(signal, spectra, applied, sign) for sign in (1, -1))
    require_sign(
        *own,
        kelvin,
        limits.reversed_below,
        turned=turned,
        significance=limits.significance,
    )


@np.errstate(all="ignore")  # where no neutron can be
def _at_common_Q(
    signal: Signal, spectra: Spectra, applied: str, sign: int, most: int = 64
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return S(Q,E) and its error for one sign of E, interpolated between detectors.

    Detectors of like Q are averaged, so that there are at most 64 spectra.
    """
    Q = spectra.momenta(sign)
    held = np.isfinite(Q)
    middle = np.where(held, Q, 0.0).sum(axis=1) / held.sum(axis=1)
    order = np.argsort(middle, kind="stable")
    groups = np.array_split(order, min(most, order.size))
    ratio = np.ones_like(Q) if applied == "applied" else spectra.flux(sign)
    lead = [d for d in signal.value.dims if d not in ("detector", "E")]
    S, std = signal.both(lambda part: part.transpose(*lead, "detector", "E").values)
    measured = np.isfinite(S) & held
    parts = [np.where(measured, S * ratio, 0.0)]
    if std is not None:
        parts.append(np.where(measured, std * ratio, 0.0) ** 2)

    def means(array: np.ndarray, of: np.ndarray, power: int) -> Any:
        sums = [array[..., g, :].sum(axis=-2) for g in groups]
        counts = [of[..., g, :].sum(axis=-2) for g in groups]
        return np.stack(sums, axis=-2) / np.stack(counts, axis=-2) ** power

    at = means(np.where(held, Q, 0.0), held, 1)
    known = np.isfinite(at)
    grid = np.linspace(at[known].min(), at[known].max(), len(groups))
    answers = []
    for power, part in enumerate(parts, start=1):
        mean = means(part, measured, power)
        mean = mean if power == 1 else np.sqrt(mean)
        columns = []
        for i in range(at.shape[1]):
            place = np.argsort(at[:, i])[: known[:, i].sum()]
            own, column = at[place, i], mean[..., place, i]
            if place.size < 2:
                columns.append(np.full((*mean.shape[:-2], grid.size), np.nan))
                continue
            left = np.clip(np.searchsorted(own, grid) - 1, 0, place.size - 2)
            t = (grid - own[left]) / (own[left + 1] - own[left])
            t = np.where((t >= 0) & (t <= 1), t, np.nan)
            columns.append((1 - t) * column[..., left] + t * column[..., left + 1])
        out = np.stack(columns, axis=-1)
        E = xr.Variable("E", spectra.E[::sign] * sign, labels("E") | {"units": "meV"})
        coords = {"Q": xr.Variable("Q", grid, labels("Q")), "E": E}
        answers.append(
            xr.DataArray(
                out[..., ::sign], coords, (*lead, "Q", "E"), attrs=signal.value.attrs
            )
        )
    return answers[0], answers[1] if std is not None else None


def _require_reachable(signal: Signal, spectra: Spectra, limits: Limits) -> None:
    """Refuse spectra with counts where no neutron can be.

    They are counts if their sum is `significance` standard deviations above 0, and more
    than `unreachable` of that from half the lowest such energy on, at either sign. The
    bin next to the limit, which it may cross, is left out.
    """
    E, energies, geometry = spectra.E, spectra.fixed, spectra.geometry
    loss = E if geometry == "direct" else -E
    beyond = loss > energies
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
    every = np.nansum(np.where(inelastic, np.abs(S), 0.0), axis=(-2, -1))
    found = (sums > limits.significance * error) & (sums > limits.unreachable * every)
    if found.any():
        name = FIXED_ENERGY[geometry].replace("_", " ")
        raise CoordinateError(
            f"there are counts from {ends.min():.4g} to {ends.max():.4g} meV, where "
            f"the {name}, {np.nanmax(energies):.4g} meV, allows no neutrons",
            reason="the sign of E is reversed, or the fixed energy is wrong",
            fix="data.assign_coords(E=-data.E).sortby('E'), its bounds too, or leave "
            "those energies out: data.sel(E=slice(...))",
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
