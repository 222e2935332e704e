from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
    XbpError,
)
from xbp.models.debye_einstein import (
    debye_dos,
    debye_heat_capacity,
    gaussian_dos,
    gaussian_einstein_heat_capacity,
)

T = np.array([2.0, 10.0, 50.0, 300.0])


def sample(units: str = "uJ/K", **attrs: str) -> xr.Dataset:
    ds = xbp.new_dataset(
        "heat_capacity",
        [1.0, 2.0, 3.0, 4.0],
        std=[0.1] * 4,
        units=units,
        coords={"temperature": (T, "K")},
    )
    ds.C.attrs |= attrs
    return ds


def dos(e: np.ndarray, g: np.ndarray, units: str = "1/meV", **kw: object) -> xr.Dataset:
    return xbp.new_dataset(
        "vibrational_dos", g, units=units, coords={"E": (e, "meV")}, **kw
    )


def test_of_a_sample_per_mole() -> None:
    molar = sample().bp.to_molar("formula units", mass="2 mg", molar_mass="100 g/mol")
    np.testing.assert_allclose(molar.C, np.array([1, 2, 3, 4]) * 1e-6 / 2e-3 * 100)
    np.testing.assert_allclose(molar.C_std, 0.1e-6 / 2e-3 * 100)
    assert (molar.C.attrs["units"], molar.C.attrs["amount"]) == (
        "J/K/mol",
        "formula units",
    )
    atoms = sample().bp.to_molar("atoms", mass="2 mg", molar_mass="100 g/mol", atoms=4)
    np.testing.assert_allclose(atoms.C, molar.C / 4)
    xr.testing.assert_allclose(molar.bp.to_molar("atoms", atoms=4).C, atoms.C)
    xr.testing.assert_allclose(atoms.bp.to_molar("formula units", atoms=4).C, molar.C)
    xr.testing.assert_allclose(atoms.bp.to_molar("atoms").C, atoms.C)


@pytest.mark.parametrize(
    ("units", "mass"),
    [("mJ/K", "2e3 mg"), ("nJ/K", "2 ug"), ("uJ/K", 2), ("uJ/K", "2e-6 kg")],
)
def test_in_any_units(units: str, mass: object) -> None:
    expected = sample().C.bp.to_molar("formula units", mass="2 mg", molar_mass=100)
    np.testing.assert_allclose(
        sample(units).C.bp.to_molar(
            "formula units", mass=mass, molar_mass="0.1 kg/mol"
        ),
        expected,
    )


def test_of_a_mass() -> None:
    molar = sample("mJ/g/K").bp.to_molar("atoms", molar_mass="60 g/mol", atoms=3)
    np.testing.assert_allclose(molar.C, np.array([1, 2, 3, 4]) * 20e-3)


def test_what_the_file_says_is_used_and_not_contradicted() -> None:
    ds = sample(sample_mass="2 mg", molar_mass="100 g/mol", atoms_per_formula="4")
    xr.testing.assert_allclose(
        ds.bp.to_molar("atoms").C,
        sample().bp.to_molar("atoms", mass=2, molar_mass=100, atoms=4).C,
    )
    with pytest.raises(QuantityError, match=r"mass=3 mg.*2 mg"):
        ds.bp.to_molar("atoms", mass="3 mg")


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(
        QuantityError, match="molar mass of a formula unit is not known"
    ):
        sample().bp.to_molar("formula units", mass="2 mg")
    with pytest.raises(QuantityError, match="mass of the sample"):
        sample().bp.to_molar("formula units", molar_mass=60)
    with pytest.raises(
        QuantityError, match="the number of atoms in a formula unit is not known"
    ):
        sample().bp.to_molar("atoms", mass=2, molar_mass=60)
    with pytest.raises(QuantityError, match="per='mole'"):
        sample().bp.to_molar("mole", mass=2, molar_mass=60)
    with pytest.raises(QuantityError, match="amount"):
        sample("J/mol/K").bp.to_molar("atoms", atoms=3)
    for bad in ("-2 mg", "0 mg"):
        with pytest.raises(QuantityError, match="mass="):
            sample().bp.to_molar("formula units", mass=bad, molar_mass=60)
    for kw in ({"mass": "2 meV"}, {"mass": np.nan}, {"molar_mass": "60 mg"}):
        with pytest.raises(UnitsError):
            sample().bp.to_molar(
                "formula units", **({"mass": 2, "molar_mass": 60} | kw)
            )
    with pytest.raises(UnitsError, match="unit of heat capacity"):
        sample("J").bp.to_molar("atoms", mass=2, molar_mass=60, atoms=1)


