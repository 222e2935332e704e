"""One frame of a trajectory as LAMMPS takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.md.lammps.systems import System
from xbp.md.trajectory import read_trajectory

__all__ = ["Configuration", "read_configuration"]


@dataclass(frozen=True)
class Configuration:
    """Positions (n_atoms, 3) in Å inside the cell of given sides, velocities in Å/ps or None, and types from 1."""

    position: np.ndarray
    velocity: np.ndarray | None
    sides: list[float]
    species: list[str]
    types: np.ndarray
    temperature: float | None

    @property
    def counts(self) -> list[int]:
        """Number of atoms of each species."""
        return [
            int(n) for n in np.bincount(self.types, minlength=len(self.species) + 1)[1:]
        ]


def read_configuration(data: xr.Dataset, system: System) -> Configuration:
    """Hold a Dataset to be one frame of a system.

    Raises
    ------
    RangeError
        If it has more frames, or its cell is not orthogonal.
    QuantityError
        If it has other species.
    """
    trajectory = read_trajectory(data)
    cell = trajectory.mean_cell
    if trajectory.n_frames != 1 or not np.allclose(cell, np.diag(np.diag(cell))):
        raise RangeError(
            f"the configuration has {trajectory.n_frames} frames in a cell "
            f"{np.round(cell, 3).tolist()}",
            reason="one frame in an orthogonal cell is needed",
            fix="glass.isel(time=[-1])",
        )
    elements = trajectory.elements()
    species = [s for s in system.masses if s in set(elements.tolist())]
    if set(elements.tolist()) - set(species):
        raise QuantityError(
            f"{system.name} has no "
            f"{', '.join(sorted(set(elements.tolist()) - set(species)))}",
            reason=f"its species are {', '.join(system.masses)}",
            fix="name the system the configuration is of",
        )
    block = trajectory.block(0, 1, velocity=trajectory.velocity is not None)
    scaled = block.scaled()[0]
    return Configuration(
        (scaled - np.floor(scaled)).T @ cell,
        None if trajectory.velocity is None else block.velocities()[0].T,
        np.diag(cell).tolist(),
        species,
        np.array([species.index(e) + 1 for e in elements.tolist()]),
        trajectory.temperature(),
    )
