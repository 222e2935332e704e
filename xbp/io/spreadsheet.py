"""Tables for pandas, Origin and Excel."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import QUANTITIES, quantity_name
from xbp.core.signal import as_stored, read
from xbp.io.text import write_text

__all__ = ["Layout", "to_csv", "to_dataframe"]

#: One row for each value, or one column for each curve.
Layout = Literal["long", "wide"]


@operation(takes=("signal", "table"))
def to_dataframe(data: xr.DataArray | xr.Dataset, layout: Layout = "long") -> Any:
    """Make a pandas DataFrame of a signal or of a table of results, the units in its titles, as in ``S (1/meV)``.

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
        each of the others a column of values, and one of standard deviations beside it,
        as programs that draw curves like it.

    Returns
    -------
    pandas.DataFrame
        Numbers as they are; NaN where nothing was measured.

    Raises
    ------
    QuantityError
        If the layout is unknown, or there is no dimension, or "wide" is asked of more
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
        layout not in ("long", "wide")
        or not dims
        or (layout == "wide" and len(dims) > 2)
    ):
        raise QuantityError(
            f"'{name}' over {tuple(dims)} makes no table with layout={layout!r}",
            reason="'long' has a row for each value, 'wide' a column for each curve "
            "of a map of two dimensions",
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
    if layout != "long":
        raise QuantityError(
            f"a table of results with layout={layout!r}",
            reason="it has a row for each fit, and no curves",
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

    One line of titles with units, then numbers.

    For Origin, Excel and their like; numbers have all their digits, and empty cells are
    NaN. It holds no attributes: to read data back into xbp, write them with
    `to_netcdf`, or a spectrum with `to_columns`.

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
    >>> cut = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.cut_Q((2, 8)).bp.rebin(E="20 meV")[["S", "S_std"]]
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