def test_over_t_cubed() -> None:
    ds = sample("J/mol/K")
    out = ds.bp.reduced_heat_capacity("100 mJ/mol/K^2")
    np.testing.assert_allclose(out.C_T3, (ds.C - 0.1 * T) / T**3)
    np.testing.assert_allclose(out.C_T3_std, 0.1 / T**3)
    assert out.C_T3.attrs["units"] == "J/K**4/mol"
    assert out.C_T3.attrs["quantity"] == "reduced_heat_capacity"
    in_mk = ds.assign_coords(temperature=("temperature", T * 1e3, {"units": "mK"}))
    np.testing.assert_allclose(
        in_mk.bp.reduced_heat_capacity("100 mJ/mol/K^2").C_T3, out.C_T3
    )
    with pytest.raises(UnitsError):
        ds.bp.reduced_heat_capacity("1 J/K")
    with pytest.raises(TemperatureError):
        ds.assign_coords(
            temperature=("temperature", T - 5, {"units": "K"})
        ).bp.reduced_heat_capacity()
    with pytest.raises(CoordinateError, match="dimension 'temperature'"):
        ds.isel(temperature=0).bp.reduced_heat_capacity()


def test_einstein_over_t_cubed_is_largest_where_it_must() -> None:
    grid = np.linspace(10, 20, 20_001)
    C = gaussian_einstein_heat_capacity(grid, 71.95, 1e-6)
    ds = xbp.new_dataset(
        "heat_capacity", C, units="J/mol/K", coords={"temperature": (grid, "K")}
    )
    assert 71.95 / float(ds.bp.reduced_heat_capacity().C_T3.idxmax()) == pytest.approx(
        4.92812, abs=5e-4
    )


def test_one_temperature_with_its_unit() -> None:
    E = np.linspace(0.25, 40, 160)
    g = E**2 * np.exp(-((E / 12) ** 2))
    ds = xbp.new_dataset(
        "g(E)",
        g / np.trapezoid(g, E),
        units="1/meV",
        coords={"E": (E, "meV")},
    )
    of = ds.bp.heat_capacity([80.0])
    for given in ("80 K", 80, xr.DataArray(80.0, attrs={"units": "K"})):
        xr.testing.assert_allclose(ds.bp.heat_capacity(given).C, of.C)
    xr.testing.assert_allclose(
        ds.bp.multiphonon_sqe("20 1/nm", T=80, mass=50).S.isel(Q=0, drop=True),
        ds.bp.multiphonon_sqe([2.0], T=80, mass=50).S.isel(Q=0, drop=True),
    )
    with pytest.raises(UnitsError, match="does not convert to 'K'"):
        ds.bp.heat_capacity("80 meV")


def test_from_a_density_of_states() -> None:
    E = np.linspace(0, 40, 1601)
    mixed = 0.7 * debye_dos(E, 250.0) + 0.4 * gaussian_dos(E, 72.0, 15.0)
    C = dos(E, mixed).bp.heat_capacity(T, area=1.1)
    expected = 0.7 * debye_heat_capacity(
        T, 250.0
    ) + 0.4 * gaussian_einstein_heat_capacity(T, 72.0, 15.0)
    np.testing.assert_allclose(C.C, expected, rtol=2e-3)
    assert "amount" not in C.C.attrs
    unit = dos(E, mixed * 17, units="1").bp.heat_capacity(T, area=1)
    np.testing.assert_allclose(unit.C, expected / 1.1, rtol=2e-3)
    assert unit.C.attrs["amount"] == "atoms"
    high = dos(E, mixed).bp.heat_capacity([1e5], area=1.1).C
    np.testing.assert_allclose(high, 3 * scipy.constants.R * 1.1, rtol=1e-3)


