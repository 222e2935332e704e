"""Vibrational density of states and displacements of a trajectory.

Every atom with itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.errors import QuantityError, RangeError
from xbp.core.operation import operation
from xbp.md.folding import band_matrix, folding_limit, require_resolved
from xbp.md.labels import (
    Column,
    label,
    positive,
    sample_temperature,
    window_attrs,
    window_frames,
)
from xbp.md.plan import Taper, cosines, energy_grid, lag_resolution, make_taper
from xbp.md.run import segments, summarize
from xbp.md.trajectory import Block, Trajectory, read_trajectory
from xbp.md.weights import neutron_cross_sections, require_neutrons, user_weights
from xbp.reduction.dos_area import AreaOf, area_attributes

__all__ = ["msd", "vdos"]

#: Atoms whose spectra are formed at a time.
_ATOMS = 256


@operation(
    takes="trajectory",
    gives="vibrational_dos",
    step=3,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
)
def vdos(
    data: xr.Dataset,
    *,
    E_max: Any = None,
    dE: Any = None,
    window: Any = None,
    resolution: Any = None,
    weights: Any = "mass",
    b: Any = None,
    partials: bool = False,
    taper: Taper = "hann",
    T: Any = None,
    folding: float | None = 0.1,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute the vibrational density of states g(E) from the velocities of a trajectory, or from its positions.

    .. math:: g(E) \propto \int \mathrm{d}t\, e^{iEt/\hbar} W(t) R(t)
              \sum_j w_j \langle \mathbf v_j(t)\cdot\mathbf v_j(0)\rangle, \quad
              \int_0^\infty g\,\mathrm{d}E = 1

    by the theorem of Wiener and Khinchin, padded with zeros. Without velocities, Δr/Δt
    between neighbouring frames stands for v, and its response sin²(x)/x², x = EΔt/2ħ,
    is divided out of g.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory, best with velocities.
    E_max, dE, window, resolution, taper, T, progress
        As for `dynamic_structure_factor`.
    weights : {"mass", "unit", "neutron"} or array_like, shape (n_atoms,)
        w_j = m_j gives the density of states of an alloy, where every mode counts
        alike; ones weigh the light atoms' modes more; ``neutron`` is σ_j (coherent and
        incoherent), which gives the neutron-weighted Σ c_i (σ_i/M_i) g_i(E).
    b : mapping of symbol to number, optional
        As for `dynamic_structure_factor`, for ``weights="neutron"``.
    folding : float or None
        The frames are too far apart, and the call is refused, where g within 5 % of
        h/2Δt is above this part of its maximum, whatever `E_max`, or atoms move less
        between frames than their velocities would take them: faster vibrations are
        folded back then. None: not checked.
    partials : bool
        The density of states of each element, of unit area, along ``element``; the
        coordinate ``weight`` is its share in the total, ``(g *
        weight).sum("element")``.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over E ≥ 0 with ``g_std`` from the scatter of the segments.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`; QuantityError if there are no velocities, and
        atoms move by half of the cell between frames.

    References
    ----------
    J. M. Dickey & A. Paskin, Phys. Rev. 188, 1407 (1969), doi:10.1103/PhysRev.188.1407.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     20, 400, cell=10, energy="8 meV", T=300, mass=40, time_step="50 fs", seed=1)
    >>> g = solid.bp.vdos(window="10 ps").g
    >>> round(float(g.E[g.argmax("E")]), 1)
    7.9
    """
    trajectory = read_trajectory(data)
    trajectory.require_space("the area of g(E)")
    limit = folding_limit(folding)
    moving = trajectory.velocity is not None
    length = window_frames(trajectory, window, dE)
    step = trajectory.time_step
    energies = energy_grid(length, step, E_max)
    shape = make_taper(taper, length)
    per_atom = _power_weights(trajectory, weights, b)
    if partials:
        element = trajectory.elements()
        symbols = np.unique(element)
        groups = np.stack([np.where(element == s, per_atom, 0.0) for s in symbols])
        for symbol, group in zip(symbols, groups, strict=True):
            if not group.any():
                raise QuantityError(
                    f"the weights of '{symbol}' are zero",
                    reason="it has no partial",
                    fix="'mass'",
                )
    else:
        groups = per_atom[None]
    cut = segments(trajectory, length, shape, between=not moving)
    finish = _VelocitySpectra.make(
        groups,
        shape,
        step,
        energies.size,
        lag_resolution(resolution, length, step),
        moving,
    )
    moments = summarize(
        trajectory,
        cut,
        finish,
        position=not moving,
        velocity=moving,
        T=T,
        progress=progress,
    )
    if not np.isfinite(moments.mean["g"]).all():
        raise QuantityError(
            "atoms move by half the cell from one frame to the next",
            reason="their periodic images, and hence their velocities, are ambiguous",
            fix="write velocities, or write frames more often",
        )
    require_resolved(moments.mean["bands"], trajectory, limit, "g(E)", T)
    value, std = moments.mean["g"], moments.std("g", cut.correlation)
    dims: tuple[str, ...] = ("element", "E") if partials else ("E",)
    if not partials:
        value, std = value[0], None if std is None else std[0]
    coords: dict[str, Any] = {"E": ("E", energies)}
    if partials:
        share = moments.mean["power"] / moments.mean["power"].sum()
        coords["element"] = ("element", symbols)
        coords["weight"] = (
            "element",
            share,
            {"units": "1", "long_name": "share of the element in the total"},
        )
    of: AreaOf = "modes of an element" if partials else "weighted modes"
    if (
        not partials
        and trajectory.mass is not None
        and np.allclose(per_atom * trajectory.mass[0], trajectory.mass * per_atom[0])
    ):
        of = "all modes"  # each counts as its mass
    attrs = {
        "weighting": weights if isinstance(weights, str) else "array"
    } | area_attributes(1.0, of)
    return label(
        trajectory, {"g": Column(dims, value, std, "1/meV", "vibrational_dos", attrs)}, coords, operation="vdos",
        arguments={
            "E_max": E_max, "window": f"{length * step:.10g} "
                                      "ps", "taper": taper, "resolution_fwhm": resolution,
            "weights": attrs["weighting"], "partials": partials or None,
            "velocities": None if moving else "of positions in neighboring frames",
            "segments": moments.n,
        },
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs=window_attrs(length, step, taper, moments.n),
        found=trajectory.motion(moments.mean["drift"], length * step, velocity=moving),
    )  # fmt: skip


