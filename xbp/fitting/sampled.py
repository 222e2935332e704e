"""Errors of spectra that are few modes of one simulated box, counted."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.independence import independence
from xbp.core.signal import Signal
from xbp.models.dimension import mode_count

__all__ = ["area_of_modes", "modes_of_box", "sampled_std", "with_counting"]

_SPECTRA = ("vibrational_dos", "reduced_dos")


def modes_of_box(value: xr.DataArray) -> Any:
    """Return how many modes a simulated g(E) or B has; 0 if not known or not one.

    All segments of a trajectory have the same 3N (in a plane 2N). Spectra whose errors
    already include this have no ``n_atoms``.
    """
    if value.attrs.get("origin") != "simulation":
        return 0.0
    if value.attrs.get("quantity") not in _SPECTRA:
        return 0.0
    d = dimension_of(value)
    if "n_atoms" in value.coords:  # boxes of several sizes
        return mode_count(value.coords["n_atoms"].variable, d)
    return mode_count(float(value.attrs.get("n_atoms", 0)), d)


def area_of_modes(value: xr.DataArray) -> float:
    """Return the area of g(E) of all modes; NaN if it is not known."""
    if value.attrs.get("area_of") == "all modes" and "Q" not in value.dims:
        with contextlib.suppress(ValueError):  # "unknown"
            return float(value.attrs.get("area", np.nan))
    return float("nan")


def sampled_std(
    E: np.ndarray,
    y: np.ndarray,
    std: np.ndarray,
    n_modes: np.ndarray,
    power: int,
    area: float = np.nan,
    part: np.ndarray | float = 1.0,
) -> np.ndarray:
    r"""Return errors of spectra (…, k), at least the counting error of n modes (…).

    All segments of one trajectory contain the same modes, so their scatter does not
    show how few there are. With g = E^p y,

    .. math:: \sigma \ge y/\sqrt{n}, \quad
              n = 3N \frac{g\,\Delta E}{f\int g\,\mathrm{d}E}

    p is 0 for g(E), 2 for B (in a plane 1); f is the part of an independent bin that
    a bin is. A bin with less than one mode has the error of one. The integral is the
    `area` of all modes, or if this is not known that over the data, which should then
    reach to the end of g(E).

    Examples
    --------
    >>> E, y = np.array([1.0, 2.0, 3.0]), np.ones(3)
    >>> sampled_std(E, y, np.array([0.0, 0.0, 0.5]), np.array(300.0), 0)
    array([0.1, 0.1, 0.5])
    """
    width = E**power * np.gradient(E)
    g = np.nan_to_num(np.clip(y, 0, None)) * width
    whole = g.sum(axis=-1, keepdims=True) if np.isnan(area) else area
    with np.errstate(divide="ignore", invalid="ignore"):
        one = whole * part / (np.asarray(n_modes)[..., None] * width)
        least = one * np.sqrt(np.maximum(np.abs(y) / one, 1.0))
    return np.asarray(np.fmax(std, np.where(np.isfinite(least), least, np.nan)))


def with_counting(signal: Signal) -> Signal:
    """Return a signal with errors at least those of the modes in its simulated box."""
    value, std = signal.value, signal.std
    n_modes = modes_of_box(value)
    if "E" not in value.dims or not np.any(n_modes > 0):
        return signal
    E = value["E"].values.astype(float)
    positive = E > 0
    if positive.sum() < 2:
        return signal
    power = dimension_of(value) - 1 if value.attrs["quantity"] == "reduced_dos" else 0
    area = area_of_modes(value)

    def least(y: Any, s: Any, n: Any, f: Any) -> np.ndarray:
        out = np.broadcast_to(s, y.shape).astype(float)
        own = [np.broadcast_to(a, y.shape)[..., positive] for a in (y, s, f)]
        out[..., positive] = sampled_std(
            E[positive], own[0], own[1], np.asarray(n), power, area, own[2]
        )
        return out

    f = independence(value, "E")
    known: xr.Variable = xr.apply_ufunc(
        least,
        value.variable,
        xr.full_like(value.variable, np.nan, float) if std is None else std.variable,
        n_modes,
        xr.ones_like(value["E"].variable) if f is None else f,
        input_core_dims=[["E"], ["E"], [], ["E"]],
        output_core_dims=[["E"]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[float],
    )
    own = known.transpose(*value.dims)
    return dataclasses.replace(
        signal,
        std=value.copy(data=own.data) if std is None else std.copy(data=own.data),
    )
