"""u² from how spectra depend on Q, on plain arrays."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import scipy

__all__ = ["UNKNOWN", "FromQ", "displacement_of_Q"]


class FromQ(NamedTuple):
    """ln of u² from the Q dependence over u², with its standard deviation.

    NaN where it is not determined.
    """

    shift: float
    std: float
    blocks: int

    @property
    def beyond_chance(self) -> float:
        """The shift without the part due to chance.

        0 if chance gives such a shift in more than one of 40 cases.
        """
        square = (self.shift / self.std) ** 2 if self.std > 0 else 0.0
        # NaN, and so no shift, for fewer than two blocks.
        if not square > scipy.special.fdtri(1, self.blocks - 1, 39 / 40):
            return 0.0
        return float(self.shift * np.sqrt(1 - 1 / square))


UNKNOWN: Final = FromQ(np.nan, np.nan, 0)


@np.errstate(all="ignore")  # what is not determined is NaN
def displacement_of_Q(
    left: np.ndarray,
    std: np.ndarray,
    one: np.ndarray,
    by_u2: np.ndarray,
    weight: np.ndarray,
    Q: np.ndarray,
    *,
    blocks: int = 8,
) -> FromQ:
    r"""Find the change of ln u² that spectra ask for, with g free at each energy.

    A least-squares step: with weights w (of bins of Q, over the mean variance at their
    energy) and residuals R, in which c(E) is free,

    .. math:: \sum w\, [R - c(E)\, S_1 - \delta\, \partial S/\partial \ln u^2]^2 = \min

    The error is the larger of that of counting and of what blocks of spectra next to
    each other in Q contribute (H. White, Econometrica 48, 817 (1980)), so that peaks of
    S(Q), which all energies share, are no evidence.

    Parameters
    ----------
    left, std : numpy.ndarray, shape (n_Q, n_E)
        S(Q,E) without all its phonons, and standard deviations (NaN throughout if they
        are unknown).
    one, by_u2 : numpy.ndarray, shape (n_Q, n_E)
        One-phonon scattering S_1, and ∂S/∂ln u² of all phonons.
    weight, Q : numpy.ndarray, shape (n_Q, n_E)
        Weights (0 for missing values), and momentum transfers.
    blocks : int
        Number of blocks, at most one for each spectrum.

    Examples
    --------
    >>> Q = np.linspace(1, 6, 12)[:, np.newaxis] * np.ones(4)
    >>> def S(u2):
    ...     return Q**2 * np.exp(-u2 * Q**2)
    >>> of_Q = displacement_of_Q(S(0.0101) - S(0.01), 0 * Q + 0.1, S(0.01),
    ...     -0.01 * Q**2 * S(0.01), Q * 0 + 1, Q)
    >>> round(of_Q.shift, 4), round(of_Q.std, 4), of_Q.beyond_chance
    (0.01, 0.0119, 0.0)
    """
    used = weight > 0
    variance = np.where(used, std, 0.0) ** 2
    mean = variance.sum(axis=0) / used.sum(axis=0)
    if not np.isfinite(mean).any():
        mean = (weight * one).sum(axis=0) ** 2
    w = np.where(used & (mean > 0), weight / mean, 0.0)
    level = (w * one**2).sum(axis=0)
    left, by_u2 = (
        np.where(w > 0, part - one * (w * one * part).sum(axis=0) / level, 0.0)
        for part in (left, by_u2)
    )
    norm = (w * by_u2**2).sum()
    shift = (w * by_u2 * left).sum() / norm
    rows = np.flatnonzero(used.any(axis=1))
    place = (weight * Q).sum(axis=1)[rows] / weight.sum(axis=1)[rows]
    rows = rows[np.argsort(place, kind="stable")]
    n = min(blocks, rows.size)
    if n < 2:
        return UNKNOWN
    score = (w * by_u2 * (left - shift * by_u2)).sum(axis=1)
    sums = np.array([score[part].sum() for part in np.array_split(rows, n)])
    of_blocks = (sums**2).sum() * n / (n - 1)
    counting = np.nan_to_num((w * by_u2) ** 2 * variance).sum()
    error = np.sqrt(max(of_blocks, counting)) / norm
    return FromQ(float(shift), float(error), n)
