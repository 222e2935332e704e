"""Aliasing: frames too far apart fold the spectrum of the fastest motion back.

It is found by the level of a spectrum at h/2Δt, and by how far atoms move between
frames, compared with their velocities. Spectra that are folded are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.diagnostic import Diagnostic
from xbp.core.errors import RangeError
from xbp.core.optional import require
from xbp.md.block import Block
from xbp.md.motion import resting_hops
from xbp.md.plan import Window
from xbp.md.trajectory import Trajectory

__all__ = ["band_matrix", "require_resolved"]


def band_matrix(
    window: Window,
    *,
    power: int = 0,
    response: np.ndarray | None = None,
    n_bands: int = 40,
) -> np.ndarray:
    """Return the matrix from correlations to E**power times spectra in bands to h/2Δt.

    A lag window keeps the elastic line from leaking, whatever the taper.

    Parameters
    ----------
    window : Window
    power : int
    response : numpy.ndarray, shape (length // 2 + 1,), optional
        By which the spectrum is divided, at E = k h/(length step).
    n_bands : int
        Bands of equal width.

    Returns
    -------
    numpy.ndarray, shape (length, n_bands)
    """
    length, step = window.length, window.step
    lags = np.arange(length)
    energies = constants.PLANCK / (length * step) * np.arange(length // 2 + 1)
    matrix = 2 * np.cos(2 * np.pi / constants.PLANCK * step * np.outer(lags, energies))
    matrix *= (0.5 + 0.5 * np.cos(np.pi * lags / length))[:, None] * energies**power
    matrix[0] /= 2
    if response is not None:
        matrix /= response
    n_bands = min(n_bands, energies.size)
    edges = np.arange(n_bands) * energies.size // n_bands
    widths = np.diff(np.append(edges, energies.size))
    return np.asarray(np.add.reduceat(matrix, edges, axis=1) / widths)


def require_resolved(
    bands: np.ndarray,
    trajectory: Trajectory,
    window: Window,
    name: str,
    T: Any = None,
    *,
    near: float = 0.05,
    margin: float = 0.05,
) -> list[Diagnostic]:
    """Refuse spectra that motion faster than h/2Δt has folded into.

    Parameters
    ----------
    bands : numpy.ndarray, shape (..., n_bands)
        Spectra in bands, from `band_matrix`.
    trajectory : Trajectory
    window : Window
        With the largest level near h/2Δt relative to the maximum; None: no check.
    name : str
        Of the spectrum, for messages.
    T : scalar with units, optional
        Temperature where neither velocities nor the trajectory have it.
    near : float
        Part of the energies up to h/2Δt that is "near" it.
    margin : float
        Relative statistical error allowed for the mean square of the displacements.

    Returns
    -------
    list of Diagnostic
        That displacements could not be checked, where nothing tells how fast atoms
        move.

    Raises
    ------
    RangeError
        If a spectrum is above the limit, or atoms move less between frames than their
        velocities allow to motion below h/2Δt: ⟨sin²(x/2)/(x/2)²⟩ is above 4/π² where
        all x = EΔt/ħ are below π.
    """
    if window.folding is None:
        return []
    top = bands.max(axis=-1)
    n_last = max(1, round(near * bands.shape[-1]))
    last = bands[..., -n_last:].mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = float(np.nanmax(np.where(top > 0, last / top, 0.0)))
    kelvin = trajectory.temperature()
    if T is not None:
        kelvin = float(temperature_coordinate(T).values)
    moved = _displacement_ratio(trajectory, kelvin)
    if level > window.folding:
        seen = (
            f"{name} at {constants.PLANCK / (2 * window.step):.4g} meV (h/2Δt) is "
            f"{level:.2g} of its maximum"
        )
    elif moved is not None and moved < 4 / np.pi**2 * (1 - margin):
        seen = (
            f"{name}: displacements between frames are {np.sqrt(moved):.2g} of those "
            "the velocities imply"
        )
    elif moved is None:
        return [Diagnostic(
            "aliasing_unchecked", "warning", "without velocities, or masses and T, "
            "aliasing shows only in the level of the spectrum at h/2Δt",
            "pass T=, or write velocities",
        )]  # fmt: skip
    else:
        return []
    step = 1000 * _sufficient_step(window.step, moved)
    raise RangeError(
        f"the frames are {1000 * window.step:.4g} fs apart, too far for the fastest "
        f"motion, which is folded back (aliased); {seen}",
        fix=f"write frames at most {step:.3g} fs apart, or pass folding=None to accept "
        "the spectrum as it is",
    )


def _sufficient_step(step: float, moved: float | None) -> float:
    """Return the time between frames, in ps, that resolves the fastest vibrations.

    Of vibrations g ∝ E² up to E_D the ratio is 6 (x − sin x)/x³ with x = E_D Δt/ħ;
    h/2Δt is to be 2 E_D. It is half of the present time at most.
    """
    if moved is None or not 0 < moved < 1:
        return step / 2

    def excess(x: float) -> float:
        return float(6 * (x - np.sin(x)) / x**3 - moved)

    if excess(1e-3) <= 0:
        return step / 2
    return min(
        step / 2, np.pi * step / (2 * float(scipy.optimize.brentq(excess, 1e-3, 1e4)))
    )


def _displacement_ratio(
    trajectory: Trajectory, kelvin: float | None, *, n_pairs: int = 16
) -> float | None:
    """Return ⟨m|Δr|²⟩/⟨m v²⟩Δt² of neighbouring frames; None if not known.

    The velocities are those written, or those of equipartition. The least of all
    elements counts: light atoms would be lost in a mean over slow and heavy ones.
    """
    measured = trajectory.velocity is not None
    if not measured and (kelvin is None or trajectory.mass is None):
        return None
    n_atoms = trajectory.n_atoms
    moved, fast = np.zeros(n_atoms), np.zeros(n_atoms)
    for block in _pairs(trajectory, measured, n_pairs):
        hops, centre = resting_hops(np.diff(block.scaled(), axis=0), trajectory.share)
        velocity = np.asarray(block.velocity if measured else 0.0)
        if not (np.isfinite(centre).all() and np.isfinite(velocity).all()):
            return None
        cell = block.cell if block.cell.ndim == 2 else block.cell.mean(axis=0)
        moved += ((cell.T @ hops[0]) ** 2).sum(axis=0)
        if measured:
            fast += (block.thermal_velocities() ** 2).sum(axis=1).mean(axis=0)
        else:  # less the centre of mass: ⟨v²⟩ = 3 (1 − 1/N) k_BT/m
            energy = 3 * (1 - 1 / n_atoms) * constants.BOLTZMANN * (kelvin or 0.0)
            fast += energy / trajectory.masses()
    element = trajectory.element
    names = np.zeros(n_atoms) if element is None else element
    ratios = []
    for name in np.unique(names):
        share = np.where(names == name, trajectory.share, 0.0)
        if fast @ share > 0:
            ratios.append((moved @ share) / (fast @ share * trajectory.time_step**2))
    return float(min(ratios)) if ratios else None


def _pairs(trajectory: Trajectory, velocity: bool, n_pairs: int) -> list[Block]:
    """Return pairs of neighbouring frames from both ends, read at one go."""
    # Both ends were read before: elsewhere a compressed file would be unpacked again.
    # Distances between the pairs grow, so that no vibration has the same phase in all.
    places = np.cumsum(np.arange(n_pairs // 2))
    last = trajectory.n_frames - 2
    firsts = np.unique(np.clip([places, last - places], 0, last)).tolist()
    blocks = [trajectory.block(first, first + 2, velocity=velocity) for first in firsts]
    if not hasattr(trajectory.position, "dask"):
        return blocks
    dask = require("dask", "trajectories in chunks are read by it", "md")
    read: list[Block] = dask.compute(blocks)[0]
    return read
