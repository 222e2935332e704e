"""The motion of the whole: the same spectra at rest, on the move, and in a cell that breathes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from xbp.errors import QuantityError
from xbp.md import models, open_trajectory
from xbp.md.block import resting_hops

V = np.array([1.0, 0.5, 0.2])


@pytest.fixture(scope="module")
def solid() -> xr.Dataset:
    made = models.einstein_solid(
        40, 800, cell=12, energy="8 meV", T=300, mass=40, time_step="50 fs", rng=1
    )
    made["mass"] = ("atom", np.linspace(20, 60, 40), {"units": "u"})
    return made


def moving(traj: xr.Dataset, velocity: np.ndarray) -> xr.Dataset:
    way = traj.time.values[:, None, None] * velocity
    return traj.assign(
        position=traj.position.copy(data=traj.position.values + way),
        velocity=traj.velocity.copy(data=traj.velocity.values + velocity),
    )


def breathing(traj: xr.Dataset, carried: bool) -> xr.Dataset:
    """Stretch the cell along x and shear it, to and fro; velocities may contain that."""
    phase = 2 * np.pi * traj.time.values / 1.3
    strain = np.array([[1.0, 0.3, 0], [0, -0.5, 0], [0, 0, 0.2]])
    stretch = np.eye(3) + 0.01 * np.sin(phase)[:, None, None] * strain
    rate = 0.01 * np.cos(phase)[:, None, None] * strain * 2 * np.pi / 1.3
    made = traj.assign(
        position=traj.position.copy(data=traj.position.values @ stretch),
        velocity=traj.velocity.copy(
            data=traj.velocity.values + carried * (traj.position.values @ rate)
        ),
    )
    made["cell"] = (("time", "vector", "xyz"), 12 * stretch, {"units": "angstrom"})
    return made


def codes(ds: xr.Dataset) -> set[str]:
    return {one.code for one in ds.bp.diagnostics()}


def spectra(traj: xr.Dataset) -> dict[str, xr.DataArray]:
    traj = traj.isel(time=slice(0, 200))
    S = traj.bp.dynamic_structure_factor(
        1, 0.5, window="5 ps", weights="unit", precision="double"
    )
    self_part = traj.bp.dynamic_structure_factor(
        1, 0.5, window="5 ps", weights="unit", part="incoherent", precision="double"
    )
    C = traj.bp.current_spectra(1, 0.5, window="5 ps", precision="double")
    F = traj.bp.intermediate_scattering_function(
        1, 0.5, window="5 ps", weights="unit", precision="double"
    )
    return {
        "S": S.S,
        "u2": S.u2,
        "self": self_part.S,
        "C_L": C.C_L,
        "C_T": C.C_T,
        "F": F.F,
    }


@pytest.fixture(scope="module")
def at_rest(solid: xr.Dataset) -> dict[str, xr.DataArray]:
    return spectra(solid)


@pytest.mark.slow
@pytest.mark.parametrize(("velocity", "wrapped"), [(V, False), (130 * V, True)])
def test_a_drift_changes_no_spectrum(
    solid: xr.Dataset,
    at_rest: dict[str, xr.DataArray],
    velocity: np.ndarray,
    wrapped: bool,
) -> None:
    traj = moving(solid, velocity)
    if wrapped:
        traj = traj.assign(position=traj.position.copy(data=traj.position.values % 12))
    found = spectra(traj)
    for name, still in at_rest.items():
        np.testing.assert_allclose(
            found[name].values,
            still.values,
            rtol=1e-6,
            atol=1e-9 * float(abs(still).max()),
        )
    assert "drift" in codes(found["S"].to_dataset())
    assert "drift" in codes(found["C_T"].to_dataset())


@pytest.mark.slow
def test_a_drift_is_no_vibration(solid: xr.Dataset) -> None:
    still, found = (
        t.drop_vars("temperature").bp.vdos(window="10 ps")
        for t in (solid, moving(solid, V))
    )
    assert float(found.g[0] / found.g.max()) < 1e-6  # 0.19 with the drift
    np.testing.assert_allclose(found.g, still.g, rtol=1e-6, atol=1e-9)
    assert float(found.temperature) == pytest.approx(float(still.temperature), rel=1e-9)
    assert "drift" in codes(found)
    assert codes(still) == set()
    assert found.attrs["center_of_mass"] == still.g.attrs["center_of_mass"] == "at rest"
    np.testing.assert_allclose(
        moving(solid, V).bp.msd(window="10 ps").msd,
        solid.bp.msd(window="10 ps").msd,
        rtol=1e-7,
        atol=1e-9,
    )


@pytest.mark.slow
def test_a_drift_in_chunks_of_dask_is_taken_off(solid: xr.Dataset) -> None:
    whole = moving(solid, V)
    parts = whole.chunk(time=130)
    for call in (
        lambda t: t.bp.vdos(window="4 ps").g,
        lambda t: t.bp.current_spectra(1, 0.5, window="4 ps", precision="double").C_L,
    ):
        np.testing.assert_allclose(call(parts), call(whole), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(call(parts), call(solid), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("carried", [False, True])
def test_a_cell_that_breathes_makes_no_current(carried: bool) -> None:
    """Of a cold solid, whose currents the affine ones exceed up to six times."""
    cold = models.einstein_solid(
        40, 800, cell=12, energy="8 meV", T=1, mass=40, time_step="50 fs", rng=1
    )
    cold["mass"] = ("atom", np.linspace(20, 60, 40), {"units": "u"})
    traj = breathing(cold, carried)
    found, still = (
        one.bp.current_spectra(1, 0.2, window="10 ps", precision="double")
        for one in (traj, cold)
    )
    for name in ("C_L", "C_T"):
        exact = still[name].values
        np.testing.assert_allclose(
            found[name].values, exact, rtol=1e-4, atol=1e-4 * exact.max()
        )
    assert found.attrs["affine_motion"] == (
        "taken off" if carried else "not in the velocities"
    )
    g = traj.bp.vdos(window="10 ps").g
    still_g = cold.bp.vdos(window="10 ps").g
    np.testing.assert_allclose(g, still_g, rtol=1e-6, atol=1e-9)
    placed = traj.drop_vars("velocity").bp.vdos(window="10 ps").g
    np.testing.assert_allclose(placed, still_g, atol=0.02 * float(still_g.max()))


def test_an_affine_motion_that_thermal_motion_hides_is_said_to_stay(
    solid: xr.Dataset,
) -> None:
    slow = solid.copy()
    stretch = 1 + 1e-6 * np.sin(solid.time.values)
    slow["cell"] = (
        ("time", "vector", "xyz"),
        12 * np.eye(3) * stretch[:, None, None],
        {"units": "angstrom"},
    )
    found = slow.bp.vdos(window="10 ps")
    assert found.attrs["affine_motion"] == "unknown"
    assert "affine_motion" in codes(found)


def test_atoms_that_jump_by_half_of_the_cell_hide_how_the_whole_moves() -> None:
    gas = models.ideal_gas(300, 40, cell=4, T=300, mass=40, time_step="0.7 ps", rng=1)
    hops, centre = resting_hops(
        np.diff(gas.position.values, axis=0).swapaxes(1, 2) / 4, np.full(300, 1 / 300)
    )
    assert np.isnan(centre).all()
    assert hops.shape == (39, 3, 300)
    found = gas.bp.dynamic_structure_factor(
        1.6, 0.5, window="7 ps", weights="unit", folding=None
    )
    assert found.attrs["center_of_mass"] == "as in the trajectory"
    assert "drift_unknown" in codes(found)


def test_velocities_in_another_unit_are_named_as_the_fault(tmp_path: Path) -> None:
    """As MDANSE 1 wrote those of CP2K, 21.9 times too small: the positions are right."""
    fast = 5.0 * np.array([[1.0, 0, 0], [0, -1, 0]])
    time = 0.02 * np.arange(3)
    r = np.array([[1.0, 2, 3], [4, 5, 6]]) + fast * time[:, None, None]
    path = tmp_path / "a.mdt"
    with h5py.File(path, "w") as file:
        file["configuration/coordinates"] = r / 10
        file["configuration/velocities"] = np.array([fast] * 3) / 10 / 21.9
        file["unit_cell"] = [np.diag([1.0, 1.1, 1.2])] * 3
        file["time"] = time
        text = h5py.string_dtype()
        file.create_dataset("composition/atom_types", data=["Cu", "Zr"], dtype=text)
    with pytest.raises(QuantityError, match=r"K of the velocities.*\n.*velocities=F"):
        open_trajectory(path)
    still = open_trajectory(path, velocities=False)
    np.testing.assert_allclose(still.position.values, r)
