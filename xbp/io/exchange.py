"""Data for other programs: pandas, CSV for Origin and Excel, scipp (and back)."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from xbp.core.common_errors import SOURCE, common_errors, common_name, with_common
from xbp.core.conditions import STATISTICS
from xbp.core.data import unwrap
from xbp.core.errors import QuantityError, UnitsError, kind_of, require
from xbp.core.guards import choose, not_used
from xbp.core.operation import operation
from xbp.core.schema import (
    DATASET_LABELS,
    QUANTITIES,
    find_quantity,
    quantity_name,
    validate,
)
from xbp.core.signal import as_stored, label_std, read, std_of
from xbp.core.units import format_unit, has_offset, parse_unit, values_in
from xbp.io.masks import measured
from xbp.io.reader import at_temperature
from xbp.io.text import check, write_text

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
    >>> cut = xbp.tutorial.open_dataset("zr46cu46al8").bp.to_bqe().bp.cut_Q((2, 8))
    >>> list(cut.bp.to_dataframe().columns)
    ['E (meV)', 'B (angstrom**2/meV**2)', 'B_std (angstrom**2/meV**2)']
    >>> peak = cut.bp.boson_peak(E_range=("0.9 meV", "8 meV")).bp.to_dataframe()
    >>> list(peak.columns)[:2], str(peak["status"][0])
    (['energy (meV)', 'energy_std (meV)'], 'no maximum')
    """
    choose(layout, Layout, "layout")
    is_table = isinstance(data, xr.Dataset) and "xbp_schema" in data.attrs
    if is_table and quantity_name(data) not in (None, *QUANTITIES):
        if layout != "long":
            raise QuantityError(f"layout={layout!r} is not for results: use 'long'")
        return _rows(unwrap(data)[0])
    signal = as_stored(read(data))
    value, name = signal.value, str(signal.value.name or signal.quantity.variable)
    dims = [str(d) for d in value.dims]
    if not dims or (layout == "wide" and len(dims) > 2):
        raise QuantityError(
            f"'{name}' over {tuple(dims)} does not fit layout={layout!r}",
            fix="layout='long', or cut it first: data.bp.cut_Q((2, 8))",
        )
    parts = {f"{name} ({signal.units})": value.values}
    if signal.std is not None:
        parts[f"{name}_std ({signal.units})"] = signal.std.values
    units = {dim: str(value[dim].attrs.get("units", "")) for dim in dims}
    titles = [f"{dim} ({unit})" if unit else dim for dim, unit in units.items()]
    axes = [value[dim].values for dim in dims]
    if layout == "long" or len(dims) == 1:
        columns = dict(zip(titles, np.meshgrid(*axes, indexing="ij"), strict=True))
        return pd.DataFrame({t: a.ravel() for t, a in (columns | parts).items()})
    columns = {titles[1]: axes[1]}
    for i, at in enumerate(axes[0].tolist()):
        place = f"{dims[0]} = {at} {units[dims[0]]}".strip()
        columns |= {f"{title} at {place}": part[i] for title, part in parts.items()}
    return pd.DataFrame(columns)


def _rows(table: xr.Dataset) -> Any:
    """Make a row of each result."""
    dims = next(iter(table.data_vars.values())).dims if table.data_vars else ()
    others = [name for name, v in table.data_vars.items() if v.dims != dims]
    others += [name for name, c in table.coords.items() if not set(c.dims) <= set(dims)]
    rows = table.drop_vars(others)
    frame = rows.to_dataframe() if dims else rows.expand_dims("row").to_dataframe()
    about = [str(name) for name in rows.coords if name not in rows.dims]
    frame = frame[[*map(str, rows.data_vars), *about]]
    units = {str(n): v.attrs.get("units", "1") for n, v in rows.variables.items()}
    titles = {n: f"{n} ({unit})" for n, unit in units.items() if unit != "1"}
    frame = frame.reset_index(drop=not dims)
    return frame.rename(columns=titles)


