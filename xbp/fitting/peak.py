"""A boson peak fitted to many spectra at once, and how far their points are from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xbp.core.status import Status
from xbp.fitting.core import permitted
from xbp.fitting.maximum import clearly_rise_and_fall, rise_and_fall
from xbp.fitting.other_shapes import OTHERS, errors_of_shapes
from xbp.fitting.over_bins import GAUSS
from xbp.fitting.rows import Packed, scatter
from xbp.fitting.shapes import SHAPES, Method, Points
from xbp.fitting.top import around_top, explained, off_points, polynomial
from xbp.models.parameters import powers_of

__all__ = ["MISFIT", "fit_shape", "numbers_of", "off_by_shape", "usable_bins"]

#: Columns of the answer of `fit_shape`, but for those of the shape in their middle;
#: ``_off`` is how far the points themselves are from a curve that misses them.
_FIRST = (
    "energy", "energy_std", "height", "height_std", "width", "width_std",
    "chi2_reduced", "relative_residual",
)  # fmt: skip
_LAST = ("energy_off", "height_off", "width_off", "low", "high", "n_points")

#: Noise that data without errors are taken to have at least, of their largest value.
_EXACT = 1e-3
#: What a shape that misses its points, or the right one, moves.
MISFIT = ("energy", "height", "width")


def numbers_of(method: Method) -> tuple[str, ...]:
    """Return the columns of the answer of `fit_shape`.

    Examples
    --------
    >>> numbers_of("gaussian")[8:10]
    ('background', 'background_slope')
    """
    others = OTHERS if SHAPES[method].orders else ()
    return (*_FIRST, *SHAPES[method].further, *others, *_LAST)


def usable_bins(E: np.ndarray, B: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    """Return the bins with E > 0 whose value and error have finite squares."""
    usable = np.isfinite(E) & (np.abs(B) < 1e150) & (E > 0)
    if std is not None:
        usable &= (std > 1e-150) & (std < 1e150)
    return np.asarray(usable)


def off_by_shape(
    numbers: np.ndarray, part: Any = 1.0, *, method: Method, pooled: bool
) -> np.ndarray:
    """Return how far the shape may have moved `MISFIT`.

    Parameters
    ----------
    numbers : numpy.ndarray, shape (..., m, n)
        Answer of `fit_shape`.
    part : numpy.ndarray, shape (..., m), or 1
        Which part of an independent spectrum each represents.
    method : str
        The shape that was fitted.
    pooled : bool
        Whether the right one is the same for all m spectra.

    Returns
    -------
    numpy.ndarray, shape (..., m, 3, n)
        Signed: the first from points that are far from the curve, then one for each of
        its `orders`; 0 where there is no fit.
    """
    column = {name: i for i, name in enumerate(numbers_of(method))}
    off = numbers[..., [column[f"{name}_off"] for name in MISFIT], None]
    if not SHAPES[method].orders:
        return np.asarray(np.nan_to_num(off))
    others = numbers[..., [column[name] for name in OTHERS]]
    units = numbers[..., [column[name] for name in ("energy", "height", "energy")]]
    orders = units[..., None] * errors_of_shapes(others, part, pooled=pooled)
    return np.asarray(np.nan_to_num(np.concatenate([off, orders], axis=-1)))


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
    method : str
        A name in `SHAPES`.
    part : numpy.ndarray, shape (m, k), or 1
        Which part of an independent bin each represents.
    half : numpy.ndarray, shape (k,), or 0
        Half the widths of the bins, over which the data are means.

    Returns
    -------
    numbers : numpy.ndarray, shape (m, n)
        Columns as in `numbers_of`, NaN (but for the range and the number of points)
        unless "ok".
    status : numpy.ndarray of int, shape (m,)
        `Status.code`.
    """
    data = _Spectra.of(E, B, std, inside, method)
    free = (data.usable * part).sum(axis=1) - len(SHAPES[method].parameters)
    number, status = _fitted(data, method, free, half)
    curve = SHAPES[method].curve(E, _as_columns(number))
    if np.any(half):
        data = data.at_centres(method, number, curve, half)
    peaked = _rise_and_fall(data, method, number, status, free)
    status[~peaked] = Status.NO_MAXIMUM.code
    left = np.where(data.usable, data.y - curve, 0.0)
    squares = (left**2).sum(axis=1)
    if SHAPES[method].of_top:  # of a quartic, not the parabola
        away = E - np.nan_to_num(number["energy"])[:, None]
        squares = polynomial(away, data.y, data.usable * 1.0, 4)[2]
    rms = np.sqrt(squares / number["n_points"])
    number["relative_residual"] = rms / number["height"]
    ok = status == Status.OK.code
    noise, poor = _misfits(data, method, number, left, free, ok)
    for name in MISFIT:
        number[f"{name}_off"] = np.zeros(len(ok))
    rows = np.flatnonzero(ok & (poor | SHAPES[method].of_top))
    if rows.size:
        off = _off_the_points(data, method, number, noise, poor, rows)
        for name, column in off.items():
            number[f"{name}_off"][rows] = column
    own = [n for n, c in SHAPES[method].further.items() if "y" in powers_of(c.rule)]
    for name in ("height", "height_std", "height_off", *own):
        number[name] = number[name] * data.scale
    table = np.stack([number[name] for name in numbers_of(method)], axis=1)
    table[status != Status.OK.code, :-3] = np.nan
    table[data.scale == 0, -3:-1] = np.nan
    return table, status


