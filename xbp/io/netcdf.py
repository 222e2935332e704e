"""The one netCDF writer, and the reader of netCDF files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np
import xarray as xr
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from xbp.core.construct import as_dataset
from xbp.core.data import is_lazy, unwrap
from xbp.core.errors import MAYBE_DAMAGED, QuantityError, shown
from xbp.core.guards import require_flag
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, DATASET_LABELS, QUANTITIES
from xbp.core.signal import read
from xbp.io.classic import classic_header
from xbp.io.hdf5 import (
    HDF5_ERRORS,
    HDF5_SIGNATURE,
    attribute,
    names_in,
    open_hdf5,
)
from xbp.io.hdf5_checks import require_netcdf
from xbp.io.publish import new_file, to_path
from xbp.io.text import check, translated

if TYPE_CHECKING:
    import h5py
    import netCDF4
else:
    h5py = lazy_loader.load("h5py")
    netCDF4 = lazy_loader.load("netCDF4")

__all__ = [
    "UNFAITHFUL",
    "decline",
    "open_classic",
    "open_lazily",
    "open_netcdf",
    "open_tree",
    "prepared",
    "require_readable",
    "to_netcdf",
    "tree_to_netcdf",
]

#: Beginnings of the three classic kinds.
_CLASSIC: Final = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
UNFAITHFUL: Final = "it would read back changed"
#: Attributes by which xarray and netCDF decode values: in attrs they would change the
#: numbers.
_RESERVED: Final = {
    "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned", "dtype",
    "coordinates", "calendar",
}  # fmt: skip


@operation(takes=("signal", "table", "trajectory"))
def to_netcdf(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    nexus: bool = False,
) -> None:
    """Archive data to netCDF-4, following CF-1.11.

    ``xarray.open_dataset(path)`` returns the identical object: values, standard
    deviations, units, attributes and history. The file is written beside its place and
    renamed once complete, so that an interrupted write leaves no half file and loses no
    old one.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything with units; pint is removed, dask arrays are computed. A Dataset
        without the global attributes ``Conventions`` and ``xbp_schema`` gets them in
        the file.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.
    nexus : bool
        Add the attributes of NXdata, so that h5web and silx draw the signal over its
        dimensions. `xbp.open_dataset` takes them off; ``xarray.open_dataset`` shows
        them, and is then not identical.

    Raises
    ------
    FileFormatError
        If the file exists and `overwrite` is not given, its folder does not exist, or
        it cannot be written so that it reads back identical.
    QuantityError
        If an attribute cannot be stored in netCDF; with `nexus`, if there is not one
        signal.

    References
    ----------
    NeXus base class `NXdata
    <https://manual.nexusformat.org/classes/base_classes/NXdata.html>`__

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
    ds, encoding = prepared(as_dataset(data))
    ds.attrs = DATASET_LABELS | ds.attrs
    labels = _nxdata(data) if require_flag(nexus, "nexus") else {}
    whole = ds.assign_attrs(labels)
    with _new_file(path, overwrite) as temporary:
        whole.to_netcdf(
            temporary, engine="netcdf4", format="NETCDF4", encoding=encoding
        )
        if nexus:
            _as_nexus(temporary, whole)
        with _without_nxdata(xr.open_dataset(temporary, engine="netcdf4")) as back:
            # dask arrays would be computed a second time; their labels are compared.
            lazy = [name for name, v in ds.variables.items() if is_lazy(v)]
            same = back.drop_vars(lazy).identical(ds.drop_vars(lazy))
            for name in lazy:
                one, other = back[name], ds[name]
                same &= (one.attrs, one.dims) == (other.attrs, other.dims)
            check(same, UNFAITHFUL)


