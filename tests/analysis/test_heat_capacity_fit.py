from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.analysis.heat_capacity import _derive, _dos_one, upturn_below
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
)
from xbp.io.columns import open_columns
from xbp.models.debye_einstein import debye_dos, debye_einstein, gaussian_dos

KB = scipy.constants.k / scipy.constants.e * 1e3
#: The Einstein modes of the paper: 6.2 meV.
TRUE = {
    "gamma": 4e-3,
    "n_D": 0.8,
    "theta_D": 260.0,
    "n_E": 0.2,
    "theta_E": 6.2 / KB,
    "sigma_E": 15.0,
}
T = np.geomspace(2, 300, 90)
C = debye_einstein(T, **TRUE)


def measured(
    seed: int | None = 0, error: float = 0.005, units: str = "J/mol/K"
) -> xr.Dataset:
    noise = 0 if seed is None else np.random.default_rng(seed).normal(0, error * C)
    return xbp.new_dataset(
        "heat_capacity",
        C + noise,
        std=error * C,
        units=units,
        coords={"temperature": (T, "K")},
    )


def draws(n: int) -> xr.Dataset:
    """Measure n times: `measured` with the seeds 0 … n − 1."""
    many = np.stack([measured(seed).C.values for seed in range(n)])
    return xbp.new_dataset(
        "heat_capacity", many, units="J/mol/K", std=np.broadcast_to(0.005 * C, many.shape).copy(),
        coords={"run": (np.arange(n), "1"), "temperature": (T, "K")},
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> xr.Dataset:
    return draws(60).bp.fit_heat_capacity()


@pytest.mark.slow
def test_exact_data_give_the_parameters_back() -> None:
    result = measured(None).C.bp.fit_heat_capacity()
    for name, value in TRUE.items():
        assert float(result[name]) == pytest.approx(value, rel=1e-4), name
    assert float(result.energy_E) == pytest.approx(6.2, rel=1e-5)
    s = KB * 15
    assert float(result.energy) == pytest.approx(
        (6.2 + np.sqrt(6.2**2 - 8 * s**2)) / 2, rel=1e-4
    )
    assert float(result.debye_level) == pytest.approx(
        3 * 0.8 / (KB * 260) ** 3, rel=1e-4
    )
    assert result.theta_E.attrs["units"] == "K"
    assert "chi2_reduced" not in result


@pytest.mark.slow
def test_pulls_are_honest(runs: xr.Dataset) -> None:
    names = [*TRUE, "energy_E", "energy", "debye_level"]
    truth = TRUE | {
        "energy_E": 6.2, "energy": (6.2 + np.sqrt(6.2**2 - 8 * (KB * 15) ** 2)) / 2,
        "debye_level": 3 * 0.8 / (KB * 260) ** 3,
    }  # fmt: skip
    assert (runs.status == "ok").all()
    pulls = np.array([(runs[n] - truth[n]) / runs[f"{n}_std"] for n in names])
    assert (abs(pulls.mean(axis=1)) < 0.45).all()
    assert ((pulls.std(axis=1) > 0.75) & (pulls.std(axis=1) < 1.3)).all()
    assert float(runs.chi2_reduced.mean()) == pytest.approx(1, abs=0.06)


@pytest.mark.slow
def test_what_is_left_is_relative_to_every_point() -> None:
    """A residual over the largest point would not see the lowest temperatures, where C is a ten-thousandth of it."""
    for data in (measured(1, 0.02), measured(1, 0.02).C):
        assert float(data.bp.fit_heat_capacity().relative_residual) == pytest.approx(
            0.02, rel=0.25
        )
    result = measured().bp.fit_heat_capacity(("3 K", "100 K"))
    assert (float(result.temperature_low), float(result.temperature_high)) == (
        T[T >= 3][0], T[T <= 100][-1],
    )  # fmt: skip


@pytest.mark.slow
def test_without_errors_the_scatter_tells_them() -> None:
    runs = draws(24).C.bp.fit_heat_capacity()
    pulls = ((runs.theta_E - TRUE["theta_E"]) / runs.theta_E_std).values
    assert abs(pulls.mean()) < 0.6
    assert 0.7 < pulls.std() < 1.4


@pytest.mark.slow
def test_the_same_in_other_units() -> None:
    one = measured().bp.fit_heat_capacity(T_range=("3 K", "200 K"))
    other = measured().copy()
    for name in ("C", "C_std"):
        other[name] = (other[name] * 1e3).assign_attrs(
            other[name].attrs, units="mJ/mol/K"
        )
    other = other.assign_coords(temperature=("temperature", T * 1e3, {"units": "mK"}))
    other = other.bp.fit_heat_capacity(T_range=("3 K", "200 K"))
    for name in TRUE:
        assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-4)
        assert other[name].attrs["units"] == one[name].attrs["units"]


