"""What the figures say: labels with units, the data drawn, errors where a figure cannot be made."""

from __future__ import annotations

import itertools
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from samples import heat_capacity

import xbp
from xbp.errors import ArgumentsError, MissingDependencyError, QuantityError, RangeError


@pytest.fixture
def b(glass: xr.Dataset) -> xr.Dataset:
    return glass.bp.to_bqe()


@pytest.mark.slow
def test_map(b: xr.Dataset, glass: xr.Dataset) -> None:
    ax = b.bp.plot.map(
        glass.Sq, E_range=(1, 20), peak=b.bp.boson_peak(E_range=(1.2, 12))
    )
    assert ax.get_xlabel() == "$Q$ (Å$^{-1}$)"
    assert ax.get_ylabel() == "$E$ (meV)"
    assert ax.get_ylim() == (1, 20)
    mesh = ax.collections[0]
    np.testing.assert_array_equal(mesh.get_array().reshape(146, 169), b.B.values.T)
    labels = {text for a in ax.figure.axes for text in (a.get_xlabel(), a.get_ylabel())}
    assert "$S(Q)$" in labels
    assert "$B(Q,E)$ (10$^{-5}$ Å$^{2}$ meV$^{-2}$)" in labels
    drawn = next(a for a in ax.figure.axes if a.get_ylabel() == "$S(Q)$").lines[-1]
    np.testing.assert_array_equal(drawn.get_ydata(), glass.Sq.values)


@pytest.mark.slow
def test_a_scale_that_is_not_found_has_no_curve_in_the_legend() -> None:
    Q = np.linspace(1.5, 9, 76)
    sq = xbp.models.hard_sphere_structure_factor(Q)
    axis = {"Q": (Q, "1/angstrom")}
    values = np.where(Q[2] > Q, 1.0, np.nan)
    cut = xbp.new_dataset("reduced_dos", values, units="1", coords=axis)
    axes = cut.bp.scale_to_sq(sq).bp.plot.scaling()
    assert "nan" not in axes.get_title()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["$B(Q)$"]


def test_cut_peak_scaling_correlation(unboxed: xr.Dataset, peaked: xr.Dataset) -> None:
    glass, b = unboxed, unboxed.bp.to_bqe()
    figure, axes = plt.subplots(2, 2)
    spectrum = peaked.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    peak = spectrum.bp.boson_peak(E_range=(0.9, 8))
    assert (
        b.bp.cut_E(3, width=0.5).sel(Q=slice(2, None)).bp.plot.cut(ax=axes[0, 0])
        is axes[0, 0]
    )
    assert axes[0, 0].get_ylabel().startswith("$B(Q)$ (10$^{-5}$")
    spectrum.bp.plot.peak(peak, ax=axes[0, 1], color="black")
    assert (
        f"{float(peak.energy):.3f} ± {float(peak.energy_std):.3f} meV"
        in axes[0, 1].get_title()
    )
    curve = max(
        (line.get_xydata() for line in axes[0, 1].lines if line.get_marker() == "None"),
        key=len,
    )
    assert curve[np.argmax(curve[:, 1]), 0] == pytest.approx(
        float(peak.energy), abs=0.05
    )
    assert curve[:, 1].max() == pytest.approx(float(peak.height), rel=1e-3)
    fit = b.bp.cut_E(20, width=0.5).bp.scale_to_sq(glass.Sq, Q_range=(2.1, 8.5))
    fit.bp.plot.scaling(ax=axes[1, 0])
    assert axes[1, 0].get_title() == "$r$ = −0.79 at 20 meV"
    b.bp.correlation_map(glass.Sq).bp.plot.correlation(ax=axes[1, 1])
    assert axes[1, 1].get_xlabel() == "$E$ (meV)"
    figure.draw_without_rendering()


@pytest.mark.slow
def test_peak_energies_over_q(b: xr.Dataset) -> None:
    ax = b.bp.boson_peak(E_range=(1.2, 12)).bp.plot.peak()
    assert ax.get_ylabel() == r"$E_\mathrm{BP}$ (meV)"
    assert ax.get_xlabel() == "$Q$ (Å$^{-1}$)"


def test_a_missing_peak_is_said(b: xr.Dataset) -> None:
    spectrum = b.bp.cut_Q((2.1, 8.5))
    for E_range in ((2.2, 12), (4, 14)):
        peak = spectrum.bp.boson_peak(E_range=E_range).assign(status="no maximum")
        ax = spectrum.bp.plot.peak(peak)
        assert ax.get_title() == r"$E_\mathrm{BP}$: no maximum"
        _, labels = ax.get_legend_handles_labels()
        assert "range of the fit" in labels
        (span,) = (one for one in ax.patches if one.get_label() == "range of the fit")
        low, high = float(peak.E_low), float(peak.E_high)
        assert (span.get_x(), span.get_x() + span.get_width()) == (low, high)


