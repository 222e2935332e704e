"""Cuts and rebinning: means over bins, weighted by how far each lies in an interval."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.diagnostic import Diagnostic
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interval, is_pair, overlap, rebinned
from xbp.core.guards import (
    choose,
    require_dims,
    require_finite,
    require_inside,
    require_number,
    require_positive,
    shown,
)
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude, split_quantity
from xbp.reduction.doubts import with_doubts

__all__ = ["cut_E", "cut_Q", "rebin"]


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
    and σ² = Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)². fᵢ is the part of an independent bin that each bin
    represents (coordinate ``E_independence``): 1, except for bins that share counts, as
    after `rebin`. Where bins are left out, the means along the curve are over different
    parts of the interval; ``coverage`` is that part.

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
        its bounds). Where part of the interval is NaN, a Dataset has ``coverage``, the
        part of it with numbers, at every point.

    Raises
    ------
    RangeError
        If the interval reaches beyond the data, is empty, or has nothing but NaN (dask
        arrays are not computed here: NaN instead).

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
    require_dims(value, (dim,), f"cut_{dim}")
    units = value[dim].attrs["units"]
    lower, upper = bin_limits(signal.source, dim)
    leftover: tuple[str, ...]
    low, high, leftover = _limits(signal, dim, where, width)
    ends = float(low.min()), float(high.max())
    require_inside(ends, (lower[0], upper[-1]), dim, units)
    each = overlap(lower, upper, low[..., np.newaxis], high[..., np.newaxis])
    weights = xr.Variable((*leftover, dim), each)
    mean, std, coords = rebinned(value, signal.std, weights, dim)
    if mean.chunks is None and not mean.notnull().any():
        raise RangeError(
            f"the interval {dim} = {ends[0]:g} to {ends[1]:g} {units} contains nothing "
            "but NaN: it is masked, or in the kinematically forbidden region"
        )
    order = [d for d in value.dims if d != dim]
    coords[dim] = xr.Variable(leftover, (low + high) / 2, value[dim].attrs)
    cut = xr.DataArray(mean.transpose(*order), coords=coords, name=value.name)
    answer: Data = signal.answer(
        cut,
        None if std is None else std.transpose(*order),
        operation=f"cut_{dim}",
        arguments={dim: [f"{end:.10g} {units}" for end in ends]},
        bounds={dim: xr.Variable((*leftover, "bnds"), np.stack([low, high], axis=-1))},
    )
    if isinstance(answer, xr.Dataset):
        answer = answer.drop_vars("coverage", errors="ignore")
        known: Any = np.isfinite(value.variable)
        # Dask arrays are not computed to be looked at.
        if known.chunks is not None or not known.data.all():
            part = xr.dot(known.astype(float), weights, dim=dim) / weights.sum(dim)
            if part.chunks is not None or float(part.min()) < 1 - 1e-9:
                answer["coverage"] = part.transpose(*order)
                answer["coverage"].attrs = {
                    "units": "1",
                    "long_name": f"part of the interval of {dim} that has numbers",
                }
                # Points of which nothing was measured are means of nothing.
                seen = None if part.chunks is not None else part.where(part > 0)
                if seen is not None and float(seen.min()) < 0.9995:
                    least, most = 100 * float(seen.min()), 100 * float(seen.max())
                    doubt = Diagnostic(
                        "partial_coverage",
                        "info",
                        f"means are over {least:.3g} to {most:.3g} % of the interval "
                        f"of {dim}, which was not measured throughout (data.coverage)",
                        "a narrower interval has more of it",
                    )
                    with_doubts(answer, str(value.name), doubt)
    return answer


def _limits(
    signal: Signal, dim: str, where: Any, width: Any
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the limits in the units of the coordinate, and what they are over."""
    value = signal.value
    units = value[dim].attrs["units"]
    if isinstance(where, slice):
        where = (where.start, where.stop)
    if not isinstance(where, xr.DataArray) and is_pair(where):
        if width is not None:
            raise RangeError(
                f"both an interval {dim}={shown(where)} and width={shown(width)} are "
                "given"
            )
        low, high = interval(where, signal.source, dim, name=dim)
        return np.array(low), np.array(high), ()
    if width is None:
        raise RangeError(
            f"width= is missing for the cut at {dim}={shown(where)}",
            reason="the mean is over an interval, and its width is a choice",
            fix=f"cut_{dim}({shown(where)}, width='0.5 {units}'), or cut_{dim}((low, "
            "high))",
        )
    half = require_positive(width, "width", units, energy=dim == "E") / 2
    if not (isinstance(where, xr.DataArray) and where.ndim):
        number = magnitude(where, units, name=dim, energy=dim == "E")
        return np.array(number - half), np.array(number + half), ()
    numbers, given = split_quantity(where, dim)
    extra = [d for d in numbers.dims if d not in value.dims or d == dim]
    if extra:
        raise RangeError(
            f"{dim} is an array over {numbers.dims}, and the data have no dimension "
            f"{extra[0]!r} left to take each at its own {dim}",
            fix=f"give a scalar, such as {dim}.mean()",
        )
    factor = convert_factor(given or units, units, name=dim, energy=dim == "E")
    centre = numbers.values * factor
    if not np.isfinite(centre).all():
        raise RangeError(
            f"{dim} is NaN for {int((~np.isfinite(centre)).sum())} of {centre.size}",
            fix="drop those where the peak's status is not 'ok'",
        )
    return centre - half, centre + half, tuple(map(str, numbers.dims))


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
    (``Q_independence``) is the part of an independent bin that each represents, with
    which cuts, fits and further rebins have the same errors as without this step.

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
        raise RangeError("neither E= nor Q= is given", fix="data.bp.rebin(E='0.5 meV')")
    choose(given, ("edges", "centres"), "given", error=RangeError)
    signal = read(data)
    value, std = signal.value, signal.std
    arguments: dict[str, Any] = {}
    bounds: dict[str, xr.Variable] = {}
    for dim, bins in (("E", E), ("Q", Q)):
        if bins is None:
            continue
        require_dims(value, (dim,), "rebin")
        labels = value[dim].attrs
        units = labels["units"]
        lower, upper = bin_limits(signal.source, dim)
        edges = new_edges(dim, bins, given, lower, upper, units)
        require_inside((edges[0], edges[-1]), (lower[0], upper[-1]), dim, units)
        weights = xr.Variable(
            ("_new", dim),
            overlap(lower, upper, edges[:-1, np.newaxis], edges[1:, np.newaxis]),
        )
        mean, new_std, coords = rebinned(value, std, weights, dim, upper - lower)
        coords[dim] = xr.Variable(dim, (edges[1:] + edges[:-1]) / 2, labels)
        limits = np.stack([edges[:-1], edges[1:]], axis=-1)
        bounds[dim] = xr.Variable((dim, "bnds"), limits)
        order = value.dims
        value = xr.DataArray(mean.transpose(*order), coords=coords, name=value.name)
        if new_std is not None:
            std = value.copy(data=new_std.transpose(*order).data)
        arguments[dim] = (
            f"{edges.size - 1} bins from {edges[0]:.10g} to {edges[-1]:.10g} {units}"
        )
    answer: Data = signal.answer(
        value, std, operation="rebin", arguments=arguments, bounds=bounds
    )
    return answer


