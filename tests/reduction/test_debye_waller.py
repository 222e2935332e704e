from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError, XbpError


@pytest.fixture
def line() -> xr.Dataset:
    return xbp.models.elastic_line(
        np.linspace(1, 8, 40),
        np.linspace(-4, 4, 41),
        u2="0.008 angstrom^2",
        resolution="1 meV",
    )


@pytest.mark.slow
def test_u2_pulls(line: xr.Dataset) -> None:
    many = xr.concat([line] * 100, "run")
    result = xbp.models.with_counting_noise(many, counts=2e4, rng=0).bp.debye_waller()
    assert (result.status == "ok").all()
    pulls = (result.u2 - 0.008) / result.u2_std
    assert abs(pulls.mean()) < 0.2
    assert abs(pulls.std() - 1) < 0.2


def test_u2_goes_straight_into_the_reduction(
    line: xr.Dataset, model: xr.Dataset
) -> None:
    u2 = line.bp.debye_waller().u2
    assert u2.attrs["units"] == "angstrom**2"
    reduced = model.S.drop_vars("u2").bp.to_bqe(u2=u2)
    xr.testing.assert_allclose(
        reduced, model.S.drop_vars("u2").bp.to_bqe(u2="0.008 angstrom^2")
    )


def test_units_of_q_do_not_matter(line: xr.Dataset) -> None:
    in_nm = line.bp.convert(Q="1/nm").bp.debye_waller()
    assert in_nm.u2.attrs["units"] == "nm**2"
    assert float(in_nm.u2) == pytest.approx(8e-5)


def test_bragg_peaks_are_no_decay(line: xr.Dataset) -> None:
    bragg = line.copy(deep=True)
    bragg["S"] = bragg.S * (1 + 30 * (np.arange(40) % 7 == 0)[:, None])
    bragg = bragg.assign(S=bragg.S.assign_attrs(line.S.attrs))
    result = xbp.models.with_counting_noise(bragg, counts=1e5, rng=0).bp.debye_waller()
    assert result.status == "not a Debye-Waller decay"
    assert np.isnan(result.u2)
    assert np.isnan(result.u2_std)


def test_a_line_that_rises_is_no_decay() -> None:
    Q, E = np.linspace(1, 8, 40), np.linspace(-4, 4, 41)
    rising = xbp.models.elastic_line(Q, E, u2="0 angstrom^2", resolution="1 meV")
    rising = rising.assign(
        S=(rising.S * np.exp(0.01 * rising.Q**2)).assign_attrs(rising.S.attrs)
    )
    assert rising.bp.debye_waller().status == "not a Debye-Waller decay"


@pytest.mark.slow
def test_a_line_that_widens_is_no_decay() -> None:
    """A liquid: Lorentzians of width D·Q² leave the window, and ln S_el falls nearly as a line in Q²."""
    Q, E = np.linspace(0.4, 2.2, 37), np.arange(-3, 3.01, 0.02)
    half = 0.06 + 0.15 * Q[:, None] ** 2
    S = half / (E**2 + half**2) / np.pi
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, std=0.01 * S, units="1/meV", coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        statistics="quantum",
    )  # fmt: skip
    result = data.bp.debye_waller()
    assert float(result.explained) > 0.85
    assert str(result.status.values) == "not a Debye-Waller decay"
    assert float(result.broadening) > 2
    assert [d.code for d in result.bp.diagnostics()] == ["quasi_elastic"]
    # The limits are arguments.
    wider = data.bp.debye_waller(most_broadening=9)
    assert str(wider.status.values) == "ok"
    assert [d.code for d in wider.bp.diagnostics()] == ["poor_fit"]
    strict = {"most_broadening": 9, "most_chi2": 0, "least_explained": 1}
    result = data.bp.debye_waller(**strict)
    assert [d.code for d in result.bp.diagnostics()] == ["coherent_elastic"]
    with pytest.raises(XbpError, match="most_broadening"):
        data.bp.debye_waller(most_broadening=-1)


