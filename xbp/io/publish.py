"""Atomic writing of files and folders.

An interrupted write leaves no partial file and keeps the old one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import GeneratorType
from typing import Any

from xbp.core.errors import FileFormatError, XbpError
from xbp.core.guards import require_flag

__all__ = [
    "check_target",
    "make_folder",
    "new_file",
    "new_folder",
    "remove_leftovers",
    "reported",
    "several",
    "to_path",
]

#: Bytes that must still fit for a failed write not to be blamed on a full disk.
_ROOM = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Flags of Linux's renameat2.
_NO_REPLACE, _EXCHANGE = 1, 2
_AT_CWD = -100
_PART = re.compile(r"\.xbp-(?P<host>.+)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}\.part")
_EXISTS = "it exists"
_INVALID = OSError, TypeError, ValueError


@contextlib.contextmanager
def new_file(
    path: str | bytes | os.PathLike[str], *, overwrite: bool
) -> Iterator[tuple[str, Path]]:
    """Yield a temporary file, which is renamed once the block has succeeded.

    Temporary files that killed processes of this machine left in the folder are
    removed.

    Parameters
    ----------
    path : path-like
        Where to. A link stays a link to the new file.
    overwrite : bool
        Replace an existing file; a folder, a device, a pipe and a write-protected file
        are never replaced.

    Yields
    ------
    temporary : str
        What to write.
    target : Path
        What it will be.

    Raises
    ------
    FileFormatError
        If the file exists and `overwrite` is not given, its folder does not exist, or
        it cannot be written.
    """
    target = check_target(path, overwrite=overwrite)
    with reported(target), _temporary(target) as temporary:
        # Not by tempfile: its files are for their owner alone, whatever the umask.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield str(temporary), target
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        (os.replace if overwrite else _publish)(temporary, target)


@contextlib.contextmanager
def new_folder(
    path: str | bytes | os.PathLike[str],
    *,
    overwrite: bool,
    replaceable: Callable[[Path], str | None],
) -> Iterator[tuple[Path, Path]]:
    """Yield a path for a new file or folder, moved once the block has succeeded.

    Old and new change places in one step where the system can do that, so that one
    whole of them is there whatever interrupts. Where it cannot, the old one is put back
    on an error, and by the next writer after a kill.

    Parameters
    ----------
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file, or a folder that is `replaceable`.
    replaceable : callable
        Given a folder, returns why it must not be replaced, or None.

    Yields
    ------
    temporary : Path
        What to make.
    target : Path
        What it will be.

    Raises
    ------
    FileFormatError
        As for `new_file`.
    """
    target = check_target(path, overwrite=overwrite, replaceable=replaceable)
    with reported(target), _temporary(target) as hidden:
        hidden.mkdir()
        temporary = hidden / target.name
        yield temporary, target
        if temporary.is_file() and target.is_file():
            temporary.chmod(target.stat().st_mode & 0o777)
        if not overwrite:
            _publish(temporary, target)
        elif target.is_dir() or (temporary.is_dir() and target.exists()):
            # It may have changed meanwhile.
            check_target(target, overwrite=True, replaceable=replaceable)
            _exchange(temporary, target, hidden)
        else:
            os.replace(temporary, target)


def check_target(
    path: str | bytes | os.PathLike[str],
    *,
    overwrite: bool,
    replaceable: Callable[[Path], str | None] | None = None,
) -> Path:
    """Return where a path leads, if a file may be written there.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether a regular file there may be replaced.
    replaceable : callable, optional
        Given a folder, returns why it must not be replaced, or None; without it no
        folder may be.

    Raises
    ------
    FileFormatError
        If it is not a valid path, its folder does not exist, something is there that
        may not be replaced, or `overwrite` is False and anything does.
    """
    require_flag(overwrite, "overwrite")
    with reported(path, (*_INVALID, RuntimeError)):  # links in a circle
        target = Path(os.fsdecode(path)).resolve()
        is_folder, exists = target.is_dir(), target.exists()
        is_file, has_place = target.is_file(), target.parent.is_dir()
    reason = None
    if not has_place:
        reason = f"the folder {target.parent} does not exist"
    elif is_folder and replaceable is None:
        reason = "it is a folder"
    elif exists and not is_file and not is_folder:
        reason = "it is a device or a pipe"
    elif exists and not overwrite:
        reason = _EXISTS
    elif is_folder and replaceable is not None:
        reason = replaceable(target)
    if exists and not reason and not os.access(target, os.W_OK):
        reason = "it is write-protected"
    if reason:
        raise _refusal(target, reason)
    return target


def make_folder(path: str | bytes | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, where they do not exist.

    Raises
    ------
    FileFormatError
        If it is not a valid path, or cannot be made.
    """
    with reported(path, _INVALID):
        folder = Path(os.fsdecode(path))
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of writers that no longer run on this machine."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _PART.fullmatch(entry.name)
            if (
                found
                and found["host"] == _host()
                and not _is_running(int(found["pid"]), int(found["start"]))
            ):
                _discard(Path(entry.path))


