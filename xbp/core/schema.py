"""The data model: one vocabulary of quantities, and the checks that hold data to it."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError, TemperatureError, UnitsError
from xbp.core.operation import RESULTS, step_to
from xbp.core.units import (
    convert_factor,
    format_unit,
    is_energy_like,
    parse_unit,
    to_kelvin,
)

__all__ = [
    "CONVENTIONS",
    "COORDINATES",
    "QUANTITIES",
    "SCHEMA_VERSION",
    "Quantity",
    "validate",
]

SCHEMA_VERSION: Final = "1"
CONVENTIONS: Final = "CF-1.11"
#: ``attrs["area"]`` of a g(E) whose area is not known, as where its range ended inside
#: the band.
AREA_UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Quantity:
    """One row of the vocabulary: what ``attrs["quantity"]`` may say.

    Attributes
    ----------
    name : str
        Value of ``attrs["quantity"]``.
    variable : str
        Name of the variable in a Dataset that xbp makes.
    label : str
        What stands on an axis or a colour bar, without units.
    dims : tuple of str
        Its own dimensions; any further one broadcasts.
    units : str
        Canonical units.
    is_density : bool
        Whether it is a density in E, so that ∫ dE over it is what a change of axis
        keeps.
    is_companion : bool
        Whether it accompanies a map in the same Dataset, and is the signal only where
        it stands alone.
    also : tuple of str, optional
        Units of further dimensions that it may be in beside its canonical ones and
        arbitrary ones, "1"; None where its dimension is open, as of a spectrum that may
        be on any scale.
    """

    name: str
    variable: str
    label: str
    dims: tuple[str, ...]
    units: str
    is_density: bool = False
    is_companion: bool = False
    also: tuple[str, ...] | None = None


_ROWS = (
    Quantity(
        "dynamic_structure_factor", "S", "S(Q,E)", ("Q", "E"), "1/meV", is_density=True
    ),
    Quantity(
        "detector_spectra", "S", "S(2θ,E)", ("detector", "E"), "1/meV", is_density=True
    ),
    Quantity("generalized_dos", "G", "G(Q,E)", ("Q", "E"), "angstrom**2"),
    Quantity("reduced_dos", "B", "B(Q,E)", ("Q", "E"), "angstrom**2/meV**2"),
    Quantity(
        "vibrational_dos",
        "g",
        "g(E)",
        ("E",),
        "1/meV",
        is_density=True,
        is_companion=True,
    ),
    Quantity(
        "static_structure_factor", "Sq", "S(Q)", ("Q",), "1", is_companion=True, also=()
    ),
    Quantity(
        "interference_function",
        "FQ",
        "F(Q)",
        ("Q",),
        "barn",
        is_companion=True,
        also=(),
    ),
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
    Quantity(
        "current_spectrum",
        "C",
        "C(Q,E)",
        ("Q", "E"),
        "angstrom**2/meV/ps**2",
        is_density=True,
    ),
    Quantity(
        "normalized_fluctuation_spectrum",
        "Omega",
        "Ω(Q,E)",
        ("Q", "E"),
        "1/meV",
        is_density=True,
    ),
    Quantity(
        "fluctuation_spectrum",
        "phi",
        "φ(Q,E)",
        ("Q", "E"),
        "1/meV",
        is_density=True,
        is_companion=True,
    ),
    Quantity("static_fluctuation", "phi_Q", "φ(Q)", ("Q",), "1", is_companion=True),
    Quantity(
        "local_fluctuation_spectrum",
        "chi",
        "χ(E)",
        ("E",),
        "1/meV",
        is_density=True,
        is_companion=True,
    ),
    Quantity(
        "energy_resolution",
        "fwhm",
        "FWHM(E)",
        ("E",),
        "meV",
        is_companion=True,
        also=("THz", "1/cm"),
    ),
    Quantity("raman_intensity", "I", "I(E)", ("E",), "1"),
    Quantity(
        "heat_capacity",
        "C",
        "C_p(T)",
        ("temperature",),
        "J/mol/K",
        also=("J/g/K", "J/K"),
    ),
    Quantity(
        "reduced_heat_capacity",
        "C_T3",
        "(C_p − γT)/T³",
        ("temperature",),
        "J/mol/K**4",
        also=("J/g/K**4", "J/K**4"),
    ),
    Quantity(
        "trajectory", "trajectory", "trajectory", ("time", "atom", "xyz"), "angstrom"
    ),
)
QUANTITIES: Final[Mapping[str, Quantity]] = {row.name: row for row in _ROWS}

#: How a dimension is written in a symbol.
_ARGUMENTS: Final = {"Q": "Q", "E": "E", "r": "r", "time": "t", "temperature": "T"}

#: What to do with data of no quantity, and with those of one: they are not to be called
#: something else.
_NAME_IT: Final = (
    "pass the variable that is one, or say what the numbers are, data.attrs['quantity']"
)
_OTHER: Final = "pass the data that are one"

#: Coordinates xbp knows, with their canonical units and what stands on their axis.
COORDINATES: Final[Mapping[str, tuple[str, str]]] = {
    "Q": ("1/angstrom", "momentum transfer"),
    "E": ("meV", "energy transfer (neutron energy loss positive)"),
    "temperature": ("K", "temperature"),
    "time": ("ps", "time"),
    "r": ("angstrom", "distance"),
    "box_phonon": ("meV", "first transverse phonon of the simulated box"),
    "u2": ("angstrom**2", "mean-square displacement per axis"),
    "area": ("1", "area of g(E) over all its modes"),
    "two_theta": ("degree", "scattering angle"),
    "incident_energy": ("meV", "incident energy"),
    "final_energy": ("meV", "final energy"),
    "wavelength": ("nm", "wavelength of the scattered light"),
}


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
    units = str(data.coords.variables[dim].attrs["units"])
    canonical, name = COORDINATES[dim][0], f"coordinate '{dim}'"
    return convert_factor(units, canonical, name=name, energy=dim == "E")


def symbol_of(value: xr.DataArray) -> str:
    """Write the symbol of a signal with the dimensions that it has.

    Averaged over Q, B(Q,E) is B(E).

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe().B
    >>> symbol_of(B), symbol_of(B.isel(Q=0)), symbol_of(B.isel(Q=0, E=0))
    ('B(Q,E)', 'B(E)', 'B')
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> symbol_of(S.isel(E=5)), symbol_of(S.isel(Q=5))
    ('S(Q,E_0)', 'S(E)')
    >>> C = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.heat_capacity([5, 10])
    >>> plain, less = (C.bp.reduced_heat_capacity(g) for g in (0, "1 mJ/mol/K^2"))
    >>> symbol_of(plain.C_T3), symbol_of(less.C_T3)
    ('C_p/T³', '(C_p − γT)/T³')
    """
    row = QUANTITIES[value.attrs["quantity"]]
    letter, _, arguments = row.label.partition("(")
    if row.name == "current_spectrum" and value.name in ("C_L", "C_T"):
        letter = str(value.name)
    if row.name == "reduced_heat_capacity" and str(
        value.attrs.get("gamma", "")
    ).startswith("0 "):
        return "C_p/T³"  # nothing was taken off
    # A name in words, an expression, and an axis of another kind stay as they are.
    if not letter or not arguments or not set(row.dims) <= set(_ARGUMENTS):
        return row.label
    free = [_ARGUMENTS[dim] for dim in _ARGUMENTS if dim in value.dims]
    if row.name == "dynamic_structure_factor" and free == ["Q"]:
        free.append("E_0")  # at one energy: S(Q) is another quantity
    return f"{letter}({','.join(free)})" if free else letter


def quantity_name(data: xr.DataArray | xr.Dataset | xr.DataTree) -> str | None:
    """Return ``attrs["quantity"]``.

    As text where a stranger's file holds something else there.

    Examples
    --------
    >>> odd = np.array(["reduced_dos", "no"])
    >>> quantity_name(xr.DataArray(0, attrs={"quantity": odd}))
    "['reduced_dos' 'no']"
    """
    given = data.attrs.get("quantity")
    return None if given is None else str(given)


def of_atoms(name: str) -> QuantityError:
    """Say that local fields are drawn by xarray, and what makes spectra of them."""
    return QuantityError(
        f"{name} is a local field of the atoms",
        reason="xbp draws and reduces spectra and curves",
        fix="xarray draws it: data.plot() or data.plot.hist(); "
        "traj.bp.fluctuation_spectrum(…) makes spectra of it",
    )


def validate(data: xr.DataArray, *expected: str) -> Quantity:
    """Hold one array to the data model.

    Parameters
    ----------
    data : xarray.DataArray
        Plain (not pint-wrapped) data with ``attrs["quantity"]`` and ``attrs["units"]``.
    *expected : str
        Quantities that are welcome; any of the vocabulary if none is named.

    Returns
    -------
    Quantity
        The row of the vocabulary that the data follow.

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
        welcome = expected or tuple(QUANTITIES)
        if given == "local_fields":
            raise of_atoms(name)
        needs = (
            " or ".join(repr(q) for q in expected)
            or f"a quantity of the vocabulary, such as {welcome[0]!r}"
        )
        raise QuantityError(
            f"{name} is {'of no named quantity' if given is None else f'a {given!r}'}",
            reason=f"this needs {needs}",
            # What is known to be something else is not to be called by another name.
            fix=step_to(given, expected)
            or (
                _OTHER
                if given in QUANTITIES or given in RESULTS
                else f"{_NAME_IT} = '{welcome[0]}'"
            )
            + (
                "; a column of a table of results xarray draws, data.plot()"
                if given is None and not expected
                else ""
            ),
        )
    quantity = QUANTITIES[str(given)]
    if data.dtype.kind not in "fiu":
        raise QuantityError(
            f"{name} holds values of type {data.dtype}",
            reason="only real numbers can be reduced",
            fix="convert them with data.astype(float)",
        )
    if data.size == 0:
        raise QuantityError(
            f"{name} is empty (shape {dict(data.sizes)})",
            reason="there is nothing to compute on",
            fix="look at the selection that made it",
        )
    require_units(data, name, quantity.units)
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
            reason="a density in E must be per unit of its axis or its integral is "
            "meaningless",
            fix=f"values * {factor:.6g} in '{per_axis}', or E * {factor:.6g} in "
            f"'{format_unit(own)}'; where the "
            f"numbers are per {axis} as they stand, units='{per_axis}'",
        )