@pytest.mark.slow
def test_fixed_and_bounded_at_will() -> None:
    fixed = measured().bp.fit_heat_capacity(
        fixed={"gamma": "4 mJ/mol/K^2", "theta_E": TRUE["theta_E"]}
    )
    assert (float(fixed.gamma), float(fixed.gamma_std)) == (4e-3, 0)
    assert float(fixed.sigma_E_std) < float(
        measured().bp.fit_heat_capacity().sigma_E_std
    )
    assert float(fixed.correlation.sel(parameter="gamma", other_parameter="n_D")) == 0
    all_fixed = measured().bp.fit_heat_capacity(fixed=TRUE)
    assert float(all_fixed.chi2_reduced) == pytest.approx(1, abs=0.4)
    bounded = measured().bp.fit_heat_capacity(bounds={"theta_E": (80, "100 K")})
    assert str(bounded.status.values) == "parameter at bound"
    assert np.isnan(bounded.theta_E)
    assert np.isnan(bounded.energy)
    inside = measured().bp.fit_heat_capacity(
        bounds={"theta_E": (60, 80)}, start={"theta_E": 65}
    )
    assert float(inside.theta_E) == pytest.approx(
        float(measured().bp.fit_heat_capacity().theta_E), rel=1e-3
    )


@pytest.mark.slow
def test_correlations_are_those_of_the_draws(runs: xr.Dataset) -> None:
    drawn = np.corrcoef([runs[n] for n in TRUE])
    told = runs.correlation.isel(run=0).values
    np.testing.assert_allclose(np.diag(told), 1)
    np.testing.assert_allclose(told, told.T)
    assert abs(drawn - told).max() < 0.35
    assert list(runs.parameter.values) == list(TRUE)


@pytest.mark.slow
def test_a_broad_gaussian_has_no_peak_and_says_so() -> None:
    broad = TRUE | {"sigma_E": 35.0}
    ds = xbp.new_dataset(
        "heat_capacity",
        debye_einstein(T, **broad),
        units="J/mol/K",
        coords={"temperature": (T, "K")},
    )
    result = ds.bp.fit_heat_capacity()
    assert (str(result.status.values), str(result.peak_status.values)) == (
        "ok",
        "no maximum",
    )
    assert np.isnan(result.energy)
    assert float(result.sigma_E) == pytest.approx(35, rel=1e-2)


@pytest.mark.slow
def test_the_loop_closes() -> None:
    result = measured().bp.fit_heat_capacity()
    g = result.bp.fitted_dos(np.linspace(0, 40, 4001))
    assert g.g.attrs["quantity"] == "vibrational_dos"
    assert float(g.g.integrate("E")) == pytest.approx(
        float(result.n_D + result.n_E), rel=1e-3
    )
    back = g.bp.heat_capacity(T).C + (float(result.gamma) * T)
    np.testing.assert_allclose(back, C, rtol=0.01)
    again = xbp.new_dataset(
        "heat_capacity", back.values, units="J/mol/K", coords={"temperature": (T, "K")}
    )
    again = again.bp.fit_heat_capacity()
    assert float(again.energy_E) == pytest.approx(float(result.energy_E), rel=2e-3)
    assert float(again.n_E) == pytest.approx(float(result.n_E), rel=0.02)
    # The maximum of g/E² by the method of the other techniques is the one of the table.
    B = g[["g", "g_std"]].bp.to_bqe()
    peak = float(B.B.sel(E=slice(3, 9)).idxmax())
    assert peak == pytest.approx(float(result.energy), abs=0.011)


@pytest.mark.slow
def test_errors_of_the_density_of_states(runs: xr.Dataset) -> None:
    E = np.linspace(0.5, 15, 30)
    found = runs.bp.fitted_dos(E)
    np.testing.assert_allclose(found.g_std.mean("run"), found.g.std("run"), rtol=0.35)
    in_thz = xr.DataArray(E * 0.2417989242, dims="E", attrs={"units": "THz"})
    other = measured(0).bp.fit_heat_capacity().bp.fitted_dos(in_thz)
    np.testing.assert_allclose(other.g, found.g.isel(run=0), rtol=1e-6)
    with pytest.raises(QuantityError):
        measured().bp.fitted_dos(E)


@pytest.mark.slow
def test_many_samples_with_one_that_fails(tmp_path: Path) -> None:
    ds = xr.concat([measured(0), measured(1), measured(2)], dim="sample")
    ds.C[1] = np.nan
    ds.C[2, 4:] = np.nan
    result = ds.bp.fit_heat_capacity()
    assert list(result.status.values) == ["ok", "no data", "too few points"]
    assert np.isfinite(result.theta_E.values).tolist() == [True, False, False]
    assert list(result.peak_status.values) == list(result.status.values)
    lazy = ds.chunk(sample=1).bp.fit_heat_capacity()
    assert lazy.theta_E.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), result)
    g = result.bp.fitted_dos([1.0, 2.0, 3.0])
    assert g.g.isnull().all("E").values.tolist() == [False, True, True]
    result.bp.to_netcdf(tmp_path / "fit.nc")
    with xbp.open_dataset(tmp_path / "fit.nc") as back:
        xr.testing.assert_identical(back, result)


