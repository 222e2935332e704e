"""Operations on quantities of pint in other units, on dask arrays, and back from a file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pint
import pint_xarray  # noqa: F401  (registers .pint)
import pytest
import xarray as xr

import xbp
from xbp.core.data import is_lazy
from xbp.errors import XbpError
from xbp.md.lammps import harmonic_vdos

UNITS = pint.UnitRegistry()
Q, E = np.arange(0.5, 5.0, 0.5), np.arange(-15.0, 15.1, 1.0)


def noisy(S: xr.DataArray) -> xr.Dataset:
    whole = S.transpose("Q", "E").to_dataset(name=S.name)
    return xbp.models.with_counting_noise(whole, counts=1e6, rng=1)


def glass(T: float = 300) -> xr.Dataset:
    shape = {"energy": 6, "width": 6, "T": T, "u2": 0.01}
    return noisy(xbp.models.dynamic_structure_factor(Q, E, **shape).S)


def with_line() -> xr.Dataset:
    S = glass().S
    line = xbp.models.elastic_line(Q, E, u2=0.01, resolution="2 meV").S
    both = S + line * float(30 * S.max() / line.max())
    return noisy(both.assign_attrs(S.attrs))


def coarse() -> xr.Dataset:
    """Another temperature, and wider bins."""
    return glass(250).bp.rebin(
        Q=np.arange(1.0, 4.5, 1.0), E=np.arange(-12.0, 13.0, 2.0)
    )


def dos() -> xr.Dataset:
    at = np.linspace(0.25, 25, 50)
    g = 3 * at**2 / 25**3
    return xbp.new_dataset(
        "vibrational_dos", g, units="1/meV", coords={"E": (at, "meV")}, std=0.01 * g
    )


def capacity() -> xr.Dataset:
    return dos().bp.heat_capacity([10.0, 100.0])


def film(**more: Any) -> xr.Dataset:
    nu = np.linspace(0.1, 3, 30)
    given = {"units": "1", "coords": {"E": (nu, "THz")}, "std": 0.01 * nu} | more
    return xbp.new_dataset("absorption", nu**2 / (1 + nu**4), **given)


def decay() -> xr.Dataset:
    t, q = np.linspace(0, 6, 31), np.array([1.0, 2.0])
    F = np.exp(-t * q[:, None] / 3)
    return xbp.new_dataset(
        "intermediate_scattering_function", F, units="1", std=np.full(F.shape, 0.01),
        coords={"Q": (q, "1/angstrom"), "time": (t, "ps")},
    )  # fmt: skip


class Case(NamedTuple):
    """Data, an operation on them, other units of theirs, and what comes out."""

    data: Callable[[], xr.Dataset]
    call: Callable[[Any], Any]
    units: dict[str, str]
    names: tuple[str, ...]


SQE = {"E": "THz", "Q": "1/nm"}
CASES = {
    "at_temperature": Case(
        glass, lambda d: d.bp.at_temperature("0.1 kK", u2="4e-5 nm^2"), SQE, ("S",)
    ),
    "to_sqe": Case(
        lambda: glass().bp.to_bqe(), lambda d: d.bp.to_sqe("200 K"), SQE, ("S",)
    ),
    "like": Case(
        glass, lambda d: d.bp.like(coarse(), "1 meV", harmonic=True), SQE, ("S",)
    ),
    "subtract_elastic": Case(
        with_line,
        lambda d: d.bp.subtract_elastic(Q_range=("0 1/nm", "10 1/nm")),
        SQE,
        ("S", "inelastic_lost"),
    ),
    "subtract_Q_independent": Case(
        glass, lambda d: d.bp.subtract_Q_independent(), SQE, ("S", "Q_independent")
    ),
    "excess_dos": Case(
        dos, lambda d: d.bp.excess_dos("0.026 eV", "0.1 meV"), {"E": "THz"},
        ("g_excess",),
    ),
    "harmonic_thermodynamics": Case(
        dos,
        lambda d: d.bp.harmonic_thermodynamics([10.0, 300.0], mass="50 u"),
        {"E": "THz"},
        ("entropy", "effective_temperature", "u2", "theta_C", "theta_u2", "theta_g"),
    ),
    "debye_temperature": Case(
        capacity, lambda d: d.bp.debye_temperature(), {"C": "J/g/K"}, ("theta",)
    ),
    "to_reduced_absorption": Case(
        film,
        lambda d: d.bp.to_reduced_absorption(
            (2, "0.2 1/THz^2"), thickness="20 um", thickness_std="1 um"
        ),
        {"E": "GHz"},
        ("B",),
    ),
    "relaxation_time": Case(decay, lambda d: d.bp.relaxation_time(), {}, ("tau",)),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", CASES)


@functools.cache
def expected(name: str) -> xr.Dataset:
    """The answer for data in numpy, in their own units."""
    return CASES[name].call(CASES[name].data())


def numbers(found: xr.Dataset, names: tuple[str, ...]) -> dict[str, pint.Quantity]:
    """Return variables and their errors, the first over meV and 1/angstrom."""
    axes = {"E": "meV", "Q": "1/angstrom"}
    axes = {dim: unit for dim, unit in axes.items() if dim in found[names[0]].dims}
    if axes and "quantity" in found[names[0]].attrs:
        found = found.bp.convert(**axes)
    both = [n for name in names for n in (name, f"{name}_std") if n in found]
    return {
        name: UNITS.Quantity(found[name].values, found[name].attrs.get("units", "1"))
        for name in both
    }


def ratio_of_units(one: pint.Quantity, other: pint.Quantity) -> float:
    """Return how much the unit of one is in that of another; a density may be per THz."""
    ratio = 1.0 * one.units / other.units
    per_energy = ratio / UNITS.Quantity(4.135667696923859, "meV/THz")
    found = ratio if ratio.is_compatible_with("") else per_energy
    return float(found.m_as(""))


@EVERY
def test_quantities_in_other_units_give_the_same(name: str) -> None:
    data, call, units, names = CASES[name]
    want, other = numbers(expected(name), names), data()
    if "C" in units:  # grams of a sample, 50 g/mol of atoms
        other = other.assign(C=other.C * 1e3, C_std=other.C_std * 1e3)
        for one in ("C", "C_std"):
            other[one].attrs = data()[one].attrs | {"units": "mJ/mol/K"}
    elif units:
        other = other.bp.convert(**units)
    found = call(other.pint.quantify()).pint.dequantify()
    for key, value in numbers(found, names).items():
        same = value.m * ratio_of_units(value, want[key])
        np.testing.assert_allclose(same, want[key].m, rtol=1e-5, err_msg=key)
    assert any(key.endswith("_std") for key in want)


@pytest.mark.slow
@EVERY
def test_chunks_give_the_same_later(name: str) -> None:
    data, call, _, names = CASES[name]
    want, found = expected(name), call(data().chunk())
    assert any(is_lazy(found[one]) for one in names)
    found = found.compute()
    for one in names:
        np.testing.assert_allclose(found[one], want[one], rtol=1e-9, err_msg=one)


@EVERY
def test_files_keep_everything(name: str, tmp_path: Path) -> None:
    found = expected(name)
    found.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), found)


MATRIX = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
WRONG: dict[str, Callable[[], Any]] = {
    "T missing": lambda: glass().drop_vars("temperature").bp.at_temperature("10 K"),
    "T in other units": lambda: glass().bp.at_temperature("10 meV"),
    "T below zero": lambda: glass().bp.to_bqe().bp.to_sqe("-1 K"),
    "u2 missing": lambda: glass().drop_vars("u2").bp.at_temperature(10, u2=0.01),
    "temperatures differ": lambda: glass().bp.like(coarse(), "1 meV"),
    "no reference": lambda: with_line().bp.subtract_elastic(),
    "reference on another grid": lambda: with_line().bp.subtract_elastic(
        with_line().isel(E=slice(1, None))
    ),
    "no elastic line": lambda: with_line().sel(E=slice(3, None)).bp.subtract_elastic(
        Q_range=(0, 1)
    ),
    "few Q": lambda: glass().bp.subtract_Q_independent(Q_range=(1, 1.6)),
    "Q in other units": lambda: glass().bp.subtract_Q_independent(Q_range=("1 meV", 5)),
    "S(Q) elsewhere": lambda: glass().bp.subtract_Q_independent(
        sq=xbp.models.hard_sphere_structure_factor(Q + 20).Sq
    ),
    "Debye energy of zero": lambda: dos().bp.excess_dos(0),
    "Debye energy in K/s": lambda: dos().bp.excess_dos("25 K/s"),
    "mass in meV": lambda: dos().bp.harmonic_thermodynamics([10.0], mass="50 meV"),
    "temperatures descend": lambda: dos().bp.harmonic_thermodynamics([20.0, 10.0]),
    "part of a band": lambda: (
        dos().isel(E=slice(0, 20)).bp.harmonic_thermodynamics([10.0])
    ),
    "per formula unit": lambda: (
        capacity().C.assign_attrs(amount="formula units").bp.debye_temperature()
    ),
    "film without thickness": lambda: film().bp.to_reduced_absorption(),
    "alpha with thickness": lambda: (
        film(units="1/cm").bp.to_reduced_absorption(thickness="20 um")
    ),
    "thickness in THz": lambda: film().bp.to_reduced_absorption(thickness="20 THz"),
    "no such coupling": lambda: film().bp.to_reduced_absorption(
        "cubic", thickness="20 um"
    ),
    "level above one": lambda: decay().bp.relaxation_time(level=2),
    "no beginning": lambda: decay().isel(time=slice(9, None)).bp.relaxation_time(),
    "matrix in other units": lambda: harmonic_vdos(
        matrix=MATRIX, masses=[40, 40], units="eV/angstrom"
    ),
    "matrix without masses": lambda: harmonic_vdos(matrix=MATRIX),
    "matrix of other atoms": lambda: harmonic_vdos(matrix=MATRIX, masses=[40] * 3),
    "matrix not symmetric": lambda: harmonic_vdos(
        matrix=np.triu(MATRIX), masses=[40, 40]
    ),
    "total of X-rays": lambda: (
        xbp.tutorial.open_dataset("kob_andersen_trajectory")
        .bp.dynamic_structure_factor(1, part="total", weights="xray")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_an_error_of_three_lines(name: str) -> None:
    with pytest.raises(XbpError) as refused:
        WRONG[name]()
    assert len(str(refused.value).splitlines()) <= 3
