"""Bytes of a file, plain or compressed, read in place; lines and frames of text."""

from __future__ import annotations

import bz2
import contextlib
import importlib
import lzma
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from xbp.core.errors import (
    MAYBE_DAMAGED,
    FileFormatError,
    MissingDependencyError,
    XbpError,
)
from xbp.io.spelling import ends_whole

__all__ = [
    "BLOCK",
    "Header",
    "Lines",
    "Source",
    "index_frames",
    "open_source",
    "reading",
    "release",
    "require_file",
    "require_modest",
]

#: Bytes that are read, or unpacked, at a time.
BLOCK: Final = 2**22
#: Blocks of a compressed file that stay in memory, for tasks in another order; as many
#: lie between places from which gzip is unpacked again; a frame of them is harmless.
_BLOCKS: Final = 16
_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def require_file(
    ok: bool, where: object, problem: str, *, fix: str = MAYBE_DAMAGED
) -> None:
    """Refuse a file that is damaged, or of another kind, unless `ok`."""
    if not ok:
        raise FileFormatError(f"{where}: {problem}", fix=fix)


@contextlib.contextmanager
def reading(
    where: object, fix: str = MAYBE_DAMAGED, problem: str = "cannot be read"
) -> Iterator[None]:
    """Turn whatever Python or a library raises on damaged contents into our error."""
    try:
        yield
    except XbpError:
        raise
    except Exception as error:  # MemoryError, too: of absurd sizes that a file declares
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = f"{kind}{error}".partition("\n")[0][:200]
        raise FileFormatError(f"{where} {problem}", reason=reason, fix=fix) from error


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
        Whether of a file that is cut short the whole frames are read, or none.
    """

    path: Path
    packing: str = ""
    keep_part: bool = False

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, fewer where the file ends.

        Raises
        ------
        FileFormatError
            If the file cannot be read or unpacked.
        """
        verb = f"unpacked ({self.packing})" if self.packing else "read"
        fix = "copy it again, or truncated='drop' for its whole part"
        with reading(self.path, fix, f"cannot be {verb}"):
            if self.packing:
                return _stream_of(self).read(begin, end)
            with self.path.open("rb") as stream:
                stream.seek(begin)
                return stream.read(end - begin)

    def blocks(self) -> Iterator[bytes]:
        """Yield the file from its beginning to its end."""
        at = 0
        while block := self.read(at, at + BLOCK):
            yield block
            at += len(block)

    def whole(self) -> bytes:
        """Return all bytes of a file that is one frame."""
        parts, size = [], 0
        for block in self.blocks():
            parts.append(block)
            size += len(block)
            require_modest(self, size)
        return b"".join(parts)


def open_source(path: Path, *, keep_part: bool = False) -> Source:
    """Find out how a file is compressed.

    Raises
    ------
    FileFormatError
        If it is not a regular file, or cannot be read.
    MissingDependencyError
        If this Python cannot unpack it.
    """
    require_file(
        path.is_file(), path, "not a regular file", fix="name a file that can be reread"
    )
    head = Source(path).read(0, 8)
    packing = next(
        (name for magic, name in _MAGIC.items() if head.startswith(magic)), ""
    )
    if packing == "zstd":
        _zstd(path)
    return Source(path, packing, keep_part)


def require_modest(source: Source, size: float, expansion: float = 50.0) -> None:
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
    if not source.packing or size <= _BLOCKS * BLOCK:
        return
    packed = source.path.stat().st_size
    require_file(
        size <= expansion * packed,
        source.path,
        f"a frame of {size:.3g} bytes or more in a compressed file of {packed}: "
        "damaged, or a decompression bomb",
        fix="decompress it yourself if it is valid",
    )


def release(source: Source) -> None:
    """Forget what is kept of a compressed file."""
    with _lock:
        for key in [key for key in _streams if key[0] == source.path]:
            del _streams[key]


