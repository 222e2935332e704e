from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from xbp.core import constants
from xbp.models.debye_einstein import (
    EINSTEIN_MAXIMUM,
    debye_dos,
    debye_einstein,
    debye_heat_capacity,
    dos_maximum,
    dos_weights,
    einstein_heat_capacity,
    fit_starts,
    gaussian_dos,
    gaussian_einstein_heat_capacity,
    mode_heat_capacity,
)

R = scipy.constants.R


@given(theta=st.floats(50, 800), t=st.floats(1e-3, 0.02))
def test_the_law_of_t_cubed(theta: float, t: float) -> None:
    C = debye_heat_capacity(np.array([t * theta]), theta)
    np.testing.assert_allclose(C, 12 * np.pi**4 / 5 * R * t**3, rtol=1e-9)


@given(theta=st.floats(50, 800))
def test_dulong_and_petit(theta: float) -> None:
    T = np.array([200 * theta])
    for C in (
        debye_heat_capacity(T, theta), einstein_heat_capacity(T, theta),
        gaussian_einstein_heat_capacity(T, theta, theta / 3),
    ):  # fmt: skip
        np.testing.assert_allclose(C, 3 * R, rtol=1e-5)
    np.testing.assert_allclose(
        debye_einstein(T, 0, 0.6, theta, 0.7, theta, theta / 4), 3 * R * 1.3, rtol=1e-5
    )
    np.testing.assert_allclose(
        debye_einstein(T, 0.5, 0.6, theta, 0.7, theta, theta / 4),
        3 * R * 1.3 + 0.5 * T,
        rtol=1e-5,
    )


def test_debye_function_against_quadrature() -> None:
    for x in (0.01, 0.5, 3.0, 20.0, 59.0, 61.0, 170.0):
        expected, _ = scipy.integrate.quad(
            lambda z: z**2 * float(mode_heat_capacity(z)), 0, min(x, 80), epsrel=1e-13
        )
        C = debye_heat_capacity(np.array([300 / x]), 300.0)
        np.testing.assert_allclose(C, 9 * R * expected / x**3, rtol=1e-11)


def test_gaussian_against_quadrature() -> None:
    for T in (1.8, 6.0, 40.0, 300.0):
        for theta, sigma in ((72.0, 5.0), (72.0, 20.0), (72.0, 60.0), (30.0, 100.0)):

            def weight(t: float) -> float:
                return float(np.exp(-((t - theta) ** 2) / (2 * sigma**2)))  # noqa: B023

            options = {"epsrel": 1e-12, "limit": 400, "points": [theta]}
            top, _ = scipy.integrate.quad(
                lambda t: weight(t) * float(mode_heat_capacity(t / T)),  # noqa: B023
                0, theta + 9 * sigma, **options,
            )  # fmt: skip
            norm, _ = scipy.integrate.quad(weight, 0, theta + 9 * sigma, **options)
            C = gaussian_einstein_heat_capacity(np.array([T]), theta, sigma)
            np.testing.assert_allclose(C, 3 * R * top / norm, rtol=1e-8)


def test_where_einstein_over_t_cubed_is_largest() -> None:
    x = np.linspace(4.9, 4.96, 600_001)
    curve = mode_heat_capacity(x) * x**3
    assert x[curve.argmax()] == pytest.approx(EINSTEIN_MAXIMUM, abs=1e-6)
    assert pytest.approx(4.92812, abs=5e-6) == EINSTEIN_MAXIMUM


@pytest.mark.slow
@given(mean=st.floats(2, 20), ratio=st.floats(0.02, 0.34))
def test_where_a_gaussian_over_e_squared_is_largest(mean: float, ratio: float) -> None:
    E = np.linspace(mean / 2, mean, 200_001)
    reduced = np.exp(-((E - mean) ** 2) / (2 * (ratio * mean) ** 2)) / E**2
    assert dos_maximum(mean, ratio * mean) == pytest.approx(
        E[1:-1][reduced[1:-1].argmax()], rel=1e-4
    )


def test_a_broad_gaussian_has_no_maximum_over_e_squared() -> None:
    E = np.linspace(0.01, 30, 100_000)
    reduced = np.exp(-((E - 6) ** 2) / (2 * (6 * 0.36) ** 2)) / E**2
    assert (np.diff(reduced) < 0).all()
    assert np.isnan(dos_maximum(6.0, 6 * 0.36))
    assert np.isfinite(dos_maximum(6.0, 6 * 0.353))


@pytest.mark.slow
def test_densities_of_states_have_unit_area() -> None:
    E = np.linspace(0, 200, 2_000_001)
    for g in (
        debye_dos(E, 300.0),
        gaussian_dos(E, 72.0, 20.0),
        gaussian_dos(E, 40.0, 100.0),
    ):
        assert np.trapezoid(g, E) == pytest.approx(1, abs=1e-4)
    assert debye_dos(np.array([-1.0, 1e3]), 300.0).tolist() == [0, 0]