def _nxdata(data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return the attributes by which programs draw a signal over its dimensions."""
    value = read(data).value
    axes = [str(dim) if dim in value.coords else "." for dim in value.dims]
    name = str(value.name or QUANTITIES[str(value.attrs["quantity"])].variable)
    return {"NX_class": "NXdata", "signal": name, "axes": axes}


def _as_nexus(path: str, ds: xr.Dataset) -> None:
    """Write texts as NeXus has them, and give errors the name by which it finds them.

    netCDF writes bytes, or lists of one text, which programs show as such.
    """
    with h5py.File(path, "r+") as file:
        attrs = {"/": ds.attrs} | {n: v.attrs for n, v in ds.variables.items()}
        for name, own in attrs.items():
            for key, value in own.items():
                if isinstance(value, str):
                    file[str(name)].attrs[str(key)] = value
        errors, std = (f"{ds.attrs['signal']}_{kind}" for kind in ("errors", "std"))
        if std in file:  # a second name of the same array
            file[errors] = file[std]


def _without_nxdata(ds: xr.Dataset) -> xr.Dataset:
    """Take what NXdata adds off a Dataset, in place."""
    if ds.attrs.get("NX_class") == "NXdata":
        signal = ds.attrs.get("signal")
        if {f"{signal}_std", f"{signal}_errors"} <= set(ds.variables):
            del ds[f"{signal}_errors"]
        for name in ("NX_class", "signal", "axes"):
            ds.attrs.pop(name, None)
    return ds


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
        plain, _ = unwrap(node.to_dataset(inherit=False).compute())
        nodes[node.path], encoding[node.path] = prepared(plain)
    whole = xr.DataTree.from_dict(nodes, name=tree.name)
    options: dict[str, Any] = {"format": "NETCDF4", "encoding": encoding}
    with _new_file(path, overwrite) as temporary:
        whole.to_netcdf(temporary, engine="netcdf4", **options)
        with xr.open_datatree(temporary, engine="netcdf4") as back:
            check(back.identical(whole), UNFAITHFUL)


def prepared(plain: xr.Dataset) -> tuple[xr.Dataset, dict[Any, dict[str, Any]]]:
    """Return a Dataset without the encoding of its old file, and its new encoding."""
    _check_attributes("the Dataset", plain.attrs)
    ds = plain.copy()
    encoding: dict[Any, dict[str, Any]] = {}
    for name, variable in ds.variables.items():
        _check_attributes(f"'{name}'", variable.attrs)
        # dask arrays are not computed for this check.
        wrong = None if is_lazy(variable) else _wrong(ds, str(name), variable.values)
        if wrong:
            raise QuantityError(
                f"'{name}' {wrong}", fix="data.where(np.isfinite(data)) makes it NaN"
            )
        variable.encoding = {}
        numeric = variable.ndim and variable.dtype.kind in "fiu"
        encoding[name] = {"zlib": True, "complevel": 4} if numeric else {}
        if numeric and variable.size:
            encoding[name]["chunksizes"] = chunk_sizes(
                variable.shape, variable.dtype.itemsize
            )
        if name in ds.coords:
            encoding[name]["_FillValue"] = None
    return ds, encoding


def chunk_sizes(
    shape: tuple[int, ...], itemsize: int, size: int = 2**20
) -> tuple[int, ...]:
    """Return the shape of a chunk: as many whole rows of the last dimensions as fit.

    Then a frame of a trajectory, or the first bin, is read without all others, as it
    would not be in netCDF's own chunks, which halve every dimension alike.

    Parameters
    ----------
    shape : tuple of int
    itemsize : int
        Bytes of a number.
    size : int
        Bytes of a chunk.

    Examples
    --------
    >>> chunk_sizes((500, 4000, 3), 8), chunk_sizes((1000, 10**6, 3), 8)
    ((10, 4000, 3), (1, 43690, 3))
    """
    room, chunk = size // itemsize, list[int]()
    for length in reversed(shape):
        chunk.insert(0, max(1, min(length, room)))
        room //= chunk[0]
    return tuple(chunk)


@contextlib.contextmanager
def _new_file(path: str | os.PathLike[str], overwrite: bool) -> Iterator[str]:
    """Yield a temporary file; what netCDF cannot write is an error of xbp."""
    fix = "use only text and numbers in attributes"
    with (
        new_file(path, overwrite=overwrite) as (temporary, target),
        # netCDF4, HDF5 and xarray raise a dozen kinds.
        translated(f"cannot write {target}", Exception, fix=fix),
    ):
        yield temporary


def _check_attributes(holder: str, attrs: Mapping[Any, Any]) -> None:
    for key, value in attrs.items():
        parts = value if isinstance(value, list | tuple) else (value,)
        kinds = {isinstance(part, str) for part in parts}
        plain = len(kinds) == 1 and all(
            isinstance(part, str | int | float | np.number | np.ndarray)
            and not isinstance(part, bool)
            for part in parts
        )
        if key in _RESERVED or not plain:
            raise QuantityError(
                f"attribute '{key}' of {holder} is {shown(value)}",
                reason="netCDF reserves the name"
                if key in _RESERVED
                else "netCDF stores text and numbers only",
                fix=f"del data.attrs['{key}']",
            )


def decline(path: Path) -> str | None:
    """Return why a file is not netCDF, or None if it is."""
    with path.open("rb") as stream:
        start = stream.read(8)
    try:
        if start[:4] in _CLASSIC:
            classic_header(path)
            return None
        check(start == HDF5_SIGNATURE, "it does not begin as netCDF")
        with open_hdf5(path) as file:
            return declined(file)
    except HDF5_ERRORS as error:
        return f"netCDF cannot read it safely ({error})"


def declined(file: h5py.File) -> str | None:
    """Return why an HDF5 file is not netCDF, or None if it is."""
    attrs = file["/"].attrs
    marked = "_NCProperties" in attrs or "xbp_schema" in attrs
    if not marked and not _has_scales(file):
        return "it is HDF5 without netCDF dimensions"
    try:
        require_netcdf(file)
    except HDF5_ERRORS as error:
        return f"netCDF cannot read it safely ({error})"
    return None


def open_netcdf(path: Path) -> xr.Dataset:
    """Open a netCDF file lazily, as xarray does: close it, or use ``with``."""
    what = f"{path} cannot be read as netCDF"
    with translated(what, Exception, fix=MAYBE_DAMAGED):
        with open_lazily(path, cache=False) as ds:
            require_readable(ds)
            is_study = ds.attrs.get("quantity") == "study"
            check(ds.variables or not is_study, "it is a study: xbp.open_study(path)")
            check(ds.variables, "it has no variables")
        return open_lazily(path)


def open_lazily(path: Path, **options: Any) -> xr.Dataset:
    """Open a netCDF file as ``xarray.open_dataset`` does, with one handle for all.

    HDF5 leaves what several handles of a file have in common with the first of them.
    Once that is closed, a further one that meets a text ends the process.
    """
    whole = path.resolve()
    now = whole.stat()
    manager: Any = xr.backends.CachingFileManager(
        netCDF4.Dataset,
        str(whole),
        mode="r",
        lock=NETCDF4_PYTHON_LOCK,
        manager_id=(now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns),
    )
    store = xr.backends.NetCDF4DataStore(manager)  # type: ignore[no-untyped-call]
    opened = _without_nxdata(xr.open_dataset(store, **options))
    opened.encoding["source"] = str(whole)
    return opened


@contextlib.contextmanager
def open_classic(path: Path) -> Iterator[xr.Dataset]:
    """Open a classic netCDF file as it is, without decoding, if its header is whole.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    reason = decline(path)
    check(reason is None, str(reason))
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False, cache=False) as ds:
        yield ds


