"""Makes ``metallic_glasses.nc``: spectra of further metallic glasses without a box.

Run it as ``python -m xbp.data.make_metallic_glasses FOLDER ZRCUAL CUZR QUENCHED BOX``.
The first two are the potentials ZrCuAl2011.eam.alloy and CuZr_Mendelev2008.eam.fs;
``QUENCHED`` is a LAMMPS data file of Cu64.5Zr35.5, quenched at 2.8·10⁷ K/s by others,
``BOX`` one of the 10 000 atoms of Zr46Cu46Al8. A glass takes an hour of one core; a
repeated call continues. The file has g(E) and the elastic constants of each glass; of
those made here, the configuration at rest; of those of Zr, Cu and Al of 2000 atoms,
S(Q,E) at large Q; and of the 10 000 atoms, g(E) at several temperatures.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

import xbp
from xbp.data.make_kob_andersen_glasses import springs
from xbp.data.make_zr46cu46al8_glasses import (
    EDGES,
    LEAST_Q,
    QUENCH,
    WIDTH,
    at_rest,
    large_dos,
    moduli,
    single,
    write,
)
from xbp.md import lattice
from xbp.md.lammps import System, collect
from xbp.md.lammps.systems import SYSTEMS

#: Finnis-Sinclair potential of Mendelev et al., Philos. Mag. 89, 967 (2009).
COPPER_ZIRCONIUM = dataclasses.replace(
    SYSTEMS["CuZr"](),
    masses={"Cu": 63.546, "Zr": 91.224},
    pair=("pair_style eam/fs", "pair_coeff * * {potential} {species}"),
    potential="",
)


@dataclass(frozen=True)
class Glasses:
    """Glasses of one kind: composition in per cent, size, and seeds.

    `dos` and `full` are the numbers of wave vectors of g(E), and of S(Q,E).
    """

    percent: dict[str, float]
    n_atoms: int
    seeds: Iterable[int]
    dos: int
    full: int = 0

    @property
    def name(self) -> str:
        """The formula."""
        return "".join(f"{element}{n:g}" for element, n in self.percent.items())

    @property
    def system(self) -> System:
        """The system with this composition."""
        base = SYSTEMS["ZrCuAl"]() if "Al" in self.percent else COPPER_ZIRCONIUM
        composition = {element: n / 100 for element, n in self.percent.items()}
        return dataclasses.replace(base, composition=composition)


SLOW = "Cu64.5Zr35.5"
MADE = (
    Glasses({"Zr": 46, "Cu": 46, "Al": 8}, 2000, (21, 22, 23), dos=16, full=6),
    Glasses({"Zr": 46, "Cu": 46, "Al": 8}, 1500, (14, 15, 16, 17), dos=32),
    Glasses({"Zr": 56, "Cu": 36, "Al": 8}, 2000, (31,), dos=16, full=6),
    Glasses({"Cu": 64.5, "Zr": 35.5}, 2000, (41,), dos=16),
)
#: Of the run of the 10 000 atoms, K.
TEMPERATURES = (20, 100, 200, 300)


def main(folder: Path, zrcual: Path, cuzr: Path, quenched: Path, large: Path) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes: dict[str, xr.Dataset] = {}
    for glasses in MADE:
        potential = zrcual if "Al" in glasses.percent else cuzr
        for seed in glasses.seeds:
            nodes |= of_quench(folder, potential, glasses, seed)
    phi = springs_of_others(folder, cuzr, quenched)
    dos = large_dos(folder, SLOW, phi)
    nodes |= parts(SLOW, dos, moduli(folder, SLOW, phi))
    nodes["Zr46Cu46Al8_10000/heated"] = heated(folder, zrcual, large)
    write(xr.DataTree.from_dict(nodes), "metallic_glasses")


def of_quench(
    folder: Path, potential: Path, glasses: Glasses, seed: int
) -> dict[str, xr.Dataset]:
    """Return the nodes of a glass that is made here."""
    stem = f"{glasses.name}_{seed}"
    how: dict[str, Any] = {"n_atoms": glasses.n_atoms, "rng": seed}
    how |= {"potential": potential}
    phi = springs(folder, stem, glasses.system, **QUENCH | how)
    energies = modes(folder, "energies", stem, phi, glasses.dos)
    dos = energies.bp.bloch_vdos(WIDTH)
    nodes = parts(stem, dos, moduli(folder, stem, phi))
    if glasses.full:
        found = modes(folder, "modes", stem, phi, glasses.full, "8.5 1/angstrom")
        S = found.bp.bloch_structure_factor("300 K").bp.rebin(E=EDGES)
        nodes[f"{stem}/spectra"] = single(S.isel(Q=S.Q.values > LEAST_Q))
    return nodes | {f"{stem}/at_rest": at_rest(phi)}


def modes(
    folder: Path,
    kind: str,
    stem: str,
    phi: xr.Dataset,
    n: int,
    Q_max: str | None = None,
) -> xr.Dataset:
    """Return modes at `n` wave vectors; unfinished ones go on."""
    path = folder / f"{kind}_{stem}.nc"
    if not path.exists():
        phi.bp.bloch_modes(path, n, Q_max=Q_max)
    return xbp.open_dataset(path)


def parts(stem: str, dos: xr.Dataset, elastic: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the nodes of a glass."""
    return {f"{stem}/dos": single(dos[["g", "g_std"]]), f"{stem}/elastic": elastic}


def springs_of_others(folder: Path, potential: Path, quenched: Path) -> xr.Dataset:
    """Return the force constants of the slowly quenched glass."""
    path = folder / f"phi_{SLOW}.nc"
    if not path.exists():
        glass = xbp.md.open_trajectory(quenched, units="metal", elements=["Cu", "Zr"])
        system = MADE[-1].system
        found = lattice.force_constants(glass, system, potential=potential)
        xbp.to_netcdf(found, path)
    return xbp.open_dataset(path)


def heated(folder: Path, potential: Path, large: Path) -> xr.Dataset:
    """Return g(E) of 60 ps of molecular dynamics at several temperatures."""
    start = xbp.md.open_trajectory(large, units="metal", elements=[*MADE[0].percent])
    spectra = []
    for T in TEMPERATURES:
        path = folder / f"T{T}.nc"
        run = (
            xbp.md.open_trajectory(path)
            if path.exists()
            else collect(
                start,
                "ZrCuAl",
                path,
                potential=potential,
                temperature=f"{T} K",
                relax_time="20 ps",
                collect_time="60 ps",
                time_between_frames="40 fs",
            )
        )
        g = run.bp.vdos(window="10 ps")
        spectra.append(single(g[["g", "g_std"]]).assign_coords(temperature=float(T)))
    return xr.concat(spectra, "temperature", combine_attrs="drop_conflicts")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
