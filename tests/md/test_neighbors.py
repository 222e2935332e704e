"""Neighbors against a count of every pair and image, in solids and liquids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError
from xbp.md import local_fields, new_trajectory, open_trajectory
from xbp.md.neighbors import first_minimum

CELL = np.array([[8.0, 0, 0], [1.5, 9.0, 0], [-1.0, 0.8, 7.5]])


def counted(
    position: np.ndarray, cell: np.ndarray, cutoff: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number and mean distance of neighbors, by all pairs with all images; cutoff (n, n)."""
    images = (
        np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3, indexing="ij"), axis=-1).reshape(
            -1, 3
        )
        @ cell
    )
    scaled = position @ np.linalg.inv(cell)
    inside = (scaled - np.floor(scaled)) @ cell
    d = np.linalg.norm(inside[None, :, None] - inside[:, None, None] + images, axis=-1)
    near = (d < cutoff[:, :, None]) & (d > 0)
    number = near.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return number, np.where(near, d, 0).sum(axis=(1, 2)) / number


@pytest.mark.slow
@pytest.mark.parametrize("stride", [0.05, 0.4, 2.0])
@pytest.mark.parametrize("npt", [False, True])
def test_a_liquid_with_moving_neighbors(stride: float, npt: bool) -> None:
    rng = np.random.default_rng(1)
    steps = stride * rng.standard_normal((12, 40, 3))
    frames = rng.random((40, 3)) @ CELL + np.cumsum(steps, axis=0)
    cells = (
        CELL * (1 + 0.01 * np.arange(12)[:, None, None])
        if npt
        else np.broadcast_to(CELL, (12, 3, 3))
    )
    traj = new_trajectory(frames, time=np.arange(12.0), cell=cells if npt else CELL)
    found = local_fields(
        traj, ["coordination", "neighbor_distance"], cutoff="3.1 angstrom"
    ).compute()
    for frame in range(12):
        number, distance = counted(frames[frame], cells[frame], np.full((40, 40), 3.1))
        np.testing.assert_array_equal(found.coordination[frame], number)
        np.testing.assert_allclose(found.neighbor_distance[frame], distance, atol=1e-12)


def test_a_cutoff_for_every_pair(small: xr.Dataset) -> None:
    by_pair = {"Cu-Cu": "2.4 angstrom", "Zr-Cu": 3.0, "Zr-Zr": "0.35 nm"}
    radius = {
        ("Cu", "Cu"): 2.4,
        ("Cu", "Zr"): 3.0,
        ("Zr", "Cu"): 3.0,
        ("Zr", "Zr"): 3.5,
    }
    e = small.element.values
    matrix = np.array([[radius[a, b] for b in e] for a in e])
    found = local_fields(small, "coordination", cutoff=by_pair).coordination
    number, _ = counted(small.position.values[5], small.cell.values, matrix)
    np.testing.assert_array_equal(found[5], number)
    history = local_fields(small, "coordination", cutoff=by_pair).attrs["history"]
    assert "Cu-Cu 2.4 angstrom, Cu-Zr 3 angstrom, Zr-Zr 3.5 angstrom" in history
    with pytest.raises(QuantityError, match=r"all pairs.*Zr-Zr"):
        local_fields(small, "coordination", cutoff={"Cu-Cu": 2, "Cu-Zr": 2})


def test_an_atom_alone_has_no_distance() -> None:
    traj = new_trajectory(
        np.array([[[1.0, 1, 1], [2, 1, 1], [5, 5, 5]]]), time=[0.0], cell=9 * np.eye(3)
    )
    found = local_fields(traj, ["coordination", "neighbor_distance"], cutoff=2)
    assert found.coordination.values.tolist() == [[1, 1, 0]]
    np.testing.assert_array_equal(found.neighbor_distance.values, [[1, 1, np.nan]])
    assert found.neighbor_distance.attrs["units"] == "angstrom"


def test_a_cell_smaller_than_the_cutoff_sees_images() -> None:
    traj = new_trajectory(np.full((1, 1, 3), 0.3), time=[0.0], cell=2 * np.eye(3))
    found = local_fields(
        traj, ["coordination", "neighbor_distance"], cutoff=2.1
    ).compute()
    assert found.coordination.item() == 6
    assert found.neighbor_distance.item() == pytest.approx(2)


