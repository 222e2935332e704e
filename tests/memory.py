"""How much memory a process has held at most, as Linux counts it."""

from __future__ import annotations

import os

import pytest

needs_linux = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"),
    reason="memory is read as Linux gives it",
)


def forget_peak() -> None:
    """Let the peak of this process's memory begin anew."""
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")


def peak_memory() -> int:
    """Return the most that this process has held in memory, in bytes."""
    with open("/proc/self/status") as stream:
        lines = dict(line.split(":", 1) for line in stream)
    return int(lines["VmHWM"].split()[0]) * 1024