@pytest.mark.slow
def test_vanadium_is_a_decay_and_a_liquid_is_none(shared_data: Path) -> None:
    vanadium = xbp.open_dataset(
        shared_data / "ins" / "V_ARCS_Ei120_iqe.h5"
    ).bp.debye_waller()
    assert str(vanadium.status.values) == "ok"
    assert float(vanadium.u2) == pytest.approx(0.0071, abs=1e-4)
    benzene = xbp.open_dataset(
        shared_data / "ins" / "benzene_290_360_inc.nxspe"
    ).bp.angle_to_Q("0.05 1/angstrom")
    assert str(benzene.bp.debye_waller().status.values) == "not a Debye-Waller decay"


def test_too_few_points_and_samples(line: xr.Dataset) -> None:
    assert line.isel(Q=slice(0, 2)).bp.debye_waller().status == "too few points"
    holes = line.copy(deep=True)
    holes.S[3:] = np.nan
    holes.S[2, 20] = np.nan
    both = xr.concat([line, holes], dim="sample").bp.debye_waller()
    assert both.status.values.tolist() == ["ok", "too few points"]
    assert float(both.u2[0]) == pytest.approx(0.008)


def test_the_window_is_chosen_or_given(line: xr.Dataset) -> None:
    assert line.bp.debye_waller().attrs["elastic_line"] == "-0.5 to 0.5 meV"
    assert (
        line.bp.debye_waller(E_range=(-1.1, 1.1)).attrs["elastic_line"]
        == "-1.1 to 1.1 meV"
    )
    with pytest.raises(RangeError, match="no elastic line"):
        line.sel(E=slice(1, None)).bp.debye_waller()
    with pytest.raises(RangeError, match="before it was cut"):
        line.bp.cut_E(0, width=1).bp.debye_waller()


@pytest.mark.parametrize("size", [1e300, 1e308])
@pytest.mark.parametrize("known", [True, False])
def test_numbers_whose_squares_overflow_are_no_data(size: float, known: bool) -> None:
    line = xbp.models.elastic_line(np.linspace(1, 8, 40), np.linspace(-4, 4, 41), u2="0.008 angstrom^2",
                                   resolution="1 meV")  # fmt: skip
    with np.errstate(over="ignore"):
        S = (line.S * size).assign_attrs(line.S.attrs)
    data = S.to_dataset(name="S")
    if known:
        data["S_std"] = (line.S * size * 0.01).assign_attrs(units=S.attrs["units"])
    with pytest.raises(RangeError, match="no elastic line"):
        data.bp.debye_waller()
    one = line.S.copy()
    one[3, 20] = size
    mended = line.assign(S=one).bp.debye_waller()
    assert float(mended.u2) == pytest.approx(0.008, rel=1e-3)
    assert int(mended.n_points) == 39


@pytest.mark.slow
def test_the_error_of_the_window_is_what_other_windows_say(line: xr.Dataset) -> None:
    """Phonons under the line, of the shape Q² exp(-Q²u²): the wider the window the lower u², and most so at low Q."""
    exact = line.bp.debye_waller()
    assert float(exact.u2_systematic) == pytest.approx(0, abs=1e-12)
    assert exact.u2_systematic.attrs["units"] == "angstrom**2"
    phonons = 0.0005 * line.Q**2 * np.exp(-0.008 * line.Q**2) * (1 + 0 * line.E)
    spoiled = line.assign(S=(line.S + phonons).assign_attrs(line.S.attrs))
    found = spoiled.bp.debye_waller(E_range=(-1.05, 1.05))
    by_window = dict(
        zip(
            found.window.values.tolist(),
            found.u2_by_window.values.tolist(),
            strict=True,
        )
    )
    half = spoiled.bp.debye_waller(E_range=(-0.525, 0.525))
    twice = spoiled.bp.debye_waller(E_range=(-2.25, 2.25))
    lower, upper = (
        spoiled.bp.debye_waller(E_range=(-1.05, 1.05), Q_range=Q)
        for Q in ((1, 4.5), (4.5, 8))
    )
    expected = [float(other.u2) for other in (found, half, twice, lower, upper)]
    np.testing.assert_allclose(list(by_window.values()), expected, rtol=1e-9)
    assert expected[2] < expected[0] < expected[1] < 0.008
    assert float(found.u2_systematic) == pytest.approx(
        (max(expected) - min(expected)) / 2
    )
    assert abs(float(half.u2) - float(found.u2)) < 2 * float(found.u2_systematic)


