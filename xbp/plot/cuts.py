"""Cuts: a signal over one dimension, as points or as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError, UnitsError
from xbp.core.operation import operation
from xbp.core.signal import is_computed, read
from xbp.core.units import convert_factor
from xbp.plot.axes import (
    COLORS,
    axes_of,
    axis_label,
    is_arbitrary,
    like_xarray,
    logarithmic,
    power_of,
    require_no_table,
    signal_label,
)
from xbp.plot.curves import DENSE, draw_curve
from xbp.plot.legends import facts_of, name_curve, tell_apart
from xbp.plot.limits import as_high_as_values, end_below
from xbp.plot.shown import is_same, label_axes, require_same, shown_on
from xbp.reduction import convert

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cut", "draw_cut"]

#: Functions of distance or time, whose bins are so many that points would make one
#: smear.
_CURVES = (
    "radial_distribution",
    "mean_square_displacement",
    "intermediate_scattering_function",
)
#: Densities, whose height above 0 is what they say.
_FROM_NOTHING = ("vibrational_dos", "generalized_dos")


@operation(
    takes="signal",
    step=51,
    when=lambda curve: curve.ndim > 0 and not {"Q", "E"} <= {*curve.dims},
    where="plot",
)
@like_xarray
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
        Where to draw; beside the cuts that are there already, in another colour, and
        with a legend that names each by what tells them apart: the range of the cut,
        the sample, the temperature, the file. ``label=`` wins. Onto axes in other units
        it is converted.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have other dimensions, or more curves than there are colours to tell
        apart.
    QuantityError, UnitsError
        If the axes show another quantity, or units that the data do not convert to.
    """
    require_no_table(data)
    return draw_cut(_as_shown(data, ax), ax, **kwargs)


def draw_cut(
    data: xr.DataArray | xr.Dataset,
    ax: Axes | None,
    within: tuple[float, float] | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw what `cut` draws.

    Of points, as many as stand `within` limits of the axis decide whether they are a
    line.
    """
    signal = read(data)
    # What overflowed has no place on an axis.
    value = signal.value.where(abs(signal.value) < np.inf)
    # Of cuts at a few energies, E; of samples, sample.
    others = (
        [d for d in value.dims if d not in signal.quantity.dims]
        if value.ndim > 1
        else []
    )
    others = (
        others or sorted(value.dims, key=lambda d: value.sizes[d])[: value.ndim - 1]
    )
    along = [d for d in value.dims if d not in others]
    if (
        len(along) != 1
        or len(others) > 1
        or any(value.sizes[d] > len(COLORS) for d in others)
    ):
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}",
            reason=f"a curve is drawn along one, and of another at most {len(COLORS)} "
            "curves are told apart",
            fix="cut first, data.bp.cut_E(...) or .bp.cut_Q(...), or choose some, "
            "data.isel(...)",
        )
    axes = axes_of(ax)
    dim = str(along[0])
    units = str(value[dim].attrs.get("units", "1"))
    require_same(axes, (dim, units), (signal.quantity.name, _units_of(value)))
    if signal.quantity.name == "reduced_heat_capacity":
        axes.set_xscale("log")
    # Onto axes that hold cuts another one comes in another colour.
    before, curves = len(axes.containers), []
    for i in range(value.sizes[others[0]] if others else 1):
        at = dict.fromkeys(others, i)
        style = {"color": COLORS[(before + i) % len(COLORS)], "label": None} | kwargs
        std = None if signal.std is None else signal.std.isel(at)
        line = _is_line(value[dim], within, value)
        drawn = draw_curve(axes, value[dim], value.isel(at), std, line=line, **style)
        if "label" not in kwargs:
            name_curve(drawn, facts_of(signal, value.isel(at), others))
        curves.append((drawn, value.isel(at), std))
    tell_apart(axes, str(others[0]).replace("_", " ") if others else None)
    power = power_of(value)
    label_axes(axes, axis_label(value[dim]), signal_label(value, power), power=power)
    if signal.quantity.name == "reduced_heat_capacity":
        logarithmic(axes)
    if (
        signal.quantity.name in _FROM_NOTHING
        and "ylim" not in kwargs
        and not (value < 0).any()
    ):
        axes.set_ylim(0, None)
    as_high_as_values(axes, [(curve, std) for _, curve, std in curves])
    for drawn, curve, std in curves:
        end_below(axes, drawn, curve, std)
    return axes


def _as_shown(
    data: xr.DataArray | xr.Dataset, ax: Axes | None
) -> xr.DataArray | xr.Dataset:
    """Convert a signal to the units in which axes show such a one, where that can be done."""
    shown = shown_on(ax if hasattr(ax, "get_shared_x_axes") else None)
    value = read(data).value if shown else None
    if value is None:
        return data
    dim = next((d for d in ("E", "Q", "temperature") if d in value.dims), None)
    along, x_units = shown.get("x", ("", ""))
    what, y_units = shown.get("y", ("", ""))
    try:
        if (
            dim is not None
            and along in (None, dim)
            and not is_same(x_units, str(value[dim].attrs["units"]))
        ):
            units: dict[str, Any] = {dim: x_units}
            data = convert(data, **units)  # type: ignore[type-var]
        signal = read(data)
        if what not in (None, signal.quantity.name) or is_same(
            y_units, _units_of(signal.value)
        ):
            return data
        factor = convert_factor(signal.units, y_units, name=str(value.name))
    except UnitsError:
        return data  # refused where it is drawn
    source = signal.source
    if isinstance(source, xr.DataArray):
        return (source * factor).assign_attrs(source.attrs | {"units": y_units})
    names = [n for n in (str(value.name), f"{value.name}_std") if n in source]
    return source.assign(
        {
            n: (source[n] * factor).assign_attrs(source[n].attrs | {"units": y_units})
            for n in names
        }
    )


def _units_of(value: xr.DataArray) -> str:
    """Return the units that the label of a signal shows."""
    return "arbitrary" if is_arbitrary(value) else str(value.attrs["units"])


def _is_line(
    x: xr.DataArray, within: tuple[float, float] | None, value: xr.DataArray
) -> bool:
    """Whether a signal is a curve, not points.

    Computed from a formula, or too dense in what is shown of it.
    """
    if is_computed(value) or value.attrs["quantity"] in _CURVES:
        return True
    low, high = (-np.inf, np.inf) if within is None else within
    return int(((x >= low) & (x <= high)).sum()) > DENSE
