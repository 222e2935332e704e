"""Units: a private pint registry, and every conversion xbp makes.

Nothing here touches pint's application registry. Units travel between functions as
strings in ``attrs["units"]``; inside a function they are pint units of the registry
below.
"""

from __future__ import annotations

import functools
import math
import numbers
import re
from typing import Any, Literal

import numpy as np
import pint
import xarray as xr

from xbp.core.errors import UnitsError, kind_of, nearest, require_absolute, shown

__all__ = [
    "convert_factor",
    "format_unit",
    "has_offset",
    "magnitude",
    "parse_unit",
    "swap_unit",
    "times_powers",
    "values_in",
]

Frequency = Literal["ordinary", "angular"]

# UDUNITS writes powers without an operator ("angstrom-1", "J mol-1 K-1"); pint needs
# one.
_UDUNITS_POWER = re.compile(r"(?<![\w.^*])([A-Za-zÅÅµμ_]+)([+-]?\d+)(?![\w.])")
_NUMBER_AND_UNIT = re.compile(
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+|nan|inf)(?:[eE][+-]?\d+)?)"
    r"(?!\(\d+\))"  # 0.012(1) is a number with an error, not 0.012 times 1
    r"(?![eE](?![^\W\d_]))"  # an exponent without its digits is not the charge e
    r"\s*\*?\s*(?P<unit>(?:[^\W\d_]|[°%(]|1\s*/).*)?",
    re.S,
)
# Headers come from strangers, and pint computes 9**9**9**9 without end. A unit has
# small powers and no number but 1.
_LONGEST_UNIT = 200
#: Units that are often misspelt.
_EXAMPLES = ("meV", "THz", "1/cm", "1/angstrom", "angstrom", "J/mol/K", "K", "ps")
_SMALL = r"[+-]?\d{1,2}(?:\.\d*)?(?!\d)"
_POWER = re.compile(
    rf"(?:\*\*|\^)\s*(?:{_SMALL}|\(\s*{_SMALL}(?:\s*/\s*\d{{1,2}})?\s*\))"
    r"(?!\s*(?:\*\*|\^|[⁰¹²³⁴-⁹⁺⁻]))"
)
# pint passes over all others, such as what is left of a µ in another encoding.
_UNKNOWN_CHARACTER = re.compile(r"[^\w\s*/^().+\-%‰°℃℉·⋅∙•×∗⁻⁺]")
_ONE = re.compile(r"(?<![\w.])1(?:\.0*)?(?![\w.])")
_FURTHER_NUMBER_OR_POWER = re.compile(r"(?<!\w)\.?\d|\*\*|\^")
_SYMBOLS = {"Å": "angstrom", "µ": "u", "μ": "u", "°C": "degC", "Da": "u"}


@functools.cache
def registry() -> pint.UnitRegistry[float]:
    """Return xbp's private registry, built at its first use: imports stay quick."""
    return pint.UnitRegistry()


def parse_unit(
    text: str, *, like: str | None = None, name: str | None = None
) -> pint.Unit:
    """Parse a unit.

    Parameters
    ----------
    text : str
        A unit in pint's, CF's or everyday notation: ``1/angstrom``, ``angstrom-1``,
        ``Å^-1``, ``Å⁻¹``, ``cm-1``, ``J mol-1 K-1``; ``"1"`` or an empty string is
        dimensionless.
    like : str, optional
        A unit of the dimension expected. Where it is given, ``A`` is read as ångström
        if ampere would not fit, so that ``A^-1`` is understood on a Q axis.
    name : str, optional
        What carries the unit, for the error message.

    Returns
    -------
    pint.Unit
        The unit, in xbp's own registry.

    Raises
    ------
    UnitsError
        If the text is not a unit.

    Examples
    --------
    >>> format_unit(parse_unit("Å⁻¹"))
    '1/angstrom'
    >>> format_unit(parse_unit("A^-1", like="1/angstrom"))
    '1/angstrom'
    >>> format_unit(parse_unit("J mol-1 K-1"))
    'J/K/mol'
    """
    try:
        return _parsed(text, like)
    except (
        Exception
    ) as error:  # pint raises a dozen kinds, from its parser and from Python's
        why = str(error) if type(error) is ValueError else "pint does not know it"
        near = nearest(text, _EXAMPLES)[:1]
        raise UnitsError(
            f"'{str(text)[:_LONGEST_UNIT]}'{f' of {name}' if name else ''} is not a "
            "unit",
            reason=why if isinstance(text, str) else f"it is {kind_of(text)}, not text",
            fix=f"did you mean '{near[0]}'?"
            if near
            else "write it like 'meV', '1/angstrom' or 'J/mol/K'; '1' if dimensionless",
        ) from None


