"""Make the model glasses, and the embedded files of them.

Run it as ``python -m xbp.data.make_model_glasses FOLDER POTENTIAL [NAME …]``, the
potential being ZrCuAl2011.eam.alloy. A name is a system, which makes
``glass_<system>.nc`` (half an hour of one core for the slowest); ``series``:
``kob_andersen_series.nc``, one glass at three cooling rates and in three sizes (three
hours); or ``trajectory``: ``kob_andersen_trajectory.nc``, small enough to come along.
Trajectories that are in the folder are used again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.md.lammps import glass_transition, harmonic_vdos, make_glass, open_thermo

#: Argon's energies are a tenth of those of metals and silica: longer windows, and
#: frames further apart.
_SLOW: dict[str, Any] = {"collect_time": "200 ps", "time_between_frames": "100 fs"}
_FAST: dict[str, Any] = {
    "collect_time": "40 ps",
    "melt_time": "10 ps",
    "relax_time": "10 ps",
}
GLASSES: dict[str, dict[str, Any]] = {
    "kob_andersen": {**_SLOW, "n_atoms": 4000, "cooling_rate": "1e11 K/s"},
    "inverse_power": {**_SLOW, "n_atoms": 2000, "cooling_rate": "2e11 K/s"},
    "CuZr": {**_FAST, "n_atoms": 2000, "cooling_rate": "1e13 K/s"},
    "SiO2": {
        **_FAST,
        "n_atoms": 1998,
        "cooling_rate": "1e14 K/s",
        "melt_time": "5 ps",
        "relax_time": "5 ps",
        "collect_time": "24 ps",
        "time_between_frames": "10 fs",
    },
    "ZrCuAl": {**_FAST, "n_atoms": 2000, "cooling_rate": "1e13 K/s"},
}
#: Q_max, window, E_max, the range of the fit, the Q over which the peak and its
#: correlation are sought, and the cutoff of the neighbors: where the first minimum of
#: g(r) parts small from large atoms, or has oxygen with two neighbors only, it is that
#: of the whole first shell.
ANALYSIS: dict[
    str, tuple[str, str, str, tuple[float, float], tuple[float, float], float | None]
] = {
    "kob_andersen": ("7 1/angstrom", "40 ps", "12 meV", (0.3, 3), (1.4, 7), 5.1),
    "inverse_power": ("6 1/angstrom", "40 ps", "12 meV", (0.3, 3), (1.2, 6), 6.0),
    "CuZr": ("8 1/angstrom", "10 ps", "45 meV", (1.2, 12), (2.1, 8), None),
    "SiO2": ("8 1/angstrom", "8 ps", "100 meV", (2, 25), (1.2, 8), 3.8),
    "ZrCuAl": ("8 1/angstrom", "10 ps", "60 meV", (1.2, 12), (2.1, 8), None),
}


SERIES: dict[str, Any] = {
    "timestep": "10 fs",
    "collect_time": "200 ps",
    "time_between_frames": "100 fs",
    "progress": True,
    "Q_max": "4.2 1/angstrom",
    "window": "40 ps",
    "E_max": "8 meV",
    "Q_range": (1.4, 4.2),
    "E_range": (0.25, 1.5),
}


def main(folder: Path, potential: Path, names: list[str]) -> None:
    """Make what is named, or all glasses, and write the results beside this file."""
    for name in names or list(GLASSES):
        if name == "series":
            series(folder)
        elif name == "trajectory":
            trajectory(folder)
        else:
            glass(folder, potential, name)


def glass(folder: Path, potential: Path, name: str) -> None:
    """Make a glass, and all that is embedded of it."""
    path = folder / f"{name}.nc"
    options: dict[str, Any] = {"potential": potential} if name == "ZrCuAl" else {}
    if not path.exists():
        make_glass(name, path, progress=True, **GLASSES[name], **options)
    tree = analyse(path, name, options)
    encoding = {
        f"/{group}": {
            str(v): {"zlib": True, "complevel": 9}
            for v in node.data_vars
            if node[str(v)].ndim
        }
        for group, node in tree.children.items()
    }
    tree.to_netcdf(Path(__file__).with_name(f"glass_{name}.nc"), encoding=encoding)


def series(folder: Path) -> None:
    """Make one glass at three cooling rates, and in three sizes."""
    rates = xbp.cooling_series(
        "kob_andersen",
        ("1e12 K/s", "1e11 K/s", "1e10 K/s"),
        folder,
        n_atoms=16000,
        **SERIES,
    )
    sizes = xbp.size_series(
        "kob_andersen",
        (4000, 8000, 16000),
        folder,
        cooling_rate="1e11 K/s",
        **SERIES,
    )
    single = ("S", "S_std", "g", "g_std")
    tree = xr.DataTree.from_dict(
        {
            name: table.assign({v: table[v].astype("float32") for v in single})
            for name, table in (("cooling_rate", rates), ("n_atoms", sizes))
        }
    )
    packed = {"zlib": True, "complevel": 9, "shuffle": True}
    encoding = {f"/{name}": dict.fromkeys(single, packed) for name in tree.children}
    path = Path(__file__).with_name("kob_andersen_series.nc")
    tree.to_netcdf(path, encoding=encoding)


def trajectory(folder: Path) -> None:
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
    path = Path(__file__).with_name("kob_andersen_trajectory.nc")
    traj.to_netcdf(path, engine="netcdf4", encoding=in_16_bits(traj))


def in_16_bits(traj: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return how positions and velocities are written as 16-bit integers."""
    encoding = {}
    for name in ("position", "velocity"):
        low, high = float(traj[name].min()), float(traj[name].max())
        if name == "velocity":  # 0 stays 0, across a plane
            high = max(high, -low)
            low = -high
        encoding[name] = {
            "dtype": "int16",
            "scale_factor": (high - low) / 65000,
            "add_offset": (high + low) / 2,
            "_FillValue": np.int16(-32768),
            "zlib": True,
            "complevel": 9,
            "shuffle": True,
        }
    return encoding


