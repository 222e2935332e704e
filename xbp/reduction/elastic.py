"""The elastic line: where it ends, its width, and u² from its fall with Q."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.data import is_lazy, require_common_dims, require_dims, unwrap
from xbp.core.errors import RELATIVE_TO, RangeError
from xbp.core.grid import bin_limits, require_same_grid, select_range
from xbp.core.guards import require_number
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.signal import Signal, over_spectra, read, result_table
from xbp.core.status import Diagnostic, Status, diagnosed
from xbp.core.units import format_unit, parse_unit

__all__ = [
    "debye_waller",
    "elastic_line_bins",
    "elastic_reach",
    "line_profile",
    "width_at_half_maximum",
]


@operation(takes="dynamic_structure_factor", gives="debye_waller", over="QE", step=27)
@carries_common_errors()
def debye_waller(
    data: xr.DataArray | xr.Dataset,
    E_range: Any = None,
    Q_range: Any = None,
    *,
    reference: xr.DataArray | xr.Dataset | None = None,
    most_broadening: float = 1.5,
    least_explained: float = 0.8,
    most_chi2: float = 2.0,
) -> xr.Dataset:
    r"""Measure u² from the elastic line.

    .. math:: \ln S_{el}(Q) = \mathrm{const} - Q^2 u^2, \quad S_{el}(Q) = \int
        S(Q,E)\,dE

    Least squares of S_el(Q), or, if no errors are known, an unweighted straight line
    through ln S_el against Q². This holds for an incoherent scatterer (vanadium,
    hydrogenous samples). Bragg peaks or a structured S(Q), as of most glasses, make it
    meaningless, unless the line of the same sample at a lower temperature is divided
    out (`reference`). So does a quasi-elastic line, as of a liquid, which leaves the
    window as it widens with Q: see the status. Then pass u2 of a frozen sample, or for
    a liquid ``u2="0 angstrom^2"``: it has no elastic line and no Debye-Waller factor.

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
    reference : xarray.DataArray or xarray.Dataset, optional
        S(Q,E) of the same sample at a lower temperature, on the same Q and E. The line
        is divided by its line, so that the static structure, which hardly changes,
        cancels; u2 is then u²(T) − u²(T of the reference), by ``attrs["relative_to"]``
        of u2, and is refused where all of u² is needed.
    most_broadening : float
        Largest ``broadening``. The phonons under the line widen it by a third (vanadium
        to 13 1/angstrom); if atoms diffuse or turn, it widens at least in proportion to
        Q.
    least_explained, most_chi2 : float
        Least ``explained``, or largest ``chi2_reduced`` where errors are known.
        Coherent lines rise and fall by Bragg peaks or S(Q).

    Returns
    -------
    xarray.Dataset
        ``u2`` per axis with ``u2_std`` (in the inverse square of the data's Q unit;
        angstrom² for Q in 1/angstrom), over leftover dimensions; ``elastic_intensity``
        over Q with its std, over that of the `reference`; the Q used, ``Q_low``,
        ``Q_high``, ``n_points``; ``chi2_reduced``; ``explained``, the part of the
        variance of ln S_el that the fit explains; ``broadening``, the width (FWHM) of
        S(E) in the upper half of these Q over that in the lower half of all Q up to
        there with the line; ``status``: "ok", "not a Debye-Waller decay" (beyond these
        limits; u2 is NaN) or "too few points".
        The std is that of counting. Phonons under the line, a line that widens, and
        Bragg peaks show in ``u2_systematic``: half of the range of ``u2_by_window``,
        the u² of the window used, of windows half and twice as wide in E about its
        middle (at least a bin, at most the data), and of the lower and upper half of
        the Q bins used. It does not contain what no window shows, such as multiple
        scattering; for noisy data it contains counting. NaN if no other window has
        other bins and enough of them. The line used is in attrs.

    Raises
    ------
    RangeError
        If the data have no elastic line.
    CoordinateError
        If the reference is on another grid.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    3.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(
    ...     np.linspace(1, 8, 40), np.linspace(-4, 4, 41), u2="0.008 angstrom^2",
    ...     resolution="1 meV")
    >>> round(float(line.bp.debye_waller().u2), 6)
    0.008
    >>> cold = xbp.models.elastic_line(line.Q, line.E, u2="0.002 angstrom^2",
    ...     resolution="1 meV")
    >>> round(float(line.bp.debye_waller(reference=cold).u2), 6)
    0.006
    """
    signal = read(data, "dynamic_structure_factor")
    limits = {
        "most_broadening": most_broadening,
        "least_explained": least_explained,
        "most_chi2": most_chi2,
    }
    limits = {name: require_number(x, name, least=0) for name, x in limits.items()}
    # Larger numbers have overflowed, or their squares would.
    value, std = signal.both(lambda part: part.where(abs(part) < 1e150))
    std = None if std is None else std_along(std, "E")
    require_dims(
        value,
        ("Q", "E"),
        "the elastic line over Q",
        fix="pass S(Q,E) before it was cut",
    )
    E, Q = value["E"].values, xr.DataArray(value["Q"].values, dims="Q")
    window = select_range(signal.source, "E", E_range, name="E_range")
    if E_range is None:
        found = elastic_line_bins(E, line_profile(signal))
        assert found is not None
        window = (found[1] <= np.arange(E.size)) & (np.arange(E.size) <= found[2])
    lower, upper = bin_limits(signal.source, "E")
    in_Q = select_range(signal.source, "Q", Q_range, name="Q_range")
    first, last = lower[window][0], upper[window][-1]
    windows = _windows(lower, upper, window)
    lines = [
        _integral(value, std, upper - lower, chosen, xr.DataArray(in_Q, dims="Q"))
        for chosen in windows.values()
    ]
    if reference is not None:
        other = read(reference, "dynamic_structure_factor")
        require_common_dims(other.value, value, "the reference")
        require_same_grid(value, other.value, ("Q", "E"))
        cold_std = None if other.std is None else std_along(other.std, "E")
        # Its temperature is not that of the data.
        cold, *errors = (
            part.reset_coords(drop=True)
            for part in (other.value, cold_std)
            if part is not None
        )
        theirs = [
            _integral(
                cold,
                errors[0] if errors else None,
                upper - lower,
                chosen,
                xr.DataArray(in_Q, dims="Q"),
            )
            for chosen in windows.values()
        ]
        lines = [_quotient(*both) for both in zip(lines, theirs, strict=True)]
    intensity, intensity_std, usable = lines[0]
    above = usable.cumsum("Q") > usable.sum("Q") // 2
    lines += [(intensity, intensity_std, usable & side) for side in (~above, above)]
    fits = [
        over_spectra(
            _fit_line, part.where(kept), part_std, Q**2, core=("Q",),
            gives=[("_out",)], sizes={"_out": 5},
        )
        for part, part_std, kept in lines
    ]  # fmt: skip
    u2, u2_std, chi2, explained, count = (
        fits[0].isel(_out=i, drop=True) for i in range(5)
    )
    names = [*windows, "lower half of Q", "upper half of Q"]
    by_window = xr.concat(
        [fit.isel(_out=0, drop=True) for fit in fits], xr.Variable("window", names)
    )
    # Windows with the same bins, as of a line of one bin, do not count as a choice.
    bins = [chosen.tobytes() for chosen in windows.values()]
    new = [one not in bins[:i] for i, one in enumerate(bins)]
    tried = by_window.notnull() & xr.DataArray([*new, True, True], dims="window")
    systematic = (by_window.max("window") - by_window.min("window")) / 2
    systematic = systematic.where(tried.sum("window") > 1)
    # A line that widened below Q_range does not widen much more within it.
    end = Q.size - 1 - usable.isel(Q=slice(None, None, -1)).argmax("Q")
    seen = (intensity > 0) & (xr.DataArray(np.arange(Q.size), dims="Q") <= end)
    broadening = over_spectra(
        _broadening, value, usable, seen, xr.DataArray(E, dims="E"), core=("Q", "E")
    )
    # Without errors χ² has no meaning.
    straight = explained >= limits["least_explained"]
    if intensity_std is not None:
        straight = straight | (chi2 < limits["most_chi2"])
    wide = broadening > limits["most_broadening"]
    ok = straight & ~wide & (u2 > 0)
    status = xr.full_like(u2, Status.OK, dtype="<U24").where(ok, Status.NOT_A_DECAY)
    status = status.where(count >= 3, Status.TOO_FEW)
    q_units, e_units = (str(value[dim].attrs["units"]) for dim in ("Q", "E"))
    units = format_unit(parse_unit(q_units, like="1/angstrom") ** -2)
    area = format_unit(parse_unit(signal.units) * parse_unit(e_units))
    area = area if reference is None else "1"
    relative = "" if reference is None else " above that of the reference"
    variables = {
        "u2": (u2.where(ok), units, f"u2 per axis{relative}"),
        "u2_std": (u2_std.where(ok), units, "standard deviation"),
        "u2_systematic": (systematic.where(ok), units, "error of u2 by the window"),
        "u2_by_window": (by_window.where(ok), units, "u2 of each window"),
        "explained": (explained, "1", "explained variance of ln S_el"),
        "broadening": (broadening, "1", "width at high over low Q"),
        "n_points": (count, "1", "bins of Q used"),
        "elastic_intensity": (intensity, area, "integrated elastic line"),
        "Q_low": (Q.where(usable).min("Q"), q_units, "lowest Q fitted"),
        "Q_high": (Q.where(usable).max("Q"), q_units, "highest Q fitted"),
        "status": (status, "", "status of u2"),
    }
    if intensity_std is not None:
        variables |= {
            "elastic_intensity_std": (intensity_std, area, "standard deviation"),
            "chi2_reduced": (chi2, "1", "reduced chi-squared"),
        }
    used = f"{first:.10g} to {last:.10g} {e_units}"
    answer: xr.Dataset = result_table(
        signal, variables, quantity="debye_waller", operation="debye_waller",
        arguments={"E_range": used, "Q_range": Q_range}, attrs={"elastic_line": used},
    )  # fmt: skip
    plain = unwrap(answer)[0]
    if reference is not None:
        for name in ("u2", "u2_by_window"):
            answer[name].attrs[RELATIVE_TO] = _named(other.value)
    answer.attrs |= diagnosed(
        answer.attrs, *_of_the_decay(plain, limits["most_broadening"])
    )
    return answer


def _named(reference: xr.DataArray) -> str:
    """Return what a reference is called, with its temperature if it has one."""
    at = reference.coords.get("temperature")
    if at is None or at.ndim or "units" not in at.attrs:
        return "the reference"
    return f"the reference at {float(at):g} {at.units}"


def _windows(
    lower: np.ndarray, upper: np.ndarray, window: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the bins of the elastic line, and those half and twice as far in E."""
    first, last = lower[window][0], upper[window][-1]
    half = (last - first) / 2
    away = np.abs((lower + upper) / 2 - (first + last) / 2)
    return {
        "as used": window,
        "half as wide in E": (away <= half / 2) | (away <= away.min() * (1 + 1e-9)),
        "twice as wide in E": away <= 2 * half,
    }


