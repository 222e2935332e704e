"""The arrays behind data: pint is taken off and put back, and dask is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import xarray as xr

__all__ = ["Data", "is_lazy", "unwrap"]

#: What goes in comes out: a DataArray gives a DataArray, a Dataset a Dataset.
Data = TypeVar("Data", xr.DataArray, xr.Dataset)


def is_lazy(array: xr.DataArray | xr.Variable) -> bool:
    """Whether values are computed later, by dask; much faster than ``array.chunks``."""
    return not isinstance(getattr(array, "variable", array).data, np.ndarray)


def unwrap(data: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Take pint off data and coordinates.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Plain, pint-wrapped, or with pint-xarray's ``PintIndex``.

    Returns
    -------
    plain : same type
        Units in ``attrs["units"]``, ordinary arrays and indexes.
    rewrap : callable
        Puts an answer back in the same kind; the identity where nothing was wrapped.

    Examples
    --------
    >>> import xarray as xr
    >>> plain, rewrap = unwrap(xr.DataArray([1.0], dims="E", attrs={"units": "meV"}))
    >>> plain.attrs
    {'units': 'meV'}
    """
    variables = (
        data.variables if isinstance(data, xr.Dataset) else data.coords.variables
    )
    wrapped = {name: v for name, v in variables.items() if hasattr(v.data, "magnitude")}
    own: Any = data.data if isinstance(data, xr.DataArray) else None
    if not wrapped and not hasattr(own, "magnitude"):
        return data, lambda answer: answer

    registry = next(
        q.units._REGISTRY
        for q in [own, *(v.data for v in wrapped.values())]
        if hasattr(q, "magnitude")
    )
    indexed = any(name in data.xindexes for name in wrapped)
    plain = data
    if isinstance(plain, xr.DataArray) and hasattr(own, "magnitude"):
        plain = plain.copy(data=own.magnitude)
        plain.attrs = data.attrs | {"units": f"{own.units:C}" or "1"}
    for name, variable in wrapped.items():
        bare = (
            variable.dims,
            variable.data.magnitude,
            variable.attrs | {"units": f"{variable.data.units:C}" or "1"},
        )
        if name in data.xindexes:
            plain = plain.drop_indexes(name)
        plain = (
            plain.assign_coords({name: bare})
            if name in data.coords
            else plain.assign({name: bare})
        )

    def rewrap(answer: Any) -> Any:
        # With PintIndex on the way in, pint-xarray is there and puts it on the way out.
        if indexed:
            return answer.pint.quantify(unit_registry=registry)
        if isinstance(answer, xr.DataArray):
            return _quantify(answer, registry)
        return answer.assign(
            {
                n: _quantify(v, registry)
                for n, v in answer.data_vars.items()
                if "units" in v.attrs
            }
        )

    return plain, rewrap


def _quantify(array: xr.DataArray, registry: Any) -> xr.DataArray:
    attrs = {key: value for key, value in array.attrs.items() if key != "units"}
    out = array.copy(data=registry.Quantity(array.data, array.attrs["units"]))
    out.attrs = attrs
    return out
