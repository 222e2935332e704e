"""Saves a figure of several panels, and its panels in one column for narrow screens."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

IMAGES = Path(__file__).parent / "images"
#: In which all figures are drawn: ``with plt.style.context(STYLE)``.
STYLE = "xbp.plot.column"
PIXELS: dict[str, Any] = {"dpi": 150, "bbox_inches": "tight", "pad_inches": 0.05}


def save(figure: Figure, name: str) -> None:
    """Save ``name.png`` and, of several panels, ``name_narrow.png`` in docs/images.

    What panels share, such as the label of an axis that stands at one of them, is shown
    at each panel of the column.
    """
    figure.canvas.draw()  # a second layout, with the colour bars in their places
    figure.savefig(IMAGES / f"{name}.png", **PIXELS)
    panels = defaultdict(list)  # by their places, colour bars aside
    for ax in figure.axes:
        if (spec := ax.get_subplotspec()) is not None and ax.get_visible():
            panels[spec.num1].append(ax)
    if len(panels) == 1:
        return
    grid = figure.add_gridspec(len(panels), 1)
    figure.set_size_inches(4.6, 3.4 * len(panels))
    shared: dict[str, str] = {}
    for row, (_, axes) in enumerate(sorted(panels.items())):
        for ax in axes:
            ax.set_subplotspec(grid[row, 0])
            side = ax.yaxis.get_label_position()
            ax.tick_params(labelbottom=side == "left", **{f"label{side}": True})
            shared[side] = ax.get_ylabel() or shared.get(side, "")
            ax.set_ylabel(shared[side])
    labels = [ax.get_xlabel() for axes in panels.values() for ax in axes]
    for axes in panels.values():
        axes[0].set_xlabel(axes[0].get_xlabel() or next(filter(None, labels)))
    figure.canvas.draw()
    figure.savefig(IMAGES / f"{name}_narrow.png", **PIXELS)
