"""Numbers that are infinite, next to nothing, beyond squaring, or in single precision: an answer, a status or an error
of xbp's own, never a raw error or a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pint_xarray  # noqa: F401  # .pint
import pytest
import samples
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, XbpError

Q, E = np.linspace(0.5, 8, 16), np.linspace(-20, 20, 81)


@pytest.fixture(scope="module")
def measured() -> xr.Dataset:
    phonons = xbp.models.dynamic_structure_factor(
        Q, E, energy="5 meV", width="4 meV", T="280 K", u2="0.01 angstrom^2"
    )
    line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="2 meV")
    both = phonons.assign(S=(phonons.S + line.S.values).assign_attrs(phonons.S.attrs))
    return xbp.models.with_counting_noise(both, counts=1e4, rng=1)


@pytest.fixture(scope="module")
def spectrum(measured: xr.Dataset) -> xr.Dataset:
    return measured.bp.to_bqe().bp.cut_Q((2, 8))


@pytest.fixture(scope="module")
def heat_capacity() -> xr.Dataset:
    C = samples.heat_capacity(np.geomspace(2, 300, 80))
    return C.assign(C_std=(0.01 * C.C).assign_attrs(units=C.C.attrs["units"]))


def changed(
    data: xr.Dataset, name: str, how: Callable[[xr.DataArray], Any]
) -> xr.Dataset:
    with np.errstate(all="ignore"):
        return data.assign(
            {name: (data[name] * 0 + how(data[name])).assign_attrs(data[name].attrs)}
        )


def with_numbers(data: xr.Dataset, name: str, at: int, *numbers: float) -> xr.Dataset:
    values = data[name].values.copy()
    values[at : at + len(numbers)] = numbers
    return data.assign({name: (data[name].dims, values, data[name].attrs)})


@pytest.mark.slow
def test_two_infinities_in_a_spectrum(spectrum: xr.Dataset) -> None:
    odd = with_numbers(spectrum, "B", 50, np.inf, -np.inf)
    for table in (odd.bp.boson_peak(), odd.bp.scan_boson_peak()):
        assert float(table.energy) == pytest.approx(5, abs=0.2)
    odd.bp.plot.cut()


def test_single_precision_is_fitted_as_double(spectrum: xr.Dataset) -> None:
    single = spectrum.B.astype("f4").assign_attrs(spectrum.B.attrs).bp.boson_peak()
    assert float(single.energy) == pytest.approx(
        float(spectrum.B.bp.boson_peak().energy), abs=1e-3
    )


@pytest.mark.slow
@pytest.mark.parametrize("factor", [-1.0, 1e-290, 1e140])
def test_spectra_of_any_sign_and_size_are_scanned(
    measured: xr.Dataset, factor: float
) -> None:
    b = measured.bp.to_bqe()[["B"]].isel(Q=slice(5, 8))
    odd = changed(b, "B", lambda B: B * factor)
    scan = odd.bp.scan_boson_peak(
        [("2 meV", "12 meV"), ("1 meV", "15 meV")], ["lognormal", "quadratic"]
    )
    assert ((scan.status == "ok") == (factor > 0)).all()


def test_numbers_of_any_power_of_ten_have_a_status(measured: xr.Dataset) -> None:
    wild = 10 ** np.random.default_rng(1).uniform(-300, 300, measured.S.shape)
    b = changed(measured.bp.to_bqe()[["B"]], "B", lambda B: wild)
    assert set(np.unique(b.bp.boson_peak().status)) <= {
        "ok",
        "fit failed",
        "no maximum",
        "too few points",
        "no data",
    }


def test_figures_leave_out_what_is_infinite(
    spectrum: xr.Dataset, heat_capacity: xr.Dataset
) -> None:
    with_numbers(heat_capacity, "C", 5, -np.inf).bp.plot.heat_capacity()
    nothing = changed(spectrum[["B"]], "B", lambda B: np.inf)
    nothing.bp.plot.cut()
    xbp.new_study({"a": nothing}).bp.plot()


@pytest.mark.slow
def test_figures_of_tables_of_nothing(measured: xr.Dataset) -> None:
    unknown = measured.assign_coords(temperature=((), np.nan, {"units": "K"}))
    unknown.bp.detailed_balance().bp.plot.detailed_balance()
    for factor in (0.0, -1.0):
        table = changed(
            measured.drop_vars("u2"), "S", lambda S, factor=factor: S * factor
        ).bp.debye_waller()
        assert str(table.status.values) != "ok"
        table.bp.plot.debye_waller()


@pytest.mark.parametrize("factor", [1e-300, 1e305])
def test_a_map_of_numbers_that_have_no_colours(
    measured: xr.Dataset, factor: float
) -> None:
    odd = changed(
        measured.bp.to_bqe()[["B"]], "B", lambda B: B / float(B.max()) * factor
    )
    with pytest.raises(RangeError, match="too small or too large"):
        odd.bp.plot.map()


def test_keywords_of_other_figures(spectrum: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match=r"E_range="):
        spectrum.bp.plot.cut(E_range=(1, 10))


@pytest.mark.slow
def test_errors_that_overflow(heat_capacity: xr.Dataset) -> None:
    line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="2 meV")
    measured = xbp.models.with_counting_noise(line, counts=1e4, rng=1)
    tables = [
        changed(measured, "S_std", lambda std, s=s: s).bp.fit_elastic_line(
            Q_range=(1, 6)
        )
        for s in (1, 1e300)
    ]
    assert str(tables[1].status.values) == "ok"
    assert float(tables[1].energy) == pytest.approx(float(tables[0].energy), abs=1e-9)
    nothing = changed(heat_capacity, "C", lambda C: C / float(C.max()) * 5e-324)
    assert str(nothing.bp.fit_heat_capacity().status.values) != "ok"


def test_sums_that_overflow(measured: xr.Dataset) -> None:
    huge = changed(measured[["S"]], "S", lambda S: S / float(S.max()) * 1.7e308)
    for call in (
        lambda: huge.bp.detailed_balance(),
        lambda: huge.drop_vars("u2").bp.to_vibrational_dos(
            E_range=(3, 18), composition="V"
        ),
    ):
        assert isinstance(call(), xr.Dataset)
    with pytest.raises(XbpError):
        huge.bp.normalize_to_sum_rule("incoherent")


@pytest.mark.slow
def test_heat_capacities_of_pint_and_of_degrees(heat_capacity: xr.Dataset) -> None:
    expected = heat_capacity.bp.fit_heat_capacity()
    wrapped = heat_capacity.pint.quantify().bp.fit_heat_capacity()
    assert float(wrapped.pint.dequantify().theta_E) == pytest.approx(
        float(expected.theta_E)
    )
    rippled = changed(
        heat_capacity[["C"]],
        "C",
        lambda C: C * (1 + 0.03 * np.sin(3 * np.log(C.temperature))),
    )
    T = rippled.temperature.values - 273.15
    celsius = rippled.assign_coords(temperature=("temperature", T, {"units": "degC"}))
    in_kelvin, in_degrees = (
        data.bp.scan_heat_capacity() for data in (rippled, celsius)
    )
    assert float(in_degrees.systematic) == pytest.approx(
        float(in_kelvin.systematic), rel=1e-6
    )
    assert list(in_degrees.range.values) == list(in_kelvin.range.values)
    celsius.bp.plot.heat_capacity(celsius.bp.fit_heat_capacity())


@pytest.mark.slow
def test_a_few_kelvin_are_too_few_to_scan_over(heat_capacity: xr.Dataset) -> None:
    scan = heat_capacity.sel(temperature=slice(2, 8)).bp.scan_heat_capacity()
    assert (scan.scan_temperature_high.max() - 8) < 0.5
    assert all(
        float(name.split()[0]) < float(name.split()[3]) for name in scan.range.values
    )


def test_one_range_in_two_units_is_one(spectrum: xr.Dataset) -> None:
    for again in (("0.002 eV", "0.012 eV"), ("2 meV", "12 meV")):
        with pytest.raises(QuantityError, match="twice"):
            spectrum.bp.scan_boson_peak([("2 meV", "12 meV"), again], ["lognormal"])
    with pytest.raises(QuantityError, match="twice"):
        spectrum.bp.scan_boson_peak([None, None])


@pytest.mark.parametrize("offset", [np.array([1, 2]), "x", None])
def test_an_offset_is_a_question(measured: xr.Dataset, offset: Any) -> None:
    cut = measured.bp.to_bqe().bp.cut_E(("4 meV", "6 meV"))
    with pytest.raises(QuantityError, match="must be True or False"):
        cut.bp.scale_to_sq(xbp.models.hard_sphere_structure_factor(Q), offset=offset)
