"""Bins: their edges, how far they overlap an interval, and means over them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.covariance import carried, weighted_variance
from xbp.core.data import is_lazy, weighted_sum
from xbp.core.errors import CoordinateError, RangeError, shown
from xbp.core.guards import require_order
from xbp.core.independence import (
    carried_independence,
    independence,
    independence_name,
    mixed_independence,
)
from xbp.core.schema import COORDINATES, require_units
from xbp.core.units import convert_factor, magnitude

__all__ = [
    "bin_limits",
    "interpolate",
    "interval",
    "mean_over",
    "overlap",
    "rebinned",
    "require_same_grid",
    "select_range",
]

#: Edges closer than this, relative to the bins, are one: grids in meV and in THz differ
#: by rounding.
_SAME_EDGE: Final = 1e-9


def bin_limits(
    data: xr.DataArray | xr.Dataset, dim: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper limits of the bins along a dimension.

    From the CF bounds ``<dim>_bnds`` where the data carry them, otherwise midway
    between the centres, the outer bins being as wide outwards as inwards.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Data with the ascending coordinate `dim`. Only a Dataset can carry bounds.
    dim : str
        A dimension.

    Returns
    -------
    lower, upper : numpy.ndarray
        One value per bin, in the units of the coordinate.

    Raises
    ------
    CoordinateError
        If there is a single bin without bounds, or the bounds do not enclose the
        centres.

    Examples
    --------
    >>> import xarray as xr
    >>> E = xr.DataArray([0, 0, 0], coords={"E": [1.0, 2.0, 4.0]}, dims="E")
    >>> bin_limits(E, "E")
    (array([0.5, 1.5, 3. ]), array([1.5, 3. , 5. ]))
    """
    coords = data.coords.variables
    centres = coords[dim].values.astype(float)
    name = coords[dim].attrs.get("bounds", f"{dim}_bnds")
    if name in coords:
        bounds = coords[name]
        if (
            bounds.ndim != 2
            or dim not in bounds.dims
            or bounds.size != 2 * centres.size
            or bounds.dtype.kind not in "fiu"
        ):
            raise CoordinateError(
                f"the bounds '{name}' of '{dim}' have the shape {dict(bounds.sizes)} "
                f"and type {bounds.dtype}, not two numbers for each bin",
                fix=f"data = data.drop_vars('{name}'), or give it the dimensions "
                f"('{dim}', 'bnds')",
            )
        lower, upper = bounds.transpose(dim, ...).values.astype(float).T
        slack = _SAME_EDGE * np.abs(upper - lower)
        outside = (
            (lower - slack > centres) | (upper + slack < centres) | ~(lower < upper)
        )
        if outside.any() or (lower[1:] < upper[:-1] - slack[1:]).any():
            raise CoordinateError(
                f"the bounds '{name}' do not enclose the coordinate '{dim}', or "
                "overlap",
                reason="the coordinate was changed without its bounds",
                fix=f"data = data.drop_vars('{name}'), or change both together",
            )
        return lower, upper
    if centres.size < 2:
        raise CoordinateError(
            f"the only bin of '{dim}' has no bounds, so its width is unknown",
            fix=f"keep the edges as '{dim}_bnds': xbp.new_dataset(..., "
            f"edges={{'{dim}': [lo, hi]}})",
        )
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    edges = np.concatenate([[first], middle, [last]])
    return edges[:-1], edges[1:]


def interval(
    limits: Any, data: xr.DataArray | xr.Dataset, dim: str, *, name: str
) -> tuple[float, float]:
    """Return an interval in the units of a coordinate.

    Parameters
    ----------
    limits : pair of scalars with units, or None
        Bare numbers are in the units of the coordinate; None is all of it.
    data : xarray.DataArray or xarray.Dataset
        Data with the coordinate.
    dim : str
        The coordinate.
    name : str
        Name of the argument, for the error message.

    Returns
    -------
    low, high : float

    Raises
    ------
    RangeError
        If it is not a pair, is empty or upside down, or does not touch the data.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> interval((2.1, "8.5 1/angstrom"), S, "Q", name="Q_range")
    (2.1, 8.5)
    """
    if dim not in data.coords:
        raise RangeError(
            f"{name}={shown(limits)} is given, but the data have no '{dim}'"
        )
    units = data.coords.variables[dim].attrs["units"]
    lower, upper = bin_limits(data, dim)
    if limits is None:
        return float(lower[0]), float(upper[-1])
    if isinstance(limits, slice):
        limits = (limits.start, limits.stop)
    if not is_pair(limits):
        raise RangeError(
            f"{name}={shown(limits)} is not a pair of a lower and an upper limit",
            fix=f"write it like {name}=('1 {units}', '2 {units}')",
        )
    low, high = (
        magnitude(limit, units, name=name, energy=dim == "E") for limit in limits
    )
    require_order(low, high, name, units, strict=True)
    if high <= lower[0] or low >= upper[-1]:
        raise RangeError(
            f"no data in {name}, {low:g} to {high:g} {units}; the data are from "
            f"{lower[0]:g} to {upper[-1]:g} {units}",
        )
    return low, high