def _has_scales(file: h5py.File) -> bool:
    return any(
        isinstance(item, h5py.Dataset) and attribute(item, "CLASS") == "DIMENSION_SCALE"
        for item in map(file.get, names_in(file))
    )


def require_readable(ds: xr.Dataset) -> None:
    """Read a part of every variable, so that damage is found when the file opens.

    Raises
    ------
    ValueError
        If a signal or its coordinate is infinite, an axis is NaN or not of numbers, an
        error negative, or units not a text.
    """
    for name, variable in ds.variables.items():
        # Small ones are read whole, of larger ones the first bin.
        whole = variable.nbytes <= 2**24
        part = variable if whole else variable[dict.fromkeys(variable.dims, slice(1))]
        read = part.copy(deep=False).load().values
        wrong = _wrong(ds, str(name), read)
        check(not wrong, f"'{name}' {wrong}")


def _wrong(ds: xr.Dataset, name: str, values: np.ndarray) -> str | None:
    """Return why numbers cannot be a signal, its error or its coordinate."""
    if not isinstance(units := ds[name].attrs.get("units", ""), str):
        return f"has the units {shown(units)}, not a text"
    of = name.removesuffix("_std")
    signal = of in ds.data_vars and "quantity" in ds[of].attrs
    labelled = any("quantity" in variable.attrs for variable in ds.data_vars.values())
    axis = name in ds.coords and name in COORDINATES and labelled
    table = "quantity" in ds.attrs
    if axis and values.dtype.kind not in "fiu":
        return f"is of type {values.dtype}, not numbers"
    if values.dtype.kind != "f" or not (signal or axis or table):
        return None
    if name in ds.dims and (n := int(np.isnan(values).sum())):
        return f"is NaN in {n} of {values.size} places"
    if n := int(np.isinf(values).sum()):
        return f"is infinite in {n} of {values.size} bins"
    if signal and name != of and (n := int((values < 0).sum())):
        return f"is negative in {n} of {values.size} bins"
    return None


def open_tree(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a tree of Datasets into memory.

    Raises
    ------
    FileFormatError
        If it is not a netCDF file, is damaged, or claims to be larger than 2 GB.
    """
    where = to_path(path, exists=True)
    what = f"{where} cannot be read as a netCDF file of groups"
    with translated(what, Exception, fix=MAYBE_DAMAGED):
        reason = decline(where)
        check(reason is None, str(reason))
        with xr.open_datatree(where, engine="netcdf4", cache=False) as tree:
            check(tree.nbytes <= 2**31, f"it claims {tree.nbytes / 1e9:.3g} GB")
            # tree.load() would leave in the file whatever is not a dask array.
            loaded = {n.path: n.to_dataset(inherit=False).load() for n in tree.subtree}
            for node in loaded.values():
                require_readable(node)
            return xr.DataTree.from_dict(loaded, name=tree.name)
