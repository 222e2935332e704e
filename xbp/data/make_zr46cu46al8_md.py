"""Make the embedded ``zr46cu46al8_md.nc`` from the simulation's result file.

Run it as ``python -m xbp.data.make_zr46cu46al8_md zr46cu46al8_sqe.nc``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xarray as xr

import xbp
from xbp.schema import CONVENTIONS, COORDINATES, SCHEMA_VERSION, validate


def main(source: str) -> None:
    """Copy the variables into the data model and write them beside this file."""
    raw = xr.load_dataset(source)
    ds = raw[["S", "S_std", "Sq", "Sq_std", "g", "g_std"]]
    ds["Sq_std"].attrs["long_name"] = "standard deviation of S(Q)"
    ds["g_std"].attrs["long_name"] = "standard deviation of g(E)"
    for name, (_, long_name) in COORDINATES.items():
        if name in ds.coords:
            ds[name].attrs["long_name"] = long_name
    ds.attrs |= {
        "Conventions": CONVENTIONS,
        "xbp_schema": SCHEMA_VERSION,
        # The longest wave that fits the box, of energy h c_T / L: a sharp peak that is not the boson peak.
        "first_transverse_phonon_in_meV": [1.7, 2.1],
    }
    for name in ("S", "Sq", "g"):
        validate(ds[name])
    xbp.to_netcdf(ds, Path(__file__).with_name("zr46cu46al8_md.nc"), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1])
