"""Rows of two coordinates and values."""

import numpy as np
import pytest

from xbp.io.rows import as_map


def test_rows_in_any_order_are_one_map() -> None:
    Q, E = np.array([0.5, 1.0, 2.5]), np.array([-2.0, 3.0, 4.0, 9.0])
    S, std = 10 * Q[:, None] + E, Q[:, None] * E
    at_q, at_e = np.meshgrid(Q, E, indexing="ij")
    rows = np.stack([at_q, at_e, S, std], axis=-1).reshape(-1, 4)
    found = as_map(np.random.default_rng(3).permutation(rows))
    for one, expected in zip([*found[:2], *found[2]], [Q, E, S, std], strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 1, 2, 3, 3], [0, 1, 2, 2]])
def test_a_point_that_is_missing_or_there_twice_is_refused(rows: list[int]) -> None:
    whole = np.array([[1, 5, 0.1], [1, 6, 0.2], [2, 5, 0.3], [2, 6, 0.4]])
    with pytest.raises(ValueError, match="one at each of 2 Q and 2 E"):
        as_map(whole[rows])
