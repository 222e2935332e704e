"""Make the embedded ``zr46cu46al8_fluctuations.nc`` from the trajectory.

Run it as ``python -m xbp.data.make_zr46cu46al8_fluctuations
zr46cu46al8_trajectory.nc``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xbp
from xbp.analysis.fluctuations import PAPER_FIELDS


def main(source: str) -> None:
    """Compare the paper's five fields and the von Mises strain, and write the table."""
    table = xbp.compare_fluctuations(
        xbp.md.open_trajectory(source),
        "8.6 1/angstrom",
        fields=(*PAPER_FIELDS, "von_mises_strain"),
        E_range=("1.2 meV", "12 meV"),
        Q_range=("2.1 1/angstrom", "8.5 1/angstrom"),
        E_max="30 meV",
        window="10 ps",
        progress=True,
    )
    table.attrs["title"] = (
        "Zr46Cu46Al8 metallic glass, classical MD: local fluctuations"
    )
    # Maps in single precision: their errors are in the third digit.
    small = table.assign(
        {name: table[name].astype("float32") for name in ("Omega", "B")}
    )
    xbp.to_netcdf(
        small, Path(__file__).with_name("zr46cu46al8_fluctuations.nc"), overwrite=True
    )


if __name__ == "__main__":
    main(sys.argv[1])
