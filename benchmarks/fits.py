"""Boson peaks and fits of many spectra at once, beside a loop over scipy's curve_fit."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit

import xbp
from benchmarks.process import best
from xbp.fitting.core import solve
from xbp.fitting.shapes import log_normal


def lognormal(x: np.ndarray, a: float, e: float, s: float) -> np.ndarray:
    """Return the log-normal that a user would write."""
    return np.asarray(a * np.exp(-(np.log(x / e) ** 2) / (2 * s * s)))


def main(n: int = 10_000, looped: int = 200) -> None:
    """Print the times of 10 000 spectra of 60 points."""
    rng = np.random.default_rng(0)
    E = np.linspace(1.5, 15, 60)
    centre = rng.uniform(4, 7, (n, 1))
    std = np.full((n, E.size), 0.02)
    values = lognormal(E, 1.0, centre, 0.5) + std * rng.standard_normal(std.shape)
    b = xbp.new_dataset(
        "reduced_dos",
        values,
        units="1",
        std=std,
        coords={"run": (np.arange(n), "1"), "E": (E, "meV")},
    )

    def loop() -> None:
        for y in values[:looped]:
            curve_fit(lognormal, E, y, (1, 5, 0.5), std[0], absolute_sigma=True)

    peer = best(loop) * n / looped
    start = np.tile([np.log(5), 0.0, 0.5], (n, 1))
    works = {
        "solve, from one start": lambda: solve(
            log_normal(np.log(E)), values, 1 / std, start, known=True
        ),
        "boson_peak, with a range": lambda: b.bp.boson_peak(E_range=(1, 15.1)),
        "boson_peak, range found": lambda: b.bp.boson_peak(),
        "fit": lambda: b.bp.fit("lognormal", "E"),
        "scan_boson_peak": lambda: b.bp.scan_boson_peak(),
    }
    print(f"{n} spectra of {E.size} points; curve_fit one by one: {peer:.2f} s")
    for name, work in works.items():
        own = best(work, 2)
        print(f"  {name:26s} {own:7.3f} s  {peer / own:6.1f} times faster")


if __name__ == "__main__":
    main()
