"""Makes ``silicates_raman.nc``: coarse Raman spectra of silicate glasses.

Run it as ``python -m xbp.data.make_silicates_raman ae0202.txt BD1469.txt``, two files
that come as examples with rampy (charlesll/rampy, GPL-2).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

import xbp
from xbp.io.columns import open_columns

EDGES = np.arange(26.0, 282.0, 3.0)  # cm⁻¹, about four points of the files to a bin
TITLE = "Raman spectra of two silicate glasses at room temperature"
SOURCE = "examples of charlesll/rampy (GPL-2), as means over 3 cm⁻¹; scale arbitrary"


def main(*files: str) -> None:
    """Write the table beside this file."""
    path = Path(__file__).with_name("silicates_raman.nc")
    xbp.to_netcdf(table(*files), path, overwrite=True)


def table(*files: str) -> xr.Dataset:
    """Return I(E) of the files in coarse bins, over ``sample``."""
    parts = [
        open_columns(
            file, quantity="raman_intensity", units="1", coordinate_units="1/cm",
            T="295 K",
        ).bp.rebin(E=EDGES)
        for file in files
    ]  # fmt: skip
    names = xr.Variable("sample", [Path(file).stem for file in files])
    made: xr.Dataset = xr.concat(parts, names, combine_attrs="drop_conflicts")
    made["I"] = made.I.round(2).assign_attrs(origin="measurement")
    made.attrs |= {"title": TITLE, "source": SOURCE}
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