def analyse(path: Path, name: str, options: dict[str, Any]) -> xr.DataTree:
    """Return all that is embedded of a glass."""
    Q_max, window, E_max, E_range, Q_range, cutoff = ANALYSIS[name]
    traj = xbp.md.open_trajectory(path)
    weights = "neutron" if name in ("CuZr", "SiO2", "ZrCuAl") else "unit"
    common: dict[str, Any] = {
        "E_max": E_max,
        "window": window,
        "E_range": E_range,
        "Q_range": Q_range,
    }
    spectra = xbp.glass_spectra(traj, Q_max, **common, weights=weights)
    # Fields are compared at the boson peak, or without one in the middle of the
    # range.
    at = (
        float(spectra.E_BP)
        if np.isfinite(spectra.E_BP)
        else float(np.sqrt(E_range[0] * E_range[1]))
    )
    fields = ("coordination", "volumetric_strain", "shear_strain")
    table = xbp.compare_fluctuations(
        traj, Q_max, fields=fields, cutoff=cutoff, energy=at, **common, weights=weights
    )
    width = 0.1 if name in ("kob_andersen", "inverse_power") else 0.5
    thermo = open_thermo(path)
    parts = {
        "spectra": spectra,
        "fluctuations": table,
        "harmonic": harmonic_vdos(
            traj.isel(time=[-1]), name, dE=width, **options
        ).drop_vars("temperature", errors="ignore"),
        "thermodynamics": thermo.isel(
            time=slice(None, None, max(1, thermo.sizes["time"] // 1000))
        ),
        "transition": glass_transition(thermo),
    }
    single = {
        key: ds.assign(
            {
                v: ds[v].astype("float32")
                for v in ds.data_vars
                if ds[v].dtype == float and ds[v].ndim > 0
            }
        )
        for key, ds in parts.items()
    }
    return xr.DataTree.from_dict(single)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
