"""Two- and three-column text.

Units given by the caller, or by the header that xbp writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.diagnostic import diagnosed
from xbp.core.errors import CoordinateError, QuantityError, XbpError
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.signal import extend_history
from xbp.core.units import is_one_of, parse_unit
from xbp.io.arguments import axis_units, can_open, to_path, value_units, without
from xbp.io.named import named_format, require_plain_table
from xbp.io.normalization import require_normalization
from xbp.io.own_columns import MARK, as_told, read_own, to_columns
from xbp.io.table import read_table, require_one_run, require_whole, row
from xbp.io.text import TEXT_ERRORS, head, is_ended, read_lines, unreadable
from xbp.io.titles import (
    column_titles,
    labelled_rows,
    require_quantity_of_titles,
    require_units_of_titles,
    used_columns,
)
from xbp.reduction.heat_capacity import Amount
from xbp.reduction.imaginary import imaginary_modes

__all__ = ["ColumnsBackend", "decline", "open_columns", "to_columns"]

#: What spectroscopists of the quantity write their axis in, where it is not the
#: canonical unit.
_USUAL = {("raman_intensity", "E"): "1/cm"}
_AMOUNTS = get_args(Amount)


def decline(path: Path) -> str | None:
    """Say why a file cannot be opened as columns without further word, or None where xbp wrote it."""
    lines = head(path)
    if lines and lines[0].startswith(MARK):
        return None
    known = named_format(lines)
    if known is not None:
        return f"it is {known}"
    if any(row(line) is not None for line in lines):
        return "it is a table that does not say what it holds"
    return "it has no rows of two or three numbers"


def open_columns(
    path: str | os.PathLike[str],
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
    """Read a table of a coordinate, a value and, in a third column, its standard deviation.

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
    is not a row, or has fewer decimals than all others. Integers give no clue: ``100
    1000``, ``200 2000``, ``300 30`` may be cut off.

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
        or another function, and refused. So is an S(Q) with such a mean that is negative
        somewhere, since S(Q) - 1 tends to 0, unless `lowest` is below -0.05. None: no
        limit.
    check_titles : bool
        Whether titles of the columns that name another quantity, axis or unit, or a
        function such as a logarithm, are refused. False: the titles are wrong.

    Returns
    -------
    xarray.Dataset
        The variable named as the vocabulary has it, with ``<name>_std`` where there is
        a third column. Of a file that `to_columns` wrote nothing has to be said.

    Raises
    ------
    QuantityError, UnitsError
        If the quantity or the units are not given, unknown, or of a dimension that the
        quantity or the coordinate cannot have; if `amount` is of something that is not
        per mole.
    FileFormatError
        If the text has a format of its own; if there is no table, more than one, or
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
    ...     _ = path.write_text(os.linesep.join(["# THz and 1/THz", "1.0 0.5", "2.0 0.25"]))
    ...     g = open_columns(path, quantity="vibrational_dos", units="1/THz", coordinate_units="THz").g
    >>> g.bp.convert(E="meV").E.values.round(3)
    array([4.136, 8.271])
    """
    where = to_path(path)
    try:
        lines = read_lines(where, complete=False)
        if lines and lines[0].startswith(MARK):
            return as_told(
                read_own(lines),
                quantity,
                units,
                coordinate,
                coordinate_units,
                T,
                statistics,
                amount,
            )
        require_plain_table(where, lines)
        table = read_table(where, lines)
        if not is_ended(where):
            require_whole(lines)
    except XbpError:
        raise
    except (
        *TEXT_ERRORS,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise unreadable(where, "columns", error) from error
    labels = _labels(where, quantity, units, coordinate, coordinate_units)
    if amount is not None:
        _require_molar(amount, labels)
    dim = labels.dim
    titles = column_titles(lines, table.start, table.values.shape[1])
    if check_titles:
        require_units_of_titles(
            where.name,
            lines[: table.start],
            titles,
            labels.units,
            labels.coordinate_units,
            labels.dim,
        )
        require_quantity_of_titles(
            where.name, lines[: table.start], titles, labels.quantity, labels.dim
        )
    x, *columns = table.values.T[: used_columns(where, lines, table, titles, has_std)]
    if dim == "temperature":
        require_one_run(where, x, table.breaks)
        # A thermometer scatters, and a sample is cooled and heated: points come in an
        # order of their own.
        order = np.argsort(x, kind="stable")
        x, columns = x[order], [column[order] for column in columns]
    steps = np.diff(x)
    if (steps < 0).all():
        x, columns = x[::-1], [column[::-1] for column in columns]
    elif not (steps > 0).all():
        raise CoordinateError(
            f"the first column of {where.name} is neither ascending nor descending "
            f"({int((steps <= 0).sum())} of {steps.size} steps)",
            reason="it is no coordinate, or the rows of several tables follow one "
            "another",
            fix="take the file apart, or drop the duplicates",
        )
    require_normalization(
        where.name,
        labels.quantity,
        columns[0],
        columns[1] if columns[1:] else None,
        lowest=lowest,
        tail=tail,
    )
    ds = new_dataset(
        labels.quantity,
        columns[0],
        std=columns[1] if len(columns) > 1 else None,
        units=labels.units,
        coords={dim: (x, labels.coordinate_units)},
        temperature=T,
        statistics=statistics,
        attrs={"source": f"text file {where.name}"}
        | labelled_rows(lines[: table.start]),
    )
    said = {
        "file": where.name,
        "quantity": labels.quantity,
        "units": labels.units,
        "coordinate": dim,
        "coordinate_units": labels.coordinate_units,
        "T": None if T is None else str(T),
        "statistics": statistics,
        "amount": amount,
        "has_std": has_std,
    }
    variable = ds[QUANTITIES[labels.quantity].variable]
    if (
        labels.quantity == "vibrational_dos"
        and (found := imaginary_modes(variable, ds)) is not None
    ):
        variable.attrs |= diagnosed({}, found)
    # It is passed on as a DataArray, without the attributes of its Dataset.
    if labels.quantity == "static_structure_factor":
        variable.attrs["source"] = ds.attrs["source"]
    variable.attrs["history"] = ds.attrs["history"] = extend_history(
        None, "open_columns", said
    )
    if amount is not None:
        variable.attrs["amount"] = amount
    return ds


class _Labels(NamedTuple):
    """What the caller says of a table, checked."""

    quantity: str
    units: str
    dim: str
    coordinate_units: str


def _labels(
    where: Path,
    quantity: str | None,
    units: str | None,
    coordinate: str | None,
    coordinate_units: str | None,
) -> _Labels:
    """Hold the arguments to the vocabulary.

    What is missing is named, and nothing else.
    """
    known = quantity if is_one_of(quantity, *QUANTITIES) else None
    row_ = None if known is None else QUANTITIES[known]
    dim = (
        coordinate
        if coordinate is not None
        else row_.dims[-1]
        if row_ is not None
        else None
    )
    if dim is not None and not is_one_of(dim, *COORDINATES):
        raise CoordinateError(
            f"coordinate={dim!r} is not known",
            reason="its units cannot be checked",
            fix=f"coordinate= one of {', '.join(COORDINATES)}",
        )
    example = (
        "meV" if dim is None else _USUAL.get((str(known), dim), COORDINATES[dim][0])
    )
    mends = {
        "quantity": None if known else f"quantity= one of {', '.join(QUANTITIES)}",
        "units": None
        if units is not None
        else f"units='{'1' if row_ is None else row_.units}'; '1' if arbitrary",
        "coordinate_units": None
        if coordinate_units is not None
        else f"coordinate_units='{example}'",
    }
    missing = {name: mend for name, mend in mends.items() if mend is not None}
    if (
        known is None
        or row_ is None
        or dim is None
        or units is None
        or coordinate_units is None
    ):
        given = {
            "quantity": quantity,
            "units": units,
            "coordinate_units": coordinate_units,
        }
        raise QuantityError(
            f"{where.name} is a table, opened with "
            f"{', '.join(f'{name}={given[name]!r}' for name in missing)}",
            reason="text does not say what its numbers are",
            fix="; ".join(missing.values()),
        )
    return _Labels(
        known,
        value_units(units, known, name="units"),
        dim,
        axis_units(coordinate_units, dim, name="coordinate_units", example=example),
    )


def _require_molar(amount: Any, labels: _Labels) -> None:
    """Refuse a mole of something that is not known, or of data that are not per mole."""
    if not is_one_of(amount, *_AMOUNTS):
        raise QuantityError(
            f"amount={amount!r} is not known",
            reason="a mole is of atoms or of formula units, and they differ by a "
            "factor",
            fix="amount='atoms' or amount='formula units'",
        )
    if labels.quantity != "heat_capacity" or not parse_unit(
        labels.units
    ).is_compatible_with("J/mol/K"):
        raise QuantityError(
            f"amount={amount!r} of a {labels.quantity} in '{labels.units}'",
            reason="it says what a mole is of, of a heat capacity per mole",
            fix="leave amount= out; .bp.to_molar(...) makes a heat capacity of the "
            "sample or per gram one per mole",
        )


class ColumnsBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="columns", quantity=..., units=...)``."""

    description = "Two- and three-column text, its units given by the caller"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "quantity",
        "units",
        "coordinate",
        "coordinate_units",
        "T",
        "statistics",
        "amount",
        "has_std",
        "lowest",
        "tail",
        "check_titles",
    )

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
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
        """Open a file; keywords as for `open_columns`."""
        ds = open_columns(
            filename_or_obj,
            quantity=quantity,
            units=units,
            coordinate=coordinate,
            coordinate_units=coordinate_units,
            T=T,
            statistics=statistics,
            amount=amount,
            has_std=has_std,
            lowest=lowest,
            tail=tail,
            check_titles=check_titles,
        )
        return without(ds, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Recognise what xbp wrote, so that ``xarray.open_dataset(path)`` needs no ``engine=``."""
        return can_open(filename_or_obj, decline)
