"""How signals and fields follow S(Q): scaled cuts, correlations, maps of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.grid import bin_limits, select_range
from xbp.core.operation import operation
from xbp.core.schema import QUANTITIES, symbol_of
from xbp.core.status import Status
from xbp.core.units import convert_factor
from xbp.md.fields import FIELDS
from xbp.plot.axes import label_axes, on_axes, show_legend
from xbp.plot.curves import draw_curve
from xbp.plot.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    LEGEND_ON_MAP,
    ORANGE,
    as_signal,
    axis_label,
    figure,
    in_powers,
    label,
    mark_box_phonon,
    overlay,
    power_of,
    pyplot,
    read_table,
    signal_label,
    units_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "correlation",
    "field_correlations",
    "fluctuations",
    "scaling",
    "separability",
]


@operation(takes="scale_to_sq", step=50, where="plot")
@figure
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
        If this is not a result of `scale_to_sq`.
    RangeError
        If it is of several cuts.
    """
    table, cut = read_table(data, "scale_to_sq", "cut", over="Q")
    value = as_signal(cut, table)
    axes = on_axes(ax, value.Q, (value.attrs["quantity"], value.attrs["units"]))
    symbol = f"${symbol_of(value)}$"
    style: dict[str, Any] = {"color": BLUE, "label": symbol} | kwargs
    draw_curve(axes, value, table.get("cut_std"), line=False, **style)
    scaled: dict[str, Any] = {"color": ORANGE, "lw": 1.6, "zorder": 3}
    if table.scaled_structure_factor.notnull().any():
        axes.plot(value.Q, table.scaled_structure_factor, label="$A\\,S(Q)$", **scaled)
    at = ""
    if "E" in value.coords:
        at = f" at {float(value.E):.3g} {units_label(value.E.attrs['units'])}"
    r = float(table.pearson_r)
    found = f"$r$ = {r:.2f}" if np.isfinite(r) else "$r$ not found"
    _set_title(axes, f"{found}{at}")
    power = power_of(value)
    label_axes(axes, axis_label(value.Q), signal_label(value, power), power=power)
    show_legend(axes)
    return axes


def _set_title(axes: Axes, text: str) -> None:
    axes.set_title(text.replace("-", "−"), fontsize="small")


