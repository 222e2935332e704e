"""The distance below which atoms are neighbors.

Given, or where the first shell of g(r) ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.md.labels import positive
from xbp.md.pair_distribution import radial_distribution
from xbp.md.plane import heights
from xbp.md.trajectory import Trajectory

__all__ = ["Cutoff", "choose_cutoff", "end_of_first_shell", "first_minimum"]

#: Frames whose g(r) tells the cutoff.
_FRAMES = 20
#: g(r) is sought out to this many mean spacings of the atoms, in bins of that part of
#: one.
_REACH, _BINS = 2.6, 50
#: The first shell of a dense solid or liquid ends at 1.4 to 1.5 spacings: an image so
#: near would be within it.
_THIN = 1.4
#: Bins over which g(r) is smoothed, a tenth of a spacing.
_SMOOTH = 5
#: The first shell ends behind the first maxima of this share of the pairs: a few
#: solutes may stand further apart.
_MOST = 0.9
_ASK = (
    "look at traj.bp.radial_distribution(partials=True).bp.plot.cut() and give "
    "cutoff='3.8 angstrom'"
)


@dataclass(frozen=True)
class Cutoff:
    """Distance below which two atoms are neighbors, for every pair of kinds.

    Attributes
    ----------
    radius : numpy.ndarray, shape (n_kinds, n_kinds)
        Å.
    kind : numpy.ndarray of int, shape (n_atoms,)
    text : str
        For history and messages: the distances, and what chose them where the user did
        not.
    periodic : tuple of bool
        Along which cell vectors images of an atom are neighbors.
    """

    radius: np.ndarray
    kind: np.ndarray
    text: str
    periodic: tuple[bool, ...] = (True, True, True)

    @property
    def largest(self) -> float:
        """The largest of them, Å."""
        return float(self.radius.max())

    def of(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the cutoff of pairs of atoms, Å."""
        return np.asarray(self.radius[self.kind[first], self.kind[second]])


def choose_cutoff(data: xr.Dataset, trajectory: Trajectory, cutoff: Any) -> Cutoff:
    """Make the cutoffs that an argument means.

    Parameters
    ----------
    data : xarray.Dataset
        The trajectory as passed.
    trajectory : Trajectory
    cutoff : scalar with units, None, "pairs" or mapping
        One distance (bare: Å); None for the end of the first shell of g(r); ``"pairs"``
        for the first minimum of that of every pair of elements; or distances by pair,
        ``{"Cu-Zr": 3.6, …}``.

    Returns
    -------
    Cutoff

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If a pair is missing or not known, g(r) has no first minimum, or what it leaves
        are too few neighbors.
    """
    by_pair = isinstance(cutoff, Mapping) or (
        isinstance(cutoff, str) and cutoff == "pairs"
    )
    if by_pair:
        symbols, kind = np.unique(trajectory.elements(), return_inverse=True)
    else:
        symbols, kind = np.array([""]), np.zeros(trajectory.n_atoms, dtype=int)
    a, b = np.triu_indices(symbols.size)
    pairs = [f"{symbols[i]}-{symbols[j]}" for i, j in zip(a, b, strict=True)]
    chosen = ""
    if isinstance(cutoff, Mapping):
        radii = _given(cutoff, pairs)
    elif cutoff is not None and not by_pair:
        radii = [positive(cutoff, "angstrom", "cutoff")]
    else:
        radii = _found(data, trajectory, pairs if by_pair else None)
        chosen = (
            " (first minima of g(r))"
            if by_pair
            else " (by default, the first minimum of g(r))"
        )
    radius = np.zeros((symbols.size, symbols.size))
    radius[a, b] = radius[b, a] = radii
    names = [f"{pair} " if by_pair else "" for pair in pairs]
    text = ", ".join(
        f"{name}{r:.4g} angstrom" for name, r in zip(names, radii, strict=True)
    )
    return Cutoff(radius, kind, text + chosen, tuple(trajectory.repeats.tolist()))


