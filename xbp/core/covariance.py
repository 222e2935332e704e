"""Means over bins from which one number was subtracted that was found from them.

The value of a bin is F (S − c), where c = Σ gS is the same for all bins along a
dimension: `xbp.subtract_Q_independent`. Its error is that of S, that of c, and their
covariance, which is no smaller where few bins make c. Along the dimension Q three
coordinates give them, in units of the bin's standard deviation σ, so that a factor F
changes none: ``Q_error_own`` of S, ``Q_error_shared`` of c, and ``Q_error_gain``, the
covariance of both over the error of c. A mean with the weights w has the variance

    Σ w²σ² own² + (Σ wσ shared)² − 2 (Σ wσ shared) (Σ wσ gain)

New bins are such means, and their terms follow from those of the old bins (`carried`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.data import weighted_sum
from xbp.core.independence import (
    independence,
    independence_name,
    mixed_independence,
    std_along,
)

__all__ = [
    "SHARED",
    "carried",
    "shared_number",
    "weighted_variance",
    "without_shared",
]

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
        Over `dim`, and ``_new`` where there are new bins.
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
    if all(term is not None for term in terms):
        own, shared, gain = (held(std.variable * term) for term in terms)
        alone = weighted_sum(own**2, weights**2, dim)
        one = weighted_sum(shared, weights, dim)
        both = alone + one**2 - 2 * one * weighted_sum(gain, weights, dim)
        return np.maximum(both, 0.0)
    variance = weighted_sum(held(std_along(std, dim).variable) ** 2, weights**2, dim)
    if independence(std, dim) is None:
        return variance
    return np.minimum(variance, weighted_sum(sigma, weights, dim) ** 2)


def carried(
    value: xr.DataArray,
    std: xr.DataArray | None,
    weights: xr.Variable,
    dim: str,
    widths: np.ndarray | None,
) -> dict[Hashable, xr.Variable]:
    """Return the coordinates of means along a dimension.

    New bins of the dimension that a number lacks have the same number; those of another
    have a mean of several, which are independent, as the bins are.

    Parameters
    ----------
    value, std : xarray.DataArray
        Old bins, and their standard deviations or None.
    weights : xarray.Variable
        Over `dim`, and ``_new`` where there are new bins.
    dim : str
        Dimension of the means.
    widths : numpy.ndarray, optional
        Widths of the old bins, where there are new ones.
    """
    found: dict[Hashable, xr.Variable] = {}
    if std is None:
        return found
    for lacked in ("Q", "E"):
        terms = [std.coords.variables.get(name) for name in _names(lacked)]
        spent = lacked == dim and "_new" not in weights.dims
        if spent or any(term is None for term in terms):
            continue
        valid: Any = np.isfinite(value.variable) & np.isfinite(std.variable)
        if lacked == dim:
            sigma: Any = std.variable
            sigma = sigma.where(valid, 0.0)
            own, shared, gain = (sigma * term for term in terms)
            alone = weighted_sum(own**2, weights**2, dim)
            one, both = (weighted_sum(part, weights, dim) for part in (shared, gain))
            total = np.maximum(alone + one**2 - 2 * one * both, 0.0) ** 0.5
            bare = value.drop_vars(independence_name(dim), errors="ignore")
            assert widths is not None
            f = mixed_independence(
                bare,
                bare.copy(data=own.transpose(*value.dims).data),
                weights,
                widths,
                dim,
            )
            parts = [alone**0.5 if f is None else (alone / f) ** 0.5, one, both]
        else:
            sigma = std_along(std, dim).variable
            sigma = sigma.where(valid, 0.0)
            own, shared, gain = (sigma * term for term in terms)
            alone, one, both, whole = (
                weighted_sum(part, weights**2, dim)
                for part in (own**2, shared**2, shared * gain, sigma**2)
            )
            total, size = whole**0.5, one**0.5
            known: Any = size.where(size > 0)
            parts = [alone**0.5, size, both / known]
        scale: Any = xr.Variable(total.dims, total.data)
        scale = scale.where(scale > 0)
        for name, part, term in zip(_names(lacked), parts, terms, strict=True):
            ratio = (part / scale).fillna(0.0)
            found[name] = xr.Variable(ratio.dims, ratio.data, term.attrs)
    return found


#: Coordinates of what bins share, by the one that is new where they no longer hold.
SHARED: Final = {independence_name(dim): _names(dim) for dim in ("Q", "E")}


def without_shared(
    coords: Mapping[Hashable, xr.Variable], new: Mapping[Any, xr.Variable]
) -> dict[Hashable, xr.Variable]:
    """Return coordinates without what bins shared before they got new shares."""
    stale = {name for key in SHARED.keys() & new.keys() for name in SHARED[key]}
    return {key: one for key, one in coords.items() if key not in stale}
