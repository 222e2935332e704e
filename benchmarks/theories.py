"""Which model BIC chooses for spectra of each model: `python -m benchmarks.theories`.

Results of a run that was stopped are in the file `--results`, from which the same
command goes on. `--draws 10 --noise 0.01` is for 10 draws with 1 % of noise only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.models import MODELS

E = np.linspace(0.5, 15, 60)
#: Areas of phonons are 1; strings are a fraction of modes beside Debye's phonons.
FIXED = {"area": 1.0, "energy_D": 25.0}
LEVELS = (0.01, 0.03, 0.1)
STRINGS = MODELS["debye_phonons_dos"] + MODELS["stringlets_dos"].renamed(area="n_s")
TRUE: dict[str, dict[str, float]] = {
    "lognormal": {"energy": 4.5, "height": 1e-3, "sigma": 0.6},
    "correlated_disorder": {"energy": 4.0, "height": 1e-3},
    "gaussian_disorder": {"energy": 6.0, "height": 1e-3},
    "exponential_flank": {"energy_c": 3.0, "height": 1e-3, "power": 1.3},
    "debye_phonons_dos + stringlets_dos": {"n_D": 0.8, "n_s": 0.2, "energy_s": 18.0},
    "soft_potential_dos": {"slope": 0.01, "energy_b": 4.0},
    "soft_oscillators_dos": {"slope": 0.01, "energy_star": 2.6},
    "jamming_dos": {"area_star": 0.3, "energy_0": 0.4, "energy_star": 7.0},
    "quasilocalized_dos": {"level": 2e-4, "energy_4": 9.0},
    "damped_phonons_dos": {"energy_T": 22.0, "damping": 0.3},
    "resonant_phonons_dos": {
        "energy_T": 22.0, "energy_0": 5.0, "softening": 0.15, "width_0": 3.0,
    },
    "heterogeneous_elasticity_dos": {"energy_T": 20.0, "disorder": 0.85},
    "rayleigh_modulus_dos": {"energy_T": 22.0, "energy_R": 12.0},
}  # fmt: skip


def spectra(name: str, noise: float, draws: int) -> xr.Dataset:
    """Return g(E) of a model with errors that are a part of each value."""
    row = MODELS.get(name, STRINGS)
    known = {n: v for n, v in FIXED.items() if n in row.parameters}
    g = xbp.models.evaluate(row.of("vibrational_dos"), E, **known, **TRUE[name])
    values = np.tile(g.g.values, (max(draws, 1), 1))
    std = noise * values
    if draws:
        values = values + std * np.random.default_rng(1).standard_normal(std.shape)
    return xbp.new_dataset(
        "vibrational_dos", values, units="1/meV", std=std,
        coords={"draw": (np.arange(len(values)), "1"), "E": (E, "meV")},
    )  # fmt: skip


def compared(data: xr.Dataset) -> xr.Dataset:
    """Return the comparison of all models."""
    table: xr.Dataset = data.bp.compare_models(
        [MODELS.get(name, STRINGS) for name in TRUE], fixed=FIXED
    )
    return table


def code() -> str:
    """Return a fingerprint of all code that decides a result."""
    package = Path(xbp.__file__).parent
    sources = [path for part in ("models", "fitting", "analysis", "core")
               for path in sorted((package / part).glob("*.py"))]  # fmt: skip
    text = b"".join(path.read_bytes() for path in (*sources, Path(__file__)))
    return hashlib.sha256(text).hexdigest()[:16]


class Results:
    """Results by name, kept in a file: those that are there are not computed again."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.known, self.code = path, dict[Any, Any](), code()

    def __call__(self, compute: Any, *of: Any) -> Any:
        """Return compute(*of); other processes may work on the same file."""
        key = (self.code, compute.__name__, *of)
        if self.path is not None and self.path.exists():
            rows = map(json.loads, self.path.read_text().splitlines())
            self.known |= {tuple(row["of"]): row["result"] for row in rows}
        if key not in self.known:
            self.known[key] = compute(*of)
            if self.path is not None:
                with self.path.open("a") as file:
                    row = {"of": key, "result": self.known[key]}
                    file.write(json.dumps(row) + "\n")
        return self.known[key]


def distances(name: str) -> dict[str, float]:
    """Return how far each model, fitted to the curve of one, stays from it (rms)."""
    table = compared(spectra(name, 0.01, 0)).isel(draw=0)
    apart = 0.01 * np.sqrt((table.residual**2).mean("E").values)
    return {other: float(d) for other, d in zip(TRUE, apart, strict=True)}


def chosen(name: str, noise: float, draws: int) -> dict[str, int]:
    """Return how often BIC chooses which model for spectra of one."""
    bic = compared(spectra(name, noise, draws)).BIC.fillna(np.inf)
    best = bic.argmin("model").values.tolist()
    return dict(Counter(list(TRUE)[i] for i in best))


def main(draws: int, levels: list[float], path: Path | None) -> None:
    """Print how far the curves of any two models differ, and which are chosen."""
    warnings.simplefilter("ignore")
    results = Results(path)
    print("pairs whose fitted curves differ by less than 3 % (rms):")
    for name in TRUE:
        near = [
            f"{other} {100 * d:.2g} %"
            for other, d in results(distances, name).items()
            if other != name and d < 0.03
        ]
        print(f"  {name}: {', '.join(near) or 'none'}", flush=True)
    print(
        f"\ntimes in {draws} that BIC chose the true model, and which else, at noise of"
    )
    print(f"{'':36}" + "".join(f"{100 * noise:g} %".ljust(30) for noise in levels))
    for name in TRUE:
        print(f"{name:36}", end="", flush=True)
        for noise in levels:
            counts = dict(results(chosen, name, noise, draws))
            true = counts.pop(name, 0)
            rest = ", ".join(f"{other} {n}" for other, n in counts.items())
            cell = f"{true}{rest and f' ({rest})'}"
            print(cell.ljust(30), end="", flush=True)
        print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.theories")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--noise", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    main(given.draws, given.noise, given.results)
