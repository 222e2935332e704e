"""Make the embedded ``kob_andersen_series.nc``.

One glass at three cooling rates, and in three sizes.

Run it as ``python -m xbp.data.make_kob_andersen_series FOLDER``: trajectories that
are in the folder are used again. It takes some three hours of one core; the slowest
quench half of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import xarray as xr

import xbp

COOLING_RATES = ("1e12 K/s", "1e11 K/s", "1e10 K/s")
SIZES = (4000, 8000, 16000)
GLASS: dict[str, Any] = {
    "timestep": "10 fs",
    "collect_time": "200 ps",
    "time_between_frames": "100 fs",
    "progress": True,
}
ANALYSIS: dict[str, Any] = {
    "Q_max": "4.2 1/angstrom",
    "window": "40 ps",
    "E_max": "8 meV",
    "Q_range": (1.4, 4.2),
    "E_range": (0.25, 1.5),
}


def main(folder: Path) -> None:
    """Make both series, and write them beside this file."""
    rates = xbp.cooling_series(
        "kob_andersen", COOLING_RATES, folder, n_atoms=16000, **ANALYSIS, **GLASS
    )
    sizes = xbp.size_series(
        "kob_andersen", SIZES, folder, cooling_rate="1e11 K/s", **ANALYSIS, **GLASS
    )
    tree = xr.DataTree.from_dict(
        {
            name: series.assign(
                {v: series[v].astype("float32") for v in ("S", "S_std", "g", "g_std")}
            )
            for name, series in (("cooling_rate", rates), ("n_atoms", sizes))
        }
    )
    packed = {"zlib": True, "complevel": 9, "shuffle": True}
    encoding = {
        f"/{name}": dict.fromkeys(("S", "S_std", "g", "g_std"), packed)
        for name in tree.children
    }
    tree.to_netcdf(
        Path(__file__).with_name("kob_andersen_series.nc"), encoding=encoding
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
