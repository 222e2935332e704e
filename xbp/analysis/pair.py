"""A signal beside S(Q): on its Q, and how they are correlated."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import numpy as np
import scipy
import xarray as xr

from xbp.core.data import columns, is_lazy, require_dims
from xbp.core.errors import QuantityError, RangeError, shown
from xbp.core.grid import interpolate, require_same_grid, select_range
from xbp.core.guards import require_positive
from xbp.core.independence import contrast_independence
from xbp.core.signal import Signal, map_over, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, parse_unit
from xbp.reduction.comparable import another_sample, off_scale

__all__ = ["SIGNALS", "Pair", "correlation_error", "few_independent"]

#: Fewer independent points give no error of r: pulls would be up to 1.8 wide.
LEAST_INDEPENDENT: Final = 8

SIGNALS = (
    "reduced_dos",
    "generalized_dos",
    "dynamic_structure_factor",
    "normalized_fluctuation_spectrum",
    "fluctuation_spectrum",
)


_FIXES: Final = {
    "another_sample": "if it is one sample, give both the same attrs['sample']"
}


class Pair:
    """A signal and S(Q) on its Q: the bins to use, and doubts about the pair."""

    def __init__(self, data: Any, sq: Any, Q_range: Any, least: int) -> None:
        self.signal, other = read(data, *SIGNALS), read(sq, "static_structure_factor")
        value = self.signal.value
        if not parse_unit(other.units).dimensionless:
            raise QuantityError(
                f"S(Q) is in '{other.units}', not dimensionless", fix="sq.bp.scale(...)"
            )
        require_dims(
            value, "Q", "a comparison with S(Q)", fix="B.bp.cut_E(E, width=...)"
        )
        require_dims(
            other.value, "Q", "a comparison with S(Q)", fix="pass the whole S(Q)"
        )
        shared = [d for d in other.value.dims if d != "Q" and d in value.dims]
        require_same_grid(value, other.value, tuple(shared))
        used = select_range(self.signal.source, "Q", Q_range, name="Q_range")
        curve, curve_std = _interpolated(other, value["Q"])
        every = tuple(d for d in curve.dims if d != "Q")
        bins = used & np.asarray(curve.notnull().variable.any(every))
        if bins.sum() < least:
            raise RangeError(
                f"S(Q) is known at {int(bins.sum())} Q"
                f"{'' if Q_range is None else f' within Q_range={shown(Q_range)}'}; "
                f"at least {least} are needed"
            )
        self.used, self.std, self.curve_std = used, self.signal.std, curve_std
        std = self.std
        #: Signal, S(Q) and their standard deviations, if any.
        self.arrays = [
            np.nan if array is None else array.variable
            for array in (value, curve, std, curve_std)
        ]
        #: Which part of an independent bin each is.
        fs = [contrast_independence(value if std is None else std, "Q")]
        fs += [contrast_independence(curve if curve_std is None else curve_std, "Q")]
        self.parts = [1.0 if f is None else f for f in fs]
        self.coords: dict[Hashable, xr.Variable] = {
            dim: curve.coords.variables[dim] for dim in every if dim in curve.coords
        }
        found = {
            "another_sample": another_sample(self.signal, other),
            "sq_limit": off_scale(other.value),
        }
        self.doubts = diagnosed(
            value.attrs,
            *(
                Diagnostic(code, "warning", text, _FIXES.get(code, ""))
                for code, text in found.items()
                if text
            ),
        )

    def inside(self, array: xr.DataArray) -> xr.Variable:
        """Return values at the bins used, NaN elsewhere."""
        after = array.ndim - 1 - array.get_axis_num("Q")
        used = self.used.reshape(-1, *[1] * after)
        return xr.Variable(array.dims, np.where(used, array.data, np.nan))

    def doubts_about(
        self, columns: dict[str, tuple[Any, str, str]], *further: Diagnostic
    ) -> dict[str, str]:
        """Return the diagnostics of the pair, and of the error of its correlation."""
        r, n = (columns[name][0] for name in ("pearson_r", "n_effective"))
        return self.doubts | diagnosed(self.doubts, *further, *few_independent(r, n))

    def with_common(self, std: xr.Variable, value: xr.Variable) -> xr.Variable:
        """Add the errors that all Q have in common to those of a factor of S(Q)."""
        if self.std is None or "Q_common" not in self.std.coords:
            return std
        relative = self.inside(self.std) / self.inside(self.signal.value)
        part = self.std.coords["Q_common"].variable * relative**2
        mean = part.where(np.isfinite(part)).mean("Q")
        whole: xr.Variable = (std**2 + mean * value**2) ** 0.5
        return whole

    def correlation(self, box: Any, of: str) -> dict[str, tuple[Any, str, str]]:
        """Return the columns about r that both tables have."""
        Q = self.signal.value["Q"]
        units, most = Q.attrs["units"], np.inf
        if box is not None:
            # The wave vectors of a box are 2π/L apart.
            side = require_positive(box, "box", "angstrom")
            most = convert_factor(units, "1/angstrom", name="coordinate 'Q'") * side
        labels = {
            "pearson_r": ("1", f"linear correlation {of}"),
            "pearson_r_std": ("1", "sampling error of r"),
            "spearman_r": ("1", f"rank correlation {of}"),
            "Q_min": (units, "lowest Q used"),
            "Q_max": (units, "highest Q used"),
            "n_points": ("1", "number of Q bins used"),
            "n_effective": ("1", "number of independent Q"),
            "ratio_rms": ("1", "rms over Q of the ratio to A·S(Q), less 1"),
            "ratio_rms_std": ("1", "sampling error of that"),
        }
        numbers = map_over(
            _statistics, *self.arrays[:2], dims="Q", gives=[["_number"]],
            sizes={"_number": len(labels)}, Q=Q.values.astype(float),
            used=self.used, per_Q=most / (2 * np.pi),
        )  # fmt: skip
        return {
            name: (column, *label)
            for column, (name, label) in zip(
                columns(numbers), labels.items(), strict=True
            )
        }


def _interpolated(
    sq: Signal, Q: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Interpolate S(Q) and its std linearly onto other Q; NaN outside its range."""
    # S(Q) may be in percent.
    to_one = convert_factor(sq.units, "1", name="S(Q)")
    units, at = Q.attrs["units"], Q.values
    factor = convert_factor(sq.value["Q"].attrs["units"], units, name="Q of S(Q)")
    own = sq.value["Q"].values * factor
    slack = 1e-9 * (own[-1] - own[0])
    if at[-1] < own[0] - slack or at[0] > own[-1] + slack:
        raise RangeError(
            f"S(Q) extends from {own[0]:g} to {own[-1]:g}, the data from {at[0]:g} to "
            f"{at[-1]:g} {units}: they do not overlap",
            fix="check the units of both Q coordinates",
        )
    value, std = sq.value, sq.std
    if to_one != 1:
        value, std = value * to_one, None if std is None else std * to_one
    return interpolate(value, std, "Q", at / factor)


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def _statistics(
    x: np.ndarray, y: np.ndarray, *, Q: np.ndarray, used: np.ndarray, per_Q: float
) -> np.ndarray:
    """Return r with its error, Spearman's r, range, points, rms with its error (…, 9).

    NaN for fewer than three points where both are known. Of a box there are `per_Q`
    independent points in a range of Q.
    """
    x, y = np.broadcast_arrays(x, y)
    both = np.isfinite(x) & np.isfinite(y) & used
    n = both.sum(axis=-1, keepdims=True)

    def deviations(a: np.ndarray) -> np.ndarray:
        known = np.where(both, a, 0.0)
        return np.where(both, known - known.sum(axis=-1, keepdims=True) / n, 0.0)

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        norm = (a**2).sum(axis=-1) * (b**2).sum(axis=-1)
        return np.asarray((a * b).sum(axis=-1) / np.sqrt(norm))

    dx, dy = deviations(x), deviations(y)
    # Points that are not known rank last.
    ranks = [
        deviations(scipy.stats.rankdata(np.where(both, a, np.inf), axis=-1))
        for a in (x, y)
    ]
    product = _autocorrelation(dx) * _autocorrelation(dy)
    # Up to the first lag at which the product is no longer above zero; lag 0 counts
    # once.
    counted = np.cumprod(product > 0, axis=-1) * product
    n = n[..., 0]
    low = np.where(both, Q, np.inf).min(axis=-1)
    high = np.where(both, Q, -np.inf).max(axis=-1)
    points = np.clip(n / (2 * counted.sum(axis=-1) - 1), 2.0, np.maximum(n, 2.0))
    points = np.minimum(points, np.maximum((high - low) * per_Q, 2.0))
    r = correlation(dx, dy)
    one, other = (np.where(both, a, 0.0) for a in (x, y))
    scale = (one * other).sum(axis=-1) / (other**2).sum(axis=-1)
    off = np.where(both, x / (scale[..., None] * y) - 1, 0.0)
    rms = np.sqrt((off**2).sum(axis=-1) / n)
    few = [r, correlation_error(r, points), correlation(*ranks), low, high, n, points]
    found = np.stack([*few, rms, rms / np.sqrt(2 * points)], axis=-1)
    found[n < 3, :3] = found[n < 3, 6:] = np.nan
    found[n == 0, 3:5] = np.nan
    return found


