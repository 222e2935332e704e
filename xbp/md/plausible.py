"""Check that frames can be consecutive, given the time between them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from xbp.core import constants
from xbp.core.errors import FileFormatError, QuantityError
from xbp.md.lazy import Found

__all__ = ["require_motion"]


def require_motion(
    path: Path,
    found: Found,
    mass: np.ndarray,
    *,
    hottest: float,
    factor: float = 2.0,
    rounding: float = 0.002,
    diameter: float = 2.0,
) -> None:
    r"""Refuse frames whose displacements are impossible in the time between them.

    Colliding atoms at a kinetic temperature T move no further than

    .. math:: \langle\Delta r^2\rangle \le 2 \ell^2 \left(\frac{v t}{\ell} - 1 + e^{-v
    t/\ell}\right), \quad
              v^2 = \frac{3 k_B T}{m}, \quad \ell = \frac{1}{\sqrt 2\, n \pi d^2}

    which is v²t² at short times and 6Dt with D = vℓ/3 at long ones. The first two and
    the last two frames are read and compared, to the nearest images, which makes
    displacements smaller still.

    Parameters
    ----------
    path : Path
    found : Found
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    hottest : float
        Highest kinetic temperature allowed, K.
    factor : float
        Nor one this much (and 10/√N, as few atoms scatter) above that of the velocities
        in the file.
    rounding : float
        Å, of positions.
    diameter : float
        d, Å: atoms collide at no smaller distance. ℓ is no less than a quarter of it.

    Raises
    ------
    QuantityError
        If velocities or displacements correspond to a higher temperature.

    References
    ----------
    S. Chapman & T. G. Cowling, The Mathematical Theory of Non-Uniform Gases, 3rd ed.
    (1970), chapters 5 and 6.
    """
    numbers, n_atoms = found.lazy.numbers, found.lazy.n_atoms
    n = len(numbers)
    if n_atoms < 2:
        return
    degrees = 3 * (n_atoms - 1) * constants.BOLTZMANN
    for first in sorted({0, max(0, n - 2)}):
        pair = numbers[first : first + 2]
        try:
            position, velocity = found.lazy.read(pair)
        except FileFormatError:
            # A damaged frame is named when it is read; the others are good.
            continue
        kelvin = np.nan
        if velocity is not None:
            rest = (
                velocity - np.einsum("tjc,j->tc", velocity, mass / mass.sum())[:, None]
            )
            kelvin = (
                float(np.einsum("tjc,tjc,j->", rest, rest, mass)) / len(pair) / degrees
            )
            if kelvin > hottest:
                raise QuantityError(
                    f"the velocities in {path} correspond to {kelvin:.3g} K",
                    reason=f"this is above hottest={hottest:g} K, so the units may be "
                    "wrong (read as angstrom/ps)",
                    fix="correct units= (or elements=, masses=); raise hottest= if it "
                    "really is that hot",
                )
        if len(pair) < 2 or not np.isfinite(position).all():
            continue
        step = float(found.time[first + 1] - found.time[first])
        if not step > 0:
            continue
        with contextlib.suppress(np.linalg.LinAlgError):
            jump = _jump(position, found.cells[[first, first + 1]], mass)
            limit = (
                hottest
                if not kelvin > 0
                else min(hottest, (factor + 10 / np.sqrt(n_atoms)) * kelvin)
            )
            density = n_atoms / abs(np.linalg.det(found.cells[first]))
            free = max(1 / (np.sqrt(2) * density * np.pi * diameter**2), diameter / 4)
            reach = _reach(limit, mass, free, step) + 3 * rounding**2 * float(
                mass.sum()
            )
            if jump > reach:
                way, most = (np.sqrt(square / mass.sum()) for square in (jump, reach))
                known = (
                    f"its velocities correspond to {kelvin:.3g} K"
                    if kelvin > 0
                    else f"hottest= is {hottest:g} K"
                )
                raise QuantityError(
                    f"from frame {first} to frame {first + 1} of {path} "
                    f"atoms move by {way:.3g} angstrom in {step:.4g} ps",
                    reason=f"{known}, at which they move by {most:.3g} at most: the "
                    "time or the units are wrong, "
                    "or the frames are not consecutive",
                    fix="correct units=, timestep= or time_between_frames=; a set of "
                    "configurations opens one at a "
                    "time: frames=slice(0, 1)",
                )


def _jump(position: np.ndarray, cells: np.ndarray, mass: np.ndarray) -> float:
    """Return Σ m |Δr|² between two frames, the whole at rest and to the nearest images, u Å²."""
    scaled = np.matmul(position, np.linalg.inv(cells))
    hop = scaled[1] - scaled[0]
    hop -= np.round(hop)
    way = hop @ cells.mean(axis=0)
    way -= (mass / mass.sum()) @ way
    return float(mass @ (way**2).sum(axis=1))


def _reach(kelvin: float, mass: np.ndarray, free: float, time: float) -> float:
    """Return Σ m ⟨Δr²⟩ that atoms get in a time between collisions `free` apart, u Å²."""
    way = np.sqrt(3 * constants.BOLTZMANN * kelvin / mass) * time / free
    return float((mass * 2 * free**2 * (way + np.expm1(-way))).sum())
