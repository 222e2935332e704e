"""Numbers of many fits against the one dimension that these are over.

Q, temperature, samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.status import OK
from xbp.plot.axes import BLUE, axis_label
from xbp.plot.limits import as_high_as_values
from xbp.plot.shown import label_axes, require_same

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_numbers"]


def draw_numbers(
    axes: Axes,
    table: xr.Dataset,
    name: str,
    systematic: str | None = None,
    *,
    what: str,
    **kwargs: Any,
) -> None:
    """Draw a column of a table with its errors, of the fits that are ok.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    table : xarray.Dataset
        With ``status`` over one dimension.
    name : str
        The column; ``<name>_std`` beside it.
    systematic : str, optional
        The column of its systematic errors, drawn as broader and lighter bars.
    what : str
        What it is, such as "E": nothing else is drawn onto the same axes.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.
    """
    dim = str(table.status.dims[0])
    numbered = dim in table.coords and table[dim].dtype.kind in "fiu"
    x = table[dim].values if numbered else np.arange(table.sizes[dim])
    places = dim if numbered else f"{dim} {', '.join(map(str, table[dim].values))}"
    require_same(
        axes,
        (places, str(table[dim].attrs.get("units", "1")) if numbered else "1"),
        (what, str(table[name].attrs.get("units", "1"))),
    )
    ok = (table.status == OK).values
    style: dict[str, Any] = {"fmt": ".", "ms": 3.5, "lw": 0.8, "color": BLUE} | kwargs
    axes.errorbar(
        x[ok], table[name].values[ok], table[f"{name}_std"].values[ok], **style
    )
    as_high_as_values(
        axes, [(table[name].isel({dim: ok}), table[f"{name}_std"].isel({dim: ok}))]
    )
    if systematic is not None:
        wide = {"fmt": "none", "ecolor": style["color"], "alpha": 0.25, "elinewidth": 3}
        axes.errorbar(
            x[ok],
            table[name].values[ok],
            table[systematic].fillna(0.0).values[ok],
            **wide,
        )
    if not numbered:
        axes.set_xticks(x, [str(at) for at in table[dim].values])
    label_axes(axes, axis_label(table[dim]))
