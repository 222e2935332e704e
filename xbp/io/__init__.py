"""Files in and out."""

from __future__ import annotations

import gzip
import inspect
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import CoordinateError, FileFormatError, QuantityError, XbpError
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
from xbp.io.netcdf import to_netcdf
from xbp.io.nxspe import to_nxspe
from xbp.io.scipp_data import from_scipp, to_scipp
from xbp.io.spreadsheet import to_csv, to_dataframe
from xbp.io.sqw import to_sqw

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


class Format(NamedTuple):
    """A file format: its name, the reason it declines a file (None: it takes it), its reader."""

    name: str
    decline: Callable[[Path], str | None]
    open: Callable[..., xr.Dataset]


_COLUMNS = Format("columns", columns.decline, columns.open_columns)
FORMATS = (
    Format("netCDF", netcdf.decline, netcdf.open_netcdf),
    Format("histogram HDF5", histogram.decline, histogram.open_histogram),
    Format("JCAMP-DX", jcamp.decline, jcamp.open_jcamp),
    Format("LabSpec export", labspec.decline, labspec.open_labspec),
    Format("PPMS heat capacity", ppms.decline, ppms.open_ppms),
    Format("NXSPE", nxspe.decline, nxspe.open_nxspe),
    Format("Mantid processed NeXus", mantid.decline, mantid.open_mantid),
    _COLUMNS,
    Format("DAVE ASCII", dave.decline, dave.open_dave),
    Format("S(q,ω) text", sqw.decline, sqw.open_sqw),
    Format(
        "total scattering text",
        total_scattering.decline,
        total_scattering.open_total_scattering,
    ),
)


def _is_trajectory(path: Path) -> bool:
    """Tell LAMMPS dumps and data files and extended XYZ, also compressed, by how they begin."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            head = stream.read(4096)
    except (OSError, EOFError, zlib.error):
        return False
    first, _, rest = head.partition(b"\n")
    xyz = first.strip().isdigit() and b"Lattice=" in rest.partition(b"\n")[0]
    return (
        head.startswith(b"ITEM: ")
        or (b"xlo xhi" in head and b"atom types" in head)
        or xyz
    )


def open_dataset(
    path: str | os.PathLike[str],
    *,
    T: Any = None,
    engine: str | None = None,
    **options: Any,
) -> xr.Dataset:
    """Open a file of any format xbp knows, told by its content and not by its name.

    Parameters
    ----------
    path : path-like
        netCDF (written by xbp or not), histogram HDF5 as multiphonon stores it, NXSPE,
        Mantid processed NeXus, DAVE ASCII, McStas or iFit S(q,ω), Gudrun's or NOMAD's
        total scattering, a Raman spectrum exported by Horiba LabSpec, a heat capacity
        measured by a Quantum Design PPMS, columns that xbp wrote, and, where `options`
        say what they are, any columns of numbers.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of that of the file.
    engine : str, optional
        "histogram", "nxspe", "mantid", "dave", "sqw", "total_scattering", "jcamp",
        "labspec", "ppms" or "columns": name the reader explicitly, as in
        ``xarray.open_dataset``, instead of detecting the format.
    **options
        Of the reader, which is told by the content all the same: ``composition="SiO2"``
        of total scattering, ``quantity="raman_intensity", units="1",
        coordinate_units="1/cm"`` of columns.

    Returns
    -------
    xarray.Dataset
        In the data model. A netCDF file is read lazily, as by xarray.

    Raises
    ------
    FileFormatError
        If there is no such file, it cannot be read, or no format takes it: which were
        tried, and why each declined.
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
        raise FileFormatError(
            f"{path!r} is no path", reason=str(error), fix="give a file's path as text"
        ) from error
    if not exists:
        raise FileFormatError(
            f"there is no file {where}",
            reason="it does not exist, or is a folder",
            fix="check the spelling and the working directory",
        )
    if engine is not None:
        return _by_engine(where, engine, options, T)
    reasons = {}
    for format_ in FORMATS:
        try:
            reason = format_.decline(where)
        except OSError as error:
            raise FileFormatError(
                f"{where} cannot be read",
                reason=error.strerror or str(error),
                fix="see that you may read it, and that it is a file of data and no "
                "device",
            ) from error
        if reason is None:
            return _with_options(_labelled(format_, where, options), where, options, T)
        reasons[format_.name] = reason
    if _is_trajectory(where):
        raise FileFormatError(
            f"{where} is a configuration or trajectory of atoms",
            reason="this opens spectra",
            fix="xbp.md.open_trajectory(path, ...) opens it; it asks for what the "
            "file does not tell, such as units, "
            "elements and the time step",
        )
    if "table" in reasons["columns"] and options:
        return _with_options(_COLUMNS, where, options, T)
    if "table" in reasons["columns"]:
        raise FileFormatError(
            f"{where} is a table of numbers",
            reason="it does not say what they are and in which units",
            fix="say so: xbp.open_dataset(path, quantity='raman_intensity', "
            "units='1', coordinate_units='1/cm'), or "
            "'heat_capacity', 'vibrational_dos', 'static_structure_factor', ... with "
            "their units",
        )
    if reasons["columns"].startswith("it is "):
        raise FileFormatError(
            f"{where}: {reasons['columns']}",
            reason="xbp does not read this format, or this file does not follow it",
            fix="export columns, or read the file yourself and label it with "
            "xbp.new_dataset(...)",
        )
    raise FileFormatError(
        f"{where} is of no format that xbp knows",
        reason="; ".join(f"{name}: {reason}" for name, reason in reasons.items()),
        fix="if the file is whole, read it by hand and label it with "
        "xbp.new_dataset(...)",
    )