@pytest.mark.parametrize("units", ["THz", "1/cm", "eV"])
def test_the_same_on_any_axis(units: str) -> None:
    E = np.linspace(0.5, 30, 60)
    ds = dos(E, debye_dos(E, 250.0), std=np.full(60, 1e-3))
    wide = {"area_tolerance": 0.05}  # the edge lies within one of few bins
    one, other = (
        ds.bp.heat_capacity(T, **wide),
        ds.bp.convert(E=units).bp.heat_capacity(T, **wide),
    )
    np.testing.assert_allclose(one.C, other.C, rtol=1e-10)
    np.testing.assert_allclose(one.C_std, other.C_std, rtol=1e-10)
    kelvins = xr.DataArray(T * 1e3, dims="temperature", attrs={"units": "mK"})
    np.testing.assert_allclose(ds.bp.heat_capacity(kelvins, **wide).C, one.C)


@pytest.mark.slow
def test_std_is_that_of_many_draws() -> None:
    E, rng = np.linspace(0.5, 30, 60), np.random.default_rng(0)
    g, s = debye_dos(E, 250.0), np.full(60, 1e-3)
    draws = xbp.new_dataset(
        "vibrational_dos", g + rng.normal(0, 1e-3, (2000, 60)), units="1/meV", dims=("run", "E"),
        coords={"run": (np.arange(2000.0), "1"), "E": (E, "meV")},
    )  # fmt: skip
    wide = {"area_tolerance": 0.1}
    C = draws.bp.heat_capacity(T, **wide)
    assert C.C.dims == ("run", "temperature")
    np.testing.assert_allclose(
        C.C.std("run"), dos(E, g, std=s).bp.heat_capacity(T, **wide).C_std, rtol=0.08
    )
    xr.testing.assert_allclose(
        draws.chunk(run=100).bp.heat_capacity(T, **wide).compute(), C
    )


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
        ds.bp.heat_capacity([-1.0, 2.0])
    with pytest.raises(QuantityError, match="area"):
        ds.bp.heat_capacity(T, area=-1)
    with pytest.raises(CoordinateError, match="positive E"):
        dos(-E[::-1], E).bp.heat_capacity(T)
    hole = ds.copy(deep=True)
    hole.g[3] = np.nan
    assert hole.bp.heat_capacity(T, area_tolerance=0.05).C.isnull().all()
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
        ends.bp.heat_capacity([50.0], area=1),
        glass.g.sel(E=slice(0, 40)).bp.heat_capacity([50.0], area=1),
    )
    with pytest.raises(RangeError, match="no value of"):
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
    with pytest.raises(QuantityError, match="mass="):
        whole.bp.to_molar("atoms", mass=1e-320, molar_mass=60, atoms=1)


def einstein(area: float, **kw: object) -> xr.Dataset:
    """A narrow band at 20 meV, whose modes have an area of 1, 3, 3N or other."""
    E = np.arange(0.05, 40, 0.1)
    g = np.exp(-((E - 20) ** 2) / 2)
    return dos(E, area * g / (g.sum() * 0.1), **kw)


def einstein_heat(T: np.ndarray) -> np.ndarray:
    """3R c(x) averaged over the band, by hand."""
    E = np.arange(0.05, 40, 0.1)
    g = np.exp(-((E - 20) ** 2) / 2)
    x = E / (scipy.constants.k / scipy.constants.e * 1e3 * T[:, None])
    with np.errstate(over="ignore"):
        c = x**2 * np.exp(-x) / np.expm1(-x) ** 2
    return np.asarray(3 * scipy.constants.R * (c * g).sum(axis=1) / g.sum())