@pytest.mark.slow
def test_no_peak_at_any_q_is_said(b: xr.Dataset) -> None:
    peaks = b.bp.boson_peak(E_range=(1.2, 12))
    none = peaks.assign(status=xr.full_like(peaks.status, "no maximum"))
    ax = none.bp.plot.peak()
    assert ax.get_title() == rf"no $E_\mathrm{{BP}}$: {none.Q.size} no maximum"
    assert ax.get_xlim() == (none.Q.min(), none.Q.max())


def test_other_units_on_the_axes(b: xr.Dataset) -> None:
    ax = b.bp.convert(E="1/cm", Q="1/nm").bp.plot.map()
    assert ax.get_xlabel() == "$Q$ (nm$^{-1}$)"
    assert ax.get_ylabel() == "$E$ (cm$^{-1}$)"


def test_s_of_q_is_called_so(glass: xr.Dataset) -> None:
    assert glass[["Sq", "Sq_std"]].bp.plot.cut().get_ylabel() == "$S(Q)$"


@pytest.mark.slow
def test_what_cannot_be_drawn(b: xr.Dataset, glass: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="has the dimensions"):
        b.bp.cut_E(3, width=1).bp.plot.map()
    with pytest.raises(RangeError, match="a cut has one"):
        b.bp.plot.cut()
    with pytest.raises(QuantityError):
        b.bp.plot.scaling()
    with pytest.raises(QuantityError):
        b.bp.plot.correlation()
    with pytest.raises(QuantityError, match="one spectrum has one peak"):
        b.bp.cut_Q((2, 8)).bp.plot.peak(b.bp.boson_peak(E_range=(1.2, 12)))


def test_without_matplotlib_it_says_what_to_install(
    b: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingDependencyError, match=r"xarray-bosonpeak\[plot\]"):
        b.bp.plot.map()


@pytest.mark.slow
def test_cut_draws_a_curve_for_each_element_of_a_further_dimension() -> None:
    g = xbp.tutorial.open_dataset("kob_andersen_trajectory").bp.vdos(
        window="10 ps", partials=True
    )
    ax = g.bp.plot.cut()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        str(e) for e in g.element.values
    ]
    np.testing.assert_array_equal(ax.containers[1][0].get_ydata(), g.g.isel(element=1))
    with pytest.raises(RangeError, match="at most 7 curves"):
        g.isel(element=[0] * 8).bp.plot.cut()


@pytest.mark.slow
def test_labels_say_what_is_drawn_over_what() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory")
    assert traj.bp.radial_distribution().bp.plot.cut().get_ylabel() == "$g(r)$"
    assert (
        traj.bp.msd().bp.plot.cut().get_ylabel() == "mean-square displacement (Å$^{2}$)"
    )
    heat = heat_capacity([10.0, 20.0])
    assert heat.bp.plot.cut().get_ylabel() == "$C_p(T)$ (J K$^{-1}$ mol$^{-1}$)"
    # What was not taken off is not named.
    assert (
        heat.bp.reduced_heat_capacity()
        .bp.plot.cut()
        .get_ylabel()
        .startswith("$C_p/T^3$ (")
    )
    less = heat.bp.reduced_heat_capacity("1 mJ/mol/K^2")
    assert less.bp.plot.cut().get_ylabel().startswith(r"$(C_p-\gamma T)/T^3$ (")
    assert repr(less.bp).startswith("C_T3: (C_p − γT)/T³ in")


@pytest.mark.slow
def test_figures_take_the_keywords_of_xarrays_own(
    b: xr.Dataset, glass: xr.Dataset
) -> None:
    ax = b.bp.plot.map(
        E_range=(1, 20),
        figsize=(3, 2),
        xlim=(2, 8),
        yticks=[5, 10],
        add_colorbar=False,
        cmap="magma",
    )
    assert tuple(ax.figure.get_size_inches()) == (3, 2)
    assert ax.get_xlim() == (2, 8)
    assert list(ax.get_yticks()) == [5, 10]
    assert len(ax.figure.axes) == 1
    cut = b.bp.cut_Q((2.1, 8.5))
    assert cut.bp.plot.cut(xscale="log", xlim=(0.5, 20)).get_xscale() == "log"
    assert cut.bp.plot.peak(
        cut.bp.boson_peak(E_range=(1.2, 12)), ylim=(0, 1)
    ).get_ylim() == (0, 1)
    fit = b.bp.cut_E(3, 0.5).bp.scale_to_sq(glass.Sq, (2.1, 8.5))
    assert fit.bp.plot.scaling(xlim=(3, 4)).get_xlim() == (3, 4)
    with pytest.raises(QuantityError, match="both ax and figsize"):
        cut.bp.plot.cut(ax=ax, figsize=(3, 2))


@pytest.mark.slow
def test_a_map_on_a_scale_of_logarithms(glass: xr.Dataset) -> None:
    ax = glass.bp.plot.map(norm="log")
    assert ax.collections[0].norm.__class__.__name__ == "LogNorm"
    ax.figure.canvas.draw()


