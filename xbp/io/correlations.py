"""Correlation functions of simulations, as MDANSE and nMoldyn name their variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.units import convert_factor
from xbp.io.reader import density_per_mev
from xbp.io.text import check

__all__ = ["Column", "Function", "correlation", "has_functions", "is_function"]

Function = Literal[
    "dynamic_structure_factor",
    "intermediate_scattering_function",
    "vibrational_dos",
    "mean_square_displacement",
]
#: Names of the variables of each function, with that of the part.
_NAMES: Final = {
    function: re.compile(rf"(?i){name}[_/-](\S+)")
    for function, name in (
        ("dynamic_structure_factor", r"(?:s\(q,f\)|sqw)"),
        ("vibrational_dos", r"v?dos"),
        ("intermediate_scattering_function", r"(?:f\(q,t\)|fqt)"),
        ("mean_square_displacement", r"msd"),
    )
}
#: Names of axes, with their dimensions.
_AXES: Final[dict[str, str]] = {
    "q": "Q",
    "omega": "E",
    "romega": "E",
    "angular_frequency": "E",
    "frequency": "E",
    "time": "time",
}
#: In S(Q,ω) of MDANSE 1 the axis "q" is also called "k".
_ALSO: Final = {"k": "q"}
#: Units as these programs write them.
_SPELLED: Final = {
    "inv_nm": "1/nm",
    "nm^-1": "1/nm",
    "nm2": "nm^2",
    "rad ps-1": "rad/ps",
}


class Column(NamedTuple):
    """A variable of a file.

    Attributes
    ----------
    read : callable
        Returns its numbers.
    units : str
        As in the file; empty without units.
    axes : tuple of str
        Names of the variables of its axes, for each axis the best first.
    """

    read: Callable[[], np.ndarray]
    units: str
    axes: tuple[tuple[str, ...], ...]


def _parts(columns: Mapping[str, Column]) -> dict[str, dict[str, str]]:
    """Return the names of the variables of each function, by those of the parts."""
    found: dict[str, dict[str, str]] = {}
    for function, pattern in _NAMES.items():
        for name in columns:
            match = pattern.fullmatch(name)
            if match is not None and columns[name].axes:
                found.setdefault(function, {})[match[1]] = name
    return found


def is_function(name: str) -> bool:
    """Return whether a variable is called like a function that xbp knows.

    Examples
    --------
    >>> is_function("s(q,f)_total"), is_function("time")
    (True, False)
    """
    return any(pattern.fullmatch(name) for pattern in _NAMES.values())


def has_functions(columns: Mapping[str, Column]) -> bool:
    """Return whether there is a function that xbp knows."""
    return bool(_parts(columns))


def correlation(
    columns: Mapping[str, Column],
    *,
    function: Function | None,
    part: str,
    frequency_units: str | None,
    temperature: Any,
    attrs: Mapping[str, str],
) -> xr.Dataset:
    """Label one function of a file.

    Parameters
    ----------
    columns : mapping of str to Column
        The variables.
    function : str, optional
        Name of the quantity; by default the first there is of S(Q,E), g(E), F(Q,t) and
        the mean-square displacement.
    part : str
        Which atoms: "total", or a pair or an element.
    frequency_units : str, optional
        Units of the frequencies, if the file does not state them.
    temperature : scalar with units, optional
        Of the sample.
    attrs : mapping
        Of the Dataset.

    Returns
    -------
    xarray.Dataset
        E in meV, Q in 1/angstrom, time in ps; densities per meV.

    Raises
    ------
    QuantityError
        If the function or the part is not in the file, or `frequency_units` is missing.
    """
    parts = _parts(columns)
    name: str = choose(function or next(iter(parts)), parts, "function")
    part = choose(part, parts[name], "part")
    column = columns[parts[name][part]]
    values, coords, order = column.read(), {}, []
    per_mev = 1.0
    for candidates in column.axes:
        names = (_ALSO.get(name, name) for name in candidates)
        axis = next((a for a in names if a in _AXES and a in columns), None)
        check(axis, f"an axis of its {parts[name][part]!r} is not in the file")
        dim = _AXES[str(axis)]
        factor = _factor(columns[str(axis)].units, dim, str(axis), frequency_units)
        per_mev = factor if dim == "E" else per_mev
        coords[dim] = (columns[str(axis)].read() * factor, COORDINATES[dim][0])
        order.append(dim)
    row = QUANTITIES[name]
    fits = set(order) == set(row.dims)
    check(fits, f"its {parts[name][part]!r} has axes {order}, not {list(row.dims)}")
    shape = tuple(coords[dim][0].size for dim in order)
    check(
        values.shape == shape, f"the shape of {parts[name][part]!r} is {values.shape}"
    )
    units = "1"
    if row.is_density:
        values, _, _ = density_per_mev(values, None, axis=per_mev)
    if name == "vibrational_dos":
        values, coords["E"] = _positive(values, coords["E"][0])
        units = "1/meV"
    if name == "mean_square_displacement":
        length = _SPELLED.get(column.units, column.units) or "nm^2"
        values, units = values * convert_factor(length, "angstrom^2"), "angstrom^2"
    return new_dataset(
        name,
        values,
        units=units,
        dims=tuple(order),
        coords=coords,
        temperature=temperature,
        statistics="classical" if name == "dynamic_structure_factor" else None,
        attrs={**attrs, "part": part},
    ).transpose(*row.dims, ...)


def _factor(units: str, dim: str, axis: str, frequency_units: str | None) -> float:
    """Return the factor from the units of an axis to the canonical ones."""
    own = _SPELLED.get(units, units)
    if dim == "E" and not own:
        if frequency_units is None:
            raise QuantityError(
                f"its axis {axis!r} has no units",
                reason="programs write frequencies in THz, angular ones in rad/ps",
                fix="frequency_units='THz', or 'rad/ps'",
            )
        own = frequency_units
    elif dim == "E" and frequency_units is not None:
        same = _factor(frequency_units, dim, axis, None) == _factor(
            own, dim, axis, None
        )
        check(
            same, f"frequency_units={frequency_units!r} contradicts {own!r} of {axis!r}"
        )
    return convert_factor(
        own,
        COORDINATES[dim][0],
        name=f"axis '{axis}'",
        energy=dim == "E",
        frequency="angular" if dim == "E" and "rad" in own else None,
    )


def _positive(
    values: np.ndarray, E: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, str]]:
    """Return g(E) at E >= 0: the spectrum of a real function is even."""
    known = E >= 0
    for e, value in zip(-E[~known], values[~known], strict=True):
        there = values[np.isclose(E, e, rtol=1e-6, atol=0)]
        even = not there.size or np.allclose(there, value, rtol=1e-3)
        check(
            even, "its density of states differs at positive and negative frequencies"
        )
    return values[known], (E[known], "meV")
