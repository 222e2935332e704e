"""From measured S(Q,E) to g(E), with multiphonon and multiple scattering subtracted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.data import Data, is_lazy, unwrap
from xbp.core.independence import collapsed
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import over_spectra
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import format_unit, parse_unit
from xbp.models.multiphonon import Below, law_variance
from xbp.reduction.dos_area import area_attributes, area_coordinate
from xbp.reduction.dos_doubts import dos_doubts
from xbp.reduction.momenta import UNREACHABLE, KiOverKf
from xbp.reduction.multiphonon import Axis, Task
from xbp.reduction.sample import numbers_of
from xbp.reduction.sign import REVERSED_BELOW, SIGNIFICANCE

__all__ = ["correct_multiphonon", "to_vibrational_dos"]


@operation(
    takes=("dynamic_structure_factor", "detector_spectra"),
    gives="vibrational_dos",
    over="E",
    step=28,
    when=lambda s: "Q" in s.dims or "detector" in s.dims,
    needs=("temperature", "statistics", "sample"),
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
    unreachable: float = UNREACHABLE,
    significance: float = SIGNIFICANCE,
    incident_energy: Any = None,
    final_energy: Any = None,
    ki_over_kf: KiOverKf | None = None,
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

    Spectra of detectors need no grid of Q: each detector has its own Q(E), that of its
    angle and of the centres of the bins of E, and the sums are over the detectors, all
    of the same weight.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), quantum, over Q and E and any further dimensions, or S(2θ,E) with the
        coordinate ``two_theta`` over the detectors; NaN where it was masked or not
        measured.
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
        g has fallen at the ends of its range if it is at most this fraction of its
        maximum there: in the mean over the first three bins, and over 5 % of the
        highest energy, and at least three bins, or right beyond if there are data.
    background : float
        Largest part of S in E_range that may not depend on Q. It is found by fitting a
        constant at each energy beside one phonon, and counts if that leaves less than
        0.9 of the squares per degree of freedom.
    uncertain : float
        Largest change of g, as a fraction of its maximum, if its multiphonon part is
        left out, for which g is returned although its u² is unknown; and largest
        ``half_difference``.
    reversed_below : float, optional
        As for `to_gdos`: data are refused if the asymmetry of S(E) and S(−E) shows that
        E has the other sign. None: no check.
    unreachable, significance, incident_energy, final_energy, ki_over_kf
        Of S(2θ,E), as for `angle_to_Q`.

    Returns
    -------
    same type as `data`
        g(E) in one over the unit of E, NaN outside E_range, over E > 0 and leftover
        dimensions. Its area is 1, with the part below the range, and so is
        ``attrs["area"]`` (or the coordinate ``area`` of several maps). Coordinates
        ``u2`` (angstrom²; that of the last iteration), ``u2_status`` and ``status``.

        ``u2_status`` is "ok"; "range truncated" if g has not fallen at an end of its
        range; "disagrees with Q" if a third of u² leaves less than 0.9 of what u²
        leaves of S unexplained, as may be if the range ends inside the band, or if more
        than `background` of S does not depend on Q; or the status. Unless it is "ok" u2
        is NaN (one that was given is kept), ``attrs["area"]`` is "unknown", and nothing
        that needs all modes is computed from g.

        ``status`` is "ok", "not converged", "fit failed" (no positive area), "no data",
        "multiphonons unknown" (u² is unknown and g changes by more than `uncertain`
        without its multiphonon part), "spectra differ" (``half_difference`` exceeds
        `uncertain`, as if a detector is broken) or "no multiple scattering" (the fitted
        C takes all intensity: end E_range at ``highest_phonon``, or cut the data above
        it); g is NaN unless it is "ok".

        A Dataset has ``g_std``, that of counting at the multiphonon scattering found,
        and of what halves of the spectra with the same Q, on one area, differ by beyond
        counting; ``half_difference`` is the rms of this over the maximum of g. It also
        includes how far g is from that with u² = ``u2_of_Q``, by which the spectra fall
        with Q at each energy, if chance gives such a distance from u² in less than one
        of 40 cases: the fixed energy is wrong then, or the background, the mass or T.
        Bins share this error (``g_std_common``). ``u2_of_Q_std`` is that of counting,
        or of what blocks of Q differ by. The report goes on with ``iterations``,
        ``change`` (the last),
        ``orders``, ``scale`` (N), ``multiple_scattering`` (C), ``background``, the part
        of S that does not depend on Q, ``extended``, the part of the area below the
        range, ``E_low`` and ``E_high``, the range with values, and ``highest_phonon``,
        where g falls below a tenth of its maximum for good (at C = 0 if no C was found;
        NaN if it does not before E_high). If errors are known, ``u2_std``, that of g,
        (ħ²/2M)² Σ [(coth(E/2k_BT)/E − γ₀) ΔE σ_g]² with the law below, and that of the
        law: g/E² below `E_range` is as uncertain as it varies over the two
        octaves above (2.5 standard deviations of half octaves, less counting), or as a
        parabola through the first of them, with twice its error, differs from the law
        below, if that is less. The choice of `E_range` and C may matter more. NaN if u²
        was given.

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
    CoordinateError
        If the angles or the fixed energy of S(2θ,E) are missing or contradictory.

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
        uncertain=uncertain, reversed_below=reversed_below, unreachable=unreachable,
        significance=significance,
        instrument={
            "incident_energy": incident_energy, "final_energy": final_energy,
            "ki_over_kf": ki_over_kf,
        },
    )  # fmt: skip
    signal, value = task.signal, task.signal.value
    axis = task.axis()
    found = task.run(axis.taken)
    whole, constant_part = found["u2_status"] == 0, found["background"]
    e_units, to_mev = value["E"].attrs["units"], per_unit(value, "E")
    coords = task.conditions(found) | _fractions(task, axis)
    g_std = found["g_std"]
    if "E_independence" in coords:
        f = xr.DataArray(coords["E_independence"]).rename(E="_g")
        g_std = g_std / f**0.5
    u2_std = _error_of_u2(task, found, g_std, axis).where(whole)
    coords["E"] = value["E"][-axis.centres.size :].variable
    if axis.further:
        coords["E"] = xr.Variable("E", axis.centres / to_mev, value["E"].attrs)
    # Where the range ends inside the band the area is unknown.
    each = xr.ones_like(found["status"]).where(whole)
    lazy = is_lazy(each)
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
            f"{100 * float(constant_part.max()):.3g} % of S(Q,E) does not depend on Q",
            "subtract the background first",
        )
        attrs |= diagnosed(value.attrs, doubt)
    g, g_std, g_common = (
        (found[name] * to_mev).rename(_g="E").assign_coords(coords)
        for name in ("g", "g_std", "g_common")
    )
    common = {}
    if signal.std is not None and (lazy or bool(g_common.fillna(0.0).any())):
        common[fingerprint("u2 of the Q dependence", value)] = g_common.variable
    limits = axis.lower / to_mev, axis.upper / to_mev
    answer: Data = signal.answer(
        g,
        None if signal.std is None else g_std,
        operation="to_vibrational_dos",
        arguments=task.arguments,
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="vibrational_dos",
        attrs=attrs,
        bounds={"E": limits} if axis.further else {},
        common=common,
    )
    if isinstance(answer, xr.Dataset):
        _report(answer, task, found, None if signal.std is None else u2_std)
    return answer


def _error_of_u2(
    task: Task, found: dict[str, xr.DataArray], g_std: xr.DataArray, axis: Axis
) -> xr.DataArray:
    """Return the std of u² = (ħ²/2M) γ₀ from that of g and of the law below it."""
    width, per_gamma = axis.upper - axis.lower, task.grid.per_gamma

    def of_one(
        g: np.ndarray,
        std: np.ndarray,
        apart: np.ndarray,
        common: np.ndarray,
        kelvin: float,
        u2: float,
        of_law: float,
    ) -> np.float64:
        kT = float(constants.BOLTZMANN_MEV * kelvin)
        gamma = u2 / per_gamma
        known = np.isfinite(g)
        if not known.any():
            return np.float64(np.nan)
        E, y = axis.centres[known], g[known]
        error, differ, shared = (
            np.nan_to_num(part[known]) for part in (std, apart, common)
        )
        per_g = width[known] * (1 / (E * np.tanh(E / (2 * kT))) - gamma)
        per_g[:3] += of_law * E[:3] ** 2 / (E[:3] ** 4).sum()
        variance = ((per_g * error) ** 2).sum() + (per_g * shared).sum() ** 2
        # Halves may differ by a tilt as well as by what is independent in each bin.
        tilt = (per_g * differ).sum() ** 2 - ((per_g * differ) ** 2).sum()
        variance += max(tilt, 0.0)
        return np.float64(
            per_gamma * np.sqrt(variance + of_law**2 * law_variance(E, y, error))
        )

    out: xr.DataArray = over_spectra(
        of_one,
        found["g"],
        g_std,
        found["g_apart"],
        found["g_common"],
        task.temperature,
        found["u2"],
        found["gamma_of_law"],
        core=("_g",),
        gives=[()],
    )
    return out


def _fractions(task: Task, axis: Axis) -> dict[str, Any]:
    """Return the fractions of independent bins over E, those that continue being so."""
    value = task.signal.value
    held: dict[str, Any] = dict(collapsed(value, task.along))
    if "E_independence" in value.coords:
        held["E_independence"] = value.coords["E_independence"].variable
    found = {}
    for name, f in held.items():
        if task.along not in f.dims and "E" in f.dims:
            own = f.isel(E=task.grid.positive).isel(E=axis.taken[: axis.own])
            n = axis.centres.size - own.sizes["E"]
            found[name] = own.pad(E=(0, n), constant_values=1.0)
    return found


def _report(
    answer: xr.Dataset, task: Task, found: dict[str, xr.DataArray], u2_std: Any
) -> None:
    """Add to g(E) what its computation found, with diagnostics."""
    signal, whole = task.signal, found["u2_status"] == 0
    e_units, to_mev = signal.value["E"].attrs["units"], per_unit(signal.value, "E")
    scale_units = format_unit(parse_unit(signal.units) * parse_unit(e_units))
    low, high = task.reach()
    report = {
        "iterations": (found["iterations"], "1", "iterations"),
        "change": (found["change"], "1", "last change of g"),
        "orders": (found["orders"], "1", "most phonons at once"),
        "scale": (
            (found["scale"] / to_mev).where(whole), scale_units, "scale of the data",
        ),
        "multiple_scattering": (found["constant"], "1", "multiple scattering"),
        "background": (found["background"], "1", "part without Q"),
        "half_difference": (found["differ"], "1", "difference of halves"),
        "u2_of_Q": (found["u2_of_Q"], "angstrom**2", "u2 of the Q dependence"),
        "u2_of_Q_std": (
            found["u2_of_Q_std"], "angstrom**2", "standard deviation of u2_of_Q",
        ),
        "extended": (found["extended"].where(whole), "1", "area below the range"),
        "highest_phonon": (found["highest"] / to_mev, e_units, "end of the phonons"),
        "E_low": (low, e_units, "begin of g"),
        "E_high": (high, e_units, "end of g"),
    }  # fmt: skip
    if u2_std is not None:
        report["u2_std"] = (u2_std, "angstrom**2", "standard deviation of u2")
    for name, (array, units, label) in report.items():
        answer[name] = array.variable
        answer[name].attrs = {"units": units, "long_name": label}
    answer["g"].attrs |= diagnosed(answer["g"].attrs, *dos_doubts(unwrap(answer)[0]))


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
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
    background: float = 0.5,
    uncertain: float = 0.3,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    """Take multiphonon and multiple scattering off S(Q,E), leaving one phonon.

    g(E) is found as by `to_vibrational_dos`; then N(1+C) Σ S_n of two and more phonons
    is subtracted at every Q and E, of either sign; the elastic line is left too. Bins
    that are NaN stay NaN.

    Parameters
    ----------
    data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below,
    tolerance, initial_dos, join_range, end, background, uncertain, reversed_below
        As for `to_vibrational_dos`; E_range is where g is found, the correction is made
        everywhere.

    Returns
    -------
    same type as `data`
        S(Q,E) on the same grid, with the coordinates ``u2`` (that of the last
        iteration, which `to_gdos` and `to_bqe` then use), ``temperature`` and
        ``status``, which is ``u2_status`` of `to_vibrational_dos`: what is subtracted
        is known if all modes are. NaN where it is not "ok". The standard deviation
        is that of the data: what is subtracted is taken as exact.

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
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> Q = np.arange(2, 10, 0.5)
    >>> S = g.bp.multiphonon_sqe(Q, composition="V", area=1)
    >>> left = S.bp.correct_multiphonon(E_range=(0.5, 30.5), composition="V")
    >>> one = g.bp.multiphonon_sqe(Q, composition="V", area=1, part="one")
    >>> bool(np.allclose(left.S.sel(E=slice(1, 60)), one.S.sel(E=slice(1, 60)),
    ...     atol=1e-6))
    True
    """
    task = Task.of(
        data, T, E_range, Q_range, mass=mass, composition=composition, u2=u2,
        multiple_scattering=multiple_scattering, below=below, tolerance=tolerance,
        initial_dos=initial_dos, join_range=join_range, end=end, background=background,
        uncertain=uncertain, reversed_below=reversed_below,
    )  # fmt: skip
    value = task.signal.value
    found = task.run(task.axis().taken)
    coords: dict[Any, Any] = {
        name: c.variable for name, c in value.coords.items() if name != "u2"
    }
    coords |= task.conditions(found)
    # What is subtracted depends on all modes: it is known if u² is.
    dims, words, _ = coords.pop("u2_status")
    label = "whether the multiphonon scattering was found"
    coords["status"] = (dims, words, {"long_name": label})
    left = value.drop_vars(list(value.coords)) - found["many"]
    left = left.where(found["u2_status"] == 0).transpose(*value.dims)
    answer: Data = task.signal.answer(
        left.drop_vars(list(left.coords)).assign_coords(coords),
        task.signal.std,
        operation="correct_multiphonon",
        arguments=task.arguments,
        attrs={"energy_zero": "used by correct_multiphonon"},
    )
    return answer
