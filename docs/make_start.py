"""Draws docs/images/demo.png, the figure of ``xbp demo``, and that of the first page."""

from __future__ import annotations

import matplotlib.pyplot as plt
from make_howto import run
from one_column import STYLE, save

import xbp.demo

if __name__ == "__main__":
    with plt.style.context(STYLE):
        save(xbp.demo.draw(xbp.demo.analyse()), "demo")
        names = run("../start/ten_minutes")
        save(names["spectrum"].bp.plot.peak(names["peak"]).figure, "ten_minutes")