def _autocorrelation(away: np.ndarray) -> np.ndarray:
    """Return the autocorrelation of deviations from the mean, over all lags."""
    n = away.shape[-1]
    lagged = np.fft.irfft(np.abs(np.fft.rfft(away, 2 * n)) ** 2, 2 * n)[..., :n]
    return np.asarray(lagged / lagged[..., :1])


def few_independent(r: xr.Variable, n_effective: xr.Variable) -> list[Diagnostic]:
    """Return a diagnostic where r is known, but too few points for its error."""
    if is_lazy(r) or is_lazy(n_effective):
        return []
    known, n = np.isfinite(r.values), n_effective.values
    few = known & (n < LEAST_INDEPENDENT)
    if not few.any():
        return []
    where = f" in {int(few.sum())} of {int(known.sum())} cases" if few.ndim else ""
    return [
        Diagnostic(
            "r_error_unknown",
            "info",
            f"the error of r is not known{where}: Q_range has "
            f"{float(np.median(n[few])):.1f} independent points, fewer than "
            f"{LEAST_INDEPENDENT}",
            "use a longer Q_range",
        )
    ]


def correlation_error(r: np.ndarray, n_effective: np.ndarray) -> np.ndarray:
    r"""Return the sampling error of Pearson's r of n independent points.

    .. math:: \sigma_r = \frac{1 - \rho^2}{\sqrt{n - 3.5}}, \quad \rho^2 = r^2
        \frac{t^2}{t^2 + 4}, \quad t^2 = r^2 \frac{n - 2}{1 - r^2}

    The shrunk ρ² keeps a large r that arose by chance from having a small error; 4 and
    3.5 give pulls of width 1 ± 0.15 for unrelated and related curves. It is at most 1,
    and NaN for fewer than eight points, where pulls are up to 1.8 wide.

    Examples
    --------
    >>> correlation_error(np.array([0.0, 0.5, 0.9]), np.full(3, 20)).round(3)
    array([0.246, 0.209, 0.057])
    """
    t2 = r**2 * (n_effective - 2)
    shrunk = r**2 * t2 / (t2 + 4 * (1 - r**2))
    enough = np.where(n_effective >= LEAST_INDEPENDENT, n_effective, np.nan)
    return np.asarray(np.minimum((1 - shrunk) / np.sqrt(enough - 3.5), 1.0))
