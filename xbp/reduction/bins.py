"""Cuts and rebinning: means over bins, weighted by how far each lies inside an interval."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import RangeError, XbpError
from xbp.core.grid import bin_limits, interval, mean_over, overlap, renamed
from xbp.core.independence import (
    carried_independence,
    independence_name,
    mixed_independence,
)
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude, split_quantity

__all__ = ["cut_E", "cut_Q", "rebin"]

_MAX_BINS = 1_000_000
_ROUNDING = 1e-9


@operation(
    takes="signal",
    over="E",
    step=20,
    suggested=(
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
    ),
)
@carries_common_errors(linear=True)
def cut_E(data: Data, E: Any, width: Any = None) -> Data:
    """Cut at constant energy: the mean over an interval of E.

    m = Σ wᵢ xᵢ / Σ wᵢ with wᵢ the overlap of bin and interval; NaN bins are left out
    and σ² = Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)², fᵢ being the part of an independent bin that each
    holds: 1, but of bins that share what was counted, as after `rebin` (coordinate
    ``E_independence``). Where bins are left out the means along the curve are not of
    the same part of the interval; ``coverage`` says of which.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    E : scalar with units, pair of them, or array over leftover dimensions
        Centre of the interval, with `width`; or its two limits. Bare numbers are in the
        units of the coordinate; frequencies and wavenumbers convert. An array, such as
        ``peak.energy`` over samples, cuts each at its own energy.
    width : scalar with units, optional
        Full width of the interval, where `E` is its centre.

    Returns
    -------
    same type as `data`
        Without the dimension E, which stays as a scalar coordinate (in a Dataset with
        its bounds). Where the interval does not hold numbers throughout, a Dataset has
        ``coverage``, the part of it that does, at every point.

    Raises
    ------
    RangeError
        If the interval reaches beyond the data, is empty, or holds nothing but NaN (for
        dask arrays, which are not computed here, the last shows as NaN).

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> cut = B.bp.cut_E("3 meV", width="0.5 meV")
    >>> list(cut.B.dims), float(cut.E)
    (['Q'], 3.0)
    """
    return _cut(data, "E", E, width)


@operation(
    takes="signal",
    over="Q",
    step=21,
    suggested=(
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "current_spectrum",
        "fluctuation_spectrum",
    ),
)
@carries_common_errors(linear=True)
def cut_Q(data: Data, Q: Any, width: Any = None) -> Data:
    """Cut at constant momentum transfer: the mean over an interval of Q.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over Q.
    Q, width
        As `E` and `width` of `cut_E`.

    Returns
    -------
    same type as `data`
        Without the dimension Q, which stays as a scalar coordinate (in a Dataset with
        its bounds), and with ``coverage`` as from `cut_E`.

    Raises
    ------
    RangeError
        As for `cut_E`.

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> B.bp.cut_Q(("2.1 1/angstrom", "8.5 1/angstrom")).B.dims
    ('E',)
    """
    return _cut(data, "Q", Q, width)


def _cut(data: Data, dim: Literal["E", "Q"], where: Any, width: Any) -> Data:
    signal = read(data)
    value = signal.value
    _require_dim(signal, dim)
    lower, upper = bin_limits(signal.source, dim)
    leftover: tuple[str, ...]
    low, high, leftover = _limits(signal, dim, where, width)
    _require_inside(dim, low, high, lower[0], upper[-1], value[dim].attrs["units"])

    weights = xr.Variable(
        (*leftover, dim),
        overlap(lower, upper, low[..., np.newaxis], high[..., np.newaxis]),
    )
    mean, std = mean_over(value, signal.std, weights, dim)
    _require_numbers(mean, dim, low, high, value[dim].attrs["units"])

    order = [d for d in value.dims if d != dim]
    carried = {
        name: c.variable for name, c in value.coords.items() if dim not in c.dims
    }
    carried |= carried_independence(
        value,
        signal.std,
        dim,
        functools.partial(_std_of_mean, value, weights, dim),
        std,
    )
    centre = xr.Variable(leftover, (low + high) / 2, value[dim].attrs)
    cut = xr.DataArray(
        mean.transpose(*order), coords={**carried, dim: centre}, name=value.name
    )
    units = value[dim].attrs["units"]
    span = [f"{low.min():.10g} {units}", f"{high.max():.10g} {units}"]
    answer: Data = signal.answer(
        cut,
        None if std is None else cut.copy(data=std.transpose(*order).data),
        operation=f"cut_{dim}",
        arguments={dim: span},
        bounds={dim: xr.Variable((*leftover, "bnds"), np.stack([low, high], axis=-1))},
    )
    if isinstance(answer, xr.Dataset):
        answer = answer.drop_vars("coverage", errors="ignore")
        part = xr.dot(
            np.isfinite(value.variable).astype(float), weights, dim=dim
        ) / weights.sum(dim)
        # What dask holds is not computed to be looked at.
        if part.chunks is not None or float(part.min()) < 1 - _ROUNDING:
            answer["coverage"] = part.transpose(*order)
            answer["coverage"].attrs = {
                "units": "1",
                "long_name": f"part of the interval of {dim} that holds numbers",
            }
    return answer


def _std_of_mean(
    value: xr.DataArray, weights: xr.Variable, dim: str, std: xr.DataArray
) -> xr.Variable | None:
    return mean_over(value, std, weights, dim)[1]


def _require_dim(signal: Signal, dim: str) -> None:
    if dim not in signal.value.dims:
        raise RangeError(
            f"'{signal.value.name}' has no dimension '{dim}' (it has "
            f"{tuple(signal.value.dims)})",
            reason=f"there is nothing to average over {dim}",
            fix="leave this step out; it was cut or averaged before",
        )


def _limits(
    signal: Signal, dim: str, where: Any, width: Any
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return lower and upper limits in the units of the coordinate, and the dimensions they are over."""
    value = signal.value
    units = value[dim].attrs["units"]
    if isinstance(where, slice):
        where = (where.start, where.stop)
    is_pair = (
        not isinstance(where, str | xr.DataArray)
        and hasattr(where, "__len__")
        and len(where) == 2
    )
    if is_pair:
        if width is not None:
            raise RangeError(
                f"both an interval {dim}={where!r} and width={width!r} are given",
                reason="the interval has a width of its own",
                fix="leave width= out",
            )
        low, high = interval(where, signal.source, dim, name=dim)
        return np.array(low), np.array(high), ()
    if width is None:
        raise RangeError(
            f"width= is missing for the cut at {dim}={where!r}",
            reason="the mean is over an interval, and its width is a choice",
            fix=f"cut_{dim}({where!r}, width='0.5 {units}'), or cut_{dim}((low, high))",
        )
    full = magnitude(width, units, name="width", energy=dim == "E")
    if full <= 0:
        raise RangeError(
            f"width is {full:g} {units}",
            reason="the interval is empty",
            fix="make it positive",
        )
    if isinstance(where, xr.DataArray) and where.ndim:
        numbers, given = split_quantity(where, dim)
        extra = [d for d in numbers.dims if d not in value.dims or d == dim]
        if extra:
            raise RangeError(
                f"{dim} is an array over {numbers.dims}",
                reason=f"the data have no dimension {extra[0]!r} left to take each at "
                f"its own {dim}",
                fix=f"give a scalar, such as {dim}.mean()",
            )
        centre = numbers.values * convert_factor(
            given or units, units, name=dim, energy=dim == "E"
        )
        if not np.isfinite(centre).all():
            raise RangeError(
                f"{dim} is NaN for {int((~np.isfinite(centre)).sum())} of "
                f"{centre.size}",
                reason="no interval can be laid around it",
                fix="drop those where the peak's status is not 'ok'",
            )
        leftover = tuple(str(d) for d in numbers.dims)
    else:
        centre, leftover = (
            np.array(magnitude(where, units, name=dim, energy=dim == "E")),
            (),
        )
    return centre - full / 2, centre + full / 2, leftover


