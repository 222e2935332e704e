"""Whether the sign of E is right: loss exceeds gain as detailed balance demands."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.data import is_lazy, once_checked
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.guards import require_number
from xbp.core.schema import per_unit
from xbp.core.status import Diagnostic
from xbp.models.factors import GAIN_INFORMS
from xbp.reduction.elastic import elastic_line_bins, elastic_reach

__all__ = [
    "REVERSED_BELOW",
    "SIGNIFICANCE",
    "asymmetry",
    "require_sign",
    "with_right_sign",
]

#: Default of ``reversed_below=``: the right sign gives 1, a reversed one −1, and a flat
#: background moves both towards 0.
REVERSED_BELOW: Final = -0.25

#: Default of ``significance=``: standard deviations at which data are refused.
SIGNIFICANCE: Final = 5.0


class Asymmetry(NamedTuple):
    """By which factor loss exceeds gain by detailed balance, with its error.

    Over leftover dimensions; with the mean squares of the asymmetry about this factor
    and about 1, and their degrees of freedom.
    """

    factor: np.ndarray
    error: np.ndarray
    scatter: np.ndarray
    misfit: np.ndarray
    free: np.ndarray


def asymmetry(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray,
    *,
    lowest_x: float = 0.2,
    end: float | None = None,
) -> Asymmetry:
    r"""Return by which factor loss exceeds gain by detailed balance, and its error.

    .. math:: \frac{S(E)-S(-E)}{S(E)+S(-E)} = k\,\tanh\frac{E}{2k_BT}

    Fitted from the end of the elastic line to 3 k_BT, to the spectra summed over Q.

    Parameters
    ----------
    value, std : xarray.DataArray
        S(Q,E) or a spectrum over E, with both signs of E, in memory.
    kelvin : xarray.DataArray
        Temperatures in K, over leftover dimensions.
    lowest_x : float
        E/k_BT from which on the sides are compared: below, they differ by less than the
        tails of a line do.
    end : float, optional
        Where the elastic line ends, in meV; by default two widths (FWHM) from its
        centre, and 0 for a broad spectrum.

    Returns
    -------
    Asymmetry
        NaN where fewer than three energies show it.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_quantum().S
    >>> round(float(asymmetry(S, None, S.temperature).factor), 2)
    1.0
    """
    E = value["E"].values * per_unit(value, "E")
    leftover = [d for d in value.dims if d not in ("Q", "E")]

    def ordered(part: xr.DataArray) -> np.ndarray:
        """Return (..., Q, E), with at most 64 spectra along Q, which are enough."""
        some = slice(None, None, -(-part.sizes.get("Q", 1) // 64))
        part = part.isel(Q=some) if "Q" in part.dims else part.expand_dims("Q")
        return np.asarray(part.transpose(*leftover, "Q", "E").values, dtype=float)

    S = ordered(value)
    S = np.where(np.isfinite(S), S, np.nan)
    variance = None if std is None else ordered(std) ** 2
    kelvins: Any = kelvin.variable
    kelvins = kelvins.set_dims({d: value.sizes[d] for d in leftover})
    kt = constants.BOLTZMANN_MEV * kelvins.transpose(*leftover).values
    nothing = np.full(S.shape[:-2], np.nan)
    spectra = S.reshape(-1, E.size)
    counts = np.isfinite(spectra).sum(axis=0)
    sums = np.nansum(spectra, axis=0)
    profile = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    first = _end_of_line(E, profile) if end is None else end
    chosen = np.flatnonzero(
        (first < E) & (E[0] <= -E) & (GAIN_INFORMS * kt.max(initial=0.0) >= E)
    )
    if chosen.size < 3:
        return Asymmetry(*[nothing] * 5)
    # The other side, interpolated where the grid is not symmetric.
    right = np.clip(np.searchsorted(E, -E[chosen]), 1, E.size - 1)
    t = np.clip((E[right] + E[chosen]) / (E[right] - E[right - 1]), 0.0, 1.0)

    def mirrored(array: np.ndarray, power: int) -> np.ndarray:
        left = np.where(t == 0, 0.0, t**power * array[..., right - 1])
        return left + np.where(t == 1, 0.0, (1 - t) ** power * array[..., right])

    loss, gain = S[..., chosen], mirrored(S, 1)
    both = np.isfinite(loss) & np.isfinite(gain)
    loss, gain = (np.where(both, side, 0.0).sum(axis=-2) for side in (loss, gain))
    total = np.where(loss + gain > 0, loss + gain, np.nan)
    x = E[chosen] / kt[..., None]
    tau = np.where((x >= lowest_x) & (x <= GAIN_INFORMS), np.tanh(x / 2), np.nan)
    found = (loss - gain) / total
    if variance is None:
        found, found_var = np.clip(found, -1, 1), np.zeros_like(found)
        w = np.ones_like(found)
    else:
        loss_var, gain_var = (
            np.where(both, np.nan_to_num(side), 0.0).sum(axis=-2)
            for side in (variance[..., chosen], mirrored(variance, 2))
        )
        found_var = 4 * (gain**2 * loss_var + loss**2 * gain_var) / total**4
        # The median variance is added, or bins beside the line alone would decide.
        ranked = np.sort(np.where(np.isfinite(found * tau), found_var, np.inf), axis=-1)
        middle = np.maximum(np.isfinite(ranked).sum(axis=-1, keepdims=True) - 1, 0) // 2
        level = found_var + np.take_along_axis(ranked, middle, axis=-1)
        w = np.where(level > 0, 1 / np.where(level > 0, level, 1.0), 1.0)
    usable = np.isfinite(found * tau * w) & np.isfinite(found_var)
    w, found, tau, found_var = (
        np.where(usable, part, 0.0) for part in (w, found, tau, found_var)
    )
    n = usable.sum(axis=-1)
    norm = np.where(n >= 3, (w * tau**2).sum(axis=-1), np.nan)
    k = (w * found * tau).sum(axis=-1) / norm
    left = (found - k[..., None] * tau) ** 2
    scatter = ((w * tau) ** 2 * left).sum(axis=-1) * n / np.maximum(n - 1, 1)
    counting = ((w * tau) ** 2 * found_var).sum(axis=-1)
    error = np.sqrt(np.maximum(scatter, counting)) / norm
    free = np.where(n >= 3, n - 1.0, np.nan)
    mean = n / free / w.sum(axis=-1)
    scatter_of, misfit = (
        (w * part).sum(axis=-1) * mean for part in (left, (found - tau) ** 2)
    )
    return Asymmetry(k, error, scatter_of, misfit, free)


def _end_of_line(E: np.ndarray, profile: np.ndarray) -> float:
    """Return where the elastic line ends; 0 for a broad spectrum.

    A line has fallen to a fifth of its maximum two widths (FWHM) from its centre; a
    broad spectrum obeys detailed balance throughout.
    """
    reach, found = elastic_reach(E, profile), elastic_line_bins(E, profile)
    known = np.isfinite(profile)
    if found is None or not reach:
        return 0.0
    centre = E[found[0]]
    sides = np.interp(
        centre + (reach - abs(centre)) * np.array([-1, 1]), E[known], profile[known]
    )
    return reach if sides.max() < 0.2 * profile[found[0]] else 0.0


def with_right_sign(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray,
    reversed_below: float | None,
    *,
    most: int = 64,
    **options: Any,
) -> tuple[xr.DataArray, list[Diagnostic]]:
    """Return S(Q,E) whose sign of E is checked, and doubts, see `require_sign`.

    Dask arrays are checked when they are computed: each block in at most 64 spectra
    along Q; the middle ones of several blocks along Q, which stay few in memory.
    """
    if not is_lazy(value):
        return value, require_sign(value, std, kelvin, reversed_below, **options)
    if reversed_below is None or not _shows_sign(value, kelvin):
        return value, []
    n = value.sizes.get("Q", 1)
    first = max(n - most, 0) // 2
    in_parts = len(value.chunksizes.get("Q", ())) > 1
    some = slice(first, first + most) if in_parts else slice(None, None, -(-n // most))
    parts = (
        part if part is None else part.isel(Q=some, missing_dims="ignore")
        for part in (value.reset_coords(drop=True), std)
    )
    check = functools.partial(require_sign, reversed_below=reversed_below, **options)
    kelvin = kelvin.reset_coords(drop=True)
    return once_checked(value, check, *parts, kelvin, along=("Q", "E")), []


def _shows_sign(value: xr.DataArray, kelvin: xr.DataArray) -> bool:
    """Whether both signs of E are there, and the temperature of every spectrum."""
    E = value["E"].values if "E" in value.dims else np.zeros(1)
    return bool(E[0] < 0 < E[-1]) and {*kelvin.dims} <= {*value.dims}


@np.errstate(all="ignore")
def require_sign(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray,
    reversed_below: float | None,
    *,
    lowest_x: float = 0.2,
    end: float | None = None,
    significance: float = SIGNIFICANCE,
    turned: tuple[xr.DataArray, xr.DataArray | None] | None = None,
    means: str = "E is positive where neutrons lose energy",
) -> list[Diagnostic]:
    """Refuse S(Q,E) over an axis of E whose sign is reversed.

    Gain exceeds loss as loss should exceed gain; or, of detectors, whose Q depends on
    the sign, the other sign describes both sides better. Refused too is S(Q,E) labelled
    classical whose sides differ by more than half of that.

    Parameters
    ----------
    value, std : xarray.DataArray
        S(Q,E) or a spectrum over E. Dask arrays are not checked: `with_right_sign`.
    kelvin : xarray.DataArray
        Temperatures in K.
    reversed_below : float, optional
        The factor of `asymmetry` below which, where it is `significance` below 0 too,
        the axis is reversed. None: not checked.
    lowest_x, end
        As for `asymmetry`.
    significance : float
        Standard deviations.
    turned : pair of xarray.DataArray, optional
        S(Q,E) and its error if the sign of E is the other. Its factor must then be
        above −`reversed_below`. The axis is also reversed if detailed balance leaves
        smaller squares of these (F test at `significance`), with any factor too.
    means : str
        What the sign means.

    Returns
    -------
    list of Diagnostic
        If the factor is below 1/2 or above 2 by `significance`; where all energies are
        below `lowest_x`, if the sides differ as they would there.

    Raises
    ------
    CoordinateError, QuantityError
    """
    if reversed_below is None or is_lazy(value) or not _shows_sign(value, kelvin):
        return []
    reversed_below = require_number(reversed_below, "reversed_below")
    sides = asymmetry(value, std, kelvin, lowest_x=lowest_x, end=end)
    k, error = sides.factor, significance * sides.error
    if value.attrs.get("statistics") == "classical":
        wrong = abs(k) > 0.5 + error
        if wrong.any():
            raise QuantityError(
                "the data are labelled classical, but their asymmetry is "
                f"{k[wrong][0]:.2g} times that of detailed balance",
                fix="data.assign_attrs(statistics='quantum'), or reversed_below=None",
            )
        return []
    wrong, rest = (k < reversed_below) & (k < -error), ""
    if turned is not None:
        other = asymmetry(*turned, kelvin, lowest_x=lowest_x, end=end)
        beyond, chance = (
            scipy.special.fdtri(sides.free, other.free, scipy.special.ndtr(s))
            for s in (significance, 2.0)
        )
        better = sides.misfit > beyond * other.misfit
        better &= sides.scatter > chance * other.scatter
        wrong = (wrong & (other.factor > -reversed_below)) | better
    if wrong.any():
        at = np.flatnonzero(wrong)[0]
        if turned is not None:
            rest = f", with the other sign {other.factor.ravel()[at]:.2g} times"
        raise CoordinateError(
            f"the sign of E seems reversed: the asymmetry is {k.ravel()[at]:.2g} ± "
            f"{sides.error.ravel()[at]:.1g} times that of detailed balance{rest}",
            reason=means,
            fix="data.assign_coords(E=-data.E).sortby('E'), its bounds too, or "
            "reversed_below=None",
        )
    if turned is None and np.isnan(k).all() and kelvin.size == 1:
        # All energies are below `lowest_x` at this temperature. It is too high where
        # the sides differ as they would there.
        low = asymmetry(value, std, kelvin, lowest_x=0.0, end=end)
        E = value["E"].values
        x = min(E[-1], -E[0]) / (constants.BOLTZMANN_MEV * float(kelvin.values.item()))
        least = np.tanh(lowest_x / 2) / np.tanh(x / 2)
        seen = low.factor > least + significance * low.error
        k, error = np.where(seen, low.factor, np.nan), significance * low.error
        sides = low
    wrong = (k > 2 + error) | (k < 0.5 - error)
    if not wrong.any():
        return []
    at = np.flatnonzero(wrong)[0]
    return [
        Diagnostic(
            "temperature_differs",
            "warning",
            f"the asymmetry of gain and loss is {k.ravel()[at]:.2g} ± "
            f"{sides.error.ravel()[at]:.1g} times that at the temperature of the data",
            "detailed_balance(), and T= of the sample, or subtract the background",
        )
    ]
