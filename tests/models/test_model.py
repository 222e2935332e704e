"""Sums and products of models, and one model as several quantities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.core.constants import BOLTZMANN_MEV
from xbp.errors import QuantityError
from xbp.models import MODELS, Model, evaluate, lmfit_model
from xbp.models.debye_einstein import debye_heat_capacity

E = np.linspace(0.3, 20, 100)
SUM = MODELS["debye_phonons_dos"] + MODELS["stringlets_dos"]
TRUE = {"n_D": 0.9, "energy_D": 25.0, "area": 0.1, "energy_s": 18.0}


def test_a_sum_is_the_sum_and_its_parameters_are_apart() -> None:
    both = evaluate(SUM, E, **TRUE).g
    parts = (
        evaluate("debye_phonons_dos", E, n_D=0.9, energy_D=25).g,
        evaluate("stringlets_dos", E, area=0.1, energy_s=18).g,
    )
    np.testing.assert_allclose(both, parts[0] + parts[1])
    assert float(evaluate(SUM, E, **TRUE).area) == pytest.approx(1)
    two = MODELS["lognormal"] + MODELS["lognormal"]
    assert list(two.parameters) == ["energy", "height", "sigma", "energy_2", "height_2", "sigma_2"]  # fmt: skip
    assert lmfit_model(two).param_names == list(two.parameters)
    assert lmfit_model(SUM).make_params()["weight"].vary is False


def test_a_sum_has_the_units_of_the_part_that_has_some() -> None:
    own = MODELS["debye_einstein"]
    bare = replace(own, x_units=None, y_units=None)
    for both in (own + bare, bare + own, own + own):
        assert (both.x_units, both.y_units) == ("K", "J/mol/K")
    assert (bare + bare).y_units is None


def test_renamed_to_one_name_parameters_are_shared() -> None:
    two = (MODELS["lognormal"] + MODELS["lognormal"]).renamed(sigma_2="sigma")
    shared = evaluate(two, E, energy=5, height=1, sigma=0.4, energy_2=9, height_2=2).B
    apart = [
        evaluate("lognormal", E, energy=e, height=h, sigma=0.4).B
        for e, h in ((5, 1), (9, 2))
    ]
    np.testing.assert_allclose(shared, apart[0] + apart[1])
    with pytest.raises(QuantityError, match=r"sigma_2 is in 1.* energy is in x"):
        (MODELS["lognormal"] + MODELS["lognormal"]).renamed(sigma_2="energy")
    with pytest.raises(QuantityError, match="parameter='width'"):
        two.renamed(width="sigma")


def test_a_product_has_the_units_of_its_first() -> None:
    product = MODELS["lognormal"] * MODELS["exponential_flank"]
    assert product.parameters["height"] == "y"
    assert product.parameters["height_2"] == "1"
    found = evaluate(
        product, E, energy=5, height=2, sigma=0.5, energy_c=8, height_2=1, power=0
    )
    one = evaluate("lognormal", E, energy=5, height=2, sigma=0.5)
    np.testing.assert_allclose(found.B, one.B * np.exp(-E / 8))


@pytest.mark.parametrize(
    "quantity", ["vibrational_dos", "reduced_dos", "reduced_heat_capacity"]
)
def test_a_sum_is_fitted_as_any_quantity(quantity: str) -> None:
    """Noise of 1 %, from its own start: errors that are those of the scatter."""
    model, k = SUM.of(quantity), BOLTZMANN_MEV
    is_dos = quantity != "reduced_heat_capacity"
    axis = E if is_dos else np.geomspace(2, 60, 60)
    true = {n: v if is_dos or "energy" not in n else v / k for n, v in TRUE.items()}
    data = evaluate(model, axis, **true)
    name = str(next(iter(data.data_vars)))
    noise = 0.01 * data[name] * np.random.default_rng(1).normal(size=axis.size)
    data[f"{name}_std"] = 0.01 * data[name].assign_attrs(
        units=data[name].attrs["units"]
    )
    data[name] = (data[name] + noise).assign_attrs(data[name].attrs)
    held = {"energy_D": true["energy_D"]}
    found = data.bp.fit(model, fixed=held)
    assert str(found.status.values) == "ok"
    for parameter in ("n_D", "area", "energy_s"):
        off = float(found[parameter]) - true[parameter]
        assert abs(off) < 3.5 * float(found[f"{parameter}_std"]), parameter
    assert float(found.weight) == 0
    assert float(found.weight_std) == 0
    assert found.attrs["model"] == "debye_phonons_dos + stringlets_dos"


def test_a_default_is_fitted_if_it_has_a_start() -> None:
    data = evaluate("stringlets_dos", E, area=0.1, energy_s=18.0, weight=1.0)
    found = data.bp.fit("stringlets_dos", start={"weight": 0.5})
    assert float(found.weight) == pytest.approx(1, rel=1e-4)
    assert float(data.bp.fit("stringlets_dos").weight) == 0


def test_starts_of_other_quantities_are_those_of_the_density_of_states() -> None:
    """B = g/E²; and C = (12π⁴/5) R (T/θ)³ at low T, where g = 3E²/θ³, E/k_B for E."""
    theta, given = 900.0, []

    def guess(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        given.append(y / x**2)
        return {"n_D": 1.0, "energy_D": theta}

    model = replace(MODELS["debye_phonons_dos"], guess=guess)
    x, T = np.linspace(1.0, 500.0, 20), np.linspace(1.0, 20.0, 20)
    model.of("reduced_dos").guess(x, np.full(x.size, 3 / theta**3))
    model.of("heat_capacity").guess(T, debye_heat_capacity(T, theta))
    model.of("reduced_heat_capacity").guess(T, debye_heat_capacity(T, theta) / T**3)
    np.testing.assert_allclose(given, 3 / theta**3, rtol=1e-9)


def test_the_start_of_a_sum_has_the_amounts_of_the_data() -> None:
    """Of 10 + 0.5 x, whose parts only have to be scaled."""

    def part(name: str, power: int) -> Model:
        def function(x: np.ndarray, amount: float) -> np.ndarray:
            return np.asarray(amount * x**power)

        return Model(
            name, function, "reduced_dos", {"amount": "y"}, about=name,
            positive=("amount",), guess=lambda x, y: {"amount": 1.0},
        )  # fmt: skip

    both = part("constant", 0) + part("line", 1)
    x = np.linspace(0.0, 1.0, 11)
    for start in both.guess(x, 10 + 0.5 * x):
        assert start == pytest.approx({"amount": 10.0, "amount_2": 0.5})


def test_heat_capacity_of_debye_phonons() -> None:
    T = np.array([2.0, 20.0, 300.0])
    C = MODELS["debye_phonons_dos"].of("heat_capacity").function(T, 1.0, 290.0)
    np.testing.assert_allclose(C, debye_heat_capacity(T, 290.0), rtol=1e-9)
    assert evaluate(MODELS["debye_phonons_dos"].of("heat_capacity"), T, n_D=1, energy_D=290).C.dims == ("temperature",)  # fmt: skip


def test_heat_capacity_of_quartic_modes() -> None:
    """The numbers of shared theories, 1: mJ/mol/K⁴ for E_D = 25 meV, A₄ = 1e-6/meV⁵."""
    k, T = BOLTZMANN_MEV, np.array([5.0, 10.0])
    model = MODELS["debye_phonons_dos"] + MODELS["quartic_dos"]
    reduced = model.of("reduced_heat_capacity").function
    in_all = 1e3 * reduced(T, 1.0, 25 / k, 1e-6 * k**5)
    exact = 1e3 * scipy.constants.R * 3 * k**3 * (
        4 * np.pi**4 / 15 * 3 / 25**3 + 16 * np.pi**6 / 21 * k**2 * T**2 * 1e-6
    )  # fmt: skip
    np.testing.assert_allclose(exact, [0.0817761, 0.0882876], atol=6e-8)
    # At 10 K Debye's energies end where 1e-9 of the heat capacity is left.
    np.testing.assert_allclose(in_all, exact, rtol=1e-6)


@pytest.mark.parametrize(
    ("sigma", "ratio"),
    [(0.05, 4.92063), (0.3, 4.73909), (0.48, 4.59745), (0.6, 4.52584)],
)
def test_heat_capacity_of_a_log_normal(sigma: float, ratio: float) -> None:
    reduced = MODELS["lognormal"].of("reduced_heat_capacity").function
    T = 1 / ratio * (1 + np.linspace(-0.02, 0.02, 41))
    C = reduced(T, 1.0, 1.0, sigma)
    top = np.polynomial.Polynomial.fit(T, C, 4).deriv().roots()
    at = [float(t.real) for t in top if abs(t.imag) < 1e-9 and T[0] < t.real < T[-1]]
    assert 1 / at[0] == pytest.approx(ratio, abs=6e-6)


def test_log_normal_over_powers_of_the_energy() -> None:
    """E² times a log-normal is one with its mode at E₀ exp(2σ²)."""
    sigma, fine = 0.48, np.linspace(1.5, 1.7, 20001)
    g = MODELS["lognormal"].of("vibrational_dos").function(fine, 1.0, 1.0, sigma)
    assert fine[np.argmax(g)] == pytest.approx(1.585342, abs=6e-6)
    assert np.exp(2 * sigma**2) == pytest.approx(1.585342, abs=6e-7)
    width = np.exp(2 * sigma * np.sqrt(2 * np.log(2)))
    assert width == pytest.approx(3.096628, abs=6e-7)
    half = MODELS["lognormal"].function(
        np.array([1 / np.sqrt(width), np.sqrt(width)]), 1, 1, sigma
    )
    np.testing.assert_allclose(half, 0.5)


def test_forms_of_experimentalists() -> None:
    fine = np.linspace(0.5, 12, 23001)

    def top(y: np.ndarray) -> float:
        return float(fine[np.argmax(y)])

    for name in ("correlated_disorder", "gaussian_disorder"):
        B = MODELS[name].function(fine, 3.0, 2.0)
        assert top(B) == pytest.approx(3, abs=6e-4)
        assert B.max() == pytest.approx(2, rel=1e-6)
    correlated = MODELS["correlated_disorder"].function(fine, 3.0, 2.0)
    assert top(correlated * fine) == pytest.approx(3 * np.sqrt(3), abs=6e-4)
    assert top(MODELS["exponential_flank"].function(fine, 2.0, 1.0, 1.5)) == pytest.approx(3, abs=6e-4)  # fmt: skip
    assert (
        np.diff(MODELS["exponential_flank"].function(fine, 2.0, 1.0, 0.0)) < 0
    ).all()


def test_views_follow_one_another() -> None:
    model, p = MODELS["stringlets_dos"], (0.1, 18.0, 0.0)
    g = model.function(E, *p)
    B = model.of("reduced_dos")
    np.testing.assert_allclose(B.function(E, *p), g / E**2)
    assert B.parameters["area"] == "x*x*x*y"
    np.testing.assert_allclose(B.of("vibrational_dos").function(E, *p), g)
    assert B.of("reduced_dos") is B
    S = MODELS["lognormal"].of("dynamic_structure_factor")
    expected = evaluate("lognormal_scattering", E, energy=5, height=2, sigma=0.5, T=200)
    np.testing.assert_allclose(S.function(E, 5.0, 2.0, 0.5, 200.0), expected.S)
    assert S.parameters["height"] == "y/x"
    with pytest.raises(QuantityError, match="quantity"):
        model.of("current_spectrum")
    with pytest.raises(QuantityError, match="quantity"):
        MODELS["debye_einstein"].of("vibrational_dos")


def test_figures_of_fits_of_made_models() -> None:
    data = evaluate(SUM, E, **TRUE)
    found = data.bp.fit(SUM, fixed={"energy_D": 25})
    assert len(data.bp.plot.fit(found, model=SUM).lines) >= 2


def test_models_are_exported() -> None:
    assert xbp.models.Model is Model
    assert isinstance(
        data := evaluate("lognormal", E, energy=5, height=1, sigma=1), xr.Dataset
    )
    assert data.attrs


def test_every_parameter_says_what_it_means() -> None:
    for row in MODELS.values():
        missing = [name for name in row.parameters if not row.meaning[name]]
        assert not missing, f"Model('{row.name}', …) needs meaning= of {missing}"
    both = MODELS["debye_phonons_dos"] + MODELS["debye_phonons_dos"]
    assert both.meaning["energy_D_2"] == both.meaning["energy_D"]
    renamed = both.renamed(n_D="part").of("heat_capacity")
    assert renamed.meaning["part"] == both.meaning["n_D"]
    jammed = MODELS["jamming_dos"].meaning["energy_0"]
    assert jammed != MODELS["resonant_phonons_dos"].meaning["energy_0"]


def test_every_model_says_what_it_assumes() -> None:
    for row in MODELS.values():
        assert "assumes" in " ".join((row.function.__doc__ or "").split()), row.name


@pytest.mark.parametrize("name", MODELS)
def test_columns_of_parameters_give_the_curves_of_all(name: str) -> None:
    """Fits call named models for many curves at once."""
    rng, row = np.random.default_rng(1), MODELS[name]
    x = np.geomspace(1, 60, 9)
    views = {row.quantity}
    if row.quantity in ("vibrational_dos", "reduced_dos"):
        views |= {"reduced_dos", "dynamic_structure_factor", "heat_capacity"}
    for quantity in views:
        model = row.of(quantity)
        assert model.vectorized
        columns = {
            n: rng.uniform(3, 30, (4, 1)) if rule in ("x", "K") else
            rng.uniform(0.05, 0.2, (4, 1)) + (n == "velocity_ratio")
            for n, rule in model.parameters.items()
        }  # fmt: skip
        each = [
            model.function(x, **{n: float(p[i, 0]) for n, p in columns.items()})
            for i in range(4)
        ]
        np.testing.assert_allclose(
            model.function(x, **columns), each, rtol=1e-11, atol=1e-300
        )
