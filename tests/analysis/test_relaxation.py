"""Relaxation times of correlations that decay in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.relaxation import decay_time
from xbp.errors import CoordinateError, RangeError

T, Q = np.linspace(0, 6, 61), np.array([0.2, 1.0, 2.0])


def decay(power: float = 1.0) -> xr.Dataset:
    F = np.exp(-((T * Q[:, None] / 3) ** power))
    coords = {"Q": (Q, "1/angstrom"), "time": (T, "ps")}
    return xbp.new_dataset(
        "intermediate_scattering_function", F, units="1", coords=coords,
        std=np.full(F.shape, 0.01),
    )  # fmt: skip


@pytest.mark.parametrize("power", [1.0, 0.6, 2.0])
def test_times_of_exponentials(power: float, tmp_path: Path) -> None:
    found = decay(power).bp.relaxation_time()
    np.testing.assert_allclose(found.tau[1:], 3 / Q[1:], rtol=1e-9)
    assert found.status.values.tolist() == ["no crossing", "ok", "ok"]
    assert np.isnan(found.tau[0])
    assert found.tau.attrs["units"] == "ps"
    lazy = decay(power).chunk().bp.relaxation_time()
    assert lazy.tau.chunks is not None
    xr.testing.assert_allclose(lazy.tau.compute(), found.tau)
    found.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), found)


def test_the_error_is_that_of_f_over_its_slope() -> None:
    rng = np.random.default_rng(0)
    many = decay().expand_dims(run=300).copy(deep=True)
    many["F"] = (many.F + rng.normal(0, 0.01, many.F.shape)).assign_attrs(
        decay().F.attrs
    )
    found = many.bp.relaxation_time().isel(Q=slice(1, None))  # the first stays above
    pull = found.tau.std("run") / found.tau_std.mean("run")
    np.testing.assert_allclose(pull, 1, atol=0.3)


def test_what_has_no_beginning_is_refused() -> None:
    with pytest.raises(CoordinateError, match="begins at t = 1"):
        decay().sel(time=slice(0.95, None)).bp.relaxation_time()
    with pytest.raises(RangeError, match="level"):
        decay().bp.relaxation_time(level=1.5)


def test_a_fall_between_two_points_is_interpolated_between_them() -> None:
    """exp(−t) seen at 0.2 and 2, on either side of all that is near 1/e."""
    t = np.array([0.0, 0.2, 2.0, 10.0])
    tau, _ = decay_time(np.exp(-t), np.array(np.nan), time=t, level=np.exp(-1))
    assert tau == pytest.approx(1, rel=1e-12)


def test_noise_below_zero_has_no_logarithm() -> None:
    """exp(−t) at points of which one is below zero: the others are on the line."""
    t = np.arange(0, 3, 0.21)
    F = np.exp(-t)
    F[6] = -0.01
    tau, _ = decay_time(F, np.array(np.nan), time=t, level=np.exp(-1))
    assert tau == pytest.approx(1, rel=1e-12)
