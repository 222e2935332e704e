"""Elastic constants of crystals, by the sums of their pair potential, and of glasses, by their long waves."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import xarray as xr

import xbp
from tests.md.lattice.crystals import A, K, M, fcc, second_derivatives
from xbp.core import constants
from xbp.errors import QuantityError
from xbp.md import lattice
from xbp.md.lattice.elastic import isotropic_moduli, long_waves, stiffness
from xbp.md.lattice.modes import Springs, bloch_matrix, springs_of

GPA = 160.2176634  # eV/Å³


def at_rest(
    position: np.ndarray, cell: np.ndarray, mass: np.ndarray | None = None
) -> xr.Dataset:
    n = len(position)
    return xbp.md.new_trajectory(
        position[None], time=[0.0], cell=cell, element=["Ar"] * n,
        mass=np.full(n, M) if mass is None else mass,
    )  # fmt: skip


def of_pairs(
    position: np.ndarray, cell: np.ndarray, stiff: np.ndarray, tense: np.ndarray
) -> scipy.sparse.csr_array:
    """Return ∂²U/∂r_i∂r_j of pairs (n, n) with V″ and V′/r."""
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    length = np.linalg.norm(bond, axis=2)
    unit = bond / np.where(length == 0, 1, length)[..., None]
    along = np.einsum("ija,ijb->ijab", unit, unit)
    block = -stiff[..., None, None] * along
    block -= tense[..., None, None] * (np.eye(3) - along)
    block[np.arange(len(position)), np.arange(len(position))] = 0
    every = np.arange(len(position))
    block[every, every] = -block.sum(axis=1)
    size = position.size
    return scipy.sparse.csr_array(block.transpose(0, 2, 1, 3).reshape(size, size))


def disordered(seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return an fcc crystal of springs and masses at random: positions, cell, stiffness, masses."""
    position, cell = fcc(3)
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    near = abs(np.linalg.norm(bond, axis=2) - A / 2**0.5) < 0.1
    rng = np.random.default_rng(seed)
    random = rng.uniform(0.2, 2, near.shape)
    return position, cell, near * (random + random.T), rng.uniform(20, 100, len(near))


def test_a_crystal_of_springs() -> None:
    """2k/a, k/a and k/a, and nothing relaxes."""
    position, cell = fcc(3)
    phi = lattice.new_force_constants(
        second_derivatives(position, cell), at_rest(position, cell)
    )
    found = phi.bp.elastic_constants()
    cubic = K / A * GPA * np.diag([2.0, 2, 2, 1, 1, 1])
    cubic[:3, :3] += K / A * GPA * (1 - np.eye(3))
    np.testing.assert_allclose(found.stiffness, cubic, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.affine_stiffness, found.stiffness)
    assert float(found.bulk_modulus) == pytest.approx(K / A * GPA * 4 / 3)
    assert float(found.shear_modulus) == pytest.approx(K / A * GPA * 4 / 5)
    # √(GPa/(g/cm³)) is km/s.
    density = 4 * M / A**3 * 1.66053907
    speed = 1e3 * (float(found.shear_modulus) / density) ** 0.5
    assert float(found.transverse_velocity) == pytest.approx(speed)
    long = 1e3 * (K / A * GPA * (4 / 3 + 4 / 3 * 4 / 5) / density) ** 0.5
    assert float(found.longitudinal_velocity) == pytest.approx(long)
    mean = (3 / (1 / long**3 + 2 / speed**3)) ** (1 / 3)
    energy = 0.6582119569 * mean / 100 * (6 * np.pi**2 * 4 / A**3) ** (1 / 3)
    assert float(found.debye_energy) == pytest.approx(energy)
    assert np.abs(found.deviatoric_stress).max() < 1e-9


def lennard_jones(
    position: np.ndarray, cell: np.ndarray
) -> tuple[scipy.sparse.csr_array, np.ndarray, np.ndarray]:
    """Return second derivatives, and by sums over pairs stress (tension > 0) and stiffness, eV/Å³."""
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    r = np.linalg.norm(bond, axis=2)
    np.fill_diagonal(r, 1.0)
    near = (r < 5.0) & ~np.eye(len(r), dtype=bool)
    x = (2.6 / r) ** 6
    tense = near * 24 * 0.1 * (x - 2 * x**2) / r**2
    stiff = near * 24 * 0.1 * (26 * x**2 - 7 * x) / r**2
    volume = float(np.linalg.det(cell))
    stress = np.einsum("ij,ija,ijb->ab", tense, bond, bond) / (2 * volume)
    own = np.einsum(
        "ij,ija,ijb,ijc,ijd->abcd", (stiff - tense) / r**2, bond, bond, bond, bond
    )
    one = np.eye(3)
    # Stress and strain about a stressed state (Barron and Klein), averaged so that
    # pairs may be exchanged.
    extra = (
        np.einsum("ac,bd->abcd", one, stress) + np.einsum("ad,bc->abcd", one, stress)
        + np.einsum("bc,ad->abcd", one, stress) + np.einsum("bd,ac->abcd", one, stress)
    ) / 2  # fmt: skip
    extra -= (
        np.einsum("ab,cd->abcd", one, stress) + np.einsum("ab,cd->abcd", stress, one)
    ) / 2
    return of_pairs(position, cell, stiff, tense), stress, own / (2 * volume) + extra


