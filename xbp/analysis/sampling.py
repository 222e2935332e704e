"""How many independent points two autocorrelated curves share, and what that makes of their correlation's error."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.units import convert_factor
from xbp.md.labels import positive

__all__ = ["correlation_error", "independent_points"]

# Fewer independent points than these tell no correlation, whatever their number comes
# out to be.
_FEWEST = 2.0


def independent_points(
    x: xr.DataArray, y: xr.DataArray, box: Any = None
) -> xr.DataArray:
    r"""Return how many independent points there are along Q for the correlation of two curves.

    .. math:: n_\mathrm{eff} = \frac{n}{1 + 2\sum_{l=1}^{m} \rho_x(l)\,\rho_y(l)}

    ρ are the autocorrelations of the curves, m is the lag before the product's first
    zero.

    Parameters
    ----------
    x, y : xarray.DataArray
        The curves, NaN where they are not known.
    box : scalar with units, optional
        Side L of a simulated box (bare: Å): its wave vectors are 2π/L apart, and a
        range of Q holds no more points.

    Returns
    -------
    xarray.DataArray
        Over the leftover dimensions, from 2 to n; NaN for fewer than three points.

    References
    ----------
    G. V. Bayley and J. M. Hammersley, Suppl. J. R. Stat. Soc. 8, 184 (1946),
    doi:10.2307/2983560.

    Examples
    --------
    >>> Q = xr.Variable("Q", np.arange(40) / 10, {"units": "1/angstrom"})
    >>> wave = xr.DataArray(np.sin(2 * np.pi * Q.values), dims="Q", coords={"Q": Q})
    >>> round(float(independent_points(wave, wave)), 1), round(float(independent_points(wave, wave, box=5)), 1)
    (3.0, 3.0)
    """
    found: xr.DataArray = xr.apply_ufunc(
        _effective,
        x,
        y,
        input_core_dims=[["Q"], ["Q"]],
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    if box is None:
        return found
    side = positive(box, "angstrom", "box")
    per_angstrom = convert_factor(
        x["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'"
    )
    at = x["Q"].where(x.notnull() & y.notnull()) * per_angstrom
    return found.clip(
        max=((at.max("Q") - at.min("Q")) * side / (2 * np.pi)).clip(min=_FEWEST)
    )


def correlation_error(r: xr.DataArray, n_effective: xr.DataArray) -> xr.DataArray:
    r"""Return the sampling error of Pearson's r of n independent points.

    .. math:: \sigma_r = \frac{1 - \rho^2}{\sqrt{n - 3.5}}, \quad \rho^2 = r^2
        \frac{t^2}{t^2 + 4}, \quad t^2 = r^2 \frac{n - 2}{1 - r^2}

    The shrunk ρ² keeps a large r that arose by chance from having a small error; 4 and
    3.5 give pulls of width 1 ± 0.15 for unrelated and related curves of ten independent
    points or more. It is at most 1.

    Examples
    --------
    >>> r = xr.DataArray([0.0, 0.5, 0.9])
    >>> correlation_error(r, xr.full_like(r, 20)).values.round(3)
    array([0.246, 0.209, 0.057])
    """
    t2 = r**2 * (n_effective - 2)
    shrunk = r**2 * t2 / (t2 + 4 * (1 - r**2))
    return ((1 - shrunk) / (n_effective - 3.5).clip(min=1.0) ** 0.5).clip(max=1.0)


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def _effective(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.broadcast_arrays(x, y)
    both = np.isfinite(x) & np.isfinite(y)
    n = both.sum(axis=-1)
    product = _autocorrelation(x, both) * _autocorrelation(y, both)
    # Up to the first lag at which the product is no longer above zero; lag 0 counts
    # once.
    counted = np.cumprod(product > 0, axis=-1) * product
    effective = n / (2 * counted.sum(axis=-1) - 1)
    return np.where(n >= 3, np.clip(effective, _FEWEST, np.maximum(n, _FEWEST)), np.nan)


def _autocorrelation(x: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Return ρ(l) of the deviations from the mean, of points that are there, over all lags."""
    away = np.where(
        both,
        x
        - np.where(both, x, 0.0).sum(axis=-1, keepdims=True)
        / both.sum(axis=-1, keepdims=True),
        0.0,
    )
    size = 2 * x.shape[-1]
    power = np.abs(np.fft.rfft(away, size)) ** 2
    lagged = np.fft.irfft(power, size)[..., : x.shape[-1]]
    return np.asarray(lagged / lagged[..., :1])