def _require_inside(
    dim: str, low: np.ndarray, high: np.ndarray, first: float, last: float, units: str
) -> None:
    slack = 1e-9 * (last - first)
    if low.min() < first - slack or high.max() > last + slack:
        raise RangeError(
            f"the interval {dim} = {low.min():g} to {high.max():g} {units} reaches "
            "beyond the data",
            reason=f"the bins reach from {first:g} to {last:g} {units}, and a mean "
            "over part of what was "
            "asked for would pass for the whole",
            fix="choose an interval inside",
        )


def _require_numbers(
    mean: xr.Variable, dim: str, low: np.ndarray, high: np.ndarray, units: str
) -> None:
    if mean.chunks is None and not mean.notnull().any():
        raise RangeError(
            f"the interval {dim} = {low.min():g} to {high.max():g} {units} holds "
            "nothing but NaN",
            reason="it is masked, or in the kinematically forbidden region, everywhere",
            fix="choose an interval where the instrument measured",
        )


@operation(takes="signal")
@carries_common_errors(linear=True)
def rebin(
    data: Data,
    E: Any = None,
    Q: Any = None,
    *,
    given: Literal["edges", "centres"] = "edges",
) -> Data:
    """Bring a signal onto coarser or other bins, keeping its integral.

    Each new bin is the mean of the old ones weighted by overlap, so that ∫ over any
    interval between new edges is kept. Where old bins are NaN the mean is over what was
    measured, and NaN where nothing was. Each new bin has the standard deviation of its
    own mean. New bins that share an old one are correlated: ``E_independence``
    (``Q_independence``) says which part of an independent bin each holds, with which
    cuts, fits and further rebins have the errors that they have without this step.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E and/or Q.
    E, Q : scalar or 1-D array with units, optional
        A scalar is the new bin width, counted from the lowest edge of the data; an
        array (list, pint quantity or DataArray; bare numbers are in the units of the
        coordinate) gives the bins.
    given : {"edges", "centres"}
        What an array gives; edges between centres are halfway.

    Returns
    -------
    same type as `data`
        On the new bins; a Dataset keeps their edges as CF bounds.

    Raises
    ------
    RangeError
        If the new bins are not ascending or reach beyond the data.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> S.bp.rebin(Q="0.5 1/angstrom").sizes["Q"]
    16
    """
    if E is None and Q is None:
        raise RangeError(
            "neither E= nor Q= is given",
            reason="there are no new bins",
            fix="data.bp.rebin(E='0.5 meV')",
        )
    if given not in ("edges", "centres"):
        raise RangeError(
            f"given={given!r} is not known",
            reason="it is one of two",
            fix="'edges' or 'centres'",
        )
    signal = read(data)
    value, std = signal.value, signal.std
    arguments: dict[str, Any] = {}
    new_bounds: dict[str, xr.Variable] = {}
    for dim, bins in (("E", E), ("Q", Q)):
        if bins is None:
            continue
        _require_dim(signal, dim)
        units = value[dim].attrs["units"]
        lower, upper = bin_limits(signal.source, dim)
        edges = new_edges(dim, bins, given, lower, upper, units)
        _require_inside(dim, edges[:1], edges[-1:], lower[0], upper[-1], units)
        weights = xr.Variable(
            ("_new", dim),
            overlap(lower, upper, edges[:-1, np.newaxis], edges[1:, np.newaxis]),
        )
        order = ["_new" if d == dim else d for d in value.dims]
        carried = {
            name: c.variable for name, c in value.coords.items() if dim not in c.dims
        }
        mean, new_std = mean_over(value, std, weights, dim)
        spread = functools.partial(_std_of_mean, value, weights, dim)
        carried |= carried_independence(value, std, dim, spread, new_std)
        f = mixed_independence(value, std, weights, upper - lower, dim)
        if f is not None:
            carried[independence_name(dim)] = f
        carried = {name: renamed(c, dim) for name, c in carried.items()}
        centres = xr.Variable(dim, (edges[1:] + edges[:-1]) / 2, value[dim].attrs)
        new_bounds[dim] = xr.Variable(
            (dim, "bnds"), np.stack([edges[:-1], edges[1:]], axis=-1)
        )
        # The mean has its new dimension where the old one was.
        value = xr.DataArray(
            mean.transpose(*order).data,
            dims=value.dims,
            coords={**carried, dim: centres},
            name=value.name,
        )
        if new_std is not None:
            std = value.copy(data=new_std.transpose(*order).data)
        arguments[dim] = (
            f"{edges.size - 1} bins from {edges[0]:.10g} to {edges[-1]:.10g} {units}"
        )
    answer: Data = signal.answer(
        value, std, operation="rebin", arguments=arguments, bounds=new_bounds
    )
    return answer


