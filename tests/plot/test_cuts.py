"""Cuts on the same axes: what the legend calls them, and where the axis ends."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from samples import heat_capacity

import xbp
from xbp.errors import QuantityError


@pytest.fixture
def b(glass: xr.Dataset) -> xr.Dataset:
    return glass.bp.to_bqe()


def names(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.slow
def test_cuts_are_called_by_their_ranges(b: xr.Dataset) -> None:
    """The middle of (5, 8) is that of (3, 10)."""
    _, ax = plt.subplots()
    for Q_range in ((5, 8), (3, 8.3)):
        b.bp.cut_Q(Q_range).bp.plot.cut(ax=ax)
    assert names(ax) == ["5–8 Å$^{-1}$", "3–8.3 Å$^{-1}$"]
    _, ax = plt.subplots()
    for E in (3.0, 8.0):
        b.B.bp.cut_E(E, 0.5).bp.convert(E="THz", Q="1/nm").bp.plot.cut(ax=ax)
    assert names(ax) == ["0.6649–0.7858 THz", "1.874–1.995 THz"]
    # A bin that was chosen is no range.
    assert names(b.sel(E=[3, 8], method="nearest").bp.plot.cut()) == [
        "2.895 meV",
        "7.858 meV",
    ]


@pytest.mark.slow
def test_curves_of_two_samples_have_a_legend(b: xr.Dataset) -> None:
    one = b.bp.cut_Q((5, 8))
    one.attrs |= {"source": "histogram HDF5 file Al_300K.h5", "title": "iqe"}
    other = (one * 2).assign_attrs(
        one.attrs | {"source": "histogram HDF5 file V_300K.h5"}
    )
    other.B.attrs = dict(one.B.attrs)
    _, ax = plt.subplots()
    one.bp.plot.cut(ax=ax)
    assert ax.get_legend() is None
    other.bp.plot.cut(ax=ax)
    assert names(ax) == ["Al_300K.h5", "V_300K.h5"]
    hot = other.assign_coords(temperature=((), 400.0, {"units": "K"}))
    _, ax = plt.subplots()
    other.bp.plot.cut(ax=ax)
    hot.bp.plot.cut(ax=ax)
    assert names(ax) == ["300 K", "400 K"]
    _, ax = plt.subplots()
    one.bp.plot.cut(ax=ax, label="mine")
    other.bp.plot.cut(ax=ax)
    one.bp.plot.cut(ax=ax)
    assert names(ax) == ["mine", "V_300K.h5", "Al_300K.h5"]
    _, ax = plt.subplots()
    one.bp.plot.cut(ax=ax)
    one.bp.plot.cut(ax=ax)
    assert len(set(names(ax))) == 2


@pytest.mark.slow
def test_what_was_made_in_two_ways_is_told_apart_by_the_argument_that_differs(
    b: xr.Dataset,
) -> None:
    E = np.linspace(20, 200, 60)
    raman = xbp.new_dataset(
        "raman_intensity", 1 + E / 50, units="1", coords={"E": (E, "1/cm")}
    )
    _, ax = plt.subplots()
    for coupling in ("constant", "linear"):
        raman.bp.to_reduced_raman(T="295 K", coupling=coupling).bp.plot.cut(ax=ax)
    assert names(ax) == ["coupling constant", "coupling linear"]
    # The last argument that differs, though an earlier one does, too; and only where coordinates do not tell.
    _, ax = plt.subplots()
    for factor, coupling in ((1, "constant"), (2, "linear")):
        raman.bp.scale(factor).bp.to_reduced_raman(
            T="295 K", coupling=coupling
        ).bp.plot.cut(ax=ax)
    assert names(ax) == ["coupling constant", "coupling linear"]
    _, ax = plt.subplots()
    for T, coupling in (("295 K", "constant"), ("77 K", "linear")):
        raman.bp.to_reduced_raman(T=T, coupling=coupling).bp.plot.cut(ax=ax)
    assert names(ax) == ["295 K", "77 K"]
    # What was done to one of them only; and numbers where nothing differs.
    spectrum = b.bp.cut_Q((5, 8))
    _, ax = plt.subplots()
    for one in (spectrum, spectrum.bp.convolve("1 meV"), spectrum.bp.convolve("2 meV")):
        one.bp.plot.cut(ax=ax)
    assert names(ax) == [
        "without convolve",
        "resolution FWHM 1 meV",
        "resolution FWHM 2 meV",
    ]
    _, ax = plt.subplots()
    for _ in range(2):
        spectrum.bp.plot.cut(ax=ax)
    assert [name[-2:] for name in names(ax)] == [" 1", " 2"]


@pytest.mark.slow
def test_a_number_that_tells_curves_apart_has_its_symbol_and_no_more_figures_than_it_needs(
    b: xr.Dataset,
) -> None:
    spectrum = b.bp.cut_Q((5, 8))

    def called(
        *values: float, name: str = "u2", units: str = "angstrom**2"
    ) -> list[str]:
        _, ax = plt.subplots()
        for value in values:
            spectrum.assign_coords({name: ((), value, {"units": units})}).bp.plot.cut(
                ax=ax
            )
        return names(ax)

    assert called(0.006849, 0.006955) == [
        "$u^2$ 0.00685 Å$^{2}$",
        "$u^2$ 0.00696 Å$^{2}$",
    ]
    assert called(0.0068491, 0.0068523) == [
        "$u^2$ 0.006849 Å$^{2}$",
        "$u^2$ 0.006852 Å$^{2}$",
    ]
    assert called(1000.0, 1234.5, name="cooling_rate", units="K/ps") == [
        "cooling rate 1000 K ps$^{-1}$",
        "cooling rate 1234 K ps$^{-1}$",
    ]
    assert called(295.0, 300.0, name="temperature", units="K") == ["295 K", "300 K"]
    assert "nan" not in "".join(called(np.nan, 0.01))


@pytest.mark.slow
def test_peaks_on_the_same_axes_have_a_legend_with_every_name_once(
    b: xr.Dataset,
) -> None:
    _, ax = plt.subplots()
    for Q_range in ((2, 4), (4, 8)):
        spectrum = b.bp.cut_Q(Q_range)
        spectrum.bp.plot.peak(spectrum.bp.boson_peak(E_range=(1.2, 12)), ax=ax)
    expected = ["first phonon of the box", "range of the fit"]
    assert names(ax) == [*expected, "2–4 Å$^{-1}$", "4–8 Å$^{-1}$"]


def test_what_falls_off_from_the_end_does_not_make_the_rest_flat(b: xr.Dataset) -> None:
    ax = b.bp.cut_E(8, 0.5).bp.plot.cut()
    inside = b.bp.cut_E(8, 0.5).B.sel(Q=slice(1, None))
    assert float(inside.max()) < ax.get_ylim()[1] < 1.7 * float(inside.max())
    assert "beyond the axis" in ax.texts[0].get_text()
    # Of several the highest that is not beyond it decides, and all is told once.
    other = b.bp.cut_E(3, 0.5)
    other.bp.plot.cut(ax=ax)
    b.bp.cut_E(20, 0.5).bp.plot.cut(ax=ax)
    assert ax.get_ylim()[1] == pytest.approx(1.1 * float(other.B.max()))
    assert [text.get_text() for text in ax.texts] == ["up to 1.61 beyond the axis"]
    together = b.sel(E=[8, 20], method="nearest").bp.plot.cut()
    assert together.get_ylim()[1] < 1.7 * float(inside.max())


def spectrum(S: np.ndarray, E: np.ndarray, noise: float = 0.01) -> xr.Dataset:
    made: xr.Dataset = xbp.new_dataset(
        "dynamic_structure_factor",
        S * (1 + noise * np.random.default_rng(0).standard_normal(E.size)),
        statistics="unknown",
        std=noise * S,
        units="1/meV",
        coords={"E": (E, "meV")},
    )
    return made


def test_the_edge_of_a_mask_and_the_last_bin_do_not_make_the_rest_flat() -> None:
    E = np.arange(-40, 79, 0.8)
    hump = np.exp(-(((E - 20) / 8) ** 2)) + 0.5 * np.exp(-(((E + 20) / 8) ** 2)) + 0.1
    line = 40 * np.exp(-((E / 2.5) ** 2))
    masked = spectrum(np.where(abs(E) < 3.5, np.nan, hump + line), E)
    assert float(masked.S.max()) > 3
    last = spectrum(hump + 4 * (E > 77.5), E)
    for data in (masked, last):
        ax = data.bp.plot.cut()
        assert 1.1 < ax.get_ylim()[1] < 2
        assert "beyond the axis" in ax.texts[0].get_text()
    for plain in (
        spectrum(hump, E),
        spectrum(hump + line, E),
        spectrum((hump + line)[E >= -0.1], E[E >= -0.1]),
    ):
        ax = plain.bp.plot.cut()
        assert ax.get_ylim()[1] > float(plain.S.max())
        assert not ax.texts


def test_a_true_maximum_is_not_cut(glass: xr.Dataset) -> None:
    for data, name in (
        (glass[["Sq", "Sq_std"]], "Sq"),
        (glass[["g"]], "g"),
        (glass.bp.cut_Q((2, 8)), "S"),
    ):
        ax = data.bp.plot.cut()
        assert ax.get_ylim()[1] > float(data[name].max())
    E = np.linspace(15, 800, 400)
    light = xbp.new_dataset(
        "raman_intensity",
        1e4 / E + 1,
        units="1",
        coords={"E": (E, "1/cm")},
        temperature="300 K",
    )
    assert light.bp.plot.cut().get_ylim()[1] > 1e4 / 15
    # What falls off over the whole range is the signal.
    decay = spectrum(np.exp(-np.arange(1, 60) / 4.0) + 1e-3, np.arange(1.0, 60.0))
    assert decay.bp.plot.cut().get_ylim()[1] > 0.7


def test_the_figure_without_a_peak_shows_the_spectrum_beside_the_elastic_line(
    b: xr.Dataset,
) -> None:
    whole = b.bp.cut_Q((2.1, 8.5))
    none = whole.bp.boson_peak(E_range=(2.2, 12))
    assert str(none.status.values) != "ok"
    ax = whole.bp.plot.peak(none)
    assert ax.get_ylim()[1] < 3 * float(whole.B.sel(E=slice(1.2, None)).max())


def test_points_repeated_at_places_far_apart_are_joined_and_seen() -> None:
    """A calorimeter measures three times at each temperature, in steps that grow from 0.3 K to 20 K."""
    T = (np.geomspace(2, 300, 120)[:, np.newaxis] * [1.0, 1.0002, 1.0004]).ravel()
    T = np.concatenate([np.linspace(2, 110, 300), T[T > 115]])
    C = xbp.new_dataset(
        "heat_capacity", T, units="J/mol/K", coords={"temperature": (T, "K")}
    )
    C.C.attrs["origin"] = "model"  # data are points
    line = C.bp.plot.cut().lines[0]
    assert not np.isnan(line.get_xdata()).any()
    assert line.get_marker() == "."
    seen = np.asarray(line.get_xdata())[line.get_markevery()]
    assert seen.min() > 105
    assert (
        np.unique(np.round(seen[seen > 116])).size
        >= np.unique(np.round(T[T > 116])).size - 1
    )
    # Where nothing was measured there is no line.
    hole = (
        C.where((C.temperature < 40) | (C.temperature > 80), drop=True)
        .bp.plot.cut()
        .lines[0]
    )
    assert np.isnan(hole.get_xdata()).sum() == 1


def test_a_bin_that_hardly_was_counted_does_not_set_the_axis(b: xr.Dataset) -> None:
    """Of thousands of counts beside one of two the axis shows the values; its error runs off it."""
    spectrum = b.bp.cut_Q((3, 8.3)).sel(E=slice(1, 20))
    plain = spectrum.bp.plot.cut()
    wild = spectrum.copy(deep=True)
    wild["B_std"][20] = 50 * float(spectrum.B.max())
    drawn = wild.bp.plot.cut(ax=plt.subplots()[1])
    assert np.ptp(drawn.get_ylim()) < 1.5 * np.ptp(plain.get_ylim())
    assert drawn.get_ylim()[1] > float(spectrum.B.max())


def test_a_logarithmic_axis_begins_where_the_data_do() -> None:
    C = heat_capacity(np.geomspace(2, 300, 80))
    low, high = C.bp.reduced_heat_capacity().bp.plot.cut(xlim=(0, 50)).get_xlim()
    assert 0 < low <= 2
    assert high == 50


@pytest.mark.slow
def test_the_curve_of_a_heat_capacity_is_drawn_where_it_was_fitted() -> None:
    """Below it an upturn, as of a Schottky term, neither carries a curve nor takes the axis."""
    T = np.geomspace(1, 300, 120)
    C = heat_capacity(T)
    C["C"] = (C.C + 0.3 / C.temperature**2).assign_attrs(C.C.attrs, amount="atoms")
    fit = C.bp.fit_heat_capacity(("8 K", "300 K"))
    ax = C.bp.plot.heat_capacity(fit)
    curve = next(line for line in ax.lines if line.get_label() == "fit")
    assert curve.get_xdata().min() == float(fit.temperature_low)
    fitted = (C.C / C.temperature**3).where(C.temperature >= 8)
    assert ax.get_ylim()[1] < 2 * float(fitted.max())
    assert any("beyond the axis" in text.get_text() for text in ax.texts)


def test_a_signal_without_a_known_value_shows_why() -> None:
    E = np.linspace(1, 30, 40)
    g = xbp.new_dataset(
        "vibrational_dos", np.full(40, np.nan), units="1/meV", coords={"E": (E, "meV")}
    )
    failed = g.assign(status="range truncated")
    texts = [text.get_text() for text in failed.bp.plot.cut().texts]
    assert texts == ["every value is NaN: range truncated"]


def test_g_of_r_is_shown_as_far_as_it_has_structure() -> None:
    """Of half a box, most of which is 1, the first shells would be a few pixels."""
    r = np.arange(0.05, 40, 0.1)
    shells = 1 + 3 * np.exp(-((r - 3) ** 2)) * (r > 1) + 0.01 * np.sin(40 * r)
    shells = np.where(r < 2, 0.0, shells)
    axes = {"r": (r, "angstrom")}
    g = xbp.new_dataset("g(r)", shells, units="1", coords=axes)
    left, right = g.bp.plot.cut().get_xlim()
    assert left == 0
    assert 4 < right < 10
    wide = g.assign(
        rdf=(1 + (g.rdf - 1).shift(r=60, fill_value=-1)).assign_attrs(g.rdf.attrs)
    )
    ax = wide.bp.plot.cut()
    beyond = ax.get_xlim()[1]
    assert 10 < beyond < 16
    assert g.bp.plot.cut(ax=ax).get_xlim()[1] == beyond  # both are seen
    assert g.bp.plot.cut(xlim=(0, 40)).get_xlim() == (0, 40)


def test_a_keyword_that_no_figure_has_is_answered_with_the_nearest() -> None:
    sq = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    with pytest.raises(QuantityError, match=r"cut\(\) has no keyword colour=") as no:
        sq.bp.plot(colour="red")
    assert no.value.fix == "color="
    with pytest.raises(QuantityError, match=r"has no keyword quantity=") as no:
        sq.bp.plot(quantity="S(Q)")
    assert "data['S'].bp.plot()" in no.value.fix


def test_g_of_E_is_shown_as_far_as_there_are_states() -> None:
    E = np.linspace(0.1, 60, 600)
    g = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D="25 meV")
    ax = g.bp.plot.cut()
    assert 25 < ax.get_xlim()[1] < 27
    assert g.bp.plot.cut(xlim=(0, 60)).get_xlim() == (0, 60)
    # One that reaches further is seen beside it, and no axis is made longer.
    further = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D="50 meV")
    assert 50 < further.bp.plot.cut(ax=ax).get_xlim()[1] < 53
    whole = xbp.tutorial.open_dataset("zr46cu46al8_md").g
    below = whole.sel(E=slice(0, 20)).bp.plot.cut()
    assert 19 < below.get_xlim()[1] <= 21