@functools.lru_cache(maxsize=512)
def _parsed(text: str, like: str | None) -> pint.Unit:
    ureg = registry()
    cleaned = text.strip().replace("\u2212", "-")
    if cleaned in ("", "1"):
        return ureg.Unit("")
    if len(cleaned) > _LONGEST_UNIT:
        raise ValueError(f"it has {len(cleaned)} characters")
    if strange := _UNKNOWN_CHARACTER.search(cleaned):
        raise ValueError(f"it contains {strange[0]!r}")
    cleaned = _UDUNITS_POWER.sub(r"\1**\2", cleaned)
    if _FURTHER_NUMBER_OR_POWER.search(_ONE.sub("", _POWER.sub("", cleaned))):
        raise ValueError(
            "it contains a number other than 1, or a power that no unit has"
        )
    unit = ureg.Unit(cleaned)
    if like is not None and not unit.is_compatible_with(parse_unit(like)):
        as_length = ureg.Unit("")
        for name, power in unit._units.items():
            as_length *= ureg.Unit("angstrom" if name == "ampere" else name) ** power
        if as_length.is_compatible_with(parse_unit(like)):
            return as_length
    return unit


@functools.lru_cache(maxsize=512)
def format_unit(unit: Any) -> str:
    """Write a unit so that pint and UDUNITS both read it.

    ``1/angstrom``, ``meV``, ``1``.

    Examples
    --------
    >>> format_unit(parse_unit("millielectron_volt * angstrom ** 2"))
    'angstrom**2*meV'
    """
    text = f"{unit:~C}"
    for symbol, name in _SYMBOLS.items():
        text = text.replace(symbol, name)
    return text or "1"


@functools.cache
def _spectroscopic() -> dict[str, Any]:
    """Energy of one canonical unit of each dimension that an energy axis can have."""
    ureg = registry()
    h, c = ureg.Quantity(1, "planck_constant"), ureg.Quantity(1, "speed_of_light")
    return {
        "energy": ureg.Quantity(1, "meV"),
        "frequency": (h * ureg.Quantity(1, "THz")).to("meV"),
        "wavenumber": (h * c * ureg.Quantity(1, "1/cm")).to("meV"),
    }


_BASES = {"energy": "meV", "frequency": "THz", "wavenumber": "1/cm"}


# 1/angstrom is a wavenumber to pint; on an energy axis it is a Q axis by mistake.
_WAVENUMBERS = {"centimeter", "meter", "millimeter", "reciprocal_centimeter"}


def is_energy_like(unit: pint.Unit) -> bool:
    """Whether a unit is an energy, a frequency or a wavenumber of spectroscopy."""
    if unit.is_compatible_with("1/cm"):
        return set(unit._units) <= _WAVENUMBERS
    return unit.is_compatible_with("meV") or unit.is_compatible_with("THz")


@functools.lru_cache(maxsize=512)
def _in_mev(unit: pint.Unit, frequency: Frequency | None) -> float:
    for kind, base in _BASES.items():
        if not unit.is_compatible_with(base):
            continue
        factor = float(registry().Quantity(1.0, unit).m_as(base)) * float(
            _spectroscopic()[kind].m_as("meV")
        )
        if kind != "frequency":
            return factor
        names = list(unit._units)
        if all(name.endswith("hertz") for name in names):
            meaning: Frequency | None = "ordinary"
        else:
            meaning = frequency
        if meaning is None:
            raise UnitsError(
                f"the frequency unit '{format_unit(unit)}' is ambiguous",
                reason="angular and ordinary frequency differ by 2*pi",
                fix=".bp.convert(E='meV', frequency='angular'), or 'ordinary'",
            )
        return factor / (2 * math.pi) if meaning == "angular" else factor
    raise AssertionError(f"{unit} is not energy-like")  # callers check


