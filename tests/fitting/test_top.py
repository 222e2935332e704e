"""The tops of points, and where they fall to half, on curves known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xbp.fitting.top import _fall, around_top, off_points


def test_the_bins_of_a_broad_top_are_those_above_most_of_it_and_one_beside() -> None:
    y = 1 - np.abs(np.arange(41.0) - 20) / 50
    bins = np.flatnonzero(around_top(y[None], np.ones((1, 41), dtype=bool)))
    # The smoothed top is 0.9867; 0.8 of it is 10.5 bins away.
    np.testing.assert_array_equal(bins, np.arange(9, 32))


def test_points_with_a_top_of_their_own_are_not_taken_off_a_line() -> None:
    """Beside them in one call, points that only rise, whose top is that without it."""
    x = np.linspace(1.0, 9.0, 81)
    slope = np.array([[0.02], [1.0]])

    def curve(at: np.ndarray, rows: Any) -> np.ndarray:
        return np.exp(-((at - 5) ** 2) / 2) + slope[rows] * at

    y = curve(np.broadcast_to(x, (2, 81)), slice(None))
    every = np.ones(y.shape, dtype=bool)
    fit = {"energy": 5.0, "height": 1.0, "width": 2.3548}
    off, _ = off_points(
        x, y, np.full(y.shape, 0.01), every, every, curve, (np.zeros((2, 1)), slope),
        {name: np.full((2, 1), number) for name, number in fit.items()},
    )  # fmt: skip
    fine = np.linspace(4.5, 5.5, 100_001)
    own = np.exp(-((fine - 5) ** 2) / 2) + 0.02 * fine
    at = np.log(fine[own.argmax()] / 5)
    assert np.log1p(off["energy"][0, 0] / 5) == pytest.approx(at, abs=1e-3)
    assert off["height"][0, 0] == pytest.approx(own.max() - 1, abs=1e-4)
    assert off["energy"][1, 0] == pytest.approx(0, abs=5e-3)
    assert off["height"][1, 0] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("way", [-1, 1])
def test_a_fall_has_the_noise_of_the_place_where_it_is(way: int) -> None:
    x = np.arange(11.0)[None]
    y, noise = 1 - np.abs(x - 5) / 7, 0.1 + 0.01 * x
    top = np.array([[5.0]]), np.array([[1.0]])
    end, steep, spread = _fall(x, y, noise, np.ones((1, 11), dtype=bool), *top, way)
    assert end[0, 0] == pytest.approx(5 + way * 3.5)
    assert steep[0, 0] == pytest.approx(1 / 7)
    assert spread[0, 0] == pytest.approx(0.1 + 0.01 * (5 + way * 3.5))
