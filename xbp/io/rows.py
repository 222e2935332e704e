"""Rows of two coordinates and values, as the map that they list."""

from __future__ import annotations

import numpy as np

from xbp.io.text import check

__all__ = ["as_map"]


def as_map(
    rows: np.ndarray, names: tuple[str, str] = ("Q", "E")
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return two ascending coordinates and each further column over them.

    Parameters
    ----------
    rows : numpy.ndarray, shape (n, 2 + m)
        Both coordinates and m values, in any order, one row for each point of the map.
    names : tuple of str
        Of the coordinates, for the message.

    Returns
    -------
    first, second : numpy.ndarray
    values : list of numpy.ndarray, shape (first.size, second.size)

    Raises
    ------
    ValueError
        If a point is missing or there twice; `check` raises it, for the reader.

    Examples
    --------
    >>> rows = np.array([[1, 5, 0.1], [2, 5, 0.2], [1, 6, 0.3], [2, 6, 0.4]])
    >>> Q, E, (S,) = as_map(rows)
    >>> Q, E
    (array([1., 2.]), array([5., 6.]))
    >>> S
    array([[0.1, 0.3],
           [0.2, 0.4]])
    """
    first, at_first = np.unique(rows[:, 0], return_inverse=True)
    second, at_second = np.unique(rows[:, 1], return_inverse=True)
    shape = first.size, second.size
    place = at_first * second.size + at_second
    once = np.unique(place).size == place.size == first.size * second.size
    check(
        once,
        f"it has {place.size} points, not one at each of {shape[0]} {names[0]} and "
        f"{shape[1]} {names[1]}",
    )
    order = np.argsort(place)
    return first, second, [column[order].reshape(shape) for column in rows.T[2:]]