@pytest.mark.slow
def test_an_area_of_1_or_3_is_recognised_and_others_are_asked_for() -> None:
    expected = einstein_heat(T[1:])
    for area in (0.995, 1.0, 1.008):
        C = einstein(area).bp.heat_capacity(T[1:])
        np.testing.assert_allclose(C.C, area * expected, rtol=1e-3)
        assert C.C.attrs["amount"] == "atoms"
    np.testing.assert_allclose(
        einstein(3.0).bp.heat_capacity(T[1:]).C, expected, rtol=1e-3
    )
    # phonopy's total_dos.dat is of a cell: 3N, of two atoms 6.
    for area in (0.5, 0.98, 1.02, 2.0, 6.0, 12.0):
        with pytest.raises(
            QuantityError, match=rf"area of 'g' is {area:.4g}[\s\S]*n_atoms="
        ):
            einstein(area).bp.heat_capacity(T)
        np.testing.assert_allclose(
            einstein(area).bp.heat_capacity(T[1:], area=1).C, expected, rtol=1e-3
        )
    np.testing.assert_allclose(
        einstein(6.0).bp.heat_capacity(T[1:], n_atoms=2).C, expected, rtol=1e-3
    )
    np.testing.assert_allclose(
        einstein(6.0, units="1").bp.heat_capacity(T[1:], n_atoms=2).C,
        expected,
        rtol=1e-3,
    )
    with pytest.raises(QuantityError, match="6, not 9"):
        einstein(6.0).bp.heat_capacity(T, n_atoms=3)
    with pytest.raises(QuantityError, match="n_atoms=2"):
        einstein(6.0).bp.heat_capacity(T, n_atoms=2, area=1)
    with pytest.raises(QuantityError, match="n_atoms=0"):
        einstein(6.0).bp.heat_capacity(T, n_atoms=0)
    assert float(
        einstein(0.9).bp.heat_capacity([3000.0], area_tolerance=0.2).C[0]
    ) == pytest.approx(0.9 * float(einstein_heat(np.array([3000.0]))[0]), rel=1e-3)
    lazy = einstein(6.0).chunk(E=10).bp.heat_capacity(T)
    assert lazy.C.compute().isnull().all()


@pytest.mark.slow
def test_the_area_that_a_density_states_is_used(tmp_path: Path) -> None:
    expected = einstein_heat(T[1:])
    cell = einstein(6.0)
    cell.g.attrs |= {"area": 6.0, "area_of": "all modes"}
    np.testing.assert_allclose(cell.bp.heat_capacity(T[1:]).C, expected, rtol=1e-3)
    # It follows what xbp does with g, and is not believed where something else was done.
    for same in (
        cell.bp.scale(7),
        cell.bp.convert(E="THz"),
        cell.bp.rebin(E="0.2 meV"),
        cell.bp.scale(1 / 6),
    ):
        np.testing.assert_allclose(same.bp.heat_capacity(T[1:]).C, expected, rtol=5e-3)
    assert cell.bp.scale(0.5).g.attrs["area"] == 3.0
    cell.bp.to_netcdf(tmp_path / "g.nc")
    with xbp.open_dataset(tmp_path / "g.nc") as back:
        np.testing.assert_allclose(back.bp.heat_capacity(T[1:]).C, expected, rtol=1e-3)
    for factor in (2.0, 0.5):
        with pytest.raises(QuantityError, match="its recorded area is 6"):
            (cell.g * factor).bp.heat_capacity(T)
    unknown = cell.copy()
    unknown.g.attrs["area"] = "unknown"
    with pytest.raises(QuantityError, match="area of 'g' is unknown"):
        unknown.bp.heat_capacity(T)
    np.testing.assert_allclose(
        unknown.bp.heat_capacity(T[1:], area=1).C, expected, rtol=1e-3
    )
    C = cell.bp.heat_capacity(T[1:])
    assert not {"area", "area_of"} & set(C.C.attrs)


@pytest.mark.slow
def test_a_part_of_the_modes_gives_only_what_they_decide() -> None:
    """Cut off at 20 meV, in the middle of the band: half of C is missing at 300 K, nothing at 10 K."""
    E = np.arange(0.05, 40, 0.1)
    whole = dos(E, debye_dos(E, 400.0) / (debye_dos(E, 400.0).sum() * 0.1))
    whole.g.attrs |= {"area": 1.0, "area_of": "all modes"}
    part = whole.sel(E=slice(0, 20))
    with pytest.raises(RangeError, match=r"19\.95 meV: C at 300 K.*\n.*end T at 10 K"):
        part.bp.heat_capacity(T)
    np.testing.assert_allclose(
        part.bp.heat_capacity(T[:2]).C, whole.bp.heat_capacity(T[:2]).C, rtol=1e-3
    )
    lazy = part.chunk(E=50).bp.heat_capacity(T).compute()
    assert lazy.C.isnull().values.tolist() == [False, False, True, True]


