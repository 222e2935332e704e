"""S(Q,−E) = S(Q,E) exp(−E/k_BT): the temperature that it implies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import statistics_of
from xbp.core.data import is_lazy, require_some, unwrap
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, interpolate, select_range
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import Signal, over_spectra, read, result_table
from xbp.core.status import Diagnostic, Status, diagnosed
from xbp.core.units import to_kelvin
from xbp.models.factors import GAIN_INFORMS
from xbp.reduction.elastic import elastic_reach

__all__ = ["detailed_balance", "with_both_signs"]

#: Why there is no temperature, and what to do.
_WITHOUT: Final[dict[str, tuple[str, str]]] = {
    Status.UNDETERMINED: ("1/k_BT is below twice its error", "widen E_range"),
    Status.NO_TEMPERATURE: (
        "there is more energy gain than energy loss",
        "subtract the background first; shift_E() if E = 0 is off",
    ),
    Status.NO_DATA: ("no E has intensity at E and -E", "widen E_range"),
}


def with_both_signs(data: xr.DataArray | xr.Dataset) -> Signal:
    """Read S(Q,E) over energy gain and loss."""
    signal = read(data, "dynamic_structure_factor")
    E = signal.value["E"].values if "E" in signal.value.dims else np.zeros(1)
    if not E[0] < 0 < E[-1]:
        raise RangeError(
            "the data must have both signs of E",
            fix="pass S(Q,E) before it was folded",
        )
    return signal


@operation(
    takes="dynamic_structure_factor", gives="detailed_balance", over="E", step=26
)
@carries_common_errors()
@np.errstate(all="ignore")  # sums that overflow are infinite, and not used
def detailed_balance(
    data: xr.DataArray | xr.Dataset, E_range: Any = None, Q_range: Any = None
) -> xr.Dataset:
    r"""Compare energy gain with energy loss, and find the temperature of their ratio.

    .. math:: \ln \frac{S(Q,-E)}{S(Q,E)} = -\frac{E}{k_BT}

    S(Q,E) is averaged over the Q bins that have numbers on both sides, energy gain is
    interpolated linearly onto −E where the grid is not symmetric, and 1/k_BT is fitted
    through the origin, weighted by the standard deviations (independent bins).

    The error of T is that of counting, times √χ² where the reduced χ² is above 1. The
    fit is repeated in six bands of E that determine 1/k_BT equally well: if they differ
    by more than their errors (at the level of 0.1 %), no single temperature describes
    the data, as with a background or a zero of E that is off, and the error is at least
    half the range of 1/k_BT over the bands.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) or S(E), quantum, with both signs of E.
    E_range : pair of scalars with units, optional
        Energies E > 0 to use. By default all that exist on both sides from the end of
        the elastic line (two widths, FWHM, or its mask; 0 if nothing is left there) to
        3 k_BT, beyond which energy gain is background: T of the data, or else the one
        that all energies imply.
    Q_range : pair of scalars with units, optional
        Momentum transfers to average over.

    Returns
    -------
    xarray.Dataset
        ``ratio`` S(−E)/S(E) over E with ``ratio_std``; ``temperature_at_E``, what each
        energy alone implies (K, NaN where gain exceeds loss), with
        ``temperature_at_E_std``; ``implied_temperature`` with its ``_std`` (K);
        ``chi2_reduced``; ``n_points``; ``status``: "ok", "no temperature" (gain exceeds
        loss), "undetermined" (1/k_BT is below twice its error) or "no data"; the
        temperature is NaN where it is not "ok". Over any leftover dimensions. The range
        used is in attrs.

    Raises
    ------
    RangeError
        If the data have one sign of E only, or nothing is left on both sides.
    QuantityError
        If they are classical, and so the same on both sides.

    References
    ----------
    S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter (1984), ch. 3.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> S = xbp.models.dynamic_structure_factor(
    ...     np.linspace(1, 5, 20), np.linspace(-20, 20, 81), energy="5 meV",
    ...     width="4 meV", T="280 K", u2="0.01 angstrom^2")
    >>> table = S.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    >>> round(float(table.implied_temperature), 3)
    280.0
    """
    signal = with_both_signs(data)
    if "statistics" in signal.value.attrs:
        statistics_of(signal.value, "quantum")
    value = signal.value.where(abs(signal.value) < np.inf)
    std = None if signal.std is None else std_along(signal.std, "Q", "E")
    units = value["E"].attrs["units"]
    E = value["E"].values
    lower, upper = bin_limits(signal.source, "E")
    # The side of energy loss; the bin that straddles zero is the elastic line.
    chosen = select_range(signal.source, "E", E_range, name="E_range")
    chosen &= (lower >= 0) & (E[0] <= -E) & (E[-1] >= E)
    if E_range is None:
        profile = value.mean([d for d in value.dims if d != "E"]).values
        outside = chosen & (lower >= elastic_reach(E, profile)) & np.isfinite(profile)
        chosen = outside if outside.any() else chosen
    what = "energy in E_range with its counterpart at -E"
    require_some(chosen, what, (lower[0], upper[-1]), units)
    loss = value.isel(E=chosen)
    gain, gain_std = interpolate(value, std, "E", -E[chosen])
    gain = gain.assign_coords(E=loss["E"])
    loss_var = gain_var = xr.zeros_like(loss, dtype=float)
    if std is not None and gain_std is not None:
        loss_var = std.isel(E=chosen) ** 2
        gain_var = gain_std.assign_coords(E=loss["E"]) ** 2
    if "Q" in value.dims:
        use = select_range(signal.source, "Q", Q_range, name="Q_range")
        low_q, high_q = bin_limits(signal.source, "Q")
        weight = xr.DataArray((high_q - low_q) * use, dims="Q")
        weight = weight.where(loss.notnull() & gain.notnull(), 0.0)
        loss, gain = ((side.fillna(0.0) * weight).sum("Q") for side in (loss, gain))
        loss_var, gain_var = (
            (part.where(weight > 0, 0.0) * weight**2).sum("Q")
            for part in (loss_var, gain_var)
        )
    positive = (loss > 0) & (gain > 0)
    ratio = gain / loss.where(loss > 0)
    log_ratio = xr.DataArray(np.log(ratio.where(positive)))
    log_var = (
        loss_var / loss.where(positive) ** 2 + gain_var / gain.where(positive) ** 2
    )
    E_mev = loss["E"] * per_unit(value, "E")
    beta, beta_std, chi2, used = over_spectra(
        _fit_inverse_temperature,
        log_ratio,
        xr.ones_like(log_ratio) if std is None else log_var,
        E_mev,
        np.inf if E_range is not None else _carried_kelvin(value),
        gives=[(), (), (), ("E",)],
        types=[float, float, float, bool],
        errors_known=std is not None,
    )
    status = (
        xr.full_like(beta, Status.OK, dtype="<U14")
        .where(~(beta <= 2 * beta_std), Status.UNDETERMINED)
        .where(beta > 0, Status.NO_TEMPERATURE)
        .where(used.any("E"), Status.NO_DATA)
    )
    implied = (1 / (constants.BOLTZMANN_MEV * beta)).where(status == Status.OK)
    falling = log_ratio.where(used & (log_ratio < 0))
    at_E = -E_mev / falling / constants.BOLTZMANN_MEV
    error = "standard deviation"
    variables = {
        "ratio": (ratio, "1", "S(-E)/S(E)"),
        "temperature_at_E": (at_E, "K", "temperature implied at each E"),
        "implied_temperature": (implied, "K", "implied temperature"),
        "implied_temperature_std": (implied * beta_std / beta, "K", error),
        "n_points": (used.sum("E"), "1", "energies used"),
        "status": (status, "", "status of the temperature"),
    }
    if std is not None:
        at_E_std = at_E**2 * constants.BOLTZMANN_MEV / E_mev * log_var**0.5
        variables |= {
            "temperature_at_E_std": (at_E_std, "K", error),
            "ratio_std": (ratio * log_var**0.5, "1", error),
            "chi2_reduced": (chi2, "1", "reduced chi-squared of one temperature"),
        }
    ends = upper[chosen]
    if E_range is None and not is_lazy(used) and used.any():
        ends = ends[used.any([d for d in used.dims if d != "E"]).values]
    span = f"{lower[chosen][0]:.6g} to {ends[-1]:.6g} {units}"
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="detailed_balance",
        operation="detailed_balance",
        arguments={"E_range": span, "Q_range": Q_range},
        attrs={"E_range": span},
    )
    answer.attrs |= diagnosed(answer.attrs, *_of_the_temperature(unwrap(answer)[0]))
    return answer


def _of_the_temperature(table: xr.Dataset) -> Iterator[Diagnostic]:
    """Say why there is none, or that it differs by more than 5 σ from the data's."""
    implied = table["implied_temperature"]
    if implied.ndim or is_lazy(implied):
        return
    if (why := _WITHOUT.get(table["status"].item())) is not None:
        yield Diagnostic("no_temperature", "warning", *why)
    known = table.coords.get("temperature")
    if known is None or known.ndim:
        return
    kelvin = float(to_kelvin(float(known), known.attrs.get("units", "K"), name="T"))
    std = float(table["implied_temperature_std"])
    if abs(float(implied) - kelvin) > max(5 * std, 1e-3 * kelvin):
        yield Diagnostic(
            "temperature_differs",
            "warning",
            f"the spectra imply {float(implied):.4g} ± {std:.2g} K, the data have "
            f"{kelvin:.4g} K",
        )


