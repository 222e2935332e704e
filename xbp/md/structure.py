"""S(Q) and g(r) of a trajectory, and the transforms between them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of
from xbp.core.data import is_lazy
from xbp.core.errors import QuantityError, RangeError, require, shown
from xbp.core.grid import bin_limits
from xbp.core.guards import (
    choose,
    require_flag,
    require_memory,
    require_number,
    require_positive,
)
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.signal import Signal, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, split_quantity
from xbp.md.block import heights
from xbp.md.density import Task, mean_static, pairs
from xbp.md.plan import Plan, Precision, answer, read_call
from xbp.md.run import average
from xbp.md.trajectory import Block, Trajectory
from xbp.md.wavevectors import Shells
from xbp.md.weights import Constant, Normalization, groups_of
from xbp.models.dimension import ball, wave_average
from xbp.reduction.comparable import wrong_limit
from xbp.reduction.sample import sample_density

__all__ = [
    "radial_distribution",
    "structure_factor",
    "to_radial_distribution",
    "to_structure_factor",
]


@operation(takes="trajectory", gives="static_structure_factor", step=1)
def structure_factor(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    weights: Any = "neutron",
    b: Any = None,
    partials: bool = False,
    normalization: Normalization = "ashcroft-langreth",
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    precision: Precision = "single",
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute S(Q) of a trajectory over all wave vectors that its cell allows.

    .. math:: S(Q) = \frac{1}{N\langle w^2\rangle} \Big\langle
              \Big|\sum_j w_j e^{i\mathbf Q\cdot\mathbf r_j}\Big|^2 \Big\rangle_{t,
              |\mathbf Q|=Q}

    for ``normalization="ashcroft-langreth"``, which tends to 1; Faber and Ziman's is
    (S − 1)⟨w²⟩/⟨w⟩² + 1, which tends to 1 as well and does not contain the self part.

    Parameters
    ----------
    data, Q_max, dQ, weights, b, T, max_wavevectors_per_shell, precision, progress
        As for `dynamic_structure_factor`.
    partials : bool
        Every pair of elements on its own, along ``pair``; ``(Sq * weight).sum("pair")``
        is the total.
    normalization : {"ashcroft-langreth", "faber-ziman", "number"}
        Of totals and partials; ``number`` divides partials by N.

    Returns
    -------
    xarray.Dataset
        ``Sq`` with ``Sq_std`` over Q, the mean of each shell, ``Q_bnds`` its limits.
        The std is from the scatter of ten parts of the trajectory or more. Frames close
        in time add little: thin them out, ``traj.isel(time=slice(None, None, 10))``.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`.

    References
    ----------
    D. A. Keen, J. Appl. Cryst. 34, 172 (2001), doi:10.1107/S0021889800019993.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     100, 40, cell=12, T=300, mass=40, time_step=0.05, rng=1)
    >>> Sq = gas.bp.structure_factor(3, 0.5, weights="unit").Sq
    >>> bool(abs(Sq[-1] - 1) < 0.1)
    True
    """
    given = dict(locals())
    trajectory = read_call(given)
    plan = Plan.make(trajectory, given, static=True)
    channels = plan.weighting.channels
    task = Task(np.ones(1), Constant(channels), len(channels), pairs, plan.precision)
    mixing = plan.mixing

    def mean(block: Block, shells: Shells) -> dict[str, np.ndarray]:
        rows = mean_static(block, task, shells)[None]
        return {"Sq": mixing.mixed(rows)[0] + mixing.offset}

    moments = average(trajectory, mean, plan.shells_task, given=given)
    column = plan.column(moments, "Sq", ("Q",), "1", "static_structure_factor")
    return answer(
        "structure_factor", trajectory, moments, {"Sq": column}, plan.coordinates(),
        given,
    )  # fmt: skip


