"""New bins as a user gives them, and the part of them that was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import given_axis
from xbp.core.data import is_lazy
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, renamed
from xbp.core.guards import require_number, require_whole
from xbp.core.numbers import percent
from xbp.core.status import Diagnostic
from xbp.core.units import convert_factor, magnitude

__all__ = [
    "bins_text",
    "covered",
    "dominant_bin",
    "is_width",
    "new_edges",
    "partial_bins",
    "where",
]


def bins_text(edges: np.ndarray, units: str) -> str:
    """Describe bins for the history."""
    return f"{edges.size - 1} bins from {edges[0]:.10g} to {edges[-1]:.10g} {units}"


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
    energy, reach = dim == "E", upper[-1] - lower[0]
    if is_width(bins):
        width = require_number(
            bins, dim, units, above=reach / most, most=reach * (1 + 1e-9), energy=energy
        )
        # The last bin is dropped where it would reach beyond the data.
        n_edges = int(reach / width * (1 + 1e-9)) + 1
        return np.asarray(lower[0] + width * np.arange(n_edges))
    if isinstance(bins, list | tuple):
        bins = [
            magnitude(one, units, name=dim, energy=energy)
            if isinstance(one, str | xr.DataArray) or hasattr(one, "units")
            else one
            for one in bins
        ]
    points, own = given_axis(bins, dim, units, error=RangeError)
    points = points * convert_factor(own, units, name=dim, energy=energy)
    require_whole(points.size, f"number of {given} of {dim}", least=2)
    if given == "centres":
        centres = xr.DataArray(points, dims=dim, coords={dim: points})
        new_lower, new_upper = bin_limits(centres, dim)
        return np.append(new_lower, new_upper[-1])
    return points


def covered(value: xr.DataArray, weights: xr.Variable, dim: str) -> Any:
    """Return the part of each new bin, or of an interval, that has numbers."""
    known: Any = np.isfinite(value.variable)
    part = xr.dot(known.astype(float), weights, dim=dim) / weights.sum(dim)
    return renamed(part, dim) if "_new" in part.dims else part


def where(values: xr.Variable, kept: Any) -> xr.Variable:
    """Return values, NaN where they are not kept."""
    return values.copy(data=np.where(kept, values.data, np.nan))


def partial_bins(part: xr.Variable, dim: str) -> list[Diagnostic]:
    """Doubt new bins of which some part was not measured; none for dask."""
    if is_lazy(part):
        return []
    some = (part.values > 1e-9) & (part.values < 1 - 1e-9)
    if not some.any():
        return []
    ends = [f"{100 * end(part.values[some]):.3g}" for end in (np.min, np.max)]
    share = " to ".join(dict.fromkeys(ends))
    return [
        Diagnostic(
            "partial_bins",
            "info",
            f"{int(some.sum())} of {int((part.values > 0).sum())} bins of {dim} are "
            f"means over {share} % of their width, beside a mask or the end "
            "of the data",
            "rebin(…, least_coverage=1) leaves them out",
        )
    ]


def dominant_bin(
    axis: xr.DataArray, std: xr.DataArray | None, weights: xr.Variable
) -> list[Diagnostic]:
    """Doubt a mean over bins of which one has more variance than all others together.

    Parameters
    ----------
    axis : xarray.DataArray
        The coordinate that is averaged over.
    std : xarray.DataArray, optional
        Standard deviations of the bins.
    weights : xarray.Variable
        Of the bins, over that coordinate and perhaps others.

    Returns
    -------
    list of Diagnostic
        None without errors, of dask arrays, and of fewer than three bins. Of many means
        the median share counts.
    """
    dim = str(axis.name)
    if std is None or is_lazy(std):
        return []
    parts = ((std.variable * weights) ** 2).transpose(..., dim).values
    parts = np.where(np.isfinite(parts), parts, 0.0).reshape(-1, axis.size)
    parts = parts[(parts > 0).sum(axis=1) > 2]
    if not len(parts):
        return []
    share = float(np.median(parts.max(axis=1) / parts.sum(axis=1)))
    if not share > 0.5:
        return []
    at = np.bincount(parts.argmax(axis=1)).argmax()
    place = f"{dim} = {float(axis[at]):.4g} {axis.attrs['units']}"
    return [
        Diagnostic(
            "dominant_bin",
            "info",
            f"{percent(share)} of the variance of the mean over {dim} is from one "
            f"bin, most often {place}",
            f"use an interval of {dim} without it",
        )
    ]
