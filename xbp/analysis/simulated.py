"""Decide whether a maximum of a simulated spectrum is a boson peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.guards import require_number
from xbp.core.schema import require_units
from xbp.core.signal import table_signal
from xbp.core.status import Status
from xbp.core.units import convert_factor
from xbp.fitting.sampled import area_of_modes, modes_of_box

__all__ = [
    "BOX_LIMITS",
    "Box",
    "BoxLimits",
    "energy_of_phonon",
    "excess_over",
    "judge_maximum",
    "lowest_peak",
]

#: Definition of the top whose mean is compared with both sides: bins closer than this
#: to the maximum, relative to its energy.
_TOP = 0.15


@dataclass(frozen=True)
class BoxLimits:
    """Arguments of `boson_peak` about the phonons of a box, and their defaults."""

    above_box: float = 1.5
    box_margin: float = 0.15
    significance: float = 2.0

    @classmethod
    def of(cls, above_box: Any, box_margin: Any, significance: Any) -> BoxLimits:
        """Return the limits after checking them."""
        return cls(
            require_number(above_box, "above_box", least=1, error=QuantityError),
            require_number(box_margin, "box_margin", least=0, error=QuantityError),
            require_number(significance, "significance", least=0, error=QuantityError),
        )


#: The defaults.
BOX_LIMITS = BoxLimits()


@dataclass(frozen=True)
class Box:
    """What is known about the box of simulated data.

    Attributes
    ----------
    simulated : bool
        Whether the data come from a simulation.
    phonon, fwhm : float or xarray.Variable
        Its lowest phonon (0 without a box, NaN if not known) and the energy resolution,
        in the unit of E.
    n_modes : float or xarray.Variable
        3N (in a plane 2N) of a trajectory, whose segments all contain the same modes;
        0 if the errors already include this, or N is not known.
    area : float
        Of g(E) of all modes; NaN if not known.
    """

    simulated: bool
    phonon: Any
    fwhm: Any
    n_modes: Any
    area: float = np.nan

    @classmethod
    def of(cls, value: xr.DataArray, given: Any, to_mev: float) -> Box:
        """Read coordinates and attributes of a spectrum, and ``box_phonon=``."""
        # Maxima of local fields are not boson peaks.
        simulated = (
            value.attrs.get("origin") == "simulation"
            and value.attrs.get("quantity") == "reduced_dos"
        )
        phonon: Any = _energy(value, "box_phonon", to_mev)
        fwhm: Any = _energy(value, "resolution_fwhm", to_mev)
        if given is not None:
            if not simulated:
                raise QuantityError(
                    "box_phonon= is only for B(Q,E) or g(E)/E² from a simulation",
                    fix="data.attrs['origin'] = 'simulation'",
                )
            units = value["E"].attrs["units"]
            given = energy_of_phonon(given, "box_phonon")
            phonon = require_number(given, "box_phonon", units, least=0, energy=True)
        elif phonon is None:
            phonon = np.nan if simulated else 0.0
        elif not simulated:
            phonon = phonon.fillna(0.0)
        fwhm = 0.0 if fwhm is None else fwhm.fillna(0.0)
        n_modes = modes_of_box(value) if simulated else 0.0
        return cls(simulated, phonon, fwhm, n_modes, area_of_modes(value))


def energy_of_phonon(phonon: Any, name: str) -> Any:
    """Return the energy with its unit of what `box_phonon` returned, or what is given.

    `name` is that of the argument.
    """
    if not isinstance(phonon, xr.Dataset):
        return phonon
    found = table_signal(phonon, "box_phonon", "energy").value
    if str(phonon.status.values) != Status.OK:
        raise QuantityError(
            f"the first phonon of the box was not found: {phonon.status.values}",
            fix=f"pass its energy, such as {name}='1.7 meV'",
        )
    return f"{float(found):.10g} {found.attrs['units']}"


def _energy(value: xr.DataArray, name: str, to_mev: float) -> xr.Variable | None:
    """Return an energy from a coordinate of the data, in the unit of E."""
    if name not in value.coords:
        return None
    mark = value.coords[name]
    own = require_units(mark, f"coordinate '{name}'", "meV")
    factor = convert_factor(own, "meV", name=f"'{name}'", energy=True) / to_mev
    scaled: xr.Variable = mark.variable * factor
    return scaled


def lowest_peak(box: float, fwhm: float, limits: BoxLimits) -> float:
    """Return the energy below which a maximum is the lowest phonon of the box."""
    return max(limits.above_box * box, box + fwhm)


def judge_maximum(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    energy: tuple[float, float],
    again: tuple[float, float],
    box: float,
    fwhm: float,
    high: float,
    limits: BoxLimits,
) -> Status:
    """Decide whether a maximum of a simulated spectrum is a boson peak.

    It is one if (i) it lies above `lowest_peak`; (ii) a fit to only the bins above the
    phonon of the box gives the same energy within `significance` standard deviations;
    and (iii) it exceeds the level on both sides, down to the phonon of the box and up
    to the end of the range, by as many.

    Parameters
    ----------
    E, B, std : numpy.ndarray, shape (n,)
        The spectrum. The scatter of neighbouring bins cannot replace `std`: glasses
        differ by more than bins do, above all at low energies.
    energy, again : (float, float)
        Energy of the maximum, and that of the second fit, each with its standard
        deviation; NaN without a maximum.
    box, fwhm : float
        Lowest phonon of the box (0 without a box, NaN if not known); resolution.
    high : float
        End of the range fitted.
    limits : BoxLimits
        Multiple of the lowest phonon, and `significance`.

    Returns
    -------
    Status
        OK, BOX_UNKNOWN, BOX_PHONON, ERRORS_UNKNOWN or PLATEAU.
    """
    if np.isnan(box):
        return Status.BOX_UNKNOWN
    at, error = energy
    if at < lowest_peak(box, fwhm, limits):
        return Status.BOX_PHONON
    if std is None:
        return Status.ERRORS_UNKNOWN
    if not abs(again[0] - at) <= limits.significance * max(error, again[1]):
        return Status.PLATEAU
    known = np.isfinite(B) & (box < E)
    near = np.abs(E / at - 1) < _TOP
    top = _mean(B, std, known & near)
    rest = known & ~near & (max(high, 2 * at) >= E)
    for side in (rest & (at > E), rest & (at < E)):
        level = _lowest(B, std, np.flatnonzero(side), limits.significance)
        needed = limits.significance * np.hypot(top[1], level[1])
        if not top[0] - level[0] > needed:
            return Status.PLATEAU
    return Status.OK


def _mean(B: np.ndarray, errors: np.ndarray, some: np.ndarray) -> tuple[float, float]:
    """Return the mean of some bins with its standard deviation; NaN without any."""
    if not some.any():
        return np.nan, np.nan
    values, own = B[some], errors[some]
    n = np.sqrt(np.square(own).sum()) / own.size
    return float(values.mean()), float(n)


def _lowest(
    B: np.ndarray, errors: np.ndarray, bins: np.ndarray, significance: float
) -> tuple[float, float]:
    """Return the mean of the part, of up to three of a side, that is surely lowest.

    Errors of g(E)/E² grow without limit towards E = 0, where a mean says nothing.
    """
    parts = np.array_split(bins, min(3, max(1, bins.size // 2))) if bins.size else []
    means = [_mean(B, errors, part) for part in parts]
    none = (np.nan, np.nan)
    return min(means, key=lambda own: own[0] + significance * own[1], default=none)


@np.errstate(all="ignore")  # an overflow means no excess
def excess_over(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    level: float,
    box: float,
    fwhm: float,
    highest: float,
    limits: BoxLimits,
) -> tuple[float, float, float, float, float]:
    """Return the energy of the largest excess over a level, its ratio, std and range.

    Means of three bins are used, above `lowest_peak` and up to `highest`. The range is
    where the ratio, about its largest value, exceeds 1 by `significance` std.
    Without data all are NaN; without a `level`, all but the energy; without `std`, its
    std and the range.
    """
    floor = float(np.nan_to_num(lowest_peak(box, fwhm, limits)))
    inside = np.isfinite(B) & (floor <= E) & (highest >= E)
    nothing = (np.nan,) * 5
    if inside.sum() < 3:
        return nothing
    x, y = E[inside], B[inside]
    own = np.full(y.shape, np.nan) if std is None else std[inside]
    three = np.ones(3) / 3
    mean = np.convolve(y, three, mode="valid")
    error = np.sqrt(np.convolve(own**2, three / 3, mode="valid"))
    centre = x[1:-1]
    top = int(np.nanargmax(mean))
    if np.isnan(level):
        return float(centre[top]), np.nan, np.nan, np.nan, np.nan
    ratio, error = mean / level, error / level
    above = ratio - 1 > limits.significance * error
    low = high = np.nan
    if above[top]:
        fails = np.flatnonzero(~above)
        first = fails[fails < top].max(initial=-1) + 1
        last = fails[fails > top].min(initial=ratio.size) - 1
        low, high = float(centre[first]), float(centre[last])
    return float(centre[top]), float(ratio[top]), float(error[top]), low, high
