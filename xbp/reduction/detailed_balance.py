"""S(Q,−E) = S(Q,E) exp(−E/k_BT): a free test of measured data, and folding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import (
    check_statistics,
    resolve_temperature,
    temperature_coordinate,
)
from xbp.core.diagnostic import Diagnostic
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interpolate, select_range
from xbp.core.guards import choose
from xbp.core.independence import (
    independence,
    independence_name,
    independence_variable,
    std_along,
)
from xbp.core.operation import operation
from xbp.core.pint_data import Data, unwrap
from xbp.core.signal import Signal, read, result_table
from xbp.core.status import NO_DATA, NO_TEMPERATURE, OK, UNDETERMINED
from xbp.core.units import convert_factor, to_kelvin
from xbp.models.factors import GAIN_INFORMS
from xbp.reduction.doubts import with_doubts
from xbp.reduction.elastic import elastic_reach
from xbp.reduction.sign import REVERSED_BELOW, require_sign

__all__ = ["Weights", "detailed_balance", "fold"]

#: How the two sides are weighted.
Weights = Literal["variance", "counts"]


def _with_both_signs(data: xr.DataArray | xr.Dataset) -> Signal:
    """Read S(Q,E) over energy gain and loss."""
    signal = read(data, "dynamic_structure_factor")
    E = signal.value["E"].values if "E" in signal.value.dims else np.zeros(1)
    if not E[0] < 0 < E[-1]:
        raise RangeError(
            "the data do not have both signs of E",
            reason="energy gain and energy loss are compared",
            fix="pass S(Q,E) as measured, before it was folded or cut",
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
    signal = _with_both_signs(data)
    if signal.value.attrs.get("statistics") == "classical":
        raise QuantityError(
            f"'{signal.value.name}' is classical",
            reason="it is even in E at every temperature",
            fix="take T from the simulation; .bp.to_quantum() gives detailed balance",
        )
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
    if not chosen.any():
        raise RangeError(
            f"no energy of E_range={E_range!r} has its counterpart at -E",
            reason=f"the data range from {lower[0]:g} to {upper[-1]:g} {units}",
            fix="choose positive energies that both sides have",
        )
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
    E_mev = loss["E"] * convert_factor(units, "meV", name="coordinate 'E'", energy=True)
    beta, beta_std, chi2, used = xr.apply_ufunc(
        _fit_inverse_temperature,
        log_ratio,
        xr.ones_like(log_ratio) if std is None else log_var,
        E_mev,
        np.inf if E_range is not None else _carried_kelvin(value),
        kwargs={"errors_known": std is not None},
        input_core_dims=[["E"], ["E"], ["E"], []],
        output_core_dims=[[], [], [], ["E"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float, float, float, bool],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    status = (
        xr.full_like(beta, OK, dtype="<U14")
        .where(~(beta <= 2 * beta_std), UNDETERMINED)
        .where(beta > 0, NO_TEMPERATURE)
        .where(used.any("E"), NO_DATA)
    )
    implied = (1 / (constants.BOLTZMANN_MEV * beta)).where(status == OK)
    falling = log_ratio.where(used & (log_ratio < 0))
    at_E = -E_mev / falling / constants.BOLTZMANN_MEV
    variables = {
        "ratio": (ratio, "1", "S(-E)/S(E)"),
        "temperature_at_E": (at_E, "K", "temperature implied at each E"),
        "implied_temperature": (
            implied,
            "K",
            "temperature implied by detailed balance",
        ),
        "implied_temperature_std": (
            implied * beta_std / beta,
            "K",
            "standard deviation",
        ),
        "n_points": (used.sum("E"), "1", "number of energies used"),
        "status": (status, "", "whether there is a temperature"),
    }
    if std is not None:
        variables["temperature_at_E_std"] = (
            at_E**2 * constants.BOLTZMANN_MEV / E_mev * log_var**0.5,
            "K",
            "standard deviation of the temperature at each E",
        )
        variables["ratio_std"] = (
            ratio * log_var**0.5,
            "1",
            "standard deviation of the ratio",
        )
        variables["chi2_reduced"] = (
            chi2,
            "1",
            "reduced chi-squared of one temperature",
        )
    ends = upper[chosen]
    if E_range is None and used.chunks is None and used.any():
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
    with_doubts(answer, None, *_of_the_temperature(unwrap(answer)[0]))
    return answer


def _of_the_temperature(table: xr.Dataset) -> Iterator[Diagnostic]:
    """Doubt a temperature that differs by more than 5 σ from that of the data."""
    implied = table["implied_temperature"]
    known = table.coords.get("temperature")
    if known is None or known.ndim or implied.ndim or implied.chunks is not None:
        return
    kelvin = float(to_kelvin(float(known), known.attrs.get("units", "K"), name="T"))
    std = float(table["implied_temperature_std"])
    away = abs(float(implied) - kelvin)
    if str(table["status"].values) == OK and away > max(5 * std, 1e-3 * kelvin):
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


@operation(takes="dynamic_structure_factor")
def fold(
    data: Data,
    T: Any = None,
    *,
    weights: Weights = "variance",
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    r"""Fold energy gain onto energy loss: the mean of S(Q,E) and exp(E/k_BT) S(Q,−E).

    .. math:: \bar S(E) = \frac{w_+ S(E) + w_-\,e^{x}S(-E)}{w_+ + w_-},\quad x = E/k_BT

    Loss is taken alone where energy gain was not measured or is masked, and beyond E =
    3 k_BT, where e^x amplifies any background more than twentyfold. Gain is taken alone
    where loss was not measured, up to there; beyond, the answer is NaN. If the sides
    disagree, the answer has a step where one of them ends (see ``fold_chi2``). If the
    grid is not symmetric, exp(−x/2) S, which is even, is interpolated linearly onto −E.
    Classical data are even in E: x is 0.

    No counts are data: a bin with S = 0 and σ = 0 is weighted as "counts", with the
    error of one count. Only a side of a spectrum with nothing else, as of a detector
    that was off, is taken as not measured.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) or S(E), with both signs of E and any further dimensions.
    T : scalar with units, optional
        Temperature (bare: K), where the data do not carry it; not needed for classical
        data.
    weights : {"variance", "counts"}
        "variance": w = 1/σ² of each side, the best if σ does not come from the counts
        themselves (with σ = √N the smaller number weighs more, and the mean is low by
        about one count). "counts": w₊ = 1, w₋ = e^(−x), which adds the counts of both
        sides: unbiased, and the best if both were measured equally long. Data without
        standard deviation are folded so.
    reversed_below : float, optional
        (S(E) − S(−E))/(S(E) + S(−E)) is k tanh(E/2k_BT) with k = 1, or −1 if the sign
        of E is reversed. If k, fitted from the end of the elastic line to 3 k_BT, is
        below this and five of its standard deviations below 0, the data are refused.
        None: not checked.

    Returns
    -------
    same type as `data`
        S over E ≥ 0; a Dataset with its std, the sides taken as independent, and, over
        leftover dimensions, ``fold_chi2``: the mean of (S(E) − e^x S(−E))² over its
        variance, over the bins where both count beyond the elastic line (two FWHM; all
        bins where nothing is left there). About 1 where the sides agree; NaN where gain
        counts nowhere.

    Raises
    ------
    RangeError
        If the data have one sign of E only.
    TemperatureError, QuantityError
        If the temperature or the kind of statistics is missing.
    CoordinateError
        If E has the other sign.

    References
    ----------
    S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter (1984), ch. 3.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> S = xbp.models.dynamic_structure_factor(
    ...     np.linspace(1, 5, 20), np.linspace(-20, 20, 81), energy="5 meV",
    ...     width="4 meV", T="280 K", u2="0.01 angstrom^2")
    >>> folded = S.bp.fold()
    >>> folded.sizes["E"], bool(np.allclose(folded.S, S.S.sel(E=slice(0, None))))
    (41, True)
    """
    choose(weights, Weights, "weights")
    signal = _with_both_signs(data)
    value, std = signal.value, signal.std
    E = value["E"].variable * convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    x: Any = E * 0.0
    carried: dict[str, xr.Variable] = {}
    if check_statistics(value.attrs.get("statistics")) == "quantum":
        temperature = resolve_temperature(value, T)
        require_sign(value, std, temperature, reversed_below)
        if "temperature" not in value.coords:
            carried = {"temperature": temperature_coordinate(T)}
        x = E / (constants.BOLTZMANN_MEV * temperature.variable)
    # exp(−x/2) S is even. Beyond x = 600 nothing of energy gain is left to fold.
    half = np.exp(np.clip(-x / 2, -300.0, 300.0))
    kept = value["E"].values >= 0
    own = value["E"].values[kept]

    def times_half(part: xr.DataArray) -> xr.DataArray:
        return part.copy(data=(part.variable * half).transpose(*part.dims).data)

    even, even_std = times_half(value), None if std is None else times_half(std)
    loss: Any = even.isel(E=kept).variable
    loss_std: Any = None if even_std is None else even_std.isel(E=kept).variable
    mirror, mirror_std = interpolate(even, even_std, "E", -own)
    gain: Any = mirror.variable
    gain_std: Any = None if mirror_std is None else mirror_std.variable
    half_loss = half.isel(E=kept)
    # The bin at E = 0 is its own counterpart.
    use_loss, use_gain = loss.notnull(), gain.notnull() & xr.Variable("E", own != 0)
    w_loss: Any = xr.ones_like(half_loss)
    w_gain: Any = half_loss**2
    informs = x.isel(E=kept) <= GAIN_INFORMS
    agreement = None
    if loss_std is not None:
        # As given: in `std`, bins without counts have the error of one count.
        none = (
            xr.DataArray(signal.source[f"{value.name}_std"] == 0)
            .transpose(*value.dims)
            .drop_vars("E")
            .astype(float)
        )
        sure = [
            none.isel(E=kept).variable < 1,
            interpolate(none.assign_coords(E=value["E"]), None, "E", -own)[0].variable
            < 1,
        ]
        no_loss, no_gain = (loss == 0) & ~sure[0], (gain == 0) & ~sure[1]
        # A side without a single count is that of a detector that was off.
        use_loss = use_loss & ~(no_loss | ~use_loss).all("E")
        use_gain = use_gain & ~(no_gain | ~use_gain).all("E") & informs
        sure_loss, sure_gain = use_loss & sure[0], use_gain & sure[1]
        both = sure_loss & sure_gain
        agreement = _agreement(
            value,
            own,
            loss - gain,
            (loss_std**2 + gain_std**2).where(both),
            loss / half_loss,
        )
        if weights == "variance":
            # A number without an error gives way to one with an error; a bin without
            # counts has one.
            use_loss = use_loss & (sure_loss | no_loss | ~sure_gain)
            use_gain = use_gain & (sure_gain | no_gain | ~sure_loss)
            w_loss, w_gain = (
                (gain_std**2).where(both, w_loss),
                (loss_std**2).where(both, w_gain),
            )
    use_gain = use_gain & informs
    w_loss, w_gain = w_loss * use_loss, w_gain * use_gain
    total = w_loss + w_gain
    back = 1 / (total.where(use_loss | use_gain) * half_loss)
    mean = (
        w_loss * loss.where(use_loss, 0.0) + w_gain * gain.where(use_gain, 0.0)
    ) * back
    out = value.isel(E=kept)
    # Unchanged to the last digit where loss is alone.
    alone = use_loss & ~use_gain
    mean = mean.where(~alone, out.variable)
    out_std = None
    if std is not None:
        own_std: Any = std.isel(E=kept).variable
        variance = (
            w_loss**2 * loss_std.where(use_loss, 0.0) ** 2
            + w_gain**2 * gain_std.where(use_gain, 0.0) ** 2
        )
        out_std = out.copy(
            data=(variance**0.5 * back).where(~alone, own_std).transpose(*out.dims).data
        )
        own_f: Any = independence(even_std, "E")
        gain_f: Any = independence(mirror_std, "E")
        if own_f is not None or gain_f is not None:
            own_f = 1.0 if own_f is None else own_f.isel(E=kept)
            gain_f = 1.0 if gain_f is None else gain_f
            single = w_loss**2 * loss_std.where(use_loss, 0.0) ** 2 / own_f
            single = single + w_gain**2 * gain_std.where(use_gain, 0.0) ** 2 / gain_f
            part = (variance / single.where(single > 0)).fillna(1.0)
            part = part.transpose(*out.dims)
            f = independence_variable(part.dims, part.data, "E")
            out = out.assign_coords({independence_name("E"): f})
    lower, upper = bin_limits(signal.source, "E")
    answer: Data = signal.answer(
        out.copy(data=mean.transpose(*out.dims).data).assign_coords(carried),
        out_std,
        operation="fold",
        arguments={"T": T, "weights": weights},
        attrs={"energy_zero": "used by fold"},
        bounds={
            "E": xr.Variable(
                ("E", "bnds"), np.stack([lower[kept], upper[kept]], axis=-1)
            )
        },
    )
    if agreement is not None and isinstance(answer, xr.Dataset):
        answer["fold_chi2"] = agreement
        # Two sides of thousands of bins that are one have a chi-squared of 1.
        if agreement.chunks is None and float(agreement.max()) > 2:
            doubt = Diagnostic(
                "fold_disagrees",
                "warning",
                "energy gain and loss, which were folded, disagree (reduced chi2 "
                f"{float(agreement.max()):.2g}): a background, another temperature, or "
                "errors that are too small",
                ".bp.detailed_balance() before .bp.fold() shows where",
            )
            with_doubts(answer, str(value.name), doubt)
    return answer


def _agreement(
    value: xr.DataArray,
    E: np.ndarray,
    difference: xr.Variable,
    variance: xr.Variable,
    spectrum: xr.Variable,
) -> xr.Variable:
    """Return χ² per bin of two equal sides, beyond the elastic line of the spectrum."""
    core = [dim for dim in ("Q", "E") if dim in value.dims]

    def chi2(
        difference: np.ndarray, variance: np.ndarray, spectrum: np.ndarray
    ) -> float:
        rows = spectrum.reshape(-1, E.size)
        known = np.isfinite(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            profile = np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0)
            squares = difference**2 / variance
        beyond = squares[..., elastic_reach(E, profile) <= E]
        chosen = beyond if np.isfinite(beyond).any() else squares
        return (
            float(chosen[np.isfinite(chosen)].mean())
            if np.isfinite(chosen).any()
            else float("nan")
        )

    answer: xr.Variable = xr.apply_ufunc(
        chi2,
        difference,
        variance,
        spectrum,
        input_core_dims=[core] * 3,
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    answer.attrs = {
        "units": "1",
        "long_name": "reduced chi-squared of two equal sides of E",
    }
    return answer
