"""Shapes of a boson peak fitted to many spectra at once, and the range to fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import scipy

from xbp.core.status import AT_EDGE, FAILED, NO_DATA, NO_MAXIMUM, OK, STATUSES, TOO_FEW
from xbp.fitting.core import Shape, solve
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
    "peak_range",
    "scatter",
    "smoothed",
    "usable_bins",
]

Method = Literal["lognormal", "quadratic", "gaussian"]
N_PARAMETERS = {"lognormal": 3, "quadratic": 3, "gaussian": 5}
#: Columns of the answer of `fit_shape`.
NUMBERS = (
    "energy", "energy_std", "height", "height_std", "width", "width_std",
    "chi2_reduced", "relative_residual", "background", "background_slope",
    "low", "high", "n_points",
)  # fmt: skip

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


@np.errstate(all="ignore")  # what overflows is no maximum, or has no finite error
def fit_shape(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    inside: np.ndarray,
    method: Method,
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

    Returns
    -------
    numbers : numpy.ndarray, shape (m, 13)
        `NUMBERS`, NaN (but for the range and the number of points) unless "ok".
    status : numpy.ndarray of int, shape (m,)
        Place in `STATUSES`.
    """
    usable = usable_bins(E, B, std) & inside
    # In units of its own maximum: spectra come in any units.
    scale = np.where(usable, np.abs(B), 0.0).max(axis=1, initial=0.0)
    unit = np.where(scale > 0, scale, 1.0)[:, None]
    y = np.where(usable, B / unit, 0.0)
    weight = usable * 1.0 if std is None else np.where(usable, unit / std, 0.0)
    if method == "quadratic":
        usable = _around_top(y, usable)
    number = dict.fromkeys(NUMBERS, np.full(len(y), np.nan))
    number["n_points"] = usable.sum(axis=1)
    number["low"] = np.where(usable, E, np.inf).min(axis=1)
    number["high"] = np.where(usable, E, -np.inf).max(axis=1)
    weight = np.where(usable, weight, 0.0)
    enough = number["n_points"] > N_PARAMETERS[method]
    status = np.where(
        number["n_points"] == 0, STATUSES.index(NO_DATA),
        np.where(scale == 0, STATUSES.index(NO_MAXIMUM), STATUSES.index(TOO_FEW)),
    )  # fmt: skip
    rows = np.flatnonzero((scale > 0) & enough)
    if rows.size:
        fit = {"lognormal": _log_normal, "quadratic": _parabola, "gaussian": _gaussian}
        ends = (number["low"][rows], number["high"][rows])
        found, status[rows] = fit[method](E, y[rows], weight[rows], ends, std is None)
        for name, column in found.items():
            number[name] = np.full(len(y), np.nan)
            number[name][rows] = column
    doubtful = status == STATUSES.index(OK)
    if std is not None and method != "gaussian":
        doubtful &= ~_clearly_rise_and_fall(E, y, weight, number, N_PARAMETERS[method])
    for i in np.flatnonzero(doubtful):
        at = usable[i]
        x, values, w = E[at], y[i, at], weight[i, at]
        if not _rises_and_falls(
            x, values, w if std is not None else None, number["energy"][i]
        ):
            status[i] = STATUSES.index(NO_MAXIMUM)
    curve = evaluate(method, E, {name: number[name][:, None] for name in NUMBERS})
    left = np.where(usable, y - curve, 0.0)
    rms = np.sqrt((left**2).sum(axis=1) / number["n_points"])
    number["relative_residual"] = rms / number["height"]
    for name in ("height", "height_std", "background", "background_slope"):
        number[name] = number[name] * scale
    table = np.stack([number[name] for name in NUMBERS], axis=1)
    table[status != STATUSES.index(OK), :-3] = np.nan
    table[scale == 0, -3:-1] = np.nan
    return table, status


_Found = tuple[dict[str, np.ndarray], np.ndarray]
_Ends = tuple[np.ndarray, np.ndarray]


