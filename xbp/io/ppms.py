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
from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.core.guards import not_used, require_number, require_positive
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, magnitude, to_kelvin
from xbp.io.guide import Guide, example
from xbp.io.masks import with_errors
from xbp.io.ppms_units import (
    LOST,
    TOTAL,
    is_in,
    per_mole_of,
    title_units,
    with_lost_prefix,
)
from xbp.io.reader import Format
from xbp.io.text import check, number, to_numbers
from xbp.reduction.molar import Amount

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
#: Rows of the header about the sample, with their attribute and its units.
_SAMPLE: Final = {
    "MASS": ("sample_mass", "mg"),
    "MOLWGHT": ("molar_mass", "g/mol"),
    "ATOMS": ("atoms_per_formula", "1"),
}


def _find(lines: list[str]) -> bool:
    bare = [line.strip() for line in lines]
    named = any(line.startswith("BYAPP,HeatCapacity") for line in bare)
    return named and "[Header]" in bare


def _lacks(lines: list[str]) -> str:
    """Return which other program of Quantum Design wrote a file, if one did."""
    rows = (re.match(r"\s*BYAPP[ \t]*,[ \t]*([^,]+)", line) for line in lines)
    other = next((row[1].strip() for row in rows if row), "")
    if other and not other.startswith("HeatCapacity"):
        return f"it is a measurement by {other!r} of Quantum Design, not HeatCapacity"
    return "it has no [Header] that names the program HeatCapacity"


FORMAT = Format(
    "a heat capacity of a PPMS",
    "text",
    _find,
    _lacks,
    resembles=r"^BYAPP[ \t]*,",
    endless=True,
    guide=Guide(
        "calorimetry",
        "Quantum Design PPMS: `.dat`",
        "C_p(T), errors, mass, field; not UTF-8, µJ/K; a lost µ is recovered from "
        'Total − Addenda, otherwise pass `units="uJ/K"`; comment rows, such as '
        'field warnings, are kept in `C.attrs["comments"]`; two masses in '
        "the header: `mass=`; `repeats=0.2` averages points closer than that part of "
        "the temperature rise",
        example("C", '"glass.dat"', "C.bp.reduced_heat_capacity()"),
        asks=("units", "mass", "field"),
    ),
)


