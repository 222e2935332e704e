"""Segments of a trajectory as dask tasks, and the moments of their results."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import VERSION, require
from xbp.md.block import ATOM_BYTES, BLOCK_BYTES, Later
from xbp.md.moments import Moments, std_of_mean
from xbp.md.trajectory import Block, Trajectory

__all__ = [
    "Segments",
    "add_up",
    "average",
    "blocks",
    "changed_tasks",
    "delayed",
    "require_dask",
    "segments",
    "summarize",
]

#: Short trajectories are cut into this many tasks or more, so that all cores have work;
#: into more where that costs nothing, so that some show what all take. But a task of
#: fewer bytes takes less time than dask needs for it.
_MIN_TASKS, _MORE_TASKS, _TASK_BYTES = 8, 64, 2**18


@dataclass(frozen=True)
class Segments:
    """Half-overlapping (or adjacent) segments of equal length.

    Attributes
    ----------
    starts : tuple of int
        First frames.
    length : int
        Frames in each.
    correlation : float
        Of the answers of neighbouring segments, which share frames.
    """

    starts: tuple[int, ...]
    length: int
    correlation: float = 0.0


def segments(
    trajectory: Trajectory, taper: np.ndarray, *, between: bool = False
) -> Segments:
    """Cut a trajectory into segments.

    Parameters
    ----------
    trajectory : Trajectory
        With enough frames for one.
    taper : numpy.ndarray, shape (length,)
        With a taper that vanishes at the ends, segments overlap by half, as P. D.
        Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967),
        doi:10.1109/TAU.1967.1161901: the estimates of neighbours correlate by (Σ h_t
        h_{t+L/2} / Σ h_t²)², 1/36 for Hann's. With another they are adjacent.
    between : bool
        What is transformed is between frames: segments hold one frame more.
    """
    length, step, shared = taper.size, taper.size, 0.0
    if taper[0] <= 0.5 * taper.max():
        step = max(1, length // 2)
        shared = float((taper[step:] * taper[:-step]).sum() / (taper**2).sum()) ** 2
    starts = range(0, trajectory.n_frames - between - length + 1, step)
    return Segments(tuple(starts), length + between, shared)


def blocks(trajectory: Trajectory, n: int = 10) -> Segments:
    """Cut a trajectory into n adjacent blocks.

    There are more where those would be large, and fewer where it is short. Frames left
    over at the end are not used.
    """
    fitting = max(1, BLOCK_BYTES // (trajectory.n_atoms * ATOM_BYTES))
    length = max(1, min(trajectory.n_frames // n, fitting))
    whole = trajectory.n_frames // length * length
    return Segments(tuple(range(0, whole, length)), length)


def summarize(
    trajectory: Trajectory,
    cut: Segments,
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
    given: Mapping[str, Any],
    position: bool = True,
    velocity: bool = False,
    field: Any = None,
    numbers_per_atom: int = 6,
    streams: bool = False,
) -> Moments:
    """Compute an answer for every segment, by tasks of dask, and their moments.

    Parameters
    ----------
    trajectory : Trajectory
    cut : Segments
    answer : callable
        (block, starts within it, *shared) → arrays stacked over those segments.
    *shared : object
        Given to each task; what is delayed is computed once.
    given : mapping
        The arguments of the call: ``T``, without which, where the trajectory has none
        either, the tasks measure that of the velocities; and ``progress``, which shows
        a bar (tqdm).
    position, velocity : bool
        What the tasks read of the trajectory.
    field : array, shape (n_frames, n_components, n_atoms), optional
        Further numbers that the tasks read.
    numbers_per_atom : int
        What a task holds of every atom and frame; positions as read and as scaled make
        six.
    streams : bool
        Whether `answer` takes frames that do not fit in memory by pieces and groups of
        a block, which are then read as it asks for them.

    Returns
    -------
    Moments
        The same, to rounding of sums, under any scheduler: parts are merged in their
        order.
    """
    mass = _thermometer(trajectory, given)
    share = in_common(trajectory.share)
    compute = delayed(_one_task)
    parts = []
    call = uuid.uuid4().hex
    runs = _runs(trajectory, cut, numbers_per_atom, streams=streams)
    for starts in runs:
        first, stop = starts[0], starts[-1] + cut.length
        block = trajectory.block(
            first, stop, position=position, velocity=velocity or mass is not None
        )
        block = replace(block, share=share, field=_part(field, first, stop))
        if streams and not block.fits:
            block = block.read_later(call)
        inside = [start - first for start in starts]
        parts.append(compute(block, inside, (cut.length, mass), answer, *shared))
    token = partial(_token, trajectory, answer, given, cut, runs, mass is not None)
    try:
        result: Moments = _computed(
            parts, delayed(_merge), token, progress=given["progress"]
        )
    except BaseException:  # tasks that are at work in threads stop, too
        Later.given_up.add(call)
        raise
    result = replace(result, correlation=cut.correlation)
    return _with_temperature(result, trajectory, cut)


def average(
    trajectory: Trajectory,
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
    given: Mapping[str, Any],
) -> Moments:
    """Average an answer over the frames of every one of the `blocks`, by tasks of dask.

    Parameters
    ----------
    trajectory : Trajectory
    answer : callable
        (block, *shared) → means over the frames of the block.
    *shared, given
        As for `summarize`.

    Returns
    -------
    Moments
        Of the blocks, each computed by several tasks.
    """
    mass = _thermometer(trajectory, given)
    share = in_common(trajectory.share)
    cut = blocks(trajectory)
    per_block = -(-_MORE_TASKS // len(cut.starts))
    fewest = _TASK_BYTES // (trajectory.n_atoms * ATOM_BYTES)
    length = min(max(-(-cut.length // per_block), fewest, 1), cut.length)
    parts = []
    for start in cut.starts:
        for first in range(start, start + cut.length, length):
            stop = min(first + length, start + cut.length)
            block = trajectory.block(first, stop, velocity=mass is not None)
            block = replace(block, share=share)
            parts.append(delayed(_mean_of_frames)(block, mass, answer, *shared))
    token = partial(_token, trajectory, answer, given, cut, length, mass is not None)
    result: Moments = _computed(
        parts, delayed(_merge), token, progress=given["progress"],
        of=delayed(_mean_of_block), several=-(-cut.length // length),
    )  # fmt: skip
    return _with_temperature(result, trajectory, cut)


def add_up(
    trajectory: Trajectory,
    answer: Callable[..., dict[str, np.ndarray]],
    *shared: Any,
    field: Any = None,
) -> dict[str, np.ndarray]:
    """Add an answer up over all the frames of a trajectory, by tasks of dask.

    Parameters
    ----------
    trajectory : Trajectory
    answer : callable
        (block, *shared) → sums over the frames of the block.
    *shared : object
        Given to each task.
    field : array, shape (n_frames, n_components, n_atoms), optional
        Further numbers that the tasks read.

    Returns
    -------
    dict of numpy.ndarray
        The same, to rounding, under any scheduler.
    """
    n = trajectory.n_frames
    frame_bytes = trajectory.n_atoms * 30 * 8
    length = max(-(-n // _MORE_TASKS), _TASK_BYTES // frame_bytes)
    length = max(1, min(length, BLOCK_BYTES // frame_bytes))
    parts = []
    for first in range(0, n, length):
        stop = min(first + length, n)
        block = replace(
            trajectory.block(first, stop), share=None, field=_part(field, first, stop)
        )
        parts.append(delayed(answer)(block, *shared))
    token = partial(_token, trajectory, answer, {}, length, field, shared)
    result: dict[str, np.ndarray] = _computed(parts, delayed(_add), token)
    return result


def delayed(function: Callable[..., Any]) -> Any:
    """Return a function whose calls become tasks."""
    return require_dask().delayed(function, pure=False)


def in_common(value: Any) -> Any:
    """Return a value that many tasks need as the answer of one task.

    As mere data it would wait on a cluster until all frames are read, and with it every
    task that uses frames up.
    """
    return delayed(_itself)(value)


def _itself(value: Any) -> Any:
    return value


def require_dask() -> Any:
    """Import dask, whose tasks are the segments of a trajectory."""
    return require("dask", "compute the segments of a trajectory", "md")


#: Functions that change the tasks of a call before they are computed.
_CHANGES: ContextVar[tuple[Callable[..., list[Any]], ...]] = ContextVar(
    "changes of tasks", default=()
)


@contextlib.contextmanager
def changed_tasks(
    change: Callable[[list[Any], Callable[[], str]], list[Any]],
) -> Iterator[None]:
    """Change the tasks of all analyses in a block before they are computed.

    Parameters
    ----------
    change : callable
        (tasks, token) → tasks or answers in the same order, where ``token()`` is the
        same for the same call on the same trajectory alone.
    """
    before = _CHANGES.set((*_CHANGES.get(), change))
    try:
        yield
    finally:
        _CHANGES.reset(before)


def _token(
    trajectory: Trajectory, answer: Any, given: Mapping[str, Any], *cut: Any
) -> str:
    """Return a name for the tasks of a call that make such an answer.

    Three frames identify the trajectory.
    """
    asked = {key: given[key] for key in given if key not in ("data", "progress")}
    n = trajectory.n_frames
    frames = [
        [np.asarray(a[i]) for i in (0, n // 2, n - 1)]
        for a in (trajectory.position, trajectory.velocity)
        if a is not None
    ]
    own = (trajectory.time, trajectory.cell, trajectory.units, trajectory.dimension)
    atoms = (trajectory.element, trajectory.mass, trajectory.repeats)
    tokenize = require_dask().base.tokenize
    return str(tokenize(VERSION, frames, own, atoms, answer.__qualname__, asked, cut))


def _computed(
    parts: list[Any],
    merge: Callable[[list[Any]], Any],
    token: Callable[[], str],
    *,
    progress: bool = False,
    of: Callable[[list[Any]], Any] | None = None,
    several: int = 1,
) -> Any:
    """Merge the answers of tasks, eight at a time and in order, and compute them.

    Where each `several` of them make one answer, that is made `of` them before.
    """
    for change in _CHANGES.get():
        parts = change(parts, token)
    n_tasks = len(parts)
    if of is not None:
        parts = [of(parts[i : i + several]) for i in range(0, n_tasks, several)]
    while len(parts) > 1:
        parts = [merge(parts[i : i + 8]) for i in range(0, len(parts), 8)]
    (root,) = parts
    if not progress:
        (result,) = require_dask().compute(root)
        return result
    client = None
    if "distributed" in sys.modules:  # a cluster shows its own bar
        with contextlib.suppress(ValueError):
            client = sys.modules["distributed"].get_client()
    if client is None:
        bar = require("tqdm.dask", "show the progress", "md").TqdmCallback
        with bar(desc=f"xbp, tasks: {n_tasks}"):
            return root.compute()
    future = client.compute(root)
    sys.modules["distributed"].progress(future, notebook=False)
    return future.result()


def _runs(
    trajectory: Trajectory,
    cut: Segments,
    numbers_per_atom: int,
    most: int = 4,
    *,
    streams: bool = False,
) -> list[list[int]]:
    """Put neighbouring segments in one task, where frames they share are computed once.

    Half of the frames are shared with a neighbour, so that k segments save all but 1/k:
    `most` are enough. Where none is shared, one is.
    """
    n = len(cut.starts)
    step = cut.starts[1] - cut.starts[0] if n > 1 else cut.length
    most = most if step < cut.length else 1
    frame_bytes = trajectory.n_atoms * numbers_per_atom * 8
    by_memory = (BLOCK_BYTES // frame_bytes - cut.length) // step + 1
    wanted = max(min(n // _MIN_TASKS, most), _TASK_BYTES // (step * frame_bytes))
    if streams and by_memory < 1:
        by_memory = wanted  # a segment is read in parts, and so are several
    size = int(max(1, min(by_memory, wanted)))
    return [list(cut.starts[i : i + size]) for i in range(0, n, size)]


def _part(field: Any, first: int, stop: int) -> Any:
    return None if field is None else field[first:stop]


def _one_task(
    block: Block,
    starts: list[int],
    thermometer: tuple[int, np.ndarray | None],
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
) -> Moments:
    length, mass = thermometer
    answers = dict(answer(block, starts, *shared))
    if mass is not None:
        energy = block.twice_kinetic(mass)
        inside = np.stack([energy[start : start + length] for start in starts])
        answers["kinetic"] = _and_quarters(inside)
    return Moments.of(answers)


def _and_quarters(energy: np.ndarray) -> np.ndarray:
    """Average over the frames of segments, then of their quarters; few have none."""
    quarters = np.array_split(energy, 4, axis=1) if energy.shape[1] >= 4 else []
    return np.stack([part.mean(axis=1) for part in (energy, *quarters)], axis=1)


def _mean_of_frames(
    block: Block,
    mass: np.ndarray | None,
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
) -> dict[str, Any]:
    energy = {} if mass is None else {"kinetic": block.twice_kinetic(mass)}
    return {**answer(block, *shared), **energy, "frames": block.n_frames}


def _mean_of_block(parts: list[dict[str, Any]]) -> Moments:
    """Make the answer of a block of those of some of its frames each."""
    frames = [part["frames"] for part in parts]
    answers = {
        key: np.average([part[key] for part in parts], axis=0, weights=frames)[None]
        for key in parts[0]
        if key not in ("frames", "kinetic")
    }
    if "kinetic" in parts[0]:
        energy = np.concatenate([part["kinetic"] for part in parts])
        answers["kinetic"] = _and_quarters(energy[None])
    return Moments.of(answers)


def _thermometer(trajectory: Trajectory, given: Mapping[str, Any]) -> Any:
    """Return the masses if tasks measure the temperature, because none is known."""
    measures = given["T"] is None and trajectory.has_thermometer
    return in_common(trajectory.mass) if measures else None


def _with_temperature(
    moments: Moments, trajectory: Trajectory, cut: Segments
) -> Moments:
    """Take the kinetic energy out of the answers and make a temperature of it.

    Its error is the scatter of the segments, half of whose frames are another's where
    they overlap; of a single segment, that of its quarters.
    """
    if "kinetic" not in moments.mean:
        return moments
    per_kelvin = trajectory.degrees_of_freedom * constants.BOLTZMANN
    overlap = len(cut.starts) > 1 and cut.starts[1] - cut.starts[0] < cut.length
    whole, *quarters = moments.mean.pop("kinetic")
    scatter = moments.std("kinetic", 0.5 if overlap else 0.0)
    moments.squares.pop("kinetic")
    std = None if scatter is None else float(scatter[0]) / per_kelvin
    if std is None and quarters:
        squares = np.var(quarters) * len(quarters)
        steps = (np.diff(quarters) ** 2).sum()
        shared = 0.5 if overlap else 0.0
        std = float(std_of_mean(squares, steps, len(quarters), shared)) / per_kelvin
    return replace(moments, temperature=(float(whole) / per_kelvin, std))


def _add(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        key: sum((part[key] for part in parts[1:]), start=first)
        for key, first in parts[0].items()
    }


def _merge(parts: list[Moments]) -> Moments:
    return reduce(Moments.merged, parts)
