from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr
from scipy.ndimage import gaussian_filter1d

import xbp
from xbp.analysis.pair import correlation_error
from xbp.errors import QuantityError, RangeError, XbpError

Q = np.linspace(1.5, 9, 76)


@pytest.fixture
def sq() -> xr.Dataset:
    return xbp.models.hard_sphere_structure_factor(Q)


def cut_of(
    values: np.ndarray, std: np.ndarray | None = None, q: np.ndarray = Q
) -> xr.Dataset:
    return xbp.new_dataset(
        "reduced_dos",
        values,
        units="angstrom^2/meV^2",
        std=std,
        coords={"Q": (q, "1/angstrom")},
    )


def test_exact_data_give_the_exact_scale(sq: xr.Dataset) -> None:
    fit = cut_of(3e-5 * sq.Sq.values).bp.scale_to_sq(sq)
    assert float(fit.scale) == pytest.approx(3e-5, rel=1e-10)
    assert float(fit.pearson_r) == pytest.approx(1)
    assert float(fit.spearman_r) == pytest.approx(1)
    assert fit.scale.attrs["units"] == "angstrom**2/meV**2"
    np.testing.assert_allclose(fit.scaled_structure_factor, fit.cut, rtol=1e-9)


def test_offset(sq: xr.Dataset) -> None:
    fit = cut_of(3.0 * sq.Sq.values + 0.7, std=np.full(Q.size, 0.01)).bp.scale_to_sq(
        sq, offset=True
    )
    assert float(fit.scale) == pytest.approx(3)
    assert float(fit.offset) == pytest.approx(0.7)
    assert float(fit.offset_std) > 0
    assert float(fit.chi2_reduced) < 1e-12


@pytest.mark.slow
def test_pulls_with_errors_on_both_sides(sq: xr.Dataset) -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(200):
        b = cut_of(
            2 * sq.Sq.values + 0.05 * rng.standard_normal(Q.size),
            std=np.full(Q.size, 0.05),
        )
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
    assert float(fit.pearson_r) == pytest.approx(
        scipy.stats.pearsonr(values[ok], sq.Sq.values[ok])[0], rel=1e-10
    )
    assert float(fit.spearman_r) == pytest.approx(
        scipy.stats.spearmanr(values[ok], sq.Sq.values[ok])[0], rel=1e-10
    )
    assert int(fit.n_points) == Q.size - 1
    # Of each cut of several those of the cut alone, in the order of its own values.
    other = 3 * sq.Sq.values[::-1] + rng.standard_normal(Q.size)
    both = xr.concat([cut_of(values), cut_of(other)], dim="sample").bp.scale_to_sq(sq)
    ranks = [fit.spearman_r, scipy.stats.spearmanr(other, sq.Sq.values)[0]]
    np.testing.assert_allclose(both.spearman_r, ranks, rtol=1e-10)


def test_three_points_have_a_scale_with_its_rms() -> None:
    """1, 2, 6 beside 1, 2, 3: A = 23/14; two are 9/14 off of it, one is 1/46."""
    at = {"Q": ([2.0, 3.0, 4.0], "1/angstrom")}
    s = xbp.new_dataset("static_structure_factor", [1.0, 2, 3], units="1", coords=at)
    fit = cut_of(np.array([1.0, 2, 6]), q=np.array([2.0, 3, 4])).bp.scale_to_sq(s)
    assert float(fit.scale) == pytest.approx(23 / 14)
    off = np.array([1.0, 1, 2]) * 14 / 23 - 1
    assert float(fit.ratio_rms) == pytest.approx(np.sqrt(np.mean(off**2)))
    assert float(fit.pearson_r) == pytest.approx(5 / np.sqrt(28))


def test_the_scale_has_the_least_chi_squared_with_errors_on_both_sides(
    sq: xr.Dataset,
) -> None:
    """χ²(A) = Σ (B − A S)²/(σ_B² + A² σ_S²), by a search of its minimum alone."""
    cut, curve = noisy_pair(sq)
    curve["Sq_std"] = 10 * curve.Sq_std
    cut = cut.bp.scale(1e-2)  # no error is near 1

    def chi2(A: float) -> float:
        left = (cut.B - A * curve.Sq).values
        return float((left**2 / (cut.B_std**2 + A**2 * curve.Sq_std**2).values).sum())

    best = scipy.optimize.minimize_scalar(chi2, bracket=(0.02, 0.03), tol=1e-12).x
    assert float(cut.bp.scale_to_sq(curve).scale) == pytest.approx(best, rel=1e-6)