def _power_weights(trajectory: Trajectory, weights: Any, b: Any) -> np.ndarray:
    require_neutrons(weights, b)
    if not isinstance(weights, str):
        values = user_weights(trajectory, weights)
        if (values < 0).any():
            raise QuantityError(
                "a weight is negative", reason="g(E) is not", fix="give weights ≥ 0"
            )
        return values
    if weights == "mass":
        return trajectory.masses()
    if weights == "unit":
        return np.ones(trajectory.n_atoms)
    if weights == "neutron":
        return neutron_cross_sections(trajectory.elements(), b)
    raise QuantityError(
        f"weights={weights!r} are not known",
        reason="a density of states is weighted by 'mass', 'unit', 'neutron', or one "
        "number for each atom",
        fix="weights='mass'",
    )


@dataclass(frozen=True)
class _VelocitySpectra:
    """Spectra of velocities, or of steps between frames.

    Attributes
    ----------
    groups : numpy.ndarray, shape (n_groups, n_atoms)
    taper : numpy.ndarray, shape (n_lags,)
    waves : numpy.ndarray, shape (n_lags, n_E)
        Correlations → g, before it is brought to unit area.
    area : numpy.ndarray, shape (n_lags,)
        Correlations → the area of g up to h/2Δt.
    bands : numpy.ndarray, shape (n_lags, n_bands)
    step : float or None
        Time between frames, ps, where velocities are steps over it.
    """

    groups: np.ndarray
    taper: np.ndarray
    waves: np.ndarray
    area: np.ndarray
    bands: np.ndarray
    step: float | None

    @classmethod
    def make(
        cls,
        groups: np.ndarray,
        taper: np.ndarray,
        step: float,
        n_E: int,
        resolution: np.ndarray,
        moving: bool,
    ) -> _VelocitySpectra:
        length = taper.size
        every = energy_grid(length, step, None)
        # ∫ over both signs of E is the correlation at t = 0; half of it is on the side
        # E > 0.
        waves = 2 * cosines(every, step, resolution)
        if moving:
            area = np.zeros(length)
            area[0] = 1
            return cls(
                groups,
                taper,
                waves[:, :n_E],
                area,
                band_matrix(length, step, power=0),
                None,
            )
        # np.sinc(x) is sin(πx)/(πx); EΔt/2ħ = π E Δt/h.
        response = np.sinc(every * step / constants.PLANCK) ** 2
        share = np.full(every.size, constants.PLANCK / (length * step))
        share[0] /= 2
        if length % 2 == 0:
            share[-1] /= 2
        waves = waves / response
        return cls(
            groups,
            taper,
            waves[:, :n_E],
            waves @ share,
            band_matrix(length, step, power=0, response=response),
            step,
        )

    def _velocities(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Return velocities with the whole at rest, and that of the whole, Å/ps."""
        return block.split_velocities() if self.step is None else block.steps(self.step)

    def __call__(self, block: Block, starts: list[int]) -> dict[str, np.ndarray]:
        velocity, flow = self._velocities(block)
        length = self.taper.size
        n_fft = scipy.fft.next_fast_len(2 * length - 1, real=True)
        power = np.zeros((len(starts), len(self.groups), n_fft // 2 + 1))
        for number, start in enumerate(starts):
            for first in range(0, velocity.shape[2], _ATOMS):
                atoms = slice(first, first + _ATOMS)
                series = (
                    velocity[start : start + length, :, atoms]
                    * self.taper[:, None, None]
                )
                spectra = scipy.fft.rfft(series, n=n_fft, axis=0, overwrite_x=True)
                power[number] += (
                    self.groups[:, atoms]
                    @ (spectra.real**2 + spectra.imag**2).sum(axis=1).T
                )
        correlations = scipy.fft.irfft(power, n=n_fft, axis=-1)[..., :length]
        whole = correlations @ self.area
        return {
            "g": (correlations / whole[..., None]) @ self.waves,
            "power": whole,
            "bands": correlations @ self.bands,
            "drift": np.stack(
                [flow[start : start + length].mean(axis=0) for start in starts]
            ),
        }


@operation(
    takes="trajectory",
    gives="mean_square_displacement",
    step=4,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
)
def msd(
    data: xr.Dataset,
    *,
    time_max: Any = None,
    window: Any = None,
    partials: bool = False,
    T: Any = None,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute the mean-square displacement of the atoms, the whole being at rest.

    .. math:: \mathrm{msd}(t) = \langle |\mathbf r_j(t_0+t) - \mathbf r_j(t_0)|^2
    \rangle_{j,t_0}

    In a solid it has the plateau 6u², with u² per axis; in a plane of atoms 4u².

    Parameters
    ----------
    data, T, progress
        As for `dynamic_structure_factor`. Wrapped positions are unwrapped: no atom may
        move by half of the cell from one frame to the next.
    time_max : scalar with units, optional
        Longest time (bare: ps); by default half of the window.
    window : scalar with units, optional
        Length of the segments (bare: ps; 10 ps by default).
    partials : bool
        Of each element, along ``element``; the coordinate ``weight`` is its share of
        the atoms.

    Returns
    -------
    xarray.Dataset
        ``msd`` over time and ``u2`` = msd/6 averaged over the second half of the times
        (both angstrom²), each with ``_std``. Where the msd grows still, u2 is no
        plateau and grows with `time_max`.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`.

    References
    ----------
    V. Calandrini et al., École thém. Soc. Fr. Neutron. 12, 201 (2011),
    doi:10.1051/sfn/201112010.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     500, 400, cell=10, energy="8 meV", T=300, mass=40, time_step="50 fs", seed=1)
    >>> round(float(solid.bp.msd(window="10 ps").u2), 3)  # k_BT/mΩ² = 0.042
    0.042
    """
    trajectory = read_trajectory(data)
    length = window_frames(trajectory, window, None)
    step = trajectory.time_step
    lags = (
        length // 2 + 1
        if time_max is None
        else int(positive(time_max, "ps", "time_max") / step + 1e-6) + 1
    )
    if not 2 <= lags <= length:
        raise RangeError(
            f"time_max={time_max} is "
            f"{'below the time step' if lags < 2 else 'beyond the window'}",
            reason=f"frames are {step:.4g} ps apart in windows of {length * step:.4g} "
            "ps",
            fix="change time_max= or window=",
        )
    if partials:
        symbols, index, counts = np.unique(
            trajectory.elements(), return_inverse=True, return_counts=True
        )
    else:
        symbols, index, counts = (
            np.array([""]),
            np.zeros(trajectory.n_atoms, int),
            np.array([trajectory.n_atoms]),
        )
    cut = segments(trajectory, length)
    moments = summarize(
        trajectory,
        cut,
        _Displacements(index, counts, length, lags, trajectory.dimension),
        T=T,
        progress=progress,
    )
    columns = {}
    for name, dims, quantity, long_name in (
        ("msd", ("time",), "mean_square_displacement", None),
        (
            "u2",
            (),
            None,
            f"mean-square displacement per axis, msd/{2 * trajectory.dimension} over "
            "the second half of the times",
        ),
    ):
        value, std = moments.mean[name], moments.std(name, cut.correlation)
        if not partials:
            value, std = value[0], None if std is None else std[0]
        attrs = {} if long_name is None else {"long_name": long_name}
        columns[name] = Column(
            (*(("element",) if partials else ()), *dims),
            value,
            std,
            "angstrom**2",
            quantity,
            attrs,
        )
    coords: dict[str, Any] = {"time": ("time", np.arange(lags) * step)}
    if partials:
        coords |= {
            "element": ("element", symbols),
            "weight": ("element", counts / counts.sum(), {"units": "1"}),
        }
    return label(
        trajectory, columns, coords, operation="msd",
        arguments={"window": f"{length * step:.10g} "
                             "ps", "partials": partials or None, "segments": moments.n},
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs=window_attrs(length, step, "boxcar", moments.n),
        found=trajectory.motion(moments.mean["drift"] / step, length * step),
    )  # fmt: skip


@dataclass(frozen=True)
class _Displacements:
    index: np.ndarray
    counts: np.ndarray
    length: int
    lags: int
    dimension: int

    def __call__(self, block: Block, starts: list[int]) -> dict[str, np.ndarray]:
        total = np.zeros((len(starts), self.counts.size, self.lags))
        for number, start in enumerate(starts):
            path = block.part(start, start + self.length).path()
            for first in range(0, path.shape[2], _ATOMS):
                atoms = slice(first, first + _ATOMS)
                per_atom = _squared_displacements(path[:, :, atoms], self.lags)
                np.add.at(total[number], self.index[atoms], per_atom.T)
        total /= self.counts[:, None]
        drift = block.drift(starts, self.length)
        return {
            "drift": drift,
            "msd": total,
            "u2": total[..., self.lags // 2 :].mean(axis=-1) / (2 * self.dimension),
        }


def _squared_displacements(path: np.ndarray, lags: int) -> np.ndarray:
    """Average |r(t+τ) − r(t)|² over t.

    Σ r² at both ends less twice the correlation, shape (lags, atom).
    """
    length = path.shape[0]
    n_fft = scipy.fft.next_fast_len(2 * length - 1, real=True)
    spectra = scipy.fft.rfft(path, n=n_fft, axis=0)
    products = scipy.fft.irfft(
        (spectra.real**2 + spectra.imag**2).sum(axis=1), n=n_fft, axis=0
    )[:lags]
    squares = np.concatenate(
        [np.zeros((1, path.shape[2])), np.cumsum((path**2).sum(axis=1), axis=0)]
    )
    lag = np.arange(lags)
    ends = squares[length - lag] + squares[length] - squares[lag]
    return np.asarray((ends - 2 * products) / (length - lag)[:, None])
