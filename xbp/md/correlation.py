"""Time correlations of weighted densities, averaged over shells of wave vectors, segment by segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from xbp.md.density import Precision, slabs
from xbp.md.trajectory import Block
from xbp.md.wavevectors import Shells

__all__ = [
    "Combine",
    "Task",
    "longitudinal_transverse",
    "mean_static",
    "pairs",
    "segment_correlations",
    "self_correlations",
]

#: Spectra (n_frequencies, n_weights, n_Q) and directions (n_Q, 3) → real powers
#: (n_rows, n_frequencies, n_Q).
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Numbers in the spectra formed at a time: few enough to stay in the processor's cache.
_CHUNK_VALUES = 2**18


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
    """Combine every pair a ≤ b of weights.

    Re ρ_a ρ_b*, which is what the average over ±Q leaves.
    """
    a, b = np.triu_indices(spectra.shape[1])
    if a.size == 1:
        return np.asarray((spectra.real**2 + spectra.imag**2)[:, 0][None])
    left, right = spectra[:, a], spectra[:, b]
    return np.asarray(
        np.moveaxis(left.real * right.real + left.imag * right.imag, 1, 0)
    )


def longitudinal_transverse(spectra: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Combine the components of a current.

    Along Q, and half of the rest (one transverse direction's share).
    """
    along = np.einsum("wcq,qc->wq", spectra, directions.astype(spectra.real.dtype))
    longitudinal = along.real**2 + along.imag**2
    total = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    return np.stack([longitudinal, (total - longitudinal) / 2])


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
    scaled = block.resting()
    to_mean = shells.sum_to_mean()
    answer: np.ndarray | None = None
    for slab in slabs(
        shells.hkl, scaled.shape[2], task.n_weights, length, task.precision
    ):
        shell, direction = shells.shell[slab.index], shells.direction[slab.index]
        held: np.ndarray | None = None
        done = starts[0]
        frames = zip(scaled[done:], _skip(task.weights(block), done), strict=False)
        for number, start in enumerate(starts):
            # Frames that this segment shares with the one before are not computed
            # again.
            new = slab.densities(start + length - done, frames)
            if held is None:
                held = new
            else:
                held[: length - new.shape[0]] = held[new.shape[0] :]
                held[length - new.shape[0] :] = new
            done = start + length
            power = _power(held, task, n_fft, shells.Q.size, shell, direction)
            if answer is None:
                answer = np.zeros((len(starts), power.shape[0], shells.Q.size, length))
            present = np.unique(shell)
            answer[number][:, present] += (
                scipy.fft.irfft(power[:, present], n=n_fft, axis=-1)[..., :length]
                * to_mean[present, None]
            )
    assert answer is not None
    return answer


def _skip(frames: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    for _ in range(n):
        next(frames)
    return frames


def _power(
    held: np.ndarray,
    task: Task,
    n_fft: int,
    n_shells: int,
    shell: np.ndarray,
    direction: np.ndarray,
) -> np.ndarray:
    """Sum power spectra over the wave vectors of each shell, shape (n_rows, n_shells, n_fft//2 + 1)."""
    taper = task.taper.astype(held.real.dtype)[:, None, None]
    total: np.ndarray | None = None
    chunk = max(16, _CHUNK_VALUES // (n_fft * task.n_weights))
    for first in range(0, shell.size, chunk):
        part = slice(first, first + chunk)
        spectra = scipy.fft.fft(
            held[:, :, part] * taper, n=n_fft, axis=0, overwrite_x=True
        )
        power = task.combine(spectra, direction[part])
        present, begin = np.unique(shell[part], return_index=True)
        summed = np.moveaxis(np.add.reduceat(power, begin, axis=-1), 1, -1).astype(
            float
        )
        # −Q has the spectrum of Q at the opposite frequency.
        folded = summed[..., : n_fft // 2 + 1].copy()
        folded[..., 1:] += summed[..., -1 : -(n_fft // 2) - 1 : -1]
        folded[..., 1:] /= 2
        if total is None:
            total = np.zeros((power.shape[0], n_shells, n_fft // 2 + 1))
        total[:, present] += folded
    assert total is not None
    return total


def mean_static(block: Block, task: Task, shells: Shells) -> np.ndarray:
    """Average Re ρ_a ρ_b* over the frames of a block and the vectors of each shell, shape (n_rows, n_shells)."""
    scaled = block.scaled()
    n_frames = scaled.shape[0]
    to_mean = shells.sum_to_mean()
    answer: Any = 0.0
    for slab in slabs(
        shells.hkl, scaled.shape[2], task.n_weights, n_frames, task.precision
    ):
        shell, direction = shells.shell[slab.index], shells.direction[slab.index]
        held = slab.densities(n_frames, zip(scaled, task.weights(block), strict=False))
        power = task.combine(held, direction).sum(axis=1, dtype=float)
        sums = [np.bincount(shell, row, minlength=shells.Q.size) for row in power]
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
    scaled = block.resting()
    weights = next(task.weights(block))
    to_mean = shells.sum_to_mean()
    answer = np.zeros((len(starts), task.n_weights, shells.Q.size, length))

    def displacements(start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        segment = scaled[start : start + length]
        for lag in range(length):
            origins = np.arange(0, length - lag, origin_step)
            moved = segment[origins + lag] - segment[origins]
            yield (
                np.concatenate(list(moved), axis=1),
                np.tile(weights, origins.size) / origins.size,
            )

    n_points = scaled.shape[2] * -(-length // origin_step)
    for slab in slabs(shells.hkl, n_points, task.n_weights, length, task.precision):
        shell = shells.shell[slab.index]
        present, begin = np.unique(shell, return_index=True)
        for number, start in enumerate(starts):
            density = slab.densities(length, displacements(start)).real
            summed = (
                np.add.reduceat(density, begin, axis=-1, dtype=float) * to_mean[present]
            )
            answer[number][:, present] += np.moveaxis(summed, 0, -1)
    # At τ = 0 all displacements are zero and the answer is known: what the transform
    # errs there, it errs for all small displacements.
    return np.asarray(answer * (weights.sum(axis=1)[:, None, None] / answer[..., :1]))
