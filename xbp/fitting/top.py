"""Tops of spectra without a shape: bins about them, polynomials through them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xbp.fitting.over_bins import GAUSS
from xbp.fitting.rows import Packed, first_true, outward, smoothed

__all__ = [
    "around_top",
    "explained",
    "off_points",
    "polynomial",
    "top_of_points",
]

#: Order of the polynomial that has the top of points. A peak to half its height is no
#: polynomial of the fourth order: what it misses is seen in the next two.
_ORDERS = 6


def around_top(y: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return the bins above 0.8 of the maximum and their neighbours, seven at least."""
    pack = Packed(usable)
    inside, last_bin = pack.inside, np.maximum(pack.count - 1, 0)[:, None]
    # The top of the smoothed spectrum: the highest bin of a noisy one is merely the
    # luckiest.
    smooth = np.where(inside, smoothed(pack(y)), -np.inf)
    j, top = np.arange(inside.shape[1]), smooth.argmax(axis=1)[:, None]
    below = inside & (smooth < 0.8 * smooth.max(axis=1, keepdims=True))
    # One bin further shows the fall of a steep flank.
    first = np.where(below & (j < top), j, 0).max(axis=1, keepdims=True)
    last = np.where(below & (j > top), j, last_bin).min(axis=1, keepdims=True)
    # One more on both sides until there are seven, or on the side that has some.
    more = np.maximum(6 - (last - first) + 1, 0) // 2
    first, last = np.maximum(first - more, 0), np.minimum(last + more, last_bin)
    lack = np.maximum(6 - (last - first), 0)
    first, last = np.maximum(first - lack, 0), np.minimum(last + lack, last_bin)
    number = usable.cumsum(axis=1) - 1
    return np.asarray(usable & (first <= number) & (number <= last))