@pytest.mark.slow
def test_points_below_zero_are_part_of_the_noise() -> None:
    ds = measured()
    ds.C[:3] = -ds.C[:3]
    ds.C_std[:3] = 1.0
    assert float(ds.bp.fit_heat_capacity().energy_E) == pytest.approx(6.2, abs=0.1)
    assert int(ds.C.bp.fit_heat_capacity().n_points) == T.size - 3
    nothing = (-ds.C).assign_attrs(ds.C.attrs).where(ds.C > 0, -1.0)
    assert str(nothing.bp.fit_heat_capacity().status.values) == "no data"


@pytest.mark.slow
def test_bad_input() -> None:
    ds = measured()
    with pytest.raises(UnitsError, match="to_molar"):
        measured(units="uJ/K").bp.fit_heat_capacity()
    with pytest.raises(QuantityError, match="theta"):
        ds.bp.fit_heat_capacity(fixed={"theta": 1})
    with pytest.raises(UnitsError):
        ds.bp.fit_heat_capacity(fixed={"theta_D": "20 J/mol"})
    for bounds in ({"n_D": 3}, {"n_D": (1, 0)}, {"n_D": "0, 1"}):
        with pytest.raises(QuantityError, match="bounds of n_D"):
            ds.bp.fit_heat_capacity(bounds=bounds)
    with pytest.raises(QuantityError, match="outside"):
        ds.bp.fit_heat_capacity(bounds={"n_D": (0, 1)}, start={"n_D": 2})
    with pytest.raises(QuantityError, match="must be positive"):
        ds.bp.fit_heat_capacity(fixed={"n_E": -1})
    with pytest.raises(RangeError):
        ds.bp.fit_heat_capacity(T_range=("400 K", "500 K"))
    with pytest.raises(TemperatureError):
        ds.assign_coords(
            temperature=("temperature", T - 100, {"units": "K"})
        ).bp.fit_heat_capacity()
    few = ds.isel(temperature=slice(0, 5)).bp.fit_heat_capacity()
    assert str(few.status.values) == "too few points"


@pytest.mark.slow
def test_measured_glass(shared_data: Path) -> None:
    ds = open_columns(
        shared_data / "cp" / "example_data.csv",
        quantity="heat_capacity",
        units="J/mol/K",
        coordinate_units="K",
    )
    result = ds.bp.fit_heat_capacity(T_range=("1.8 K", "100 K"))
    assert str(result.status.values) == "ok"
    assert float(result.energy_E) == pytest.approx(6.6, abs=0.4)
    assert 0 < float(result.energy_E_std) < 0.5
    assert float(result.energy) < float(result.energy_E)


def _fitted(**numbers: float) -> xr.Dataset:
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 120), **numbers)
    C = C.assign(C=C.C.assign_attrs(amount="atoms"), C_std=0.01 * abs(C.C) + 1e-3)
    C.C_std.attrs["units"] = C.C.attrs["units"]
    temperatures = {
        k: v for k, v in numbers.items() if k in ("theta_D", "theta_E", "sigma_E")
    }
    return C.bp.fit_heat_capacity(fixed=temperatures)


@pytest.mark.parametrize(
    ("theta_D", "n_D", "status"),
    [
        (260.0, 0.5, "ok"),
        (60.0, 0.5, "maximum at edge"),
        (60.0, 0.05, "maximum at edge"),
    ],
)
def test_the_energy_is_where_the_fitted_spectrum_is_highest(
    theta_D: float, n_D: float, status: str
) -> None:
    fit = _fitted(
        gamma=0.0, n_D=n_D, theta_D=theta_D, n_E=1 - n_D, theta_E=90.0, sigma_E=25.0
    )
    assert str(fit.peak_status.values) == status
    E = np.arange(1.0, 12, 0.01)
    g = fit.bp.fitted_dos(E).g
    highest = float(E[np.argmax((g / g.E**2).values)])
    if status == "ok":
        assert float(fit.energy) == pytest.approx(highest, abs=0.02)
    else:
        assert np.isnan(float(fit.energy))
        assert highest == pytest.approx(float(fit.theta_D) * 0.08617333, abs=0.02)


def test_what_no_solid_can_be_is_said() -> None:
    fit = _fitted(
        gamma=0.0, n_D=1.6, theta_D=260.0, n_E=0.4, theta_E=72.0, sigma_E=15.0
    )
    assert str(fit.status.values) == "ok"
    assert str(fit.peak_status.values) == "unphysical"
    assert (
        str(
            _fitted(
                gamma=-0.05, n_D=0.8, theta_D=260, n_E=0.2, theta_E=72, sigma_E=15
            ).peak_status.values
        )
        == "unphysical"
    )
    assert "unphysical" in repr(fit.bp)
    # Who filters by `status` finds no energy there; the parameters of the fit stay.
    assert np.isnan(fit.energy)
    assert np.isnan(fit.energy_std)
    assert float(fit.theta_E) == pytest.approx(72)
    assert np.isfinite(fit.energy_E)


