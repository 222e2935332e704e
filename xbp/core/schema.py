"""The data model: the names of all quantities, and the checks of data against it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    TemperatureError,
    UnitsError,
    XbpError,
    nearest,
    shown,
    with_article,
)
from xbp.core.operation import RESULTS, step_to
from xbp.core.units import (
    convert_factor,
    format_unit,
    is_energy_like,
    parse_unit,
    to_kelvin,
)

__all__ = [
    "COORDINATES",
    "DATASET_LABELS",
    "OF_STATISTICS",
    "QUANTITIES",
    "Quantity",
    "find_quantity",
    "symbols",
    "validate",
]

#: Attributes of every Dataset: the conventions it follows, and the data model.
DATASET_LABELS: Final = {"Conventions": "CF-1.11", "xbp_schema": "1"}
#: ``attrs["area"]`` of a g(E) of unknown area, such as one whose range ends inside the
#: band.
AREA_UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Quantity:
    """A quantity of the data model, named by ``attrs["quantity"]``.

    Attributes
    ----------
    name : str
        Value of ``attrs["quantity"]``.
    variable : str
        Name of the variable in a Dataset that xbp makes.
    label : str
        Label of an axis or a colour bar, without units.
    dims : tuple of str
        Its own dimensions; any further one broadcasts.
    units : str
        Canonical units.
    is_density : bool
        Whether it is a density in E, so that ∫ dE over it is what a change of axis
        keeps.
    is_companion : bool
        Whether it accompanies a map in the same Dataset, and is the signal only if it
        is alone.
    also : tuple of str, optional
        Units of other dimensions that are allowed, besides the canonical ones and "1"
        for arbitrary units; None if any are, as for a spectrum on an arbitrary scale.
    """

    name: str
    variable: str
    label: str
    dims: tuple[str, ...]
    units: str
    is_density: bool = False
    is_companion: bool = False
    also: tuple[str, ...] | None = None


def _density(*row: Any, is_companion: bool = False) -> Quantity:
    return replace(Quantity(*row), is_density=True, is_companion=is_companion)


_QE, _Q, _E, _T = ("Q", "E"), ("Q",), ("E",), ("temperature",)
_ROWS = (
    _density("dynamic_structure_factor", "S", "S(Q,E)", _QE, "1/meV"),
    _density("detector_spectra", "S", "S(2θ,E)", ("detector", "E"), "1/meV"),
    Quantity("generalized_dos", "G", "G(Q,E)", _QE, "angstrom**2"),
    Quantity("reduced_dos", "B", "B(Q,E)", _QE, "angstrom**2/meV**2"),
    _density("vibrational_dos", "g", "g(E)", _E, "1/meV", is_companion=True),
    Quantity("static_structure_factor", "Sq", "S(Q)", _Q, "1", False, True, ()),
    Quantity("interference_function", "FQ", "F(Q)", _Q, "barn", False, True, ()),
    Quantity("intermediate_scattering_function", "F", "F(Q,t)", ("Q", "time"), "1"),
    Quantity("radial_distribution", "rdf", "g(r)", ("r",), "1", also=()),
    Quantity(
        "mean_square_displacement",
        "msd",
        "mean-square displacement",
        ("time",),
        "angstrom**2",
        also=(),
    ),
    _density("current_spectrum", "C", "C(Q,E)", _QE, "angstrom**2/meV/ps**2"),
    _density("normalized_fluctuation_spectrum", "Omega", "Ω(Q,E)", _QE, "1/meV"),
    _density("fluctuation_spectrum", "phi", "φ(Q,E)", _QE, "1/meV", is_companion=True),
    Quantity("static_fluctuation", "phi_Q", "φ(Q)", _Q, "1", is_companion=True),
    _density(
        "local_fluctuation_spectrum", "chi", "χ(E)", _E, "1/meV", is_companion=True
    ),
    Quantity(
        "energy_resolution", "fwhm", "FWHM(E)", _E, "meV", False, True, ("THz", "1/cm")
    ),
    Quantity("raman_intensity", "I", "I(E)", _E, "1"),
    Quantity("absorption", "alpha", "α(E)", _E, "1/cm", also=()),
    _density("excess_dos", "g_excess", "g_ex(E)", _E, "1/meV"),
    Quantity("heat_capacity", "C", "C_p(T)", _T, "J/mol/K", also=("J/g/K", "J/K")),
    Quantity(
        "reduced_heat_capacity",
        "C_T3",
        "(C_p − γT)/T³",
        _T,
        "J/mol/K**4",
        also=("J/g/K**4", "J/K**4"),
    ),
    Quantity(
        "trajectory", "trajectory", "trajectory", ("time", "atom", "xyz"), "angstrom"
    ),
)
QUANTITIES: Final[Mapping[str, Quantity]] = {row.name: row for row in _ROWS}

#: Quantities whose reduction depends on whether they are quantum or classical.
OF_STATISTICS: Final = ("dynamic_structure_factor", "detector_spectra")

#: How a dimension is written in a symbol.
_ARGUMENTS: Final = {"Q": "Q", "E": "E", "r": "r", "time": "t", "temperature": "T"}

#: Coordinates xbp knows, with their canonical units and axis labels.
COORDINATES: Final[Mapping[str, tuple[str, str]]] = {
    "Q": ("1/angstrom", "momentum transfer"),
    "E": ("meV", "energy transfer (neutron energy loss positive)"),
    "temperature": ("K", "temperature"),
    "time": ("ps", "time"),
    "r": ("angstrom", "distance"),
    "box_phonon": ("meV", "first transverse phonon of the simulated box"),
    "box_Q_min": ("1/angstrom", "smallest wave vector that the simulated box allows"),
    "resolution_fwhm": ("meV", "energy resolution, full width at half maximum"),
    "u2": ("angstrom**2", "mean-square displacement per axis"),
    "area": ("1", "area of g(E) over all its modes"),
    "two_theta": ("degree", "scattering angle"),
    "incident_energy": ("meV", "incident energy"),
    "final_energy": ("meV", "final energy"),
    "wavelength": ("nm", "wavelength of the scattered light"),
}


#: Symbols of quantities beside their labels.
_ALSO = {"reduced_dos": ("g(E)/E²", "g(E)/E^2")}


def find_quantity(given: object, name: str = "quantity") -> Quantity:
    """Return the quantity of a name such as "reduced_dos", or of a symbol.

    In a symbol q, ω and blanks are read as Q, E and nothing; B(E) is B(Q,E) without Q.

    Raises
    ------
    QuantityError
        If the name is unknown; the error suggests the nearest one.

    Examples
    --------
    >>> find_quantity("S(Q,E)").name, find_quantity("S(q, ω)").name
    ('dynamic_structure_factor', 'dynamic_structure_factor')
    >>> find_quantity("B(E)").name, find_quantity("g(E)/E²").name
    ('reduced_dos', 'reduced_dos')
    >>> find_quantity("dynamical_structure_factor")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: quantity='dynamical_structure_factor' is unknown
      fix:  quantity='dynamic_structure_factor', which is S(Q,E)
    """
    known = {
        _bare(symbol): row
        for row in _ROWS
        for symbol in (row.label.replace("(Q,E)", "(E)"), *_ALSO.get(row.name, ()))
    } | {key: row for row in _ROWS for key in (row.name, _bare(row.label))}
    text = _bare(given) if isinstance(given, str) else ""
    row = known.get(given if isinstance(given, str) else "") or known.get(text)
    if row is not None:
        return row
    said = ", ".join(f"'{row.label}'" for row in _ROWS)
    if near := nearest(given, known):
        said = f"'{known[near[0]].name}', which is {known[near[0]].label}"
    raise QuantityError(f"{name}={shown(given)} is unknown", fix=f"{name}={said}")


@functools.lru_cache(maxsize=256)
def _bare(symbol: str) -> str:
    """Write a symbol without what differs between authors."""
    text = re.sub(r"[\s_]", "", symbol).casefold()
    return re.sub(r"(?<=[(,])(ω|w|omega)(?=[),])", "e", text)


def labels(name: str) -> dict[str, str]:
    """Return the canonical units and the long name of a coordinate, as attributes."""
    units, long_name = COORDINATES[name]
    return {"units": units, "long_name": long_name}


def per_unit(data: xr.DataArray | xr.Dataset, dim: str) -> float:
    """Return how much one unit of a coordinate is in its canonical unit.

    Examples
    --------
    >>> E = xr.DataArray([1.0], dims="E", attrs={"units": "eV"})
    >>> per_unit(xr.Dataset(coords={"E": E}), "E")
    1000.0
    """
    return canonical_factor(str(data.coords.variables[dim].attrs["units"]), dim)


@functools.lru_cache(maxsize=256)
def canonical_factor(units: str, dim: str) -> float:
    """Return how much a unit of a coordinate is in its canonical unit."""
    canonical, name = COORDINATES[dim][0], f"coordinate '{dim}'"
    return convert_factor(units, canonical, name=name, energy=dim == "E")


def symbol_of(value: xr.DataArray) -> str:
    """Write the symbol of a signal with the dimensions that it has.

    Averaged over Q, B(Q,E) is B(E); that of a g(E) is g(E)/E², in a plane g(E)/E.

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe().B
    >>> symbol_of(B), symbol_of(B.isel(Q=0)), symbol_of(B.isel(Q=0, E=0))
    ('B(Q,E)', 'B(E)', 'B')
    >>> symbol_of(xbp.tutorial.open_dataset("zr46cu46al8")[["g"]].bp.to_bqe().B)
    'g(E)/E²'
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> symbol_of(S.isel(E=5)), symbol_of(S.isel(Q=5))
    ('S(Q,E_0)', 'S(E)')
    >>> C = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.heat_capacity([5, 10])
    >>> plain, less = (C.bp.reduced_heat_capacity(g) for g in (0, "1 mJ/mol/K^2"))
    >>> symbol_of(plain.C_T3), symbol_of(less.C_T3)
    ('C_p/T³', '(C_p − γT)/T³')
    """
    row = QUANTITIES[value.attrs["quantity"]]
    if row.name == "reduced_dos" and value.dims == ("E",):
        d, E = value.attrs.get("dimension", 3), value["E"].attrs["units"]
        if (parse_unit(value.attrs["units"]) * parse_unit(E) ** d).dimensionless:
            return "g(E)/E" if d == 2 else "g(E)/E²"
    letter, _, arguments = row.label.partition("(")
    if row.name == "current_spectrum" and value.name in ("C_L", "C_T"):
        letter = str(value.name)
    if row.name == "reduced_heat_capacity" and str(
        value.attrs.get("gamma", "")
    ).startswith("0 "):
        row = replace(row, label="C_p/T³")  # nothing was taken off
    if row.name == "reduced_heat_capacity" and value.attrs.get("dimension") == 2:
        row = replace(row, label=row.label.replace("³", "²"))
    # A name in words, an expression, and an axis of another kind stay as they are.
    if not letter or not arguments or not set(row.dims) <= set(_ARGUMENTS):
        return row.label
    free = [_ARGUMENTS[dim] for dim in _ARGUMENTS if dim in value.dims]
    if row.name == "dynamic_structure_factor" and free == ["Q"]:
        free.append("E_0")  # at one energy: S(Q) is another quantity
    return f"{letter}({','.join(free)})" if free else letter


def quantity_name(data: xr.DataArray | xr.Dataset | xr.DataTree) -> str | None:
    """Return ``attrs["quantity"]``, as text even if a file has something else there.

    Examples
    --------
    >>> odd = np.array(["reduced_dos", "no"])
    >>> quantity_name(xr.DataArray(0, attrs={"quantity": odd}))
    "['reduced_dos' 'no']"
    """
    given = data.attrs.get("quantity")
    return None if given is None else str(given)


def symbols(*quantities: str) -> str:
    """Write quantities as users know them, such as ``S(Q,E) or B(Q,E)``."""
    *others, last = dict.fromkeys(QUANTITIES[name].label for name in quantities or ())
    return f"{', '.join(others)} or {last}" if others else last


def of_atoms(name: str) -> QuantityError:
    """Return the error for local fields where a spectrum or a curve is needed."""
    return QuantityError(
        f"{name} is a local field of the atoms, not a spectrum or a curve",
        fix="data.bp.plot() draws it; traj.bp.fluctuation_spectrum(…) gives spectra",
    )


def validate(data: xr.DataArray, *expected: str, owner: str = "data") -> Quantity:
    """Check one array against the data model.

    Parameters
    ----------
    data : xarray.DataArray
        Plain (not pint-wrapped) data with ``attrs["quantity"]`` and ``attrs["units"]``.
    *expected : str
        Quantities that are accepted; all if none is named.
    owner : str
        How a user refers to the array, for the fix of an error.

    Returns
    -------
    Quantity
        What the data are.

    Raises
    ------
    QuantityError
        If the quantity is missing, unknown or not among those expected, or the data not
        real numbers.
    UnitsError
        If units are missing, or of a dimension that the coordinate cannot have.
    CoordinateError, TemperatureError
        If a coordinate is missing, empty, not finite, descending or has duplicates; if
        a temperature is below zero.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> validate(S, "dynamic_structure_factor").variable
    'S'
    """
    name = "the array" if data.name is None else f"'{data.name}'"
    given = data.attrs.get("quantity")
    given = None if given is None else str(given)
    if given not in QUANTITIES or (expected and given not in expected):
        if given == "local_fields":
            raise of_atoms(name)
        accepted = expected or tuple(QUANTITIES)
        needed = symbols(*accepted[: len(expected) or 1])
        needed += "" if expected else ", for example,"
        known = given in QUANTITIES or given in RESULTS
        said = "has no attrs['quantity']" if given is None else (
            f"is {symbols(given) if given in QUANTITIES else with_article(repr(given))}"
        )  # fmt: skip
        label = QUANTITIES[accepted[0]].label
        raise QuantityError(
            f"{name} {said}; {needed} is needed",
            # Known data are not to be relabelled.
            fix=step_to(given, expected, data)
            or (
                "pass data of that quantity"
                if known
                else f"{owner}.attrs['quantity'] = '{accepted[0]}' if it is {label}"
            ),
        )
    quantity = QUANTITIES[str(given)]
    require_units(data, name, quantity.units, owner=owner, scaled=True)
    if data.size == 0:
        raise QuantityError(f"{name} is empty (shape {dict(data.sizes)})")
    for dim in data.dims:
        if dim in COORDINATES:
            check_coordinate(data, str(dim))
    if quantity.is_density and "E" in data.dims:
        _require_per_axis(name, data.attrs["units"], data.coords["E"].attrs["units"])
    return quantity


@functools.lru_cache(maxsize=256)
def _require_per_axis(name: str, units: str, axis: str) -> None:
    """Refuse a density in E that is in the inverse units of another kind of axis."""
    for scale in ("1", "barn/sr"):
        own = (parse_unit(units) / parse_unit(scale)) ** -1
        if not is_energy_like(own) or own.is_compatible_with(parse_unit(axis)):
            continue
        factor = convert_factor(
            axis, format_unit(own), name="coordinate 'E'", energy=True
        )
        per_axis = format_unit(parse_unit(scale) / parse_unit(axis))
        raise UnitsError(
            f"{name} is in '{units}' over E in '{axis}'",
            reason="a density in E must be per unit of its axis",
            fix=f"multiply the values by {factor:.6g} and set units='{per_axis}'; only "
            f"set units='{per_axis}' if they are per {axis} already",
        )


def require_units(
    data: xr.DataArray | xr.Variable,
    name: str,
    example: str,
    *,
    error: type[XbpError] = QuantityError,
    owner: str = "",
    scaled: bool = False,
) -> str:
    """Return ``attrs["units"]`` of real numbers, after checking that xbp knows them.

    In the fix of an error they belong to `owner`, by default to the variable quoted in
    `name`, and are "1" on an arbitrary scale if they may be (`scaled`).

    Raises
    ------
    UnitsError
        If they are missing or unknown.
    QuantityError or `error`
        If the values are not real numbers.
    """
    units = data.attrs.get("units")
    real = data.dtype.kind in "fiu"
    if real and isinstance(units, str):
        _require_unit(units, name, example)
        return units
    quoted = re.search(r"'[^']+'", name)
    owner = owner or (f"data[{quoted[0]}]" if quoted else "data")
    if not real:
        raise error(
            f"{name} has values of type {data.dtype}, not real numbers",
            fix=f"{owner}.astype(float)",
        )
    if units is None:
        other = ", or '1' on an arbitrary scale" * (scaled and example != "1")
        raise UnitsError(
            f"{name} has no units",
            fix=f"{owner}.attrs['units'] = '{example}'{other}",
        )
    raise UnitsError(f"the units of {name} are {units!r}, not text like '{example}'")


@functools.lru_cache(maxsize=512)
def _require_unit(units: str, name: str, example: str, axis: bool = False) -> None:
    """Refuse an unknown unit, and on an axis one of another dimension."""
    unit = parse_unit(units, like=example, name=name)
    fits = unit.is_compatible_with(example)
    if axis and not (fits or (example == "meV" and is_energy_like(unit))):
        raise UnitsError(
            f"{name} is in '{units}', which does not convert to '{example}'",
        )


def check_coordinate(data: xr.DataArray | xr.Dataset, dim: str) -> None:
    """Refuse a coordinate that no bin can be found by.

    Raises
    ------
    CoordinateError, UnitsError, TemperatureError
        As for `validate`.
    """
    example, _ = COORDINATES[dim]
    if dim not in data.coords:
        raise CoordinateError(
            f"dimension '{dim}' has no coordinate",
            fix=f"data = data.assign_coords({dim}=('{dim}', values, {{'units': "
            f"'{example}'}}))",
        )
    coordinate = data.coords.variables[dim]
    values = coordinate.values
    ascends = values.dtype.kind in "fiu" and (values[1:] > values[:-1]).all()
    # Of ascending numbers only the first and the last can be infinite.
    if not (ascends and all(map(math.isfinite, (*values[:1], *values[-1:])))):
        raise _unfit(dim, values)
    units = require_units(coordinate, f"coordinate '{dim}'", example)
    _require_unit(units, f"coordinate '{dim}'", example, axis=True)
    if dim == "temperature" and to_kelvin(values[0].astype(float), units, name=dim) < 0:
        raise TemperatureError(
            f"coordinate 'temperature' begins at {values[0]:g} {units}, below absolute "
            "zero"
        )
    if dim == "Q" and values[0] < 0:
        raise CoordinateError(
            f"coordinate 'Q' begins at {values[0]:g}; it is a magnitude, not negative",
            fix="data.sel(Q=slice(0, None))",
        )


def _unfit(dim: str, values: np.ndarray) -> CoordinateError:
    """Return the error for a coordinate that is not finite or does not ascend."""
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        return CoordinateError(
            f"coordinate '{dim}' is not finite everywhere (type {values.dtype})",
            fix=f"drop those bins: data.isel({dim}=np.isfinite(data['{dim}']))",
        )
    at = int(np.argmax(values[1:] <= values[:-1]))
    same = values[at] == values[at + 1]
    return CoordinateError(
        f"coordinate '{dim}' {'has duplicates' if same else 'is not ascending'} "
        f"({values[at]:g} is followed by {values[at + 1]:g})",
        fix=f"data.{'drop_duplicates' if same else 'sortby'}('{dim}')",
    )
