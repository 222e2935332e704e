"""Momentum transfer of a neutron, and what curved cells share with bins of Q and E.

k_i² = k_f² + E/c with c = ħ²/2m = 2.0721 meV Å². Q = √(k_i² + k_f² − 2 k_i k_f cos 2θ)
is symmetric in k_i and k_f, so that indirect geometry (k_f fixed) at E has the Q of
direct geometry (k_i fixed) at −E.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.optional import require

__all__ = [
    "Curves",
    "momentum_transfer",
    "overlap_sums",
    "wave_number",
    "wave_numbers",
]


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


def _antiderivative(
    u: np.ndarray, Q: np.ndarray, m: np.ndarray, s: np.ndarray
) -> np.ndarray:
    ratio = u / np.where(s > 0, s, 1.0)
    integral: np.ndarray = Q**3 / 3 + m / 2 * (u * Q + s * s * np.arcsinh(ratio))
    return integral


def overlap_sums(
    value: xr.DataArray,
    std: xr.DataArray | None,
    limits: np.ndarray,
    e_edges: np.ndarray,
    ei: float,
    q_edges: np.ndarray,
    factor: np.ndarray,
) -> Any:
    """Sum over the cells that reach into each bin of Q and E, by the area shared.

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
    why = "spectra in chunks are worked on as its tasks"
    dask, array = (require(name, why, "md") for name in ("dask", "dask.array"))
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
    # A dozen arrays of 50 000 cells keep to the cache.
    step = max(1, 50_000 // n_detector)
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
    """Yield cells, the bins of (Q, E) they reach into, shared areas, areas of cells.

    Each time, every cell moves on by one bin of Q, except those that end there.
    `limits` are the two curves of each detector, (2, n_detector).
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
