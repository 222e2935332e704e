"""How long and how steep the sides of a maximum are."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.analysis.sides import (
    EDGES,
    _measured,
    edges_of,
    judge_sides,
    peak_ranges,
    sides_are_fitted,
)
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


def test_a_maximum_that_falls_through_the_range_is_at_its_beginning() -> None:
    """Of three bins the first and the last are compared, of nine means of three."""
    E = np.arange(1.0, 12.0)
    ends = np.array([4.0]), np.array([6.0])
    (fallen,), (risen,) = (
        edges_of(E, B[None], *ends, near_edge=0.25) for B in (12 - E, E)
    )
    assert (EDGES[int(fallen[0])], fallen[1]) == (
        "the beginning of the fitted range",
        4,
    )
    assert (EDGES[int(risen[0])], risen[1]) == ("the end of the fitted range", 6)
    B = np.array([0, 1.0, 5, 5, 2, 2, 2, 4, 4, 3.5, 0])
    (found,) = edges_of(E, B[None], np.array([2.0]), np.array([10.0]), 0.25)
    assert EDGES[int(found[0])] == "the end of the fitted range"


@pytest.mark.parametrize(("std", "seen"), [(0.115, True), (0.116, False)])
def test_a_maximum_is_five_errors_of_its_mean_above_its_feet(
    std: float, seen: bool
) -> None:
    """A bin raised by 1: the mean of three rises by 1/3, which is 5 σ/√3."""
    E, B = np.arange(1.0, 10.0), np.ones((1, 9))
    B[0, 4] = 2.0
    low, high = peak_ranges(E, B, np.full((1, 9), std), np.ones((1, 9), dtype=bool))
    assert np.isfinite([low[0], high[0]]).tolist() == [seen, seen]


def test_the_noise_is_that_about_the_maximum() -> None:
    """Without errors: a smooth peak at 10 is seen beside much noise above 20."""
    E = np.arange(1.0, 101.0)
    B = np.exp(-((E - 10) ** 2) / 18) + np.where(E > 22, (-1.0) ** E, 0.0)
    every = np.ones((1, E.size), dtype=bool)
    low, high = peak_ranges(E, B[None], None, every)
    assert 4 < low[0] < 10 < high[0] < 16


def test_a_maximum_near_the_first_energy_of_the_data_is_at_their_beginning() -> None:
    """The second bin is ln(11/10) = 0.1 above the first, the third ln(12/10) = 0.18."""
    E = np.arange(10.0, 15.0)
    for highest, edge in ((1, EDGES[1]), (2, EDGES[2])):
        B = np.array([1.0, 4, 4, 4, 4])
        B[highest] = 5.0
        (found,) = edges_of(E, B[None], np.array([9.0]), np.array([15.0]), 0.15)
        assert EDGES[int(found[0])] == edge