def is_pair(limits: Any) -> bool:
    """Whether something is two scalars in an order, each with or without units."""
    if isinstance(limits, str | bytes | set | frozenset | Mapping) or not hasattr(
        limits, "__len__"
    ):
        return False
    try:
        ends = list(limits)
    except TypeError:  # scalars of pint and numpy have a len() that fails
        return False
    return len(ends) == 2 and not any(
        isinstance(end, list | tuple | slice) or np.ndim(getattr(end, "magnitude", end))
        for end in ends
    )


def select_range(
    data: xr.DataArray | xr.Dataset, dim: str, limits: Any, *, name: str
) -> np.ndarray:
    """Return a mask of the bins whose centres lie in an interval.

    Raises
    ------
    RangeError
        As for `interval`, or if no bin centre lies inside.
    """
    centres = data.coords.variables[dim].values
    if limits is None:
        return np.ones(centres.size, dtype=bool)
    low, high = interval(limits, data, dim, name=name)
    slack = _SAME_EDGE * (high - low)
    mask = (centres >= low - slack) & (centres <= high + slack)
    if not mask.any():
        raise RangeError(
            f"{name} ({low:g} to {high:g}) contains no bin centre of '{dim}'",
            fix=f"widen {name}",
        )
    return mask


def overlap(lower: np.ndarray, upper: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Return the width of each bin that lies inside an interval.

    Parameters
    ----------
    lower, upper : numpy.ndarray, shape (n,)
        Limits of the bins.
    low, high : float or numpy.ndarray, shape (..., 1)
        Limits of the intervals.

    Returns
    -------
    numpy.ndarray, shape (..., n)
        Overlap, with slivers that are rounding set to zero.

    Examples
    --------
    >>> edges = np.array([0.0, 1.0, 2.0, 3.0])
    >>> overlap(edges[:-1], edges[1:], 0.5, 2.25)
    array([0.5 , 1.  , 0.25])
    """
    width = np.minimum(upper, high) - np.maximum(lower, low)
    return np.where(width > _SAME_EDGE * np.min(upper - lower), width, 0.0)


def mean_over(
    value: xr.DataArray, std: xr.DataArray | None, weights: xr.Variable, dim: str
) -> tuple[xr.Variable, xr.Variable | None]:
    """Average along a dimension with weights, without bins that have no finite number.

    m = Σ wᵢ xᵢ / Σ wᵢ over these bins, and σ² = Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)², where fᵢ
    is the fraction of an independent bin (`xbp.core.independence`); σ is at most that
    of fully correlated bins, Σ wᵢ σᵢ / Σ wᵢ. What was subtracted from all bins is in it
    with its covariance (`xbp.core.covariance`).

    Parameters
    ----------
    value, std : xarray.DataArray
        Data, and their standard deviation or None.
    weights : xarray.Variable
        Weights over `dim`, and over any further dimension the mean shall have.
    dim : str
        Dimension to average over.

    Returns
    -------
    mean, std : xarray.Variable
        NaN where no bin with weight has a number.
    """
    # Most bins have no weight in most means.
    axis = weights.get_axis_num(dim)
    used = np.flatnonzero(
        np.moveaxis(weights.values, axis, -1).any(tuple(range(weights.ndim - 1)))
    )
    first, last = (used[0], used[-1] + 1) if used.size else (0, 1)
    here = {dim: slice(first, last)}
    numbers: Any = value.variable.isel(here)
    weights = weights.isel(here)
    # Where every bin has a number, and dask does not have to look, masks are left out.
    whole = not is_lazy(numbers) and bool(np.isfinite(numbers.data).all())
    total: Any
    if whole:
        total = weights.sum(dim)
    else:
        valid = np.isfinite(numbers)
        total = weighted_sum(valid.astype(float), weights, dim)
        numbers = numbers.where(valid, 0.0)
    if not (whole and bool((total.data > 0).all())):
        total = total.where(total > 0)
    mean = weighted_sum(numbers, weights, dim) / total
    if std is None:
        return mean, None
    known: Any = True if whole else valid
    variance = weighted_variance(std, weights, dim, here, known)
    return mean, variance**0.5 / total


def rebinned(
    value: xr.DataArray,
    std: xr.DataArray | None,
    weights: xr.Variable,
    dim: str,
    widths: np.ndarray | None = None,
) -> tuple[xr.Variable, xr.Variable | None, dict[Hashable, xr.Variable]]:
    """Average along a dimension (`mean_over`), with the coordinates that remain.

    Parameters
    ----------
    value, std, weights, dim
        As for `mean_over`; `weights` over ``_new`` and `dim` make new bins of `dim`.
    widths : numpy.ndarray, shape (n,), optional
        Widths of the old bins, where there are new ones.

    Returns
    -------
    mean, std : xarray.Variable
    coords : dict
        Coordinates of `value` that are not over `dim`, and the fractions of independent
        bins (`xbp.core.independence`) of the means.
    """
    mean, new_std = mean_over(value, std, weights, dim)
    coords = {n: c for n, c in value.coords.variables.items() if dim not in c.dims}
    coords |= carried_independence(
        value, std, dim, lambda s: mean_over(value, s, weights, dim)[1], new_std
    )
    coords |= carried(value, std, weights, dim, widths)
    if widths is not None:
        f = mixed_independence(value, std, weights, widths, dim)
        coords |= {} if f is None else {independence_name(dim): f}
        coords = {name: renamed(c, dim) for name, c in coords.items()}
        mean = renamed(mean, dim)
        new_std = None if new_std is None else renamed(new_std, dim)
    return mean, new_std, coords


def interpolate(
    value: xr.DataArray, std: xr.DataArray | None, dim: str, at: np.ndarray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Interpolate linearly along a dimension, the standard deviation with it.

    y = (1−t) y₀ + t y₁ and σ² = (1−t)² σ₀² + t² σ₁², with the points taken
    as independent. If the new points are closer than the old, or lie between them,
    neighbours share measured points, recorded in ``<dim>_independence``.

    Parameters
    ----------
    value, std : xarray.DataArray
        Data over the ascending coordinate `dim`, and their standard deviation or None.
    dim : str
        Dimension to interpolate along.
    at : numpy.ndarray, shape (n,)
        Where to, in the units of the coordinate.

    Returns
    -------
    value, std : xarray.DataArray
        Over `dim` without a coordinate; NaN beyond the data, never extrapolated. A
        point that is on the grid but for rounding is taken as it is, whatever its
        neighbours.

    Examples
    --------
    >>> y = xr.DataArray([0.0, 1.0, np.nan], dims="E", coords={"E": [0.0, 1.0, 2.0]})
    >>> interpolate(y, None, "E", np.array([0.25, 1.0, 1.5, 3.0]))[0].values
    array([0.25, 1.  ,  nan,  nan])
    """
    own = value[dim].values.astype(float)
    right = np.clip(np.searchsorted(own, at), min(1, own.size - 1), own.size - 1)
    left = np.maximum(right - 1, 0)
    step = own[right] - own[left]
    # A single point is known only where it is.
    t = np.where(
        step > 0,
        (at - own[left]) / np.where(step > 0, step, 1.0),
        np.where(at == own[left], 0.0, np.nan),
    )
    t = np.where(
        np.abs(t) < _SAME_EDGE, 0.0, np.where(np.abs(t - 1) < _SAME_EDGE, 1.0, t)
    )
    t = np.where((t < 0) | (t > 1), np.nan, t)

    def mix(array: xr.DataArray, own: xr.Variable, power: int) -> xr.DataArray:
        # A neighbour of weight zero may be NaN.
        after = own.ndim - 1 - own.get_axis_num(dim)
        weight = t.reshape(-1, *[1] * after)
        low = np.where(weight != 1, own.isel({dim: left}).data, 0.0)
        high = np.where(weight != 0, own.isel({dim: right}).data, 0.0)
        mixed = ((1 - weight) ** power * low + weight**power * high) ** (1 / power)
        every = array.coords.variables.items()
        kept: Any = {name: c for name, c in every if dim not in c.dims}
        indexes = {name: i for name, i in array.xindexes.items() if name in kept}
        coords = xr.Coordinates(kept, indexes=indexes)
        return xr.DataArray(mixed, dims=own.dims, coords=coords)

    one = mix(value, value.variable, 1)
    if std is None:
        return one, None
    spread = mix(std, std.variable**2, 2)
    old = independence(std, dim)
    before = (
        np.ones(own.size)
        if old is None
        else old.mean([d for d in old.dims if d != dim]).values
    )
    f = _shared_points(own, at, left, right, t, before)
    return one, spread if f is None else spread.assign_coords(
        {independence_name(dim): (dim, f, {"units": "1"})}
    )


