"""Factors between S(Q,E), G(Q,E) and B(Q,E), and of Raman spectra, on plain arrays.

The thermal and the Debye–Waller factor are separable, f(E, T) · f(Q, u²), which makes
the reduction of large maps quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, get_args

import numpy as np
import scipy

from xbp.core import constants

__all__ = [
    "CONVENTIONS",
    "GAIN_INFORMS",
    "Coupling",
    "Side",
    "beyond_range",
    "energy_factor",
    "momentum_factor",
    "raman_factor",
    "raman_shift",
    "thermal_factor",
]

#: Published reductions of S(Q,E). The first three are Eq. 1 of Li et al. (2025), Eq. 1
#: over E², and for planes over |E|; the last is of spectra whose Q is not known.
Convention = Literal[
    "E*n*S/Q^2", "n*S/(E*Q^2)", "n*S/Q^2", "S*E/Q", "S*n/(E*Q)", "n*S/E"
]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

Side = Literal["stokes", "anti-stokes"]
Coupling = Literal["constant", "linear"] | Callable[[np.ndarray], np.ndarray]

#: Up to this E/k_BT energy gain counts beside loss or in its place: by detailed
#: balance it is e⁻³ of it there, then background. A definition that operations share,
#: so that loss and gain are of the same bins in all of them.
GAIN_INFORMS: Final = 3.0


def thermal_factor(E: np.ndarray, T: np.ndarray, statistics: str) -> np.ndarray:
    """Return ⟨n⟩/E, finite at E = 0.

    Quantum: ⟨n⟩ = 1 − exp(−x) with x = E/k_BT (this is not the Bose occupation), so
    ⟨n⟩/E = −expm1(−x)/E, which tends to 1/k_BT. Classical S(Q,E) is even in E and ⟨n⟩ →
    x.

    Parameters
    ----------
    E : numpy.ndarray
        Energy transfer in meV, of either sign.
    T : numpy.ndarray
        Temperature in K, broadcasting against `E`.
    statistics : {"quantum", "classical"}
        Of the S(Q,E) it is to multiply.

    Returns
    -------
    numpy.ndarray
        In 1/meV.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 1.

    Examples
    --------
    >>> thermal_factor(np.array([0.0]), np.array(300.0),
    ...     "quantum") * constants.BOLTZMANN_MEV * 300.0
    array([1.])
    """
    kT = constants.BOLTZMANN_MEV * T
    if statistics == "classical":
        return np.broadcast_to(
            1.0 / kT, np.broadcast_shapes(np.shape(E), np.shape(kT))
        ).copy()
    x = E / kT
    # exp overflows only for energy gain far beyond k_BT, where S itself has
    # underflowed: NaN.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        factor = np.where(x == 0, 1.0, -np.expm1(-x) / x) / kT
    return np.where(np.isfinite(factor), factor, np.nan)


def energy_factor(
    convention: Convention, E: np.ndarray, T: np.ndarray, statistics: str
) -> np.ndarray:
    """Return the part of a reduction that depends on E and T.

    Parameters
    ----------
    convention : str
        One of `CONVENTIONS`.
    E, T, statistics
        As for `thermal_factor`, in meV and K.

    Returns
    -------
    numpy.ndarray
        In meV for ``"E*n*S/Q^2"`` and ``"S*E/Q"``, a number for ``"n*S/Q^2"``, in
        1/meV otherwise.
    """
    if convention == "S*E/Q":
        return np.asarray(E + 0.0 * T)
    factor = thermal_factor(E, T, statistics)
    powers = {"E*n*S/Q^2": 2, "n*S/Q^2": 1}
    return np.asarray(factor * np.abs(E) ** powers.get(convention, 0))


def momentum_factor(
    convention: Convention, Q: np.ndarray, u2: np.ndarray
) -> np.ndarray:
    """Return the part of a reduction that depends on Q and u²: exp(Q²u²)/Q², 1/Q or 1.

    Parameters
    ----------
    convention : str
        One of `CONVENTIONS`.
    Q : numpy.ndarray
        Momentum transfer in 1/angstrom.
    u2 : numpy.ndarray
        Mean-square displacement per axis in angstrom², broadcasting against `Q`; not
        used by the conventions without a Debye–Waller factor.

    Returns
    -------
    numpy.ndarray
        In angstrom² or angstrom, NaN at Q = 0, where these are not defined; or 1.
    """
    if "Q" not in convention:
        return np.ones_like(Q + 0.0 * u2)
    magnitude = np.where(Q == 0, np.nan, Q)
    if convention in ("S*E/Q", "S*n/(E*Q)"):
        return np.asarray(1.0 / magnitude + 0.0 * u2)
    with np.errstate(over="ignore"):
        factor = np.exp(magnitude**2 * u2) / magnitude**2
    return np.where(np.isfinite(factor), factor, np.nan)


def beyond_range(
    Q: np.ndarray, highest: float, mass: float, T: np.ndarray, *, classical: bool
) -> np.ndarray:
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
    T : numpy.ndarray
        Temperatures in K, broadcasting against `Q`.
    classical : bool
        Whether S is even in E.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    2 (ideal gas).

    Examples
    --------
    >>> beyond_range(np.array([1.0, 10.0]), 100.0, 2.49, np.array(300.0),
    ...     classical=False).round(3)
    array([0.   , 0.704])
    """
    recoil = constants.HBAR2_OVER_2U / mass * np.where(Q == 0, np.nan, Q) ** 2
    width = np.sqrt(2 * recoil * constants.BOLTZMANN_MEV * T)
    normal: Any = scipy.stats.norm
    if classical:
        b = highest / width
        return np.asarray(np.nan_to_num(2 * (normal.sf(b) + b * normal.pdf(b))))
    low, high = ((sign * highest - recoil) / width for sign in (-1, 1))
    inside = normal.cdf(high) - normal.cdf(low)
    ends = normal.pdf(high) - normal.pdf(low)
    return np.asarray(np.nan_to_num(1 - inside + width / recoil * ends))


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
