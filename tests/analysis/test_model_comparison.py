"""Theories compared on one spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from xbp.analysis.model_comparison import _slope
from xbp.core.constants import BOLTZMANN_MEV, HBAR
from xbp.errors import QuantityError
from xbp.models import MODELS, evaluate
from xbp.models.harmonic import debye_displacement

E = np.linspace(0.5, 15, 60)
SUM = MODELS["debye_phonons_dos"] + MODELS["stringlets_dos"]
FLAT = [
    "stringlets_dos",
    "soft_oscillators_dos",
    "quasilocalized_dos",
    "damped_phonons_dos",
]


SOFT = ["stringlets_dos", "soft_oscillators_dos"]


def noisy(model, x: np.ndarray, part: float, seed: int = 0, **parameters) -> xr.Dataset:
    """Return a model with errors that are a part of each value."""
    data = evaluate(model, x, **parameters)
    name = str(next(iter(data.data_vars)))
    attrs = data[name].attrs
    data[f"{name}_std"] = (part * data[name]).assign_attrs(units=attrs["units"])
    noise = part * np.random.default_rng(seed).normal(size=x.size)
    data[name] = (data[name] * (1 + noise)).assign_attrs(attrs)
    return data


@pytest.fixture(scope="module")
def table() -> xr.Dataset:
    data = noisy(SUM, E, 0.01, n_D=0.8, energy_D=25, area=0.2, energy_s=20)
    found: xr.Dataset = data.bp.compare_models(
        [SUM, *FLAT, "debye_phonons_dos"], fixed={"energy_D": 25}
    )
    return found


@pytest.mark.slow
def test_the_true_model_is_the_best(table: xr.Dataset) -> None:
    assert table.model[int(table.BIC.argmin("model"))] == SUM.name
    one = table.sel(model=SUM.name)
    assert str(one.status.values) == "ok"
    assert float(one.chi2_reduced) == pytest.approx(1, abs=0.6)
    assert float(one.delta_BIC) == 0
    for name, true in (("n_D", 0.8), ("area", 0.2), ("energy_s", 20)):
        assert abs(float(one[name]) - true) < 4 * float(one[f"{name}_std"])
    # energy_D is fixed, and the model does not have energy_star.
    assert float(one.energy_D_std) == 0
    assert np.isnan(float(one.energy_star))
    assert float(one.n_parameters) == 3


def test_criteria(table: xr.Dataset) -> None:
    one = table.sel(model=SUM.name)
    chi2 = float((one.residual**2).sum())
    assert float(one.chi2_reduced) * (60 - 3) == pytest.approx(chi2, rel=1e-6)
    assert float(one.AIC) == pytest.approx(chi2 + 6, rel=1e-6)
    assert float(one.BIC) == pytest.approx(chi2 + 3 * np.log(60), rel=1e-6)


def test_where_each_model_has_its_peak(table: xr.Dataset) -> None:
    """Debye adds a constant to g/E², which does not move the maximum."""
    one = table.sel(model=SUM.name)
    assert float(one.E_BP) == pytest.approx(float(one.energy_s) / 4, rel=1e-5)
    assert float(one.E_BP_std) == pytest.approx(float(one.energy_s_std) / 4, rel=5e-3)
    soft = table.sel(model="soft_oscillators_dos")
    assert float(soft.E_BP) == pytest.approx(
        1.520219 * float(soft.energy_star), rel=1e-4
    )
    for name in ("quasilocalized_dos", "debye_phonons_dos"):
        none = table.sel(model=name)
        status = str(none.status.values)
        assert str(none.E_BP_status.values) == (
            "no maximum" if status == "ok" else status
        )
        assert np.isnan(float(none.E_BP))


@pytest.mark.parametrize("name", ["damped_phonons_dos", "quasilocalized_dos"])
def test_models_without_a_maximum_say_so(name: str) -> None:
    own = {"damped_phonons_dos": {"area": 1, "energy_T": 20, "damping": 0.2}}
    p = own.get(name, {"level": 2e-4, "energy_4": 9})
    data = noisy(name, E, 0.001, **p)
    fixed = {"area": 1} if "area" in p else {}
    found = data.bp.compare_models([name], fixed=fixed)
    assert str(found.status.values[0]) == "ok"
    assert str(found.E_BP_status.values[0]) == "no maximum"


def test_a_fit_at_a_bound_or_degenerate_says_so() -> None:
    # Debye phonons are fluctuating elasticity without disorder; below the edge of all
    # branches their area and energies are one number.
    data = evaluate("debye_phonons_dos", E, n_D=1, energy_D=25.0)
    data["g_std"] = (0.01 * data.g).assign_attrs(units=data.g.attrs["units"])
    data["g"] = data.g * (1 - 0.003 * E / 15)
    data["g"].attrs |= {"quantity": "vibrational_dos", "units": "1/meV"}
    found = data.bp.compare_models(
        ["fluctuating_elasticity_dos", "debye_phonons_dos"], fixed={"area": 1}
    )
    assert found.status.values.tolist() == ["parameter at bound", "undetermined"]
    assert found.limiting_parameter.values[0] == "disorder"
    assert np.isnan(found.BIC).all()


#: Data, what is fitted to them, and the parameter that they do not determine, or that
#: ends at its bound.
ATTACKS = [
    ("quartic_dos", "lognormal", "undetermined", "energy"),
    ("einstein_modes_dos", "soft_oscillators_dos", "undetermined", "energy_star"),
    ("soft_potential_dos", "damped_phonons_dos", "parameter at bound", "damping"),
    ("soft_potential_dos", "bi_hill", "undetermined", "height"),
]
ATTACKED = {
    "quartic_dos": {"A_4": 1e-6},
    "einstein_modes_dos": {"n_E": 0.5, "energy_E": 8.0, "sigma_E": 2.0},
    "soft_potential_dos": {"slope": 0.01, "energy_b": 4.0},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model", "status", "limiting"), ATTACKS)
def test_a_fit_that_runs_away_says_where(
    name: str, model: str, status: str, limiting: str
) -> None:
    data = noisy(name, E[::2], 0.03, seed=1, **ATTACKED[name])
    fixed = {"area": 1.0} if "area" in MODELS[model].parameters else {}
    found = data.bp.compare_models([model], fixed=fixed).isel(model=0)
    assert str(found.status.values) == status
    assert str(found.limiting_parameter.values) == limiting


@pytest.mark.slow
def test_an_unstable_medium_is_at_a_bound(glass: xr.Dataset) -> None:
    """Its disorder is then next to 1, where there is no medium any more."""
    hot = glass[["g", "g_std"]].bp.rebin(E="0.4 meV").bp.to_bqe()
    one = "heterogeneous_elasticity_dos"
    found = hot.bp.compare_models([one], x_range=(2, 9), fixed={"velocity_ratio": 2.45})
    assert str(found.status.values[0]) == "parameter at bound"
    assert str(found.limiting_parameter.values[0]) == "disorder"
    # Bounds do not lead beyond it.
    known = {"velocity_ratio": 2.45}
    beyond = {"disorder": (0, 2)}
    found = hot.bp.compare_models([one], x_range=(2, 9), fixed=known, bounds=beyond)
    assert str(found.status.values[0]) == "parameter at bound"
    with pytest.raises(QuantityError, match="disorder=1 must be below 1"):
        hot.bp.compare_models([one], fixed={"disorder": 1})
    with pytest.raises(QuantityError, match="must be below 1"):
        hot.bp.compare_models([one], bounds={"disorder": (1.5, 2)})
    # With a velocity fixed the fit is bad, and ends.
    known = {"area": 1, "energy_T": 18.03, "velocity_ratio": 2.45}
    found = hot.bp.compare_models([one], x_range=(2, 9), fixed=known)
    assert str(found.status.values[0]) == "ok"
    assert float(found.chi2_reduced[0]) > 10


def test_the_range_is_that_of_all_bins_that_were_fitted(glass: xr.Dataset) -> None:
    """Bins that share counts are fitted as one, from the first of them to the last."""
    hot = glass[["g", "g_std"]].bp.rebin(E="0.4 meV").bp.to_bqe()
    found = hot.bp.compare_models(["soft_oscillators_dos"], x_range=(2, 9)).isel(
        model=0
    )
    inside = hot.E.sel(E=slice(2, 9))
    assert int(found.n_points) < inside.size
    assert float(found.E_low) == float(inside[0])
    assert float(found.E_high) == float(inside[-1])
    shown = found.fitted.dropna("E").E
    np.testing.assert_array_equal(shown, inside)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("onset", "status"), [(0.4, "ok"), (0.8, "ok"), (0.02, "parameter at bound")]
)
def test_an_onset_below_the_data(onset: float, status: str) -> None:
    """The root of E² - E₀² shows it, if it is not too small: then it is at its bound."""
    p = {"area_star": 0.3, "energy_0": onset, "energy_star": 7.0}
    found = noisy("jamming_dos", E, 0.01, **p).bp.compare_models(["jamming_dos"])
    assert str(found.status[0].values) == status
    if status == "ok":
        for name, true in p.items():
            assert abs(float(found[name][0]) - true) < 4 * float(
                found[f"{name}_std"][0]
            )
    else:
        assert str(found.limiting_parameter[0].values) == "energy_0"
        assert np.isnan(float(found.BIC[0]))


@pytest.mark.parametrize("name", ["lognormal", "gaussian"])
def test_forms_of_the_reduced_density_fit_g(name: str) -> None:
    """Their energy is the maximum of g/E², in whatever quantity they are fitted."""
    p = {"energy": 4.5, "height": 1e-3, "sigma": 0.6}
    data = noisy(MODELS[name].of("vibrational_dos"), E, 0.01, **p)
    found = data.bp.compare_models([name])
    for parameter, true in p.items():
        std = float(found[f"{parameter}_std"][0])
        assert abs(float(found[parameter][0]) - true) < 4 * std
    assert float(found.E_BP[0]) == pytest.approx(float(found.energy[0]), rel=1e-3)


def test_no_theory_takes_modes_away() -> None:
    """Data below the phonons would be fitted by fewer other modes than none."""
    data = noisy("debye_phonons_dos", E, 0.01, n_D=1.0, energy_D=25.0)
    attrs = data.g.attrs
    data["g"] = (data.g * (1 - 0.02 * E)).assign_attrs(attrs)
    found = data.bp.compare_models(
        [MODELS["debye_phonons_dos"] + MODELS[name] for name in SOFT],
        fixed={"energy_D": 25.0, "n_D": 1.0},
    )
    assert set(found.status.values) == {"parameter at bound"}
    assert set(found.limiting_parameter.values) == {"area", "slope"}


@pytest.mark.slow
def test_sound_velocities_fix_energies() -> None:
    n = 0.06
    energy = HBAR * 22 * np.cbrt(6 * np.pi**2 * n)
    p = {"area": 1.0, "energy_T": energy, "disorder": 0.8, "velocity_ratio": 1.9}
    data = noisy("heterogeneous_elasticity_dos", E, 0.01, **p)
    found = data.bp.compare_models(
        ["heterogeneous_elasticity_dos", "debye_phonons_dos"],
        fixed={"energy_T": "2200 m/s", "velocity_ratio": 1.9, "energy_D": "2450 m/s"},
        number_density="60 1/nm^3",
    )
    assert float(found.energy_T[0]) == pytest.approx(energy, rel=1e-9)
    assert float(found.energy_T_std[0]) == 0
    assert abs(float(found.disorder[0]) - 0.8) < 4 * float(found.disorder_std[0])
    assert np.isnan(float(found.energy_T[1]))
    with pytest.raises(QuantityError, match="number_density"):
        data.bp.compare_models(["damped_phonons_dos"], fixed={"energy_T": "22 km/s"})


def test_u2_and_temperatures_fix_energies() -> None:
    """The u² of a Debye solid of 25 meV means 25 meV."""
    data = noisy(SUM, E, 0.01, n_D=0.8, energy_D=25, area=0.2, energy_s=20)
    theta = 25 / BOLTZMANN_MEV
    u2 = float(debye_displacement(np.array(300.0), np.array(theta), 70.0))
    for value, sample in (
        (f"{u2!r} angstrom^2", {"mass": "70 u", "T": "300 K"}),
        (f"{1e-2 * u2!r} nm^2", {"mass": 70, "T": 300}),
        (f"{theta!r} K", {}),
    ):
        found = data.bp.compare_models(
            ["debye_phonons_dos"], fixed={"energy_D": value}, **sample
        )
        assert float(found.energy_D[0]) == pytest.approx(25, rel=1e-6)
    with pytest.raises(QuantityError, match="needs mass and T"):
        data.bp.compare_models([SUM], fixed={"energy_D": "0.01 angstrom^2"})
    with pytest.raises(QuantityError, match="no Debye solid"):
        data.bp.compare_models(
            [SUM], fixed={"energy_D": "1e-9 angstrom^2"}, mass=70, T=300
        )


@pytest.mark.parametrize(
    "quantity", ["reduced_dos", "reduced_heat_capacity", "heat_capacity"]
)
def test_other_quantities(quantity: str) -> None:
    k = BOLTZMANN_MEV
    thermal = "heat" in quantity
    factor = 1 / k if thermal else 1.0
    p = {"n_D": 0.8, "energy_D": 25.0 * factor, "area": 0.2, "energy_s": 16.0 * factor}
    x = np.geomspace(2, 40, 40) if thermal else E
    data = noisy(SUM.of(quantity), x, 0.01, **p)
    found = data.bp.compare_models(
        [SUM, "debye_phonons_dos"], fixed={"energy_D": "25 meV"}
    )
    assert found.status.values.tolist() == ["ok", "ok"]
    assert float(found.E_BP[0]) == pytest.approx(4, rel=0.05)
    assert found.E_BP.attrs["units"] == "meV"
    assert float(found.delta_BIC[1]) > 100
    assert np.nanstd(found.residual[0]) == pytest.approx(1, abs=0.4)


@pytest.mark.slow
def test_many_spectra_and_files(tmp_path: Path) -> None:
    one = noisy(SUM, E, 0.02, n_D=0.8, energy_D=25, area=0.2, energy_s=20)
    two = xr.concat([one, one.where(E > 20)], "sample", combine_attrs="override")
    fixed = {"energy_D": 25}
    found = two.bp.compare_models([SUM, "soft_oscillators_dos"], fixed=fixed)
    assert found.BIC.dims == ("model", "sample")
    assert found.status.values[0].tolist() == ["ok", "no data"]
    found.to_netcdf(tmp_path / "found.nc")
    again = xr.load_dataset(tmp_path / "found.nc")
    xr.testing.assert_identical(found, again)
    single = one.bp.compare_models([SUM, "soft_oscillators_dos"], fixed=fixed)
    np.testing.assert_allclose(found.BIC[:, 0], single.BIC, rtol=1e-6)


def test_a_fit_that_is_not_ok_has_no_maximum_for_that_reason() -> None:
    found = noisy(SUM, E, 0.02, n_D=0.8, energy_D=25, area=0.2, energy_s=20)
    table = found.bp.compare_models(["debye_phonons_dos", "soft_oscillators_dos"])
    assert table.status.values[0] == "undetermined"
    assert table.E_BP_status.values[0] == "undetermined"
    assert "E_BP not found (undetermined)" in str(table.bp)


def test_without_errors_the_scatter_is_the_noise() -> None:
    data = noisy("stringlets_dos", E, 0.02, area=0.2, energy_s=20).drop_vars("g_std")
    found = data.bp.compare_models(["soft_potential_dos", "stringlets_dos"])
    assert "chi2_reduced" not in found
    assert float(found.delta_BIC[1]) == 0
    assert float(found.delta_BIC[0]) > 20


def test_models_that_the_data_do_not_tell_apart_are_named() -> None:
    x = np.linspace(0.5, 6, 12)
    data = noisy("soft_potential_dos", x, 0.1, slope=0.01, energy_b=5)
    found = data.bp.compare_models(["soft_potential_dos", "soft_oscillators_dos"])
    codes = [one.code for one in found.bp.diagnostics()]
    assert "models_alike" in codes
    found = data.bp.compare_models(
        ["soft_potential_dos", "soft_oscillators_dos"], alike_below=0
    )
    assert "models_alike" not in [one.code for one in found.bp.diagnostics()]


def test_bad_input(table: xr.Dataset) -> None:
    data = noisy("stringlets_dos", E, 0.02, area=0.2, energy_s=20)
    for wrong in ([], ["lognormal", "lognormal"], "lognormal", ["bump"]):
        with pytest.raises(QuantityError, match="model"):
            data.bp.compare_models(wrong)
    with pytest.raises(QuantityError, match="energy_D"):
        data.bp.compare_models(["stringlets_dos"], fixed={"energy_D": 3})
    with pytest.raises(QuantityError):
        data.bp.compare_models(["debye_einstein"])


def test_figures(table: xr.Dataset) -> None:
    ok = table.status.values == "ok"
    (left,) = table.model.values[~ok]
    for residuals in (False, True):
        axes = table.bp.plot.models(residuals=residuals)
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[0] == f"{SUM.name}: ΔBIC 0"
        assert labels[1] == "damped_phonons_dos: ΔBIC 16\u2009000"
        # Only what is drawn has a line in the legend.
        drawn = {line.get_label() for line in axes.lines}
        assert set(labels) <= drawn
        assert len(labels) == ok.sum()
        assert axes.get_title().startswith(f"not drawn: {left} (")


@pytest.mark.parametrize("sample", [{"mass": 70}, {"T": 300}])
def test_u2_means_an_energy_only_with_mass_and_temperature(
    sample: dict[str, float],
) -> None:
    data = evaluate(SUM, E, n_D=0.8, energy_D=25, area=0.2, energy_s=20)
    with pytest.raises(QuantityError, match="needs mass and T"):
        data.bp.compare_models([SUM], fixed={"energy_D": "0.01 angstrom^2"}, **sample)


@pytest.mark.parametrize("std", [0.02, 0.5])
def test_the_maximum_of_a_gaussian_follows_its_energy(std: float) -> None:
    """Its maximum is its energy, whatever its width: per std, one std and nothing."""
    x, p = np.linspace(1, 15, 500), {"energy": 6.0, "height": 2.0, "sigma": 1.5}
    for name, slope in (("energy", std), ("sigma", 0.0)):
        found = _slope(MODELS["gaussian"], x, p, name, std)
        assert found == pytest.approx(slope, abs=0.01 * std)
