"""Glasses made in LAMMPS, from Python."""

from xbp.md.lammps.glass import make_glass, open_thermo
from xbp.md.lammps.systems import SYSTEMS, System

__all__ = ["SYSTEMS", "System", "make_glass", "open_thermo"]
