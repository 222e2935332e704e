"""Force constants of phonopy and Euphonic, through what these call them: stand-ins, as they are not installed with the tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pint
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.modes import bloch_matrix

PAIR = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.diag([1.0, 2.0, 3.0]))


def phonon(**changes: Any) -> SimpleNamespace:
    cell = SimpleNamespace(
        cell=10 * np.eye(3),
        scaled_positions=[[0, 0, 0], [0.2, 0, 0]],
        symbols=["Cu", "Zr"],
        masses=[63.546, 91.224],
    )
    blocks = PAIR.reshape(2, 3, 2, 3).transpose(0, 2, 1, 3)
    made = {"supercell": cell, "force_constants": blocks, "calculator": None}
    return SimpleNamespace(**(made | changes))


def test_force_constants_of_phonopy() -> None:
    found = xbp.md.lattice.from_phonopy(phonon())
    rest = xbp.md.new_trajectory(
        [[[0.0, 0, 0], [2.0, 0, 0]]],
        time=[0.0],
        cell=10 * np.eye(3),
        mass=[63.546, 91.224],
        element=["Cu", "Zr"],
    )
    wanted = xbp.md.lattice.new_force_constants(PAIR, rest)
    xr.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"force_constants": None}, "has no force constants"),
        ({"calculator": "qe"}, "calculator='qe' has units other"),
        ({"force_constants": np.zeros((1, 2, 3, 3))}, "shape .1, 2, 3, 3."),
        ({"force_constants": np.ones((2, 2, 3, 3)) * np.arange(3)}, "transpose"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(QuantityError, match=says):
        xbp.md.lattice.from_phonopy(phonon(**changes))


REGISTRY = pint.UnitRegistry()
CELL, PLACES = np.diag([3.0, 3.2, 3.6]), np.array([[0, 0, 0], [0.45, 0.52, 0.47]])
SUPERCELL = np.array([[4, 0, 0], [1, 4, 0], [0, 0, 4]])


def constants() -> SimpleNamespace:
    """Springs between near atoms, not symmetric in x, y, z, of a supercell that is not orthogonal."""
    inverse = np.linalg.inv(SUPERCELL)
    origins = np.array(list(np.ndindex(6, 6, 5))) - [1, 1, 0]
    inside = (origins @ inverse > -1e-9) & (origins @ inverse < 1 - 1e-9)
    origins = origins[inside.all(axis=1)]
    fractions = (origins @ inverse * 64).round().astype(int) % 64
    at = {tuple(row): i for i, row in enumerate(fractions.tolist())}
    blocks = np.zeros((len(origins), 2, 3, 2, 3))
    turn = 0.2 * np.array([[0, 1, 0.3], [-1, 0, 0], [-0.3, 0, 0]])
    for a, b, *offset in np.ndindex(2, 2, 3, 3, 3):
        o = np.array(offset) - 1
        bond = (PLACES[b] + o - PLACES[a]) @ CELL
        if 0.1 < np.linalg.norm(bond) < 3.9:
            spring = np.outer(bond, bond) / 9 + 0.1 * np.eye(3)
            spring += turn * np.sign(bond[0].round(9))
            cell = tuple(((o @ inverse * 64).round().astype(int) % 64).tolist())
            blocks[at[cell], a, :, b] -= spring
            blocks[at[0, 0, 0], a, :, a] += spring
    quantity = REGISTRY.Quantity
    return SimpleNamespace(
        crystal=SimpleNamespace(
            cell_vectors=quantity(CELL / 10, "nm"),
            atom_r=PLACES,
            atom_type=np.array(["Cu", "Zr"]),
            atom_mass=quantity([63.546, 91.224], "unified_atomic_mass_unit"),
        ),
        force_constants=quantity(blocks.reshape(-1, 6, 6), "eV/angstrom**2"),
        cell_origins=origins,
        sc_matrix=SUPERCELL,
    )


def test_force_constants_of_euphonic() -> None:
    """Energies are those of D(q) = Σ Φ exp(iq·R); Euphonic 2.1 gives the same to 1e-13 meV (run by hand)."""
    given = constants()
    q = np.array([0.11, 0.07, 0.2]) @ (2 * np.pi * np.linalg.inv(CELL).T)
    blocks = given.force_constants.magnitude.reshape(-1, 2, 3, 2, 3)
    D = np.zeros((2, 3, 2, 3), dtype=complex)
    for block, origin in zip(blocks, given.cell_origins, strict=True):
        for a, b in np.ndindex(2, 2):
            # The nearest image, as the supercell has it.
            bond = PLACES[b] + origin - PLACES[a]
            bond = bond - np.round(bond @ np.linalg.inv(SUPERCELL)) @ SUPERCELL
            D[a, :, b] += block[a, :, b] * np.exp(1j * bond @ CELL @ q)
    root = np.sqrt(np.array([63.546, 91.224]))
    D /= root[:, None, None, None] * root[None, None, :, None]
    wanted = np.linalg.eigvalsh(D.reshape(6, 6))
    found = xbp.md.lattice.from_euphonic(given)
    assert found.sizes["atom"] == 128
    _, springs = read_force_constants(found)
    own = np.linalg.eigvalsh(bloch_matrix(springs, q))
    np.testing.assert_allclose(np.abs(own[:, None] - wanted).min(axis=0), 0, atol=1e-12)


def test_other_objects_and_supercells_are_refused() -> None:
    with pytest.raises(QuantityError, match="not a ForceConstants"):
        xbp.md.lattice.from_euphonic(phonon())
    given = constants()
    given.sc_matrix = np.diag([4, 4, 5])
    with pytest.raises(QuantityError, match="do not fill a supercell of 80"):
        xbp.md.lattice.from_euphonic(given)
