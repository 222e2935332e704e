"""S(Q) of a measured or simulated S(Q,E): its integral over energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
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
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interval, overlap
from xbp.core.guards import require_dims, require_inside
from xbp.core.independence import carried_independence, std_along
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import format_unit, parse_unit
from xbp.reduction.multiphonon import energies
from xbp.reduction.sample import off_scale, sample_attribute, sample_labels

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
    to_mev = energies(value)
    units = value["E"].attrs["units"]
    require_dims(value, "Q", "integrate_E", fix="integrate before a cut at constant Q")
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
        x = xr.Variable("E", value["E"].values * to_mev)
        if check_statistics(value.attrs.get("statistics")) == "quantum":
            temperature = resolve_temperature(value, T)
            x = x / (constants.BOLTZMANN_MEV * temperature.variable)
            if "temperature" not in value.coords:
                carried = {"temperature": temperature_coordinate(T)}
        else:
            x = x * 0.0
        weights = weights + np.exp(-x) * xr.Variable(
            "E", mirrored(lower, upper, low, high)
        )
    used = (weights > 0).transpose("E", ...).values.reshape(lower.size, -1).any(axis=1)
    weights = weights.isel(E=used)
    part: Any = value.variable.isel(E=used)
    part = part.where(abs(part) < np.inf)  # a bin that overflowed has no number
    order = [d for d in value.dims if d != "E"]
    total: Any = xr.dot(part, weights, dim="E").transpose(*order)
    _require_whole(value.isel(E=used), total, low, high, units)

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
    if sq.chunks is not None:
        return
    if missing := int(sq.isnull().sum()):
        yield Diagnostic(
            "sq_incomplete",
            "info",
            f"S(Q) is NaN at {missing} of {sq.size} Q, where E_range has bins without "
            "numbers",
            "narrow E_range",
        )
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
            fix="divide by the scattering per atom, as by data.bp.scale('0.25 "
            "sr/barn'), or data.bp.normalize_to_sum_rule(...)",
        )
    return format_unit(per_energy)


def require_elastic(
    lower: np.ndarray, upper: np.ndarray, units: str, at: float = 0.0
) -> None:
    """Refuse bins of E without the elastic line, which is at an energy `at`."""
    slack = 1e-9 * (upper[-1] - lower[0])
    if lower[0] <= at + slack and upper[-1] >= at - slack:
        return
    raise RangeError(
        f"the data begin at E = {lower[0]:g} {units}"
        if lower[0] > at
        else f"the data end at E = {upper[-1]:g} {units}",
        reason="the elastic line, most of S(Q), is not or only partly in them",
        fix=f"pass data with E = 0; integrate_E(('{lower[0]:.4g} {units}', "
        f"'{upper[-1]:.4g} {units}')) is the inelastic part alone, and the rule "
        "'f-sum' of normalize_to_sum_rule does not need the line",
    )


def _require_whole(
    part: xr.DataArray, total: xr.Variable, low: float, high: float, units: str
) -> None:
    """Refuse data without any Q at which all energies have numbers."""
    if total.chunks is not None or total.notnull().any():
        return
    known = part.notnull().transpose("E", ...).values.reshape(part.sizes["E"], -1)
    best = known[:, int(known.sum(axis=0).argmax())]
    at = part["E"].values[best]
    where = f", from {at[0]:.4g} to {at[-1]:.4g} {units}" if at.size else ""
    raise RangeError(
        f"at no Q does '{part.name}' have numbers throughout {low:g} to {high:g} "
        f"{units}",
        reason=f"at best {best.sum()} of {best.size} bins have one{where}",
        fix="narrow E_range to what was measured; integrate before mask_elastic",
    )
