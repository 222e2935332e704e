"""S(Q) of a measured or simulated S(Q,E): its integral over energy."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import (
    check_statistics,
    resolve_temperature,
    temperature_coordinate,
)
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interval, overlap
from xbp.core.independence import carried_independence, std_along
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import format_unit, parse_unit
from xbp.reduction.multiphonon import energies
from xbp.reduction.sample import sample_attribute, sample_labels

__all__ = ["integrate_E", "mirrored", "one_sided", "require_elastic"]


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
    data over E ≥ 0 alone the side of energy gain is added by detailed balance, as even
    in E where they are classical; the bin across 0 counts once.

    A Q where a bin of E_range holds no number is NaN, for a sum over what is left would
    pass for the whole: measured data end at energies that depend on Q. Their S(Q) is
    that of a narrower E_range, which is chosen, and recorded.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) over Q, E and any further dimensions, with its elastic line: integrate
        before `mask_elastic`.
    E_range : pair of scalars with units, optional
        Energies to integrate over, both signs; ``("-20 meV", "20 meV")``. By default
        all of the grid, and as much of energy gain where that is added.
    T : scalar with units, optional
        Temperature (bare: K), for the energy gain of quantum data over E ≥ 0 that do
        not carry it.

    Returns
    -------
    same type as `data`
        ``Sq`` over Q and leftover dimensions; a Dataset with its standard deviation,
        bins taken as independent (one that counts on both sides as one). Without units
        where S is in one over those of E. Where S is on an arbitrary scale so is S(Q),
        and does not tend to 1; ``attrs["normalization"]`` says so, or by which rule and
        factor S(Q,E) was normalized before.

    Raises
    ------
    RangeError
        If E_range reaches beyond the data, or holds numbers throughout at no Q; if the
        data do not hold E = 0.
    TemperatureError, QuantityError
        If energy gain is to be added and the temperature or the kind of statistics is
        missing; if S is a cross section, whose integral is no pure number.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    4 and 5.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> Sq = glass.bp.integrate_E().Sq
    >>> bool(abs(Sq - glass.Sq).max() < 0.02 * glass.Sq.max()), float(Sq.idxmax().round(2))
    (True, 2.72)
    """
    signal = read(data, "dynamic_structure_factor")
    value, units = (
        signal.value,
        signal.value["E"].attrs["units"] if "E" in signal.value.dims else "",
    )
    to_mev = energies(value)
    if "Q" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'Q' (it has {tuple(value.dims)})",
            reason="S(Q) is over Q",
            fix="integrate before a cut at constant Q",
        )
    sq_units = _units(signal)
    lower, upper = bin_limits(signal.source, "E")
    gain = one_sided(value)
    low, high = interval(E_range, signal.source, "E", name="E_range")
    if gain and E_range is None:
        low = -high
    _require_inside(lower, upper, low, high, gain, units)
    if E_range is None:
        require_elastic(lower, upper, units)
    weights = xr.Variable("E", overlap(lower, upper, low, high))
    carried = {}
    if gain and low < 0:
        x = xr.Variable("E", value["E"].values * to_mev)
        if check_statistics(value.attrs.get("statistics")) == "quantum":
            temperature = resolve_temperature(value, T)
            x = x / (constants.BOLTZMANN_MEV * temperature.variable)
            carried = (
                {"temperature": temperature_coordinate(T)}
                if "temperature" not in value.coords
                else {}
            )
        else:
            x = x * 0.0
        weights = weights + np.exp(-x) * xr.Variable(
            "E", mirrored(lower, upper, low, high)
        )
    used = (weights > 0).transpose("E", ...).values.reshape(lower.size, -1).any(axis=1)
    part: Any = value.variable.isel(E=used)
    weights = weights.isel(E=used)
    order = [d for d in value.dims if d != "E"]
    # A bin that overflowed holds no number.
    total: Any = xr.dot(part.where(abs(part) < np.inf), weights, dim="E").transpose(
        *order
    )
    _require_whole(value.isel(E=used), total, low, high, units)

    def summed(part: xr.DataArray) -> xr.Variable:
        independent = std_along(part, "E").variable.isel(E=used)
        return xr.Variable(
            order,
            (xr.dot(independent**2, weights**2, dim="E") ** 0.5).transpose(*order).data,
        )

    std: Any = None
    if signal.std is not None:
        std = summed(signal.std).transpose(*order)
        std = std.where(total.notnull())
    kept = {
        name: c.variable
        for name, c in value.coords.items()
        if "E" not in c.dims and name != "E"
    }
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
        },
    )
    return answer