def test_modes_that_are_weighed_are_no_modes() -> None:
    ds = einstein(1.0)
    ds.g.attrs |= {"area": 1.0, "area_of": "weighted modes", "weighting": "neutron"}
    with pytest.raises(QuantityError, match="weighted by 'neutron'"):
        ds.bp.heat_capacity(T)
    np.testing.assert_allclose(
        ds.bp.heat_capacity(T[1:], area=1).C, einstein_heat(T[1:]), rtol=1e-3
    )


@pytest.mark.slow
def test_a_g_that_has_not_fallen_at_its_end_can_be_refused() -> None:
    """Cut off within the band and normalised to 1, it passes as all modes by its area."""
    E = np.arange(0.05, 40, 0.1)
    g = E**2 * np.exp(-((E / 20) ** 4))
    whole = dos(E, g / (g.sum() * 0.1))
    cut = dos(E[:100], g[:100] / (g[:100].sum() * 0.1))
    assert float(whole.bp.heat_capacity([20.0]).C[0]) > 0
    for use in (
        lambda **kw: xbp.heat_capacity(cut, [20.0], **kw),
        lambda **kw: xbp.multiphonon_sqe(cut, [2.0], T="300 K", mass="50 u", **kw),
    ):
        with pytest.raises(QuantityError, match=r"ends at 100 %.*\n.*area=1"):
            use(end=0.1)
        use()  # an area of 1 is that of all modes, as of Debye's g(E)
        use(area=1, end=0.1)
        for end in (None, "abc", np.nan, 0):
            with pytest.raises(XbpError, match="end"):
                use(end=end)
        for tolerance in (None, "abc", np.nan, 0, 2):
            with pytest.raises(XbpError, match="area_tolerance"):
                use(area_tolerance=tolerance)
        for atoms in (0, "abc", np.nan, -1):
            with pytest.raises(XbpError, match="n_atoms"):
                use(n_atoms=atoms)
    with pytest.raises(QuantityError, match=r"ends at 100 %"):
        xbp.multiphonon_sqe(
            dos(E[:100], g[:100], units="1"), [2.0], T="300 K", mass="50 u", end=0.1
        )


def test_errors_of_many_temperatures_are_those_of_one_g() -> None:
    """C at all T comes from the same bins: a mean over T is hardly better known than one C."""
    E, T = np.arange(0.5, 40), np.linspace(20, 60, 41)
    g = E**2 * np.exp(-((E / 20) ** 4))
    g, s = g / g.sum(), 0.1 * g / g.sum() + 1e-4
    noise = np.random.default_rng(0).normal(0, s, (2000, E.size))
    draws = xbp.new_dataset(
        "vibrational_dos", g + noise, units="1/meV", dims=("run", "E"),
        coords={"run": (np.arange(2000.0), "1"), "E": (E, "meV")},
    )  # fmt: skip
    C = dos(E, g, std=s).bp.heat_capacity(T, area=1)
    many = draws.bp.heat_capacity(T, area=1).C
    np.testing.assert_allclose(C.C_std, many.std("run"), rtol=0.08)
    own = (C.C_std**2 - (C.C_std_common**2).sum("source")).clip(min=0)
    mean = np.sqrt(
        float((C.C_std_common.mean("temperature") ** 2).sum())
        + float(own.sum()) / T.size**2
    )
    assert mean == pytest.approx(float(many.mean("temperature").std("run")), rel=0.1)
    assert float(C.C_std.mean()) / np.sqrt(T.size) < mean / 3


@pytest.mark.slow
def test_a_fit_per_formula_unit_gives_a_heat_capacity_per_formula_unit() -> None:
    T = np.geomspace(2, 300, 80)
    C = xbp.models.evaluate(
        "debye_einstein", T, gamma=0, n_D=10, theta_D=260, n_E=3, theta_E=72, sigma_E=15
    )
    C.C.attrs |= {"amount": "formula units", "atoms_per_formula": "13"}
    g = C.bp.fit_heat_capacity().bp.fitted_dos(np.arange(0.1, 40, 0.1))
    back = g.bp.heat_capacity([20.0, 100.0], area_tolerance=0.05)
    assert back.C.attrs["amount"] == "formula units"
    np.testing.assert_allclose(back.C, np.interp([20.0, 100.0], T, C.C), rtol=0.02)
    few = C.assign(C=C.C.assign_attrs(atoms_per_formula="5"))
    assert str(few.bp.fit_heat_capacity().peak_status.values) == "unphysical"