def voigt(tensor: np.ndarray) -> np.ndarray:
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    return np.array([[tensor[(*a, *b)] for b in pairs] for a in pairs])


@pytest.mark.parametrize("size", [0.92, 1.0, 1.03])
def test_a_pair_potential_under_pressure(size: float) -> None:
    """Sums over pairs with the pressure's part, to 1e-6; no pressure is asked for."""
    position, cell = fcc(3)
    matrix, stress, expected = lennard_jones(size * position, size * cell)
    phi = lattice.new_force_constants(matrix, at_rest(size * position, size * cell))
    found = phi.bp.elastic_constants()
    scale = np.abs(expected).max() * GPA
    assert abs(stress[0, 0]) > 1e-3
    np.testing.assert_allclose(
        found.stiffness, voigt(expected) * GPA, atol=1e-6 * scale
    )


def test_stress_that_is_no_pressure() -> None:
    position, cell = fcc(3)
    strained = np.diag([0.93, 0.94, 0.96])
    matrix, stress, _ = lennard_jones(position @ strained, cell @ strained)
    phi = lattice.new_force_constants(
        matrix, at_rest(position @ strained, cell @ strained)
    )
    expected = stress - np.trace(stress) / 3 * np.eye(3)
    found = phi.bp.elastic_constants().deviatoric_stress.values / GPA
    np.testing.assert_allclose(found[:3], np.diag(expected), atol=1e-9)
    assert np.abs(expected).max() > 1e-3


def test_a_cell_of_another_shape_changes_nothing() -> None:
    """A hexagonal cell along (111), as the crystal turned about it."""
    edge = A / 2**0.5
    one = np.array([(1, 0, 0), (0.5, 0.75**0.5, 0), (0.5, 12**-0.5, (2 / 3) ** 0.5)])
    cell = 4 * edge * one
    position = np.array(list(np.ndindex(4, 4, 4))) @ (edge * one)
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    near = abs(np.linalg.norm(bond, axis=2) - edge) < 0.1
    assert (near.sum(axis=1) == 12).all()
    matrix = of_pairs(position, cell, K * near, 0 * near)
    found = lattice.new_force_constants(matrix, at_rest(position, cell))
    found = found.bp.elastic_constants()
    assert float(found.bulk_modulus) == pytest.approx(K / A * GPA * 4 / 3)
    assert float(found.shear_modulus) == pytest.approx(K / A * GPA * 4 / 5)


def glass() -> tuple[Springs, xr.Dataset]:
    position, cell, stiff, mass = disordered()
    matrix = of_pairs(position, cell, stiff, 0 * stiff)
    phi = lattice.new_force_constants(matrix, at_rest(position, cell, mass))
    return springs_of(matrix, position, cell, mass)[0], phi


def test_the_long_waves_of_a_glass_have_these_velocities() -> None:
    """The three lowest eigenvalues at small k, over k², whatever the masses."""
    springs, phi = glass()
    affine, relaxed = long_waves(springs)
    assert np.abs(relaxed).max() > 0.02 * np.abs(affine).max()
    direction = np.array([0.3, -0.5, 0.81])
    direction /= np.linalg.norm(direction)
    coefficients = np.einsum("abgl,g,l->ab", affine + relaxed, direction, direction)
    expected = np.linalg.eigvalsh(coefficients) / springs.mass.sum()
    k = 2e-3
    lowest = np.linalg.eigvalsh(bloch_matrix(springs, k * direction))[:3] / k**2
    np.testing.assert_allclose(lowest, expected, rtol=2e-5)
    found = phi.bp.elastic_constants()
    shear = float(found.shear_modulus / found.affine_shear_modulus)
    assert 0.5 < shear < 0.99


def test_the_energy_of_a_strained_glass() -> None:
    """Of uniform strain and the displacements that lower it most, by dense algebra."""
    springs, phi = glass()
    tensor = stiffness(sum(long_waves(springs)))
    strain = np.array([(0.3, 0.2, -0.1), (0.2, -0.4, 0.5), (-0.1, 0.5, 0.2)])
    bond = springs.bond
    matrix = np.zeros((springs.n_atoms, 3, springs.n_atoms, 3))
    np.add.at(matrix, (springs.first, slice(None), springs.second), springs.block)
    matrix = matrix.reshape(springs.n_modes, -1)
    moved = bond @ strain
    stretched = -np.einsum("pa,pab,pb->", moved, springs.block, moved) / 2
    force = np.zeros((springs.n_atoms, 3))
    np.add.at(force, springs.first, np.einsum("pab,pb->pa", springs.block, moved))
    gained = force.ravel() @ np.linalg.pinv(matrix, hermitian=True) @ force.ravel()
    energy = np.einsum("ab,abcd,cd->", strain, tensor, strain)
    assert energy == pytest.approx(stretched - gained, rel=1e-8)
    scale = GPA / float(np.linalg.det(springs.cell))
    bulk, shear = isotropic_moduli(tensor * scale)
    found = phi.bp.elastic_constants()
    assert float(found.bulk_modulus) == pytest.approx(bulk)
    assert float(found.shear_modulus) == pytest.approx(shear)


