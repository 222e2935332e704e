"""Densities of states of sound waves: where their fits start."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.models import MODELS


@pytest.mark.parametrize("edge", [14.0, 24.9])
def test_a_fit_of_debye_phonons_and_modes_below_starts_at_the_edge(edge: float) -> None:
    x = np.linspace(0.5, 30, 120)
    model = MODELS["debye_gaussian_dos"]
    true = model.example | {"energy_D": edge}
    start = model.guess(x, model.function(x, **true))
    assert isinstance(start, dict)
    assert start["energy_D"] == pytest.approx(edge, abs=x[1] - x[0])
    assert start["n_D"] == pytest.approx(true["n_D"], rel=0.1)
    assert start["energy_E"] == pytest.approx(true["energy_E"], rel=0.1)
    assert start["n_E"] == pytest.approx(true["n_E"], rel=0.3)
    assert start["sigma_E"] == pytest.approx(true["sigma_E"], rel=0.3)


@pytest.mark.parametrize("width", [0.3, 1.0])
def test_an_edge_that_a_resolution_has_smeared_is_where_it_was(width: float) -> None:
    """A Gaussian is even, and takes the steepest place of a step to neither side."""
    model, fine = MODELS["debye_gaussian_dos"], np.arange(-5.0, 40.0, 0.01)
    kernel = np.exp(-(np.arange(-5 * width, 5 * width, 0.01) ** 2) / (2 * width**2))
    smeared = np.convolve(
        model.function(fine, **model.example), kernel / kernel.sum(), mode="same"
    )
    x = np.linspace(0.5, 30, 120)
    start = model.guess(x, np.interp(x, fine, smeared))
    assert isinstance(start, dict)
    assert start["energy_D"] == pytest.approx(24.9, abs=x[1] - x[0])
