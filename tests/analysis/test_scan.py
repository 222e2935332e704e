from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from samples import heat_capacity

import xbp
from xbp.errors import QuantityError, XbpError
from xbp.models.lineshapes import lognormal

E = np.arange(0.25, 30, 0.25)
#: A boson peak with a shoulder: no shape is quite right, so shapes and ranges disagree.
CURVE = lognormal(E, 5.0, 1.0, 0.5) + 0.25 * lognormal(E, 9.0, 1.0, 0.3)


def codes(table: xr.Dataset) -> set[str]:
    return {doubt.code for doubt in table.bp.diagnostics()}


def spectrum(
    values: np.ndarray = CURVE, noise: float = 0.004, seed: int = 3
) -> xr.Dataset:
    drawn = values + noise * np.random.default_rng(seed).normal(size=E.size)
    return xbp.new_dataset(
        "reduced_dos",
        drawn,
        units="angstrom^2/meV^2",
        coords={"E": (E, "meV")},
        std=np.full(E.size, noise),
    )


def heat() -> xr.Dataset:
    T = np.geomspace(2, 300, 90)
    C = heat_capacity(T)
    # Far from any fit's own form: what stands in for anharmonicity makes the upper end of the range matter.
    values = (
        C.C.values
        * (1 + 2e-4 * T)
        * (1 + 0.002 * np.random.default_rng(1).normal(size=T.size))
    )
    return xbp.new_dataset(
        "heat_capacity", values, units="J/mol/K", coords={"temperature": (T, "K")}, std=0.002 * values,
        attrs={"amount": "atoms"},
    )  # fmt: skip


@pytest.mark.slow
def test_a_scan_is_the_fits_one_by_one() -> None:
    b = spectrum()
    ranges, methods = (
        [("2 meV", "10 meV"), ("2 meV", "16 meV"), ("3 meV", "12 meV")],
        ("quadratic", "lognormal"),
    )
    scan = b.bp.scan_boson_peak(ranges, methods)
    assert scan.scan_energy.dims == ("method", "range")
    assert list(scan["range"].values) == [
        "2 meV to 10 meV",
        "2 meV to 16 meV",
        "3 meV to 12 meV",
    ]
    energies = []
    for i, method in enumerate(methods):
        for j, limits in enumerate(ranges):
            one = b.bp.boson_peak(method, limits)
            here = scan.isel(method=i, range=j)
            assert here.scan_status == one.status
            for name in (
                "energy",
                "energy_std",
                "E_low",
                "E_high",
                "relative_residual",
                "chi2_reduced",
            ):
                np.testing.assert_array_equal(here[f"scan_{name}"], one[name])
            energies += [float(one.energy)]
    assert float(scan.systematic) == pytest.approx(
        (np.nanmax(energies) - np.nanmin(energies)) / 2
    )
    # With no shape of its own, the second method agrees with the log-normal.
    stds = scan.scan_energy_std.values
    assert float(scan.systematic) < stds.max()
    first = b.bp.boson_peak("quadratic", ranges[0])
    assert first.status == "ok"
    # The table is that of the choice named first.
    xr.testing.assert_identical(
        scan.drop_vars([n for n in scan.variables if str(n).startswith("scan_") or n in ("systematic", *scan.dims)])
        .drop_attrs(),
        first.drop_attrs(),
    )  # fmt: skip
    assert scan.attrs["method"] == "quadratic"
    assert '"scan_boson_peak"' in scan.attrs["history"].splitlines()[-1]
    assert '"boson_peak"' not in scan.attrs["history"]


def test_without_ranges_those_about_the_automatic_one_are_tried() -> None:
    b = spectrum()
    scan = b.bp.scan_boson_peak(methods=["lognormal"]).isel(method=0)
    assert list(scan["range"].values) == ["automatic", "narrower", "wider"]
    one = b.bp.boson_peak()
    assert (
        float(scan.energy)
        == float(one.energy)
        == float(scan.scan_energy.sel(range="automatic"))
    )
    width = np.log(scan.scan_E_high / scan.scan_E_low)
    np.testing.assert_allclose(
        width / width.sel(range="automatic"), [1, 0.7, 1.4], atol=0.1
    )
    middle = np.sqrt(scan.scan_E_high * scan.scan_E_low)
    np.testing.assert_allclose(middle, middle.sel(range="automatic"), rtol=0.05)
    assert len(set(scan.scan_energy.values)) == 3


