"""Deformations whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import QuantityError
from xbp.md import local_fields, new_trajectory, open_trajectory
from xbp.md.fields import FIELDS, Field

CELL = np.array([[9.0, 0, 0], [1.5, 10.0, 0], [-1.0, 0.8, 11.0]])
STRAINS = [
    "deformation_gradient",
    "d2min",
    "volumetric_strain",
    "shear_strain",
    "von_mises_strain",
]


def deformed(gradient: np.ndarray, *, with_cell: bool, seed: int = 1) -> xr.Dataset:
    """Two frames of random atoms: as they are, and with every vector r made gradient·r."""
    start = np.random.default_rng(seed).random((60, 3)) @ CELL
    cells = np.stack([CELL, CELL @ gradient.T if with_cell else CELL])
    frames = np.stack([start, start @ gradient.T if with_cell else start])
    return new_trajectory(frames, time=[0.0, 1.0], cell=cells)


@pytest.mark.slow
@given(
    st.lists(st.floats(-0.15, 0.15), min_size=9, max_size=9),
    st.integers(0, 99),
)
def test_homogeneous_deformation_is_exact(entries: list[float], seed: int) -> None:
    gradient = np.eye(3) + np.reshape(entries, (3, 3))
    local = (
        deformed(gradient, with_cell=True, seed=seed)
        .bp.local_fields(STRAINS, cutoff=5, reference="first")
        .compute()
    )
    eta = (gradient.T @ gradient - np.eye(3)) / 2
    shear = eta - np.trace(eta) / 3 * np.eye(3)
    now = local.isel(time=1)
    np.testing.assert_allclose(
        now.deformation_gradient, np.broadcast_to(gradient, (60, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(now.volumetric_strain, np.trace(eta) / 3, atol=1e-12)
    np.testing.assert_allclose(
        now.shear_strain, np.broadcast_to(shear, (60, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(
        now.von_mises_strain, np.sqrt((shear**2).sum() / 2), atol=1e-12
    )
    np.testing.assert_allclose(now.d2min, 0, atol=1e-12)
    assert float(np.abs(local.isel(time=0).von_mises_strain).max()) < 1e-14


@pytest.mark.parametrize("angle", [1e-6, 0.1, 0.7])
def test_rigid_rotation_is_no_strain(angle: float) -> None:
    axis = np.array([1.0, 2.0, -0.5]) / np.sqrt(5.25)
    cross = np.array(
        [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]]
    )
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    now = (
        deformed(rotation, with_cell=True)
        .bp.local_fields(STRAINS, cutoff=5, reference="first")
        .isel(time=1)
    )
    for name in ("volumetric_strain", "shear_strain", "von_mises_strain", "d2min"):
        assert float(np.abs(now[name]).max()) < 1e-12
    np.testing.assert_allclose(now.deformation_gradient.values[7], rotation, atol=1e-12)


def brute_force(traj: xr.Dataset, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """F and D²_min of frame 1 against frame 0 by the formula, atom by atom, image by image."""
    cell, (before, after) = traj.cell.values, traj.position.values
    images = (
        np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        @ cell
    )
    gradients, rest = [], []
    for j in range(len(before)):
        d0 = (before - before[j])[:, None] + images
        d = (after - after[j])[:, None] + images
        length = np.linalg.norm(d0, axis=-1)
        near = (length < cutoff) & (length > 0)
        F = d[near].T @ d0[near] @ np.linalg.inv(d0[near].T @ d0[near])
        gradients.append(F)
        rest.append(((d[near] - d0[near] @ F.T) ** 2).sum())
    return np.array(gradients), np.array(rest)


def test_random_displacements_by_the_formula() -> None:
    rng = np.random.default_rng(3)
    start = rng.random((50, 3)) @ CELL
    traj = new_trajectory(
        np.stack([start, start + 0.2 * rng.standard_normal((50, 3))]),
        time=[0.0, 1.0],
        cell=CELL,
    )
    local = (
        traj.bp.local_fields(STRAINS, cutoff=4.4, reference=traj.isel(time=[0]))
        .isel(time=1)
        .compute()
    )
    F, d2 = brute_force(traj, 4.4)
    np.testing.assert_allclose(local.deformation_gradient, F, atol=1e-12)
    np.testing.assert_allclose(local.d2min, d2, rtol=1e-12)
    eta = (np.swapaxes(F, 1, 2) @ F - np.eye(3)) / 2
    shear = eta - np.trace(eta, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    np.testing.assert_allclose(local.shear_strain, shear, atol=1e-12)
    np.testing.assert_allclose(
        local.von_mises_strain, np.sqrt((shear**2).sum(axis=(1, 2)) / 2), atol=1e-12
    )


def test_wrapping_and_drift_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    start = rng.random((50, 3)) @ CELL
    frames = start + np.concatenate(
        [np.zeros((1, 50, 3)), 0.2 * rng.standard_normal((3, 50, 3))]
    )
    plain = new_trajectory(frames, time=np.arange(4.0), cell=CELL)
    shifts = rng.integers(-3, 4, (4, 50, 3))
    drift = np.array([0, 1.0, 4.4, 7.7])[:, None, None] * np.array([1.0, 0.5, -0.2])
    moved = new_trajectory(
        frames + shifts @ CELL + drift, time=np.arange(4.0), cell=CELL
    )
    for reference in ("mean", "first"):
        a, b = (
            t.bp.local_fields(STRAINS, cutoff=4.4, reference=reference).compute()
            for t in (plain, moved)
        )
        for name in STRAINS:
            np.testing.assert_allclose(a[name], b[name], atol=1e-11)


def test_the_mean_reference_is_the_mean() -> None:
    rng = np.random.default_rng(6)
    start = rng.random((50, 3)) @ CELL
    steps = 0.1 * rng.standard_normal((7, 50, 3))
    steps -= steps.mean(axis=0) + (steps.mean(axis=1, keepdims=True) - steps.mean())
    traj = new_trajectory(start + steps, time=np.arange(7.0), cell=CELL)
    given_ = new_trajectory(
        traj.position.values.mean(axis=0, keepdims=True), time=[0.0], cell=CELL
    )
    a = traj.bp.local_fields("deformation_gradient", cutoff=4.4, reference="mean")
    b = traj.bp.local_fields("deformation_gradient", cutoff=4.4, reference=given_)
    np.testing.assert_allclose(
        a.deformation_gradient, b.deformation_gradient, atol=1e-12
    )
    c = traj.bp.local_fields("deformation_gradient", cutoff=4.4, reference="first")
    assert float(np.abs(a.deformation_gradient - c.deformation_gradient).max()) > 1e-3


def test_a_plane_of_atoms_has_no_strain_across_it() -> None:
    rng = np.random.default_rng(7)
    flat = np.concatenate([rng.random((80, 2)) * 12, np.full((80, 1), 0.1)], axis=1)
    gradient = np.array([[1.02, 0.03, 0], [0, 0.99, 0], [0, 0, 1.0]])
    cell = np.diag([12.0, 12.0, 0.2])
    traj = new_trajectory(
        np.stack([flat, flat @ gradient.T]),
        time=[0.0, 1.0],
        cell=np.stack([cell, cell @ gradient.T]),
    )
    local = traj.bp.local_fields(
        ["deformation_gradient", "coordination", "d2min"], cutoff=3, reference="first"
    )
    F = local.deformation_gradient.isel(time=1).values
    np.testing.assert_allclose(F, np.broadcast_to(gradient, F.shape), atol=1e-12)
    assert float(local.d2min.max()) < 1e-12
    # About π 3² 80/144 neighbors in the plane; counted through the thin cell they would be many times that.
    assert 10 < float(local.coordination.isel(time=0).mean()) < 20


@pytest.mark.slow
def test_the_shared_pair_in_two_dimensions(shared_data: Path) -> None:
    folder = shared_data / "md"
    arguments = {
        "units": "lj",
        "lj": "argon",
        "elements": ["Ar", "Ar"],
        "timestep": 0.005,
    }
    before, after = (
        open_trajectory(folder / f"affine_shear_2d_{n}.lammpstrj", **arguments)
        for n in ("ref", "0.01")
    )
    local = after.bp.local_fields(
        ["d2min", "volumetric_strain", "deformation_gradient", "shear_strain"],
        cutoff=2.5 * 3.4, reference=before,
    ).compute()  # fmt: skip
    eta_xy = local.shear_strain.isel(row=0, column=1)
    assert float(eta_xy.mean()) == pytest.approx(0.005, rel=1e-3)
    # The files give six digits of positions in a box of 98.8 σ.
    assert float(eta_xy.std()) < 1e-5
    assert float(local.d2min.max()) < 1e-4
    assert float(local.volumetric_strain.mean()) == pytest.approx(0.01**2 / 4, rel=0.05)


def test_a_field_of_another_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new row of the table may have it: components summed along the atoms."""
    wrong = Field(
        "angstrom", "size", "size", lambda frames: frames.displacement[..., 0]
    )
    monkeypatch.setitem(FIELDS, "size", wrong)
    traj = deformed(np.eye(3), with_cell=False)
    with pytest.raises(
        ValueError, match=r"'size' has the shape \(2, 3\), not \(2, 60\)"
    ):
        traj.bp.local_fields("size", cutoff=5).compute()


