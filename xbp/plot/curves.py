"""How a curve is drawn.

Points with error bars, or, where these would run into one another, a line with a band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = ["DENSE", "draw_curve", "drawn_lines"]

#: More points than this touch one another at the width of a column, 8.6 cm.
DENSE = 100
#: A step this many times the usual one is wide, and a gap if it is so many times the
#: widest of its neighbours, too: points that were repeated at places far apart are
#: measured as densely as their neighbours.
_GAP, _USUAL = 8.0, 90
_ALONE, _NEIGHBOURS = 3.0, 6
_POINTS: dict[str, Any] = {"fmt": ".", "ms": 3.5, "lw": 0.8}
_LINE: dict[str, Any] = {"fmt": "-", "lw": 1.2}
#: Who sets one of these wants points.
_OF_POINTS = ("fmt", "marker", "ms", "markersize")


def draw_curve(
    axes: Axes,
    x: Any,
    y: Any,
    std: Any | None,
    *,
    line: bool,
    color: str,
    label: str | None,
    **kwargs: Any,
) -> ErrorbarContainer:
    """Draw values over a coordinate with their errors.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw; a logarithmic scale has to be set before.
    x, y, std : array_like
        Coordinate, values, standard deviations (or None), of one length.
    line : bool
        Draw a line with a band of ± one standard deviation, broken where nothing was
        measured; else points with bars.
    color, label
        Of the curve.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; a marker among them brings points in any
        case.

    Returns
    -------
    matplotlib.container.ErrorbarContainer
    """
    at, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    error = None if std is None else np.asarray(std, dtype=float)
    style: dict[str, Any] = {"color": color, "label": label}
    if not line or any(key in kwargs for key in _OF_POINTS):
        return axes.errorbar(at, values, error, **(_POINTS | style | kwargs))
    wide, gaps = _wide_steps(at, logarithmic=axes.get_xscale() == "log")
    # No line leads to a point between two gaps; and beside a wide step one is to see
    # what was measured.
    seen = np.zeros(values.size, dtype=bool)
    for step in np.setdiff1d(wide, gaps):
        seen[step : step + 2] = True
    at, values, seen = (
        np.insert(a, gaps + 1, fill)
        for a, fill in ((at, np.nan), (values, np.nan), (seen, False))
    )
    error = None if error is None else np.insert(error, gaps + 1, np.nan)
    style = _LINE | style | kwargs
    known = np.pad(np.isfinite(values), 1)
    alone = np.flatnonzero((known[1:-1] & ~known[:-2] & ~known[2:]) | seen)
    if alone.size:
        style |= {"marker": ".", "ms": _POINTS["ms"], "markevery": alone.tolist()}
    if error is not None:
        axes.fill_between(
            at, values - error, values + error, color=style["color"], alpha=0.3, lw=0
        )
    return axes.errorbar(at, values, **style)


def drawn_lines(axes: Axes) -> list[tuple[Artist, ErrorbarContainer]]:
    """Return the curves on axes that `draw_curve` drew, or others did as such.

    The line of each, and all of it.
    """
    from matplotlib.container import ErrorbarContainer

    return [
        (c.lines[0], c)
        for c in axes.containers
        if isinstance(c, ErrorbarContainer) and c.lines[0] is not None
    ]


def _wide_steps(
    x: npt.NDArray[Any], *, logarithmic: bool
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the steps that are wide, and those of them over which nothing was measured: no line is drawn across."""
    if x.size < 3:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    steps = np.diff(np.log(x) if logarithmic and (x > 0).all() else x)
    # Held against the wider of the usual steps: of points in clusters the median is
    # that within one.
    wide = np.flatnonzero(steps > _GAP * np.percentile(steps, _USUAL))
    around = [
        np.r_[
            steps[max(i - _NEIGHBOURS, 0) : i], steps[i + 1 : i + 1 + _NEIGHBOURS]
        ].max()
        for i in wide
    ]
    return wide, wide[steps[wide] > _ALONE * np.asarray(around)]
