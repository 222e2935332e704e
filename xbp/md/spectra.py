"""S(Q,E), F(Q,t) and current spectra of a trajectory."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.operation import operation
from xbp.md.correlation import Task, longitudinal_transverse
from xbp.md.density import Precision
from xbp.md.folding import band_matrix, folding_limit, require_resolved
from xbp.md.labels import (
    Column,
    label,
    positive,
    sample_temperature,
    window_attrs,
    window_frames,
)
from xbp.md.mixing import Normalization
from xbp.md.plan import (
    Plan,
    Taper,
    ToCorrelations,
    ToSpectra,
    coherent,
    cosines,
    energy_grid,
    lag_resolution,
    make_taper,
)
from xbp.md.run import segments, summarize
from xbp.md.trajectory import read_trajectory
from xbp.md.weights import Constant

__all__ = [
    "current_spectra",
    "dynamic_structure_factor",
    "intermediate_scattering_function",
]

Part = Literal["coherent", "incoherent"]


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
    normalization: Normalization = "ashcroft-langreth",
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
        A trajectory, as `open_trajectory` gives it.
    Q_max, dQ : scalar with units
        Largest wave vector, and width of the shells (bare: 1/angstrom).
    E_max : scalar with units, optional
        Largest energy (bare: meV); by default h/2Δt, what the frames resolve.
    window, dE : scalar with units, optional
        Length of the segments (bare: ps; 10 ps by default), or the energy step
        h/window.
    resolution : scalar with units, optional
        FWHM of a Gaussian in energy (bare: meV). The window broadens as well: with
        Hann's taper a line has the FWHM 1.44 h/window.
    weights : {"neutron", "xray", "unit", "mass"} or array_like, shape (n_atoms,)
        Coherent scattering lengths, form factors f(Q), ones, masses, or one number for
        each atom.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm) in place of the tabulated ones, which
        elements need whose b depends on the energy or is complex (Gd, Sm, Eu, Cd, …):
        ``{"Gd": 9.5 - 13.8j}``. Pairs count by Re(b_j b_k*). A pair ``(b, 151)`` gives
        the incoherent cross section (bare: barn) too, which else is the tabulated one.
    part : {"coherent", "incoherent"}
        All pairs of atoms, or each atom with itself; then ``neutron`` weighs by the
        incoherent cross section σ_inc/4π in place of b², and S is divided by its sum:
        F(Q,0) = 1.
    partials : bool
        Every pair of elements on its own, along ``pair``. The coordinate ``weight``
        makes the total of them: ``(S * weight).sum("pair")``.
    normalization : {"ashcroft-langreth", "number"}
        Totals are divided by N⟨w²⟩; partials by √(N_a N_b), or by N.
    taper : {"hann", "boxcar"}
        Weight of the frames of a segment. Hann's keeps the elastic line from leaking,
        and segments overlap by half; ``boxcar`` ends them abruptly.
    T : scalar with units, optional
        Temperature, where neither the data carry it nor velocities tell it.
    max_wavevectors_per_shell : int, optional
        Use at most so many wave vectors of a shell (±Q both count), drawn at random;
        all by default.
    origin_step : int, optional
        ``part="incoherent"``: frames between time origins; by default 16 origins in a
        segment.
    precision : {"single", "double"}
        Of the densities: about 1e-4, or 1e-9 relative.
    folding : float or None
        The frames are too far apart, and the call is refused, where E² S(Q,E) within 5
        % of h/2Δt is above this part of its maximum at any Q, whatever `E_max`, or
        atoms move less between frames than their velocities would take them: faster
        motion is folded back then. None: not checked.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``S`` (1/meV) over Q and E ≥ 0 (it is even), ``Sq`` (its integral), each with
        ``_std`` of the mean from the scatter of the segments, where there are two or
        more; coordinates ``n_wavevectors``, ``temperature`` (where known) and ``u2``,
        the mean-square displacement per axis within a window. Q is the mean over each
        shell, ``Q_bnds`` its limits.

    Raises
    ------
    QuantityError, CoordinateError, RangeError, UnitsError, TemperatureError
        If the data are no trajectory or one of one frame, have atoms without a place or
        weight, the window does not fit in, no allowed wave vector is as small as
        `Q_max`, or the frames are too far apart.

    References
    ----------
    L. Van Hove, Phys. Rev. 95, 249 (1954), doi:10.1103/PhysRev.95.249; P. D. Welch,
    IEEE Trans. Audio Electroacoust. 15, 70 (1967), doi:10.1109/TAU.1967.1161901.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step="50 fs", seed=1)
    >>> sqe = gas.bp.dynamic_structure_factor("2 1/angstrom", "0.2 1/angstrom", window="2 ps", weights="unit")
    >>> sqe.S.dims, sqe.S.attrs["units"], sqe.S.attrs["statistics"]
    (('Q', 'E'), '1/meV', 'classical')
    """
    length = window_frames(read_trajectory(data), window, dE)
    plan = Plan.make(
        data, Q_max, dQ, length=length, weights=weights, b=b, part=part, partials=partials,
        normalization=normalization,
        precision=precision, max_wavevectors_per_shell=max_wavevectors_per_shell, origin_step=origin_step,
    )  # fmt: skip
    trajectory = plan.trajectory
    step = trajectory.time_step
    energies = energy_grid(length, step, E_max)
    shape = make_taper(taper, length)
    limit = folding_limit(folding)
    waves = cosines(energies, step, lag_resolution(resolution, length, step))
    finish = ToSpectra(
        plan.mixing.mix, shape, waves, band_matrix(length, step, power=2)
    )
    cut = segments(trajectory, length, shape)
    moments = plan.run(cut, shape, finish, T, progress)
    require_resolved(
        moments.mean["bands"][plan.alike], trajectory, limit, "E² S(Q,E)", T
    )
    dims = plan.dims
    columns = {
        "S": plan.column(
            moments, cut, "S", (*dims, "Q", "E"), "1/meV", "dynamic_structure_factor"
        ),
        "Sq": plan.column(
            moments, cut, "Sq", (*dims, "Q"), "1", "static_structure_factor"
        ),
    }
    arguments = {
        "Q_max": Q_max, "dQ": dQ, "E_max": E_max, "window": f"{length * step:.10g} "
                                                            "ps", "taper": taper,
        "resolution_fwhm": resolution, "segments": moments.n, **plan.arguments,
    }  # fmt: skip
    ds = label(
        trajectory, columns, {**plan.coordinates(), "E": ("E", energies)},
        operation="dynamic_structure_factor", arguments=arguments,
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs=window_attrs(length, step, taper, moments.n),
        found=trajectory.motion(moments.mean["drift"] / step, length * step),
    )  # fmt: skip
    u2 = xr.Variable(
        (),
        float(moments.mean["u2"]) * 3 / trajectory.dimension,
        {"units": "angstrom**2"},
    )
    u2.attrs["long_name"] = "mean-square displacement per axis within a window"
    return ds.assign_coords(u2=u2)


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
    normalization: Normalization = "ashcroft-langreth",
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
    resolution : scalar with units, optional
        FWHM of a Gaussian in energy (bare: meV), multiplied in as exp(−σ²t²/2ħ²).

    Returns
    -------
    xarray.Dataset
        ``F`` over Q and time (ps) with ``F_std`` from the scatter of the segments.

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
    >>> gas = xbp.md.models.ideal_gas(50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step="50 fs", seed=1)
    >>> F = gas.bp.intermediate_scattering_function(2, 0.2, window="2 ps", weights="unit", part="incoherent").F
    >>> bool((abs(F.isel(time=0) - 1) < 1e-4).all()), F.dims
    (True, ('Q', 'time'))
    """
    length = window_frames(read_trajectory(data), window, None)
    plan = Plan.make(
        data, Q_max, dQ, length=length, weights=weights, b=b, part=part, partials=partials,
        normalization=normalization,
        precision=precision, max_wavevectors_per_shell=max_wavevectors_per_shell, origin_step=origin_step,
    )  # fmt: skip
    trajectory = plan.trajectory
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
    finish = ToCorrelations(
        plan.mixing.mix, lag_resolution(resolution, length, step)[:lags]
    )
    cut = segments(trajectory, length)
    moments = plan.run(cut, np.ones(length), finish, T, progress)
    column = plan.column(
        moments,
        cut,
        "F",
        (*plan.dims, "Q", "time"),
        "1",
        "intermediate_scattering_function",
    )
    arguments = {
        "Q_max": Q_max, "dQ": dQ, "window": f"{length * step:.10g} "
                                            "ps", "resolution_fwhm": resolution,
        "segments": moments.n, **plan.arguments,
    }  # fmt: skip
    return label(
        trajectory, {"F": column}, {**plan.coordinates(), "time": ("time", np.arange(lags) * step)},
        operation="intermediate_scattering_function", arguments=arguments,
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs=window_attrs(length, step, "boxcar", moments.n),
        found=trajectory.motion(moments.mean["drift"] / step, length * step),
    )  # fmt: skip


@operation(
    takes="trajectory",
    gives="current_spectrum",
    step=7,
    when=lambda traj: "velocity" in traj and traj.sizes["time"] > 1,
)
def current_spectra(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    E_max: Any = None,
    dE: Any = None,
    window: Any = None,
    resolution: Any = None,
    weights: Any = "unit",
    b: Any = None,
    taper: Taper = "hann",
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    precision: Precision = "single",
    folding: float | None = 0.3,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute the longitudinal and transverse current spectra of a trajectory with velocities.

    .. math:: C_L(Q,E) = \frac{1}{2\pi\hbar} \int \mathrm{d}t\, e^{iEt/\hbar}
    \frac{1}{N\langle w^2\rangle}
              \langle j_L(\mathbf Q,t)\, j_L^*(\mathbf Q,0) \rangle, \quad
              \mathbf j(\mathbf Q,t) = \sum_j w_j \mathbf v_j e^{i\mathbf Q\cdot\mathbf
              r_j}

    with ``j_L = j·Q/|Q|``; C_T is half of what the rest of j gives. Continuity ties C_L
    to the density: C_L = (E/ħQ)² S.

    Parameters
    ----------
    data, Q_max, dQ, E_max, dE, window, resolution, taper, T, max_wavevectors_per_shell,
    precision, progress
        As for `dynamic_structure_factor`.
    folding : float or None
        As for `dynamic_structure_factor`, of C_L and C_T.
    weights : {"unit", "mass", "neutron"} or array_like, shape (n_atoms,)
        Ones, masses (the momentum density), scattering lengths, or one number for each
        atom.
    b : mapping of symbol to number, optional
        As for `dynamic_structure_factor`; real.

    Returns
    -------
    xarray.Dataset
        ``C_L`` and ``C_T`` (angstrom²/ps²/meV) over Q and E ≥ 0, each with ``_std``.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`; QuantityError if there are no velocities.

    References
    ----------
    J.-P. Hansen & I. R. McDonald, Theory of Simple Liquids, 4th ed. (2013), eqs.
    8.4.1–8.4.7.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step="50 fs", seed=1)
    >>> sorted(gas.bp.current_spectra(1, 0.5, window="2 ps").data_vars)
    ['C_L', 'C_L_std', 'C_T', 'C_T_std']
    """
    if isinstance(weights, str) and weights == "xray":
        raise QuantityError(
            "weights='xray' have no current",
            reason="form factors depend on Q",
            fix="weights='unit' or 'mass'",
        )
    trajectory = read_trajectory(data)
    trajectory.require_velocity()
    trajectory.require_space("the share of the transverse current")
    length = window_frames(trajectory, window, dE)
    plan = Plan.make(
        data, Q_max, dQ, length=length, weights=weights, b=b, part="coherent", partials=False,
        normalization="ashcroft-langreth",
        precision=precision, max_wavevectors_per_shell=max_wavevectors_per_shell, origin_step=None,
    )  # fmt: skip
    if np.iscomplexobj(plan.weighting.factors):
        raise QuantityError(
            "a scattering length is complex",
            reason="the weights of currents must be real",
            fix="weights='unit' or 'mass'",
        )
    step = trajectory.time_step
    energies = energy_grid(length, step, E_max)
    shape = make_taper(taper, length)
    task = Task(
        shape,
        Constant(plan.weighting.channels, velocity=True),
        3,
        longitudinal_transverse,
        plan.precision,
    )
    rows = np.eye(2)[:, :, None] * plan.mixing.mix
    limit = folding_limit(folding)
    waves = cosines(energies, step, lag_resolution(resolution, length, step))
    finish = ToSpectra(rows, shape, waves, band_matrix(length, step, power=0))
    cut = segments(trajectory, length, shape)
    moments = summarize(
        trajectory,
        cut,
        coherent,
        plan.delayed_shells(),
        task,
        finish,
        velocity=True,
        T=T,
        progress=progress,
    )
    require_resolved(
        moments.mean["bands"], trajectory, limit, "the current spectrum", T
    )
    std = moments.std("S", cut.correlation)
    columns = {
        name: Column(
            ("Q", "E"), moments.mean["S"][row], None if std is None else std[row], "angstrom**2/meV/ps**2",
            "current_spectrum", {"long_name": f"{name}(Q,E)"},
        )
        for row, name in enumerate(("C_L", "C_T"))
    }  # fmt: skip
    arguments = {
        "Q_max": Q_max, "dQ": dQ, "E_max": E_max, "window": f"{length * step:.10g} "
                                                            "ps", "taper": taper,
        "resolution_fwhm": resolution, "segments": moments.n, **plan.arguments,
    }  # fmt: skip
    return label(
        trajectory, columns, {**plan.coordinates(), "E": ("E", energies)},
        operation="current_spectra", arguments=arguments,
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs={
            **({"number_density": trajectory.n_atoms / trajectory.volume} if trajectory.repeats.all() else {}),
            **window_attrs(length, step, taper, moments.n),
        },
        found=trajectory.motion(moments.mean["drift"] / step, length * step, velocity=True),
    )  # fmt: skip
