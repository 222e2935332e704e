"""The density of states of a medium: limits that are exact, and numbers found otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from xbp.core.constants import HBAR
from xbp.models.lineshapes import damped_oscillator_current
from xbp.models.medium import (
    branch_integral,
    damped_modulus,
    generalized_debye_dos,
    jammed_modulus,
    medium_dos,
    resonant_modulus,
    strain_integral,
)

E = np.linspace(0.02, 1.4, 70)


def numbers(found: np.ndarray, expected: list[float]) -> None:
    """Compare with numbers of six or seven digits."""
    np.testing.assert_allclose(found, expected, rtol=6e-7, atol=6e-7)


def maximum(function, low: float, high: float) -> tuple[float, float]:
    """Return where a function is largest, and its value, from ever finer grids."""
    for _ in range(4):
        x = np.linspace(low, high, 401)
        i = int(np.clip(np.argmax(function(x)), 1, 399))
        low, high = x[i - 1], x[i + 1]
    return float(x[i]), float(function(x)[i])


def excess(c2, x: np.ndarray) -> np.ndarray:
    return medium_dos(x, c2(x)) / (3 * x**2)


def test_real_velocities_are_debyes() -> None:
    edge = 0.71
    expected = np.where(edge > E, 3 * E**2 / edge**3, 0.0)
    np.testing.assert_allclose(medium_dos(E, edge**2), expected, atol=1e-11)
    plane = np.where(edge > E, 2 * E / edge**2, 0.0)
    np.testing.assert_allclose(medium_dos(E, edge**2, dimension=2), plane, atol=1e-11)
    both = medium_dos(E, edge**2, 1.01**2)
    np.testing.assert_allclose(
        both, 2 / 3 * expected + np.where(E < 1.01, E**2 / 1.01**3, 0), atol=1e-11
    )
    assert (medium_dos([-1.0, 0.0], 1.0) == 0).all()


@pytest.mark.parametrize("sign", [1e-17, -1e-17, 0.0])
def test_rounding_above_the_band_makes_no_modes(sign: float) -> None:
    assert medium_dos(np.array([1.0001, 1.2, 5.0]), 1 + 1j * sign).max() < 1e-9


@pytest.mark.parametrize("dimension", [2, 3])
def test_area_is_one_for_causal_velocities(dimension: int) -> None:
    # ω = tan u reaches the long tail of a damped medium.
    u = (np.arange(40_000) + 0.5) / 40_000 * np.pi / 2
    x = np.tan(u)
    for c2 in (
        damped_modulus(x, 1.0, 0.3),
        resonant_modulus(x, 1.0, 0.3, 0.2, 0.1),
        jammed_modulus(x, 0.1, 0.5),
    ):
        area = (medium_dos(x, c2, dimension=dimension) * (1 + x**2)).mean() * np.pi / 2
        # The tail of the undamped part is what the grid leaves out.
        assert area == pytest.approx(1, abs=5e-5)


def test_damped_sound_has_the_area_one_and_without_damping_is_debyes() -> None:
    u = (np.arange(200_000) + 0.5) / 200_000 * np.pi / 2
    x = np.tan(u)
    g = medium_dos(x, damped_modulus(x, 1.0, 0.3))
    area = (g * (1 + x**2)).mean() * np.pi / 2
    assert area == pytest.approx(1, abs=2e-6)
    still = medium_dos(E, damped_modulus(E, 1.0, 0.0))
    np.testing.assert_allclose(still, medium_dos(E, 1.0))


def test_closed_form_is_its_integral() -> None:
    kappa = (np.arange(200_000) + 0.5) / 200_000
    c2, Z = 0.8 - 0.1j, 0.5 + 0.02j
    integral = (kappa**2 / (c2 * kappa**2 - Z**2)).mean()
    assert complex(branch_integral(Z, c2)) == pytest.approx(integral, rel=1e-8)


def test_damped_sound() -> None:
    one = np.array([0.05, 0.3, 0.9])
    numbers(
        medium_dos(one, damped_modulus(one, 1, 0.1)), [0.00797471, 0.283480, 1.952345]
    )
    one = np.array([0.3, 0.9, 1.2])
    numbers(
        medium_dos(one, damped_modulus(one, 1, 0.5)), [0.327498, 1.022144, 0.385561]
    )

    def three(x: np.ndarray) -> np.ndarray:
        return medium_dos(x, damped_modulus(x, 1, 0.3), damped_modulus(x, 2, 0.5))

    numbers(three(np.array([0.1, 0.5, 1.0])), [0.0251535, 0.555675, 0.750586])
    low = np.array([1e-5])
    numbers(three(low) / (low**2 * (2 + 1 / 8)), [1.189114])


def test_damped_sound_in_units() -> None:
    n, v, D = 0.060, np.array([22.0, 45.0]), np.array([6.0, 9.0])
    q_D = np.cbrt(6 * np.pi**2 * n)
    numbers(q_D, 1.525928)
    edges, widths = HBAR * v * q_D, HBAR * D * q_D**2
    inverse = (2 / edges[0] ** 3 + 1 / edges[1] ** 3) / 3
    assert inverse ** (-1 / 3) == pytest.approx(24.81987, abs=6e-6)
    level = 3 * inverse
    assert level == pytest.approx(1.962107e-4, rel=5e-7)

    def g(x: np.ndarray) -> np.ndarray:
        T, L = (damped_modulus(x, *p) for p in zip(edges, widths, strict=True))
        return medium_dos(x, T, L)

    at = np.array([2.0, 5.0, 10.0])
    np.testing.assert_allclose(g(at), [9.84196e-4, 5.970033e-3, 2.127179e-2], rtol=6e-7)
    low = np.array([1e-4])
    numbers(g(low) / (level * low**2), [1.261037])


@pytest.mark.parametrize("width", [0.001, 0.01, 0.1, 0.5, 2.0])
def test_damped_sound_has_no_maximum(width: float) -> None:
    x = np.linspace(1e-3, 3, 30_000)
    ratio = excess(lambda x: damped_modulus(x, 1.0, width), x)
    assert (np.diff(ratio) < 1e-9).all()
    assert ratio[0] == pytest.approx(1 + 2 / np.pi * width, rel=1e-4)


@pytest.mark.parametrize(
    ("width", "at", "value"),
    [(0.1, 0.60614, 4.2473), (0.3, 0.52971, 2.5574), (0.2, 0.56998, 3.0240),
     (0.5, 0.44108, 2.2157), (1.0, 0.16331, 2.3417)],
)  # fmt: skip
def test_only_a_zone_boundary_has_a_maximum(
    width: float, at: float, value: float
) -> None:
    q = (np.arange(4000) + 0.5) / 4000

    def ratio(x: np.ndarray) -> np.ndarray:
        top = (2 / np.pi * np.sin(np.pi * q / 2)) ** 2
        G = 1 / (top - x[:, None] ** 2 - 1j * x[:, None] * width * q**2)
        return 2 / (np.pi * x) * (q**2 * G).imag.mean(axis=1)

    x = at + np.array([-2e-3, 0.0, 2e-3])
    top = ratio(x)
    assert top[1] == pytest.approx(value, abs=2e-4)
    peak = np.polyfit(x - at, top, 2)
    assert abs(peak[1] / (2 * peak[0])) < 3e-5


def test_resonators() -> None:
    at = np.array([0.02, 0.05, 0.09, 0.1, 0.12, 0.3])
    found = excess(lambda x: resonant_modulus(x, 1, 0.1, 0.1, 0.03), at)
    numbers(found, [1.435227, 1.653238, 3.447125, 2.693811, 1.253039, 0.984102])
    for energy_0, width, where, value in (
        (0.1, 0.03, 0.090618, 3.450776),
        (0.1, 0.1, 0.056565, 2.095857),
        (0.2, 0.1, 0.163589, 1.827002),
    ):

        def ratio(x, e=energy_0, w=width):
            return excess(lambda x: resonant_modulus(x, 1, e, 0.1, w), x)

        found_at, height = maximum(ratio, 0.02, 0.4)
        assert found_at == pytest.approx(where, abs=2e-6)
        numbers(height, value)
    low = np.array([1e-5])
    s, width, energy_0 = 0.1, 0.03, 0.1
    exact = (1 - s) ** -1.5 + 2 / np.pi * s * width / (energy_0**2 * (1 - s) ** 2)
    found = excess(lambda x: resonant_modulus(x, 1, energy_0, s, width), low)
    assert found[0] == pytest.approx(exact, rel=1e-6)
    np.testing.assert_allclose(
        medium_dos(E, resonant_modulus(E, 1.0, 0.1, 0.0, 0.03)), medium_dos(E, 1.0)
    )


def test_dispersion_of_resonators() -> None:
    q, s, w0 = 0.1, 0.1, 0.1
    root = np.sqrt((q**2 - w0**2) ** 2 + 4 * s * w0**2 * q**2)
    both = np.sqrt((q**2 + w0**2 + np.array([1, -1]) * root) / 2)
    numbers(both, [0.1147270, 0.0826905])
    # They are where the wave of this wave number resonates.
    c2 = resonant_modulus(both, 1.0, w0, s, 0.0)
    np.testing.assert_allclose(c2.real * q**2, both**2, rtol=1e-12)
    numbers(w0 * np.sqrt(1 - s), 0.0948683)
    assert resonant_modulus(w0 * np.sqrt(1 - s), 1.0, w0, s, 0.0).real == pytest.approx(
        0
    )


def test_long_and_short_waves_with_resonators() -> None:
    """ω₋ = v√(1−s) q and ω₊ = ω₀ at q → 0; ω₀√(1−s) and vq at q → ∞."""
    s, w0 = 0.1, 0.1

    def both(q: float) -> np.ndarray:
        root = np.sqrt((q**2 - w0**2) ** 2 + 4 * s * w0**2 * q**2)
        return np.sqrt((q**2 + w0**2 + np.array([1, -1]) * root) / 2)

    for q, expected in (
        (1e-4, (w0, 1e-4 * np.sqrt(1 - s))),
        (30.0, (30.0, w0 * np.sqrt(1 - s))),
    ):
        np.testing.assert_allclose(both(q), expected, rtol=1e-5)
        c2 = resonant_modulus(both(q), 1.0, w0, s, 0.0).real
        np.testing.assert_allclose(c2 * q**2, both(q) ** 2, rtol=1e-5)


@pytest.mark.slow
def test_without_damping_the_zone_boundary_is_van_hoves() -> None:
    """The maximum is at 2v q_D/π = 0.63662 then."""
    q = (np.arange(20_000) + 0.5) / 20_000
    top = (2 / np.pi * np.sin(np.pi * q / 2)) ** 2
    x = np.linspace(0.6, 0.66, 121)
    G = 1 / (top - x[:, None] ** 2 - 1j * x[:, None] * 5e-4 * q**2)
    ratio = (q**2 * G).imag.mean(axis=1) / x
    assert x[np.argmax(ratio)] == pytest.approx(0.63662, abs=6e-4)


def test_generalized_debye_relations() -> None:
    at, width = np.array([0.1, 0.3, 0.5]), np.array([0.02, 0.18, 0.5])
    debye = 3 * at**2
    modulus = generalized_debye_dos(at, 1.0, width) / debye
    numbers(modulus, [2.129371, 1.355677, 0.698486])
    line = generalized_debye_dos(at, 1.0, width, form="line") / debye
    numbers(line, [0.992121, 0.918730, 0.720184])
    at = np.array([0.05, 0.1, 0.2])
    rayleigh = generalized_debye_dos(at, 1.0, 5 * at**4) / (3 * at**2)
    numbers(rayleigh - 1, [0.0079172, 0.0311435, 0.1137641])
    two = generalized_debye_dos(at, 1.0, 0.0, 2.0, 0.0)
    np.testing.assert_allclose(two, at**2 * (2 + 1 / 8))


def test_low_energy_of_both_relations() -> None:
    x, width = np.array([1e-3]), 1e-5
    modulus = generalized_debye_dos(x, 1.0, width) / (3 * x**2) - 1
    assert modulus[0] == pytest.approx(2 / np.pi * width / x[0] ** 2, rel=1e-3)
    x, width = np.array([0.02]), 1e-5
    line = generalized_debye_dos(x, 1.0, width, form="line") / (3 * x**2) - 1
    assert line[0] == pytest.approx(
        -2 / np.pi * width + width**2 / (8 * x[0] ** 2), rel=2e-2
    )


def test_modulus_in_a_plane() -> None:
    x = np.array([0.3])
    numbers(medium_dos(x, 1 - 0.2j * x, dimension=2), [0.6117605])


def test_density_of_states_is_that_of_the_currents_below_the_debye_wave_number() -> (
    None
):
    q = (np.arange(20_000) + 0.5) / 20_000
    x, width = np.array([0.4]), 0.1
    for found, gamma in (
        (medium_dos(x, damped_modulus(x, 1.0, width)), width * q**2),
        (generalized_debye_dos(x, 1.0, width, form="line"), width),
    ):
        current = damped_oscillator_current(x[0], 1.0, q, gamma)
        assert (3 * q**2 * current).mean() == pytest.approx(found[0], rel=1e-8)


@pytest.mark.parametrize("c2", [1.0 - 0.3j, 0.4 - 0.05j, 2.0 - 1.0j, 4.0])
@pytest.mark.parametrize("E", [0.0, 0.2, 0.9, 1.7])
def test_the_integral_of_strains_is_that_of_quadrature(E: float, c2: complex) -> None:
    """(3/q_D³)∫q⁴G dq, and its derivative −∫3κ⁶G² dκ."""

    def integral(power: int, of: int) -> complex:
        return scipy.integrate.quad(
            lambda k: 3 * k**power / (c2 * k**2 - E**2) ** of, 0, 1, complex_func=True
        )[0]

    if c2.imag == 0 and E > 0:
        E += 2 * np.sqrt(c2.real)  # above the band: no pole on the way
    value, derivative = strain_integral(E, c2)
    powers = (4, 1), (6, 2)
    exact = [integral(*one) for one in powers] if E > 0 else [1 / c2, 1 / c2**2]
    assert value == pytest.approx(exact[0], rel=1e-10)
    assert derivative == pytest.approx(-exact[1], rel=1e-10)