@pytest.mark.slow
def test_no_peak_status_but_ok_has_an_energy() -> None:
    """Of many curves, each has an energy where its peak is one, and NaN where not."""
    held = {"theta_D": 260.0, "theta_E": 72.0, "sigma_E": 15.0}
    T = np.geomspace(2, 300, 120)
    C = [
        xbp.models.evaluate(
            "debye_einstein", T, gamma=0.0, n_D=4 * n, n_E=n, **held
        ).C.values
        for n in (0.2, 0.4)
    ]
    both = xbp.new_dataset(
        "heat_capacity", np.array(C), units="J/mol/K", dims=("sample", "temperature"),
        coords={"sample": ["a", "b"], "temperature": (T, "K")}, std=0.01 * np.array(C),
    )  # fmt: skip
    both["C"].attrs["amount"] = "atoms"
    fit = both.bp.fit_heat_capacity(fixed=held)
    assert fit.peak_status.values.tolist() == ["ok", "unphysical"]
    np.testing.assert_array_equal(np.isfinite(fit.energy), fit.peak_status == "ok")
    np.testing.assert_array_equal(np.isfinite(fit.energy_std), fit.peak_status == "ok")
    scan = both.isel(sample=1).bp.scan_heat_capacity(
        [("2 K", "300 K"), ("2 K", "150 K")], fixed=held
    )
    assert np.isnan(scan.scan_energy).all()
    assert np.isnan(scan.scan_energy_std).all()


def test_parameters_are_positive_whatever_is_said_of_them() -> None:
    ds = measured()
    for kw in (
        {"bounds": {"theta_D": (-5, -1)}},
        {"start": {"theta_D": -5}},
        {"fixed": {"theta_E": 0}},
        {"fixed": {"gamma": 1e300}},
    ):
        with pytest.raises(QuantityError):
            ds.bp.fit_heat_capacity(**kw)
    with pytest.raises(TemperatureError, match="2e\\+290 to"):
        ds.assign_coords(
            temperature=("temperature", ds.temperature.values * 1e290, {"units": "K"})
        ).bp.fit_heat_capacity()


@pytest.mark.slow
def test_the_dos_of_a_fit_in_chunks() -> None:
    ds = measured()
    whole = ds.bp.fit_heat_capacity().bp.fitted_dos(np.linspace(0.1, 20, 9))
    chunked = (
        ds.chunk(temperature=-1)
        .bp.fit_heat_capacity()
        .bp.fitted_dos(np.linspace(0.1, 20, 9))
    )
    np.testing.assert_array_equal(chunked.g, whole.g)
    np.testing.assert_array_equal(chunked.g_std, whole.g_std)


def of_debye(
    n_E: float, seed: int, *, known: bool, theta_D: float = 200.0
) -> xr.Dataset:
    exact = debye_einstein(
        T, **(TRUE | {"gamma": 0.0, "n_D": 1 - n_E, "n_E": n_E, "theta_D": theta_D})
    )
    noisy = exact * (1 + np.random.default_rng(seed).normal(0, 0.01, T.size))
    std = 0.01 * exact if known else None
    return xbp.new_dataset(
        "heat_capacity",
        noisy,
        std=std,
        units="J/mol/K",
        coords={"temperature": (T, "K")},
    )


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_debye_solid_has_no_boson_peak(known: bool) -> None:
    """A Gaussian beside Debye phonons can imitate part of Debye's law: no excess is what noise alone makes."""
    held = {"gamma": 0}
    tables = [
        of_debye(0.0, seed, known=known, theta_D=260).bp.fit_heat_capacity(fixed=held)
        for seed in range(12)
    ]
    assert all(str(table.peak_status.values) != "ok" for table in tables)
    of_noise = [
        table for table in tables if str(table.peak_status.values) == "no excess"
    ]
    assert len(of_noise) >= 6
    for table in of_noise:
        assert np.isnan(table.energy)
        assert float(table.excess_chi2) < 20
        assert "Debye phonons alone" in repr(table.bp)


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_weak_excess_is_found(known: bool) -> None:
    """Two modes of a hundred: a coarse search starts in the basin of another, worse minimum."""
    for seed in range(4):
        table = of_debye(0.02, seed, known=known).bp.fit_heat_capacity(
            fixed={"gamma": 0}
        )
        assert str(table.peak_status.values) == "ok"
        assert float(table.theta_D) == pytest.approx(200, rel=0.02)
        assert float(table.theta_E) == pytest.approx(
            TRUE["theta_E"], abs=4 * float(table.theta_E_std)
        )
        assert float(table.excess_chi2) > 20


