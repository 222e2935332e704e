from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pint
import pytest
import scipy.constants
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
)
from xbp.io.columns import open_columns
from xbp.io.labspec import open_labspec
from xbp.reduction.raman import _polynomial

KB = scipy.constants.k / scipy.constants.e * 1e3
E = np.linspace(0.5, 60, 400)
TRUE = np.exp(-(np.log(E / 6.0) ** 2) / (2 * 0.5**2))


def spectrum(
    e: np.ndarray, intensity: np.ndarray, units: str = "meV", **kw: object
) -> xr.Dataset:
    return xbp.new_dataset(
        "raman_intensity", intensity, units="1", coords={"E": (e, units)}, **kw
    )


def scattered(
    T: float, coupling: Callable[[np.ndarray], np.ndarray] = np.ones_like
) -> np.ndarray:
    """I = C(E) g/E² E (n+1) of a log-normal g/E² with its maximum at 6 meV."""
    return TRUE * coupling(E) * E * (1 / np.expm1(E / (KB * T)) + 1)


@pytest.mark.parametrize("T", [4.0, 77.0, 300.0, 1500.0])
def test_the_density_of_states_that_made_the_spectrum_comes_back(T: float) -> None:
    B = spectrum(E, scattered(T)).bp.to_reduced_raman(T)
    np.testing.assert_allclose(B.B, TRUE, rtol=1e-12)
    assert B.B.attrs["quantity"] == "reduced_dos"
    assert float(B.temperature) == T
    linear = spectrum(E, scattered(T, lambda e: e)).bp.to_reduced_raman(T, "linear")
    np.testing.assert_allclose(linear.B, TRUE, rtol=1e-12)
    assert (B.B.attrs["units"], linear.B.attrs["units"]) == ("1/meV", "1/meV**2")

    def given(e: np.ndarray) -> np.ndarray:
        return 1 + (e / 7) ** 2

    np.testing.assert_allclose(
        spectrum(E, scattered(T, given)).bp.to_reduced_raman(T, given).B,
        TRUE,
        rtol=1e-12,
    )
    assert float(B.bp.boson_peak().energy) == pytest.approx(6.0, rel=1e-6)


@pytest.mark.slow
@given(
    units=st.sampled_from(["meV", "THz", "1/cm", "eV", "cm-1"]),
    coupling=st.sampled_from(["constant", "linear", np.cosh]),
    T=st.floats(5, 900),
)
def test_the_same_in_any_units(units: str, coupling: str, T: float) -> None:
    small = spectrum(E[:50], scattered(300.0)[:50])
    one = small.bp.to_reduced_raman(T, coupling, laser_line="1 meV").bp.convert(E=units)
    other = small.bp.convert(E=units).bp.to_reduced_raman(
        T, coupling, laser_line="1 meV"
    )
    xr.testing.assert_allclose(one.B, other.B, rtol=1e-10)
    assert one.B.attrs["units"] == other.B.attrs["units"]


def test_both_sides_tell_the_same() -> None:
    T, both = 300.0, np.concatenate([-E[::-1], E])
    n = 1 / np.expm1(E / (KB * T))
    intensity = np.concatenate([(TRUE * E * n)[::-1], TRUE * E * (n + 1)])
    ds = spectrum(both, intensity, std=intensity / 10)
    stokes, anti = (
        ds.bp.to_reduced_raman(T, side=side) for side in ("stokes", "anti-stokes")
    )
    xr.testing.assert_allclose(stokes[["B", "B_std"]], anti[["B", "B_std"]], rtol=1e-10)
    np.testing.assert_allclose(anti.B_std, anti.B / 10)


def test_a_spectrum_that_descends_is_turned_and_one_across_zero_is_cut() -> None:
    ds = spectrum(
        np.concatenate([[-1.0, 0.0], E]),
        np.concatenate([[9e9, 9e9], scattered(300)]),
        std=np.ones(402),
    )
    turned = ds.isel(E=slice(None, None, -1))
    xr.testing.assert_identical(
        turned.bp.to_reduced_raman("300 K"), ds.bp.to_reduced_raman("300 K")
    )
    np.testing.assert_allclose(turned.I.bp.to_reduced_raman("300 K"), TRUE, rtol=1e-12)
    with pytest.raises(CoordinateError, match="not ascending"):
        ds.isel(E=[0, 2, 1]).bp.to_reduced_raman("300 K")


