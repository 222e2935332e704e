"""Bins that were not measured: NaN, infinities, sentinels, masks of the file."""

from __future__ import annotations

import numpy as np

from xbp.io.stored import PART
from xbp.io.text import check

__all__ = [
    "Extremes",
    "counted",
    "is_below",
    "measured",
    "survey",
    "with_errors",
]


def measured(
    values: np.ndarray,
    std: np.ndarray | None = None,
    *,
    mask: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Set bins that were not measured to NaN.

    Parameters
    ----------
    values, std : numpy.ndarray
        As in the file, in any units.
    mask : numpy.ndarray of bool, optional
        True where the file itself marks a bin as masked; broadcast against `values`.
    seen : numpy.ndarray of bool, optional
        The bins that `survey` has found, which are not looked for again.

    Returns
    -------
    values, std : numpy.ndarray
        Both are NaN where either is not finite or beyond ±1e29, where the error is
        negative, and where masked. An error of 0 stays. If all errors are 0, there are
        none and `std` is None.

    Raises
    ------
    ValueError
        If nothing was measured.

    Examples
    --------
    >>> values = np.array([1.0, np.inf, -1e30, 4.0, 5.0])
    >>> measured(values, np.array([0.1, 0.1, 0.0, -1.0, 0.0]))
    (array([ 1., nan, nan, nan,  5.]), array([0.1, nan, nan, nan, 0. ]))
    >>> measured(np.array([1.0, 2.0]), np.zeros(2))
    (array([1., 2.]), None)
    """
    seen = survey(values, std)[0] if seen is None else seen
    if mask is not None and mask.any():
        seen = seen & ~mask
    check(seen.any(), "no bin was measured")
    if std is not None and not _any_above(std, seen):
        std = None
    if seen.all():
        return values, std
    return np.where(seen, values, np.nan), (
        None if std is None else np.where(seen, std, np.nan)
    )


def with_errors(std: np.ndarray | None) -> np.ndarray | None:
    """Return the errors of a file; None if all are 0, which means that it has none.

    Parameters
    ----------
    std : numpy.ndarray or None

    Examples
    --------
    >>> with_errors(np.zeros(2)), with_errors(np.array([0.0, 0.1]))
    (None, array([0. , 0.1]))
    """
    return None if std is None or not np.nan_to_num(std).any() else std


def counted(values: np.ndarray, std: np.ndarray | None = None) -> np.ndarray:
    """Return which bins were measured with a value, or an error, other than 0.

    Parameters
    ----------
    values, std : numpy.ndarray
        As `measured` takes them.

    Examples
    --------
    >>> counted(np.array([1.0, 0.0, 0.0, -1e30]), np.array([0.1, 0.1, 0.0, 0.0]))
    array([ True,  True, False, False])
    """
    return survey(values, std)[1]


class Extremes(dict[int, tuple[float, float]]):
    """The lowest and the highest of `PART` numbers, by the place of the first.

    A reader that gets them part by part looks at them while they are in the cache.
    """

    def look(self, at: int, part: np.ndarray) -> None:
        """Note those of a part."""
        self[at] = np.minimum.reduce(part), np.maximum.reduce(part)


def survey(
    values: np.ndarray,
    std: np.ndarray | None = None,
    *,
    known: tuple[Extremes, Extremes] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which bins were measured, and which of them are `counted`.

    If all of them are, the last axis has one element: broadcast against `values`. Large
    arrays exceed the cache of a processor: they are read once, part by part.

    Parameters
    ----------
    values, std : numpy.ndarray
        As `measured` takes them.
    known : (Extremes, Extremes), optional
        Those of values and of std.

    Examples
    --------
    >>> survey(np.array([1.0, 0.0, np.nan]))
    (array([ True,  True, False]), array([ True, False, False]))
    """
    flat = values.reshape(-1)
    errors = None if std is None else np.broadcast_to(std, values.shape).reshape(-1)
    of_values, of_errors = known or (Extremes(), Extremes())
    # Of most files every bin counts: they need no memory for a mask.
    every_bin = np.ones((*values.shape[:-1], 1)[: values.ndim], dtype=bool)
    seen = not_zero = every_bin
    # Programs without NaN write ±1e30 or the like; no measured value is that large.
    sentinel = 1e29

    for at in range(0, flat.size, PART):
        part, every = slice(at, at + PART), flat[at : at + PART]
        error = None if errors is None else errors[part]
        if at not in of_values:
            of_values.look(at, every)
        low, high = of_values[at]
        # Then none is beyond it, or NaN, and few parts have gaps.
        plain, lowest = high < sentinel and low > -sentinel, np.inf
        if error is not None:
            if at not in of_errors:
                of_errors.look(at, error)
            lowest, highest = of_errors[at]
            plain = plain and lowest >= 0 and highest < sentinel
        if plain and (lowest > 0 if error is not None else low > 0):
            continue
        if not_zero is every_bin:
            seen, not_zero = np.ones((2, flat.size), dtype=bool)
        if not plain:
            seen[part] = np.abs(every) < sentinel
            if error is not None:
                seen[part] &= (error >= 0) & (error < sentinel)
        not_zero[part] = every != 0
        if error is not None:
            not_zero[part] |= error > 0
        not_zero[part] &= seen[part]
    if not_zero is every_bin:
        return every_bin, every_bin
    return seen.reshape(values.shape), not_zero.reshape(values.shape)


def is_below(values: np.ndarray, limit: float) -> bool:
    """Return whether all are between ±limit, and none is NaN, without memory for |x|.

    Parameters
    ----------
    values : numpy.ndarray, not empty
    limit : float

    Examples
    --------
    >>> is_below(np.array([1.0, -2.0]), 3.0), is_below(np.array([1.0, np.nan]), 3.0)
    (True, False)
    """
    return bool(values.max() < limit and values.min() > -limit)


def _any_above(std: np.ndarray, seen: np.ndarray) -> bool:
    """Return whether an error that was measured is above 0, as most first ones are."""
    shape = np.broadcast_shapes(std.shape, seen.shape)
    errors, where = (np.broadcast_to(array, shape) for array in (std, seen))
    if bool(((errors[:16] > 0) & where[:16]).any()):
        return True
    return bool(((errors > 0) & where).any())
