"""Whether spectra rise to a maximum and fall beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.fitting.maximum import clearly_rise_and_fall, rise_and_fall


@pytest.mark.parametrize(("gain", "peaked"), [(15.0, False), (17.0, True)])
def test_three_levels_are_a_maximum_if_two_of_them_differ_by_16(
    gain: float, peaked: bool
) -> None:
    """Four bins on each of three levels: the middle one is 0.1 above the others.

    The best curve that only rises or falls has one of the others at the mean with it,
    which adds (0.1 w)² 4 · 4/(4 + 4) to χ². Whether there is a maximum can be known
    without that curve, and both ways agree.
    """
    E = np.array([10, 12, 14, 16, 47, 49, 51, 53, 84, 86, 88, 90.0])
    y = np.repeat([[0.9, 1.0, 0.9]], 4, axis=1)
    weight = np.full(y.shape, np.sqrt(gain / (0.1**2 * 2)))
    number = {"energy": 50.0, "low": 10.0, "high": 90.0, "chi2_reduced": 0.0}
    columns = {name: np.array([value]) for name, value in number.items()}
    assert clearly_rise_and_fall(E, y, weight, columns, np.array([9.0])) == [peaked]
    usable = np.ones(y.shape, dtype=bool)
    assert rise_and_fall(E, y, usable, weight, columns["energy"]) == [peaked]
