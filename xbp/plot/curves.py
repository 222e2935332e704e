"""Curves: a signal over one dimension, as points or lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.operation import operation, steps_after
from xbp.core.schema import QUANTITIES, quantity_name
from xbp.core.signal import read
from xbp.core.status import Status
from xbp.core.units import convert_factor
from xbp.plot.axes import (
    facts_of,
    is_same,
    label_axes,
    name_curve,
    on_axes,
    shown_on,
    tell_apart,
)
from xbp.plot.heights import adjust_height, note, remember, show_states, show_structure
from xbp.plot.style import (
    BLUE,
    COLORS,
    axis_label,
    coordinate_symbol,
    figure,
    is_arbitrary,
    is_line,
    label,
    logarithmic,
    power_of,
    signal_label,
)
from xbp.reduction import convert

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = [
    "cut",
    "draw_curve",
    "draw_cut",
    "draw_parameter",
    "own_figure",
]

#: More points than this touch one another at the width of a column, 8.6 cm, unless
#: they are small.
DENSE = 100
_BAND: dict[str, Any] = {"alpha": 0.3, "lw": 0}


def draw_curve(
    axes: Axes,
    value: xr.DataArray,
    std: xr.DataArray | None,
    *,
    line: bool,
    **kwargs: Any,
) -> ErrorbarContainer:
    """Draw values over their one coordinate, with their errors.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw; set a logarithmic scale before.
    value, std : xarray.DataArray, shape (n,)
        Values and standard deviations (or None).
    line : bool
        Draw a line with a band of ± one standard deviation, broken where nothing was
        measured; otherwise points with bars.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; a marker among them gives points always.

    Returns
    -------
    matplotlib.container.ErrorbarContainer
    """
    x = np.asarray(value[value.dims[0]].values, dtype=float)
    y = np.asarray(value.values, dtype=float)
    error = None if std is None else np.asarray(std.values, dtype=float)
    if line and not {"fmt", "marker", "ms", "markersize"} & set(kwargs):
        drawn = _draw_line(axes, x, y, error, {"fmt": "-", "lw": 1.2} | kwargs)
    else:
        size, width = (3.5, 0.8) if y.size <= DENSE else (2.0, 0.4)
        style: dict[str, Any] = {"fmt": ".", "ms": size, "lw": width} | kwargs
        drawn = axes.errorbar(x, y, error, **style)
    known = np.zeros_like(y) if error is None else np.nan_to_num(error)
    remember(drawn, value, known)
    return drawn


def _draw_line(
    axes: Axes, x: Any, y: Any, error: Any, style: dict[str, Any]
) -> ErrorbarContainer:
    """Draw a line and its band; mark points that no line leads to."""
    wide, gaps = _wide_steps(x, logarithmic=axes.get_xscale() == "log")
    seen = np.zeros(y.size, dtype=bool)
    for step in np.setdiff1d(wide, gaps):  # beside a wide step, what was measured
        seen[step : step + 2] = True
    x, y = (np.insert(a, gaps + 1, np.nan) for a in (x, y))
    known = np.pad(np.isfinite(y), 1)
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    marked = np.flatnonzero(alone | np.insert(seen, gaps + 1, False))
    if marked.size:
        style |= {"marker": ".", "ms": 3.5, "markevery": marked.tolist()}
    if error is not None:
        error = np.insert(error, gaps + 1, np.nan)
        axes.fill_between(x, y - error, y + error, color=style["color"], **_BAND)
    return axes.errorbar(x, y, **style)


def _wide_steps(
    x: npt.NDArray[Any], *, logarithmic: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the wide steps, and those of them where nothing was measured."""
    steps = np.diff(np.log(x) if logarithmic and (x > 0).all() else x)
    if steps.size < 2:
        return (np.zeros(0, dtype=int),) * 2
    # Compared with the wider of the usual steps: where points come in clusters, the
    # median is the step within a cluster.
    wide = np.flatnonzero(steps > 8 * np.percentile(steps, 90))
    # A gap is also wider than its neighbours: clusters far apart are no gaps.
    around = [max([*steps[max(i - 6, 0) : i], *steps[i + 1 : i + 7]]) for i in wide]
    return wide, wide[steps[wide] > 3 * np.asarray(around)]