@pytest.mark.slow
def test_a_map_is_not_of_one_colour(b: xr.Dataset) -> None:
    """Of B over all energies, the elastic line and what falls off as 1/E² would leave half the map dark."""
    mesh = b.bp.plot.map().collections[0]
    value = b.B.values.T
    assert type(mesh.norm).__name__ == "LogNorm"
    assert mesh.get_clim()[1] == pytest.approx(np.percentile(value, 99.5))
    assert mesh.get_clim()[0] == pytest.approx(1e-4 * mesh.get_clim()[1])
    assert 0.2 < np.median(mesh.norm(value[value > mesh.get_clim()[0]]).data) < 0.8
    linear = b.bp.plot.map(norm="linear").collections[0]
    assert linear.get_clim() == pytest.approx((0, 4 * np.percentile(value, 75)))
    assert type(b.bp.plot.map(vmin=0).collections[0].norm).__name__ == "Normalize"
    assert b.bp.plot.map(vmin=1e-6, vmax=1e-3).collections[0].get_clim() == (1e-6, 1e-3)
    # Noise about 0 has no logarithm, and keeps a linear scale.
    signs = np.where(np.arange(b.B.size).reshape(b.B.shape) % 2, -1, 1)
    assert (
        type(
            b.assign(B=b.B.copy(data=b.B.values * signs))
            .bp.plot.map()
            .collections[0]
            .norm
        ).__name__
        == "Normalize"
    )
    # What is not positive on a scale of logarithms is below it, not missing.
    hole = b.assign(B=b.B.where(b.E < 40, 0.0).where(b.E < 50))
    drawn = hole.bp.plot.map().collections[0]
    beyond = drawn.get_array().reshape(value.shape)[(b.E >= 40) & (b.E < 50)]
    assert (beyond > 0).all()
    assert (beyond < drawn.get_clim()[0]).all()
    assert np.ma.getmaskarray(drawn.get_array()).reshape(value.shape)[b.E >= 50].all()
    with pytest.raises(RangeError, match="needs positive data"):
        b.assign(B=-abs(b.B)).bp.plot.map(norm="log")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4.8, 3.6), (3.386, 2.6), (1.6, 1.8)])
@pytest.mark.parametrize(
    "keywords", [{}, {"vmin": 1e-12}, {"vmin": 2e-5, "vmax": 3e-4}, {"norm": "linear"}]
)
def test_numbers_at_the_scale_of_colours_do_not_collide(
    b: xr.Dataset, size: tuple[float, float], keywords: dict[str, float]
) -> None:
    ax = b.bp.plot.map(figsize=size, **keywords)
    ax.figure.draw_without_rendering()
    bar = ax.figure.axes[-1]
    ticks = bar.xaxis.get_major_ticks()
    low, high = bar.get_xlim()
    boxes = [
        t.label2.get_window_extent()
        for t in ticks
        if low <= t.get_loc() <= high and t.label2.get_text()
    ]
    boxes = sorted(boxes, key=lambda box: box.x0)
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert not any(tick.label2.get_text() for tick in bar.xaxis.get_minor_ticks())


@pytest.mark.slow
def test_a_heat_capacity_with_its_fit() -> None:
    heat = xbp.models.evaluate(
        "debye_einstein", np.geomspace(2, 300, 60), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D=260, n_E=0.2, theta_E=72,
        sigma_E=15,
    )  # fmt: skip
    fit = heat.bp.fit_heat_capacity()
    ax = heat.bp.plot.heat_capacity(fit)
    data, whole, debye = (
        ax.lines[0],
        *(
            line
            for line in ax.lines
            if line.get_label() in ("fit", "its Debye phonons")
        ),
    )
    drawn = np.asarray(data.get_ydata(), dtype=float)
    np.testing.assert_allclose(
        drawn, heat.bp.reduced_heat_capacity("4 mJ/mol/K^2").C_T3, rtol=1e-6
    )
    np.testing.assert_allclose(
        np.interp(heat.temperature, whole.get_xdata(), whole.get_ydata()),
        drawn,
        rtol=5e-3,
    )
    assert (debye.get_ydata() < whole.get_ydata()).all()
    assert "maximum of $g/E^2$: 5.6" in ax.get_title()
    assert len(heat.bp.plot.heat_capacity().lines) == 1
    with pytest.raises(QuantityError, match="fit_heat_capacity"):
        heat.bp.plot.heat_capacity(heat)
    with pytest.raises(RangeError, match="'sample', 'temperature'"):
        heat.expand_dims(sample=2).bp.plot.heat_capacity()


