"""Draws docs/images/demo.png, the figure of ``xbp demo``, for the README and the start page."""

from __future__ import annotations

from one_column import save

import xbp.demo

if __name__ == "__main__":
    save(xbp.demo.draw(xbp.demo.analyse()), "demo")
