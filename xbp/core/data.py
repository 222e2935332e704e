"""The data that users pass: pint is taken off and put back, dask is noticed.

And the checks that many functions share, each with its error.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    XbpError,
    kind_of,
    require,
    shown,
)
from xbp.core.guards import limits_text
from xbp.core.schema import COORDINATES
from xbp.core.units import convert_factor

__all__ = [
    "Data",
    "columns",
    "is_lazy",
    "once_checked",
    "refuse_where",
    "renamed",
    "require_columns",
    "require_common_dims",
    "require_dims",
    "require_finite",
    "require_inside",
    "require_over",
    "require_some",
    "require_values",
    "unwrap",
    "weighted_sum",
]

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

    Raises
    ------
    QuantityError
        If they are neither a DataArray nor a Dataset.

    Examples
    --------
    >>> import xarray as xr
    >>> plain, rewrap = unwrap(xr.DataArray([1.0], dims="E", attrs={"units": "meV"}))
    >>> plain.attrs
    {'units': 'meV'}
    >>> unwrap(3)
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: expected an xarray.DataArray or Dataset, got an int
      fix:  xbp.new_dataset(...) makes one
    """
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise QuantityError(
            f"expected an xarray.DataArray or Dataset, got {kind_of(data)}",
            fix="xbp.new_dataset(...) makes one",
        )
    variables = (
        data.variables if isinstance(data, xr.Dataset) else data.coords.variables
    )
    # An index of pandas has no units.
    wrapped = {
        name: v
        for name, v in variables.items()
        if not isinstance(v, xr.IndexVariable) and hasattr(v.data, "magnitude")
    }
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


def require_dims(
    data: xr.DataArray,
    dims: str | Collection[str],
    operation: str,
    *,
    fix: str = "",
    error: type[XbpError] = RangeError,
) -> None:
    """Raise an error if data lack a dimension that an operation needs.

    Examples
    --------
    >>> require_dims(xr.DataArray([1.0], dims="E", name="S"), "Q", "a cut in Q")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: a cut in Q needs the dimension 'Q'; 'S' has ('E',)
    """
    needed = (dims,) if isinstance(dims, str) else tuple(dims)
    for dim in needed:
        if dim not in data.dims:
            raise error(
                f"{operation} needs the dimension '{dim}'; '{data.name}' has "
                f"{tuple(map(str, data.dims))}",
                fix=renamed(data, dim) or fix,
            )


def renamed(data: xr.DataArray, dim: str) -> str:
    """Return how to rename a dimension of another name with the units of this one."""
    for name in data.dims if dim in COORDINATES else ():
        units = data.coords[name].attrs.get("units") if name in data.coords else None
        if name not in COORDINATES and isinstance(units, str):
            with contextlib.suppress(XbpError):
                convert_factor(units, COORDINATES[dim][0], energy=dim == "E")
                return f"data.rename({{{name!r}: '{dim}'}})"
    return ""


def require_over(
    data: xr.DataArray,
    dims: Collection[str],
    wanted: str,
    *,
    may: Collection[str] = (),
    fix: str = "data.isel(...)",
    error: type[XbpError] = RangeError,
) -> None:
    """Raise an error if data are not over just these dimensions, and `may` at most.

    Examples
    --------
    >>> S = xr.DataArray([1.0], dims="run", name="S")
    >>> require_over(S, ("Q", "E"), "a map has Q and E", fix="S.isel(run=0)")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: 'S' is over ('run',); a map has Q and E
      fix:  S.isel(run=0)
    """
    if not {*dims} <= {*data.dims} <= {*dims, *may}:
        own = tuple(map(str, data.dims))
        raise error(f"'{data.name}' has dimensions {own}; {wanted}", fix=fix)


