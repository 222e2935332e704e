"""Long analyses of trajectories: what they will cost, and going on with them later."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.index import MODULES
from xbp.core.operation import find_operation, operation
from xbp.md.moments import Moments
from xbp.md.run import changed_tasks, delayed, require_dask

__all__ = ["Cost", "checkpoint", "estimate"]

#: Seconds that are timed well enough, whatever else a machine does.
_LONG = 1.0


@dataclass(frozen=True)
class Cost:
    """What an analysis will take.

    Attributes
    ----------
    time : float
        Wall time, s.
    memory : float
        What the process needs beyond what it has already, GB; NaN on a cluster, whose
        workers have their own, and where the system is not Linux.
    n_tasks : int
        Pieces of the trajectory that are computed apart.
    n_workers : int
        How many at a time.
    """

    time: float
    memory: float
    n_tasks: int
    n_workers: int

    def __str__(self) -> str:
        """Write it in a line."""
        seconds, unit = self.time, "s"
        for size, larger in ((60, "min"), (60, "h"), (24, "days")):
            if seconds < 2 * size:
                break
            seconds, unit = seconds / size, larger
        memory = "" if np.isnan(self.memory) else f", {self.memory:.2g} GB"
        return (
            f"about {seconds:.2g} {unit}{memory}: {self.n_tasks} tasks, "
            f"{self.n_workers} at a time"
        )


@operation(takes="trajectory", step=1)
def estimate(data: xr.Dataset, analysis: str, **arguments: Any) -> Cost:
    """Estimate what an analysis of a trajectory will cost, from a few of its tasks.

    A task takes some neighbouring segments of the trajectory. For each of N workers the
    first one is done once to warm up, then one and two more are timed, and where this
    takes less than a second four, eight, …: by the difference of the last and the first
    of these times what all tasks share is told from the rest. Shorter analyses are
    timed as a whole. Of `local_fields`, which are lazy, all fields are estimated.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory.
    analysis : str
        Name of a method, such as "dynamic_structure_factor".
    **arguments
        Its arguments.

    Returns
    -------
    Cost
        Wall ``time`` (s), ``memory`` (GB) beyond what the process has, ``n_tasks`` and
        ``n_workers``; printed, a line of text.

    Raises
    ------
    QuantityError
        If no method of trajectories has that name.
    XbpError
        As the method.

    Notes
    -----
    On a machine that does other things too, both vary. Compare `time` with a first run
    of minutes before planning one of days.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     50, 400, cell=20, T=300, mass=40, time_step="20 fs", rng=1)
    >>> cost = gas.bp.estimate("structure_factor", Q_max="3 1/angstrom")
    >>> cost.time < 60, cost.n_tasks > 1
    (True, True)
    """
    method = getattr(data.bp, _checked(analysis))
    survey = _Survey(_workers())
    with changed_tasks(survey.sampled), _MemoryWatch() as watch:
        begin = time.perf_counter()
        lazy = _lazy_parts(method(**arguments))
        if lazy:
            survey.sampled(lazy, str)
        elapsed = time.perf_counter() - begin
    memory = np.nan if _cluster() is not None else watch.peak / 1e9
    whole = elapsed - survey.spent + survey.whole
    return Cost(whole, memory, survey.n_tasks, survey.n_workers)


def _checked(name: str) -> str:
    if name in MODULES["data"]:
        found = find_operation("data", name)
        if "trajectory" in found.takes and found.gives:
            return name
    raise QuantityError(
        f"no analysis of trajectories is called {name!r}",
        fix='traj.bp.estimate("dynamic_structure_factor", Q_max=4)',
    )


def _lazy_parts(answer: xr.Dataset | xr.DataTree) -> list[Any]:
    """Return the tasks of an answer that is still to be computed, by parts in time."""
    arrays = [v.data for v in answer.variables.values() if hasattr(v.data, "dask")]
    # Not optimized one by one: what makes several of them is computed once.
    parts = [array.to_delayed(optimize_graph=False).ravel() for array in arrays]
    return list(zip(*parts, strict=True))


def _cluster() -> Any:
    if "distributed" in sys.modules:
        with contextlib.suppress(ValueError):
            return sys.modules["distributed"].get_client()
    return None


def _workers() -> int:
    """Return how many tasks are computed at a time."""
    dask = require_dask()
    client = _cluster()
    if client is not None:
        return max(1, int(sum(client.ncores().values())))
    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        return 1
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)


class _Survey:
    """A few of the tasks instead of all, timed.

    Attributes
    ----------
    spent, whole : float
        Seconds that the tasks took, and that all would have taken.
    n_tasks, n_workers : int
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self.n_tasks = 0
        self.spent = self.whole = 0.0

    def sampled(self, parts: list[Any], _: Callable[[], str]) -> list[Any]:
        """Compute some tasks, and return their answers."""
        n, at_once = len(parts), self.n_workers
        self.n_tasks += n
        if n <= 5 * at_once:
            answers, seconds = self._timed(parts)
            self.whole += seconds
            return answers
        answers, _warming = self._timed(parts[:at_once])
        second, one = self._timed(parts[at_once : 2 * at_once])
        answers += second
        rounds, last = 1, one
        # Twice as many each time, until a time is long or a third of them is done.
        while rounds == 1 or (
            last < _LONG and len(answers) + 2 * rounds * at_once <= n / 3
        ):
            rounds *= 2
            begin = len(answers)
            more, last = self._timed(parts[begin : begin + rounds * at_once])
            answers += more
        # What tasks share is computed once in each: at most all of `one`.
        each = max((last - one) / (rounds - 1), last / (2 * rounds))
        self.whole += one + each * (n / at_once - 1)
        return answers

    def _timed(self, parts: list[Any]) -> tuple[list[Any], float]:
        begin = time.perf_counter()
        answers = list(require_dask().compute(*parts))
        seconds = time.perf_counter() - begin
        self.spent += seconds
        return answers, seconds


