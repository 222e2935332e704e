"""Bins: their edges, how far they overlap an interval, and means over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, RangeError
from xbp.core.independence import independence, independence_name, std_along
from xbp.core.units import convert_factor, magnitude, split_quantity, to_kelvin

__all__ = [
    "bin_limits",
    "given_axis",
    "interpolate",
    "interval",
    "mean_over",
    "overlap",
    "range_used",
    "select_range",
]

# Two edges this close, relative to the narrowest bin, are one: a grid in meV and the
# same grid in THz differ by rounding, and an interval that ends on an edge must not
# lose or gain a bin by it.
_SAME_EDGE = 1e-9


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
    >>> bin_limits(xr.DataArray([0, 0, 0], coords={"E": [1.0, 2.0, 4.0]}, dims="E"), "E")
    (array([0.5, 1.5, 3. ]), array([1.5, 3. , 5. ]))
    """
    centres = np.asarray(data.coords[dim].values, dtype=float)
    bounds_name = data.coords[dim].attrs.get("bounds", f"{dim}_bnds")
    if bounds_name in data.coords:
        bounds = data.coords[bounds_name]
        if (
            bounds.ndim != 2
            or dim not in bounds.dims
            or bounds.size != 2 * centres.size
            or bounds.dtype.kind not in "fiu"
        ):
            raise CoordinateError(
                f"the bounds '{bounds_name}' of '{dim}' have the shape "
                f"{dict(bounds.sizes)} and type {bounds.dtype}",
                reason="every bin has a lower and an upper limit",
                fix=f"data = data.drop_vars('{bounds_name}'), or give it the "
                f"dimensions ('{dim}', 'bnds')",
            )
        lower, upper = np.asarray(bounds.transpose(dim, ...).values, dtype=float).T
        slack = _SAME_EDGE * np.abs(upper - lower)
        outside = (
            (lower - slack > centres) | (upper + slack < centres) | ~(lower < upper)
        )
        if outside.any() or (lower[1:] < upper[:-1] - slack[1:]).any():
            raise CoordinateError(
                f"the bounds '{bounds_name}' do not enclose the coordinate '{dim}', "
                "or overlap",
                reason="the coordinate was changed without its bounds, so no bin has "
                "a known width",
                fix=f"data = data.drop_vars('{bounds_name}'), or change both together",
            )
        return lower, upper
    if centres.size < 2:
        raise CoordinateError(
            f"the only bin of '{dim}' has no bounds",
            reason="its width is not known",
            fix=f"keep the edges as '{dim}_bnds': xbp.new_dataset(..., "
            f"edges={{'{dim}': [lo, hi]}})",
        )
    middle = (centres[1:] + centres[:-1]) / 2
    edges = np.concatenate(
        [[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]]
    )
    return edges[:-1], edges[1:]


def given_axis(given: Any, dim: str) -> tuple[np.ndarray, str]:
    """Return an axis that a user gives as an argument.

    Parameters
    ----------
    given : 1-D array, list, pint.Quantity, or DataArray with units
        Ascending real numbers; a single one is an axis too.
    dim : {"E", "temperature"}
        What they are: energies (bare: meV) or temperatures (bare: K).

    Returns
    -------
    values : numpy.ndarray, shape (n,)
    units : str
        Theirs.

    Raises
    ------
    CoordinateError
        If they are no such numbers: masked, complex, dates, text, rows of different
        lengths, not ascending.
    UnitsError
        If their units are of something else.

    Examples
    --------
    >>> given_axis([2, 10.0], "temperature")
    (array([ 2., 10.]), 'K')
    """
    numbers, units = (
        (given, None)
        if isinstance(given, list | tuple | dict | str)
        else split_quantity(given, dim)
    )
    numbers = getattr(numbers, "values", numbers)
    try:
        masked = bool(np.ma.is_masked(numbers))
        values = np.atleast_1d(
            np.asarray(None if masked or _has_units(numbers) else numbers)
        )
    except (TypeError, ValueError):  # rows of different lengths
        values = np.array([None])
    usable = values.dtype.kind in "fiu" and values.ndim == 1 and values.size > 0
    if (
        not usable
        or not np.isfinite(values).all()
        or (np.diff(values.astype(float)) <= 0).any()
    ):
        example = (
            "np.linspace(0.1, 30, 300), in meV"
            if dim == "E"
            else "np.linspace(2, 300, 150), in K"
        )
        raise CoordinateError(
            f"{dim}={' '.join(repr(given).split()):.60}",
            reason="it is a row of ascending, finite real numbers, with units for all "
            "of them or none",
            fix=f"{dim}={example}",
        )
    values = values.astype(float)
    if dim == "E":
        convert_factor(units or "meV", "meV", name=dim, energy=True)
        return values, units or "meV"
    to_kelvin(values, units or "K", name=dim)
    return values, units or "K"


