"""Two theories of the boson peak against their limits, and against what they describe done by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.models.disorder import (
    fluctuating_elasticity,
    fluctuating_elasticity_dos,
    soft_potential_dos,
)


@pytest.mark.parametrize("x", [0.1, 0.9, 2.0, 8.0])
def test_soft_potential_is_its_integral(x: float) -> None:
    integral, _ = scipy.integrate.quad(
        lambda t: 1 / (1 + x**6 * t**2 * (3 - 2 * t**2) ** 2),
        0,
        1,
        points=[min(x**-3, 0.5)],
        limit=500,
    )
    found = soft_potential_dos(np.array([3 * x]), 2.0, 3.0)[0]
    assert found == pytest.approx(2.0 * 3 * x * 6 / np.pi * x**3 * integral, rel=1e-9)


def test_soft_potential_limits() -> None:
    E = np.array([-1.0, 0.0, 1e-3, 1e3])
    g = soft_potential_dos(E, 2.0, 1.0)
    np.testing.assert_allclose(g, [0, 0, 12 / np.pi * 1e-12, 2e3], rtol=1e-6)
    fine = np.linspace(0.5, 2, 15001)
    assert fine[
        np.argmax(soft_potential_dos(fine, 1.0, 1.0) / fine**2)
    ] == pytest.approx(0.935, abs=1e-3)


@pytest.mark.slow
def test_soft_potential_is_what_random_forces_make_of_oscillators() -> None:
    """Drawn one by one: stiffness k, force f, the place x0 with k x0 + A x0³ = f, and the new stiffness k + 3A x0²."""
    rng = np.random.default_rng(3)
    n, anharmonicity, half_width, top = 2_000_000, 0.7, 0.2, 40.0
    k, f = rng.uniform(0, top, n), half_width * rng.standard_cauchy(n)
    # The one real root of A x³ + k x − f, by sinh.
    root = np.sqrt(k / (3 * anharmonicity))
    x0 = 2 * root * np.sinh(np.arcsinh(f / (2 * anharmonicity * root**3)) / 3)
    omega = np.sqrt(k + 3 * anharmonicity * x0**2)
    energy_b = np.sqrt(3) * anharmonicity ** (1 / 6) * half_width ** (1 / 3)
    edges = np.linspace(0.2, 3.0, 29) * energy_b
    counts, _ = np.histogram(omega, edges)
    # n/top oscillators per stiffness are 2ω n/top per frequency: C = 2n/top.
    fine = np.linspace(edges[0], edges[-1], 28 * 50 + 1)
    per_bin = (
        soft_potential_dos((fine[1:] + fine[:-1]) / 2, 2 * n / top, energy_b)
        .reshape(28, 50)
        .mean(1)
    )
    expected = per_bin * np.diff(edges)
    pulls = (counts - expected) / np.sqrt(expected)
    assert abs(pulls).max() < 4.5
    assert (pulls**2).mean() < 2


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
