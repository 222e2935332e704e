"""Heat capacity as the Quantum Design PPMS and DynaCool write it.

``.dat`` files with a [Header] and [Data].
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import FileFormatError, QuantityError, XbpError
from xbp.core.units import is_one_of, magnitude, parse_unit, to_kelvin
from xbp.io.arguments import can_open, to_path, without
from xbp.io.ppms_units import require_consistent, title_units, with_lost_prefix
from xbp.io.text import TEXT_ERRORS, head, number, read_lines, unreadable
from xbp.reduction.heat_capacity import Amount

__all__ = ["PpmsBackend", "decline", "open_ppms"]

_NEEDED = ("Sample Temp", "Samp HC")
_FITTING = {"Sample Temp": ("K",), "Samp HC": ("J/K", "J/K/mol", "J/K/g")}
_NUMBERS = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
#: Columns read beside the heat capacity where they are there, with the variable each
#: becomes.
_FURTHER = {
    "Samp HC "
    "Err": "C_std", "Addenda "
                            "HC": "addenda", "Addenda HC "
                                                     "Err": "addenda_std", "Field": "field",
    "Temp Rise": "temperature_rise",
}  # fmt: skip
#: What it is compared with, where it is there; a row may lack it.
_COMPARED = "Total HC"
#: Kinds of comments that are kept; an attribute of a netCDF file is no place for more.
_MOST_COMMENTS = 30
_LONGEST_COMMENT = 300
#: Beyond it, squares of errors and sums of repeats are not numbers any more.
_LARGEST = 1e100
#: Rows of the header that tell about the sample, with their attribute and its units.
_SAMPLE = {
    "MASS": ("sample_mass", "mg"), "MOLWGHT": ("molar_mass", "g/mol"), "ATOMS": ("atoms_per_formula", "1"),
}  # fmt: skip


def decline(path: Path) -> str | None:
    """Say why a file is no PPMS heat capacity, or None where it is."""
    lines = [line.strip() for line in head(path)]
    if "[Header]" not in lines or not any(
        line.startswith("BYAPP,HeatCapacity") for line in lines
    ):
        return "it has no [Header] that names the program HeatCapacity"
    return None


def open_ppms(
    path: str | os.PathLike[str],
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
        the rows, such as its warnings: each once, those that differ in numbers alone by
        the first of them, with how many rows say so.

    Raises
    ------
    QuantityError, UnitsError
        If `mass` is not positive, no mass, or given for data that are per mole or per
        gram by another; if `units` are of no heat capacity, or contradict the file; if
        `amount` is given for data that are not per mole, or contradicts the file.
    FileFormatError
        If it is no such file, an addenda file, is truncated, a row has not the columns
        of the header, naming the line, its header gives the mass, the molar mass or the
        atoms twice and differently, the prefix of its units was lost, or the heat
        capacity contradicts Total HC − Addenda HC.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = ["[Header]", "BYAPP,HeatCapacity,3.9", "INFO,7.76,MASS:Sample Mass (mg)", "[Data]",
    ...         "Sample Temp (Kelvin),Samp HC (uJ/K),Samp HC Err (uJ/K)", "4.0,2.0,0.1", "2.0,1.0,0.1"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.dat")
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     ds = open_ppms(path)
    >>> ds.C.values, ds.C.attrs["sample_mass"]
    (array([1., 2.]), '7.76 mg')
    """
    where = to_path(path)
    given = None if mass is None else magnitude(mass, "mg", name="mass")
    if given is not None and given <= 0:
        raise QuantityError(
            f"mass={mass!r}",
            reason="a sample has a positive mass",
            fix="mass='7.76 mg', or leave it out",
        )
    try:
        return _read(where, given, units, amount, consistency)
    except XbpError:
        raise
    except (*TEXT_ERRORS, csv.Error) as error:
        raise unreadable(where, "a heat capacity of a PPMS", error) from error


