"""Two- and three-column text, labelled by the caller or by a header that xbp wrote."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.common_errors import common_name
from xbp.core.construct import new_dataset
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.guards import choose
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, QUANTITIES, find_quantity, validate
from xbp.core.signal import as_stored, extend_history, read, std_of
from xbp.core.status import diagnosed
from xbp.core.units import parse_unit
from xbp.io.grammar import labelled_rows
from xbp.io.guide import Guide
from xbp.io.masks import with_errors
from xbp.io.netcdf import require_readable
from xbp.io.reader import (
    Format,
    at_temperature,
    axis_units,
    named_format,
    value_units,
)
from xbp.io.spelling import is_ended, with_points
from xbp.io.text import (
    check,
    read_table,
    require_one_run,
    require_whole,
    row,
    to_numbers,
    write_text,
)
from xbp.io.titles import (
    Labels,
    column_titles,
    require_titles,
    used_columns,
)
from xbp.io.total_scattering import require_normalization
from xbp.reduction.dos_area import imaginary_modes
from xbp.reduction.molar import Amount

__all__ = [
    "FORMAT",
    "ColumnsBackend",
    "ask_labels",
    "open_columns",
    "to_columns",
    "without_sentinels",
]

#: First and last line of columns that xbp writes.
_MARK: Final = "# xbp columns "
_END: Final = "# end"
#: A row that is nothing but numbers with commas.
_COMMAS: Final = re.compile(r"(?=.*\d,\d)[-+\d,.;\s]+")
#: Numbers that mark a missing value if all others are far above them; ±1e30 and the
#: like always do.
_SENTINELS: Final = (-999.0, -999.25, -9999.0, -32768.0, -99999.0)


def _lacks(lines: list[str]) -> str:
    """Return why a text that xbp did not write needs arguments to be columns."""
    if known := named_format(lines):
        return known
    table = any(row(line) is not None for line in with_points(lines))
    doubtful = sum(_COMMAS.fullmatch(line.strip()) is not None for line in lines)
    if doubtful > 1 and not table:
        return "its commas may be decimal commas or separate numbers"
    return "it is a table without units" if table else "it has no rows of numbers"


FORMAT = Format(
    "columns",
    "text",
    lambda x: x[:1] and x[0].startswith(_MARK),
    _lacks,
    strict=False,
    whole=False,
    guide=Guide(
        "any",
        "any program: two or three columns",
        "any spectrum; units are given, never guessed; commas, blanks, semicolons, "
        "decimal commas, 1D-3, U+2212, NA: [rules](files_columns.md#columns)",
        'g = xbp.open_dataset("dos.txt", quantity="g(E)", units="1/meV", '
        'coordinate_units="meV").g\nprint(g.bp)',
        asks=("quantity", "units", "coordinate_units"),
    ),
)


@FORMAT.reader
def open_columns(
    path: Path,
    lines: list[str],
    *,
    quantity: str | None = None,
    units: str | None = None,
    coordinate: str | None = None,
    coordinate_units: str | None = None,
    T: Any = None,
    statistics: str | None = None,
    amount: Amount | None = None,
    has_std: bool | None = None,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
    check_titles: bool = True,
) -> xr.Dataset:
    """Read a table of a coordinate, a value and, if there is one, its error.

    The table is the run of lines with two or three numbers each, separated by commas,
    by semicolons, or by blanks. Decimal commas are read where they cannot be anything
    else, between semicolons or blanks: ``0,5; 12,25``; ``1,10,5`` is ambiguous and
    needs `has_std`, ``1,000 5`` is refused. A remark after a row begins with one of
    ``#``, ``%``, ``!`` and ``//``. A value may be NA, N/A, null, -- or NaN, all read as
    NaN; so are ±1e30 and the like, and -999, -999.25, -9999, -32768 and -99999 if all
    others are far above. U+2212 is a minus sign; infinite numbers are refused. Comments
    and empty lines may occur within the table. Text before and after it must not begin
    with a number: such a line, which may be a measurement, is refused, except for the
    number of rows at the top. Descending rows are reversed; temperatures are sorted. A
    text that is recognised as another format (JCAMP-DX, INX, SPE, CIF, HTML, LAMMPS
    ...) is refused; so is one whose column titles contradict the arguments. Header rows
    of RRUFF, ``##NAMES=``, are kept.

    A text cut off within its last line is recognised if that line has no line end and
    is not a row, or has fewer decimals than all others; integers cannot show it.

    Parameters
    ----------
    path : path-like
        Any text.
    quantity : str
        A name of the vocabulary, such as ``"vibrational_dos"``.
    units : str
        Of the values; "1" where they are arbitrary.
    coordinate : str, optional
        What the first column is: "E", "Q", "temperature", "time", "r", or "wavelength"
        of a Raman spectrum, which `to_raman_shift` turns into the shift. By default the
        last dimension of the quantity.
    coordinate_units : str
        Its units; it stays in them, and ``.bp.convert`` changes them.
    T : scalar with units, optional
        Temperature of the sample; a bare number is in K.
    statistics : {"quantum", "classical"}, optional
        As for `new_dataset`.
    amount : {"atoms", "formula units"}, optional
        For a heat capacity per mole: a mole of what; kept in ``attrs["amount"]``, which
        `to_molar` reads.
    has_std : bool, optional
        Whether the third column is the standard deviation; False ignores it. By default
        it is, unless its title names something else, or the three numbers may be two
        with decimal commas or thousands: then pass it.
    lowest : float, optional
        An S(Q) that falls below it by more than five standard deviations is refused: it
        is S(Q) - 1, F(Q) or the like. Lower it for partial S(Q) and scattering lengths
        of both signs; None: no limit.
    tail : pair of float, optional
        Bounds on the mean of g(r) over the upper third of r; outside them it is G(r),
        or another function, and refused. So is an S(Q) with such a mean that is
        negative somewhere, since S(Q) - 1 tends to 0, unless `lowest` is below -0.05.
        None: no limit.
    check_titles : bool
        Whether titles of the columns that name another quantity, axis or unit, or a
        function such as a logarithm, are refused. False: the titles are wrong.

    Returns
    -------
    xarray.Dataset
        The variable with its name in the vocabulary, and ``<name>_std`` if there is a
        third column. A file of `to_columns` needs no arguments.

    Raises
    ------
    QuantityError, UnitsError
        If the quantity or the units are not given, unknown, or of a dimension that the
        quantity or the coordinate cannot have; if `amount` is given for data that are
        not per mole.
    FileFormatError
        If the text has a format of its own; if it has no table, more than one, or
        rows of different length; if a line outside it begins with a number, a number is
        infinite, or the last line is cut off.
    CoordinateError
        If the coordinate has duplicates, or is not ascending or descending; if only the
        second column can be a coordinate.
    RangeError
        If the numbers cannot be an S(Q), F(Q) or g(r): see `lowest` and `tail`.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "dos.txt")
    ...     rows = ["# THz and 1/THz", "1.0 0.5", "2.0 0.25"]
    ...     _ = path.write_text(os.linesep.join(rows))
    ...     g = open_columns(path, quantity="vibrational_dos", units="1/THz",
    ...                      coordinate_units="THz").g
    >>> g.bp.convert(E="meV").E.values.round(3)
    array([4.136, 8.271])
    """
    given = {"quantity": quantity, "units": units, "coordinate": coordinate}
    given |= {"coordinate_units": coordinate_units}
    further = {"statistics": statistics, "amount": amount}
    if FORMAT.find(lines):
        ds = _require_same(_read_own(lines), given | further)
        return at_temperature(ds, T)
    known = named_format(lines)
    check(known is None, str(known))
    lines = with_points(lines)
    table = read_table(lines)
    if not is_ended(path):
        require_whole(lines)
    labels = ask_labels(path, **given)
    quantity, units, dim, coordinate_units = labels
    if amount is not None and (
        quantity != "heat_capacity"
        or not parse_unit(units).is_compatible_with("J/mol/K")
    ):
        raise QuantityError(
            f"amount={amount!r} needs values per mole; the {quantity} is in '{units}'",
            fix="leave amount= out, or use .bp.to_molar(...)",
        )
    if dim != "temperature":
        _require_no_map(path.name, table.values)
    above = lines[: table.start]
    titles = column_titles(lines, table.start, table.values.shape[1])
    n_columns = used_columns(path, lines, table, titles, has_std)
    if check_titles:
        require_titles(path.name, above, titles and titles[:n_columns], labels)
    rows = table.values[:, :n_columns]
    x = rows[:, 0]
    if dim == "temperature":
        require_one_run(x, table.breaks)
        # A thermometer scatters, and a sample is cooled and heated.
        rows = rows[np.argsort(x, kind="stable")]
    else:
        _require_axis(path.name, *rows.T[:2])
        rows = rows[::-1] if (np.diff(x) < 0).all() else rows
    x, values, *errors = rows.T
    values, std = without_sentinels(values, *errors)
    std = with_errors(std)
    steps = np.diff(x)
    if not (steps > 0).all():
        raise CoordinateError(
            f"the first column of {path.name} is neither ascending nor descending "
            f"({int((steps <= 0).sum())} of {steps.size} steps)",
            fix="split the file, or remove duplicates",
        )
    require_normalization(path.name, quantity, values, std, lowest=lowest, tail=tail)
    source = f"text file {path.name}"
    ds = new_dataset(
        quantity,
        values,
        std=std,
        units=units,
        coords={dim: (x, coordinate_units)},
        temperature=T,
        statistics=statistics or "unknown",
        attrs={"source": source} | labelled_rows(above),
    )
    variable = ds[QUANTITIES[quantity].variable]
    if quantity == "vibrational_dos" and (found := imaginary_modes(variable, ds)):
        variable.attrs |= diagnosed({}, found)
    # A DataArray loses the attributes of its Dataset.
    if quantity == "static_structure_factor":
        variable.attrs["source"] = source
    used: dict[str, Any] = {"file": path.name, **dict(zip(given, labels, strict=True))}
    used |= {"T": None if T is None else str(T), **further, "has_std": has_std}
    variable.attrs["history"] = ds.attrs["history"] = extend_history(
        None, "open_columns", used
    )
    if amount is not None:
        variable.attrs["amount"] = amount
    return ds


def _require_axis(name: str, x: np.ndarray, values: np.ndarray) -> None:
    """Refuse exchanged columns, where only the second can be an axis.

    It runs one way and the first does not, or it is evenly spaced, which values are
    not, and the first is not.
    """
    first, second = np.diff(x), np.diff(values)
    one_way = [bool((s > 0).all() or (s < 0).all()) for s in (first, second)]
    even = [bool(np.ptp(s) <= 1e-3 * abs(s.mean())) for s in (first, second)]
    others = one_way == [False, True] or (even == [False, True] and one_way[1])
    if x.size > 3 and others:
        what = "evenly spaced" if even[1] else "ascending or descending"
        raise CoordinateError(
            f"the second column of {name} is {what}, the first is not: the columns "
            "seem to be exchanged",
            fix="write the coordinate first, or pass both to xbp.new_dataset(...)",
        )


def _require_no_map(name: str, rows: np.ndarray) -> None:
    """Refuse Q, E and S in three columns: each Q comes once with every E."""
    if rows.shape[1] != 3:
        return
    first, second = (np.unique(rows[:, n], return_counts=True)[1] for n in (0, 1))
    sizes = first.size, second.size
    whole = (first == second.size).all() and (second == first.size).all()
    if whole and min(sizes) > 1:
        shape = sizes if rows[0, 0] == rows[1, 0] else sizes[::-1]
        raise CoordinateError(
            f"{name} is a map in three columns, of {sizes[0]} by {sizes[1]} points",
            fix=f"pass np.loadtxt(path)[:, 2].reshape{shape} to xbp.new_dataset(...)",
        )


def without_sentinels(
    values: np.ndarray, std: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Set values to NaN that programs write for missing ones."""
    for number in _SENTINELS:
        same = values == number
        if same.any() and not (values[~same] <= number / 10).any():
            values = np.where(same, np.nan, values)
    seen = np.isfinite(values) & (np.abs(values) < 1e29)
    if std is None or seen.all():
        return np.where(seen, values, np.nan), std
    return np.where(seen, values, np.nan), np.where(seen, std, np.nan)


