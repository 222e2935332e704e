"""Numbers that follow from the dimension of space."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.models.dimension import kinetic_degrees


@pytest.mark.parametrize("dimension", [2, 3])
def test_degrees_of_freedom_are_those_that_leave_the_centre_at_rest(
    dimension: int,
) -> None:
    """The rank of what takes the mean velocity away."""
    n = 5
    away = np.kron(np.eye(n) - 1 / n, np.eye(dimension))
    assert kinetic_degrees(n, dimension) == np.linalg.matrix_rank(away)
