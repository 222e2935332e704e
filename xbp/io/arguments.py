"""What every reader is given by a caller: a path, names to drop; and xarray's question whether it takes a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.errors import FileFormatError, QuantityError

__all__ = ["can_open", "to_path", "without"]


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
        raise FileFormatError(f"{path!r} is no path", reason=str(error), fix="give a file's path as text") from error


def without(ds: xr.Dataset, drop_variables: str | Iterable[str] | None) -> xr.Dataset:
    """Return a Dataset without some of its variables: what ``drop_variables=`` of xarray names.

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


def can_open(candidate: Any, decline: Callable[[Path], str | None]) -> bool:
    """Tell whether something is a file that a reader does not decline."""
    try:
        return Path(candidate).is_file() and decline(Path(candidate)) is None
    except (TypeError, OSError, ValueError):
        return False
