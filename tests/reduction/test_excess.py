"""The excess over Debye's g(E): exact, on points and on bins, with the error of E_D."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, UnitsError

E = np.arange(0.25, 30, 0.5)
EXTRA = 0.1 * np.exp(-((E - 7) ** 2) / 8) / np.sqrt(8 * np.pi)


def dos(*, bins: bool = False, area: float = 1.0) -> xr.Dataset:
    low, high = E - 0.25, E + 0.25
    debye = 3 * E**2 / 25**3 * (E <= 25)
    if bins:
        debye = (np.minimum(high, 25) ** 3 - np.minimum(low, 25) ** 3) / 25**3 / 0.5
    g = area * (0.9 * debye + EXTRA)
    edges = {"edges": {"E": np.append(low, high[-1])}} if bins else {}
    return xbp.new_dataset(
        "vibrational_dos", g, units="1/meV", coords={"E": (E, "meV")}, std=0.01 * g,
        **edges,
    )  # fmt: skip


@pytest.mark.parametrize("area", [1.0, 3.0])
@pytest.mark.parametrize("bins", [False, True])
def test_what_is_left_over_debye(bins: bool, area: float) -> None:
    # 0.9 of all modes in Debye's law: E_D³ is larger by 1/0.9.
    high = 25 / 0.9 ** (1 / 3)
    found = dos(bins=bins, area=area).bp.excess_dos(high)
    inside = E < 24
    np.testing.assert_allclose(found.g_excess[inside], area * EXTRA[inside], atol=1e-12)
    assert found.g_excess.attrs["quantity"] == "excess_dos"


def test_dividing_by_the_square_moves_the_maximum() -> None:
    g = dos(bins=True)
    excess = g.bp.excess_dos("25.9 meV", "0.2 meV")
    own, reduced = (
        float(curve.bp.boson_peak(method="quadratic").energy)
        for curve in (excess, g.bp.to_bqe())
    )
    assert own == pytest.approx(7, abs=0.1)
    # Of a Gaussian of mean 7 and σ 2 over E², [7 + √(49 − 32)]/2.
    assert reduced == pytest.approx(5.56, abs=0.15)


@pytest.mark.slow
def test_an_error_of_the_debye_energy_is_common() -> None:
    g = dos(bins=True)
    found = g.bp.excess_dos("26 meV", "0.1 meV")
    step = g.bp.excess_dos("26.1 meV").g_excess - g.bp.excess_dos("26 meV").g_excess
    inside = E < 25
    np.testing.assert_allclose(
        found.g_excess_std_common[0][inside], step[inside], rtol=0.01
    )
    other = g.bp.convert(E="THz").bp.excess_dos("26 meV").bp.convert(E="meV")
    np.testing.assert_allclose(other.g_excess, found.g_excess, rtol=1e-9, atol=1e-15)
    lazy = g.chunk().bp.excess_dos("26 meV", "0.1 meV")
    assert lazy.g_excess.chunks is not None
    xr.testing.assert_allclose(lazy.compute().g_excess, found.g_excess)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(QuantityError, match="area"):
        dos(area=1.7).bp.excess_dos("25 meV")
    with pytest.raises(UnitsError):
        dos().bp.excess_dos("25 K/s")


def test_the_unit_of_g_does_not_matter() -> None:
    E = np.linspace(0.25, 25, 100)
    g = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D="25 meV")
    per_eV = (1e3 * g.g).assign_attrs(g.g.attrs | {"units": "1/eV"})
    other = g.assign(g=per_eV)
    for one, unit in ((g, 1.0), (other, 1e3)):
        found = one.bp.excess_dos("20 meV", n_atoms=1 / 3).g_excess
        np.testing.assert_allclose(
            found.sel(E=slice(0, 19)) / unit,
            3 * E[E <= 19] ** 2 * (1 / 25**3 - 1 / 20**3), rtol=1e-6,
        )  # fmt: skip