@functools.lru_cache(maxsize=1024)
def convert_factor(
    source: str,
    target: str,
    *,
    name: str = "value",
    energy: bool = False,
    frequency: Frequency | None = None,
) -> float:
    """Return the number that turns a value in one unit into a value in another.

    Parameters
    ----------
    source, target : str
        Units.
    name : str
        What is converted, for the error message.
    energy : bool
        Whether it is an energy transfer: then energies, frequencies (E = hν) and
        wavenumbers (E = hcν̃) convert into one another. A momentum transfer is no
        wavenumber in this sense.
    frequency : {"ordinary", "angular"}, optional
        Meaning of a frequency unit that is not a multiple of hertz, such as ``rad/ps``.

    Returns
    -------
    float
        Factor, in target/source.

    Raises
    ------
    UnitsError
        If the dimensions differ, or a frequency could be angular or ordinary.

    Examples
    --------
    >>> round(convert_factor("meV", "1/cm", energy=True), 4)
    8.0655
    >>> round(5.5 * convert_factor("meV", "THz", energy=True), 3)
    1.33
    """
    to = parse_unit(target)
    from_ = parse_unit(source, like=target, name=name)
    if from_ == to:
        return 1.0
    for unit in (from_, to):
        if has_offset(unit):
            raise UnitsError(
                f"{name} is in '{format_unit(unit)}', which has an offset; use kelvin"
            )
    if energy and is_energy_like(from_) and is_energy_like(to):
        both_frequencies = from_.is_compatible_with("THz") and to.is_compatible_with(
            "THz"
        )
        if not both_frequencies and from_.is_compatible_with(to):
            return float(registry().Quantity(1.0, from_).m_as(to))
        return _in_mev(from_, frequency) / _in_mev(to, frequency)
    if not from_.is_compatible_with(to):
        raise UnitsError(
            f"{name} is in '{source}', which does not convert to '{target}'"
        )
    return float(registry().Quantity(1.0, from_).m_as(to))


@functools.lru_cache(maxsize=64)
def has_offset(unit: pint.Unit) -> bool:
    """Whether a unit is a temperature scale with an offset, such as degC."""
    return (
        unit.is_compatible_with("K") and registry().Quantity(0.0, unit).m_as("K") != 0
    )


def to_kelvin(values: Any, units: str, *, name: str) -> Any:
    """Convert temperatures to kelvin, from Celsius and Fahrenheit too.

    Raises
    ------
    UnitsError
        If the units are not of a temperature.

    Examples
    --------
    >>> to_kelvin(27.0, "degC", name="T")
    300.15
    """
    if units == "K":
        return values
    unit = parse_unit(units, name=name)
    if not unit.is_compatible_with("K"):
        raise UnitsError(f"{name} is in '{units}', which does not convert to 'K'")
    return registry().Quantity(values, unit).m_as("K")


def values_in(variable: Any, units: str, *, name: str) -> Any:
    """Return the values of a labelled array in other units; bare ones are in these.

    Parameters
    ----------
    variable : xarray.DataArray or xarray.Variable
        With or without ``attrs["units"]``.
    units : str
        Of the answer; temperatures in K are converted from any scale.
    name : str
        For messages.

    Examples
    --------
    >>> import xarray as xr
    >>> angle = xr.Variable("detector", [90.0], {"units": "degree"})
    >>> values_in(angle, "rad", name="two_theta")
    array([1.57079633])
    """
    own, values = variable.attrs.get("units", units), variable.values
    if units == "K":
        return to_kelvin(values, own, name=name)
    return values if own == units else values * convert_factor(own, units, name=name)


def swap_unit(unit: str, old: str, new: str) -> tuple[str, int]:
    """Replace one unit inside a compound one, and return the power it had.

    Examples
    --------
    >>> swap_unit("angstrom**2/meV**2", "meV", "THz")
    ('angstrom**2/THz**2', -2)
    """
    parsed, old_unit = parse_unit(unit), parse_unit(old)
    if len(old_unit._units) != 1:
        return unit, 0
    token, own_power = next(iter(old_unit._units.items()))
    powers: tuple[Any, Any] = parsed._units.get(token, 0), own_power
    power = float(powers[0]) / float(powers[1])
    if power != int(power) or power == 0:
        return unit, 0
    return format_unit(
        parsed / old_unit ** int(power) * parse_unit(new) ** int(power)
    ), int(power)


