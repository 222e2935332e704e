"""The factor between S(Q,E) and its reductions, one in E times one in Q, and what errors of T and u² make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import fingerprint
from xbp.core.errors import QuantityError
from xbp.core.schema import COORDINATES
from xbp.core.units import convert_factor, magnitude, split_quantity
from xbp.models.factors import GAIN_INFORMS, Convention, energy_factor, momentum_factor

__all__ = [
    "POWERS",
    "common_of_conditions",
    "errors_of_conditions",
    "factors_of",
    "has_n",
]

#: Powers of E and Q by which each convention multiplies the units of S.
POWERS: dict[Convention, tuple[int, int]] = {
    "E*n*S/Q^2": (1, -2),
    "n*S/(E*Q^2)": (-1, -2),
    "S*E/Q": (1, -1),
    "S*n/(E*Q)": (-1, -1),
}


def factors_of(
    value: xr.DataArray,
    source: Convention | None,
    target: Convention | None,
    temperature: xr.DataArray,
    displacement: xr.DataArray,
) -> tuple[xr.Variable, xr.Variable]:
    """Return the factors in E and in Q at a temperature (K) and a displacement (angstrom²)."""
    to_mev = convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    to_angstrom = convert_factor(
        value["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'"
    )
    E = value["E"].variable * to_mev
    Q = value["Q"].variable * to_angstrom
    temperatures, energies = xr.broadcast(temperature, xr.DataArray(E))
    displacements, momenta = xr.broadcast(displacement, xr.DataArray(Q))
    by_energy, by_momentum = np.ones(energies.shape), np.ones(momenta.shape)
    statistics = value.attrs.get("statistics", "quantum")
    if has_n(target) and not has_n(source) and statistics == "quantum":
        by_energy[
            energies.values
            < -GAIN_INFORMS * constants.BOLTZMANN_MEV * temperatures.values
        ] = np.nan
    for convention, sign in ((target, 1), (source, -1)):
        if convention is None:
            continue
        e_power, q_power = POWERS[convention]
        e = energy_factor(convention, energies.values, temperatures.values, statistics)
        q = momentum_factor(convention, momenta.values, displacements.values)
        # In the units of the coordinates, and NaN where a factor vanishes and cannot be
        # divided by.
        e, q = e / to_mev**e_power, q / to_angstrom**q_power
        by_energy = by_energy * (e if sign > 0 else 1 / np.where(e == 0, np.nan, e))
        by_momentum = by_momentum * (q if sign > 0 else 1 / q)
    return xr.Variable(energies.dims, by_energy), xr.Variable(momenta.dims, by_momentum)


def errors_of_conditions(
    value: xr.DataArray, coords: Mapping[str, xr.Variable], given: Mapping[str, Any]
) -> dict[str, xr.Variable]:
    """Return the standard deviations of T and u² that are given or carried, with the name of what each belongs to."""
    found = {}
    for name, argument in given.items():
        units = COORDINATES[name][0]
        carried = value.coords.get(f"{name}_std")
        if argument is None and carried is None:
            continue
        label = "T_std" if name == "temperature" else "u2_std"
        if name not in coords:
            if argument is None:
                continue
            raise QuantityError(
                f"{label}={argument!r} is not used",
                reason="this factor does not depend on it",
                fix=f"leave {label}= out",
            )
        error = argument if argument is not None else carried
        bare = f"({value['Q'].attrs['units']})**-2" if name == "u2" else "K"
        number, own = split_quantity(error, label)
        if isinstance(number, xr.DataArray) and number.ndim:
            std = number.variable.astype(float) * convert_factor(
                own or bare, units, name=label
            )
        else:
            std = xr.Variable((), magnitude(error, units, name=label, default=bare))
        if not set(std.dims) <= set(coords[name].dims) or not bool(
            ((std >= 0) & (std < np.inf)).all()
        ):
            raise QuantityError(
                f"{label} is {std.values} {units} over {std.dims}",
                reason="it is a standard deviation, finite and not negative, over "
                f"dimensions of {name}",
                fix=f"{label}='{'2 K' if name == 'temperature' else '0.001 angstrom^2'}'",
            )
        source = (
            carried.attrs.get("source")
            if argument is None and carried is not None
            else None
        )
        source = source or fingerprint(name, value, coords[name], std)
        std.attrs = {
            "units": units,
            "long_name": f"standard deviation of {COORDINATES[name][1]}",
            "source": source,
        }
        found[name] = std
    return found


def common_of_conditions(
    value: xr.DataArray,
    source: Convention | None,
    target: Convention | None,
    coords: Mapping[str, xr.Variable],
    errors: Mapping[str, xr.Variable],
) -> dict[str, xr.Variable]:
    """Return what the errors of T and u² make of the answer.

    Half the difference of both ends.
    """
    common = {}
    at = {
        name: xr.DataArray(coords[name]) if name in coords else xr.DataArray(0.0)
        for name in ("temperature", "u2")
    }
    here = factors_of(value, source, target, at["temperature"], at["u2"])
    for name, error in errors.items():
        # T and u² stay above zero.
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (coords[name] / (2 * error)).values
        step = float(np.clip(np.nan_to_num(ratio, nan=1.0).min(), 1e-3, 1.0))
        ends = []
        for by in (step, -step):
            there = {**at, name: at[name] + by * xr.DataArray(error)}
            ends.append(
                factors_of(value, source, target, there["temperature"], there["u2"])
            )
        which = 0 if name == "temperature" else 1
        slope = (ends[0][which] - ends[1][which]) / (2 * step)
        part: Any = value.variable * slope * here[1 - which]
        common[str(error.attrs["source"])] = part.fillna(0.0).transpose(*value.dims)
    return common


def has_n(convention: Convention | None) -> bool:
    """Tell whether a convention divides the phonon occupation out."""
    return convention is not None and "n" in convention
