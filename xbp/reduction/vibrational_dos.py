"""From measured S(Q,E) to g(E), multiphonon and multiple scattering taken off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import check_statistics, resolve_temperature
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, interval, select_range
from xbp.core.guards import choose, require_dims, require_number
from xbp.core.independence import collapsed, std_along
from xbp.core.operation import operation
from xbp.core.pint_data import Data, unwrap
from xbp.core.schema import labels, per_unit
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.status import NO_SCATTERING, OK
from xbp.core.units import format_unit, parse_unit
from xbp.models.multiphonon import Below
from xbp.reduction.detailed_balance import REVERSED_BELOW, require_sign
from xbp.reduction.dos_area import (
    area_attributes,
    area_coordinate,
    known_area,
    require_known_area,
)
from xbp.reduction.inversion import STATUSES, Inversion
from xbp.reduction.sample import mass_or_u2, numbers_of

__all__ = ["Task", "to_vibrational_dos"]

#: What is returned of the `Solution` of each map, besides its densities.
_NUMBERS = (
    "u2", "status", "u2_status", "iterations", "change", "orders", "scale", "constant",
    "extended", "highest", "background", "u2_below_std",
)  # fmt: skip
#: Limits of numbers among the options, which are positive.
_BELOW = {"tolerance": 1.0, "end": 1.0, "background": np.inf, "uncertain": np.inf}


@operation(
    takes="dynamic_structure_factor", gives="vibrational_dos", over="QE", step=28
)
@carries_common_errors()
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
    background: float = 0.5,
    uncertain: float = 0.3,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    r"""Return g(E) from S(Q,E), multiphonon scattering taken off self-consistently.

    .. math:: N g(E) = \frac{\sum_Q [S - N(1+C)\sum_{n\ge2} S_n]}{\sum_Q S_1/g},\quad
              \frac{S_1}{g} =
              \frac{\hbar^2Q^2}{2M}\frac{e^{-2W}}{E\,(1-e^{-E/k_BT})},\quad \int g\,dE =
              1

    From g follow 2W and S_n (`multiphonon_sqe`), from these the next g, until it no
    longer changes (by Anderson's mixing). N is the scale of the data, which may be
    arbitrary. Sums over Q are over the bins with values, weighted by their width; only
    E > 0 is used (`fold` the other side onto it first). It is the incoherent
    approximation: for a coherent scatterer the range of Q must be wide, and g is
    neutron-weighted if there are several elements.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), quantum, over Q and E and any further dimensions; NaN where it was
        masked or not measured.
    T : scalar with units, optional
        Temperature (bare: K), if the data do not carry it.
    E_range : pair of scalars with units, optional
        Where g is found: from the end of the elastic line to the highest energy of a
        phonon, above which g is taken as 0. By default all E > 0 with values.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.
    mass, composition, u2
        One of them sets 2W, as for `multiphonon_sqe`; a u² that is given or carried is
        kept.
    multiple_scattering : float or "fit"
        C: neutrons scattered twice, as a multiple of those that met several phonons at
        once, whose spectrum theirs resembles. "fit": the C that leaves nothing, in sum,
        between the end of E_range and that of the data, where g is 0. A background
        there is taken for multiple scattering: cut the data where it dominates.
    below : {"debye", "nothing"}
        g below E_range in 2W, in the convolutions and in the area: a law of E² through
        the three lowest points, or 0. The answer is NaN there in either case.
    tolerance : float
        Largest change of g, as a fraction of its maximum, that ends the iteration.
    initial_dos : xarray.DataArray or xarray.Dataset, optional
        g(E) of a higher incident energy, on any scale. It continues g where E_range
        ends, scaled to join; the answer is then over both, with ``E_bnds``, and its
        area is 1.
    join_range : pair of scalars with units, optional
        Energies (bare: in the units of the data) over which the two have equal area. By
        default the upper half of E_range.
    end : float
        g has fallen at the end of its range if it is at most this fraction of its
        maximum there, or right beyond if there are data: in the mean over 5 % of the
        highest energy, and at least three bins.
    background : float
        Largest part of S in E_range that may not depend on Q. It is found by fitting a
        constant at each energy beside one phonon, and counts if that leaves less than
        0.9 of the squares per degree of freedom.
    uncertain : float
        Largest change of g, as a fraction of its maximum, if its multiphonon part is
        left out, for which g is returned although its u² is unknown.
    reversed_below : float, optional
        As for `to_gdos`: data are refused if the asymmetry of S(E) and S(−E) shows that
        E has the other sign. None: no check.

    Returns
    -------
    same type as `data`
        g(E) in one over the unit of E, NaN outside E_range, over E > 0 and leftover
        dimensions. Its area is 1, with the part below the range, and so is
        ``attrs["area"]`` (or the coordinate ``area`` of several maps). Coordinates
        ``u2`` (angstrom²; that of the last iteration), ``u2_status`` and ``status``.

        ``u2_status`` is "ok"; "range truncated" if g has not fallen at the end of its
        range; "disagrees with Q" if a third of u² leaves less than 0.9 of what u²
        leaves of S unexplained, as may be if the range ends inside the band, or if more
        than `background` of S does not depend on Q; or the status. Unless it is "ok" u2
        is NaN (one that was given is kept), ``attrs["area"]`` is "unknown", and nothing
        that needs all modes is computed from g.

        ``status`` is "ok", "not converged", "fit failed" (no positive area), "no data",
        "multiphonons unknown" (u² is unknown and g changes by more than `uncertain`
        without its multiphonon part) or "no multiple scattering" (the fitted C takes
        all intensity: end E_range at ``highest_phonon``, or cut the data above it); g
        is NaN unless it is "ok".

        A Dataset has ``g_std``, that of counting at the multiphonon scattering found
        (bins are independent), and a report: ``iterations``, ``change`` (the last),
        ``orders``, ``scale`` (N), ``multiple_scattering`` (C), ``background``, the part
        of S that does not depend on Q, ``extended``, the part of the area below the
        range, ``E_low`` and ``E_high``, the range with values, and ``highest_phonon``,
        where g falls below a tenth of its maximum for good (at C = 0 if no C was found;
        NaN if it does not before E_high). If errors are known, ``u2_std``, that of
        counting in `E_range`, (ħ²/2M)² Σ [(coth(E/2k_BT)/E − γ₀) ΔE σ_g]², and of the
        law below it, by the spread of g/E² over its three points; the choice of
        `E_range` and C may matter more. NaN if u² was given.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, u² is 0, or the data
        are not quantum S(Q,E).
    RangeError
        If E_range or Q_range contains no data, or `initial_dos` does not reach beyond
        E_range.
    TemperatureError
        If the temperature is missing.

    References
    ----------
    Appendix of M. Kresch et al., Phys. Rev. B 75, 104301 (2007),
    doi:10.1103/PhysRevB.75.104301; J. Y. Y. Lin and M. Kresch, J. Open Source Softw.
    3(21), 440 (2018), doi:10.21105/joss.00440, for C.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(1.0, 31)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe(np.arange(2, 10, 0.5), composition="V", area=1)
    >>> back = S.bp.to_vibrational_dos(E_range=(4.5, 30.5), composition="V")
    >>> str(back.status.values), bool(np.allclose(back.g[4:30], (g.g / g.g.sum())[4:],
    ...     rtol=1e-3))
    ('ok', True)
    """
    task = Task.of(
        data, T, E_range, Q_range, mass=mass, composition=composition, u2=u2,
        multiple_scattering=multiple_scattering, below=below, tolerance=tolerance,
        initial_dos=initial_dos, join_range=join_range, end=end, background=background,
        uncertain=uncertain, reversed_below=reversed_below,
    )  # fmt: skip
    signal, value = task.signal, task.signal.value
    axis = task.axis()
    found = task.run(axis.taken)
    whole, constant_part = found["u2_status"] == 0, found["background"]
    e_units, to_mev = value["E"].attrs["units"], per_unit(value, "E")
    coords = task.conditions(found)
    g_std = found["g_std"]
    held: dict[str, Any] = dict(collapsed(value, "Q"))
    if "E_independence" in value.coords:
        held["E_independence"] = value.coords["E_independence"].variable
    for name, f in held.items():
        if "Q" not in f.dims and "E" in f.dims:
            # The bins that continue are independent.
            own = f.isel(E=task.grid.positive).isel(E=axis.taken[: axis.own])
            n = axis.centres.size - own.sizes["E"]
            coords[name] = own.pad(E=(0, n), constant_values=1.0)
    if "E_independence" in coords:
        f = xr.DataArray(coords["E_independence"]).rename(E="_g")
        g_std = g_std / f**0.5
    u2_std = task.error_of_u2(found, g_std, axis).where(whole)
    E = value["E"][-axis.centres.size :].variable
    if axis.further:
        E = xr.Variable("E", axis.centres / to_mev, value["E"].attrs)
    coords["E"] = E
    # Where the range ends inside the band the area is unknown.
    each = xr.ones_like(found["status"]).where(whole)
    lazy = each.chunks is not None
    if whole.ndim or lazy:
        coords["area"] = area_coordinate(each)
    elements = 1 if composition is None else len(numbers_of(composition))
    known = not lazy and bool(whole.all())
    attrs: dict[str, Any] = {
        "statistics": None,
        "convention": None,
        **area_attributes(
            1.0 if known else None, "all modes" if elements == 1 else "weighted modes"
        ),
    }
    if not lazy and bool((constant_part > background).any()):
        doubt = Diagnostic(
            "background_in_dos",
            "warning",
            f"{100 * float(constant_part.max()):.3g} % of S(Q,E) in E_range is "
            "independent of Q, unlike phonon scattering",
            "subtract the empty can and the background first",
        )
        attrs |= diagnosed(value.attrs, doubt)
    g, g_std = (
        (found[name] * to_mev).rename(_g="E").assign_coords(coords)
        for name in ("g", "g_std")
    )
    limits = axis.lower / to_mev, axis.upper / to_mev
    answer: Any = signal.answer(
        g,
        None if signal.std is None else g_std,
        operation="to_vibrational_dos",
        arguments=task.arguments,
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="vibrational_dos",
        attrs=attrs,
        bounds={"E": limits} if axis.further else {},
    )
    out: Data = answer
    if not isinstance(answer, xr.Dataset):
        return out
    scale_units = format_unit(parse_unit(signal.units) * parse_unit(e_units))
    low, high = task.reach()
    constant = found["constant"]
    report = {
        "iterations": (found["iterations"], "1", "iterations until g stayed"),
        "change": (found["change"], "1", "last change of g over its maximum"),
        "orders": (found["orders"], "1", "most phonons at once"),
        "scale": (
            (found["scale"] / to_mev).where(whole), scale_units, "scale of the data",
        ),
        "multiple_scattering": (constant, "1", "multiple over multiphonon scattering"),
        "background": (constant_part, "1", "part of S that does not depend on Q"),
        "extended": (found["extended"].where(whole), "1", "area below the range"),
        "highest_phonon": (found["highest"] / to_mev, e_units, "end of the phonons"),
        "E_low": (low, e_units, "where the range of g begins"),
        "E_high": (high, e_units, "where the range of g ends"),
    }  # fmt: skip
    if signal.std is not None:
        report["u2_std"] = (u2_std, "angstrom**2", "standard deviation of u2")
    for name, (array, units, label) in report.items():
        answer[name] = array.variable
        answer[name].attrs = {"units": units, "long_name": label}
    answer["g"].attrs |= diagnosed(answer["g"].attrs, *_doubts(unwrap(answer)[0]))
    return out


def _doubts(ds: xr.Dataset) -> Iterator[Diagnostic]:
    """Doubt a g(E) by its status, by what was not measured and by its ends."""
    g, status = ds["g"], ds["status"]
    if any(v.chunks is not None for v in ds.variables.values()):
        return
    units = str(g["E"].attrs["units"])

    def doubt(code: str, message: str, fix: str = "") -> Diagnostic:
        return Diagnostic(code, "warning", message, fix)

    if bool((status == NO_SCATTERING).any()):
        high = float(ds["highest_phonon"].max())
        end = f"{high:.4g} {units}" if np.isfinite(high) else "the highest phonon"
        yield doubt(
            "background_in_multiple_scattering",
            "a background beyond E_range was taken for multiple scattering",
            f"end E_range at {end}, or pass multiple_scattering=0.2",
        )
    elif bool((status != OK).any()):
        yield doubt(
            "no_dos",
            f"g(E) was not found in {int((status != OK).sum())} of {status.size} fits",
            "E_range should contain all phonons and no background or quasi-elastic "
            "line (.bp.mask_elastic)",
        )
    extended = float(ds["extended"].max())
    if extended > 0.1:
        yield doubt(
            "extended_area",
            f"{100 * extended:.2g} % of the area of g(E) was extended below E_range: "
            "u2 and the scale depend on it",
        )
    C = ds["multiple_scattering"]
    # In a sample that scatters a tenth, neutrons scattered twice are a part of those
    # that met several phonons.
    if bool((C < 0).any()) or bool((C > 0.5).any()):
        what = "negative" if bool((C < 0).any()) else "large"
        yield doubt(
            "multiple_scattering",
            f"the multiple scattering is {what}, {float(C.min()):.3g} to "
            f"{float(C.max()):.3g}: check the background that was subtracted",
            "cut the data where the background begins, or pass multiple_scattering=0.2",
        )
    if g.dims != ("E",) or not bool(g.notnull().any()):
        return
    if float(g.idxmax("E")) < 0.08 * float(g.E[-1]):
        yield doubt(
            "elastic_line_in_dos",
            f"g(E) is highest at its low end, {float(g.idxmax('E')):.3g} {units}: it "
            "may contain an elastic line",
            "begin E_range higher, or .bp.mask_elastic(…) S(Q,E) first",
        )
    known = g[g.notnull().values]
    tenth = known.sizes["E"] // 10
    if tenth and not bool(ds["highest_phonon"].notnull().any()):
        ends = known[known.sizes["E"] % tenth :].values.reshape(-1, tenth).mean(axis=1)
        # A law of E² rises as well: what rises again has fallen before.
        if ends[-1] > 1.5 * ends[-2] and ends[:-2].max() > ends[-2]:
            yield doubt(
                "rises_at_end",
                f"g(E) rises again to its end, {float(g.E[-1]):.4g} {units}, as by a "
                "background",
                "end E_range at the highest phonon",
            )


class Continuation(NamedTuple):
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

    value: xr.DataArray | None = None
    std: xr.DataArray | None = None
    E: np.ndarray = np.empty(0)
    lower: np.ndarray = np.empty(0)
    upper: np.ndarray = np.empty(0)
    end: float = np.inf
    joined: Any = False
    whole: bool = False


def _continuation(
    initial: Any, join_range: Any, signal: Signal, in_E: np.ndarray
) -> Continuation:
    """Read the density that continues g where `in_E`, its bins, end."""
    if initial is None:
        return Continuation()
    other = read(initial, "vibrational_dos")
    require_dims(other.value, "E", "initial_dos", error=CoordinateError)
    further = [d for d in other.value.dims if d != "E"]
    if foreign := {*further} - {*signal.value.dims}:
        raise QuantityError(
            f"initial_dos has dimensions {foreign} that the data do not have",
            fix=f"initial_dos=dos.isel({foreign.pop()}=0)",
        )
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
        raise RangeError(
            f"initial_dos ends at {upper[known].max(initial=0):.4g} meV, but the "
            f"data reach {end:.4g} meV",
            fix="initial_dos=g of a higher incident energy, or leave it out",
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
            f"the data and initial_dos have no bin in common from {first:.4g} "
            f"to {last:.4g} meV, where they are scaled to equal area",
            fix="join_range=('10 meV', '20 meV'), a range where both have values",
        )
    bare = [c for c, x in other.value.coords.items() if "E" in x.dims or not x.dims]
    value, std = other.both(
        lambda part: part.drop_vars(bare, errors="ignore").isel(E=known).rename(E="_i")
    )
    return Continuation(
        value,
        value * np.nan if std is None else std,
        E[known],
        lower[known],
        upper[known],
        end,
        joined,
        known_area(other.value),
    )


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
        cls, data: Any, T: Any, E_range: Any, Q_range: Any, *, initial_dos: Any,
        reversed_below: float | None, **options: Any,
    ) -> Task:  # fmt: skip
        """Read the map and the arguments of `to_vibrational_dos`."""
        name = getattr(initial_dos, "name", None) or "g"
        arguments = {
            "T": T, "E_range": E_range, "Q_range": Q_range, **options,
            "initial_dos": None if initial_dos is None else str(name),
        }  # fmt: skip
        signal = read(data, "dynamic_structure_factor")
        value, source = signal.value, signal.source
        require_dims(
            value, ("E", "Q"), "the separation of one phonon from many",
            fix="pass S(Q,E) before cutting it", error=CoordinateError,
        )  # fmt: skip
        if check_statistics(value.attrs.get("statistics")) != "quantum":
            raise QuantityError(
                "S(Q,E) is classical; the expansion in phonons obeys detailed balance",
                fix="data.bp.to_quantum(), or g(E) of the trajectory, traj.bp.vdos()",
            )
        choose(options["below"], Below, "below")
        for key, limit in _BELOW.items():
            require_number(options[key], key, above=0, below=limit)
        scattering, C = options["multiple_scattering"], 0.0
        fitted = isinstance(scattering, str) and scattering == "fit"
        if not fitted:
            C = require_number(scattering, "multiple_scattering", least=0)
            arguments["multiple_scattering"] = C
        temperature = resolve_temperature(value, T)
        require_sign(value, signal.std, temperature, reversed_below)
        per_gamma, displacement = mass_or_u2(
            value, **{key: options[key] for key in ("mass", "composition", "u2")}
        )
        if bool((displacement == 0).any()):
            raise QuantityError(
                "u2 is 0 angstrom^2: g(E) is that of vibrations about fixed positions",
                fix="for a liquid g(E)/E^2 is data.bp.to_bqe(u2='0 angstrom^2')"
                ".bp.cut_Q(...); for a solid pass u2=, mass= or composition=",
            )
        to_mev, to_angstrom = (per_unit(value, dim) for dim in ("E", "Q"))
        E, units = value["E"].values * to_mev, value["E"].attrs["units"]
        lower, upper = bin_limits(source, "E")
        q_lower, q_upper = bin_limits(source, "Q")
        in_E = select_range(source, "E", E_range, name="E_range") & (E > 0)
        in_Q = select_range(source, "Q", Q_range, name="Q_range")
        if not in_E.any():
            raise RangeError(
                f"there are no bins at E > 0 in E_range; the data reach from "
                f"{lower[0]:g} to {upper[-1]:g} {units}"
            )
        tail = fitted & (E[in_E][-1] < E)
        if fitted and not tail.any():
            low, high = float(lower[in_E][0]), float(upper[in_E][-1])
            raise RangeError(
                f"there are no data beyond E_range, {low:.4g} to {high:.4g} {units}, "
                "to fit the multiple scattering",
                fix=f"E_range=('{low:.4g} {units}', '{high * 0.7:.4g} {units}'), ending "
                "at the highest phonon, or multiple_scattering=0.2",
            )
        further = _continuation(initial_dos, options["join_range"], signal, in_E)
        grid = Inversion(
            E, np.append(lower, upper[-1]) * to_mev, value["Q"].values * to_angstrom,
            np.where(in_Q, (q_upper - q_lower) * to_angstrom, 0.0), in_E, tail, C,
            per_gamma,
            options["below"], options["tolerance"], options["end"],
            options["background"], options["uncertain"],
            further.E, further.joined & in_E, further.whole,
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
            both: np.ndarray = np.append(own, above)
            return both[taken]

        def invert(
            S: np.ndarray, std: np.ndarray, kelvin: float, u2: float, *initial: Any
        ) -> tuple[Any, ...]:
            above, above_std = (np.atleast_1d(part)[:n] for part in initial)
            end = self.grid.solve(S, std, kelvin, u2, above)
            numbers = [getattr(end, name) for name in _NUMBERS]
            return (
                continued(end.g, end.join * above),
                continued(end.g_std, end.join * above_std),
                end.many,
                *(
                    np.float64(STATUSES.index(x) if isinstance(x, str) else x)
                    for x in numbers
                ),
            )

        found = over_spectra(
            invert,
            value,
            None if std is None else std_along(std, "Q"),
            self.temperature,
            self.u2,
            further.value,
            further.std,
            core=("Q", "E", "_i"),
            gives=[("_g",), ("_g",), ("Q", "E"), *[()] * len(_NUMBERS)],
            sizes={"_g": int(taken.sum())},
        )
        return dict(zip(("g", "g_std", "many", *_NUMBERS), found, strict=True))

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
                lambda codes: np.array(STATUSES)[np.asarray(codes).astype(int)],
                found[name],
                dask="parallelized",
                output_dtypes=["<U22"],
            )
            coords[name] = (words.dims, words.data, {"long_name": label})
        return coords

    def error_of_u2(
        self, found: dict[str, xr.DataArray], g_std: xr.DataArray, axis: Axis
    ) -> xr.DataArray:
        """Return the std of u² = (ħ²/2M) γ₀ from that of g, whose area stays 1."""
        E = xr.DataArray(axis.centres, dims="_g")
        width = xr.DataArray(axis.upper - axis.lower, dims="_g")
        x = E / (2 * constants.BOLTZMANN_MEV * self.temperature)
        per_g = 1 / (E * np.tanh(x)) - found["u2"] / self.grid.per_gamma
        variance = ((per_g * width * g_std) ** 2).sum("_g")
        out: xr.DataArray = (
            self.grid.per_gamma**2 * variance + found["u2_below_std"] ** 2
        ) ** 0.5
        return out
