"""Where fits of the named models start."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from xbp.models.model import Guess

__all__ = ["SPREAD", "highest", "search"]

#: Points on which starts are compared.
_SEARCHED: Final = 60
#: Energies to start from, in parts of the highest.
SPREAD: Final = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7)


def search(
    function: Callable[..., np.ndarray],
    scale: str,
    n_starts: int = 1,
    apart: str | None = None,
    **grids: Sequence[float],
) -> Guess:
    """Return a guess: the best points of a grid; energies in parts of x[-1].

    Of several starts no two have the same value of the parameter `apart`.
    """

    def guess(x: np.ndarray, y: np.ndarray) -> Sequence[Mapping[str, float]]:
        step = max(x.size // _SEARCHED, 1)
        x, y = x[::step], y[::step]
        found = []
        for values in itertools.product(*grids.values()):
            p = dict(zip(grids, map(float, values), strict=True))
            p = {
                n: v * x[-1] if "energy" in n or "width" in n else v
                for n, v in p.items()
            }
            curve = function(x, **{scale: 1.0}, **p)
            size = float(curve @ curve)
            amount = max(float(curve @ y) / size, 0.0) if size > 0 else 0.0
            misfit = float(np.sum((y - amount * curve) ** 2))
            misfit = misfit if np.isfinite(misfit) else np.inf
            found.append((misfit, {scale: amount or 1.0, **p}))
        found.sort(key=lambda one: one[0])
        if apart is not None:
            best = {p[apart]: (misfit, p) for misfit, p in reversed(found)}
            found = sorted(best.values(), key=lambda one: one[0])
        return [p for _, p in found[:n_starts]]

    return guess


def highest(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return position and height of the highest point, and a width."""
    # Methods of arrays: np.ptp takes longer for some points than all of this.
    i = int(y.argmax())
    above = x[y >= y[i] - (y[i] - y.min()) / 2]
    extent, whole = (float(part.max() - part.min()) for part in (above, x))
    # A line between two points is as wide as their distance, as far as they show.
    beside = x[max(i - 1, 0) : i + 2]
    apart = float(beside.max() - beside.min()) / max(beside.size - 1, 1)
    return float(x[i]), float(y[i]), max(extent, whole / 20, apart)