def _shared_points(
    own: np.ndarray,
    at: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    t: np.ndarray,
    before: np.ndarray,
) -> np.ndarray | None:
    """Return the part of an independent point that each interpolated one represents.

    For points of equal errors.

    An integral over many interpolated points has the variance of that over the old
    ones, to which each contributes its spacing:
    f = [(1−t)² + t²] Δ / [(1−t) Δ₀ + t Δ₁].
    """
    if own.size < 2 or at.size < 2:
        return None
    spacing, new = np.abs(np.gradient(own)), np.abs(np.gradient(at))
    part = (
        ((1 - t) ** 2 + t**2)
        * new
        / ((1 - t) * spacing[left] / before[left] + t * spacing[right] / before[right])
    )
    part = np.where(np.isfinite(part), np.minimum(part, 1.0), 1.0)
    return None if (part > 1 - _SAME_EDGE).all() else part


def renamed(values: xr.Variable, dim: str) -> xr.Variable:
    """Give new bins the name of the old."""
    return xr.Variable(
        [dim if d == "_new" else d for d in values.dims], values.data, values.attrs
    )


#: How two data sets come onto one grid, by the dimension.
_ONTO_ONE_GRID: Final = {
    "detector": ".bp.angle_to_Q(Q) of both first, or reduce both with one grouping"
} | dict.fromkeys(
    ("Q", "E"), "other.bp.rebin({0}=edges); other.assign_coords({0}=data['{0}']) if "
    "the difference is rounding"
)  # fmt: skip


