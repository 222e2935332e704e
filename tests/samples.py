"""Samples that several test files share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import xarray as xr

import xbp

ROOT = Path(__file__).parents[1]

#: Debye phonons, and Einstein modes that make a boson peak at 5.6 meV.
DEBYE_EINSTEIN = {
    "gamma": 0.0, "n_D": 0.8, "theta_D": 260.0, "n_E": 0.2, "theta_E": 72.0,
    "sigma_E": 15.0,
}  # fmt: skip


def heat_capacity(T: np.ndarray) -> xr.Dataset:
    return xbp.models.evaluate("debye_einstein", T, **DEBYE_EINSTEIN)


def vibrations(end: float, middle: float) -> xr.Dataset:
    """Return a g(E) of area 1 that rises as E² to an end, with a band in the middle."""
    E = np.arange(1.0, end)
    g = E**2 * (1 + 2 * np.exp(-((E - middle) ** 2) / 8))
    return xbp.new_dataset(
        "vibrational_dos", g / g.sum(), units="1/meV", coords={"E": (E, "meV")},
        temperature="300 K",
    )  # fmt: skip


def benchmark(name: str) -> ModuleType:
    """Load a module of `benchmarks`, which is not installed."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
