"""g(r) of a trajectory, and its Fourier transforms to and from S(Q)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.pint_data import unwrap
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, split_quantity
from xbp.md.labels import Column, label, positive, sample_temperature
from xbp.md.plane import heights
from xbp.md.run import blocks, summarize
from xbp.md.trajectory import Block, read_trajectory
from xbp.reduction.sample import sample_density, wrong_limit

__all__ = ["radial_distribution", "to_radial_distribution", "to_structure_factor"]

Window = Literal["lorch", "none"]

#: Steps of a transform that is asked for up to one number, as those of
#: `structure_factor` and `radial_distribution`.
_STEP = {"Q": 0.05, "r": 0.02}
#: An S(Q) that ends below this is no S(Q) on another scale, but F(Q), which tends to 0.
_NO_LIMIT = 0.2
#: Between these parts of the first shell there is no atom, whatever the end of S(Q)
#: rings, and g(r) is nearer to 0.
_INSIDE, _NOTHING = (0.3, 0.7), 0.2


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
        A trajectory. Frames that follow one another tell little that is new: of a long
        one take every 50th, ``traj.isel(time=slice(None, None, 50))``.
    r_max : scalar with units, optional
        Largest distance (bare: angstrom); by default half of the smallest distance
        between faces of the cell. Beyond that, images of one atom are counted as
        neighbors, as they should be. The time goes with r_max³: 0.3 s per frame for
        4000 atoms to 20 Å, and 0.03 s to 10 Å on one core.
    dr : scalar with units
        Width of the bins (bare: angstrom).
    partials : bool
        Of every pair of elements, along ``pair``; the coordinate ``weight`` is c_a c_b
        (twice that for unlike ones), which makes the total of them.
    T, progress
        As for `dynamic_structure_factor`.

    Returns
    -------
    xarray.Dataset
        ``rdf`` over r with ``rdf_std`` from the scatter of ten parts of the trajectory;
        ``attrs["number_density"]`` in 1/angstrom³. Of a plane of atoms (a cell thinner
        than half of their distance) that of two dimensions, 2πr in place of 4πr² and
        the area in place of V.

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
    >>> gas = xbp.md.models.ideal_gas(500, 20, cell=20, T=300, mass=40, time_step=1, seed=1)
    >>> gas.bp.radial_distribution(8, 2).rdf.isel(r=slice(1, None)).round(1).values
    array([1., 1., 1.])
    """
    trajectory = read_trajectory(data)
    cell = trajectory.mean_cell
    periodic = trajectory.repeats
    if trajectory.dimension == 3 and not periodic.all():
        raise QuantityError(
            "g(r) needs a periodic box; its sides are "
            + ", ".join("periodic" if p else "open" for p in periodic),
            reason="atoms near an open side have fewer neighbors, and part of the box "
            "may be empty",
            fix="traj.attrs['periodic'] = '111' if the box is periodic; otherwise "
            "pass cutoff= to count neighbors",
        )
    across = heights(cell)
    highest = (
        float(across[periodic].min()) / 2
        if r_max is None
        else positive(r_max, "angstrom", "r_max")
    )
    width = positive(dr, "angstrom", "dr")
    n_bins = int(highest / width + 1e-9)
    if n_bins < 1:
        raise RangeError(
            f"dr={dr} is above r_max={highest:g} angstrom",
            reason="there is no bin",
            fix="lower dr=",
        )
    if trajectory.n_atoms < 2:
        raise QuantityError(
            "the trajectory has one atom",
            reason="it has no neighbors",
            fix="simulate more",
        )
    if partials:
        symbols, index, counts = np.unique(
            trajectory.elements(), return_inverse=True, return_counts=True
        )
        a, b = np.triu_indices(symbols.size)
    else:
        index, counts = (
            np.zeros(trajectory.n_atoms, dtype=int),
            np.array([trajectory.n_atoms]),
        )
        a = b = np.array([0])
    edges = np.arange(n_bins + 1) * width
    cut = blocks(trajectory)
    moments = summarize(
        trajectory,
        cut,
        _Histogram(index, counts.size, edges, cut.length, periodic.tolist()),
        T=T,
        progress=progress,
    )
    # Atoms of a pair of elements, each seen from the other; an atom is no neighbor of
    # its own.
    n_pairs = np.where(a == b, counts[a] * (counts[a] - 1) / 2, counts[a] * counts[b])
    # In a plane of atoms rings take the place of shells, and its area that of the
    # volume.
    shells = (
        4 / 3 * np.pi * np.diff(edges**3)
        if periodic.all()
        else np.pi * np.diff(edges**2)
    )
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # a single atom of its kind has no partner
        scale = (
            trajectory.volume / np.prod(across[~periodic]) / (n_pairs[:, None] * shells)
        )
    value, std = moments.mean["counts"] * scale, moments.std("counts", cut.correlation)
    std = None if std is None else std * scale
    if not partials:
        value, std = value[0], None if std is None else std[0]
    coords: dict[str, Any] = {
        "r": ("r", (edges[1:] + edges[:-1]) / 2, {"bounds": "r_bnds"}),
        "r_bnds": (("r", "bnds"), np.stack([edges[:-1], edges[1:]], axis=1)),
    }
    if partials:
        coords["pair"] = (
            "pair",
            np.array([f"{symbols[i]}-{symbols[j]}" for i, j in zip(a, b, strict=True)]),
        )
        share = counts[a] * counts[b] * np.where(a == b, 1, 2) / counts.sum() ** 2
        coords["weight"] = (
            "pair",
            share,
            {"units": "1", "long_name": "share of the partial in the total"},
        )
    flat = {} if periodic.all() else {"dimensions": 2}
    column = Column(
        ("pair", "r") if partials else ("r",),
        value,
        std,
        "1",
        "radial_distribution",
        flat,
    )
    return label(
        trajectory, {"rdf": column}, coords, operation="radial_distribution",
        arguments={"r_max": r_max, "dr": dr, "partials": partials or None, "blocks": moments.n},
        temperature=sample_temperature(trajectory, T, moments.temperature),
        attrs={"number_density": trajectory.n_atoms / trajectory.volume} if periodic.all() else None,
    )  # fmt: skip


