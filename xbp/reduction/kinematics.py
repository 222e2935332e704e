"""Momentum transfer of a neutron, and the integrals of it that bins need.

k_i² = k_f² + E/c with c = ħ²/2m = 2.0721 meV Å². Q = √(k_i² + k_f² − 2 k_i k_f cos 2θ)
is symmetric in k_i and k_f, so that indirect geometry (k_f fixed) at E has the Q of
direct geometry (k_i fixed) at −E.
"""

from __future__ import annotations

import numpy as np

from xbp.core import constants

__all__ = ["Curves", "momentum_transfer", "wave_number", "wave_numbers"]


def wave_number(energy: np.ndarray | float) -> np.ndarray:
    """Return the wave number (1/angstrom) of neutrons of an energy (meV).

    0 where it is negative.

    Examples
    --------
    >>> float(wave_number(81.8042).round(4))
    6.2832
    """
    return np.sqrt(np.maximum(energy, 0.0) / constants.HBAR2_OVER_2M)


def wave_numbers(
    energy: np.ndarray | float, fixed_energy: np.ndarray | float, geometry: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return k_i and k_f (1/angstrom) at an energy transfer (meV).

    NaN where a neutron cannot have it.

    Examples
    --------
    >>> [float(k.round(4)) for k in wave_numbers(1.2, 1.845, "indirect")]
    [1.2122, 0.9436]
    """
    other = fixed_energy - energy if geometry == "direct" else fixed_energy + energy
    free = np.where(np.asarray(other) >= 0, wave_number(other), np.nan)
    fixed = np.broadcast_to(wave_number(fixed_energy), free.shape)
    return (fixed, free) if geometry == "direct" else (free, fixed)


def momentum_transfer(
    energy: np.ndarray | float,
    fixed_energy: np.ndarray | float,
    two_theta: np.ndarray | float,
    geometry: str = "direct",
) -> np.ndarray:
    """Return Q = √(kᵢ² + k_f² − 2 kᵢ k_f cos 2θ) in 1/angstrom.

    Parameters
    ----------
    energy : float or numpy.ndarray
        Energy transfer in meV, loss positive; broadcast against `two_theta`.
    fixed_energy : float or numpy.ndarray
        Incident energy (direct geometry) or final energy (indirect geometry), in meV.
    two_theta : float or numpy.ndarray
        Scattering angle in degrees.
    geometry : {"direct", "indirect"}
        Which energy is fixed.

    Returns
    -------
    numpy.ndarray
        NaN where a neutron cannot have the energy transfer.

    Examples
    --------
    >>> momentum_transfer(0.0, 81.8042, np.array([0.0, 60.0, 180.0])).round(4)
    array([ 0.    ,  6.2832, 12.5664])
    >>> momentum_transfer(np.array([0.4, -0.4]), 1.845, 100.0, "indirect").round(3)
    array([1.521, 1.364])
    """
    ki, kf = wave_numbers(np.asarray(energy, dtype=float), fixed_energy, geometry)
    # (kᵢ − k_f)² + 4 kᵢ k_f sin²θ does not cancel at small angles.
    Q: np.ndarray = np.sqrt(
        (ki - kf) ** 2 + 4 * ki * kf * np.sin(np.radians(two_theta) / 2) ** 2
    )
    return Q


class Curves:
    """Curves Q(2θ, E) of constant angle across bins of energy, in direct geometry.

    What a map from angle to Q needs of them is P(q) = ∫ min(q, Q(2θ, E)) dE over each
    bin: the area below the curve and below q. With E = Eᵢ − c k_f², c = ħ²/2m, dE = −2
    c k_f dk_f, and with m = kᵢ cos 2θ, s = kᵢ sin 2θ, u = k_f − m,

        ∫ Q k_f dk_f = Q³/3 + (m/2) [u Q + s² asinh(u/s)],

    and Q < q for k_f between m − √(q² − s²) and m + √(q² − s²): P is known in closed
    form.

    Parameters
    ----------
    two_theta : numpy.ndarray, shape (n,)
        Angles in degrees.
    edges : numpy.ndarray, shape (n_E + 1,)
        Edges of the energy bins in meV; beyond the incident energy there is nothing.
    incident_energy : float
        In meV.

    Attributes
    ----------
    lowest, highest : numpy.ndarray, shape (n, n_E)
        Range of Q of each curve in each bin.
    whole : numpy.ndarray, shape (n, n_E)
        ∫ Q dE over the bin.
    width : numpy.ndarray, shape (n_E,)
        Width of the bins, as far as they are allowed.
    """

    def __init__(
        self, two_theta: np.ndarray, edges: np.ndarray, incident_energy: float
    ) -> None:
        ki = float(wave_number(incident_energy))
        angle = np.radians(two_theta)
        self._m, self._s = ki * np.cos(angle), ki * np.sin(angle)
        allowed = np.minimum(edges, incident_energy)
        self._kf = wave_number(incident_energy - allowed)
        self.width = np.diff(allowed)
        m, s, kf = self._m[:, np.newaxis], self._s[:, np.newaxis], self._kf[np.newaxis]
        u = kf - m
        Q = np.sqrt(u * u + s * s)
        self.highest = np.maximum(Q[:, :-1], Q[:, 1:])
        # Where k_f passes kᵢ cos 2θ inside a bin the curve has its minimum, s, there.
        turns = (u[:, :-1] > 0) & (u[:, 1:] < 0)
        self.lowest = np.where(turns, s, np.minimum(Q[:, :-1], Q[:, 1:]))
        self.whole = (
            -2 * constants.HBAR2_OVER_2M * np.diff(_antiderivative(u, Q, m, s), axis=1)
        )

    def below(self, q: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return P(q) = ∫ min(q, Q) dE (meV/angstrom) of some curves and bins, given by flat index."""
        lowest, area = self.lowest.take(at), self.whole.take(at)
        under, over = q <= lowest, q >= self.highest.take(at)
        bin_ = at % self.width.size
        np.copyto(area, q * self.width.take(bin_), where=under)
        cross = np.flatnonzero(~(under | over))
        q, (curve, bin_) = q[cross], np.divmod(at[cross], self.width.size)
        m, s = self._m[curve], self._s[curve]
        h = np.sqrt((q - s) * (q + s))
        first = np.maximum(self._kf[bin_ + 1], m - h)
        last = np.maximum(np.minimum(self._kf[bin_], m + h), first)
        inside = [
            _antiderivative(k - m, np.sqrt((k - m) ** 2 + s * s), m, s)
            for k in (first, last)
        ]
        beyond = self.width[bin_] - constants.HBAR2_OVER_2M * (last - first) * (
            last + first
        )
        area[cross] = q * beyond + 2 * constants.HBAR2_OVER_2M * (inside[1] - inside[0])
        return area


def _antiderivative(
    u: np.ndarray, Q: np.ndarray, m: np.ndarray, s: np.ndarray
) -> np.ndarray:
    ratio = u / np.where(s > 0, s, 1.0)
    integral: np.ndarray = Q**3 / 3 + m / 2 * (u * Q + s * s * np.arcsinh(ratio))
    return integral