def _status(
    ends: _Ends, energy: np.ndarray, height: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Return whether maxima lie inside the range and are no play of the noise.

    Each is (value, std); `width` is the one that decides about the curvature, which
    goes as 1/width², so that its relative error is twice that of the width.
    """
    low, high = ends
    margin = SIGNIFICANT * energy[1]
    finite = np.isfinite([*energy, *height, *width]).all(axis=0)
    inside = (energy[0] - margin > low) & (energy[0] + margin < high)
    clear = (height[0] > 2 * SIGNIFICANT * height[1]) & (
        width[0] > 2 * SIGNIFICANT * width[1]
    )
    names = np.array([STATUSES.index(s) for s in (FAILED, NO_MAXIMUM, AT_EDGE, OK)])
    which = np.select([~finite, margin > high - low, ~inside, ~clear], [0, 1, 2, 1], 3)
    return np.asarray(names[which])


def _unconverged(
    ends: _Ends, energy: np.ndarray, bad: np.ndarray, status: np.ndarray
) -> np.ndarray:
    """Return the status, "no maximum" or "fit failed" if it did not converge."""
    inside = (ends[0] < energy) & (energy < ends[1])
    lost = np.where(inside, STATUSES.index(FAILED), STATUSES.index(NO_MAXIMUM))
    return np.where(bad, lost, status)


def _log_normal(
    E: np.ndarray, y: np.ndarray, weight: np.ndarray, ends: _Ends, unknown: bool
) -> _Found:
    log_x = np.log(np.where(E > 0, E, 1.0))
    # ln y is a parabola in ln x: its least-squares parabola is where the fit starts.
    positive = (y > 0) & (weight > 0)
    part = np.where(positive, y * weight, 0.0)
    part = (part / part.max(axis=1, keepdims=True, initial=1e-300)) ** 2
    log_y = np.log(np.where(positive, y, 1.0))
    middle = (part * log_x).sum(axis=1) / part.sum(axis=1)
    u = log_x - middle[:, None]
    powers = [part]
    for _ in range(4):
        powers.append(powers[-1] * u)
    moments = [power.sum(axis=1) for power in powers]
    right = np.stack([(power * log_y).sum(axis=1) for power in powers[:3]], axis=1)
    left = np.stack([np.stack(moments[k : k + 3], axis=1) for k in range(3)], axis=1)
    solvable = (positive.sum(axis=1) > 2) & np.isfinite(left).all(axis=(1, 2))
    # In units that keep the determinant away from 0.
    left += 1e-14 * np.eye(3) * left[:, :1, :1]
    left[~solvable] = np.eye(3)
    a, b, c = np.linalg.solve(left, right[..., None])[..., 0].T
    bent = solvable & (c < 0)
    c = np.where(bent, c, -0.5)
    top = np.take(log_x, np.where(weight > 0, y, -np.inf).argmax(axis=1))
    highest = np.log(np.maximum(y.max(axis=1), 1e-300))
    start = np.stack(
        [
            np.where(bent, middle - b / (2 * c), top),
            np.where(bent, a - b * b / (4 * c), highest),
            np.where(bent, np.sqrt(-0.5 / c), 1.0),
        ],
        axis=1,
    )
    fit = solve(log_normal(log_x), y, weight, start, known=not unknown)
    free = (weight > 0).sum(axis=1) - 3
    chi2 = fit.chi2 / free
    place, log_height, sigma = fit.values.T
    sigma = np.abs(sigma)
    covariance = fit.covariance * (chi2[:, None, None] if unknown else 1.0)
    stds = np.sqrt(covariance[:, [0, 1, 2], [0, 1, 2]]).T
    half = sigma * FWHM_PER_SIGMA / 2
    energy, height = np.exp(place), np.exp(log_height)
    width = 2 * energy * np.sinh(half)
    by_sigma = np.sign(fit.values[:, 2]) * energy * np.cosh(half) * FWHM_PER_SIGMA
    gradient = np.stack([width, np.zeros_like(width), by_sigma], axis=1)
    variance = (gradient[:, None] @ covariance @ gradient[..., None])[:, 0, 0]
    # ln y = … − (ln E/E_BP)²/2σ²: σ distinguishes a bend from a straight power law.
    status = _status(
        ends,
        np.stack([energy, energy * stds[0]]),
        np.stack([height, height * stds[1]]),
        np.stack([sigma, stds[2]]),
    )
    bad = ~fit.converged | ~np.isfinite(covariance).all(axis=(1, 2))
    status = _unconverged(ends, energy, bad, status)
    sane = (np.abs(place) < 100) & (np.abs(log_height) < 300) & (half < 50)
    status = np.where(sane, status, STATUSES.index(NO_MAXIMUM))
    return {
        "energy": energy, "energy_std": energy * stds[0], "height": height,
        "height_std": height * stds[1], "width": width, "width_std": np.sqrt(variance),
        "chi2_reduced": chi2,
    }, status  # fmt: skip


def _gaussian(
    E: np.ndarray, y: np.ndarray, weight: np.ndarray, ends: _Ends, unknown: bool
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
    fit = solve(gaussian_on_line(E), y, weight, start, known=not unknown)
    chi2 = fit.chi2 / (used.sum(axis=1) - 5)
    covariance = fit.covariance * (chi2[:, None, None] if unknown else 1.0)
    energy, height, sigma, background, slope = fit.values.T
    stds = np.sqrt(covariance[:, range(5), range(5)]).T
    sigma = np.abs(sigma)
    status = _status(
        ends,
        np.stack([energy, stds[0]]),
        np.stack([height, stds[1]]),
        np.stack([sigma, stds[2]]),
    )
    wide = (status == STATUSES.index(OK)) & (sigma > extent)
    status = np.where(wide, STATUSES.index(NO_MAXIMUM), status)
    bad = ~fit.converged | ~np.isfinite(covariance).all(axis=(1, 2))
    return {
        "energy": energy, "energy_std": stds[0],
        "height": height, "height_std": stds[1],
        "width": FWHM_PER_SIGMA * sigma, "width_std": FWHM_PER_SIGMA * stds[2],
        "chi2_reduced": chi2, "background": background, "background_slope": slope,
    }, _unconverged(ends, energy, bad, status)  # fmt: skip


def _around_top(y: np.ndarray, usable: np.ndarray) -> np.ndarray:
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


def _parabola(
    E: np.ndarray, y: np.ndarray, weight: np.ndarray, ends: _Ends, unknown: bool
) -> _Found:
    """Fit the tops, each by a parabola about its own middle."""
    names = ("energy", "height", "width")
    found = {name: np.full(len(y), np.nan) for name in ("chi2_reduced", *names)}
    found |= {f"{name}_std": np.full(len(y), np.nan) for name in names}
    status = np.full(len(y), STATUSES.index(NO_MAXIMUM))
    for i, used in enumerate(weight > 0):
        x, top, w = E[used], y[i, used], weight[i, used]
        centre = x.mean()
        (c, b, a), covariance = np.polyfit(x - centre, top, 2, w=w, cov="unscaled")
        rest = (np.polyval([c, b, a], x - centre) - top) * w
        chi2 = float((rest**2).sum() / (x.size - 3))
        if c >= 0 or -c * np.ptp(x) ** 2 < 1e-9 * np.abs(top).max():
            continue
        covariance = covariance * (chi2 if unknown else 1.0)
        offset, height = -b / (2 * c), a - b * b / (4 * c)
        half = np.sqrt(max(height, 0.0) / (-2 * c))
        # Gradients with respect to (c, b, a).
        d_energy = np.array([b / (2 * c * c), -1 / (2 * c), 0.0])
        d_height = np.array([b * b / (4 * c * c), -b / (2 * c), 1.0])
        d_width = d_height / (-2 * c) + np.array([height / (2 * c * c), 0.0, 0.0])
        stds = [
            float(np.sqrt(max(g @ covariance @ g, 0.0)))
            for g in (d_energy, d_height, d_width / max(half, 1e-300))
        ]
        values = (offset + centre, height, 2 * half)
        pairs = [np.array([[v], [s]]) for v, s in zip(values, stds, strict=True)]
        status[i] = _status((ends[0][i : i + 1], ends[1][i : i + 1]), *pairs)[0]
        if status[i] == STATUSES.index(OK):
            of_scatter = w / np.sqrt(max(chi2, 1e-300)) if unknown else w
            stds[:2] = np.hypot(stds[:2], _off_parabola(x, top, of_scatter, values[0]))
        found["chi2_reduced"][i] = chi2
        for name, value, std in zip(names, values, stds, strict=True):
            found[name][i], found[f"{name}_std"][i] = value, std
    return found, status


def _off_parabola(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, energy: float
) -> tuple[float, float]:
    """Return how far the top may lie from that of a parabola, in energy and in height.

    Boson peaks are steeper on their left, nearer to a parabola in ln E. The more the
    points prefer that, the more of the distance between the two tops is an error. The
    height is moved by the fourth order, which flattens a top.
    """
    away, log_away = x - energy, np.log(x / energy)
    fits = [np.polyfit(u, y, 2, w=weight, cov="unscaled") for u in (away, log_away)]
    in_e, in_log = (
        float(((np.polyval(p, u) - y) ** 2 * weight**2).sum())
        for (p, _), u in zip(fits, (away, log_away), strict=True)
    )
    c, b, _ = fits[1][0]
    preferred = np.sqrt(scipy.special.expit((in_e - in_log) / 2))
    moved = float(preferred) * energy * abs(np.expm1(-b / (2 * c))) if c < 0 else 0.0
    if x.size < 6:
        return moved, 0.0
    by_four, four = np.polyfit(away, y, 4, w=weight, cov="unscaled")
    by_two, two = fits[0]
    # What noise alone makes of their difference is no error of the shape.
    excess = (by_four[-1] - by_two[-1]) ** 2 - (four[-1, -1] - two[-1, -1])
    # Where a parabola misses the points by more than chance does, its height has an
    # error of that kind too.
    free = x.size - 3
    poor = in_e / free / (1 + 2 * np.sqrt(2 / free)) - 1
    return moved, float(np.sqrt(max(excess, 0.0) + max(poor, 0.0) * two[-1, -1]))


def _clearly_rise_and_fall(
    E: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    number: Mapping[str, np.ndarray],
    n_parameters: int,
) -> np.ndarray:
    """Return for which spectra `_rises_and_falls` is true without being computed.

    χ² of a curve that only falls is at least that of two levels, of the bins at the
    foot of the low side and of those at the top, which it must not tell apart; that of
    the best curve with a maximum is at most the fitted one's.
    """
    away = E - number["energy"][:, None]
    below, above = (number["energy"] - number["low"], number["high"] - number["energy"])
    part = np.where(away < 0, away / below[:, None], away / above[:, None])
    w = weight**2

    def level(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = np.where(at, w, 0.0)
        total = own.sum(axis=1)
        return (own * y).sum(axis=1) / total, total

    top, w_top = level(np.abs(part) < 0.3)
    least = np.full(len(y), np.inf)
    for foot, w_foot in (level(part < -0.6), level(part > 0.6)):
        raised = np.where(top > foot, (top - foot) ** 2, 0.0)
        least = np.fmin(least, raised * w_top * w_foot / (w_top + w_foot))
    chi2 = number["chi2_reduced"] * (number["n_points"] - n_parameters)
    return np.asarray(least - chi2 > 16)


def _rises_and_falls(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, energy: float
) -> bool:
    """Return whether the points themselves rise to the fitted maximum and fall beyond.

    A broad shape fits a falling line too, with its maximum where no point can
    contradict it. So the best curve that rises up to the maximum and falls after it,
    whatever its shape, is compared with the best one that only falls or only rises. It
    must lower χ² by 16: pure noise on flat, falling and rising spectra then shows a
    maximum in less than one of twenty draws.
    """
    if weight is None:
        # The scatter of the points about the fit replaces their error.
        weight = np.full(y.size, 1 / max(scatter(y), 1e-12))
    w = weight**2

    def misfit(part: slice, rising: bool) -> float:
        if not y[part].size:
            return 0.0
        best = scipy.optimize.isotonic_regression(
            y[part], weights=w[part], increasing=rising
        ).x
        return float((w[part] * (y[part] - best) ** 2).sum())

    top = int(np.searchsorted(x, energy))
    with_maximum = misfit(slice(top), True) + misfit(slice(top, None), False)
    without = min(misfit(slice(None), True), misfit(slice(None), False))
    return without - with_maximum > 16


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


def scatter(y: np.ndarray) -> float:
    """Return the noise, from second differences, which a smooth spectrum hardly has."""
    bends = y[1:-1] - (y[2:] + y[:-2]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(1.5))


def smoothed(y: np.ndarray) -> np.ndarray:
    """Return the running mean over three bins."""
    return np.convolve(np.pad(y, 1, mode="edge"), np.ones(3) / 3, mode="valid")


def peak_range(
    E: np.ndarray, B: np.ndarray, std: np.ndarray | None, depth: float = 0.5
) -> tuple[float, float] | None:
    """Find the range of the broadest interior maximum, where the user named none.

    The spectrum is smoothed over three bins, or a tenth of the energy to each side
    where these are more: a boson peak is broad, and finely stepped noise is not. The
    most prominent maximum above its noise counts. Each side of it ends where the
    spectrum rises again, above its noise and by 2 % of its prominence, and the range
    goes `depth` of the way down to the lowest there: a peak on a plateau, such as
    Debye's level, is fitted without the plateau.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        Spectrum; E ≤ 0 and NaN are left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations.
    depth : float
        How far down each side the range goes, as a part of its descent.

    Returns
    -------
    tuple of float, or None
        Limits of the range, None where there is no interior maximum.
    """
    usable = usable_bins(E, B, std)
    x, y = E[usable], B[usable]
    if x.size < 5:
        return None
    i = np.arange(x.size)
    first = np.maximum(np.minimum(np.searchsorted(x, 0.9 * x), i - 1), 0)
    last = np.searchsorted(x, 1.1 * x, side="right")
    last = np.minimum(np.maximum(last, i + 2), x.size)
    total = np.concatenate([[0.0], np.cumsum(y)])
    smooth = (total[last] - total[first]) / (last - first)
    least = 1e-3 * float(np.ptp(smooth))
    peaks, properties = scipy.signal.find_peaks(smooth, prominence=least)
    for i in np.argsort(-properties["prominences"], kind="stable"):
        top, prominence = int(peaks[i]), float(properties["prominences"][i])
        # Noise as it is about this maximum: counting makes it another at every energy.
        near = (x > x[top] / 2) & (x < 2 * x[top])
        noise = scatter(y[near] if near.sum() > 4 else y)
        if std is not None:
            noise = float(np.median(std[usable][near]))
        needed = 2 * SIGNIFICANT * noise / np.sqrt(last[top] - first[top])
        needed = max(needed, least)
        if prominence >= needed:
            rise = max(needed, 0.02 * prominence)
            left = _foot(smooth[top::-1], rise, depth)
            right = _foot(smooth[top:], rise, depth)
            return float(x[top - left]), float(x[top + right])
    return None


def _foot(side: np.ndarray, noise: float, depth: float) -> int:
    """Return where a side has gone `depth` of its way down before it rises again."""
    rises = np.flatnonzero(side > np.minimum.accumulate(side) + noise)
    descent = side[: rises[0]] if rises.size else side
    end = side[0] - depth * (side[0] - max(descent.min(), 0.0))
    return int(np.argmax(descent <= end))
