"""Detect and refuse aliasing.

Frames too far apart fold the spectrum of the fastest motion back.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import scipy

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import RangeError
from xbp.core.optional import require
from xbp.md.block import Block
from xbp.md.motion import resting_hops
from xbp.md.trajectory import Trajectory

__all__ = ["band_matrix", "folding_limit", "require_resolved", "sufficient_step"]

#: Bands of equal width between 0 and h/2Δt; the last two are "near h/2Δt".
_BANDS, _LAST = 40, 2
#: Pairs of frames that show how fast atoms move.
_PAIRS = 16
#: ⟨sin²(x/2)/(x/2)²⟩ is above 4/π² where all x = EΔt/ħ are below π.
_SLOWEST = 4 / np.pi**2


def band_matrix(
    length: int, step: float, power: int, response: np.ndarray | None = None
) -> np.ndarray:
    """Return what turns correlations over lags into the spectrum times E**power, averaged in bands up to h/2Δt.

    A lag window keeps the elastic line from leaking, whatever the taper of the
    segments.

    Parameters
    ----------
    length : int
        Lags.
    step : float
        Between them, ps.
    power : int
    response : numpy.ndarray, shape (length // 2 + 1,), optional
        Of what is correlated, at E = k h/(length step): the spectrum is divided by it.

    Returns
    -------
    numpy.ndarray, shape (length, n_bands)
    """
    lags = np.arange(length)
    energies = constants.PLANCK / (length * step) * np.arange(length // 2 + 1)
    matrix = 2 * np.cos(2 * np.pi / constants.PLANCK * step * np.outer(lags, energies))
    matrix *= (0.5 + 0.5 * np.cos(np.pi * lags / length))[:, None] * energies**power
    matrix[0] /= 2
    if response is not None:
        matrix /= response
    n_bands = min(_BANDS, energies.size)
    edges = np.arange(n_bands) * energies.size // n_bands
    return np.asarray(
        np.add.reduceat(matrix, edges, axis=1)
        / np.diff(np.append(edges, energies.size))
    )


def require_resolved(
    bands: np.ndarray,
    trajectory: Trajectory,
    limit: float | None,
    name: str,
    T: Any = None,
) -> None:
    """Refuse spectra that have not decayed at h/2Δt, since higher energies are folded back.

    Parameters
    ----------
    bands : numpy.ndarray, shape (..., n_bands)
        Spectra in bands, from `band_matrix`.
    trajectory : Trajectory
    limit : float or None
        Largest level near h/2Δt relative to the maximum; None: no limit.
    name : str
        Of the spectrum, for messages.
    T : scalar with units, optional
        Temperature where neither velocities nor the trajectory have it.

    Raises
    ------
    RangeError
        If a spectrum is above the limit, or atoms move less between frames than their
        velocities allow to motion below h/2Δt.
    """
    if limit is None:
        return
    top = bands.max(axis=-1)
    last = bands[..., -max(1, round(_LAST * bands.shape[-1] / _BANDS)) :].mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = float(np.nanmax(np.where(top > 0, last / top, 0.0)))
    kelvin = (
        trajectory.temperature()
        if T is None
        else float(temperature_coordinate(T).values)
    )
    moved = _moved(trajectory, kelvin)
    if level <= limit and not (moved is not None and moved < _SLOWEST * 0.95):
        return
    step = trajectory.time_step
    seen = (
        f"{name} at {constants.PLANCK / (2 * step):.4g} meV (h/2Δt) is {level:.2g} of "
        "its maximum"
        if level > limit
        else f"{name}: displacements between frames are {np.sqrt(moved or 0.0):.2g} "
        "of those the velocities imply"
    )
    raise RangeError(
        f"the frames are {1000 * step:.4g} fs apart, too far for the fastest motion: "
        f"{seen}",
        reason="faster motion is folded back (aliased) to lower energies",
        fix=f"write frames at most {1000 * sufficient_step(trajectory, moved):.3g} fs "
        "apart, or pass folding=None to "
        "accept the spectrum as it is",
    )


def sufficient_step(trajectory: Trajectory, moved: float | None) -> float:
    """Return the time between frames, in ps, that resolves the fastest vibrations.

    From how far atoms move between frames relative to their velocities,
    ⟨sin²(x/2)/(x/2)²⟩ with x = EΔt/ħ, that of vibrations g ∝ E² up to E_D: h/2Δt is to
    be 2 E_D. It holds for folded motion too. Half of the present time at most.
    """
    step = trajectory.time_step
    if moved is None or not 0 < moved < 1:
        return step / 2

    def excess(x: float) -> float:
        return float(6 * (x - np.sin(x)) / x**3 - moved)

    x = float(scipy.optimize.brentq(excess, 1e-3, 1e4)) if excess(1e-3) > 0 else 0.0
    # x = E_D Δt/ħ; h/2Δt' = 2 E_D.
    return min(step / 2, np.pi * step / (2 * x)) if x else step / 2


def _moved(trajectory: Trajectory, kelvin: float | None) -> float | None:
    """Return ⟨m|Δr|²⟩/⟨m v²⟩Δt² of pairs of neighbouring frames, of the element with the least; None if not known.

    Light atoms that are folded would be lost in a mean over slow and heavy ones.
    """
    measured = trajectory.velocity is not None
    if not measured and (kelvin is None or trajectory.mass is None):
        return None
    moved, fast = np.zeros(trajectory.n_atoms), np.zeros(trajectory.n_atoms)
    for block in _pairs(trajectory, measured):
        hops, centre = resting_hops(np.diff(block.scaled(), axis=0), trajectory.share)
        if not np.isfinite(centre).all() or (
            measured and not np.isfinite(np.asarray(block.velocity)).all()
        ):
            return None
        way = (
            block.cell if block.cell.ndim == 2 else block.cell.mean(axis=0)
        ).T @ hops[0]
        moved += (way**2).sum(axis=0)
        if trajectory.mass is not None and not measured:
            # Equipartition, less the centre of mass: ⟨v²⟩ = 3 (1 − 1/N) k_BT/m.
            fast += (
                3
                * (1 - 1 / trajectory.n_atoms)
                * constants.BOLTZMANN
                * (kelvin or 0.0)
                / trajectory.mass
            )
            continue
        fast += (block.thermal_velocities() ** 2).sum(axis=1).mean(axis=0)
    species = (
        np.zeros(trajectory.n_atoms)
        if trajectory.element is None
        else trajectory.element
    )
    ratios = []
    for name in np.unique(species):
        share = np.where(species == name, trajectory.share, 0.0)
        if fast @ share > 0:
            ratios.append(
                float(moved @ share) / (float(fast @ share) * trajectory.time_step**2)
            )
    return min(ratios, default=None)


def _pairs(trajectory: Trajectory, velocity: bool) -> list[Block]:
    """Return pairs of neighbouring frames from all of the trajectory, read at one go."""
    firsts = np.unique(
        np.linspace(0, trajectory.n_frames - 2, _PAIRS).astype(int)
    ).tolist()
    blocks = [trajectory.block(first, first + 2, velocity=velocity) for first in firsts]
    if not hasattr(trajectory.position, "dask"):
        return blocks
    arrays = [(block.position, block.velocity) for block in blocks]
    (read,) = require("dask", "trajectories in chunks are read by it", "md").compute(
        arrays
    )
    return [
        dataclasses.replace(b, position=r, velocity=v)
        for b, (r, v) in zip(blocks, read, strict=True)
    ]


def folding_limit(folding: Any) -> float | None:
    """Return the argument ``folding=``: a level between 0 and 1, or None."""
    if folding is None:
        return None
    if (
        isinstance(folding, bool)
        or not isinstance(folding, int | float | np.number)
        or not folding > 0
    ):
        raise RangeError(
            f"folding={folding!r}",
            reason="it is the highest allowed level of the spectrum at h/2Δt, "
            "relative to its maximum",
            fix="folding=0.1, or None for no check",
        )
    return float(folding)
