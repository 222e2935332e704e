"""Curves: points with error bars or lines with bands, and the height of their axis."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.status import OK
from xbp.plot.shown import beside_others, label_axes, require_same
from xbp.plot.style import BLUE, GREY, axis_label, power_of, signal_label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = [
    "DENSE",
    "HEADROOM",
    "adjust_height",
    "draw_curve",
    "draw_parameter",
    "drawn_lines",
    "height_without_outliers",
    "limit_height",
    "note",
    "note_beyond",
]

#: More points than this touch one another at the width of a column, 8.6 cm.
DENSE = 100
#: An axis that ends below outliers ends at this multiple of the rest.
HEADROOM = 1.6
#: The values and errors of each curve drawn.
_CURVES: weakref.WeakKeyDictionary[
    Artist, tuple[xr.DataArray, npt.NDArray[np.float64]]
] = weakref.WeakKeyDictionary()


def draw_curve(
    axes: Axes,
    value: xr.DataArray,
    std: xr.DataArray | None,
    *,
    line: bool,
    **kwargs: Any,
) -> ErrorbarContainer:
    """Draw values over their one coordinate, with their errors.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw; set a logarithmic scale before.
    value, std : xarray.DataArray, shape (n,)
        Values and standard deviations (or None).
    line : bool
        Draw a line with a band of ± one standard deviation, broken where nothing was
        measured; otherwise points with bars.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; a marker among them gives points always.

    Returns
    -------
    matplotlib.container.ErrorbarContainer
    """
    x = np.asarray(value[value.dims[0]].values, dtype=float)
    y = np.asarray(value.values, dtype=float)
    error = None if std is None else np.asarray(std.values, dtype=float)
    if line and not {"fmt", "marker", "ms", "markersize"} & set(kwargs):
        drawn = _draw_line(axes, x, y, error, {"fmt": "-", "lw": 1.2} | kwargs)
    else:
        style: dict[str, Any] = {"fmt": ".", "ms": 3.5, "lw": 0.8} | kwargs
        drawn = axes.errorbar(x, y, error, **style)
    known = np.zeros_like(y) if error is None else np.nan_to_num(error)
    _CURVES[drawn.lines[0]] = value, known
    return drawn


def _draw_line(
    axes: Axes, x: Any, y: Any, error: Any, style: dict[str, Any]
) -> ErrorbarContainer:
    """Draw a line and its band; mark points that no line leads to."""
    wide, gaps = _wide_steps(x, logarithmic=axes.get_xscale() == "log")
    seen = np.zeros(y.size, dtype=bool)
    for step in np.setdiff1d(wide, gaps):  # beside a wide step, what was measured
        seen[step : step + 2] = True
    x, y = (np.insert(a, gaps + 1, np.nan) for a in (x, y))
    seen = np.insert(seen, gaps + 1, False)
    known = np.pad(np.isfinite(y), 1)
    alone = np.flatnonzero((known[1:-1] & ~known[:-2] & ~known[2:]) | seen)
    if alone.size:
        style |= {"marker": ".", "ms": 3.5, "markevery": alone.tolist()}
    if error is not None:
        error = np.insert(error, gaps + 1, np.nan)
        band: dict[str, Any] = {"color": style["color"], "alpha": 0.3, "lw": 0}
        axes.fill_between(x, y - error, y + error, **band)
    return axes.errorbar(x, y, **style)


def _wide_steps(
    x: npt.NDArray[Any], *, logarithmic: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the wide steps, and those of them where nothing was measured."""
    if x.size < 3:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    steps = np.diff(np.log(x) if logarithmic and (x > 0).all() else x)
    # Compared with the wider of the usual steps: where points come in clusters, the
    # median is the step within a cluster.
    wide = np.flatnonzero(steps > 8 * np.percentile(steps, 90))
    # A gap is also wider than its neighbours: clusters far apart are no gaps.
    around = [np.r_[steps[max(i - 6, 0) : i], steps[i + 1 : i + 7]].max() for i in wide]
    return wide, wide[steps[wide] > 3 * np.asarray(around)]