def test_sq_is_interpolated_with_its_std_and_never_extrapolated() -> None:
    s = xbp.new_dataset(
        "static_structure_factor", [1.0, 3.0, 2.0, 5.0], units="1", std=[0.1, 0.2, 0.1, 0.3],
        coords={"Q": ([2.0, 3.0, 4.0, 5.0], "1/angstrom")},
    )  # fmt: skip
    q = np.array([1.5, 2.25, 3.0, 3.5, 4.5, 5.5])
    fit = cut_of(np.ones(6), std=np.ones(6), q=q).bp.scale_to_sq(s)
    A = float(fit.scale)
    np.testing.assert_allclose(
        fit.scaled_structure_factor / A, [np.nan, 1.5, 3, 2.5, 3.5, np.nan]
    )
    expected = [
        np.nan,
        np.hypot(0.075, 0.05),
        0.2,
        np.hypot(0.1, 0.05),
        np.hypot(0.05, 0.15),
        np.nan,
    ]
    np.testing.assert_allclose(fit.scaled_structure_factor_std / A, expected)
    assert (float(fit.Q_min), float(fit.Q_max), int(fit.n_points)) == (2.25, 4.5, 4)


def test_sq_in_other_units_of_q(sq: xr.Dataset) -> None:
    b = cut_of(sq.Sq.values + 0.1 * np.sin(Q))
    xr.testing.assert_allclose(
        b.bp.scale_to_sq(sq.bp.convert(Q="1/nm")).scale, b.bp.scale_to_sq(sq).scale
    )


def test_q_range(sq: xr.Dataset) -> None:
    values = np.where(Q < 5, 2.0, 7.0) * sq.Sq.values
    assert float(
        cut_of(values)
        .bp.scale_to_sq(sq, Q_range=("2 1/angstrom", "4.9 1/angstrom"))
        .scale
    ) == pytest.approx(2)
    assert float(
        cut_of(values).bp.scale_to_sq(sq, Q_range=("51 1/nm", "85 1/nm")).scale
    ) == pytest.approx(7)


def test_a_scale_that_is_not_found_says_why(sq: xr.Dataset) -> None:
    cuts = cut_of(np.where(np.arange(Q.size) < 30, 2.0 * sq.Sq.values, np.nan))
    several = xr.concat(
        [
            cuts,
            cuts.where(Q[3] > cuts.Q),
            cuts.where(Q[2] > cuts.Q),
            cuts.where(cuts.Q < 0),
        ],
        "sample",
    )
    several.B.attrs = cuts.B.attrs
    fits = several.bp.scale_to_sq(sq)
    assert fits.scale_status.values.tolist() == [
        "ok",
        "ok",
        "too few points",
        "no data",
    ]
    assert fits.scale.notnull().values.tolist() == [True, True, False, False]
    none = several.isel(sample=2).bp.scale_to_sq(sq)
    assert "scale not found (too few points)" in str(none.bp)


def test_leftover_dims(sq: xr.Dataset) -> None:
    both = xr.concat(
        [cut_of(2 * sq.Sq.values), cut_of(-np.ones(Q.size) * np.nan)], dim="sample"
    )
    fit = both.bp.scale_to_sq(sq)
    np.testing.assert_allclose(fit.scale, [2, np.nan])
    np.testing.assert_allclose(fit.pearson_r, [1, np.nan])


def test_bad_calls(sq: xr.Dataset, glass: xr.Dataset) -> None:
    b = cut_of(sq.Sq.values)
    far = xbp.new_dataset(
        "static_structure_factor",
        [1.0, 1.0],
        units="1",
        coords={"Q": ([20.0, 30.0], "1/angstrom")},
    )
    with pytest.raises(RangeError, match="do not overlap"):
        b.bp.scale_to_sq(far)
    with pytest.raises(RangeError, match="known at 2 Q"):
        b.bp.scale_to_sq(sq, Q_range=(2.0, 2.15))
    with pytest.raises(QuantityError):
        b.bp.scale_to_sq(b)
    with pytest.raises(QuantityError, match="dimensionless"):
        b.bp.scale_to_sq(sq.Sq.assign_attrs(units="barn"))
    with pytest.raises(RangeError, match="dimension 'Q'"):
        glass.bp.to_bqe().bp.cut_Q((2, 8)).bp.scale_to_sq(sq)
    with pytest.raises(RangeError, match="dimension 'E'"):
        b.bp.correlation_map(sq)


