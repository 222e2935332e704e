"""Figures: matplotlib, one style, units on every axis."""

from xbp.plot.signals import correlation, cut, map, peak, scaling

__all__ = ["correlation", "cut", "map", "peak", "scaling"]
