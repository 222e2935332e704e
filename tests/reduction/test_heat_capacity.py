from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError, TemperatureError, UnitsError
from xbp.models.debye_einstein import debye_dos, debye_heat_capacity, gaussian_dos, gaussian_einstein_heat_capacity

T = np.array([2.0, 10.0, 50.0, 300.0])


def sample(units: str = "uJ/K", **attrs: str) -> xr.Dataset:
    ds = xbp.new_dataset(
        "heat_capacity", [1.0, 2.0, 3.0, 4.0], std=[0.1] * 4, units=units, coords={"temperature": (T, "K")}
    )
    ds.C.attrs |= attrs
    return ds


def dos(e: np.ndarray, g: np.ndarray, units: str = "1/meV", **kw: object) -> xr.Dataset:
    return xbp.new_dataset("vibrational_dos", g, units=units, coords={"E": (e, "meV")}, **kw)


def test_of_a_sample_per_mole() -> None:
    molar = sample().bp.to_molar("formula units", mass="2 mg", molar_mass="100 g/mol")
    np.testing.assert_allclose(molar.C, np.array([1, 2, 3, 4]) * 1e-6 / 2e-3 * 100)
    np.testing.assert_allclose(molar.C_std, 0.1e-6 / 2e-3 * 100)
    assert (molar.C.attrs["units"], molar.C.attrs["amount"]) == ("J/K/mol", "formula units")
    atoms = sample().bp.to_molar("atoms", mass="2 mg", molar_mass="100 g/mol", atoms=4)
    np.testing.assert_allclose(atoms.C, molar.C / 4)
    xr.testing.assert_allclose(molar.bp.to_molar("atoms", atoms=4).C, atoms.C)
    xr.testing.assert_allclose(atoms.bp.to_molar("formula units", atoms=4).C, molar.C)
    xr.testing.assert_allclose(atoms.bp.to_molar("atoms").C, atoms.C)


@pytest.mark.parametrize(("units", "mass"), [("mJ/K", "2e3 mg"), ("nJ/K", "2 ug"), ("uJ/K", 2), ("uJ/K", "2e-6 kg")])
def test_in_any_units(units: str, mass: object) -> None:
    expected = sample().C.bp.to_molar("formula units", mass="2 mg", molar_mass=100)
    np.testing.assert_allclose(
        sample(units).C.bp.to_molar("formula units", mass=mass, molar_mass="0.1 kg/mol"), expected
    )


def test_of_a_mass() -> None:
    molar = sample("mJ/g/K").bp.to_molar("atoms", molar_mass="60 g/mol", atoms=3)
    np.testing.assert_allclose(molar.C, np.array([1, 2, 3, 4]) * 20e-3)


def test_what_the_file_says_is_used_and_not_contradicted() -> None:
    ds = sample(sample_mass="2 mg", molar_mass="100 g/mol", atoms_per_formula="4")
    xr.testing.assert_allclose(
        ds.bp.to_molar("atoms").C, sample().bp.to_molar("atoms", mass=2, molar_mass=100, atoms=4).C
    )
    with pytest.raises(QuantityError, match="against"):
        ds.bp.to_molar("atoms", mass="3 mg")


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(QuantityError, match="molar mass of a formula unit is not known"):
        sample().bp.to_molar("formula units", mass="2 mg")
    with pytest.raises(QuantityError, match="sample mass"):
        sample().bp.to_molar("formula units", molar_mass=60)
    with pytest.raises(QuantityError, match="the number of atoms in a formula unit is not known"):
        sample().bp.to_molar("atoms", mass=2, molar_mass=60)
    with pytest.raises(QuantityError, match="per='mole'"):
        sample().bp.to_molar("mole", mass=2, molar_mass=60)
    with pytest.raises(QuantityError, match="amount"):
        sample("J/mol/K").bp.to_molar("atoms", atoms=3)
    for bad in ("-2 mg", "0 mg"):
        with pytest.raises(QuantityError, match="positive"):
            sample().bp.to_molar("formula units", mass=bad, molar_mass=60)
    for kw in ({"mass": "2 meV"}, {"mass": np.nan}, {"molar_mass": "60 mg"}):
        with pytest.raises(UnitsError):
            sample().bp.to_molar("formula units", **({"mass": 2, "molar_mass": 60} | kw))
    with pytest.raises(UnitsError, match="heat capacity is in"):
        sample("J").bp.to_molar("atoms", mass=2, molar_mass=60, atoms=1)


