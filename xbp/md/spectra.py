"""S(Q,E) and F(Q,t) of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.operation import operation
from xbp.md.density import (
    Combine,
    Task,
    longitudinal_transverse,
    pairs,
    segment_correlations,
    self_correlations,
)
from xbp.md.moments import Moments
from xbp.md.plan import Part, Plan, Precision, answer, read_call
from xbp.md.run import segments, summarize
from xbp.md.trajectory import Block
from xbp.md.uneven import is_uneven, uneven_scattering
from xbp.md.wavevectors import Shells
from xbp.md.weights import Constant, Mixing, OfSpectra
from xbp.md.window import (
    Taper,
    Window,
    band_matrix,
    energy_grid,
    require_resolved,
    steps_response,
)
from xbp.models.dimension import transverse_branches

__all__ = [
    "dynamic_structure_factor",
    "intermediate_scattering_function",
    "run_segments",
    "to_spectra",
]


@operation(
    takes="trajectory",
    gives="dynamic_structure_factor",
    step=2,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
)
def dynamic_structure_factor(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    E_max: Any = None,
    dE: Any = None,
    window: Any = None,
    resolution: Any = None,
    weights: Any = "neutron",
    b: Any = None,
    part: Part = "coherent",
    partials: bool = False,
    normalization: OfSpectra = "ashcroft-langreth",
    taper: Taper = "hann",
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    origin_step: int | None = None,
    precision: Precision = "single",
    folding: float | None = 0.3,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute S(Q,E) of a trajectory over all wave vectors that its cell allows.

    .. math:: S(Q,E) = \frac{1}{2\pi\hbar} \int \mathrm{d}t\, e^{iEt/\hbar} F(Q,t) W(t)
              R(t), \quad
              F(Q,t) = \frac{1}{N\langle w^2\rangle} \sum_{jk} w_j w_k
              \langle e^{i\mathbf Q\cdot(\mathbf r_j(t) - \mathbf r_k(0))} \rangle

    averaged over the allowed Q of a shell. W is the autocorrelation of the taper, W(0)
    = 1; R is the Gaussian of the resolution. ∫S dE over both sides is S(Q).

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory, as `open_trajectory` returns it.
    Q_max, dQ : scalar with units
        Largest wave vector, and width of the shells (bare: 1/angstrom).
    E_max : scalar with units, optional
        Largest energy (bare: meV); by default h/2Δt, what the frames resolve.
    window, dE : scalar with units, optional
        Length of the segments (bare: ps; 10 ps by default), or the energy step
        h/window.
    resolution : scalar with units, optional
        FWHM of a Gaussian in energy (bare: meV), at most h/2Δt. The window broadens as
        well: with Hann's taper a line has the FWHM 1.44 h/window.
    weights : {"neutron", "xray", "unit", "mass"} or array_like, shape (n_atoms,)
        Coherent scattering lengths, form factors f(Q), ones, masses, or one number for
        each atom.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm) in place of the tabulated ones, which
        elements need whose b depends on the energy or is complex (Gd, Sm, Eu, Cd, …):
        ``{"Gd": 9.5 - 13.8j}``. Pairs count by Re(b_j b_k*). A pair ``(b, 151)`` gives
        the incoherent cross section (bare: barn) too, which else is the tabulated one.
    part : {"coherent", "incoherent", "total"}
        All pairs of atoms, or each atom with itself; then ``neutron`` weights are the
        incoherent cross sections σ_inc/4π in place of b², and S is divided by their
        sum: F(Q,0) = 1. Or both together, as neutrons see them: coherent and
        incoherent scattering of the tables' cross sections on one scale, divided by
        Σ(b² + σ_inc/4π) over the atoms; partials are then those of both.
    partials : bool
        Every pair of elements on its own, along ``pair``. The coordinate ``weight`` is
        its share in the total, ``(S * weight).sum("pair")``.
    normalization : {"ashcroft-langreth", "number"}
        Totals are divided by N⟨w²⟩; partials by √(N_a N_b), or by N.
    taper : {"hann", "boxcar"}
        Weight of the frames of a segment. Hann's keeps the elastic line from leaking,
        and segments overlap by half; ``boxcar`` ends them abruptly.
    T : scalar with units, optional
        Temperature, where neither the data nor velocities have it.
    max_wavevectors_per_shell : int, optional
        Use at most this many wave vectors of a shell (±Q both count), drawn at random;
        all by default.
    origin_step : int, optional
        Of the self part: frames between time origins; by default 16 origins in a
        segment.
    precision : {"single", "double"}
        Of the densities: about 1e-4, or 1e-9 relative.
    folding : float or None
        The frames are too far apart, and the call is refused, where E² S(Q,E) within 5
        % of h/2Δt is above this part of its maximum at any Q, whatever `E_max`, or
        atoms move less between frames than their velocities would take them: faster
        motion is folded back then. None: not refused; a diagnostic has the level. Where
        neither velocities nor T and masses are known, a diagnostic records that
        displacements were not checked.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``S`` (1/meV) over Q and E ≥ 0 (it is even), ``Sq`` (its integral), each with
        ``_std`` of the mean from the scatter of the segments, where there are four or
        more; coordinates ``n_wavevectors``, ``temperature`` (where known) and ``u2``,
        the mean-square displacement per axis within a window. Q is the mean over each
        shell, ``Q_bnds`` its limits.

    Raises
    ------
    QuantityError, CoordinateError, RangeError, UnitsError, TemperatureError
        If the data are not a trajectory of several frames, an atom has no finite
        position or no weight, the window does not fit in, no allowed wave vector is as
        small as `Q_max`, the result would not fit in memory, or the frames are too far
        apart.

    References
    ----------
    L. Van Hove, Phys. Rev. 95, 249 (1954), doi:10.1103/PhysRev.95.249; P. D. Welch,
    IEEE Trans. Audio Electroacoust. 15, 70 (1967), doi:10.1109/TAU.1967.1161901.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step=0.05, rng=1)
    >>> sqe = gas.bp.dynamic_structure_factor(2, 0.2, window="2 ps", weights="unit")
    >>> sqe.S.dims, sqe.S.attrs["units"], sqe.S.attrs["statistics"]
    (('Q', 'E'), '1/meV', 'classical')
    """
    given = dict(locals())
    trajectory = read_call(given)
    frames = Window.make(trajectory, given)
    plan = Plan.make(trajectory, given, frames.length)
    finish = to_spectra(plan.mixing, frames, 2)
    moments = run_segments(plan, frames.taper, finish, given)
    doubts = require_resolved(
        moments.mean["bands"][plan.powers], trajectory, frames, "E² S(Q,E)", T
    )
    columns = {
        "S": plan.column(
            moments, "S", ("Q", "E"), "1/meV", "dynamic_structure_factor", part=part
        ),
        "Sq": plan.column(moments, "Sq", ("Q",), "1", "static_structure_factor"),
    }
    u2 = float(moments.mean["u2"]) * 3 / trajectory.dimension
    text = "mean-square displacement per axis within a window"
    coords = {
        **plan.coordinates(),
        "E": ("E", frames.energies),
        "u2": ((), u2, {"units": "angstrom**2", "long_name": text}),
    }
    return answer(
        "dynamic_structure_factor", trajectory, moments, columns, coords, given,
        window=frames, doubts=doubts,
    )  # fmt: skip


