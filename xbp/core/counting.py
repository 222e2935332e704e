"""Bins with zero counts.

Their standard deviation is 0, but their values are not exact.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from xbp.core.pint_data import is_lazy

__all__ = ["one_count_std", "with_one_count"]


def with_one_count(value: xr.DataArray, std: xr.DataArray) -> xr.DataArray | None:
    """Give bins with σ = 0 among bins with σ > 0 the error of one count.

    From their neighbours (`one_count_std`) along E, or else the last dimension.

    For zero counts √N is 0, but such a bin is a measured zero with an uncertainty of
    about one count.

    Parameters
    ----------
    value, std : xarray.DataArray
        Data and their standard deviations, over the same dimensions.

    Returns
    -------
    xarray.DataArray or None
        None if σ is 0 throughout: the data have no errors. Dask arrays are processed
        chunk by chunk, and a chunk of zeros is left unchanged.
    """
    along = (
        std.get_axis_num("E" if "E" in std.dims else std.dims[-1]) if std.ndim else 0
    )
    if is_lazy(std) or is_lazy(value):
        filled: xr.DataArray = xr.apply_ufunc(
            one_count_std,
            value,
            std,
            kwargs={"axis": along},
            dask="parallelized",
            output_dtypes=[_of_numbers(std.dtype)],
        )
        return filled.assign_attrs(std.attrs)
    with np.errstate(invalid="ignore"):
        if (std.values > 0).all() or not (std.values == 0).any():
            return std
    if not (std.values > 0).any():
        return None
    return std.copy(data=one_count_std(value.values, std.values, axis=along))


def one_count_std(value: np.ndarray, std: np.ndarray, axis: int = -1) -> np.ndarray:
    r"""Replace standard deviations of 0 by that of one count.

    Counting gives σ = √(k y), where one count adds k to y. For a bin with σ > 0,
    k = σ²/max(\|y\|, σ); the bound is for data after background subtraction. A bin with
    σ = 0 takes the k between those of the nearest bins with σ > 0 on both sides along
    `axis` (of the nearest where one side has none; where a whole row has none, the
    median of the other rows there, or of all), and has

    .. math:: \sigma = \sqrt{k \max(|y|, k)}

    which is k, one count, where y is 0.

    Parameters
    ----------
    value, std : numpy.ndarray, same shape
        Values and their standard deviations. NaN stays NaN.
    axis : int
        Axis along which neighbours are found.

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> one_count_std(np.array([8.0, 0.0, 2.0, 2.0]), np.array([4.0, 0.0, 2.0, 2.0]))
    array([4., 2., 2., 2.])
    """
    if not std.ndim or not (std == 0).any():
        return std
    y, s = (np.moveaxis(part, axis, -1) for part in (value, std))
    shape = s.shape
    y, s = (
        np.abs(y.reshape(-1, shape[-1]).astype(float)),
        s.reshape(-1, shape[-1]).astype(float),
    )
    known = np.isfinite(y) & (s > 0) & np.isfinite(s)
    if not known.any():
        return std
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        k = np.where(known, s * np.minimum(1.0, s / np.maximum(y, s)), np.nan)
    rows = np.flatnonzero(((s == 0) & np.isfinite(y)).any(axis=1))
    elsewhere: np.ndarray | None = None
    places = np.arange(shape[-1])
    for row in rows:
        none = (s[row] == 0) & np.isfinite(y[row])
        if known[row].any():
            one = np.interp(places[none], places[known[row]], k[row, known[row]])
        else:
            if elsewhere is None:
                elsewhere = _medians(k)
            one = elsewhere[none]
        s[row, none] = np.sqrt(one * np.maximum(y[row, none], one))
    return np.moveaxis(s.reshape(shape), -1, axis).astype(_of_numbers(std.dtype))


def _of_numbers(dtype: np.dtype) -> np.dtype:
    """Return the dtype of standard deviations.

    Floating point, even where those given are integers.
    """
    return dtype if dtype.kind == "f" else np.dtype(float)


def _medians(k: np.ndarray) -> np.ndarray:
    """Return the medians of the rows, or of all where no row has a number."""
    some = np.isfinite(k).any(axis=0)
    out = np.full(k.shape[-1], np.nanmedian(k))
    out[some] = np.nanmedian(k[:, some], axis=0)
    return out