def test_over_t_cubed() -> None:
    ds = sample("J/mol/K")
    out = ds.bp.reduced_heat_capacity("100 mJ/mol/K^2")
    np.testing.assert_allclose(out.C_T3, (ds.C - 0.1 * T) / T**3)
    np.testing.assert_allclose(out.C_T3_std, 0.1 / T**3)
    assert out.C_T3.attrs["units"] == "J/K**4/mol"
    assert out.C_T3.attrs["quantity"] == "reduced_heat_capacity"
    in_mk = ds.assign_coords(temperature=("temperature", T * 1e3, {"units": "mK"}))
    np.testing.assert_allclose(in_mk.bp.reduced_heat_capacity("100 mJ/mol/K^2").C_T3, out.C_T3)
    with pytest.raises(UnitsError):
        ds.bp.reduced_heat_capacity("1 J/K")
    with pytest.raises(TemperatureError):
        ds.assign_coords(temperature=("temperature", T - 5, {"units": "K"})).bp.reduced_heat_capacity()
    with pytest.raises(CoordinateError, match="no dimension 'temperature'"):
        ds.isel(temperature=0).bp.reduced_heat_capacity()


def test_einstein_over_t_cubed_is_largest_where_it_must() -> None:
    grid = np.linspace(10, 20, 20_001)
    C = gaussian_einstein_heat_capacity(grid, 71.95, 1e-6)
    ds = xbp.new_dataset("heat_capacity", C, units="J/mol/K", coords={"temperature": (grid, "K")})
    assert 71.95 / float(ds.bp.reduced_heat_capacity().C_T3.idxmax()) == pytest.approx(4.92812, abs=5e-4)


def test_from_a_density_of_states() -> None:
    E = np.linspace(0, 40, 1601)
    mixed = 0.7 * debye_dos(E, 250.0) + 0.4 * gaussian_dos(E, 72.0, 15.0)
    C = dos(E, mixed).bp.heat_capacity(T)
    expected = 0.7 * debye_heat_capacity(T, 250.0) + 0.4 * gaussian_einstein_heat_capacity(T, 72.0, 15.0)
    np.testing.assert_allclose(C.C, expected, rtol=2e-3)
    assert "amount" not in C.C.attrs
    unit = dos(E, mixed * 17, units="1").bp.heat_capacity(T, area=1)
    np.testing.assert_allclose(unit.C, expected / 1.1, rtol=2e-3)
    assert unit.C.attrs["amount"] == "atoms"
    high = dos(E, mixed).bp.heat_capacity([1e5]).C
    np.testing.assert_allclose(high, 3 * scipy.constants.R * 1.1, rtol=1e-3)


@pytest.mark.parametrize("units", ["THz", "1/cm", "eV"])
def test_the_same_on_any_axis(units: str) -> None:
    E = np.linspace(0.5, 30, 60)
    ds = dos(E, debye_dos(E, 250.0), std=np.full(60, 1e-3))
    one, other = ds.bp.heat_capacity(T), ds.bp.convert(E=units).bp.heat_capacity(T)
    np.testing.assert_allclose(one.C, other.C, rtol=1e-10)
    np.testing.assert_allclose(one.C_std, other.C_std, rtol=1e-10)
    kelvins = xr.DataArray(T * 1e3, dims="temperature", attrs={"units": "mK"})
    np.testing.assert_allclose(ds.bp.heat_capacity(kelvins).C, one.C)


def test_std_is_that_of_many_draws() -> None:
    E, rng = np.linspace(0.5, 30, 60), np.random.default_rng(0)
    g, s = debye_dos(E, 250.0), np.full(60, 1e-3)
    draws = xbp.new_dataset(
        "vibrational_dos", g + rng.normal(0, 1e-3, (2000, 60)), units="1/meV", dims=("run", "E"),
        coords={"run": (np.arange(2000.0), "1"), "E": (E, "meV")},
    )  # fmt: skip
    C = draws.bp.heat_capacity(T)
    assert C.C.dims == ("run", "temperature")
    np.testing.assert_allclose(C.C.std("run"), dos(E, g, std=s).bp.heat_capacity(T).C_std, rtol=0.08)
    xr.testing.assert_allclose(draws.chunk(run=100).bp.heat_capacity(T).compute(), C)


