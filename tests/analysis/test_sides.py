"""How long and how steep the sides of a maximum are."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.analysis.sides import _measured, judge_sides, sides_are_fitted
from xbp.core.status import statuses
from xbp.models.lineshapes import FWHM_PER_SIGMA


def test_parts_of_a_rise_are_interpolated_between_levels() -> None:
    """Levels 0, 1/4 and 1 of the rise, at 0, 1 and 2."""
    y, places = np.array([[3.0, 3.25, 4.0]]), np.array([[0.0, 1.0, 2.0]])
    found = _measured(places, y, np.ones((1, 3)), np.ones((1, 3), dtype=bool))
    assert (found.foot[0], found.top[0]) == (3, 4)
    assert found.begin[0] == pytest.approx(0.2 / 0.25)
    assert found.middle[0] == pytest.approx(1 + 0.25 / 0.75)
    assert found.rise[0] == pytest.approx(1 + 0.55 / 0.75 - 0.8)


def test_an_edge_of_a_filter_may_rise_within_three_widths_of_an_edge() -> None:
    """The rise from 0.2 to 0.8 takes ln(0.8/0.2) of a logistic edge in ln E."""
    E = np.geomspace(5.0, 200, 400)
    edge = 1 / (1 + (20 / E) ** 4)  # its rise is ln(16)/4 = 0.69 in ln E
    B = edge * np.exp(-((E / 150) ** 2))
    top = E[B.argmax()]
    one = [np.array([number]) for number in (top, 15.0, 150.0)]
    for edge_width, expected in ((0.69 / 2.5, "steep edge"), (0.69 / 3.5, "ok")):
        (found,) = statuses(
            judge_sides(E, B[None], None, *one, edge_width, filter_end=25.0)
        )
        assert found == expected


def test_a_side_is_fitted_where_chi_squared_is_as_of_the_right_curve() -> None:
    """Of 11 points and three parameters, up to 1 + 2 √(2/8) = 2."""
    E, energy, sigma = np.linspace(1, 30, 59), 10.0, 0.3
    column = {
        "energy": energy, "low": energy / 2, "n_points": 11, "relative_residual": 0.2,
        "width": 2 * energy * np.sinh(sigma * FWHM_PER_SIGMA / 2),
    }  # fmt: skip
    rows = {name: np.full(2, number) for name, number in column.items()}
    rows["chi2_reduced"] = np.array([1.99, 2.01])
    used = np.ones((2, E.size), dtype=bool)
    found = sides_are_fitted(E, used, rows, 0.2, known=True)
    assert found.tolist() == [True, False]