@operation(takes="correlation_map", step=50, where="plot")
@figure
def correlation(data: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the correlation of B(Q,E), or of another spectrum, with S(Q) against energy.

    Parameters
    ----------
    data : xarray.Dataset
        What `correlation_map` returned, without leftover dimensions. Dotted where the
        error of r is not known.
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
        If this is not a result of `correlation_map`.
    RangeError
        If it has a further dimension.
    """
    table, r = read_table(data, "correlation_map", "pearson_r", over="E")
    axes = on_axes(ax, r.E, ("correlation", "1"))
    spread = table.pearson_r_std.values
    band = np.maximum(r - spread, -1.0), np.minimum(r + spread, 1.0)
    axes.fill_between(r.E, *band, color=BLUE, alpha=0.2, lw=0)
    style: dict[str, Any] = {"color": BLUE, "lw": 1.4} | kwargs
    unknown = np.isfinite(r) & np.isnan(spread)
    if bool(unknown.any()):
        dotted = {"ls": ":", "label": "error unknown"}
        axes.plot(r.E, r.where(unknown), **style | dotted)
        axes.legend()
        r = r.where(~unknown)
    axes.plot(r.E, r, **style)
    axes.axhline(0.0, color=GREY, lw=0.8)
    what = QUANTITIES[table.attrs.get("signal", "reduced_dos")].label
    text = f"correlation of ${what}$ with $S(Q)$"
    label_axes(axes, axis_label(r.E), text, general="correlation with $S(Q)$")
    axes.set_ylim(-1.05, 1.05)
    return axes


@operation(takes="fit_bqe", step=50, where="plot")
def separability(
    table: xr.Dataset,
    E_range: Any = None,
    *,
    figure: Figure | None = None,
    **kwargs: Any,
) -> Figure:
    """Draw where B(Q,E) is a function of energy times S(Q): the paper's Eq. 2.

    Parameters
    ----------
    table : xarray.Dataset
        What `fit_bqe` returned, without leftover dimensions.
    E_range : pair of scalars with units, optional
        Energies to show; by default all.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    matplotlib.figure.Figure
        Left, the ratio B/(A·f·S), white where Eq. 2 holds exactly. Right, its rms over
        Q at each energy, with what the standard deviations alone would give. Dotted:
        the range of energies where Eq. 2 holds within them.

    Raises
    ------
    QuantityError
        If the table is another.
    RangeError
        If it has a further dimension, or `E_range` has no data.
    MissingDependencyError
        If matplotlib is not installed.
    """
    table, rms = read_table(table, "fit_bqe", "rms_E", over="E")
    shown = table.isel(E=select_range(rms, "E", E_range, name="E_range"))
    if figure is None:
        figure = pyplot().figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    ratio = shown["ratio"].transpose("E", "Q")
    limits = [bin_limits(ratio, dim) for dim in ("Q", "E")]
    Q, E = (np.append(low, high[-1]) for low, high in limits)
    style: dict[str, Any] = {"cmap": "RdBu_r", "vmin": 0, "vmax": 2} | kwargs
    mesh = left.pcolormesh(Q, E, ratio.values, rasterized=True, **style)
    left.set_facecolor("0.8")  # no ratio, which white would show as 1
    bar = figure.colorbar(mesh, ax=left, pad=0.01, fraction=0.05, extend="max")
    what = QUANTITIES[table.attrs.get("signal", "reduced_dos")].label
    bar.set_label(f"${what}/[A\\,f(E)\\,S(Q)]$")
    left.set(xlabel=axis_label(ratio.Q), ylabel=axis_label(ratio.E))
    right.plot(shown.rms_E, shown.E, color=BLUE, lw=1.4, label="found")
    if "noise_E" in shown:
        right.plot(shown.noise_E, shown.E, color=GREY, lw=1, label="from errors alone")
        show_legend(right, fontsize="small")
    right.set(xlabel="rms over $Q$ of the ratio − 1", xlim=(0, None))
    for end in (table.E_holds_low, table.E_holds_high):
        if np.isfinite(float(end)):
            for axes in (left, right):
                axes.axhline(float(end), color="black", lw=0.8, ls=":")
    return figure


@operation(takes="compare_fluctuations", step=50, where="plot")
def fluctuations(
    table: xr.Dataset,
    E_range: Any = None,
    *,
    figure: Figure | None = None,
    **kwargs: Any,
) -> Figure:
    """Draw the maps that `compare_fluctuations` compared, as the paper's Fig. 4.

    Parameters
    ----------
    table : xarray.Dataset
        What `compare_fluctuations` returned.
    E_range : pair of scalars with units, optional
        Energies to show; the colours are scaled to what is shown. By default from a
        quarter of the boson peak, at most 1 meV, to four times it, at most 20 meV.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one, three panels wide, or two or four where
        that leaves fewer places empty.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    matplotlib.figure.Figure
        B(Q,E), and Ω(Q,E) of every field with r at the boson peak (dashed), S(Q) drawn
        over each, and the first phonon of the box (dotted); white points are the
        energies of the longitudinal and transverse phonons, over the volumetric and the
        shear strain. Legends name them where they are.

    Raises
    ------
    QuantityError
        If the table is another.
    MissingDependencyError
        If matplotlib is not installed.
    """
    table, _ = read_table(table, "compare_fluctuations", "r_of_B")
    names = table.field.values.tolist()
    if E_range is None:
        peak = float(table.E_BP)
        to_units = convert_factor("meV", str(table.E.attrs["units"]), energy=True)
        E_range = (
            np.fmin(to_units, peak / 4),
            np.fmin(20 * to_units, 4 * peak),
        )
    # The width with the fewest empty places.
    n_panels = len(names) + 1
    wide = min((3, 2 if n_panels < 5 else 4), key=lambda n: -n_panels % n)
    n_rows = -(-n_panels // wide)
    if figure is None:
        size = 2.87 * wide, 3.0 * n_rows
        figure = pyplot().figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, wide, sharex=True, sharey=True, squeeze=False)
    r_of_B = float(np.interp(table.E_BP, table.E, table.r_of_B))
    panels = [("B", table.B, r_of_B)]
    for name in names:
        one = table.sel(field=name)
        panels.append((name, one.Omega, float(one.r_at_boson_peak)))
    for i, (name, map_, r) in enumerate(panels):
        last = i % wide == wide - 1 or i == len(panels) - 1
        _draw_panel(axes.flat[i], table, name, map_, r, E_range, last, kwargs)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    # The lowest panel of a column is not in the last row if that is not full.
    for ax in axes.flat[max(len(panels) - wide, 0) : len(panels)]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(axis_label(table.Q))
    for ax in axes[:, 0]:
        ax.set_ylabel(axis_label(table.E))
    return figure


def _draw_panel(
    ax: Axes,
    table: xr.Dataset,
    name: str,
    map_: xr.DataArray,
    r: float,
    E_range: Any,
    last: bool,
    kwargs: dict[str, Any],
) -> None:
    """Draw one map; the last of a row has the numbers of S(Q) at the right."""
    inside = select_range(map_.to_dataset(name="map"), "E", E_range, name="E_range")
    shown = map_.isel(E=inside).transpose("E", "Q")
    # Phonons at the smallest Q are many times brighter than all else.
    top = float(np.percentile(shown.values[np.isfinite(shown.values)], 99.5))
    style: dict[str, Any] = {"cmap": "viridis", "rasterized": True}
    style |= {"vmin": 0, "vmax": top} | kwargs
    limits = [bin_limits(shown, dim) for dim in ("Q", "E")]
    Q, E = (np.append(low, high[-1]) for low, high in limits)
    mesh = ax.pcolormesh(Q, E, shown.values, **style)
    power = power_of(top)
    place: dict[str, Any] = {"location": "top", "aspect": 30, "pad": 0.02}
    bar = ax.figure.colorbar(mesh, ax=ax, format=in_powers(power), **place)
    bar.ax.tick_params(labelsize="x-small")
    is_B = name == "B"
    symbol = "$B(Q,E)$" if is_B else r"$\Omega(Q,E)$"
    text = label(symbol, map_.attrs["units"], power)
    text += "" if is_B else f", {_field_name(name)}"
    text += f": $r$ = {r:.2f}".replace("-", "−") if np.isfinite(r) else ""
    bar.set_label(text, fontsize="small", labelpad=6)
    over = overlay(ax, table.Q, table.Sq, "$S(Q)$" if last else "")
    over.set_ylim(0, 1.6 * float(table.Sq.max()))
    over.tick_params(labelright=last)
    branch = {"volumetric_strain": "longitudinal", "shear_strain": "transverse"}
    named = {"$S(Q)$": over.lines[-1]} if is_B else {}
    if "phonon_energy" in table and name in branch:
        phonon = table.phonon_energy.sel(branch=branch[name])
        seen = phonon[(phonon > E[0]) & (phonon < E[-1])]
        (points,) = ax.plot(seen.Q_branch, seen, ".", color="white", ms=3)
        named = {f"{branch[name]} phonons": points}
    ax.set_xlim(Q[0], Q[-1])
    if np.isfinite(float(table.E_BP)):
        line = ax.axhline(float(table.E_BP), color="white", lw=0.8, ls="--")
        if is_B:
            given = "E_BP_status" in table and table.E_BP_status.item() == Status.GIVEN
            named["given $E$" if given else r"$E_\mathrm{BP}$"] = line
    before = len(ax.lines)
    mark_box_phonon(ax.axhline, map_, "white")
    named |= {str(mark.get_label()): mark for mark in ax.lines[before:] if is_B}
    if named:
        over.legend(named.values(), named.keys(), **LEGEND_ON_MAP)


@operation(takes="compare_fluctuations", step=51, where="plot")
@figure
def field_correlations(
    table: xr.Dataset, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw the correlation of every field with S(Q) against energy.

    Parameters
    ----------
    table : xarray.Dataset
        What `compare_fluctuations` returned.
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
        If the table is another.
    """
    table, r_of_B = read_table(table, "compare_fluctuations", "r_of_B")
    axes = on_axes(ax, table.E, ("correlation", "1"))
    axes.axhline(0, color=GREY, lw=0.6)
    E = table.E[table.E > 0]
    axes.plot(E, r_of_B.sel(E=E), color="black", lw=2, label="$B(Q,E)$")
    colors = (ORANGE, BLUE, GREEN, *COLORS[3:6], GREY)
    for color, name in zip(colors, table.field.values.tolist(), strict=False):
        style: dict[str, Any] = {"lw": 1.2, "color": color, "label": _field_name(name)}
        axes.plot(E, table.pearson_r.sel(field=name, E=E), **(style | kwargs))
    if np.isfinite(float(table.E_BP)):
        axes.axvline(float(table.E_BP), color=GREY, lw=0.8, ls="--")
    mark_box_phonon(axes.axvline, table.B)
    text = "correlation $r$ with $S(Q)$"
    label_axes(axes, axis_label(table.E), text, general=text)
    axes.set_ylim(-1.02, 1.02)
    # Above the axes: the curves run everywhere within.
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    show_legend(axes, fontsize="x-small", ncols=2, **place)
    return axes


def _field_name(field: str) -> str:
    """Write the name of a field, of xbp or of the user."""
    return FIELDS[field].name if field in FIELDS else field.replace("_", " ")
