"""The figure of phonon branches: their energies over Q."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.signal import table_signal
from xbp.core.status import OK
from xbp.plot.axes import COLORS, SYMBOLS, axes_of, label, like_xarray
from xbp.plot.shown import label_axes, require_same

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["phonons"]


@operation(takes="phonon_dispersion", step=50, where="plot")
@like_xarray
def phonons(branches: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the energies of phonon branches over Q, with their errors.

    Parameters
    ----------
    branches : xarray.Dataset
        What `phonon_dispersion` returned. Fits whose status is not "ok" are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If these are no phonon branches.
    RangeError
        If they have a further dimension.
    """
    table = (
        unwrap(branches)[0].compute() if isinstance(branches, xr.Dataset) else branches
    )
    energy = table_signal(table, "phonon_dispersion", "energy").value
    if not {"Q"} <= set(energy.dims) <= {"Q", "branch"}:
        raise RangeError(
            f"the branches are over {energy.dims}",
            reason="they are drawn against Q",
            fix="choose one of every other dimension: branches.isel(...)",
        )
    axes = axes_of(ax)
    q_units, e_units = str(energy.Q.attrs["units"]), str(energy.attrs["units"])
    require_same(axes, ("Q", q_units), ("E", e_units))
    names = np.atleast_1d(table.branch.values).tolist()
    for colour, marker, name in zip(COLORS, "os", names, strict=False):
        one = table.sel(branch=name) if "branch" in table.dims else table
        one = one.isel(Q=np.flatnonzero(one.status == OK))
        style: dict[str, Any] = {
            "fmt": marker,
            "ms": 4,
            "lw": 0.8,
            "color": colour,
            "label": name,
        } | kwargs
        axes.errorbar(one.Q, one.energy, one.energy_std, **style)
    label_axes(
        axes,
        label(SYMBOLS["Q"], q_units),
        label(SYMBOLS["E"], e_units),
        general=label(SYMBOLS["E"], e_units),
    )
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize="small")
    return axes
