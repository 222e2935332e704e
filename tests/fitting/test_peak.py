"""Spectra in units of their maxima, and numbers with their errors."""

from __future__ import annotations

import numpy as np

from xbp.core.status import Status
from xbp.fitting.peak import _Spectra, fit_shape, numbers_of


def test_means_over_bins_become_the_values_at_their_centres() -> None:
    """Of a parabola, whose mean over E ± h is lower by h² times its curvature/6."""
    E, half = np.array([2.0, 3.0, 4.0, 5.5, 7.5]), np.array([0.5, 0.5, 0.5, 1.0, 1.0])
    peak = {"energy": 4.4, "height": 30.0, "width": 6.0}
    columns = {name: np.array([value]) for name, value in peak.items()}
    curve = 30 * (1 - 2 * ((E - 4.4) / 6) ** 2)[None]
    means = curve - 30 * 2 / 6**2 * half**2 / 3
    inside = np.ones(means.shape, dtype=bool)
    data = _Spectra.of(E, means, None, inside, "quadratic")
    scaled = dict(columns, height=columns["height"] / data.scale)
    found = data.at_centres("quadratic", scaled, curve / data.unit, half)
    np.testing.assert_allclose(found.B, curve)
    np.testing.assert_allclose(found.y, curve / means.max())


def test_the_width_of_a_parabola_scatters_by_its_error() -> None:
    """500 spectra with known noise, in seven bins that see the height no better.

    The peak is 1 − (E − 20)²/50, so that half of it is 5 away on either side.
    """
    E, rng = 20 + 3 * np.arange(-3.0, 4.0), np.random.default_rng(8)
    std = np.full((500, E.size), 0.02)
    B = 1 - (E - 20) ** 2 / 50 + std * rng.standard_normal(std.shape)
    numbers, status = fit_shape(E, B, std, np.ones(B.shape, dtype=bool), "quadratic")
    assert (status == Status.OK.code).all()
    column = dict(zip(numbers_of("quadratic"), numbers.T, strict=True))
    pulls = (column["width"] - 10) / column["width_std"]
    assert 0.9 < pulls.std() < 1.1
