"""Heat capacity as the Quantum Design PPMS and DynaCool write it: ``.dat`` files with a [Header] and [Data]."""

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

from xbp.construct import new_dataset
from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.io.arguments import can_open, to_path, without
from xbp.io.text import TEXT_ERRORS, head, number, read_lines, unreadable
from xbp.units import format_unit, magnitude, parse_unit, to_kelvin

__all__ = ["PpmsBackend", "decline", "open_ppms"]

_NEEDED = ("Sample Temp", "Samp HC")
_FITTING = {"Sample Temp": ("K",), "Samp HC": ("J/K", "J/K/mol", "J/K/g")}
_NUMBERS = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
#: The micro sign and the Greek letter.
_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u"})
#: Columns read beside the heat capacity where they are there, with the variable each becomes.
_FURTHER = {
    "Samp HC Err": "C_std", "Addenda HC": "addenda", "Addenda HC Err": "addenda_std", "Field": "field",
    "Temp Rise": "temperature_rise",
}  # fmt: skip
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
    if "[Header]" not in lines or not any(line.startswith("BYAPP,HeatCapacity") for line in lines):
        return "it has no [Header] that names the program HeatCapacity"
    return None


def open_ppms(path: str | os.PathLike[str], *, mass: Any = None) -> xr.Dataset:
    """Read a heat capacity measured by a Quantum Design PPMS.

    Parameters
    ----------
    path : path-like
        A ``.dat`` file of its heat-capacity option; UTF-8 or Latin-1.
    mass : scalar with units, optional
        Sample mass (bare: mg), where the header's is missing, wrong or said twice.

    Returns
    -------
    xarray.Dataset
        ``C(temperature)`` of the sample with ``C_std``, in the units of the file (such as uJ/K), ascending in
        temperature, points at one and the same temperature averaged; ``addenda``, ``field`` and
        ``temperature_rise`` beside it. Mass, molar mass and atoms per formula of the header, where it has them, are
        attributes of ``C``, which `to_molar` reads; its ``comments`` are what the program wrote among the rows, such
        as its warnings: each once, those that differ in numbers alone by the first of them, with how many rows say so.

    Raises
    ------
    QuantityError, UnitsError
        If `mass` is not positive, or no mass.
    FileFormatError
        If it is no such file, is truncated, a row has not the columns of the header, naming the line, or its header
        gives the mass, the molar mass or the atoms twice and differently.

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
            f"mass={mass!r}", reason="a sample has a positive mass", fix="mass='7.76 mg', or leave it out"
        )
    try:
        return _read(where, given)
    except XbpError:
        raise
    except (*TEXT_ERRORS, csv.Error) as error:
        raise unreadable(where, "a heat capacity of a PPMS", error) from error


def _read(where: Path, mass: float | None) -> xr.Dataset:
    reason = decline(where)
    if reason is not None:
        raise FileFormatError(
            f"{where} is no heat capacity of a PPMS",
            reason=reason,
            fix="xbp.open_dataset(path) tells which formats were tried",
        )
    lines = read_lines(where)
    columns, units, rows, comments = _table(where, lines)
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
        raise _damaged(where, f"'Samp HC' is in {units['Samp HC']}, its error in {units['Samp HC Err']}")
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
            ds[variable] = ("temperature", values, {"units": units[name], "long_name": name})
    if "addenda_std" in ds:
        ds["addenda"].attrs["ancillary_variables"] = "addenda_std"
    ds["C"].attrs |= _sample(where, lines, mass)
    if comments:
        ds["C"].attrs["comments"] = _told_once(comments)
    return ds


def _told_once(comments: list[str]) -> str:
    """Return one line for each kind of comment, which differ in more than their numbers, with the number of rows."""
    kinds: dict[str, list[str]] = {}
    for comment in comments:
        kinds.setdefault(_NUMBERS.sub("0", comment), []).append(comment)
    lines = []
    for alike in list(kinds.values())[:_MOST_COMMENTS]:
        varies = ", the first of them" if len(set(alike)) > 1 else ""
        lines.append(alike[0][:_LONGEST_COMMENT] + (f" ({len(alike)} rows{varies})" if len(alike) > 1 else ""))
    if len(kinds) > _MOST_COMMENTS:
        lines.append(f"... and {len(kinds) - _MOST_COMMENTS} more kinds")
    return "\n".join(lines)


def _table(path: Path, lines: list[str]) -> tuple[dict[str, int], dict[str, str], np.ndarray, list[str]]:
    """Return the place of each column needed, its units, the measured rows, and the comments among them."""
    try:
        start = next(i for i, line in enumerate(lines) if line.strip() == "[Data]")
    except StopIteration:
        raise _damaged(path, "it has no [Data]") from None
    if start + 1 >= len(lines):
        raise _damaged(path, "it ends at [Data]")
    titles = next(csv.reader([lines[start + 1]]))
    columns: dict[str, int] = {}
    units: dict[str, str] = {}
    for i, title in enumerate(titles):
        name, _, unit = (part.strip() for part in title.partition("("))
        if name not in (*_NEEDED, *_FURTHER):
            continue
        if name in columns:
            raise _damaged(path, f"it has two columns '{name}'")
        columns[name], units[name] = i, _units(path, title, unit.removesuffix(")"))
        if name in _NEEDED and not any(parse_unit(units[name]).is_compatible_with(fit) for fit in _FITTING[name]):
            raise _damaged(path, f"its column {title!r} is not in units of {_FITTING[name][0]} or the like")
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise _damaged(path, f"it has no column '{missing[0]}'")
    rows, comments = [], []
    comment = titles.index("Comment ()") if "Comment ()" in titles else len(titles)
    for i, line in enumerate(lines[start + 2 :], start=start + 3):
        if not line.strip():
            continue
        fields = next(csv.reader([line]))
        if len(fields) != len(titles) or any(not fields[columns[name]].strip() for name in columns):
            # Rows that hold a comment alone end after it; whatever else is short is a measurement that was cut.
            said = [field.strip() for field in fields[comment:]]
            if any(said) and len(fields) <= len(titles) and all(number(field) is None for field in said[1:]):
                comments.append(", ".join(filter(None, said)))
                continue
            raise _damaged(path, f"line {i} has {len(fields)} fields, its header {len(titles)}, or lacks a value")
        needed = {name: number(fields[column]) for name, column in columns.items()}
        wrong = [name for name, value in needed.items() if value is None or abs(value) > _LARGEST]
        if wrong:
            raise _damaged(path, f"line {i} holds {fields[columns[wrong[0]]]!r:.60} where '{wrong[0]}' should be")
        rows.append(list(needed.values()))
        comments += [field.strip() for field in fields[comment : comment + 1] if field.strip()]
    if not rows:
        raise _damaged(path, "it holds no measurement")
    return dict(zip(columns, range(len(columns)), strict=True)), units, np.array(rows), comments


def _units(path: Path, title: str, text: str) -> str:
    """Return units such as ``µJ/K``, ``Kelvin`` or ``mJ/mole-K`` in words that `parse_unit` reads."""
    plain = text.replace("Kelvin", "K").replace("Oersted", "oersted").replace("gm", "g").translate(_MICRO)
    plain = re.sub(r"/(\w+)-K$", r"/\1/K", plain.replace("mole", "mol"))
    try:
        return format_unit(parse_unit(plain, name=title))
    except UnitsError as error:
        raise _damaged(path, f"the units of its column {title!r} cannot be read") from error


def _sample(path: Path, lines: list[str], mass: float | None) -> dict[str, str]:
    """Return what the header says of the sample: rows such as ``INFO,7.76,MASS:Sample Mass (mg)``.

    A mass that is given stands for the header's.
    """
    found = {} if mass is None else {"sample_mass": f"{mass:.10g} mg"}
    said: dict[str, str] = {}
    for line in lines[: lines.index("[Data]") if "[Data]" in lines else 60]:
        parts = line.split(",")
        key, _, meaning = parts[2].partition(":") if len(parts) > 2 and parts[0] == "INFO" else ("", "", "")
        value = number(parts[1]) if key in _SAMPLE else None
        if value is None or not 0 < value < np.inf or (key == "MASS" and mass is not None):
            continue
        name, units = _SAMPLE[key]
        if "(" in meaning:
            units = _units(path, meaning, meaning.partition("(")[2].partition(")")[0])
        found[name] = f"{value:.10g} {units}".removesuffix(" 1")
        if said.setdefault(name, found[name]) != found[name]:
            raise FileFormatError(
                f"{path} gives the {name.replace('_', ' ')} as {said[name]} and as {found[name]}",
                reason="its header has two rows of it, and they differ",
                fix="correct the header" + (f", or say which it is: mass='{found[name]}'" if key == "MASS" else ""),
            )
    return found


def _damaged(path: Path, what: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged: {what}",
        reason="a PPMS file names its columns with units after [Data], and every measurement has all of them",
        fix="copy it again from its source; remove a last line that was cut",
    )


class PpmsBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="ppms")``."""

    description = "Heat capacity measured by a Quantum Design PPMS"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "mass")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        mass: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_ppms`."""
        return without(open_ppms(filename_or_obj, mass=mass), drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the header."""
        return can_open(filename_or_obj, decline)
