"""The boson peak itself: where it is, whether it disperses, whether it follows S(Q)."""

from xbp.analysis.boson_peak import boson_peak
from xbp.analysis.box import box_phonon, mark_box_phonon
from xbp.analysis.checks import EDGE_WIDTH, FILTER_END, SOUND_BELOW
from xbp.analysis.dispersion import dispersion, ioffe_regel, sound_velocity
from xbp.analysis.elastic_line import fit_elastic_line
from xbp.analysis.fluctuations import compare_fluctuations
from xbp.analysis.heat_capacity import fit_heat_capacity, fitted_dos
from xbp.analysis.model_comparison import compare_models
from xbp.analysis.phonons import phonon_dispersion
from xbp.analysis.relaxation import relaxation_time
from xbp.analysis.scaling import correlation_map, scale_to_sq
from xbp.analysis.scan import scan_boson_peak, scan_heat_capacity
from xbp.analysis.separability import fit_bqe
from xbp.analysis.together import fit_together

__all__ = [
    "EDGE_WIDTH",
    "FILTER_END",
    "SOUND_BELOW",
    "boson_peak",
    "box_phonon",
    "compare_fluctuations",
    "compare_models",
    "correlation_map",
    "dispersion",
    "fit_bqe",
    "fit_elastic_line",
    "fit_heat_capacity",
    "fit_together",
    "fitted_dos",
    "ioffe_regel",
    "mark_box_phonon",
    "phonon_dispersion",
    "relaxation_time",
    "scale_to_sq",
    "scan_boson_peak",
    "scan_heat_capacity",
    "sound_velocity",
]
