"""Moduli of cells: their mean, crystals, layers, and stresses added up by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.md.lattice.crystals import A, K, M, fcc, second_derivatives
from tests.md.lattice.test_elastic import GPA, at_rest, disordered, glass, of_pairs
from xbp.errors import RangeError, UnitsError
from xbp.md import lattice
from xbp.md.lattice.elastic import isotropic_moduli, stiffness
from xbp.md.lattice.local import long_waves_of_cells
from xbp.md.lattice.modes import springs_of


def test_cells_of_a_crystal_are_equal_however_they_cut_it() -> None:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell)
    phi = lattice.new_force_constants(matrix, at_rest(position, cell))
    for size in ("4 angstrom", "5 angstrom"):
        found = phi.bp.local_moduli(size)
        np.testing.assert_allclose(found.shear_modulus, K / A * GPA * 4 / 5)
        np.testing.assert_allclose(found.bulk_modulus, K / A * GPA * 4 / 3)
        assert float(found.disorder) < 1e-20
    assert found.sizes["cell"] == 8
    assert found.edge.values.tolist() == [6, 6, 6]


def test_the_mean_over_cells_is_the_modulus_of_the_glass() -> None:
    _, phi = glass()
    whole = phi.bp.elastic_constants(tolerance=1e-10)
    for size in ("4 angstrom", "6 angstrom"):
        found = phi.bp.local_moduli(size, tolerance=1e-10)
        for kind in ("bulk", "shear", "affine_bulk", "affine_shear"):
            mean = found[f"{kind}_modulus_mean"]
            expected = pytest.approx(float(whole[f"{kind}_modulus"]), rel=1e-8)
            assert float(mean) == expected
            cells = found[f"{kind}_modulus"]
            assert float(cells.weighted(found.n_atoms).mean()) == expected
    G = found.shear_modulus.values
    variance = float(found.shear_modulus_variance)
    assert variance == pytest.approx(G.var() / G.mean() ** 2, rel=0.05)
    assert float(found.disorder) == pytest.approx(variance * 108 / 8 / 3)


def test_layers_in_series_have_one_stress() -> None:
    """Strained across its layers, a stack of soft and stiff springs has one stress."""
    position, cell = fcc(4)
    soft = (position[:, 2] < 8 - 0.1)[:, None] & (position[:, 2] < 8 - 0.1)
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    near = abs(np.linalg.norm(bond, axis=2) - A / 2**0.5) < 0.1
    stiff = K * near * np.where(soft, 0.3, 1.0)
    matrix = of_pairs(position, cell, stiff, 0 * stiff)
    springs, _ = springs_of(matrix, position, cell, np.full(256, M))
    layer = np.round(position[:, 2] / (A / 2)).astype(int)
    affine, relaxed = long_waves_of_cells(springs, layer, 8, 1e-12)
    along = np.array(
        [stiffness(a + r)[2, 2, 2, 2] for a, r in zip(affine, relaxed, strict=True)]
    )
    # Of n planes of springs in series, each of 2k per A²/2: the mean of their 1/k.
    three, five = 3 / 0.3, 5 / 1.0
    expected = 8 / (three + five) * K / A * 2
    volume = float(np.linalg.det(cell)) / 8
    np.testing.assert_allclose(along / volume, expected, rtol=1e-9)
    uniform = np.array([stiffness(a)[2, 2, 2, 2] for a in affine]) / volume
    assert uniform.min() < 0.31 * uniform.max()


def test_stresses_added_up_by_hand() -> None:
    """The forces of all pairs of the strained and relaxed glass, by dense algebra."""
    position, cell, stiff, mass = disordered()
    matrix = of_pairs(position, cell, stiff, 0 * stiff)
    phi = lattice.new_force_constants(matrix, at_rest(position, cell, mass))
    inverse = np.linalg.pinv(matrix.toarray(), hermitian=True)
    bond = position - position[:, None]
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    length = np.where(stiff > 0, np.linalg.norm(bond, axis=2), 1.0)
    unit = bond / length[..., None]
    octant = (position // 6).astype(int) @ [4, 2, 1]
    C = np.zeros((8, 3, 3, 3, 3))
    for b in range(3):
        for c in range(3):
            strain = np.zeros((3, 3))
            strain[b, c] += 0.5
            strain[c, b] += 0.5
            stretch = np.einsum("ija,ab,ijb->ij", unit, strain, bond)
            pull = np.einsum("ij,ija->ia", stiff * stretch, unit)
            moved = (inverse @ pull.ravel()).reshape(-1, 3)
            apart = moved - moved[:, None]
            stretch += np.einsum("ija,ija->ij", unit, apart)
            virial = np.einsum("ij,ija,ijb->iab", stiff * stretch, unit, bond) / 2
            np.add.at(C[:, :, :, b, c], octant, virial)
    C /= np.bincount(octant)[:, None, None, None, None] * (A**3 / 4)
    # No tension in the bonds: stress and strain of either order.
    expected = [isotropic_moduli((c + c.transpose(2, 3, 0, 1)) / 2 * GPA) for c in C]
    found = phi.bp.local_moduli("6 angstrom", tolerance=1e-11)
    np.testing.assert_allclose(found.bulk_modulus, [k for k, _ in expected], rtol=1e-8)
    np.testing.assert_allclose(found.shear_modulus, [g for _, g in expected], rtol=1e-8)


def test_a_plane_files_and_bad_input(tmp_path: object) -> None:
    n, a = 6, 3.0
    one = np.array([(a, 0, 0), (a / 2, a * 0.75**0.5, 0), (0, 0, 10)])
    cell = np.diag([n, n, 1.0]) @ one
    position = np.array([(i, j, 0) for i in range(n) for j in range(n)]) @ one
    bond = position[:, None] - position
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    near = 2.0 * (abs(np.linalg.norm(bond, axis=2) - a) < 0.1)
    phi = lattice.new_force_constants(
        of_pairs(position, cell, near, 0 * near), at_rest(position, cell)
    )
    found = phi.bp.local_moduli("5 angstrom")
    assert found.shear_modulus.attrs["units"] == "N/m"
    np.testing.assert_allclose(found.shear_modulus, 3**0.5 / 2 * 16.02176634)
    found.bp.to_netcdf(f"{tmp_path}/local.nc")
    with xr.open_dataset(f"{tmp_path}/local.nc") as back:
        assert back.load().identical(found)
    with pytest.raises(RangeError, match="as large as the box"):
        phi.bp.local_moduli("40 angstrom")
    with pytest.raises(RangeError, match="more cells"):
        phi.bp.local_moduli("0.001 angstrom")
    _, uneven = glass()
    uneven["position"] = uneven.position * np.array([1, 1, 0.4])
    with pytest.raises(RangeError, match="no atom"):
        uneven.bp.local_moduli("3 angstrom")
    with pytest.raises(UnitsError, match="size"):
        phi.bp.local_moduli("1 meV")
