"""Whether both halves of the spectra give one g(E), on plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xbp.fitting.core import permitted

__all__ = ["Halves", "compare_halves", "second_half"]


class Halves(NamedTuple):
    """How g(E) of two halves of the spectra differs.

    `error` is the standard deviation of each that follows, signed; `size` is its rms as
    a fraction of the maximum of g, infinite if a half has no g at all.
    """

    error: np.ndarray
    size: float


def second_half(weight: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return which spectra are in the second half, of n_Q.

    In the order of Q one is in the first half, two in the second, two in the first and
    so on, so that both have the same Q.

    Parameters
    ----------
    weight, Q : numpy.ndarray, shape (n_Q, n_E)
        Of one-phonon scattering, and momentum transfers.

    Examples
    --------
    >>> weight, Q = np.ones((4, 1)), np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> second_half(weight, Q)
    array([False,  True,  True, False])
    """
    rows = np.flatnonzero(weight.any(axis=1))
    mean = (weight * Q).sum(axis=1)[rows] / weight.sum(axis=1)[rows]
    rows, place = rows[np.argsort(mean, kind="stable")], np.arange(rows.size)
    out = np.zeros(weight.shape[0], dtype=bool)
    out[rows[np.isin(place % 4, (1, 2))]] = True
    return out


@np.errstate(all="ignore")  # bins that a half lacks are NaN
def compare_halves(
    left: np.ndarray,
    std: np.ndarray,
    one: np.ndarray,
    weight: np.ndarray,
    second: np.ndarray,
    width: np.ndarray,
    g: np.ndarray,
) -> Halves:
    r"""Compare the shapes of g(E) from both halves of the spectra.

    With the g of both scaled to the area of g, so that S(Q) does not count,

    .. math:: \Delta g(E) = \sqrt{1 - 1/\chi^2}\, (g_2 - g_1)/\sqrt2

    is the standard deviation of two numbers that should be one, without the part due
    to counting: χ² is per degree of freedom, and Δg is 0 if chance exceeds that χ² in
    one of 40 cases.

    Parameters
    ----------
    left, std : numpy.ndarray, shape (n_Q, n_E)
        S(Q,E) without its multiphonon part, and standard deviations (NaN throughout if
        they are unknown: all of Δg is then taken as real).
    one : numpy.ndarray, shape (n_Q, n_E)
        One-phonon scattering where g = 1.
    weight : numpy.ndarray, shape (n_Q, n_E)
        Weights; 0 where the value is missing.
    second : numpy.ndarray of bool, shape (n_Q,)
        Spectra of the second half.
    width, g : numpy.ndarray, shape (n_E,)
        Widths of the bins, and g of all spectra.

    Examples
    --------
    >>> one, width, g = np.ones((2, 3)), np.ones(3), np.array([1.0, 2.0, 1.0])
    >>> second, none = np.array([False, True]), np.nan * one
    >>> both = np.array([[1.0, 2.0, 1.0], [3.0, 6.0, 3.0]])  # S(Q) in both
    >>> compare_halves(both, none, one, one, second, width, g).size
    0.0
    >>> tilted = np.array([[1.5, 2.0, 0.5], [0.5, 2.0, 1.5]])
    >>> halves = compare_halves(tilted, none, one, one, second, width, g)
    >>> halves.error.round(3), round(halves.size, 3)
    (array([-0.707,  0.   ,  0.707]), 0.289)
    """
    nothing = Halves(np.zeros(g.size), 0.0)
    parts, sums = (~second, second), weight * one
    of_one = np.stack([sums[part].sum(axis=0) for part in parts])
    each = np.stack([(weight * left)[part].sum(axis=0) for part in parts]) / of_one
    shared = np.isfinite(each).all(axis=0)
    if not shared.any():
        return nothing
    areas = (each * width)[:, shared].sum(axis=1)
    if not (areas > 0).all():
        return nothing._replace(size=np.inf)
    scale = (g * width)[shared].sum() / areas[:, np.newaxis]
    first, other = each * scale
    error = (other - first) / np.sqrt(2)
    if not np.isnan(std).all():
        squares = np.where(weight > 0, weight * std, 0.0) ** 2
        variance = np.stack([squares[part].sum(axis=0) for part in parts]) / of_one**2
        counting = (variance * scale**2).mean(axis=0)
        counted = shared & (counting > 0)
        free = int(counted.sum()) - 1
        if free < 1:
            return nothing
        chi2 = float((error**2 / counting)[counted].sum()) / free
        error = error * (np.sqrt(1 - 1 / chi2) if chi2 > permitted(free) else 0.0)
    rms = float(np.sqrt((error[shared] ** 2).mean()))
    return Halves(np.where(shared, error, rms), rms / float(np.abs(g).max()))
