"""Lattice dynamics of a glass at any wave vector: spectra that no box cuts off."""

from xbp.md.lattice.branches import bloch_branches
from xbp.md.lattice.dos import bloch_vdos
from xbp.md.lattice.elastic import elastic_constants
from xbp.md.lattice.force_constants import force_constants, new_force_constants
from xbp.md.lattice.local import local_moduli
from xbp.md.lattice.maps import vibration_map
from xbp.md.lattice.phonopy import from_euphonic, from_phonopy
from xbp.md.lattice.polynomials import kernel_polynomial_vdos
from xbp.md.lattice.run import bloch_modes
from xbp.md.lattice.sampling import jackknife, join_modes
from xbp.md.lattice.spectra import (
    bloch_currents,
    bloch_fluctuations,
    bloch_structure_factor,
)

__all__ = [
    "bloch_branches",
    "bloch_currents",
    "bloch_fluctuations",
    "bloch_modes",
    "bloch_structure_factor",
    "bloch_vdos",
    "elastic_constants",
    "force_constants",
    "from_euphonic",
    "from_phonopy",
    "jackknife",
    "join_modes",
    "kernel_polynomial_vdos",
    "local_moduli",
    "new_force_constants",
    "vibration_map",
]
