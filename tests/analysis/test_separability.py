"""Eq. 2 against all of B(Q,E), on maps for which it holds, or fails by a known amount."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError

Q = np.arange(2.0, 8.01, 0.1)
E = np.arange(1.25, 12.0, 0.5)
S = (
    1
    + 1.5 * np.exp(-(((Q - 2.8) / 0.3) ** 2))
    - 0.4 * np.exp(-(((Q - 3.8) / 0.5) ** 2))
)
F = 2e-3 * np.exp(-(np.log(E / 4.0) ** 2) / (2 * 0.5**2))


def bqe(values: np.ndarray, std: np.ndarray | None = None) -> xr.Dataset:
    return xbp.new_dataset(
        "reduced_dos",
        values,
        std=std,
        units="angstrom**2/meV**2",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )


def curve(values: np.ndarray = S, std: np.ndarray | None = None) -> xr.Dataset:
    return xbp.new_dataset(
        "static_structure_factor", values, std=std, units="1",
        coords={"Q": (Q, "1/angstrom")},
    )  # fmt: skip


def test_a_product_is_found_exactly() -> None:
    fit = bqe(S[:, None] * F).bp.fit_bqe(curve())
    np.testing.assert_allclose(fit.profile, F, rtol=1e-12)
    np.testing.assert_allclose(fit.ratio, 1, rtol=1e-12)
    np.testing.assert_allclose(fit.rms_E, 0, atol=1e-12)
    assert float(fit.energy) == pytest.approx(4.0, rel=1e-6)
    assert float(fit.height) == pytest.approx(2e-3, rel=1e-6)
    np.testing.assert_allclose(fit.residual, 0, atol=1e-6)
    assert fit.profile.attrs["units"] == "angstrom**2/meV**2"
    # Without errors nothing tells whether it holds.
    assert (fit.holds == -1).all()
    assert np.isnan(fit.E_holds_low)


def test_what_is_fitted_is_the_shape_on_the_whole_map() -> None:
    """χ² of the whole map has its minimum at the same shape, by another fit."""
    rng = np.random.default_rng(1)
    sigma = 0.1 * S[:, None] * F + 2e-5
    data = S[:, None] * F + sigma * rng.normal(size=sigma.shape)
    fit = bqe(data, sigma).bp.fit_bqe(curve(), E_range=(1, 12))

    def off(p: np.ndarray) -> np.ndarray:
        f = p[1] * np.exp(-(np.log(E / p[0]) ** 2) / (2 * p[2] ** 2))
        return ((data - S[:, None] * f) / sigma).ravel()

    scipy = pytest.importorskip("scipy.optimize")
    whole = scipy.least_squares(off, [4, 2e-3, 0.5], x_scale=[1, 1e-3, 0.1])
    assert float(fit.energy) == pytest.approx(whole.x[0], abs=1e-4)
    assert float(fit.height) == pytest.approx(whole.x[1], rel=1e-4)
    covariance = np.linalg.inv(whole.jac.T @ whole.jac)
    # The error contains other shapes, too.
    assert 1 < float(fit.energy_std) / np.sqrt(covariance[0, 0]) < 3


@pytest.mark.slow
def test_pulls_and_how_often_it_holds() -> None:
    rng = np.random.default_rng(2)
    sigma = 0.2 * S[:, None] * F + 1e-4
    S_std = np.full_like(S, 0.02)
    pulls, held, energy = [], [], []
    for _ in range(300):
        data = S[:, None] * F + sigma * rng.normal(size=sigma.shape)
        # The errors of S(Q) are common to all energies.
        sq = curve(S + S_std * rng.normal(size=S.size), S_std)
        fit = bqe(data, sigma).bp.fit_bqe(sq, E_range=(1, 12))
        pulls.append((fit.profile - F) / fit.profile_std)
        held.append(fit.holds.values)
        energy.append((float(fit.energy) - 4) / float(fit.energy_std))
    pulls = np.array(pulls)
    assert abs(pulls.mean()) < 0.15
    assert 0.85 < pulls.std() < 1.15
    assert abs(np.mean(energy)) < 0.17
    assert 0.3 < np.std(energy) < 1.15  # the error contains other shapes, too
    assert 0.975 < np.mean(held) < 0.999


def test_a_part_flat_in_q_is_seen_where_r_is_one() -> None:
    """B = f·S + c: r stays 1, Eq. 2 fails where c is no small part of it."""
    flat = 1.2e-5 * (E / 4.0) ** 3
    data = S[:, None] * F + flat
    sigma = np.full_like(data, 2e-5)
    B = bqe(data, sigma)
    fit, r = B.bp.fit_bqe(curve(), "free"), B.bp.correlation_map(curve())
    np.testing.assert_allclose(r.pearson_r, 1, atol=1e-9)
    assert fit.holds[0] == 1
    assert fit.holds[-1] == 0
    assert float(fit.E_holds_high) < 8
    # The rms by hand at one energy.
    at = 12
    profile = (data[:, at] @ S) / (S @ S)
    ratio = data[:, at] / (profile * S)
    assert float(fit.rms_E[at]) == pytest.approx(np.sqrt(np.mean((ratio - 1) ** 2)))
    assert "energy" not in fit
    np.testing.assert_allclose(
        fit.noise_E[at], np.sqrt(np.mean((sigma[:, at] / (profile * S)) ** 2))
    )


def test_ranges_missing_bins_and_other_dimensions() -> None:
    data = S[:, None] * F
    data[5, 3] = np.nan
    several = xr.concat(
        [bqe(data, 0.05 * S[:, None] * F), bqe(2 * data, 0.1 * S[:, None] * F)],
        xr.Variable("sample", ["one", "two"]),
        data_vars="all", coords="minimal", compat="override",
    )  # fmt: skip
    fit = several.bp.fit_bqe(curve(), Q_range=(3, 6))
    np.testing.assert_allclose(fit.profile.isel(sample=1), 2 * F, rtol=1e-10)
    assert fit.status.values.tolist() == ["ok", "ok"]
    assert np.isfinite(fit.ratio.sel(Q=slice(3.01, 5.99)).isel(E=0)).all()
    assert np.isnan(fit.ratio.sel(Q=slice(None, 2.9))).all()
    assert (fit.holds == 1).all()
    assert float(fit.E_holds_low[0]) == E[0]
    with pytest.raises(RangeError):
        bqe(data).bp.fit_bqe(curve(), Q_range=(20, 30))
    with pytest.raises(QuantityError):
        bqe(data).bp.fit_bqe(curve(), "square")
    with pytest.raises(QuantityError):
        bqe(data).bp.fit_bqe(bqe(data))
    with pytest.raises(RangeError):
        bqe(data).bp.fit_bqe(curve(), significance=2)


def test_dask_gives_the_same() -> None:
    pytest.importorskip("dask")
    sigma = 0.1 * S[:, None] * F
    plain = bqe(S[:, None] * F, sigma)
    lazy = plain.chunk({"E": 5}).bp.fit_bqe(curve()).compute()
    xr.testing.assert_allclose(lazy, plain.bp.fit_bqe(curve()))


def test_the_ratio_beside_r() -> None:
    """A flat part leaves r at 1; the ratio to A·S and its rms tell."""
    data = S[:, None] * F + 3e-4
    B = bqe(data, np.full_like(data, 1e-5))
    fit = B.isel(E=6).bp.scale_to_sq(curve())
    np.testing.assert_allclose(fit.ratio, fit.cut / fit.scaled_structure_factor)
    np.testing.assert_allclose(fit.ratio_std, 1e-5 / fit.scaled_structure_factor)
    assert float(fit.pearson_r) == pytest.approx(1)
    at = data[:, 6]
    off = at / ((at @ S) / (S @ S) * S) - 1
    assert float(fit.ratio_rms) == pytest.approx(np.sqrt(np.mean(off**2)), rel=1e-10)
    r = B.bp.correlation_map(curve())
    assert float(r.ratio_rms[6]) == pytest.approx(float(fit.ratio_rms), rel=1e-10)
    error = float(fit.ratio_rms) / np.sqrt(2 * float(fit.n_effective))
    assert float(fit.ratio_rms_std) == pytest.approx(error)
    whole = B.isel(E=6).bp.scale_to_sq(curve(), offset=True)
    np.testing.assert_allclose(whole.ratio, 1, atol=1e-6)


def test_the_other_sign_of_s_q_is_refused() -> None:
    with pytest.raises(QuantityError, match="opposite signs"):
        bqe(S[:, None] * F).bp.fit_bqe(curve(-S))


@pytest.mark.parametrize(("chi2", "holds"), [(12.0, 1), (15.0, 0)])
def test_five_momenta_have_four_degrees_of_freedom(chi2: float, holds: int) -> None:
    """χ² of four exceeds 13.28 in one of a hundred cases; two momenta leave one, one none."""
    few, sigma = slice(2.0, 2.45), 1e-4
    s = S[:5]
    off = np.array([1.0, -2, 3, -1, 2])
    off -= (off @ s) / (s @ s) * s  # the profile stays
    off *= sigma * np.sqrt(chi2 / (off @ off))
    data = S[:, None] * F
    data[:5] += off[:, None]
    data[1:, 2] = np.nan
    data[:, 3] = np.nan
    fit = bqe(data, np.full_like(data, sigma)).sel(Q=few).bp.fit_bqe(curve(), "free")
    assert fit.holds.values[[0, 1, 2, 3]].tolist() == [holds, holds, -1, -1]
    assert float(fit.chi2_reduced_E[0]) == pytest.approx(chi2 / 4, rel=1e-6)
    assert np.isnan(fit.chi2_reduced_E[2:4]).all()
