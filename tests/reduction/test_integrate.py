"""S(Q) as ∫S(Q,E) dE, against forms whose integral is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.constants as const
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, TemperatureError

KT = const.k * 300 / const.e * 1e3
RECOIL = const.hbar**2 / (2 * const.atomic_mass) / const.e * 1e23 / 20  # meV Å², 20 u
Q = np.array([2.0, 4.0, 6.0])


def gas(E: np.ndarray, **options: object) -> xr.Dataset:
    """Ideal gas: ∫S dE = 1, and detailed balance holds exactly."""
    er = RECOIL * Q[:, None] ** 2
    S = np.exp(-((E - er) ** 2) / (4 * er * KT)) / np.sqrt(4 * np.pi * er * KT)
    given = {
        "units": "1/meV",
        "temperature": "300 K",
        "statistics": "quantum",
    } | options
    axes = {"Q": (Q, "1/angstrom"), "E": (E, "meV")}
    return xbp.new_dataset(
        "dynamic_structure_factor", S, std=0.1 * S, coords=axes, **given
    )  # type: ignore[arg-type]


def test_ideal_gas_over_both_signs() -> None:
    E = np.linspace(-120, 120, 1201)
    ds = gas(E).bp.integrate_E()
    np.testing.assert_allclose(ds.Sq, 1, rtol=1e-9)
    np.testing.assert_allclose(
        ds.Sq_std, np.sqrt(((0.1 * gas(E).S * 0.2) ** 2).sum("E")), rtol=1e-12
    )
    assert (ds.Sq.attrs["quantity"], ds.Sq.attrs["units"], ds.Sq.dims) == (
        "static_structure_factor",
        "1",
        ("Q",),
    )
    assert float(ds.temperature) == 300
    assert "E" not in ds.coords
    assert json.loads(ds.Sq.attrs["history"])["operation"] == "integrate_E"
    np.testing.assert_array_equal(gas(E).S.bp.integrate_E(), ds.Sq)


def test_energy_gain_is_added_by_detailed_balance() -> None:
    E = np.linspace(0, 120, 601)
    ds = gas(E).bp.integrate_E()
    np.testing.assert_allclose(
        ds.Sq, 1, rtol=2e-5
    )  # the bin at 0 counts once, or 0.02 too much
    # A bin on both sides is one datum: its errors add up, not their squares.
    factor = np.where(E > 0, 1 + np.exp(-E / KT), 1)
    np.testing.assert_allclose(
        ds.Sq_std, np.sqrt(((0.1 * gas(E).S * 0.2 * factor) ** 2).sum("E")), rtol=1e-9
    )
    cold = gas(E, temperature=None)
    with pytest.raises(TemperatureError):
        cold.bp.integrate_E()
    given = cold.bp.integrate_E(T="300 K")
    np.testing.assert_allclose(given.Sq, ds.Sq)
    assert float(given.temperature) == 300
    with pytest.raises(QuantityError, match="statistics"):
        gas(E, statistics=None).bp.integrate_E()
    # No energy gain is asked for, and no temperature needed.
    np.testing.assert_allclose(
        cold.bp.integrate_E((0.1, 120)).Sq, (cold.S[:, 1:] * 0.2).sum("E"), rtol=1e-6
    )


def test_classical_data_are_even() -> None:
    E = np.linspace(0, 40, 401)
    S = np.exp(-(E**2) / 50)[None] / np.sqrt(50 * np.pi) * Q[:, None]
    one = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/meV", statistics="classical",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip
    np.testing.assert_allclose(one.bp.integrate_E().Sq, Q, rtol=1e-10)
    thz = one.bp.convert(E="THz").bp.integrate_E()
    np.testing.assert_allclose(thz.Sq, Q, rtol=1e-10)
    assert thz.Sq.attrs["units"] == "1"


def test_folding_keeps_the_integral() -> None:
    E = np.linspace(-120, 120, 1201)
    np.testing.assert_allclose(gas(E).bp.fold().bp.integrate_E().Sq, 1, rtol=1e-5)


def test_uneven_bins_and_bins_cut_by_the_range() -> None:
    edges = np.array([0.0, 1.0, 3.0, 7.0])
    ds = xbp.new_dataset(
        "dynamic_structure_factor", np.tile([1.0, 2.0, 4.0], (2, 1)), units="1/meV", statistics="classical",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": (edges[:-1] / 2 + edges[1:] / 2, "meV")}, edges={"E": edges},
    )  # fmt: skip
    # Bounds begin at 0: every bin has a mirror image.
    np.testing.assert_allclose(ds.bp.integrate_E().Sq, 2 * (1 + 4 + 16))
    np.testing.assert_allclose(ds.bp.integrate_E((-2, 5)).Sq, (1 + 2) + (1 + 4 + 8))
    np.testing.assert_allclose(ds.bp.integrate_E(("0 meV", "5 meV")).Sq, 1 + 4 + 8)
    with pytest.raises(RangeError, match="beyond the data"):
        ds.bp.integrate_E((-8, 8))


def test_a_bin_that_is_not_measured_makes_nan_and_not_a_partial_sum() -> None:
    E = np.linspace(-100, 100, 1001)
    ds = gas(E)
    ds["S"] = ds.S.where((ds.Q > 3) | (ds.E < 50))
    whole = ds.bp.integrate_E()
    np.testing.assert_array_equal(whole.Sq.isnull(), [True, False, False])
    np.testing.assert_array_equal(whole.Sq_std.isnull(), [True, False, False])
    assert ds.bp.integrate_E(("-40 meV", "40 meV")).Sq.notnull().all()
    assert "-40 to 40 meV" in repr(ds.bp.integrate_E((-40, 40)).bp)
    with pytest.raises(RangeError, match="no bin of Q"):
        gas(E).bp.mask_elastic("1 meV").bp.integrate_E()
    with pytest.raises(RangeError, match=r"begin at E = 0\.9"):
        gas(np.linspace(1, 100, 496)).bp.integrate_E()


def test_arbitrary_scales_stay_so_and_cross_sections_are_refused() -> None:
    E = np.linspace(-120, 120, 1201)
    counts = gas(E, units="1").bp.integrate_E()
    assert counts.Sq.attrs["units"] == "1"
    assert "arbitrary" in repr(counts.bp)
    assert "arbitrary" not in repr(gas(E).bp.integrate_E().bp)
    with pytest.raises(QuantityError, match="pure number"):
        gas(E, units="barn/meV/sr").bp.integrate_E()
    with pytest.raises(RangeError, match="dimension 'Q'"):
        gas(E).bp.cut_Q((2, 6)).bp.integrate_E()


def test_further_dimensions_and_dask() -> None:
    E = np.linspace(0, 120, 601)
    both = xr.concat([gas(E), gas(E)], "temperature").assign_coords(
        temperature=("temperature", [300.0, 600.0], {"units": "K"})
    )
    there = both.bp.integrate_E()
    np.testing.assert_allclose(there.Sq.sel(temperature=300), 1, rtol=2e-5)
    assert (there.Sq.sel(temperature=600) > 1.02).all()
    lazy = both.chunk({"Q": 1}).bp.integrate_E()
    assert lazy.Sq.chunks is not None
    np.testing.assert_allclose(lazy.Sq.compute(), there.Sq.transpose(*lazy.Sq.dims))


def test_the_glass_has_its_own_sq_again(shared_data: Path) -> None:
    glass = xbp.open_dataset(shared_data / "md" / "zr46cu46al8_sqe.nc")
    ours = glass.bp.integrate_E()
    np.testing.assert_allclose(ours.Sq, glass.Sq, rtol=2e-3)
    with pytest.raises(
        AssertionError
    ):  # what stands in the file is not passed on for it
        np.testing.assert_array_equal(ours.Sq, glass.Sq)


@pytest.mark.parametrize(("name", "peak"), [("Rb_liq_tot", 1.5), ("Ge_liq_coh", 2.6)])
def test_liquids_have_their_first_maximum(
    shared_data: Path, name: str, peak: float
) -> None:
    data = xbp.open_dataset(shared_data / "sqw" / f"{name}.sqw")
    sq = data.bp.integrate_E().Sq
    assert float(sq.idxmax()) == pytest.approx(peak, abs=0.06)
    x = (
        data.E / (const.k / const.e * 1e3 * data.temperature)
        if name.startswith("Rb")
        else 0 * data.E
    )
    step = float(data.E[1])
    np.testing.assert_allclose(
        sq, (data.S * (1 + np.exp(-x)).where(data.E > 0, 1)).sum("E") * step, rtol=1e-5
    )


def test_what_is_doubtful_about_an_sq_is_recorded() -> None:
    """Q without a sum are counted; on a scale of 1/meV S(Q) tends to 1."""
    E, Q = np.linspace(-60, 60, 121), np.linspace(0.5, 6, 12)
    S = np.exp(-(E**2) / 50) / np.sqrt(50 * np.pi) * np.ones((12, 1))

    def codes(values: np.ndarray, units: str = "1/meV") -> list[str]:
        data = xbp.new_dataset(
            "dynamic_structure_factor", values, units=units, statistics="quantum",
            temperature="300 K", coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        )  # fmt: skip
        found = data.bp.integrate_E(("-50 meV", "50 meV")).bp.diagnostics()
        assert not found or found[0].code != "sq_incomplete" or "2 of 12" in str(found)
        return [one.code for one in found]

    assert codes(S) == []
    holes = S.copy()
    holes[:2, 20] = np.nan
    assert codes(holes) == ["sq_incomplete"]
    assert codes(3 * S) == ["sq_limit"]
    assert codes(3 * S, "1") == []


def test_the_bin_at_zero_is_folded_onto_itself() -> None:
    data = gas(np.arange(-20.0, 21.0))
    folded = data.bp.fold(reversed_below=0).sel(E=0)
    np.testing.assert_allclose(folded.S_std, data.S_std.sel(E=0), rtol=1e-12)
    np.testing.assert_allclose(folded.S, data.S.sel(E=0), rtol=1e-12)


def test_one_side_alone_needs_no_temperature() -> None:
    """Up to E = 0 or from there on, 1/meV is as many as the range is long in meV."""
    for E, limits in (
        (np.arange(0.5, 20), ("0 meV", "10 meV")),
        (np.arange(-19.5, 0), ("-10 meV", "0 meV")),
        (np.arange(-19.5, 0), None),
    ):
        S = xbp.new_dataset(
            "dynamic_structure_factor", np.ones((2, 20)), units="1/meV",
            statistics="quantum",
            coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": (E, "meV")},
        )  # fmt: skip
        Sq = S.bp.integrate_E(limits).Sq
        np.testing.assert_allclose(Sq, 10.0 if limits else 20.0, rtol=1e-12)