@operation(takes="trajectory", gives="radial_distribution", step=5)
def radial_distribution(
    data: xr.Dataset,
    r_max: Any = None,
    dr: Any = "0.02 angstrom",
    *,
    partials: bool = False,
    T: Any = None,
    progress: bool = False,
) -> xr.Dataset:
    r"""Compute the radial distribution function g(r) of a trajectory.

    .. math:: g_{ab}(r) = \frac{V}{N_aN_b} \Big\langle \sum_{j\in a, k\in b, k\neq j}
              \frac{\delta(r - r_{jk})}{4\pi r^2} \Big\rangle

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory. Consecutive frames add little: of a long one take every 50th,
        ``traj.isel(time=slice(None, None, 50))``.
    r_max : scalar with units, optional
        Largest distance (bare: angstrom); by default half of the smallest distance
        between faces of the cell. Beyond that, images of one atom are counted as
        neighbors, as they should be. The time goes with r_max³: 0.3 s per frame for
        4000 atoms to 20 Å, and 0.03 s to 10 Å on one core.
    dr : scalar with units
        Width of the bins (bare: angstrom).
    partials : bool
        Of every pair of elements, along ``pair``; the coordinate ``weight`` is c_a c_b
        (twice that for unlike ones), its share in the total.
    T, progress
        As for `dynamic_structure_factor`.

    Returns
    -------
    xarray.Dataset
        ``rdf`` over r with ``rdf_std`` from the scatter of ten parts of the trajectory,
        0 in the hard core, where there are no pairs; ``attrs["number_density"]`` in
        1/angstrom³. In a plane of atoms 2πr takes the place of 4πr² and its area that
        of the volume: the density is in 1/angstrom².

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`.

    References
    ----------
    J.-P. Hansen & I. R. McDonald, Theory of Simple Liquids, 4th ed. (2013), eq. 2.5.10.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     500, 20, cell=20, T=300, mass=40, time_step=1, rng=1)
    >>> gas.bp.radial_distribution(8, 2).rdf.isel(r=slice(1, None)).round(1).values
    array([1., 1., 1.])
    """
    given = dict(locals())
    trajectory = read_call(given)
    edges = _bins(trajectory, r_max, dr)
    by_pair = require_flag(partials, "partials")
    symbols, index, counts = groups_of(trajectory, by_pair)
    a, b = np.triu_indices(symbols.size)
    sides, cutoff = trajectory.repeats.tolist(), float(edges[-1])
    width = edges[1]
    n_bins = edges.size - 1
    pair = np.zeros((counts.size,) * 2, dtype=np.int32)
    pair[a, b] = pair[b, a] = np.arange(a.size)

    def histogram(block: Block) -> dict[str, np.ndarray]:
        vesin = require("vesin", "find neighbors", "md")
        neighbors = vesin.NeighborList(cutoff=cutoff, full_list=False)
        # Without partials the distances are enough.
        quantities = "d" if pair.size == 1 else "dij"
        found = np.zeros(a.size * (n_bins + 1))
        for places, cell in zip(block.scaled(), block.cells, strict=True):
            points = (places - np.floor(places)).T @ cell
            distance, *ij = neighbors.compute(
                points=points, box=cell, periodic=sides, quantities=quantities
            )
            place = (distance / width).astype(np.int32)
            if ij:
                place += pair[index[ij[0]], index[ij[1]]] * (n_bins + 1)
            # The bin above the last is for what rounding puts there.
            found += np.bincount(place, minlength=found.size)
        rows = found.reshape(a.size, -1)[:, :n_bins]
        return {"counts": rows / block.n_frames}

    moments = average(trajectory, histogram, given=given)
    # Atoms of a pair of elements, each seen from the other; an atom is not its own
    # neighbor.
    both = np.where(a == b, counts[a] * (counts[a] - 1) / 2, counts[a] * counts[b])
    # In a plane of atoms rings take the place of shells, and its area that of the
    # volume.
    shells = np.diff(ball(edges, trajectory.dimension))
    density = trajectory.density
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = trajectory.n_atoms / density / (both[:, None] * shells)
    column = moments.column(
        "counts", ("pair", "r") if by_pair else ("r",), "1", "radial_distribution",
        row=None if by_pair else 0, scale=scale,
    )  # fmt: skip
    coords: dict[str, Any] = {
        "r": ("r", (edges[1:] + edges[:-1]) / 2, {"bounds": "r_bnds"}),
        "r_bnds": (("r", "bnds"), np.stack([edges[:-1], edges[1:]], axis=1)),
    }
    if by_pair:
        names = [f"{symbols[i]}-{symbols[j]}" for i, j in zip(a, b, strict=True)]
        share = counts[a] * counts[b] * np.where(a == b, 1, 2) / counts.sum() ** 2
        text = "share of the partial in the total"
        coords["pair"] = ("pair", np.array(names))
        coords["weight"] = ("pair", share, {"units": "1", "long_name": text})
    return answer(
        "radial_distribution", trajectory, moments, {"rdf": column}, coords, given,
        attrs={"number_density": density},
    )  # fmt: skip


