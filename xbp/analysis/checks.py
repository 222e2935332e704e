"""Where a boson peak is sought, and whether it is one: edges, phonons, crystals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.data import is_lazy, require_dims
from xbp.core.errors import QuantityError
from xbp.core.guards import require_number
from xbp.core.schema import quantity_name, require_same_grid
from xbp.core.signal import Signal, map_over, read
from xbp.core.status import Diagnostic, Status
from xbp.core.units import convert_factor
from xbp.fitting.peak import SIGNIFICANT, usable_bins
from xbp.fitting.top import scatter, smoothed
from xbp.models.lineshapes import FWHM_PER_SIGMA

__all__ = [
    "EDGE_WIDTH",
    "FILTER_END",
    "SOUND_BELOW",
    "first_maximum",
    "highest_Q",
    "judge_sides",
    "longitudinal_below",
    "modes_below",
    "peak_range",
    "sides_are_fitted",
]


#: Default of `edge_width`, in ln E. The low side of a log-normal of width σ rises from
#: a fifth to four fifths of its height within 1.13 σ, and boson peaks have σ of 0.4 to
#: 0.9; notch and edge filters open within 2 to 15 % of E.
EDGE_WIDTH = 0.25
#: Default of `sound_below`.
SOUND_BELOW = "2 1/angstrom"
#: Default of `filter_end`: notch filters take 5 to 10 1/cm off, and open softly.
FILTER_END = "15 1/cm"


def peak_range(
    E: np.ndarray, B: np.ndarray, std: np.ndarray | None, depth: float = 0.5
) -> tuple[float, float] | None:
    """Find the range of the broadest interior maximum, where the user named none.

    The spectrum is smoothed over three bins, or a tenth of the energy to each side
    where these are more: a boson peak is broad, and finely stepped noise is not. The
    most prominent maximum above its noise counts. Each side of it ends where the
    spectrum rises again, above its noise and by 2 % of its prominence, and the range
    goes `depth` of the way down to the lowest there: a peak on a plateau, such as
    Debye's level, is fitted without the plateau.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        Spectrum; E ≤ 0 and NaN are left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations.
    depth : float
        How far down each side the range goes, as a part of its descent.

    Returns
    -------
    tuple of float, or None
        Limits of the range; None without an interior maximum.
    """
    usable = usable_bins(E, B, std)
    x, y = E[usable], B[usable]
    if x.size < 5:
        return None
    i = np.arange(x.size)
    first = np.maximum(np.minimum(np.searchsorted(x, 0.9 * x), i - 1), 0)
    last = np.searchsorted(x, 1.1 * x, side="right")
    last = np.minimum(np.maximum(last, i + 2), x.size)
    total = np.concatenate([[0.0], np.cumsum(y)])
    smooth = (total[last] - total[first]) / (last - first)
    least = 1e-3 * float(np.ptp(smooth))
    peaks, properties = scipy.signal.find_peaks(smooth, prominence=least)
    for i in np.argsort(-properties["prominences"], kind="stable"):
        top, prominence = int(peaks[i]), float(properties["prominences"][i])
        # Noise as it is about this maximum: counting makes it another at every energy.
        near = (x > x[top] / 2) & (x < 2 * x[top])
        noise = scatter(y[near] if near.sum() > 4 else y)
        if std is not None:
            noise = float(np.median(std[usable][near]))
        needed = 2 * SIGNIFICANT * noise / np.sqrt(last[top] - first[top])
        needed = max(needed, least)
        if prominence >= needed:
            rise = max(needed, 0.02 * prominence)
            left = _foot(smooth[top::-1], rise, depth)
            right = _foot(smooth[top:], rise, depth)
            return float(x[top - left]), float(x[top + right])
    return None


def _foot(side: np.ndarray, noise: float, depth: float) -> int:
    """Return where a side has gone `depth` of its way down before it rises again."""
    rises = np.flatnonzero(side > np.minimum.accumulate(side) + noise)
    descent = side[: rises[0]] if rises.size else side
    end = side[0] - depth * (side[0] - max(descent.min(), 0.0))
    return int(np.argmax(descent <= end))


@dataclass(frozen=True)
class _Side:
    """One side of a maximum.

    Its lowest and highest value, and in ln E where its rise begins, how long it is, and
    where it reaches half of its height.
    """

    foot: float
    top: float
    begin: float
    rise: float
    middle: float


def judge_sides(
    E: np.ndarray,
    B: np.ndarray,
    std: np.ndarray | None,
    energy: float,
    low: float,
    high: float,
    edge_width: float,
    filter_end: float = 0.0,
) -> Status:
    """Return whether the sides of a maximum are those of a peak.

    Parameters
    ----------
    E, B : numpy.ndarray, shape (n,)
        The whole spectrum, beyond the range fitted too, ascending in E; E ≤ 0 and NaN
        are left out.
    std : numpy.ndarray, shape (n,), or None
        Standard deviations.
    energy : float
        The maximum of the fitted curve.
    low, high : float
        Ends of the range fitted.
    edge_width : float
        Least extent of the low side, in ln E; 0 for no limit.
    filter_end : float
        Energy up to which a filter near the laser line may reach; 0 for none.

    Returns
    -------
    str
        A status: "steep edge" where the low side rises from a level below half of the
        top, or from the first bin, within less than `edge_width` (from 0.2 to 0.8 of
        its height above the foot) and the high side falls less than half as steeply, or
        where it reaches half of its height below `filter_end` and rises within less
        than three times `edge_width`;
        "maximum at edge" where the data begin less than `edge_width` below the maximum
        and above half of its height, or the range fitted has less than two bins on one
        side of it; "ok" otherwise.

    Examples
    --------
    >>> E = np.arange(5.0, 200, 1.0)
    >>> fluorescence = 1 / (1 + np.exp((40 - E) / 1.5)) * np.exp(-E / 100)
    >>> for edge_width in (0.25, 0.0):
    ...     print(judge_sides(E, fluorescence, None, 45, 35, 100, edge_width))
    steep edge
    ok
    """
    usable = usable_bins(E, B, std)
    x, y = E[usable], B[usable]
    fitted = (x >= low) & (x <= high)
    if min((fitted & (x < energy)).sum(), (fitted & (x > energy)).sum()) < 2:
        return Status.AT_EDGE
    if edge_width <= 0:
        return Status.OK
    noise = scatter(y[fitted]) if std is None else float(np.median(std[usable][fitted]))
    weight = np.ones(y.size) if std is None else 1 / std[usable] ** 2
    needed = 2 * SIGNIFICANT * noise
    smooth = smoothed(y)
    top = _summit(smooth, int(np.searchsorted(x, energy)), needed)
    first, begins = _end_of_side(smooth[top::-1], needed)
    last, _ = _end_of_side(smooth[top:], needed)
    below, above = slice(top - first, top + 1), slice(top, top + last + 1)
    left = _side(np.log(x[below]), y[below], weight[below])
    if left.top - left.foot <= needed:
        return Status.OK
    if left.foot > 0.5 * left.top:
        return (
            Status.AT_EDGE
            if begins and np.log(energy / x[0]) < edge_width
            else Status.OK
        )
    if left.middle < np.log(max(filter_end, 1e-300)) and left.rise < 3 * edge_width:
        return Status.STEEP_EDGE
    right = _side(-np.log(x[above])[::-1], y[above][::-1], weight[above][::-1])
    steep = left.rise < min(edge_width, right.rise / 2)
    up_again = np.flatnonzero(smooth[: top - first] > (left.foot + left.top) / 2)
    level = left.begin - np.log(x[up_again[-1] if up_again.size else 0])
    return (
        Status.STEEP_EDGE if steep and (begins or level > 3 * left.rise) else Status.OK
    )


def _summit(y: np.ndarray, start: int, needed: float) -> int:
    """Return the highest bin that is reached without a descent above the noise."""
    ways = []
    for way in (y[start::-1], y[start:]):
        falls = np.flatnonzero(way < np.maximum.accumulate(way) - needed)
        ways.append(int(np.argmax(way[: falls[0]] if falls.size else way)))
    return (
        start - ways[0] if y[start - ways[0]] >= y[start + ways[1]] else start + ways[1]
    )


def _end_of_side(side: np.ndarray, needed: float) -> tuple[int, bool]:
    """Return where a side, from the top, ends to fall, and if the data end there."""
    rises = np.flatnonzero(side > np.minimum.accumulate(side) + needed)
    return int(np.argmin(side[: rises[0]] if rises.size else side)), not rises.size


def _side(log_x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Side:
    """Measure one side, from its foot up, on the best curve that only rises."""
    fit = scipy.optimize.isotonic_regression(y, weights=weight)
    begin = fit.blocks[:-1]
    value, place = fit.x[begin], np.add.reduceat(log_x, begin) / np.diff(fit.blocks)
    # A level ends where the rise begins, not in its middle.
    place[0], place[-1] = log_x[fit.blocks[1] - 1], log_x[begin[-1]]
    foot, top = float(value[0]), float(value[-1])
    at = [
        float(np.interp(foot + part * (top - foot), value, place))
        for part in (0.2, 0.5, 0.8)
    ]
    return _Side(foot, top, at[0], at[2] - at[0], at[1])


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
        windows = np.lib.stride_tricks.sliding_window_view(g, 7, axis=1)
        first = np.clip(np.arange(x.size) - 3, 0, x.size - 7)
        usual = np.median(windows, axis=-1)[:, first]
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


def sides_are_fitted(
    E: np.ndarray,
    used: np.ndarray,
    column: Mapping[str, np.ndarray],
    edge_width: float,
    *,
    known: bool,
) -> np.ndarray:
    """Return which log-normals describe their low side, so that it cannot be an edge.

    Down to a fifth of its height, or to the beginning of the data, by a curve that
    leaves 5 % of the height and is twice as broad as an edge; where errors are known,
    by one that leaves no more than these and is half as broad again.
    """
    with np.errstate(all="ignore"):
        sigma = (
            2 * np.arcsinh(column["width"] / (2 * column["energy"])) / FWHM_PER_SIGMA
        )
        extent = np.log(column["energy"] / column["low"])
    begins = column["low"] == E[0]
    seen = (extent > 1.8 * sigma) | (begins & (extent > edge_width))
    below = (used & (column["energy"][:, None] > E)).sum(axis=1)
    above = (used & (column["energy"][:, None] < E)).sum(axis=1)
    rise = 1.126 * sigma
    good = (column["relative_residual"] < 0.05) & (rise > 2 * edge_width)
    if known:
        free = np.maximum(column["n_points"] - 3, 1)
        # Two standard deviations of the reduced chi-squared of the right curve.
        right = column["chi2_reduced"] < 1 + 2 * np.sqrt(2 / free)
        good |= right & (rise > 1.5 * edge_width)
    return np.asarray(good & seen & (below > 1) & (above > 1))
