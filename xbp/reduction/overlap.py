"""What the curved cells of detectors and the bins of Q and E share, summed on plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.optional import require
from xbp.reduction.kinematics import Curves

__all__ = ["overlap_sums"]

# Cells of detectors and energies that are worked on at a time: a dozen arrays of this
# size keep to the cache.
_CELLS = 50_000


def overlap_sums(
    value: xr.DataArray,
    std: xr.DataArray | None,
    limits: np.ndarray,
    e_edges: np.ndarray,
    ei: float,
    q_edges: np.ndarray,
    factor: np.ndarray,
) -> Any:
    """Sum over the cells that reach into each bin of Q and E, weighted by the area shared.

    Parameters
    ----------
    value, std : xarray.DataArray, dims (..., detector, E)
        Spectra, and their standard deviations where these are known.
    limits : numpy.ndarray, shape (2, n_detector)
        The limits of each detector in 2θ, in degrees; NaN where it has no place.
    e_edges : numpy.ndarray, shape (n_E + 1,)
        Edges of the bins of E, in meV.
    ei : float
        Incident energy in meV.
    q_edges : numpy.ndarray, shape (n_Q + 1,)
        Edges of the bins of Q, in 1/angstrom.
    factor : numpy.ndarray, shape (n_E,)
        What every spectrum is multiplied by.

    Returns
    -------
    array, shape (4, ..., n_Q, n_E)
        Σ aS, Σ a, and of cells of the area A the variances Σ a²σ² of Σ aS, and Σ aAσ²,
        which is what sums over many bins are to be given; σ = 1 where it is not known.
        Of dask arrays lazily, chunk by chunk.
    """
    geometry = (e_edges, ei, q_edges, factor)
    if value.chunks is None:
        return _add_up(
            value.values, None if std is None else std.values, limits, *geometry
        )
    dask = require("dask", "spectra in chunks are worked on as its tasks", "md")
    array = require("dask.array", "spectra in chunks are worked on as its tasks", "md")
    single = {d: -1 for d in value.dims if d != "detector"}
    blocks = value.chunk(single).data
    stds = (
        None
        if std is None
        else std.chunk(dict(zip(value.dims, blocks.chunks, strict=True))).data
    )
    shape = (4, *value.shape[:-2], q_edges.size - 1, e_edges.size - 1)
    parts = []
    first = 0
    for size in blocks.chunks[-2]:
        here = (..., slice(first, first + size), slice(None))
        std_here = None if stds is None else stds[here]
        part = dask.delayed(_add_up)(
            blocks[here], std_here, limits[:, first : first + size], *geometry
        )
        parts.append(array.from_delayed(part, shape, dtype=float))
        first += size
    return array.stack(parts).sum(axis=0, split_every=4)


def _add_up(
    values: np.ndarray,
    std: np.ndarray | None,
    limits: np.ndarray,
    e_edges: np.ndarray,
    ei: float,
    q_edges: np.ndarray,
    factor: np.ndarray,
) -> np.ndarray:
    n_detector, n_e = values.shape[-2:]
    lead, n_q = values.shape[:-2], q_edges.size - 1
    flat = values.reshape(-1, n_detector, n_e)
    errors = None if std is None else std.reshape(flat.shape)
    placed = np.isfinite(limits).all(axis=0)[:, np.newaxis]
    out = np.zeros((4, flat.shape[0], n_q, n_e))
    angles, inverse = np.unique(np.where(placed.T, limits, 0.0), return_inverse=True)
    step = max(1, _CELLS // n_detector)
    for first in range(0, n_e, step):
        block = slice(first, min(first + step, n_e))
        n_bins = n_q * (block.stop - first)
        scaled = flat[..., block] * factor[block]
        sigma = None if errors is None else errors[..., block] * factor[block]
        seen = np.isfinite(scaled).any(axis=0) & placed
        sums = np.zeros((4, flat.shape[0], n_bins))
        for cell, bin_, area, cell_area in _overlaps(
            Curves(angles, e_edges[first : block.stop + 1], ei),
            inverse.reshape(limits.shape),
            q_edges,
            seen,
        ):
            for i in range(flat.shape[0]):
                numbers = scaled[i].reshape(-1).take(cell)
                whole = np.isfinite(numbers)
                weight = np.where(whole, area, 0.0)
                sums[0, i] += np.bincount(
                    bin_, weight * np.where(whole, numbers, 0.0), n_bins
                )
                sums[1, i] += np.bincount(bin_, weight, n_bins)
                spread = weight
                if sigma is not None:
                    spread = (
                        weight
                        * np.where(whole, sigma[i].reshape(-1).take(cell), 0.0) ** 2
                    )
                sums[2, i] += np.bincount(bin_, area * spread, n_bins)
                sums[3, i] += np.bincount(bin_, cell_area * spread, n_bins)
        out[..., block] = sums.reshape(4, -1, n_q, block.stop - first)
    return out.reshape(4, *lead, n_q, n_e)


def _overlaps(
    curves: Curves, limits: np.ndarray, q_edges: np.ndarray, seen: np.ndarray
) -> Iterator[tuple[Any, ...]]:
    """Yield cells, the bins of (Q, E) they reach into, the areas they share, and the areas of the cells.

    Each time round every cell has moved on by one bin of Q; those that end there are
    left behind. `limits` are the two curves of each detector, (2, n_detector).
    """
    n_e, n_q = curves.width.size, q_edges.size - 1
    cell = np.flatnonzero(seen & (curves.width > 0))
    detector, energy = np.divmod(cell, n_e)
    low, high = limits[0][detector] * n_e + energy, limits[1][detector] * n_e + energy
    cell_area = curves.whole.take(high) - curves.whole.take(low)
    q = np.maximum(
        np.searchsorted(q_edges, curves.lowest.take(low), side="right") - 1, 0
    )
    last = np.minimum(
        np.searchsorted(q_edges, curves.highest.take(high), side="left"), n_q
    )
    inside = q < last
    cell, energy, low, high, q, last, cell_area = (
        a[inside] for a in (cell, energy, low, high, q, last, cell_area)
    )
    before = curves.below(q_edges[q], high) - curves.below(q_edges[q], low)
    while cell.size:
        up_to = curves.below(q_edges[q + 1], high) - curves.below(q_edges[q + 1], low)
        yield cell, q * n_e + energy, np.maximum(up_to - before, 0.0), cell_area
        more = np.flatnonzero(q + 1 < last)
        cell, energy, low, high, q, last, cell_area, before = (
            a.take(more)
            for a in (cell, energy, low, high, q + 1, last, cell_area, up_to)
        )
