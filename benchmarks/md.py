"""The MD engine beside dynasor: ``python -m benchmarks.md``."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import xbp
from benchmarks.process import best
from xbp.md.density import slabs
from xbp.md.plan import Precision
from xbp.md.wavevectors import allowed_wavevectors

SIDE, N_ATOMS, Q_MAX = 41.144, 4000, 8.5
DENSITY = N_ATOMS / SIDE**3


def vibrating(n_frames: int, n_atoms: int, chunk: int = 50) -> xr.Dataset:
    """Return atoms at the density of the glass that vibrate, computed chunk by chunk when asked for."""
    import dask.array as da

    rng = np.random.default_rng(0)
    side = (n_atoms / DENSITY) ** (1 / 3)
    place, omega, phase = (
        side * rng.random((n_atoms, 3)),
        rng.uniform(5, 40, n_atoms),
        rng.uniform(0, 7, (n_atoms, 3)),
    )

    def frames(block_info: dict | None = None) -> np.ndarray:
        start, stop = block_info[None]["array-location"][0]
        return place + 0.1 * np.sin(
            omega[:, None] * 0.02 * np.arange(start, stop)[:, None, None] + phase
        )

    sizes = tuple(min(chunk, n_frames - i) for i in range(0, n_frames, chunk))
    position = da.map_blocks(
        frames, chunks=(sizes, (n_atoms,), (3,)), dtype=float, meta=np.empty((0, 0, 0))
    )
    return xbp.md.new_trajectory(
        position,
        time=0.02 * np.arange(n_frames),
        cell=side * np.eye(3),
        temperature=300,
    )


def density_seconds(precision: Precision, n_frames: int = 8) -> tuple[float, float]:
    """Return seconds per frame on one core for every allowed wave vector, and the largest relative error."""
    shells = allowed_wavevectors(SIDE * np.eye(3), Q_MAX, 0.05)
    scaled, weights = (
        np.random.default_rng(1).random((3, N_ATOMS)),
        np.ones((1, N_ATOMS)),
    )
    parts = slabs(shells.hkl, N_ATOMS, 1, 500, precision)

    def run() -> None:
        for part in parts:
            part.densities(n_frames, iter([(scaled, weights)] * n_frames))

    error = 0.0
    for part in parts:
        some = part.hkl[::997]
        exact = np.exp(2j * np.pi * (some @ scaled)).sum(axis=1)
        found = part.densities(1, iter([(scaled, weights)]))[0, 0, ::997]
        error = max(error, float((np.abs(found - exact) / np.sqrt(N_ATOMS)).max()))
    return best(run) / n_frames, error


def dynasor_density_seconds() -> float:
    """Return dynasor's seconds per frame for the same wave vectors, in the threads numba has."""
    from dynasor.core.reciprocal import calc_rho_q

    shells = allowed_wavevectors(SIDE * np.eye(3), Q_MAX, 0.05)
    Q = shells.hkl * (2 * np.pi / SIDE)
    position = SIDE * np.random.default_rng(1).random((N_ATOMS, 3))
    return best(lambda: calc_rho_q(position, Q), repeat=2)


def whole_seconds(n_frames: int = 240, window: int = 60) -> tuple[float, float]:
    """Return seconds from a dump on disk to S(Q,E) at every allowed wave vector.

    Xbp, dynasor.
    """
    import dynasor
    from dynasor.post_processing import get_spherically_averaged_sample_binned

    traj = vibrating(n_frames, N_ATOMS).compute()
    shells = allowed_wavevectors(traj.cell.values, Q_MAX, 0.05)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(traj.cell.values).T)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.lammpstrj")
        with path.open("w") as file:
            for number, frame in enumerate(traj.position.values):
                file.write(
                    f"ITEM: TIMESTEP\n{number}\nITEM: NUMBER OF "
                    f"ATOMS\n{N_ATOMS}\nITEM: BOX BOUNDS pp pp pp\n"
                )
                file.writelines(f"0 {side}\n" for side in np.diag(traj.cell.values))
                file.write("ITEM: ATOMS id type xu yu zu\n")
                file.writelines(
                    f"{j + 1} 1 {x:.7g} {y:.7g} {z:.7g}\n"
                    for j, (x, y, z) in enumerate(frame)
                )

        start = time.perf_counter()
        opened = xbp.md.open_trajectory(
            path, units="metal", timestep="20 fs", elements=["Cu"]
        )
        opened.bp.dynamic_structure_factor(
            Q_MAX, 0.05, window=f"{0.02 * window} ps", weights="unit"
        )
        own = time.perf_counter() - start

        start = time.perf_counter()
        peer_traj = dynasor.Trajectory(
            str(path), "lammps_internal", length_unit="Angstrom", time_unit="fs"
        )
        sample = dynasor.compute_dynamic_structure_factors(
            peer_traj, Q, dt=20, window_size=window - 1, window_step=window // 2
        )
        get_spherically_averaged_sample_binned(sample, num_q_bins=169)
        peer = time.perf_counter() - start
    return own, peer


def main() -> None:
    """Run everything and print one table."""
    import numba

    logging.disable(logging.WARNING)  # dynasor logs every step
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    peer = dynasor_density_seconds()
    numba.set_num_threads(threads)
    precisions: tuple[tuple[Precision, int], ...] = (("single", 20), ("double", 6))
    for precision, bar in precisions:
        own, error = density_seconds(precision)
        print(
            f"density of {N_ATOMS} atoms, every Q <= {Q_MAX}, one core, {precision} "
            f"(error {error:.0e}): "
            f"{1e3 * own:.1f} ms, dynasor {1e3 * peer:.0f} ms: {peer / own:.0f}x (bar "
            f"{bar}x)"
        )
    own, peer = whole_seconds()
    print(
        f"dump on disk -> S(Q,E), all cores: {own:.1f} s, dynasor {peer:.1f} s: "
        f"{peer / own:.0f}x (bar 15x)"
    )


if __name__ == "__main__":
    main()
