"""Planes of atoms and boxes with open sides: right where it can be, refused elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from xbp.core import constants
from xbp.errors import QuantityError, RangeError
from xbp.md import LennardJones, models, open_trajectory


def plane(thickness: float = 3.4) -> xr.Dataset:
    """A hexagonal plane of atoms that vibrate in it, in a cell that may be as thick as they are apart."""
    a = 3.8
    made = models.einstein_solid(
        120, 300, cell=10, energy="6 meV", T=100, mass=40, time_step="40 fs", rng=3
    )
    i, j = np.divmod(np.arange(120), 10)
    places = np.stack([a * (j + 0.5 * (i % 2)), a * np.sqrt(3) / 2 * i, 0 * i], axis=1)
    moved = made.position.values - made.position.values.mean(axis=0)
    moved[..., 2] = 0
    velocity = made.velocity.values.copy()
    velocity[..., 2] = 0
    made = made.assign(
        position=made.position.copy(data=places + moved),
        velocity=made.velocity.copy(data=velocity),
    ).assign_attrs(dimension=2, periodic="111")
    cell = np.diag([10 * a, 12 * a * np.sqrt(3) / 2, thickness])
    return made.assign(cell=(("vector", "xyz"), cell, {"units": "angstrom"}))


@pytest.mark.slow
@pytest.mark.parametrize("thickness", [0.5, 3.4, 12.0])
def test_neighbors_and_g_of_a_plane_are_those_in_it(thickness: float) -> None:
    traj = plane(thickness).isel(time=slice(0, 20))
    local = traj.bp.local_fields("coordination", cutoff=5.0).coordination
    assert float(local.mean()) == pytest.approx(6)
    g = traj.bp.radial_distribution(16)
    area = float(traj.cell[0, 0] * traj.cell[1, 1])
    rings = 2 * np.pi * g.r * 0.02 * 120 / area
    assert float((g.rdf * rings).sel(r=slice(0, 5)).sum()) == pytest.approx(6, rel=1e-2)
    assert traj.bp.local_fields("coordination").coordination.mean() == pytest.approx(
        6, rel=1e-2
    )


@pytest.mark.slow
def test_wave_vectors_of_a_plane_are_in_it() -> None:
    Q = plane(3.4).isel(time=slice(0, 20)).bp.structure_factor(4, 0.1, weights="unit")
    thin = (
        plane(0.5).isel(time=slice(0, 20)).bp.structure_factor(4, 0.1, weights="unit")
    )
    np.testing.assert_allclose(Q.Sq, thin.Sq, rtol=1e-4)
    np.testing.assert_array_equal(Q.n_wavevectors, thin.n_wavevectors)
    assert Q.Sq.attrs["dimension"] == 2


@pytest.mark.slow
def test_displacements_in_a_plane_have_two_axes() -> None:
    traj = plane()
    moved = traj.position.values - traj.position.values.mean(axis=0)
    exact = (moved[..., :2] ** 2).mean()
    assert float(traj.bp.msd(window="12 ps").u2) == pytest.approx(exact, rel=0.1)
    sqe = traj.bp.dynamic_structure_factor(2, 0.5, window="12 ps", weights="unit")
    assert float(sqe.u2) == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
def test_the_slab_of_a_lennard_jones_plane(shared_data: Path) -> None:
    slab = open_trajectory(
        shared_data / "doors" / "lj_2d_slab_20frames.lammpstrj.gz",
        units="lj", timestep=0.005, lj=LennardJones(sigma="3.4 angstrom", epsilon="10.3 meV", mass="39.948 u"),
        elements=["A", "B"], masses={"A": "39.948 u", "B": "39.948 u"},
    )  # fmt: skip
    coordination = slab.bp.local_fields(
        "coordination", cutoff="5 angstrom"
    ).coordination
    assert float(coordination.mean()) == pytest.approx(5.79, abs=0.01)
    g = slab.bp.radial_distribution()
    half = min(float(slab.cell[0, 0]), float(slab.cell[1, 1])) / 2
    assert float(g.rdf.max()) > 2
    assert float(g.r.max()) == pytest.approx(half, abs=0.03)
    assert float(g.rdf.sel(r=slice(0.8 * half, None)).mean()) == pytest.approx(
        1, abs=0.05
    )
    v = slab.velocity.values
    energy = (39.948 * (v - v.mean(axis=1, keepdims=True)) ** 2).sum(axis=(1, 2)).mean()
    kelvin = energy / (2 * (slab.sizes["atom"] - 1) * constants.BOLTZMANN)
    sqe = slab.bp.dynamic_structure_factor(
        1, 0.2, window="0.4 ps", weights="unit", folding=None
    )
    assert float(sqe.temperature) == pytest.approx(kelvin, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("periodic", ["110", "011", "100"])
def test_open_sides_have_no_wave_vectors(periodic: str) -> None:
    solid = models.einstein_solid(
        100, 200, cell=12, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    )
    film = solid.assign_attrs(periodic=periodic)
    position = solid.position.values
    h = np.array(np.meshgrid(*[range(-2, 3)] * 3)).reshape(3, -1).T
    h = h[
        (h[:, np.array(list(periodic)) == "0"] == 0).all(axis=1)
        & (np.abs(h).sum(axis=1) == 1)
    ]
    rho = np.exp(2j * np.pi / 12 * np.einsum("tjc,qc->tjq", position, h)).sum(axis=1)
    exact = (np.abs(rho) ** 2).mean() / 100
    found = film.bp.structure_factor(0.6, 0.6, weights="unit", precision="double")
    assert found.n_wavevectors.values.tolist() == [2 * periodic.count("1")]
    assert float(found.Sq[0]) == pytest.approx(exact, rel=1e-6)
    assert "open_sides" in {one.code for one in found.Sq.to_dataset().bp.diagnostics()}
    assert (
        film.bp.dynamic_structure_factor(1, 0.5, window="2 ps", weights="unit").sizes[
            "Q"
        ]
        > 0
    )
    with pytest.raises(QuantityError, match="open"):
        film.bp.radial_distribution()
    with pytest.raises(RangeError, match="periodic"):
        film.bp.local_fields("coordination")


def test_a_free_cluster_has_no_wave_vectors_and_no_images() -> None:
    solid = models.einstein_solid(
        100, 20, cell=12, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    )
    cluster = solid.assign_attrs(periodic="000")
    for call in (
        cluster.bp.structure_factor,
        cluster.bp.dynamic_structure_factor,
        cluster.bp.current_spectra,
    ):
        with pytest.raises(RangeError, match="no side of the box is periodic"):
            call(
                3,
                weights="unit",
                **({} if call == cluster.bp.structure_factor else {"window": "0.2 ps"}),
            )
    found = cluster.bp.local_fields("coordination", cutoff=4).coordination.isel(time=0)
    apart = np.linalg.norm(
        solid.position.values[0][:, None] - solid.position.values[0], axis=-1
    )
    np.testing.assert_array_equal(found, (apart < 4).sum(axis=1) - 1)


def test_an_open_side_that_follows_the_atoms_is_no_breathing_cell() -> None:
    solid = models.einstein_solid(
        100, 200, cell=12, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    )
    side = 12 + 0.3 * np.sin(np.arange(200) / 3)
    cell = np.stack([np.diag([12, 12, s]) for s in side])
    film = solid.assign_attrs(periodic="110").assign(
        cell=(("time", "vector", "xyz"), cell, {"units": "angstrom"})
    )
    np.testing.assert_allclose(
        film.bp.vdos(window="2 ps").g,
        solid.bp.vdos(window="2 ps").g,
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        film.bp.msd(window="2 ps").msd,
        solid.bp.msd(window="2 ps").msd,
        rtol=1e-9,
        atol=1e-12,
    )