@pytest.mark.slow
def test_a_parabola_is_not_fitted_over_more_than_the_top() -> None:
    """Over more of a peak with a tail it is shifted, which is the parabola's doing and no uncertainty of the peak."""
    b = spectrum(lognormal(E, 8.0, 1.0, 0.8))
    scan = b.bp.scan_boson_peak()
    for name in ("energy", "E_low", "E_high"):
        parabola = scan[f"scan_{name}"].sel({"method": "quadratic"})
        assert float(parabola.sel(range="wider")) == float(
            parabola.sel(range="automatic")
        )
        assert float(parabola.sel(range="narrower")) != float(
            parabola.sel(range="automatic")
        )
    # Ranges that are named are fitted as they are.
    named = b.bp.scan_boson_peak(
        [("3 meV", "7 meV"), ("2 meV", "12 meV")], ["quadratic"]
    )
    assert float(named.scan_E_high[0, 0]) < float(named.scan_E_high[0, 1])


@pytest.mark.slow
def test_fits_that_failed_are_left_out_of_the_error_and_of_the_choice() -> None:
    b = spectrum()
    scan = b.bp.scan_boson_peak(
        [("12 meV", "28 meV"), ("2 meV", "14 meV"), None], ["lognormal"]
    )
    assert list(scan.scan_status.values[0]) != ["ok"] * 3
    assert scan.scan_status.values[0][0] != "ok"
    assert scan.status == "ok"
    assert float(scan.E_high) == pytest.approx(14, abs=0.3)
    of_two = scan.scan_energy.values[0][1:]
    assert float(scan.systematic) == pytest.approx(abs(of_two[0] - of_two[1]) / 2)
    alone = b.bp.scan_boson_peak([("12 meV", "28 meV"), None], ["lognormal"])
    assert np.isnan(alone.systematic)
    assert "no_systematic_error" in codes(alone)
    none = spectrum(1 + 0 * E).bp.scan_boson_peak()
    assert none.status != "ok"
    assert "0 of 9 fits" in repr(none.bp)


@pytest.mark.slow
def test_every_spectrum_has_its_own_error() -> None:
    b, plain = spectrum(), spectrum(lognormal(E, 5.0, 1.0, 0.5))
    both = xr.concat([b, plain], "sample")
    scan = both.bp.scan_boson_peak()
    assert scan.systematic.dims == ("sample",)
    for i, each in enumerate((b, plain)):
        assert float(scan.systematic[i]) == pytest.approx(
            float(each.bp.scan_boson_peak().systematic), rel=1e-10
        )
    dask = both.chunk({"sample": 1}).bp.scan_boson_peak()
    xr.testing.assert_allclose(dask, scan)


@pytest.mark.slow
def test_what_is_printed() -> None:
    scan = spectrum().bp.scan_boson_peak()
    said = repr(scan.bp)
    assert f"± {float(scan.systematic):.2g} (systematic) meV" in said
    assert "next: .bp.plot.peak()" not in said.split("\n")[0]
    assert "scan_boson_peak()" in repr(spectrum().bp)
    assert "scan_heat_capacity()" in repr(heat().bp)


@pytest.mark.slow
def test_it_is_drawn_like_one_fit() -> None:
    b = spectrum()
    scan = b.bp.scan_boson_peak()
    axes, one = b.bp.plot.peak(scan), b.bp.plot.peak(b.bp.boson_peak())
    np.testing.assert_array_equal(axes.lines[-2].get_ydata(), one.lines[-2].get_ydata())
    plt.close("all")


@pytest.mark.slow
def test_pint_comes_back_in_kind() -> None:
    pytest.importorskip("pint_xarray")
    b = spectrum()
    scan = b.pint.quantify().bp.scan_boson_peak()
    assert str(scan.systematic.data.units) == "millielectron_volt"
    assert float(scan.systematic.data.magnitude) == float(
        b.bp.scan_boson_peak().systematic
    )