def _read(
    where: Path,
    mass: float | None,
    given_units: str | None,
    amount: Amount | None,
    consistency: float | None,
) -> xr.Dataset:
    reason = decline(where)
    if reason is not None:
        raise FileFormatError(
            f"{where} is no heat capacity of a PPMS",
            reason=reason,
            fix="xbp.open_dataset(path) tells which formats were tried",
        )
    lines = read_lines(where)
    columns, written, rows, comments = _table(where, lines)
    sample = _sample(where, lines, mass)
    numbers = {name: rows[:, column] for name, column in columns.items()}
    tolerance = 0.05 if consistency is None else consistency
    units, decided = with_lost_prefix(
        where, written, numbers, sample, given_units, tolerance
    )
    shown = (
        None
        if consistency is None
        else require_consistent(where, units, numbers, sample, tolerance)
    )
    amount = _amount(where, units["Samp HC"], amount, shown)
    if mass is not None and not parse_unit(units["Samp HC"]).is_compatible_with("J/K"):
        _require_own_mass(where, lines, mass, units["Samp HC"])
    temperature = rows[:, columns["Sample Temp"]]
    if (to_kelvin(temperature, units["Sample Temp"], name="Sample Temp") <= 0).any():
        raise _damaged(where, "some of its temperatures are not above zero")
    # Stable, so that repeats stay in the order they were measured in.
    order = np.argsort(temperature, kind="stable")
    _, group = np.unique(temperature[order], return_inverse=True)

    def averaged(name: str, power: int = 1) -> np.ndarray:
        values = rows[order, columns[name]] ** power
        mean = np.bincount(group, weights=values) / np.bincount(group) ** power
        return np.asarray(mean ** (1 / power))

    has_std = "Samp HC Err" in columns
    if has_std and units["Samp HC Err"] != units["Samp HC"]:
        raise _damaged(
            where,
            f"'Samp HC' is in {units['Samp HC']}, its error in {units['Samp HC Err']}",
        )
    if has_std and (rows[:, columns["Samp HC Err"]] < 0).any():
        raise _damaged(where, "some of its errors are negative")
    ds = new_dataset(
        "heat_capacity",
        averaged("Samp HC"),
        units=units["Samp HC"],
        std=averaged("Samp HC Err", 2) if has_std else None,
        coords={"temperature": (averaged("Sample Temp"), units["Sample Temp"])},
        attrs={"source": f"Quantum Design PPMS file {where.name}"},
    )
    for name, variable in _FURTHER.items():
        if name in columns and variable != "C_std":
            values = averaged(name, 2 if variable.endswith("_std") else 1)
            ds[variable] = (
                "temperature",
                values,
                {"units": units[name], "long_name": name},
            )
    if "addenda_std" in ds:
        ds["addenda"].attrs["ancillary_variables"] = "addenda_std"
    ds["C"].attrs |= sample | ({} if amount is None else {"amount": amount})
    if decided is not None:
        told = (
            "the unit prefix of the heat capacities was lost; Total HC - Addenda "
            f"HC implies {decided}"
        )
        ds["C"].attrs |= diagnosed(
            {},
            Diagnostic("lost_prefix", "info", told, f"units='{decided}' confirms it"),
        )
    if comments:
        ds["C"].attrs["comments"] = _told_once(comments)
    return ds


def _amount(where: Path, units: str, given: Any, shown: str | None) -> Any:
    """Return what a mole refers to, from Total − Addenda or the argument.

    The two must agree.
    """
    if given is None:
        return shown
    if not is_one_of(given, "atoms", "formula units") or not parse_unit(
        units
    ).is_compatible_with("J/mol/K"):
        raise QuantityError(
            f"amount={given!r} does not apply to a heat capacity in '{units}'",
            reason="amount= applies only to a heat capacity per mole",
            fix="leave amount= out",
        )
    if shown not in (None, given):
        raise QuantityError(
            f"amount={given!r}, but {where} is per mole of {shown}",
            reason="this follows from Total HC - Addenda HC, times molar mass over "
            "mass",
            fix="leave amount= out",
        )
    return given


