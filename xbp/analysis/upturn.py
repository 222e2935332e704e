"""Where a heat capacity is not of vibrations and conduction electrons alone."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xbp.fitting.search import scatter

__all__ = ["upturn_below"]

#: By this part must C/T rise on both sides of its minimum, beyond so many standard
#: deviations of means of three points.
_RISE, _SIGMA, _MEAN = 0.05, 3.0, 3
#: A minimum where C is above this part of its largest is none of low temperatures: C/T
#: falls there, up to Tg.
_LOW = 0.5


def upturn_below(
    C: xr.DataArray, std: xr.DataArray | None, kelvin: np.ndarray
) -> xr.DataArray:
    """Return the temperature below which C/T rises as T falls, for every curve.

    γ is constant, and the vibrations' part of C/T grows with T from 0 until they are
    excited. So C/T that rises towards T = 0 has another part, such as a Schottky
    anomaly of nuclei or of magnetic ions.

    Parameters
    ----------
    C : xarray.DataArray, shape (..., temperature)
        Heat capacity.
    std : xarray.DataArray, shape (..., temperature), or None
        Standard deviations; without them the scatter about a smooth curve stands for
        them.
    kelvin : numpy.ndarray, shape (n,)
        Temperatures.

    Returns
    -------
    xarray.DataArray, shape (...)
        In K; NaN where C/T does not rise.

    Examples
    --------
    >>> T = np.geomspace(1, 40, 60)
    >>> C = xr.DataArray(2e-4 * T**3 + 3e-3 * T, dims="temperature")
    >>> float(upturn_below(C, None, T)), round(float(upturn_below(C + 0.02 / T**2, None, T)), 1)
    (nan, 2.7)
    """
    known = std is not None
    found: xr.DataArray = xr.apply_ufunc(
        _lowest,
        C,
        std if known else np.nan,
        kwargs={"T": kelvin},
        input_core_dims=[["temperature"], ["temperature"] if known else []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return found


@np.errstate(all="ignore")  # numbers whose ratio is none are no upturn
def _lowest(C: np.ndarray, std: np.ndarray, *, T: np.ndarray) -> float:
    usable = np.isfinite(C) & (T > 0) & (C > 0)
    if usable.sum() < 2 * _MEAN:
        return np.nan
    t, y = T[usable], (C / T)[usable]
    order = np.argsort(t)
    t, y = t[order], y[order]
    # Of a power of T, as C/T is piece by piece, the logarithm bends little.
    s = (std / T)[usable][order] if std.ndim else y * scatter(np.log(y))
    part = np.ones(_MEAN) / _MEAN
    mean, error = (
        np.convolve(y, part, "valid"),
        np.sqrt(np.convolve(s**2, part**2, "valid")),
    )
    at = np.convolve(t, part, "valid")
    least = np.minimum.accumulate(mean)
    rises = np.flatnonzero(mean > least * (1 + _RISE) + _SIGMA * np.sqrt(2) * error)
    if not rises.size:
        return np.nan
    lowest = int(np.argmin(mean[: rises[0]]))
    needed = mean[lowest] * (1 + _RISE) + _SIGMA * np.sqrt(2) * error[: lowest + 1]
    if not (mean[: lowest + 1] > needed).any() or mean[lowest] * at[
        lowest
    ] > _LOW * float(C[usable].max()):
        return np.nan
    return float(at[lowest])
