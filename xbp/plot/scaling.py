"""How signals and fields follow S(Q): scaled cuts, correlations, maps of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.grid import bin_limits, select_range
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import QUANTITIES, quantity_name, symbol_of
from xbp.core.signal import table_signal
from xbp.core.status import GIVEN
from xbp.plot.curves import DENSE, draw_curve
from xbp.plot.shown import label_axes, require_same
from xbp.plot.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    figure,
    in_powers,
    label,
    overlay,
    power_of,
    pyplot,
    require_dims,
    units_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["correlation", "field_correlations", "fluctuations", "scaling"]


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
    table = unwrap(data)[0].compute()
    value = table_signal(table, "scale_to_sq", "cut").value
    require_dims(value, "Q")
    axes = axes_of(ax)
    what = str(table.attrs.get("signal", "reduced_dos"))
    Q_units, units = str(value.Q.attrs["units"]), str(value.attrs["units"])
    require_same(axes, ("Q", Q_units), (what, units))
    symbol = f"${symbol_of(value.assign_attrs(quantity=what))}$"
    style: dict[str, Any] = {"color": BLUE, "label": symbol} | kwargs
    draw_curve(axes, value, table.get("cut_std"), line=value.size > DENSE, **style)
    scaled: dict[str, Any] = {
        "color": ORANGE,
        "lw": 1.6,
        "label": "$A\\,S(Q)$",
        "zorder": 3,
    }
    axes.plot(value.Q, table.scaled_structure_factor, **scaled)
    at = ""
    if "E" in value.coords:
        at = f" at {float(value.E):.3g} {units_label(value.E.attrs['units'])}"
    title = f"$r$ = {float(table.pearson_r):.2f}{at}".replace("-", "−")
    axes.set_title(title, fontsize="small")
    power = power_of(value)
    x, y = label(SYMBOLS["Q"], Q_units), label(symbol, units, power)
    label_axes(axes, x, y, power=power)
    axes.legend(frameon=False, fontsize="small")
    return axes


@operation(takes="correlation_map", step=50, where="plot")
@figure
def correlation(data: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the correlation of B(Q,E), or of another spectrum, with S(Q) against energy.

    Parameters
    ----------
    data : xarray.Dataset
        What `correlation_map` returned, without leftover dimensions.
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
    table = unwrap(data)[0].compute()
    r = table_signal(table, "correlation_map", "pearson_r").value
    require_dims(r, "E")
    axes = axes_of(ax)
    require_same(axes, ("E", str(r.E.attrs["units"])), ("correlation", "1"))
    spread = table.pearson_r_std.values
    band = np.maximum(r - spread, -1.0), np.minimum(r + spread, 1.0)
    axes.fill_between(r.E, *band, color=BLUE, alpha=0.2, lw=0)
    style: dict[str, Any] = {"color": BLUE, "lw": 1.4} | kwargs
    axes.plot(r.E, r, **style)
    axes.axhline(0.0, color=GREY, lw=0.8)
    what = QUANTITIES[table.attrs.get("signal", "reduced_dos")].label
    text = f"correlation of ${what}$ with $S(Q)$"
    general = "correlation with $S(Q)$"
    label_axes(axes, label(SYMBOLS["E"], r.E.attrs["units"]), text, general=general)
    axes.set_ylim(-1.05, 1.05)
    return axes


@operation(takes="compare_fluctuations", step=50, where="plot")
def fluctuations(
    table: xr.Dataset,
    E_range: Any = ("1 meV", "20 meV"),
    *,
    figure: Figure | None = None,
    **kwargs: Any,
) -> Figure:
    """Draw the maps that `compare_fluctuations` compared, as the paper's Fig. 4.

    Parameters
    ----------
    table : xarray.Dataset
        What `compare_fluctuations` returned.
    E_range : pair of scalars with units
        Energies to show; the colours are scaled to what is shown.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one, three panels wide.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`.

    Returns
    -------
    matplotlib.figure.Figure
        B(Q,E), and Ω(Q,E) of every field with r at the boson peak (dotted), S(Q) drawn
        over each; white points are the energies of the longitudinal and transverse
        phonons, over the volumetric and the shear strain. Legends name them where they
        are.

    Raises
    ------
    QuantityError
        If the table is another.
    MissingDependencyError
        If matplotlib is not installed.
    """
    _require_comparison(table)
    names = table.field.values.tolist()
    n_rows = -(-(len(names) + 1) // 3)
    if figure is None:
        size = 11, 3.3 * n_rows
        figure = pyplot().figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, 3, sharex=True, sharey=True, squeeze=False)
    r_of_B = float(np.interp(table.E_BP, table.E, table.r_of_B))
    panels = [("B", table.B, r_of_B)]
    for name in names:
        one = table.sel(field=name)
        panels.append((name, one.Omega, float(one.r_at_boson_peak)))
    for ax, (name, map_, r) in zip(axes.flat, panels, strict=False):
        _draw_panel(ax, table, name, map_, r, E_range, kwargs)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    # The lowest panel of a column is not in the last row if that is not full.
    for ax in axes.flat[max(len(panels) - 3, 0) : len(panels)]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(label(SYMBOLS["Q"], table.Q.attrs["units"]))
    for ax in axes[:, 0]:
        ax.set_ylabel(label(SYMBOLS["E"], table.E.attrs["units"]))
    return figure


def _draw_panel(
    ax: Axes,
    table: xr.Dataset,
    name: str,
    map_: xr.DataArray,
    r: float,
    E_range: Any,
    kwargs: dict[str, Any],
) -> None:
    inside = select_range(map_.to_dataset(name="map"), "E", E_range, name="E_range")
    shown = map_.isel(E=inside).transpose("E", "Q")
    # Phonons at the smallest Q are many times brighter than all else.
    top = float(np.percentile(shown.values[np.isfinite(shown.values)], 99.5))
    style: dict[str, Any] = {
        "vmin": 0,
        "vmax": top,
        "cmap": "viridis",
        "rasterized": True,
    } | kwargs
    limits = [bin_limits(shown, dim) for dim in ("Q", "E")]
    edges = [np.append(low, high[-1]) for low, high in limits]
    mesh = ax.pcolormesh(*edges, shown.values, **style)
    power = power_of(top)
    place: dict[str, Any] = {"pad": 0.01, "fraction": 0.05, "format": in_powers(power)}
    bar = ax.figure.colorbar(mesh, ax=ax, **place)
    bar.ax.tick_params(labelsize="small")
    symbol = "$B$" if name == "B" else r"$\Omega$"
    bar.set_label(label(symbol, map_.attrs["units"], power))
    over = overlay(ax, table.Q, table.Sq, "")
    over.set_ylim(0, 1.6 * float(table.Sq.max()))
    over.set_yticks([])
    branch = {"volumetric_strain": "longitudinal", "shear_strain": "transverse"}
    if "phonon_energy" in table and name in branch:
        phonon = table.phonon_energy.sel(branch=branch[name])
        seen = phonon[(phonon > edges[1][0]) & (phonon < edges[1][-1])]
        (points,) = ax.plot(seen.Q_branch, seen, ".", color="white", ms=3)
        _legend_on_map(over, {f"{branch[name]} phonons": points})
    title = "$B(Q,E)$" if name == "B" else rf"$\Omega(Q,E)$, {_field_name(name)}"
    if np.isfinite(r):
        title += f": $r$ = {r:.2f}".replace("-", "−")
    ax.set_title(title, fontsize="small")
    ax.set_xlim(edges[0][0], edges[0][-1])
    named = {"$S(Q)$": over.lines[-1]}
    if np.isfinite(float(table.E_BP)):
        given = "E_BP_status" in table and table.E_BP_status.item() == GIVEN
        line = ax.axhline(float(table.E_BP), color="white", lw=0.8, ls=":")
        named["given $E$" if given else r"$E_\mathrm{BP}$"] = line
    if name == "B":
        _legend_on_map(over, named)


def _legend_on_map(axes: Axes, named: dict[str, Any]) -> None:
    """Name white points and lines over a map, on a dark ground."""
    axes.legend(
        named.values(),
        named.keys(),
        loc="upper right",
        fontsize="x-small",
        facecolor="#222222",
        framealpha=0.75,
        edgecolor="none",
        labelcolor="white",
        handlelength=1.4,
        borderpad=0.3,
    )


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
    _require_comparison(table)
    axes = axes_of(ax)
    require_same(axes, ("E", str(table.E.attrs["units"])), ("correlation", "1"))
    axes.axhline(0, color=GREY, lw=0.6)
    E = table.E[table.E > 0]
    axes.plot(E, table.r_of_B.sel(E=E), color="black", lw=2, label="$B(Q,E)$")
    colors = (ORANGE, BLUE, GREEN, *COLORS[3:6], GREY)
    for color, name in zip(colors, table.field.values.tolist(), strict=False):
        style: dict[str, Any] = {"lw": 1.2, "color": color, "label": _field_name(name)}
        axes.plot(E, table.pearson_r.sel(field=name, E=E), **(style | kwargs))
    if np.isfinite(float(table.E_BP)):
        axes.axvline(float(table.E_BP), color=GREY, lw=0.8, ls=":")
    text = "correlation $r$ with $S(Q)$"
    label_axes(axes, label(SYMBOLS["E"], table.E.attrs["units"]), text, general=text)
    axes.set_ylim(-1.02, 1.02)
    # Above the axes: the curves run everywhere within.
    place: dict[str, Any] = {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.0),
        "ncols": 2,
    }
    axes.legend(fontsize="x-small", frameon=False, **place)
    return axes


def _field_name(field: str) -> str:
    """Write the name of a field as a physicist does."""
    names: dict[str, Any] = {
        "d2min": r"$D^2_\mathrm{min}$",
        "von_mises_strain": "von Mises strain",
    }
    return str(names.get(field, field.replace("_", " ")))


def _require_comparison(table: xr.Dataset) -> None:
    if not isinstance(table, xr.Dataset) or (
        quantity_name(table) != "compare_fluctuations"
    ):
        raise QuantityError(
            "this is not the Dataset that compare_fluctuations returned",
            fix="traj.bp.compare_fluctuations(Q_max).bp.plot.fluctuations()",
        )
