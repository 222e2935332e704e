"""Many spectra at once, one in each row: bins left out, noise, sides, levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

__all__ = [
    "Packed",
    "first_true",
    "isotonic",
    "medians",
    "outward",
    "running_median",
    "scatter",
    "smoothed",
]


class Packed:
    """Rows without the bins that are left out.

    The bins that are used begin each row; behind them the last of them is repeated.

    Parameters
    ----------
    usable : numpy.ndarray of bool, shape (m, k)
        Bins to keep.

    Attributes
    ----------
    count : numpy.ndarray of int, shape (m,)
        How many bins each row has.
    inside : numpy.ndarray of bool, shape (m, n)
        Which bins of the packed rows are no repetitions.

    Examples
    --------
    >>> rows = Packed(np.array([[False, True, True, True], [True, False, True, False]]))
    >>> rows(np.array([5, 6, 7, 8])).tolist(), rows.count.tolist()
    ([[6, 7, 8], [5, 7, 7]], [3, 2])
    """

    def __init__(self, usable: np.ndarray) -> None:
        self.count = usable.sum(axis=1)
        width = int(self.count.max(initial=1))
        self.inside = np.arange(width) < self.count[:, None]
        self._at = np.flatnonzero(usable[:1])
        self._same = width == self._at.size and bool((usable == usable[:1]).all())
        if not self._same:
            order = np.argsort(~usable, axis=1, kind="stable")[:, :width]
            last = np.take_along_axis(
                order, np.maximum(self.count - 1, 0)[:, None], axis=1
            )
            self._at = np.where(self.inside, order, last)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return values of shape (k,) or (m, k) in packed rows (m, n)."""
        if self._same:
            shape = (len(self.count), self._at.size)
            return np.broadcast_to(values[..., self._at], shape)
        if values.ndim == 1:
            return np.asarray(values[self._at])
        return np.take_along_axis(values, self._at, axis=1)