def ask_labels(
    where: Path,
    quantity: str | None,
    units: str | None,
    coordinate: str | None,
    coordinate_units: str | None,
) -> Labels:
    """Return the labels of a table, checked against the vocabulary."""
    row_ = None if quantity is None else find_quantity(quantity)
    dim = coordinate or (row_.dims[-1] if row_ else None)
    if dim is not None:
        choose(dim, COORDINATES, "coordinate", error=CoordinateError)
    # Spectroscopists write a Raman shift in 1/cm.
    raman = row_ is not None and (row_.name, dim) == ("raman_intensity", "E")
    example = "1/cm" if raman else COORDINATES[dim or "E"][0]
    if row_ and dim and units is not None and coordinate_units is not None:
        units = value_units(units, row_.name, name="units")
        own = axis_units(
            coordinate_units, dim, name="coordinate_units", example=example
        )
        return Labels(row_.name, units, dim, own)
    missing = {
        f"quantity={quantity!r}": "quantity='g(E)', 'S(Q)', 'S(E)', 'C_p(T)', …",
        "units=None": f"units='{row_.units if row_ else 1}'; '1' if arbitrary",
        "coordinate_units=None": f"coordinate_units='{example}'",
    }
    have = row_, units, coordinate_units
    lacking = [part for part, one in zip(missing, have, strict=True) if one is None]
    raise QuantityError(
        f"{where.name} is a table without labels, opened with {', '.join(lacking)}",
        fix="; ".join(missing[part] for part in lacking),
    )


