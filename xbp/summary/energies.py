"""What is said of the energies of boson peaks.

Of one fit, of a scan, of a heat capacity, of a study.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy
import xarray as xr

from xbp.core.format import percent, with_error
from xbp.core.signal import read
from xbp.core.status import AT_EDGE, NO_EXCESS, NO_MAXIMUM, OK, UNDETERMINED, UNPHYSICAL
from xbp.core.units import convert_factor
from xbp.models.debye_einstein import debye_einstein
from xbp.summary.numbers import (
    UNLIKELY,
    fit,
    is_poor,
    mend_of_fit,
    number,
    of_many,
    quality,
    reach,
    short,
    statuses,
)
from xbp.summary.remarks import units_of

__all__ = [
    "boson_peak",
    "compare",
    "heat_capacity",
    "is_poor_heat_capacity",
    "mend_of_heat_capacity",
]

#: A boson peak does not move by this factor within one set of data: some of the maxima
#: are others.
_FAR_APART = 3.0
#: Full widths over energy: 0.5 to 5 in measured and simulated glasses, 0.2 at the first
#: van Hove singularity of V.
_SHARP = 0.3
_OF_A_LINE = (
    f"it is narrower than {_SHARP} of its energy, a boson peak wider than half of it: "
    "a van Hove singularity, a phonon "
    "of the simulated box or a line rather than a boson peak"
)
#: Parts of all modes below the maximum of g/E²: up to 0.7 % in glasses, 6 % in weakly
#: disordered elastic media, 15 and 24 % in aluminium and vanadium.
_MANY_BELOW = 0.1
#: Per atom and axis there is one mode; fewer by more than this are another amount, or
#: modes that are not excited.
_FEW_MODES = 0.9
#: A curve that misses the lowest tenth of the points, five at least, by more than this
#: part of them (rms), and by more than this many times what neighbours differ by, has
#: not their γT.
_LOWEST, _FEWEST, _AWAY, _TIMES = 10, 5, 0.03, 2.0
_PARAMETERS = ("gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E")
#: A Schottky term over vibrations, two thirds where C/T is lowest, is 2 % of them at
#: twice that temperature.
_BEYOND = 2.0
#: What a fit of the heat capacity means that has no maximum of g/E².
_NO_PEAK: Final = {
    NO_EXCESS: "Debye phonons alone describe these data as well: the Einstein modes "
    "mean nothing; the hump of C/T3 has "
    "to be in T_range, and stand above the noise",
    NO_MAXIMUM: "so broad a Gaussian, sigma_E > theta_E/2.83, has no maximum in g/E2: "
    "end T_range lower, or hold "
    "sigma_E",
    AT_EDGE: "the Debye phonons end below the Einstein modes, and their end is what "
    "is highest: start theta_D higher, "
    "or hold it, fixed={'theta_D': …}, from the sound velocities",
    UNDETERMINED: "the error of the energy is as large as it: hold a parameter, "
    "fixed={…}, or fit a T_range that tells "
    "more",
}


def _energy(table: xr.Dataset, name: str = "energy") -> str:
    """Write an energy with its error, and of a scan what the choices do to it."""
    systematic = {"energy": "systematic", "energy_E": "systematic_E"}[name]
    if systematic not in table or not np.isfinite(float(table[name])):
        return number(table, name)
    value, std = float(table[name]), float(table[f"{name}_std"])
    source = "counting" if "chi2_reduced" in table else "scatter of the points"
    spread = float(table[systematic])
    moved = f" ± {spread:.2g} ({_choices(table)})" if np.isfinite(spread) else ""
    return f"{with_error(value, std)} ({source}){moved}{units_of(table[name])}"


def _choices(table: xr.Dataset) -> str:
    return (
        "choice of range and shape"
        if "method" in table.scan_energy.dims
        else "choice of range"
    )


def _scanned(table: xr.Dataset, ok: str) -> str:
    """Say in how many of the fits of a scan a peak was found; nothing of one fit."""
    return (
        f", {int((table[ok] == OK).sum())} of {table[ok].size} fits"
        if ok in table
        else ""
    )


def boson_peak(table: xr.Dataset) -> str:
    """Say where the boson peak is, or why there is none."""
    what = "maximum of G(E)" if _is_of_g(table) else "boson peak"
    if table.energy.ndim:
        good = table.energy.where(table.status == OK)
        apart = bool(good.notnull().any()) and float(good.max()) > _FAR_APART * float(
            good.min()
        )
        return (
            of_many(table, "energy", "status", "boson peak")
            + _systematics(table)
            + (
                "\n  beware: so far apart they are not one peak: name the energies to "
                "fit, E_range="
                if apart
                else ""
            )
        )
    if str(table.status.values) != OK:
        over = ""
        if "E_low" in table and np.isfinite(float(table.E_low)):
            over = f" ({reach(table, 'E')})"
        elif (
            str(table.status.values) == NO_MAXIMUM
            and "box_phonon" in table.coords
            and table.box_phonon > 0
        ):
            box = table.box_phonon
            over = (
                " above the marked phonon of the box, "
                f"{float(box):.3g}{units_of(box)}, whose own maximum is none"
            )
        return f"no {what}: {table.status.values}{over}" + _of_the_scan(
            table, "scan_status"
        )
    said = f"{what} {_energy(table)}{_scanned(table, 'scan_status')}{quality(table)}"
    return said + _not_one(table) + _of_the_scan(table, "scan_status")


def _is_of_g(table: xr.Dataset) -> bool:
    return table.attrs.get("signal") == "generalized_dos"


def _not_one(table: xr.Dataset) -> str:
    """Warn of a maximum that is no boson peak, or hardly one.

    Of many where most are such.
    """
    good = int((table.status == OK).sum())
    if not good:
        return ""
    if _is_of_g(table):
        return (
            "\n  beware: where g(E) is highest is not the boson peak, which is in "
            "g/E2: .bp.to_bqe() first"
        )
    if table.attrs.get("signal") != "reduced_dos":
        return ""
    said = ""
    if 2 * int((table.width < _SHARP * table.energy).sum()) > good:
        said += f"\n  beware: {_OF_A_LINE}"
    if (
        "modes_below" in table
        and 2 * int((table.modes_below > _MANY_BELOW).sum()) > good
    ):
        said += f"\n  beware: {_of_van_hove(float(table.modes_below.median()))}"
    return said


def _of_van_hove(below: float) -> str:
    return (
        f"{percent(below)} of all modes are below it, of a boson peak some 1 %: a van "
        "Hove singularity, as crystals "
        "have, rather than a boson peak"
    )


def _systematics(table: xr.Dataset) -> str:
    """Say what the choices of a scan do to many energies."""
    if "systematic" not in table or not bool(table.systematic.notnull().any()):
        return ""
    low, high = float(table.systematic.min()), float(table.systematic.max())
    return (
        f"; the {_choices(table)} moves them by {low:.2g} to "
        f"{high:.2g}{units_of(table.energy)}"
    )


def _of_the_scan(table: xr.Dataset, ok: str) -> str:
    """Say what became of the other fits of a scan, and warn of those that found different peaks, or none to compare."""
    if ok not in table:
        return ""
    good, rest = table.scan_energy.where(table[ok] == OK), statuses(table[ok])
    said = f"\n  the other fits: {rest}" if rest and good.count() else ""
    if int(good.count()) < 2:
        n = (
            "one fit alone tells"
            if good.count()
            else f"{good.size} fits without a peak tell"
        )
        return (
            f"{said}\n  beware: {n} no systematic error: name other ranges that "
            "hold the whole peak"
        )
    if not np.isfinite(float(table.energy)):
        return (
            f"{said}\n  beware: only {int(good.count())} of {good.size} fits "
            "found a peak: name the ranges to fit"
        )
    said += _farthest(table, good)
    if float(good.max()) > _FAR_APART * float(good.min()):
        return (
            f"{said}\n  beware: so far apart the fits are not of one peak: name "
            "the ranges to fit"
        )
    return said


def _farthest(table: xr.Dataset, good: xr.DataArray) -> str:
    """Name the fit that is farthest from the energy of the table, which makes most of the spread."""
    away = abs(good - table.energy)
    at = table.isel({dim: int(i) for dim, i in away.argmax(list(away.dims)).items()})
    axis = "E" if "method" in away.dims else "temperature"
    low, high = at[f"scan_{axis}_low"], at[f"scan_{axis}_high"]
    how = f"{at.method.values} over" if "method" in away.dims else "that over"
    held = ", gamma 0," if _is_held(table) and float(at.scan_gamma) == 0 else ","
    chi2 = at.get("scan_chi2_reduced")
    quality = f"rms residual {percent(float(at.scan_relative_residual))}" + (
        "" if chi2 is None else f", reduced chi2 {short(float(chi2))}"
    )
    return (
        f"\n  farthest from it is {how} {float(low):.3g} to "
        f"{float(high):.3g}{units_of(high)}{held} "
        f"{float(at.scan_energy):.3g}{units_of(good)} ({quality})"
    )


def _is_held(table: xr.Dataset) -> bool:
    """Tell whether a scan held γ at 0 in some of its fits because it came out below zero."""
    return (
        "scan_gamma" in table
        and len(set((table.scan_gamma == 0).values.ravel().tolist())) > 1
    )


def heat_capacity(table: xr.Dataset) -> str:
    """Say what a fit of the heat capacity found, and what in it means nothing."""
    if table.status.ndim or str(table.status.values) != OK:
        return fit(table) + _upturn(table)
    said = str(table.peak_status.values)
    peak = (
        f"maximum of g/E2 {_energy(table)}"
        if said == OK
        else f"no boson peak in g/E2: {said}"
    )
    peak += _scanned(table, "scan_peak_status")
    of = table.attrs.get("amount")
    per = f", in all {_modes(table):.3g}" + (
        f" per mole of {of}" if of in ("atoms", "formula units") else ""
    )
    said = (
        f"Einstein modes about {_energy(table, 'energy_E')}, {peak}; gamma "
        f"{number(table, 'gamma')}, "
        f"n_D {number(table, 'n_D')}, n_E {number(table, 'n_E')}{per}{quality(table)}"
    )
    said += _of_the_scan(table, "scan_peak_status")
    if _is_held(table):
        said += (
            "\n  gamma is below zero in the fits that leave it free, so that it "
            "was held at 0 over the same ranges too"
        )
    if 4 * float(table.sigma_E) > float(table.theta_E) and float(table.n_E) > 0:
        said += (
            "\n  beware: so broad a Gaussian reaches E = 0, where g/E2 of the fit, "
            "and C/T3 with it, rises of itself, "
            f"as by a gamma of {_like_gamma(table):.2g}{units_of(table.gamma)}"
        )
    if _modes(table) < _FEW_MODES:
        said += (
            f"\n  beware: {_modes(table):.2g} modes per axis, where each atom has "
            "one: mass, molar mass, atoms per "
            "formula unit or amount may be another, or these temperatures are too low "
            "to see the others"
        )
    if is_poor_heat_capacity(table) and not is_poor(table):
        said += (
            "\n  beware: the curve misses the lowest temperatures by more than they "
            "scatter: gamma, held at 0, may not "
            "be, or begin T_range higher"
        )
    mend = mend_of_heat_capacity(table)
    return said + _upturn(table) + (mend and f"\n  beware: {mend}")


def _like_gamma(table: xr.Dataset) -> float:
    """Return the γ that looks like the tail of the Gaussian.

    Constant g(E) at E = 0 makes C = π² R n_E χ(0) T.
    """
    theta, sigma = float(table.theta_E), float(table.sigma_E)
    tail = np.exp(-(theta**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return float(np.pi**2 * scipy.constants.R * float(table.n_E) * tail)


def _modes(table: xr.Dataset) -> float:
    return float(table.n_D) + float(table.n_E)


def _upturn(table: xr.Dataset) -> str:
    """Say below which temperature the data are of something else than vibrations and conduction electrons."""
    if "upturn" not in table or not bool(table.upturn.notnull().any()):
        return ""
    below = float(table.upturn.max())
    end = (
        float(table.temperature_high.max())
        if "temperature_high" in table
        else float(table.temperature.max())
    )
    return (
        f"\n  beware: C/T rises as T falls below {below:.2g} K, which neither gamma T "
        "nor vibrations do but a Schottky "
        f"or magnetic term: leave it out, T_range=('{_BEYOND * below:.2g} K', "
        f"'{end:.3g} K')"
    )


def is_poor_heat_capacity(table: xr.Dataset) -> bool:
    """Tell whether the curve has not the shape of the data, or of those at low T, where C/T³ shows what γT is left."""
    if is_poor(table):
        return True
    held = float(table["gamma"]) == 0.0 and float(table["gamma_std"]) == 0.0
    if not held or "C" not in table or table["C"].dims != ("temperature",):
        return False
    signal = read(xr.Dataset({"C": table["C"]}), "heat_capacity")
    value, units = (
        signal.value.compute(),
        str(signal.value["temperature"].attrs["units"]),
    )
    kelvin = value["temperature"].values * convert_factor(
        units, "K", name="temperature"
    )
    scale = convert_factor("J/mol/K", str(value.attrs["units"]), name="C")
    left = (
        1
        - debye_einstein(kelvin, **{name: float(table[name]) for name in _PARAMETERS})
        * scale
        / value.values
    )
    lowest = left[: max(_FEWEST, left.size // _LOWEST)]
    lowest = lowest[np.isfinite(lowest)]
    # What neighbours differ by is noise; what they share is not.
    away, noise = np.sqrt(np.mean(lowest**2)), np.std(np.diff(lowest)) / np.sqrt(2)
    return bool(away > _AWAY and away > _TIMES * noise)


def mend_of_heat_capacity(table: xr.Dataset) -> str:
    """Say what a fit without a boson peak means, and what to do.

    Nothing where it has one.
    """
    if str(table.status.values) != OK:
        return mend_of_fit(table)
    said = str(table.peak_status.values)
    if said == UNPHYSICAL:
        if float(table.gamma) + 2 * float(table.gamma_std) < 0:
            tail = _like_gamma(table)
            why = ""
            if 2 * tail > -float(table.gamma):
                why = (
                    ", but takes off what so broad a Gaussian adds, which reaches "
                    f"E = 0: as a gamma of {tail:.2g}"
                )
            return (
                f"gamma below zero is not of a solid{why}; hold it, fixed={{'gamma': "
                "0}, begin T_range higher and end "
                "it lower, and take the fit of the least rms residual: "
                ".bp.scan_heat_capacity() tries six ranges"
            )
        return (
            "many more modes than one per atom and axis are not of a solid: mass, "
            "molar mass, atoms per formula unit "
            "or amount may be another, or the range holds what is no vibration: end "
            "T_range lower"
        )
    return _NO_PEAK.get(said, "")


def compare(table: xr.Dataset) -> str:
    """Say whether the energies of a study are one."""
    n = int(table.n_energies)
    first = f"{n} boson-peak {'energy' if n == 1 else 'energies'}"
    if n < 2:
        first += ", and a comparison needs two"
    else:
        first += f": largest discrepancy {100 * float(table.discrepancy):.3g} %"
    free = int(table.degrees_of_freedom)
    if free > 0:
        first += (
            f", mean {number(table, 'mean_energy')}, chi2 {float(table.chi2):.3g} with "
            f"{free} degree{'s' * (free > 1)} of freedom (p {float(table.p_value):.2g})"
        )
    lines = [first]
    if float(table.p_value) < UNLIKELY:
        lines.append(
            "  beware: these are not one energy within their errors, and the mean is "
            "none of them"
        )
    for i, name in enumerate(table.leaf.values):
        status = str(table.status.values[i])
        left_out = "" if int(table.compared[i]) or status != OK else " (not compared)"
        misfit = (
            f", reduced chi2 {float(table.chi2_reduced[i]):.0f}"
            if float(table.chi2_reduced[i]) > 2
            else ""
        )
        misfit += " (poor fit)" if is_poor(table.isel(leaf=i)) else ""
        said = (
            f"{number(table, 'energy', {'leaf': i})}{misfit}"
            if status == OK
            else status
        )
        lines.append(f"  {name}: {said}{left_out}")
        if status == OK and float(table.width[i]) < _SHARP * float(table.energy[i]):
            lines.append(f"    beware: {_OF_A_LINE}")
        if (
            status == OK
            and "modes_below" in table
            and float(table.modes_below[i]) > _MANY_BELOW
        ):
            lines.append(f"    beware: {_of_van_hove(float(table.modes_below[i]))}")
    return "\n".join(lines + _twice(table) + _of_the_errors(table))


def _twice(table: xr.Dataset) -> list[str]:
    """Tell of leaves that are compared and come from one source."""
    compared = [i for i in range(table.leaf.size) if int(table.compared[i])]
    sources = [str(table.source.values[i]) for i in compared]
    lines = []
    for source in dict.fromkeys(sources):
        leaves = [
            str(table.leaf.values[i])
            for i, own in zip(compared, sources, strict=True)
            if own == source
        ]
        if source and len(leaves) > 1:
            lines.append(
                f"  beware: {', '.join(leaves)} are of one source ({source:.60}): one "
                "measurement counts as "
                f"{len(leaves)} in mean and chi2; among=[...] leaves one out"
            )
    return lines


def _of_the_errors(table: xr.Dataset) -> list[str]:
    """Name the leaves whose error is too small or missing, and say what is to be done."""
    lines, compared = [], table.compared.values.astype(bool)
    fitted = compared & (table.kind.values != "stated")
    names = table.leaf.values[fitted & (table.systematic_std.values == 0)].tolist()
    if names:
        kinds = table.kind.values[table.leaf.isin(names)] == "fit_heat_capacity"
        scans = [
            call
            for call, any_of in (("boson_peak", ~kinds), ("heat_capacity", kinds))
            if any_of.any()
        ]
        call = " or ".join(f".bp.scan_{scan}()" for scan in scans)
        lines.append(
            f"  no systematic error: {', '.join(names)}. Counting alone makes the "
            f"errors too small; {call} "
            f"finds it: pass its table as the leaf, or systematic={{'{names[0]}': "
            "scan.systematic}"
        )
    names = table.leaf.values[compared & ~np.isfinite(table.energy_std.values)].tolist()
    if names:
        lines.append(
            f"  no error: {', '.join(names)}. In the discrepancy, but not in mean and "
            "chi2"
        )
    return lines
