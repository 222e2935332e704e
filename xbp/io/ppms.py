"""Heat capacity as the Quantum Design PPMS and DynaCool write it (``.dat``)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.core.units import (
    convert_factor,
    format_unit,
    magnitude,
    parse_unit,
    to_kelvin,
)
from xbp.io.reader import Format, reader
from xbp.io.text import check, number, read_lines
from xbp.reduction.heat_capacity import Amount

__all__ = ["FORMAT", "PpmsBackend", "open_ppms"]

#: Columns that every file has, with their dimensions.
_NEEDED: Final = {"Sample Temp": ("K",), "Samp HC": ("J/K", "J/K/mol", "J/K/g")}
#: Columns read beside them, with their variables.
_FURTHER: Final = {
    "Samp HC Err": "C_std",
    "Addenda HC": "addenda",
    "Addenda HC Err": "addenda_std",
    "Field": "field",
    "Temp Rise": "temperature_rise",
}
#: The total is compared with the sum of sample and addenda; a row may lack it.
_TOTAL: Final = "Total HC"
_HEAT: Final = ("Samp HC", "Samp HC Err", "Addenda HC", "Addenda HC Err", _TOTAL)
#: Rows of the header about the sample, with their attribute and its units.
_SAMPLE: Final = {
    "MASS": ("sample_mass", "mg"),
    "MOLWGHT": ("molar_mass", "g/mol"),
    "ATOMS": ("atoms_per_formula", "1"),
}
#: The micro sign and the Greek letter, also as UTF-8 that was read as Latin-1.
_MICRO: Final = re.compile("\u00c2?\u00b5|\u00ce\u00bc|\u03bc")
_LACKS: Final = "it has no [Header] that names the program HeatCapacity"


def declined(lines: list[str]) -> str | None:
    """Return why a text is not a heat capacity of a PPMS, or None if it is."""
    bare = [line.strip() for line in lines]
    named = any(line.startswith("BYAPP,HeatCapacity") for line in bare)
    return None if named and "[Header]" in bare else _LACKS


@reader("a heat capacity of a PPMS")
def open_ppms(
    path: Path,
    *,
    mass: Any = None,
    units: str | None = None,
    amount: Amount | None = None,
    consistency: float | None = 0.05,
) -> xr.Dataset:
    """Read a heat capacity measured by a Quantum Design PPMS.

    Parameters
    ----------
    path : path-like
        A ``.dat`` file of its heat-capacity option; UTF-8 or Latin-1.
    mass : scalar with units, optional
        Sample mass (bare: mg), if the header mass is missing, wrong or given twice. It
        does not change heat capacities that the program wrote per mole or per gram, and
        is refused there unless the header has the same.
    units : str, optional
        Units of heat capacities in J/K whose prefix cannot be read from the title, such
        as ``"uJ/K"``; needed if they do not follow from Total HC − Addenda HC, and
        refused if the file has others.
    amount : {"atoms", "formula units"}, optional
        For a heat capacity per mole: a mole of what. By default it follows from Total
        HC − Addenda HC with the mass and molar mass in the header; it is unknown
        without them.
    consistency : float, optional
        Largest relative difference between the heat capacity of the sample and Total HC
        − Addenda HC (median over all rows). None: not compared.

    Returns
    -------
    xarray.Dataset
        ``C(temperature)`` of the sample with ``C_std``, in the units of the file (such
        as uJ/K), ascending in temperature, points at one and the same temperature
        averaged; ``addenda``, ``field`` and ``temperature_rise`` beside it. Mass, molar
        mass and atoms per formula of the header, where it has them, are attributes of
        ``C``, which `to_molar` reads; its ``comments`` are what the program wrote among
        the rows, such as its warnings: each once with its number of rows; of those that
        differ only in numbers the first.

    Raises
    ------
    QuantityError, UnitsError
        If `mass` is not a positive mass, or given for data that are per mole or per
        gram by another; if `units` are not those of a heat capacity, or contradict the
        file; if
        `amount` is given for data that are not per mole, or contradicts the file.
    FileFormatError
        If it is of another kind, an addenda file, is truncated, a row lacks columns of
        the header, its header gives the mass, the molar mass or the atoms twice and
        differently, the prefix of its units was lost, or the heat capacity contradicts
        Total HC − Addenda HC.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["[Header]", "BYAPP,HeatCapacity,3.9", "INFO,7.76,MASS:Sample Mass (mg)",
    ...         "[Data]", "Sample Temp (Kelvin),Samp HC (uJ/K),Samp HC Err (uJ/K)",
    ...         "4.0,2.0,0.1", "2.0,1.0,0.1"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.dat")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_ppms(path)
    >>> ds.C.values, ds.C.attrs["sample_mass"]
    (array([1., 2.]), '7.76 mg')
    """
    mg = None if mass is None else magnitude(mass, "mg", name="mass")
    if mg is not None and mg <= 0:
        raise QuantityError(f"mass={mass!r} is not positive", fix="mass='7.76 mg'")
    lines = read_lines(path)
    check(declined(lines) is None, _LACKS)
    try:
        numbers, written, comments = _table(lines)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    sample = _sample(lines, mg)
    tolerance = 0.05 if consistency is None else consistency
    own, decided = _with_lost_prefix(path, written, numbers, sample, units, tolerance)
    heat_units = own["Samp HC"]
    shown = None
    if consistency is not None:
        shown = _per_mole_of(own, numbers, sample, tolerance)
    if amount is not None and (
        shown not in (None, amount)
        or not parse_unit(heat_units).is_compatible_with("J/mol/K")
    ):
        raise QuantityError(
            f"amount={amount!r} does not apply to a heat capacity in '{heat_units}'"
            + (
                f" per mole of {shown}, as Total HC - Addenda HC shows" if shown else ""
            ),
            fix="leave amount= out",
        )
    if mg is not None and not parse_unit(heat_units).is_compatible_with("J/K"):
        _require_own_mass(path, lines, mg, heat_units)
    temperature = numbers["Sample Temp"]
    kelvin = to_kelvin(temperature, own["Sample Temp"], name="Sample Temp")
    check((kelvin > 0).all(), "some of its temperatures are not above zero")
    # Stable, so that repeats stay in the order of the measurement.
    order = np.argsort(temperature, kind="stable")
    _, group = np.unique(temperature[order], return_inverse=True)

    def averaged(name: str, power: int = 1) -> np.ndarray:
        values = numbers[name][order] ** power
        mean = np.bincount(group, weights=values) / np.bincount(group) ** power
        return np.asarray(mean ** (1 / power))

    std = None
    if "Samp HC Err" in numbers:
        check(
            own["Samp HC Err"] == heat_units,
            f"'Samp HC' is in {heat_units}, its error in {own['Samp HC Err']}",
        )
        check(numbers["Samp HC Err"].min() >= 0, "some of its errors are negative")
        std = averaged("Samp HC Err", 2)
    ds = new_dataset(
        "heat_capacity",
        averaged("Samp HC"),
        units=heat_units,
        std=std,
        coords={"temperature": (averaged("Sample Temp"), own["Sample Temp"])},
        attrs={"source": f"Quantum Design PPMS file {path.name}"},
    )
    for name, variable in _FURTHER.items():
        if name in numbers and variable != "C_std":
            values = averaged(name, 2 if variable.endswith("_std") else 1)
            label = {"units": own[name], "long_name": name}
            ds[variable] = ("temperature", values, label)
    if "addenda_std" in ds:
        ds["addenda"].attrs["ancillary_variables"] = "addenda_std"
    ds["C"].attrs |= sample
    if amount or shown:
        ds["C"].attrs["amount"] = amount or shown
    if decided is not None:
        ds["C"].attrs |= diagnosed(
            {},
            Diagnostic(
                "lost_prefix",
                "info",
                "the unit prefix of the heat capacities was lost; Total HC - Addenda "
                f"HC implies {decided}",
                f"units='{decided}' confirms it",
            ),
        )
    if comments:
        ds["C"].attrs["comments"] = _summarised(comments)
    return ds


def _table(
    lines: list[str],
) -> tuple[dict[str, np.ndarray], dict[str, str | None], list[str]]:
    """Return the columns, their units (None: lost), and the comments in the rows."""
    starts = [i for i, line in enumerate(lines) if line.strip() == "[Data]"]
    check(starts and starts[0] + 1 < len(lines), "it has no [Data], or ends there")
    start = starts[0] + 2
    titles = next(csv.reader([lines[start - 1]]))
    columns: dict[str, int] = {}
    units: dict[str, str | None] = {}
    for i, title in enumerate(titles):
        name, _, unit = (part.strip() for part in title.partition("("))
        if name not in (*_NEEDED, *_FURTHER, _TOTAL):
            continue
        check(name not in columns, f"it has two columns '{name}'")
        columns[name], units[name] = i, _title_units(title, unit.removesuffix(")"))
        own = parse_unit(units[name] or "J/K")
        fits = _NEEDED.get(name)
        check(
            fits is None or any(own.is_compatible_with(fit) for fit in fits),
            f"its column {title!r} is not in units of {' or '.join(fits or ())}",
        )
    missing = set(_NEEDED) - set(columns)
    check(not missing, f"it has no column {sorted(missing)}")
    split = [
        (i, fields)
        for i, line in enumerate(lines[start:], start=start + 1)
        if line.strip()
        for fields in [next(csv.reader([line]))]
    ]
    whole = [fields for _, fields in split if len(fields) == len(titles)]
    measured = [row for row in whole if row[columns["Sample Temp"]].strip()]
    check(
        not measured
        or "Addenda HC" not in columns
        or any(row[columns["Samp HC"]].strip() for row in measured),
        "it is an addenda file, of platform and grease without a sample: its column "
        "'Samp HC' is empty",
    )
    rows, comments = [], []
    comment = titles.index("Comment ()") if "Comment ()" in titles else len(titles)
    for i, fields in split:
        if len(fields) != len(titles) or any(
            not fields[column].strip()
            for name, column in columns.items()
            if name != _TOTAL
        ):
            # Rows with only a comment end after it; any other short row is a
            # measurement that was cut.
            text = [field.strip() for field in fields[comment:]]
            check(
                any(text)
                and len(fields) <= len(titles)
                and all(number(field) is None for field in text[1:]),
                f"line {i} has {len(fields)} fields, its header {len(titles)}, or "
                "lacks a value",
            )
            comments.append(", ".join(filter(None, text)))
            continue
        values = []
        for name, column in columns.items():
            field = fields[column].strip()
            value = np.nan if name == _TOTAL and not field else number(field)
            # Squares of larger numbers overflow.
            if value is None or abs(value) > 1e100:
                raise ValueError(f"line {i} has {field!r:.60} for '{name}'")
            values.append(value)
        rows.append(values)
        comments += filter(None, map(str.strip, fields[comment : comment + 1]))
    check(rows, "it has no measurement")
    return dict(zip(columns, np.array(rows).T, strict=True)), units, comments


def _sample(lines: list[str], mass: float | None) -> dict[str, str]:
    """Return mass, molar mass and atoms per formula of the header.

    Rows are ``INFO,7.76,MASS:Sample Mass (mg)``. A given mass replaces that of the
    header.
    """
    found = {} if mass is None else {"sample_mass": f"{mass:.10g} mg"}
    for line in lines[: lines.index("[Data]") if "[Data]" in lines else 60]:
        parts = line.split(",")
        if len(parts) < 3 or parts[0] != "INFO":
            continue
        key, _, meaning = parts[2].partition(":")
        value = number(parts[1])
        if (
            key not in _SAMPLE
            or value is None
            or not 0 < value < np.inf
            or (key == "MASS" and mass is not None)
        ):
            continue
        name, units = _SAMPLE[key]
        if "(" in meaning:
            text = meaning.partition("(")[2].partition(")")[0]
            units = _title_units(meaning, text) or units
        elif key != "ATOMS":
            continue  # a number without units is required when it is needed
        stated = f"{value:.10g} {units}".removesuffix(" 1")
        check(
            found.setdefault(name, stated) == stated,
            f"its header gives the {name.replace('_', ' ')} as {found[name]} and as "
            f"{stated}: correct it"
            + (f", or pass mass='{stated}'" if key == "MASS" else ""),
        )
    return found


def _require_own_mass(path: Path, lines: list[str], mass: float, units: str) -> None:
    """Refuse a mass other than that by which the data were divided."""
    rows = (re.match(r"INFO,([^,]+),MASS:.*\((\w+)\)", line) for line in lines)
    header = [
        magnitude(f"{row[1]} {row[2]}", "mg", name="mass")
        for row in rows
        if row and number(row[1]) is not None
    ]
    if header and not any(np.isclose(mass, one, rtol=1e-6) for one in header):
        raise QuantityError(
            f"mass={mass:g} mg, but {path} has "
            f"{' and '.join(f'{one:g} mg' for one in header)}",
            reason=f"its heat capacity in '{units}' was divided by the mass in the "
            "header",
            fix="scale it, ds.C * (old mass / new mass), and set "
            "ds.C.attrs['sample_mass']",
        )


def _summarised(comments: list[str]) -> str:
    """Return a line for each kind of comment; kinds differ in more than numbers."""
    kinds: dict[str, list[str]] = {}
    for comment in comments:
        kind = re.sub(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", "0", comment)
        kinds.setdefault(kind, []).append(comment)
    lines = []
    for equal in list(kinds.values())[:30]:  # attributes must stay readable
        first, n = equal[0][:300], len(equal)
        varies = ", the first of them" if len(set(equal)) > 1 else ""
        lines.append(f"{first} ({n} rows{varies})" if n > 1 else first)
    if len(kinds) > 30:
        lines.append(f"... and {len(kinds) - 30} more kinds")
    return "\n".join(lines)


def _title_units(title: str, text: str) -> str | None:
    """Return units such as ``µJ/K``, ``Kelvin`` or ``mJ/mole-K`` as xbp writes them.

    None for a heat capacity in J/K without a prefix, or with one that cannot be read:
    the program writes µJ/K, and copies in another encoding lose the µ.

    Raises
    ------
    ValueError
        If they are not valid units.

    Examples
    --------
    >>> _title_units("Samp HC", "mJ/mole-K"), _title_units("Samp HC", "?J/K")
    ('mJ/K/mol', None)
    """
    plain = _MICRO.sub("u", text)
    for word, unit in (
        ("Kelvin", "K"),
        ("Oersted", "oersted"),
        ("gm", "g"),
        ("mole", "mol"),
    ):
        plain = plain.replace(word, unit)
    plain = re.sub(r"/(\w+)-K$", r"/\1/K", plain).strip()
    try:
        units = format_unit(parse_unit(plain, name=title))
    except UnitsError as error:
        if re.fullmatch(r"\W{0,4}.{0,3}J/K", plain, re.DOTALL):
            return None
        raise ValueError(f"the units of its column {title!r} cannot be read") from error
    return None if units == "J/K" else units


def _with_lost_prefix(
    path: Path,
    units: Mapping[str, str | None],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    given: str | None,
    tolerance: float,
) -> tuple[dict[str, str], str | None]:
    """Return the units of every column, and those found for a lost prefix.

    Total − Addenda = Sample determines them.

    Raises
    ------
    FileFormatError
        If nothing determines a lost prefix.
    UnitsError
        If the given units are not those of a heat capacity, or contradict the file.
    """
    lost = [name for name in _HEAT if name in units and units[name] is None]
    known = {name: unit for name, unit in units.items() if unit is not None}
    if given is not None:
        unit = parse_unit(given, name="units=")
        fits = (
            unit.is_compatible_with("J/K")
            if lost
            else unit == parse_unit(known["Samp HC"])
        )
        if not fits:
            raise UnitsError(
                f"units={given!r} contradicts {path}",
                reason=f"its heat capacity is in '{known.get('Samp HC', 'J/K')}'; "
                "units= replaces only units with an unreadable prefix",
                fix="units='uJ/K'" if lost else "leave units= out",
            )
        return known | dict.fromkeys(lost, format_unit(unit)), None
    if not lost:
        return known, None
    fits_ratio = []
    # If every prefix was lost, any choice is consistent.
    if {"Samp HC", "Addenda HC", _TOTAL} - set(lost):
        for prefix in ("J/K", "mJ/K", "uJ/K", "nJ/K"):
            ratio = _ratio(known | dict.fromkeys(lost, prefix), numbers, sample)
            if ratio is not None and abs(ratio - 1) <= tolerance:
                fits_ratio.append(prefix)
    if len(fits_ratio) == 1:
        return known | dict.fromkeys(lost, fits_ratio[0]), fits_ratio[0]
    raise FileFormatError(
        f"{path}: the units of {', '.join(map(repr, lost))} are J/K with an unreadable "
        "prefix",
        reason="µ of the program's µJ/K is lost in other encodings",
        fix="units='uJ/K', or units='J/K' if the values are in J/K",
    )


def _per_mole_of(
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
    tolerance: float,
) -> Amount | None:
    """Check the sample against Total − Addenda, and return what a mole refers to.

    None for data that are not per mole, or if mass or molar mass are not known.

    Raises
    ------
    ValueError
        If they disagree.
    """
    ratio = _ratio(units, numbers, sample)
    if ratio is None:
        return None
    per_mole = parse_unit(units["Samp HC"]).is_compatible_with("J/mol/K")
    atoms = magnitude(sample.get("atoms_per_formula", "1"), "1", name="atoms")
    if abs(ratio - 1) <= tolerance:
        return "formula units" if per_mole else None
    if per_mole and abs(ratio * atoms - 1) <= tolerance:
        return "atoms"
    scaled = ", times molar mass over mass" if per_mole else ""
    raise ValueError(
        f"the heat capacity of the sample is {ratio:.4g} times Total HC - Addenda HC"
        f"{scaled}; a factor of 1000 or 10⁶ indicates a prefix lost from "
        f"{units['Samp HC']!r}; consistency=None if the sample is right"
    )


def _ratio(
    units: Mapping[str, str],
    numbers: Mapping[str, np.ndarray],
    sample: Mapping[str, str],
) -> float | None:
    """Return Sample/(Total − Addenda), the latter per mole or gram as in the file."""
    if not {"Samp HC", "Addenda HC", _TOTAL} <= set(units):
        return None
    total, addenda = (
        numbers[name] * convert_factor(units[name], "J/K")
        for name in (_TOTAL, "Addenda HC")
    )
    unit = parse_unit(units["Samp HC"])
    scale, target = 1.0, "J/K"
    if not unit.is_compatible_with("J/K"):
        if "sample_mass" not in sample:
            return None
        scale, target = 1 / magnitude(sample["sample_mass"], "g", name="mass"), "J/g/K"
    if unit.is_compatible_with("J/mol/K"):
        if "molar_mass" not in sample:
            return None
        scale *= magnitude(sample["molar_mass"], "g/mol", name="molar_mass")
        target = "J/mol/K"
    heat = numbers["Samp HC"] * convert_factor(units["Samp HC"], target)
    with np.errstate(all="ignore"):
        ratios = heat / ((total - addenda) * scale)
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if ratios.size else None


FORMAT = Format("PPMS heat capacity", "text", declined, open_ppms)
PpmsBackend = FORMAT.backend()
