from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import QuantityError, RangeError
from xbp.md import models, new_trajectory
from xbp.md.moments import Moments
from xbp.md.trajectory import read_trajectory

H = scipy.constants.h / scipy.constants.e * 1e15


def test_vdos_is_the_transform_of_the_autocorrelation(small: xr.Dataset) -> None:
    for weights, w in (
        ("mass", small.mass.values),
        ("unit", np.ones(40)),
        ("array", np.linspace(0, 2, 40)),
    ):
        given = w if weights == "array" else weights
        g = small.bp.vdos(
            window="1.2 ps", weights=given, taper="boxcar", resolution="2 meV"
        ).g
        v = small.velocity.values
        acf = np.array(
            [np.einsum("j,tjc,tjc", w, v[n:], v[: 24 - n]) for n in range(24)]
        )
        sigma = 2 / np.sqrt(8 * np.log(2)) * 2 * np.pi / H
        acf *= np.exp(-((0.05 * np.arange(24) * sigma) ** 2) / 2) / acf[0]
        kernel = 2 * np.cos(2 * np.pi * np.outer(g.E.values, 0.05 * np.arange(24)) / H)
        kernel[:, 0] = 1
        np.testing.assert_allclose(
            g.values, 2 * 0.05 / H * kernel @ acf, rtol=1e-9, atol=1e-12
        )


def test_vdos_has_unit_area_and_its_line_where_it_is() -> None:
    solid = models.einstein_solid(
        100, 2000, cell=12, energy="8 meV", T=300, mass=40, time_step="20 fs", rng=1
    )
    g = solid.bp.vdos(window="10 ps")
    dE = float(g.E[1])
    area = float(g.g.sum() - (g.g[0] + g.g[-1]) / 2) * dE
    assert area == pytest.approx(1, abs=1e-9)
    near = g.g.sel(E=slice(8 - 2 * dE, 8 + 2 * dE))
    assert float(near.sum()) * dE > 0.99
    centre = float((near * near.E).sum() / near.sum())
    assert centre == pytest.approx(8, abs=0.02)


def test_partials_have_unit_area_and_add_up(small: xr.Dataset) -> None:
    total = small.bp.vdos(window="0.6 ps", weights="neutron").g
    parts = small.bp.vdos(window="0.6 ps", weights="neutron", partials=True).g
    assert parts.element.values.tolist() == ["Cu", "Zr"]
    for symbol in ("Cu", "Zr"):
        g = parts.sel(element=symbol)
        assert float(g.sum() - (g[0] + g[-1]) / 2) * float(g.E[1]) == pytest.approx(1)
    v2 = (small.velocity**2).sum("xyz")
    sigma = xr.where(
        small.element == "Zr", 4 * np.pi * 7.16**2 + 2, 4 * np.pi * 7.718**2 + 55
    )
    share = (v2 * sigma).where(small.element == "Zr", drop=True).sum() / (
        v2 * sigma
    ).sum()
    assert float(parts.weight.sel(element="Zr")) == pytest.approx(float(share), rel=0.1)
    np.testing.assert_allclose(
        (parts * parts.weight).sum("element").values, total.values, rtol=0.05
    )


def stretched(energies: tuple[float, ...]) -> xr.Dataset:
    """Oscillators of another energy along each axis, each at equilibrium."""
    one, *others = (
        models.einstein_solid(
            40, 520, cell=12, energy=E, T=300, mass=40, time_step="20 fs", rng=1
        )
        for E in energies
    )
    mixed = one.copy(deep=True)
    for axis, other in enumerate(others, 1):
        for name in ("position", "velocity"):
            mixed[name][..., axis] = other[name][..., axis]
    return mixed


