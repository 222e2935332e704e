"""One model fitted to several data sets at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

from tests.analysis.test_model_comparison import SUM, noisy
from xbp.analysis.together import _plain, _read
from xbp.core.constants import BOLTZMANN_MEV
from xbp.errors import QuantityError, RangeError, UnitsError

E, T = np.linspace(1, 12, 30), np.geomspace(3, 30, 20)
TRUE = {"n_D": 0.8, "energy_D": 25.0, "area": 0.2, "energy_s": 18.0}
KELVIN = {n: v / BOLTZMANN_MEV if "energy" in n else v for n, v in TRUE.items()}


def data(
    seed: int = 0, shift: float = 1.0, noise: float = 0.01
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return g(E), on a scale of 5, and C_p of the same model, with noise."""
    g = noisy(SUM, E, 2 * noise, seed=seed, **TRUE).bp.scale(5)
    kelvin = KELVIN | {"energy_s": KELVIN["energy_s"] * shift}
    C = noisy(SUM.of("heat_capacity"), T, noise, seed=seed + 50, **kelvin)
    return g, C


@pytest.fixture(scope="module")
def table() -> xr.Dataset:
    g, C = data()
    found: xr.Dataset = g.bp.fit_together(C, model=SUM)
    return found


@pytest.mark.slow
def test_parameters_are_shared(table: xr.Dataset) -> None:
    assert str(table.status.values) == "ok"
    for name, true in (*TRUE.items(), ("scale_1", 5.0)):
        assert abs(float(table[name]) - true) < 4 * float(table[f"{name}_std"])
    assert float(table.scale_2) == 1
    assert float(table.scale_2_std) == float(table.gamma_std) == 0
    assert table.energy_s.attrs["units"] == "meV"
    assert float(table.E_BP) == pytest.approx(float(table.energy_s) / 4, rel=1e-4)
    np.testing.assert_allclose(table.chi2_per_point, 1, atol=0.8)
    assert table.data_set.values.tolist() == ["g", "C"]


@pytest.mark.slow
def test_it_is_least_squares_of_all_points() -> None:
    """As scipy's, with the two curves written out; with little noise, as then χ² is
    a parabola as far as errors go.
    """
    g, C = data(noise=0.002)
    table = g.bp.fit_together(C, model=SUM)
    heat = SUM.of("heat_capacity").function

    def left(p: np.ndarray) -> np.ndarray:
        n_D, E_D, area, E_s, scale = p
        one = scale * SUM.function(E, n_D, E_D, area, E_s, 0.0)
        k = BOLTZMANN_MEV
        two = heat(T, n_D, E_D / k, area, E_s / k, 0.0)
        parts = [
            (g.g.values - one) / g.g_std.values,
            (C.C.values - two) / C.C_std.values,
        ]
        return np.concatenate(parts)

    best = scipy.optimize.least_squares(left, [0.8, 25, 0.2, 18, 5], x_scale="jac")
    std = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
    names = [*TRUE, "scale_1"]
    for name, value, error in zip(names, best.x, std, strict=True):
        assert float(table[name]) == pytest.approx(value, abs=1e-3 * error)
        assert float(table[f"{name}_std"]) == pytest.approx(error, rel=1e-3)
    chi2 = 2 * best.cost
    assert float(table.BIC) == pytest.approx(chi2 + 5 * np.log(50), rel=1e-6)
    assert float(table.chi2_reduced) == pytest.approx(chi2 / 45, rel=1e-6)


@pytest.mark.slow
def test_together_they_know_more_than_alone(table: xr.Dataset) -> None:
    g, C = data()
    alone = C.bp.fit(SUM.of("heat_capacity"))
    alone_std = float(alone.energy_s_std) * BOLTZMANN_MEV
    assert float(table.energy_s_std) < 0.7 * alone_std
    # g(E) alone, on an unknown scale below the Debye energy, has no area.
    assert str(g.bp.fit(SUM).status.values) != "ok"


def test_data_that_disagree() -> None:
    g, C = data(shift=1.2)
    found = g.bp.fit_together(C, model=SUM, fixed={"energy_D": 25})
    assert str(found.status.values) == "ok"
    assert float(found.chi2_per_point.max()) > 3


