from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError

Q = np.linspace(1.5, 9, 76)


@pytest.fixture
def sq() -> xr.Dataset:
    return xbp.models.hard_sphere_structure_factor(Q)


def cut_of(values: np.ndarray, std: np.ndarray | None = None, q: np.ndarray = Q) -> xr.Dataset:
    return xbp.new_dataset("reduced_dos", values, units="angstrom^2/meV^2", std=std, coords={"Q": (q, "1/angstrom")})


def test_exact_data_give_the_exact_scale(sq: xr.Dataset) -> None:
    fit = cut_of(3e-5 * sq.Sq.values).bp.scale_to_sq(sq)
    assert float(fit.scale) == pytest.approx(3e-5, rel=1e-10)
    assert float(fit.pearson_r) == pytest.approx(1)
    assert float(fit.spearman_r) == pytest.approx(1)
    assert fit.scale.attrs["units"] == "angstrom**2/meV**2"
    np.testing.assert_allclose(fit.scaled_structure_factor, fit.cut, rtol=1e-9)


def test_offset(sq: xr.Dataset) -> None:
    fit = cut_of(3.0 * sq.Sq.values + 0.7, std=np.full(Q.size, 0.01)).bp.scale_to_sq(sq, offset=True)
    assert float(fit.scale) == pytest.approx(3)
    assert float(fit.offset) == pytest.approx(0.7)
    assert float(fit.offset_std) > 0
    assert float(fit.chi2_reduced) < 1e-12


def test_pulls_with_errors_on_both_sides(sq: xr.Dataset) -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(200):
        b = cut_of(2 * sq.Sq.values + 0.05 * rng.standard_normal(Q.size), std=np.full(Q.size, 0.05))
        s = xbp.new_dataset(
            "static_structure_factor", sq.Sq.values + 0.03 * rng.standard_normal(Q.size), units="1",
            std=np.full(Q.size, 0.03), coords={"Q": (Q, "1/angstrom")},
        )  # fmt: skip
        fit = b.bp.scale_to_sq(s)
        pulls.append(float((fit.scale - 2) / fit.scale_std))
    assert abs(np.mean(pulls)) < 0.2
    assert abs(np.std(pulls) - 1) < 0.2


def test_correlations_are_scipys(sq: xr.Dataset) -> None:
    rng = np.random.default_rng(0)
    values = sq.Sq.values + rng.standard_normal(Q.size)
    values[5] = np.nan
    fit = cut_of(values).bp.scale_to_sq(sq)
    ok = np.isfinite(values)
    assert float(fit.pearson_r) == pytest.approx(scipy.stats.pearsonr(values[ok], sq.Sq.values[ok])[0], rel=1e-10)
    assert float(fit.spearman_r) == pytest.approx(scipy.stats.spearmanr(values[ok], sq.Sq.values[ok])[0], rel=1e-10)
    assert int(fit.n_points) == Q.size - 1


def test_sq_is_interpolated_with_its_std_and_never_extrapolated() -> None:
    s = xbp.new_dataset(
        "static_structure_factor", [1.0, 3.0, 2.0, 5.0], units="1", std=[0.1, 0.2, 0.1, 0.3],
        coords={"Q": ([2.0, 3.0, 4.0, 5.0], "1/angstrom")},
    )  # fmt: skip
    q = np.array([1.5, 2.25, 3.0, 3.5, 4.5, 5.5])
    fit = cut_of(np.ones(6), std=np.ones(6), q=q).bp.scale_to_sq(s)
    A = float(fit.scale)
    np.testing.assert_allclose(fit.scaled_structure_factor / A, [np.nan, 1.5, 3, 2.5, 3.5, np.nan])
    expected = [np.nan, np.hypot(0.075, 0.05), 0.2, np.hypot(0.1, 0.05), np.hypot(0.05, 0.15), np.nan]
    np.testing.assert_allclose(fit.scaled_structure_factor_std / A, expected)
    assert (float(fit.Q_min), float(fit.Q_max), int(fit.n_points)) == (2.25, 4.5, 4)


def test_sq_in_other_units_of_q(sq: xr.Dataset) -> None:
    b = cut_of(sq.Sq.values + 0.1 * np.sin(Q))
    xr.testing.assert_allclose(b.bp.scale_to_sq(sq.bp.convert(Q="1/nm")).scale, b.bp.scale_to_sq(sq).scale)


def test_q_range(sq: xr.Dataset) -> None:
    values = np.where(Q < 5, 2.0, 7.0) * sq.Sq.values
    assert float(cut_of(values).bp.scale_to_sq(sq, Q_range=("2 1/angstrom", "4.9 1/angstrom")).scale) == pytest.approx(
        2
    )
    assert float(cut_of(values).bp.scale_to_sq(sq, Q_range=("51 1/nm", "85 1/nm")).scale) == pytest.approx(7)


def test_leftover_dims(sq: xr.Dataset) -> None:
    both = xr.concat([cut_of(2 * sq.Sq.values), cut_of(-np.ones(Q.size) * np.nan)], dim="sample")
    fit = both.bp.scale_to_sq(sq)
    np.testing.assert_allclose(fit.scale, [2, np.nan])
    np.testing.assert_allclose(fit.pearson_r, [1, np.nan])


def test_bad_calls(sq: xr.Dataset, glass: xr.Dataset) -> None:
    b = cut_of(sq.Sq.values)
    far = xbp.new_dataset("static_structure_factor", [1.0, 1.0], units="1", coords={"Q": ([20.0, 30.0], "1/angstrom")})
    with pytest.raises(RangeError, match="do not overlap"):
        b.bp.scale_to_sq(far)
    with pytest.raises(RangeError, match="only 2 Q bins"):
        b.bp.scale_to_sq(sq, Q_range=(2.0, 2.15))
    with pytest.raises(QuantityError):
        b.bp.scale_to_sq(b)
    with pytest.raises(QuantityError, match="pure number"):
        b.bp.scale_to_sq(sq.Sq.assign_attrs(units="barn"))
    with pytest.raises(RangeError, match="no dimension 'Q'"):
        glass.bp.to_bqe().bp.cut_Q((2, 8)).bp.scale_to_sq(sq)
    with pytest.raises(RangeError, match="no dimension 'E'"):
        b.bp.correlation_map(sq)


def test_correlation_map_is_the_correlation_of_each_cut(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    r = b.bp.correlation_map(glass.Sq, Q_range=(2.1, 8.5))
    q = (glass.Q.values >= 2.1) & (glass.Q.values <= 8.5)
    for i in (5, 20, 60):
        expected = scipy.stats.pearsonr(b.B.values[q, i], glass.Sq.values[q])[0]
        assert float(r.pearson_r[i]) == pytest.approx(expected, rel=1e-9)
    assert r.pearson_r.dims == ("E",)


def test_correlation_map_tells_a_peak_that_follows_from_one_that_does_not(sq: xr.Dataset) -> None:
    """Eq. 2 at the boson peak, a band without S(Q) above it."""
    E = np.arange(1, 30, 0.5)
    b = xbp.models.reduced_dos(Q, E, energy=5, width=5, shape="gaussian", structure_factor=sq)
    other = xbp.models.reduced_dos(Q, E, energy=20, width=8, shape="gaussian", structure_factor=xr.ones_like(sq.Sq))
    ramp = other.B * xr.DataArray(1 + 0.1 * Q, dims="Q")
    total = b.assign(B=(b.B + ramp).assign_attrs(b.B.attrs))
    r = total.bp.correlation_map(sq).pearson_r
    assert float(r.sel(E=5)) > 0.999
    assert abs(float(r.sel(E=20))) < 0.3
