"""The style of all figures: colours, axes, labels with units, titles."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import xarray as xr

from xbp.core.diagnostic import is_poor
from xbp.core.errors import QuantityError, RangeError
from xbp.core.format import percent, with_error
from xbp.core.optional import require
from xbp.core.schema import symbol_of
from xbp.core.units import convert_factor, parse_unit

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
    "energy_text",
    "figure",
    "fit_quality",
    "in_powers",
    "is_arbitrary",
    "label",
    "logarithmic",
    "mark_box_phonon",
    "overlay",
    "parameter_text",
    "power_of",
    "pyplot",
    "require_dims",
    "set_title",
    "signal_label",
    "systematic_error",
    "units_label",
]

P = ParamSpec("P")

# Okabe and Ito's colours, distinct in every kind of colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
#: Colours of curves on the same axes.
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SYMBOLS = {"Q": "$Q$", "E": "$E$", "r": "$r$", "time": "$t$", "temperature": "$T$"}
_AXES_KEYWORDS = ("xlim", "ylim", "xscale", "yscale", "xticks", "yticks")
_AXES_KEYWORDS_DOC = """\
    figsize, xlim, ylim, xscale, yscale, xticks, yticks : optional
        As in xarray's own figures: the size in inches of a new figure, and settings of
        the axes.
"""


def pyplot() -> Any:
    """Return matplotlib.pyplot, or explain how to install it."""
    return require("matplotlib.pyplot", "the figures are drawn with it", "plot")


def axes_of(ax: Axes | None, figsize: tuple[float, float] = (4.8, 3.6)) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is None:
        axes: Axes = pyplot().subplots(figsize=figsize, layout="constrained")[1]
        return axes
    if not (hasattr(ax, "errorbar") and hasattr(ax, "pcolormesh")):
        raise QuantityError(
            f"ax is a {type(ax).__name__}, not matplotlib axes",
            fix="ax=plt.subplots()[1]",
        )
    return ax


def require_dims(value: xr.DataArray, *dims: str) -> None:
    """Raise an error if values do not have exactly the given dimensions."""
    if value.dims != dims:
        raise RangeError(
            f"'{value.name}' has the dimensions {value.dims}; one curve over "
            f"{' and '.join(dims)} is drawn",
            fix="choose one element of every other dimension: data.isel(...)",
        )


def figure(draw: Callable[P, Axes]) -> Callable[P, Axes]:
    """Add the keywords of xarray's own plots to a function, and document them."""
    signature = inspect.signature(draw)

    @functools.wraps(draw)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> Axes:
        given: dict[str, Any] = dict(kwargs)
        settings = {key: given.pop(key) for key in _AXES_KEYWORDS if key in given}
        size = given.pop("figsize", None)
        call = signature.bind(*args, **given)
        if size is not None:
            if call.arguments.get("ax") is not None:
                raise QuantityError(
                    "both ax and figsize are given",
                    fix="set the size of your own figure: plt.subplots(figsize=...)",
                )
            call.arguments["ax"] = axes_of(None, size)
        try:
            axes = draw(*call.args, **call.kwargs)
        except (AttributeError, TypeError) as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise QuantityError(
                f"unknown keyword among {', '.join(f'{name}=' for name in given)}",
                reason=str(error),
                fix="xlim=(1, 40) shows a part; color=, lw=, label= are matplotlib's",
            ) from error
        if "xlim" in settings and axes.get_xscale() == "log":
            low, high = settings["xlim"]
            if low is None or low <= 0:  # a logarithmic axis starts where the data do
                low = axes.get_xlim()[0]
            settings["xlim"] = (low, high)
        axes.set(**settings)
        return axes

    if draw.__doc__:  # None under python -OO
        before, heading, after = draw.__doc__.partition("    **kwargs\n")
        with_settings.__doc__ = f"{before}{_AXES_KEYWORDS_DOC}{heading}{after}"
    return with_settings


