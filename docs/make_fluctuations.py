"""Draws the figures of docs/fluctuations.md from the embedded table of fluctuations."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from one_column import STYLE, save

import xbp

mpl.use("Agg")
PAGE = Path(__file__).with_name("fluctuations.md")


def main() -> None:
    """Draw."""
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    five = table.isel(field=slice(0, 5))
    save(five.bp.plot.fluctuations(E_range=("1 meV", "20 meV")), "fluctuations")
    figure, ax = plt.subplots(figsize=(6.4, 4))
    table.bp.plot.field_correlations(ax)
    ax.set_xlim(0, 30)
    save(figure, "field_correlations")

    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
    (block,) = (block for block in blocks if "plot.scaling" in block)
    exec(compile(block, PAGE.name, "exec"), {"xbp": xbp})
    save(plt.gcf(), "same_energy")


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main()
