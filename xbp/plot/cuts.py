"""Cuts: a signal over one dimension, as points or as lines."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.errors import RangeError
from xbp.plot.axes import (
    COLORS,
    GREY,
    axes_of,
    axis_label,
    in_powers,
    like_xarray,
    logarithmic,
    power_of,
    require_no_table,
    signal_label,
    units_label,
)
from xbp.plot.curves import DENSE, draw_curve
from xbp.signal import is_computed, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HEADROOM", "cut", "draw_cut", "up_to"]

_BEYOND = "beyond the axis"
#: An axis that ends below what outshines the rest ends at this multiple of the rest.
HEADROOM = 1.6
#: B(E) falls off so fast that an elastic line is this many times higher than the rest, nineteen of twenty bins.
_OUTSHINES, _REST = 8.0, 95
#: Functions of distance or time, whose bins are so many that points would make one smear.
_CURVES = ("radial_distribution", "mean_square_displacement", "intermediate_scattering_function")
#: Densities, whose height above 0 is what they say.
_FROM_NOTHING = ("vibrational_dos", "generalized_dos")


@like_xarray
def cut(data: xr.DataArray | xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a signal over one dimension, with its errors where they are known.

    Up to 100 points are drawn as such, with error bars; more, and what a formula gave, as a line with a band of ± one
    standard deviation.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q or E alone, or such curves over one further dimension, as of pairs, samples or a few energies,
        which a legend names.
    ax : matplotlib.axes.Axes, optional
        Where to draw; beside the cuts that are there already, in another colour.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have other dimensions, or more curves than there are colours to tell apart.
    """
    require_no_table(data)
    return draw_cut(data, ax, **kwargs)


def draw_cut(
    data: xr.DataArray | xr.Dataset, ax: Axes | None, within: tuple[float, float] | None = None, **kwargs: Any
) -> Axes:
    """Draw what `cut` draws; of points, as many as stand `within` limits of the axis decide whether they are a line."""
    signal = read(data)
    value = signal.value
    # Of cuts at a few energies, E; of samples, sample.
    others = [d for d in value.dims if d not in signal.quantity.dims] if value.ndim > 1 else []
    others = others or sorted(value.dims, key=lambda d: value.sizes[d])[: value.ndim - 1]
    along = [d for d in value.dims if d not in others]
    if len(along) != 1 or len(others) > 1 or any(value.sizes[d] > len(COLORS) for d in others):
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}",
            reason=f"a curve is drawn along one, and of another at most {len(COLORS)} curves are told apart",
            fix="cut first, data.bp.cut_E(...) or .bp.cut_Q(...), or choose some, data.isel(...)",
        )
    axes = axes_of(ax)
    dim = str(along[0])
    if signal.quantity.name == "reduced_heat_capacity":
        axes.set_xscale("log")
    # Onto axes that hold cuts another one comes in another colour.
    before = len(axes.containers)
    for i in range(value.sizes[others[0]] if others else 1):
        at = dict.fromkeys(others, i)
        style = {"color": COLORS[(before + i) % len(COLORS)], "label": _name(value.isel(at), others)} | kwargs
        std = None if signal.std is None else signal.std.isel(at)
        draw_curve(axes, value[dim], value.isel(at), std, line=_is_line(value[dim], within, value), **style)
    if len(axes.containers) > 1 and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small", title=str(others[0]).replace("_", " ") if others else None)
    power = power_of(value)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set(xlabel=axis_label(value[dim]), ylabel=signal_label(value, power))
    if signal.quantity.name == "reduced_heat_capacity":
        logarithmic(axes)
    if signal.quantity.name in _FROM_NOTHING and "ylim" not in kwargs and not (value < 0).any():
        axes.set_ylim(0, None)
    if dim == "E" and signal.quantity.name == "reduced_dos":
        # On the side of energy gain B is noise over next to nothing.
        loss = value.where(value.E > 0).values
        rest = float(np.percentile(loss[np.isfinite(loss)], _REST)) if np.isfinite(loss).any() else 0.0
        if float(value.max()) > _OUTSHINES * rest > 0:
            up_to(axes, value, HEADROOM * rest)
    return axes


def _name(curve: xr.DataArray, others: list[Hashable]) -> str | None:
    """Write which of several curves one is: by the dimension they are of, or by where it was cut."""
    for dim in [*others, *(d for d in ("E", "Q") if d in curve.coords and curve[d].ndim == 0)]:
        at = curve[dim].values if dim in curve.coords else None
        if at is not None and at.dtype.kind in "fiu":
            units = units_label(str(curve[dim].attrs.get("units", "1")))
            return f"{float(at):.4g} {units}".strip().replace("-", "−")
        return None if at is None else str(at)
    return None


def _is_line(x: xr.DataArray, within: tuple[float, float] | None, value: xr.DataArray) -> bool:
    """Whether a signal is a curve, not points: computed from a formula, or too dense in what is shown of it."""
    if is_computed(value) or value.attrs["quantity"] in _CURVES:
        return True
    low, high = (-np.inf, np.inf) if within is None else within
    return int(((x >= low) & (x <= high)).sum()) > DENSE


def up_to(axes: Axes, value: xr.DataArray, top: float) -> None:
    """Let the axis go from 0 to below what outshines the rest, and say that there is more.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the signal is drawn.
    value : xarray.DataArray
        What is shown of the signal; NaN where it is beside the limits of the other axis.
    top : float
        Where the axis ends.
    """
    axes.set_ylim(min(0.0, 1.1 * float(value.min())), top)
    power = power_of(top)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set_ylabel(signal_label(value, power))
    for text in [text for text in axes.texts if text.get_gid() == _BEYOND]:
        text.remove()
    if float(value.max()) <= top:
        return
    axes.text(0.5, 0.98, f"up to {float(value.max()) / 10.0**power:.3g} beyond the axis", transform=axes.transAxes,
              ha="center", va="top", fontsize="x-small", color=GREY, gid=_BEYOND,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
