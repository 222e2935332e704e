"""The elastic line: where it ends, its mask, and the zero of E."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits
from xbp.core.guards import require_dims, require_finite, require_positive
from xbp.core.operation import operation
from xbp.core.pint_data import Data, unwrap
from xbp.core.schema import require_same_grid
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude, split_quantity

__all__ = [
    "elastic_line_bins",
    "elastic_reach",
    "line_profile",
    "mask_elastic",
    "shift_E",
    "width_at_half_maximum",
]


@operation(takes="signal", over="E", step=25, suggested="dynamic_structure_factor")
@carries_common_errors(linear=True)
def mask_elastic(
    data: Data, resolution: Any, widths: float = 2.0, *, centre: Any = 0.0
) -> Data:
    """Mask the elastic line: bins within some resolution widths of it become NaN.

    Every bin that overlaps −widths·FWHM < E − centre < widths·FWHM is masked. Nothing
    is put in its place: no later step of xbp extends the spectrum into the mask, least
    of all by a power law where a boson peak is sought. 1.9 % of a Gaussian line is
    further than one FWHM from its centre, both sides together, and 2 in 10⁶ further
    than two; real lines have wings.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    resolution : scalar with units, or DataArray
        Full width at half maximum (FWHM) of the line (bare: the unit of E); an array
        over E, Q, detectors or any other dimension of the data, on its grid.
    widths : float
        Number of FWHM to each side.
    centre : scalar with units, or DataArray, optional
        Position of the line, if not at 0 (bare: the unit of E); an array as for the
        resolution. `fit_elastic_line` gives both: ``data.bp.mask_elastic(line.fwhm,
        centre=line.energy)``.

    Returns
    -------
    same type as `data`
        With NaN in the mask, in the values and their standard deviations.

    Raises
    ------
    QuantityError
        If the resolution or the centre is over a dimension that the data do not have,
        or NaN somewhere, or the resolution or `widths` is not positive.
    RangeError
        If nothing would be masked, or nothing left.
    UnitsError
        If the resolution or the centre is not an energy.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0),
    ...     u2="0.01 angstrom^2", resolution="0.9 meV")
    >>> line.S.bp.mask_elastic("0.9 meV", widths=1).dropna("E").E.values
    array([-3., -2.,  2.,  3.])
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "the elastic line", fix="mask it before the cut")
    units = value["E"].attrs["units"]
    fwhm = _energies(value, resolution, "resolution")
    if not (fwhm > 0).all():
        raise QuantityError(f"resolution={resolution!r} must be positive")
    half = fwhm * require_positive(widths, "widths", error=QuantityError)
    at = _energies(value, centre, "centre")
    low, high = bin_limits(signal.source, "E")
    lower, upper = (xr.Variable("E", limit) - at for limit in (low, high))
    # An edge that equals that of the mask but for rounding does not overlap it.
    slack = 1e-9 * float((upper - lower).min())
    masked = (lower < half - slack) & (upper > slack - half)
    if masked.all() or not masked.any():
        raise RangeError(
            f"the mask, to {float(half.max()):g} {units} from {_written(at)} {units}, "
            f"covers {'everything' if masked.all() else 'nothing'}; the bins are from "
            f"{low[0]:g} to {high[-1]:g} {units}",
            fix="check the resolution and its units; leave this out if there is no "
            "elastic line",
        )

    def mask(part: xr.DataArray) -> xr.DataArray:
        kept: Any = part.variable.where(~masked)  # type: ignore[no-untyped-call]
        return part.copy(data=kept.transpose(*part.dims).data)

    answer: Data = signal.answer(
        mask(value),
        None if signal.std is None else mask(signal.std),
        operation="mask_elastic",
        arguments={
            "resolution": f"{_written(fwhm)} {units} FWHM",
            "widths": widths,
            "centre": f"{_written(at)} {units}",
        },
    )
    return answer


