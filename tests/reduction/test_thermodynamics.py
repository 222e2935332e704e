"""Thermodynamics of a density of states, against Debye's solid in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import QuantityError, TemperatureError, UnitsError, XbpError

E = np.linspace(0.25, 25, 100)
T = np.array([10.0, 300.0])


def debye(**more: object) -> xr.Dataset:
    """Return g = 3E²/E_D³ of E_D = 25 meV."""
    g = 3 * E**2 / 25**3
    return xbp.new_dataset(
        "vibrational_dos", g, units="1/meV", coords={"E": (E, "meV")}, **more
    )


def test_numbers_of_a_debye_solid() -> None:
    """E_D = 25 meV and 50 u: θ = 290.1 K whatever it is found from."""
    found = debye().bp.harmonic_thermodynamics(T, mass="50 u")
    for name in ("theta_C", "theta_u2", "theta_g"):
        np.testing.assert_allclose(found[name], 290.113, rtol=1e-6)
    assert found.moment.values.tolist() == [-2, -1, 1, 2]
    np.testing.assert_allclose(found.u2, [0.002528, 0.010641], atol=6e-7)
    np.testing.assert_allclose(found.effective_temperature, [108.80, 313.87], atol=5e-3)
    assert float(found.entropy[1]) == pytest.approx(34.667, abs=5e-4)
    np.testing.assert_allclose(found.heat_capacity, debye().bp.heat_capacity(T).C)
    # At 300 K u² comes from low energies: ∝ E there, where E coth(E/2k_BT) is 2k_BT.
    np.testing.assert_allclose(found.u2_below.isel(E=-1), found.u2, rtol=1e-12)
    half = float(found.u2_below.sel(E=12.5, temperature=300) / found.u2[1])
    assert half == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_the_entropy_is_the_integral_of_c_over_t() -> None:
    grid = np.linspace(2, 300, 300)
    found = debye().bp.harmonic_thermodynamics(grid)
    rise = scipy.integrate.simpson(found.heat_capacity / grid, x=grid)
    assert rise == pytest.approx(float(found.entropy[-1] - found.entropy[0]), rel=1e-5)
    assert "u2" not in found


@pytest.mark.slow
def test_errors_are_those_of_repeated_measurements() -> None:
    rng = np.random.default_rng(1)
    std = 0.05 * debye().g.values
    g = debye(std=std).expand_dims(run=60).copy(deep=True)
    g["g"] = g.g + std * rng.normal(size=g.g.shape)
    g.g.attrs = debye(std=std).g.attrs
    found = g.bp.harmonic_thermodynamics(T, mass="50 u", area=1)
    for name in ("effective_temperature", "entropy", "u2", "theta_C", "theta_g"):
        scatter = found[name].std("run") / found[f"{name}_std"].mean("run")
        np.testing.assert_allclose(scatter, 1, atol=0.25, err_msg=name)


@pytest.mark.slow
def test_lazy_other_units_and_a_file(tmp_path: Path) -> None:
    want = debye().bp.harmonic_thermodynamics(T, mass="50 u")
    lazy = debye().chunk().bp.harmonic_thermodynamics(T, mass="50 u")
    assert lazy.u2.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), want)
    other = debye().bp.convert(E="THz").bp.harmonic_thermodynamics(T, mass="50 u")
    np.testing.assert_allclose(other.theta_u2, want.theta_u2)
    want.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), want)


def test_a_plane_has_no_displacement() -> None:
    g = debye()
    g["g"] = (2 * g.E / 25**2).assign_attrs(g.g.attrs, dimension=2)
    found = g.bp.harmonic_thermodynamics(T, mass="50 u")
    assert "u2" not in found
    np.testing.assert_allclose(found.theta_g, 290.113, rtol=1e-6)


def test_debye_temperatures_of_measurements() -> None:
    C = debye().bp.heat_capacity(T)
    np.testing.assert_allclose(C.bp.debye_temperature().theta, 290.113, rtol=1e-6)
    Q = np.linspace(1, 6, 20)
    line = xbp.models.elastic_line(
        Q, np.linspace(-3, 3, 31), u2="0.010641 angstrom^2", resolution="1 meV"
    )
    table = line.bp.debye_waller()
    theta = table.bp.debye_temperature("300 K", mass="50 u").theta
    assert float(theta) == pytest.approx(290.1, abs=0.1)
    with pytest.raises(TemperatureError, match="not known"):
        table.bp.debye_temperature(mass="50 u")
    with pytest.raises(XbpError, match="mass"):
        table.bp.debye_temperature("300 K")
    with pytest.raises(QuantityError, match="formula units"):
        C.C.assign_attrs(amount="formula units").bp.debye_temperature()


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(QuantityError, match="area"):
        debye().isel(E=slice(0, 50)).bp.harmonic_thermodynamics(T)
    with pytest.raises(UnitsError):
        debye().bp.harmonic_thermodynamics(T, mass="50 meV")
    with pytest.raises(TemperatureError):
        debye().bp.harmonic_thermodynamics([-3.0])
