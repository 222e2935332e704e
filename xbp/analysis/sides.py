"""Where a boson peak is sought, and whether its sides are those of a peak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy

from xbp.core.status import Status
from xbp.fitting.peak import usable_bins
from xbp.fitting.rows import (
    Packed,
    first_true,
    isotonic,
    medians,
    outward,
    scatter,
    smoothed,
)
from xbp.fitting.shapes import SIGNIFICANT
from xbp.models.lineshapes import FWHM_PER_SIGMA

__all__ = ["EDGES", "edges_of", "judge_sides", "peak_ranges", "sides_are_fitted"]

#: Edges that a maximum can be at, by their number in the answer of `edges_of`.
EDGES = (
    "no energy that was measured",
    "the beginning of the data",
    "the end of the data",
    "the beginning of the fitted range",
    "the end of the fitted range",
)


def peak_ranges(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    sought: np.ndarray,
    depth: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the range of the broadest interior maximum, where the user named none.

    The spectrum is smoothed over three bins, or a tenth of the energy to each side
    where these are more: a boson peak is broad, and finely stepped noise is not. The
    most prominent maximum above its noise counts. Each side of it ends where the
    spectrum rises again, above its noise and by 2 % of its prominence, and the range
    goes `depth` of the way down to the lowest there: a peak on a plateau, such as
    Debye's level, is fitted without the plateau.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies, ascending.
    B : numpy.ndarray, shape (m, k)
        Spectra; E ≤ 0 and NaN are left out.
    std : numpy.ndarray, shape (m, k), or None
        Standard deviations.
    sought : numpy.ndarray of bool, shape (m, k)
        Bins to seek in.
    depth : float
        How far down each side the range goes, as a part of its descent.

    Returns
    -------
    low, high : numpy.ndarray, shape (m,)
        Limits of the ranges; NaN without an interior maximum.
    """
    usable = usable_bins(E, B, std) & sought
    pack = Packed(usable)
    x, y, inside = pack(E), pack(B), pack.inside & (pack.count >= 5)[:, None]
    m, n = x.shape
    count = pack.count[:, None]
    seen = np.zeros((m, E.size + 1), dtype=int)
    usable.cumsum(axis=1, out=seen[:, 1:])
    begin, end = np.searchsorted(E, 0.9 * E), np.searchsorted(E, 1.1 * E, side="right")
    i = np.arange(n)
    first = np.maximum(np.minimum(pack(seen[:, begin]), i - 1), 0)
    last = np.minimum(np.maximum(pack(seen[:, end]), i + 2), count)
    total = np.zeros((m, n + 1))
    np.where(pack.inside, y, 0.0).cumsum(axis=1, out=total[:, 1:])
    bins = np.maximum(last - first, 1)
    smooth = np.take_along_axis(total, last, 1) - np.take_along_axis(total, first, 1)
    smooth = smooth / bins
    highest = np.where(inside, smooth, -np.inf).max(axis=1)
    lowest = np.where(inside, smooth, np.inf).min(axis=1)
    least = 1e-3 * np.where(inside.any(axis=1), highest - lowest, 0.0)
    row, top, prominence = _maxima(smooth, inside)
    some = prominence >= least[row]
    row, top, prominence = row[some], top[some], prominence[some]
    order = np.lexsort((-prominence, row))
    row, top, prominence = row[order], top[order], prominence[order]
    errors = y if std is None else pack(std)
    low, high = np.full((2, m), np.nan)
    # The most prominent one of each row, then the next where it is noise.
    trial = np.flatnonzero(np.diff(row, prepend=-1))
    while trial.size:
        at, centre = row[trial], top[trial]
        middle = x[at, centre][:, None]
        # Noise as it is about this maximum: counting makes it another at every energy.
        near = inside[at] & (x[at] > middle / 2) & (x[at] < 2 * middle)
        if std is None:
            few = (near.sum(axis=1) < 5)[:, None]
            noise = scatter(y[at], np.where(few, inside[at], near))
        else:
            noise = medians(errors[at], near)
        needed = 2 * SIGNIFICANT * noise / np.sqrt(bins[at, centre])
        needed = np.maximum(needed, least[at])
        seen_above = prominence[trial] >= needed
        at, centre, trial_of = at[seen_above], centre[seen_above], trial[seen_above]
        rise = np.maximum(needed[seen_above], 0.02 * prominence[trial_of])
        arguments = (smooth[at], inside[at], centre)
        low[at] = x[at, centre - _foot(*arguments, -1, rise, depth)]
        high[at] = x[at, centre + _foot(*arguments, 1, rise, depth)]
        trial = trial[~seen_above] + 1
        trial = trial[trial < row.size]
        trial = trial[row[trial] == row[trial - 1]]
    return low, high


