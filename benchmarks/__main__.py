"""All tables, one after the other: ``python -m benchmarks [POTENTIAL]``.

POTENTIAL is ZrCuAl2011.eam.alloy; without it the glass is of Cu50Zr50. One of them alone
is, for instance, ``python -m benchmarks.fits``.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.process import versions

SECTIONS = (
    "spectra", "fits", "files", "md", "scaling", "strain", "lattice", "large",
    "convert", "lammps", "cluster",
)  # fmt: skip


def main(potential: list[str]) -> int:
    """Run each in a process of its own; return how many failed."""
    failed = 0
    print(versions(), flush=True)
    for name in SECTIONS:
        print(f"\n{name}", flush=True)
        given = potential if name == "lammps" else []
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *given], check=False
        )
        failed += done.returncode != 0
        print(f"({time.perf_counter() - begin:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
