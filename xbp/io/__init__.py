"""Files in and out."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import FileFormatError, QuantityError, XbpError
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
from xbp.io.hdf5 import HDF5_ERRORS, HDF5_SIGNATURE, open_hdf5
from xbp.io.netcdf import to_netcdf
from xbp.io.nxspe import to_nxspe
from xbp.io.reader import Format, at_temperature
from xbp.io.sqw import to_sqw
from xbp.io.text import head

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

_NETCDF = Format("netCDF", "hdf5", netcdf.declined, netcdf.open_netcdf)
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
        netCDF (written by xbp or not), histogram HDF5 as multiphonon stores it, NXSPE,
        Mantid processed NeXus, DAVE ASCII, McStas or iFit S(q,ω), Gudrun's or NOMAD's
        total scattering, a Raman spectrum in JCAMP-DX or exported by Horiba LabSpec, a
        heat capacity measured by a Quantum Design PPMS, columns that xbp wrote, and any
        columns of numbers that `options` label.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of that of the file.
    engine : str, optional
        "histogram", "nxspe", "mantid", "dave", "sqw", "total_scattering", "jcamp",
        "labspec", "ppms" or "columns": name the reader explicitly, as in
        ``xarray.open_dataset``, instead of detecting the format.
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
    try:
        where = Path(path)
        exists = where.is_file()
    except (TypeError, ValueError, OSError) as error:
        raise FileFormatError(f"{path!r} is not a path", reason=str(error)) from error
    if not exists:
        raise FileFormatError(
            f"{where} does not exist, or is a folder",
            fix="check the spelling and the working directory",
        )
    if engine is not None:
        return _by_engine(where, engine, options, T)
    try:
        with where.open("rb") as stream:
            start = stream.read(8)
        format_, reasons = _recognised(where, start)
    except OSError as error:
        raise FileFormatError(
            f"{where} cannot be read",
            reason=error.strerror or str(error),
            fix="check its permissions, and that it is a file of data and not a device",
        ) from error
    table = "table" in reasons.get("columns", "")
    labelled = table and (format_ is None or "quantity" not in format_.options)
    if labelled and (options if format_ is None else "quantity" in options):
        format_ = columns.FORMAT
    if format_ is not None:
        return _open(format_, where, options, T)
    raise _unknown(where, reasons, table)


def _recognised(where: Path, start: bytes) -> tuple[Format | None, dict[str, str]]:
    """Return the format of a file, opened once, and why others declined it."""
    if start[:3] == b"CDF":
        reason = netcdf.decline(where)
        return (None, {"netCDF": reason}) if reason else (_NETCDF, {})
    reasons: dict[str, str] = {}
    if start == HDF5_SIGNATURE:
        try:
            with open_hdf5(where) as file:
                for format_ in FORMATS:
                    if format_.content == "hdf5":
                        reason = format_.declined(file)
                        if reason is None:
                            return format_, reasons
                        reasons[format_.name] = reason
        except HDF5_ERRORS as error:
            reasons["HDF5"] = f"it cannot be read ({error})"
        return None, reasons
    lines = head(where)
    found = None
    for format_ in FORMATS:
        if format_.content == "text":
            reason = format_.declined(lines)
            if reason is not None:
                reasons[format_.name] = reason
            elif found is None:
                found = format_
    return found, reasons


def _open(format_: Format, where: Path, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file by its reader, which knows only some options."""
    unknown = [name for name in options if name not in format_.options]
    if unknown:
        others = ", ".join(f"{name}=" for name in format_.options) or "none"
        raise QuantityError(
            f"{', '.join(f'{name}=' for name in unknown)} is not an option of the "
            f"reader for {format_.name}",
            reason=f"options of this reader: {others}",
            fix="leave it out, or choose another reader with engine=",
        )
    if "T" in format_.options:  # it decides if the file contradicts itself
        return format_.open(where, T=T, **options)
    ds = format_.open(where, **options)
    return at_temperature(ds, None if T is None else temperature_coordinate(T))


def _by_engine(where: Path, engine: Any, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file with a named reader of xbp or of another package."""
    own = {entry.engine: entry for entry in FORMATS if entry is not _NETCDF}
    if isinstance(engine, str) and engine in own:
        return _open(own[engine], where, options, T)
    try:
        ds = xr.open_dataset(where, engine=engine, **options)
        return at_temperature(ds, None if T is None else temperature_coordinate(T))
    except XbpError:
        raise
    except (ValueError, TypeError, OSError, LookupError, AttributeError) as error:
        raise FileFormatError(
            f"{where} cannot be read with engine={engine!r:.80}",
            reason=(str(error).splitlines() or [type(error).__name__])[0],
            fix=f"leave engine= out, or name another: {', '.join(own)}, or one of "
            "xarray's",
        ) from error


def _unknown(where: Path, reasons: dict[str, str], table: bool) -> FileFormatError:
    """Return the error for a file of an unknown format, or that needs arguments."""
    if _is_trajectory(where):
        return FileFormatError(
            f"{where} is a configuration or trajectory of atoms",
            fix="xbp.md.open_trajectory(path, ...) opens it",
        )
    if table:
        return FileFormatError(
            f"{where} is a table of numbers without quantity and units",
            fix="xbp.open_dataset(path, quantity='raman_intensity', units='1', "
            "coordinate_units='1/cm'), or 'heat_capacity', 'vibrational_dos', "
            "'static_structure_factor', ... with their units",
        )
    fix = "if the file is whole, label its numbers with xbp.new_dataset(...)"
    known = reasons.get("columns", "")
    if known.startswith("it is "):
        return FileFormatError(
            f"{where}: {known}",
            reason="xbp does not read this format, or this file does not follow it",
            fix=fix,
        )
    return FileFormatError(
        f"{where} has a format that xbp does not know",
        reason="; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        fix=fix,
    )


def _is_trajectory(path: Path) -> bool:
    """Return whether it begins like a LAMMPS file or extended XYZ, also compressed."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            start = stream.read(4096)
    except (OSError, EOFError, zlib.error):
        return False
    first, _, rest = start.partition(b"\n")
    xyz = first.strip().isdigit() and b"Lattice=" in rest.partition(b"\n")[0]
    data = b"xlo xhi" in start and b"atom types" in start
    return start.startswith(b"ITEM: ") or data or xyz