@pytest.mark.parametrize(("excess", "status"), [(19.5, "no excess"), (20.5, "ok")])
def test_an_excess_of_twenty_is_a_peak(excess: float, status: str) -> None:
    """Σ (C − γT − n_D C_D)²/σ² of the best Debye phonons alone, in exact data."""
    names = ("gamma", "theta_D", "theta_E", "sigma_E")
    held = {name: TRUE[name] for name in names}
    y, debye = (
        debye_einstein(T, **(TRUE | changed)) / C
        for changed in ({"gamma": 0}, {"gamma": 0, "n_D": 1, "n_E": 0})
    )
    left = y - (y @ debye) / (debye @ debye) * debye
    error = float(np.sqrt(left @ left / excess))
    fit = measured(None, error).bp.fit_heat_capacity(fixed=held)
    assert float(fit.excess_chi2) == pytest.approx(excess, rel=1e-6)
    assert str(fit.peak_status.values) == status


def test_einstein_modes_held_at_none_make_no_peak() -> None:
    held = {"gamma": 0, "n_E": 0, "theta_E": "72 K", "sigma_E": "15 K"}
    table = of_debye(0.0, 0, known=True).bp.fit_heat_capacity(fixed=held)
    assert (str(table.status.values), str(table.peak_status.values)) == (
        "ok",
        "no excess",
    )
    assert np.isnan(table.energy)


@pytest.mark.slow
def test_every_mode_is_counted_at_high_temperature() -> None:
    """The sum rule: far above every energy C − γT is 3R for each mode per atom and axis, n_D + n_E of them."""
    fit = measured(3).bp.fit_heat_capacity()
    modes = float(fit.n_D) + float(fit.n_E)
    assert modes == pytest.approx(1, abs=0.02)
    found = {name: float(fit[name]) for name in TRUE}
    hot = xbp.models.evaluate("debye_einstein", [3e4], **(found | {"gamma": 0.0}))
    assert float(hot.C[0]) == pytest.approx(3 * scipy.constants.R * modes, rel=1e-4)
    assert float(
        fit.bp.fitted_dos(np.linspace(0.01, 40, 4000)).g.integrate("E")
    ) == pytest.approx(modes, rel=2e-3)


def test_units_that_are_no_heat_capacity() -> None:
    with pytest.raises(UnitsError, match="J/mol/K"):
        measured(units="J/mol/K").assign(
            C=lambda ds: ds.C.assign_attrs(units="J/mol")
        ).C.bp.fit_heat_capacity()


@pytest.mark.slow
def test_characteristic_temperatures_as_energies() -> None:
    ds = measured()
    held = ds.bp.fit_heat_capacity(fixed={"theta_E": "6.2 meV"})
    assert float(held.theta_E) == pytest.approx(6.2 / KB)
    assert float(held.energy_E) == pytest.approx(6.2)
    near = ds.bp.fit_heat_capacity(
        start={"theta_E": "50 1/cm"}, bounds={"theta_D": ("15 meV", "30 meV")}
    )
    assert float(near.theta_E) == pytest.approx(
        float(ds.bp.fit_heat_capacity().theta_E), rel=1e-4
    )


@pytest.mark.slow
def test_a_gaussian_that_reaches_zero_is_pointed_out() -> None:
    narrow, broad = (
        xbp.models.evaluate(
            "debye_einstein", T, **(TRUE | {"sigma_E": sigma})
        ).bp.fit_heat_capacity()
        for sigma in (10, 22)
    )
    assert "broad_gaussian" in {doubt.code for doubt in broad.bp.diagnostics()}
    assert "broad_gaussian" not in {doubt.code for doubt in narrow.bp.diagnostics()}


@pytest.mark.slow
def test_columns_in_other_units_and_energies_that_are_none() -> None:
    fit, E = measured().bp.fit_heat_capacity(), np.linspace(1, 20, 9)
    milli = fit.copy()
    for name in ("theta_E", "theta_E_std"):
        milli[name] = (fit[name] * 1e3).assign_attrs(fit[name].attrs, units="mK")
    for name in ("g", "g_std"):
        np.testing.assert_allclose(
            milli.bp.fitted_dos(E)[name], fit.bp.fitted_dos(E)[name]
        )
    with pytest.raises(UnitsError, match="theta_E"):
        fit.assign(theta_E=fit.theta_E.assign_attrs(units="meV")).bp.fitted_dos(E)
    with pytest.raises(CoordinateError):
        fit.bp.fitted_dos(np.ma.masked_greater(E, 10))


@pytest.mark.slow
@pytest.mark.parametrize(("theta", "sigma"), [(72, 22), (72, 28), (100, 35)])
def test_the_start_is_not_the_mirror_image(theta: float, sigma: float) -> None:
    """Einstein modes at 200 K beyond Debye phonons up to 100 K describe much the same."""
    C = xbp.models.evaluate(
        "debye_einstein", T, **(TRUE | {"theta_E": theta, "sigma_E": sigma})
    )
    assert float(C.bp.fit_heat_capacity().theta_E) == pytest.approx(theta, rel=1e-3)


