"""S(Q) and g(r) of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import require_flag, require_memory, require_positive, shown
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.md.density import Precision, Task, mean_static, pairs
from xbp.md.plan import Plan, answer, read_call
from xbp.md.run import blocks, summarize
from xbp.md.trajectory import Block, Trajectory
from xbp.md.wavevectors import Shells, heights
from xbp.md.weights import Constant, Mixing, Normalization, groups_of

__all__ = [
    "radial_distribution",
    "structure_factor",
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
        The std is from the scatter of ten parts of the trajectory (more where those
        would not fit in memory). Frames close in time add little: thin them out,
        ``traj.isel(time=slice(None, None, 10))``.

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
    ...     100, 40, cell=12, T=300, mass=40, time_step=0.05, seed=1)
    >>> Sq = gas.bp.structure_factor(3, 0.5, weights="unit").Sq
    >>> bool(abs(Sq[-1] - 1) < 0.1)
    True
    """
    given = dict(locals())
    trajectory = read_call(given)
    plan = Plan.make(trajectory, given, static=True)
    channels = plan.weighting.channels
    task = Task(np.ones(1), Constant(channels), len(channels), pairs, plan.precision)
    cut = blocks(trajectory)
    finish = _Mean(plan.mixing, cut.length)
    moments = summarize(trajectory, cut, finish, plan.shells_task, task, given=given)
    column = plan.column(moments, "Sq", ("Q",), "1", "static_structure_factor")
    return answer(
        "structure_factor", trajectory, moments, {"Sq": column}, plan.coordinates(),
        given,
    )  # fmt: skip


@dataclass(frozen=True)
class _Mean:
    mixing: Mixing
    length: int

    def __call__(
        self, block: Block, starts: list[int], shells: Shells, task: Task
    ) -> dict[str, np.ndarray]:
        parts = (block.part(start, start + self.length) for start in starts)
        rows = np.stack([mean_static(part, task, shells) for part in parts])
        shape = (*self.mixing.mix.shape[:2], rows.shape[-1])
        mix = np.broadcast_to(self.mixing.mix, shape)
        return {"Sq": np.einsum("orq,srq->soq", mix, rows) + self.mixing.offset}


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
        1/angstrom³. Of a plane of atoms (a cell thinner than half of their distance)
        that of two dimensions, 2πr in place of 4πr² and the area in place of V.

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
    ...     500, 20, cell=20, T=300, mass=40, time_step=1, seed=1)
    >>> gas.bp.radial_distribution(8, 2).rdf.isel(r=slice(1, None)).round(1).values
    array([1., 1., 1.])
    """
    given = dict(locals())
    trajectory = read_call(given)
    edges = _bins(trajectory, r_max, dr)
    by_pair = require_flag(partials, "partials")
    symbols, index, counts = groups_of(trajectory, by_pair)
    a, b = np.triu_indices(symbols.size)
    cut = blocks(trajectory)
    count = _Histogram(
        index, counts.size, edges, cut.length, trajectory.repeats.tolist()
    )
    moments = summarize(trajectory, cut, count, given=given)
    # Atoms of a pair of elements, each seen from the other; an atom is not its own
    # neighbor.
    both = np.where(a == b, counts[a] * (counts[a] - 1) / 2, counts[a] * counts[b])
    # In a plane of atoms rings take the place of shells, and its area that of the
    # volume.
    periodic = trajectory.repeats
    flat = not periodic.all()
    shells = np.pi * np.diff(edges**2) if flat else 4 / 3 * np.pi * np.diff(edges**3)
    across = heights(trajectory.mean_cell)
    size = trajectory.volume / np.prod(across[~periodic])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = size / (both[:, None] * shells)  # a single atom has no partner
    column = moments.column(
        "counts", ("pair", "r") if by_pair else ("r",), "1", "radial_distribution",
        row=None if by_pair else 0, scale=scale,
        attrs={"dimensions": 2} if flat else {},
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
    attrs = {} if flat else {"number_density": trajectory.n_atoms / trajectory.volume}
    return answer(
        "radial_distribution", trajectory, moments, {"rdf": column}, coords, given,
        attrs=attrs,
    )  # fmt: skip


def _bins(trajectory: Trajectory, r_max: Any, dr: Any) -> np.ndarray:
    """Return the edges of the bins, Å, of a trajectory that has a g(r)."""
    periodic, n = trajectory.repeats, trajectory.n_atoms
    if trajectory.dimension == 3 and not periodic.all():
        raise QuantityError(
            "g(r) needs a periodic box; its sides are "
            + ", ".join("periodic" if side else "open" for side in periodic),
            fix="traj.attrs['periodic'] = '111' if the box is periodic; otherwise "
            "pass cutoff= to count neighbors",
        )
    if n < 2:
        raise QuantityError("the trajectory has one atom, which has no neighbors")
    highest = float(heights(trajectory.mean_cell)[periodic].min()) / 2
    if r_max is not None:
        highest = require_positive(r_max, "r_max", "angstrom")
    width = require_positive(dr, "dr", "angstrom")
    # At least the distance of each pair of a frame.
    n_pairs = n**2 / trajectory.volume * 2 / 3 * np.pi * highest * highest * highest
    what = f"the pairs up to r_max={highest:.4g} angstrom"
    require_memory(n_pairs, what, fix="lower r_max=")
    require_memory(highest / width, f"bins of dr={width:.4g} angstrom")
    n_bins = int(highest / width + 1e-9)
    if n_bins < 1:
        raise RangeError(f"dr={shown(dr)} is above r_max={highest:g} angstrom")
    return np.asarray(np.arange(n_bins + 1) * width)


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
                    points=inside.T @ cell, box=cell, periodic=self.periodic,
                    quantities=quantities,
                )  # fmt: skip
                place = (found[0] / self.edges[1]).astype(np.int32)
                if kind.size > 1:
                    i, j = self.index[found[1]], self.index[found[2]]
                    place += kind[i, j] * (n_bins + 1)
                # The bin above the last is for what rounding puts there.
                counts[number] += np.bincount(place, minlength=counts.shape[1])
        counts = counts.reshape(len(starts), a.size, -1)[..., :n_bins]
        return {"counts": counts / self.length}