def one_sided(value: xr.DataArray) -> bool:
    """Tell whether data are over E ≥ 0 alone."""
    return "E" in value.dims and bool((value["E"].values >= 0).all())


def mirrored(
    lower: np.ndarray, upper: np.ndarray, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """Return the width of the mirror image in E of each bin, in an interval and beyond what the bin itself holds.

    Examples
    --------
    >>> mirrored(np.array([-0.5, 0.5]), np.array([0.5, 1.5])), mirrored(np.array([-0.1]), np.array([0.5]), -0.4, 9)
    (array([0., 1.]), array([0.3]))
    """
    start = np.abs(lower)
    return overlap(start, np.maximum(start, upper), -high, -low)


def _scale(signal: Signal) -> str:
    """Say what set the scale of S(Q,E), as far as it is known."""
    before = sample_attribute(signal, "normalization")
    if isinstance(before, str):
        return f", S(Q,E) normalized {before}"
    return (
        ", S(Q,E) being on an arbitrary scale"
        if parse_unit(signal.units).dimensionless
        else ""
    )


def _units(signal: Signal) -> str:
    """Return the units of S(Q), a pure number, or say that they are others."""
    per_energy = parse_unit(signal.units) * parse_unit(signal.value["E"].attrs["units"])
    if parse_unit(signal.units).dimensionless:
        return "1"
    if not per_energy.dimensionless:
        raise QuantityError(
            f"the integral over E is in '{format_unit(per_energy)}', "
            f"'{signal.value.name}' being in '{signal.units}'",
            reason="S(Q) is a pure number",
            fix="divide by the scattering per atom, data.bp.scale('0.25 sr/barn') or "
            "as it may be, or "
            "data.bp.normalize_to_sum_rule(...)",
        )
    return format_unit(per_energy)


def _require_inside(
    lower: np.ndarray,
    upper: np.ndarray,
    low: float,
    high: float,
    gain: bool,
    units: str,
) -> None:
    first, last = -upper[-1] if gain else lower[0], upper[-1]
    slack = 1e-9 * (last - first)
    if low < first - slack or high > last + slack:
        raise RangeError(
            f"E_range ({low:g} to {high:g} {units}) reaches beyond the data",
            reason=f"they reach from {first:g} to {last:g} {units}, and a part would "
            "pass for the whole",
            fix="choose a range inside",
        )
    if gain and high > 0:
        require_elastic(lower, upper, units, max(low, 0.0))


def require_elastic(
    lower: np.ndarray, upper: np.ndarray, units: str, at: float = 0.0
) -> None:
    """Refuse bins of E that begin above an energy or end below it.

    The elastic line is not in them.
    """
    slack = 1e-9 * (upper[-1] - lower[0])
    if lower[0] <= at + slack and upper[-1] >= at - slack:
        return
    raise RangeError(
        f"the data begin at E = {lower[0]:g} {units}"
        if lower[0] > at
        else f"the data end at E = {upper[-1]:g} {units}",
        reason="the elastic line, or a part of it, is not in them, and is most of S(Q)",
        fix=f"pass data that hold E = 0; integrate_E(('{lower[0]:.4g} {units}', "
        f"'{upper[-1]:.4g} {units}')) is the "
        "inelastic part alone, and the rule 'f-sum' of normalize_to_sum_rule does "
        "without the line",
    )


def _require_whole(
    part: xr.DataArray, total: xr.Variable, low: float, high: float, units: str
) -> None:
    """Say which energies are known where no Q holds all of them."""
    if total.chunks is not None or total.notnull().any():
        return
    known = part.notnull().transpose("E", ...).values.reshape(part.sizes["E"], -1)
    best = known[:, int(known.sum(axis=0).argmax())]
    at = part["E"].values[best]
    where = f", from {at[0]:.4g} to {at[-1]:.4g} {units}" if at.size else ""
    raise RangeError(
        f"at no Q does '{part.name}' hold numbers throughout {low:g} to {high:g} "
        f"{units}",
        reason=f"at best {best.sum()} of {best.size} bins hold one{where}, and a sum "
        "over those would pass for S(Q)",
        fix="narrow E_range to what was measured; integrate before mask_elastic",
    )
