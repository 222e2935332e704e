"""The figure of `compare_fluctuations`.

B(Q,E) and Ω(Q,E) of every field, S(Q) laid over each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.grid import bin_limits, select_range
from xbp.core.operation import operation
from xbp.core.schema import quantity_name
from xbp.core.status import GIVEN
from xbp.plot.axes import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    in_powers,
    label,
    lay_over,
    like_xarray,
    power_of,
    pyplot,
)
from xbp.plot.shown import label_axes, require_same

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["field_correlations", "fluctuations"]

#: Of which branch the phonons are drawn over the map of a field.
_BRANCH = {"volumetric_strain": "longitudinal", "shear_strain": "transverse"}
_NAMES = {"d2min": r"$D^2_\mathrm{min}$", "von_mises_strain": "von Mises strain"}
_LINES = (ORANGE, BLUE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)


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
        B(Q,E), and Ω(Q,E) of every field with r at the boson peak (dotted), S(Q) laid
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
    _require(table)
    names = table.field.values.tolist()
    n_rows = -(-(len(names) + 1) // 3)
    canvas = (
        pyplot().figure(figsize=(11, 3.3 * n_rows), layout="constrained")
        if figure is None
        else figure
    )
    axes = canvas.subplots(n_rows, 3, sharex=True, sharey=True, squeeze=False)
    panels = [("B", table.B, float(np.interp(table.E_BP, table.E, table.r_of_B)))]
    for name in names:
        one = table.sel(field=name)
        panels.append((name, one.Omega, float(one.r_at_boson_peak)))
    for ax, (name, map_, r) in zip(axes.flat, panels, strict=False):
        _panel(ax, table, name, map_, r, E_range, kwargs)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes.flat[max(len(panels) - 3, 0) : len(panels)]:
        # The lowest panel of a column is not in the last row where that is not full.
        ax.tick_params(labelbottom=True)
        ax.set_xlabel(label(SYMBOLS["Q"], table.Q.attrs["units"]))
    for ax in axes[:, 0]:
        ax.set_ylabel(label(SYMBOLS["E"], table.E.attrs["units"]))
    return canvas


def _panel(
    ax: Axes,
    table: xr.Dataset,
    name: str,
    map_: xr.DataArray,
    r: float,
    E_range: Any,
    kwargs: dict[str, Any],
) -> None:
    shown = map_.isel(
        E=select_range(map_.to_dataset(name="map"), "E", E_range, name="E_range")
    ).transpose("E", "Q")
    finite = shown.values[np.isfinite(shown.values)]
    # Phonons at the smallest Q are many times brighter than all else.
    top = float(np.percentile(finite, 99.5))
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
    bar = ax.figure.colorbar(
        mesh, ax=ax, pad=0.01, fraction=0.05, format=in_powers(power)
    )
    bar.ax.tick_params(labelsize="small")
    bar.set_label(
        label("$B$" if name == "B" else r"$\Omega$", map_.attrs["units"], power)
    )
    over = lay_over(ax, table.Q, table.Sq)
    over.set_ylim(0, 1.6 * float(table.Sq.max()))
    over.set_yticks([])
    if "phonon_energy" in table and name in _BRANCH:
        phonon = table.phonon_energy.sel(branch=_BRANCH[name])
        inside = (phonon > edges[1][0]) & (phonon < edges[1][-1])
        points = ax.plot(
            phonon.Q_branch[inside], phonon[inside], ".", color="white", ms=3
        )
        _legend(over, {f"{_BRANCH[name]} phonons": points[0]})
    title = "$B(Q,E)$" if name == "B" else rf"$\Omega(Q,E)$, {_written(name)}"
    ax.set_title(
        f"{title}: $r$ = {r:.2f}".replace("-", "−") if np.isfinite(r) else title,
        fontsize="small",
    )
    ax.set_xlim(edges[0][0], edges[0][-1])
    line = None
    if np.isfinite(float(table.E_BP)):
        line = ax.axhline(float(table.E_BP), color="white", lw=0.8, ls=":")
    if name == "B":
        given = "E_BP_status" in table and table.E_BP_status.item() == GIVEN
        _legend(
            over,
            {
                "$S(Q)$": over.lines[-1],
                "given $E$" if given else r"$E_\mathrm{BP}$": line,
            },
        )


def _legend(axes: Axes, named: dict[str, Any]) -> None:
    """Name what lies over a map, on a dark ground.

    White points and lines would vanish on that of a legend.
    """
    drawn = {text: artist for text, artist in named.items() if artist is not None}
    axes.legend(
        drawn.values(), drawn.keys(), loc="upper "
                                          "right", fontsize="x-small", facecolor="#222222", framealpha=0.75,
        edgecolor="none", labelcolor="white", handlelength=1.4, borderpad=0.3,
    )  # fmt: skip


@operation(takes="compare_fluctuations", step=51, where="plot")
@like_xarray
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
    _require(table)
    axes = axes_of(ax)
    require_same(axes, ("E", str(table.E.attrs["units"])), ("correlation", "1"))
    axes.axhline(0, color=GREY, lw=0.6)
    shown = table.E > 0
    axes.plot(
        table.E[shown], table.r_of_B[shown], color="black", lw=2, label="$B(Q,E)$"
    )
    for colour, name in zip(_LINES, table.field.values.tolist(), strict=False):
        style: dict[str, Any] = {
            "lw": 1.2,
            "color": colour,
            "label": _written(name),
        } | kwargs
        axes.plot(table.E[shown], table.pearson_r.sel(field=name)[shown], **style)
    if np.isfinite(float(table.E_BP)):
        axes.axvline(float(table.E_BP), color=GREY, lw=0.8, ls=":")
    said = "correlation $r$ with $S(Q)$"
    label_axes(axes, label(SYMBOLS["E"], table.E.attrs["units"]), said, general=said)
    axes.set_ylim(-1.02, 1.02)
    # Above the axes: the curves run everywhere within.
    axes.legend(
        fontsize="x-small",
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=2,
        frameon=False,
    )
    return axes


def _written(field: str) -> str:
    """Write the name of a field as a physicist does."""
    return _NAMES.get(field, field.replace("_", " "))


def _require(table: xr.Dataset) -> None:
    if (
        not isinstance(table, xr.Dataset)
        or quantity_name(table) != "compare_fluctuations"
    ):
        raise QuantityError(
            "this is no comparison of fluctuations",
            reason="the figure is drawn from the Dataset that compare_fluctuations "
            "returned",
            fix="traj.bp.compare_fluctuations(Q_max).bp.plot.fluctuations()",
        )