class _MemoryWatch:
    """The largest memory of this process while it runs, beyond that at its begin."""

    def __enter__(self) -> _MemoryWatch:
        self._begin = _resident()
        self.peak = 0.0 * self._begin
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self.peak = max(self.peak, _resident() - self._begin)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _resident() -> float:
    """Return the memory of this process in bytes; NaN if the system is not Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, IndexError, ValueError):
        return np.nan


@contextlib.contextmanager
def checkpoint(folder: str | Path) -> Iterator[None]:
    """Keep what is finished of analyses of trajectories, and go on with it later.

    Every task of an analysis in the block leaves its answer in a file. The same call
    on the same trajectory, after an interruption, reads these and computes the rest;
    the result is the same to rounding.

    Parameters
    ----------
    folder : str or path
        Where the answers are kept; all workers of a cluster must see it. It is made if
        it does not exist, and may be deleted when the analysis is done.

    Raises
    ------
    FileFormatError
        If it cannot be made, or written.

    Notes
    -----
    A call is known by its arguments, the version of xbp, the box, atoms and all times
    of the trajectory, and the positions and velocities of its first, middle and last
    frames.

    Examples
    --------
    >>> import tempfile, xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     50, 400, cell=20, T=300, mass=40, time_step="20 fs", rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with xbp.md.checkpoint(folder):
    ...         first = gas.bp.structure_factor("3 1/angstrom")
    ...         again = gas.bp.structure_factor("3 1/angstrom")  # reads them
    >>> bool((first.Sq == again.Sq).all())
    True
    """
    root = _made(Path(folder))

    def kept(parts: list[Any], token: Callable[[], str]) -> list[Any]:
        own = _made(root / token())
        files = [own / f"{i:06d}.npz" for i in range(len(parts))]
        return [
            delayed(_read)(file) if _is_whole(file) else delayed(_write)(part, file)
            for part, file in zip(parts, files, strict=True)
        ]

    with changed_tasks(kept):
        yield


_TABLES = tuple(field.name for field in fields(Moments) if "dict" in str(field.type))


def _made(folder: Path) -> Path:
    """Make a folder, unless it is there."""
    with _writing(f"the folder {folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _writing(what: str) -> Iterator[None]:
    """Say what could not be written, and why."""
    try:
        yield
    except OSError as error:
        raise FileFormatError(
            f"{what}: {error.strerror}", fix='xbp.md.checkpoint("another/folder")'
        ) from error


def _is_whole(file: Path) -> bool:
    """Return whether an answer is there, as it was written."""
    try:
        with zipfile.ZipFile(file) as kept:
            return kept.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _write(answer: Any, file: Path) -> Any:
    """Keep the answer of a task, a whole file or none, and pass it on."""
    named: dict[str, Any] = {}
    if isinstance(answer, Moments):
        named["n"] = answer.n
        for table in _TABLES:
            own = getattr(answer, table)
            named |= {f"{table}/{key}": value for key, value in own.items()}
    else:
        named = {f"sum/{key}": value for key, value in answer.items()}
    part = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    with _writing(f"{file} cannot be written"):
        try:
            with part.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **named)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return answer


def _read(file: Path) -> Any:
    """Return the answer that `_write` kept."""
    with np.load(file, allow_pickle=False) as kept:
        named = {key: kept[key] for key in kept.files}
    tables: dict[str, Any] = {}
    n = named.pop("n", None)
    for key, value in named.items():
        table, _, name = key.partition("/")
        tables.setdefault(table, {})[name] = value
    if n is None:
        return tables["sum"]
    return Moments(int(n), **tables)
