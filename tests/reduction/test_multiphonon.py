"""Phonons by the number: the expansion against closed forms."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.constants as const
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import iv

import xbp
from xbp.core import constants
from xbp.errors import (
    MissingDependencyError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
    XbpError,
)
from xbp.models.multiphonon import Modes

RECOIL = const.hbar**2 / (2 * const.atomic_mass) / const.e * 1e23  # ħ²/2u, meV Å²


def dos(E: np.ndarray, g: np.ndarray, T: str = "300 K", units: str = "1") -> xr.Dataset:
    return xbp.new_dataset(
        "vibrational_dos", g, units=units, coords={"E": (E, "meV")}, temperature=T
    )


@pytest.fixture
def debye() -> xr.Dataset:
    E = np.arange(0.5, 30.25, 0.5)
    return dos(E, E**2)


@pytest.fixture
def vanadium_dos(shared_data: Path) -> xr.Dataset:
    table = xr.open_dataset(
        shared_data / "ins" / "V-dos.dat", engine="columns",
        quantity="vibrational_dos", units="1", coordinate="E", coordinate_units="THz",
    )  # fmt: skip
    return table.bp.convert(E="meV").assign_coords(
        temperature=((), 300.0, {"units": "K"})
    )


@pytest.mark.parametrize("T", [5.0, 100.0, 900.0])
def test_einstein_oscillator_is_a_series_of_bessel_functions(T: float) -> None:
    """S = e^(−λ coth(x/2)) Σ_m I_m(λ/sinh(x/2)) e^(mx/2) δ(E − mE₀), λ = ħ²Q²/2ME₀."""
    E = np.arange(1.0, 21.0)
    Q, at, mass = np.array([1.0, 4.0, 9.0]), 10.0, 20.0
    S = dos(E, (at == E) * 1.0, T=f"{T} K").bp.multiphonon_sqe(
        Q, np.arange(-60.0, 101.0), mass=f"{mass} u", area=1, tolerance=1e-15
    )
    x, strength = at / (constants.BOLTZMANN_MEV * T), RECOIL / mass * Q**2 / at
    for m in range(-4, 11):
        exact = np.exp(-strength / np.tanh(x / 2) + m * x / 2) * iv(
            m, strength / np.sinh(x / 2)
        )
        np.testing.assert_allclose(S.S.sel(E=m * at), exact, rtol=1e-9, atol=1e-15)
    assert float(S.S.sel(E=5.0).max()) < 1e-15
    np.testing.assert_allclose(S.u2, RECOIL / mass / at / np.tanh(x / 2), rtol=1e-12)


def test_orders_sum_to_the_closed_exponential(debye: xr.Dataset) -> None:
    """Σ_n e^(−2W)(2W)ⁿ/n! Aₙ is, transformed to time, exp[2W(Â₁(t) − 1)]."""
    E = np.arange(-2048, 2048) * 0.5
    one = debye.bp.multiphonon_sqe(
        [3.0], E, composition="V", area=1, part="one", orders=1
    )
    two_w = float(one.u2) * 9
    A_1 = one.S.values[0] * 0.5 / (two_w * np.exp(-two_w))
    closed = np.fft.ifft(np.exp(two_w * (np.fft.fft(np.fft.ifftshift(A_1)) - 1))).real
    S = debye.bp.multiphonon_sqe([3.0], E, composition="V", area=1, tolerance=1e-15)
    np.testing.assert_allclose(S.S[0] * 0.5, np.fft.fftshift(closed), atol=1e-14)


def test_sum_rules_and_detailed_balance(debye: xr.Dataset) -> None:
    E, Q = np.arange(-300, 300.25, 0.5), np.array([0.0, 2.0, 6.0, 12.0])
    S = debye.bp.multiphonon_sqe(Q, E, mass="50.94 u", area=1, tolerance=1e-12).S
    np.testing.assert_allclose(S.sum("E") * 0.5, 1, atol=1e-10)
    np.testing.assert_allclose(
        (S * S.E).sum("E") * 0.5, RECOIL * Q**2 / 50.94, rtol=1e-8, atol=1e-10
    )
    gain = S.sel(E=slice(-60, -0.5)).values[:, ::-1]
    loss = S.sel(E=slice(0.5, 60))
    np.testing.assert_allclose(
        gain, loss * np.exp(-loss.E / constants.BOLTZMANN_MEV / 300), rtol=1e-9
    )


def test_gaussian_at_high_momentum_transfer(debye: xr.Dataset) -> None:
    """A free atom's recoil line: centre ħ²Q²/2M, variance 2·centre·⟨kinetic energy⟩·2/3."""
    E = np.arange(-400, 900.25, 0.5)
    S = debye.bp.multiphonon_sqe([60.0], E, mass="50.94 u", area=1).S[0] * 0.5
    recoil = RECOIL * 3600 / 50.94
    g = debye.g / debye.g.sum()
    mean_energy = float(
        (g * g.E / np.tanh(g.E / (2 * constants.BOLTZMANN_MEV * 300))).sum()
    )  # ∫g E coth(E/2kT), twice 2/3 of ⟨K⟩
    centre = float((S * S.E).sum())
    assert centre == pytest.approx(recoil, rel=1e-5)
    assert float((S * (S.E - centre) ** 2).sum()) == pytest.approx(
        recoil * mean_energy, rel=1e-3
    )
    gaussian = np.exp(-((S.E - recoil) ** 2) / (2 * recoil * mean_energy)) / np.sqrt(
        2 * np.pi * recoil * mean_energy
    )
    assert float(abs(S / 0.5 - gaussian).max() / gaussian.max()) < 0.03