@FORMAT.reader
def open_ppms(
    path: Path,
    lines: list[str],
    *,
    mass: Any = None,
    units: str | None = None,
    amount: Amount | None = None,
    consistency: float | None = 0.05,
    field: Any = None,
    field_spread: Any = "20 Oe",
    repeats: float | None = None,
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
    field : scalar with units, optional
        The magnetic field whose rows are read (bare: Oe; 1 T is 10⁴ Oe); needed if the
        file has several.
    field_spread : scalar with units
        Fields that differ by no more are one (bare: Oe).
    repeats : float, optional
        Points whose temperatures span no more than this fraction of the temperature
        rise of the measurement, such as 0.2, are averaged. By default only those at one
        and the same temperature.

    Returns
    -------
    xarray.Dataset
        ``C(temperature)`` of the sample with ``C_std``, in the units of the file (such
        as uJ/K), ascending in temperature. The error of averaged points is the larger
        of that propagated and that of the mean by their scatter. ``addenda``, ``field``
        and ``temperature_rise`` are beside it. Mass, molar mass and atoms per formula
        of the header, where it has them, are attributes of ``C``, which `to_molar`
        reads; its ``comments`` are those among the rows, such as warnings; of those
        that differ only in numbers the first.

    Raises
    ------
    QuantityError, UnitsError
        If `mass` is not a positive mass, or another than that by which the data were
        divided; if `units` are not those of a heat capacity; if `amount` is given for
        data that are not per mole; if one of them contradicts the file; if the file has
        several fields, or none that is given.
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
    error = QuantityError
    mg = None if mass is None else require_positive(mass, "mass", "mg", error=error)
    numbers, written, comments = _table(lines)
    rows = _in_one_field(path, numbers, written, field, field_spread)
    numbers = {
        name: column[rows]
        for name, column in numbers.items()
        if not name.endswith("Err") or with_errors(column[rows]) is not None
    }
    sample = _sample(lines, mg)
    tolerance = 0.05 if consistency is None else consistency
    own, decided = with_lost_prefix(path, written, numbers, sample, units, tolerance)
    heat_units = own["Samp HC"]
    checked = consistency is not None
    shown = per_mole_of(own, numbers, sample, tolerance) if checked else None
    if amount is not None and (
        shown not in (None, amount) or not is_in(heat_units, "J/mol/K")
    ):
        of = f" per mole of {shown}, as Total HC - Addenda HC shows" if shown else ""
        raise QuantityError(
            f"amount={amount!r} does not apply to values in '{heat_units}'{of}",
            fix="leave amount= out",
        )
    if mg is not None and not is_in(heat_units, "J/K"):
        _require_own_mass(path, lines, mg)
    T_units, temperature = own["Sample Temp"], numbers["Sample Temp"]
    kelvin = to_kelvin(temperature, T_units, name="Sample Temp")
    check((kelvin > 0).all(), "some of its temperatures are not above zero")
    # Stable, so that repeats stay in the order of the measurement.
    order = np.argsort(temperature, kind="stable")
    group = _groups(temperature[order], _resolved(path, numbers, own, order, repeats))
    size = np.bincount(group)

    def averaged(name: str) -> np.ndarray:
        return np.asarray(np.bincount(group, numbers[name][order]) / size)

    def error_of_mean(name: str) -> np.ndarray:
        value, given = name.removesuffix(" Err"), numbers[name][order]
        off = numbers[value][order] - averaged(value)[group]
        scatter = np.bincount(group, off**2) / np.maximum(size - 1, 1) / size
        return np.sqrt(np.maximum(np.bincount(group, given**2) / size**2, scatter))

    std = None
    if "Samp HC Err" in numbers:
        right = own["Samp HC Err"] == heat_units and numbers["Samp HC Err"].min() >= 0
        check(right, f"some of its errors are negative, or not in {heat_units}")
        std = error_of_mean("Samp HC Err")
    ds = new_dataset(
        "heat_capacity",
        averaged("Samp HC"),
        units=heat_units,
        std=std,
        coords={"temperature": (averaged("Sample Temp"), T_units)},
        attrs={"source": f"Quantum Design PPMS file {path.name}"},
    )
    for name, variable in _FURTHER.items():
        if name in numbers and variable != "C_std":
            label = {"units": own[name], "long_name": name}
            is_error = name.endswith("Err")
            values = error_of_mean(name) if is_error else averaged(name)
            ds[variable] = ("temperature", values, label)
    if "addenda_std" in ds:
        ds["addenda"].attrs["ancillary_variables"] = "addenda_std"
    attrs = ds["C"].attrs
    attrs |= sample
    if amount or shown:
        attrs["amount"] = amount or shown
    if decided is not None:
        text = f"lost unit prefix: Total HC - Addenda HC implies {decided}"
        fix = f"units='{decided}' confirms it"
        attrs |= diagnosed({}, Diagnostic("lost_prefix", "info", text, fix))
    if comments:
        attrs["comments"] = _summarised(comments)
    return ds


def _resolved(
    path: Path,
    numbers: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    order: np.ndarray,
    repeats: float | None,
) -> np.ndarray:
    """Return the difference in temperature below which each point is a repeat."""
    if repeats is None:
        return np.zeros(order.size)
    share = require_number(repeats, "repeats", least=0, most=1, error=QuantityError)
    if "Temp Rise" not in numbers:
        not_used(f"{path} has no column 'Temp Rise'", repeats=repeats)
    factor = convert_factor(units["Temp Rise"], units["Sample Temp"], name="Temp Rise")
    return np.asarray(share * factor * numbers["Temp Rise"][order])


def _groups(temperature: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return to which group each of ascending temperatures belongs.

    Examples
    --------
    >>> _groups(np.array([2.0, 2.0, 2.1, 2.3]), np.full(4, 0.2)).tolist()
    [0, 0, 0, 1]
    """
    group, first = np.zeros(temperature.size, dtype=int), 0
    for i in range(1, temperature.size):
        new = temperature[i] - temperature[first] > within[first]
        group[i], first = group[i - 1] + new, i if new else first
    return group


def _in_one_field(
    path: Path,
    numbers: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    given: Any,
    spread: Any,
) -> np.ndarray | slice:
    """Return the rows in the given field, or all if the file has only one."""
    if "Field" not in numbers:
        not_used(f"{path} has no column 'Field'", field=given)
        return slice(None)
    fields = numbers["Field"] * _oersted(f"1 {units['Field']}", "Field")
    within = _oersted(spread, "field_spread")
    wanted = fields.min() if given is None else _oersted(given, "field")
    rows = np.abs(fields - wanted) <= within
    if rows.all() or (given is not None and rows.any()):
        return rows
    ends = f"{fields.min():g} to {fields.max():g} Oe"
    none = "" if given is None else f", none at field={given!r}"
    raise QuantityError(
        f"{path} has data in fields from {ends}{none}",
        fix=f"field='{fields.max():g} Oe'",
    )


def _oersted(value: Any, name: str) -> float:
    """Return a magnetic field in Oe; 1 T is 10⁴ Oe in vacuum."""
    try:
        return magnitude(value, "Oe", name=name)
    except UnitsError:
        return 1e4 * magnitude(value, "T", name=name)


def _table(
    lines: list[str],
) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """Return the columns, their units, and the comments in the rows."""
    starts = [i for i, line in enumerate(lines) if line.strip() == "[Data]"]
    check(starts and starts[0] + 1 < len(lines), "it has no [Data], or ends there")
    start = starts[0] + 2
    titles = next(csv.reader([lines[start - 1]]))
    columns: dict[str, int] = {}
    units: dict[str, str] = {}
    for i, title in enumerate(titles):
        name, _, unit = (part.strip() for part in title.partition("("))
        if name not in (*_NEEDED, *_FURTHER, TOTAL):
            continue
        check(name not in columns, f"it has two columns '{name}'")
        columns[name], units[name] = i, title_units(title, unit.removesuffix(")"))
        fits = _NEEDED.get(name, ())
        plain = units[name].removeprefix(LOST)
        right = not fits or any(is_in(plain, fit) for fit in fits)
        check(right, f"its column {title!r} is not in units of {' or '.join(fits)}")
    missing = set(_NEEDED) - set(columns)
    check(not missing, f"it has no column {', '.join(sorted(missing))}")
    size = len(titles)
    split = [
        # Some programs end every row with further commas.
        (i, row if any(map(str.strip, row[size:])) else row[:size])
        for i, line in enumerate(lines[start:], start=start + 1)
        if line.strip()
        for row in csv.reader([line])
    ]
    measured = [
        row[columns["Samp HC"]].strip()
        for _, row in split
        if len(row) == len(titles) and row[columns["Sample Temp"]].strip()
    ]
    addenda = measured and not any(measured) and "Addenda HC" in columns
    if addenda:
        problem = "it is an addenda file of a PPMS, without a sample"
        raise FileFormatError(problem, fix="open the file of the sample")
    rows, comments = [], []
    comment = titles.index("Comment ()") if "Comment ()" in titles else len(titles)
    for i, fields in split:
        texts = [field.strip() for field in fields[comment:]]
        if len(fields) != len(titles) or not all(
            fields[at].strip() for name, at in columns.items() if name != TOTAL
        ):
            # Rows with only a comment end after it; any other short row is a
            # measurement that was cut.
            is_comment = any(texts) and all(number(text) is None for text in texts[1:])
            check(
                is_comment and len(fields) <= len(titles),
                f"line {i} has {len(fields)} fields where its header has "
                f"{len(titles)}, or lacks a value",
            )
            comments.append(", ".join(filter(None, texts)))
            continue
        words = [
            fields[at].strip() or ("nan" if name == TOTAL else "")
            for name, at in columns.items()
        ]
        rows.append(to_numbers(words, f"line {i}", size=len(columns)))
        comments += filter(None, texts[:1])
    check(rows, "it has no measurement")
    return dict(zip(columns, np.array(rows).T, strict=True)), units, comments


def _sample(lines: list[str], mass: float | None) -> dict[str, str]:
    """Return mass, molar mass and atoms per formula of the header.

    Rows are ``INFO,7.76,MASS:Sample Mass (mg)``. A given mass replaces that of the
    header.
    """
    found = {} if mass is None else {"sample_mass": f"{mass:.10g} mg"}
    for line in lines[: lines.index("[Data]") if "[Data]" in lines else 60]:
        _, value, text = (*line.split(",")[:3], "", "", "")[:3]
        key, meaning = map(str.strip, text.partition(":")[::2])
        size = number(value) if line.startswith("INFO,") else None
        given = key == "MASS" and mass is not None
        if given or key not in _SAMPLE or size is None or not 0 < size < np.inf:
            continue
        name, units = _SAMPLE[key]
        if "(" in meaning:
            inside = meaning.partition("(")[2].partition(")")[0]
            units = title_units(meaning, inside)
        elif key != "ATOMS":
            continue  # a number without units is required when it is needed
        stated = f"{size:.10g} {units}".removesuffix(" 1")
        fix = f": pass mass='{stated}'" if key == "MASS" else ""
        check(
            found.setdefault(name, stated) == stated,
            f"its header gives the {name.replace('_', ' ')} as {found[name]} and as "
            f"{stated}{fix}",
        )
    return found


def _require_own_mass(path: Path, lines: list[str], mass: float) -> None:
    """Refuse a mass other than that by which the data were divided."""
    rows = filter(
        None, (re.match(r"INFO,([^,]+),MASS:.*\((\w+)\)", ln) for ln in lines)
    )
    header = [
        magnitude(f"{row[1]} {row[2]}", "mg", name="mass")
        for row in rows
        if number(row[1]) is not None
    ]
    if header and not np.isclose(mass, header, rtol=1e-6).any():
        raise QuantityError(
            f"mass={mass:g} mg contradicts {path}, which has {header[0]:g} mg",
            reason="the data were divided by the latter",
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
    more = len(kinds) - len(lines)
    return "\n".join(lines + [f"... and {more} more kinds"] * bool(more))


PpmsBackend = FORMAT.backend()