def test_the_systematic_error_is_printed(line: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(line, counts=2e6, rng=0)
    table = noisy.bp.debye_waller()
    spoiled = table.assign(u2_systematic=table.u2_systematic.copy(data=0.0011))
    assert "± 0.0011 (systematic) angstrom**2" in repr(spoiled.bp)


def test_an_error_of_the_window_above_u2_is_a_warning(line: xr.Dataset) -> None:
    assert not line.bp.debye_waller().bp.diagnostics()
    part = line.isel(Q=slice(0, 12))  # to 3 1/angstrom, where it falls by 7 %
    noise = xr.DataArray(np.random.default_rng(2).normal(1, 0.03, 12), dims="Q")
    part = part.assign(S=(part.S * noise).assign_attrs(part.S.attrs))
    part["S_std"] = (0.1 * part.S).assign_attrs(part.S.attrs)
    found = part.bp.debye_waller()
    assert str(found.status.values) == "ok"
    assert float(found.u2_systematic) > float(found.u2) > 0
    assert [one.code for one in found.bp.diagnostics()] == ["u2_of_window"]


def test_a_decay_that_is_none_has_no_error_of_the_window() -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.debye_waller()
    assert np.isnan(float(table.u2_systematic))
    assert table.u2_by_window.isnull().all()


@pytest.mark.slow
def test_a_liquid_is_told_what_to_give(line: xr.Dataset, shared_data: Path) -> None:
    """Quasi-elastic lines and Bragg peaks are both no decay, and have other mends."""
    for name in ("Rb_liq_tot", "Ge_liq_coh"):
        liquid = xbp.open_dataset(shared_data / "sqw" / f"{name}.sqw")
        (doubt,) = liquid.bp.debye_waller().bp.diagnostics()
        assert doubt.code == "quasi_elastic"
        assert "u2='0 angstrom^2' for a liquid" in doubt.fix
        assert "u2='0 angstrom^2' for a liquid" in repr(liquid.bp)
        B = liquid.bp.to_bqe(u2="0 angstrom^2")
        assert float(B.u2) == 0
    rubidium = xbp.open_dataset(shared_data / "sqw" / "Rb_liq_tot.sqw")
    lost = rubidium.bp.to_vibrational_dos(composition="Rb")
    assert any("liquid" in doubt.fix for doubt in lost.bp.diagnostics())
    with pytest.raises(QuantityError, match="for a liquid"):
        rubidium.bp.to_bqe()
    bragg = line.assign(
        S=(line.S * (1 + 30 * (np.arange(40) % 7 == 0))[:, None]).assign_attrs(
            line.S.attrs
        )
    )
    codes = {d.code for d in bragg.bp.debye_waller().bp.diagnostics()}
    assert "coherent_elastic" in codes
    assert "quasi_elastic" not in codes


def test_no_density_of_states_without_a_displacement(line: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="u2 = 0"):
        line.drop_vars("u2", errors="ignore").bp.to_vibrational_dos(
            "300 K", u2="0 angstrom^2"
        )


def test_one_window_says_nothing_of_others() -> None:
    """Of three Q and one bin of E there is no other window: no error by the window, and not 0."""
    Q = np.array([1.0, 3, 6])
    S = np.exp(-(Q**2) * 0.01)[:, np.newaxis]
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/meV", std=S / 1000, coords={"Q": (Q, "1/angstrom"), "E": ([0.0], "meV")},
        edges={"E": [-1, 1]}, temperature="300 K", statistics="quantum",
    )  # fmt: skip
    result = data.bp.debye_waller(E_range=("-1 meV", "1 meV"))
    assert float(result.u2) == pytest.approx(0.01)
    assert np.isnan(result.u2_systematic)
    assert "systematic" not in repr(result.bp)


