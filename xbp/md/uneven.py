"""What frames that are not equally (log-)spaced give: F(Q,t) and displacements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import not_used, require_memory, require_positive
from xbp.core.signal import extend_history
from xbp.core.status import Diagnostic
from xbp.md.block import HALF_A_CELL
from xbp.md.density import slabs
from xbp.md.moments import Moments
from xbp.md.plan import Plan, answer
from xbp.md.trajectory import Block, Trajectory, drift_unknown, sample_temperature
from xbp.md.weights import groups_of

__all__ = ["is_uneven", "uneven_msd", "uneven_scattering"]

#: Times that differ by less, relative to the longer, are one: as in a file of six
#: digits.
_ROUNDING = 1e-4
_NO_SEGMENTS = "frames that are not equally spaced have no segments"
_UNWRAPPED = "dump unwrapped positions, or frames more often"


def is_uneven(trajectory: Trajectory) -> bool:
    """Return whether the frames are not equally spaced."""
    steps = np.diff(trajectory.time)
    return bool(steps.size and np.ptp(steps) > _ROUNDING * float(np.median(steps)))


class _Lags(NamedTuple):
    """Pairs of frames, by the time between them.

    `first`, `second` and `number`, which of the lags it is, are of every pair; `time`
    (ps) and `n_pairs` are of every lag.
    """

    first: np.ndarray
    second: np.ndarray
    number: np.ndarray
    time: np.ndarray
    n_pairs: np.ndarray

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Yield the frames of every pair, and its lag."""
        yield from zip(
            self.first.tolist(), self.second.tolist(), self.number.tolist(), strict=True
        )

    def coordinate(self) -> tuple[str, np.ndarray, dict[str, str]]:
        """Return ``n_pairs`` over time."""
        text = "pairs of frames with this lag"
        return ("time", self.n_pairs, {"units": "1", "long_name": text})


def _lags(time: np.ndarray, time_max: Any) -> _Lags:
    """Sort the pairs of frames by their lags, up to `time_max`."""
    longest = float(time[-1] - time[0])
    if time_max is not None:
        longest = require_positive(time_max, "time_max", "ps")
    first, second = np.triu_indices(time.size)
    lag = time[second] - time[first]
    near = lag <= longest * (1 + _ROUNDING)
    first, second, lag = first[near], second[near], lag[near]
    order = np.argsort(lag, kind="stable")
    first, second, lag = first[order], second[order], lag[order]
    number = np.cumsum(np.diff(lag, prepend=0.0) > _ROUNDING * lag)
    if number[-1] == 0:
        raise RangeError(f"no two frames are within time_max={time_max}")
    n_pairs = np.bincount(number)
    return _Lags(
        first, second, number, np.bincount(number, weights=lag) / n_pairs, n_pairs
    )


def uneven_msd(trajectory: Trajectory, given: dict[str, Any]) -> xr.Dataset:
    r"""Return the mean-square displacement at the lags that pairs of frames have.

    Parameters
    ----------
    trajectory : Trajectory
    given : dict
        Arguments of `msd`; there are no segments, so no window.

    Raises
    ------
    QuantityError
        If atoms move by half of the cell from one frame to the next.
    RangeError
        If no pair of frames is as close as ``time_max``.
    """
    not_used(_NO_SEGMENTS, window=given["window"])
    time, n = trajectory.time, trajectory.n_frames
    require_memory(3.0 * n * trajectory.n_atoms, "the paths of all atoms")
    symbols, index, counts = groups_of(trajectory, given["partials"])
    lags = _lags(time, given["time_max"])
    path = trajectory.block(0, n).path()
    if not np.isfinite(path).all():
        raise QuantityError(f"{HALF_A_CELL}: their paths are ambiguous", fix=_UNWRAPPED)
    total = np.zeros((lags.n_pairs.size, counts.size))
    for i, j, at in lags.pairs():
        square = ((path[j] - path[i]) ** 2).sum(axis=0)
        total[at] += np.bincount(index, weights=square, minlength=counts.size)
    values = total / lags.n_pairs[:, None] / counts
    by_element = bool(given["partials"])
    coords: dict[str, Any] = {"time": (lags.time, "ps")}
    if by_element:
        coords = {"element": symbols.tolist(), **coords}
    ds = new_dataset(
        "mean_square_displacement",
        values.T if by_element else values[:, 0],
        units="angstrom**2",
        coords=coords,
        attrs={"origin": "simulation"},
    )
    ds = ds.assign_coords(n_pairs=lags.coordinate())
    if by_element:
        share = counts / counts.sum()
        ds = ds.assign_coords(weight=("element", share, {"units": "1"}))
    if trajectory.dimension == 2:
        ds.msd.attrs["dimension"] = 2
    kelvin = sample_temperature(trajectory, given["T"])
    if kelvin is not None:
        ds = ds.assign_coords(temperature=kelvin)
    recorded = {name: given[name] for name in ("time_max", "partials", "T")}
    before = trajectory.source.attrs.get("history")
    ds.attrs["history"] = extend_history(before, "msd", recorded)
    return ds


