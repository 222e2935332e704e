"""Draws the figure of docs/models.md from the variables of its own code."""

from __future__ import annotations

import matplotlib.pyplot as plt
from make_howto import run
from one_column import STYLE, save

if __name__ == "__main__":
    with plt.style.context(STYLE):
        table = run("../models")["table"]
        left, right = plt.subplots(1, 2, figsize=(8.6, 4.0))[1]
        table.bp.plot.models(ax=left)
        table.bp.plot.models(ax=right, residuals=True)
        right.get_legend().remove()
        save(plt.gcf(), "models")
