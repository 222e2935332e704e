"""Bins that were not measured: NaN, infinities, sentinels, masks of the file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xbp.io.text import check

__all__ = ["counted", "measured"]


def measured(
    values: np.ndarray, std: np.ndarray | None = None, *, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Set bins that were not measured to NaN.

    Parameters
    ----------
    values, std : numpy.ndarray
        As in the file, in any units.
    mask : numpy.ndarray of bool, optional
        True where the file itself marks a bin as masked; broadcast against `values`.

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
    seen = _in_parts(_seen, values, std)
    if mask is not None:
        seen &= ~mask
    check(seen.any(), "no bin was measured")
    if std is not None and not ((std > 0) & seen).any():
        std = None
    if seen.all():
        return values, std
    return np.where(seen, values, np.nan), (
        None if std is None else np.where(seen, std, np.nan)
    )


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

    def not_zero(values: np.ndarray, std: np.ndarray | None) -> np.ndarray:
        other = values != 0 if std is None else (values != 0) | (std > 0)
        return np.asarray(_seen(values, std) & other)

    return _in_parts(not_zero, values, std)


def _seen(values: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    # Programs without NaN write ±1e30 or the like; no measured value is that large.
    sentinel = 1e29
    seen = np.abs(values) < sentinel
    return np.asarray(seen if std is None else seen & (std >= 0) & (std < sentinel))


def _in_parts(
    function: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
    values: np.ndarray,
    std: np.ndarray | None,
    size: int = 2**15,
) -> np.ndarray:
    """Return a function of bins, part by part: large arrays exceed the cache."""
    flat = values.reshape(-1)
    errors = None if std is None else np.broadcast_to(std, values.shape).reshape(-1)
    out = np.empty(flat.size, dtype=bool)
    for at in range(0, flat.size, size):
        part = slice(at, at + size)
        out[part] = function(flat[part], None if errors is None else errors[part])
    return out.reshape(values.shape)
