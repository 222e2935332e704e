"""Figures of detailed balance and of the Debye-Waller factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.diagnostic import is_poor
from xbp.core.format import with_error
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.signal import table_signal
from xbp.core.status import NO_TEMPERATURE, OK
from xbp.core.units import to_kelvin
from xbp.plot.shown import label_axes, require_same
from xbp.plot.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    figure,
    fit_quality,
    label,
    require_dims,
    set_title,
    units_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["debye_waller", "detailed_balance"]


@operation(takes="detailed_balance", step=50, where="plot")
@figure
def detailed_balance(table: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the temperature that each energy implies, and that of all of them as a band.

    Parameters
    ----------
    table : xarray.Dataset
        What `detailed_balance` returned.
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
        If this is not such a table.
    RangeError
        If it is of several spectra.
    """
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    needs = "implied_temperature", "implied_temperature_std", "status"
    each = table_signal(
        plain, "detailed_balance", "temperature_at_E", needs=needs
    ).value
    require_dims(each, "E")
    axes = axes_of(ax)
    E_units, T_units = str(plain.E.attrs["units"]), str(each.attrs["units"])
    require_same(axes, ("E", E_units), ("temperature", T_units))
    status = str(plain.status.values)
    marks = [each.values[np.isfinite(each.values)]]
    if status == OK:
        T, std = float(plain.implied_temperature), float(plain.implied_temperature_std)
        text, spread = with_error(T, std), np.nan_to_num(std)
        ends, low = (float(plain.E[0]), float(plain.E[-1])), max(T - spread, 0.0)
        band: dict[str, Any] = {"color": ORANGE, "alpha": 0.3, "lw": 0}
        axes.fill_between(ends, low, T + spread, **band)
        axes.plot(ends, (T, T), color=ORANGE, lw=1.4, label=f"all: {text} K")
        marks.append(np.array([low, T + spread]))
        fit = fit_quality(plain)
        if is_poor(plain):
            fit = f" (poor: {fit.removesuffix(' (poor)')})"
        title = f"$T$ = {text} K{fit if is_poor(plain) or not fit else ', ' + fit}"
    else:
        title = status if status == NO_TEMPERATURE else f"no temperature: {status}"
    style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": BLUE} | kwargs
    std_at_E = plain.get("temperature_at_E_std")
    axes.errorbar(plain.E, each, std_at_E, **({"label": "each energy"} | style))
    if "temperature" in plain.coords and plain.temperature.ndim == 0:
        units = str(plain.temperature.attrs.get("units", "K"))
        given = plain.temperature.values.astype(float)
        known = float(to_kelvin(given, units, name="temperature"))
        if np.isfinite(known):
            line: dict[str, Any] = {"color": GREEN, "lw": 1.2, "ls": "--"}
            axes.axhline(known, label="that of the data", **line)
            marks.append(np.array([known]))
    found, beyond = np.concatenate(marks), ""
    if found.size:
        low, high = 0.85 * float(found.min()), float(found.max())
        # Beside an elastic line some reach thousands; above the rest is the legend.
        top = min(2 * float(np.percentile(found, 75)), high + 0.5 * (high - low))
        axes.set_ylim(low, top)
        beyond = f"up to {high:.0f} K beyond the axis" if high > top else ""
    set_title(axes, title, beyond)
    label_axes(axes, label(SYMBOLS["E"], E_units), label("$T$ implied", T_units))
    axes.legend(frameon=False, fontsize="small")
    return axes


@operation(takes="debye_waller", step=50, where="plot")
@figure
def debye_waller(table: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the logarithm of the elastic line against Q², a line of slope −u².

    Parameters
    ----------
    table : xarray.Dataset
        What `debye_waller` returned. The intensity is divided by its value at Q = 0 on
        the line, or by its largest if there is no line; Q that were not used are
        grey.
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
        If this is not such a table.
    RangeError
        If it is of several spectra.
    """
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    needs = "u2", "u2_std", "u2_systematic", "Q_low", "Q_high", "status"
    intensity = table_signal(
        plain, "debye_waller", "elastic_intensity", needs=needs
    ).value
    require_dims(intensity, "Q")
    units, Q = str(intensity["Q"].attrs["units"]), intensity["Q"].values
    drawn = intensity.values > 0
    error = np.full(Q.size, np.nan)
    if "elastic_intensity_std" in plain:
        std = plain["elastic_intensity_std"].values
        drawn &= std > 0
        error = std / np.where(drawn, intensity.values, np.nan)
    used = drawn & (float(plain.Q_low) <= Q) & (float(plain.Q_high) >= Q)
    x, y = Q**2, np.log(np.where(drawn, intensity.values, np.nan))
    found, u2 = str(plain.status.values) == OK, float(plain.u2)
    at_zero = float(np.nanmax(y)) if drawn.any() else 0.0
    if found:  # the offset of the line: the mean of what its slope leaves
        weight = np.where(np.isfinite(error), error, 1.0)[used] ** -2
        at_zero = float(np.average(y[used] + u2 * x[used], weights=weight))
    axes = axes_of(ax)
    require_same(axes, ("Q**2", f"({units})**2"), ("elastic_intensity", "1"))
    for mask, color in ((used, BLUE), (drawn & ~used, GREY)):
        if mask.any():
            style: dict[str, Any] = {"fmt": ".", "ms": 3, "lw": 0.8, "color": color}
            known = error[mask] if np.isfinite(error[mask]).any() else None
            axes.errorbar(x[mask], y[mask] - at_zero, known, **(style | kwargs))
    if found:
        ends = np.array([float(plain.Q_low), float(plain.Q_high)]) ** 2
        axes.plot(ends, -u2 * ends, color=ORANGE, lw=1.6, zorder=3)
        window, counting = float(plain.u2_systematic), float(plain.u2_std)
        text = with_error(u2, max(window, counting))
        by = "the window" if window > counting else "counting"
        title = f"$u^2$ = {text} {units_label(plain.u2.attrs['units'])} (by {by})"
        set_title(axes, title, fit_quality(plain) if "chi2_reduced" in plain else "")
    else:
        set_title(axes, f"no $u^2$: {plain.status.values}")
    over = r"S_\mathrm{el}(0)" if found else r"S_\mathrm{el,max}"
    general = r"$\ln\,S_\mathrm{el}(Q)$"
    y_label = general.replace("$", "") + "/" + over
    x_label = label("$Q^2$", f"({units})**2")
    label_axes(axes, x_label, f"${y_label}$", general=general)
    return axes
