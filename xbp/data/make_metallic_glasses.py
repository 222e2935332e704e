"""Makes ``metallic_glasses.nc``: spectra of further metallic glasses without a box.

Run it as ``python -m xbp.data.make_metallic_glasses FOLDER ZRCUAL CUZR QUENCHED``. The
first two are the potentials ZrCuAl2011.eam.alloy and CuZr_Mendelev2008.eam.fs,
``QUENCHED`` is a LAMMPS data file of Cu64.5Zr35.5, quenched at 2.8·10⁷ K/s by others. A
glass takes an hour of one core; a repeated call continues. The file has g(E) and the
elastic constants of each glass, and of those of 2000 atoms, which are made here, the
configuration at rest and S(Q,E) at large Q.
"""

from __future__ import annotations

import dataclasses
import sys
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

#: Composition in per cent → seeds of its glasses, of 2000 atoms each.
GLASSES = {(46, 46, 8): (21, 22), (56, 36, 8): (31,)}
#: Wave vectors of g(E), and of S(Q,E).
WAVEVECTORS, FULL = 16, 6


def main(folder: Path, zrcual: Path, cuzr: Path, quenched: Path) -> None:
    """Make the glasses and their modes in a folder, and write what is embedded."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes: dict[str, xr.Dataset] = {}
    for percent, seeds in GLASSES.items():
        for seed in seeds:
            nodes |= of_quench(folder, zrcual, percent, seed)
    stem = "Cu64.5Zr35.5"
    phi = springs_of_others(folder, stem, cuzr, quenched)
    dos = large_dos(folder, stem, phi)
    nodes |= parts(stem, dos, moduli(folder, stem, phi))
    write(xr.DataTree.from_dict(nodes), "metallic_glasses")


def of_quench(
    folder: Path, potential: Path, percent: tuple[int, ...], seed: int
) -> dict[str, xr.Dataset]:
    """Return the nodes of a glass of Zr, Cu and Al that is made here."""
    fractions = dict(zip(("Zr", "Cu", "Al"), percent, strict=True))
    name = "".join(f"{element}{n}" for element, n in fractions.items())
    composition = {element: n / 100 for element, n in fractions.items()}
    system = dataclasses.replace(SYSTEMS["ZrCuAl"](), composition=composition)
    stem = f"{name}_{seed}"
    how: dict[str, Any] = {"n_atoms": 2000, "rng": seed, "potential": potential}
    phi = springs(folder, stem, system, **QUENCH | how)
    made = {}
    for kind, n, Q_max in (
        ("energies", WAVEVECTORS, None),
        ("modes", FULL, "8.5 1/angstrom"),
    ):
        path = folder / f"{kind}_{stem}.nc"
        if not path.exists():
            phi.bp.bloch_modes(path, n, Q_max=Q_max)
        made[kind] = xbp.open_dataset(path)
    dos = made["energies"].bp.bloch_vdos(WIDTH)
    S = made["modes"].bp.bloch_structure_factor("300 K").bp.rebin(E=EDGES)
    return parts(stem, dos, moduli(folder, stem, phi)) | {
        f"{stem}/spectra": single(S.isel(Q=S.Q.values > LEAST_Q)),
        f"{stem}/at_rest": at_rest(phi),
    }


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
