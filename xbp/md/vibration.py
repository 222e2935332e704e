"""Vibrational density of states and mean-square displacement of a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.errors import QuantityError
from xbp.core.guards import require_flag
from xbp.core.operation import operation
from xbp.md.block import velocities_unknown
from xbp.md.plan import answer, read_call
from xbp.md.run import segments, summarize
from xbp.md.trajectory import Block
from xbp.md.uneven import is_uneven, uneven_msd
from xbp.md.weights import groups_of, power_weights
from xbp.md.window import (
    Taper,
    Window,
    band_matrix,
    cosines,
    energy_grid,
    require_resolved,
    steps_response,
)
from xbp.reduction.dos_area import AreaOf, area_attributes, area_coordinate

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
    directions: bool = False,
    taper: Taper = "hann",
    T: Any = None,
    folding: float | None = 0.1,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute the vibrational density of states g(E) of a trajectory.

    .. math:: g(E) \propto \int \mathrm{d}t\, e^{iEt/\hbar} W(t) R(t)
              \sum_j w_j \langle \mathbf v_j(t)\cdot\mathbf v_j(0)\rangle, \quad
              \int_0^\infty g\,\mathrm{d}E = 1

    by the theorem of Wiener and Khinchin, padded with zeros. Without velocities, Δr/Δt
    between neighbouring frames is used for v, and its response sin²(x)/x², x = EΔt/2ħ,
    is divided out of g.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory, best with velocities.
    E_max, dE, window, resolution, taper, T, progress
        As for `dynamic_structure_factor`.
    weights : {"mass", "unit", "neutron"} or array_like, shape (n_atoms,)
        w_j = m_j gives the density of states of an alloy, where all modes count
        equally; with ones the modes of light atoms count more; ``neutron`` is σ_j
        (coherent and incoherent), which gives the neutron-weighted Σ c_i (σ_i/M_i)
        g_i(E).
    b : mapping of symbol to number, optional
        As for `dynamic_structure_factor`, for ``weights="neutron"``.
    folding : float or None
        The frames are too far apart, and the call is refused, where g within 5 % of
        h/2Δt is above this part of its maximum, whatever `E_max`, or atoms move less
        between frames than their velocities would take them: faster vibrations are
        folded back then. None: not refused; a diagnostic has the level. Where neither
        velocities nor T and masses are known, a diagnostic records that displacements
        were not checked.
    partials : bool
        The density of states of each element, of unit area, along ``element``; the
        coordinate ``weight`` is its share in the total, ``(g *
        weight).sum("element")``.
    directions : bool
        The motion along x, y and z (x and y of a plane of atoms), along ``direction``,
        as of films and in shear: ``g.sum("direction")`` is g, of unit area, and the
        coordinate ``area`` is the share of each, a third in a solid at equilibrium.
        What follows from one of them (C, u², θ) is that of a solid whose modes are all
        like those along this axis.

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
    ...     20, 400, cell=10, energy="8 meV", T=300, mass=40, time_step="50 fs", rng=1)
    >>> g = solid.bp.vdos(window="10 ps").g
    >>> round(float(g.E[g.argmax("E")]), 1)
    7.9
    """
    given = dict(locals())
    trajectory = read_call(given)
    moving = trajectory.velocity is not None
    frames = Window.make(trajectory, given, between=not moving)
    per_atom = power_weights(trajectory, weights, b)
    by_element = require_flag(partials, "partials")
    by_axis = require_flag(directions, "directions")
    symbols, index, _ = groups_of(trajectory, by_element)
    groups = np.where(index == np.arange(len(symbols))[:, None], per_atom, 0.0)
    for symbol in symbols[~groups.any(axis=1)]:
        raise QuantityError(f"the weights of '{symbol}' are zero", fix="weights='mass'")
    moments = summarize(
        trajectory,
        segments(trajectory, frames.taper, between=not moving),
        _velocity_spectra(groups, frames, moving, trajectory.dimension, by_axis),
        given=given,
        position=not moving,
        velocity=moving,
        streams=True,
    )
    if not np.isfinite(moments.mean["g"]).all():
        if moving:
            raise QuantityError(
                "relative to the center of mass, velocities are zero or not finite"
            )
        if (moments.mean["power"] == 0).all():
            raise QuantityError(
                "the atoms do not move relative to their center of mass"
            )
        raise velocities_unknown()
    doubts = require_resolved(moments.mean["bands"], trajectory, frames, "g(E)", T)
    coords: dict[str, Any] = {"E": ("E", frames.energies)}
    if by_element:
        text = "share of the element in the total"
        share = moments.mean["power"].sum(axis=1)
        share = share / share.sum()
        coords["element"] = ("element", symbols)
        coords["weight"] = ("element", share, {"units": "1", "long_name": text})
    of: AreaOf = "modes of an element" if by_element else "weighted modes"
    mass = trajectory.mass
    by_mass = mass is not None and np.allclose(per_atom * mass[0], mass * per_atom[0])
    if by_mass and not by_element:
        of = "all modes"  # each atom counts as its mass
    name = weights if isinstance(weights, str) else "array"
    dims = ("element",) if by_element else ()
    if by_axis:
        parts = moments.mean["power"][slice(None) if by_element else 0]
        dims = (*dims, "direction")
        coords["direction"] = ("direction", list("xyz")[: trajectory.dimension])
        parts = parts / parts.sum(axis=-1, keepdims=True)
        coords["area"] = area_coordinate(xr.DataArray(parts, dims=dims))
    unit_area = area_attributes(1.0, of)
    column = moments.column(
        "g", (*dims, "E"), "1/meV", "vibrational_dos", row=None if by_element else 0,
        attrs={"weighting": name, **({"area_of": of} if by_axis else unit_area)},
    )  # fmt: skip
    return answer(
        "vdos", trajectory, moments, {"g": column}, coords, given, window=frames,
        velocity=moving, doubts=doubts,
        velocities=None if moving else "of positions in neighboring frames",
    )  # fmt: skip


