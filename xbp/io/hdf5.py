"""HDF5 from strangers: what a damaged file may raise, and attributes read with care."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = [
    "HDF5_ERRORS",
    "HDF5_SIGNATURE",
    "MAX_COMPRESSION",
    "attribute",
    "flag",
    "number",
    "numbers",
    "open_hdf5",
    "text",
]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Everything h5py raises on a damaged file, depending on where the damage is.
HDF5_ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    MemoryError,
    OverflowError,
)

_MAX_TEXT = 256
_MAX_LONG_TEXT = 2**24

# 10^5 detectors of 2000 energies fit; what claims to be larger would not fit into
# memory twice.
_MAX_NUMBERS = 2**28
# The best ratio that deflate can reach, and the best that large arrays of measured
# numbers do.
MAX_COMPRESSION = 1032
_LARGE, _MAX_COMPRESSION_LARGE = 2**26, 50


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file for reading if it links to no other file.

    Raises
    ------
    ValueError
        If it links to other files: these are unchecked, and one that is a pipe would
        block.
    """
    with h5py.File(path, "r") as file:
        outside: list[str] = []

        def look(name: bytes, info: Any) -> None:
            if info.type == h5py.h5l.TYPE_EXTERNAL:
                outside.append(name.decode("utf-8", "replace"))

        file.id.links.visit(look, info=True)
        if outside:
            raise ValueError(f"'{outside[0]}' is a link into another file")
        yield file


def attribute(node: h5py.HLObject, name: str) -> Any:
    """Read a small text or integer attribute; None where there is none.

    Its type is checked before its value is read: libhdf5 follows the pointers of a
    damaged one wherever they lead.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if name not in node.attrs:
        return None
    found = node.attrs.get_id(name)
    kind = found.get_type()
    text = isinstance(kind, h5py.h5t.TypeStringID)
    whole = found.get_storage_size() == kind.get_size() or (
        text and kind.is_variable_str()
    )
    short = found.shape == () and kind.get_size() <= _MAX_TEXT and whole
    if not short or not (text or isinstance(kind, h5py.h5t.TypeIntegerID)):
        raise ValueError(
            f"attribute '{name}' of {node.name} is neither a short text nor an integer"
        )
    return node.attrs[name]


def numbers(
    group: h5py.Group,
    name: str,
    *,
    shape: tuple[int, ...] | None = None,
    ndim: int | None = None,
    whole: bool = False,
) -> Any:
    """Read a dataset of numbers as float64 (int64 if `whole`), its declared size checked before it is read.

    Raises
    ------
    ValueError
        If it is missing, holds no numbers (no whole ones), has another shape, or claims
        more than the file stores.
    """
    node = group.get(name) if isinstance(group, h5py.Group) else None
    if (
        not isinstance(node, h5py.Dataset)
        or node.dtype.kind not in "fiu"
        or h5py.check_enum_dtype(node.dtype)
    ):
        raise ValueError(f"'{name}' is missing or holds no numbers")
    if node.is_virtual or node.external:
        raise ValueError(f"'{name}' is stored in other files")
    if (shape is not None and node.shape != shape) or (
        ndim is not None and node.ndim != ndim
    ):
        wanted = f"{ndim} dimensions are" if shape is None else f"{shape} is"
        raise ValueError(f"'{name}' has the shape {node.shape}, where {wanted} needed")
    stored = node.id.get_storage_size()
    claimed = node.size * node.dtype.itemsize
    ratio = MAX_COMPRESSION if claimed <= _LARGE else _MAX_COMPRESSION_LARGE
    if node.size == 0 or node.size > _MAX_NUMBERS or claimed > ratio * stored:
        raise ValueError(
            f"'{name}' claims the shape {node.shape}, and {stored} bytes of it are "
            "stored"
        )
    values = np.asarray(node[()], dtype=float)
    if not whole:
        return values
    if not ((np.abs(values) < 2**53) & (np.trunc(values) == values)).all():
        raise ValueError(f"'{name}' holds something else than whole numbers")
    return values.astype(np.int64)


def number(group: h5py.Group, name: str) -> float | None:
    """Read a dataset of one number; None where there is none, or it is not finite.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if name not in group:
        return None
    values = numbers(group, name)
    if values.size != 1:
        raise ValueError(f"'{name}' holds {values.size} numbers where one is needed")
    value = float(values.reshape(()))
    return value if np.isfinite(value) else None


def flag(group: h5py.Group, name: str) -> bool | None:
    """Read a dataset with one truth value, a boolean or a number.

    None if there is none.

    Raises
    ------
    ValueError
        If it is anything else. NeXus prescribes booleans (NX_BOOLEAN); Mantid writes 0
        and 1.
    """
    node = group.get(name) if isinstance(group, h5py.Group) else None
    if isinstance(node, h5py.Dataset) and node.dtype.kind == "b" and node.size == 1:
        return bool(np.asarray(node[()]).reshape(()))
    value = number(group, name)
    if value not in (None, 0.0, 1.0):
        raise ValueError(f"'{name}' is {value:g}, not 0 or 1 (false or true)")
    return None if value is None else bool(value)


def text(group: h5py.Group, name: str) -> str | None:
    """Read a dataset of one text; None where there is none, or it is no text.

    Raises
    ------
    ValueError
        If it claims to be absurdly long.
    """
    node = group.get(name) if isinstance(group, h5py.Group) else None
    if (
        not isinstance(node, h5py.Dataset)
        or node.size != 1
        or not isinstance(node.id.get_type(), h5py.h5t.TypeStringID)
    ):
        return None
    if node.id.get_type().get_size() > _MAX_LONG_TEXT:
        raise ValueError(
            f"'{name}' claims to be a text of {node.id.get_type().get_size()} bytes"
        )
    value = np.asarray(node[()]).reshape(-1)[0]
    return (
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    ).strip("\x00 \n")
