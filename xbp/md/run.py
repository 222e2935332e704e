"""Segments of a trajectory as tasks of dask, and the moments of their answers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from xbp.core import constants
from xbp.core.errors import require
from xbp.core.status import Diagnostic
from xbp.md.trajectory import Block, Trajectory

__all__ = [
    "Column",
    "Moments",
    "Segments",
    "add_up",
    "blocks",
    "delayed",
    "segments",
    "summarize",
]

#: Fewest answers whose scatter has a finite standard deviation (Student's t).
FEWEST = 4
#: Bytes that a task holds of its frames, unless one segment takes more.
_BLOCK_BYTES = 256 * 2**20
#: Short trajectories are cut into this many tasks or more, so that all cores have work;
#: but a task of fewer bytes takes less time than dask needs for it.
_MIN_TASKS, _TASK_BYTES = 8, 2**18


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
    fitting = max(1, _BLOCK_BYTES // (trajectory.n_atoms * 6 * 8))
    length = max(1, min(trajectory.n_frames // n, fitting))
    whole = trajectory.n_frames // length * length
    return Segments(tuple(range(0, whole, length)), length)


class Column(NamedTuple):
    """One variable of a result.

    Dimensions, values, standard deviation, units, quantity, further attributes.
    """

    dims: tuple[str, ...]
    values: np.ndarray
    std: np.ndarray | None
    units: str
    quantity: str | None
    attrs: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Moments:
    """Number, mean and squared deviations of answers in order, which merge exactly.

    Attributes
    ----------
    n : int
    mean, squares : dict of numpy.ndarray
        Mean, and sum of squared deviations from it.
    steps, first, last : dict of numpy.ndarray
        Sum of squared differences of successive answers; the first and last of them.
    correlation : float
        Of neighbouring answers, as far as it follows from the frames they share.
    temperature : (float, float or None), optional
        Of the velocities in the frames that were read, and its standard deviation, K.

    References
    ----------
    Chan, Golub & LeVeque, Am. Stat. 37, 242 (1983), doi:10.1080/00031305.1983.10483115.
    """

    n: int
    mean: dict[str, np.ndarray]
    squares: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    first: dict[str, np.ndarray]
    last: dict[str, np.ndarray]
    correlation: float = 0.0
    temperature: tuple[float, float | None] | None = None

    @classmethod
    def of(cls, answers: Mapping[str, np.ndarray]) -> Moments:
        """Take answers stacked along their first axis."""
        n = len(next(iter(answers.values())))
        mean = {key: a.mean(axis=0) for key, a in answers.items()}
        squares = {
            key: ((a - mean[key]) ** 2).sum(axis=0) for key, a in answers.items()
        }
        steps = {
            key: (np.diff(a, axis=0) ** 2).sum(axis=0) for key, a in answers.items()
        }
        first = {key: a[0] for key, a in answers.items()}
        last = {key: a[-1] for key, a in answers.items()}
        return cls(n, mean, squares, steps, first, last)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both; the answers of `other` follow."""
        n = self.n + other.n
        mean, squares, steps = {}, {}, {}
        for key in self.mean:
            shift = other.mean[key] - self.mean[key]
            mean[key] = self.mean[key] + shift * (other.n / n)
            both = self.squares[key] + other.squares[key]
            squares[key] = both + shift**2 * (self.n * other.n / n)
            between = (other.first[key] - self.last[key]) ** 2
            steps[key] = self.steps[key] + other.steps[key] + between
        return Moments(n, mean, squares, steps, self.first, other.last)

    def std(self, key: str, correlation: float | None = None) -> np.ndarray | None:
        """Return the standard deviation of the mean; None for fewer than four answers.

        Of independent answers it is s √((n−1)/(n−3)/n): the standard deviation of
        Student's t with n − 1 degrees of freedom (JCGM 101:2008, 6.4.9), which is
        infinite for n ≤ 3. Neighbours that share frames correlate by r, and n var(mean)
        = s² (1 + 2r(n−1)/n)/(1 − 2r/n). If they correlate further, because something
        relaxes more slowly than a segment, the correlation ρ is taken from successive
        differences, 1 − ρ = Σ(x_{i+1} − x_i)²/2Σ(x_i − x̄)² (J. von Neumann, Ann. Math.
        Stat. 12, 367 (1941), doi:10.1214/aoms/1177731677), and n answers count as
        n (1−ρ)/(1+ρ), as in an exponential relaxation.
        """
        if self.n < FEWEST:
            return None
        r = self.correlation if correlation is None else correlation
        return _std_of_mean(self.squares[key], self.steps[key], self.n, r)

    @np.errstate(all="ignore")  # answers that are all equal
    def doubts(self) -> list[Diagnostic]:
        """Return a diagnostic if errors are unknown, or too small.

        Too small where ρ (see `std`) of half the numbers of an answer is above 1/2, by
        two of its standard deviations above that of independent ones.
        """
        rho = [
            float(np.nanmedian(1 - self.steps[key] / (2 * squares)))
            for key, squares in self.squares.items()
            if key != "drift" and (squares > 0).any()
        ]
        if self.n >= FEWEST:
            highest = max(rho, default=0.0)
            if highest < max(0.5, self.correlation + 2 / self.n**0.5):
                return []
            return [
                Diagnostic(
                    "slow_relaxation",
                    "warning",
                    f"successive segments correlate by {highest:.2g}: something "
                    "relaxes more slowly, and errors may be too small by half",
                    "a longer window, or a longer trajectory",
                )
            ]
        text = f"no errors from {self.n} segments; they need {FEWEST}"
        return [
            Diagnostic("few_segments", "info", text, "a shorter window, or more frames")
        ]

    def column(
        self,
        key: str,
        dims: tuple[str, ...],
        units: str,
        quantity: str | None = None,
        *,
        row: int | None = None,
        scale: Any = 1.0,
        attrs: Mapping[str, Any] = {},
    ) -> Column:
        """Return an answer times `scale` as a variable, or one `row` of it."""
        value, std = self.mean[key] * scale, self.std(key)
        std = None if std is None else std * scale
        if row is not None:
            value, std = value[row], None if std is None else std[row]
        return Column(dims, value, std, units, quantity, attrs)


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

    Returns
    -------
    Moments
        The same, to rounding of sums, under any scheduler: parts are merged in their
        order.
    """
    measures = given["T"] is None and trajectory.has_thermometer
    compute, merge = delayed(_one_task), delayed(_merge)
    share, mass = (
        None if values is None else in_common(values)
        for values in (trajectory.share, trajectory.mass if measures else None)
    )
    parts = []
    for starts in _runs(trajectory, cut, numbers_per_atom):
        first, stop = starts[0], starts[-1] + cut.length
        block = trajectory.block(
            first, stop, position=position, velocity=velocity or measures
        )
        block = replace(block, share=share, field=_part(field, first, stop))
        inside = [start - first for start in starts]
        parts.append(compute(block, inside, (cut.length, mass), answer, *shared))
    result: Moments = _computed(parts, merge, progress=given["progress"])
    result = replace(result, correlation=cut.correlation)
    return _with_temperature(result, trajectory, cut) if measures else result


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
    length = max(-(-n // _MIN_TASKS), _TASK_BYTES // frame_bytes)
    length = max(1, min(length, _BLOCK_BYTES // frame_bytes))
    parts = []
    for first in range(0, n, length):
        stop = min(first + length, n)
        block = replace(
            trajectory.block(first, stop), share=None, field=_part(field, first, stop)
        )
        parts.append(delayed(answer)(block, *shared))
    result: dict[str, np.ndarray] = _computed(parts, delayed(_add))
    return result


def delayed(function: Callable[..., Any]) -> Any:
    """Return a function whose calls become tasks."""
    return _dask().delayed(function, pure=False)


def in_common(value: Any) -> Any:
    """Return a value that many tasks need as the answer of one task.

    As mere data it would wait on a cluster until all frames are read, and with it every
    task that uses frames up.
    """
    return delayed(_itself)(value)


def _itself(value: Any) -> Any:
    return value


def _dask() -> Any:
    return require("dask", "segments of a trajectory are computed as its tasks", "md")


def _computed(
    parts: list[Any], merge: Callable[[list[Any]], Any], *, progress: bool = False
) -> Any:
    """Merge the answers of tasks, eight at a time and in order, and compute them."""
    n_tasks = len(parts)
    while len(parts) > 1:
        parts = [merge(parts[i : i + 8]) for i in range(0, len(parts), 8)]
    (root,) = parts
    if not progress:
        return root.compute()
    client = None
    if "distributed" in sys.modules:  # a cluster shows its own bar
        with contextlib.suppress(ValueError):
            client = sys.modules["distributed"].get_client()
    if client is None:
        bar = require("tqdm.dask", "it shows the progress", "md").TqdmCallback
        with bar(desc=f"xbp, tasks: {n_tasks}"):
            return root.compute()
    future = client.compute(root)
    sys.modules["distributed"].progress(future, notebook=False)
    return future.result()


def _runs(
    trajectory: Trajectory, cut: Segments, numbers_per_atom: int, most: int = 4
) -> list[list[int]]:
    """Put neighbouring segments in one task, where frames they share are computed once.

    Half of the frames are shared with a neighbour, so that k segments save all but 1/k:
    `most` are enough.
    """
    n = len(cut.starts)
    step = cut.starts[1] - cut.starts[0] if n > 1 else cut.length
    frame_bytes = trajectory.n_atoms * numbers_per_atom * 8
    by_memory = (_BLOCK_BYTES // frame_bytes - cut.length) // step + 1
    wanted = max(min(n // _MIN_TASKS, most), _TASK_BYTES // (step * frame_bytes))
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
        # The whole segment, then its quarters; shorter ones have none.
        quarters = np.array_split(inside, 4, axis=1) if length >= 4 else []
        answers["kinetic"] = np.stack(
            [part.mean(axis=1) for part in (inside, *quarters)], axis=1
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
    whole, *quarters = moments.mean.pop("kinetic")
    scatter = moments.std("kinetic", 0.5 if overlap else 0.0)
    moments.squares.pop("kinetic")
    std = None if scatter is None else float(scatter[0]) / per_kelvin
    if std is None and quarters:
        squares = np.var(quarters) * len(quarters)
        steps = (np.diff(quarters) ** 2).sum()
        shared = 0.5 if overlap else 0.0
        std = float(_std_of_mean(squares, steps, len(quarters), shared)) / per_kelvin
    return replace(moments, temperature=(float(whole) / per_kelvin, std))


def _std_of_mean(squares: Any, steps: Any, n: int, shared: float) -> np.ndarray:
    """Return the error of a mean; see `Moments.std`."""
    with np.errstate(invalid="ignore"):  # answers that are all equal
        rho = np.nan_to_num(1 - steps / (2 * squares) - shared)
    # Of fewer than eight answers ρ is mostly noise, which would widen every error.
    rho = rho.clip(0, 0.95) * min(1, n / 8)
    rise = (1 + rho) / (1 - rho)
    count = np.clip(n / rise, min(n, 5), n)
    variance = squares / (n - 1) / n * rise * (count - 1) / (count - 3)
    known = (1 + 2 * shared * (n - 1) / n) / (1 - 2 * shared / n)
    return np.asarray(np.sqrt(variance * known))


def _add(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        key: sum((part[key] for part in parts[1:]), start=first)
        for key, first in parts[0].items()
    }


def _merge(parts: list[Moments]) -> Moments:
    return reduce(Moments.merged, parts)
