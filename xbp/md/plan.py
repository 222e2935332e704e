"""What the spectra of a trajectory share: windows, wave vectors, labels of the answer.

The arguments of an operation go through it as one mapping, the locals of its first
line: so they are written once, in its signature, and recorded once, in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import RangeError
from xbp.core.guards import (
    at_most_one,
    choose,
    not_used,
    require_flag,
    require_memory,
    require_number,
    require_positive,
    require_whole,
)
from xbp.md.density import Precision
from xbp.md.labels import Column, label, sample_temperature
from xbp.md.run import Moments, delayed
from xbp.md.trajectory import Trajectory, read_trajectory
from xbp.md.wavevectors import Shells, allowed_wavevectors
from xbp.md.weights import Mixing, Weighting, check_normalization, mix_rows, weighting

__all__ = [
    "Part",
    "Plan",
    "Taper",
    "Window",
    "answer",
    "asked_frames",
    "cosines",
    "energy_grid",
    "make_taper",
    "read_call",
    "window_frames",
]

Taper = Literal["hann", "boxcar"]
Part = Literal["coherent", "incoherent"]


def make_taper(name: str, length: int) -> np.ndarray:
    """Return the weights of the frames of a window; Hann's as a periodic window."""
    if choose(name, Taper, "taper") == "boxcar":
        return np.ones(length)
    return np.asarray(np.hanning(length + 1)[:length])


def asked_frames(trajectory: Trajectory, window: Any = None, dE: Any = None) -> float:
    """Return the frames of a window, given as a time or by dE = h/window."""
    if at_most_one(window=window, dE=dE) == "dE":
        time = constants.PLANCK / require_positive(dE, "dE", "meV", energy=True)
    else:
        time = require_positive("10 ps" if window is None else window, "window", "ps")
    return float(np.rint(time / trajectory.time_step))


