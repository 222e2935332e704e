"""S(Q) of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.operation import operation
from xbp.md.correlation import Task, mean_static, pairs
from xbp.md.density import Precision
from xbp.md.labels import label, sample_temperature
from xbp.md.mixing import Mixing, Normalization
from xbp.md.plan import Plan
from xbp.md.run import blocks, summarize
from xbp.md.trajectory import Block
from xbp.md.wavevectors import Shells
from xbp.md.weights import Constant

__all__ = ["structure_factor"]


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
    (S − 1)⟨w²⟩/⟨w⟩² + 1, which tends to 1 as well and does not hold the self part.

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
        would not fit in memory). Frames close in time tell little more than one: thin
        them out, ``traj.isel(time=slice(None, None, 10))``.

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
    >>> gas = xbp.md.models.ideal_gas(100, 40, cell=12, T=300, mass=40, time_step=0.05, seed=1)
    >>> Sq = gas.bp.structure_factor("3 1/angstrom", "0.5 1/angstrom", weights="unit").Sq
    >>> bool(abs(Sq[-1] - 1) < 0.1)
    True
    """
    plan = Plan.make(
        data, Q_max, dQ, length=1, weights=weights, b=b, part="coherent", partials=partials,
        normalization=normalization, precision=precision, max_wavevectors_per_shell=max_wavevectors_per_shell,
        origin_step=None, static=True,
    )  # fmt: skip
    channels = plan.weighting.channels
    task = Task(np.ones(1), Constant(channels), len(channels), pairs, plan.precision)
    cut = blocks(plan.trajectory)
    finish = _Mean(plan.mixing, cut.length)
    moments = summarize(
        plan.trajectory,
        cut,
        finish,
        plan.delayed_shells(),
        task,
        T=T,
        progress=progress,
    )
    column = plan.column(
        moments, cut, "Sq", (*plan.dims, "Q"), "1", "static_structure_factor"
    )
    arguments = {"Q_max": Q_max, "dQ": dQ, "blocks": moments.n, **plan.arguments}
    return label(
        plan.trajectory, {"Sq": column}, plan.coordinates(), operation="structure_factor", arguments=arguments,
        temperature=sample_temperature(plan.trajectory, T, moments.temperature),
    )  # fmt: skip


@dataclass(frozen=True)
class _Mean:
    mixing: Mixing
    length: int

    def __call__(
        self, block: Block, starts: list[int], shells: Shells, task: Task
    ) -> dict[str, np.ndarray]:
        rows = np.stack(
            [
                mean_static(block.part(start, start + self.length), task, shells)
                for start in starts
            ]
        )
        mix = np.broadcast_to(
            self.mixing.mix, (*self.mixing.mix.shape[:2], rows.shape[-1])
        )
        return {"Sq": np.einsum("orq,srq->soq", mix, rows) + self.mixing.offset}
