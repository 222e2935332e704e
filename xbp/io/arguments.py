"""What every reader is given by a caller: a path, names to drop.

And xarray's question whether it takes a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.units import format_unit, is_energy_like, parse_unit

__all__ = [
    "axis_units",
    "can_open",
    "require_flag",
    "require_number",
    "require_text",
    "to_path",
    "value_units",
    "without",
]


def to_path(path: str | os.PathLike[str]) -> Path:
    """Return a path, whether there is a file or not.

    Raises
    ------
    FileFormatError
        If it is something else.

    Examples
    --------
    >>> to_path("glass.nc").suffix
    '.nc'
    """
    try:
        return Path(path)
    except TypeError as error:
        raise FileFormatError(
            f"{path!r} is no path", reason=str(error), fix="give a file's path as text"
        ) from error


def without(ds: xr.Dataset, drop_variables: str | Iterable[str] | None) -> xr.Dataset:
    """Return a Dataset without some of its variables.

    What ``drop_variables=`` of xarray names.

    Raises
    ------
    QuantityError
        If it is no name, or names what is not there.

    Examples
    --------
    >>> list(without(xr.Dataset({"a": 1, "b": 2}), "a"))
    ['b']
    """
    names = [drop_variables] if isinstance(drop_variables, str) else drop_variables
    try:
        return ds.drop_vars([] if names is None else list(names))
    except (TypeError, ValueError) as error:
        raise QuantityError(
            f"drop_variables={drop_variables!r:.80} cannot be dropped",
            reason=f"the file holds {', '.join(map(str, ds.variables))}",
            fix="drop_variables='name', or a list of names",
        ) from error


def value_units(units: str, quantity: str, *, name: str) -> str:
    """Return the units that a reader was told, as xbp writes them.

    Parameters
    ----------
    units : str
        What the argument says.
    quantity : str
        A name of the vocabulary.
    name : str
        Of the argument.

    Raises
    ------
    UnitsError
        If they are none, or of a dimension that the quantity cannot have.

    Examples
    --------
    >>> value_units("mJ mol-1 K-1", "heat_capacity", name="units")
    'mJ/K/mol'
    """
    row = QUANTITIES[quantity]
    unit = parse_unit(units, like=row.units, name=f"{name}=")
    fits = (row.units, *(row.also or ()), "1")
    if row.also is not None and not any(unit.is_compatible_with(fit) for fit in fits):
        raise UnitsError(
            f"{name}={units!r} of a {quantity}",
            reason=f"it is in {', '.join(fits[:-1])} or the like; '1' where it is "
            "arbitrary",
            fix=f"{name}='{row.units}'",
        )
    return format_unit(unit)


def axis_units(units: str, dim: str, *, name: str, example: str | None = None) -> str:
    """Return the units of a coordinate that a reader was told, as xbp writes them.

    Raises
    ------
    UnitsError
        If they are none, or of a dimension that the coordinate cannot have.

    Examples
    --------
    >>> axis_units("cm-1", "E", name="units")
    '1/cm'
    """
    example = example or COORDINATES[dim][0]
    unit = parse_unit(units, like=COORDINATES[dim][0], name=f"{name}=")
    if not (
        is_energy_like(unit)
        if dim == "E"
        else unit.is_compatible_with(COORDINATES[dim][0])
    ):
        raise UnitsError(
            f"{name}={units!r} for the coordinate '{dim}'",
            reason=f"'{dim}' must convert to '{example}'",
            fix=f"{name}='{example}', or whatever like it the numbers are in",
        )
    return format_unit(unit)


def require_number(value: Any, name: str, *, least: float = -np.inf) -> float:
    """Return a finite number that was passed as an argument.

    Raises
    ------
    QuantityError
        If it is none, or below `least`.
    """
    if (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and np.isfinite(value)
        and value >= least
    ):
        return float(value)
    limit = f" of at least {least:g}" if np.isfinite(least) else ""
    raise QuantityError(f"{name}={value!r:.80} is not a number{limit}")


def require_flag(value: Any, name: str) -> bool:
    """Return True or False that was passed as an argument.

    Raises
    ------
    QuantityError
        If it is neither.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise QuantityError(f"{name}={value!r:.80} is neither True nor False")


def require_text(value: Any, name: str) -> str:
    """Return a text that was passed as an argument.

    Raises
    ------
    QuantityError
        If it is none.
    """
    if isinstance(value, str):
        return value
    raise QuantityError(f"{name}={value!r:.80} is not a text")


def can_open(candidate: Any, decline: Callable[[Path], str | None]) -> bool:
    """Tell whether something is a file that a reader does not decline."""
    try:
        return Path(candidate).is_file() and decline(Path(candidate)) is None
    except (TypeError, OSError, ValueError):
        return False