def split_quantity(value: Any, name: str, like: str = "meV") -> tuple[Any, str | None]:
    """Take a value apart into its magnitude and its units (None without any).

    `like` is the unit of the example in the error, if there should be one.
    """
    if isinstance(value, str):
        match = _NUMBER_AND_UNIT.fullmatch(value)
        if match is None:
            unit = "" if like == "1" else f" followed by a unit, like '5.5 {like}'"
            raise UnitsError(f"{name}={shown(value)} is not a number{unit}")
        return float(match["number"]), (match["unit"] or "").strip() or None
    if isinstance(value, xr.DataArray):
        require_absolute(value.attrs, name)
        magnitude_, units = split_quantity(value.data, name)
        units = units or value.attrs.get("units")
        if units is not None and not isinstance(units, str):
            raise UnitsError(f"the units of {name} are {units!r}, not text like 'meV'")
        return value.copy(deep=False, data=magnitude_), units
    if hasattr(value, "magnitude") and hasattr(value, "units"):
        return value.magnitude, f"{value.units:C}"
    return value, None


def magnitude(
    value: Any,
    units: str,
    *,
    name: str,
    default: str | None = None,
    energy: bool = False,
) -> float:
    """Return a scalar argument as a number in given units.

    Parameters
    ----------
    value : str, pint.Quantity, xarray.DataArray (0-d) or number
        The argument as the user gave it. A bare number is in `default`.
    units : str
        Units of the answer.
    name : str
        Name of the argument, for the error message.
    default : str, optional
        Units a bare number is in; by default `units`.
    energy : bool
        Whether it is an energy transfer, as for `convert_factor`.

    Returns
    -------
    float
        The value, in `units`.

    Raises
    ------
    UnitsError
        If the value is not a finite scalar, or its units do not convert to `units`.

    Examples
    --------
    >>> magnitude("44.36 cm-1", "meV", name="E", energy=True)  # doctest: +ELLIPSIS
    5.49...
    >>> magnitude(300, "K", name="T")
    300.0
    """
    if isinstance(value, xr.Dataset):
        column = name if name in value else next(iter(value.data_vars), "energy")
        raise UnitsError(
            f"{name} is a Dataset, not a single value",
            fix=f"pass one of its variables, such as {name}=table.{column}",
        )
    number, given = split_quantity(value, name, units)
    size = getattr(number, "size", 1)
    if isinstance(number, xr.DataArray) or (
        hasattr(number, "shape") and number.dtype.kind in "biuf"
    ):
        if size != 1:
            raise UnitsError(
                f"{name} has shape {tuple(number.shape)}; a single value is needed"
            )
        number = np.asarray(number).item()
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        example = "1" if units == "1" else f"'1 {units}'"
        raise UnitsError(
            f"{name}={shown(value)} is not a number",
            fix=f"pass one number, such as {name}={example}",
        )
    try:
        number = float(number)
    except OverflowError:  # of a whole number beyond any other
        number = math.inf
    if not math.isfinite(number):
        status = getattr(value, "attrs", {}).get("status", "")
        why = f": the status of its table is {status!r}" if status else ", not finite"
        of_table = hasattr(value, "attrs")
        fix = "print(table.bp) of its table shows the reason" if of_table else ""
        raise UnitsError(f"{name} is {number}{why}", fix=fix)
    if given is None:
        given = default or units
    elif isinstance(value, str):
        name = f"{name}={shown(value)}"
    try:
        if units == "K":
            converted = float(to_kelvin(number, given, name=name))
        else:
            converted = number * convert_factor(given, units, name=name, energy=energy)
    except UnitsError as error:
        raise UnitsError(
            error.summary,
            reason=error.reason,
            fix=error.fix
            or f"pass {name.partition('=')[0]} "
            + ("without units" if units == "1" else f"in {units}"),
        ) from None
    if not math.isfinite(converted):
        raise UnitsError(f"{name}={shown(value)} is too large a number in '{units}'")
    return converted


def is_one_of(value: Any, *words: str) -> bool:
    """Whether an argument is one of some words, whatever its type.

    Examples
    --------
    >>> is_one_of("debye", "debye"), is_one_of(["debye", "debye"], "debye")
    (True, False)
    """
    return isinstance(value, str) and value in words


@functools.lru_cache(maxsize=256)
def times_powers(
    units: str, e_units: str, q_units: str, e_power: int, q_power: int
) -> str:
    """Return units times powers of those of E and of Q.

    Examples
    --------
    >>> times_powers("1/meV", "meV", "1/angstrom", 1, -2)
    'angstrom**2'
    """
    if not e_power and not q_power:
        return units
    unit = parse_unit(units) * parse_unit(e_units) ** e_power
    return format_unit(unit * parse_unit(q_units, like="1/angstrom") ** q_power)
