"""The boson peak itself: where it is, whether it disperses, whether it follows S(Q)."""

from xbp.peaks.boson_peak import boson_peak
from xbp.peaks.curve_fit import fit
from xbp.peaks.dispersion import dispersion
from xbp.peaks.edges import EDGE_WIDTH
from xbp.peaks.elastic_line import fit_elastic_line
from xbp.peaks.fitted_dos import fitted_dos
from xbp.peaks.fluctuations import compare_fluctuations
from xbp.peaks.heat_capacity_fit import fit_heat_capacity
from xbp.peaks.phonons import box_phonon, mark_box_phonon, phonon_dispersion
from xbp.peaks.scaling import correlation_map, scale_to_sq
from xbp.peaks.scan import scan_boson_peak, scan_heat_capacity
from xbp.peaks.series import cooling_series, glass_spectra, size_series
from xbp.peaks.sound import ioffe_regel, sound_velocity

__all__ = [
    "EDGE_WIDTH",
    "boson_peak",
    "box_phonon",
    "compare_fluctuations",
    "cooling_series",
    "correlation_map",
    "dispersion",
    "fit",
    "fit_elastic_line",
    "fit_heat_capacity",
    "fitted_dos",
    "glass_spectra",
    "ioffe_regel",
    "mark_box_phonon",
    "phonon_dispersion",
    "scale_to_sq",
    "scan_boson_peak",
    "scan_heat_capacity",
    "size_series",
    "sound_velocity",
]
