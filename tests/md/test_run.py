"""Errors of the mean of a trajectory's segments: (mean − truth)/std over many draws."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from xbp.md.moments import Moments

DRAWS = 3000


def relaxing(n: int, rho: float) -> Moments:
    """Return n answers of which neighbours correlate by rho, of many draws at once."""
    noise = np.random.default_rng([n, int(100 * rho)]).standard_normal((n, DRAWS))
    answers = noise.copy()
    for i in range(1, n):
        answers[i] = rho * answers[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    cuts = [answers[: n // 3], answers[n // 3 : n // 2], answers[n // 2 :]]
    parts = [Moments.of({"x": part}) for part in cuts if len(part)]
    return reduce(Moments.merged, parts)


def width(moments: Moments) -> float:
    std = moments.std("x")
    assert std is not None
    return float((moments.mean["x"] / std).std())


@pytest.mark.parametrize("n", [4, 5, 6, 10, 30])
def test_independent_answers(n: int) -> None:
    """Without Student's factor the width is 1.73 for four answers."""
    assert width(relaxing(n, 0.0)) == pytest.approx(1, abs=0.16)


@pytest.mark.parametrize("n", [16, 30])
def test_a_relaxation_as_slow_as_a_segment(n: int) -> None:
    """As independent answers they would have a width of 1.5."""
    assert width(relaxing(n, 0.37)) == pytest.approx(1, abs=0.15)


def test_parts_merge_to_the_whole() -> None:
    answers = np.random.default_rng(1).standard_normal((11, 3))
    whole = Moments.of({"x": answers})
    parts = [Moments.of({"x": part}) for part in np.split(answers, [1, 2, 6])]
    merged = reduce(Moments.merged, parts)
    assert merged.std("x") == pytest.approx(whole.std("x"), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_error_of_three_answers(n: int) -> None:
    few = Moments.of({"x": np.arange(float(n))[:, None]})
    assert few.std("x") is None
    assert [found.code for found in few.doubts()] == ["few_segments"]
    assert not Moments.of({"x": np.arange(4.0)}).doubts()


def test_answers_that_are_equal() -> None:
    assert (Moments.of({"x": np.ones((5, 2))}).std("x") == 0).all()


@pytest.mark.parametrize(("rho", "told"), [(0.0, False), (0.3, False), (0.9, True)])
@pytest.mark.parametrize("n", [30, 100])
def test_segments_shorter_than_a_relaxation_are_told(
    rho: float, told: bool, n: int
) -> None:
    """Of an exponential relaxation over ten segments errors are half of what is right."""
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal((n + 100, 50))
        x = np.zeros_like(noise)
        for i in range(1, len(x)):
            x[i] = rho * x[i - 1] + (1 - rho**2) ** 0.5 * noise[i]
        found = {d.code for d in Moments.of({"a": x[100:]}).doubts()}
        assert ("slow_relaxation" in found) == told