@operation(takes=("signal", "table"))
def to_csv(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    layout: Layout = "long",
    *,
    overwrite: bool = False,
) -> None:
    """Write a signal, or a table of results, as comma-separated values.

    One line of titles with units, then numbers with twelve digits, for Origin, Excel
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
    text = to_dataframe(data, layout).to_csv(
        index=False, lineterminator="\n", float_format="%.12g"
    )
    write_text(path, text.splitlines(), overwrite=overwrite)


_LABELS, _ENDS = "xbp", ("lower", "upper")
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
    scipp = require("scipp", "make its objects", "scipp")
    signal = as_stored(read(data))
    value, source = signal.value, signal.source
    name = str(value.name or signal.quantity.variable)
    ds = source if isinstance(source, xr.Dataset) else source.to_dataset(name=name)
    out = {
        str(key): _to_variable(scipp, c.variable, str(key))
        for key, c in ds.coords.items()
        if set(c.dims) <= set(value.dims)
    }
    for dim in map(str, value.dims):
        bounds = ds.coords.get(f"{dim}_bnds")
        if bounds is None or bounds.dims != (dim, "bnds"):
            continue
        lower, upper = bounds.values.astype(float).T
        limits = {f"{dim}_lower": lower, f"{dim}_upper": upper}
        if (lower[1:] == upper[:-1]).all():
            limits = {dim: np.append(lower, upper[-1])}
            if not np.array_equal((lower + upper) / 2, value[dim].values):
                out[f"{dim}_centres"] = out[dim]
        units = {"units": value[dim].attrs["units"]}
        for key, points in limits.items():
            out[key] = _to_variable(scipp, xr.Variable(dim, points, units), dim)
    common = common_errors(ds, name)
    sources = [] if common is None else common[SOURCE].values.tolist()
    if common is not None and signal.std is not None:
        # As parts of σ, which scipp scales and converts with the values.
        part = (common / signal.std.where(signal.std > 0)).fillna(0.0)
        for i, one in enumerate(part.transpose(SOURCE, *value.dims).values):
            shared = xr.Variable(value.dims, one, {"units": "1"})
            key = f"{common_name(name)}_{i}"
            out[key] = _to_variable(scipp, shared, key)
    labels: dict[str, Any] = {
        "name": name,
        "sources": sources,
        "attrs": {str(key): v.attrs for key, v in ds.variables.items()},
        "dataset": ds.attrs if ds is source else None,
        # An interval of a mean has no dimension in scipp.
        "intervals": {
            str(key): c.values.tolist()
            for key, c in ds.coords.items()
            if c.dims == ("bnds",)
        },
    }
    variances = None
    if signal.std is not None:
        std = np.asarray(signal.std.values, dtype=float)
        with np.errstate(over="ignore", under="ignore"):
            variances = std**2
        if (
            ~np.isfinite(variances) & np.isfinite(std) | (variances == 0) & (std > 0)
        ).any():
            raise QuantityError(f"errors of '{name}' are too large or small to square")
    try:
        out[_LABELS] = scipp.scalar(json.dumps(labels, default=lambda v: v.tolist()))
    except (TypeError, AttributeError) as error:
        fix = "keep numbers and text in attrs"
        raise QuantityError("an attribute cannot be written", fix=fix) from error
    body = _to_variable(scipp, value.variable, name, variances)
    return scipp.DataArray(body, coords=out, name=name)


def _to_variable(
    scipp: Any, variable: xr.Variable, name: str, variances: np.ndarray | None = None
) -> Any:
    units = variable.attrs.get("units")
    dims, values = variable.dims, variable.values
    if units is not None and has_offset(parse_unit(units)):  # scipp's files lose it
        units, values = "K", values_in(variable, "K", name=name)
    try:
        unit = None if units is None else scipp.Unit(_spelled(units))
    except Exception as error:  # scipp raises kinds of its own
        raise UnitsError(
            f"scipp does not know the unit '{units}' of '{name}'", reason=str(error)
        ) from None
    if values.dtype.kind in "OU":
        if variable.ndim:
            return scipp.array(dims=dims, values=values.tolist())
        return scipp.scalar(str(values))
    values = values if variances is None else values.astype(float)
    return scipp.array(dims=dims, unit=unit, values=values, variances=variances)


def _spelled(units: str) -> str:
    """Write a unit as scipp reads it: to scipp u is the prefix micro."""
    text = re.sub(r"\bu\b", "Da", format_unit(parse_unit(units)))
    return "one" if text == "1" else text.replace("**", "^")


def from_scipp(
    data: Any,
    quantity: str | None = None,
    *,
    T: Any = None,
    statistics: str | None = None,
    name: str | None = None,
) -> xr.DataArray | xr.Dataset:
    """Make labelled data of a scipp.DataArray, or of one in a Dataset.

    Variances become standard deviations, bin edges bounds, masks NaN.

    Parameters
    ----------
    data : scipp.DataArray or scipp.Dataset
        Dense; histogram events first. Dimension "energy_transfer" becomes E.
    quantity : str, optional
        A name of the vocabulary; not for what `to_scipp` made.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of a coordinate ``temperature``.
    statistics : {"quantum", "classical"}, optional
        As for `new_dataset`.
    name : str, optional
        Which DataArray of a Dataset that has several.

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
        If it is not a dense scipp.DataArray, `name` is not in the Dataset, or the
        quantity is not known.
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
    scipp = require("scipp", "read its objects", "scipp")
    if isinstance(data, scipp.Dataset):
        names = list(data.keys())
        if name is None and len(names) == 1:
            name = names[0]
        data = data[choose(name, names, "name")]
    else:
        not_used("the data are one DataArray", name=name)
    if not isinstance(data, scipp.DataArray) or data.bins is not None:
        raise QuantityError(
            f"data is {kind_of(data)}, not a dense scipp.DataArray",
            fix="events.hist()",
        )
    labels = _labels(data)
    attrs: dict[str, dict[str, Any]] = labels.get("attrs", {})
    given = quantity or attrs.get(labels.get("name", ""), {}).get("quantity")
    row = find_quantity(given)
    name = str(labels.get("name") or row.variable)
    dims = [_NAMES.get(d, d) for d in data.dims]
    hidden = np.zeros(data.shape, dtype=bool)
    for mask in data.masks.values():
        hidden |= mask.broadcast(sizes=data.sizes).transpose(data.dims).values
    values, std = np.array(data.values), None
    if data.variances is not None:  # a negative one becomes an invalid error
        std = np.where(data.variances < 0, -1.0, np.sqrt(np.abs(data.variances)))
    if labels and hidden.any():
        values = np.where(hidden, np.nan, values)
        std = None if std is None else np.where(hidden, np.nan, std)
    elif not labels:
        # In the data of other programs infinities and the like are not measured.
        try:
            values, std = measured(values.astype(float), std, mask=hidden)
        except ValueError as error:
            raise QuantityError(f"'{name}': {error}") from None
    coords: dict[str, xr.Variable] = {}

    def add_bounds(dim: str, lower: np.ndarray, upper: np.ndarray) -> None:
        pairs = np.sort(np.stack([lower, upper], -1), axis=-1)
        label = attrs.get(f"{dim}_bnds", {})
        coords[f"{dim}_bnds"] = xr.Variable((dim, "bnds"), pairs, label)

    for key, variable in data.coords.items():
        if key == _LABELS:
            continue
        new = _NAMES.get(key, key)
        own = [_NAMES.get(d, d) for d in variable.dims]
        content = np.array(variable.values)
        label = _relabelled(scipp, attrs.get(new, {}), variable.unit)
        if own == [new] and new in dims and variable.sizes[key] == data.sizes[key] + 1:
            lower, upper = content[:-1].astype(float), content[1:].astype(float)
            add_bounds(new, lower, upper)
            content, label["bounds"] = (lower + upper) / 2, f"{new}_bnds"
        coords[new] = xr.Variable(own, content, label)
    for dim in dims:
        if (centres := coords.pop(f"{dim}_centres", None)) is not None:
            unit = data.coords[f"{dim}_centres"].unit
            label = _relabelled(scipp, attrs.get(dim, {}), unit)
            coords[dim] = xr.Variable(centres.dims, centres.values, label)
        if f"{dim}_lower" in coords and f"{dim}_upper" in coords:
            add_bounds(dim, *(coords.pop(f"{dim}_{s}").values for s in _ENDS))
    label = attrs.get(name, {"quantity": given, "long_name": row.label})
    label = _relabelled(scipp, label, data.unit) | {"quantity": given}
    if statistics is not None:
        label["statistics"] = choose(statistics, STATISTICS, "statistics")
    variables = {name: xr.Variable(dims, values, label)}
    if "dataset" in labels and labels["dataset"] is None:
        array = xr.DataArray(variables[name], coords=coords, name=name)
        validate(array)
        return at_temperature(array.to_dataset(name=name), T)[name]
    for key, pair in labels.get("intervals", {}).items():
        coords[key] = xr.Variable("bnds", pair, attrs.get(key, {}))
    model = {**DATASET_LABELS}
    sources = labels.get("sources", [])
    parts = [coords.pop(f"{common_name(name)}_{i}", None) for i in range(len(sources))]
    ds = xr.Dataset(variables, coords, labels.get("dataset") or model)
    if std is not None:
        ds[f"{name}_std"] = (dims, std)
        label_std(ds, name)
        units = ds[name].attrs["units"]
        ds[f"{name}_std"].attrs |= attrs.get(f"{name}_std", {}) | {"units": units}
        shared = {
            source: part * ds[f"{name}_std"].variable
            for source, part in zip(sources, parts, strict=True)
            if part is not None
        }
        if shared:
            total: Any = sum(part**2 for part in shared.values())
            left = (std**2 - total.transpose(*dims)).clip(0) ** 0.5
            whole = ds[f"{name}_std"]
            ds = with_common(ds, {name: (left, shared)})
            ds = ds.assign({f"{name}_std": whole})
            ds[common_name(name)].attrs |= attrs.get(common_name(name), {}) | {
                "units": units
            }
    if not labels:
        ds = _on_ascending_axes(ds, name)
    validate(ds[name])
    std_of(ds, ds[name])
    return at_temperature(ds, T)


