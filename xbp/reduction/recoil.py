"""Q at which the sum rule of a moment can be used.

Recoil and width must fit into the measured energy range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import resolve_temperature
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.signal import Signal
from xbp.core.units import convert_factor

__all__ = ["beyond_range", "spread_over_Q", "with_recoil_inside"]


def beyond_range(
    Q: np.ndarray, highest: float, mass: float, kelvin: xr.DataArray, *, classical: bool
) -> xr.DataArray:
    r"""Return the fraction of the f-sum of an ideal gas beyond an energy.

    .. math:: S = \frac{e^{-(E-E_r)^2/2\sigma^2}}{\sigma\sqrt{2\pi}},\quad
              E_r = \frac{\hbar^2Q^2}{2M},\quad \sigma^2 = 2E_rk_BT

    This is the impulse approximation, the limit of any S(Q,E) at high Q. Classical data
    have no recoil, and their sum rule is that of the second moment.

    Parameters
    ----------
    Q : numpy.ndarray
        In 1/angstrom.
    highest : float
        Energy in meV, to both sides.
    mass : float
        M in u.
    kelvin : xarray.DataArray
        Temperatures.

    Returns
    -------
    xarray.DataArray
        Over Q and the dimensions of the temperature.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    2 (ideal gas).

    Examples
    --------
    >>> T = xr.DataArray(300.0)
    >>> beyond_range(np.array([1.0, 10.0]), 100.0, 2.49, T, classical=False).values.round(3)
    array([0.   , 0.704])
    """
    recoil = xr.DataArray(constants.HBAR2_OVER_2U / mass * Q**2, dims="Q")
    width = (2 * recoil * constants.BOLTZMANN_MEV * kelvin) ** 0.5
    normal: Any = scipy.stats.norm
    if classical:
        b = highest / width.where(width > 0)
        part = 2 * b.copy(data=normal.sf(b.values) + b.values * normal.pdf(b.values))
        return part.fillna(0.0)
    low, high = ((sign * highest - recoil) / width.where(width > 0) for sign in (-1, 1))
    inside = high.copy(data=normal.cdf(high.values) - normal.cdf(low.values))
    inside = inside - width / recoil.where(recoil > 0) * (
        normal.pdf(high.values) - normal.pdf(low.values)
    )
    missing: xr.DataArray = (1 - inside).fillna(0.0)
    return missing


def with_recoil_inside(
    signal: Signal,
    weight: xr.DataArray,
    mass: float,
    T: Any,
    E_range: Any,
    Q: np.ndarray,
    most: float,
) -> xr.DataArray:
    """Leave out the Q (1/angstrom) whose recoil and width do not fit into the energies, up to a part of the f-sum.

    Raises
    ------
    RangeError
        If none is left, naming the lowest and how much is missing there.
    """
    window = select_range(signal.source, "E", E_range, name="E_range")
    highest = float(bin_limits(signal.source, "E")[1][window][-1])
    units = signal.value["E"].attrs["units"]
    to_mev = convert_factor(units, "meV", name="coordinate 'E'", energy=True)
    missing = beyond_range(
        Q, highest * to_mev, mass, resolve_temperature(signal.value, T),
        classical=signal.value.attrs.get("statistics") == "classical",
    )  # fmt: skip
    left = weight.where(missing <= most, 0.0)
    if not bool((left.sum("Q") > 0).all()):
        at = int(
            np.argmax((weight.max([d for d in weight.dims if d != "Q"]) > 0).values)
        )
        raise RangeError(
            f"{100 * float(missing.isel(Q=at).max()):.3g} % of the f-sum lie beyond "
            f"{highest:.4g} {units} at the "
            f"lowest Q, {Q[at]:.4g} 1/angstrom",
            reason=f"recoil and width for {mass:.4g} u must fit into the energy "
            f"range, except for {100 * most:.3g} %",
            fix="lower Q, a wider E_range, or most_missing=0.1; check mass= or "
            "composition=",
        )
    return left


def spread_over_Q(
    ratio: xr.DataArray, weight: xr.DataArray, factor: xr.DataArray
) -> float:
    """Return the relative standard deviation over Q of the factors of single Q, weighted as they count."""
    share = weight / weight.sum("Q")
    variance = (share * (ratio.where(weight > 0, factor) / factor - 1) ** 2).sum("Q")
    return float((variance**0.5).max())
