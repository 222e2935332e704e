"""Arguments that make no sense are refused by name, never by an error of numpy or Python."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import XbpError

ODD = (
    None, "abc", "", "1 K", "nan meV", float("nan"), 1e308, -1, 10**400, True, b"x", 1 + 2j, object(), set(),
    {"a": 1}, [1.0], (1, 2, 3), [[1, 2], [3]], np.array([1, 2]), np.array(["a", "b"]), slice(3, 1), xr.Dataset(),
    xr.DataArray([1.0, 2.0], dims="z"), np.ma.masked,
)  # fmt: skip
ARCS = {
    "moderator_to_chopper": "11.6 m", "chopper_to_sample": "2 m", "sample_to_detector": "3 m",
    "moderator_time": "8 us", "chopper_time": "5 us", "path_spread": "2 cm",
}  # fmt: skip
E = np.linspace(-300, 300, 61)
RAMAN = xbp.new_dataset(
    "raman_intensity",
    abs(E) + 1 + E / 400,
    units="1",
    coords={"E": (E, "1/cm")},
    temperature="300 K",
)
DETECTORS = xbp.new_dataset(
    "detector_spectra",
    np.ones((3, 4)),
    statistics="unknown",
    units="1/meV",
    coords={"detector": ([1, 2, 3], "1"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")},
).assign_coords(
    two_theta=("detector", [30.0, 60.0, 90.0], {"units": "degree"}),
    incident_energy=((), 20.0, {"units": "meV"}),
)

#: Function of the map and of keyword arguments, its defaults, and the arguments tried.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "subtract": (lambda S, **k: S.bp.subtract(S, **k), {}, "scale scale_std"),
    "scale": (lambda S, **k: S.bp.scale(**k), {"factor": 2}, "factor factor_std"),
    "convert": (lambda S, **k: S.bp.convert(**k), {"E": "THz"}, "E Q temperature frequency"),
    "cut_E": (lambda S, **k: S.bp.cut_E(**k), {"E": 5, "width": 1}, "E width"),
    "rebin": (lambda S, **k: S.bp.rebin(**k), {"E": "1 meV"}, "E Q given"),
    "detailed_balance": (lambda S, **k: S.bp.detailed_balance(**k), {}, "E_range Q_range"),
    "fold": (lambda S, **k: S.bp.fold(**k), {}, "T weights reversed_below"),
    "to_gdos": (
        lambda S, **k: S.drop_vars(["temperature", "u2"]).bp.to_gdos(**k),
        {"T": 300, "u2": 0.01}, "T u2 T_std u2_std reversed_below",
    ),
    "to_convention": (lambda S, **k: S.bp.to_convention(**k), {}, "convention"),
    "integrate_E": (lambda S, **k: S.bp.integrate_E(**k), {}, "E_range T"),
    "like": (
        lambda S, **k: xbp.tutorial.open_dataset("zr46cu46al8_md").bp.like(**({"experiment": S} | k)),
        {"resolution": "1 meV"}, "experiment resolution width T scale coverage T_tolerance tail",
    ),
    "convolve": (lambda S, **k: S.bp.convolve(**k), {"resolution": "1 meV"}, "resolution width tail"),
    "direct_geometry_resolution": (
        lambda _, **k: xbp.direct_geometry_resolution(**k),
        {"E": [0.0, 1.0], "incident_energy": 80, **ARCS}, "E incident_energy chopper_time path_spread",
    ),
    "angle_to_Q": (
        lambda _, **k: DETECTORS.bp.angle_to_Q(**k), {"Q": 0.5, "ki_over_kf": "applied"},
        "Q incident_energy final_energy angle_width ki_over_kf variance",
    ),
    "kinematic_limits": (
        lambda S, **k: S.bp.kinematic_limits(**k), {"incident_energy": 60}, "two_theta incident_energy",
    ),
    "to_reduced_raman": (
        lambda _, **k: RAMAN.bp.to_reduced_raman(**k), {},
        "T coupling side laser_line baseline reversed_below highest_shift",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments_are_refused_by_xbp(name: str) -> None:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1.5, 8.5, 6), np.arange(-19.5, 20, 1.0), energy=5.5, width=6,
        T="300 K", u2="0.012 angstrom^2",
    )  # fmt: skip
    S = xbp.models.with_counting_noise(S, counts=1e4, rng=0)
    call, usual, arguments = CALLS[name]
    for argument in arguments.split():
        for odd in ODD:
            with contextlib.suppress(XbpError):
                call(S, **(usual | {argument: odd}))
