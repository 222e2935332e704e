from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xbp.md import new_trajectory

pytest.importorskip("finufft")


def walk(
    n_frames: int = 24, n_atoms: int = 40, *, cell: np.ndarray, seed: int = 7
) -> xr.Dataset:
    """Random atoms of two kinds on random smooth ways, slow enough for the frames; their centre of mass is at rest."""
    rng = np.random.default_rng(seed)
    time = 0.05 * np.arange(n_frames)
    element = np.where(np.arange(n_atoms) % 3 == 0, "Zr", "Cu")
    mass = np.where(element == "Zr", 91.22, 63.55)
    omega = rng.uniform(1, 20, 6)
    amplitude = 0.4 * rng.standard_normal((2, 6, n_atoms, 3)) / omega[:, None, None]
    amplitude -= np.einsum("imjc,j->imc", amplitude, mass)[:, :, None] / mass.sum()
    waves = np.cos(np.outer(time, omega)), np.sin(np.outer(time, omega))
    return new_trajectory(
        rng.random((n_atoms, 3)) @ cell + np.einsum("itm,imjc->tjc", waves, amplitude),
        time=time,
        cell=cell,
        velocity=np.einsum("itm,m,imjc->tjc", (-waves[1], waves[0]), omega, amplitude),
        element=element,
        mass=mass,
        temperature="300 K",
    )


@pytest.fixture
def small() -> xr.Dataset:
    return walk(cell=np.array([[7.0, 0, 0], [1.0, 8.0, 0], [-0.5, 0.7, 9.0]]))
