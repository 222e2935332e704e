"""Lennard-Jones units, mapped to physical ones by explicit σ, ε and m."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xbp.core import constants
from xbp.core.errors import UnitsError
from xbp.md.labels import positive

__all__ = ["ARGON", "LennardJones", "lennard_jones"]


@dataclass(frozen=True)
class LennardJones:
    """What σ, ε and m stand for.

    Parameters
    ----------
    sigma : scalar with units
        Bare: Å.
    epsilon : scalar with units
        An energy, or ε/k_B as a temperature (bare: K).
    mass : scalar with units
        Bare: u.

    Examples
    --------
    >>> round(LennardJones(sigma=3.405, epsilon="119.8 K", mass=39.948).time, 3)
    2.156
    """

    sigma: Any
    epsilon: Any
    mass: Any

    @property
    def length(self) -> float:
        """Return σ in Å."""
        return positive(self.sigma, "angstrom", "sigma")

    @property
    def time(self) -> float:
        """Return τ = σ √(m/ε) in ps."""
        try:
            kelvin = positive(self.epsilon, "K", "epsilon")
        except UnitsError:
            # 1 meV/k_B in K, by the same constants as everything else.
            kelvin = (
                positive(self.epsilon, "meV", "epsilon", energy=True)
                / constants.BOLTZMANN_MEV
            )
        return float(
            self.length * np.sqrt(self.atomic_mass / (constants.BOLTZMANN * kelvin))
        )

    @property
    def atomic_mass(self) -> float:
        """Return m in u."""
        return positive(self.mass, "u", "mass")


#: A. Rahman, Phys. Rev. 136, A405 (1964), doi:10.1103/PhysRev.136.A405: σ = 3.4 Å,
#: ε/k_B = 120 K.
ARGON = LennardJones(sigma="3.4 angstrom", epsilon="120 K", mass="39.948 u")


def lennard_jones(given: Any) -> LennardJones:
    """Return the mapping: ``"argon"``, or a `LennardJones`."""
    if isinstance(given, LennardJones):
        return given
    if given == "argon":
        return ARGON
    raise UnitsError(
        f"lj={given!r} does not say what σ, ε and m are",
        reason="spectra have physical units; reduced ones have none",
        fix="lj='argon', or lj=xbp.md.LennardJones(sigma='2.6 angstrom', epsilon='700 "
        "K', mass='58 u')",
    )
