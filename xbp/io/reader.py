"""What all readers share: formats, arguments, backends, masks, units of densities."""

from __future__ import annotations

import csv
import functools
import inspect
import os
import re
import struct
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.conditions import resolve, temperature_coordinate
from xbp.core.errors import (
    MAYBE_DAMAGED,
    CoordinateError,
    FileFormatError,
    MissingDependencyError,
    QuantityError,
    UnitsError,
    XbpError,
    shown,
)
from xbp.core.guards import choose
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.units import convert_factor, format_unit, is_energy_like, parse_unit
from xbp.io.foreign import foreign_format
from xbp.io.guide import Guide
from xbp.io.hdf5 import HDF5_ERRORS, open_hdf5
from xbp.io.netcdf import open_classic
from xbp.io.publish import to_path
from xbp.io.text import (
    check,
    head,
    header_matches,
    read_bytes,
    read_lines,
    start_of,
    translated,
)

__all__ = [
    "Format",
    "axis_units",
    "density_per_mev",
    "value_units",
]

P = ParamSpec("P")
DAMAGE = (
    *HDF5_ERRORS,
    LookupError,
    AttributeError,
    RecursionError,
    csv.Error,
    struct.error,
)


def check_arguments(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check keyword arguments against the annotations of a function.

    Raises
    ------
    QuantityError
        If one is of another type, not among the choices, or not finite.
    """
    hints = _hints(function)
    for name, value in options.items():
        kinds = _members(hints.get(name, Any))
        words = [kind for kind in kinds if isinstance(kind, str)]
        if any(_fits(value, kind) for kind in kinds if not isinstance(kind, str)):
            continue
        if words and isinstance(value, str):
            choose(value, words, name)
        else:
            wanted = " or ".join(
                _NAMES.get(_origin(kind), repr(kind)) for kind in kinds
            )
            raise QuantityError(f"{name}={shown(value)} must be {wanted}")


_hints = functools.lru_cache(maxsize=256)(typing.get_type_hints)
_NAMES = {float: "a number", bool: "True or False", str: "text"}
_NAMES |= {tuple: "a pair of numbers", Mapping: "a mapping", type(None): "None"}


def _origin(kind: Any) -> Any:
    return typing.get_origin(kind) or kind


def _members(kind: Any) -> list[Any]:
    """Return the types of a union, and the words of a Literal."""
    if _origin(kind) in (typing.Union, types.UnionType, Literal):
        return [one for part in typing.get_args(kind) for one in _members(part)]
    return [kind]


def _fits(value: Any, kind: Any) -> bool:
    if _origin(kind) is tuple:
        pair = isinstance(value, tuple | list) and len(value) == 2
        return pair and all(_fits(each, float) for each in value)
    if kind is float:
        number = isinstance(value, int | float | np.integer | np.floating)
        return number and not isinstance(value, bool) and bool(np.isfinite(value))
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    return kind is Any or isinstance(value, _origin(kind))


@dataclass
class Format:
    """A file format: its name, how a file of it is recognised, its reader.

    Attributes
    ----------
    name : str
        For messages.
    content : {"text", "binary", "hdf5", "classic"}
        What `find` is given: the lines of a text, the bytes of another file, an open
        HDF5 file, or the variables of a classic netCDF file.
    find : callable
        Returns a part by which the format is recognised, or None.
    lacks : str or callable
        Why a file is not of this format.
    resembles : str, optional
        Pattern in the header of every text of this format, also if it is damaged or of
        another version. Such a text is never read as columns, unless `is_table`.
    is_table : bool
        Whether a good text of the format may be read as columns, with arguments.
    guesses : bool
        Whether ``xarray.open_dataset(path)`` may choose the reader without ``engine=``.
    strict : bool
        Whether ``engine=`` opens only what is recognised.
    whole : bool
        Whether a text must end with the end of a line.
    endless : bool
        Whether a text does not say where it ends. Others may lack the end of their last
        line, if it is whole.
    finite : bool
        Whether the reader makes infinities NaN, by `masks.measured`: what it returns is
        not searched for them again.
    guide : Guide, optional
        Its row in the tables of docs/files.md.
    parts : tuple of str
        Names in every HDF5 file of the format, by which the error for an
        unrecognised file suggests this format.
    other_engine : str
        Name for ``engine=``, if it is not that of the module.
    open, of_part : callable
        The reader, of a path; and of a path with what `find` returned in its open file.
    made : list of Format
        All formats.
    """

    name: str
    content: Literal["text", "binary", "hdf5", "classic"]
    find: Callable[[Any], Any]
    lacks: str | Callable[[Any], str | None]
    resembles: str | None = None
    is_table: bool = False
    guesses: bool = True
    strict: bool = True
    whole: bool = True
    endless: bool = False
    finite: bool = False
    guide: Guide | None = None
    parts: tuple[str, ...] = ()
    other_engine: str = ""
    open: Callable[..., xr.Dataset] = field(init=False)
    of_part: Callable[..., xr.Dataset] = field(init=False, repr=False, compare=False)
    made: ClassVar[list[Format]] = []

    def __post_init__(self) -> None:
        self.made.append(self)

    def declined(self, content: Any) -> str | None:
        """Return why a file is not of this format, or None if it is."""
        return None if self.find(content) else self._lack(content)

    def _lack(self, content: Any) -> str | None:
        return self.lacks if isinstance(self.lacks, str) else self.lacks(content)

    @contextmanager
    def _content(self, path: Path) -> Iterator[Any]:
        if self.content == "hdf5":
            with open_hdf5(path) as file:
                yield file
        elif self.content == "classic":
            with open_classic(path) as ds:
                yield ds
        elif self.content == "binary":
            yield read_bytes(path)
        else:
            yield read_lines(path, complete=self.whole, endless=self.endless)

    def reader(
        self, function: Callable[Concatenate[Path, Any, P], xr.Dataset]
    ) -> Callable[Concatenate[str | os.PathLike[str], P], xr.Dataset]:
        """Make the reader of a function of path and lines, or what `find` found.

        Arguments are checked against annotations; damage becomes a FileFormatError, and
        other errors of xbp get the path.
        """

        @functools.wraps(function)
        def read(
            path: str | os.PathLike[str], /, *args: P.args, **options: P.kwargs
        ) -> xr.Dataset:
            where = to_path(path)
            check_arguments(function, options)
            what = f"{where} cannot be read as {self.name}"
            fix = MAYBE_DAMAGED
            with translated(what, *DAMAGE, fix=fix), self._content(where) as content:
                whole = self.content in ("text", "binary")
                found = self.find(content) if self.strict or not whole else content
                if self.strict and not found:
                    reason = self._lack(content) or ""
                    fix = "xbp.open_dataset(path) finds the format by the content"
                    raise FileFormatError(what, reason=reason, fix=fix)
                return of_part(where, content if whole else found, *args, **options)

        def of_part(
            where: Path, part: Any, /, *args: P.args, **options: P.kwargs
        ) -> xr.Dataset:
            check_arguments(function, options)
            what = f"{where} cannot be read as {self.name}"
            with translated(what, *DAMAGE, fix=MAYBE_DAMAGED):
                with _located(where):
                    ds = function(where, part, *args, **options)
                for name, variable in () if self.finite else ds.data_vars.items():
                    check(not _is_infinite(variable), f"'{name}' is infinite in places")
                return ds

        signature = inspect.signature(function)
        first, _, *others = signature.parameters.values()
        of_users = signature.replace(parameters=[first, *others])
        read.__signature__ = of_users  # type: ignore[attr-defined]
        self.open, self.of_part = read, of_part
        return read

    @property
    def engine(self) -> str:
        """Name for ``engine=``."""
        return self.other_engine or self.open.__module__.rpartition(".")[2]

    @functools.cached_property
    def options(self) -> list[str]:
        """Names of the keyword arguments of the reader."""
        return list(inspect.signature(self.open).parameters)[1:]

    def kinds(self, option: str) -> list[Any]:
        """Return the types that an option may have, and its words; none if unknown."""
        if option not in self.options:
            return []
        return _members(_hints(self.open)[option])

    def backend(self) -> type[BackendEntrypoint]:
        """Return the class by which xarray opens the format."""
        format_ = self

        def open_dataset(
            self: BackendEntrypoint,
            filename_or_obj: Any,
            *,
            drop_variables: str | Iterable[str] | None = None,
            **options: Any,
        ) -> xr.Dataset:
            ds = format_.open(filename_or_obj, **options)
            names = drop_variables or []
            try:
                return ds.drop_vars([names] if isinstance(names, str) else list(names))
            except (TypeError, ValueError) as error:
                raise QuantityError(
                    f"drop_variables={shown(names)} must be among {list(ds.variables)}"
                ) from error

        def guess_can_open(self: BackendEntrypoint, filename_or_obj: Any) -> bool:
            try:
                where = Path(filename_or_obj)
                if not format_.guesses or not where.is_file():
                    return False
                start = start_of if format_.content == "binary" else head
                return format_.declined(start(where)) is None
            except (TypeError, *DAMAGE):
                return False

        parts = {
            "__doc__": f'``xarray.open_dataset(path, engine="{self.engine}")``.',
            "__module__": self.open.__module__,
            "description": f"{self.name} (xbp)",
            "open_dataset_parameters": (
                "filename_or_obj",
                "drop_variables",
                *self.options,
            ),
            "open_dataset": open_dataset,
            "guess_can_open": guess_can_open,
        }
        name = self.engine.title().replace("_", "") + "Backend"
        return type(name, (BackendEntrypoint,), parts)


def _is_infinite(variable: xr.DataArray, size: int = 2**14) -> bool:
    """Return whether a number is infinite; parts of an array fit into the cache."""
    if variable.dtype.kind != "f":
        return False
    flat = variable.values.reshape(-1)
    parts = (flat[at : at + size] for at in range(0, flat.size, size))
    with np.errstate(over="ignore", invalid="ignore"):
        # A finite sum has none, and is the faster to find.
        odd = (part for part in parts if not np.isfinite(part.sum()))
        return any(bool(np.isinf(part).any()) for part in odd)


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Add the path to errors, and drop fixes that need the data, which are not open."""
    try:
        yield
    except (FileFormatError, MissingDependencyError):
        raise
    except XbpError as error:
        if re.search(rf"(?<!\w){re.escape(path.name)}(?!\w)", error.summary):
            raise
        fix = "" if re.search(r"\bdata[.\[]", error.fix) else error.fix
        found = type(error)(f"{path}: {error.summary}", reason=error.reason, fix=fix)
        raise found.with_traceback(error.__traceback__) from None


def named_format(lines: list[str]) -> str | None:
    """Return which format a text has or resembles; None for a plain table.

    Examples
    --------
    >>> named_format(["[Header]", "BYAPP,HeatCapacity,3.9.11"])
    'it is a heat capacity of a PPMS'
    >>> named_format(["BYAPP,VSM"])
    "it is a measurement by 'VSM' of Quantum Design, not HeatCapacity"
    >>> named_format(["# E S", "1 2", "2 3"])
    """
    for format_ in Format.made:
        if format_.resembles and header_matches(lines, format_.resembles):
            reason = format_.declined(lines)
            if format_.is_table and not reason:
                continue
            if reason and reason.startswith("it is "):
                return reason
            but = f", but {reason}" if reason else ""
            return f"it {'looks like' if reason else 'is'} {format_.name}{but}"
    foreign = foreign_format(lines)
    return f"it is {foreign}" if foreign else None


def value_units(units: str, quantity: str, *, name: str) -> str:
    """Return the units given for the values of a quantity, as xbp writes them.

    Raises
    ------
    UnitsError
        If they are unknown, or of a dimension that the quantity cannot have.

    Examples
    --------
    >>> value_units("mJ mol-1 K-1", "heat_capacity", name="units")
    'mJ/K/mol'
    """
    row = QUANTITIES[quantity]
    unit = parse_unit(units, like=row.units, name=f"{name}=")
    fits = dict.fromkeys((row.units, *(row.also or ()), "1"))
    if row.also is not None and not any(map(unit.is_compatible_with, fits)):
        raise UnitsError(
            f"{name}={units!r} of {quantity} must be {' or '.join(fits)}",
            fix=f"{name}='{row.units}'",
        )
    return format_unit(unit)


def axis_units(units: str, dim: str, *, name: str, example: str | None = None) -> str:
    """Return the units given for a coordinate, as xbp writes them.

    Raises
    ------
    UnitsError
        If they are unknown, or of a dimension that the coordinate cannot have.

    Examples
    --------
    >>> axis_units("cm-1", "E", name="units")
    '1/cm'
    """
    canonical = COORDINATES[dim][0]
    unit = parse_unit(units, like=canonical, name=f"{name}=")
    if is_energy_like(unit) if dim == "E" else unit.is_compatible_with(canonical):
        return format_unit(unit)
    raise UnitsError(
        f"{name}={units!r} of '{dim}' must convert to '{canonical}'",
        fix=f"{name}='{example or canonical}'",
    )


def density_per_mev(
    values: np.ndarray, std: np.ndarray | None, *, axis: float, units: str = "1"
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Convert a density in E together with its axis to meV, preserving ∫S dE.

    Parameters
    ----------
    values, std : numpy.ndarray
        The density and its error.
    axis : float
        One energy unit of the file in meV.
    units : str
        Units of the density. If they contain no energy it is per unit of the axis, on
        an arbitrary scale.

    Returns
    -------
    values, std : numpy.ndarray
        Per meV.
    units : str
        Units of the converted density: "1/meV", "barn/meV", ...; unchanged if they
        contain no energy.

    Raises
    ------
    UnitsError
        If units are not known.

    Examples
    --------
    >>> density_per_mev(np.array([8.0]), None, axis=1.0, units="1/meV")
    (array([8.]), None, '1/meV')
    >>> density_per_mev(np.array([8.0]), None, axis=1e-3)
    (array([8000.]), None, '1')
    >>> density_per_mev(np.array([8.0]), None, axis=1e-3, units="barn/eV")
    (array([0.008]), None, 'b/meV')
    """
    factor, own = _per_mev(units, axis)
    if factor != 1:
        values, std = values / factor, None if std is None else std / factor
    return values, std, own


@functools.lru_cache(maxsize=64)
def _per_mev(units: str, axis: float) -> tuple[float, str]:
    """Return what a density is divided by, and its units then; see above."""
    parsed, factor = parse_unit(units, like="1/meV", name="the density"), axis
    # A cross section per steradian, or without one; pint takes steradians for 1.
    scales = ("1", "barn/sr" if "sr" in format_unit(parsed) else "barn")
    for scale in map(parse_unit, scales):
        own = (parsed / scale) ** -1
        if is_energy_like(own):
            factor = convert_factor(format_unit(own), "meV", energy=True)
            parsed = parsed if factor == 1 else scale / parse_unit("meV")
            break
    return factor, format_unit(parsed)


def at_temperature(ds: xr.Dataset, T: Any) -> xr.Dataset:
    """Record the temperature at which the data were taken, if it is given.

    Raises
    ------
    CoordinateError
        If the data are over temperature.
    TemperatureError
        If the data were reduced at another temperature, which T= would only relabel.
    """
    if T is None:
        return ds
    temperature = temperature_coordinate(T)
    if not ds.coords.get("temperature", temperature).ndim:
        for array in ds.data_vars.values():
            if array.attrs.get("quantity") in ("generalized_dos", "reduced_dos"):
                try:
                    resolve(array, "temperature", T=T)
                except XbpError:
                    ds.close()
                    raise
    if "temperature" not in ds.dims:
        labelled = ds.assign_coords(temperature=temperature)
        labelled.set_close(ds.close)
        return labelled
    ds.close()
    raise CoordinateError(
        f"T={float(temperature.values):g} K contradicts a coordinate 'temperature' of "
        f"{ds.sizes['temperature']} points",
        fix="leave T= out",
    )