@pytest.mark.slow
def test_a_peak_is_not_drawn_small_beside_what_lies_far_from_it(
    unmarked: xr.Dataset,
) -> None:
    spectrum = unmarked.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    peak = spectrum.bp.boson_peak(E_range=(1.2, 8))
    ax = spectrum.bp.plot.peak(peak)
    assert ax.get_xlim() == pytest.approx((0, 2 * float(peak.E_high)))
    assert 1.2 * float(peak.height) < ax.get_ylim()[1] < 2 * float(peak.height)
    elastic = float(spectrum.B.max())
    assert elastic > 100 * float(peak.height)
    assert [t.get_text() for t in ax.texts] == [
        f"up to {elastic * 1e5:.3g} beyond the axis"
    ]
    assert spectrum.bp.plot.peak(peak, xlim=(1, 50)).get_xlim() == (1, 50)
    alone = spectrum.bp.plot.cut()
    assert alone.get_ylim()[1] < elastic / 10
    above = spectrum.where(spectrum.E > 1)
    whole = above.bp.plot.cut()
    assert not whole.texts
    assert whole.get_ylim()[1] > float(above.B.max())


@pytest.mark.slow
def test_curves_that_were_computed_are_lines(
    b: xr.Dataset,
) -> None:
    E = np.linspace(1, 20, 300)
    for error, origin, marker in (
        (None, "model", "None"),
        (np.full(300, 0.1), "model", "None"),
        (None, "measurement", "."),
        (np.full(300, 0.1), "measurement", "."),
    ):
        measured = xbp.new_dataset(
            "raman_intensity", E, std=error, units="1", coords={"E": (E, "1/cm")}
        )
        measured.I.attrs["origin"] = origin
        ax = measured.bp.plot.cut()
        assert ax.lines[0].get_marker() == marker
        # Errors are a band about a line, bars at points.
        assert len(ax.collections) == (error is not None)
        if error is not None and marker == "None":
            band = ax.collections[0].get_paths()[0].vertices
            np.testing.assert_allclose(
                [band[:, 1].min(), band[:, 1].max()], [0.9, 20.1]
            )
        # Who asks for points gets them.
        assert measured.bp.plot.cut(fmt="o").lines[0].get_marker() == "o"
        assert ax.get_ylabel() == "$I(E)$ (arb. units)"
    assert (
        xbp.models.evaluate("gaussian", E[:50], energy=5, height=1, sigma=2)
        .bp.plot.cut()
        .lines[0]
        .get_marker()
        == "None"
    )
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma=0, n_D=0.8, theta_D=260, n_E=0.2,
                            theta_E=72, sigma_E=15)  # fmt: skip
    fit = C.bp.fit_heat_capacity(fixed={"gamma": 0})
    ax = fit.bp.fitted_dos(E).bp.plot.cut()
    assert ax.lines[0].get_marker() == "None"
    assert len(ax.collections) == 1  # the band of the error
    big = xbp.new_dataset(
        "raman_intensity", 1e6 * E, units="1", coords={"E": (E, "1/cm")}
    )
    assert big.bp.plot.cut().get_ylabel() == "$I(E)$ (10$^{7}$ arb. units)"


def model_of(quantity: str, values: object, units: str, coords: object) -> xr.Dataset:
    """Curves of a formula are lines, data are points."""
    ds = xbp.new_dataset(quantity, values, units=units, coords=coords)  # type: ignore[arg-type]
    for name in ds.data_vars:
        ds[name].attrs["origin"] = "model"
    return ds


@pytest.mark.slow
def test_points_stay_points_and_formulas_lines(b: xr.Dataset) -> None:
    spectrum = b.bp.cut_Q((2.1, 8.5))
    assert spectrum.E.size > 100
    peak = spectrum.bp.boson_peak(E_range=(1.2, 12))
    many, few = (
        s.bp.plot.cut().lines[0] for s in (spectrum, spectrum.isel(E=slice(50)))
    )
    assert many.get_marker() == few.get_marker() == "."
    assert many.get_markersize() < few.get_markersize()
    assert spectrum.bp.plot.peak(peak).lines[0].get_marker() == "."
    E = np.linspace(1, 20, 30)
    formula = model_of("raman_intensity", E, "1", {"E": (E, "1/cm")})
    assert formula.bp.plot.cut().lines[0].get_marker() == "None"


def test_steps_that_grow_with_temperature_are_no_gaps() -> None:
    T = np.geomspace(2, 300, 200)
    C = model_of("reduced_heat_capacity", T**3, "J/mol/K**4", {"temperature": (T, "K")})
    C = C.where((C.temperature < 20) | (C.temperature > 40), drop=True)
    line = C.bp.plot.cut().lines[0]
    assert line.get_marker() == "None"
    assert np.isnan(line.get_xdata()).sum() == 1


def test_a_point_between_gaps_is_not_lost() -> None:
    E = np.linspace(1, 20, 300)
    y = np.where(np.isin(np.arange(300), (9, 11)), np.nan, 1.0)
    lonely = (
        model_of("raman_intensity", y, "1", {"E": (E, "1/cm")}).bp.plot.cut().lines[0]
    )
    assert lonely.get_marker() == "."
    assert lonely.get_markevery() == [10]


