"""The covariance of a step between two points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xbp.fitting.step import _Search


@pytest.mark.parametrize("within", [True, False])
def test_a_step_between_points_is_anywhere_and_the_others_follow(within: bool) -> None:
    """A linear model with a prior of the variance of the interval, w²/12."""
    rng = np.random.default_rng(4)
    jacobian, error, width = rng.normal(size=(9, 3)), 0.3, 0.7
    search: Any = SimpleNamespace(
        rest=np.array([True, False, True]), edge=1, within=within,
        ends=np.array([1.0, 2.0, 2.0 + width]),
    )  # fmt: skip
    found = _Search._within_interval(search, jacobian, 1, error)
    information = jacobian.T @ jacobian / error**2
    if not within:  # the points do not determine it
        rest = np.ix_([0, 2], [0, 2])
        inner = np.linalg.inv(information[rest])
        information[1, 1] = information[[0, 2], 1] @ inner @ information[[0, 2], 1]
    information[1, 1] += 12 / width**2
    np.testing.assert_allclose(found, np.linalg.inv(information), rtol=1e-9)