def _given(cutoff: Mapping[Any, Any], pairs: list[str]) -> list[float]:
    given = {frozenset(str(key).split("-")): value for key, value in cutoff.items()}
    for pair in pairs:
        if frozenset(pair.split("-")) not in given:
            raise QuantityError(
                f"cutoff= has no entry for '{pair}'",
                reason=f"the pairs of elements are {', '.join(pairs)}",
                fix="name every pair, or give one distance",
            )
    return [
        positive(given[frozenset(pair.split("-"))], "angstrom", f"cutoff of {pair}")
        for pair in pairs
    ]


def _found(
    data: xr.Dataset, trajectory: Trajectory, pairs: list[str] | None
) -> list[float]:
    """Find the cutoffs in g(r) of some of the frames.

    Refuse what cannot be the end of a shell of neighbors.
    """
    periodic = trajectory.repeats
    if trajectory.dimension == 3 and not periodic.all():
        raise RangeError(
            "the box is not periodic along all sides",
            reason="g(r), whose first minimum would be the cutoff, needs a periodic "
            "box",
            fix="cutoff='3.8 angstrom'",
        )
    across = heights(trajectory.mean_cell)
    dimensions = int(periodic.sum())
    size = trajectory.volume / float(np.prod(across[~periodic]))
    spacing = float((size / trajectory.n_atoms) ** (1 / dimensions))
    if across[periodic].min() < _THIN * spacing:
        raise RangeError(
            f"the cell is {across[periodic].min():.4g} angstrom thick, and atoms are "
            f"{spacing:.3g} angstrom apart",
            reason="images of an atom would be among the neighbors that g(r) shows",
            fix="simulate a larger cell, or give cutoff= if that is meant",
        )
    step = max(1, trajectory.n_frames // _FRAMES)
    frames = data.drop_vars("velocity", errors="ignore").isel(
        time=slice(None, None, step)
    )
    several = trajectory.element is not None and np.unique(trajectory.element).size > 1
    partials = pairs is not None or several
    g = radial_distribution(
        frames, _REACH * spacing, spacing / _BINS, partials=partials
    )
    rdf = g.rdf
    if pairs is not None:
        radii = [first_minimum(rdf.sel(pair=pair)) for pair in pairs]
    else:
        radii = [end_of_first_shell(rdf) if partials else first_minimum(rdf)]
    curves = (
        [rdf.sel(pair=pair) * rdf.weight.sel(pair=pair) for pair in pairs]
        if pairs is not None
        else [_total(rdf)]
    )
    # ρ g times the volume of every shell, or in the plane the area of every ring, is a
    # number of neighbors.
    low, high = g.r_bnds.values.T
    shells = (
        4 / 3 * np.pi * (high**3 - low**3)
        if dimensions == 3
        else np.pi * (high**2 - low**2)
    )
    neighbors = trajectory.n_atoms / size * sum(
        float((curve * shells).where(curve.r < radius).sum()) for curve, radius in zip(curves, radii, strict=True)
    )  # fmt: skip
    if neighbors < dimensions:
        raise RangeError(
            f"the first minimum of g(r), at {max(radii):.4g} angstrom, leaves "
            f"{neighbors:.2g} neighbors to an atom",
            reason=f"it takes {dimensions} or more to span the surroundings of one; "
            "this is a bond, not a shell",
            fix=_ASK,
        )
    return radii


def _total(rdf: xr.DataArray) -> xr.DataArray:
    """Add partials up; one of a single atom of its kind, which has no partner, is NaN and adds nothing."""
    return (rdf * rdf["weight"]).sum("pair") if "pair" in rdf.dims else rdf


def _smooth(rdf: xr.DataArray) -> np.ndarray:
    g = np.where(np.isfinite(rdf), rdf, 0.0)
    return np.asarray(
        scipy.signal.savgol_filter(g, min(_SMOOTH, g.size - (1 - g.size % 2)), 2)
    )


def _tops(smooth: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.signal.find_peaks(smooth, prominence=0.3)[0])


def first_minimum(rdf: xr.DataArray, behind: float = 0.0) -> float:
    """Find the first minimum of g(r) behind its first maximum, where the first shell of neighbors ends.

    Parameters
    ----------
    rdf : xarray.DataArray
        g(r) over r, from `radial_distribution`.
    behind : float
        Å; minima before it are passed over.

    Returns
    -------
    float
        Å, from a curve smoothed over five bins: the vertex of a parabola through g(r)
        five bins about the lowest, which of so flat a minimum noise would choose.

    Raises
    ------
    RangeError
        If there is no such minimum within the range of r.

    Examples
    --------
    >>> r = np.linspace(0.05, 6, 120)
    >>> g = 1 + 2 * np.exp(-(((r - 2.7) / 0.3) ** 2)) - 0.5 * np.exp(-(((r - 3.8) / 0.4) ** 2))
    >>> g = xr.DataArray(g * (r > 2), dims="r", coords={"r": r})
    >>> round(first_minimum(g), 1)
    3.8
    """
    r, smooth = rdf["r"].values, _smooth(rdf)
    tops = _tops(smooth)
    if tops.size:
        dips = tops[0] + scipy.signal.find_peaks(-smooth[tops[0] :], prominence=0.1)[0]
        dips = dips[r[dips] > behind]
        if dips.size:
            return _vertex(r, np.where(np.isfinite(rdf), rdf, 0.0), int(dips[0]))
    pair = f" of {rdf['pair'].item()}" if "pair" in rdf.coords else ""
    raise RangeError(
        f"g(r){pair} has no first minimum up to {r[-1]:.3g} angstrom",
        reason="there is no shell of neighbors that ends, or too few atoms to see it",
        fix="give cutoff='3.8 angstrom', or a distance for every pair",
    )


def _vertex(r: np.ndarray, g: np.ndarray, dip: int) -> float:
    """Return where a parabola through five bins on either side is lowest, moved until it is in the middle of them."""
    at = dip
    for _ in range(_SMOOTH):
        near = slice(max(at - _SMOOTH, 0), at + _SMOOTH + 1)
        curvature, slope, _constant = np.polyfit(r[near] - r[at], g[near], 2)
        lowest = float(r[at] - slope / (2 * curvature)) if curvature > 0 else np.inf
        # One that lies beyond the bins that told it is none.
        if not r[near][0] < lowest < r[near][-1]:
            return float(r[dip])
        middle = int(np.argmin(abs(r - lowest)))
        if middle == at:
            break
        at = middle
    return lowest


def end_of_first_shell(partials: xr.DataArray) -> float:
    """Find where the first shell of a mixture ends.

    The first minimum of its g(r) that is not within the shell.

    Where one kind of pair is much shorter than the rest, as A-B in Kob and Andersen's
    mixture, g(r) dips between the first maxima of the partials. The shell ends behind
    those of nine tenths of the pairs.

    Parameters
    ----------
    partials : xarray.DataArray
        g(r) over pair and r, with the coordinate ``weight``, from
        `radial_distribution`.

    Returns
    -------
    float
        Å.

    Raises
    ------
    RangeError
        If there is no such minimum within the range of r.

    Examples
    --------
    >>> r = np.linspace(0.05, 8, 160)
    >>> gauss = lambda at, width: np.exp(-(((r - at) / width) ** 2))
    >>> g = [(1 + 3 * gauss(at, 0.2) - 0.5 * gauss(at + 1, 0.4)) * (r > at - 0.4) for at in (3.6, 2.9)]
    >>> g = xr.DataArray(g, dims=("pair", "r"),
    ...                  coords={"pair": ["A-A", "A-B"], "r": r, "weight": ("pair", [0.65, 0.35])})
    >>> round(first_minimum(g[0] * 0.65 + g[1] * 0.35), 1), round(end_of_first_shell(g), 1)
    (3.1, 4.6)
    """
    r = partials["r"].values
    tops = [_tops(_smooth(curve)) for curve in partials]
    # A partial without a maximum has no shell that could stand in the way.
    first = np.array([r[found[0]] if found.size else 0.0 for found in tops])
    order = np.argsort(first)
    share = np.cumsum(partials["weight"].values[order])
    return first_minimum(
        _total(partials),
        behind=float(first[order][np.argmax(share >= _MOST * share[-1])]),
    )
