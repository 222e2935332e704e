"""Molecular dynamics: trajectories, their spectra and their structure."""

from xbp.md import lammps, lattice, models
from xbp.md.conversion import convert
from xbp.md.currents import current_spectra
from xbp.md.exchange import (
    from_ase,
    from_dynasor,
    from_mdanalysis,
    to_ase,
    to_mdanalysis,
)
from xbp.md.fields import local_fields
from xbp.md.fluctuations import fluctuation_spectrum
from xbp.md.long_runs import Cost, checkpoint, estimate
from xbp.md.models import new_trajectory
from xbp.md.neutron_dos import correct_neutron_weighting, neutron_weighted_dos
from xbp.md.open import open_trajectory
from xbp.md.spectra import (
    dynamic_structure_factor,
    intermediate_scattering_function,
)
from xbp.md.structure import (
    radial_distribution,
    structure_factor,
    to_radial_distribution,
    to_structure_factor,
)
from xbp.md.styles import LennardJones
from xbp.md.vibration import msd, vdos

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


def __dir__() -> list[str]:
    """List what is public, and not what this file imports."""
    return sorted(__all__)
