"""Safe reading of HDF5 that may be damaged."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.core.guards import choose
from xbp.core.threads import in_threads
from xbp.io.hdf5_stream import checked_file
from xbp.io.stored import PART, Look, of_hdf5
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = [
    "HDF5_ERRORS",
    "HDF5_SIGNATURE",
    "MAX_COMPRESSION",
    "attribute",
    "chosen",
    "contents",
    "flag",
    "group",
    "groups",
    "labels_of",
    "names_in",
    "number",
    "numbers",
    "numbers_of_each",
    "open_hdf5",
    "require_own",
    "text",
    "texts_of",
    "units_of",
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
#: Numbers that take longer to read than a thread to begin.
_WORTH_A_THREAD: Final = 2**20
#: The best ratio that deflate can reach.
MAX_COMPRESSION: Final = 1032

#: Attributes by which some programs change the numbers, and their neutral values.
_SCALES = {"scale_factor": 1, "scaling_factor": 1, "add_offset": 0}


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file for reading if it links to no other file.

    Raises
    ------
    ValueError
        If it links to other files: these are unchecked, and a pipe would block.
    """
    with checked_file(path) as file:
        outside: list[str] = []

        def look(name: bytes, info: Any) -> None:
            if info.type == h5py.h5l.TYPE_EXTERNAL:
                outside.append(name.decode("utf-8", "replace"))

        file.id.links.visit(look, info=True)
        if outside:
            raise ValueError(f"'{outside[0]}' is a link into another file")
        yield file


def contents(path: str | os.PathLike[str], most: int = 6) -> str:
    """Return what a file is, for messages: an HDF5 file with its groups."""
    with contextlib.suppress(*HDF5_ERRORS), h5py.File(path, "r") as file:
        names = list(file)
        more = ", …" if len(names) > most else ""
        return f"an HDF5 file with {', '.join(names[:most]) or 'nothing'}{more}"
    return "it is damaged"


def names_in(parent: h5py.Group) -> list[str]:
    """Return the names of what a group contains."""
    names: list[bytes] = []
    parent.id.links.iterate(names.append)
    return [name.decode("utf-8", "surrogateescape") for name in names]


def groups(parent: h5py.Group) -> dict[str, h5py.Group]:
    """Return the groups of a group, by their names."""
    found = {name: group(parent, name) for name in names_in(parent)}
    return {name: node for name, node in found.items() if node is not None}


def group(parent: Any, name: str) -> h5py.Group | None:
    """Return a group of a group; None if it is missing."""
    found = _opened(parent, name)
    return h5py.Group(found) if isinstance(found, h5py.h5g.GroupID) else None


def _opened(parent: Any, name: str) -> Any:
    """Return an object of a group as HDF5 has it; None if it is missing.

    Of the tens that are looked up in a file few become objects of h5py, each of which
    takes longer than what is read of it.
    """
    if not isinstance(parent, h5py.Group):
        return None
    try:
        return h5py.h5o.open(parent.id, name.encode("utf-8", "surrogateescape"))
    except KeyError:
        return None


def _dataset(parent: Any, name: str) -> h5py.h5d.DatasetID | None:
    found = _opened(parent, name)
    return found if isinstance(found, h5py.h5d.DatasetID) else None


def _size(node: h5py.h5d.DatasetID) -> int:
    return 0 if node.shape is None else math.prod(node.shape)


def _has_numbers(node: h5py.h5d.DatasetID) -> bool:
    kind = node.dtype
    plain = kind.kind in "fiu" and h5py.check_enum_dtype(kind) is None
    return plain and node.shape is not None


def _values(found: h5py.h5d.DatasetID | h5py.h5a.AttrID) -> np.ndarray:
    """Read all of a dataset or of an attribute."""
    values = np.zeros(found.shape, found.dtype)
    if isinstance(found, h5py.h5a.AttrID):
        found.read(values)
    else:
        found.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def chosen(found: Mapping[str, h5py.Group], name: str | None) -> h5py.Group:
    """Return the one data set of a file, or of several that of a name.

    Raises
    ------
    QuantityError
        If `name` is needed, or is not one of those of the file.
    """
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    reason = f"the file has {len(found)} data sets" if len(found) > 1 else ""
    return found[choose(name, found, "name", reason=reason)]