def _require_own_mass(where: Path, lines: list[str], mass: float, units: str) -> None:
    """Refuse a mass other than that in the header if the data were divided by the header mass."""
    rows = (re.match(r"INFO,([^,]+),MASS:.*\((\w+)\)", line) for line in lines)
    header = [
        magnitude(f"{row[1]} {row[2]}", "mg", name="mass")
        for row in rows
        if row and number(row[1]) is not None
    ]
    if header and not any(np.isclose(mass, one, rtol=1e-6) for one in header):
        raise QuantityError(
            f"mass={mass:g} mg, but {where} has "
            f"{' and '.join(f'{one:g} mg' for one in header)}",
            reason=f"its heat capacity is in '{units}': the program divided it by the "
            "mass in the header",
            fix="scale it, ds.C * (old mass / new mass), and set "
            "ds.C.attrs['sample_mass']",
        )


def _told_once(comments: list[str]) -> str:
    """Return one line for each kind of comment, which differ in more than their numbers, with the number of rows."""
    kinds: dict[str, list[str]] = {}
    for comment in comments:
        kinds.setdefault(_NUMBERS.sub("0", comment), []).append(comment)
    lines = []
    for alike in list(kinds.values())[:_MOST_COMMENTS]:
        varies = ", the first of them" if len(set(alike)) > 1 else ""
        lines.append(
            alike[0][:_LONGEST_COMMENT]
            + (f" ({len(alike)} rows{varies})" if len(alike) > 1 else "")
        )
    if len(kinds) > _MOST_COMMENTS:
        lines.append(f"... and {len(kinds) - _MOST_COMMENTS} more kinds")
    return "\n".join(lines)


def _table(
    path: Path, lines: list[str]
) -> tuple[dict[str, int], dict[str, str | None], np.ndarray, list[str]]:
    """Return the place of each column needed, its units (None: lost), the rows, and the comments among them."""
    try:
        start = next(i for i, line in enumerate(lines) if line.strip() == "[Data]")
    except StopIteration:
        raise _damaged(path, "it has no [Data]") from None
    if start + 1 >= len(lines):
        raise _damaged(path, "it ends at [Data]")
    titles = next(csv.reader([lines[start + 1]]))
    columns: dict[str, int] = {}
    units: dict[str, str | None] = {}
    for i, title in enumerate(titles):
        name, _, unit = (part.strip() for part in title.partition("("))
        if name not in (*_NEEDED, *_FURTHER, _COMPARED):
            continue
        if name in columns:
            raise _damaged(path, f"it has two columns '{name}'")
        columns[name], units[name] = i, title_units(path, title, unit.removesuffix(")"))
        own = parse_unit(units[name] or "J/K")
        if name in _NEEDED and not any(
            own.is_compatible_with(fit) for fit in _FITTING[name]
        ):
            raise _damaged(
                path,
                f"its column {title!r} is not in units of {_FITTING[name][0]} or the "
                "like",
            )
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise _damaged(path, f"it has no column '{missing[0]}'")
    _refuse_addenda(path, lines[start + 2 :], titles, columns)
    needed_in_rows = {
        name: column for name, column in columns.items() if name != _COMPARED
    }
    rows, comments = [], []
    comment = titles.index("Comment ()") if "Comment ()" in titles else len(titles)
    for i, line in enumerate(lines[start + 2 :], start=start + 3):
        if not line.strip():
            continue
        fields = next(csv.reader([line]))
        if len(fields) != len(titles) or any(
            not fields[column].strip() for column in needed_in_rows.values()
        ):
            # Rows that hold a comment alone end after it; whatever else is short is a
            # measurement that was cut.
            said = [field.strip() for field in fields[comment:]]
            if (
                any(said)
                and len(fields) <= len(titles)
                and all(number(field) is None for field in said[1:])
            ):
                comments.append(", ".join(filter(None, said)))
                continue
            raise _damaged(
                path,
                f"line {i} has {len(fields)} fields, its header {len(titles)}, or "
                "lacks a value",
            )
        needed = {name: number(fields[column]) for name, column in columns.items()}
        if _COMPARED in needed and not fields[columns[_COMPARED]].strip():
            needed[_COMPARED] = np.nan
        wrong = [
            name
            for name, value in needed.items()
            if value is None or abs(value) > _LARGEST
        ]
        if wrong:
            raise _damaged(
                path,
                f"line {i} holds {fields[columns[wrong[0]]]!r:.60} where '{wrong[0]}' "
                "should be",
            )
        rows.append(list(needed.values()))
        comments += [
            field.strip() for field in fields[comment : comment + 1] if field.strip()
        ]
    if not rows:
        raise _damaged(path, "it holds no measurement")
    return (
        dict(zip(columns, range(len(columns)), strict=True)),
        units,
        np.array(rows),
        comments,
    )


