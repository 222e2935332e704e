"""How the energy of a boson peak depends on the fit range and the line shape.

Its systematic error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.boson_peak import SIGNALS, fit_peaks
from xbp.analysis.checks import EDGE_WIDTH, FILTER_END
from xbp.analysis.doubts import add_heat_capacity_doubts, add_peak_doubts
from xbp.analysis.heat_capacity import fit_heat_capacity
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import unwrap
from xbp.core.errors import QuantityError
from xbp.core.grid import interval, is_pair
from xbp.core.guards import choose, require_number
from xbp.core.operation import operation
from xbp.core.signal import extend_history, read
from xbp.core.status import POOR_CHI2, POOR_RESIDUAL, Status
from xbp.fitting.shapes import SHAPES, Method
from xbp.reduction.heat_capacity import in_kelvin, kelvins

__all__ = ["scan_boson_peak", "scan_heat_capacity"]

#: How far the ranges reach that are tried where none are given, over that which
#: `boson_peak` finds, in ln E.
_REACHES = {"automatic": 1.0, "narrower": 0.7, "wider": 1.4}
#: Columns about each fit, beside its energies and its range.
_QUALITY = ("status", "relative_residual", "chi2_reduced")
#: The same of temperatures: upper ends over the highest, lower ends over the lowest.
_UPPER, _LOWER = (1.0, 0.5, 0.25), (1.0, 2.0)
#: Of these default ranges (`T_ranges` sets others) only those are fitted whose ends
#: differ by more than this factor: less of a hump does not fix a model.
_NARROWEST = 2.0


@operation(
    takes=SIGNALS,
    gives="boson_peak",
    over="E",
    step=13,
    suggested="reduced_dos",
)
@carries_common_errors()
def scan_boson_peak(
    data: xr.DataArray | xr.Dataset,
    E_ranges: Sequence[Any] | None = None,
    methods: Sequence[Method] = ("lognormal", "quadratic", "gaussian"),
    *,
    sq: xr.DataArray | xr.Dataset | None = None,
    edge_width: float = EDGE_WIDTH,
    filter_end: Any = FILTER_END,
    least: float = 0.5,
) -> xr.Dataset:
    r"""Fit the boson peak over several ranges with several shapes.

    .. math:: \Delta_\mathrm{syst} = (E_\max - E_\min)/2

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        As for `boson_peak`, with any dimensions besides E.
    E_ranges : sequence of pairs of scalars with units, optional
        Ranges to fit, the one preferred first; None is the one that `boson_peak` finds.
        By default that, 0.7 and 1.4 times as wide in ln E about its middle; of a
        parabola, which is of the top alone, and of a Gaussian, whose range holds its
        background, the automatic one again in place of the wider.
    methods : sequence of {"lognormal", "quadratic", "gaussian"}
        Shapes to fit, the one preferred first.
    sq, edge_width, filter_end
        As for `boson_peak`.
    least : float
        Part of the fits, from 0 to 1, that must be ok. Of a spectrum with fewer the
        status is "undetermined" and all numbers are NaN, though what the single fits
        found remains in ``scan_energy``.

    Returns
    -------
    xarray.Dataset
        The table of `boson_peak` of the first of these fits that is ok, in the order of
        `methods` and then of `E_ranges` (of several spectra: ok in any of them; without
        `E_ranges` the first that is not a poor fit, with a reduced chi-squared above 10
        or an rms residual above 5 %, if there is one). Beside it ``systematic``, half
        the difference of the largest and the smallest energy of all fits that are ok,
        NaN where these are fewer than two; and over ``method`` and ``range``
        ``scan_energy`` with its std, ``scan_status``, ``scan_E_low``, ``scan_E_high``,
        ``scan_relative_residual`` and, where the data have errors,
        ``scan_chi2_reduced``, which tell a good fit from a poor one. `new_study` takes
        it as a leaf, and `compare` its systematic error. A Gaussian is the one above
        its straight background, whose centre is another energy where that is steep:
        leave it out of `methods` for data without a background.

    Raises
    ------
    QuantityError
        If a method is not known, there are no methods or ranges, or `least` is not a
        number from 0 to 1.
    RangeError
        If a range contains no data, or the data have no dimension E.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.models.dynamic_structure_factor([3, 4, 5, 6], range(1, 20), energy=5.5,
    ...     width=6, T=300, u2=0.01)
    >>> cut = S.bp.to_bqe().bp.cut_Q((3, 6))
    >>> scan = cut.bp.scan_boson_peak([(2, 12), (3, 9)], ["lognormal", "quadratic"])
    >>> round(float(scan.energy), 2), round(float(scan.systematic), 2)
    (5.5, 0.0)
    """
    plain, rewrap = unwrap(data)
    least = require_number(least, "least", least=0, most=1, error=QuantityError)
    shapes = _several(methods, "methods", ", ".join(map(repr, SHAPES)))
    ranges: dict[str, tuple[Any, float]]
    if E_ranges is None:
        ranges = {name: (None, reach) for name, reach in _REACHES.items()}
    else:
        given = _several(E_ranges, "E_ranges", "('2 meV', '10 meV')")
        _require_once(given, plain, "E", "E_ranges")
        ranges = {_told(limits): (limits, 1.0) for limits in given}
    tables = []
    for method in shapes:
        own = SHAPES[choose(method, SHAPES, "method")].widest
        fits: dict[Any, xr.Dataset] = {}
        row = []
        for name, (limits, widest) in ranges.items():
            reach = min(widest, own)
            # Of a shape that is not fitted more widely two found ranges are one.
            key = reach if limits is None else name
            if key not in fits:
                fits[key] = fit_peaks(
                    plain,
                    method,
                    limits,
                    reach,
                    sq=sq,
                    edge_width=edge_width,
                    filter_end=filter_end,
                ).compute()
            row.append(fits[key])
        tables.append(row)
    best = _preferred(
        [table for row in tables for table in row],
        ("status",),
        skip_poor=E_ranges is None,
    )
    axes = {
        "method": xr.Variable("method", shapes, {"long_name": "shape that was fitted"}),
        "range": xr.Variable("range", list(ranges), {"long_name": "energies fitted"}),
    }
    columns = {}
    for name in ("energy", "energy_std", "E_low", "E_high", *_QUALITY):
        if name not in best:
            continue  # χ², without errors
        rows = [
            xr.concat([table[name] for table in row], axes["range"]) for row in tables
        ]
        columns[f"scan_{name}"] = xr.concat(rows, axes["method"])
    columns["systematic"] = _half_spread(
        columns["scan_energy"], columns["scan_status"] == Status.OK
    )
    best, columns["systematic"] = _undetermined(
        best, columns["systematic"], columns["scan_status"], least
    )
    said: dict[str, Any] = {
        "methods": shapes,
        "E_ranges": None if E_ranges is None else list(ranges),
    }
    said |= {} if least == 0.5 else {"least": least}
    table = _assembled(best, columns, plain, "scan_boson_peak", said, rewrap)
    return add_peak_doubts(table)


@operation(
    takes="heat_capacity",
    gives="fit_heat_capacity",
    step=19,
    when=lambda C: "mol" in str(C.attrs.get("units")),
)
@carries_common_errors()
def scan_heat_capacity(
    data: xr.DataArray | xr.Dataset,
    T_ranges: Sequence[Any] | None = None,
    *,
    start: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    r"""Fit a heat capacity over several ranges of temperature.

    .. math:: \Delta_\mathrm{syst} = (E_\max - E_\min)/2

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        As for `fit_heat_capacity`.
    T_ranges : sequence of pairs of scalars with units, optional
        Ranges to fit, the one preferred first; None is all temperatures. By default all
        six that begin at the lowest temperature or twice that, and end at the highest,
        a half or a quarter of that.
    start, fixed, bounds : mapping of str to scalar, or pair, with units, optional
        As for `fit_heat_capacity`. Unless γ is given, if no fit finds a peak
        but some a γ below zero, all ranges are fitted with γ = 0 too.

    Returns
    -------
    xarray.Dataset
        The table of `fit_heat_capacity` of the first of these ranges whose
        ``peak_status`` is ok (or else ``status``); without `T_ranges` the first that is
        no poor fit too, of a reduced chi-squared up to 10 or an rms residual up to 5 %,
        if there is one. Beside it ``systematic`` and ``systematic_E``, half the
        difference of the largest and the smallest ``energy`` and ``energy_E`` of the
        fits whose ``peak_status`` is ok (of the latter "no maximum" too: so broad a
        Gaussian has a mean still), NaN where these are fewer than two; and over
        ``range`` ``scan_energy``, ``scan_energy_E`` and ``scan_gamma`` with stds,
        ``scan_status``, ``scan_peak_status``, ``scan_temperature_low``,
        ``scan_temperature_high``, ``scan_relative_residual`` and, where the data have
        errors, ``scan_chi2_reduced``, which tell a good fit from a poor one. Ranges
        fitted with γ = 0 because it was below zero are called "…, gamma 0". `new_study`
        takes it as a leaf, and `compare` its systematic error.

    Raises
    ------
    XbpError
        As `fit_heat_capacity`, or if there are no ranges.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> C = xbp.models.evaluate(
    ...     "debye_einstein", np.geomspace(2, 300, 80), gamma=0, n_D=0.8, theta_D=260,
    ...     n_E=0.2, theta_E=72, sigma_E=15)
    >>> scan = C.bp.scan_heat_capacity([(2, 300), (2, 60)], fixed={"gamma": 0})
    >>> round(float(scan.energy), 2), round(float(scan.systematic), 2)
    (5.61, 0.0)
    """
    plain, rewrap = unwrap(data)
    plain = in_kelvin(plain)
    ranges: dict[str, Any]
    if T_ranges is None:
        T = kelvins(read(plain, "heat_capacity").value)
        low, high = float(T.min()), float(T.max())
        # Of a measurement of few kelvin not all of them hold anything.
        ends = [
            (a * low, b * high)
            for a in _LOWER
            for b in _UPPER
            if _NARROWEST * a * low < b * high
        ]
        ranges = {
            f"{start:.3g} K to {end:.3g} K": (f"{start!r} K", f"{end!r} K")
            for start, end in ends or [(low, high)]
        }
    else:
        given = _several(T_ranges, "T_ranges", "('2 K', '100 K')")
        _require_once(given, plain, "temperature", "T_ranges")
        ranges = {_told(limits): limits for limits in given}
    tables = {
        name: fit_heat_capacity(
            plain, limits, start=start, fixed=fixed, bounds=bounds
        ).compute()
        for name, limits in ranges.items()
    }
    held = not any(
        "gamma" in (said or {}) for said in (start, fixed, bounds)
    ) and _below_zero(tables.values())
    if held:
        tables |= {
            f"{name}, gamma 0": fit_heat_capacity(
                plain,
                limits,
                start=start,
                fixed={**(fixed or {}), "gamma": 0},
                bounds=bounds,
            ).compute()
            for name, limits in ranges.items()
        }
    best = _preferred(
        list(tables.values()), ("peak_status", "status"), skip_poor=T_ranges is None
    )
    axis = xr.Variable("range", list(tables), {"long_name": "temperatures fitted"})
    columns = {
        f"scan_{name}": xr.concat([table[name] for table in tables.values()], axis)
        for name in (
            "energy", "energy_std", "energy_E", "energy_E_std", "gamma", "gamma_std",
            "peak_status", "temperature_low", "temperature_high", *_QUALITY,
        )
        if name in best
    }  # fmt: skip
    peak = columns["scan_peak_status"]
    columns["systematic"] = _half_spread(columns["scan_energy"], peak == Status.OK)
    columns["systematic_E"] = _half_spread(
        columns["scan_energy_E"], peak.isin([Status.OK, Status.NO_MAXIMUM])
    )
    said: dict[str, Any] = {
        "T_ranges": None if T_ranges is None else list(ranges),
        "start": start, "fixed": fixed, "bounds": bounds,
    }  # fmt: skip
    if held:
        said["gamma"] = "free, then held at 0: it came out below zero, without a peak"
    table = _assembled(best, columns, plain, "scan_heat_capacity", said, rewrap)
    return add_heat_capacity_doubts(table)


def _below_zero(tables: Iterable[xr.Dataset]) -> bool:
    """Return whether no fit has a peak and some γ is below zero beyond its error."""
    every = list(tables)
    found = any(bool((table["peak_status"] == Status.OK).any()) for table in every)
    return not found and any(
        bool((table["gamma"] + 2 * table["gamma_std"] < 0).any()) for table in every
    )


def _preferred(
    tables: Sequence[xr.Dataset], keys: Sequence[str], *, skip_poor: bool
) -> xr.Dataset:
    """Return the first table that is ok, by the first key that any is.

    If asked for, of those that fit if any does.
    """
    for key in keys:
        good = [table for table in tables if bool((table[key] == Status.OK).any())]
        if good:
            return (
                next((table for table in good if not _is_poor(table)), good[0])
                if skip_poor
                else good[0]
            )
    return tables[0]


def _is_poor(table: xr.Dataset) -> bool:
    """Return whether most of the fits of a table are poor."""
    if "chi2_reduced" in table:
        return float(table["chi2_reduced"].median()) > POOR_CHI2
    return float(table["relative_residual"].median()) > POOR_RESIDUAL


def _several(given: Any, name: str, example: str) -> list[Any]:
    """Return the choices to try, of which there is at least one."""
    one = isinstance(given, str) or (
        is_pair(given) and not any(is_pair(end) or end is None for end in given)
    )
    if one and name != "methods":
        raise QuantityError(
            f"{name}={given} must be a list of ranges",
            fix=f"{name}=[{example}, ...]",
        )
    choices = (
        [given]
        if isinstance(given, str)
        else list(given)
        if isinstance(given, Iterable) and getattr(given, "ndim", 1) > 0
        else []
    )
    if not choices or (
        name == "methods" and len(set(map(str, choices))) < len(choices)
    ):
        raise QuantityError(
            f"{name}={given!r} must be a list of different choices",
            fix=f"{name}=[{example}]",
        )
    return choices


def _require_once(
    ranges: Sequence[Any], data: xr.DataArray | xr.Dataset, dim: str, name: str
) -> None:
    """Refuse a range that is given twice, in whatever units.

    Its fits agree, and say nothing of the choice.
    """
    source = read(data).source
    ends = [
        None if limits is None else interval(limits, source, dim, name=name)
        for limits in ranges
    ]
    for i, this in enumerate(ends):
        for other in ends[:i]:
            if this == other or (
                this and other and np.allclose(this, other, rtol=1e-9, atol=0)
            ):
                raise QuantityError(
                    f"{name} contains {_told(ranges[i])} twice",
                    fix="leave one out",
                )


def _told(limits: Any) -> str:
    """Write a range as a label."""
    return (
        "automatic"
        if limits is None
        else " to ".join(map(_plainly, limits))
        if is_pair(limits)
        else str(limits)
    )


def _plainly(end: Any) -> str:
    return (
        f"{end.item()} {end.attrs.get('units', '')}".strip()
        if isinstance(end, xr.DataArray)
        else str(end)
    )


def _half_spread(energy: xr.DataArray, ok: xr.DataArray) -> xr.DataArray:
    """Return half the spread over all choices, NaN for fewer than two."""
    good = energy.where(ok)
    over = [dim for dim in ("method", "range") if dim in good.dims]
    spread = (good.max(over) - good.min(over)) / 2
    return spread.where(good.count(over) > 1)


def _undetermined(
    best: xr.Dataset, systematic: xr.DataArray, status: xr.DataArray, least: float
) -> tuple[xr.Dataset, xr.DataArray]:
    """Take the numbers of spectra away in which less than a part of the fits is ok."""
    over = ("method", "range")
    n_fits = status.sizes["method"] * status.sizes["range"]
    enough = ((status == Status.OK).sum(over) >= least * n_fits).reset_coords(drop=True)
    refused = (best["status"] == Status.OK).reset_coords(drop=True) & ~enough
    if not bool(refused.any()):
        return best, systematic
    kept = ("status", "E_low", "E_high", "n_points")
    found = {
        str(name): column.where(~refused)
        for name, column in best.data_vars.items()
        if name not in kept
    }
    width = max(
        best["status"].astype(str).str.len().max().item(), len(Status.UNDETERMINED)
    )
    found["status"] = (
        best["status"].astype(f"<U{width}").where(~refused, Status.UNDETERMINED)
    )
    return best.assign(found), systematic.where(~refused)


def _assembled(
    best: xr.Dataset, columns: Mapping[str, xr.DataArray], plain: Any,
    operation: str, said: Mapping[str, Any], rewrap: Any,
) -> xr.Dataset:  # fmt: skip
    """Return the table of the preferred fit, with the columns of the scan."""
    labels = {
        "systematic": "half the spread of energy over the choices",
        "systematic_E": "half the spread of energy_E over the choices",
    }
    for name, column in columns.items():
        of = name.removeprefix("scan_")
        units = best[
            {"systematic": "energy", "systematic_E": "energy_E"}.get(name, of)
        ].attrs.get("units")
        column.attrs = {
            "long_name": labels.get(name)
            or f"{best[of].attrs.get('long_name', of)}, of each choice"
        }
        column.attrs |= {"units": units} if units else {}
        if f"{name}_std" in columns:
            column.attrs["ancillary_variables"] = f"{name}_std"
    # Each choice keeps the axes of its own fit: only what they share stands beside the
    # table.
    table = best.assign(
        {name: column.reset_coords(drop=True) for name, column in columns.items()}
    )
    table.attrs["history"] = extend_history(
        read(plain).value.attrs.get("history"), operation, said
    )
    answer: xr.Dataset = rewrap(table)
    return answer
