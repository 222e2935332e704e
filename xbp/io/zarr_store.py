"""Zarr as an archive beside netCDF: the one writer of stores, and their reader."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any, Final

import xarray as xr

from xbp.core.construct import as_dataset
from xbp.core.errors import MAYBE_DAMAGED, FileFormatError, require
from xbp.core.operation import operation
from xbp.core.schema import DATASET_LABELS
from xbp.io.netcdf import UNFAITHFUL, prepared, require_readable
from xbp.io.publish import new_folder
from xbp.io.text import check, translated

__all__ = ["open_zarr", "require_stored", "to_zarr", "why_no_store"]

#: What a store of format 2 or 3 consists of: descriptions, and chunks named by their
#: indices.
_FILES: Final = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")
_CHUNK: Final = re.compile(r"c|\d+(\.\d+)*")


@operation(takes=("signal", "table", "trajectory"))
def to_zarr(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Archive data to a Zarr store, a folder, with all that `to_netcdf` keeps.

    ``xbp.open_dataset(path)`` and ``xarray.open_zarr(path)`` return the identical
    object. The folder is written beside its place and renamed once complete.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        As for `to_netcdf`.
    path : path-like
        Where to; it ends in ``.zarr``.
    overwrite : bool
        Replace an existing store; another folder is never replaced.

    Raises
    ------
    FileFormatError
        If the path does not end in ``.zarr``, exists and `overwrite` is not given or it
        is not a store, or the data would not read back identical.
    QuantityError
        If an attribute cannot be stored.
    MissingDependencyError
        If zarr is not installed.

    Examples
    --------
    >>> import tempfile, xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     B.bp.to_zarr(f"{folder}/glass.zarr")
    ...     xbp.open_dataset(f"{folder}/glass.zarr").load().identical(B)
    True
    """
    require("zarr", "write Zarr stores", "md")
    ds, _ = prepared(as_dataset(data))
    ds.attrs = DATASET_LABELS | ds.attrs
    is_store = str(os.fspath(path)).endswith(".zarr")
    if not is_store:
        raise FileFormatError(
            f"{os.fspath(path)} does not end in .zarr", fix="name it 'glass.zarr'"
        )
    with new_folder(path, overwrite=overwrite, replaceable=why_no_store) as (
        temporary,
        target,
    ):
        fix = "use only text and numbers in attributes"
        with translated(f"cannot write {target}", Exception, fix=fix):
            # Text has a specification in Zarr's second format, not yet in the third.
            ds.to_zarr(temporary, zarr_format=2)
            with xr.open_zarr(temporary, chunks=None) as back:
                check(back.identical(ds.compute()), UNFAITHFUL)


def why_no_store(folder: Path) -> str | None:
    """Return why a folder is not a Zarr store, and must not be replaced; else None."""
    if folder.suffix != ".zarr":
        return "it is a folder"
    for place, _, names in os.walk(folder):
        for name in names:
            if name not in _FILES and not _CHUNK.fullmatch(name):
                own = Path(place, name).relative_to(folder)
                return f"it is a folder but not a Zarr store: it contains {own}"
    try:
        with xr.open_zarr(folder, chunks=None):
            return None
    except Exception as error:  # zarr and xarray raise a dozen kinds
        return f"it is a folder but not a Zarr store ({type(error).__name__})"


def open_zarr(folder: Path) -> xr.Dataset:
    """Open a Zarr store lazily.

    Raises
    ------
    FileFormatError
        If it is not a store, or is damaged.
    MissingDependencyError
        If zarr is not installed.
    """
    require("zarr", "read Zarr stores", "md")
    with translated(f"{folder} cannot be read as Zarr", Exception, fix=MAYBE_DAMAGED):
        require_stored(folder)
        ds: Any = xr.open_zarr(folder, chunks=None)
        require_readable(ds)
        check(ds.variables, "it has no variables")
    return ds  # type: ignore[no-any-return]


def require_stored(folder: Path, *, expansion: float = 1100.0) -> None:
    """Refuse a Zarr store whose arrays are too large for its size.

    Deflate compresses by 1032 at most.

    Raises
    ------
    FileFormatError
    """
    zarr = require("zarr", "read Zarr stores", "md")
    size = sum(part.stat().st_size for part in folder.rglob("*") if part.is_file())
    for name, array in zarr.open_group(folder, mode="r").arrays():
        declared = math.prod(array.shape) * array.dtype.itemsize
        problem = f"'{name}' declares {declared:.3g} bytes in a store of {size}"
        if declared > expansion * size + 2**26:
            raise FileFormatError(f"{folder}: {problem}", fix=MAYBE_DAMAGED)