def test_errors_of_one_temperature_are_those_of_many() -> None:
    """What temperatures share is kept apart, and adds up to the same."""
    g = einstein(1.0)
    g = xbp.new_dataset(
        "vibrational_dos", g.g.values, std=0.1 * g.g.values, units="1/meV",
        coords={"E": (g.E.values, "meV")},
    )  # fmt: skip
    many = g.bp.heat_capacity([50.0, 100.0, 300.0])
    one = g.bp.heat_capacity([100.0])
    assert float(one.C_std[0]) == pytest.approx(float(many.C_std[1]), rel=1e-4)


@pytest.mark.parametrize(("factor", "area"), [(2.0, 2.0), (0.0, "unknown")])
def test_a_scaled_g_has_a_scaled_area(factor: float, area: object) -> None:
    g = einstein(1.0).g.assign_attrs(area=1.0, area_of="all modes")
    assert g.bp.scale(factor).attrs["area"] == area


@pytest.mark.parametrize(("last", "missing"), [(0.04, False), (0.06, True)])
def test_modes_may_be_missing_where_g_is_cut_off(last: float, missing: bool) -> None:
    """g ends at a fraction of its maximum, with nine tenths of its recorded area."""
    E = np.arange(0.5, 40.0)
    g = np.where(E < 39, 1.0, last) * (E > 5)
    g *= 0.9 / g.sum()
    data = dos(E, g)
    data.g.attrs |= {"area": 1.0, "area_of": "all modes"}
    if missing:
        assert data.bp.heat_capacity([5.0]).C.notnull().all()
        return
    with pytest.raises(QuantityError, match="area"):
        data.bp.heat_capacity([5.0])


def test_one_bin_with_bounds_has_the_area_of_its_width() -> None:
    """An Einstein solid in one number: 3R times Einstein's function."""
    g = xbp.new_dataset(
        "vibrational_dos", [0.5], units="1/meV", coords={"E": ([20.0], "meV")},
        edges={"E": np.array([19.0, 21.0])},
    )  # fmt: skip
    C = g.bp.heat_capacity([100.0])
    assert C.sizes["temperature"] == 1


@pytest.mark.parametrize(("highest", "doubted"), [(37.0, False), (38.0, True)])
def test_more_than_atoms_have_is_doubted(highest: float, doubted: bool) -> None:
    """1.5 times 3R is 37.4 J/K/mol of atoms; a formula unit may have more."""
    C = xbp.new_dataset(
        "heat_capacity", [20.0, highest], units="J/K/mol",
        coords={"temperature": ([100.0, 300.0], "K")},
    )  # fmt: skip
    codes = [d.code for d in C.bp.to_molar("atoms", amount="atoms").bp.diagnostics()]
    assert codes == ["above_3R"] * doubted
    units = C.bp.to_molar("formula units", amount="formula units")
    assert not units.bp.diagnostics()


def test_a_composition_gives_the_molar_mass_and_the_atoms() -> None:
    C = xbp.new_dataset(
        "heat_capacity", [600.0], units="uJ/K", coords={"temperature": ([50.0], "K")}
    )
    M = (91.224 * 46 + 63.546 * 46 + 26.9815385 * 8) / 100
    per_atom = C.bp.to_molar("atoms", mass="5 mg", composition="Zr46Cu46Al8").C
    assert float(per_atom[0]) == pytest.approx(600e-6 / 5e-3 * M, rel=1e-5)
    whole = C.bp.to_molar("formula units", mass="5 mg", composition="SiO2").C
    assert float(whole[0]) == pytest.approx(600e-6 / 5e-3 * 60.0843, rel=1e-4)
    C.C.attrs |= {"sample_mass": "5 mg", "molar_mass": "666.22 g/mol"}
    ybco = C.bp.to_molar("atoms", composition="YBa2Cu3O7").C  # 0.004 % from 666.19
    assert float(ybco[0]) == pytest.approx(600e-6 / 5e-3 * 666.22 / 13)
    with pytest.raises(QuantityError, match=r"composition= has the molar mass .* 650"):
        C.bp.to_molar("atoms", composition="YBa2Cu3O6")
    C.C.attrs["atoms_per_formula"] = "12"
    with pytest.raises(
        QuantityError, match="atoms in a formula unit 13, but the data 12"
    ):
        C.bp.to_molar("atoms", composition="YBa2Cu3O7")
    for wrong in ("glass 3", "Zr" + 400 * "9"):
        with pytest.raises(QuantityError, match="not a formula"):
            C.bp.to_molar("atoms", composition=wrong)


