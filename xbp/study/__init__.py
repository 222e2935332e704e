"""Studies: everything known about one glass in one object.

A study collects experiments, simulations and models and compares them.
"""

from xbp.study.compare import compare
from xbp.study.figures import plot
from xbp.study.report import report
from xbp.study.series import cooling_series, glass_spectra, size_series
from xbp.study.tree import new_study, open_study, stated_energy, summary, to_netcdf

__all__ = [
    "compare",
    "cooling_series",
    "glass_spectra",
    "new_study",
    "open_study",
    "plot",
    "report",
    "size_series",
    "stated_energy",
    "summary",
    "to_netcdf",
]