def _carried_kelvin(value: xr.DataArray) -> Any:
    """Return the temperature of the data in kelvin, NaN if they carry none."""
    carried = value.coords.get("temperature")
    if carried is None:
        return np.nan
    units = str(carried.attrs.get("units", "K"))
    kelvin = to_kelvin(carried.values.astype(float), units, name="'temperature'")
    return xr.DataArray(kelvin, dims=carried.dims)


@np.errstate(all="ignore")
def _fit_inverse_temperature(
    log_ratio: np.ndarray,
    variance: np.ndarray,
    E: np.ndarray,
    kelvin: float,
    *,
    errors_known: bool,
    bands: int = 6,
) -> tuple[float, float, float, np.ndarray]:
    """Fit log_ratio = −βE: β and its error in 1/meV, reduced χ², the points used.

    Up to 3 k_BT, `kelvin` being T; where it is NaN, that of a fit to all points.
    """
    used = np.isfinite(log_ratio) & np.isfinite(1 / variance)
    w = np.where(used, 1 / variance, 0.0)
    y = np.where(used, log_ratio, 0.0)
    if not kelvin > 0:
        beta = -(w * E * y).sum() / (w * E**2).sum()
        kelvin = 1 / (constants.BOLTZMANN_MEV * beta) if beta > 0 else np.inf
    used &= GAIN_INFORMS * constants.BOLTZMANN_MEV * kelvin >= E
    E, y, w = E[used], y[used], w[used]
    information = w * E**2
    norm, n = information.sum(), E.size
    if not norm > 0:
        return np.nan, np.nan, np.nan, used
    beta = -(w * E * y).sum() / norm
    chi2 = (w * (y + beta * E) ** 2).sum() / (n - 1) if n > 1 else np.nan
    # Unit weights have no scale of their own: there χ² is the variance of the points.
    error = ((np.fmax(chi2, 1.0) if errors_known else chi2) / norm) ** 0.5
    place = (np.cumsum(information) - information / 2) / norm
    _, band = np.unique((bands * place).astype(int), return_inverse=True)
    norms = np.bincount(band, information)
    betas = -np.bincount(band, w * E * y) / norms
    between, within, free = (norms * (betas - beta) ** 2).sum(), 1.0, np.inf
    if not errors_known:
        free = n - betas.size
        within = (w * (y + betas[band] * E) ** 2).sum() / free
    ratio = between / (betas.size - 1) / within
    if scipy.special.fdtrc(betas.size - 1, min(free, 1e9), ratio) < 1e-3:
        error = max(error, np.ptp(betas) / 2)
    return beta, error, chi2, used
