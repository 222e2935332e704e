"""Files in and out."""

from __future__ import annotations

import gzip
import os
import zlib
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import FileFormatError, QuantityError, shown
from xbp.io import (
    columns,
    dave,
    histogram,
    jcamp,
    labspec,
    mantid,
    netcdf,
    nxspe,
    ppms,
    sqw,
    total_scattering,
)
from xbp.io.columns import to_columns
from xbp.io.exchange import from_scipp, to_csv, to_dataframe, to_scipp
from xbp.io.guide import Guide
from xbp.io.hdf5 import HDF5_ERRORS, HDF5_SIGNATURE, open_hdf5
from xbp.io.netcdf import to_netcdf
from xbp.io.nxspe import to_nxspe
from xbp.io.reader import Format, at_temperature, to_path
from xbp.io.sqw import to_sqw
from xbp.io.text import head, translated

__all__ = [
    "FORMATS",
    "from_scipp",
    "open_dataset",
    "to_columns",
    "to_csv",
    "to_dataframe",
    "to_netcdf",
    "to_nxspe",
    "to_scipp",
    "to_sqw",
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
        'S = xbp.open_dataset("glass.nc").S\nprint(S.bp)',
    ),
)
_NETCDF.open = netcdf.open_netcdf
#: All formats, in the order in which a file is compared with them.
FORMATS = (
    _NETCDF,
    histogram.FORMAT,
    nxspe.FORMAT,
    mantid.FORMAT,
    jcamp.FORMAT,
    labspec.FORMAT,
    ppms.FORMAT,
    columns.FORMAT,
    dave.FORMAT,
    sqw.FORMAT,
    total_scattering.FORMAT,
)


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
        In the data model. A netCDF file is read lazily, as by xarray.

    Raises
    ------
    FileFormatError
        If the file does not exist, cannot be read, or it is of no known format: which
        were tried, and why each declined.
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
    where = to_path(path, exists=True)
    if engine is not None:
        return _by_engine(where, engine, options, T)
    fix = "check its permissions"
    with translated(f"{where} cannot be read", OSError, fix=fix):
        format_, reasons = _recognised(where)
    table = "table" in reasons.get("columns", "")
    labelled = table and (format_ is None or "quantity" not in format_.options)
    if labelled and (options if format_ is None else "quantity" in options):
        format_ = columns.FORMAT
    if format_ is not None:
        return _open(format_, where, options, T)
    raise _unknown(where, reasons, table)


def _recognised(where: Path) -> tuple[Format | None, dict[str, str]]:
    """Return the format of a file, opened once, and why others declined it."""
    with where.open("rb") as stream:
        start = stream.read(8)
    if start[:3] == b"CDF":
        reason = netcdf.decline(where)
        return (None, {"netCDF": reason}) if reason else (_NETCDF, {})
    found = None
    reasons: dict[str, str] = {}
    is_hdf5 = start == HDF5_SIGNATURE
    try:
        with open_hdf5(where) if is_hdf5 else nullcontext(head(where)) as content:
            for format_ in FORMATS:
                if (format_.content == "hdf5") is is_hdf5:
                    reason = format_.declined(content)
                    if reason:
                        reasons[format_.name] = reason
                    found = found or (None if reason else format_)
    except HDF5_ERRORS as error:
        if not is_hdf5:
            raise
        reasons["HDF5"] = f"it cannot be read ({error})"
    return found, reasons


def _open(format_: Format, where: Path, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file by its reader, which knows only some options."""
    known = {} if format_ is _NETCDF else dict.fromkeys(format_.options)
    if unknown := [f"{name}=" for name in options if name not in known]:
        others = ", ".join(f"{name}=" for name in known) or "none"
        raise QuantityError(
            f"{', '.join(unknown)} is not an option of the reader for {format_.name}",
            reason=f"options of this reader: {others}",
        )
    if "T" in known:  # the reader decides if the file contradicts itself
        return format_.open(where, T=T, **options)
    return at_temperature(format_.open(where, **options), T)


def _by_engine(where: Path, engine: Any, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file with a named reader of xbp or of another package."""
    own = {entry.engine: entry for entry in FORMATS if entry is not _NETCDF}
    if isinstance(engine, str) and engine in own:
        return _open(own[engine], where, options, T)
    what = f"{where} cannot be read with engine={shown(engine)}"
    kinds = ValueError, TypeError, OSError, LookupError, AttributeError
    with translated(what, *kinds, fix=f"engine= one of {', '.join(own)}"):
        return at_temperature(xr.open_dataset(where, engine=engine, **options), T)


def _unknown(where: Path, reasons: dict[str, str], table: bool) -> FileFormatError:
    """Return the error for a file of an unknown format, or that needs arguments."""
    known = reasons.get("columns", "")
    if _is_trajectory(where):
        what, fix = "is a trajectory of atoms", "xbp.md.open_trajectory(path, ...)"
    elif table:
        what = "is a table of numbers without quantity and units"
        fix = (
            "xbp.open_dataset(path, quantity='raman_intensity', units='1', "
            "coordinate_units='1/cm')"
        )
    else:
        fix = "pass its numbers to xbp.new_dataset(...)"
        if known.startswith("it looks like "):
            fix = "export it again: it may be damaged, or of another version"
        if known.startswith(("it is ", "it looks like ")):
            return FileFormatError(f"{where} cannot be read: {known}", fix=fix)
        reason = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        return FileFormatError(f"{where} has an unknown format", reason=reason, fix=fix)
    return FileFormatError(f"{where} {what}", fix=fix)


def _is_trajectory(path: Path) -> bool:
    """Return whether it begins like a LAMMPS file or extended XYZ, also compressed."""
    start = b""
    for opened in (open, gzip.open):
        with suppress(OSError, EOFError, zlib.error), opened(path, "rb") as stream:
            start = stream.read(4096)
    first, _, rest = start.partition(b"\n")
    xyz = first.strip().isdigit() and b"Lattice=" in rest.partition(b"\n")[0]
    data = b"xlo xhi" in start and b"atom types" in start
    return start.startswith(b"ITEM: ") or data or xyz
