"""The same configurations through OVITO: strain tensor, von Mises strain, D²_min, coordination."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from xbp.md import new_trajectory

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("ovito")
    data_ = pytest.importorskip("ovito.data")
    modifiers = pytest.importorskip("ovito.modifiers")
    pipeline = pytest.importorskip("ovito.pipeline")

CELLS = {
    "periodic": np.diag([14.0, 15.0, 16.0]),
    "triclinic": np.array([[14.0, 0, 0], [2.5, 15.0, 0], [-2.0, 1.8, 16.0]]),
}
CUTOFF = 3.9


def collection(position: np.ndarray, cell: np.ndarray) -> object:
    made = data_.DataCollection()
    particles = data_.Particles(count=len(position))
    particles.create_property("Position", data=position)
    made.objects.append(particles)
    box = data_.SimulationCell(pbc=(True, True, True))
    box[:, :3] = cell.T
    made.objects.append(box)
    return made


@pytest.mark.parametrize("kind", CELLS)
def test_strain_and_d2min(kind: str) -> None:
    cell = CELLS[kind]
    rng = np.random.default_rng(4)
    before = rng.random((300, 3)) @ cell
    after = before + 0.15 * rng.standard_normal((300, 3))
    modifier = modifiers.AtomicStrainModifier(
        cutoff=CUTOFF, output_strain_tensors=True, output_nonaffine_squared_displacements=True,
        output_deformation_gradients=True, minimum_image_convention=True,
    )  # fmt: skip
    modifier.reference = pipeline.StaticSource(data=collection(before, cell))
    peer = collection(after, cell)
    peer.apply(modifier)
    traj = new_trajectory(np.stack([before, after]), time=[0.0, 1.0], cell=cell)
    names = [
        "volumetric_strain",
        "shear_strain",
        "von_mises_strain",
        "d2min",
        "deformation_gradient",
    ]
    own = (
        traj.bp.local_fields(names, cutoff=CUTOFF, reference="first")
        .isel(time=1)
        .compute()
    )
    particles = peer.particles
    tensor = np.asarray(particles["Strain Tensor"])  # xx, yy, zz, xy, xz, yz
    places = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    strain = own.shear_strain.values + own.volumetric_strain.values[
        :, None, None
    ] * np.eye(3)
    for column, (a, b) in enumerate(places):
        np.testing.assert_allclose(strain[:, a, b], tensor[:, column], atol=1e-12)
    np.testing.assert_allclose(
        own.von_mises_strain, np.asarray(particles["Shear Strain"]), atol=1e-12
    )
    np.testing.assert_allclose(
        own.volumetric_strain, np.asarray(particles["Volumetric Strain"]), atol=1e-12
    )
    np.testing.assert_allclose(
        own.d2min, np.asarray(particles["Nonaffine Squared Displacement"]), rtol=1e-11
    )
    # OVITO keeps matrices by columns.
    gradient = (
        np.asarray(particles["Deformation Gradient"]).reshape(-1, 3, 3).swapaxes(1, 2)
    )
    np.testing.assert_allclose(own.deformation_gradient, gradient, atol=1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_coordination(kind: str) -> None:
    cell = CELLS[kind]
    position = np.random.default_rng(5).random((300, 3)) @ cell
    peer = collection(position, cell)
    peer.apply(modifiers.CoordinationAnalysisModifier(cutoff=CUTOFF))
    traj = new_trajectory(position[None], time=[0.0], cell=cell)
    own = traj.bp.local_fields("coordination", cutoff=CUTOFF).coordination[0]
    np.testing.assert_array_equal(own, np.asarray(peer.particles["Coordination"]))


def test_a_plane() -> None:
    """OVITO's shear strain of a plane has (η_xx − η_yy)²/2, √(½ dev η : dev η) a quarter."""
    rng = np.random.default_rng(6)
    before, after = np.zeros((2, 200, 3))
    before[:, :2] = 30 * rng.random((200, 2))
    after[:, :2] = before[:, :2] + 0.2 * rng.standard_normal((200, 2))
    cell = np.diag([30.0, 30.0, 5.0])
    modifier = modifiers.AtomicStrainModifier(
        cutoff=6.0, output_strain_tensors=True,
        output_nonaffine_squared_displacements=True, minimum_image_convention=True,
    )  # fmt: skip
    rest, peer = collection(before, cell), collection(after, cell)
    for one in (rest, peer):
        one.cell_.is2D = True
    modifier.reference = pipeline.StaticSource(data=rest)
    peer.apply(modifier)
    traj = new_trajectory(np.stack([before, after]), time=[0.0, 1.0], cell=cell)
    assert traj.attrs["dimension"] == 2
    names = ["volumetric_strain", "shear_strain", "d2min", "coordination"]
    own = traj.bp.local_fields(names, cutoff=6.0, reference="first").isel(time=1)
    tensor = np.asarray(peer.particles["Strain Tensor"])
    shear = own.shear_strain.values
    mean = np.asarray(peer.particles["Volumetric Strain"])
    np.testing.assert_allclose(own.volumetric_strain, mean, atol=1e-12)
    for column, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1)]):
        whole = shear[:, a, b] + mean * (a == b < 2)
        np.testing.assert_allclose(whole, tensor[:, column], atol=1e-12)
    theirs = np.sqrt(shear[:, 0, 1] ** 2 + (shear[:, 0, 0] - shear[:, 1, 1]) ** 2 / 2)
    np.testing.assert_allclose(
        theirs, np.asarray(peer.particles["Shear Strain"]), atol=1e-12
    )
    np.testing.assert_allclose(
        own.d2min, np.asarray(peer.particles["Nonaffine Squared Displacement"]),
        rtol=1e-11,
    )  # fmt: skip
    counted = collection(after, cell)
    counted.cell_.is2D = True
    counted.apply(modifiers.CoordinationAnalysisModifier(cutoff=6.0))
    np.testing.assert_array_equal(
        own.coordination, np.asarray(counted.particles["Coordination"])
    )
