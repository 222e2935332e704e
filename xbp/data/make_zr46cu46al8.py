"""Make the embedded ``zr46cu46al8_md.nc`` and ``zr46cu46al8_fluctuations.nc``.

Run it as ``python -m xbp.data.make_zr46cu46al8 zr46cu46al8_trajectory.nc``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xarray as xr

import xbp
from xbp.analysis.fluctuations import PAPER_FIELDS

TITLE = "Zr46Cu46Al8 metallic glass, classical MD"


def main(source: str) -> None:
    """Compute spectra and fluctuations, and write them beside this file."""
    traj = xbp.md.open_trajectory(source)
    for name, table in (("md", spectra(traj)), ("fluctuations", fluctuations(traj))):
        path = Path(__file__).with_name(f"zr46cu46al8_{name}.nc")
        xbp.to_netcdf(table, path, overwrite=True)


def spectra(traj: xr.Dataset) -> xr.Dataset:
    """Compute S(Q,E), S(Q) and g(E), and mark the first phonon of the box."""
    sqe = traj.bp.dynamic_structure_factor(
        "8.6 1/angstrom", E_max="60 meV", window="10 ps", progress=True
    )
    g = traj.bp.vdos(E_max="60 meV", window="10 ps")
    ds: xr.Dataset = sqe.bp.mark_box_phonon(traj.bp.box_phonon())
    return ds.assign(g=g.g.variable, g_std=g.g_std.variable).assign_attrs(title=TITLE)


def fluctuations(traj: xr.Dataset) -> xr.Dataset:
    """Compare the paper's five fields and the von Mises strain."""
    table = xbp.compare_fluctuations(
        traj,
        "8.6 1/angstrom",
        fields=(*PAPER_FIELDS, "von_mises_strain"),
        E_range=("1.2 meV", "12 meV"),
        Q_range=("2.1 1/angstrom", "8.5 1/angstrom"),
        E_max="30 meV",
        window="10 ps",
        # B(E) of this box has no maximum; that of such a glass without a box is here.
        energy="3.2 meV",
        progress=True,
    )
    # Maps in single precision: their errors are in the third digit.
    small = {name: table[name].astype("float32") for name in ("Omega", "B")}
    return table.assign(small).assign_attrs(title=f"{TITLE}: local fluctuations")


if __name__ == "__main__":
    main(sys.argv[1])
