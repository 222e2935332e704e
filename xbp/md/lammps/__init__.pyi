"""Glasses made in LAMMPS, from Python."""

from .glass import collect, glass_transition, make_glass, open_thermo
from .harmonic import dynamical_matrix, harmonic_vdos, normal_modes
from .hessian import open_dynamical_matrix
from .systems import SYSTEMS, System

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
