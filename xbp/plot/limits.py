"""Where the axis of a signal ends: below what outshines the rest of it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.plot.axes import GREY, power_of, signal_label
from xbp.plot.curves import drawn_lines
from xbp.plot.shown import beside_others, label_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = [
    "HEADROOM",
    "as_high_as_values",
    "end_below",
    "rest_of",
    "say_beyond",
    "up_to",
]

_BEYOND = "beyond the axis"
#: An error is drawn as far as this many times the usual one, where whole errors would
#: make the axis this much longer.
_WILD, _MUCH, _MARGIN = 5.0, 1.5, 0.05
#: An axis that ends below what outshines the rest ends at this multiple of the rest.
HEADROOM = 1.6
#: B(E) falls off so fast that an elastic line is this many times higher than the rest,
#: nineteen of twenty bins.
_OUTSHINES, _REST = 8.0, 95
#: What falls off from an end of what was measured is beyond the axis where it is so
#: many times higher than the rest, and no more than this part of the bins.
_WALL, _FEW = 2.5, 0.1
#: It may be highest up to so many bins from the end, one in so many.
_NEAR, _ONE_IN = 4, 25
#: A step this many times the usual one is a gap; a rise by this many standard
#: deviations is none of noise.
_GAP, _SIGMAS = 3.0, 2.0
#: Quantities whose ends are those of an instrument.
_MEASURED = ("dynamic_structure_factor", "generalized_dos", "reduced_dos")
#: An end of S(E) this near to E = 0, in parts of the range, is half of an elastic line.
_ELASTIC = 0.05
#: How high each curve on axes is, and how high the rest of it.
_HEIGHTS: weakref.WeakKeyDictionary[Artist, tuple[float, float, float]] = (
    weakref.WeakKeyDictionary()
)


def rest_of(value: xr.DataArray, std: xr.DataArray | None) -> float:
    """Return how high a curve is without the few bins that outshine the others.

    All of it where none do.

    Of B(E) that is an elastic line. Of any inelastic signal it is what falls off from
    an end of what was measured, or from the edge of a mask: small-angle scattering, the
    foot of an elastic line, the last bins of the kinematic range. A peak within, that
    has flanks on both sides, is none of these.

    Parameters
    ----------
    value : xarray.DataArray, shape (n,)
        One curve over Q or E.
    std : xarray.DataArray, optional
        Its standard deviations; a rise within them is none.

    Returns
    -------
    float
        NaN where nothing is known.

    Examples
    --------
    >>> Q = xr.DataArray(np.linspace(0.1, 8, 80), dims="Q")
    >>> hump, wall = np.exp(-((Q - 3) ** 2)), 20 * np.exp(-10 * Q)
    >>> B = (hump + wall + 0.1).assign_coords(Q=Q).assign_attrs(quantity="reduced_dos", units="1")
    >>> round(float(B.max()), 1), round(rest_of(B, None), 1)
    (7.5, 1.1)
    """
    (dim,) = value.dims
    y = np.asarray(value.values, dtype=float)
    known = np.isfinite(y)
    if not known.any():
        return float("nan")
    highest = float(y[known].max())
    quantity = value.attrs["quantity"]
    if quantity not in _MEASURED or dim not in ("Q", "E"):
        return highest
    x = np.asarray(value[dim].values, dtype=float)[known]
    if quantity == "reduced_dos" and dim == "E" and (x > 0).any():
        # On the side of energy gain B is noise over next to nothing.
        usual = float(np.percentile(y[known][x > 0], _REST))
        if highest > _OUTSHINES * usual > 0:
            return usual
    error = (
        np.zeros(x.size)
        if std is None
        else np.nan_to_num(np.asarray(std.values, dtype=float)[known])
    )
    walls = _walls(x, y[known], error, elastic=dim == "E" and quantity != "reduced_dos")
    within = y[known][~walls]
    rest = float(within.max()) if within.size else highest
    few = (y[known] > HEADROOM * rest).sum() <= max(_FEW * x.size, 1)
    return rest if highest > _WALL * rest > 0 and few else highest


def _walls(
    x: npt.NDArray[Any], y: npt.NDArray[Any], error: npt.NDArray[Any], *, elastic: bool
) -> npt.NDArray[np.bool_]:
    """Mark what falls off from the ends of what was measured and from the edges of gaps in it."""
    walls = np.zeros(x.size, dtype=bool)
    if x.size < 3:
        return walls
    steps = np.diff(x)
    gaps = np.flatnonzero(steps > _GAP * np.median(steps)) + 1
    near = max(min(_NEAR, x.size // _ONE_IN), 1)
    for part in np.split(np.arange(x.size), gaps):
        for way in (part, part[::-1]):
            at_end = way[0] in (0, x.size - 1)
            if elastic and at_end and abs(x[way[0]]) < _ELASTIC * np.abs(x).max():
                continue
            top = int(np.argmax(y[way[:near]]))
            values, errors = y[way[top:]], error[way[top:]]
            # Above the lowest so far by more than the noise of both.
            lowest = np.minimum.accumulate(values)
            at_lowest = errors[
                np.maximum.accumulate(
                    np.where(values == lowest, np.arange(values.size), 0)
                )
            ]
            rises = np.flatnonzero(
                values - lowest > _SIGMAS * np.hypot(errors, at_lowest)
            )
            # What falls off all the way to the other end is the signal itself.
            if rises.size:
                walls[way[: top + int(rises[0])]] = True
    return walls


def as_high_as_values(
    axes: Axes, curves: list[tuple[xr.DataArray, xr.DataArray | None]]
) -> None:
    """Let the axis hold the values and usual errors.

    a bin that hardly was counted has one many times the rest.
    """
    if beside_others(axes):
        return
    whole, usual = [], []
    for value, std in curves:
        y = np.asarray(value.values, dtype=float).ravel()
        error = (
            np.zeros_like(y)
            if std is None
            else np.nan_to_num(np.asarray(std.values, dtype=float).ravel())
        )
        y, error = y[np.isfinite(y)], error[np.isfinite(y)]
        if y.size:
            small = np.minimum(error, _WILD * np.median(error))
            whole.append(((y - error).min(), (y + error).max()))
            usual.append(((y - small).min(), (y + small).max()))
    if not usual:
        return
    (lowest, _), (_, highest) = np.min(whole, axis=0), np.max(whole, axis=0)
    (low, _), (_, high) = np.min(usual, axis=0), np.max(usual, axis=0)
    if highest - lowest > _MUCH * (high - low) > 0:
        axes.set_ylim(low - _MARGIN * (high - low), high + _MARGIN * (high - low))


def end_below(
    axes: Axes, container: Any, value: xr.DataArray, std: xr.DataArray | None
) -> None:
    """Let the axis end below what outshines the rest of the curves on it, of which this is the last one drawn."""
    y = value.values[np.isfinite(value.values)]
    if not y.size or beside_others(axes):
        return
    _HEIGHTS[container.lines[0]] = (float(y.min()), rest_of(value, std), float(y.max()))
    heights = [_HEIGHTS[line] for line, _ in drawn_lines(axes) if line in _HEIGHTS]
    if all(rest == highest for _, rest, highest in heights):
        return
    top = max(
        HEADROOM * rest if rest < highest else 1.1 * highest
        for _, rest, highest in heights
    )
    lowest, highest = (
        min(low for low, _, _ in heights),
        max(high for _, _, high in heights),
    )
    if top > 0:
        up_to(axes, value, top, ends=(lowest, highest))


def up_to(
    axes: Axes, value: xr.DataArray, top: float, ends: tuple[float, float] | None = None
) -> None:
    """Let the axis go from 0 to below what outshines the rest, and say that there is more.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the signal is drawn.
    value : xarray.DataArray
        What is shown of the signal; NaN where it is beside the limits of the other
        axis.
    top : float
        Where the axis ends.
    ends : tuple of float, optional
        The lowest and the highest of all curves there, if there are others.
    """
    if beside_others(axes):
        return
    lowest, highest = (float(value.min()), float(value.max())) if ends is None else ends
    # Noise below 0 takes no more room than what is above.
    axes.set_ylim(max(min(0.0, 1.1 * lowest), -top), top)
    power = power_of(top)
    label_axes(axes, y=signal_label(value, power), power=power)
    say_beyond(axes, highest, top, power)


def say_beyond(axes: Axes, highest: float, top: float, power: int) -> None:
    """Say up to where what is drawn reaches, if that is beyond the top of the axis, in units of a power of ten."""
    for text in [text for text in axes.texts if text.get_gid() == _BEYOND]:
        text.remove()
    if highest <= top:
        return
    axes.text(0.5, 0.98, f"up to {highest / 10.0**power:.3g} beyond the "
                         "axis", transform=axes.transAxes,
              ha="center", va="top", fontsize="x-small", color=GREY, gid=_BEYOND,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
