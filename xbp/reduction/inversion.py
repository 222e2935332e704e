"""g(E) of maps S(Q,E), and whether its u² and its multiphonons are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xbp.core.status import Status
from xbp.reduction.one_map import Grid, Map, Solution

__all__ = ["Inversion"]


@dataclass(frozen=True)
class Inversion(Grid):
    """The grid of maps that are inverted."""

    # What overflows is not found, and has a status.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def solve(
        self,
        S: np.ndarray,
        std: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
    ) -> Solution:
        """Iterate until g stays, and check whether its u² and multiphonons are known.

        If a fitted C takes all intensity, also find where the phonons end without it.

        Parameters
        ----------
        S, std : numpy.ndarray, shape (n_Q, n_E) or (n_detector, n_E)
            Values, NaN if not measured, and standard deviations (a 0-d NaN if there are
            none).
        kelvin : float
            Temperature.
        u2 : float
            u² in angstrom² if it is given; else NaN.
        initial : numpy.ndarray, shape (n_i,)
            g at `initial_E`, on any scale.
        """
        one = Map(self, S, kelvin, u2, initial)
        end = one.invert(std)
        if self.tail.any() and end.status in (Status.FAILED, Status.NOT_CONVERGED):
            without = replace(self, tail=np.zeros_like(self.tail), constant=0.0)
            other = Map(without, S, kelvin, u2, initial).invert(std)
            if other.status != Status.OK:
                return end
            lost = replace(
                end, status=Status.NO_SCATTERING, u2_status=Status.NO_SCATTERING
            )
            return replace(lost, highest=other.highest)
        if end.status == Status.OK and end.differ > self.uncertain:
            return end.without(Status.SPECTRA_DIFFER, Status.SPECTRA_DIFFER)
        if end.status != Status.OK:
            return end
        if shift := end.of_Q.beyond_chance:
            end = self.widened(end, S, kelvin, initial, shift)
        if np.isfinite(u2):
            return end
        if end.u2_status == Status.OK:
            # A range that ends inside the band makes u² too large: S falls less with Q.
            third = self.at_displacement(end.u2 / 3, S, kelvin, initial)
            better = (
                third.status == Status.OK and third.unexplained < 0.9 * end.unexplained
            )
            if better or end.background > self.background:
                end = replace(end, u2_status=Status.U2_DISAGREES)
        if end.u2_status != Status.OK and one.change_without(end.g) > self.uncertain:
            return end.without(Status.MULTIPHONONS_UNKNOWN, end.u2_status)
        return end

    def at_displacement(
        self, u2: float, S: np.ndarray, kelvin: float, initial: np.ndarray
    ) -> Solution:
        """Invert the map with a u² that does not follow from g."""
        given = replace(self, per_gamma=np.nan)
        return Map(given, S, kelvin, u2, initial).invert(np.array(np.nan))

    def widened(
        self, end: Solution, S: np.ndarray, kelvin: float, initial: np.ndarray,
        shift: float,
    ) -> Solution:  # fmt: skip
        """Add the change of g with u² from the Q dependence to its error.

        By at most a factor of three in u²; u² disagrees with Q if g is not found there.
        """
        u2 = end.u2 * float(np.exp(np.clip(shift, -np.log(3), np.log(3))))
        other = self.at_displacement(u2, S, kelvin, initial)
        if other.status != Status.OK:
            return replace(end, u2_status=Status.U2_DISAGREES)
        return replace(end, g_common=other.g - end.g)
