"""Heat capacities of densities of states by quadrature."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.models import MODELS
from xbp.models.debye_einstein import gaussian_einstein_heat_capacity


@pytest.mark.parametrize("sigma", [3.0, 5.0, 15.0, 40.0])
def test_a_narrow_band_is_integrated_to_eight_digits(sigma: float) -> None:
    """The narrowest has a width of a tenth of its energy, 72 K.

    Its own rule, whose nodes are on the band alone, has the right value.
    """
    T = np.geomspace(2, 300, 40)
    model = MODELS["einstein_modes_dos"].of("heat_capacity")
    C = model.function(T, n_E=1.0, energy_E=72.0, sigma_E=sigma)
    exact = gaussian_einstein_heat_capacity(T, 72.0, sigma)
    np.testing.assert_allclose(C, exact, rtol=1e-8)
