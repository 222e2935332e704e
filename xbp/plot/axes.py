"""What axes show, so that other units are refused, and the names of their curves."""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from xbp.core.errors import QuantityError, UnitsError, XbpError
from xbp.core.history import parse_history
from xbp.core.schema import symbol_of
from xbp.core.signal import Signal
from xbp.core.units import magnitude, parse_unit
from xbp.plot.style import SYMBOLS, axes_of, in_powers, units_label
from xbp.reduction.sample import sample_attribute

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer

__all__ = [
    "BEYOND",
    "Facts",
    "beside_others",
    "drawn_lines",
    "facts_of",
    "is_same",
    "label_axes",
    "may_limit",
    "name_curve",
    "on_axes",
    "set_height",
    "show_legend",
    "shown_on",
    "tell_apart",
]


@dataclass
class _Shown:
    """What one axis shows, its units (None: unknown), the label (None: the user's)."""

    what: str | None
    units: str | None
    label: str | None = ""


@dataclass
class _Drawn:
    """What xbp drew on axes; `beside`: the user had drawn there before.

    After clear(), axes have another title. `height`: the limits of y that xbp set.
    """

    title: Any
    shown: dict[str, _Shown]
    beside: bool
    height: tuple[float, float] | None = None


#: The note on curves that reach beyond the axis.
BEYOND = "beyond the axis"
_DRAWN: weakref.WeakKeyDictionary[Any, _Drawn] = weakref.WeakKeyDictionary()
#: In brackets at the end, but not S(Q); or after a comma, or a slash between blanks.
_UNITS_OF_LABEL = re.compile(
    r"(?:\s\(|\[)([^()\[\]]+)[)\]]\s*$|(?:\s/|,)\s+(\S[^(),]*)$"
)
_POWER = re.compile(r"10\s*(?:\^|\*\*|e)|\d\s*e[-+]?\d")
_PLAIN = str.maketrans("¹²³⁻−", "123--")


def on_axes(
    ax: Axes | None,
    x: xr.DataArray | tuple[str, str],
    y: xr.DataArray | tuple[str, str],
) -> Axes:
    """Return axes to draw on, new ones by default, and record what they show.

    For axes on which the user has drawn, the units are read from their labels if
    possible.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    x, y : xarray.DataArray or tuple of str
        What is to be drawn along each axis: a coordinate, or a name and units.

    Raises
    ------
    UnitsError
        If the axes have other units.
    QuantityError
        If the axes show another quantity.
    """
    axes = axes_of(ax)
    there, mine = _there(axes), dict[str, _Shown]()
    for name, given in {"x": x, "y": y}.items():
        if isinstance(given, xr.DataArray):
            given = str(given.name), str(given.attrs.get("units", "1"))
        what, units = given
        old = there.get(name, _Shown(None, None))
        if old.units is not None and old.what not in (None, what):
            raise QuantityError(
                f"the {name} axis shows {_called(old.what)} in '{old.units}', not "
                f"{_called(what)} in '{units}'",
                fix="ax=plt.subplots()[1], or ax=axes.twinx()",
            )
        if old.units is not None and not is_same(old.units, units):
            raise UnitsError(
                f"the {name} axis is in '{old.units}', but the {_called(what)} to "
                f"draw is in '{units}'",
                fix="data.bp.convert(...), or separate axes",
            )
        mine[name] = _Shown(what, units, old.label)
    before = _own(axes)
    beside = axes.has_data() if before is None else before.beside
    height = None if before is None else before.height
    _DRAWN[axes] = _Drawn(weakref.ref(axes.title), mine, beside, height)
    return axes


def label_axes(
    axes: Axes,
    x: str | None = None,
    y: str | None = None,
    *,
    power: int | None = None,
    general: str | None = None,
) -> None:
    """Write the labels of axes, except those that the user wrote over curves.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        After `require_same`.
    x, y : str, optional
        The labels.
    power : int, optional
        The power of ten in the label of y, in units of which its ticks are written.
    general : str, optional
        The label of y where the curves there have another one.
    """
    drawn = _own(axes)
    for axis, text in ((axes.xaxis, x), (axes.yaxis, y)):
        if text is None:
            continue
        name = str(axis.axis_name)
        old = _Shown(None, None) if drawn is None else drawn.shown[name]
        if old.label is None or (old.label and axis.get_label_text() != old.label):
            continue
        if name == "y" and general is not None and old.label not in ("", text):
            text = general
        axis.set_label_text(text)
        old.label = text
        if name == "y" and power is not None:
            axis.set_major_formatter(in_powers(power))


