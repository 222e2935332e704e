"""Large boxes, their files, glasses and clusters: one table, in about ten minutes.

``python -m benchmarks.scale [ZrCuAl2011.eam.alloy]``; without the potential the glass is
of Cu50Zr50.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys

import xbp
from benchmarks import cluster, convert, lammps, large


def main() -> None:
    """Print versions, and all measurements."""
    packages = (
        "numpy", "scipy", "xarray", "dask", "distributed", "zarr", "finufft", "lammps",
    )  # fmt: skip
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in packages
    )
    cores = len(os.sched_getaffinity(0))
    print(
        f"Python {platform.python_version()}, {versions}, xbp {xbp.__version__}; {cores} cores\n"
    )
    large.main()
    convert.main()
    lammps.main(sys.argv[1:])
    cluster.main()


if __name__ == "__main__":
    main()
