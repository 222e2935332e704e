"""The elastic line: how far it reaches, and masked by the resolution, never filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits
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

#: How many widths (FWHM) from its centre an elastic line is taken to end.
REACH = 2.0
#: Beyond this the square of a number overflows, and with it every variance.
MOST = 1e150


@operation(takes="signal", over="E", step=25, suggested="dynamic_structure_factor")
@carries_common_errors(linear=True)
def mask_elastic(
    data: Data, resolution: Any, widths: float = 2.0, *, centre: Any = 0.0
) -> Data:
    """Mask the elastic line.

    Bins within a number of resolution widths of E = 0 become NaN.

    Every bin that reaches into −widths·FWHM < E − centre < widths·FWHM is masked.
    Nothing is put in its place: no later step of xbp extends the spectrum into the
    mask, least of all by a power law where a boson peak is sought. Of a Gaussian line
    1.9 % lies beyond one FWHM from its centre on both sides together, and 2 in 10⁶
    beyond two; real lines have wings.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    resolution : scalar with units, or DataArray
        Full width at half maximum (FWHM) of the line (bare: the unit of E); an array
        over E, Q, detectors or any other dimension of the data, on its grid.
    widths : float
        How many FWHM to each side.
    centre : scalar with units, or DataArray, optional
        Where the line stands, if not at 0 (bare: the unit of E); an array as for the
        resolution. `fit_elastic_line` gives both: ``data.bp.mask_elastic(line.fwhm,
        centre=line.energy)``.

    Returns
    -------
    same type as `data`
        With NaN in the mask, in the values and their standard deviations.

    Raises
    ------
    QuantityError
        If the resolution or the centre is over a dimension that the data have not, or
        NaN somewhere, or the resolution is not positive.
    RangeError
        If nothing would be masked, or nothing left.
    UnitsError
        If the resolution or the centre is no energy.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0), u2="0.01 angstrom^2", resolution="0.9 meV")
    >>> line.S.bp.mask_elastic("0.9 meV", widths=1).dropna("E").E.values
    array([-3., -2.,  2.,  3.])
    """
    signal = read(data)
    value = signal.value
    if "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="the elastic line is a range of E",
            fix="mask before the cut",
        )
    units = value["E"].attrs["units"]
    fwhm = _of_bins(value, resolution, "resolution")
    half = fwhm * magnitude(widths, "1", name="widths")
    if not (np.isfinite(half.values) & (half.values > 0)).all():
        raise QuantityError(
            f"resolution={resolution!r} and widths={widths!r} are not all positive",
            reason="the mask would be upside down, or nowhere",
            fix="resolution='1.2 meV', widths=2",
        )
    at = _of_bins(value, centre, "centre")
    low, high = bin_limits(signal.source, "E")
    lower, upper = (xr.Variable("E", limit) - at for limit in (low, high))
    # An edge that is the mask's own but for rounding does not reach into it.
    slack = 1e-9 * float((upper - lower).min())
    masked = (lower < half - slack) & (upper > slack - half)
    if masked.all() or not masked.any():
        raise RangeError(
            f"the mask, to {float(half.max()):g} {units} from {_written(at)} {units}, "
            "covers "
            f"{'everything' if masked.all() else 'nothing'}",
            reason=f"the bins reach from {low[0]:g} to {high[-1]:g} {units}",
            fix="look at the resolution and its units; leave this step out where "
            "there is no elastic line",
        )

    def mask(part: xr.DataArray) -> xr.DataArray:
        return part.copy(data=part.variable.where(~masked).transpose(*part.dims).data)  # type: ignore[no-untyped-call]

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


def _of_bins(value: xr.DataArray, given: Any, name: str) -> xr.Variable:
    """Return an energy in the unit of E.

    One, or one for each bin of some dimensions of the data.
    """
    units = value["E"].attrs["units"]
    if isinstance(given, xr.DataArray):
        given = unwrap(given)[0]
    number, own = split_quantity(given, name)
    if not (isinstance(number, xr.DataArray) and number.ndim):
        return xr.Variable((), magnitude(given, units, name=name, energy=True))
    if not set(number.dims) <= set(value.dims) or number.dtype.kind not in "fiu":
        raise QuantityError(
            f"the {name} is an array over {number.dims} of type {number.dtype}",
            reason="it is an energy for each bin of the data, which have the "
            f"dimensions {tuple(value.dims)}",
            fix=f"{name}='1.2 meV', or a DataArray over E, Q or detectors",
        )
    require_same_grid(value, number, number.dims)
    if not np.isfinite(number.values).all():
        raise QuantityError(
            f"the {name} is NaN in {int(np.isnan(number.values).sum())} of "
            f"{number.size} places",
            reason="what was not found, as where a line was not fitted, can be no "
            "limit of a mask",
            fix="give one for all, as of .bp.fit_elastic_line(Q_range=...), or that "
            "of the nearest, "
            f"{name}.interpolate_na('{number.dims[-1]}', method='nearest', "
            "fill_value='extrapolate')",
        )
    return number.variable * convert_factor(own or units, units, name=name, energy=True)


def _written(energy: xr.Variable) -> str:
    """Write an energy, or from which to which they go."""
    low, high = f"{float(energy.min()):.10g}", f"{float(energy.max()):.10g}"
    return f"{low}...{high}" if energy.ndim else low


@operation(takes="signal")
@carries_common_errors(linear=True)
def shift_E(data: Data, by: Any) -> Data:
    """Move E = 0: every energy, and the bounds of its bin, less one and the same.

    For measured spectra whose elastic line does not stand at 0, before anything is
    derived from them. Numbers stay in their bins. Q, which rests on E too, stays as
    well, as do factors such as kᵢ/k_f: move spectra at angles before `angle_to_Q` where
    the shift is not small beside the incident energy.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), S(E), or spectra at angles, as measured.
    by : scalar with units
        What is taken off E, such as the energy of `fit_elastic_line` (bare: the unit of
        E).

    Returns
    -------
    same type as `data`
        With E and its bounds moved; companions on the old E are left out.

    Raises
    ------
    QuantityError
        If the data are derived, as G and B are, or were folded or corrected, which took
        E = 0 for what it said; or `by` is one for each Q: a grid has one E.
    UnitsError
        If `by` is no energy.
    RangeError
        If it is beyond the data.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0), u2="0.01 angstrom^2", resolution="2 meV")
    >>> line.bp.shift_E("0.5 meV").E.values
    array([-3.5, -2.5, -1.5, -0.5,  0.5,  1.5,  2.5])
    """
    signal = read(data)
    value = signal.value
    if "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="E is what moves",
            fix="move it before E is cut or integrated over",
        )
    if signal.quantity.name not in ("dynamic_structure_factor", "detector_spectra"):
        raise QuantityError(
            f"'{value.name}' is a {signal.quantity.name}",
            reason="it was made with factors of E, which do not move with E = 0",
            fix="move E of S(Q,E) as measured, data.bp.shift_E(...), then reduce it "
            "again",
        )
    if zero := value.attrs.get("energy_zero"):
        raise QuantityError(
            f"E = 0 of '{value.name}' was {zero}(), whose result does not move with it",
            fix="shift E of the data as measured, data.bp.shift_E(...), then reduce "
            "them again",
        )
    E = value["E"]
    units = E.attrs["units"]
    if getattr(split_quantity(by, "by")[0], "size", 1) != 1:
        raise QuantityError(
            f"by has the shape {split_quantity(by, 'by')[0].shape}",
            reason="a grid has one E, which moves by one energy",
            fix="by=line.energy, of line = data.bp.fit_elastic_line(Q_range=...), "
            "which averages over Q",
        )
    distance = magnitude(by, units, name="by", energy=True)
    lower, upper = bin_limits(signal.source, "E")
    if not lower[0] <= distance <= upper[-1]:
        raise RangeError(
            f"by={distance:g} {units} is beyond the data",
            reason=f"they reach from {lower[0]:g} to {upper[-1]:g} {units}, and E = 0 "
            "would be outside",
            fix="look at its units: the elastic line stands a fraction of its width "
            "from 0",
        )
    moved = {"E": ("E", E.values - distance, E.attrs)}
    answer: Data = signal.answer(
        value.assign_coords(moved),
        None if signal.std is None else signal.std.assign_coords(moved),
        operation="shift_E",
        arguments={"by": f"{distance:.10g} {units}"},
        bounds={
            "E": xr.Variable(
                ("E", "bnds"), np.stack([lower, upper], axis=-1) - distance
            )
        },
    )
    return answer


def line_profile(signal: Signal) -> np.ndarray:
    """Return S(E), the mean over all else, of data that hold an elastic line.

    Raises
    ------
    RangeError
        If they hold none.
    """
    value = signal.value
    profile: np.ndarray = (
        value.where(abs(value) < MOST).mean([d for d in value.dims if d != "E"]).values
    )
    lower, upper = bin_limits(signal.source, "E")
    at_zero = ((lower <= 0) & (upper >= 0)).any()
    if not at_zero or elastic_line_bins(value["E"].values, profile) is None:
        raise RangeError(
            "the data hold no elastic line",
            reason=f"E reaches from {lower[0]:g} to {upper[-1]:g} "
            f"{value['E'].attrs['units']}"
            f"{', and nothing below 1e150 is known at E = 0' if at_zero else ''}",
            fix="pass S(Q,E) with E = 0 in it, or name the line by E_range=",
        )
    return profile


def elastic_line_bins(
    E: np.ndarray, profile: np.ndarray
) -> tuple[int, int, int] | None:
    """Find the top of the line that stands at E = 0 or a little off it, and the bins above half its height.

    Parameters
    ----------
    E, profile : numpy.ndarray, shape (n,)
        Ascending energies, and the intensity there; NaN where there is none.

    Returns
    -------
    top, first, last : int, or None
        None where nothing is known at E = 0, or the data do not reach it.

    Examples
    --------
    >>> elastic_line_bins(np.arange(-3.0, 4.0), np.array([0.1, 0.2, 0.9, 1.5, 2.0, 1.1, 0.3]))
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
    """Return the full width of the line about E = 0 between its interpolated half heights.

    Where the data end before, it is the width up to their end; NaN where there is no
    line.

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


def elastic_reach(E: np.ndarray, profile: np.ndarray) -> float:
    """Return the energy beyond which, on both sides, the elastic line is over.

    `REACH` widths from its centre.

    0 where there is none, as where it was masked. Of data that begin at E = 0 half the
    line is seen, and the other half is taken alike.

    Examples
    --------
    >>> E = np.arange(-3.0, 3.1, 0.25)
    >>> round(elastic_reach(E, np.maximum(1 - abs(E) / 0.5, 0)), 6)
    1.0
    """
    found = elastic_line_bins(E, profile)
    if found is None:
        return 0.0
    width, centre = width_at_half_maximum(E, profile), float(E[found[0]])
    if E[0] >= 0:
        width *= 2
    return abs(centre) + REACH * width if np.isfinite(width) else 0.0