def is_same(units: str, others: str) -> bool:
    """Whether two units are the same; of other texts, whether they are equal."""
    try:
        return units == others or bool(parse_unit(units) == parse_unit(others))
    except UnitsError:
        return False


def shown_on(axes: Axes | None) -> dict[str, tuple[str | None, str]]:
    """Return what the axes show already, with its units, by axis."""
    there = {} if axes is None else _there(axes).items()
    return {n: (one.what, one.units) for n, one in there if one.units is not None}


def beside_others(axes: Axes) -> bool:
    """Whether the user had drawn on the axes before; limits would hide that."""
    drawn = _own(axes)
    return drawn is not None and drawn.beside


def may_limit(axes: Axes) -> bool:
    """Whether the limits of y are matplotlib's or xbp's, and not the user's."""
    drawn = _own(axes)
    if drawn is None or drawn.beside:
        return False
    return axes.get_autoscaley_on() or axes.get_ylim() == drawn.height


def set_height(axes: Axes, low: float | None, high: float | None) -> None:
    """Set limits of y that later curves on the same axes may change."""
    axes.set_ylim(low, high)
    if (drawn := _own(axes)) is not None:
        drawn.height = axes.get_ylim()


def _own(axes: Axes) -> _Drawn | None:
    drawn = _DRAWN.get(axes)
    return drawn if drawn is not None and drawn.title() is axes.title else None


def drawn_lines(axes: Axes) -> list[tuple[Artist, ErrorbarContainer]]:
    """Return the curves on axes: the line of each, and all of it."""
    from matplotlib.container import ErrorbarContainer

    curves = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    return [(c.lines[0], c) for c in curves if c.lines[0] is not None]


def _there(axes: Axes) -> dict[str, _Shown]:
    """Return what is on the axes: by xbp, on twins, or by the user's labels."""
    own = _own(axes)
    found = {} if own is None else dict(own.shown)
    if not found and axes.has_data():
        for name, text in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
            if text:
                found[name] = _Shown(None, _units_in(text), None)
    shared = {"x": axes.get_shared_x_axes(), "y": axes.get_shared_y_axes()}
    for name, group in shared.items():
        for other in group.get_siblings(axes):
            there = _own(other)
            place = other.get_position().bounds
            if there is None or other is axes or place != axes.get_position().bounds:
                continue
            old = there.shown[name]
            found.setdefault(name, _Shown(old.what, old.units))
    return found


def _units_in(text: str) -> str | None:
    """Return the units in a label such as 'Energy (meV)', 'E [1/cm]', or None.

    Examples
    --------
    >>> labels = ["Energy (meV)", "energy [1/cm]", "$Q$ (Å$^{-1}$)", "E / THz"]
    >>> labels += ["E, K", "S(Q)", "I (a.u.)"]
    >>> [_units_in(text) for text in labels]
    ['meV', '1/cm', 'Å^-1', 'THz', 'K', None, None]
    """
    found = _UNITS_OF_LABEL.search(text)
    if found is None:
        return None
    units = re.sub(r"\\AA|\\mathring\{A\}", "angstrom", found[1] or found[2])
    units = re.sub(r"\\(?:mathrm|rm|text)|[${}\\]", "", units).strip()
    units = re.sub(r"\bA\b", "angstrom", units.translate(_PLAIN))
    if _POWER.search(units):
        return units  # of no curve of xbp, whose values are not divided by it
    try:
        known = not units.isdecimal() and parse_unit(units) is not None
    except UnitsError:
        return None
    return units if known and units not in ("a.u.", "au", "a. u.") else None


def _called(what: str | None) -> str:
    return "a curve" if what is None else what.replace("_", " ")


#: Attributes that may name a curve, in this order.
_ATTRIBUTES = ("sample", "sample_name", "composition", "title", "source")


#: A text for the legend, and one with a digit more.
_Texts = tuple[str, str]


@dataclass(frozen=True)
class Facts:
    """What is known of a curve.

    Attributes
    ----------
    own : dict
        What it is and where on its coordinates, by name; the best name first. Of
        numbers there is a second text, with one digit more.
    made : dict
        How it was made: a text for the legend by operation and argument (empty for the
        operation itself), the last operation first.
    """

    own: dict[str, _Texts]
    made: dict[tuple[str, str], str]


