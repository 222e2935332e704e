"""Two workers beside one, and hours of an analysis of 10⁶ atoms on a cluster.

``python -m benchmarks.cluster [atoms [frames]]``. The tasks are those that xbp would
send; what one costs is measured on this machine, some frames of it; then tasks are given
to workers as dask gives them: the next one to the first worker that is free.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Sequence

import numpy as np
import xarray as xr

import xbp
from benchmarks.md import vibrating
from xbp.md.density import slabs
from xbp.md.run import _runs, segments
from xbp.md.trajectory import read_trajectory
from xbp.md.wavevectors import allowed_wavevectors

Q_MAX, WINDOW = 2.0, 200
WORKERS = (1, 2, 8, 25, 50)


def two_workers(n_atoms: int = 16_000, n_frames: int = 400) -> tuple[float, float]:
    """Return seconds of one S(Q,E) on one, and on two, workers of one thread."""
    from distributed import Client

    seconds = []
    traj = vibrating(n_frames, n_atoms)
    for n_workers in (1, 2):
        with Client(
            n_workers=n_workers, threads_per_worker=1, dashboard_address=":0"
        ) as client:
            client.run(lambda: xbp.md.open_trajectory)
            for _ in range(2):  # the first one imports what it needs
                begin = time.perf_counter()
                traj.bp.dynamic_structure_factor(
                    Q_MAX, window="0.8 ps", weights="unit", folding=None
                )
                last = time.perf_counter() - begin
            seconds.append(last)
    return seconds[0], seconds[1]


def seconds_per_frame(traj: xr.Dataset, n_frames: int = 3) -> tuple[np.ndarray, int]:
    """Return what some frames take on one core, and the number of slabs."""
    trajectory = read_trajectory(traj)
    shells = allowed_wavevectors(trajectory.mean_cell, Q_MAX, 0.05)
    parts = slabs(shells.hkl, trajectory.n_atoms, 1, WINDOW, "single")
    ones = np.ones((1, trajectory.n_atoms))
    spent = np.zeros(n_frames)
    for part in parts:
        for number in range(n_frames):
            begin = time.thread_time()
            block = trajectory.block(number, number + 1)
            frame = np.asarray(block.position.compute(scheduler="sync"))
            scaled = (frame[0] @ np.linalg.inv(trajectory.mean_cell)).T
            part.densities(1, iter([(np.ascontiguousarray(scaled), ones)]))
            spent[number] += time.thread_time() - begin
    return spent, len(parts)


def hours(tasks: list[float], n_workers: int) -> float:
    """Return how long workers take who get the next task when they are free."""
    free = [0.0] * n_workers
    for task in tasks:
        heapq.heappush(free, heapq.heappop(free) + task)
    return max(free) / 3600


def main(arguments: Sequence[str] = ()) -> None:
    """Print both."""
    n_atoms, n_frames = 10**6, 10**4
    given = [int(float(a)) for a in arguments]
    n_atoms, n_frames = [*given, *(n_atoms, n_frames)[len(given) :]]
    one, two = two_workers()
    print(
        f"S(Q,E) of 16000 atoms: one worker of one thread {one:.1f} s, two {two:.1f} s: "
        f"{one / two / 2:.2f} of twice the speed (bar 0.8)"
    )
    traj = vibrating(n_frames, n_atoms, chunk=1)
    trajectory = read_trajectory(traj)
    cut = segments(trajectory, np.hanning(WINDOW + 1)[:WINDOW])
    runs = _runs(trajectory, cut, 6, streams=True)
    each, n_slabs = seconds_per_frame(traj)
    rng = np.random.default_rng(0)
    frames = [run[-1] - run[0] + WINDOW for run in runs]
    tasks = [n * each.mean() + n**0.5 * each.std() * rng.normal() for n in frames]
    print(
        f"{n_atoms} atoms, {n_frames} frames, windows of {WINDOW}, Q <= {Q_MAX:g}: "
        f"{len(runs)} tasks of up to {max(frames)} frames, {n_slabs} slabs, "
        f"{each.mean():.2g} s a frame, {max(tasks) / 3600:.2g} h a task"
    )
    for n_workers in WORKERS:
        time_, least = hours(tasks, n_workers), sum(tasks) / n_workers / 3600
        print(
            f"  {n_workers} workers: {time_:.3g} h, {100 * least / time_:.0f} % at work"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
