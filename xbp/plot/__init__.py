"""Figures: matplotlib, one style, units on every axis."""

from xbp.plot.cuts import cut
from xbp.plot.explore import explore
from xbp.plot.fits import fit
from xbp.plot.heat_capacity import heat_capacity
from xbp.plot.maps import map
from xbp.plot.measurement import debye_waller, detailed_balance
from xbp.plot.peaks import peak, phonons
from xbp.plot.scaling import correlation, field_correlations, fluctuations, scaling
from xbp.plot.style import COLORS

__all__ = [
    "COLORS",
    "correlation",
    "cut",
    "debye_waller",
    "detailed_balance",
    "explore",
    "field_correlations",
    "fit",
    "fluctuations",
    "heat_capacity",
    "map",
    "peak",
    "phonons",
    "scaling",
]
