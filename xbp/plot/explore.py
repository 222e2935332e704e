"""A map in a notebook whose cuts follow the pointer."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interval
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.schema import QUANTITIES
from xbp.core.signal import read
from xbp.core.units import magnitude
from xbp.plot.style import BLUE, ORANGE, power_of, units_label
from xbp.reduction import cut_E, cut_Q

__all__ = ["explore"]

_RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")


@operation(takes="signal", where="plot")
def explore(
    data: xr.DataArray | xr.Dataset,
    E_width: Any = None,
    Q_width: Any = None,
    *,
    E_range: Any = None,
    Q_range: Any = None,
    **kwargs: Any,
) -> Any:
    """Show a map of Q and E with a point to drag, and both cuts through it.

    Where the point is dragged, the cut at its energy over Q and the cut at its momentum
    transfer over E are drawn anew, with error bars where they are known. It lives in a
    notebook (``pip install jupyterlab`` beside the extra ``explore``) or a panel server
    (``panel serve script.py``, the script ending in ``.servable()`` of
    ``panel.panel(layout)``). As a page, ``holoviews.save(layout, "map.html",
    resources="inline")``, the point stays where it is.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q and E.
    E_width, Q_width : scalar with units, optional
        Widths that the cuts average over; by default that of a middle bin.
    E_range, Q_range : pair of scalars with units, optional
        What to show; the colours are scaled to it.
    **kwargs
        For the options of `holoviews.QuadMesh`.

    Returns
    -------
    holoviews.Layout
        The map, the cut over E and the cut over Q.

    Raises
    ------
    RangeError
        If the data have not just the dimensions Q and E, or a width is wider than they
        reach.
    MissingDependencyError
        If holoviews or bokeh is not installed.

    Examples
    --------
    >>> import xbp
    >>> b = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> panes = b.bp.plot.explore(E_width="0.5 meV", E_range=("1 meV", "20 meV"))
    >>> len(panes)
    3
    """
    hv = require("holoviews", "the map is drawn with it", "explore")
    require("bokeh", "its point is dragged in a page", "explore")
    hv.extension("bokeh", logo=False)
    signal = read(data)
    source: Any = signal.source
    if set(signal.value.dims) != {"Q", "E"}:
        raise RangeError(
            f"'{signal.value.name}' is over {signal.value.dims}; a map has Q and E",
            fix="data.isel(...)",
        )
    value = signal.value.transpose("E", "Q").compute()
    letter = QUANTITIES[value.attrs["quantity"]].label.split("(")[0]
    edges, limits, widths, axis = {}, {}, {}, {}
    shown = value
    for dim, width, given in (("Q", Q_width, Q_range), ("E", E_width, E_range)):
        lower, upper = bin_limits(source, dim)
        edges[dim] = np.append(lower, upper[-1])
        first, last = limits[dim] = float(lower[0]), float(upper[-1])
        widths[dim] = float(np.median(upper - lower))
        if width is not None:
            units, is_E = value[dim].attrs["units"], dim == "E"
            widths[dim] = magnitude(width, units, name=f"{dim}_width", energy=is_E)
        if not 0 < widths[dim] <= last - first:
            raise RangeError(
                f"{dim}_width={widths[dim]:g} must fit the data, {first:g} to {last:g}"
            )
        if given is not None:
            limits[dim] = interval(given, source, dim, name=f"{dim}_range")
        shown = shown.where(value[dim].clip(*limits[dim]) == value[dim])
        axis[dim] = hv.Dimension(dim, label=dim, unit=_plain(value[dim]))
    finite = shown.values[np.isfinite(shown.values)]
    # A single elastic bin or noisy corner must not take all the colours.
    top = float(np.percentile(finite, 99.5)) if finite.size else 1.0
    power = power_of(top)
    ten = f"10{str(power).translate(_RAISED)} " if power else ""
    height = hv.Dimension(letter, label=letter, unit=f"{ten}{_plain(value)}".strip())
    title = f"{letter} ({height.unit})" if height.unit else letter
    places = [axis["Q"], axis["E"]]
    grid = (edges["Q"], edges["E"], value.values / 10.0**power)
    options: dict[str, Any] = {"cmap": "viridis", "colorbar": True, "hooks": [_close]}
    options |= {"clim": (0.0, top / 10.0**power), "clabel": " ", "title": title}
    options |= {"xlim": limits["Q"], "ylim": limits["E"], "width": 430, "height": 360}
    mesh = hv.QuadMesh(grid, places, height).opts(**options | kwargs)
    # Where boson peaks usually are: low in the range of energies.
    low, high = limits["E"]
    start = {"Q": sum(limits["Q"]) / 2, "E": low + (high - low) / 5}
    tools: dict[str, Any] = {"tools": ["point_draw"], "active_tools": ["point_draw"]}
    point = hv.Points([(start["Q"], start["E"])], places).opts(
        size=14, color=ORANGE, line_color="white", **tools
    )
    first_place = {dim: [at] for dim, at in start.items()}
    dragged = hv.streams.PointDraw(source=point, num_objects=1, data=first_place)

    def at(dim: str, given: dict[str, Any] | None) -> float:
        """Return where the point is, half the width of the cut inside the data."""
        places, half = (given or {}).get(dim) or [start[dim]], widths[dim] / 2
        return float(np.clip(places[-1], edges[dim][0] + half, edges[dim][-1] - half))

    def lines(data: dict[str, Any] | None) -> Any:
        cross = hv.HLine(at("E", data)), hv.VLine(at("Q", data))
        across, along = (line.opts(color="white", line_width=1) for line in cross)
        return across * along

    def profile(dim: str, data: dict[str, Any] | None) -> Any:
        other, cut = {"E": ("Q", cut_Q), "Q": ("E", cut_E)}[dim]
        averaged: Any = cut(source, at(other, data), widths[other])
        return _profile(hv, averaged, axis[dim], height, limits[dim], power)

    panes = [
        hv.DynamicMap(functools.partial(profile, dim), streams=[dragged])
        for dim in ("E", "Q")
    ]
    chart = mesh * hv.DynamicMap(lines, streams=[dragged]) * point
    return (chart + panes[0] + panes[1]).opts(shared_axes=False).cols(3)


def _plain(variable: xr.DataArray) -> str:
    """Write units as text without mathematics, which a page of bokeh does not set."""
    pieces = re.split(r"\$\^{(.*?)}\$", units_label(str(variable.attrs["units"])))
    return "".join(p.translate(_RAISED) if i % 2 else p for i, p in enumerate(pieces))


def _close(plot: Any, _: Any) -> None:
    """Paint the edges of the cells in the colour of the cells.

    Bokeh leaves a white grid between them.
    """
    glyph = plot.handles["glyph"]
    glyph.update(line_color=glyph.fill_color, line_alpha=1.0, line_width=1.0)


def _profile(
    hv: Any,
    cut: xr.DataArray | xr.Dataset,
    axis: Any,
    height: Any,
    limits: tuple[float, float],
    power: int,
) -> Any:
    """Draw one cut, its place in the title."""
    signal = read(cut)
    value = signal.value.compute()
    (dim,) = map(str, value.dims)
    other = "Q" if dim == "E" else "E"
    std = value * 0 if signal.std is None else signal.std.compute()
    x = value[dim].values
    seen = np.isfinite(value.values) & (x >= limits[0]) & (x <= limits[1])
    y, error = (a.values[seen] / 10.0**power for a in (value, std))
    title = f"{other} = {float(value[other]):.3g} {_plain(value[other])}"
    options: dict[str, Any] = {"width": 330, "height": 360, "framewise": True}
    options |= {"title": title, "xlim": limits, "color": BLUE}
    curve = hv.Curve((x[seen], y), axis, height).opts(**options)
    bars = hv.ErrorBars((x[seen], y, np.nan_to_num(error)), axis, [height, "std"])
    return curve * bars.opts(line_color=BLUE, upper_head=None, lower_head=None)
