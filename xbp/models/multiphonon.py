"""Scattering by one and many phonons, incoherent approximation, on plain arrays.

    S(Q,E) = e^(−2W) Σ_n (2W)ⁿ/n! A_n(E),   2W = Q²u²,   A_0 = δ(E),
    A_1(E) = g(|E|) / [γ₀ E (1 − e^(−E/k_BT))],   A_n = A_1 ∗ A_(n−1),
    γ₀ = ∫₀^∞ g(E)/E coth(E/2k_BT) dE,   u² = γ₀ ħ²/2M.

Everything lives on a grid E_i = i·step, on which g is a density at points and A_n a
weight of each point. There the sums ∑A_n = 1 and ∑E A_1 = 1/γ₀ and detailed balance
hold to rounding, whatever the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import scipy

from xbp.core.errors import RangeError

__all__ = [
    "MAX_ORDERS",
    "Below",
    "Modes",
    "expansion",
    "law_variance",
    "onto_bins",
    "order_weights",
    "orders_needed",
    "summed_orders",
]

#: g(E) below the lowest energy at which it is known, in 2W and the convolutions.
Below = Literal["debye", "nothing"]


#: With more phonons at once the expansion takes too long.
MAX_ORDERS: Final = 200


@dataclass(frozen=True)
class Modes:
    """Modes on a uniform grid E_i = i·step, i = 0, 1, ...

    Attributes
    ----------
    step : float
        In meV.
    density : numpy.ndarray
        g(E_i) in 1/meV, of unit area.
    area : float
        Area of the input.
    extended : float
        Part of the area that lies below the lowest energy given.
    curvature : float
        g/E² at E = 0, in 1/meV³.
    kT : float
        In meV.
    """

    step: float
    density: np.ndarray
    area: float
    extended: float
    curvature: float
    kT: float

    @classmethod
    def of(
        cls,
        E: np.ndarray,
        g: np.ndarray,
        kT: float,
        *,
        below: Below,
        step: float | None = None,
    ) -> Modes:
        """Put g(E) on a uniform grid.

        Parameters
        ----------
        E : numpy.ndarray
            Ascending energies in meV; those at and below 0 are left out.
        g : numpy.ndarray
            Over E, of any scale; points that are NaN are left out, gaps between others
            bridged linearly. Above the highest it is 0.
        kT : float
            k_BT in meV.
        below : {"debye", "nothing"}
            g below the lowest point: a law of E² through the lowest three, or 0.
        step : float, optional
            By default the smallest distance of the energies, if all are its multiples;
            else half of it.

        Examples
        --------
        >>> E = np.arange(1, 31) * 1.0
        >>> Modes.of(E, E**2, 25.0, below="debye").step
        1.0
        """
        known = np.isfinite(g) & (E > 0)
        E, g = E[known], g[known]
        if step is None:
            step = grid_step(E)
        if E[-1] / step > 200_000:
            raise RangeError(
                f"an even grid up to {E[-1]:g} meV in steps of {step:g} meV has "
                f"{E[-1] / step:.2g} points; at most 200000 are allowed",
                fix="use coarser bins, data.bp.rebin(E='0.5 meV'), or raise the "
                "start of E_range",
            )
        grid = step * np.arange(int(np.floor(E[-1] / step + 1e-9)) + 1)
        law, lowest = 0.0, E[:3] ** 2
        if below == "debye":  # noise can be negative, this law cannot
            law = max(float((g[:3] * lowest).sum() / (lowest**2).sum()), 0.0)
        under = grid < E[0] * (1 - 1e-9)
        density = np.where(under, law * grid**2, np.interp(grid, E, g))
        area = float(density.sum() * step) or np.nan
        scaled, part = density / area, float(density[under].sum() * step) / area
        return cls(step, scaled, area, part, law / area, kT)

    @property
    def gamma(self) -> float:
        """γ₀ = ∫ g/E coth(E/2k_BT) dE, in 1/meV."""
        E = self.step * np.arange(1, self.density.size)
        total = (
            self.density[1:] / E / np.tanh(E / (2 * self.kT))
        ).sum() + self.curvature * self.kT
        return float(total * self.step)

    def one_phonon(self) -> np.ndarray:
        """Return the weights of A_1 at E_i, i = −n … n; their sum is 1."""
        E = self.step * np.arange(1, self.density.size)
        loss = self.density[1:] / E / -np.expm1(-E / self.kT)
        gain = loss * np.exp(-E / self.kT)
        return np.concatenate([gain[::-1], [self.curvature * self.kT], loss]) * (
            self.step / self.gamma
        )


def grid_step(E: np.ndarray) -> float:
    """Return the smallest distance of energies if all are its multiples, else half."""
    step = float(np.diff(E).min()) if E.size > 1 else float(E[0])
    on_grid = np.abs(E / step - np.round(E / step)).max() < 1e-6
    # Rounding of the distances would add up over the grid.
    return float(E[-1] / np.round(E[-1] / step)) if on_grid else step / 2


def law_variance(E: np.ndarray, g: np.ndarray, std: np.ndarray) -> float:
    """Return the variance of g/E² below its range, by how it varies above.

    The variance between half octaves over the first two octaves, less that of counting,
    times 2.5²: so far is the law at the end of the range from its mean below if g/E² is
    linear in log E. But no more than a parabola in E through the first octave, carried
    on, differs from the law, with twice its error.
    """
    half = np.floor(2 * np.log2(E / E[0]) + 1e-9) == np.arange(4)[:, np.newaxis]
    half = half[half.any(axis=1)]
    if len(half) < 2:
        return float("nan")
    norm = half @ E**4
    level, variance = half @ (g * E**2) / norm, half @ (E**2 * std) ** 2 / norm**2
    changes = 2.5**2 * max(float(level.var(ddof=1) - variance.mean()), 0.0)
    at = 2 * E[0] * (1 + 1e-9) >= E
    if np.count_nonzero(at) < 3:
        return changes
    # The mean of a parabola from 0 to E[0], by the numbers that it is drawn through.
    weight = 1 / np.arange(1, 4) @ np.linalg.pinv(np.vander(E[at] / E[0], 3)[:, ::-1])
    law = (g * E**2)[:3].sum() / (E[:3] ** 4).sum()
    carried = abs(weight @ (g / E**2)[at] - law)
    error = np.sqrt(((weight * (std / E**2)[at]) ** 2).sum())
    return min(changes, float(carried + 2 * error) ** 2)


def expansion(modes: Modes, orders: int) -> Iterator[np.ndarray]:
    """Yield the weights of A_0, A_1, ..., A_orders, on grids from −n·i_max to n·i_max.

    Only the side of energy loss is taken from the transform: the other follows from it
    by detailed balance, and keeps its relative precision however cold it is.

    Examples
    --------
    >>> E = np.arange(1, 31) * 1.0
    >>> [round(float(A.sum()), 12) for A in expansion(Modes.of(E, E**2, 25.0,
    ...     below="debye"), 3)]
    [1.0, 1.0, 1.0, 1.0]
    """
    first = modes.one_phonon()
    yield np.ones(1)
    yield first
    last = first
    for _ in range(orders - 1):
        # What scipy.signal.fftconvolve computes, without its checks, which take longer.
        size = last.size + first.size - 1
        n = scipy.fft.next_fast_len(size, real=True)
        product = scipy.fft.rfft(last, n) * scipy.fft.rfft(first, n)
        loss = np.maximum(scipy.fft.irfft(product, n)[size // 2 : size], 0.0)
        gain = loss[1:] * np.exp(-modes.step * np.arange(1, loss.size) / modes.kT)
        last = np.concatenate([gain[::-1], loss])
        yield last


def orders_needed(two_w: float, tolerance: float) -> int:
    """Return how many orders leave less than `tolerance` of ∫S dE out.

    P(N > n) of Poisson's law of mean 2W.

    Examples
    --------
    >>> orders_needed(1.0, 1e-6)
    9
    """
    counts = np.arange(1, MAX_ORDERS + 1)
    enough = np.flatnonzero(scipy.special.gammainc(counts + 1, two_w) < tolerance)
    return int(counts[enough[0]]) if enough.size else MAX_ORDERS + 1


def order_weights(two_w: np.ndarray, orders: int) -> np.ndarray:
    """Return (2W)ⁿ e^(−2W)/n! for n = 0 … orders, shape (..., orders + 1).

    Examples
    --------
    >>> order_weights(np.array([1.0]), 2).round(4)
    array([[0.3679, 0.3679, 0.1839]])
    """
    n = np.arange(orders + 1)
    w = np.asarray(two_w)[..., np.newaxis]
    return np.asarray(
        np.exp(scipy.special.xlogy(n, w) - w - scipy.special.gammaln(n + 1))
    )


def summed_orders(two_w: np.ndarray, phonons: np.ndarray, *, first: int) -> np.ndarray:
    """Return Σ_n e^(−2W) (2W)ⁿ/n! A_n for n = first, first + 1, ….

    Parameters
    ----------
    two_w : numpy.ndarray, shape (n_Q, 1) or (n_Q, n_E)
        2W, which may depend on E, as at one angle.
    phonons : numpy.ndarray, shape (n_orders, n_E)
        A_0, A_1, … over E.
    first : int
        The first order that counts.

    Examples
    --------
    >>> summed_orders(np.array([[1.0]]), np.ones((3, 2)), first=1).round(4)
    array([[0.5518, 0.5518]])
    """
    weight, total = np.exp(-two_w), np.zeros(1)
    for n, phonon in enumerate(phonons):
        if n > 0:
            weight = weight * two_w / n
        if n >= first:
            total = total + weight * phonon
    return total


def onto_bins(weights: np.ndarray, step: float, edges: np.ndarray) -> np.ndarray:
    """Return the mean density over bins of weights at i·step, i = −n … n.

    Each weight is spread evenly over one step.

    Examples
    --------
    >>> onto_bins(np.array([0.0, 1.0, 0.0]), 1.0, np.array([-0.5, 0.0, 2.0]))
    array([1.  , 0.25])
    """
    limits = step * (np.arange(weights.size + 1) - weights.size / 2)
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    return np.asarray(np.diff(np.interp(edges, limits, sums)) / np.diff(edges))