@pytest.mark.slow
def test_the_table_of_a_heat_capacity_fit_is_drawn_with_the_data_it_is_of() -> None:
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D=260,
                            n_E=0.2, theta_E=72, sigma_E=15)  # fmt: skip
    fit = C.bp.fit_heat_capacity(("3 K", "100 K"))
    one, other = (
        fit.bp.plot.heat_capacity(),
        C.sel(temperature=slice(3, 100)).bp.plot.heat_capacity(fit),
    )
    assert one.get_title() == other.get_title()
    for a, b in zip(one.lines, other.lines, strict=True):
        np.testing.assert_allclose(a.get_xydata(), b.get_xydata())


def test_energy_gain_does_not_hide_the_peak() -> None:
    """At low temperature B on the side of energy gain is noise times exp(E/kT): 10²⁰ times the peak."""
    E = np.linspace(-20, 40, 241)
    B = np.exp(-(np.log(np.abs(E).clip(0.1) / 6) ** 2) / 0.72) + np.where(
        E < 0, np.exp(-2 * E), 0
    )
    data = xbp.new_dataset(
        "reduced_dos", B, units="angstrom**2/meV**2", coords={"E": (E, "meV")}
    )
    peak = data.bp.boson_peak(E_range=(2, 15))
    ax = data.bp.plot.peak(peak)
    assert ax.get_xlim() == pytest.approx((0, 30))
    assert 1 < ax.get_ylim()[1] < 2
    assert not ax.texts
    assert data.bp.plot.peak(
        peak, E_range=("2 meV", "12 meV")
    ).get_xlim() == pytest.approx((2, 12))
    assert 1 < data.bp.plot.cut().get_ylim()[1] < 2


@pytest.mark.slow
def test_the_study_of_one_energy_has_no_mean() -> None:
    b = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6
    )
    one, two = (
        xbp.new_study({"ins": b}),
        xbp.new_study({"ins": b, "raman": xbp.stated_energy("6 meV", reference="x")}),
    )
    titles = [[ax.get_title() for ax in study.bp.plot().axes] for study in (one, two)]
    assert not any("mean" in title for title in titles[0])
    figure = xbp.new_study({"a": b, "b": b}).bp.plot()
    assert [ax.get_subplotspec().colspan.start for ax in figure.axes] == [0, 1, 0, 1]


def test_a_heat_capacity_of_a_whole_sample_is_drawn() -> None:
    T = np.linspace(2, 20, 40)
    C = xbp.new_dataset(
        "heat_capacity", T**3, units="uJ/K", coords={"temperature": (T, "K")}
    )
    assert "J K" in C.bp.plot.heat_capacity().get_ylabel()
    with pytest.raises(ArgumentsError, match="'per'"):
        C.bp.to_molar(mass="5 mg", molar_mass="60 g/mol")


@pytest.mark.slow
def test_peaks_and_maps_over_any_axis() -> None:
    E, T = np.linspace(1, 15, 60), np.linspace(10, 500, 12)
    rng = np.random.default_rng(0)
    values = 2 * np.exp(
        -(np.log(E / (5 + T[:, np.newaxis] / 300)) ** 2) / 0.5
    ) + rng.normal(0, 0.02, (12, 60))
    series = xbp.new_dataset(
        "reduced_dos", values, std=np.full(values.shape, 0.02), units="1",
        coords={"temperature": (T, "K"), "E": (E, "meV")},
    )  # fmt: skip
    peaks = series.bp.boson_peak()
    ax = peaks.bp.plot.peak()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$T$ (K)", r"$E_\mathrm{BP}$ (meV)")
    np.testing.assert_allclose(ax.containers[0].lines[0].get_xdata().astype(float), T)
    ax = series.bp.plot.map(peak=peaks)
    assert ax.get_xlabel() == "$T$ (K)"
    np.testing.assert_allclose(
        ax.containers[0].lines[0].get_ydata().astype(float), peaks.energy
    )
    with pytest.raises(RangeError, match="a map of temperature"):
        series.bp.plot.map(xbp.models.hard_sphere_structure_factor([1.0, 2.0]))
    names = (
        series.isel(temperature=slice(0, 3))
        .rename(temperature="sample")
        .assign_coords(sample=["A", "B", "C"])
    )
    ax = names.bp.boson_peak().bp.plot.peak()
    assert ax.get_xlabel() == "sample"
    with pytest.raises(RangeError, match="axis of numbers"):
        names.bp.plot.map()
    plt.close("all")


@pytest.mark.slow
def test_cuts_over_one_another_are_told_apart(b: xr.Dataset) -> None:
    _, ax = plt.subplots()
    for E in (3.0, 8.0):
        b.bp.cut_E(E, 0.5).bp.plot.cut(ax=ax)
    colours = [container.lines[0].get_color() for container in ax.containers]
    assert colours[0] != colours[1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "2.75–3.25 meV",
        "7.75–8.25 meV",
    ]
    few = b.sel(E=[3, 10], method="nearest").bp.plot.cut()
    assert len(few.containers) == 2
    np.testing.assert_array_equal(
        few.containers[1].lines[0].get_ydata(), b.B.sel(E=10, method="nearest")
    )
    assert b.bp.cut_E(3.0, 0.5).bp.plot.cut().get_legend() is None
    plt.close("all")


