"""HDF5 from strangers: what a damaged file may raise, and attributes read with care."""

from __future__ import annotations

from typing import Any

import h5py

__all__ = ["HDF5_ERRORS", "HDF5_SIGNATURE", "attribute"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Everything h5py raises on a damaged file, depending on where the damage is.
HDF5_ERRORS = (OSError, RuntimeError, KeyError, TypeError, ValueError, MemoryError, OverflowError)

_MAX_TEXT = 256


def attribute(node: h5py.HLObject, name: str) -> Any:
    """Read a small text or integer attribute; None where there is none.

    Its type is checked before its value is read: libhdf5 follows the pointers of a damaged one
    wherever they lead.

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
    whole = found.get_storage_size() == kind.get_size() or (text and kind.is_variable_str())
    short = found.shape == () and kind.get_size() <= _MAX_TEXT and whole
    if not short or not (text or isinstance(kind, h5py.h5t.TypeIntegerID)):
        raise ValueError(f"attribute '{name}' of {node.name} is neither a short text nor an integer")
    return node.attrs[name]
