"""Figures of what a measurement says of itself.

Its temperature by detailed balance, u² by its elastic line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.format import with_error
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.signal import table_signal
from xbp.core.status import NO_TEMPERATURE, OK
from xbp.core.units import to_kelvin
from xbp.plot.axes import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    label,
    like_xarray,
    units_label,
)
from xbp.plot.shown import label_axes, require_same
from xbp.plot.titles import entitle, quality
from xbp.summary.numbers import is_poor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["debye_waller", "detailed_balance"]

#: The axis of temperatures ends at so many times their upper quartile: beside an
#: elastic line some reach thousands.
_MOST = 2.0


@operation(takes="detailed_balance", step=50, where="plot")
@like_xarray
def detailed_balance(table: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the temperature that each energy implies, and that of all of them as a band.

    Parameters
    ----------
    table : xarray.Dataset
        What `detailed_balance` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; and ``figsize``, ``xlim``, ``ylim``,
        ``xscale``, ``yscale``, ``xticks``, ``yticks`` as xarray's own figures take
        them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If this is no such table.
    RangeError
        If it is of several spectra.
    """
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    needs = ("implied_temperature", "implied_temperature_std", "status")
    each = table_signal(
        plain, "detailed_balance", "temperature_at_E", needs=needs
    ).value
    _require_one(each, "E")
    axes = axes_of(ax)
    require_same(
        axes,
        ("E", str(plain.E.attrs["units"])),
        ("temperature", str(each.attrs["units"])),
    )
    said = str(plain.status.values)
    known = each.values[np.isfinite(each.values)]
    if said == OK:
        T, std = float(plain.implied_temperature), float(plain.implied_temperature_std)
        ends, one = (
            (float(plain.E[0]), float(plain.E[-1])),
            f"all: {with_error(T, std)} K",
        )
        if np.isfinite(std):
            axes.fill_between(ends, T - std, T + std, color=ORANGE, alpha=0.3, lw=0)
        axes.plot(ends, (T, T), color=ORANGE, lw=1.4, label=one)
        known = np.append(
            known, [T, *((max(T - std, 0.0), T + std) if np.isfinite(std) else ())]
        )
    style: dict[str, Any] = {
        "fmt": ".",
        "ms": 4,
        "lw": 0.8,
        "color": BLUE,
        "label": "each energy",
    } | kwargs
    axes.errorbar(plain.E, each, plain.get("temperature_at_E_std"), **style)
    if "temperature" in plain.coords and plain.temperature.ndim == 0:
        units = str(plain.temperature.attrs.get("units", "K"))
        carried = float(
            to_kelvin(plain.temperature.values.astype(float), units, name="temperature")
        )
        if np.isfinite(carried):
            axes.axhline(
                carried, color=GREEN, lw=1.2, ls="--", label="that of the data"
            )
            known = np.append(known, carried)
    beyond = ""
    if known.size:
        low, high = 0.85 * float(known.min()), float(known.max())
        # Above the points there is room for the legend.
        top = min(_MOST * float(np.percentile(known, 75)), high + 0.5 * (high - low))
        axes.set_ylim(low, top)
        # In the title, for no corner is free of points and legend at every size.
        beyond = f"up to {high:.0f} K beyond the axis" if high > top else ""
    if said != OK:
        entitle(axes, f"no temperature: {said}" if said != NO_TEMPERATURE else said)
    else:
        # The number of the legend and of the band; that it is a poor one is said, and
        # why.
        fit = quality(plain)
        fit = (
            f" (poor: {fit.removesuffix(' (poor)')})"
            if is_poor(plain)
            else fit and f", {fit}"
        )
        entitle(axes, f"$T$ = {with_error(T, std)} K{fit}", beyond)
    label_axes(
        axes,
        label(SYMBOLS["E"], plain.E.attrs["units"]),
        label("$T$ implied", each.attrs["units"]),
    )
    axes.legend(frameon=False, fontsize="small")
    return axes


@operation(takes="debye_waller", step=50, where="plot")
@like_xarray
def debye_waller(table: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the logarithm of the elastic line against Q², with the straight line whose slope is −u².

    Parameters
    ----------
    table : xarray.Dataset
        What `debye_waller` returned. The intensity is divided by its value at Q = 0 on
        the line, or by its largest where there is no line; Q that were not used are
        grey.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; and ``figsize``, ``xlim``, ``ylim``,
        ``xscale``, ``yscale``, ``xticks``, ``yticks`` as xarray's own figures take
        them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If this is no such table.
    RangeError
        If it is of several spectra.
    """
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    needs = ("u2", "u2_std", "u2_systematic", "Q_low", "Q_high", "status")
    intensity = table_signal(
        plain, "debye_waller", "elastic_intensity", needs=needs
    ).value
    _require_one(intensity, "Q")
    units = str(intensity["Q"].attrs["units"])
    std = plain.get("elastic_intensity_std", xr.full_like(intensity, np.nan)).values
    drawn = (intensity.values > 0) & (
        (std > 0) | ("elastic_intensity_std" not in plain)
    )
    Q = intensity["Q"].values
    used = drawn & (float(plain.Q_low) <= Q) & (float(plain.Q_high) >= Q)
    x, y = Q**2, np.log(np.where(drawn, intensity.values, np.nan))
    error = std / np.where(drawn, intensity.values, np.nan)
    said = str(plain.status.values)
    u2 = float(plain.u2)
    at_zero = float(np.nanmax(y)) if drawn.any() else 0.0
    if said == OK:
        # The offset of the line that was fitted: the weighted mean of what its slope
        # leaves.
        weight = np.where(np.isfinite(error), error, 1.0)[used] ** -2
        at_zero = float(np.average(y[used] + u2 * x[used], weights=weight))
    axes = axes_of(ax)
    require_same(axes, ("Q**2", f"({units})**2"), ("elastic_intensity", "1"))
    for mask, color in ((used, BLUE), (drawn & ~used, GREY)):
        if mask.any():
            style: dict[str, Any] = {
                "fmt": ".",
                "ms": 3,
                "lw": 0.8,
                "color": color,
            } | kwargs
            known = error[mask] if np.isfinite(error[mask]).any() else None
            axes.errorbar(x[mask], y[mask] - at_zero, known, **style)
    title = f"no $u^2$: {said}"
    if said == OK:
        ends = np.array([float(plain.Q_low), float(plain.Q_high)]) ** 2
        axes.plot(ends, -u2 * ends, color=ORANGE, lw=1.6, zorder=3)
        window, counting = float(plain.u2_systematic), float(plain.u2_std)
        larger = (
            f"{with_error(u2, max(window, counting))} "
            f"{units_label(plain.u2.attrs['units'])}"
        )
        by = "the window" if window > counting else "counting"
        title = f"$u^2$ = {larger} (by {by})"
    entitle(
        axes, title, quality(plain) if said == OK and "chi2_reduced" in plain else ""
    )
    over = r"S_\mathrm{el}(0)" if said == OK else r"S_\mathrm{el,max}"
    written = rf"$\ln\,S_\mathrm{{el}}(Q)/{over}$"
    label_axes(
        axes,
        label("$Q^2$", f"({units})**2"),
        written,
        general=r"$\ln\,S_\mathrm{el}(Q)$",
    )
    return axes


def _require_one(value: xr.DataArray, dim: str) -> None:
    """Refuse a table of several spectra."""
    if value.dims != (dim,):
        raise RangeError(
            f"the table is over {value.dims}",
            reason="that of one spectrum is drawn",
            fix=f"choose one of every dimension but {dim}: table.isel(...)",
        )