def test_intensities_of_an_arbitrary_scale_are_called_so() -> None:
    E = np.linspace(10, 200, 40)
    light = xbp.new_dataset(
        "raman_intensity", E, units="1", coords={"E": (E, "1/cm")}, temperature="300 K"
    )
    for coupling in ("constant", "linear"):
        assert (
            light.bp.to_reduced_raman(coupling=coupling)
            .bp.plot.cut()
            .get_ylabel()
            .endswith("arb. units)")
        )
    g = xbp.new_dataset("vibrational_dos", E**2, units="cm", coords={"E": (E, "1/cm")})
    assert "cm" in g.bp.to_bqe().bp.plot.cut().get_ylabel()
    plt.close("all")


def test_the_axis_is_scaled_to_what_is_shown() -> None:
    """Far beyond the range shown a spectrum is near nothing, and its usual values there scale nothing here."""
    E = np.linspace(15, 3900, 4000)
    b = xbp.new_dataset(
        "reduced_dos", 40 / E**2 + 1e-5, units="1", coords={"E": (E, "1/cm")}
    )
    peak = b.bp.boson_peak()
    assert str(peak.status.values) != "ok"
    for E_range in (None, ("15 1/cm", "250 1/cm")):
        ax = b.bp.plot.peak(peak, E_range=E_range)
        assert ax.get_ylim()[1] > float(b.B.max())
        assert ax.get_xlim()[1] < 300
        assert not ax.texts
    plt.close("all")


def test_nothing_is_drawn_across_a_gap() -> None:
    E = np.concatenate([np.linspace(10, 100, 200), np.linspace(300, 400, 200)])
    ax = model_of("raman_intensity", E, "1", {"E": (E, "1/cm")}).bp.plot.cut()
    x = ax.lines[0].get_xdata()
    assert np.isnan(x).sum() == 1
    assert np.isnan(x[200])
    # Points in clusters, as of a calorimeter that measures three times at each temperature, have no gaps.
    E = (np.arange(10.0, 80.0)[:, np.newaxis] + [0.0, 0.01, 0.02]).ravel()
    ax = model_of("raman_intensity", E, "1", {"E": (E, "1/cm")}).bp.plot.cut()
    assert not np.isnan(ax.lines[0].get_xdata()).any()
    plt.close("all")


@pytest.mark.slow
def test_a_heat_capacity_without_a_fit_is_drawn() -> None:
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 60), gamma=0.004, n_D=0.8, theta_D=260, n_E=0.2,
                            theta_E=72, sigma_E=15)  # fmt: skip
    fit = C.bp.fit_heat_capacity(T_range=("299 K", "300 K"))
    assert str(fit.status.values) != "ok"
    ax = C.bp.plot.heat_capacity(fit)
    # What to do about it is printed.
    assert ax.get_title() == f"no fit: {fit.status.values}"
    assert ax.get_ylabel().startswith("$C_p/T^3$")
    np.testing.assert_allclose(
        ax.containers[0].lines[0].get_ydata().astype(float), C.C / C.temperature**3
    )
    noisy = C.copy(deep=True)
    noisy["C"][2] = -5.0
    assert (
        noisy.bp.plot.heat_capacity().get_ylim()[0] < -5 / float(C.temperature[2]) ** 3
    )
    plt.close("all")


def test_what_is_no_axes_or_another_table_is_refused(b: xr.Dataset) -> None:
    spectrum = b.bp.cut_Q((2.1, 8.5))
    peak = spectrum.bp.boson_peak(E_range=(1.2, 12))
    with pytest.raises(QuantityError, match="ax is of type int"):
        b.bp.plot.map(ax=5)
    with pytest.raises(QuantityError, match="ax is of type Figure"):
        spectrum.bp.plot.peak(peak, ax=plt.figure())
    with pytest.raises(QuantityError, match="no 'height'"):
        spectrum.bp.plot.peak(peak.drop_vars("height"))
    C = xbp.models.evaluate(
        "debye_einstein",
        [2.0, 5, 9],
        gamma=0,
        n_D=1,
        theta_D=250,
        n_E=0,
        theta_E=72,
        sigma_E=15,
    )
    with pytest.raises(RangeError, match="spectrum over E"):
        C.bp.plot.peak(peak)
    plt.close("all")


@pytest.mark.slow
def test_the_phonon_of_the_box_is_marked_everywhere(b: xr.Dataset) -> None:
    at = float(b.box_phonon)
    assert any(np.allclose(line.get_ydata(), at) for line in b.bp.plot.map().lines)
    assert b.bp.plot.map(E_range=(at + 1, 12)).get_legend() is None
    spectrum = b.bp.cut_Q((2.1, 8.5))
    for E_range in ((1.2, 12), (5, 12)):
        ax = spectrum.bp.plot.peak(spectrum.bp.boson_peak(E_range=E_range))
        assert "first phonon of the box" in [
            text.get_text() for text in ax.get_legend().get_texts()
        ]
    plt.close("all")


