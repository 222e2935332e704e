"""A density of states of a higher incident energy, to go on where the range of another ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interval
from xbp.core.signal import Signal, read
from xbp.reduction.dos_area import known_area, require_known_area
from xbp.reduction.multiphonon import energies

__all__ = ["Axis", "Continuation"]


@dataclass(frozen=True)
class Continuation:
    """g(E) above the range in which it is measured.

    Attributes
    ----------
    value, std : xarray.DataArray
        On any scale, over ``_i`` and further dimensions; the std is NaN where none is
        known.
    E, lower, upper : numpy.ndarray, shape (n_i,)
        Centres and limits of its bins in meV.
    joined : numpy.ndarray of bool, shape (n_E,)
        Bins of the data over which it is scaled to have their area.
    end : float
        Where the bins of the data end that g is found in, in meV.
    whole : bool
        Whether it says that it is of all modes.
    """

    value: xr.DataArray
    std: xr.DataArray
    E: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    joined: np.ndarray
    end: float
    whole: bool

    @classmethod
    def none(cls, signal: Signal) -> Continuation:
        """Return that nothing goes on."""
        nothing = xr.DataArray(np.empty(0), dims="_i")
        return cls(
            nothing,
            nothing,
            *3 * (np.empty(0),),
            np.zeros(signal.value.sizes["E"], bool),
            np.inf,
            False,
        )

    @classmethod
    def of(
        cls,
        initial: Any,
        join_range: Any,
        signal: Signal,
        in_E: np.ndarray,
        to_mev: float,
    ) -> Continuation:
        """Read the density that goes on where `in_E`, the bins that g is found in, end.

        Raises
        ------
        QuantityError
            If it is no g(E), has dimensions that the data have not, or its own range
            ended inside the band.
        RangeError
            If it does not reach beyond the range, or is not positive where the two are
            joined.
        """
        other = read(initial, "vibrational_dos")
        foreign = [
            d for d in other.value.dims if d != "E" and d not in signal.value.dims
        ]
        if foreign:
            raise QuantityError(
                f"initial_dos has a dimension {foreign[0]!r} that the data do not have",
                fix=f"initial_dos=dos.isel({foreign[0]}=0)",
            )
        per_unit = energies(other.value)
        require_known_area(other.value, "initial_dos")
        known = (
            other.value.notnull().all([d for d in other.value.dims if d != "E"]).values
        )
        known &= other.value["E"].values > 0
        lower, upper = (edge * per_unit for edge in bin_limits(other.source, "E"))
        E = other.value["E"].values * per_unit
        edges = [edge * to_mev for edge in bin_limits(signal.source, "E")]
        low, end = float(edges[0][in_E][0]), float(edges[1][in_E][-1])
        if not known.any() or not upper[known][-1] > end:
            raise RangeError(
                f"initial_dos ends at {upper[known].max(initial=0):.4g} meV, but the "
                f"data reach {end:.4g} meV",
                reason="it must provide g(E) above that range",
                fix="initial_dos=g of a higher incident energy, or leave it out",
            )
        if join_range is None:
            join = (max((low + end) / 2, float(lower[known][0])), end)
        else:
            # In the units of the data, as E_range is.
            first, last = interval(join_range, signal.value, "E", name="join_range")
            join = (first * to_mev, last * to_mev)
        centres = signal.value["E"].values * to_mev
        joined = (
            in_E
            & (centres >= max(join[0], E[known][0]))
            & (centres <= min(join[1], E[known][-1]))
        )
        if not joined.any():
            raise RangeError(
                f"the data and initial_dos have no bin in common from {join[0]:.4g} "
                f"to {join[1]:.4g} meV",
                reason="the two are scaled to equal area in that range",
                fix="join_range=('10 meV', '20 meV'), a range where both have values",
            )
        bare = [
            c
            for c in other.value.coords
            if "E" in other.value[c].dims or not other.value[c].dims
        ]
        value = other.value.drop_vars(bare).isel(E=known).rename(E="_i")
        std = value * np.nan
        if other.std is not None:
            std = (
                other.std.drop_vars(bare, errors="ignore").isel(E=known).rename(E="_i")
            )
        return cls(
            value,
            std,
            E[known],
            lower[known],
            upper[known],
            joined,
            end,
            known_area(other.value),
        )


@dataclass(frozen=True)
class Axis:
    """Energies of a g(E): bins of the data, and those of a density that goes on.

    Attributes
    ----------
    taken : numpy.ndarray of bool, shape (n + n_i,)
        Which of the bins of both are there.
    centres, lower, upper : numpy.ndarray, shape (n_g,)
        In meV.
    further : bool
        Whether a density goes on.
    """

    taken: np.ndarray
    centres: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    further: bool

    @classmethod
    def of(
        cls, E: np.ndarray, lower: np.ndarray, upper: np.ndarray, further: Continuation
    ) -> Axis:
        """Put the bins of the data below the end of the range and those above it on one axis."""
        slack = 1e-9 * np.min(upper - lower)
        own, above = lower < further.end - slack, further.upper > further.end + slack
        start = np.maximum(further.lower[above], further.end)
        ends = further.upper[above]
        return cls(
            np.concatenate([own, above]), np.concatenate([E[own], (start + ends) / 2]),
            np.concatenate([lower[own], start]), np.concatenate([upper[own], ends]), bool(above.any()),
        )  # fmt: skip

    def coordinate(self, own: xr.DataArray, per_unit: float) -> xr.Variable:
        """Return E in the units of the data, with their attributes."""
        if not self.further:
            return own[-self.centres.size :].variable
        return xr.Variable("E", self.centres / per_unit, own.attrs)

    def of_own(self, held: xr.Variable) -> xr.Variable:
        """Return what the bins E > 0 of the data hold over all bins.

        Those that go on are independent.
        """
        kept = held.isel(E=self.taken[: held.sizes["E"]])
        filled: xr.Variable = kept.pad(
            E=(0, self.centres.size - kept.sizes["E"]), constant_values=1.0
        )
        return filled

    def bounds(self, per_unit: float) -> dict[str, xr.Variable]:
        """Return the CF bounds where bins of two widths are on the axis."""
        if not self.further:
            return {}
        return {
            "E": xr.Variable(
                ("E", "bnds"), np.stack([self.lower, self.upper], axis=1) / per_unit
            )
        }