def require_same_grid(
    left: xr.DataArray, right: xr.DataArray, dims: tuple[Hashable, ...]
) -> None:
    """Raise an error if the coordinates of two arrays differ, however little."""
    for dim in dims:
        if (
            dim not in left.coords
            and dim not in right.coords
            and left.sizes[dim] == right.sizes[dim]
        ):
            continue
        a, b = left[dim].values, right[dim].values
        if dim in COORDINATES and dim in left.coords and dim in right.coords:
            example = COORDINATES[str(dim)][0]
            units = [
                require_units(side[dim], f"coordinate '{dim}'", example)
                for side in (left, right)
            ]
            factor = convert_factor(
                units[1], units[0], name=f"coordinate '{dim}'", energy=dim == "E"
            )
            # The same grid in other units differs by rounding alone.
            if (
                factor != 1
                and a.shape == b.shape
                and np.allclose(a, b * factor, rtol=1e-12, atol=0)
            ):
                continue
            b = b * factor
        if a.shape == b.shape and (a == b).all():
            continue
        if a.dtype.kind not in "fiu" or b.dtype.kind not in "fiu":
            raise CoordinateError(
                f"the two '{dim}' coordinates do not match: {shown(a.tolist())} and "
                f"{shown(b.tolist())}",
                fix=f"other.sel({dim}=data['{dim}'])",
            )
        detail = (
            ""
            if a.shape != b.shape
            else (f" (they differ by up to {np.abs(a - b).max():.3g})")
        )
        raise CoordinateError(
            f"the two '{dim}' grids do not match: {a.size} points from {a[0]:.10g} to "
            f"{a[-1]:.10g}, and {b.size} from {b[0]:.10g} to {b[-1]:.10g}{detail}",
            fix=_ONTO_ONE_GRID.get(str(dim), "other.sel({0}=data['{0}'])").format(dim),
        )
