"""Figures of how a signal follows S(Q)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import QUANTITIES, symbol_of
from xbp.core.signal import table_signal
from xbp.plot.axes import (
    BLUE,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    label,
    like_xarray,
    power_of,
    units_label,
)
from xbp.plot.curves import DENSE, draw_curve
from xbp.plot.shown import label_axes, require_same

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["correlation", "scaling"]


@operation(takes="scale_to_sq", step=50, where="plot")
@like_xarray
def scaling(data: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a cut at constant energy beside S(Q) scaled to it.

    Parameters
    ----------
    data : xarray.Dataset
        What `scale_to_sq` returned, without leftover dimensions.
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
        If this is no result of `scale_to_sq`.
    """
    table = unwrap(data)[0].compute()
    value = table_signal(table, "scale_to_sq", "cut").value
    if value.dims != ("Q",):
        raise RangeError(
            f"the cut is over {value.dims}",
            reason="one cut is drawn",
            fix="choose one: fit.isel(...)",
        )
    axes = axes_of(ax)
    what = str(table.attrs.get("signal", "reduced_dos"))
    require_same(
        axes, ("Q", str(value.Q.attrs["units"])), (what, str(value.attrs["units"]))
    )
    written = f"${symbol_of(value.assign_attrs(quantity=table.attrs.get('signal', 'reduced_dos')))}$"
    style: dict[str, Any] = {"color": BLUE, "label": written} | kwargs
    draw_curve(
        axes, value.Q, value, table.get("cut_std"), line=value.size > DENSE, **style
    )
    axes.plot(
        value.Q,
        table.scaled_structure_factor,
        color=ORANGE,
        lw=1.6,
        label="$A\\,S(Q)$",
        zorder=3,
    )
    r = float(table.pearson_r)
    at = (
        f" at {float(value.E):.3g} {units_label(value.E.attrs['units'])}"
        if "E" in value.coords
        else ""
    )
    axes.set_title(f"$r$ = {r:.2f}{at}".replace("-", "−"), fontsize="small")
    power = power_of(value)
    label_axes(
        axes,
        label(SYMBOLS["Q"], value.Q.attrs["units"]),
        label(written, value.attrs["units"], power),
        power=power,
    )
    axes.legend(frameon=False, fontsize="small")
    return axes


@operation(takes="correlation_map", step=50, where="plot")
@like_xarray
def correlation(data: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the correlation of B(Q,E), or of another spectrum, with S(Q) against energy.

    Parameters
    ----------
    data : xarray.Dataset
        What `correlation_map` returned, without leftover dimensions.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If this is no result of `correlation_map`.
    """
    table = unwrap(data)[0].compute()
    r = table_signal(table, "correlation_map", "pearson_r").value
    if r.dims != ("E",):
        raise RangeError(
            f"r is over {r.dims}",
            reason="one curve is drawn",
            fix="choose one: r.isel(...)",
        )
    axes = axes_of(ax)
    require_same(axes, ("E", str(r.E.attrs["units"])), ("correlation", "1"))
    spread = table.pearson_r_std.values
    axes.fill_between(
        r.E, r - spread, np.minimum(r + spread, 1.0), color=BLUE, alpha=0.2, lw=0
    )
    style: dict[str, Any] = {"color": BLUE, "lw": 1.4} | kwargs
    axes.plot(r.E, r, **style)
    axes.axhline(0.0, color=GREY, lw=0.8)
    what = QUANTITIES[table.attrs.get("signal", "reduced_dos")].label
    label_axes(
        axes, label(SYMBOLS["E"], r.E.attrs["units"]), f"correlation of ${what}$ with "
                                                       "$S(Q)$",
        general="correlation with $S(Q)$",
    )  # fmt: skip
    axes.set_ylim(-1.05, 1.05)
    return axes
