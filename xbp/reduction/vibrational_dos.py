"""From measured S(Q,E) to g(E): multiphonon and multiple scattering taken off self-consistently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.conditions import check_statistics, resolve_temperature
from xbp.errors import CoordinateError, QuantityError, RangeError
from xbp.grid import bin_limits, select_range
from xbp.models.factors import boltzmann, thermal_factor
from xbp.models.multiphonon import Below, Modes, expansion, grid_step, onto_bins, order_weights, orders_needed
from xbp.pint_data import Data
from xbp.reduction.multiphonon import energies, require_choice, scatterer
from xbp.schema import COORDINATES
from xbp.signal import Signal, read
from xbp.status import FAILED, NO_DATA, NOT_CONVERGED, OK
from xbp.units import convert_factor, format_unit, magnitude, parse_unit

__all__ = ["correct_multiphonon", "to_vibrational_dos"]

_STATUSES: Final = (OK, NO_DATA, FAILED, NOT_CONVERGED)
_ORDERS_TOLERANCE: Final = 1e-6
_MAX_ITERATIONS: Final = 100


def to_vibrational_dos(
    data: Data,
    T: Any = None,
    E_range: Any = None,
    Q_range: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    multiple_scattering: float = 0.0,
    below: Below = "debye",
    tolerance: float = 1e-4,
) -> Data:
    r"""Return g(E) from S(Q,E), the multiphonon scattering taken off self-consistently.

    .. math:: N g(E) = \frac{\sum_Q [S - N(1+C)\sum_{n\ge2} S_n]}{\sum_Q S_1/g},\quad
              \frac{S_1}{g} = \frac{\hbar^2Q^2}{2M}\frac{e^{-2W}}{E\,(1-e^{-E/k_BT})},\quad \int g\,dE = 1

    From g follow 2W and S_n (`multiphonon_sqe`), from these the next g, until it stays. N is the scale of the data,
    which may be arbitrary. Sums over Q are over the bins that hold numbers, weighted by their width; only E > 0 is used
    (`fold` the other side onto it first). It is the incoherent approximation: for a coherent scatterer the range of Q
    must be wide, and g is neutron-weighted where there are several elements.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), quantum, over Q and E and any further dimensions; NaN where it was masked or not measured.
    T : scalar with units, optional
        Temperature (bare: K), where the data do not carry it.
    E_range : pair of scalars with units, optional
        Where g is found: from the end of the elastic line to the highest energy of a phonon, above which g is taken as
        0. By default all E > 0 that hold numbers.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.
    mass, composition, u2
        What sets 2W, as for `multiphonon_sqe`; a u² that is given or carried stays as it is.
    multiple_scattering : float
        C: neutrons that scattered twice, as a multiple of those that met several phonons at once, whose spectrum theirs
        resembles.
    below : {"debye", "nothing"}
        What stands in for g below E_range in 2W, in the convolutions and in the area: a law of E² through the three
        lowest points, or 0. The answer is NaN there all the same.
    tolerance : float
        How much g may still change, as a part of its maximum, from one iteration to the next.

    Returns
    -------
    same type as `data`
        g(E) in one over the unit of E, NaN outside E_range, over E > 0 and leftover dimensions; its area is 1 with the
        part that `below` stands for. Coordinates ``u2`` (angstrom²; that of the last iteration) and ``status``: "ok",
        "not converged", "fit failed" (no positive area) or "no data"; g is NaN unless it is "ok". A Dataset has
        ``g_std``, that of counting at the multiphonon scattering found (bins are independent), and the report of the
        convergence: ``iterations``, ``change`` (the last), ``orders``, ``scale`` (N), and ``extended``, the part of the
        area that was not measured but is `below`.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, or the data are not quantum S(Q,E).
    RangeError
        If E_range or Q_range holds no data.
    TemperatureError
        If the temperature is missing.

    References
    ----------
    Appendix of M. Kresch et al., Phys. Rev. B 75, 104301 (2007), doi:10.1103/PhysRevB.75.104301; J. Y. Y. Lin and
    M. Kresch, J. Open Source Softw. 3(21), 440 (2018), doi:10.21105/joss.00440, for C.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(1.0, 31)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E, "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe(np.arange(2, 10, 0.5), composition="V")
    >>> back = S.bp.to_vibrational_dos(E_range=(4.5, 30.5), composition="V")
    >>> str(back.status.values), bool(np.allclose(back.g[4:30], (g.g / g.g.sum())[4:], rtol=1e-3))
    ('ok', True)
    """
    task = _Task.of(data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below, tolerance)
    signal, value = task.signal, task.signal.value
    results = task.run(task.density, [["_g"], ["_g"], []] + [[]] * 6, {"_g": int(task.positive.sum())})
    g, g_std, u2_found, code, iterations, change, orders, scale, extended = results
    per_unit = convert_factor(value["E"].attrs["units"], "meV", energy=True)
    e_axis = value["E"][task.positive]
    g, g_std = (
        (part * per_unit).rename(_g="E").assign_coords(E=e_axis.variable, **task.conditions(u2_found, code))
        for part in (g, g_std)
    )
    answer: Any = signal.answer(
        g,
        None if signal.std is None else g_std,
        operation="to_vibrational_dos",
        arguments=task.arguments,
        units=format_unit(parse_unit(value["E"].attrs["units"]) ** -1),
        quantity="vibrational_dos",
        attrs={"statistics": None, "convention": None},
    )
    if isinstance(answer, xr.Dataset):
        scale_units = format_unit(parse_unit(signal.units) * parse_unit(value["E"].attrs["units"]))
        report = {
            "iterations": (iterations, "1", "iterations until g stayed"),
            "change": (change, "1", "last change of g over its maximum"),
            "orders": (orders, "1", "most phonons at once"),
            "scale": (scale / per_unit, scale_units, "scale of the data"),
            "extended": (extended, "1", "part of the area below the range"),
        }
        for name, (array, units, label) in report.items():
            answer[name] = array.variable
            answer[name].attrs = {"units": units, "long_name": label}
    out: Data = answer
    return out


def correct_multiphonon(
    data: Data,
    T: Any = None,
    E_range: Any = None,
    Q_range: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    multiple_scattering: float = 0.0,
    below: Below = "debye",
    tolerance: float = 1e-4,
) -> Data:
    """Take multiphonon and multiple scattering off S(Q,E): what is left is one phonon and the elastic line.

    g(E) is found as by `to_vibrational_dos`; then N(1+C) Σ S_n of two and more phonons is subtracted at every Q and E,
    of either sign. Nothing is filled in: bins that are NaN stay NaN.

    Parameters
    ----------
    data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below, tolerance
        As for `to_vibrational_dos`; E_range is where g is found, the correction is made everywhere.

    Returns
    -------
    same type as `data`
        S(Q,E) on the same grid, with the coordinates ``u2`` (that of the last iteration, which `to_gdos` and `to_bqe`
        then use), ``temperature`` and ``status``; NaN where that is not "ok". The standard deviation is that of the
        data: what is subtracted is taken as exact.

    Raises
    ------
    XbpError
        As for `to_vibrational_dos`.

    References
    ----------
    As for `to_vibrational_dos`.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(1.0, 31)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E, "meV")}, temperature="300 K")
    >>> Q = np.arange(2, 10, 0.5)
    >>> S = g.bp.multiphonon_sqe(Q, composition="V")
    >>> left = S.bp.correct_multiphonon(E_range=(0.5, 30.5), composition="V")
    >>> one = g.bp.multiphonon_sqe(Q, composition="V", part="one")
    >>> bool(np.allclose(left.S.sel(E=slice(1, 60)), one.S.sel(E=slice(1, 60)), atol=1e-6))
    True
    """
    task = _Task.of(data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below, tolerance)
    value = task.signal.value
    left, u2_found, code = task.run(
        task.corrected, [["_Q", "_E"], [], []], {"_Q": value.sizes["Q"], "_E": value.sizes["E"]}
    )
    out = left.rename(_Q="Q", _E="E").transpose(*value.dims)
    kept = {name: c.variable for name, c in value.coords.items() if name != "u2"}
    answer: Data = task.signal.answer(
        out.assign_coords(kept | task.conditions(u2_found, code)),
        task.signal.std,
        operation="correct_multiphonon",
        arguments=task.arguments,
    )
    return answer


@dataclass(frozen=True)
class _Solution:
    """What the iteration ended with; the densities are over the bins E > 0."""

    g: np.ndarray
    g_std: np.ndarray
    u2: float
    many: np.ndarray  # N(1+C) Σ S_n over all bins, in the units of S
    code: int
    iterations: int
    change: float
    orders: int
    scale: float
    extended: float


@dataclass(frozen=True)
class _Task:
    """A map to be corrected: its grid in meV and 1/angstrom, and what sets 2W."""

    signal: Signal
    temperature: xr.DataArray
    u2: xr.DataArray
    per_gamma: float
    E: np.ndarray
    edges: np.ndarray
    Q: np.ndarray
    weight: np.ndarray
    used: np.ndarray
    multiple_scattering: float
    below: Below
    tolerance: float
    per_mev: float
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, data: Any, T: Any, E_range: Any, Q_range: Any, mass: Any, composition: Any, u2: Any, C: Any, below: Any,
        tolerance: Any,
    ) -> _Task:  # fmt: skip
        signal = read(data, "dynamic_structure_factor")
        value = signal.value
        to_mev = energies(value)
        if "Q" not in value.dims:
            raise CoordinateError(
                f"'{value.name}' has no dimension 'Q' (it has {tuple(value.dims)})",
                reason="one phonon is told from several by how they grow with Q",
                fix="pass S(Q,E) before it was cut",
            )
        if check_statistics(value.attrs.get("statistics")) != "quantum":
            raise QuantityError(
                "S(Q,E) is classical",
                reason="the expansion in phonons obeys detailed balance",
                fix="take g(E) from the trajectory itself, traj.bp.vibrational_dos()",
            )
        require_choice("below", below, "debye", "nothing")
        constant = magnitude(C, "1", name="multiple_scattering")
        if constant < 0 or not 0 < tolerance < 1:
            raise RangeError(
                f"multiple_scattering={C!r}, tolerance={tolerance!r}",
                reason="the one is not negative, the other a part of the maximum of g",
                fix="multiple_scattering=0.2, tolerance=1e-4",
            )
        temperature = resolve_temperature(value, T)
        per_gamma, displacement = scatterer(value, mass=mass, composition=composition, u2=u2)
        E = value["E"].values * to_mev
        lower, upper = bin_limits(signal.source, "E")
        q_lower, q_upper = bin_limits(signal.source, "Q")
        to_angstrom = convert_factor(value["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'")
        in_E = select_range(signal.source, "E", E_range, name="E_range") & (E > 0)
        in_Q = select_range(signal.source, "Q", Q_range, name="Q_range")
        if not in_E.any():
            raise RangeError(
                "there are no bins of E > 0 to find g(E) in",
                reason=f"the data reach from {lower[0]:g} to {upper[-1]:g} {value['E'].attrs['units']}",
                fix="give an E_range of positive energies (neutron energy loss)",
            )
        arguments = {
            "T": T, "E_range": E_range, "Q_range": Q_range, "mass": mass, "composition": composition, "u2": u2,
            "multiple_scattering": constant, "below": below, "tolerance": tolerance,
        }  # fmt: skip
        return cls(
            signal, temperature, displacement, per_gamma, E, np.append(lower, upper[-1]) * to_mev,
            value["Q"].values * to_angstrom, np.where(in_Q, (q_upper - q_lower) * to_angstrom, 0.0), in_E, constant,
            below, tolerance, 1 / to_mev, arguments,
        )  # fmt: skip

    @property
    def positive(self) -> np.ndarray:
        """Bins of the answer."""
        return self.E > 0

    def run(self, kernel: Any, dims: list[list[str]], sizes: dict[str, int]) -> Any:
        """Apply a kernel to every map over the leftover dimensions."""
        value, std = (
            None if part is None else part.drop_vars([c for c in part.coords if {"Q", "E"} & set(part[c].dims)])
            for part in (self.signal.value, self.signal.std)
        )
        return xr.apply_ufunc(
            kernel,
            value,
            np.nan if std is None else std,
            self.temperature,
            self.u2,
            input_core_dims=[["Q", "E"], [] if std is None else ["Q", "E"], [], []],
            output_core_dims=dims,
            vectorize=True,
            dask="parallelized",
            output_dtypes=[float] * len(dims),
            dask_gufunc_kwargs={"output_sizes": sizes, "allow_rechunk": True},
        )

    def conditions(self, u2: xr.DataArray, code: xr.DataArray) -> dict[str, Any]:
        """Return the coordinates that the answer rests on."""
        status = xr.apply_ufunc(
            lambda c: np.array(_STATUSES)[np.asarray(c).astype(int)], code, dask="parallelized", output_dtypes=["<U16"]
        )
        labels = {
            name: (c.dims, c.data, {"units": COORDINATES[name][0], "long_name": COORDINATES[name][1]})
            for name, c in (("temperature", self.temperature), ("u2", u2))
        }
        return {**labels, "status": (status.dims, status.data, {"long_name": "whether g(E) was found"})}

    def density(self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float) -> tuple[Any, ...]:
        """Return g, its std and the report."""
        end = self.solve(S, std, kelvin, u2)
        report = (end.u2, end.code, end.iterations, end.change, end.orders, end.scale, end.extended)
        return end.g, end.g_std, *(np.float64(number) for number in report)

    def corrected(self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float) -> tuple[Any, ...]:
        """Return S without its multiphonon part."""
        end = self.solve(S, std, kelvin, u2)
        return S - end.many, np.float64(end.u2), np.float64(end.code)

    def solve(self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float) -> _Solution:
        """Iterate g → 2W → multiphonon → g."""
        kT = float(boltzmann() * kelvin)
        given = bool(np.isfinite(u2))
        seen = np.isfinite(S) & self.used & (self.weight > 0)[:, np.newaxis]
        known = seen.any(axis=0)
        nothing = np.full(int(self.positive.sum()), np.nan)
        if not known.any():
            return _Solution(nothing, nothing, np.nan, np.full(S.shape, np.nan), 1, 0, np.nan, 0, np.nan, np.nan)
        weight = np.where(seen, self.weight[:, np.newaxis], 0.0)
        measured = (weight * np.where(seen, S, 0.0)).sum(axis=0)
        # S_1/g but for ħ²/2M and 2W: 1/[E (1 − e^−x)] = 1/(E² ⟨n⟩/E).
        with np.errstate(divide="ignore", invalid="ignore"):
            by_energy = 1 / (self.E**2 * thermal_factor(self.E, np.array(kelvin), "quantum"))
        displacement, per_gamma = (u2, 0.0) if given else (0.0, self.per_gamma)
        many, orders, step = np.zeros(S.shape), 0, grid_step(self.E[known])
        shape, change = np.full(self.E.size, np.nan), np.inf
        for iteration in range(1, _MAX_ITERATIONS + 1):
            by_momentum = self.Q**2 * np.exp(-(self.Q**2) * displacement)
            per_g = np.where(known, by_energy, np.nan) * (weight * by_momentum[:, np.newaxis]).sum(axis=0)
            scaled = (measured - (weight * many).sum(axis=0)) / per_g
            modes = Modes.of(self.E, scaled, kT, below=self.below, step=step)
            if not (modes.area > 0 and modes.gamma > 0):
                return _Solution(
                    nothing, nothing, np.nan, np.full(S.shape, np.nan), 2, iteration, np.nan, orders, np.nan, np.nan
                )
            # Where u² is given, it and g tell ħ²/2M.
            per_gamma = u2 / modes.gamma if given else self.per_gamma
            displacement = per_gamma * modes.gamma
            scale = modes.area / per_gamma
            new = scaled / modes.area
            if iteration > 1:
                change = float(np.nanmax(np.abs(new - shape)) / np.nanmax(np.abs(new)))
            shape = new
            two_w = self.Q**2 * displacement
            orders = orders_needed(float(two_w.max()), _ORDERS_TOLERANCE)
            binned = np.stack([onto_bins(A, modes.step, self.edges) for A in expansion(modes, orders)[2:]])
            many = scale * (1 + self.multiple_scattering) * (order_weights(two_w, orders)[:, 2:] @ binned)
            if change < self.tolerance:
                break
        ok = change < self.tolerance
        g_std = nothing
        if std.ndim:
            variance = (weight**2 * np.where(seen, std, 0.0) ** 2).sum(axis=0)
            g_std = (np.sqrt(variance) / np.abs(per_g * modes.area))[self.positive]
        return _Solution(
            shape[self.positive] if ok else nothing, g_std if ok else nothing, displacement if ok else np.nan,
            many if ok else np.full(S.shape, np.nan), 0 if ok else 3, iteration, change, orders, scale, modes.extended,
        )  # fmt: skip
