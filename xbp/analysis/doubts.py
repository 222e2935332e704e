"""Diagnostics of boson peaks and fitted heat capacities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import scipy
import xarray as xr

from xbp.analysis.sides import EDGES
from xbp.core.data import is_lazy, unwrap
from xbp.core.numbers import percent
from xbp.core.signal import read
from xbp.core.status import Diagnostic, Status, diagnosed, is_poor
from xbp.core.units import convert_factor
from xbp.models.debye_einstein import debye_einstein

__all__ = [
    "add_heat_capacity_doubts",
    "add_peak_doubts",
    "name_edges",
    "shape_in_errors",
]

#: Why a fit of the heat capacity has no boson peak, and what to do.
_NO_PEAK: Final[dict[str, tuple[str, str]]] = {
    Status.NO_EXCESS: (
        "Debye phonons alone describe these data as well",
        "use a T_range that contains the hump of C/T^3",
    ),
    Status.NO_MAXIMUM: (
        "g/E^2 has no maximum for sigma_E > theta_E/2.83",
        "lower the end of T_range, or fixed={'sigma_E': …}",
    ),
    Status.AT_EDGE: (
        "the maximum of g/E^2 is the Debye cutoff, not a boson peak",
        "pass a larger start={'theta_D': …}, or fixed={'theta_D': …}",
    ),
    Status.UNDETERMINED: (
        "the error of the energy is as large as the energy",
        "pass fixed={…}, or another T_range",
    ),
    Status.UNPHYSICAL: (
        "gamma is negative, or there are too many modes",
        "fixed={'gamma': 0}; check mass, molar mass, atoms and amount; "
        "scan_heat_capacity()",
    ),
}


def add_peak_doubts(table: xr.Dataset) -> xr.Dataset:
    """Record in a table of boson peaks what makes them doubtful, and return it."""
    return _recorded(table, _of_peaks)


def _recorded(
    table: xr.Dataset, doubts: Callable[[xr.Dataset], Iterator[Diagnostic]]
) -> xr.Dataset:
    plain = unwrap(table)[0]
    if any(is_lazy(plain.variables[name]) for name in plain.data_vars):
        return table
    table.attrs |= diagnosed(table.attrs, *doubts(plain))
    return table


def _of_peaks(table: xr.Dataset) -> Iterator[Diagnostic]:
    yield from _of_a_scan(table, "scan_status")
    columns = table.variables
    ok = columns["status"].values == Status.OK
    if not ok.any():
        return
    energy, signal = columns["energy"].values[ok], table.attrs.get("signal")
    if signal == "generalized_dos":
        yield Diagnostic(
            "maximum_of_g",
            "warning",
            "the maximum of G(Q,E) is not the boson peak, which is in G/E^2",
            "apply .bp.to_bqe() first",
        )
    if energy.max() > 3 * energy.min():
        yield Diagnostic(
            "peaks_far_apart",
            "warning",
            f"the energies, {energy.min():.3g} to {energy.max():.3g}"
            f"{_units(columns['energy'])}, are too far apart to be one peak",
            "pass E_range= around one peak",
        )
    if signal != "reduced_dos":
        return
    # Width over energy: 0.5 to 5 in glasses, 0.2 at the first van Hove singularity of
    # vanadium.
    if np.median(columns["width"].values[ok] / energy) < 0.3:
        yield Diagnostic(
            "narrow_peak",
            "warning",
            "the width is below 0.3 of the energy (boson peaks: above 0.5): a van Hove "
            "singularity, or a phonon of the box?",
        )
    # Up to 0.7 % in glasses; 15 and 24 % in aluminium and vanadium.
    part = (
        columns["modes_below"].values[ok] if "modes_below" in columns else np.empty(0)
    )
    part = part[np.isfinite(part)]
    if part.size and np.median(part) > 0.1:
        yield Diagnostic(
            "many_modes_below",
            "warning",
            f"{percent(float(np.median(part)))} of all modes are below the peak (boson "
            "peaks: about 1 %): a van Hove singularity?",
        )


def shape_in_errors(
    status: xr.DataArray, off: np.ndarray, std: xr.DataArray, method: str
) -> list[Diagnostic]:
    """Say that the points may have another shape, if most of an error is due to this.

    Parameters
    ----------
    status, std : xarray.DataArray
        Of boson peaks, and the standard deviations of their energies.
    off : numpy.ndarray
        How far the maximum of the points may be from that of the curve.
    method : str
        The shape.
    """
    if is_lazy(status):
        return []
    most = (status.values == Status.OK) & (off**2 > 0.9 * std.values**2)
    if not most.any():
        return []
    many = f" in {most.sum()} of {status.size} spectra" if status.ndim else ""
    text = (
        f"energy_std is mostly due to how the points differ from a {method} curve"
        f"{many} (up to {np.abs(off[most]).max():.2g}{_units(std.variable)})"
    )
    fix = "try another E_range= or method=; scan_boson_peak() tries several"
    return [Diagnostic("shape_in_errors", "info", text, fix)]


def name_edges(
    status: xr.DataArray,
    edges: np.ndarray,
    value: xr.DataArray,
    *,
    chosen: bool,
    what: str = "the values are largest",
    fix: str = "use an E_range with both sides of a maximum; the data may have none",
) -> list[Diagnostic]:
    """Name the edges of the maxima whose status is "maximum at edge".

    Parameters
    ----------
    status : xarray.DataArray
        Of maxima; none are named of one that dask has not computed.
    edges : numpy.ndarray, shape (..., 2)
        Answer of `edges_of`.
    value : xarray.DataArray
        What was fitted.
    chosen : bool
        Whether the range was given.
    what, fix : str
        What is at these edges, and what to do about it.
    """
    if is_lazy(status) or not (at_edge := status.values == Status.AT_EDGE).any():
        return []
    found = Counter(map(tuple, edges[at_edge].tolist()))
    units = _units(value["E"].variable)
    parts = []
    for (number, at), count in found.most_common(3):
        name = EDGES[int(number)]
        name = name.replace("the fitted range", "E_range") if chosen else name
        many = f"{count} of {status.size} spectra " if status.size > 1 else ""
        parts.append(f"{many}at {name}, {at:.3g}{units}")
    text = "; ".join(parts) + "; …" * (len(found) > 3)
    below = [
        f"{label} is {float(value[name]):.3g} {value[name].attrs['units']}"
        for name, label in _LOWEST.items()
        if name in value.coords and not value[name].ndim and float(value[name]) > 0
    ]
    beside = f" ({', '.join(below)})" if below and "beginning" in text else ""
    where = "at an edge: " if status.size > 1 else ""
    text = f"{what} {where}{text}{beside}"
    return [Diagnostic("maximum_at_edge", "info", text, fix)]


#: What limits the energies of simulated data from below.
_LOWEST: Final = {
    "box_phonon": "the first phonon of the box",
    "resolution_fwhm": "the resolution",
}


def _of_a_scan(table: xr.Dataset, status: str) -> Iterator[Diagnostic]:
    """Doubt a systematic error from too few fits, or from several peaks."""
    if status not in table:
        return
    ok = table.variables[status].values == Status.OK
    energy = table.variables["scan_energy"]
    good = energy.values[ok & np.isfinite(energy.values)]
    if good.size < 2:
        yield Diagnostic(
            "no_systematic_error",
            "warning",
            f"{good.size} of {ok.size} fits found a peak: systematic error unknown",
            "use ranges that contain the whole peak",
        )
    elif good.max() > 3 * good.min():
        yield Diagnostic(
            "scan_far_apart",
            "warning",
            f"the fits found energies from {good.min():.3g} to {good.max():.3g}"
            f"{_units(energy)}, too far apart to be one peak",
            "pass ranges around one peak",
        )


def add_heat_capacity_doubts(table: xr.Dataset) -> xr.Dataset:
    """Record in a fit of the heat capacity what makes it doubtful, and return it."""
    return _recorded(table, _of_heat_capacity)


def _of_heat_capacity(table: xr.Dataset) -> Iterator[Diagnostic]:
    if "upturn" in table and bool(table["upturn"].notnull().any()):
        below = float(table["upturn"].max())
        yield Diagnostic(
            "upturn",
            "warning",
            f"C/T rises below {below:.2g} K; a Schottky term is not in the model",
            # A Schottky term, two thirds of C/T where it is lowest, is 2 % at twice T.
            f"start T_range at {2 * below:.2g} K",
        )
    if table["status"].ndim:
        return
    ok = str(table["status"].values) == Status.OK
    peak = str(table["peak_status"].values)
    if (found := _NO_PEAK.get(peak)) and (ok or peak == Status.NO_EXCESS):
        yield Diagnostic("no_boson_peak", "warning", *found)
    if not ok:
        return
    theta, sigma = float(table["theta_E"]), float(table["sigma_E"])
    if 4 * sigma > theta and float(table["n_E"]) > 0:
        # Constant g(E) at E = 0 makes C = π² R n_E χ(0) T.
        tail = np.exp(-(theta**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
        gamma = np.pi**2 * scipy.constants.R * float(table["n_E"]) * tail
        yield Diagnostic(
            "broad_gaussian",
            "warning",
            f"the Gaussian extends to E = 0, like a gamma of {gamma:.2g} J/mol/K^2",
            "lower the end of T_range",
        )
    modes = float(table["n_D"]) + float(table["n_E"])
    if modes < 0.9:
        yield Diagnostic(
            "few_modes",
            "warning",
            f"the fit has {modes:.2g} modes per atom and axis, not one",
            "check mass, molar mass, atoms and amount, or fit higher temperatures",
        )
    if not is_poor(table) and _misses_low_temperatures(table):
        yield Diagnostic(
            "poor_fit",
            "warning",
            "the curve misses the lowest temperatures: gamma may not be 0",
            "raise the start of T_range",
        )
    yield from _of_a_scan(table, "scan_peak_status")


def _misses_low_temperatures(table: xr.Dataset) -> bool:
    """Whether the curve misses the lowest tenth of the points (five at least).

    That is by more than 3 % rms, and by more than twice what neighbours differ by.
    """
    held = float(table["gamma"]) == 0.0 and float(table["gamma_std"]) == 0.0
    if not held or "C" not in table or table["C"].dims != ("temperature",):
        return False
    value = read(xr.Dataset({"C": table["C"]}), "heat_capacity").value
    axis = value["temperature"]
    kelvin = axis.values * convert_factor(axis.attrs["units"], "K", name="temperature")
    scale = convert_factor("J/mol/K", str(value.attrs["units"]), name="C")
    names = ("gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E")
    model = debye_einstein(kelvin, **{name: float(table[name]) for name in names})
    left = 1 - model * scale / value.values
    lowest = left[: max(5, left.size // 10)]
    lowest = lowest[np.isfinite(lowest)]
    away, noise = np.sqrt(np.mean(lowest**2)), np.std(np.diff(lowest)) / np.sqrt(2)
    return bool(away > 0.03 and away > 2 * noise)


def _units(variable: xr.Variable) -> str:
    units = str(variable.attrs.get("units", "1"))
    return "" if units == "1" else f" {units}"