def test_parts_add_up_and_orders_are_told(debye: xr.Dataset) -> None:
    Q = [2.0, 8.0]
    whole = debye.bp.multiphonon_sqe(Q, composition="V", area=1)
    parts = [
        debye.bp.multiphonon_sqe(Q, composition="V", area=1, part=p)
        for p in ("elastic", "one", "many")
    ]
    np.testing.assert_allclose(sum(p.S for p in parts), whole.S, rtol=1e-12)
    assert float((parts[0].S.sum("E") * 0.5)[1]) == pytest.approx(
        np.exp(-64 * float(whole.u2))
    )
    assert whole.S.attrs["orders"] == 6
    assert (
        debye.bp.multiphonon_sqe(Q, composition="V", area=1, orders=2).S.attrs["orders"]
        == 2
    )
    finer = debye.bp.multiphonon_sqe(
        Q, composition="V", area=1, tolerance=1e-12
    ).S.attrs["orders"]
    assert finer > 6


def test_five_orders_of_vanadium_match_the_closed_series(
    vanadium_dos: xr.Dataset,
) -> None:
    Q = np.arange(0.5, 8.0, 0.5)
    E = vanadium_dos.E.values[1] * np.arange(-4096, 4096)
    one = vanadium_dos.bp.multiphonon_sqe(Q, E, composition="V", part="one", orders=1)
    step = E[1] - E[0]
    two_w = Q**2 * float(one.u2)
    A_1 = np.fft.fft(
        np.fft.ifftshift(one.S.values[-1] * step / (two_w[-1] * np.exp(-two_w[-1])))
    )
    closed = np.fft.fftshift(np.fft.ifft(np.exp(np.outer(two_w, A_1 - 1))).real, axes=1)
    five = vanadium_dos.bp.multiphonon_sqe(Q, E, composition="V", orders=5).S * step
    # What five orders leave out is Poisson's tail.
    left_out = 1 - five.sum("E").values
    assert np.abs(closed - five).sum("E").values == pytest.approx(
        left_out, rel=1e-6, abs=1e-12
    )
    assert left_out.max() < 1e-5
    # The file's noise below 1 meV counts: without it 0.00663; 0.00659 is quoted for it.
    assert float(one.u2) == pytest.approx(0.00659, rel=0.015)


@pytest.mark.slow
@given(
    unit=st.sampled_from(["meV", "THz", "1/cm", "eV"]),
    q_unit=st.sampled_from(["1/angstrom", "1/nm"]),
    T=st.floats(2, 2000),
    mass=st.floats(1, 250),
)
def test_units_do_not_matter(unit: str, q_unit: str, T: float, mass: float) -> None:
    E = np.arange(1.0, 21.0)
    g = dos(E, E**2 * np.exp(-E / 4), T=f"{T} K")
    Q = xr.DataArray([1.0, 2.0], dims="Q", attrs={"units": "1/angstrom"})
    other = (Q * {"1/angstrom": 1, "1/nm": 10}[q_unit]).assign_attrs(units=q_unit)
    axis = np.arange(-20.0, 41.0)
    here = g.bp.multiphonon_sqe(Q, axis, mass=mass, area=1)
    energies = xr.DataArray(axis, dims="E", attrs={"units": "meV"})
    there = g.bp.convert(E=unit).bp.multiphonon_sqe(
        other, energies, mass=f"{mass} u", area=1
    )
    np.testing.assert_allclose(there.S, here.S, rtol=1e-7, atol=1e-14)
    assert float(there.u2) == pytest.approx(float(here.u2), rel=1e-9)


