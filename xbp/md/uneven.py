"""Mean-square displacements of frames that are not equally (log-)spaced."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import not_used, require_memory, require_positive
from xbp.core.signal import extend_history
from xbp.md.trajectory import Trajectory, sample_temperature
from xbp.md.weights import groups_of

__all__ = ["is_uneven", "uneven_msd"]

#: Times that differ by less, relative to the longer, are one: as in a file of six
#: digits.
_ROUNDING = 1e-4


def is_uneven(trajectory: Trajectory) -> bool:
    """Return whether the frames are not equally spaced."""
    steps = np.diff(trajectory.time)
    return bool(steps.size and np.ptp(steps) > _ROUNDING * float(np.median(steps)))


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
    not_used(
        "frames that are not equally spaced have no segments", window=given["window"]
    )
    time, n = trajectory.time, trajectory.n_frames
    require_memory(3.0 * n * trajectory.n_atoms, "the paths of all atoms")
    symbols, index, counts = groups_of(trajectory, given["partials"])
    longest = float(time[-1] - time[0])
    if given["time_max"] is not None:
        longest = require_positive(given["time_max"], "time_max", "ps")
    first, second = np.triu_indices(n)
    lag = time[second] - time[first]
    near = lag <= longest * (1 + _ROUNDING)
    first, second, lag = first[near], second[near], lag[near]
    order = np.argsort(lag, kind="stable")
    first, second, lag = first[order], second[order], lag[order]
    number = np.cumsum(np.diff(lag, prepend=0.0) > _ROUNDING * lag)
    if number[-1] == 0:
        raise RangeError(f"no two frames are within time_max={given['time_max']}")
    path = trajectory.block(0, n).path()
    if not np.isfinite(path).all():
        raise QuantityError(
            "atoms move by half the cell between frames: their ways are ambiguous",
            fix="dump unwrapped positions, or frames more often",
        )
    n_pairs = np.bincount(number)
    total = np.zeros((n_pairs.size, counts.size))
    for i, j, at in zip(first, second, number, strict=True):
        square = ((path[j] - path[i]) ** 2).sum(axis=0)
        total[at] += np.bincount(index, weights=square, minlength=counts.size)
    values = total / n_pairs[:, None] / counts
    times = np.bincount(number, weights=lag) / n_pairs
    by_element = bool(given["partials"])
    coords: dict[str, Any] = {"time": (times, "ps")}
    if by_element:
        coords = {"element": symbols.tolist(), **coords}
    ds = new_dataset(
        "mean_square_displacement",
        values.T if by_element else values[:, 0],
        units="angstrom**2",
        coords=coords,
        attrs={"origin": "simulation"},
    )
    text = "pairs of frames with this lag"
    ds = ds.assign_coords(n_pairs=("time", n_pairs, {"units": "1", "long_name": text}))
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