def _zstd(path: Path) -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise MissingDependencyError(
        f"this Python cannot read zstd ({path})",
        fix="pip install backports.zstd, or unpack the file",
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
    """State of unpacking: next byte to read, bytes that wait, and the unpacker."""

    offset: int
    waiting: bytes
    unpacker: Any

    def copy(self) -> _Place:
        return _Place(self.offset, self.waiting, self.unpacker.copy())


class _Stream:
    """A compressed file, unpacked forward block by block; the last blocks are kept.

    Their buffers are used again: threads that free them would leave memory in pieces.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._lock = source, threading.Lock()
        self._place, self._next = self._begin(), 0
        self._blocks: OrderedDict[int, memoryview] = OrderedDict()
        self._marks: dict[int, _Place] = {}

    def read(self, begin: int, end: int) -> bytes:
        parts = []
        with self._lock:
            for n in range(begin // BLOCK, -(-end // BLOCK)):
                block = self._block(n)
                parts.append(bytes(block[max(0, begin - n * BLOCK) : end - n * BLOCK]))
                if len(block) < BLOCK:
                    break
        return b"".join(parts)

    def _block(self, number: int) -> memoryview:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        if number < self._next:
            known = [mark for mark in self._marks if mark <= number]
            self._next = max(known, default=0)
            self._place = self._marks[self._next].copy() if known else self._begin()
        while self._next <= number:
            # Only the state of gzip's unpacker can be copied.
            if self._source.packing == "gzip" and self._next % _BLOCKS == 0:
                self._marks.setdefault(self._next, self._place.copy())
            buffer: Any = bytearray(BLOCK)
            if len(self._blocks) == _BLOCKS:
                buffer = self._blocks.popitem(last=False)[1].obj
            block = memoryview(buffer)
            block = block[: self._unpack(block)]
            self._blocks[self._next] = block
            self._next += 1
            if len(block) < BLOCK:
                break
        return self._blocks.get(number, memoryview(b""))

    def _begin(self) -> _Place:
        return _Place(0, b"", _decompressor(self._source))

    def _unpack(self, block: memoryview) -> int:
        """Unpack the next block; return its size, less where the file ends."""
        done, place, step = 0, self._place, 2**18
        with self._source.path.open("rb") as stream:
            stream.seek(place.offset)
            while done < len(block):
                if place.unpacker.eof:
                    # A file may be several compressed ones in a row, filled up with
                    # zeros at the end.
                    rest = (place.unpacker.unused_data or place.waiting).lstrip(b"\0")
                    place.waiting = b""
                    if not rest:
                        rest = stream.read(step).lstrip(b"\0")
                        place.offset = stream.tell()
                    if not rest.strip() and len(rest) < step:
                        break
                    place.unpacker, place.waiting = _decompressor(self._source), rest
                wants = getattr(place.unpacker, "needs_input", True)
                if wants and not place.waiting:
                    place.waiting = stream.read(step)
                    place.offset = stream.tell()
                    if not place.waiting:
                        if self._source.keep_part:
                            break
                        raise EOFError("the compressed data are cut off")
                packed = place.waiting if wants else b""
                part = place.unpacker.decompress(packed, min(step, len(block) - done))
                block[done : done + len(part)] = part
                done += len(part)
                if wants:
                    place.waiting = getattr(place.unpacker, "unconsumed_tail", b"")
        return done


_lock = threading.Lock()
_streams: OrderedDict[tuple[Path, int, int, bool], _Stream] = OrderedDict()


def _stream_of(source: Source, kept: int = 4) -> _Stream:
    """Return the stream of a file; a file written anew has another."""
    status = os.stat(source.path)
    key = (source.path, status.st_mtime_ns, status.st_size, source.keep_part)
    with _lock:
        if key not in _streams:
            _streams[key] = _Stream(source)
        _streams.move_to_end(key)
        while len(_streams) > kept:
            _streams.popitem(last=False)
        return _streams[key]


class Lines:
    r"""Lines of a source, one after the other, with their places.

    Parameters
    ----------
    source : Source
    longest : int
        Bytes of a line beyond which a file is not text.

    Attributes
    ----------
    finished : bool
        The end of the file was reached.
    ended : bool
        False if the last line of the file, already read, has no line end: a number in
        it may be cut short.

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

    def __init__(self, source: Source, longest: int = 2**16) -> None:
        self.source, self._longest = source, longest
        self._block, self._first, self._frame, self._line = b"", 0, 0, 0
        self._ends: np.ndarray = np.empty(0, dtype=int)
        self.finished, self.ended = False, True

    @property
    def _here(self) -> int:
        return int(self._ends[self._line - 1]) if self._line else 0

    @property
    def at(self) -> int:
        """Place of the next line."""
        return self._first + self._here

    def next(self) -> bytes:
        """Return the next line with its end; empty at the end of the file."""
        if self._line < self._ends.size or self._load():
            begin = self._here
            self._line += 1
            return self._block[begin : self._here]
        rest, self._block = self._block, b""
        self._first += len(rest)
        self.ended = self.ended and not rest
        return rest

    def skip(self, count: int) -> int:
        """Pass over `count` lines; return how many there were."""
        passed = 0
        while passed < count:
            if self._line == self._ends.size and not self._load():
                return passed + bool(self.next())
            step = min(count - passed, self._ends.size - self._line)
            self._line += step
            passed += step
        return passed

    def _load(self) -> bool:
        """Read on until there is a whole line; return whether there is one."""
        rest = self._block[self._here :]
        self._first, self._line = self._first + self._here, 0
        more = b"-"
        self._ends = np.empty(0, dtype=int)
        while more and not self._ends.size:
            require_modest(self.source, self._first - self._frame)
            at = self._first + len(rest)
            more = self.source.read(at, at + BLOCK)
            rest += more
            ends = np.flatnonzero(np.frombuffer(rest, np.uint8) == 10).astype(np.int32)
            self._ends = ends + 1
            first, last = self._ends[[0, -1]] if self._ends.size else (0, 0)
            longest = max(first, len(rest) - last, np.diff(self._ends).max(initial=0))
            require_file(
                longest <= self._longest,
                self.source.path,
                f"a line after byte {self._first} is longer than {self._longest} bytes",
                fix="check that it is a text file",
            )
        self._block, self.finished = rest, not more
        return bool(self._ends.size)

    def begin_frame(self) -> None:
        """Count what follows as one frame: that of a compressed file has a bound."""
        self._frame = self.at

    def first_of_frame(self) -> bytes:
        """Return the first line of a frame; empty if only blank lines are left."""
        self.begin_frame()
        line = self.next()
        if line.strip():
            return line
        more = bool(line)
        while True:  # block by block: blank lines may be millions
            blank = not self._block[self._here :].strip()
            require_file(blank, self.source.path, "text follows a blank line")
            if not more:
                return b""
            self._line = self._ends.size
            more = self._load()


@dataclass(frozen=True, slots=True)
class Header:
    """What precedes the rows of a frame in a text file, and where they are.

    Attributes
    ----------
    n_rows : int
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, in the units of the file.
    shared : dict
        What all frames must have in common, by name.
    step, time : float or None
        MD step and time, in the units of the file.
    origin : numpy.ndarray, shape (3,), or 0
        Corner of the cell.
    info : dict
        Anything else.
    begin, end : int
        Place of the rows, in bytes.
    """

    n_rows: int
    cell: np.ndarray
    shared: dict[str, Any]
    step: float | None = None
    time: float | None = None
    origin: Any = 0.0
    info: dict[str, Any] = field(default_factory=dict)
    begin: int = 0
    end: int = 0


def index_frames(lines: Lines, begin: Callable[[str], Header | None]) -> list[Header]:
    """Find the frames of a text file.

    Parameters
    ----------
    lines : Lines
        From the first frame on.
    begin : callable
        Reads the next header, or None at the end; its argument is for messages.

    Damage, frames that differ, a last frame cut short (unless wanted): all are errors.
    """
    path = lines.source.path
    found: list[Header] = []
    while True:
        where = f"{path}, frame {len(found)}"
        try:
            with reading(where):
                head = begin(where)
            if head is None:
                break
            require_modest(lines.source, 2 * head.n_rows)
            head = replace(head, begin=head.begin or lines.at)
            whole = lines.skip(head.n_rows) == head.n_rows
            rows = b"" if lines.ended else lines.source.read(head.begin, lines.at)
            whole = whole and (lines.ended or ends_whole(rows, alone=not found))
        except FileFormatError:
            if not lines.finished:
                raise
            whole = False
        if not whole and lines.source.keep_part and found:
            break
        drop = f"truncated='drop' opens the {len(found)} whole frames"
        drop += "; or end its last line" * (not lines.ended)
        fix = drop if found else MAYBE_DAMAGED
        require_file(whole, path, f"it is cut short in frame {len(found)}", fix=fix)
        assert head is not None
        before = found[-1] if found else head
        for name, value in head.shared.items():
            problem = f"{name} changed from {before.shared[name]} to {value}"
            same = value == before.shared[name]
            require_file(same, where, problem, fix="split the file")
        # What frames have in common is kept once: a file may have millions of them.
        cell = before.cell if np.array_equal(before.cell, head.cell) else head.cell
        found.append(replace(head, end=lines.at, cell=cell, shared=before.shared))
    require_file(bool(found), path, "it has no frames")
    return found
