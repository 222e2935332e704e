"""Axes show one thing in one unit: what is laid over is converted, or refused, and labels of the user's stay."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.ticker import ScalarFormatter

import xbp
from xbp.errors import QuantityError, UnitsError

PER_MEV = 8.065543937349211  # 1/cm
E = np.linspace(1, 12, 30)


@pytest.fixture
def b(glass: xr.Dataset) -> xr.Dataset:
    return glass.bp.to_bqe()


def line(ax: plt.Axes, number: int = -1) -> np.ndarray:
    return np.asarray(ax.containers[number].lines[0].get_xydata())


@pytest.mark.slow
def test_a_cut_in_other_units_is_converted_to_those_of_the_axes(b: xr.Dataset) -> None:
    """A label in 1/cm stood under a curve in meV."""
    cut = b.bp.cut_Q((2.1, 8.5))
    ax = cut.bp.plot.cut()
    labels = ax.get_xlabel(), ax.get_ylabel()
    cut.bp.convert(E="1/cm").bp.plot.cut(ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == labels
    np.testing.assert_allclose(line(ax), line(ax, 0), rtol=1e-12)
    other = cut.bp.convert(E="1/cm").bp.plot.cut()
    cut.bp.plot.cut(ax=other)
    assert other.get_xlabel() == "$E$ (cm$^{-1}$)"
    np.testing.assert_allclose(line(other)[:, 0], PER_MEV * line(ax)[:, 0], rtol=1e-9)
    # B is in angstrom²/meV², so it is 8.07² times smaller there.
    np.testing.assert_allclose(
        line(other)[:, 1], line(ax)[:, 1] / PER_MEV**2, rtol=1e-9
    )


def test_values_in_other_units_are_converted_too(b: xr.Dataset) -> None:
    cut = b.bp.cut_Q((2.1, 8.5))
    nano = cut.assign(B=cut.B / 100, B_std=cut.B_std / 100)
    for name in ("B", "B_std"):
        nano[name].attrs = cut[name].attrs | {"units": "nm**2/meV**2"}
    for data in (nano, nano.B):
        ax = cut.bp.plot.cut()
        data.bp.plot.cut(ax=ax)
        np.testing.assert_allclose(line(ax), line(ax, 0), rtol=1e-12)
        assert "nm" not in ax.get_ylabel()


@pytest.mark.slow
def test_another_quantity_is_refused_and_nothing_is_drawn(
    b: xr.Dataset, glass: xr.Dataset
) -> None:
    over_E, over_Q = b.bp.cut_Q((2.1, 8.5)), b.bp.cut_E(3, 1)
    peak = over_E.bp.boson_peak(E_range=(1.2, 12))
    table = b.bp.boson_peak(E_range=(1.2, 12))
    ax = over_E.bp.plot.cut()
    before = len(ax.get_children()), ax.get_xlabel(), ax.get_ylabel(), ax.get_xlim()
    scaled = over_Q.bp.scale_to_sq(glass.Sq, Q_range=(2.1, 8.5))
    draws = {
        "x": [
            lambda: over_Q.bp.plot.cut(ax=ax), lambda: b.bp.plot.map(ax=ax), lambda: table.bp.plot.peak(ax=ax),
            lambda: scaled.bp.plot.scaling(ax=ax),
        ],
        "y": [
            lambda: glass.bp.to_gdos().bp.cut_Q((2.1, 8.5)).bp.plot.cut(ax=ax),
            lambda: b.bp.correlation_map(glass.Sq).bp.plot.correlation(ax=ax),
        ],
    }  # fmt: skip
    for axis, calls in draws.items():
        for call in calls:
            with pytest.raises(QuantityError, match=f"the {axis} axis shows"):
                call()
    assert (
        len(ax.get_children()),
        ax.get_xlabel(),
        ax.get_ylabel(),
        ax.get_xlim(),
    ) == before
    # What is no cut is not converted, as its title and limits would not be.
    other = over_E.bp.convert(E="THz")
    with pytest.raises(UnitsError, match="is in 'meV', but the E to draw is in 'THz'"):
        other.bp.plot.peak(other.bp.boson_peak(E_range=(0.3, 2.9)), ax=ax)
    with pytest.raises(UnitsError, match="is in 'meV'"):
        other.bp.plot.fit(other.bp.fit("lognormal", x_range=(0.3, 2.9)), ax=ax)
    with pytest.raises(UnitsError, match="the y axis is in 'meV'"):
        table.bp.convert(E="THz").bp.plot.peak(ax=table.bp.plot.peak())
    with pytest.raises(UnitsError, match="the y axis is in 'meV'"):
        b.bp.convert(E="THz").bp.plot.map(ax=b.bp.plot.map())
    # The same in the same units goes on as before.
    over_E.bp.plot.peak(peak, ax=ax)
    table.bp.plot.peak(ax=b.bp.plot.map())


@pytest.mark.slow
def test_tables_over_other_axes_are_refused(b: xr.Dataset, glass: xr.Dataset) -> None:
    maps = b.bp.correlation_map(glass.Sq)
    ax = maps.bp.plot.correlation()
    other = glass.bp.to_gdos().bp.correlation_map(glass.Sq)
    other.bp.plot.correlation(ax=ax)
    assert ax.get_ylabel() == "correlation with $S(Q)$"
    with pytest.raises(UnitsError, match="the x axis is in 'meV'"):
        b.bp.convert(E="THz").bp.correlation_map(glass.Sq).bp.plot.correlation(ax=ax)
    samples = [
        b.bp.cut_Q((2, 8)).expand_dims(sample=[name]) for name in ("Zr46", "Zr56")
    ]
    tables = [
        xr.concat(pair, "sample").bp.boson_peak(E_range=(1.2, 12))
        for pair in (samples, samples[::-1])
    ]
    with pytest.raises(QuantityError, match="sample Zr46, Zr56"):
        tables[1].bp.plot.peak(ax=tables[0].bp.plot.peak())


@pytest.mark.slow
def test_twins_share_an_axis_and_what_it_shows(
    b: xr.Dataset, glass: xr.Dataset
) -> None:
    cut = b.bp.cut_Q((2.1, 8.5))
    ax = cut.bp.plot.cut()
    twin = ax.twinx()
    g = glass.bp.to_gdos().bp.cut_Q((2.1, 8.5))
    g.bp.convert(E="1/cm").bp.plot.cut(ax=twin)
    np.testing.assert_allclose(line(twin)[:, 0], line(ax)[:, 0], rtol=1e-12)
    assert twin.get_ylabel().startswith("$G")
    with pytest.raises(QuantityError, match="the x axis shows E"):
        b.bp.cut_E(3, 1).bp.plot.cut(ax=ax.twinx())
    # Axes that were cleared show nothing.
    ax.clear()
    twin.clear()
    assert cut.bp.convert(E="1/cm").bp.plot.cut(ax=ax).get_xlabel() == "$E$ (cm$^{-1}$)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "factor"),
    [
        ("Energy (cm$^{-1}$)", PER_MEV), ("E [1/cm]", PER_MEV), ("Raman shift (cm⁻¹)", PER_MEV), ("E / meV", 1),
        ("$E$ ($\\mathrm{meV}$)", 1), ("energy transfer", 1), ("E(k)", 1),
    ],
)  # fmt: skip
def test_the_label_of_the_users_curve_stays_and_is_held_to(
    b: xr.Dataset, written: str, factor: float
) -> None:
    cut = b.bp.cut_Q((2.1, 8.5))
    alone = line(cut.bp.plot.cut())
    _, ax = plt.subplots()
    ax.plot([1, 2], [1e-5, 2e-5])
    ax.set(xlabel=written, ylabel="mine")
    cut.bp.plot.cut(ax=ax)
    cut.bp.plot.cut(ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (written, "mine")
    np.testing.assert_allclose(line(ax)[:, 0], factor * alone[:, 0], rtol=1e-9)
    # The ticks are written as the user's label has them, not in powers of ten that xbp's would name.
    assert isinstance(ax.yaxis.get_major_formatter(), ScalarFormatter)
    # And the user's curve stays in sight.
    assert ax.get_ylim()[1] > 2e-5


def test_the_users_other_units_are_refused(b: xr.Dataset) -> None:
    cut = b.bp.cut_Q((2.1, 8.5))
    for x, y in (
        ("time (ps)", "B"),
        ("E (meV)", "B (10$^{-5}$ Å$^2$ meV$^{-2}$)"),
        ("E (meV)", "I (counts)"),
    ):
        _, ax = plt.subplots()
        ax.plot([1, 2], [1, 2])
        ax.set(xlabel=x, ylabel=y)
        with pytest.raises(UnitsError, match="to draw is in"):
            cut.bp.plot.cut(ax=ax)
        assert not ax.containers


def test_labels_are_written_where_nothing_is_drawn_or_named_yet(b: xr.Dataset) -> None:
    cut = b.bp.cut_Q((2.1, 8.5))
    _, (named, drawn) = plt.subplots(1, 2)
    named.set_xlabel("E (cm-1)")
    assert cut.bp.plot.cut(ax=named).get_xlabel() == "$E$ (meV)"
    drawn.plot([1, 2], [1e-5, 2e-5])
    assert cut.bp.plot.cut(ax=drawn).get_xlabel() == "$E$ (meV)"
    # A label that is written over that of xbp's stays.
    named.set_xlabel("neutron energy loss (meV)")
    cut.bp.plot.cut(ax=named)
    assert named.get_xlabel() == "neutron energy loss (meV)"


@pytest.mark.slow
def test_the_height_follows_all_curves_until_the_user_sets_it() -> None:
    """Curves drawn later were above the top of axes that begin at 0."""
    g = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D=20)
    S = xbp.models.dynamic_structure_factor(
        np.array([2.0, 3.0]), E, energy=4, width=4, T=300, u2=0.01
    )
    peaks = S.bp.to_bqe().bp.boson_peak(E_range=(1.5, 10))
    higher = peaks.assign(energy=(3 * peaks.energy).assign_attrs(peaks.energy.attrs))
    triple = g.assign(g=(3 * g.g).assign_attrs(g.g.attrs))
    for low, high, name in ((g, triple, "cut"), (peaks, higher, "peak")):
        ax = getattr(low.bp.plot, name)(label="low")
        getattr(high.bp.plot, name)(ax=ax, label="high")
        assert ax.get_ylim()[0] == 0
        assert ax.get_ylim()[1] > float(np.nanmax(line(ax)[:, 1]))
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["low", "high"]
        ax = getattr(low.bp.plot, name)(ylim=(-1, 3))
        getattr(high.bp.plot, name)(ax=ax)
        assert ax.get_ylim() == (-1, 3)
