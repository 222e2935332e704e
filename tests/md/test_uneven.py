"""Frames that are not equally spaced: displacements at the lags there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError
from xbp.md import models
from xbp.md.trajectory import read_trajectory
from xbp.md.uneven import uneven_scattering
from xbp.md.wavevectors import allowed_wavevectors

from .conftest import walk

EVEN = walk(40, 12, cell=np.diag([9.0, 10, 11]))
LOG = [0, 1, 2, 4, 8, 16, 32]


def test_log_spaced_frames_have_the_displacements_of_their_pairs() -> None:
    log = EVEN.isel(time=LOG)
    found = log.bp.msd()
    r = log.position.values
    lags = np.array(LOG)[:, None] - np.array(LOG)
    unique = np.unique(lags[lags >= 0])
    np.testing.assert_allclose(found.time, 0.05 * unique, atol=1e-12)
    for lag, value, n in zip(
        unique, found.msd.values, found.n_pairs.values, strict=True
    ):
        j, i = np.nonzero(lags == lag)
        exact = ((r[j] - r[i]) ** 2).sum(axis=-1).mean()
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-12)
        assert n == i.size
    by_element = log.bp.msd(partials=True)
    total = (by_element.msd * by_element.weight).sum("element")
    np.testing.assert_allclose(total, found.msd, atol=1e-12)
    short = log.bp.msd(time_max="0.2 ps")
    np.testing.assert_allclose(short.msd, found.msd[: short.sizes["time"]])
    assert float(short.time[-1]) == pytest.approx(0.2)
    assert float(found.temperature) == 300
    with pytest.raises(QuantityError, match="window='1 ps' is not used"):
        log.bp.msd(window="1 ps")
    with pytest.raises(RangeError, match="no two frames"):
        log.bp.msd(time_max="0.01 ps")
    with pytest.raises(CoordinateError, match="not equally spaced"):
        log.bp.vdos()


def correlation(traj: xr.Dataset, w: np.ndarray, pairs: Any, own: bool) -> np.ndarray:
    """Σ w_j w_k cos Q·(r_j(t+τ) − r_k(t)) of pairs of frames, by the definition."""
    shells = allowed_wavevectors(traj.cell.values, 3.0, 1.0)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(traj.cell.values).T)
    r = traj.position.values - traj.position.values.mean(axis=1, keepdims=True)
    phase = np.exp(1j * r @ Q.T)
    each = [
        (w[:, None] ** 2 * phase[j] * phase[i].conj()).sum(axis=0).real if own
        else ((w @ phase[j]) * (w @ phase[i]).conj()).real
        for j, i in pairs
    ]  # fmt: skip
    mean = np.mean(each, axis=0)
    return np.array([mean[shells.shell == s].mean() for s in range(shells.Q.size)])


@pytest.mark.slow
def test_log_spaced_frames_have_the_correlations_of_their_pairs(tmp_path: Path) -> None:
    log = EVEN.isel(time=LOG).drop_vars("mass")  # the centre counts all atoms equally
    log = log.assign_coords(element=("atom", ["V", "Cu"] * 6))
    lags = np.array(LOG)[:, None] - np.array(LOG)
    unique = np.unique(lags[lags >= 0])
    options = {"Q_max": 3, "dQ": 1, "precision": "double"}
    F = {
        part: log.bp.intermediate_scattering_function(**options, part=part, weights=kind)
        for part, kind in (("coherent", "unit"), ("incoherent", "unit"), ("total", "neutron"))
    }  # fmt: skip
    w = np.ones(12)
    for part in ("coherent", "incoherent"):
        np.testing.assert_allclose(F[part].time, 0.05 * unique, atol=1e-12)
        for n, lag in enumerate(unique):
            pairs = np.argwhere(lags == lag)
            exact = correlation(log, w, pairs, part == "incoherent") / 12
            np.testing.assert_allclose(F[part].F[:, n], exact, rtol=1e-6, atol=1e-9)
            assert int(F[part].n_pairs[n]) == len(pairs)
    parts = log.bp.intermediate_scattering_function(**options, partials=True)
    whole = log.bp.intermediate_scattering_function(**options)
    added = (parts.F * parts.weight).sum("pair")
    np.testing.assert_allclose(added, whole.F, rtol=1e-9, atol=1e-12)
    found = F["incoherent"]
    found.bp.to_netcdf(tmp_path / "F.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "F.nc"), found)
    short = log.chunk(time=3).bp.intermediate_scattering_function(
        **options, part="incoherent", weights="unit", time_max="200 fs"
    )
    np.testing.assert_allclose(short.F, found.F[:, : short.sizes["time"]], rtol=1e-9)
    assert found.bp.relaxation_time().tau.dims == ("Q",)
    assert "no errors" in str(found.bp.diagnostics())
    for name, value in (
        ("window", "1 ps"),
        ("resolution", "1 meV"),
        ("origin_step", 2),
    ):
        with pytest.raises(QuantityError, match=f"{name}=.* is not used"):
            log.bp.intermediate_scattering_function(**options, **{name: value})


def test_a_way_that_is_not_known_is_told() -> None:
    gas = models.ideal_gas(30, 40, cell=4, T=3000, mass=4, time_step=0.05, rng=1)
    F = gas.isel(time=[0, 1, 2, 38]).bp.intermediate_scattering_function(
        3, 1, weights="unit"
    )
    assert "drift was not removed" in str(F.bp.diagnostics())


def test_even_lags_of_all_frames_are_those_of_the_uneven_way() -> None:
    """The total of neutrons too, of one window without bias."""
    even = EVEN.isel(time=slice(0, 24)).assign_coords(element=("atom", ["V", "Cu"] * 6))
    trajectory = read_trajectory(even)
    given = {
        "Q_max": 3, "dQ": 1, "time_max": "0.5 ps", "window": None, "resolution": None,
        "weights": "neutron", "b": None, "part": "total", "partials": True, "T": None,
        "normalization": "ashcroft-langreth", "max_wavevectors_per_shell": None,
        "origin_step": None, "precision": "double", "progress": False,
    }  # fmt: skip
    found = uneven_scattering(trajectory, given)
    options = {k: v for k, v in given.items() if v is not None}
    options |= {"window": "1.2 ps", "origin_step": 1}
    same = even.bp.intermediate_scattering_function(**options)
    np.testing.assert_allclose(found.F, same.F, rtol=1e-6, atol=1e-9)


def test_even_frames_are_not_uneven_by_rounding() -> None:
    rounded = EVEN.assign_coords(time=("time", np.round(EVEN.time.values, 6), {"units": "ps"}))  # fmt: skip
    assert "u2" in rounded.bp.msd(window="1 ps")


def test_atoms_that_move_by_half_the_cell_are_refused() -> None:
    gas = models.ideal_gas(30, 40, cell=4, T=3000, mass=4, time_step=0.05, rng=1).isel(
        time=[0, 1, 2, 38]
    )
    with pytest.raises(QuantityError, match="half the cell"):
        gas.bp.msd()
