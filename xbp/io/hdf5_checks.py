"""What must hold of HDF5 before other libraries open it: some of it crashes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

from xbp.io.hdf5 import MAX_COMPRESSION, attribute, require_own
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["require_netcdf", "require_stored"]


def require_netcdf(file: h5py.File) -> None:
    """Check groups, dimensions and types of a file before the netCDF library opens it.

    Some valid HDF5 crashes that library.

    Raises
    ------
    ValueError
        If groups contain one another; links lead elsewhere; the scale of a dimension is
        missing, not a scale, or has another length; numbers have sizes that netCDF does
        not support; or a variable claims more than the file stores.
    """
    datasets = list(_datasets(file))
    file.visititems(lambda _, node: _read_texts(node))
    _read_texts(file)
    numbered = [(_dimension_id(node), node) for node in datasets]
    scales = {number: node for number, node in numbered if number is not None}
    unique = len(scales) == sum(number is not None for number, _ in numbered)
    check(unique, "two of its dimensions have the same id")
    for node in datasets:
        _require_size(node)
        _require_dimensions(file, node)
        for axis, number in enumerate(_dimension_ids(node)):
            problem = f"dimension {axis} of '{node.name}' is not in the file"
            check(number in scales, problem)
            _require_length(node, axis, scales[number])


def require_stored(file: h5py.File) -> None:
    """Check that no dataset claims more than is stored, before another library reads.

    Raises
    ------
    ValueError
        If one does, or is in other files.
    """

    def look(name: str, node: h5py.HLObject) -> None:
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return
        require_own(node)
        claimed, stored = node.size * node.dtype.itemsize, node.id.get_storage_size()
        check(
            claimed <= max(2**20, MAX_COMPRESSION * stored),
            f"'{name}' claims {claimed / 1e9:.3g} GB, of which {stored} bytes are "
            "stored",
        )

    file.visititems(look)


def _datasets(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield every dataset once."""
    seen, waiting = set(), [file["/"]]
    while waiting:
        parent = waiting.pop()
        here = h5py.h5o.get_info(parent.id).addr
        check(here not in seen, f"its group {parent.name} occurs in several places")
        seen.add(here)
        for name in parent:
            is_own = isinstance(parent.get(name, getlink=True), h5py.HardLink)
            check(is_own, f"'{name}' in {parent.name} is a link, unknown to netCDF")
            item = parent[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                at = h5py.h5o.get_info(item.id).addr
                if at not in seen:  # a dataset may have several names
                    seen.add(at)
                    yield item


def _read_texts(node: h5py.HLObject) -> None:
    """Read all texts and lists of an object, which raises where they are damaged."""
    for name in node.attrs:
        if _is_listed(node.attrs.get_id(name).get_type()):
            node.attrs[name]
    if isinstance(node, h5py.Dataset) and _is_listed(node.id.get_type()):
        _require_size(node)
        node[()]


def _is_listed(kind: h5py.h5t.TypeID) -> bool:
    """Whether values are texts or lists of any length, which are stored apart."""
    is_text = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
    return is_text or isinstance(kind, h5py.h5t.TypeVlenID)


def _require_size(node: h5py.Dataset) -> None:
    kind = node.id.get_type()
    size = kind.get_size()
    known = {h5py.h5t.TypeFloatID: (4, 8), h5py.h5t.TypeIntegerID: (1, 2, 4, 8)}
    fits = size in known.get(type(kind), (size,))
    check(fits, f"'{node.name}' has numbers of {size} bytes, unknown to netCDF")
    require_own(node)
    # A dimension without a coordinate has no stored values, and is never read.
    if node.shape is None or (_text_of(node, "NAME") or "").startswith(
        "This is a netCDF dimension but not a netCDF variable"
    ):
        return
    claimed, stored = node.size * size, node.id.get_storage_size()
    check(
        claimed <= max(2**26, MAX_COMPRESSION * stored),
        f"'{node.name}' declares {claimed / 1e9:.3g} GB, of which {stored} bytes are "
        "stored",
    )


def _text_of(node: h5py.HLObject, name: str) -> str | None:
    value = attribute(node, name)
    return value if isinstance(value, str) else None


def _require_dimensions(file: h5py.File, node: h5py.Dataset) -> None:
    """Check that every dimension of a dataset refers to a scale of its length."""
    if "DIMENSION_LIST" not in node.attrs:
        return
    found = node.attrs.get_id("DIMENSION_LIST")
    kind = found.get_type()
    references = isinstance(kind, h5py.h5t.TypeVlenID) and isinstance(
        kind.get_super(), h5py.h5t.TypeReferenceID
    )
    fits = references and found.shape == (node.ndim,)
    check(fits, f"'{node.name}' does not have a scale for each dimension")
    lists = np.asarray(node.attrs["DIMENSION_LIST"], dtype=object)
    for axis, scale in ((axis, scale) for axis, s in enumerate(lists) for scale in s):
        target: Any = None
        with contextlib.suppress(KeyError, ValueError, RuntimeError, OSError):
            target = file[scale] if scale else None
        check(
            isinstance(target, h5py.Dataset)
            and target.name  # it is linked
            and _text_of(target, "CLASS") == "DIMENSION_SCALE"
            and target.shape,
            f"dimension {axis} of '{node.name}' has no scale: it was replaced or lost",
        )
        _require_length(node, axis, target)


def _require_length(node: h5py.Dataset, axis: int, scale: h5py.Dataset) -> None:
    lengths = node.maxshape[axis], scale.maxshape[0] if scale.maxshape else 0
    check(
        None in lengths or node.shape[axis] == scale.shape[0],
        f"dimension {axis} of '{node.name}' and its scale differ in length",
    )


def _dimension_id(node: h5py.Dataset) -> int | None:
    value = attribute(node, "_Netcdf4Dimid")
    if value is None or _text_of(node, "CLASS") != "DIMENSION_SCALE":
        return None
    is_number = isinstance(value, int | np.integer)
    check(is_number, f"the id of the dimension '{node.name}' is not a number")
    return int(value)


def _dimension_ids(node: h5py.Dataset) -> list[int]:
    if "_Netcdf4Coordinates" not in node.attrs:
        return []
    found = node.attrs.get_id("_Netcdf4Coordinates")
    whole = isinstance(found.get_type(), h5py.h5t.TypeIntegerID)
    fits = whole and found.shape == (node.ndim,)
    check(fits, f"the dimension ids of '{node.name}' are not {node.ndim} numbers")
    return [int(number) for number in node.attrs["_Netcdf4Coordinates"]]
