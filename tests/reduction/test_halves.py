"""Halves of the spectra: which rows they are, and what they differ by beyond counting."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.reduction.halves import Halves, compare_halves, second_half

N, M = 8, 40
E = np.arange(1.0, M + 1)
G, WIDTH = E * np.exp(-E / 8), np.full(M, 0.5)
Q = np.linspace(1.0, 4.5, N)[:, np.newaxis] * np.ones(M)
ONE = Q**2 * np.exp(-0.02 * Q**2) / E
SECOND = np.arange(N) > 4


def halves(
    left: np.ndarray, std: np.ndarray, weight: np.ndarray | None = None
) -> Halves:
    weight = np.ones_like(left) if weight is None else weight
    return compare_halves(left, std, ONE, weight, SECOND, WIDTH, G)


def test_halves_have_the_same_Q() -> None:
    second = second_half(ONE, Q[::-1])
    assert second.tolist() == [False, True, True, False] * 2
    assert abs(Q[second].mean() - Q[~second].mean()) < 1e-12
    without = ONE.copy()
    without[0] = 0.0
    assert second_half(without, Q).tolist() == [False, False, True, True] * 2


def test_counting_is_no_difference() -> None:
    std, rng = 0.1 * ONE, np.random.default_rng(3)
    sizes = [
        halves(ONE * G + std * rng.standard_normal(std.shape), std).size
        for _ in range(200)
    ]
    assert 0 <= np.count_nonzero(sizes) < 15


@pytest.mark.parametrize("noise", [1e-6, 0.05, 0.3])
def test_a_difference_is_found_without_that_of_counting(noise: float) -> None:
    tilt = 1 + 0.3 * np.where(SECOND, 1, -1)[:, None] * (E - 20) / 20
    std, rng = noise * ONE * G.mean(), np.random.default_rng(4)
    exact = halves(ONE * G * tilt, 1e-9 * ONE)
    found = [
        halves(ONE * G * tilt + std * rng.standard_normal(std.shape), std).error
        for _ in range(30)
    ]
    size = np.sqrt(np.mean(np.square(found), axis=0).sum())
    assert size == pytest.approx(np.sqrt((exact.error**2).sum()), rel=0.1)
    # Half the distance of two numbers is √2 smaller than their standard deviation.
    first, other = (G * tilt[i] for i in (0, -1))
    first, other = (one / one.sum() * G.sum() for one in (first, other))
    np.testing.assert_allclose(exact.error, (other - first) / np.sqrt(2), atol=1e-6)
    assert exact.size == pytest.approx(
        np.sqrt((exact.error**2).mean()) / G.max(), rel=1e-6
    )


def test_bins_of_one_half_have_the_mean_difference() -> None:
    tilt = 1 + 0.3 * np.where(SECOND, 1, -1)[:, None] * (E - 20) / 20
    weight = np.ones_like(ONE)
    weight[SECOND, :5] = 0.0
    found = halves(ONE * G * tilt, np.nan * ONE, weight)
    rest = found.error[5:]
    np.testing.assert_allclose(found.error[:5], np.sqrt((rest**2).mean()))
    nothing = halves(ONE * G, np.nan * ONE, np.where(SECOND[:, None], 0.0, 1.0))
    assert nothing.size == 0


def test_the_scale_of_the_weights_does_not_matter() -> None:
    std = 0.2 * ONE * G.mean()
    left = ONE * G + std * np.random.default_rng(5).standard_normal(std.shape) * 1.5
    one, other = (halves(left, std, k * np.ones_like(ONE)) for k in (1.0, 7.0))
    assert one.size > 0
    np.testing.assert_allclose(other.error, one.error, rtol=1e-9)
    unit = 1e-3  # of g, whose area is then below 1
    small = compare_halves(
        left, std, ONE / unit, np.ones_like(ONE), SECOND, WIDTH, G * unit
    )
    np.testing.assert_allclose(small.error, one.error * unit, rtol=1e-9)
    # A spectrum that weighs nothing has no part in either, whatever its error.
    weight, huge = np.ones_like(ONE), std.copy()
    weight[3], huge[3] = 0.0, np.nan
    assert np.isfinite(halves(left, huge, weight).error).all()


def test_a_half_without_g_differs_by_any_size() -> None:
    left = np.where(SECOND[:, None], -1.0, 1.0) * ONE * G
    found = halves(left, 0.1 * ONE)
    assert found.size == np.inf
    assert not found.error.any()
