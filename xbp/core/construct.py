"""Labelled data from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.conditions import (
    STATISTICS,
    WHY_STATISTICS,
    temperature_coordinate,
)
from xbp.core.data import unwrap
from xbp.core.errors import CoordinateError, QuantityError, kind_of, shown
from xbp.core.grid import bin_limits
from xbp.core.guards import choose, not_used
from xbp.core.schema import (
    COORDINATES,
    DATASET_LABELS,
    OF_STATISTICS,
    QUANTITIES,
    find_quantity,
    quantity_name,
    validate,
)
from xbp.core.signal import label_std, std_of
from xbp.core.units import format_unit, parse_unit

__all__ = ["as_dataset", "measured_dataset", "new_dataset"]


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
    dimension: Literal[2, 3] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a labelled Dataset from plain arrays.

    Parameters
    ----------
    quantity : str
        One of ``xbp.core.schema.QUANTITIES``, such as ``"dynamic_structure_factor"``,
        or its symbol, ``"S(Q,E)"``.
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
    statistics : {"quantum", "classical", "unknown"}
        ``"quantum"`` for measured spectra, ``"classical"`` straight from MD. S(Q,E)
        and S(2θ,E) need it, other quantities may have it; of unknown ones no
        temperature is divided out until ``attrs["statistics"]`` is set.
    dimension : {2, 3}, optional
        2 of atoms in a plane: Debye's g(E) is then linear in E, and B = G/E.
    attrs : mapping, optional
        Further attributes of the Dataset.

    Returns
    -------
    xarray.Dataset
        The variable under its standard name, with ``<name>_std`` if `std` is given.

    Raises
    ------
    QuantityError
        If the quantity is unknown, or statistics are missing.
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
    ds = measured_dataset(
        quantity,
        values,
        units=units,
        coords=coords,
        dims=dims,
        std=std,
        edges=edges,
        temperature=temperature,
        statistics=statistics,
        dimension=dimension,
        attrs=attrs,
    )
    std_of(ds, ds[next(iter(ds.data_vars))])
    return ds


def measured_dataset(
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
    dimension: Literal[2, 3] | None = None,
    attrs: Mapping[str, Any] | None = None,
    further: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Return what `new_dataset` does, of errors that a reader has looked at already.

    `further` coordinates are added, as xarray takes them.
    """
    row = find_quantity(quantity)
    quantity, name = row.name, row.variable
    if quantity in OF_STATISTICS and statistics is None:
        raise QuantityError(
            "statistics= is missing",
            reason=WHY_STATISTICS,
            fix="statistics='quantum' if measured, 'classical' for MD",
        )
    order = tuple(coords) if dims is None else dims
    written = format_unit(parse_unit(units, name=quantity))
    numbers = {name: _plain(values, name)} | (
        {} if std is None else {f"{name}_std": _plain(std, f"{name}_std")}
    )
    axes = {dim: _axis(given, dim) for dim, given in coords.items()}
    points = {dim: axis.values for dim, axis in axes.items()}
    for dim in order:
        if dim not in points:
            example = COORDINATES.get(dim, ("1",))[0]
            raise CoordinateError(
                f"dimension {shown(dim)} has no coordinate",
                fix=f"coords={{{dim!r}: (values, '{example}'), ...}}",
            )
    shape = tuple(points[dim].size for dim in order)
    for key, array in numbers.items():
        if array.shape != shape:
            raise QuantityError(
                f"'{key}' has the shape {array.shape}, but its dimensions {order} have "
                f"{shape} points",
            )
    others = dict[str, Any]()
    for dim in axes:
        if dim in COORDINATES:
            axes[dim].attrs["long_name"] = COORDINATES[dim][1]
    for dim, limits in (edges or {}).items():
        edge = _points(limits, f"edges of '{dim}'")
        if dim not in points or edge.shape != (points[dim].size + 1,):
            raise CoordinateError(
                f"the edges of '{dim}' have the shape {edge.shape}; there must be one "
                "edge more than bins",
            )
        both = np.stack([edge[:-1], edge[1:]], axis=-1)
        others[f"{dim}_bnds"] = ((dim, "bnds"), both)
        axes[dim].attrs["bounds"] = f"{dim}_bnds"
    if "temperature" in points:
        not_used("the data have the coordinate 'temperature'", temperature=temperature)
    elif temperature is not None:
        others["temperature"] = temperature_coordinate(temperature)
    ds = xr.Dataset(
        {key: (order, array) for key, array in numbers.items()},
        coords={**axes, **others, **(further or {})},
        attrs={
            **DATASET_LABELS,
            **(attrs or {}),
        },
    )
    labels = ds.variables[name].attrs
    labels |= {"units": written, "quantity": quantity, "long_name": row.label}
    if statistics is not None:
        known: str = choose(statistics, (*STATISTICS, "unknown"), "statistics")
        labels |= {} if known == "unknown" else {"statistics": known}
    if dimension is not None:
        labels["dimension"] = choose(dimension, (2, 3), "dimension")
    if std is not None:
        label_std(ds, name)
    for dim in edges or {}:
        bin_limits(ds, dim)
    validate(ds[name])
    return ds


def as_dataset(data: Any) -> xr.Dataset:
    """Return data without pint; a DataArray becomes the variable of its quantity.

    Examples
    --------
    >>> list(as_dataset(xr.DataArray(1.0, attrs={"quantity": "reduced_dos"})))
    ['B']
    """
    plain, _ = unwrap(data)
    if isinstance(plain, xr.Dataset):
        return plain
    row = QUANTITIES.get(str(quantity_name(plain)))
    named: xr.Dataset = plain.to_dataset(
        name=plain.name or (row.variable if row else "data")
    )
    return named


def _axis(given: Any, dim: str) -> xr.Variable:
    """Return a coordinate: numbers with units, or names, which have none."""
    pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str)
    # Two names in a tuple look like a pair, and of an axis xbp knows they are one.
    if pair and (dim in COORDINATES or not isinstance(given[0], str)):
        return xr.Variable(
            dim, _points(given[0], f"coordinate '{dim}'"), {"units": given[1]}
        )
    listed = isinstance(given, list | tuple | np.ndarray)
    names = np.asarray(given) if listed else np.array(None)
    if dim in COORDINATES or names.ndim != 1 or names.dtype.kind != "U":
        units = COORDINATES.get(dim, ("1",))[0]
        by_name = "" if dim in COORDINATES else f", or names, {{'{dim}': ['A', 'B']}}"
        raise CoordinateError(
            f"coordinate '{dim}' is given as {shown(given)}, which has no units",
            fix=f"pass its values with their units: coords={{'{dim}': (values, "
            f"'{units}')}}{by_name}",
        )
    return xr.Variable(dim, names)


def _points(values: Any, name: str) -> np.ndarray:
    """Return the points of a coordinate: real numbers, one after another."""
    points = _plain(values, name)
    if points.ndim != 1 or points.dtype.kind not in "fiu":
        raise CoordinateError(
            f"{name} has the shape {points.shape} and type {points.dtype}; it must be "
            "a list of real numbers"
        )
    return points.astype(float)


def _plain(values: Any, name: str) -> np.ndarray:
    """Return plain numbers, not without labels or units that they carry."""
    if isinstance(values, xr.DataArray | xr.Dataset) or hasattr(values, "magnitude"):
        raise QuantityError(
            f"'{name}' is {kind_of(values)}, whose labels or units would be lost",
            fix="pass array.values or quantity.magnitude",
        )
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(float), np.nan)
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise QuantityError(f"'{name}' is not an array: {error}") from None
