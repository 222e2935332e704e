"""The thermal and Debye–Waller factors between S(Q,E), G(Q,E) and B(Q,E), on plain arrays.

They are separable, f(E, T) · f(Q, u²), which is what makes the reduction quick on large
maps.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from xbp.core import constants

__all__ = [
    "CONVENTIONS",
    "GAIN_INFORMS",
    "energy_factor",
    "momentum_factor",
    "thermal_factor",
]

#: Published reductions of S(Q,E). The first two are Eq. 1 of Li et al. (2025) and Eq. 1
#: over E².
Convention = Literal["E*n*S/Q^2", "n*S/(E*Q^2)", "S*E/Q", "S*n/(E*Q)"]
CONVENTIONS: tuple[Convention, ...] = ("E*n*S/Q^2", "n*S/(E*Q^2)", "S*E/Q", "S*n/(E*Q)")


#: Up to this E/k_BT energy gain counts beside loss or in its place: it is a twentieth
#: of it there, then background.
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
    >>> thermal_factor(np.array([0.0]), np.array(300.0), "quantum") * constants.BOLTZMANN_MEV * 300.0
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
        In meV for ``"E*n*S/Q^2"`` and ``"S*E/Q"``, in 1/meV otherwise.
    """
    if convention == "S*E/Q":
        return np.asarray(E + 0.0 * T)
    factor = thermal_factor(E, T, statistics)
    return np.asarray(factor * E**2) if convention == "E*n*S/Q^2" else factor


def momentum_factor(
    convention: Convention, Q: np.ndarray, u2: np.ndarray
) -> np.ndarray:
    """Return the part of a reduction that depends on Q and u²: exp(Q²u²)/Q² or 1/Q.

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
        In angstrom² or angstrom; NaN at Q = 0, where no reduction is defined.
    """
    magnitude = np.where(Q == 0, np.nan, Q)
    if convention in ("S*E/Q", "S*n/(E*Q)"):
        return np.asarray(1.0 / magnitude + 0.0 * u2)
    with np.errstate(over="ignore"):
        factor = np.exp(magnitude**2 * u2) / magnitude**2
    return np.where(np.isfinite(factor), factor, np.nan)
