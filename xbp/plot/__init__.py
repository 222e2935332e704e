"""Figures: matplotlib, one style, units on every axis.

``plt.style.use("xbp.plot.column")`` gives your own figures the same style.
"""

from xbp.plot.curves import cut
from xbp.plot.explorer import explore
from xbp.plot.fits import fit, peak
from xbp.plot.histograms import histogram
from xbp.plot.maps import map
from xbp.plot.model_comparison import models
from xbp.plot.scaling import (
    correlation,
    field_correlations,
    fluctuations,
    scaling,
    separability,
)
from xbp.plot.style import COLORS
from xbp.plot.tables import debye_waller, detailed_balance, heat_capacity, phonons

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
    "histogram",
    "map",
    "models",
    "peak",
    "phonons",
    "scaling",
    "separability",
]
