"""Both sides of E: folded onto one, and integrated over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final, Literal, NoReturn

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import (
    resolve,
    statistics_of,
)
from xbp.core.data import Data, is_lazy, require_dims, require_inside
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interpolate, interval, overlap
from xbp.core.guards import choose
from xbp.core.independence import (
    carried_independence,
    independence,
    independence_name,
    independence_variable,
    std_along,
)
from xbp.core.numbers import advised
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import format_unit, parse_unit
from xbp.models.factors import GAIN_INFORMS
from xbp.reduction.comparable import off_scale
from xbp.reduction.detailed_balance import with_both_signs
from xbp.reduction.elastic import elastic_reach
from xbp.reduction.sample import sample_attribute, sample_labels
from xbp.reduction.sign import REVERSED_BELOW, with_right_sign

__all__ = ["fold", "integrate_E", "mirrored", "one_sided", "require_elastic"]

#: How the two sides are weighted.
Weights = Literal["variance", "counts"]
#: Sides that differ by this part of their error, beyond chance, get a diagnostic.
_DIFFER: Final = 0.5


@operation(takes="dynamic_structure_factor")
@carries_common_errors(linear=True)
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
    signal = with_both_signs(data)
    value, std = signal.value, signal.std
    x, carried = _in_kT(value, T)
    known = value.assign_coords(carried)
    if "temperature" in known.coords:
        kelvin = resolve(known, "temperature")
        value, _ = with_right_sign(value, std, kelvin, reversed_below)
    # exp(−x/2) S is even. Beyond x = 600 nothing of energy gain is left to fold.
    half = np.exp(np.clip(-x / 2, -300.0, 300.0))
    kept = value["E"].values >= 0
    own = value["E"].values[kept]
    out = value.isel(E=kept)

    def on_grid(part: xr.Variable, grid: xr.DataArray) -> xr.DataArray:
        return grid.copy(data=part.transpose(*grid.dims).data)

    even, even_std = signal.both(lambda part: on_grid(part.variable * half, value))
    mirror, mirror_std = interpolate(even, even_std, "E", -own)
    half, x = half.isel(E=kept), x.isel(E=kept)
    loss: Any = even.isel(E=kept).variable
    gain: Any = mirror.variable
    # The bin at E = 0 is its own counterpart.
    use_loss, use_gain = loss.notnull(), gain.notnull() & xr.Variable("E", own != 0)
    w_loss: Any = xr.ones_like(half)
    w_gain: Any = half**2
    informs = x <= GAIN_INFORMS
    agreement = compared = None
    loss_var: Any = 0.0
    gain_var: Any = 0.0
    if even_std is not None and mirror_std is not None:
        loss_var = even_std.isel(E=kept).variable ** 2
        gain_var = mirror_std.variable**2
        # As given: in `std`, bins without counts have the error of one count.
        none = on_grid(signal.source[f"{value.name}_std"].variable == 0, value)
        none = none.astype(float)
        sure_loss = none.isel(E=kept).variable < 1
        sure_gain = interpolate(none, None, "E", -own)[0].variable < 1
        no_loss, no_gain = (loss == 0) & ~sure_loss, (gain == 0) & ~sure_gain
        # A side without a single count is that of a detector that was off.
        use_loss = use_loss & ~(no_loss | ~use_loss).all("E")
        use_gain = use_gain & ~(no_gain | ~use_gain).all("E") & informs
        sure_loss, sure_gain = use_loss & sure_loss, use_gain & sure_gain
        both = sure_loss & sure_gain
        core = [dim for dim in ("Q", "E") if dim in value.dims]
        agreement = over_spectra(
            _agreement, loss - gain, (loss_var + gain_var).where(both), loss / half,
            core=core, E=own,
        ).variable  # fmt: skip
        compared = both.sum(core)
        if weights == "variance":
            # A number without an error gives way to one with an error; a bin without
            # counts has one.
            use_loss = use_loss & (sure_loss | no_loss | ~sure_gain)
            use_gain = use_gain & (sure_gain | no_gain | ~sure_loss)
            w_loss, w_gain = gain_var.where(both, w_loss), loss_var.where(both, w_gain)
    use_gain = use_gain & informs
    w_loss, w_gain = w_loss * use_loss, w_gain * use_gain
    back = 1 / ((w_loss + w_gain).where(use_loss | use_gain) * half)
    mean = w_loss * loss.where(use_loss, 0.0) + w_gain * gain.where(use_gain, 0.0)
    # Unchanged to the last digit where loss is alone.
    alone = use_loss & ~use_gain
    answered = on_grid((mean * back).where(~alone, out.variable), out)
    out_std = None
    if std is not None:
        own_std: Any = std.isel(E=kept).variable
        parts = [
            w_loss**2 * loss_var.where(use_loss, 0.0),
            w_gain**2 * gain_var.where(use_gain, 0.0),
        ]
        variance = parts[0] + parts[1]
        out_std = on_grid((variance**0.5 * back).where(~alone, own_std), out)
        own_f: Any = independence(even_std, "E")
        gain_f: Any = independence(mirror_std, "E")
        if own_f is not None or gain_f is not None:
            own_f = 1.0 if own_f is None else own_f.isel(E=kept)
            single = parts[0] / own_f + parts[1] / (1.0 if gain_f is None else gain_f)
            part = (variance / single.where(single > 0)).fillna(1.0)
            part = part.transpose(*out.dims)
            f = independence_variable(part.dims, part.data, "E")
            answered = answered.assign_coords({independence_name("E"): f})
    lower, upper = bin_limits(signal.source, "E")
    answer: Data = signal.answer(
        answered,
        out_std,
        operation="fold",
        arguments={"T": T, "weights": weights},
        attrs={"energy_zero": "used by fold"},
        coords=carried,
        bounds={"E": (lower[kept], upper[kept])},
    )
    if agreement is not None and isinstance(answer, xr.Dataset):
        _record_agreement(answer, str(value.name), agreement, compared)
    return answer


def _in_kT(value: xr.DataArray, T: Any) -> tuple[Any, dict[str, xr.Variable]]:
    """Return E/k_BT, 0 for classical data; and the coordinate T if the data lack it."""
    E = xr.Variable("E", value["E"].values * per_unit(value, "E"))
    if statistics_of(value) == "classical":
        return E * 0.0, {}
    kelvin = resolve(value, "temperature", T=T).variable
    carried = {} if "temperature" in value.coords else {"temperature": kelvin}
    return E / (constants.BOLTZMANN_MEV * kelvin), carried


def _record_agreement(folded: xr.Dataset, name: str, chi2: xr.Variable, n: Any) -> None:
    """Keep the reduced χ² of both sides in the answer, and doubt sides that differ."""
    label = "reduced chi-squared of the sides"
    folded["fold_chi2"] = chi2.dims, chi2.data, {"units": "1", "long_name": label}
    if is_lazy(chi2):
        return
    # Of n bins of equal sides it is 1 ± √(2/n); 1 + t² if they differ by t of σ.
    by_chance = 5 * np.sqrt(2 / np.maximum(n, 1))
    if bool((chi2 > 1 + np.maximum(by_chance, _DIFFER**2)).any()):
        doubt = Diagnostic(
            "fold_disagrees",
            "warning",
            "the folded sides of energy gain and loss disagree (reduced chi2 "
            f"{float(chi2.max()):.2g})",
            "look at .bp.detailed_balance() before .bp.fold()",
        )
        folded[name].attrs |= diagnosed(folded[name].attrs, doubt)


@np.errstate(divide="ignore", invalid="ignore")
def _agreement(
    difference: np.ndarray, variance: np.ndarray, spectrum: np.ndarray, *, E: np.ndarray
) -> float:
    """Return χ² per bin of two equal sides, beyond the elastic line of the spectrum."""
    rows = spectrum.reshape(-1, E.size)
    known = np.isfinite(rows)
    profile = np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0)
    squares = difference**2 / variance
    beyond = squares[..., elastic_reach(E, profile) <= E]
    chosen = beyond if np.isfinite(beyond).any() else squares
    chosen = chosen[np.isfinite(chosen)]
    return float(chosen.mean()) if chosen.size else float("nan")


@operation(
    takes="dynamic_structure_factor",
    gives="static_structure_factor",
    over="QE",
    step=22,
)
@carries_common_errors(linear=True)
def integrate_E(data: Data, E_range: Any = None, T: Any = None) -> Data:
    r"""Integrate S(Q,E) over energy: the static structure factor S(Q).

    .. math:: S(Q) = \int S(Q,E)\,dE, \quad S(Q,-E) = e^{-E/k_BT}\,S(Q,E)

    The sum over bins of S times the width of the bin, as far as it lies in E_range. To
    data over E ≥ 0 alone the side of energy gain is added by detailed balance, or as
    even in E for classical data; the bin across 0 counts once.

    S(Q) is NaN at a Q where a bin of E_range has no number, since a sum over the rest
    is not the whole: measured data end at energies that depend on Q. For their S(Q)
    choose a narrower E_range, which is recorded.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) over Q, E and any further dimensions, with its elastic line: integrate
        before `mask_elastic`.
    E_range : pair of scalars with units, optional
        Energies to integrate over, both signs; ``("-20 meV", "20 meV")``. By default
        all of the grid, and as much of energy gain if that is added.
    T : scalar with units, optional
        Temperature (bare: K), for the energy gain of quantum data over E ≥ 0, if they
        do not carry it.

    Returns
    -------
    same type as `data`
        ``Sq`` over Q and leftover dimensions; a Dataset with its standard deviation,
        for independent bins (one that counts on both sides is one). Without units if S
        is in the inverse of those of E. If S is on an arbitrary scale so is S(Q), which
        does not tend to 1; ``attrs["normalization"]`` records it, or the rule and
        factor by which S(Q,E) was normalized before.

    Raises
    ------
    RangeError
        If E_range reaches beyond the data, or has numbers throughout at no Q; if the
        data do not include E = 0.
    TemperatureError, QuantityError
        If energy gain is to be added and the temperature or the kind of statistics is
        missing; if S is a cross section, whose integral is not a pure number.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    4 and 5.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> Sq = glass.bp.integrate_E().Sq
    >>> bool(abs(Sq - glass.Sq).max() < 0.02 * glass.Sq.max())
    True
    >>> float(Sq.idxmax().round(2))
    2.72
    """
    signal = read(data, "dynamic_structure_factor")
    value = signal.value
    require_dims(value, ("Q", "E"), "integrate_E", fix="integrate before the cut")
    units = value["E"].attrs["units"]
    sq_units = _units(signal)
    lower, upper = bin_limits(signal.source, "E")
    gain = one_sided(value)
    low, high = interval(E_range, signal.source, "E", name="E_range")
    if gain and E_range is None:
        low = -high
    require_inside(
        (low, high), (-upper[-1] if gain else lower[0], upper[-1]), "E_range", units
    )
    if gain and high > 0:
        require_elastic(lower, upper, units, max(low, 0.0))
    if E_range is None:
        require_elastic(lower, upper, units)
    weights = xr.Variable("E", overlap(lower, upper, low, high))
    carried: dict[str, xr.Variable] = {}
    if gain and low < 0:
        x, carried = _in_kT(value, T)
        image = xr.Variable("E", mirrored(lower, upper, low, high))
        weights = weights + np.exp(-x) * image
    used = (weights > 0).transpose("E", ...).values.reshape(lower.size, -1).any(axis=1)
    weights = weights.isel(E=used)
    part: Any = value.variable.isel(E=used)
    part = part.where(abs(part) < np.inf)  # a bin that overflowed has no number
    order = [d for d in value.dims if d != "E"]
    total: Any = xr.dot(part, weights, dim="E").transpose(*order)
    if not is_lazy(total) and not total.notnull().any():
        refuse_parts(xr.DataArray(part), value["E"].values[used], units)

    def summed(part: xr.DataArray) -> xr.Variable:
        independent = std_along(part, "E").variable.isel(E=used)
        variance: Any = xr.dot(independent**2, weights**2, dim="E")
        spread: xr.Variable = (variance**0.5).transpose(*order)
        return spread

    std: Any = None
    if signal.std is not None:
        std = summed(signal.std)
        std = std.where(total.notnull())
    kept = {n: c for n, c in value.coords.variables.items() if "E" not in c.dims}
    kept.pop("E", None)
    kept |= carried_independence(value, signal.std, "E", summed, std)
    out = xr.DataArray(total, coords=kept | carried, name=value.name, attrs=value.attrs)
    source: Any = signal.source
    if isinstance(source, xr.Dataset):  # an S(Q) beside S(Q,E) is another one
        source = source.drop_vars(["Sq", "Sq_std"], errors="ignore")
    answer: Data = dataclasses.replace(signal, source=source).answer(
        out,
        std,
        operation="integrate_E",
        arguments={
            "E_range": [f"{low:.10g} {units}", f"{high:.10g} {units}"],
            "T": T,
            "energy_gain": gain and low < 0,
        },
        units=sq_units,
        quantity="static_structure_factor",
        attrs={
            "normalization": f"∫S(Q,E) dE from {low:.6g} to {high:.6g} "
            f"{units}{_scale(signal)}",
            "statistics": None,
            # A DataArray goes on without the attributes of its Dataset.
            **sample_labels(signal),
            **diagnosed(value.attrs, *_doubts(out, sq_units, signal.units)),
        },
    )
    return answer


def _doubts(sq: xr.DataArray, units: str, before: str) -> Iterator[Diagnostic]:
    """Count the Q without S(Q), and doubt the limit of one on an absolute scale."""
    if is_lazy(sq):
        return
    if missing := int(sq.isnull().sum()):
        message = f"S(Q) is NaN at {missing} of {sq.size} Q, where E_range has gaps"
        yield Diagnostic("sq_incomplete", "info", message, "narrow E_range")
    absolute = not parse_unit(before).dimensionless
    if absolute and (text := off_scale(sq.assign_attrs(units=units))):
        yield Diagnostic("sq_limit", "warning", text)


def one_sided(value: xr.DataArray) -> bool:
    """Whether data are over E ≥ 0 alone."""
    return "E" in value.dims and bool((value["E"].values >= 0).all())


def mirrored(
    lower: np.ndarray, upper: np.ndarray, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Return the width of the mirror image of each bin in E, beyond the bin itself.

    Only as far as it lies in an interval.

    Examples
    --------
    >>> mirrored(np.array([-0.5, 0.5]), np.array([0.5, 1.5]))
    array([0., 1.])
    >>> mirrored(np.array([-0.1]), np.array([0.5]), -0.4, 9)
    array([0.3])
    """
    start = np.abs(lower)
    return overlap(start, np.maximum(start, upper), -high, -low)


