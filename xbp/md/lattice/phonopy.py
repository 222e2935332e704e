"""Force constants of phonopy and Euphonic, for Bloch modes and their spectra."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, shown
from xbp.md.lattice.force_constants import new_force_constants
from xbp.md.models import new_trajectory

__all__ = ["from_euphonic", "from_phonopy"]

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
            f"phonopy with calculator={shown(calculator)} has units other than eV/Å²",
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


def from_euphonic(constants: Any) -> xr.Dataset:
    """Make force constants of those of Euphonic: the supercell is the periodic box.

    Euphonic has those between the atoms of one cell and all others; those between two
    other cells are the same for the same vector from cell to cell.

    Parameters
    ----------
    constants : euphonic.ForceConstants
        Known by its ``cell_origins`` and ``sc_matrix``.

    Returns
    -------
    xarray.Dataset
        As from `force_constants`; the next step is ``.bp.bloch_modes(…)``. Wave vectors
        are those of the supercell. Polar corrections (Born charges) are left out.

    Raises
    ------
    QuantityError
        If it is not such an object, or the constants are not symmetric.
    RangeError
        If their range is half of the supercell or more.

    References
    ----------
    R. Fair et al., J. Appl. Crystallogr. 55, 1689 (2022),
    doi:10.1107/S1600576722009256.

    Examples
    --------
    >>> import euphonic, xbp  # doctest: +SKIP
    >>> fc = euphonic.ForceConstants.from_castep("quartz.castep_bin")  # doctest: +SKIP
    >>> xbp.md.lattice.from_euphonic(fc).bp.bloch_modes()  # doctest: +SKIP
    """
    if not (hasattr(constants, "cell_origins") and hasattr(constants, "sc_matrix")):
        raise QuantityError(
            f"{type(constants).__name__} is not a ForceConstants of Euphonic",
            fix="xbp.from_euphonic(…) for its spectra",
        )
    crystal = constants.crystal
    cell = np.asarray(crystal.cell_vectors.to("angstrom").magnitude, dtype=float)
    mass = np.asarray(crystal.atom_mass.to("unified_atomic_mass_unit").magnitude, float)
    blocks = np.asarray(
        constants.force_constants.to("electron_volt/angstrom**2").magnitude, float
    )
    origins = np.asarray(constants.cell_origins, dtype=int)
    supercell = np.asarray(constants.sc_matrix, dtype=int)
    n, n_cells = len(mass), len(origins)
    # The cell l' - l, within the supercell, is a row of the table of cells.
    size = round(abs(np.linalg.det(supercell)))
    adjugate = np.rint(size * np.linalg.inv(supercell)).astype(int)
    table = {
        tuple(row): i for i, row in enumerate((origins @ adjugate % size).tolist())
    }
    if size != n_cells or len(table) != n_cells:
        raise QuantityError(
            f"the {n_cells} cells of the force constants do not fill a supercell of "
            f"{size}"
        )
    matrix = np.empty((n_cells, n, 3, n_cells, n, 3))
    for here, origin in enumerate(origins):
        others = ((origins - origin) @ adjugate % size).tolist()
        rows = blocks[[table[tuple(row)] for row in others]]
        matrix[here] = rows.reshape(n_cells, n, 3, n, 3).transpose(1, 2, 0, 3, 4)
    places = np.asarray(crystal.atom_r, dtype=float)[None] + origins[:, None]
    rest = new_trajectory(
        (places.reshape(-1, 3) @ cell)[None],
        time=[0.0],
        cell=supercell @ cell,
        element=list(crystal.atom_type) * n_cells,
        mass=np.tile(mass, n_cells),
    )
    return new_force_constants(matrix.reshape(3 * n * n_cells, -1), rest)
