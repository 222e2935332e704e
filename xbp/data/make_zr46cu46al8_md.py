"""Make the embedded ``zr46cu46al8_md.nc`` from the trajectory.

Run it as ``python -m xbp.data.make_zr46cu46al8_md zr46cu46al8_trajectory.nc``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xbp


def main(source: str) -> None:
    """Compute S(Q,E), S(Q) and g(E), mark the first phonon of the box, write all."""
    traj = xbp.md.open_trajectory(source)
    sqe = traj.bp.dynamic_structure_factor(
        "8.6 1/angstrom", E_max="60 meV", window="10 ps", progress=True
    )
    g = traj.bp.vdos(E_max="60 meV", window="10 ps")
    ds = sqe.bp.mark_box_phonon(traj.bp.box_phonon()).assign(
        g=g.g.variable, g_std=g.g_std.variable
    )
    ds.attrs["title"] = "Zr46Cu46Al8 metallic glass, classical MD"
    xbp.to_netcdf(ds, Path(__file__).with_name("zr46cu46al8_md.nc"), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1])
