"""The iteration g → 2W → multiphonon scattering → g, on plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from xbp import constants
from xbp.models.factors import thermal_factor
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    grid_step,
    onto_bins,
    order_weights,
    orders_needed,
)
from xbp.status import FAILED, NO_DATA, NO_SCATTERING, NOT_CONVERGED, OK

__all__ = ["STATUSES", "Inversion", "Solution"]

STATUSES: Final = (OK, NO_DATA, FAILED, NOT_CONVERGED, NO_SCATTERING)
_NO_DATA, _FAILED, _NOT_CONVERGED, _NO_SCATTERING = 1, 2, 3, 4

_ORDERS_TOLERANCE: Final = 1e-6
_MAX_ITERATIONS: Final = 100
# Phonons end where g falls below this part of its maximum for good; what a background leaves beyond is less.
_PHONONS_END: Final = 0.1


@dataclass(frozen=True)
class Solution:
    """What the iteration ended with; the densities are over the bins E > 0, `many` is over all.

    `code` is a place in `STATUSES`; `many` is N(1+C) Σ S_n of two and more phonons, in the units of S; the others as
    `xbp.to_vibrational_dos` returns them.
    """

    g: np.ndarray
    g_std: np.ndarray
    u2: float
    many: np.ndarray
    code: int
    iterations: int
    change: float
    orders: int
    scale: float
    constant: float
    extended: float
    highest: float

    @classmethod
    def none(cls, n: int, shape: tuple[int, ...], code: int, iterations: int) -> Solution:
        """Return that there is none."""
        nothing, x = np.full(n, np.nan), np.nan
        return cls(nothing, nothing, x, np.full(shape, np.nan), code, iterations, x, 0, x, x, x, x)


@dataclass(frozen=True)
class Inversion:
    """The grid of maps that are to be inverted.

    Attributes
    ----------
    E, edges : numpy.ndarray, shape (n_E,) and (n_E + 1,)
        Centres and edges of the bins in meV.
    Q, weight : numpy.ndarray, shape (n_Q,)
        Momentum transfers in 1/angstrom, and how much each counts; 0 leaves it out.
    used : numpy.ndarray of bool, shape (n_E,)
        Bins in which g is found, all of E > 0.
    beyond : numpy.ndarray of bool, shape (n_E,)
        Bins without phonons, from which C is told; none where it is given.
    constant : float
        C, where it is given.
    per_gamma : float
        ħ²/2M in meV angstrom²; NaN where u² is given instead.
    below : {"debye", "nothing"}
        What stands in for g below `used`.
    tolerance : float
        Largest change of g, as a part of its maximum, that ends the iteration.
    """

    E: np.ndarray
    edges: np.ndarray
    Q: np.ndarray
    weight: np.ndarray
    used: np.ndarray
    beyond: np.ndarray
    constant: float
    per_gamma: float
    below: Below
    tolerance: float

    @property
    def positive(self) -> np.ndarray:
        """Bins of the answer."""
        return self.E > 0

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is found by nobody, and has a status
    def solve(self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float) -> Solution:
        """Iterate until g stays; where a C that is sought takes all there is, tell where the phonons end without it.

        Parameters and result as of `iterate`.
        """
        end = self.iterate(S, std, kelvin, u2)
        if not self.beyond.any() or end.code not in (_FAILED, _NOT_CONVERGED):
            return end
        without = replace(self, beyond=np.zeros_like(self.beyond), constant=0.0).iterate(S, std, kelvin, u2)
        return replace(end, code=_NO_SCATTERING, highest=without.highest) if without.code == 0 else end

    def iterate(self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float) -> Solution:
        """Iterate until g stays.

        Parameters
        ----------
        S, std : numpy.ndarray, shape (n_Q, n_E)
            Values, NaN where not measured, and standard deviations (a 0-d NaN where there are none).
        kelvin : float
            Temperature.
        u2 : float
            u² in angstrom² where it is given; else NaN.
        """
        kT = float(constants.BOLTZMANN_MEV * kelvin)
        given = bool(np.isfinite(u2))
        finite = np.isfinite(S) & (self.weight > 0)[:, np.newaxis]
        seen, n = finite & self.used, int(self.positive.sum())
        known = seen.any(axis=0)
        tail = np.where(finite & self.beyond, self.weight[:, np.newaxis], 0.0)
        if not known.any() or (self.beyond.any() and not tail.any()):
            return Solution.none(n, S.shape, _NO_DATA, 0)
        weight = np.where(seen, self.weight[:, np.newaxis], 0.0)
        measured = (weight * np.where(seen, S, 0.0)).sum(axis=0)
        # S_1/g but for ħ²/2M and 2W: 1/[E (1 − e^−x)] = 1/(E² ⟨n⟩/E).
        with np.errstate(divide="ignore", invalid="ignore"):
            by_energy = 1 / (self.E**2 * thermal_factor(self.E, np.array(kelvin), "quantum"))
        displacement, per_gamma = (u2, 0.0) if given else (0.0, self.per_gamma)
        many, orders, step = np.zeros(S.shape), 0, grid_step(self.E[known])
        shape, change = np.full(self.E.size, np.nan), np.inf
        for iteration in range(1, _MAX_ITERATIONS + 1):
            by_momentum = self.Q**2 * np.exp(-(self.Q**2) * displacement)
            per_g = np.where(known, by_energy, np.nan) * (weight * by_momentum[:, np.newaxis]).sum(axis=0)
            scaled = (measured - (weight * many).sum(axis=0)) / per_g
            modes = Modes.of(self.E, scaled, kT, below=self.below, step=step)
            if not (modes.area > 0 and modes.gamma > 0):
                return Solution.none(n, S.shape, _FAILED, iteration)
            # Where u² is given, it and g tell ħ²/2M.
            per_gamma = u2 / modes.gamma if given else self.per_gamma
            displacement = per_gamma * modes.gamma
            scale = modes.area / per_gamma
            new = scaled / modes.area
            if iteration > 1:
                change = float(np.nanmax(np.abs(new - shape)) / np.nanmax(np.abs(new)))
            shape = new
            two_w = self.Q**2 * displacement
            orders = orders_needed(float(two_w.max()), _ORDERS_TOLERANCE)
            if orders > MAX_ORDERS:
                return Solution.none(n, S.shape, _FAILED, iteration)
            binned = np.stack([onto_bins(A, modes.step, self.edges) for A in expansion(modes, orders)])
            many = scale * (order_weights(two_w, orders)[:, 2:] @ binned[2:])
            constant = self.constant
            if tail.any():
                there, expected = float((tail * np.where(tail > 0, S, 0.0)).sum()), float((tail * many).sum())
                if not expected > 0:
                    return Solution.none(n, S.shape, _FAILED, iteration)
                constant = there / expected - 1
            many = (1 + constant) * many
            if change < self.tolerance:
                break
        else:
            return Solution.none(n, S.shape, _NOT_CONVERGED, iteration)
        g_std = np.full(n, np.nan)
        if std.ndim:
            variance = (weight**2 * np.where(seen, std, 0.0) ** 2).sum(axis=0)
            g_std = (np.sqrt(variance) / np.abs(per_g * modes.area))[self.positive]
        return Solution(
            shape[self.positive],
            g_std,
            displacement,
            many,
            0,
            iteration,
            change,
            orders,
            scale,
            constant,
            modes.extended,
            self.end_of_phonons(shape),
        )

    def end_of_phonons(self, g: np.ndarray) -> float:
        """Return where g falls below a part of its maximum for good; NaN where it does not before its end."""
        known = np.flatnonzero(np.isfinite(g))
        if not known.size:
            return float("nan")
        last = np.flatnonzero(np.nan_to_num(g) >= _PHONONS_END * np.nanmax(g))[-1]
        return float(self.edges[last + 1]) if last < known[-1] else float("nan")
