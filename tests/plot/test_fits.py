"""Figures of fits: the curve that the table tells of, over the range fitted, on the data it is of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, UnitsError


@pytest.fixture(scope="module")
def lines() -> xr.Dataset:
    """An elastic line at 0.3 meV, 1 meV wide, on a map of Q and E."""
    Q, E = np.linspace(1, 8, 40), np.linspace(-4, 4, 81)
    line = xbp.models.elastic_line(
        Q, E, u2="0.008 angstrom^2", resolution="1 meV"
    ).bp.shift_E("-0.3 meV")
    noisy: xr.Dataset = xbp.models.with_counting_noise(line, counts=1e6, rng=1)
    return noisy


def drawn(ax: plt.Axes) -> np.ndarray:
    return np.asarray(
        next(line for line in ax.lines if len(line.get_xdata()) == 400).get_xydata()
    )


@pytest.mark.slow
def test_an_elastic_line_is_drawn_on_its_average_and_on_the_map(
    lines: xr.Dataset,
) -> None:
    table = lines.bp.fit_elastic_line(Q_range=(2, 6))
    ax = lines.bp.cut_Q((2, 6)).bp.plot.fit(table)
    x, y = drawn(ax).T
    assert (x[0], x[-1]) == pytest.approx((float(table.E_low), float(table.E_high)))
    assert x[np.argmax(y)] == pytest.approx(float(table.energy), abs=0.02)
    assert y.max() == pytest.approx(float(table.height + table.background), rel=1e-3)
    half = x[y - float(table.background) > float(table.height) / 2]
    assert np.ptp(half) == pytest.approx(float(table.fwhm), abs=0.02)
    # The range is marked, and something beside it is seen.
    span = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (span.x0, span.x1) == pytest.approx(
        (float(table.E_low), float(table.E_high))
    )
    left, right = ax.get_xlim()
    assert left < span.x0
    assert span.x1 < right
    assert "$E_0$" in ax.get_title()
    assert "FWHM" in ax.get_title()
    on_map = lines.bp.plot.fit(table)
    shown, same = (a.containers[0].lines[0].get_ydata() for a in (on_map, ax))
    np.testing.assert_allclose(shown, same)
    np.testing.assert_allclose(drawn(table.bp.plot.fit(lines)), drawn(on_map))
    one = lines.isel(Q=5).bp.plot.fit(lines.bp.fit_elastic_line().isel(Q=5))
    assert drawn(one)[:, 1].max() == pytest.approx(
        float(lines.S.isel(Q=5).max()), rel=0.1
    )


def test_a_poor_fit_says_so(unmarked: xr.Dataset) -> None:
    spectrum = unmarked.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    table = spectrum.bp.fit("lognormal", x_range=("1.2 meV", "12 meV"))
    ax = spectrum.bp.plot.fit(table)
    assert ax.get_title().endswith("(poor)")
    # Its error says nothing.
    assert "energy = 2.21 meV" in ax.get_title()
    assert "±" not in ax.get_title()
    assert "× 10$^{-5}$" in ax.get_title()
    x, y = drawn(ax).T
    want = xbp.models.evaluate(
        "lognormal", x, **{n: float(table[n]) for n in ("energy", "height", "sigma")}
    )
    np.testing.assert_allclose(y, want.B, rtol=1e-6)
    held = spectrum.bp.fit(
        "lognormal", x_range=("1.2 meV", "12 meV"), fixed={"sigma": 1.2}
    )
    assert "sigma = 1.2 (fixed)" in spectrum.bp.plot.fit(held).get_title()


def test_over_another_axis_than_energy_a_maximum_is_no_energy() -> None:
    Q = np.linspace(1, 3, 80)
    sq = xbp.new_dataset(
        "static_structure_factor",
        2 * np.exp(-((Q - 1.5) ** 2) / 0.1),
        units="1",
        coords={"Q": (Q, "1/angstrom")},
    )
    title = sq.bp.plot.fit(sq.bp.fit("gaussian")).get_title().replace("\xa0", " ")
    assert "gaussian: position of the maximum = 1.5 Å$^{-1}$" in title
    assert "energy" not in title


@pytest.mark.slow
def test_a_model_in_units_of_its_own_is_drawn_in_those_of_the_data() -> None:
    T = np.linspace(2, 60, 60)
    numbers = {
        "gamma": 1e-3,
        "n_D": 0.8,
        "theta_D": 260,
        "n_E": 0.2,
        "theta_E": 72,
        "sigma_E": 15,
    }
    C = xbp.models.evaluate(
        "debye_einstein", T, units="mJ/mol/K", **numbers | {"gamma": "1 mJ/mol/K^2"}
    )
    table = C.bp.fit("debye_einstein")
    x, y = drawn(C.bp.plot.fit(table)).T
    np.testing.assert_allclose(np.interp(T, x, y), C.C, rtol=0.02)


def test_a_function_is_drawn_where_it_is_given_again(glass: xr.Dataset) -> None:
    spectrum = glass.bp.to_bqe().bp.cut_Q((2.1, 8.5))

    def falling(E: np.ndarray, a: float, w: float) -> np.ndarray:
        return np.asarray(a * np.exp(-E / w))

    table = spectrum.bp.fit(
        falling, x_range=("3 meV", "12 meV"), start={"a": 3e-5, "w": 10.0}
    )
    x, y = drawn(spectrum.bp.plot.fit(table, model=falling)).T
    np.testing.assert_allclose(y, falling(x, float(table.a), float(table.w)))
    with pytest.raises(QuantityError, match=r"plot.fit\(table, model="):
        spectrum.bp.plot.fit(table)
    with pytest.raises(QuantityError, match="parameters b, the table a, w"):
        spectrum.bp.plot.fit(table, model=lambda E, b: b * E)


def test_what_no_figure_can_be_made_of_names_the_one_that_can(
    glass: xr.Dataset, lines: xr.Dataset
) -> None:
    b = glass.bp.to_bqe()
    spectrum = b.bp.cut_Q((2.1, 8.5))
    table = spectrum.bp.fit("lognormal", x_range=("1.2 meV", "12 meV"))
    for wrong in (
        lambda: spectrum.bp.plot.peak(table),
        lambda: table.bp.plot.peak(),
        lambda: table.bp.plot.cut(),
    ):
        with pytest.raises(QuantityError, match=r"plot.fit\("):
            wrong()
    with pytest.raises(QuantityError, match=r"plot.peak\(table\)"):
        spectrum.bp.plot.fit(spectrum.bp.boson_peak(E_range=(1.2, 12)))
    with pytest.raises(QuantityError, match=r"data.isel\(Q=0\)"):
        lines.bp.plot.fit(lines.bp.fit_elastic_line())
    with pytest.raises(RangeError, match="has dimensions"):
        b.bp.plot.fit(table.drop_vars("Q_bnds"))
    with pytest.raises(UnitsError, match="height"):
        spectrum.bp.convert(E="THz").bp.plot.fit(table)
    assert "plot.fit(data)" in repr(table.bp)
    nothing = spectrum.bp.fit("lognormal", x_range=(1.2, 12), bounds={"energy": (4, 9)})
    ax = spectrum.bp.plot.fit(nothing)
    assert ax.get_title() == "lognormal: parameter at bound (energy)"
    assert not any(len(line.get_xdata()) == 400 for line in ax.lines)


@pytest.mark.slow
def test_many_fits_are_drawn_against_their_dimension(lines: xr.Dataset) -> None:
    table = lines.bp.fit_elastic_line()
    bad = table.assign(
        status=table.status.where(np.arange(table.Q.size) > 2, "fit failed")
    )
    for given, name, label in (
        ({}, "energy", "$E_0$ (meV)"),
        ({"parameter": "fwhm"}, "fwhm", "FWHM (meV)"),
    ):
        ax = bad.bp.plot.fit(**given)
        points, _, (bars,) = ax.containers[0].lines
        np.testing.assert_allclose(points.get_xdata(), table.Q[3:])
        np.testing.assert_allclose(points.get_ydata(), table[name][3:])
        std = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments()]
        np.testing.assert_allclose(std, table[f"{name}_std"][3:])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("$Q$ (Å$^{-1}$)", label)
        assert (
            ax.get_title()
            == f"elastic line: {table.Q.size - 3} of {table.Q.size} fits are ok"
        )
    # Samples have names, and over Q the "energy" of a shape is none.
    Q = np.linspace(1, 3, 80)
    height = np.array([[1.0], [2.0]]) * np.exp(-((Q - 1.5) ** 2) / 0.1)
    sq = xbp.new_dataset(
        "static_structure_factor",
        height,
        units="1",
        coords={"sample": ["a", "b"], "Q": (Q, "1/angstrom")},
    )
    peaks = sq.bp.fit("gaussian", dim="Q")
    assert [tick.get_text() for tick in peaks.bp.plot.fit().get_xticklabels()] == [
        "a",
        "b",
    ]
    assert peaks.bp.plot.fit().get_ylabel() == "position of the maximum (Å$^{-1}$)"
    assert peaks.bp.plot.fit(parameter="height").get_ylabel() == "height"


@pytest.mark.slow
def test_what_is_next_works_of_however_many_fits(lines: xr.Dataset) -> None:
    one, many = lines.bp.fit_elastic_line(Q_range=(2, 6)), lines.bp.fit_elastic_line()
    samples = xr.concat([many, many], "sample")
    for table, call in (
        (one, "table.bp.plot.fit(data)"),
        (many, "table.bp.plot.fit()"),
        (samples, "table.isel(sample=0).bp.plot.fit()"),
    ):
        assert repr(table.bp).split("next: ")[1].split("\n")[0] == call.removeprefix(
            "table"
        )
        for wrong in (table.bp.plot.peak, table.bp.plot.cut):
            with pytest.raises(QuantityError) as error:
                wrong()
            assert error.value.fix.startswith(call)
        assert eval(call, {"table": table, "data": lines}).containers
    for table, call in (
        (many, r"table.bp.plot.fit\(\) draws"),
        (samples, r"table.isel\(sample=0\).bp.plot.fit\(\) draws"),
    ):
        with pytest.raises(QuantityError, match=call):
            lines.bp.plot.fit(table)
    with pytest.raises(QuantityError, match=r"table.bp.plot.fit\(data\)"):
        one.bp.plot.fit()
    with pytest.raises(QuantityError, match="'energy', 'height'"):
        many.bp.plot.fit(parameter="width")
    with pytest.raises(QuantityError, match="fwhm"):
        lines.bp.plot.fit(one, parameter="fwhm")
    with pytest.raises(QuantityError, match="no table is given"):
        lines.bp.plot.fit()
    peak = xbp.stated_energy("6 meV", "0.4 meV", reference="a")
    with pytest.raises(QuantityError, match=r"spectrum.bp.plot.peak\(table\) draws"):
        peak.bp.plot.cut()
