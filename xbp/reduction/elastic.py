"""The elastic line: how far it reaches, and masked by the resolution, never filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.errors import QuantityError, RangeError
from xbp.grid import bin_limits
from xbp.pint_data import Data
from xbp.schema import require_same_grid
from xbp.signal import read
from xbp.units import convert_factor, magnitude, split_quantity

__all__ = ["elastic_line_bins", "elastic_reach", "mask_elastic", "width_at_half_maximum"]

#: How many widths (FWHM) from its centre an elastic line is taken to end.
REACH = 2.0


def mask_elastic(data: Data, resolution: Any, widths: float = 2.0, *, centre: Any = 0.0) -> Data:
    """Mask the elastic line: bins within a number of resolution widths of E = 0 become NaN.

    Every bin that reaches into −widths·FWHM < E − centre < widths·FWHM is masked. Nothing is put in its place: no later
    step of xbp extends the spectrum into the mask, least of all by a power law where a boson peak is sought. Of a
    Gaussian line 1.9 % lies beyond one FWHM from its centre on both sides together, and 2 in 10⁶ beyond two; real lines
    have wings.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    resolution : scalar with units, or DataArray
        Full width at half maximum (FWHM) of the line (bare: the unit of E); an array over E, Q, detectors or any other
        dimension of the data, on its grid.
    widths : float
        How many FWHM to each side.
    centre : scalar with units, optional
        Where the line stands, if not at 0 (bare: the unit of E).

    Returns
    -------
    same type as `data`
        With NaN in the mask, in the values and their standard deviations.

    Raises
    ------
    QuantityError
        If the resolution is over a dimension that the data have not, or is not positive.
    RangeError
        If nothing would be masked, or nothing left.
    UnitsError
        If the resolution is no energy.

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
    number, given = split_quantity(resolution, "resolution")
    if isinstance(number, xr.DataArray) and number.ndim:
        if not set(number.dims) <= set(value.dims) or number.dtype.kind not in "fiu":
            raise QuantityError(
                f"the resolution is an array over {number.dims} of type {number.dtype}",
                reason=f"it is a width for each bin of the data, which have the dimensions {tuple(value.dims)}",
                fix="resolution='1.2 meV', or a DataArray over E, Q or detectors",
            )
        require_same_grid(value, number, number.dims)
        fwhm = number.variable * convert_factor(given or units, units, name="resolution", energy=True)
    else:
        fwhm = xr.Variable((), magnitude(resolution, units, name="resolution", energy=True))
    half = fwhm * magnitude(widths, "1", name="widths")
    if not (np.isfinite(half.values) & (half.values > 0)).all():
        raise QuantityError(
            f"resolution={resolution!r} and widths={widths!r} are not all positive",
            reason="the mask would be upside down, or nowhere",
            fix="resolution='1.2 meV', widths=2",
        )
    at = magnitude(centre, units, name="centre", energy=True)
    lower, upper = (xr.Variable("E", limit - at) for limit in bin_limits(signal.source, "E"))
    # An edge that is the mask's own but for rounding does not reach into it.
    slack = 1e-9 * float((upper - lower).min())
    masked = (lower < half - slack) & (upper > slack - half)
    if masked.all() or not masked.any():
        raise RangeError(
            f"the mask, to {float(half.max()):g} {units} from {at:g} {units}, covers "
            f"{'everything' if masked.all() else 'nothing'}",
            reason=f"the bins reach from {float(lower[0]) + at:g} to {float(upper[-1]) + at:g} {units}",
            fix="look at the resolution and its units; leave this step out where there is no elastic line",
        )

    def mask(part: xr.DataArray) -> xr.DataArray:
        return part.copy(data=part.variable.where(~masked).transpose(*part.dims).data)  # type: ignore[no-untyped-call]

    answer: Data = signal.answer(
        mask(value),
        None if signal.std is None else mask(signal.std),
        operation="mask_elastic",
        arguments={
            "resolution": f"{float(fwhm.min()):.10g}...{float(fwhm.max()):.10g} {units} FWHM" if fwhm.ndim
            else f"{float(fwhm):.10g} {units} FWHM",
            "widths": widths,
            "centre": f"{at:.10g} {units}",
        },
    )  # fmt: skip
    return answer


def elastic_line_bins(E: np.ndarray, profile: np.ndarray) -> tuple[int, int, int] | None:
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

    Where the data end before, it is the width up to their end; NaN where there is no line.

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
    """Return the energy beyond which, on both sides, the elastic line is over: `REACH` widths from its centre.

    0 where there is none, as where it was masked. Of data that begin at E = 0 half the line is seen, and the other half
    is taken alike.

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
