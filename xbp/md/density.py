"""Weighted densities ρ(Q) = Σ_j w_j exp(iQ·r_j) at allowed wave vectors, by the cheaper of two ways.

Many wave vectors: a non-uniform FFT. Real weights make ρ(−Q) the conjugate of ρ(Q), so
only half of the modes is computed: in slabs of h ≥ 0, each moved to the origin by a
phase on the weights. A slab spans no more of k and l than the sphere does there, and is
small enough to hold all frames of a segment. (Packing two real weights into one complex
transform of the full cube saves the same, but for even numbers of weights only.) Few
wave vectors: direct sums over tables of exp(2πi h x).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from xbp.core.errors import RangeError
from xbp.core.optional import require

__all__ = ["Precision", "Slab", "check_precision", "slabs"]

Precision = Literal["single", "double"]

#: Relative accuracy asked of the non-uniform FFT, and its types.
_ACCURACY = {
    "single": (1e-4, np.float32, np.complex64),
    "double": (1e-9, np.float64, np.complex128),
}
#: Densities of one slab over one segment are no more numbers than this: 512 MiB in
#: single precision.
_SLAB_VALUES = 2**26
#: Planes of constant h in a slab: fewer waste the oversampling, more do not fit in the
#: processor's cache.
_PLANES = 16
#: Nanoseconds, measured on one core (benchmarks/md.py): per atom and wave vector of a
#: direct sum, per point of the oversampled grid and per atom and point of the kernel of
#: a non-uniform FFT.
_DIRECT_COST = {"single": 3.2, "double": 7.0}
_GRID_COST = {"single": 7.0, "double": 25.0}
_SPREAD_COST = {"single": 250.0, "double": 2500.0}


def check_precision(precision: str) -> Precision:
    """Refuse a precision that is not known."""
    if precision not in get_args(Precision):
        raise RangeError(
            f"precision={precision!r} is not known",
            reason="densities are computed in single (1e-4) or double (1e-9) precision",
            fix="precision='single' or 'double'",
        )
    return "single" if precision == "single" else "double"


@dataclass(frozen=True)
class Slab:
    """Wave vectors whose densities are computed and held together.

    Attributes
    ----------
    index : numpy.ndarray of int, shape (n,)
        Which of all the wave vectors these are, ascending: sorted by shell as they are.
    hkl : numpy.ndarray of int, shape (n, 3)
    direct : bool
        Whether sums are cheaper than a transform.
    precision : {"single", "double"}
    """

    index: np.ndarray
    hkl: np.ndarray
    direct: bool
    precision: Precision

    def densities(
        self, n_frames: int, frames: Iterator[tuple[np.ndarray, np.ndarray]]
    ) -> np.ndarray:
        """Compute the densities of some frames.

        Parameters
        ----------
        n_frames : int
            How many there are.
        frames : iterator of (numpy.ndarray (3, n_atoms), numpy.ndarray (n_weights,
        n_atoms))
            Scaled positions and real weights of each.

        Returns
        -------
        numpy.ndarray of complex, shape (n_frames, n_weights, n)
        """
        return (
            self._sums(n_frames, frames)
            if self.direct
            else self._transforms(n_frames, frames)
        )

    def _transforms(
        self, n_frames: int, frames: Iterator[tuple[np.ndarray, np.ndarray]]
    ) -> np.ndarray:
        finufft = require(
            "finufft",
            "densities at many wave vectors are non-uniform Fourier transforms",
            "md",
        )
        accuracy, real, complex_ = _ACCURACY[self.precision]
        low, high = self.hkl.min(axis=0), self.hkl.max(axis=0)
        n_h = int(high[0] - low[0]) + 1
        # Modes of a transform of length n run from −(n//2): k and l need both signs, h
        # is moved there.
        reach = np.maximum(high[1:], -low[1:])
        shape = (n_h, *(_modes(2 * int(r) + 1) for r in reach))
        centre = int(low[0]) + n_h // 2
        place = np.ravel_multi_index(
            (
                self.hkl[:, 0] - low[0],
                self.hkl[:, 1] + shape[1] // 2,
                self.hkl[:, 2] + shape[2] // 2,
            ),
            shape,
        )
        out: np.ndarray | None = None
        for t, (scaled, weights) in zip(range(n_frames), frames, strict=False):
            if out is None:
                # The plan waits for the first frame, which tells the number of weights.
                n_weights = weights.shape[0]
                plan = finufft.Plan(
                    1,
                    shape,
                    n_weights,
                    accuracy,
                    isign=1,
                    dtype=complex_,
                    upsampfac=1.25,
                    nthreads=1,
                )
                out = np.empty((n_frames, n_weights, self.index.size), dtype=complex_)
                modes = np.empty(
                    shape if n_weights == 1 else (n_weights, *shape), dtype=complex_
                )
            # The fractional part first: in single precision a distant image of an atom
            # has no accurate phase.
            angle = 2 * np.pi * (scaled - np.floor(scaled))
            plan.setpts(*(np.ascontiguousarray(a, dtype=real) for a in angle))
            strength: np.ndarray = np.ascontiguousarray(
                weights * np.exp(1j * centre * angle[0]), dtype=complex_
            )
            plan.execute(strength[0] if n_weights == 1 else strength, out=modes)
            # Any mode but 'raise', which would go through a buffer; the places are
            # known to be inside.
            np.take(
                modes.reshape(n_weights, -1), place, axis=1, out=out[t], mode="clip"
            )
        assert out is not None
        return out

    def _sums(
        self, n_frames: int, frames: Iterator[tuple[np.ndarray, np.ndarray]]
    ) -> np.ndarray:
        _, real, complex_ = _ACCURACY[self.precision]
        low, high = self.hkl.min(axis=0), self.hkl.max(axis=0)
        columns = (self.hkl - low).T
        rows = max(1, 2**22 // max(1, self.index.size))
        out: np.ndarray | None = None
        for t, (scaled, weights) in zip(range(n_frames), frames, strict=False):
            if out is None:
                out = np.zeros(
                    (n_frames, weights.shape[0], self.index.size), dtype=complex_
                )
            for first in range(0, scaled.shape[1], rows):
                part = scaled[:, first : first + rows]
                tables: list[np.ndarray] = [
                    _powers(s, a, b).astype(complex_)
                    for s, a, b in zip(part, low, high, strict=True)
                ]
                phase = tables[0][columns[0]]
                phase *= tables[1][columns[1]]
                phase *= tables[2][columns[2]]
                out[t] += weights[:, first : first + rows].astype(real) @ phase.T
        assert out is not None
        return out


def _powers(scaled: np.ndarray, low: int, high: int) -> np.ndarray:
    """Return exp(2πi n x) for n = low … high, shape (high − low + 1, n_atoms), by multiplication."""
    base = np.exp(2j * np.pi * scaled)
    top = max(abs(low), abs(high))
    positive = np.multiply.accumulate(np.broadcast_to(base, (top, base.size)), axis=0)
    all_ = np.concatenate([positive[::-1].conj(), np.ones((1, base.size)), positive])
    return np.asarray(all_[top + low : top + high + 1])


def slabs(
    hkl: np.ndarray, n_atoms: int, n_weights: int, n_frames: int, precision: Precision
) -> list[Slab]:
    """Share wave vectors out so that one slab's densities over a segment fit in memory.

    Parameters
    ----------
    hkl : numpy.ndarray of int, shape (n, 3)
        Wave vectors with h ≥ 0.
    n_atoms, n_weights, n_frames : int
        Size of the problem.
    precision : {"single", "double"}
        Of the densities.

    Returns
    -------
    list of Slab
        Which together hold every wave vector once.
    """
    needed = int(np.ceil(hkl.shape[0] * n_weights * n_frames / _SLAB_VALUES))
    by_h = np.argsort(hkl[:, 0], kind="stable")
    direct = _direct_cost(hkl, n_atoms, precision) < _transform_cost(
        hkl, n_atoms, precision
    )
    if direct:
        groups = np.array_split(np.arange(hkl.shape[0]), needed)
    else:
        # Equal numbers of planes; the thickest part of the sphere holds half as much
        # again as the mean.
        planes = int(hkl[:, 0].max() - hkl[:, 0].min()) + 1
        parts = max(-(-planes // _PLANES), -(-3 * needed // 2))
        lowest = hkl[:, 0].min() + np.arange(1, parts) * planes // parts
        groups = np.split(by_h, np.searchsorted(hkl[by_h, 0], np.unique(lowest)))
    found = [np.sort(group) for group in groups if group.size]
    return [Slab(index, hkl[index], direct, precision) for index in found]


def _modes(n: int) -> int:
    """Return a number of modes, at least n, whose oversampled grid keeps out of step with the cache.

    finufft takes the next even number of factors 2, 3 and 5; multiples of 32 make
    strides that all fall on the same lines of the cache, which takes up to three times
    as long.
    """
    while True:
        grid = 2 * -(-5 * n // 8)
        while _largest_factor(grid) > 5:
            grid += 2
        if grid % 32:
            return n
        n += 2


def _largest_factor(n: int) -> int:
    for prime in (2, 3, 5):
        while n % prime == 0:
            n //= prime
    return n


def _direct_cost(hkl: np.ndarray, n_atoms: int, precision: Precision) -> float:
    return _DIRECT_COST[precision] * n_atoms * len(hkl)


def _transform_cost(hkl: np.ndarray, n_atoms: int, precision: Precision) -> float:
    grid = float(np.prod(1.25 * (hkl.max(axis=0) - hkl.min(axis=0) + 1) + 8))
    slabs_ = -(-(int(hkl[:, 0].max() - hkl[:, 0].min()) + 1) // _PLANES)
    return grid * _GRID_COST[precision] + slabs_ * _SPREAD_COST[precision] * n_atoms
