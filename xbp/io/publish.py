"""Atomic writing of files and folders.

An interrupted write leaves no partial file and keeps the old one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from xbp.core.errors import FileFormatError, XbpError

__all__ = [
    "check_target",
    "make_folder",
    "new_file",
    "new_folder",
    "remove_leftovers",
    "reported",
]

#: Bytes that must still fit for a failed write not to be blamed on a full disk.
_ROOM = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Flags of Linux's renameat2.
_NO_REPLACE, _EXCHANGE = 1, 2
_AT_CWD = -100
_PART = re.compile(r"\.xbp-(?P<host>.+)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}\.part")


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
        if overwrite:
            os.replace(temporary, target)
        else:
            _publish(temporary, target)


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
        if not overwrite:
            _publish(temporary, target)
        elif not target.is_dir():
            if temporary.is_dir() and target.exists():
                _exchange(temporary, target, hidden)
            else:
                os.replace(temporary, target)
        else:
            reason = replaceable(target)  # it may have changed meanwhile
            if reason:
                raise _refused(target, reason)
            _exchange(temporary, target, hidden)


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
    if overwrite is not True and overwrite is not False:
        raise FileFormatError(f"overwrite={overwrite!r:.80} is neither True nor False")
    try:
        target = Path(os.fsdecode(path)).resolve()
        is_folder, exists, is_file = target.is_dir(), target.exists(), target.is_file()
        has_place = target.parent.is_dir()
    except OSError as error:
        raise _unwritable(path, error) from error
    except (TypeError, ValueError, RuntimeError) as error:  # links in a circle
        raise _invalid(path, error) from error
    reason = None
    if not has_place:
        reason = f"the folder {target.parent} does not exist"
    elif is_folder and replaceable is None:
        reason = "it is a folder"
    elif exists and not is_file and not is_folder:
        reason = "it is a device or a pipe"
    elif exists and not overwrite:
        raise _exists(target)
    elif is_folder and replaceable is not None:
        reason = replaceable(target)
    if exists and not reason and not os.access(target, os.W_OK):
        reason = "it is write-protected"
    if reason:
        raise _refused(target, reason)
    return target


def make_folder(path: str | bytes | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, where they do not exist.

    Raises
    ------
    FileFormatError
        If it is not a valid path, or cannot be made.
    """
    try:
        folder = Path(os.fsdecode(path))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise _unwritable(path, error) from error
        raise FileFormatError(
            f"{error.strerror or error}: {os.fsdecode(path)}",
            reason="the folder cannot be made",
            fix="choose another folder, or check its write permissions",
        ) from error
    except (TypeError, ValueError) as error:
        raise _invalid(path, error) from error
    return folder


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that no longer run on this machine.

    a store set aside is put back.
    """
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
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Yield a hidden name beside a target, report a full disk, and clean up."""
    remove_leftovers(target.parent)
    temporary = _hidden_name(target.parent)
    try:
        yield temporary
    except Exception as error:
        full = _full_disk(error, target.parent)
        if full:
            raise OSError(full, os.strerror(full)) from error
        raise
    finally:
        if os.path.lexists(temporary):
            _discard(temporary)


def _full_disk(error: BaseException, folder: Path) -> int:
    """Return the number of the system's error if a full disk is behind one, else 0."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return int(cause.errno)
        cause = cause.__cause__
    if isinstance(error, XbpError) and error.__cause__ is None:
        return 0  # it is about the data
    # netCDF, HDF5 and numpy do not report a full disk: it is full if no further file
    # has room on it.
    probe = _hidden_name(folder)
    try:
        handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            left = memoryview(os.urandom(_ROOM))
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
            os.unlink(probe)
    except OSError as error:
        return int(error.errno) if error.errno in (*_FULL, errno.EFBIG) else 0
    return 0


@contextlib.contextmanager
def reported(target: Path) -> Iterator[None]:
    """Turn errors of the system into those of xbp, with the name of the target."""
    try:
        yield
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(path: object, error: OSError) -> FileFormatError:
    if error.errno in _FULL:
        return FileFormatError(
            f"disk full: cannot write {path}",
            reason=error.strerror or str(error),
            fix="free some disk space, or choose another folder",
        )
    return FileFormatError(
        f"cannot write {path}",
        reason=error.strerror or str(error),
        fix="check the write permissions there, and that the name is not too long",
    )


def _invalid(path: object, error: Exception) -> FileFormatError:
    return FileFormatError(f"{path!r} is not a valid path", reason=str(error))


def _exists(target: Path) -> FileFormatError:
    return FileFormatError(
        f"{target} exists",
        reason="it would be replaced",
        fix="choose another name, or pass overwrite=True",
    )


def _refused(target: Path, reason: str) -> FileFormatError:
    return FileFormatError(
        f"cannot write {target}", reason=reason, fix="choose another name"
    )


def _publish(temporary: Path, target: Path) -> None:
    """Rename without replacing: what came into being meanwhile is not lost either."""
    try:
        if _rename(temporary, target, _NO_REPLACE):
            return
        if temporary.is_dir():
            # Onto a folder that is not empty this fails.
            if os.path.lexists(target):
                raise FileExistsError
            os.rename(temporary, target)
            return
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        if error.errno in (*_FULL, errno.ENAMETOOLONG, errno.EACCES, errno.ENOENT):
            raise
        # No hard links on this file system.
        if os.path.lexists(target):
            raise _exists(target) from None
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
    call = (
        getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if sys.platform == "linux"
        else None
    )
    if call is None:
        return False
    done = call(_AT_CWD, os.fsencode(source), _AT_CWD, os.fsencode(target), flag)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(target))


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
