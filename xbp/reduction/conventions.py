"""The factor between S(Q,E), G(Q,E) and B(Q,E) in every convention, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.errors import RangeError
from xbp.core.schema import canonical_factor
from xbp.models.factors import (
    GAIN_INFORMS,
    Convention,
    energy_factor,
    momentum_factor,
)

__all__ = [
    "FORMS",
    "GDOS",
    "NO_Q",
    "common_of_conditions",
    "form_factors",
    "with_factors",
]

#: Quantity of each convention, and the powers of E and Q in its units.
FORMS: Final[dict[Convention | None, tuple[str, int, int]]] = {
    None: ("dynamic_structure_factor", 0, 0),
    "E*n*S/Q^2": ("generalized_dos", 1, -2),
    "n*S/(E*Q^2)": ("reduced_dos", -1, -2),
    "n*S/Q^2": ("reduced_dos", 0, -2),
    "S*E/Q": ("generalized_dos", 1, -1),
    "S*n/(E*Q)": ("reduced_dos", -1, -1),
    "n*S/E": ("reduced_dos", -1, 0),
}
GDOS: Final[Convention] = "E*n*S/Q^2"
#: That of spectra whose Q is not known.
NO_Q: Final[Convention] = "n*S/E"


def form_factors(
    value: xr.DataArray,
    source: Convention | None,
    target: Convention | None,
    at: Mapping[str, xr.Variable],
) -> tuple[xr.Variable, xr.Variable]:
    """Return the factors in E and in Q at a temperature (K) and u² (angstrom²).

    Data without Q have a factor 1 in its place: their convention has none.
    """
    own = value.coords.variables
    per_e = canonical_factor(own["E"].attrs["units"], "E")
    E, Q, per_q = own["E"].values * per_e, np.ones(1), 1.0
    if "Q" in value.dims:
        per_q = canonical_factor(own["Q"].attrs["units"], "Q")
        Q = own["Q"].values * per_q
    T, u2 = (at.get(name, xr.Variable((), 0.0)) for name in ("temperature", "u2"))
    kelvin, displacement = T.values[..., None], u2.values[..., None]
    largest = np.sqrt(
        np.log(np.finfo(float).max) / np.max(displacement, initial=1e-300)
    )
    if np.max(Q, initial=0.0) > largest:
        raise RangeError(
            f"u2={np.max(displacement):.3g} angstrom^2 makes exp(Q²u²) infinite above "
            f"{largest:.3g} 1/angstrom",
            fix="u2 is per axis, and some 0.01 angstrom^2 in a solid",
        )
    statistics = value.attrs.get("statistics", "quantum")
    by_energy = np.ones((*T.shape, E.size))
    by_momentum = np.ones((*u2.shape, Q.size))
    for convention, power in ((target, 1), (source, -1)):
        if convention is None:
            continue
        _, e_power, q_power = FORMS[convention]
        e = energy_factor(convention, E, kelvin, statistics) / per_e**e_power
        q = momentum_factor(convention, Q, displacement) / per_q**q_power
        # NaN where a factor vanishes and cannot be divided by.
        by_energy *= e if power > 0 else 1 / np.where(e == 0, np.nan, e)
        by_momentum *= q if power > 0 else 1 / q
    if "n" in (target or "") and "n" not in (source or "") and statistics == "quantum":
        by_energy[-GAIN_INFORMS * constants.BOLTZMANN_MEV * kelvin > E] = np.nan
    return (
        xr.Variable((*T.dims, "E"), by_energy),
        xr.Variable((*u2.dims, "Q"), by_momentum)
        if "Q" in value.dims
        else xr.Variable((), 1.0),
    )


def common_of_conditions(
    value: xr.DataArray,
    source: Convention | None,
    target: Convention | None,
    coords: Mapping[str, xr.Variable],
    errors: Mapping[str, xr.Variable],
) -> dict[str, xr.Variable]:
    """Return the effect of the errors of T and u², by central differences."""
    common = {}
    for name, error in errors.items():
        # T and u² stay above zero.
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.nan_to_num((coords[name] / (2 * error)).values, nan=1.0)
        step = float(np.clip(ratio.min(), 1e-3, 1.0))
        moved = (
            form_factors(
                value, source, target, {**coords, name: coords[name] + by * error}
            )
            for by in (step, -step)
        )
        high, low = (by_energy * by_momentum for by_energy, by_momentum in moved)
        part: Any = value.variable * ((high - low) / (2 * step))
        common[str(error.attrs["source"])] = part.fillna(0.0)
    return common


def with_factors(array: xr.Variable, factors: Sequence[xr.Variable]) -> xr.Variable:
    """Multiply by each factor in turn, in place after the first: one new array."""
    if not factors:
        return array
    out: xr.Variable = (array * factors[0]).transpose(*array.dims)
    for factor in factors[1:]:
        out *= factor
    return out
