"""The one netCDF writer, and the reader of netCDF files."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, XbpError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import CONVENTIONS, COORDINATES, QUANTITIES, SCHEMA_VERSION
from xbp.io.hdf5 import (
    HDF5_ERRORS,
    HDF5_SIGNATURE,
    attribute,
    open_hdf5,
    require_netcdf,
)
from xbp.io.publish import new_file
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = [
    "decline",
    "open_netcdf",
    "open_tree",
    "require_readable",
    "to_netcdf",
    "tree_to_netcdf",
]

#: Beginnings of the three classic kinds.
_CLASSIC: Final = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
#: Bytes of a number of each type of the classic format: byte, char, short, int, float,
#: double; the last five only in its third kind.
_BYTES: Final = dict(enumerate((1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8), start=1))
#: Attributes by which xarray and netCDF decode values: in attrs they would change the
#: numbers.
_RESERVED: Final = {
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "_Unsigned",
    "dtype",
    "coordinates",
    "calendar",
}


@operation(takes=("signal", "table", "trajectory"))
def to_netcdf(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
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
            # dask arrays would be computed a second time; their labels are compared.
            lazy = [name for name, v in ds.variables.items() if v.chunks is not None]
            _require_faithful(
                back.drop_vars(lazy).identical(ds.drop_vars(lazy))
                and all(
                    back[name].attrs == ds[name].attrs
                    and back[name].dims == ds[name].dims
                    for name in lazy
                )
            )


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
        nodes[node.path], encoding[node.path] = _prepared(plain)
    whole = xr.DataTree.from_dict(nodes, name=tree.name)
    with new_file(path, overwrite=overwrite) as (temporary, target), _refusal(target):
        whole.to_netcdf(
            temporary, engine="netcdf4", format="NETCDF4", encoding=encoding
        )
        with xr.open_datatree(temporary, engine="netcdf4") as back:
            _require_faithful(back.identical(whole))


def _prepared(plain: xr.Dataset) -> tuple[xr.Dataset, dict[Any, dict[str, Any]]]:
    """Return a Dataset without the encoding of its old file, and its new encoding."""
    _check_attributes(plain)
    ds = plain.copy()
    encoding: dict[Any, dict[str, Any]] = {}
    for name, variable in ds.variables.items():
        # dask arrays are not computed for this check.
        wrong = None if variable.chunks else _wrong(ds, str(name), variable.values)
        if wrong:
            raise QuantityError(
                f"'{name}' {wrong}",
                reason="the file could not be opened again",
                fix=f"data['{name}'] = "
                f"data['{name}'].where(np.isfinite(data['{name}']))",
            )
        variable.encoding = {}
        numeric = variable.ndim and variable.dtype.kind in "fiu"
        encoding[name] = {"zlib": True, "complevel": 4} if numeric else {}
        if name in ds.coords:
            encoding[name]["_FillValue"] = None
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


def _require_faithful(faithful: bool) -> None:
    """Refuse to publish a file that differs from the data."""
    check(
        faithful,
        "it would not read back identical: some values, names or attributes cannot be "
        "stored in netCDF",
    )


def _check_attributes(ds: xr.Dataset) -> None:
    holders = {"the Dataset": ds.attrs} | {
        f"'{name}'": v.attrs for name, v in ds.variables.items()
    }
    for holder, key, value in (
        (holder, *item) for holder, attrs in holders.items() for item in attrs.items()
    ):
        plain_list = isinstance(value, list | tuple) and any(
            value
            and all(isinstance(v, kinds) and not isinstance(v, bool) for v in value)
            for kinds in (str, (int, float))
        )
        fits = isinstance(value, str | int | float | np.number | np.ndarray)
        reason = None
        if key in _RESERVED:
            reason = "netCDF reserves it, and the file would read back changed"
        elif isinstance(value, bool | np.bool_) or not (fits or plain_list):
            reason = "netCDF stores text and numbers only"
        if reason:
            raise QuantityError(
                f"attribute '{key}' of {holder} is {value!r} ({type(value).__name__})",
                reason=reason,
                fix=f"change it, or remove it: del data.attrs['{key}']",
            )


def decline(path: Path) -> str | None:
    """Return why a file is not netCDF, or None if it is."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[:4] in _CLASSIC:
        try:
            _require_classic(path)
        except ValueError as error:
            return f"its header is damaged ({error})"
        return None
    if start != HDF5_SIGNATURE:
        return "it begins with neither the netCDF nor the HDF5 signature"
    try:
        with open_hdf5(path) as file:
            return declined(file)
    except HDF5_ERRORS as error:
        return f"the netCDF library cannot read it safely ({error})"


def declined(file: h5py.File) -> str | None:
    """Return why an HDF5 file is not netCDF, or None if it is."""
    marked = "_NCProperties" in file.attrs or "xbp_schema" in file.attrs
    if not marked and not _has_scales(file):
        return "it is HDF5 without netCDF dimensions"
    try:
        require_netcdf(file)
    except HDF5_ERRORS as error:
        return f"the netCDF library cannot read it safely ({error})"
    return None