@dataclass(frozen=True)
class _Histogram:
    index: np.ndarray
    n_kinds: int
    edges: np.ndarray
    length: int
    periodic: list[bool]

    def __call__(self, block: Block, starts: list[int]) -> dict[str, np.ndarray]:
        vesin = require("vesin", "it finds the neighbors", "md")
        scaled = block.scaled()
        neighbors = vesin.NeighborList(cutoff=float(self.edges[-1]), full_list=False)
        a, b = np.triu_indices(self.n_kinds)
        kind = np.zeros((self.n_kinds, self.n_kinds), dtype=np.int32)
        kind[a, b] = kind[b, a] = np.arange(a.size)
        n_bins = self.edges.size - 1
        # Without partials the distances are enough, and the pairs themselves need not
        # be made.
        quantities = "d" if kind.size == 1 else "dij"
        counts = np.zeros((len(starts), a.size * (n_bins + 1)))
        for number, start in enumerate(starts):
            for frame in range(start, start + self.length):
                cell = block.cell if block.cell.ndim == 2 else block.cell[frame]
                inside = scaled[frame] - np.floor(scaled[frame])
                found = neighbors.compute(
                    points=inside.T @ cell,
                    box=cell,
                    periodic=self.periodic,
                    quantities=quantities,
                )
                place = (found[0] / self.edges[1]).astype(np.int32)
                if kind.size > 1:
                    place += kind.ravel()[
                        self.index[found[1]] * self.n_kinds + self.index[found[2]]
                    ] * (n_bins + 1)
                # The bin above the last is for what rounding puts there.
                counts[number] += np.bincount(place, minlength=counts.shape[1])
        return {
            "counts": counts.reshape(len(starts), a.size, -1)[..., :n_bins]
            / self.length
        }


def _damping(x: np.ndarray, highest: float, window: str) -> np.ndarray:
    if window not in ("lorch", "none"):
        raise QuantityError(
            f"window={window!r} is not known",
            reason="the end of the data either fades out ('lorch') or is cut "
            "('none'), which rings",
            fix="window='lorch'",
        )
    return np.sinc(x / highest) if window == "lorch" else np.ones_like(x)