def _measured(
    extra: float = 0.0,
    factor: float = 1.0,
    known: bool = True,
    gamma: float = 2e-3,
    **other: float,
) -> xr.Dataset:
    """Return a glass with noise, and a T⁻² tail of a Schottky anomaly."""
    T = np.geomspace(1.8, 300, 120)
    modes = {
        "n_D": 0.8,
        "theta_D": 260.0,
        "n_E": 0.2,
        "theta_E": 72.0,
        "sigma_E": 15.0,
    } | other
    values = debye_einstein(T, gamma=gamma, **modes) + extra / T**2
    values = factor * values * (1 + 0.01 * np.random.default_rng(7).normal(size=T.size))
    ds = xbp.new_dataset(
        "heat_capacity",
        values,
        units="J/mol/K",
        coords={"temperature": (T, "K")},
        std=0.01 * values if known else None,
    )
    ds["C"].attrs["amount"] = "atoms"
    return ds


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_rise_that_neither_electrons_nor_vibrations_make_is_told(known: bool) -> None:
    with_tail, without = _measured(0.08, known=known), _measured(known=known)
    fit = with_tail.bp.fit_heat_capacity()
    y = with_tail.C / with_tail.temperature
    lowest = float(y.rolling(temperature=5, center=True).mean().idxmin())
    assert float(fit.upturn) == pytest.approx(lowest, rel=0.15)
    found = {doubt.code: doubt for doubt in fit.bp.diagnostics()}["upturn"]
    assert f"below {float(fit.upturn):.2g} K" in found.message
    assert f"{2 * float(fit.upturn):.2g} K" in found.fix
    # What is advised removes it, and gives the energy that was put in.
    above = with_tail.bp.fit_heat_capacity(
        (f"{2 * float(fit.upturn)} K", "300 K"), fixed={"gamma": 2e-3}
    )
    assert np.isnan(above.upturn)
    assert float(above.energy) == pytest.approx(5.604, abs=0.15)
    assert np.isnan(without.bp.fit_heat_capacity().upturn)
    # Electrons make C/T³ rise without end, and are no reason to say so.
    assert np.isnan(_measured(gamma=0.05, known=known).bp.fit_heat_capacity().upturn)


@pytest.mark.slow
def test_falling_or_jumping_heat_capacities_are_no_upturn() -> None:
    T = np.linspace(60, 500, 200)
    C = np.where(T < 420, 24.9 - 600 / T, 33.0)
    hot = xbp.new_dataset(
        "heat_capacity", C, units="J/mol/K", coords={"temperature": (T, "K")}
    )
    assert np.isnan(hot.bp.fit_heat_capacity(fixed={"gamma": 0}).upturn)
    assert np.isnan(
        hot.bp.fit_heat_capacity(("60 K", "400 K"), fixed={"gamma": 0}).upturn
    )
    both = xr.concat([_measured(0.08), _measured()], "sample")
    np.testing.assert_array_equal(
        np.isnan(both.bp.fit_heat_capacity().upturn), [False, True]
    )


@pytest.mark.slow
def test_too_few_modes_are_told() -> None:
    few, right = (
        _measured(factor=factor).bp.fit_heat_capacity() for factor in (0.7, 1.0)
    )
    assert "0.7 modes per" in repr(few.bp)
    assert "few_modes" not in {doubt.code for doubt in right.bp.diagnostics()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "mend"),
    [
        (
            lambda: _measured().bp.fit_heat_capacity(("299 K", "300 K")),
            "widen the range, or fix some",
        ),
        (
            lambda: (
                _measured().where(lambda ds: ds.temperature < 0).bp.fit_heat_capacity()
            ),
            "a value and an error",
        ),
        (
            lambda: _measured(factor=2.0).bp.fit_heat_capacity(),
            "check mass, molar mass",
        ),
        (
            lambda: _measured(gamma=-2e-4).bp.fit_heat_capacity(),
            "fixed={'gamma': 0}",
        ),
        (
            lambda: _measured().bp.fit_heat_capacity(bounds={"theta_E": (75, 90)}),
            "parameter at bound (theta_E)",
        ),
        (
            lambda: _measured(sigma_E=30.0).bp.fit_heat_capacity(fixed={"gamma": 2e-3}),
            "sigma_E > theta_E/2.83",
        ),
        (
            lambda: _measured(n_E=0.0).bp.fit_heat_capacity(fixed={"gamma": 2e-3}),
            "Debye phonons alone",
        ),
        (
            lambda: _fitted(
                gamma=0.0, n_D=0.8, theta_D=60.0, n_E=0.2, theta_E=72.0, sigma_E=15.0
            ),
            "fixed={'theta_D': …}",
        ),
    ],
)
def test_every_fit_without_a_peak_says_what_to_do(
    fit: Callable[[], xr.Dataset], mend: str
) -> None:
    table = fit()
    assert str(table.peak_status.values) != "ok"
    assert mend in repr(table.bp)
    if table.C.notnull().any():
        # The figure says that there is none; what to do is printed, and no title.
        title = table.bp.plot.heat_capacity().get_title().replace("\n", " ")
        said = str(
            table.peak_status.values
            if str(table.status.values) == "ok"
            else table.status.values
        )
        assert said in title
        assert mend not in title
    plt.close("all")