def require_units(data: xr.DataArray, name: str, example: str) -> str:
    """Return ``attrs["units"]``, or say how to add it.

    An unknown unit is an error too.
    """
    units = data.attrs.get("units")
    if units is None:
        raise UnitsError(
            f"{name} has no units",
            reason="xbp never guesses them",
            fix=f"add them: data.attrs['units'] = '{example}' "
            f"(on a coordinate data['{data.name}'].attrs['units'] = '{example}'); '1' "
            "if arbitrary",
        )
    if not isinstance(units, str):
        raise UnitsError(
            f"the units of {name} are {units!r}",
            reason="units are text",
            fix=f"write them like '{example}'",
        )
    _require_unit(units, name, example)
    return units


@functools.lru_cache(maxsize=512)
def _require_unit(units: str, name: str, example: str, axis: bool = False) -> None:
    """Refuse an unknown unit, and on an axis one of another dimension."""
    unit = parse_unit(units, like=example, name=name)
    fits = unit.is_compatible_with(example)
    if axis and not (fits or (example == "meV" and is_energy_like(unit))):
        raise UnitsError(
            f"{name} is in '{units}' and must convert to '{example}'",
            fix="set attrs['units'] of the coordinate to what the numbers are in",
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
            reason="its bins cannot be told apart",
            fix=f"data = data.assign_coords({dim}=('{dim}', values, {{'units': "
            f"'{example}'}}))",
        )
    coordinate = data.coords[dim]
    values = coordinate.values
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise CoordinateError(
            f"coordinate '{dim}' is not finite everywhere (type {values.dtype})",
            reason="a bin without a place cannot be used",
            fix=f"drop those bins: data.isel({dim}=np.isfinite(data['{dim}']))",
        )
    steps = np.diff(values)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        what = "has duplicates" if steps[at] == 0 else "is not ascending"
        mend = (
            f"data.drop_duplicates('{dim}')"
            if steps[at] == 0
            else f"data.sortby('{dim}')"
        )
        raise CoordinateError(
            f"coordinate '{dim}' {what} ({values[at]:g} is followed by "
            f"{values[at + 1]:g})",
            reason="bin edges and intervals need an ascending axis",
            fix=mend,
        )
    units = require_units(coordinate, f"coordinate '{dim}'", example)
    _require_unit(units, f"coordinate '{dim}'", example, axis=True)
    if dim == "temperature" and to_kelvin(values[0].astype(float), units, name=dim) < 0:
        raise TemperatureError(
            f"coordinate 'temperature' begins at {values[0]:g} "
            f"{coordinate.attrs['units']}",
            reason="that is below absolute zero",
            fix="data.sel(temperature=slice(0, None)), or set its units to what the "
            "numbers are in",
        )
    if dim == "Q" and values[0] < 0:
        raise CoordinateError(
            f"coordinate 'Q' begins at {values[0]:g}",
            reason="Q is a magnitude",
            fix="data.sel(Q=slice(0, None)), or fold the axis",
        )


