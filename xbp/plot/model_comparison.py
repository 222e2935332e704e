"""Figures of models compared on one spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.data import require_over
from xbp.core.errors import QuantityError
from xbp.core.guards import require_flag
from xbp.core.operation import operation
from xbp.core.status import Status
from xbp.plot.axes import label_axes, on_axes, show_legend
from xbp.plot.style import (
    COLORS,
    GREY,
    axis_label,
    figure,
    label,
    read_table,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["models"]


@operation(takes="compare_models", step=50, where="plot")
@figure
def models(
    table: xr.Dataset,
    ax: Axes | None = None,
    *,
    residuals: bool = False,
    **kwargs: Any,
) -> Axes:
    """Draw the models that were compared, in the data or as what they leave of them.

    Parameters
    ----------
    table : xarray.Dataset
        What `compare_models` returned for one spectrum.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    residuals : bool
        Draw the residuals, in units of the errors.
    **kwargs
        For `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        The best models are named first, with their BIC above that of the best; those
        whose fit is not ok with the reason.

    Raises
    ------
    QuantityError
        If `table` is not such a table, or of several spectra.
    """
    residuals = require_flag(residuals, "residuals")
    plain, status = read_table(table, "compare_models", "status", "fitted", "residual")
    require_over(
        status, ("model",), "one spectrum is drawn", fix="table.isel(...)",
        error=QuantityError,
    )  # fmt: skip
    measured = plain["measured"]
    x = measured[str(measured.dims[0])]
    what = "residual" if residuals else "measured"
    units = str(measured.attrs["units"])
    axes = on_axes(ax, x, (f"compare_models {what}", units))
    if residuals:
        axes.axhline(0, color=GREY, lw=0.8)
    else:
        std = plain.get("measured_std")
        error = None if std is None else std.values
        axes.errorbar(x.values, measured.values, error, fmt=".", color=GREY, zorder=0)
    order = np.argsort(plain["delta_BIC"].values)
    for i in order.tolist():
        name = str(plain["model"].values[i])
        reason = str(status.values[i])
        if reason == Status.OK:
            reason = f"ΔBIC {float(plain['delta_BIC'].values[i]):.3g}"
        curve = plain["residual" if residuals else "fitted"].values[i]
        color, again = COLORS[i % len(COLORS)], i >= len(COLORS)
        style: dict[str, Any] = {
            "color": color,
            "lw": 1.4,
            "ls": "--" if again else "-",
        }
        style |= kwargs
        axes.plot(x.values, curve, label=f"{name}: {reason}", **style)
    symbol = "residual / error" if residuals else str(measured.attrs["long_name"])
    label_axes(axes, axis_label(x), label(symbol, "1" if residuals else units))
    show_legend(axes)
    set_title(axes, f"{len(order)} models")
    return axes
