"""Boxes of 10⁴ to 10⁶ atoms from a Zarr store: time per frame and peak memory.

``python -m benchmarks.large [numbers of atoms]``; the stores (1.7 GB) lie in a temporary
folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import xbp
from benchmarks.md import DENSITY
from benchmarks.process import cost_of
from xbp.md.storage import write_trajectory
from xbp.md.wavevectors import allowed_wavevectors

#: Frames, those of a window, and as many as are read where each takes seconds.
FRAMES, WINDOW, FEW = 32, 8, 16
#: Frames of which the cost is estimated, too.
MANY = 128
STEP = 0.02
PER_SHELL = 20
#: Name → operation, its arguments but for the window, and its largest Q.
CASES = {
    "S(Q,E), Q <= 2": ("dynamic_structure_factor", "Q_max=2", 2.0),
    "S(Q,E), Q <= 8.5": (
        "dynamic_structure_factor",
        f"Q_max=8.5, max_wavevectors_per_shell={PER_SHELL}",
        8.5,
    ),
    "S(Q), Q <= 2": ("structure_factor", "Q_max=2", 2.0),
    "currents, Q <= 2": ("current_spectra", "Q_max=2", 2.0),
    "g(E)": ("vdos", "", 0.0),
}


def make(path: Path, n_atoms: int, n_frames: int) -> None:
    """Write atoms at the density of the glass that vibrate, with velocities."""
    import dask.array as da

    rng = np.random.default_rng(0)
    side = (n_atoms / DENSITY) ** (1 / 3)
    place = side * rng.random((n_atoms, 3))
    omega = rng.uniform(5, 40, (n_atoms, 1))
    phase = rng.uniform(0, 7, (n_atoms, 3))

    def angle(block_info: dict) -> np.ndarray:
        start, stop = block_info[None]["array-location"][0]
        return omega * STEP * np.arange(start, stop)[:, None, None] + phase

    def position(block_info: dict | None = None) -> np.ndarray:
        return place + 0.1 * np.sin(angle(block_info))

    def velocity(block_info: dict | None = None) -> np.ndarray:
        return 0.1 * omega * np.cos(angle(block_info))

    chunks = ((1,) * n_frames, (n_atoms,), (3,))
    both = (
        da.map_blocks(f, chunks=chunks, dtype=float, meta=np.empty((0, 0, 0)))
        for f in (position, velocity)
    )
    traj = xbp.md.new_trajectory(
        next(both),
        velocity=next(both),
        time=STEP * np.arange(n_frames),
        cell=side * np.eye(3),
        mass=np.full(n_atoms, 60.0),
        temperature=300,
    )
    write_trajectory(traj, path)


def opened(path: Path, n_frames: int) -> str:
    """Return the code that opens some frames; beyond those there, all once more."""
    return (
        f"import numpy as np, xarray as xr, xbp\n"
        f"traj = xbp.md.open_trajectory({str(path)!r})\n"
        f"traj = xr.concat([traj] * {-(-n_frames // FRAMES)}, 'time', "
        "data_vars='minimal', coords='minimal', compat='override', join='override')\n"
        f"traj = traj.isel(time=slice({n_frames}))\n"
        f"traj = traj.assign_coords(time=('time', {STEP} * np.arange({n_frames}), "
        "traj.time.attrs))"
    )


def arguments_of(operation: str, arguments: str) -> str:
    """Return the arguments of an operation."""
    window = "" if operation == "structure_factor" else f"window='{WINDOW * STEP} ps', "
    weights = "" if operation == "vdos" else "weights='unit', "
    folding = "" if operation == "structure_factor" else "folding=None, "
    return f"{window}{weights}{folding}{arguments}"


def cost(
    path: Path, operation: str, arguments: str, n_frames: int
) -> tuple[float, float]:
    """Return seconds and peak memory (GB) of an analysis in a process of its own."""
    given = arguments_of(operation, arguments)
    return cost_of(opened(path, n_frames), f"traj.bp.{operation}({given})")


def estimated(path: Path, operation: str, arguments: str, n_frames: int) -> float:
    """Return the seconds that `estimate` gives for it."""
    given = arguments_of(operation, arguments)
    call = f"traj.bp.estimate({operation!r}, {given})"
    code = f"{opened(path, n_frames)}\nprint({call}.time)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def frames_of(operation: str, n_frames: int) -> int:
    """Return how many frames are transformed: windows overlap by half."""
    if operation == "structure_factor":
        return n_frames
    return ((n_frames - WINDOW) // (WINDOW // 2) + 1) * WINDOW


def vectors(n_atoms: int, Q_max: float, *, some: bool) -> int:
    """Return the number of wave vectors, one of ±Q."""
    cell = (n_atoms / DENSITY) ** (1 / 3) * np.eye(3)
    most = PER_SHELL if some else None
    return len(allowed_wavevectors(cell, Q_max, 0.05, max_per_shell=most).hkl)


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table."""
    sizes = [int(float(a)) for a in arguments] or [10**4, 10**5, 10**6]
    with tempfile.TemporaryDirectory() as folder:
        for n_atoms in sizes:
            path = Path(folder, f"{n_atoms}.zarr")
            make(path, n_atoms, FRAMES)
            for name, (operation, how, Q_max) in CASES.items():
                n_frames = FEW if Q_max > 2 else FRAMES
                seconds, memory = cost(path, operation, how, n_frames)
                each = seconds / frames_of(operation, n_frames)
                line = f"{name:18s} {n_atoms:8d} atoms  {1e3 * each:9.3g} ms a frame"
                line += f"  {1e9 * each / n_atoms:7.3g} ns an atom"
                if Q_max:
                    n = vectors(n_atoms, Q_max, some=Q_max > 2)
                    line += f"  {n:8d} Q  {1e9 * each / n:8.3g} ns a Q"
                print(f"{line}  peak {memory:.2f} GB", flush=True)
            operation, how, _ = next(iter(CASES.values()))
            said = estimated(path, operation, how, MANY)
            seconds, memory = cost(path, operation, how, MANY)
            print(
                f"S(Q,E) of {MANY} frames: {seconds:.3g} s, estimate {said:.3g} s: "
                f"{said / seconds:.2f} (bar 1.5); peak {memory:.2f} GB",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