@dataclass(frozen=True)
class _Spectra:
    """Spectra (m, k) in units of their own maxima: they come in any units.

    Attributes
    ----------
    E : numpy.ndarray, shape (k,)
    B, std : numpy.ndarray, shape (m, k)
        As they were given; std or None.
    usable, measured : numpy.ndarray of bool, shape (m, k)
        Bins that are fitted, and bins of which something is known.
    scale : numpy.ndarray, shape (m,)
        The maxima, 0 without a bin.
    unit : numpy.ndarray, shape (m, 1)
        The same, 1 in place of 0.
    y, weight : numpy.ndarray, shape (m, k)
        Values and weights in these units, 0 in bins that are not fitted.
    """

    E: np.ndarray
    B: np.ndarray
    std: np.ndarray | None
    usable: np.ndarray
    measured: np.ndarray
    scale: np.ndarray
    unit: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls,
        E: np.ndarray,
        B: np.ndarray,
        std: np.ndarray | None,
        inside: np.ndarray,
        method: Method,
    ) -> _Spectra:
        """Return the spectra with what `method` fits of the bins `inside`."""
        measured = usable_bins(E, B, std)
        usable = measured & inside
        scale = np.where(usable, np.abs(B), 0.0).max(axis=1, initial=0.0)
        unit = np.where(scale > 0, scale, 1.0)[:, None]
        y = np.where(usable, B / unit, 0.0)
        if SHAPES[method].of_top:
            usable = around_top(y, usable)
        weight = usable * 1.0 if std is None else np.where(usable, unit / std, 0.0)
        return cls(E, B, std, usable, measured, scale, unit, y, weight)

    def at_centres(
        self,
        method: Method,
        number: Mapping[str, np.ndarray],
        curve: np.ndarray,
        half: np.ndarray | float,
    ) -> _Spectra:
        """Return what the data would be at the centres of their bins."""
        fitted = _as_columns(number)
        low, high = (
            SHAPES[method].curve(self.E + way * half * GAUSS, fitted) for way in (-1, 1)
        )
        bent = (low + high) / 2 - curve
        bent = np.where(self.usable & np.isfinite(bent), bent, 0.0)
        return replace(self, y=self.y - bent, B=self.B - bent * self.unit)


def _as_columns(number: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column[:, None] for name, column in number.items()}