@pytest.mark.slow
def test_the_cutoff_is_the_first_minimum() -> None:
    # A cubic crystal, first shell at 3, second at 3√2: whatever lies between is a minimum.
    n = np.arange(6)
    sites = 3.0 * np.stack(np.meshgrid(n, n, n, indexing="ij"), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(2)
    frames = sites + 0.18 * rng.standard_normal((20, 216, 3))
    traj = new_trajectory(
        frames, time=np.arange(20.0), cell=18 * np.eye(3), element=["Cu"] * 216
    )
    for cutoff in (None, "pairs"):
        found = local_fields(traj, "coordination", cutoff=cutoff)
        assert float(found.coordination.mean()) == pytest.approx(6, abs=0.2)
    r = np.linspace(0.1, 5, 50)
    rising = xr.DataArray(r, dims="r", coords={"r": r})
    with pytest.raises(RangeError, match="has no first minimum up to 5 angstrom"):
        first_minimum(rising)


@pytest.mark.slow
def test_a_short_pair_does_not_end_the_shell_of_a_mixture() -> None:
    """Kob and Andersen's g(r) dips between A-B and A-A; its first shell ends at 1.4 σ."""
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(
        time=slice(None, None, 20)
    )
    g = traj.bp.radial_distribution("8 angstrom", "0.06 angstrom").rdf
    assert first_minimum(g) < 3.5
    found = traj.bp.local_fields("coordination")
    assert 12 < float(found.coordination.mean()) < 14
    assert 4.4 < float(found.attrs["cutoff"].split()[0]) < 4.9
    assert "by default" in found.attrs["cutoff"]
    # Without elements the curve alone cannot tell, and what it leaves is no shell.
    with pytest.raises(RangeError, match=r"at 3\.\d+ angstrom, leaves 2\.\d neighbors"):
        traj.drop_vars("element").bp.local_fields("coordination")


@pytest.mark.slow
def test_the_shared_mixture_and_glass_have_their_shells(shared_data: Path) -> None:
    folder = shared_data / "md"
    mixture = open_trajectory(
        folder / "KA_LJ.dump",
        units="lj",
        lj="argon",
        elements=["A", "B"],
        timestep=0.005,
    )
    assert float(
        mixture.bp.local_fields("coordination").coordination.mean()
    ) == pytest.approx(13.3, abs=0.3)
    glass = open_trajectory(
        folder / "zr46cu46al8_trajectory.nc", frames=slice(0, 2000, 100)
    )
    # The minimum is flat: which frames are read, and their noise, must not choose between bins of 0.05 angstrom.
    for frames in (slice(None), slice(0, 1), slice(7, 12)):
        text = glass.isel(time=frames).bp.local_fields("coordination").attrs["cutoff"]
        assert float(text.split()[0]) == pytest.approx(3.80, abs=0.015)


def test_a_flat_minimum_is_found_between_bins_whatever_the_noise() -> None:
    rng = np.random.default_rng(0)
    found = []
    for shift in np.linspace(0, 0.05, 11):
        r = 0.025 + 0.05 * np.arange(120) + shift
        g = (r > 2) * (
            1
            + 2 * np.exp(-(((r - 2.7) / 0.3) ** 2))
            - 0.5 * np.exp(-(((r - 3.87) / 0.5) ** 2))
        )
        found.append(
            first_minimum(
                xr.DataArray(
                    g + 0.004 * rng.standard_normal(r.size), dims="r", coords={"r": r}
                )
            )
        )
    assert np.mean(found) == pytest.approx(3.87, abs=0.01)
    assert np.std(found) < 0.012


@pytest.mark.slow
def test_a_plane_has_neighbors_in_the_plane_alone(shared_data: Path) -> None:
    file = shared_data / "md" / "affine_shear_2d_ref.lammpstrj"
    plane = open_trajectory(file, units="metal", elements=["Cu", "Zr"])
    g = plane.bp.radial_distribution(20)
    assert float(g.rdf.sel(r=slice(10, 20)).mean()) == pytest.approx(1, abs=0.01)
    assert float(g.rdf.sel(r=slice(0, 0.4)).max()) == 0
    x, y, _ = np.diag(np.atleast_3d(plane.cell.values)[..., 0].reshape(-1, 3)[:3])
    per_area = plane.sizes["atom"] / (x * y)
    assert g.attrs["number_density"] == pytest.approx(per_area, rel=1e-6)
    assert 5.5 < float(plane.bp.local_fields("coordination").coordination.mean()) < 7.5


def test_the_cutoff_of_atoms_that_are_their_own_neighbors_is_not_guessed() -> None:
    rng = np.random.default_rng(3)
    sites = 3.0 * np.stack(
        np.meshgrid(np.arange(8), np.arange(8), [0], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    frames = sites + 0.15 * rng.standard_normal((20, 64, 3))
    slab = new_trajectory(frames, time=np.arange(20.0), cell=np.diag([24.0, 24.0, 3.0]))
    with pytest.raises(RangeError, match="the cell is 3 angstrom thick"):
        slab.bp.local_fields("coordination")
    assert (
        float(slab.bp.local_fields("coordination", cutoff=3.7).coordination.mean()) > 5
    )


def test_neighbors_too_few_for_a_strain_are_told_with_their_cutoff(
    small: xr.Dataset,
) -> None:
    with pytest.raises(QuantityError, match="within 1 angstrom"):
        small.bp.local_fields("d2min", cutoff="1 angstrom")
