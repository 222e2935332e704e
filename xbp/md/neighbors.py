"""Neighbors: the cutoff, the pairs within it, their numbers and distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, require
from xbp.core.guards import require_memory, require_positive
from xbp.core.units import is_one_of
from xbp.md.block import heights
from xbp.md.structure import radial_distribution
from xbp.md.trajectory import Trajectory
from xbp.md.weights import groups_of
from xbp.models.dimension import ball

__all__ = [
    "Cutoff",
    "Neighborhoods",
    "choose_cutoff",
    "end_of_first_shell",
    "first_minimum",
    "neighborhoods",
    "pairs_within",
]

#: Candidates reach this much beyond the cutoff (Å): the further, the longer they last,
#: and the more there are. At room temperature some of thousands of atoms move by 0.7 Å.
_SKIN = 1.6
#: Bins of a fiftieth of the mean spacing over which g(r) is smoothed.
_SMOOTH = 5


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


def choose_cutoff(trajectory: Trajectory, cutoff: Any) -> Cutoff:
    """Return the cutoffs of an argument.

    Parameters
    ----------
    trajectory : Trajectory
    cutoff : scalar with units, None, "pairs" or mapping
        One distance (bare: Å); None for the end of the first shell of g(r); ``"pairs"``
        for the first minimum of that of every pair of elements; or distances by pair,
        ``{"Cu-Zr": 3.6, …}``.

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If a pair is missing or not known, g(r) has no first minimum, or it leaves too
        few neighbors.
    """
    by_pair = isinstance(cutoff, Mapping) or is_one_of(cutoff, "pairs")
    symbols, kind, _ = groups_of(trajectory, by_pair)
    a, b = np.triu_indices(symbols.size)
    pairs = [f"{symbols[i]}-{symbols[j]}" for i, j in zip(a, b, strict=True)]
    chosen = ""
    if isinstance(cutoff, Mapping):
        given = {frozenset(str(key).split("-")): value for key, value in cutoff.items()}
        wanted = [frozenset(pair.split("-")) for pair in pairs]
        for pair in pairs:
            if frozenset(pair.split("-")) not in given or not set(given) <= set(wanted):
                raise QuantityError(
                    f"cutoff= has {', '.join(map(str, cutoff))}; it needs all pairs "
                    f"of elements: {', '.join(pairs)}"
                )
        radii = [
            require_positive(given[key], f"cutoff of {pair}", "angstrom")
            for key, pair in zip(wanted, pairs, strict=True)
        ]
    elif cutoff is not None and not by_pair:
        radii = [require_positive(cutoff, "cutoff", "angstrom")]
    else:
        radii = _minima(trajectory, pairs if by_pair else None)
        chosen = " (by default, the first minimum of g(r))"
        if by_pair:
            chosen = " (first minima of g(r))"
    radius = np.zeros((symbols.size, symbols.size))
    radius[a, b] = radius[b, a] = radii
    names = [f"{pair} " if by_pair else "" for pair in pairs]
    texts = [f"{n}{r:.4g} angstrom" for n, r in zip(names, radii, strict=True)]
    periodic = tuple(trajectory.repeats.tolist())
    return Cutoff(radius, kind, ", ".join(texts) + chosen, periodic)


def _minima(
    trajectory: Trajectory,
    pairs: list[str] | None,
    *,
    n_frames: int = 20,
    reach: float = 2.6,
    thin: float = 1.4,
) -> list[float]:
    """Find the cutoffs in g(r) of some of the frames.

    Parameters
    ----------
    trajectory : Trajectory
    pairs : list of str or None
        Pairs of elements, or None for one cutoff.
    n_frames : int
    reach : float
        How far g(r) is computed, in mean spacings of the atoms.
    thin : float
        The first shell of a dense solid or liquid ends at 1.4 to 1.5 spacings: in a
        thinner cell an image would be within it.

    Raises
    ------
    RangeError
        If a minimum cannot be the end of a shell of neighbors.
    """
    periodic = trajectory.repeats
    if not trajectory.is_periodic:
        raise RangeError(
            "the cutoff from g(r) needs a periodic box", fix="cutoff='3.8 angstrom'"
        )
    across = heights(trajectory.mean_cell)
    dimension = trajectory.dimension
    spacing = float(trajectory.density ** (-1 / dimension))
    if across[periodic].min() < thin * spacing:
        raise RangeError(
            f"the cell is {across[periodic].min():.4g} angstrom thick, with atoms "
            f"{spacing:.3g} angstrom apart: atoms would neighbor their own images",
            fix="simulate a larger cell, or pass cutoff=",
        )
    every = slice(None, None, max(1, trajectory.n_frames // n_frames))
    frames = trajectory.source.drop_vars("velocity", errors="ignore").isel(time=every)
    element = trajectory.element
    partials = pairs is not None or (
        element is not None and np.unique(element).size > 1
    )
    g = radial_distribution(frames, reach * spacing, spacing / 50, partials=partials)
    curves = [_total(g.rdf)]
    if pairs is not None:
        curves = [g.rdf.sel(pair=p) * g.rdf.weight.sel(pair=p) for p in pairs]
        radii = [first_minimum(g.rdf.sel(pair=pair)) for pair in pairs]
    else:
        radii = [end_of_first_shell(g.rdf) if partials else first_minimum(g.rdf)]
    # ρ g times the volume of every shell, or in the plane the area of every ring, is a
    # number of neighbors.
    shells = np.diff(ball(g.r_bnds.values, dimension), axis=1)[:, 0]
    neighbors = trajectory.density * sum(
        float((curve * shells).where(curve.r < radius).sum())
        for curve, radius in zip(curves, radii, strict=True)
    )  # fmt: skip
    if neighbors < dimension:
        raise RangeError(
            f"the first minimum of g(r), at {max(radii):.4g} angstrom, leaves "
            f"{neighbors:.2g} neighbors",
            fix="cutoff='3.8 angstrom'; choose it from "
            "traj.bp.radial_distribution(partials=True).bp.plot.cut()",
        )
    return radii


def _total(rdf: xr.DataArray) -> xr.DataArray:
    """Add partials up; that of a single atom of its kind is NaN and adds nothing."""
    return (rdf * rdf["weight"]).sum("pair") if "pair" in rdf.dims else rdf


def _smooth(rdf: xr.DataArray) -> np.ndarray:
    g = np.where(np.isfinite(rdf), rdf, 0.0)
    width = min(_SMOOTH, g.size - (1 - g.size % 2))
    return np.asarray(scipy.signal.savgol_filter(g, width, 2))


def _maxima(smooth: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.signal.find_peaks(smooth, prominence=0.3)[0])


def first_minimum(rdf: xr.DataArray, behind: float = 0.0) -> float:
    """Find the end of the first shell: the first minimum of g(r) after its maximum.

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
        If g(r) has none within the range of r.

    Examples
    --------
    >>> r = np.linspace(0.05, 6, 120)
    >>> gauss = lambda at, width: np.exp(-(((r - at) / width) ** 2))
    >>> g = (1 + 2 * gauss(2.7, 0.3) - 0.5 * gauss(3.8, 0.4)) * (r > 2)
    >>> g = xr.DataArray(g, dims="r", coords={"r": r})
    >>> round(first_minimum(g), 1)
    3.8
    """
    r, smooth = rdf["r"].values, _smooth(rdf)
    tops = _maxima(smooth)
    if tops.size:
        dips = tops[0] + scipy.signal.find_peaks(-smooth[tops[0] :], prominence=0.1)[0]
        dips = dips[r[dips] > behind]
        if dips.size:
            return _vertex(r, np.where(np.isfinite(rdf), rdf, 0.0), int(dips[0]))
    pair = f" of {rdf['pair'].item()}" if "pair" in rdf.coords else ""
    raise RangeError(
        f"g(r){pair} has no first minimum up to {r[-1]:.3g} angstrom",
        fix="cutoff='3.8 angstrom', or a distance for every pair",
    )


def _vertex(r: np.ndarray, g: np.ndarray, dip: int) -> float:
    """Return the lowest point of a parabola through five bins on either side of it."""
    at, lowest = dip, float(r[dip])
    for _ in range(_SMOOTH):  # moved until it is in the middle of them
        near = slice(max(at - _SMOOTH, 0), at + _SMOOTH + 1)
        curvature, slope, _constant = np.polyfit(r[near] - r[at], g[near], 2)
        lowest = float(r[at] - slope / (2 * curvature)) if curvature > 0 else np.inf
        if not r[near][0] < lowest < r[near][-1]:
            return float(r[dip])
        middle = int(np.argmin(abs(r - lowest)))
        if middle == at:
            break
        at = middle
    return lowest


def end_of_first_shell(partials: xr.DataArray, most: float = 0.9) -> float:
    """Find where the first shell of a mixture ends.

    The first minimum of its g(r) that is not within the shell. Where one kind of pair
    is much shorter than the rest, as A-B in Kob and Andersen's mixture, g(r) dips
    between the first maxima of the partials.

    Parameters
    ----------
    partials : xarray.DataArray
        g(r) over pair and r, with the coordinate ``weight``, from
        `radial_distribution`.
    most : float
        The shell ends behind the first maxima of this share of the pairs: a few solutes
        may be further apart.

    Returns
    -------
    float
        Å.

    Raises
    ------
    RangeError
        If g(r) has none within the range of r.

    Examples
    --------
    >>> r = np.linspace(0.05, 8, 160)
    >>> gauss = lambda at, width: np.exp(-(((r - at) / width) ** 2))
    >>> g = [(1 + 3 * gauss(at, 0.2) - 0.5 * gauss(at + 1, 0.4)) * (r > at - 0.4)
    ...      for at in (3.6, 2.9)]
    >>> g = xr.DataArray(g, dims=("pair", "r"), coords={
    ...     "pair": ["A-A", "A-B"], "r": r, "weight": ("pair", [0.65, 0.35])})
    >>> round(first_minimum(g[0] * 0.65 + g[1] * 0.35), 1)
    3.1
    >>> round(end_of_first_shell(g), 1)
    4.6
    """
    r = partials["r"].values
    tops = [_maxima(_smooth(curve)) for curve in partials]
    # A partial without a maximum has no shell.
    first = np.array([r[found[0]] if found.size else 0.0 for found in tops])
    order = np.argsort(first)
    share = np.cumsum(partials["weight"].values[order])
    behind = first[order][np.argmax(share >= most * share[-1])]
    return first_minimum(_total(partials), behind=float(behind))


def pairs_within(
    scaled: np.ndarray,
    cell: np.ndarray,
    radius: float,
    *,
    full: bool,
    periodic: Sequence[bool],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find pairs of atoms within a distance.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (3, n_atoms)
        In units of the cell vectors, anywhere.
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, Å.
    radius : float
        Å.
    full : bool
        Every pair from both sides, or once.
    periodic : sequence of bool
        Along which cell vectors images of an atom are neighbors.

    Returns
    -------
    first, second : numpy.ndarray of int, shape (n_pairs,)
    shift : numpy.ndarray of int, shape (n_pairs, 3)
        Cells to add to second − first, of the positions as given.
    """
    vesin = require("vesin", "find neighbors", "md")
    density = scaled.shape[1] / float(abs(np.linalg.det(cell)))
    near = density * 4 / 3 * np.pi * radius * radius * radius
    require_memory(
        5 * scaled.shape[1] * near, f"the pairs within {radius:.4g} angstrom"
    )
    # An open side has no images: atoms stay where they are.
    images = np.where(np.asarray(periodic)[:, None], np.floor(scaled), 0.0)
    inside = (scaled - images).T @ cell
    try:
        i, j, shift = vesin.NeighborList(cutoff=radius, full_list=full).compute(
            points=inside, box=cell, periodic=list(periodic), quantities="ijS"
        )
    except RuntimeError as error:
        what = f"no pairs can be found within {radius:.4g} angstrom"
        raise RangeError(what, reason=str(error)) from error
    # The images that were taken out are put back: positions as given are what the
    # shifts go with.
    i, j = i.astype(np.int64), j.astype(np.int64)
    moved = images.T.astype(np.int64)
    return i, j, shift.astype(np.int64) + moved[i] - moved[j]