def new_edges(
    dim: str, bins: Any, given: str, lower: np.ndarray, upper: np.ndarray, units: str
) -> np.ndarray:
    numbers, bin_units = (
        split_quantity(bins, dim)
        if not isinstance(bins, list | tuple)
        else (bins, None)
    )
    try:
        array = np.asarray(
            numbers if not isinstance(numbers, xr.DataArray) else numbers.values
        )
    except ValueError:
        array = np.empty((0, 0))
    if array.dtype.kind == "c" or isinstance(bins, xr.Dataset | dict):
        array = np.empty((0, 0))
    if array.ndim == 0:
        width = magnitude(bins, units, name=dim, energy=dim == "E")
        span = upper[-1] - lower[0]
        if not span / _MAX_BINS < width <= span * (1 + 1e-9):
            raise RangeError(
                f"the bin width {dim}={width:g} {units} does not fit",
                reason=f"it must be positive and at most the {span:g} {units} that "
                "the data span, in "
                f"{_MAX_BINS} bins at most",
                fix="a width of a few bins, such as "
                f"{2 * float(np.median(upper - lower)):g}",
            )
        # The last bin is dropped where it would reach beyond the data.
        return np.asarray(
            lower[0]
            + width * np.arange(int((upper[-1] - lower[0]) / width * (1 + 1e-9)) + 1)
        )
    try:
        array = (
            np.array([magnitude(b, units, name=dim, energy=dim == "E") for b in array])
            if array.dtype.kind in "OU"
            else array
        )
        points = array.astype(float) * convert_factor(
            bin_units or units, units, name=dim, energy=dim == "E"
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, XbpError):
            raise
        raise RangeError(
            f"{dim}={bins!r} is no array of bin {given}",
            reason=str(error),
            fix="give numbers",
        ) from None
    if (
        points.ndim != 1
        or points.size < 2
        or not np.isfinite(points).all()
        or (np.diff(points) <= 0).any()
    ):
        raise RangeError(
            f"the new bin {given} of {dim} have shape {points.shape} and are not "
            "ascending numbers",
            reason="at least two, finite and ascending, are needed",
            fix=f"np.arange(start, stop, step), in {units}",
        )
    if given == "centres":
        centres = xr.DataArray(points, dims=dim, coords={dim: points})
        new_lower, new_upper = bin_limits(centres, dim)
        return np.append(new_lower, new_upper[-1])
    return points
