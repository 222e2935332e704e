"""The iteration g → 2W → multiphonon scattering → g, on plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from xbp.core import constants
from xbp.core.status import (
    FAILED,
    NO_DATA,
    NO_SCATTERING,
    NOT_CONVERGED,
    OK,
    TRUNCATED,
    U2_DISAGREES,
)
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

__all__ = ["STATUSES", "Inversion", "Solution"]

STATUSES: Final = (
    OK,
    NO_DATA,
    FAILED,
    NOT_CONVERGED,
    NO_SCATTERING,
    TRUNCATED,
    U2_DISAGREES,
)
_NO_DATA, _FAILED, _NOT_CONVERGED, _NO_SCATTERING, _TRUNCATED, _DISAGREES = (
    1,
    2,
    3,
    4,
    5,
    6,
)

_ORDERS_TOLERANCE: Final = 1e-6
_MAX_ITERATIONS: Final = 100
# Phonons end where g falls below this part of its maximum for good; what a background
# leaves beyond is less.
_PHONONS_END: Final = 0.1
# The end of a range over which g is averaged: this part of its highest energy, and at
# least so many bins.
_END_PART: Final = 0.05
_END_BINS: Final = 3
# A third of u² leaves this part of what u² leaves unexplained, or less: S does not fall
# with Q as u² has it.
_BETTER: Final = 0.9
# Differences that Anderson's mixing remembers, how much of the last it takes, and how
# often a step that leaves what is physical is halved.
_MEMORY: Final = 5
_MIXING: Final = 0.5
_HALVINGS: Final = 8


@dataclass(frozen=True)
class Solution:
    """What the iteration ended with.

    The densities are over the bins E > 0, `many` is over all.

    `code` is a place in `STATUSES`, `u2_code` that of u²; `many` is N(1+C) Σ S_n of two
    and more phonons, in the units of S; `join` is what the density beyond the range is
    multiplied by, `unexplained` the weighted sum of the squares that all phonons leave
    of S; the others as `xbp.to_vibrational_dos` returns them.
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
    u2_code: int
    join: float
    unexplained: float

    @classmethod
    def none(
        cls, n: int, shape: tuple[int, ...], code: int, iterations: int
    ) -> Solution:
        """Return that there is none."""
        nothing, x = np.full(n, np.nan), np.nan
        return cls(
            nothing,
            nothing,
            x,
            np.full(shape, np.nan),
            code,
            iterations,
            x,
            0,
            x,
            x,
            x,
            x,
            code,
            x,
            x,
        )


