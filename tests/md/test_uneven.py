"""Frames that are not equally spaced: displacements at the lags there are."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.errors import CoordinateError, QuantityError, RangeError
from xbp.md import models

from .conftest import walk

EVEN = walk(40, 12, cell=np.diag([9.0, 10, 11]))
LOG = [0, 1, 2, 4, 8, 16, 32]


def test_log_spaced_frames_have_the_displacements_of_their_pairs() -> None:
    log = EVEN.isel(time=LOG)
    found = log.bp.msd()
    r = log.position.values
    lags = np.array(LOG)[:, None] - np.array(LOG)
    unique = np.unique(lags[lags >= 0])
    np.testing.assert_allclose(found.time, 0.05 * unique, atol=1e-12)
    for lag, value, n in zip(
        unique, found.msd.values, found.n_pairs.values, strict=True
    ):
        j, i = np.nonzero(lags == lag)
        exact = ((r[j] - r[i]) ** 2).sum(axis=-1).mean()
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-12)
        assert n == i.size
    by_element = log.bp.msd(partials=True)
    total = (by_element.msd * by_element.weight).sum("element")
    np.testing.assert_allclose(total, found.msd, atol=1e-12)
    short = log.bp.msd(time_max="0.2 ps")
    np.testing.assert_allclose(short.msd, found.msd[: short.sizes["time"]])
    assert float(short.time[-1]) == pytest.approx(0.2)
    assert float(found.temperature) == 300
    with pytest.raises(QuantityError, match="window='1 ps' is not used"):
        log.bp.msd(window="1 ps")
    with pytest.raises(RangeError, match="no two frames"):
        log.bp.msd(time_max="0.01 ps")
    with pytest.raises(CoordinateError, match="not equally spaced"):
        log.bp.vdos()


def test_even_frames_are_not_uneven_by_rounding() -> None:
    rounded = EVEN.assign_coords(time=("time", np.round(EVEN.time.values, 6), {"units": "ps"}))  # fmt: skip
    assert "u2" in rounded.bp.msd(window="1 ps")


def test_atoms_that_move_by_half_the_cell_are_refused() -> None:
    gas = models.ideal_gas(30, 40, cell=4, T=3000, mass=4, time_step=0.05, seed=1).isel(
        time=[0, 1, 2, 38]
    )
    with pytest.raises(QuantityError, match="half the cell"):
        gas.bp.msd()
