"""The same call in threads, in processes and on a cluster: the same numbers, also when a worker dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr
from memory import forget_peak, needs_linux, peak_memory

import xbp.md.block
import xbp.md.run
from xbp.md import new_trajectory

dask = pytest.importorskip("dask")
array = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*:ResourceWarning", "ignore:Port .* is already in use"
)


def vibrating(
    n_frames: int, n_atoms: int, chunk: int, dtype: type = np.float64
) -> xr.Dataset:
    """Atoms on oscillations of their own, computed chunk by chunk when asked for."""
    rng = np.random.default_rng(0)
    place, omega, phase = (
        30 * rng.random((n_atoms, 3)),
        rng.uniform(5, 40, n_atoms),
        rng.uniform(0, 7, n_atoms),
    )
    along = 0.2 * rng.standard_normal((n_atoms, 3))

    def frames(block_info: dict | None = None) -> np.ndarray:
        start, stop = block_info[None]["array-location"][0]
        t = 0.02 * np.arange(start, stop)[:, None]
        moved = np.sin(omega * t + phase)[..., None] * along
        return (place + moved).astype(dtype)

    sizes = [min(chunk, n_frames - i) for i in range(0, n_frames, chunk)]
    position = array.map_blocks(
        frames,
        chunks=(tuple(sizes), (n_atoms,), (3,)),
        dtype=dtype,
        meta=np.empty((0, 0, 0)),
    )
    return new_trajectory(
        position,
        time=0.02 * np.arange(n_frames),
        cell=30 * np.eye(3),
        element=["Cu"] * n_atoms,
    )


def spectra(traj: xr.Dataset, Q_max: float = 1.5) -> xr.Dataset:
    return traj.bp.dynamic_structure_factor(
        Q_max, "0.1 1/angstrom", window="2 ps", max_wavevectors_per_shell=12, E_max=40
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    made = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit="500MB",
        dashboard_address=None,
    )
    client = distributed.Client(made)
    try:
        yield client
    finally:
        # Whatever became of the workers: no later test may wait for them.
        client.close(timeout=60)
        made.close(timeout=60)


def equal(a: xr.Dataset, b: xr.Dataset) -> None:
    assert a.S_std.shape == b.S_std.shape
    for name in ("S", "S_std", "Sq", "Sq_std"):
        np.testing.assert_allclose(a[name].values, b[name].values, rtol=1e-10)


@pytest.mark.slow
def test_threads_processes_and_numpy_agree() -> None:
    traj = vibrating(600, 50, 70)
    with dask.config.set(scheduler="threads"):
        threads = spectra(traj)
    equal(threads, spectra(traj.compute()))
    with dask.config.set(scheduler="processes", num_workers=2):
        equal(threads, spectra(traj))
    with dask.config.set(scheduler="sync"):
        equal(threads, spectra(traj))


@pytest.mark.slow
def test_how_the_data_are_chunked_does_not_matter() -> None:
    equal(spectra(vibrating(600, 50, 70)), spectra(vibrating(600, 50, 333)))


@pytest.mark.slow
@needs_linux
def test_a_workers_memory_does_not_grow_with_the_trajectory(cluster: object) -> None:
    """Both workers together could hold the whole of it, and would if tasks waited while frames are read."""
    traj = vibrating(20_000, 500, 100)
    first = traj.isel(time=slice(0, 1000))
    found, peaks = [], []
    for part in (first, first, traj):  # the first time, modules are loaded
        cluster.run(forget_peak)  # type: ignore[attr-defined]
        # Few wave vectors: it is the memory that is tried.
        found.append(spectra(part, 0.25))
        peaks.append(cluster.run(peak_memory))  # type: ignore[attr-defined]
    for worker, peak in peaks[2].items():  # none was killed
        # 36 to 102 MB; 180 to 210 MB where frames were read before they were needed.
        assert peak - peaks[1][worker] < traj.position.nbytes / 2
    few, many = found[1:]
    np.testing.assert_allclose(many.Sq.values, few.Sq.values, rtol=0.1)
    assert (many.Sq_std < few.Sq_std).mean() > 0.9


def hold(n_bytes: int) -> None:
    """Let a task of this process hold so much of its frames."""
    for module in (xbp.md.block, xbp.md.run):
        module.BLOCK_BYTES = n_bytes


@pytest.fixture
def small_blocks(cluster: object) -> Iterator[None]:
    """Segments that do not fit in memory, here and on the workers."""
    kept = xbp.md.block.BLOCK_BYTES
    hold(100_000)
    cluster.register_worker_callbacks(lambda: hold(100_000))  # type: ignore[attr-defined]
    yield
    hold(kept)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True])
def test_a_worker_killed_midway_is_made_up_for(
    cluster: object, streams: bool, request: pytest.FixtureRequest
) -> None:
    traj = vibrating(3_000, 120, 50)
    with dask.config.set(scheduler="threads"):
        expected = spectra(traj)
    if streams:
        request.getfixturevalue("small_blocks")
    pids = list(cluster.run(os.getpid).values())  # type: ignore[attr-defined]
    killed = threading.Event()

    def kill() -> None:
        # Once some tasks are done, and before all are.
        while not killed.is_set():
            done = sum(
                cluster.run(
                    lambda dask_worker: dask_worker.state.executed_count
                ).values()
            )  # type: ignore[attr-defined]
            if done > 20:
                os.kill(pids[0], signal.SIGKILL)
                killed.set()
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = spectra(traj)
        assert killed.is_set(), "all was done before"
    finally:
        killed.set()
        killer.join()
    equal(expected, found)
    assert pids[0] not in cluster.run(os.getpid).values()  # type: ignore[attr-defined]