@dataclass(frozen=True)
class _State:
    """What follows from one g.

    Its phonons, and the g that the data leave once these are taken off.
    """

    modes: Modes
    displacement: float
    scale: float
    orders: int
    many: np.ndarray
    constant: float
    per_g: np.ndarray
    per_gamma: float
    next: np.ndarray
    join: float


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
    end : float
        Where g at the end of its range is larger, as a part of its maximum, it has not
        fallen there.
    initial_E : numpy.ndarray, shape (n_i,)
        Energies in meV of the density that goes on where the range ends; empty where
        there is none.
    joined : numpy.ndarray of bool, shape (n_E,)
        Bins over which the two densities are scaled to have one area.
    whole : bool
        Whether the density that goes on is known to end where the modes do.
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
    end: float
    initial_E: np.ndarray
    joined: np.ndarray
    whole: bool

    @property
    def positive(self) -> np.ndarray:
        """Bins of the answer."""
        return self.E > 0

    @np.errstate(
        over="ignore", invalid="ignore"
    )  # what overflows is found by nobody, and has a status
    def solve(
        self,
        S: np.ndarray,
        std: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
    ) -> Solution:
        """Iterate until g stays.

        Where a C that is sought takes all there is, tell where the phonons end without
        it.

        Parameters and result as of `iterate`.
        """
        end = self.iterate(S, std, kelvin, u2, initial)
        if end.u2_code == 0 and not np.isfinite(u2):
            # A range that ends inside the band makes u² too large, and S falls less
            # with Q than that has it.
            smaller = replace(self, per_gamma=np.nan).iterate(
                S, std, kelvin, end.u2 / 3, initial
            )
            if smaller.code == 0 and smaller.unexplained < _BETTER * end.unexplained:
                return replace(end, u2_code=_DISAGREES)
        if not self.beyond.any() or end.code not in (_FAILED, _NOT_CONVERGED):
            return end
        without = replace(
            self, beyond=np.zeros_like(self.beyond), constant=0.0
        ).iterate(S, std, kelvin, u2, initial)
        if without.code:
            return end
        return replace(
            end, code=_NO_SCATTERING, u2_code=_NO_SCATTERING, highest=without.highest
        )

    def iterate(
        self,
        S: np.ndarray,
        std: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
    ) -> Solution:
        """Iterate until g stays.

        Parameters
        ----------
        S, std : numpy.ndarray, shape (n_Q, n_E)
            Values, NaN where not measured, and standard deviations (a 0-d NaN where
            there are none).
        kelvin : float
            Temperature.
        u2 : float
            u² in angstrom² where it is given; else NaN.
        initial : numpy.ndarray, shape (n_i,)
            g at `initial_E`, on any scale.
        """
        finite = np.isfinite(S) & (self.weight > 0)[:, np.newaxis]
        seen, n = finite & self.used, int(self.positive.sum())
        known = seen.any(axis=0)
        tail = np.where(finite & self.beyond, self.weight[:, np.newaxis], 0.0)
        if not known.any() or (self.beyond.any() and not tail.any()):
            return Solution.none(n, S.shape, _NO_DATA, 0)
        weight = np.where(seen, self.weight[:, np.newaxis], 0.0)
        step = _Step(self, S, kelvin, u2, known, weight, tail, initial)
        state, x, change, iterations, code = _fixed_point(step, self.tolerance)
        if state is None or code:
            return Solution.none(n, S.shape, code, iterations)
        shape = np.full(self.E.size, np.nan)
        shape[known] = x
        # N ħ²/2M, which makes of g, whose area is 1, the one in the units of the data.
        unit = state.scale * state.per_gamma
        g_std = np.full(n, np.nan)
        if std.ndim:
            variance = (weight**2 * np.where(seen, std, 0.0) ** 2).sum(axis=0)
            g_std = (np.sqrt(variance) / np.abs(state.per_g * unit))[self.positive]
        join = state.join
        falls = self.whole or self._falls(
            shape, join * initial, step.beyond(state) / unit
        )
        return Solution(
            shape[self.positive], g_std, state.displacement, state.many, 0, iterations, change, state.orders,
            state.scale, state.constant, state.modes.extended, self.end_of_phonons(shape),
            0 if falls else _TRUNCATED, join, step.unexplained(unit * x, state),
        )  # fmt: skip

    def end_of_phonons(self, g: np.ndarray) -> float:
        """Return where g falls below a part of its maximum for good.

        NaN where it does not before its end.
        """
        known = np.flatnonzero(np.isfinite(g))
        if not known.size:
            return float("nan")
        last = np.flatnonzero(np.nan_to_num(g) >= _PHONONS_END * np.nanmax(g))[-1]
        return float(self.edges[last + 1]) if last < known[-1] else float("nan")

    def _falls(self, g: np.ndarray, initial: np.ndarray, beyond: np.ndarray) -> bool:
        """Tell whether g is small at the end of its range, or right beyond it where there are data."""
        known = np.isfinite(g)
        E, g_known = self.E[known], g[known]
        top = E[-1]
        further = np.flatnonzero(np.isfinite(beyond))
        if self.initial_E.size:
            E, g_known = np.append(E, self.initial_E), np.append(g_known, initial)
            further = further[:0]
        in_end = E[-1] * (1 - _END_PART) < E
        in_end[-_END_BINS:] = True
        highest = (
            np.convolve(g_known, np.ones(_END_BINS) / _END_BINS, "valid").max()
            if E.size > _END_BINS
            else np.inf
        )
        limit = self.end * min(highest, g_known.max())
        if g_known[in_end].mean() <= limit:
            return True
        after = further[self.E[further] <= top * (1 + _END_PART)]
        after = after if after.size >= _END_BINS else further[:_END_BINS]
        return bool(
            after.size == max(after.size, _END_BINS) and beyond[after].mean() <= limit
        )


