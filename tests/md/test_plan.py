"""Arguments of the operations on trajectories: what is absurd, and what a message advises."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xbp import md
from xbp.errors import QuantityError, RangeError, XbpError
from xbp.md import models

pytest.importorskip("periodictable")

SOLID = models.einstein_solid(
    24, 80, cell=10, energy="8 meV", T=300, mass=40, time_step="50 fs", rng=1
).assign_coords(element=("atom", ["Zr", "Cu"] * 12))
G = SOLID.bp.radial_distribution(4, 0.1)
Q = {"Q_max": 2, "dQ": 0.5}
FRAMES = {"window": "2 ps", "folding": None}
#: Operation, its data, and arguments that are right.
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dynamic_structure_factor": (SOLID, {**Q, **FRAMES}),
    "intermediate_scattering_function": (SOLID, {**Q, "window": "2 ps"}),
    "current_spectra": (SOLID, {**Q, **FRAMES}),
    "structure_factor": (SOLID, Q),
    "vdos": (SOLID, FRAMES),
    "msd": (SOLID, {"window": "2 ps"}),
    "radial_distribution": (SOLID, {"r_max": 4, "dr": 0.1}),
    "local_fields": (SOLID, {"fields": "coordination", "cutoff": 4}),
    "fluctuation_spectrum": (SOLID, {**Q, **FRAMES, "field": "coordination", "cutoff": 6}),
    "to_structure_factor": (G, {"Q": 3}),
    "models.ideal_gas": (
        None,
        {"n_atoms": 5, "n_frames": 5, "cell": 9, "T": 9, "mass": 9, "time_step": 1, "rng": 1},
    ),
    "models.harmonic_chain": (
        None,
        {
            "n_atoms": 5, "n_frames": 5, "spacing": 3, "energy_max": 9, "T": 9, "mass": 9,
            "time_step": 1, "rng": 1,
        },
    ),
}  # fmt: skip
ABSURD: list[Any] = [
    1e308, 1e-308, float("nan"), float("inf"), 0, -1, 10**400, 1j, "", "abc",
    "1e308 angstrom", [1, 2], {}, np.array([1.0, 2.0]), np.array(["hann", "boxcar"]),
    xr.DataArray([1.0, 2.0]), b"x",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_absurd_values_of_every_argument_end_in_the_error_family(name: str) -> None:
    """Or are used, as a window of 1e308 is not: nothing else is raised, or warned."""
    function: Any = md
    for part in name.split("."):
        function = getattr(function, part)
    data, right = CALLS[name]
    for argument in inspect.signature(function).parameters:
        if argument in ("data", "progress"):
            continue
        for value in ABSURD:
            given = {**right, argument: value}
            if argument == "dE":
                given["window"] = None
            if argument == "b":
                given["weights"] = "neutron"
            if argument == "origin_step":
                given["part"] = "incoherent"
            try:
                function(**given) if data is None else function(data, **given)
            except XbpError:
                continue
            except Exception as error:
                raise AssertionError(f"{name}({argument}={value!r})") from error


@pytest.mark.parametrize(
    ("argument", "value"), [("Q_max", 1e5), ("dQ", 1e-300), ("Q_max", 1e300)]
)
def test_what_memory_cannot_hold_is_refused_before_it_is_made(
    argument: str, value: float
) -> None:
    with pytest.raises(RangeError, match=f"{argument}=.* GB"):
        SOLID.bp.structure_factor(**{**Q, argument: value})


@pytest.mark.parametrize(
    "b", [3.0, "abc", {"Zr": "abc"}, {"Zr": np.nan}, {"Xx": 7.0}, {"Ar": 1.9}, {1: 7.0}]
)
def test_scattering_lengths_are_of_the_elements(b: Any) -> None:
    for call in (SOLID.bp.structure_factor, SOLID.bp.dynamic_structure_factor):
        with pytest.raises(XbpError, match=r"b=|b of 'Zr'"):
            call(2, 0.5, b=b, **({} if call.__name__ == "structure_factor" else FRAMES))
    with pytest.raises(XbpError, match=r"b=|b of 'Zr'"):
        SOLID.bp.vdos(weights="neutron", b=b, **FRAMES)


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 15, 17, 80])
@pytest.mark.parametrize("velocity", [True, False])
def test_the_window_that_is_advised_fits(n: int, velocity: bool) -> None:
    traj = SOLID.isel(time=slice(0, n))
    if not velocity:
        traj = traj.drop_vars("velocity")
    for window in (None, "90 fs", "1 ns"):
        with pytest.raises(RangeError, match="frames") as refused:
            traj.bp.vdos(window=window, folding=None)
        advised = re.search(r"window='([^']*)'", refused.value.fix)
        needed = re.search(r"simulate ([\d.]+) ps", refused.value.fix)
        assert bool(advised) == (n - (not velocity) >= 4)
        assert bool(needed) == (n - (not velocity) < 10)
        if advised:
            g = traj.bp.vdos(window=advised[1], folding=None)
            codes = [one.code for one in g.bp.diagnostics()]
            assert ("few_segments" in codes) == bool(needed)
        else:
            assert float(needed[1]) == pytest.approx(10 * 0.05)


def test_a_resolution_wider_than_the_spectrum_is_refused() -> None:
    with pytest.raises(RangeError, match=r"resolution=.* meV"):
        SOLID.bp.dynamic_structure_factor(2, 0.5, resolution="50 meV", **FRAMES)


def test_the_history_contains_every_argument_once() -> None:
    S = SOLID.bp.dynamic_structure_factor(
        2, 0.5, window="2 ps", weights=np.arange(24.0), resolution="1 meV", folding=0.9
    )
    line = json.loads(S.S.attrs["history"].splitlines()[-1])
    assert line["arguments"]["weights"] == "array"
    assert line["arguments"]["window"] == "2 ps"
    known = inspect.signature(md.dynamic_structure_factor).parameters
    assert set(line["arguments"]) <= {*known, "segments"}
    assert S.S.attrs["part"] == "coherent"


def test_contradictory_temperatures_are_found_before_the_spectra() -> None:
    with pytest.raises(XbpError, match="T="):
        SOLID.bp.dynamic_structure_factor(2, 0.5, T=10, E_max=1e9, **FRAMES)
    with pytest.raises(QuantityError, match="'min' is not one of 'hann', 'boxcar'"):
        SOLID.bp.vdos(taper="min", window="2 ps")


def test_frames_that_are_far_apart_show_few_energies() -> None:
    """Such as a dump every 25 τ of argon, whose window could be made longer in vain."""
    time = SOLID.time * (53.8 / float(SOLID.time[1]))
    traj = SOLID.drop_vars("velocity").assign_coords(
        time=time.assign_attrs(SOLID.time.attrs)
    )
    with pytest.raises(RangeError, match="window of 10 ps") as refused:
        traj.bp.vdos()
    assert refused.value.reason.endswith("show energies up to h/2Δt, 0.0384 meV")