def medians(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the medians (m,) of those values (m, n) that are used; NaN without any.

    Examples
    --------
    >>> used = np.array([[True, True, False], [False, True, False]])
    >>> medians(np.array([[1.0, 4.0, 9.0]] * 2), used).tolist()
    [2.5, 4.0]
    """
    count = used.sum(axis=-1)
    if not used.shape[-1]:
        return np.full(count.shape, np.nan)
    ordered = np.sort(np.where(used, values, np.inf), axis=-1)
    at = np.stack([np.maximum(count - 1, 0) // 2, count // 2], axis=-1)
    at = np.minimum(at, used.shape[-1] - 1)
    middle = np.take_along_axis(ordered, at, axis=-1).mean(axis=-1)
    return np.where(count > 0, middle, np.nan)


def running_median(y: np.ndarray, width: int) -> np.ndarray:
    """Return the medians of an odd number of neighbours, shape (m, n + 1 − width).

    Examples
    --------
    >>> running_median(np.array([[1.0, 9.0, 2.0, 3.0]]), 3).tolist()
    [[2.0, 3.0]]
    """
    size = y.shape[1] + 1 - width
    near = [y[:, i : i + size] for i in range(width)]
    # Of half of them and two more the least and the largest are not the median: they
    # are left out, and the next is taken in, until one is left.
    kept, more = near[: width // 2 + 2], near[width // 2 + 2 :]
    while len(kept) > 1:
        last = len(kept) - 1
        order = [(i, last - i) for i in range(len(kept) // 2)]
        for i in range(1, last // 2 + 1):
            order += [(0, i), (last - i, last)]
        for i, j in order:
            low, high = kept[i], kept[j]
            kept[i], kept[j] = np.minimum(low, high), np.maximum(low, high)
        kept = kept[1:-1] + [more.pop(0) for _ in more[:1]]
    return kept[0]


def scatter(y: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """Return the noise of spectra (m, n), shape (m,), from second differences.

    A smooth spectrum hardly has any. Only bins of one run that are `used` count; NaN
    for fewer than three.

    Examples
    --------
    >>> float(scatter(np.arange(9.0) ** 2).round(3))
    1.211
    """
    bends = np.abs(y[..., 1:-1] - (y[..., 2:] + y[..., :-2]) / 2)
    whole = np.ones(bends.shape, dtype=bool)
    if used is not None:
        whole = used[..., 2:] & used[..., :-2]
    return np.asarray(1.4826 * medians(bends, whole) / np.sqrt(1.5))


def smoothed(y: np.ndarray) -> np.ndarray:
    """Return the running mean over three bins, with the ends repeated.

    Examples
    --------
    >>> smoothed(np.array([[0.0, 3.0, 6.0]])).tolist()
    [[1.0, 3.0, 5.0]]
    """
    wide = np.concatenate([y[..., :1], y, y[..., -1:]], axis=-1)
    return np.asarray((wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]) / 3)


def outward(
    y: np.ndarray, inside: np.ndarray, start: np.ndarray, way: int, fill: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows read to the right or to the left, and where their start is then.

    Parameters
    ----------
    y, inside : numpy.ndarray, shape (m, n)
        Values, and which of them there are.
    start : numpy.ndarray of int, shape (m,)
        Where each row starts: what is before it becomes `fill`, as what is not there.
    way : {1, -1}
        Direction.
    fill : float
        As above.

    Examples
    --------
    >>> y = np.array([[1.0, 2.0, 3.0]])
    >>> every = np.ones(y.shape, dtype=bool)
    >>> outward(y, every, np.array([1]), -1, np.inf)
    (array([[inf,  2.,  1.]]), array([1]))
    """
    if way < 0:
        y, inside, start = y[:, ::-1], inside[:, ::-1], y.shape[1] - 1 - start
    there = inside & (np.arange(y.shape[1]) >= start[:, None])
    return np.where(there, y, fill), start


def first_true(found: np.ndarray, otherwise: np.ndarray | int) -> np.ndarray:
    """Return the first place in each row (m, n) that is true, or what is given."""
    return np.where(found.any(axis=1), found.argmax(axis=1), otherwise)


class Steps(NamedTuple):
    """Rising levels through runs of bins, all rows one after the other.

    Attributes
    ----------
    fitted : numpy.ndarray
        The level of every bin.
    begin : numpy.ndarray of int
        Bins at which levels begin, and the number of bins.
    row : numpy.ndarray of int
        Row of each level.
    """

    fitted: np.ndarray
    begin: np.ndarray
    row: np.ndarray


def isotonic(y: np.ndarray, weight: np.ndarray, row: np.ndarray) -> Steps:
    """Fit the best curves that only rise, to runs of bins that follow each other.

    Parameters
    ----------
    y, weight : numpy.ndarray, shape (n,)
        Values of one run after the other, and weights of their squares.
    row : numpy.ndarray of int, shape (n,)
        To which run each bin belongs, rising from 0.

    Examples
    --------
    >>> y = np.array([3.0, 1.0, 5.0, 0.0, 1.0])
    >>> steps = isotonic(y, np.ones(5), np.array([0, 0, 0, 1, 1]))
    >>> steps.fitted.tolist(), steps.begin.tolist(), steps.row.tolist()
    ([2.0, 2.0, 5.0, 0.0, 1.0], [0, 2, 3, 4, 5], [0, 0, 1, 1])
    """
    ends = np.flatnonzero(np.diff(row, prepend=-1))
    low = np.minimum.reduceat(y, ends)
    extent = np.maximum.reduceat(y, ends) - low
    extent = np.where(extent > 0, extent, 1.0)
    number = np.cumsum(np.diff(row, prepend=-1) > 0) - 1
    # Each run lies wholly above the one before: one fit does not join them.
    raised = (y - low[number]) / extent[number] + 2.0 * number
    fit = scipy.optimize.isotonic_regression(raised, weights=weight)
    fitted = (fit.x - 2.0 * number) * extent[number] + low[number]
    return Steps(fitted, fit.blocks, row[fit.blocks[:-1]])
