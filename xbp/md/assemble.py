"""Lazily read frames and what is known of the atoms, put in the data model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.errors import QuantityError
from xbp.md.foreign import LazyFrames
from xbp.md.labels import positive
from xbp.md.models import new_trajectory
from xbp.md.weights import atomic_mass

__all__ = ["CHUNK_BYTES", "assemble", "masses_of"]

#: Positions and velocities of a chunk take about this much memory.
CHUNK_BYTES = 8 * 2**20


def masses_of(element: np.ndarray, given: Mapping[str, Any] | None, known: np.ndarray | None) -> np.ndarray:
    """Return the mass of every atom: as given for its symbol, else as known, else the element's."""
    symbols, index = np.unique(element, return_inverse=True)
    by_symbol = {s: positive(given[s], "u", f"mass of {s}") for s in symbols.tolist() if given and s in given}
    if known is None:
        return np.array([by_symbol[s] if s in by_symbol else atomic_mass(s) for s in symbols.tolist()])[index]
    return np.array([by_symbol.get(s, m) for s, m in zip(element.tolist(), known.tolist(), strict=True)])


def assemble(
    lazy: LazyFrames,
    time: np.ndarray,
    cells: np.ndarray,
    element: np.ndarray,
    mass: np.ndarray,
    chunk_frames: int | None,
    *,
    periodic: str | None = None,
) -> xr.Dataset:
    """Put lazily read frames in the data model; `periodic` is kept as an attribute."""
    if chunk_frames is not None and chunk_frames < 1:
        raise QuantityError(f"chunk_frames={chunk_frames}", reason="it is a count", fix="give a positive integer")
    per_frame = lazy.n_atoms * 24 * (2 if lazy.has_velocity else 1)
    position, velocity = lazy.arrays(chunk_frames or max(1, CHUNK_BYTES // per_frame))
    constant = np.allclose(cells, cells[0], rtol=1e-9, atol=0)
    ds = new_trajectory(
        position, time=time, cell=cells[0] if constant else cells, velocity=velocity, element=element, mass=mass
    )
    if periodic is not None:
        ds.attrs["periodic"] = periodic
    return ds