@pytest.mark.slow
def test_phonon_branches_are_drawn_with_their_errors() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory")
    currents = traj.bp.current_spectra("0.7 1/angstrom", window="10 ps", E_max="12 meV")
    branches = currents.bp.phonon_dispersion()
    ax = branches.bp.plot.phonons(ms=5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "longitudinal",
        "transverse",
    ]
    np.testing.assert_array_equal(
        ax.containers[0][0].get_ydata(), branches.energy.sel(branch="longitudinal")
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$Q$ (Å$^{-1}$)", "$E$ (meV)")
    lost = branches.copy(deep=True)
    lost.status[0, 1] = "failed"
    one = lost.sel(branch="longitudinal").bp.plot.phonons().containers[0][0]
    assert one.get_xdata().size == branches.sizes["Q"] - 1
    with pytest.raises(QuantityError, match="phonon_dispersion"):
        currents.bp.plot.phonons()
    with pytest.raises(RangeError, match="drawn against Q"):
        branches.isel(Q=0).bp.plot.phonons()
    assert ".bp.plot.phonons()" in repr(branches.bp)
    transverse = currents[["C_T", "C_T_std"]]
    assert (
        transverse.bp.cut_Q((0.3, 0.5))
        .bp.plot.cut()
        .get_ylabel()
        .startswith("$C_T(E)$")
    )
    assert "C_L: C_L(Q,E)" in repr(currents.bp)


@pytest.mark.slow
def test_g_of_r_is_a_curve_with_a_band() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(
        time=slice(None, None, 20)
    )
    ax = traj.bp.radial_distribution(8, partials=True).bp.plot.cut()
    assert {line.get_linestyle() for line in ax.lines} == {"-"}
    assert {line.get_marker() for line in ax.lines} == {"None"}
    assert len(ax.collections) == 3


def test_spectra_of_detectors_are_taken_to_q_first() -> None:
    spectra = xbp.new_dataset(
        "detector_spectra", np.ones((4, 9)), statistics="unknown", units="1/meV",
        coords={"detector": (np.arange(4), "1"), "E": (np.arange(1.0, 10), "meV")},
    )  # fmt: skip
    with pytest.raises(RangeError, match="angle_to_Q"):
        spectra.bp.plot.map()
    # More of them than colours are not curves, and the default figure is not a cut.
    many = xr.concat([spectra, spectra], "detector").assign_coords(detector=range(8))
    many.detector.attrs["units"] = "1"
    with pytest.raises(QuantityError, match=r"fix:  data.bp.angle_to_Q\(…\) first"):
        many.bp.plot()
    with pytest.raises(RangeError, match="angle_to_Q"):
        many.bp.plot.cut()
    assert "plot.cut" not in repr(many.bp)
    assert "plot.cut()" in repr(spectra.bp)


def test_every_figure_says_once_which_keywords_of_xarray_it_takes() -> None:
    for name in (
        "map",
        "cut",
        "peak",
        "heat_capacity",
        "phonons",
        "scaling",
        "correlation",
        "field_correlations",
    ):
        for said in (
            getattr(xbp.plot, name).__doc__,
            getattr(xbp.accessor.PlotAccessor, name).__doc__,
        ):
            settings = said.index(
                "figsize, xlim, ylim, xscale, yscale, xticks, yticks : optional"
            )
            assert said.count("xscale") == 1
            assert (
                said.index("Parameters")
                < settings
                < said.index("**kwargs")
                < said.index("Returns")
            )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(6, 4), (3.386, 2.6)])
def test_the_legend_of_field_correlations_covers_no_curve(
    size: tuple[float, float],
) -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    ax = table.bp.plot.field_correlations(figsize=size)
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert box.y0 >= ax.get_window_extent().y1
    assert ax.figure.bbox.x0 <= box.x0
    assert box.x1 <= ax.figure.bbox.x1


def test_a_correlation_without_error_is_dotted() -> None:
    s = xbp.tutorial.open_dataset("zr46cu46al8")
    table = s.bp.to_bqe().bp.correlation_map(s.Sq, (2.1, 4.0))
    unknown = table.pearson_r.notnull() & table.pearson_r_std.isnull()
    assert 0 < int(unknown.sum()) < unknown.size
    axes = table.bp.plot.correlation()
    dotted, solid, _ = axes.lines
    assert (dotted.get_linestyle(), dotted.get_label()) == (":", "error unknown")
    for line, where in ((dotted, unknown), (solid, ~unknown)):
        drawn = np.isfinite(np.asarray(line.get_ydata(), dtype=float))
        np.testing.assert_array_equal(drawn, (where & table.pearson_r.notnull()).values)
    plt.close("all")
    whole = s.bp.to_bqe().bp.correlation_map(s.Sq).bp.plot.correlation()
    assert whole.get_legend() is None


