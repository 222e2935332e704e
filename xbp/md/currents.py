"""Longitudinal and transverse current spectra of a trajectory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import choose, require_positive
from xbp.core.operation import operation
from xbp.md.plan import Plan, Precision, answer, read_call
from xbp.md.spectra import run_segments, to_spectra
from xbp.md.window import Taper, Window, require_resolved, step_length

__all__ = ["current_spectra"]


@operation(
    takes="trajectory",
    gives="current_spectrum",
    step=7,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
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
    most_phase: float | None = 0.3,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute longitudinal and transverse current spectra of a trajectory.

    .. math:: C_L(Q,E) = \frac{1}{2\pi\hbar} \int \mathrm{d}t\, e^{iEt/\hbar}
              \frac{1}{N\langle w^2\rangle}
              \langle j_L(\mathbf Q,t)\, j_L^*(\mathbf Q,0) \rangle, \quad
              \mathbf j(\mathbf Q,t) = \sum_j w_j \mathbf v_j e^{i\mathbf Q\cdot\mathbf
              r_j}

    with ``j_L = j·Q/|Q|``; C_T is half of what the rest of j gives, in a plane of atoms
    all of it. Continuity ties C_L to the density: C_L = (E/ħQ)² S.

    Without velocities, Δr/Δt between neighbouring frames is used for v, with r halfway
    between them, and its response sin²(x)/x², x = EΔt/2ħ, is divided out, as by `vdos`.
    The frames must resolve the fastest vibration (`folding`) and the waves
    (`most_phase`): h/2Δt is 41 meV at 50 fs.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory, best with velocities.
    Q_max, dQ, E_max, dE, window, resolution, taper, T, max_wavevectors_per_shell,
    precision, progress
        As for `dynamic_structure_factor`.
    folding : float or None
        As for `dynamic_structure_factor`, of C_L and C_T.
    most_phase : float or None
        Without velocities: the largest Q Δr, of the rms displacement Δr along an axis
        between frames of the fastest element. C_L is too high by about (Q Δr)²/4, 2 %
        at 0.3, and C_T by a third of that. None: not checked.
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
        As for `dynamic_structure_factor`; without velocities RangeError if Q Δr is
        above `most_phase`, QuantityError if atoms move by half of the cell between
        frames.

    References
    ----------
    J.-P. Hansen & I. R. McDonald, Theory of Simple Liquids, 4th ed. (2013), eqs.
    8.4.1–8.4.7.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     50, 200, cell="12 angstrom", T="300 K", mass="40 u", time_step=0.05, rng=1)
    >>> sorted(gas.bp.current_spectra(1, 0.5, window="2 ps").data_vars)
    ['C_L', 'C_L_std', 'C_T', 'C_T_std']
    """
    given = dict(locals())
    trajectory = read_call(given)
    moving = trajectory.velocity is not None
    if isinstance(weights, str):  # form factors depend on Q
        choose(weights, ("unit", "mass", "neutron"), "weights")
    frames = Window.make(trajectory, given, between=not moving)
    plan = Plan.make(trajectory, given, frames.length)
    if np.iscomplexobj(plan.weighting.factors):
        raise QuantityError(
            "currents need real weights; a scattering length is complex",
            fix="pass the real part with b=, or weights='mass'",
        )
    if not moving and most_phase is not None:
        _require_small_steps(plan, require_positive(most_phase, "most_phase"))
    both = replace(plan.mixing, mix=np.eye(2)[:, :, None] * plan.mixing.mix)
    finish = to_spectra(both, frames, 0, steps=not moving)
    moments = run_segments(plan, frames.taper, finish, given, velocity=True)
    doubts = require_resolved(
        moments.mean["bands"], trajectory, frames, "the current spectrum", T
    )
    columns = {
        name: moments.column(
            "S", ("Q", "E"), "angstrom**2/meV/ps**2", "current_spectrum", row=row,
            attrs={"long_name": f"{name}(Q,E)"},
        )
        for row, name in enumerate(("C_L", "C_T"))
    }  # fmt: skip
    attrs = {}
    if trajectory.is_periodic:
        attrs["number_density"] = trajectory.density
    return answer(
        "current_spectra", trajectory, moments, columns,
        {**plan.coordinates(), "E": ("E", frames.energies)}, given, window=frames,
        velocity=moving, doubts=doubts, attrs=attrs,
        velocities=None if moving else "of positions in neighboring frames",
    )  # fmt: skip


def _require_small_steps(plan: Plan, most_phase: float) -> None:
    """Refuse frames between which atoms move by much of the shortest wave."""
    step, highest = plan.trajectory.time_step, float(plan.shells.Q.max())
    moved = step_length(plan.trajectory)
    if not moved * highest > most_phase:
        return
    fit = 0.95 * most_phase / (moved * highest)  # which rounding does not exceed
    raise RangeError(
        f"frames {1000 * step:.4g} fs apart are too coarse for currents without "
        f"velocities: Q Δr is {moved * highest:.2g} at Q = {highest:.3g} 1/angstrom",
        fix=f"Q_max={fit * highest:.2g}, or frames at most {1000 * fit * step:.2g} fs "
        f"apart (most_phase={most_phase:g})",
    )