def test_what_is_no_solid_is_refused() -> None:
    rng = np.random.default_rng(8)
    start = rng.random((60, 3)) @ CELL
    far = start.copy()
    near = int(np.argsort(np.linalg.norm(start - start[7], axis=1))[1])
    far[7] += 0.4 * CELL[2]
    far[near] -= 0.3 * CELL[2]
    traj = new_trajectory(np.stack([start, far]), time=[0.0, 1.0], cell=CELL)
    with pytest.raises(QuantityError, match="half a cell apart in frame 1"):
        traj.bp.local_fields("d2min", cutoff=4.4, reference="first").compute()
    with pytest.raises(QuantityError, match="too few neighbors"):
        local_fields(traj, "d2min", cutoff=1.5)
    with pytest.raises(QuantityError, match="60 atoms, such as atom 0, have too few"):
        local_fields(traj, "d2min", cutoff=0.001)
    with pytest.raises(QuantityError, match="fields='strain' is not one of"):
        local_fields(traj, "strain")
    with pytest.raises(QuantityError, match="reference='last' is not one of"):
        local_fields(traj, "d2min", cutoff=4.4, reference="last")
    with pytest.raises(QuantityError, match="has 2 frames of 60 atoms"):
        local_fields(traj, "d2min", cutoff=4.4, reference=traj)
    with pytest.raises(xbp.errors.UnitsError, match="cutoff"):
        local_fields(traj, "d2min", cutoff="3 meV")