def _by_engine(where: Path, engine: Any, options: dict[str, Any], T: Any) -> xr.Dataset:
    """Open a file with a named reader of xbp or of another package."""
    own = {entry.open.__module__.rpartition(".")[2]: entry for entry in FORMATS}
    if isinstance(engine, str) and engine in own and engine != "netcdf":
        return _with_options(own[engine], where, options, T)
    try:
        return _at(xr.open_dataset(where, engine=engine, **options), T)
    except XbpError:
        raise
    except (ValueError, TypeError, OSError, KeyError, AttributeError) as error:
        raise FileFormatError(
            f"{where} cannot be read with engine={engine!r}",
            reason=(str(error).splitlines() or [type(error).__name__])[0],
            fix="leave engine= out, or name another: "
            f"{', '.join(name for name in own if name != 'netcdf')}, or one of "
            "xarray's",
        ) from error


def _labelled(format_: Format, where: Path, options: dict[str, Any]) -> Format:
    """Return the reader of columns for a plain table that the caller labels, whatever wrote it."""
    plain = "quantity" in options and "table" in str(columns.decline(where))
    return (
        _COLUMNS
        if plain and "quantity" not in inspect.signature(format_.open).parameters
        else format_
    )


def _with_options(
    format_: Format, where: Path, options: dict[str, Any], T: Any
) -> xr.Dataset:
    """Open a file by its reader, which may be told what its format leaves open."""
    taken = [
        name
        for name, p in inspect.signature(format_.open).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    ]
    unknown = [name for name in options if name not in taken]
    if unknown:
        others = ", ".join(f"{name}=" for name in taken) if taken else "none"
        raise QuantityError(
            f"{', '.join(f'{name}=' for name in unknown)} is not an option of the "
            f"reader for {format_.name}",
            reason=f"the content of {where} identifies it as such a file; options of "
            f"this reader: {others}",
            fix="leave it out, or choose another reader with engine=",
        )
    if "T" in taken:  # it decides where the file contradicts itself
        return format_.open(where, T=T, **options)
    return _at(format_.open(where, **options), T)


def _at(ds: xr.Dataset, T: Any) -> xr.Dataset:
    """Record the temperature at which the data were taken."""
    if T is None:
        return ds
    temperature = temperature_coordinate(T)
    if "temperature" in ds.dims:
        ds.close()
        raise CoordinateError(
            f"T={float(temperature.values):g} K beside a coordinate 'temperature' of "
            f"{ds.sizes['temperature']} points",
            reason="the temperature axis already gives the temperatures",
            fix="leave T= out",
        )
    return ds.assign_coords(temperature=temperature)
