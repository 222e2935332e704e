"""What all readers share: arguments, errors, backends, masks, units of densities."""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.units import convert_factor, format_unit, is_energy_like, parse_unit
from xbp.io.hdf5 import HDF5_ERRORS, open_hdf5
from xbp.io.text import check, head

__all__ = [
    "Format",
    "axis_units",
    "density_per_mev",
    "measured",
    "reader",
    "require_normalization",
    "to_path",
    "value_units",
]

P = ParamSpec("P")
#: What a damaged file may raise, depending on where the damage is.
DAMAGE = (*HDF5_ERRORS, LookupError, AttributeError, RecursionError)


def to_path(path: Any) -> Path:
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
        raise FileFormatError(f"{path!r} is not a path", reason=str(error)) from error


def reader(
    kind: str,
) -> Callable[
    [Callable[Concatenate[Path, P], xr.Dataset]],
    Callable[Concatenate[str | os.PathLike[str], P], xr.Dataset],
]:
    """Make a function that reads a path a reader.

    Arguments are checked against its annotations; damage becomes a FileFormatError.

    Parameters
    ----------
    kind : str
        Name of the format.
    """

    def wrap(
        function: Callable[Concatenate[Path, P], xr.Dataset],
    ) -> Callable[Concatenate[str | os.PathLike[str], P], xr.Dataset]:
        @functools.wraps(function)
        def read(
            path: str | os.PathLike[str], /, *args: P.args, **options: P.kwargs
        ) -> xr.Dataset:
            where = to_path(path)
            check_arguments(function, options)
            try:
                return function(where, *args, **options)
            except XbpError:
                raise
            except DAMAGE as error:
                raise FileFormatError(
                    f"{where} cannot be read as {kind}",
                    reason=_reason(error),
                    fix="it may be truncated, or another format: copy it again, or "
                    "try xbp.open_dataset(path)",
                ) from error

        return read

    return wrap


def _reason(error: BaseException) -> str:
    """Return why a file cannot be read, in words for users."""
    if isinstance(error, LookupError | AttributeError | TypeError):
        return f"a part is missing or of another kind ({type(error).__name__})"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@functools.cache
