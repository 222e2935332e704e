"""Fits of one spectrum, on plain arrays: position, height and width of a boson peak."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import scipy

from xbp.core.status import AT_EDGE, FAILED, NO_DATA, NO_MAXIMUM, OK, TOO_FEW
from xbp.fitting.search import SIGNIFICANT, WEIGHABLE, scatter, smoothed
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal

__all__ = ["Method", "PeakFit", "fit_peak"]

Method = Literal["lognormal", "quadratic", "gaussian"]

# By this much χ² must a maximum describe the points better than none: chosen so that
# flat, falling and rising spectra of pure noise show a maximum in less than one of
# twenty draws.
_MAXIMUM_CHI2 = 16.0

# The local parabola uses the top of the peak: bins at least this part of the maximum,
# and their neighbours.
_TOP = 0.8


@dataclasses.dataclass(frozen=True)
class PeakFit:
    """Result of one fit; NaN wherever `status` is not "ok"."""

    status: str
    energy: float = np.nan
    energy_std: float = np.nan
    height: float = np.nan
    height_std: float = np.nan
    width: float = np.nan
    width_std: float = np.nan
    chi2_reduced: float = np.nan
    relative_residual: float = np.nan
    background: float = np.nan
    background_slope: float = np.nan
    low: float = np.nan
    high: float = np.nan
    n_points: int = 0


@np.errstate(all="ignore")  # what overflows is no maximum, or has no finite error
def fit_peak(
    E: np.ndarray, B: np.ndarray, std: np.ndarray | None, method: Method
) -> PeakFit:
    """Fit one peak to all the points given.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        Spectrum within the range to fit; NaN is left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations. Where they are known they weigh the points and set the
        scale of the errors; bins with a std of 0 or NaN are left out. Otherwise the
        scatter about the fit sets it.
    method : {"lognormal", "quadratic", "gaussian"}
        Shape.

    Returns
    -------
    PeakFit
    """
    usable = np.isfinite(E) & (np.abs(B) < WEIGHABLE[1]) & (E > 0)
    if std is not None:
        usable &= (std > WEIGHABLE[0]) & (std < WEIGHABLE[1])
    x, y = E[usable], B[usable]
    if x.size == 0:
        return PeakFit(NO_DATA)
    scale = float(np.abs(y).max())
    if scale == 0:
        return PeakFit(NO_MAXIMUM, n_points=int(x.size))
    # Fitted in units of its own maximum: spectra come in any units, and lmfit's steps
    # are not scale-free.
    s = None if std is None else std[usable] / scale
    fit = _METHODS[method](x, y / scale, s)
    if fit.status == OK and not _rises_and_falls(x, y / scale, s, fit):
        fit = dataclasses.replace(fit, status=NO_MAXIMUM)
    if fit.status != OK:
        return PeakFit(fit.status, low=fit.low, high=fit.high, n_points=fit.n_points)
    return PeakFit(
        OK, fit.energy, fit.energy_std, fit.height * scale, fit.height_std * scale, fit.width, fit.width_std,
        fit.chi2_reduced, _relative_residual(method, x, y / scale, fit), fit.background * scale,
        fit.background_slope * scale, fit.low, fit.high, fit.n_points,
    )  # fmt: skip


def _relative_residual(
    method: Method, x: np.ndarray, y: np.ndarray, fit: PeakFit
) -> float:
    """Return the rms of what the fitted curve leaves of the points, over the height of the peak."""
    inside = (x >= fit.low) & (x <= fit.high)
    left = y[inside] - evaluate(method, x[inside], dataclasses.asdict(fit))
    return float(np.sqrt(np.mean(left**2)) / fit.height)


def _judge(
    x: np.ndarray,
    energy: tuple[float, float],
    height: tuple[float, float],
    width: tuple[float, float],
) -> str:
    """Decide whether a fitted maximum is one, from position, height and width with their errors.

    It lies inside the range, and its height and curvature are no play of the noise.
    """
    if not np.isfinite([*energy, *height, *width]).all():
        return FAILED
    margin = SIGNIFICANT * energy[1]
    if margin > x[-1] - x[0]:
        return NO_MAXIMUM
    if energy[0] - margin <= x[0] or energy[0] + margin >= x[-1]:
        return AT_EDGE
    # The curvature at the top goes as 1/width², so its relative error is twice that of
    # the width.
    curved = width[0] > 2 * SIGNIFICANT * width[1]
    return OK if height[0] > 2 * SIGNIFICANT * height[1] and curved else NO_MAXIMUM


def _rises_and_falls(
    x: np.ndarray, y: np.ndarray, s: np.ndarray | None, fit: PeakFit
) -> bool:
    """Tell whether the points themselves rise to the fitted maximum and fall beyond it.

    A broad shape fits a falling line too, with its maximum where no point can
    contradict it. So the best curve that rises up to the maximum and falls after it is
    held against the best one that only falls, and the best that only rises, whatever
    their shape.
    """
    if s is None:
        # The scatter of the points about the fit stands for their error.
        s = np.full(y.size, max(scatter(y), 1e-12))
    inside = (x >= fit.low) & (x <= fit.high)
    x, y, w = x[inside], y[inside], 1 / s[inside] ** 2

    def misfit(part: np.ndarray, rising: bool) -> float:
        if not part.any():
            return 0.0
        best = scipy.optimize.isotonic_regression(
            y[part], weights=w[part], increasing=rising
        ).x
        return float((w[part] * (y[part] - best) ** 2).sum())

    below = x < fit.energy
    everywhere = np.ones(x.size, dtype=bool)
    with_maximum = misfit(below, True) + misfit(~below, False)
    without = min(misfit(everywhere, True), misfit(everywhere, False))
    return bool(without - with_maximum > _MAXIMUM_CHI2)


# A fit that has a maximum to find has found it by then; one without drifts off for
# thousands of steps.
_MAX_CALLS = 200
# What MINPACK says of one that did.
_CONVERGED = (1, 2, 3, 4)


@np.errstate(all="ignore")
def _minimize(
    residual: Callable[..., np.ndarray],
    jacobian: Callable[..., np.ndarray],
    start: dict[str, float],
    known: bool,
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Least squares: values, covariance (None where it did not converge), reduced χ²."""

    def of(function: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda p: function(*p)

    values, covariance, info, _, said = scipy.optimize.leastsq(
        of(residual),
        list(start.values()),
        Dfun=of(jacobian),
        col_deriv=True,
        full_output=True,
        gtol=0.0,
        maxfev=_MAX_CALLS,
    )
    chi2 = float((info["fvec"] ** 2).sum() / (info["fvec"].size - values.size))
    if (
        said not in _CONVERGED
        or covariance is None
        or not np.isfinite(covariance).all()
    ):
        return values, None, chi2
    return values, covariance * (1.0 if known else chi2), chi2


def _no_fit(x: np.ndarray, energy: float) -> str:
    """Say why a fit did not converge.

    Because there is no maximum to find, or otherwise.
    """
    return FAILED if x[0] < energy < x[-1] else NO_MAXIMUM


def _lognormal(x: np.ndarray, y: np.ndarray, s: np.ndarray | None) -> PeakFit:
    span: dict[str, Any] = {"low": x[0], "high": x[-1], "n_points": int(x.size)}
    if x.size < 4:
        return PeakFit(TOO_FEW, **span)
    weight = np.ones(x.size) if s is None else 1.0 / s
    log_x = np.log(x)
    # ln y is a parabola in ln x: its least-squares parabola is where the fit starts.
    positive = y > 0
    start = {
        "log_energy": log_x[np.argmax(y)],
        "log_height": np.log(max(y.max(), 1e-300)),
        "sigma": 1.0,
    }
    if positive.sum() >= 3:
        size = (y * weight)[positive] / (y * weight)[positive].max()
        powers = np.vander(log_x[positive], 3)
        c, b, a = np.linalg.lstsq(
            powers * size[:, np.newaxis], np.log(y[positive]) * size, rcond=None
        )[0]
        if c < 0:
            start = {
                "log_energy": -b / (2 * c),
                "log_height": a - b * b / (4 * c),
                "sigma": np.sqrt(-0.5 / c),
            }

    def model(log_energy: float, log_height: float, sigma: float) -> np.ndarray:
        return np.asarray(
            np.exp(
                np.minimum(
                    log_height - (log_x - log_energy) ** 2 / (2 * sigma**2), 300.0
                )
            )
        )

    def residual(log_energy: float, log_height: float, sigma: float) -> np.ndarray:
        return np.asarray((model(log_energy, log_height, sigma) - y) * weight)

    def jacobian(log_energy: float, log_height: float, sigma: float) -> np.ndarray:
        weighted = model(log_energy, log_height, sigma) * weight
        distance = (log_x - log_energy) / sigma
        return np.stack(
            [weighted * distance / sigma, weighted, weighted * distance**2 / sigma]
        )

    values, covariance, chi2 = _minimize(residual, jacobian, start, s is not None)
    log_energy, log_height, sigma = values
    half = abs(sigma) * FWHM_PER_SIGMA / 2
    if not (abs(log_energy) < 100 and abs(log_height) < 300 and half < 50):
        return PeakFit(NO_MAXIMUM, **span)
    energy, height = np.exp(log_energy), np.exp(log_height)
    if covariance is None:
        return PeakFit(_no_fit(x, energy), **span)
    width = 2 * energy * np.sinh(half)
    gradient = np.array(
        [width, 0.0, np.sign(sigma) * energy * np.cosh(half) * FWHM_PER_SIGMA]
    )
    stds = np.sqrt(np.diag(covariance))
    width_std = float(np.sqrt(gradient @ covariance @ gradient))
    # ln y = … − (ln E/E_BP)²/2σ²: it is σ that tells a bend from a straight power law.
    status = _judge(
        x, (energy, energy * stds[0]), (height, height * stds[1]), (abs(sigma), stds[2])
    )
    return PeakFit(
        status,
        energy,
        energy * stds[0],
        height,
        height * stds[1],
        width,
        width_std,
        chi2,
        **span,
    )


def _gaussian(x: np.ndarray, y: np.ndarray, s: np.ndarray | None) -> PeakFit:
    span: dict[str, Any] = {"low": x[0], "high": x[-1], "n_points": int(x.size)}
    if x.size < 6:
        return PeakFit(TOO_FEW, **span)
    weight = np.ones(x.size) if s is None else 1.0 / s
    centre, extent = (x[0] + x[-1]) / 2, x[-1] - x[0]
    base = np.polyfit(x[[0, -1]] - centre, y[[0, -1]], 1)
    above = y - np.polyval(base, x - centre)
    start = {
        "energy": x[np.argmax(above)], "height": max(above.max(), 1e-3), "sigma": extent / 5,
        "background": base[1], "slope": base[0],
    }  # fmt: skip

    def residual(
        energy: float, height: float, sigma: float, background: float, slope: float
    ) -> np.ndarray:
        model = gaussian(x, energy, height, sigma) + background + slope * (x - centre)
        return np.asarray((model - y) * weight)

    def jacobian(
        energy: float, height: float, sigma: float, background: float, slope: float
    ) -> np.ndarray:
        shape = gaussian(x, energy, 1.0, sigma) * weight
        distance = (x - energy) / sigma
        return np.stack([
            height * shape * distance / sigma, shape, height * shape * distance**2 / sigma,
            weight, (x - centre) * weight,
        ])  # fmt: skip

    (energy, height, sigma, background, slope), covariance, chi2 = _minimize(
        residual, jacobian, start, s is not None
    )
    if covariance is None:
        return PeakFit(_no_fit(x, energy), **span)
    stds = np.sqrt(np.diag(covariance))
    status = _judge(x, (energy, stds[0]), (height, stds[1]), (abs(sigma), stds[2]))
    if status == OK and abs(sigma) > extent:
        status = NO_MAXIMUM
    return PeakFit(
        status, energy, stds[0], height, stds[1], FWHM_PER_SIGMA * abs(sigma), FWHM_PER_SIGMA * stds[2],
        chi2, background=background - slope * centre, background_slope=slope, **span,
    )  # fmt: skip


def _quadratic(x: np.ndarray, y: np.ndarray, s: np.ndarray | None) -> PeakFit:
    # The top of the smoothed spectrum: the highest bin of a noisy one is merely the
    # luckiest.
    smooth = smoothed(y)
    top = int(np.argmax(smooth))
    first = last = top
    while first > 0 and smooth[first - 1] >= _TOP * smooth[top]:
        first -= 1
    while last + 1 < y.size and smooth[last + 1] >= _TOP * smooth[top]:
        last += 1
    # One bin further on each side shows the fall of a steep flank; a sharp peak takes
    # the seven nearest.
    first, last = max(first - 1, 0), min(last + 1, y.size - 1)
    while last - first < 6 and (first > 0 or last + 1 < y.size):
        first, last = max(first - 1, 0), min(last + 1, y.size - 1)
    x, y = x[first : last + 1], y[first : last + 1]
    span: dict[str, Any] = {"low": x[0], "high": x[-1], "n_points": int(x.size)}
    if x.size < 4:
        return PeakFit(TOO_FEW, **span)
    centre = x.mean()
    weight = None if s is None else 1 / s[first : last + 1]
    (c, b, a), covariance = np.polyfit(x - centre, y, 2, w=weight, cov="unscaled")
    if abs(c) * (x[-1] - x[0]) ** 2 < 1e-9 * np.abs(y).max():
        return PeakFit(NO_MAXIMUM, **span)
    residual = (np.polyval([c, b, a], x - centre) - y) * (
        1.0 if weight is None else weight
    )
    chi2 = float((residual**2).sum() / (x.size - 3))
    if weight is None:
        covariance = covariance * chi2
    if c >= 0:
        return PeakFit(NO_MAXIMUM, **span)
    offset, height = -b / (2 * c), a - b * b / (4 * c)
    half = np.sqrt(max(height, 0.0) / (-2 * c))
    # Gradients with respect to (c, b, a).
    d_energy = np.array([b / (2 * c * c), -1 / (2 * c), 0.0])
    d_height = np.array([b * b / (4 * c * c), -b / (2 * c), 1.0])
    d_width = (d_height / (-2 * c) + np.array([height / (2 * c * c), 0.0, 0.0])) / max(
        half, 1e-300
    )
    stds = [
        float(np.sqrt(max(g @ covariance @ g, 0.0)))
        for g in (d_energy, d_height, d_width)
    ]
    status = _judge(
        x, (offset + centre, stds[0]), (height, stds[1]), (2 * half, stds[2])
    )
    if status == OK:
        of_scatter = np.full(x.size, 1 / np.sqrt(max(chi2, 1e-300)))
        off = _off_parabola(
            x, y, of_scatter if weight is None else weight, offset + centre
        )
        stds[:2] = np.hypot(stds[:2], off)
    return PeakFit(
        status,
        offset + centre,
        stds[0],
        height,
        stds[1],
        2 * half,
        stds[2],
        chi2,
        **span,
    )


def _off_parabola(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, energy: float
) -> tuple[float, float]:
    """Return how far a top that is no parabola in E may lie from that of the parabola.

    In energy, and in height.

    Boson peaks are steeper on their left, nearer to a parabola in ln E. The more the
    points prefer that, the more of the distance between the two tops is an error. The
    height is moved by the fourth order, which flattens a top.
    """
    away, log_away = x - energy, np.log(x / energy)
    fits = [
        np.polyfit(away, y, 2, w=weight, cov="unscaled"),
        np.polyfit(log_away, y, 2, w=weight, cov="unscaled"),
    ]
    in_e, in_log = (
        float(((np.polyval(p, u) - y) ** 2 * weight**2).sum())
        for (p, _), u in zip(fits, (away, log_away), strict=True)
    )
    c, b, _ = fits[1][0]
    preferred = scipy.special.expit((in_e - in_log) / 2)
    moved = (
        float(np.sqrt(preferred)) * energy * abs(np.expm1(-b / (2 * c)))
        if c < 0
        else 0.0
    )
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


_METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray | None], PeakFit]] = {
    "lognormal": _lognormal,
    "quadratic": _quadratic,
    "gaussian": _gaussian,
}


def evaluate(method: Method, E: np.ndarray, fit: dict[str, float]) -> np.ndarray:
    """Return the fitted curve, from the numbers that the fit reports."""
    energy, height, width = fit["energy"], fit["height"], fit["width"]
    if method == "lognormal":
        return lognormal(
            E, energy, height, 2 * np.arcsinh(width / (2 * energy)) / FWHM_PER_SIGMA
        )
    if method == "gaussian":
        peak = gaussian(E, energy, height, width / FWHM_PER_SIGMA)
        return np.asarray(peak + fit["background"] + fit["background_slope"] * E)
    return np.asarray(height * (1 - 2 * ((E - energy) / width) ** 2))
