from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lmfit
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, UnitsError
from xbp.fitting.core import by_differences
from xbp.fitting.fit import named_curve
from xbp.models import MODELS
from xbp.models.model import Model

E = np.linspace(0.5, 30, 120)


def line(x: np.ndarray, a: float, b: float) -> np.ndarray:
    return a + b * x


def signal(y: np.ndarray, std: np.ndarray | None = None) -> xr.Dataset:
    return xbp.new_dataset(
        "reduced_dos", y, std=std, units="1/meV**3", coords={"E": (E, "meV")}
    )


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("lognormal", {}),
        ("gaussian", {}),
        ("heterogeneous_elasticity_dos", {}),
        ("heterogeneous_elasticity_dos", {"disorder": 0.3, "velocity_ratio": 1.6}),
        ("debye_einstein", {}),
        ("debye_einstein", {"sigma_E": 40.0, "theta_D": 90.0}),
    ],
)
def test_derivatives_are_those_of_differences(
    name: str, more: dict[str, float]
) -> None:
    model = MODELS[name]
    curve = named_curve(model)
    x = np.array([1.0, 2.0, 7.0, 30.0, 40.0, 200.0])
    known = model.held | model.example | more
    p = np.array([[known[n] for n in curve.names]])
    assert curve.shape is not None
    value, slopes = curve.shape(x, np.zeros(x.size))(p)
    shape = by_differences(lambda p: model.function(x, *p.T[:, :, None]))
    exact, by_steps = shape(p, abs(p), -np.inf * p, np.inf * p)
    np.testing.assert_allclose(value, exact, rtol=1e-12, atol=1e-13 * exact.max())
    size = abs(by_steps).max(axis=2, keepdims=True)
    np.testing.assert_allclose(slopes / size, by_steps / size, atol=3e-8)


def test_every_model_has_an_example() -> None:
    for name, model in MODELS.items():
        missing = {*model.parameters} - {*model.held} - {*model.example}
        assert not missing, f"Model('{name}', …) needs example= of {missing}"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_exact_data_give_every_model_back(name: str) -> None:
    x = np.geomspace(2, 300, 100) if name == "debye_einstein" else E
    ds = xbp.models.evaluate(name, x, **MODELS[name].example)
    fixed = {k: v for k, v in MODELS[name].example.items() if k in ("T", "energy_D")}
    result = ds.bp.fit(
        name, "temperature" if name == "debye_einstein" else None, fixed=fixed
    )
    assert str(result.status.values) == "ok"
    for parameter, value in MODELS[name].example.items():
        assert float(result[parameter]) == pytest.approx(value, rel=1e-2), parameter


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "lognormal", "gaussian", "lognormal_scattering", "damped_oscillator",
        "damped_oscillator_current", "debye_gaussian_dos", "soft_potential_dos",
        "fluctuating_elasticity_dos",
    ],
)  # fmt: skip
@pytest.mark.parametrize("units", ["THz", "1/cm"])
def test_the_same_on_any_axis(name: str, units: str) -> None:
    ds = xbp.models.evaluate(name, E, **MODELS[name].example)
    fixed = {
        k: f"{v} {'K' if k == 'T' else 'meV'}"
        for k, v in MODELS[name].example.items()
        if k in ("T", "energy_D")
    }
    one, other = (
        ds.bp.fit(name, fixed=fixed),
        ds.bp.convert(E=units).bp.fit(name, fixed=fixed),
    )
    assert str(other.status.values) == "ok"
    key = next(k for k in ("energy", "energy_E", "energy_b", "disorder") if k in other)
    units = other[key].attrs["units"]
    factor = (
        1.0
        if units == "1"
        else xbp.core.units.convert_factor(units, "meV", energy=True)
    )
    assert float(other[key]) * factor == pytest.approx(float(one[key]), rel=1e-3)


@pytest.mark.slow
def test_pulls_with_known_errors_and_without() -> None:
    truth = {"a": 3.0, "b": -0.05}
    noise = np.random.default_rng(0).normal(0, 0.1, (150, E.size))
    for known in (True, False):
        data = xbp.new_dataset(
            "reduced_dos", line(E, **truth) + noise, units="1/meV**3",
            std=np.full(noise.shape, 0.1) if known else None,
            coords={"run": (np.arange(150), "1"), "E": (E, "meV")},
        )  # fmt: skip
        result = data.bp.fit(line, start={"a": 1, "b": 0})
        assert ("chi2_reduced" in result) == known
        for name, value in truth.items():
            pulls = (result[name] - value) / result[f"{name}_std"]
            assert abs(pulls.mean()) < 0.25
            assert 0.85 < pulls.std() < 1.2