def test_correlation_map_is_the_correlation_of_each_cut(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    r = b.bp.correlation_map(glass.Sq, Q_range=(2.1, 8.5))
    q = (glass.Q.values >= 2.1) & (glass.Q.values <= 8.5)
    for i in (5, 20, 60):
        expected = scipy.stats.pearsonr(b.B.values[q, i], glass.Sq.values[q])[0]
        assert float(r.pearson_r[i]) == pytest.approx(expected, rel=1e-9)
    assert r.pearson_r.dims == ("E",)


def test_correlation_map_tells_a_peak_that_follows_from_one_that_does_not(
    sq: xr.Dataset,
) -> None:
    """Eq. 2 at the boson peak, a band without S(Q) above it."""
    E = np.arange(1, 30, 0.5)
    b = xbp.models.reduced_dos(
        Q, E, energy=5, width=5, shape="gaussian", structure_factor=sq
    )
    other = xbp.models.reduced_dos(
        Q, E, energy=20, width=8, shape="gaussian", structure_factor=xr.ones_like(sq.Sq)
    )
    ramp = other.B * xr.DataArray(1 + 0.1 * Q, dims="Q")
    total = b.assign(B=(b.B + ramp).assign_attrs(b.B.attrs))
    r = total.bp.correlation_map(sq).pearson_r
    assert float(r.sel(E=5)) > 0.999
    assert abs(float(r.sel(E=20))) < 0.3


def test_the_error_of_r_counts_independent_points(sq: xr.Dataset) -> None:
    """Neighbours that are independent all count; of smooth curves their own length does."""
    rough = np.resize([1.0, -1.0], Q.size) + 0.1 * np.cos(np.arange(Q.size))
    zigzag = np.resize([0.0, 0.0, 1.0, 1.0], Q.size)
    s = xbp.new_dataset(
        "static_structure_factor", zigzag, units="1", coords={"Q": (Q, "1/angstrom")}
    )
    fit = cut_of(rough + 0.3 * zigzag).bp.scale_to_sq(s)
    r = scipy.stats.pearsonr(rough + 0.3 * zigzag, zigzag)[0]
    assert float(fit.n_effective) == Q.size == 76
    shrunk = r**4 * 74 / (r**2 * 74 + 4 * (1 - r**2))
    expected = (1 - shrunk) / np.sqrt(72.5)
    assert float(fit.pearson_r_std) == pytest.approx(expected, rel=1e-9)
    smooth = cut_of(sq.Sq.values + np.cos(2 * Q)).bp.scale_to_sq(sq)
    assert 5 < float(smooth.n_effective) < 20


def test_independent_points_are_those_of_the_equation(glass: xr.Dataset) -> None:
    q = slice(2.1, 8.5)
    b, curve = glass.bp.to_bqe().B.sel(Q=q), glass.Sq.sel(Q=q).values
    at = b.sel(E=8, method="nearest").values
    x, y = at - at.mean(), curve - curve.mean()
    total = 0.0
    for lag in range(1, x.size):
        product = (x[lag:] @ x[:-lag]) / (x @ x) * (y[lag:] @ y[:-lag]) / (y @ y)
        if product <= 0:
            break
        total += product
    expected = x.size / (1 + 2 * total)
    r = b.bp.correlation_map(glass.Sq).sel(E=8, method="nearest")
    assert float(r.n_effective) == pytest.approx(expected, rel=1e-9)
    assert 15 < expected < 20
    assert float(r.pearson_r_std) == pytest.approx(0.12, abs=0.01)
    # In a box of 10 Å wave vectors are 0.63 1/Å apart.
    boxed = b.bp.correlation_map(glass.Sq, box="1 nm").sel(E=8, method="nearest")
    reach = float(b.Q[-1] - b.Q[0])
    assert float(boxed.n_effective) == pytest.approx(reach * 10 / (2 * np.pi), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("length", [3, 6, 9])
@pytest.mark.parametrize("related", [0.0, 0.5, 0.8, 0.95])
def test_pulls_of_r_of_unrelated_and_related_curves(
    related: float, length: int
) -> None:
    """They are (r − ρ)/std over 600 pairs of smooth curves, of some 8, 10 or 20 points."""
    rng = np.random.default_rng(0)

    def smooth() -> np.ndarray:
        noise = rng.standard_normal((600, 128 + 20 * length))
        curves = gaussian_filter1d(noise, length, axis=-1)
        curves = curves[:, 10 * length : -10 * length]
        return np.asarray(curves / curves.std())

    coords = {
        "run": (np.arange(600), "1"),
        "Q": (np.linspace(2, 8.4, 128), "1/angstrom"),
    }
    curve = smooth()
    other = related * curve + np.sqrt(1 - related**2) * smooth()
    b = xbp.new_dataset("reduced_dos", other, units="1", coords=coords)
    s = xbp.new_dataset("static_structure_factor", curve, units="1", coords=coords)
    r = b.bp.scale_to_sq(s)
    pulls = (r.pearson_r - related) / r.pearson_r_std
    # r is skew about a large one, and its error smaller where r came out larger: the
    # mean is not 0, but not more than of a normal distribution are off to either side.
    assert abs(float(pulls.mean())) < 0.3
    assert 0.85 < float(pulls.std()) < 1.15
    known = pulls.dropna("run")
    for side in (-1, 1):
        assert (
            float((side * known > 1).mean()) < 0.159 + 3 * (0.159 * 0.841 / 600) ** 0.5
        )


def test_one_noisy_bin_is_not_the_highest_r(sq: xr.Dataset) -> None:
    E = np.arange(2.0, 30, 1.0)
    weight = np.exp(-(((E - 8) / 4) ** 2))
    other = np.cos(2 * Q)
    values = weight * sq.Sq.values[:, None] + 0.4 * other[:, None]
    values[:, 25] = sq.Sq.values
    coords = {"Q": (Q, "1/angstrom"), "E": (E, "meV")}
    b = xbp.new_dataset("reduced_dos", values, units="1", coords=coords)
    r = b.bp.correlation_map(sq)
    assert float(r.pearson_r.idxmax("E")) == E[25]
    assert float(r.highest_r_energy) == pytest.approx(8, abs=1)
    assert float(r.highest_r) == pytest.approx(float(r.pearson_r.sel(E=7)), abs=0.05)
    assert "highest r energy" in repr(r.bp)


def test_pulls_of_scale_and_offset(sq: xr.Dataset) -> None:
    draws = (
        2 * sq.Sq.values
        + 0.5
        + 0.05 * np.random.default_rng(5).standard_normal((300, Q.size))
    )
    b = xbp.new_dataset(
        "reduced_dos", draws, units="1", std=np.full(draws.shape, 0.05),
        coords={"run": (np.arange(300), "1"), "Q": (Q, "1/angstrom")},
    )  # fmt: skip
    fit = b.bp.scale_to_sq(sq, offset=True)
    for name, true in (("scale", 2), ("offset", 0.5)):
        pulls = (fit[name] - true) / fit[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.15, name
        assert abs(float(pulls.std()) - 1) < 0.15, name


def noisy_pair(sq: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    noise = 0.05 * np.random.default_rng(6).standard_normal((2, Q.size))
    cut = cut_of(2 * sq.Sq.values + 0.5 + noise[0], np.full(Q.size, 0.05))
    curve = xbp.new_dataset(
        "static_structure_factor", sq.Sq.values + 0.2 * noise[1], units="1",
        std=np.full(Q.size, 0.01), coords={"Q": (Q, "1/angstrom")},
    )  # fmt: skip
    return cut, curve


@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("shared", [1.0, 0.5])
def test_chi2_of_a_scale_by_hand(sq: xr.Dataset, offset: bool, shared: float) -> None:
    """Σ f r²/(σ_B² + A² σ_S²) over Σ f less the parameters; halves of bins have f = 1/2."""
    cut, curve = noisy_pair(sq)
    if shared < 1:
        cut, curve = (data.bp.rebin(Q="0.05 1/angstrom") for data in (cut, curve))
    fit = cut.bp.scale_to_sq(curve, offset=offset)
    A, c = float(fit.scale), float(fit.offset) if offset else 0.0
    left = (cut.B - A * curve.Sq - c).values
    variance = (cut.B_std**2 + A**2 * curve.Sq_std**2).values
    free = shared * left.size - 1 - offset
    chi2 = (shared * left**2 / variance).sum() / free
    assert float(fit.chi2_reduced) == pytest.approx(chi2, rel=1e-6)


def test_halves_of_bins_do_not_sharpen_a_scale_without_errors(sq: xr.Dataset) -> None:
    cut, curve = noisy_pair(sq)
    bare = cut.drop_vars("B_std")
    halves = bare.bp.rebin(Q="0.05 1/angstrom").bp.scale_to_sq(curve[["Sq"]])
    whole = bare.bp.scale_to_sq(curve[["Sq"]])
    assert float(halves.scale_std) == pytest.approx(float(whole.scale_std), rel=0.1)


def test_curves_that_overlap_by_less_than_a_bin_have_no_scale(sq: xr.Dataset) -> None:
    cut = cut_of(np.ones(Q.size))
    beyond = (
        sq[["Sq"]]
        .isel(Q=slice(None, None, 5))
        .assign_coords(Q=("Q", Q[::5] + 7.4, sq.Q.attrs))
    )
    with pytest.raises(RangeError, match="known at 2 Q"):
        cut.bp.scale_to_sq(beyond)
    with pytest.raises(RangeError, match="do not overlap"):
        cut.bp.scale_to_sq(beyond.assign_coords(Q=("Q", Q[::5] + 8, sq.Q.attrs)))
    below = sq[["Sq"]].assign_coords(Q=("Q", np.linspace(0, 1.55, Q.size), sq.Q.attrs))
    with pytest.raises(RangeError, match="known at 1 Q"):
        cut.bp.scale_to_sq(below)


def test_series_of_other_runs_are_not_paired(sq: xr.Dataset) -> None:
    runs = {"run": (np.arange(3), "1"), "Q": (Q, "1/angstrom")}
    b = xbp.new_dataset("reduced_dos", np.ones((3, Q.size)), units="1", coords=runs)
    s = xbp.new_dataset(
        "static_structure_factor", np.tile(sq.Sq.values, (3, 1)), units="1", coords=runs
    )
    assert b.bp.scale_to_sq(s).scale.dims == ("run",)
    with pytest.raises(XbpError, match="run"):
        b.bp.scale_to_sq(s.assign_coords(run=[5, 6, 7]))


def test_errors_common_to_all_Q_are_those_of_the_factor_alone() -> None:
    """B = A f(E) S(Q), too high or too low at all Q alike: pulls of A and of Eq. 2."""
    rng, Q, own, common = np.random.default_rng(5), np.linspace(2, 8, 30), 0.02, 0.1
    E, S = np.arange(0.5, 300), 1 + 0.5 * np.sin(2 * Q)
    off = rng.normal(0, own, (Q.size, E.size)) + rng.normal(0, common, E.size)
    B = xbp.new_dataset(
        "reduced_dos",
        3 * S[:, None] * (1 + off),
        std=3 * S[:, None] * np.hypot(own, common) * np.ones(E.size),
        units="1",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    ).assign_coords(
        Q_common=(
            "Q",
            np.full(Q.size, common**2 / (common**2 + own**2)),
            {"units": "1"},
        )
    )
    labels = {"units": "1", "quantity": "static_structure_factor"}
    sq = xr.DataArray(S, dims="Q", coords={"Q": B.Q}, attrs=labels)
    table = B.bp.scale_to_sq(sq)
    pulls = (table.scale - 3) / table.scale_std
    assert float(pulls.std()) == pytest.approx(1, abs=0.15)
    assert float(table.chi2_reduced.mean()) == pytest.approx(1, abs=0.1)
    fit = B.bp.fit_bqe(sq, "free")
    pulls = (fit.profile - 3) / fit.profile_std
    assert float(pulls.std()) == pytest.approx(1, abs=0.15)
    assert float(fit.noise_E.mean()) == pytest.approx(own, rel=0.05)
    assert float((fit.holds == 1).mean()) > 0.95
    # A deviation of twice the independent errors is seen, far below the total ones.
    bend = 1 + 0.04 * np.cos(3 * Q)[:, None]
    bent = B.assign(B=B.B.copy(data=B.B.values * bend))
    assert float((bent.bp.fit_bqe(sq, "free").holds == 1).mean()) < 0.1


def test_an_unknown_error_of_r_is_explained(sq: xr.Dataset) -> None:
    """Of six Q at most six are independent; from all of them the error is known."""
    cut = cut_of(sq.Sq.values + 0.2 * np.cos(9 * Q))
    few, whole = cut.bp.scale_to_sq(sq, Q_range=(3, 3.5)), cut.bp.scale_to_sq(sq)
    assert np.isnan(few.pearson_r_std)
    assert np.isfinite(few.pearson_r)
    assert np.isfinite(whole.pearson_r_std)
    for table, found in ((few, True), (whole, False)):
        codes = {one.code for one in table.bp.diagnostics()}
        assert ("r_error_unknown" in codes) is found


def test_eight_independent_points_give_r_an_error() -> None:
    found = correlation_error(np.array([0.5, 0.5]), np.array([8.0, 7.9]))
    assert np.isfinite(found).tolist() == [True, False]
