"""Files for HDF5 whose heaps of texts and lists are checked when it reads them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import lazy_loader

from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["checked_file"]

_HEAP: Final = b"GCOL\x01\0\0\0"
#: Bytes of the head of a heap, and of each of its objects.
_HEAD: Final = 16


class _Stream(io.FileIO):
    """A file whose reader is told of a damaged heap before it reads one.

    HDF5 (2.0.0) goes through the objects of a heap by their sizes, and never ends where
    damage leaves one without any: no signal stops it.
    """

    size_of_lengths = 8

    def readinto(self, buffer: Any, /) -> int | None:
        at = self.tell()
        n = super().readinto(buffer)
        if bytes(buffer[: len(_HEAP)]) == _HEAP:
            self._require_ends(at)
        return n

    def _require_ends(self, at: int) -> None:
        """Check that the objects of a heap lead to its end."""
        self.seek(at)
        size = self._length(self.read(_HEAD), 8)
        left = os.fstat(self.fileno()).st_size - at
        check(size <= left, f"a heap claims {size} bytes, of which {left} are there")
        self.seek(at)
        heap, place = self.read(size), _HEAD
        while size - place >= _HEAD:
            own = self._length(heap[place : place + _HEAD], 8)
            # Object 0 is what is free, its head included.
            is_free = heap[place : place + 2] == b"\0\0"
            step = own if is_free else _HEAD + -(-own // 8) * 8
            check(_HEAD <= step <= size - place, "a heap of its texts is damaged")
            place += step

    def _length(self, head: bytes, at: int) -> int:
        return int.from_bytes(head[at : at + self.size_of_lengths], "little")


@contextlib.contextmanager
def checked_file(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file for reading; a damaged heap is a ValueError when it is read."""
    with _Stream(os.fspath(path)) as stream:
        plan = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        plan.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
        plan.set_fileobj_driver(h5py.h5fd.fileobj_driver, stream)
        found = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, plan)
        with h5py.File(found) as file:
            stream.size_of_lengths = found.get_create_plist().get_sizes()[1]
            yield file
