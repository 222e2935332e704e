"""Position and width of a measured elastic line."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.doubts import name_edges
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import is_lazy, require_dims
from xbp.core.grid import select_range
from xbp.core.independence import independence, merged_bins, std_along, width_of_merged
from xbp.core.operation import operation
from xbp.core.signal import map_over, read, result_table
from xbp.core.status import Status, diagnosed
from xbp.fitting.core import Shape
from xbp.fitting.many import fit_everywhere
from xbp.fitting.over_bins import halves_of_bins
from xbp.fitting.problem import Choices, Curve
from xbp.fitting.shapes import gaussian_on_line
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, guess_gaussian
from xbp.reduction import cut_Q
from xbp.reduction.elastic import elastic_line_bins, line_profile, width_at_half_maximum

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
        of the resolution; where the bins have no bounds, of resolution and bin
        together.

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
    require_dims(value, "E", "the elastic line", fix="fit it before the cut")
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
    units, line = value["E"].attrs["units"], value.isel(E=inside)
    curve = Curve(_NAMES, _guess, lambda: _line, _shape, {"fwhm": (0.0, np.inf)})
    own = {"energy": units, "height": signal.units, "fwhm": units, "E": units}
    own["background"] = signal.units
    # Counting errors, smallest at the feet, would have these decide of a line that is
    # no Gaussian: the fit is unweighted.
    half = halves_of_bins(signal.source, "E")[inside]
    columns, coords, _ = fit_everywhere(
        line, None, "E", E[inside], curve, Choices(), own, half=half
    )
    status = columns["status"][0]
    energy, height, fwhm, background = (columns[name][0] for name in _NAMES)
    # A top and both half heights were seen, or the curve says more than the data.
    seen = (energy - fwhm / 2 >= columns["E_low"][0]) & (
        energy + fwhm / 2 <= columns["E_high"][0]
    )
    edge = (status == Status.OK) & ~seen
    if signal.std is not None:
        std = std_along(signal.std, "E").isel(E=inside).where(line.notnull())
        f = independence(line, "E")
        counting = map_over(
            _counting, line.variable, std.variable, 1.0 if f is None else f,
            energy, height, fwhm, background,
            dims="E", gives=[()] * (len(_NAMES) + 1), E=E[inside], half=half,
        )  # fmt: skip
        text = "reduced chi-squared of the curve"
        columns["chi2_reduced"] = (counting[-1], "1", text)
        for name, error in zip(_NAMES, counting, strict=False):
            scatter = columns[f"{name}_std"][0]
            # NaN where there was no fit, and where no bin has an error.
            columns[f"{name}_std"] = (scatter.where(~(error > scatter), error), "", "")
    kept = ("E_low", "E_high", "n_points", "status", "limiting_parameter")
    for name in columns.keys() - set(kept):
        columns[name] = (columns[name][0].where(~edge), *columns[name][1:])
    columns["status"] = (status.where(~edge, Status.AT_EDGE), *columns["status"][1:])
    answer: xr.Dataset = result_table(
        signal,
        columns,
        quantity="fit_elastic_line",
        operation="fit_elastic_line",
        arguments={"E_range": E_range},
        attrs={"model": "Gaussian on a constant"},
        coords=coords,
    )
    doubts = [] if is_lazy(edge) else name_edges(
        columns["status"][0],
        _edges(value, energy, fwhm, columns["E_low"][0], columns["E_high"][0]),
        value,
        chosen=E_range is not None,
        what="the line is cut off",
        fix="an E_range with its top and both half heights; spectra that begin at "
        "E = 0 have half a line",
    )  # fmt: skip
    answer.attrs |= diagnosed(answer.attrs, *doubts)
    return answer


def _edges(
    value: xr.DataArray,
    energy: xr.DataArray,
    fwhm: xr.DataArray,
    low: xr.DataArray,
    high: xr.DataArray,
) -> np.ndarray:
    """Return beyond which of `EDGES` a half height is, and its energy, shape (…, 2)."""
    known = value["E"].values[value.notnull().any([d for d in value.dims if d != "E"])]
    above = energy + fwhm / 2 - high > low - (energy - fwhm / 2)
    at = low.where(~above, high)
    of_data = (at == known.min()) | (at == known.max())
    number = 1 + above + 2 * ~of_data
    return np.stack(np.broadcast_arrays(number, at), axis=-1).astype(float)


def _windows(
    value: xr.DataArray, E: np.ndarray, top: float, width: float
) -> xr.DataArray:
    """Return which energies are fitted of each spectrum.

    A line that widens with Q leaves the window of the mean.
    """

    def of_one(S: np.ndarray) -> np.ndarray:
        found = elastic_line_bins(E, S)
        own = width_at_half_maximum(E, S)
        centre = top if found is None else E[found[0]]
        return np.asarray(np.abs(E - centre) <= _REACH * np.fmax(own, width))

    windows: xr.DataArray = map_over(
        of_one, value, dims="E", gives=[["E"]], dtypes=[bool], each=True
    )
    return windows


@np.errstate(all="ignore")  # an error whose square overflows is infinite
def _counting(
    S: np.ndarray,
    std: np.ndarray,
    part: np.ndarray,
    *values: np.ndarray,
    E: np.ndarray,
    half: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Return the errors of an unweighted fit from those of the bins, and reduced χ².

    The errors are those of (JᵀJ)⁻¹Jᵀ S.
    """
    outer, n = values[0].shape, len(values)
    S, std, part = (np.broadcast_to(a, (*outer, E.size)) for a in (S, std, part))
    p = np.stack([value.ravel() for value in values], axis=1)
    S, std, part = (a.reshape(-1, E.size) for a in (S, std, part))
    part, mean, error, _ = merged_bins(part, S)
    E, S, std = mean(E), mean(S), error(std)
    curve, slopes = _shape(E, width_of_merged(half, mean, error))(p)
    known, used = np.isfinite(std), std > 0
    jacobian = np.where(known, slopes, 0.0).transpose(1, 2, 0)
    fine = np.isfinite(jacobian).all(axis=(1, 2)) & (known.sum(axis=1) >= n)
    inverse = np.linalg.pinv(np.where(fine[:, None, None], jacobian, 0.0))
    errors = (inverse * np.where(known, std, 0.0)[:, None]) ** 2
    errors = np.where(fine[:, None], np.sqrt(errors.sum(axis=2)), np.nan)
    free = np.where(used, part, 0.0).sum(axis=1) - n
    chi2 = np.where(used, ((S - curve) / std) ** 2, 0.0).sum(axis=1) / free
    chi2 = np.where(used.any(axis=1), chi2, np.nan)
    return tuple(a.reshape(outer) for a in (*errors.T, chi2))


def _line(
    E: np.ndarray, energy: float, height: float, fwhm: float, background: float
) -> np.ndarray:
    """Return a Gaussian on a constant."""
    return gaussian(E, energy, height, fwhm / FWHM_PER_SIGMA) + background


def _shape(E: np.ndarray, half: np.ndarray) -> Shape:
    """Return its means over the bins E ± half, with their derivatives."""
    of_sigma, units = gaussian_on_line(E, half), np.array([1, 1, FWHM_PER_SIGMA, 1])

    def shape(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curve, slopes = of_sigma(p / units)
        return curve, slopes / units[:, None, None]

    return shape


def _guess(E: np.ndarray, S: np.ndarray) -> dict[str, float]:
    """Return where to start: a Gaussian on the lowest point."""
    background = float(S.min())
    start = guess_gaussian(E, S - background)
    return {
        "energy": start["energy"], "height": start["height"],
        "fwhm": start["sigma"] * FWHM_PER_SIGMA, "background": background,
    }  # fmt: skip
