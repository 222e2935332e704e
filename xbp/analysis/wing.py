"""Where a spectrum still contains the elastic line, which follows S(Q) by itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from xbp.core.data import is_lazy
from xbp.core.grid import bin_limits
from xbp.core.schema import require_units
from xbp.core.signal import Signal
from xbp.core.status import Diagnostic
from xbp.core.units import convert_factor

__all__ = ["falling_end", "wing_of_cut", "wing_of_map"]

#: What contains the elastic line if that was not masked.
_SPECTRA: Final = ("reduced_dos", "generalized_dos", "dynamic_structure_factor")
_FIX: Final = "use higher energies, or mask more of the line: .bp.mask_elastic(…)"


def wing_of_cut(signal: Signal, widths: float) -> list[Diagnostic]:
    """Doubt a cut within some resolution widths of the elastic line.

    Parameters
    ----------
    signal : Signal
        With E as a scalar, and its bounds where a Dataset has them.
    widths : float
        How many FWHM of the resolution the line reaches to each side.
    """
    reach = _reach(signal, widths)
    E = signal.value.coords.get("E")
    if reach is None or E is None or E.ndim or is_lazy(E):
        return []
    ends = [float(E)] * 2
    bounds = signal.source.coords.get("E_bnds")
    if bounds is not None and bounds.size == 2:
        ends = [*map(float, bounds.values)]
    if ends[0] > reach or ends[1] < -reach:
        return []
    units = str(E.attrs["units"])
    place = " to ".join(dict.fromkeys(f"{end:.3g}" for end in ends))
    return [
        _doubt(
            f"the cut at {place} {units} is within {widths:g} resolution widths "
            f"({reach:.3g} {units}) of E = 0"
        )
    ]


def wing_of_map(
    signal: Signal,
    used: np.ndarray,
    energy: Any,
    widths: float,
    what: str = "r is highest at",
) -> list[Diagnostic]:
    """Doubt an energy within the elastic line of a map.

    That is within some resolution widths, where the resolution is known, or where the
    mean over Q falls from its first bin at E ≥ 0 on.

    Parameters
    ----------
    signal : Signal
        Over Q and E.
    used : numpy.ndarray of bool
        The Q to average over.
    energy : float
        NaN: nothing was found.
    widths : float
        How many FWHM of the resolution the line reaches to each side.
    what : str
        What was found there.
    """
    value, units = signal.value, str(signal.value["E"].attrs["units"])
    if signal.quantity.name not in _SPECTRA or not np.isfinite(energy):
        return []
    reach = _reach(signal, widths)
    if reach is not None and abs(energy) <= reach:
        return [
            _doubt(
                f"{what} {energy:.3g} {units}, within {widths:g} resolution "
                f"widths ({reach:.3g} {units}) of E = 0"
            )
        ]
    mean = value.isel(Q=used).mean([d for d in value.dims if d != "E"]).values
    lower, upper = bin_limits(signal.source, "E")
    end = falling_end(lower, upper, mean)
    if not 0 <= energy < end:
        return []
    return [
        _doubt(
            f"{what} {energy:.3g} {units}, where the mean over Q still falls "
            f"from its first bin (up to {end:.3g} {units})"
        )
    ]


def falling_end(lower: np.ndarray, upper: np.ndarray, mean: np.ndarray) -> float:
    """Return the energy up to which a spectrum falls from its first bin at E ≥ 0.

    0 if it rises from there.

    Examples
    --------
    >>> lower = np.arange(6.0)
    >>> falling_end(lower, lower + 1, np.array([9.0, 4.0, 2.0, 3.0, 5.0, 1.0]))
    2.0
    >>> falling_end(lower, lower + 1, np.array([1.0, 2.0, 3.0, 4.0, 3.0, 2.0]))
    0.0
    """
    bins = np.flatnonzero((upper > 0) & np.isfinite(mean))
    rises = np.flatnonzero(np.diff(mean[bins]) >= 0)
    last = int(rises[0]) if rises.size else bins.size - 1
    return float(lower[bins[last]]) if last > 0 else 0.0


def _reach(signal: Signal, widths: float) -> float | None:
    """Return how far the elastic line reaches, in the unit of E, if that is known."""
    value = signal.value
    fwhm = value.coords.get("resolution_fwhm")
    known = fwhm is not None and "E" in value.coords and not is_lazy(fwhm)
    if signal.quantity.name not in _SPECTRA or fwhm is None or not known:
        return None
    own = require_units(fwhm, "coordinate 'resolution_fwhm'", "meV")
    to = str(value["E"].attrs["units"])
    factor = convert_factor(own, to, name="resolution_fwhm", energy=True)
    reach = widths * factor * float(fwhm.max())
    return reach if reach > 0 else None


def _doubt(where: str) -> Diagnostic:
    text = f"{where}: the elastic line, which follows S(Q) too, is part of it"
    return Diagnostic("elastic_wing", "warning", text, _FIX)
