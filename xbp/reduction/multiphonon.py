"""S(Q,E) of a g(E) with all its phonons, and the maps to be inverted to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of, given_axis, resolve, statistics_of
from xbp.core.data import Data, is_lazy, require_common_dims, require_dims, require_some
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, interval, select_range
from xbp.core.guards import choose, require_number, require_whole
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.status import Status, statuses
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    onto_bins,
    order_weights,
    orders_needed,
)
from xbp.reduction.dos_area import (
    known_area,
    real_modes,
    require_all_modes,
    require_known_area,
)
from xbp.reduction.inversion import Inversion
from xbp.reduction.momenta import UNREACHABLE, Limits, with_momenta
from xbp.reduction.sample import mass_or_u2
from xbp.reduction.sign import SIGNIFICANCE

__all__ = ["Axis", "Task", "multiphonon_sqe"]

#: Which phonons: the first of the orders, and the one after the last.
_PARTS = {"all": (0, None), "elastic": (0, 1), "one": (1, 2), "many": (2, None)}
Part = Literal["all", "elastic", "one", "many"]


@operation(takes="vibrational_dos", gives="dynamic_structure_factor", step=33)
@carries_common_errors()
def multiphonon_sqe(
    data: Data,
    Q: Any,
    E: Any = None,
    T: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    orders: int | None = None,
    tolerance: float = 1e-6,
    below: Below = "debye",
    part: Part = "all",
    area: float | None = None,
    n_atoms: float | None = None,
    area_tolerance: float = 0.01,
    end: float = 1.0,
) -> Data:
    r"""Return S(Q,E) of a density of states: the elastic line, one phonon, and many.

    .. math:: S(Q,E) = e^{-2W}\sum_n \frac{(2W)^n}{n!} A_n(E),\quad
              A_1 = \frac{g(|E|)}{\gamma_0 E\,(1-e^{-E/k_BT})},\quad A_n = A_1 * A_{n-1}

    with A_0 = δ(E), 2W = Q²u², γ₀ = ∫g/E coth(E/2k_BT) dE and u² = γ₀ħ²/2M. This is the
    incoherent approximation: exact for the self part of a harmonic cubic crystal of one
    element, the mean over Q for others. No resolution is applied.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``vibrational_dos`` g(E) of all modes, over E and any further dimensions; E ≤ 0
        is left out, and `diagnostics` lists the imaginary modes, E < 0. Its scale is
        free where its units are ("1").
    Q : 1-D array, or DataArray with units
        Momentum transfers; a bare array is in 1/angstrom.
    E : 1-D array, or DataArray with units, optional
        Centres of the bins of the answer, evenly or unevenly spaced; a bare array is in
        the units of g's E. By default both signs, to twice the highest energy of g. S
        is the mean over each bin.
    T : scalar with units, optional
        Temperature (bare: K), where g does not carry it.
    mass, composition, u2
        What sets 2W, one of three: the mass of the scatterer (bare: u), the composition
        it follows from (`effective_mass`), or u² itself per axis (bare: angstrom²), as
        from `debye_waller` or where g carries it.
    orders : int, optional
        Most phonons at once. By default as many as leave less than `tolerance` of ∫S dE
        out at the highest Q.
    tolerance : float
        See `orders`.
    below : {"debye", "nothing"}
        g below the lowest energy at which it is known: a law of E² through its three
        lowest points, or 0.
    part : {"all", "elastic", "one", "many"}
        Which phonons: all, none, one, or two and more.
    area, n_atoms : number, optional
        ``area=1``: g contains all modes; `n_atoms`: it is that of a cell of so many
        atoms, with an area of 3N. Needed if g does not state its area
        (``attrs["area"]``) and, in one over energy, has an area of neither 1 nor 3.
    area_tolerance : float
        Largest relative deviation from an area that is recognised.
    end : float
        Largest last value of such a g over its maximum; 0.1 refuses one cut off.

    Returns
    -------
    same type as `data`
        ``S(Q,E)`` in one over the unit of E, of area 1 at every Q but for what lies
        beyond the bins; the elastic line fills the bin that holds E = 0.
        ``S.attrs["orders"]`` is how many were used, the coordinate ``u2`` the u² used.
        Without standard deviations: those of g are not propagated.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, g has no area, or may
        lack modes at high energy.
    RangeError
        If more than 200 orders are needed, or the bins are not ascending.
    TemperatureError
        If the temperature is missing.

    References
    ----------
    A. Sjölander, Ark. Fys. 14, 315 (1958); G. L. Squires, Introduction to the Theory of
    Thermal Neutron Scattering (1978), ch. 3; Appendix of M. Kresch et al., Phys. Rev. B
    75, 104301 (2007), doi:10.1103/PhysRevB.75.104301.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(0.5, 30, 0.5)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe([2.0, 8.0], composition="V", area=1)
    >>> S.S.attrs["orders"], (S.S.sum("E") * 0.5).values.round(3)
    (6, array([1.   , 0.999]))
    """
    signal = real_modes(read(data, "vibrational_dos"))
    value = signal.value
    require_dims(value, "E", "g(E)", error=CoordinateError)
    temperature = resolve(value, "temperature", T=T)
    sets = {"mass": mass, "composition": composition, "u2": u2}
    per_gamma, displacement = mass_or_u2(value, **sets)
    if orders is not None:
        orders = require_whole(orders, "orders", most=MAX_ORDERS)
    require_number(tolerance, "tolerance", above=0, below=1)
    require_law(below, value)
    first, last = _PARTS[choose(part, _PARTS, "part")]
    energy = value["E"].values * per_unit(value, "E")
    require_some(energy > 0, "positive E", energy, "meV", error=CoordinateError)
    require_all_modes(signal, area, n_atoms, area_tolerance, end)
    q_values, q_units = given_axis(Q, "Q", error=RangeError)
    require_number(q_values[0], "Q", least=0)
    momenta = q_values * convert_factor(q_units, "1/angstrom", name="Q")
    if E is None:
        step = Modes.of(energy, np.ones(energy.size), 1.0, below="nothing").step
        n = int(np.ceil(2 * energy[-1] / step))
        e_values, e_units = step * np.arange(-n, n + 1), "meV"
    else:
        units = str(value["E"].attrs["units"])
        e_values, e_units = given_axis(E, "E", units, error=RangeError)
    e_mev = convert_factor(e_units, "meV", name="E", energy=True)
    lower, upper = bin_limits(xr.Dataset(coords={"E": e_values}), "E")
    edges = np.append(lower, upper[-1]) * e_mev

    def forward(
        g: np.ndarray, kelvin: float, u2_given: float
    ) -> tuple[np.ndarray, ...]:
        modes = None
        if np.isfinite(g[energy > 0]).any():
            modes = Modes.of(energy, g, constants.BOLTZMANN_MEV * kelvin, below=below)
        if modes is None or not modes.area > 0:
            raise QuantityError("the area of g(E) is not positive")
        u2_used = u2_given if np.isfinite(u2_given) else per_gamma * modes.gamma
        two_w = momenta**2 * u2_used
        count = orders or orders_needed(float(two_w.max()), tolerance)
        if count > MAX_ORDERS:
            message = f"2W = {two_w.max():.3g} needs over {MAX_ORDERS} phonon orders"
            raise RangeError(message, fix="lower the highest Q, or pass orders=")
        binned = np.stack(
            [onto_bins(A, modes.step, edges) for A in expansion(modes, count)]
        )[first:last]
        total = order_weights(two_w, count)[:, first:last] @ binned
        return total, np.array(u2_used), np.array(count)

    total, u2_used, count = over_spectra(
        forward,
        value.drop_vars(["area", "u2_status"], errors="ignore"),
        temperature,
        displacement,
        gives=[("Q", "_E"), (), ()],
        sizes={"Q": q_values.size, "_E": e_values.size},
    )
    coords: dict[str, Any] = {
        name: (c.dims, c.data, labels(name))
        for name, c in (("temperature", temperature), ("u2", u2_used))
    }
    coords["Q"] = ("Q", q_values, labels("Q") | {"units": q_units})
    coords["E"] = ("E", e_values, labels("E") | {"units": e_units})
    answer: Data = signal.answer(
        (total * e_mev).rename(_E="E").assign_coords(coords),
        None,
        operation="multiphonon_sqe",
        arguments={
            "T": T, **sets, "tolerance": tolerance, "orders": orders, "below": below,
            "part": part,
        },
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="dynamic_structure_factor",
        attrs={
            "statistics": "quantum",
            "orders": None if is_lazy(count) else int(count.max()),
            "area": None, "area_of": None, "weighting": None,
            "energy_zero": "used by multiphonon_sqe",
        },
    )  # fmt: skip
    return answer


#: What is returned of the `Solution` of each map, besides its densities.
_NUMBERS = (
    "u2", "status", "u2_status", "iterations", "change", "orders", "scale", "constant",
    "extended", "highest", "background", "gamma_of_law", "differ",
    "u2_of_Q", "u2_of_Q_std",
)  # fmt: skip
#: Limits of numbers among the options, which are positive.
_BELOW = {"tolerance": 1.0, "end": 1.0, "background": np.inf, "uncertain": np.inf}


class Continuation(NamedTuple):
    """g(E) above the range in which it is measured, on any scale, in meV.

    `value` and `std` are over ``_i``; `end` is where the bins of the data end in which
    g is found, `joined` are those over which it is scaled to have their area, `whole`
    is whether it is known to contain all modes.
    """

    value: xr.DataArray | None = None
    std: xr.DataArray | None = None
    E: np.ndarray = np.empty(0)
    lower: np.ndarray = np.empty(0)
    upper: np.ndarray = np.empty(0)
    end: float = np.inf
    joined: Any = False
    whole: bool = False


class Axis(NamedTuple):
    """Energies of a g(E), in meV: bins of the data, and those that continue.

    `taken` are the bins of both that are used, `own` is the number of the data's.
    """

    taken: np.ndarray
    centres: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    further: bool
    own: int


def _continuation(
    initial: Any, join_range: Any, signal: Signal, in_E: np.ndarray
) -> Continuation:
    """Read the density that continues g where `in_E`, its bins, end."""
    if initial is None:
        return Continuation()
    other = read(initial, "vibrational_dos")
    require_dims(other.value, "E", "initial_dos", error=CoordinateError)
    further = [d for d in other.value.dims if d != "E"]
    require_common_dims(other.value, signal.value, "initial_dos")
    require_known_area(other.value, "initial_dos")
    own = other.value["E"].values
    known = other.value.notnull().all(further).values & (own > 0)
    E = own * per_unit(other.value, "E")
    lower, upper, low, high = (
        edge * per_unit(one.value, "E")
        for one in (other, signal)
        for edge in bin_limits(one.source, "E")
    )
    start, end = float(low[in_E][0]), float(high[in_E][-1])
    if not known.any() or not upper[known][-1] > end:
        last = upper[known].max(initial=0)
        raise RangeError(
            f"initial_dos ends at {last:.4g} meV, but the data reach {end:.4g} meV"
        )
    to_mev = per_unit(signal.value, "E")
    first, last = max((start + end) / 2, float(lower[known][0])), end
    if join_range is not None:  # in the units of the data, as E_range
        limits = interval(join_range, signal.value, "E", name="join_range")
        first, last = (limit * to_mev for limit in limits)
    centres = signal.value["E"].values * to_mev
    joined = in_E & (centres >= max(first, E[known][0]))
    joined &= centres <= min(last, E[known][-1])
    if not joined.any():
        raise RangeError(
            f"the data and initial_dos share no bin from {first:.4g} to {last:.4g} meV",
            fix="join_range=('10 meV', '20 meV'), where both have values",
        )
    bare = [c for c, x in other.value.coords.items() if "E" in x.dims or not x.dims]
    value, std = other.both(
        lambda part: part.drop_vars(bare, errors="ignore").isel(E=known).rename(E="_i")
    )
    limits_known = E[known], lower[known], upper[known]
    std = value * np.nan if std is None else std
    return Continuation(value, std, *limits_known, end, joined, known_area(other.value))


@dataclass(frozen=True)
class Task:
    """A map to be inverted, over Q or over detectors, and what sets 2W."""

    signal: Signal
    along: str
    temperature: xr.DataArray
    u2: xr.DataArray
    grid: Inversion
    further: Continuation
    arguments: dict[str, Any]

    @classmethod
    def of(
        cls, data: Any, T: Any, E_range: Any, Q_range: Any, *, initial_dos: Any,
        reversed_below: float | None, instrument: Mapping[str, Any] | None = None,
        unreachable: float = UNREACHABLE, significance: float = SIGNIFICANCE,
        **options: Any,
    ) -> Task:  # fmt: skip
        """Read the map and the arguments of `to_vibrational_dos`."""
        named = str(getattr(initial_dos, "name", None) or "g")
        arguments = {
            "T": T, "E_range": E_range, "Q_range": Q_range, **options,
            "initial_dos": None if initial_dos is None else named,
        }  # fmt: skip
        spectra = () if instrument is None else ("detector_spectra",)
        signal = read(data, "dynamic_structure_factor", *spectra)
        fix = "traj.bp.vdos(), or data.bp.to_quantum()"
        statistics_of(signal.value, "quantum", fix)
        temperature = resolve(signal.value, "temperature", T=T)
        ends = Limits.of(reversed_below, unreachable, significance)
        read_as = with_momenta(signal, Q_range, instrument, temperature, ends)
        signal, along, Q, weight = read_as
        arguments |= {k: v for k, v in (instrument or {}).items() if v is not None}
        value, source = signal.value, signal.source
        require_law(options["below"], value)
        for key, limit in _BELOW.items():
            require_number(options[key], key, above=0, below=limit)
        scattering, C = options["multiple_scattering"], 0.0
        fitted = isinstance(scattering, str) and scattering == "fit"
        if not fitted:
            C = require_number(scattering, "multiple_scattering", least=0)
            arguments["multiple_scattering"] = C
        per_gamma, displacement = mass_or_u2(
            value, **{key: options[key] for key in ("mass", "composition", "u2")}
        )
        if bool((displacement == 0).any()):
            raise QuantityError(
                "a solid is needed; u2 = 0 means a liquid",
                fix="data.bp.to_bqe(), or mass= or composition= for a solid",
            )
        to_mev = per_unit(value, "E")
        E, units = value["E"].values * to_mev, value["E"].attrs["units"]
        lower, upper = bin_limits(source, "E")
        in_E = select_range(source, "E", E_range, name="E_range") & (E > 0)
        require_some(in_E, "bin at E > 0 in E_range", (lower[0], upper[-1]), units)
        tail = fitted & (E[in_E][-1] < E)
        if fitted and not tail.any():
            low, high = float(lower[in_E][0]), float(upper[in_E][-1])
            raise RangeError(
                f"there are no data beyond E_range, {low:.4g} to {high:.4g} {units}, "
                "to fit multiple scattering",
                fix=f"E_range=('{low:.4g} {units}', '{high * 0.7:.4g} {units}'), or "
                "multiple_scattering=0.2",
            )
        further = _continuation(initial_dos, options["join_range"], signal, in_E)
        grid = Inversion(
            E, np.append(lower, upper[-1]) * to_mev, Q, weight, in_E, tail, C,
            per_gamma, options["below"], options["tolerance"], options["end"],
            options["background"], options["uncertain"],
            further.E, further.joined & in_E, further.whole,
        )  # fmt: skip
        return cls(signal, along, temperature, displacement, grid, further, arguments)

    def reach(self) -> tuple[xr.DataArray, xr.DataArray]:
        """Return the limits of the part of E_range in which any Q has a value."""
        used = (self.grid.weight > 0) & self.grid.used
        value = self.signal.value.drop_vars(list(self.signal.value.coords))
        taken = xr.DataArray(used, dims=(self.along, "E"))
        known = ((abs(value) < np.inf) & taken).any(self.along)
        lower, upper = (
            xr.DataArray(limits, dims="E").where(known)
            for limits in bin_limits(self.signal.source, "E")
        )
        return lower.min("E"), upper.max("E")

    def axis(self) -> Axis:
        """Return the bins of the data with E > 0, and those that continue them."""
        edges, further = self.grid.edges, self.further
        E, lower, upper = (
            part[self.grid.positive] for part in (self.grid.E, edges[:-1], edges[1:])
        )
        slack = 1e-9 * np.min(upper - lower)
        own, above = lower < further.end - slack, further.upper > further.end + slack
        start = np.maximum(further.lower[above], further.end)
        ends = further.upper[above]
        return Axis(
            np.append(own, above),
            np.append(E[own], (start + ends) / 2),
            np.append(lower[own], start),
            np.append(upper[own], ends),
            bool(above.any()),
            own.size,
        )

    def run(self, taken: np.ndarray) -> dict[str, xr.DataArray]:
        """Invert every map: g over the bins `taken`, the rest, and `_NUMBERS`."""
        value, std, further = self.signal.value, self.signal.std, self.further
        n, positive = further.E.size, self.grid.positive

        def continued(own: np.ndarray, above: np.ndarray) -> np.ndarray:
            """Return a density with the bins above its last value filled."""
            known = np.flatnonzero(np.isfinite(own))
            if n and known.size:
                places = np.arange(own.size) > known[-1]
                E = self.grid.E[positive]
                own = np.where(places, np.interp(E, further.E, above), own)
            picked: np.ndarray = np.append(own, above)[taken]
            return picked

        def invert(
            S: np.ndarray, std: np.ndarray, kelvin: float, u2: float, *initial: Any
        ) -> tuple[Any, ...]:
            above, above_std = (np.atleast_1d(part)[:n] for part in initial)
            end = self.grid.solve(S, std, kelvin, u2, above)
            numbers = [getattr(end, name) for name in _NUMBERS]
            return (
                continued(end.g, end.join * above),
                continued(end.g_std, end.join * above_std),
                continued(end.g_apart, np.zeros(above.size)),
                continued(end.g_common, np.zeros(above.size)),
                end.many,
                *(np.float64(x.code if isinstance(x, Status) else x) for x in numbers),
            )

        found = over_spectra(
            invert,
            value,
            None if std is None else std_along(std, self.along),
            self.temperature,
            self.u2,
            further.value,
            further.std,
            core=(self.along, "E", "_i"),
            gives=[*[("_g",)] * 4, (self.along, "E"), *[()] * len(_NUMBERS)],
            sizes={"_g": int(taken.sum())},
        )
        names = ("g", "g_std", "g_apart", "g_common", "many", *_NUMBERS)
        return dict(zip(names, found, strict=True))

    def conditions(self, found: dict[str, xr.DataArray]) -> dict[str, Any]:
        """Return the coordinates temperature, u2, status and u2_status."""
        u2 = found["u2"]
        # A u² that was given stays, however much of g was measured.
        if not np.isnan(self.grid.per_gamma):
            u2 = u2.where(found["u2_status"] == 0)
        coords: dict[str, Any] = {
            name: (c.dims, c.data, labels(name))
            for name, c in (("temperature", self.temperature), ("u2", u2))
        }
        for name, label in (
            ("status", "whether g(E) was found"),
            ("u2_status", "whether the range holds all modes"),
        ):
            words = xr.apply_ufunc(
                statuses, found[name], dask="parallelized", output_dtypes=["<U24"]
            )
            coords[name] = (words.dims, words.data, {"long_name": label})
        return coords


def require_law(below: Any, value: xr.DataArray) -> None:
    """Check ``below``; Debye's law makes u² diverge in a plane of atoms."""
    if choose(below, Below, "below") == "debye":
        dimension_of(value, 3, "below='nothing': in two, u2 of Debye's law is infinite")
