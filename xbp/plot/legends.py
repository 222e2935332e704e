"""Legends: curves on the same axes are named by what they differ in."""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from xbp.core.errors import XbpError
from xbp.core.history import parse_history
from xbp.core.schema import symbol_of
from xbp.core.signal import Signal
from xbp.core.units import magnitude
from xbp.plot.curves import drawn_lines
from xbp.plot.style import SYMBOLS, units_label
from xbp.reduction.sample import sample_attribute

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["Facts", "facts_of", "name_curve", "show_legend", "tell_apart"]

#: Attributes that may name a curve, in this order.
_ATTRIBUTES = ("sample", "sample_name", "composition", "title", "source")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class _Number:
    """A coordinate of a curve, written with at least so many digits."""

    value: float
    symbol: str
    units: str
    least: int

    def written(self, figures: int) -> str:
        before_point = len(f"{abs(self.value):.0f}") if abs(self.value) < 1e6 else 0
        number = f"{self.value:.{max(figures, before_point)}g}".replace("-", "−")
        return " ".join(
            part for part in (self.symbol, number, units_label(self.units)) if part
        )


@dataclass(frozen=True)
class Facts:
    """What is known of a curve.

    Attributes
    ----------
    own : dict
        What it is and where on its coordinates, by name; the best name first.
    made : list of tuple
        How it was made: operation, argument (empty for the operation itself) and a
        text for the legend, the last operation first.
    """

    own: dict[str, str | _Number]
    made: list[tuple[str, str, str]]


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
    facts: dict[str, str | _Number] = {}
    scalars = [
        str(name)
        for name, c in curve.coords.items()
        if not c.ndim and name != "box_phonon"
    ]
    first = [*map(str, others), "Q", "E"]
    attributes = {
        name: _short(str(said))
        for name in _ATTRIBUTES
        if (said := sample_attribute(signal, name)) is not None and said
    }
    for name in [*first, *_ATTRIBUTES[:3], "temperature", *_ATTRIBUTES[3:], *scalars]:
        if name in facts:
            continue
        if name in attributes:
            facts[name] = attributes[name]
        elif (
            name in scalars
            and (at := _at(curve, name, plain=name in first)) is not None
        ):
            facts[name] = at
    return Facts(facts | {"": symbol_of(curve)}, _made(curve))


def _at(curve: xr.DataArray, name: str, *, plain: bool) -> str | _Number | None:
    """Write where on a coordinate a curve is: a value, or both ends of a range.

    A `plain` one needs no symbol: its units, or the title of the legend, name it.
    """
    at = curve[name]
    if at.dtype.kind not in "fiu":
        return str(at.values)
    units = str(at.attrs.get("units", "1"))
    if ends := _ends(curve, name, units):
        return (
            f"{'–'.join(f'{end:.4g}'.replace('-', '−') for end in ends)} "
            f"{units_label(units)}"
        ).strip()
    if not math.isfinite(float(at)):
        return None
    if plain or name in SYMBOLS:
        return _Number(float(at), "", units, 4)
    return _Number(
        float(at), {"u2": "$u^2$"}.get(name, name.replace("_", " ")), units, 3
    )


def _ends(curve: xr.DataArray, name: str, units: str) -> list[float]:
    """Return the ends of the range that a curve is an average over; [] for one bin."""
    found: list[float] = []
    for step in parse_history(curve.attrs):
        if step.operation == f"cut_{name}":
            try:
                found = [
                    magnitude(end, units, name=name, energy=name == "E")
                    for end in step.arguments[name]
                ]
            except (ValueError, KeyError, TypeError, XbpError):
                continue  # in units that no longer are those of the data
    return found


def _made(curve: xr.DataArray) -> list[tuple[str, str, str]]:
    """Return how a curve was made, the last operation first and each once."""
    made: dict[tuple[str, str], str] = {}
    for step in filter(lambda step: step.operation, parse_history(curve.attrs)):
        said = {"": step.operation.replace("_", " ")}
        said |= {
            name: f"{name.replace('_', ' ')} {_argument(given)}"
            for name, given in step.arguments.items()
        }
        for name, text in said.items():
            made.pop((step.operation, name), None)
            made[step.operation, name] = text
    return [(*key, text) for key, text in reversed(made.items())]


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
    if _NUMBER.fullmatch(number):
        try:
            return f"{float(number):.4g} {units_label(units or '1')}".strip()
        except XbpError:
            pass  # words after a number
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
    known = [
        (container, _FACTS[line])
        for line, container in drawn_lines(axes)
        if line in _FACTS
    ]
    if len(axes.containers) < 2:
        return
    facts = [facts for _, facts in known]
    names = _names(_own(facts), _ways(facts))
    for (container, _), name in zip(known, names, strict=True):
        container.set_label(name)
    show_legend(axes, title)


def show_legend(axes: Axes, title: str | None = None) -> None:
    """Draw a legend with every name once, if there is one."""
    named = {
        label: handle
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if named:
        axes.legend(
            list(named.values()),
            list(named),
            frameon=False,
            fontsize="small",
            title=title,
        )


def _own(curves: list[Facts]) -> list[dict[str, str]]:
    """Write the facts of curves, numbers with enough digits to distinguish them."""
    written: list[dict[str, str]] = [{} for _ in curves]
    for key in dict.fromkeys(key for facts in curves for key in facts.own):
        numbers = [
            said for facts in curves if isinstance(said := facts.own.get(key), _Number)
        ]
        least = max((number.least for number in numbers), default=0)
        # One digit more where it distinguishes them.
        figures = max(
            (least, least + 1),
            key=lambda figures: len({number.written(figures) for number in numbers}),
        )
        for facts, into in zip(curves, written, strict=True):
            said = facts.own.get(key)
            if said is not None:
                into[key] = said.written(figures) if isinstance(said, _Number) else said
    return written


def _ways(curves: list[Facts]) -> list[list[str]]:
    """Write, for every argument of an operation, what it was for each curve."""
    made = [
        {(operation, name): text for operation, name, text in facts.made}
        for facts in curves
    ]
    ways = []
    for operation, name in dict.fromkeys(key for of_curve in made for key in of_curve):
        # An argument that an operation did not get is not a difference to read.
        if all(
            (operation, name) in of_curve or (operation, "") not in of_curve
            for of_curve in made
        ):
            without = f"without {operation.replace('_', ' ')}"
            ways.append([of_curve.get((operation, name), without) for of_curve in made])
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
        if len(set(longer)) > len(set(names)):
            names = longer
    # Of all arguments the one that distinguishes most of them, the last of such.
    by_way = [
        [(*name, text) for name, text in zip(names, way, strict=True)] for way in ways
    ]
    names = max([names, *by_way], key=lambda named: len(set(named)))
    # A single curve beside others of the user gets its best name.
    names = [
        name or (next(iter(facts.values())),)
        for name, facts in zip(names, curves, strict=True)
    ]
    said = [", ".join(name) for name in names]
    if len(set(said)) == len(said):
        return said
    return [
        f"{name} {said[: i + 1].count(name)}" if said.count(name) > 1 else name
        for i, name in enumerate(said)
    ]
