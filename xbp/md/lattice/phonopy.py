"""Force constants of phonopy, for Bloch modes and their spectra."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, shown
from xbp.md.lattice.force_constants import new_force_constants
from xbp.md.models import new_trajectory

__all__ = ["from_phonopy"]

#: Calculators for which phonopy has Å and eV/Å², of its page of units.
_IN_EV: Final = ("vasp", "aims", "castep", "crystal", "lammps", "pwmat")


def from_phonopy(phonon: Any) -> xr.Dataset:
    """Make force constants of those of phonopy: the supercell is the periodic box.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants between all atoms of its supercell, in eV/Å².

    Returns
    -------
    xarray.Dataset
        As from `force_constants`; the next step is ``.bp.bloch_modes(…)``. Wave vectors
        are those of the supercell. Polar corrections (Born charges) are left out.

    Raises
    ------
    QuantityError
        If it has none, only those of the primitive cell, or other units; if they are
        not symmetric.
    RangeError
        If their range is half of the supercell or more.

    References
    ----------
    A. Togo, J. Phys. Soc. Jpn. 92, 012001 (2023), doi:10.7566/JPSJ.92.012001.

    Examples
    --------
    >>> import phonopy, xbp  # doctest: +SKIP
    >>> phonon = phonopy.load("phonopy_params.yaml")  # doctest: +SKIP
    >>> xbp.md.lattice.from_phonopy(phonon).bp.bloch_modes()  # doctest: +SKIP
    """
    supercell = getattr(phonon, "supercell", None)
    blocks = getattr(phonon, "force_constants", None)
    if supercell is None or blocks is None:
        raise QuantityError(
            f"{type(phonon).__name__} has no force constants",
            fix="phonon.produce_force_constants()",
        )
    calculator = getattr(phonon, "calculator", None)
    if calculator not in (None, *_IN_EV):
        raise QuantityError(
            f"phonopy with calculator={shown(calculator)} has other units than eV/Å²",
            fix="xbp.md.lattice.new_force_constants(matrix, configuration, units=…)",
        )
    matrix, n = np.asarray(blocks, dtype=float), len(supercell.symbols)
    if matrix.shape != (n, n, 3, 3):
        raise QuantityError(
            f"the force constants have the shape {matrix.shape}, not {(n, n, 3, 3)}",
            fix="phonon.produce_force_constants(calculate_full_force_constants=True)",
        )
    cell = np.asarray(supercell.cell, dtype=float)
    rest = new_trajectory(
        (np.asarray(supercell.scaled_positions, dtype=float) @ cell)[None],
        time=[0.0],
        cell=cell,
        element=list(supercell.symbols),
        mass=np.asarray(supercell.masses, dtype=float),
    )
    flat = matrix.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    return new_force_constants(flat, rest)
