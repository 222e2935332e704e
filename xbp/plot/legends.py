"""What tells curves on the same axes apart: where each was cut, of which sample, how hot, from which file."""

from __future__ import annotations

import json
import weakref
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

from xbp.errors import XbpError
from xbp.plot.axes import units_label
from xbp.plot.curves import drawn_lines
from xbp.reduction.sample import said_of_sample
from xbp.schema import symbol_of
from xbp.signal import Signal
from xbp.units import magnitude

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["facts_of", "name_curve", "show_legend", "tell_apart"]

#: What is known of each curve, until it is gone.
_FACTS: weakref.WeakKeyDictionary[Artist, dict[str, str]] = weakref.WeakKeyDictionary()
#: Attributes that tell curves apart, the first that does.
_SAYINGS = ("sample", "sample_name", "composition", "title", "source")
#: A title is as long as a legend is wide.
_WIDE = 32


def facts_of(signal: Signal, curve: xr.DataArray, others: Sequence[Hashable]) -> dict[str, str]:
    """Return what is known of a curve, what names it best first.

    Parameters
    ----------
    signal : Signal
        What it was read from.
    curve : xarray.DataArray
        One curve of it.
    others : sequence of hashable
        Dimensions that it is one element of.
    """
    facts = {}
    scalars = [str(name) for name, c in curve.coords.items() if not c.ndim and name != "box_phonon"]
    first = [*map(str, others), "Q", "E"]
    attributes = {
        name: _short(str(said)) for name in _SAYINGS if (said := said_of_sample(signal, name)) is not None and said
    }
    for name in [*first, *_SAYINGS[:3], "temperature", *_SAYINGS[3:], *scalars]:
        if name in facts:
            continue
        if name in attributes:
            facts[name] = attributes[name]
        elif name in scalars:
            facts[name] = _at(curve, name)
    return facts | {"": symbol_of(curve)}


def _at(curve: xr.DataArray, name: str) -> str:
    """Write a coordinate of a curve: of an average over a range both ends of it."""
    at = curve[name]
    if at.dtype.kind not in "fiu":
        return str(at.values)
    units = str(at.attrs.get("units", "1"))
    numbers = "–".join(f"{end:.4g}".replace("-", "−") for end in _ends(curve, name, units) or [float(at)])
    return f"{numbers} {units_label(units)}".strip()


def _ends(curve: xr.DataArray, name: str, units: str) -> list[float]:
    """Return the ends of the range that a curve is an average over, from its history; none where it is a single bin."""
    found: list[float] = []
    for line in str(curve.attrs.get("history", "")).splitlines():
        try:
            step = json.loads(line)
            if step["operation"] == f"cut_{name}":
                found = [magnitude(end, units, name=name, energy=name == "E") for end in step["arguments"][name]]
        except (ValueError, KeyError, TypeError, RecursionError, XbpError):
            continue  # written by another program, or in units that no longer are those of the data
    return found


def _short(said: str) -> str:
    """Shorten what a file says of itself: to the name of a file, or to what stands before the first comma."""
    said = said.rpartition(" file ")[2]
    said = said.partition(";")[0].partition(",")[0].replace("$", r"\$")
    return said if len(said) <= _WIDE else f"{said[: _WIDE - 1]}…"


def name_curve(container: Any, facts: dict[str, str]) -> None:
    """Remember what is known of a curve that was drawn without a label of the user's."""
    _FACTS[container.lines[0]] = facts


def tell_apart(axes: Axes, title: str | None) -> None:
    """Give the curves on axes names by what they differ in, and a legend if there are several.

    Labels that were given stay as they are.
    """
    known = [(container, _FACTS[line]) for line, container in drawn_lines(axes) if line in _FACTS]
    if len(axes.containers) < 2:
        return
    names = _names([facts for _, facts in known])
    for (container, _), name in zip(known, names, strict=True):
        container.set_label(name)
    show_legend(axes, title)


def show_legend(axes: Axes, title: str | None = None) -> None:
    """Draw a legend in which every name stands once, if there is a name."""
    named = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        axes.legend(list(named.values()), list(named), frameon=False, fontsize="small", title=title)


def _names(curves: list[dict[str, str]]) -> list[str]:
    """Name curves by as little as tells them apart; by numbers where nothing does.

    Examples
    --------
    >>> _names([{"Q": "2–3", "sample": "Al"}, {"Q": "2–3", "sample": "V"}])
    ['Al', 'V']
    >>> _names([{"Q": "2–3", "": "S"}, {"Q": "3–4", "": "S"}, {"": "S"}])
    ['2–3', '3–4', 'S']
    >>> _names([{"": "S"}, {"": "S"}])
    ['S 1', 'S 2']
    """
    names: list[tuple[str, ...]] = [()] * len(curves)
    for key in dict.fromkeys(key for facts in curves for key in facts):
        longer = [(*name, facts[key]) if key in facts else name for name, facts in zip(names, curves, strict=True)]
        if len(set(longer)) > len(set(names)):
            names = longer
    # A single curve beside others of the user's is named by what it is best known by.
    names = [name or (next(iter(facts.values())),) for name, facts in zip(names, curves, strict=True)]
    said = [", ".join(name) for name in names]
    if len(set(said)) == len(said):
        return said
    return [f"{name} {said[: i + 1].count(name)}" if said.count(name) > 1 else name for i, name in enumerate(said)]
