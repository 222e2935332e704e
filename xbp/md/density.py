"""Weighted densities ρ(Q) = Σ_j w_j exp(iQ·r_j) and their correlations in time.

A density is computed in the cheaper of two ways. Many wave vectors: a non-uniform FFT.
Real weights make ρ(−Q) the conjugate of ρ(Q), so only half of the modes is computed: in
slabs of h ≥ 0, each moved to the origin by a phase on the weights. A slab spans no more
of k and l than the sphere does there, and is small enough to hold all frames of a
segment. (Packing two real weights into one complex transform of the full cube saves the
same, but for even numbers of weights only.) Few wave vectors: direct sums over tables
of exp(2πi h x).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from xbp.core.errors import require
from xbp.md.plan import Precision
from xbp.md.trajectory import Block
from xbp.md.wavevectors import Shells

__all__ = [
    "Combine",
    "Slab",
    "Task",
    "longitudinal_transverse",
    "mean_static",
    "pairs",
    "segment_correlations",
    "self_correlations",
    "slabs",
    "squares",
]

#: Scaled positions (3, n_atoms) and real weights (n_weights, n_atoms) of frames.
Frames = Iterator[tuple[np.ndarray, np.ndarray]]
#: Spectra (n_frequencies, n_weights, n_Q) and directions (n_Q, 3) → real powers
#: (n_rows, n_frequencies, n_Q).
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Relative accuracy asked of the non-uniform FFT, and its types.
_ACCURACY = {
    "single": (1e-4, np.float32, np.complex64),
    "double": (1e-9, np.float64, np.complex128),
}
#: Planes of constant h in a slab: fewer waste the oversampling, more do not fit in the
#: processor's cache.
_PLANES = 16
#: Products of atoms and wave vectors that a direct sum forms at a time.
_PRODUCTS = 2**15
#: Grid points of a slab that does not fit in the cache (128 MiB in single precision).
_GRID_POINTS = 2**24
#: Nanoseconds, measured on one core (benchmarks/md.py): per atom and wave vector of a
#: direct sum, per point of the oversampled grid and per atom and point of the kernel of
#: a non-uniform FFT.
_DIRECT_COST = {"single": 3.2, "double": 7.0}
_GRID_COST = {"single": 7.0, "double": 25.0}
_SPREAD_COST = {"single": 250.0, "double": 2500.0}


@dataclass(frozen=True)
class Slab:
    """Wave vectors whose densities are computed and kept together.

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

    def densities(self, n_frames: int, frames: Frames) -> np.ndarray:
        """Compute the densities of the next frames, shape (n_frames, n_weights, n)."""
        make = self._sums if self.direct else self._transforms
        return make(n_frames, frames)

    def _transforms(self, n_frames: int, frames: Frames) -> np.ndarray:
        finufft = require(
            "finufft",
            "compute densities at many wave vectors",
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
        origin = np.array([-low[0], shape[1] // 2, shape[2] // 2])
        place = np.ravel_multi_index(tuple((self.hkl + origin).T), shape)
        out: np.ndarray | None = None
        for t, (scaled, weights) in zip(range(n_frames), frames, strict=False):
            if out is None:
                # The plan waits for the first frame, which shows the number of weights.
                n_weights = weights.shape[0]
                plan = finufft.Plan(
                    1, shape, n_weights, accuracy, isign=1, dtype=complex_,
                    upsampfac=1.25, nthreads=1,
                )  # fmt: skip
                out = np.empty((n_frames, n_weights, self.index.size), dtype=complex_)
                several = shape if n_weights == 1 else (n_weights, *shape)
                modes = np.empty(several, dtype=complex_)
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
            rows = modes.reshape(n_weights, -1)
            np.take(rows, place, axis=1, out=out[t], mode="clip")
        assert out is not None
        return out

    def _sums(self, n_frames: int, frames: Frames) -> np.ndarray:
        _, real, complex_ = _ACCURACY[self.precision]
        top = np.abs(self.hkl).max(axis=0)
        columns = (self.hkl + top).T
        # Products of some atoms and some wave vectors stay in the processor's cache.
        few = max(256, _PRODUCTS // self.index.size)
        several = max(1, _PRODUCTS // few)
        products: np.ndarray = np.empty((2, few * several), dtype=complex_)
        out: Any = 0.0
        for group in _grouped(itertools.islice(frames, n_frames), few, few):
            scaled = np.concatenate([one for _, one, _ in group], axis=1)
            base = np.exp(2j * np.pi * scaled)
            tables = [
                _powers(b, n, complex_) for b, n in zip(base, top.tolist(), strict=True)
            ]
            if not np.ndim(out):
                shape = (n_frames, len(group[0][2]), self.index.size)
                out = np.zeros(shape, dtype=complex_)
            for begin in range(0, self.index.size, several):
                part = slice(begin, begin + several)
                size = (columns[0][part].size, scaled.shape[1])
                h, k = (flat[: size[0] * size[1]].reshape(size) for flat in products)
                _rows_of(tables[0], columns[0][part], h)
                for table, column in zip(tables[1:], columns[1:], strict=True):
                    h *= _rows_of(table, column[part], k)
                first = 0
                for t, one, weights in group:
                    atoms = slice(first, first + one.shape[1])
                    out[t, :, part] += weights.astype(real) @ h[:, atoms].T
                    first = atoms.stop
        return np.asarray(out)


def _grouped(
    frames: Frames, few: int, most: int
) -> Iterator[list[tuple[int, np.ndarray, np.ndarray]]]:
    """Put small frames together, up to `few` atoms, and divide those beyond `most`.

    Each with the number of its frame. Together they share the cost of calls.
    """
    group: list[tuple[int, np.ndarray, np.ndarray]] = []
    room = few
    for t, (scaled, weights) in enumerate(frames):
        for first in range(0, n_atoms := scaled.shape[1], most):
            if group and n_atoms > room:
                yield group
                group, room = [], few
            atoms = slice(first, first + most)
            group.append((t, scaled[:, atoms], weights[:, atoms]))
            room -= n_atoms
    if group:
        yield group


def _rows_of(table: np.ndarray, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
    # Any mode but 'raise', which would go through a buffer.
    return np.take(table, rows, axis=0, out=out, mode="clip")


def _powers(base: np.ndarray, top: int, dtype: Any) -> np.ndarray:
    """Return base^n of numbers on the unit circle, n = −top … top, one in each row."""
    half = np.empty((top + 1, base.size), dtype=complex)
    half[:1], half[1:2], known = 1, base, 1
    while known < top:
        # Twice as many at a time: errors of rounding grow with the logarithm of n.
        more = min(known, top - known)
        to = slice(known + 1, known + more + 1)
        np.multiply(half[1 : more + 1], half[known], out=half[to])
        known += more
    powers = np.empty((2 * top + 1, base.size), dtype=dtype)
    powers[top:] = half
    np.conj(powers[:top:-1], out=powers[:top])
    return powers


def slabs(
    hkl: np.ndarray,
    n_atoms: int,
    n_weights: int,
    n_frames: int,
    precision: Precision,
    *,
    most: int = 2**26,
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
    most : int
        Largest number of densities of a slab over a segment; the default is 512 MiB in
        single precision.

    Returns
    -------
    list of Slab
        Which together contain every wave vector once.
    """
    needed = int(np.ceil(hkl.shape[0] * n_weights * n_frames / most))
    planes = int(np.ptp(hkl[:, 0])) + 1
    grid = float(np.prod(1.25 * (np.ptp(hkl, axis=0) + 1) + 8))
    spread = _SPREAD_COST[precision] * n_atoms
    thin = -(-planes // _PLANES)
    parts = max(thin, needed, 2)  # two at least: each has half of the grid
    if thin > 1 and spread > 4 * grid * _GRID_COST[precision] * _PLANES / planes:
        # Each slab spreads all atoms, which costs far more than to leave the cache.
        parts = thin = max(
            -(-planes // max(1, int(_GRID_POINTS * planes / grid))), needed
        )
    transform = grid * _GRID_COST[precision] + thin * spread
    direct = _DIRECT_COST[precision] * n_atoms * len(hkl) < transform
    if direct:
        groups = np.array_split(np.arange(hkl.shape[0]), needed)
    else:
        groups = _layers(hkl[:, 0], parts, most // (n_weights * n_frames))
    found = [np.sort(group) for group in groups if group.size]
    return [Slab(index, hkl[index], direct, precision) for index in found]


def _layers(h: np.ndarray, parts: int, most: int) -> list[np.ndarray]:
    """Share planes of constant h out, equally.

    If one part were to have more than `most` wave vectors, all get about as many.
    """
    order = np.argsort(h, kind="stable")
    lowest, planes = int(h.min()), int(np.ptp(h)) + 1
    ends = lowest + np.arange(1, parts) * planes // parts
    groups = np.split(order, np.searchsorted(h[order], np.unique(ends)))
    if max(group.size for group in groups) > most:
        ends = h[order[np.arange(1, parts) * h.size // parts]]
        groups = np.split(order, np.searchsorted(h[order], np.unique(ends)))
    return groups


def _modes(n: int) -> int:
    """Return a number of modes, at least n, whose oversampled grid suits the cache.

    finufft takes the next even number of factors 2, 3 and 5; multiples of 32 make
    strides that all fall on the same lines of the cache, which takes up to three times
    as long.
    """
    while True:
        grid = 2 * scipy.fft.next_fast_len(-(-5 * n // 8), real=True)
        if grid % 32:
            return n
        n += 2


@dataclass(frozen=True)
class Task:
    """What is computed of a run of half-overlapping segments.

    Attributes
    ----------
    taper : numpy.ndarray, shape (n_frames,)
        Weight of each frame of a segment.
    weights : callable
        Block → iterator over frames of the weights, (n_weights, n_atoms).
    n_weights : int
    combine : callable
        What is made of the spectra of all weights at one wave vector.
    precision : {"single", "double"}
    """

    taper: np.ndarray
    weights: Callable[[Block], Iterator[np.ndarray]]
    n_weights: int
    combine: Combine
    precision: Precision


def pairs(spectra: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return Re ρ_a ρ_b* of pairs a ≤ b of weights, which the mean over ±Q leaves."""
    a, b = np.triu_indices(spectra.shape[1])
    if a.size == 1:
        return np.asarray((spectra.real**2 + spectra.imag**2)[:, 0][None])
    left, right = spectra[:, a], spectra[:, b]
    powers = left.real * right.real + left.imag * right.imag
    return np.asarray(np.moveaxis(powers, 1, 0))


def squares(spectra: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the power of every one of the weights."""
    return np.asarray(np.moveaxis(spectra.real**2 + spectra.imag**2, 1, 0))


def longitudinal_transverse(
    spectra: np.ndarray, directions: np.ndarray, transverse: int
) -> np.ndarray:
    """Return the power of a current along Q, and per direction across it."""
    along = np.einsum("wcq,qc->wq", spectra, directions.astype(spectra.real.dtype))
    longitudinal = along.real**2 + along.imag**2
    total = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    return np.stack([longitudinal, (total - longitudinal) / transverse])


def segment_correlations(
    block: Block, starts: list[int], task: Task, shells: Shells
) -> np.ndarray:
    r"""Correlate weighted densities in time, over segments of a block.

    .. math:: c_{ab}(Q,\tau) = \Big\langle \sum_t h_{t+\tau} h_t\, \mathrm{Re}\,
              \rho_a(\mathbf Q,t+\tau)\,\rho_b^*(\mathbf Q,t) \Big\rangle_{|\mathbf
              Q|=Q}

    Parameters
    ----------
    block : Block
        Frames of all the segments.
    starts : list of int
        First frame of each segment within the block, ascending.
    task : Task
        What to compute.
    shells : Shells
        The wave vectors.

    Returns
    -------
    numpy.ndarray, shape (n_segments, n_rows, n_shells, n_frames)
        For τ = 0 … n_frames−1 steps. The transform is padded with zeros, so nothing
        wraps around.
    """
    length = task.taper.size
    n_fft = scipy.fft.next_fast_len(2 * length - 1)
    block = block.at_rest()
    whole = block.resting() if block.fits else None
    to_mean = shells.sum_to_mean()
    answer: Any = None
    for slab in _slabs(shells, block, task, length):
        shell, direction = shells.shell[slab.index], shells.direction[slab.index]
        frames = itertools.islice(_frames(block, whole, task), starts[0], None)
        density: Any = None
        done = starts[0]
        for number, start in enumerate(starts):
            # Frames shared with the segment before are not computed again.
            new = slab.densities(start + length - done, frames)
            if density is None:
                density = new
            else:
                density[: length - len(new)] = density[len(new) :]
                density[length - len(new) :] = new
            done = start + length
            power = _power(density, task, n_fft, shells.Q.size, shell, direction)
            if answer is None:
                answer = np.zeros((len(starts), len(power), shells.Q.size, length))
            present = np.unique(shell)
            lags = scipy.fft.irfft(power[:, present], n=n_fft, axis=-1)[..., :length]
            answer[number][:, present] += lags * to_mean[present, None]
    return np.asarray(answer)


def _frames(block: Block, whole: np.ndarray | None, task: Task) -> Frames:
    """Yield the frames of a block: of `whole`, or read in parts."""
    for piece in block.pieces():
        scaled = piece.resting() if whole is None else whole
        yield from zip(scaled, task.weights(piece), strict=False)


def _slabs(shells: Shells, block: Block, task: Task, n_frames: int) -> list[Slab]:
    sizes = block.n_atoms, task.n_weights, n_frames
    return slabs(shells.hkl, *sizes, task.precision)


def _power(
    density: np.ndarray,
    task: Task,
    n_fft: int,
    n_shells: int,
    shell: np.ndarray,
    direction: np.ndarray,
) -> np.ndarray:
    """Sum power spectra over each shell, shape (n_rows, n_shells, n_fft//2 + 1)."""
    taper = task.taper.astype(density.real.dtype)[:, None, None]
    total: Any = None
    # As many wave vectors at a time as stay in the processor's cache.
    chunk = max(16, 2**18 // (n_fft * task.n_weights))
    for first in range(0, shell.size, chunk):
        part = slice(first, first + chunk)
        spectra = scipy.fft.fft(
            density[:, :, part] * taper, n=n_fft, axis=0, overwrite_x=True
        )
        power = task.combine(spectra, direction[part])
        present, begin = np.unique(shell[part], return_index=True)
        summed = np.add.reduceat(power, begin, axis=-1)
        summed = np.moveaxis(summed, 1, -1).astype(float)
        # −Q has the spectrum of Q at the opposite frequency.
        folded = summed[..., : n_fft // 2 + 1].copy()
        folded[..., 1:] += summed[..., -1 : -(n_fft // 2) - 1 : -1]
        folded[..., 1:] /= 2
        if total is None:
            total = np.zeros((len(power), n_shells, n_fft // 2 + 1))
        total[:, present] += folded
    return np.asarray(total)


def mean_static(block: Block, task: Task, shells: Shells) -> np.ndarray:
    """Average Re ρ_a ρ_b* over frames and each shell, shape (n_rows, n_shells)."""
    scaled = block.scaled()
    n_frames = scaled.shape[0]
    to_mean = shells.sum_to_mean()
    answer: Any = 0.0
    for slab in _slabs(shells, block, task, n_frames):
        shell, direction = shells.shell[slab.index], shells.direction[slab.index]
        frames = zip(scaled, task.weights(block), strict=False)
        power = task.combine(slab.densities(n_frames, frames), direction)
        rows = power.sum(axis=1, dtype=float)
        sums = [np.bincount(shell, row, minlength=shells.Q.size) for row in rows]
        answer = answer + np.stack(sums) * to_mean / n_frames
    return np.asarray(answer)


def self_correlations(
    block: Block, starts: list[int], task: Task, shells: Shells, origin_step: int
) -> np.ndarray:
    r"""Correlate every atom with itself.

    F_s = ⟨Σ_j w_j exp(iQ·(r_j(t+τ) − r_j(t)))⟩ over t and shells.

    At one τ this is a density, of the displacements instead of the positions, so that
    all wave vectors cost one transform.

    Parameters
    ----------
    block, starts, task, shells
        As for `segment_correlations`; the weights must not depend on time, the taper is
        not used.
    origin_step : int
        Frames between the times t.

    Returns
    -------
    numpy.ndarray, shape (n_segments, n_rows, n_shells, n_frames)
        One row for each of the weights.
    """
    length = task.taper.size
    weights = next(task.weights(block))
    to_mean = shells.sum_to_mean()
    answer = np.zeros((len(starts), task.n_weights, shells.Q.size, length))

    def displacements(segment: np.ndarray, own: np.ndarray) -> Frames:
        for lag in range(length):
            origins = np.arange(0, length - lag, origin_step)
            moved = segment[origins + lag] - segment[origins]
            mean = np.tile(own / origins.size, origins.size)
            yield moved.swapaxes(0, 1).reshape(3, -1), mean

    for atoms, group in block.at_rest().groups():
        scaled, own = group.resting(), weights[:, atoms]
        n_points = scaled.shape[2] * -(-length // origin_step)
        for slab in slabs(shells.hkl, n_points, task.n_weights, length, task.precision):
            shell = shells.shell[slab.index]
            present, begin = np.unique(shell, return_index=True)
            for number, start in enumerate(starts):
                frames = displacements(scaled[start : start + length], own)
                density = slab.densities(length, frames).real
                summed = np.add.reduceat(density, begin, axis=-1, dtype=float)
                summed = np.moveaxis(summed * to_mean[present], 0, -1)
                answer[number][:, present] += summed
    # At τ = 0 all displacements are zero and the answer is known: what the transform
    # errs there, it errs for all small displacements.
    return np.asarray(answer * (weights.sum(axis=1)[:, None, None] / answer[..., :1]))
