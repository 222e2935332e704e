from __future__ import annotations

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, UnitsError
from xbp.models import MODELS, evaluate, lmfit_model

E = np.linspace(0.5, 30, 60)


def test_labelled_in_any_units() -> None:
    one = evaluate("lognormal", E, energy="5.5 meV", height=2.0, sigma=0.5)
    assert (one.B.attrs["quantity"], one.E.attrs["units"]) == ("reduced_dos", "meV")
    in_thz = xr.DataArray(E * 0.2417989242084918, dims="E", attrs={"units": "THz"})
    other = evaluate("lognormal", in_thz, energy="5.5 meV", height=2.0, sigma=0.5)
    np.testing.assert_allclose(other.B, one.B, rtol=1e-9)
    kelvin = evaluate("debye_einstein", [10.0, 300.0], gamma=0, n_D=1, theta_D="0.26 kK", n_E=0, theta_E=72, sigma_E=9)
    assert kelvin.C.dims == ("temperature",)
    assert float(kelvin.C[1]) == pytest.approx(3 * scipy.constants.R, rel=0.05)
    milli = evaluate(
        "debye_einstein", [10.0, 300.0], units="mJ/mol/K", gamma=0, n_D=1, theta_D=260, n_E=0, theta_E=72, sigma_E=9
    )
    np.testing.assert_allclose(milli.C, 1e3 * kelvin.C)


def test_equation_3_at_one_q() -> None:
    """The scattering reduced as Eq. 1 over E² is the peak it was made of, whatever the temperature."""
    Q = np.array([2.0])
    for T in (50.0, 300.0):
        S = evaluate("lognormal_scattering", E, energy=5.5, height=2.0, sigma=0.5, T=T)
        full = xbp.new_dataset(
            "dynamic_structure_factor", S.S.values[None], units="1/meV", statistics="quantum", temperature=T,
            coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        )  # fmt: skip
        B = full.bp.to_bqe(u2=0).B.isel(Q=0) * 4
        np.testing.assert_allclose(B, evaluate("lognormal", E, energy=5.5, height=2.0, sigma=0.5).B, rtol=1e-12)


def test_densities_of_states_and_oscillators() -> None:
    fine = np.linspace(0.001, 60, 60_000)
    g = evaluate("debye_gaussian_dos", fine, n_D=0.7, energy_D=25, n_E=0.3, energy_E=6, sigma_E=0.7)
    assert float(g.g.integrate("E")) == pytest.approx(1, abs=1e-3)
    # Below the Gaussian it is Debye's law alone.
    assert float(g.g[100] / g.E[100] ** 2) == pytest.approx(3 * 0.7 / 25**3, rel=1e-2)
    wide = np.linspace(0, 900, 900_001)
    S = evaluate("damped_oscillator", wide, area=3, energy=8, width=2)
    assert np.isfinite(S.S).all()
    assert float((S.S * wide**2).integrate("E")) == pytest.approx(3, rel=2e-3)
    C = evaluate("damped_oscillator_current", wide, area=3, energy=8, width=2)
    np.testing.assert_allclose(S.S[1:] * wide[1:] ** 2, C.C[1:], rtol=1e-10)


def test_lmfit_models() -> None:
    model = lmfit_model("lognormal")
    parameters = model.make_params(energy=5.5, height=2.0, sigma=0.5)
    assert parameters["energy"].min == 0
    expected = evaluate("lognormal", E, energy=5.5, height=2, sigma=0.5).B
    np.testing.assert_allclose(model.eval(parameters, E=E), expected)
    fitted = model.fit(expected.values, model.make_params(energy=4, height=1, sigma=0.3), E=E)
    assert fitted.params["energy"].value == pytest.approx(5.5)
    for name, row in MODELS.items():
        assert lmfit_model(name).param_names == list(row.parameters)


def test_bad_input() -> None:
    with pytest.raises(QuantityError, match="model='bump'"):
        evaluate("bump", E)
    with pytest.raises(QuantityError, match="model='bump'"):
        lmfit_model("bump")
    with pytest.raises(QuantityError, match="energy, height, sigma"):
        evaluate("lognormal", E, energy=3)
    with pytest.raises(QuantityError):
        evaluate("lognormal", E, energy=3, height=1, sigma=1, T=300)
    with pytest.raises(UnitsError):
        evaluate("lognormal", E, energy="3 K", height=1, sigma=1)
    with pytest.raises(CoordinateError):
        evaluate("lognormal", E[::-1], energy=3, height=1, sigma=1)