@dataclass(frozen=True)
class _Step:
    """One map, and the g that the data leave once the phonons of another g are taken off."""

    grid: Inversion
    S: np.ndarray
    kelvin: float
    u2: float
    known: np.ndarray
    weight: np.ndarray
    tail: np.ndarray
    initial: np.ndarray

    @property
    def _by_energy(self) -> np.ndarray:
        # S_1/g but for ħ²/2M and 2W: 1/[E (1 − e^−x)] = 1/(E² ⟨n⟩/E).
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(
                1
                / (
                    self.grid.E**2
                    * thermal_factor(self.grid.E, np.array(self.kelvin), "quantum")
                )
            )

    def _per_g(self, displacement: float, weight: np.ndarray) -> np.ndarray:
        by_momentum = self.grid.Q**2 * np.exp(-(self.grid.Q**2) * displacement)
        return np.asarray(
            self._by_energy * (weight * by_momentum[:, np.newaxis]).sum(axis=0)
        )

    def _measured(self, many: np.ndarray | float) -> np.ndarray:
        return np.asarray(
            (self.weight * (np.where(self.weight > 0, self.S, 0.0) - many)).sum(axis=0)
        )

    def start(self) -> np.ndarray:
        """Return g at the bins that are known.

        That which goes on beyond, or as if one phonon scattered at a time.
        """
        E = self.grid.E[self.known]
        if (
            self.initial.size
            and (np.interp(E, self.grid.initial_E, self.initial) > 0).any()
        ):
            return np.asarray(np.interp(E, self.grid.initial_E, self.initial))
        displacement = self.u2 if np.isfinite(self.u2) else 0.0
        return np.asarray(
            (self._measured(0.0) / self._per_g(displacement, self.weight))[self.known]
        )

    def __call__(self, g: np.ndarray) -> _State | None:
        """Return what follows from g at the bins that are known.

        None where it is no density.
        """
        grid, kT = self.grid, float(constants.BOLTZMANN_MEV * self.kelvin)
        E, density, join = grid.E[self.known], g, 1.0
        if self.initial.size:
            common = grid.joined[self.known]
            width = np.diff(grid.edges)[self.known][common]
            there = np.interp(E[common], grid.initial_E, self.initial)
            join = float((g[common] * width).sum() / (there * width).sum())
            further = grid.initial_E > E[-1]
            E, density = (
                np.append(E, grid.initial_E[further]),
                np.append(g, join * self.initial[further]),
            )
        if not join > 0:
            return None
        modes = Modes.of(
            E, density, kT, below=grid.below, step=grid_step(grid.E[self.known])
        )
        if not (modes.area > 0 and modes.gamma > 0):
            return None
        # Where u² is given, it and g tell ħ²/2M.
        per_gamma = self.u2 / modes.gamma if np.isfinite(self.u2) else grid.per_gamma
        displacement = per_gamma * modes.gamma
        two_w = grid.Q**2 * displacement
        orders = orders_needed(float(two_w.max()), _ORDERS_TOLERANCE)
        if orders > MAX_ORDERS:
            return None
        binned = np.stack(
            [onto_bins(A, modes.step, grid.edges) for A in expansion(modes, orders)]
        )
        many = order_weights(two_w, orders)[:, 2:] @ binned[2:]
        per_g = np.where(self.known, self._per_g(displacement, self.weight), np.nan)
        # The scale is the one at which all phonons together have the area of the data,
        # in units of g.
        width = np.diff(grid.edges)
        of_data = float(np.nansum(width * self._measured(0.0) / per_g))
        of_many = float(np.nansum(width * (self.weight * many).sum(axis=0) / per_g))
        of_one = per_gamma * float((width[self.known] * g).sum()) / modes.area
        constant, taken = grid.constant, 0.0
        if self.tail.any():
            there = float((self.tail * np.where(self.tail > 0, self.S, 0.0)).sum())
            expected = float((self.tail * many).sum())
            if not expected > 0:
                return None
            taken = there / expected
            scale = (of_data - taken * of_many) / of_one
            constant = taken / scale - 1
        else:
            scale = of_data / (of_one + (1 + constant) * of_many)
            taken = (1 + constant) * scale
        if not scale > 0:
            return None
        left = ((self._measured(taken * many) / per_g)[self.known]) / (
            scale * per_gamma
        )
        return _State(
            modes,
            displacement,
            scale,
            orders,
            taken * many,
            constant,
            per_g,
            per_gamma,
            left,
            join,
        )

    def unexplained(self, g: np.ndarray, state: _State) -> float:
        """Return the weighted sum of the squares of what all phonons leave of S in the range."""
        of_bins = np.zeros(self.grid.E.size)
        of_bins[self.known] = g
        one = np.where(self.known, self._by_energy, 0.0) * of_bins
        by_momentum = self.grid.Q**2 * np.exp(-(self.grid.Q**2) * state.displacement)
        left = (
            np.where(self.weight > 0, self.S, 0.0)
            - by_momentum[:, np.newaxis] * one
            - state.many
        )
        return float((self.weight * left**2).sum())

    def beyond(self, state: _State) -> np.ndarray:
        """Return what g would be, on its scale, at the energies above its range.

        NaN elsewhere.
        """
        finite = np.isfinite(self.S) & (self.grid.weight > 0)[:, np.newaxis]
        weight = np.where(finite, self.grid.weight[:, np.newaxis], 0.0)
        above = finite.any(axis=0) & (self.grid.E[self.known][-1] < self.grid.E)
        left = (weight * np.where(finite, self.S - state.many, 0.0)).sum(axis=0)
        return np.where(
            above,
            left / np.where(above, self._per_g(state.displacement, weight), 1.0),
            np.nan,
        )


