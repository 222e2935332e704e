"""What a table of results says, in a line a person would say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.format import with_error
from xbp.core.status import GIVEN, NOT_A_DECAY, OK, POOR_CHI2
from xbp.core.units import to_kelvin
from xbp.reduction.debye_waller import MOST_BROADENING
from xbp.summary.energies import boson_peak, compare, heat_capacity
from xbp.summary.numbers import UNLIKELY, fit, number, of_many, quality, reach, short
from xbp.summary.remarks import units_of

__all__ = ["LAZY", "SENTENCES"]

#: Results that are told of without their numbers, which may be dask's.
LAZY: Final = frozenset({"local_fields"})

#: So many standard deviations between two temperatures are no chance; so small a part
#: of one no thermometer tells.
_MANY_SIGMA, _SAME_KELVIN = 5.0, 1e-3


def _dispersion(table: xr.Dataset) -> str:
    if table.mean_energy.ndim:
        return f"dispersion of {table.mean_energy.size} sets of peaks"
    if int(table.n_points) < 2:
        return f"dispersion: {int(table.n_points)} peaks, too few"
    slope, std, units = (
        float(table.slope),
        float(table.slope_std),
        units_of(table.slope),
    )
    # Peaks scatter more than their errors say where the model is not quite the data's.
    mean = with_error(float(table.mean_energy), float(table.scatter))
    energy = f"boson peak {mean}{units_of(table.mean_energy)} (scatter)"
    over = (
        f"at {int(table.n_points)} Q, {float(table.Q_min):.3g} to "
        f"{float(table.Q_max):.3g}{units_of(table.Q_min)}"
    )
    flat = abs(slope) < 2 * std
    moves = (
        f"dispersionless within {2 * std:.2g}{units}"
        if flat
        else f"slope {with_error(slope, std)}{units}"
    )
    return (
        f"{energy} {over}, {moves}; reduced chi2 of one energy "
        f"{short(float(table.chi2_reduced))}"
        + (
            "\n  beware: the energies scatter by more than their errors, and so may "
            "the slope"
            if float(table.p_value) < UNLIKELY
            else ""
        )
    )


def _scale_to_sq(table: xr.Dataset) -> str:
    if table.pearson_r.ndim:
        r = table.pearson_r
        return (
            f"{r.size} cuts against S(Q): Pearson r from {float(r.min()):.2f} to "
            f"{float(r.max()):.2f}"
        )
    at = (
        f" at {float(table.E):.3g}{units_of(table.E)}"
        if "E" in table.coords and table.E.ndim == 0
        else ""
    )
    reach = (
        f"{float(table.Q_min):.3g} to {float(table.Q_max):.3g}{units_of(table.Q_min)}"
    )
    return (
        f"the cut{at} against S(Q): Pearson r {float(table.pearson_r):.2f}, Spearman "
        f"{float(table.spearman_r):.2f} "
        f"over {int(table.n_points)} Q, {reach}{quality(table)}"
    )


def _correlation_map(table: xr.Dataset) -> str:
    r = table.pearson_r
    if r.dims != ("E",) or not bool(r.notnull().any()):
        return f"correlation with S(Q) over {', '.join(map(str, r.dims))}"
    reach = (
        f" over Q {float(table.Q_min.min()):.3g} to "
        f"{float(table.Q_max.max()):.3g}{units_of(table.Q_min)}"
    )
    above = " above the box phonon" if "box_phonon" in table.coords else ""
    at = float(table.highest_r_energy)
    falls = r.E[(at < r.E) & (r < 0)]
    below = f", below 0 from {float(falls[0]):.3g}{units_of(r.E)}" if falls.size else ""
    return (
        f"correlation with S(Q){reach}: r is highest{above}, "
        f"{float(table.highest_r):.2f}, at {at:.3g}{units_of(r.E)}{below}"
    )


def _detailed_balance(table: xr.Dataset) -> str:
    if table.implied_temperature.ndim:
        return f"detailed balance of {table.implied_temperature.size} spectra"
    over = (
        f"over {int(table.n_points)} energies of "
        f"{table.attrs.get('E_range', 'both sides')}"
    )
    if str(table.status.values) != OK:
        return f"detailed balance: {table.status.values} ({over})"
    chi2 = float(table.get("chi2_reduced", np.nan))
    fit = f", reduced chi2 {short(chi2)}" if np.isfinite(chi2) else ""
    if chi2 > POOR_CHI2:
        each = table.temperature_at_E.values[np.isfinite(table.temperature_at_E.values)]
        low, first, third, high = np.percentile(each, [0, 25, 75, 100])
        return (
            f"detailed balance: {number(table, 'implied_temperature')} on average, "
            f"each energy saying {low:.0f} to "
            f"{high:.0f} K, half of them {first:.0f} to {third:.0f} K ({over}{fit})"
            "\n  beware: no one temperature makes this ratio: a background, a zero of "
            "E that is off, an "
            "elastic line in the range, or errors that are too small"
        )
    said = (
        f"detailed balance: the data say {number(table, 'implied_temperature')} "
        f"({over}{fit})"
    )
    if "temperature" in table.coords:
        units = str(table.temperature.attrs.get("units", "K"))
        kelvin = float(
            to_kelvin(table.temperature.values.astype(float), units, name="temperature")
        )
        away, std = (
            abs(float(table.implied_temperature) - kelvin),
            float(table.implied_temperature_std),
        )
        if away > _MANY_SIGMA * std and away > _SAME_KELVIN * kelvin:
            many = short(away / std) if std else "many"
            said += (
                f"\n  beware: the data carry {kelvin:.4g} K, {many} standard "
                "deviations away"
            )
    return said


def _debye_waller(table: xr.Dataset) -> str:
    if table.u2.ndim:
        return of_many(table, "u2", "status", "u2")
    said = str(table.status.values)
    # The shape of the decay tells what the error of a straight line does not.
    line = (
        f"a line in Q**2 explains {100 * float(table.explained):.3g} % of "
        f"{int(table.n_points)} Q"
    )
    if said != OK:
        if np.isfinite(wider := float(table.get("broadening", np.nan))):
            line += (
                f", and the spectrum is {wider:.2g} times as wide in the upper "
                "half of them as at low Q"
            )
        why = f" ({line})" if np.isfinite(float(table.explained)) else ""
        if wider > MOST_BROADENING:
            why += (
                "\n  quasi-elastic, as of a liquid or of molecules that turn: give "
                "u2= of a frozen sample to the next "
                "call, or u2='0 angstrom^2' of a liquid, which has no Debye-Waller "
                "factor"
            )
        elif said == NOT_A_DECAY:
            why += (
                "\n  coherent, as of Bragg peaks or S(Q): end Q_range= where the "
                "peaks lie close, give u2=, or let "
                ".bp.to_vibrational_dos(…) find it"
            )
        return f"no u2: {said}{why}"
    counting, window = float(table.u2_std), float(table.u2_systematic)
    # The larger of the two errors says how many figures of u2 mean anything.
    if window > counting:
        said = (
            f"{with_error(float(table.u2), window)}{units_of(table.u2)} (by the "
            f"window; by counting {counting:.2g})"
        )
    else:
        other = (
            f"by the window {window:.2g}"
            if np.isfinite(window)
            else "there is no other window to try"
        )
        said = f"{number(table, 'u2')} (by counting; {other})"
    return f"u2 per axis {said}, {line}{quality(table)}"


def _phonons(table: xr.Dataset) -> str:
    return "\n".join(
        of_many(table.sel(branch=b), "energy", "status", f"{b} phonon")
        for b in np.atleast_1d(table.branch.values)
    )


def _box_phonon(table: xr.Dataset) -> str:
    said = str(table.status.values)
    if said != OK:
        return f"no box phonon: {said}"
    count, time = (
        int(table.attrs.get("segments", 0)),
        str(table.attrs.get("window", "")).partition(",")[0],
    )
    of = {
        0: "",
        1: f" (one window of {time}: no scatter tells the error, but how few waves "
        "are seen)",
    }
    windows = of.get(count, f" ({count} windows of {time})")
    where = f"at Q {float(table.Q):.3g}{units_of(table.Q)}"
    return (
        f"first transverse phonon of the box {number(table, 'energy')} {where}{windows}"
    )


def _elastic_line(table: xr.Dataset) -> str:
    if table.energy.ndim:
        one = (
            "\n  one line for all of them: .bp.fit_elastic_line(Q_range=...) "
            "averages over Q first"
        )
        width = table.fwhm.where(table.status == OK)
        n_found = int(width.notnull().sum())
        wide = (
            f"; FWHM {float(width.min()):.3g} to "
            f"{float(width.max()):.3g}{units_of(width)}"
        )
        first, line, rest = of_many(
            table, "energy", "status", "elastic line"
        ).partition("\n")
        return f"{first}{wide if n_found else ''}{line}{rest}{one if 'Q' in table.energy.dims else ''}"
    if str(table.status.values) != OK:
        return f"no elastic line: {table.status.values} ({reach(table, 'E')})"
    return (
        f"elastic line at {number(table, 'energy')}, FWHM {number(table, 'fwhm')}, "
        f"height {number(table, 'height')}"
        f"{quality(table)}\n  then: data.bp.mask_elastic(line.fwhm, "
        "centre=line.energy), data.bp.shift_E(line.energy)"
    )


def _sound_velocity(table: xr.Dataset) -> str:
    each = [
        f"{b} {number(table, 'velocity', {'branch': i})}"
        for i, b in enumerate(table.branch.values)
    ]
    return f"sound: {', '.join(each)}; Debye energy {number(table, 'debye_energy')}"


def _ioffe_regel(table: xr.Dataset) -> str:
    each = [
        f"{b} {number(table, 'energy', {'branch': i})}"
        for i, b in enumerate(table.branch.values)
    ]
    return f"Ioffe-Regel limit: {', '.join(each)}"


def _local_fields(fields: xr.Dataset | xr.DataArray) -> str:
    names = (
        [str(fields.name)]
        if isinstance(fields, xr.DataArray)
        else [str(n) for n in fields.data_vars]
    )
    sizes = ", ".join(f"{dim} {size}" for dim, size in fields.sizes.items())
    how = [
        f"{key} {fields.attrs[key]}"
        for key in ("cutoff", "reference")
        if key in fields.attrs
    ]
    lines = [f"local fields of the atoms, {', '.join(names)}: {sizes}"]
    lines += [f"  {', '.join(how)}"] if how else []
    chosen = f"'{names[0]}'" if len(names) == 1 else str(names)
    return "\n".join(
        [
            *lines,
            f"  next: traj.bp.fluctuation_spectrum({chosen}, …) "
            "traj.bp.compare_fluctuations(…)",
        ]
    )


def _fluctuations(table: xr.Dataset) -> str:
    said = str(table.E_BP_status.values) if "E_BP_status" in table else OK
    if said == GIVEN:
        lines, where = (
            [
                "fluctuations beside B(Q,E), compared at the given "
                f"{number(table, 'E_BP')}"
            ],
            "there",
        )
    elif said == OK:
        lines, where = (
            [f"fluctuations beside a boson peak at {number(table, 'E_BP')}"],
            "at the boson peak",
        )
    else:
        lines, where = (
            [f"fluctuations beside a B(E) without a boson peak: {said}"],
            "at the boson peak",
        )
    for i, name in enumerate(table.field.values):
        peak, r = (
            number(table, "chi_energy", {"field": i}),
            number(table, "r_at_boson_peak", {"field": i}),
        )
        lines.append(f"  {name}: maximum of chi(E) {peak}; r with S(Q) {where} {r}")
    if said not in (OK, GIVEN):
        lines.append(
            "  the spectra are all here, nothing is to be computed again: "
            "table.bp.plot.field_correlations() draws r\n"
            "  at every energy, table.pearson_r.interp(E=4) is r at 4 meV,\n"
            "  table.B.bp.cut_Q(...).bp.boson_peak(E_range=...) fits B(E) over "
            "another range"
        )
    return "\n".join(lines)


def _thermodynamics(table: xr.Dataset) -> str:
    last = table.isel(time=-1)
    reach = (
        f"{table.sizes['time']} rows over {float(last.time):.4g}{units_of(table.time)}"
    )
    return (
        f"thermodynamics: {reach}, ends at "
        f"{float(last.temperature):.4g}{units_of(table.temperature)}"
    )


def _glass_transition(table: xr.Dataset) -> str:
    said = str(table.status.values)
    return (
        f"glass transition at {number(table, 'Tg')}"
        if said == OK
        else f"no glass transition: {said}"
    )


def _kinematic_limits(table: xr.Dataset) -> str:
    low, high = float(table.Q_min.min()), float(table.Q_max.max())
    return (
        f"the instrument reaches Q from {low:.3g} to {high:.3g}{units_of(table.Q_min)}"
    )


def _neutron_weighted(table: xr.Dataset) -> str:
    R = table.correction
    return (
        f"true over neutron-weighted density of states: {float(R.min()):.3g} to "
        f"{float(R.max()):.3g}"
    )


SENTENCES: Final[Mapping[str, Callable[[Any], str]]] = {
    "boson_peak": boson_peak,
    "dispersion": _dispersion,
    "scale_to_sq": _scale_to_sq,
    "correlation_map": _correlation_map,
    "detailed_balance": _detailed_balance,
    "debye_waller": _debye_waller,
    "phonon_dispersion": _phonons,
    "box_phonon": _box_phonon,
    "fit": fit,
    "fit_elastic_line": _elastic_line,
    "fit_heat_capacity": heat_capacity,
    "sound_velocity": _sound_velocity,
    "ioffe_regel": _ioffe_regel,
    "local_fields": _local_fields,
    "compare_fluctuations": _fluctuations,
    "thermodynamics": _thermodynamics,
    "glass_transition": _glass_transition,
    "kinematic_limits": _kinematic_limits,
    "neutron_weighted_dos": _neutron_weighted,
    "compare": compare,
}