def test_bounds_follow_the_side() -> None:
    edges = np.array([-3.0, -1.0, 0.0, 1.0, 5.0])
    centres = (edges[1:] + edges[:-1]) / 2
    ds = spectrum(centres, np.ones(4), edges={"E": edges}, temperature="300 K")
    np.testing.assert_array_equal(ds.bp.to_reduced_raman().E_bnds, [[0, 1], [1, 5]])
    np.testing.assert_array_equal(
        ds.bp.to_reduced_raman(side="anti-stokes").E_bnds, [[0, 1], [1, 3]]
    )


def test_the_laser_line_is_left_out() -> None:
    ds = spectrum(E, scattered(300), temperature="300 K")
    B = ds.bp.to_reduced_raman(laser_line="20 1/cm")
    assert float(B.E[0]) > 20 / 8.065544 > float(B.E[0]) - (E[1] - E[0])
    with pytest.raises(RangeError, match="beyond 100"):
        ds.bp.to_reduced_raman(laser_line="100 meV")
    with pytest.raises(RangeError, match="anti-Stokes"):
        ds.bp.to_reduced_raman(side="anti-stokes")


def test_baselines() -> None:
    flat, sloped = 0.3 + 0 * E, 0.3 - 0.004 * E
    zero = np.where(E < 40, scattered(300), 0.0)
    truth = spectrum(E, zero, temperature="300 K").bp.to_reduced_raman().B
    one = spectrum(E, zero + flat, temperature="300 K").bp.to_reduced_raman(
        baseline=("41 meV", "59 meV")
    )
    np.testing.assert_allclose(one.B, truth, atol=1e-12)
    two = spectrum(E, zero + sloped, temperature="300 K").bp.to_reduced_raman(
        baseline=[("41 meV", "45 meV"), ("52 meV", 59)]
    )
    np.testing.assert_allclose(two.B, truth, atol=1e-12)
    for bad in (
        "40 meV",
        [],
        ("41 meV", "41.01 meV"),
        ("70 meV", "80 meV"),
        [("41 meV", "42 meV")] * 20,
    ):
        with pytest.raises((RangeError, UnitsError)):
            spectrum(E, zero, temperature="300 K").bp.to_reduced_raman(baseline=bad)


@pytest.mark.slow
def test_the_error_of_the_baseline_is_that_of_a_mean() -> None:
    noisy = np.random.default_rng(1).normal(5.0, 0.2, (200, E.size))
    ds = xbp.new_dataset(
        "raman_intensity", noisy, units="1", std=np.full(noisy.shape, 0.2),
        coords={"run": (np.arange(200), "1"), "E": (E, "meV")}, temperature="300 K",
    )  # fmt: skip
    B = ds.bp.to_reduced_raman(baseline=("50 meV", "52 meV"))
    stds = B.B_std.values[0, 10]
    assert stds == pytest.approx(B.B.values[:, 10].std(), rel=0.15)
    bare = spectrum(
        E, np.full(E.size, 5.0), std=np.full(E.size, 0.2), temperature="300 K"
    ).bp.to_reduced_raman()
    assert stds > 1.02 * bare.B_std.values[10]


def test_leftover_dimensions_and_dask() -> None:
    I = np.stack([scattered(T) for T in (100.0, 200.0, 300.0)])  # noqa: E741
    scan = xr.Dataset(
        {"I": (("temperature", "E"), I, {"units": "1", "quantity": "raman_intensity"})},
        coords={
            "temperature": ("temperature", [100.0, 200, 300], {"units": "K"}),
            "E": ("E", E, {"units": "meV"}),
        },
    )
    scan["I_std"] = (scan.I / 100).assign_attrs(units="1")
    B = scan.bp.to_reduced_raman()
    np.testing.assert_allclose(B.B, np.stack([TRUE] * 3), rtol=1e-12)
    lazy = scan.chunk(temperature=1).bp.to_reduced_raman(baseline=("50 meV", "55 meV"))
    assert lazy.B.chunks is not None
    direct = scan.bp.to_reduced_raman(baseline=("50 meV", "55 meV"))
    # Factors of what dask holds have names of their own.
    xr.testing.assert_allclose(
        lazy.compute().drop_vars("source"), direct.drop_vars("source")
    )