def test_known_errors_set_the_scale() -> None:
    y = line(E, 3.0, -0.05) + np.random.default_rng(0).normal(0, 0.1, E.size)
    small, large = (
        signal(y, np.full(E.size, s)).bp.fit(line, start={"a": 1, "b": 0})
        for s in (0.1, 0.5)
    )
    assert float(large.a_std / small.a_std) == pytest.approx(5, rel=1e-6)
    assert float(small.chi2_reduced / large.chi2_reduced) == pytest.approx(25, rel=1e-6)
    (slope, offset), covariance = np.polyfit(
        E, y, 1, w=np.full(E.size, 10.0), cov="unscaled"
    )
    assert float(small.a) == pytest.approx(offset, rel=1e-6)
    assert float(small.b_std) == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-5)
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert float(
        small.correlation.sel(parameter="a", other_parameter="b")
    ) == pytest.approx(expected, rel=1e-5)
    assert slope < 0


def test_fifty_temperatures_and_three_samples_in_one_call() -> None:
    rng = np.random.default_rng(0)
    energies = np.linspace(4, 7, 150).reshape(50, 3)
    y = 2 * np.exp(-(np.log(E / energies[..., None]) ** 2) / 0.5)
    ds = xr.Dataset(
        {"B": (("temperature", "sample", "E"), y + rng.normal(0, 0.02, y.shape), {"units": "1", "quantity": "reduced_dos"})},
        coords={"temperature": ("temperature", np.linspace(10, 500, 50), {"units": "K"}), "E": ("E", E, {"units": "meV"})},
    )  # fmt: skip
    ds["B_std"] = (ds.B.dims, np.full(y.shape, 0.02), {"units": "1"})
    ds.B[7, 1] = np.nan
    ds.B[8, 2, 3:] = np.nan
    result = ds.chunk(temperature=10).bp.fit("lognormal").compute(scheduler="threads")
    assert result.energy.dims == ("temperature", "sample")
    assert str(result.status[7, 1].values) == "no data"
    assert str(result.status[8, 2].values) == "too few points"
    assert np.isnan(result.energy[8, 2])
    good = (result.status == "ok").values
    assert good.sum() == 148
    pulls = ((result.energy - energies) / result.energy_std).values[good]
    assert abs(pulls.mean()) < 0.3
    assert 0.85 < pulls.std() < 1.15
    xr.testing.assert_allclose(
        ds.isel(temperature=slice(0, 3)).bp.fit("lognormal"),
        result.isel(temperature=slice(0, 3)),
    )


@pytest.mark.slow
def test_composite_models_of_lmfit(tmp_path: Path) -> None:
    model = xbp.models.lmfit_model("lognormal") + lmfit.Model(line)
    y = 2 * np.exp(-(np.log(E / 5.5) ** 2) / 0.5) + line(E, 0.3, 0.01)
    result = signal(y, np.full(E.size, 0.01)).bp.fit(
        model, start={"energy": 5, "height": 1, "sigma": 0.4, "a": 0, "b": 0}
    )
    assert float(result.energy) == pytest.approx(5.5, rel=1e-4)
    assert float(result.a) == pytest.approx(0.3, rel=1e-3)
    assert "units" not in result.energy.attrs
    result.bp.to_netcdf(tmp_path / "fit.nc")
    with xbp.open_dataset(tmp_path / "fit.nc") as back:
        xr.testing.assert_identical(back, result)


def test_bounds_and_fixed_with_units() -> None:
    ds = xbp.models.evaluate("lognormal", E, **MODELS["lognormal"].example)
    fixed = ds.bp.fit("lognormal", fixed={"energy": "1.2 THz"})
    assert float(fixed.energy) == pytest.approx(1.2 * 4.135667696, rel=1e-9)
    assert float(fixed.energy_std) == 0
    at = ds.bp.fit("lognormal", bounds={"energy": ("6 meV", None)})
    assert str(at.status.values) == "parameter at bound"
    assert np.isnan(at.height)
    cut = ds.bp.fit("lognormal", x_range=("3 meV", "9 meV"))
    assert int(cut.n_points) == int(((E >= 3) & (E <= 9)).sum())


