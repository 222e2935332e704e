"""The comparison table, against numbers done by hand."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from samples import heat_capacity

import xbp
from xbp.core.common_errors import with_common
from xbp.errors import QuantityError
from xbp.models.lineshapes import lognormal

PAPER = {"ins": "5.5 meV", "raman": "6.0 meV", "heat_capacity": "6.2 meV"}


def codes(table: xr.Dataset) -> set[str]:
    return {doubt.code for doubt in table.bp.diagnostics()}


def stated(**energies: tuple[str, str | None]) -> xr.DataTree:
    return xbp.new_study(
        {
            k: xbp.stated_energy(e, s, reference="doi:...")
            for k, (e, s) in energies.items()
        }
    )


def test_the_paper_s_table() -> None:
    table = stated(**{k: (v, "0.4 meV") for k, v in PAPER.items()}).bp.compare()
    assert table.energy.values.tolist() == [5.5, 6.0, 6.2]
    assert float(table.discrepancy) == pytest.approx(0.7 / 6.2)
    assert round(100 * float(table.discrepancy)) == 11
    assert float(table.discrepancy_std) == pytest.approx(
        5.5 / 6.2 * np.hypot(0.4 / 5.5, 0.4 / 6.2)
    )
    assert float(table.spread) == pytest.approx(0.7)
    assert float(table.mean_energy) == pytest.approx(5.9)
    assert float(table.mean_energy_std) == pytest.approx(0.4 / np.sqrt(3))
    chi2 = (0.4**2 + 0.1**2 + 0.3**2) / 0.4**2
    assert float(table.chi2) == pytest.approx(chi2)
    assert float(table.p_value) == pytest.approx(scipy.stats.chi2.sf(chi2, 2))
    assert "discrepancy 0.113 ± " in repr(table.bp)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(1, 20), st.floats(0.01, 2)), min_size=2, max_size=6),
    st.sampled_from([("meV", 1.0), ("THz", 0.2417989242), ("1/cm", 8.065543937)]),
)
def test_any_energies_in_any_units(
    given_: list[tuple[float, float]], unit: tuple[str, float]
) -> None:
    name, factor = unit
    e, s = np.array(given_).T
    table = stated(
        **{
            f"leaf{i}": (f"{x * factor!r} {name}", f"{d * factor!r} {name}")
            for i, (x, d) in enumerate(given_)
        }
    ).bp.compare()
    np.testing.assert_allclose(table.energy, e, rtol=1e-8)
    np.testing.assert_allclose(table.energy_std, s, rtol=1e-8)
    mean = np.average(e, weights=s**-2.0)
    np.testing.assert_allclose(table.mean_energy, mean, rtol=1e-8)
    np.testing.assert_allclose(
        table.chi2, (((e - mean) / s) ** 2).sum(), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        table.discrepancy, np.ptp(e) / e.max(), rtol=1e-6, atol=1e-9
    )


def test_leaves_without_an_error_take_no_part_in_chi2() -> None:
    table = stated(
        a=("5 meV", None), b=("6 meV", "0.5 meV"), c=("7 meV", "0.5 meV")
    ).bp.compare()
    assert np.isnan(table.energy_std[0])
    assert float(table.discrepancy) == pytest.approx(2 / 7)
    assert (
        float(table.mean_energy),
        float(table.chi2),
        int(table.degrees_of_freedom),
    ) == (6.5, pytest.approx(2.0), 1)
    alone = stated(a=("5 meV", None), b=("6 meV", "0.5 meV")).bp.compare()
    assert np.isnan(alone.chi2)
    assert np.isnan(alone.p_value)
    assert np.isnan(stated(a=("5 meV", None)).bp.compare().discrepancy)


def test_among() -> None:
    study = stated(a=("5 meV", "1 meV"), b=("6 meV", "1 meV"), md=("3 meV", "1 meV"))
    table = study.bp.compare(["a", "b"])
    assert table.compared.values.tolist() == [1, 1, 0]
    assert float(table.discrepancy) == pytest.approx(1 / 6)
    assert float(table.energy.sel(leaf="md")) == 3
    for among in (["c"], [], "x"):
        with pytest.raises(QuantityError, match="among"):
            study.bp.compare(among)
    with pytest.raises(QuantityError, match="heat_capacity"):
        study.bp.compare(heat_capacity="debye")


@pytest.mark.slow
def test_spectra_give_their_own_peaks(unmarked: xr.Dataset) -> None:
    """What compare says of a leaf is what the chain says of it, in every unit."""
    b = unmarked.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    peak = b.bp.boson_peak("quadratic", E_range=(1.2, 20))
    assert float(peak.chi2_reduced) > 10  # the std contains the misfit
    for data in (
        unmarked,
        unmarked.bp.convert(E="1/cm", Q="1/nm"),
        unmarked.bp.to_gdos(),
        unmarked.bp.to_bqe(),
    ):
        table = xbp.new_study(
            {"md": data},
            Q_range={"md": ("2.1 1/angstrom", "8.5 1/angstrom")},
            E_range={"md": ("1.2 meV", "20 meV")},
            method={"md": "quadratic"},
            systematic={"md": "0.3 meV"},
        ).bp.compare()
        assert float(table.energy[0]) == pytest.approx(float(peak.energy), rel=1e-6)
        assert float(table.statistical_std[0]) == pytest.approx(
            float(peak.energy_std), rel=1e-3
        )
        assert float(table.energy_std[0]) == pytest.approx(
            float(np.hypot(peak.energy_std, 0.3)), rel=1e-5
        )
        assert float(table.box_phonon[0]) == pytest.approx(float(unmarked.box_phonon))


def test_a_status_is_carried_not_hidden(unmarked: xr.Dataset) -> None:
    cut = {"Q_range": {"md": (2.1, 8.5)}}
    low = unmarked.assign_coords(box_phonon=((), 2.2, {"units": "meV"}))
    for data, limits, status in (
        (low, ("1.2 meV", "12 meV"), "box phonon"),
        (unmarked, ("2.2 meV", "12 meV"), "maximum at edge"),
    ):
        study = xbp.new_study({"md": data, "ins": xbp.stated_energy("5.5 meV", "0.3 meV", reference="a")},
                              E_range={"md": limits}, **cut)  # fmt: skip
        table = study.bp.compare()
        assert table.status.values.tolist() == [status, "ok"]
        assert np.isnan(table.energy[0])
        assert np.isnan(table.energy_std[0])
        assert int(table.n_energies) == 1
        assert float(table.mean_energy) == 5.5
        assert status in repr(table.bp)
    # A table of results that has no peak is a leaf too, with its status.
    none = unmarked.bp.to_bqe().bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(2.2, 12))
    assert xbp.new_study({"md": none}).bp.compare().status.values.tolist() == [
        "maximum at edge"
    ]


@pytest.mark.slow
def test_both_energies_of_a_heat_capacity() -> None:
    T, modes = (
        np.geomspace(2, 300, 60),
        {"gamma": 0, "n_D": 0.8, "theta_D": 260, "n_E": 0.2, "theta_E": 71.95},
    )
    fit = xbp.models.evaluate(
        "debye_einstein", T, sigma_E=15, **modes
    ).bp.fit_heat_capacity(fixed={"gamma": 0})
    study = xbp.new_study({"heat_capacity": fit})
    peak, einstein = study.bp.compare(), study.bp.compare(heat_capacity="einstein")
    assert float(einstein.energy[0]) == pytest.approx(6.2, abs=1e-3)
    assert float(peak.energy[0]) == pytest.approx(float(fit.energy))
    assert float(peak.energy[0]) < float(einstein.energy[0])
    assert (
        float(peak.einstein_energy[0])
        == float(einstein.einstein_energy[0])
        == float(einstein.energy[0])
    )
    # Modes spread so wide that g/E² falls everywhere: the one energy has no number, the other has.
    wide = xbp.models.evaluate(
        "debye_einstein", T, sigma_E=30, **modes
    ).bp.fit_heat_capacity(fixed={"gamma": 0})
    table = xbp.new_study({"heat_capacity": wide}).bp.compare()
    assert table.status.values.tolist() == ["no maximum"]
    assert np.isnan(table.energy[0])
    assert float(table.einstein_energy[0]) == pytest.approx(6.2, abs=0.01)


def test_a_model_has_no_error_of_its_own() -> None:
    """How far a log-normal misses a formula is no error of the energy, and takes no weight of the measured ones."""
    E = np.linspace(0.2, 30, 300)
    model = xbp.models.evaluate(
        "debye_gaussian_dos", E, n_D=0.8, energy_D=25, n_E=0.2, energy_E=8, sigma_E=1.6
    )
    said = xbp.stated_energy("5.5 meV", "0.4 meV", reference="a")
    table = xbp.new_study({"model": model, "said": said}).bp.compare()
    assert np.isnan(table.energy_std.sel(leaf="model"))
    assert float(table.mean_energy) == pytest.approx(5.5)
    table = xbp.new_study(
        {"model": model, "said": said}, systematic={"model": "0.3 meV"}
    ).bp.compare()
    assert float(table.energy_std.sel(leaf="model")) == pytest.approx(0.3)


def test_the_mean_of_what_disagrees_has_the_error_of_the_disagreement() -> None:
    said = {
        str(i): xbp.stated_energy(e, 0.1, reference="a")
        for i, e in enumerate((5.0, 6.0, 7.0))
    }
    table = xbp.new_study(said).bp.compare()
    assert float(table.chi2) == pytest.approx(200)
    assert float(table.mean_energy_std) == pytest.approx(
        0.1 / np.sqrt(3) * np.sqrt(200 / 2)
    )
    assert "energies_differ" in codes(table)
    figure = xbp.new_study(said).bp.plot()
    assert any("not one energy" in ax.get_title() for ax in figure.axes)
    alike = {
        str(i): xbp.stated_energy(e, 0.5, reference="a")
        for i, e in enumerate((5.9, 6.0))
    }
    table = xbp.new_study(alike).bp.compare()
    assert float(table.mean_energy_std) == pytest.approx(0.5 / np.sqrt(2))
    assert int(table.degrees_of_freedom) == 1
    plt.close("all")


def test_a_stated_energy_names_its_source() -> None:
    with pytest.raises(QuantityError, match="reference=None"):
        xbp.stated_energy("5.5 meV")


@pytest.mark.slow
def test_einstein_modes_that_mean_nothing_are_compared_by_neither_energy() -> None:
    """Where Debye phonons alone describe a heat capacity, the mean of its Einstein modes is no energy of anything."""
    T = np.geomspace(2, 300, 60)
    exact = xbp.models.evaluate(
        "debye_einstein", T, gamma=0, n_D=1, theta_D=260, n_E=0, theta_E=72, sigma_E=15
    ).C.values  # fmt: skip
    for seed in range(12):
        noisy = exact * (1 + np.random.default_rng(seed).normal(0, 0.01, T.size))
        C = xbp.new_dataset(
            "heat_capacity",
            noisy,
            std=0.01 * exact,
            units="J/mol/K",
            coords={"temperature": (T, "K")},
        )
        fit = C.bp.fit_heat_capacity(fixed={"gamma": 0})
        if str(fit.peak_status.values) == "no excess":
            break
    else:
        pytest.fail("none of the draws was described by Debye phonons alone")
    study = xbp.new_study(
        {"cp": fit, "said": xbp.stated_energy("5.5 meV", "0.4 meV", reference="a")}
    )
    for which in ("peak", "einstein"):
        table = study.bp.compare(heat_capacity=which)
        assert str(table.status.sel(leaf="cp").values) == "no excess"
        assert np.isnan(table.energy.sel(leaf="cp"))
        assert int(table.n_energies) == 1


def test_a_poor_fit_is_told_beside_its_energy() -> None:
    E = np.linspace(1, 15, 120)
    twice = np.exp(-(((E - 4) / 1.2) ** 2)) + 0.8 * np.exp(-(((E - 8.5) / 1.2) ** 2))
    b = xbp.new_dataset("reduced_dos", twice, units="1", coords={"E": (E, "meV")})
    study = xbp.new_study({"b": b}, E_range={"b": (1.5, 13)})
    assert "poor_fit" in codes(study.bp.compare())
    stated = xbp.new_study(
        {"said": xbp.stated_energy("5.5 meV", "0.4 meV", reference="a")}
    )
    assert "poor_fit" not in codes(stated.bp.compare())


def _raman(noise: float = 0.01) -> xr.Dataset:
    energies = np.linspace(1.5, 25, 150)
    values = lognormal(energies, 6.0, 1.0, 0.6) + 0.2 * lognormal(
        energies, 11.0, 1.0, 0.3
    )
    values += noise * np.random.default_rng(2).normal(size=energies.size)
    return xbp.new_dataset(
        "reduced_dos",
        values,
        units="1",
        coords={"E": (energies, "meV")},
        std=np.full(energies.size, noise),
    )


@pytest.mark.slow
def test_a_scan_is_a_leaf_with_its_systematic_error(tmp_path: Path) -> None:
    scan = _raman().bp.convert(E="1/cm").bp.scan_boson_peak()
    T = np.geomspace(2, 300, 80)
    C = heat_capacity(T)
    C["C"] *= 1 + 3e-4 * C.temperature.values
    heat = C.drop_attrs(deep=False).bp.scan_heat_capacity(fixed={"gamma": 0})
    ins = xbp.stated_energy("5.5 meV", "0.4 meV", reference="a")
    study = xbp.new_study({"raman": scan, "heat": heat, "ins": ins})
    study.bp.to_netcdf(tmp_path / "study.nc")
    study = xbp.open_study(tmp_path / "study.nc")
    table = study.bp.compare()
    factor = 8.0655439
    systematic = float(scan.systematic) / factor
    assert systematic > 0.05
    np.testing.assert_allclose(
        table.systematic_std, [systematic, float(heat.systematic), 0], rtol=1e-6
    )
    birge = max(float(scan.chi2_reduced), 1.0) ** 0.5
    expected = np.hypot(birge * float(scan.energy_std) / factor, systematic)
    assert float(table.energy_std[0]) == pytest.approx(expected, rel=1e-6)
    modes = study.bp.compare(heat_capacity="einstein")
    assert float(modes.systematic_std[1]) == pytest.approx(float(heat.systematic_E))
    assert float(heat.systematic_E) != pytest.approx(float(heat.systematic))
    assert "no_systematic_error" not in codes(table)
    told = xbp.new_study({"raman": scan}, systematic={"raman": "0.7 meV"}).bp.compare()
    assert float(told.systematic_std[0]) == pytest.approx(0.7)
    study.bp.report(tmp_path / "study.html")
    study.bp.plot()
    plt.close("all")


def test_it_says_whose_errors_are_too_small_or_missing() -> None:
    leaves = {
        "raman": _raman(),
        "ins": xbp.stated_energy("5.5 meV", None, reference="a"),
    }
    found = {d.code: d for d in xbp.new_study(leaves).bp.compare().bp.diagnostics()}
    assert found["no_systematic_error"].message.startswith("raman: ")
    assert found["no_error"].message.startswith("ins: ")
    table = xbp.new_study(leaves, systematic={"raman": "0.3 meV"}).bp.compare()
    assert "no_systematic_error" not in codes(table)
    table = xbp.new_study(leaves).bp.compare(["ins"])
    assert "no_systematic_error" not in codes(table)


def test_a_table_of_a_model_s_peak_has_no_statistical_error_either() -> None:
    formula = xbp.models.evaluate(
        "lognormal", np.linspace(1.5, 25, 150), energy="6 meV", height=1.0, sigma=0.6
    )
    tables = {
        "formula": formula.bp.boson_peak("quadratic"),
        "measured": _raman().bp.boson_peak("quadratic"),
    }
    assert float(tables["formula"].energy_std) > 0
    compared = xbp.new_study(tables).bp.compare()
    assert np.isnan(compared.statistical_std[0])
    assert float(compared.statistical_std[1]) == float(tables["measured"].energy_std)


@pytest.mark.slow
def test_a_van_hove_singularity_is_told_of_its_leaf() -> None:
    energies = np.arange(0.4, 60, 0.8)
    g = energies**2 * (1 / (1 + np.exp(energies - 19)) + 0.25 * (energies < 36))
    B = (g + 200 * np.exp(-(((energies - 18) / 2) ** 2))) / energies**2
    crystal = xbp.new_dataset(
        "reduced_dos", B, units="1", coords={"E": (energies, "meV")}, std=0.01 * B
    )
    leaves = {
        "spectrum": crystal,
        "table": crystal.bp.boson_peak(),
        "scan": crystal.bp.scan_boson_peak(),
    }
    table = xbp.new_study(leaves | {"raman": _raman()}).bp.compare()
    assert (table.modes_below[:3] > 0.1).all()
    found = {d.code: d for d in table.bp.diagnostics()}
    assert found["many_modes_below"].message.startswith("spectrum, table, scan: ")
    alone = xbp.new_study({"raman": _raman()}).bp.compare()
    assert "many_modes_below" not in codes(alone)


def test_a_line_and_one_source_are_told_in_the_comparison() -> None:
    E = np.linspace(1, 25, 200)
    line = xbp.new_dataset(
        "reduced_dos",
        np.exp(-((E - 8) ** 2) / 0.5) + 0.1,
        units="1",
        coords={"E": (E, "meV")},
        attrs={"source": "one.txt"},
    )
    peak = line.bp.boson_peak(E_range=(6, 10))
    leaves = {
        "line": line,
        "table": peak,
        "other": xbp.stated_energy("5 meV", "1 meV", reference="doi"),
    }
    study = xbp.new_study(leaves, E_range={"line": (6, 10)})
    found = {d.code: d for d in study.bp.compare().bp.diagnostics()}
    assert found["narrow_peak"].message.startswith("line, table: ")
    assert "line, table are of one source (one.txt)" in found["same_source"].message
    assert "same_source" not in codes(study.bp.compare(["line", "other"]))
    assert list(study.bp.compare().source.values) == ["one.txt", "one.txt", ""]


def test_an_error_that_two_leaves_share_is_not_one_of_their_difference() -> None:
    """Two peaks with one temperature's error of 0.3 meV each, and 0.1 meV of their own."""

    def peak(energy: float, factor: str) -> xr.Dataset:
        table = xbp.stated_energy(f"{energy} meV", "0.1 meV", reference="here")
        part = xr.Variable((), 0.3)
        return with_common(
            table, {"energy": (table.energy_std.variable, {factor: part})}
        )

    def totals(*factors: str) -> xr.Dataset:
        leaves = {f"leaf {i}": peak(5 + 0.2 * i, f) for i, f in enumerate(factors)}
        return xbp.new_study(leaves).bp.compare()

    shared, apart = totals("T", "T"), totals("T1", "T2")
    for table in (shared, apart):
        np.testing.assert_allclose(table.energy_std, np.hypot(0.1, 0.3))
    ratio = 5 / 5.2
    own = ratio * np.hypot(0.1 / 5, 0.1 / 5.2)
    slope = ratio * 0.3 * (1 / 5 - 1 / 5.2)
    assert float(shared.discrepancy_std) == pytest.approx(np.hypot(own, slope))
    assert float(apart.discrepancy_std) > 2.5 * own
    assert float(shared.chi2) == pytest.approx((0.2 / np.hypot(0.1, 0.1)) ** 2)
    assert float(apart.chi2) == pytest.approx(0.2**2 / (2 * (0.1**2 + 0.3**2)))
    assert float(shared.mean_energy_std) == pytest.approx(
        np.hypot(0.1 / 2**0.5, 0.3) * max(float(shared.chi2), 1) ** 0.5
    )