def test_a_correlation_is_labelled_by_what_is_correlated(glass: xr.Dataset) -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    omega = table.Omega.isel(field=0, drop=True).assign_attrs(table.Omega.attrs)
    assert (
        omega.bp.correlation_map(table.Sq).bp.plot.correlation().get_ylabel()
        == "correlation of $Ω(Q,E)$ with $S(Q)$"
    )
    b = glass.bp.to_bqe()
    assert (
        b.bp.correlation_map(glass.Sq).bp.plot.correlation().get_ylabel()
        == "correlation of $B(Q,E)$ with $S(Q)$"
    )
    plt.close("all")
    scaled = omega.bp.cut_E(3, 0.5).bp.scale_to_sq(table.Sq).bp.plot.scaling()
    assert scaled.get_ylabel() == "$Ω(Q)$ (meV$^{-1}$)"
    assert {text.get_text() for text in scaled.get_legend().get_texts()} == {
        "$Ω(Q)$",
        "$A\\,S(Q)$",
    }
    plt.close("all")
    # The fluctuation of a pure number has a scale.
    phi = omega.isel(E=0, drop=True).assign_attrs(
        units="1", quantity="static_fluctuation"
    )
    assert phi.bp.plot.cut().get_ylabel() == "$φ(Q)$"
    plt.close("all")


def test_separability_shows_the_ratio_and_where_it_is_one() -> None:
    Q, E = np.linspace(2, 8, 30), np.linspace(0.5, 20, 40)
    S = 1 + 0.3 * np.sin(2 * Q)
    profile = np.exp(-(np.log(E / 5) ** 2))
    # Eq. 2 holds up to 10 meV only.
    values = profile * np.where(E < 10, S[:, None], 1.0)
    B = xbp.new_dataset(
        "reduced_dos",
        values * np.random.default_rng(1).normal(1, 0.01, values.shape),
        std=0.01 * values,
        units="1",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )
    sq = xr.DataArray(S, dims="Q", coords={"Q": B.Q}, attrs={"units": "1"})
    table = B.bp.fit_bqe(sq.assign_attrs(quantity="static_structure_factor"), "free")
    left, right, bar = table.bp.plot.separability((1, 18)).axes
    shown = table.sel(E=slice(1, 18))
    (mesh,) = left.collections
    np.testing.assert_allclose(
        np.asarray(mesh.get_array()).reshape(shown.sizes["E"], Q.size),
        shown.ratio.transpose("E", "Q"),
    )
    assert mesh.get_clim() == (0, 2)
    found, noise = right.lines[:2]
    np.testing.assert_allclose(found.get_xdata(), shown.rms_E)
    np.testing.assert_allclose(noise.get_xdata(), shown.noise_E)
    ends = sorted({float(line.get_ydata()[0]) for line in left.lines})
    assert ends == [float(table.E_holds_low), float(table.E_holds_high)]
    assert ends[1] == pytest.approx(10, abs=0.6)
    assert "angstrom" not in bar.get_ylabel()
    with pytest.raises(QuantityError, match="fit_bqe"):
        B.bp.boson_peak().bp.plot.separability()


@pytest.mark.slow
def test_the_figure_of_data_is_that_of_its_kind(
    b: xr.Dataset, glass: xr.Dataset
) -> None:
    ax = b.bp.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$Q$ (Å$^{-1}$)", "$E$ (meV)")
    assert b.bp.plot(E_range=(1, 20)).get_ylim() == (1, 20)
    assert len(b.bp.cut_Q((2, 8)).bp.plot().lines) == 1
    assert "S(Q)" in glass.Sq.bp.plot().get_ylabel()
    fit = b.bp.cut_E(3, 0.5).bp.scale_to_sq(glass.Sq)
    assert fit.bp.plot().get_ylabel() == fit.bp.plot.scaling().get_ylabel()
    with pytest.raises(QuantityError, match=r"alone\n.*data\.bp\.plot\.peak\(…\)"):
        b.bp.cut_Q((2, 8)).bp.boson_peak(E_range=(1.2, 12)).bp.plot()
    with pytest.raises(QuantityError, match="no attrs"):
        xr.DataArray([1.0], dims="E").bp.plot()


@pytest.mark.slow
def test_a_map_names_what_is_drawn_over_it(b: xr.Dataset, glass: xr.Dataset) -> None:
    marked = b.assign_coords(box_phonon=((), 2.0, {"units": "meV"}))
    peaks = b.bp.boson_peak(E_range=(1.2, 12))
    ax = marked.bp.plot.map(glass.Sq, E_range=(1, 20), peak=peaks)
    legends = [one.get_legend() for one in ax.figure.axes if one.get_legend()]
    (legend,) = legends
    assert legend.axes is not ax  # above S(Q)
    assert [text.get_text() for text in legend.get_texts()] == [
        "first phonon of the box",
        "boson peak",
    ]
