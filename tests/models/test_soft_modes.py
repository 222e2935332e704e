"""Modes that are no sound waves: exact limits, and what they describe done by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from xbp.core.constants import BOLTZMANN_MEV, HBAR
from xbp.models.debye_einstein import mode_heat_capacity
from xbp.models.soft_modes import (
    gaussian_soft_oscillators_dos,
    jamming_dos,
    quartic_dos,
    quasilocalized_dos,
    soft_oscillators_dos,
    soft_potential_dos,
    soft_potential_tail,
    stringlets_dos,
)

R = scipy.constants.R


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


@pytest.mark.parametrize("x", [0.1, 1.0, 2.0, 5.0, 40.0])
def test_soft_oscillators_are_their_integral(x: float) -> None:
    integral = scipy.integrate.quad(
        lambda t: 1 / (1 + x**6 * t**2 * (1 - t**2) ** 2), 0, 1,
        points=[min(x**-3, 0.4), 1 - min(x**-3, 0.4)], limit=500,
    )[0]  # fmt: skip
    found = soft_oscillators_dos(np.array([3 * x]), 2.0, 3.0)[0]
    assert found == pytest.approx(
        2.0 * 3 * x * 4 / (3 * np.pi) * x**3 * integral, rel=1e-9
    )


def test_soft_oscillators() -> None:
    x = np.array([1.0, 2.0, 5.0])
    unit = 4 / (3 * np.pi)  # C of E⁴ over that of E
    found = soft_oscillators_dos(x, 1.0, 1.0) / (unit * x**4)
    np.testing.assert_allclose(found, [0.931400, 0.297945, 0.01904819], rtol=2e-6)
    ends = soft_oscillators_dos(np.array([-1.0, 0.0, 1e-3, 1e3]), 2.0, 1.0)
    np.testing.assert_allclose(ends, [0, 0, 2 * unit * 1e-12, 2e3], rtol=1e-6)
    fine = 1.520219 + np.linspace(-1e-3, 1e-3, 2001)
    over = soft_oscillators_dos(fine, 1.0, 1.0) / unit / fine**2
    assert fine[np.argmax(over)] == pytest.approx(1.520219, abs=2e-6)
    assert over.max() == pytest.approx(1.352741, abs=6e-7)


def test_gaussian_forces() -> None:
    """The same integral with exp(−½ force²); E⁴ at low, C E at high energy."""
    x = np.array([0.5, 1.0, 2.0, 4.0])
    unit = 2 / 3 * np.sqrt(2 / np.pi)
    found = gaussian_soft_oscillators_dos(2 * x, 3.0, 2.0) / (unit * 6 * x**4)
    integrals = [
        scipy.integrate.quad(
            lambda t, x=x: np.exp(-(x**6) * t**2 * (1 - t**2) ** 2 / 2), 0, 1, limit=200
        )[0]
        for x in x
    ]
    np.testing.assert_allclose(found, integrals, rtol=1e-8)
    fine = 1.487052 + np.linspace(-1e-3, 1e-3, 2001)
    over = gaussian_soft_oscillators_dos(fine, 1.0, 1.0) / fine**2
    assert fine[np.argmax(over)] == pytest.approx(1.487052, abs=2e-6)
    ends = gaussian_soft_oscillators_dos(np.array([0.0, 1e-3, 1e3]), 2.0, 1.0)
    np.testing.assert_allclose(ends, [0, 2 * unit * 1e-12, 2e3], rtol=1e-6)


@pytest.mark.slow
def test_soft_oscillators_are_what_random_forces_make_of_any_stiffness() -> None:
    """As above, with stiffnesses through 0: in the deepest minimum, on the side of f."""
    rng = np.random.default_rng(5)
    n, A, half_width, top = 200_000, 0.7, 0.2, 6.0
    k, f = rng.uniform(-top, top, n), np.abs(half_width * rng.standard_cauchy(n))
    # Newton's method from the right converges to the largest root of A x³ + k x − f.
    x0 = np.sqrt(np.maximum(-k, 0) / A) + np.cbrt(f / A) + 1e-3
    for _ in range(40):
        x0 -= (A * x0**3 + k * x0 - f) / (3 * A * x0**2 + k)
    omega = np.sqrt(k + 3 * A * x0**2)
    star = (2 * A * half_width**2) ** (1 / 6)
    edges = np.linspace(0.3, 2.2, 22) * star
    counts, _ = np.histogram(omega, edges)
    fine = np.linspace(edges[0], edges[-1], 21 * 50 + 1)
    # One well in k > 0 per stiffness, and the deeper of two on the other side.
    per_bin = soft_oscillators_dos((fine[1:] + fine[:-1]) / 2, 1.0, star)
    shape = per_bin.reshape(21, 50).mean(1)
    expected = shape * counts.sum() / shape.sum()
    pulls = (counts - expected) / np.sqrt(expected)
    assert (pulls**2).mean() < 2


def test_tail_of_soft_potentials() -> None:
    """Its A₄ gives the T⁵ of the heat capacity."""
    A_4 = soft_potential_tail(np.array([1.0]), 8.0, 1.0)[0]
    assert pytest.approx(1.0) == A_4
    np.testing.assert_allclose(soft_potential_tail(2.0, 3.0, 4.0), 3 / 32 / 16)


@pytest.mark.slow
def test_tail_of_soft_potentials_drawn_at_random() -> None:
    """Energies 2√(D₂ + 6x₀²) in the deepest minimum: (1/8)E⁴ from 1.5 on, in 1 %."""
    rng = np.random.default_rng(8)
    n, low, high, most = 400_000, -0.8, 1.6, 3.0
    D2, D1 = rng.uniform(low, high, n), rng.uniform(0, most, n)
    x = np.cbrt(D1 / 4) + np.sqrt(np.maximum(-D2, 0) / 2) + 1e-3
    for _ in range(30):
        x -= (4 * x**3 + 2 * D2 * x - D1) / (12 * x**2 + 2 * D2)
    energy = 2 * np.sqrt(D2 + 6 * x**2)
    share = ((energy > 1.5) & (energy < 2.5)).mean() * (high - low) * 2 * most
    assert share == pytest.approx((2.5**5 - 1.5**5) / 40, rel=0.01)
    tail = soft_potential_tail(np.array([2.0]), 1.0, 1.0)
    assert tail[0] == pytest.approx(2.0**4 / 8)


def test_debye_phonons_and_quartic_modes() -> None:
    A_D, A_4 = 3 / 25.0**3, 1e-6
    E = np.array([5.0])
    g = quasilocalized_dos(E, A_D, np.sqrt(A_D / A_4), 4.0)
    assert g[0] / (A_D * 25) == pytest.approx(1.130208, abs=6e-7)
    np.testing.assert_allclose(g, A_D * E**2 + quartic_dos(E, A_4))
    # g/E² rises everywhere.
    x = np.linspace(0.1, 50, 500)
    assert (np.diff(quasilocalized_dos(x, A_D, 13.0, 3.3) / x**2) > 0).all()


def moment(m: int) -> float:
    return scipy.integrate.quad(
        lambda x: x**m * mode_heat_capacity(x), 0, 200, limit=500
    )[0]


def test_heat_capacity_of_powers_of_the_energy() -> None:
    for m, number in ((2, 25.97576), (4, 732.4870), (1, 7.212341)):
        exact = scipy.special.gamma(m + 3) * scipy.special.zeta(m + 2)
        assert exact == pytest.approx(number, rel=1e-6)
        assert moment(m) == pytest.approx(exact, rel=1e-8)
    k, A_D, A_4 = BOLTZMANN_MEV, 3 / 25.0**3, 1e-6
    debye = 3 * R * moment(2) * A_D * k**3 * 1e3
    assert debye == pytest.approx(0.0796056, abs=6e-8)
    for T, value in ((5, 0.0817761), (10, 0.0882876)):
        in_all = debye + 3e3 * R * moment(4) * k**5 * T**2 * A_4
        assert in_all == pytest.approx(value, abs=6e-8)


def test_stringlets() -> None:
    x = np.array([1 / 2, 1 / 3, 1 / 4])
    g = stringlets_dos(x, 1.0, 1.0, 0.0) / x ** np.array([0, 1, 2])
    np.testing.assert_allclose(g, [0.541341, 1.344251, 4.688804], atol=6e-7)
    energy = np.pi * HBAR * 20 / 10
    assert energy / 4 == pytest.approx(1.033917, abs=6e-7)
    E = np.geomspace(0.05, 3, 20001)
    for m in (0.0, 1.0, 2.5):
        for power in (0, 1, 2):
            top = E[np.argmax(stringlets_dos(E, 1.0, 1.0, m) / E**power)]
            assert top == pytest.approx(1 / (2 + m + power), rel=3e-4)
    wide = np.geomspace(1e-3, 1e5, 200_001)
    assert np.trapezoid(
        stringlets_dos(wide, 1, 1, 1) * wide, np.log(wide)
    ) == pytest.approx(1)
    assert stringlets_dos(np.array([-1.0, 0.0, 1e-3]), 1.0, 1.0, 0.0).max() == 0


@pytest.mark.parametrize(
    ("onset", "at"), [(1.0, 1.224745), (0.1, 0.279741), (0.01, 0.0845347)]
)
def test_jamming(onset: float, at: float) -> None:
    E = at * (1 + np.linspace(-2e-3, 2e-3, 4001))
    over = jamming_dos(E, 1.0, onset, 1.0) / E**2
    assert E[np.argmax(over)] == pytest.approx(at, rel=6e-6)
    if onset == 1:
        assert np.pi / 4 * over.max() == pytest.approx(0.3849002, abs=6e-8)
    if onset == 0.01:
        assert at == pytest.approx(2**-0.25 * np.sqrt(onset), rel=6e-3)


def test_jamming_without_and_with_compression() -> None:
    """∝ √(x² − 1)/x without; under compression ∝ E² from far above E₀ to E_*."""
    x = np.array([1.1, 1.5, 4.0])
    g = jamming_dos(x, np.pi / 4, 1.0, 1.0)
    np.testing.assert_allclose(g, np.sqrt(x**2 - 1) / x, rtol=1e-12)
    E = np.array([0.003, 0.01])
    slope = np.diff(np.log(jamming_dos(E, 1.0, 1e-4, 1.0))) / np.diff(np.log(E))
    assert slope[0] == pytest.approx(2, abs=1e-3)


def test_jamming_has_no_modes_below_its_onset_and_a_plateau() -> None:
    g = jamming_dos(np.array([-1.0, 0.0, 0.4, 0.49, 100.0]), 2.0, 0.5, 1.0)
    assert (g[:4] == 0).all()
    assert g[4] == pytest.approx(8 / np.pi, rel=1e-4)
