"""Frames too far apart fold the fastest motion back: refused, with the time between frames that suffices."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from xbp import tutorial
from xbp.errors import QuantityError, RangeError
from xbp.md import models
from xbp.md.trajectory import read_trajectory
from xbp.md.window import Window, require_resolved

H = 4.135667696

CALLS = {
    "vdos": lambda t, **more: t.bp.vdos(window="6 ps", **more).g,
    "S": lambda t, **more: (
        t.bp.dynamic_structure_factor(3, 1, window="6 ps", weights="unit", **more).S
    ),
    "self": lambda t, **more: (
        t.bp.dynamic_structure_factor(
            3, 1, window="6 ps", weights="unit", part="incoherent", **more
        ).S
    ),
    "currents": lambda t, **more: t.bp.current_spectra(3, 1, window="6 ps", **more).C_T,
    "strain": lambda t, **more: (
        t.bp.fluctuation_spectrum(
            "shear_strain", 3, 1, cutoff=4.6, window="6 ps", **more
        ).phi
    ),
}


def glass(every: int) -> xr.Dataset:
    return (
        tutorial.open_dataset("kob_andersen_trajectory")
        .isel(time=slice(0, 130, every))
        .load()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_glass_with_frames_too_far_apart_is_refused(name: str) -> None:
    """The modes end at 17 meV; 400 fs resolve 5."""
    call = CALLS[name]
    call(glass(1), E_max="4 meV")
    with pytest.raises(RangeError, match="400 fs") as refused:
        call(glass(4), E_max="4 meV")
    suffices = float(re.search(r"at most ([\d.]+) fs", str(refused.value)).group(1))
    # What is named resolves the modes, and is not absurd.
    assert 60 < suffices <= 200
    folded = call(glass(4), folding=None)
    assert folded.sizes["E"] > 3
    (doubt,) = (d for d in folded.bp.diagnostics() if d.code == "aliasing_unchecked")
    assert "of its maximum" in doubt.message
    assert "folding=None" in doubt.message
    with pytest.raises(RangeError, match="folding"):
        call(glass(1), folding=-1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vdos", "S", "currents"])
@pytest.mark.parametrize(("energy", "femtoseconds"), [(33, 160), (33, 100), (20, 250)])
def test_a_line_beyond_the_frames_is_refused_though_nothing_is_left_at_the_end(
    name: str, energy: float, femtoseconds: float
) -> None:
    solid = models.einstein_solid(
        60,
        400,
        cell=12,
        energy=energy,
        T=300,
        mass=40,
        time_step=f"{femtoseconds} fs",
        rng=1,
    )
    with pytest.raises(RangeError, match=f"{femtoseconds} fs") as refused:
        CALLS[name](solid)
    suffices = float(re.search(r"at most ([\d.]+) fs", str(refused.value)).group(1))
    assert suffices < 1000 * H / (2 * energy)
    again = models.einstein_solid(
        60,
        1200,
        cell=12,
        energy=energy,
        T=300,
        mass=40,
        time_step=f"{suffices} fs",
        rng=1,
    )
    CALLS[name](again)
    # Without velocities the temperature shows it.
    with pytest.raises(RangeError, match=f"{femtoseconds} fs"):
        CALLS["vdos"](solid.drop_vars("velocity"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vdos", "S", "self", "currents"])
def test_what_falls_in_time_is_not_refused(name: str) -> None:
    gas = models.ideal_gas(100, 200, cell=12, T=300, mass=40, time_step="50 fs", rng=1)
    CALLS[name](gas)
    CALLS[name](
        models.einstein_solid(
            60, 300, cell=12, energy=38, T=300, mass=40, time_step="40 fs", rng=1
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize("energy", [3.0, 12.0, 33.0])
def test_velocities_of_positions_give_the_density_of_states(energy: float) -> None:
    """Two lines, whose ratio Δr/Δt alone would change: at 33 of 41 meV it has lost half of the power."""
    parts = [
        models.einstein_solid(
            80, 500, cell=12, energy=e, T=300, mass=40, time_step="50 fs", rng=s
        )
        for e, s in ((6.0, 1), (energy, 2))
    ]
    both = xr.concat(
        parts, "atom", data_vars="minimal", coords="minimal", compat="override"
    )
    both["velocity"] = xr.concat([p.velocity for p in parts], "atom")
    both["position"] = xr.concat([p.position for p in parts], "atom")
    both = both.drop_vars("temperature")
    wrapped = both.drop_vars("velocity").assign(
        position=both.position.copy(data=both.position.values % 12)
    )
    exact, found = both.bp.vdos(window="10 ps").g, wrapped.bp.vdos(window="10 ps").g
    dE = float(exact.E[1])
    assert float(found.sum() - (found[0] + found[-1]) / 2) * dE == pytest.approx(
        1, abs=1e-9
    )
    near = found.sel(E=slice(energy - 1, energy + 1)).sum() * dE
    assert float(near) == pytest.approx(
        float(exact.sel(E=slice(energy - 1, energy + 1)).sum() * dE), abs=0.003
    )
    np.testing.assert_allclose(found, exact, atol=0.01 * float(exact.max()))


@pytest.mark.slow
def test_velocities_of_positions_in_chunks_and_by_element() -> None:
    traj = glass(1).drop_vars("velocity")
    whole = traj.bp.vdos(window="6 ps", partials=True)
    parts = traj.chunk(time=33).bp.vdos(window="6 ps", partials=True)
    np.testing.assert_allclose(parts.g, whole.g, rtol=1e-9, atol=1e-12)
    direct = glass(1).bp.vdos(window="6 ps", partials=True)
    np.testing.assert_allclose(whole.g, direct.g, atol=0.03 * float(direct.g.max()))
    np.testing.assert_allclose(whole.weight, direct.weight, atol=0.01)


def test_steps_by_half_of_the_cell_give_no_velocities() -> None:
    gas = models.ideal_gas(
        300, 40, cell=4, T=300, mass=40, time_step="0.7 ps", rng=1
    ).drop_vars("velocity")
    with pytest.raises(QuantityError, match="half the cell"):
        gas.bp.vdos(window="7 ps")


@pytest.mark.slow
def test_atoms_that_are_where_they_were_one_frame_before() -> None:
    """The period is the time between frames: once a ValueError of scipy."""
    energy = "8 meV"
    step = f"{1000 * H / 8:.6f} fs"
    solid = models.einstein_solid(
        27, 300, cell=12, energy=energy, T=300, mass=40, time_step=step, rng=1
    )
    with pytest.raises(RangeError, match="alias"):
        solid.bp.vdos(window="20 ps")


@pytest.mark.slow
def test_the_limit_is_an_argument() -> None:
    limits: dict[str, Callable[..., xr.DataArray]] = {
        "vdos": CALLS["vdos"],
        "S": CALLS["S"],
    }
    for call in limits.values():
        with pytest.raises(RangeError, match="h/2Δt"):
            call(glass(1), folding=1e-6)
        call(glass(2), folding=0.9)
    # Positions alone do not tell how far apart frames may be.
    bare = glass(1).drop_vars(["velocity", "temperature"])
    with pytest.raises(RangeError, match="at most h/4E apart"):
        CALLS["vdos"](bare, folding=1e-6)


def test_light_atoms_that_fold_are_seen_among_heavy_ones() -> None:
    """A tenth of the atoms at 101 meV, beyond h/2Δt = 51.7 meV, beside slow ones."""
    common = {"cell": 12, "T": 300, "time_step": "40 fs"}
    slow = models.einstein_solid(36, 400, energy="8 meV", mass=40, rng=1, **common)
    fast = models.einstein_solid(
        6, 400, energy="101 meV", mass=6.94, rng=2, element="Li", **common
    )
    mixed = xr.concat([slow.drop_vars("cell"), fast.drop_vars("cell")], "atom").assign(
        cell=slow.cell
    )
    slow.bp.vdos()
    with pytest.raises(RangeError, match="40 fs apart"):
        mixed.bp.vdos()
    # Positions alone do, where the temperature is known.
    with pytest.raises(RangeError, match="40 fs apart"):
        mixed.drop_vars(["velocity", "temperature"]).bp.vdos(T=300)


@pytest.mark.slow
def test_what_cannot_be_checked_is_a_diagnostic() -> None:
    """Positions alone do not show whether a line is folded: that is recorded."""
    solid = models.einstein_solid(
        60, 400, cell=12, energy=20, T=300, mass=40, time_step="50 fs", rng=1
    )
    bare = solid.drop_vars(["velocity", "temperature"])
    for name in ("vdos", "S", "self"):
        for known in (solid, solid.drop_vars("velocity")):
            assert not CALLS[name](known).bp.diagnostics()
        assert not CALLS[name](bare, T=300).bp.diagnostics()
        (doubt,) = CALLS[name](bare).bp.diagnostics()
        assert (doubt.code, doubt.severity) == ("aliasing_unchecked", "warning")
        assert "T=" in doubt.fix


def test_the_margin_of_the_displacements_is_an_argument() -> None:
    """A line at h/2Δt has the ratio 4/π², of which the default margin is 5 %."""
    solid = models.einstein_solid(
        200,
        400,
        cell=12,
        energy=0.98 * H / 0.1,
        T=300,
        mass=40,
        time_step="50 fs",
        rng=1,
    )
    trajectory = read_trajectory(solid)
    window = Window.make(trajectory, {"folding": 0.3, "window": "6 ps"})
    flat = np.array([1.0, 0.0])
    assert require_resolved(flat, trajectory, window, "g(E)") == []
    with pytest.raises(RangeError, match="displacements between frames"):
        require_resolved(flat, trajectory, window, "g(E)", margin=-0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vdos", "S", "currents"])
def test_a_band_beyond_a_gap_at_the_end_is_refused(name: str) -> None:
    """Of modes at 8 and 30 meV frames 100 fs apart show 8 and 11, 138 fs 8 and 0."""

    def solid(femtoseconds: float) -> xr.Dataset:
        parts = [
            models.einstein_solid(
                n, 400, cell=12, energy=energy, T=300, mass=40,
                time_step=f"{femtoseconds} fs", rng=n,
            )
            for n, energy in ((280, 8), (120, 30))
        ]  # fmt: skip
        return xr.concat(parts, "atom", data_vars="minimal", coords="minimal", compat="override")  # fmt: skip

    for femtoseconds in (100, 138):
        with pytest.raises(RangeError, match="slower than h/2Δt"):
            CALLS[name](solid(femtoseconds))
    CALLS[name](solid(40))