def test_scale_and_gaps_and_what_lies_below(debye: xr.Dataset) -> None:
    Q, E = [4.0], np.arange(-40, 60.5, 0.5)
    whole = debye.bp.multiphonon_sqe(Q, E, composition="V", area=1)
    np.testing.assert_allclose(
        debye.bp.scale(7).bp.multiphonon_sqe(Q, E, composition="V", area=1).S,
        whole.S,
        rtol=1e-12,
    )
    masked = debye.where(debye.E > 5)
    extended = masked.bp.multiphonon_sqe(Q, E, composition="V", area=1)
    np.testing.assert_allclose(
        extended.S, whole.S, rtol=1e-9, atol=1e-15
    )  # the law of E² is exact here
    without = masked.bp.multiphonon_sqe(
        Q, E, composition="V", area=1, below="nothing", part="one"
    )
    assert float(without.S.sel(E=slice(-4.9, 4.9)).max()) == 0
    assert float(without.u2) < 0.9 * float(whole.u2)


def test_u2_may_be_given_in_place_of_a_mass(debye: xr.Dataset) -> None:
    by_mass = debye.bp.multiphonon_sqe([4.0], composition="V", area=1)
    by_u2 = debye.bp.multiphonon_sqe([4.0], u2=by_mass.u2, area=1)
    np.testing.assert_allclose(by_u2.S, by_mass.S, rtol=1e-9)
    carried = debye.assign_coords(u2=by_mass.u2).bp.multiphonon_sqe([4.0], area=1)
    np.testing.assert_allclose(carried.S, by_mass.S, rtol=1e-9)


def test_further_dimensions_and_dask(debye: xr.Dataset) -> None:
    hot = debye.assign_coords(temperature=((), 600.0, {"units": "K"}))
    two = xr.concat([debye, hot], dim="temperature")
    S = two.bp.multiphonon_sqe([4.0, 5.0], composition="V", area=1)
    assert S.S.dims == ("temperature", "Q", "E")
    np.testing.assert_allclose(
        S.S[1],
        hot.bp.multiphonon_sqe([4.0, 5.0], S.E, composition="V", area=1).S,
        rtol=1e-9,
        atol=1e-12,
    )
    assert S.u2.dims == ("temperature",)
    lazy = two.chunk({"temperature": 1}).bp.multiphonon_sqe([4.0, 5.0], composition="V")
    assert lazy.S.chunks is not None
    np.testing.assert_array_equal(lazy.S.compute(), S.S)
    assert isinstance(
        debye.g.bp.multiphonon_sqe([4.0], composition="V", area=1), xr.DataArray
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, QuantityError),
        ({"mass": 1, "composition": "V"}, QuantityError),
        ({"mass": 1, "u2": 0.01}, QuantityError),
        ({"mass": 0}, QuantityError),
        ({"mass": "5 meV"}, UnitsError),
        ({"composition": "Xx2"}, QuantityError),
        ({"composition": "zr46"}, QuantityError),
        ({"composition": ""}, QuantityError),
        ({"composition": {"Zr": -1}}, QuantityError),
        ({"composition": "V", "Q": [-1.0]}, RangeError),
        ({"composition": "V", "Q": [2.0, 1.0]}, RangeError),
        ({"composition": "V", "Q": []}, RangeError),
        ({"composition": "V", "Q": "x"}, XbpError),
        ({"composition": "V", "E": [1.0, np.nan]}, RangeError),
        ({"composition": "V", "E": [1.0]}, XbpError),
        ({"composition": "V", "orders": 0}, RangeError),
        ({"composition": "V", "orders": 2.5}, RangeError),
        ({"composition": "V", "tolerance": 0}, RangeError),
        ({"composition": "V", "below": "x"}, QuantityError),
        ({"composition": "V", "part": "x"}, QuantityError),
        ({"mass": "1 u", "Q": [500.0]}, RangeError),
    ],
    ids=str,
)
def test_refusals(debye: xr.Dataset, arguments: dict[str, object], error: type) -> None:
    with pytest.raises(error):
        debye.bp.multiphonon_sqe(**({"Q": [1.0], "area": 1} | arguments))


