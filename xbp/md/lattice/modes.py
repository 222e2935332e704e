"""Vibrations of a periodic box at any wave vector, from its second derivatives.

A box of N atoms that is repeated without end has 3N modes at every wave vector k, in a
plane 2N. They are computed from the N atoms of one box, and the box sets no lowest
phonon.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from xbp.core import constants
from xbp.core.errors import RangeError
from xbp.md.block import heights
from xbp.md.plane import images_along
from xbp.models.dimension import ball, mode_count

__all__ = [
    "Springs",
    "amplitudes",
    "bloch_matrix",
    "bloch_modes",
    "draw_wavevector",
    "nearest_image",
    "participation_ratio",
    "shell_means",
    "springs_of",
    "squared",
    "wave_vectors",
]


@dataclass(frozen=True)
class Springs:
    """Second derivatives of the energy of a box, for pairs of atoms.

    Attributes
    ----------
    first, second : numpy.ndarray of int, shape (n_pairs,)
        Atoms of each pair, in both orders, including each atom with itself.
    block : numpy.ndarray, shape (n_pairs, d, d)
        ∂²U/∂r_i∂r_j, eV/Å²; in a plane of atoms d is 2, else 3.
    position : numpy.ndarray, shape (n_atoms, 3)
        Positions at the minimum, Å.
    cell : numpy.ndarray, shape (3, 3)
        Rows are the vectors of the cell, Å.
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    """

    first: np.ndarray
    second: np.ndarray
    block: np.ndarray
    position: np.ndarray
    cell: np.ndarray
    mass: np.ndarray

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.mass.size)

    @property
    def dimension(self) -> int:
        """Number of directions in which an atom moves."""
        return int(self.block.shape[-1])

    @property
    def n_modes(self) -> int:
        """Number of modes at every wave vector."""
        return int(mode_count(self.n_atoms, self.dimension))

    @cached_property
    def bond(self) -> np.ndarray:
        """Vector from first to nearest image of second, shape (n_pairs, 3), Å."""
        return nearest_image(self.position, self.cell, self.first, self.second)


def nearest_image(
    position: np.ndarray, cell: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return the vectors from atoms to the nearest images of others, Å."""
    bond = position[second] - position[first]
    return np.asarray(bond - np.round(bond @ np.linalg.inv(cell)) @ cell)


def springs_of(
    matrix: Any,
    position: np.ndarray,
    cell: np.ndarray,
    mass: np.ndarray,
    *,
    dimension: int = 3,
    least: float = 1e-9,
) -> tuple[Springs, float]:
    """Split the second derivatives of the energy of a box into pairs of atoms.

    Parameters
    ----------
    matrix : sparse array, shape (3 n_atoms, 3 n_atoms)
        ∂²U/∂r_i∂r_j, symmetric, eV/Å².
    position, cell, mass
        Positions at the minimum, cell and masses, with atoms in the order of the
        matrix.
    dimension : int
        2 if the atoms move in a plane alone.
    least : float
        Pairs below this fraction of the largest element are left out, as rounding
        errors.

    Returns
    -------
    springs : Springs
        Corrected so that Σ_j ∂²U/∂r_i∂r_j = 0: moving all atoms together needs no
        energy.
    violation : float
        Largest element of that sum before the correction, relative to the largest
        second derivative.

    Raises
    ------
    RangeError
        If the range of the forces is half of the box or more: it is then not known to
        which image of an atom a second derivative belongs.
    """
    n = mass.size
    blocks = scipy.sparse.bsr_array(matrix, blocksize=(3, 3))
    blocks.sum_duplicates()
    first = np.repeat(np.arange(n), np.diff(blocks.indptr))
    second, block = blocks.indices.astype(int), np.array(blocks.data)
    block = np.ascontiguousarray(block[:, :dimension, :dimension])
    size = np.abs(block).max(axis=(1, 2))
    kept = (size > least * size.max()) | (first == second)
    first, second, block = first[kept], second[kept], block[kept]
    springs = Springs(first, second, block, position, cell, mass)
    reach = float(np.linalg.norm(springs.bond, axis=1).max())
    # Distances between opposite faces of the cell.
    width = float(heights(cell)[images_along(cell, dimension)].min())
    if not 2 * reach < width:
        raise RangeError(
            f"the forces reach {reach:.4g} angstrom in a box {width:.4g} angstrom wide",
            reason="beyond half the box, the image that acts is ambiguous",
            fix="use a larger box",
        )
    total = np.zeros((n, dimension, dimension))
    np.add.at(total, first, block)
    own = first == second
    block[own] -= total[first[own]]
    block[own] = (block[own] + np.swapaxes(block[own], 1, 2)) / 2
    return springs, float(np.abs(total).max() / size.max())


