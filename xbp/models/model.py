"""What a model consists of: function, units, limits, start of a fit; sums and products.

A model of one quantity is one of others too: g(E) gives g/E², S(Q,E) at one Q and the
heat capacity.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np
import scipy

from xbp.core.errors import QuantityError
from xbp.core.guards import choose, require_kind
from xbp.core.schema import QUANTITIES
from xbp.core.units import format_unit, parse_unit
from xbp.models.debye_einstein import EINSTEIN_MAXIMUM
from xbp.models.factors import thermal_factor
from xbp.models.parameters import MEANINGS, Powers, powers_of, units_rule
from xbp.models.quadrature import beside_step, thermal_rule

__all__ = ["Guess", "Model", "parameter_units", "units_by_rule"]

#: (x, y) → where to start a fit, or several starts.
Guess = Callable[
    [np.ndarray, np.ndarray], Mapping[str, float] | Sequence[Mapping[str, float]]
]
#: Symbols of the units of a parameter: those of the axis and of the values, K, and 1.
_UNIT_SYMBOLS = ("x", "y", "K", "1")
#: Fields of a model whose entries are parameters.
_BY_PARAMETER = (
    "positive", "below", "zero", "area", "held", "scale", "meaning", "example",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Model:
    """A model that fits and data can name; sums and products of models are models.

    ``a + b`` and ``a * b`` keep parameters of the same name apart, those of b being
    ``name_2``; `renamed` to one name they are one parameter. In a product the values of
    b have no units.

    Attributes
    ----------
    name : str
        Its name.
    function : callable
        ``f(x, **parameters)`` on plain arrays.
    quantity : str
        What it is, in the vocabulary; x is that quantity's own dimension.
    parameters : dict of str to str
        Units of each parameter, in the order of the function's arguments: factors x
        (units of the axis), y (units of the values), K and 1, joined by ``*`` and
        ``/``, such as "x", "x*y", "y/x".
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
        Upper limits of parameters, which they do not reach.
    zero : tuple of str
        Positive parameters that may be 0.
    edge : str or None
        The parameter at whose x the function has a step.
    area : tuple of str
        Parameters whose sum is the area of a density of states.
    relative : bool
        Data without errors have the same relative one, as over many decades.
    held : dict of str to float
        Parameters that have this value unless the user gives a start, bounds or a
        value.
    example : dict of str to float
        A value of every parameter that is not held, which fits to such data find again.
    scale : tuple of str
        Parameters to which, together, the function is proportional; by default those in
        units with y.
    meaning : dict of str to str
        What each parameter is; by default as in ``xbp.models.parameters``, "" of a name
        that is not there.
    vectorized : bool
        Whether the function takes columns (m, 1) of parameters too, and then returns m
        curves: fits are then several times faster. True of the named models.
    dimension : int or None
        Of the space it holds in: 3 of densities of states and heat capacities; shapes
        of B (None) fit those of a plane too.

    Raises
    ------
    QuantityError
        If the quantity is unknown, a field names no parameter, `parameters` are not
        the arguments of the function, or a unit is not written as above.

    Examples
    --------
    >>> from xbp.models import MODELS
    >>> both = MODELS["debye_phonons_dos"] + MODELS["stringlets_dos"]
    >>> list(both.parameters), both.held
    (['n_D', 'energy_D', 'area', 'energy_s', 'weight'], {'weight': 0.0})
    >>> both.of("heat_capacity").parameters["energy_D"]
    'x'
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
    held: dict[str, float] = field(default_factory=dict)
    example: dict[str, float] = field(default_factory=dict)
    scale: tuple[str, ...] = ()
    meaning: dict[str, str] = field(default_factory=dict)
    vectorized: bool = False
    dimension: Literal[3] | None = None

    def __post_init__(self) -> None:
        choose(self.quantity, QUANTITIES, f"quantity of {self.name}")
        arguments = list(inspect.signature(self.function).parameters)[1:]
        if list(self.parameters) != arguments:
            raise QuantityError(
                f"{self.name}: parameters are {', '.join(self.parameters)}, but the "
                f"arguments of the function are {', '.join(arguments)}"
            )
        for parameter, rule in self.parameters.items():
            for symbol in re.split(r"[*/]", rule):
                choose(symbol, _UNIT_SYMBOLS, f"{self.name}: units of {parameter}")
        for given in _BY_PARAMETER:
            names = getattr(self, given)
            require_kind(
                names, (tuple, dict), f"{self.name}: {given}", "a tuple of names"
            )
            for parameter in names:
                choose(parameter, self.parameters, f"{self.name}: {given}")
        if self.edge is not None:
            choose(self.edge, self.parameters, f"{self.name}: edge")
        if not self.scale:
            own = tuple(n for n, r in self.parameters.items() if "y" in powers_of(r))
            object.__setattr__(self, "scale", own)
        known = {n: self.meaning.get(n, MEANINGS.get(n, "")) for n in self.parameters}
        object.__setattr__(self, "meaning", known)
        if self.quantity in ("vibrational_dos", "heat_capacity"):
            object.__setattr__(self, "dimension", 3)

    def __add__(self, other: Model) -> Model:
        second = other._apart_from(self).of(self.quantity)

        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            return np.asarray(self._at(x, p) + second._at(x, p))

        def guess(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
            starts = []
            for one, two in ((self, second), (second, self)):
                p = one._first_guess(x, y)
                p |= two._first_guess(x, np.maximum(y - one._at(x, p), 0.0))
                parts = np.stack([part._at(x, p) for part in (self, second)])
                starts.append(_scaled(parts, y, p, (self, second)))
            return starts

        return self._joined(second, "+", values, guess)

    def __mul__(self, other: Model) -> Model:
        second = other._apart_from(self)._with_units(
            {"y": {}}, quantity=self.quantity, x_units=None, y_units=None
        )

        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            return np.asarray(self._at(x, p) * second._at(x, p))

        def guess(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
            p = self._first_guess(x, y)
            first = self._at(x, p)
            share = np.where(first > 0, y / np.where(first > 0, first, 1.0), 0.0)
            return p | second._first_guess(x, share)

        return self._joined(second, "*", values, guess)

    def renamed(self, **names: str) -> Model:
        """Return the model with other names of parameters; equal names are one.

        Parameters
        ----------
        **names : str
            New names of parameters.

        Returns
        -------
        Model

        Raises
        ------
        QuantityError
            If the parameter is unknown, or parameters made one differ in units.

        Examples
        --------
        >>> from xbp.models import MODELS
        >>> one = MODELS["lognormal"] + MODELS["lognormal"].renamed(height="second")
        >>> list(one.renamed(sigma_2="sigma").parameters)
        ['energy', 'height', 'sigma', 'energy_2', 'second']
        """
        for name in names:
            choose(name, self.parameters, f"{self.name}: parameter")
        new = {name: names.get(name, name) for name in self.parameters}
        rules: dict[str, str] = {}
        for name, rule in self.parameters.items():
            known = rules.setdefault(new[name], rule)
            if powers_of(known) != powers_of(rule):
                raise QuantityError(
                    f"{self.name}: {name} is in {rule}, but {new[name]} is in {known}; "
                    "they cannot be one parameter"
                )

        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            return self._at(x, {name: p[new[name]] for name in self.parameters})

        def guess(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
            return [
                {new[n]: v for n, v in reversed(one.items())}
                for one in _several(self.guess(x, y))
            ]

        return replace(
            self,
            function=_function(rules, values),
            parameters=rules,
            positive=_unique(new[n] for n in self.positive),
            zero=_unique(new[n] for n in self.zero),
            area=tuple(new[n] for n in self.area),
            scale=_unique(new[n] for n in self.scale),
            below={new[n]: v for n, v in self.below.items()},
            held={new[n]: v for n, v in self.held.items()},
            meaning={new[n]: v for n, v in reversed(self.meaning.items())},
            edge=self.edge and new[self.edge],
            guess=guess,
            example={},
        )

    def of(self, quantity: str) -> Model:
        r"""Return the same model of another quantity.

        .. math:: B = g/E^2, \qquad S = E\,\langle n\rangle^{-1} B, \qquad
                  C = 3R \int_0^\infty g\,\frac{x^2 e^x}{(e^x-1)^2}\,\mathrm{d}E

        Parameters
        ----------
        quantity : str
            "vibrational_dos", "reduced_dos" (also of a Raman spectrum),
            "dynamic_structure_factor" at one Q (with a further parameter T),
            "heat_capacity" or "reduced_heat_capacity" (C/T³). Of the last two, energies
            are temperatures E/k_B, and an area of 1 is that of all modes.

        Returns
        -------
        Model

        Raises
        ------
        QuantityError
            If this model has no such quantity.
        """
        if quantity == self.quantity:
            return self
        if self.quantity == "reduced_dos":
            squared = {"y": {"y": 1, "x": -2}}
            dos = self._with_units(squared, quantity="vibrational_dos")
            dos = replace(
                dos,
                function=_function(self.parameters, lambda x, p: x**2 * self._at(x, p)),
                guess=lambda x, y: self.guess(x, y / _nonzero(x) ** 2),
            )
            return dos.of(quantity)
        views: dict[str, Callable[[], Model]] = {
            "reduced_dos": self._over_square,
            "dynamic_structure_factor": lambda: self._over_square()._scattering(),
            "heat_capacity": lambda: self._heat_capacity(0),
            "reduced_heat_capacity": lambda: self._heat_capacity(3),
        }
        known = {**views, "vibrational_dos": None}
        choose(self.quantity, known, f"quantity of {self.name} as g(E)")
        return views[choose(quantity, views, f"quantity for {self.name}")]()

    def _over_square(self) -> Model:
        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            size = _nonzero(x)
            return np.asarray(self._at(size, p) / size**2)

        return replace(
            self._with_units({"y": {"y": 1, "x": 2}}, quantity="reduced_dos"),
            function=_function(self.parameters, values),
            guess=lambda x, y: self.guess(x, y * x**2),
            area=(),
        )

    def _scattering(self) -> Model:
        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            factor = thermal_factor(x, np.asarray(p["T"]), "quantum")
            return np.asarray(self._at(x, p) / factor)

        def guess(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
            size = y * thermal_factor(x, np.asarray(300.0), "quantum")
            return [{**one, "T": 300.0} for one in _several(self.guess(x, size))]

        parts = self._with_units({"y": {"y": 1, "x": -1}})
        rules = {**parts.parameters, "T": "K"}
        return replace(
            parts,
            function=_function(rules, values),
            quantity="dynamic_structure_factor",
            parameters=rules,
            positive=(*self.positive, "T"),
            guess=guess,
            x_units="meV",
        )

    def _heat_capacity(self, power: int) -> Model:
        # E/k_B in place of E: the function has no units of its own.
        def values(x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
            T = np.asarray(x, dtype=float)
            ends, at, weights, kernel = thermal_rule(T.tobytes())
            total = (self._at(at, p) * weights) @ kernel
            if self.edge is not None:
                total = total + beside_step(
                    lambda at: self._at(at, p), T, ends, p[self.edge]
                )
            return np.asarray(3 * scipy.constants.R * total / T**power)

        def guess(x: np.ndarray, y: np.ndarray) -> list[dict[str, float]]:
            # C/T³ at T is about g/E² at the energies of which C/T³ is highest there.
            E = EINSTEIN_MAXIMUM * x
            level = y * x ** (power - 3) / (3 * scipy.constants.R * 4 * np.pi**4 / 15)
            return [
                _scaled(values(x, p)[None], y, p, (self,))
                for p in _several(self.guess(E, np.maximum(level, 0.0) * E**2))
            ]

        return replace(
            self._with_units({"y": {"x": -1}}),
            function=_function(self.parameters, values),
            quantity="reduced_heat_capacity" if power else "heat_capacity",
            guess=guess,
            x_units="K",
            y_units="J/mol/K**4" if power else "J/mol/K",
            edge=None,
            area=(),
            relative=True,
        )

    def _at(self, x: np.ndarray, p: Mapping[str, float]) -> np.ndarray:
        return np.asarray(
            self.function(x, **{name: p[name] for name in self.parameters})
        )

    def _first_guess(self, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        return {**_several(self.guess(x, y))[0], **self.held}

    def _apart_from(self, first: Model) -> Model:
        same = [name for name in self.parameters if name in first.parameters]
        return self.renamed(**{name: f"{name}_2" for name in same})

    def _with_units(self, symbols: Mapping[str, Powers], **changes: Any) -> Model:
        """Return the model with other symbols for the units of its parameters."""
        rules = {}
        for name, rule in self.parameters.items():
            found: Powers = {}
            for symbol, power in powers_of(rule).items():
                for own, times in symbols.get(symbol, {symbol: 1}).items():
                    found[own] = found.get(own, 0) + power * times
            rules[name] = units_rule(found)
        return replace(self, parameters=rules, example={}, **changes)

    def _joined(
        self,
        second: Model,
        sign: str,
        values: Callable[[np.ndarray, Mapping[str, float]], np.ndarray],
        guess: Guess,
    ) -> Model:
        rules = {**self.parameters, **second.parameters}
        return Model(
            f"{self.name} {sign} {second.name}",
            _function(rules, values),
            self.quantity,
            rules,
            about=f"{self.about} {sign} {second.about}",
            positive=_unique((*self.positive, *second.positive)),
            guess=guess,
            x_units=self.x_units or second.x_units,
            y_units=self.y_units or second.y_units,
            below={**self.below, **second.below},
            zero=_unique((*self.zero, *second.zero)),
            edge=self.edge or second.edge,
            area=(*self.area, *second.area) if sign == "+" else (),
            relative=self.relative or second.relative,
            held={**self.held, **second.held},
            meaning={**self.meaning, **second.meaning},
            scale=(*self.scale, *second.scale) if sign == "+" else self.scale,
            vectorized=self.vectorized and second.vectorized,
            dimension=self.dimension or second.dimension,
        )


def _function(
    names: Iterable[str],
    values: Callable[[np.ndarray, Mapping[str, float]], np.ndarray],
) -> Callable[..., np.ndarray]:
    """Return f(x, *parameters) with these names in its signature."""
    kind, own = inspect.Parameter.POSITIONAL_OR_KEYWORD, list(names)

    def function(x: np.ndarray, *given: float, **named: float) -> np.ndarray:
        return values(x, {**dict(zip(own, given, strict=False)), **named})

    arguments = [inspect.Parameter(name, kind) for name in ("x", *own)]
    cast(Any, function).__signature__ = inspect.Signature(arguments)
    return function


def _scaled(
    parts: np.ndarray, y: np.ndarray, p: dict[str, float], models: Sequence[Model]
) -> dict[str, float]:
    """Return a start whose parts, of the given curves, have the amounts of the data."""
    size = np.linalg.norm(parts, axis=1)
    if not (np.isfinite(size).all() and (size > 0).all()):
        return p
    amounts, _ = scipy.optimize.nnls((parts / size[:, None]).T, y)
    least = 1e-2 * max(amounts.max(), 1e-300)
    scaled = dict(p)
    for model, amount in zip(models, np.maximum(amounts, least) / size, strict=True):
        # Curves are proportional to the parameters that have their units.
        for name in model.scale:
            scaled[name] = p[name] * float(amount)
    return scaled


def _several(
    found: Mapping[str, float] | Sequence[Mapping[str, float]],
) -> list[dict[str, float]]:
    return [dict(one) for one in ([found] if isinstance(found, Mapping) else found)]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _nonzero(x: np.ndarray) -> np.ndarray:
    """Return |x|, and in place of 0 a small number."""
    size = np.abs(np.asarray(x, dtype=float))
    return np.where(size > 0, size, 1e-6 * max(float(size.max(initial=0.0)), 1e-6))


def parameter_units(model: Model, x_units: str, y_units: str) -> dict[str, str]:
    """Return the units of every parameter for data in given units."""
    return units_by_rule(model.parameters, x_units, y_units)


def units_by_rule(
    rules: Mapping[str, str], x_units: str, y_units: str
) -> dict[str, str]:
    """Return units by name from rules such as "y/x", for data in given units.

    Examples
    --------
    >>> units_by_rule({"slope": "y/x", "power": "1"}, "meV", "1/meV")
    {'slope': '1/meV**2', 'power': '1'}
    """
    units = (parse_unit(unit) for unit in (x_units, y_units, "K", "1"))
    known = dict(zip(_UNIT_SYMBOLS, units, strict=True))
    found = {}
    for name, rule in rules.items():
        unit = parse_unit("1")
        for symbol, power in powers_of(rule).items():
            unit = unit * known[symbol] ** power
        found[name] = format_unit(unit)
    return found
