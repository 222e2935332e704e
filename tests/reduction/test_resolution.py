"""Resolution curves, and what is broadened by them: Gaussians have exact answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    MissingDependencyError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)
from xbp.models.lineshapes import FWHM_PER_SIGMA

ARCS: dict[str, Any] = {
    "moderator_to_chopper": "11.6 m", "chopper_to_sample": "2 m", "sample_to_detector": "3 m",
    "moderator_time": "8 us", "chopper_time": "5 us", "path_spread": "2 cm",
}  # fmt: skip


def gaussian(E: np.ndarray, fwhm: float, centre: float = 0.0) -> np.ndarray:
    return scipy.stats.norm.pdf(E, centre, fwhm / FWHM_PER_SIGMA)


def spectrum(
    E: np.ndarray, values: np.ndarray, std: np.ndarray | None = None, units: str = "meV"
) -> xr.Dataset:
    return xbp.new_dataset(
        "dynamic_structure_factor", values[np.newaxis], std=None if std is None else std[np.newaxis],
        units=f"1/{units}", coords={"Q": ([2.0], "1/angstrom"), "E": (E, units)}, temperature="300 K",
        statistics="quantum",
    )  # fmt: skip


@pytest.mark.slow
@given(
    st.floats(0.3, 2.0), st.floats(0.3, 2.0), st.floats(-3, 3), st.sampled_from(["meV", "THz", "1/cm", "ueV"]),
    st.sampled_from(["fwhm", "sigma"]),
)  # fmt: skip
def test_a_gaussian_stays_one_in_any_units(
    first: float, second: float, centre: float, units: str, width: str
) -> None:
    E = np.arange(-20, 20.001, 0.05)
    line = spectrum(E, gaussian(E, first, centre)).S.bp.convert(E=units)
    given_width = second if width == "fwhm" else second / FWHM_PER_SIGMA
    broad = (
        line.bp.convolve(f"{given_width} meV", width=width)
        .bp.convert(E="meV")
        .isel(Q=0)
    )
    # Each bin holds the mean over it.
    sigma = np.hypot(first, second) / FWHM_PER_SIGMA
    want = (
        np.diff(
            scipy.stats.norm.cdf(np.append(E - 0.025, E[-1] + 0.025), centre, sigma)
        )
        / 0.05
    )
    known = broad.notnull()
    np.testing.assert_allclose(broad.values[known], want[known], atol=1e-6 * want.max())


@pytest.mark.slow
@given(st.integers(0, 10_000))
def test_the_integral_is_kept_on_any_bins_and_any_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(np.concatenate([[-30, 30], rng.uniform(-30, 30, 80)]))
    edges = edges[np.append(True, np.diff(edges) > 1e-3)]
    E = (edges[1:] + edges[:-1]) / 2
    values = np.where(abs(E) < 12, rng.uniform(0, 1, E.size), 0.0)
    data = spectrum(E, values)
    data = data.assign_coords(
        E_bnds=(("E", "bnds"), np.stack([edges[:-1], edges[1:]], -1))
    )
    data.E.attrs["bounds"] = "E_bnds"
    grid = np.linspace(-31, 31, 9)
    curve = xr.DataArray(
        rng.uniform(0.1, 2.0, 9),
        {"E": ("E", grid, {"units": "meV"})},
        attrs={"units": "meV"},
    )
    broad = data.bp.convolve(curve).S.isel(Q=0)
    widths = np.diff(edges)
    assert float((broad * widths).sum()) == pytest.approx(
        float((values * widths).sum()), rel=1e-12
    )


def test_each_energy_is_spread_by_its_own_width() -> None:
    E = np.arange(-20, 20.001, 0.05)
    values = np.zeros_like(E)
    values[[np.argmin(abs(E + 8)), np.argmin(abs(E - 8))]] = 20.0
    curve = xr.DataArray(
        [2.0, 0.5],
        {"E": ("E", [-20.0, 20.0], {"units": "meV"})},
        attrs={"units": "meV"},
    )
    broad = spectrum(E, values).S.bp.convolve(curve).isel(Q=0)
    for centre, fwhm in ((-8, 1.55), (8, 0.95)):
        part = broad.where(abs(broad.E - centre) < 6, drop=True)
        assert float(part.sum() * 0.05) == pytest.approx(1, abs=1e-9)
        spread = float((part * (part.E - centre) ** 2).sum() / part.sum())
        assert FWHM_PER_SIGMA * spread**0.5 == pytest.approx(fwhm, rel=2e-3)


def test_a_narrow_resolution_changes_nothing() -> None:
    E = np.arange(-10, 10.01, 0.5)
    data = spectrum(E, np.cos(E), np.full(E.size, 0.1))
    same = data.bp.convolve("1 ueV")
    np.testing.assert_allclose(same.S, data.S, rtol=1e-12)
    np.testing.assert_allclose(same.S_std, data.S_std, rtol=1e-12)


def test_errors_follow() -> None:
    rng = np.random.default_rng(5)
    E = np.arange(-8, 8.01, 0.4)
    std = rng.uniform(0.1, 0.3, E.size)
    many = (
        spectrum(E, np.ones(E.size))
        .isel(Q=[0] * 4000)
        .assign_coords(Q=("Q", np.arange(1, 4001.0)))
    )
    many.Q.attrs["units"] = "1/angstrom"
    many["S"] = many.S + rng.normal(0, std, many.S.shape)
    scatter = many.bp.convolve("1.2 meV").S.std("Q", skipna=False)
    said = spectrum(E, np.ones(E.size), std).bp.convolve("1.2 meV").S_std.isel(Q=0)
    np.testing.assert_allclose(scatter.dropna("E"), said.dropna("E"), rtol=0.06)


def test_what_would_come_from_the_unknown_is_unknown() -> None:
    E = np.arange(-10, 10.01, 0.5)
    values = np.ones(E.size)
    values[20] = np.nan
    broad = spectrum(E, values).S.bp.convolve("2 meV").isel(Q=0)
    reach = 3.1 * 2 / FWHM_PER_SIGMA
    far = (abs(broad.E) > reach + 0.5) & (abs(broad.E) < 10.25 - reach)
    assert broad.where(far, drop=True).notnull().all()
    np.testing.assert_allclose(broad.where(far, drop=True), 1, rtol=2e-3)
    near = (abs(broad.E) < 0.75 * reach) | (abs(broad.E) > 10.25 - 0.75 * reach)
    assert broad.where(near, drop=True).isnull().all()


def test_dask_equals_numpy_and_history_tells() -> None:
    pytest.importorskip("dask")
    E = np.arange(-10, 10.01, 0.5)
    data = spectrum(E, gaussian(E, 3.0), np.full(E.size, 0.01))
    lazy = data.chunk(E=7).bp.convolve("1.5 meV")
    assert lazy.S.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), data.bp.convolve("1.5 meV"))
    assert '"resolution": "FWHM 1.5 meV"' in lazy.S.attrs["history"]


def test_the_formula_is_the_spread_of_neutrons() -> None:
    """Neutrons of random start, chopper time and path, taken for those of the nominal instrument."""
    rng = np.random.default_rng(1)
    n, ei, E, l1, l2, l3 = 400_000, 80.0, 30.0, 11.6, 2.0, 3.0
    per_meV = np.sqrt(
        2 * 1e-3 * scipy.constants.e / scipy.constants.m_n
    )  # m/s of 1 meV, over √meV
    sigma = {
        "m": 8e-7 / FWHM_PER_SIGMA,
        "c": 5e-7 / FWHM_PER_SIGMA,
        "L": 2e-3 / FWHM_PER_SIGMA,
    }
    dm, dc, dl = (rng.normal(0, s, n) for s in sigma.values())
    t1 = l1 / (per_meV * np.sqrt(ei))
    true_vi = l1 / (t1 + dc - dm)
    true_vf = np.sqrt(true_vi**2 - per_meV**2 * E)
    arrival = t1 + dc + l2 / true_vi + (l3 + dl) / true_vf
    vf = l3 / (arrival - t1 - l2 / (per_meV * np.sqrt(ei)))
    seen = ei - (vf / per_meV) ** 2
    times = {
        "moderator_time": "0.8 us",
        "chopper_time": "0.5 us",
        "path_spread": "2 mm",
    }
    fwhm = xbp.direct_geometry_resolution([E], ei, **(ARCS | times))
    assert FWHM_PER_SIGMA * seen.std() == pytest.approx(float(fwhm[0]), rel=0.01)


def test_curves_come_in_the_units_of_their_energies() -> None:
    mev = xbp.direct_geometry_resolution(np.array([0.0, 40.0]), "80 meV", **ARCS)
    E = xr.DataArray([0.0, 40.0 / 4.135667696], dims="E", attrs={"units": "THz"})
    thz = xbp.direct_geometry_resolution(E, "80 meV", **ARCS)
    np.testing.assert_allclose(thz * 4.135667696, mev, rtol=1e-9)
    assert thz.attrs["units"] == "THz"
    assert float(mev[1]) < float(mev[0])


def test_an_instrument_of_resins() -> None:
    pytest.importorskip("resins")
    curve = xbp.instrument_resolution(
        [0.0, 30.0, 60.0], "ARCS", e_init=120, chopper_frequency=600
    )
    assert (np.diff(curve) < 0).all()
    assert 1 < float(curve[0]) < 8
    with pytest.raises(QuantityError, match="no resolution for 'NOWHERE'"):
        xbp.instrument_resolution([0.0], "NOWHERE")
    with pytest.raises(QuantityError, match="no resolution for 'ARCS' with e_init=-5"):
        xbp.instrument_resolution([0.0], "ARCS", e_init=-5)


def test_without_resins_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resins", None)
    with pytest.raises(MissingDependencyError, match=r"xarray-bosonpeak\[resolution\]"):
        xbp.instrument_resolution([0.0], "ARCS")


E_ = np.arange(-5, 5.1, 0.5)
CURVE = {"E": ("E", [-6.0, 6.0], {"units": "meV"})}


@pytest.mark.parametrize(
    ("resolution", "kind", "says"),
    [
        ("0 meV", RangeError, "must be positive"),
        ("-1 meV", RangeError, "must be positive"),
        ("nan meV", UnitsError, "finite"),
        ("1 K", UnitsError, "resolution"),
        (xr.DataArray([1.0, 1.0], CURVE), UnitsError, "no units"),
        (xr.DataArray([1.0, -1.0], CURVE, attrs={"units": "meV"}), RangeError, "must be positive"),
        (
            xr.DataArray([1.0, 1.0], {"E": ("E", [-2.0, 2.0], {"units": "meV"})}, attrs={"units": "meV"}),
            RangeError, "known from -2 to 2 meV",
        ),
        (
            xr.DataArray([1.0, 1.0], {"E": ("E", [6.0, -6.0], {"units": "meV"})}, attrs={"units": "meV"}),
            CoordinateError, "not ascending",
        ),
        (xr.DataArray([1.0, 1.0], dims="Q", attrs={"units": "meV"}), QuantityError, "a curve over E"),
        (xr.DataArray([1.0, 1.0], dims="E", attrs={"units": "meV"}), QuantityError, "a curve over E"),
    ],
)  # fmt: skip
def test_a_resolution_that_cannot_be_used_is_refused(
    resolution: Any, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        spectrum(E_, gaussian(E_, 1.0)).bp.convolve(resolution)


def test_what_cannot_be_broadened_is_refused() -> None:
    data = spectrum(E_, gaussian(E_, 1.0))
    with pytest.raises(RangeError, match="dimension 'E'"):
        data.bp.cut_E(0.0, 1.0).bp.convolve("1 meV")
    with pytest.raises(QuantityError, match="width='hwhm'"):
        data.bp.convolve("1 meV", width="hwhm")
    with pytest.raises(QuantityError, match="curve is a FWHM"):
        data.bp.convolve(xbp.direct_geometry_resolution(E_, 80, **ARCS), width="sigma")
    with pytest.raises(RangeError, match="below 80"):
        xbp.direct_geometry_resolution([90.0], 80, **ARCS)
    with pytest.raises(RangeError, match="chopper_to_sample"):
        xbp.direct_geometry_resolution(
            [0.0], 80, **(ARCS | {"chopper_to_sample": "-1 m"})
        )
    with pytest.raises(CoordinateError, match=r"E=\['abc'\]"):
        xbp.direct_geometry_resolution(["abc"], 80, **ARCS)
    with pytest.raises(CoordinateError, match="ascending"):
        xbp.direct_geometry_resolution([3.0, 1.0], 80, **ARCS)


def test_a_direct_resolution_is_not_for_indirect_data() -> None:
    """A spectrometer of fixed final energy has another resolution."""
    curve = xbp.direct_geometry_resolution(E_, 80, **ARCS)
    assert curve.attrs["geometry"] == "direct"
    direct, indirect = (spectrum(E_, gaussian(E_, 1.0)) for _ in range(2))
    for data, geometry in ((direct, "direct"), (indirect, "indirect")):
        data.S.attrs["geometry"] = geometry
    direct.bp.convolve(curve)
    with pytest.raises(QuantityError, match=r"geometry 'direct'.*'indirect'"):
        indirect.bp.convolve(curve)
    energies = indirect.E.assign_coords(final_energy=((), 1.845, {"units": "meV"}))
    with pytest.raises(QuantityError, match="indirect geometry"):
        xbp.direct_geometry_resolution(energies, 80, **ARCS)


@pytest.mark.parametrize("tail", [None, "abc", float("nan"), 1e308, -1, 10**400, [0.1]])
def test_a_tail_that_is_no_fraction_is_refused(tail: Any) -> None:
    with pytest.raises(XbpError, match="tail"):
        spectrum(E_, gaussian(E_, 1.0)).bp.convolve("1 meV", tail=tail)


@pytest.mark.parametrize("width", [None, 2, ["fwhm"], np.array(["fwhm", "sigma"])])
def test_a_width_that_is_no_choice_is_refused(width: Any) -> None:
    with pytest.raises(QuantityError, match="width"):
        spectrum(E_, gaussian(E_, 1.0)).bp.convolve("1 meV", width=width)


@pytest.mark.parametrize("distance", [None, "abc", np.nan, 10**400, [1.0, 2.0]])
def test_distances_that_are_no_numbers_are_refused(distance: Any) -> None:
    with pytest.raises(XbpError, match="chopper_to_sample"):
        xbp.direct_geometry_resolution(
            [0.0], 80, **(ARCS | {"chopper_to_sample": distance})
        )


def test_the_incident_energy_in_any_unit() -> None:
    E = np.array([0.0, 40.0])
    mev = xbp.direct_geometry_resolution(E, "80 meV", **ARCS)
    thz = xbp.direct_geometry_resolution(E, f"{80 / 4.135667696} THz", **ARCS)
    np.testing.assert_allclose(thz, mev, rtol=1e-9)


def test_uneven_bins_broadened_have_the_error_of_their_sum() -> None:
    """What is measured stays in the sum, and so does its error."""
    edges = np.cumsum([-20.0, *np.resize([0.5, 1.0, 0.25, 1.5], 50)])
    E, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    std = np.where(np.abs(E) < 5, 0.3, 1e-6)
    data = xbp.new_dataset(
        "dynamic_structure_factor", np.ones(E.size), std=std, units="1/meV",
        coords={"E": (E, "meV")}, edges={"E": edges}, statistics="classical",
    )  # fmt: skip
    found = data.bp.convolve("1.3 meV").bp.cut_E((-10, 10))
    whole = np.sqrt(((std * width)[np.abs(E) < 6] ** 2).sum()) / 20
    assert float(found.S_std) == pytest.approx(whole, rel=1e-3)