def test_data_that_are_no_dos(debye: xr.Dataset, glass: xr.Dataset) -> None:
    with pytest.raises(TemperatureError):
        debye.drop_vars("temperature").bp.multiphonon_sqe([1.0], composition="V")
    with pytest.raises(QuantityError, match="area of g"):
        (debye * np.nan).assign(
            g=(debye.g * np.nan).assign_attrs(debye.g.attrs)
        ).bp.multiphonon_sqe([1.0], mass=50)
    with pytest.raises(XbpError, match="positive E"):
        debye.assign_coords(
            E=(debye.E - 100).assign_attrs(debye.E.attrs)
        ).bp.multiphonon_sqe([1.0], mass=50)
    with pytest.raises(QuantityError):
        glass[["S"]].bp.multiphonon_sqe([1.0], mass=50)
    with pytest.raises(XbpError, match="dimension 'E'"):
        debye.isel(E=3).bp.multiphonon_sqe([1.0], mass=50)


def test_effective_mass() -> None:
    assert float(xbp.effective_mass("V")) == pytest.approx(50.9415)
    np.testing.assert_allclose(
        xbp.effective_mass("Zr46Cu46Al8"),
        xbp.effective_mass({"Al": 4, "Zr": 23, "Cu": 23}),
    )
    # σ_H outweighs σ_O by twenty: a phonon of water is one of hydrogen.
    assert 1 < float(xbp.effective_mass("H2O")) < 1.06
    assert float(xbp.effective_mass("D2O")) > 2
    assert xbp.effective_mass("V").attrs["units"] == "u"


def test_without_the_table_of_elements_a_mass_does(
    debye: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "periodictable", None)
    with pytest.raises(
        MissingDependencyError, match=r"xarray-bosonpeak\[neutron\]"
    ) as caught:
        debye.bp.multiphonon_sqe([2.0], composition="Al")
    assert "mass= for composition=" in caught.value.fix
    assert float(debye.bp.multiphonon_sqe([2.0], mass="26.98 u", area=1).u2) > 0


def test_all_modes_are_needed() -> None:
    """2W and the multiphonons are of all modes: an area that is not known, or a part of the modes, is refused."""
    E = np.arange(0.5, 40)
    shape = E**2 * np.exp(-((E / 20) ** 4))
    unit = dos(E, shape / shape.sum(), units="1/meV")
    Q, options = [2.0, 5.0], {"mass": "50 u"}
    expected = unit.bp.multiphonon_sqe(Q, **options)
    for area, said in ((3.0, {}), (6.0, {"n_atoms": 2}), (0.4, {"area": 1})):
        other = dos(E, area * shape / shape.sum(), units="1/meV")
        np.testing.assert_allclose(
            other.bp.multiphonon_sqe(Q, **options, **said).S, expected.S
        )
        if said:
            with pytest.raises(QuantityError, match=f"area of 'g' is {area:g}"):
                other.bp.multiphonon_sqe(Q, **options)
    assert not {"area", "area_of"} & set(expected.S.attrs)
    stated = unit.copy()
    stated.g.attrs |= {"area": 1.0, "area_of": "weighted modes"}
    np.testing.assert_allclose(stated.bp.multiphonon_sqe(Q, **options).S, expected.S)
    with pytest.raises(QuantityError, match="of its modes"):
        stated.sel(E=slice(0, 12)).bp.multiphonon_sqe(Q, **options)
    stated.g.attrs["area"] = "unknown"
    with pytest.raises(QuantityError, match="unknown"):
        stated.bp.multiphonon_sqe(Q, **options)


def test_energies_that_are_no_multiples_of_their_distance() -> None:
    """The even grid has half of it: it meets every number at one of its points."""
    E = np.arange(0.5, 30)
    modes = Modes.of(E, E**2, 25.0, below="debye")
    assert modes.step == 0.5
    grid = 0.5 * np.arange(modes.density.size)
    np.testing.assert_allclose(modes.density[1::2] * modes.area, E**2)
    assert grid[-1] == 29.5


@pytest.mark.parametrize("given", [[1.0, 1.0, 2.0], [1.0, 0.5, 2.0], [2.0, 1.0]])
def test_momenta_that_do_not_ascend_are_refused(
    debye: xr.Dataset, given: list[float]
) -> None:
    with pytest.raises(RangeError, match="ascending"):
        debye.bp.multiphonon_sqe(given, mass="50 u", area=1)