def test_a_plane() -> None:
    """Of a triangular crystal of springs λ = μ = k√3/4, over the mass per area."""
    n, a, k = 6, 3.0, 2.0
    one = np.array([(a, 0, 0), (a / 2, a * 0.75**0.5, 0), (0, 0, 10)])
    cell = np.diag([n, n, 1.0]) @ one
    position = np.array([(i, j, 0) for i in range(n) for j in range(n)]) @ one
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    near = abs(np.linalg.norm(bond, axis=2) - a) < 0.1
    phi = lattice.new_force_constants(
        of_pairs(position, cell, k * near, 0 * near), at_rest(position, cell)
    )
    found = phi.bp.elastic_constants()
    lame = k * 3**0.5 / 4 * 16.02176634  # N/m
    assert found.attrs["dimension"] == 2
    assert found.stiffness.attrs["units"] == "N/m"
    np.testing.assert_allclose(
        found.stiffness, lame * np.array([(3, 1, 0), (1, 3, 0), (0, 0, 1)]), atol=1e-6
    )
    assert float(found.bulk_modulus) == pytest.approx(2 * lame)
    assert float(found.shear_modulus) == pytest.approx(lame)
    area = a**2 * 0.75**0.5
    root = 1e2 * constants.HBAR_ROOT_EV_PER_U / constants.HBAR
    speed = root * (3**0.5 / 4 * k * area / M) ** 0.5
    assert float(found.transverse_velocity) == pytest.approx(speed)
    assert float(found.longitudinal_velocity) == pytest.approx(speed * 3**0.5)


def test_units_files_and_bad_input(tmp_path: object) -> None:
    _, phi = glass()
    found = phi.bp.elastic_constants()
    found.bp.to_netcdf(f"{tmp_path}/elastic.nc")
    with xr.open_dataset(f"{tmp_path}/elastic.nc") as back:
        assert back.load().identical(found)
    other = phi.assign(
        force_constant=(phi.force_constant * 16021.76634).assign_attrs(units="mN/m")
    )
    np.testing.assert_allclose(other.bp.elastic_constants().stiffness, found.stiffness)
    negative = phi.assign(force_constant=-phi.force_constant)
    negative.force_constant.attrs["units"] = "eV/angstrom**2"
    with pytest.raises(QuantityError, match="not at a minimum"):
        negative.bp.elastic_constants()
    with pytest.raises(QuantityError, match="force_constants"):
        found.bp.elastic_constants()


def icosahedron() -> np.ndarray:
    """Return six directions: means over them of fourth powers are those of the sphere."""
    golden = (1 + 5**0.5) / 2
    one = np.array([(0, 1, golden), (0, -1, golden)])
    every = np.concatenate([np.roll(one, n, axis=1) for n in range(3)])
    return every / np.linalg.norm(every[0])


@pytest.mark.slow
def test_velocities_from_currents_are_those_from_moduli() -> None:
    """At small Q; the acoustic lines of C_L and C_T, over all directions."""
    _, phi = glass()
    found = phi.bp.elastic_constants()
    Q = 0.02
    k = Q * icosahedron() @ (phi.cell.values.reshape(3, 3) / (2 * np.pi)).T
    modes = phi.bp.bloch_modes(
        k=k, Q_max=0.6, dQ=2 * Q, E_max=1.5, dE="0.002 meV", precision="double"
    )
    currents = modes.bp.bloch_currents("10 K")
    assert float(currents.Q[0]) == pytest.approx(Q)
    for name, branch in (("C_L", "longitudinal"), ("C_T", "transverse")):
        C = currents[name].isel(Q=0)
        energy = float(((C * currents.E**2).sum() / C.sum()) ** 0.5)
        velocity = 100 * energy / (constants.HBAR * Q)
        expected = float(found[f"{branch}_velocity"])
        assert velocity == pytest.approx(expected, rel=2e-3)
        # They are not those of the affine moduli.
        G = found.shear_modulus / found.affine_shear_modulus
    assert float(G) < 0.95


def test_force_constants_without_some_pairs_are_refused() -> None:
    """Half of the pairs had half of the modulus."""
    _, phi = glass()
    for pairs in (slice(0, 700), slice(0, -1), slice(1, None)):
        cut = phi.isel(pair=pairs)
        for operation in ("elastic_constants", "bloch_modes"):
            with pytest.raises(QuantityError, match="pairs are missing"):
                getattr(cut.bp, operation)()
