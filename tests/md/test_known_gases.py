"""Gases with known answers, and the neutron total of both parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import QuantityError
from xbp.reduction.sample import scatterer


def binary(n_frames: int = 40, **more: Any) -> xr.Dataset:
    gas = xbp.md.models.ideal_gas(
        60, n_frames, cell=9, T=300, mass=50, time_step=0.05, rng=2, **more
    )
    return gas.assign_coords(element=("atom", ["V"] * 20 + ["Cu"] * 40))


def test_the_neutron_total_is_that_of_both_parts(tmp_path: Path) -> None:
    gas = binary()
    call = {"Q_max": 2, "dQ": 0.5, "window": "0.5 ps", "precision": "double"}
    parts = {
        part: gas.bp.dynamic_structure_factor(**call, part=part, folding=None)
        for part in ("coherent", "incoherent", "total")
    }
    V, Cu = scatterer("V"), scatterer("Cu")
    norms = {
        "coherent": 20 * V.b**2 + 40 * Cu.b**2,
        "incoherent": 100 * (20 * V.incoherent + 40 * Cu.incoherent) / (4 * np.pi),
    }
    for name in ("S", "Sq"):
        want = sum(norms[part] * parts[part][name] for part in norms)
        found = parts["total"][name] * sum(norms.values())
        np.testing.assert_allclose(found, want, rtol=1e-9)
    assert parts["total"].S.attrs["part"] == "total"
    partials = gas.bp.dynamic_structure_factor(
        **call, part="total", partials=True, folding=None
    )
    assert partials.pair.values.tolist() == ["Cu-Cu", "Cu-V", "V-V", "Cu", "V"]
    added = (partials.S * partials.weight).sum("pair")
    np.testing.assert_allclose(added, parts["total"].S, rtol=1e-9)
    assert parts["total"].S_std.notnull().all()
    parts["total"].bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), parts["total"])
    other = {"Q_max": "20 1/nm", "dQ": "5 1/nm", "window": "500 fs", "folding": None}
    lazy = gas.chunk(time=10).bp.dynamic_structure_factor(**call | other, part="total")
    np.testing.assert_allclose(lazy.S, parts["total"].S, rtol=1e-9)
    F = gas.bp.intermediate_scattering_function(**call, part="total")
    np.testing.assert_allclose(F.F[:, 0], parts["total"].Sq, rtol=0.2)
    with pytest.raises(QuantityError, match="part='total'"):
        gas.bp.dynamic_structure_factor(**call, part="total", weights="unit")


@pytest.mark.slow
def test_partials_of_an_ideal_binary_gas() -> None:
    """Faber and Ziman's are 1, 1, 1, Ashcroft and Langreth's 1, 0, 1; X-rays see 1."""
    gas = binary(400)
    call = {"Q_max": 4, "dQ": 4.0}
    for normalization, wanted in (
        ("faber-ziman", [1, 1, 1]),
        ("ashcroft-langreth", [1, 0, 1]),
    ):
        found = gas.bp.structure_factor(
            **call, partials=True, normalization=normalization, weights="xray"
        )
        np.testing.assert_allclose(found.Sq.squeeze("Q"), wanted, atol=0.03)
        total = gas.bp.structure_factor(
            **call, normalization=normalization, weights="xray"
        )
        np.testing.assert_allclose(total.Sq, 1.00, atol=0.02)


@pytest.mark.slow
def test_the_density_of_states_of_langevins_gas() -> None:
    """γ = 2/ps at 300 K and 40 u: g is a Lorentzian, g(0) = 2/πħγ = 0.4836 /meV."""
    gamma, step, n_atoms, n_frames = 2.0, 0.02, 800, 1000
    rng = np.random.default_rng(1)
    speed = np.sqrt(constants.BOLTZMANN * 300 / 40)
    keep = np.exp(-gamma * step)
    kicks = rng.normal(size=(n_frames, n_atoms, 3)) * speed * np.sqrt(1 - keep**2)
    kicks[0] /= np.sqrt(1 - keep**2)
    velocity = scipy.signal.lfilter([1], [1, -keep], kicks, axis=0)
    position = np.cumsum(velocity, axis=0) * step
    gas = xbp.md.new_trajectory(
        position, time=np.arange(n_frames) * step, cell=1e3 * np.eye(3),
        velocity=velocity, mass=np.full(n_atoms, 40.0), element=["Ar"] * n_atoms,
        temperature=300,
    )  # fmt: skip
    g = gas.bp.vdos(window="10 ps", folding=None).g
    exact = 2 / np.pi / (constants.HBAR * gamma)
    assert exact == pytest.approx(0.4836, abs=1e-4)
    low = g.sel(E=slice(0, 1))
    lorentzian = exact / (1 + (low.E / (constants.HBAR * gamma)) ** 2)
    np.testing.assert_allclose(low, lorentzian, rtol=0.04)
    assert float(g[0]) == pytest.approx(exact, rel=0.04)