def test_bad_input(glass: xr.Dataset) -> None:
    ds = signal(line(E, 1, 2))
    with pytest.raises(QuantityError, match="model='parabola'"):
        ds.bp.fit("parabola")
    for model in (3, lambda: 1, lambda x: x, None):
        with pytest.raises(QuantityError):
            ds.bp.fit(model)
    with pytest.raises(QuantityError, match="needs a start value of a, b"):
        ds.bp.fit(line)
    for pair in (xr.DataArray(5.0), 5, "a", {1, 2}, None):
        with pytest.raises(QuantityError, match="bounds of energy"):
            ds.bp.fit("lognormal", bounds={"energy": pair})
    with pytest.raises(QuantityError, match="start= has the unknown key 'c'"):
        ds.bp.fit(line, start={"a": 1, "b": 1, "c": 1})
    with pytest.raises(UnitsError):
        ds.bp.fit("lognormal", fixed={"energy": "3 K"})
    with pytest.raises(RangeError, match="dim="):
        ds.bp.fit("lognormal", "Q")
    with pytest.raises(RangeError):
        ds.bp.fit("lognormal", x_range=("50 meV", "60 meV"))
    with pytest.raises(RangeError):
        glass.Sq.expand_dims(sample=2).bp.fit(line, start={"a": 1, "b": 1})
    assert (
        str(signal(np.full(E.size, np.nan)).bp.fit("lognormal").status.values)
        == "no data"
    )
    assert (
        str(ds.isel(E=slice(0, 2)).bp.fit("lognormal").status.values)
        == "too few points"
    )

    def broken(x: np.ndarray, a: float) -> np.ndarray:
        return np.full(x.size, np.nan)

    assert str(ds.bp.fit(broken, start={"a": 1.0}).status.values) == "fit failed"
    assert (
        float(glass.Sq.bp.fit(line, start={"a": 1, "b": 0}, x_range=(3, 8)).a_std) > 0
    )


def test_a_fit_says_its_range_and_what_it_leaves() -> None:
    y = line(E, 3.0, -0.05) + np.random.default_rng(0).normal(0, 0.1, E.size)
    result = signal(y).bp.fit(line, x_range=("5 meV", "20 meV"), start={"a": 1, "b": 0})
    inside = (E >= 5) & (E <= 20)
    assert (float(result.E_low), float(result.E_high)) == (E[inside][0], E[inside][-1])
    assert result.E_low.attrs["units"] == "meV"
    left = y[inside] - line(E[inside], float(result.a), float(result.b))
    assert float(result.relative_residual) == pytest.approx(
        np.sqrt(np.mean(left**2)) / y[inside].max(), rel=1e-9
    )
    few = signal(np.where(inside, y, np.nan)).bp.fit(
        line, x_range=(19.7, 21), start={"a": 1, "b": 0}
    )
    assert str(few.status.values) == "too few points"
    assert np.isnan(float(few.relative_residual))


@pytest.mark.slow
def test_parameters_that_the_data_do_not_depend_on_are_undetermined() -> None:
    g = xbp.models.evaluate("soft_potential_dos", E, slope=0.01, energy_b=5.0)
    start = {"slope": 0.01, "energy_b": 1e5}
    one = MODELS["soft_potential_dos"].function

    def own(E: np.ndarray, slope: float, energy_b: float) -> np.ndarray:
        return one(E, slope, energy_b)

    astray = g.bp.fit(own, start=start)
    assert str(astray.status.values) == "undetermined"
    assert np.isnan(float(astray.energy_b))
    # A model of xbp has a start of its own, from which the fit is right.
    for given in (start, None):
        found = g.bp.fit("soft_potential_dos", start=given)
        assert str(found.status.values) == "ok"
        assert float(found.energy_b) == pytest.approx(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e300, 1e160, 1e-320, 0.0])
def test_numbers_that_cannot_be_squared(factor: float) -> None:
    x = np.linspace(1, 20, 50)
    data = xbp.models.evaluate("lognormal", x, energy="5.5 meV", height=2, sigma=0.6)
    for model in ("lognormal", "gaussian", "damped_oscillator"):
        assert (
            str(
                data.assign(B=data.B.copy(data=data.B.values * factor))
                .bp.fit(model)
                .status.values
            )
            != "ok"
        )
    data["B_std"] = data.B.copy(data=np.full(50, factor))
    data.B.attrs["ancillary_variables"] = "B_std"
    # Errors of 0 throughout are none; all others are nothing to weigh by.
    assert str(data.bp.fit("lognormal").status.values) == (
        "no data" if factor else "ok"
    )
    assert (str(data.bp.boson_peak().status.values) == "ok") is (factor == 0)


def test_a_model_that_computes_some_of_its_parameters() -> None:
    """lmfit's own peaks have a width and a height that follow from what is fitted: those are no parameters here."""
    x = np.linspace(1, 20, 50)
    y = 5 / (2 * np.sqrt(2 * np.pi)) * np.exp(-((x - 8) ** 2) / 8)
    data = xbp.new_dataset("reduced_dos", y, units="1/meV**3", coords={"E": (x, "meV")})
    found = data.bp.fit(
        lmfit.models.GaussianModel(), start={"amplitude": 4, "center": 7, "sigma": 1.5}
    )
    assert [n for n in found.data_vars if f"{n}_std" in found] == [
        "amplitude",
        "center",
        "sigma",
    ]
    assert (float(found.amplitude), float(found.sigma)) == pytest.approx(
        (5, 2), rel=1e-6
    )


