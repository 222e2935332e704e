"""Units of trajectories: the styles of LAMMPS, and as other programs spell them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from xbp.core import constants
from xbp.core.errors import QuantityError, UnitsError, shown
from xbp.core.guards import require_positive
from xbp.core.units import convert_factor, split_quantity

__all__ = [
    "ARGON",
    "NAMED_STYLES",
    "STYLES",
    "LennardJones",
    "Style",
    "Units",
    "cell_vectors",
    "unit_factor",
]

#: The names of https://docs.lammps.org/units.html.
Units = Literal["real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"]

STYLES: Final = "|".join(get_args(Units))


@dataclass(frozen=True)
class LennardJones:
    """Physical values of σ, ε and m.

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
        return require_positive(self.sigma, "sigma", "angstrom")

    @property
    def time(self) -> float:
        """Return τ = σ √(m/ε) in ps."""
        try:
            kelvin = require_positive(self.epsilon, "epsilon", "K")
        except UnitsError:
            energy = require_positive(self.epsilon, "epsilon", "meV", energy=True)
            kelvin = energy / constants.BOLTZMANN_MEV
        square = self.atomic_mass / (constants.BOLTZMANN * kelvin)
        return float(self.length * np.sqrt(square))

    @property
    def atomic_mass(self) -> float:
        """Return m in u."""
        return require_positive(self.mass, "mass", "u")


#: A. Rahman, Phys. Rev. 136, A405 (1964), doi:10.1103/PhysRev.136.A405: σ = 3.4 Å,
#: ε/k_B = 120 K.
ARGON: Final = LennardJones(sigma="3.4 angstrom", epsilon="120 K", mass="39.948 u")


@dataclass(frozen=True)
class Style:
    """A style of LAMMPS units.

    Attributes
    ----------
    name : str
    length, time, speed, mass : float
        Å, ps, Å/ps and u in one unit.
    """

    name: str
    length: float = 1.0
    time: float = 1.0
    speed: float = 1.0
    mass: float = 1.0

    def masses(self, own: np.ndarray | None, n_atoms: int) -> np.ndarray | None:
        """Return the masses of atoms in u: of the file, else m of Lennard-Jones."""
        if own is None:
            return np.full(n_atoms, self.mass) if self.name == "lj" else None
        return own * self.mass


#: A gram in u, and the bohr in Å; a unit of velocity of ``electron`` is a bohr in
#: 1.03275 fs.
_GRAM, _BOHR = 6.02214076e23, 0.529177210544
NAMED_STYLES: Final = {
    style.name: style
    for style in (
        Style("metal"),
        Style("real", 1.0, 1e-3, 1e3, 1.0),
        Style("si", 1e10, 1e12, 1e-2, 1e3 * _GRAM),
        Style("cgs", 1e8, 1e12, 1e-4, _GRAM),
        Style("electron", _BOHR, 1e-3, _BOHR / 1.03275e-3, 1.0),
        Style("micro", 1e4, 1e6, 1e-2, 1e-12 * _GRAM),
        Style("nano", 1e1, 1e3, 1e-2, 1e-18 * _GRAM),
    )
}


def cell_vectors(given: Any) -> np.ndarray:
    """Return a cell as vectors in rows, Å.

    Parameters
    ----------
    given : scalar with units, three of them, or array_like, shape (3, 3)
        The side of a cube, three sides, or the vectors (bare: Å).

    Raises
    ------
    QuantityError, RangeError, UnitsError

    Examples
    --------
    >>> cell_vectors("2 nm")[0], cell_vectors([8, 9, 10]).diagonal()
    (array([20.,  0.,  0.]), array([ 8.,  9., 10.]))
    """
    if isinstance(given, str):
        return np.eye(3) * require_positive(given, "cell", "angstrom")
    number, units = split_quantity(given, "cell", "angstrom")
    if np.shape(number) == (3, 3):
        factor = 1.0 if units is None else convert_factor(units, "angstrom")
        vectors = np.asarray(number, dtype=float) * factor
        if np.isfinite(vectors).all() and abs(np.linalg.det(vectors)) > 0:
            return vectors
    elif np.shape(number) in ((), (3,)):
        sides = [given] * 3 if np.ndim(number) == 0 else list(given)
        return np.diag([require_positive(side, "cell", "angstrom") for side in sides])
    raise QuantityError(
        f"cell={shown(given)} is not a side, three sides or three vectors of a cell",
        fix="cell='20 angstrom'",
    )


#: Spellings of units in trajectory files that pint does not know.
_SPELLINGS: Final = (
    (r"\b[aA]ng(strom|stroem)?s?\b", "angstrom"),
    (r"\bBohrs?\b", "bohr"),
    (r"\bg(ram)?\s*([/*]\s*mol|\s+mol-1)\b", "u"),
    (r"\b(\w+second|\w*meter)s\b", r"\1"),
)


def unit_factor(text: str, target: str, name: str) -> float:
    """Return the factor of a unit, as programs of molecular dynamics spell it.

    Raises
    ------
    UnitsError
        If it is not known, or of another dimension.

    Examples
    --------
    >>> unit_factor("Angstrom fs-1", "angstrom/ps", "v"), unit_factor("amu", "u", "m")
    (1000.0, 1.0)
    """
    for pattern, known in _SPELLINGS:
        text = re.sub(pattern, known, text.strip())
    return float(f"{convert_factor(text, target, name=name):.15g}")
