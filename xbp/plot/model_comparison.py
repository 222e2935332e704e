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
from xbp.plot.curves import draw_curve
from xbp.plot.heights import adjust_height, show_fitted
from xbp.plot.style import (
    COLORS,
    GREY,
    as_signal,
    axes_of,
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

#: Height of a line of the legend, inches.
_LINE = 0.17


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
        The range fitted is grey, with half as much beside it. Below, the best models
        are named first, with their BIC above that of the best; above, those that are
        not drawn, with the reason.

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
    names, ok = plain["model"].values.astype(str), (status == Status.OK).values
    order = [i for i in np.argsort(plain["delta_BIC"].values).tolist() if ok[i]]
    if ax is None:  # as high as its legend needs
        ax = axes_of(None, (4.8, 3.4 + _LINE * len(order)))
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
    curves = plain["residual" if residuals else "fitted"].values
    for rank, i in enumerate(order):
        style: dict[str, Any] = {
            "color": COLORS[i % len(COLORS)],
            "lw": 1.4,
            "ls": "--" if i >= len(COLORS) else "-",
            "zorder": 3 - rank / len(order),  # the best on top
        }
        text = f"{names[i]}: ΔBIC {_rounded(float(plain['delta_BIC'].values[i]))}"
        axes.plot(x.values, curves[i], **({"label": text} | style | kwargs))
    if order and not residuals:
        inside = x.values[np.isfinite(curves[order]).any(axis=0)]
        ends = float(inside.min()), float(inside.max())
        show_fitted(axes, measured, ends, curves[order])
    show_legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    left = [f"{names[i]} ({status.values[i]})" for i in np.flatnonzero(~ok)]
    set_title(axes, f"not drawn: {', '.join(left)}" if left else "")
    return axes


def _rounded(number: float) -> str:
    """Write a difference of BIC with two figures, below 1000 without decimals.

    Examples
    --------
    >>> [_rounded(delta) for delta in (0.0, 0.5678, 15.28, 223.5, 1344.2, 54387.0)]
    ['0', '0.57', '15', '224', '1300', '54\u2009000']
    """
    if number < 10:
        return f"{number:.2g}"
    if number < 1000:
        return f"{number:.0f}"
    figures = round(number, 1 - int(np.log10(number)))
    return f"{figures:,.0f}".replace(",", "\u2009" if figures >= 1e4 else "")
