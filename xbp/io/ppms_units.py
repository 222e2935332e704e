"""Units of the heat capacities of a PPMS, also where their prefix was lost."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import FileFormatError, UnitsError
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit
from xbp.io.text import check
from xbp.reduction.molar import Amount

__all__ = ["LOST", "TOTAL", "is_in", "per_mole_of", "title_units", "with_lost_prefix"]

#: The total is compared with the sum of sample and addenda; a row may lack it.
TOTAL: Final = "Total HC"
_HEAT: Final = ("Samp HC", "Samp HC Err", "Addenda HC", "Addenda HC Err", TOTAL)
_MICRO: Final = re.compile("\u00c2?\u00b5|\u00ce\u00bc|\u03bc")
_WORDS: Final = {
    "Kelvin": "K",
    "Oersted": "oersted",
    "Tesla": "T",
    "gm": "g",
    "mole": "mol",
    "Mole": "mol",
}
#: What stands before a unit whose prefix cannot be read.
LOST: Final = "?"
_PREFIXES: Final = ("", "m", "u", "n")


def is_in(units: str, other: str) -> bool:
    """Return whether units are of the dimension of others."""
    return parse_unit(units).is_compatible_with(other)


def title_units(title: str, text: str) -> str:
    """Return units such as ``µJ/K``, ``Kelvin`` or ``mJ/mole-K`` as xbp writes them.

    With a leading ``?`` if the prefix of the joule cannot be read: the program writes
    µJ, and copies in another encoding lose the µ. So J/K, which it does not write.

    Raises
    ------
    ValueError
        If they cannot be read.

    Examples
    --------
    >>> title_units("Samp HC", "mJ/mole-K"), title_units("Samp HC", "#J/gm-K")
    ('mJ/K/mol', '?J/g/K')
    """
    plain = _MICRO.sub("u", text)
    for word, unit in _WORDS.items():
        plain = plain.replace(word, unit)
    # All behind a solidus divides: J/mol K, J/mol-K, J/(mol K), J/K-mol.
    over, *under = re.sub(r"[()]", " ", plain).split("/")
    parts = [part for one in under for part in re.split(r"[\s.*·-]+", one) if part]
    try:
        units = format_unit(parse_unit("/".join([over, *parts]), name=title))
    except UnitsError:
        lost = re.fullmatch(r".{1,3}J", over.strip(), re.DOTALL)
        with contextlib.suppress(UnitsError):
            if lost:
                return LOST + format_unit(parse_unit("/".join(["J", *parts])))
        raise ValueError(f"the units of its column {title!r} cannot be read") from None
    return LOST + units if units == "J/K" else units


def with_lost_prefix(
    path: Path,
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    given: str | None,
    tolerance: float,
) -> tuple[dict[str, str], str | None]:
    """Return the units of every column, and those of the sample if they were lost.

    Total − Addenda = Sample determines the prefix, of all columns the same.
    """
    lost = {n: units[n].removeprefix(LOST) for n in _HEAT if LOST in units.get(n, "")}
    known = {name: unit for name, unit in units.items() if name not in lost}
    first = next(iter(lost.values()), units["Samp HC"])
    choices = {prefix + first: prefix for prefix in _PREFIXES}
    if given is not None:
        unit = format_unit(parse_unit(given, name="units="))
        if unit not in choices if lost else parse_unit(unit) != parse_unit(first):
            fix = f"units='u{first}'" if lost else "leave units= out"
            raise UnitsError(
                f"units={given!r} contradicts {path}",
                reason=f"its heat capacity is in '{first}'; units= replaces only units "
                "with an unreadable prefix",
                fix=fix,
            )
        prefix = choices.get(unit, "")
        return known | {name: prefix + unit for name, unit in lost.items()}, None
    if not lost:
        return known, None
    found = []
    # If every prefix was lost, any choice is consistent.
    if {"Samp HC", "Addenda HC", TOTAL} - set(lost):
        for prefix in _PREFIXES:
            own = known | {name: prefix + unit for name, unit in lost.items()}
            ratio = _ratio(own, numbers, sample)
            if ratio is not None and abs(ratio - 1) <= tolerance:
                found.append(own)
    if len(found) == 1:
        return found[0], found[0][next(iter(lost))]
    raise FileFormatError(
        f"{path}: the units of {', '.join(map(repr, lost))} are {first} with an "
        "unreadable prefix",
        fix=f"units='u{first}', or units='{first}'",
    )


def per_mole_of(
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    tolerance: float,
) -> Amount | None:
    """Check the sample against Total − Addenda, and return what a mole refers to.

    None for data that are not per mole, or if mass or molar mass are not known.
    """
    ratio = _ratio(units, numbers, sample)
    if ratio is None:
        return None
    per_mole = is_in(units["Samp HC"], "J/mol/K")
    alike = is_in(units[TOTAL], "J/mol/K")  # which says nothing of the mole
    if abs(ratio - 1) <= tolerance:
        return "formula units" if per_mole and not alike else None
    atoms = float(sample.get("atoms_per_formula", "nan"))
    check(
        per_mole and abs(ratio * atoms - 1) <= tolerance,
        f"the heat capacity of the sample is {ratio:.4g} times Total HC - Addenda HC"
        f"{', times molar mass over mass' if per_mole else ''}: a prefix of "
        f"{units['Samp HC']!r} was lost (consistency=None skips this check)",
    )
    return "atoms"


def _ratio(
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
) -> float | None:
    """Return Sample/(Total − Addenda), the latter per mole or gram as in the file."""
    own = units.get("Samp HC")
    if own is None or not {"Addenda HC", TOTAL} <= set(units):
        return None
    scale, target, total_in = 1.0, "J/K", "J/K"
    alike = all(is_in(units[name], own) for name in (TOTAL, "Addenda HC"))
    if alike:  # all of them per mole, or none
        target = total_in = own
    if not (alike or is_in(own, "J/K")):
        if "sample_mass" not in sample:
            return None
        scale, target = 1 / magnitude(sample["sample_mass"], "g", name="mass"), "J/g/K"
    if is_in(own, "J/mol/K") and not alike:
        if "molar_mass" not in sample:
            return None
        scale *= magnitude(sample["molar_mass"], "g/mol", name="molar_mass")
        target = "J/mol/K"
    total, addenda = (
        numbers[name] * convert_factor(units[name], total_in, name=f"'{name}'")
        for name in (TOTAL, "Addenda HC")
    )
    heat = numbers["Samp HC"] * convert_factor(own, target)
    with np.errstate(all="ignore"):
        ratios = heat / ((total - addenda) * scale)
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if ratios.size else None