def test_several_samples_in_one_table() -> None:
    C = xbp.new_dataset(
        "heat_capacity",
        [[600.0, 700.0], [300.0, 400.0]],
        units="uJ/K",
        coords={"sample": ([0, 1], "1"), "temperature": ([50.0, 60.0], "K")},
    )
    mass = xr.DataArray([5.0, 2.0], dims="sample", attrs={"units": "mg"})
    molar = xr.DataArray([60.0, 120.0], dims="sample", attrs={"units": "g/mol"})
    table = C.bp.to_molar("atoms", mass=mass, molar_mass=molar, atoms=3).C
    for i in range(2):
        one = C.isel(sample=i).bp.to_molar(
            "atoms", mass=f"{float(mass[i])} mg", molar_mass=float(molar[i]), atoms=3
        )
        np.testing.assert_allclose(table[i], one.C)
    for wrong in (mass.rename(sample="glass"), -mass.assign_attrs(units="mg")):
        with pytest.raises(QuantityError, match="mass"):
            C.bp.to_molar("atoms", mass=wrong, molar_mass=molar, atoms=3)


@pytest.mark.parametrize("lazy", [False, True])
def test_errors_of_several_densities_are_those_of_each(lazy: bool) -> None:
    E, T = np.arange(0.5, 40), np.array([10.0, 40.0, 90.0])
    g = E**2 * np.exp(-((E / 20) ** 4))
    each = [dos(E, g, std=s * g) for s in (0.1, 0.3)]
    both = xr.concat(each, "sample", combine_attrs="override")
    found = (both.chunk(sample=1) if lazy else both).bp.heat_capacity(T, area=1).C_std
    for one, got in zip(each, found.transpose("sample", ...), strict=True):
        expected = one.bp.heat_capacity(T, area=1).C_std
        np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_at_0_K_the_heat_capacity_is_0() -> None:
    g = xbp.tutorial.open_dataset("zr46cu46al8_md")[["g", "g_std"]]
    found, above = (g.bp.heat_capacity(T, area=1) for T in ([0, 1, 5], [1, 5]))
    assert float(found.C[0]) == float(found.C_std[0]) == 0
    np.testing.assert_allclose(found.C[1:], above.C)
    np.testing.assert_allclose(found.C_std[1:], above.C_std)
    with pytest.raises(TemperatureError, match="-1 to 5 K"):
        g.bp.heat_capacity([-1, 5], area=1)


@pytest.mark.parametrize("width", [0.25, 1.0, 2.0])
def test_means_over_bins_are_not_points(width: float) -> None:
    """Of a Debye g(E) the first bin has a mean a third above its centre."""
    T, theta = np.array([2.0, 5.0, 50.0]), 24.0
    edges = np.arange(0, theta + width / 2, width)
    g = xbp.new_dataset(
        "vibrational_dos",
        np.diff(edges**3) / theta**3 / width,
        units="1/meV",
        coords={"E": ((edges[1:] + edges[:-1]) / 2, "meV")},
        edges={"E": edges},
    )
    C = g.bp.heat_capacity(T).C
    right = debye_heat_capacity(T, theta / 0.08617333262)
    np.testing.assert_allclose(C, right, rtol=6e-3)
    np.testing.assert_allclose(C[0], right[0], rtol=1e-3)
    kelvin = g.bp.harmonic_thermodynamics(T, mass="50 u", area=1)
    np.testing.assert_allclose(kelvin.theta_C, theta / 0.08617333262, rtol=4e-3)
    np.testing.assert_allclose(kelvin.theta_u2, theta / 0.08617333262, rtol=4e-3)
    np.testing.assert_allclose(kelvin.theta_g, theta / 0.08617333262, rtol=4e-3)
