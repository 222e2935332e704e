"""Means of shapes over bins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.special import erf

import xbp
from xbp.core.constants import BOLTZMANN_MEV
from xbp.fitting.over_bins import mean_over_bins
from xbp.fitting.shapes import gaussian_on_line
from xbp.models.catalogue import MODELS
from xbp.models.model import Model

_MODELS = [name for name, row in MODELS.items() if row.x_units != "K"]


def binned(
    function: Callable[..., Any],
    limits: np.ndarray,
    p: Mapping[str, float],
    row: Model | str = "lognormal",
) -> xr.Dataset:
    """Return exact means of a function over bins, as a spectrum with their bounds."""
    E, half = (limits[1:] + limits[:-1]) / 2, np.diff(limits) / 2
    within = (np.arange(4000) + 0.5) / 2000 - 1
    means = [
        np.mean(function(x + w * within, **p)) for x, w in zip(E, half, strict=True)
    ]
    example = p if isinstance(row, Model) else {"energy": 5, "height": 1, "sigma": 0.5}
    spectrum = xbp.models.evaluate(row, E, **example)
    (name,) = spectrum.data_vars
    spectrum[name] = spectrum[name].copy(data=np.array(means))
    bounds = np.stack([limits[:-1], limits[1:]], axis=1)
    spectrum = spectrum.assign_coords(E_bnds=(("E", "bnds"), bounds))
    spectrum.E.attrs["bounds"] = "E_bnds"
    return spectrum


def exact(x: np.ndarray, half: float, place: float, sigma: float) -> np.ndarray:
    low, high = ((x + way * half - place) / sigma / np.sqrt(2) for way in (-1, 1))
    return sigma * np.sqrt(np.pi / 2) * (erf(high) - erf(low)) / (2 * half)


@pytest.mark.parametrize("half", [0.1, 0.5, 1.0])
def test_gauss_rule_over_bins(half: float) -> None:
    x = np.linspace(-3, 3, 13)
    shape = mean_over_bins(gaussian_on_line)(x, np.full(x.size, half))
    value, slopes = shape(np.array([[0.2, 2.0, 0.85]]))
    means = exact(x, half, 0.2, 0.85)
    np.testing.assert_allclose(value[0], 2 * means, rtol=0, atol=2e-5)
    np.testing.assert_allclose(slopes[1, 0], means, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.85, 30.0, 1e6])
def test_a_gaussian_over_bins_is_a_difference_of_error_functions(sigma: float) -> None:
    """Of lines that are far narrower than a bin, and far wider; points among bins."""
    x, half = np.linspace(-3, 3, 13), np.full(13, 0.5)
    half[4] = 0.0
    p = np.array([0.2, 2.0, sigma, 0.3, -0.1])
    value, slopes = gaussian_on_line(x, half)(p[None])
    means = np.where(half, exact(x, 0.5, 0.2, sigma), 0.0)
    means[4] = np.exp(-(((x[4] - 0.2) / sigma) ** 2) / 2)
    np.testing.assert_allclose(value[0], 2 * means + 0.3 - 0.1 * x, atol=1e-8)
    for i, step in enumerate([1e-5 * sigma, 1e-5, 1e-5 * sigma, 1e-5, 1e-5]):
        ends = [gaussian_on_line(x, half)((p + s * np.eye(5)[i])[None])[0]
                for s in (-step, step)]  # fmt: skip
        difference = (ends[1] - ends[0]) / (2 * step)
        np.testing.assert_allclose(
            slopes[i], difference, rtol=1e-5, atol=1e-10 + 2e-6 * abs(slopes[i]).max()
        )


def test_points_have_the_shape_itself() -> None:
    x, p = np.linspace(-3, 3, 13), np.array([[0.2, 2.0, 0.85]])
    own = gaussian_on_line(x)(p)
    for shape in (gaussian_on_line, mean_over_bins(gaussian_on_line)):
        for part, same in zip(shape(x, np.zeros(x.size))(p), own, strict=True):
            np.testing.assert_array_equal(part, same)


def test_a_fit_has_the_parameters_of_bins_as_wide_as_the_line() -> None:
    """A user's function too: at the centres of the bins the width is 14 % high."""

    def line(E: np.ndarray, height: float, centre: float, sigma: float) -> np.ndarray:
        return height * np.exp(-(((E - centre) / sigma) ** 2) / 2)

    p = {"height": 2.0, "centre": 5.3, "sigma": 0.85}
    spectrum = binned(line, np.arange(0.5, 12.0, 2.0), p)
    found = spectrum.bp.fit(line, start=p | {"sigma": 1.2})
    assert found.sigma.item() == pytest.approx(0.85, rel=2e-3)
    for name in p:
        assert found[name].item() == pytest.approx(p[name], rel=3e-3)
    assert found.relative_residual.item() < 1e-3
    named = spectrum.bp.fit("gaussian")
    assert named.sigma.item() == pytest.approx(0.85, rel=1e-5)