def _of_the_decay(table: xr.Dataset, most_broadening: float) -> Iterator[Diagnostic]:
    """Say why an elastic line does not decay as exp(−Q²u²), or not surely."""
    status = table["status"]
    if status.ndim or is_lazy(status):
        return
    if str(status.values) == Status.OK:
        u2, error = float(table["u2"]), float(table["u2_systematic"])
        if error >= u2:
            yield Diagnostic(
                "u2_of_window",
                "warning",
                f"u2 = {u2:.2g} changes by {error:.2g} with the energy window",
                "try another E_range or Q_range; u2_by_window lists u2 of each window",
            )
        return
    wider = float(table["broadening"])
    if wider > most_broadening:
        yield Diagnostic(
            "quasi_elastic",
            "warning",
            f"the line is {wider:.2g} times as wide at high Q as at low Q: "
            "quasi-elastic scattering",
            "pass u2=, or u2='0 angstrom^2' for a liquid",
        )
    elif str(status.values) == Status.NOT_A_DECAY:
        yield Diagnostic(
            "coherent_elastic",
            "warning",
            "the elastic line follows S(Q) or Bragg peaks, not exp(−Q²u²)",
            "pass u2=, a colder measurement as reference=, or a Q_range of level S(Q)",
        )


def _integral(
    value: xr.DataArray,
    std: xr.DataArray | None,
    widths: np.ndarray,
    window: np.ndarray,
    in_Q: xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray | None, xr.DataArray]:
    """Return S integrated over a window of E, its std, and at which Q it is usable."""
    wide = xr.DataArray(widths[window], dims="E")
    intensity = (value.isel(E=window) * wide).sum("E", skipna=False)
    usable = (intensity > 0) & in_Q
    if std is None:
        return intensity, None, usable
    intensity_std = ((std.isel(E=window) * wide) ** 2).sum("E", skipna=False) ** 0.5
    return intensity, intensity_std, usable & (intensity_std > 0)