def test_round_trip_and_history(tmp_path: Path) -> None:
    B = spectrum(E, scattered(300)).bp.to_reduced_raman(
        "300 K", baseline=("50 meV", "55 meV")
    )
    assert '"coupling": "constant"' in B.B.attrs["history"]
    B.bp.to_netcdf(tmp_path / "raman.nc")
    with xbp.open_dataset(tmp_path / "raman.nc") as back:
        xr.testing.assert_identical(back, B)


def test_bad_input(glass: xr.Dataset) -> None:
    ds = spectrum(E, scattered(300))
    with pytest.raises(TemperatureError, match="not known"):
        ds.bp.to_reduced_raman()
    with pytest.raises(TemperatureError):
        ds.bp.to_reduced_raman("-3 K")
    for coupling in (
        "quadratic",
        3,
        lambda e: -e,
        lambda e: np.nan * e,
        lambda e: e[:3],
        lambda: 1,
    ):
        with pytest.raises(QuantityError, match="coupling"):
            ds.bp.to_reduced_raman(300, coupling)
    with pytest.raises(QuantityError, match="side"):
        ds.bp.to_reduced_raman(300, side="left")
    with pytest.raises(QuantityError):
        glass.bp.to_reduced_raman(300)
    with pytest.raises(UnitsError):
        ds.bp.to_reduced_raman(300, laser_line="5 nm")
    bare = ds.copy()
    del bare.E.attrs["units"]
    with pytest.raises(UnitsError):
        bare.bp.to_reduced_raman(300)
    nan = ds.copy(deep=True)
    nan.I[5] = np.nan
    assert np.isnan(nan.bp.to_reduced_raman(300).B[5])
    assert int(nan.bp.to_reduced_raman(300).B.isnull().sum()) == 1


def wavelengths(nm: np.ndarray, units: str = "nm") -> xr.Dataset:
    ds = xr.Dataset(
        {
            "I": (
                "wavelength",
                np.arange(nm.size, dtype=float),
                {"units": "1", "quantity": "raman_intensity"},
            )
        },
        coords={"wavelength": ("wavelength", nm, {"units": units})},
    )
    return ds.assign(I_std=("wavelength", np.arange(nm.size) / 10, {"units": "1"}))


def test_shift_from_the_wavelength() -> None:
    shift = np.array([-100.0, 0.0, 100.0, 400.0])
    nm = 1 / (1 / 532.0 - shift * 1e-7)
    ds = wavelengths(nm).bp.to_raman_shift("532 nm")
    np.testing.assert_allclose(ds.E, shift, atol=1e-9)
    np.testing.assert_array_equal(ds.I, np.arange(4))
    # Nothing was counted in the first: it has the error of one count, 0.1²/1.
    np.testing.assert_allclose(ds.I_std, [0.01, 0.1, 0.2, 0.3])
    assert ds.E.attrs["units"] == "1/cm"
    backwards = wavelengths(nm).isel(wavelength=slice(None, None, -1))
    xr.testing.assert_identical(backwards.bp.to_raman_shift("532 nm"), ds)
    np.testing.assert_allclose(
        wavelengths(nm / 1000, "um").bp.to_raman_shift(0.532).E, shift, atol=1e-9
    )


