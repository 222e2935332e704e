"""Curves of constant angle over the plane of E and Q, and the areas below them."""

from __future__ import annotations

import numpy as np

from xbp.core import constants
from xbp.reduction.kinematics import wave_number

__all__ = ["Curves"]


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
        """Return P(q) = ∫ min(q, Q) dE of curves and bins, given by flat index."""
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

    def beneath(
        self, q: np.ndarray, low: np.ndarray, high: np.ndarray, whole: np.ndarray
    ) -> np.ndarray:
        """Return the area below q of cells between two curves, `whole` if all is."""
        area = np.where(q >= self.highest.take(high), whole, 0.0)
        part = np.flatnonzero((area == 0) & (q > self.lowest.take(low)))
        q, low, high = q[part], low[part], high[part]
        area[part] = self.below(q, high) - self.below(q, low)
        return area


def _antiderivative(
    u: np.ndarray, Q: np.ndarray, m: np.ndarray, s: np.ndarray
) -> np.ndarray:
    ratio = u / np.where(s > 0, s, 1.0)
    integral: np.ndarray = Q**3 / 3 + m / 2 * (u * Q + s * s * np.arcsinh(ratio))
    return integral