def _has_units(numbers: Any) -> bool:
    """Tell whether single numbers of a list have units of their own, which would be lost."""
    return isinstance(numbers, list | tuple) and any(
        hasattr(number, "magnitude") or isinstance(number, xr.DataArray)
        for number in numbers
    )


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
    coordinate = data.coords[dim]
    units = coordinate.attrs["units"]
    lower, upper = bin_limits(data, dim)
    if limits is None:
        return float(lower[0]), float(upper[-1])
    if isinstance(limits, slice):
        limits = (limits.start, limits.stop)
    if not is_pair(limits):
        raise RangeError(
            f"{name}={limits!r} is not a pair",
            reason="an interval has a lower and an upper limit",
            fix=f"write it like {name}=('1 {units}', '2 {units}')",
        )
    low, high = (
        magnitude(limit, units, name=name, energy=dim == "E") for limit in limits
    )
    if not low < high:
        raise RangeError(
            f"{name} runs from {low:g} to {high:g} {units}",
            reason="the lower limit must be below the upper one",
            fix="exchange them",
        )
    if high <= lower[0] or low >= upper[-1]:
        raise RangeError(
            f"{name} ({low:g} to {high:g} {units}) holds no data",
            reason=f"the data reach from {lower[0]:g} to {upper[-1]:g} {units}",
            fix="choose an interval inside",
        )
    return low, high