@pytest.mark.parametrize("known", [True, False])
def test_the_fit_is_least_squares(line: xr.Dataset, known: bool) -> None:
    noisy = xbp.models.with_counting_noise(line, counts=1e4, rng=2)
    result = (noisy if known else noisy[["S"]]).bp.debye_waller()
    x, level = line.Q.values**2, result.elastic_intensity.values
    if not known:
        (slope, _), covariance = np.polyfit(x, np.log(level), 1, cov=True)
        assert float(result.u2) == pytest.approx(-slope, rel=1e-9)
        assert float(result.u2_std) == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-9)
        return
    (_, u2), covariance = scipy.optimize.curve_fit(
        lambda x, a, u2: a * np.exp(-x * u2), x, level, p0=(level[0], 0.01),
        sigma=result.elastic_intensity_std.values, absolute_sigma=True,
    )  # fmt: skip
    std = covariance[1, 1] ** 0.5
    assert float(result.u2) == pytest.approx(u2, abs=0.05 * std)
    assert float(result.u2_std) == pytest.approx(std, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("counts_at_most", [10, 20, 50])
@pytest.mark.parametrize("of_the_mean", [True, False])
def test_pulls_of_u2(of_the_mean: bool, counts_at_most: int) -> None:
    """Few counts, σ being √n of the mean or of each count: both are in use."""
    Q, true = np.linspace(1, 8, 40), 0.008
    mean = counts_at_most * np.exp(-(Q**2) * true) * np.ones((400, 1, 1))
    counts = np.random.default_rng(3).poisson(mean).astype(float).transpose(0, 2, 1)
    std = np.sqrt(mean if of_the_mean else counts.transpose(0, 2, 1)).transpose(0, 2, 1)
    data = xbp.new_dataset(
        "dynamic_structure_factor", counts, std=std, units="1/meV", dims=("run", "Q", "E"),
        coords={"run": (np.arange(400.0), "1"), "Q": (Q, "1/angstrom"), "E": ([0.0], "meV")},
        edges={"E": [-1, 1]}, temperature="300 K", statistics="quantum",
    )  # fmt: skip
    found = data.bp.debye_waller(E_range=("-1 meV", "1 meV"))
    pulls = ((found.u2 - true) / found.u2_std).values
    assert abs(np.nanmean(pulls)) < 0.15
    assert np.nanstd(pulls) == pytest.approx(1, abs=0.15)


def test_tiny_numbers_do_not_warn(line: xr.Dataset) -> None:
    data = line.assign(S=(line.S * 1e-300).assign_attrs(line.S.attrs))[["S"]]
    assert float(data.bp.debye_waller().u2) == pytest.approx(0.008)


def by_hand(S: np.ndarray, Q: np.ndarray, bins: np.ndarray) -> float:
    """Return u² of bins of one width: minus the slope of ln ΣS over Q²."""
    return -np.polyfit(Q**2, np.log(S[:, bins].sum(axis=1)), 1)[0]


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_windows_are_half_and_twice_as_wide_and_halves_of_Q(offset: float) -> None:
    """Where u² depends on E, each window has the u² of its own bins."""
    Q, E = np.linspace(1, 4, 9), np.arange(-6.0, 7.0) + offset
    away = abs(E - offset)
    S = np.exp(-(Q[:, None] ** 2) * (0.01 + 0.004 * away) - away / 4)
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/meV",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")}, statistics="quantum",
    )  # fmt: skip
    found = data.bp.debye_waller(E_range=(offset - 2.5, offset + 2.5)).u2_by_window
    used = away <= 2.5
    # Bins whose centre is in an interval of half, and of twice, 5 meV about the middle.
    np.testing.assert_allclose(
        found,
        [
            by_hand(S, Q, used),
            by_hand(S, Q, away <= 1.25),
            by_hand(S, Q, away <= 5),
            by_hand(S[:4], Q[:4], used),
            by_hand(S[4:], Q[4:], used),
        ],
        rtol=1e-9,
    )
    low, high = float(found.min()), float(found.max())
    systematic = data.bp.debye_waller(
        E_range=(offset - 2.5, offset + 2.5)
    ).u2_systematic
    assert float(systematic) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("step", [0.1, 0.3, 0.7, 1.1])
