"""Windows in time: tapers, energies, and spectra that coarse frames fold back.

Aliasing is found by the level of a spectrum at h/2Δt, and by how far atoms move between
frames, compared with their velocities. Spectra that are folded are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy
from numpy.polynomial.chebyshev import chebfit

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import RangeError, require
from xbp.core.guards import (
    at_most_one,
    choose,
    require_memory,
    require_number,
    require_positive,
)
from xbp.core.status import Diagnostic
from xbp.md.block import Block, resting_hops
from xbp.md.trajectory import Trajectory

__all__ = [
    "Taper",
    "Window",
    "asked_frames",
    "band_matrix",
    "cosines",
    "energy_grid",
    "make_taper",
    "require_resolved",
    "step_length",
    "steps_response",
]

Taper = Literal["hann", "boxcar"]


def make_taper(name: str, length: int) -> np.ndarray:
    """Return the weights of the frames of a window; Hann's as a periodic window."""
    if choose(name, Taper, "taper") == "boxcar":
        return np.ones(length)
    return np.asarray(np.hanning(length + 1)[:length])


def asked_frames(trajectory: Trajectory, window: Any = None, dE: Any = None) -> float:
    """Return the frames of a window, given as a time or by dE = h/window."""
    return float(np.rint(_asked_time(window, dE) / trajectory.time_step))


def _asked_time(window: Any, dE: Any) -> float:
    if at_most_one(window=window, dE=dE) == "dE":
        return constants.PLANCK / require_positive(dE, "dE", "meV", energy=True)
    return require_positive("10 ps" if window is None else window, "window", "ps")


