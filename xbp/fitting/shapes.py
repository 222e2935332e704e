"""The shapes of a boson peak, each fitted to many spectra at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special

from xbp.core.status import POOR_CHI2, Status
from xbp.fitting.core import Shape, solve
from xbp.fitting.other_shapes import ORDERS, other_shapes
from xbp.fitting.over_bins import mean_of_ends, places_in_bins
from xbp.fitting.rows import Packed
from xbp.fitting.top import polynomial, top_of_points
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal

__all__ = [
    "SHAPES",
    "SIGNIFICANT",
    "Column",
    "Method",
    "PeakShape",
    "Points",
    "gaussian_on_line",
    "log_normal",
    "status_of",
]

#: The names of `SHAPES`.
Method = Literal["lognormal", "quadratic", "gaussian"]

#: Half a bin, in σ, below which means over it are the curve itself to 2e-9.
_AS_POINT = 1e-4

#: Standard deviations that distinguish a maximum from noise. A search over a whole
#: spectrum needs more than a single number, hence twice this for its height.
SIGNIFICANT = 2.5


def log_normal(log_x: np.ndarray) -> Shape:
    """Return the shape exp[b − (ln x − a)²/2σ²] with the parameters (a, b, σ)."""

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, u = _log_normals(log_x, p)
        slopes = np.empty((3, *value.shape))
        slopes[1] = value
        np.multiply(value, u, out=slopes[0])
        slopes[0] /= p[:, 2, None]
        np.multiply(slopes[0], u, out=slopes[2])
        return value, slopes

    return shape


def _log_normals(log_x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves of `log_normal`, and (ln x − a)/σ."""
    place, height, sigma = p.T[:, :, None]
    u = (log_x - place) / sigma
    value = u * u
    value *= -0.5
    value += height
    return np.exp(np.minimum(value, 300.0, out=value), out=value), u


def gaussian_on_line(x: np.ndarray, half: np.ndarray | float = 0.0) -> Shape:
    """Return h exp[−(x − x₀)²/2σ²] + c + s·x, of (x₀, h, σ), (x₀, h, σ, c) or all.

    Its means over the bins x ± half, however narrow the line is.
    """

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place, height, sigma, *line = p.T[:, :, None]
        one, by_place, by_sigma = _over(x - place, half, sigma)
        powers = [np.ones_like(one), np.broadcast_to(x, one.shape)][: len(line)]
        value = height * one
        for factor, power in zip(line, powers, strict=True):
            value = value + factor * power
        return value, np.stack([height * by_place, one, height * by_sigma, *powers])

    return shape


