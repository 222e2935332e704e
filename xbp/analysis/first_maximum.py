"""Where a static structure factor has its first maximum."""

from __future__ import annotations

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.signal import read
from xbp.core.units import convert_factor
from xbp.fitting.search import smoothed

__all__ = ["first_maximum"]

# A maximum of less than this part of the most prominent one is noise, or a prepeak: of
# the first kind there are many.
_PROMINENT = 0.25
# The next maximum lies at about 1.7 times the first: an S(Q) that begins above this
# part of one may have lost another.
_BEGINS = 0.6


def first_maximum(
    sq: xr.DataArray | xr.Dataset, units: str = "1/angstrom"
) -> xr.DataArray:
    """Find the first maximum of S(Q).

    The first at least a quarter as prominent as the most prominent one.

    Parameters
    ----------
    sq : xarray.DataArray or xarray.Dataset
        S(Q) over Q and any leftover dimensions; its normalisation does not matter.
    units : str
        Of the answer.

    Returns
    -------
    xarray.DataArray
        Q of the maximum over the leftover dimensions, to a bin; NaN where S(Q) has none
        within its range, or begins above 0.6 of it, so that it need not be the first.

    Raises
    ------
    QuantityError
        If `sq` is no S(Q), or has no dimension Q.

    Examples
    --------
    >>> import xbp
    >>> round(float(first_maximum(xbp.tutorial.open_dataset("zr46cu46al8_md").Sq)), 1)
    2.7
    """
    value = read(sq, "static_structure_factor").value
    if "Q" not in value.dims:
        raise QuantityError(
            f"'{value.name}' has no dimension 'Q' (it has {tuple(value.dims)})",
            reason="its first maximum is sought along Q",
            fix="pass S(Q), before any cut",
        )
    Q = value["Q"].values * convert_factor(
        value["Q"].attrs["units"], units, name="Q of S(Q)"
    )
    found: xr.DataArray = xr.apply_ufunc(
        _first,
        value,
        kwargs={"Q": Q},
        input_core_dims=[["Q"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return found.drop_vars([name for name in found.coords if name not in found.dims])


def _first(S: np.ndarray, *, Q: np.ndarray) -> float:
    x, y = Q[np.isfinite(S)], S[np.isfinite(S)]
    if y.size < 3:
        return np.nan
    peaks, found = scipy.signal.find_peaks(smoothed(y), prominence=0.0)
    if not peaks.size:
        return np.nan
    top = int(
        peaks[
            np.argmax(found["prominences"] >= _PROMINENT * found["prominences"].max())
        ]
    )
    first = float(x[top - 1 + int(np.argmax(y[top - 1 : top + 2]))])
    return first if x[0] <= _BEGINS * first else np.nan