class Neighborhoods(NamedTuple):
    """The neighbors of every atom in every frame.

    Attributes
    ----------
    number, distance : numpy.ndarray, shape (n_frames, n_atoms)
        How many, and their mean distance (Å; NaN without a neighbor).
    cutoff : Cutoff
        Within which they are neighbors.
    """

    number: np.ndarray
    distance: np.ndarray
    cutoff: Cutoff


def neighborhoods(
    scaled: np.ndarray, cells: np.ndarray, cutoff: Cutoff
) -> Neighborhoods:
    """Count the neighbors of every atom in every frame, and average their distances.

    Pairs are sought a skin beyond the cutoff and used again while no atom has moved by
    half of it.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (n_frames, 3, n_atoms)
    cells : numpy.ndarray, shape (n_frames, 3, 3)
    cutoff : Cutoff

    Returns
    -------
    Neighborhoods
    """
    n_frames, _, n = scaled.shape
    counts, distances = np.zeros((n_frames, n)), np.full((n_frames, n), np.nan)
    known: _Candidates | None = None
    for frame, cell in enumerate(cells):
        if known is None or known.outrun_by(scaled[frame], cell):
            known = _Candidates.find(scaled[frame], cell, cutoff)
        i, j, d = known.within(scaled[frame], cell)
        number = np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
        total = np.bincount(i, d, n) + np.bincount(j, d, n)
        counts[frame] = number
        np.divide(total, number, out=distances[frame], where=number > 0)
    return Neighborhoods(counts, distances, cutoff)