def drawn_lines(axes: Axes) -> list[tuple[Artist, ErrorbarContainer]]:
    """Return the curves on axes: the line of each, and all of it."""
    from matplotlib.container import ErrorbarContainer

    return [
        (c.lines[0], c)
        for c in axes.containers
        if isinstance(c, ErrorbarContainer) and c.lines[0] is not None
    ]


def height_without_outliers(
    value: xr.DataArray, error: npt.NDArray[np.float64]
) -> float:
    """Return the height of a curve without the few bins that dwarf the others.

    In B(E) these are an elastic line. In any measured spectrum they are what falls off
    from an end of the data or from the edge of a mask: small-angle scattering, the foot
    of an elastic line, the last bins of the kinematic range. A peak with flanks on both
    sides is not one of them.

    Parameters
    ----------
    value : xarray.DataArray, shape (n,)
        One curve over Q or E.
    error : ndarray, shape (n,)
        Its standard deviations; a rise within them is noise.

    Returns
    -------
    float
        NaN where nothing is known.

    Examples
    --------
    >>> Q = xr.DataArray(np.linspace(0.1, 8, 80), dims="Q")
    >>> hump, wall = np.exp(-((Q - 3) ** 2)), 20 * np.exp(-10 * Q)
    >>> B = (hump + wall + 0.1).assign_coords(Q=Q)
    >>> B = B.assign_attrs(quantity="reduced_dos", units="1")
    >>> round(float(B.max()), 1), round(height_without_outliers(B, 0 * Q.values), 1)
    (7.5, 1.1)
    """
    dim = value.dims[0]
    y = np.asarray(value.values, dtype=float)
    known = np.isfinite(y)
    if not known.any():
        return float("nan")
    x, y, error = np.asarray(value[dim].values)[known], y[known], error[known]
    highest, quantity = float(y.max()), value.attrs.get("quantity")
    spectra = ("dynamic_structure_factor", "generalized_dos", "reduced_dos")
    if quantity not in spectra or dim not in ("Q", "E"):
        return highest
    if quantity == "reduced_dos" and dim == "E" and (x > 0).any():
        # In energy gain B is noise over next to nothing.
        usual = float(np.percentile(y[x > 0], 95))
        if highest > 8 * usual > 0:
            return usual
    walls = _walls(x, y, error, elastic=dim == "E" and quantity != "reduced_dos")
    rest = float(y[~walls].max()) if not walls.all() else highest
    few = (y > HEADROOM * rest).sum() <= max(0.1 * x.size, 1)
    return rest if highest > 2.5 * rest > 0 and few else highest


