"""A map S(Q,E) that is to be inverted to g(E).

What was measured, what sets 2W, and the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import check_statistics, resolve_temperature
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.independence import std_along
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude
from xbp.reduction.inversion import STATUSES, Inversion
from xbp.reduction.multiphonon import energies, require_choice, scatterer
from xbp.reduction.sign import require_sign
from xbp.reduction.stitching import Axis, Continuation

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A map to be corrected, and what sets 2W."""

    signal: Signal
    temperature: xr.DataArray
    u2: xr.DataArray
    grid: Inversion
    further: Continuation
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, data: Any, T: Any, E_range: Any, Q_range: Any, *, mass: Any, composition: Any, u2: Any,
        multiple_scattering: Any, below: Any, tolerance: Any, initial_dos: Any, join_range: Any, end: Any,
        reversed_below: float | None,
    ) -> Task:  # fmt: skip
        """Read the map, and hold the arguments of `to_vibrational_dos` to it."""
        C = multiple_scattering
        signal = read(data, "dynamic_structure_factor")
        value = signal.value
        to_mev = energies(value)
        if "Q" not in value.dims:
            raise CoordinateError(
                f"'{value.name}' has no dimension 'Q' (it has {tuple(value.dims)})",
                reason="one-phonon and multiphonon scattering are separated by their "
                "Q dependence",
                fix="pass S(Q,E) before cutting it",
            )
        if check_statistics(value.attrs.get("statistics")) != "quantum":
            raise QuantityError(
                "S(Q,E) is classical",
                reason="the expansion in phonons obeys detailed balance",
                fix="take g(E) from the trajectory itself, traj.bp.vdos(), or make it "
                "quantum, data.bp.to_quantum()",
            )
        require_choice("below", below, "debye", "nothing")
        fitted = isinstance(C, str) and C == "fit"
        constant = 0.0 if fitted else magnitude(C, "1", name="multiple_scattering")
        if constant < 0 or not 0 < tolerance < 1:
            raise RangeError(
                f"multiple_scattering={C!r}, tolerance={tolerance!r}",
                reason="multiple_scattering must not be negative; tolerance is a "
                "fraction of the maximum of g",
                fix="multiple_scattering=0.2 or 'fit', tolerance=1e-4",
            )
        end = magnitude(end, "1", name="end")
        if not 0 < end < 1:
            raise RangeError(
                f"end={end:g}",
                reason="it is a fraction of the maximum of g",
                fix="end=0.25",
            )
        temperature = resolve_temperature(value, T)
        require_sign(value, signal.std, temperature, reversed_below)
        per_gamma, displacement = scatterer(
            value, mass=mass, composition=composition, u2=u2
        )
        if bool((displacement == 0).any()):
            raise QuantityError(
                "u2 is 0 angstrom^2",
                reason="g(E) follows from vibrations about fixed positions; with u2 = "
                "0, or in a liquid, it "
                "cannot be determined",
                fix="in a liquid, g(E)/E^2 is data.bp.to_bqe(u2='0 "
                "angstrom^2').bp.cut_Q(...), with multiphonons; for "
                "a solid, pass u2=, mass= or composition=",
            )
        E = value["E"].values * to_mev
        lower, upper = bin_limits(signal.source, "E")
        q_lower, q_upper = bin_limits(signal.source, "Q")
        to_angstrom = convert_factor(
            value["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'"
        )
        in_E = select_range(signal.source, "E", E_range, name="E_range") & (E > 0)
        in_Q = select_range(signal.source, "Q", Q_range, name="Q_range")
        if not in_E.any():
            raise RangeError(
                "there are no bins at E > 0 from which to determine g(E)",
                reason=f"the data reach from {lower[0]:g} to {upper[-1]:g} "
                f"{value['E'].attrs['units']}",
                fix="pass an E_range of positive energies (neutron energy loss)",
            )
        beyond = fitted & (E[in_E][-1] < E)
        if fitted and not beyond.any():
            units, low, high = (
                value["E"].attrs["units"],
                float(lower[in_E][0]),
                float(upper[in_E][-1]),
            )
            raise RangeError(
                f"there are no data beyond E_range, {low:.4g} to {high:.4g} {units}, "
                "to fit the multiple scattering",
                reason="it is fitted where there are no phonons, between the end of "
                "E_range and that of the data",
                fix="end E_range at the highest phonon, as in "
                f"E_range=('{low:.4g} {units}', '{high * 0.7:.4g} {units}'), or give "
                "it: multiple_scattering=0.2",
            )
        arguments = {
            "T": T, "E_range": E_range, "Q_range": Q_range, "mass": mass, "composition": composition, "u2": u2,
            "multiple_scattering": C if fitted else constant, "below": below, "tolerance": tolerance,
            "join_range": join_range, "end": end,
            "initial_dos": None if initial_dos is None else str(getattr(initial_dos, "name", None) or "g"),
        }  # fmt: skip
        further = Continuation.none(signal)
        if initial_dos is not None:
            further = Continuation.of(initial_dos, join_range, signal, in_E, to_mev)
        grid = Inversion(
            E, np.append(lower, upper[-1]) * to_mev, value["Q"].values * to_angstrom,
            np.where(in_Q, (q_upper - q_lower) * to_angstrom, 0.0), in_E, beyond, constant, per_gamma, below, tolerance,
            end, further.E, further.joined, further.whole,
        )  # fmt: skip
        return cls(signal, temperature, displacement, grid, further, arguments)

    def reach(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Return from where to where g is found.

        The part of E_range in which any Q holds a number.
        """
        used = xr.DataArray(self.grid.weight > 0, dims="Q") & xr.DataArray(
            self.grid.used, dims="E"
        )
        value = self.signal.value
        known = ((abs(value.drop_vars(list(value.coords))) < np.inf) & used).any("Q")
        lower, upper = (
            xr.DataArray(limits, dims="E").where(known)
            for limits in bin_limits(self.signal.source, "E")
        )
        return lower.min("E"), upper.max("E")

    def run(self, kernel: Any, dims: list[list[str]], sizes: dict[str, int]) -> Any:
        """Apply a kernel to every map over the leftover dimensions."""
        value, std = (
            None
            if part is None
            else part.drop_vars(
                [c for c in part.coords if {"Q", "E"} & set(part[c].dims)]
            )
            for part in (
                self.signal.value,
                None if self.signal.std is None else std_along(self.signal.std, "Q"),
            )
        )
        further = [["_i"] if self.further.E.size else []] * 2
        return xr.apply_ufunc(
            kernel,
            value,
            np.nan if std is None else std,
            self.temperature,
            self.u2,
            self.further.value if further[0] else np.nan,
            self.further.std if further[0] else np.nan,
            input_core_dims=[
                ["Q", "E"],
                [] if std is None else ["Q", "E"],
                [],
                [],
                *further,
            ],
            output_core_dims=dims,
            vectorize=True,
            dask="parallelized",
            output_dtypes=[float] * len(dims),
            dask_gufunc_kwargs={"output_sizes": sizes, "allow_rechunk": True},
        )

    def conditions(
        self, u2: xr.DataArray, code: xr.DataArray, u2_code: xr.DataArray
    ) -> dict[str, Any]:
        """Return the coordinates that the answer rests on."""
        # A u² that was given stays, however much of g was measured.
        given = bool(np.isnan(self.grid.per_gamma))
        labels = {
            name: (
                c.dims,
                c.data,
                {"units": COORDINATES[name][0], "long_name": COORDINATES[name][1]},
            )
            for name, c in (
                ("temperature", self.temperature),
                ("u2", u2 if given else u2.where(u2_code == 0)),
            )
        }
        for name, which, label in (
            ("status", code, "whether g(E) was found"),
            (
                "u2_status",
                u2_code,
                "whether the range holds all modes, so that u2 and the area are known",
            ),
        ):
            said = xr.apply_ufunc(
                lambda c: np.array(STATUSES)[np.asarray(c).astype(int)],
                which, dask="parallelized", output_dtypes=["<U22"],
            )  # fmt: skip
            labels[name] = (said.dims, said.data, {"long_name": label})
        return labels

    def axis(self) -> Axis:
        """Return the energies of the answer.

        E > 0 of the data, and those of the density that goes on.
        """
        inside = self.grid.positive
        edges = self.grid.edges
        return Axis.of(
            self.grid.E[inside], edges[:-1][inside], edges[1:][inside], self.further
        )

    def error_of_displacement(
        self, u2: xr.DataArray, g_std: xr.DataArray, axis: Axis
    ) -> xr.DataArray:
        """Return the standard deviation of u² = (ħ²/2M) γ₀ from that of g in 1/meV, whose area stays 1."""
        E, width = (
            xr.DataArray(values, dims="_g")
            for values in (axis.centres, axis.upper - axis.lower)
        )
        per_g = (
            1 / (E * np.tanh(E / (2 * constants.BOLTZMANN_MEV * self.temperature)))
            - u2 / self.grid.per_gamma
        )
        variance: xr.DataArray = ((per_g * width * g_std) ** 2).sum("_g")
        return self.grid.per_gamma * variance**0.5

    def density(
        self, taken: np.ndarray, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float, initial: np.ndarray,
        initial_std: np.ndarray,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return g, its std and the report."""
        initial, initial_std = (
            np.atleast_1d(part)[: self.further.E.size]
            for part in (initial, initial_std)
        )
        end = self.grid.solve(S, std, kelvin, u2, initial)
        report = (
            end.u2, end.code, end.iterations, end.change, end.orders, end.scale, end.constant, end.extended,
            end.highest, end.u2_code,
        )  # fmt: skip
        pairs = ((end.g, end.join * initial), (end.g_std, end.join * initial_std))
        g, g_std = (
            np.concatenate([self._continued(own, further), further])[taken]
            for own, further in pairs
        )
        return g, g_std, *(np.float64(number) for number in report)

    def _continued(self, own: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Fill in the bins above the last that a map holds with the density that goes on."""
        known = np.flatnonzero(np.isfinite(own))
        if not further.size or not known.size:
            return own
        E, filled = self.grid.E[self.grid.positive], own.copy()
        filled[known[-1] + 1 :] = np.interp(
            E[known[-1] + 1 :], self.grid.initial_E, further
        )
        return filled

    def corrected(
        self,
        S: np.ndarray,
        std: np.ndarray,
        kelvin: float,
        u2: float,
        initial: np.ndarray,
        _: np.ndarray,
    ) -> tuple[Any, ...]:
        """Return S without its multiphonon part."""
        end = self.grid.solve(
            S, std, kelvin, u2, np.atleast_1d(initial)[: self.further.E.size]
        )
        left = S - end.many if end.u2_code == 0 else np.full(S.shape, np.nan)
        return left, np.float64(end.u2), np.float64(end.code), np.float64(end.u2_code)