def units_label(units: str) -> str:
    """Format units for an axis, such as Å⁻¹; empty if dimensionless.

    Examples
    --------
    >>> units_label("1/angstrom"), units_label("angstrom**2/meV**2"), units_label("1")
    ('Å$^{-1}$', 'Å$^{2}$ meV$^{-2}$', '')
    """
    powers = [
        (f"{parse_unit(name):~P}", float(power))  # type: ignore[arg-type]
        for name, power in parse_unit(units)._units.items()
    ]
    powers.sort(key=lambda item: item[1] < 0)
    return " ".join(s if p == 1 else f"{s}$^{{{p:g}}}$" for s, p in powers)


def label(symbol: str, units: str, power: int = 0) -> str:
    """Format an axis label: the symbol, then a power of ten and the units in brackets.

    Examples
    --------
    >>> label("$B$", "1/meV", -5), label("$r$", "1")
    ('$B$ (10$^{-5}$ meV$^{-1}$)', '$r$')
    """
    inside = " ".join(filter(None, (_ten(power), units_label(units))))
    return f"{symbol} ({inside})" if inside else symbol


def _ten(power: int) -> str:
    return f"10$^{{{power}}}$" if power else ""


def axis_label(coordinate: xr.DataArray) -> str:
    """Format the label of the axis for a coordinate."""
    name = str(coordinate.name)
    symbol = SYMBOLS.get(name, name.replace("_", " "))
    return label(symbol, coordinate.attrs.get("units", "1"))


def signal_label(value: xr.DataArray, power: int) -> str:
    """Format the label of the axis for a signal, with a power of ten taken out."""
    written = symbol_of(value)
    letter = written.partition("(")[0]
    # Words stay as they are; a formula is set as one.
    formula = (letter and " " not in written) or "T³" in written
    written = written.replace("³", "^3").replace(" − γT", r"-\gamma T")
    symbol = f"${written}$" if formula else written.replace("C_p", "$C_p$")
    if is_arbitrary(value):
        return f"{symbol} ({' '.join(filter(None, (_ten(power), 'arb. units')))})"
    return label(symbol, value.attrs["units"], power)


def is_arbitrary(value: xr.DataArray) -> bool:
    """Return whether the values have an arbitrary scale, such as intensities."""
    quantity, units = value.attrs["quantity"], value.attrs["units"]
    if quantity == "reduced_dos" and "E" in value.coords:
        # An intensity divided by E once or twice.
        E = parse_unit(value["E"].attrs["units"])
        once = parse_unit(units) * E
        if once.dimensionless or (once * E).dimensionless:
            return True
    return units == "1" and quantity not in (
        "static_structure_factor",
        "radial_distribution",
        "intermediate_scattering_function",
        "static_fluctuation",
    )


def power_of(values: Any) -> int:
    """Return the power of ten to take out of an axis; 0 between 0.01 and 9999."""
    finite = np.abs(np.asarray(values, dtype=float))
    finite = finite[np.isfinite(finite) & (finite > 0)]
    power = max(int(np.floor(np.log10(finite.max()))), -300) if finite.size else 0
    return power if not -2 <= power <= 3 else 0


def in_powers(power: int) -> Any:
    """Return a formatter for tick labels with a power of ten taken out."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(
        lambda value, _: f"{value / 10.0**power:.4g}".replace("-", "−")
    )


def logarithmic(axes: Axes) -> None:
    """Make the temperature axis logarithmic, with ticks at 2, 5, 10 and so on."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    # Over two decades or less, powers of ten alone would leave the axis bare.
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5) if high < 200 * low else (3,)))
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter("{x:g}")


def mark_box_phonon(
    line: Callable[..., Any], value: xr.DataArray, color: str = GREEN
) -> None:
    """Mark the energy of the first phonon of a simulated box, if the data have it."""
    if "box_phonon" in value.coords and value.coords["box_phonon"].ndim == 0:
        mark, axis = value["box_phonon"], value["E"] if "E" in value.coords else value
        factor = convert_factor(
            mark.attrs["units"], axis.attrs["units"], name="box_phonon", energy=True
        )
        at, name = float(mark) * factor, "first phonon of the box"
        line(at, color=color, lw=1.4, ls=":", label=name)


def overlay(axes: Axes, x: xr.DataArray, curve: xr.DataArray, symbol: str) -> Axes:
    """Draw a curve over a map, with its own axis from 0 on the right; return it."""
    twin = axes.twinx()
    # White under colour: readable on dark and on bright parts of the map.
    twin.plot(x, curve, color="white", lw=2.6)
    twin.plot(x, curve, color=ORANGE, lw=1.3)
    twin.set_ylim(0, None)
    power = power_of(curve)
    twin.yaxis.set_major_formatter(in_powers(power))
    twin.set_ylabel(label(symbol, "1", power), color=ORANGE)
    return twin


