"""Neighbors within a cutoff: the cutoff itself, the pairs, and how many and how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.errors import QuantityError, RangeError
from xbp.md.labels import positive
from xbp.md.pair_distribution import radial_distribution
from xbp.md.trajectory import Trajectory
from xbp.optional import require

__all__ = ["Cutoff", "choose_cutoff", "coordination_and_distance", "first_minimum", "pairs_within"]

#: Frames whose g(r) tells the cutoff.
_FRAMES = 20
#: g(r) is sought out to this many mean spacings of the atoms, in bins of that part of one.
_REACH, _BINS = 2.6, 50
#: Candidates reach this much beyond the cutoff (Å): the further, the longer they last, and the more there are.
#: At room temperature some of thousands of atoms move by 0.7 Å.
_SKIN = 1.6


@dataclass(frozen=True)
class Cutoff:
    """Distance below which two atoms are neighbors, for every pair of kinds.

    Attributes
    ----------
    radius : numpy.ndarray, shape (n_kinds, n_kinds)
        Å.
    kind : numpy.ndarray of int, shape (n_atoms,)
    text : str
        For history.
    """

    radius: np.ndarray
    kind: np.ndarray
    text: str

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
        One distance (bare: Å); None for the first minimum of g(r); ``"pairs"`` for that of every pair of
        elements; or distances by pair, ``{"Cu-Zr": 3.6, …}``.

    Returns
    -------
    Cutoff

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If a pair is missing or not known, or g(r) has no first minimum.
    """
    by_pair = isinstance(cutoff, Mapping) or (isinstance(cutoff, str) and cutoff == "pairs")
    if by_pair:
        symbols, kind = np.unique(trajectory.elements(), return_inverse=True)
    else:
        symbols, kind = np.array([""]), np.zeros(trajectory.n_atoms, dtype=int)
    a, b = np.triu_indices(symbols.size)
    if isinstance(cutoff, Mapping):
        given = {frozenset(str(key).split("-")): (key, value) for key, value in cutoff.items()}
        radii, pairs = [], [f"{symbols[i]}-{symbols[j]}" for i, j in zip(a, b, strict=True)]
        for pair in pairs:
            if frozenset(pair.split("-")) not in given:
                raise QuantityError(
                    f"cutoff= has no entry for '{pair}'",
                    reason=f"the pairs of elements are {', '.join(pairs)}",
                    fix="name every pair, or give one distance",
                )
            radii.append(positive(given[frozenset(pair.split("-"))][1], "angstrom", f"cutoff of {pair}"))
    elif cutoff is not None and not by_pair:
        radii = [positive(cutoff, "angstrom", "cutoff")]
    else:
        step = max(1, trajectory.n_frames // _FRAMES)
        spacing = (trajectory.volume / trajectory.n_atoms) ** (1 / 3)
        frames = data.drop_vars("velocity", errors="ignore").isel(time=slice(None, None, step))
        rdf = radial_distribution(frames, _REACH * spacing, spacing / _BINS, partials=by_pair).rdf
        curves = [rdf.sel(pair=f"{symbols[i]}-{symbols[j]}") for i, j in zip(a, b, strict=True)] if by_pair else [rdf]
        radii = [first_minimum(curve) for curve in curves]
    radius = np.zeros((symbols.size, symbols.size))
    radius[a, b] = radius[b, a] = radii
    names = [f"{symbols[i]}-{symbols[j]} " if by_pair else "" for i, j in zip(a, b, strict=True)]
    text = ", ".join(f"{name}{r:.4g} angstrom" for name, r in zip(names, radii, strict=True))
    return Cutoff(radius, kind, text)


def first_minimum(rdf: xr.DataArray) -> float:
    """Find the first minimum of g(r) behind its first maximum, where the first shell of neighbors ends.

    Parameters
    ----------
    rdf : xarray.DataArray
        g(r) over r, from `radial_distribution`.

    Returns
    -------
    float
        Å, from a curve smoothed over about a quarter of an ångström.

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
    r, g = rdf["r"].values, rdf.values
    width = max(5, int(0.25 / (r[1] - r[0])) | 1)
    smooth = scipy.signal.savgol_filter(np.where(np.isfinite(g), g, 0.0), min(width, g.size - (1 - g.size % 2)), 2)
    tops, _ = scipy.signal.find_peaks(smooth, prominence=0.3)
    if tops.size:
        dips, _ = scipy.signal.find_peaks(-smooth[tops[0] :], prominence=0.1)
        if dips.size:
            return float(r[tops[0] + dips[0]])
    pair = f" of {rdf['pair'].item()}" if "pair" in rdf.coords else ""
    raise RangeError(
        f"g(r){pair} has no first minimum up to {r[-1]:.3g} angstrom",
        reason="there is no shell of neighbors that ends, or too few atoms to see it",
        fix="give cutoff='3.8 angstrom', or a distance for every pair",
    )


def pairs_within(
    scaled: np.ndarray, cell: np.ndarray, radius: float, *, full: bool
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

    Returns
    -------
    first, second : numpy.ndarray of int, shape (n_pairs,)
    shift : numpy.ndarray of int, shape (n_pairs, 3)
        Cells to add to second − first, of the positions as given.
    """
    vesin = require("vesin", "it finds the neighbors", "md")
    images = np.floor(scaled)
    inside = (scaled - images).T @ cell
    # A plane of atoms in a cell much thinner than they are apart is a simulation in two dimensions.
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spacing = np.sqrt(abs(np.linalg.det(cell)) / heights / scaled.shape[1])
    periodic = (np.ptp(scaled, axis=1) > 1e-9) | (heights > spacing / 2)
    i, j, shift = vesin.NeighborList(cutoff=radius, full_list=full).compute(
        points=inside, box=cell, periodic=periodic.tolist(), quantities="ijS"
    )
    # The images that were taken out are put back: positions as given are what the shifts go with.
    i, j = i.astype(np.int64), j.astype(np.int64)
    moved = images.T.astype(np.int64)
    return i, j, shift.astype(np.int64) + moved[i] - moved[j]


def coordination_and_distance(scaled: np.ndarray, cells: np.ndarray, cutoff: Cutoff) -> tuple[np.ndarray, np.ndarray]:
    """Count the neighbors of every atom in every frame, and average their distances.

    Pairs are sought a skin beyond the cutoff and used again while no atom has moved by half of it.

    Parameters
    ----------
    scaled : numpy.ndarray, shape (n_frames, 3, n_atoms)
    cells : numpy.ndarray, shape (3, 3) or (n_frames, 3, 3)
    cutoff : Cutoff

    Returns
    -------
    numpy.ndarray, numpy.ndarray, shape (n_frames, n_atoms)
        Numbers, and mean distances (Å; NaN without a neighbor).
    """
    n_frames, _, n_atoms = scaled.shape
    counts, distances = np.zeros((n_frames, n_atoms)), np.full((n_frames, n_atoms), np.nan)
    held: _Candidates | None = None
    for frame in range(n_frames):
        cell = cells if cells.ndim == 2 else cells[frame]
        if held is None or held.outrun_by(scaled[frame], cell):
            held = _Candidates.find(scaled[frame], cell, cutoff)
        near_i, near_j, near = held.within(scaled[frame], cell)
        number = np.bincount(near_i, minlength=n_atoms) + np.bincount(near_j, minlength=n_atoms)
        total = np.bincount(near_i, near, n_atoms) + np.bincount(near_j, near, n_atoms)
        counts[frame] = number
        np.divide(total, number, out=distances[frame], where=number > 0)
    return counts, distances


@dataclass(frozen=True)
class _Candidates:
    """Pairs within the cutoff and a skin, and where the atoms were when they were found."""

    scaled: np.ndarray
    cell: np.ndarray
    first: np.ndarray
    second: np.ndarray
    shift: np.ndarray
    squared: np.ndarray

    @classmethod
    def find(cls, scaled: np.ndarray, cell: np.ndarray, cutoff: Cutoff) -> _Candidates:
        i, j, shift = pairs_within(scaled, cell, cutoff.largest + _SKIN, full=False)
        return cls(scaled, cell, i, j, np.ascontiguousarray(shift.T), cutoff.of(i, j) ** 2)

    def outrun_by(self, scaled: np.ndarray, cell: np.ndarray) -> bool:
        """Tell whether a pair that is not among them may have come within the cutoff."""
        moved = cell.T @ self._moved(scaled) + (cell - self.cell).T @ self.scaled
        # Pairs over a face of the cell also move by what its vectors change.
        stretch = float(np.linalg.norm(cell - self.cell, axis=1).sum())
        return 2 * float(np.sqrt((moved**2).sum(axis=0).max())) + stretch > _SKIN

    def within(self, scaled: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        """Return how far the atoms went, a jump over a face being none."""
        moved = scaled - self.scaled
        return np.asarray(moved - np.round(moved))
