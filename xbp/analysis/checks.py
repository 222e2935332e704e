"""Where a boson peak is sought, and whether it is one: edges, phonons, crystals."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.data import is_lazy, require_dims
from xbp.core.errors import QuantityError
from xbp.core.grid import require_same_grid
from xbp.core.guards import require_number
from xbp.core.schema import quantity_name
from xbp.core.signal import Signal, map_over, read
from xbp.core.status import Diagnostic
from xbp.core.units import convert_factor
from xbp.fitting.rows import running_median, smoothed

__all__ = [
    "EDGE_WIDTH",
    "FILTER_END",
    "SEARCH_BELOW",
    "SOUND_BELOW",
    "first_maximum",
    "highest_Q",
    "longitudinal_below",
    "modes_below",
]


#: Default of `edge_width`, in ln E. The low side of a log-normal of width σ rises from
#: a fifth to four fifths of its height within 1.13 σ, and boson peaks have σ of 0.4 to
#: 0.9; notch and edge filters open within 2 to 15 % of E.
EDGE_WIDTH = 0.25
#: Default of `search_below`.
SEARCH_BELOW = "30 meV"
#: Default of `sound_below`.
SOUND_BELOW = "2 1/angstrom"
#: Default of `filter_end`: notch filters take 5 to 10 1/cm off, and open softly.
FILTER_END = "15 1/cm"


def first_maximum(
    sq: xr.DataArray | xr.Dataset, units: str = "1/angstrom"
) -> xr.DataArray:
    """Find the first maximum of S(Q).

    The first at least a quarter as prominent as the most prominent one.

    Parameters
    ----------
    sq : xarray.DataArray or xarray.Dataset
        S(Q) over Q and any leftover dimensions; its normalisation does not matter.
    units : str
        Of the answer.

    Returns
    -------
    xarray.DataArray
        Q of the maximum over the leftover dimensions, to a bin; NaN where S(Q) has none
        within its range, or begins above 0.6 of it, so that it need not be the first.

    Raises
    ------
    QuantityError
        If `sq` is not an S(Q), or has no dimension Q.

    Examples
    --------
    >>> import xbp
    >>> round(float(first_maximum(xbp.tutorial.open_dataset("zr46cu46al8_md").Sq)), 1)
    2.7
    """
    value = read(sq, "static_structure_factor").value
    require_dims(
        value,
        "Q",
        "the first maximum",
        fix="pass S(Q), before any cut",
        error=QuantityError,
    )
    Q = value["Q"].values * convert_factor(
        value["Q"].attrs["units"], units, name="Q of S(Q)"
    )
    found: xr.DataArray = map_over(_first, value, dims="Q", each=True, at=Q)
    return found.drop_vars([name for name in found.coords if name not in found.dims])


def _first(S: np.ndarray, *, at: np.ndarray) -> float:
    x, y = at[np.isfinite(S)], S[np.isfinite(S)]
    if y.size < 3:
        return np.nan
    peaks, found = scipy.signal.find_peaks(smoothed(y), prominence=0.0)
    if not peaks.size:
        return np.nan
    top = int(
        peaks[np.argmax(found["prominences"] >= 0.25 * found["prominences"].max())]
    )
    first = float(x[top - 1 + int(np.argmax(y[top - 1 : top + 2]))])
    return first if x[0] <= 0.6 * first else np.nan


def highest_Q(signal: Signal) -> xr.DataArray | None:
    """Return Q of each spectrum of B(Q,E) or G(Q,E), the upper limit of a cut."""
    if signal.quantity.name not in ("reduced_dos", "generalized_dos"):
        return None
    Q = signal.value.coords.variables.get("Q")
    if Q is None or "units" not in Q.attrs:
        return None
    own = {
        dim: signal.value[dim].variable for dim in Q.dims if dim in signal.value.coords
    }
    if "Q" not in Q.dims and isinstance(signal.source, xr.Dataset):
        bounds = signal.source.variables.get("Q_bnds")
        if bounds is not None and set(bounds.dims) == {*Q.dims, "bnds"}:
            Q = bounds.max("bnds").transpose(*Q.dims)
    # A bin of a map is where its centre is.
    return xr.DataArray(Q.to_base_variable(), coords=own)


def longitudinal_below(
    signal: Signal, sq: Any, at_Q: xr.DataArray | None, sound_below: Any
) -> tuple[xr.DataArray | None, list[Diagnostic]]:
    """Return half the Q of the first maximum of S(Q), or a doubt if unknown."""
    if at_Q is None:
        return None, []
    units = signal.value["Q"].attrs["units"]
    limit = require_number(sound_below, "sound_below", units, least=0)
    given = _carried(signal.source) if sq is None else sq
    if given is not None:
        place = first_maximum(given, units)
        shared = [d for d in place.dims if d in signal.value.dims]
        require_same_grid(signal.value, place, tuple(shared))
        # Of one that dask has not computed this is not known yet; below NaN there is
        # nothing.
        if is_lazy(place) or bool(place.notnull().any()):
            return place / 2, []
    if float(at_Q.min()) > limit:
        return None, []
    why = (
        "the data have no S(Q)"
        if given is None
        else "S(Q) does not include its first maximum"
    )
    return None, [
        Diagnostic(
            "longitudinal_phonon_unchecked",
            "info",
            f"{why}: at small Q the longitudinal phonon cannot be distinguished from "
            "the boson peak",
            "boson_peak(sq=...), with an S(Q) that includes its first maximum",
        )
    ]


def _carried(source: xr.DataArray | xr.Dataset) -> xr.DataArray | None:
    """Return the S(Q) that stands beside the signal in a Dataset."""
    if not isinstance(source, xr.Dataset):
        return None
    found = [
        variable
        for name, variable in source.data_vars.items()
        if quantity_name(variable) == "static_structure_factor"
        and not str(name).endswith("_std")
        and "Q" in variable.dims
    ]
    return found[0] if len(found) == 1 else None


@np.errstate(all="ignore")
def modes_below(
    B: np.ndarray, energy: np.ndarray, *, E: np.ndarray, dimension: int = 3
) -> np.ndarray:
    """Return the part of the area of g = E^(d−1) B (m, k) below energies (m,).

    NaN where g has not ended within the data: what was measured is then a part of
    the modes, and the part of it below the peak is more than that of all modes.
    """
    rows, energies = B, energy
    part = np.full(energies.size, np.nan)
    usable = np.isfinite(rows) & (E > 0)
    left = np.isfinite(energies)
    while left.any():
        # Spectra whose bins are equally usable are treated together.
        mask = usable[int(np.argmax(left))]
        at = left & (usable == mask).all(axis=1)
        left &= ~at
        if mask.sum() < 7:
            continue
        x = E[mask]
        g = x ** (dimension - 1) * rows[at][:, mask]
        # The median of a bin and the six nearest, of which three may be wrong.
        first = np.clip(np.arange(x.size) - 3, 0, x.size - 7)
        usual = running_median(g, 7)[:, first]
        # About zero, beyond all phonons, noise is many times its median, and does no
        # harm.
        most = np.maximum(10 * np.abs(usual), 0.2 * usual.max(axis=1, keepdims=True))
        kept = np.abs(g) <= most
        place, whole = np.flatnonzero(at), kept.all(axis=1)
        part[place[whole]] = _part_below(x, g[whole], energies[place[whole]])
        for i in np.flatnonzero(~whole).tolist():
            here, keep = place[i : i + 1], kept[i]
            if keep.sum() > 6:
                part[here] = _part_below(x[keep], g[i : i + 1, keep], energies[here])
    return part


def _part_below(x: np.ndarray, g: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the part of the area of g (m, n) below energies (m,), NaN if g goes on."""
    ended = g[:, -3:].mean(axis=1) < 0.2 * g.max(axis=1)
    modes = g * np.gradient(x)
    below = np.where(x <= energy[:, None], modes, 0.0).sum(axis=1)
    return np.where(ended, below / modes.sum(axis=1), np.nan)
