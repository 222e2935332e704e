from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import RangeError
from xbp.models.factors import boltzmann


def test_the_temperature_comes_back_with_its_error(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e5, seed=3)
    result = noisy.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    T, std = float(result.implied_temperature), float(result.implied_temperature_std)
    assert abs(T - 300) < 4 * std
    assert std < 1
    assert float(result.chi2_reduced) == pytest.approx(1, abs=0.8)


def test_temperature_pulls() -> None:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(2, 6, 9), np.arange(-14.75, 15, 0.5), energy=5, width=6, T="150 K", u2="0.01 angstrom^2"
    )
    pulls = []
    for seed in range(200):
        noisy = xbp.models.with_counting_noise(S, counts=1e5, seed=seed)
        r = noisy.bp.detailed_balance(E_range=(2, 12))
        pulls.append(float((r.implied_temperature - 150) / r.implied_temperature_std))
    assert abs(np.mean(pulls)) < 0.2
    assert abs(np.std(pulls) - 1) < 0.2


def test_ratio_is_boltzmann_on_an_uneven_grid(model: xr.Dataset) -> None:
    uneven = model.isel(E=np.r_[0:30, 40:80])
    result = uneven.S.bp.detailed_balance(E_range=(6, 15))
    expected = np.exp(-result.E / (boltzmann() * 300))
    np.testing.assert_allclose(result.ratio, expected, rtol=2e-3)
    assert float(result.implied_temperature) == pytest.approx(300, rel=2e-3)


def test_a_background_shows(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e6, seed=1)
    spoiled = noisy.assign(S=(noisy.S + 0.2 * noisy.S.max()).assign_attrs(noisy.S.attrs))
    result = spoiled.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    assert float(result.chi2_reduced) > 20
    assert float(result.implied_temperature) > 400


def test_q_bins_missing_on_one_side_are_left_out(model: xr.Dataset) -> None:
    holes = model.copy(deep=True)
    holes.S[:18, :40] = np.nan  # the lower half of Q was not measured in energy gain
    assert float(holes.bp.detailed_balance(E_range=(2, 18)).implied_temperature) == pytest.approx(300, rel=1e-9)


def test_leftover_dimensions(model: xr.Dataset) -> None:
    bare = model.drop_vars("temperature")
    cold = xbp.models.dynamic_structure_factor(model.Q.values, model.E.values, energy=5.5, width=6, T=150, u2=0.012)
    both = xr.concat([bare, cold.drop_vars("temperature")], dim="sample")
    result = both.bp.detailed_balance(E_range=(2, 18))
    np.testing.assert_allclose(result.implied_temperature, [300, 150], rtol=1e-9)


def test_one_side_only_is_an_error(glass: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="both signs"):
        glass.bp.detailed_balance()


def test_no_counterpart_is_an_error(model: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="counterpart"):
        model.sel(E=slice(-5, 19)).bp.detailed_balance(E_range=(10, 18))
