"""Checks on HDF5 files before the netCDF library opens them.

Some valid HDF5 files crash it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.io.hdf5 import MAX_COMPRESSION, attribute

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["require_netcdf"]

#: What is smaller fits into memory, whatever the file stores of it.
_SMALL: Final = 2**26
_SCALE: Final = b"DIMENSION_SCALE"
#: How netCDF marks a dimension that has no coordinate; nothing of it is ever read.
_NO_VARIABLE: Final = b"This is a netCDF dimension but not a netCDF variable"
#: Whether a number of so many bytes is known to netCDF; on others it fails, or crashes.
_INTEGERS, _FLOATS = (1, 2, 4, 8), (4, 8)


def require_netcdf(file: h5py.File) -> None:
    """Walk the groups, dimensions and types of a file, before the netCDF library does.

    Parameters
    ----------
    file : h5py.File
        An HDF5 file that is opened as netCDF.

    Raises
    ------
    ValueError
        If groups hold one another; links lead elsewhere; the scale of a dimension is
        not there, no scale, or has another length; numbers have sizes that netCDF does
        not know; or a variable claims more than the file stores.
    """
    datasets = list(_datasets(file))
    ids = [number for node in datasets if (number := _dimension_id(node)) is not None]
    if len(set(ids)) < len(ids):
        raise ValueError("two of its dimensions have the same id")
    for node in datasets:
        _require_size(node)
        _require_dimensions(file, node)
        if not set(_dimension_ids(node)) <= set(ids):
            raise ValueError(
                f"'{node.name}' has dimensions that are not in the file: a scale was "
                "replaced or lost"
            )


def _datasets(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield every dataset once."""
    seen, waiting = set(), [file["/"]]
    while waiting:
        group = waiting.pop()
        here = h5py.h5o.get_info(group.id).addr
        if here in seen:
            raise ValueError(f"its group {group.name} occurs in several places")
        seen.add(here)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(
                    f"'{name}' in {group.name} is a link to another object, which "
                    "netCDF does not support"
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif (
                isinstance(item, h5py.Dataset)
                and (at := h5py.h5o.get_info(item.id).addr) not in seen
            ):
                seen.add(at)  # a dataset may have several names
                yield item


def _require_size(node: h5py.Dataset) -> None:
    kind = node.id.get_type()
    size = kind.get_size()
    if (isinstance(kind, h5py.h5t.TypeFloatID) and size not in _FLOATS) or (
        isinstance(kind, h5py.h5t.TypeIntegerID) and size not in _INTEGERS
    ):
        raise ValueError(
            f"'{node.name}' contains numbers of {size} bytes, which netCDF does not "
            "support"
        )
    if node.is_virtual or node.external:
        raise ValueError(f"'{node.name}' is stored in other files")
    if node.shape is None or (_text_of(node, "NAME") or b"").startswith(_NO_VARIABLE):
        return
    claimed, stored = node.size * size, node.id.get_storage_size()
    if claimed > max(_SMALL, MAX_COMPRESSION * stored):
        raise ValueError(
            f"'{node.name}' declares {claimed / 1e9:.3g} GB, but only {stored} bytes "
            "of it are stored"
        )


def _text_of(node: h5py.HLObject, name: str) -> bytes | None:
    """Return a text attribute as bytes; None where it is none."""
    value = attribute(node, name) if name in node.attrs else None
    return (
        value.encode()
        if isinstance(value, str)
        else value
        if isinstance(value, bytes)
        else None
    )


def _require_dimensions(file: h5py.File, node: h5py.Dataset) -> None:
    """See that every dimension of a dataset leads to a scale of its length."""
    if "DIMENSION_LIST" not in node.attrs:
        return
    found = node.attrs.get_id("DIMENSION_LIST")
    kind = found.get_type()
    references = isinstance(kind, h5py.h5t.TypeVlenID) and isinstance(
        kind.get_super(), h5py.h5t.TypeReferenceID
    )
    if not references or found.shape != (node.ndim,):
        raise ValueError(
            f"'{node.name}' does not have one scale for each of its {node.ndim} "
            "dimensions"
        )
    for axis, scales in enumerate(
        np.asarray(node.attrs["DIMENSION_LIST"], dtype=object)
    ):
        for scale in scales:
            target: Any = None
            try:
                target = file[scale] if scale else None
            except (KeyError, ValueError, RuntimeError, OSError):
                target = None
            if (
                not isinstance(target, h5py.Dataset)
                or _text_of(target, "CLASS") != _SCALE
                or not target.shape
            ):
                raise ValueError(
                    f"dimension {axis} of '{node.name}' has no scale: it was replaced "
                    "or lost"
                )
            fixed = node.maxshape[axis] is not None and target.maxshape[0] is not None
            if fixed and node.shape[axis] != target.shape[0]:
                raise ValueError(
                    f"dimension {axis} of '{node.name}' has {node.shape[axis]} "
                    f"points, its scale {target.shape[0]}"
                )


def _dimension_id(node: h5py.Dataset) -> int | None:
    value = attribute(node, "_Netcdf4Dimid")
    if value is None or _text_of(node, "CLASS") != _SCALE:
        return None
    if not isinstance(value, int | np.integer):
        raise ValueError(f"the id of the dimension '{node.name}' is not a number")
    return int(value)


def _dimension_ids(node: h5py.Dataset) -> list[int]:
    if "_Netcdf4Coordinates" not in node.attrs:
        return []
    found = node.attrs.get_id("_Netcdf4Coordinates")
    if not isinstance(found.get_type(), h5py.h5t.TypeIntegerID) or found.shape != (
        node.ndim,
    ):
        raise ValueError(
            f"the dimension ids of '{node.name}' are not {node.ndim} numbers"
        )
    return [int(number) for number in node.attrs["_Netcdf4Coordinates"]]
