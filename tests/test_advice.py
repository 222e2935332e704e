"""What an error advises is accepted by the call that raised it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import XbpError


def solid(n_frames: int, *, velocity: bool = True) -> xr.Dataset:
    traj = xbp.md.models.einstein_solid(
        8, n_frames, cell=8, energy="8 meV", T=20, mass=200, time_step="20 fs",
        element="Cu", rng=1,
    )  # fmt: skip
    return traj if velocity else traj.drop_vars("velocity")


def line(begins: float) -> xr.Dataset:
    E, Q = np.arange(begins, 12.00001, 0.30003), np.arange(1.0, 5.0)
    return xbp.new_dataset(
        "S(Q,E)", np.ones((Q.size, E.size)), units="1/meV", temperature=300,
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")}, statistics="quantum",
    )  # fmt: skip


RUNS: dict[str, Callable[..., Any]] = {
    "vdos": lambda traj, **given: traj.bp.vdos(**given),
    "spectra": lambda traj, **given: traj.bp.dynamic_structure_factor(2, 1, **given),
    "currents": lambda traj, **given: traj.bp.current_spectra(2, 1, **given),
    "F(Q,t)": lambda traj, **given: traj.bp.intermediate_scattering_function(
        2, 1, **given
    ),
    "displacements": lambda traj, **given: traj.bp.msd(**given),
    "the box": lambda traj, **given: traj.bp.box_phonon(**given),
    "fields": lambda traj, **given: traj.bp.compare_fluctuations(
        4, 0.5, fields=["coordination"], cutoff=4, E_range=(4, 20), **given
    ),
}


def advised(call: Callable[..., Any], data: Any, name: str) -> tuple[str, Any]:
    """Return the advised value of an argument, and what the call then returns."""
    with pytest.raises(XbpError) as refused:
        call(data)
    found = re.search(rf"\b{name}='?([^',)]*)", refused.value.fix)
    assert found, refused.value.fix
    return found[1], call(data, **{name: found[1]})


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("velocity", [True, False])
@pytest.mark.parametrize("n_frames", [34, 101])
def test_the_window_advised_is_accepted(
    name: str, velocity: bool, n_frames: int
) -> None:
    window, found = advised(RUNS[name], solid(n_frames, velocity=velocity), "window")
    codes = [one.code for one in found.bp.diagnostics()]
    if name != "the box":  # where a longer one is better
        assert "few_segments" not in codes
    tapered = name not in ("F(Q,t)", "displacements", "the box")
    frames = n_frames - (not velocity and name in ("vdos", "currents"))
    expected = 2 * (frames // 5) if tapered else frames // 4
    if name != "the box":
        assert float(window.removesuffix(" ps")) == pytest.approx(0.02 * expected)


@pytest.mark.parametrize("begins", [0.512345678, 0.987654321])
def test_the_range_advised_without_an_elastic_line_is_accepted(begins: float) -> None:
    data = line(begins)
    with pytest.raises(XbpError, match="elastic line") as refused:
        data.bp.normalize_to_sum_rule("incoherent")
    found = re.search(r"integrate_E\(\('([^']*)', '([^']*)'\)\)", refused.value.fix)
    assert found
    assert np.isfinite(data.bp.integrate_E(found.groups()).Sq).all()
