"""A map with a point to drag, and both cuts through it, as a page of its own."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import SOURCE, common_errors
from xbp.core.data import require_over, unwrap
from xbp.core.errors import RangeError, require
from xbp.core.grid import bin_limits, interval
from xbp.core.independence import independence, std_along
from xbp.core.operation import operation
from xbp.core.schema import QUANTITIES
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude
from xbp.io.publish import new_file
from xbp.plot.maps import color_scale
from xbp.plot.style import BLUE, ORANGE, power_of, units_label
from xbp.reduction import cut_E, cut_Q

__all__ = ["Explorer", "explore"]

#: The function in JavaScript that redraws the cuts.
_REDRAW = Path(__file__).with_suffix(".js")
#: Pixels of the map along each axis at most; a screen shows no more.
_PIXELS = 600
#: 0.0008, not 8.000e−4.
_TICK = "return String(Number(tick.toPrecision(4))).replace('-', '−');"
_RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")


class Explorer:
    """A map and its cuts in one page.

    A notebook shows it, also after its export to HTML.

    Attributes
    ----------
    layout : bokeh layout
        The figures, for a page or server of bokeh.
    """

    def __init__(self, layout: Any, title: str) -> None:
        self.layout, self.title = layout, title

    def page(self) -> str:
        """Return the page as HTML, which needs no network."""
        inline = _bokeh("resources").INLINE
        return str(_bokeh("embed").file_html(self.layout, inline, self.title))

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the page to a file.

        Parameters
        ----------
        path : str or pathlib.Path
            The file, such as ``"map.html"``.
        overwrite : bool
            Replace a file of this name.

        Raises
        ------
        FileFormatError
            If the file exists and `overwrite` is not given.
        """
        with new_file(path, overwrite=overwrite) as (temporary, _):
            Path(temporary).write_text(self.page(), encoding="utf-8")

    def _repr_html_(self) -> str:
        # In a frame, which keeps the page apart from that of the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.page())}" width="1180" height="470" '
            f'style="border: 0; max-width: 100%"></iframe>'
        )


@operation(takes="signal", where="plot")
def explore(
    data: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset | None = None,
    *,
    E_width: Any = None,
    Q_width: Any = None,
    E_range: Any = None,
    Q_range: Any = None,
) -> Explorer:
    """Show a map of Q and E with a point to drag, and both cuts through it.

    Press on the map and drag: the cut at the energy of the pointer over Q and the cut
    at its momentum transfer over E follow, with error bars where they are known. Two
    sliders set the widths that the cuts average over. The cuts are those of `cut_E` and
    `cut_Q`, computed in the page itself; so they follow in a notebook, in its export to
    HTML, and in a saved page, ``explorer.save("map.html")``.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q and E.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q), drawn over the map and beside the cut over Q on an axis of its own.
    E_width, Q_width : scalar with units, optional
        Widths that the cuts average over at first; by default that of a middle bin.
    E_range, Q_range : pair of scalars with units, optional
        What to show; the colours are scaled to it.

    Returns
    -------
    Explorer

    Raises
    ------
    RangeError
        If the data have not just the dimensions Q and E, or a width is wider than they
        reach.
    MissingDependencyError
        If bokeh is not installed.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> explorer = glass.bp.to_bqe().bp.plot.explore(glass.Sq, E_range=(1, 20))
    >>> explorer.title
    'B(Q,E)'
    """
    layouts, models = _bokeh("layouts"), _bokeh("models")
    plain = unwrap(data)[0].compute()
    signal = read(plain)
    require_over(signal.value, ("Q", "E"), "a map has Q and E")
    limits, shown, widths = {}, {}, {}
    for dim, width, given in (("Q", Q_width, Q_range), ("E", E_width, E_range)):
        lower, upper = bin_limits(signal.source, dim)
        limits[dim] = np.append(lower, upper[-1])
        first, last = float(lower[0]), float(upper[-1])
        units = signal.value[dim].attrs["units"]
        widths[dim] = float(np.median(upper - lower))
        if width is not None:
            widths[dim] = magnitude(
                width, units, name=f"{dim}_width", energy=dim == "E"
            )
        if not 0 < widths[dim] <= last - first:
            raise RangeError(
                f"{dim}_width={widths[dim]:g} must fit the data, {first:g} to {last:g}"
            )
        shown[dim] = (first, last)
        if given is not None:
            shown[dim] = interval(given, signal.source, dim, name=f"{dim}_range")
    # A single elastic bin or noisy corner must not set the power of ten.
    seen = _in_view(signal.value, shown)
    power = power_of(np.percentile(seen, 99.5) if seen.size else 1.0)
    sliders = {
        dim: models.Slider(
            start=min(float(np.diff(limits[dim]).min()), widths[dim]),
            end=max((shown[dim][1] - shown[dim][0]) / 4, widths[dim]),
            step=(shown[dim][1] - shown[dim][0]) / 1000,
            value=widths[dim],
            title=f"width in {dim} ({_plain(signal.value[dim])})",
            width=300,
        )
        for dim in ("E", "Q")
    }
    curve = None if sq is None else _structure_factor(sq, signal)
    panes = _panes(plain, signal, limits, shown, sliders, power, curve)
    title = str(QUANTITIES[signal.value.attrs["quantity"]].label)
    hint = models.Div(text="Press on the map and drag: both cuts follow.")
    rows = layouts.row(*sliders.values(), hint), layouts.row(*panes)
    return Explorer(layouts.column(*rows), title)