def _fixed_point(
    step: _Step, tolerance: float
) -> tuple[_State | None, np.ndarray, float, int, int]:
    """Find the g that its own phonons leave, by Anderson's mixing.

    Return what follows from it, it, and how it ended.

    References
    ----------
    D. G. Anderson, J. ACM 12, 547 (1965), doi:10.1145/321296.321305; H. F. Walker & P.
    Ni, SIAM J. Numer. Anal. 49, 1715 (2011), doi:10.1137/10078356X.
    """
    x, change = step.start(), np.inf
    tried: list[np.ndarray] = []
    left: list[np.ndarray] = []
    halved = 0
    for iteration in range(1, _MAX_ITERATIONS + 1):
        found = step(x)
        if found is None:
            # Half way back to the last g that was one.
            halved += 1
            if not tried or halved > _HALVINGS:
                return None, x, np.nan, iteration, _FAILED
            x = (x + tried[-1]) / 2
            continue
        halved = 0
        # Only the shape of g counts: its area is 1.
        x, join = x / found.modes.area, found.join / found.modes.area
        residual = found.next - x
        change = float(np.abs(residual).max() / np.abs(x).max())
        if change < tolerance:
            last = step(found.next)
            if last is None:
                return replace(found, join=join), x, change, iteration, 0
            area = last.modes.area
            return (
                replace(last, join=last.join / area),
                found.next / area,
                change,
                iteration,
                0,
            )
        tried, left = [*tried, x][-_MEMORY - 1 :], [*left, residual][-_MEMORY - 1 :]
        x = x + _MIXING * residual
        if len(tried) > 1:
            steps, changes = np.diff(tried, axis=0).T, np.diff(left, axis=0).T
            x = (
                x
                - (steps + _MIXING * changes)
                @ np.linalg.lstsq(changes, residual, rcond=1e-10)[0]
            )
            # An extrapolation makes no g negative where its own phonons do not.
            x = np.maximum(x, np.minimum(found.next, 0.0))
    return None, x, change, _MAX_ITERATIONS, _NOT_CONVERGED
