"""Whether frames can be those of one motion, in the time that lies between them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from xbp import constants
from xbp.errors import FileFormatError, QuantityError
from xbp.md.lazy import Found

__all__ = ["require_motion"]


def require_motion(
    path: Path, found: Found, mass: np.ndarray, *, hottest: float, factor: float = 2.0, rounding: float = 0.002
) -> None:
    r"""Refuse frames that no motion connects, by the kinetic temperature that it would need.

    .. math:: T_{jump} = \frac{\sum_j m_j |\Delta\mathbf r_j|^2}{3(N-1) k_B \Delta t^2} \le T

    holds in equilibrium, as ⟨Δr²⟩ ≤ ⟨v²⟩ Δt²; Δr to the nearest image makes it smaller still. The first two and
    the last two frames are read for it.

    Parameters
    ----------
    path : Path
    found : Found
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    hottest : float
        K; no motion has a higher kinetic temperature.
    factor : float
        Nor one this much (and 10/√N, as few atoms scatter) above that of the velocities in the file.
    rounding : float
        Å, of positions.

    Raises
    ------
    QuantityError
        If the velocities, or the displacements, are those of a higher temperature.
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
            rest = velocity - np.einsum("tjc,j->tc", velocity, mass / mass.sum())[:, None]
            kelvin = float(np.einsum("tjc,tjc,j->", rest, rest, mass)) / len(pair) / degrees
            if kelvin > hottest:
                raise QuantityError(
                    f"the velocities of {path} are those of {kelvin:.3g} K",
                    reason=f"they are taken for angstrom/ps, and hottest= is {hottest:g} K",
                    fix="correct units= (or elements=, masses=); raise hottest= if it is that hot",
                )
        if len(pair) < 2 or not np.isfinite(position).all():
            continue
        step = float(found.time[first + 1] - found.time[first])
        if not step > 0:
            continue
        with contextlib.suppress(np.linalg.LinAlgError):
            jump = _jump(position, found.cells[[first, first + 1]], mass) / degrees / step**2
            blur = 3 * rounding**2 * float(mass.sum()) / degrees / step**2
            limit = hottest if not kelvin > 0 else min(hottest, (factor + 10 / np.sqrt(n_atoms)) * kelvin)
            if jump > limit + blur:
                _refuse(path, first, step, jump, kelvin, hottest)


def _jump(position: np.ndarray, cells: np.ndarray, mass: np.ndarray) -> float:
    """Return Σ m |Δr|² between two frames, the whole at rest and to the nearest images, u Å²."""
    scaled = np.matmul(position, np.linalg.inv(cells))
    hop = scaled[1] - scaled[0]
    hop -= np.round(hop)
    way = hop @ cells.mean(axis=0)
    way -= (mass / mass.sum()) @ way
    return float(mass @ (way**2).sum(axis=1))


def _refuse(path: Path, first: int, step: float, jump: float, kelvin: float, hottest: float) -> Any:
    known = f"its velocities are those of {kelvin:.3g} K" if kelvin > 0 else f"hottest= is {hottest:g} K"
    raise QuantityError(
        f"from frame {first} to frame {first + 1} of {path} atoms move as at {jump:.3g} K, in {step:.4g} ps",
        reason=f"{known}: the time or the units are wrong, or the frames are no motion of the same atoms",
        fix="correct units=, timestep= or time_between_frames=; a set of configurations opens one at a time: "
        "frames=slice(0, 1)",
    )