def _discard(part: Path) -> None:
    """Remove a temporary file or folder.

    An old store in it goes back to its place if that is empty.
    """
    with contextlib.suppress(OSError):
        if part.is_symlink() or not part.is_dir():
            part.unlink()
            return
        for old in part.glob("old/*"):
            place = part.parent / old.name
            if not os.path.lexists(place):
                os.rename(old, place)
        remove_tree(part)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also while other threads end what they write into it."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(0.02)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Yield a hidden name beside a target, report a full disk, and clean up."""
    remove_leftovers(target.parent)
    temporary = _hidden_name(target.parent)
    try:
        yield temporary
    except Exception as error:
        if full := _full_disk(error, target.parent):
            raise OSError(full, os.strerror(full)) from error
        raise
    finally:
        if os.path.lexists(temporary):
            _discard(temporary)


def _full_disk(error: BaseException, folder: Path) -> int:
    """Return the system's number of the error if the disk is full, else 0."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return int(cause.errno)
        cause = cause.__cause__
    if isinstance(error, XbpError | FileExistsError) and error.__cause__ is None:
        return 0  # it is about the data
    # netCDF, HDF5 and numpy do not report a full disk: try to write further bytes.
    probe = _hidden_name(folder)
    try:
        with contextlib.ExitStack() as stack, open(probe, "xb", buffering=0) as stream:
            stack.callback(os.unlink, probe)
            left = memoryview(os.urandom(_ROOM))
            while left:
                left = left[stream.write(left) :]
    except OSError as failed:
        return int(failed.errno or 0) if failed.errno in (*_FULL, errno.EFBIG) else 0
    return 0


@contextlib.contextmanager
def reported(
    path: object, kinds: tuple[type[Exception], ...] = (OSError,)
) -> Iterator[None]:
    """Turn errors of the system, or of other kinds, into a FileFormatError."""
    try:
        yield
    except kinds as error:
        exists = isinstance(error, FileExistsError)
        full = isinstance(error, OSError) and error.errno in _FULL
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(path, _EXISTS if exists else reason, full=full) from error


def _refusal(path: object, reason: str, *, full: bool = False) -> FileFormatError:
    """Return the error for a path that cannot be written."""
    if reason == _EXISTS:
        fix = "choose another name, or pass overwrite=True"
        return FileFormatError(f"{path} exists", fix=fix)
    what = f"{'disk full: ' * full}cannot write {path}"
    fix = "free some disk space" if full else "choose another name or folder"
    return FileFormatError(what, reason=reason, fix=fix)


def _publish(temporary: Path, target: Path) -> None:
    """Rename without replacing what came into being meanwhile."""
    if _rename(temporary, target, _NO_REPLACE):
        return
    if not temporary.is_dir():
        try:
            return os.link(temporary, target)
        except OSError as error:
            known = errno.EEXIST, errno.ENAMETOOLONG, errno.EACCES, errno.ENOENT
            if error.errno in (*_FULL, *known):
                raise
    # A folder, or a file system without hard links.
    if os.path.lexists(target):
        raise FileExistsError
    os.rename(temporary, target)


def _exchange(temporary: Path, target: Path, hidden: Path) -> None:
    """Let the new take the place of the old, which is left in the hidden folder."""
    if _rename(temporary, target, _EXCHANGE):
        return
    old = hidden / "old" / target.name
    old.parent.mkdir()
    os.rename(target, old)
    try:
        os.rename(temporary, target)
    except BaseException:
        if not os.path.lexists(target):
            os.rename(old, target)
        raise


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Rename with a flag of Linux; False where the system or the file system cannot."""
    is_linux = sys.platform == "linux"
    library = ctypes.CDLL(None, use_errno=True) if is_linux else None
    call = getattr(library, "renameat2", None)
    if call is None:
        return False
    done = call(_AT_CWD, os.fsencode(source), _AT_CWD, os.fsencode(target), flag)
    number = 0 if done == 0 else ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    if number:
        raise OSError(number, os.strerror(number), str(target))
    return True