_FACTS: weakref.WeakKeyDictionary[Artist, Facts] = weakref.WeakKeyDictionary()


def facts_of(signal: Signal, curve: xr.DataArray, others: Sequence[Hashable]) -> Facts:
    """Return what is known of a curve.

    Parameters
    ----------
    signal : Signal
        What it was read from.
    curve : xarray.DataArray
        One curve of it.
    others : sequence of hashable
        Dimensions that it is one element of.
    """
    first = [*map(str, others), "Q", "E"]
    scalars = [str(n) for n, c in curve.coords.items() if not c.ndim]
    facts: dict[str, _Texts] = {}
    for name in [*first, *_ATTRIBUTES[:3], "temperature", *_ATTRIBUTES[3:], *scalars]:
        said = sample_attribute(signal, name) if name in _ATTRIBUTES else None
        if said:
            text = _short(str(said))
            facts.setdefault(name, (text, text))
        elif name in scalars and name != "box_phonon":
            at = _at(curve, name, plain=name in first)
            facts |= {} if at is None else {name: at}
    symbol = symbol_of(curve)
    return Facts(facts | {"": (symbol, symbol)}, _made(curve))


def _at(curve: xr.DataArray, name: str, *, plain: bool) -> _Texts | None:
    """Write where on a coordinate a curve is: a value, or both ends of a range.

    A `plain` one needs no symbol: its units, or the title of the legend, name it.
    """
    at = curve[name]
    if at.dtype.kind not in "fiu":
        return (str(at.values),) * 2
    value, units = float(at), str(at.attrs.get("units", "1"))
    unit = units_label(units)
    if ends := _ends(curve, name, units):
        numbers = "–".join(f"{end:.4g}" for end in ends).replace("-", "−")
        return (f"{numbers} {unit}".strip(),) * 2
    if not math.isfinite(value):
        return None
    plain = plain or name in SYMBOLS
    symbol = "" if plain else {"u2": "$u^2$"}.get(name, name.replace("_", " "))
    before_point = len(f"{abs(value):.0f}") if abs(value) < 1e6 else 0
    least = 4 if plain else 3
    short, longer = (
        f"{value:.{max(figures, before_point)}g}".replace("-", "−")
        for figures in (least, least + 1)
    )
    return f"{symbol} {short} {unit}".strip(), f"{symbol} {longer} {unit}".strip()


def _ends(curve: xr.DataArray, name: str, units: str) -> list[float]:
    """Return the ends of the range that a curve is an average over; [] for one bin."""
    found: list[float] = []
    for step in parse_history(curve.attrs):
        # Ends in units that no longer are those of the data are left out.
        with suppress(ValueError, KeyError, TypeError, XbpError):
            if step.operation == f"cut_{name}":
                ends = step.arguments[name]
                is_E = name == "E"
                found = [magnitude(end, units, name=name, energy=is_E) for end in ends]
    return found


def _made(curve: xr.DataArray) -> dict[tuple[str, str], str]:
    """Return how a curve was made, the last operation first and each once."""
    made: dict[tuple[str, str], str] = {}
    for step in filter(lambda step: step.operation, parse_history(curve.attrs)):
        said = {"": step.operation.replace("_", " ")}
        for name, given in step.arguments.items():
            said[name] = f"{name.replace('_', ' ')} {_argument(given)}"
        for name, text in said.items():
            made.pop((step.operation, name), None)
            made[step.operation, name] = text
    return dict(reversed(made.items()))


def _argument(given: Any) -> str:
    """Write an argument of a history.

    Examples
    --------
    >>> density = "0.066 1/angstrom**3 (of the box)"
    >>> [_argument(given) for given in ("lorch", density, 0.25, True, None)]
    ['lorch', '0.066 Å$^{-3}$', '0.25', 'true', 'none']
    >>> _argument(["2 meV", "10 meV"])
    '2 meV to 10 meV'
    """
    if isinstance(given, list):
        return _short(" to ".join(map(_argument, given)))
    if isinstance(given, bool | None):
        return str(given).lower()
    if isinstance(given, float):
        return f"{given:.4g}"
    text = str(given).partition(" (")[0]
    number, _, units = text.partition(" ")
    with suppress(ValueError):  # words, also after a number
        return f"{float(number):.4g} {units_label(units or '1')}".strip()
    return _short(text)


