"""The engine agrees with scipy's curve_fit, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import curve_fit

import xbp
from xbp.core.status import statuses
from xbp.fitting.core import _sizes, solve, solve_function
from xbp.fitting.many import _misses
from xbp.fitting.peak import fit_shape, numbers_of
from xbp.fitting.shapes import gaussian_on_line, log_normal, status_of
from xbp.fitting.top import around_top, polynomial, top_of_points

E = np.linspace(1.5, 15, 60)
TIGHT = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "maxfev": 10_000}


def one_by_one(
    shape: Callable[[np.ndarray], Any],
    y: np.ndarray,
    sigma: np.ndarray,
    start: np.ndarray,
    known: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters and stds of curve_fit with the analytic Jacobian."""
    values, stds = [], []
    for row, error in zip(y, sigma, strict=True):
        found, covariance = curve_fit(
            lambda _, *p: shape(np.array([p]))[0][0],
            E,
            row,
            start,
            error,
            jac=lambda _, *p: shape(np.array([p]))[1][:, 0].T,
            absolute_sigma=known,
            **TIGHT,
        )
        values.append(found)
        stds.append(np.sqrt(np.diag(covariance)))
    return np.array(values), np.array(stds)


SHAPES = {
    "log-normal": (log_normal(np.log(E)), [np.log(5.5), 0.0, 0.5]),
    "gaussian": (gaussian_on_line(E), [6.0, 1.0, 2.0]),
    "gaussian on a constant": (gaussian_on_line(E), [6.0, 1.0, 2.0, 0.2]),
    "gaussian on a line": (gaussian_on_line(E), [6.0, 1.0, 2.0, 0.2, 0.01]),
}


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-9])
@pytest.mark.parametrize("name", list(SHAPES))
def test_parameters_and_errors_are_those_of_curve_fit(
    name: str, scale: float, known: bool
) -> None:
    shape, truth = SHAPES[name]
    true = np.array(truth)
    if name == "log-normal":
        true[1] += np.log(scale)
    else:
        true[[1, *range(3, len(true))]] *= scale
    rng = np.random.default_rng(0)
    sigma = scale * rng.uniform(0.01, 0.03, (40, E.size))
    # Another shape too, as real spectra have.
    other = 0.05 * scale * np.sin(E) * (np.arange(40) % 2)[:, None]
    y = shape(true[None])[0] + other + sigma * rng.standard_normal(sigma.shape)
    start = true * 1.05
    found = solve(shape, y, 1 / sigma, np.tile(start, (40, 1)), known=known)
    values, stds = one_by_one(shape, y, sigma, start, known)
    own = np.sqrt(found.covariance[:, range(len(true)), range(len(true))])
    own *= 1.0 if known else np.sqrt(found.chi2 / (E.size - len(true)))[:, None]
    assert found.converged.all()
    np.testing.assert_allclose((found.values - values) / stds, 0, atol=1e-5)
    np.testing.assert_allclose(own, stds, rtol=1e-4)


def test_bounds_hold_and_stop_a_parameter() -> None:
    shape, truth = SHAPES["gaussian on a constant"]
    y = shape(np.array([truth]))[0]
    high = np.array([np.inf, 0.8, np.inf, np.inf])
    start = np.array([[6.2, 0.7, 1.8, 0.1]])
    found = solve(shape, y, np.ones_like(y), start, known=True, high=high)
    assert found.converged.all()
    assert found.values[0, 1] == 0.8
    rest = curve_fit(
        lambda x, e, s, c: shape(np.array([[e, 0.8, s, c]]))[0][0],
        E,
        y[0],
        (6, 2, 0.1),
        **TIGHT,
    )[0]
    np.testing.assert_allclose(found.values[0, [0, 2, 3]], rest, rtol=1e-6)