def draw_parameter(
    ax: Axes | None,
    table: xr.Dataset,
    name: str,
    *,
    what: str,
    symbol: str,
    general: str | None = None,
    systematic: str | None = None,
    from_zero: bool = False,
    **kwargs: Any,
) -> Axes:
    """Draw a column of a table of fits against their one dimension.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    table : xarray.Dataset
        With ``status`` over one dimension; fits that are not ok are left out.
    name : str
        The column, with ``<name>_std`` beside it.
    what : str
        What the axis shows, such as "E"; nothing else is drawn onto the same axes.
    symbol, general : str
        Of its label, and of that beside other curves.
    systematic : str, optional
        The column of systematic errors, drawn as broader and lighter bars.
    from_zero : bool
        Start the axis at 0.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.
    """
    dim = str(table.status.dims[0])
    at = table[dim]
    numbers = dim in table.coords and at.dtype.kind in "fiu"
    x = at.values if numbers else np.arange(at.size)
    names = [str(name) for name in at.values]
    along = at if numbers else (f"{dim} {', '.join(names)}", "1")
    units = str(table[name].attrs.get("units", "1"))
    axes = on_axes(ax, along, (what, units))
    ok = (table.status == Status.OK).values
    columns = table.assign_coords({dim: x}).isel({dim: ok})
    style: dict[str, Any] = {"color": BLUE, "fmt": "."} | kwargs
    draw_curve(axes, columns[name], columns[f"{name}_std"], line=False, **style)
    if systematic is not None:
        wide: dict[str, Any] = {"fmt": "none", "alpha": 0.25, "elinewidth": 3}
        spread = columns[systematic].fillna(0.0).values
        axes.errorbar(
            x[ok], columns[name].values, spread, ecolor=style["color"], **wide
        )
    adjust_height(axes, from_zero=from_zero)
    if not numbers:
        axes.set_xticks(x, names)
    power = power_of(columns[name])
    own, other = (label(text, units, power) for text in (symbol, general or symbol))
    label_axes(axes, axis_label(at), own, power=power, general=other)
    return axes


