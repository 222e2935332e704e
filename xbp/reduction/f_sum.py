"""Whether the range of E holds the whole f-sum: recoil, and phonons to their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import resolve
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.schema import per_unit
from xbp.core.signal import Signal
from xbp.models.factors import beyond_range

__all__ = ["momenta", "require_fallen_sum", "with_recoil_inside"]


def momenta(signal: Signal) -> xr.DataArray:
    """Return Q in 1/angstrom."""
    return xr.DataArray(
        signal.value["Q"].values * per_unit(signal.value, "Q"), dims="Q"
    )


def with_recoil_inside(
    signal: Signal, weight: xr.DataArray, mass: float, T: Any, E_range: Any, most: float
) -> xr.DataArray:
    """Leave out the Q at which too much of the f-sum is beyond E_range."""
    window, Q = (
        select_range(signal.source, "E", E_range, name="E_range"),
        momenta(signal),
    )
    units = signal.value["E"].attrs["units"]
    highest = float(bin_limits(signal.source, "E")[1][window][-1])
    missing = xr.apply_ufunc(
        beyond_range, Q, highest * per_unit(signal.value, "E"), mass,
        resolve(signal.value, "temperature", T=T),
        kwargs={"classical": signal.value.attrs.get("statistics") == "classical"},
    )  # fmt: skip
    left = weight.where(missing <= most, 0.0)
    if not bool((left.sum("Q") > 0).all()):
        further = [d for d in weight.dims if d != "Q"]
        at = int(np.argmax((weight.max(further) > 0).values))
        raise RangeError(
            f"{100 * float(missing.isel(Q=at).max()):.3g} % of the f-sum lie beyond "
            f"{highest:.4g} {units} at the lowest Q, "
            f"{float(Q[at]):.4g} 1/angstrom, for {mass:.4g} u",
            fix="lower Q, widen E_range, pass most_missing=0.1 or another mass=",
        )
    return left


def require_fallen_sum(
    signal: Signal,
    by_energy: xr.DataArray,
    weight: xr.DataArray,
    E_range: Any,
    end: float,
) -> None:
    """Refuse a range of E that ends where the f-sum has not.

    Parameters
    ----------
    signal : Signal
        S(Q,E).
    by_energy : xarray.DataArray
        Factor of S over E: E (1 − e^(−x)), or E x of classical data.
    weight : xarray.DataArray
        Weights of Q.
    E_range : pair of scalars with units, or None
        Energies to integrate over.
    end : float
        Largest mean at the end as a fraction of the maximum, as
        `xbp.normalize_to_sum_rule` explains.

    Raises
    ------
    RangeError
    """
    axis = signal.value["E"]
    inside = select_range(signal.source, "E", E_range, name="E_range")
    inside &= axis.values >= 0
    E, used = axis.values[inside], weight.variable > 0
    terms: Any = (signal.value.variable * by_energy.variable).isel(E=inside)
    summed = (terms * weight.variable).where(used, 0.0).sum("Q")
    spectra = summed.transpose(..., "E").values
    last = 0.95 * E[-1] < E
    last[-3:] = True
    smooth = sum(spectra[..., i : E.size - 2 + i] for i in range(3)) / 3
    top = smooth.max(axis=-1) if E.size > 3 else spectra.max(axis=-1)
    part = spectra[..., last].mean(axis=-1) / np.where(top > 0, top, np.nan)
    if (part > end).any():
        most, units = float(np.nanmax(part)), axis.attrs["units"]
        raise RangeError(
            f"the f-sum does not end within E_range: E (1 - exp(-E/k_BT)) S is "
            f"{100 * most:.3g} % of its maximum at {E[-1]:.4g} {units}",
            reason="phonons, multiphonons or a background lie beyond",
            fix="widen E_range, or take lower Q",
        )
