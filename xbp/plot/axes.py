"""What figures have in common: colours, axes, labels with units."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.optional import require
from xbp.core.schema import quantity_name, symbol_of
from xbp.core.units import convert_factor, parse_unit
from xbp.summary.results import steps_after

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "COLORS",
    "GREEN",
    "GREY",
    "ORANGE",
    "SYMBOLS",
    "axes_of",
    "axis_label",
    "in_powers",
    "is_arbitrary",
    "label",
    "lay_over",
    "like_xarray",
    "logarithmic",
    "mark_box_phonon",
    "power_of",
    "pyplot",
    "require_no_table",
    "signal_label",
    "units_label",
]

P = ParamSpec("P")

# Okabe and Ito's colours, told apart by every kind of colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
#: The same and their other colours, for curves side by side.
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SYMBOLS = {"Q": "$Q$", "E": "$E$", "r": "$r$", "time": "$t$", "temperature": "$T$"}
#: What every figure takes beside its own arguments, written into each docstring before
#: its other keywords.
_SETTINGS_TEXT = """\
    figsize, xlim, ylim, xscale, yscale, xticks, yticks : optional
        As xarray's own figures take them: the size in inches of a new figure, and what to set of the axes.
"""
_SETTINGS = ("xlim", "ylim", "xscale", "yscale", "xticks", "yticks")
#: Quantities whose 1 is one, not an arbitrary scale.
_ABSOLUTE = (
    "static_structure_factor",
    "radial_distribution",
    "intermediate_scattering_function",
    "static_fluctuation",
)


def axes_of(ax: Axes | None, figsize: tuple[float, float] = (4.8, 3.6)) -> Axes:
    """Return the axes that were given, or those of a new figure."""
    if ax is not None and not (hasattr(ax, "errorbar") and hasattr(ax, "pcolormesh")):
        raise QuantityError(
            f"ax is a {type(ax).__name__}",
            reason="a figure is drawn on axes",
            fix="ax=plt.subplots()[1]",
        )
    axes: Axes = (
        pyplot().subplots(figsize=figsize, layout="constrained")[1]
        if ax is None
        else ax
    )
    return axes


def pyplot() -> Any:
    """Return matplotlib.pyplot, or say how to get it."""
    return require("matplotlib.pyplot", "the figures are drawn with it", "plot")


def require_no_table(data: Any) -> None:
    """Refuse a table of results, and name the figure that it has."""
    result = quantity_name(data) if isinstance(data, xr.Dataset) else None
    if result is None:
        return
    own = [f"table{step}" for step in steps_after(data) if ".plot." in step]
    if result == "boson_peak" and not own:
        own = ["spectrum.bp.plot.peak(table)"]
    if own:
        raise QuantityError(
            f"got the table of results of .bp.{result}()",
            reason="a cut is drawn of a signal, such as S, G or B",
            fix=f"{own[0]} draws such a table; or pass the data that it was made from",
        )


def lay_over(axes: Axes, x: xr.DataArray, curve: xr.DataArray) -> Axes:
    """Draw a curve over a map, from 0 on an axis of its own at the right, and return that axis."""
    twin = axes.twinx()
    # White under colour: readable on dark and on bright parts of the map.
    twin.plot(x, curve, color="white", lw=2.6)
    twin.plot(x, curve, color=ORANGE, lw=1.3)
    twin.set_ylim(0, None)
    return twin


def like_xarray(draw: Callable[P, Axes]) -> Callable[P, Axes]:
    """Let a figure take ``figsize`` and what sets the axes, as xarray's own do, and say so in its docstring."""
    signature = inspect.signature(draw)

    @functools.wraps(draw)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> Axes:
        given: dict[str, Any] = dict(kwargs)
        settings = {key: given.pop(key) for key in _SETTINGS if key in given}
        size = given.pop("figsize", None)
        call = signature.bind(*args, **given)
        if size is not None:
            if call.arguments.get("ax") is not None:
                raise QuantityError(
                    "both ax and figsize are given",
                    reason="axes stand in a figure that has its size",
                    fix="set it there: plt.subplots(figsize=...)",
                )
            call.arguments["ax"] = axes_of(None, size)
        try:
            axes = draw(*call.args, **call.kwargs)
        except (AttributeError, TypeError) as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise QuantityError(
                f"{', '.join(f'{name}=' for name in given)}: one of them is no "
                "keyword of this figure",
                reason=str(error),
                fix="xlim=(1, 40) shows a part, label= names a curve; color=, lw= and "
                "others are matplotlib's",
            ) from error
        if "xlim" in settings and axes.get_xscale() == "log":
            # Such an axis has no 0 to begin at: it begins where the data do.
            low, high = settings["xlim"]
            settings["xlim"] = (
                low if low is not None and low > 0 else axes.get_xlim()[0],
                high,
            )
        axes.set(**settings)
        return axes

    if draw.__doc__:  # nothing is left of it under python -OO
        before, heading, after = draw.__doc__.partition("    **kwargs\n")
        with_settings.__doc__ = f"{before}{_SETTINGS_TEXT}{heading}{after}"
    return with_settings