def _bins(trajectory: Trajectory, r_max: Any, dr: Any) -> np.ndarray:
    """Return the edges of the bins, Å, of a trajectory that has a g(r)."""
    periodic, n = trajectory.repeats, trajectory.n_atoms
    if not trajectory.is_periodic:
        raise QuantityError(
            "g(r) needs a periodic box; a side of this one is open",
            fix="traj.attrs['periodic'] = '111' if the box is periodic",
        )
    if n < 2:
        raise QuantityError("the trajectory has one atom, which has no neighbors")
    highest = float(heights(trajectory.mean_cell)[periodic].min()) / 2
    if r_max is not None:
        highest = require_positive(r_max, "r_max", "angstrom")
    width = require_number(dr, "dr", "angstrom", above=0, most=highest)
    # At least the distance of each pair of a frame.
    n_pairs = n * trajectory.density * ball(highest, trajectory.dimension) / 2
    what = f"the pairs up to r_max={highest:.4g} angstrom"
    require_memory(n_pairs, what, fix="lower r_max=")
    require_memory(highest / width, f"bins of dr={width:.4g} angstrom")
    n_bins = int(highest / width + 1e-9)
    return np.asarray(np.arange(n_bins + 1) * width)


Damping = Literal["lorch", "none"]


@operation(
    takes="radial_distribution",
    gives="static_structure_factor",
    step=10,
)
@carries_common_errors(linear=True)
def to_structure_factor(
    data: xr.Dataset, Q: Any, *, number_density: Any = None, window: Damping = "lorch"
) -> Any:
    r"""Transform g(r) to S(Q).

    .. math:: S(Q) = 1 + \rho \int_0^{r_{max}} 4\pi r^2 (g(r) - 1) \frac{\sin Qr}{Qr}
              W(r)\,\mathrm{d}r

    with W = sin(πr/r_max)/(πr/r_max) for ``window="lorch"``. For partials this is Faber
    and Ziman's. In a plane of atoms 2πr J₀(Qr) takes the place of 4πr² sin(Qr)/Qr.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        g(r) (``radial_distribution``).
    Q : array_like, shape (n,), or scalar with units
        Ascending and positive (bare: 1/angstrom); one number: to there by 0.05.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default as `to_radial_distribution`.
    window : {"lorch", "none"}
        Fading at r_max, which broadens, or an end that rings.

    Returns
    -------
    xarray.Dataset
        ``Sq``, with ``Sq_std`` where the data have a std (of independent bins).

    Raises
    ------
    XbpError
        If the data are not g(r) or contain NaN, or no density is known.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     500, 20, cell=20, T=300, mass=40, time_step=1, rng=1)
    >>> g = gas.bp.radial_distribution(8)
    >>> g.bp.to_structure_factor([2.0, 4.0]).Sq.round(0).values
    array([1., 1.])
    """
    signal = read(data, "radial_distribution")
    return _transformed("to_structure_factor", signal, Q, number_density, window)


