"""What follows from the number of dimensions: 3, or 2 of a plane of atoms."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import scipy

from xbp.models.factors import Convention

__all__ = [
    "REDUCED",
    "ball",
    "debye_level",
    "debye_velocity",
    "debye_wave_number",
    "kinetic_degrees",
    "mode_count",
    "transverse_branches",
    "wave_average",
]

#: The convention of B = G/E^(d−1), in which Debye's phonons are level.
REDUCED: Final[dict[int, Convention]] = {2: "n*S/Q^2", 3: "n*S/(E*Q^2)"}


def mode_count(n_atoms: Any, dimension: int) -> Any:
    """Return the number of vibrations, dN."""
    return dimension * n_atoms


def kinetic_degrees(n_atoms: int, dimension: int) -> int:
    """Return the degrees of freedom of velocities, the centre of mass at rest."""
    return dimension * (n_atoms - 1)


def transverse_branches(dimension: int) -> int:
    """Return the number of directions across a wave vector."""
    return dimension - 1


def ball(radius: Any, dimension: int) -> Any:
    """Return the volume of a sphere, or the area of a circle.

    Examples
    --------
    >>> round(ball(1.0, 3), 4), round(ball(1.0, 2), 4)
    (4.1888, 3.1416)
    """
    area = math.pi * radius * radius
    return area if dimension == 2 else 4 / 3 * area * radius


def wave_average(x: np.ndarray, dimension: int) -> np.ndarray:
    """Return the mean of exp(iQ·r) over all directions: sin(x)/x, or J₀(x), x = Qr."""
    if dimension == 2:
        return np.asarray(scipy.special.j0(x))
    return np.asarray(np.sinc(x / np.pi))


def debye_velocity(
    v_l: float, v_t: float, dimension: int, std: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float]:
    r"""Return Debye's mean velocity of sound, and its relative standard deviation.

    .. math:: \frac{d}{v_D^d} = \frac{1}{v_L^d} + \frac{d-1}{v_T^d}

    Examples
    --------
    >>> round(debye_velocity(1949.0, 1125.0, 2)[0])
    1378
    """
    d, transverse = dimension, transverse_branches(dimension)
    mean = (d / (1 / v_l**d + transverse / v_t**d)) ** (1 / d)
    parts = std[0] / v_l ** (d + 1), transverse * std[1] / v_t ** (d + 1)
    return mean, float(np.hypot(*parts)) * mean**d / d


def debye_wave_number(density: float, dimension: int) -> float:
    r"""Return the radius of the ball of wave vectors with one for each atom.

    .. math:: q_D = 2\pi (n/b_d)^{1/d}: \quad (6\pi^2 n)^{1/3}, \quad (4\pi n)^{1/2}

    with b_d the volume of the unit ball.

    Parameters
    ----------
    density : float
        Atoms per volume, or per area.
    dimension : int
    """
    share = float(density / ball(1.0, dimension))
    return 2 * math.pi * float(share ** (1 / dimension))


def debye_level(energy: float, dimension: int) -> float:
    """Return g/E^(d−1) of Debye's phonons of unit area up to an energy, d/E_D^d.

    Examples
    --------
    >>> debye_level(10.0, 3), debye_level(10.0, 2)
    (0.003, 0.02)
    """
    return dimension / energy**dimension
