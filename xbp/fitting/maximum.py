"""Whether spectra have a maximum, whatever shape was fitted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xbp.fitting.rows import Packed, isotonic, scatter

__all__ = ["clearly_rise_and_fall", "rise_and_fall"]


def clearly_rise_and_fall(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    number: Mapping[str, np.ndarray],
    free: np.ndarray,
) -> np.ndarray:
    """Return for which spectra `rise_and_fall` is true without being computed.

    χ² of a curve that only falls is at least that of two levels, of the bins at the
    foot of the low side and of those at the top, which it must not tell apart; that of
    the best curve with a maximum is at most the fitted one's.
    """
    away = E - number["energy"][:, None]
    below, above = (number["energy"] - number["low"], number["high"] - number["energy"])
    part = np.where(away < 0, away / below[:, None], away / above[:, None])
    w = weight**2

    def level(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = np.where(at, w, 0.0)
        total = own.sum(axis=1)
        return np.einsum("mk,mk->m", own, y) / total, total

    top, w_top = level(np.abs(part) < 0.3)
    least = np.full(len(y), np.inf)
    for foot, w_foot in (level(part < -0.6), level(part > 0.6)):
        raised = np.where(top > foot, (top - foot) ** 2, 0.0)
        least = np.fmin(least, raised * w_top * w_foot / (w_top + w_foot))
    return np.asarray(least - number["chi2_reduced"] * free > 16)


def rise_and_fall(
    E: np.ndarray,
    y: np.ndarray,
    usable: np.ndarray,
    weight: np.ndarray | None,
    energy: np.ndarray,
) -> np.ndarray:
    """Return whether the points themselves rise to the fitted maximum and fall beyond.

    A broad shape fits a falling line too, with its maximum where no point can
    contradict it. So the best curve that rises up to the maximum and falls after it,
    whatever its shape, is compared with the best one that only falls or only rises. It
    must lower χ² by 16: pure noise on flat, falling and rising spectra then shows a
    maximum in less than one of twenty draws.
    """
    if weight is None:
        # The scatter of the points about the fit replaces their error.
        pack = Packed(usable)
        noise = scatter(pack(y), pack.inside)[:, None]
        weight = np.broadcast_to(1 / np.fmax(noise, 1e-12), y.shape)

    def misfit(way: int, within: np.ndarray) -> np.ndarray:
        row, at = np.nonzero(within)
        if not row.size:
            return np.zeros(len(y))
        w = weight[row, at] ** 2
        best = isotonic(way * y[row, at], w, row).fitted
        own = w * (way * y[row, at] - best) ** 2
        return np.bincount(row, own, minlength=len(y))

    before = energy[:, None] > E
    with_maximum = misfit(1, usable & before) + misfit(-1, usable & ~before)
    without = np.minimum(misfit(1, usable), misfit(-1, usable))
    return np.asarray(without - with_maximum > 16)
