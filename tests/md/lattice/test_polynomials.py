"""g(E) by polynomials, against the modes of the same matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.special
import xarray as xr

import xbp
from tests.md.lattice.crystals import disordered, fcc, second_derivatives
from xbp.errors import RangeError
from xbp.md.chebyshev import bin_coefficients, mode_moments, number_of_moments
from xbp.md.lattice.modes import bloch_modes
from xbp.md.lattice.product import BlochProduct


def force_constants(sign: float = 1.0) -> xr.Dataset:
    position, cell = fcc(3)
    mass = np.random.default_rng(5).uniform(20, 100, len(position))
    rest = xbp.md.new_trajectory(
        position[None], time=[0.0], cell=cell, mass=mass, element=["Ar"] * len(mass)
    )
    matrix = sign * second_derivatives(position, cell)
    return xbp.md.lattice.new_force_constants(matrix, rest)


@pytest.mark.slow
def test_all_vectors_together_give_the_modes() -> None:
    """With a complete basis instead of random vectors nothing is left to chance."""
    springs, k, sigma = disordered(), np.array([0.06, 0.02, -0.03]), 0.4
    modes, _ = bloch_modes(springs, k, vectors=False)
    E_max = 1.05 * modes[-1]
    edges = np.arange(0, E_max + 2, 0.7)
    count = number_of_moments(E_max, sigma)
    product = BlochProduct(springs).at(k)
    basis = np.eye(324, dtype=np.complex64)
    moments = mode_moments(product, basis, count, E_max).sum(axis=1)
    found = bin_coefficients(edges, sigma, count, E_max) @ moments
    below = scipy.special.ndtr((edges[:, None] - modes) / sigma)
    below += scipy.special.ndtr((edges[:, None] + modes) / sigma)
    exact = np.diff(below.sum(axis=1))
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert exact[:8].sum() > 1  # there are long waves


@pytest.mark.slow
def test_random_vectors_scatter_about_the_modes_as_their_errors_say() -> None:
    phi = force_constants()
    settings = {"n_wavevectors": 16, "rng": 3}
    modes = phi.bp.bloch_modes(Q_max=None, **settings)
    found = phi.bp.kernel_polynomial_vdos(
        dE="2 meV", resolution="0.5 meV", n_vectors=16, **settings
    )
    exact = modes.bp.bloch_vdos("2 meV")
    both = np.arange(exact.sizes["E"])
    # Bins without modes within the resolution of their edges.
    smooth = found.isel(E=both).g.values - exact.g.values
    assert np.abs(smooth).max() < 0.15 * exact.g.values.max()
    assert float(found.g.sum() * 2) == pytest.approx(1, abs=1e-3)
    assert float(found.resolution_fwhm) == 0.5
    assert found.g.attrs["area_of"] == "all modes"
    some = exact.g.values > 0.3 * exact.g.values.max()
    error = found.g_std.isel(E=both).values[some]
    assert np.sqrt(np.mean((smooth[some] / error) ** 2)) < 2


@pytest.mark.slow
def test_a_run_is_saved_and_read_back(tmp_path: Path) -> None:
    phi = force_constants()
    given = {"n_wavevectors": 2, "n_vectors": 2, "resolution": "1 meV"}
    found = phi.bp.kernel_polynomial_vdos(tmp_path / "g.nc", **given)
    xr.testing.assert_identical(found, xbp.open_dataset(tmp_path / "g.nc"))
    again = phi.bp.kernel_polynomial_vdos(**given)
    xr.testing.assert_equal(found, again)
    assert [path.name for path in tmp_path.iterdir()] == ["g.nc"]


def test_imaginary_modes_are_refused() -> None:
    with pytest.raises(RangeError, match=r"no mode has a real energy|imaginary"):
        force_constants(-1.0).bp.kernel_polynomial_vdos(n_wavevectors=1)
    springs = disordered()
    soft = springs.block.copy()
    own = np.flatnonzero(springs.first == springs.second)[:3]
    soft[own] -= 4 * soft[own].max() * np.eye(3)
    unstable = type(springs)(
        springs.first, springs.second, soft, springs.position, springs.cell,
        springs.mass,
    )  # fmt: skip
    product = BlochProduct(unstable).at(np.zeros(3))
    vectors = np.ones((324, 1), dtype=np.complex64)
    with pytest.raises(RangeError, match="imaginary modes"):
        mode_moments(product, vectors, 200, 80.0)
