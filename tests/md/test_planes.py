"""Two dimensions: a harmonic triangular crystal, and how planes are recognised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import QuantityError
from xbp.md import new_trajectory, open_trajectory

from . import crystal

#: ħ v_D q_D of the crystal, meV.
DEBYE = 11.52
HEADER = "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n-1 1\n"
DUMP = {"units": "metal", "timestep": "1 fs", "elements": ["Ar"]}


@pytest.fixture(scope="module")
def solid() -> xr.Dataset:
    """80 ps of the crystal, in a cell thicker than it is wide."""
    return crystal.trajectory(800, 0.1, thickness=60.0)


@pytest.fixture(scope="module")
def currents(solid: xr.Dataset) -> xr.Dataset:
    return solid.bp.current_spectra("0.4 1/angstrom", 0.05, window="20 ps")


@pytest.mark.slow
def test_temperature_and_displacements_have_two_axes(solid: xr.Dataset) -> None:
    own = solid.position - solid.position.mean("time")
    exact = float((own**2).sum("xyz").mean()) / 2
    assert exact == pytest.approx(0.00849, rel=5e-3)
    sqe = solid.bp.dynamic_structure_factor(1, 0.2, window="20 ps", weights="unit")
    assert float(sqe.u2) == pytest.approx(exact, rel=5e-3)
    T = sqe.temperature
    assert float(T) == pytest.approx(20.0, abs=4 * T.attrs["std"])
    msd = solid.bp.msd(window="80 ps")
    assert float(msd.u2) == pytest.approx(exact, rel=0.02)


@pytest.mark.slow
def test_currents_have_one_transverse_direction(currents: xr.Dataset) -> None:
    for name in ("C_L", "C_T"):
        C = currents[name]
        both = 2 * C.sum("E") - C.isel(E=0)
        area = both * float(C.E[1] - C.E[0]) / (constants.BOLTZMANN * crystal.T)
        np.testing.assert_allclose(area * crystal.M, 1.0, atol=0.015)


@pytest.mark.slow
def test_sound_and_debye_energy_do_not_depend_on_the_cell(
    solid: xr.Dataset, currents: xr.Dataset
) -> None:
    assert currents.attrs["number_density"] == pytest.approx(1 / crystal.AREA)
    sound = currents.bp.phonon_dispersion().bp.sound_velocity("0.4 1/angstrom")
    for velocity, std, exact in zip(
        sound.velocity, sound.velocity_std, (1949, 1125), strict=True
    ):
        assert float(velocity) == pytest.approx(exact, abs=2 * float(std))
    energy, std = float(sound.debye_energy), float(sound.debye_energy_std)
    assert energy == pytest.approx(DEBYE, abs=2 * std)
    assert std < 0.3
    assert sound.attrs["dimension"] == 2
    phonon = solid.bp.box_phonon()
    assert float(phonon.energy) == pytest.approx(0.968, abs=0.01)


@pytest.mark.slow
def test_g_over_e_of_a_plane(solid: xr.Dataset, tmp_path: Path) -> None:
    g = solid.bp.vdos(window="20 ps")
    each = solid.bp.vdos(window="20 ps", directions=True)
    assert each.direction.values.tolist() == ["x", "y"]
    np.testing.assert_allclose(each.g.sum("direction"), g.g, rtol=1e-9, atol=1e-12)
    B = g.bp.to_bqe()
    assert B.B.attrs["units"] == "1/meV**2"
    np.testing.assert_allclose(B.B[1:], (g.g / g.E)[1:])
    low = B.B.sel(E=slice(0.8, 3)).mean()
    assert float(low) == pytest.approx(2 / DEBYE**2, rel=0.1)
    C = g.bp.heat_capacity([2.0, 4.0, 1000.0])
    assert float(C.C[2]) == pytest.approx(2 * 8.314, rel=1e-3)
    reduced = C.bp.reduced_heat_capacity()
    assert reduced.C_T3.attrs["units"] == "J/K**3/mol"
    np.testing.assert_allclose(reduced.C_T3, C.C / C.temperature**2)
    peak = B.bp.mark_box_phonon("0.968 meV").bp.boson_peak(debye_level=0.0151)
    assert peak.attrs["dimension"] == 2
    B.bp.to_netcdf(tmp_path / "plane.nc")
    again = xbp.open_dataset(tmp_path / "plane.nc")
    assert again.B.attrs["dimension"] == 2
    with pytest.raises(QuantityError, match="dimensions"):
        g.bp.multiphonon_sqe([1.0], u2="0.0085 angstrom^2")
    with pytest.raises(QuantityError, match="3 are needed"):
        C.bp.fit_heat_capacity()
    with pytest.raises(QuantityError, match="kob_andersen has dimension=3"):
        xbp.md.lammps.harmonic_vdos(solid.isel(time=[0]), "kob_andersen")


def test_local_fields_are_in_two_dimensions(solid: xr.Dataset) -> None:
    fields = solid.isel(time=[0]).bp.local_fields("coordination", cutoff=4.5)
    assert fields.attrs["dimension"] == 2
    np.testing.assert_array_equal(fields.coordination, 6)


def test_the_modes_of_a_matrix_are_those_in_the_plane() -> None:
    rest, matrix = crystal.still_and_matrix(6, 8)
    g = xbp.md.lattice.new_force_constants(matrix, rest)
    found = xbp.md.lammps.harmonic_vdos(rest, matrix=matrix, dE="0.5 meV")
    omega = np.linalg.eigvalsh(crystal.hessian(6, 8) / crystal.M)[2:]
    np.testing.assert_allclose(
        found.mode_energy, constants.HBAR * np.sqrt(omega), rtol=1e-6
    )
    assert found.g.attrs["dimension"] == g.attrs["dimension"] == 2
    assert float(found.g.sum() * 0.5) == pytest.approx(1)
    by_vectors = xbp.md.lammps.harmonic_vdos(
        rest, matrix=matrix, dE="0.5 meV", method="kernel polynomial"
    )
    assert float(by_vectors.g.sum() * 0.5) == pytest.approx(1, abs=1e-3)
    by_axis = xbp.md.lammps.harmonic_vdos(
        rest, matrix=matrix, dE="0.5 meV", directions=True
    )
    assert by_axis.direction.values.tolist() == ["x", "y"]
    np.testing.assert_allclose(by_axis.g.sum("direction"), found.g)


@pytest.mark.slow
def test_b_of_a_plane_is_g_over_the_energy(solid: xr.Dataset) -> None:
    sqe = solid.bp.dynamic_structure_factor(2, 0.5, window="10 ps", weights="unit")
    G, B = sqe.bp.to_gdos(), sqe.bp.to_bqe()
    assert (B.B.attrs["convention"], B.B.attrs["units"]) == (
        "n*S/Q^2",
        "angstrom**2/meV",
    )
    np.testing.assert_allclose((B.B * B.E)[:, 1:], G.G[:, 1:], rtol=1e-12)
    np.testing.assert_allclose(G.bp.to_bqe().B[:, 1:], B.B[:, 1:], rtol=1e-12)
    np.testing.assert_allclose(B.bp.to_sqe().S[:, 1:], sqe.S[:, 1:], rtol=1e-12)
    both = sqe.bp.to_quantum().bp.to_bqe().B.isel(Q=1)
    at = float(both.E.sel(E=1, method="nearest"))
    np.testing.assert_allclose(both.sel(E=-at), both.sel(E=at), rtol=1e-6)
    plain = sqe.drop_vars("u2").S
    np.testing.assert_allclose(
        plain.bp.to_gdos(msd="0.04 angstrom^2"), plain.bp.to_gdos(u2="0.01 angstrom^2")
    )


def test_transforms_of_a_plane_are_hankels() -> None:
    r = np.arange(0.05, 60, 0.1)
    # S(Q) − 1 of exp(−r²/2) is 2πρ exp(−Q²/2).
    g = xbp.new_dataset(
        "radial_distribution", 1 + np.exp(-(r**2) / 2), units="1",
        coords={"r": (r, "angstrom")},
    )  # fmt: skip
    g.rdf.attrs["dimension"] = 2
    Q = np.array([0.5, 1.0, 2.0])
    options = {"number_density": "0.1 1/angstrom^2", "window": "none"}
    sq = g.bp.to_structure_factor(Q, **options)
    exact = 1 + 0.2 * np.pi * np.exp(-(Q**2) / 2)
    np.testing.assert_allclose(sq.Sq, exact, rtol=1e-3)
    fine = g.bp.to_structure_factor(np.arange(0.02, 12, 0.02), **options)
    back = fine.bp.to_radial_distribution([1.0, 2.0], window="none")
    np.testing.assert_allclose(back.rdf, 1 + np.exp([-0.5, -2.0]), rtol=2e-3)


def dump(path: Path, z: list[float], vz: float = 0.0) -> Path:
    """Three atoms, whose third has these z."""
    rows = "ITEM: ATOMS id type x y z vx vy vz\n1 1 1 1 0 1 0 0\n2 1 4 2 0 -1 0 0\n"
    path.write_text(
        "".join(
            f"{HEADER.format(i)}{rows}3 1 2 5 {at} 0 {i} {vz}\n"
            for i, at in enumerate(z)
        )
    )
    return path


@pytest.mark.slow
def test_planes_are_found_given_or_refused(tmp_path: Path) -> None:
    flat = dump(tmp_path / "flat.dump", [0, 0, 0])
    assert open_trajectory(flat, **DUMP).attrs["dimension"] == 2
    assert open_trajectory(flat, **DUMP, dimension=3).attrs["dimension"] == 3
    left = dump(tmp_path / "left.dump", [0, 1e-3, 0])
    with pytest.raises(
        QuantityError, match=r"dimension=2, but atoms leave their plane in frames 1"
    ):
        open_trajectory(left, **DUMP).bp.structure_factor(2, weights="unit")
    for name, z, vz in (("sheet", [0, 0, 1e-3], 0.0), ("thrown", [0, 0, 0], 0.1)):
        rippled = dump(tmp_path / f"{name}.dump", z, vz)
        assert "dimension" not in open_trajectory(rippled, **DUMP).attrs
        with pytest.raises(QuantityError, match="leave their plane in the"):
            open_trajectory(rippled, **DUMP, dimension=2)


def test_chains_and_films_are_no_planes() -> None:
    chain = xbp.md.models.harmonic_chain(
        8, 3, spacing=3, energy_max=20, T=50, mass=40, time_step="20 fs", rng=1
    )
    film = xbp.md.models.einstein_solid(
        20, 3, cell=9, energy="8 meV", T=300, mass=40, time_step="20 fs", rng=1
    )
    for traj in (chain, film, film.assign_attrs(periodic="110")):
        assert "dimension" not in traj.attrs
        named = new_trajectory(
            traj.position.values, time=traj.time, cell=traj.cell.values
        )
        assert "dimension" not in named.attrs