@pytest.mark.parametrize(
    "name", ["status", "n_points", "E_low", "a_std", "parameter", "E"]
)
def test_parameters_named_like_something_else_of_the_table(name: str) -> None:
    data = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 50), energy="5.5 meV", height=2, sigma=0.6
    )
    model = lmfit.models.ExpressionModel(f"a + {name} * x")
    with pytest.raises(QuantityError, match="rename"):
        data.bp.fit(model, start={"a": 1, name: 1})


def test_values_that_the_model_has_no_place_for() -> None:
    data = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 50), energy="5.5 meV", height=2, sigma=0.6
    )
    for kw in (
        {"fixed": {"sigma": -1}}, {"start": {"energy": "-3 meV"}}, {"fixed": {"sigma": 5}, "bounds": {"sigma": (0.1, 2)}},
        {"fixed": {"height": 1e300}},
    ):  # fmt: skip
        with pytest.raises(QuantityError):
            data.bp.fit("lognormal", **kw)


@pytest.mark.parametrize(
    "model", [lambda E, a: None, lambda E, a: "a", lambda E, a: a * 1j * E, lambda E, a: np.ones(3) * a, lambda E, a: {}["k"]]
)  # fmt: skip
def test_functions_that_are_no_curve(model: object) -> None:
    data = xbp.models.evaluate("lognormal", E, energy="5.5 meV", height=2, sigma=0.6)
    with pytest.raises(QuantityError, match="failed"):
        data.bp.fit(model, start={"a": 1})


def test_two_parameters_that_are_one_are_undetermined() -> None:
    data = xbp.new_dataset(
        "reduced_dos",
        2 + 3 * E + np.sin(7 * E),
        units="1/meV**3",
        coords={"E": (E, "meV")},
    )
    found = data.bp.fit(
        lambda E, a, b, c: a + b + c * E, start={"a": 1, "b": 1, "c": 0}
    )
    assert str(found.status.values) == "undetermined"
    assert (
        str(
            data.bp.fit(lambda E, a, c: a + c * E, start={"a": 1, "c": 0}).status.values
        )
        == "ok"
    )


def test_a_spectrum_of_nothing_is_fitted() -> None:
    data = xbp.new_dataset(
        "reduced_dos", 0 * E, units="1/meV**3", coords={"E": (E, "meV")}
    )
    assert str(
        data.bp.fit(lambda E, a, b: a + b * E, start={"a": 1, "b": 1}).status.values
    ) in ("ok", "fit failed")


EDGE = {"n_D": 0.8, "energy_D": 22.0, "n_E": 0.2, "energy_E": 6.0, "sigma_E": 1.5}


@pytest.mark.slow
@pytest.mark.parametrize("units", ["meV", "1/cm", "THz", "J"])
def test_the_edge_of_debye_phonons_lies_between_two_points_on_any_axis(
    units: str,
) -> None:
    x = np.linspace(0.3, 30, 200)
    g = xbp.models.evaluate("debye_gaussian_dos", x, **EDGE).bp.convert(E=units)
    found = g.bp.fit("debye_gaussian_dos")
    factor = xbp.core.units.convert_factor(units, "meV", energy=True)
    assert str(found.status.values) == "ok"
    width = x[1] - x[0]
    assert float(found.energy_D) * factor == pytest.approx(22, abs=width / 2)
    assert float(found.energy_D_std) * factor == pytest.approx(
        width / np.sqrt(12), rel=1e-6
    )
    assert float(found.n_D) == pytest.approx(0.8, abs=3 * float(found.n_D_std))
    assert float(found.energy_E) * factor == pytest.approx(6, rel=1e-6)
    level = float(found.n_D) / (float(found.energy_D) * factor) ** 3
    assert level == pytest.approx(0.8 / 22**3, rel=1e-6)


@pytest.mark.slow
def test_pulls_of_the_edge_are_honest() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0.3, 30, 80)
    truth = {name: np.full(16, value) for name, value in EDGE.items()}
    truth["energy_D"] = 22 + rng.uniform(-1, 1, 16)
    each = [
        xbp.models.evaluate(
            "debye_gaussian_dos", x, **{name: v[i] for name, v in truth.items()}
        )
        for i in range(16)
    ]
    g = xr.concat(each, "draw")
    g["g"] = g.g + rng.normal(0, 0.005, g.g.shape)
    g["g_std"] = g.g.copy(data=np.full(g.g.shape, 0.005))
    found = g.bp.fit("debye_gaussian_dos")
    assert (found.status == "ok").all()
    pulls = np.stack(
        [(found[name] - value) / found[f"{name}_std"] for name, value in truth.items()]
    )
    assert (abs(pulls.mean(axis=1)) < 0.65).all()
    assert ((pulls.std(axis=1) > 0.65) & (pulls.std(axis=1) < 1.35)).all()


