"""Draws docs/images/glasses.png and prints the table of docs/glasses.md, from the embedded glasses."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from one_column import PIXELS, STYLE

import xbp
from xbp.data.make_model_glasses import ANALYSIS, GLASSES
from xbp.plot.style import BLUE, GREY, ORANGE

mpl.use("Agg")
#: How people call the glasses.
TITLES = {
    "kob_andersen": "Kob–Andersen",
    "inverse_power": "inverse power",
    "SiO2": "SiO$_2$",
}


def main() -> None:
    """Draw and print."""
    figure, axes = plt.subplots(len(GLASSES), 4, figsize=(8.6, 1.8 * len(GLASSES)))
    for row, name in zip(axes, GLASSES, strict=True):
        tree = xbp.tutorial.open_datatree(name)
        s = tree["spectra"].to_dataset()
        _, _, _, E_range, Q_range, _ = ANALYSIS[name]
        b = s.bp.to_bqe()
        whole = b.bp.cut_Q(Q_range)
        r = b.bp.correlation_map(s.Sq, Q_range)
        at = float(tree["fluctuations"].E_BP)
        top = 6 * at
        ax = row[0]
        ax.plot(s.Q, s.Sq, color=BLUE)
        ax.set(ylabel=f"{TITLES.get(name, name)}\n$S(Q)$", xlabel="$Q$ (Å$^{-1}$)")
        ax = row[1]
        g = s.sel(E=slice(0.15 * at, top))
        scale = 1e3
        ax.errorbar(
            g.E,
            scale * g.g / g.E**2,
            scale * g.g_std / g.E**2,
            color=BLUE,
            lw=1.2,
            label="MD",
            zorder=3,
        )
        h = tree["harmonic"].to_dataset().sel(E=slice(0.15 * at, top))
        # A box has few modes at each of these energies: the band is wide.
        low, high = (scale * (h.g + sign * h.g_std) / h.E**2 for sign in (-1, 1))
        ax.fill_between(h.E, low, high, color=ORANGE, alpha=0.3, lw=0)
        ax.plot(h.E, scale * h.g / h.E**2, color=ORANGE, lw=0.8, label="harmonic")
        ax.set(
            ylabel="$g(E)/E^2$ (10$^{-3}$ meV$^{-3}$)",
            xlabel="$E$ (meV)",
            ylim=(0, None),
        )
        ax.legend()
        ax = row[2]
        w = whole.sel(E=slice(0.15 * at, top))
        power = int(np.floor(np.log10(float(w.B.max()))))
        ax.errorbar(w.E, w.B / 10.0**power, w.B_std / 10.0**power, color=BLUE, lw=1)
        ax.set(
            ylabel=f"$B(E)$ (10$^{{{power}}}$ Å$^2$ meV$^{{-2}}$)",
            xlabel="$E$ (meV)",
            ylim=(0, None),
        )
        ax = row[3]
        shown = r.pearson_r.sel(E=slice(0.1 * at, 4 * top))
        ax.axhline(0, color=GREY, lw=0.6)
        ax.plot(shown.E, shown, color="black", label="$B(Q,E)$")
        field = tree["fluctuations"].pearson_r.sel(
            field="shear_strain", E=slice(0.1 * at, 4 * top)
        )
        ax.plot(field.E, field, color=ORANGE, lw=1, label="shear strain")
        ax.set(ylabel="$r$ with $S(Q)$", xlabel="$E$ (meV)", ylim=(-1.02, 1.02))
        ax.legend()
        for ax in row[1:]:
            if "box_phonon" in s.coords:
                ax.axvline(float(s.box_phonon), color=GREY, ls=":", lw=1)
        peaks = b.bp.boson_peak(E_range=E_range)
        flat = peaks.bp.dispersion(Q_range)
        tg = tree["transition"]
        f = tree["fluctuations"].to_dataset()
        peak = whole.bp.boson_peak(E_range=E_range)
        print(
            f"| {name} | {float(tg.Tg):.0f} ± {float(tg.Tg_std):.0f} | "
            f"{float(s.Q[np.nanargmax(s.Sq)]):.2f} | "
            f"{float(s.coords.get('box_phonon', np.nan)):.2f} | "
            f"{float(peak.energy):.2f} ± {float(peak.energy_std):.2f} "
            f"({peak.status.values}; {s.status.values}) | "
            f"{float(flat.mean_energy):.2f}, {float(flat.scatter):.2f}, "
            f"{float(flat.slope):.3f} ± {float(flat.slope_std):.3f} "
            f"({int(flat.n_points)}) | "
            + ", ".join(
                f"{float(r.pearson_r.interp(E=k * at)):.2f}" for k in (1, 2, 4, 6)
            )
            + " | "
            + ", ".join(
                f"{n.split('_')[0]} {float(v):.2f}"
                for n, v in zip(f.field.values, f.r_at_boson_peak, strict=True)
            )
            + f" | at {at:.2f} |"
        )
    figure.savefig(Path(__file__).parent / "images" / "glasses.png", **PIXELS)


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main()