@operation(takes="trajectory", gives="intermediate_scattering_function")
def intermediate_scattering_function(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    time_max: Any = None,
    window: Any = None,
    resolution: Any = None,
    weights: Any = "neutron",
    b: Any = None,
    part: Part = "coherent",
    partials: bool = False,
    normalization: OfSpectra = "ashcroft-langreth",
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    origin_step: int | None = None,
    precision: Precision = "single",
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute F(Q,t) of a trajectory.

    Every pair of frames of a segment counts, without bias.

    .. math:: F(Q,t) = \frac{1}{N\langle w^2\rangle} \sum_{jk} w_j w_k
              \langle e^{i\mathbf Q\cdot(\mathbf r_j(t_0+t) - \mathbf r_k(t_0))}
              \rangle_{t_0, |\mathbf Q|=Q}

    Parameters
    ----------
    data, Q_max, dQ, weights, b, part, partials, normalization, T
        As for `dynamic_structure_factor`.
    max_wavevectors_per_shell, origin_step, precision, progress
        As for `dynamic_structure_factor`.
    time_max : scalar with units, optional
        Longest time (bare: ps); by default half of the window.
    window : scalar with units, optional
        Length of the segments, which follow one another (bare: ps; 10 ps by default).
        Frames that are not equally spaced, such as log-spaced, have none: they give
        the lags that their pairs have.
    resolution : scalar with units, optional
        FWHM of a Gaussian in energy (bare: meV), multiplied in as exp(−σ²t²/2ħ²).

    Returns
    -------
    xarray.Dataset
        ``F`` over Q and time (ps) with ``F_std`` from the scatter of the segments; of
        frames that are not equally spaced ``F`` alone, with the coordinate ``n_pairs``:
        how many pairs each lag has.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`.

    References
    ----------
    L. Van Hove, Phys. Rev. 95, 249 (1954), doi:10.1103/PhysRev.95.249.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step=0.05, rng=1)
    >>> F = gas.bp.intermediate_scattering_function(
    ...     2, 0.2, window="2 ps", weights="unit", part="incoherent").F
    >>> bool((abs(F.isel(time=0) - 1) < 1e-4).all()), F.dims
    (True, ('Q', 'time'))
    """
    given = dict(locals())
    trajectory = read_call(given)
    if is_uneven(trajectory):
        return uneven_scattering(trajectory, given)
    frames = Window.make(trajectory, given)
    plan = Plan.make(trajectory, given, frames.length)
    lags = frames.lags(time_max)
    mixing = plan.mixing
    # Every pair of frames counts, without bias.
    factor = frames.resolution[:lags] / (frames.length - np.arange(lags))

    def finish(correlations: np.ndarray) -> dict[str, np.ndarray]:
        return {"F": mixing.mixed(correlations[..., :lags]) * factor}

    moments = run_segments(plan, frames.taper, finish, given)
    column = plan.column(
        moments, "F", ("Q", "time"), "1", "intermediate_scattering_function", part=part
    )
    coords = {**plan.coordinates(), "time": ("time", np.arange(lags) * frames.step)}
    return answer(
        "intermediate_scattering_function", trajectory, moments, {"F": column}, coords,
        given, window=frames,
    )  # fmt: skip


Finish = Callable[[np.ndarray], dict[str, np.ndarray]]


def to_spectra(
    mixing: Mixing, window: Window, power: int, *, steps: bool = False
) -> Finish:
    """Return what turns correlations into S over (segment, out, Q, E), in their task.

    ``bands``, of E**power S, show whether the spectra have fallen at h/2Δt, see
    `band_matrix`. The response of velocities taken from `steps` is divided out.
    """
    norm, cosines, response = (window.taper**2).sum(), window.cosines(), None
    if steps:
        cosines = cosines / steps_response(window.energies, window.step)
        every = energy_grid(window.length, window.step, None)
        response = steps_response(every, window.step)
    bands = band_matrix(window, power=power, response=response)

    def finish(correlations: np.ndarray) -> dict[str, np.ndarray]:
        mixed = mixing.mixed(correlations) / norm
        return {"S": mixed @ cosines, "Sq": mixed[..., 0], "bands": mixed @ bands}

    return finish


def run_segments(
    plan: Plan,
    taper: np.ndarray,
    finish: Finish,
    given: Mapping[str, Any],
    *,
    velocity: bool = False,
) -> Moments:
    """Compute the correlations of all segments, and what `finish` makes of them.

    Also ``u2``, ⟨(r − ⟨r⟩)²⟩ per axis within each segment (Å²), and ``drift``.
    """
    channels = Constant(plan.weighting.channels, velocity=velocity)
    across = transverse_branches(plan.trajectory.dimension)
    steps = velocity and plan.trajectory.velocity is None
    combine: Combine = pairs
    if velocity:
        combine = partial(longitudinal_transverse, transverse=across)
    n_weights = 3 if velocity else len(channels.channels)
    task = Task(taper, channels, n_weights, combine, plan.precision)
    single = None
    if plan.single is not None:
        weights = Constant(plan.single.channels)
        single = replace(task, weights=weights, n_weights=len(weights.channels))
    cut = segments(plan.trajectory, taper, between=steps)
    origin_step, length = plan.origin_step, taper.size
    tapered = np.correlate(taper, taper, mode="full")[length - 1 :]
    if origin_step is not None and cut.correlation > 0:
        # The self part is averaged over all frames of a segment equally, half of which
        # the next one has too; the taper comes after that.
        cut = replace(cut, correlation=0.5)

    def answer(
        block: Block, starts: list[int], shells: Shells
    ) -> Mapping[str, np.ndarray]:
        if steps:
            block = block.midway(plan.trajectory.time_step)
        block = block.at_rest()
        rows = []
        if origin_step is None or single is not None:
            rows.append(segment_correlations(block, starts, task, shells))
        if origin_step is not None:
            own = task if single is None else single
            found = self_correlations(block, starts, own, shells, origin_step)
            rows.append(found * tapered)
        found = np.concatenate(rows, axis=1) if len(rows) > 1 else rows[0]
        u2 = np.zeros(len(starts))
        for _, group in block.groups():
            for number, start in enumerate(starts):
                path = group.part(start, start + length).path()
                u2[number] += (path**2).mean() * path.shape[2] / block.n_atoms
        drift = block.drift(starts, length)
        return {**finish(found), "u2": u2 * length / (length - 1), "drift": drift}

    return summarize(
        plan.trajectory, cut, answer, plan.shells_task, given=given,
        velocity=velocity and not steps, streams=not steps,
    )  # fmt: skip
