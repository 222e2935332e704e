"""xbp: boson-peak analysis of glasses as one chain of unit-checked calls on xarray data.

``import xbp`` registers the accessor ``.bp`` on DataArray and Dataset, whose methods are functions of the same name
here, and on DataTree, whose methods are those of `xbp.study`.
"""

import sys as _sys
from importlib.metadata import version as _version

from xbp import accessor, errors, md, models, plot, study, tutorial
from xbp.construct import new_dataset
from xbp.describe import describe
from xbp.diagnostic import Diagnostic, diagnostics
from xbp.io import from_scipp, open_dataset, to_columns, to_csv, to_dataframe, to_netcdf, to_nxspe, to_scipp, to_sqw
from xbp.peaks import (
    boson_peak,
    box_phonon,
    compare_fluctuations,
    cooling_series,
    correlation_map,
    dispersion,
    fit,
    fit_elastic_line,
    fit_heat_capacity,
    fitted_dos,
    glass_spectra,
    ioffe_regel,
    mark_box_phonon,
    phonon_dispersion,
    scale_to_sq,
    scan_boson_peak,
    scan_heat_capacity,
    size_series,
    sound_velocity,
)
from xbp.reduction import (
    angle_to_Q,
    convert,
    convolve,
    correct_multiphonon,
    cut_E,
    cut_Q,
    debye_waller,
    detailed_balance,
    direct_geometry_resolution,
    effective_mass,
    fold,
    heat_capacity,
    instrument_resolution,
    integrate_E,
    kinematic_limits,
    like,
    mask_elastic,
    multiphonon_sqe,
    normalize_to_sum_rule,
    normalize_to_vanadium,
    rebin,
    reduced_heat_capacity,
    scale,
    shift_E,
    subtract,
    to_bqe,
    to_convention,
    to_gdos,
    to_molar,
    to_quantum,
    to_raman_shift,
    to_reduced_raman,
    to_sqe,
    to_vibrational_dos,
)
from xbp.study import new_study, open_study, stated_energy

# These stand above the engine, whose answers they compare, and are found among its functions all the same.
md.compare_fluctuations = compare_fluctuations
md.lammps.cooling_series, md.lammps.size_series = cooling_series, size_series

accessor.adopt_docstrings(
    _sys.modules[__name__], accessor.BosonPeakAccessor, accessor.PlotAccessor, accessor.StudyAccessor
)

__version__ = _version("xbp")

__all__ = [
    "Diagnostic",
    "accessor",
    "angle_to_Q",
    "boson_peak",
    "box_phonon",
    "compare_fluctuations",
    "convert",
    "convolve",
    "cooling_series",
    "correct_multiphonon",
    "correlation_map",
    "cut_E",
    "cut_Q",
    "debye_waller",
    "describe",
    "detailed_balance",
    "diagnostics",
    "direct_geometry_resolution",
    "dispersion",
    "effective_mass",
    "errors",
    "fit",
    "fit_elastic_line",
    "fit_heat_capacity",
    "fitted_dos",
    "fold",
    "from_scipp",
    "glass_spectra",
    "heat_capacity",
    "instrument_resolution",
    "integrate_E",
    "ioffe_regel",
    "kinematic_limits",
    "like",
    "mark_box_phonon",
    "mask_elastic",
    "md",
    "models",
    "multiphonon_sqe",
    "new_dataset",
    "new_study",
    "normalize_to_sum_rule",
    "normalize_to_vanadium",
    "open_dataset",
    "open_study",
    "phonon_dispersion",
    "plot",
    "rebin",
    "reduced_heat_capacity",
    "scale",
    "scale_to_sq",
    "scan_boson_peak",
    "scan_heat_capacity",
    "shift_E",
    "size_series",
    "sound_velocity",
    "stated_energy",
    "study",
    "subtract",
    "to_bqe",
    "to_columns",
    "to_convention",
    "to_csv",
    "to_dataframe",
    "to_gdos",
    "to_molar",
    "to_netcdf",
    "to_nxspe",
    "to_quantum",
    "to_raman_shift",
    "to_reduced_raman",
    "to_scipp",
    "to_sqe",
    "to_sqw",
    "to_vibrational_dos",
    "tutorial",
]