def _velocity_spectra(
    groups: np.ndarray, window: Window, moving: bool, dimension: int, by_axis: bool
) -> Callable[[Block, list[int]], dict[str, np.ndarray]]:
    """Return what makes g(E) of groups of atoms from velocities, or else from steps.

    Correlations are brought to unit area up to h/2Δt, those along the axes together.
    """
    length, step, taper = window.length, window.step, window.taper
    every = energy_grid(length, step, None)
    # ∫ over both signs of E is the correlation at t = 0; half of it is on the side
    # E > 0.
    waves = 2 * cosines(every, step, window.resolution)
    area: np.ndarray = (np.arange(length) == 0).astype(float)
    response = None
    if not moving:
        response = steps_response(every, step)
        share = np.full(every.size, constants.PLANCK / (length * step))
        share[0] /= 2
        if length % 2 == 0:
            share[-1] /= 2
        waves = waves / response
        area = waves @ share
    waves = waves[:, : window.energies.size]
    bands = band_matrix(window, response=response)

    def spectra(block: Block, starts: list[int]) -> dict[str, np.ndarray]:
        if not block.fits:
            block = block.flowing() if moving else block.at_rest()
        parts = [slice(start, start + length) for start in starts]
        found: Any = 0.0
        for atoms, group in block.groups():
            velocity, flow = group.split_velocities() if moving else group.steps(step)
            own = [
                autocorrelations(velocity[p], taper, groups[:, atoms]) for p in parts
            ]
            found = found + np.stack(own)
        correlations = found[:, :, :dimension]
        whole = correlations @ area
        if not by_axis:
            correlations = correlations.sum(axis=2)
        norm = whole.sum(axis=2).reshape(*whole.shape[:2], *[1] * (1 + by_axis))
        with np.errstate(invalid="ignore"):  # of atoms at rest
            density = (correlations / norm) @ waves
        return {
            "g": density,
            "power": whole,
            "bands": correlations @ bands,
            "drift": np.stack([flow[part].mean(axis=0) for part in parts]) * step,
        }

    return spectra


