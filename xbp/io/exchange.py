"""Data for other programs: pandas, CSV for Origin and Excel, scipp (and back)."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from xbp.core.conditions import check_statistics, temperature_coordinate
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.pint_data import unwrap
from xbp.core.schema import (
    CONVENTIONS,
    QUANTITIES,
    SCHEMA_VERSION,
    quantity_name,
    validate,
)
from xbp.core.signal import as_stored, label_std, read, std_of
from xbp.core.units import format_unit, is_one_of, parse_unit
from xbp.io.reader import measured
from xbp.io.text import write_text

__all__ = ["Layout", "from_scipp", "to_csv", "to_dataframe", "to_scipp"]

#: One row for each value, or one column for each curve.
Layout = Literal["long", "wide"]


@operation(takes=("signal", "table"))
def to_dataframe(data: xr.DataArray | xr.Dataset, layout: Layout = "long") -> Any:
    """Make a pandas DataFrame of a signal or of a table of results.

    The titles contain the units, as in ``S (1/meV)``.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over one dimension or more; companions, such as S(Q) beside S(Q,E),
        stay behind. Or what a fit or a comparison returned, such as `boson_peak` and
        `compare`: a row for each fit or leaf, and whatever is not of one row, such as
        correlations, the fits of a scan or the totals of a comparison, stays behind.
    layout : {"long", "wide"}
        "long" has one row for each value: the coordinates, the value, its standard
        deviation. "wide" has one row for each point along the last dimension, and for
        each of the others a column of values, and one of standard deviations,
        as programs that draw curves like it.

    Returns
    -------
    pandas.DataFrame
        Numbers as they are; NaN where nothing was measured.

    Raises
    ------
    QuantityError
        If the layout is unknown, there are no dimensions, or "wide" is asked of more
        than two.

    Examples
    --------
    >>> import xbp
    >>> cut = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe().bp.cut_Q((2, 8))
    >>> list(cut.bp.to_dataframe().columns)
    ['E (meV)', 'B (angstrom**2/meV**2)', 'B_std (angstrom**2/meV**2)']
    >>> peak = cut.bp.boson_peak(E_range=("1.2 meV", "12 meV")).bp.to_dataframe()
    >>> [round(float(peak["energy (meV)"][0]), 2), str(peak["status"][0])]
    [2.27, 'ok']
    """
    kind = quantity_name(data) if isinstance(data, xr.Dataset) else None
    if (
        isinstance(data, xr.Dataset)
        and "xbp_schema" in data.attrs
        and kind not in (None, *QUANTITIES)
    ):
        plain: Any = unwrap(data)[0]
        return _rows(plain, layout)
    signal = as_stored(read(data))
    value, name = signal.value, str(signal.value.name or signal.quantity.variable)
    dims = [str(d) for d in value.dims]
    if (
        not is_one_of(layout, "long", "wide")
        or not dims
        or (layout == "wide" and len(dims) > 2)
    ):
        raise QuantityError(
            f"'{name}' over {tuple(dims)} makes no table with layout={layout!r}",
            fix="layout='long', or cut it first: data.bp.cut_Q((2, 8))",
        )
    parts = {f"{name} ({signal.units})": value.values}
    if signal.std is not None:
        parts[f"{name}_std ({signal.units})"] = signal.std.values
    axes = {dim: np.asarray(value[dim].values) for dim in dims}
    titles = {
        dim: f"{dim} ({value[dim].attrs['units']})"
        if "units" in value[dim].attrs
        else dim
        for dim in dims
    }
    if layout == "long" or len(dims) == 1:
        grid = np.meshgrid(*axes.values(), indexing="ij")
        columns = {
            titles[dim]: axis.ravel() for dim, axis in zip(dims, grid, strict=True)
        }
        return pd.DataFrame(
            columns | {title: part.ravel() for title, part in parts.items()}
        )
    first, last = dims
    units = value[first].attrs.get("units", "")
    columns = {titles[last]: axes[last]}
    for i, at in enumerate(axes[first].tolist()):
        columns |= {
            f"{title} at {first} = {f'{at} {units}'.strip()}": part[i]
            for title, part in parts.items()
        }
    return pd.DataFrame(columns)


def _rows(table: xr.Dataset, layout: Layout) -> Any:
    """Make a row of each result."""
    if not is_one_of(layout, "long"):
        raise QuantityError(
            f"a table of results with layout={layout!r}",
            fix="layout='long'",
        )
    dims = next(iter(table.data_vars.values())).dims if table.data_vars else ()
    rows = table[
        [name for name, variable in table.data_vars.items() if variable.dims == dims]
    ]
    rows = rows.drop_vars(
        [name for name, c in rows.coords.items() if not set(c.dims) <= set(dims)]
    )
    one = {
        str(name): [variable.values[()]]
        for name, variable in rows.variables.items()
        if not dims
    }
    frame = rows.to_dataframe().reset_index() if dims else pd.DataFrame(one)
    units = {
        str(name): variable.attrs.get("units", "1")
        for name, variable in rows.variables.items()
    }
    return frame.rename(
        columns={
            name: f"{name} ({unit})" for name, unit in units.items() if unit != "1"
        }
    )


@operation(takes=("signal", "table"))
def to_csv(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    layout: Layout = "long",
    *,
    overwrite: bool = False,
) -> None:
    """Write a signal, or a table of results, as comma-separated values.

    One line of titles with units, then numbers with all their digits, for Origin, Excel
    and similar programs; empty cells are NaN. It contains no attributes: to read data
    back into xbp, write them with `to_netcdf`, or a spectrum with `to_columns`.

    Parameters
    ----------
    data, layout
        As for `to_dataframe`.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        As for `to_dataframe`.
    FileFormatError
        If the file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile, xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")[["S", "S_std"]]
    >>> cut = S.bp.cut_Q((2, 8)).bp.rebin(E="20 meV")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cut.bp.to_csv(f"{folder}/cut.csv")
    ...     pathlib.Path(f"{folder}/cut.csv").read_text().splitlines()[0]
    'E (meV),S (1/meV),S_std (1/meV)'
    """
    write_text(
        path,
        to_dataframe(data, layout)
        .to_csv(index=False, lineterminator="\n")
        .splitlines(),
        overwrite=overwrite,
    )


_LABELS = "xbp"
#: Names that scippneutron gives to what xbp calls otherwise.
_NAMES = {"energy_transfer": "E"}


@operation(takes="signal")
def to_scipp(data: xr.DataArray | xr.Dataset) -> Any:
    """Make a scipp.DataArray of a signal.

    Standard deviations as variances, bounds as bin edges.

    Attributes, history included, travel as JSON in the scalar coordinate "xbp", because
    scipp has none; with them `from_scipp` gives back the identical data. Companions of
    the signal, such as S(Q) beside S(Q,E), stay behind.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal; dask arrays are computed.

    Returns
    -------
    scipp.DataArray
        Centres that are not the middle of their bins travel as "<dim>_centres", edges
        with gaps between them as "<dim>_lower" and "<dim>_upper".

    Raises
    ------
    MissingDependencyError
        If scipp is not installed.
    QuantityError
        If there are no signals, or several.
    UnitsError
        If scipp does not know a unit.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")[["S", "S_std"]]
    >>> xbp.from_scipp(xbp.to_scipp(S)).identical(S)  # doctest: +SKIP
    True
    """
    scipp = require("scipp", "the data are handed to it", "scipp")
    signal = as_stored(read(data))
    value, source = signal.value, signal.source
    name = str(value.name or signal.quantity.variable)
    is_dataset = isinstance(source, xr.Dataset)
    coords = source.coords if is_dataset else value.coords
    out = {
        str(key): _to_variable(scipp, coordinate.variable, str(key))
        for key, coordinate in coords.items()
        if set(coordinate.dims) <= set(value.dims)
    }
    for dim in map(str, value.dims):
        bounds = coords.get(f"{dim}_bnds")
        if bounds is None or bounds.dims != (dim, "bnds"):
            continue
        units = value[dim].attrs["units"]
        lower, upper = np.asarray(bounds.values, dtype=float).T
        limits = {f"{dim}_lower": lower, f"{dim}_upper": upper}
        if (lower[1:] == upper[:-1]).all():
            limits = {dim: np.append(lower, upper[-1])}
            if not np.array_equal((lower + upper) / 2, value[dim].values):
                out[f"{dim}_centres"] = out[dim]
        for key, points in limits.items():
            out[key] = _to_variable(
                scipp, xr.Variable(dim, points, {"units": units}), dim
            )
    labels: dict[str, Any] = {
        "name": name,
        "attrs": {str(key): dict(c.attrs) for key, c in coords.items()}
        | {name: dict(value.attrs)},
        "dataset": dict(source.attrs) if is_dataset else None,
        # An interval of a mean has no dimension in scipp.
        "intervals": {
            str(key): c.values.tolist()
            for key, c in coords.items()
            if c.dims == ("bnds",)
        },
    }
    variances = None
    if signal.std is not None:
        labels["std"] = dict(source[f"{name}_std"].attrs)
        variances = np.asarray(signal.std.values, dtype=float) ** 2
    try:
        out[_LABELS] = scipp.scalar(json.dumps(labels, default=lambda v: v.tolist()))
    except (TypeError, AttributeError) as error:
        raise QuantityError(
            "an attribute cannot be written",
            reason=str(error),
            fix="keep numbers and text in attrs",
        ) from None
    body = _to_variable(scipp, value.variable, name, variances)
    return scipp.DataArray(body, coords=out, name=name)


def _to_variable(
    scipp: Any, variable: xr.Variable, name: str, variances: np.ndarray | None = None
) -> Any:
    units = variable.attrs.get("units")
    try:
        unit = None if units is None else scipp.Unit(_spelled(units))
    except Exception as error:  # scipp raises kinds of its own
        raise UnitsError(
            f"scipp does not know the unit '{units}' of '{name}'", reason=str(error)
        ) from None
    values = variable.values
    if values.dtype.kind in "OU":
        if variable.ndim:
            return scipp.array(dims=variable.dims, values=values.tolist())
        return scipp.scalar(str(values))
    options: dict[str, Any] = {"unit": unit}
    if variances is not None:
        values = values.astype(float)
        options["variances"] = variances if variable.ndim else variances[()]
    if not variable.ndim:
        return scipp.scalar(values[()], **options)
    return scipp.array(dims=variable.dims, values=values, **options)


def _spelled(units: str) -> str:
    """Write a unit as scipp reads it."""
    text = re.sub(
        r"\bu\b", "Da", format_unit(parse_unit(units))
    )  # to scipp u is the prefix micro
    return "one" if text == "1" else text.replace("**", "^")


def from_scipp(
    data: Any,
    quantity: str | None = None,
    *,
    T: Any = None,
    statistics: str | None = None,
) -> xr.DataArray | xr.Dataset:
    """Make labelled data of a scipp.DataArray.

    Variances become standard deviations, bin edges bounds, masks NaN.

    Parameters
    ----------
    data : scipp.DataArray
        Dense; histogram events first. Dimension "energy_transfer" becomes E.
    quantity : str, optional
        A name of the vocabulary; not for what `to_scipp` made.
    T : scalar with units, optional
        Temperature of the sample (bare: K), where the data carry no coordinate
        ``temperature``.
    statistics : {"quantum", "classical"}, optional
        As for `new_dataset`.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        A Dataset; a DataArray where `to_scipp` was given one. Values that were
        converted in scipp have their new units. In data from other programs,
        infinities, sentinels and values with negative variance become NaN.

    Raises
    ------
    MissingDependencyError
        If scipp is not installed.
    QuantityError
        If it is not a dense scipp.DataArray, or the quantity is not known.
    UnitsError
        If a density is not per unit of its axis.
    XbpError
        Otherwise as for `new_dataset`.

    Examples
    --------
    >>> import scipp, xbp  # doctest: +SKIP
    >>> E = scipp.linspace("E", 0.0, 10.0, 11, unit="meV")  # doctest: +SKIP
    >>> counts = scipp.ones(  # doctest: +SKIP
    ...     dims=["E"], shape=[10], with_variances=True, unit="1/meV")
    >>> counts = scipp.DataArray(counts, coords={"E": E})  # doctest: +SKIP
    >>> g = xbp.from_scipp(counts, "vibrational_dos")  # doctest: +SKIP
    >>> list(g.variables)  # doctest: +SKIP
    ['g', 'g_std', 'E', 'E_bnds']
    """
    scipp = require("scipp", "the data are its own", "scipp")
    if not isinstance(data, scipp.DataArray) or data.bins is not None:
        raise QuantityError(
            f"{type(data).__name__} is not a dense scipp.DataArray",
            fix="dataset['name'], or events.hist()",
        )
    labels = _labels(data)
    attrs: dict[str, dict[str, Any]] = labels.get("attrs", {})
    given = quantity or attrs.get(labels.get("name", ""), {}).get("quantity")
    if not is_one_of(given, *QUANTITIES):
        raise QuantityError(
            f"quantity={given!r:.80} is not in the vocabulary",
            fix=f"one of {', '.join(QUANTITIES)}",
        )
    row = QUANTITIES[str(given)]
    name = labels.get("name") or row.variable
    dims = [_NAMES.get(d, d) for d in data.dims]
    values = np.array(data.values)
    std = None if data.variances is None else _roots(np.array(data.variances))
    hidden = np.zeros(values.shape, dtype=bool)
    for mask in data.masks.values():
        hidden |= mask.broadcast(sizes=data.sizes).transpose(data.dims).values
    if hidden.any():
        values = np.where(hidden, np.nan, values)
        std = None if std is None else np.where(hidden, np.nan, std)
    if not labels:
        # In the data of other programs infinities and the like are not measured.
        try:
            values, std = measured(values.astype(float), std)
        except ValueError as error:
            raise QuantityError(f"'{name}': {error}") from None
    coords: dict[str, xr.Variable] = {}
    for key, variable in data.coords.items():
        if key == _LABELS:
            continue
        new = _NAMES.get(key, key)
        own = [_NAMES.get(d, d) for d in variable.dims]
        content = np.array(variable.values)
        label = _relabelled(scipp, attrs.get(new, {}), variable.unit)
        if own == [new] and new in dims and variable.sizes[key] == data.sizes[key] + 1:
            edges = content.astype(float)
            coords[f"{new}_bnds"] = _bounds(new, edges[:-1], edges[1:], attrs)
            content = (edges[1:] + edges[:-1]) / 2
            label = label | {"bounds": f"{new}_bnds"}
        coords[new] = xr.Variable(own, content, label)
    for dim in dims:
        if f"{dim}_centres" in coords:
            unit = data.coords[f"{dim}_centres"].unit
            coords[dim] = coords.pop(f"{dim}_centres").copy()
            coords[dim].attrs = _relabelled(scipp, attrs.get(dim, {}), unit)
        if f"{dim}_lower" in coords and f"{dim}_upper" in coords:
            lower, upper = (coords.pop(f"{dim}_{s}").values for s in ("lower", "upper"))
            coords[f"{dim}_bnds"] = _bounds(dim, lower, upper, attrs)
    label = attrs.get(name, {"quantity": given, "long_name": row.label})
    label = _relabelled(scipp, label, data.unit) | {"quantity": given}
    if statistics is not None:
        label["statistics"] = check_statistics(statistics)
    if T is not None:
        coords.setdefault("temperature", temperature_coordinate(T))
    bounds = {
        key: coords.pop(key) for key in list(coords) if "bnds" in coords[key].dims
    }
    out = xr.DataArray(xr.Variable(dims, values, label), coords=coords, name=name)
    if "dataset" in labels and labels["dataset"] is None:
        validate(out)
        return out
    intervals = {
        key: ("bnds", pair, attrs.get(key, {}))
        for key, pair in labels.get("intervals", {}).items()
    }
    ds = out.to_dataset().assign_coords(bounds | intervals)
    model = {"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION}
    ds.attrs = labels.get("dataset") or model
    if std is not None:
        ds[f"{name}_std"] = (dims, std)
        label_std(ds, name)
        kept = {k: v for k, v in labels.get("std", {}).items() if k != "units"}
        ds[f"{name}_std"].attrs |= kept
    validate(ds[name])
    std_of(ds, ds[name])
    return ds


def _bounds(
    dim: str, lower: np.ndarray, upper: np.ndarray, attrs: dict[str, dict[str, Any]]
) -> xr.Variable:
    pairs = np.stack([lower, upper], axis=-1)
    return xr.Variable((dim, "bnds"), pairs, attrs.get(f"{dim}_bnds", {}))


def _roots(variances: np.ndarray) -> np.ndarray:
    """Return standard deviations; an invalid -1 for a negative variance."""
    return np.where(variances < 0, -1.0, np.sqrt(np.abs(variances)))


def _labels(data: Any) -> dict[str, Any]:
    """Return what `to_scipp` wrote, if it did."""
    if _LABELS not in data.coords:
        return {}
    try:
        labels = json.loads(data.coords[_LABELS].value)
        if not isinstance(labels["attrs"], dict) or not isinstance(labels["name"], str):
            raise TypeError("it has other contents")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise QuantityError(
            "the coordinate 'xbp' is not what to_scipp wrote",
            reason=str(error),
            fix="data.drop_coords('xbp')",
        ) from None
    return dict(labels)


def _relabelled(scipp: Any, attrs: dict[str, Any], unit: Any) -> dict[str, Any]:
    """Return attributes with the present units, in their old spelling if unchanged."""
    kept = {key: label for key, label in attrs.items() if key != "units"}
    if unit is None:
        return kept
    before = attrs.get("units")
    if isinstance(before, str) and scipp.Unit(_spelled(before)) == unit:
        return dict(attrs)
    return kept | {
        "units": format_unit(
            parse_unit("1" if str(unit) in ("one", "dimensionless") else str(unit))
        )
    }
