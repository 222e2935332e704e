"""Makes ``kob_andersen_2d.nc``: glasses in two dimensions.

Run it as ``python -m xbp.data.make_kob_andersen_2d FOLDER``; it takes half an hour of
one core, and continues if repeated. ``kob_andersen_2d.nc`` has S(Q,E), S(Q), g(E),
sound velocities, currents and the shear strain's Ω(Q,E) without a box, averaged over
all glasses; of each glass the atoms at rest and g(E); and of the first a trajectory,
g(E) of a longer one, and the thermodynamics of its quench.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import xarray as xr

import xbp
from xbp.data.make_model_glasses import in_16_bits
from xbp.data.make_zr46cu46al8_glasses import packed, single, sound
from xbp.md import lattice
from xbp.md.lammps import collect, make_glass, open_thermo

NAME = "kob_andersen_2d"
GLASSES = 4
QUENCH: dict[str, Any] = {
    "n_atoms": 500,
    "cooling_rate": "2e11 K/s",
    "timestep": "10 fs",
    "melt_time": "20 ps",
    "relax_time": "20 ps",
    "collect_time": "12 ps",
    "time_between_frames": "100 fs",
}
MOTION: dict[str, Any] = {
    "relax_time": "20 ps",
    "collect_time": "120 ps",
    "timestep": "10 fs",
    "time_between_frames": "100 fs",
}
MODES: dict[str, Any] = {
    "n_wavevectors": 12,
    "Q_max": "4.5 1/angstrom",
    "dQ": "0.1 1/angstrom",
    "dE": "0.1 meV",
    "strain": True,
    "max_wavevectors_per_shell": 200,
}
#: Sound waves disperse by 4.4 meV·Å, so that of long ones thin shells are needed.
LONG_WAVES: dict[str, Any] = {
    "n_wavevectors": 12,
    "Q_max": "1.2 1/angstrom",
    "dQ": "0.04 1/angstrom",
    "dE": "0.05 meV",
}
TEMPERATURE = "6 K"


def main(folder: Path) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, list[xr.Dataset]] = {"modes": [], "long_waves": []}
    elastic, nodes = [], {}
    for seed in range(1, GLASSES + 1):
        path = folder / f"glass_{seed}.nc"
        if not path.exists():
            make_glass(NAME, path, rng=seed, **QUENCH)
        glass = xbp.md.open_trajectory(path)
        phi = lattice.force_constants(glass.isel(time=[-1]), NAME)
        elastic.append(phi.bp.elastic_constants())
        for kind, options in (("modes", MODES), ("long_waves", LONG_WAVES)):
            path = folder / f"{kind}_{seed}.nc"
            if not path.exists():
                phi.bp.bloch_modes(path, rng=seed, **options)
            made[kind].append(xbp.open_dataset(path))
        dos = made["modes"][-1].bp.bloch_vdos(MODES["dE"])
        rest = phi[["position", "cell", "mass", "element"]]
        rest.attrs = {"quantity": "trajectory", "dimension": 2}
        nodes[f"glass_{seed}/dos"] = single(dos[["g", "g_std"]])
        nodes[f"glass_{seed}/at_rest"] = single(rest)
    modes, long_waves = (lattice.join_modes(*several) for several in made.values())
    nodes["spectra"] = spectra(modes).assign(sound(elastic))
    nodes["currents"] = single(modes.bp.bloch_currents(TEMPERATURE))
    nodes["long_waves"] = single(long_waves.bp.bloch_currents(TEMPERATURE))
    nodes["shear_strain"] = single(modes.bp.bloch_fluctuations("shear_strain"))
    first = xbp.md.open_trajectory(folder / "glass_1.nc")
    nodes["trajectory"] = first.isel(time=slice(100)).load()
    nodes["md"] = md_spectra(folder)
    thermo = open_thermo(folder / "glass_1.nc")
    nodes["thermodynamics"] = single(thermo.isel(time=slice(None, None, 10)))
    tree = xr.DataTree.from_dict(nodes)
    how = {node.path: packed(node.to_dataset()) for node in tree.subtree}
    how["/trajectory"] |= in_16_bits(tree["trajectory"].to_dataset())
    tree.to_netcdf(Path(__file__).with_name(f"{NAME}.nc"), encoding=how)


def md_spectra(folder: Path) -> xr.Dataset:
    """Return g(E) of the moving atoms of the first glass, with its box phonon."""
    path = folder / "md_1.nc"
    if not path.exists():
        last = xbp.md.open_trajectory(folder / "glass_1.nc").isel(time=[-1])
        collect(last, NAME, path, **MOTION)
    traj = xbp.md.open_trajectory(path)
    g = traj.bp.vdos(E_max="13 meV", window="40 ps")
    return single(g.bp.mark_box_phonon(traj.bp.box_phonon(window="40 ps")))


def spectra(modes: xr.Dataset) -> xr.Dataset:
    """Return S(Q,E), S(Q) and g(E)."""
    g = modes.bp.bloch_vdos(MODES["dE"])
    # Its bins end with the highest mode, those of S(Q,E) a little above.
    sqe = modes.bp.bloch_structure_factor(TEMPERATURE, weights="unit")
    ds: xr.Dataset = sqe.isel(E=slice(g.sizes["E"]))
    ds = ds.assign({name: g[name].variable for name in ("g", "g_std")})
    title = f"two-dimensional Kob-Andersen glass, {GLASSES} of 500 atoms"
    return single(ds.assign_attrs(title=f"{title}, lattice dynamics"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