def _walls(x: Any, y: Any, error: Any, *, elastic: bool) -> npt.NDArray[np.bool_]:
    """Mark what falls off from the ends of the data and from the edges of gaps."""
    walls = np.zeros(x.size, dtype=bool)
    if x.size < 3:
        return walls
    steps = np.diff(x)
    gaps = np.flatnonzero(steps > 3 * np.median(steps)) + 1
    near = max(min(4, x.size // 25), 1)  # a wall is highest this near to its end
    for part in np.split(np.arange(x.size), gaps):
        for way in (part, part[::-1]):
            at_end = way[0] in (0, x.size - 1)
            if elastic and at_end and abs(x[way[0]]) < 0.05 * np.abs(x).max():
                continue  # half an elastic line
            top = int(np.argmax(y[way[:near]]))
            values, errors = y[way[top:]], error[way[top:]]
            lowest = np.minimum.accumulate(values)
            place = np.where(values == lowest, np.arange(values.size), 0)
            noise = np.hypot(errors, errors[np.maximum.accumulate(place)])
            rises = np.flatnonzero(values - lowest > 2 * noise)
            # What falls off all the way to the other end is the signal itself.
            if rises.size:
                walls[way[: top + int(rises[0])]] = True
    return walls


def adjust_height(axes: Axes) -> None:
    """End the axis below outliers of the curves on it, and below extreme errors."""
    curves = [_CURVES[line] for line, _ in drawn_lines(axes) if line in _CURVES]
    curves = [(v, e) for v, e in curves if np.isfinite(v.values).any()]
    if beside_others(axes) or not curves:
        return
    ends = [(float(value.min()), float(value.max())) for value, _ in curves]
    rests = [height_without_outliers(value, error) for value, error in curves]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    if any(rest < high for rest, (_, high) in zip(rests, ends, strict=True)):
        top = max(
            HEADROOM * rest if rest < high else 1.1 * high
            for rest, (_, high) in zip(rests, ends, strict=True)
        )
        if top > 0:
            limit_height(axes, curves[-1][0], top, (lowest, highest))
        return

    # An error many times the usual one, of a bin with few counts, runs off the axis.
    bands = [
        (value, error, np.minimum(error, 5 * np.median(error[np.isfinite(value)])))
        for value, error in curves
    ]
    whole = max(float((v + e).max()) for v, e, _ in bands) - min(
        float((v - e).min()) for v, e, _ in bands
    )
    low = min(float((v - e).min()) for v, _, e in bands)
    high = max(float((v + e).max()) for v, _, e in bands)
    if whole > 1.5 * (high - low) > 0:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def limit_height(
    axes: Axes, value: xr.DataArray, top: float, ends: tuple[float, float]
) -> None:
    """Let the axis of a signal go from 0 to `top`, and note what lies beyond.

    `ends` are the lowest and the highest value on the axis.
    """
    if beside_others(axes):
        return
    lowest, highest = ends
    # Noise below 0 takes no more room than what is above.
    axes.set_ylim(max(min(0.0, 1.1 * lowest), -top), top)
    power = power_of(top)
    label_axes(axes, y=signal_label(value, power), power=power)
    note_beyond(axes, highest, top, power)


def note_beyond(
    axes: Axes, highest: float, top: float, power: int, height: float = 0.98
) -> None:
    """Write how far the curves reach beyond the top of the axis."""
    name = "beyond the axis"
    for old in [text for text in axes.texts if text.get_gid() == name]:
        old.remove()
    if highest > top:
        text = f"up to {highest / 10.0**power:.3g} {name}"
        note(axes, text, height, gid=name, va="top")


def note(axes: Axes, text: str, height: float, **kwargs: Any) -> None:
    """Write a small grey line into axes, in the middle."""
    box: dict[str, Any] = {"fc": "white", "ec": "none", "pad": 1}
    style: dict[str, Any] = {"ha": "center", "fontsize": "x-small", "color": GREY}
    at = axes.transAxes
    axes.text(0.5, height, text, transform=at, bbox=box, **(style | kwargs))


def draw_parameter(
    axes: Axes,
    table: xr.Dataset,
    name: str,
    *,
    what: str,
    systematic: str | None = None,
    **kwargs: Any,
) -> None:
    """Draw a column of a table of fits against their one dimension.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    table : xarray.Dataset
        With ``status`` over one dimension; fits that are not ok are left out.
    name : str
        The column, with ``<name>_std`` beside it.
    what : str
        What the axis shows, such as "E"; nothing else is drawn onto the same axes.
    systematic : str, optional
        The column of systematic errors, drawn as broader and lighter bars.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.
    """
    dim = str(table.status.dims[0])
    numbers = dim in table.coords and table[dim].dtype.kind in "fiu"
    x = table[dim].values if numbers else np.arange(table.sizes[dim])
    names = [str(at) for at in table[dim].values]
    x_units = str(table[dim].attrs.get("units", "1")) if numbers else "1"
    x_what = dim if numbers else f"{dim} {', '.join(names)}"
    y_units = str(table[name].attrs.get("units", "1"))
    require_same(axes, (x_what, x_units), (what, y_units))
    ok = {dim: (table.status == OK).values}
    value, std = table[name].isel(ok), table[f"{name}_std"].isel(ok)
    style: dict[str, Any] = {"color": BLUE, "fmt": "."} | kwargs
    at = value.assign_coords({dim: x[ok[dim]]})
    draw_curve(axes, at, std, line=False, **style)
    adjust_height(axes)
    if systematic is not None:
        wide: dict[str, Any] = {
            "fmt": "none",
            "ecolor": style["color"],
            "alpha": 0.25,
            "elinewidth": 3,
        }
        spread = table[systematic].fillna(0.0).isel(ok)
        axes.errorbar(x[ok[dim]], value.values, spread.values, **wide)
    if not numbers:
        axes.set_xticks(x, names)
    label_axes(axes, axis_label(table[dim]))