@operation(
    takes="signal",
    step=51,
    when=lambda curve: not {"Q", "E"} <= {*curve.dims} and bool(_axes_of(curve)[0]),
    where="plot",
)
@figure
def cut(data: xr.DataArray | xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a signal over one dimension, with its errors where they are known.

    Data are points with error bars, smaller ones if there are more than 100. What a
    formula gave, and curves over distance or time, are lines with a band of ± one
    standard deviation. g(r), which is 1 in most of a box, is shown up to where 99 % of
    ∫(g − 1)² dr lie, and g(E) up to 5 % beyond where 99.9 % of its area do; ``xlim=``
    shows another part.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q or E alone, or such curves over one further dimension, as of
        pairs, samples or a few energies, which a legend names.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Beside cuts that are there already it gets another colour and a
        legend that names each by what differs: the range of the cut, the sample, the
        temperature, the file. ``label=`` wins. On axes in other units it is converted.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have other dimensions, or more curves than there are colours.
    QuantityError, UnitsError
        If the axes show another quantity, or units that the data do not convert to.
    """
    if own := own_figure(data):
        raise QuantityError(
            f"got the table of .bp.{quantity_name(data)}(), not a signal such as S",
            fix=f"{own} draws such a table",
        )
    return draw_cut(_in_units_of(ax, data), ax, **kwargs)


def _axes_of(value: xr.DataArray) -> tuple[list[Any], list[Any]]:
    """Return what curves are over, nothing for too many, and what they differ by."""
    if value.ndim < 2:
        return [*value.dims], []
    own = QUANTITIES[value.attrs["quantity"]].dims
    others = [d for d in value.dims if d not in own]
    if not others:  # cuts at a few energies, or at a few Q
        others = sorted(value.dims, key=lambda d: value.sizes[d])[: value.ndim - 1]
    along = [d for d in value.dims if d not in others]
    few = all(value.sizes[d] <= len(COLORS) for d in others)
    return along if len(along) == 1 >= len(others) and few else [], others


def own_figure(table: Any) -> str:
    """Write the call that draws a table of results, or an empty text."""
    result = quantity_name(table) if isinstance(table, xr.Dataset) else None
    steps = steps_after(table) if result else ()
    own = [f"table{step}" for step in steps if ".plot." in step]
    if result == "boson_peak":
        own.append("spectrum.bp.plot.peak(table)")
    return own[0] if own else ""


def draw_cut(data: xr.DataArray | xr.Dataset, ax: Axes | None, **kwargs: Any) -> Axes:
    """Draw what `cut` draws."""
    signal = read(data)
    value = signal.value.where(abs(signal.value) < np.inf)
    along, others = _axes_of(value)
    if not along:
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}; a cut has one, "
            f"and at most {len(COLORS)} curves along another",
            fix=f"data.bp.{'angle_to_Q' if 'detector' in value.dims else 'cut_Q'}(...)"
            ", or data.isel(...)",
        )
    x, quantity = value[along[0]], signal.quantity.name
    axes = on_axes(ax, x, (quantity, _units_of(value)))
    if quantity == "reduced_heat_capacity":
        axes.set_xscale("log")
    before, line = len(axes.containers), is_line(value)
    for i in range(value.sizes[others[0]] if others else 1):
        at = dict.fromkeys(others, i)
        std = None if signal.std is None else signal.std.isel(at)
        color = COLORS[(before + i) % len(COLORS)]
        style: dict[str, Any] = {"color": color, "label": None} | kwargs
        drawn = draw_curve(axes, value.isel(at), std, line=line, **style)
        if "label" not in kwargs:
            name_curve(drawn, facts_of(signal, value.isel(at), others))
    tell_apart(axes, coordinate_symbol(str(others[0])) if others else None)
    power = power_of(value)
    label_axes(axes, axis_label(x), signal_label(value, power), power=power)
    if quantity == "reduced_heat_capacity":
        logarithmic(axes)
    if not value.notnull().any():
        is_dataset = isinstance(signal.source, xr.Dataset)
        status = signal.source.get("status") if is_dataset else None
        why = "" if status is None or status.ndim else f": {status.values}"
        note(axes, f"every value is NaN{why}", 0.5, fontsize="medium")
    if quantity == "radial_distribution":
        show_structure(axes)
    if quantity == "vibrational_dos" and value["E"].size > 1:
        show_states(axes)
    of_states = quantity in ("vibrational_dos", "generalized_dos")
    adjust_height(axes, from_zero=of_states)
    return axes


def _in_units_of(
    ax: Axes | None, data: xr.DataArray | xr.Dataset
) -> xr.DataArray | xr.Dataset:
    """Convert a signal to the units that the axes show, where that can be done."""
    shown = shown_on(ax if hasattr(ax, "get_shared_x_axes") else None)
    if not shown:
        return data
    value = read(data).value
    dim = next((d for d in ("E", "Q", "temperature") if d in value.dims), "")
    along, x_units = shown.get("x", ("", ""))
    what, y_units = shown.get("y", ("", ""))
    try:
        on_x = dim and along in (None, dim)
        if on_x and not is_same(x_units, str(value[dim].attrs["units"])):
            units: dict[str, Any] = {dim: x_units}
            data = convert(data, **units)  # type: ignore[type-var]
        signal = read(data)
        same = is_same(y_units, _units_of(signal.value))
        if same or what not in (None, signal.quantity.name):
            return data
        factor = convert_factor(signal.units, y_units, name=str(value.name))
    except UnitsError:
        return data  # refused where it is drawn

    def scaled(array: xr.DataArray) -> xr.DataArray:
        return (array * factor).assign_attrs(array.attrs | {"units": y_units})

    source = signal.source
    if isinstance(source, xr.DataArray):
        return scaled(source)
    names = [n for n in (f"{value.name}", f"{value.name}_std") if n in source]
    return source.assign({name: scaled(source[name]) for name in names})


def _units_of(value: xr.DataArray) -> str:
    """Return the units that the label of a signal shows."""
    return "arbitrary" if is_arbitrary(value) else str(value.attrs["units"])
