"""The folder of an unfinished run.

Begun as a whole, continued, or removed, and nothing else in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xbp.core.errors import FileFormatError, SimulationError
from xbp.io.publish import new_folder

__all__ = ["begin", "digest", "fingerprint", "remove", "saved_state"]

#: What a run writes; a folder with anything else is not removed.
_FILES = (
    "cell.json", "frames.f32", "job.json", "lock", "restart.a", "restart.b", "start.f64", "state.json",
    "state.json.part", "thermo.f64", "trajectory.nc", "types.i32",
)  # fmt: skip


def begin(
    folder: Path,
    job: dict[str, Any],
    start: np.ndarray,
    types: np.ndarray,
    potential: Path | None,
    *,
    anew: bool,
) -> None:
    """Make the folder of a run, or find the one that the same call left.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; it appears once it is complete.
    job : dict
        What the run depends on, as JSON gives it back.
    start, types : numpy.ndarray
        Coordinates (and velocities) and types of the atoms.
    potential : pathlib.Path, optional
        Its file, which is copied: LAMMPS takes no paths with blanks or quotes.
    anew : bool
        Forget a run that was begun.

    Raises
    ------
    FileFormatError
        If the folder holds other files than those of a run, or cannot be written.
    SimulationError
        If it holds a run of another call, or one that a process is at work on.
    """
    inputs = {
        "start.f64": start.astype(float).tobytes(),
        "types.i32": types.astype(np.int32).tobytes(),
    }
    if potential is not None:
        inputs[job["potential"]["file"]] = _contents(potential)
    if folder.is_symlink() or folder.exists():
        _require_run(folder)
        begun = None if anew else _read(folder / "job.json")
        if begun is None:
            # Asked for, or a kill or a full disk left no description of the run.
            remove(folder)
        elif begun != job:
            raise SimulationError(
                f"{folder.name} contains an unfinished run with another "
                + ", ".join(key for key in job if begun.get(key) != job[key]),
                reason="continuing it would mix two different runs",
                fix="repeat the call that started it, or pass overwrite=True",
            )
    if not folder.exists():
        with new_folder(folder, overwrite=False, replaceable=lambda _: "it exists") as (
            temporary,
            _,
        ):
            temporary.mkdir()
            for name, content in inputs.items():
                (temporary / name).write_bytes(content)
            (temporary / "job.json").write_text(json.dumps(job))
        return
    for name, content in inputs.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def remove(folder: Path) -> None:
    """Remove the files of a run, and the folder if it holds nothing else.

    Raises
    ------
    SimulationError
        If a process is at work on it.
    """
    with _at_rest(folder):
        for path in folder.iterdir():
            if _is_own(path.name):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _require_run(folder: Path) -> None:
    """Refuse a folder that holds anything but a run."""
    foreign = None if folder.is_dir() else folder.name
    if foreign is None and not folder.is_symlink():
        foreign = next(
            (
                p.name
                for p in sorted(folder.iterdir())
                if p.is_dir() or not _is_own(p.name)
            ),
            None,
        )
        if foreign is None:
            return
    raise FileFormatError(
        f"{folder} is in the way",
        reason=f"it contains {foreign}, which belongs to no run",
        fix="move it, or choose another out=",
    )


def _is_own(name: str) -> bool:
    return name in _FILES or name.split(".")[0] == "potential"


@contextlib.contextmanager
def _at_rest(folder: Path) -> Iterator[None]:
    """Hold the lock that a worker holds as long as it lives."""
    lock = folder / "lock"
    if not lock.exists():
        yield
        return
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SimulationError(
                f"another process is using {folder.name}",
                fix="wait, stop it, or choose another out=",
            ) from None
        yield


def _read(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where there is none, or a part of one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read", reason=error.strerror or str(error)
        ) from error


def fingerprint(path: Path) -> dict[str, str]:
    """Describe the file of a potential by its content.

    Name, SHA-256, and the name it has in the folder of a run.
    """
    kind = path.suffix if path.suffix[1:].isalnum() and path.suffix.isascii() else ""
    return {
        "name": path.name,
        "sha256": hashlib.sha256(_contents(path)).hexdigest(),
        "file": f"potential{kind}",
    }


def saved_state(
    folder: Path, sizes: Callable[[Mapping[str, Any]], dict[str, int]]
) -> dict[str, Any] | None:
    """Return the last state of a run whose files are all there as a whole, or None."""
    last = _read(folder / "state.json")
    for state in (last, (last or {}).get("previous")):
        if isinstance(state, dict) and _is_whole(folder, state, sizes):
            return state
    return None


def _is_whole(
    folder: Path,
    state: Mapping[str, Any],
    sizes: Callable[[Mapping[str, Any]], dict[str, int]],
) -> bool:
    try:
        if not all(
            isinstance(state[key], int)
            for key in ("stage", "done", "step", "frames", "thermo")
        ):
            return False
        if any(
            size and (folder / name).stat().st_size < size
            for name, size in sizes(state).items()
        ):
            return False
        return bool(digest(folder / state["restart"]) == state["digest"])
    except (OSError, KeyError, TypeError):
        return False


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