def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(function)
    return {
        name: hints[name]
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def check_arguments(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Hold keyword arguments to the annotations of a function.

    Raises
    ------
    QuantityError
        If one is of another type, not among the choices, or not finite.
    """
    for name, annotation in _annotations(function).items():
        if name in options and not _fits(options[name], annotation):
            raise QuantityError(
                f"{name}={options[name]!r:.80} is not {_described(annotation)}"
            )


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating)
    return number and not isinstance(value, bool) and bool(np.isfinite(value))


def _fits(value: Any, annotation: Any) -> bool:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:
        pair = isinstance(value, tuple | list) and len(value) == len(parts)
        return pair and all(map(_is_number, value))
    if annotation is float:
        return _is_number(value)
    if annotation is bool:
        return isinstance(value, bool | np.bool_)
    return annotation is Any or isinstance(value, origin or annotation)


def _described(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_described, parts))
    if origin is typing.Literal:
        return " or ".join(map(repr, parts))
    names = {float: "a number", bool: "True or False", str: "a text"}
    names |= {tuple: "a pair of numbers", type(None): "None"}
    return names.get(origin or annotation, "a mapping")


@dataclass(frozen=True)
class Format:
    """A file format: its name, how a file of it is recognised, its reader.

    Attributes
    ----------
    name : str
        For messages.
    content : {"text", "hdf5"}
        What `declined` is given: the first lines of a text, or an open HDF5 file.
    declined : callable
        Returns why a file is not of this format, or None if it is.
    open : callable
        The reader, which takes a path.
    guesses : bool
        Whether ``xarray.open_dataset(path)`` may choose the reader without ``engine=``.
    """

    name: str
    content: str
    declined: Callable[[Any], str | None]
    open: Callable[..., xr.Dataset]
    guesses: bool = True

    @property
    def engine(self) -> str:
        """Name for ``engine=``."""
        return self.open.__module__.rpartition(".")[2]

    @property
    def options(self) -> list[str]:
        """Names of the keyword arguments of the reader."""
        return list(_annotations(inspect.unwrap(self.open)))

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
            return without(format_.open(filename_or_obj, **options), drop_variables)

        def guess_can_open(self: BackendEntrypoint, filename_or_obj: Any) -> bool:
            try:
                where = Path(filename_or_obj)
                return (
                    format_.guesses and where.is_file() and format_.takes(where) is None
                )
            except (TypeError, *DAMAGE):
                return False

        parameters = ("filename_or_obj", "drop_variables", *self.options)
        parts = {
            "__doc__": f'``xarray.open_dataset(path, engine="{self.engine}")``.',
            "__module__": self.open.__module__,
            "description": f"{self.name} (xbp)",
            "open_dataset_parameters": parameters,
            "open_dataset": open_dataset,
            "guess_can_open": guess_can_open,
        }
        name = self.engine.title().replace("_", "") + "Backend"
        return type(name, (BackendEntrypoint,), parts)

    def takes(self, path: Path) -> str | None:
        """Return why a file is not of this format, or None if it is."""
        if self.content == "text":
            return self.declined(head(path))
        with open_hdf5(path) as file:
            return self.declined(file)


def without(ds: xr.Dataset, drop_variables: str | Iterable[str] | None) -> xr.Dataset:
    """Return a Dataset without the variables that ``drop_variables=`` of xarray names.

    Raises
    ------
    QuantityError
        If it is not a name or a list of names in the file.

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
            fix=f"name some of {', '.join(map(str, ds.variables))}",
        ) from error


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
    fits = (row.units, *(row.also or ()), "1")
    if row.also is not None and not any(unit.is_compatible_with(fit) for fit in fits):
        raise UnitsError(
            f"{name}={units!r} of a {quantity}",
            reason=f"it must convert to {' or '.join(fits[:-1])}, or be '1'",
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
        f"{name}={units!r} for the coordinate '{dim}'",
        reason=f"'{dim}' must convert to '{canonical}'",
        fix=f"{name}='{example or canonical}', or other units of '{dim}'",
    )


def measured(
    values: np.ndarray, std: np.ndarray | None = None, *, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Set bins that were not measured to NaN.

    Parameters
    ----------
    values, std : numpy.ndarray
        As in the file, in any units.
    mask : numpy.ndarray of bool, optional
        True where the file itself marks a bin as masked; broadcast against `values`.

    Returns
    -------
    values, std : numpy.ndarray
        Both are NaN where either is not finite or beyond ±1e29, where the error is
        negative, and where masked. An error of 0 stays. If all errors are 0, there are
        none and `std` is None.

    Raises
    ------
    ValueError
        If nothing was measured.

    Examples
    --------
    >>> values = np.array([1.0, np.inf, -1e30, 4.0, 5.0])
    >>> measured(values, np.array([0.1, 0.1, 0.0, -1.0, 0.0]))
    (array([ 1., nan, nan, nan,  5.]), array([0.1, nan, nan, nan, 0. ]))
    >>> measured(np.array([1.0, 2.0]), np.zeros(2))
    (array([1., 2.]), None)
    """
    # Programs without NaN write ±1e30 or the like; no measured value is that large.
    sentinel = 1e29
    hidden = ~(np.abs(values) < sentinel)
    if mask is not None:
        hidden = hidden | mask
    if std is not None:
        hidden = hidden | ~((std >= 0) & (std < sentinel))
    check(
        not np.all(hidden),
        "no bin was measured: all are NaN, infinite, masked or without a valid error",
    )
    seen = np.where(hidden, np.nan, values)
    if std is None or not (std[~hidden] > 0).any():
        return seen, None
    return seen, np.where(hidden, np.nan, std)


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
    parsed, factor = parse_unit(units, like="1/meV", name="the density"), axis
    # A cross section per steradian, or without one; pint takes steradians for 1.
    scales = ("1", "barn/sr" if "sr" in format_unit(parsed) else "barn")
    scale = next(
        (s for s in map(parse_unit, scales) if is_energy_like((parsed / s) ** -1)), None
    )
    if scale is not None:
        own = format_unit((parsed / scale) ** -1)
        factor = convert_factor(own, "meV", name="the density", energy=True)
        parsed = parsed if factor == 1 else scale / parse_unit("meV")
    if factor == 1:
        return values, std, format_unit(parsed)
    return values / factor, None if std is None else std / factor, format_unit(parsed)


def require_normalization(
    name: str,
    quantity: str,
    values: np.ndarray,
    std: np.ndarray | None,
    *,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
) -> None:
    r"""Refuse values that cannot be the labelled function.

    S(Q) is a normalised intensity and never negative, and tends to 1, whereas S(Q) − 1,
    F(Q) and Q[S(Q) − 1] are, and tend to 0. g(r) tends to 1, whereas g(r) − 1 and G(r)
    tend to 0, and T(r) and the radial distribution function grow. F(Q) oscillates about
    0.

    Parameters
    ----------
    name : str
        Name of the file, for the message.
    quantity : str
        Name in the vocabulary; only these three are checked.
    values, std : numpy.ndarray
        Over an ascending axis; NaN are left out.
    lowest : float, optional
        S(Q) may fall to it, or below it by up to five standard deviations. None: no
        limit.
    tail : pair of float, optional
        Bounds on the mean of g(r) over the upper third of its points, and on that of an
        S(Q) that is negative somewhere, unless `lowest` allows less than -0.05, as for
        partial S(Q). None: no limit.

    Raises
    ------
    RangeError
        If a value is impossible for the function.

    Examples
    --------
    >>> values = np.array([-0.9, 0.5, 0.1])
    >>> require_normalization("a.txt", "static_structure_factor", values, None)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: ...
    """
    known = np.isfinite(values)
    if not known.any():
        return
    numbers = values[known]
    upper = numbers[-max(1, numbers.size // 3) :]
    mean = float(upper.mean())
    outside = tail is not None and not tail[0] <= mean <= tail[1]
    found = None
    if quantity == "static_structure_factor" and lowest is not None:
        error = np.zeros_like(numbers) if std is None else np.nan_to_num(std[known])
        if (numbers + 5 * error < lowest).any():
            found = (
                f"S(Q) falls to {numbers.min():.4g}, but cannot be negative",
                "S(Q) is a normalised intensity; S(Q) - 1 and F(Q) are other functions",
                "convert the data; quantity='interference_function' for F(Q); lowest="
                f"{np.floor(numbers.min() * 10) / 10:.1f} for a partial S(Q), or for "
                "scattering lengths of both signs",
            )
        elif outside and -0.05 <= lowest <= numbers.min() < 0:
            found = (
                f"S(Q) has a mean of {mean:.4g} over the upper third of Q, and is "
                "negative elsewhere",
                "S(Q) tends to 1; S(Q) - 1 and F(Q) tend to 0",
                "convert the data to S(Q); tail=None if Q ends before S(Q) reaches 1",
            )
    elif quantity == "radial_distribution" and outside:
        found = (
            f"g(r) has a mean of {mean:.4g} over the upper third of r",
            "g(r) tends to 1; g(r) - 1 and G(r) tend to 0; the RDF 4πρr²g(r) grows",
            "convert the data to g(r); tail=None if r ends before g(r) reaches 1",
        )
    elif (
        quantity == "interference_function"
        and numbers.min() >= 0
        and float(upper.std()) < mean / 4
    ):
        found = (
            f"F(Q) is nowhere negative, and has a mean of {mean:.4g} over the upper "
            "third of Q",
            "F(Q) oscillates about 0; S(Q) tends to 1",
            "quantity='static_structure_factor', or subtract the level at high Q",
        )
    if found is not None:
        raise RangeError(f"{name}: {found[0]}", reason=found[1], fix=found[2])


def at_temperature(ds: xr.Dataset, temperature: xr.Variable | None) -> xr.Dataset:
    """Record the temperature at which the data were taken.

    Raises
    ------
    CoordinateError
        If the data are over temperature.
    """
    if temperature is None:
        return ds
    if "temperature" not in ds.dims:
        return ds.assign_coords(temperature=temperature)
    ds.close()
    raise CoordinateError(
        f"T={float(temperature.values):g} K beside a coordinate 'temperature' of "
        f"{ds.sizes['temperature']} points",
        fix="leave T= out",
    )
