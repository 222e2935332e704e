"""What a model with a name consists of: function, units, limits, start of a fit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from xbp.core.errors import QuantityError
from xbp.core.guards import choose, require_kind
from xbp.core.schema import QUANTITIES
from xbp.core.units import format_unit, parse_unit

__all__ = ["Guess", "NamedModel", "parameter_units"]

#: (x, y) → where to start a fit, or several starts.
Guess = Callable[
    [np.ndarray, np.ndarray], Mapping[str, float] | Sequence[Mapping[str, float]]
]
#: Symbols of the units of a parameter: those of the axis and of the values, K, and 1.
_UNIT_SYMBOLS = ("x", "y", "K", "1")


@dataclass(frozen=True)
class NamedModel:
    """A model that fits and data can name.

    Attributes
    ----------
    name : str
        Its name.
    function : callable
        f(x, **parameters) on plain arrays.
    quantity : str
        What it is, in the vocabulary; x is that quantity's own dimension.
    parameters : dict of str to str
        Units of each parameter, in the order of the function's arguments: factors x
        (units of the axis), y (units of the values), K and 1, joined by ``*``, and at
        most one after ``/``, such as "x", "x*y", "y/x".
    about : str
        One line for the table of models: the equation in words, and its source.
    positive : tuple of str
        Parameters that are positive, or a fit looks for them there.
    guess : callable
        (x, y) → where a fit starts: every parameter and its value, in the units of x
        and y. It is called once per spectrum with the points that are fitted (finite,
        with an error if errors are known; there may be few), in ascending x. Fits find
        the nearest minimum: where one start is not enough, return a list of them, and
        the fit with the least χ² is kept. Values the user passes replace those guessed.
    x_units, y_units : str or None
        Units the function is written in, where it holds constants of nature.
    below : dict of str to float
        Upper limits of parameters.
    zero : tuple of str
        Positive parameters that may be 0.
    edge : str or None
        The parameter at whose x the function has a step.
    area : tuple of str
        Parameters whose sum is the area of a density of states.
    relative : bool
        Data without errors have the same relative one, as over many decades.

    Raises
    ------
    QuantityError
        If the quantity is unknown, a field names no parameter, `parameters` are not
        the arguments of the function, or a unit is not written as above.
    """

    name: str
    function: Callable[..., np.ndarray]
    quantity: str
    parameters: dict[str, str]
    _: KW_ONLY
    about: str
    positive: tuple[str, ...]
    guess: Guess
    x_units: str | None = None
    y_units: str | None = None
    below: dict[str, float] = field(default_factory=dict)
    zero: tuple[str, ...] = ()
    edge: str | None = None
    area: tuple[str, ...] = ()
    relative: bool = False

    def __post_init__(self) -> None:
        choose(self.quantity, QUANTITIES, f"quantity of {self.name}")
        arguments = list(inspect.signature(self.function).parameters)[1:]
        if list(self.parameters) != arguments:
            raise QuantityError(
                f"{self.name}: parameters are {', '.join(self.parameters)}, but the "
                f"arguments of the function are {', '.join(arguments)}"
            )
        for parameter, rule in self.parameters.items():
            for symbol in rule.replace("/", "*", 1).split("*"):
                choose(symbol, _UNIT_SYMBOLS, f"{self.name}: units of {parameter}")
        for given in ("positive", "below", "zero", "area"):
            names = getattr(self, given)
            require_kind(
                names, (tuple, dict), f"{self.name}: {given}", "a tuple of names"
            )
            for parameter in names:
                choose(parameter, self.parameters, f"{self.name}: {given}")
        if self.edge is not None:
            choose(self.edge, self.parameters, f"{self.name}: edge")


def parameter_units(model: NamedModel, x_units: str, y_units: str) -> dict[str, str]:
    """Return the units of every parameter for data in given units."""
    units = (parse_unit(unit) for unit in (x_units, y_units, "K", "1"))
    known = dict(zip(_UNIT_SYMBOLS, units, strict=True))
    found = {}
    for name, rule in model.parameters.items():
        numerator, _, denominator = rule.partition("/")
        unit = parse_unit("1")
        for symbol in numerator.split("*"):
            unit = unit * known[symbol]
        found[name] = format_unit(unit / known[denominator] if denominator else unit)
    return found
