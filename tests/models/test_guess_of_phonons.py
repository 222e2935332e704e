"""Densities of states of sound waves: where their fits start."""

from __future__ import annotations

import numpy as np
import pytest

import xbp
from xbp.models import MODELS
from xbp.models.phonons import VELOCITY_RATIO


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


def test_the_edge_is_where_three_points_fall_the_most() -> None:
    """To the next three: 9 + 1 + 1 before it are more than 0 + 5 + 5."""
    x = np.arange(1.0, 31)
    y = np.zeros(x.size)
    y[9:12], y[20:22] = (9, 1, 1), 5
    start = MODELS["debye_gaussian_dos"].guess(x, y)
    assert isinstance(start, dict)
    assert start["energy_D"] == x[12]


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("resonant_phonons_dos", (25.9, 8.69, 0.12, 2.37)),
        ("resonant_phonons_dos", (36.1, 8.13, 0.06, 1.83)),
        ("resonant_phonons_dos", (48.0, 8.58, 0.08, 3.55)),
        ("rayleigh_modulus_dos", (30.0, 10.0)),
    ],
)
def test_phonons_whose_band_ends_far_above_the_data_are_found(
    name: str, true: tuple[float, ...]
) -> None:
    """From 0.5 to 10 meV without noise: the parameters themselves."""
    x, model = np.linspace(0.5, 10, 60), MODELS[name]
    parameters = dict(zip(list(model.parameters)[1:-1], true, strict=True))
    g = model.function(x, area=1.0, **parameters, velocity_ratio=VELOCITY_RATIO)
    coords = {"E": (x, "meV")}
    data = xbp.new_dataset("vibrational_dos", g, units="1/meV", coords=coords)
    found = data.bp.fit(name)
    assert found.status == "ok"
    for own, value in {"area": 1.0, **parameters}.items():
        assert float(found[own]) == pytest.approx(value, rel=1e-5), own


@pytest.mark.slow
def test_damped_sound_is_found_wherever_it_is() -> None:
    """From the best point of the grid alone, some ended at another minimum, "ok"."""
    E, rng = np.linspace(0.5, 10, 60), np.random.default_rng(0)
    sets = np.column_stack([rng.uniform(8, 60, 80), rng.uniform(3, 40, 80)])
    sets = np.vstack([[29.0, 10.3], sets])
    name = "rayleigh_modulus_dos"
    model = MODELS[name]
    g = xbp.new_dataset(
        "vibrational_dos",
        np.stack([model.function(E, 1.0, *one, VELOCITY_RATIO) for one in sets]),
        units="1/meV",
        coords={"Q": (np.arange(1.0, len(sets) + 1), "1/angstrom"), "E": (E, "meV")},
    )
    found = g.bp.fit(name)
    ok = (found.status == "ok").values
    assert ok.mean() > 0.95
    np.testing.assert_allclose(found.energy_T[ok], sets[ok, 0], rtol=1e-3)
    np.testing.assert_allclose(found.energy_R[ok], sets[ok, 1], rtol=1e-3)
