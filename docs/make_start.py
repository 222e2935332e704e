"""Draws docs/images/demo.png, the figure of ``xbp demo``, for the README and the start page."""

from __future__ import annotations

import matplotlib.pyplot as plt
from one_column import STYLE, save

import xbp.demo

if __name__ == "__main__":
    with plt.style.context(STYLE):
        save(xbp.demo.draw(xbp.demo.analyse()), "demo")
