"""Makes ``zr46cu46al8_glasses.nc``: the glasses at rest behind ``zr46cu46al8``.

Run it as ``python -m xbp.data.make_zr46cu46al8_glasses FOLDER POTENTIAL GLASS …``, the
potential being ZrCuAl2011.eam.alloy. A glass is a seed, or the path of a LAMMPS data
file. Each takes about an hour of one core; repeated, the call continues; calls for
different glasses can run at the same time. Once the folder has all glasses of a call,
it writes ``zr46cu46al8_glasses.nc`` (every glass at rest, with its g(E), elastic
constants and, of three, S(Q,E) at large Q) and ``zr46cu46al8.nc`` (S(Q,E), S(Q), g(E)
and sound velocities of those of 1500 atoms).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.core.signal import label_std
from xbp.md import lattice
from xbp.md.lammps import make_glass

#: As the paper's glass (Li et al. 2025), but with shorter waits.
QUENCH: dict[str, Any] = {
    "n_atoms": 1500,
    "cooling_rate": "1e12 K/s",
    "melt": "1600 K",
    "melt_time": "30 ps",
    "relax_time": "20 ps",
    "collect_time": "0.2 ps",
}
WAVEVECTORS = 32
WIDTH = "0.2 meV"
#: Of so many glasses S(Q,E) is computed, of the others g(E).
FULL = 3
#: Of single glasses S(Q,E) is kept from here on, in 1/angstrom, on coarser edges, meV.
LEAST_Q = 2.0
EDGES = np.concatenate([np.arange(41) / 5, np.arange(9.0, 22)])
#: Larger glasses have g(E) alone, by polynomials.
LARGEST = 3000
TITLE = "Zr46Cu46Al8 metallic glass, lattice dynamics at any wave vector"


def main(folder: Path, potential: Path, *names: str) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, xr.Dataset] = {}
    elastic: list[xr.Dataset] = []
    nodes = {}
    for name in names:
        stem = Path(name).stem
        phi = springs(folder, potential, name)
        if phi.sizes["atom"] > LARGEST:
            dos = large_dos(folder, stem, phi)
        else:
            made[stem] = modes(folder, stem, phi, full=len(made) < FULL)
            elastic.append(moduli(folder, stem, phi))
            dos = made[stem].bp.bloch_vdos(WIDTH)
        nodes[f"{stem}/elastic"] = moduli(folder, stem, phi)
        if "strength" in made.get(stem, {}):
            S = made[stem].bp.bloch_structure_factor("300 K").bp.rebin(E=EDGES)
            nodes[f"{stem}/spectra"] = single(S.isel(Q=S.Q.values > LEAST_Q))
        nodes[f"{stem}/dos"] = single(dos[["g", "g_std"]])
        nodes[f"{stem}/at_rest"] = at_rest(phi)
    write(xr.DataTree.from_dict(nodes), "zr46cu46al8_glasses")
    write(spectra(made, elastic), "zr46cu46al8")


def springs(folder: Path, potential: Path, name: str) -> xr.Dataset:
    """Return the force constants of a glass."""
    path = folder / f"phi_{Path(name).stem}.nc"
    if not path.exists():
        glass = configuration(folder, potential, name)
        found = lattice.force_constants(glass, "ZrCuAl", potential=potential)
        xbp.to_netcdf(found, path)
    return xbp.open_dataset(path)


def moduli(folder: Path, stem: str, phi: xr.Dataset) -> xr.Dataset:
    """Return the elastic constants of a glass."""
    path = folder / f"elastic_{stem}.nc"
    if not path.exists():
        xbp.to_netcdf(phi.bp.elastic_constants(), path)
    return xbp.open_dataset(path).load()


def modes(folder: Path, stem: str, phi: xr.Dataset, *, full: bool) -> xr.Dataset:
    """Return the modes of a glass, with S(Q,E) if `full`; unfinished parts go on."""
    kind, Q_max = ("modes", "8.5 1/angstrom") if full else ("energies", None)
    path = folder / f"{kind}_{stem}.nc"
    if not path.exists():
        phi.bp.bloch_modes(path, WAVEVECTORS, Q_max=Q_max)
    return xbp.open_dataset(path)


def large_dos(folder: Path, stem: str, phi: xr.Dataset) -> xr.Dataset:
    """Return g(E) of a large glass; it has more modes at each of fewer k."""
    path = folder / f"dos_{stem}.nc"
    if not path.exists():
        phi.bp.kernel_polynomial_vdos(
            path, WAVEVECTORS // 4, n_vectors=6, dE=WIDTH, resolution="0.25 meV"
        )
    return xbp.open_dataset(path)


def configuration(folder: Path, potential: Path, name: str) -> xr.Dataset:
    """Return one frame of a glass: that of a file, or a new one for a seed."""
    if not name.isdigit():
        return xbp.md.open_trajectory(name, units="metal", elements=["Zr", "Cu", "Al"])
    path = folder / f"glass_{name}.nc"
    glass = (
        xbp.md.open_trajectory(path)
        if path.exists()
        else make_glass("ZrCuAl", path, potential=potential, rng=int(name), **QUENCH)
    )
    return glass.isel(time=[-1])


def spectra(made: dict[str, xr.Dataset], elastic: list[xr.Dataset]) -> xr.Dataset:
    """Return S(Q,E) and S(Q) of the glasses that have them; g(E) and sound of all."""
    full = lattice.join_modes(*(one for one in made.values() if "strength" in one))
    # Those of energies alone have no more.
    shared = [n for n in full.variables if not {"Q", "E", "species"} & {*full[n].dims}]
    names = [n for n in shared if all(n in one for one in made.values())]
    energies = [one[names] for one in made.values()]
    g = lattice.join_modes(*energies).bp.bloch_vdos(WIDTH)
    edges = np.append(g.E_bnds.values[:, 0], g.E_bnds.values[-1, 1])
    ds: xr.Dataset = full.bp.bloch_structure_factor("300 K").bp.rebin(E=edges)
    counts = f"{np.unique(full.glass).size} for S(Q,E), {len(made)} for g(E)"
    return single(
        ds.assign({name: g[name].variable for name in ("g", "g_std")})
        .assign(sound(elastic))
        .assign_attrs(title=f"{TITLE}; glasses of 1500 atoms: {counts}")
    )


def sound(elastic: list[xr.Dataset]) -> xr.Dataset:
    """Return velocities of sound and the Debye energy, their errors from the scatter.

    The Debye energy is that of the mean Debye level, which g(E)/E² (in a plane g(E)/E)
    is compared with.
    """
    d = elastic[0].attrs.get("dimension", 3)
    several = xr.concat(elastic, "glass")
    branches = ["longitudinal", "transverse"]
    velocity = xr.concat(
        [several[f"{branch}_velocity"] for branch in branches],
        xr.Variable("branch", branches),
    )
    root = len(elastic) ** 0.5
    level = d / several.debye_energy**d
    energy = (d / level.mean()) ** (1 / d)
    relative = level.std(ddof=1) / level.mean() / root / d
    ds = xr.Dataset(
        {
            "velocity": velocity.mean("glass"),
            "velocity_std": velocity.std("glass", ddof=1) / root,
            "debye_energy": energy,
            "debye_energy_std": energy * relative,
        }
    )
    for name, units, text in (
        ("velocity", "m/s", "velocity of sound"),
        ("debye_energy", "meV", "Debye energy"),
    ):
        ds[name].attrs = {"units": units, "long_name": text}
        label_std(ds, name)
    return ds


def at_rest(phi: xr.Dataset) -> xr.Dataset:
    """Return the configuration whose force constants these are."""
    rest = phi[["position", "cell", "mass", "element"]]
    rest.attrs = {"quantity": "trajectory"}
    return single(rest)


def single(ds: xr.Dataset) -> xr.Dataset:
    """Return spectra in single precision."""
    wide = [n for n in ds.data_vars if ds[n].dtype == float and ds[n].ndim]
    return ds.assign({n: ds[n].astype("float32") for n in wide})


def write(data: xr.Dataset | xr.DataTree, name: str) -> None:
    """Write a file beside this one."""
    path = Path(__file__).with_name(f"{name}.nc")
    if isinstance(data, xr.Dataset):
        data.to_netcdf(path, encoding=packed(data))
    else:
        nodes = {node.path: packed(node.to_dataset()) for node in data.subtree}
        data.to_netcdf(path, encoding=nodes)


def packed(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return how large variables are compressed; names as characters."""
    how: dict[str, Any] = {"zlib": True, "complevel": 9, "shuffle": True}
    found = {str(n): how for n in ds.data_vars if ds[n].size > 1000}
    text = [str(n) for n in ds.variables if ds[n].dtype.kind in "UO" and ds[n].ndim]
    return found | {name: {"dtype": "S1", "zlib": True} for name in text}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
