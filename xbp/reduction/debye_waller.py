"""Mean-square displacement from the fall of the elastic line with Q."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.signal import Signal, read, result_table
from xbp.core.status import NOT_A_DECAY, OK, TOO_FEW
from xbp.core.units import format_unit, parse_unit
from xbp.reduction.elastic import (
    MOST,
    elastic_line_bins,
    line_profile,
    width_at_half_maximum,
)

__all__ = ["MOST_BROADENING", "debye_waller"]

# A coherent elastic line rises and falls by Bragg peaks or S(Q). It is told from a
# Debye-Waller decay by the part of the variance of ln S_el that the straight line
# leaves, where that is more than counting statistics explain.
_MIN_EXPLAINED = 0.8

#: The resolution does not know Q, and the phonons under the line make it wider by a
#: third (vanadium to 13 1/angstrom); where atoms diffuse or turn it is quasi-elastic,
#: and as much wider as Q is larger or more.
MOST_BROADENING = 1.5

#: Windows that u2_systematic compares: the one used, that of half and of twice the
#: width in E, each half of the Q bins.
_WINDOWS = (
    "as used",
    "half as wide in E",
    "twice as wide in E",
    "lower half of Q",
    "upper half of Q",
)


@operation(takes="dynamic_structure_factor", gives="debye_waller", over="QE", step=27)
@carries_common_errors()
def debye_waller(
    data: xr.DataArray | xr.Dataset, E_range: Any = None, Q_range: Any = None
) -> xr.Dataset:
    r"""Measure u² from the elastic line.

    .. math:: \ln S_{el}(Q) = \mathrm{const} - Q^2 u^2, \quad S_{el}(Q) = \int
    S(Q,E)\,dE

    Weighted straight line through ln S_el against Q². This holds for an incoherent
    scatterer (vanadium, hydrogenous samples); Bragg peaks or a structured S(Q) make it
    meaningless, and so does a quasi-elastic line, as of a liquid, which leaves the
    window as it widens with Q. The status says so. There, give u2 of a frozen sample,
    or of a liquid ``u2="0 angstrom^2"``: it has no elastic line and no Debye-Waller
    factor.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) over Q and E; NaN where not measured.
    E_range : pair of scalars with units, optional
        The elastic line; by default the contiguous bins around E = 0 where the
        Q-averaged S is at least half its maximum. The inelastic intensity under it
        grows with Q² and lowers u².
    Q_range : pair of scalars with units, optional
        Momentum transfers to use; by default all where the whole line was measured.

    Returns
    -------
    xarray.Dataset
        ``u2`` per axis with ``u2_std`` (in the inverse square of the data's Q unit;
        angstrom² for Q in 1/angstrom), over leftover dimensions; ``elastic_intensity``
        over Q with its std; the Q used, ``Q_low``, ``Q_high``, ``n_points``;
        ``chi2_reduced``; ``explained``, the part of the variance of ln S_el that the
        line explains; ``broadening``, how many times as wide (FWHM) S(E) is in the
        upper half of these Q as in the lower half of all that hold the line up to
        there; ``status``: "ok", "not a Debye-Waller decay" (``explained`` is below 0.8
        and χ², where known, above 2, or the line more than 1.5 times as wide; u2 is
        NaN) or "too few points". The std is that of counting. Phonons under the line, a
        line that widens, and Bragg peaks are in ``u2_systematic``: half of the range of
        ``u2_by_window``, the u² of the window used, of that half and twice as wide in E
        about its middle (at least a bin, at most the data), and of the lower and upper
        half of the Q bins used. What no choice of window shows, such as multiple
        scattering, is not in it; of noisy data counting is, since the halves know u²
        less well. NaN where no other window holds other bins and enough of them. The
        line used is in attrs.

    Raises
    ------
    RangeError
        If there is no elastic line in the data.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    3.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(
    ...     np.linspace(1, 8, 40), np.linspace(-4, 4, 41), u2="0.008 angstrom^2", resolution="1 meV")
    >>> round(float(line.bp.debye_waller().u2), 6)
    0.008
    """
    signal = read(data, "dynamic_structure_factor")
    # A bin that overflowed holds no number, nor does one whose square would.
    value = signal.value.where(abs(signal.value) < MOST)
    # Both the sums over E and the line through them are over what was independent.
    std = (
        None
        if signal.std is None
        else std_along(signal.std.where(signal.std < MOST), "E")
    )
    if "Q" not in value.dims or "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}",
            reason="the elastic line is followed over Q and integrated over E",
            fix="pass S(Q,E) before it was cut",
        )
    window = (
        select_range(signal.source, "E", E_range, name="E_range")
        if E_range is not None
        else _elastic_bins(signal)
    )
    lower, upper = bin_limits(signal.source, "E")
    in_Q = xr.DataArray(
        select_range(signal.source, "Q", Q_range, name="Q_range"), dims="Q"
    )
    windows = _windows(window, lower, upper)
    integrals = [
        _integral(value, std, upper - lower, chosen, in_Q) for chosen in windows
    ]
    intensity, intensity_std, usable = integrals[0]
    above = usable.cumsum("Q") > usable.sum("Q") // 2
    fits = [
        _line_through(part.where(kept), part_std, value["Q"])
        for (part, part_std, _), kept in zip(
            [*integrals, integrals[0], integrals[0]],
            [*(kept for _, _, kept in integrals), usable & ~above, usable & above],
            strict=True,
        )
    ]
    u2, u2_std, chi2, explained, count = (
        fits[0].isel(_out=i, drop=True) for i in range(5)
    )
    by_window = xr.concat(
        [fit.isel(_out=0, drop=True) for fit in fits],
        xr.Variable("window", list(_WINDOWS)),
    )
    # Windows that hold the same bins, as of a line of one bin, are one choice, and one
    # choice tells nothing of others.
    systematic = (by_window.max("window") - by_window.min("window")) / 2
    new = [
        not any(np.array_equal(chosen, before) for before in windows[:i])
        for i, chosen in enumerate(windows)
    ]
    tried = by_window.notnull() & xr.DataArray([*new, True, True], dims="window")
    systematic = systematic.where(tried.sum("window") > 1)
    broadening = xr.apply_ufunc(
        _broadening,
        value,
        usable,
        # A line that widened below Q_range does not widen much more within it.
        (intensity > 0)
        & (xr.DataArray(np.arange(value.sizes["Q"]), dims="Q") <= _last(usable)),
        xr.DataArray(value["E"].values, dims="E"),
        input_core_dims=[["Q", "E"], ["Q"], ["Q"], ["E"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    # Without errors χ² is no measure of anything.
    straight = (explained >= _MIN_EXPLAINED) | (
        chi2 < 2 if intensity_std is not None else False
    )
    decays = straight & ~(broadening > MOST_BROADENING)
    ok = decays & (u2 > 0)
    status = (
        xr.full_like(u2, OK, dtype="<U24")
        .where(ok, NOT_A_DECAY)
        .where(count >= 3, TOO_FEW)
    )
    q_units, q_used = (
        value["Q"].attrs["units"],
        xr.DataArray(value["Q"].values, dims="Q"),
    )
    units = format_unit(parse_unit(q_units, like="1/angstrom") ** -2)
    e_units = value["E"].attrs["units"]
    intensity_units = format_unit(parse_unit(signal.units) * parse_unit(e_units))
    variables = {
        "u2": (u2.where(ok), units, "mean-square displacement per axis"),
        "u2_std": (u2_std.where(ok), units, "standard deviation of u2"),
        "u2_systematic": (
            systematic.where(ok),
            units,
            "half of what the choice of the window changes u2 by",
        ),
        "u2_by_window": (
            by_window.where(ok),
            units,
            "mean-square displacement per axis of each window",
        ),
        "explained": (
            explained,
            "1",
            "part of the variance of ln S_el explained by the line",
        ),
        "broadening": (
            broadening,
            "1",
            "width of the line in the upper half of Q over that in the lower half of "
            "all",
        ),
        "n_points": (count, "1", "number of Q bins used"),
        "elastic_intensity": (intensity, intensity_units, "integrated elastic line"),
        "Q_low": (q_used.where(usable).min("Q"), q_units, "lowest Q fitted"),
        "Q_high": (q_used.where(usable).max("Q"), q_units, "highest Q fitted"),
        "status": (status, "", "whether u2 can be used"),
    }
    if intensity_std is not None:
        variables["elastic_intensity_std"] = (
            intensity_std,
            intensity_units,
            "standard deviation",
        )
        variables["chi2_reduced"] = (
            chi2,
            "1",
            "reduced chi-squared of the straight line",
        )
    used = f"{lower[window][0]:.10g} to {upper[window][-1]:.10g} {e_units}"
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="debye_waller",
        operation="debye_waller",
        arguments={"E_range": used, "Q_range": Q_range},
        attrs={"elastic_line": used},
    )
    return answer


def _windows(
    window: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> list[np.ndarray]:
    """Return a window of E, and those of half and twice its width about its middle, as far as bins tell them apart."""
    centre, half = (
        (lower[window][0] + upper[window][-1]) / 2,
        (upper[window][-1] - lower[window][0]) / 2,
    )
    away = np.abs((lower + upper) / 2 - centre)
    nearest = away <= away.min() * (1 + 1e-9)
    return [window, (away <= half / 2) | nearest, away <= 2 * half]


def _integral(
    value: xr.DataArray,
    std: xr.DataArray | None,
    widths: np.ndarray,
    window: np.ndarray,
    in_Q: xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray | None, xr.DataArray]:
    """Return S integrated over a window of E, its std, and at which Q both can be used."""
    wide = xr.DataArray(widths[window], dims="E")
    intensity = (value.isel(E=window) * wide).sum("E", skipna=False)
    usable = (intensity > 0) & in_Q
    if std is None:
        return intensity, None, usable
    intensity_std = ((std.isel(E=window) * wide) ** 2).sum("E", skipna=False) ** 0.5
    return intensity, intensity_std, usable & (intensity_std > 0)


def _line_through(
    intensity: xr.DataArray, std: xr.DataArray | None, Q: xr.DataArray
) -> xr.DataArray:
    """Return what `_fit_line` says of every intensity over Q, along ``_out``."""
    fit: xr.DataArray = xr.apply_ufunc(
        _fit_line,
        intensity,
        np.nan if std is None else std,
        xr.DataArray(Q.values**2, dims="Q"),
        input_core_dims=[["Q"], [] if std is None else ["Q"], ["Q"]],
        output_core_dims=[["_out"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"_out": 5}, "allow_rechunk": True},
    )
    return fit


def _elastic_bins(signal: Signal) -> np.ndarray:
    """Find the contiguous bins around the elastic line where the Q-averaged S is above half maximum."""
    profile = line_profile(signal)
    found = elastic_line_bins(signal.value["E"].values, profile)
    assert found is not None
    mask = np.zeros(profile.size, dtype=bool)
    mask[found[1] : found[2] + 1] = True
    return mask


def _last(usable: xr.DataArray) -> xr.DataArray:
    """Return the place of the last Q bin that is used."""
    return usable.sizes["Q"] - 1 - usable.isel(Q=slice(None, None, -1)).argmax("Q")


def _broadening(
    S: np.ndarray, usable: np.ndarray, seen: np.ndarray, E: np.ndarray
) -> float:
    """Return the width of the line in the upper half of the Q bins that are used over that in the lower half of all."""
    used, rows = np.flatnonzero(usable), np.flatnonzero(seen)
    widths = []
    for half in (rows[: rows.size // 2], used[used.size // 2 :]):
        known = np.isfinite(S[half])
        with np.errstate(divide="ignore", invalid="ignore"):
            profile = np.where(known, S[half], 0.0).sum(axis=0) / known.sum(axis=0)
        widths.append(width_at_half_maximum(E, profile))
    return widths[1] / widths[0] if widths[0] > 0 else float("nan")


@np.errstate(all="ignore")  # what overflows is no line
def _fit_line(intensity: np.ndarray, std: np.ndarray, q2: np.ndarray) -> np.ndarray:
    """Return u², its std, χ²_red, explained part of the variance, number of points."""
    ok = np.isfinite(intensity)
    n = int(ok.sum())
    if n < 3:
        return np.array([np.nan, np.nan, np.nan, np.nan, n])
    x, y = q2[ok], np.log(intensity[ok])
    known = std.ndim > 0
    w = intensity[ok] / std[ok] if known else np.ones(n)
    # About the weighted means, where slope and offset are independent.
    x, y = x - (w**2 @ x) / (w**2).sum(), y - (w**2 @ y) / (w**2).sum()
    slope = (w**2 @ (x * y)) / (w**2 @ x**2)
    left, total = float(w**2 @ (y - slope * x) ** 2), float(w**2 @ y**2)
    chi2, explained = left / (n - 2), 1 - left / total if total > 0 else 0.0
    # Unit weights know no scale of their own: there χ² is the variance of the points.
    variance = (1.0 if known else chi2) / (w**2 @ x**2)
    answer = np.array([-slope, np.sqrt(variance), chi2, explained, n])
    return (
        answer
        if np.isfinite(answer).all()
        else np.array([np.nan, np.nan, np.nan, np.nan, n])
    )
