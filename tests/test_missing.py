"""What data lack is what the operations that can follow would refuse them for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.operation import all_operations, find_operation
from xbp.errors import XbpError
from xbp.missing import missing


def raman() -> xr.Dataset:
    E = np.arange(5.0, 200, 5)
    axis = {"E": (E, "1/cm")}
    return xbp.new_dataset("raman_intensity", E, units="1", coords=axis, temperature=9)


def scattered() -> xr.Dataset:
    options = {"energy": 5, "width": 4, "T": 280, "u2": 0.01}
    return xbp.models.dynamic_structure_factor([2, 3, 4], np.arange(1, 30.0), **options)


def without_q() -> xr.Dataset:
    return scattered()[["S"]].sum("Q", keep_attrs=True).drop_vars("u2")


def of_detectors() -> xr.Dataset:
    axes = {"detector": ([1, 2, 3], "1"), "E": (np.arange(-9.5, 10), "meV")}
    S = xbp.new_dataset(
        "detector_spectra", np.ones((3, 20)), units="1/meV", statistics="quantum",
        coords=axes, temperature="300 K",
    )  # fmt: skip
    S.S.attrs |= {"ki_over_kf": "applied", "geometry": "direct"}
    return S.assign_coords(
        two_theta=("detector", [30.0, 60.0, 90.0], {"units": "degree"}),
        incident_energy=((), 20.0, {"units": "meV"}),
    )


Make = Callable[[], xr.Dataset]
CASES: dict[tuple[str, str], tuple[Make, dict[str, object], str, str]] = {
    ("to_gdos", "temperature"): (scattered, {}, "temperature", "T="),
    ("to_gdos", "u2"): (scattered, {}, "u2", "u2="),
    ("to_gdos", "statistics"): (scattered, {}, "statistics", "statistics"),
    ("to_convention", "temperature"): (
        without_q, {"convention": "n*S/E"}, "temperature", "T=",
    ),
    ("to_convention", "statistics"): (
        without_q, {"convention": "n*S/E"}, "statistics", "statistics",
    ),
    ("to_reduced_raman", "temperature"): (raman, {}, "temperature", "T="),
    ("angle_to_Q", "two_theta"): (of_detectors, {"Q": 1}, "two_theta", "two_theta"),
    ("angle_to_Q", "fixed_energy"): (
        of_detectors, {"Q": 1}, "incident_energy", "incident_energy=",
    ),
    ("angle_to_Q", "ki_over_kf"): (of_detectors, {"Q": 1}, "ki_over_kf", "ki_over_kf="),
    ("kinematic_limits", "fixed_energy"): (
        of_detectors, {}, "incident_energy", "incident_energy=",
    ),
    ("to_vibrational_dos", "temperature"): (
        of_detectors, {"mass": "50 u"}, "temperature", "T=",
    ),
    ("to_vibrational_dos", "statistics"): (
        of_detectors, {"mass": "50 u"}, "statistics", "statistics",
    ),
    ("to_vibrational_dos", "sample"): (of_detectors, {}, "", "composition="),
}  # fmt: skip


def test_every_need_has_a_case() -> None:
    needs = {(one.name, need) for one in all_operations() for need in one.needs}
    assert needs == {*CASES}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_need_is_listed_and_refused(case: tuple[str, str]) -> None:
    make, arguments, carried, said = CASES[case]
    whole = make()
    name = next(iter(whole.data_vars))
    bare = make().drop_vars([carried] * (carried in whole.coords))
    bare[name].attrs.pop(carried, None)
    assert any(said in line for line in missing(bare[name], bare))
    if carried:
        assert not any(said in line for line in missing(whole[name], whole))
    with pytest.raises(XbpError) as refused:
        find_operation("data", case[0]).function(bare, **arguments)
    about = case[1].removeprefix("fixed_").replace("sample", "composition")
    assert about in str(refused.value)


def test_other_names_of_dimensions_and_errors_are_recognised() -> None:
    s = xbp.tutorial.open_dataset("zr46cu46al8")[["S", "S_std"]]
    other = s.rename(Q="q", E="energy", S_std="S_sdt")
    other.S.attrs.pop("ancillary_variables", None)
    found = list(missing(other.S, other))
    assert "the dimension Q (data.rename({'q': 'Q'}))" in found
    assert "the dimension E (data.rename({'energy': 'E'}))" in found
    assert any("data.rename(S_sdt='S_std')" in text for text in found)
    right = other.rename(q="Q", energy="E", S_sdt="S_std")
    assert not [text for text in missing(right.S, right) if "rename" in text]
    # One dimension less is no other name.
    cut = s.bp.cut_Q((2, 4))
    assert not [text for text in missing(cut.S, cut) if "rename" in text]
