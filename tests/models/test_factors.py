from __future__ import annotations

import numpy as np
import pytest
import scipy.constants as const
from hypothesis import given
from hypothesis import strategies as st

from xbp.core import constants
from xbp.models.factors import energy_factor, momentum_factor, thermal_factor


def test_boltzmann_is_codata() -> None:
    assert (
        pytest.approx(
            const.physical_constants["Boltzmann constant in eV/K"][0] * 1e3, rel=1e-12
        )
        == constants.BOLTZMANN_MEV
    )


@given(st.floats(-200, 200), st.floats(20, 2000))
def test_the_quantum_factor_is_one_minus_boltzmann_over_e(E: float, T: float) -> None:
    x = E / (constants.BOLTZMANN_MEV * T)
    factor = float(thermal_factor(np.array(E), np.array(T), "quantum"))
    if abs(x) > 1e-3:
        assert factor == pytest.approx((1 - np.exp(-x)) / E, rel=1e-9)
    else:
        assert factor == pytest.approx(
            (1 - x / 2) / (constants.BOLTZMANN_MEV * T), rel=1e-6
        )


@given(st.floats(-200, 200), st.floats(20, 2000))
def test_detailed_balance_of_the_factor(E: float, T: float) -> None:
    """⟨n⟩(−E)/(−E) = exp(E/kT) ⟨n⟩(E)/E: what makes G even for S(−E) = S(E) exp(−E/kT)."""
    plus, minus = (
        float(thermal_factor(np.array(e), np.array(T), "quantum")) for e in (E, -E)
    )
    assert minus == pytest.approx(
        plus * np.exp(E / (constants.BOLTZMANN_MEV * T)), rel=1e-9
    )


def test_classical_is_the_limit_of_quantum() -> None:
    E, T = np.array([1e-6, 0.0]), np.array(300.0)
    np.testing.assert_allclose(
        thermal_factor(E, T, "quantum"), thermal_factor(E, T, "classical"), rtol=1e-7
    )


def test_far_energy_gain_does_not_warn() -> None:
    assert np.isnan(thermal_factor(np.array([-1e5]), np.array(1.0), "quantum"))
    assert np.isnan(momentum_factor("n*S/(E*Q^2)", np.array([5.0]), np.array(1e6)))


def test_units_of_the_factors() -> None:
    E, T, Q, u2 = np.array([2.0]), np.array(100.0), np.array([3.0, 0.0]), np.array(0.01)
    n_over_e = thermal_factor(E, T, "quantum")
    np.testing.assert_allclose(
        energy_factor("E*n*S/Q^2", E, T, "quantum"), 4 * n_over_e
    )
    np.testing.assert_allclose(energy_factor("S*n/(E*Q)", E, T, "quantum"), n_over_e)
    np.testing.assert_allclose(energy_factor("S*E/Q", E, T, "quantum"), 2)
    np.testing.assert_allclose(
        momentum_factor("n*S/(E*Q^2)", Q, u2), [np.exp(0.09) / 9, np.nan]
    )
    np.testing.assert_allclose(momentum_factor("S*E/Q", Q, u2), [1 / 3, np.nan])
