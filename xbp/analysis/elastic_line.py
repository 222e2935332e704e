"""Place and width of a measured elastic line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import RangeError
from xbp.core.grid import select_range
from xbp.core.independence import independence, std_along
from xbp.core.operation import operation
from xbp.core.signal import read, result_table
from xbp.core.status import AT_EDGE, OK
from xbp.fitting.many import Choices, fit_everywhere
from xbp.models.catalogue import find_model
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian
from xbp.reduction import cut_Q
from xbp.reduction.elastic import elastic_line_bins, line_profile, width_at_half_maximum

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["fit_elastic_line"]

#: How many widths (FWHM) to each side of its top a line is fitted: its flanks and a
#: foot, and little of the phonons.
_REACH = 1.5
_NAMES = ["energy", "height", "fwhm", "background"]


@operation(
    takes=("dynamic_structure_factor", "detector_spectra"),
    gives="fit_elastic_line",
    over="E",
    step=24,
    suggested="dynamic_structure_factor",
)
@carries_common_errors()
def fit_elastic_line(
    data: xr.DataArray | xr.Dataset, E_range: Any = None, Q_range: Any = None
) -> xr.Dataset:
    r"""Fit a Gaussian on a constant to the elastic line.

    Where it stands, and how wide and high it is.

    .. math:: S(E) = h\,\exp\left[-4\ln2\,(E - E_0)^2/\Gamma^2\right] + b

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), S(E) or spectra at angles, with the elastic line in them.
    E_range : pair of scalars with units, optional
        Energies to fit; by default 1.5 widths (FWHM, read off each spectrum, or off
        their mean where that is more) to each side of the top of the line.
    Q_range : pair of scalars with units, optional
        Momentum transfers to average over first (`cut_Q`), away from Bragg peaks.
        Without it one is fitted at each Q.

    Returns
    -------
    xarray.Dataset
        ``energy`` E₀ of the centre, ``fwhm`` Γ, full width at half maximum, ``height``
        h above the ``background`` b, each with ``_std``, over leftover dimensions; and
        what `fit` returns of a fit: ``correlation``, ``chi2_reduced`` (where errors are
        known), ``relative_residual``, ``E_low``, ``E_high``, ``n_points``, ``status``,
        ``limiting_parameter``. The numbers are NaN where the status is not "ok";
        "maximum at edge" where the data do not include the top and both half heights,
        as of a spectrum that begins at E = 0. The fit is unweighted: real lines
        have wings and skew, and counting errors, smallest at the feet, would let these
        decide. The std is that of the scatter about the curve or that of counting,
        whichever is larger; what the range changes may still be more. The width is that
        of the resolution and the bin together.

    Raises
    ------
    RangeError
        If the data have no elastic line or no E, or a range contains no data.
    QuantityError
        If they are no S(Q,E).

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    3, for what is elastic.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(
    ...     np.linspace(1, 8, 40), np.linspace(-4, 4, 41), u2="0.008 angstrom^2",
    ...     resolution="1 meV").bp.shift_E("-0.3 meV")
    >>> found = line.bp.fit_elastic_line(Q_range=("2 1/angstrom", "6 1/angstrom"))
    >>> round(float(found.energy), 6), round(float(found.fwhm), 6)
    (0.3, 1.0)
    """
    signal = read(data, "dynamic_structure_factor", "detector_spectra")
    if Q_range is not None:
        averaged: Any = cut_Q(signal.source, Q_range)  # type: ignore[type-var]
        return fit_elastic_line(signal.rewrap(averaged), E_range)
    value = signal.value
    if "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="the elastic line is a range of E",
            fix="fit it before the cut",
        )
    E = value["E"].values.astype(float)
    if E_range is None:
        profile = line_profile(signal)
        found = elastic_line_bins(E, profile)
        assert found is not None
        value = value.where(
            _windows(value, E, float(E[found[0]]), width_at_half_maximum(E, profile))
        )
        inside = np.ones(E.size, dtype=bool)
    else:
        inside = select_range(signal.source, "E", E_range, name="E_range")
    units = value["E"].attrs["units"]
    model = lmfit.Model(_line, name="Gaussian on a constant")
    model.set_param_hint("fwhm", min=0.0)
    line = value.isel(E=inside)
    # Counting errors, smallest at the feet, would have these decide of a line that is
    # no Gaussian: the fit is unweighted.
    fitted = fit_everywhere(
        line,
        None,
        "E",
        E[inside],
        model,
        Choices({}, {}, {}),
        guess=_guess,
    )
    own = {
        "energy": units,
        "fwhm": units,
        "height": signal.units,
        "background": signal.units,
    }
    columns = fitted.columns(_NAMES, own, ("E", units), known=False)
    energy, height, fwhm, background = (columns[name][0] for name in _NAMES)
    # A top and both half heights were seen, or the curve says more than the data.
    seen = (energy - fwhm / 2 >= fitted.low) & (energy + fwhm / 2 <= fitted.high)
    edge = (fitted.status == OK) & ~seen
    if signal.std is not None:
        std = std_along(signal.std, "E").isel(E=inside).where(line.notnull())
        at: Any = line["E"]
        f = independence(line, "E")
        held = (
            fitted.n_points
            if f is None
            else xr.DataArray(f).where(std > 0, 0.0).sum("E")
        )
        curve: Any = _line(at, energy, height, fwhm, background)
        misfit = (((line - curve) / std) ** 2).where(std > 0).sum("E", min_count=1) / (
            held - len(_NAMES)
        )
        columns["chi2_reduced"] = (misfit, "1", "reduced chi-squared of the curve")
        counting = _counting_errors(std, fitted.values, E[inside])
        for i, name in enumerate(_NAMES):
            scatter, *labels = columns[f"{name}_std"]
            # NaN where there was no fit, and where no bin has an error.
            larger = scatter.where(
                ~(counting.isel(parameter=i, drop=True) > scatter),
                counting.isel(parameter=i),
            )
            columns[f"{name}_std"] = (
                larger.drop_vars("parameter", errors="ignore"),
                *labels,
            )
    for name in columns.keys() - {
        "E_low",
        "E_high",
        "n_points",
        "status",
        "limiting_parameter",
    }:
        columns[name] = (columns[name][0].where(~edge), *columns[name][1:])
    columns["status"] = (fitted.status.where(~edge, AT_EDGE), *columns["status"][1:])
    answer: xr.Dataset = result_table(
        signal,
        columns,
        quantity="fit_elastic_line",
        operation="fit_elastic_line",
        arguments={"E_range": E_range},
        attrs={"model": "Gaussian on a constant"},
    )
    return answer


def _windows(
    value: xr.DataArray, E: np.ndarray, top: float, width: float
) -> xr.DataArray:
    """Return which energies are fitted of each spectrum.

    a line that widens with Q leaves the window of the mean.
    """

    def of_one(S: np.ndarray) -> np.ndarray:
        found = elastic_line_bins(E, S)
        own = width_at_half_maximum(E, S)
        centre = top if found is None else E[found[0]]
        return np.asarray(np.abs(E - centre) <= _REACH * np.fmax(own, width))

    windows: xr.DataArray = xr.apply_ufunc(
        of_one,
        value,
        input_core_dims=[["E"]],
        output_core_dims=[["E"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[bool],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return windows


def _counting_errors(
    std: xr.DataArray, values: xr.DataArray, E: np.ndarray
) -> xr.DataArray:
    """Return the errors of an unweighted fit from those of the bins, (JᵀJ)⁻¹Jᵀ σ."""

    @np.errstate(all="ignore")  # an error whose square overflows is infinite
    def of_one(std: np.ndarray, values: np.ndarray) -> np.ndarray:
        known = np.isfinite(std)
        if not np.isfinite(values).all() or known.sum() < values.size:
            return np.full(values.size, np.nan)
        energy, height, fwhm, _ = values
        away = (E[known] - energy) / fwhm
        shape = np.exp(-4 * np.log(2) * away**2)
        slope = 8 * np.log(2) * height / fwhm * away * shape
        jacobian = np.stack([slope, shape, slope * away, np.ones(away.size)], axis=1)
        return np.asarray(
            np.sqrt(((np.linalg.pinv(jacobian) * std[known]) ** 2).sum(axis=1))
        )

    errors: xr.DataArray = xr.apply_ufunc(
        of_one,
        std,
        values,
        input_core_dims=[["E"], ["parameter"]],
        output_core_dims=[["parameter"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return errors


def _line(
    E: np.ndarray, energy: float, height: float, fwhm: float, background: float
) -> np.ndarray:
    """Return a Gaussian on a constant."""
    return gaussian(E, energy, height, fwhm / FWHM_PER_SIGMA) + background


def _guess(E: np.ndarray, S: np.ndarray) -> dict[str, float]:
    """Return where to start: a Gaussian on the lowest point."""
    background = float(S.min())
    start = find_model("gaussian").guess(E, S - background)
    return {
        "energy": start["energy"], "height": start["height"],
        "fwhm": start["sigma"] * FWHM_PER_SIGMA, "background": background,
    }  # fmt: skip