@pytest.mark.slow
def test_directions_add_up_and_have_their_own_lines() -> None:
    film = stretched((6.0, 6.0, 12.0))
    film = film.assign_coords(element=("atom", ["Zr", "Cu"] * 20))
    for one in (film, film.drop_vars("velocity")):
        for partials in (False, True):
            options = {"window": "4 ps", "partials": partials}
            g = one.bp.vdos(directions=True, **options)
            whole = one.bp.vdos(**options)
            assert g.direction.values.tolist() == ["x", "y", "z"]
            np.testing.assert_allclose(
                g.g.sum("direction"), whole.g, rtol=1e-9, atol=1e-12
            )
            width = np.full(g.E.size, float(g.E[1]))
            width[[0, -1]] /= 2
            np.testing.assert_allclose((g.g * width).sum("E"), g.area, rtol=1e-9)
            assert g.area.values == pytest.approx(1 / 3, abs=0.08)
            lines = g.E[g.g.argmax("E").values.ravel()].values
            near = np.tile([6.0, 6.0, 12.0], lines.size // 3)
            np.testing.assert_allclose(lines, near, atol=0.8)
    assert g.g.dims == ("element", "direction", "E")
    assert "g_std" in g


@pytest.mark.slow
def test_a_direction_has_its_share_of_what_follows_from_g(tmp_path: Path) -> None:
    solid = stretched((6.0, 6.0, 12.0))
    each = solid.bp.vdos(window="4 ps", directions=True)
    whole = solid.bp.vdos(window="4 ps")
    C = each.bp.heat_capacity([20.0, 100.0]).C
    np.testing.assert_allclose(
        (C * each.area).sum("direction"),
        whole.bp.heat_capacity([20.0, 100.0]).C,
        rtol=1e-6,
    )
    u2 = each.bp.harmonic_thermodynamics([300.0], mass="40 u").u2
    mean = whole.bp.harmonic_thermodynamics([300.0], mass="40 u").u2
    np.testing.assert_allclose((u2 * each.area).sum("direction"), mean, rtol=2e-3)
    # Of an oscillator k_BT/mω² per axis, by hand.
    omega = 2 * np.pi * np.array([6.0, 6.0, 12.0]) / H
    exact = constants.BOLTZMANN * 300 / 40 / omega**2
    np.testing.assert_allclose(u2.squeeze("temperature"), exact, rtol=0.15)
    assert float(C.sel(direction="z")[0]) < 0.2 * float(C.sel(direction="x")[0])
    each.bp.to_netcdf(tmp_path / "g.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "g.nc"), each)
    lazy = solid.chunk(time=100).bp.vdos(window="4000 fs", directions=True)
    np.testing.assert_allclose(lazy.g, each.g, rtol=1e-9)
    with pytest.raises(QuantityError, match="directions"):
        solid.bp.vdos(window="4 ps", directions="z")


def test_msd_is_its_sum(small: xr.Dataset) -> None:
    found = small.bp.msd(window="1.2 ps", time_max="1.1 ps", partials=True)
    r = small.position.values
    for symbol in ("Cu", "Zr"):
        own = r[:, small.element.values == symbol]
        exact = [
            ((own[n:] - own[: 24 - n]) ** 2).sum(axis=-1).mean() for n in range(23)
        ]
        np.testing.assert_allclose(
            found.msd.sel(element=symbol).values, exact, rtol=1e-9, atol=1e-12
        )
    total = small.bp.msd(window="1.2 ps", time_max="1.1 ps")
    np.testing.assert_allclose(
        (found.msd * found.weight).sum("element").values,
        total.msd.values,
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.slow
def test_u2_of_oscillators_is_theirs() -> None:
    solid = models.einstein_solid(
        1500, 800, cell=30, energy="8 meV", T=300, mass=40, time_step="20 fs", rng=1
    )
    exact = constants.BOLTZMANN * 300 / 40 / (2 * np.pi * 8 / H) ** 2
    found = solid.bp.msd(window="8 ps")
    assert float(found.u2) == pytest.approx(exact, rel=0.05)
    s = solid.bp.dynamic_structure_factor(0.5, 0.1, window="8 ps", weights="unit")
    assert float(s.u2) == pytest.approx(exact, rel=0.05)
    assert found.u2.attrs["units"] == "angstrom**2"


def test_msd_of_a_gas_is_ballistic_through_the_faces() -> None:
    gas = models.ideal_gas(500, 60, cell=6, T=300, mass=40, time_step="50 fs", rng=1)
    wrapped = gas.assign(position=gas.position.copy(data=gas.position.values % 6))
    found = wrapped.bp.msd(window="3 ps")
    v = gas.velocity.isel(time=0)
    v = v - v.mean("atom")
    exact = float((v**2).sum("xyz").mean()) * found.time**2
    np.testing.assert_allclose(found.msd.values, exact.values, rtol=1e-6, atol=1e-9)
    assert float(found.msd[-1]) > 9  # beyond half of the cell


def test_what_has_no_density_of_states(small: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="weights='xray'"):
        small.bp.vdos(window="0.6 ps", weights="xray")
    with pytest.raises(QuantityError, match="zero or positive"):
        small.bp.vdos(window="0.6 ps", weights=-np.ones(40))
    with pytest.raises(QuantityError, match="weights of 'Zr' are zero"):
        small.bp.vdos(
            window="0.6 ps",
            weights=(small.element == "Cu").astype(float),
            partials=True,
        )
    with pytest.raises(QuantityError, match="no masses"):
        small.drop_vars("mass").bp.vdos(window="0.6 ps")
    with pytest.raises(RangeError, match=r"time_max=.*between"):
        small.bp.msd(window="0.6 ps", time_max="0.7 ps")


def test_an_atom_at_rest_in_its_own_frame_is_said_to_be(small: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="velocities are zero"):
        small.isel(atom=[0]).bp.vdos(window="0.6 ps", T="300 K")


@pytest.mark.slow
def test_the_temperature_is_that_of_all_frames_that_were_read(
    small: xr.Dataset,
) -> None:
    """Every sixteenth frame is hot: a few frames picked out of all would tell another temperature."""
    n, rng = 256, np.random.default_rng(5)
    velocity = (
        rng.standard_normal((n, 40, 3))
        * (1 + 2 * (np.arange(n) % 16 == 0))[:, None, None]
    )
    traj = new_trajectory(
        rng.random((1, 40, 3)) * 7 + np.zeros((n, 1, 1)), time=0.05 * np.arange(n), cell=10 * np.eye(3),
        velocity=velocity + np.array([0.5, 1, 2]), element=["Cu"] * 40, mass=np.full(40, 63.5),
    )  # fmt: skip
    rest = velocity - velocity.mean(axis=1, keepdims=True)
    each = 63.5 * (rest**2).sum(axis=(1, 2)) / (3 * 39 * 0.83144626)
    segments = np.array(
        [each[start : start + 64].mean() for start in range(0, n - 63, 32)]
    )
    answers = {
        "overlapping": traj.bp.vdos(window="3.2 ps", folding=None),
        "whole": traj.bp.vdos(window="12.8 ps", folding=None),
        "positions": traj.bp.dynamic_structure_factor(
            3, 1, window="3.2 ps", weights="unit", folding=None
        ),
        "adjacent": traj.bp.msd(window="3.2 ps"),
    }
    quarters = each.reshape(4, -1).mean(axis=1)
    of_quarters = Moments.of({"T": quarters}).std("T")
    expected = {
        "overlapping": (segments.mean(), Moments.of({"T": segments}).std("T", 0.5)),
        "whole": (each.mean(), of_quarters),
        "adjacent": (each.mean(), of_quarters),
    }
    expected["positions"] = expected["overlapping"]
    for name, (kelvin, std) in expected.items():
        found = answers[name].temperature
        assert float(found) == pytest.approx(kelvin, rel=1e-6), name
        assert found.attrs["std"] == pytest.approx(std, rel=1e-6), name
    assert (
        "source"
        not in traj.bp.vdos(window="3.2 ps", T="300 K", folding=None).temperature.attrs
    )


def test_a_plane_has_two_degrees_of_freedom_for_each_atom(small: xr.Dataset) -> None:
    assert read_trajectory(small).degrees_of_freedom == 3 * 39
    assert read_trajectory(small.assign_attrs(dimension=2)).degrees_of_freedom == 2 * 39


@pytest.mark.slow
def test_a_density_of_states_says_what_its_area_is_of() -> None:
    solid = models.einstein_solid(
        20, 400, cell=10, energy="8 meV", T=300, mass=40, time_step="50 fs", rng=1
    )
    g = solid.bp.vdos(window="10 ps")
    assert (g.g.attrs["area"], g.g.attrs["area_of"]) == (1.0, "all modes")
    assert float(g.g.integrate("E")) == pytest.approx(1, abs=0.01)
    # Atoms of one mass weigh alike either way; of two masses they do not.
    assert (
        solid.bp.vdos(window="10 ps", weights="unit").g.attrs["area_of"] == "all modes"
    )
    two = solid.assign(
        mass=("atom", np.where(np.arange(20) < 10, 40.0, 80.0), {"units": "u"})
    )
    assert two.bp.vdos(window="10 ps").g.attrs["area_of"] == "all modes"
    weighted = two.bp.vdos(window="10 ps", weights="unit")
    assert weighted.g.attrs["area_of"] == "weighted modes"
    with pytest.raises(QuantityError, match="weighted by 'unit'"):
        weighted.bp.heat_capacity([300.0])
    C = g.bp.heat_capacity([300.0])
    x = 8 / (8.617333e-2 * 300)
    assert float(C.C[0]) == pytest.approx(
        3 * 8.314463 * x**2 * np.exp(x) / np.expm1(x) ** 2, rel=0.01
    )
    with pytest.raises(RangeError, match="of its modes"):
        solid.bp.vdos(window="10 ps", E_max="8 meV").bp.heat_capacity([300.0])


@pytest.mark.slow
def test_velocities_of_another_temperature_are_told() -> None:
    solid = models.einstein_solid(
        100, 200, cell=15, energy="8 meV", T=250, mass=40, time_step="20 fs", rng=1
    )
    for kelvin, told in ((50, True), (250, False), (240, False), (1000, True)):
        data = solid.assign_coords(temperature=((), kelvin, {"units": "K"}))
        for table in (
            data.bp.vdos(window="1 ps"),
            data.bp.msd(window="1 ps"),
        ):
            codes = {found.code for found in table.bp.diagnostics()}
            assert ("temperature_of_velocities" in codes) == told, (kelvin, codes)


def test_atoms_that_do_not_move_have_no_spectrum() -> None:
    rest = xbp.md.new_trajectory(
        np.zeros((40, 1, 1)) + np.arange(9.0).reshape(3, 3),
        time=np.arange(40) * 0.05, cell=9 * np.eye(3), mass=[40] * 3,
    )  # fmt: skip
    with pytest.raises(QuantityError, match="do not move"):
        rest.bp.vdos(window="1 ps")