class _Whole(Moments):
    """The one answer of a whole trajectory, whose error is not known."""

    def doubts(self) -> list[Diagnostic]:
        """Return that there are no errors."""
        return [Diagnostic("few_segments", "info", f"no errors: {_NO_SEGMENTS}")]


def uneven_scattering(trajectory: Trajectory, given: dict[str, Any]) -> xr.Dataset:
    """Return F(Q,t) at the lags that pairs of frames have.

    Parameters
    ----------
    trajectory : Trajectory
    given : dict
        Arguments of `intermediate_scattering_function`; there are no segments, so no
        window, and all pairs of frames count.

    Raises
    ------
    QuantityError
        If an argument is of segments.
    RangeError
        If no pair of frames is as close as ``time_max``.
    """
    segments = ("window", "resolution", "origin_step")
    not_used(_NO_SEGMENTS, **{name: given[name] for name in segments})
    plan = Plan.make(trajectory, given)
    lags = _lags(trajectory.time, given["time_max"])
    block = trajectory.block(0, trajectory.n_frames)
    rows = []
    if plan.origin_step is None or plan.single is not None:
        rows.append(_coherent(block, plan, lags))
    if plan.origin_step is not None:
        own = plan.weighting if plan.single is None else plan.single
        rows.append(_self_part(block, plan, own.channels, lags))
    moments = _Whole.of({"F": plan.mixing.mixed(np.concatenate(rows)[None])})
    column = plan.column(
        moments, "F", ("Q", "time"), "1", "intermediate_scattering_function",
        part=given["part"],
    )  # fmt: skip
    coords = {
        **plan.coordinates(), "time": ("time", lags.time), "n_pairs": lags.coordinate(),
    }  # fmt: skip
    doubts = []
    if not np.isfinite(block.centre).all():
        doubts.append(drift_unknown(_UNWRAPPED))
    return answer(
        "intermediate_scattering_function", trajectory, moments, {"F": column}, coords,
        given, doubts=doubts,
    )  # fmt: skip


def _coherent(block: Block, plan: Plan, lags: _Lags) -> np.ndarray:
    """Return ⟨Re ρ_a(t+τ) ρ_b*(t)⟩ of pairs a ≤ b of weights, over shells and lags.

    The mean of (a, b) and (b, a), as the mean over both signs of τ.
    """
    shells, channels = plan.shells, plan.weighting.channels
    scaled = block.resting()
    n = scaled.shape[0]
    a, b = np.triu_indices(len(channels))
    out = np.zeros((a.size, shells.Q.size, lags.time.size))
    sizes = scaled.shape[2], len(channels), n
    for slab in slabs(shells.hkl, *sizes, plan.precision):
        density = slab.densities(n, ((one, channels) for one in scaled))
        present, begin = np.unique(shells.shell[slab.index], return_index=True)
        for i, j, at in lags.pairs():
            both = density[j][a] * density[i][b].conj()
            both += density[j][b] * density[i][a].conj()
            summed = np.add.reduceat(both.real / 2, begin, axis=-1, dtype=float)
            out[:, present, at] += summed
    return np.asarray(out * shells.sum_to_mean()[:, None] / lags.n_pairs)


def _self_part(
    block: Block, plan: Plan, channels: np.ndarray, lags: _Lags
) -> np.ndarray:
    """Return ⟨Σ_j w_j cos Q·(r_j(t+τ) − r_j(t))⟩ over shells and lags."""
    shells, scaled = plan.shells, block.resting()
    ends = np.split(np.arange(lags.number.size), np.cumsum(lags.n_pairs)[:-1])

    def displacements() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for some in ends:
            moved = scaled[lags.second[some]] - scaled[lags.first[some]]
            mean = np.tile(channels / some.size, some.size)
            yield moved.swapaxes(0, 1).reshape(3, -1), mean

    n_points = scaled.shape[2] * int(lags.n_pairs.max())
    n_weights, n_lags = len(channels), lags.time.size
    out = np.zeros((n_weights, shells.Q.size, n_lags))
    for slab in slabs(shells.hkl, n_points, n_weights, n_lags, plan.precision):
        present, begin = np.unique(shells.shell[slab.index], return_index=True)
        density = slab.densities(n_lags, displacements()).real
        summed = np.add.reduceat(density, begin, axis=-1, dtype=float)
        out[:, present] += np.moveaxis(summed * shells.sum_to_mean()[present], 0, -1)
    # At τ = 0 the answer is known, as in `self_correlations`.
    return np.asarray(out * (channels.sum(axis=1)[:, None, None] / out[..., :1]))
