"""Labels for data without: arrays of xarray, and tables of pandas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.data import unwrap
from xbp.core.errors import QuantityError, UnitsError, kind_of, with_article
from xbp.core.guards import choose, not_used, require_keys
from xbp.core.operation import operation
from xbp.core.schema import (
    COORDINATES,
    OF_STATISTICS,
    QUANTITIES,
    Quantity,
    find_quantity,
)

__all__ = ["from_pandas", "label"]

_EXAMPLE: Final = QUANTITIES["vibrational_dos"]


@operation(takes="signal")
def label(
    data: xr.DataArray | xr.Dataset,
    quantity: str | None = None,
    *,
    units: str | None = None,
    coordinate_units: Mapping[str, str] | None = None,
    rename: Mapping[str, str] | None = None,
    variable: str | None = None,
    std: str | Any = None,
    T: Any = None,
    statistics: str | None = None,
    dimension: Literal[2, 3] | None = None,
) -> xr.Dataset:
    """Label data that have no quantity or units, so that all operations apply.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Values over coordinates.
    quantity : str
        A name of the vocabulary, such as ``"vibrational_dos"``.
    units : str, optional
        Of the values; not needed where ``attrs["units"]`` has them.
    coordinate_units : mapping of dimension to str, optional
        Of the coordinates; not needed where their attributes have them.
    rename : mapping of str to str, optional
        Old names of dimensions to those of the data model, such as ``{"energy": "E"}``.
    variable : str, optional
        Which variable of a Dataset has the values, if it has several.
    std : str or array_like, optional
        Standard deviations, or the variable that has them; by default
        ``<variable>_std``, if it is there.
    T : scalar with units, optional
        Temperature of the sample (bare: K).
    statistics, dimension : optional
        As for `new_dataset`; by default those of the attributes.

    Returns
    -------
    xarray.Dataset
        As from `new_dataset`.

    Raises
    ------
    QuantityError, UnitsError
        If something is missing, all of which is asked for at once, or contradicts the
        attributes.

    Examples
    --------
    >>> import xbp
    >>> bare = xr.DataArray([1.0, 2.0], dims="energy", coords={"energy": [3.0, 4.0]})
    >>> g = bare.bp.label("vibrational_dos", units="1/meV", rename={"energy": "E"},
    ...                   coordinate_units={"E": "meV"}).g
    >>> g.attrs["quantity"], g.E.attrs["units"]
    ('vibrational_dos', 'meV')
    """
    plain, _ = unwrap(data)
    array, errors = _parts(plain, variable, std)
    names = require_keys(rename, "rename", [str(dim) for dim in array.dims])
    array = array.rename(names)
    dims = [str(dim) for dim in array.dims]
    given = require_keys(coordinate_units, "coordinate_units", dims)
    # A dimension of names, such as of samples, has no units.
    axes = [dim for dim in dims if array[dim].dtype.kind not in "UOT"]
    own = {dim: _own(array[dim].attrs, given.get(dim), f"'{dim}'") for dim in axes}
    unit = _own(array.attrs, units, f"'{array.name}'")
    stated = array.attrs.get("quantity")
    quantity = None if quantity is None else find_quantity(quantity).name
    statistics = statistics or array.attrs.get("statistics")
    if stated and not (given or units) and "units" in array.attrs:
        labelled = with_article(repr(stated))
        raise QuantityError(f"the data are labelled as {labelled} already")
    like = _like(quantity or stated, dims)
    asked_of = {d: COORDINATES.get(d, ("meV",))[0] for d in axes if not own[d]}
    lacking = {
        "quantity": "" if stated or quantity else repr(like.name),
        "units=": "" if unit else repr(like.units),
        "coordinate_units=": str(asked_of or ""),
        "statistics=": "'quantum'"
        if (quantity or stated) in OF_STATISTICS and not statistics
        else "",
    }
    missing = {name: example for name, example in lacking.items() if example}
    bare = [dim for dim in dims if dim not in array.coords]
    if missing or bare:
        gaps = [f"the coordinate {dim!r}" for dim in bare]
        asked = [f"{name}{example}" for name, example in missing.items()]
        raise UnitsError(
            f"the data lack {', '.join([*(n.rstrip('=') for n in missing), *gaps])}",
            fix=f"data.bp.label({', '.join(a.removeprefix('quantity') for a in asked)})"
            if asked
            else "data.assign_coords(E=('E', values))",
        )
    if stated and quantity not in (None, stated):
        labelled = with_article(repr(stated))
        raise QuantityError(
            f"quantity={quantity!r}: the data are labelled as {labelled} already"
        )
    carried = array.coords.get("temperature")
    if carried is not None and not carried.ndim and T is None:
        T = f"{float(carried)} {carried.attrs.get('units', 'K')}"
    return new_dataset(
        find_quantity(quantity or stated).name,
        array.values,
        units=str(unit),
        coords={
            dim: (array[dim].values, str(own[dim]))
            if dim in own
            else array[dim].values.astype(str).tolist()
            for dim in dims
        },
        std=None if errors is None else errors,
        temperature=T,
        statistics=statistics,
        dimension=dimension or array.attrs.get("dimension"),
    )


def _like(name: str | None, dims: list[str]) -> Quantity:
    """Return the quantity that is named, or for an example one over the dimensions."""
    over = (row for row in QUANTITIES.values() if set(row.dims) == set(dims))
    return QUANTITIES[name or ""] if name in QUANTITIES else next(over, _EXAMPLE)


def _parts(
    data: xr.DataArray | xr.Dataset, variable: str | None, std: Any
) -> tuple[xr.DataArray, np.ndarray | None]:
    """Return the values, and their standard deviations in the same order."""
    if isinstance(data, xr.DataArray):
        not_used("the data are one DataArray", variable=variable)
        return data, None if std is None else np.asarray(getattr(std, "values", std))
    names = [str(name) for name in data.data_vars]
    values = [n for n in names if n != std and not n.endswith("_std")]
    if variable is None and len(values) != 1:
        raise QuantityError(
            f"the Dataset has the variables {', '.join(names)}",
            fix=f"variable={values[0]!r}" if values else "",
        )
    name = values[0] if variable is None else choose(variable, names, "variable")
    array = data[name]
    if std is None and f"{name}_std" in names:
        std = f"{name}_std"
    if isinstance(std, str):
        std = data[choose(std, names, "std")].transpose(*array.dims)
    return array, None if std is None else np.asarray(getattr(std, "values", std))


def _own(attrs: Mapping[Any, Any], given: str | None, what: str) -> str | None:
    """Return units, given or of the attributes, which must agree."""
    stated = attrs.get("units")
    if given is not None and stated not in (None, given):
        raise UnitsError(
            f"{what} has the units {stated!r}, not {given!r}",
            fix="leave it out; .bp.convert(…) changes units",
        )
    return given if stated is None else str(stated)


_TITLE: Final = re.compile(r"\s*([^\s(]+)\s*(?:[(\[](.*)[)\]])?\s*")


def from_pandas(
    frame: Any,
    quantity: str,
    *,
    units: str | None = None,
    coordinate_units: Mapping[str, str] | None = None,
    rename: Mapping[str, str] | None = None,
    T: Any = None,
    statistics: str | None = None,
) -> xr.Dataset:
    """Make labelled data of a table of pandas, as `to_dataframe` makes one.

    Parameters
    ----------
    frame : pandas.DataFrame or pandas.Series
        A row for each value: columns or levels of the index with the coordinates, a
        column with the values, and one with their standard deviations. Units may be in
        the titles, as in ``E (meV)``.
    quantity : str
        A name of the vocabulary.
    units, coordinate_units, T, statistics
        As for `label`, where the titles have no units.
    rename : mapping of str to str, optional
        Titles, without units, to names of the data model: of coordinates, of the values
        (``S``) and of their standard deviations (``S_std``).

    Returns
    -------
    xarray.Dataset
        As from `new_dataset`.

    Raises
    ------
    QuantityError, UnitsError
        If columns or units are missing, titles are not known, or rows repeat.

    Examples
    --------
    >>> import pandas
    >>> table = pandas.DataFrame({"E (meV)": [1.0, 2.0], "g (1/meV)": [0.1, 0.2]})
    >>> from_pandas(table, "vibrational_dos").g.values
    array([0.1, 0.2])
    """
    row = find_quantity(quantity)
    table = frame.to_frame() if hasattr(frame, "to_frame") else frame
    if not hasattr(table, "columns") or not hasattr(table, "reset_index"):
        raise QuantityError(
            f"data is {kind_of(frame)}, not a pandas DataFrame or Series"
        )
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    matches = [(str(t), _TITLE.fullmatch(str(t))) for t in table.columns]
    found = [(t, None) if m is None else (m[1], m[2]) for t, m in matches]
    names = [name for name, _ in found]
    changed = require_keys(rename, "rename", names)
    names = [changed.get(name, name) for name in names]
    stated = {name: unit for name, (_, unit) in zip(names, found, strict=True) if unit}
    name, error = row.variable, f"{row.variable}_std"
    dims = [n for n in names if n not in (name, error)]
    unknown = [n for n in dims if n not in COORDINATES and n not in row.dims]
    if name not in names or unknown or not dims or len(set(names)) < len(names):
        free = next((n for n in (name, error) if n not in names), "E")
        raise QuantityError(
            f"the columns {', '.join(names)} must be coordinates, '{name}' and "
            f"'{error}', once each",
            fix=f"rename={{{(unknown or names)[0]!r}: {free!r}}}, or drop columns",
        )
    table = table.set_axis(names, axis=1).set_index(dims)
    if table.index.duplicated().any():
        raise QuantityError(f"several rows have the same {', '.join(dims)}")
    ds = table.sort_index().to_xarray()
    for key, unit in stated.items():
        if key in ds.variables and key != error:
            ds[key].attrs["units"] = unit
    return label(
        ds,
        quantity,
        units=units,
        coordinate_units=coordinate_units,
        variable=name,
        T=T,
        statistics=statistics,
    )