def attribute(node: h5py.HLObject, name: str, *, of: str = ".") -> Any:
    """Read a small text or integer attribute; None if it is missing.

    Of a group, or `of` an object in it.

    Raises
    ------
    ValueError
        If it is anything else: long lists and damaged texts crash libraries.
    """
    names = name.encode(), of.encode()
    if not h5py.h5a.exists(node.id, names[0], obj_name=names[1]):
        return None
    found = h5py.h5a.open(node.id, names[0], obj_name=names[1])
    kind = found.get_type()
    is_text = isinstance(kind, h5py.h5t.TypeStringID)
    whole = found.get_storage_size() == kind.get_size() or (
        is_text and kind.is_variable_str()
    )
    listed = len(found.shape or ()) == 1 and found.shape[0] <= 256
    letters = listed and kind.get_size() == 1
    short = found.shape == () and kind.get_size() <= 256 and whole
    plain = short and (is_text or isinstance(kind, h5py.h5t.TypeIntegerID))
    if not plain and not (is_text and letters):
        where = node.name if of == "." else f"{node.name}/{of}"
        raise ValueError(
            f"attribute '{name}' of {where} is neither a short text nor an integer"
        )
    value: Any = _values(found)[()]
    if letters:  # as the first version of histogram wrote a text
        value = b"".join(value.tolist())
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def numbers(
    parent: h5py.Group,
    name: str,
    *,
    shape: tuple[int, ...] | None = None,
    ndim: int | None = None,
    whole: bool = False,
    look: Look = lambda at, part: None,
) -> Any:
    """Read a dataset of numbers as float64, or int64 if `whole`.

    Its declared size is checked first. `look` is called as by `Stored.whole`.

    Raises
    ------
    ValueError
        If it is missing, contains other things than (whole) numbers, has another shape,
        or is declared larger than what the file stores.
    """
    values = _read(_require_numbers(parent, name, shape, ndim), look)
    if not whole:
        return values
    integers = (np.abs(values) < 2**53) & (np.trunc(values) == values)
    check(integers.all(), f"'{name}' contains numbers that are not whole")
    return values.astype(np.int64)


def numbers_of_each(
    parent: h5py.Group, looks: Mapping[str, Look], *, ndim: int
) -> list[np.ndarray]:
    """Read datasets of the same shape as `numbers` does, large ones at the same time.

    Parameters
    ----------
    parent : h5py.Group
    looks : mapping of str to callable
        Names, and what looks at the numbers of each, as for `numbers`.
    ndim : int

    Raises
    ------
    ValueError
        As for `numbers`.
    """
    shape: tuple[int, ...] | None = None
    pieces: list[tuple[h5py.h5d.DatasetID, Look]] = []
    for name, look in looks.items():
        node = _require_numbers(parent, name, shape, ndim)
        shape = node.shape
        pieces.append((node, look))
    if _size(pieces[0][0]) < _WORTH_A_THREAD:
        return [_read(*piece) for piece in pieces]
    return in_threads(lambda piece: _read(*piece), pieces)


def _require_numbers(
    parent: Any, name: str, shape: tuple[int, ...] | None, ndim: int | None
) -> h5py.h5d.DatasetID:
    """Return a dataset if its numbers can be read, for `numbers`."""
    node = _dataset(parent, name)
    if node is None or not _has_numbers(node):
        raise ValueError(f"'{name}' is missing or does not contain numbers")
    _require_own(node)
    _require_unscaled(node)
    found = node.shape
    check(
        shape in (None, found) and ndim in (None, len(found)),
        f"'{name}' has the shape {found}, not {shape or f'{ndim} dimensions'}",
    )
    size, stored = _size(node), node.get_storage_size()
    claimed = size * node.dtype.itemsize
    check(stored or not size, f"'{name}' was declared and never written")
    # 10^5 detectors of 2000 energies fit; large arrays of measured numbers are not
    # compressed by more than 50.
    ratio = MAX_COMPRESSION if claimed <= 2**26 else 50
    check(
        0 < size <= 2**28 and claimed <= ratio * stored,
        f"'{name}' claims the shape {found}, of which {stored} bytes are stored",
    )
    return node


