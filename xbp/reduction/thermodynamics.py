"""What a density of states says of thermodynamics: entropy, u², temperatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of, given_axis, resolve, stated
from xbp.core.data import refuse_where
from xbp.core.errors import QuantityError, RangeError, require_absolute
from xbp.core.guards import (
    at_most_one,
    choose,
    not_used,
    require_given,
    require_mass,
    require_number,
)
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit, quantity_name
from xbp.core.signal import Signal, map_over, read, result_table, table_signal
from xbp.core.units import convert_factor
from xbp.fitting.over_bins import halves_of_bins
from xbp.models.debye_einstein import (
    dos_halves,
    dos_weights,
    mode_heat_capacity,
)
from xbp.models.dimension import mode_count
from xbp.models.harmonic import (
    displacement_temperature,
    heat_capacity_temperature,
    mode_displacement,
    mode_energy,
    mode_entropy,
)
from xbp.reduction.dos_area import (
    known_bins,
    modes_of,
    positive_area,
    read_dos,
    to_pure_number,
)
from xbp.reduction.heat_capacity import kelvins, positive_kelvins
from xbp.reduction.molar import Amount
from xbp.reduction.sample import sample_mass

__all__ = ["debye_temperature", "harmonic_thermodynamics"]

#: Orders n of ⟨Eⁿ⟩: u² at high and at low temperature, energy at 0 K, C and S at high.
_MOMENTS: Final = (-2, -1, 1, 2)

#: A number, and its standard deviation or None.
_Known = tuple[Any, Any]


@operation(takes="vibrational_dos", gives="harmonic_thermodynamics", over="E")
@carries_common_errors()
def harmonic_thermodynamics(
    data: xr.DataArray | xr.Dataset,
    temperature: Any,
    *,
    mass: Any = None,
    composition: Any = None,
    area: float | None = None,
    n_atoms: float | None = None,
    below: Literal["debye"] | None = None,
    area_tolerance: float = 0.01,
) -> xr.Dataset:
    r"""Compute what harmonic vibrations of a density of states do at a temperature.

    .. math:: k_BT_{eff} = \int g\,\frac E2\coth\frac x2\,dE,\quad
              S = 3R\int g\left[\frac x{e^x-1} - \ln(1-e^{-x})\right]dE,\quad
              u^2 = \frac{\hbar^2}{2M}\int \frac gE\coth\frac x2\,dE

    with ∫g dE = 1 and x = E/k_BT. The effective temperature is 2/3 of the mean kinetic
    energy of an atom over k_B. In a plane of atoms 2R takes the place of 3R.

    Parameters
    ----------
    data, temperature, n_atoms, below, area_tolerance
        As for `heat_capacity`; all modes must be there.
    mass, composition
        M for u² (bare: u): a mass, or a composition, whose effective mass is taken. By
        default that of the data; without a mass u² is left out.
    area : float, optional
        Any number if g has all modes: ∫g dE is then brought to 1.

    Returns
    -------
    xarray.Dataset
        Over temperature: ``effective_temperature`` (K); ``entropy`` and
        ``heat_capacity`` (J/mol/K, per mole of atoms); ``theta_C``, the Debye
        temperature (K) with that heat capacity, NaN where it is not below 3R;
        and with M ``u2`` (angstrom², per axis), ``theta_u2``, the Debye temperature
        with that u², and over E ``u2_below``, the part of u² from energies up to E.
        ``theta_g`` over ``moment`` n is [(n+3)/3 ⟨Eⁿ⟩]^(1/n)/k_B, which for Debye's g
        is the same for all n. u² of a plane diverges: it and the moment −2 are
        left out there. Each has a std, for independent bins of g and exact area; Debye
        temperatures that reach infinity within theirs are NaN.

    Raises
    ------
    QuantityError, UnitsError, CoordinateError, TemperatureError, RangeError
        As for `heat_capacity`, and if modes are missing.

    References
    ----------
    A. A. Maradudin et al., Theory of Lattice Dynamics in the Harmonic Approximation
    (1971), ch. IV; S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter
    (1984), ch. 4 (u² and the effective temperature); T. H. K. Barron et al., Proc. R.
    Soc. A 242, 478 (1957), doi:10.1098/rspa.1957.0190 (Debye temperatures of moments).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(0.1, 25, 250)
    >>> g = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D="25 meV")
    >>> found = g.bp.harmonic_thermodynamics([10, 300], mass="50 u", area=1)
    >>> found.effective_temperature.values.round(2), found.u2.values.round(6)
    (array([108.8 , 313.87]), array([0.002528, 0.010641]))
    """
    signal = read_dos(data)
    value = signal.value
    T = positive_kelvins(*given_axis(temperature, "temperature"), "temperature")
    if below is not None:
        choose(below, ("debye",), "below")
    atomic, origin = sample_mass(signal, mass, composition)
    at_most_one(area=area, n_atoms=n_atoms)
    used, d = known_bins(value, below), dimension_of(value)
    E = value["E"].values[used].astype(float) * per_unit(value, "E")
    half = halves_of_bins(signal.source, "E")[used] * per_unit(value, "E")
    weights_of = functools.partial(dos_weights, E, dimension=d, half=half)
    norm = xr.DataArray(weights_of(np.array([np.inf]))[0], dims="E")
    g, sigma = _of_unit_area(signal, used, norm, area, n_atoms, area_tolerance)
    kT = xr.DataArray(constants.BOLTZMANN_MEV * T, dims="temperature")
    per_mole = float(mode_count(scipy.constants.R, d))

    def integral(kernel: Any, factor: Any = 1.0) -> tuple[Any, Any]:
        weights = xr.DataArray(weights_of(T, kernel=kernel), dims=("temperature", "E"))
        return _integrated(g, sigma, weights, norm, factor)

    C, C_std = integral(mode_heat_capacity, per_mole)
    columns: dict[str, tuple[Any, str, str]] = {}

    def add(name: str, both: tuple[Any, Any], units: str, text: str) -> None:
        columns[name] = (both[0], units, text)
        if both[1] is not None:
            columns[f"{name}_std"] = (both[1], "", "")

    kelvin = kT / constants.BOLTZMANN_MEV
    text = "effective temperature"
    add("effective_temperature", integral(mode_energy, kelvin), "K", text)
    add("entropy", integral(mode_entropy, per_mole), "J/K/mol", "entropy")
    add("heat_capacity", (C, C_std), "J/K/mol", "heat capacity")
    if d == 3:
        theta = _solved(heat_capacity_temperature, C, C_std, kelvin)
        add("theta_C", theta, "K", "Debye temperature of the heat capacity")
    orders = [n for n in _MOMENTS if n + d > 0]
    add(
        "theta_g",
        _of_moments(g, sigma, weights_of, d, norm, orders),
        "K",
        "Debye temperature",
    )
    if atomic is not None and d == 3:
        size = constants.HBAR2_OVER_2U / atomic / kT
        u2, u2_std = integral(mode_displacement, size)
        text = "mean-square displacement per axis"
        add("u2", (u2, u2_std), "angstrom**2", text)
        theta = _solved(displacement_temperature, u2, u2_std, kelvin, mass=atomic)
        add("theta_u2", theta, "K", "Debye temperature of u2")
        first, second = (
            xr.DataArray(one, dims=("temperature", "E"))
            for one in dos_halves(E, T, d, mode_displacement, half)
        )
        running = _running(g, sigma, (first, second), size)
        add("u2_below", running, "angstrom**2", "u2 from energies up to E")
    own = value["E"].isel(E=used).variable
    answer: xr.Dataset = result_table(
        signal, columns, quantity="harmonic_thermodynamics",
        operation="harmonic_thermodynamics",
        arguments={"mass": None if atomic is None else f"{atomic:.10g} u", "area": area,
                   "n_atoms": n_atoms, "below": below},
        attrs=None if origin is None else {"mass": f"{atomic:.6g} u ({origin})"},
        coords={
            "temperature": xr.Variable("temperature", T, labels("temperature")),
            "moment": xr.Variable("moment", orders),
            "E": own,
        },
    )  # fmt: skip
    return answer


def _of_unit_area(
    signal: Signal, used: np.ndarray, norm: Any, area: Any, n_atoms: Any, most: float
) -> tuple[Any, Any]:
    """Return g per meV with unit area, and its std, at the energies used."""
    value = signal.value

    def bare(part: Any) -> Any:
        return part.isel(E=used).drop_vars(list(part.coords))

    g = bare(value)
    sigma = None if signal.std is None else bare(std_along(signal.std, "E"))
    if area is None:
        modes = modes_of(signal, n_atoms=n_atoms, tolerance=most)
        refuse_where(
            modes.missing > most,
            lambda: (
                "g(E) contains only "
                f"{100 * (1 - float(modes.missing.max())):.3g} % of its modes"
            ),
            fix="pass all of g(E), or area=1 if it has all modes",
            error=RangeError,
        )
        to_pure_number(signal, free=n_atoms is not None)
    else:
        require_number(area, "area", above=0)
    scale = 1 / positive_area(g, norm)
    return g * scale, None if sigma is None else sigma * scale


def _integrated(
    g: Any, sigma: Any, weights: Any, norm: Any, factor: Any
) -> tuple[Any, Any]:
    """Return ∫ g k dE and its std for a g of exact unit area."""
    out = xr.dot(g, weights, dim="E")
    if sigma is None:
        return out * factor, None
    # What a bin adds to the integral it takes from the mean of all.
    slope = weights - out * norm
    return out * factor, ((slope * sigma) ** 2).sum("E") ** 0.5 * abs(factor)


def _solved(
    function: Any, value: Any, std: Any, T: xr.DataArray, **given: Any
) -> _Known:
    """Return the Debye temperature of a value, and its std."""

    def solved(part: Any) -> Any:
        return map_over(function, part, T, dims=(), **given)

    return _with_error(solved, value, std)


def _with_error(function: Callable[[Any], Any], value: Any, std: Any) -> _Known:
    """Return a temperature, and the larger of its changes by ± one std of the value.

    The slope of a power of a value that is known to 30 % is too small on one side.
    """
    theta = function(value)
    known, error = (theta > 0) & (theta < np.inf), None
    if std is not None:
        sides = [abs(function(value + way * std) - theta) for way in (1, -1)]
        error = np.maximum(*sides)
        known &= error < np.inf
        error = error.where(known)
    return theta.where(known), error


def _of_moments(
    g: Any, sigma: Any, weights_of: Any, d: int, norm: Any, orders: list[int]
) -> tuple[Any, Any]:
    """Return the Debye temperatures of moments of g, over ``moment``."""
    one = np.array([1 / constants.BOLTZMANN_MEV])  # k_BT is 1 meV
    found = []
    for n in orders:

        def power(x: np.ndarray, n: int = n) -> np.ndarray:
            return np.asarray(x ** float(n))

        weights = weights_of(one, kernel=power)[0]
        mean, std = _integrated(g, sigma, xr.DataArray(weights, dims="E"), norm, 1.0)

        def debye(mean: Any, n: int = n) -> Any:
            positive = (n + d) / d * mean.where(~(mean < 0), 0.0)
            return positive ** (1 / n) / constants.BOLTZMANN_MEV

        found.append(_with_error(debye, mean, std))
    theta, std = zip(*found, strict=True)
    joined = xr.concat(theta, "moment")
    return joined, None if sigma is None else xr.concat(std, "moment")


def _running(
    g: Any, sigma: Any, halves: tuple[Any, Any], factor: Any
) -> tuple[Any, Any]:
    """Return ∫ up to each energy: what is below each of the earlier ones, and above."""
    below, above = halves

    def summed(part: Any, power: int) -> Any:
        whole = (below + above) ** power * part
        return whole.cumsum("E") - whole + below**power * part

    out = summed(g, 1) * factor
    return out, None if sigma is None else summed(sigma**2, 2) ** 0.5 * factor


@operation(takes=("heat_capacity", "debye_waller"), gives="debye_temperature")
@carries_common_errors()
def debye_temperature(
    data: xr.DataArray | xr.Dataset,
    T: Any = None,
    *,
    mass: Any = None,
    amount: Amount | None = None,
) -> xr.Dataset:
    r"""Find the Debye temperature that each measured C(T), or u², would have.

    .. math:: C = C_D(T, \theta), \quad
              u^2 = \frac{3\hbar^2}{Mk_B\theta}\left[\frac14 + \left(\frac T\theta
              \right)^2\int_0^{\theta/T}\frac{\zeta\,d\zeta}{e^\zeta-1}\right]

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` per mole of atoms over temperature; or the table of
        `debye_waller`.
    T : scalar with units, optional
        Temperature of u² (bare: K), where the table does not have it.
    mass : scalar with units, optional
        Mass M for u² (bare: u).
    amount : {"atoms", "formula units"}, optional
        What C is a mole of; by default ``C.attrs["amount"]``.

    Returns
    -------
    xarray.Dataset
        ``theta`` in K with its std; NaN where C is not between 0 and 3R, or C or u² not
        by one standard deviation above 0.

    Raises
    ------
    QuantityError
        If C is not per mole of atoms, or M is missing.
    TemperatureError
        If the temperature of u² is missing.

    References
    ----------
    P. Debye, Ann. Phys. 344, 789 (1912), doi:10.1002/andp.19123441404.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> C = xbp.models.evaluate(
    ...     "debye_einstein", np.array([5.0, 100.0]), n_D=1, theta_D="260 K", gamma=0,
    ...     n_E=0, theta_E="70 K", sigma_E="9 K")
    >>> C.bp.debye_temperature(amount="atoms").theta.values.round(3)
    array([260., 260.])
    """
    if quantity_name(data) == "debye_waller":
        table: Any = data
        signal = table_signal(table, "debye_waller", "u2")
        require_absolute(signal.value.attrs, "u2")
        not_used("u² is per atom", amount=amount)
        require_given("mass='71 u'", error=QuantityError, mass=mass)
        M = require_mass(mass)
        kelvin = resolve(signal.value, "temperature", T=T)
        units, given = "angstrom**2", {"mass": M}
        function: Any = displacement_temperature
    else:
        signal = read(data, "heat_capacity")
        not_used("C is over temperature, and does not depend on M", T=T, mass=mass)
        per = stated(signal.value, "amount", amount, Amount, "C is per mole of atoms")
        if per != "atoms":
            raise QuantityError(
                "C is per mole of formula units",
                fix="C.bp.to_molar('atoms', atoms=...)",
            )
        kelvin = xr.DataArray(kelvins(signal.value), dims="temperature")
        units, given, function = "J/mol/K", {}, heat_capacity_temperature
    scale = convert_factor(signal.units, units, name=f"'{signal.value.name}'")

    def bare(part: Any) -> Any:
        return part.drop_vars(list(part.coords)) * scale

    value = bare(signal.value)
    std = None if signal.std is None else bare(signal.std)
    theta, error = _solved(
        function, value, std, kelvin.drop_vars(list(kelvin.coords)), **given
    )
    columns = {"theta": (theta, "K", "Debye temperature")}
    if error is not None:
        columns["theta_std"] = (error, "", "")
    answer: xr.Dataset = result_table(
        signal, columns, quantity="debye_temperature", operation="debye_temperature",
        arguments={"T": T, "mass": mass},
    )  # fmt: skip
    return answer
