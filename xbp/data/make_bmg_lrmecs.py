"""Makes ``bmg_lrmecs.nc``: a coarse table of a measured metallic glass.

Run it as ``python -m xbp.data.make_bmg_lrmecs bmg_LRMECS_Ei78.nxspe
vanadium_LRMECS_Ei78.nxspe``, two files reduced from raw spectra of the repository
danse-inelastic/ins-data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import xarray as xr

import xbp

ELASTIC = (-5.0, 6.0)  # meV: the line, whose FWHM is 5.8 meV
LOW_Q = (0.8, 2.4)  # 1/Å: where vanadium has the least inelastic scattering
END = 13.0  # meV: the line is zero beyond
FLAT = (15.0, 40.0)  # meV: beyond the line, only vanadium's inelastic scattering
#: Mean-square displacements per axis at 300 K, Å²: the tabulated value of vanadium
#: (B = 0.54 Å²), and the simulated value of Zr46Cu46Al8 for the glass.
U2_VANADIUM, U2_GLASS = 0.0068, 0.0134
TITLE = "bulk metallic glass, LRMECS, 78.3 meV, 300 K, elastic line subtracted"
SOURCE = "raw spectra of danse-inelastic/ins-data, in bins of 0.2 1/angstrom and 2 meV"
EDGES = np.arange(6.0, 61.0, 2.0)  # meV


def main(glass: str, vanadium: str) -> None:
    """Write the table beside this file."""
    path = Path(__file__).with_name("bmg_lrmecs.nc")
    xbp.to_netcdf(table(glass, vanadium), path, overwrite=True)


def table(glass: str, vanadium: str) -> xr.Dataset:
    """Return S(Q,E) without the elastic line, the line, and S(Q) from it."""
    sample, reference = (
        xbp.open_dataset(path).bp.angle_to_Q("0.2 1/angstrom")
        for path in (glass, vanadium)
    )
    elastic, of_vanadium = (one.bp.integrate_E(ELASTIC) for one in (sample, reference))
    # The shape of the line is that of vanadium at small Q, without the flat scattering
    # from its phonons.
    shape = reference.S.sel(Q=slice(*LOW_Q)).mean("Q")
    shape = shape - shape.sel(E=slice(*FLAT)).mean("E")
    inside = shape.sel(E=slice(*ELASTIC))
    shape = shape.where(abs(shape.E) < END, 0.0) / (float(inside.sum()) * 0.5)
    # Vanadium scatters equally at all Q, apart from its Debye-Waller factor.
    Q = sample["Q"]
    equal = of_vanadium.Sq * np.exp(Q**2 * U2_VANADIUM)
    line = elastic.Sq * shape / equal
    S = sample.S / equal - line
    relative = np.hypot(
        elastic.Sq_std / elastic.Sq, of_vanadium.Sq_std / of_vanadium.Sq
    )
    std = np.sqrt((sample.S_std / equal) ** 2 + (line * relative) ** 2)
    Sq = elastic.Sq / equal * np.exp(Q**2 * U2_GLASS)
    # S(Q) tends to 1: its mean over the oscillations beyond the third maximum is 1.
    level = float(Sq.sel(Q=slice(5.6, 8.4)).mean())
    u2 = ((), U2_GLASS, {"units": "angstrom**2"})

    def coarse(S: xr.DataArray, S_std: xr.DataArray) -> xr.Dataset:
        """Return an S(Q,E) in coarse bins, on the scale of S(Q)."""
        parts = {"S": S, "S_std": S_std}
        labelled = {
            name: (part / level).transpose("Q", "E").assign_attrs(sample[name].attrs)
            for name, part in parts.items()
        }
        whole = sample.assign(labelled).assign_coords(u2=u2)
        found: xr.Dataset = whole.bp.rebin(E=EDGES).sel(Q=slice(0.6, 11.0))
        return found

    made = coarse(S, std)
    subtracted = coarse(line, abs(line) * relative)["S"]
    label = {"units": "1", "long_name": "elastic line that was subtracted"}
    static = {"units": "1", "quantity": "static_structure_factor"}
    static |= {"long_name": "S(Q) of the elastic line", "ancillary_variables": "Sq_std"}
    near = (Sq / level).sel(Q=slice(0.6, 11.0))
    made = made.assign(
        line=(("Q", "E"), subtracted.transpose("Q", "E").values, label),
        Sq=("Q", near.values, static),
        Sq_std=("Q", (near * relative.sel(Q=slice(0.6, 11.0))).values, {"units": "1"}),
    )
    for name in ("S", "S_std", "line"):
        made[name] = made[name].astype("float32")
    made["S"].attrs["origin"] = "measurement"
    # These come from the integral over the line and from vanadium.
    for name in ("diagnostics", "source"):
        made["S"].attrs.pop(name, None)
    made.attrs |= {"title": TITLE, "source": SOURCE}
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
