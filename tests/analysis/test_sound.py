"""Sound velocities, Debye energy and Ioffe-Regel energies of branches with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import constants

import xbp
from xbp.analysis.dispersion import _crossing
from xbp.errors import QuantityError, RangeError

HBAR = constants.hbar / constants.e * 1e15  # meV ps


def branches(
    q: np.ndarray,
    energy: dict[str, np.ndarray],
    *,
    width: np.ndarray | float = 0.3,
    std: float = 0.01,
    seed: int = 1,
) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    rows = np.stack([energy["longitudinal"], energy["transverse"]])
    rows = rows + std * rng.standard_normal(rows.shape)
    dims = ("branch", "Q")
    full = np.broadcast_to(width, rows.shape)
    return xr.Dataset(
        {
            "energy": (dims, rows, {"units": "meV"}),
            "energy_std": (dims, np.full(rows.shape, std), {"units": "meV"}),
            "width": (dims, full, {"units": "meV"}),
            "width_std": (dims, np.full(rows.shape, std), {"units": "meV"}),
            "status": (dims, np.full(rows.shape, "ok")),
        },
        coords={
            "branch": ["longitudinal", "transverse"],
            "Q": ("Q", q, {"units": "1/angstrom"}),
        },
        attrs={"quantity": "phonon_dispersion", "number_density": 0.0575},
    )


def bent(q: np.ndarray, velocity: float) -> np.ndarray:
    """ħ Q (v + b Q²) with v in m/s."""
    return HBAR * q * (velocity / 100) * (1 - 0.4 * q**2)


@pytest.mark.slow
def test_velocities_and_debye_energy_with_honest_errors() -> None:
    q = np.linspace(0.1, 0.5, 12)
    pulls, debye = [], []
    for seed in range(60):
        table = branches(
            q,
            {"longitudinal": bent(q, 4400), "transverse": bent(q, 1900)},
            std=0.02,
            seed=seed,
        )
        found = table.bp.sound_velocity()
        pulls.append((found.velocity - [4400, 1900]) / found.velocity_std)
        v_d = (3 / (1 / 4400**3 + 2 / 1900**3)) ** (1 / 3)
        exact = (
            constants.hbar
            * v_d
            * (6 * np.pi**2 * 0.0575e30) ** (1 / 3)
            / constants.e
            * 1e3
        )
        debye.append(float((found.debye_energy - exact) / found.debye_energy_std))
    for values in (np.array(pulls).ravel(), np.array(debye)):
        assert abs(values.mean()) < 0.3
        assert 0.7 < values.std() < 1.2
    assert found.velocity.attrs["units"] == "m/s"
    assert found.debye_energy.attrs["units"] == "meV"
    assert float(found.debye_velocity) == pytest.approx(v_d, rel=0.02)


def test_units_do_not_matter() -> None:
    q = np.linspace(0.1, 0.5, 12)
    table = branches(q, {"longitudinal": bent(q, 4400), "transverse": bent(q, 1900)})
    other = table.assign_coords(Q=("Q", q * 10, {"units": "1/nm"}))
    for name in ("energy", "energy_std"):
        other[name] = (
            other[name].dims,
            table[name].values * 8.065544,
            {"units": "1/cm"},
        )
    a, b = (
        table.bp.sound_velocity("0.45 1/angstrom"),
        other.bp.sound_velocity("4.5 1/nm"),
    )
    for name in ("velocity", "velocity_std", "debye_energy", "debye_energy_std"):
        xr.testing.assert_allclose(
            a[name].drop_attrs(), b[name].drop_attrs(), rtol=1e-6
        )


def test_too_few_points_give_no_velocity() -> None:
    q = np.linspace(0.1, 0.5, 5)
    table = branches(q, {"longitudinal": bent(q, 4400), "transverse": bent(q, 1900)})
    table.status[1, :3] = "fit failed"
    found = table.bp.sound_velocity()
    assert found.status.values.tolist() == ["ok", "too few points"]
    assert np.isfinite(found.velocity.values).tolist() == [True, False]
    assert np.isnan(found.debye_energy)
    with pytest.raises(RangeError, match="Q_max"):
        table.bp.sound_velocity(0.05)
    with pytest.raises(QuantityError, match="phonon_dispersion"):
        xbp.sound_velocity(xr.Dataset())


@pytest.mark.slow
def test_ioffe_regel_where_the_widths_cross() -> None:
    q = np.linspace(0.1, 1.0, 19)
    energy = 10 * q
    width = 5 * q**2 / np.pi * 2.5  # πΓ = 12.5 Q² crosses 10 Q at Q = 0.8
    table = branches(
        q, {"longitudinal": energy, "transverse": energy}, width=width, std=1e-4
    )
    found = table.bp.ioffe_regel()
    assert found.energy.values == pytest.approx([8, 8], abs=0.02)
    assert found.Q_crossing.values == pytest.approx([0.8, 0.8], abs=0.002)
    assert found.status.values.tolist() == ["ok", "ok"]
    pulls = []
    for seed in range(80):
        rng = np.random.default_rng(1000 + seed)
        noisy = branches(
            q,
            {"longitudinal": energy, "transverse": energy},
            width=width,
            std=0.03,
            seed=seed,
        )
        noisy["width"] = noisy.width + 0.03 * rng.standard_normal(noisy.width.shape)
        one = noisy.bp.ioffe_regel()
        pulls += ((one.energy - 8) / one.energy_std).values.tolist()
    assert abs(np.mean(pulls)) < 0.4
    assert 0.7 < np.std(pulls) < 1.3


def test_widths_that_do_not_cross() -> None:
    q = np.linspace(0.1, 1.0, 19)
    table = branches(q, {"longitudinal": 10 * q, "transverse": 0.01 * q}, width=0.1)
    found = table.bp.ioffe_regel()
    # Sharp to the end, and overdamped from the start.
    assert found.status.values.tolist() == ["no crossing", "no crossing"]
    assert np.isnan(found.energy).all()
    with pytest.raises(QuantityError):
        xbp.ioffe_regel(found)


def test_a_part_of_the_table_is_refused() -> None:
    q = np.linspace(0.1, 0.5, 5)
    table = branches(q, {"longitudinal": bent(q, 4400), "transverse": bent(q, 1900)})
    for part in (table.isel(Q=0), table.sel(branch="transverse")):
        for function in (xbp.sound_velocity, xbp.ioffe_regel):
            with pytest.raises(QuantityError, match="over branch and Q"):
                function(part)


def test_a_window_that_hides_the_limit_is_told() -> None:
    q = np.linspace(0.1, 1.0, 19)
    table = branches(
        q,
        {"longitudinal": 10 * q, "transverse": 5 * q},
        width=2.5 * q**2 / np.pi * 4,
        std=1e-4,
    )
    # πΓ = 10 Q²: the limits are 10 and 2.5 meV, their widths 3.2 and 0.8.
    for window, said in (
        ("20 ps, hann", None),
        ("5 ps, hann", "transverse phonon"),
        ("1 ps, hann", "longitudinal and"),
    ):
        found = table.assign_attrs(window=window).bp.ioffe_regel()
        np.testing.assert_allclose(found.energy, [10, 2.5], atol=0.05)
        doubts = [one.message for one in found.bp.diagnostics()]
        assert bool(doubts) == (said is not None)
        assert said is None or said in doubts[0]
        assert ("warning" in repr(found.bp)) == (said is not None)
    assert [one.code for one in table.bp.ioffe_regel().bp.diagnostics()] == [
        "window_in_widths"
    ]


@pytest.mark.parametrize("excess", [0.2, 7.0])
def test_the_error_of_a_velocity_grows_with_the_scatter_about_the_curve(
    excess: float,
) -> None:
    """It is that of the weighted straight line in Q², times the root of the reduced chi-squared where that is above 1."""
    q = np.arange(0.1, 0.5, 0.03)
    table = branches(
        q,
        {"longitudinal": bent(q, 4400), "transverse": bent(q, 1900)},
        std=0.02,
        seed=4,
    )
    table["energy_std"] = table.energy_std / excess
    found = table.bp.sound_velocity("0.5 1/angstrom")
    for branch in ("longitudinal", "transverse"):
        one = table.sel(branch=branch)
        y, error = one.energy.values / (HBAR * q), one.energy_std.values / (HBAR * q)
        line, covariance = np.polyfit(q**2, y, 1, w=1 / error, cov="unscaled")
        chi2 = float((((y - np.polyval(line, q**2)) / error) ** 2).sum()) / (q.size - 2)
        assert (chi2 > 1) is (excess > 1)
        expected = 100 * np.sqrt(covariance[1, 1] * max(chi2, 1.0))
        assert float(found.velocity_std.sel(branch=branch)) == pytest.approx(
            expected, rel=1e-6
        )


def test_wave_vectors_that_share_counts_give_a_larger_error() -> None:
    q = np.arange(0.1, 0.5, 0.02)
    energy = {"longitudinal": bent(q, 4400.0), "transverse": bent(q, 1900.0)}
    table = branches(q, energy, std=0.01)
    table["energy"].values[:] = np.stack(list(energy.values()))
    alone = table.bp.sound_velocity()
    quarter = ("Q", np.full(q.size, 0.25), {"units": "1"})
    shared = table.assign_coords(Q_independence=quarter).bp.sound_velocity()
    np.testing.assert_allclose(shared.velocity_std, 2 * alone.velocity_std, rtol=1e-6)
    few = table.assign_coords(Q_independence=("Q", np.full(q.size, 0.1)))
    assert (few.bp.sound_velocity().status == "too few points").all()


def test_a_crossing_between_two_wave_vectors_by_hand() -> None:
    q, energy = np.array([0.2, 0.4, 0.6]), np.array([4.0, 8.0, 12.0])
    width = (energy + np.array([-2.0, -1.0, 3.0])) / np.pi  # a quarter of the way
    energy_std, width_std = np.array([0.1, 0.2, 0.3]), np.array([0.05, 0.06, 0.07])
    at, std, where = _crossing(q, energy, energy_std, width, width_std)
    assert (at, where) == (pytest.approx(9.0), pytest.approx(0.45))
    noise = np.hypot(2 * energy_std, np.pi * width_std)  # the slope is 1
    assert std == pytest.approx(np.hypot(0.75 * noise[1], 0.25 * noise[2]))
