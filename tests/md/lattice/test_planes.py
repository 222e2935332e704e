"""Lattice dynamics of a plane: the triangular crystal, whose dispersion is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.md import crystal
from xbp.core import constants

#: A box of 48 atoms, in a cell thicker than it is wide.
BOX = (6, 8, 30.0)


@pytest.fixture(scope="module")
def modes() -> xr.Dataset:
    phi = crystal.force_constants(*BOX)
    return phi.bp.bloch_modes(
        n_wavevectors=30, Q_max=1.0, dQ=0.1, dE=0.2, strain=True, cutoff=4.5,
        precision="double",
    )  # fmt: skip


@pytest.mark.slow
def test_modes_of_a_plane_are_the_analytic_dispersion(modes: xr.Dataset) -> None:
    assert modes.attrs["dimension"] == 2
    assert modes.sizes["mode"] == 2 * 48
    cell = modes.cell.values
    waves = np.array([(h, k, 0) for h in range(BOX[0]) for k in range(BOX[1])])
    folded = waves @ (2 * np.pi * np.linalg.inv(cell).T)
    for k, found in zip(modes.wavevector.values, modes.mode_energy.values, strict=True):
        assert k[2] == 0
        exact = np.sort(crystal.dispersion(k + folded).ravel())
        np.testing.assert_allclose(found, exact, atol=1e-7)


@pytest.mark.slow
def test_g_over_e_is_debyes_level() -> None:
    phi = crystal.force_constants(*BOX)
    many = phi.bp.bloch_modes(n_wavevectors=300, Q_max=None, precision="double")
    g = many.bp.bloch_vdos("0.25 meV")
    assert g.g.attrs["area"] == pytest.approx(1.0)
    low = g.bp.to_bqe().sel(E=slice(0.5, 2.0))
    weight = low.B_std**-2
    level = float((low.B * weight).sum() / weight.sum())
    error = float(weight.sum() ** -0.5)
    assert level == pytest.approx(2 / 11.52**2, abs=3 * error)
    assert error < 0.05 * level


@pytest.mark.slow
def test_spectra_of_a_plane(modes: xr.Dataset) -> None:
    T = "20 K"
    sqe = modes.bp.bloch_structure_factor(T, weights="unit", statistics="classical")
    omega = np.linalg.eigvalsh(crystal.hessian(*BOX[:2]) / crystal.M)[2:]
    u2 = constants.BOLTZMANN * 20 / crystal.M * (1 / omega).sum() / 96
    assert float(sqe.u2) == pytest.approx(u2, rel=1e-6)
    assert "in the box of 48 atoms" in sqe.u2.attrs["long_name"]
    assert sqe.bp.to_bqe().B.attrs["convention"] == "n*S/Q^2"
    currents = modes.bp.bloch_currents(T)
    for name in ("C_L", "C_T"):
        area = 2 * currents[name].sum("E") * 0.2
        # Modes below the first bin's middle are in it at another energy.
        np.testing.assert_allclose(
            area[1:] * crystal.M / (constants.BOLTZMANN * 20), 1.0, rtol=0.03
        )
    sound = currents.bp.phonon_dispersion().bp.sound_velocity("0.6 1/angstrom")
    assert float(sound.debye_energy) == pytest.approx(11.52, rel=0.05)


def test_strain_of_long_waves_is_their_gradient(modes: xr.Dataset) -> None:
    """Of a wave along Q a longitudinal strain is half volumetric, half shear."""
    strength = modes.field_strength.sum("E").mean("k").isel(Q=0)
    volumetric, shear = (
        float(strength.sel(field=f)) for f in ("volumetric_strain", "shear_strain")
    )
    # ⟨|iQ e_L/√m|²⟩/4 of the mean, /2 of dev(L) and /2 of the transverse waves.
    assert shear / volumetric == pytest.approx(4, rel=0.1)
