"""Files in and out."""

from __future__ import annotations

import importlib
import os
import pkgutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import FileFormatError, QuantityError, nearest, shown
from xbp.core.guards import choose, not_used
from xbp.io import columns, netcdf
from xbp.io.columns import to_columns
from xbp.io.exchange import from_scipp, to_csv, to_dataframe, to_scipp
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import HDF5_ERRORS, HDF5_SIGNATURE, open_hdf5
from xbp.io.label import from_pandas, label
from xbp.io.netcdf import to_netcdf
from xbp.io.nxspe import to_nxspe
from xbp.io.objects import (
    from_euphonic,
    from_mantid,
    from_phonopy,
    to_euphonic,
    to_mantid,
)
from xbp.io.publish import to_path
from xbp.io.reader import Format, at_temperature
from xbp.io.refusal import foreign_signature, hdf5_refusal, refusal
from xbp.io.spe import to_spe
from xbp.io.sqw import to_sqw
from xbp.io.text import head, start_of, translated
from xbp.io.zarr_store import open_zarr, to_zarr

__all__ = [
    "FORMATS",
    "from_euphonic",
    "from_mantid",
    "from_pandas",
    "from_phonopy",
    "from_scipp",
    "label",
    "open_dataset",
    "to_columns",
    "to_csv",
    "to_dataframe",
    "to_euphonic",
    "to_mantid",
    "to_netcdf",
    "to_nxspe",
    "to_scipp",
    "to_spe",
    "to_sqw",
    "to_zarr",
]

_NETCDF = Format(
    "netCDF",
    "hdf5",
    lambda f: not netcdf.declined(f),
    netcdf.declined,
    other_engine="netcdf4",
    guide=Guide(
        "archives",
        "xbp, anything with xarray",
        "everything, identical to what was written; a study: `xbp.open_study(path)`",
        example("S", '"glass.nc"', "print(S.bp)"),
    ),
)
_NETCDF.open = netcdf.open_netcdf
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
#: All formats: every `Format` that a module of this folder makes. A file is of one.
FORMATS = tuple(sorted(Format.made, key=lambda one: one.engine))


