"""Errors of fits whose χ² is no parabola."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from samples import benchmark

from xbp.fitting.valley import stretched
from xbp.models import Model

errors = benchmark("errors")
LINE = Model(
    "line",
    lambda x, slope: slope * x,
    "reduced_dos",
    {"slope": "y/x"},
    about="a line",
    positive=("slope",),
    guess=lambda x, y: {"slope": float(y.mean() / x.mean())},
)


def pulls(found: xr.Dataset, **true: float) -> np.ndarray:
    return np.stack([(found[n] - v) / found[f"{n}_std"] for n, v in true.items()])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("energy", "noise", "share"), [(5.0, 0.02, 1.0), (20.0, 0.05, 0.3)]
)
def test_errors_of_a_bent_valley_are_honest(
    energy: float, noise: float, share: float
) -> None:
    """Height and energy are known apart only where the curve bends."""
    true = {"height": 1.0, "energy": energy}
    rising = errors.RISING
    found = errors.drawn(rising, noise, true, 200).bp.fit(rising)
    ok = found.status.values == "ok"
    assert ok.mean() >= share
    assert set(np.unique(found.status)) <= {"ok", "undetermined"}
    size = np.abs(pulls(found, **true)[:, ok])
    assert size.max() < 4, (size > 4).sum()
    if share == 1:
        assert 0.9 < pulls(found, **true).std() < 1.1


def test_a_straight_valley_is_no_reason_to_refuse() -> None:
    """A slope of 1 ± 3 is a measurement, if a poor one: its error is right."""
    data = errors.drawn(LINE, 10.0, {"slope": 1.0}, 300).bp.fit(
        LINE, bounds={"slope": (-1e3, None)}
    )
    assert (data.status == "ok").all()
    assert float((data.slope_std / data.slope).max()) > 10
    assert pulls(data, slope=1.0).std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("levels", "error", "bent"),
    [
        ({}, 2.0, -1),  # 4 errors away it is excluded by 2: they are twice as long
        ({"straight": 1.9}, 1.0, -1),  # which is enough
        ({"straight": 0.0, "some": 0.0}, 1.0, -1),
        ({"far": 1.0}, 1.0, -1),  # the valley is straight there
        ({"far": 6.25}, 2.5, -1),
        ({"some": 2.1}, 2.0, 0),  # too little for an error
    ],
)
def test_levels_are_standard_deviations(
    levels: dict[str, float], error: float, bent: int
) -> None:
    """One number, measured as 0 ± 1, of a curve that rises as p up to 1, then as √p."""

    def curve(p: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.sign(p) * np.where(abs(p) < 1, abs(p), np.sqrt(abs(p)))

    def held(i: np.ndarray, rows: np.ndarray, p: np.ndarray) -> np.ndarray:
        return curve(p, rows)[:, 0] ** 2

    zero, one = np.zeros((1, 1)), np.ones(1)
    covariance, found = stretched(
        curve, held, zero, one[None, None], one, zero[0], one,
        -np.inf * one, np.inf * one, **levels,
    )  # fmt: skip
    assert covariance[0, 0, 0] ** 0.5 == pytest.approx(error)
    assert found.tolist() == [bent]


def test_a_curve_that_is_straight_on_both_sides_is_not_fitted_again() -> None:
    """Its χ² is a parabola, and the covariance is right as it is."""
    slopes = np.array([[1.0, 0.2, 0.0], [0.3, -2.0, 1.0]])

    def held(i: np.ndarray, rows: np.ndarray, p: np.ndarray) -> np.ndarray:
        raise AssertionError

    covariance = np.linalg.inv(slopes @ slopes.T)[None]
    one, ends = np.ones(1), np.full(2, np.inf)
    found, bent = stretched(
        lambda p, rows: p @ slopes, held, np.array([[1.0, 2.0]]), covariance,
        one, 0 * one, one, -ends, ends,
    )  # fmt: skip
    np.testing.assert_array_equal(found, covariance)
    assert bent.tolist() == [-1]
