"""The header of a classic netCDF file: checked, and where its numbers are."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np

from xbp.io.text import check

__all__ = ["ClassicHeader", "ClassicVariable", "classic_header"]

#: Types of the format, by their numbers; the last five only in its third kind.
_TYPES: Final = dict(
    enumerate(
        ["i1", "S1", ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8"],
        start=1,
    )
)


class ClassicVariable(NamedTuple):
    """Where the numbers of a variable are in a file.

    Attributes
    ----------
    dtype : numpy.dtype
    shape : tuple of int
        Without the dimension of the records.
    begin : int
        Byte of the first number.
    step : int or None
        Bytes from one record to the next; None for a variable without records.
    dims : tuple of str
        With the dimension of the records.
    attributes : dict
        Texts, numbers, and arrays of several numbers.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    step: int | None
    dims: tuple[str, ...]
    attributes: dict[str, Any]


class ClassicHeader(NamedTuple):
    """What a file has.

    Attributes
    ----------
    dimensions : dict of str to int
        Their sizes; that of the records is how many there are.
    attributes : dict
        Of the file.
    variables : dict of str to ClassicVariable
    """

    dimensions: dict[str, int]
    attributes: dict[str, Any]
    variables: dict[str, ClassicVariable]


def classic_header(path: Path) -> ClassicHeader:
    """Return the header of a file, after a check against its length.

    A damaged one crashes the netCDF library.

    Raises
    ------
    ValueError
        If it is damaged.

    References
    ----------
    The NetCDF Classic Format Specification,
    https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html

    Examples
    --------
    >>> import tempfile, scipy.io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.nc")
    ...     with scipy.io.netcdf_file(path, "w") as file:
    ...         file.createDimension("x", 3)
    ...         file.createVariable("y", "f8", ("x",))[:] = 1.0
    ...     classic_header(path).variables["y"].shape
    (3,)
    """
    status = path.stat()
    return _header(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _header(path: Path, length: int, *_version: int) -> ClassicHeader:
    with path.open("rb") as stream:
        return _read(stream, length)


def _read(stream: IO[bytes], length: int) -> ClassicHeader:
    limit = min(length, 2**26)  # no header is longer
    version, at = stream.read(4)[3], 4
    wide = 8 if version == 5 else 4

    def take(n_bytes: int) -> bytes:
        nonlocal at
        at += n_bytes
        check(at <= limit, "its header ends too early")
        return stream.read(n_bytes)

    def whole(n_bytes: int = wide) -> int:
        return int.from_bytes(take(n_bytes), "big")

    def padded(size: int = 1) -> bytes:
        """Return a list of entries, padded to a multiple of four bytes."""
        n_bytes = whole() * size
        return take(-(-n_bytes // 4) * 4)[:n_bytes]

    def name() -> str:
        found = padded().decode()
        check(found and "\0" not in found, "its header contains an invalid name")
        return found

    def kind() -> np.dtype:
        number = whole(4)
        known = number in _TYPES and (number <= 6 or version == 5)
        check(known, f"its header contains the unknown type {number}")
        return np.dtype(_TYPES[number])

    def entries(tag: int) -> range:
        found, number = whole(4), whole()
        right = found == tag or (found, number) == (0, 0)
        check(right and number <= limit, "its header has an invalid list")
        return range(number)

    def attributes() -> dict[str, Any]:
        found = dict[str, Any]()
        for _ in entries(12):
            own, dtype = name(), kind()
            content = padded(dtype.itemsize)
            if dtype.kind == "S":
                found[own] = content.decode("utf-8", "replace").replace("\0", "")
            else:
                values = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
                found[own] = values[0] if values.size == 1 else values
        return found

    n_records = whole()
    dimensions = entries(10)
    sizes = {name(): whole() for _ in dimensions}
    lengths, names = list(sizes.values()), list(sizes)
    fits = len(sizes) == len(dimensions) and lengths.count(0) <= 1
    check(fits, "two dimensions have one name or are unlimited")
    of_file = attributes()
    found: dict[str, ClassicVariable] = {}
    records, variables = dict[str, int](), entries(11)
    for _ in variables:
        own, n_dims = name(), whole()
        check(n_dims <= limit, "its header has an invalid list")
        dims = [whole() for _ in range(n_dims)]
        fits = all(d < len(lengths) for d in dims) and all(lengths[d] for d in dims[1:])
        check(fits, "a variable has a dimension that does not exist")
        own_attributes, dtype = attributes(), kind()
        whole()  # the size of the variable, which follows from its dimensions
        begin = whole(4 if version == 1 else 8)
        of_records = bool(dims) and lengths[dims[0]] == 0
        shape = tuple(lengths[d] for d in dims[of_records:])
        n_bytes = math.prod(shape) * dtype.itemsize
        if of_records:
            records[own] = n_bytes
        check(begin + n_bytes * (not of_records) <= length, "a variable is too large")
        labels = tuple(names[d] for d in dims), own_attributes
        found[own] = ClassicVariable(dtype, shape, begin, None, *labels)
    check(len(found) == len(variables), "two variables have one name")
    streaming = n_records == 2 ** (8 * wide) - 1
    check(
        streaming or n_records * sum(records.values()) <= length,
        f"it declares {n_records} records, more than the file contains",
    )
    # Each is padded to a multiple of four bytes, unless it is the only one.
    each = [-(-n // 4) * 4 for n in records.values()]
    step = sum(each if len(each) > 1 else records.values())
    found |= {n: found[n]._replace(step=step) for n in records}
    if streaming:  # it was still being written
        first = min((found[n].begin for n in records), default=length)
        n_records = (length - first) // step if step else 0
    sizes = {n: size or n_records for n, size in sizes.items()}
    return ClassicHeader(sizes, of_file, found)
