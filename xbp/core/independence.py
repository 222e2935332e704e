"""Bins that share counts and so are not independent, and bins without counts.

If a measured bin is split, each part has the value and the error of the whole. So that
sums over such bins do not underestimate the error, the coordinate ``E_independence``
(``Q_independence``) gives the fraction f of an independent bin that each bin
represents; without it, bins are independent. f is defined such that rebinning preserves
the variance that an interval contributes to an integral: a mean over bins of the widths
wᵢ has the variance Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)². A bin split into four gives four with
f = 1/4; bins shifted by half have f = 1/2.

Spectra of a few modes deviate together at all Q. The coordinate ``Q_common`` is the
fraction ρ of the variance that all Q have in common: it does not average out in means
over Q, and cancels in differences between them.

A bin with zero counts has a standard deviation of 0, but its value is not exact.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.data import is_lazy, weighted_sum
from xbp.core.errors import QuantityError

__all__ = [
    "carried_independence",
    "collapsed",
    "contrast_independence",
    "difference_independence",
    "independence",
    "independence_name",
    "independence_variable",
    "merged_bins",
    "mixed_independence",
    "one_count_std",
    "require_not_negative",
    "std_along",
    "width_of_merged",
    "with_one_count",
]

#: Numbers that differ by less than this part are one: what is left of bins that fit
#: into one another is rounding.
_ROUNDING = 1e-9


def independence_name(dim: str) -> str:
    """Return the name of the coordinate that holds f along a dimension."""
    return f"{dim}_independence"


def independence(data: xr.DataArray | None, dim: str) -> xr.Variable | None:
    """Return the fraction of an independent bin that each bin represents.

    None if bins are independent.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> axes = {"Q": ([1.0], "1/angstrom"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")}
    >>> S = xbp.new_dataset(
    ...     "dynamic_structure_factor", np.ones((1, 4)), std=np.full((1, 4), 0.1),
    ...     units="1/meV", coords=axes, statistics="quantum")
    >>> independence(S.bp.rebin(E="0.5 meV").S, "E").values
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    """
    name = independence_name(dim)
    return (
        None if data is None or name not in data.coords else data.coords[name].variable
    )


def contrast_independence(data: xr.DataArray | None, dim: str) -> xr.Variable | None:
    """Return f for differences between bins: 1/(1 − ρ) if bins have ρ in common.

    Examples
    --------
    >>> Q = {"Q": [1.0, 2.0], "Q_common": ("Q", [0.75, 0.75])}
    >>> contrast_independence(xr.DataArray([1.0, 1.0], Q, "Q"), "Q").values
    array([4., 4.])
    """
    name = f"{dim}_common"
    if data is None or name not in data.coords:
        return independence(data, dim)
    f: xr.Variable = 1 / (1 - data.coords[name].variable)
    return f


def std_along(std: xr.DataArray, *dims: str) -> xr.DataArray:
    """Return σ/√f, with which bins may be summed as if they were independent.

    Parameters
    ----------
    std : xarray.DataArray
        Standard deviations of the bins, with the coordinates of the data.
    *dims : str
        Dimensions that are summed or fitted over.
    """
    for dim in dims:
        f = independence(std, dim)
        if f is not None:
            std = std.copy(data=(std.variable / f**0.5).transpose(*std.dims).data)
    return std


def merged_bins(
    part: np.ndarray, values: np.ndarray, inside: np.ndarray | None = None
) -> tuple[
    np.ndarray, Callable[[Any], np.ndarray], Callable[[Any], np.ndarray], np.ndarray
]:
    """Put bins that share counts together to independent ones, such as a fit needs.

    The parts of one bin have one error: neither their scatter about a curve nor their
    number shows more than the whole bin.

    Parameters
    ----------
    part, values : numpy.ndarray, shape (..., n)
        f of the bins, and what was measured: parts of one bin have one value.
    inside : numpy.ndarray of bool, shape (n,), optional
        Bins within and outside are not put together.

    Returns
    -------
    part : numpy.ndarray, shape (..., m)
        f of the new bins.
    mean, error : callable
        Values of the bins (..., n) → those of the new ones; σ/√f → σ of these.
    first : numpy.ndarray of int, shape (m,)
        The first of the bins in each new one.

    Examples
    --------
    >>> y, std = np.array([1.0, 3.0, 3.0, 4.0]), np.array([1.0, 2.0, 2.0, 1.0]) ** 0.5
    >>> part, mean, error, first = merged_bins(np.array([0.4, 0.5, 0.5, 1.0]), y)
    >>> part, mean(y), error(std), first
    (array([0.4, 1. , 1. ]), array([1., 3., 4.]), array([1., 1., 1.]), array([0, 1, 3]))
    """
    least = part.reshape(-1, part.shape[-1]).min(axis=0, initial=1.0)
    if (least > 1 - _ROUNDING).all():
        return part, np.asarray, np.asarray, np.arange(least.size)
    rows = values.reshape(-1, least.size)
    size = np.fmax(np.abs(rows[:, 1:]), np.abs(rows[:, :-1]))
    with np.errstate(invalid="ignore"):
        differs = np.abs(np.diff(rows)) > _ROUNDING * size
    differs |= np.isnan(rows[:, 1:]) != np.isnan(rows[:, :-1])
    same = np.concatenate([[False], ~differs.any(axis=0), [False]])
    starts, held = [0], least[0]
    for i in range(1, least.size):
        ends = inside is not None and inside[i] != inside[i - 1]
        ends |= not same[i] and bool(same[i - 1] or same[i + 1])
        # As near to a whole one as bins come.
        if ends or held + least[i] / 2 > 1 - 1e-6:
            starts.append(i)
            held = 0.0
        held += least[i]
    count = np.diff([*starts, least.size])

    def mean(values: Any) -> np.ndarray:
        return np.asarray(np.add.reduceat(values, starts, axis=-1) / count)

    @np.errstate(all="ignore")  # an error whose square overflows is infinite
    def error(std: Any) -> np.ndarray:
        return np.asarray(np.sqrt(mean(np.square(std)) / count))

    return np.minimum(mean(part) * count, 1.0), mean, error, np.array(starts)


def width_of_merged(
    width: np.ndarray,
    mean: Callable[[Any], np.ndarray],
    error: Callable[[Any], np.ndarray],
) -> np.ndarray:
    """Return the widths of bins that `merged_bins` put together.

    Examples
    --------
    >>> _, mean, error, _ = merged_bins(np.array([0.5, 0.5, 1.0]), np.ones(3))
    >>> width_of_merged(np.array([1.0, 1.0, 3.0]), mean, error)
    array([2., 3.])
    """
    return np.asarray(mean(width) / error(np.ones(width.size)) ** 2)


def mixed_independence(
    value: xr.DataArray,
    std: xr.DataArray | None,
    shares: xr.Variable,
    widths: np.ndarray,
    dim: str,
) -> xr.Variable | None:
    r"""Return f of new bins that are means of old ones.

    .. math:: f_J = \frac{\sum_i o_{Ji}^2\, s_i}{\sum_i o_{Ji}\, w_i\, s_i}, \quad s_i =
        \sigma_i^2/f_i

    Parameters
    ----------
    value : xarray.DataArray
        Old bins, with their coordinates; NaN is left out.
    std : xarray.DataArray or None
        Their standard deviations σ; where they are not known all are taken as equal.
    shares : xarray.Variable
        o, how much of each old bin (its width being w) each new one holds, over
        ``_new`` and `dim`.
    widths : numpy.ndarray, shape (n,)
        w, widths of the old bins.
    dim : str
        The dimension.

    Returns
    -------
    xarray.Variable or None
        Over ``_new``, and further dimensions where it depends on them; None where it is
        1 everywhere.
    """
    f = independence(value, dim)
    part = shares.values / widths
    if f is None and ((part < _ROUNDING) | (part > 1 - _ROUNDING)).all():
        return None
    if (f is None or f.dims == (dim,)) and ((part > _ROUNDING).sum(axis=-1) <= 1).all():
        # Each new bin is a part of one old bin: whatever its error, the part is known.
        own = (part if f is None else part * f.values).max(axis=-1)
        return independence_variable("_new", np.where(own > 0, own, 1.0), dim)
    if std is None:
        variance: Any = xr.Variable(dim, np.ones(widths.size))
    else:
        errors: Any = std.variable
        variance = errors.where(np.isfinite(value.variable), 0.0) ** 2
    density = variance if f is None else variance / f
    over = weighted_sum(density, shares * xr.Variable(dim, widths), dim)
    single = weighted_sum(density, shares**2, dim)
    if f is not None:
        single = np.minimum(single, weighted_sum(variance**0.5, shares, dim) ** 2)
    part_held: Any = (single / over.where(over > 0)).fillna(1.0)
    held = independence_variable(part_held.dims, np.minimum(part_held.data, 1.0), dim)
    # Dask arrays are not computed for this check.
    return None if not is_lazy(held) and bool((held > 1 - _ROUNDING).all()) else held


def difference_independence(
    value: xr.DataArray,
    std: xr.DataArray | None,
    other: xr.DataArray,
    other_variance: Any,
    dim: str,
    width: xr.Variable | None,
) -> xr.Variable | None:
    r"""Return f of the difference (or sum) of two signals.

    .. math:: f = \frac{\sigma_1^2 + \sigma_2^2}{\sigma_1^2/f_1 + \sigma_2^2/f_2}

    With 1/f₂ = Σ w/w for a signal that lacks the dimension, one error for all bins:
    the mean over all of them has the variance σ₂² of it, that over a part no less.

    Parameters
    ----------
    value, std, other : xarray.DataArray
        Bins of both, with their coordinates, and the standard deviations of the first.
    other_variance : xarray.Variable
        Variance of the second.
    dim : str
        The dimension.
    width : xarray.Variable or None
        Widths of the bins; None if both have the dimension.

    Returns
    -------
    xarray.Variable or None
        None if it is as in the first.
    """
    f: Any = independence(value, dim)
    other_f: Any = independence(other, dim)
    if width is None and (f is other_f or (f is not None and f.equals(other_f))):
        return None
    own: Any = 0.0 if std is None else std.variable**2
    if width is not None:
        total = (width * value.variable.notnull()).sum(dim)
        other_f = width / total.where(total > 0)  # 0: no bins, f is 1
    apart = own if f is None else own / f
    apart = apart + (other_variance if other_f is None else other_variance / other_f)
    held: Any = (own + other_variance) / apart
    held = held.where(held <= 1, 1.0).transpose(*value.dims)
    return independence_variable(held.dims, held.data, dim)


def independence_variable(dims: Any, held: Any, dim: str) -> xr.Variable:
    """Return f as the coordinate along a dimension."""
    labels = {
        "units": "1",
        "long_name": f"independent bins that one bin counts for, along {dim}",
    }
    return xr.Variable(dims, held, labels)


def carried_independence(
    value: xr.DataArray,
    std: xr.DataArray | None,
    dim: str,
    mean: Callable[[xr.DataArray], xr.Variable | None],
    new_std: xr.Variable | None,
) -> dict[Hashable, xr.Variable]:
    """Return f along other dimensions, where it depended on the one averaged over.

    Parameters
    ----------
    value, std : xarray.DataArray
        Bins before, with their coordinates, and their standard deviations or None.
    dim : str
        The dimension that was averaged over.
    mean : callable
        Makes of standard deviations before those of the means.
    new_std : xarray.Variable
        Those of the means.
    """
    found: dict[Hashable, xr.Variable] = {}
    for other in map(str, value.dims):
        f = independence(value, other)
        if other == dim or f is None or dim not in f.dims:
            continue
        if std is None:  # all errors are taken as equal
            std = xr.ones_like(value, dtype=float)
            new_std = mean(std)
        apart: Any = mean(std_along(std, other))
        ratio: Any = (new_std / apart.where(apart > 0)) ** 2
        held = ratio.where(ratio <= 1, 1.0)
        found[independence_name(other)] = independence_variable(
            held.dims, held.data, other
        )
    return found


def collapsed(value: xr.DataArray, dim: str) -> dict[str, xr.Variable]:
    """Return f along the dimensions that a fit along `dim` leaves.

    Harmonic means over `dim`, where f depends on it.
    """
    found = {}
    for other in map(str, value.dims):
        f = independence(value, other)
        if other != dim and f is not None and dim in f.dims:
            mean = 1 / (1 / f).mean(dim)
            found[independence_name(other)] = independence_variable(
                mean.dims, mean.data, other
            )
    return found


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
        chunk by chunk, of whole spectra, and a chunk of zeros is left unchanged.
    """
    along = (
        std.get_axis_num("E" if "E" in std.dims else std.dims[-1]) if std.ndim else 0
    )
    if is_lazy(std) or is_lazy(value):
        own = std.chunksizes
        parts = [value, std]
        if std.ndim and len(own.get(std.dims[along], ())) > 1:
            # Spectra in parts have no neighbours in the part without counts.
            whole = dict.fromkeys(std.dims, "auto") | {std.dims[along]: -1}
            parts = [part.chunk(whole) for part in parts]
        filled: xr.DataArray = xr.apply_ufunc(
            _not_negative_one_count_std,
            *parts,
            kwargs={"axis": along, "name": str(std.name)},
            dask="parallelized",
            output_dtypes=[_of_numbers(std.dtype)],
        )
        return filled.chunk(own).assign_attrs(std.attrs)
    if not (std.values == 0).any():
        return std
    if not (std.values > 0).any():
        return None
    return std.copy(data=one_count_std(value.values, std.values, axis=along))


def _not_negative_one_count_std(
    value: np.ndarray, std: np.ndarray, axis: int, name: str
) -> np.ndarray:
    require_not_negative(std, name)
    return one_count_std(value, std, axis)


def require_not_negative(std: np.ndarray, name: str) -> None:
    """Refuse negative standard deviations.

    Examples
    --------
    >>> require_not_negative(np.array([1.0, -1.0]), "S_std")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: 'S_std' is negative in 1 of 2 bins
    """
    if (negative := std < 0).any():
        raise QuantityError(
            f"'{name}' is negative in {int(negative.sum())} of {std.size} bins"
        )


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
