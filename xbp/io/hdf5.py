"""Safe reading of HDF5 that may be damaged, also before netCDF opens it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np

from xbp.core.guards import choose
from xbp.io.stored import PART, Look, of_hdf5
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = [
    "HDF5_ERRORS",
    "HDF5_SIGNATURE",
    "attribute",
    "chosen",
    "contents",
    "flag",
    "group",
    "labels_of",
    "number",
    "numbers",
    "open_hdf5",
    "require_netcdf",
    "require_own",
    "require_stored",
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
#: The best ratio that deflate can reach.
_MAX_COMPRESSION = 1032

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
    with h5py.File(path, "r") as file:
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


def group(parent: Any, name: str) -> h5py.Group | None:
    """Return a group of a group; None if it is missing."""
    node = parent.get(name) if isinstance(parent, h5py.Group) else None
    return node if isinstance(node, h5py.Group) else None


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


def attribute(node: h5py.HLObject, name: str) -> Any:
    """Read a small text or integer attribute; None if it is missing.

    Raises
    ------
    ValueError
        If it is anything else: long lists and damaged texts crash libraries.
    """
    if name not in node.attrs:
        return None
    found = node.attrs.get_id(name)
    kind = found.get_type()
    is_text = isinstance(kind, h5py.h5t.TypeStringID)
    whole = found.get_storage_size() == kind.get_size() or (
        is_text and kind.is_variable_str()
    )
    letters = len(found.shape) == 1 and kind.get_size() == 1 and found.shape[0] <= 256
    short = found.shape == () and kind.get_size() <= 256 and whole
    check(
        (short and (is_text or isinstance(kind, h5py.h5t.TypeIntegerID)))
        or (is_text and letters),
        f"attribute '{name}' of {node.name} is neither a short text nor an integer",
    )
    if letters:  # as the first version of histogram wrote a text
        return b"".join(np.asarray(node.attrs[name]).tolist()).decode(
            "utf-8", "replace"
        )
    value = node.attrs[name]
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
    node: Any = parent.get(name) if isinstance(parent, h5py.Group) else None
    check(
        isinstance(node, h5py.Dataset)
        and node.dtype.kind in "fiu"
        and not h5py.check_enum_dtype(node.dtype),
        f"'{name}' is missing or does not contain numbers",
    )
    require_own(node)
    _require_unscaled(node)
    check(
        shape in (None, node.shape) and ndim in (None, node.ndim),
        f"'{name}' has the shape {node.shape}, not {shape or f'{ndim} dimensions'}",
    )
    stored = node.id.get_storage_size()
    claimed = node.size * node.dtype.itemsize
    check(stored or not node.size, f"'{name}' was declared and never written")
    # 10^5 detectors of 2000 energies fit; large arrays of measured numbers are not
    # compressed by more than 50.
    ratio = _MAX_COMPRESSION if claimed <= 2**26 else 50
    check(
        0 < node.size <= 2**28 and claimed <= ratio * stored,
        f"'{name}' claims the shape {node.shape}, of which {stored} bytes are stored",
    )
    stored = of_hdf5(node, range(len(node))) if claimed > 2**22 and node.ndim else None
    if stored is not None:
        values = stored.whole(look)
    else:
        values = np.asarray(node[()], dtype=float)
        flat = values.reshape(-1)
        for at in range(0, flat.size, PART):
            look(at, flat[at : at + PART])
    if not whole:
        return values
    integers = (np.abs(values) < 2**53) & (np.trunc(values) == values)
    check(integers.all(), f"'{name}' contains numbers that are not whole")
    return values.astype(np.int64)


def _require_unscaled(node: h5py.Dataset) -> None:
    """Refuse attributes by which some programs change numbers when they read them."""
    for name, neutral in _SCALES.items():
        if name not in node.attrs:
            continue
        found = node.attrs.get_id(name)
        kinds = (h5py.h5t.TypeFloatID, h5py.h5t.TypeIntegerID)
        known = found.shape in ((), (1,)) and isinstance(found.get_type(), kinds)
        value = node.attrs[name] if known else np.nan
        check(
            np.all(value == neutral),
            f"'{node.name}' has {name}, which is not applied",
        )


def require_own(node: h5py.Dataset) -> None:
    """Refuse a dataset that is in other files.

    Raises
    ------
    ValueError
    """
    check(
        not (node.is_virtual or node.external),
        f"'{node.name}' is stored in other files",
    )


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
    node = parent.get(name) if isinstance(parent, h5py.Group) else None
    if isinstance(node, h5py.Dataset) and node.dtype.kind == "b" and node.size == 1:
        return bool(np.asarray(node[()]).reshape(()))
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
    node = parent.get(name) if isinstance(parent, h5py.Group) else None
    if not isinstance(node, h5py.Dataset) or node.size != 1:
        return None
    kind = node.id.get_type()
    if not isinstance(kind, h5py.h5t.TypeStringID):
        return None
    check(
        kind.get_size() <= 2**24, f"'{name}' claims a text of {kind.get_size()} bytes"
    )
    value = np.asarray(node[()]).reshape(-1)[0]
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
    units = str(attribute(parent[name], "units") or "").strip() or canonical
    return units.lower() if len(units) > 4 and units.isalpha() else units


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
            claimed <= max(2**20, _MAX_COMPRESSION * stored),
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
        claimed <= max(2**26, _MAX_COMPRESSION * stored),
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
