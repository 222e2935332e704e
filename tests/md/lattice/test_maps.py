"""Maps of vibrations: equipartition, the means of spectra, springs made soft."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.md.lattice.crystals import fcc, second_derivatives
from tests.md.lattice.test_elastic import at_rest, disordered, of_pairs
from tests.md.lattice.test_spectra import rest, springs
from xbp.core.constants import BOLTZMANN_MEV
from xbp.errors import QuantityError, RangeError
from xbp.md import lattice
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.job import strain_bonds
from xbp.md.lattice.maps import _mean_squares, _overlap
from xbp.md.lattice.modes import Springs, bloch_modes
from xbp.md.lattice.sampling import squared_amplitudes


@pytest.mark.slow
def test_the_mean_over_atoms_is_that_of_spectra() -> None:
    heavy = np.random.default_rng(3).random(108) < 0.5
    one = rest(np.where(heavy, 91.2, 27.0))
    phi = springs(one.assign_coords(element=("atom", np.where(heavy, "Zr", "Al"))))
    found = phi.bp.vibration_map("80 K", n_wavevectors=1, cutoff=3.4)
    modes = phi.bp.bloch_modes(n_wavevectors=1, Q_max=1, dQ=0.5)
    sqe = modes.bp.bloch_structure_factor("80 K", weights="unit")
    assert float(found.u2.mean()) == pytest.approx(float(sqe.u2), rel=1e-4)
    assert np.isnan(found.u2_std).all()
    # Light and heavy atoms differ, and their mean is taken out of the overlap.
    assert -1 < float(found.shear_overlap) < 1
    low, high = (
        phi.bp.vibration_map("80 K", n_wavevectors=1, cutoff=3.4, E_range=r)
        for r in ((0, 8), ("8 meV", "1 eV"))
    )
    for name in ("u2", "shear_strain", "volumetric_strain"):
        np.testing.assert_allclose(low[name] + high[name], found[name], rtol=1e-5)


def test_strains_of_thermal_motion() -> None:
    """⟨uu⟩ = k_BT Φ⁻¹, and the strain of every atom is linear in u."""
    position, cell, stiff, mass = disordered()
    matrix = of_pairs(position, cell, stiff, 0 * stiff)
    phi = lattice.new_force_constants(matrix, at_rest(position, cell, mass))
    trajectory, own = read_force_constants(phi)
    bonds = tuple(strain_bonds(trajectory, own, 3.4).values())
    k = np.zeros(3)
    energy, vectors = bloch_modes(own, k)
    T = 50.0
    amplitude = squared_amplitudes(energy, energy[-1], T, "classical")
    found = _mean_squares(own, k, vectors, amplitude, bonds)
    kT = BOLTZMANN_MEV * T * 1e-3
    root = np.repeat(mass**-0.5, 3)
    weighted = root[:, None] * matrix.toarray() * root
    moved = kT * root[:, None] * np.linalg.pinv(weighted, hermitian=True) * root
    u2 = np.diag(moved).reshape(108, 3).mean(axis=1)
    np.testing.assert_allclose(found[0], u2, rtol=1e-8)
    first, second, weight = bonds
    strain = np.zeros((108, 3, 3, 324))
    for i, j, w in zip(first, second, weight, strict=True):
        for a in range(3):
            strain[i, a, :, 3 * j + a] += w
            strain[i, a, :, 3 * i + a] -= w
    strain = (strain + strain.swapaxes(1, 2)) / 2
    mean = np.einsum("iaax->ix", strain) / 3
    volumetric = np.einsum("ix,xy,iy->i", mean, moved, mean)
    whole = np.einsum("iabx,xy,iaby->i", strain, moved, strain, optimize=True)
    np.testing.assert_allclose(found[2], volumetric, rtol=1e-8)
    np.testing.assert_allclose(found[1], whole - 3 * volumetric, rtol=1e-8)


def test_a_glass_that_is_not_at_a_minimum_is_refused() -> None:
    """Modes that are left out were not said, and u² was of the others."""
    position, cell, stiff, mass = disordered()
    matrix = of_pairs(position, cell, stiff, 0 * stiff)
    phi = lattice.new_force_constants(matrix, at_rest(position, cell, mass))
    unstable = phi.assign(force_constant=-phi.force_constant)
    unstable.force_constant.attrs = phi.force_constant.attrs
    with pytest.raises(RangeError, match="of the modes are imaginary"):
        unstable.bp.vibration_map("300 K", n_wavevectors=1)
    for operation in ("vibration_map", "elastic_constants"):
        nothing = phi.assign(force_constant=0 * phi.force_constant)
        nothing.force_constant.attrs = phi.force_constant.attrs
        with pytest.raises(QuantityError, match="are zero"):
            getattr(nothing.bp, operation)(*["300 K"] * (operation[0] == "v"))


def test_overlap() -> None:
    position, cell = fcc(3)
    own = Springs(
        *([np.zeros(0)] * 2), np.zeros((0, 3, 3)), position, cell, np.ones(108)
    )
    one = np.random.default_rng(0).uniform(1, 2, 108)
    elements = np.where(np.arange(108) < 60, "A", "B")
    scale = np.where(elements == "A", 1.0, 7.0)
    r, std = _overlap(one, one * scale, own, elements)
    assert (r, std) == (pytest.approx(1), pytest.approx(0, abs=1e-7))
    pulls = []
    for seed in range(60):
        draws = np.random.default_rng(seed).uniform(1, 2, (2, 108))
        r, std = _overlap(*draws, own, elements)
        pulls.append(r / std)
    assert 0.6 < np.std(pulls) < 1.6


@pytest.mark.slow
def test_a_soft_atom_moves_most_and_files(tmp_path: object) -> None:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell).toarray().reshape(108, 3, 108, 3)
    loose = np.ones(108)
    loose[40] = 0.1
    matrix *= loose[:, None, None, None] * loose[:, None]
    every = np.arange(108)
    matrix[every, :, every, :] = 0
    matrix[every, :, every, :] = -matrix.sum(axis=2)
    phi = lattice.new_force_constants(matrix.reshape(324, 324), at_rest(position, cell))
    found = phi.bp.vibration_map("100 K", n_wavevectors=2, cutoff=3.4)
    assert (found.u2_std > 0).all()
    assert int(found.u2.argmax("atom")) == 40
    # Its neighbors are sheared most: a displacement of an atom amid symmetric
    # neighbors is no strain of these.
    apart = position - position[40]
    apart -= np.round(apart / cell[0, 0]) * cell[0, 0]
    near = abs(np.linalg.norm(apart, axis=1) - 2**0.5 * 2) < 0.1
    assert set(np.argsort(found.shear_strain.values)[-12:]) == set(np.flatnonzero(near))
    assert float(found.u2[40] / found.u2.median()) > 3
    found.bp.to_netcdf(f"{tmp_path}/map.nc")
    with xr.open_dataset(f"{tmp_path}/map.nc") as back:
        assert back.load().identical(found)
    with pytest.raises(RangeError, match="no mode"):
        phi.bp.vibration_map("100 K", n_wavevectors=1, cutoff=3.4, E_range=(500, 900))
    for wrong in ((3, 1), 4, ("1 meV",)):
        with pytest.raises(RangeError, match="E_range"):
            phi.bp.vibration_map("100 K", cutoff=3.4, E_range=wrong)
    with pytest.raises(QuantityError, match="statistics"):
        phi.bp.vibration_map("100 K", statistics="thermal")
