"""Heat capacity: from a density of states, and divided by T³."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import dimension_of, given_axis
from xbp.core.data import Data, is_lazy, require_dims, require_values
from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
)
from xbp.core.guards import (
    at_most_one,
    choose,
    require_number,
)
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit
from xbp.core.signal import read
from xbp.core.units import format_unit, has_offset, parse_unit, to_kelvin
from xbp.fitting.over_bins import halves_of_bins
from xbp.models.debye_einstein import dos_weights, mode_heat_capacity
from xbp.models.dimension import mode_count
from xbp.reduction.dos_area import (
    Modes,
    known_area,
    known_bins,
    modes_of,
    positive_area,
    read_dos,
    to_pure_number,
)

__all__ = [
    "heat_capacity",
    "kelvins",
    "positive_kelvins",
    "reduced_heat_capacity",
]


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
    end: float = 1.0,
) -> Data:
    r"""Return the harmonic heat capacity of a density of states.

    .. math:: C(T) = 3R\int_0^\infty g(E)\,\frac{x^2e^x}{(e^x-1)^2}\,dE,\quad x = E/k_BT

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``vibrational_dos`` g(E), measured, simulated or fitted, over E and any further
        dimensions. Energies E < 0, imaginary modes, are left out and listed by
        `diagnostics`. g/E² is taken as linear between the points and as constant below
        the first positive energy (Debye's law); g is 0 beyond the last one. With bounds
        of E, g is its means over the bins.
    temperature : array, or DataArray with units
        Temperatures; bare ones are in K. At 0 K, C is 0.
    area : float, optional
        ∫ g dE to scale g to: 1 is the 3 N_A modes of a mole of atoms. By default the
        area is taken from ``attrs["area"]``, which xbp sets, or must be 1 (all modes)
        or 3 (per atom).
    n_atoms : number, optional
        Number N of atoms in the cell described by g, whose area is 3N. C is per mole of
        atoms. In a plane of atoms 2R, 2N and g/E take the place of 3R, 3N and g/E².
    below : {"debye"}, optional
        How to continue a g that begins with NaN, as under an elastic line: by Debye's
        law through its first value. By default such a g is refused. NaN after the last
        value count as 0.
    area_tolerance : float, optional
        Relative tolerance for recognising an area, and the largest fraction of C that
        may be missing at any temperature if g contains only part of its modes.
    end : float, optional
        Largest last value, as a fraction of the maximum, of a g that does not state its
        area. The default admits all, as Debye's g(E); 0.1 refuses a g that was cut off.

    Returns
    -------
    same type as `data`
        ``heat_capacity`` C(temperature) in J/mol/K; a Dataset with its std, for
        independent bins of a g whose area is exact. ``C_std_common`` is the part that
        all temperatures share. NaN wherever g contains NaN. ``attrs["amount"]`` is that
        of g, or "atoms".

    Raises
    ------
    QuantityError
        If the area of g is unknown, is neither 1 nor 3 (nor 3N), g may lack modes at
        high energy, or is neutron-weighted, and `area` is not given.
    UnitsError
        If g is in arbitrary units, and neither `area` nor `n_atoms` is given.
    CoordinateError, TemperatureError
        If the temperatures are not ascending, or are below 0, or g has no positive
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
    signal = read_dos(data)
    value = signal.value
    kelvin = kelvins_or_zero(*given_axis(temperature, "temperature"), "temperature")
    to_mev = per_unit(value, "E")
    if below is not None:
        choose(below, ("debye",), "below")
    at_most_one(area=area, n_atoms=n_atoms)
    require_number(area_tolerance, "area_tolerance", above=0, below=1)
    used = known_bins(value, below)
    E = value["E"].values[used].astype(float) * to_mev
    # No mode is excited at T = 0.
    excited = kelvin > 0
    warm = np.where(excited, kelvin, 1.0)
    half = halves_of_bins(signal.source, "E")[used] * to_mev
    weights = dos_weights(E, np.append(warm, np.inf), dimension_of(value), half=half)
    weights[:-1] *= excited[:, np.newaxis]
    classical = mode_count(scipy.constants.R, dimension_of(value))
    modes: Modes | None = None
    known = known_area(value)
    if area is None:
        if n_atoms is None and not known and parse_unit(signal.units).dimensionless:
            raise UnitsError(
                f"'{value.name}' has arbitrary units: the number of modes is unknown",
                fix="area=1 if g contains all modes",
            )
        scale: Any = to_pure_number(signal, free=n_atoms is not None or known) / to_mev
        modes = modes_of(signal, n_atoms=n_atoms, tolerance=area_tolerance, end=end)
    else:
        area = require_number(area, "area", above=0, error=QuantityError)
    by_E = xr.DataArray(weights[:-1], dims=("temperature", "E"))
    norm = xr.DataArray(weights[-1], dims="E")
    own = ("temperature", "area")
    foreign = [c for c in value.coords if c in own or "E" in value[c].dims]
    g = value.isel(E=used).drop_vars(foreign)
    scale = scale / modes.unit if modes else (area or 1.0) / positive_area(g, norm)
    dims = [d if d != "E" else "temperature" for d in value.dims]
    out = (xr.dot(g, by_E, dim="E") * scale).transpose(*dims)
    if modes:
        out = _without_missing(out, modes, kelvin, float(E[-1]), area_tolerance)
    std: xr.DataArray | None = None
    common: dict[str, xr.Variable] = {}
    if signal.std is not None:
        sigma = std_along(signal.std, "E").isel(E=used)
        sigma = sigma.drop_vars(list(signal.std.coords))
        slope: Any = by_E
        if modes is None or (known and "area" not in value.coords):
            # The area is exact: what a bin adds to C it takes from the mean of all.
            slope = by_E - out * norm / (area or 1.0)
            if modes:
                slope = slope.where(modes.missing <= area_tolerance, by_E)
        std, common = _errors(
            slope * sigma * scale * classical, dims, fingerprint("g(E)", g, sigma)
        )
    counted = modes or area == 1
    answer: Data = signal.answer(
        (out * classical).assign_coords(
            temperature=("temperature", kelvin, labels("temperature"))
        ),
        std,
        operation="heat_capacity",
        arguments={"area": area, "n_atoms": n_atoms, "below": below},
        units="J/K/mol",
        quantity="heat_capacity",
        attrs={
            "amount": value.attrs.get("amount", "atoms") if counted else None,
            **dict.fromkeys(("area", "area_of", "weighting")),
        },
        common=common,
    )
    return answer


def _errors(
    parts: xr.DataArray, dims: list[Any], name: str
) -> tuple[xr.DataArray, dict[str, xr.Variable]]:
    """Return the std from the errors of each bin of g, and what temperatures share.

    All temperatures see the same bins: the leading component of their covariance is
    kept apart, so that a mean or a fit over T does not take their errors as
    independent.
    """
    total = (parts**2).sum("E") ** 0.5
    if is_lazy(total) or total.ndim > 1:
        return total.transpose(*dims), {}
    matrix = np.nan_to_num(parts.transpose("temperature", "E").values)
    left, size, _ = np.linalg.svd(matrix, full_matrices=False)
    shared = xr.Variable("temperature", left[:, 0] * size[0])
    # Never 0, which would be a measurement without counts.
    least = (0.01 * total) ** 2
    own = total.copy(
        data=np.maximum((total**2 - shared**2).values, least.values) ** 0.5
    )
    return own, {name: shared}


def _without_missing(
    C: xr.DataArray, modes: Modes, kelvin: np.ndarray, highest: float, tolerance: float
) -> xr.DataArray:
    """Refuse temperatures at which modes that g lacks contribute; NaN if it is lazy.

    C is over that of classical modes; each mode above the highest energy E has less
    than c(E/k_BT) of it.
    """
    x = highest / (constants.BOLTZMANN_MEV * np.maximum(kelvin, 1e-9))
    each = xr.DataArray(mode_heat_capacity(x), dims="temperature")
    missing = modes.missing.where(modes.missing > tolerance, 0.0)
    most = missing * each.where(modes.above, 1.0)
    lost = most > tolerance * abs(C)
    if not is_lazy(lost) and bool(lost.any()):
        fine = kelvin[~lost.any([d for d in lost.dims if d != "temperature"]).values]
        raise RangeError(
            f"g(E) has {100 * (1 - float(modes.missing.max())):.3g} % of its modes, up "
            f"to {highest:.4g} meV: C at {kelvin[-1]:g} K may be over "
            f"{100 * tolerance:.2g} % too low",
            fix=(f"end T at {fine[-1]:g} K, or " if fine.size else "")
            + "pass all of g(E)",
        )
    return C.where(~lost)


def kelvins_or_zero(values: Any, units: str, name: str) -> np.ndarray:
    """Return ascending temperatures in K, which may begin with 0."""
    kelvin = np.asarray(to_kelvin(np.asarray(values, float), units, name=name))
    require_values(kelvin, name, "K", least=0, below=1e9, error=TemperatureError)
    positive_kelvins(kelvin[kelvin > 0], "K", name)
    return kelvin


def positive_kelvins(values: Any, units: str, name: str) -> np.ndarray:
    """Return ascending temperatures in K, refused outside 1e-9 to 1e9 K."""
    kelvin = np.asarray(to_kelvin(np.asarray(values, float), units, name=name))
    require_values(kelvin, name, "K", above=1e-9, below=1e9, error=TemperatureError)
    return kelvin


def kelvins(value: xr.DataArray) -> np.ndarray:
    """Return the temperatures of a heat capacity in K, which must be positive."""
    require_dims(value, "temperature", "a heat capacity", error=CoordinateError)
    T = value["temperature"]
    return positive_kelvins(T.values, T.attrs["units"], "coordinate 'temperature'")


def in_kelvin(data: Any) -> Any:
    """Return a heat capacity with its temperatures in K, if these have another zero.

    Examples
    --------
    >>> T = xr.DataArray([0.0, 20.0], dims="temperature", attrs={"units": "degC"})
    >>> in_kelvin(xr.Dataset(coords={"temperature": T})).temperature.values
    array([273.15, 293.15])
    """
    T = data.coords.get("temperature")
    units = None if T is None else T.attrs.get("units")
    if units is None or not has_offset(parse_unit(units)):
        return data
    kelvin = to_kelvin(T.values.astype(float), units, name="coordinate 'temperature'")
    return data.assign_coords(temperature=(T.dims, kelvin, T.attrs | {"units": "K"}))


@operation(
    takes="heat_capacity",
    gives="reduced_heat_capacity",
    step=17,
    when=lambda C: "mol" in str(C.attrs.get("units")),
)
@carries_common_errors(linear=True)
def reduced_heat_capacity(data: Data, gamma: Any = 0.0) -> Data:
    r"""Return (C − γT)/T³, in a plane over T², whose maximum is the boson peak's.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` over temperature and any further dimensions.
    gamma : scalar with units, optional
        Coefficient γ of the linear term (bare: units of the data per K), taken as
        exact.

    Returns
    -------
    same type as `data`
        ``reduced_heat_capacity`` in the units of the data over K³ (K²).

    Raises
    ------
    CoordinateError, TemperatureError, UnitsError
        If the dimension temperature is missing or not positive, or γ has other units.

    References
    ----------
    R. C. Zeller and R. O. Pohl, Phys. Rev. B 4, 2029 (1971),
    doi:10.1103/PhysRevB.4.2029.

    Examples
    --------
    >>> import xbp
    >>> C = xbp.new_dataset("heat_capacity", [9.0], units="J/mol/K",
    ...     coords={"temperature": ([2.0], "K")})
    >>> float(C.bp.reduced_heat_capacity(gamma="0.5 J/mol/K^2").C_T3[0])
    1.0
    """
    signal = read(data, "heat_capacity")
    T = xr.Variable("temperature", kelvins(signal.value))
    per_kelvin = format_unit(parse_unit(signal.units) / parse_unit("K"))
    slope = require_number(
        gamma, "gamma", per_kelvin, least=-1e150, most=1e150, error=QuantityError
    )
    power = dimension_of(signal.value)
    answer: Data = signal.answer(
        (signal.value.variable - slope * T) / T**power,
        None if signal.std is None else signal.std.variable / T**power,
        operation="reduced_heat_capacity",
        arguments={"gamma": f"{slope:.10g} {per_kelvin}"},
        units=format_unit(parse_unit(signal.units) / parse_unit(f"K**{power}")),
        quantity="reduced_heat_capacity",
        attrs={"gamma": f"{slope:.10g} {per_kelvin}"},
    )
    return answer