def _read(node: h5py.h5d.DatasetID, look: Look) -> np.ndarray:
    large = node.shape and _size(node) * node.dtype.itemsize > 2**22
    rows = of_hdf5(h5py.Dataset(node), range(node.shape[0])) if large else None
    if rows is not None:
        return rows.whole(look)
    values = np.asarray(_values(node), dtype=float)
    flat = values.reshape(-1)
    for at in range(0, flat.size, PART):
        look(at, flat[at : at + PART])
    return values


def _require_unscaled(node: h5py.h5d.DatasetID) -> None:
    """Refuse attributes by which some programs change numbers when they read them."""
    for name, neutral in _SCALES.items():
        if not h5py.h5a.exists(node, name.encode()):
            continue
        found = h5py.h5a.open(node, name.encode())
        kinds = (h5py.h5t.TypeFloatID, h5py.h5t.TypeIntegerID)
        known = found.shape in ((), (1,)) and isinstance(found.get_type(), kinds)
        check(
            known and np.all(_values(found) == neutral),
            f"'{_name(node)}' has {name}, which is not applied",
        )


def require_own(node: h5py.Dataset) -> None:
    """Refuse a dataset that is in other files.

    Raises
    ------
    ValueError
    """
    _require_own(node.id)


def _require_own(node: h5py.h5d.DatasetID) -> None:
    plan = node.get_create_plist()
    virtual = plan.get_layout() == h5py.h5d.VIRTUAL
    if virtual or plan.get_external_count():
        raise ValueError(f"'{_name(node)}' is stored in other files")


def _name(node: h5py.h5d.DatasetID) -> str:
    return (h5py.h5i.get_name(node) or b"").decode("utf-8", "replace")


def number(parent: h5py.Group, name: str) -> float | None:
    """Read a dataset of one number; None if it is missing, or it is not finite.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if name not in parent:
        return None
    values = numbers(parent, name)
    check(values.size == 1, f"'{name}' has {values.size} numbers, not one")
    value = float(values.reshape(()))
    return value if np.isfinite(value) else None


def flag(parent: h5py.Group, name: str) -> bool | None:
    """Read a dataset of one boolean, or of 0 or 1; None if it is missing.

    NeXus prescribes the former, and Mantid writes the latter.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    node = _dataset(parent, name)
    if node is not None and node.dtype.kind == "b" and _size(node) == 1:
        return bool(_values(node).reshape(()))
    value = number(parent, name)
    check(value in (None, 0.0, 1.0), f"'{name}' is {value}, not 0 or 1")
    return None if value is None else bool(value)


def text(parent: h5py.Group | None, name: str) -> str | None:
    """Read a dataset of one text; None if it is missing, or it is not a text.

    Raises
    ------
    ValueError
        If it claims to be absurdly long.
    """
    node = _dataset(parent, name)
    if node is None or _size(node) != 1:
        return None
    kind = node.get_type()
    if not isinstance(kind, h5py.h5t.TypeStringID):
        return None
    check(
        kind.get_size() <= 2**24, f"'{name}' claims a text of {kind.get_size()} bytes"
    )
    value = _values(node).reshape(-1)[0]
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return value.strip("\x00 \n")


def texts_of(values: Any) -> np.ndarray:
    """Return texts or numbers as texts, without quotes and blanks."""
    flat = np.asarray(values).reshape(-1).tolist()
    found = {}  # of thousands of atoms there are few
    for value in set(flat):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        found[value] = str(text).strip(" '\"\0")
    return np.array([found[value] for value in flat], dtype=str)


def labels_of(node: Any) -> np.ndarray:
    """Return the names of a dataset of texts, of an enumeration, or of numbers."""
    values = np.asarray(node[()])
    names = h5py.check_enum_dtype(node.dtype)
    if names is not None:
        by_number = {number: name for name, number in names.items()}
        values = np.array([by_number.get(n, n) for n in values.reshape(-1).tolist()])
    return texts_of(values)


def units_of(parent: h5py.Group, name: str, canonical: str) -> str:
    """Return the units of a dataset, written Kelvin or DEGREES too."""
    units = str(attribute(parent, "units", of=name) or "").strip() or canonical
    return units.lower() if len(units) > 4 and units.isalpha() else units