@dataclass(frozen=True)
class _Candidates:
    """Pairs within the cutoff and a skin, and where the atoms were at that time."""

    scaled: np.ndarray
    cell: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray
    squared: np.ndarray

    @classmethod
    def find(cls, scaled: np.ndarray, cell: np.ndarray, cutoff: Cutoff) -> _Candidates:
        i, j, shift = pairs_within(
            scaled, cell, cutoff.largest + _SKIN, full=False, periodic=cutoff.periodic
        )
        squared = cutoff.of(i, j) ** 2
        return cls(scaled, cell, i, j, np.ascontiguousarray(shift.T), squared)

    def outrun_by(self, scaled: np.ndarray, cell: np.ndarray) -> bool:
        """Return whether another pair may have come within the cutoff."""
        moved = cell.T @ self._moved(scaled) + (cell - self.cell).T @ self.scaled
        # Pairs over a face of the cell also move by what its vectors change.
        stretch = float(np.linalg.norm(cell - self.cell, axis=1).sum())
        return 2 * float(np.sqrt((moved**2).sum(axis=0).max())) + stretch > _SKIN

    def within(
        self, scaled: np.ndarray, cell: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pairs that are within the cutoff now, and their distances in Å."""
        place, shift = cell.T @ (self.scaled + self._moved(scaled)), cell.T @ self.shift
        squared = np.zeros(self.first.size)
        for axis in range(3):  # an axis at a time stays in the cache
            d = place[axis][self.second]
            d -= place[axis][self.first]
            d += shift[axis]
            squared += d * d
        near = np.flatnonzero(squared < self.squared)
        return self.first[near], self.second[near], np.sqrt(squared[near])

    def _moved(self, scaled: np.ndarray) -> np.ndarray:
        """Return how far the atoms went; a jump over a face does not count."""
        moved = scaled - self.scaled
        return np.asarray(moved - np.round(moved))