def _fitted(
    data: _Spectra, method: Method, free: np.ndarray, half: np.ndarray | float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Fit what has enough points: the columns of `numbers_of`, and `Status.code`."""
    E, usable, scale = data.E, data.usable, data.scale
    number = dict.fromkeys(numbers_of(method), np.full(len(scale), np.nan))
    number["n_points"] = usable.sum(axis=1)
    number["low"] = np.where(usable, E, np.inf).min(axis=1)
    number["high"] = np.where(usable, E, -np.inf).max(axis=1)
    enough = (number["n_points"] > len(SHAPES[method].parameters)) & (free > 1e-9)
    status = np.where(
        number["n_points"] == 0, Status.NO_DATA.code,
        np.where(scale == 0, Status.NO_MAXIMUM.code, Status.TOO_FEW.code),
    )  # fmt: skip
    rows = np.flatnonzero((scale > 0) & enough)
    if rows.size:
        ends = (number["low"][rows], number["high"][rows])
        known = data.std is not None
        y, weight = data.y[rows], data.weight[rows]
        points = Points(E, y, weight, ends, free[rows], known, half)
        found, status[rows] = SHAPES[method].fit(points)
        for name, column in found.items():
            number[name] = np.full(len(scale), np.nan)
            number[name][rows] = column
    return number, status


def _rise_and_fall(
    data: _Spectra,
    method: Method,
    number: Mapping[str, np.ndarray],
    status: np.ndarray,
    free: np.ndarray,
) -> np.ndarray:
    """Return False where a fit is ok, but the points do not rise and fall."""
    E, y, weight = data.E, data.y, data.weight
    doubtful = status == Status.OK.code
    if data.std is not None and not SHAPES[method].on_line:
        doubtful &= ~clearly_rise_and_fall(E, y, weight, number, free)
    rows = np.flatnonzero(doubtful)
    weights = None if data.std is None else weight[rows]
    peaked = np.ones(len(y), dtype=bool)
    peaked[rows] = rise_and_fall(
        E, y[rows], data.usable[rows], weights, number["energy"][rows]
    )
    return peaked


def _misfits(
    data: _Spectra,
    method: Method,
    number: Mapping[str, np.ndarray],
    left: np.ndarray,
    free: np.ndarray,
    ok: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise, 1 where it is known, and which fits leave more than that."""
    noise, of_noise = np.ones(len(ok)), None
    if data.std is None:
        # What is left of exact data is not noise.
        rows = np.flatnonzero(ok)
        pack = Packed(data.usable[rows])
        noise[rows] = np.fmax(scatter(pack(left[rows]), pack.inside), _EXACT)
        # The median of so many second differences is as good as a third of them.
        of_noise = number["n_points"] / 3
    poor = number["chi2_reduced"] > permitted(free, of_noise) * noise**2
    # What a wrong shape leaves is smooth: a polynomial with two parameters more takes
    # of it what is not noise.
    middle = np.where(ok, number["energy"], 1.0)[:, None]
    log_x = np.log(np.where(data.E > 0, data.E, 1.0)) - np.log(middle)
    rest, degree = np.nan_to_num(left), len(SHAPES[method].parameters) + 1
    smooth = explained(log_x, rest, data.weight, degree)
    if not SHAPES[method].of_top:  # whose polynomial has taken it
        poor |= (free > 2) & (smooth > 2 * permitted(2, of_noise) * noise**2)
    return noise, poor


def _off_the_points(
    data: _Spectra,
    method: Method,
    number: Mapping[str, np.ndarray],
    noise: np.ndarray,
    poor: np.ndarray,
    rows: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return how far the points of some rows are from the peak that was fitted."""
    own = {name: column[rows, None] for name, column in number.items()}
    line = (np.zeros((rows.size, 1)),) * 2
    if SHAPES[method].on_line:
        line = own["background"], own["background_slope"]
    unit = data.unit[rows]
    error = noise[rows, None] if data.std is None else data.std[rows] / unit
    at = data.measured[rows]
    off, spread = off_points(
        data.E,
        data.B[rows] / unit,
        np.broadcast_to(error, at.shape),
        at,
        at & (own["low"] <= data.E) & (own["high"] >= data.E),
        lambda x, some: SHAPES[method].curve(
            x, {name: column[some] for name, column in own.items()}
        ),
        line,
        own,
    )
    # Of a parabola half the height is beyond the points fitted, whose chi-squared does
    # not tell.
    counts = dict.fromkeys(off, poor[rows, None])
    counts["width"] = counts["width"] | (np.abs(off["width"]) > 3 * spread)
    found = {}
    for name, distance in off.items():
        found[name] = np.where(counts[name], np.nan_to_num(distance), 0.0)[:, 0]
    return found
