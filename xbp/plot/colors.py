"""The scale of colours of a map: its limits, and the bar that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xbp.core.errors import RangeError
from xbp.plot.axes import in_powers, power_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

__all__ = ["color_bar", "color_scale", "paintable"]

#: A single elastic bin or noisy corner must not take all the colours: the scale ends at
#: this percentile of what is shown, or, on a linear one, at this multiple of the upper
#: quartile, above which an elastic line stands.
_TOP, _UPPER, _OUTSHINES = 99.5, 75, 4.0
#: Where half of what is shown lies below this part of the top, all of that would be of
#: one colour: the scale is logarithmic, if no more than this part is negative, as half
#: of the noise about 0 is.
_DARK, _NEGATIVE = 1e-2, 0.1
#: It starts at this percentile, or at this part of the top: what lies lower was filled
#: in, or no one measures it.
_BOTTOM, _DEEPEST = 5, 1e-4
#: Under this many decades powers of ten alone would leave the bar bare.
_FEW = 2.0
#: A scale from 0 has an arrow at its lower end for what lies further below 0 than this
#: part of the top.
_BELOW = 0.02
#: What matplotlib makes of smaller numbers, or larger than its inverse, is noise of its
#: own arithmetic.
_TINY = 1e-200


def color_scale(
    shown: npt.NDArray[Any],
    norm: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
) -> Any:
    """Return how numbers become colours, from what is shown and what was asked for.

    Parameters
    ----------
    shown : ndarray
        What of the signal is in view.
    norm : str or matplotlib.colors.Normalize, optional
        "log" or "linear"; any other is returned as it is. By default logarithmic where
        more than half of what is shown lies over two decades below its top, else linear
        from 0.
    vmin, vmax : float, optional
        Limits in place of those found.

    Returns
    -------
    matplotlib.colors.Normalize, or what was given as `norm`

    Raises
    ------
    RangeError
        If the scale is to be logarithmic, and nothing shown is positive; if numbers are
        too small or too large.

    Examples
    --------
    >>> flat, steep = np.linspace(1, 2, 100), np.geomspace(1e-6, 1, 100)
    >>> for values in (flat, steep):
    ...     scale = color_scale(values)
    ...     print(type(scale).__name__, f"{scale.vmin:.2g} to {scale.vmax:.2g}")
    Normalize 0 to 2
    LogNorm 9.4e-05 to 0.94
    """
    from matplotlib.colors import LogNorm, Normalize

    if norm not in (None, "log", "linear"):
        return norm
    finite = shown[np.isfinite(shown)]
    positive = finite[finite > 0]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    if largest and not _TINY < largest < 1 / _TINY:
        raise RangeError(
            f"the numbers go up to {largest:.3g}",
            reason="so small or so large ones have no scale of colours",
            fix="scale them first, data.bp.scale(...)",
        )
    if norm == "log" and not positive.size:
        raise RangeError(
            "nothing shown is above 0",
            reason="it has no logarithm",
            fix='norm="linear"',
        )
    most, usual = np.percentile(finite, [_TOP, _UPPER]) if finite.size else (1.0, 0.0)
    # Who sets the lower end at 0 or below asks for a linear scale.
    may_be_log = norm is None and (vmin is None or vmin > 0) and positive.size
    dark = (
        may_be_log
        and np.median(finite) < _DARK * most
        and (finite < 0).mean() <= _NEGATIVE
    )
    if norm == "log" or dark:
        high = float(np.percentile(positive, _TOP)) if vmax is None else vmax
        low = (
            max(float(np.percentile(positive, _BOTTOM)), _DEEPEST * high)
            if vmin is None
            else vmin
        )
        return LogNorm(min(low, high), high)
    top = float(min(most, _OUTSHINES * usual) if usual > 0 else most)
    return Normalize(0.0 if vmin is None else vmin, top if vmax is None else vmax)


def paintable(values: npt.NDArray[Any], norm: Any) -> npt.NDArray[Any]:
    """Return values that all have a colour.

    On a logarithmic scale what is not positive has the lowest, NaN none.
    """
    from matplotlib.colors import LogNorm

    if not isinstance(norm, LogNorm) or norm.vmin is None:
        return values
    return np.where(values <= 0, norm.vmin / 10, values)


def color_bar(
    mesh: ScalarMappable,
    axes: Axes,
    shown: npt.NDArray[Any],
    label: Callable[[int], str],
    **kwargs: Any,
) -> None:
    """Draw the bar of a scale; an end is an arrow where something shown lies beyond it.

    Parameters
    ----------
    mesh : matplotlib.cm.ScalarMappable
        What is drawn in colours.
    axes : matplotlib.axes.Axes
        Where.
    shown : ndarray
        What of the signal is in view.
    label : callable
        Writes the label, of the power of ten in units of which the numbers at the bar
        are.
    **kwargs
        For `matplotlib.figure.Figure.colorbar`.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogFormatterMathtext, LogLocator, NullFormatter

    low, high = mesh.get_clim()
    finite = shown[np.isfinite(shown)]
    slack = _BELOW * high if low == 0 else 0.0
    ends = (
        bool(finite.size and finite.min() < low - slack),
        bool(finite.size and finite.max() > high),
    )
    extend = {
        (False, False): "neither",
        (True, False): "min",
        (False, True): "max",
        (True, True): "both",
    }[ends]
    power = power_of(high)
    style: dict[str, Any] = {"format": in_powers(power), "extend": extend}
    if isinstance(mesh.norm, LogNorm):
        few = high < 10**_FEW * low
        style["ticks"] = LogLocator(subs=(1, 2, 5) if few else (1,))
        if not few:
            # Powers of ten as such: written out they run into one another.
            power, style["format"] = 0, LogFormatterMathtext()
    bar = axes.figure.colorbar(mesh, ax=axes, **(style | kwargs))
    along = bar.ax.yaxis if bar.orientation == "vertical" else bar.ax.xaxis
    along.set_minor_formatter(NullFormatter())
    bar.set_label(label(power))
