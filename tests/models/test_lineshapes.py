"""Values of the shapes of peaks, calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xbp.models import lineshapes

LN2 = math.log(2)
#: Shape, E, parameters, value.
VALUES = [
    ("lognormal", 11.0, (5.5, 2.0, LN2), 2 * math.exp(-0.5)),
    ("lognormal", -1.0, (5.5, 2.0, 0.5), 0.0),
    ("gaussian", 7.0, (3.0, 2.0, 2.0), 2 * math.exp(-2)),
    ("damped_oscillator_current", 3.0, (math.pi, 5.0, 2.0), 36 / 292),
    ("correlated_disorder", 10.0, (5.0, 3.0), 1.92),
    ("gaussian_disorder", 10.0, (5.0, 3.0), 12 * math.exp(-3)),
    ("exponential_flank", 6.0, (3.0, 2.0, 3.0), 16 * math.exp(-2)),
    ("exponential_flank", 6.0, (3.0, 2.0, 0.0), 2 * math.exp(-2)),
    ("exponential_flank", -6.0, (3.0, 2.0, 3.0), 0.0),
    # (1 + (3/6)²)(1 + (6/12)³) = 45/32
    ("bi_hill", 6.0, (2.0, 3.0, 2.0, 12.0, 3.0), 64 / 45),
    ("bi_hill", 0.0, (2.0, 3.0, 2.0, 12.0, 3.0), 0.0),
]


@pytest.mark.parametrize(("name", "E", "parameters", "value"), VALUES)
def test_values(name: str, E: float, parameters: tuple, value: float) -> None:
    found = getattr(lineshapes, name)(np.array([E]), *parameters)
    np.testing.assert_allclose(found, [value], rtol=1e-14)


def test_the_width_of_a_log_normal_is_that_at_half_maximum() -> None:
    width = lineshapes.lognormal_fwhm(5.0, 0.7)
    assert width == pytest.approx(
        2 * 5 * math.sinh(0.7 * math.sqrt(2 * LN2)), rel=1e-14
    )
    half = 5.0 * np.exp(0.7 * math.sqrt(2 * LN2) * np.array([-1, 1]))
    np.testing.assert_allclose(lineshapes.lognormal(half, 5.0, 2.0, 0.7), 1.0)
    assert np.ptp(half) == pytest.approx(width, rel=1e-14)
    assert lineshapes.lognormal_sigma(5.0, width) == pytest.approx(0.7, rel=1e-14)