def bloch_matrix(springs: Springs, k: np.ndarray, dtype: Any = complex) -> np.ndarray:
    r"""Return the dynamical matrix at a wave vector, eV/Å²/u.

    .. math:: D_{ij}(\mathbf k) = \frac{1}{\sqrt{m_i m_j}} \sum_{\mathbf R}
              \frac{\partial^2 U}{\partial \mathbf r_i \partial \mathbf r_{j\mathbf R}}
              e^{i\mathbf k\cdot(\mathbf r_j + \mathbf R - \mathbf r_i)}

    Parameters
    ----------
    springs : Springs
    k : numpy.ndarray, shape (3,)
        1/Å.
    dtype : dtype
        ``complex`` or ``numpy.complex64``.

    Returns
    -------
    numpy.ndarray, shape (d n_atoms, d n_atoms)
        Hermitian.
    """
    n, d = springs.n_atoms, springs.dimension
    root = np.sqrt(springs.mass)
    factor = np.exp(1j * (springs.bond @ k)) / (
        root[springs.first] * root[springs.second]
    )
    matrix = np.zeros((n, d, n, d), dtype=dtype)
    matrix[springs.first, :, springs.second, :] = springs.block * factor[:, None, None]
    return matrix.reshape(d * n, d * n)


def bloch_modes(
    springs: Springs,
    k: np.ndarray,
    *,
    dtype: Any = complex,
    E_max: float | None = None,
    vectors: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Find the modes at a wave vector.

    Parameters
    ----------
    springs, k, dtype
        As for `bloch_matrix`.
    E_max : float, optional
        Find only modes up to this energy, meV.
    vectors : bool
        Whether to return their eigenvectors too.

    Returns
    -------
    energy : numpy.ndarray, shape (n_modes,)
        ħω in meV, ascending; −ħ|ω| where ω is imaginary.
    vectors : numpy.ndarray, shape (d n_atoms, n_modes), or None
        Columns e_s of unit length; atom j moves as e_sj e^{ik·r_j}/√m_j.
    """
    some = {}
    if E_max is not None:
        square = (E_max / constants.HBAR_ROOT_EV_PER_U) ** 2
        some = {"subset_by_value": (-np.inf, square)}
    found = scipy.linalg.eigh(
        bloch_matrix(springs, k, dtype),
        eigvals_only=not vectors,
        overwrite_a=True,
        check_finite=False,
        **some,
    )
    squares = (found[0] if vectors else found).astype(float)
    energy = np.sign(squares) * np.sqrt(np.abs(squares))
    return constants.HBAR_ROOT_EV_PER_U * energy, found[1] if vectors else None


def participation_ratio(vectors: np.ndarray, dimension: int = 3) -> np.ndarray:
    """Return (Σ|e_j|²)² / (N Σ|e_j|⁴): 1 if all atoms move equally, 1/N if one moves.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (d n_atoms, n_modes)
    dimension : int
        d.

    Returns
    -------
    numpy.ndarray, shape (n_modes,)

    References
    ----------
    R. J. Bell & P. Dean, Discuss. Faraday Soc. 50, 55 (1970), doi:10.1039/DF9705000055.

    Examples
    --------
    >>> participation_ratio(np.eye(6)[:, :1])
    array([0.5])
    """
    power = squared(vectors, dimension)
    return np.asarray(power.sum(axis=0) ** 2 / ((power**2).sum(axis=0) * len(power)))


def squared(vectors: np.ndarray, dimension: int = 3) -> np.ndarray:
    """Return |e_j|² of every atom, shape (n_atoms, n_modes)."""
    shape = (len(vectors) // dimension, dimension, vectors.shape[-1])
    parts = vectors.reshape(shape)
    return np.asarray((np.abs(parts) ** 2).sum(axis=1))


def draw_wavevector(
    cell: np.ndarray, index: int, seed: int, inner: float, dimension: int = 3
) -> tuple[np.ndarray, int, float]:
    """Draw one of the wave vectors that sample the Brillouin zone of a box.

    Every fourth is drawn from a sphere about Γ, where the long waves are; the others
    come from the rest of the zone. k and −k have the same modes.

    Parameters
    ----------
    cell : numpy.ndarray, shape (3, 3)
        Å.
    index, seed : int
        The same two numbers give the same wave vector.
    inner : float
        Radius of the sphere, in units of the largest that fits into the zone.
    dimension : int
        2 for a plane of atoms, whose zone is in it.

    Returns
    -------
    k : numpy.ndarray, shape (3,)
        1/Å.
    stratum : int
        1 inside the sphere, 0 outside.
    share : float
        Fraction of the volume of the zone that this part has.

    Examples
    --------
    >>> k, stratum, share = draw_wavevector(10 * np.eye(3), 3, seed=1, inner=0.5)
    >>> bool(np.linalg.norm(k) < np.pi / 20), stratum, round(share, 4)
    (True, 1, 0.0654)
    """
    rng = np.random.default_rng([seed, index])
    along = images_along(cell, dimension)
    radius = inner * np.pi / float(np.linalg.norm(cell[along], axis=1).max())
    size = abs(float(np.linalg.det(cell))) / float(np.prod(heights(cell)[~along]))
    part = ball(radius, dimension) * size / (2 * np.pi) ** dimension
    if index % 4 == 3:
        direction = rng.normal(size=3)
        direction[dimension:] = 0
        length = radius * rng.random() ** (1 / dimension)
        return length * direction / np.linalg.norm(direction), 1, part
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    while True:
        k = np.where(along, rng.random(3) - 0.5, 0.0) @ reciprocal
        if np.linalg.norm(k) >= radius:
            return k, 0, 1 - part


def wave_vectors(
    cell: np.ndarray,
    k: np.ndarray,
    edges: np.ndarray,
    most: int | None,
    rng: np.random.Generator,
    dimension: int = 3,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return reciprocal-lattice vectors G with |k + G| in shells, and their shells.

    Parameters
    ----------
    cell : numpy.ndarray, shape (3, 3)
        Å.
    k : numpy.ndarray, shape (3,)
        1/Å.
    edges : numpy.ndarray, shape (n_shells + 1,)
        Edges of the shells, 1/Å.
    most : int or None
        Largest number of vectors per shell, drawn at random; None for all.
    rng : numpy.random.Generator
    dimension : int
        2 for those in a plane of atoms.

    Returns
    -------
    G : numpy.ndarray, shape (n, 3)
        1/Å.
    shell : numpy.ndarray, shape (n,)
        Ascending.
    count : numpy.ndarray, shape (n_shells,)
        Number of vectors in each shell, whether drawn or not.
    """
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    reach = edges[-1] + np.linalg.norm(k)
    highest = np.floor(reach * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    highest = np.where(images_along(cell, dimension), highest, 0)
    steps = np.meshgrid(*(np.arange(-n, n + 1) for n in highest), indexing="ij")
    G = np.stack(steps, axis=-1).reshape(-1, 3) @ reciprocal
    length = np.linalg.norm(k + G, axis=1)
    shell = np.searchsorted(edges, length, side="right") - 1
    # Q = 0 has no direction.
    inside = (shell >= 0) & (shell < edges.size - 1) & (length > 0)
    G, shell = G[inside], shell[inside]
    count = np.bincount(shell, minlength=edges.size - 1)
    # In random order, so that the first `most` of each shell are a random sample.
    order = rng.permutation(shell.size)
    order = order[np.argsort(shell[order], kind="stable")]
    G, shell = G[order], shell[order]
    if most is not None:
        begin = np.searchsorted(shell, shell, side="left")
        kept = np.arange(shell.size) - begin < most
        G, shell = G[kept], shell[kept]
    return G, shell, count


def shell_means(
    cell: np.ndarray,
    wavevectors: np.ndarray,
    weights: np.ndarray,
    edges: np.ndarray,
    dimension: int = 3,
) -> np.ndarray:
    r"""Return the mean \|k + G\| of each shell; the centre of a shell without any.

    Parameters
    ----------
    cell : numpy.ndarray, shape (3, 3)
        Å.
    wavevectors : numpy.ndarray, shape (n_k, 3)
        1/Å.
    weights : numpy.ndarray, shape (n_k,)
        Weight of each k.
    edges : numpy.ndarray, shape (n_shells + 1,)
        1/Å.

    Returns
    -------
    numpy.ndarray, shape (n_shells,)
        1/Å.
    """
    number, total = np.zeros((2, edges.size - 1))
    rng = np.random.default_rng(0)  # draws nothing: all vectors are used
    for k, weight in zip(wavevectors, weights, strict=True):
        G, shell, count = wave_vectors(cell, k, edges, None, rng, dimension)
        length = np.linalg.norm(k + G, axis=1)
        number += weight * count
        total += weight * np.bincount(shell, length, minlength=count.size)
    centre = (edges[:-1] + edges[1:]) / 2
    return np.where(number > 0, total / np.where(number > 0, number, 1.0), centre)


def amplitudes(
    springs: Springs,
    vectors: np.ndarray,
    G: np.ndarray,
    groups: np.ndarray,
) -> np.ndarray:
    r"""Return the amplitude of each mode for the atoms of each group, at Q = k + G.

    .. math:: \mathbf F_{as} = \sum_{j \in a} \frac{\mathbf e_{sj}}{\sqrt{m_j}}
              e^{-i\mathbf G\cdot\mathbf r_j}

    Parameters
    ----------
    springs : Springs
    vectors : numpy.ndarray, shape (3 n_atoms, n_modes)
        From `bloch_modes`, at k.
    G : numpy.ndarray, shape (n_Q, 3)
        1/Å.
    groups : numpy.ndarray, shape (n_groups, n_atoms)
        Weight of each atom in each group.

    Returns
    -------
    numpy.ndarray, shape (n_groups, d, n_Q, n_modes)
        1/√u.
    """
    d = springs.dimension
    by_atom = vectors.reshape(springs.n_atoms, d, vectors.shape[-1])
    phase = np.exp(-1j * (G @ springs.position.T)) / np.sqrt(springs.mass)
    found = np.zeros((len(groups), d, len(G), vectors.shape[-1]), dtype=vectors.dtype)
    for group, out in zip(groups, found, strict=True):
        some = np.flatnonzero(group)
        waves = (phase[:, some] * group[some]).astype(vectors.dtype)
        for axis in range(d):
            np.matmul(waves, by_atom[some, axis], out=out[axis])
    return found
