"""Maps: a signal over E and one other axis, in colours."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interval, select_range
from xbp.core.operation import operation
from xbp.core.signal import read
from xbp.core.units import convert_factor
from xbp.plot.axes import (
    ORANGE,
    axes_of,
    axis_label,
    lay_over,
    like_xarray,
    mark_box_phonon,
    signal_label,
)
from xbp.plot.colors import color_bar, color_scale, paintable
from xbp.plot.peaks import draw_energies
from xbp.plot.shown import label_axes, require_same
from xbp.reduction.sample import another_sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["map"]


@operation(
    takes="signal",
    over="QE",
    step=50,
    suggested=(
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "current_spectrum",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
    ),
    where="plot",
)
@like_xarray
def map(  # the method users know from xarray-like libraries
    data: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    E_range: Any = None,
    peak: xr.Dataset | None = None,
    add_colorbar: bool = True,
    **kwargs: Any,
) -> Axes:
    """Draw B(Q,E), or any signal over E and one other dimension, in colours, as the paper's Fig. 1.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over E and Q, or over E and any other axis of numbers, such as
        temperature.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) to lay over the map, on an axis of its own at the right, whose label says
        where it is of another sample or file.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show; the colours are scaled to what is shown, logarithmically where
        on a linear scale more than half of it would be of one colour. Where a few bins
        outshine the rest, as an elastic line does, the scale ends below them; an end
        with something beyond it is an arrow.
    peak : xarray.Dataset, optional
        Peaks over that axis from `boson_peak`, drawn with their error bars.
    add_colorbar : bool
        Draw the scale of the colours.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`, such as ``norm="linear"`` or
        ``norm="log"``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have not E and one other axis of numbers.
    """
    signal = read(data)
    value = signal.value
    other = str(next((d for d in value.dims if d != "E"), "Q"))
    # Detectors have numbers, and no order along an axis.
    numbers = other != "detector" and value[other].dtype.kind in "fiu"
    if set(value.dims) != {other, "E"} or not numbers:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}",
            reason="a map has E and one other axis of numbers",
            fix="data.bp.angle_to_Q('0.05 1/angstrom') first"
            if signal.quantity.name == "detector_spectra"
            else "choose one element of every other dimension first: data.isel(...)",
        )
    axes = axes_of(ax)
    require_same(
        axes, (other, str(value[other].attrs.get("units", "1"))), ("E", str(value["E"].attrs["units"]))
    )  # fmt: skip
    value = value.transpose("E", other)
    q_edges, e_edges = (
        np.append(lo, hi[-1])
        for lo, hi in (bin_limits(signal.source, d) for d in (other, "E"))
    )
    shown = value.values[select_range(signal.source, "E", E_range, name="E_range")]
    norm = color_scale(
        shown, *(kwargs.pop(key, None) for key in ("norm", "vmin", "vmax"))
    )
    style: dict[str, Any] = {
        "cmap": "viridis",
        "rasterized": True,
        "norm": norm,
    } | kwargs
    mesh = axes.pcolormesh(q_edges, e_edges, paintable(value.values, norm), **style)
    if add_colorbar:
        said = value.transpose(other, "E")
        # On top, since the axis of S(Q) is at the right.
        color_bar(
            mesh,
            axes,
            shown,
            functools.partial(signal_label, said),
            location="top",
            aspect=30,
        )
    label_axes(axes, axis_label(value[other]), axis_label(value["E"]))
    if E_range is not None:
        axes.set_ylim(*interval(E_range, signal.source, "E", name="E_range"))
    if peak is not None:
        draw_energies(peak, axes, like=value, ms=3, lw=0.7, color="white")
    if "box_phonon" in value.coords and value.coords["box_phonon"].ndim == 0:
        mark_box_phonon(functools.partial(axes.axhline, zorder=2), value, "white")
    if sq is not None:
        if other != "Q":
            raise RangeError(
                f"S(Q) is laid over a map of {other}",
                reason="it is of Q",
                fix="leave sq out",
            )
        given = read(sq, "static_structure_factor")
        curve = given.value
        if curve.dims != ("Q",):
            raise RangeError(
                f"S(Q) is over {curve.dims}",
                reason="one curve is drawn",
                fix="choose one: sq.isel(...)",
            )
        q = curve.Q * convert_factor(curve.Q.attrs["units"], value.Q.attrs["units"])
        twin = lay_over(axes, q, curve)
        doubt = " (of another sample?)" if another_sample(signal, given) else ""
        twin.set_ylabel(f"$S(Q)${doubt}", color=ORANGE)
        axes.set_xlim(q_edges[0], q_edges[-1])
    return axes