def require_common_dims(other: xr.DataArray, data: xr.DataArray, name: str) -> None:
    """Raise an error if other data have a dimension that the data do not have.

    Examples
    --------
    >>> require_common_dims(xr.DataArray([1.0], dims="run"), xr.DataArray(1.0), "can")
    Traceback (most recent call last):
        ...
    xbp.core.errors.CoordinateError: can has a dimension 'run' that the data do not have
      fix:  choose one: can.isel(run=0)
    """
    for dim in other.dims:
        if dim not in data.dims:
            raise CoordinateError(
                f"{name} has a dimension '{dim}' that the data do not have",
                fix=f"choose one: {name.removeprefix('the ')}.isel({dim}=0)",
            )


def require_columns(table: xr.Dataset, names: Collection[Hashable], maker: str) -> None:
    """Raise an error if a table of results lacks columns.

    Examples
    --------
    >>> require_columns(xr.Dataset({"energy": 1.0}), ["energy", "status"], "boson_peak")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: the table of boson_peak has no 'status'
      fix:  pass the Dataset as it was returned
    """
    lacking = [name for name in names if name not in table.variables]
    if lacking:
        raise QuantityError(
            f"the table of {maker} has no {', '.join(map(repr, lacking))}",
            fix="pass the Dataset as it was returned",
        )


