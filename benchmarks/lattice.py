"""Lattice dynamics at any wave vector: seconds for one k, by precision and by range of modes.

``OMP_NUM_THREADS=1 python -m benchmarks.lattice [n_atoms]`` makes a Kob-Andersen glass and times each part
alone. No other public package computes this for a glass.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xbp
from xbp.md.chebyshev import number_of_moments
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.modes import bloch_modes
from xbp.md.lattice.product import random_moments
from xbp.md.lattice.strengths import Bins, mode_strengths


def timed(what: str, function: Callable[[], Any]) -> Any:
    """Print how long a call took, and return its answer."""
    start = time.perf_counter()
    answer = function()
    print(f"{what:<52}{time.perf_counter() - start:>9.1f} s", flush=True)
    return answer


def main(n_atoms: int = 1000) -> None:
    """Time the parts of one wave vector."""
    with tempfile.TemporaryDirectory() as folder:
        glass = xbp.md.lammps.make_glass(
            "kob_andersen",
            Path(folder) / "glass.nc",
            n_atoms=n_atoms,
            cooling_rate="1e13 K/s",
            collect_time="0.2 ps",
            time_between_frames="50 fs",
        ).isel(time=[-1])
        phi = timed(
            f"force constants of {n_atoms} atoms",
            lambda: xbp.md.lattice.force_constants(glass, "kob_andersen"),
        )
    trajectory, springs = read_force_constants(phi)
    k = np.array([0.03, 0.02, 0.05])
    exact, _ = timed("all modes, double", lambda: bloch_modes(springs, k))
    energy, vectors = timed(
        "all modes, single", lambda: bloch_modes(springs, k, dtype=np.complex64)
    )
    timed(
        "energies alone, single",
        lambda: bloch_modes(springs, k, dtype=np.complex64, vectors=False),
    )
    lowest = float(exact[exact.size // 10])
    timed(
        "the lowest tenth, single",
        lambda: bloch_modes(springs, k, dtype=np.complex64, E_max=lowest),
    )
    names, index = np.unique(trajectory.elements(), return_inverse=True)
    groups = (index == np.arange(names.size)[:, None]).astype(float)
    bins = Bins(np.arange(0, 6.01, 0.05), np.arange(0, 1.05 * exact[-1], 0.1), 25)
    rng = np.random.default_rng(0)
    timed(
        "S(Q,E), C_L, C_T at 25 Q of 120 shells",
        lambda: mode_strengths(springs, k, energy, vectors, groups, bins, None, rng),
    )
    timed(
        "g(E) by polynomials, 8 vectors, 0.2 meV",
        lambda: random_moments(
            springs, k, 8, number_of_moments(1.05 * exact[-1], 0.085), 1.05 * exact[-1],
            rng,
        ),
    )  # fmt: skip
    off = np.abs(energy - exact) / exact
    print(
        f"single precision is off by {np.median(off):.1e} (median), {off.max():.1e} (most)"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"memory {memory:.2f} GB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
