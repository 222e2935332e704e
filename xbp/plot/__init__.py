"""Figures: matplotlib, one style, units on every axis."""

from xbp.plot.axes import COLORS
from xbp.plot.explore import explore
from xbp.plot.fluctuations import field_correlations, fluctuations
from xbp.plot.heat_capacity import heat_capacity
from xbp.plot.measurement import debye_waller, detailed_balance
from xbp.plot.phonons import phonons
from xbp.plot.scaling import correlation, scaling
from xbp.plot.signals import cut, map, peak

__all__ = [
    "COLORS",
    "correlation",
    "cut",
    "debye_waller",
    "detailed_balance",
    "explore",
    "field_correlations",
    "fluctuations",
    "heat_capacity",
    "map",
    "peak",
    "phonons",
    "scaling",
]
