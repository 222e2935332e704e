"""The sign of E: energy loss is stronger than gain, by detailed balance."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.errors import CoordinateError
from xbp.core.guards import require_number
from xbp.core.units import convert_factor
from xbp.models.factors import GAIN_INFORMS
from xbp.reduction.elastic import elastic_line_bins, elastic_reach

__all__ = ["REVERSED_BELOW", "asymmetry", "require_sign"]

#: Default of ``reversed_below=``: the right sign gives 1, a reversed one −1, and a flat
#: background moves both towards 0.
REVERSED_BELOW: Final = -0.25


def asymmetry(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray,
    *,
    lowest_x: float = 0.2,
    end: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
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
    tuple of numpy.ndarray
        k and its error over leftover dimensions; NaN where fewer than three energies
        show it.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_quantum().S
    >>> k, error = asymmetry(S, None, S.temperature)
    >>> round(float(k), 2)
    1.0
    """
    E = value["E"].values * convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    leftover = [d for d in value.dims if d not in ("Q", "E")]

    def ordered(part: xr.DataArray) -> np.ndarray:
        """Return (..., Q, E), with at most 64 spectra along Q, which are enough."""
        some = slice(None, None, -(-part.sizes.get("Q", 1) // 64))
        part = part.isel(Q=some) if "Q" in part.dims else part.expand_dims("Q")
        return np.asarray(part.transpose(*leftover, "Q", "E").values, dtype=float)

    S = ordered(value)
    S = np.where(np.isfinite(S), S, np.nan)
    variance = None if std is None else ordered(std) ** 2
    kt = constants.BOLTZMANN_MEV * np.broadcast_to(
        kelvin.transpose(*[d for d in leftover if d in kelvin.dims]).values.reshape(
            [value.sizes[d] if d in kelvin.dims else 1 for d in leftover]
        ),
        S.shape[:-2],
    )
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
        return nothing, nothing
    # The other side, interpolated where the grid is not symmetric.
    right = np.clip(np.searchsorted(E, -E[chosen]), 1, E.size - 1)
    part_left = np.clip((E[right] + E[chosen]) / (E[right] - E[right - 1]), 0.0, 1.0)
    part_right = 1 - part_left

    def mirrored(array: np.ndarray, power: int) -> np.ndarray:
        left = np.where(part_left == 0, 0.0, part_left**power * array[..., right - 1])
        return left + np.where(
            part_right == 0, 0.0, part_right**power * array[..., right]
        )

    loss, gain = S[..., chosen], mirrored(S, 1)
    both = np.isfinite(loss) & np.isfinite(gain)
    loss, gain = (np.where(both, side, 0.0).sum(axis=-2) for side in (loss, gain))
    total = np.where(loss + gain > 0, loss + gain, np.nan)
    x = E[chosen] / kt[..., None]
    tau = np.where((x >= lowest_x) & (x <= GAIN_INFORMS), np.tanh(x / 2), np.nan)
    t = (loss - gain) / total
    if variance is None:
        t, t_var = np.clip(t, -1, 1), np.zeros_like(t)
        w = np.ones_like(t)
    else:
        loss_var, gain_var = (
            np.where(both, np.nan_to_num(side), 0.0).sum(axis=-2)
            for side in (variance[..., chosen], mirrored(variance, 2))
        )
        t_var = 4 * (gain**2 * loss_var + loss**2 * gain_var) / total**4
        # The median variance is added, or bins beside the line alone would decide.
        ranked = np.sort(np.where(np.isfinite(t * tau), t_var, np.inf), axis=-1)
        middle = np.maximum(np.isfinite(ranked).sum(axis=-1, keepdims=True) - 1, 0) // 2
        level = np.take_along_axis(ranked, middle, axis=-1)
        w = np.where(
            t_var + level > 0, 1 / np.where(t_var + level > 0, t_var + level, 1.0), 1.0
        )
    usable = np.isfinite(t * tau * w) & np.isfinite(t_var)
    w, t, tau, t_var = (np.where(usable, part, 0.0) for part in (w, t, tau, t_var))
    n = usable.sum(axis=-1)
    norm = np.where(n >= 3, (w * tau**2).sum(axis=-1), np.nan)
    k = (w * t * tau).sum(axis=-1) / norm
    scatter = (
        (w**2 * tau**2 * (t - k[..., None] * tau) ** 2).sum(axis=-1)
        * n
        / np.maximum(n - 1, 1)
    )
    return k, np.sqrt(np.maximum(scatter, (w**2 * tau**2 * t_var).sum(axis=-1))) / norm


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


@np.errstate(all="ignore")
def require_sign(
    value: xr.DataArray,
    std: xr.DataArray | None,
    kelvin: xr.DataArray,
    reversed_below: float | None,
    *,
    lowest_x: float = 0.2,
    end: float | None = None,
    means: str = "E is positive where neutrons lose energy",
) -> None:
    """Refuse S(Q,E) over an axis of E whose sign is reversed.

    Gain exceeds loss as loss should exceed gain.

    Parameters
    ----------
    value, std : xarray.DataArray
        Quantum S(Q,E) or a spectrum over E. Dask arrays are not computed, or checked.
    kelvin : xarray.DataArray
        Temperatures in K.
    reversed_below : float, optional
        The factor of `asymmetry` below which, where it is five standard deviations
        below 0 too, the axis is reversed. None: not checked.
    lowest_x, end
        As for `asymmetry`.
    means : str
        What the sign means.

    Raises
    ------
    CoordinateError
    """
    if reversed_below is None or value.chunks is not None or "E" not in value.dims:
        return
    E = value["E"].values
    if not (E[0] < 0 < E[-1]) or not set(kelvin.dims) <= set(value.dims):
        return
    reversed_below = require_number(reversed_below, "reversed_below")
    k, error = asymmetry(value, std, kelvin, lowest_x=lowest_x, end=end)
    wrong = (k < reversed_below) & (k < -5 * error)
    if wrong.any():
        at = np.flatnonzero(wrong)[0]
        raise CoordinateError(
            f"the sign of E is reversed: the asymmetry of both sides is "
            f"{k.ravel()[at]:.2g} ± {error.ravel()[at]:.1g} of that of detailed "
            f"balance at {float(kelvin.values.ravel()[0]):.4g} K",
            reason=means,
            fix="data = data.assign_coords(E=('E', -data.E.values, "
            "data.E.attrs)).sortby('E'), and negate E_bnds too; or "
            "reversed_below=None, if the asymmetry has another cause",
        )