@pytest.mark.slow
def test_an_edge_that_is_not_in_the_data() -> None:
    g = xbp.models.evaluate("debye_gaussian_dos", np.linspace(0.3, 18, 100), **EDGE)
    assert str(g.bp.fit("debye_gaussian_dos").status.values) == "undetermined"
    held = g.bp.fit("debye_gaussian_dos", fixed={"n_D": 0.8})
    assert str(held.status.values) == "ok"
    assert float(held.energy_D) == pytest.approx(22, rel=1e-3)
    assert float(held.energy_D_std) < 0.01


def test_a_function_that_changes_its_argument_in_place() -> None:
    def careless(E: np.ndarray, a: float, b: float) -> np.ndarray:
        E += 1
        return a + b * E

    ds = signal(line(E + 1, 3.0, 0.5))
    found = ds.bp.fit(careless, start={"a": 1, "b": 0})
    np.testing.assert_array_equal(ds.E, E)
    assert (float(found.a), float(found.b)) == pytest.approx((3, 0.5), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "start", "named", "noise"),
    [
        (lambda E, a, b, c: (a + b + c) * E, {"a": 0.5, "b": 0.5, "c": 0.5}, "a", 0.0),
        (lambda E, a, b, c: (a + b + c) * E, {"a": 0.5, "b": 0.5, "c": 0.5}, "a", 0.1),
        (lambda E, a, c: a * E + 0 * c, {"a": 0.5, "c": 0.5}, "c", 0.1),
    ],
)
def test_what_the_data_do_not_tell_is_undetermined(
    model: object, start: dict[str, float], named: str, noise: float
) -> None:
    found = signal(
        2 * E + np.random.default_rng(0).normal(0, 1, E.size) * noise
    ).bp.fit(model, start=start)
    assert (str(found.status.values), str(found.limiting_parameter.values)) == (
        "undetermined",
        named,
    )


@pytest.mark.slow
def test_bounds_leave_a_start_alone_however_wide() -> None:
    peak = signal(5 / (2 * np.sqrt(2 * np.pi)) * np.exp(-((E - 8) ** 2) / 8))
    start = {"amplitude": 4, "center": 5.4, "sigma": 1.5}
    found = peak.bp.fit(
        lmfit.models.GaussianModel(), start=start, bounds={"center": (0, 1e5)}
    )
    assert float(found.center) == pytest.approx(8, rel=1e-6)
    for high in (1e4, 1e12):
        assert float(
            peak.bp.fit("gaussian", bounds={"energy": (0, high)}).energy
        ) == pytest.approx(8, rel=1e-6)
    truth = {
        "gamma": 4e-3,
        "n_D": 0.8,
        "theta_D": 260.0,
        "n_E": 0.2,
        "theta_E": 72.0,
        "sigma_E": 15.0,
    }
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 90), **truth)
    thetas = dict.fromkeys(("theta_D", "theta_E"), (0, 100000.0))
    for begin in (truth, None):
        assert float(
            C.bp.fit_heat_capacity(start=begin, bounds=thetas).theta_E
        ) == pytest.approx(72, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-100, 1e-18, 1e18, 1e50])
def test_no_scale_matters(factor: float) -> None:
    y = 2 * np.exp(-(np.log(E / 5.5) ** 2) / 0.72) + np.random.default_rng(0).normal(
        0, 0.02, E.size
    )

    def own(x: np.ndarray, energy: float, height: float, sigma: float) -> np.ndarray:
        return height * np.exp(-(np.log(x / energy) ** 2) / 2 / sigma**2)

    for model, start in (
        ("lognormal", {}),
        ("gaussian", {}),
        (own, {"energy": 5, "height": 1.5, "sigma": 0.5}),
    ):
        one = signal(y).bp.fit(model, start=start)
        other = signal(y * factor).bp.fit(
            model, start=start | ({"height": 1.5 * factor} if start else {})
        )
        joule = signal(y).bp.convert(E="J")
        assert str(other.status.values) == "ok"
        for name in ("energy", "energy_std", "sigma"):
            assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-5)
        assert float(other.height_std) == pytest.approx(
            float(one.height_std) * factor, rel=1e-5
        )
        if not start:
            in_mev = xbp.core.units.convert_factor("J", "meV", energy=True)
            assert float(joule.bp.fit(model).energy_std) * in_mev == pytest.approx(
                float(one.energy_std), rel=1e-4
            )


