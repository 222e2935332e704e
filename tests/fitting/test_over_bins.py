"""Means of shapes over bins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from xbp.fitting.over_bins import mean_over_bins
from xbp.fitting.shapes import gaussian_on_line


@pytest.mark.parametrize("half", [0.1, 0.5, 1.0])
def test_a_gaussian_over_bins_is_a_difference_of_error_functions(half: float) -> None:
    x, sigma = np.linspace(-3, 3, 13), 0.85
    shape = mean_over_bins(gaussian_on_line, np.full(x.size, half))(x)
    value, slopes = shape(np.array([[0.2, 2.0, sigma]]))
    low, high = ((x + way * half - 0.2) / sigma / np.sqrt(2) for way in (-1, 1))
    exact = 2.0 * sigma * np.sqrt(np.pi / 2) * (erf(high) - erf(low)) / (2 * half)
    np.testing.assert_allclose(value[0], exact, rtol=0, atol=2e-5)
    np.testing.assert_allclose(slopes[1, 0], exact / 2.0, rtol=0, atol=1e-5)


def test_points_have_the_shape_itself() -> None:
    x = np.linspace(-3, 3, 13)
    assert mean_over_bins(gaussian_on_line, np.zeros(x.size)) is gaussian_on_line
