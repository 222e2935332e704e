"""A new shape of `boson_peak` is one row of `SHAPES`: here one with four parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pytest

import xbp
from xbp.core.status import Status, statuses
from xbp.fitting.core import solve_function
from xbp.fitting.other_shapes import OTHERS, errors_of_shapes
from xbp.fitting.over_bins import places_in_bins
from xbp.fitting.peak import fit_shape, numbers_of
from xbp.fitting.shapes import SHAPES, Column, Method, PeakShape, Points

HALF = math.sqrt(2 * math.log(2))
E = np.linspace(0.5, 30, 120)


def curve(
    x: np.ndarray, energy: Any, height: Any, sigma: Any, power: Any
) -> np.ndarray:
    """A Gaussian of [(E/E₀)^λ − 1]/λ."""
    u = ((x / energy) ** power - 1) / power
    return np.asarray(height * np.exp(-((u / sigma) ** 2) / 2))


def full_width(p: np.ndarray) -> np.ndarray:
    energy, _, sigma, power = p.T
    upper, lower = ((1 + way * HALF * power * sigma) ** (1 / power) for way in (1, -1))
    return np.asarray(energy * (upper - lower))


def fit(points: Points) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fit it without derivatives, to means over bins."""
    x, y, weight, ends, free, known, bins = points
    places = [np.broadcast_to(at, y.shape) for at in places_in_bins(x, bins)]
    top = x[np.where(weight > 0, y, -np.inf).argmax(axis=1)]
    one = np.ones_like(top)

    def means(p: np.ndarray, *places: np.ndarray) -> np.ndarray:
        each = [curve(at, *p.T[:, :, None]) for at in places]
        return np.asarray(sum(each) / len(each))

    found = solve_function(
        means, y, weight, np.stack([top, one, 0.5 * one, 0.1 * one], axis=1), *places,
        known=known, low=np.array([0.01, 0, 0.01, 1e-3]), high=np.array([100, 10, 2, 2.0]),
    )  # fmt: skip
    chi2, covariance, stds = found.errors(free, known)
    steps = 1e-6 * np.eye(4)
    slopes = [
        (full_width(found.values + h) - full_width(found.values - h)) / 2e-6
        for h in steps
    ]
    width_std = np.sqrt(np.einsum("im,mij,jm->m", slopes, covariance, slopes))
    energy, height, sigma, power = found.values.T
    inside = (ends[0] < energy) & (energy < ends[1]) & found.converged
    return {
        "energy": energy, "energy_std": stds[:, 0], "height": height, "height_std": stds[:, 1],
        "width": full_width(found.values), "width_std": width_std, "chi2_reduced": chi2,
        "sigma": sigma, "power": power, "area": height * sigma * energy * math.sqrt(2 * math.pi),
    }, np.where(inside, Status.OK.code, Status.FAILED.code)  # fmt: skip


def fitted_curve(x: np.ndarray, found: Mapping[str, Any]) -> np.ndarray:
    return curve(x, *(found[name] for name in ("energy", "height", "sigma", "power")))


ROW = PeakShape(
    fit,
    fitted_curve,
    depth=0.5,
    further={
        "sigma": Column("1", "standard deviation of [(E/E₀)^λ − 1]/λ"),
        "power": Column("1", "λ"),
        "area": Column("x*y", "of a narrow peak"),
    },
)


def test_the_names_in_method_are_those_of_the_table() -> None:
    assert set(get_args(Method)) == set(SHAPES), "put the name in Method, beside SHAPES"


def test_a_row_is_all_that_a_shape_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its further numbers are columns with units, in the scale of the data."""
    monkeypatch.setitem(SHAPES, "power normal", ROW)  # type: ignore[misc]
    energies = np.array([5.0, 8.0])
    B = 3e-5 * curve(E, energies[:, None], 1.0, 0.5, 0.4)
    data = xbp.new_dataset(
        "reduced_dos",
        B,
        units="angstrom^2/meV^2",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": (E, "meV")},
    )
    for limits in (None, ("2 meV", "20 meV")):
        peak = data.bp.boson_peak("power normal", limits)  # type: ignore[arg-type]
        assert set(peak.status.values) == {"ok"}
        np.testing.assert_allclose(peak.energy, energies, rtol=1e-6)
        np.testing.assert_allclose(peak.height, 3e-5, rtol=1e-6)
        np.testing.assert_allclose(peak.sigma, 0.5, rtol=1e-5)
        np.testing.assert_allclose(peak.power, 0.4, rtol=1e-5)
        area = 3e-5 * 0.5 * energies * math.sqrt(2 * math.pi)
        np.testing.assert_allclose(peak.area, area, rtol=1e-5)
        assert peak.area.attrs["units"] == "angstrom**2/meV"
        assert "background" not in peak
    one = data.isel(Q=0)
    x, y = one.bp.plot.peak(peak.isel(Q=0)).lines[-2].get_data()
    np.testing.assert_allclose(y, 3e-5 * curve(x, 5.0, 1.0, 0.5, 0.4), rtol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 100.0])
@pytest.mark.parametrize(("sigma", "status"), [(0.8, "ok"), (2.6, "no maximum")])
def test_a_gaussian_wider_than_its_range_is_a_parabola_wherever_it_is(
    shift: float, sigma: float, status: str
) -> None:
    """A range of 2 meV, with errors of 1e-6, which tell even that one from a line."""
    x = np.linspace(2, 4, 60) + shift
    B = np.exp(-((x - shift - 3.1) ** 2) / (2 * sigma**2))[None]
    every = np.ones(B.shape, dtype=bool)
    numbers, code = fit_shape(x, B, np.full(B.shape, 1e-6), every, "gaussian")
    assert statuses(code[0]) == status
    if status == "ok":
        column = dict(zip(numbers_of("gaussian"), numbers[0], strict=True))
        assert column["energy"] - shift == pytest.approx(3.1)
        assert column["width"] == pytest.approx(2 * HALF * sigma)


def test_a_log_normal_is_at_its_own_points() -> None:
    """As far as noise hides other shapes it may be off, by no more than they move it."""
    y = np.exp(-(np.log(E / 5.0) ** 2) / (2 * 0.4**2))[None]
    ends, free = (np.array([E[0]]), np.array([E[-1]])), np.array([E.size - 3.0])
    off = []
    for weight in (1e3, 1e4):
        points = Points(E, y, np.full(y.shape, weight), ends, free, True, 0.0)
        column, status = SHAPES["lognormal"].fit(points)
        assert status == Status.OK.code
        others = np.stack([column[name] for name in OTHERS], axis=-1)
        moved = (errors_of_shapes(others, pooled=False)[0] ** 2).sum(axis=-1) ** 0.5
        off.append(moved * [5.0, 1.0, 5.0])
        for name, one in zip(("energy", "height", "width"), off[-1], strict=True):
            assert 0 < abs(one) < 3 * column[f"{name}_std"][0], name
    # As the noise.
    np.testing.assert_allclose(np.abs(off[0]), 10 * np.abs(off[1]), rtol=0.01)