def test_shift_of_no_wavelength() -> None:
    with pytest.raises(CoordinateError, match="no coordinate 'wavelength'"):
        spectrum(E, E).bp.to_raman_shift("532 nm")
    with pytest.raises(UnitsError):
        wavelengths(E, "meV").bp.to_raman_shift("532 nm")
    with pytest.raises(UnitsError):
        wavelengths(E).bp.to_raman_shift("2 eV")
    with pytest.raises(CoordinateError):
        wavelengths(E - 1).bp.to_raman_shift("532 nm")
    with pytest.raises(CoordinateError, match="duplicates"):
        wavelengths(np.array([530.0, 530.0])).bp.to_raman_shift("532 nm")
    without = wavelengths(E)
    del without.wavelength.attrs["units"]
    with pytest.raises(UnitsError, match="no units"):
        without.bp.to_raman_shift("532 nm")


FIT = ("3 meV", "20 meV")


@pytest.mark.parametrize("name", ["ae0202.txt", "BD1469.txt", "labram_wn.txt"])
def test_measured_glasses(shared_data: Path, name: str) -> None:
    path = shared_data / "raman" / name
    ds = (
        open_labspec(path)
        if name.startswith("labram")
        else open_columns(
            path, quantity="raman_intensity", units="1", coordinate_units="1/cm"
        )
    ).bp.convert(E="meV")
    B = ds.bp.to_reduced_raman("295 K")
    peak = B.bp.boson_peak(E_range=FIT)
    assert str(peak.status.values) == "ok"
    assert 7.5 < float(peak.energy) < 9.2
    # labram has two tops, at 7.4 and 8.8 meV.
    assert 0 < float(peak.energy_std) < (1.9 if name.startswith("labram") else 0.5)
    # The linear coupling moves the maximum down, in one of them out of the range measured.
    linear = ds.bp.to_reduced_raman("295 K", "linear").bp.boson_peak(E_range=FIT)
    assert str(linear.status.values) == (
        "maximum at edge" if name == "BD1469.txt" else "ok"
    )
    if name != "BD1469.txt":
        assert float(linear.energy) < float(peak.energy) - 0.5  # meV
    # The maximum of the raw spectrum is another number.
    assert float(ds.I.idxmax()) > float(peak.energy) + 1


