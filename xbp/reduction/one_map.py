"""The iteration g → 2W → multiphonon scattering → g of one map, on plain arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xbp.core import constants
from xbp.core.status import Status
from xbp.models.factors import thermal_factor
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    grid_step,
    onto_bins,
    orders_needed,
    summed_orders,
)
from xbp.reduction.halves import Halves, compare_halves, second_half
from xbp.reduction.q_dependence import UNKNOWN, FromQ, displacement_of_Q

__all__ = ["Grid", "Map", "Solution"]


@dataclass(frozen=True)
class Solution:
    """How the iteration ended; densities over the bins E > 0, `many` over all.

    `many` is N(1+C) Σ S_n of two and more phonons, in the units of S; `join` is the
    factor of the density beyond the range; `unexplained` is the weighted sum of the
    squares that all phonons leave of S, `background` the part of S that does not depend
    on Q, `gamma_of_law` the change of γ₀ with g/E² below the range; the others as
    `xbp.to_vibrational_dos` returns them.
    """

    g: np.ndarray
    g_std: np.ndarray
    g_apart: np.ndarray
    g_common: np.ndarray
    many: np.ndarray
    status: str
    u2_status: str
    iterations: int
    u2: float = np.nan
    change: float = np.nan
    orders: int = 0
    scale: float = np.nan
    constant: float = np.nan
    extended: float = np.nan
    highest: float = np.nan
    join: float = np.nan
    unexplained: float = np.nan
    background: float = np.nan
    gamma_of_law: float = 0.0
    differ: float = 0.0
    of_Q: FromQ = UNKNOWN

    @property
    def u2_of_Q(self) -> float:
        """The u² that the Q dependence of the spectra gives, in angstrom²."""
        return self.u2 * float(np.exp(self.of_Q.shift))

    @property
    def u2_of_Q_std(self) -> float:
        """Its standard deviation."""
        return self.u2_of_Q * self.of_Q.std

    def without(self, status: Status, u2_status: str) -> Solution:
        """Return it without its g, for the reason given."""
        nothing = np.full_like(self.g, np.nan)
        return replace(
            self, g=nothing, g_std=nothing, g_apart=nothing, g_common=nothing,
            status=status, u2_status=u2_status,
        )  # fmt: skip


@dataclass(frozen=True)
class _State:
    """What follows from one g: its phonons, and the g that remains of the data."""

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
    binned: np.ndarray


@dataclass(frozen=True)
class Grid:
    """The grid of maps that are inverted.

    Attributes
    ----------
    E, edges : numpy.ndarray, shape (n_E,) and (n_E + 1,)
        Centres and edges of the bins in meV.
    Q, weight : numpy.ndarray, shape (n_Q, 1) or (n_detector, n_E)
        Momentum transfers in 1/angstrom, and their weights; 0 leaves one out.
    used : numpy.ndarray of bool, shape (n_E,)
        Bins in which g is found, all of E > 0.
    tail : numpy.ndarray of bool, shape (n_E,)
        Bins without phonons, from which C is found; none if it is given.
    constant : float
        C, if it is given.
    per_gamma : float
        ħ²/2M in meV angstrom²; NaN if u² is given instead.
    below : {"debye", "nothing"}
        How g continues below `used`.
    tolerance, end, background, uncertain : float
        As for `xbp.to_vibrational_dos`.
    initial_E : numpy.ndarray, shape (n_i,)
        Energies in meV of the density that continues above the range; may be empty.
    joined : numpy.ndarray of bool, shape (n_E,)
        Bins over which the two densities are scaled to have one area.
    whole : bool
        Whether the density that continues is known to contain all modes.
    """

    E: np.ndarray
    edges: np.ndarray
    Q: np.ndarray
    weight: np.ndarray
    used: np.ndarray
    tail: np.ndarray
    constant: float
    per_gamma: float
    below: Below
    tolerance: float
    end: float
    background: float
    uncertain: float
    initial_E: np.ndarray
    joined: np.ndarray
    whole: bool

    @property
    def positive(self) -> np.ndarray:
        """Bins of the answer."""
        return self.E > 0

    def falls(self, g: np.ndarray, initial: np.ndarray, beyond: np.ndarray) -> bool:
        """Return whether g is small at both ends of its range, or right above it.

        Its means over the first three bins, and over the last 5 % of E or at least
        three bins, are compared with its maximum, that of means of three bins.
        """
        known = np.isfinite(g)
        E, g_known = self.E[known], g[known]
        top = E[-1]
        further = np.flatnonzero(np.isfinite(beyond))
        if self.initial_E.size:
            E = np.append(E, self.initial_E)
            g_known = np.append(g_known, initial)
            further = further[:0]
        at_end = 0.95 * E[-1] < E
        at_end[-3:] = True
        highest = g_known.max()
        if E.size > 3:
            smooth = np.convolve(g_known, np.ones(3) / 3, "valid")
            highest = min(highest, smooth.max())
        limit = self.end * highest
        # Most of u² is then that of a law assumed below the range.
        if g_known[:3].mean() > limit:
            return False
        if self.whole:
            return True
        if g_known[at_end].mean() <= limit:
            return True
        after = further[self.E[further] <= 1.05 * top]
        after = after if after.size >= 3 else further[:3]
        return bool(after.size >= 3 and beyond[after].mean() <= limit)


class Map:
    """One map, and the g that remains once the phonons of another g are taken off."""

    def __init__(
        self,
        grid: Grid,
        S: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
    ) -> None:
        self.grid, self.u2, self.initial = grid, u2, initial
        self.kT = float(constants.BOLTZMANN_MEV * kelvin)
        finite = np.isfinite(S) & (grid.weight > 0)
        self.finite, self.S = finite, np.where(finite, S, 0.0)
        self.all, self.weight, self.tail = (
            np.where(finite & bins, grid.weight, 0.0)
            for bins in (True, grid.used, grid.tail)
        )
        self.known = (finite & grid.used).any(axis=0)
        self.width = np.diff(grid.edges)
        # S_1/g but for ħ²/2M and 2W: 1/[E (1 − e^−x)] = 1/(E² ⟨n⟩/E).
        E = grid.E
        factor = thermal_factor(E, np.array(kelvin), "quantum")
        self.by_energy = np.asarray(1 / (E**2 * factor))

    def by_momentum(self, displacement: float) -> np.ndarray:
        """Return Q² exp(−2W)."""
        square = self.grid.Q**2
        by_bin = square * np.exp(-square * displacement)
        return np.asarray(np.broadcast_to(by_bin, self.S.shape))

    def per_g(self, displacement: float, weight: np.ndarray) -> np.ndarray:
        """Return the sum of S_1/g over Q, but for ħ²/2M."""
        sums = (weight * self.by_momentum(displacement)).sum(axis=0)
        return np.asarray(self.by_energy * sums)

    def measured(self, many: np.ndarray | float) -> np.ndarray:
        """Return the sum of S over Q without a part of it."""
        return np.asarray((self.weight * (self.S - many)).sum(axis=0))

    def one_phonon(self, displacement: float) -> np.ndarray:
        """Return g as if all of S were one phonon, but for its scale."""
        return np.asarray(self.measured(0.0) / self.per_g(displacement, self.weight))

    def invert(self, std: np.ndarray) -> Solution:
        """Iterate until g stays."""
        grid = self.grid
        shape = np.full(grid.E.size, np.nan)
        nothing, lost = shape[grid.positive], np.full(self.S.shape, np.nan)
        if not self.known.any() or (grid.tail.any() and not self.tail.any()):
            none = (nothing, nothing, nothing, nothing, lost)
            return Solution(*none, Status.NO_DATA, Status.NO_DATA, 0)
        state, x, change, iterations, status = self.fixed_point(grid.tolerance)
        if state is None:
            none = (nothing, nothing, nothing, nothing, lost)
            return Solution(*none, status, status, iterations)
        shape[self.known] = x
        # N ħ²/2M, which turns g, whose area is 1, into the units of the data.
        unit = state.scale * state.per_gamma
        g_std = nothing
        if std.ndim:
            errors = np.where(self.weight > 0, std, 0.0)
            variance = (self.weight**2 * errors**2).sum(axis=0)
            g_std = (np.sqrt(variance) / np.abs(state.per_g * unit))[grid.positive]
        initial, beyond = state.join * self.initial, self.beyond(state) / unit
        falls = grid.falls(shape, initial, beyond)
        unexplained, background = self.residuals(unit * x, state)
        turns, of_Q = self.compared(std, x, unit, state)
        g_apart, g_common = shape * np.nan, 0.0 * shape
        # Of the mean of two independent numbers.
        g_apart[self.known] = turns.error / np.sqrt(2)
        return Solution(
            shape[grid.positive],
            np.hypot(g_std, g_apart[grid.positive]),
            g_apart[grid.positive],
            g_common[grid.positive],
            state.many,
            Status.OK,
            Status.OK if falls else Status.TRUNCATED,
            iterations,
            u2=state.displacement,
            change=change,
            orders=state.orders,
            scale=state.scale,
            constant=state.constant,
            extended=state.modes.extended,
            highest=self.end_of_phonons(shape),
            join=state.join,
            unexplained=unexplained,
            background=background,
            gamma_of_law=self.gamma_of_law(state.modes),
            differ=turns.size,
            of_Q=of_Q,
        )

    def change_without(self, g: np.ndarray) -> float:
        """Return the change of g over its maximum if no multiphonons are taken off."""
        known, width = np.isfinite(g), self.width[self.grid.positive]
        each = self.one_phonon(0.0)[self.grid.positive], g
        one, all_of = (x[known] / (x * width)[known].sum() for x in each)
        return float(np.abs(all_of - one).max() / one.max())

    def end_of_phonons(self, g: np.ndarray) -> float:
        """Return where g falls below a tenth of its maximum for good.

        NaN if it does not before its end. A background beyond the phonons is smaller.
        """
        known = np.flatnonzero(np.isfinite(g))
        last = np.flatnonzero(np.nan_to_num(g) >= 0.1 * np.nanmax(g))[-1]
        return float(self.grid.edges[last + 1]) if last < known[-1] else float("nan")

    def start(self) -> np.ndarray:
        """Return g at the known bins: the one that continues, or one phonon's."""
        if self.initial.size:
            E = self.grid.E[self.known]
            initial = np.interp(E, self.grid.initial_E, self.initial)
            if (initial > 0).any():
                return np.asarray(initial)
        displacement = self.u2 if np.isfinite(self.u2) else 0.0
        return np.asarray(self.one_phonon(displacement)[self.known])

    def follow(self, g: np.ndarray) -> _State | None:
        """Return what follows from g at the known bins; None if it is not a density."""
        grid, known, width = self.grid, self.known, self.width
        E, density, join = grid.E[known], g, 1.0
        if self.initial.size:
            common = grid.joined[known]
            there = np.interp(E[common], grid.initial_E, self.initial)
            area = width[known][common]
            join = float((g[common] * area).sum() / (there * area).sum())
            further = grid.initial_E > E[-1]
            E = np.append(E, grid.initial_E[further])
            density = np.append(g, join * self.initial[further])
        if not join > 0:
            return None
        step = grid_step(grid.E[known])
        modes = Modes.of(E, density, self.kT, below=grid.below, step=step)
        if not (modes.area > 0 and modes.gamma > 0):
            return None
        # If u² is given, ħ²/2M follows from it and g.
        given = np.isfinite(self.u2)
        per_gamma = self.u2 / modes.gamma if given else grid.per_gamma
        displacement = per_gamma * modes.gamma
        two_w = grid.Q**2 * displacement
        orders = orders_needed(float(two_w.max()), 1e-6)
        if orders > MAX_ORDERS:
            return None
        phonons = expansion(modes, orders)
        binned = np.stack([onto_bins(A, modes.step, grid.edges) for A in phonons])
        many = summed_orders(two_w, binned, first=2)
        per_g = np.where(known, self.per_g(displacement, self.weight), np.nan)
        # At the right scale all phonons together have the area of the data, in units of
        # g.
        of_data, of_many = (
            float(np.nansum(width * sums / per_g))
            for sums in (self.measured(0.0), (self.weight * many).sum(axis=0))
        )
        of_one = per_gamma * float((width[known] * g).sum()) / modes.area
        constant = grid.constant
        scale = of_data / (of_one + (1 + constant) * of_many)
        taken = (1 + constant) * scale
        if self.tail.any():
            expected = float((self.tail * many).sum())
            if not expected > 0:
                return None
            taken = float((self.tail * self.S).sum()) / expected
            scale = (of_data - taken * of_many) / of_one
            constant = taken / scale - 1
        if not scale > 0:
            return None
        left = (self.measured(taken * many) / per_g)[known]
        return _State(
            modes, displacement, scale, orders, taken * many, constant, per_g,
            per_gamma, left / (scale * per_gamma), join, binned,
        )  # fmt: skip

    def residuals(self, g: np.ndarray, state: _State) -> tuple[float, float]:
        """Return the squares that all phonons leave of S, and the part without Q.

        The second is the part of S in the range that does not depend on Q, if a
        constant at each energy, fitted beside one phonon, leaves less than 0.9 of the
        squares per degree of freedom; else 0.
        """
        x, S, w = self.by_momentum(state.displacement), self.S, self.weight
        one = np.zeros(self.grid.E.size)
        one[self.known] = g * self.by_energy[self.known]
        unexplained = float((w * (S - x * one - state.many) ** 2).sum())
        y, w, x = (part[:, self.known] for part in (S - state.many, w, x))
        n, n_x, n_xx, n_y, n_xy = (
            (w * part).sum(axis=0) for part in (np.ones_like(x), x, x**2, y, x * y)
        )
        level = (n_xx * n_y - n_x * n_xy) / (n * n_xx - n_x**2)
        alone = (w * (y - x * n_xy / n_xx) ** 2).sum()
        both = (w * (y - level - x * (n_xy - level * n_x) / n_xx) ** 2).sum()
        points, energies = int((w > 0).sum()), n.size
        if not both * (points - energies) < 0.9 * alone * (points - 2 * energies):
            return unexplained, 0.0
        return unexplained, float((level * n).sum() / (w * S[:, self.known]).sum())

    def compared(
        self, std: np.ndarray, g: np.ndarray, unit: float, state: _State
    ) -> tuple[Halves, FromQ]:
        """Compare halves of the spectra, and u² with that of their Q dependence."""
        known, S, Q = self.known, self.S - state.many, self.grid.Q
        one = unit * self.by_momentum(state.displacement) * self.by_energy
        two_w = Q**2 * state.displacement
        # ∂/∂ln u² of (2W)ⁿ e^−2W is (n − 2W) times that; c(E) S_1 is free.
        taken = (1 + state.constant) * state.scale
        more = taken * summed_orders(two_w, state.binned[1:], first=1) - state.many
        left, std, one, more, weight, two_w, Q = (
            np.broadcast_to(part, S.shape)[:, known]
            for part in (S, std, one, more, self.weight, two_w, Q)
        )
        second = second_half(weight * one, Q)
        turns = compare_halves(left, std, one, weight, second, self.width[known], g)
        left, by_u2 = left - one * g, two_w * (more - one * g)
        return turns, displacement_of_Q(left, std, one * g, by_u2, weight, Q)

    def gamma_of_law(self, modes: Modes) -> float:
        """Return the change of γ₀ with g/E² of the law below the range, at fixed area.

        0 if g is 0 there.
        """
        if self.grid.below == "nothing":
            return 0.0
        at = modes.step * np.arange(1, modes.density.size)
        at = at[at < self.grid.E[self.known][0] * (1 - 1e-9)]
        each = at / np.tanh(at / (2 * modes.kT)) - modes.gamma * at**2
        return float((each.sum() + modes.kT) * modes.step)

    def beyond(self, state: _State) -> np.ndarray:
        """Return g, on its scale, at the energies above its range; NaN elsewhere."""
        above = self.finite.any(axis=0) & (self.grid.E[self.known][-1] < self.grid.E)
        left = (self.all * (self.S - state.many)).sum(axis=0)
        per_g = np.where(above, self.per_g(state.displacement, self.all), np.nan)
        return np.asarray(left / per_g)

    def fixed_point(
        self, tolerance: float
    ) -> tuple[_State | None, np.ndarray, float, int, str]:
        """Find the g that its own phonons leave, by Anderson's mixing of six g.

        Return what follows from it (or None), it, and how it ended.

        References
        ----------
        D. G. Anderson, J. ACM 12, 547 (1965), doi:10.1145/321296.321305; H. F. Walker &
        P. Ni, SIAM J. Numer. Anal. 49, 1715 (2011), doi:10.1137/10078356X.
        """
        x, change, mixing = self.start(), np.inf, 0.5
        tried: list[np.ndarray] = []
        left: list[np.ndarray] = []
        halved, most = 0, 100
        for iteration in range(1, most + 1):
            found = self.follow(x)
            if found is None:
                # Half way back to the last g that was a density, at most eight times.
                halved += 1
                if not tried or halved > 8:
                    return None, x, np.nan, iteration, Status.FAILED
                x = (x + tried[-1]) / 2
                continue
            halved = 0
            # Only the shape of g counts: its area is 1.
            x, join = x / found.modes.area, found.join / found.modes.area
            residual = found.next - x
            change = float(np.abs(residual).max() / np.abs(x).max())
            if change < tolerance:
                last = self.follow(found.next)
                if last is None:
                    return replace(found, join=join), x, change, iteration, Status.OK
                area = last.modes.area
                final = replace(last, join=last.join / area)
                return final, found.next / area, change, iteration, Status.OK
            tried, left = [*tried, x][-6:], [*left, residual][-6:]
            x = x + mixing * residual
            if len(tried) > 1:
                steps, changes = np.diff(tried, axis=0).T, np.diff(left, axis=0).T
                solved = np.linalg.lstsq(changes, residual, rcond=1e-10)[0]
                x = x - (steps + mixing * changes) @ solved
                # An extrapolation makes no g negative where its own phonons do not.
                x = np.maximum(x, np.minimum(found.next, 0.0))
        return None, x, change, most, Status.NOT_CONVERGED
