"""Make the five model glasses, and the embedded ``glass_<system>.nc`` of each.

Run it as ``python -m xbp.data.make_model_glasses FOLDER ZrCuAl2011.eam.alloy [SYSTEM
…]``: trajectories that are in the folder are used again. The slowest takes half an
hour of one core.
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


def main(folder: Path, potential: Path, systems: list[str]) -> None:
    """Make and compare them, and write the results beside this file."""
    for name in systems or list(GLASSES):
        path = folder / f"{name}.nc"
        options: dict[str, Any] = {"potential": potential} if name == "ZrCuAl" else {}
        if not path.exists():
            make_glass(name, path, progress=True, **GLASSES[name], **options)
        tree = analyse(path, name, options)
        encoding = {
            str(group): {
                str(v): {"zlib": True, "complevel": 9}
                for v in node.data_vars
                if node[str(v)].ndim
            }
            for group, node in tree.children.items()
        }
        tree.to_netcdf(
            Path(__file__).with_name(f"glass_{name}.nc"),
            encoding={f"/{g}": e for g, e in encoding.items()},
        )


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