def window_frames(
    trajectory: Trajectory,
    window: Any = None,
    dE: Any = None,
    *,
    between: bool = False,
    least: int = 4,
    overlap: bool = True,
) -> int:
    """Return the frames of a window that fits into the trajectory.

    Parameters
    ----------
    trajectory : Trajectory
    window, dE : scalar with units, optional
        Its length (bare: ps; 10 ps by default), or the energy step h/window.
    between : bool
        What is transformed is between frames, of which there is one fewer.
    least : int
        Fewest frames of a window.
    overlap : bool
        Whether segments overlap by half, so that four take two and a half windows.

    Raises
    ------
    RangeError
        If it has fewer frames, or more than the trajectory.
    """
    frames = asked_frames(trajectory, window, dE)
    step, most = trajectory.time_step, trajectory.n_frames - between
    if least <= frames <= most:
        return int(frames)
    # The longest of which four segments, which errors need, fit.
    fitting = 2 * (most // 5) if overlap else most // 4
    needed = least + 3 * (least // 2 if overlap else least)
    good = max(least, fitting)
    fix = f"window='{good * step:.6g} ps'"
    if most < needed:
        longer = f"simulate {needed * step:.4g} ps or more, for four segments"
        fix = longer if most < least else f"{fix}, or better {longer}"
    asked, reason = _asked_time(window, dE), ""
    if frames < least <= most:
        highest = f"{constants.PLANCK / (2 * step):.3g} meV"
        reason = f"frames {_time(step)} apart show energies up to h/2Δt, {highest}"
        fix = f"write frames at most {_time(asked / least)} apart, or {fix}"
    default = " (the default)" if window is None and dE is None else ""
    lasts = f"the trajectory lasts {most * step:.4g} ps"
    limits = f"it must have {least} to {most} ({lasts})"
    if most < least:
        limits = f"it must have {least}, and {lasts}, {most} frames"
    raise RangeError(
        f"the window of {asked:.4g} ps{default} has {frames:.4g} frames; {limits}",
        reason=reason,
        fix=fix,
    )


def energy_grid(length: int, step: float, E_max: Any) -> np.ndarray:
    """Return E = k h/window up to E_max, at most h/2Δt, in meV."""
    top = highest = constants.PLANCK / (2 * step)
    if E_max is not None:  # up to h/2Δt, and its rounding
        most = highest * (1 + 1e-9)
        top = require_number(E_max, "E_max", "meV", above=0, most=most, energy=True)
    dE = constants.PLANCK / (length * step)
    return np.asarray(np.arange(int(top / dE * (1 + 1e-9)) + 1) * dE)


def cosines(energies: np.ndarray, step: float, resolution: np.ndarray) -> np.ndarray:
    """Return the matrix of (1/2πħ) ∫ dt cos(Et/ħ) R(t) over both signs of t.

    Its shape is (n_lags, n_E), its unit 1/meV.
    """
    lags = np.arange(resolution.size)
    phase = 2 * np.pi / constants.PLANCK * step * np.outer(lags, energies)
    matrix = 2 * np.cos(phase) * resolution[:, None]
    matrix[0] /= 2
    return np.asarray(matrix * (step / constants.PLANCK))


def steps_response(energies: np.ndarray, step: float) -> np.ndarray:
    """Return sin²(x)/x², x = EΔt/2ħ: the response of Δr/Δt, squared, relative to v."""
    # np.sinc(x) is sin(πx)/(πx); EΔt/2ħ = π E Δt/h.
    return np.asarray(np.sinc(energies * step / constants.PLANCK) ** 2)


@dataclass(frozen=True)
class Window:
    """The segments of a spectrum, their taper, and the energies they resolve.

    Attributes
    ----------
    length : int
        Frames.
    step : float
        Time between them, ps.
    shape : str
        Name of the taper.
    taper : numpy.ndarray, shape (length,)
    energies : numpy.ndarray, shape (n_E,)
        meV.
    resolution : numpy.ndarray, shape (length,)
        R(t) = exp(−σ²t²/2ħ²) at the lags.
    folding : float or None
        Largest level of a spectrum at h/2Δt relative to its maximum.
    """

    length: int
    step: float
    shape: str
    taper: np.ndarray
    energies: np.ndarray
    resolution: np.ndarray
    folding: float | None

    @classmethod
    def make(
        cls,
        trajectory: Trajectory,
        given: Mapping[str, Any],
        *,
        between: bool = False,
    ) -> Window:
        """Check what a call says of windows, energies, resolution and folding."""
        step = trajectory.time_step
        shape = given.get("taper", "boxcar")
        length = window_frames(
            trajectory,
            given.get("window"),
            given.get("dE"),
            between=between,
            overlap=shape != "boxcar",
        )
        taper = make_taper(shape, length)
        energies = energy_grid(length, step, given.get("E_max"))
        size = float(length) * energies.size
        require_memory(
            size, f"the transform of {length} frames", fix="a smaller E_max="
        )
        fwhm, sigma = given.get("resolution"), 0.0
        if fwhm is not None:
            # A wider Gaussian would fold back at h/2Δt.
            highest = constants.PLANCK / (2 * step)
            sigma = require_number(
                fwhm, "resolution", "meV", above=0, most=highest, energy=True
            ) / np.sqrt(8 * np.log(2))
        angle = 2 * np.pi * sigma / constants.PLANCK * step * np.arange(length)
        damping = np.exp(-0.5 * angle**2)
        folding = given.get("folding")
        if folding is not None:
            folding = require_positive(folding, "folding")
        return cls(length, step, shape, taper, energies, damping, folding)

    @property
    def time(self) -> float:
        """Length in ps."""
        return self.length * self.step

    @property
    def fwhm(self) -> float:
        """Full width at half maximum of a line, by the taper and the resolution, meV.

        Of Hann's taper 1.44 h/window.
        """
        taper = np.correlate(self.taper, self.taper, "full")[self.length - 1 :]
        unit = constants.PLANCK / self.time
        wide = np.sqrt(-2 * np.log(max(self.resolution[-1], 1e-300)))  # σ·window/ħ
        E = np.linspace(0, unit * (1.5 + wide), 400)
        line = (taper * self.resolution) @ cosines(E, self.step, np.ones(self.length))
        below = int(np.argmax(line < line[0] / 2))
        ends = line[below - 1 : below + 1] - line[0] / 2
        at = E[below - 1] + (E[below] - E[below - 1]) * ends[0] / (ends[0] - ends[1])
        return float(2 * at)

    def cosines(self) -> np.ndarray:
        """Return the matrix from correlations over lags to spectra, see `cosines`."""
        return cosines(self.energies, self.step, self.resolution)

    def lags(self, time_max: Any) -> int:
        """Return the number of times up to `time_max` (default: half of the window)."""
        if time_max is None:
            return self.length // 2 + 1
        least = self.step * (1 - 1e-6)
        time = require_number(time_max, "time_max", "ps", least=least, below=self.time)
        return int(time / self.step + 1e-6) + 1


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
        With the largest level near h/2Δt relative to the maximum; None: the level is a
        diagnostic.
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
        move; or, without a limit, the level.

    Raises
    ------
    RangeError
        If a spectrum is above the limit, or atoms move less between frames than their
        velocities, and the correlation of these, allow to motion below h/2Δt.
    """
    top = bands.max(axis=-1)
    n_last = max(1, round(near * bands.shape[-1]))
    last = bands[..., -n_last:].mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = float(np.nanmax(np.where(top > 0, last / top, 0.0)))
    seen = f"{name} at h/2Δt is {100 * level:.3g} % of its maximum"
    fix = "write frames at most {}"
    closer = "h/4E apart, E the highest energy of a vibration (20 fs for 50 meV)"
    if window.folding is None:
        text = f"folding=None: {seen}"
        return [Diagnostic("aliasing_unchecked", "warning", text, fix.format(closer))]
    kelvin = trajectory.temperature()
    if T is not None:
        kelvin = float(temperature_coordinate(T).values)
    hops = _displacement_ratio(trajectory, kelvin)
    if level <= window.folding:
        if hops is None:
            return [Diagnostic(
                "aliasing_unchecked", "warning", "without velocities, or masses and T, "
                "aliasing shows only in the level of the spectrum at h/2Δt",
                "pass T=, or write velocities",
            )]  # fmt: skip
        if hops.found >= (1 - margin) * hops.expected:
            return []
        seen = f"displacements between frames are {np.sqrt(hops.found):.2g} of v Δt"
        if trajectory.velocity is not None:
            slow = np.sqrt(hops.expected)
            seen += f", and {slow:.2g} if all motion is slower than h/2Δt"
    if hops is not None:
        closer = f"{_time(_sufficient_step(window.step, hops.found), 3)} apart"
    raise RangeError(
        f"frames {_time(window.step)} apart alias the fastest motion: {seen}",
        fix=f"{fix.format(closer)}, or pass folding=None",
    )


def _time(ps: float, digits: int = 4) -> str:
    """Write a time in fs, or from 1 ps on in ps."""
    return f"{ps:.{digits}g} ps" if ps >= 1 else f"{1000 * ps:.{digits}g} fs"


def _sufficient_step(step: float, moved: float) -> float:
    """Return the time between frames, in ps, that resolves the fastest vibrations.

    Of vibrations g ∝ E² up to E_D the ratio is 6 (x − sin x)/x³ with x = E_D Δt/ħ;
    h/2Δt is to be 2 E_D. It is half of the present time at most.
    """
    if not 0 < moved < 1:
        return step / 2

    def excess(x: float) -> float:
        return float(6 * (x - np.sin(x)) / x**3 - moved)

    if excess(1e-3) <= 0:
        return step / 2
    # Beyond it 6 (x − sin x)/x³ < 12/x².
    highest = 1 + np.sqrt(12 / moved)
    phase = float(scipy.optimize.brentq(excess, 1e-3, highest))
    return float(min(step / 2, np.pi * step / (2 * phase)))


class _Hops(NamedTuple):
    """⟨m|Δr|²⟩/⟨m v²⟩Δt² of neighbouring frames, and its least value without folding.

    Of the element for which the first over the second is smallest.
    """

    found: float
    expected: float


def _displacement_ratio(
    trajectory: Trajectory, kelvin: float | None, *, n_frames: int = 5
) -> _Hops | None:
    """Compare displacements between frames with velocities; None if not known.

    A vibration of energy E moves an atom by the part s(y) = sin²(y/2)/(y/2)² of
    ⟨v²⟩Δt², y = EΔt/ħ. Velocities that were written show ⟨cos ky⟩ = ⟨v(0)v(kΔt)⟩/⟨v²⟩,
    from which s follows as a series of cos ky if all y are below π; the scatter of the
    runs of frames that were read, three of its standard deviations, is allowed. Those
    of equipartition show only that s is above 4/π². The elements are compared one by
    one: light atoms would be lost in a mean over slow and heavy ones.
    """
    measured = trajectory.velocity is not None
    if not measured and (kelvin is None or trajectory.mass is None):
        return None
    n_atoms = trajectory.n_atoms
    n_frames = min(n_frames, trajectory.n_frames)
    # Through both ends: at y = π, where s has a corner in cos y, it is not above s.
    nodes = np.cos(np.linspace(0, np.pi, n_frames))
    series = chebfit(nodes, _part_moved(nodes), n_frames - 1)
    moved, fast, straight = [], [], []
    for block in _runs(trajectory, measured, n_frames):
        hops, centre = resting_hops(np.diff(block.scaled(), axis=0), trajectory.share)
        if not np.isfinite(centre).all():
            return None
        steps = np.swapaxes(block.cells.mean(axis=0), -1, -2) @ hops
        moved.append((steps**2).sum(axis=1).mean(axis=0))
        if not measured:  # less the centre of mass: ⟨v²⟩ = 3 (1 − 1/N) k_BT/m
            each = trajectory.degrees_of_freedom / n_atoms
            energy = each * constants.BOLTZMANN * (kelvin or 0.0)
            fast.append(energy / trajectory.masses())
            straight.append(4 / np.pi**2 * fast[-1])
            continue
        if not np.isfinite(np.asarray(block.velocity)).all():
            return None
        velocity = block.split_velocities()[0]
        lags = [
            (velocity[lag:] * velocity[: n_frames - lag]).sum(axis=1).mean(axis=0)
            for lag in range(n_frames)
        ]
        fast.append(lags[0])
        straight.append(series @ np.array(lags))
    element = trajectory.element
    names = np.zeros(n_atoms) if element is None else element
    found = []
    for name in np.unique(names):
        share = np.where(names == name, trajectory.share, 0.0)
        went, full, least = (np.array(x) @ share for x in (moved, fast, straight))
        if not full.mean() > 0:
            continue
        went = went / trajectory.time_step**2
        error = (least - went).std() / np.sqrt(max(went.size - 1, 1))
        expected = max(least.mean() / full.mean(), 4 / np.pi**2)
        expected -= 3 * measured * error / full.mean()
        found.append(_Hops(float(went.mean() / full.mean()), float(expected)))
    return min(found, key=lambda one: one.found / one.expected, default=None)


def _part_moved(cosine: np.ndarray) -> np.ndarray:
    """Return sin²(y/2)/(y/2)² of cos y."""
    return np.asarray(np.sinc(np.arccos(cosine) / (2 * np.pi)) ** 2)


def step_length(trajectory: Trajectory) -> float:
    """Return the rms displacement along an axis between frames, Å; NaN if not known.

    Of the element that moves furthest, in some neighbouring frames.
    """
    squares = np.zeros(trajectory.n_atoms)
    blocks = _runs(trajectory, False, 2)
    for block in blocks:
        hops, centre = resting_hops(np.diff(block.scaled(), axis=0), trajectory.share)
        if not np.isfinite(centre).all():
            return float("nan")
        steps = block.cells.mean(axis=0).T @ hops[0]
        squares += (steps**2).sum(axis=0) / trajectory.dimension / len(blocks)
    element = trajectory.element
    names = np.zeros(trajectory.n_atoms) if element is None else element
    return float(np.sqrt(max(squares[names == one].mean() for one in np.unique(names))))


def _runs(
    trajectory: Trajectory, velocity: bool, n_frames: int, *, total: int = 32
) -> list[Block]:
    """Return runs of neighbouring frames from both ends, read at one go."""
    # Both ends were read before: elsewhere a compressed file would be unpacked again.
    # Distances between the runs grow, so that no vibration has the same phase in all.
    n_runs = max(1, total // (2 * n_frames))
    places = np.cumsum(np.arange(n_runs) + (n_frames - 2) * (np.arange(n_runs) > 0))
    last = trajectory.n_frames - n_frames
    firsts = np.unique(np.clip([places, last - places], 0, last)).tolist()
    blocks = [
        trajectory.block(first, first + n_frames, velocity=velocity) for first in firsts
    ]
    if not hasattr(trajectory.position, "dask"):
        return blocks
    dask = require("dask", "read trajectories in chunks", "md")
    read: list[Block] = dask.compute(blocks)[0]
    return read