@pytest.mark.slow
def test_the_density_of_a_fit_is_over_all_modes_whatever_its_area() -> None:
    """n_D + n_E is what the fit found; of energies that hold only a part of that C is not all there."""
    fit = xbp.models.evaluate(
        "debye_einstein", T, **(TRUE | {"gamma": 0})
    ).bp.fit_heat_capacity(fixed={"gamma": 0})
    g = fit.bp.fitted_dos(np.linspace(0, 40, 801))
    n = float(fit.n_D + fit.n_E)
    assert (g.g.attrs["area"], float(g.area)) == (1.0, pytest.approx(n))
    high = np.array([3000.0])
    assert float(g.bp.heat_capacity(high).C[0]) == pytest.approx(
        3 * 8.314463 * n, rel=2e-3
    )
    assert float(g.bp.scale(3).bp.heat_capacity(high).C[0]) == pytest.approx(
        3 * 8.314463 * n, rel=2e-3
    )
    with pytest.raises(RangeError, match="of its modes"):
        g.sel(E=slice(0, 12)).bp.heat_capacity(high)
    model = xbp.models.evaluate(
        "debye_gaussian_dos",
        np.linspace(0, 40, 801),
        n_D=0.6,
        energy_D="20 meV",
        n_E=0.3,
        energy_E="6 meV",
        sigma_E="1 meV",
    )
    assert float(model.bp.heat_capacity(high).C[0]) == pytest.approx(
        0.9 * 3 * 8.314463, rel=5e-3
    )


@pytest.mark.slow
def test_derived_errors_contain_the_correlation_of_parameters() -> None:
    """∇f C ∇f of the covariance of the fit, by differences."""
    found = measured(3).bp.fit_heat_capacity()

    def energy(theta: float, sigma: float) -> float:
        return KB * (theta + np.sqrt(theta**2 - 8 * sigma**2)) / 2

    def level(n: float, theta: float) -> float:
        return 3 * n / (KB * theta) ** 3

    for name, function, names in (
        ("energy", energy, ("theta_E", "sigma_E")),
        ("debye_level", level, ("n_D", "theta_D")),
    ):
        at = np.array([float(found[p]) for p in names])
        std = np.array([float(found[f"{p}_std"]) for p in names])
        r = float(found.correlation.sel(parameter=names[0], other_parameter=names[1]))
        step = 1e-5 * at
        slopes = [
            (function(*(at + move)) - function(*(at - move))) / (2 * step[i])
            for i, move in enumerate(np.diag(step))
        ]
        a, b = slopes * std
        assert abs(r) > 0.05
        expected = np.sqrt(a**2 + b**2 + 2 * r * a * b)
        assert float(found[f"{name}_std"]) == pytest.approx(expected, rel=1e-4)


