"""Recognise maxima caused by a filter edge or the beginning of the data, which are not peaks. On plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from xbp.core.status import AT_EDGE, OK, STEEP_EDGE
from xbp.fitting.search import SIGNIFICANT, WEIGHABLE, scatter, smoothed

__all__ = ["EDGE_WIDTH", "FILTER_END", "judge_sides"]

#: Default of `edge_width`, in ln E. The low side of a log-normal of width σ rises from
#: a fifth to four fifths of its height within 1.13 σ, and boson peaks have σ of 0.4 to
#: 0.9; notch and edge filters open within 2 to 15 % of E.
EDGE_WIDTH = 0.25
#: Default of `filter_end`: notch filters take 5 to 10 1/cm off, and open softly.
FILTER_END = "15 1/cm"
# Parts of the height above the foot between which a side is measured.
_FOOT, _SHOULDER = 0.2, 0.8
# An edge is this many times as steep as the other side, and what lies below it stays
# below half of its height for this many times its rise: behind a valley, as beside
# quasi-elastic scattering, the spectrum is up again sooner.
_LOPSIDED, _LEVEL = 2.0, 3.0
# A filter takes at least this part of the intensity off; van Hove singularities of
# crystals are steep, but stand on the level of their sound waves. A side that falls so
# far is seen, however near it is to the beginning of the data.
_SEEN = 0.5
# Fewest bins on each side of a maximum.
_BINS = 2
# Near the laser line filters open within a larger part of E, up to this many times
# `edge_width`.
_WIDER = 3.0


@dataclass(frozen=True)
class _Side:
    """One side of a maximum.

    Its lowest and highest value, and in ln E where its rise begins, how long it is, and
    where it reaches half of its height.
    """

    foot: float
    top: float
    begin: float
    rise: float
    middle: float


def judge_sides(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    energy: float,
    low: float,
    high: float,
    edge_width: float,
    filter_end: float = 0.0,
) -> str:
    """Return whether the sides of a maximum are those of a peak.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        The whole spectrum, beyond the range fitted too, ascending in E; E ≤ 0 and NaN
        are left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations.
    energy : float
        The maximum of the fitted curve.
    low, high : float
        Ends of the range fitted.
    edge_width : float
        Least extent of the low side, in ln E; 0 for no limit.
    filter_end : float
        Energy up to which a filter near the laser line may reach; 0 for none.

    Returns
    -------
    str
        A status: "steep edge" where the low side rises from a level below half of the
        top, or from the first bin, within less than `edge_width` (from 0.2 to 0.8 of
        its height above the foot) and the high side falls less than half as steeply, or
        where it reaches half of its height below `filter_end` and rises within less
        than three times `edge_width`;
        "maximum at edge" where the data begin less than `edge_width` below the maximum
        and above half of its height, or the range fitted has less than two bins on one
        side of it; "ok" otherwise.

    Examples
    --------
    >>> E = np.arange(5.0, 200, 1.0)
    >>> fluorescence = 1 / (1 + np.exp((40 - E) / 1.5)) * np.exp(-E / 100)
    >>> judge_sides(E, fluorescence, None, 45, 35, 100, 0.25), judge_sides(E, fluorescence, None, 45, 35, 100, 0.0)
    ('steep edge', 'ok')
    """
    usable = np.isfinite(E) & (np.abs(B) < WEIGHABLE[1]) & (E > 0)
    if std is not None:
        usable &= (std > WEIGHABLE[0]) & (std < WEIGHABLE[1])
    x, y = E[usable], B[usable]
    fitted = (x >= low) & (x <= high)
    if min((fitted & (x < energy)).sum(), (fitted & (x > energy)).sum()) < _BINS:
        return AT_EDGE
    if edge_width <= 0:
        return OK
    noise = scatter(y[fitted]) if std is None else float(np.median(std[usable][fitted]))
    weight = np.ones(y.size) if std is None else 1 / std[usable] ** 2
    needed = 2 * SIGNIFICANT * noise
    smooth = smoothed(y)
    top = _summit(smooth, int(np.searchsorted(x, energy)), needed)
    first, begins = _end_of_side(smooth[top::-1], needed)
    last, _ = _end_of_side(smooth[top:], needed)
    below, above = slice(top - first, top + 1), slice(top, top + last + 1)
    left = _side(np.log(x[below]), y[below], weight[below])
    if left.top - left.foot <= needed:
        return OK
    if left.foot > _SEEN * left.top:
        return AT_EDGE if begins and np.log(energy / x[0]) < edge_width else OK
    if (
        left.middle < np.log(max(filter_end, 1e-300))
        and left.rise < _WIDER * edge_width
    ):
        return STEEP_EDGE
    right = _side(-np.log(x[above])[::-1], y[above][::-1], weight[above][::-1])
    steep = left.rise < min(edge_width, right.rise / _LOPSIDED)
    up_again = np.flatnonzero(smooth[: top - first] > (left.foot + left.top) / 2)
    level = left.begin - np.log(x[up_again[-1] if up_again.size else 0])
    return STEEP_EDGE if steep and (begins or level > _LEVEL * left.rise) else OK


def _summit(y: np.ndarray, start: int, needed: float) -> int:
    """Return where a curve is highest that is reached from a bin without a descent above the noise."""
    ways = []
    for way in (y[start::-1], y[start:]):
        falls = np.flatnonzero(way < np.maximum.accumulate(way) - needed)
        ways.append(int(np.argmax(way[: falls[0]] if falls.size else way)))
    return (
        start - ways[0] if y[start - ways[0]] >= y[start + ways[1]] else start + ways[1]
    )


def _end_of_side(side: np.ndarray, needed: float) -> tuple[int, bool]:
    """Return where a side is lowest before it rises again, counted from the top, and whether the data end there."""
    rises = np.flatnonzero(side > np.minimum.accumulate(side) + needed)
    return int(np.argmin(side[: rises[0]] if rises.size else side)), not rises.size


def _side(log_x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Side:
    """Measure one side, from its foot up, by the curve nearest to its points that only rises."""
    fit = scipy.optimize.isotonic_regression(y, weights=weight)
    begin = fit.blocks[:-1]
    value, place = fit.x[begin], np.add.reduceat(log_x, begin) / np.diff(fit.blocks)
    # A level ends where the rise begins, not in its middle.
    place[0], place[-1] = log_x[fit.blocks[1] - 1], log_x[begin[-1]]
    foot, top = float(value[0]), float(value[-1])
    at = [
        float(np.interp(foot + part * (top - foot), value, place))
        for part in (_FOOT, 0.5, _SHOULDER)
    ]
    return _Side(foot, top, at[0], at[2] - at[0], at[1])
