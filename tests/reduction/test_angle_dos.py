"""g(E) from the spectra of detectors, each with its own Q(E)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pint_xarray  # noqa: F401  (registers .pint)
import pytest
import xarray as xr
from samples import vibrations

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError, XbpError
from xbp.models.factors import thermal_factor
from xbp.reduction.kinematics import momentum_transfer, wave_numbers
from xbp.reduction.momenta import Spectra, _at_common_Q, _within

OPTIONS = {"E_range": (0.5, 20.5), "composition": "V"}
#: Fixed energies, and the first and last bin of E that neutrons reach.
GEOMETRIES = {"direct": (45.0, -20.0, 40.0), "indirect": (24.0, -18.0, 40.0)}
NAMES = {"direct": "incident_energy", "indirect": "final_energy"}


VANADIUM = vibrations(21, 8)


def detectors(geometry: str, n: int = 14) -> xr.Dataset:
    """All phonons of `VANADIUM`, at the Q of each detector and bin of E, no grid of Q."""
    fixed, first, last = GEOMETRIES[geometry]
    E, angles = np.arange(first, last + 1), np.linspace(10, 140, n)
    Q = momentum_transfer(E, fixed, angles[:, None], geometry)
    every = np.unique(Q)
    S = VANADIUM.bp.multiphonon_sqe(every, E, composition="V", area=1, tolerance=1e-12)
    values = 170 * S.S.values[np.searchsorted(every, Q), np.arange(E.size)]
    ds = xbp.new_dataset(
        "detector_spectra",
        values,
        std=0.02 * values + 0.01,
        units="1/meV",
        coords={"detector": (np.arange(n), "1"), "E": (E, "meV")},
        temperature="300 K",
        statistics="quantum",
    )
    ds.S.attrs |= {"geometry": geometry, "ki_over_kf": "applied"}
    return ds.assign_coords(
        two_theta=("detector", angles, {"units": "degree"}),
        **{NAMES[geometry]: ((), fixed, {"units": "meV"})},
    )


@pytest.fixture
def direct() -> xr.Dataset:
    return detectors("direct")


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    """The answer for `direct`."""
    return detectors("direct").bp.to_vibrational_dos(**OPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_g_of_the_angles_is_exact(geometry: str) -> None:
    back = detectors(geometry).bp.to_vibrational_dos(**OPTIONS, tolerance=1e-9)
    np.testing.assert_allclose(back.g[:20], VANADIUM.g, rtol=1e-7)
    assert str(back.status.values) == str(back.u2_status.values) == "ok"
    assert float(back.scale) == pytest.approx(170, rel=1e-7)
    assert abs(float(back.background)) < 1e-7
    assert "two_theta" not in back.coords
    assert back.g.attrs["units"] == "1/meV"


@pytest.mark.slow
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_grid_of_Q_gives_the_same_within_its_bins(geometry: str) -> None:
    ds = detectors(geometry, 24)
    own = ds.bp.to_vibrational_dos(**OPTIONS)
    off = [
        float(abs(grid.g / own.g - 1).max())
        for dQ in (0.4, 0.1)
        for grid in [ds.bp.angle_to_Q(dQ).bp.to_vibrational_dos(**OPTIONS)]
    ]
    assert off[1] < 0.3 * off[0] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("dQ", [0.2, 0.02])
def test_bins_that_detectors_fill_in_part_have_no_larger_error(
    direct: xr.Dataset, expected: xr.Dataset, dQ: float
) -> None:
    """A bin of 0.02 that the edge of a detector crosses had five times its error."""
    flat = direct.assign(S_std=direct.S_std * 0 + 1.0).assign(S=direct.S)
    own = flat.bp.to_vibrational_dos(**OPTIONS).g_std[:20]
    grid = flat.bp.angle_to_Q(dQ).bp.to_vibrational_dos(**OPTIONS).g_std[:20]
    assert 0.8 < float((grid / own).min()) < float((grid / own).max()) < 1.7


def spoiled(ds: xr.Dataset, i: int, factor: float) -> xr.Dataset:
    """The detector `i` counts `factor` times too much."""
    gain = xr.where(ds.detector == i, factor, 1.0)
    return ds.assign(
        S=(ds.S * gain).transpose(*ds.S.dims).assign_attrs(ds.S.attrs),
        S_std=(ds.S_std * gain).transpose(*ds.S.dims),
    )


@pytest.mark.slow
@pytest.mark.parametrize("i", [0, 5, 13])
def test_a_broken_detector_is_in_the_error_or_there_is_no_g(
    direct: xr.Dataset, i: int
) -> None:
    true = VANADIUM.g.values
    u2 = float(VANADIUM.bp.multiphonon_sqe([1.0], composition="V", area=1).u2)
    for factor in (0.0, 10.0, 1e3):
        ds = spoiled(direct, i, factor).bp.to_vibrational_dos(**OPTIONS)
        if ds.status == "ok":
            assert float(abs((ds.g[:20] - true) / ds.g_std[:20]).max()) < 3
        if ds.u2_status == "ok":
            assert abs(float(ds.u2) - u2) < 2 * float(ds.u2_std)
    found = spoiled(direct, i, 1e6).bp.to_vibrational_dos(**OPTIONS)
    assert str(found.status.values) == "spectra differ"
    assert found.g.isnull().all()
    assert np.isnan(found.u2)


@pytest.mark.slow
def test_a_detector_that_always_counts_gives_no_g(direct: xr.Dataset) -> None:
    flat = direct.copy(deep=True)
    flat.S[5], flat.S_std[5] = 1e6, 1e3
    for data in (flat, flat.S):
        found = data.bp.to_vibrational_dos(**OPTIONS)
        assert str(found.status.values) == "spectra differ"


@pytest.mark.slow
@pytest.mark.parametrize("E_i", [25, 42, 48, 70, 120])
@pytest.mark.parametrize("dQ", [None, 0.2])
def test_a_wrong_fixed_energy_is_in_the_errors(
    direct: xr.Dataset, E_i: float, dQ: float | None
) -> None:
    """The spectra fall with Q as for another u²: g was to 7 % wrong, and "ok"."""
    bare = direct.drop_vars("incident_energy").sel(E=slice(None, E_i - 1))
    fixed = {"incident_energy": f"{E_i} meV"}
    if dQ is not None:
        bare, fixed = bare.bp.angle_to_Q(dQ, **fixed), {}
    found = bare.bp.to_vibrational_dos(**OPTIONS, **fixed)
    if E_i == 120:
        assert str(found.status.values) == "multiphonons unknown"
        return
    assert "displacement_differs" in str(found.bp.diagnostics())
    g, std = found.g[:20].dropna("E"), found.g_std[:20].dropna("E")
    off = g - VANADIUM.g[: g.size].values
    assert float((off**2).mean()) < 1.5 * float((std**2).mean())
    assert found.sizes["source"] == 1
    if E_i == 70:
        assert str(found.u2_status.values) == "disagrees with Q"
        return
    if E_i == 42 and dQ is None:  # the numbers of docs/corrections.md
        assert float(found.u2_of_Q / found.u2) == pytest.approx(1.13, abs=0.005)
        part = float((off**2).mean() ** 0.5 / found.g.max())
        assert part == pytest.approx(0.006, abs=0.0005)
        common = float((found.g_std_common[0, :20] ** 2).mean() ** 0.5 / found.g.max())
        assert common == pytest.approx(part, rel=0.3)
    true = float(VANADIUM.bp.multiphonon_sqe([1.0], composition="V", area=1).u2)
    assert abs(float(found.u2) - true) < 1.6 * float(found.u2_std)


@pytest.mark.slow
def test_errors_are_the_scatter_of_many_measurements(direct: xr.Dataset) -> None:
    random = np.random.default_rng(1)
    pulls = []
    for _ in range(6):
        noise = random.standard_normal(direct.S.shape) * direct.S_std
        back = direct.assign(
            S=(direct.S + noise).assign_attrs(direct.S.attrs)
        ).bp.to_vibrational_dos(**OPTIONS)
        pulls.append((back.g[3:20].values - VANADIUM.g[3:].values) / back.g_std[3:20])
    assert np.std(pulls) == pytest.approx(1, abs=0.2)


@pytest.mark.slow
def test_what_the_instrument_is_may_be_stated_in_any_way(
    direct: xr.Dataset, expected: xr.Dataset
) -> None:
    bare = direct.drop_vars("incident_energy").copy(deep=True)
    del bare.S.attrs["geometry"], bare.S.attrs["ki_over_kf"]
    fixed = GEOMETRIES["direct"][0]
    ki, kf = wave_numbers(direct.E.values, fixed, "direct")
    raw = bare.assign(
        S=(bare.S * kf / ki).assign_attrs(bare.S.attrs), S_std=bare.S_std * kf / ki
    )
    options = {"incident_energy": f"{fixed / 1000} eV", "ki_over_kf": "not applied"}
    unlike = direct.bp.convert(E="THz")
    unlike["two_theta"] = np.radians(direct.two_theta).assign_attrs(units="radian")
    limits = {"E_range": ("0.5 meV", "20.5 meV")}
    for other, more in (
        (raw, options),
        (unlike, limits),
        (unlike.pint.quantify(), limits),
        (direct.chunk(detector=5), {}),
        (direct.expand_dims(run=2), {}),
        (direct.transpose("E", "detector"), {}),
    ):
        found = other.bp.to_vibrational_dos(**OPTIONS | more)
        g = found.pint.dequantify().bp.convert(E="meV").g.transpose(..., "E")
        np.testing.assert_allclose(g.values.reshape(-1, 40)[-1], expected.g, rtol=1e-6)


@pytest.mark.slow
def test_detectors_may_have_their_own_energy_or_no_place(
    direct: xr.Dataset, expected: xr.Dataset
) -> None:
    twice = xr.concat([direct, direct], "detector")
    twice["detector"] = np.arange(28)
    energy = np.where(np.arange(28) < 14, 45.0, np.nan)
    energy = ("detector", energy, {"units": "meV"})
    some = twice.drop_vars("incident_energy").assign_coords(incident_energy=energy)
    placed = twice.two_theta.where(twice.detector < 14).assign_attrs(units="degree")
    for other in (some, twice.assign_coords(two_theta=placed)):
        other.S[14:] *= 3.0
        g = other.bp.to_vibrational_dos(**OPTIONS).g
        np.testing.assert_allclose(g, expected.g, rtol=1e-12)
    few = direct.bp.to_vibrational_dos(Q_range=(2.5, "60 1/nm"), **OPTIONS)
    np.testing.assert_allclose(few.g, expected.g, rtol=1e-4)
    assert float(few.g_std[5]) > 1.2 * float(expected.g_std[5])


@pytest.mark.slow
def test_archive(expected: xr.Dataset, tmp_path: Path) -> None:
    expected.bp.to_netcdf(tmp_path / "g.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "g.nc"), expected)


@pytest.mark.parametrize(
    ("change", "arguments", "error", "named"),
    [
        (lambda ds: ds.drop_vars("two_theta"), {}, CoordinateError, "two_theta"),
        (lambda ds: ds.drop_vars("incident_energy"), {}, CoordinateError, "E_f|needed"),
        (lambda ds: ds, {"final_energy": "5 meV"}, CoordinateError, "final_energy"),
        (lambda ds: ds, {"ki_over_kf": "not applied"}, QuantityError, "ki_over_kf"),
        (lambda ds: ds, {"Q_range": (50, 60)}, RangeError, "Q_range"),
        (lambda ds: ds, {"T": "10 K"}, XbpError, "T="),
        (lambda ds: ds.bp.angle_to_Q(0.2), {"ki_over_kf": "applied"}, QuantityError, "Q"),
    ],
)  # fmt: skip
def test_refusals(
    direct: xr.Dataset, change: object, arguments: dict, error: type, named: str
) -> None:
    with pytest.raises(error, match=named) as refused:
        change(direct).bp.to_vibrational_dos(**OPTIONS, **arguments)  # type: ignore[operator]
    assert str(refused.value).count("\n") < 3


@pytest.mark.slow
@pytest.mark.parametrize("applied", ["applied", "not applied"])
def test_detailed_balance_at_the_same_Q_shows_the_sign(applied: str) -> None:
    """At 30 meV and 300 K gain is stronger than loss by Q² and kᵢ/k_f, on either axis."""
    ds = detectors("direct", 28).sel(E=slice(-20, 20))
    E, angles = ds.E.values, ds.two_theta.values[:, None]
    Q = momentum_transfer(E, 30.0, angles)
    S = VANADIUM.bp.multiphonon_sqe(np.unique(Q), E, composition="V", area=1)
    values = S.S.values[np.searchsorted(np.unique(Q), Q), np.arange(E.size)]
    if applied == "not applied":
        ki, kf = wave_numbers(E, 30.0, "direct")
        values = values * kf / ki
    std = 0.02 * values
    ds["S"] = ds.S.copy(
        data=values + std * np.random.default_rng(3).normal(size=Q.shape)
    )
    ds["S_std"] = ds.S_std.copy(data=std)
    ds.S.attrs["ki_over_kf"] = applied
    ds = ds.drop_vars("incident_energy").assign_coords(
        incident_energy=((), 30.0, {"units": "meV"})
    )
    turned = ds.isel(E=slice(None, None, -1))
    turned = turned.assign_coords(E=("E", -turned.E.values, ds.E.attrs))
    # A label of T that is wrong is no reversed axis, nor is a background.
    for T, level in ((300.0, 0.0), (170.0, 0.0), (600.0, 0.0), (300.0, 0.5)):
        other = ds.assign_coords(temperature=((), T, ds.temperature.attrs))
        other["S"] = other.S + level * values.mean()
        other.S.attrs = ds.S.attrs
        other.bp.angle_to_Q(0.2)
    for wrong in (turned, turned.expand_dims(run=2), turned.S):
        for call in ("angle_to_Q", "to_vibrational_dos"):
            options = {"Q": 0.2} if call == "angle_to_Q" else {"composition": "V"}
            with pytest.raises(CoordinateError, match="sign of E seems reversed"):
                getattr(wrong.bp, call)(**options)
    turned.bp.angle_to_Q(0.2, reversed_below=None)
    turned.bp.angle_to_Q(0.2, significance=1e3)


def test_an_axis_of_the_other_sign_is_refused(direct: xr.Dataset) -> None:
    E, kelvin = direct.E.values, np.array(60.0)
    Q = momentum_transfer(E, 45.0, direct.two_theta.values[:, None])
    cold = direct.assign_coords(temperature=((), 60.0, {"units": "K"}))
    cold["S"] = cold.S.copy(data=Q**2 / thermal_factor(E, kelvin, "quantum"))
    g = cold.bp.to_vibrational_dos(**OPTIONS)
    assert "temperature_differs" not in str(g.bp.diagnostics())
    turned = cold.isel(E=slice(None, None, -1))
    turned = turned.assign_coords(E=("E", -turned.E.values, direct.E.attrs))
    with pytest.raises(CoordinateError, match="reversed"):
        turned.bp.to_vibrational_dos(**OPTIONS | {"E_range": (0.5, 15.5)})


@pytest.mark.slow
def test_measured_aluminium_without_and_with_a_grid_of_Q(shared_data: Path) -> None:
    spectra = xbp.open_dataset(shared_data / "ins" / "MAR21335_Ei60meV.nxs")
    limits = {"E_range": ("4 meV", "42 meV"), "composition": "Al"}
    own = spectra.bp.to_vibrational_dos(**limits)
    grid = spectra.bp.angle_to_Q("0.05 1/angstrom").bp.to_vibrational_dos(**limits)
    assert float(own.u2) == pytest.approx(0.003621, abs=1e-6)
    assert abs(float(own.u2 - grid.u2)) < float(own.u2_std)
    assert float(abs(own.g - grid.g).max() / grid.g.max()) < 0.033


@pytest.mark.parametrize("T", [300.0, 1200.0])
def test_counts_where_no_neutron_can_be_are_refused(T: float) -> None:
    """A hot sample at 8 meV: its sides hardly differ, but none can lose 10 meV."""
    E, angles = np.linspace(-15.2, 7.2, 57), np.linspace(10, 140, 8)
    Q = momentum_transfer(E, 8.0, angles[:, None])
    S = Q**2 / thermal_factor(E, np.array(T), "quantum")
    right = xbp.new_dataset(
        "detector_spectra", S, std=0.02 * S + 1e-3, units="1/meV", statistics="quantum",
        coords={"detector": (np.arange(8), "1"), "E": (E, "meV")}, temperature=f"{T} K",
    )  # fmt: skip
    right.S.attrs |= {"geometry": "direct", "ki_over_kf": "applied"}
    right = right.assign_coords(
        two_theta=("detector", angles, {"units": "degree"}),
        incident_energy=((), 8.0, {"units": "meV"}),
    )
    right.bp.angle_to_Q(0.2)
    turned = right.isel(E=slice(None, None, -1))
    turned = turned.assign_coords(E=("E", -turned.E.values, right.E.attrs))
    noise = right.assign_coords(E=right.E + 3.0)
    noise.E.attrs = right.E.attrs
    noise["S"] = noise.S.where(noise.E < 8, 1e-4)
    noise.bp.angle_to_Q(0.2)
    for wrong in (turned, turned.S):
        for call in ("to_vibrational_dos", "angle_to_Q"):
            options = {"Q": 0.2} if call == "angle_to_Q" else {"composition": "V"}
            with pytest.raises(CoordinateError, match="allows no neutrons"):
                getattr(wrong.bp, call)(**options)
    # The limits are arguments.
    none: dict = {"reversed_below": None}
    turned.bp.angle_to_Q(0.2, unreachable=1, **none)
    turned.bp.angle_to_Q(0.2, significance=1e6, **none)
    with pytest.raises(XbpError, match="unreachable"):
        turned.bp.angle_to_Q(0.2, unreachable=-1)


def test_the_momenta_of_a_range_are_within_both_of_its_limits() -> None:
    Q = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    inside = _within(Q, ("1.5 1/angstrom", "40 1/nm"))
    np.testing.assert_array_equal(inside, (Q >= 2) & (Q <= 4))
    np.testing.assert_array_equal(_within(Q, None), Q > 0)


def test_spectra_at_the_same_momenta_are_interpolated() -> None:
    """S = Q at every detector and energy is Q on a grid of Q too."""
    E, angles = np.arange(-6.0, 7.0), np.array([10.0, 25.0, 30.0, 70.0, 120.0])
    spectra = Spectra(E, np.full((5, 1), 20.0), angles[:, None], "direct")
    value = xr.DataArray(
        spectra.momenta(1), {"detector": np.arange(5), "E": E}, ("detector", "E")
    )
    signal: Any = SimpleNamespace(
        value=value, std=None, both=lambda f: (f(value), None)
    )
    found, _ = _at_common_Q(signal, spectra, "applied", 1)
    assert found.notnull().sum() > 30
    np.testing.assert_allclose(
        found, found.Q.where(found.notnull()).broadcast_like(found), rtol=1e-9
    )


def test_means_over_detectors_are_those_of_what_reaches_them() -> None:
    """S = Q, in pairs of which one has less energy: its mean is at the mean Q."""
    E, n = np.arange(-6.0, 15.0), 8
    angles = np.linspace(20, 120, n)[:, None]
    fixed = np.where(np.arange(n) % 2, 20.0, 10.0)[:, None]
    spectra = Spectra(E, fixed, angles, "direct")
    coords = {"detector": np.arange(n), "E": E}
    value = xr.DataArray(spectra.momenta(1), coords, ("detector", "E"))
    std = xr.full_like(value, 0.2)
    signal: Any = SimpleNamespace(
        value=value, std=std, both=lambda f: (f(value), f(std))
    )
    found, error = _at_common_Q(signal, spectra, "applied", 1, most=4)
    assert error is not None
    known = found.notnull()
    assert known.sel(E=slice(11, None)).any()  # where half of them are reached
    np.testing.assert_allclose(
        found.where(known, 0), found.Q.where(known, 0).broadcast_like(found), rtol=1e-9
    )
    # The error of a mean of two is smaller by √2.
    both = error.sel(E=slice(None, 9)).values
    np.testing.assert_allclose(both[np.isfinite(both)], 0.2 / np.sqrt(2))
