"""Means over bins from which one number was subtracted that was found from them.

The value of a bin is F (S − c), where c = Σ gS is the same for all bins along a
dimension: `xbp.subtract_Q_independent`. Its error is that of S, that of c, and their
covariance, which is no smaller where few bins make c. Along the dimension Q three
coordinates give them, in units of the bin's standard deviation σ, so that a factor F
changes none: ``Q_error_own`` of S, ``Q_error_shared`` of c, and ``Q_error_gain``, the
covariance of both over the error of c. A mean with the weights w has the variance

    Σ w²σ² own² + (Σ wσ shared)² − 2 (Σ wσ shared) (Σ wσ gain)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.data import weighted_sum
from xbp.core.independence import independence, independence_name, std_along

__all__ = ["replaced", "shared_number", "weighted_variance"]

_TERMS = {
    "own": "error of a bin itself",
    "shared": "error of a number subtracted from all bins",
    "gain": "covariance of both over the error of the number",
}


def _names(dim: str) -> list[str]:
    return [f"{dim}_error_{term}" for term in _TERMS]


def shared_number(
    std: Any, own: Any, shared: Any, covariance: Any, dim: str
) -> dict[str, xr.Variable]:
    """Return the coordinates for a number that was subtracted from all bins.

    Parameters
    ----------
    std : xarray.Variable
        Standard deviations of the differences.
    own : xarray.Variable
        Those of the bins before, σ/√f.
    shared : xarray.Variable
        Standard deviation of the number.
    covariance : xarray.Variable
        That of each bin and the number.
    dim : str
        The dimension that the number lacks.
    """
    gain = covariance / shared.where(shared > 0)
    scale = std.where(std > 0)
    parts = [(part / scale).fillna(0.0) for part in (own, shared, gain)]
    return {
        name: xr.Variable(
            part.transpose(*std.dims).dims,
            part.transpose(*std.dims).data,
            {"units": "1", "long_name": f"{text}, over the standard deviation"},
        )
        for name, part, text in zip(_names(dim), parts, _TERMS.values(), strict=True)
    }


def weighted_variance(
    std: xr.DataArray,
    weights: xr.Variable,
    dim: str,
    here: Mapping[Any, slice],
    valid: Any = True,
) -> Any:
    """Return the variance of a weighted sum over bins.

    Parameters
    ----------
    std : xarray.DataArray
        Standard deviations, with the coordinates of the data.
    weights : xarray.Variable
        Over `dim` and ``_new`` where there are new bins, which share what the old did.
    dim : str
        The dimension.
    here : mapping
        The bins that have weight.
    valid : xarray.Variable, optional
        Bins with a number.
    """

    def held(part: Any) -> Any:
        part = part.isel(here)
        return part if valid is True else part.where(valid, 0.0)

    sigma = held(std.variable)
    terms = [std.coords.variables.get(name) for name in _names(dim)]
    if "_new" not in weights.dims and all(term is not None for term in terms):
        own, shared, gain = (held(std.variable * term) for term in terms)
        alone = weighted_sum(own**2, weights**2, dim)
        one = weighted_sum(shared, weights, dim)
        both = alone + one**2 - 2 * one * weighted_sum(gain, weights, dim)
        return np.maximum(both, 0.0)
    variance = weighted_sum(held(std_along(std, dim).variable) ** 2, weights**2, dim)
    if independence(std, dim) is None:
        return variance
    return np.minimum(variance, weighted_sum(sigma, weights, dim) ** 2)


def replaced(
    old: Mapping[Hashable, xr.Variable], new: Mapping[Any, xr.Variable]
) -> dict[Hashable, xr.Variable]:
    """Return coordinates with new ones; what bins shared goes where that is new."""
    stale = {
        name
        for dim in ("Q", "E")
        if independence_name(dim) in new
        for name in _names(dim)
    }
    return {**{key: c for key, c in old.items() if key not in stale}, **new}
