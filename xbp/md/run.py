"""Segments of a trajectory as independent tasks of dask, and the mean and scatter of their answers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import RangeError
from xbp.core.optional import require
from xbp.md.trajectory import Block, Trajectory

__all__ = [
    "Moments",
    "Segments",
    "add_up",
    "blocks",
    "delayed",
    "segments",
    "summarize",
]

#: What a task holds of its frames takes no more memory than this, unless one segment
#: does.
_BLOCK_BYTES = 256 * 2**20
#: Segments of a task: half of the frames are shared with a neighbor, so that k of them
#: save all but 1/k.
_MOST_SEGMENTS = 4
#: Short trajectories are not cut into fewer tasks than this, so that all cores have
#: work.
_MIN_TASKS = 8
_MERGE = 8
#: Where the kinetic energy stands among the answers, and parts of a single segment
#: whose scatter gives its error.
_KINETIC, _PARTS = "kinetic energy", 4
#: Parts of a trajectory whose scatter gives the error of an average over frames.
_BLOCKS = 10


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
    correlation: float


def segments(
    trajectory: Trajectory,
    length: int,
    taper: np.ndarray | None = None,
    *,
    between: bool = False,
) -> Segments:
    """Cut a trajectory into segments.

    Parameters
    ----------
    trajectory : Trajectory
    length : int
        Frames of a segment.
    taper : numpy.ndarray, shape (length,), optional
        With a taper that vanishes at the ends, segments overlap by half, as P. D.
        Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967),
        doi:10.1109/TAU.1967.1161901: the estimates of neighbours correlate by (Σ h_t
        h_{t+L/2} / Σ h_t²)², 1/36 for Hann's. Without one they are adjacent.
    between : bool
        What is transformed stands between frames: segments hold one frame more.

    Returns
    -------
    Segments

    Raises
    ------
    RangeError
        If not one segment fits.
    """
    n = trajectory.n_frames - between
    if length > n:
        step = trajectory.time_step
        fix = (
            f"window='{n // 4 * step:.4g} ps' makes four of it, which give errors "
            "worth the name; or simulate longer"
        )
        if n < 16:
            fix = (
                f"simulate longer: four windows of 4 frames, {16 * step:.4g} ps, "
                "give errors worth the name"
            )
        raise RangeError(
            f"the window of {length * step:.6g} ps ({length} frames) is longer than "
            "the trajectory",
            reason=f"that is {n} frames, {n * step:.6g} ps",
            fix=fix,
        )
    if taper is None or taper[0] > 0.5 * taper.max():
        return Segments(tuple(range(0, n - length + 1, length)), length + between, 0.0)
    step_ = max(1, length // 2)
    shared = float((taper[step_:] * taper[:-step_]).sum() / (taper**2).sum()) ** 2
    return Segments(tuple(range(0, n - length + 1, step_)), length + between, shared)


def blocks(trajectory: Trajectory) -> Segments:
    """Cut a trajectory into ten adjacent blocks, more where those would be large, fewer where it is short.

    Frames left over at the end are not used.
    """
    fitting = max(1, _BLOCK_BYTES // (trajectory.n_atoms * 6 * 8))
    length = max(1, min(trajectory.n_frames // _BLOCKS, fitting))
    n = trajectory.n_frames // length
    return Segments(tuple(range(0, n * length, length)), length, 0.0)


@dataclass(frozen=True)
class Moments:
    """Number, mean and summed squared deviation of answers, which merge exactly.

    Attributes
    ----------
    n : int
    mean, squares : dict of numpy.ndarray
    temperature : (float, float or None), optional
        Of the velocities in the frames that were read, and its standard deviation, K.

    References
    ----------
    Chan, Golub & LeVeque, Am. Stat. 37, 242 (1983), doi:10.1080/00031305.1983.10483115.
    """

    n: int
    mean: dict[str, np.ndarray]
    squares: dict[str, np.ndarray]
    temperature: tuple[float, float | None] | None = None

    @classmethod
    def of(cls, answers: Mapping[str, np.ndarray]) -> Moments:
        """Take answers stacked along their first axis."""
        n = len(next(iter(answers.values())))
        mean = {key: a.mean(axis=0) for key, a in answers.items()}
        return cls(
            n,
            mean,
            {key: ((a - mean[key]) ** 2).sum(axis=0) for key, a in answers.items()},
        )

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both."""
        n = self.n + other.n
        mean, squares = {}, {}
        for key in self.mean:
            shift = other.mean[key] - self.mean[key]
            mean[key] = self.mean[key] + shift * (other.n / n)
            squares[key] = (
                self.squares[key]
                + other.squares[key]
                + shift**2 * (self.n * other.n / n)
            )
        return Moments(n, mean, squares)

    def std(self, key: str, correlation: float) -> np.ndarray | None:
        """Return the standard deviation of the mean.

        None for a single answer, whose scatter is not known.
        """
        if self.n < 2:
            return None
        # Neighbours that correlate by r tell less than their number: n var(mean) = s²
        # (1 + 2 r (n−1)/n).
        factor = 1 + 2 * correlation * (self.n - 1) / self.n
        return np.asarray(np.sqrt(self.squares[key] / (self.n - 1) / self.n * factor))