def _energies(value: xr.DataArray, given: Any, name: str) -> xr.Variable:
    """Return an energy in the unit of E, or one for each bin of some dimensions."""
    units = value["E"].attrs["units"]
    if isinstance(given, xr.DataArray):
        given = unwrap(given)[0]
    number, own = split_quantity(given, name)
    if not (isinstance(number, xr.DataArray) and number.ndim):
        return xr.Variable((), magnitude(given, units, name=name, energy=True))
    if not set(number.dims) <= set(value.dims):
        raise QuantityError(
            f"the {name} is over {number.dims}, the data over {tuple(value.dims)}",
            fix=f"{name}='1.2 meV', or a DataArray over E, Q or detectors",
        )
    require_same_grid(value, number, number.dims)
    if number.dtype.kind == "f" and (unknown := int(number.isnull().sum())):
        raise QuantityError(
            f"the {name} is NaN in {unknown} of {number.size} places, as where a line "
            "was not fitted",
            fix="pass one for all, as of .bp.fit_elastic_line(Q_range=...), or that of "
            f"the nearest, {name}.interpolate_na('{number.dims[-1]}', "
            "method='nearest', fill_value='extrapolate')",
        )
    energies = require_finite(number.values, f"the {name}")
    factor = convert_factor(own or units, units, name=name, energy=True)
    return xr.Variable(number.dims, energies * factor)


def _written(energy: xr.Variable) -> str:
    """Write an energy, or the lowest and highest of several."""
    low, high = f"{float(energy.min()):.10g}", f"{float(energy.max()):.10g}"
    return f"{low}...{high}" if energy.ndim else low


@operation(takes="signal")
@carries_common_errors(linear=True)
def shift_E(data: Data, by: Any) -> Data:
    """Move E = 0: subtract one energy from E and the bounds of its bins.

    For measured spectra whose elastic line is not at 0, before anything is derived from
    them. Values stay in their bins. Q, which depends on E too, stays as well, as do
    factors such as kᵢ/k_f: shift spectra at angles before `angle_to_Q` if the shift is
    not small beside the incident energy.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), S(E), or spectra at angles, as measured.
    by : scalar with units
        What is subtracted from E, such as the energy of `fit_elastic_line` (bare: the
        unit of E).

    Returns
    -------
    same type as `data`
        With E and its bounds moved; companions on the old E are left out.

    Raises
    ------
    QuantityError
        If the data are derived, as G and B are, or were folded or corrected with E = 0
        where it was (they have ``attrs["energy_zero"]``); or `by` is one for each Q: a
        grid has one E.
    UnitsError
        If `by` is not an energy.
    RangeError
        If it is outside the data.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0),
    ...     u2="0.01 angstrom^2", resolution="2 meV")
    >>> line.bp.shift_E("0.5 meV").E.values
    array([-3.5, -2.5, -1.5, -0.5,  0.5,  1.5,  2.5])
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "a shift of E", fix="shift before E is cut or integrated")
    measured = signal.quantity.name in ("dynamic_structure_factor", "detector_spectra")
    zero = value.attrs.get("energy_zero", "used to derive it")
    if not measured or "energy_zero" in value.attrs:
        raise QuantityError(
            f"E = 0 of '{value.name}', a {signal.quantity.name}, was {zero}",
            fix="shift E of S(Q,E) as measured, data.bp.shift_E(...), then reduce it "
            "again",
        )
    E = value["E"]
    units = E.attrs["units"]
    if (shape := getattr(split_quantity(by, "by")[0], "shape", ())) not in ((), (1,)):
        raise QuantityError(
            f"by has the shape {shape}, but a grid has one E",
            fix="by=line.energy, with line = data.bp.fit_elastic_line(Q_range=...), "
            "which averages over Q",
        )
    distance = magnitude(by, units, name="by", energy=True)
    lower, upper = bin_limits(signal.source, "E")
    if not lower[0] <= distance <= upper[-1]:
        raise RangeError(
            f"by={distance:g} {units} is outside the data, which reach from "
            f"{lower[0]:g} to {upper[-1]:g} {units}",
            fix="check its units: the elastic line is a fraction of its width from 0",
        )
    moved = {"E": ("E", E.values - distance, E.attrs)}
    edges = np.stack([lower, upper], axis=-1) - distance
    answer: Data = signal.answer(
        value.assign_coords(moved),
        None if signal.std is None else signal.std.assign_coords(moved),
        operation="shift_E",
        arguments={"by": f"{distance:.10g} {units}"},
        bounds={"E": xr.Variable(("E", "bnds"), edges)},
    )
    return answer


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
            "the data have no elastic line: E reaches from "
            f"{lower[0]:g} to {upper[-1]:g} {value['E'].attrs['units']}"
            f"{', and nothing below 1e150 is known at E = 0' if at_zero else ''}",
            fix="pass S(Q,E) with E = 0, or name the line by E_range=",
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

    If the data end before, it is the width up to their end; NaN if there is no line.

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

    0 if there is none, as if it was masked. Data that begin at E = 0 show half the
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
