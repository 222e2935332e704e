"""Checks of arguments that many functions share, each with its error message."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_args

import numpy as np

from xbp.core.errors import (
    QuantityError,
    RangeError,
    XbpError,
    listed,
    nearest,
    shown,
)
from xbp.core.units import magnitude

__all__ = [
    "RNG",
    "at_most_one",
    "choose",
    "exactly_one",
    "limits_text",
    "not_used",
    "require_agreement",
    "require_flag",
    "require_fraction",
    "require_given",
    "require_keys",
    "require_kind",
    "require_mass",
    "require_memory",
    "require_number",
    "require_order",
    "require_positive",
    "require_seed",
    "require_whole",
]

T = TypeVar("T")

#: Where random numbers come from: see `require_seed`.
RNG = int | np.random.Generator | None


def choose(
    value: Any,
    options: Collection[T] | Any,
    name: str,
    *,
    error: type[XbpError] = QuantityError,
    reason: str = "",
) -> T:
    """Return an argument after checking that it is one of several options.

    `options` is a collection, a mapping (its keys) or a typing.Literal.

    Examples
    --------
    >>> choose("hann", ("hann", "boxcar"), "taper")
    'hann'
    >>> choose("han", ("hann", "boxcar"), "taper")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: taper='han' is not one of 'hann', 'boxcar'
      fix:  taper='hann'
    """
    known = get_args(options) or tuple(options)
    for option in known:
        # By type first: an array compares to many answers, and 1 equals True.
        if type(value) is type(option) and value == option:
            return option  # type: ignore[no-any-return]
    near = " or ".join(map(repr, nearest(value, known)))
    given = "= is needed:" if value is None else f"={shown(value)} is not"
    raise error(
        f"{name}{given} {'one of ' * (len(known) > 1)}{listed(value, known)}",
        reason=reason,
        fix=near and f"{name}={near}",
    )


def exactly_one(**given: Any) -> str:
    """Return the name of the only argument that is not None.

    Examples
    --------
    >>> exactly_one(mass="27 u", composition=None)
    'mass'
    >>> exactly_one(mass=None, composition=None)
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: exactly one of mass=, composition= is needed
    """
    name = at_most_one(**given)
    if name is None:
        raise QuantityError(
            f"exactly one of {', '.join(f'{name}=' for name in given)} is needed"
        )
    return name


def at_most_one(**given: Any) -> str | None:
    """Return the name of the only argument that is not None, or None.

    Examples
    --------
    >>> at_most_one(mass=None, composition="SiO2"), at_most_one(mass=None)
    ('composition', None)
    >>> at_most_one(mass="27 u", composition="Al")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: only one of mass='27 u', composition='Al' is allowed
    """
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        listed = ", ".join(f"{name}={shown(given[name])}" for name in named)
        raise QuantityError(f"only one of {listed} is allowed")
    return named[0] if named else None


def not_used(because: str, **given: Any) -> None:
    """Raise an error if an argument is given (not None) that would have no effect.

    Examples
    --------
    >>> not_used("S(Q) is normalised", composition="SiO2")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: composition='SiO2' is not used: S(Q) is normalised
    """
    for name, value in given.items():
        if value is not None:
            raise QuantityError(f"{name}={shown(value)} is not used: {because}")


def require_number(
    value: Any,
    name: str,
    units: str = "1",
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    energy: bool = False,
    error: type[XbpError] = RangeError,
) -> float:
    """Return an argument as a finite number, after checking its limits.

    Parameters
    ----------
    value : number or scalar with units
        What the user passed; a bare number is in `units`.
    name : str
        Name of the argument.
    units : str
        Units of the result and of the limits.
    least, above, most, below : float, optional
        Limits; `least` and `most` are inclusive, `above` and `below` exclusive.
    energy : bool
        Whether to accept frequencies and wavenumbers, for an energy transfer.
    error : type, optional
        Class of the error for a number outside the limits.

    Raises
    ------
    UnitsError
        If it is not a finite number, or does not convert to `units`.
    RangeError
        If it is outside the limits.

    Examples
    --------
    >>> require_number("1 nm", "cutoff", "angstrom", above=0)
    10.0
    >>> require_number(1.5, "least", least=0, most=1)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: least=1.5 must be between 0 and 1
    """
    number = magnitude(value, units, name=name, energy=energy)
    if least <= number <= most and above < number < below:
        return number
    wanted = limits_text(least, above, most, below)
    unit = "" if units == "1" or wanted.endswith("positive") else f" {units}"
    raise error(f"{name}={shown(value)} must be {wanted}{unit}")


def limits_text(least: float, above: float, most: float, below: float) -> str:
    """Describe limits, two of them inclusive and two exclusive."""
    low, high = max(least, above), min(most, below)
    if math.isfinite(low) and math.isfinite(high):
        return f"between {low:g} and {high:g}"
    if (low, above) == (0, 0):
        return "positive"
    if (low, least) == (0, 0):
        return "zero or positive"
    if math.isfinite(low):
        return f"{'above' if low == above else 'at least'} {low:g}"
    return f"{'below' if high == below else 'at most'} {high:g}"


def require_given(
    fix: str, *, error: type[XbpError] = RangeError, **given: Any
) -> None:
    """Raise an error if an argument is None.

    Examples
    --------
    >>> require_given("width='0.5 meV'", width=None)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: width= is missing
      fix:  width='0.5 meV'
    """
    for name, value in given.items():
        if value is None:
            raise error(f"{name}= is missing", fix=fix)


def require_positive(
    value: Any,
    name: str,
    units: str = "1",
    *,
    energy: bool = False,
    error: type[XbpError] = RangeError,
) -> float:
    """Return a finite, positive number in `units`; see `require_number`.

    Examples
    --------
    >>> require_positive("-2 ps", "window", "ps")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: window='-2 ps' must be positive
    """
    return require_number(value, name, units, above=0, energy=energy, error=error)


def require_mass(
    value: Any, name: str = "mass", *, error: type[XbpError] = QuantityError
) -> float:
    """Return the mass of an atom in u, from 1 to 300 as in the periodic table.

    Examples
    --------
    >>> require_mass("1.0545e-25 kg").__round__(1)
    63.5
    >>> require_mass(1.0545e-25)
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: mass=1.0545e-25 must be between 1 and 300 u
    """
    return require_number(value, name, "u", least=1, most=300, error=error)


def require_fraction(
    value: Any, name: str, *, error: type[XbpError] = RangeError
) -> float:
    """Return a number from 0 to 1, inclusive.

    Examples
    --------
    >>> require_fraction(0.25, "end")
    0.25
    """
    return require_number(value, name, least=0, most=1, error=error)


def require_whole(
    value: Any,
    name: str,
    *,
    least: int = 1,
    most: float = math.inf,
    error: type[XbpError] = RangeError,
) -> int:
    """Return a whole number from `least` to `most`, inclusive.

    Examples
    --------
    >>> require_whole(3.0, "n_atoms")
    3
    >>> require_whole(0, "n_atoms")
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: n_atoms=0 must be a whole number of at least 1
    """
    plain = value.item() if getattr(value, "ndim", None) == 0 else value
    is_number = isinstance(plain, numbers.Real) and not isinstance(plain, bool)
    # Compared before it is converted: some whole numbers fit into no float.
    if is_number and least <= plain <= most and plain % 1 == 0:
        return int(plain)
    wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most:g}"
    raise error(f"{name}={shown(value)} must be a whole number {wanted}")


def require_seed(rng: RNG) -> int:
    """Return the integer from which all random numbers of a call follow.

    It is recorded, so that the call can be repeated whatever was passed.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        An int is returned as it is. A Generator draws one (and so is advanced); None
        takes a new one from the operating system.

    Raises
    ------
    RangeError
        If it is anything else, or negative.

    References
    ----------
    Scientific Python SPEC 7, https://scientific-python.org/specs/spec-0007/.

    Examples
    --------
    >>> require_seed(3)
    3
    >>> require_seed(np.random.default_rng(3)) == require_seed(np.random.default_rng(3))
    True
    >>> require_seed(-1)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: rng=-1 must be a whole number of at least 0
      fix:  pass an int, a numpy Generator or None
    """
    if rng is None or isinstance(rng, np.random.Generator):
        return int(np.random.default_rng(rng).integers(2**32))
    try:
        return require_whole(rng, "rng", least=0)
    except RangeError as error:
        fix = "pass an int, a numpy Generator or None"
        raise RangeError(error.summary, fix=fix) from None


def require_flag(value: Any, name: str) -> bool:
    """Return a bool; other values that Python treats as true or false are refused.

    Examples
    --------
    >>> require_flag("no", "offset")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: offset='no' must be True or False
    """
    if not isinstance(value, bool | np.bool_):
        raise QuantityError(f"{name}={shown(value)} must be True or False")
    return bool(value)


def require_kind(
    value: Any,
    kinds: type | tuple[type, ...],
    name: str,
    wanted: str,
    *,
    error: type[XbpError] = QuantityError,
) -> None:
    """Raise an error if an argument has the wrong type.

    Examples
    --------
    >>> require_kind(3, dict, "masses", "a mapping from elements to masses")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: masses=3 must be a mapping from elements to masses
    """
    if not isinstance(value, kinds):
        raise error(f"{name}={shown(value)} must be {wanted}")


def require_keys(value: Any, name: str, allowed: Collection[str]) -> dict[str, Any]:
    """Return a mapping after checking its keys; for None, an empty mapping.

    Examples
    --------
    >>> require_keys({"hight": 1}, "start", ("height",))
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: start= has the unknown key 'hight'; known: 'height'
      fix:  use 'height'
    """
    if value is None:
        return {}
    require_kind(value, Mapping, name, f"a dict with keys {', '.join(allowed)}")
    for key in value:
        if not isinstance(key, str) or key not in allowed:
            near = " or ".join(map(repr, nearest(key, allowed)))
            raise QuantityError(
                f"{name}= has the unknown key {shown(key)}; known: "
                f"{listed(key, allowed)}",
                fix=near and f"use {near}",
            )
    return dict(value)


def require_memory(count: float, what: str, *, fix: str = "") -> None:
    """Raise an error if `count` numbers of eight bytes would not fit into memory.

    Examples
    --------
    >>> require_memory(1e3, "dr=0.02 angstrom")
    >>> require_memory(1e300, "dr=0.02 angstrom")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: dr=0.02 angstrom would need 8e+291 GB; the memory ...
    """
    try:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # neither Linux nor macOS
        memory = 64e9
    count = min(count, 1e300)  # whole numbers may be larger than any float
    if not 8 * count <= memory:
        raise RangeError(
            f"{what} would need {8e-9 * count:.3g} GB; "
            f"the memory is {1e-9 * memory:.3g} GB",
            fix=fix,
        )


def require_agreement(
    given: float,
    carried: float,
    name: str,
    units: str,
    *,
    source: str = "the data",
    tolerance: float = 1e-6,
    error: type[XbpError] = QuantityError,
) -> None:
    """Raise an error if an argument contradicts the data or a file.

    `given` and `carried` are in `units`; `tolerance` is the largest relative
    difference allowed.

    Examples
    --------
    >>> require_agreement(300.0, 10.0, "T", "K")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: T=300 K contradicts the data, which have 10 K
      fix:  leave T= out
    """
    if not math.isclose(given, carried, rel_tol=tolerance):
        verb = "have" if source == "the data" else "has"
        raise error(
            f"{name}={given:.6g} {units} contradicts {source}, which {verb} "
            f"{carried:.6g} {units}",
            fix=f"leave {name}= out",
        )


def require_order(
    low: float, high: float, name: str, units: str, *, strict: bool = False
) -> None:
    """Refuse limits from high to low, or with `strict` also two that are the same.

    Raises
    ------
    RangeError
    """
    if low < high or (low == high and not strict):
        return
    raise RangeError(
        f"{name} runs from {low:g} to {high:g} {units}; the lower limit must be "
        "below the upper one"
    )