@operation(takes="signal")
def to_columns(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write a spectrum as three-column text: coordinate, value, standard deviation.

    Every number is written in full precision, and the first comment contains units,
    attributes and the other coordinates, so that ``xbp.open_dataset`` gives back the
    identical Dataset. Programs that draw columns skip the comments.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over one dimension, such as a cut. Of a Dataset the signal and its
        standard deviation are written, companions are not.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If there are more dimensions than one, or infinite numbers.
    FileFormatError
        If the file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import tempfile, xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> cut = B.bp.cut_Q((2, 8))[["B", "B_std"]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cut.bp.to_columns(f"{folder}/cut.txt")
    ...     xbp.open_dataset(f"{folder}/cut.txt").identical(cut)
    True
    """
    signal = as_stored(read(data))
    value, std, source = signal.value, signal.std, signal.source
    name = str(value.name or signal.quantity.variable)
    parts = {name: value} | ({} if std is None else {f"{name}_std": std})
    if value.ndim != 1 or any(np.isinf(part).any() for part in parts.values()):
        raise QuantityError(
            f"'{name}' over {tuple(value.dims)} must have one dimension and no "
            "infinite values",
            fix="data.bp.cut_Q((2, 8)), or data.bp.to_netcdf(path)",
        )
    dim = str(value.dims[0])
    if isinstance(source, xr.DataArray):
        source = source.to_dataset(name=name)
    kept = source[[n for n in (*parts, common_name(name)) if n in source]]
    dims = {*kept.dims, "bnds"}
    ds = kept.assign_coords(
        {n: c for n, c in source.coords.items() if {*c.dims} <= dims}
    )
    packed = ds.to_dict()
    rows, titles = [], []
    for key, column in ({dim: value[dim]} | parts).items():
        rows.append(column.values.astype(float))
        titles.append(f"{key} [{column.attrs.get('units', '1')}]")
        packed["coords" if key == dim else "data_vars"][key]["data"] = None
    lines = [
        _MARK + json.dumps({"columns": [dim, *parts], "dataset": packed}),
        f"# {' '.join(titles)}",
        *(" ".join(map(repr, row)) for row in np.stack(rows, axis=1).tolist()),
        _END,
    ]
    write_text(path, lines, overwrite=overwrite)


def _read_own(lines: list[str]) -> xr.Dataset:
    """Return the Dataset that `to_columns` wrote."""
    check(lines[-1] == _END, f"its last line is not '{_END}'")
    header = json.loads(lines[0].removeprefix(_MARK))
    names, packed = header["columns"], header["dataset"]
    rows = [line for line in lines if not line.startswith("#")]
    size = len(rows) * len(names)
    table = to_numbers(rows, "the table", size=size, largest=np.inf)
    variables = packed["coords"] | packed["data_vars"]
    for name, column in zip(names, table.reshape(-1, len(names)).T, strict=True):
        variables[name]["data"] = column
    twice = any(len({*v["dims"]}) != len(v["dims"]) for v in variables.values())
    check(not twice, "its header has a variable over one dimension twice")
    ds = xr.Dataset.from_dict(packed)
    require_readable(ds)
    for name in map(str, ds.coords):
        if name in COORDINATES and "units" in ds[name].attrs:
            axis_units(ds[name].attrs["units"], name, name=name)
    validate(ds[names[1]])
    std_of(ds, ds[names[1]])
    return ds


def _require_same(ds: xr.Dataset, given: dict[str, Any]) -> xr.Dataset:
    """Check the arguments against a file of xbp.

    Raises
    ------
    QuantityError
        If an argument contradicts the file.
    """
    value = next(iter(ds.data_vars.values()))
    (dim,) = map(str, value.dims)
    own = {"coordinate": dim, "coordinate_units": ds[dim].attrs.get("units")}
    own |= value.attrs
    for name, argument in given.items():
        there = own.get(name)
        if argument is None or argument == there:
            continue
        if not name.endswith("units") or parse_unit(argument) != parse_unit(str(there)):
            raise QuantityError(
                f"{name}={argument!r} contradicts the file, which has {there!r}",
                fix=f"leave {name}= out, or change it after opening",
            )
    return ds


ColumnsBackend = FORMAT.backend()
