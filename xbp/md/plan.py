"""What the spectra of a trajectory have in common.

Wave vectors, weights, partials, and how tasks finish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.errors import QuantityError, RangeError
from xbp.md.correlation import Task, pairs, segment_correlations, self_correlations
from xbp.md.density import Precision, check_precision
from xbp.md.labels import Column, positive, shell_coordinates
from xbp.md.mixing import Mixing, check_normalization, mix_rows
from xbp.md.run import Moments, Segments, delayed, summarize
from xbp.md.trajectory import Block, Trajectory, read_trajectory
from xbp.md.wavevectors import Shells, allowed_wavevectors
from xbp.md.weights import Constant, Weighting, weighting

__all__ = [
    "Plan",
    "Taper",
    "ToCorrelations",
    "ToSpectra",
    "cosines",
    "energy_grid",
    "lag_resolution",
    "make_taper",
]

Taper = Literal["hann", "boxcar"]

#: Time origins in a segment for the self part, whose N atoms are averages enough.
_ORIGINS = 16


def make_taper(name: str, length: int) -> np.ndarray:
    """Return the weights of the frames of a window; Hann's as a periodic window."""
    if name not in ("hann", "boxcar"):
        raise RangeError(
            f"taper={name!r} is not known",
            reason="a window ends softly ('hann': no leakage of the elastic line) or "
            "not ('boxcar')",
            fix="taper='hann'",
        )
    return (
        np.asarray(np.hanning(length + 1)[:length])
        if name == "hann"
        else np.ones(length)
    )


def energy_grid(length: int, step: float, E_max: Any) -> np.ndarray:
    """Return E = k h/window up to E_max, at most h/2Δt, in meV."""
    highest = constants.PLANCK / (2 * step)
    top = highest if E_max is None else positive(E_max, "meV", "E_max", energy=True)
    if top > highest * (1 + 1e-9):
        raise RangeError(
            f"E_max={E_max} ({top:g} meV) is beyond what the frames resolve",
            reason=f"they are {step:g} ps apart, which tells energies up to "
            f"{highest:.4g} meV (h/2Δt)",
            fix="lower E_max, or write frames more often",
        )
    dE = constants.PLANCK / (length * step)
    return np.asarray(np.arange(int(top / dE * (1 + 1e-9)) + 1) * dE)


def lag_resolution(fwhm: Any, length: int, step: float) -> np.ndarray:
    """Return exp(−σ²t²/2ħ²) for t = 0 … length−1 steps.

    a Gaussian in energy, given by its FWHM.
    """
    if fwhm is None:
        return np.ones(length)
    sigma = positive(fwhm, "meV", "resolution", energy=True) / np.sqrt(8 * np.log(2))
    return np.asarray(
        np.exp(
            -0.5
            * (2 * np.pi * sigma / constants.PLANCK * step * np.arange(length)) ** 2
        )
    )


def cosines(energies: np.ndarray, step: float, resolution: np.ndarray) -> np.ndarray:
    """Return the matrix of (1/2πħ) ∫ dt cos(Et/ħ) R(t) over both signs of t, shape (n_lags, n_E), 1/meV."""
    lags = np.arange(resolution.size)
    matrix = (
        2
        * np.cos(2 * np.pi / constants.PLANCK * step * np.outer(lags, energies))
        * resolution[:, None]
    )
    matrix[0] /= 2
    return np.asarray(matrix * (step / constants.PLANCK))


@dataclass(frozen=True)
class ToSpectra:
    """Turn the correlations of segments into spectra, within their task.

    Attributes
    ----------
    mix : numpy.ndarray, shape (n_out, n_rows, n_Q or 1)
        How rows of correlations add up to what is answered.
    taper : numpy.ndarray, shape (n_frames,)
    cosines : numpy.ndarray, shape (n_frames, n_E)
    bands : numpy.ndarray, shape (n_frames, n_bands)
        Which show whether the spectra have fallen at h/2Δt, see `band_matrix`.
    """

    mix: np.ndarray
    taper: np.ndarray
    cosines: np.ndarray
    bands: np.ndarray

    def __call__(
        self, correlations: np.ndarray, block: Block, starts: list[int]
    ) -> dict[str, np.ndarray]:
        """Answer S over (segment, out, Q, E), its integral, and the displacement within segments."""
        mixed = _mixed(self.mix, correlations) / (self.taper**2).sum()
        return {
            "S": mixed @ self.cosines,
            "Sq": mixed[..., 0],
            "bands": mixed @ self.bands,
            "u2": _displacement(block, starts, self.taper.size),
            "drift": block.drift(starts, self.taper.size),
        }


