"""Where in a spectrum a boson peak is sought, and what tells a maximum from noise.

On plain arrays.
"""

from __future__ import annotations

import numpy as np
import scipy

__all__ = ["SIGNIFICANT", "WEIGHABLE", "peak_range", "scatter", "smoothed"]

# Standard deviations that tell a maximum from noise. Searching a whole spectrum for it
# takes more than one would for a single number, hence twice this for its height.
SIGNIFICANT = 2.5

# A rise by less than this part of a maximum is no other maximum, however small the
# noise.
_RIPPLE = 0.02

#: The square of what is beyond is no number any more: errors of 1e-320 or 1e300 are
#: none.
WEIGHABLE = (1e-150, 1e150)

# Bins of the running mean in which a top is sought.
_SMOOTHING = 3

# Reach of the running mean, as a part of the energy: of bins much narrower than a boson
# peak three are too few.
_REACH = 0.1


def scatter(y: np.ndarray) -> float:
    """Estimate the noise from the second differences, which a smooth spectrum hardly has."""
    bends = y[1:-1] - (y[2:] + y[:-2]) / 2
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(1.5))


def smoothed(y: np.ndarray) -> np.ndarray:
    """Return the running mean over three bins."""
    return np.convolve(
        np.pad(y, _SMOOTHING // 2, mode="edge"),
        np.ones(_SMOOTHING) / _SMOOTHING,
        mode="valid",
    )


def _smoothed_over_energy(
    x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the running mean within 10 % of each energy, at least of three bins, and the number of bins in it."""
    i = np.arange(x.size)
    first = np.maximum(np.minimum(np.searchsorted(x, x * (1 - _REACH)), i - 1), 0)
    last = np.minimum(
        np.maximum(np.searchsorted(x, x * (1 + _REACH), side="right"), i + 2), x.size
    )
    total = np.concatenate([[0.0], np.cumsum(y)])
    return (total[last] - total[first]) / (last - first), last - first


def peak_range(
    E: np.ndarray, B: np.ndarray, std: np.ndarray | None, depth: float = 0.5
) -> tuple[float, float] | None:
    """Find the range of the broadest interior maximum, where the user named none.

    The spectrum is smoothed over three bins, or a tenth of the energy to each side
    where these are more: a boson peak is broad, and finely stepped noise is not. The
    most prominent maximum above its noise counts. Each side of it ends where the
    spectrum rises again, above its noise and by 2 % of its prominence, and the range
    goes `depth` of the way down to the lowest there: a peak on a plateau, as on Debye's
    level, is fitted where it is, not with the plateau.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        Spectrum; E ≤ 0 and NaN are left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations.
    depth : float
        How far down each side the range goes, as a part of its descent.

    Returns
    -------
    tuple of float, or None
        Limits of the range, None where there is no interior maximum.
    """
    usable = np.isfinite(E) & (np.abs(B) < WEIGHABLE[1]) & (E > 0)
    if std is not None:
        usable &= (std > WEIGHABLE[0]) & (std < WEIGHABLE[1])
    x, y = E[usable], B[usable]
    if x.size < 5:
        return None
    smooth, n_smoothed = _smoothed_over_energy(x, y)
    least = 1e-3 * float(np.ptp(smooth))
    peaks, properties = scipy.signal.find_peaks(smooth, prominence=least)
    for i in np.argsort(-properties["prominences"], kind="stable"):
        top = int(peaks[i])
        # Noise as it is about this maximum: counting makes it another at every energy.
        near = (x > x[top] / 2) & (x < 2 * x[top])
        noise = (
            float(np.median(std[usable][near]))
            if std is not None
            else scatter(y[near] if near.sum() > 4 else y)
        )
        needed = max(2 * SIGNIFICANT * noise / np.sqrt(n_smoothed[top]), least)
        if properties["prominences"][i] >= needed:
            rise = max(needed, _RIPPLE * float(properties["prominences"][i]))
            left, right = (
                _foot(smooth[top::-1], rise, depth),
                _foot(smooth[top:], rise, depth),
            )
            return float(x[top - left]), float(x[top + right])
    return None


def _foot(side: np.ndarray, noise: float, depth: float) -> int:
    """Return how far a side of a peak goes `depth` of its way down, from its top on, before it rises again."""
    rises = np.flatnonzero(side > np.minimum.accumulate(side) + noise)
    descent = side[: rises[0]] if rises.size else side
    return int(
        np.argmax(descent <= side[0] - depth * (side[0] - max(descent.min(), 0.0)))
    )
