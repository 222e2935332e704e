"""Whether errors of fits are those of draws: `python -m benchmarks.errors`.

Spectra of several models are drawn many times and fitted. Beside the fits that are ok
the table has how many true values are within one and two errors (of a Gaussian 68 and
95 %), how many are more than four errors away, and the largest distance. `--straight`
and `--some` are those of `xbp.fitting.valley.stretched`; with `--straight 0 --some 0`
errors are those of the tangent.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.fitting import problem
from xbp.fitting.valley import stretched
from xbp.models import MODELS, Model

E = np.linspace(0.5, 10, 40)
RISING = Model(
    "rising",
    lambda x, height, energy: height * (1 - np.exp(-x / energy)),
    "reduced_dos",
    {"height": "y", "energy": "x"},
    about="a curve that approaches its height",
    positive=("height", "energy"),
    guess=lambda x, y: {"height": float(y.max()), "energy": float(x.mean())},
    vectorized=True,
)
STRINGS = MODELS["debye_phonons_dos"] + MODELS["stringlets_dos"].renamed(area="n_s")
#: Model, noise over the largest value, what is fixed, and the other true parameters.
CASES: tuple[tuple[Model | str, float, dict[str, float], dict[str, float]], ...] = (
    (RISING, 0.02, {}, {"height": 1.0, "energy": 5.0}),
    (RISING, 0.05, {}, {"height": 1.0, "energy": 20.0}),
    (RISING, 0.02, {}, {"height": 1.0, "energy": 40.0}),
    ("lognormal", 0.03, {}, {"energy": 4.5, "height": 1.0, "sigma": 0.6}),
    ("lognormal", 0.1, {}, {"energy": 8.0, "height": 1.0, "sigma": 0.6}),
    ("lognormal", 0.1, {}, {"energy": 14.0, "height": 1.0, "sigma": 0.9}),
    ("exponential_flank", 0.1, {}, {"energy_c": 3.0, "height": 1.0, "power": 0.3}),
    ("correlated_disorder", 0.1, {}, {"energy": 8.0, "height": 1.0}),
    ("bi_hill", 0.02, {}, {"height": 2.0, "energy_1": 3.0, "power_1": 2.0,
                           "energy_2": 4.0, "power_2": 3.0}),
    ("damped_oscillator_current", 0.1, {}, {"area": 1.0, "energy": 5.0, "width": 6.0}),
    ("soft_oscillators_dos", 0.1, {}, {"slope": 1.0, "energy_star": 5.0}),
    ("quasilocalized_dos", 0.05, {}, {"level": 1.0, "energy_4": 12.0}),
    ("resonant_phonons_dos", 0.03, {"area": 1.0}, {
        "energy_T": 22.0, "energy_0": 5.0, "softening": 0.15, "width_0": 3.0}),
    ("heterogeneous_elasticity_dos", 0.03, {"area": 1.0},
     {"energy_T": 20.0, "disorder": 0.7}),
    (STRINGS, 0.03, {"energy_D": 25.0}, {"n_D": 0.8, "n_s": 0.2, "energy_s": 18.0}),
)  # fmt: skip


def drawn(
    model: Model | str, noise: float, true: dict[str, float], draws: int
) -> xr.Dataset:
    """Return noisy spectra of one model."""
    exact = xbp.models.evaluate(model, E, **true)
    (curve,) = exact.data_vars.values()
    std = np.full((draws, E.size), noise * float(curve.max()))
    values = curve.values + std * np.random.default_rng(3).standard_normal(std.shape)
    return xbp.new_dataset(
        curve.attrs["quantity"], values, std=std, units=curve.attrs["units"],
        coords={"draw": (np.arange(draws), "1"), "E": (E, "meV")},
    )  # fmt: skip


def coverage(
    model: Model | str,
    noise: float,
    fixed: dict[str, float],
    true: dict[str, float],
    draws: int = 200,
) -> dict[str, Any]:
    """Return how often fits of one model are ok, and how far from the truth they are."""
    found = drawn(model, noise, fixed | true, draws).bp.fit(model, fixed=fixed)
    status = found.status.values
    pulls = np.abs([(found[n] - v) / found[f"{n}_std"] for n, v in true.items()])
    pulls = pulls[:, status == "ok"]
    return {
        **{s: int((status == s).sum()) for s in ("ok", "undetermined")},
        "other": int((~np.isin(status, ("ok", "undetermined"))).sum()),
        "1 σ": float(np.mean(pulls < 1)), "2 σ": float(np.mean(pulls < 2)),
        "beyond 4": int((pulls > 4).any(axis=0).sum()),
        "largest": float(pulls.max(initial=0)),
    }  # fmt: skip


def main(draws: int, **levels: float) -> None:
    """Print the table."""
    problem.stretched = functools.partial(stretched, **levels)
    names = ("ok", "undetermined", "other", "1 σ", "2 σ", "beyond 4", "largest")
    print(f"{'model and noise':42}" + "".join(name.rjust(14) for name in names))
    for model, noise, fixed, true in CASES:
        row = coverage(model, noise, fixed, true, draws)
        name = f"{getattr(model, 'name', model)} {100 * noise:g} %"
        cells = [f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()]
        print(f"{name:42}" + "".join(c.rjust(14) for c in cells), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.errors")
    parser.add_argument("--draws", type=int, default=200)
    for level, default in (("far", 4.0), ("straight", 3.0), ("some", 1.0)):
        parser.add_argument(f"--{level}", type=float, default=default)
    main(**vars(parser.parse_args()))