def _refuse_addenda(
    path: Path, lines: list[str], titles: list[str], columns: dict[str, int]
) -> None:
    """Refuse a measurement of the platform and the grease alone, whose column of the sample is empty."""
    rows = [next(csv.reader([line])) for line in lines if line.strip()]
    rows = [
        row
        for row in rows
        if len(row) == len(titles) and row[columns["Sample Temp"]].strip()
    ]
    if (
        rows
        and "Addenda HC" in columns
        and all(not row[columns["Samp HC"]].strip() for row in rows)
    ):
        raise FileFormatError(
            f"{path} is an addenda file: its column 'Samp HC' is empty",
            reason="it contains a measurement of the platform and grease without a "
            "sample",
            fix="open the file measured with the sample, which includes the addenda",
        )


def _sample(path: Path, lines: list[str], mass: float | None) -> dict[str, str]:
    """Return what the header says of the sample.

    Rows such as ``INFO,7.76,MASS:Sample Mass (mg)``.

    A mass that is given stands for the header's.
    """
    found = {} if mass is None else {"sample_mass": f"{mass:.10g} mg"}
    said: dict[str, str] = {}
    for line in lines[: lines.index("[Data]") if "[Data]" in lines else 60]:
        parts = line.split(",")
        key, _, meaning = (
            parts[2].partition(":")
            if len(parts) > 2 and parts[0] == "INFO"
            else ("", "", "")
        )
        value = number(parts[1]) if key in _SAMPLE else None
        if (
            value is None
            or not 0 < value < np.inf
            or (key == "MASS" and mass is not None)
        ):
            continue
        name, units = _SAMPLE[key]
        if "(" in meaning:
            units = (
                title_units(path, meaning, meaning.partition("(")[2].partition(")")[0])
                or units
            )
        elif key != "ATOMS":
            continue  # a number without units is asked for where it is needed
        found[name] = f"{value:.10g} {units}".removesuffix(" 1")
        if said.setdefault(name, found[name]) != found[name]:
            raise FileFormatError(
                f"{path} gives the {name.replace('_', ' ')} as {said[name]} and as "
                f"{found[name]}",
                reason="its header has two rows of it, and they differ",
                fix="correct the header"
                + (
                    f", or say which it is: mass='{found[name]}'"
                    if key == "MASS"
                    else ""
                ),
            )
    return found


def _damaged(path: Path, what: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged: {what}",
        reason="a PPMS file names its columns with units after [Data], and every "
        "measurement has all of them",
        fix="copy it again from its source; remove a last line that was cut",
    )


class PpmsBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="ppms")``."""

    description = "Heat capacity measured by a Quantum Design PPMS"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "mass",
        "units",
        "amount",
        "consistency",
    )

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        mass: Any = None,
        units: str | None = None,
        amount: Amount | None = None,
        consistency: float | None = 0.05,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_ppms`."""
        ds = open_ppms(
            filename_or_obj,
            mass=mass,
            units=units,
            amount=amount,
            consistency=consistency,
        )
        return without(ds, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the header."""
        return can_open(filename_or_obj, decline)
