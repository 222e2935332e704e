"""What a table of results says, in a line a person would say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.describe.signals import units_of
from xbp.reduction.debye_waller import MOST_BROADENING
from xbp.status import NO_EXCESS, NOT_A_DECAY, OK, UNPHYSICAL
from xbp.units import percent, to_kelvin, with_error

__all__ = ["AFTER", "LAZY", "SENTENCES", "UNLIKELY", "is_poor"]

#: Results that are told of without their numbers, which may be dask's.
LAZY: Final = frozenset({"local_fields"})

#: Above this reduced chi-squared, or this rms residual, the shape is not that of the data.
_POOR_CHI2, _POOR_RESIDUAL = 10.0, 0.05
#: So many standard deviations between two temperatures are no chance; so small a part of one no thermometer tells.
_MANY_SIGMA, _SAME_KELVIN = 5.0, 1e-3
#: A chi-squared with less of a chance than this says that something else is the case.
UNLIKELY = 0.01
#: A boson peak does not move by this factor within one set of data: some of the maxima are others.
_FAR_APART = 3.0


def _number(table: xr.Dataset, name: str, at: Mapping[str, Any] | None = None) -> str:
    """Write one number of a table, with its error where it has one, and its units."""
    value = table[name] if at is None else table[name].isel(at)
    std = table.get(f"{name}_std")
    if not np.isfinite(float(value)):
        return "not found"
    error = np.nan if std is None else float(std if at is None else std.isel(at))
    return f"{with_error(float(value), error)}{units_of(value)}"


def _statuses(status: xr.DataArray) -> str:
    names, counts = np.unique(status.values, return_counts=True)
    return ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True) if n != OK)


def _reach(table: xr.Dataset, axis: str) -> str:
    """Say over which range was fitted."""
    low, high = table[f"{axis}_low"], table[f"{axis}_high"]
    return f"fitted over {float(low):.3g} to {float(high):.3g}{units_of(high)}"


def _quality(table: xr.Dataset) -> str:
    """Say over which range was fitted, and how well: by chi-squared, or by the residual where no errors are known."""
    said = [_reach(table, str(n).removesuffix("_low")) for n in table.variables if str(n).endswith("_low")]
    if "chi2_reduced" in table:
        said.append(f"reduced chi2 {_short(float(table.chi2_reduced))}")
    elif "relative_residual" in table:
        said.append(f"rms residual {percent(float(table.relative_residual))}")
    text = f" ({', '.join(said)})" if said else ""
    return text + ("\n  beware: the curve has not the shape of the data; the range fitted decides more than the error"
                   if is_poor(table) else "")  # fmt: skip


def is_poor(table: xr.Dataset) -> bool:
    """Tell whether the curve of a fit has not the shape of its data, so that its errors say too little."""
    chi2 = float(table.get("chi2_reduced", np.nan))
    return chi2 > _POOR_CHI2 or (np.isnan(chi2) and float(table.get("relative_residual", 0.0)) > _POOR_RESIDUAL)


def _short(number: float) -> str:
    """Write a number of any size in two or three figures, without powers of ten where one can."""
    return f"{number:.0f}" if 10 <= abs(number) < 1e5 else f"{number:.2g}"


def _of_many(table: xr.Dataset, name: str, status: str, what: str) -> str:
    """Sum up an array of fits."""
    good = table[name].where(table[status] == OK)
    n = int(good.notnull().sum())
    text = f"{what} found in {n} of {good.size} fits"
    if n:
        text += (
            f": median {float(good.median()):.3g}, {float(good.min()):.3g} to {float(good.max()):.3g}{units_of(good)}"
        )
    rest = _statuses(table[status])
    return text + (f"; the others: {rest}" if rest else "")


def _boson_peak(table: xr.Dataset) -> str:
    if table.energy.ndim:
        good = table.energy.where(table.status == OK)
        apart = bool(good.notnull().any()) and float(good.max()) > _FAR_APART * float(good.min())
        return _of_many(table, "energy", "status", "boson peak") + (
            "\n  beware: so far apart they are not one peak: name the energies to fit, E_range=" if apart else ""
        )
    if str(table.status.values) != OK:
        reach = f" ({_reach(table, 'E')})" if "E_low" in table and np.isfinite(float(table.E_low)) else ""
        return f"no boson peak: {table.status.values}{reach}"
    return f"boson peak {_number(table, 'energy')}{_quality(table)}"


def _dispersion(table: xr.Dataset) -> str:
    if table.mean_energy.ndim:
        return f"dispersion of {table.mean_energy.size} sets of peaks"
    if int(table.n_points) < 2:
        return f"dispersion: {int(table.n_points)} peaks, too few"
    slope, std, units = float(table.slope), float(table.slope_std), units_of(table.slope)
    # Peaks scatter more than their errors say where the model is not quite the data's.
    mean = with_error(float(table.mean_energy), float(table.scatter))
    energy = f"boson peak {mean}{units_of(table.mean_energy)} (scatter)"
    reach = f"at {int(table.n_points)} Q, {float(table.Q_min):.3g} to {float(table.Q_max):.3g}{units_of(table.Q_min)}"
    flat = abs(slope) < 2 * std
    moves = f"dispersionless within {2 * std:.2g}{units}" if flat else f"slope {with_error(slope, std)}{units}"
    return f"{energy} {reach}, {moves}; reduced chi2 of one energy {_short(float(table.chi2_reduced))}" + (
        "\n  beware: the energies scatter by more than their errors, and so may the slope"
        if float(table.p_value) < UNLIKELY
        else ""
    )


def _scale_to_sq(table: xr.Dataset) -> str:
    if table.pearson_r.ndim:
        r = table.pearson_r
        return f"{r.size} cuts against S(Q): Pearson r from {float(r.min()):.2f} to {float(r.max()):.2f}"
    at = f" at {float(table.E):.3g}{units_of(table.E)}" if "E" in table.coords and table.E.ndim == 0 else ""
    reach = f"{float(table.Q_min):.3g} to {float(table.Q_max):.3g}{units_of(table.Q_min)}"
    return (
        f"the cut{at} against S(Q): Pearson r {float(table.pearson_r):.2f}, Spearman {float(table.spearman_r):.2f} "
        f"over {int(table.n_points)} Q, {reach}{_quality(table)}"
    )


def _correlation_map(table: xr.Dataset) -> str:
    r = table.pearson_r
    if r.dims != ("E",) or not bool(r.notnull().any()):
        return f"correlation with S(Q) over {', '.join(map(str, r.dims))}"
    best = r.idxmax("E")
    beyond = r.E[(best < r.E) & (r < 0)]
    falls = f", below 0 from {float(beyond[0]):.3g}{units_of(r.E)}" if beyond.size else ""
    reach = f" over Q {float(table.Q_min.min()):.3g} to {float(table.Q_max.max()):.3g}{units_of(table.Q_min)}"
    return (
        f"correlation with S(Q){reach}: r is highest, {float(r.max()):.2f}, at {float(best):.3g}{units_of(r.E)}{falls}"
    )


def _detailed_balance(table: xr.Dataset) -> str:
    if table.implied_temperature.ndim:
        return f"detailed balance of {table.implied_temperature.size} spectra"
    over = f"over {int(table.n_points)} energies of {table.attrs.get('E_range', 'both sides')}"
    if str(table.status.values) != OK:
        return f"detailed balance: {table.status.values} ({over})"
    chi2 = float(table.get("chi2_reduced", np.nan))
    fit = f", reduced chi2 {_short(chi2)}" if np.isfinite(chi2) else ""
    if chi2 > _POOR_CHI2:
        each = table.temperature_at_E.values[np.isfinite(table.temperature_at_E.values)]
        low, first, third, high = np.percentile(each, [0, 25, 75, 100])
        return (
            f"no temperature: detailed balance at each energy says {low:.0f} to {high:.0f} K, half of them "
            f"{first:.0f} to {third:.0f} K ({over}{fit})"
            "\n  beware: no one temperature makes this ratio: a background, a zero of E that is off, an "
            "elastic line in the range, or errors that are too small"
        )
    said = f"detailed balance: the data say {_number(table, 'implied_temperature')} ({over}{fit})"
    if "temperature" in table.coords:
        units = str(table.temperature.attrs.get("units", "K"))
        kelvin = float(to_kelvin(table.temperature.values.astype(float), units, name="temperature"))
        away, std = abs(float(table.implied_temperature) - kelvin), float(table.implied_temperature_std)
        if away > _MANY_SIGMA * std and away > _SAME_KELVIN * kelvin:
            many = _short(away / std) if std else "many"
            said += f"\n  beware: the data carry {kelvin:.4g} K, {many} standard deviations away"
    return said


def _debye_waller(table: xr.Dataset) -> str:
    if table.u2.ndim:
        return _of_many(table, "u2", "status", "u2")
    said = str(table.status.values)
    # The shape of the decay tells what the error of a straight line does not.
    line = f"a line in Q**2 explains {100 * float(table.explained):.3g} % of {int(table.n_points)} Q"
    if said != OK:
        if np.isfinite(wider := float(table.get("broadening", np.nan))):
            line += f", and the spectrum is {wider:.2g} times as wide in the upper half of them as in the lower"
        why = f" ({line})" if np.isfinite(float(table.explained)) else ""
        if wider > MOST_BROADENING:
            why += (
                "\n  quasi-elastic, as of a liquid or of molecules that turn: give u2= of a frozen sample to the next "
                "call, or u2='0 angstrom^2' of a liquid, which has no Debye-Waller factor"
            )
        elif said == NOT_A_DECAY:
            why += (
                "\n  coherent, as of Bragg peaks or S(Q): end Q_range= where the peaks lie close, give u2=, or let "
                ".bp.to_vibrational_dos(…) find it"
            )
        return f"no u2: {said}{why}"
    counting, window = float(table.u2_std), float(table.u2_systematic)
    # The larger of the two errors says how many figures of u2 mean anything.
    if window > counting:
        number = (
            f"{with_error(float(table.u2), window)}{units_of(table.u2)} (by the window; by counting {counting:.2g})"
        )
    else:
        number = f"{_number(table, 'u2')} (by counting; by the window {window:.2g})"
    return f"u2 per axis {number}, {line}{_quality(table)}"


def _phonons(table: xr.Dataset) -> str:
    return "\n".join(
        _of_many(table.sel(branch=b), "energy", "status", f"{b} phonon") for b in np.atleast_1d(table.branch.values)
    )


def _box_phonon(table: xr.Dataset) -> str:
    said = str(table.status.values)
    if said != OK:
        return f"no box phonon: {said}"
    return f"first transverse phonon of the box {_number(table, 'energy')} at Q {float(table.Q):.3g}{units_of(table.Q)}"


def _fit(table: xr.Dataset) -> str:
    if table.status.ndim:
        good = int((table.status == OK).sum())
        rest = _statuses(table.status)
        return f"{table.attrs.get('model', 'fit')}: {good} of {table.status.size} fits are ok{rest and '; ' + rest}"
    if str(table.status.values) != OK:
        said = f"{table.attrs.get('model', 'fit')}: {table.status.values}"
        limiting = str(table.limiting_parameter.values) if "limiting_parameter" in table else ""
        return (
            f"{said} ({limiting})\n  hold it, fixed={{'{limiting}': …}}, start nearer, or fit a range that tells more"
            if limiting
            else said
        )
    names = [str(n) for n in table.data_vars if f"{n}_std" in table]
    return (
        f"{table.attrs.get('model', 'fit')}: " + ", ".join(f"{n} {_number(table, n)}" for n in names) + _quality(table)
    )


def _elastic_line(table: xr.Dataset) -> str:
    if table.energy.ndim:
        one = "\n  one line for all of them: .bp.fit_elastic_line(Q_range=...) averages over Q first"
        return _of_many(table, "energy", "status", "elastic line") + (one if "Q" in table.energy.dims else "")
    if str(table.status.values) != OK:
        return f"no elastic line: {table.status.values} ({_reach(table, 'E')})"
    return (
        f"elastic line at {_number(table, 'energy')}, FWHM {_number(table, 'fwhm')}, height {_number(table, 'height')}"
        f"{_quality(table)}\n  then: data.bp.mask_elastic(line.fwhm, centre=line.energy), data.bp.shift_E(line.energy)"
    )


def _heat_capacity(table: xr.Dataset) -> str:
    if table.status.ndim or str(table.status.values) != OK:
        return _fit(table)
    said = str(table.peak_status.values)
    peak = f"maximum of g/E2 {_number(table, 'energy')}" if said == OK else f"no boson peak in g/E2: {said}"
    modes = float(table.n_D) + float(table.n_E)
    of = table.attrs.get("amount")
    per = f", in all {modes:.3g}" + (f" per mole of {of}" if of in ("atoms", "formula units") else "")
    said = (
        f"Einstein modes about {_number(table, 'energy_E')}, {peak}; gamma {_number(table, 'gamma')}, "
        f"n_D {_number(table, 'n_D')}, n_E {_number(table, 'n_E')}{per}{_quality(table)}"
    )
    if str(table.peak_status.values) == NO_EXCESS:
        said += "\n  beware: Debye phonons alone describe these data as well: the Einstein modes mean nothing"
    if 4 * float(table.sigma_E) > float(table.theta_E) and float(table.n_E) > 0:
        said += (
            "\n  beware: so broad a Gaussian reaches E = 0, where g/E2 of the fit, and C/T3 with it, rises of itself"
        )
    if str(table.peak_status.values) == UNPHYSICAL:
        said += (
            "\n  beware: gamma below zero, or many more modes than one per atom and axis, are not of a solid: fit "
            "lower temperatures, hold gamma at 0 in an insulator, or see whether mass and molar mass are right"
        )
    return said


def _sound_velocity(table: xr.Dataset) -> str:
    each = [f"{b} {_number(table, 'velocity', {'branch': i})}" for i, b in enumerate(table.branch.values)]
    return f"sound: {', '.join(each)}; Debye energy {_number(table, 'debye_energy')}"


def _ioffe_regel(table: xr.Dataset) -> str:
    each = [f"{b} {_number(table, 'energy', {'branch': i})}" for i, b in enumerate(table.branch.values)]
    return f"Ioffe-Regel limit: {', '.join(each)}"


def _local_fields(fields: xr.Dataset | xr.DataArray) -> str:
    names = [str(fields.name)] if isinstance(fields, xr.DataArray) else [str(n) for n in fields.data_vars]
    sizes = ", ".join(f"{dim} {size}" for dim, size in fields.sizes.items())
    how = [f"{key} {fields.attrs[key]}" for key in ("cutoff", "reference") if key in fields.attrs]
    lines = [f"local fields of the atoms, {', '.join(names)}: {sizes}"]
    lines += [f"  {', '.join(how)}"] if how else []
    chosen = f"'{names[0]}'" if len(names) == 1 else str(names)
    return "\n".join([*lines, f"  next: traj.bp.fluctuation_spectrum({chosen}, …) traj.bp.compare_fluctuations(…)"])


def _fluctuations(table: xr.Dataset) -> str:
    lines = [f"fluctuations beside a boson peak at {_number(table, 'E_BP')}"]
    for i, name in enumerate(table.field.values):
        peak, r = _number(table, "chi_energy", {"field": i}), _number(table, "r_at_boson_peak", {"field": i})
        lines.append(f"  {name}: maximum of chi(E) {peak}; r with S(Q) at the boson peak {r}")
    return "\n".join(lines)


def _thermodynamics(table: xr.Dataset) -> str:
    last = table.isel(time=-1)
    reach = f"{table.sizes['time']} rows over {float(last.time):.4g}{units_of(table.time)}"
    return f"thermodynamics: {reach}, ends at {float(last.temperature):.4g}{units_of(table.temperature)}"


def _glass_transition(table: xr.Dataset) -> str:
    said = str(table.status.values)
    return f"glass transition at {_number(table, 'Tg')}" if said == OK else f"no glass transition: {said}"


def _kinematic_limits(table: xr.Dataset) -> str:
    low, high = float(table.Q_min.min()), float(table.Q_max.max())
    return f"the instrument reaches Q from {low:.3g} to {high:.3g}{units_of(table.Q_min)}"


def _compare(table: xr.Dataset) -> str:
    n = int(table.n_energies)
    first = f"{n} boson-peak {'energy' if n == 1 else 'energies'}"
    if n < 2:
        first += ", and a comparison needs two"
    else:
        first += f": largest discrepancy {100 * float(table.discrepancy):.3g} %"
    free = int(table.degrees_of_freedom)
    if free > 0:
        first += (
            f", mean {_number(table, 'mean_energy')}, chi2 {float(table.chi2):.3g} with "
            f"{free} degree{'s' * (free > 1)} of freedom (p {float(table.p_value):.2g})"
        )
    lines = [first]
    if float(table.p_value) < UNLIKELY:
        lines.append("  beware: these are not one energy within their errors, and the mean is none of them")
    for i, name in enumerate(table.leaf.values):
        status = str(table.status.values[i])
        left_out = "" if int(table.compared[i]) or status != OK else " (not compared)"
        misfit = f", reduced chi2 {float(table.chi2_reduced[i]):.0f}" if float(table.chi2_reduced[i]) > 2 else ""
        misfit += " (poor fit)" if is_poor(table.isel(leaf=i)) else ""
        said = f"{_number(table, 'energy', {'leaf': i})}{misfit}" if status == OK else status
        lines.append(f"  {name}: {said}{left_out}")
    return "\n".join(lines)


def _neutron_weighted(table: xr.Dataset) -> str:
    R = table.correction
    return f"true over neutron-weighted density of states: {float(R.min()):.3g} to {float(R.max()):.3g}"


SENTENCES: Final[Mapping[str, Callable[[Any], str]]] = {
    "boson_peak": _boson_peak,
    "dispersion": _dispersion,
    "scale_to_sq": _scale_to_sq,
    "correlation_map": _correlation_map,
    "detailed_balance": _detailed_balance,
    "debye_waller": _debye_waller,
    "phonon_dispersion": _phonons,
    "box_phonon": _box_phonon,
    "fit": _fit,
    "fit_elastic_line": _elastic_line,
    "fit_heat_capacity": _heat_capacity,
    "sound_velocity": _sound_velocity,
    "ioffe_regel": _ioffe_regel,
    "local_fields": _local_fields,
    "compare_fluctuations": _fluctuations,
    "thermodynamics": _thermodynamics,
    "glass_transition": _glass_transition,
    "kinematic_limits": _kinematic_limits,
    "neutron_weighted_dos": _neutron_weighted,
    "compare": _compare,
}

#: Methods of ``.bp`` that take a table of results.
AFTER: Final[Mapping[str, tuple[str, ...]]] = {
    "boson_peak": ("dispersion()", "plot.peak()"),
    "scale_to_sq": ("plot.scaling()",),
    "correlation_map": ("plot.correlation()",),
    "detailed_balance": ("plot.detailed_balance()",),
    "debye_waller": ("plot.debye_waller()",),
    "fit_heat_capacity": ("fitted_dos(…)", "plot.heat_capacity()"),
    "phonon_dispersion": ("plot.phonons()", "sound_velocity()", "ioffe_regel()"),
    "compare_fluctuations": ("plot.fluctuations()", "plot.field_correlations()"),
}
