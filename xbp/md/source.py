"""Bytes of a file, plain or compressed, read in place.

Nothing is unpacked to the disk.
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import os
import stat
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xbp.core.errors import FileFormatError, MissingDependencyError

__all__ = ["BLOCK", "Lines", "Source", "open_source", "release", "require_modest"]

#: Bytes that are read, or unpacked, at a time.
BLOCK: Final = 2**22
#: Blocks of one compressed file that stay in memory: neighboring tasks read them in any
#: order.
_BLOCKS_KEPT = 16
#: Blocks between the places from which a gzip file can be unpacked again.
_BLOCKS_BETWEEN = 16
#: Blocks that a frame of a compressed file may have however small that file is.
_BLOCKS_FREE = 16
#: Compressed files that are read at a time.
_STREAMS_KEPT = 4
_READ = 2**18
_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True)
class Source:
    """A file whose uncompressed bytes are read by their place.

    Attributes
    ----------
    path : Path
        The user's file.
    packing : str
        ``"gzip"``, ``"bzip2"``, ``"xz"``, ``"zstd"``, or empty for a plain file.
    keep_part : bool
        Whether a compressed file that is cut short ends there, or is refused.
    """

    path: Path
    packing: str
    keep_part: bool

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, fewer where the file ends.

        Raises
        ------
        FileFormatError
            If the file cannot be read or unpacked.
        """
        try:
            if not self.packing:
                with self.path.open("rb") as stream:
                    stream.seek(begin)
                    return stream.read(end - begin)
            return _stream_of(self).read(begin, end)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            packed = (
                f"cannot be unpacked ({self.packing})"
                if self.packing
                else "cannot be read"
            )
            raise FileFormatError(
                f"{self.path} {packed}",
                reason=str(error) or type(error).__name__,
                fix="it is damaged or cut short: copy it again, or truncated='drop' "
                "to read the complete part",
            ) from error

    def blocks(self) -> Iterator[bytes]:
        """Yield the file from its begin to its end."""
        at = 0
        while block := self.read(at, at + BLOCK):
            yield block
            at += len(block)

    def whole(self) -> bytes:
        """Return all bytes of a file that is one frame.

        a compressed one has a bound.
        """
        parts, size = [], 0
        for block in self.blocks():
            parts.append(block)
            size += len(block)
            require_modest(self, size)
        return b"".join(parts)

    @property
    def packed_size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size