def open_netcdf(path: Path) -> xr.Dataset:
    """Open a netCDF file lazily, as xarray does: close it, or use ``with``."""
    ds = None
    try:
        ds = xr.open_dataset(path, engine="netcdf4", cache=False)
        require_readable(ds)
        ds.close()
        ds = xr.open_dataset(path, engine="netcdf4")
        if not ds.variables and ds.attrs.get("quantity") == "study":
            raise FileFormatError(
                f"{path} is a study",
                reason="it has a Dataset for each leaf",
                fix="xbp.open_study(path)",
            )
        check(ds.variables, "it has no variables")
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
        isinstance(item, h5py.Dataset) and attribute(item, "CLASS") == "DIMENSION_SCALE"
        for item in items
    )


def require_readable(ds: xr.Dataset) -> None:
    """Read a part of every variable, so that damage is found when the file opens.

    Raises
    ------
    ValueError
        If a signal or its coordinate is infinite, or its error negative.
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
    of = name.removesuffix("_std")
    signal = of in ds.data_vars and "quantity" in ds[of].attrs
    labelled = any("quantity" in variable.attrs for variable in ds.data_vars.values())
    axis = name in ds.coords and name in COORDINATES and labelled
    atoms = ds.attrs.get("quantity") == "trajectory"
    if values.dtype.kind != "f" or not (signal or axis or atoms):
        return None
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
    try:
        where = Path(path)
        if not where.is_file():
            raise FileFormatError(
                f"{where} does not exist, or is a folder",
                fix="check the spelling and the working directory",
            )
        reason = decline(where)
        if reason is None:
            with xr.open_datatree(where, engine="netcdf4", cache=False) as tree:
                check(
                    tree.nbytes <= 2**31,
                    f"it claims to contain {tree.nbytes / 1e9:.3g} GB",
                )
                # tree.load() would leave in the file whatever is not a dask array.
                loaded = {
                    node.path: node.to_dataset(inherit=False).load()
                    for node in tree.subtree
                }
                for node in loaded.values():
                    require_readable(node)
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


class _Header:
    """The bytes of the header of a classic netCDF file, read one part after another."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self.version = content, 4, content[3]

    def take(self, n_bytes: int) -> bytes:
        self._at += n_bytes
        check(self._at <= len(self._content), "its header ends too early")
        return self._content[self._at - n_bytes : self._at]

    def whole(self, n_bytes: int) -> int:
        return int.from_bytes(self.take(n_bytes), "big")

    def size(self) -> int:
        return self.whole(8 if self.version == 5 else 4)

    def count(self) -> int:
        """Return the length of a list, whose entries take at least a byte each."""
        number = self.size()
        check(
            number <= len(self._content),
            f"its header declares a list of {number} entries",
        )
        return number

    def place(self) -> int:
        return self.whole(4 if self.version == 1 else 8)

    def padded(self, n_bytes: int) -> bytes:
        """Return some bytes, which are padded to a multiple of four."""
        return self.take(-(-n_bytes // 4) * 4)[:n_bytes]

    def name(self) -> bytes:
        name = self.padded(self.count())
        check(name and b"\x00" not in name, "its header contains an invalid name")
        name.decode("utf-8")
        return name

    def kind(self) -> int:
        kind = self.whole(4)
        check(
            kind in _BYTES and (kind <= 6 or self.version == 5),
            f"its header contains numbers of the unknown type {kind}",
        )
        return kind

    def entries(self, tag: int) -> int:
        """Return the length of a list: 10 dimensions, 11 variables, 12 attributes."""
        found, number = self.whole(4), self.count()
        check(
            (found, number) == (0, 0) or found == tag,
            "its header is not a list of dimensions, attributes and variables",
        )
        return number

    def attributes(self) -> None:
        for _ in range(self.entries(12)):
            self.name()
            kind = self.kind()
            self.padded(self.count() * _BYTES[kind])


def _require_classic(path: Path) -> None:
    """Check the header of a classic netCDF file against the length of the file.

    A damaged one crashes the library.

    Raises
    ------
    ValueError
        If it is damaged.

    References
    ----------
    The NetCDF Classic Format Specification,
    https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
    """
    length = path.stat().st_size
    with path.open("rb") as stream:
        header = _Header(stream.read(2**26))  # no header is longer
    n_records = header.size()
    dimensions = [(header.name(), header.size()) for _ in range(header.entries(10))]
    sizes = [size for _, size in dimensions]
    check(
        len({name for name, _ in dimensions}) == len(sizes) and sizes.count(0) <= 1,
        "two of its dimensions have the same name, or are both unlimited",
    )
    header.attributes()
    names, record = [], 0
    for _ in range(header.entries(11)):
        names.append(header.name())
        dims = [header.size() for _ in range(header.count())]
        check(
            all(dim < len(sizes) for dim in dims)
            and all(sizes[dim] for dim in dims[1:]),
            "one of its variables has a dimension that does not exist",
        )
        header.attributes()
        width = _BYTES[header.kind()]
        header.size()  # of the variable, which follows from its dimensions
        begin = header.place()
        of_records = bool(dims) and sizes[dims[0]] == 0
        n_bytes = math.prod(sizes[dim] for dim in dims[of_records:]) * width
        record += n_bytes if of_records else 0
        check(
            begin + (0 if of_records else n_bytes) <= length,
            "one of its variables is declared larger than the file",
        )
    check(len(set(names)) == len(names), "two of its variables have the same name")
    streaming = 2 ** (64 if header.version == 5 else 32) - 1
    check(
        n_records == streaming or n_records * record <= length,
        f"it declares {n_records} records, more than the file contains",
    )
