"""Units of a PPMS heat capacity, read from the titles and checked against Total − Addenda."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import FileFormatError, UnitsError
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit

__all__ = ["require_consistent", "title_units", "with_lost_prefix"]

#: The micro sign and the Greek letter; as UTF-8 that was read as Latin-1 they have two
#: characters.
_MICRO: Final = (
    ("\u00c2\u00b5", "u"),
    ("\u00ce\u00bc", "u"),
    ("\u00b5", "u"),
    ("\u03bc", "u"),
)
#: What stands for a heat capacity whose prefix cannot be read, or is not there.
_LOST: Final = re.compile(r"\W{0,4}.{0,3}J/K", re.DOTALL)
_PREFIXES: Final = ("J/K", "mJ/K", "uJ/K", "nJ/K")
_HEAT: Final = ("Samp HC", "Samp HC Err", "Addenda HC", "Addenda HC Err", "Total HC")


def title_units(path: Path, title: str, text: str) -> str | None:
    """Return units such as ``µJ/K``, ``Kelvin`` or ``mJ/mole-K`` in a form that `parse_unit` reads.

    Returns
    -------
    str or None
        None for a heat capacity in J/K without a prefix, or with one that cannot be
        read: the program writes µJ/K, and copies in another encoding lose the µ.

    Raises
    ------
    FileFormatError
        If they are not valid units.

    Examples
    --------
    >>> title_units(Path("a.dat"), "Samp HC", "mJ/mole-K"), title_units(Path("a.dat"), "Samp HC", "?J/K")
    ('mJ/K/mol', None)
    """
    plain = text.replace("Kelvin", "K").replace("Oersted", "oersted").replace("gm", "g")
    for written, read in _MICRO:
        plain = plain.replace(written, read)
    plain = re.sub(r"/(\w+)-K$", r"/\1/K", plain.replace("mole", "mol")).strip()
    try:
        units = format_unit(parse_unit(plain, name=title))
    except UnitsError as error:
        if _LOST.fullmatch(plain):
            return None
        raise FileFormatError(
            f"{path}: the units of its column {title!r} cannot be read",
            reason="a PPMS file gives the units of a column in brackets",
            fix="correct the title, or copy the file again from its source",
        ) from error
    return None if units == "J/K" else units


def with_lost_prefix(
    path: Path,
    units: Mapping[str, str | None],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    given: str | None,
    tolerance: float,
) -> tuple[dict[str, str], str | None]:
    """Return the units of every column.

    a lost prefix follows from Total − Addenda = Sample, or is given.

    Parameters
    ----------
    path : path-like
        For the message.
    units : mapping of str to str or None
        Of the columns; None where the prefix was lost.
    numbers : mapping of str to numpy.ndarray
        The columns.
    sample : mapping of str to str
        Mass, molar mass and atoms per formula of the header, where it has them.
    given : str, optional
        Units to use in place of lost ones.
    tolerance : float
        Largest relative difference between Total − Addenda and Sample.

    Returns
    -------
    units : dict
    decided : str or None
        The units that were found for lost ones.

    Raises
    ------
    FileFormatError
        If nothing determines them.
    UnitsError
        If the given ones are of no heat capacity, or none were lost and the file has
        others.
    """
    lost = [name for name in _HEAT if name in units and units[name] is None]
    known = {name: unit for name, unit in units.items() if unit is not None}
    if not lost:
        if given is not None and parse_unit(given, name="units=") != parse_unit(
            known["Samp HC"]
        ):
            raise UnitsError(
                f"units={given!r} contradicts {path}",
                reason="its header gives the heat capacity of the sample in "
                f"'{known['Samp HC']}', and units= stands "
                "only for units that cannot be read",
                fix="leave units= out; if the header is wrong, correct it",
            )
        return known, None
    if given is not None:
        unit = parse_unit(given, name="units=")
        if not unit.is_compatible_with("J/K"):
            raise UnitsError(
                f"units={given!r}",
                reason="units= replaces the units of a heat capacity whose prefix was "
                "lost",
                fix="units='uJ/K'",
            )
        return known | dict.fromkeys(lost, format_unit(unit)), None
    fits = []
    # If every prefix was lost, any choice is consistent.
    if {"Samp HC", "Addenda HC", "Total HC"} - set(lost):
        for prefix in _PREFIXES:
            ratio = _ratio(known | dict.fromkeys(lost, prefix), numbers, sample)
            fits += (
                [prefix] if ratio is not None and abs(ratio - 1) <= tolerance else []
            )
    if len(fits) == 1:
        return known | dict.fromkeys(lost, fits[0]), fits[0]
    raise FileFormatError(
        f"{path}: the units of {', '.join(map(repr, lost))} are J/K with an "
        "unreadable prefix",
        reason="the program writes µJ/K, and µ is lost when a file is saved in "
        "another encoding; nothing else in "
        "the file determines the prefix",
        fix="units='uJ/K', or units='J/K' if the values are in J/K",
    )


def require_consistent(
    path: Path,
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    tolerance: float,
) -> str | None:
    """Check the heat capacity of the sample against Total − Addenda, and find what a mole refers to.

    Returns
    -------
    str or None
        "formula units" or "atoms" of a heat capacity per mole, as Total − Addenda
        shows; None of others, or where mass or molar mass are not known.

    Raises
    ------
    FileFormatError
        If they disagree.
    """
    ratio = _ratio(units, numbers, sample)
    if ratio is None:
        return None
    per_mole = parse_unit(units["Samp HC"]).is_compatible_with("J/mol/K")
    atoms = (
        magnitude(sample["atoms_per_formula"], "1", name="atoms")
        if "atoms_per_formula" in sample
        else 1.0
    )
    if abs(ratio - 1) <= tolerance:
        return "formula units" if per_mole else None
    if per_mole and abs(ratio * atoms - 1) <= tolerance:
        return "atoms"
    raise FileFormatError(
        f"{path}: the heat capacity of the sample is {ratio:.4g} times Total HC - "
        "Addenda HC",
        reason="the two must agree"
        + (
            ", after multiplying by molar mass over mass from the header"
            if "mol" in units["Samp HC"]
            else ""
        )
        + "; a factor of 1000 or 10⁶ indicates a prefix lost from "
        f"{units['Samp HC']!r}",
        fix="correct the header; consistency=None if the sample values are "
        "nevertheless right",
    )


def _ratio(
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
) -> float | None:
    """Return the heat capacity of the sample over Total − Addenda, per mole or gram where it is."""
    if not {"Samp HC", "Addenda HC", "Total HC"} <= set(units):
        return None
    total, addenda = (
        numbers[name] * convert_factor(units[name], "J/K")
        for name in ("Total HC", "Addenda HC")
    )
    unit = parse_unit(units["Samp HC"])
    scale = 1.0
    if not unit.is_compatible_with("J/K"):
        if "sample_mass" not in sample:
            return None
        scale = 1 / magnitude(sample["sample_mass"], "g", name="mass")
        if unit.is_compatible_with("J/mol/K"):
            if "molar_mass" not in sample:
                return None
            scale *= magnitude(sample["molar_mass"], "g/mol", name="molar_mass")
    target = (
        "J/K"
        if unit.is_compatible_with("J/K")
        else "J/g/K"
        if unit.is_compatible_with("J/g/K")
        else "J/mol/K"
    )
    with np.errstate(all="ignore"):
        ratios = (
            numbers["Samp HC"]
            * convert_factor(units["Samp HC"], target)
            / ((total - addenda) * scale)
        )
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if ratios.size else None
