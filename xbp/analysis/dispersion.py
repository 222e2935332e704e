"""Whether the boson peak disperses: one energy, or a slope, through E_BP(Q)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError
from xbp.core.grid import select_range
from xbp.core.independence import independence, std_along
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.signal import result_table, table_signal
from xbp.core.status import OK
from xbp.core.units import format_unit, parse_unit

__all__ = ["dispersion"]


@operation(
    takes="boson_peak",
    gives="dispersion",
    step=41,
    when=lambda table: "Q" in table.energy.dims,
)
@carries_common_errors()
def dispersion(peak: xr.Dataset, Q_range: Any = None) -> xr.Dataset:
    r"""Test whether the peak energy depends on Q.

    .. math:: \bar E = \frac{\sum E_i/\sigma_i^2}{\sum 1/\sigma_i^2}, \qquad
              \chi^2_{red} = \frac{1}{n-1}\sum \frac{(E_i-\bar E)^2}{\sigma_i^2}

    and the weighted straight line E(Q) = a + slope · Q.

    Parameters
    ----------
    peak : xarray.Dataset
        What `boson_peak` returned, over Q and any leftover dimensions. Fits whose
        status is not "ok" are left out.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.

    Returns
    -------
    xarray.Dataset
        ``mean_energy``, ``slope`` (energy per unit of Q), each with ``_std`` from the
        errors of the fits taken as independent (as far as ``Q_independence`` does not
        say otherwise); ``chi2_reduced`` of "constant" and ``p_value``, the chance of a
        larger one if the energy is constant; ``scatter``, the standard deviation of the
        energies; ``Q_min``, ``Q_max`` and ``n_points`` used, which `Q_range` may reach
        beyond. NaN where fewer than three fits can be used.

    Raises
    ------
    QuantityError
        If this is not a table of peaks over Q.

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> peaks = B.bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    >>> flat = peaks.bp.dispersion(Q_range=("2.6 1/angstrom", "8.2 1/angstrom"))
    >>> f"{float(flat.mean_energy):.2f} +- {float(flat.scatter):.2f}"
    '2.27 +- 0.10'
    """
    plain, rewrap = unwrap(peak)
    signal = table_signal(plain, "boson_peak", "energy", rewrap)
    energy = signal.value
    if "Q" not in energy.dims:
        raise QuantityError(
            f"the peaks are over {tuple(energy.dims) or 'no dimension'}",
            reason="dispersion is how they change with Q",
            fix="find them at every Q: B.bp.boson_peak() of B(Q,E), not of a cut",
        )
    used = (plain["status"] == OK) & xr.DataArray(
        select_range(plain, "Q", Q_range, name="Q_range"), dims="Q"
    )
    f = independence(energy, "Q")
    held = xr.ones_like(plain["Q"], dtype=float) if f is None else xr.DataArray(f)
    numbers = xr.apply_ufunc(
        _line,
        energy.where(used),
        std_along(plain["energy_std"], "Q"),
        plain["Q"].astype(float),
        held,
        input_core_dims=[["Q"]] * 4,
        output_core_dims=[["_number"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"_number": 10}, "allow_rechunk": True},
    )
    units = energy.attrs["units"]
    slope_units = format_unit(
        parse_unit(units) / parse_unit(plain["Q"].attrs["units"], like="1/angstrom")
    )
    names = {
        "mean_energy": (units, "weighted mean energy of the boson peak"),
        "mean_energy_std": (units, "standard deviation of the mean energy"),
        "slope": (slope_units, "slope of the energy against Q"),
        "slope_std": (slope_units, "standard deviation of the slope"),
        "chi2_reduced": ("1", "reduced chi-squared of one energy at every Q"),
        "p_value": ("1", "chance of a larger chi-squared if the energy is constant"),
        "scatter": (units, "standard deviation of the energies about their mean"),
        "Q_min": (plain["Q"].attrs["units"], "lowest Q used"),
        "Q_max": (plain["Q"].attrs["units"], "highest Q used"),
        "n_points": ("1", "number of peaks used"),
    }
    answer: xr.Dataset = result_table(
        signal,
        {
            name: (numbers.isel(_number=i, drop=True), *label)
            for i, (name, label) in enumerate(names.items())
        },
        quantity="dispersion",
        operation="dispersion",
        arguments={"Q_range": Q_range},
    )
    return answer


def _line(
    energy: np.ndarray, std: np.ndarray, q: np.ndarray, held: np.ndarray
) -> np.ndarray:
    ok = np.isfinite(energy) & np.isfinite(std) & (std > 0)
    n = int(ok.sum())
    independent = float(held[ok].sum())
    if n < 3 or independent <= 2:
        return np.array([np.nan] * 9 + [n])
    e, w, x = energy[ok], 1 / std[ok], q[ok]
    mean = float(np.average(e, weights=w**2))
    chi2 = float((w**2 * (e - mean) ** 2).sum())
    (slope, _), covariance = np.polyfit(x, e, 1, w=w, cov="unscaled")
    return np.array([
        mean, 1 / np.sqrt((w**2).sum()), slope, np.sqrt(covariance[0, 0]),
        chi2 / (independent - 1), scipy.special.gammaincc((independent - 1) / 2, chi2 / 2), e.std(ddof=1),
        x.min(), x.max(), n,
    ])  # fmt: skip
