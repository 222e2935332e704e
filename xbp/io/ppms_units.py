"""Units of the heat capacities of a PPMS, also where their prefix was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import FileFormatError, UnitsError
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit
from xbp.io.text import check
from xbp.reduction.heat_capacity import Amount

__all__ = ["TOTAL", "is_in", "per_mole_of", "title_units", "with_lost_prefix"]

#: The total is compared with the sum of sample and addenda; a row may lack it.
TOTAL: Final = "Total HC"
_HEAT: Final = ("Samp HC", "Samp HC Err", "Addenda HC", "Addenda HC Err", TOTAL)
_MICRO: Final = re.compile("\u00c2?\u00b5|\u00ce\u00bc|\u03bc")
_WORDS: Final = {"Kelvin": "K", "Oersted": "oersted", "gm": "g", "mole": "mol"}


def is_in(units: str, other: str) -> bool:
    """Return whether units are of the dimension of others."""
    return parse_unit(units).is_compatible_with(other)


def title_units(title: str, text: str) -> str | None:
    """Return units such as ``µJ/K``, ``Kelvin`` or ``mJ/mole-K`` as xbp writes them.

    None for a heat capacity in J/K without a prefix, or with one that cannot be read:
    the program writes µJ/K, and copies in another encoding lose the µ.

    Examples
    --------
    >>> title_units("Samp HC", "mJ/mole-K"), title_units("Samp HC", "?J/K")
    ('mJ/K/mol', None)
    """
    plain = _MICRO.sub("u", text)
    for word, unit in _WORDS.items():
        plain = plain.replace(word, unit)
    plain = re.sub(r"/(\w+)-K$", r"/\1/K", plain).strip()
    try:
        units = format_unit(parse_unit(plain, name=title))
    except UnitsError:
        lost = re.fullmatch(r"\W{0,4}.{0,3}J/K", plain, re.DOTALL)
        check(lost, f"the units of its column {title!r} cannot be read")
        return None
    return None if units == "J/K" else units


def with_lost_prefix(
    path: Path,
    units: Mapping[str, str | None],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    given: str | None,
    tolerance: float,
) -> tuple[dict[str, str], str | None]:
    """Return the units of every column, and those found for a lost prefix.

    Total − Addenda = Sample determines them.
    """
    lost = [name for name in _HEAT if name in units and units[name] is None]
    known = {name: unit for name, unit in units.items() if unit is not None}
    if given is not None:
        unit = parse_unit(given, name="units=")
        own = parse_unit(known.get("Samp HC", "J/K"))
        if not (unit.is_compatible_with("J/K") if lost else unit == own):
            raise UnitsError(
                f"units={given!r} contradicts {path}",
                reason=f"its heat capacity is in '{format_unit(own)}'; units= replaces "
                "only units with an unreadable prefix",
                fix="units='uJ/K'" if lost else "leave units= out",
            )
        return known | dict.fromkeys(lost, format_unit(unit)), None
    if not lost:
        return known, None
    found = []
    # If every prefix was lost, any choice is consistent.
    if {"Samp HC", "Addenda HC", TOTAL} - set(lost):
        for prefix in ("J/K", "mJ/K", "uJ/K", "nJ/K"):
            ratio = _ratio(known | dict.fromkeys(lost, prefix), numbers, sample)
            if ratio is not None and abs(ratio - 1) <= tolerance:
                found.append(prefix)
    if len(found) == 1:
        return known | dict.fromkeys(lost, found[0]), found[0]
    raise FileFormatError(
        f"{path}: the units of {', '.join(map(repr, lost))} are J/K with an unreadable "
        "prefix",
        fix="units='uJ/K', or units='J/K'",
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
    if abs(ratio - 1) <= tolerance:
        return "formula units" if per_mole else None
    atoms = float(sample.get("atoms_per_formula", "nan"))
    check(
        per_mole and abs(ratio * atoms - 1) <= tolerance,
        f"the heat capacity of the sample is {ratio:.4g} times Total HC - Addenda HC"
        f"{', times molar mass over mass' if per_mole else ''}: a prefix of "
        f"{units['Samp HC']!r} was lost; or pass consistency=None",
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
    scale, target = 1.0, "J/K"
    if not is_in(own, "J/K"):
        if "sample_mass" not in sample:
            return None
        scale, target = 1 / magnitude(sample["sample_mass"], "g", name="mass"), "J/g/K"
    if is_in(own, "J/mol/K"):
        if "molar_mass" not in sample:
            return None
        scale *= magnitude(sample["molar_mass"], "g/mol", name="molar_mass")
        target = "J/mol/K"
    total, addenda = (
        numbers[name] * convert_factor(units[name], "J/K")
        for name in (TOTAL, "Addenda HC")
    )
    heat = numbers["Samp HC"] * convert_factor(own, target)
    with np.errstate(all="ignore"):
        ratios = heat / ((total - addenda) * scale)
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if ratios.size else None
