"""Glasses made in LAMMPS, from Python."""

from collections.abc import Callable

import xarray as xr

from xbp.md.lammps.glass import collect, make_glass, open_thermo
from xbp.md.lammps.harmonic import dynamical_matrix, harmonic_vdos, normal_modes
from xbp.md.lammps.systems import SYSTEMS, System
from xbp.md.lammps.transition import glass_transition

#: Set by xbp: they use what stands above this package.
cooling_series: Callable[..., xr.Dataset]
size_series: Callable[..., xr.Dataset]

__all__ = [
    "SYSTEMS",
    "System",
    "collect",
    "dynamical_matrix",
    "glass_transition",
    "harmonic_vdos",
    "make_glass",
    "normal_modes",
    "open_thermo",
]
