"""Heat capacity as γT, Debye phonons and a Gaussian of Einstein modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.doubts import add_heat_capacity_doubts
from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of, given_axis
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.grid import select_range
from xbp.core.history import range_used
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, require_units
from xbp.core.signal import label_std, map_over, read, result_table, table_signal
from xbp.core.status import Status
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.fit import choices, named_curve
from xbp.fitting.many import Column, Fitted, fit_everywhere
from xbp.fitting.problem import Choices
from xbp.fitting.rows import scatter
from xbp.models.catalogue import find_model
from xbp.models.debye_einstein import debye_dos, dos_maximum, fit_starts, gaussian_dos
from xbp.models.model import parameter_units
from xbp.reduction.dos_area import area_attributes, area_coordinate
from xbp.reduction.heat_capacity import kelvins

__all__ = ["fit_heat_capacity", "fitted_dos", "upturn_below"]


_UNITS = {
    "gamma": "J/K**2/mol", "n_D": "1", "theta_D": "K", "n_E": "1", "theta_E": "K",
    "sigma_E": "K",
}  # fmt: skip
_NAMES = tuple(_UNITS)


@operation(
    takes="heat_capacity",
    gives="fit_heat_capacity",
    step=18,
    when=lambda C: "mol" in str(C.attrs.get("units")),
)
@carries_common_errors()
def fit_heat_capacity(
    data: xr.DataArray | xr.Dataset,
    T_range: Any = None,
    *,
    start: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    r"""Fit γT, Debye phonons and a Gaussian of Einstein modes to a heat capacity.

    .. math:: C = \gamma T + n_D C_D(T; \theta_D) + n_E\int_0^\infty C_E(T;
        \theta)\,\chi(\theta)\,d\theta

    χ is the Gaussian of mean θ_E and standard deviation σ_E on θ > 0, of unit area. Two
    energies come of it, and they differ: k_Bθ_E, and the maximum of g/E² at [Ē + √(Ē² −
    8σ²)]/2, which is the boson peak of the other methods. The Gaussian reaches E = 0:
    below [Ē − √(Ē² − 8σ²)]/2 the fitted g/E² rises again, and C/T³ with it at the
    lowest temperatures. Where σ_E is a quarter of θ_E or more that is as high as the
    Debye level, and the shape's, not the glass's.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` in J/mol/K over temperature (K) and any further dimensions;
        n_D + n_E comes out as 1 per mole of atoms. A Dataset's std weighs the points
        and sets the scale of the errors; without one every point has the same relative
        error, whose size the scatter about the fit tells.
    T_range : pair of scalars with units, optional
        Temperatures to fit. The harmonic model knows neither thermal expansion nor a
        glass transition.
    start, fixed, bounds : mapping of str to scalar, or pair, with units, optional
        As for `fit`: of ``gamma`` (bare: J/mol/K²), ``n_D``, ``n_E``, ``theta_D``,
        ``theta_E``, ``sigma_E`` (bare: K; an energy E is E/k_B). By default γ is free,
        the others are positive, and the start is found by searching the three
        temperatures. For an insulator say ``fixed={"gamma": 0}``.

    Returns
    -------
    xarray.Dataset
        Each parameter with ``_std``; ``correlation``; ``energy_E`` = k_Bθ_E and
        ``energy``, the maximum of g/E², in meV with stds; ``debye_level`` of g/E² (g
        over 3 N_A modes) in 1/meV³ with its std; ``C`` and ``C_std``, the data fitted,
        so that the table can be drawn; ``temperature_low``, ``temperature_high`` and
        ``n_points`` of the range fitted; ``chi2_reduced`` where errors are known;
        ``relative_residual``, the rms of what the fit leaves of each point over that
        point; ``excess_chi2``, by how much the Einstein modes lower χ² below that of γT
        and Debye phonons alone (over χ²/ν of the fit where that is above 1 or errors
        are not known); ``upturn``, the temperature below which C/T of the data rises as
        T falls, which neither γT nor vibrations do but a Schottky or magnetic term: fit
        above twice that temperature (NaN where it does not rise); ``status`` as for
        `fit`, and ``peak_status``: "ok"; "no excess" where that is less than 20, so
        that Debye phonons alone would do, though the modes are undetermined or at a
        limit of their own; "no maximum" where σ_E > θ_E/2√2; "maximum at edge" where
        the Debye phonons end below that energy and their end is what is highest in
        g/E²; "undetermined" where its std is as large as it; "unphysical" where γ is
        negative beyond its error, or more than 1.5 modes per atom and axis are found:
        then the range holds too little, or the amount is not what was said. Where it is
        not "ok", ``energy`` and its std are NaN; the parameters stay.

    Raises
    ------
    UnitsError
        If the data are not per mole, or an argument has other units.
    QuantityError, RangeError, CoordinateError, TemperatureError
        If an argument names no parameter, the range contains no data, or the
        temperatures are not positive.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Methods.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> T = np.geomspace(2, 300, 80)
    >>> C = xbp.models.evaluate(
    ...     "debye_einstein", T, gamma="4 mJ/mol/K^2", n_D=0.8, theta_D="260 K",
    ...     n_E=0.2, theta_E="71.95 K", sigma_E="15 K")
    >>> result = C.bp.fit_heat_capacity()
    >>> round(float(result.energy_E), 3), round(float(result.energy), 3)
    (6.2, 5.604)
    """
    signal = read(data, "heat_capacity")
    value, row = signal.value, find_model("debye_einstein")
    dimension_of(value, 3)
    kelvin = kelvins(value)
    if any(
        parse_unit(signal.units).is_compatible_with(unit) for unit in ("J/K", "J/g/K")
    ):
        raise UnitsError(
            f"'{value.name}' is in '{signal.units}', not per mole",
            fix="data.bp.to_molar('atoms', mass=..., molar_mass=..., atoms=...)",
        )
    factor = convert_factor(signal.units, "J/mol/K", name=f"'{value.name}'")
    chosen = _positive(
        choices(
            list(_NAMES),
            parameter_units(row, "K", "J/mol/K"),
            start,
            fixed,
            bounds,
            row,
        )
    )
    mask = select_range(signal.source, "temperature", T_range, name="T_range")
    T, C = kelvin[mask], value.isel(temperature=mask) * factor
    std = None if signal.std is None else signal.std.isel(temperature=mask) * factor

    def fitted_with(chosen: Choices) -> Fitted:
        said, bounds = chosen.start | chosen.fixed, chosen.bounds
        curve = named_curve(row, lambda T, C: fit_starts(T, C, said, bounds))
        units = {**_UNITS, "temperature": "K"}
        return fit_everywhere(
            C, std, "temperature", T, curve, chosen, units, relative=True
        )

    fitted = fitted_with(chosen)
    columns = fitted.columns
    # The same by γT and Debye phonons alone; the temperatures of no modes may be any.
    gone = {"n_E": 0.0, "theta_E": 70.0, "sigma_E": 15.0}
    without = Choices(
        {name: v for name, v in chosen.start.items() if name not in gone},
        chosen.fixed | gone,
        {name: v for name, v in chosen.bounds.items() if name not in gone},
    )
    alone = fitted_with(without)
    per = {"atoms": 1, "formula units": value.attrs.get("atoms_per_formula")}
    n_atoms = str(per.get(str(value.attrs.get("amount"))))
    atoms = float(n_atoms) if n_atoms.replace(".", "", 1).isdigit() else np.inf
    measured = {"C": (C, "J/mol/K", "heat capacity that was fitted")}
    if std is not None:
        measured["C_std"] = (std, "", "")
    upturn = upturn_below(C, std, T)
    used = [len(_NAMES) - len(each.fixed) for each in (chosen, without)]
    answer: xr.Dataset = result_table(
        signal,
        {
            "upturn": (upturn, "K", "temperature below which C/T rises as it falls"),
            **_derived(fitted, alone, used, {*(bounds or {})}, atoms),
            **columns,
            **measured,
        },
        quantity="fit_heat_capacity",
        operation="fit_heat_capacity",
        arguments={
            "model": row.name,
            **range_used("T_range", T_range, T.min(), T.max(), "K"),
            "start": "guessed from the data" if start is None else start,
            "fixed": "none" if fixed is None else fixed,
            "bounds": "all except gamma positive" if bounds is None else bounds,
        },
        attrs={"model": row.name, "amount": value.attrs.get("amount", "not stated")},
        coords=fitted.coords,
    )
    answer["C"].attrs["quantity"] = "heat_capacity"
    return add_heat_capacity_doubts(answer)


def _positive(chosen: Choices) -> Choices:
    """Return choices in which all but γ are positive, or raise an error."""
    limits = {}
    for name in _NAMES:
        low, high = chosen.bounds.get(name, (-np.inf, np.inf))
        if name != "gamma":
            # A temperature may not be 0 either.
            least = 1e-60 if name.startswith("theta") else 0.0
            given = [d[name] for d in (chosen.start, chosen.fixed) if name in d]
            if high <= 0 or min(given, default=least) < least:
                number = min(given, default=high)
                raise QuantityError(f"{name}={number:g} must be positive")
            low = max(low, 0.0)
        limits[name] = (low, high)
    return Choices(chosen.start, chosen.fixed, limits)


def _derived(
    fitted: Fitted, alone: Fitted, used: Sequence[int], bounded: set[str], atoms: float
) -> dict[str, Column]:
    """Return energies, Debye level and excess χ², with errors from all correlations.

    `used` is how many parameters were fitted, with the Einstein modes and without;
    `bounded` has those with bounds of the user.
    """
    columns, n = fitted.columns, fitted.columns["n_points"][0]
    # Where the curve misses by more than known errors, that is the scale.
    least = 1.0 if "chi2_reduced" in columns else 1e-300
    scale = np.maximum(fitted.chi2 / (n - used[0]), least)
    excess = np.maximum((alone.chi2 - fitted.chi2) / scale, 0.0)
    stds = [f"{name}_std" for name in _NAMES]
    given = [columns[name][0] for name in (*_NAMES, *stds, "correlation", "status")]
    labels = {
        "energy": ("meV", "energy of the boson peak, the maximum of g/E²"),
        "energy_std": ("", ""),
        "energy_E": ("meV", "mean energy of the Einstein modes"),
        "energy_E_std": ("", ""),
        "debye_level": ("1/meV**3", "Debye level of g/E²"),
        "debye_level_std": ("", ""),
        "peak_status": ("", "whether energy can be used"),
    }
    found = map_over(
        _derive, *given, excess, columns["limiting_parameter"][0],
        dims=["parameter", "other_parameter"], gives=[()] * len(labels),
        dtypes=[float] * 6 + ["<U18"], atoms=atoms, bounded=bounded,
    )  # fmt: skip
    text = "by how much the Einstein modes lower chi-squared"
    return {
        "excess_chi2": (excess, "1", text),
        **{name: (a, *labels[name]) for name, a in zip(labels, found, strict=True)},
    }  # fmt: skip


@np.errstate(all="ignore")
def _derive(
    *given: np.ndarray, atoms: float, bounded: set[str]
) -> tuple[np.ndarray, ...]:
    """Return energy, energy_E and Debye level with stds, and the status of the peak."""
    gamma, n_D, theta_D, n_E, theta_E, sigma_E = given[:6]
    s, (correlation, status, excess, limiting) = (
        dict(zip(_NAMES, given[6:12], strict=True)),
        given[12:],
    )
    k = constants.BOLTZMANN_MEV

    def of_two(
        first: str, by_first: np.ndarray, second: str, by_second: np.ndarray
    ) -> Any:
        r = correlation[..., _NAMES.index(first), _NAMES.index(second)]
        a, b = by_first * s[first], by_second * s[second]
        return np.sqrt(np.maximum(a**2 + b**2 + 2 * r * a * b, 0.0))

    energy = k * dos_maximum(theta_E, sigma_E)
    # E = k(θ + w)/2 with w² = θ² − 8σ²: ∂E/∂θ = E/w k/k, ∂E/∂σ = −4kσ/w.
    w = 2 * energy / k - theta_E
    w = np.where(w > 0, w, np.nan)
    energy_std = of_two("theta_E", energy / w, "sigma_E", -4 * k * sigma_E / w)
    edge = k * theta_D
    level = 3 * n_D / edge**3
    level_std = of_two("n_D", 3 / edge**3, "theta_D", -3 * level / theta_D)
    # Where the Debye phonons end below the maximum of the Einstein part, their edge may
    # be higher.
    width = k * sigma_E
    at_peak, at_edge = (
        n_E * np.exp(-(((E - k * theta_E) / width) ** 2) / 2)
        / (width * np.sqrt(2 * np.pi)) / E**2
        for E in (energy, edge)
    )  # fmt: skip
    # Per atom and axis there is one mode.
    unphysical = (gamma + 2 * np.nan_to_num(s["gamma"]) < 0) | (n_D + n_E > 1.5 * atoms)
    peak = status.astype("<U18")
    # χ² of modes that do nothing is known, though their parameters are not.
    own = np.isin(limiting, np.array([*bounded], dtype=str))
    vague = (status == Status.UNDETERMINED) | ((status == Status.AT_BOUND) & ~own)
    peak = np.where(vague & (excess < 20), Status.NO_EXCESS, peak)
    for name, where in (
        # First what makes the rest meaningless.
        (Status.UNPHYSICAL, unphysical),
        # Noise about γT + C_D lowers χ² by up to 13 in 200 draws.
        (Status.NO_EXCESS, (excess < 20) | (n_E == 0)),
        (Status.NO_MAXIMUM, np.isnan(energy)),
        (Status.AT_EDGE, (edge <= energy) & (level + at_edge >= at_peak)),
        (Status.UNDETERMINED, energy_std >= energy),
    ):
        peak = np.where((peak == Status.OK) & where, name, peak)
    # NaN even if the parameters are numbers: a filter by `status` keeps them.
    energy, energy_std = (
        np.where(peak == Status.OK, a, np.nan) for a in (energy, energy_std)
    )
    energy_E = (k * theta_E, k * s["theta_E"])
    return energy, energy_std, *energy_E, level, level_std, peak


@operation(takes="fit_heat_capacity", gives="vibrational_dos", step=41)
@carries_common_errors()
def fitted_dos(data: xr.Dataset, E: Any) -> xr.Dataset:
    r"""Return the density of states implied by a fit of the heat capacity.

    .. math:: g(E) = n_D\,\frac{3E^2}{(k_B\theta_D)^3}\Big|_{E<k_B\theta_D} +
        n_E\,\frac{\chi(E/k_B)}{k_B}

    Parameters
    ----------
    data : xarray.Dataset
        The table that `fit_heat_capacity` returned, over any dimensions.
    E : 1-D array, or DataArray with units
        Ascending energies; bare ones are in meV.

    Returns
    -------
    xarray.Dataset
        ``vibrational_dos`` g(E) in 1/meV over 3 N_A modes, so that ∫ g dE = n_D + n_E,
        the coordinate ``area``; ``g_std`` from the errors of the parameters and their
        correlations. NaN where the fit has no number.

    Raises
    ------
    QuantityError
        If `data` is another table.
    CoordinateError, UnitsError
        If the energies are not ascending, or no energies.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> C = xbp.models.evaluate(
    ...     "debye_einstein", np.geomspace(2, 300, 80), gamma=0, n_D=0.8, theta_D=260,
    ...     n_E=0.2, theta_E=72, sigma_E=15)
    >>> fit = C.bp.fit_heat_capacity(fixed={"gamma": 0})
    >>> g = fit.bp.fitted_dos(np.linspace(0, 30, 301))
    >>> round(float(g.g.integrate("E")), 2)
    1.0
    """
    signal = table_signal(data, "fit_heat_capacity", "theta_E")
    axis, units = given_axis(E, "E")
    grid = xr.Variable("E", axis, {"units": units, "long_name": COORDINATES["E"][1]})
    mev = axis * convert_factor(units, "meV", name="E", energy=True)
    names = list(_NAMES[1:])
    correlation = data["correlation"].sel(parameter=names, other_parameter=names)
    own = [
        _in_own_units(data[f"{name}{end}"]) for end in ("", "_std") for name in names
    ]
    value, std = map_over(
        _dos_one, *own, correlation, dims=["parameter", "other_parameter"],
        gives=[["E"], ["E"]], sizes={"E": mev.size}, each=True, E=mev,
    )  # fmt: skip
    area = area_coordinate(_in_own_units(data["n_D"]) + _in_own_units(data["n_E"]))
    table: xr.Dataset = result_table(
        signal,
        {
            "g": (value.assign_coords(E=grid, area=area), "1/meV", "g(E)"),
            "g_std": (std, "1/meV", ""),
        },
        quantity="vibrational_dos",
        operation="fitted_dos",
        arguments={"E": f"{mev[0]:.10g} to {mev[-1]:.10g} meV"},
    )
    history, amount = table.attrs.pop("history"), data.attrs.get("amount")
    del table.attrs["quantity"]
    table["g"].attrs |= {
        "quantity": "vibrational_dos",
        **area_attributes(1.0, "all modes"),
        "origin": "model",
        **({"amount": amount} if amount in ("atoms", "formula units") else {}),
        "history": history,
    }
    table.attrs["history"] = history
    label_std(table, "g")
    return table


def _in_own_units(column: xr.DataArray) -> xr.DataArray:
    """Return a column in the units of the formula."""
    own = "K" if str(column.name).partition("_")[0] in ("theta", "sigma") else "1"
    return column * convert_factor(
        require_units(column, f"'{column.name}'", own), own, name=f"'{column.name}'"
    )


def _dos_one(*numbers: Any, E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return g and its std from the parameters, their stds and correlations."""
    p, s, correlation = (
        np.array(numbers[:5], dtype=float),
        np.array(numbers[5:10], dtype=float),
        numbers[10],
    )
    if not np.isfinite(p).all():
        return np.full(E.size, np.nan), np.full(E.size, np.nan)

    def g(
        n_D: float, theta_D: float, n_E: float, theta_E: float, sigma_E: float
    ) -> np.ndarray:
        return n_D * debye_dos(E, theta_D) + n_E * gaussian_dos(E, theta_E, sigma_E)

    gradient = np.zeros((5, E.size))
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-4 * abs(p[i])
        # The Debye edge is a step: at fixed shape only its height moves, as the bins
        # next to it would tell nothing.
        if i == 1:
            gradient[i] = -3 * p[0] * debye_dos(E, p[1]) / p[1]
        elif step[i] > 0:
            gradient[i] = (g(*(p + step)) - g(*(p - step))) / (2 * step[i])
    scaled = gradient * s[:, None]
    variance = np.einsum("ie,ij,je->e", scaled, correlation, scaled)
    return g(*p), np.sqrt(np.maximum(variance, 0.0))


def upturn_below(
    C: xr.DataArray, std: xr.DataArray | None, kelvin: np.ndarray
) -> xr.DataArray:
    """Return the temperature below which C/T rises as T falls, for every curve.

    γ is constant, and the vibrations' part of C/T grows with T from 0 until they are
    excited. So C/T that rises towards T = 0 has another part, such as a Schottky
    anomaly of nuclei or of magnetic ions.

    Parameters
    ----------
    C : xarray.DataArray, shape (..., temperature)
        Heat capacity.
    std : xarray.DataArray, shape (..., temperature), or None
        Standard deviations; without them the scatter about a smooth curve is
        used.
    kelvin : numpy.ndarray, shape (n,)
        Temperatures.

    Returns
    -------
    xarray.DataArray, shape (...)
        In K; NaN where C/T does not rise.

    Examples
    --------
    >>> T = np.geomspace(1, 40, 60)
    >>> C = xr.DataArray(2e-4 * T**3 + 3e-3 * T, dims="temperature")
    >>> float(upturn_below(C, None, T))
    nan
    >>> round(float(upturn_below(C + 0.02 / T**2, None, T)), 1)
    2.7
    """
    lowest: xr.DataArray = map_over(
        _lowest, C, np.nan if std is None else std, dims="temperature", each=True,
        T=kelvin,
    )  # fmt: skip
    return lowest


@np.errstate(all="ignore")  # what is not finite shows no upturn
def _lowest(C: np.ndarray, std: np.ndarray, *, T: np.ndarray) -> float:
    """Return the T of the minimum of C/T, from means of three points.

    C/T must rise on both sides by 5 % and 3 standard deviations. Where C is above half
    of its largest C/T may fall too, up to Tg.
    """
    usable = np.isfinite(C) & (T > 0) & (C > 0)
    if usable.sum() < 6:
        return np.nan
    order = np.argsort(T[usable])
    t, y = T[usable][order], (C / T)[usable][order]
    # C/T is a power of T piece by piece, so that its logarithm bends little.
    s = (std / T)[usable][order] if std.ndim else y * scatter(np.log(y))
    third = np.ones(3) / 3
    mean, at = np.convolve(y, third, "valid"), np.convolve(t, third, "valid")
    error = 3 * np.sqrt(2 * np.convolve(s**2, third**2, "valid"))
    rises = np.flatnonzero(mean > 1.05 * np.minimum.accumulate(mean) + error)
    if not rises.size:
        return np.nan
    lowest = int(np.argmin(mean[: rises[0]]))
    needed = 1.05 * mean[lowest] + error[: lowest + 1]
    low = mean[lowest] * at[lowest] <= 0.5 * float(C[usable].max())
    return float(at[lowest]) if low and (mean[: lowest + 1] > needed).any() else np.nan