def is_width(bins: Any) -> bool:
    """Whether new bins are given as one width, not as a row of edges or centres."""
    if isinstance(bins, list | tuple):
        return False
    single = isinstance(bins, str | dict | xr.Dataset)
    return single or np.ndim(getattr(bins, "magnitude", bins)) == 0


def new_edges(
    dim: str,
    bins: Any,
    given: str,
    lower: np.ndarray,
    upper: np.ndarray,
    units: str,
    most: int = 1_000_000,
) -> np.ndarray:
    """Return the edges of at most `most` bins, given as width, edges or centres."""
    energy, span = dim == "E", upper[-1] - lower[0]
    row = isinstance(bins, list | tuple)
    if is_width(bins):
        width = require_number(
            bins, dim, units, above=span / most, most=span * (1 + 1e-9), energy=energy
        )
        # The last bin is dropped where it would reach beyond the data.
        n_edges = int(span / width * (1 + 1e-9)) + 1
        return np.asarray(lower[0] + width * np.arange(n_edges))
    numbers, own = (bins, None) if row else split_quantity(bins, dim)
    if row and any(
        isinstance(b, str | xr.DataArray) or hasattr(b, "units") for b in bins
    ):
        points = np.array([magnitude(b, units, name=dim, energy=energy) for b in bins])
    else:
        numbers = getattr(numbers, "values", numbers)
        points = require_finite(numbers, dim, error=RangeError) * convert_factor(
            own or units, units, name=dim, energy=energy
        )
    if points.ndim != 1 or points.size < 2 or (np.diff(points) <= 0).any():
        raise RangeError(
            f"the new bin {given} {dim}={shown(bins)} are not a row of at least two "
            "ascending numbers",
            fix=f"np.arange(start, stop, step), in {units}",
        )
    if given == "centres":
        centres = xr.DataArray(points, dims=dim, coords={dim: points})
        new_lower, new_upper = bin_limits(centres, dim)
        return np.append(new_lower, new_upper[-1])
    return points