def is_pair(limits: Any) -> bool:
    """Tell whether something is two scalars in an order, each with or without units."""
    if isinstance(limits, str | bytes | set | frozenset | Mapping) or not hasattr(
        limits, "__len__"
    ):
        return False
    try:
        ends = list(limits)
    except TypeError:  # of pint and numpy, a scalar claims to have a length
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
    centres = data.coords[dim].values
    if limits is None:
        return np.ones(centres.size, dtype=bool)
    low, high = interval(limits, data, dim, name=name)
    slack = _SAME_EDGE * (high - low)
    mask = (centres >= low - slack) & (centres <= high + slack)
    if not mask.any():
        raise RangeError(
            f"{name} ({low:g} to {high:g}) holds no bin centre of '{dim}'",
            reason="it is narrower than the bins there",
            fix="widen it",
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
    >>> overlap(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), 0.5, 2.25)
    array([0.5 , 1.  , 0.25])
    """
    width = np.minimum(upper, high) - np.maximum(lower, low)
    return np.where(width > _SAME_EDGE * np.min(upper - lower), width, 0.0)


def mean_over(
    value: xr.DataArray, std: xr.DataArray | None, weights: xr.Variable, dim: str
) -> tuple[xr.Variable, xr.Variable | None]:
    """Average along a dimension with weights, leaving out bins that hold no finite number.

    m = Σ wᵢ xᵢ / Σ wᵢ over these bins, and σ² = Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)², where fᵢ is the
    fraction of an independent bin (`xbp.core.independence`); σ is at most that of fully
    correlated bins, Σ wᵢ σᵢ / Σ wᵢ.

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
        NaN where no bin with weight holds a number.
    """
    valid = np.isfinite(value.variable)
    total = xr.dot(valid.astype(float), weights, dim=dim)
    total = total.where(total > 0)
    filled = value.variable.where(valid, 0.0)  # type: ignore[no-untyped-call]
    mean = xr.dot(filled, weights, dim=dim) / total
    if std is None:
        return mean, None
    filled = std_along(std, dim).variable.where(valid, 0.0)  # type: ignore[no-untyped-call]
    variance = xr.dot(filled**2, weights**2, dim=dim)
    if independence(std, dim) is not None:
        filled = std.variable.where(valid, 0.0)  # type: ignore[no-untyped-call]
        variance = np.minimum(variance, xr.dot(filled, weights, dim=dim) ** 2)
    return mean, variance**0.5 / total


def interpolate(
    value: xr.DataArray, std: xr.DataArray | None, dim: str, at: np.ndarray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Interpolate linearly along a dimension, the standard deviation with it.

    y = (1−t) y₀ + t y₁ and σ² = (1−t)² σ₀² + t² σ₁², with the points taken as
    independent. If the new points are closer than the old, or lie between them,
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
    # A single point is known nowhere but where it stands.
    t = np.where(
        step > 0,
        (at - own[left]) / np.where(step > 0, step, 1.0),
        np.where(at == own[left], 0.0, np.nan),
    )
    t = np.where(
        np.abs(t) < _SAME_EDGE, 0.0, np.where(np.abs(t - 1) < _SAME_EDGE, 1.0, t)
    )
    t = np.where((t < 0) | (t > 1), np.nan, t)
    weight = xr.DataArray(t, dims=dim)

    def mix(array: xr.DataArray, power: int) -> xr.DataArray:
        bare = array.drop_vars([c for c in array.coords if dim in array[c].dims])
        # A neighbour of weight zero may be NaN.
        low = bare.isel({dim: left}).where(weight != 1, 0.0)
        high = bare.isel({dim: right}).where(weight != 0, 0.0)
        return ((1 - weight) ** power * low + weight**power * high).transpose(
            *array.dims
        )

    if std is None:
        return mix(value, 1), None
    spread = mix(std**2, 2) ** 0.5
    old = independence(std, dim)
    before = (
        np.ones(own.size)
        if old is None
        else old.mean([d for d in old.dims if d != dim]).values
    )
    f = _shared_points(own, at, left, right, t, before)
    return mix(value, 1), spread if f is None else spread.assign_coords(
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
    """Return which part of an independent point each interpolated one holds, of points of equal errors.

    An integral over many interpolated points has the variance of that over the old
    ones, to which each contributes its spacing: f = [(1−t)² + t²] Δ / [(1−t) Δ₀ + t
    Δ₁].
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


def range_used(
    name: str, given: Any, low: Any, high: Any, units: str
) -> dict[str, Any]:
    """Return what a history says of a range.

    As it was given, or what was taken in its place.

    Parameters
    ----------
    name : str
        Of the argument.
    given : pair of scalars with units, or None
        What the caller gave.
    low, high : float or DataArray
        What was taken. Of many fits each has its own, which stand in the table of
        results; of numbers that dask has yet to compute nothing is known.
    units : str
        Of `low` and `high`.

    Examples
    --------
    >>> range_used("E_range", None, 2.0, 8.5, "meV")
    {'E_range': ['2 meV', '8.5 meV'], 'E_range_chosen': 'automatically'}
    >>> range_used("E_range", ("2 meV", "9 meV"), 2.0, 8.5, "meV")
    {'E_range': ('2 meV', '9 meV')}
    """
    if given is not None:
        return {name: given}
    if np.ndim(low) or getattr(low, "chunks", None) is not None:
        return {
            name: "each fit its own, see the table",
            f"{name}_chosen": "automatically",
        }
    if not np.isfinite(float(low)):
        return {name: "none found", f"{name}_chosen": "automatically"}
    return {
        name: [f"{float(end):.6g} {units}" for end in (low, high)],
        f"{name}_chosen": "automatically",
    }
