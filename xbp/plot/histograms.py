"""Distributions of the local fields of atoms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.data import unwrap
from xbp.core.errors import QuantityError
from xbp.core.guards import choose, require_whole
from xbp.core.operation import operation
from xbp.plot.axes import label_axes, on_axes, show_legend
from xbp.plot.style import COLORS, figure, label, power_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["histogram"]


@operation(takes="local_fields", step=50, where="plot")
@figure
def histogram(
    data: xr.DataArray | xr.Dataset,
    field: str | None = None,
    ax: Axes | None = None,
    *,
    bins: int = 100,
    **kwargs: Any,
) -> Axes:
    """Draw how often each value of a local field occurs, for each element.

    Over all atoms and frames, as the part of the atoms per unit of the field; of a
    tensor its diagonal and its other components.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        What `local_fields` returned, or a part of it; dask arrays are computed.
    field : str, optional
        Which of several; by default the first.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    bins : int
        Number of bins between the lowest and the highest value; whole numbers, as of
        neighbors, have one each.
    **kwargs
        For `matplotlib.axes.Axes.stairs`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If these are not local fields, or all values are NaN.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 5, cell=10, energy="8 meV", T=300, mass=40, time_step="20 fs", rng=1)
    >>> solid.bp.local_fields("coordination", cutoff=4).bp.plot().get_xlabel()
    'number of neighbors'
    """
    bins = require_whole(bins, "bins")
    plain = unwrap(data)[0]
    if isinstance(plain, xr.Dataset):
        names = [str(name) for name in plain.data_vars]
        plain = plain[names[0] if field is None else choose(field, names, "field")]
    elif field is not None:
        choose(field, [str(plain.name)], "field")
    if plain.attrs.get("quantity") != "local_fields":
        raise QuantityError(
            f"'{plain.name}' is not a local field", fix="traj.bp.local_fields(...)"
        )
    units = str(plain.attrs.get("units", "1"))
    curves = {name: part[np.isfinite(part)] for name, part in _parts(plain)}
    every = np.concatenate([*curves.values()])
    if not every.size:
        raise QuantityError(f"every value of '{plain.name}' is NaN")
    low, high = float(every.min()), float(every.max())
    if (every == np.round(every)).all():
        edges = np.arange(low - 0.5, high + 1.0)
    else:
        edges = np.histogram_bin_edges(every, bins)
    density = {
        name: np.histogram(part, edges, density=True)[0]
        for name, part in curves.items()
        if part.size
    }
    per = "1" if units == "1" else f"1/({units})"
    axes = on_axes(ax, (str(plain.name), units), (f"distribution of {plain.name}", per))
    before = len(axes.patches)
    for number, (name, heights) in enumerate(density.items()):
        color = COLORS[(before + number) % len(COLORS)]
        style: dict[str, Any] = {"color": color, "lw": 1.2, "label": name or None}
        axes.stairs(heights, edges, **(style | kwargs))
    power = power_of(np.concatenate([*density.values()]))
    what = str(plain.attrs.get("long_name", plain.name))
    label_axes(
        axes, label(what, units), label("part of the atoms", per, power), power=power
    )
    if len(density) > 1:
        show_legend(axes)
    return axes


def _parts(field: xr.DataArray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the values to draw as one curve each, and what they are called."""
    values = field.values
    if {"row", "column"} <= {*field.dims}:
        values = field.transpose(..., "row", "column").values
        diagonal = np.eye(values.shape[-1]) == 1
        yield "diagonal components", values[..., diagonal].ravel()
        yield "other components", values[..., ~diagonal].ravel()
        return
    element = field.coords.get("element")
    if element is None or "atom" not in field.dims or element.dims != ("atom",):
        yield "", values.ravel()
        return
    for symbol in np.unique(element.values):
        of_it = field.isel(atom=np.flatnonzero(element.values == symbol))
        yield str(symbol), of_it.values.ravel()
