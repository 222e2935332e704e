"""The factors between a Raman spectrum and g(E)/E², on plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from xbp.models.factors import thermal_factor

__all__ = ["Coupling", "Side", "raman_factor", "raman_shift"]

Side = Literal["stokes", "anti-stokes"]
Coupling = Literal["constant", "linear"] | Callable[[np.ndarray], np.ndarray]


def raman_factor(E: np.ndarray, T: np.ndarray, side: Side) -> np.ndarray:
    """Return 1/(E [n(E)+1]) on the Stokes side, 1/(E n(E)) on the anti-Stokes side.

    Both are finite at E → 0, where they are 1/k_BT; n(E) = 1/(exp(E/k_BT) − 1).

    Parameters
    ----------
    E : numpy.ndarray
        Magnitude of the shift in meV.
    T : numpy.ndarray
        Temperature in K, broadcasting against `E`.
    side : {"stokes", "anti-stokes"}
        Whether the light lost or gained the energy.

    Returns
    -------
    numpy.ndarray
        In 1/meV.

    Examples
    --------
    >>> E, T = np.array([5.0]), np.array(300.0)
    >>> n = 1 / np.expm1(5.0 / (0.08617333262 * 300))
    >>> bool(np.isclose(raman_factor(E, T, "stokes") * 5 * (n + 1), 1))
    True
    >>> bool(np.isclose(raman_factor(E, T, "anti-stokes") * 5 * n, 1))
    True
    """
    # 1/(n+1) = 1 − exp(−x), which is ⟨n⟩ of neutron scattering; n(E) + 1 = −n(−E) turns
    # the other side into it.
    return thermal_factor(E if side == "stokes" else -E, T, "quantum")


def raman_shift(wavelength: np.ndarray, laser: float) -> np.ndarray:
    """Return the Raman shift 1/λ_laser − 1/λ, positive on the Stokes side.

    Parameters
    ----------
    wavelength : numpy.ndarray
        Wavelength of the scattered light in nm.
    laser : float
        Wavelength of the laser in nm, in the same medium (both in air, or both in
        vacuum).

    Returns
    -------
    numpy.ndarray
        In 1/cm, ascending with the wavelength.

    Examples
    --------
    >>> raman_shift(np.array([532.0]), 532.0)
    array([0.])
    """
    # The difference is taken before the division: 1/λ − 1/λ' would lose the digits of a
    # small shift.
    return np.asarray(1e7 * (wavelength - laser) / (wavelength * laser))