def open_dataset(
    path: str | os.PathLike[str],
    *,
    T: Any = None,
    engine: str | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a file of any format xbp knows, recognised by its content, not by its name.

    Parameters
    ----------
    path : path-like
        Of a format in ``xbp.io.FORMATS``. The page "Files" lists them, with the name of
        each reader. `options` label other columns of numbers.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of that of the file. G(Q,E) and
        B(Q,E), which were reduced at that of the file, cannot have another.
    engine : str, optional
        Name of the reader, such as "nxspe", as in ``xarray.open_dataset``; by default
        the content decides.
    **options
        Of the reader: ``composition="SiO2"`` of total scattering,
        ``quantity="raman_intensity", units="1", coordinate_units="1/cm"`` of columns.

    Returns
    -------
    xarray.Dataset
        In the data model. A netCDF file or a Zarr store is read lazily, as by xarray.

    Raises
    ------
    FileFormatError
        If the file does not exist, cannot be read, or it is of no known format: what it
        is, and the nearest format.
    CoordinateError
        If T is given and the data are over temperature.
    QuantityError
        If the reader of this file has no such option.

    Examples
    --------
    >>> import pathlib, xbp
    >>> xbp.open_dataset(pathlib.Path(xbp.__file__).with_name("__init__.py"))
    Traceback (most recent call last):
        ...
    xbp.core.errors.FileFormatError: ...
    """
    if T is not None:
        temperature_coordinate(T)
    where = to_path(path)
    if where.is_dir() and where.suffix == ".zarr":
        for name, value in {"engine": engine, **options}.items():
            not_used(f"{where} is a Zarr store", **{name: value})
        return at_temperature(open_zarr(where), T)
    where = to_path(path, exists=True)
    if engine is not None:
        return _by_engine(where, engine, options, T)
    with ExitStack() as opened:
        fix = "check its permissions"
        with translated(f"{where} cannot be read", OSError, fix=fix):
            format_, part, reasons, found = _recognised(where, opened)
        table = "table" in reasons.get("columns", "")
        labelled = table and (format_ is None or "quantity" not in format_.options)
        its_own = options and set(options) <= set(columns.FORMAT.options)
        if labelled and ("quantity" in options or (its_own and format_ is None)):
            format_ = columns.FORMAT
        if format_ is not None:
            return _open(format_, where, options, T, part)
    raise refusal(where, found, reasons, is_table=table)


#: Of a file: its format; by what that is recognised, if the file is still open; why
#: other formats declined it; what it is, if it is HDF5 of no known format.
_Recognised = tuple[Format | None, Any, dict[str, str], tuple[str, str, str] | None]


def _recognised(where: Path, opened: ExitStack) -> _Recognised:
    """Return the format of a file, which stays `opened` if it is HDF5."""
    with where.open("rb") as stream:
        start = stream.read(8)
    if start[:3] == b"CDF":
        reason = netcdf.decline(where)
        if reason:
            return None, None, {"netCDF": reason}, None
        with netcdf.open_classic(where) as ds:
            classic = (f for f in FORMATS if f.content == "classic" and f.find(ds))
            return next(classic, _NETCDF), None, {}, None
    if start == HDF5_SIGNATURE:
        return _recognised_hdf5(where, opened)
    found, reasons = None, dict[str, str]()
    of_kind: dict[str, Any] = {"text": head(where), "binary": start_of(where)}
    if foreign_signature(start):
        del of_kind["binary"]  # some of which have none of their own
    for format_ in FORMATS:
        if format_.content in of_kind:
            reason = format_.declined(of_kind[format_.content])
            if reason:
                reasons[format_.name] = reason
            found = found or (None if reason else format_)
    return found, None, reasons, None


def _recognised_hdf5(where: Path, opened: ExitStack) -> _Recognised:
    known = [format_ for format_ in FORMATS if format_.content == "hdf5"]
    reasons, described = dict[str, str](), None
    try:
        file = opened.enter_context(open_hdf5(where))
        for format_ in known:
            if part := format_.find(file):
                if format_ is not _NETCDF:
                    return format_, part, {}, None
                opened.close()  # another library opens it
                return format_, None, {}, None
        reasons |= {format_.name: format_.declined(file) or "" for format_ in known}
        described = hdf5_refusal(file, FORMATS, reasons)
    except HDF5_ERRORS as error:
        reasons["HDF5"] = str(error)
    return None, None, reasons, described


def _open(
    format_: Format, where: Path, options: dict[str, Any], T: Any, part: Any = None
) -> xr.Dataset:
    """Open a file by its reader, which knows only some options."""
    known = {} if format_ is _NETCDF else dict.fromkeys(format_.options)
    if unknown := [f"{name}=" for name in options if name not in known]:
        others = ", ".join(f"{name}=" for name in known) or "none"
        raise QuantityError(
            f"the reader for {format_.name} has no option {', '.join(unknown)}",
            reason=f"its options: {others}",
            fix=" or ".join(
                f"{near}=" for one in unknown for near in nearest(one[:-1], known)
            ),
        )
    if part is None:
        read = partial(format_.open, where)
    else:  # of a file that is open
        read = partial(format_.of_part, where, part)
    if "T" in known:  # the reader decides if the file contradicts itself
        return read(T=T, **options)
    return at_temperature(read(**options), T)


def _by_engine(where: Path, engine: Any, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file with a named reader of xbp or of another package."""
    own = {entry.engine: entry for entry in FORMATS if entry is not _NETCDF}
    if isinstance(engine, str) and engine in own:
        return _open(own[engine], where, options, T)
    if isinstance(engine, str):
        choose(engine, xr.backends.list_engines(), "engine", error=FileFormatError)
    what = f"{where} cannot be read with engine={shown(engine)}"
    kinds = ValueError, TypeError, OSError, LookupError, AttributeError
    with translated(what, *kinds, fix=f"engine= one of {', '.join(own)}"):
        return at_temperature(xr.open_dataset(where, engine=engine, **options), T)
