"""Makes ``metallic_glasses.nc``: spectra of further metallic glasses without a box.

Run it as ``python -m xbp.data.make_metallic_glasses FOLDER ZRCUAL CUZR QUENCHED``. The
first two are the potentials ZrCuAl2011.eam.alloy and CuZr_Mendelev2008.eam.fs,
``QUENCHED`` is a LAMMPS data file of Cu64.5Zr35.5, quenched at 2.8·10⁷ K/s by others. A
glass takes an hour of one core; a repeated call continues. The file has g(E) and the
elastic constants of each glass; of those made here, the configuration at rest; and of
those of 2000 atoms, S(Q,E) at large Q.
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
from xbp.md.lammps import System
from xbp.md.lammps.systems import SYSTEMS


@dataclass(frozen=True)
class Glasses:
    """Glasses of one kind: per cent of Zr, Cu and Al, size, and seeds.

    `dos` and `full` are the numbers of wave vectors of g(E), and of S(Q,E).
    """

    percent: tuple[int, int, int]
    n_atoms: int
    seeds: Iterable[int]
    dos: int
    full: int = 0

    @property
    def system(self) -> System:
        """The system with this composition."""
        parts = zip(SPECIES, self.percent, strict=True)
        composition = {element: n / 100 for element, n in parts}
        return dataclasses.replace(SYSTEMS["ZrCuAl"](), composition=composition)

    def stem(self, seed: int) -> str:
        """Return the name of one glass."""
        parts = zip(SPECIES, self.percent, strict=True)
        return "".join(f"{element}{n}" for element, n in parts) + f"_{seed}"


SPECIES = ("Zr", "Cu", "Al")
MADE = (
    Glasses((46, 46, 8), 2000, (21, 22, 23), dos=16, full=6),
    Glasses((46, 46, 8), 1500, (14, 15, 16, 17), dos=32),
    Glasses((56, 36, 8), 2000, (31,), dos=16, full=6),
)


def main(folder: Path, zrcual: Path, cuzr: Path, quenched: Path) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes: dict[str, xr.Dataset] = {}
    for glasses in MADE:
        for seed in glasses.seeds:
            nodes |= of_quench(folder, zrcual, glasses, seed)
    stem = "Cu64.5Zr35.5"
    phi = springs_of_others(folder, stem, cuzr, quenched)
    dos = large_dos(folder, stem, phi)
    nodes |= parts(stem, dos, moduli(folder, stem, phi))
    write(xr.DataTree.from_dict(nodes), "metallic_glasses")


def of_quench(
    folder: Path, potential: Path, glasses: Glasses, seed: int
) -> dict[str, xr.Dataset]:
    """Return the nodes of a glass of Zr, Cu and Al that is made here."""
    stem = glasses.stem(seed)
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


def springs_of_others(
    folder: Path, stem: str, potential: Path, quenched: Path
) -> xr.Dataset:
    """Return the force constants of the slowly quenched glass."""
    path = folder / f"phi_{stem}.nc"
    if not path.exists():
        system: System = dataclasses.replace(
            SYSTEMS["CuZr"](),
            composition={"Cu": 0.645, "Zr": 0.355},
            masses={"Cu": 63.546, "Zr": 91.224},
            pair=("pair_style eam/fs", "pair_coeff * * {potential} {species}"),
            potential="",
        )
        glass = xbp.md.open_trajectory(quenched, units="metal", elements=["Cu", "Zr"])
        found = lattice.force_constants(glass, system, potential=potential)
        xbp.to_netcdf(found, path)
    return xbp.open_dataset(path)


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
