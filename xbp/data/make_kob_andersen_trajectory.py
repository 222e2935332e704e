"""Make the embedded ``kob_andersen_trajectory.nc``: a glass small enough to come along.

Run it as ``python -m xbp.data.make_kob_andersen_trajectory FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from xbp.md.lammps import make_glass


def main(folder: Path) -> None:
    """Make 400 atoms, and keep them in 16 bits: steps of half a milliångström."""
    traj = make_glass(
        "kob_andersen",
        folder / "kob_andersen_400.nc",
        n_atoms=400,
        cooling_rate="1e11 K/s",
        collect_time="40 ps",
        time_between_frames="100 fs",
        progress=True,
    ).load()
    encoding = {}
    for name in ("position", "velocity"):
        low, high = float(traj[name].min()), float(traj[name].max())
        encoding[name] = {
            "dtype": "int16",
            "scale_factor": (high - low) / 65000,
            "add_offset": (high + low) / 2,
            "_FillValue": np.int16(-32768),
            "zlib": True,
            "complevel": 9,
            "shuffle": True,
        }
    traj.to_netcdf(
        Path(__file__).with_name("kob_andersen_trajectory.nc"),
        engine="netcdf4",
        encoding=encoding,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
