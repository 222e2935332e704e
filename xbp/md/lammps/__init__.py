"""Glasses made in LAMMPS, from Python."""

from xbp.md.lammps.glass import make_glass, open_thermo
from xbp.md.lammps.systems import SYSTEMS, System
from xbp.md.lammps.transition import glass_transition

__all__ = ["SYSTEMS", "System", "glass_transition", "make_glass", "open_thermo"]
