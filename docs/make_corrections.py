"""Draws docs/images/corrections.png and prints the residuals of docs/corrections.md.

Usage: python docs/make_corrections.py FOLDER, with the measured files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from one_column import STYLE, save
from scipy.ndimage import gaussian_filter1d

import xbp
from xbp.plot.style import BLUE, GREY, ORANGE

mpl.use("Agg")
FWHM, ZERO = 4.0, 0.5  # of the elastic line in the vanadium data, meV


def broadened(reference: xr.DataArray, at: xr.DataArray) -> np.ndarray:
    """Return a density of states as the instrument would see it.

    Its resolution and its zero of E.
    """
    E = np.arange(-80, 80.05, 0.1)
    density = gaussian_filter1d(
        np.interp(np.abs(E), reference.E, reference, right=0.0), FWHM / 2.3548 / 0.1
    )
    return np.interp(at - ZERO, E, density / (density[E > 0].sum() * 0.1))


def main(folder: Path) -> None:
    """Draw and print."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.6, 3.1))
    vanadium = xbp.open_dataset(folder / "V_ARCS_Ei120_iqe.h5")
    table = xr.open_dataset(
        folder / "V-dos.dat", engine="columns",
        quantity="vibrational_dos", units="1", coordinate="E", coordinate_units="THz",
    ).bp.convert(E="meV")  # fmt: skip
    options = {"T": "300 K", "E_range": ("6.7 meV", "55 meV"), "composition": "V"}
    for C, color in ((0.0, GREY), (0.2, BLUE)):
        found = vanadium.bp.to_vibrational_dos(multiple_scattering=C, **options)
        g, std = found.g.dropna("E"), found.g_std.dropna("E")
        left.errorbar(
            g.E,
            1e3 * g,
            1e3 * std,
            color=color,
            fmt=".-",
            lw=1,
            label=f"measured, C = {C:g}",
        )
    for C in (0.0, 0.2, 0.3, 0.4):
        found = vanadium.bp.to_vibrational_dos(multiple_scattering=C, **options)
        g = found.g.sel(E=slice(7, 40))
        expected = broadened(table.g, g.E)
        rms = np.sqrt(((g - expected) ** 2).mean()) / expected.max()
        print(
            f"C = {C}: u2 = {float(found.u2):.5f}, {int(found.iterations)} "
            f"iterations, {int(found.orders)} orders, "
            f"rms residual {100 * rms:.1f} % of the maximum, r = "
            f"{np.corrcoef(g, expected)[0, 1]:.3f}, "
            "beyond 38 meV "
            f"{100 * float(found.g.sel(E=slice(38, 55)).mean()) / expected.max():.1f} "
            "%"
        )
    E = xr.DataArray(np.arange(0.5, 55, 0.5), dims="E")
    left.plot(
        E,
        1e3 * broadened(table.g, E),
        color=ORANGE,
        label="V-dos.dat, 4 meV resolution",
    )
    left.set(
        title="vanadium, 300 K",
        xlabel="$E$ (meV)",
        ylabel="$g(E)$ (10$^{-3}$ meV$^{-1}$)",
        ylim=(-5, 105),
    )

    sqe = xbp.open_dataset(folder / "MAR21335_Ei60meV.nxs").bp.angle_to_Q(
        "0.05 1/angstrom"
    )
    found = sqe.bp.mask_elastic("3.6 meV", widths=1.2).bp.to_vibrational_dos(
        E_range=("4 meV", "42 meV"), composition="Al"
    )
    g, std = found.g.dropna("E"), found.g_std.dropna("E")
    middle.errorbar(g.E, 1e3 * g, 1e3 * std, color=BLUE, fmt=".", ms=3, lw=1)
    middle.set(
        title="aluminium, 5 K",
        xlabel="$E$ (meV)",
        ylabel="$g(E)$ (10$^{-3}$ meV$^{-1}$)",
        ylim=(0, None),
    )
    print(
        f"Al: u2 = {float(found.u2):.5f}, {int(found.iterations)} iterations, "
        f"{int(found.orders)} orders"
    )

    sample, can = (
        xbp.open_dataset(folder / f"{name}_360_inc.nxspe")
        for name in ("benzene_290", "empty")
    )
    for data, label, color in (
        (sample, "benzene in its can", GREY),
        (can, "empty can", ORANGE),
        (sample.bp.subtract(can, scale=0.92, scale_std=0.03), "benzene", BLUE),
    ):
        spectrum = data.S.mean("detector")
        right.plot(
            spectrum.E,
            spectrum,
            color=color,
            label=label,
            ls="--" if color == GREY else "-",
        )
    right.set(
        title="benzene, 290 K",
        xlabel="$E$ (meV)",
        ylabel="$S(E)$ (meV$^{-1}$)",
        yscale="log",
        xlim=(-2, 2),
        ylim=(2e-4, 2e3),
    )
    for ax, place in ((left, "upper right"), (right, "upper right")):
        ax.legend(loc=place)
    save(figure, "corrections")


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main(Path(sys.argv[1]))