def require_same_grid(
    left: xr.DataArray, right: xr.DataArray, dims: tuple[Hashable, ...]
) -> None:
    """Refuse to combine arrays whose coordinates differ, however little.

    Raises
    ------
    CoordinateError
        Naming both grids.
    """
    for dim in dims:
        if (
            dim not in left.coords
            and dim not in right.coords
            and left.sizes[dim] == right.sizes[dim]
        ):
            continue
        a, b = left[dim].values, right[dim].values
        if dim in COORDINATES and dim in left.coords and dim in right.coords:
            example = COORDINATES[str(dim)][0]
            units = [
                require_units(side[dim], f"coordinate '{dim}'", example)
                for side in (left, right)
            ]
            factor = convert_factor(
                units[1], units[0], name=f"coordinate '{dim}'", energy=dim == "E"
            )
            # The same grid in other units differs by rounding alone.
            if (
                factor != 1
                and a.shape == b.shape
                and np.allclose(a, b * factor, rtol=1e-12, atol=0)
            ):
                continue
            b = b * factor
        if a.shape == b.shape and (a == b).all():
            continue
        if a.dtype.kind not in "fiu" or b.dtype.kind not in "fiu":
            raise CoordinateError(
                f"the two '{dim}' coordinates do not match: {a.tolist()} against "
                f"{b.tolist()}",
                reason="their labels differ, or their order",
                fix=f"other.sel({dim}=data['{dim}'])",
            )
        same_size = a.shape == b.shape
        detail = (
            f"they differ by up to {np.abs(a - b).max():.3g}"
            if same_size
            else "their lengths differ"
        )
        raise CoordinateError(
            f"the two '{dim}' grids do not match: {a.size} points from {a[0]:.10g} to "
            f"{a[-1]:.10g} "
            f"against {b.size} points from {b[0]:.10g} to {b[-1]:.10g}",
            reason=f"{detail}; xarray would silently drop what does not match",
            fix=f"bring them on one grid first: other.bp.rebin({dim}=edges), or, "
            "where the difference is "
            f"rounding, other.assign_coords({dim}=data['{dim}'])",
        )
