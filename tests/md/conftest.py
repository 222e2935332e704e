from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xbp.md import new_trajectory

pytest.importorskip("finufft")


def walk(n_frames: int = 24, n_atoms: int = 40, *, cell: np.ndarray, seed: int = 7) -> xr.Dataset:
    """Random atoms of two kinds that wander, with velocities of their own; their centre of mass is at rest."""
    rng = np.random.default_rng(seed)
    start = rng.random((n_atoms, 3)) @ cell
    steps = 0.1 * rng.standard_normal((n_frames, n_atoms, 3))
    steps[0] = 0
    element = np.where(np.arange(n_atoms) % 3 == 0, "Zr", "Cu")
    mass = np.where(element == "Zr", 91.22, 63.55)
    velocity = rng.standard_normal((n_frames, n_atoms, 3))
    steps -= np.einsum("tjc,j->tc", steps, mass)[:, None] / mass.sum()
    velocity -= np.einsum("tjc,j->tc", velocity, mass)[:, None] / mass.sum()
    return new_trajectory(
        start + np.cumsum(steps, axis=0),
        time=0.05 * np.arange(n_frames),
        cell=cell,
        velocity=velocity,
        element=element,
        mass=mass,
        temperature="300 K",
    )


@pytest.fixture
def small() -> xr.Dataset:
    return walk(cell=np.array([[7.0, 0, 0], [1.0, 8.0, 0], [-0.5, 0.7, 9.0]]))