def window_frames(
    trajectory: Trajectory,
    window: Any = None,
    dE: Any = None,
    *,
    between: bool = False,
    least: int = 4,
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

    Raises
    ------
    RangeError
        If it has fewer frames, or more than the trajectory.
    """
    frames = asked_frames(trajectory, window, dE)
    step, most = trajectory.time_step, trajectory.n_frames - between
    if least <= frames <= most:
        return int(frames)
    good = max(least, most // 4)
    longer = (
        f"simulate {4 * least * step:.4g} ps or more, four windows of {least} frames"
    )
    fix = f"window='{good * step:.4g} ps'"
    if most < least:
        fix = longer
    elif most < 4 * least:
        fix += f"; errors need several windows: {longer}"
    default = " (the default)" if window is None and dE is None else ""
    raise RangeError(
        f"the window of {frames * step:.4g} ps{default} has {frames:.4g} frames; it "
        f"must have at least {least}, and the trajectory has {most}, {most * step:.4g} "
        "ps",
        fix=fix,
    )


def energy_grid(length: int, step: float, E_max: Any) -> np.ndarray:
    """Return E = k h/window up to E_max, at most h/2Δt, in meV."""
    highest = constants.PLANCK / (2 * step)
    top = highest
    if E_max is not None:
        top = require_positive(E_max, "E_max", "meV", energy=True)
    if top > highest * (1 + 1e-9):
        raise RangeError(
            f"E_max={E_max} is {top:g} meV; frames {step:g} ps apart resolve energies "
            f"up to {highest:.4g} meV (h/2Δt)",
            fix="lower E_max=, or write frames more often",
        )
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
        length = window_frames(
            trajectory, given.get("window"), given.get("dE"), between=between
        )
        shape = given.get("taper", "boxcar")
        taper = make_taper(shape, length)
        energies = energy_grid(length, step, given.get("E_max"))
        require_memory(
            float(length) * energies.size,
            f"the transform of {length} frames",
            fix="window=, E_max= smaller",
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

    def cosines(self) -> np.ndarray:
        """Return the matrix from correlations over lags to spectra, see `cosines`."""
        return cosines(self.energies, self.step, self.resolution)

    def lags(self, time_max: Any) -> int:
        """Return the number of times up to `time_max` (default: half of the window)."""
        if time_max is None:
            return self.length // 2 + 1
        time = require_positive(time_max, "time_max", "ps")
        if not self.step <= time + 1e-6 * self.step < self.time:
            raise RangeError(
                f"time_max={time_max} must be at least the time step, {self.step:.4g} "
                f"ps, and below the window, {self.time:.4g} ps"
            )
        return int(time / self.step + 1e-6) + 1


@dataclass(frozen=True)
class Plan:
    """Wave vectors of a trajectory, and what is made of its densities there.

    Attributes
    ----------
    trajectory : Trajectory
    shells : Shells
    list_shells : callable
        Makes them again: workers list the wave vectors, so that they need not be sent.
    weighting : Weighting
    mixing : Mixing
    partials : bool
    origin_step : int or None
        Frames between the time origins of the self part; None for all pairs of atoms.
    precision : {"single", "double"}
    """

    trajectory: Trajectory
    shells: Shells
    list_shells: Callable[[], Shells]
    weighting: Weighting
    mixing: Mixing
    partials: bool
    origin_step: int | None
    precision: Precision

    @classmethod
    def make(
        cls,
        trajectory: Trajectory,
        given: Mapping[str, Any],
        length: int = 1,
        *,
        static: bool = False,
    ) -> Plan:
        """Check the arguments of a call, and list the wave vectors.

        An argument that the operation does not have is that of the total over all
        pairs of atoms. `length` is the number of frames of a segment.
        """
        counts = {
            name: None if given.get(name) is None else require_whole(given[name], name)
            for name in ("max_wavevectors_per_shell", "origin_step")
        }
        part: Part = choose(given.get("part", "coherent"), Part, "part")
        self_part = part == "incoherent"
        partials = require_flag(given.get("partials", False), "partials")
        normalization = check_normalization(
            given.get("normalization", "ashcroft-langreth"),
            partials=partials,
            static=static,
        )
        list_shells = partial(
            allowed_wavevectors,
            trajectory.mean_cell,
            require_positive(given["Q_max"], "Q_max", "1/angstrom"),
            require_positive(given["dQ"], "dQ", "1/angstrom"),
            max_per_shell=counts["max_wavevectors_per_shell"],
            repeats=trajectory.repeats,
        )
        shells = list_shells()
        if not self_part:
            not_used("all pairs of frames count", origin_step=counts["origin_step"])
        else:  # by default 16 origins, which are averages enough
            step = counts["origin_step"] or max(1, length // 16)
            counts["origin_step"] = min(step, length)
        found = weighting(
            trajectory,
            given.get("weights", "unit"),
            shells.Q,
            by_element=partials,
            squared=self_part,
            b=given.get("b"),
        )
        mixing = mix_rows(found, partials, normalization, self_part, trajectory.n_atoms)
        require_memory(  # four segments of a task
            4.0 * mixing.mix.shape[1] * shells.Q.size * length,
            "the correlations",
            fix="raise dQ=, lower Q_max= or window=",
        )
        precision: Precision = choose(given["precision"], Precision, "precision")
        return cls(
            trajectory, shells, list_shells, found, mixing, partials,
            counts["origin_step"], precision,
        )  # fmt: skip

    @property
    def shells_task(self) -> Any:
        """The wave vectors as a task."""
        return delayed(self.list_shells)()

    @property
    def powers(self) -> Any:
        """Rows of the answer that are never negative: the total, or like elements."""
        labels = self.mixing.labels
        like = [
            row for row, name in enumerate(labels) if len(set(name.split("-"))) == 1
        ]
        return like if labels else slice(None)

    def column(
        self,
        moments: Moments,
        key: str,
        dims: tuple[str, ...],
        units: str,
        quantity: str,
        **attrs: Any,
    ) -> Column:
        """Label one of the answers; without partials it has no dimension ``pair``."""
        dims = ("pair", *dims) if self.partials else dims
        row = None if self.partials else 0
        return moments.column(key, dims, units, quantity, row=row, attrs=attrs)

    def coordinates(self) -> dict[str, Any]:
        """Return Q (the mean over each shell), its bounds, and the partials."""
        shells = self.shells
        coords: dict[str, Any] = {
            "Q": ("Q", shells.Q, {"bounds": "Q_bnds"}),
            "Q_bnds": (("Q", "bnds"), shells.edges),
            "n_wavevectors": (
                "Q",
                shells.n_wavevectors,
                {"units": "1", "long_name": "wave vectors in the shell, ±Q"},
            ),
        }
        if self.partials:
            share = self.mixing.share
            coords["pair"] = ("pair", np.array(self.mixing.labels))
            coords["weight"] = (
                ("pair", "Q")[: share.ndim],
                share,
                {"units": "1", "long_name": "share of the partial in the total"},
            )
        return coords


def read_call(given: Mapping[str, Any]) -> Trajectory:
    """Read the trajectory of a call, and check ``T`` before anything is computed."""
    trajectory = read_trajectory(given["data"])
    sample_temperature(trajectory, given["T"])
    require_flag(given["progress"], "progress")
    return trajectory


def answer(
    operation: str,
    trajectory: Trajectory,
    moments: Moments,
    columns: Mapping[str, Column],
    coords: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    window: Window | None = None,
    velocity: bool = False,
    doubts: Sequence[Diagnostic] = (),
    attrs: Mapping[str, Any] = {},
    **recorded: Any,
) -> xr.Dataset:
    """Label the results of an operation.

    Parameters
    ----------
    operation : str
    trajectory : Trajectory
    moments : Moments
        With ``drift``, what the centre of mass moves from frame to frame (Å), where
        there is a window.
    columns, coords : mapping
        Variables and coordinates.
    given : mapping
        The arguments of the call, for the history: numbers per atom as "array", the
        window in ps.
    window : Window, optional
        Whose length, taper and number later steps read from the attributes.
    velocity : bool
        Whether the spectra are of velocities.
    doubts : sequence of Diagnostic
    attrs : mapping
        Further attributes of the Dataset.
    **recorded : object
        Further entries of the history.
    """
    known: dict[str, str] = {}
    attributes = dict(attrs)
    if window is not None:
        drift = moments.mean["drift"] / window.step
        known = trajectory.motion(drift, window.time, velocity=velocity)
        time = f"{window.time:.10g} ps"
        attributes |= {"window": f"{time}, {window.shape}", "segments": moments.n}
        recorded |= {"window": time, "dE": None}
    known |= diagnosed(known, *moments.doubts(), *doubts)
    kept = {
        name: "array" if np.ndim(getattr(value, "data", value)) else value
        for name, value in given.items()
        if name not in ("data", "T", "progress", *recorded)
    }
    return label(
        trajectory,
        columns,
        coords,
        operation=operation,
        arguments={**kept, "segments": moments.n, **recorded},
        temperature=sample_temperature(trajectory, given["T"], moments.temperature),
        attrs=attributes,
        found=known,
    )
