from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

from xbp.core import guards
from xbp.core.data import (
    require_columns,
    require_dims,
    require_finite,
    require_inside,
)
from xbp.core.errors import shown
from xbp.errors import QuantityError, RangeError, UnitsError, XbpError

#: What nobody means by a keyword, and what programs pass all the same.
ABSURD: list[Any] = [
    None, "abc", "", float("nan"), float("inf"), 1e308, -1e308, 10**5000, True, b"x", 1j, object(), [], [1, 2], {},
    np.arange(3.0), np.array(["a", "b"]), xr.DataArray([1.0, 2.0], dims="x"), xr.Dataset({"a": 1}), "1e999 meV", "3 parsec",
]  # fmt: skip
LIMITS: dict[str, Any] = {
    "positive": lambda v: guards.require_positive(v, "window", "ps"),
    "number": lambda v: guards.require_number(v, "E", "meV", least=0, below=1e300),
    "fraction": lambda v: guards.require_fraction(v, "end"),
    "whole": lambda v: guards.require_whole(v, "n_atoms", most=1e9),
    "flag": lambda v: guards.require_flag(v if v is not True else 1, "offset"),
    "keys": lambda v: guards.require_keys(v, "start", ("energy",)),
    "choice": lambda v: guards.choose(v, Literal["hann", "boxcar"], "taper"),
}
#: None of these is absurd to the guard.
FINE = {("positive", "1e+308"), ("keys", "None"), ("keys", "{}")}


@pytest.mark.parametrize("guard", LIMITS)
@pytest.mark.parametrize("value", ABSURD, ids=lambda v: shown(v, 20))
def test_absurd_values_end_in_the_error_family(guard: str, value: Any) -> None:
    if (guard, shown(value)) in FINE:
        LIMITS[guard](value)
        return
    with pytest.raises(XbpError) as info:
        LIMITS[guard](value)
    assert len(str(info.value).splitlines()) <= 3


def test_a_choice_is_returned_and_a_near_miss_is_suggested() -> None:
    windows = {"hann": 1, "boxcar": 2}
    assert guards.choose("hann", windows, "taper") == "hann"
    assert guards.choose(2, (2, 3), "dimension") == 2
    with pytest.raises(RangeError, match=r"taper='boxca' .*'boxcar'") as info:
        guards.choose("boxca", windows, "taper", error=RangeError)
    assert info.value.fix == "taper='boxcar'"
    with pytest.raises(QuantityError, match="dimension=True"):
        guards.choose(True, (1, 2, 3), "dimension")


def test_one_of_several_arguments() -> None:
    assert guards.exactly_one(u2=0, msd=None) == "u2"
    assert guards.at_most_one(u2=None, msd=None) is None
    for given in ({"u2": 1, "msd": 2}, {"u2": None, "msd": None}):
        with pytest.raises(QuantityError, match=r"u2=.*msd="):
            guards.exactly_one(**given)
    guards.not_used("text has no units", laser=None)
    with pytest.raises(QuantityError, match=r"laser='532 nm'.*no units"):
        guards.not_used("text has no units", laser="532 nm")


@pytest.mark.parametrize(
    ("value", "right"), [("2 ps", 2.0), (3, 3.0), ("500 fs", 0.5), (np.float32(2), 2.0), (xr.DataArray(2.0), 2.0)]
)  # fmt: skip
def test_positive_numbers_are_converted(value: Any, right: float) -> None:
    assert guards.require_positive(value, "window", "ps") == pytest.approx(right)


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"above": 0}, "positive"), ({"least": 0, "most": 1}, "between 0 and 1"), ({"least": 0}, "zero or positive"),
        ({"above": -0.5}, "above -0.5 meV"), ({"most": -2}, "at most -2 meV"),
    ],
)  # fmt: skip
def test_limits_are_named_with_their_units(
    limits: dict[str, float], wanted: str
) -> None:
    with pytest.raises(RangeError, match=f"E=-1 must be {wanted}"):
        guards.require_number(-1, "E", "meV", **limits)
    assert guards.require_number(0, "E", "meV", least=0, most=0) == 0


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.array(3), np.float64(3)])
def test_whole_numbers_of_any_type(value: Any) -> None:
    assert guards.require_whole(value, "n") == 3
    with pytest.raises(RangeError, match="at least 4"):
        guards.require_whole(value, "n", least=4)


def test_data_are_checked_for_what_an_operation_needs() -> None:
    S = xr.DataArray(np.ones(3), dims="E", name="S")
    require_dims(S, "E", "a fit")
    with pytest.raises(RangeError, match=r"a map needs .*'Q'.*'S'.*'E'"):
        require_dims(S, ("E", "Q"), "a map")
    table = xr.Dataset({"energy": 1.0})
    require_columns(table, ["energy"], "boson_peak")
    with pytest.raises(QuantityError, match=r"boson_peak.*'status'"):
        require_columns(table, ["energy", "status"], "boson_peak")
    with pytest.raises(QuantityError, match="Q is not finite in 1 of 2"):
        require_finite([1, np.nan], "Q")
    with pytest.raises(QuantityError, match="real numbers"):
        require_finite([[1], [1, 2]], "Q")


def test_ranges_and_contradictions() -> None:
    require_inside((1, 8.5 + 1e-10), (0, 8.5), "Q_range", "1/angstrom")
    for limits in ((-1, 8), (1, 9), (np.nan, 8)):
        with pytest.raises(RangeError, match=r"Q_range.*0 to 8.5 1/angstrom"):
            require_inside(limits, (0, 8.5), "Q_range", "1/angstrom")
    guards.require_agreement(300, 300 + 1e-5, "T", "K")
    with pytest.raises(UnitsError, match=r"timestep=2 fs .*dump.txt.* 1 fs"):
        guards.require_agreement(
            2, 1, "timestep", "fs", source="dump.txt", error=UnitsError
        )


def test_arrays_beyond_memory_are_refused_before_they_are_made() -> None:
    guards.require_memory(1e6, "a map")
    for count in (1e18, float("inf"), float("nan"), 10**5000):
        with pytest.raises(RangeError, match=r"a map would need .* GB"):
            guards.require_memory(count, "a map")
