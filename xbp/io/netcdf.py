"""The one netCDF writer, and the reader of netCDF files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, XbpError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import CONVENTIONS, QUANTITIES, SCHEMA_VERSION
from xbp.io.classic import MAGIC, require_classic
from xbp.io.dimensions import require_netcdf
from xbp.io.hdf5 import HDF5_ERRORS, HDF5_SIGNATURE, attribute, open_hdf5
from xbp.io.publish import new_file

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["decline", "open_netcdf", "open_tree", "to_netcdf", "tree_to_netcdf"]


@operation(takes=("signal", "table", "trajectory"))
def to_netcdf(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Archive data to netCDF-4, following CF-1.11.

    ``xarray.open_dataset(path)`` gives back the identical object: values, standard
    deviations, units, attributes and history. The file is written beside its place and
    renamed once complete, so that an interrupted write leaves no half file and loses no
    old one.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything that carries units; pint is taken off, dask arrays are computed. A
        Dataset that lacks the global attributes ``Conventions`` and ``xbp_schema`` gets
        them in the file.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    FileFormatError
        If the file exists and `overwrite` is not given, its folder does not exist, or
        it cannot be written so that it reads back identical.
    QuantityError
        If an attribute cannot be stored in netCDF.

    Examples
    --------
    >>> import tempfile, xarray as xr, xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     B.bp.to_netcdf(f"{folder}/glass.nc")
    ...     with xr.open_dataset(f"{folder}/glass.nc") as back:
    ...         back.identical(B)
    True
    """
    plain, _ = unwrap(data)
    if isinstance(plain, xr.DataArray):
        row = QUANTITIES.get(str(plain.attrs.get("quantity")))
        plain = plain.to_dataset(name=plain.name or (row.variable if row else "data"))
    ds, encoding = _prepared(plain)
    ds.attrs.setdefault("Conventions", CONVENTIONS)
    ds.attrs.setdefault("xbp_schema", SCHEMA_VERSION)
    with new_file(path, overwrite=overwrite) as (temporary, target), _refusal(target):
        ds.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)
        with xr.open_dataset(temporary, engine="netcdf4") as back:
            # dask arrays would be computed a second time for it; their labels must do.
            lazy = [
                name
                for name, variable in ds.variables.items()
                if variable.chunks is not None
            ]
            faithful = back.drop_vars(lazy).identical(ds.drop_vars(lazy)) and all(
                back[name].attrs == ds[name].attrs and back[name].dims == ds[name].dims
                for name in lazy
            )
        _require_faithful(faithful, target)


