"""Tops of spectra without a shape: bins about them, polynomials through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy

__all__ = [
    "GAUSS",
    "around_top",
    "off_parabola",
    "off_points",
    "polynomial",
    "scatter",
    "smoothed",
]


#: Places of Gauss's rule of two points for a mean over −1 … 1.
GAUSS = 3**-0.5


def around_top(y: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return the bins above 0.8 of the maximum and their neighbours, seven at least."""
    chosen = np.zeros_like(usable)
    for i in np.flatnonzero(usable.any(axis=1)):
        at = np.flatnonzero(usable[i])
        # The top of the smoothed spectrum: the highest bin of a noisy one is merely
        # the luckiest.
        smooth = smoothed(y[i, at])
        top = int(np.argmax(smooth))
        below = np.flatnonzero(smooth < 0.8 * smooth[top])
        left, right = below[below < top], below[below > top]
        # One bin further shows the fall of a steep flank.
        first = int(left[-1]) if left.size else 0
        last = int(right[0]) if right.size else at.size - 1
        while last - first < 6 and (first > 0 or last + 1 < at.size):
            first, last = max(first - 1, 0), min(last + 1, at.size - 1)
        chosen[i, at[first : last + 1]] = True
    return chosen


def polynomial(
    u: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    degree: int,
    half: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit polynomials: coefficients (n, m) from order 0 up, covariance, χ² (m,).

    Data are means over u ± half.
    """
    unit = np.abs(np.where(weight > 0, u, 0.0)).max(axis=1, initial=1e-300)
    scale = unit[:, None] ** np.arange(degree + 1)
    ends = [(u + way * half * GAUSS) / unit[:, None] for way in (-1, 1)]
    powers = np.stack([(ends[0] ** i + ends[1] ** i) / 2 for i in range(degree + 1)])
    rows = np.where(weight > 0, powers * weight, 0.0)
    normal = np.einsum("imk,jmk->mij", rows, rows)
    # A small part of it keeps what the points do not determine finite.
    normal += 1e-14 * np.eye(degree + 1) * normal[:, :1, :1]
    fine = np.isfinite(normal).all(axis=(1, 2)) & (normal[:, 0, 0] > 0)
    normal[~fine] = np.eye(degree + 1)
    target = np.where(weight > 0, y * weight, 0.0)
    inverse = np.linalg.inv(normal)
    found = (inverse @ np.einsum("imk,mk->mi", rows, target)[..., None])[..., 0]
    left = target - np.einsum("imk,mi->mk", rows, found)
    covariance = inverse / (scale[:, :, None] * scale[:, None, :])
    found[~fine] = np.nan
    return (found / scale).T, covariance, (left**2).sum(axis=1)


def off_parabola(
    E: np.ndarray, y: np.ndarray, weight: np.ndarray, energy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far tops may lie from those of parabolas, in energy and in height.

    Tops are steeper on their left, nearer to a parabola in ln E, or on their right,
    nearer to its mirror image. The more the points prefer one of these, the more of the
    distance between the tops is an error. The height is moved by the fourth order,
    which flattens a top.
    """
    away = E - energy[:, None]
    by_two, two, in_e = polynomial(away, y, weight, 2)
    moves, chi2 = [np.zeros_like(in_e)], [in_e]
    for side in (1, -1):
        x = 1 + side * away / energy[:, None]
        (_, b, c), _, in_log = polynomial(
            np.log(np.where(x > 0, x, 1.0)), y, np.where(x > 0, weight, 0.0), 2
        )
        moves.append(np.where(c < 0, side * energy * np.expm1(-b / (2 * c)), 0.0))
        # A mirror image that ends within the points is none of theirs.
        inside = ((x > 0) | (weight == 0)).all(axis=1)
        chi2.append(np.where(inside, in_log, np.inf))
    part = scipy.special.softmax(-np.array(chi2) / 2, axis=0)
    moved = np.sqrt((part * np.square(moves)).sum(axis=0))
    moved = np.copysign(moved, (part * moves).sum(axis=0))
    by_four, four, _ = polynomial(away, y, weight, 4)
    # What noise alone makes of their difference is not an error of the shape.
    excess = (by_four[0] - by_two[0]) ** 2 - (four[:, 0, 0] - two[:, 0, 0])
    # Where a parabola misses the points by more than chance does, its height has an
    # error of that kind too.
    n = (weight > 0).sum(axis=1)
    free = n - 3
    poor = in_e / free / (1 + 2 * np.sqrt(2 / free)) - 1
    variance = np.maximum(excess, 0.0) + np.maximum(poor, 0.0) * two[:, 0, 0]
    return moved, np.where(n < 6, 0.0, np.sqrt(variance))


def off_points(
    x: np.ndarray,
    y: np.ndarray,
    noise: np.ndarray,
    inside: np.ndarray,
    curve: Callable[[np.ndarray], np.ndarray],
    line: tuple[float, float],
    fit: Mapping[str, float],
) -> tuple[dict[str, float], float]:
    """Return how far energy, height and width are from those of the points themselves.

    Their top is that of the curve and a cubic in ln E through what it leaves there; the
    width ends where they fall to half of it, on the sides that do. That of a curve on a
    line is above it only where the points have no top without. The second number is the
    error of the width.
    """
    u, left, on_line = np.log(x), y - curve(x), any(line)
    for level, slope in ((0.0, 0.0), line):
        near = around_top((y - level - slope * x)[None], inside[None])
        powers, _, _ = polynomial((u - u[0])[None], left[None], near * 1.0, 3)
        ends = u[near[0]][[0, -1]]
        fine = np.linspace(ends[0], ends[1], 400)
        own = curve(np.exp(fine)) - level - slope * np.exp(fine)
        own = own + np.polynomial.polynomial.polyval(fine - u[0], powers[:, 0])
        top = int(own.argmax())
        if 0 < top < fine.size - 1:
            break
    else:
        return {}, 0.0
    place, height = float(np.exp(fine[top])), float(own[top])
    bare = curve(x) - level - slope * x
    longer = error = 0.0
    for way in (-1, 1):
        end, steep = _fall(x, bare + smoothed(left), place, height / 2, way)
        by_fit, _ = _fall(x, bare, fit["energy"], fit["height"] / 2, way)
        if on_line:
            by_fit = fit["energy"] + way * fit["width"] / 2
        if np.isfinite([end, by_fit]).all():
            longer += way * (end - by_fit)
            error = np.hypot(error, float(np.interp(end, x, noise)) / steep)
    return {
        "energy": place - fit["energy"], "height": height - fit["height"],
        "width": longer,
    }, error  # fmt: skip


def _fall(
    x: np.ndarray, y: np.ndarray, start: float, level: float, way: int
) -> tuple[float, float]:
    """Return where y first falls to a level and how steeply, NaN if it rises before."""
    middle = int(np.searchsorted(x, start))
    side = slice(middle - 1, None, -1) if way < 0 else slice(middle, None)
    value, at = y[side] if middle or way > 0 else y[:0], x[side]
    j = int(np.argmax(value < level)) if value.size else 0
    # A side that rises again first belongs to something else.
    if j == 0 or value[:j].max() > 2.4 * level:
        return np.nan, np.nan
    steep = (value[j - 1] - value[j]) / abs(at[j] - at[j - 1])
    return float(at[j - 1] + way * (value[j - 1] - level) / steep), float(steep)


def scatter(y: np.ndarray) -> float:
    """Return the noise, from second differences, which a smooth spectrum hardly has."""
    bends = y[1:-1] - (y[2:] + y[:-2]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(1.5))


def smoothed(y: np.ndarray) -> np.ndarray:
    """Return the running mean over three bins."""
    return np.convolve(np.pad(y, 1, mode="edge"), np.ones(3) / 3, mode="valid")
