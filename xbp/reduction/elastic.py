"""The elastic line: masked by the resolution, never filled in."""

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

__all__ = ["mask_elastic"]


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
