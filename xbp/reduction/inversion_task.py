"""A map S(Q,E) to be inverted to g(E): its grid, 2W, and a g that continues it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import check_statistics, resolve_temperature
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, interval, select_range
from xbp.core.guards import choose, require_dims, require_number
from xbp.core.independence import std_along
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.status import OK
from xbp.core.units import convert_factor
from xbp.models.multiphonon import Below
from xbp.reduction.dos_area import known_area, require_known_area
from xbp.reduction.inversion import STATUSES, Inversion
from xbp.reduction.multiphonon import energies, scatterer
from xbp.reduction.sign import require_sign

__all__ = ["Task"]


@dataclass(frozen=True)
class Continuation:
    """g(E) above the range in which it is measured.

    Attributes
    ----------
    value, std : xarray.DataArray
        On any scale, over ``_i`` and further dimensions; the std is NaN if unknown.
    E, lower, upper : numpy.ndarray, shape (n_i,)
        Centres and limits of its bins in meV; empty if there is none.
    end : float
        Where the bins of the data end in which g is found, in meV.
    joined : numpy.ndarray of bool, shape (n_E,)
        Bins of the data over which it is scaled to have their area.
    whole : bool
        Whether it is known to contain all modes.
    """

    value: xr.DataArray
    std: xr.DataArray
    E: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    end: float
    joined: np.ndarray
    whole: bool


def _continuation(
    initial: Any, join_range: Any, signal: Signal, in_E: np.ndarray, to_mev: float
) -> Continuation:
    """Read the density that continues g where `in_E`, its bins, end."""
    if initial is None:
        empty = np.empty(0)
        nothing = xr.DataArray(empty, dims="_i")
        joined = np.zeros_like(in_E)
        return Continuation(
            nothing, nothing, empty, empty, empty, np.inf, joined, False
        )
    other = read(initial, "vibrational_dos")
    further = [d for d in other.value.dims if d != "E"]
    foreign = [d for d in further if d not in signal.value.dims]
    if foreign:
        raise QuantityError(
            f"initial_dos has a dimension {foreign[0]!r} that the data do not have",
            fix=f"initial_dos=dos.isel({foreign[0]}=0)",
        )
    per_unit = energies(other.value)
    require_known_area(other.value, "initial_dos")
    known = other.value.notnull().all(further).values & (other.value["E"].values > 0)
    lower, upper = (edge * per_unit for edge in bin_limits(other.source, "E"))
    E = other.value["E"].values * per_unit
    low, high = (edge * to_mev for edge in bin_limits(signal.source, "E"))
    start, end = float(low[in_E][0]), float(high[in_E][-1])
    if not known.any() or not upper[known][-1] > end:
        raise RangeError(
            f"initial_dos ends at {upper[known].max(initial=0):.4g} meV, but the "
            f"data reach {end:.4g} meV",
            fix="initial_dos=g of a higher incident energy, or leave it out",
        )
    first, last = max((start + end) / 2, float(lower[known][0])), end
    if join_range is not None:  # in the units of the data, as E_range
        limits = interval(join_range, signal.value, "E", name="join_range")
        first, last = (limit * to_mev for limit in limits)
    centres = signal.value["E"].values * to_mev
    joined = in_E & (centres >= max(first, E[known][0]))
    joined &= centres <= min(last, E[known][-1])
    if not joined.any():
        raise RangeError(
            f"the data and initial_dos have no bin in common from {first:.4g} "
            f"to {last:.4g} meV, where they are scaled to equal area",
            fix="join_range=('10 meV', '20 meV'), a range where both have values",
        )
    coords = other.value.coords
    bare = [c for c in coords if "E" in coords[c].dims or not coords[c].dims]
    value, std = (
        part.drop_vars(bare, errors="ignore").isel(E=known).rename(E="_i")
        for part in (
            other.value,
            other.value * np.nan if other.std is None else other.std,
        )
    )
    return Continuation(
        value, std, E[known], lower[known], upper[known], end, joined,
        known_area(other.value),
    )  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """Energies of a g(E): bins of the data, and those of a density that continues.

    Attributes
    ----------
    taken : numpy.ndarray of bool, shape (n + n_i,)
        Which of the bins of both are used.
    centres, lower, upper : numpy.ndarray, shape (n_g,)
        In meV.
    further : bool
        Whether a density continues.
    """

    taken: np.ndarray
    centres: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    further: bool

    def coordinate(self, own: xr.DataArray, per_unit: float) -> xr.Variable:
        """Return E in the units of the data, with their attributes."""
        if not self.further:
            return own[-self.centres.size :].variable
        return xr.Variable("E", self.centres / per_unit, own.attrs)

    def extended(self, own: xr.Variable) -> xr.Variable:
        """Return independences of the bins E > 0, with 1 for those that continue."""
        kept = own.isel(E=self.taken[: own.sizes["E"]])
        n = self.centres.size - kept.sizes["E"]
        out: xr.Variable = kept.pad(E=(0, n), constant_values=1.0)
        return out

    def bounds(self, per_unit: float) -> dict[str, xr.Variable]:
        """Return the CF bounds, if bins of two widths are on the axis."""
        edges = np.stack([self.lower, self.upper], axis=1) / per_unit
        return {"E": xr.Variable(("E", "bnds"), edges)} if self.further else {}


@dataclass(frozen=True)
class Task:
    """A map to be inverted, and what sets 2W."""

    signal: Signal
    temperature: xr.DataArray
    u2: xr.DataArray
    grid: Inversion
    further: Continuation
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, data: Any, T: Any, E_range: Any, Q_range: Any, *, mass: Any,
        composition: Any, u2: Any,
        multiple_scattering: Any, below: Any, tolerance: Any, initial_dos: Any,
        join_range: Any, end: Any,
        background: Any, uncertain: Any, reversed_below: float | None,
    ) -> Task:  # fmt: skip
        """Read the map and the arguments of `to_vibrational_dos`."""
        arguments = {
            "T": T, "E_range": E_range, "Q_range": Q_range, "mass": mass,
            "composition": composition,
            "u2": u2, "multiple_scattering": multiple_scattering, "below": below,
            "tolerance": tolerance,
            "join_range": join_range, "end": end, "background": background,
            "uncertain": uncertain,
            "initial_dos": None if initial_dos is None else str(getattr(initial_dos,
            "name", None) or "g"),
        }  # fmt: skip
        signal = read(data, "dynamic_structure_factor")
        value, source = signal.value, signal.source
        to_mev = energies(value)
        require_dims(
            value, "Q", "the separation of one phonon from many",
            fix="pass S(Q,E) before cutting it", error=CoordinateError,
        )  # fmt: skip
        if check_statistics(value.attrs.get("statistics")) != "quantum":
            raise QuantityError(
                "S(Q,E) is classical; the expansion in phonons obeys detailed balance",
                fix="take g(E) from the trajectory itself, traj.bp.vdos(), or make it "
                "quantum, data.bp.to_quantum()",
            )
        choose(below, Below, "below")
        require_number(tolerance, "tolerance", above=0, below=1)
        require_number(end, "end", above=0, below=1)
        require_number(background, "background", above=0)
        require_number(uncertain, "uncertain", above=0)
        C, fitted = (
            0.0,
            isinstance(multiple_scattering, str) and multiple_scattering == "fit",
        )
        if not fitted:
            C = require_number(multiple_scattering, "multiple_scattering", least=0)
            arguments["multiple_scattering"] = C
        temperature = resolve_temperature(value, T)
        require_sign(value, signal.std, temperature, reversed_below)
        per_gamma, displacement = scatterer(
            value, mass=mass, composition=composition, u2=u2
        )
        if bool((displacement == 0).any()):
            raise QuantityError(
                "u2 is 0 angstrom^2, so g(E), vibrations about fixed positions, cannot "
                "be determined",
                fix="in a liquid, g(E)/E^2 is data.bp.to_bqe(u2='0 "
                "angstrom^2').bp.cut_Q(...), with multiphonons; for a solid, pass u2=, "
                "mass= or composition=",
            )
        E = value["E"].values * to_mev
        lower, upper = bin_limits(source, "E")
        q_lower, q_upper = bin_limits(source, "Q")
        units = value["E"].attrs["units"]
        to_angstrom = convert_factor(
            value["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'"
        )
        in_E = select_range(source, "E", E_range, name="E_range") & (E > 0)
        in_Q = select_range(source, "Q", Q_range, name="Q_range")
        if not in_E.any():
            raise RangeError(
                f"there are no bins at E > 0 in E_range; the data reach from "
                f"{lower[0]:g} to {upper[-1]:g} {units}",
                fix="pass an E_range of positive energies (neutron energy loss)",
            )
        tail = fitted & (E[in_E][-1] < E)
        if fitted and not tail.any():
            low, high = float(lower[in_E][0]), float(upper[in_E][-1])
            raise RangeError(
                f"there are no data beyond E_range, {low:.4g} to {high:.4g} {units}, "
                "to fit the multiple scattering, where there are no phonons",
                fix="end E_range at the highest phonon, as in "
                f"E_range=('{low:.4g} {units}', '{high * 0.7:.4g} {units}'), or give "
                "it: multiple_scattering=0.2",
            )
        further = _continuation(initial_dos, join_range, signal, in_E, to_mev)
        grid = Inversion(
            E, np.append(lower, upper[-1]) * to_mev, value["Q"].values * to_angstrom,
            np.where(in_Q, (q_upper - q_lower) * to_angstrom, 0.0), in_E, tail, C,
            per_gamma, below,
            tolerance, end, background, uncertain, further.E, further.joined,
            further.whole,
        )  # fmt: skip
        return cls(signal, temperature, displacement, grid, further, arguments)

    def reach(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Return the limits of the part of E_range in which any Q has a value."""
        used = xr.DataArray(self.grid.weight > 0, dims="Q")
        used = used & xr.DataArray(self.grid.used, dims="E")
        value = self.signal.value
        known = ((abs(value.drop_vars(list(value.coords))) < np.inf) & used).any("Q")
        lower, upper = (
            xr.DataArray(limits, dims="E").where(known)
            for limits in bin_limits(self.signal.source, "E")
        )
        return lower.min("E"), upper.max("E")

    def run(self, kernel: Any, dims: list[list[str]], sizes: dict[str, int]) -> Any:
        """Apply a kernel to every map over the leftover dimensions."""
        value, std = self.signal.value, self.signal.std
        foreign = [c for c in value.coords if {"Q", "E"} & set(value[c].dims)]
        if std is not None:
            std = std_along(std, "Q").drop_vars(foreign)
        further = [["_i"] if self.further.E.size else []] * 2
        return xr.apply_ufunc(
            kernel, value.drop_vars(foreign), np.nan if std is None else std,
            self.temperature, self.u2,
            self.further.value if further[0] else np.nan,
            self.further.std if further[0] else np.nan,
            input_core_dims=[["Q", "E"], [] if std is None else ["Q", "E"], [], [],
            *further],
            output_core_dims=dims, vectorize=True, dask="parallelized",
            output_dtypes=[float] * len(dims),
            dask_gufunc_kwargs={"output_sizes": sizes, "allow_rechunk": True},
        )  # fmt: skip

    def conditions(
        self, u2: xr.DataArray, status: xr.DataArray, u2_status: xr.DataArray
    ) -> dict[str, Any]:
        """Return the coordinates temperature, u2, status and u2_status."""
        # A u² that was given stays, however much of g was measured.
        if not np.isnan(self.grid.per_gamma):
            u2 = u2.where(u2_status == 0)
        found: dict[str, Any] = {}
        for name, c in (("temperature", self.temperature), ("u2", u2)):
            units, label = COORDINATES[name]
            found[name] = (c.dims, c.data, {"units": units, "long_name": label})
        for name, code, label in (
            ("status", status, "whether g(E) was found"),
            ("u2_status", u2_status,
            "whether the range holds all modes, so that u2 and the area are known"),
        ):  # fmt: skip
            c = xr.apply_ufunc(
                lambda codes: np.array(STATUSES)[np.asarray(codes).astype(int)],
                code, dask="parallelized", output_dtypes=["<U22"],
            )  # fmt: skip
            found[name] = (c.dims, c.data, {"long_name": label})
        return found

    def axis(self) -> Axis:
        """Return the bins of the data with E > 0, and those that continue them."""
        edges, further = self.grid.edges, self.further
        E, lower, upper = (
            part[self.grid.positive] for part in (self.grid.E, edges[:-1], edges[1:])
        )
        slack = 1e-9 * np.min(upper - lower)
        own, above = lower < further.end - slack, further.upper > further.end + slack
        start, ends = (
            np.maximum(further.lower[above], further.end),
            further.upper[above],
        )
        return Axis(
            np.append(own, above), np.append(E[own], (start + ends) / 2),
            np.append(lower[own], start), np.append(upper[own], ends),
            bool(above.any()),
        )  # fmt: skip

    def error_of_u2(
        self, u2: xr.DataArray, g_std: xr.DataArray, below: xr.DataArray, axis: Axis
    ) -> xr.DataArray:
        """Return the std of u² = (ħ²/2M) γ₀ from that of g, whose area stays 1."""
        E, width = xr.DataArray(
            [axis.centres, axis.upper - axis.lower], dims=("part", "_g")
        )
        x = E / (2 * constants.BOLTZMANN_MEV * self.temperature)
        per_g = 1 / (E * np.tanh(x)) - u2 / self.grid.per_gamma
        variance = ((per_g * width * g_std) ** 2).sum("_g")
        out: xr.DataArray = (self.grid.per_gamma**2 * variance + below**2) ** 0.5
        return out

    def density(
        self, taken: np.ndarray, S: np.ndarray, std: np.ndarray, kelvin: float,
        u2: float,
        initial: np.ndarray, initial_std: np.ndarray,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return g, its std and the numbers of the report of one map."""
        n = self.further.E.size
        initial, initial_std = (
            np.atleast_1d(initial)[:n],
            np.atleast_1d(initial_std)[:n],
        )
        end = self.grid.solve(S, std, kelvin, u2, initial)
        g, g_std = (
            np.concatenate([self._continued(own, further), further])[taken]
            for own, further in (
                (end.g, end.join * initial), (end.g_std, end.join * initial_std),
            )
        )  # fmt: skip
        report = (
            end.u2, STATUSES.index(end.status), STATUSES.index(end.u2_status),
            end.iterations, end.change,
            end.orders, end.scale, end.constant, end.extended, end.highest,
            end.background, end.u2_below_std,
        )  # fmt: skip
        return g, g_std, *map(np.float64, report)

    def _continued(self, own: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Fill the bins above the last value with the density that continues."""
        known = np.flatnonzero(np.isfinite(own))
        if not further.size or not known.size:
            return own
        above, filled = slice(known[-1] + 1, None), own.copy()
        E = self.grid.E[self.grid.positive][above]
        filled[above] = np.interp(E, self.grid.initial_E, further)
        return filled

    def corrected(
        self,
        S: np.ndarray,
        std: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
        _: Any,
    ) -> tuple[Any, ...]:
        """Return S without its multiphonon part."""
        initial = np.atleast_1d(initial)[: self.further.E.size]
        end = self.grid.solve(S, std, kelvin, u2, initial)
        left = S - end.many if end.u2_status == OK else np.full(S.shape, np.nan)
        codes = STATUSES.index(end.status), STATUSES.index(end.u2_status)
        return left, *map(np.float64, (end.u2, *codes))
