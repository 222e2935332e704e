"""Draws docs/images/kob_andersen.png: Kob–Andersen glasses, without a box."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
from one_column import STYLE, save

import xbp
from xbp.plot.style import BLUE, GREEN, GREY, ORANGE

mpl.use("Agg")


def main() -> None:
    """Draw g(E)/E² and the correlation with S(Q)."""
    tree = xbp.tutorial.open_datatree("kob_andersen_glasses")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3))
    for name, text, colour, shape in (
        ("1000", "1000 atoms", BLUE, "o"),
        ("2000", "2000 atoms", ORANGE, "s"),
        ("1000_1e10", "1000 atoms, 10$^{10}$ K/s", GREEN, "^"),
    ):
        s = tree[f"{name}/spectra"].to_dataset()
        g = s[["g", "g_std"]].sel(E=slice(0.1, 3))
        scale = 1e3 / g.E**2
        left.errorbar(
            g.E, scale * g.g, scale * g.g_std, fmt=shape, ms=3, lw=1, color=colour,
            label=text,
        )  # fmt: skip
        left.axhline(3e3 / float(s.debye_energy) ** 3, color=colour, ls=":", lw=1)
        r = s.bp.to_bqe().bp.correlation_map(s.Sq, (1.5, 7)).pearson_r
        r = r.sel(E=slice(0.3, 8))
        right.plot(r.E, r, marker=shape, ms=3, lw=1, color=colour)
    md = xbp.tutorial.open_datatree("kob_andersen_series")["cooling_rate"].to_dataset()
    md = md.sel(cooling_rate=1e12).sel(E=slice(0.3, 3))
    left.plot(md.E, 1e3 * md.g / md.E**2, color=GREY, label="16 000 atoms, MD at 6 K")
    left.set(xlabel="$E$ (meV)", ylabel="$g(E)/E^2$ (10$^{-3}$ meV$^{-3}$)")
    left.set_ylim(0, None)
    left.legend()
    right.axhline(0, color=GREY, lw=0.6)
    right.set(xlabel="$E$ (meV)", ylabel="$r$ of $B(Q,E)$ with $S(Q)$", ylim=(-1, 1.02))
    save(figure, "kob_andersen")


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main()
