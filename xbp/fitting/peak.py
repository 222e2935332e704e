"""Shapes of a boson peak fitted to many spectra at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from xbp.core.status import POOR_CHI2, Status
from xbp.fitting.core import Shape, permitted, solve
from xbp.fitting.maximum import clearly_rise_and_fall, rise_and_fall
from xbp.fitting.rows import Packed, scatter
from xbp.fitting.top import GAUSS, around_top, off_parabola, off_points, polynomial
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal

__all__ = [
    "NUMBERS",
    "N_PARAMETERS",
    "SIGNIFICANT",
    "Method",
    "evaluate",
    "fit_shape",
    "gaussian_on_line",
    "log_normal",
    "mean_of_ends",
    "usable_bins",
]

Method = Literal["lognormal", "quadratic", "gaussian"]
N_PARAMETERS = {"lognormal": 3, "quadratic": 3, "gaussian": 5}
#: Columns of the answer of `fit_shape`; ``_off`` is how far the points themselves are
#: from a curve that misses them.
NUMBERS = (
    "energy", "energy_std", "height", "height_std", "width", "width_std",
    "chi2_reduced", "relative_residual", "background", "background_slope",
    "energy_off", "height_off", "width_off", "low", "high", "n_points",
)  # fmt: skip

#: Noise that data without errors are taken to have at least, of their largest value.
_EXACT = 1e-3
_BACKGROUND = ("background", "background_slope")

#: Standard deviations that distinguish a maximum from noise. A search over a whole
#: spectrum needs more than a single number, hence twice this for its height.
SIGNIFICANT = 2.5


def usable_bins(E: np.ndarray, B: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    """Return the bins with E > 0 whose value and error have finite squares."""
    usable = np.isfinite(E) & (np.abs(B) < 1e150) & (E > 0)
    if std is not None:
        usable &= (std > 1e-150) & (std < 1e150)
    return np.asarray(usable)


def log_normal(log_x: np.ndarray) -> Shape:
    """Return the shape exp[b − (ln x − a)²/2σ²] with the parameters (a, b, σ)."""

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place, height, sigma = p.T[:, :, None]
        u = (log_x - place) / sigma
        value = np.exp(np.minimum(height - u * u / 2, 300.0))
        return value, np.stack([value * u / sigma, value, value * u * u / sigma])

    return shape


def gaussian_on_line(x: np.ndarray) -> Shape:
    """Return h exp[−(x − x₀)²/2σ²] + c + s·x, of (x₀, h, σ), (x₀, h, σ, c) or all."""

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place, height, sigma, *line = p.T[:, :, None]
        u = (x - place) / sigma
        one = np.exp(-u * u / 2)
        by_place = height * one * u / sigma
        powers = [np.ones_like(one), np.broadcast_to(x, one.shape)][: len(line)]
        value = height * one
        for factor, power in zip(line, powers, strict=True):
            value = value + factor * power
        return value, np.stack([by_place, one, by_place * u, *powers])

    return shape


def mean_of_ends(make: Callable[[np.ndarray], Shape]) -> Shape:
    """Return the means of a shape over bins, from its values at `places_in_bins`."""

    def shape(p: np.ndarray, *ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(ends) == 1:
            return make(ends[0])(p)
        (low, by_low), (high, by_high) = (make(end)(p) for end in ends)
        low += high
        by_low += by_high
        return low / 2, by_low / 2

    return shape


def places_in_bins(x: np.ndarray, half: np.ndarray | float) -> list[np.ndarray]:
    """Return where Gauss's rule of two points takes a mean over bins x ± half."""
    return [x + way * half * GAUSS for way in (-1, 1)] if np.any(half) else [x]