@pytest.mark.slow
def test_heat_capacities_over_ranges_of_temperature() -> None:
    C = heat()
    ranges = [("2 K", "300 K"), ("2 K", "100 K"), ("3 K", "60 K")]
    scan = C.bp.scan_heat_capacity(ranges, fixed={"gamma": 0})
    ones = [C.bp.fit_heat_capacity(limits, fixed={"gamma": 0}) for limits in ranges]
    assert [str(one.peak_status.values) for one in ones] == ["ok"] * 3
    for name, systematic in (("energy", "systematic"), ("energy_E", "systematic_E")):
        energies = [float(one[name]) for one in ones]
        np.testing.assert_array_equal(scan[f"scan_{name}"], energies)
        assert float(scan[systematic]) == pytest.approx(np.ptp(energies) / 2)
        assert float(scan[systematic]) > float(scan[f"{name}_std"])
    xr.testing.assert_identical(scan.C, ones[0].C)
    assert f"± {float(scan.systematic):.2g} (systematic) meV" in repr(scan.bp)
    scan.bp.plot.heat_capacity()
    plt.close("all")
    assert scan.bp.fitted_dos(np.linspace(0.5, 20, 5)).g.notnull().all()
    preset = C.bp.scan_heat_capacity()
    assert list(preset["range"].values[:3]) == [
        "2 K to 300 K",
        "2 K to 150 K",
        "2 K to 75 K",
    ]
    # Rounding of the label loses no point at either end.
    assert preset.scan_temperature_high[0] == C.temperature[-1]


def _broad(gamma: float = -1.5e-3) -> xr.Dataset:
    T = np.geomspace(2, 300, 70)
    C = xbp.models.evaluate(
        "debye_einstein",
        T,
        gamma=gamma,
        n_D=0.343,
        theta_D=260,
        n_E=0.191,
        theta_E=90.9,
        sigma_E=29.4,
    ).C.values
    ds = xbp.new_dataset(
        "heat_capacity",
        C,
        units="J/mol/K",
        coords={"temperature": (T, "K")},
        std=0.003 * C,
    )
    ds["C"].attrs["amount"] = "formula units"
    return ds


@pytest.mark.slow
def test_where_gamma_is_below_zero_it_is_held_at_zero_too() -> None:
    C = _broad()
    scan = C.bp.scan_heat_capacity()
    names = scan["range"].values.tolist()
    assert [name.endswith(", gamma 0") for name in names] == 6 * [False] + 6 * [True]
    assert (scan.scan_peak_status[:6] == "unphysical").all()
    assert np.isnan(scan.scan_energy[:6]).all()
    assert (scan.scan_gamma[6:] == 0).all()
    held = C.bp.fit_heat_capacity(("2 K", "300 K"), fixed={"gamma": 0})
    assert float(scan.scan_energy[6]) == float(held.energy)
    assert float(scan.scan_chi2_reduced[6]) == float(held.chi2_reduced)
    # The table is the first that fits, here not that of all temperatures.
    assert float(held.chi2_reduced) > 10 > float(scan.chi2_reduced)
    assert scan.peak_status == "ok"
    assert "held at 0" in scan.attrs["history"]
    # Who says something of gamma is taken at the word.
    for choice in (
        {"fixed": {"gamma": 0}},
        {"bounds": {"gamma": (-1, 1)}},
        {"start": {"gamma": 0.001}},
    ):
        assert (
            C.bp.scan_heat_capacity([("2 K", "75 K"), ("4 K", "75 K")], **choice).sizes[
                "range"
            ]
            == 2
        )
    # Ranges that are named are preferred in their order, poor or not.
    named = C.bp.scan_heat_capacity([("2 K", "300 K"), ("4 K", "75 K")])
    assert named.sizes["range"] == 4
    assert float(named.chi2_reduced) == float(held.chi2_reduced)
    assert "poor_fit" in codes(named)