@pytest.mark.parametrize("name", _MODELS)
def test_every_model_is_fitted_as_means_over_bins(name: str) -> None:
    row = MODELS[name]
    p = dict(row.held) | dict(row.example)
    spectrum = binned(row.function, np.arange(0.5, 30.1, 1.0), p, row)
    found = spectrum.bp.fit(row)
    assert found.status.item() == "ok"
    assert found.relative_residual.item() < 2e-3  # one has a kink within a bin
    for parameter in row.parameters:
        assert found[parameter].item() == pytest.approx(p[parameter], rel=2e-3)


def test_models_are_compared_as_means_over_bins() -> None:
    row = MODELS["damped_oscillator"]
    spectrum = binned(row.function, np.arange(0.5, 30.1, 1.0), row.example, row)
    table = spectrum.bp.compare_models(["damped_oscillator", "lognormal"])
    left = (table.fitted - table.measured).sel(model="damped_oscillator")
    assert float(abs(left).max()) < 1e-4 * float(table.measured.max())


def test_a_joint_fit_takes_means_over_bins() -> None:
    row = MODELS["debye_gaussian_dos"]
    g = binned(row.function, np.arange(0.5, 30.1, 1.0), row.example, row)
    g["g_std"] = g.g.copy(data=np.full(g.g.size, 1e-3))
    kelvin = {n: v / (BOLTZMANN_MEV if row.parameters[n] == "x" else 1)
              for n, v in row.example.items()}  # fmt: skip
    C = xbp.models.evaluate(row.of("heat_capacity"), np.geomspace(2, 60, 30), **kelvin)
    C["C_std"] = 0.01 * C.C.assign_attrs(C.C.attrs)
    table = g.bp.fit_together(C, model=row)
    assert float(abs(table.residual_1).max()) < 1e-2
    for name, value in row.example.items():
        assert table[name].item() == pytest.approx(value, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "ok"), [(0.1, (0, 0.2)), (0.3, (0.1, 0.9)), (0.7, (1, 1))]
)
def test_lines_narrower_than_a_bin(sigma: float, ok: tuple[float, float]) -> None:
    """Two of the bins show such a line, and a third that it has a width.

    Its noise alone looked like one: a quarter of the lines of a tenth of a bin had the
    status ok, with heights that were 8 errors off.
    """
    edges = np.arange(0.5, 20.6)
    rng = np.random.default_rng(2)
    energy = rng.uniform(8, 10, 300)
    below = erf((edges - energy[:, None]) / sigma / np.sqrt(2)) / 2
    y = np.diff(below, axis=1) + 0.01 * rng.standard_normal((300, edges.size - 1))
    data = xbp.new_dataset(
        "reduced_dos", y, units="1", std=np.full(y.shape, 0.01),
        coords={"run": (np.arange(300), "1"),
                "E": ((edges[1:] + edges[:-1]) / 2, "meV")},
    )  # fmt: skip
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    data = data.assign_coords(E_bnds=(("E", "bnds"), bounds))
    data.E.attrs["bounds"] = "E_bnds"
    table = data.bp.fit("gaussian")
    found = (table.status == "ok").values
    assert ok[0] <= found.mean() <= ok[1]
    truth = {"energy": energy, "sigma": sigma, "height": 1 / sigma / (2 * np.pi) ** 0.5}
    for name, true in truth.items():
        pulls = ((table[name] - true) / table[f"{name}_std"]).values[found]
        assert np.sqrt(np.mean(pulls**2)) < 1.15, name


@pytest.mark.slow
def test_the_pulls_of_a_step_within_a_bin() -> None:
    row, n = MODELS["debye_phonons_dos"], 300
    one = binned(row.function, np.arange(0.5, 30.1, 1.0), row.example, row)
    noise = 0.03 * float(one.g.max())
    y = one.g.values + noise * np.random.default_rng(3).normal(size=(n, one.g.size))
    spectra = one.drop_vars("g").assign_coords(draw=np.arange(n))
    spectra["g"] = (("draw", "E"), y, one.g.attrs)
    spectra["g_std"] = (("draw", "E"), np.full(y.shape, noise), one.g.attrs)
    table = spectra.bp.fit(row)
    assert (table.status == "ok").all()
    for name, value in row.example.items():
        pulls = (table[name] - value) / table[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.15
        assert float(pulls.std()) == pytest.approx(1, abs=0.15)
