"""S(Q,E) at another temperature, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    QuantityError,
    TemperatureError,
    UnitsError,
    XbpError,
)

Q, E = np.linspace(1.0, 6.0, 6), np.array([-5.0, -1.0, 0.0, 2.0, 5.0, 20.0])


def spectrum(T: float, u2: float) -> xr.DataArray:
    shape = {"energy": 5, "width": 6}
    return xbp.models.dynamic_structure_factor(Q, E, **shape, T=T, u2=u2).S


@pytest.mark.slow
@settings(max_examples=8)
@given(T=st.floats(30, 900), new=st.floats(5, 900), u2=st.floats(0, 0.03))
def test_it_is_the_spectrum_of_the_same_vibrations(
    T: float, new: float, u2: float
) -> None:
    found = spectrum(T, 0.01).bp.at_temperature(new, u2=u2)
    wanted = spectrum(new, u2).where(E >= -3 * 0.0861733 * T)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert float(found.temperature) == pytest.approx(new)
    assert float(found.u2) == u2


def test_numbers_by_hand() -> None:
    """E = 5 meV, 300 to 10 K, u² 0.012 to 0.004 angstrom², at Q = 4 per angstrom."""
    S = spectrum(300, 0.012)
    cold = S.bp.at_temperature("10 K", u2="4e-5 nm^2")
    ratio = float((cold / S).sel(Q=4, E=5))
    assert ratio == pytest.approx(0.1764 * 1.1366, rel=4e-4)
    same = S.bp.at_temperature("10 K")
    assert float((same / S).sel(Q=4, E=5)) == pytest.approx(0.1764, rel=4e-4)
    assert (float(same.temperature), float(same.u2)) == (10, 0.012)


def test_errors_follow_and_an_error_of_t_is_common() -> None:
    S = xbp.models.with_counting_noise(
        spectrum(300, 0.012).to_dataset(), counts=1e4, rng=0
    )
    found = S.bp.at_temperature("100 K")
    ratio = (spectrum(100, 0.012) / spectrum(300, 0.012)).values
    some = E != 0  # where the model is 0/0
    wanted = (S.S_std * ratio)[:, some]
    np.testing.assert_allclose(found.S_std[:, some], wanted, rtol=1e-12)
    std = xr.Variable((), 6.0, {"units": "K"})
    uncertain = S.assign_coords(temperature_std=std).bp.at_temperature("100 K")
    # ∂ ln⟨n⟩/∂T at 5 meV and 300 K, by hand: -x/T/(e^x - 1), x = 0.19341
    share = (uncertain.S_std_common / uncertain.S).sel(Q=4, E=5)
    assert abs(share.item()) == pytest.approx(6 * 0.19341 / 300 / 0.21338, rel=1e-3)
    assert "temperature_std" not in uncertain.coords


def test_classical_spectra_are_proportional_to_t() -> None:
    S = spectrum(300, 0.0).assign_attrs(statistics="classical")
    np.testing.assert_allclose(S.bp.at_temperature("150 K"), S / 2, rtol=1e-12)


def test_what_is_missing_is_asked_for() -> None:
    S = spectrum(300, 0.01)
    with pytest.raises(TemperatureError, match="temperature is not known"):
        S.drop_vars("temperature").bp.at_temperature("10 K")
    with pytest.raises(QuantityError, match="no u2 at their own"):
        S.drop_vars("u2").bp.at_temperature("10 K", u2=0.01)
    assert "u2" not in S.drop_vars("u2").bp.at_temperature("10 K").coords
    with pytest.raises(UnitsError):
        S.bp.at_temperature("10 meV")
    with pytest.raises(TemperatureError):
        S.bp.at_temperature("-10 K")


def test_s_at_another_temperature_directly_from_b() -> None:
    S = spectrum(30, 0.012)
    b = S.bp.to_bqe()
    cold = b.bp.to_sqe("20 K")
    assert float((cold / S).sel(Q=4, E=5)) == pytest.approx(0.9052, abs=6e-5)
    assert float((cold / S).sel(Q=4, E=-5)) == pytest.approx(0.3442, abs=6e-5)
    both = b.bp.to_sqe("20 K", u2="0.004 angstrom^2")
    np.testing.assert_allclose(both, spectrum(20, 0.004), rtol=1e-9)
    assert (float(both.temperature), float(both.u2)) == (20, 0.004)
    assert [d.code for d in both.bp.diagnostics()] == ["harmonic"]
    assert [d.code for d in S.bp.at_temperature(20).bp.diagnostics()] == ["harmonic"]
    assert not b.bp.to_sqe("30 K").bp.diagnostics()
    with pytest.raises(QuantityError, match="contradicts"):
        b.bp.to_sqe(u2=0.02)
    with pytest.raises(CoordinateError, match="has 2 temperatures"):
        xr.concat([b, b.assign_coords(temperature=40.0)], "temperature").assign_coords(
            temperature=("temperature", [30.0, 40.0], {"units": "K"})
        ).bp.to_sqe("20 K")


def test_a_simulation_is_taken_to_the_temperature_of_the_experiment() -> None:
    shape = {"energy": 5, "width": 6, "u2": 0.01}
    grids = np.arange(1.0, 6.0, 0.1), np.arange(-20.0, 20.05, 0.2)
    hot, cold = (
        xbp.models.dynamic_structure_factor(*grids, **shape, T=T) for T in (300, 250)
    )
    coarse = cold.bp.rebin(Q=np.arange(1.5, 5.0, 0.5), E=np.arange(-15.0, 15.5))
    with pytest.raises(TemperatureError, match="harmonic=True"):
        hot.bp.like(coarse, "0.5 meV")
    seen = hot.bp.like(coarse, "0.5 meV", harmonic=True)
    want = cold.bp.like(coarse, "0.5 meV")
    xr.testing.assert_allclose(seen.S.drop_attrs(), want.S.drop_attrs(), rtol=1e-9)
    assert float(seen.temperature) == 250
    assert "harmonic" in [d.code for d in seen.bp.diagnostics()]
    with pytest.raises(XbpError, match="u2"):
        hot.bp.like(coarse, "0.5 meV", u2=0.004, T_tolerance=1)