@pytest.mark.slow
def test_of_a_gamma_below_zero_what_it_takes_off_is_said() -> None:
    fit = _broad().bp.fit_heat_capacity()
    tail = (
        np.pi**2
        * 8.314
        * 0.191
        * np.exp(-((90.9 / 29.4) ** 2) / 2)
        / (29.4 * np.sqrt(2 * np.pi))
    )
    found = {doubt.code: doubt for doubt in fit.bp.diagnostics()}
    assert f"a gamma of {tail:.2g} J" in found["broad_gaussian"].message
    assert "scan_heat_capacity()" in found["no_boson_peak"].fix
    # The number is that of the model: where all but the tail is frozen, C is gamma T.
    T = np.array([0.06, 0.08])
    C = xbp.models.evaluate(
        "debye_einstein",
        T,
        gamma=0,
        n_D=1e-9,
        theta_D=260,
        n_E=0.191,
        theta_E=90.9,
        sigma_E=29.4,
    )
    np.testing.assert_allclose(C.C / T, tail, rtol=0.03)
    narrow = xbp.models.evaluate(
        "debye_einstein",
        np.geomspace(5, 300, 70),
        gamma=-0.004,
        n_D=0.8,
        theta_D=260,
        n_E=0.2,
        theta_E=72,
        sigma_E=8,
    )
    assert "no_boson_peak" in codes(narrow.bp.fit_heat_capacity())


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (
            lambda b: b.bp.scan_boson_peak(("2 meV", "10 meV")),
            "E_ranges=.* list of ranges",
        ),
        (lambda b: b.bp.scan_boson_peak([]), "E_ranges="),
        (lambda b: b.bp.scan_boson_peak(methods=[]), "methods="),
        (
            lambda b: b.bp.scan_boson_peak(methods=["gaussian", "gaussian"]),
            "methods=",
        ),
        (lambda b: b.bp.scan_boson_peak(methods="parabola"), "parabola"),
        (lambda b: b.bp.scan_boson_peak(methods=np.array("gaussian")), "methods="),
        (
            lambda b: heat().bp.scan_heat_capacity(("2 K", "10 K")),
            "T_ranges=.* list of ranges",
        ),
        (lambda b: heat().bp.scan_heat_capacity(7), "T_ranges="),
    ],
)
def test_bad_calls(call: object, named: str) -> None:
    with pytest.raises(QuantityError, match=named):
        call(spectrum())  # type: ignore[operator]


@pytest.mark.slow
def test_few_fits_among_many_are_no_peak() -> None:
    b = spectrum()
    bad = [("12 meV", "28 meV"), ("14 meV", "28 meV"), ("16 meV", "28 meV")]
    scan = b.bp.scan_boson_peak([*bad, None], ["lognormal"])
    assert int((scan.scan_status == "ok").sum()) == 1
    assert str(scan.status.values) == "undetermined"
    for name in ("energy", "energy_std", "height", "width", "systematic"):
        assert np.isnan(scan[name]), name
    assert np.isfinite(scan.scan_energy).sum() == 1
    assert repr(scan.bp).startswith("boson peak: undetermined")
    assert scan.energy.attrs["units"] == "meV"
    one = b.bp.scan_boson_peak([*bad, None], ["lognormal"], least=0.25)
    assert one.status == "ok"
    assert float(one.energy) == float(b.bp.boson_peak().energy)
    two = b.bp.scan_boson_peak([*bad, None, ("2 meV", "14 meV")], ["lognormal"])
    assert str(two.status.values) == "undetermined"
    # Each spectrum is judged by its own fits.
    both = xr.concat([b, spectrum(1 + 0 * E)], "sample").bp.scan_boson_peak()
    assert both.status.values[0] == "ok"
    for wrong in (-0.1, 1.5, np.nan, "half"):
        with pytest.raises(XbpError, match="least"):
            b.bp.scan_boson_peak(least=wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_one_fit_of_nine_is_no_boson_peak(shared_data: Path) -> None:
    data = xbp.open_dataset(
        shared_data / "doors" / "ac9025.txt",
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    scan = data.bp.to_reduced_raman(T="295 K", coupling="linear").bp.scan_boson_peak()
    assert int((scan.scan_status == "ok").sum()) == 1
    assert str(scan.status.values) == "undetermined"
    assert np.isnan(scan.energy)


@pytest.mark.slow
def test_a_gaussian_is_not_fitted_beyond_its_automatic_range() -> None:
    """Which holds its background: beyond, that is no straight line."""
    scan = spectrum(lognormal(E, 8.0, 1.0, 0.5)).bp.scan_boson_peak()
    gaussian = scan["scan_E_high"].sel({"method": "gaussian"})
    assert float(gaussian.sel(range="wider")) == float(gaussian.sel(range="automatic"))


def test_one_range_in_two_units_is_given_twice() -> None:
    THz = 4.135667696923859
    ranges = [("3 meV", "12 meV"), (f"{3 / THz:.11g} THz", f"{12 / THz:.11g} THz")]
    with pytest.raises(QuantityError, match="twice"):
        spectrum().bp.scan_boson_peak(ranges)
