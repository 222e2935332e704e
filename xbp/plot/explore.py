"""A map in a notebook whose cuts follow the pointer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interval
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.schema import QUANTITIES
from xbp.core.signal import Signal, read
from xbp.core.units import magnitude
from xbp.plot.style import BLUE, ORANGE, SYMBOLS, power_of, units_label
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
            f"'{signal.value.name}' has the dimensions {tuple(signal.value.dims)}",
            reason="a map has Q and E",
            fix="choose one element of every other dimension first: data.isel(...)",
        )
    value = signal.value.transpose("E", "Q").compute()
    reach = {dim: _reach(signal, dim) for dim in ("Q", "E")}
    limits = {
        dim: reach[dim]
        if given is None
        else interval(given, signal.source, dim, name=f"{dim}_range")
        for dim, given in (("Q", Q_range), ("E", E_range))
    }
    shown = value
    for dim, (low, high) in limits.items():
        shown = shown.where(value[dim].clip(low, high) == value[dim])
    widths = {
        dim: float(np.median(np.subtract(*bin_limits(signal.source, dim)[::-1])))
        if width is None
        else magnitude(
            width, value[dim].attrs["units"], name=f"{dim}_width", energy=dim == "E"
        )
        for dim, width in (("Q", Q_width), ("E", E_width))
    }
    for dim, (first, last) in reach.items():
        if not 0 < widths[dim] <= last - first:
            raise RangeError(
                f"{dim}_width is {widths[dim]:g}",
                reason=f"the data reach from {first:g} to {last:g}",
                fix="give a width above 0 that fits",
            )

    axis = {
        dim: hv.Dimension(
            dim, label=f"{SYMBOLS[dim].strip('$')}", unit=_plain(value[dim])
        )
        for dim in ("Q", "E")
    }
    letter = QUANTITIES[value.attrs["quantity"]].label.split("(")[0]
    edges = [
        np.append(lo, hi[-1])
        for lo, hi in (bin_limits(signal.source, dim) for dim in ("Q", "E"))
    ]
    finite = shown.values[np.isfinite(shown.values)]
    # A single elastic bin or noisy corner must not take all the colours.
    top = float(np.percentile(finite, 99.5)) if finite.size else 1.0
    power = power_of(top)
    ten = f"10{str(power).translate(_RAISED)} " if power else ""
    height = hv.Dimension(letter, label=letter, unit=f"{ten}{_plain(value)}".strip())
    title = f"{letter} ({height.unit})" if height.unit else letter
    top /= 10.0**power
    options = {
        "cmap": "viridis",
        "clim": (0.0, top),
        "colorbar": True,
        "width": 430,
        "height": 360,
    }
    options |= {
        "xlim": limits["Q"],
        "ylim": limits["E"],
        "clabel": " ",
        "title": title,
        "hooks": [_close],
    }
    mesh = hv.QuadMesh(
        (*edges, value.values / 10.0**power), [axis["Q"], axis["E"]], height
    ).opts(**options | kwargs)
    # Where boson peaks are wont to be: low in the range of energies.
    start = {
        "Q": sum(limits["Q"]) / 2,
        "E": limits["E"][0] + (limits["E"][1] - limits["E"][0]) / 5,
    }
    point = hv.Points([(start["Q"], start["E"])], [axis["Q"], axis["E"]]).opts(
        size=14,
        color=ORANGE,
        line_color="white",
        tools=["point_draw"],
        active_tools=["point_draw"],
    )
    dragged = hv.streams.PointDraw(
        source=point, num_objects=1, data={"Q": [start["Q"]], "E": [start["E"]]}
    )

    def at(dim: str, given: dict[str, Any] | None) -> float:
        """Return where the point is, half the width of the cut inside the data."""
        places = (given or {}).get(dim) or [start[dim]]
        first, last = reach[dim]
        return float(
            np.clip(places[-1], first + widths[dim] / 2, last - widths[dim] / 2)
        )

    def lines(data: dict[str, Any] | None) -> Any:
        style = {"color": "white", "line_width": 1}
        return hv.HLine(at("E", data)).opts(**style) * hv.VLine(at("Q", data)).opts(
            **style
        )

    def over_E(data: dict[str, Any] | None) -> Any:
        return _profile(
            hv,
            cut_Q(source, at("Q", data), widths["Q"]),
            axis["E"],
            height,
            limits["E"],
            power,
        )

    def over_Q(data: dict[str, Any] | None) -> Any:
        return _profile(
            hv,
            cut_E(source, at("E", data), widths["E"]),
            axis["Q"],
            height,
            limits["Q"],
            power,
        )

    panes = [hv.DynamicMap(draw, streams=[dragged]) for draw in (over_E, over_Q)]
    return (
        (mesh * hv.DynamicMap(lines, streams=[dragged]) * point + panes[0] + panes[1])
        .opts(shared_axes=False)
        .cols(3)
    )


def _plain(variable: xr.DataArray) -> str:
    """Write units as text without mathematics, which a page of bokeh does not set."""
    pieces = re.split(r"\$\^{(.*?)}\$", units_label(str(variable.attrs["units"])))
    return "".join(p.translate(_RAISED) if i % 2 else p for i, p in enumerate(pieces))


def _reach(signal: Signal, dim: str) -> tuple[float, float]:
    lower, upper = bin_limits(signal.source, dim)
    return float(lower[0]), float(upper[-1])


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
    dim = str(value.dims[0])
    other = "Q" if dim == "E" else "E"
    finite = (
        np.isfinite(value.values)
        & (value[dim].values >= limits[0])
        & (value[dim].values <= limits[1])
    )
    x, y = value[dim].values[finite], value.values[finite] / 10.0**power
    title = f"{other} = {float(value[other]):.3g} {_plain(value[other])}"
    options = {
        "width": 330,
        "height": 360,
        "title": title,
        "framewise": True,
        "xlim": limits,
    }
    curve = hv.Curve((x, y), axis, height).opts(color=BLUE, **options)
    std = (
        np.zeros_like(y)
        if signal.std is None
        else np.nan_to_num(signal.std.compute().values[finite]) / 10.0**power
    )
    return curve * hv.ErrorBars((x, y, std), axis, [height, "std"]).opts(
        line_color=BLUE, upper_head=None, lower_head=None
    )