def tree_to_netcdf(
    tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Archive a tree of Datasets, one group each, as `to_netcdf` does a single one.

    Raises
    ------
    FileFormatError, QuantityError
        As for `to_netcdf`.
    """
    nodes, encoding = dict[str, xr.Dataset](), dict[str, Any]()
    for node in tree.subtree:
        nodes[node.path], encoding[node.path] = _prepared(
            unwrap(node.to_dataset(inherit=False).compute())[0]
        )
    plain = xr.DataTree.from_dict(nodes, name=tree.name)
    with new_file(path, overwrite=overwrite) as (temporary, target), _refusal(target):
        plain.to_netcdf(
            temporary, engine="netcdf4", format="NETCDF4", encoding=encoding
        )
        with xr.open_datatree(temporary, engine="netcdf4") as back:
            _require_faithful(back.identical(plain), target)


def _prepared(plain: xr.Dataset) -> tuple[xr.Dataset, dict[Any, dict[str, Any]]]:
    """Return a Dataset free of what it was read with, and how to write it."""
    _check_attributes(plain)
    ds = plain.copy()
    encoding: dict[Any, dict[str, Any]] = {}
    for name, variable in ds.variables.items():
        # What dask holds is not computed to be looked at.
        if (
            variable.chunks is None
            and _is_measured(ds, str(name))
            and (n := _n_infinite(variable.values))
        ):
            raise QuantityError(
                f"'{name}' is infinite in {n} of {variable.size} bins",
                reason="an infinity is not a measured value, and the file could not "
                "be opened again",
                fix=f"data['{name}'] = "
                f"data['{name}'].where(np.isfinite(data['{name}']))",
            )
        # What a variable was read with (chunks, packing, fill) is of the old file, not
        # of the data.
        variable.encoding = {}
        compressed = (
            {"zlib": True, "complevel": 4}
            if variable.ndim and variable.dtype.kind in "fiu"
            else {}
        )
        no_fill = {"_FillValue": None} if name in ds.coords else {}
        encoding[name] = compressed | no_fill
    return ds, encoding


@contextlib.contextmanager
def _refusal(target: Path) -> Iterator[None]:
    """Turn what netCDF cannot write into an error of xbp."""
    try:
        yield
    except XbpError:
        raise
    except Exception as error:  # netCDF4, HDF5 and xarray raise a dozen kinds
        raise FileFormatError(
            f"cannot write {target}",
            reason=f"{type(error).__name__}: {error}",
            fix="use only plain text and numbers in names and attributes",
        ) from error


def _require_faithful(faithful: bool, target: Path) -> None:
    """Refuse to publish what does not come back identical."""
    if not faithful:
        raise FileFormatError(
            f"cannot write {target}",
            reason="it would not read back identical: some values, names or "
            "attributes have no place in netCDF",
            fix="keep to float32, float64 and integers, and remove attributes that "
            "netCDF has a meaning of its own for",
        )


#: Attributes by which xarray and netCDF decode values: in attrs they would change the
#: numbers.
_RESERVED = {
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "_Unsigned",
    "dtype",
    "coordinates",
    "calendar",
}


def _check_attributes(ds: xr.Dataset) -> None:
    holders = {"the Dataset": ds.attrs} | {
        f"'{name}'": v.attrs for name, v in ds.variables.items()
    }
    for holder, attrs in holders.items():
        for key, value in attrs.items():
            plain_list = isinstance(value, list | tuple) and any(
                value
                and all(isinstance(v, kinds) and not isinstance(v, bool) for v in value)
                for kinds in (str, (int, float))
            )
            if key in _RESERVED:
                raise QuantityError(
                    f"attribute '{key}' of {holder} is {value!r}",
                    reason="netCDF has a meaning of its own for it, and the file "
                    "would read back changed",
                    fix="apply it to the numbers, then remove it: del "
                    f"data.attrs['{key}']",
                )
            if isinstance(value, bool | np.bool_) or not (
                isinstance(value, str | int | float | np.number | np.ndarray)
                or plain_list
            ):
                raise QuantityError(
                    f"attribute '{key}' of {holder} is {value!r} "
                    f"({type(value).__name__})",
                    reason="netCDF stores text and numbers only",
                    fix="make it text or a number, or remove it: del "
                    f"data.attrs['{key}']",
                )


def decline(path: Path) -> str | None:
    """Say why a file is not netCDF, or None where it is."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head[:4] in MAGIC:
        try:
            require_classic(path)
        except ValueError as error:
            return f"its header is damaged ({error})"
        return None
    if head != HDF5_SIGNATURE:
        return "it begins with neither the netCDF nor the HDF5 signature"
    try:
        with open_hdf5(path) as file:
            if (
                "_NCProperties" not in file.attrs
                and "xbp_schema" not in file.attrs
                and not _has_scales(file)
            ):
                return "it is HDF5 without netCDF dimensions"
            require_netcdf(file)
            return None
    except HDF5_ERRORS as error:
        return f"the netCDF library cannot read it safely ({error})"


def open_netcdf(path: Path) -> xr.Dataset:
    """Open a netCDF file as xarray does.

    Lazily, so close it or use it in a ``with``.
    """
    ds = None
    try:
        ds = xr.open_dataset(path, engine="netcdf4", cache=False)
        _require_readable(ds)
        ds.close()
        ds = xr.open_dataset(path, engine="netcdf4")
        if not ds.variables:
            if ds.attrs.get("quantity") == "study":
                raise FileFormatError(
                    f"{path} is a study",
                    reason="it has a Dataset for each leaf",
                    fix="xbp.open_study(path)",
                )
            raise ValueError("it holds no variables")
        return ds
    except Exception as error:  # netCDF4, HDF5 and xarray raise a dozen kinds
        if ds is not None:
            ds.close()
        if isinstance(error, XbpError):
            raise
        raise FileFormatError(
            f"{path} cannot be read as netCDF",
            reason=f"{type(error).__name__}: {error}",
            fix="it may be truncated: copy it again from its source",
        ) from error


def _has_scales(file: h5py.File) -> bool:
    items = [file.get(name) for name in file]
    return any(
        isinstance(item, h5py.Dataset)
        and attribute(item, "CLASS") in (b"DIMENSION_SCALE", "DIMENSION_SCALE")
        for item in items
    )


#: Variables up to this size are read once when a file opens, to see that they can be;
#: of larger ones the first bin.
_READ_AT_ONCE = 2**24


def _require_readable(ds: xr.Dataset) -> None:
    """Read a part of every variable, so that what cannot be read or decoded is said when the file opens.

    Raises
    ------
    ValueError
        If a signal is infinite.
    """
    for name, variable in ds.variables.items():
        whole = variable.nbytes <= _READ_AT_ONCE
        part = variable if whole else variable[dict.fromkeys(variable.dims, slice(1))]
        read = part.copy(deep=False).load().values
        if _is_measured(ds, str(name)) and (n := _n_infinite(read)):
            raise ValueError(
                f"'{name}' is infinite in {n} bins, which is not a measured value"
            )


def _is_measured(ds: xr.Dataset, name: str) -> bool:
    """Tell whether a variable is a signal of the vocabulary, or its error."""
    of = name.removesuffix("_std")
    return of in ds.data_vars and ds[of].attrs.get("quantity") is not None


def _n_infinite(values: np.ndarray) -> int:
    return int(np.isinf(values).sum()) if values.dtype.kind == "f" else 0


#: What a tree of Datasets may hold in all, uncompressed, to be read into memory.
_MAX_BYTES = 2**31


def open_tree(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a tree of Datasets into memory.

    Raises
    ------
    FileFormatError
        If it is no netCDF file, is damaged, or claims to be larger than 2 GB.
    """
    try:
        where = Path(path)
        if not where.is_file():
            raise FileFormatError(
                f"there is no file {where}",
                reason="it does not exist, or is a folder",
                fix="check the spelling and the working directory",
            )
        reason = decline(where)
        if reason is None:
            with xr.open_datatree(where, engine="netcdf4", cache=False) as tree:
                if tree.nbytes > _MAX_BYTES:
                    raise ValueError(f"it claims to hold {tree.nbytes / 1e9:.3g} GB")
                # tree.load() would leave in the file whatever is no dask array.
                loaded = {
                    node.path: node.to_dataset(inherit=False).load()
                    for node in tree.subtree
                }
                return xr.DataTree.from_dict(loaded, name=tree.name)
    except XbpError:
        raise
    except Exception as error:  # netCDF4, HDF5 and xarray raise a dozen kinds
        reason = f"{type(error).__name__}: {error}"
    raise FileFormatError(
        f"{str(path)!r} cannot be read as a netCDF file of groups",
        reason=reason,
        fix="it may be truncated, or another format: copy it again from its source",
    )
