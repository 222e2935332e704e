"""Labelled data from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import check_statistics, temperature_coordinate
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.grid import bin_limits
from xbp.core.schema import (
    CONVENTIONS,
    COORDINATES,
    QUANTITIES,
    SCHEMA_VERSION,
    validate,
)
from xbp.core.signal import label_std, std_of
from xbp.core.units import format_unit, parse_unit

__all__ = ["new_dataset"]


def new_dataset(
    quantity: str,
    values: Any,
    *,
    units: str,
    coords: Mapping[str, tuple[Any, str] | Sequence[str]],
    dims: tuple[str, ...] | None = None,
    std: Any = None,
    edges: Mapping[str, Any] | None = None,
    temperature: Any = None,
    statistics: str | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a labelled Dataset from plain arrays.

    Parameters
    ----------
    quantity : str
        A name of the vocabulary, such as ``"dynamic_structure_factor"``.
    values : array_like
        The plain values, over `dims`; masked ones become NaN.
    units : str
        Their units; ``"1"`` where they are arbitrary. A density in E is per unit of its
        axis: 1/THz over THz.
    coords : mapping of str to (array, str), or to list of str
        Bin centres and their units for every dimension; of a dimension such as the
        samples, their names.
    dims : tuple of str, optional
        Order of the dimensions; by default the order of `coords`.
    std : array_like, optional
        Standard deviations, in the same units and shape.
    edges : mapping of str to array, optional
        Bin edges (one more than bins) in the units of the coordinate; kept as CF
        bounds.
    temperature : scalar with units, optional
        Sample temperature; a bare number is in K.
    statistics : {"quantum", "classical"}, optional
        ``"quantum"`` for measured spectra, ``"classical"`` straight from MD.
    attrs : mapping, optional
        Further attributes of the Dataset.

    Returns
    -------
    xarray.Dataset
        The variable named as the vocabulary has it, with ``<name>_std`` where `std` is
        given.

    Raises
    ------
    XbpError
        As for `validate`.

    Examples
    --------
    >>> import numpy as np
    >>> ds = new_dataset(
    ...     "dynamic_structure_factor", np.ones((2, 3)), units="1/meV",
    ...     statistics="quantum",
    ...     coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0, 3.0], "meV")},
    ...     temperature="300 K")
    >>> list(ds.variables)
    ['S', 'Q', 'E', 'temperature']
    """
    from_table = QUANTITIES.get(quantity)
    if from_table is None:
        raise QuantityError(
            f"quantity={quantity!r} is not in the vocabulary",
            reason="every function reads its input by this name",
            fix=f"one of {', '.join(QUANTITIES)}",
        )
    name = from_table.variable
    order = tuple(coords) if dims is None else dims
    written = format_unit(parse_unit(units, name=quantity))
    numbers = {name: _plain(values, name)} | (
        {} if std is None else {f"{name}_std": _plain(std, f"{name}_std")}
    )
    axes = {dim: _axis(given, dim) for dim, given in coords.items()}
    points = {dim: axis.values for dim, axis in axes.items()}
    shape = tuple(points[dim].size if dim in points else -1 for dim in order)
    for key, array in numbers.items():
        if array.shape != shape:
            raise QuantityError(
                f"'{key}' has the shape {array.shape}",
                reason=f"its dimensions {order} have {shape} points (-1: no "
                "coordinate given)",
                fix="give every dimension its coordinate, and the values in the order "
                "of the dimensions",
            )
    ds = xr.Dataset(
        {key: (order, array) for key, array in numbers.items()},
        coords=axes,
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            **(attrs or {}),
        },
    )
    ds[name].attrs = {
        "units": written,
        "quantity": quantity,
        "long_name": from_table.label,
    }
    for dim, (_, long_name) in COORDINATES.items():
        if dim in ds.coords:
            ds[dim].attrs["long_name"] = long_name
    if statistics is not None:
        ds[name].attrs["statistics"] = check_statistics(statistics)
    if std is not None:
        label_std(ds, name)
    for dim, limits in (edges or {}).items():
        edge = _points(limits, f"edges of '{dim}'")
        if dim not in points or edge.shape != (points[dim].size + 1,):
            raise CoordinateError(
                f"the edges of '{dim}' have the shape {edge.shape}",
                reason="there is one edge more than bins, for a dimension of the data",
                fix=f"edges={{'{dim}': array of "
                f"{points[dim].size + 1 if dim in points else 'n + 1'} values}}",
            )
        ds = ds.assign_coords(
            {f"{dim}_bnds": ((dim, "bnds"), np.stack([edge[:-1], edge[1:]], axis=-1))}
        )
        ds[dim].attrs["bounds"] = f"{dim}_bnds"
        bin_limits(ds, dim)
    if temperature is not None and "temperature" in points:
        raise CoordinateError(
            f"temperature={temperature!r} beside a coordinate 'temperature' of "
            f"{points['temperature'].size} points",
            reason="the data have the temperatures of their axis",
            fix="leave temperature= (or T=) out",
        )
    if temperature is not None:
        ds = ds.assign_coords(temperature=temperature_coordinate(temperature))
    validate(ds[name])
    std_of(ds, ds[name])
    return ds


def _axis(given: Any, dim: str) -> xr.Variable:
    """Return a coordinate: numbers with units, or names, which have none."""
    pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str)
    # Two names in a tuple look like a pair, and of an axis xbp knows they are one.
    if pair and (dim in COORDINATES or not isinstance(given[0], str)):
        return xr.Variable(
            dim, _points(given[0], f"coordinate '{dim}'"), {"units": given[1]}
        )
    names = (
        np.asarray(given)
        if isinstance(given, list | tuple | np.ndarray)
        else np.array(None)
    )
    if dim in COORDINATES or names.ndim != 1 or names.dtype.kind != "U":
        raise CoordinateError(
            f"coordinate '{dim}' is given as {given!r:.60}",
            reason="it is a pair of numbers and their units, or, of samples and the "
            "like, a list of names",
            fix=f"coords={{'{dim}': (array, '{COORDINATES.get(dim, ('1',))[0]}')}}, "
            f"or coords={{'sample': ['A', 'B']}}",
        )
    return xr.Variable(dim, names)


def _points(values: Any, name: str) -> np.ndarray:
    """Return the points of a coordinate: real numbers, one after another."""
    points = _plain(values, name)
    if points.ndim != 1 or points.dtype.kind not in "fiu":
        raise CoordinateError(
            f"{name} has the shape {points.shape} and type {points.dtype}",
            reason="a coordinate is one row of real numbers",
            fix="give a list or a one-dimensional array of numbers",
        )
    return points.astype(float)


def _plain(values: Any, name: str) -> np.ndarray:
    """Return plain numbers.

    What carries labels or units of its own is not silently stripped of them.
    """
    if isinstance(values, xr.DataArray | xr.Dataset) or hasattr(values, "magnitude"):
        raise QuantityError(
            f"'{name}' is given as a {type(values).__name__}",
            reason="it has labels or units of its own, which would be lost here",
            fix="pass its plain numbers, array.values or quantity.magnitude, in the "
            "units named",
        )
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(float), np.nan)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise QuantityError(
            f"'{name}' is no array of numbers",
            reason=str(error),
            fix="give rows of one length",
        ) from None