@np.errstate(all="ignore")  # what overflows has a status
def fit_shape(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    inside: np.ndarray,
    method: Method,
    part: np.ndarray | float = 1.0,
    half: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a peak to every spectrum.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies.
    B : numpy.ndarray, shape (m, k)
        Spectra; NaN is left out.
    std : numpy.ndarray, shape (m, k), or None
        Standard deviations. Known ones weigh the points and set the scale of the
        errors; bins with a std of 0 or NaN are left out. Otherwise the scatter about
        the fit sets it.
    inside : numpy.ndarray of bool, shape (m, k)
        Bins to fit.
    method : {"lognormal", "quadratic", "gaussian"}
        Shape.
    part : numpy.ndarray, shape (m, k), or 1
        Which part of an independent bin each represents.
    half : numpy.ndarray, shape (k,), or 0
        Half the widths of the bins, over which the data are means.

    Returns
    -------
    numbers : numpy.ndarray, shape (m, 16)
        `NUMBERS`, NaN (but for the range and the number of points) unless "ok".
    status : numpy.ndarray of int, shape (m,)
        `Status.code`.
    """
    usable = usable_bins(E, B, std) & inside
    # In units of its own maximum: spectra come in any units.
    scale = np.where(usable, np.abs(B), 0.0).max(axis=1, initial=0.0)
    unit = np.where(scale > 0, scale, 1.0)[:, None]
    y = np.where(usable, B / unit, 0.0)
    weight = usable * 1.0 if std is None else np.where(usable, unit / std, 0.0)
    measured = usable_bins(E, B, std)
    if method == "quadratic":
        usable = around_top(y, usable)
    number = dict.fromkeys(NUMBERS, np.full(len(y), np.nan))
    number["n_points"] = usable.sum(axis=1)
    number["low"] = np.where(usable, E, np.inf).min(axis=1)
    number["high"] = np.where(usable, E, -np.inf).max(axis=1)
    weight = np.where(usable, weight, 0.0)
    free = (usable * part).sum(axis=1) - N_PARAMETERS[method]
    enough = (number["n_points"] > N_PARAMETERS[method]) & (free > 1e-9)
    status = np.where(
        number["n_points"] == 0, Status.NO_DATA.code,
        np.where(scale == 0, Status.NO_MAXIMUM.code, Status.TOO_FEW.code),
    )  # fmt: skip
    rows = np.flatnonzero((scale > 0) & enough)
    if rows.size:
        fit = {"lognormal": _log_normal, "quadratic": _parabola, "gaussian": _gaussian}
        ends = (number["low"][rows], number["high"][rows])
        known = std is not None
        arguments = (E, y[rows], weight[rows], ends, free[rows], known, half)
        found, status[rows] = fit[method](*arguments)
        for name, column in found.items():
            number[name] = np.full(len(y), np.nan)
            number[name][rows] = column
    fitted = {name: number[name][:, None] for name in NUMBERS}
    curve = evaluate(method, E, fitted)
    if np.any(half):
        # From here on the data are what they would be at the centres of their bins.
        low, high = (
            evaluate(method, E + way * half * GAUSS, fitted) for way in (-1, 1)
        )
        bent = (low + high) / 2 - curve
        bent = np.where(usable & np.isfinite(bent), bent, 0.0)
        y, B = y - bent, B - bent * unit
    doubtful = status == Status.OK.code
    if std is not None and method != "gaussian":
        doubtful &= ~clearly_rise_and_fall(E, y, weight, number, free)
    rows = np.flatnonzero(doubtful)
    weights = None if std is None else weight[rows]
    peaked = rise_and_fall(E, y[rows], usable[rows], weights, number["energy"][rows])
    status[rows[~peaked]] = Status.NO_MAXIMUM.code
    left = np.where(usable, y - curve, 0.0)
    rms = np.sqrt((left**2).sum(axis=1) / number["n_points"])
    number["relative_residual"] = rms / number["height"]
    ok = status == Status.OK.code
    noise, of_noise = np.ones(len(y)), None
    if std is None:
        # What is left of exact data is not noise.
        rows = np.flatnonzero(ok)
        pack = Packed(usable[rows])
        noise[rows] = np.fmax(scatter(pack(left[rows]), pack.inside), _EXACT)
        # The median of so many second differences is as good as a third of them.
        of_noise = number["n_points"] / 3
    poor = number["chi2_reduced"] > permitted(free, of_noise) * noise**2
    # What a wrong shape leaves is smooth: a polynomial with two parameters more takes
    # of it what is not noise.
    middle = np.where(ok, number["energy"], 1.0)[:, None]
    log_x, rest = np.log(np.where(E > 0, E, 1.0) / middle), np.nan_to_num(left)
    degree = N_PARAMETERS[method] + 1
    _, _, unexplained = polynomial(log_x, rest, weight, degree)
    smooth = ((rest * weight) ** 2).sum(axis=1) - unexplained
    poor |= (free > 2) & (smooth > 2 * permitted(2, of_noise) * noise**2)
    for name in ("energy", "height", "width"):
        number[f"{name}_off"] = np.nan_to_num(number[f"{name}_off"])
    rows = np.flatnonzero(ok & (poor | (method == "quadratic")))
    if rows.size:
        own = {name: number[name][rows, None] for name in NUMBERS}
        flat = np.zeros((rows.size, 1))
        line = (own["background"], own["background_slope"])
        error = noise[rows, None] if std is None else (std / unit)[rows]
        at = measured[rows]
        off, spread = off_points(
            E,
            (B / unit)[rows],
            np.broadcast_to(error, at.shape),
            at,
            at & (own["low"] <= E) & (own["high"] >= E),
            lambda x, some: evaluate(
                method, x, {name: column[some] for name, column in own.items()}
            ),
            line if method == "gaussian" else (flat, flat),
            own,
        )
        # Of a parabola half the height is beyond the points fitted, whose chi-squared
        # does not tell.
        counts = dict.fromkeys(off, poor[rows, None])
        counts["width"] = counts["width"] | (np.abs(off["width"]) > 3 * spread)
        for name, distance in off.items():
            column = number[f"{name}_off"][rows, None]
            moved = np.where(counts[name], np.nan_to_num(distance), 0.0)
            larger = np.where(np.abs(moved) > np.abs(column), moved, column)
            number[f"{name}_off"][rows] = larger[:, 0]
    for name in ("height", "height_std", "height_off", *_BACKGROUND):
        number[name] = number[name] * scale
    table = np.stack([number[name] for name in NUMBERS], axis=1)
    table[status != Status.OK.code, :-3] = np.nan
    table[scale == 0, -3:-1] = np.nan
    return table, status


_Found = tuple[dict[str, np.ndarray], np.ndarray]
_Ends = tuple[np.ndarray, np.ndarray]
_Pair = tuple[np.ndarray, np.ndarray]


def _status(
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


def _log_normal(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    ends: _Ends,
    free: np.ndarray,
    known: bool,
    bins: np.ndarray | float,
) -> _Found:
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
    misfits = [
        (((y - shape(start, *places)[0]) * weight) ** 2).sum(axis=1)
        for start in (parabola, peak)
    ]
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
    lost = ~fit.converged | ~np.isfinite(covariance).all(axis=(1, 2))
    sigmas = (np.abs(sigma), stds[:, 2])
    status = _status(ends, (energy, energy_std), (height, height_std), sigmas, lost)
    sane = (np.abs(place) < 100) & (np.abs(log_height) < 300) & (half < 50)
    status = np.where(sane, status, Status.NO_MAXIMUM.code)
    return {
        "energy": energy, "energy_std": energy_std, "height": height,
        "height_std": height_std, "width": width, "width_std": width_std,
        "chi2_reduced": chi2,
    }, status  # fmt: skip


def _gaussian(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    ends: _Ends,
    free: np.ndarray,
    known: bool,
    bins: np.ndarray | float,
) -> _Found:
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
    status = _status(ends, pairs[0], pairs[1], pairs[2], lost)
    wide = (status == Status.OK.code) & (sigma > extent)
    wide |= fit.at_bound[:, [0, 2]].any(axis=1)
    return {
        "energy": energy, "energy_std": stds[:, 0],
        "height": height, "height_std": stds[:, 1],
        "width": FWHM_PER_SIGMA * sigma, "width_std": FWHM_PER_SIGMA * stds[:, 2],
        "chi2_reduced": chi2, "background": background, "background_slope": slope,
    }, np.where(wide, Status.NO_MAXIMUM.code, status)  # fmt: skip


def _parabola(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    ends: _Ends,
    free: np.ndarray,
    known: bool,
    bins: np.ndarray | float,
) -> _Found:
    """Fit the tops, each by a parabola about its own middle."""
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
    status = _status(ends, (energy, stds[0]), (height, stds[1]), (2 * half, stds[2]))
    status = np.where(flat, Status.NO_MAXIMUM.code, status)
    # The height has an error of that kind of its own.
    wider = np.sqrt(chi2) if known else np.ones_like(chi2)
    stds[0], stds[2] = (np.where(chi2 > POOR_CHI2, s * wider, s) for s in stds[::2])
    of_scatter = (
        weight if known else weight / np.sqrt(np.maximum(chi2, 1e-300))[:, None]
    )
    moved = off_parabola(E, y - c[:, None] * bins**2 / 3, of_scatter, energy)
    return {
        "energy": energy, "energy_std": stds[0], "energy_off": moved[0],
        "height": height, "height_std": np.hypot(stds[1], moved[1]),
        "width": 2 * half, "width_std": stds[2], "chi2_reduced": chi2,
    }, status  # fmt: skip


def evaluate(method: Method, E: np.ndarray, fit: Mapping[str, Any]) -> np.ndarray:
    """Return the fitted curve, from the numbers that the fit reports."""
    energy, height, width = fit["energy"], fit["height"], fit["width"]
    if method == "lognormal":
        sigma = 2 * np.arcsinh(width / (2 * energy)) / FWHM_PER_SIGMA
        return lognormal(E, energy, height, sigma)
    if method == "gaussian":
        peak = gaussian(E, energy, height, width / FWHM_PER_SIGMA)
        return np.asarray(peak + fit["background"] + fit["background_slope"] * E)
    return np.asarray(height * (1 - 2 * ((E - energy) / width) ** 2))
