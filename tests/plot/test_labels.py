"""Labels come from what is drawn: its quantity, a power of ten, its units; and the style of figures."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp

E = np.linspace(1, 12, 30)


def spectrum(quantity: str, scale: float, units: str) -> xr.Dataset:
    shape = xbp.models.evaluate("lognormal", E, energy=4, height=1, sigma=0.6).B.values
    return xbp.new_dataset(
        quantity, scale * shape, units=units, coords={"E": (E, "meV")}
    )


@pytest.mark.parametrize(
    ("quantity", "scale", "units", "label"),
    [
        ("reduced_dos", 8e-4, "1/meV**3", "$g(E)/E^2$ (10$^{-4}$ meV$^{-3}$)"),
        ("reduced_dos", 3.0, "angstrom**2/meV**2", "$B(E)$ (Å$^{2}$ meV$^{-2}$)"),
        ("reduced_dos", 3.0, "1", "$B(E)$ (arb. units)"),
    ],
)
def test_models_are_compared_on_the_axis_of_their_data(
    quantity: str, scale: float, units: str, label: str
) -> None:
    data = spectrum(quantity, scale, units)
    table = data.bp.compare_models(["lognormal"])
    ax = table.bp.plot.models()
    assert ax.get_ylabel() == label == data.bp.plot.cut().get_ylabel()
    tick = ax.yaxis.get_major_formatter()(ax.get_ylim()[1], 0)
    assert 0.1 < float(tick) < 100
    # Of a table alone: residuals are pure numbers.
    assert table.bp.plot.models(residuals=True).get_ylabel() == "residual / error"


def test_models_are_shown_about_the_range_fitted() -> None:
    """Raman data were drawn to 4000 1/cm although the fits end at 160 1/cm."""
    data = spectrum("reduced_dos", 8e-4, "1/meV**3")
    table = data.bp.compare_models(["lognormal"], x_range=(3, 5))
    low, high = float(table.E_low[0]), float(table.E_high[0])
    first, last = table.bp.plot.models().get_xlim()
    assert (first, last) == pytest.approx((1.5 * low - high / 2, 1.5 * high - low / 2))
    assert table.bp.plot.models(xlim=(1, 12)).get_xlim() == (1, 12)


def test_a_parameter_of_many_fits_has_its_power_of_ten() -> None:
    many = xr.concat(
        [spectrum("reduced_dos", s, "1/meV**3") for s in (3e-4, 5e-4)],
        xr.Variable("sample", ["a", "b"]),
    )
    ax = many.bp.fit("lognormal", "E").bp.plot.fit(parameter="height")
    assert ax.get_ylabel() == "height (10$^{-4}$ meV$^{-3}$)"
    assert ax.yaxis.get_major_formatter()(4e-4, 0) == "4"


def test_a_cut_of_counts_is_scaled_on_an_axis_of_arbitrary_units() -> None:
    Q = np.linspace(2, 8, 40)
    sq = xbp.models.hard_sphere_structure_factor(Q)
    S = xbp.new_dataset(
        "dynamic_structure_factor", 1e5 * np.outer(sq.Sq, np.ones(5)), units="1",
        coords={"Q": (Q, "1/angstrom"), "E": (E[:5], "meV")},
        temperature="300 K", statistics="quantum",
    )  # fmt: skip
    fit = S.bp.cut_E("2 meV", width="0.5 meV").bp.scale_to_sq(sq)
    assert fit.bp.plot.scaling().get_ylabel() == "$S(Q,E_0)$ (10$^{5}$ arb. units)"


def test_the_style_has_the_colours_of_the_figures() -> None:
    with plt.style.context("xbp.plot.column"):
        colors = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert tuple(colors) == xbp.plot.COLORS
        assert plt.figure().get_constrained_layout()