def test_what_the_data_do_not_determine_has_no_finite_error() -> None:
    def twice(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one = np.ones((len(p), E.size))
        return p[:, :1] + p[:, 1:] + 0 * one, np.stack([one, one])

    y = np.ones((1, E.size))
    found = solve(twice, y, y, np.zeros((1, 2)), known=True)
    assert not np.isfinite(found.covariance).any()


@pytest.mark.parametrize("method", ["lognormal", "gaussian"])
def test_boson_peak_and_fit_are_those_of_curve_fit(method: str) -> None:
    rng = np.random.default_rng(1)
    Q = np.arange(1.0, 9.0)
    clean = np.exp(-(np.log(E / (5 + 0.1 * Q[:, None])) ** 2) / 0.6)
    if method == "gaussian":
        clean = np.exp(-((E - 7 - 0.1 * Q[:, None]) ** 2) / 8) + 0.1
    std = np.full(clean.shape, 0.02)
    b = xbp.new_dataset(
        "reduced_dos",
        clean + std * rng.standard_normal(clean.shape),
        units="1",
        std=std,
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )
    peak = b.bp.boson_peak(method, E_range=(1, 15))
    shape = log_normal(np.log(E)) if method == "lognormal" else gaussian_on_line(E)
    start = np.array(
        [np.log(5.5), 0.0, 0.5] if method == "lognormal" else [7.5, 1, 2, 0.1, 0]
    )
    values, stds = one_by_one(shape, b.B.values, std, start, True)
    place, error = values[:, 0], stds[:, 0]
    if method == "lognormal":
        place, error = np.exp(place), np.exp(place) * error
    assert (peak.status == "ok").all()
    np.testing.assert_allclose((peak.energy - place) / error, 0, atol=1e-5)
    common = peak.get("energy_std_common", xr.zeros_like(peak.energy)) ** 2
    common = common.sum("source") if "source" in common.dims else common
    own = (peak.energy_std**2 - common) ** 0.5
    np.testing.assert_allclose(own, error, rtol=1e-4)
    if method == "lognormal":
        table = b.bp.fit("lognormal", "E")
        np.testing.assert_allclose((table.energy - place) / error, 0, atol=1e-5)
        np.testing.assert_allclose(table.energy_std, error, rtol=1e-4)
        # The same whether fitted at once or one by one, as with bounds.
        alone = b.bp.fit("lognormal", "E", bounds={"sigma": (0.01, 10)})
        for column in ("energy", "height", "sigma"):
            apart = (table[column] - alone[column]) / alone[f"{column}_std"]
            np.testing.assert_allclose(apart, 0, atol=1e-5)
        xr.testing.assert_allclose(table.correlation, alone.correlation, rtol=1e-4)


@pytest.mark.parametrize(("target", "found"), [(300.0, 200.0), (10.0, 50.0)])
def test_one_curve_stops_at_a_bound_far_from_its_start(
    target: float, found: float
) -> None:
    y = np.full((1, 3), target)
    end = solve_function(
        lambda p: p + np.zeros(3), y, np.ones_like(y), np.array([[100.0]]),
        known=True, low=50.0, high=200.0,
    )  # fmt: skip
    assert end.converged.all()
    assert end.values[0, 0] == pytest.approx(found, rel=1e-6)
    assert end.at_bound.all()


@pytest.mark.parametrize("start", [0.0, -1.0, 0.9])
def test_a_millionth_from_a_limit_is_at_it_wherever_the_fit_starts(
    start: float,
) -> None:
    def level(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return p + np.zeros(3), np.ones((1, len(p), 3))

    y = np.full((1, 3), 1.0 - 1e-6)
    begin = np.array([[start]])
    found = solve(level, y, np.ones_like(y), begin, known=True, high=1.0)
    assert found.values[0, 0] == pytest.approx(1.0 - 1e-6, rel=1e-9)
    assert found.at_bound.all()


@pytest.mark.slow
def test_best_linear_parameters_at_each_step_lead_out_of_bent_valleys() -> None:
    """A wide Gaussian and a line that nearly cancel: slow with all five at once."""
    x, rng = np.linspace(2, 6, 30), np.random.default_rng(0)
    centre = rng.uniform(-1, 1, (20, 1))
    y = 20 * np.exp(-((x - centre) ** 2) / 2 / 6**2) - 19 + 1.5 * x
    start = np.tile([4.0, 0.5, 1.0, y.min(), 0.0], (20, 1))
    arguments = (gaussian_on_line(x), y, np.ones_like(y), start)
    quick = solve(*arguments, known=True, linear=(1, 3, 4), max_steps=60)
    slow = solve(*arguments, known=True, max_steps=60)
    whole = solve(*arguments, known=True, max_steps=2000)
    assert (quick.converged.sum(), slow.converged.sum()) == (20, 0)
    np.testing.assert_allclose(quick.values[:, :1], centre, atol=1e-3)
    np.testing.assert_allclose(quick.values, whole.values, rtol=1e-2)


def test_a_spectrum_of_zeros_has_no_range() -> None:
    """It has points, but none of them says where a maximum may be."""
    B = np.stack(
        [np.zeros(E.size), log_normal(np.log(E))(np.array([[1.7, 0, 0.5]]))[0][0]]
    )
    numbers, status = fit_shape(E, B, None, np.ones(B.shape, dtype=bool), "lognormal")
    assert statuses(status).tolist() == ["no maximum", "ok"]
    column = dict(zip(numbers_of("lognormal"), numbers.T, strict=True))
    assert np.isnan(column["low"][0])
    assert np.isnan(column["high"][0])
    assert (column["low"][1], column["high"][1]) == (E[0], E[-1])
    assert column["n_points"].tolist() == [E.size, E.size]


@pytest.mark.parametrize(
    ("energy", "height", "width", "expected"),
    [
        ((6.0, 0.1), (1.0, 0.1), (2.0, 0.3), "ok"),
        ((6.0, 0.1), (1.0, 0.1), (2.0, 0.5), "no maximum"),  # its bend is noise
        ((6.0, 0.1), (1.0, 0.3), (2.0, 0.3), "no maximum"),
        ((6.0, 6.0), (1.0, 0.1), (2.0, 0.3), "no maximum"),
        ((2.1, 0.1), (1.0, 0.1), (2.0, 0.3), "maximum at edge"),
        ((9.9, 0.1), (1.0, 0.1), (2.0, 0.3), "maximum at edge"),
        ((6.0, np.nan), (1.0, 0.1), (2.0, 0.3), "fit failed"),
    ],
)
def test_what_a_maximum_needs(
    energy: tuple[float, float],
    height: tuple[float, float],
    width: tuple[float, float],
    expected: str,
) -> None:
    """2.5 standard deviations inside 2 to 10; height and width five of theirs."""
    found = status_of(
        (np.array([2.0]), np.array([10.0])),
        *(np.array(pair)[:, None] for pair in (energy, height, width)),
    )
    assert statuses(found[0]) == expected


@pytest.mark.parametrize("std", [None, 0.02])
def test_a_parabola_whose_bins_are_uneven(std: float | None) -> None:
    """Its top is not the middle of its bins."""
    x = np.geomspace(2.0, 20.0, 60)
    B = (3 - ((x - 9) / 8) ** 2)[None]
    errors = None if std is None else np.full(B.shape, std)
    numbers, status = fit_shape(x, B, errors, np.ones(B.shape, dtype=bool), "quadratic")
    column = dict(zip(numbers_of("quadratic"), numbers[0], strict=True))
    assert statuses(status[0]) == "ok"
    assert column["energy"] == pytest.approx(9)
    assert column["height"] == pytest.approx(3)
    assert column["width"] == pytest.approx(2 * 8 * np.sqrt(1.5))


def test_the_bins_of_a_top_do_not_depend_on_its_scale() -> None:
    y = np.exp(-((np.arange(40.0) - 18) ** 2) / 60)[None]
    everywhere = np.ones(y.shape, dtype=bool)
    bins = around_top(y, everywhere)
    np.testing.assert_array_equal(around_top(0.5 * y, everywhere), bins)
    assert 7 <= bins.sum() < 20
    assert bins[0, 18]


@pytest.mark.parametrize(
    ("curve", "place"),
    [
        (lambda x: 1 - (np.log(x / 9) / 0.8) ** 2, 9.0),
        (lambda x: 1 - (np.log((19 - x) / 10.5) / 0.8) ** 2, 8.5),
        (lambda x: 1 / (1 + ((x - 8.7) / 5) ** 2), 8.7),
    ],
)
def test_the_top_of_the_polynomial_is_that_of_the_points(
    curve: Callable[[np.ndarray], np.ndarray], place: float
) -> None:
    """Parabolas in ln E and its mirror image, and a Lorentzian, from beside their tops."""
    x = np.linspace(6.0, 12.0, 40)
    start = (np.array([9.4]), np.array([0.95]), np.array([-0.02]))
    ends = np.array([6.0]), np.array([12.0])
    energy, height, _, _ = top_of_points(
        x, curve(x)[None], np.full((1, 40), 1e3), 0.0, start, ends
    )
    assert energy[0, 0] == pytest.approx(place, abs=0.02)
    assert height[0, 0] == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("n", [4, 9, 90])
def test_what_few_points_leave_open_of_a_top_is_in_its_error(n: int) -> None:
    """Rows that say how large the orders above the second are, beside those of points.

    In u = x/9 − 1 the parabola is 1 − q u², q = (9/4)².
    """
    x = np.linspace(7.0, 11.0, n)
    y, weight = 1 - ((x - 9) / 4) ** 2, 50.0
    start = (np.array([9.0]), np.array([1.0]), np.array([-1 / 16]))
    ends = np.array([7.0]), np.array([11.0])
    energy, height, chi2, fitted = top_of_points(
        x, y[None], np.full((1, n), weight), 0.0, start, ends
    )
    assert energy[0, 0] == pytest.approx(9)
    assert height[0, 0] == pytest.approx(1)
    assert chi2[0] == pytest.approx(0, abs=1e-9)
    u = x / 9 - 1
    # The Lorentzian 1/(1 + q u²) through the same points is the more pointed one.
    c, b, a = np.polyfit(u, 1 / y, 2, w=weight * y**2)
    q = c / (a - b * b / (4 * c))
    assert q > (9 / 4) ** 2
    spread = [2 * q, q**2 + 2 * q, q**2.5 + 2 * q, q**3 + 2 * q]
    rows = weight * u[:, None] ** np.arange(7)
    known = np.eye(7)[3:] / np.array(spread)[:, None]
    covariance = np.linalg.inv(rows.T @ rows + known.T @ known)
    std = covariance.diagonal() ** 0.5
    # The top moves by minus the slope over the curvature.
    bend = (9 / 4) ** 2
    moved = std[1] / (2 * bend)
    assert energy[0, 1] == pytest.approx(9 * moved)
    assert height[0, 1] == pytest.approx(np.hypot(std[0], bend * moved**2))
    assert fitted[0] == pytest.approx(np.trace(rows @ covariance @ rows.T))


def test_the_size_of_a_parameter_is_where_it_moves_the_curve_by_a_thousandth() -> None:
    """Of 1e-5 beside data of 1, a step of 1e-2; of 10 its own."""
    for start, size in ((1e-5, 1e-2), (10.0, 10.0), (0.0, 1.0)):
        found = _sizes(
            lambda p: p + np.zeros(4),
            np.ones((1, 4)),
            np.full((1, 4), 3.0),
            np.array([[start]]),
            np.array([[False]]),
        )
        np.testing.assert_allclose(found, [[size]])


def test_a_polynomial_of_means_over_bins_is_that_of_the_curve() -> None:
    """Gauss's rule of two points is exact up to the third order."""
    low = np.array([-3.0, -2.5, -1.0, 0.0, 0.4, 2.0])
    half = np.array([0.25, 0.75, 0.5, 0.2, 0.8, 0.5])
    powers = np.array([2.0, -1.0, 0.5, 0.3])
    whole = np.polynomial.polynomial.polyint(powers)
    first, last = (
        np.polynomial.polynomial.polyval(end, whole) for end in (low, low + 2 * half)
    )
    means = (last - first) / (2 * half)
    found, _, chi2 = polynomial(
        (low + half)[None], means[None], np.ones((1, 6)), 3, half
    )
    np.testing.assert_allclose(found[:, 0], powers, atol=1e-9)
    assert chi2[0] < 1e-15


def test_a_fit_without_errors_misses_its_points_by_more_than_their_scatter() -> None:
    """Twice the noise in the residuals, whatever the unit."""
    noise = np.random.default_rng(3).standard_normal((1, 60))
    wave = np.sin(np.arange(60) / 9)[None]
    for unit in (1e-3, 1.0, 1e3):
        for left, expected in ((noise, False), (noise + 2 * wave, True)):
            y = unit * left
            chi2 = (y**2).sum(axis=1) / 57
            seen = _misses(y, np.ones((1, 60), dtype=bool), chi2, 57.0, known=False)
            assert bool(seen[0]) is expected