def _bokeh(part: str) -> Any:
    """Return a package of bokeh, or explain how to install it."""
    return require(f"bokeh.{part}", "draw the map", "explore")


def _in_view(value: xr.DataArray, shown: dict[str, Any]) -> np.ndarray:
    for dim, ends in shown.items():
        value = value.where(value[dim].clip(*ends) == value[dim])
    return np.asarray(value.values[np.isfinite(value.values)])


def _measured(value: xr.DataArray, dim: str, at: float) -> float:
    """Return a place, or the nearest bin with a number if that at it has none."""
    seen = value.notnull().any([d for d in value.dims if d != dim]).values
    away = np.abs(value[dim].values - at)
    if seen[away.argmin()] or not seen.any():
        return at
    return float(value[dim].values[np.where(seen, away, np.inf).argmin()])


def _structure_factor(sq: Any, signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    """Return Q in the units of the map, and S(Q)."""
    value = read(sq, "static_structure_factor").value
    require_over(value, "Q", "S(Q) needs Q alone")
    units = (str(v["Q"].attrs["units"]) for v in (value, signal.value))
    return value.Q.values * convert_factor(*units), value.compute().values


def _panes(
    data: Any,
    signal: Signal,
    limits: dict[str, np.ndarray],
    shown: dict[str, tuple[float, float]],
    sliders: dict[str, Any],
    power: int,
    curve: tuple[np.ndarray, np.ndarray] | None,
) -> list[Any]:
    """Return the map, the cut over E and the cut over Q, joined by the function."""
    models = _bokeh("models")
    value = signal.value.transpose("E", "Q")
    units = {dim: _plain(value[dim]) for dim in ("Q", "E")}
    ten = f"10{str(power).translate(_RAISED)} " if power else ""
    inside = f"{ten}{_plain(value)}".strip()
    name = str(QUANTITIES[value.attrs["quantity"]].label)
    height = f"{name} ({inside})" if inside else name
    # Where boson peaks usually are: low in the range of energies.
    low, high = shown["E"]
    start = {
        "Q": _measured(value, "Q", sum(shown["Q"]) / 2),
        "E": _measured(value, "E", low + (high - low) / 5),
    }
    source = models.ColumnDataSource
    point = source({dim: [at] for dim, at in start.items()}, name="point")
    white = {"fill_color": "white", "fill_alpha": 0.25, "line_color": "white"}
    bands = {dim: models.BoxAnnotation(**white) for dim in ("Q", "E")}
    chart = _map(value, limits, shown, power, height, curve)
    for band in bands.values():
        chart.add_layout(band)
    chart.scatter(
        "Q", "E", source=point, size=13, fill_color=ORANGE, line_color="white"
    )
    cuts, titles, figures = {}, {}, {}
    for over, along in (("Q", "E"), ("E", "Q")):
        empty: dict[str, Any] = {key: [] for key in ("x", "y", "low", "high")}
        cuts[along] = source(empty, name=f"over_{along}")
        beside = curve if along == "Q" else None
        label = f"{along} ({units[along]})"
        figures[along] = _profile(cuts[along], shown[along], label, height, beside)
        titles[over] = figures[along].title
    _first_cuts(data, start, sliders, limits, shown, power, cuts, titles, bands, units)
    redraw = models.CustomJS(
        args={
            "cells": source(_cells(data, value, signal, power)),
            "grid": source({f"{d}_edges": [limits[d]] for d in limits}),
            "places": source({d: [value[d].values] for d in limits}),
            "dependent": {d: independence(signal.std, d) is not None for d in limits},
            "point": point,
            "widths": sliders,
            "shown": {dim: list(ends) for dim, ends in shown.items()},
            "over_E": cuts["E"],
            "over_Q": cuts["Q"],
            "titles": titles,
            "bands": bands,
            "units": {dim: f" {text}".rstrip() for dim, text in units.items()},
        },
        code=_REDRAW.read_text(encoding="utf-8"),
    )
    for event in ("tap", "panstart", "pan"):
        chart.js_on_event(event, redraw)
    for slider in sliders.values():
        slider.js_on_change("value", redraw)
    return [chart, figures["E"], figures["Q"]]


def _cells(
    data: Any, value: xr.DataArray, signal: Signal, power: int
) -> dict[str, np.ndarray]:
    """Return the columns that cuts are computed from, bin after bin.

    The value, the error of each bin alone, the same for sums over Q and over E, and the
    errors that bins have in common.
    """
    ten = 10.0**power
    columns = {"value": value.values.ravel() / ten}
    std = signal.std
    if std is None:
        none = np.full(value.size, np.nan)
        return columns | dict.fromkeys(("own", "alone_Q", "alone_E"), none)
    common = (
        common_errors(data, str(value.name)) if isinstance(data, xr.Dataset) else None
    )
    if common is not None:
        shared = common.transpose(SOURCE, "E", "Q").values
        for i, part in enumerate(shared):
            columns[f"common_{i}"] = part.ravel() / ten
        left = std.transpose("E", "Q").values ** 2 - (shared**2).sum(0)
        own = np.sqrt(np.clip(left, 0.0, None))
        std = std.transpose("E", "Q").copy(data=own)
    columns["own"] = std.transpose("E", "Q").values.ravel() / ten
    for dim in ("Q", "E"):
        alone = std_along(std, dim).transpose("E", "Q").values
        columns[f"alone_{dim}"] = alone.ravel() / ten
    return columns


def _first_cuts(
    data: Any,
    start: dict[str, float],
    sliders: dict[str, Any],
    limits: dict[str, np.ndarray],
    shown: dict[str, tuple[float, float]],
    power: int,
    cuts: dict[str, Any],
    titles: dict[str, Any],
    bands: dict[str, Any],
    units: dict[str, str],
) -> None:
    """Fill in the cuts through the point where it is at first."""
    for over, along, cut in (("Q", "E", cut_Q), ("E", "Q", cut_E)):
        half = sliders[over].value / 2
        ends = limits[over][0] + half, limits[over][-1] - half
        at = float(np.clip(start[over], *ends))
        low, high = at - half, at + half
        signal = read(cut(data, (low, high)))
        x, y = signal.value[along].values, signal.value.values / 10.0**power
        std = 0 * y if signal.std is None else signal.std.values / 10.0**power
        std = np.nan_to_num(std)
        seen = np.isfinite(y) & (x >= shown[along][0]) & (x <= shown[along][1])
        columns = {"x": x, "y": y, "low": y - std, "high": y + std}
        cuts[along].data = {key: column[seen] for key, column in columns.items()}
        text = f"{over} = {low:.4g} to {high:.4g} {units[over]}"
        titles[over].text = text.rstrip().replace("-", "−")
        first, last = ("left", "right") if over == "Q" else ("bottom", "top")
        bands[over].update(**{first: low, last: high})


def _map(
    value: xr.DataArray,
    limits: dict[str, np.ndarray],
    shown: dict[str, tuple[float, float]],
    power: int,
    height: str,
    curve: tuple[np.ndarray, np.ndarray] | None,
) -> Any:
    """Return the map, on which the pointer is dragged."""
    from matplotlib.colors import LogNorm

    models = _bokeh("models")
    chart = _bokeh("plotting").figure(
        width=460,
        height=390,
        x_range=shown["Q"],
        y_range=shown["E"],
        x_axis_label=f"Q ({_plain(value['Q'])})",
        y_axis_label=f"E ({_plain(value['E'])})",
        title=height,
        # Dragging moves the point: no tool is active.
        tools="wheel_zoom,reset,save",
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        name="map",
    )
    scale = color_scale(_in_view(value, shown) / 10.0**power)
    kind = "Log" if isinstance(scale, LogNorm) else "Linear"
    colors = getattr(models, f"{kind}ColorMapper")(
        "Viridis256", low=scale.vmin, high=scale.vmax
    )
    # Pixels of one size, each the bin in which its centre is.
    pixels, cells = {}, {}
    for dim, edges in limits.items():
        finest = (edges[-1] - edges[0]) / np.diff(edges).min()
        n = int(np.clip(np.ceil(finest - 1e-6), 1, _PIXELS))
        centres = edges[0] + (np.arange(n) + 0.5) * (edges[-1] - edges[0]) / n
        found = np.searchsorted(edges, centres, side="right") - 1
        pixels[dim], cells[dim] = n, np.clip(found, 0, edges.size - 2)
    image = value.values[np.ix_(cells["E"], cells["Q"])] / 10.0**power
    Q, E = limits["Q"], limits["E"]
    chart.image(
        [image],
        x=Q[0],
        y=E[0],
        dw=Q[-1] - Q[0],
        dh=E[-1] - E[0],
        color_mapper=colors,
    )
    bar = models.ColorBar(color_mapper=colors, width=9, padding=4)
    chart.add_layout(bar, "left")
    if curve is not None:
        _beside(chart, *curve)
    return chart


def _beside(chart: Any, Q: np.ndarray, S: np.ndarray) -> None:
    """Draw S(Q) on an axis of its own at the right."""
    models = _bokeh("models")
    chart.extra_y_ranges = {"sq": models.Range1d(0.0, 1.05 * float(np.nanmax(S)))}
    style = {"y_range_name": "sq"}
    chart.line(Q, S, line_color="white", line_width=3.2, **style)
    chart.line(Q, S, line_color=ORANGE, line_width=1.6, **style)
    chart.add_layout(
        models.LinearAxis(axis_label="S(Q)", axis_label_text_color=ORANGE, **style),
        "right",
    )


def _profile(
    source: Any,
    ends: tuple[float, float],
    label: str,
    height: str,
    curve: tuple[np.ndarray, np.ndarray] | None,
) -> Any:
    """Return the figure of a cut."""
    cut = _bokeh("plotting").figure(
        width=350,
        height=390,
        x_range=ends,
        x_axis_label=label,
        y_axis_label=height,
        title=" ",
        tools="",
        toolbar_location=None,
    )
    bars = cut.segment("x", "low", "x", "high", source=source, line_color=BLUE)
    line = cut.line("x", "y", source=source, line_color=BLUE, line_width=1.6)
    cut.y_range = _bokeh("models").DataRange1d(renderers=[bars, line])
    cut.yaxis.formatter = _bokeh("models").CustomJSTickFormatter(code=_TICK)
    if curve is not None:
        _beside(cut, *curve)
    return cut


def _plain(variable: xr.DataArray) -> str:
    """Write units as text without mathematics, which a page of bokeh does not set."""
    pieces = re.split(r"\$\^{(.*?)}\$", units_label(str(variable.attrs["units"])))
    return "".join(p.translate(_RAISED) if i % 2 else p for i, p in enumerate(pieces))