def test_of_the_simulated_glass(glass: xr.Dataset, tmp_path: Path) -> None:
    C = glass[["g", "g_std"]].bp.heat_capacity(np.linspace(2, 400, 200), area=1)
    assert float(C.C[-1]) == pytest.approx(3 * scipy.constants.R, rel=0.04)
    assert (np.diff(C.C) > 0).all()
    C.bp.to_netcdf(tmp_path / "c.nc")
    with xbp.open_dataset(tmp_path / "c.nc") as back:
        xr.testing.assert_identical(back, C)


def test_bad_densities_and_temperatures() -> None:
    E = np.linspace(0.5, 30, 60)
    ds = dos(E, debye_dos(E, 250.0))
    with pytest.raises(UnitsError, match="arbitrary"):
        dos(E, E, units="1").bp.heat_capacity(T)
    for bad in ([], [3.0, 2.0], [np.nan], "warm", [[1.0]], [1.0, 1.0], ["x"]):
        with pytest.raises((CoordinateError, UnitsError)):
            ds.bp.heat_capacity(bad)
    with pytest.raises(TemperatureError):
        ds.bp.heat_capacity([0.0, 2.0])
    with pytest.raises(QuantityError, match="area"):
        ds.bp.heat_capacity(T, area=-1)
    with pytest.raises(CoordinateError, match="positive energies"):
        dos(-E[::-1], E).bp.heat_capacity(T)
    hole = ds.copy(deep=True)
    hole.g[3] = np.nan
    assert hole.bp.heat_capacity(T).C.isnull().all()
    with pytest.raises(UnitsError):
        dos(E, E, units="J").bp.heat_capacity(T)


def test_a_masked_elastic_line_is_not_overlooked(glass: xr.Dataset) -> None:
    masked = glass[["g", "g_std"]].where(glass.E > 3)
    masked.g.attrs, masked.g_std.attrs = glass.g.attrs, glass.g_std.attrs
    with pytest.raises(RangeError, match=r"g\(E\) is NaN from 0\.41"):
        masked.bp.heat_capacity([10.0, 300.0], area=1)
    told = masked.bp.heat_capacity([10.0, 3000.0], area=1, below="debye")
    assert float(told.C[1]) == pytest.approx(24.94, rel=2e-3)
    cut = masked.sel(E=slice(3, None)).bp.heat_capacity([10.0, 3000.0], area=1)
    np.testing.assert_allclose(told.C, cut.C)
    assert '"below": "debye"' in told.C.attrs["history"]
    ends = glass.g.where(glass.E < 40).assign_attrs(glass.g.attrs)
    np.testing.assert_allclose(
        ends.bp.heat_capacity([50.0], area=1), glass.g.sel(E=slice(0, 40)).bp.heat_capacity([50.0], area=1)
    )
    with pytest.raises(RangeError, match="holds no number"):
        (glass.g * np.nan).assign_attrs(glass.g.attrs).bp.heat_capacity([50.0], area=1)
    with pytest.raises(QuantityError, match="below='nothing'"):
        glass.g.bp.heat_capacity([50.0], area=1, below="nothing")


@pytest.mark.parametrize("factor", [0.0, np.inf, 1e-320, 1e308])
def test_a_g_of_no_area_is_not_scaled(factor: float) -> None:
    E = np.linspace(0.5, 25, 60)
    with pytest.raises(QuantityError, match="the area of g"):
        dos(E, np.full(E.size, factor)).bp.heat_capacity([2.0, 3.0], area=1)


def test_arguments_that_compare_to_many_answers() -> None:
    E = np.linspace(0.5, 25, 60)
    g = dos(E, debye_dos(E, 250.0))
    for area in ([1], 1j, np.array([1, 2]), 0, -1, np.nan, "x"):
        with pytest.raises((UnitsError, QuantityError)):
            g.bp.heat_capacity([2.0, 3.0], area=area)
    for below in (np.array(["debye", "x"]), ["debye"], 3):
        with pytest.raises(QuantityError, match="below"):
            g.bp.heat_capacity([2.0, 3.0], area=1, below=below)
    C = g.bp.heat_capacity([2.0, 3.0], area=1)
    with pytest.raises(QuantityError, match="per="):
        C.bp.to_molar(np.array(["atoms", "x"]))
    with pytest.raises(TemperatureError):
        g.bp.heat_capacity([1e-320, 3.0], area=1)
    with pytest.raises(QuantityError, match="gamma"):
        C.bp.reduced_heat_capacity(gamma=1e308)
    whole = C.assign(C=C.C.assign_attrs(units="uJ/K"))
    with pytest.raises(QuantityError, match="mass is"):
        whole.bp.to_molar("atoms", mass=1e-320, molar_mass=60, atoms=1)