def units_label(units: str) -> str:
    """Write units for an axis, such as Å⁻¹; nothing where the number is pure.

    Examples
    --------
    >>> units_label("1/angstrom"), units_label("angstrom**2/meV**2"), units_label("1")
    ('Å$^{-1}$', 'Å$^{2}$ meV$^{-2}$', '')
    """
    powers = sorted(
        (
            (f"{parse_unit(name):~P}", power)
            for name, power in parse_unit(units)._units.items()
        ),
        key=lambda item: bool(float(item[1]) < 0),  # type: ignore[arg-type]
    )
    return " ".join(s if p == 1 else f"{s}$^{{{p:g}}}$" for s, p in powers)


def label(symbol: str, units: str, power: int = 0) -> str:
    """Write an axis label: the symbol, and a power of ten and the units in brackets.

    Examples
    --------
    >>> label("$B$", "1/meV", -5), label("$r$", "1")
    ('$B$ (10$^{-5}$ meV$^{-1}$)', '$r$')
    """
    ten = f"10$^{{{power}}}$" if power else ""
    inside = " ".join(part for part in (ten, units_label(units)) if part)
    return f"{symbol} ({inside})" if inside else symbol


def axis_label(coordinate: xr.DataArray) -> str:
    """Write the label of the axis that shows a coordinate."""
    name = str(coordinate.name)
    return label(
        SYMBOLS.get(name, name.replace("_", " ")), coordinate.attrs.get("units", "1")
    )


def signal_label(value: xr.DataArray, power: int) -> str:
    """Write the label of an axis that shows a signal, in units of a power of ten."""
    written = symbol_of(value)
    letter = written.partition("(")[0]
    # Words stay as they are; a formula is set as one.
    formula = (letter and " " not in written) or "T³" in written
    written = written.replace("³", "^3").replace(" − γT", r"-\gamma T")
    symbol = f"${written}$" if formula else written.replace("C_p", "$C_p$")
    if is_arbitrary(value):
        return f"{symbol} ({f'10$^{{{power}}}$ ' if power else ''}arb. units)"
    return label(symbol, value.attrs["units"], power)


def is_arbitrary(value: xr.DataArray) -> bool:
    """Whether the numbers have a scale of their own.

    Intensities, and what only divisions by E made of them.
    """
    if value.attrs["quantity"] == "reduced_dos" and "E" in value.coords:
        left = parse_unit(value.attrs["units"]) * parse_unit(value["E"].attrs["units"])
        if (
            left.dimensionless
            or (left * parse_unit(value["E"].attrs["units"])).dimensionless
        ):
            return True
    return value.attrs["units"] == "1" and value.attrs["quantity"] not in _ABSOLUTE


def power_of(values: Any) -> int:
    """Return the power of ten to take out of an axis.

    0 where its numbers read well as they are.
    """
    finite = np.abs(np.asarray(values, dtype=float))
    finite = finite[np.isfinite(finite) & (finite > 0)]
    power = max(int(np.floor(np.log10(finite.max()))), -300) if finite.size else 0
    return power if not -2 <= power <= 3 else 0


def in_powers(power: int) -> Any:
    """Return a formatter of tick labels in units of a power of ten."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(
        lambda value, _: f"{value / 10.0**power:.4g}".replace("-", "−")
    )


def logarithmic(axes: Axes) -> None:
    """Make the axis of temperatures logarithmic, with ticks at 2, 5, 10, 20 and so on."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    # Over less than two decades powers of ten alone would leave the axis bare.
    low, high = axes.get_xlim()
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5) if high < 200 * low else (3,)))
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter("{x:g}")


def mark_box_phonon(
    line: Callable[..., Any], value: xr.DataArray, color: str = GREEN
) -> None:
    """Draw where a simulated box has its first phonon, if the data say so."""
    if "box_phonon" in value.coords:
        axis = value["E"] if "E" in value.coords else value
        mark = value.coords["box_phonon"]
        factor = convert_factor(
            mark.attrs["units"], axis.attrs["units"], name="box_phonon", energy=True
        )
        line(
            float(mark) * factor,
            color=color,
            lw=1.4,
            ls=":",
            label="first phonon of the box",
        )
