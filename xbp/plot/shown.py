"""Quantity and units shown on the axes of a figure, to refuse curves with others."""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xbp.core.errors import QuantityError, UnitsError
from xbp.core.units import parse_unit
from xbp.plot.style import in_powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["beside_others", "is_same", "label_axes", "require_same", "shown_on"]


@dataclass
class _Shown:
    """What one axis shows, its units (None: unknown), the label (None: the user's)."""

    what: str | None
    units: str | None
    label: str | None = ""


@dataclass
class _Drawn:
    """What xbp drew on axes; `beside`: the user had drawn there before.

    After clear(), axes have another title.
    """

    title: Any
    shown: dict[str, _Shown]
    beside: bool


_DRAWN: weakref.WeakKeyDictionary[Any, _Drawn] = weakref.WeakKeyDictionary()
#: In brackets at the end, but not S(Q); or after a comma, or a slash between blanks.
_UNITS_OF_LABEL = re.compile(
    r"(?:\s\(|\[)([^()\[\]]+)[)\]]\s*$|(?:\s/|,)\s+(\S[^(),]*)$"
)
_POWER = re.compile(r"10\s*(?:\^|\*\*|e)|\d\s*e[-+]?\d")


def require_same(axes: Axes, x: tuple[str, str], y: tuple[str, str]) -> None:
    """Refuse to draw on axes that show another quantity or other units; record these.

    For axes on which the user has drawn, the units are read from their labels if
    possible.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x, y : tuple of str
        What is to be drawn along each axis, and its units.

    Raises
    ------
    UnitsError
        If the axes have other units.
    QuantityError
        If the axes show another quantity.
    """
    there = _there(axes)
    for name, (what, units) in {"x": x, "y": y}.items():
        old = there.get(name)
        if old is None or old.units is None:
            continue
        same = is_same(old.units, units)
        if old.what not in (None, what):
            raise QuantityError(
                f"the {name} axis shows {_called(old.what)} in '{old.units}', not "
                f"{_called(what)} in '{units}'",
                reason="one axis label cannot describe both",
                fix="draw it on separate axes, ax=plt.subplots()[1] or ax=axes.twinx()",
            )
        if not same:
            raise UnitsError(
                f"the {name} axis is in '{old.units}', but the {_called(what)} to "
                f"draw is in '{units}'",
                reason="curves on one axis need the same units",
                fix="convert the data first, data.bp.convert(...), or use separate "
                "axes",
            )
    before, mine = _own(axes), {}
    for name, (what, units) in {"x": x, "y": y}.items():
        old = there.get(name)
        mine[name] = _Shown(what, units, "" if old is None else old.label)
    beside = axes.has_data() if before is None else before.beside
    _DRAWN[axes] = _Drawn(weakref.ref(axes.title), mine, beside)


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
    shown = {} if drawn is None else drawn.shown
    for name, text in (("x", x), ("y", y)):
        if text is None:
            continue
        axis = axes.xaxis if name == "x" else axes.yaxis
        old = shown.get(name)
        if old is not None and (
            old.label is None or (old.label and axis.get_label_text() != old.label)
        ):
            continue
        if (
            name == "y"
            and general is not None
            and old is not None
            and old.label not in ("", text)
        ):
            text = general
        axis.set_label_text(text)
        if old is not None:
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
    there = {} if axes is None else _there(axes)
    return {
        name: (one.what, one.units)
        for name, one in there.items()
        if one.units is not None
    }


def beside_others(axes: Axes) -> bool:
    """Whether the user had drawn on the axes before; limits would hide that."""
    drawn = _own(axes)
    return drawn is not None and drawn.beside


def _own(axes: Axes) -> _Drawn | None:
    drawn = _DRAWN.get(axes)
    return drawn if drawn is not None and drawn.title() is axes.title else None


def _there(axes: Axes) -> dict[str, _Shown]:
    """Return what is on the axes: by xbp, on twins, or by the user's labels."""
    own = _own(axes)
    found = {} if own is None else dict(own.shown)
    if not found and axes.has_data():
        for name, text in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
            if text:
                found[name] = _Shown(None, _units_in(text), None)
    for name, shared in (
        ("x", axes.get_shared_x_axes()),
        ("y", axes.get_shared_y_axes()),
    ):
        for other in shared.get_siblings(axes):
            twin = (
                other is not axes
                and other.get_position().bounds == axes.get_position().bounds
            )
            there = _own(other) if twin else None
            old = None if there is None else there.shown.get(name)
            if old is not None and name not in found:
                found[name] = _Shown(old.what, old.units)
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
    units = (
        units.replace("⁻", "-").replace("−", "-").translate(str.maketrans("¹²³", "123"))
    )
    units = re.sub(r"\bA\b", "angstrom", units)
    if units.isdecimal() or units in ("a.u.", "au", "a. u."):  # of anyone's scale
        return None
    if _POWER.search(units):
        return units  # of no curve of xbp, whose values are not divided by it
    try:
        parse_unit(units)
    except UnitsError:
        return None
    return units


def _called(what: str | None) -> str:
    return "a curve" if what is None else what.replace("_", " ")
