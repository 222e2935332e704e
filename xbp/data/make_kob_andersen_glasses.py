"""Makes ``kob_andersen_glasses.nc``: Kob-Andersen glasses without a box.

Run it as ``python -m xbp.data.make_kob_andersen_glasses FOLDER``; it takes four hours
of one core, and continues if repeated. The file has, for two sizes and for slower
quenches, S(Q,E), S(Q), g(E) and sound velocities, averaged over the glasses, and g(E)
of each glass, of those of 1000 atoms at more wave vectors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.data.make_zr46cu46al8_glasses import moduli, single, sound, write
from xbp.md import lattice
from xbp.md.lammps import System, make_glass


@dataclass(frozen=True)
class Glasses:
    """Glasses of one kind: size, rate of the quench in K/s, and seeds.

    g(E) is computed at `k` wave vectors, S(Q,E) of the first three glasses at
    ten. Where `k` is 0 these are used for g(E) too.
    """

    n_atoms: int
    rate: str
    seeds: range
    k: int = 96

    @property
    def name(self) -> str:
        """The name of their node; the usual rate is left out."""
        return f"{self.n_atoms}" + f"_{self.rate}" * (self.rate != "1e12")


NAME = "kob_andersen_glasses"
MADE = (
    Glasses(1000, "1e12", range(1, 17), k=16),
    Glasses(2000, "1e12", range(1, 3), k=0),
    Glasses(1000, "1e11", range(1, 4)),
    Glasses(1000, "1e10", range(1, 4)),
)
QUENCH: dict[str, Any] = {"collect_time": "0.2 ps", "time_between_frames": "50 fs"}
FULL, WAVEVECTORS, Q_MAX = 3, 10, "7 1/angstrom"
#: meV.
EDGES = np.concatenate([np.arange(31) / 10, np.arange(13.0, 33) / 4])
#: Of S(Q,E), 1/angstrom.
LEAST_Q = 1.4
TEMPERATURE = "10 K"


def main(folder: Path) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes: dict[str, xr.Dataset] = {}
    for glasses in MADE:
        nodes |= of_kind(folder, glasses)
    write(xr.DataTree.from_dict(nodes), NAME)


def of_kind(folder: Path, glasses: Glasses) -> dict[str, xr.Dataset]:
    """Return the nodes of glasses of one kind."""
    made, energies, elastic = [], [], []
    nodes: dict[str, xr.Dataset] = {}
    for i, seed in enumerate(glasses.seeds):
        stem = f"{glasses.name}_{seed}"
        how = {"n_atoms": glasses.n_atoms, "cooling_rate": f"{glasses.rate} K/s"}
        phi = springs(folder, stem, "kob_andersen", **QUENCH | how, rng=seed)
        elastic.append(moduli(folder, stem, phi))
        if i < FULL:
            made.append(modes_of(phi, folder / f"modes_{stem}.nc", WAVEVECTORS, Q_MAX))
        if glasses.k:
            energies.append(modes_of(phi, folder / f"energies_{stem}.nc", glasses.k))
        own = energies if glasses.k else made
        nodes[f"{glasses.name}/glass_{seed}"] = density_of_states(own[-1])
    modes = lattice.join_modes(*made)
    g = density_of_states(lattice.join_modes(*(energies or made)))
    ds = modes.bp.bloch_structure_factor(TEMPERATURE, weights="unit")
    ds = ds.isel(Q=ds.Q.values > LEAST_Q).bp.rebin(E=EDGES)
    ds = ds.assign({name: g[name].variable for name in ("g", "g_std")})
    return nodes | {f"{glasses.name}/spectra": single(ds.assign(sound(elastic)))}


def modes_of(
    phi: xr.Dataset, path: Path, k: int, Q_max: str | None = None
) -> xr.Dataset:
    """Return the modes at k wave vectors, with S(Q,E) up to Q_max if that is given."""
    if not path.exists():
        phi.bp.bloch_modes(path, k, Q_max=Q_max)
    return xbp.open_dataset(path)


def density_of_states(modes: xr.Dataset) -> xr.Dataset:
    """Return g(E) on the edges of what is embedded."""
    return single(modes.bp.bloch_vdos("0.1 meV")[["g", "g_std"]].bp.rebin(E=EDGES))


def springs(folder: Path, stem: str, system: str | System, **quench: Any) -> xr.Dataset:
    """Return the force constants of a glass, which is made if it is not there."""
    path = folder / f"phi_{stem}.nc"
    if not path.exists():
        run = folder / f"glass_{stem}.nc"
        if not run.exists():
            make_glass(system, run, **quench)
        glass = xbp.md.open_trajectory(run).isel(time=[-1])
        potential = quench.get("potential")
        found = lattice.force_constants(glass, system, potential=potential)
        xbp.to_netcdf(found, path)
    return xbp.open_dataset(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
