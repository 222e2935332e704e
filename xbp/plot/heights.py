"""The part of a figure that is shown: below outliers, from zero, about a fit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.plot.axes import (
    BEYOND,
    beside_others,
    drawn_lines,
    label_axes,
    may_limit,
    set_height,
)
from xbp.plot.style import GREY, power_of, signal_label

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = [
    "HEADROOM",
    "adjust_height",
    "height_without_outliers",
    "limit_height",
    "note",
    "note_beyond",
    "remember",
    "show_fitted",
    "show_states",
    "show_structure",
]

#: An axis that ends below outliers ends at this multiple of the rest.
HEADROOM = 1.6
#: The values and errors of each curve drawn.
_CURVES: weakref.WeakKeyDictionary[
    Artist, tuple[xr.DataArray, npt.NDArray[np.float64]]
] = weakref.WeakKeyDictionary()


def remember(
    drawn: ErrorbarContainer, value: xr.DataArray, std: npt.NDArray[np.float64]
) -> None:
    """Keep the values and standard deviations of a curve, which decide the height."""
    _CURVES[drawn.lines[0]] = value, std


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
    dim, quantity = value.dims[0], value.attrs.get("quantity")
    known = np.isfinite(value.values)
    if not known.any():
        return float("nan")
    x, y, error = (np.asarray(a)[known] for a in (value[dim], value, error))
    highest = float(y.max())
    spectra = ("dynamic_structure_factor", "generalized_dos", "reduced_dos")
    if quantity not in spectra or dim not in ("Q", "E"):
        return highest
    of_B = quantity == "reduced_dos"
    if of_B and dim == "E" and (x > 0).any():
        # In energy gain B is noise over next to nothing.
        usual = float(np.percentile(y[x > 0], 95))
        if highest > 8 * usual > 0:
            return usual
    walls = _walls(x, y, error, elastic=dim == "E" and not of_B)
    rest = float(y[~walls].max(initial=-np.inf))
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


def adjust_height(axes: Axes, *, from_zero: bool = False) -> None:
    """End the axis below outliers of the curves on it, and below extreme errors.

    Limits that the user set stay.
    """
    curves = [_CURVES[line] for line, _ in drawn_lines(axes) if line in _CURVES]
    curves = [(v, e) for v, e in curves if np.isfinite(v.values).any()]
    if not may_limit(axes) or not curves:
        return
    axes.autoscale(axis="y")  # to all that is drawn, limited before or not
    y, error = (np.concatenate(part) for part in zip(*curves, strict=True))
    tops, ends_below = [], False
    for value, own in curves:
        rest, high = height_without_outliers(value, own), float(value.max())
        ends_below |= rest < high
        tops.append(HEADROOM * rest if rest < high else 1.1 * high)
    if ends_below:
        if max(tops) > 0:
            ends = float(np.nanmin(y)), float(np.nanmax(y))
            limit_height(axes, curves[-1][0], max(tops), ends)
        return
    # An error many times the usual one, of a bin with few counts, runs off the axis.
    usual = [
        np.full(e.size, 5 * np.median(e[np.isfinite(v.values)])) for v, e in curves
    ]
    shown = np.minimum(error, np.concatenate(usual))
    whole = np.nanmax(y + error) - np.nanmin(y - error)
    low, high = float(np.nanmin(y - shown)), float(np.nanmax(y + shown))
    margin = 0.05 * (high - low)
    if whole > 1.5 * (high - low) > 0:
        set_height(axes, low - margin, high + margin)
    if from_zero and not (y < 0).any() and axes.get_yscale() == "linear":
        set_height(axes, 0, max(axes.get_ylim()[1], 1.05 * high))


def show_structure(axes: Axes, part: float = 0.99) -> None:
    """End the axis of r where curves of g(r) have this part of ∫(g − 1)² dr.

    Less what the errors add to it. Limits that the user set stay.
    """
    if end := _end_of(axes, part, lambda g, error: (g - 1.0) ** 2 - error**2):
        axes.set_xlim(0, end)
        axes.set_autoscalex_on(True)  # for the next curve


def show_states(axes: Axes, part: float = 0.999) -> None:
    """End the axis of E where curves of g(E) have this part of their area.

    Beyond, g(E) is 0, or the noise about it. Limits that the user set stay.
    """
    end = _end_of(axes, part, lambda g, error: np.abs(g))
    left, right = axes.get_xlim()
    if end and left < (shown := end + 0.05 * (end - max(left, 0.0))) < right:
        axes.set_xlim(left, shown)
        axes.set_autoscalex_on(True)  # for the next curve


def _end_of(
    axes: Axes, part: float, seen_of: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> float | None:
    """Return where all curves have this part of an integral, None if none is drawn."""
    if not axes.get_autoscalex_on():
        return None
    ends = []
    for value, error in (_CURVES[ln] for ln, _ in drawn_lines(axes) if ln in _CURVES):
        x = value[value.dims[0]].values
        seen = np.nan_to_num(seen_of(value.values, error)) if x.size > 1 else 0.0 * x
        reached = np.cumsum(seen * (np.gradient(x) if x.size > 1 else 1.0))
        first = int(np.argmax(reached >= part * reached.max()))
        ends.append(float(x[first] if reached.max() > 0 else x[-1]))
    return max(ends, default=None)


def limit_height(
    axes: Axes, value: xr.DataArray, top: float, ends: tuple[float, float]
) -> None:
    """Let the axis of a signal go from 0 to `top`, and note what lies beyond.

    `ends` are the lowest and the highest value on the axis.
    """
    if not beside_others(axes):
        # Noise below 0 takes no more room than what is above.
        set_height(axes, max(min(0.0, 1.1 * ends[0]), -top), top)
        power = power_of(top)
        label_axes(axes, y=signal_label(value, power), power=power)
        note_beyond(axes, ends[1], top, power)


def note_beyond(
    axes: Axes, highest: float, top: float, power: int, height: float = 0.98
) -> None:
    """Write how far the curves reach beyond the top of the axis."""
    for old in [text for text in axes.texts if text.get_gid() == BEYOND]:
        old.remove()
    if highest > top:
        text = f"up to {highest / 10.0**power:.3g} {BEYOND}"
        note(axes, text, height, gid=BEYOND, va="top")


def note(axes: Axes, text: str, height: float, **kwargs: Any) -> None:
    """Write a small grey line into axes, in the middle."""
    style: dict[str, Any] = {"ha": "center", "fontsize": "x-small", "color": GREY}
    style["bbox"] = {"fc": "white", "ec": "none", "pad": 1}
    axes.text(0.5, height, text, transform=axes.transAxes, **(style | kwargs))


def show_fitted(
    axes: Axes,
    value: xr.DataArray,
    fitted: tuple[float, float],
    curves: npt.NDArray[Any] | None,
) -> None:
    """Limit axes to the range of a fit and half as much on both sides of it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where a spectrum and the curves are drawn.
    value : xarray.DataArray, shape (n,)
        The spectrum.
    fitted : pair of float
        The ends of the range, which is drawn in grey.
    curves : ndarray, optional
        The curves fitted; None if there are none.
    """
    x, (low, high) = value[value.dims[0]], fitted
    first, last = float(x.min()), float(x.max())
    if np.isfinite(low) and low < high:
        beside = (high - low) / 2
        first, last = max(first, low - beside), min(last, high + beside)
    axes.set_xlim(first, last)
    if curves is None:
        return
    seen = value.where((x >= first) & (x <= last))
    inside = value.where((x >= low) & (x <= high))
    if first < low or high < last:
        axes.axvspan(low, high, color=GREY, alpha=0.12, lw=0, zorder=0)
    ends = float(seen.min()), float(seen.max())
    top = max(float(inside.max()), float(np.nanmax(curves)))
    highest = max(ends[1], top)
    end = highest + 0.1 * abs(highest) if highest else 1.0
    if ends[1] > 2 * HEADROOM * top > 0:
        end = HEADROOM * top
    limit_height(axes, seen, end, ends)
    set_height(axes, 1.1 * min(ends[0], float(np.nanmin(curves)), 0.0), None)