def test_half_a_window_of_two_bins_is_both(step: float) -> None:
    """Neither is nearer to the middle, whatever the rounding."""
    Q, E = np.linspace(1, 4, 9), step * (np.arange(-9, 11) - 0.5)
    data = xbp.models.elastic_line(
        Q, E, u2="0.01 angstrom^2", resolution=f"{3 * step} meV"
    )
    found = data.bp.debye_waller(E_range=(-step, step)).u2_by_window
    assert float(found[1]) == pytest.approx(0.01)
    assert float(found[0]) == pytest.approx(0.01)


@pytest.mark.parametrize("last", [4, 5])
def test_broadening_compares_the_upper_half_of_what_is_used_with_the_lower_of_all_below(
    last: int,
) -> None:
    """Triangles that widen from row to row, of which rows beyond Q_range are not seen."""
    Q, E = np.linspace(1.0, 3.0, 11), np.arange(-8, 8.25, 0.25)
    width = 2 + 0.05 * np.arange(11)
    S = np.maximum(1 - abs(E) / width[:, None], 0) * np.exp(-0.01 * Q[:, None] ** 2)
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/meV",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")}, statistics="quantum",
    )  # fmt: skip

    def fwhm(rows: slice) -> float:
        right = S[rows].mean(axis=0)[E >= 0]
        return 2 * np.interp(-right[0] / 2, -right, E[E >= 0])

    used = data.bp.debye_waller(
        E_range=(-1, 1), Q_range=(float(Q[1]) - 0.01, float(Q[last]) + 0.01)
    )
    assert int(used.n_points) == last
    below, upper = slice(0, (last + 1) // 2), slice(1 + last // 2, last + 1)
    assert float(used.broadening) == pytest.approx(fwhm(upper) / fwhm(below))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("first", [0.0, 0.25])
def test_half_a_line_is_a_line(side: int, first: float) -> None:
    """Data of one sign of E that reach to 0 hold the elastic line."""
    E = np.arange(first, 6, 0.5)
    line = xbp.models.elastic_line(
        np.linspace(1, 8, 12), np.sort(side * E), u2="0.008 angstrom^2", resolution=2
    )
    result = line.bp.debye_waller()
    assert result.status == "ok"
    assert float(result.u2) == pytest.approx(0.008)
    far = line.isel(E=slice(4, None)) if side > 0 else line.isel(E=slice(None, -4))
    with pytest.raises(RangeError, match="no elastic line"):
        far.bp.debye_waller()


def test_the_intensity_of_a_line_is_an_integral_over_E() -> None:
    E = np.linspace(-4, 4, 41)
    line = xbp.models.elastic_line(np.linspace(1, 8, 10), E, u2=0.008, resolution=1)
    for data in (line, line.bp.convert(E="THz")):
        found = data.bp.debye_waller(E_range=("-4 meV", "4 meV")).elastic_intensity
        assert found.attrs["units"] == "1"
        np.testing.assert_allclose(found, np.exp(-0.008 * line.Q**2), rtol=1e-3)


@pytest.mark.slow
def test_u2_of_dask_is_that_of_numbers() -> None:
    E = np.linspace(-4, 4, 41)
    line = xbp.models.elastic_line(np.linspace(1, 8, 10), E, u2=0.008, resolution=1)
    noisy = xbp.models.with_counting_noise(line, counts=1e4, rng=1)
    lazy = noisy.chunk({"Q": 4}).bp.debye_waller()
    xr.testing.assert_allclose(lazy.compute(), noisy.bp.debye_waller())


def coherent(u2: float, T: int) -> xr.Dataset:
    """An elastic line that follows S(Q)."""
    Q, E = np.linspace(1, 8, 60), np.linspace(-4, 4, 41)
    line = xbp.models.elastic_line(Q, E, u2=u2, resolution="1 meV", scale=1e3)
    sq = xr.DataArray(1 + 0.9 * np.cos(3 * Q) * np.exp(-Q / 4), dims="Q")
    S = (line.S * sq.values[:, np.newaxis]).assign_attrs(line.S.attrs)
    return S.assign_coords(temperature=((), T, {"units": "K"})).to_dataset()


def test_of_a_glass_the_line_of_the_cold_sample_cancels_the_structure() -> None:
    cold, hot = coherent(0.002, 10), coherent(0.009, 300)
    alone = hot.bp.debye_waller()
    assert alone.status == "not a Debye-Waller decay"
    assert "reference=" in alone.bp.diagnostics()[0].fix
    found = hot.bp.debye_waller(reference=cold)
    assert float(found.u2) == pytest.approx(0.007, rel=1e-9)
    assert found.elastic_intensity.attrs["units"] == "1"
    assert found.u2.attrs["long_name"] == "u2 per axis above that of the reference"
    assert alone.u2.attrs["long_name"] == "u2 per axis"
    # A series over temperature, beside its first.
    warm = coherent(0.005, 150)
    series = xr.concat([cold, warm, hot], "temperature", combine_attrs="override")
    each = series.bp.debye_waller(reference=series.isel(temperature=0))
    np.testing.assert_allclose(each.u2, [np.nan, 0.003, 0.007], rtol=1e-9)
    with pytest.raises(CoordinateError, match="'Q' grids do not match"):
        hot.bp.debye_waller(reference=cold.isel(Q=slice(3, None)))
    with pytest.raises(CoordinateError, match="dimension 'temperature'"):
        hot.bp.debye_waller(reference=series)


def test_a_difference_is_refused_where_all_of_u2_is_needed(tmp_path: Path) -> None:
    """0.007 above the cold sample passed for the whole u2, which is 0.009."""
    cold, hot = coherent(0.002, 10), coherent(0.009, 300)
    added = hot.bp.debye_waller(reference=cold)
    added.to_netcdf(tmp_path / "added.nc")
    with xr.open_dataset(tmp_path / "added.nc") as read:
        again = read.u2.load()
    hot.S.attrs["statistics"] = "quantum"
    carried = hot.assign_coords(u2=added.u2)
    quantified = hot.pint.quantify() if hasattr(hot, "pint") else hot
    calls: list[Callable[[], Any]] = [
        lambda: hot.bp.to_bqe(u2=added.u2),
        lambda: hot.bp.to_gdos(u2=again),
        lambda: quantified.bp.to_gdos(u2=added.u2),
        lambda: carried.bp.to_bqe(),
        lambda: added.bp.debye_temperature(T="300 K", mass="73 u"),
        lambda: xbp.models.elastic_line(hot.Q, hot.E, u2=added.u2, resolution="1 meV"),
    ]
    for call in calls:
        with pytest.raises(QuantityError, match="relative to the reference at 10 K"):
            call()
    whole = (added.u2 + 0.002).drop_attrs()
    right = hot.bp.to_gdos(u2="0.009 angstrom^2")
    np.testing.assert_allclose(hot.bp.to_gdos(u2=whole).G, right.G)
    hot.bp.to_gdos(u2="0.009 angstrom^2", u2_std=added.u2_systematic)  # an error is one
    alone = coherent(0.009, 300).bp.debye_waller()
    assert "relative_to" not in alone.u2.attrs


@pytest.mark.slow
def test_the_error_of_u2_over_a_reference_contains_that_of_the_reference() -> None:
    cold, hot = (
        xbp.models.with_counting_noise(
            xr.concat([coherent(u2, T)] * 40, "run"), counts=3e3, rng=T
        )
        for u2, T in ((0.002, 10), (0.009, 300))
    )
    found = hot.bp.debye_waller(reference=cold)
    pulls = (found.u2 - 0.007) / found.u2_std
    assert float(pulls.std()) == pytest.approx(1, abs=0.3)
    assert abs(float(pulls.mean())) < 0.5
    one = dict.fromkeys(["run"], 0)
    bare = hot.isel(one).bp.debye_waller(reference=cold.isel(one).S)  # no errors known
    assert float(bare.u2_std) < 0.8 * float(found.u2_std[0])


def test_a_reference_without_a_line_at_one_Q_leaves_it_out() -> None:
    cold, hot = coherent(0.002, 10), coherent(0.009, 300)
    cold["S"] = cold.S.copy(data=np.where(cold.Q.values[:, None] < 1.05, -1.0, cold.S))
    found = hot.bp.debye_waller(reference=cold)
    assert float(found.u2) == pytest.approx(0.007, rel=1e-9)
    assert int(found.n_points) == 59
    assert float(found.Q_low) == pytest.approx(float(hot.Q[1]))