def _over(
    x: np.ndarray, half: np.ndarray | float, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means of exp(−x²/2σ²) over x ± half, and of its slopes by −x and by σ.

    As differences of error functions, and of the curve itself, at the ends of the bins;
    where these are close together, the curve.
    """
    u = x / sigma
    one = np.exp(-u * u / 2)
    point = one, one * u / sigma, one * u * u / sigma
    wide = np.abs(half / sigma) > _AS_POINT
    if not wide.any():
        return point
    width = np.where(wide, half / sigma, 1.0)
    (low, by_low), (high, by_high) = (
        (end, np.exp(-end * end / 2)) for end in (u - width, u + width)
    )
    area = np.sqrt(np.pi / 2) * (special.erf(high / 2**0.5) - special.erf(low / 2**0.5))
    bins = (
        area,
        (by_low - by_high) / sigma,
        (area - high * by_high + low * by_low) / sigma,
    )
    one, by_place, by_sigma = (
        np.where(wide, mean / (2 * width), own)
        for mean, own in zip(bins, point, strict=True)
    )
    return one, by_place, by_sigma


_Ends = tuple[np.ndarray, np.ndarray]
_Pair = tuple[np.ndarray, np.ndarray]


class Points(NamedTuple):
    """Points of m spectra that a shape is fitted to.

    Attributes
    ----------
    E : numpy.ndarray, shape (k,)
    y, weight : numpy.ndarray, shape (m, k)
        Values, of which the largest is 1, and weights: 0 of bins that are left out.
    ends : tuple of numpy.ndarray, shape (m,)
        Lowest and highest energy fitted.
    free : numpy.ndarray, shape (m,)
        Degrees of freedom.
    known : bool
        Whether the weights are 1/std; otherwise the scatter sets the errors.
    bins : numpy.ndarray, shape (k,), or float
        Half the widths of the bins over which the values are means.
    """

    E: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    ends: _Ends
    free: np.ndarray
    known: bool
    bins: np.ndarray | float


#: Columns (energy, height, width, their ``_std``, …), and `Status.code`.
_Found = tuple[dict[str, np.ndarray], np.ndarray]


class Column(NamedTuple):
    """A further number that fixes the curve of a shape.

    Attributes
    ----------
    rule : str
        Its units: factors x (units of E), y (of the values) and 1, such as "y/x".
    label : str
        What it is.
    """

    rule: str
    label: str


@dataclass(frozen=True)
class PeakShape:
    """A shape of a boson peak.

    Attributes
    ----------
    fit : callable
        Takes `Points` and returns the columns ``energy``, ``height`` and ``width``,
        each with its ``_std``, ``chi2_reduced`` and those of `further`, all of shape
        (m,), and `Status.code`. `solve` fits a curve with its derivatives,
        `xbp.fitting.core.solve_function` one without.
    curve : callable
        Returns it at energies, from the columns that the fit found.
    depth : float
        Which part of its way down each side of the peak is fitted, where no range is
        given.
    further : dict of str to Column
        What the curve needs besides energy, height and width: columns of the table of
        `boson_peak`.
    on_line : bool
        Whether the peak lies on a straight line, whose level and slope are the columns
        ``background`` and ``background_slope`` of `further`.
    of_top : bool
        Whether it is fitted only to the top of the peak.
    orders : tuple of str
        Names of the further orders of its exponent, of which the fit gives the columns
        `OTHERS`.
    widest : float
        How far a scan may extend the range of the fit, over the one found, in ln E.
    """

    fit: Callable[[Points], _Found]
    curve: Callable[[np.ndarray, Mapping[str, Any]], np.ndarray]
    depth: float
    further: Mapping[str, Column] = field(default_factory=dict)
    on_line: bool = False
    of_top: bool = False
    orders: tuple[str, ...] = ()
    widest: float = np.inf

    @property
    def parameters(self) -> tuple[str, ...]:
        """Columns that fix the curve."""
        return ("energy", "height", "width", *self.further)


def status_of(
    ends: _Ends, energy: _Pair, height: _Pair, width: _Pair, lost: Any = False
) -> np.ndarray:
    """Return whether maxima lie inside the range and are no play of the noise.

    Each is (value, std); `width` is the one that decides about the curvature, which
    goes as 1/width², so that its relative error is twice that of the width. `lost` are
    fits that did not converge.
    """
    low, high = ends
    margin = SIGNIFICANT * energy[1]
    finite = np.isfinite([*energy, *height, *width]).all(axis=0)
    inside = (energy[0] - margin > low) & (energy[0] + margin < high)
    clear = (height[0] > 2 * SIGNIFICANT * height[1]) & (
        width[0] > 2 * SIGNIFICANT * width[1]
    )
    within = (low < energy[0]) & (energy[0] < high)
    cases = {
        Status.NO_MAXIMUM: lost & ~within,
        Status.FAILED: lost | ~finite,
        "wide": margin > high - low,
        Status.AT_EDGE: ~inside,
        "unclear": ~clear,
    }
    codes = [
        s.code
        for s in (Status.NO_MAXIMUM, Status.FAILED, Status.NO_MAXIMUM, Status.AT_EDGE)
    ]
    codes.append(Status.NO_MAXIMUM.code)
    return np.asarray(np.select(list(cases.values()), codes, Status.OK.code))


def _packed(
    y: np.ndarray, weight: np.ndarray, places: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return data, weights and places of their bins without those that weigh 0."""
    pack = Packed(weight > 0)
    inside = np.where(pack.inside, pack(weight), 0.0)
    shape = inside.shape
    return pack(y), inside, [np.broadcast_to(pack(x), shape) for x in places]


def _log_normal(points: Points) -> _Found:
    E, y, weight, ends, free, known, bins = points
    log_x = np.log(np.where(E > 0, E, 1.0))
    # ln y is a parabola in ln x: its least-squares parabola is where the fit starts.
    positive = (y > 0) & (weight > 0)
    part = np.where(positive, y * weight, 0.0)
    part = part / part.max(axis=1, keepdims=True, initial=1e-300)
    middle = (part**2 * log_x).sum(axis=1) / (part**2).sum(axis=1)
    log_y, u = np.log(np.where(positive, y, 1.0)), log_x - middle[:, None]
    (a, b, c), _, _ = polynomial(u, log_y, part, 2)
    bent = (positive.sum(axis=1) > 2) & (c < 0)
    c = np.where(bent, c, -0.5)
    parabola = np.stack(
        [middle - b / (2 * c), a - b * b / (4 * c), np.sqrt(-0.5 / c)], axis=1
    )
    # Or at the highest bin, as wide as those of half its height about it.
    tall = np.where(weight > 0, y, -np.inf)
    highest, top = tall.max(axis=1), tall.argmax(axis=1)[:, None]
    low, i = (tall < highest[:, None] / 2) & (weight > 0), np.arange(E.size)
    first = np.where(low & (i < top), i, 0).max(axis=1)
    last = np.where(low & (i > top), i, E.size - 1).min(axis=1)
    extent = np.maximum((log_x[last] - log_x[first]) / FWHM_PER_SIGMA, 0.05)
    bins_about = [log_x[top[:, 0]], np.log(np.maximum(highest, 1e-300)), extent]
    peak = np.stack(bins_about, axis=1)
    places = [np.log(np.where(x > 0, x, 1e-300)) for x in places_in_bins(E, bins)]
    shape = mean_of_ends(log_normal)
    y, weight, places = _packed(y, weight, places)
    misfits = []
    for start in (parabola, peak):
        off = y - sum(_log_normals(x, start)[0] for x in places) / len(places)
        off *= weight
        misfits.append(np.einsum("mk,mk->m", off, off))
    start = np.where((bent & (misfits[0] <= misfits[1]))[:, None], parabola, peak)
    fit = solve(shape, y, weight, start, *places, known=known)
    chi2, covariance, stds = fit.errors(free, known)
    place, log_height, sigma = fit.values.T
    half = np.abs(sigma) * FWHM_PER_SIGMA / 2
    energy, height = np.exp(place), np.exp(log_height)
    width = 2 * energy * np.sinh(half)
    by_sigma = np.sign(sigma) * energy * np.cosh(half) * FWHM_PER_SIGMA
    gradient = np.stack([width, np.zeros_like(width), by_sigma], axis=1)
    width_std = np.sqrt(np.einsum("mi,mij,mj->m", gradient, covariance, gradient))
    energy_std, height_std = energy * stds[:, 0], height * stds[:, 1]
    # ln y = … − (ln E/E_BP)²/2σ²: σ distinguishes a bend from a straight power law.
    others = other_shapes(shape(fit.values, *places), y, weight, fit, chi2, known)
    lost = ~fit.converged | ~np.isfinite(covariance).all(axis=(1, 2))
    sigmas = (np.abs(sigma), stds[:, 2])
    status = status_of(ends, (energy, energy_std), (height, height_std), sigmas, lost)
    sane = (np.abs(place) < 100) & (np.abs(log_height) < 300) & (half < 50)
    status = np.where(sane, status, Status.NO_MAXIMUM.code)
    return {
        "energy": energy, "energy_std": energy_std, "height": height,
        "height_std": height_std, "width": width, "width_std": width_std,
        "chi2_reduced": chi2, **others,
    }, status  # fmt: skip


def _gaussian(points: Points) -> _Found:
    E, y, weight, ends, free, known, bins = points
    used, rows = weight > 0, np.arange(len(y))
    first, last = used.argmax(axis=1), E.size - 1 - used[:, ::-1].argmax(axis=1)
    extent = ends[1] - ends[0]
    # The background starts as the line through the first and the last point.
    slope = (y[rows, last] - y[rows, first]) / extent
    level = y[rows, first] - slope * ends[0]
    above = np.where(used, y - level[:, None] - slope[:, None] * E, -np.inf)
    height = np.maximum(above.max(axis=1), 1e-3)
    top = E[above.argmax(axis=1)]
    start = np.stack([top, height, extent / 5, level, slope], axis=1)
    y, weight, places = _packed(y, weight, places_in_bins(E, bins))
    shape = mean_of_ends(gaussian_on_line)
    # Further away, or wider, all Gaussians are the same parabola.
    away, nowhere = 3 * extent, np.full(len(y), np.inf)
    low, high = ends[0] - extent, ends[1] + extent
    fit = solve(
        shape, y, weight, start, *places, known=known, linear=(1, 3, 4),
        low=np.stack([low, -nowhere, -away, -nowhere, -nowhere], axis=1),
        high=np.stack([high, nowhere, away, nowhere, nowhere], axis=1),
    )  # fmt: skip
    chi2, covariance, stds = fit.errors(free, known)
    energy, height, sigma, background, slope = fit.values.T
    sigma = np.abs(sigma)
    lost = ~fit.converged | ~np.isfinite(covariance).all(axis=(1, 2))
    pairs = [(v, stds[:, i]) for i, v in enumerate((energy, height, sigma))]
    status = status_of(ends, pairs[0], pairs[1], pairs[2], lost)
    wide = (status == Status.OK.code) & (sigma > extent)
    wide |= fit.at_bound[:, [0, 2]].any(axis=1)
    return {
        "energy": energy, "energy_std": stds[:, 0],
        "height": height, "height_std": stds[:, 1],
        "width": FWHM_PER_SIGMA * sigma, "width_std": FWHM_PER_SIGMA * stds[:, 2],
        "chi2_reduced": chi2, "background": background, "background_slope": slope,
    }, np.where(wide, Status.NO_MAXIMUM.code, status)  # fmt: skip


def _parabola(points: Points) -> _Found:
    """Fit the tops, each by a parabola about its own middle."""
    E, y, weight, ends, free, known, bins = points
    used = weight > 0
    centre = (E * used).sum(axis=1) / used.sum(axis=1)
    away = E - centre[:, None]
    (a, b, c), covariance, chi2 = polynomial(away, y, weight, 2, bins)
    chi2 = chi2 / free
    covariance = covariance * (1.0 if known else chi2[:, None, None])
    flat = (c >= 0) | (-c * (ends[1] - ends[0]) ** 2 < 1e-9 * np.abs(y).max(axis=1))
    energy, height = centre - b / (2 * c), a - b * b / (4 * c)
    half = np.sqrt(np.maximum(height, 0.0) / (-2 * c))
    # Gradients with respect to (a, b, c).
    zero = np.zeros_like(c)
    by_energy = np.stack([zero, -1 / (2 * c), b / (2 * c * c)], axis=1)
    by_height = np.stack([zero + 1, -b / (2 * c), b * b / (4 * c * c)], axis=1)
    by_width = by_height / (-2 * c)[:, None]
    by_width[:, 2] += height / (2 * c * c)
    by_width /= np.maximum(half, 1e-300)[:, None]
    stds = [
        np.sqrt(np.maximum(np.einsum("mi,mij,mj->m", g, covariance, g), 0.0))
        for g in (by_energy, by_height, by_width)
    ]
    status = status_of(ends, (energy, stds[0]), (height, stds[1]), (2 * half, stds[2]))
    status = np.where(flat, Status.NO_MAXIMUM.code, status)
    square = 1.0 if known else np.maximum(chi2, 1e-30)
    # Unknown errors are the scatter about the top, which is less.
    for _ in range(1 if known else 2):
        in_noise = weight / np.sqrt(np.reshape(square, (-1, 1)))
        place, top, misfit, fitted = top_of_points(
            E, y, in_noise, bins, (energy, height, c), ends
        )
        chi2 = square * misfit / np.maximum(free + 3 - fitted, 1)
        square = square if known else np.maximum(chi2, 1e-30)
    wider = np.where(known & (chi2 > POOR_CHI2), np.sqrt(chi2), 1.0)
    place[:, 1] *= wider
    top[:, 1] *= wider
    # Few bins may leave open where the top is, though a parabola through them has one.
    lost = ~(SIGNIFICANT * place[:, 1] < ends[1] - ends[0])
    lost &= status == Status.OK.code
    return {
        "energy": place[:, 0], "energy_std": place[:, 1],
        "height": top[:, 0], "height_std": top[:, 1],
        "width": 2 * half, "width_std": stds[2] * wider,
        "chi2_reduced": chi2,
    }, np.where(lost, Status.NO_MAXIMUM.code, status)  # fmt: skip


def _log_normal_curve(E: np.ndarray, fit: Mapping[str, Any]) -> np.ndarray:
    sigma = 2 * np.arcsinh(fit["width"] / (2 * fit["energy"])) / FWHM_PER_SIGMA
    return lognormal(E, fit["energy"], fit["height"], sigma)


def _gaussian_curve(E: np.ndarray, fit: Mapping[str, Any]) -> np.ndarray:
    peak = gaussian(E, fit["energy"], fit["height"], fit["width"] / FWHM_PER_SIGMA)
    return np.asarray(peak + fit["background"] + fit["background_slope"] * E)


def _parabola_curve(E: np.ndarray, fit: Mapping[str, Any]) -> np.ndarray:
    u = (E - fit["energy"]) / fit["width"]
    return np.asarray(fit["height"] * (1 - 2 * u**2))


#: Every shape by its name.
SHAPES: dict[Method, PeakShape] = {
    "lognormal": PeakShape(_log_normal, _log_normal_curve, depth=0.5, orders=ORDERS),
    # It is of the top alone: on a side that falls little half the way leads far from
    # it, and a wider range adds nothing.
    "quadratic": PeakShape(
        _parabola, _parabola_curve, depth=0.25, of_top=True, widest=1.0
    ),
    # Both the peak and its background must be seen; further away that is not straight.
    "gaussian": PeakShape(
        _gaussian,
        _gaussian_curve,
        depth=0.8,
        further={
            "background": Column("y", "background at E = 0"),
            "background_slope": Column("y/x", "slope of the background"),
        },
        on_line=True,
        widest=1.0,
    ),
}
