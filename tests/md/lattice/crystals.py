"""Crystals of springs between nearest neighbours, whose modes are known."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from xbp.core import constants
from xbp.md.lattice.modes import Springs, springs_of

A, K, M = 4.0, 3.0, 60.0  # Å, eV/Å², u
NEIGHBORS = np.array([(i, j, 0) for i in (-1, 1) for j in (-1, 1)], dtype=float)
NEIGHBORS = np.concatenate([np.roll(NEIGHBORS, n, axis=1) for n in range(3)]) * A / 2


def fcc(n: int) -> tuple[np.ndarray, np.ndarray]:
    axes = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
    corners = np.stack(axes, -1).reshape(-1, 3)
    basis = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    return (corners[:, None] + basis).reshape(-1, 3) * A, np.eye(3) * n * A


def second_derivatives(
    position: np.ndarray, cell: np.ndarray
) -> scipy.sparse.csr_array:
    """Return ∂²U/∂r_i∂r_j, the sum over images, as a program gives it for a box."""
    n = len(position)
    found = np.zeros((n, 3, n, 3))
    inverse = np.linalg.inv(cell)
    for i in range(n):
        for bond in NEIGHBORS:
            d = position - (position[i] + bond)
            d -= np.round(d @ inverse) @ cell
            j = int(np.argmin((d**2).sum(1)))
            pull = K * np.outer(bond, bond) / (bond @ bond)
            found[i, :, i, :] += pull
            found[i, :, j, :] -= pull
    return scipy.sparse.csr_array(found.reshape(3 * n, 3 * n))


def primitive(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return energies (meV) and vectors of one atom with its twelve neighbours."""
    unit = NEIGHBORS / np.linalg.norm(NEIGHBORS, axis=1)[:, None]
    D = np.zeros((3, 3))
    for u, r in zip(unit, NEIGHBORS, strict=True):
        D += K / M * np.outer(u, u) * (1 - np.cos(q @ r))
    square, e = np.linalg.eigh(D)
    return constants.HBAR_ROOT_EV_PER_U * np.sqrt(np.abs(square)), e


def crystal(n: int = 3) -> Springs:
    position, cell = fcc(n)
    mass = np.full(len(position), M)
    return springs_of(second_derivatives(position, cell), position, cell, mass)[0]


def disordered() -> Springs:
    """Return the crystal with masses at random: a glass of masses."""
    position, cell = fcc(3)
    mass = np.random.default_rng(5).uniform(20, 100, len(position))
    return springs_of(second_derivatives(position, cell), position, cell, mass)[0]
