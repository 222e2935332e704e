"""Molecular dynamics: trajectories, their spectra and their structure."""

from . import lammps, lattice, models
from .conversion import convert
from .currents import current_spectra
from .exchange import (
    from_ase,
    from_dynasor,
    from_mdanalysis,
    to_ase,
    to_mdanalysis,
)
from .fields import local_fields
from .fluctuations import fluctuation_spectrum
from .long_runs import Cost, checkpoint, estimate
from .models import new_trajectory
from .neutron_dos import correct_neutron_weighting, neutron_weighted_dos
from .open import open_trajectory
from .spectra import (
    dynamic_structure_factor,
    intermediate_scattering_function,
)
from .structure import (
    radial_distribution,
    structure_factor,
    to_radial_distribution,
    to_structure_factor,
)
from .styles import LennardJones
from .vibration import msd, vdos

__all__ = [
    "Cost",
    "LennardJones",
    "checkpoint",
    "convert",
    "correct_neutron_weighting",
    "current_spectra",
    "dynamic_structure_factor",
    "estimate",
    "fluctuation_spectrum",
    "from_ase",
    "from_dynasor",
    "from_mdanalysis",
    "intermediate_scattering_function",
    "lammps",
    "lattice",
    "local_fields",
    "models",
    "msd",
    "neutron_weighted_dos",
    "new_trajectory",
    "open_trajectory",
    "radial_distribution",
    "structure_factor",
    "to_ase",
    "to_mdanalysis",
    "to_radial_distribution",
    "to_structure_factor",
    "vdos",
]