def set_title(axes: Axes, *lines: str) -> None:
    """Set a small title, with lines wrapped to the width of the axes."""
    spec = axes.get_subplotspec()
    share = 1.0 if spec is None else len(spec.colspan) / spec.get_gridspec().ncols
    inches = axes.figure.bbox.width / axes.figure.dpi * share
    # 0.7 inches are beside the axes; a small letter takes 0.068.
    letters = max(int((inches - 0.7) / 0.068), 20)
    whole = "\n".join(filter(None, lines)).split("\n")
    text = "\n".join(broken for line in whole for broken in _broken(line, letters))
    axes.set_title(text, fontsize="small")


def _broken(line: str, most: int) -> list[str]:
    """Wrap a line between words; never inside a formula or a value ± error."""
    words = re.findall(r"(?:\$[^$]*\$|[^ $])+", line.replace(" ± ", "\xa0±\xa0"))
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip(" ")
        if lines[-1] and len(_visible(longer)) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return [text.replace("\xa0", " ") for text in lines]


def _visible(text: str) -> str:
    """Return roughly the visible characters of a text that contains formulas."""
    text = re.sub(r"\\mathrm|\\text|[${}_^]", "", text)
    return re.sub(r"\\[a-zA-Z]+", "x", text).replace("\\", "")


def fit_quality(table: xr.Dataset) -> str:
    """Format the reduced chi-squared, or the rms residual if errors are not known."""
    if "chi2_reduced" in table and np.isfinite(chi2 := float(table.chi2_reduced)):
        number = f"{chi2:.3g}" if chi2 < 1000 else f"{chi2:.0f}"
        text = f"$\\chi^2_\\mathrm{{red}}$ = {number}"
    elif "relative_residual" in table and np.isfinite(
        rms := float(table.relative_residual)
    ):
        text = f"rms residual {percent(rms)}"
    else:
        return ""
    return f"{text}{' (poor)' if is_poor(table) else ''}"


def energy_text(table: xr.Dataset, name: str = "energy") -> str:
    """Format an energy with its statistical and, after a scan, systematic error.

    Examples
    --------
    >>> scan = {"energy": 5.5, "energy_std": 0.02, "systematic": 0.4, "scan_energy": ("range", [5.1, 5.9])}
    >>> table = xr.Dataset(scan)
    >>> table.energy.attrs["units"] = "meV"
    >>> energy_text(table), energy_text(table[["energy", "energy_std"]])
    ('5.500 ± 0.020 ± 0.4 (range) meV', '5.500 ± 0.020 meV')
    """
    text = with_error(float(table[name]), float(table[f"{name}_std"]))
    if spread := systematic_error(table, name):
        names = {"range": "range", "method": "shape"}
        sizes = table.scan_energy.sizes
        tried = [what for dim, what in names.items() if sizes.get(dim, 1) > 1]
        text += f" ± {spread:.2g} ({', '.join(tried)})"
    return f"{text} {units_label(str(table[name].attrs['units']))}"


def systematic_error(table: xr.Dataset, name: str = "energy") -> float:
    """Return the systematic error found by a scan; 0 if there is none."""
    key = {"energy": "systematic", "energy_E": "systematic_E"}[name]
    spread = float(table[key]) if key in table else np.nan
    return spread if np.isfinite(spread) else 0.0


def parameter_text(table: xr.Dataset, name: str) -> str:
    """Format a fitted parameter with its error and units."""
    value, std = float(table[name]), float(table.get(f"{name}_std", np.nan))
    power = power_of(value)
    value, std = value / 10.0**power, std / 10.0**power
    fixed = std == 0
    number = f"{value:.4g}".replace("-", "−") if fixed else with_error(value, std)
    if power and "±" in number:
        number = f"({number})"
    units = units_label(str(table[name].attrs.get("units", "1")))
    parts = (number, _ten(power), units, "(fixed)" if fixed else "")
    return " ".join(filter(None, parts))
