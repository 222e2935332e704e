"""Files that appear when they are complete: an interrupted write leaves no half file and loses no old one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from xbp.errors import FileFormatError

__all__ = ["new_file"]


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[tuple[str, Path]]:
    """Give a temporary file beside its place, which is renamed once the block has ended well.

    Parameters
    ----------
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    temporary : str
        What to write.
    target : Path
        What it will be.

    Raises
    ------
    FileFormatError
        If the file exists and `overwrite` is not given, its folder does not exist, or it cannot be written.
    """
    try:
        target = Path(path).resolve()  # a link stays a link to the new file
        is_folder = target.is_dir()
    except (TypeError, ValueError, OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise FileFormatError(f"{path!r} is no path", reason=str(error), fix="give a file's path as text") from error
    if is_folder or not target.parent.is_dir():
        raise FileFormatError(
            f"cannot write {target}",
            reason="it is a folder" if is_folder else f"the folder {target.parent} does not exist",
            fix="name a file in a folder that exists",
        )
    temporary = None
    try:
        if target.exists() and not target.is_file():
            raise FileFormatError(f"cannot write {target}", reason="it is a device or a pipe", fix="name a file")
        if target.exists() and not overwrite:
            raise _exists(target)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".xbp.", suffix=".part")
        os.close(handle)
        yield temporary, target
        _give_permissions(temporary, target)
        if overwrite:
            os.replace(temporary, target)
        else:
            _publish(temporary, target)
    except OSError as error:
        # Not its text, which would name the temporary file.
        raise FileFormatError(
            f"cannot write {target}",
            reason=error.strerror or str(error),
            fix="see that you may write there, that there is room on the disk, and that the name is not too long",
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _publish(temporary: str, target: Path) -> None:
    """Rename without replacing: a file that came into being meanwhile is not lost either."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:
        # No hard links on this file system.
        if target.exists():
            raise _exists(target) from None
        os.replace(temporary, target)


def _exists(target: Path) -> FileFormatError:
    return FileFormatError(
        f"{target} exists", reason="it would be replaced", fix="choose another name, or say overwrite=True"
    )


def _give_permissions(path: str, target: Path) -> None:
    """Give a temporary file the mode of the file it replaces, or that of any new file."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~umask)
