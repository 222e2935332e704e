"""From S(Q,E) to B(Q,E) and back, and what is done to data on the way."""

from xbp.reduction.absorption import to_reduced_absorption
from xbp.reduction.arithmetic import convert, scale, subtract
from xbp.reduction.bins import cut_E, cut_Q, mask_elastic, rebin, shift_E
from xbp.reduction.detailed_balance import detailed_balance
from xbp.reduction.elastic import debye_waller
from xbp.reduction.excess import excess_dos
from xbp.reduction.fold import fold, integrate_E
from xbp.reduction.gdos import to_bqe, to_convention, to_gdos, to_sqe
from xbp.reduction.heat_capacity import heat_capacity, reduced_heat_capacity
from xbp.reduction.kinematics import (
    direct_geometry_resolution,
    instrument_resolution,
    kinematic_limits,
)
from xbp.reduction.molar import to_molar
from xbp.reduction.multiphonon import multiphonon_sqe
from xbp.reduction.normalize import normalize_to_sum_rule, normalize_to_vanadium
from xbp.reduction.powder import angle_to_Q
from xbp.reduction.q_independent import subtract_Q_independent
from xbp.reduction.raman import to_raman_shift, to_reduced_raman
from xbp.reduction.resolution import convolve, like, to_quantum
from xbp.reduction.sample import effective_mass
from xbp.reduction.subtract_elastic import subtract_elastic
from xbp.reduction.temperature import at_temperature
from xbp.reduction.thermodynamics import debye_temperature, harmonic_thermodynamics
from xbp.reduction.vibrational_dos import correct_multiphonon, to_vibrational_dos

__all__ = [
    "angle_to_Q",
    "at_temperature",
    "convert",
    "convolve",
    "correct_multiphonon",
    "cut_E",
    "cut_Q",
    "debye_temperature",
    "debye_waller",
    "detailed_balance",
    "direct_geometry_resolution",
    "effective_mass",
    "excess_dos",
    "fold",
    "harmonic_thermodynamics",
    "heat_capacity",
    "instrument_resolution",
    "integrate_E",
    "kinematic_limits",
    "like",
    "mask_elastic",
    "multiphonon_sqe",
    "normalize_to_sum_rule",
    "normalize_to_vanadium",
    "rebin",
    "reduced_heat_capacity",
    "scale",
    "shift_E",
    "subtract",
    "subtract_Q_independent",
    "subtract_elastic",
    "to_bqe",
    "to_convention",
    "to_gdos",
    "to_molar",
    "to_quantum",
    "to_raman_shift",
    "to_reduced_absorption",
    "to_reduced_raman",
    "to_sqe",
    "to_vibrational_dos",
]
