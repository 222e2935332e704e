"""Many fits at once: what is said of each."""

from __future__ import annotations

import numpy as np
import pytest

import xbp


def line(x: np.ndarray, a: float, b: float) -> np.ndarray:
    return a + b * x


def test_a_number_that_no_value_contradicts_is_undetermined() -> None:
    """16 points have a mean of 0 ± 1/4, of which tanh(p)/5 is never 1 σ away."""
    x = np.linspace(1.0, 16.0, 16)
    data = xbp.new_dataset(
        "reduced_dos", 0 * x, std=0 * x + 1, units="1", coords={"E": (x, "meV")}
    )

    def level(x: np.ndarray, p: float) -> np.ndarray:
        return 0.2 * np.tanh(p) + 0 * x

    found = data.bp.fit(level, start={"p": 0.1})
    assert found.status == "undetermined"
    assert found.limiting_parameter == "p"


@pytest.mark.parametrize(
    ("x", "slope", "left"),
    [
        ([-2.0, -1.0, 1.0, 2.0], 0.0, [3.0, 3.0, 3.0, 3.0]),
        ([1.0, 2.0, 3.0, 4.0], -1.0, [2.0, 1.0, 0.0, -1.0]),
    ],
)
def test_what_a_curve_is_beside_zeros_is_a_part_of_its_largest_value(
    x: list[float], slope: float, left: list[float]
) -> None:
    """A line through (0, 3), which the best slope −3 Σx/Σx² does not bring to 0."""
    zero = np.zeros(4)
    data = xbp.new_dataset(
        "reduced_dos", zero, std=zero + 1, units="1", coords={"E": (x, "meV")}
    )
    found = data.bp.fit(line, start={"b": 1.0}, fixed={"a": 3.0})
    assert found.status == "ok"
    assert float(found.b) == pytest.approx(slope)
    off = np.array(left)
    assert float(found.chi2_reduced) == pytest.approx(np.sum(off**2) / 3)
    rms = np.sqrt(np.mean(off**2))
    assert float(found.relative_residual) == pytest.approx(rms / off.max())


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_errors_contain_another_minimum_that_noise_allows(noise: float) -> None:
    """Of the lowest χ² alone the pulls of energy_R are 2.1 to 2.3 wide."""
    row, n = xbp.models.MODELS["rayleigh_line_dos"], 300
    one = xbp.models.evaluate(row, np.arange(1, 30.1, 0.5), **row.example)
    (name,) = one.data_vars
    noise *= float(one[name].max())
    y = one[name].values + noise * np.random.default_rng(5).normal(size=(n, one.E.size))
    data = one.drop_vars(name).assign_coords(draw=np.arange(n))
    data[name] = (("draw", "E"), y, one[name].attrs)
    data[f"{name}_std"] = (("draw", "E"), np.full(y.shape, noise), one[name].attrs)
    table = data.bp.fit(row).where(lambda table: table.status == "ok", drop=True)
    assert table.sizes["draw"] > 0.9 * n
    for parameter in ("area", "energy_T", "energy_R"):
        pulls = (table[parameter] - row.example[parameter]) / table[f"{parameter}_std"]
        assert float(pulls.std()) < 1.15