@pytest.mark.parametrize("name", ["ae0202.txt", "BD1469.txt"])
def test_agrees_with_the_published_correction_up_to_its_prefactor(
    shared_data: Path, name: str
) -> None:
    """Galeener & Sen (1978), which rampy's ``tlcorrection(correction="long")`` has: I ν₀³ν(1 − e^{−hcν/kT})/(ν₀ − ν)⁴."""
    ds = open_columns(
        shared_data / "raman" / name,
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    nu, nu0, T = ds.E.values, 1e7 / 514.532, 296.15
    hc_k = scipy.constants.h * scipy.constants.c / scipy.constants.k * 100
    published = (
        ds.I.values * nu0**3 * nu / (nu0 - nu) ** 4 * (1 - np.exp(-hc_k * nu / T))
    )
    B = ds.bp.to_reduced_raman(T).B
    # Theirs is E² B, times the frequency factor that xbp leaves out and says so.
    ratio = published / (B * nu**2) / (nu0**3 / (nu0 - nu) ** 4)
    np.testing.assert_allclose(ratio, 1, rtol=1e-9)
    over_the_peak = ((nu0 / (nu0 - nu)) ** 4)[nu < 100]
    assert over_the_peak.max() / over_the_peak.min() < 1.02


@pytest.mark.parametrize("name", ["ae0202.txt", "BD1469.txt"])
def test_the_peak_of_measured_glasses_is_found_without_a_range(
    shared_data: Path, name: str
) -> None:
    ds = open_columns(
        shared_data / "raman" / name,
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    B = ds.bp.to_reduced_raman("295 K")
    found, ranged = B.bp.boson_peak(), B.bp.boson_peak(E_range=("25 1/cm", "150 1/cm"))
    assert str(found.status.values) == "ok"
    assert float(found.energy) == pytest.approx(float(ranged.energy), abs=3.5)
    # Half way down both its sides.
    assert 30 < float(found.E_low) < 52
    assert 120 < float(found.E_high) < 150
    assert float(found.relative_residual) < 0.02


def test_a_split_peak_is_found_without_a_range(shared_data: Path) -> None:
    """Two lines 13 1/cm apart make one boson peak, on which a dip of half a percent is no valley."""
    ds = open_labspec(shared_data / "raman" / "labram_wn.txt", temperature="295 K")
    constant, linear = (
        ds.bp.to_reduced_raman(coupling=c).bp.boson_peak()
        for c in ("constant", "linear")
    )
    assert (str(constant.status.values), str(linear.status.values)) == ("ok", "ok")
    assert (float(constant.energy), float(linear.energy)) == pytest.approx(
        (65.7, 62.7), abs=0.5
    )
    assert "poor_fit" in {doubt.code for doubt in constant.bp.diagnostics()}


def test_a_band_is_no_boson_peak(shared_data: Path) -> None:
    """A spectrum that begins at 580 1/cm has none, and its bands are not taken for one."""
    ds = open_columns(
        shared_data / "raman" / "LS4.txt",
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    peak = ds.bp.to_reduced_raman("295 K").bp.boson_peak()
    assert str(peak.status.values) == "no data"  # below 30 meV
    assert np.isnan(peak.energy)


def test_finely_stepped_noise_does_not_hide_the_peak() -> None:
    """Noise that falls with energy, in steps of 1/100 of the peak, as detectors with many pixels give it."""
    e = np.arange(2.0, 190, 0.09)
    true = np.exp(-(np.log(e / 8) ** 2) / (2 * 0.9**2))
    for seed in range(5):
        noisy = (
            true
            * (1 + np.random.default_rng(seed).normal(0, 0.02, e.size))
            / (1 + e / 8)
        )
        B = xbp.new_dataset("reduced_dos", noisy, units="1", coords={"E": (e, "meV")})
        peak = B.bp.boson_peak()
        top = float(e[np.argmax(true / (1 + e / 8))])
        assert str(peak.status.values) == "ok"
        assert float(peak.energy) == pytest.approx(top, rel=0.06)


def test_columns_of_wavelengths(tmp_path: Path) -> None:
    nm = np.linspace(545, 533, 30)
    path = tmp_path / "spectrum.txt"
    np.savetxt(path, np.stack([nm, nm - 500], axis=1))
    said = {"quantity": "raman_intensity", "units": "1", "coordinate": "wavelength"}
    ds = xr.open_dataset(
        path, engine="columns", coordinate_units="nm", **said
    ).bp.to_raman_shift("532 nm")
    np.testing.assert_allclose(ds.E, np.sort(1e7 / 532 - 1e7 / nm), rtol=1e-9)
    np.testing.assert_allclose(ds.I, np.sort(nm) - 500)
    assert ds.bp.to_reduced_raman("295 K").B.attrs["quantity"] == "reduced_dos"
    with pytest.raises(UnitsError):
        open_columns(path, coordinate_units="meV", **said)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("correction", ["long", "galeener", "hehlen"])
def test_agrees_with_rampy_where_it_is_installed(correction: str) -> None:
    tlcorrection = pytest.importorskip("rampy").tlcorrection
    nu, nu0 = E * 8.065543937, 1e7 / 514.532
    _, theirs, _ = tlcorrection(
        nu, scattered(300.0), 26.85, 514.532, correction=correction, normalisation="no"
    )
    stated = 1.0 if correction == "hehlen" else (nu0 - nu) ** 4
    B = spectrum(nu, scattered(300.0), "1/cm").bp.to_reduced_raman(300.0).B.values
    ratio = theirs * stated / (B * nu**2)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_spectrum_without_a_boson_peak(shared_data: Path) -> None:
    ds = open_columns(
        shared_data / "raman" / "LS4.txt",
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    with pytest.raises(RangeError, match="no data"):
        ds.bp.to_reduced_raman("295 K").bp.boson_peak(E_range=("3 meV", "20 meV"))


def fails(e: np.ndarray) -> np.ndarray:
    raise KeyError("table")


@pytest.mark.parametrize(
    "coupling",
    [fails, lambda e: e * 1j, lambda e: "a", lambda e: e * 1e308 * 10, lambda e: e[:3], lambda e: pint.Quantity(e, "meV")],
)  # fmt: skip
def test_couplings_that_fail(coupling: Callable[[np.ndarray], np.ndarray]) -> None:
    with pytest.raises(QuantityError, match=r"coupling\(E\)"):
        spectrum(E, scattered(300.0)).bp.to_reduced_raman(300, coupling)


@pytest.mark.slow
def test_every_way_to_write_a_range() -> None:
    data = spectrum(E, scattered(300.0) + 1)
    unit = pint.UnitRegistry().meV
    ranges = [
        ("40 meV", "60 meV"), [40, 60], (40 * unit, 60 * unit), np.array([40, 60]) * unit, slice(40, 60), np.array([[40, 60]]),
        (xr.DataArray(40.0, attrs={"units": "meV"}), 60),
    ]  # fmt: skip
    expected = data.bp.to_reduced_raman(300, baseline=(40, 60)).B
    for given_range in ranges:
        np.testing.assert_array_equal(
            data.bp.to_reduced_raman(300, baseline=given_range).B, expected
        )
    two = data.bp.to_reduced_raman(300, baseline=[(40, 50), (55, 60)]).B
    pairs = [(40 * unit, 50 * unit), (55 * unit, 60 * unit)]
    np.testing.assert_array_equal(data.bp.to_reduced_raman(300, baseline=pairs).B, two)
    for wrong in (
        np.array(40.0), 40 * unit, {40: 1, 60: 2}, {40, 60}, [(40, 50), (45, 60)], [(30 + i, 30.9 + i) for i in range(20)],
        (40, 50, 60), [[(40, 60)]], "40 meV", (x for x in (40, 60)),
    ):  # fmt: skip
        with pytest.raises(RangeError):
            data.bp.to_reduced_raman(300, baseline=wrong)


@pytest.mark.parametrize("std", [1e300, 1e-320])
def test_errors_that_are_none_hold_no_baseline(std: float) -> None:
    data = spectrum(E, scattered(300.0), std=np.full(E.size, std))
    with pytest.raises(RangeError, match="too few points"):
        data.bp.to_reduced_raman(300, baseline=(40, 60))


def test_shift_beside_an_energy() -> None:
    data = wavelengths(np.linspace(530, 540, 50))
    for other in (data.assign_coords(E=5.0), data.assign(E=5.0)):
        with pytest.raises(CoordinateError, match="both 'E'"):
            other.bp.to_raman_shift("532 nm")


def test_what_is_said_of_the_factor_of_light_scattering() -> None:
    """The page and help() once contradicted one another."""
    third, fourth = (
        f"{100 * (1 - (1 - 100 / (1e7 / 532)) ** power):.1f}" for power in (3, 4)
    )
    page = (
        Path(__file__).parents[2] / "docs" / "raman_and_heat_capacity.md"
    ).read_text()
    docstring = " ".join((xbp.to_reduced_raman.__doc__ or "").split())
    assert f"by {third} or {fourth} % from 0 to 100" in docstring
    assert f"changes by {fourth} % from 0 to 100" in page
    assert f"by {third} %)" in page


def test_a_baseline_of_nothing() -> None:
    data = spectrum(E, scattered(300.0), std=np.ones(E.size))
    with pytest.raises(RangeError, match="baseline="):
        data.bp.to_reduced_raman(300, baseline=[None])
    empty = data.copy(deep=True)
    empty.I[E > 40] = np.nan
    with pytest.raises(RangeError, match="too few points"):
        empty.bp.to_reduced_raman(300, baseline=(42, 60))
    both = xr.concat([data, empty], dim="sample")
    assert both.bp.to_reduced_raman(300, baseline=(42, 60)).B.isnull().all(
        "E"
    ).values.tolist() == [False, True]
    for argument in ("side", "coupling"):
        with pytest.raises(QuantityError, match=argument):
            data.bp.to_reduced_raman(300, **{argument: np.array(["stokes", "linear"])})


@pytest.mark.parametrize("name", ["ae0202.txt", "BD1469.txt"])
def test_a_parabola_finds_the_top_of_measured_glasses_too(
    shared_data: Path, name: str
) -> None:
    ds = open_columns(
        shared_data / "raman" / name,
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
    )
    B = ds.bp.to_reduced_raman("295 K")
    found, ranged = (
        B.bp.boson_peak("quadratic", limits)
        for limits in (None, ("45 1/cm", "90 1/cm"))
    )
    assert (str(found.status.values), str(ranged.status.values)) == ("ok", "ok")
    assert abs(float(found.energy - ranged.energy)) < 3.5


def two_sided(sign: float = 1.0) -> xr.Dataset:
    """I(ν) of a constant g/E² at 300 K, on both sides of a laser line that a filter hides to 20 and 45 1/cm."""
    nu = np.arange(-300.0, 301.0, 5.0)
    mev = nu / 8.065544
    with np.errstate(all="ignore"):
        counts = np.where(
            nu == 0, 1e5, 100 * mev / (1 - np.exp(-mev / (0.0861733 * 300)))
        )
    counts = np.where((nu > -20) & (nu < 45) & (nu != 0), 0.5, counts)
    E = sign * nu
    order = np.argsort(E)
    return xbp.new_dataset(
        "raman_intensity",
        counts[order],
        std=np.sqrt(counts[order]),
        units="1",
        coords={"E": (E[order], "1/cm")},
        temperature="300 K",
    )


def test_a_reversed_shift_is_refused() -> None:
    B = two_sided().bp.to_reduced_raman(laser_line="60 1/cm")
    np.testing.assert_allclose(B.B / B.B[0], 1, rtol=1e-5)
    with pytest.raises(CoordinateError, match="sign of E seems reversed"):
        two_sided(-1.0).bp.to_reduced_raman(laser_line="60 1/cm")
    two_sided(-1.0).bp.to_reduced_raman(
        laser_line="60 1/cm", side="anti-stokes", reversed_below=None
    )
    two_sided(-1.0).sel(
        E=slice(0, None)
    ).bp.to_reduced_raman()  # one side shows nothing


def test_wavenumbers_of_the_light_are_no_shift() -> None:
    nu = np.linspace(18000, 18796, 50)
    for E, units in ((nu, "1/cm"), (nu / 8065.5, "eV")):
        ds = xbp.new_dataset(
            "raman_intensity",
            np.ones(50),
            units="1",
            coords={"E": (E, units)},
            temperature="300 K",
        )
        with pytest.raises(RangeError, match="nearer to 0"):
            ds.bp.to_reduced_raman()


def test_a_small_coupling_is_a_scale() -> None:
    data = spectrum(E, scattered(300.0))
    one, half = (
        data.bp.to_reduced_raman(300, lambda e, c=c: np.full(e.shape, c))
        for c in (1.0, 0.5)
    )
    name = next(iter(one.data_vars))
    np.testing.assert_allclose(half[name], 2 * one[name])


def test_a_baseline_has_the_error_of_a_straight_line() -> None:
    x = np.array([1.0, 2.0, 4.0, 7.0])
    _, each = _polynomial(
        2 * x, np.full(4, 0.3), E=x, inside=np.ones(4, dtype=bool), degree=1
    )
    away = x - x.mean()
    exact = 0.3**2 * (1 / 4 + away**2 / (away**2).sum())
    np.testing.assert_allclose((each**2).sum(axis=0), exact)


@pytest.mark.parametrize(
    ("ratio", "refused"), [(1.99, False), (2.01, True), (0.51, False), (0.49, True)]
)
def test_wavelengths_within_a_factor_of_two_of_the_laser(
    ratio: float, refused: bool
) -> None:
    data = wavelengths(532 * np.array(sorted([1.0, ratio])))
    if refused:
        with pytest.raises(RangeError, match="wavelength with laser=532 nm"):
            data.bp.to_raman_shift("532 nm")
    else:
        assert data.bp.to_raman_shift("532 nm").sizes["E"] == 2
