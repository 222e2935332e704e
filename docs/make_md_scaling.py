"""Draws docs/images/md_scaling.png from docs/md_scaling.csv, whose head names its command."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator
from one_column import STYLE, save

from xbp.plot.style import BLUE, GREY, ORANGE

mpl.use("Agg")
TABLE = Path(__file__).with_name("md_scaling.csv")
LABELS = {"frames": "frames", "atoms": "atoms", "Q_max": "$Q_\\mathrm{max}$ (Å$^{-1}$)"}


def main() -> None:
    """Draw time and memory against frames, atoms and Q_max."""
    lines = [line for line in TABLE.read_text().splitlines() if line[0] != "#"]
    table = list(csv.DictReader(lines))
    figure, axes = plt.subplots(2, 3, figsize=(8.6, 4.8))
    for (upper, lower), (name, title) in zip(axes.T, LABELS.items(), strict=True):
        rows = [row for row in table if row["series"] == name]
        x, seconds, memory = (
            np.array([float(row[key]) for row in rows])
            for key in ("value", "processor_s", "peak_GB")
        )
        upper.plot(x, seconds, "o-", color=BLUE)
        if name != "Q_max":
            grows = seconds[-1] * x / x[-1]
            upper.plot(x, grows, "--", color=GREY, lw=1, label="proportional")
            upper.legend()
        lower.plot(x, memory, "o-", color=ORANGE)
        upper.set(yscale="log", ylabel="processor time (s)")
        upper.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        upper.yaxis.set_major_formatter("{x:g}")
        lower.set(ylim=(0, 1.1 * memory.max()), ylabel="peak memory (GB)")
        for ax in (upper, lower):
            ax.set(xscale="log", xlabel=title)
            ax.set_xticks(x, [f"{v:g}" for v in x], fontsize="small")
            ax.minorticks_off()
    save(figure, "md_scaling")


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main()
