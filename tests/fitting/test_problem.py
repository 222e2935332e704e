"""Curves beside data: where their fits start."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xbp.fitting.problem import Choices, Curve, Problem


@pytest.mark.parametrize(
    ("start", "low", "high"),
    [
        (0.0, 0.0, math.inf),
        (0.0, -math.inf, 0.0),
        (0.0, 0.0, 0.01),
        (5.0, 5.0, math.inf),
        (7.0, 5.0, 6.0),
        (5.0, 2.0, 6.0),
    ],
)
def test_a_fit_starts_between_the_limits(start: float, low: float, high: float) -> None:
    """At one, p² beside 0 has no slope; a thousandth of its size away it has."""
    x = np.linspace(1.0, 4.0, 4)
    curve = Curve(["p"], lambda x, y: {"p": start}, lambda: lambda x, p: p**2 * x)
    usable, ones = np.ones((1, 4), dtype=bool), np.ones((1, 4))
    chosen = Choices(bounds={"p": (low, high)})
    begin = Problem(
        curve, chosen, x, 0 * x, np.array([[start]]), [0], usable, ones, ones
    ).begin.item()
    assert low < begin < high
    nearest = min(max(start, low), high)
    assert begin == pytest.approx(nearest, rel=1e-3, abs=1e-3)
