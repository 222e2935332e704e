"""Check the header of a classic netCDF file before the netCDF library opens it.

a damaged header crashes it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

__all__ = ["MAGIC", "require_classic"]

#: How the three kinds begin: with 32-bit places, with 64-bit places, and with 64-bit
#: sizes too.
MAGIC: Final = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
#: Bytes of a number of each type: byte, char, short, int, float, double; the last five
#: of the third kind alone.
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
#: No header of data is longer.
_MAX_HEADER: Final = 2**26


class _Header:
    """The bytes of a header, taken one part after another."""

    def __init__(self, content: bytes, version: int) -> None:
        self._content, self._at, self._version = content, 4, version

    def whole(self, n_bytes: int) -> int:
        self._need(n_bytes)
        self._at += n_bytes
        return int.from_bytes(self._content[self._at - n_bytes : self._at], "big")

    def count(self) -> int:
        """Return a length; it is not more than the bytes that are left, each part taking one at least."""
        number = self.whole(8 if self._version == 5 else 4)
        if number > len(self._content):
            raise ValueError(f"its header declares a list of {number} entries")
        return number

    def size(self) -> int:
        return self.whole(8 if self._version == 5 else 4)

    def place(self) -> int:
        return self.whole(4 if self._version == 1 else 8)

    def skip(self, n_bytes: int) -> bytes:
        """Return some bytes; they are filled up to four."""
        padded = -(-n_bytes // 4) * 4
        self._need(padded)
        self._at += padded
        return self._content[self._at - padded : self._at - padded + n_bytes]

    def name(self) -> bytes:
        name = self.skip(self.count())
        if not name or b"\x00" in name:
            raise ValueError("its header contains an invalid name")
        name.decode("utf-8")
        return name

    def kind(self) -> int:
        kind = self.whole(4)
        if kind not in _BYTES or (kind > 6 and self._version != 5):
            raise ValueError(f"its header contains numbers of the unknown type {kind}")
        return kind

    def entries(self, tag: int) -> int:
        """Return how many entries a list has."""
        found, number = self.whole(4), self.count()
        if (found, number) != (0, 0) and found != tag:
            raise ValueError(
                "its header is not a list of dimensions, attributes and variables"
            )
        return number

    def attributes(self) -> None:
        names = set()
        for _ in range(self.entries(_ATTRIBUTES)):
            names.add(self.name())
            kind, number = self.kind(), self.count()
            self.skip(number * _BYTES[kind])

    def _need(self, n_bytes: int) -> None:
        if self._at + n_bytes > len(self._content):
            raise ValueError("its header ends too early")


def require_classic(path: Path) -> None:
    """Check the header of a classic netCDF file against the length of the file.

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
        content = stream.read(_MAX_HEADER)
    header = _Header(content, content[3])
    n_records = header.size()
    sizes, names = [], set()
    for _ in range(header.entries(_DIMENSIONS)):
        names.add(header.name())
        sizes.append(header.size())
    if len(names) < len(sizes) or sizes.count(0) > 1:
        raise ValueError(
            "two of its dimensions have the same name, or are both unlimited"
        )
    header.attributes()
    variables, record = set(), 0
    n_variables = header.entries(_VARIABLES)
    for _ in range(n_variables):
        variables.add(header.name())
        dims = [header.size() for _ in range(header.count())]
        if any(dim >= len(sizes) for dim in dims) or any(
            sizes[dim] == 0 for dim in dims[1:]
        ):
            raise ValueError("one of its variables has a dimension that does not exist")
        header.attributes()
        width = _BYTES[header.kind()]
        header.size()  # of the variable, which follows from its dimensions
        begin = header.place()
        of_records = bool(dims) and sizes[dims[0]] == 0
        n_bytes = math.prod(sizes[dim] for dim in dims[of_records:]) * width
        record += n_bytes if of_records else 0
        if begin > length or (not of_records and begin + n_bytes > length):
            raise ValueError("one of its variables is declared larger than the file")
    if len(variables) < n_variables:
        raise ValueError("two of its variables have the same name")
    streaming = 2 ** (64 if content[3] == 5 else 32) - 1
    if n_records != streaming and n_records * record > length:
        raise ValueError(
            f"it declares {n_records} records, more than the file contains"
        )
