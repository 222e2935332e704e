"""The style of all figures: colours, axes, labels with units, titles."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.data import require_over, unwrap
from xbp.core.errors import QuantityError, nearest, require
from xbp.core.numbers import percent, with_error
from xbp.core.schema import symbol_of
from xbp.core.signal import is_computed, table_signal
from xbp.core.status import is_poor
from xbp.core.units import convert_factor, parse_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "COLORS",
    "GREEN",
    "GREY",
    "LEGEND_ON_MAP",
    "ORANGE",
    "SYMBOLS",
    "as_signal",
    "axes_of",
    "axis_label",
    "coordinate_symbol",
    "energy_text",
    "figure",
    "fit_quality",
    "in_powers",
    "is_arbitrary",
    "is_line",
    "label",
    "logarithmic",
    "mark_box_phonon",
    "overlay",
    "parameter_text",
    "power_of",
    "pyplot",
    "read_table",
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
#: Quantities that are not intensities where they have no units.
_RATIOS = (
    "static_structure_factor",
    "radial_distribution",
    "intermediate_scattering_function",
    "static_fluctuation",
)
#: Of distance or time, with points too dense to be seen.
_LINES = (
    "radial_distribution",
    "mean_square_displacement",
    "intermediate_scattering_function",
)
#: White points and lines over a map are named on a dark ground.
LEGEND_ON_MAP: dict[str, Any] = {
    "loc": "upper right",
    "frameon": True,
    "fontsize": "x-small",
    "facecolor": "#222222",
    "framealpha": 0.75,
    "edgecolor": "none",
    "labelcolor": "white",
    "handlelength": 1.4,
    "borderpad": 0.3,
}
#: Keywords of matplotlib that are proposed for misspelt ones.
_MATPLOTLIB = ("color", "label", "lw", "ls", "marker", "ms", "alpha", "zorder", "cmap")
_AXES_KEYWORDS = ("xlim", "ylim", "xscale", "yscale", "xticks", "yticks")
_AXES_KEYWORDS_DOC = """\
    figsize, xlim, ylim, xscale, yscale, xticks, yticks : optional
        As in xarray's own figures: the size in inches of a new figure, and settings of
        the axes.