def summarize(
    trajectory: Trajectory,
    cut: Segments,
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
    position: bool = True,
    velocity: bool = False,
    field: Any = None,
    numbers_per_atom: int = 6,
    T: Any = None,
    progress: bool = False,
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
    position, velocity : bool
        What the tasks read of the trajectory.
    field : array, shape (n_frames, n_components, n_atoms), optional
        Further numbers that the tasks read.
    numbers_per_atom : int
        What a task holds of every atom and frame; positions as read and as scaled make
        six.
    T : scalar with units, optional
        Temperature; where neither it nor the trajectory's is known, the tasks measure
        that of the velocities.
    progress : bool
        Show a bar (tqdm).

    Returns
    -------
    Moments
        The same, to rounding of sums, under any scheduler: parts are merged in their
        order.
    """
    compute, merge = delayed(_one_task), delayed(_merge)
    share = _sent_once(trajectory.share)
    mass = (
        _sent_once(trajectory.mass)
        if T is None and trajectory.has_thermometer
        else None
    )
    parts = []
    for starts in _runs(trajectory, cut, numbers_per_atom):
        first, stop = starts[0], starts[-1] + cut.length
        block = trajectory.block(
            first, stop, position=position, velocity=velocity or mass is not None
        )
        inside = [start - first for start in starts]
        part = None if field is None else field[first:stop]
        read = (
            block.position,
            block.velocity,
            block.cell,
            block.units,
            first,
            part,
            share,
            block.rate,
        )
        parts.append(compute(read, inside, (cut.length, mass), answer, *shared))
    result: Moments = _merged(parts, merge, progress)
    return result if mass is None else _with_temperature(result, trajectory, cut)


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
    length = max(
        1, min(-(-n // _MIN_TASKS), _BLOCK_BYTES // (trajectory.n_atoms * 30 * 8))
    )
    compute, merge = delayed(_one_sum), delayed(_add)
    parts = []
    for first in range(0, n, length):
        block = trajectory.block(first, min(first + length, n))
        part = None if field is None else field[first : first + length]
        parts.append(
            compute(
                (block.position, None, block.cell, block.units, first, part),
                answer,
                *shared,
            )
        )
    result: dict[str, np.ndarray] = _merged(parts, merge, progress=False)
    return result


def _merged(parts: list[Any], merge: Callable[[list[Any]], Any], progress: bool) -> Any:
    """Merge the answers of tasks, a few at a time and in their order, and compute them."""
    n_tasks = len(parts)
    while len(parts) > 1:
        parts = [merge(parts[i : i + _MERGE]) for i in range(0, len(parts), _MERGE)]
    return _with_progress(parts[0], n_tasks) if progress else parts[0].compute()


def _runs(
    trajectory: Trajectory, cut: Segments, numbers_per_atom: int
) -> list[list[int]]:
    """Put neighbouring segments in one task, where the frames they share are computed once."""
    n = len(cut.starts)
    step = cut.starts[1] - cut.starts[0] if n > 1 else cut.length
    frame_bytes = trajectory.n_atoms * numbers_per_atom * 8
    by_memory = (_BLOCK_BYTES // frame_bytes - cut.length) // step + 1
    size = int(max(1, min(by_memory, n // _MIN_TASKS, _MOST_SEGMENTS)))
    return [list(cut.starts[i : i + size]) for i in range(0, n, size)]


def _one_task(
    read: tuple[Any, ...],
    starts: list[int],
    thermometer: tuple[int, np.ndarray | None],
    answer: Callable[..., Mapping[str, np.ndarray]],
    *shared: Any,
) -> Moments:
    block, (length, mass) = Block(*read), thermometer
    answers = dict(answer(block, starts, *shared))
    if mass is not None:
        energy = block.twice_kinetic(mass)
        inside = np.stack([energy[start : start + length] for start in starts])
        answers[_KINETIC] = inside.mean(axis=1)
        quarters = np.array_split(inside, _PARTS, axis=1)
        known = length >= _PARTS
        answers[f"{_KINETIC} parts"] = np.stack(
            [
                part.mean(axis=1) if known else np.full(len(starts), np.nan)
                for part in quarters
            ],
            axis=1,
        )
    return Moments.of(answers)


def _with_temperature(
    moments: Moments, trajectory: Trajectory, cut: Segments
) -> Moments:
    """Take the kinetic energy out of the answers and make a temperature of it.

    Its error is the scatter of the segments, half of whose frames are another's where
    they overlap; of a single segment, that of its quarters.
    """
    per_kelvin = trajectory.degrees_of_freedom * constants.BOLTZMANN
    overlap = len(cut.starts) > 1 and cut.starts[1] - cut.starts[0] < cut.length
    std = moments.std(_KINETIC, 0.5 if overlap else 0.0)
    quarters = moments.mean[f"{_KINETIC} parts"]
    if std is None and np.isfinite(quarters).all():
        std = quarters.std(ddof=1) / np.sqrt(_PARTS)
    kelvin = float(moments.mean[_KINETIC]) / per_kelvin
    mean, squares = (
        {key: value for key, value in part.items() if not key.startswith(_KINETIC)}
        for part in (moments.mean, moments.squares)
    )
    return Moments(
        moments.n,
        mean,
        squares,
        (kelvin, None if std is None else float(std) / per_kelvin),
    )


def _one_sum(
    read: tuple[Any, ...], answer: Callable[..., dict[str, np.ndarray]], *shared: Any
) -> dict[str, np.ndarray]:
    return answer(Block(*read), *shared)


def _sent_once(values: np.ndarray | None) -> Any:
    """Return an array that tasks have in common and that is not copied into each."""
    return require(
        "dask", "the segments of a trajectory are computed as its tasks", "md"
    ).delayed(values, pure=False)


def _add(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        key: sum((part[key] for part in parts[1:]), start=parts[0][key])
        for key in parts[0]
    }


def _merge(parts: list[Moments]) -> Moments:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merged(part)
    return whole


def _with_progress(root: Any, n_tasks: int) -> Any:
    client = None
    if "distributed" in sys.modules:
        # Where a cluster is in use, its own bar follows the work.
        with contextlib.suppress(ValueError):
            client = sys.modules["distributed"].get_client()
    if client is None:
        with require("tqdm.dask", "it shows the progress", "md").TqdmCallback(
            desc=f"xbp, {n_tasks} tasks"
        ):
            return root.compute()
    future = client.compute(root)
    sys.modules["distributed"].progress(future, notebook=False)
    return future.result()


def delayed(function: Callable[..., Any]) -> Any:
    """Return a function whose calls become tasks."""
    return require(
        "dask", "the segments of a trajectory are computed as its tasks", "md"
    ).delayed(function, pure=False)
