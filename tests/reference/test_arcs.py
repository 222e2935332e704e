"""Vanadium and aluminium as measured on ARCS, run as they are."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import xbp


@pytest.fixture
def vanadium(shared_data: Path) -> xr.Dataset:
    return xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")


@pytest.fixture
def aluminium(shared_data: Path) -> xr.Dataset:
    return xbp.open_dataset(shared_data / "ins" / "Al_ARCS_Ei80_iqe.h5")


@pytest.mark.parametrize("name", ["V_ARCS_Ei120", "Al_ARCS_Ei80"])
def test_the_file_is_read_as_it_stands(shared_data: Path, name: str) -> None:
    path = shared_data / "ins" / f"{name}_iqe.h5"
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        (group,) = file.values()
        np.testing.assert_array_equal(ds.S, group["data"])
        np.testing.assert_array_equal(ds.S_std, np.sqrt(group["errors"]))
        np.testing.assert_allclose(
            ds.E, group["grid/energy/bin centers"], rtol=1e-12, atol=1e-12
        )
        np.testing.assert_allclose(ds.Q, group["grid/Q/bin centers"], rtol=1e-12)
    assert (ds.E.attrs["units"], ds.Q.attrs["units"], ds.S.attrs["statistics"]) == (
        "meV",
        "1/angstrom",
        "quantum",
    )
    assert "temperature" not in ds.coords


def test_errors_in_the_file_are_variances(
    vanadium: xr.Dataset, aluminium: xr.Dataset
) -> None:
    """The scatter of neighbouring points agrees with the square root, not with the number itself."""
    for data, E in ((vanadium, (45, 100)), (aluminium, (45, 75))):
        part = data.sel(E=slice(*E), Q=slice(5, 11))
        bends = part.S - (part.S.shift(E=1) + part.S.shift(E=-1)) / 2
        scatter = float((bends**2 / 1.5).mean() ** 0.5)
        rms = float((part.S_std**2).mean() ** 0.5)
        assert 0.8 < scatter / rms < 1.25


def bands(
    data: xr.Dataset, u2: str, Q: tuple[float, float], ranges: list[tuple[float, float]]
) -> list[xr.Dataset]:
    G = data.bp.to_gdos(T="300 K", u2=u2).bp.cut_Q(Q)
    return [G.bp.boson_peak("quadratic", E_range=r) for r in ranges]


def test_vanadium_shows_its_two_bands(vanadium: xr.Dataset) -> None:
    peaks = bands(vanadium, "0.00659 angstrom^2", (4, 10), [(16, 25.5), (25, 34)])
    for peak, hand in zip(peaks, (21.5, 28.5), strict=True):
        assert peak.status == "ok"
        assert float(peak.energy) == pytest.approx(hand, abs=1.2)  # a bin
        assert float(peak.energy_std) > 0


def test_aluminium_shows_its_two_bands(aluminium: xr.Dataset) -> None:
    peaks = bands(aluminium, "0.0086 angstrom^2", (3, 9), [(16, 28), (31, 40)])
    for peak, hand in zip(peaks, (22.0, 35.5), strict=True):
        assert peak.status == "ok"
        assert float(peak.energy) == pytest.approx(hand, abs=1.0)


def test_aluminium_tells_its_temperature(aluminium: xr.Dataset) -> None:
    result = aluminium.bp.detailed_balance(
        E_range=("16 meV", "30 meV"), Q_range=("4 1/angstrom", "10 1/angstrom")
    )
    assert float(result.temperature_at_E.median()) == pytest.approx(285, abs=8)
    assert float(result.implied_temperature) == pytest.approx(290, abs=8)


def test_vanadium_shows_the_background(
    vanadium: xr.Dataset, aluminium: xr.Dataset
) -> None:
    result = vanadium.bp.detailed_balance(E_range=("16 meV", "30 meV"))
    assert float(result.chi2_reduced) > 100
    assert float(result.implied_temperature) > 350
    assert float(result.temperature_at_E[0]) > 1.5 * float(result.temperature_at_E[-1])
    good = aluminium.bp.detailed_balance(E_range=("16 meV", "30 meV"))
    assert float(result.chi2_reduced) > 10 * float(good.chi2_reduced)


@pytest.mark.slow
def test_u2_of_vanadium_and_none_of_aluminium(
    vanadium: xr.Dataset, aluminium: xr.Dataset
) -> None:
    result = vanadium.bp.debye_waller()
    assert result.status == "ok"
    assert 0.0065 < float(result.u2) < 0.0085
    # Whatever the window, from a third of the line to twice its width, u² is within twice this error, and so is 0.0067.
    assert 0.0006 < float(result.u2_systematic) < 0.001
    assert abs(float(result.u2) - 0.00668) < float(result.u2_systematic)
    for half in (1, 3, 4, 6):
        other = vanadium.bp.debye_waller(E_range=(-half, half))
        assert abs(float(other.u2 - result.u2)) < 2 * float(result.u2_systematic)
    narrow = vanadium.bp.debye_waller(E_range=(-1.3, 1.3), Q_range=(3, 9))
    assert float(narrow.u2) == pytest.approx(0.008, abs=0.0006)
    bragg = aluminium.bp.debye_waller()
    assert bragg.status == "not a Debye-Waller decay"
    assert np.isnan(bragg.u2)


def test_nan_stays_nan_and_errors_are_carried(vanadium: xr.Dataset) -> None:
    b = vanadium.bp.to_bqe(T="300 K", u2="0.0066 angstrom^2")
    np.testing.assert_array_equal(b.B.isnull(), vanadium.S.isnull())
    ok = vanadium.S_std > 0
    np.testing.assert_allclose(
        (b.B_std / abs(b.B)).where(ok),
        (vanadium.S_std / abs(vanadium.S)).where(ok),
        rtol=1e-9,
    )
    cut = b.bp.cut_Q((4, 10))
    assert (cut.B_std.where(cut.B.notnull(), 1) > 0).all()


def test_archive(vanadium: xr.Dataset, tmp_path: Path) -> None:
    b = vanadium.bp.to_bqe(T="300 K", u2="0.0066 angstrom^2")
    b.bp.to_netcdf(tmp_path / "v.nc")
    with xr.open_dataset(tmp_path / "v.nc") as back:
        xr.testing.assert_identical(back, b)
