"""Figures of heat capacities, detailed balance, Debye-Waller factors, phonons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.data import require_over
from xbp.core.errors import QuantityError
from xbp.core.numbers import with_error
from xbp.core.operation import operation
from xbp.core.schema import quantity_name
from xbp.core.signal import read
from xbp.core.status import Status, is_poor
from xbp.core.units import convert_factor, to_kelvin
from xbp.models.debye_einstein import debye_einstein
from xbp.plot.axes import label_axes, on_axes, show_legend
from xbp.plot.curves import draw_curve
from xbp.plot.heights import HEADROOM, adjust_height, note_beyond
from xbp.plot.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    ORANGE,
    axis_label,
    energy_text,
    figure,
    fit_quality,
    label,
    logarithmic,
    power_of,
    read_table,
    set_title,
    units_label,
)
from xbp.reduction import reduced_heat_capacity
from xbp.reduction.heat_capacity import in_kelvin, kelvins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["debye_waller", "detailed_balance", "heat_capacity", "peak_of", "phonons"]


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
    needs = "implied_temperature", "implied_temperature_std", "status"
    plain, each = read_table(
        table, "detailed_balance", "temperature_at_E", *needs, over="E"
    )
    E, status = plain.E, str(plain.status.values)
    T_units = str(each.attrs["units"])
    axes = on_axes(ax, E, ("temperature", T_units))
    marks = [*each.values]
    if status == Status.OK:
        T, std = float(plain.implied_temperature), float(plain.implied_temperature_std)
        text, spread = with_error(T, std), np.nan_to_num(std)
        ends, low = (float(E[0]), float(E[-1])), max(T - spread, 0.0)
        axes.fill_between(ends, low, T + spread, color=ORANGE, alpha=0.3, lw=0)
        axes.plot(ends, (T, T), color=ORANGE, lw=1.4, label=f"all: {text} K")
        marks += [low, T + spread]
        fit = fit_quality(plain).removesuffix(" (poor)")
        how = f" (poor: {fit})" if is_poor(plain) else f", {fit}" if fit else ""
        title = f"$T$ = {text} K{how}"
    else:
        title = (
            status if status == Status.NO_TEMPERATURE else f"no temperature: {status}"
        )
    style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": BLUE} | kwargs
    std_at_E = plain.get("temperature_at_E_std")
    axes.errorbar(E, each, std_at_E, **({"label": "each energy"} | style))
    if "temperature" in plain.coords and plain.temperature.ndim == 0:
        units = str(plain.temperature.attrs.get("units", "K"))
        given = plain.temperature.values.astype(float)
        known = float(to_kelvin(given, units, name="temperature"))
        if np.isfinite(known):
            line: dict[str, Any] = {"color": GREEN, "lw": 1.2, "ls": "--"}
            axes.axhline(known, label="that of the data", **line)
            marks.append(known)
    found, beyond = np.array(marks), ""
    found = found[np.isfinite(found)]
    if found.size:
        low, high = 0.85 * float(found.min()), float(found.max())
        # Beside an elastic line some reach thousands; above the rest is the legend.
        top = min(2 * float(np.percentile(found, 75)), high + 0.5 * (high - low))
        axes.set_ylim(low, top)
        beyond = f"up to {high:.0f} K beyond the axis" if high > top else ""
    set_title(axes, title, beyond)
    label_axes(axes, axis_label(E), label("$T$ implied", T_units))
    show_legend(axes)
    return axes


@operation(takes="debye_waller", step=50, where="plot")
@figure
def debye_waller(table: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the logarithm of the elastic line against Q², a line of slope −u².

    Parameters
    ----------
    table : xarray.Dataset
        What `debye_waller` returned. The intensity is divided by its value at Q = 0 on
        the line, or without a line by its largest; Q that were not used are
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
    needs = "u2", "u2_std", "u2_systematic", "Q_low", "Q_high", "status"
    column = "elastic_intensity"
    plain, intensity = read_table(table, "debye_waller", column, *needs, over="Q")
    units, Q = str(intensity["Q"].attrs["units"]), intensity["Q"].values
    std = plain.get(f"{column}_std", intensity * np.nan).values
    drawn = intensity.values > 0
    if f"{column}_std" in plain:
        drawn &= std > 0
    low, high, u2 = (float(plain[name]) for name in ("Q_low", "Q_high", "u2"))
    used = drawn & (low <= Q) & (high >= Q)
    height = np.where(drawn, intensity.values, np.nan)
    x, y, error = Q**2, np.log(height), std / height
    found = str(plain.status.values) == Status.OK
    at_zero = float(np.nanmax(y)) if drawn.any() else 0.0
    if found:  # the offset of the line: the mean of what its slope leaves
        weight = np.where(np.isfinite(error), error, 1.0)[used] ** -2
        at_zero = float(np.average(y[used] + u2 * x[used], weights=weight))
    axes = on_axes(ax, ("Q**2", f"({units})**2"), (column, "1"))
    for mask, color in ((used, BLUE), (drawn & ~used, GREY)):
        if mask.any():
            style: dict[str, Any] = {"fmt": ".", "ms": 3, "lw": 0.8, "color": color}
            known = error[mask] if np.isfinite(error[mask]).any() else None
            axes.errorbar(x[mask], y[mask] - at_zero, known, **(style | kwargs))
    if found:
        ends = np.array([low, high]) ** 2
        axes.plot(ends, -u2 * ends, color=ORANGE, lw=1.6, zorder=3)
        window, counting = float(plain.u2_systematic), float(plain.u2_std)
        text = with_error(u2, max(window, counting))
        by = "the window" if window > counting else "counting"
        title = f"$u^2$ = {text} {units_label(plain.u2.attrs['units'])} (by {by})"
        set_title(axes, title, fit_quality(plain) if "chi2_reduced" in plain else "")
    else:
        set_title(axes, f"no $u^2$: {plain.status.values}")
    over = r"S_\mathrm{el}(0)" if found else r"S_\mathrm{el,max}"
    general = r"\ln\,S_\mathrm{el}(Q)"
    x_label = label("$Q^2$", f"({units})**2")
    label_axes(axes, x_label, f"${general}/{over}$", general=f"${general}$")
    return axes


_NAMES = "gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E"
_REDUCED = r"$(C_p-\gamma T)/T^3$"
_ENERGIES = "energy", "energy_std", "energy_E", "energy_E_std", "status", "peak_status"


@operation(
    takes=("heat_capacity", "fit_heat_capacity"),
    step=49,
    when=lambda C: "status" in C.coords or "mol" in str(C.attrs.get("units")),
    where="plot",
)
@figure
def heat_capacity(
    data: xr.DataArray | xr.Dataset,
    fit: xr.Dataset | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw (C − γT)/T³ against temperature, with its fit and the Debye part.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A heat capacity over temperature alone; or what `fit_heat_capacity` returned,
        which contains the data fitted.
    fit : xarray.Dataset, optional
        What `fit_heat_capacity` returned for it, whose γ is subtracted; without it γ
        is 0. For `scan_heat_capacity` the title gives the systematic errors, too.
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
        If `data` is not a heat capacity, or `fit` not a fit of one.
    RangeError
        If either has a further dimension.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) == "fit_heat_capacity":
        fit = data
        data = xr.Dataset({name: data[name] for name in ("C", "C_std") if name in data})
    signal = read(in_kelvin(data), "heat_capacity")
    require_over(signal.value, ("temperature",), "a heat capacity is drawn over T")
    table, numbers, found = xr.Dataset(), dict[str, float](), False
    if fit is not None:
        needs = (*_NAMES, *_ENERGIES)
        table, theta = read_table(fit, "fit_heat_capacity", "theta_E", *needs)
        require_over(
            theta, (), "one fit is drawn", fix="fit.isel(...)", error=QuantityError
        )
        numbers = {name: float(table[name]) for name in _NAMES}
        found = str(table["status"].values) == Status.OK
    gamma: Any = f"{numbers['gamma']!r} J/mol/K^2" if found else 0.0
    source: Any = signal.source
    reduced = read(reduced_heat_capacity(source, gamma))
    value = reduced.value.compute()
    value = value.where(abs(value) < np.inf)
    units = str(value.attrs["units"])
    axes = on_axes(ax, value.temperature, ("reduced_heat_capacity", units))
    axes.set_xscale("log")
    style: dict[str, Any] = {"color": BLUE, "label": "data"} | kwargs
    draw_curve(axes, value, reduced.std, line=False, **style)
    shown = value
    if found:
        # Only where it was fitted: below, there may be an upturn of another cause.
        low, high = (float(table[f"temperature_{end}"]) for end in ("low", "high"))
        T = np.geomspace(low, high, 400)
        factor = convert_factor("J/mol/K^4", units, name="C/T³")
        numbers |= {"gamma": 0.0}
        for name, color, dashes, own in (
            ("fit", ORANGE, "-", numbers),
            ("its Debye phonons", GREEN, "--", numbers | {"n_E": 0.0}),
        ):
            curve = debye_einstein(T, **own) / T**3 * factor
            axes.plot(T, curve, color=color, lw=1.5, ls=dashes, zorder=3, label=name)
        shown = value.where((kelvins(value) >= low) & (kelvins(value) <= high))
        poor = " (poor)" if is_poor(table) else ""
        energy = f"$k_B\\theta_E$ = {energy_text(table, 'energy_E')}"
        set_title(axes, energy, f"{peak_of(table)}{poor}")
    elif fit is not None:
        set_title(axes, f"no fit: {table['status'].values}")
    power = power_of(shown)
    symbol = _REDUCED if found and float(table["gamma"]) else "$C_p/T^3$"
    by_power = f"T^{dimension_of(value)}"
    y, general = (
        label(text.replace("T^3", by_power), units, power)
        for text in (symbol, _REDUCED)
    )
    label_axes(axes, axis_label(value.temperature), y, power=power, general=general)
    logarithmic(axes)
    highest, seen = float(value.max()), float(shown.max())
    if np.isfinite(highest) and highest > 0:
        # The legend has room above the curves.
        top = (HEADROOM if highest > HEADROOM * seen else 1.35) * seen
        low = min(0.0, 1.1 * float(value.min()))
        if len(axes.containers) > 1:  # beside others
            low, top = min(low, axes.get_ylim()[0]), max(top, axes.get_ylim()[1])
        axes.set_ylim(low, top)
        note_beyond(axes, highest, top, power, height=0.88)
    place = {"loc": "upper center", "ncols": 3, "columnspacing": 1.0}
    show_legend(axes, handlelength=1.5, **place)
    return axes


def peak_of(table: xr.Dataset) -> str:
    """Write the maximum of g/E² of a fit, or why it is missing."""
    status = str(table["peak_status"].values)
    if status == Status.OK:
        return f"maximum of $g/E^2$: {energy_text(table)}"
    if status == Status.UNPHYSICAL:
        negative = float(table["gamma"]) + 2 * float(table["gamma_std"]) < 0
        status = f"{status}, {'gamma below 0' if negative else 'too many modes'}"
    return f"$g/E^2$: {status}"


@operation(takes="phonon_dispersion", step=50, where="plot")
@figure
def phonons(branches: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the energies of phonon branches over Q, with their errors.

    Parameters
    ----------
    branches : xarray.Dataset
        What `phonon_dispersion` returned. Fits whose status is not "ok" are left out.
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
        If these are not phonon branches.
    RangeError
        If they have a further dimension.
    """
    table, energy = read_table(branches, "phonon_dispersion", "energy")
    wanted = "branches are drawn against Q"
    require_over(energy, "Q", wanted, may=("branch",), fix="branches.isel(...)")
    E_units = str(energy.attrs["units"])
    axes = on_axes(ax, energy.Q, ("E", E_units))
    names = np.atleast_1d(table.branch.values).tolist()
    for color, marker, name in zip(COLORS, "os", names, strict=False):
        one = table.sel(branch=name) if "branch" in table.dims else table
        one = one.isel(Q=np.flatnonzero(one.status == Status.OK))
        style: dict[str, Any] = {"fmt": marker, "ms": 4, "color": color, "label": name}
        draw_curve(axes, one.energy, one.energy_std, line=False, **(style | kwargs))
    E = label("$E$", E_units)
    label_axes(axes, axis_label(energy.Q), E, general=E)
    axes.set_xlim(0, None, auto=None)
    adjust_height(axes, from_zero=True)
    show_legend(axes)
    return axes
