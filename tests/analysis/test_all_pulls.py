"""Every operation whose table has fitted numbers has a test that draws their pulls.

`PULLS` says which; those that had none are below. A new table is named in it, or the
first test fails.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.operation import RESULTS, all_operations
from xbp.core.schema import QUANTITIES
from xbp.models import MODELS

N = 300
RUN = (np.arange(N), "1")
TESTS = Path(__file__).parents[1]

#: Tests with pulls by operation: the file below `tests`, and the name.
PULLS = {
    "boson_peak": "analysis/test_pulls.py::test_boson_peak",
    "compare_fluctuations": "analysis/test_pulls.py::test_dispersion",
    "compare_models": "analysis/test_all_pulls.py::test_compare_models",
    "correlation_map": "analysis/test_scaling.py::test_pulls_of_r_of_unrelated_and_related_curves",
    "debye_temperature": "analysis/test_all_pulls.py::test_thermodynamics_of_a_measured_dos",
    "debye_waller": "analysis/test_pulls.py::test_debye_waller",
    "detailed_balance": "analysis/test_pulls.py::test_detailed_balance",
    "dispersion": "analysis/test_pulls.py::test_dispersion",
    "fit": "analysis/test_all_pulls.py::test_fit_of_every_model",
    "fit_bqe": "analysis/test_separability.py::test_pulls_and_how_often_it_holds",
    "fit_elastic_line": "analysis/test_pulls.py::test_fit_elastic_line",
    "fit_heat_capacity": "analysis/test_pulls.py::test_fit_heat_capacity",
    "fit_together": "analysis/test_all_pulls.py::test_fit_together",
    "harmonic_thermodynamics": "analysis/test_all_pulls.py::test_thermodynamics_of_a_measured_dos",
    "ioffe_regel": "analysis/test_pulls.py::test_ioffe_regel",
    # The lowest of the phonons of a box.
    "box_phonon": "analysis/test_pulls.py::test_phonons_of_few_waves_seen_for_a_short_time",
    "phonon_dispersion": "analysis/test_pulls.py::test_phonons_of_few_waves_seen_for_a_short_time",
    "relaxation_time": "analysis/test_all_pulls.py::test_relaxation_time",
    "scale_to_sq": "analysis/test_scaling.py::test_pulls_of_scale_and_offset",
    "scan_boson_peak": "analysis/test_pulls.py::test_every_fit_of_a_scan",
    # The table of the first of its fits that is ok.
    "scan_heat_capacity": "analysis/test_pulls.py::test_fit_heat_capacity",
    "sound_velocity": "analysis/test_pulls.py::test_sound_velocity_and_debye_energy",
    # Not of data: a study, and thermodynamics of a quench.
    "compare": "analysis/test_scale_pulls.py::test_mean_and_discrepancy_of_a_study",
    "glass_transition": "analysis/test_scale_pulls.py::test_glass_transition",
    # Numbers beside data, not tables.
    "normalize_to_vanadium": "analysis/test_scale_pulls.py::test_normalization_by_vanadium",
    "subtract_elastic": "analysis/test_scale_pulls.py::test_subtraction_of_the_elastic_line",
    "msd": "md/test_pulls.py::test_errors_are_those_of_independent_trajectories",
    "normalize_to_sum_rule": "core/test_common_errors.py::test_errors_of_the_chain_are_as_large_as_draws_scatter",
    "subtract_Q_independent": "reduction/test_q_dependence.py::test_pulls",
    "to_vibrational_dos": "analysis/test_pulls.py::test_displacement_of_a_density_of_states",
}  # fmt: skip

#: Tables that nothing is fitted for: they follow from the positions, forces or angles.
COMPUTED = {
    "bloch_modes", "elastic_constants", "kinematic_limits", "local_fields",
    "local_moduli", "neutron_weighted_dos", "vibration_map",
}  # fmt: skip


def test_every_table_has_a_test_of_its_pulls() -> None:
    tables = {one.name for one in all_operations() if one.gives in RESULTS}
    assert tables <= PULLS.keys() | COMPUTED
    assert not PULLS.keys() & COMPUTED
    for name, where in PULLS.items():
        file, _, test = where.partition("::")
        assert f"def {test}(" in (TESTS / file).read_text("utf-8"), name


def assert_pulls(pulls: xr.DataArray | np.ndarray, name: str, *, least: float) -> None:
    assert np.isfinite(pulls).all(), name
    assert abs(float(np.mean(pulls))) < 0.15, name
    assert least < float(np.std(pulls)) < 1.15, name


#: Steps, held: `test_pulls_of_the_edge_are_honest` in tests/fitting/test_fit.py is of
#: them, which lie anywhere between two points.
STEPS = {"debye_gaussian_dos", "debye_phonons_dos"}


#: The error of T grows with T, so that pulls are skew: it is the wider side.
SKEW = {("lognormal_scattering", "T")}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_fit_of_every_model(name: str) -> None:
    model = MODELS[name]
    heat = "temperature" in QUANTITIES[model.quantity].dims
    x = np.geomspace(2, 300, 40) if heat else np.linspace(0.5, 30, 40)
    exact = np.asarray(model.function(x, **model.example, **model.held))
    std = 0.001 * (exact if heat else np.full(x.size, exact.max()))
    std = np.broadcast_to(std, (N, x.size)).copy()
    dim, units = ("temperature", "K") if heat else ("E", "meV")
    data = xbp.new_dataset(
        model.quantity, exact + std * np.random.default_rng(5).standard_normal(std.shape),
        units=model.y_units or "1", statistics="unknown", std=std,
        coords={"run": RUN, dim: (x, units)},
    )  # fmt: skip
    fixed = {"energy_D": model.example["energy_D"]} if name in STEPS else {}
    found = data.bp.fit(name, dim, fixed=fixed)
    assert (found.status == "ok").all()
    for parameter in model.example.keys() - fixed.keys():
        away = found[parameter] - model.example[parameter]
        pulls = away / found[f"{parameter}_std"]
        if (name, parameter) in SKEW:
            assert np.sqrt(np.mean(pulls**2)) < 0.9
        else:
            assert_pulls(pulls, parameter, least=0.85)


@pytest.mark.slow
def test_a_temperature_that_a_height_nearly_replaces() -> None:
    """T goes as the inverse of the height, in which χ² is a parabola; in T it is not.

    At 0.3 % of noise the pulls of T had a mean of −0.28 and a mean square of 1.6.
    """
    model = MODELS["lognormal_scattering"]
    x = np.linspace(0.5, 30, 40)
    exact = np.asarray(model.function(x, **model.example))
    std = np.full((N, x.size), 0.003 * exact.max())
    data = xbp.new_dataset(
        model.quantity, exact + std * np.random.default_rng(5).standard_normal(std.shape),
        units=model.y_units or "1", statistics="unknown", std=std,
        coords={"run": RUN, "E": (x, "meV")},
    )  # fmt: skip
    found = data.bp.fit(model)
    found = found.isel(run=found.status.values == "ok")
    assert found.sizes["run"] > 0.9 * N
    for parameter, true in model.example.items():
        pulls = (found[parameter] - true) / found[f"{parameter}_std"]
        assert np.sqrt(np.mean(pulls**2)) < 1, parameter


def draws(
    quantity: str, units: str, exact: np.ndarray, std: float, rng: int
) -> xr.Dataset:
    noise = std * np.random.default_rng(rng).standard_normal((N, exact.size))
    return xbp.new_dataset(
        quantity, exact + noise, units=units, std=np.full(noise.shape, std),
        coords={"run": RUN, "E": (E, "meV")},
    )  # fmt: skip


E = np.arange(0.5, 20, 0.5)
PEAK = {"n_E": 0.3, "energy_E": 6.0, "sigma_E": 1.2}


@pytest.mark.slow
def test_fit_together() -> None:
    """Of g(E), and of g/E² on an unknown scale."""
    model = MODELS["quasilocalized_dos"]
    shared = model.example
    g = model.function(E, **shared, **model.held)
    one = draws("vibrational_dos", "1/meV", g, 0.01 * g.max(), 1)
    two = draws("reduced_dos", "1/meV**3", 5 * g / E**2, 0.05 * np.max(g / E**2), 2)
    truth = {**shared, "scale_2": 5.0}
    pulls = []
    for i in range(N):
        both = one.isel(run=i, drop=True), two.isel(run=i, drop=True)
        found = both[0].bp.fit_together(both[1], model=model, scales=[1, None])
        assert found.status == "ok"
        pulls.append(
            [(found[n] - true) / found[f"{n}_std"] for n, true in truth.items()]
        )
    for name, own in zip(truth, np.array(pulls, float).T, strict=True):
        assert_pulls(own, name, least=0.85)


@pytest.mark.slow
def test_compare_models() -> None:
    """Of the model that the data have, with the maximum of its g/E²."""
    fine = np.arange(2, 9, 1e-4)
    dos = MODELS["einstein_modes_dos"].function
    truth = {**PEAK, "E_BP": fine[np.argmax(dos(fine, **PEAK) / fine**2)]}
    data = draws("vibrational_dos", "1/meV", dos(E, **PEAK), 0.001, 3)
    found = data.bp.compare_models(["einstein_modes_dos"]).squeeze("model")
    for name, true in truth.items():
        assert_pulls((found[name] - true) / found[f"{name}_std"], name, least=0.85)


def test_relaxation_time() -> None:
    time, Q = np.linspace(0, 6, 61), np.array([1.0, 2.0])
    F = np.exp(-(time * Q[:, None] / 3))
    noise = 0.01 * np.random.default_rng(3).standard_normal((N, *F.shape))
    data = xbp.new_dataset(
        "intermediate_scattering_function", F + noise, units="1",
        std=np.full(noise.shape, 0.01),
        coords={"run": RUN, "Q": (Q, "1/angstrom"), "time": (time, "ps")},
    )  # fmt: skip
    found = data.bp.relaxation_time()
    for q in Q:
        own = found.sel(Q=q)
        assert_pulls((own.tau - 3 / q) / own.tau_std, f"Q = {q}", least=0.85)


def measured_dos(std: float) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws of a g(E), and the exact one."""
    g = E**2 * np.exp(-((E / 8) ** 2))
    g /= g.sum() * 0.5
    many = draws("vibrational_dos", "1/meV", g, std, 4)
    return many, xbp.new_dataset(
        "vibrational_dos", g, units="1/meV", coords={"E": (E, "meV")}
    )