def require_finite(
    values: Any, name: str, *, error: type[XbpError] = QuantityError
) -> np.ndarray:
    """Return an array of floats, after checking that they are real and finite.

    Examples
    --------
    >>> require_finite([1, np.nan, np.inf], "Q")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: Q is not finite in 2 of 3 values
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # a Dataset; rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiu":
        raise error(f"{name}={shown(values)} must be real numbers")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise error(f"{name} is not finite in {bad} of {array.size} values")
    return array.astype(float)


def require_values(
    values: Any,
    name: str,
    units: str = "",
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    error: type[XbpError] = RangeError,
) -> None:
    """Raise an error if numbers are NaN or outside limits; see `require_number`.

    Examples
    --------
    >>> require_values(np.array([2.0, -1.0]), "the width", "meV", above=0)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: the width ranges from -1 to 2 meV; it must be positive
    """
    array = np.asarray(values)
    inside = (least <= array) & (array <= most) & (above < array) & (array < below)
    if not inside.all():
        low, high = f"{array.min():g}", f"{array.max():g}"
        extent = f"is {low}" if low == high else f"ranges from {low} to {high}"
        raise error(
            f"{name} {extent} {units}".rstrip()
            + f"; it must be {limits_text(least, above, most, below)}"
        )


def refuse_where(
    wrong: xr.DataArray,
    message: Callable[[], str],
    *,
    fix: str = "",
    error: type[XbpError] = QuantityError,
) -> None:
    """Raise an error if any is wrong, but never compute dask's values for a check.

    Examples
    --------
    >>> g = xr.DataArray([1.0, -2.0])
    >>> refuse_where(g < 0, lambda: f"g falls to {float(g.min()):g}")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: g falls to -2
    """
    if not is_lazy(wrong) and bool(wrong.any()):
        raise error(message(), fix=fix)


def once_checked(
    values: xr.DataArray,
    check: Callable[..., object],
    *parts: xr.DataArray | None,
    along: Collection[str],
) -> xr.DataArray:
    """Return values of dask that are computed only if a check of the data passes.

    Parameters
    ----------
    values : xarray.DataArray
        Of dask.
    check : callable
        It raises an error. Called with `parts` in memory, once for each block of the
        values, so that no more of the data are needed at a time.
    *parts
        Of dask too.
    along : collection of str
        Dimensions along which the check needs all of the parts.

    Examples
    --------
    >>> def positive(x):
    ...     if not (x > 0).all():
    ...         raise ValueError("not positive")
    >>> S = xr.DataArray([1.0, -2.0], dims="E").chunk(E=1)
    >>> once_checked(S, positive, S, along="E")[0].compute()
    Traceback (most recent call last):
        ...
    ValueError: not positive
    >>> float(once_checked(S, positive, S, along=())[0].compute())
    1.0
    """
    array = require("dask.array", "compute values of dask", "md")
    apart = [d for d in values.dims if d not in along]
    blocks = {d: values.chunksizes.get(d, -1) for d in apart}
    arguments: list[Any] = []
    labels: list[dict[str, Any] | None] = []
    for part in parts:
        if part is None:
            arguments += [None, None]
            labels.append(None)
            continue
        whole = part.chunk({d: blocks.get(d, -1) for d in part.dims})
        arguments += [whole.data, whole.dims]
        own = {d: part[d].variable for d in part.dims if d in {*along} & {*part.coords}}
        labels.append({"dims": part.dims, "coords": own, "attrs": part.attrs})
    passed = array.blockwise(
        _passed,
        apart,
        *arguments,
        check=check,
        labels=labels,
        ndim=len(apart),
        concatenate=True,
        adjust_chunks=dict.fromkeys(apart, 1),
        dtype=bool,
        meta=np.ones((0,) * len(apart), dtype=bool),
    )
    data = array.blockwise(
        _unchanged,
        values.dims,
        values.data,
        values.dims,
        passed,
        apart,
        align_arrays=False,
        dtype=values.dtype,
        meta=values.data._meta,
    )
    return values.copy(data=data)


def _passed(
    *parts: np.ndarray | None,
    check: Callable[..., object],
    labels: list[dict[str, Any] | None],
    ndim: int,
) -> np.ndarray:
    pairs = zip(parts, labels, strict=True)
    check(*(None if own is None else xr.DataArray(part, **own) for part, own in pairs))
    return np.ones((1,) * ndim, dtype=bool)


def _unchanged(block: np.ndarray, passed: np.ndarray) -> np.ndarray:
    return block


def require_inside(
    limits: tuple[float, float],
    extent: tuple[float, float],
    name: str,
    units: str,
    *,
    fix: str = "choose a range inside the data",
) -> None:
    """Raise an error if an interval reaches beyond the data.

    Examples
    --------
    >>> require_inside((1.0, 9.0), (0.0, 8.5), "E", "meV")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: E (1 to 9) reaches beyond the data (0 to 8.5 meV)
      fix:  choose a range inside the data
    """
    (low, high), (first, last) = limits, extent
    slack = 1e-9 * max(abs(first), abs(last))  # rounding of a conversion of units
    if not (first - slack <= low and high <= last + slack):
        raise RangeError(
            f"{name} ({low:g} to {high:g}) reaches beyond the data ({first:g} to "
            f"{last:g} {units})",
            fix=fix,
        )


def require_some(
    chosen: Any,
    what: str,
    extent: Any,
    units: str,
    *,
    fix: str = "",
    error: type[XbpError] = RangeError,
) -> None:
    """Raise an error if nothing is chosen of data that reach over an extent.

    Examples
    --------
    >>> E = np.array([-5.0, -1.0])
    >>> require_some(E > 0, "energy > 0", E, "meV")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: there is no energy > 0; the data are from -5 to -1 meV
    """
    if not np.any(chosen):
        low, high = np.min(extent), np.max(extent)
        raise error(
            f"there is no {what}; the data are from {low:.4g} to {high:.4g} {units}",
            fix=fix,
        )


def weighted_sum(array: Any, weights: xr.Variable, dim: str) -> Any:
    """Sum a Variable over a dimension with weights, the dimensions of which are last.

    As `xarray.dot`, but by a product of matrices where both share only that dimension.

    Examples
    --------
    >>> rows = xr.Variable(("Q", "E"), [[1.0, 2.0], [3.0, 4.0]])
    >>> weighted_sum(rows, xr.Variable(("bin", "E"), [[1.0, 1.0]]), "E").values.tolist()
    [[3.0], [7.0]]
    """
    if {*array.dims} & {*weights.dims} != {dim}:
        return xr.dot(array, weights, dim=dim)
    axes = array.get_axis_num(dim), weights.get_axis_num(dim)
    dims = [d for d in (*array.dims, *weights.dims) if d != dim]
    return xr.Variable(dims, np.tensordot(array.data, weights.values, axes))


def columns(numbers: xr.Variable) -> list[xr.Variable]:
    """Return the parts of an array along its last dimension."""
    values = numbers.data
    return [
        xr.Variable(numbers.dims[:-1], values[..., i]) for i in range(values.shape[-1])
    ]