def _on_ascending_axes(ds: xr.Dataset, name: str) -> xr.Dataset:
    """Reverse descending axes of another program; refuse a list of events."""
    dims = ds[name].dims
    if not any(dim in ds.coords for dim in dims):
        raise QuantityError(
            f"none of the dimensions {dims} has a coordinate, as in a list of events",
            fix="events.hist()",
        )
    down = [d for d in dims if d in ds.coords and (np.diff(ds[d].values) < 0).all()]
    return ds.isel({dim: slice(None, None, -1) for dim in down})


def _labels(data: Any) -> dict[str, Any]:
    """Return what `to_scipp` wrote, if it did."""
    if _LABELS not in data.coords:
        return {}
    try:
        labels = json.loads(data.coords[_LABELS].value)
        check(isinstance(labels["attrs"], dict), "it has no attrs")
        check(isinstance(labels["name"], str), "it has no name")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise QuantityError(
            "the coordinate 'xbp' is not what to_scipp wrote",
            reason=str(error),
            fix="data.drop_coords('xbp')",
        ) from None
    return dict(labels)


def _relabelled(scipp: Any, attrs: dict[str, Any], unit: Any) -> dict[str, Any]:
    """Return attributes with the present units, in their old spelling if unchanged."""
    kept, before = dict(attrs), attrs.get("units")
    if unit is None:
        kept.pop("units", None)
    elif not isinstance(before, str) or scipp.Unit(_spelled(before)) != unit:
        written = "1" if str(unit) in ("one", "dimensionless") else str(unit)
        kept["units"] = format_unit(parse_unit(written))
    return kept