@pytest.mark.parametrize(
    "error", [RuntimeError, KeyError, TypeError, ZeroDivisionError]
)
def test_a_function_that_fails_ends_its_own_spectrum_alone(
    error: type[Exception],
) -> None:
    def fragile(x: np.ndarray, a: float, b: float) -> np.ndarray:
        if a > 8:
            raise error("no")
        return a + b * x

    both = xr.concat([signal(line(E, a, 0.1)) for a in (3.0, 10.0)], dim="sample")
    assert list(both.bp.fit(fragile, start={"a": 1, "b": 0}).status.values) == [
        "ok",
        "fit failed",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_ends_a_program_is_not_swallowed(error: type[BaseException]) -> None:
    def fatal(x: np.ndarray, a: float, b: float) -> np.ndarray:
        if a != 1:
            raise error
        return a + b * x

    with pytest.raises(error):
        signal(line(E, 3.0, 0.1)).bp.fit(fatal, start={"a": 1, "b": 0})


@pytest.mark.slow
def test_threads_share_nothing() -> None:
    """Filters of warnings belong to all threads: where they were changed, a status came out one way or the other."""
    rng = np.random.default_rng(0)
    energies = np.linspace(3, 30, 40)[:, None]
    y = 2 * np.exp(-(np.log(E / energies) ** 2) / 0.5) + rng.normal(
        0, 0.02, (40, E.size)
    )
    ds = xr.Dataset(
        {"B": (("temperature", "E"), y, {"units": "1", "quantity": "reduced_dos"})},
        coords={"temperature": ("temperature", np.linspace(10, 500, 40), {"units": "K"}), "E": ("E", E, {"units": "meV"})},
    )  # fmt: skip
    lazy = ds.chunk({"temperature": 5, "E": 30}).bp.fit(
        "lognormal", bounds={"energy": ("1 meV", "8 meV")}
    )
    xr.testing.assert_identical(
        lazy.compute(scheduler="threads"), lazy.compute(scheduler="synchronous")
    )
    before = list(warnings.filters)
    ds.chunk({"temperature": 5, "E": 30}).bp.boson_peak().compute(scheduler="threads")
    assert before == warnings.filters


def test_a_gaussian_below_zero_has_a_positive_width() -> None:
    x = np.linspace(-15, 15, 121)
    y = 2 * np.exp(-((x + 5.5) ** 2) / 2 / 1.6**2)
    data = xbp.new_dataset("reduced_dos", y, units="1", coords={"E": (x, "meV")})
    found = data.bp.fit("gaussian", start={"energy": -4.0, "sigma": 4.0})
    values = [float(found[name]) for name in ("energy", "height", "sigma")]
    assert values == pytest.approx([-5.5, 2.0, 1.6])


def test_chi2_does_not_depend_on_how_finely_bins_are_divided() -> None:
    """Halves of a bin are one measurement: degrees of freedom count it once."""
    E = np.arange(0.5, 40)
    curve = xbp.models.evaluate("lognormal", E, energy=12.0, height=2.0, sigma=0.5)
    name = next(iter(curve.data_vars))
    y = curve[name].values
    noise = np.random.default_rng(7).standard_normal(E.size)
    std = np.full(E.size, 0.3)
    data = xbp.new_dataset(
        "reduced_dos", y + 0.3 * noise, std=std, units="1/meV**3",
        coords={"E": (E, "meV")},
    )  # fmt: skip
    one = data.bp.fit("lognormal")
    halves = data.bp.rebin(E="0.5 meV").bp.fit("lognormal")
    assert float(one.chi2_reduced) == pytest.approx(1, abs=0.5)
    np.testing.assert_allclose(np.diag(one.correlation), 1)
    assert (abs(one.correlation) < 1 + 1e-9).all()
    assert float(halves.chi2_reduced) == pytest.approx(float(one.chi2_reduced), rel=0.1)
    assert float(halves.energy_std) == pytest.approx(float(one.energy_std), rel=0.1)


@pytest.mark.parametrize("fixed", [{}, {"sigma": 0.5}])
@pytest.mark.parametrize("known", [True, False])
def test_the_residual_is_what_the_curve_leaves(
    fixed: dict[str, float], known: bool
) -> None:
    """The rms over the largest point; chi2 is over the points less the free parameters."""
    curve = xbp.models.evaluate("lognormal", E, energy=6.0, height=2.0, sigma=0.5).B
    noise = 0.02 * np.random.default_rng(3).standard_normal(E.size)
    data = signal(curve.values + noise, np.full(E.size, 0.3) if known else None)
    found = data.bp.fit("lognormal", fixed=fixed)
    names = ("energy", "height", "sigma")
    values = {name: float(found[name]) for name in names}
    left = xbp.models.evaluate("lognormal", E, **values).B.values - data.B.values
    rms = np.sqrt((left**2).mean()) / abs(data.B.values).max()
    assert float(found.relative_residual) == pytest.approx(rms, rel=1e-3)
    if known:
        chi2 = ((left / 0.3) ** 2).sum() / (E.size - 3 + len(fixed))
        assert float(found.chi2_reduced) == pytest.approx(chi2, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_noisy_data_give_models_back_from_their_own_start(name: str) -> None:
    """A start without sense of the edge ends in another minimum once there is noise."""
    of_heat = name == "debye_einstein"
    x = np.geomspace(2, 300, 100) if of_heat else E
    exact = xbp.models.evaluate(name, x, **MODELS[name].example)
    variable = next(iter(exact.data_vars))
    y = exact[variable].values
    # Heat capacities are measured to a share of each value. T and height of
    # lognormal_scattering have nearly the same effect, and rayleigh_line_dos has two
    # minima that differ by less than this noise.
    std = 0.01 * (y if of_heat else np.full(x.size, y.max()))
    held = ("T", "energy_T") if name == "rayleigh_line_dos" else ("T",)
    fixed = {k: v for k, v in MODELS[name].example.items() if k in held}
    # Each fit of this one takes a second.
    n = 3 if name == "heterogeneous_elasticity_dos" else 8
    noise = [np.random.default_rng(seed).standard_normal(x.size) for seed in range(n)]
    draws = xr.DataArray(std * noise, dims=("draw", *exact[variable].dims))
    data = exact.assign({variable: exact[variable] + draws})
    data[variable].attrs = exact[variable].attrs
    if of_heat:
        data[f"{variable}_std"] = xr.zeros_like(data[variable]) + exact[variable].copy(
            data=std
        )
        data[f"{variable}_std"].attrs = {"units": exact[variable].attrs["units"]}
    found = data.bp.fit(name, "temperature" if of_heat else "E", fixed=fixed)
    assert (found.status == "ok").all()
    for parameter, true in MODELS[name].example.items() - fixed.items():
        away = abs(found[parameter] - true)
        assert (away <= 4.5 * found[f"{parameter}_std"]).all(), parameter


def _two_peaks(x: np.ndarray, a: float, b: float, width: float) -> np.ndarray:
    return np.asarray(
        np.exp(-(((x - a) / width) ** 2)) + 0.5 * np.exp(-(((x - b) / width) ** 2))
    )


@pytest.mark.slow
@pytest.mark.parametrize("far_first", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_the_best_of_several_starts_is_kept(
    monkeypatch: pytest.MonkeyPatch, far_first: bool, known: bool
) -> None:
    """Peaks the wrong way round are a minimum too: each start alone gives its own."""
    wrong, right = ({"a": a, "b": b, "width": 2.0} for a, b in ((20, 8), (8, 20)))

    def row(guess: Any) -> Model:
        units = {"a": "x", "b": "x", "width": "x"}
        return Model(
            "two", _two_peaks, "reduced_dos", units,
            about="two Gaussians", positive=("width",), guess=guess,
        )  # fmt: skip

    y = np.stack([_two_peaks(E, 9.0, 19.0, 1.5), np.full(E.size, np.nan)])
    y += 0.001 * np.random.default_rng(0).standard_normal(y.shape)
    data = xbp.new_dataset(
        "reduced_dos", y, std=np.full(y.shape, 0.001) if known else None, units="1",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip
    several = [wrong, right] if far_first else [right, wrong]

    def found(guess: Any, **kwargs: Any) -> xr.Dataset:
        monkeypatch.setitem(MODELS, "two", row(guess))
        table: xr.Dataset = data.bp.fit("two", **kwargs)
        return table

    alone = found(lambda x, y: wrong)
    best, both = found(lambda x, y: right), found(lambda x, y: several)
    assert float(alone.relative_residual[0]) > 0.1
    assert both.status.values.tolist() == ["ok", "no data"]
    xr.testing.assert_identical(both.drop_attrs(), best.drop_attrs())
    # The user's start decides, unless it misses the points and another does not.
    held = found(lambda x, y: several, start=wrong)
    xr.testing.assert_identical(held.drop_attrs(), best.drop_attrs())
    held = found(lambda x, y: wrong, start=right)
    xr.testing.assert_identical(held.drop_attrs(), best.drop_attrs())
    for bad in ([], {"a": 8.0}, [right, {"a": 8.0}]):
        with pytest.raises(QuantityError, match="guess= of the model"):
            found(lambda x, y, bad=bad: bad)
    nothing = data.isel(Q=[1]).bp.fit("two")
    assert nothing.status.values.tolist() == ["no data"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "start", [{"energy_E": 15}, {"energy_E": 30}, {"energy_D": 10}]
)
@pytest.mark.parametrize("known", [True, False])
def test_a_start_far_off_leads_to_the_curve(
    start: dict[str, float], known: bool
) -> None:
    """Not to 20.6 ± 0.04 for 6 meV, at a chi-squared of 57."""
    x = np.linspace(0.25, 40, 160)
    true = {"n_D": 0.7, "energy_D": 25.0, "n_E": 0.3, "energy_E": 6.0, "sigma_E": 1.2}
    g = xbp.models.evaluate("debye_gaussian_dos", x, **true).g.values
    error = 0.02 * g.max()
    noise = error * np.random.default_rng(3).standard_normal(x.size)
    data = xbp.new_dataset(
        "vibrational_dos", g + noise, units="1/meV", coords={"E": (x, "meV")},
        std=np.full(x.size, error) if known else None,
    )  # fmt: skip
    found = data.bp.fit("debye_gaussian_dos", start=start)
    assert str(found.status.values) == "ok"
    for name, value in true.items():
        assert abs(float(found[name]) - value) < 3 * float(found[f"{name}_std"])


@pytest.mark.slow
def test_a_heat_capacity_without_errors_has_relative_ones() -> None:
    """Of 3 % noise, by absolute ones theta_E was up to 162 ± 4 K for 72."""
    T = np.geomspace(2, 300, 80)
    true = {"gamma": 0.004, "n_D": 0.8, "theta_D": 260.0, "n_E": 0.2}
    true |= {"theta_E": 72.0, "sigma_E": 15.0}
    C = xbp.models.evaluate("debye_einstein", T, **true).C.values
    noise = np.random.default_rng(0).standard_normal((8, T.size))
    data = xbp.new_dataset(
        "heat_capacity", C * (1 + 0.03 * noise), units="J/mol/K",
        coords={"run": (np.arange(8), "1"), "temperature": (T, "K")},
    )  # fmt: skip
    found = data.bp.fit("debye_einstein", "temperature")
    assert (found.status == "ok").all()
    for name, value in true.items():
        pulls = (found[name] - value) / found[f"{name}_std"]
        assert float(abs(pulls).max()) < 4


def test_a_start_that_ends_in_a_minimum_of_its_own_is_not_the_answer() -> None:
    """The other one leads to where the model has no values, and fits better before."""

    def two(x: np.ndarray, a: float) -> np.ndarray:
        curve = np.where(np.arange(x.size) % 2, (a - 2) * (a - 6), 0.3 * (a - 6.5))
        return curve if a < 5.9 else np.full(x.shape, np.nan)

    row: dict[str, Any] = {
        "name": "two", "function": two, "quantity": "reduced_dos",
        "parameters": {"a": "1"}, "about": "two minima", "positive": ("a",),
    }  # fmt: skip
    x = np.linspace(1, 5, 9)
    flat = xbp.new_dataset(
        "reduced_dos", 0 * x, units="1", std=0 * x + 0.1, coords={"E": (x, "meV")}
    )
    first, second = {"a": 1.5}, {"a": 5.0}
    alone = flat.bp.fit(Model(**row, guess=lambda x, y: first))
    assert str(alone.status.values) == "ok"
    assert 1.9 < float(alone.a) < 2.2
    both = flat.bp.fit(Model(**row, guess=lambda x, y: [first, second]))
    assert str(both.status.values) == "fit failed"


@pytest.mark.slow
def test_the_best_place_of_a_step_is_found() -> None:
    """Also where the fit at the first place has not come to an end."""
    E = np.linspace(0.5, 15, 16)
    data = xbp.models.evaluate("soft_potential_dos", E, slope=0.01, energy_b=4.0)
    data["g_std"] = (0.03 * data.g).assign_attrs(units="1/meV")
    found = data.bp.fit("jamming_dos")
    assert str(found.status.values) == "ok"
    near = {name: float(found[name]) for name in ("area_star", "energy_star")}
    for onset in (0.6, 1.0, 2.0, 4.0):
        other = data.bp.fit("jamming_dos", fixed={"energy_0": onset}, start=near)
        free = 16 - 3, 16 - 2
        chi2 = float(found.chi2_reduced) * free[0], float(other.chi2_reduced) * free[1]
        assert chi2[0] < chi2[1] or np.isnan(chi2[1])
