"""The deformation of the surroundings of every atom since a reference.

It is one sparse linear operator on the displacements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from xbp.core.errors import QuantityError
from xbp.md.block import Block
from xbp.md.neighbors import Cutoff, pairs_within
from xbp.md.reference import NEAR, Reference

__all__ = [
    "Deformation",
    "Deformed",
    "d2min",
    "deformation_gradient",
    "green_lagrange",
    "von_mises",
]


def green_lagrange(gradient: np.ndarray) -> np.ndarray:
    """Return the strain η = ½(FᵀF − 1) of F − 1, shape (3, 3, ...).

    With g = F − 1 it is ½(g + gᵀ + gᵀg).

    Examples
    --------
    >>> green_lagrange(np.diag([0.1, 0.0, 0.0]))[0, 0].round(6)
    np.float64(0.105)
    """
    g = gradient
    strain = np.empty_like(g)
    for a in range(3):
        for b in range(a, 3):
            square = g[0, a] * g[0, b]
            square += g[1, a] * g[1, b]
            square += g[2, a] * g[2, b]
            square += g[a, b]
            square += g[b, a]
            square *= 0.5
            strain[a, b] = strain[b, a] = square
    return strain


def von_mises(shear: np.ndarray) -> np.ndarray:
    """Return √(½ dev η : dev η) of deviatoric strains (3, 3, ...).

    Examples
    --------
    >>> von_mises(np.array([[0, 0.01, 0], [0.01, 0, 0], [0, 0, 0]])).round(6)
    np.float64(0.01)
    """
    diagonal = shear[0, 0] ** 2 + shear[1, 1] ** 2 + shear[2, 2] ** 2
    sides = shear[0, 1] ** 2 + shear[0, 2] ** 2 + shear[1, 2] ** 2
    return np.asarray(np.sqrt(diagonal / 2 + sides))


@dataclass(frozen=True)
class Deformation:
    r"""Deformation gradients of all atoms, linear in the displacements.

    .. math:: F_j = \Big(\sum_k d_{jk}\otimes d^0_{jk}\Big) \Big(\sum_k d^0_{jk}\otimes
              d^0_{jk}\Big)^{-1}
              = A + \sum_k (u_k - u_j) \otimes w_{jk}, \quad w_{jk} = V_j^{-1} d^0_{jk}

    with d = A d⁰ + u_k − u_j: A is what the cell has done, u how far the atoms are from
    where that would have taken them. Neighbors are fixed.

    Attributes
    ----------
    reference : Reference
    first, second : numpy.ndarray of int, shape (n_bonds,)
        Atoms of each bond; every bond is there from both sides.
    bond : numpy.ndarray, shape (n_bonds, 3)
        d⁰, from first to second, Å.
    matrix : scipy.sparse.csr_array, shape (3 n_atoms, n_atoms)
        Row b n_atoms + j gives Σ_k (u_k − u_j) w_b.
    gather : scipy.sparse.csr_array, shape (n_atoms, n_bonds)
        Sums over the bonds of each atom.

    References
    ----------
    M. L. Falk & J. S. Langer, Phys. Rev. E 57, 7192 (1998),
    doi:10.1103/PhysRevE.57.7192, eqs. 2.11–2.14.
    """

    reference: Reference
    first: np.ndarray
    second: np.ndarray
    bond: np.ndarray
    matrix: scipy.sparse.csr_array
    gather: scipy.sparse.csr_array

    @classmethod
    def since(
        cls, reference: Reference, cutoff: Cutoff, *, tolerance: float = 1e-10
    ) -> Deformation:
        """Build the operator from the bonds of the reference within the cutoff.

        An atom whose neighbors do not span space (moments below the tolerance, relative
        to the largest) is an error, unless all bonds lie in one plane or line.
        """
        scaled, cell = reference.scaled, reference.cell
        i, j, shift = pairs_within(
            scaled, cell, cutoff.largest, full=True, periodic=cutoff.periodic
        )
        bond = ((scaled[:, j] - scaled[:, i]).T + shift) @ cell
        near = np.linalg.norm(bond, axis=1) < cutoff.of(i, j)
        first, second, bond = i[near], j[near], bond[near]
        n, n_atoms = first.size, scaled.shape[1]
        gather = scipy.sparse.csr_array(
            (np.ones(n), (first, np.arange(n))), shape=(n_atoms, n)
        )
        products = (bond[:, :, None] * bond[:, None, :]).reshape(-1, 9)
        moments = (gather @ products).reshape(n_atoms, 3, 3)
        whole, axes = np.linalg.eigh(moments.sum(axis=0))
        missing = axes[:, whole <= tolerance * whole[-1]]
        flat = np.linalg.eigvalsh(moments)
        # Without any bond all atoms are short of one.
        lowest = min(missing.shape[1], 2)
        short = flat[:, lowest] <= tolerance * flat[:, -1]
        if short.any():
            raise QuantityError(
                f"{short.sum()} atoms, such as atom {np.argmax(short)}, have too few "
                f"neighbors within {cutoff.text}, or all of them in one plane",
                fix="raise cutoff=, or leave them out: traj.isel(atom=...)",
            )
        # Across a plane in which all bonds lie nothing is known to deform: w has no
        # part there.
        moments = moments + (missing @ missing.T) * whole[-1]
        weight = np.einsum("nab,nb->na", np.linalg.inv(moments)[first], bond)
        rows = (first + n_atoms * np.arange(3)[:, None]).ravel()
        ends = np.concatenate([np.tile(second, 3), np.tile(first, 3)])
        values = np.concatenate([weight.T.ravel(), -weight.T.ravel()])
        matrix = scipy.sparse.csr_array(
            (values, (np.tile(rows, 2), ends)), shape=(3 * n_atoms, n_atoms)
        )
        matrix.sum_duplicates()
        return cls(reference, first, second, bond, matrix, gather)

    def gradients(self, displacement: np.ndarray) -> np.ndarray:
        """Return F − A of every atom, shape (3, 3, n_frames, n_atoms).

        Displacements (n_frames, 3, n_atoms) are in Å.
        """
        n_frames, _, n_atoms = displacement.shape
        # All frames in one product: the matrix is read once for all of them.
        columns = displacement.transpose(2, 1, 0).reshape(n_atoms, 3 * n_frames)
        gradients = np.asarray(self.matrix @ columns)
        return gradients.reshape(3, n_atoms, 3, n_frames).transpose(2, 0, 3, 1)

    def of_frames(self, block: Block, scaled: np.ndarray) -> Deformed:
        """Return what fields of the frames of a block are computed from."""
        moved = self.reference.moved(scaled)
        self._require_neighbors(moved, block)
        # Vectors are columns: r = Hᵀs, so the cell alone takes d⁰ to (H₀⁻¹H)ᵀ d⁰.
        displacement = np.swapaxes(block.cells, 1, 2) @ moved
        affine = np.swapaxes(np.linalg.solve(self.reference.cell, block.cells), 1, 2)
        return Deformed(self, displacement, affine - np.eye(3), block.dimension)

    def _require_neighbors(self, moved: np.ndarray, block: Block) -> None:
        """Refuse displacements after which a neighbor may be another image."""
        if np.abs(moved).max() < NEAR:
            return
        first, second = self.first, self.second
        for frame, places in enumerate(moved):
            apart = np.abs(places[:, second] - places[:, first]).max(axis=0)
            if apart.max() >= 2 * NEAR:
                bond = int(np.argmax(apart))
                raise QuantityError(
                    f"atoms {first[bond]} and {second[bond]}, neighbors in the "
                    f"reference, are half a cell apart in frame {block.first + frame}",
                    fix="pass a reference= nearer in time",
                )


@dataclass(frozen=True)
class Deformed:
    """Frames compared with the reference: what fields are computed from.

    Attributes
    ----------
    deformation : Deformation
        The bonds of the reference.
    displacement : numpy.ndarray, shape (n_frames, 3, n_atoms)
        u, Å.
    affine : numpy.ndarray, shape (n_frames, 3, 3)
        A − 1.
    dimension : {2, 3}
        Of the space of the atoms.
    """

    deformation: Deformation
    displacement: np.ndarray
    affine: np.ndarray
    dimension: int

    @cached_property
    def local(self) -> np.ndarray:
        """F − A, shape (3, 3, n_frames, n_atoms)."""
        return self.deformation.gradients(self.displacement)

    @cached_property
    def gradient(self) -> np.ndarray:
        """F − 1, shape (3, 3, n_frames, n_atoms)."""
        if not self.affine.any():
            return self.local
        return np.asarray(self.local + self.affine.transpose(1, 2, 0)[..., None])

    @cached_property
    def strain(self) -> tuple[np.ndarray, np.ndarray]:
        """Volumetric strain, and the deviatoric tensor (3, 3, n_frames, n_atoms)."""
        strain = green_lagrange(self.gradient)
        d = self.dimension
        mean = np.trace(strain[:d, :d]) / d
        for a in range(d):
            strain[a, a] -= mean
        return mean, strain


def d2min(frames: Deformed) -> np.ndarray:
    """Return D²_min = Σ_k |d_jk − F_j d⁰_jk|² (Å²), shape (n_frames, n_atoms)."""
    bonds, gradients = frames.deformation, frames.local
    out = np.empty((len(frames.displacement), frames.displacement.shape[2]))
    for frame, places in enumerate(frames.displacement):
        rest = np.zeros(bonds.first.size)
        local = np.ascontiguousarray(gradients[:, :, frame])
        for a in range(3):  # an axis at a time stays in the cache
            d = places[a][bonds.second]
            d -= places[a][bonds.first]
            for b in range(3):
                d -= local[a, b][bonds.first] * bonds.bond[:, b]
            rest += d * d
        out[frame] = bonds.gather @ rest
    return out


def deformation_gradient(frames: Deformed) -> np.ndarray:
    """Return F, shape (3, 3, n_frames, n_atoms)."""
    return np.asarray(frames.gradient + np.eye(3)[:, :, None, None])