def test_debye_phonons_that_end_below_the_maximum_do_not_hide_it() -> None:
    """The maximum of g/E² at 5.6 meV is higher than the edge at 3.4 meV."""
    values = TRUE | {"theta_D": 40.0, "n_D": 0.03, "n_E": 0.97}
    exact = debye_einstein(T, **values)
    data = xbp.new_dataset(
        "heat_capacity", exact, std=0.003 * exact, units="J/K/mol",
        coords={"temperature": (T, "K")},
    )  # fmt: skip
    found = data.bp.fit_heat_capacity(start={"theta_D": 40, "n_D": 0.03, "n_E": 0.97})
    assert str(found.status.values) == "ok"
    assert float(found.energy) == pytest.approx(5.59, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("amount", ["atoms", "formula units", None])
def test_a_fitted_dos_keeps_what_a_mole_is_of(amount: str | None) -> None:
    data = measured()
    if amount:
        data["C"].attrs["amount"] = amount
    g = data.bp.fit_heat_capacity().bp.fitted_dos(np.array([2.0, 6.0, 10.0]))
    assert g[next(iter(g.data_vars))].attrs.get("amount") == amount


@pytest.mark.slow
def test_the_error_of_a_fitted_dos_is_that_of_its_parameters() -> None:
    found = measured(3).bp.fit_heat_capacity()
    E = np.array([2.0, 4.0, 6.0, 8.0, 12.0])
    g = found.bp.fitted_dos(E)
    names = ["n_D", "theta_D", "n_E", "theta_E", "sigma_E"]
    own = ["n_D", "energy_D", "n_E", "energy_E", "sigma_E"]
    scale = np.array([1, KB, 1, KB, KB])

    def of(values: np.ndarray) -> np.ndarray:
        arguments = dict(zip(own, values * scale, strict=True))
        model = xbp.models.evaluate("debye_gaussian_dos", E, **arguments)
        return model[next(iter(model.data_vars))].values

    at = np.array([float(found[name]) for name in names])
    std = np.array([float(found[f"{name}_std"]) for name in names])
    r = found.correlation.sel(parameter=names, other_parameter=names).values
    slopes = (
        np.array(
            [(of(at + move) - of(at - move)) / 2e-5 for move in 1e-5 * np.diag(at)]
        )
        / at[:, None]
    )
    expected = np.sqrt(np.einsum("ie,ij,je->e", slopes, r * np.outer(std, std), slopes))
    np.testing.assert_allclose(g.g, of(at), rtol=1e-6)
    np.testing.assert_allclose(g.g_std, expected, rtol=1e-3)


@pytest.mark.slow
def test_parameters_in_other_units_give_the_same_dos() -> None:
    found = measured(3).bp.fit_heat_capacity()
    other = found.copy()
    for name in ("theta_D", "theta_D_std", "theta_E", "theta_E_std"):
        other[name] = (found[name] * 1e3).assign_attrs(
            found[name].attrs | {"units": "mK"}
        )
    E = np.array([2.0, 6.0, 10.0])
    xr.testing.assert_allclose(other.bp.fitted_dos(E), found.bp.fitted_dos(E))


def test_an_upturn_above_ten_kelvin_is_seen_beside_its_error() -> None:
    """C/T falls by two thirds up to its minimum, with errors of 2 %."""
    kelvin = np.geomspace(10, 300, 80)
    per_T = 1 + 2.0 * (10 / kelvin) ** 4 + (kelvin / 60) ** 2
    C = xr.DataArray(per_T * kelvin, dims="temperature")
    lowest = float(upturn_below(C, 0.02 * C, kelvin))
    assert lowest == pytest.approx(kelvin[np.argmin(per_T)], rel=0.15)
    assert np.isnan(upturn_below(C, C, kelvin))


def test_errors_of_what_follows_are_those_of_all_parameters() -> None:
    """J C Jᵀ by differences of the formulas, with correlations of either sign."""
    rng = np.random.default_rng(6)
    best = np.array([0.0, 0.8, 260.0, 0.2, 72.0, 15.0])
    std = np.array([0.001, 0.01, 3.0, 0.02, 1.5, 0.7])
    root = rng.normal(size=(6, 6)) + 2 * np.eye(6)
    correlation = root @ root.T
    size = np.sqrt(correlation.diagonal())
    correlation /= size * size[:, None]

    def derived(p: np.ndarray, std: np.ndarray) -> list[float]:
        numbers = _derive(
            *p, *std, correlation, np.array("ok"), np.array(100.0), np.array(""),
            atoms=1.0, bounded=set(),
        )  # fmt: skip
        return [float(x) for x in numbers[:6]]

    found = derived(best, std)
    steps = np.diag(1e-4 * std)
    slopes = np.array(
        [
            (np.array(derived(best + s, std)) - derived(best - s, std))[::2] / 2e-4
            for s in steps
        ]
    )
    exact = np.sqrt(np.einsum("ia,ij,ja->a", slopes, correlation, slopes))
    np.testing.assert_allclose(found[1::2], exact, rtol=1e-5)


def test_an_upturn_is_at_the_first_minimum_of_c_over_t() -> None:
    """Means of three points are least, 1, about 5 K; only the last one is higher."""
    kelvin = np.arange(1.0, 11.0)
    per_T = np.array([4.0, 3, 2, 1, 1, 1, 1, 1, 1, 4])
    C = xr.DataArray(per_T * kelvin, dims="temperature")
    assert float(upturn_below(C, 0 * C, kelvin)) == pytest.approx(5.0)


@pytest.mark.parametrize(("warmest", "upturn"), [(350.0, np.nan), (600.0, 250.0)])
def test_a_minimum_of_c_over_t_where_c_is_above_half_is_no_upturn(
    warmest: float, upturn: float
) -> None:
    """At 250 K C is 250; at 350 K it is 406, at 600 K 1776."""
    kelvin = np.arange(50.0, warmest + 1, 10)
    per_T = 1 + ((kelvin - 250) / 250) ** 2
    C = xr.DataArray(per_T * kelvin, dims="temperature")
    found = float(upturn_below(C, 0 * C, kelvin))
    assert found == pytest.approx(upturn, nan_ok=True)


def test_the_error_of_g_is_that_of_the_amounts_of_its_parts() -> None:
    """g is linear in n_D and n_E: σ² = Σ g_i σ_i ρ_ij σ_j g_j."""
    E, p, rho = np.linspace(1, 20, 39), (0.8, 260.0, 0.2, 72.0, 15.0), 0.4
    correlation = np.eye(5)
    correlation[0, 2] = correlation[2, 0] = rho
    value, std = _dos_one(*p, 0.03, 0, 0.05, 0, 0, correlation, E=E)
    debye, peak = debye_dos(E, 260.0), gaussian_dos(E, 72.0, 15.0)
    a, b = 0.03 * debye, 0.05 * peak
    np.testing.assert_allclose(value, 0.8 * debye + 0.2 * peak, rtol=1e-12)
    np.testing.assert_allclose(std, np.sqrt(a**2 + b**2 + 2 * rho * a * b), rtol=1e-6)