@pytest.mark.slow
def test_other_quantities_and_units(table: xr.Dataset) -> None:
    g, C = data()
    one = {"start": TRUE}
    other = g.bp.convert(E="THz").bp.to_bqe()
    reduced = C.bp.reduced_heat_capacity()
    found = other.bp.fit_together(reduced, model=SUM, **one)
    for name in TRUE:
        assert float(found[name]) == pytest.approx(float(table[name]), rel=1e-6)
    swapped = C.bp.fit_together(g, model=SUM, scales=(1, None), **one)
    assert float(swapped.energy_s) == pytest.approx(float(table.energy_s), rel=1e-6)
    fixed = g.bp.fit_together(
        C,
        model=SUM,
        fixed={"energy_D": "25 meV"},
        E_range=(2, "10 meV"),
        T_range=(4, 20),
    )
    assert float(fixed.energy_D_std) == 0
    assert fixed.sizes["x_1"] < 30
    assert fixed.sizes["x_2"] < 20


@pytest.mark.slow
def test_electrons() -> None:
    g, C = data()
    C["C"] = C.C + (0.004 * C.temperature).assign_attrs(units="J/mol/K")
    C["C"].attrs |= {"quantity": "heat_capacity", "units": "J/mol/K"}
    found = g.bp.fit_together(C, model=SUM, start={"gamma": "1 mJ/mol/K^2"})
    assert abs(float(found.gamma) - 0.004) < 4 * float(found.gamma_std)
    assert found.gamma.attrs["units"] == "J/mol/K**2"


@pytest.mark.slow
def test_bad_input(table: xr.Dataset, tmp_path: Path) -> None:
    g, C = data()
    with pytest.raises(QuantityError, match="two data sets"):
        g.bp.fit_together(model=SUM)
    with pytest.raises(QuantityError, match=r"area .* cannot be fitted"):
        g.bp.fit_together(C, model=SUM, scales=(None, None))
    with pytest.raises(QuantityError, match="scales"):
        g.bp.fit_together(C, model=SUM, scales=(1,))
    with pytest.raises(QuantityError, match="no errors"):
        g.bp.fit_together(C.drop_vars("C_std"), model=SUM)
    with pytest.raises(QuantityError, match="dimensions"):
        g.bp.fit_together(xr.concat([C, C], "sample"), model=SUM)
    scaled, cubed = C.bp.scale(2), C.isel(temperature=slice(4, None)).copy()
    cubed["C"] = (C.C / C.temperature**3).assign_attrs(C.C.attrs)
    for twice in (C, scaled, cubed):
        with pytest.raises(QuantityError, match="given twice"):
            g.bp.fit_together(C, twice, model=SUM)
    with pytest.raises(QuantityError, match="given twice"):
        g.bp.fit_together(g.bp.to_bqe(), C, model=SUM)
    with pytest.raises(QuantityError, match="scales="):
        g.bp.fit_together(C, model=SUM, scales=5)
    with pytest.raises(QuantityError, match="no values"):
        g.where(g.E > 300).bp.fit_together(C, model=SUM)
    with pytest.raises(QuantityError, match="not of g"):
        g.bp.fit_together(C, model="debye_einstein")
    with pytest.raises(QuantityError, match="energy_b"):
        g.bp.fit_together(C, model=SUM, fixed={"energy_b": 3})
    with pytest.raises(RangeError, match="T_range"):
        g.bp.fit_together(C, model=SUM, T_range=(200, 300))
    with pytest.raises(UnitsError):
        g.bp.fit_together(C, model=SUM, fixed={"energy_D": "3 kg"})
    whole = C.copy()
    whole.C.attrs["amount"] = "formula units"
    with pytest.raises(QuantityError, match="formula units"):
        g.bp.fit_together(whole, model=SUM)
    table.bp.to_netcdf(tmp_path / "together.nc")
    assert xr.load_dataset(tmp_path / "together.nc").identical(table)


def test_electrons_and_units_of_heat_capacities() -> None:
    """Of C/T³, γT is γ/T²."""
    _, C = data()
    for quantity, power, unit in (
        (C, 1.0, "J/mol/K"), (C.bp.reduced_heat_capacity(), -2.0, "J/mol/K**4")
    ):  # fmt: skip
        one = _read(_plain(quantity), SUM, None, None)
        np.testing.assert_allclose(one.electronic, one.x**power)
        assert one.units == unit