@dataclass(frozen=True)
class ToCorrelations:
    """Turn the correlations of segments into F(Q,t), without bias, within their task."""

    mix: np.ndarray
    resolution: np.ndarray

    def __call__(
        self, correlations: np.ndarray, block: Block, starts: list[int]
    ) -> dict[str, np.ndarray]:
        """Answer F over (segment, out, Q, time)."""
        lags = self.resolution.size
        n_pairs_of_frames = correlations.shape[-1] - np.arange(lags)
        F = _mixed(self.mix, correlations[..., :lags]) * (
            self.resolution / n_pairs_of_frames
        )
        return {"F": F, "drift": block.drift(starts, correlations.shape[-1])}


def _mixed(mix: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    n_Q = correlations.shape[2]
    whole = np.broadcast_to(mix, (*mix.shape[:2], n_Q))
    return np.asarray(np.einsum("orq,srqt->soqt", whole, correlations, optimize=True))


def _displacement(block: Block, starts: list[int], length: int) -> np.ndarray:
    """Average (r − ⟨r⟩)² per axis over the atoms of each segment, Å²."""
    paths = (block.part(start, start + length).path() for start in starts)
    return np.array([(path**2).mean() * length / (length - 1) for path in paths])


def coherent(
    block: Block,
    starts: list[int],
    shells: Shells,
    task: Task,
    finish: Callable[..., Mapping[str, np.ndarray]],
) -> Mapping[str, np.ndarray]:
    """Answer for all pairs of atoms."""
    return finish(segment_correlations(block, starts, task, shells), block, starts)


def incoherent(
    block: Block,
    starts: list[int],
    shells: Shells,
    task: Task,
    finish: Callable[..., Mapping[str, np.ndarray]],
    origin_step: int,
) -> Mapping[str, np.ndarray]:
    """Answer for each atom with itself, tapered as the other part is."""
    length = task.taper.size
    tapered = np.correlate(task.taper, task.taper, mode="full")[length - 1 :]
    return finish(
        self_correlations(block, starts, task, shells, origin_step) * tapered,
        block,
        starts,
    )


@dataclass(frozen=True)
class Plan:
    """A trajectory, its wave vectors, and what is made of its densities there.

    Attributes
    ----------
    trajectory : Trajectory
    Q_max, dQ : float
        1/Å.
    max_per_shell : int or None
    shells : Shells
    weighting : Weighting
    partials : bool
    normalization : str
    mixing : Mixing
    origin_step : int or None
        Of the self part; None for all pairs.
    precision : {"single", "double"}
    b : mapping or None
        Scattering lengths that were given.
    """

    trajectory: Trajectory
    Q_max: float
    dQ: float
    max_per_shell: int | None
    shells: Shells
    weighting: Weighting
    partials: bool
    normalization: str
    mixing: Mixing
    origin_step: int | None
    precision: Precision
    b: Any = None

    @classmethod
    def make(
        cls,
        data: xr.Dataset,
        Q_max: Any,
        dQ: Any,
        *,
        length: int,
        weights: Any,
        b: Any = None,
        part: str,
        partials: bool,
        normalization: str,
        max_wavevectors_per_shell: int | None,
        origin_step: int | None,
        precision: str,
        static: bool = False,
    ) -> Plan:
        """Hold every argument to what it may be, and list the wave vectors."""
        trajectory = read_trajectory(data)
        q_max = positive(Q_max, "1/angstrom", "Q_max")
        dq = positive(dQ, "1/angstrom", "dQ")
        for name, number in (
            ("max_wavevectors_per_shell", max_wavevectors_per_shell),
            ("origin_step", origin_step),
        ):
            if number is not None and (
                isinstance(number, bool) or int(number) != number or number < 1
            ):
                raise RangeError(
                    f"{name}={number!r}",
                    reason="it is a count",
                    fix="give a positive integer",
                )
        if part not in ("coherent", "incoherent"):
            raise QuantityError(
                f"part={part!r} is not known",
                reason="atoms correlate in pairs ('coherent') or each with itself "
                "('incoherent')",
                fix="part='coherent'",
            )
        check_normalization(normalization, partials=partials, static=static)
        cell = trajectory.mean_cell
        shells = allowed_wavevectors(
            cell,
            q_max,
            dq,
            max_per_shell=max_wavevectors_per_shell,
            repeats=trajectory.repeats,
        )
        self_part = part == "incoherent"
        found = weighting(
            trajectory, weights, shells.Q, by_element=partials, squared=self_part, b=b
        )
        mixing = mix_rows(found, partials, normalization, self_part, trajectory.n_atoms)
        steps = None
        if self_part:
            steps = (
                max(1, length // _ORIGINS) if origin_step is None else int(origin_step)
            )
        elif origin_step is not None:
            raise QuantityError(
                "origin_step= is given for all pairs of atoms",
                reason="they are correlated over every pair of frames",
                fix="leave it out, or part='incoherent'",
            )
        return cls(
            trajectory, q_max, dq, max_wavevectors_per_shell, shells, found, partials, normalization, mixing, steps,
            check_precision(precision), b,
        )  # fmt: skip

    def run(
        self, cut: Segments, taper: np.ndarray, finish: Any, T: Any, progress: bool
    ) -> Moments:
        """Compute all segments."""
        channels = self.weighting.channels
        task = Task(taper, Constant(channels), len(channels), pairs, self.precision)
        shared = (self.delayed_shells(), task, finish)
        if self.origin_step is None:
            return summarize(
                self.trajectory, cut, coherent, *shared, T=T, progress=progress
            )
        return summarize(
            self.trajectory,
            cut,
            incoherent,
            *shared,
            self.origin_step,
            T=T,
            progress=progress,
        )

    def delayed_shells(self) -> Any:
        """Return the wave vectors as a task.

        Workers list them, so that they need not be sent.
        """
        return delayed(allowed_wavevectors)(
            self.trajectory.mean_cell,
            self.Q_max,
            self.dQ,
            max_per_shell=self.max_per_shell,
            repeats=self.trajectory.repeats,
        )

    @property
    def alike(self) -> Any:
        """Rows of the answer that are powers, and never negative.

        The total, or pairs of like elements.
        """
        labels = self.mixing.labels
        return (
            [row for row, name in enumerate(labels) if len(set(name.split("-"))) == 1]
            if labels
            else slice(None)
        )

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the answer before Q."""
        return ("pair",) if self.partials else ()

    def column(
        self,
        moments: Moments,
        cut: Segments,
        key: str,
        dims: tuple[str, ...],
        units: str,
        row: str,
    ) -> Column:
        """Label one of the answers; without partials it has no such dimension."""
        std = moments.std(key, cut.correlation)
        value = moments.mean[key]
        if not self.partials:
            value, std = value[0], None if std is None else std[0]
        return Column(dims, value, std, units, row)

    def coordinates(self) -> dict[str, Any]:
        """Return the coordinates of shells and partials."""
        coords = shell_coordinates(self.shells)
        if self.partials:
            share = self.mixing.share
            dims = ("pair",) if share.ndim == 1 else ("pair", "Q")
            coords["pair"] = ("pair", np.array(self.mixing.labels))
            coords["weight"] = (
                dims,
                share,
                {"units": "1", "long_name": "share of the partial in the total"},
            )
        return coords

    @property
    def arguments(self) -> dict[str, Any]:
        """What history tells of it."""
        return {
            "weights": self.weighting.name,
            "b": None
            if self.b is None
            else {str(symbol): str(value) for symbol, value in self.b.items()},
            "part": "coherent" if self.origin_step is None else "incoherent",
            "partials": self.partials or None,
            "normalization": self.normalization,
            "max_wavevectors_per_shell": self.max_per_shell,
            "origin_step": self.origin_step,
            "precision": self.precision,
        }