def _quotient(
    line: tuple[xr.DataArray, xr.DataArray | None, xr.DataArray],
    other: tuple[xr.DataArray, xr.DataArray | None, xr.DataArray],
) -> tuple[xr.DataArray, xr.DataArray | None, xr.DataArray]:
    """Return one integrated line over another, as `_integral` returns them."""
    ratio, usable = line[0] / other[0], line[2] & other[2]
    parts = [(std / one) ** 2 for one, std, _ in (line, other) if std is not None]
    return ratio, ratio * sum(parts) ** 0.5 if parts else None, usable


def _broadening(
    S: np.ndarray, usable: np.ndarray, seen: np.ndarray, E: np.ndarray
) -> float:
    """Return the width of the line in the upper half of the used Q over the lower."""
    used, rows = np.flatnonzero(usable), np.flatnonzero(seen)
    widths = []
    for half in (rows[: rows.size // 2], used[used.size // 2 :]):
        known = np.isfinite(S[half])
        with np.errstate(divide="ignore", invalid="ignore"):
            profile = np.where(known, S[half], 0.0).sum(axis=0) / known.sum(axis=0)
        widths.append(width_at_half_maximum(E, profile))
    return widths[1] / widths[0] if widths[0] > 0 else float("nan")


def _counted(noise: np.ndarray, std: np.ndarray) -> float:
    """Return how far σ² follows the noise: 1 if σ is that of a count, 0 of its mean.

    Differences of neighbours, in which the decay over Q hardly shows, are compared.
    """
    u, v = np.diff(np.log(noise)), np.diff(np.log(std**2))
    return float(np.clip(np.nan_to_num((u @ v) / (u @ u)), 0.0, 1.0))


@np.errstate(all="ignore")  # what overflows is not a line
def _fit_line(intensity: np.ndarray, std: np.ndarray, q2: np.ndarray) -> np.ndarray:
    """Return u², its std, χ²_red, explained part of the variance, number of points."""
    ok = np.isfinite(intensity)
    n = int(ok.sum())
    lost = np.array([np.nan, np.nan, np.nan, np.nan, n])
    if n < 3:
        return lost
    x, found, known = q2[ok], intensity[ok], std.ndim > 0
    y, w = np.log(found), found / std[ok] if known else np.ones(n)
    # Least squares of S_el itself, by Gauss and Newton from the line through ln S_el,
    # whose logarithm and weights noise would bias.
    for _ in range(10 if known else 1):
        x_mean, y_mean = ((w**2 @ part) / (w**2).sum() for part in (x, y))
        slope = (w**2 @ ((x - x_mean) * (y - y_mean))) / (w**2 @ (x - x_mean) ** 2)
        line = y_mean + slope * (x - x_mean)
        left, total = float(w**2 @ (y - line) ** 2), float(w**2 @ (y - y_mean) ** 2)
        inverse = w**2 @ (x - x_mean) ** 2
        if known:
            fit = np.exp(line)
            y = line + (found - fit) / fit
            w = fit * (found / fit) ** (_counted(found / fit, std[ok]) / 2) / std[ok]
    chi2, explained = left / (n - 2), 1 - left / total if total > 0 else 0.0
    # Unweighted, χ² is the variance of the points.
    variance = (1.0 if known else chi2) / inverse
    answer = np.array([-slope, np.sqrt(variance), chi2, explained, n])
    return answer if np.isfinite(answer).all() else lost


def line_profile(signal: Signal) -> np.ndarray:
    """Return S(E), the mean over all else, of data with an elastic line.

    Raises
    ------
    RangeError
        If they have none.
    """
    value = signal.value
    others = [d for d in value.dims if d != "E"]
    # The square of a larger number, and with it every variance, overflows.
    profile: np.ndarray = value.where(abs(value) < 1e150).mean(others).values
    lower, upper = bin_limits(signal.source, "E")
    at_zero = ((lower <= 0) & (upper >= 0)).any()
    if not at_zero or elastic_line_bins(value["E"].values, profile) is None:
        raise RangeError(
            "the data have no elastic line: E ranges from "
            f"{lower[0]:g} to {upper[-1]:g} {value['E'].attrs['units']}"
            f"{', and at E = 0 no value is below 1e150' if at_zero else ''}",
            fix="pass S(Q,E) with E = 0, or E_range=",
        )
    return profile


def elastic_line_bins(
    E: np.ndarray, profile: np.ndarray
) -> tuple[int, int, int] | None:
    """Find the top of the line at or near E = 0, and the bins above half its height.

    Parameters
    ----------
    E, profile : numpy.ndarray, shape (n,)
        Ascending energies, and the intensity there; NaN if unknown.

    Returns
    -------
    top, first, last : int, or None
        None if nothing is known at E = 0, or the data do not reach it.

    Examples
    --------
    >>> elastic_line_bins(np.arange(-3.0, 4.0), np.array([0.1, 0.2, 0.9, 1.5, 2.0, 1.1,
    ...     0.3]))
    (4, 3, 5)
    """
    top = int(np.argmin(np.abs(E)))
    step = E[min(top + 1, E.size - 1)] - E[max(top - 1, 0)]
    if not np.isfinite(profile[top]) or abs(E[top]) > step:
        return None
    # The measured line may be off zero by a bin: climb to the top first.
    while top + 1 < E.size and profile[top + 1] > profile[top]:
        top += 1
    while top > 0 and profile[top - 1] > profile[top]:
        top -= 1
    above = profile >= profile[top] / 2
    first = last = top
    while first > 0 and above[first - 1]:
        first -= 1
    while last + 1 < E.size and above[last + 1]:
        last += 1
    return top, first, last


def width_at_half_maximum(E: np.ndarray, profile: np.ndarray) -> float:
    """Return the full width of the line about E = 0 between interpolated half heights.

    If the data end before, it is the width up to their end; NaN without a line.

    Examples
    --------
    >>> E = np.arange(-3.0, 3.1, 0.25)
    >>> round(width_at_half_maximum(E, np.maximum(1 - abs(E) / 2, 0)), 6)
    2.0
    """
    found = elastic_line_bins(E, profile)
    if found is None or not profile[found[0]] > 0:
        return float("nan")
    half = profile[found[0]] / 2

    def crossing(inside: int, outside: int) -> float:
        if not 0 <= outside < E.size or not np.isfinite(profile[outside]):
            return float(E[inside])
        t = (profile[inside] - half) / (profile[inside] - profile[outside])
        return float(E[inside] + t * (E[outside] - E[inside]))

    _, first, last = found
    return crossing(last, last + 1) - crossing(first, first - 1)


def elastic_reach(E: np.ndarray, profile: np.ndarray, widths: float = 2.0) -> float:
    """Return |E| beyond which the elastic line has ended: some widths from its centre.

    0 without one, as if it was masked. Data that begin at E = 0 show half the
    line, and the other half is taken as equal.

    Examples
    --------
    >>> E = np.arange(-3.0, 3.1, 0.25)
    >>> round(elastic_reach(E, np.maximum(1 - abs(E) / 0.5, 0)), 6)
    1.0
    """
    found = elastic_line_bins(E, profile)
    width = width_at_half_maximum(E, profile) * (2 if E[0] >= 0 else 1)
    if found is None or not np.isfinite(width):
        return 0.0
    return abs(float(E[found[0]])) + widths * width
