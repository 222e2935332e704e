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
from xbp.plot.curves import adjust_height, draw_curve
from xbp.plot.style import (
    COLORS,
    GREY,
    as_signal,
    axis_label,
    figure,
    power_of,
    read_table,
    set_title,
    signal_label,
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
    measured = as_signal(plain["measured"], plain)
    x = measured[str(measured.dims[0])]
    if residuals:
        axes = on_axes(ax, x, ("residual over its error", "1"))
        axes.axhline(0, color=GREY, lw=0.8)
        label_axes(axes, axis_label(x), "residual / error")
    else:
        axes = on_axes(ax, x, (str(plain.attrs["signal"]), measured.attrs["units"]))
        points: dict[str, Any] = {"color": GREY, "zorder": 0}
        draw_curve(axes, measured, plain.get("measured_std"), line=False, **points)
        power = power_of(measured)
        label_axes(axes, axis_label(x), signal_label(measured, power), power=power)
        adjust_height(axes)
    order = np.argsort(plain["delta_BIC"].values)
    for i in order.tolist():
        name = str(plain["model"].values[i])
        reason = str(status.values[i])
        if reason == Status.OK:
            delta = float(plain["delta_BIC"].values[i])
            reason = f"ΔBIC {delta:.0f}" if delta >= 100 else f"ΔBIC {delta:.3g}"
        curve = plain["residual" if residuals else "fitted"].values[i]
        color, again = COLORS[i % len(COLORS)], i >= len(COLORS)
        style: dict[str, Any] = {
            "color": color,
            "lw": 1.4,
            "ls": "--" if again else "-",
        }
        style |= kwargs
        axes.plot(x.values, curve, label=f"{name}: {reason}", **style)
    show_legend(axes)
    set_title(axes, f"{len(order)} models")
    return axes
