"""Glasses made in LAMMPS, from Python."""

from .glass import collect, make_glass
from .harmonic import dynamical_matrix, harmonic_vdos, normal_modes
from .hessian import open_dynamical_matrix
from .systems import SYSTEMS, System
from .thermo import glass_transition, open_thermo

__all__ = [
    "SYSTEMS",
    "System",
    "collect",
    "dynamical_matrix",
    "glass_transition",
    "harmonic_vdos",
    "make_glass",
    "normal_modes",
    "open_dynamical_matrix",
    "open_thermo",
]