def polynomial(
    u: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    degree: int,
    half: np.ndarray | float = 0.0,
    spread: Mapping[int, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit polynomials: coefficients (n, m) from order 0 up, covariance, χ² (m,).

    Data are means over u ± half. `spread`: coefficients of these orders are 0 with that
    standard deviation, before they are fitted.
    """
    rows, target, inverse, scale, fine = _normal(u, y, weight, degree, half, spread)
    found = (inverse @ np.einsum("imk,mk->mi", rows, target)[..., None])[..., 0]
    left = target - np.einsum("imk,mi->mk", rows, found)
    covariance = inverse / (scale[:, :, None] * scale[:, None, :])
    found[~fine] = np.nan
    return (found / scale).T, covariance, np.einsum("mk,mk->m", left, left)


def explained(
    u: np.ndarray, y: np.ndarray, weight: np.ndarray, degree: int
) -> np.ndarray:
    """Return by how much χ² falls (m,) when polynomials are fitted."""
    rows, target, inverse, _, _ = _normal(u, y, weight, degree, 0.0, None)
    along = np.einsum("imk,mk->mi", rows, target)
    return np.asarray(np.einsum("mi,mij,mj->m", along, inverse, along))


def _normal(
    u: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    degree: int,
    half: np.ndarray | float,
    spread: Mapping[int, np.ndarray] | None,
) -> tuple[np.ndarray, ...]:
    """Return the weighted powers and data, and what follows from these powers.

    That is the inverse normal matrix, in units of powers of the largest u; these units;
    and which rows have one.
    """
    used = weight > 0
    if 2 * used.sum(axis=1).max(initial=0) < used.shape[1]:
        pack = Packed(used)
        u, y, weight = (pack(a) for a in (u, y, weight))
        half = pack(np.broadcast_to(half, used.shape))
        used = pack.inside
    away = np.where(used, u, 0.0)
    unit = np.abs(away).max(axis=1, initial=1e-300)
    scale = unit[:, None] ** np.arange(degree + 1)
    weight = np.where(used, weight, 0.0)
    means = bool(np.any(half))
    rows = np.zeros((degree + 1, *u.shape))
    for way in (-GAUSS, GAUSS) if means else (0.0,):
        place = np.where(used, away + way * half, 0.0) if means else away
        place = place / unit[:, None]
        power = weight / 2 if means else weight
        for i, row in enumerate(rows):
            row += power
            if i < degree:
                power = power * place
    normal = np.empty((len(u), degree + 1, degree + 1))
    known: dict[Any, np.ndarray] = {}
    for i, j in itertools.product(range(degree + 1), repeat=2):
        # Without bins, of one power all products are the same.
        low, high = (
            (min(i, j), max(i, j)) if means else ((i + j) // 2, (i + j + 1) // 2)
        )
        if (low, high) not in known:
            known[low, high] = np.einsum("mk,mk->m", rows[low], rows[high])
        normal[:, i, j] = known[low, high]
    for order, std in (spread or {}).items():
        normal[:, order, order] += (std * scale[:, order]) ** -2.0
    # A small part of it keeps what the points do not determine finite.
    normal += 1e-14 * np.eye(degree + 1) * normal[:, :1, :1]
    fine = np.isfinite(normal).all(axis=(1, 2)) & (normal[:, 0, 0] > 0)
    normal[~fine] = np.eye(degree + 1)
    target = np.where(used, y * weight, 0.0)
    return rows, target, np.linalg.inv(normal), scale, fine


def top_of_points(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    half: np.ndarray | float,
    parabola: tuple[np.ndarray, np.ndarray, np.ndarray],
    ends: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return energies and heights of the tops of points, χ², and how much is fitted.

    Those of a polynomial of `_ORDERS`: the top of a parabola is shifted where one side
    of a peak is steeper, and too low where it is pointed. What the points leave open of
    the orders above the second is as large as in known shapes, so that the errors
    contain the shape as far as the points do not show it.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies.
    y, weight : numpy.ndarray, shape (m, k)
        Values, and one over their errors.
    half : numpy.ndarray, shape (k,), or float
        Half the widths of the bins, over which values are means.
    parabola : tuple of numpy.ndarray, shape (m,)
        Energy, height and second-order coefficient c < 0 of the parabola.
    ends : tuple of numpy.ndarray, shape (m,)
        Range of the points.

    Returns
    -------
    energy, height : numpy.ndarray, shape (m, 2)
        Each with its standard deviation; NaN where no top is within the range.
    chi2, fitted : numpy.ndarray, shape (m,)
        `fitted` is how many parameters the points determine.
    """
    energy, height, c = parabola
    x = E / energy[:, None] - 1
    half = half / energy[:, None]
    begin, end = (limit / energy - 1 for limit in ends)
    bend = np.maximum(np.abs(c) * energy**2 / np.abs(height), _bend(x, y, weight))
    spread = _spread_of_known_shapes(bend, np.abs(height))
    powers, covariance, chi2 = polynomial(x, y, weight, _ORDERS, half, spread)
    orders = np.arange(_ORDERS + 1)
    slope = powers[1:, :, None] * orders[1:, None, None]
    curve = slope[1:] * orders[1:-1, None, None]
    value = functools.partial(np.polynomial.polynomial.polyval, tensor=False)
    # From the top of the parabola uphill.
    uphill = np.where(slope[0, :, 0] > 0, end, begin)[:, None]
    way = uphill * np.linspace(0, 1, 201)
    falls = value(way, slope) * np.sign(uphill) <= 0
    first = falls[:, 1:].argmax(axis=1) + 1
    at = np.take_along_axis(way, first[:, None], 1)
    for _ in range(3):
        at = at - value(at, slope) / value(at, curve)
    curved = np.asarray(value(at, curve))
    found = falls[:, 1:].any(axis=1) & (curved[:, 0] < 0)
    found &= (begin < at[:, 0]) & (at[:, 0] < end)
    by_height = at**orders
    by_place = orders * at ** np.maximum(orders - 1, 0) / -curved
    stds = [
        np.sqrt(np.einsum("mi,mij,mj->m", one, covariance, one))
        for one in (by_place, by_height)
    ]
    # To second order, a top at another place has another height.
    stds[1] = np.hypot(stds[1], stds[0] ** 2 * np.abs(curved[:, 0]) / 2)
    values = at[:, 0], (by_height * powers.T).sum(axis=1)
    place, top = (
        np.where(found[:, None], np.stack(pair, axis=1), np.nan)
        for pair in zip(values, stds, strict=True)
    )
    place[:, 0] += 1
    known = sum(covariance[:, k, k] / std**2 for k, std in spread.items())
    return place * energy[:, None], top, chi2, _ORDERS + 1 - known


def _bend(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return q of the Lorentzian 1/(1 + q u²) through points, whose top is pointed.

    0 where they are none. A parabola through the same points has less.
    """
    above = np.where(y > 0, y, 1.0)
    weight = np.where(y > 0, weight, 0.0) * above**2
    (a, b, c), _, _ = polynomial(x, 1 / above, weight, 2)
    least = a - b * b / (4 * c)
    return np.where((c > 0) & (least > 0), c / least, 0.0)


def _spread_of_known_shapes(
    bend: np.ndarray, height: np.ndarray
) -> dict[int, np.ndarray]:
    """Return how large the orders above the second are in peaks 1 − `bend` u² + ….

    In u = E/E₀ − 1 a parabola in ln E has orders of the size of `bend`, 1 the third and
    less the others, and a Lorentzian bend^(n/2). The sides of known peaks differ by up
    to twice that of the first.
    """
    spread = {3: 2 * bend * height}
    for order in range(4, _ORDERS + 1):
        spread[order] = (bend ** (order / 2) + 2 * bend) * height
    return spread


def off_points(
    x: np.ndarray,
    y: np.ndarray,
    noise: np.ndarray,
    measured: np.ndarray,
    inside: np.ndarray,
    curve: Callable[[np.ndarray, Any], np.ndarray],
    line: tuple[np.ndarray, np.ndarray],
    fit: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return how far energy, height and width are from those of the points themselves.

    Their top is that of the curve and a cubic in ln E through what it leaves there; the
    width ends where they fall to half of it, on the sides that do. That of a curve on a
    line is above it only where the points have no top without. The second answer is the
    error of the width. All are NaN where the points have no top.

    Parameters
    ----------
    x : numpy.ndarray, shape (k,)
        Energies.
    y, noise, measured, inside : numpy.ndarray, shape (m, k)
        Spectra, their errors, the bins to use, and those of them in the range fitted.
    curve : callable
        Energies (m, n), and the rows that they belong to, to the fitted curves.
    line : (numpy.ndarray, numpy.ndarray)
        Level and slope of the background, shape (m, 1).
    fit : mapping of str to numpy.ndarray
        ``energy``, ``height`` and ``width`` of the fits, shape (m, 1).
    """
    pack = Packed(measured)
    bins = pack(x)
    y, noise, inside = pack(y), pack(noise), pack(inside) & pack.inside
    u, left = np.log(bins), y - curve(bins, slice(None))
    m, n = u.shape
    place, height = np.full((2, m, 1), np.nan)
    level, slope = np.zeros((2, m, 1))
    on_line = (line[0] != 0) | (line[1] != 0)
    for again in (False, True):
        rows = np.flatnonzero(np.isnan(place[:, 0]) & (on_line[:, 0] | (not again)))
        if not rows.size:
            break
        if again:
            level[rows], slope[rows] = line[0][rows], line[1][rows]
        bare = y[rows] - level[rows] - slope[rows] * bins[rows]
        near = around_top(bare, inside[rows])
        ends = near.argmax(axis=1), n - 1 - near[:, ::-1].argmax(axis=1)
        low, high = (u[rows, end][:, None] for end in ends)
        middle, half = (low + high) / 2, (high - low) / 2
        powers, _, _ = polynomial(u[rows] - middle, left[rows], near * 1.0, 3)
        fine = half * np.linspace(-1, 1, 400)
        at = np.exp(fine + middle)
        own = curve(at, rows) - level[rows] - slope[rows] * at
        own += np.polynomial.polynomial.polyval(fine, powers[..., None], tensor=False)
        top = own.argmax(axis=1)
        found = (top > 0) & (top < fine.shape[1] - 1)
        place[rows[found], 0] = at[found, top[found]]
        height[rows[found], 0] = own[found, top[found]]
    bare = curve(bins, slice(None)) - level - slope * bins
    points = bare + smoothed(left)
    longer, error = np.zeros((2, m, 1))
    for way in (-1, 1):
        end, steep, spread = _fall(bins, points, noise, pack.inside, place, height, way)
        by_fit, _, _ = _fall(
            bins, bare, noise, pack.inside, fit["energy"], fit["height"], way
        )
        edge = fit["energy"] + way * fit["width"] / 2
        by_fit = np.where(on_line, edge, by_fit)
        both = np.isfinite(end) & np.isfinite(by_fit)
        longer += np.where(both, way * (end - by_fit), 0.0)
        error = np.where(both, np.hypot(error, spread / steep), error)
    none = np.isnan(place)
    return {
        "energy": place - fit["energy"], "height": height - fit["height"],
        "width": np.where(none, np.nan, longer),
    }, np.where(none, np.nan, error)  # fmt: skip


def _fall(
    x: np.ndarray,
    y: np.ndarray,
    noise: np.ndarray,
    inside: np.ndarray,
    start: np.ndarray,
    height: np.ndarray,
    way: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where y first falls to half a height, how steeply, and the noise there.

    NaN if it rises before.
    """
    level = height / 2
    middle = (inside & (x < start)).sum(axis=1)
    value, begin = outward(y, inside, middle - (way < 0), way, np.inf)
    j = first_true(value < level, -1)
    before = np.arange(value.shape[1]) < j[:, None]
    # A side that rises again first belongs to something else.
    highest = np.where(before & np.isfinite(value), value, -np.inf).max(axis=1)
    lost = (j <= begin) | (highest > 2.4 * level[:, 0])
    j, rows = np.maximum(j, 1), np.arange(len(y))
    at, of = (a if way > 0 else a[:, ::-1] for a in (x, noise))
    step = np.abs(at[rows, j] - at[rows, j - 1])
    steep = (value[rows, j - 1] - value[rows, j]) / step
    away = (value[rows, j - 1] - level[:, 0]) / steep
    part = away / step
    spread = of[rows, j - 1] * (1 - part) + of[rows, j] * part
    found = [at[rows, j - 1] + way * away, steep, spread]
    end, steep, spread = (np.where(lost, np.nan, a)[:, None] for a in found)
    return end, steep, spread