@given(T=st.floats(3, 400), n=st.integers(40, 120))
def test_a_debye_density_of_states_is_integrated_exactly_up_to_its_edge(
    T: float, n: int
) -> None:
    cutoff = constants.BOLTZMANN_MEV * 300
    E = np.linspace(0.5, cutoff, n)
    C = 3 * R * dos_weights(E, np.array([T])) @ debye_dos(E * (1 - 1e-15), 300.0)
    # Four nodes between two points, which are up to 2 k_BT apart.
    np.testing.assert_allclose(C, debye_heat_capacity(np.array([T]), 300.0), rtol=1e-3)


def test_weights_close_the_loop_with_the_gaussian() -> None:
    E, T = np.linspace(0.05, 40, 800), np.array([2.0, 5.0, 10.0, 50.0, 300.0])
    C = 3 * R * dos_weights(E, T) @ gaussian_dos(E, 72.0, 15.0)
    np.testing.assert_allclose(
        C, gaussian_einstein_heat_capacity(T, 72.0, 15.0), rtol=2e-3
    )
    np.testing.assert_allclose(
        C[1:], gaussian_einstein_heat_capacity(T[1:], 72.0, 15.0), rtol=2e-4
    )
    np.testing.assert_allclose(
        dos_weights(E, np.array([np.inf])) @ gaussian_dos(E, 72.0, 15.0), 1, rtol=1e-4
    )


def test_temperatures_of_any_shape() -> None:
    T = np.geomspace(2, 300, 6)
    row = debye_heat_capacity(T, 260.0)
    np.testing.assert_allclose(debye_heat_capacity(T.reshape(2, 3), 260.0).ravel(), row)
    assert float(debye_heat_capacity(np.asarray(T[2]), 260.0)) == pytest.approx(row[2])


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [2e-3, -2e-4])
@pytest.mark.parametrize("held", [{}, {"gamma": 0.02}, {"n_D": 0.8, "n_E": 0.0}])
def test_a_fit_starts_where_non_negative_amounts_fit_best(
    held: dict[str, float], gamma: float
) -> None:
    """Of many temperatures, each with amounts by scipy's least squares, the best."""
    T = np.geomspace(2, 300, 40)
    C = debye_einstein(T, gamma, 0.8, 260.0, 0.2, 72.0, 15.0)
    C *= 1 + 0.02 * np.random.default_rng(1).standard_normal(T.size)
    T, C = T[C > 0], C[C > 0]
    thetas = {"theta_D": (200.0, 320.0), "theta_E": (60.0, 90.0)}
    found = fit_starts(T, C, held | {"sigma_E": 15.0}, thetas)[0]
    whole = held | {"sigma_E": 15.0} | found

    def misfit(theta_D: float, theta_E: float) -> tuple[float, dict[str, float]]:
        shapes = {
            "gamma": T,
            "n_D": debye_heat_capacity(T, theta_D),
            "n_E": gaussian_einstein_heat_capacity(T, theta_E, 15.0),
        }
        left = C - sum(held.get(name, 0.0) * shapes[name] for name in shapes)
        free = [name for name in shapes if name not in held]
        columns = np.stack([shapes[name] / C for name in free], axis=1)
        amounts, norm = scipy.optimize.nnls(columns, left / C)
        return norm, dict(zip(free, amounts, strict=True))

    least, amounts = misfit(whole["theta_D"], whole["theta_E"])
    for name, amount in amounts.items():
        least_amount = 1e-2 if name.startswith("n_") else 0.0
        assert found[name] == pytest.approx(max(amount, least_amount))
    for theta_D in np.geomspace(80, 900, 60).clip(200, 320):
        for theta_E in np.geomspace(25, 200, 16).clip(60, 90):
            assert misfit(theta_D, theta_E)[0] >= least * (1 - 1e-9)


def test_a_fit_starts_at_the_temperature_of_the_maximum() -> None:
    """Between those of the grid, 54 and 62 K."""
    T = np.geomspace(2, 100, 200)
    C = debye_einstein(T, 0.0, 0.5, 300.0, 0.5, 58.0, 3.0)
    found = fit_starts(T, C)[0]["theta_E"]
    top = T[np.argmax(C / T**3)]
    assert found == pytest.approx(EINSTEIN_MAXIMUM * top)


def test_one_point_is_enough_for_a_start() -> None:
    """Which one point does not determine, but it gives what was measured."""
    T = np.array([12.0])
    found = fit_starts(T, debye_einstein(T, 0.0, 0.8, 260.0, 0.2, 72.0, 15.0))[0]
    assert found["theta_D"] >= 80
    assert debye_einstein(T, **found) == pytest.approx(0.742, rel=0.1)
