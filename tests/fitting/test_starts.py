"""Fits of all named models to exact curves end where these were made, or are not ok."""

from __future__ import annotations

import numpy as np
import pytest

import xbp
from xbp.core.schema import QUANTITIES
from xbp.models import MODELS
from xbp.models.model import Model

N = 60
E, T = np.arange(0.5, 30, 0.25), np.geomspace(2, 300, 60)


def drawn(model: Model) -> dict[str, np.ndarray]:
    """Draw parameters about those of the example, energies from a half to 1.7 times."""
    rng = np.random.default_rng(11)
    factors = {
        name: np.exp(rng.uniform(*np.log(_ranges(model, name)), N))
        for name in model.example
    }
    return {
        name: np.minimum(value * factors[name], 0.9 * model.below.get(name, np.inf))
        for name, value in model.example.items()
    }


def _ranges(model: Model, name: str) -> tuple[float, float]:
    if name in model.below:
        return (0.5, 2.0)
    of_energy = "energy" in name or name.startswith("theta")
    return (0.5, 1.7) if of_energy else (0.6, 1.6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_no_fit_ends_at_a_false_minimum(name: str) -> None:
    """Of 200 such curves up to 75 did, of `rayleigh_line_dos`, with the status ok."""
    model = MODELS[name]
    (dim,) = {"E", "temperature"} & set(QUANTITIES[model.quantity].dims)
    x, units = (T, "K") if dim == "temperature" else (E, "meV")
    columns = {one: values[:, None] for one, values in drawn(model).items()}
    curves = np.asarray(model.function(x, **columns, **model.held))
    data = xbp.new_dataset(
        model.quantity, curves, units=model.y_units or "1", statistics="unknown",
        coords={"run": (np.arange(N), "1"), dim: (x, units)},
    )  # fmt: skip
    fit = data.bp.fit(name, dim=dim)
    ok = fit.status == "ok"
    assert float(ok.mean()) > 0.6
    assert float(fit.relative_residual.where(ok).max()) < 1e-6