def _scale(signal: Signal) -> str:
    """Describe what set the scale of S(Q,E), as far as it is known."""
    before = sample_attribute(signal, "normalization")
    if isinstance(before, str):
        return f", S(Q,E) normalized {before}"
    return (
        ", S(Q,E) being on an arbitrary scale"
        if parse_unit(signal.units).dimensionless
        else ""
    )


def _units(signal: Signal) -> str:
    """Return the units of S(Q), which must be a pure number."""
    per_energy = parse_unit(signal.units) * parse_unit(signal.value["E"].attrs["units"])
    if parse_unit(signal.units).dimensionless:
        return "1"
    if not per_energy.dimensionless:
        raise QuantityError(
            f"the integral of '{signal.value.name}' over E is in "
            f"'{format_unit(per_energy)}', and S(Q) is a pure number",
            fix="data.bp.scale('0.25 sr/barn') first",
        )
    return format_unit(per_energy)


def require_elastic(
    lower: np.ndarray, upper: np.ndarray, units: str, at: float = 0.0
) -> None:
    """Refuse bins of E without the elastic line, which is at an energy `at`."""
    slack = 1e-9 * (upper[-1] - lower[0])
    if lower[0] <= at + slack and upper[-1] >= at - slack:
        return
    begins = lower[0] > at
    end = f"begin at E = {lower[0]:g}" if begins else f"end at E = {upper[-1]:g}"
    low, high = advised(lower[0], 1, 6), advised(upper[-1], -1, 6)
    raise RangeError(
        f"the data {end} {units}, without the elastic line",
        fix=f"pass data with E = 0; integrate_E(('{low} {units}', '{high} {units}')) "
        "is the inelastic part alone; or rule='f-sum'",
    )


def refuse_parts(
    part: xr.DataArray, E: np.ndarray, units: str, lost: Any = True
) -> NoReturn:
    """Report what is known at the best Q of the maps in which no Q is complete."""
    lost = xr.DataArray(lost)
    known = (abs(part) < np.inf).where(lost, False).transpose("E", ...)
    columns = known.values.reshape(E.size, -1)
    best = columns[:, int(columns.sum(axis=0).argmax())]
    where = f", {E[best][0]:.4g} to {E[best][-1]:.4g} {units}" if best.any() else ""
    maps = f" in {int(lost.sum())} of {lost.size} maps" if lost.ndim else ""
    raise RangeError(
        f"no bin of Q covers the range of E, {E[0]:.4g} to {E[-1]:.4g} "
        f"{units}{maps}; at best {best.sum()} of {E.size} bins have a value{where}",
        fix="narrow E_range; integrate before mask_elastic",
    )
