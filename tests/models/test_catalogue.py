from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, UnitsError
from xbp.models import MODELS, evaluate, lmfit_model
from xbp.models.model import Model

E = np.linspace(0.5, 30, 60)


def test_labelled_in_any_units() -> None:
    one = evaluate("lognormal", E, energy="5.5 meV", height=2.0, sigma=0.5)
    assert (one.B.attrs["quantity"], one.E.attrs["units"]) == ("reduced_dos", "meV")
    in_thz = xr.DataArray(E * 0.2417989242084918, dims="E", attrs={"units": "THz"})
    other = evaluate("lognormal", in_thz, energy="5.5 meV", height=2.0, sigma=0.5)
    np.testing.assert_allclose(other.B, one.B, rtol=1e-9)
    kelvin = evaluate(
        "debye_einstein",
        [10.0, 300.0],
        gamma=0,
        n_D=1,
        theta_D="0.26 kK",
        n_E=0,
        theta_E=72,
        sigma_E=9,
    )
    assert kelvin.C.dims == ("temperature",)
    assert float(kelvin.C[1]) == pytest.approx(3 * scipy.constants.R, rel=0.05)
    milli = evaluate(
        "debye_einstein",
        [10.0, 300.0],
        units="mJ/mol/K",
        gamma=0,
        n_D=1,
        theta_D=260,
        n_E=0,
        theta_E=72,
        sigma_E=9,
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
        np.testing.assert_allclose(
            B, evaluate("lognormal", E, energy=5.5, height=2.0, sigma=0.5).B, rtol=1e-12
        )


@pytest.mark.slow
def test_densities_of_states_and_oscillators() -> None:
    fine = np.linspace(0.001, 60, 60_000)
    g = evaluate(
        "debye_gaussian_dos",
        fine,
        n_D=0.7,
        energy_D=25,
        n_E=0.3,
        energy_E=6,
        sigma_E=0.7,
    )
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
    fitted = model.fit(
        expected.values, model.make_params(energy=4, height=1, sigma=0.3), E=E
    )
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


LOGNORMAL = {"energy": 5.0, "height": 1.0, "sigma": 0.5}
NO_AXES = {
    "masked": np.ma.masked_greater(E, 10.0), "dates": np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
    "texts": ["1", "2"], "complex": [1j, 2], "ragged": [[1], [2, 3]], "dict": {"a": 1}, "set": {1, 2},
    "objects": np.array([None, 1], object), "none": None, "bool": [True, False], "empty": [], "nan": [1, np.nan],
    "descending": [2, 1], "quantities": [xbp.core.units.registry().Quantity(i, "meV") for i in (1, 2)],
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_AXES)
def test_what_is_no_axis(kind: str) -> None:
    with pytest.raises(CoordinateError, match="E="):
        evaluate("lognormal", NO_AXES[kind], **LOGNORMAL)
    g = evaluate(
        "debye_gaussian_dos", E, n_D=0.7, energy_D=25, n_E=0.3, energy_E=6, sigma_E=0.7
    )
    with pytest.raises(CoordinateError, match="temperature="):
        g.bp.heat_capacity(NO_AXES[kind], area=1)


def test_an_axis_with_units_of_its_own() -> None:
    with_units = evaluate(
        "lognormal", xbp.core.units.registry().Quantity(E, "meV"), **LOGNORMAL
    )
    np.testing.assert_array_equal(with_units.E, E)
    thz = xr.DataArray(E * 0.24, dims="E", attrs={"units": "THz"})
    g = evaluate(
        "debye_gaussian_dos",
        thz,
        n_D=0.7,
        energy_D="25 meV",
        n_E=0.3,
        energy_E="6 meV",
        sigma_E="0.7 meV",
    )
    assert g.g.attrs["units"] == "1/THz"


@pytest.mark.parametrize("name", [[], ["lognormal"], np.array(["a", "b"]), None, 3])
def test_what_is_no_name(name: object) -> None:
    for call in (lambda: evaluate(name, [1.0]), lambda: lmfit_model(name)):  # type: ignore[arg-type]
        with pytest.raises(QuantityError, match=r"is (not|needed:) one of"):
            call()


@pytest.mark.parametrize(
    ("model", "wrong"),
    [
        ("lognormal", {"sigma": 0}), ("lognormal", {"height": 1e300}), ("gaussian", {"sigma": 0}),
        ("lognormal", {"energy": -1}), ("lognormal_scattering", {"T": -300}), ("debye_einstein", {"theta_D": -250}),
        ("debye_einstein", {"theta_E": 1e300}), ("debye_einstein", {"gamma": 1e308}),
        ("fluctuating_elasticity_dos", {"disorder": -1}), ("fluctuating_elasticity_dos", {"disorder": 0.25}),
        ("fluctuating_elasticity_dos", {"disorder": 0.9}), ("damped_oscillator", {"energy": 1e300}),
        ("debye_gaussian_dos", {"sigma_E": 0}),
    ],
)  # fmt: skip
def test_parameters_outside_their_limits(model: str, wrong: dict[str, float]) -> None:
    parameters = {
        "energy": 5.0, "height": 1.0, "sigma": 0.5, "T": 300.0, "gamma": 0.0, "theta_D": 250.0, "theta_E": 72.0,
        "area": 1.0, "energy_D": 22.0, "disorder": 0.1, "width": 1.0, "n_D": 0.8, "n_E": 0.2, "energy_E": 6.0,
        "sigma_E": 1.0,
    }  # fmt: skip
    given = {name: parameters[name] for name in MODELS[model].parameters} | wrong
    with pytest.raises(QuantityError, match=f"(?s){next(iter(wrong))}=.* between"):
        evaluate(model, E, **given)


def test_limits_that_are_part_of_a_model() -> None:
    assert (
        evaluate("fluctuating_elasticity_dos", E, area=1, energy_D=20, disorder=0)
        .g.notnull()
        .all()
    )
    numbers = {
        "gamma": 0,
        "n_D": 0,
        "theta_D": 250,
        "n_E": 1,
        "theta_E": 72,
        "sigma_E": 0,
    }
    assert evaluate("debye_einstein", E, **numbers).C.notnull().all()


def test_a_model_that_is_no_number_somewhere() -> None:
    with pytest.raises(QuantityError, match="not finite at E=1e-200"):
        evaluate("damped_oscillator", [1e-200, 1.0], area=1, energy=5, width=1)


def test_units_of_the_values() -> None:
    for units in ("kg", "K", "V/meV"):
        with pytest.raises(UnitsError):
            evaluate("lognormal", E, units=units, **LOGNORMAL)
    for units in ("1", "cm", "angstrom**2/meV**2", "1/meV**3", "barn/sr/meV"):
        assert evaluate("lognormal", E, units=units, **LOGNORMAL).B.attrs["units"]


def test_a_log_normal_is_fitted_to_data_that_are_highest_at_zero() -> None:
    E = np.linspace(0, 10, 40)
    B = xbp.new_dataset(
        "reduced_dos", np.exp(-E), units="1/meV", coords={"E": (E, "meV")}
    )
    fit = B.bp.fit("lognormal")
    assert bool(np.isfinite(fit.energy)) == (str(fit.status.values) == "ok")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quantity": "bump"}, "quantity of line"),
        ({"parameters": {"b": "x", "a": "y"}}, "parameters are b, a.* are a, b"),
        ({"parameters": {"a": "y", "b": "meV"}}, "units of b='meV'"),
        ({"parameters": {"a": "y", "b": "y/x**2"}}, "units of b=''"),
        ({"held": {"c": 1.0}}, "held='c'"),
        ({"scale": ("c",)}, "scale='c'"),
        ({"positive": ("width",)}, "positive='width'"),
        ({"positive": ("a")}, "must be a tuple.*"),
        ({"below": {"c": 1.0}}, "below='c'"),
        ({"zero": ("c",)}, "zero='c'"),
        ({"area": ("c",)}, "area='c'"),
        ({"edge": "c"}, "edge='c'"),
    ],
)
def test_rows_of_the_catalogue_are_checked(wrong: dict[str, Any], said: str) -> None:
    def line(x: np.ndarray, a: float, b: float) -> np.ndarray:
        return a + b * x

    row: dict[str, Any] = {
        "name": "line", "function": line, "quantity": "reduced_dos",
        "parameters": {"a": "y", "b": "y/x"}, "about": "a line", "positive": (),
        "guess": lambda x, y: {"a": 0.0, "b": 1.0},
    }  # fmt: skip
    assert Model(**row).parameters == row["parameters"]
    with pytest.raises(QuantityError, match=f"(?s){said}"):
        Model(**row | wrong)