def open_source(path: Path, *, keep_part: bool = False) -> Source:
    """Look at a file and tell how it is compressed.

    Raises
    ------
    FileFormatError
        If it is no regular file, or cannot be read.
    MissingDependencyError
        If this Python cannot unpack it.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = (
                "FIFO"
                if stat.S_ISFIFO(mode)
                else "folder"
                if stat.S_ISDIR(mode)
                else "device or socket"
            )
            raise FileFormatError(
                f"{path} is a {kind}",
                reason="a trajectory must be a regular file, which can be read "
                "repeatedly",
            )
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read", reason=str(error)) from error
    packing = next(
        (name for magic, name in _MAGIC.items() if head.startswith(magic)), ""
    )
    if packing == "zstd":
        _zstd(path)
    return Source(path, packing, keep_part)


def require_modest(source: Source, size: int, expansion: float = 50.0) -> None:
    """Refuse a frame of a compressed file that would fill the memory.

    Parameters
    ----------
    source : Source
    size : int
        Bytes of the frame, unpacked.
    expansion : float
        How much larger than the compressed file it may be: text of atoms shrinks 2 to
        20 times.
    """
    if source.packing and size > max(
        _BLOCKS_FREE * BLOCK, expansion * source.packed_size
    ):
        raise FileFormatError(
            f"{source.path}: one frame is {size} bytes or more, but the compressed "
            f"file only {source.packed_size}",
            reason="the file is damaged, or is a decompression bomb",
            fix="if the file is valid, decompress it yourself first",
        )


def release(source: Source) -> None:
    """Forget what is kept of a compressed file."""
    with _lock:
        for key in [key for key in _streams if key[0] == source.path]:
            del _streams[key]


def _zstd(path: Path) -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingDependencyError(
        f"{path} is compressed with zstd",
        reason="this Python cannot read it (needs compression.zstd, from 3.14, or "
        "backports.zstd)",
        fix="pip install backports.zstd; or unpack it with unzstd, or use gzip",
    )


def _decompressor(source: Source) -> Any:
    if source.packing == "gzip":
        return zlib.decompressobj(wbits=31)
    if source.packing == "bzip2":
        return bz2.BZ2Decompressor()
    if source.packing == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    return _zstd(source.path).ZstdDecompressor()


@dataclass
class _Place:
    """Where the unpacking of a file stands.

    What is read next, what waits, and the state of the unpacker.
    """

    offset: int
    waiting: bytes
    unpacker: Any
    begun: bool


class _Stream:
    """A compressed file that is unpacked block by block, forward.

    The last blocks stay.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._place = _Place(0, b"", _decompressor(source), begun=False)
        self._next = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._marks: dict[int, _Place] = {}

    def read(self, begin: int, end: int) -> bytes:
        parts = []
        for number in range(begin // BLOCK, -(-end // BLOCK)):
            block = self._block(number)
            parts.append(block[max(0, begin - number * BLOCK) : end - number * BLOCK])
            if len(block) < BLOCK:
                break
        return b"".join(parts)

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number in self._blocks:
                self._blocks.move_to_end(number)
                return self._blocks[number]
            if number < self._next:
                self._back_to(number)
            while self._next <= number:
                self._mark()
                block = self._unpacked()
                self._blocks[self._next] = block
                self._next += 1
                if len(self._blocks) > _BLOCKS_KEPT:
                    self._blocks.popitem(last=False)
                if len(block) < BLOCK:
                    break
            return self._blocks.get(number, b"")

    def _mark(self) -> None:
        """Keep the state of the unpacker at some blocks; only gzip's can be copied."""
        if (
            self._source.packing == "gzip"
            and self._next % _BLOCKS_BETWEEN == 0
            and self._next not in self._marks
        ):
            here = self._place
            self._marks[self._next] = _Place(
                here.offset, here.waiting, here.unpacker.copy(), here.begun
            )

    def _back_to(self, number: int) -> None:
        before = [mark for mark in self._marks if mark <= number]
        if before:
            self._next = max(before)
            kept = self._marks[self._next]
            self._place = _Place(
                kept.offset, kept.waiting, kept.unpacker.copy(), kept.begun
            )
        else:
            self._next, self._place = (
                0,
                _Place(0, b"", _decompressor(self._source), begun=False),
            )

    def _unpacked(self) -> bytes:
        """Unpack the next block; it is short where the file ends."""
        out = bytearray()
        place = self._place
        with self._source.path.open("rb") as stream:
            stream.seek(place.offset)
            while len(out) < BLOCK:
                if place.unpacker.eof:
                    # A file may be several compressed ones in a row; what fills it up
                    # at its end is nothing.
                    rest = (place.unpacker.unused_data or place.waiting).lstrip(b"\0")
                    place.waiting = b""
                    if not rest:
                        rest = stream.read(_READ).lstrip(b"\0")
                        place.offset = stream.tell()
                    if not rest.strip() and len(rest) < _READ:
                        break
                    place.unpacker, place.waiting, place.begun = (
                        _decompressor(self._source),
                        rest,
                        False,
                    )
                wants = getattr(place.unpacker, "needs_input", True)
                if wants and not place.waiting:
                    place.waiting = stream.read(_READ)
                    place.offset = stream.tell()
                    if not place.waiting:
                        if self._source.keep_part:
                            break
                        raise EOFError("the compressed data are cut off")
                try:
                    part = place.unpacker.decompress(
                        place.waiting if wants else b"", BLOCK - len(out)
                    )
                except Exception as error:
                    if (
                        self._source.packing == "zstd"
                    ):  # its module has an error of its own
                        raise OSError(str(error)) from error
                    raise
                if wants:
                    place.waiting = getattr(place.unpacker, "unconsumed_tail", b"")
                place.begun = True
                out += part
        return bytes(out)


_lock = threading.Lock()
_streams: OrderedDict[tuple[Path, int, int, bool], _Stream] = OrderedDict()


def _stream_of(source: Source) -> _Stream:
    """Return the stream of a file; one that was written anew is another."""
    status = os.stat(source.path)
    key = (source.path, status.st_mtime_ns, status.st_size, source.keep_part)
    with _lock:
        if key not in _streams:
            _streams[key] = _Stream(source)
        _streams.move_to_end(key)
        while len(_streams) > _STREAMS_KEPT:
            _streams.popitem(last=False)
        return _streams[key]


class Lines:
    r"""Lines of a source, one after the other, with their places.

    Parameters
    ----------
    source : Source
    longest : int
        Bytes of a line beyond which a file is no text.
    expansion : float
        How much larger than its compressed file a single frame may be.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a")
    ...     _ = path.write_text("one\ntwo\nthree")
    ...     lines = Lines(open_source(path))
    ...     lines.next(), lines.skip(1), lines.at, lines.next(), lines.next()
    (b'one\n', 1, 8, b'three', b'')
    """

    def __init__(
        self, source: Source, longest: int = 2**16, expansion: float = 50.0
    ) -> None:
        self._source, self._longest = source, longest
        self._block, self._first, self._here, self._began = b"", 0, 0, 0
        #: False once a file was read to its end and its last line does not end: a
        #: number may be cut short.
        self.ended = True
        self._most = max(_BLOCKS_FREE * BLOCK, expansion * source.packed_size)

    @property
    def at(self) -> int:
        """Place of the next line."""
        return self._first + self._here

    def next(self) -> bytes:
        """Return the next line with its end; empty at the end of the file."""
        stop = self._block.find(b"\n", self._here)
        if stop < 0 and not self._more():
            line, self._here = self._block[self._here :], len(self._block)
            self._require_short(len(line))
            return line
        stop = self._block.find(b"\n", self._here) if stop < 0 else stop
        if stop < 0:
            return self.next()
        self._require_short(stop - self._here)
        line, self._here = self._block[self._here : stop + 1], stop + 1
        return line

    def skip(self, count: int) -> int:
        """Pass over so many lines; return how many there were."""
        passed = 0
        find, block, here = self._block.find, self._block, self._here
        while passed < count:
            stop = find(b"\n", here)
            if stop < 0:
                self._here = here
                if not self._more():
                    rest = len(self._block) - self._here
                    self._require_short(rest)
                    self._here, self.ended = len(self._block), not rest
                    return passed + bool(rest)
                find, block, here = self._block.find, self._block, self._here
                continue
            here = stop + 1
            passed += 1
        assert block is self._block
        self._here = here
        return passed

    def _more(self) -> bool:
        rest = self._block[self._here :]
        self._require_short(len(rest))
        self._first += self._here
        if self._source.packing and self._first - self._began > self._most:
            require_modest(self._source, self._first - self._began)
        block = self._source.read(
            self._first + len(rest), self._first + len(rest) + BLOCK
        )
        self._block, self._here = rest + block, 0
        return bool(block)

    def _require_short(self, length: int) -> None:
        if length > self._longest:
            raise FileFormatError(
                f"{self._source.path}: the line at byte {self.at} is longer than "
                f"{self._longest} bytes",
                reason="the file is not text, or is damaged",
            )

    def begin_frame(self) -> None:
        """Say that a frame begins here: a compressed one has a bound."""
        self._began = self.at

    def only_blank(self) -> bool:
        """Pass over the rest of the file and tell whether it is blank."""
        while line := self.next():
            if line.strip():
                return False
        return True