def _short(text: str) -> str:
    """Shorten a title to the name of a file, or to the part before the first comma."""
    text = text.rpartition(" file ")[2]
    text = text.partition(";")[0].partition(",")[0].replace("$", r"\$")
    return text if len(text) <= 32 else f"{text[:31]}…"  # the width of a legend


def name_curve(container: Any, facts: Facts) -> None:
    """Keep the facts of a curve that was drawn without a label by the user."""
    _FACTS[container.lines[0]] = facts


def tell_apart(axes: Axes, title: str | None) -> None:
    """Name the curves on axes by what they differ in, and draw a legend.

    Labels given by the user stay.
    """
    if len(axes.containers) < 2:
        return
    known = {c: _FACTS[line] for line, c in drawn_lines(axes) if line in _FACTS}
    facts = list(known.values())
    for container, name in zip(
        known, _names(_own_of(facts), _ways(facts)), strict=True
    ):
        container.set_label(name)
    show_legend(axes, title=title)


def show_legend(axes: Axes, **kwargs: Any) -> None:
    """Draw a legend with every name once, if there is one."""
    handles, labels = axes.get_legend_handles_labels()
    if named := dict(zip(labels, handles, strict=True)):
        style: dict[str, Any] = {"frameon": False, "fontsize": "small"} | kwargs
        if any(text.get_gid() == BEYOND for text in axes.texts):  # below this note
            style = {"loc": "upper right", "bbox_to_anchor": (1.0, 0.93)} | style
        axes.legend(list(named.values()), list(named), **style)


def _own_of(curves: list[Facts]) -> list[dict[str, str]]:
    """Write the facts of curves, numbers with enough digits to distinguish them."""
    written: list[dict[str, str]] = [{} for _ in curves]
    for key in dict.fromkeys(key for facts in curves for key in facts.own):
        texts = [facts.own[key] for facts in curves if key in facts.own]
        short, longer = map(set, zip(*texts, strict=True))
        for facts, into in zip(curves, written, strict=True):
            if key in facts.own:
                into[key] = facts.own[key][len(longer) > len(short)]
    return written


def _ways(curves: list[Facts]) -> list[list[str]]:
    """Write, for every argument of an operation, what it was for each curve."""
    ways = []
    made = [facts.made for facts in curves]
    for operation, name in dict.fromkeys(key for of_curve in made for key in of_curve):
        # An argument that an operation did not get is not a difference to read.
        if all((operation, name) in m or (operation, "") not in m for m in made):
            without = f"without {operation.replace('_', ' ')}"
            ways.append([m.get((operation, name), without) for m in made])
    return ways


def _names(curves: list[dict[str, str]], ways: Sequence[list[str]] = ()) -> list[str]:
    """Name curves by as little as distinguishes them.

    What they are, else how they were made, else numbers.

    Examples
    --------
    >>> _names([{"Q": "2–3", "sample": "Al"}, {"Q": "2–3", "sample": "V"}])
    ['Al', 'V']
    >>> _names([{"Q": "2–3", "": "S"}, {"Q": "3–4", "": "S"}, {"": "S"}])
    ['2–3', '3–4', 'S']
    >>> ways = [["r 0 to 8", "r 0 to 8"], ["window lorch", "window none"]]
    >>> _names([{"": "g(r)"}, {"": "g(r)"}], ways)
    ['window lorch', 'window none']
    >>> _names([{"": "S"}, {"": "S"}])
    ['S 1', 'S 2']
    """
    names: list[tuple[str, ...]] = [()] * len(curves)
    for key in dict.fromkeys(key for facts in curves for key in facts):
        longer = [
            (*name, facts[key]) if key in facts else name
            for name, facts in zip(names, curves, strict=True)
        ]
        names = max(names, longer, key=lambda named: len(set(named)))
    # Of all arguments the one that distinguishes most of them, the last of such.
    by_way = [
        [(*name, text) for name, text in zip(names, way, strict=True)] for way in ways
    ]
    names = max([names, *by_way], key=lambda named: len(set(named)))
    # A single curve beside others of the user gets its best name.
    said = [
        ", ".join(name) if name else next(iter(facts.values()))
        for name, facts in zip(names, curves, strict=True)
    ]
    return [
        f"{name} {said[: i + 1].count(name)}" if said.count(name) > 1 else name
        for i, name in enumerate(said)
    ]
