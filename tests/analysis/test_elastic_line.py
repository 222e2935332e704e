"""Place and width of the elastic line, E moved to it, and the mask that takes both."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.elastic_line import _windows
from xbp.errors import QuantityError, RangeError, UnitsError, XbpError

Q, E = np.linspace(1, 8, 40), np.linspace(-4, 4, 41)


@pytest.fixture
def line() -> xr.Dataset:
    """A line of FWHM 1 meV at 0.3 meV."""
    at_zero = xbp.models.elastic_line(
        Q, E - 0.3, u2="0.008 angstrom^2", resolution="1 meV"
    )
    return at_zero.assign_coords(E=("E", E, at_zero.E.attrs))


def test_place_width_and_height(line: xr.Dataset) -> None:
    each = line.bp.fit_elastic_line()
    assert each.energy.dims == ("Q",)
    assert (each.status == "ok").all()
    np.testing.assert_allclose(each.energy, 0.3, atol=1e-9)
    np.testing.assert_allclose(each.fwhm, 1, rtol=1e-9)
    top = np.sqrt(4 * np.log(2) / np.pi) * np.exp(
        -0.008 * Q**2
    )  # of a line of area exp(-Q²u²)
    np.testing.assert_allclose(each.height, top, rtol=1e-9)
    np.testing.assert_allclose(each.background, 0, atol=1e-12)
    one = (
        (line + 0.05)
        .assign(S=(line.S + 0.05).assign_attrs(line.S.attrs))
        .bp.fit_elastic_line(Q_range=(2, 6))
    )
    assert one.energy.ndim == 0
    assert float(one.fwhm) == pytest.approx(1)
    assert float(one.background) == pytest.approx(0.05)
    assert [
        one[n].attrs["units"] for n in ("energy", "fwhm", "height", "background")
    ] == ["meV"] * 2 + ["1/meV"] * 2
    assert "cut_Q" in one.attrs["history"]
    assert "energy 0.3 meV, fwhm 1 meV" in repr(one.bp)


@pytest.mark.slow
def test_units_and_samples(line: xr.Dataset) -> None:
    in_thz = line.bp.convert(E="THz").bp.fit_elastic_line(Q_range=(2, 6))
    assert in_thz.fwhm.attrs["units"] == "THz"
    assert float(in_thz.fwhm) == pytest.approx(0.2418, rel=1e-3)
    nothing = line.assign(S=(line.S * np.nan).assign_attrs(line.S.attrs))
    two = (
        xr.concat([line, nothing], dim="sample").bp.cut_Q((2, 6)).bp.fit_elastic_line()
    )
    assert two.status.values.tolist() == ["ok", "no data"]
    assert two.fwhm.isnull().values.tolist() == [False, True]
    lazy = xbp.models.with_counting_noise(line, counts=1e5, rng=0)
    xr.testing.assert_allclose(
        lazy.chunk({"Q": 7}).bp.fit_elastic_line().compute(), lazy.bp.fit_elastic_line()
    )


@pytest.mark.slow
def test_the_errors_are_those_of_counting_where_the_line_is_one(
    line: xr.Dataset,
) -> None:
    many = xr.concat([line] * 150, "run")
    noisy = xbp.models.with_counting_noise(many, counts=1e4, rng=0)
    table = noisy.bp.fit_elastic_line(Q_range=(2, 6))
    for name, true in (("energy", 0.3), ("fwhm", 1.0)):
        pulls = (table[name] - true) / table[f"{name}_std"]
        assert pulls.sizes == {"run": 150}
        assert abs(float(pulls.mean())) < 0.3
        assert 0.75 < float(pulls.std()) < 1.25


def test_feet_do_not_decide(line: xr.Dataset) -> None:
    """A tail on one side, and errors as small as the counts there: half height, not the foot, says where the line is."""
    tail = 0.05 * np.exp(-((E + 1.5) ** 2) / 2)
    skewed = line.assign(S=(line.S + tail).assign_attrs(line.S.attrs))
    skewed["S_std"] = (1e-3 * np.sqrt(skewed.S)).assign_attrs(skewed.S.attrs)
    table = skewed.bp.fit_elastic_line(Q_range=(2, 6))
    assert float(table.chi2_reduced) > 10
    # The same curve with the weights of counting is further off.
    from xbp.analysis.elastic_line import _line

    E_range = (float(table.E_low), float(table.E_high))
    start = {"energy": 0.0, "height": 1.0, "fwhm": 1.0, "background": 0.0}
    weighted = skewed.bp.cut_Q((2, 6)).bp.fit(_line, x_range=E_range, start=start)
    assert abs(float(table.energy) - 0.3) < 0.7 * abs(float(weighted.energy) - 0.3)
    assert abs(float(table.energy) - 0.3) < 3 * float(table.energy_std)
    assert abs(float(weighted.energy) - 0.3) < 3 * float(weighted.energy_std)


def test_half_a_line_is_none(line: xr.Dataset) -> None:
    half = line.sel(E=slice(0.3, None)).bp.fit_elastic_line(
        E_range=(0, 3), Q_range=(2, 6)
    )
    assert str(half.status.values) == "maximum at edge"
    assert np.isnan(float(half.fwhm))
    assert np.isnan(float(half.fwhm_std))
    assert "maximum at edge (E 0.4 to 3 meV, 14 points)" in repr(half.bp)
    assert "cut off at the beginning of the data, 0.4 meV" in repr(half.bp)
    for E_range, edge in (((0.4, 3), "beginning"), ((-3, 0.4), "end")):
        table = line.bp.fit_elastic_line(E_range=E_range, Q_range=(2, 6))
        assert f"cut off at the {edge} of E_range, 0.4 meV" in repr(table.bp)
    with pytest.raises(RangeError, match="no elastic line"):
        line.sel(E=slice(1, None)).bp.fit_elastic_line()
    with pytest.raises(RangeError, match="dimension 'E'"):
        line.bp.cut_E(0, width=1).bp.fit_elastic_line()
    with pytest.raises(XbpError):
        line.bp.to_gdos(T="300 K", u2="0.008 angstrom^2").bp.fit_elastic_line()


def test_the_mask_takes_it_as_it_is(line: xr.Dataset) -> None:
    table = line.bp.fit_elastic_line(Q_range=(2, 6))
    masked = line.bp.mask_elastic(table.fwhm, widths=1, centre=table.energy)
    kept = masked.S.isel(Q=0).dropna("E").E.values
    assert kept[kept < 0.3].max() == pytest.approx(-0.8)
    assert kept[kept > 0.3].min() == pytest.approx(1.4)
    each = line.bp.fit_elastic_line()
    of_each = line.bp.mask_elastic(
        each.fwhm, widths=1, centre=each.energy + 0.4 * (each.Q > 5)
    )
    np.testing.assert_array_equal(of_each.resolution_fwhm, each.fwhm)
    bare = (one.S.drop_vars("resolution_fwhm") for one in (masked, of_each))
    one, other = (data.sel(Q=slice(None, 5)) for data in bare)
    assert one.identical(other.assign_attrs(one.attrs))
    moved = of_each.S.isel(Q=-1).dropna("E").E.values
    assert moved[moved > 0.3].min() == pytest.approx(1.8)
    assert (
        "meV"
        in json.loads(of_each.S.attrs["history"].splitlines()[-1])["arguments"][
            "centre"
        ]
    )
    with pytest.raises(QuantityError, match="not finite in 1 of 40"):
        line.bp.mask_elastic(each.fwhm.where(each.Q > 1))
    with pytest.raises(QuantityError, match="centre has dimensions"):
        line.bp.mask_elastic("1 meV", centre=xr.DataArray([0.1, 0.2], dims="sample"))


def test_e_moves_to_the_line(line: xr.Dataset) -> None:
    data = (
        line.bp.rebin(E=np.arange(-3.9, 4, 0.2))
        if "E_bnds" not in line.coords
        else line
    )
    table = data.bp.fit_elastic_line(Q_range=(2, 6))
    moved = data.bp.shift_E(table.energy)
    np.testing.assert_allclose(moved.E, data.E - float(table.energy))
    np.testing.assert_allclose(moved.E_bnds, data.E_bnds - float(table.energy))
    np.testing.assert_array_equal(moved.S.values, data.S.values)
    assert moved.E.attrs == data.E.attrs
    assert float(moved.bp.fit_elastic_line(Q_range=(2, 6)).energy) == pytest.approx(
        0, abs=1e-9
    )
    assert '"by": "0.3' in moved.S.attrs["history"].splitlines()[-1]
    back = (
        moved.bp.shift_E(-table.energy)
        .bp.convert(E="THz")
        .bp.shift_E("0.3 meV")
        .bp.convert(E="meV")
    )
    np.testing.assert_allclose(back.E, data.E - 0.3, atol=1e-9)
    np.testing.assert_allclose(line.S.bp.shift_E(0.3).E, E - 0.3)
    assert "E_bnds" not in line.bp.shift_E(0.3).coords  # points remain points
    noisy = xbp.models.with_counting_noise(line, counts=1e5, rng=0)
    np.testing.assert_array_equal(
        noisy.bp.shift_E(0.3).S_std.values, noisy.S_std.values
    )


def test_what_does_not_move(line: xr.Dataset) -> None:
    b = line.bp.to_bqe(T="300 K", u2="0.008 angstrom^2")
    g = line.bp.to_gdos(T="300 K", u2="0.008 angstrom^2")
    for derived in (b, g):
        with pytest.raises(QuantityError, match="used to derive it"):
            derived.bp.shift_E("0.3 meV")
    for taken in (line.bp.fold("300 K"), b.bp.to_sqe()):
        with pytest.raises(QuantityError, match="used by"):
            taken.bp.shift_E("0.3 meV")
    with pytest.raises(UnitsError, match="single value"):
        line.bp.shift_E(line.bp.fit_elastic_line().energy)
    with pytest.raises(RangeError, match="beyond the data"):
        line.bp.shift_E("300 meV")
    with pytest.raises(RangeError, match="dimension 'E'"):
        line.bp.cut_E(0, width=1).bp.shift_E("0.3 meV")
    with pytest.raises(UnitsError):
        line.bp.shift_E("0.3 1/angstrom")


@pytest.mark.slow
def test_vanadium_and_aluminium_stand_beside_zero(shared_data: Path) -> None:
    """ARCS: +0.5 meV of 4.3, and +0.4 of 3.75, whatever the range; liquids given from E = 0 on hold no whole line."""
    for name, at, wide in (("V_ARCS_Ei120", 0.55, 4.3), ("Al_ARCS_Ei80", 0.4, 3.75)):
        data = xbp.open_dataset(shared_data / "ins" / f"{name}_iqe.h5")
        for E_range in (None, (-6, 6), (-8, 8)):
            table = data.bp.fit_elastic_line(E_range, Q_range=(4, 10))
            assert float(table.energy) == pytest.approx(at, abs=0.05)
            assert float(table.fwhm) == pytest.approx(wide, abs=0.25)
            assert float(table.energy_std) > 0.05
        moved = data.bp.shift_E(table.energy).bp.fit_elastic_line(Q_range=(4, 10))
        assert abs(float(moved.energy)) < 0.03
    for name in ("Rb_liq_tot", "Ge_liq_coh"):
        liquid = xbp.open_dataset(shared_data / "sqw" / f"{name}.sqw")
        assert (
            str(liquid.bp.fit_elastic_line(Q_range=(1, 4)).status.values)
            == "maximum at edge"
        )


@pytest.mark.slow
def test_a_line_that_widens_is_fitted_over_its_own_width() -> None:
    """At each Q as alone: the window of the mean would make a plateau of the widths."""
    Q, E = np.linspace(0.3, 2, 12), np.linspace(-3, 3, 301)
    sigma = (0.05 + 0.15 * Q**2)[:, np.newaxis]
    S = np.exp(-(E**2) / (2 * sigma**2)) / sigma
    liquid = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1", coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        temperature="300 K", statistics="quantum",
    )  # fmt: skip
    table = liquid.bp.fit_elastic_line()
    np.testing.assert_allclose(table.fwhm, 2.3548 * sigma[:, 0], rtol=1e-3)
    xr.testing.assert_allclose(
        table.fwhm, liquid.chunk(Q=5).bp.fit_elastic_line().fwhm.compute()
    )
    assert "  fwhm: " in repr(table.bp)
    wide = xbp.models.with_counting_noise(liquid, counts=1e6, rng=1)
    spoiled = wide.bp.debye_waller(Q_range=(1.5, 2))
    assert repr(spoiled.bp).startswith("debye waller: not a Debye-Waller decay")


def test_poor_fits_of_many_are_counted(line: xr.Dataset) -> None:
    skewed = line.assign(
        S=(line.S * np.exp(0.4 * line.E) ** 2).assign_attrs(line.S.attrs)
    )
    skewed["S_std"] = (1e-4 * skewed.S.max() + 0 * skewed.S).assign_attrs(
        units=line.S.attrs["units"]
    )
    skewed["S"] = (
        skewed.S + 0.05 * float(skewed.S.max()) * (abs(skewed.E - 1) < 0.3)
    ).assign_attrs(line.S.attrs)
    table = skewed.bp.fit_elastic_line()
    assert f"poor fit in {int((table.chi2_reduced > 10).sum())} of" in repr(table.bp)
    assert int((table.chi2_reduced > 10).sum()) > 5


@pytest.mark.parametrize("shared", [1, 2])
def test_chi_squared_is_per_degree_of_freedom(shared: int) -> None:
    """Σ r²/σ² over n − 4, of independent bins whatever their number of parts."""
    E = np.linspace(-3, 3, 20)
    noise = np.random.default_rng(2).standard_normal(E.size)
    shape = np.exp(-4 * np.log(2) * (E / 1.5) ** 2)
    S = shape + 0.01 * noise
    one = xbp.new_dataset(
        "dynamic_structure_factor",
        S,
        statistics="unknown",
        units="1/meV",
        std=np.full(E.size, 0.01),
        coords={"E": (E, "meV")},
    )
    part = ("E", np.full(E.size, 1 / shared), {"units": "1"})
    one = one.assign_coords(E_independence=part)
    table = one.bp.fit_elastic_line(E_range=(-3, 3))
    h, e, w, b = (
        float(table[name]) for name in ("height", "energy", "fwhm", "background")
    )
    E, S = (a.reshape(-1, shared).mean(axis=1) for a in (E, S))
    left = (S - h * np.exp(-4 * np.log(2) * ((E - e) / w) ** 2) - b) / 0.01
    assert float(table.chi2_reduced) == pytest.approx(
        float(left @ left) / (20 / shared - 4), rel=1e-6
    )


def test_the_energies_fitted_lie_about_the_line_of_each_spectrum() -> None:
    E = np.arange(-5.0, 5.01, 0.1)
    S = np.stack([np.exp(-4 * np.log(2) * (E - at) ** 2) for at in (-0.2, 0.2)])
    windows = _windows(xr.DataArray(S, dims=("Q", "E")), E, 0.0, 1.0).values
    for window, at in zip(windows, (-0.2, 0.2), strict=True):
        assert E[window].mean() == pytest.approx(at, abs=0.01)


@pytest.mark.parametrize("width", ["0.1 meV", "0.05 meV"])
def test_finer_bins_neither_broaden_a_line_nor_sharpen_its_error(width: str) -> None:
    """The range ends within a bin, whose parts may not be put together with the next."""
    x = np.linspace(-3, 3, 31)
    S = np.exp(-4 * np.log(2) * ((x - 0.1) / 1.4) ** 2) + 0.1
    S = S + 0.01 * np.random.default_rng(5).standard_normal((100, x.size))
    line = xbp.new_dataset(
        "dynamic_structure_factor", S, statistics="unknown", units="1/meV", std=np.full(S.shape, 0.01),
        coords={"run": (np.arange(100), "1"), "E": (x, "meV")}, edges={"E": np.linspace(-3.1, 3.1, 32)},
    )  # fmt: skip
    whole = line.bp.fit_elastic_line(E_range=(-3, 3))
    parts = line.bp.rebin(E=width).bp.fit_elastic_line(E_range=(-3, 3))
    for name in ("energy", "fwhm", "height"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=0.02, atol=0.01)
        np.testing.assert_allclose(parts[f"{name}_std"], whole[f"{name}_std"], rtol=0.3)
        assert float(abs((parts[name] - whole[name]).mean())) < 1e-3


@pytest.mark.parametrize("width", [0.25, 0.5, 0.8])
def test_the_curve_is_averaged_over_bins_as_wide_as_the_line(width: float) -> None:
    """Counts in bins: 0.25 meV made the line of 1 meV 1.4 % wider, 0.8 meV 14 %."""
    edges = np.arange(-4, 4 + 1e-9, width)
    below = [math.erf(2 * math.sqrt(math.log(2)) * (x - 0.07)) / 2 for x in edges]
    counts = 2000 * (10 * np.diff(below) / width + 0.05)
    S = np.random.default_rng(0).poisson(counts, (100, counts.size)) / 2000
    line = xbp.new_dataset(
        "dynamic_structure_factor", S, statistics="quantum", units="1/meV",
        std=np.sqrt(np.maximum(S, 1 / 2000) / 2000), edges={"E": edges},
        coords={"run": (np.arange(100), "1"), "E": ((edges[1:] + edges[:-1]) / 2, "meV")},
    )  # fmt: skip
    table = line.bp.fit_elastic_line()
    height = 10 * np.sqrt(4 * np.log(2) / np.pi)
    for name, true in (("energy", 0.07), ("fwhm", 1.0), ("height", height)):
        pulls = (table[name] - true) / table[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.3
        assert 0.7 < float(pulls.std()) < 1.3
    assert float(table.chi2_reduced.median()) < 2
