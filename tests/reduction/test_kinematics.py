from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

from xbp.core import constants
from xbp.reduction.curves import Curves
from xbp.reduction.kinematics import momentum_transfer, wave_number


def test_the_constant_is_the_neutron() -> None:
    assert (
        pytest.approx(2.0721248, rel=1e-7) == constants.HBAR2_OVER_2M
    )  # meV angstrom², e.g. NIST, from CODATA
    assert float(wave_number(25.0)) == pytest.approx(
        3.47347, abs=1e-4
    )  # 25 meV, thermal


def test_special_angles() -> None:
    ki, kf = wave_number(60.0), wave_number(20.0)
    assert momentum_transfer(40.0, 60.0, 0.0) == pytest.approx(ki - kf)
    assert momentum_transfer(40.0, 60.0, 180.0) == pytest.approx(ki + kf)
    assert momentum_transfer(40.0, 60.0, 90.0) == pytest.approx(np.hypot(ki, kf))
    assert momentum_transfer(60.0, 60.0, 17.0) == pytest.approx(ki)
    assert np.isnan(momentum_transfer(61.0, 60.0, 17.0))


@pytest.mark.parametrize("two_theta", [0.0, 1e-3, 20.0, 89.0, 90.0, 134.0, 180.0])
def test_areas_below_curves_by_quadrature(two_theta: float) -> None:
    ei, edges = 60.0, np.array([-40.0, -2.0, 1.0, 30.0, 59.0, 70.0])
    curves = Curves(np.array([two_theta]), edges, ei)
    np.testing.assert_allclose(curves.width, [38, 3, 29, 29, 1])
    for i, (low, high) in enumerate(
        zip(edges[:-1], np.minimum(edges[1:], ei), strict=True)
    ):
        energy = np.linspace(low, high, 20001)
        Q = momentum_transfer(energy, ei, two_theta)
        assert curves.lowest[0, i] == pytest.approx(Q.min(), abs=1e-4)
        assert curves.highest[0, i] == pytest.approx(Q.max(), abs=1e-12)
        assert curves.whole[0, i] == pytest.approx(
            scipy.integrate.trapezoid(Q, energy), rel=1e-6
        )
        for q in np.linspace(0, 12, 25):
            below = curves.below(np.array([q]), np.array([i]))[0]
            assert below == pytest.approx(
                scipy.integrate.trapezoid(np.minimum(q, Q), energy), rel=1e-6, abs=1e-9
            )