@operation(takes="static_structure_factor", gives="radial_distribution", step=10)
@carries_common_errors(linear=True)
def to_radial_distribution(
    data: xr.Dataset, r: Any, *, number_density: Any = None, window: Damping = "lorch"
) -> Any:
    r"""Transform S(Q) to g(r).

    .. math:: g(r) = 1 + \frac{1}{(2\pi)^3\rho}
              \int_0^{Q_{max}} 4\pi Q^2 (S(Q) - 1) \frac{\sin Qr}{Qr} W(Q)\,\mathrm{d}Q

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        S(Q) that tends to 1; of Faber and Ziman where there are several elements. What
        is missing below the first bin counts as 1.
    r : array_like, shape (n,), or scalar with units
        Ascending and positive (bare: angstrom); one number: all to there by 0.02.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default ``attrs["number_density"]``, or
        ``attrs["V_rho"]`` as from a ``.sqw`` file.
    window : {"lorch", "none"}
        As for `to_structure_factor`, at Q_max.

    Returns
    -------
    xarray.Dataset
        ``rdf``, with ``rdf_std`` where the data have a std. A diagnostic if it is not 0
        below the first shell, as with a wrong density or a wrong ⟨b⟩².

    Raises
    ------
    XbpError
        If the data are not S(Q), have gaps, do not tend to 1, or no density is known.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> Sq = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    >>> g = Sq.bp.to_radial_distribution(
    ...     [1.0, 2.8, 3.8], number_density="0.0574 1/angstrom^3")
    >>> bool(g[1] > 2 > 1 > g[2] > g[0])
    True
    """
    signal = read(data, "static_structure_factor")
    if (level := wrong_limit(signal.value)) is not None:
        fix = "if this is F(Q) = S(Q) - 1, add 1: (sq + 1).assign_attrs(sq.attrs)"
        if level > 0.2:  # F(Q) ends near 0
            fix = f"sq.bp.scale({1 / level:.3g}), or first normalize_to_sum_rule()"
        raise QuantityError(
            f"'{signal.value.name}' does not tend to 1: it is {level:.2g} on average "
            "over the upper half of Q",
            fix=fix,
        )
    signal = _measured(signal)
    return _transformed("to_radial_distribution", signal, r, number_density, window)


def _transformed(
    operation: str, signal: Signal, at: Any, number_density: Any, window: Any
) -> Any:
    """Return 1 + factor ∫ 4πx² (f − 1) sin(xy)/(xy) dx."""
    density, source = sample_density(signal, number_density)
    d = dimension_of(signal.value)
    dim, name, units, inverse, step = ("Q", "r", "1/angstrom", "angstrom", 0.02)
    factor, quantity = 1 / ((2 * np.pi) ** d * density), "radial_distribution"
    if operation == "to_structure_factor":
        dim, name, units, inverse, step = ("r", "Q", "angstrom", "1/angstrom", 0.05)
        factor, quantity = density, "static_structure_factor"
    points = _points(name, inverse, at, step=step)
    value, std = signal.value, signal.std
    to_units = convert_factor(value[dim].attrs["units"], units, name=f"'{dim}'")
    bounded = signal.source if isinstance(signal.source, xr.Dataset) else value
    lower, upper = (limits * to_units for limits in bin_limits(bounded, dim))
    x = value[dim].values * to_units
    if not bool(np.isfinite(value).all()):
        raise QuantityError(
            f"'{value.name}' contains NaN; the transform needs every bin",
            fix=f"value.dropna('{dim}'), or value.interpolate_na('{dim}')",
        )
    require_memory(2.0 * points.size * x.size, f"transforming to {points.size} points")
    fading: Damping = choose(window, Damping, "window")
    damping = np.sinc(x / upper[-1]) if fading == "lorch" else 1.0
    kernel = wave_average(np.outer(points, x), d)
    kernel = kernel * (damping * (ball(upper, d) - ball(lower, d)))
    matrix = xr.DataArray(kernel, dims=(name, dim))
    place = {name: (name, points, {"units": inverse})}
    integral = xr.dot(value.drop_vars(dim) - 1, matrix, dim=dim)
    value = (1 + factor * integral).assign_coords(place)
    if std is not None:
        std = std_along(std, dim).drop_vars(dim)
        std = factor * xr.dot(std**2, matrix**2, dim=dim) ** 0.5
    below = _below_the_first_shell(value, density) if name == "r" else {}
    arguments = {
        name: f"{points[0]:g} … {points[-1]:g} ({points.size})",
        "window": fading,
        "number_density": f"{density:.10g} 1/angstrom**{d} ({source})",
    }
    return signal.answer(
        value, std, operation=operation, units="1", quantity=quantity,
        attrs={"number_density": density} | below, arguments=arguments,
    )  # fmt: skip


