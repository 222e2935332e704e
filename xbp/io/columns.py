"""Two- and three-column text, labelled by the caller or by a header of xbp."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.common_errors import SOURCE, common_name
from xbp.core.conditions import temperature_coordinate
from xbp.core.construct import new_dataset
from xbp.core.diagnostic import diagnosed
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, QUANTITIES, validate
from xbp.core.signal import as_stored, extend_history, read, std_of
from xbp.core.units import parse_unit
from xbp.io.reader import (
    Format,
    axis_units,
    reader,
    require_normalization,
    value_units,
)
from xbp.io.text import (
    check,
    is_ended,
    read_lines,
    read_table,
    require_one_run,
    require_whole,
    row,
    to_numbers,
    write_text,
)
from xbp.io.titles import (
    column_titles,
    labelled_rows,
    named_format,
    require_titles,
    used_columns,
)
from xbp.reduction.dos_area import imaginary_modes
from xbp.reduction.heat_capacity import Amount

__all__ = ["FORMAT", "ColumnsBackend", "open_columns", "to_columns"]

#: First and last line of columns that xbp writes.
_MARK: Final = "# xbp columns "
_END: Final = "# end"


def declined(lines: list[str]) -> str | None:
    """Return why a text needs arguments to be columns, or None if xbp wrote it."""
    if lines and lines[0].startswith(_MARK):
        return None
    known = named_format(lines)
    if known is not None:
        return f"it is {known}"
    if any(row(line) is not None for line in lines):
        return "it is a table without units"
    return "it has no rows of two or three numbers"


@reader("columns")
def open_columns(
    path: Path,
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
    by semicolons, or by blanks. Decimal commas are not read; ``1,10,5`` is ambiguous
    and needs `has_std`. A value may be NA, N/A, null, -- or NaN, all read as NaN;
    U+2212 is a minus sign; infinite numbers are refused. Comments and empty lines may
    occur within the table. Text before and after it must not begin with a number: such
    a line, which may be a measurement, is refused, except for the number of rows at the
    top. Descending rows are reversed; temperatures are sorted. A text that is
    recognised as another format (JCAMP-DX, INX, SPE, CIF, HTML, LAMMPS ...) is refused;
    so is one whose column titles contradict the arguments. Header rows of RRUFF,
    ``##NAMES=``, are kept.

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
        If the coordinate has duplicates, or is not ascending or descending.
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
    given = {
        "quantity": quantity,
        "units": units,
        "coordinate": coordinate,
        "coordinate_units": coordinate_units,
        "statistics": statistics,
        "amount": amount,
    }
    lines = read_lines(path, complete=False)
    if lines and lines[0].startswith(_MARK):
        return _require_same(_read_own(lines), given, T)
    known = named_format(lines)
    check(
        known is None,
        f"it is {known}, not a plain table of columns: export columns, or label the "
        "numbers with xbp.new_dataset(...)",
    )
    table = read_table(lines)
    if not is_ended(path):
        require_whole(lines)
    quantity, units, dim, coordinate_units = _labels(
        path, quantity, units, coordinate, coordinate_units
    )
    if amount is not None and (
        quantity != "heat_capacity"
        or not parse_unit(units).is_compatible_with("J/mol/K")
    ):
        raise QuantityError(
            f"amount={amount!r} of a {quantity} in '{units}'",
            reason="amount= applies to a heat capacity per mole",
            fix="leave amount= out; .bp.to_molar(...) makes a heat capacity per mole",
        )
    above = lines[: table.start]
    titles = column_titles(lines, table.start, table.values.shape[1])
    if check_titles:
        require_titles(
            path.name,
            above,
            titles,
            quantity=quantity,
            dim=dim,
            units=units,
            coordinate_units=coordinate_units,
        )
    x, *columns = table.values.T[: used_columns(path, lines, table, titles, has_std)]
    if dim == "temperature":
        require_one_run(x, table.breaks)
        # A thermometer scatters, and a sample is cooled and heated.
        order = np.argsort(x, kind="stable")
        x, columns = x[order], [column[order] for column in columns]
    steps = np.diff(x)
    if (steps < 0).all():
        x, columns = x[::-1], [column[::-1] for column in columns]
    elif not (steps > 0).all():
        raise CoordinateError(
            f"the first column of {path.name} is neither ascending nor descending "
            f"({int((steps <= 0).sum())} of {steps.size} steps)",
            fix="split a file of several tables, or remove duplicates",
        )
    values, std = columns[0], columns[1] if columns[1:] else None
    require_normalization(path.name, quantity, values, std, lowest=lowest, tail=tail)
    ds = new_dataset(
        quantity,
        values,
        std=std,
        units=units,
        coords={dim: (x, coordinate_units)},
        temperature=T,
        statistics=statistics,
        attrs={"source": f"text file {path.name}"} | labelled_rows(above),
    )
    variable = ds[QUANTITIES[quantity].variable]
    if (
        quantity == "vibrational_dos"
        and (found := imaginary_modes(variable, ds)) is not None
    ):
        variable.attrs |= diagnosed({}, found)
    # A DataArray loses the attributes of its Dataset.
    if quantity == "static_structure_factor":
        variable.attrs["source"] = ds.attrs["source"]
    used = {
        "file": path.name,
        "quantity": quantity,
        "units": units,
        "coordinate": dim,
        "coordinate_units": coordinate_units,
        "T": None if T is None else str(T),
        "statistics": statistics,
        "amount": amount,
        "has_std": has_std,
    }
    variable.attrs["history"] = ds.attrs["history"] = extend_history(
        None, "open_columns", used
    )
    if amount is not None:
        variable.attrs["amount"] = amount
    return ds


def _labels(
    where: Path,
    quantity: str | None,
    units: str | None,
    coordinate: str | None,
    coordinate_units: str | None,
) -> tuple[str, str, str, str]:
    """Return the labels of a table, checked against the vocabulary."""
    row_ = QUANTITIES.get(quantity or "")
    dim = coordinate or (row_.dims[-1] if row_ else None)
    if dim is not None and dim not in COORDINATES:
        raise CoordinateError(
            f"coordinate={dim!r} is not known",
            fix=f"coordinate= one of {', '.join(COORDINATES)}",
        )
    # Spectroscopists write a Raman shift in 1/cm.
    raman = (quantity, dim) == ("raman_intensity", "E")
    example = "1/cm" if raman else COORDINATES[dim][0] if dim else "meV"
    if row_ and dim and units is not None and coordinate_units is not None:
        return (
            row_.name,
            value_units(units, row_.name, name="units"),
            dim,
            axis_units(coordinate_units, dim, name="coordinate_units", example=example),
        )
    missing = {}
    if row_ is None:
        missing[f"quantity={quantity!r}"] = f"quantity= one of {', '.join(QUANTITIES)}"
    if units is None:
        missing["units=None"] = f"units='{row_.units if row_ else 1}'; '1' if arbitrary"
    if coordinate_units is None:
        missing["coordinate_units=None"] = f"coordinate_units='{example}'"
    raise QuantityError(
        f"{where.name} is a table, opened with {', '.join(missing)}",
        reason="text does not contain quantity and units",
        fix="; ".join(missing.values()),
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
    value, std = signal.value, signal.std
    name = str(value.name or signal.quantity.variable)
    if (
        value.ndim != 1
        or np.isinf(value).any()
        or (std is not None and np.isinf(std).any())
    ):
        raise QuantityError(
            f"'{name}' over {tuple(value.dims)} cannot be written as columns",
            reason="they represent one dimension, and no infinite values",
            fix="cut it first: data.bp.cut_Q((2, 8)); data.where(abs(data) < "
            "float('inf')); or write netCDF: data.bp.to_netcdf(path)",
        )
    (dim,) = map(str, value.dims)
    source = signal.source
    is_dataset = isinstance(source, xr.Dataset)
    coords = source.coords if is_dataset else value.coords
    common = common_name(name)
    further = [common] if is_dataset and common in source else []
    kept = {dim, "bnds", *([SOURCE] if further else [])}

    def packed(variable: Any) -> list[Any]:
        return [list(variable.dims), variable.values.tolist(), dict(variable.attrs)]

    columns = {dim: value[dim], name: value}
    if std is not None:
        columns[f"{name}_std"] = source[f"{name}_std"].copy(data=std.values)
    header: dict[str, Any] = {
        "names": list(columns),
        "attrs": [dict(column.attrs) for column in columns.values()],
        "coords": {
            str(key): packed(coordinate)
            for key, coordinate in coords.items()
            if key != dim and set(coordinate.dims) <= kept
        },
        "further": {key: packed(source[key]) for key in further},
        "dataset": dict(source.attrs) if is_dataset else {},
    }
    rows = np.stack(
        [column.values.astype(float) for column in columns.values()], axis=1
    )
    titles = (f"{n} [{c.attrs.get('units', '1')}]" for n, c in columns.items())
    lines = [
        _MARK + json.dumps(header, default=lambda value: value.tolist()),
        f"# {' '.join(titles)}",
        *(" ".join(map(repr, row)) for row in rows.tolist()),
        _END,
    ]
    write_text(path, lines, overwrite=overwrite)


def _read_own(lines: list[str]) -> xr.Dataset:
    """Return the Dataset that `to_columns` wrote."""
    check(lines[-1] == _END, f"its last line is not '{_END}'")
    header = json.loads(lines[0].removeprefix(_MARK))
    names, attrs = header["names"], header["attrs"]
    rows = [line for line in lines if not line.startswith("#")]
    size = len(rows) * len(names)
    table = to_numbers(rows, "the table", size=size, largest=np.inf)
    columns = table.reshape(-1, len(names)).T
    dim, name = names[:2]
    check(
        all(len(set(dims)) == len(dims) for dims, _, _ in header["coords"].values()),
        "its header has a coordinate over one dimension twice",
    )
    ds = xr.Dataset(
        {key: (dim, columns[i], attrs[i]) for i, key in enumerate(names) if i},
        coords={dim: (dim, columns[0], attrs[0])}
        | {
            key: (tuple(dims), np.array(values), labels)
            for key, (dims, values, labels) in header["coords"].items()
        },
        attrs=header["dataset"],
    )
    for key, (dims_, values, labels) in header.get("further", {}).items():
        ds[str(key)] = (tuple(dims_), np.array(values, dtype=float), labels)
    validate(ds[name])
    std_of(ds, ds[name])
    return ds


def _require_same(ds: xr.Dataset, given: dict[str, Any], T: Any) -> xr.Dataset:
    """Check the arguments against a file of xbp; only the temperature may be set.

    Raises
    ------
    QuantityError
        If an argument contradicts the file.
    """
    value = next(iter(ds.data_vars.values()))
    (dim,) = map(str, value.dims)
    own = {
        **value.attrs,
        "coordinate": dim,
        "coordinate_units": ds[dim].attrs.get("units"),
    }
    for name, argument in given.items():
        if argument is None or argument == own.get(name):
            continue
        if name.endswith("units") and parse_unit(argument) == parse_unit(
            str(own[name])
        ):
            continue
        raise QuantityError(
            f"{name}={argument!r} contradicts the file, which has {own.get(name)!r}",
            fix=f"leave {name}= out, or change it after opening",
        )
    return ds if T is None else ds.assign_coords(temperature=temperature_coordinate(T))


FORMAT = Format("columns", "text", declined, open_columns)
ColumnsBackend = FORMAT.backend()