"""


def pyplot() -> Any:
    """Return matplotlib.pyplot, or explain how to install it."""
    return require("matplotlib.pyplot", "draw figures", "plot")


def axes_of(ax: Axes | None, figsize: tuple[float, float] = (4.8, 3.6)) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is None:
        axes: Axes = pyplot().subplots(figsize=figsize, layout="constrained")[1]
        return axes
    if not (hasattr(ax, "errorbar") and hasattr(ax, "pcolormesh")):
        raise QuantityError(
            f"ax is of type {type(ax).__name__}, not matplotlib axes",
            fix="ax=plt.subplots()[1]",
        )
    return ax


def read_table(
    table: Any, kind: str, column: str, *needs: str, over: str | None = None
) -> tuple[xr.Dataset, xr.DataArray]:
    """Return a table as plain numbers, and a column, `over` one dimension."""
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    value = table_signal(plain, kind, column, needs=needs).value
    if over is not None:
        require_over(value, (over,), f"one figure is drawn over {over}")
    return plain, value


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
                    "both ax and figsize are given", fix="leave one out"
                )
            call.arguments["ax"] = axes_of(None, size)
        try:
            axes = draw(*call.args, **call.kwargs)
        except (AttributeError, TypeError) as error:
            found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if found is None:
                raise
            own = [p.name for p in signature.parameters.values()][1:]
            known = [n for n in own if n != "kwargs"] + ["figsize", *_AXES_KEYWORDS]
            near = [f"{name}=" for name in nearest(found[1], [*known, *_MATPLOTLIB])]
            raise QuantityError(
                f".bp.plot.{draw.__name__}() has no keyword {found[1]}=",
                reason=f"it has {', '.join(f'{name}=' for name in known)}, and those "
                "of matplotlib, such as color= and label=",
                fix=" or ".join(near) or "data['S'].bp.plot() draws one variable",
            ) from error
        if "xlim" in settings and axes.get_xscale() == "log":
            low, high = settings["xlim"]
            # A logarithmic axis starts where the data do.
            settings["xlim"] = (low if (low or 0) > 0 else axes.get_xlim()[0], high)
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
    inside = f"{_ten(power)} {units_label(units)}".strip()
    return f"{symbol} ({inside})" if inside else symbol


def _ten(power: int) -> str:
    return f"10$^{{{power}}}$" if power else ""


def axis_label(coordinate: xr.DataArray) -> str:
    """Format the label of the axis for a coordinate."""
    return label(
        coordinate_symbol(str(coordinate.name)), coordinate.attrs.get("units", "1")
    )


def coordinate_symbol(name: str) -> str:
    """Return how a coordinate is written: its letter, else its name in words."""
    return SYMBOLS.get(name, name.replace("_", " "))


def as_signal(column: xr.DataArray, table: xr.Dataset) -> xr.DataArray:
    """Return a column of a table with the attributes of the signal that it is of."""
    kept = {
        key: table.attrs[key] for key in ("dimension", "gamma") if key in table.attrs
    }
    signal = table.attrs.get("signal", "reduced_dos")
    return column.assign_attrs(kept, quantity=signal)


def signal_label(value: xr.DataArray, power: int) -> str:
    """Format the label of the axis for a signal, with a power of ten taken out."""
    written = symbol_of(value)
    letter = written.partition("(")[0]
    # Words stay as they are; a formula is set as one.
    formula = (letter and " " not in written) or "/T" in written
    for small, plain in (("³", "^3"), ("²", "^2")):
        written = written.replace(small, plain)
    written = written.replace(" − γT", r"-\gamma T")
    symbol = f"${written}$" if formula else written.replace("C_p", "$C_p$")
    if is_arbitrary(value):
        return f"{symbol} ({f'{_ten(power)} arb. units'.strip()})"
    return label(symbol, value.attrs["units"], power)


def is_arbitrary(value: xr.DataArray) -> bool:
    """Return whether the values have an arbitrary scale, such as intensities."""
    quantity, units = value.attrs["quantity"], value.attrs["units"]
    if quantity == "reduced_dos" and "E" in value.coords:
        # An intensity divided by E once or twice; g(E)/E of a plane is not one.
        E = parse_unit(value["E"].attrs["units"])
        once = (1, 2)[: dimension_of(value) - 1]
        if any((parse_unit(units) * E**n).dimensionless for n in once):
            return True
    return units == "1" and quantity not in _RATIOS


def is_line(value: xr.DataArray) -> bool:
    """Whether a signal is drawn as a line."""
    return is_computed(value) or value.attrs["quantity"] in _LINES


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
        if at > 0:  # 0: no box cuts these spectra off
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
    broken = [part for line in whole for part in _broken(line, letters)]
    axes.set_title("\n".join(broken), fontsize="small")


def _broken(line: str, most: int) -> list[str]:
    """Wrap a line between words; never inside a formula or a value ± error."""
    words = re.findall(r"(?:\$[^$]*\$|[^ $])+", line.replace(" ± ", "\xa0±\xa0"))
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip(" ")
        # Roughly what is seen of a text with formulas.
        seen = re.sub(r"\\mathrm|\\text|[${}_^]", "", longer)
        seen = re.sub(r"\\[a-zA-Z]+", "x", seen).replace("\\", "")
        if lines[-1] and len(seen) > most:
            lines.append(word)
        else:
            lines[-1] = longer
    return [text.replace("\xa0", " ") for text in lines]


def fit_quality(table: xr.Dataset) -> str:
    """Format the reduced chi-squared, or the rms residual if errors are not known."""
    chi2 = float(table.get("chi2_reduced", np.nan))
    rms = float(table.get("relative_residual", np.nan))
    if np.isfinite(chi2):
        number = f"{chi2:.3g}" if chi2 < 1000 else f"{chi2:.0f}"
        text = f"$\\chi^2_\\mathrm{{red}}$ = {number}"
    elif np.isfinite(rms):
        text = f"rms residual {percent(rms)}"
    else:
        return ""
    return f"{text}{' (poor)' if is_poor(table) else ''}"


def energy_text(table: xr.Dataset, name: str = "energy") -> str:
    """Format an energy with its statistical and, after a scan, systematic error.

    Examples
    --------
    >>> scan = {"scan_energy": ("range", [5.1, 5.9]), "systematic": 0.4}
    >>> table = xr.Dataset({"energy": 5.5, "energy_std": 0.02, **scan})
    >>> table.energy.attrs["units"] = "meV"
    >>> energy_text(table), energy_text(table[["energy", "energy_std"]])
    ('5.500 ± 0.020 ± 0.4 (range) meV', '5.500 ± 0.020 meV')
    """
    text = with_error(float(table[name]), float(table[f"{name}_std"]))
    if is_poor(table):  # its error says nothing
        text = f"{float(table[name]):.3g}"
    if spread := systematic_error(table, name):
        sizes = table.scan_energy.sizes
        names = {"range": "range", "method": "shape"}.items()
        tried = [what for dim, what in names if sizes.get(dim, 1) > 1]
        text += f" ± {spread:.2g} ({', '.join(tried)})"
    return f"{text} {units_label(str(table[name].attrs['units']))}"


def systematic_error(table: xr.Dataset, name: str = "energy") -> float:
    """Return the systematic error found by a scan, else 0."""
    key = name.replace("energy", "systematic")
    return float(np.nan_to_num(float(table.get(key, np.nan))))


def parameter_text(table: xr.Dataset, name: str) -> str:
    """Format a fitted parameter with its error and units."""
    value, std = float(table[name]), float(table.get(f"{name}_std", np.nan))
    power = power_of(value)
    number = with_error(value / 10.0**power, std / 10.0**power)
    if fixed := std == 0:
        number = f"{value / 10.0**power:.4g}".replace("-", "−")
    elif is_poor(table):  # its error says nothing
        number = f"{value / 10.0**power:.3g}".replace("-", "−")
    elif power and "±" in number:
        number = f"({number})"
    units = units_label(str(table[name].attrs.get("units", "1")))
    ten = f"× {_ten(power)}" if power else ""
    return " ".join(filter(None, (number, ten, units, "(fixed)" * fixed)))