def autocorrelations(
    series: np.ndarray, taper: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Sum the autocorrelations of components of atoms over groups.

    Parameters
    ----------
    series : numpy.ndarray, shape (n_lags, n_components, n_atoms)
    taper : numpy.ndarray, shape (n_lags,)
    groups : numpy.ndarray, shape (n_groups, n_atoms)

    Returns
    -------
    numpy.ndarray, shape (n_groups, n_components, n_lags)
    """
    length, n_components, n_atoms = series.shape
    n_fft = scipy.fft.next_fast_len(2 * length - 1, real=True)
    power = np.zeros((len(groups), n_components, n_fft // 2 + 1))
    for first in range(0, n_atoms, _ATOMS):
        atoms = slice(first, first + _ATOMS)
        tapered = series[..., atoms] * taper[:, None, None]
        spectra = scipy.fft.rfft(tapered, n=n_fft, axis=0, overwrite_x=True)
        squares = spectra.real**2 + spectra.imag**2
        power += np.tensordot(groups[:, atoms], squares, (1, 2)).swapaxes(1, 2)
    return np.asarray(scipy.fft.irfft(power, n=n_fft, axis=-1)[..., :length])


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
        move by half of the cell from one frame to the next. Frames that are not equally
        spaced, such as log-spaced, give the lags that their pairs have.
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
        (both angstrom²), each with ``_std``. While the msd still grows, u2 is not a
        plateau and grows with `time_max`. Of frames that are not equally spaced
        ``msd`` alone, with the coordinate ``n_pairs``: how many pairs each lag has.

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
    ...     500, 400, cell=10, energy="8 meV", T=300, mass=40, time_step=0.05, rng=1)
    >>> round(float(solid.bp.msd(window="10 ps").u2), 3)  # k_BT/mΩ² = 0.042
    0.042
    """
    given = dict(locals())
    trajectory = read_call(given)
    by_element = require_flag(partials, "partials")
    if is_uneven(trajectory):
        return uneven_msd(trajectory, given)
    frames = Window.make(trajectory, given)
    lags = frames.lags(time_max)
    symbols, index, counts = groups_of(trajectory, by_element)
    axes = 2 * trajectory.dimension
    length = frames.length

    def displacements(block: Block, starts: list[int]) -> dict[str, np.ndarray]:
        total = np.zeros((len(starts), counts.size, lags))
        block = block.at_rest()
        for some, group in block.groups():
            for number, start in enumerate(starts):
                path = group.part(start, start + length).path()
                for first in range(0, path.shape[2], _ATOMS):
                    atoms = slice(first, first + _ATOMS)
                    per_atom = _squared_displacements(path[:, :, atoms], lags)
                    np.add.at(total[number], index[some][atoms], per_atom.T)
        total /= counts[:, None]
        u2 = total[..., lags // 2 :].mean(axis=-1) / axes
        return {"msd": total, "u2": u2, "drift": block.drift(starts, length)}

    cut = segments(trajectory, frames.taper)
    moments = summarize(trajectory, cut, displacements, given=given, streams=True)
    element, row = (("element",), None) if by_element else ((), 0)
    dims, units = (*element, "time"), "angstrom**2"
    text = f"mean-square displacement per axis, msd/{axes} at long times"
    columns = {
        "msd": moments.column("msd", dims, units, "mean_square_displacement", row=row),
        "u2": moments.column("u2", element, units, row=row, attrs={"long_name": text}),
    }
    coords: dict[str, Any] = {"time": ("time", np.arange(lags) * frames.step)}
    if by_element:
        coords["element"] = ("element", symbols)
        coords["weight"] = ("element", counts / counts.sum(), {"units": "1"})
    return answer("msd", trajectory, moments, columns, coords, given, window=frames)


def _squared_displacements(path: np.ndarray, lags: int) -> np.ndarray:
    """Average |r(t+τ) − r(t)|² over t, shape (lags, atom).

    That is Σ r² at both ends less twice the correlation.
    """
    length = path.shape[0]
    n_fft = scipy.fft.next_fast_len(2 * length - 1, real=True)
    spectra = scipy.fft.rfft(path, n=n_fft, axis=0)
    squares = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    products = scipy.fft.irfft(squares, n=n_fft, axis=0)[:lags]
    sums = np.cumsum((path**2).sum(axis=1), axis=0)
    sums = np.concatenate([np.zeros((1, path.shape[2])), sums])
    lag = np.arange(lags)
    ends = sums[length - lag] + sums[length] - sums[lag]
    return np.asarray((ends - 2 * products) / (length - lag)[:, None])
