"""One object for all that is known of a glass: experiments, simulation, models, laid side by side."""

from xbp.study.compare import compare
from xbp.study.figures import plot
from xbp.study.report import report
from xbp.study.tree import new_study, open_study, stated_energy, summary, to_netcdf

__all__ = ["compare", "new_study", "open_study", "plot", "report", "stated_energy", "summary", "to_netcdf"]
