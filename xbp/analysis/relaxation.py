"""The time after which a correlation has decayed, at each Q."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.data import require_dims
from xbp.core.errors import CoordinateError
from xbp.core.guards import require_number
from xbp.core.operation import operation
from xbp.core.signal import over_spectra, read, result_table
from xbp.core.status import Status

__all__ = ["decay_time", "relaxation_time"]


@operation(takes="intermediate_scattering_function", gives="relaxation_time", step=18)
@carries_common_errors()
def relaxation_time(
    data: xr.DataArray | xr.Dataset, level: float = math.exp(-1)
) -> xr.Dataset:
    r"""Find the α relaxation time: when F(Q,t) has fallen to 1/e of F(Q,0).

    .. math:: F(Q, \tau_\alpha) = e^{-1} F(Q, 0)

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        F(Q,t), of the self part (``part="incoherent"``) for τ_α as it is usually meant,
        over time from 0 on and any further dimensions.
    level : float
        The fraction of F(Q,0), between 0 and 1.

    Returns
    -------
    xarray.Dataset
        ``tau`` in the unit of time over the other dimensions, with its std if F has
        one, and ``status``: "ok" or "no crossing", with NaN, where F stays above. It
        is that of exp[−(t/τ)^β] through the points from level^(1/2) to level^(3/2), so
        that stretched exponentials are exact and noise does not decide.

    Raises
    ------
    CoordinateError
        If the data are not over time, or do not begin at 0.
    RangeError
        If `level` is not between 0 and 1.

    References
    ----------
    W. Kob and H. C. Andersen, Phys. Rev. E 52, 4134 (1995),
    doi:10.1103/PhysRevE.52.4134.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> t, Q = np.linspace(0, 5, 26), np.array([1.0, 2.0])
    >>> F = xbp.new_dataset(
    ...     "intermediate_scattering_function", np.exp(-t * Q[:, None] / 3), units="1",
    ...     coords={"Q": (Q, "1/angstrom"), "time": (t, "ps")})
    >>> F.bp.relaxation_time().tau.values.round(6)
    array([3. , 1.5])
    """
    signal = read(data, "intermediate_scattering_function")
    level = require_number(level, "level", above=0, below=1)
    require_dims(signal.value, "time", "a relaxation time", error=CoordinateError)
    time = signal.value["time"].values.astype(float)
    if time[0] != 0:
        raise CoordinateError(
            f"F(Q,t) begins at t = {time[0]:g}, and F(Q,0) is not known",
            fix="pass F(Q,t) from t = 0 on",
        )
    tau, std = over_spectra(
        decay_time, signal.value, signal.std, core=("time",), gives=[(), ()],
        time=time, level=level,
    )  # fmt: skip
    status = xr.full_like(tau, Status.OK, dtype="<U24")
    units = str(signal.value["time"].attrs["units"])
    columns: dict[str, Any] = {"tau": (tau, units, "relaxation time")}
    if signal.std is not None:
        columns["tau_std"] = (std, "", "")
    crossed = status.where(tau.notnull(), Status.NO_CROSSING)
    columns["status"] = (crossed, "", "status of tau")
    answer: xr.Dataset = result_table(
        signal, columns, quantity="relaxation_time", operation="relaxation_time",
        arguments={"level": level},
    )  # fmt: skip
    return answer


def decay_time(
    F: np.ndarray, std: np.ndarray, *, time: np.ndarray, level: float
) -> tuple[float, float]:
    """Return when F falls to a fraction of its beginning, and the std of that.

    By a straight line through ln[−ln F(t)/F(0)] over ln t, which a stretched
    exponential is.

    Parameters
    ----------
    F, std : numpy.ndarray, shape (n,) or ()
        Correlations, and their standard deviations (0-d NaN if not known).
    time : numpy.ndarray, shape (n,)
        Ascending.
    level : float

    Returns
    -------
    tau, std : float
        NaN if it does not.

    Examples
    --------
    >>> t = np.array([0.0, 0.5, 1.0, 2.0])
    >>> round(decay_time(np.exp(-t), np.array(np.nan), time=t, level=0.5)[0], 4)
    0.6931
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = F / F[0]
    under = np.flatnonzero(ratio < level)
    if not F[0] > 0 or not under.size or not np.isfinite(ratio[: under[0] + 1]).all():
        return np.nan, np.nan
    # From level^(1/2) to level^(3/2), at least the points beside the crossing.
    first = min(int(np.argmax(ratio < level**0.5)), int(under[0]) - 1)
    last = max(int(np.flatnonzero(ratio > level**1.5)[-1]), int(under[0]))
    inside = np.arange(first, last + 1)
    usable = (ratio[inside] > 0) & (ratio[inside] < 1) & (time[inside] > 0)
    inside = inside[usable]
    if inside.size < 2:
        return np.nan, np.nan
    x, fall = np.log(time[inside]), -np.log(ratio[inside])
    sigma = std[inside] if std.ndim else np.ones(inside.size)
    weight = (F[inside] * fall / sigma) ** 2
    weight = np.where(np.isfinite(weight), weight, 0.0)
    middle = weight @ x / weight.sum()
    spread = weight @ (x - middle) ** 2
    slope = weight @ ((x - middle) * np.log(fall)) / spread
    height = weight @ np.log(fall) / weight.sum()
    at = middle + (np.log(-np.log(level)) - height) / slope
    tau = float(np.exp(at))
    if not std.ndim:
        return tau, np.nan
    variance = 1 / weight.sum() + (at - middle) ** 2 / spread
    # F(Q,0) is in all ratios: ∂ ln(−ln ratio)/∂ ln F(Q,0) = −1/ln level.
    variance += (std[0] / F[0] / np.log(level)) ** 2
    return tau, float(tau * np.sqrt(variance) / abs(slope))
