"""Shapes near the log-normal, which noise hides: what points know of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from xbp.fitting.core import Solutions
from xbp.models.lineshapes import FWHM_PER_SIGMA

__all__ = ["ORDERS", "OTHERS", "errors_of_shapes", "other_shapes"]

#: The two further orders of the exponent.
ORDERS: Final = ("skew", "tails")

#: Columns of `other_shapes`: the information of the points about the two orders (of the
#: symmetric matrix three numbers), what they say of them, and the energy, height and
#: width by each.
OTHERS: Final = (
    "information_33", "information_34", "information_44", "score_3", "score_4",
    *(f"{name}_by_{order}" for name in ("energy", "height", "width") for order in "34"),
)  # fmt: skip


def other_shapes(
    curve: tuple[np.ndarray, np.ndarray],
    y: np.ndarray,
    weight: np.ndarray,
    fit: Solutions,
    chi2: np.ndarray,
    known: bool,
) -> dict[str, np.ndarray]:
    r"""Return what points (m, k) know of shapes other than that of `log_normal`.

    .. math:: \ln y = b - u^2/2 - \lambda\sigma u^3/2 + \kappa u^4, \quad
              u = \ln(x/x_0)/\sigma

    is to first order in λ the curve with [(x/x₀)^λ − 1]/λ in place of ln(x/x₀): a
    log-normal for λ = 0, a Gaussian for 1; κ = 1/8 is a Lorentzian in u. Noise as large
    as what they change hides both, so that they are expected to be ±1.5 and ±1/4 before
    the points are seen, the units here.

    Parameters
    ----------
    curve : tuple of numpy.ndarray, shape (m, k) and (3, m, k)
        The curves that were fitted, and their slopes.
    y, weight : numpy.ndarray, shape (m, k)
        The points.
    fit, chi2, known
        As `solve` and its answer.

    Returns
    -------
    dict of str to numpy.ndarray, shape (m,)
        The columns `OTHERS`. What energy, height and width move by is relative to the
        energy, the height and the energy.
    """
    value, slopes = curve
    sigma = fit.values[:, 2]
    u = sigma[:, None] * slopes[0] / np.where(value > 0, value, 1.0)
    most = np.stack([0.75 * np.abs(sigma), np.full(len(y), 1 / 4)])
    more = most[..., None] * np.stack([u**3, u**4]) * value * weight
    jacobian = slopes * weight
    shared = fit.covariance @ np.einsum("imk,jmk->mij", jacobian, more)
    own = more - np.einsum("mij,imk->jmk", shared, jacobian)
    scale = 1.0 if known else np.maximum(chi2, 1e-30)
    information = np.einsum("imk,jmk->ijm", own, own) / scale
    score = np.einsum("imk,mk->im", own, (y - value) * weight) / scale
    # Maximum and width of this curve less those of the log-normal that has its place:
    # the width is that at u = ±√(2 ln 2) of the log-normal.
    place, height, by_sigma = -np.moveaxis(shared, 0, -1)
    at = np.sign(sigma) * FWHM_PER_SIGMA / 2
    half = np.abs(sigma) * np.abs(at)
    width = 2 * np.sinh(half) * place + 2 * np.cosh(half) * at * by_sigma
    width += half * most * [2 * np.sinh(half) * at, 2 * np.cosh(half) * at**2]
    columns = (information[0, 0], information[0, 1], information[1, 1], *score)
    return dict(zip(OTHERS, (*columns, *place, *height, *width), strict=True))


@np.errstate(all="ignore")
def errors_of_shapes(
    others: np.ndarray, part: Any = 1.0, *, pooled: bool
) -> np.ndarray:
    """Return how far other shapes may have moved energy, height and width.

    The two orders are as the points show them, with the mean and the covariance that
    the points leave them.

    Parameters
    ----------
    others : numpy.ndarray, shape (..., m, 11)
        Columns of `other_shapes` for m spectra; NaN has no part in them.
    part : numpy.ndarray, shape (..., m), or 1
        Which part of an independent spectrum each represents.
    pooled : bool
        Whether one shape is that of all m, of which all their points tell.

    Returns
    -------
    numpy.ndarray, shape (..., m, 3, 2)
        Signed, in the units of `other_shapes`: of each order one, which do not depend
        on each other but are common to all m if `pooled`.
    """
    fine = np.isfinite(others).all(axis=-1, keepdims=True)
    others = np.where(fine, others, 0.0)
    known = others[..., :5]
    if pooled:
        part = np.asarray(part, dtype=float)[..., None]
        known = (known * part).sum(axis=-2, keepdims=True)
    # The closed forms of the inverse and the root of a matrix of two rows, which lose
    # nothing where the points leave one of the orders open.
    one = np.eye(2)
    information, score = known[..., [0, 1, 1, 2]], known[..., 3:]
    i33, _, i34, i44 = np.moveaxis(information, -1, 0)[..., None, None]
    reverse = information[..., [3, 1, 2, 0]] * [1, -1, -1, 1]
    reverse = reverse.reshape(*reverse.shape[:-1], 2, 2)
    known_by = 1 + i33 + i44 + np.maximum(i33 * i44 - i34**2, 0.0)
    covariance = (one + reverse) / known_by
    mean = covariance @ score[..., None]
    square = covariance + mean @ mean.mT
    (a, b), (_, d) = np.moveaxis(square, (-2, -1), (0, 1))[..., None, None]
    product = np.sqrt(np.maximum(a * d - b**2, 0.0))
    root = (square + product * one) / np.sqrt(a + d + 2 * product)
    moved = others[..., 5:].reshape(*others.shape[:-1], 3, 2) @ root
    return np.where(np.isfinite(moved), moved, 0.0)
