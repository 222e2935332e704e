"""The boson peak itself: where it is, whether it disperses, whether it follows S(Q)."""

from xbp.peaks.boson_peak import boson_peak
from xbp.peaks.dispersion import dispersion
from xbp.peaks.scaling import correlation_map, scale_to_sq

__all__ = ["boson_peak", "correlation_map", "dispersion", "scale_to_sq"]
