"""How the cost of S(Q,E) grows with frames, atoms and Q_max.

``python -m benchmarks.scaling [docs/md_scaling.csv]`` prints processor time and peak
memory of each call; ``docs/make_md_scaling.py`` draws the table.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.process import cost_of, versions

#: Values of what varies, and frames, atoms and Q_max with each of them.
SERIES: dict[
    str, tuple[tuple[int, ...], Callable[[int], tuple[int, int, float]]]
] = {
    "frames": ((1000, 2000, 4000, 8000), lambda x: (x, 1000, 4.0)),
    "atoms": ((1000, 4000, 16_000, 64_000), lambda x: (400, x, 2.0)),
    "Q_max": ((2, 4, 6, 8), lambda x: (400, 4000, x)),
}  # fmt: skip


def cost(n_frames: int, n_atoms: int, q_max: float) -> tuple[float, float]:
    """Return processor time (s) and peak memory (GB) of one S(Q,E) in a process of its own."""
    return cost_of(
        f"import benchmarks.md as m\ntraj = m.vibrating({n_frames}, {n_atoms})",
        f"traj.bp.dynamic_structure_factor({q_max}, 0.05, window='4 ps', "
        "weights='unit')",
        clock="process_time",
    )


def main(path: Path | None) -> None:
    """Measure and print, and write the table if a path is given."""
    rows = []
    for name, (values, arguments) in SERIES.items():
        for value in values:
            seconds, memory = cost(*arguments(value))
            print(
                f"{name} = {value}: {seconds:.2f} s, peak {memory:.2f} GB", flush=True
            )
            rows.append((name, value, f"{seconds:.2f}", f"{memory:.3f}"))
    if path is not None:
        with path.open("w", newline="") as file:
            file.write(f"# python -m benchmarks.scaling {path}: {versions()}\n")
            csv.writer(file, lineterminator="\n").writerows(
                [("series", "value", "processor_s", "peak_GB"), *rows]
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
