"""Cuts: a signal over one dimension, as points or as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.operation import operation, steps_after
from xbp.core.schema import quantity_name
from xbp.core.signal import is_computed, read
from xbp.core.units import convert_factor
from xbp.plot.curves import DENSE, adjust_height, draw_curve, note
from xbp.plot.legends import facts_of, name_curve, tell_apart
from xbp.plot.shown import is_same, label_axes, require_same, shown_on
from xbp.plot.style import (
    COLORS,
    axes_of,
    axis_label,
    figure,
    is_arbitrary,
    logarithmic,
    power_of,
    signal_label,
)
from xbp.reduction import convert

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cut", "draw_cut"]


@operation(
    takes="signal",
    step=51,
    when=lambda curve: curve.ndim > 0 and not {"Q", "E"} <= {*curve.dims},
    where="plot",
)
@figure
def cut(data: xr.DataArray | xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a signal over one dimension, with its errors where they are known.

    Up to 100 points are drawn as such, with error bars; more, and what a formula gave,
    as a line with a band of ± one standard deviation.

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
    _require_no_table(data)
    return draw_cut(_in_units_of(ax, data), ax, **kwargs)


def _require_no_table(data: Any) -> None:
    """Refuse a table of results, and name the figure that draws it."""
    result = quantity_name(data) if isinstance(data, xr.Dataset) else None
    own = (
        [f"table{step}" for step in steps_after(data) if ".plot." in step]
        if result
        else []
    )
    if result == "boson_peak" and not own:
        own = ["spectrum.bp.plot.peak(table)"]
    if own:
        raise QuantityError(
            f"got the table of .bp.{result}(), not a signal such as S, G or B",
            fix=f"{own[0]} draws such a table; or pass the data that it was made from",
        )


def draw_cut(
    data: xr.DataArray | xr.Dataset,
    ax: Axes | None,
    within: tuple[float, float] | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw what `cut` draws; the points `within` decide whether they are a line."""
    signal = read(data)
    value = signal.value.where(abs(signal.value) < np.inf)
    others = [d for d in value.dims if d not in signal.quantity.dims]
    if value.ndim > 1 and not others:  # cuts at a few energies, or at a few Q
        others = sorted(value.dims, key=lambda d: value.sizes[d])[: value.ndim - 1]
    others = others if value.ndim > 1 else []
    along = [d for d in value.dims if d not in others]
    too_many = any(value.sizes[d] > len(COLORS) for d in others)
    if len(along) != 1 or len(others) > 1 or too_many:
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}; a cut has one, "
            f"and at most {len(COLORS)} curves along another",
            fix="cut first, data.bp.cut_E(...) or .bp.cut_Q(...), or choose some, "
            "data.isel(...)",
        )
    axes = axes_of(ax)
    dim, quantity = str(along[0]), signal.quantity.name
    units = str(value[dim].attrs.get("units", "1"))
    require_same(axes, (dim, units), (quantity, _units_of(value)))
    if quantity == "reduced_heat_capacity":
        axes.set_xscale("log")
    before, line = len(axes.containers), _is_line(value[dim], within, value)
    for i in range(value.sizes[others[0]] if others else 1):
        one = value.isel(dict.fromkeys(others, i))
        std = None if signal.std is None else signal.std.isel(dict.fromkeys(others, i))
        color = COLORS[(before + i) % len(COLORS)]
        style: dict[str, Any] = {"color": color, "label": None} | kwargs
        drawn = draw_curve(axes, one, std, line=line, **style)
        if "label" not in kwargs:
            name_curve(drawn, facts_of(signal, one, others))
    tell_apart(axes, str(others[0]).replace("_", " ") if others else None)
    power = power_of(value)
    label_axes(axes, axis_label(value[dim]), signal_label(value, power), power=power)
    if quantity == "reduced_heat_capacity":
        logarithmic(axes)
    if not value.notnull().any():
        status = (
            signal.source.get("status")
            if isinstance(signal.source, xr.Dataset)
            else None
        )
        why = "" if status is None or status.ndim else f": {status.values}"
        note(axes, f"every value is NaN{why}", 0.5, fontsize="medium")
    elif quantity in ("vibrational_dos", "generalized_dos") and not (value < 0).any():
        axes.set_ylim(0, None)
    adjust_height(axes)
    return axes


def _in_units_of(
    ax: Axes | None, data: xr.DataArray | xr.Dataset
) -> xr.DataArray | xr.Dataset:
    """Convert a signal to the units that the axes show, where that can be done."""
    shown = shown_on(ax if hasattr(ax, "get_shared_x_axes") else None)
    if not shown:
        return data
    value = read(data).value
    dim = next((d for d in ("E", "Q", "temperature") if d in value.dims), None)
    along, x_units = shown.get("x", ("", ""))
    what, y_units = shown.get("y", ("", ""))
    try:
        on_x = dim is not None and along in (None, dim)
        if on_x and not is_same(x_units, str(value[dim].attrs["units"])):
            units: dict[str, Any] = {str(dim): x_units}
            data = convert(data, **units)  # type: ignore[type-var]
        signal = read(data)
        same = is_same(y_units, _units_of(signal.value))
        if same or what not in (None, signal.quantity.name):
            return data
        factor = convert_factor(signal.units, y_units, name=str(value.name))
    except UnitsError:
        return data  # refused where it is drawn
    source = signal.source
    if isinstance(source, xr.DataArray):
        return (source * factor).assign_attrs(source.attrs | {"units": y_units})
    names = [n for n in (str(value.name), f"{value.name}_std") if n in source]
    scaled: dict[str, Any] = {
        n: (source[n] * factor).assign_attrs(source[n].attrs) for n in names
    }
    return source.assign({n: v.assign_attrs(units=y_units) for n, v in scaled.items()})


def _units_of(value: xr.DataArray) -> str:
    """Return the units that the label of a signal shows."""
    return "arbitrary" if is_arbitrary(value) else str(value.attrs["units"])


def _is_line(
    x: xr.DataArray, within: tuple[float, float] | None, value: xr.DataArray
) -> bool:
    """Whether a signal is drawn as a line: computed, or too dense for points."""
    of_distance_or_time = (
        "radial_distribution",
        "mean_square_displacement",
        "intermediate_scattering_function",
    )
    if is_computed(value) or value.attrs["quantity"] in of_distance_or_time:
        return True
    low, high = (-np.inf, np.inf) if within is None else within
    return int(((x >= low) & (x <= high)).sum()) > DENSE
