"""Simulated spectra are those of the modes of one box, whose number is an error."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xbp import new_dataset
from xbp.core.signal import read
from xbp.fitting.sampled import with_counting

WIDTH, N, ENERGY = 0.5, 2000, 12.0
E = np.arange(1.25, 30, WIDTH)


def boxes(draws: int, std: float | None = 1e-9) -> xr.Dataset:
    """Return g(E) of boxes of 3N strings each, whose lengths are drawn."""
    length = np.random.default_rng(5).exponential(size=(draws, 3 * N))
    edges = np.append(E - WIDTH / 2, E[-1] + WIDTH / 2)
    counts = np.stack([np.histogram(ENERGY / one, edges)[0] for one in length])
    g = counts / (3 * N * WIDTH)
    data = new_dataset(
        "vibrational_dos", g, units="1/meV",
        std=None if std is None else np.full(g.shape, std),
        coords={"draw": (np.arange(draws), "1"), "E": (E, "meV")},
    )  # fmt: skip
    data.g.attrs |= {
        "origin": "simulation",
        "n_atoms": N,
        "area": 1.0,
        "area_of": "all modes",
    }
    return data


@pytest.mark.parametrize("std", [1e-9, None])
def test_errors_of_fits_are_those_of_the_modes(std: float | None) -> None:
    """Whatever the segments of a run say, which all have the same modes."""
    # All boxes have the same number of modes: their area is no free number.
    found = boxes(60, std).bp.fit("stringlets_dos", fixed={"area": 1.0})
    assert (found.status == "ok").all()
    assert float(found.chi2_reduced.mean()) == pytest.approx(1, abs=0.15)
    pull = (found.energy_s - ENERGY) / found.energy_s_std
    assert float(pull.std()) == pytest.approx(1, abs=0.25)
    assert abs(float(pull.mean())) < 0.5


def test_g_and_B_have_the_same_errors_and_parts_of_bins_those_of_the_whole() -> None:
    data = boxes(1).isel(draw=0)
    std = with_counting(read(data, "vibrational_dos")).std
    np.testing.assert_allclose(std, np.sqrt(data.g / (3 * N * WIDTH)))
    reduced = with_counting(read(data.bp.to_bqe(), "reduced_dos")).std
    np.testing.assert_allclose(reduced * E**2, std)
    half = data.bp.rebin(E="0.25 meV")
    own = with_counting(read(half, "vibrational_dos")).std
    np.testing.assert_allclose(own.sel(E=E + 0.125), std, rtol=1e-12)
    measured = data.copy()
    measured.g.attrs["origin"] = "measurement"
    plain = with_counting(read(measured, "vibrational_dos")).std
    np.testing.assert_array_equal(plain, data.g_std)


@pytest.mark.slow
def test_comparisons_weigh_and_show_them() -> None:
    data = boxes(1).isel(draw=0)
    table = data.bp.compare_models(["stringlets_dos", "soft_oscillators_dos"])
    np.testing.assert_allclose(table.measured_std**2, data.g / (3 * N * WIDTH))
    one = table.sel(model="stringlets_dos")
    misfit = float((one.residual**2).sum() / (E.size - 2))
    assert float(one.chi2_reduced) == pytest.approx(misfit, rel=1e-6)
    assert float(table.delta_BIC[1]) > 10
