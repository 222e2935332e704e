"""Titles: they end where the figure does, and say of a poor fit that it is one."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.plot.style import axes_of, set_title

COLUMN = (8.6 / 2.54, 2.6)


def heat(gamma: float, *, noise: float = 0.0) -> xr.Dataset:
    """C_p of a glass from 2 to 60 K."""
    T = np.geomspace(2, 60, 80)
    C = xbp.models.evaluate(
        "debye_einstein",
        T,
        gamma=gamma,
        n_D=0.8,
        theta_D=260,
        n_E=0.2,
        theta_E=72,
        sigma_E=15,
    )
    values = C.C.values * (1 + noise * np.random.default_rng(0).standard_normal(80))
    made: xr.Dataset = xbp.new_dataset(
        "heat_capacity",
        values,
        std=0.01 * values,
        units="J/mol/K",
        coords={"temperature": (T, "K")},
    )
    return made


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4.8, 3.6), COLUMN])
def test_no_title_is_cut_off(size: tuple[float, float], glass: xr.Dataset) -> None:
    table = heat(0.0).bp.fit_heat_capacity()
    negative = table.assign(
        gamma=table.gamma * 0 - 1.0,
        peak_status=xr.full_like(table.peak_status, "unphysical"),
    )
    spectrum = glass.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    six = heat(1e-4).bp.fit("debye_einstein")
    axes = [
        negative.bp.plot.heat_capacity(figsize=size),
        spectrum.bp.plot.peak(spectrum.bp.boson_peak(E_range=(1.2, 12)), figsize=size),
        heat(1e-4).bp.plot.fit(six, figsize=size),
        axes_of(None, size),
    ]
    set_title(
        axes[-1],
        "every number has its error: " + ", ".join(["$E_0$ = 1.000 ± 0.002 meV"] * 6),
    )
    for ax in axes:
        ax.figure.draw_without_rendering()
        box, figure = ax.title.get_window_extent(), ax.figure.bbox
        assert box.width > 0
        assert box.x0 >= figure.x0
        assert box.x1 <= figure.x1
        assert box.y1 <= figure.y1


def test_lines_are_broken_between_words_and_formulas_stay_whole() -> None:
    ax = axes_of(None, COLUMN)
    said = r"$\chi^2_\mathrm{red} = 12$ of $E_0$ = 1.000 ± 0.002 meV and of $E_0$ = 2.000 ± 0.002 meV"
    set_title(ax, said, "", "short")
    first, *others, last = ax.get_title().split("\n")
    assert last == "short"
    assert " ".join([first, *others]) == said
    assert first.startswith(r"$\chi^2_\mathrm{red} = 12$ of")
    assert not any(
        line.startswith("±") or line.endswith("±")
        for line in ax.get_title().split("\n")
    )


@pytest.mark.slow
def test_why_there_is_no_maximum_is_said_in_few_words() -> None:
    table = heat(0.0).bp.fit_heat_capacity()
    none = xr.full_like(table.peak_status, "unphysical")
    negative = (
        table.assign(gamma=table.gamma * 0 - 1.0, peak_status=none)
        .bp.plot.heat_capacity()
        .get_title()
    )
    assert "unphysical, gamma below 0" in negative
    assert "fixed=" not in negative
    many = table.assign(gamma=table.gamma * 0 + 1.0, peak_status=none)
    assert "unphysical, too many modes" in many.bp.plot.heat_capacity().get_title()


@pytest.mark.slow
def test_the_title_of_a_scan_gives_its_systematic_error_and_the_figure_a_band() -> None:
    E = np.linspace(1, 20, 120)
    smooth = xbp.models.evaluate(
        "lognormal", E, energy="5.5 meV", height=2, sigma=0.6
    ).B.values
    B = xbp.new_dataset(
        "reduced_dos", smooth + 0.02 * np.sin(E), units="1", coords={"E": (E, "meV")}
    )
    scan = B.bp.scan_boson_peak(methods=["lognormal", "gaussian"])
    energy, spread = float(scan.energy), float(scan.systematic)
    assert spread > 0.01
    ax = B.bp.plot.peak(scan)
    assert f" ± {spread:.2g} (range, shape) meV\n" in ax.get_title()
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((energy - spread, energy + spread))
    one = B.bp.plot.peak(B.bp.boson_peak(E_range=(2, 12)))
    assert "range" not in one.get_title()
    assert not one.patches
    assert (
        " (range) meV"
        in B.bp.plot.peak(B.bp.scan_boson_peak(methods=["lognormal"])).get_title()
    )


@pytest.mark.slow
def test_of_many_scans_the_systematic_errors_are_drawn_beside_those_of_the_fits(
    peaked: xr.Dataset,
) -> None:
    ranges = [("0.9 meV", "12 meV"), ("0.9 meV", "8 meV")]
    scans = (
        peaked.bp.to_bqe()
        .sel(Q=slice(5, 5.5))
        .bp.scan_boson_peak(E_ranges=ranges, methods=["lognormal"])
    )
    bars = [container.lines[2][0] for container in scans.bp.plot.peak().containers]
    fit, choice = (
        np.array([np.ptp(bar[:, 1]) / 2 for bar in bars_of.get_segments()])
        for bars_of in bars
    )
    np.testing.assert_allclose(fit, scans.energy_std)
    np.testing.assert_allclose(choice, scans.systematic)


@pytest.mark.slow
def test_the_title_of_a_scanned_heat_capacity_gives_both_systematic_errors() -> None:
    C = heat(3e-4, noise=0.01)
    scan = C.bp.scan_heat_capacity()
    einstein, dos = (
        C.bp.plot.heat_capacity(scan).get_title().replace("\xa0", " ").split(" meV")[:2]
    )
    assert einstein.endswith(f" ± {float(scan.systematic_E):.2g} (range)")
    assert dos.endswith(f" ± {float(scan.systematic):.2g} (range)")
    assert float(scan.systematic) != float(scan.systematic_E)
    assert "range" not in C.bp.plot.heat_capacity(C.bp.fit_heat_capacity()).get_title()


def panel(study: xr.DataTree, name: str) -> str:
    return next(
        ax.get_title() for ax in study.bp.plot().axes if ax.get_title().startswith(name)
    )


@pytest.mark.slow
def test_a_study_says_of_a_poor_heat_capacity_what_its_figure_says() -> None:
    good, poor = (
        heat(0.0).bp.fit_heat_capacity(),
        heat(3e-4, noise=0.01).bp.fit_heat_capacity(fixed={"gamma": 0}),
    )
    assert float(poor.chi2_reduced) > 10
    assert str(poor.peak_status.values) == "ok"
    study = xbp.new_study(
        {
            "good": good,
            "bad": poor,
            "bare": poor.drop_vars(["C", "C_std", "temperature"]),
        }
    )
    for name, table in (("good", good), ("bad", poor)):
        assert ("(poor)" in table.bp.plot.heat_capacity().get_title()) == (
            name == "bad"
        )
        assert ("(poor)" in panel(study, name)) == (name == "bad")
        assert "maximum of $g/E^2$: " in panel(study, name)
    assert "(poor)" in panel(study, "bare")


@pytest.mark.slow
def test_gamma_held_at_nothing_on_data_that_have_one_is_poor() -> None:
    """Without errors of the points: chi-squared is not known, and the residual of all points is small."""
    without = (
        heat(3e-4, noise=0.01)
        .drop_vars("C_std")
        .bp.fit_heat_capacity(fixed={"gamma": 0})
    )
    assert float(without.relative_residual) < 0.05
    assert "(poor)" in without.bp.plot.heat_capacity().get_title()
    for table in (
        heat(3e-4, noise=0.01).drop_vars("C_std").bp.fit_heat_capacity(),
        heat(0.0, noise=0.04)
        .drop_vars("C_std")
        .bp.fit_heat_capacity(fixed={"gamma": 0}),
    ):
        assert "(poor)" not in table.bp.plot.heat_capacity().get_title()


@pytest.mark.slow
def test_no_panel_of_a_study_stands_alone_in_its_row() -> None:
    B = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6
    )
    for leaves, rows in ((4, [3, 3]), (5, [4, 3]), (6, [4, 4])):
        axes = xbp.new_study({f"leaf {i}": B for i in range(leaves)}).bp.plot().axes
        at = [ax.get_subplotspec().rowspan.start for ax in axes]
        assert [at.count(row) for row in sorted(set(at))] == rows