def _hidden_name(folder: Path) -> Path:
    """Return a name with machine, process and its start, for `remove_leftovers`."""
    pid = os.getpid()
    return folder / f".xbp-{_host()}-{pid}-{_start_of(pid)}-{secrets.token_hex(4)}.part"


def _host() -> str:
    """Name this machine, and the name space of its process numbers.

    Containers count their own.
    """
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{re.sub(r'[^A-Za-z0-9.]', '_', socket.gethostname())[:64]}.{space}"


def _start_of(pid: int) -> int:
    """Return the start of a process in ticks, 0 if not known, -1 for a dead one."""
    try:
        # The name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return -1 if fields[0] == b"Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return 0


def _is_running(pid: int, start: int) -> bool:
    """Whether that process still runs.

    Its number may have been given to another one, which started later.
    """
    now = _start_of(pid)
    if now != 0:
        return now == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # of another user
    return True


def several(path: Any) -> list[Path] | None:
    """Return the files of a list of paths, or of a pattern such as "run*.nxspe".

    None for anything else: for one path, and for a file whose name has an asterisk.

    Examples
    --------
    >>> several(["a.nxspe", "b.nxspe"]), several("a.nxspe"), several("no_such_*.nc")
    ([PosixPath('a.nxspe'), PosixPath('b.nxspe')], None, [])
    """
    if isinstance(path, list | tuple | set | GeneratorType | map):
        every = list(path)
        names = every and all(isinstance(one, str | os.PathLike) for one in every)
        return [Path(one) for one in every] if names else None
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    if not isinstance(text, str) or not glob.has_magic(text) or os.path.lexists(text):
        return None
    with contextlib.suppress(ValueError):  # a null byte, which no file has
        return sorted(map(Path, glob.glob(text)))
    return None


def to_path(path: Any, *, exists: bool = False) -> Path:
    """Return a path; with `exists`, that of a file.

    A list of one path, and a pattern that one file matches, are that path.

    Raises
    ------
    FileFormatError
        If it is something else, such as several paths.

    Examples
    --------
    >>> to_path("glass.nc").suffix, to_path(["glass.nc"]).suffix
    ('.nc', '.nc')
    >>> to_path(["a.nxspe", "b.nxspe"])
    Traceback (most recent call last):
        ...
    xbp.core.errors.FileFormatError: 2 files, where one is opened at a time: ...
      fix:  runs = [xbp.open_dataset(path) for path in paths]; if they have the same ...
    """
    if (found := several(path)) is not None:
        path = _the_only(path, found)
    try:
        where = Path(path)
        missing = not where.is_file() and exists  # asked in any case: a long name fails
    except (TypeError, ValueError, OSError) as error:
        raise FileFormatError(
            f"{path!r} is not a path", reason=str(error), fix="path='sample.nxspe'"
        ) from error
    if missing:
        if where.is_dir():
            raise FileFormatError(f"{where} is a folder", fix="name a file in it")
        problem = "is not a file" if where.exists() else "does not exist"
        raise FileFormatError(f"{where} {problem}", fix="check the spelling")
    return where


def _the_only(given: Any, found: list[Path]) -> Path:
    """Return the one path of a list or pattern, or raise an error with what to type."""
    if len(found) == 1:
        return found[0]
    is_pattern = isinstance(given, str | os.PathLike)
    if not found:
        raise FileFormatError(f"no file matches {str(given)!r}", fix="check the folder")
    names = ", ".join(one.name for one in found[:3]) + ", …" * (len(found) > 3)
    paths = f"sorted(glob.glob({str(given)!r}))" if is_pattern else "paths"
    raise FileFormatError(
        f"{len(found)} files, where one is opened at a time: {names}",
        fix=f"runs = [xbp.open_dataset(path) for path in {paths}]; if they have the "
        "same Q and E, xarray.concat(runs, 'temperature')",
    )
