"""Media with fluctuating elastic constants: exact limits, and numbers found otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st

import xbp
from xbp.models.disorder import (
    critical_disorder,
    elastic_self_energy,
    fluctuating_elasticity,
    fluctuating_elasticity_dos,
    heterogeneous_elasticity_dos,
)
from xbp.models.medium import medium_dos


@pytest.mark.parametrize("disorder", [0.0, 0.02, 0.15, 0.245])
def test_fluctuating_elasticity_solves_its_equation(disorder: float) -> None:
    E = np.array([0.05, 0.3, 0.7, 1.3]) * 25
    s = fluctuating_elasticity(E, 25.0, disorder)
    assert (s.imag <= 0).all()
    for x, found in zip(E / 25, s, strict=True):
        if found.imag > -1e-3:
            continue  # next to a pole on the path there is no quadrature
        parts = [
            scipy.integrate.quad(
                lambda k, part=part, x=x, s=found: getattr(3 * k**4 / (k**2 * s - x**2), part), 0, 1, limit=900,
                points=[min(x / np.sqrt(abs(found)), 1.0)],
            )[0]
            for part in ("real", "imag")
        ]  # fmt: skip
        assert found == pytest.approx(
            1 - disorder * (parts[0] + 1j * parts[1]), abs=1e-6
        )


@pytest.mark.slow
@given(st.floats(0, 0.24), st.floats(0.5, 80), st.floats(0.1, 10))
@example(1e-14, 1.0, 1.0)
def test_fluctuating_elasticity_keeps_the_modes_and_debyes_law(
    disorder: float, energy_D: float, area: float
) -> None:
    E = np.linspace(0, 1.7, 3401) * energy_D
    g = fluctuating_elasticity_dos(E, area, energy_D, disorder)
    assert (g >= 0).all()
    assert (g[1.6 * energy_D < E] < 1e-12 * g.max()).all()
    assert np.trapezoid(g, E) == pytest.approx(area, rel=1e-3)
    low = 1e-3 * energy_D * np.sqrt(1 - 4 * disorder)
    s0 = (1 + np.sqrt(1 - 4 * disorder)) / 2
    level = (
        fluctuating_elasticity_dos(np.array([low]), area, energy_D, disorder)[0]
        / low**2
    )
    assert level == pytest.approx(3 * area / energy_D**3 / s0**1.5, rel=1e-3)


@pytest.mark.parametrize("disorder", [1e-14, 1e-6, 0.01, 0.2])
def test_beyond_its_band_no_wave_dies_out(disorder: float) -> None:
    E = np.linspace(1.6, 3, 50)
    assert (abs(fluctuating_elasticity(E, 1.0, disorder).imag) < 1e-15).all()


def test_rayleighs_law_and_a_boson_peak() -> None:
    E = np.array([1e-3, 2e-3, 4e-3])
    s = fluctuating_elasticity(E, 1.0, 0.2)
    width = -E * s.imag / s.real
    np.testing.assert_allclose(np.diff(np.log(width)) / np.log(2), 4, atol=1e-2)
    fine = np.linspace(0.01, 1.2, 2000)
    tops = [
        fine[np.argmax(fluctuating_elasticity_dos(fine, 1, 1, d) / fine**2)]
        for d in (0.1, 0.2, 0.24)
    ]
    assert tops[0] > tops[1] > tops[2]
    assert 0.1 < tops[2] < 0.15
    assert np.isnan(fluctuating_elasticity(E, 1.0, 0.25)).all()
    assert np.isnan(fluctuating_elasticity_dos(E, 1.0, 1.0, -0.1)).all()


def test_without_fluctuations_it_is_debyes() -> None:
    E = np.array([0.0, 5.0, 19.0, 21.0])
    np.testing.assert_allclose(fluctuating_elasticity_dos(E, 2.0, 20.0, 0.0), [0, 2 * 3 * 25 / 8000, 6 * 361 / 8000, 0],
                               atol=1e-12)  # fmt: skip


def top_of(gamma: float, c2_L: float | None, constant: str = "lambda") -> np.ndarray:
    """Return where g/3ω² is largest, its value there, and over the softened Debye level."""
    a = 2.0 if constant == "lambda" else 4 / 3

    def g(x: np.ndarray) -> np.ndarray:
        s = elastic_self_energy(x, gamma, 1.0, c2_L, constant=constant)
        return medium_dos(x, 1 - s, None if c2_L is None else c2_L - a * s) / (3 * x**2)

    low, high = 0.02, 0.5
    for _ in range(3):
        x = np.linspace(low, high, 61)
        i = int(np.argmax(g(x)))
        low, high = x[i - 1], x[i + 1]
    level = g(np.array([1e-4]))[0]
    return np.array([x[i], 3 * g(x)[i], g(x)[i] / level])


@pytest.mark.parametrize(
    ("gamma", "expected"),
    [(0.10, (0.4022, 1.37666, 1.15062)), (0.20, (0.2331, 2.39977, 1.47715)),
     (0.23, (0.1553, 3.31374, 1.70229)), (0.24, (0.1180, 3.92702, 1.82511)),
     (0.245, (0.0921, 4.43301, 1.91127))],
)  # fmt: skip
def test_maximum_of_scalar_waves(gamma: float, expected: tuple[float, ...]) -> None:
    at, height, ratio = top_of(gamma, None)
    assert at == pytest.approx(expected[0], abs=6e-5)
    np.testing.assert_allclose([height / 3, ratio], expected[1:], rtol=1e-5)


def test_self_energy_of_scalar_waves() -> None:
    x = np.array([0.1, 0.5, 1.0])
    sigma = elastic_self_energy(x, 0.24, 1.0)
    expected = [0.4650829 + 0.0614188j, 0.2271797 + 0.3323592j, -0.1410465 + 0.3295793j]
    np.testing.assert_allclose(sigma, expected, atol=6e-8)
    g = [0.1137729, 0.9620844, 1.120852]
    np.testing.assert_allclose(medium_dos(x, 1 - sigma), g, atol=6e-7)
    low = np.array([1e-3])
    c2 = 1 - elastic_self_energy(np.array([0.0]), 0.24, 1.0)[0].real
    rate = elastic_self_energy(low, 0.24, 1.0).imag / low**3
    exact = 1.5 * np.pi * 0.24 * c2**-2.5 / (1 - 0.24 / c2**2)
    assert exact == pytest.approx(12.17, abs=0.02)
    assert rate[0] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    ("share", "constant", "expected"),
    [(0.9, "lambda", (0.1758, 6.67803, 1.63143)), (0.8, "lambda", (0.2406, 5.13114, 1.45472)),
     (0.95, "lambda", (0.1319, 8.12960, 1.77115)), (0.9, "bulk", (0.1735, 6.58790, 1.63250))],
)  # fmt: skip
def test_maximum_of_elastic_waves(
    share: float, constant: str, expected: tuple[float, ...]
) -> None:
    found = top_of(
        share * critical_disorder(1.0, 4.0, constant=constant), 4.0, constant
    )
    assert found[0] == pytest.approx(expected[0], abs=6e-5)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=2e-6)


def test_self_energy_of_elastic_waves() -> None:
    gamma = 0.9 * critical_disorder(1.0, 4.0)
    x = np.array([0.0, 0.1, 0.3, 1.0])
    sigma = elastic_self_energy(x, gamma, 1.0, 4.0)
    expected = [
        0.3620081,
        0.3968210 + 0.0086301j,
        0.3764827 + 0.2106655j,
        -0.0870534 + 0.3003075j,
    ]
    np.testing.assert_allclose(sigma, expected, atol=6e-8)
    g = medium_dos(x, 1 - sigma, 4 - 2 * sigma)
    np.testing.assert_allclose(g, [0, 0.0474435, 0.4539747, 0.8520009], atol=6e-8)


def test_self_energies_solve_their_equation_by_quadrature() -> None:
    """The residual is that of rounding, at the energies of the tables above."""
    u, weights = np.polynomial.legendre.leggauss(40)
    kappa = ((np.arange(40)[:, None] + (1 + u) / 2) / 40).ravel()
    weights = np.tile(weights / 80, 40)

    def response(x: float, c2: complex) -> complex:
        return complex((3 * weights * kappa**4 / (kappa**2 * c2 - x**2)).sum())

    for x in (0.1, 0.5, 1.0):
        (sigma,) = elastic_self_energy(np.array([x]), 0.24, 1.0)
        assert abs(sigma - 0.24 * response(x, 1 - sigma)) < 1e-13
    gamma = 0.9 * critical_disorder(1.0, 4.0)
    for x in (0.3, 1.0):
        (sigma,) = elastic_self_energy(np.array([x]), gamma, 1.0, 4.0)
        found = response(x, 4 - 2 * sigma) + response(x, 1 - sigma)
        assert abs(sigma - gamma * found) < 1e-13


def test_critical_disorder() -> None:
    for ratio, gamma in ((2.0, 0.21479024), (1.8, 0.20492922), (2.2, 0.22161040)):
        assert critical_disorder(1.0, ratio**2) == pytest.approx(gamma, abs=6e-9)
    bulk = critical_disorder(1.0, 4.0, constant="bulk")
    assert bulk == pytest.approx(0.22757855, abs=6e-9)
    assert np.isnan(elastic_self_energy(0.1, 1.001 * bulk, 1.0, 4.0, constant="bulk"))
    assert np.isfinite(
        elastic_self_energy(0.1, 0.999 * bulk, 1.0, 4.0, constant="bulk")
    )


def test_measured_velocities_are_those_at_low_energy() -> None:
    x, ratio = np.array([1e-3]), 1.9
    debye = x**2 * (2 + ratio**-3)
    for disorder in (0.0, 0.5, 0.95):
        g = heterogeneous_elasticity_dos(x * 20, 1.0, 20.0, disorder, ratio)
        np.testing.assert_allclose(g * 20, debye, rtol=1e-3)
    assert np.isnan(heterogeneous_elasticity_dos(x, 1.0, 1.0, 1.0, ratio)).all()
    # The same medium in bare units is at the critical disorder for its own velocities.
    gamma = critical_disorder(1.0, 4.0)
    sigma = elastic_self_energy(0.0, gamma * (1 - 1e-10), 1.0, 4.0).real
    c2_T, c2_L = 1 - sigma, 4 - 2 * sigma
    assert gamma * (1 / c2_T**2 + 2 / c2_L**2) == pytest.approx(1, abs=1e-4)
    assert sigma == pytest.approx(0.524670, abs=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters", "units"),
    [
        (
            "soft_potential_dos",
            {"slope": "0.01 1/meV^2", "energy_b": "5 meV"},
            {"slope": "1/meV**2", "energy_b": "meV"},
        ),
        (
            "fluctuating_elasticity_dos",
            {"area": 1.0, "energy_D": "6 THz", "disorder": 0.21},
            {"area": "1", "energy_D": "meV", "disorder": "1"},
        ),
    ],
)
def test_they_are_fitted_by_name(
    name: str, parameters: dict[str, object], units: dict[str, str]
) -> None:
    g = xbp.models.evaluate(name, np.linspace(0.3, 30, 120), **parameters)
    noisy = g.copy()
    std = 0.01 * float(g.g.max())
    noisy["g"] = g.g.copy(data=g.g + np.random.default_rng(2).normal(0, std, g.g.size))
    noisy["g_std"] = xr.full_like(g.g, std).assign_attrs(units=g.g.attrs["units"])
    result = noisy.bp.fit(name)
    assert str(result.status.values) == "ok"
    for key, value in parameters.items():
        if name == "fluctuating_elasticity_dos" and key == "energy_D":
            value = 6 * 4.135667696
        number = float(str(value).split()[0])
        assert float(result[key]) == pytest.approx(
            number, abs=4 * float(result[f"{key}_std"])
        )
        assert result[key].attrs["units"] == units[key]
    assert 0.6 < float(result.chi2_reduced) < 1.5
    in_thz = noisy.bp.convert(E="THz").bp.fit(name)
    assert str(in_thz.status.values) == "ok"
    np.testing.assert_allclose(in_thz.chi2_reduced, result.chi2_reduced, rtol=1e-4)