@pytest.mark.slow
def test_debye_temperatures_of_a_poorly_known_displacement() -> None:
    """θ goes as 1/√u²: of u² ± 30 % the slope is too small an error on one side.

    With the larger side θ is off by more than its error only where u² is, though the
    mean of the pulls is not 0: they are not symmetric.
    """
    many, exact = measured_dos(3e-3)
    found, true = (
        one.bp.harmonic_thermodynamics(50, mass=50, area=1).squeeze("temperature")
        for one in (many, exact)
    )
    assert 0.2 < float((found.u2_std / found.u2).mean()) < 0.4
    pulls = {
        name: (found[name] - true[name]) / found[f"{name}_std"]
        for name in ("u2", "theta_u2", "theta_g")
    }
    # Within its error u² may be 0, and θ anything.
    known = found.u2 > found.u2_std
    assert known.mean() > 0.97
    assert (pulls["theta_u2"].notnull() == known).all()
    off = abs(pulls["theta_u2"]) > 1
    assert (abs(pulls["u2"]) > 0.999)[off].all()
    for name in ("theta_u2", "theta_g"):
        assert ((pulls[name] ** 2).mean("run") < 1).all(), name


@pytest.mark.slow
def test_thermodynamics_of_a_measured_dos() -> None:
    """And the Debye temperatures of its heat capacity."""
    many, exact = measured_dos(2e-4)
    call = {"temperature": [50, 300], "mass": 50, "area": 1}
    found, true = (one.bp.harmonic_thermodynamics(**call) for one in (many, exact))
    heat = [one.bp.heat_capacity([50, 300], area=1) for one in (many, exact)]
    thetas = [one.bp.debye_temperature() for one in heat]
    for table, truth in ((found, true), thetas):
        names = [name for name in table if f"{name}_std" in table]
        assert names
        for name in map(str, names):
            pulls = (table[name] - truth[name]) / table[f"{name}_std"]
            other = [dim for dim in pulls.dims if dim != "run"]
            for own in pulls.stack(other=other).transpose("other", "run").values:
                assert_pulls(own, name, least=0.85)
