"""From measured S(Q,E) to g(E): multiphonon and multiple scattering taken off self-consistently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp import constants
from xbp.conditions import check_statistics, resolve_temperature
from xbp.errors import CoordinateError, QuantityError, RangeError
from xbp.grid import bin_limits, select_range
from xbp.independence import collapsed, std_along
from xbp.models.multiphonon import Below
from xbp.pint_data import Data
from xbp.reduction.dos_area import area_attributes
from xbp.reduction.inversion import STATUSES, Inversion
from xbp.reduction.multiphonon import energies, require_choice, scatterer
from xbp.reduction.stitching import Axis, Continuation
from xbp.schema import COORDINATES
from xbp.signal import Signal, read
from xbp.units import convert_factor, format_unit, magnitude, parse_unit

__all__ = ["correct_multiphonon", "to_vibrational_dos"]


def to_vibrational_dos(
    data: Data,
    T: Any = None,
    E_range: Any = None,
    Q_range: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    multiple_scattering: float | Literal["fit"] = 0.0,
    below: Below = "debye",
    tolerance: float = 1e-4,
    initial_dos: xr.DataArray | xr.Dataset | None = None,
    join_range: Any = None,
    end: float = 0.25,
) -> Data:
    r"""Return g(E) from S(Q,E), the multiphonon scattering taken off self-consistently.

    .. math:: N g(E) = \frac{\sum_Q [S - N(1+C)\sum_{n\ge2} S_n]}{\sum_Q S_1/g},\quad
              \frac{S_1}{g} = \frac{\hbar^2Q^2}{2M}\frac{e^{-2W}}{E\,(1-e^{-E/k_BT})},\quad \int g\,dE = 1

    From g follow 2W and S_n (`multiphonon_sqe`), from these the next g, until it stays (by Anderson's mixing). N is
    the scale of the data, which may be arbitrary. Sums over Q are over the bins that hold numbers, weighted by their
    width; only E > 0 is used (`fold` the other side onto it first). It is the incoherent approximation: for a coherent
    scatterer the range of Q must be wide, and g is neutron-weighted where there are several elements.

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
    multiple_scattering : float or "fit"
        C: neutrons that scattered twice, as a multiple of those that met several phonons at once, whose spectrum theirs
        resembles. "fit": the C that leaves nothing, in sum, between the end of E_range and that of the data, where g is
        0. A background that is left there is taken for multiple scattering: cut the data where it takes over.
    below : {"debye", "nothing"}
        What stands in for g below E_range in 2W, in the convolutions and in the area: a law of E² through the three
        lowest points, or 0. The answer is NaN there all the same.
    tolerance : float
        How much g may still change, as a part of its maximum, from one iteration to the next.
    initial_dos : xarray.DataArray or xarray.Dataset, optional
        g(E) of a higher incident energy, on any scale. It goes on where E_range ends, scaled to join; the answer is
        then over both, with ``E_bnds``, and its area is 1.
    join_range : pair of scalars with units, optional
        Energies (bare: in the units of the data) over which the two have one area. By default the upper half of
        E_range.
    end : float
        g has fallen at the end of its range where it is at most this part of its maximum there, or right beyond where
        there are data: in the mean over 5 % of the highest energy, and at least three bins.

    Returns
    -------
    same type as `data`
        g(E) in one over the unit of E, NaN outside E_range, over E > 0 and leftover dimensions; its area is 1 with the
        part that `below` stands for, and ``attrs["area"]`` says so (the coordinate ``area``, where there are several
        maps). Coordinates ``u2`` (angstrom²; that of the last iteration), ``u2_status`` and ``status``.
        ``u2_status`` is "ok"; "range truncated" where g has not fallen at the end of its range; "disagrees with Q"
        where a third of u² leaves less than 0.9 of what u² leaves of S unexplained, as may happen where the range ends
        inside the band; or the status. Unless it is "ok" u2 is NaN (one that was given stays), ``attrs["area"]`` is
        "unknown", and nothing that needs all modes is computed from g. ``status`` is "ok",
        "not converged", "fit failed" (no positive area), "no data" or "no multiple scattering" (the C that is sought
        takes all there is, as where a background beyond the phonons is taken for it: end E_range at ``highest_phonon``,
        or cut the data above it); g is NaN unless it is "ok". A Dataset has ``g_std``, that of counting at the
        multiphonon scattering found (bins are independent), and the report of the convergence: ``iterations``,
        ``change`` (the last), ``orders``, ``scale`` (N), ``multiple_scattering`` (C), ``extended``, the part of the
        area that was not measured but is `below`, ``E_low`` and ``E_high``, the range that holds numbers and g was
        found in, and ``highest_phonon``, where g falls below a tenth of its maximum for good (at C = 0 where no C was
        found; NaN where it does not before E_high: a g that rises to its end is told in print). Where errors are known,
        ``u2_std``, that of counting in `E_range`: (ħ²/2M)² Σ [(coth(E/2k_BT)/E − γ₀) ΔE σ_g]²; what `E_range`, `below`
        and C do to u² is often more. NaN where u² was given.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, u² is 0, or the data are not quantum S(Q,E).
    RangeError
        If E_range or Q_range holds no data, or `initial_dos` does not reach beyond E_range.
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
    task = _Task.of(
        data, T, E_range, Q_range, mass=mass, composition=composition, u2=u2, multiple_scattering=multiple_scattering,
        below=below, tolerance=tolerance, initial_dos=initial_dos, join_range=join_range, end=end,
    )  # fmt: skip
    signal, value = task.signal, task.signal.value
    axis = task.axis()
    results = task.run(partial(task.density, axis.taken), [["_g"], ["_g"], *[[]] * 10], {"_g": axis.centres.size})
    g, g_std, u2_found, code, iterations, change, orders, scale, constant, extended, highest, u2_code = results
    whole = u2_code == 0
    e_units = value["E"].attrs["units"]
    per_unit = convert_factor(e_units, "meV", energy=True)
    held = collapsed(value, "Q") | {n: c.variable for n, c in value.coords.items() if n == "E_independence"}
    shared = {
        n: axis.of_own(f.isel(E=task.grid.positive))
        for n, f in held.items() if "Q" not in f.dims and "E" in f.dims
    }  # fmt: skip
    f = shared.get("E_independence")
    independent = g_std if f is None else g_std / xr.DataArray(f).rename(E="_g") ** 0.5
    u2_std = task.error_of_displacement(u2_found, independent, axis).where(whole)
    conditions = task.conditions(u2_found, code, u2_code) | shared
    g, g_std = (
        (part * per_unit).rename(_g="E").assign_coords(E=axis.coordinate(value["E"], per_unit), **conditions)
        for part in (g, g_std)
    )
    # Whose range ended inside the band has an area that is not known.
    each = xr.ones_like(code).where(whole)
    known = each.chunks is None and bool(whole.all())
    if whole.ndim or each.chunks is not None:
        g = g.assign_coords(area=each.assign_attrs(units="1", long_name=COORDINATES["area"][1]).variable)
    answer: Any = signal.answer(
        g,
        None if signal.std is None else g_std,
        operation="to_vibrational_dos",
        arguments=task.arguments,
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="vibrational_dos",
        attrs={"statistics": None, "convention": None, **area_attributes(1.0 if known else None, "all modes")},
        bounds=axis.bounds(per_unit),
    )
    if isinstance(answer, xr.Dataset):
        scale_units = format_unit(parse_unit(signal.units) * parse_unit(e_units))
        low, high = task.reach()
        report = {
            "iterations": (iterations, "1", "iterations until g stayed"),
            "change": (change, "1", "last change of g over its maximum"),
            "orders": (orders, "1", "most phonons at once"),
            "scale": ((scale / per_unit).where(whole), scale_units, "scale of the data"),
            "multiple_scattering": (constant, "1", "multiple over multiphonon scattering"),
            "extended": (extended.where(whole), "1", "part of the area below the range"),
            "highest_phonon": (highest / per_unit, e_units, "end of the last bin with a tenth of the maximum of g"),
            "E_low": (low, e_units, "where the range of g begins"),
            "E_high": (high, e_units, "where the range of g ends"),
        }
        if signal.std is not None:
            report["u2_std"] = (u2_std, "angstrom**2", "standard deviation of u2")
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
    multiple_scattering: float | Literal["fit"] = 0.0,
    below: Below = "debye",
    tolerance: float = 1e-4,
    initial_dos: xr.DataArray | xr.Dataset | None = None,
    join_range: Any = None,
    end: float = 0.25,
) -> Data:
    """Take multiphonon and multiple scattering off S(Q,E): what is left is one phonon and the elastic line.

    g(E) is found as by `to_vibrational_dos`; then N(1+C) Σ S_n of two and more phonons is subtracted at every Q and E,
    of either sign. Nothing is filled in: bins that are NaN stay NaN.

    Parameters
    ----------
    data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below, tolerance, initial_dos
    join_range, end
        As for `to_vibrational_dos`; E_range is where g is found, the correction is made everywhere.

    Returns
    -------
    same type as `data`
        S(Q,E) on the same grid, with the coordinates ``u2`` (that of the last iteration, which `to_gdos` and `to_bqe`
        then use), ``temperature`` and ``status``, which is ``u2_status`` of `to_vibrational_dos`: what is subtracted is
        known where all modes are. NaN where it is not "ok". The standard deviation is that of the
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
    task = _Task.of(
        data, T, E_range, Q_range, mass=mass, composition=composition, u2=u2, multiple_scattering=multiple_scattering,
        below=below, tolerance=tolerance, initial_dos=initial_dos, join_range=join_range, end=end,
    )  # fmt: skip
    value = task.signal.value
    left, u2_found, code, u2_code = task.run(
        task.corrected, [["_Q", "_E"], [], [], []], {"_Q": value.sizes["Q"], "_E": value.sizes["E"]}
    )
    out = left.rename(_Q="Q", _E="E").transpose(*value.dims)
    kept = {name: c.variable for name, c in value.coords.items() if name != "u2"}
    conditions = task.conditions(u2_found, code, u2_code)
    # What is subtracted is of all phonons, so it is known where u² is.
    conditions["status"] = conditions.pop("u2_status")
    conditions["status"][2]["long_name"] = "whether the multiphonon scattering was found"
    answer: Data = task.signal.answer(
        out.assign_coords(kept | conditions),
        task.signal.std,
        operation="correct_multiphonon",
        arguments=task.arguments,
    )
    return answer


@dataclass(frozen=True)
class _Task:
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
    ) -> _Task:  # fmt: skip
        C = multiple_scattering
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
                fix="take g(E) from the trajectory itself, traj.bp.vdos(), or make it quantum, data.bp.to_quantum()",
            )
        require_choice("below", below, "debye", "nothing")
        fitted = isinstance(C, str) and C == "fit"
        constant = 0.0 if fitted else magnitude(C, "1", name="multiple_scattering")
        if constant < 0 or not 0 < tolerance < 1:
            raise RangeError(
                f"multiple_scattering={C!r}, tolerance={tolerance!r}",
                reason="the one is not negative, the other a part of the maximum of g",
                fix="multiple_scattering=0.2 or 'fit', tolerance=1e-4",
            )
        end = magnitude(end, "1", name="end")
        if not 0 < end < 1:
            raise RangeError(f"end={end:g}", reason="it is a part of the maximum of g", fix="end=0.25")
        temperature = resolve_temperature(value, T)
        per_gamma, displacement = scatterer(value, mass=mass, composition=composition, u2=u2)
        if bool((displacement == 0).any()):
            raise QuantityError(
                "u2 is 0 angstrom^2",
                reason="g(E) is told by how phonons move the atoms, and where nothing moves, or as in a liquid nothing "
                "stays, it is not",
                fix="g(E)/E^2 of a liquid is data.bp.to_bqe(u2='0 angstrom^2').bp.cut_Q(...), multiphonons in it; of a "
                "solid give its u2=, mass= or composition=",
            )
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
        beyond = fitted & (E[in_E][-1] < E)
        if fitted and not beyond.any():
            units, low, high = value["E"].attrs["units"], float(lower[in_E][0]), float(upper[in_E][-1])
            raise RangeError(
                f"there is nothing beyond E_range, {low:.4g} to {high:.4g} {units}, to fit the multiple scattering in",
                reason="it is told from phonons where there are none, from the end of E_range to that of the data",
                fix="end E_range at the highest phonon, as in "
                f"E_range=('{low:.4g} {units}', '{high * 0.7:.4g} {units}'), or give it: multiple_scattering=0.2",
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
        """Return from where to where g is found: the part of E_range in which any Q holds a number."""
        used = xr.DataArray(self.grid.weight > 0, dims="Q") & xr.DataArray(self.grid.used, dims="E")
        value = self.signal.value
        known = ((abs(value.drop_vars(list(value.coords))) < np.inf) & used).any("Q")
        lower, upper = (xr.DataArray(limits, dims="E").where(known) for limits in bin_limits(self.signal.source, "E"))
        return lower.min("E"), upper.max("E")

    def run(self, kernel: Any, dims: list[list[str]], sizes: dict[str, int]) -> Any:
        """Apply a kernel to every map over the leftover dimensions."""
        value, std = (
            None if part is None else part.drop_vars([c for c in part.coords if {"Q", "E"} & set(part[c].dims)])
            for part in (self.signal.value, None if self.signal.std is None else std_along(self.signal.std, "Q"))
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
            input_core_dims=[["Q", "E"], [] if std is None else ["Q", "E"], [], [], *further],
            output_core_dims=dims,
            vectorize=True,
            dask="parallelized",
            output_dtypes=[float] * len(dims),
            dask_gufunc_kwargs={"output_sizes": sizes, "allow_rechunk": True},
        )

    def conditions(self, u2: xr.DataArray, code: xr.DataArray, u2_code: xr.DataArray) -> dict[str, Any]:
        """Return the coordinates that the answer rests on."""
        # A u² that was given stays, however much of g was measured.
        given = bool(np.isnan(self.grid.per_gamma))
        labels = {
            name: (c.dims, c.data, {"units": COORDINATES[name][0], "long_name": COORDINATES[name][1]})
            for name, c in (("temperature", self.temperature), ("u2", u2 if given else u2.where(u2_code == 0)))
        }
        for name, which, label in (
            ("status", code, "whether g(E) was found"),
            ("u2_status", u2_code, "whether the range holds all modes, so that u2 and the area are known"),
        ):
            said = xr.apply_ufunc(
                lambda c: np.array(STATUSES)[np.asarray(c).astype(int)],
                which, dask="parallelized", output_dtypes=["<U22"],
            )  # fmt: skip
            labels[name] = (said.dims, said.data, {"long_name": label})
        return labels

    def axis(self) -> Axis:
        """Return the energies of the answer: E > 0 of the data, and those of the density that goes on."""
        inside = self.grid.positive
        edges = self.grid.edges
        return Axis.of(self.grid.E[inside], edges[:-1][inside], edges[1:][inside], self.further)

    def error_of_displacement(self, u2: xr.DataArray, g_std: xr.DataArray, axis: Axis) -> xr.DataArray:
        """Return the standard deviation of u² = (ħ²/2M) γ₀ from that of g in 1/meV, whose area stays 1."""
        E, width = (xr.DataArray(values, dims="_g") for values in (axis.centres, axis.upper - axis.lower))
        per_g = 1 / (E * np.tanh(E / (2 * constants.BOLTZMANN_MEV * self.temperature))) - u2 / self.grid.per_gamma
        variance: xr.DataArray = ((per_g * width * g_std) ** 2).sum("_g")
        return self.grid.per_gamma * variance**0.5

    def density(
        self, taken: np.ndarray, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float, initial: np.ndarray,
        initial_std: np.ndarray,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return g, its std and the report."""
        initial, initial_std = (np.atleast_1d(part)[: self.further.E.size] for part in (initial, initial_std))
        end = self.grid.solve(S, std, kelvin, u2, initial)
        report = (
            end.u2, end.code, end.iterations, end.change, end.orders, end.scale, end.constant, end.extended,
            end.highest, end.u2_code,
        )  # fmt: skip
        pairs = ((end.g, end.join * initial), (end.g_std, end.join * initial_std))
        g, g_std = (np.concatenate([self._continued(own, further), further])[taken] for own, further in pairs)
        return g, g_std, *(np.float64(number) for number in report)

    def _continued(self, own: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Fill in the bins above the last that a map holds with the density that goes on."""
        known = np.flatnonzero(np.isfinite(own))
        if not further.size or not known.size:
            return own
        E, filled = self.grid.E[self.grid.positive], own.copy()
        filled[known[-1] + 1 :] = np.interp(E[known[-1] + 1 :], self.grid.initial_E, further)
        return filled

    def corrected(
        self, S: np.ndarray, std: np.ndarray, kelvin: float, u2: float, initial: np.ndarray, _: np.ndarray
    ) -> tuple[Any, ...]:
        """Return S without its multiphonon part."""
        end = self.grid.solve(S, std, kelvin, u2, np.atleast_1d(initial)[: self.further.E.size])
        left = S - end.many if end.u2_code == 0 else np.full(S.shape, np.nan)
        return left, np.float64(end.u2), np.float64(end.code), np.float64(end.u2_code)
