"""Currents of trajectories that have positions alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pint_xarray  # noqa: F401  (registers .pint)
import pytest
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import QuantityError, RangeError
from xbp.md import models, new_trajectory

STEP, FRAMES = 0.05, 40


def wave(part: float, direction: int) -> xr.Dataset:
    """A plane wave along x in a lattice, at a part of h/2Δt; it moves along a direction."""
    side, n = 12.0, 4
    sites = np.stack(np.meshgrid(*[np.arange(n) * side / n] * 3), axis=-1).reshape(
        -1, 3
    )
    omega, time = part * np.pi / STEP, STEP * np.arange(FRAMES + 1)
    phase = 2 * np.pi / side * sites[:, 0] - omega * time[:, None]
    position = np.repeat(sites[None], time.size, axis=0)
    velocity = np.zeros_like(position)
    position[..., direction] += 1e-4 * np.cos(phase)
    velocity[..., direction] = 1e-4 * omega * np.sin(phase)
    return new_trajectory(position, cell=side * np.eye(3), time=time, velocity=velocity)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("direction", "name"), [(0, "C_L"), (1, "C_T"), (2, "C_T")])
def test_a_wave_has_the_same_current(part: float, direction: int, name: str) -> None:
    """At 0.9 of h/2Δt the response that is divided out is 0.49."""
    both = wave(part, direction)
    options = {
        "window": f"{STEP * FRAMES} ps",
        "taper": "boxcar",
        "precision": "double",
        "folding": None,
    }
    ours = both.drop_vars("velocity").bp.current_spectra(0.6, 0.1, **options)
    theirs = both.isel(time=slice(FRAMES)).bp.current_spectra(0.6, 0.1, **options)
    at = ours[name].isel(Q=0)
    assert float(at.E[at.argmax("E")]) == pytest.approx(
        part * constants.PLANCK / (2 * STEP)
    )
    for each in ("C_L", "C_T"):
        np.testing.assert_allclose(
            ours[each], theirs[each], rtol=1e-6, atol=1e-6 * float(at.max())
        )
    assert "of positions" in ours.attrs["history"]


@pytest.fixture(scope="module")
def glass() -> xr.Dataset:
    return xbp.tutorial.open_dataset("kob_andersen_trajectory")


@pytest.mark.slow
def test_currents_of_the_glass_are_those_of_its_velocities(glass: xr.Dataset) -> None:
    options = {"window": "8 ps", "E_max": "12 meV"}
    theirs = glass.bp.current_spectra(0.5, 0.25, **options)
    side = float(glass.cell[0, 0])
    wrapped = glass.drop_vars("velocity").assign(position=glass.position % side)
    wrapped.position.attrs = glass.position.attrs
    ours = wrapped.bp.current_spectra(0.5, 0.25, **options)
    for name in ("C_L", "C_T"):
        area = ours[name].sum("E") / theirs[name].sum("E")
        np.testing.assert_allclose(area, 1, atol=0.012)
        off = abs(ours[name] - theirs[name]) / theirs[name].max("E")
        assert float(off.max()) < 0.035
        off = (ours[name] - theirs[name]) / theirs[f"{name}_std"]
        assert (
            float((off**2).where(theirs[name] > 0.01 * theirs[name].max()).mean()) < 0.1
        )


@pytest.mark.slow
def test_numbers_in_other_units_chunks_and_archives(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    still = glass.drop_vars("velocity").isel(time=slice(0, 45))
    options = {"window": "3 ps", "E_max": "12 meV"}
    expected = still.bp.current_spectra(0.5, 0.5, **options)
    expected.bp.to_netcdf(tmp_path / "c.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "c.nc"), expected)
    other = still.assign(position=still.position / 10, cell=still.cell / 10)
    for name in ("position", "cell"):
        other[name].attrs["units"] = "nm"
    other = other.assign_coords(time=still.time * 1e-3)
    other.time.attrs["units"] = "ns"
    more = {"window": "3000 fs", "E_max": "0.012 eV"}
    for same, given in (
        (other, more),
        (other.pint.quantify(), more),
        (still.chunk(time=20), options),
    ):
        found = same.bp.current_spectra("5 1/nm", "5 1/nm", **given)
        found = found.pint.dequantify()
        np.testing.assert_allclose(found.C_T, expected.C_T, rtol=1e-4)


@pytest.mark.slow
def test_the_phonon_of_a_box_without_velocities() -> None:
    solid = models.einstein_solid(
        12, 500, cell=10, energy="8 meV", T=100, mass=40, time_step="25 fs", rng=1
    )
    ours, theirs = (
        one.bp.current_spectra(0.63, 0.63, window="10 ps").bp.phonon_dispersion()
        for one in (solid.drop_vars("velocity"), solid)
    )
    assert (ours.status == "ok").all()
    assert (theirs.status == "ok").all()
    np.testing.assert_allclose(ours.energy, theirs.energy, atol=0.02)


@pytest.mark.slow
def test_steps_that_are_too_long_are_refused() -> None:
    """C_L of the gas is by (Q Δr)²/4 too high, as the docstring says."""
    gas = models.ideal_gas(
        80, 400, cell=12, T="300 K", mass="40 u", time_step="0.1 ps", rng=1
    )
    still, options = gas.drop_vars("velocity"), {"window": "5 ps", "folding": None}
    with pytest.raises(RangeError, match="too coarse") as refused:
        still.bp.current_spectra(1.6, 0.2, **options)
    assert "Q_max=1.3" in refused.value.fix
    assert str(refused.value).count("\n") < 3
    still.bp.current_spectra(1.3, 0.2, **options)
    ours = still.bp.current_spectra(1.6, 0.2, most_phase=None, **options)
    theirs = gas.bp.current_spectra(1.6, 0.2, **options)
    phase = ours.Q[-1] * 0.1 * np.sqrt(constants.BOLTZMANN * 300 / 40)
    for name, part in (("C_L", 1 / 4), ("C_T", 1 / 12)):
        high = ours[name][-1].sum() / theirs[name][-1].sum() - 1
        assert float(high) == pytest.approx(float(part * phase**2), abs=0.015)
    with pytest.raises(RangeError, match="most_phase"):
        still.bp.current_spectra(1, 0.5, most_phase=-1, **options)


def test_frames_that_fold_or_leave_the_way_open_are_refused() -> None:
    """Vibrations above h/2Δt show in displacements, if T is known; the way of an atom is ambiguous beyond half of the cell."""
    solid = models.einstein_solid(
        40, 200, cell=10, energy="30 meV", T=10, mass=40, time_step="0.1 ps", rng=1
    ).drop_vars("velocity")
    with pytest.raises(RangeError, match="alias"):
        solid.bp.current_spectra(1, 0.5, window="4 ps")
    unknown = solid.drop_vars(["temperature", "mass"])
    found = unknown.bp.current_spectra(1, 0.5, window="4 ps")
    assert "aliasing_unchecked" in str(found.bp.diagnostics())
    gas = models.ideal_gas(20, 40, cell=4, T=300, mass=40, time_step=1, rng=1)
    with pytest.raises(QuantityError, match="half the cell"):
        gas.drop_vars("velocity").bp.current_spectra(4, window="10 ps")
