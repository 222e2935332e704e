"""Maps in colours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.data import require_over
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interval, select_range
from xbp.core.guards import require_flag
from xbp.core.operation import operation
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor
from xbp.plot.axes import label_axes, on_axes
from xbp.plot.fits import draw_energies
from xbp.plot.style import (
    LEGEND_ON_MAP,
    axis_label,
    figure,
    in_powers,
    mark_box_phonon,
    overlay,
    power_of,
    signal_label,
)
from xbp.reduction.comparable import another_sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

__all__ = ["color_bar", "color_scale", "map", "paintable"]


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
@figure
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
    """Draw B(Q,E), or any signal over E and one other dimension, in colours.

    As Fig. 1 of Li et al., Nat. Commun. 2025.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over E and Q, or over E and any other axis of numbers, such as
        temperature.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) to draw over the map, on an axis of its own at the right, whose label notes
        if it is of another sample or file.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show. The colours are scaled to what is shown; the scale is
        logarithmic where on a linear one more than half would have one colour. If a few
        bins dwarf the rest, as an elastic line does, the scale ends below them; an end
        of the scale with something beyond it is an arrow.
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
        If the data do not have the dimensions E and one other axis of numbers.
    """
    signal = read(data)
    value, source = signal.value, signal.source
    other = str(next((d for d in value.dims if d != "E"), "Q"))
    # Detectors are numbered, but in no order along an axis.
    numbers = {other, "E"} == {*value.dims} and value[other].dtype.kind in "fiu"
    if other == "detector" or not numbers:
        of_angles = signal.quantity.name == "detector_spectra"
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}; a map needs E and "
            "one other axis of numbers",
            fix="data.bp.angle_to_Q('0.05 1/angstrom')"
            if of_angles
            else "data.isel(...)",
        )
    axes = on_axes(ax, value[other], ("E", str(value.E.attrs.get("units", "1"))))
    value = value.transpose("E", other)
    limits = [bin_limits(source, dim) for dim in (other, "E")]
    x_edges, E_edges = (np.append(low, high[-1]) for low, high in limits)
    shown = value.values[select_range(source, "E", E_range, name="E_range")]
    scale = [kwargs.pop(key, None) for key in ("norm", "vmin", "vmax")]
    norm = color_scale(shown, *scale)
    style: dict[str, Any] = {"cmap": "viridis", "rasterized": True} | kwargs
    painted = paintable(value.values, norm)
    mesh = axes.pcolormesh(x_edges, E_edges, painted, norm=norm, **style)
    if require_flag(add_colorbar, "add_colorbar"):
        text = functools.partial(signal_label, value.transpose(other, "E"))
        # On top, since the axis of S(Q) is at the right.
        color_bar(mesh, axes, shown, text, location="top", aspect=30)
    label_axes(axes, axis_label(value[other]), axis_label(value["E"]))
    if E_range is not None:
        axes.set_ylim(*interval(E_range, source, "E", name="E_range"))
    if peak is not None:
        style = {"ms": 3, "lw": 0.7, "color": "white", "label": "boson peak"}
        draw_energies(peak, axes, like=value, **style)
    low, high = sorted(axes.get_ylim())

    def mark(at: float, **style: Any) -> None:
        if low <= at <= high:  # else the legend would name a line that is not there
            axes.axhline(at, zorder=2, **style)

    mark_box_phonon(mark, value, "white")
    top = axes
    if sq is not None:
        if other != "Q":
            raise RangeError(f"S(Q) cannot be drawn over a map of {other}")
        top = _overlay_structure_factor(axes, signal, sq)
        axes.set_xlim(x_edges[0], x_edges[-1])
    handles, names = axes.get_legend_handles_labels()
    if names:  # above S(Q), which is on axes of its own
        top.legend(handles, names, **LEGEND_ON_MAP)
    return axes


def _overlay_structure_factor(
    axes: Axes, signal: Signal, sq: xr.DataArray | xr.Dataset
) -> Axes:
    given = read(sq, "static_structure_factor")
    require_over(given.value, "Q", "S(Q) needs Q alone")
    units = (str(value["Q"].attrs["units"]) for value in (given.value, signal.value))
    doubt = " (of another sample?)" if another_sample(signal, given) else ""
    Q = given.value.Q * convert_factor(*units)
    return overlay(axes, Q, given.value, f"$S(Q)${doubt}")


def color_scale(
    shown: npt.NDArray[Any],
    norm: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
) -> Any:
    """Return how numbers become colours.

    Parameters
    ----------
    shown : ndarray
        The part of the signal in view.
    norm : str or matplotlib.colors.Normalize, optional
        "log" or "linear"; any other is returned as it is. By default logarithmic if
        half of the values lie over two decades below the largest, else linear from 0.
    vmin, vmax : float, optional
        Limits in place of those found.

    Returns
    -------
    matplotlib.colors.Normalize, or what was given as `norm`

    Raises
    ------
    RangeError
        If a logarithmic scale is asked for and nothing shown is positive; if numbers
        are too small or too large for matplotlib.

    Examples
    --------
    >>> flat, steep = np.linspace(1, 2, 100), np.geomspace(1e-6, 1, 100)
    >>> for values in (flat, steep):
    ...     scale = color_scale(values)
    ...     print(type(scale).__name__, f"{scale.vmin:.2g} to {scale.vmax:.2g}")
    Normalize 0 to 2
    LogNorm 9.4e-05 to 0.94
    """
    from matplotlib.colors import LogNorm, Normalize

    if norm not in (None, "log", "linear"):
        return norm
    finite = shown[np.isfinite(shown)]
    positive = finite[finite > 0]
    largest = float(np.abs(finite).max(initial=0.0))
    if largest and not 1e-200 < largest < 1e200:  # matplotlib's arithmetic fails
        raise RangeError(
            f"numbers up to {largest:.3g} are too small or too large for colours",
            fix="scale them first, data.bp.scale(...)",
        )
    if norm == "log" and not positive.size:
        raise RangeError("a logarithmic scale needs positive data", fix='norm="linear"')
    # The top is not set by a noisy corner, nor, on a linear scale, by an elastic line.
    most, usual = np.percentile(finite, [99.5, 75]) if finite.size else (1.0, 0.0)
    # A lower end at or below 0 asks for a linear scale; noise about 0 needs one.
    may_be_log = norm is None and (vmin is None or vmin > 0) and positive.size
    dark = may_be_log and np.median(finite) < most / 100 and (finite < 0).mean() < 0.1
    if norm == "log" or dark:
        high = float(np.percentile(positive, 99.5)) if vmax is None else vmax
        # Four decades: what lies lower was filled in or cannot be measured.
        low = max(float(np.percentile(positive, 5)), 1e-4 * high)
        return LogNorm(min(low if vmin is None else vmin, high), high)
    top = float(min(most, 4 * usual) if usual > 0 else most)
    return Normalize(0.0 if vmin is None else vmin, top if vmax is None else vmax)


def paintable(values: npt.NDArray[Any], norm: Any) -> npt.NDArray[Any]:
    """Give what is not positive the lowest colour of a logarithmic scale."""
    from matplotlib.colors import LogNorm

    if not isinstance(norm, LogNorm) or norm.vmin is None:
        return values
    return np.where(values <= 0, norm.vmin / 10, values)


def color_bar(
    mesh: ScalarMappable,
    axes: Axes,
    shown: npt.NDArray[Any],
    label: Callable[[int], str],
    **kwargs: Any,
) -> None:
    """Draw the bar of a scale; an end with something shown beyond it is an arrow.

    Parameters
    ----------
    mesh : matplotlib.cm.ScalarMappable
        What is drawn in colours.
    axes : matplotlib.axes.Axes
        Where.
    shown : ndarray
        The part of the signal in view.
    label : callable
        Writes the label, given the power of ten in units of which the ticks are.
    **kwargs
        For `matplotlib.figure.Figure.colorbar`.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullFormatter

    low, high = mesh.get_clim()
    finite = shown[np.isfinite(shown)]
    slack = 0.02 * high if low == 0 else 0.0  # noise about 0 needs no arrow
    below = bool(finite.size and finite.min() < low - slack)
    above = bool(finite.size and finite.max() > high)
    extend = ("neither", "min", "max", "both")[below + 2 * above]
    power = power_of(high)
    style: dict[str, Any] = {"format": in_powers(power), "extend": extend}
    if isinstance(mesh.norm, LogNorm):
        few = high < 100 * low  # powers of ten alone would leave the bar bare
        style["ticks"] = LogLocator(subs=(1, 2, 5) if few else (1,))
        if not few:  # written out, powers of ten run into one another
            power, style["format"] = 0, LogFormatterMathtext()
    bar = axes.figure.colorbar(mesh, ax=axes, **(style | kwargs))
    along = bar.ax.yaxis if bar.orientation == "vertical" else bar.ax.xaxis
    along.set_minor_formatter(NullFormatter())
    bar.set_label(label(power))
