"""A harmonic triangular crystal in two dimensions, from its exact normal modes."""

from __future__ import annotations

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.md import lattice, new_trajectory

#: Distance of neighbors (Å), mass (u), spring (u/ps²), temperature (K); 16 by 18 atoms.
A, M, K, T = 3.0, 40.0, 1500.0, 20.0
COLUMNS, ROWS = 16, 18
AREA = A**2 * np.sqrt(3) / 2


def places(
    thickness: float = 3.0, columns: int = COLUMNS, rows: int = ROWS
) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 3) of the atoms at rest, and the cell."""
    i, j = np.divmod(np.arange(columns * rows), columns)
    height = A * np.sqrt(3) / 2
    z = np.full(i.size, 0.4 * thickness)
    position = np.stack([A * (j + 0.5 * (i % 2)), height * i, z], axis=1)
    return position, np.diag([A * columns, height * rows, thickness])


def hessian(columns: int = COLUMNS, rows: int = ROWS) -> np.ndarray:
    """Second derivatives of the energy, (2n, 2n) in u/ps²: springs to six neighbors."""
    position, cell = places(3.0, columns, rows)
    side = np.diag(cell)[:2]
    apart = position[None, :, :2] - position[:, None, :2]
    apart -= side * np.round(apart / side)
    distance = np.linalg.norm(apart, axis=-1)
    near = (distance < 1.2 * A) & (distance > 0)
    along = np.where(near[..., None], apart, 0.0) / A
    pairs = -K * np.einsum("ija,ijb->iajb", along, along)
    n = len(position)
    pairs[np.arange(n), :, np.arange(n), :] = -pairs.sum(axis=2)
    return pairs.reshape(2 * n, 2 * n)


def dispersion(k: np.ndarray) -> np.ndarray:
    """Energies (n_k, 2) in meV at wave vectors (n_k, 2 or 3)."""
    angles = np.arange(6) * np.pi / 3
    bonds = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    weight = 1 - np.cos(A * k[:, :2] @ bonds.T)
    matrix = K / M * np.einsum("qn,na,nb->qab", weight, bonds, bonds)
    return constants.HBAR * np.sqrt(np.linalg.eigvalsh(matrix).clip(min=0))


def trajectory(
    n_frames: int, step: float = 0.05, thickness: float = 3.0, seed: int = 1
) -> xr.Dataset:
    """Every mode has the energy k_BT and a random phase; the whole is at rest."""
    square, modes = np.linalg.eigh(hessian() / M)
    omega, modes = np.sqrt(square[2:]), modes[:, 2:]
    rng = np.random.default_rng(seed)
    phase = omega * step * np.arange(n_frames)[:, None]
    phase += 2 * np.pi * rng.random(omega.size)
    speed = np.sqrt(2 * constants.BOLTZMANN * T / M)
    rest, cell = places(thickness)
    position = np.tile(rest, (n_frames, 1, 1))
    velocity = np.zeros_like(position)
    shape = (n_frames, -1, 2)
    position[..., :2] += ((speed / omega * np.sin(phase)) @ modes.T).reshape(shape)
    velocity[..., :2] = ((speed * np.cos(phase)) @ modes.T).reshape(shape)
    return new_trajectory(
        position, time=step * np.arange(n_frames), cell=cell, velocity=velocity,
        element=["Ar"] * len(rest), mass=np.full(len(rest), M),
    )  # fmt: skip


def still_and_matrix(
    columns: int, rows: int, thickness: float = 3.0
) -> tuple[xr.Dataset, scipy.sparse.csr_array]:
    """A box at rest and its springs, in eV/Å², in which no atom may leave the plane."""
    rest, cell = places(thickness, columns, rows)
    n = len(rest)
    matrix = np.zeros((n, 3, n, 3))
    matrix[:, :2, :, :2] = hessian(columns, rows).reshape(n, 2, n, 2)
    units = (constants.HBAR / constants.HBAR_ROOT_EV_PER_U) ** 2
    still = new_trajectory(
        rest[None], time=[0.0], cell=cell, element=["Ar"] * n, mass=np.full(n, M)
    )
    return still, scipy.sparse.csr_array(units * matrix.reshape(3 * n, 3 * n))


def force_constants(columns: int, rows: int, thickness: float = 3.0) -> xr.Dataset:
    still, matrix = still_and_matrix(columns, rows, thickness)
    return lattice.new_force_constants(matrix, still)