def _points(dim: str, units: str, given: Any, *, step: float) -> np.ndarray:
    """Return where a transform is wanted: points, or equal steps up to one number."""
    several, own = isinstance(given, list | tuple), None
    plain = getattr(given, "magnitude", given)
    if isinstance(given, str) or not (several or np.ndim(plain)):
        end = require_positive(given, dim, units)
        require_memory(end / step, f"steps of {step:g} {units} up to {dim}={end:.4g}")
        plain = np.arange(1, int(end / step * (1 + 1e-9)) + 1) * step
    elif not several:
        plain, own = split_quantity(given, dim, units)
    try:
        points = np.asarray(getattr(plain, "values", plain), dtype=float)
    except (TypeError, ValueError):
        points = np.empty(0)
    flat = points.ndim == 1 and points.size > 0
    steps = np.diff(points, prepend=0.0) if flat else points
    wrong: Any = np.flatnonzero(~(steps > 0)) if flat else []
    if not flat or len(wrong) or not np.isfinite(points[-1]):
        at = int(wrong[0]) if len(wrong) else -1
        raise RangeError(
            f"{dim}={shown(given)} must be ascending positive numbers"
            + (f"; {dim}[{at}] is {points[at]:g}" if flat else ""),
            fix=f"{dim}=np.arange(0.1, 20, 0.05), in {units}, or {dim}='20 {units}'",
        )
    return np.asarray(points * convert_factor(own or units, units, name=dim))


def _measured(signal: Signal) -> Signal:
    """Leave out the ends of S(Q) that were not measured; gaps are not."""
    value = signal.value
    if is_lazy(value):
        return signal
    known = value.notnull().all([d for d in value.dims if d != "Q"]).values
    if not known.any() or known.all():
        return signal
    first, last = np.flatnonzero(known)[[0, -1]]
    return read(signal.source.isel(Q=slice(first, last + 1)), "static_structure_factor")


def _below_the_first_shell(rdf: xr.DataArray, density: float) -> dict[str, str]:
    """Return the diagnostic that g(r) is not near 0 where no two atoms are.

    Between 0.3 and 0.7 of the first shell it is within 0.2, whatever the end of S(Q)
    rings; with another density it is 1 − ρ_true/ρ there.
    """
    if rdf.ndim != 1 or is_lazy(rdf):
        return {}
    shell = float(rdf.idxmax())
    inside = rdf.sel(r=slice(0.3 * shell, 0.7 * shell))
    if not inside.size or abs(level := float(inside.mean())) < 0.2:
        return {}
    return diagnosed({}, Diagnostic(
        "core_not_empty", "warning",
        f"g(r) is {level:.2g}, not 0, below the first shell: number_density="
        f"{density:.4g} or the scale of S(Q) is wrong",
        f"number_density={density * (1 - level):.2g} would fit",
    ))  # fmt: skip
