"""Columns that xbp writes and reads back identically.

a comment contains units, attributes and coordinates.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import SOURCE, common_name
from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.schema import validate
from xbp.core.signal import as_stored, read, std_of
from xbp.core.units import parse_unit
from xbp.io.text import to_numbers, write_text

__all__ = ["MARK", "as_told", "read_own", "to_columns"]

#: How the first line begins.
MARK = "# xbp columns "
_END = "# end"


@operation(takes="signal")
def to_columns(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a spectrum as three-column text: coordinate, value, standard deviation.

    Every number is written in full precision, and the first comment contains units,
    attributes and the other coordinates, so that ``xbp.open_dataset`` gives back the
    identical Dataset. Programs that draw columns skip the comments.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over one dimension, such as a cut. Of a Dataset the signal and its
        standard deviation are written, companions are not.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If there are more dimensions than one, or infinite numbers.
    FileFormatError
        If the file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import tempfile, xbp
    >>> cut = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe().bp.cut_Q((2, 8))[["B", "B_std"]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cut.bp.to_columns(f"{folder}/cut.txt")
    ...     xbp.open_dataset(f"{folder}/cut.txt").identical(cut)
    True
    """
    signal = as_stored(read(data))
    if np.isinf(signal.value).any() or (
        signal.std is not None and np.isinf(signal.std).any()
    ):
        raise QuantityError(
            f"'{signal.value.name}' contains infinite values",
            reason="an infinity is not a measured value and would not be read back",
            fix="data.where(abs(data) < float('inf')) makes them NaN",
        )
    if signal.value.ndim != 1:
        raise QuantityError(
            f"'{signal.value.name}' has the dimensions {tuple(signal.value.dims)}",
            reason="columns can represent only one dimension",
            fix="cut it first, for example data.bp.cut_Q((2, 8)), or write netCDF: "
            "data.bp.to_netcdf(path)",
        )
    (dim,) = map(str, signal.value.dims)
    name = str(signal.value.name or signal.quantity.variable)
    std = None if signal.std is None else f"{name}_std"
    coords = (
        signal.source.coords
        if isinstance(signal.source, xr.Dataset)
        else signal.value.coords
    )
    common = common_name(name)
    further = (
        [common]
        if isinstance(signal.source, xr.Dataset) and common in signal.source
        else []
    )
    held = {dim, "bnds", *([SOURCE] if further else [])}
    header: dict[str, Any] = {
        "names": [dim, name, *([] if std is None else [std])],
        "attrs": [
            dict(signal.value[dim].attrs),
            dict(signal.value.attrs),
            *([] if std is None else [dict(signal.source[std].attrs)]),
        ],
        "coords": {
            str(key): [
                list(coordinate.dims),
                coordinate.values.tolist(),
                dict(coordinate.attrs),
            ]
            for key, coordinate in coords.items()
            if key != dim and set(coordinate.dims) <= held
        },
        "further": {
            key: [
                list(signal.source[key].dims),
                signal.source[key].values.tolist(),
                dict(signal.source[key].attrs),
            ]
            for key in further
        },
        "dataset": dict(signal.source.attrs)
        if isinstance(signal.source, xr.Dataset)
        else {},
    }
    columns = [
        signal.value[dim].values,
        signal.value.values,
        *([] if signal.std is None else [signal.std.values]),
    ]
    rows = zip(
        *(np.asarray(column, dtype=float).tolist() for column in columns), strict=True
    )
    titles = (
        f"{n} [{a.get('units', '1')}]"
        for n, a in zip(header["names"], header["attrs"], strict=True)
    )
    lines = [
        MARK + json.dumps(header, default=lambda value: value.tolist()),
        f"# {' '.join(titles)}",
    ]
    write_text(
        path,
        [*lines, *(" ".join(map(repr, row)) for row in rows), _END],
        overwrite=overwrite,
    )


def read_own(lines: list[str]) -> xr.Dataset:
    """Return the Dataset that `to_columns` wrote.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, XbpError
        If the text was changed.
    """
    if lines[-1] != _END:
        raise ValueError(f"its last line is not '{_END}'")
    header = json.loads(lines[0].removeprefix(MARK))
    names, attrs = header["names"], header["attrs"]
    rows = [line for line in lines if not line.startswith("#")]
    table = to_numbers(
        rows, "the table", size=len(rows) * len(names), largest=np.inf
    ).reshape(-1, len(names))
    dim, name = names[:2]
    if any(len(set(dims)) < len(dims) for dims, _, _ in header["coords"].values()):
        raise ValueError("its header has a coordinate over one dimension twice")
    ds = xr.Dataset(
        {key: (dim, table[:, i], attrs[i]) for i, key in enumerate(names) if i},
        coords={dim: (dim, table[:, 0], attrs[0])}
        | {
            key: (tuple(dims), np.array(values), labels)
            for key, (dims, values, labels) in header["coords"].items()
        },
        attrs=header["dataset"],
    )
    for key, (dims_, values, labels) in header.get("further", {}).items():
        ds[str(key)] = (tuple(dims_), np.array(values, dtype=float), labels)
    validate(ds[name])
    std_of(ds, ds[name])
    return ds


def as_told(
    ds: xr.Dataset,
    quantity: Any,
    units: Any,
    coordinate: Any,
    coordinate_units: Any,
    T: Any,
    statistics: Any,
    amount: Any,
) -> xr.Dataset:
    """Check the arguments against a file written by xbp.

    The caller may set the temperature.

    Raises
    ------
    QuantityError
        If an argument contradicts the file.
    """
    value = next(iter(ds.data_vars.values()))
    (dim,) = map(str, value.dims)
    told = {"quantity": quantity, "units": units, "coordinate": coordinate, "coordinate_units": coordinate_units,
            "statistics": statistics, "amount": amount}  # fmt: skip
    own = {
        **value.attrs,
        "coordinate": dim,
        "coordinate_units": ds[dim].attrs.get("units"),
    }
    for name, given in told.items():
        alike = (
            name.endswith("units")
            and isinstance(given, str)
            and parse_unit(given) == parse_unit(str(own.get(name)))
        )
        if given is not None and given != own.get(name) and not alike:
            raise QuantityError(
                f"{name}={given!r} contradicts the file, which has {own.get(name)!r}",
                reason="the file was written by xbp and contains its own labels",
                fix=f"leave {name}= out, or change it after opening",
            )
    return ds if T is None else ds.assign_coords(temperature=temperature_coordinate(T))
