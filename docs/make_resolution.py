"""Draws docs/images/resolution.png: what an instrument makes of a simulation."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from one_column import STYLE, save

import xbp
from xbp.plot.style import BLUE, COLORS, GREY, ORANGE

mpl.use("Agg")
#: A chopper spectrometer at a spallation source, with a slow and a fast setting of its
#: chopper.
DISTANCES = {
    "moderator_to_chopper": "11.6 m",
    "chopper_to_sample": "2 m",
    "sample_to_detector": "3 m",
}
SETTINGS = {
    "narrow": {"moderator_time": "8 us", "chopper_time": "4 us"},
    "wide": {"moderator_time": "8 us", "chopper_time": "12 us"},
}


def main() -> None:
    """Draw."""
    glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    E = np.arange(-60.0, 60.1, 1.0)
    curves = {
        name: xbp.direct_geometry_resolution(
            E, "70 meV", **DISTANCES, **times, path_spread="2 cm"
        )
        for name, times in SETTINGS.items()
    }
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3))
    for (name, curve), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes[0].plot(curve.E, curve, color=colour, label=f"{name}, $E_i$ = 70 meV")
    resins = xbp.instrument_resolution(
        E[E > 0], "ARCS", e_init=70, chopper_frequency=480
    )
    axes[0].plot(
        resins.E, resins, color=GREY, ls="--", label="ARCS at 480 Hz, by ResINS"
    )
    axes[0].set(xlabel="$E$ (meV)", ylabel="FWHM (meV)", xlim=(-20, 60), ylim=(0, None))
    axes[0].legend()

    experiment = xbp.new_dataset(
        "dynamic_structure_factor",
        np.ones((160, 141)),
        units="1",
        coords={
            "Q": (np.arange(0.525, 8.5, 0.05), "1/angstrom"),
            "E": (np.arange(-14, 14.1, 0.2), "meV"),
        },
        temperature="300 K",
        statistics="quantum",
    )
    seen = {name: glass.bp.like(experiment, curve) for name, curve in curves.items()}
    average = {"MD": glass.bp.to_bqe()} | {
        name: one.bp.mask_elastic(
            curves[name].interp(E=one.E).assign_attrs(curves[name].attrs), 1.2
        ).bp.to_bqe(u2=glass.u2)
        for name, one in seen.items()
    }
    average["narrow"].bp.plot.map(glass.Sq, ax=axes[1], E_range=(2, 13))
    for (name, b), colour in zip(
        average.items(), (COLORS[-1], BLUE, ORANGE), strict=True
    ):
        curve = b.bp.cut_Q((2.1, 8.4)).sel(E=slice(0.5, 13))
        axes[2].plot(curve.E, 1e5 * curve.B, color=colour, label=name)
    axes[2].set(
        xlabel="$E$ (meV)", ylabel="$B(E)$ (10$^{-5}$ Å$^2$ meV$^{-2}$)", ylim=(0, None)
    )
    axes[2].legend()
    save(figure, "resolution")


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main()
