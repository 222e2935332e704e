"""The harmonic heat capacity of a density of states."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
)
from xbp.core.grid import given_axis
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES
from xbp.core.signal import read
from xbp.core.units import convert_factor, is_one_of, magnitude, parse_unit, to_kelvin
from xbp.models.debye_einstein import dos_weights, mode_heat_capacity
from xbp.reduction.dos_area import Modes, known_area, modes_of, to_pure_number
from xbp.reduction.heat_capacity import POSITIVE, TEMPERATURES
from xbp.reduction.imaginary import real_modes

__all__ = ["heat_capacity"]


@operation(takes="vibrational_dos", gives="heat_capacity", over="E", step=12)
@carries_common_errors()
def heat_capacity(
    data: Data,
    temperature: Any,
    *,
    area: float | None = None,
    n_atoms: float | None = None,
    below: Literal["debye"] | None = None,
    area_tolerance: float = 0.01,
) -> Data:
    r"""Return the harmonic heat capacity of a density of states.

    .. math:: C(T) = 3R\int_0^\infty g(E)\,\frac{x^2e^x}{(e^x-1)^2}\,dE,\quad x = E/k_BT

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``vibrational_dos`` g(E), measured, simulated or fitted, over E and any further
        dimensions. Energies E < 0, imaginary modes, are left out and listed by
        `diagnostics`. g/E² is taken as linear between the points and as constant below
        the first positive energy (Debye's law); g is 0 beyond the last one.
    temperature : array, or DataArray with units
        Temperatures; bare ones are in K.
    area : float, optional
        ∫ g dE to scale g to: 1 is the 3 N_A modes of a mole of atoms. By default the
        area is taken from ``attrs["area"]``, which xbp sets, or must be 1 (all modes)
        or 3 (per atom).
    n_atoms : number, optional
        Number N of atoms in the cell described by g, whose area is 3N. C is per mole of
        atoms.
    below : {"debye"}, optional
        How to continue a g that begins with NaN, as under an elastic line: by Debye's
        law through its first value. By default such a g is refused. NaN after the last
        value count as 0.
    area_tolerance : float, optional
        Relative tolerance for recognising an area, and the largest fraction of C that
        may be missing at any temperature if g contains only part of its modes.

    Returns
    -------
    same type as `data`
        ``heat_capacity`` C(temperature) in J/mol/K; a Dataset with its std, assuming
        that the bins of g are independent and its area is exact. NaN wherever g
        contains NaN.

    Raises
    ------
    QuantityError
        If the area of g is unknown, is neither 1 nor 3 (nor 3N), or g is
        neutron-weighted, and `area` is not given.
    UnitsError
        If g is in arbitrary units, and neither `area` nor `n_atoms` is given.
    CoordinateError, TemperatureError
        If the temperatures are not ascending and positive, or g has no positive
        energies.
    RangeError
        If g begins with NaN and `below` is not given, if all of g is NaN, or if missing
        modes above its energies contribute at the temperatures.

    References
    ----------
    A. A. Maradudin et al., Theory of Lattice Dynamics in the Harmonic Approximation
    (1971), ch. IV.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> g = xbp.tutorial.open_dataset("zr46cu46al8_md").g
    >>> C = g.bp.heat_capacity([10.0, 3000.0], area=1)
    >>> round(float(C[1]), 1)
    24.9
    """
    signal = real_modes(read(data, "vibrational_dos"))
    value = signal.value
    if "E" not in value.dims or "temperature" in value.dims:
        raise CoordinateError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}",
            reason="g must depend on E alone; the modes are harmonic, so the "
            "temperature of C is separate",
            fix="pass g(E) of one temperature, g.isel(temperature=0, drop=True)",
        )
    kelvin = _temperatures(temperature)
    to_mev = convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    positive = value["E"].values > 0
    if not positive.any():
        raise CoordinateError(
            "g(E) has no positive energies",
            reason="modes have positive energies",
            fix="fold it onto E > 0 first",
        )
    positive &= _numbers(value.isel(E=positive), positive, below)
    E = value["E"].values[positive].astype(float) * to_mev
    weights = dos_weights(E, np.append(kelvin, np.inf))
    per_mev, modes = 1.0, None
    if area is None:
        if (
            n_atoms is None
            and not known_area(value)
            and parse_unit(signal.units).is_compatible_with("1")
        ):
            raise UnitsError(
                f"'{value.name}' is in arbitrary units",
                reason="the number of its modes is unknown",
                fix="pass area=1 if g contains all modes: C is then per mole of atoms",
            )
        per_mev = (
            to_pure_number(signal, free=n_atoms is not None or known_area(value))
            / to_mev
        )
        modes = modes_of(signal, n_atoms=n_atoms, tolerance=area_tolerance)
    elif n_atoms is not None:
        raise QuantityError(
            f"area={area!r} and n_atoms={n_atoms!r} are both given",
            reason="area= rescales g, whereas n_atoms= states the area that it has",
            fix="leave one of them out",
        )
    else:
        area = magnitude(area, "1", name="area")
        if area <= 0:
            raise QuantityError(
                f"area={area:g}",
                reason="it must be positive",
                fix="area=1 for a mole of atoms",
            )
    label = xr.DataArray(weights[:-1], dims=("temperature", "E"))
    norm = xr.DataArray(weights[-1], dims="E")
    not_of_C = [
        c for c in value.coords if c in ("temperature", "area") or "E" in value[c].dims
    ]
    g = value.isel(E=positive).drop_vars(not_of_C)
    per_area = per_mev / modes.unit if modes else (area or 1.0) / _area(g, norm)
    scale = 3 * scipy.constants.R * per_area
    dims = [d if d != "E" else "temperature" for d in value.dims]
    attrs = {"units": "K", "long_name": COORDINATES["temperature"][1]}
    out = (xr.dot(g, label, dim="E") * scale).transpose(*dims)
    if modes:
        out = _without_missing(out, modes, kelvin, float(E[-1]), area_tolerance)
    std = None
    if signal.std is not None:
        sigma = (
            std_along(signal.std, "E")
            .isel(E=positive)
            .drop_vars(list(signal.std.coords))
        )
        std = (xr.dot(sigma**2, label**2, dim="E") ** 0.5 * abs(scale)).transpose(*dims)
    answer: Data = signal.answer(
        out.assign_coords(temperature=("temperature", kelvin, attrs)),
        std,
        operation="heat_capacity",
        arguments={"area": area, "n_atoms": n_atoms, "below": below},
        units="J/K/mol",
        quantity="heat_capacity",
        attrs={
            "amount": "atoms" if modes or area == 1 else None,
            "area": None,
            "area_of": None,
            "weighting": None,
        },
    )
    return answer


def _without_missing(
    C: xr.DataArray, modes: Modes, kelvin: np.ndarray, highest: float, tolerance: float
) -> xr.DataArray:
    """Refuse temperatures at which modes that g does not hold count.

    NaN where that is not known before it is computed.

    Modes above the highest energy E have less than c(E/k_BT) each of what a classical
    mode has.
    """
    x = highest / (constants.BOLTZMANN_MEV * kelvin)
    each = xr.DataArray(mode_heat_capacity(x), dims="temperature").where(
        modes.above, 1.0
    )
    most = (
        3
        * scipy.constants.R
        * modes.missing.where(modes.missing > tolerance, 0.0)
        * each
    )
    lost = most > tolerance * abs(C)
    if lost.chunks is None and bool(lost.any()):
        part = float(modes.missing.max())
        fine = kelvin[~lost.any([d for d in lost.dims if d != "temperature"]).values]
        raise RangeError(
            f"g(E) has {100 * (1 - part):.3g} % of its modes, to {highest:.4g} meV: C "
            f"at {kelvin[-1]:g} K lacks "
            f"more than {100 * tolerance:.2g} %",
            reason="g was computed or selected over only part of the band",
            fix=(f"temperatures to {fine[-1]:g} K; or " if fine.size else "")
            + "g over all energies",
        )
    return C.where(~lost)


def _area(g: xr.DataArray, norm: xr.DataArray) -> xr.DataArray:
    """Return ∫ g dE, held to be positive; NaN where g holds one."""
    with np.errstate(over="ignore"):
        area: xr.DataArray = (g * norm).sum("E", skipna=False)
    # What dask holds is not computed to be looked at.
    if area.chunks is None:
        wrong = area.values[
            area.notnull().values
            & ~((area.values > POSITIVE[0]) & (area.values < POSITIVE[1]))
        ]
        if wrong.size:
            raise QuantityError(
                f"the area of g(E) is {wrong[0]:g}",
                reason="to scale g to `area`, its own area must be positive and finite",
                fix="check the values of g(E)",
            )
    return area


def _numbers(g: xr.DataArray, positive: np.ndarray, below: str | None) -> np.ndarray:
    """Return the mask without the bins before the first and after the last number of any g."""
    if below is not None and not is_one_of(below, "debye"):
        raise QuantityError(
            f"below={below!r} is not valid",
            reason="only 'debye' is",
            fix="below='debye'",
        )
    known = g.notnull()
    some = known.any([d for d in g.dims if d != "E"]).values
    if not some.any():
        raise RangeError(
            "g(E) contains no values",
            reason="all of it is NaN",
            fix="check the status of g(E)",
        )
    first, last = np.flatnonzero(some)[[0, -1]]
    if first > 0 and below is None:
        at = g["E"].values
        raise RangeError(
            f"g(E) is NaN from {at[0]:g} to {at[first - 1]:g} {g['E'].attrs['units']}",
            reason="the lowest modes determine the heat capacity at low temperature",
            fix="below='debye' uses Debye's law there, and records this in the history",
        )
    kept = positive.copy()
    kept[
        np.flatnonzero(positive)[
            (np.arange(some.size) < first) | (np.arange(some.size) > last)
        ]
    ] = False
    return kept


def _temperatures(temperature: Any) -> np.ndarray:
    """Return the temperatures that a user gives, in K."""
    values, units = given_axis(temperature, "temperature")
    kelvin = np.asarray(to_kelvin(values, units, name="temperature"))
    low, high = TEMPERATURES
    if not (low < kelvin[0] and kelvin[-1] < high):
        raise TemperatureError(
            f"temperature ranges from {kelvin[0]:g} to {kelvin[-1]:g} K",
            reason=f"a solid has a positive temperature, between {low:g} and {high:g} "
            "K",
            fix="leave 0 out; temperature=np.linspace(2, 300, 150), in K",
        )
    return kelvin