def _maxima(
    smooth: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, place and prominence of all interior maxima."""
    m, n = smooth.shape
    # One after the other, with walls between them.
    walled = np.full((m, n + 1), np.inf)
    walled[:, :n] = np.where(inside, smooth, np.inf)
    line = walled.ravel()
    peaks, _ = scipy.signal.find_peaks(line)
    peaks = peaks[np.isfinite(line[peaks])]
    prominence, _, _ = scipy.signal.peak_prominences(line, peaks)
    row, top = np.divmod(peaks, n + 1)
    return row, top, prominence


def _foot(
    y: np.ndarray,
    inside: np.ndarray,
    top: np.ndarray,
    way: int,
    rise: np.ndarray,
    depth: float,
) -> np.ndarray:
    """Return after how many bins sides have gone `depth` of their way down."""
    side, start = outward(y, inside, top, way, np.inf)
    low, end, _ = _descent(side, rise)
    rows = np.arange(len(y))
    height, lowest = side[rows, start], low[rows, end - 1]
    reached = height - depth * (height - np.maximum(lowest, 0.0))
    there = (side <= reached[:, None]) & (np.arange(side.shape[1]) < end[:, None])
    return np.asarray(first_true(there, start) - start)


def _descent(
    side: np.ndarray, rise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the running minima, where sides rise again, and which do so at all."""
    low = np.minimum.accumulate(side, axis=1)
    rises = np.isfinite(side) & (side > low + rise[:, None])
    gone = np.isfinite(side)
    ends = side.shape[1] - gone[:, ::-1].argmax(axis=1)
    return low, first_true(rises, ends), rises.any(axis=1)


class _Sides(NamedTuple):
    """Sides of maxima, one of each row.

    Their lowest and highest values, and in ln E where their rise begins, how long it
    is, and where it reaches half of its height.
    """

    foot: np.ndarray
    top: np.ndarray
    begin: np.ndarray
    rise: np.ndarray
    middle: np.ndarray


def judge_sides(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    energy: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    edge_width: float,
    filter_end: float = 0.0,
) -> np.ndarray:
    """Return whether the sides of maxima are those of peaks.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies, ascending.
    B : numpy.ndarray, shape (m, k)
        The whole spectra, beyond the range fitted too; E ≤ 0 and NaN are left out.
    std : numpy.ndarray, shape (m, k), or None
        Standard deviations.
    energy : numpy.ndarray, shape (m,)
        The maxima of the fitted curves.
    low, high : numpy.ndarray, shape (m,)
        Ends of the ranges fitted.
    edge_width : float
        Least extent of the low side, in ln E; 0 for no limit.
    filter_end : float
        Energy up to which a filter near the laser line may reach; 0 for none.

    Returns
    -------
    numpy.ndarray of int, shape (m,)
        `Status.code`: "steep edge" where the low side rises from a level below half of
        the top, or from the first bin, within less than `edge_width` (from 0.2 to 0.8
        of its height above the foot) and the high side falls less than half as steeply,
        or where it reaches half of its height below `filter_end` and rises within less
        than three times `edge_width`;
        "maximum at edge" where the data begin less than `edge_width` below the maximum
        and above half of its height, or the range fitted has less than two bins on one
        side of it; "ok" otherwise.

    Examples
    --------
    >>> from xbp.core.status import statuses
    >>> E = np.arange(5.0, 200, 1.0)
    >>> fluorescence = 1 / (1 + np.exp((40 - E) / 1.5)) * np.exp(-E / 100)
    >>> at, low, high = np.array([[45.0], [35.0], [100.0]])
    >>> for edge_width in (0.25, 0.0):
    ...     print(*statuses(judge_sides(
    ...         E, fluorescence[None], None, at, low, high, edge_width)))
    steep edge
    ok
    """
    pack = Packed(usable_bins(E, B, std))
    x, y, inside = pack(E), pack(B), pack.inside
    rows, column = np.arange(len(B)), energy[:, None]
    fitted = inside & (x >= low[:, None]) & (x <= high[:, None])
    on_sides = (
        (fitted & (x < column)).sum(axis=1),
        (fitted & (x > column)).sum(axis=1),
    )
    at_edge = np.minimum(*on_sides) < 2
    status = np.where(at_edge, Status.AT_EDGE.code, Status.OK.code)
    if edge_width <= 0 or at_edge.all():
        return status
    if std is None:
        noise, weight = scatter(y, fitted), np.ones(y.shape)
    else:
        noise, weight = medians(pack(std), fitted), 1 / pack(std) ** 2
    needed = 2 * SIGNIFICANT * noise
    smooth = smoothed(y)
    above = np.minimum((inside & (x < column)).sum(axis=1), pack.count - 1)
    top = _summit(smooth, inside, above, needed)
    first, begins = _end_of_side(smooth, inside, top, -1, needed)
    last, _ = _end_of_side(smooth, inside, top, 1, needed)
    log_x, i = np.log(x), np.arange(x.shape[1])
    below = (i >= (top - first)[:, None]) & (i <= top[:, None])
    left = _measured(log_x, y, weight, below)
    beyond = (i >= top[:, None]) & (i <= (top + last)[:, None])
    right = _measured(-log_x[:, ::-1], y[:, ::-1], weight[:, ::-1], beyond[:, ::-1])
    again = (i < (top - first)[:, None]) & (
        smooth > ((left.foot + left.top) / 2)[:, None]
    )
    before = x.shape[1] - 1 - first_true(again[:, ::-1], x.shape[1] - 1)
    level = left.begin - log_x[rows, before]
    near = begins & (np.log(energy / x[:, 0]) < edge_width)
    steep = left.rise < np.minimum(edge_width, right.rise / 2)
    filtered = left.middle < np.log(max(filter_end, 1e-300))
    return np.asarray(
        np.select(
            [
                at_edge | (left.top - left.foot <= needed),
                left.foot > 0.5 * left.top,
                filtered & (left.rise < 3 * edge_width),
                steep & (begins | (level > 3 * left.rise)),
            ],
            [
                status,
                np.where(near, Status.AT_EDGE.code, Status.OK.code),
                Status.STEEP_EDGE.code,
                Status.STEEP_EDGE.code,
            ],
            Status.OK.code,
        )
    )


def _summit(
    y: np.ndarray, inside: np.ndarray, start: np.ndarray, needed: np.ndarray
) -> np.ndarray:
    """Return the highest bins that are reached without a descent above the noise."""
    rows, found = np.arange(len(y)), []
    for way in (-1, 1):
        side, begin = outward(y, inside, start, way, -np.inf)
        high = np.maximum.accumulate(side, axis=1)
        falls = (side < high - needed[:, None]) & np.isfinite(high)
        end = first_true(falls, side.shape[1])
        within = np.arange(side.shape[1]) < end[:, None]
        steps = np.where(within, side, -np.inf).argmax(axis=1) - begin
        found.append(start + way * steps)
    left, right = found
    return np.asarray(np.where(y[rows, left] >= y[rows, right], left, right))


def _end_of_side(
    y: np.ndarray, inside: np.ndarray, top: np.ndarray, way: int, needed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return after how many bins sides end to fall, and if the data end there."""
    side, start = outward(y, inside, top, way, np.inf)
    _, end, rises = _descent(side, needed)
    within = np.arange(side.shape[1]) < end[:, None]
    return np.where(within, side, np.inf).argmin(axis=1) - start, ~rises


def _measured(
    log_x: np.ndarray, y: np.ndarray, weight: np.ndarray, used: np.ndarray
) -> _Sides:
    """Measure sides, from their feet up, on the best curves that only rise."""
    row, at = np.nonzero(used)
    value, place = y[row, at], log_x[row, at]
    steps = isotonic(value, weight[row, at], row)
    begin = steps.begin[:-1]
    size = np.diff(steps.begin)
    level = steps.fitted[begin]
    middle = np.add.reduceat(place, begin) / size
    # A level ends where the rise begins, not in its middle.
    first = np.flatnonzero(np.diff(steps.row, prepend=-1))
    last = np.append(first[1:], begin.size) - 1
    middle[first] = place[steps.begin[first + 1] - 1]
    middle[last] = place[begin[last]]
    foot, top = level[first], level[last]
    # Levels as parts of the whole rise, each side wholly above the one before.
    extent = np.where(top > foot, top - foot, 1.0)
    of = np.repeat(np.arange(first.size), last - first + 1)
    raised = 2.0 * of + (level - foot[of]) / extent[of]
    reached = []
    for part in (0.2, 0.5, 0.8):
        before = np.searchsorted(raised, 2.0 * np.arange(first.size) + part, "right")
        before = np.clip(before - 1, first, last)
        after = np.minimum(before + 1, last)
        step = raised[after] - raised[before]
        share = 2.0 * np.arange(first.size) + part - raised[before]
        share = np.where(step > 0, share / np.where(step > 0, step, 1.0), 0.0)
        reached.append(middle[before] + share * (middle[after] - middle[before]))
    return _Sides(foot, top, reached[0], reached[2] - reached[0], reached[1])


def sides_are_fitted(
    E: np.ndarray,
    used: np.ndarray,
    column: Mapping[str, np.ndarray],
    edge_width: float,
    *,
    known: bool,
) -> np.ndarray:
    """Return which log-normals describe their low side, so that it cannot be an edge.

    Down to a fifth of its height, or to the beginning of the data, by a curve that
    leaves 5 % of the height and is twice as broad as an edge; where errors are known,
    by one that leaves no more than these and is half as broad again.
    """
    with np.errstate(all="ignore"):
        sigma = (
            2 * np.arcsinh(column["width"] / (2 * column["energy"])) / FWHM_PER_SIGMA
        )
        extent = np.log(column["energy"] / column["low"])
    begins = column["low"] == E[0]
    seen = (extent > 1.8 * sigma) | (begins & (extent > edge_width))
    below = (used & (column["energy"][:, None] > E)).sum(axis=1)
    above = (used & (column["energy"][:, None] < E)).sum(axis=1)
    rise = 1.126 * sigma
    good = (column["relative_residual"] < 0.05) & (rise > 2 * edge_width)
    if known:
        free = np.maximum(column["n_points"] - 3, 1)
        # Two standard deviations of the reduced chi-squared of the right curve.
        right = column["chi2_reduced"] < 1 + 2 * np.sqrt(2 / free)
        good |= right & (rise > 1.5 * edge_width)
    return np.asarray(good & seen & (below > 1) & (above > 1))


def edges_of(
    E: np.ndarray,
    B: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    near_edge: float,
) -> np.ndarray:
    """Return which of `EDGES` the maxima of spectra are at, and its energy.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies, ascending.
    B : numpy.ndarray, shape (m, k)
        Spectra; E ≤ 0 and NaN are left out.
    low, high : numpy.ndarray, shape (m,)
        The ranges fitted.
    near_edge : float
        ln E from the beginning of the data up to which a maximum counts as its edge.

    Returns
    -------
    numpy.ndarray, shape (m, 2)

    Examples
    --------
    >>> E, at = np.arange(1.0, 6.0), np.array([[2.0], [4.0]])
    >>> number, energy = edges_of(E, E[None], *at, 0.25)[0]
    >>> EDGES[int(number)], float(energy)
    ('the end of the fitted range', 4.0)
    """
    known = np.isfinite(B) & (E > 0)
    inside = known & (low[:, None] <= E) & (high[:, None] >= E)
    last = E.size - 1
    first_known, first = known.argmax(axis=1), inside.argmax(axis=1)
    last_known, end = (last - some[:, ::-1].argmax(axis=1) for some in (known, inside))
    highest = np.where(inside, B, -np.inf).argmax(axis=1)
    with np.errstate(all="ignore"):
        at_beginning = np.log(E[highest] / E[first_known]) < near_edge
    number, count = inside.cumsum(axis=1), inside.sum(axis=1)
    # Means of up to three bins at each end of the range.
    n = np.clip(count // 2, 1, 3)[:, None]
    begins, ends = (
        np.where(inside & some, B, 0.0).sum(axis=1)
        for some in (number <= n, number > count[:, None] - n)
    )
    rises = ends > begins
    at = np.where(rises, end, first)
    of_data = at == np.where(rises, last_known, first_known)
    found = np.stack([np.where(of_data, 1, 3) + rises, E[at]], axis=1)
    found[at_beginning, 0], found[at_beginning, 1] = 1, E[first_known[at_beginning]]
    found[count == 0] = 0, np.nan
    return found