def _transform(
    signal: Signal, dim: str, at: np.ndarray, window: str
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Integrate 4πx² (f − 1) sin(xy)/(xy) over bins of x, the std with it (bins independent)."""
    example = "angstrom" if dim == "r" else "1/angstrom"
    value, std = signal.value, signal.std
    factor = convert_factor(
        value[dim].attrs["units"], example, name=f"coordinate '{dim}'"
    )
    source = signal.source if isinstance(signal.source, xr.Dataset) else value
    lower, upper = (limits * factor for limits in bin_limits(source, dim))
    x = value[dim].values * factor
    known = np.isfinite(value)
    if not bool(known.all()):
        raise QuantityError(
            f"'{value.name}' holds NaN",
            reason="the transform needs every bin",
            fix=f"value.dropna('{dim}'), or value.interpolate_na('{dim}')",
        )
    kernel = np.sinc(np.outer(at, x) / np.pi) * (
        _damping(x, upper[-1], window) * (upper**3 - lower**3) * 4 / 3 * np.pi
    )
    matrix = xr.DataArray(kernel, dims=("__at", dim))
    integral = xr.dot(value.drop_vars(dim) - 1, matrix, dim=dim)
    spread = (
        None
        if std is None
        else xr.dot(std.drop_vars(dim) ** 2, matrix**2, dim=dim) ** 0.5
    )
    return integral, spread


@operation(
    takes="radial_distribution",
    gives="static_structure_factor",
    step=10,
    when=lambda rdf: rdf.attrs.get("dimensions") != 2,
)
@carries_common_errors(linear=True)
def to_structure_factor(
    data: xr.Dataset, Q: Any, *, number_density: Any = None, window: Window = "lorch"
) -> Any:
    r"""Transform g(r) to S(Q).

    .. math:: S(Q) = 1 + \rho \int_0^{r_{max}} 4\pi r^2 (g(r) - 1) \frac{\sin Qr}{Qr}
    W(r)\,\mathrm{d}r

    with W = sin(πr/r_max)/(πr/r_max) for ``window="lorch"``. For partials this is Faber
    and Ziman's.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        g(r) (``radial_distribution``).
    Q : array_like, shape (n,), or scalar with units
        Where to, ascending and positive (bare: 1/angstrom); one number: up to there in
        steps of 0.05 1/angstrom.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default that of the data, as for
        `to_radial_distribution`.
    window : {"lorch", "none"}
        Fading at r_max, which broadens, or an end that rings.

    Returns
    -------
    xarray.Dataset
        ``Sq``, with ``Sq_std`` where the data have a std; bins are taken as
        independent.

    Raises
    ------
    XbpError
        If this is no g(r), holds NaN, or no density is known.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(500, 20, cell=20, T=300, mass=40, time_step=1, seed=1)
    >>> gas.bp.radial_distribution(8).bp.to_structure_factor([2.0, 4.0]).Sq.round(0).values
    array([1., 1.])
    """
    signal = read(data, "radial_distribution")
    if signal.value.attrs.get("dimensions") == 2:
        raise QuantityError(
            "this g(r) is that of a plane of atoms",
            reason="the transform is that of three dimensions",
            fix="traj.bp.structure_factor(Q_max) gives the S(Q) of the plane",
        )
    density, whence = sample_density(signal, number_density)
    return _answer(
        signal,
        "r",
        "Q",
        Q,
        window,
        density,
        (density, whence),
        "static_structure_factor",
        "to_structure_factor",
    )


@operation(takes="static_structure_factor", gives="radial_distribution", step=10)
@carries_common_errors(linear=True)
def to_radial_distribution(
    data: xr.Dataset, r: Any, *, number_density: Any = None, window: Window = "lorch"
) -> Any:
    r"""Transform S(Q) to g(r).

    .. math:: g(r) = 1 + \frac{1}{(2\pi)^3\rho}
              \int_0^{Q_{max}} 4\pi Q^2 (S(Q) - 1) \frac{\sin Qr}{Qr} W(Q)\,\mathrm{d}Q

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        S(Q) (``static_structure_factor``) that tends to 1; of Faber and Ziman where
        there are several elements. It is integrated over the bins it has: what is
        missing below the first counts as 1.
    r : array_like, shape (n,), or scalar with units
        Where to, ascending and positive (bare: angstrom); one number: up to there in
        steps of 0.02 angstrom.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default ``attrs["number_density"]``, or
        ``attrs["V_rho"]`` as from a ``.sqw`` file. ``history`` says which.
    window : {"lorch", "none"}
        As for `to_structure_factor`, at Q_max.

    Returns
    -------
    xarray.Dataset
        ``rdf``, with ``rdf_std`` where the data have a std. ``attrs["beware"]``, which
        is printed, says where it is not 0 below the first shell, as with a wrong
        density or a wrong ⟨b⟩².

    Raises
    ------
    XbpError
        If this is no S(Q), holds NaN but at its ends, which are left out, or does not
        tend to 1; if no density is known, or another one than is given.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> Sq = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    >>> g = Sq.bp.to_radial_distribution([1.0, 2.8, 3.8], number_density="0.0574 1/angstrom^3")
    >>> bool(g[1] > 2 > 1 > g[2] > g[0])
    True
    """
    signal = read(data, "static_structure_factor")
    if (level := wrong_limit(signal.value)) is not None:
        raise QuantityError(
            f"'{signal.value.name}' is {level:.2g} on average over its upper half of "
            "Q, and does not tend to 1",
            reason="g(r) is that of S(Q) - 1, which fades at high Q; what is left of "
            "another scale is a spike at r = 0 "
            "and ripples",
            fix="bring S(Q,E) to scale before its integral, "
            "data.bp.normalize_to_sum_rule('f-sum', mass=...), or S(Q): "
            f"sq.bp.scale({1 / level:.3g}) makes 1 of {level:.2g}"
            if level > _NO_LIMIT
            else "of F(Q) = S(Q) - 1 add 1 first: (sq + 1).assign_attrs(sq.attrs)",
        )
    density, whence = sample_density(signal, number_density)
    factor = 1 / ((2 * np.pi) ** 3 * density)
    answer = _answer(
        _measured(signal), "Q", "r", r, window, factor, (density, whence), "radial_distribution",
        "to_radial_distribution",
    )  # fmt: skip
    rdf = answer if isinstance(answer, xr.DataArray) else answer["rdf"]
    if (said := _below_the_first_shell(unwrap(rdf)[0], density)) is not None:
        rdf.attrs["beware"] = said
    return answer


def _measured(signal: Signal) -> Signal:
    """Leave out the ends of S(Q) that were not measured, as Gudrun fills them.

    Gaps within are another matter.
    """
    value = signal.value
    if value.chunks is not None:
        return signal
    known = np.isfinite(value.values).all(
        axis=tuple(i for i, d in enumerate(value.dims) if d != "Q")
    )
    if not known.any() or known.all():
        return signal
    first, last = np.flatnonzero(known)[[0, -1]]
    return read(signal.source.isel(Q=slice(first, last + 1)), "static_structure_factor")


def _below_the_first_shell(rdf: xr.DataArray, density: float) -> str | None:
    """Say that g(r) is not 0 where no two atoms are, as with a density or a scale of S(Q) that is another's."""
    if rdf.ndim != 1 or rdf.chunks is not None:
        return None
    shell = float(rdf.idxmax())
    inside = rdf.sel(r=slice(_INSIDE[0] * shell, _INSIDE[1] * shell))
    if not inside.size or abs(level := float(inside.mean())) < _NOTHING:
        return None
    return (
        f"g(r) is {level:.2g} from {float(inside.r[0]):.2g} to "
        f"{float(inside.r[-1]):.2g} angstrom, below the first "
        f"shell, and not 0: number_density={density:.4g} (atoms per angstrom^3) or "
        "the scale of S(Q) is wrong; of this "
        f"S(Q) it would be {density * (1 - level):.2g}"
    )


def _first_wrong(dim: str, points: np.ndarray) -> str:
    """Name the first of some points that cannot be one of a curve, if they are a row at all."""
    if points.ndim != 1 or points.size == 0:
        return ""
    if not (points > 0).all():
        at = int(np.argmin(points > 0))
        return f"; {dim}[{at}] is {points[at]:g}"
    at = int(np.argmax(np.diff(points) <= 0))
    return f"; {dim}[{at}] is {points[at]:g}, and {dim}[{at + 1}] {points[at + 1]:g}"


def _points(dim: str, given: Any) -> np.ndarray:
    """Return where a transform is wanted, in 1/Å or Å.

    Points, or all in equal steps up to one number.
    """
    units = "1/angstrom" if dim == "Q" else "angstrom"
    if isinstance(given, str) or np.ndim(getattr(given, "magnitude", given)) == 0:
        end = positive(given, units, dim)
        return np.asarray(
            np.arange(1, int(end / _STEP[dim] * (1 + 1e-9)) + 1) * _STEP[dim]
        )
    numbers, own = (
        (given, None) if isinstance(given, list | tuple) else split_quantity(given, dim)
    )
    try:
        points = np.asarray(getattr(numbers, "values", numbers), dtype=float)
    except (TypeError, ValueError):
        points = np.empty(0)
    if (
        points.ndim != 1
        or points.size == 0
        or not (points > 0).all()
        or (np.diff(points) <= 0).any()
    ):
        raise RangeError(
            f"{dim}={given!r} are no points of a curve",
            reason="they are a list of ascending positive "
            f"numbers{_first_wrong(dim, points)}",
            fix=f"{dim}=np.arange(0.1, 20, 0.05), in {units}, or {dim}='20 {units}' "
            "for all up to there",
        )
    return points * convert_factor(own or units, units, name=dim)


def _answer(
    signal: Signal, old: str, new: str, at: Any, window: str, factor: float, density: tuple[float, str], quantity: str,
    name: str,
) -> Any:  # fmt: skip
    points = _points(new, at)
    value, std = _transform(signal, old, points, window)
    value = 1 + factor * value
    coordinate = xr.Variable(
        new, points, {"units": "1/angstrom" if new == "Q" else "angstrom"}
    )
    value = value.rename(__at=new).assign_coords({new: coordinate})
    std = None if std is None else (factor * std).rename(__at=new)
    return signal.answer(
        value, std, operation=name, units="1", quantity=quantity, attrs={"number_density": density[0]},
        arguments={
            new: f"{points[0]:g} … {points[-1]:g} ({points.size})", "window": window,
            "number_density": f"{density[0]:.10g} 1/angstrom**3 ({density[1]})",
        },
    )  # fmt: skip
