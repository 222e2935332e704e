"""Local deformation about every atom since a reference: one sparse linear operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.md.neighbors import Cutoff, pairs_within
from xbp.md.run import add_up
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = [
    "Deformation",
    "Reference",
    "StrainOperator",
    "choose_reference",
    "green_lagrange",
    "von_mises",
]

#: Displacements (in cells) below which no face has been crossed, and no two atoms have
#: come apart by half of the cell.
_NEAR = 0.25


@dataclass(frozen=True)
class Reference:
    """One configuration, from which displacements and strains are counted.

    Attributes
    ----------
    scaled : numpy.ndarray, shape (3, n_atoms)
        In units of the cell vectors.
    cell : numpy.ndarray, shape (3, 3)
        Rows are cell vectors, Å.
    text : str
        For history.
    """

    scaled: np.ndarray
    cell: np.ndarray
    text: str

    @classmethod
    def first(cls, trajectory: Trajectory, text: str) -> Reference:
        """Take the first frame."""
        block = trajectory.block(0, 1)
        cell = block.cell if block.cell.ndim == 2 else block.cell[0]
        return cls(block.scaled()[0], cell, text)

    def moved(self, scaled: np.ndarray) -> np.ndarray:
        """Return how far atoms are from here, the whole at rest, in units of the cell.

        Parameters
        ----------
        scaled : numpy.ndarray, shape (n_frames, 3, n_atoms)
            Wrapped or not: each atom is taken at its image nearest to its place in the
            reference.
        """
        moved = scaled - self.scaled
        if np.abs(moved).max() > _NEAR:
            # The whole may have drifted by any part of the cell: the mean angle is the
            # same across faces.
            mean = np.exp(2j * np.pi * moved).mean(axis=-1, keepdims=True)
            moved -= np.angle(mean) / (2 * np.pi)
            moved -= np.round(moved)
        return np.asarray(moved - moved.mean(axis=-1, keepdims=True))


def choose_reference(trajectory: Trajectory, reference: Any) -> Reference:
    """Return the reference of an argument.

    Parameters
    ----------
    trajectory : Trajectory
    reference : {"mean", "first"} or xarray.Dataset
        The mean place of every atom, the first frame, or a trajectory of one frame with
        the same atoms.
    """
    if isinstance(reference, xr.Dataset):
        other = read_trajectory(reference)
        if other.n_frames != 1 or other.n_atoms != trajectory.n_atoms:
            raise QuantityError(
                f"reference= has {other.n_frames} frames of {other.n_atoms} atoms; it "
                f"must be one configuration of the {trajectory.n_atoms} atoms",
                fix="choose a frame: reference=other.isel(time=[0])",
            )
        return Reference.first(other, "given")
    name: str = choose(
        reference, ("mean", "first"), "reference", reason="or a trajectory of one frame"
    )
    first = Reference.first(trajectory, "first")
    if name == "first":
        return first
    moved = add_up(trajectory, _sum_of_moves, first)["moved"] / trajectory.n_frames
    return Reference(first.scaled + moved, trajectory.mean_cell, "mean")


def _sum_of_moves(block: Block, first: Reference) -> dict[str, np.ndarray]:
    return {"moved": first.moved(block.scaled()).sum(axis=0)}


@dataclass(frozen=True)
class StrainOperator:
    r"""Deformation gradients of all atoms, linear in the displacements.

    .. math:: F_j = \Big(\sum_k d_{jk}\otimes d^0_{jk}\Big) \Big(\sum_k d^0_{jk}\otimes
              d^0_{jk}\Big)^{-1}
              = A + \sum_k (u_k - u_j) \otimes w_{jk}, \quad w_{jk} = V_j^{-1} d^0_{jk}

    with d = A d⁰ + u_k − u_j: A is what the cell has done, u how far the atoms are from
    where that would have taken them. Neighbors are fixed.

    Attributes
    ----------
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

    first: np.ndarray
    second: np.ndarray
    bond: np.ndarray
    matrix: scipy.sparse.csr_array
    gather: scipy.sparse.csr_array

    @classmethod
    def make(
        cls,
        first: np.ndarray,
        second: np.ndarray,
        bond: np.ndarray,
        n_atoms: int,
        cutoff: str,
    ) -> StrainOperator:
        """Build the operator from the bonds of the reference, within a named cutoff.

        Raises
        ------
        QuantityError
            If an atom's neighbors do not span space, unless all bonds lie in one plane
            (or line), which is then all there is: nothing deforms across it.
        """
        n, size = first.size, (n_atoms, first.size)
        gather = scipy.sparse.csr_array((np.ones(n), (first, np.arange(n))), shape=size)
        products = (bond[:, :, None] * bond[:, None, :]).reshape(-1, 9)
        moments = (gather @ products).reshape(n_atoms, 3, 3)
        whole, axes = np.linalg.eigh(moments.sum(axis=0))
        # Moments of the bonds, relative to the largest, below which they do not span a
        # direction.
        tolerance = 1e-10
        missing = axes[:, whole <= tolerance * whole[-1]]
        flat = np.linalg.eigvalsh(moments)
        rank = 3 - missing.shape[1]
        # Without any bond all atoms are short of one.
        short = flat[:, 3 - max(rank, 1)] <= tolerance * flat[:, -1]
        if short.any():
            raise QuantityError(
                f"{int(short.sum())} atoms have neighbors that do not span space, like "
                f"atom {int(np.argmax(short))}; the cutoff is {cutoff}",
                fix="give a larger cutoff=, or leave those atoms out: "
                "traj.isel(atom=...)",
            )
        if rank < 3:
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
        return cls(first, second, bond, matrix, gather)

    def gradients(self, displacement: np.ndarray) -> np.ndarray:
        """Return F − A of every atom.

        Parameters
        ----------
        displacement : numpy.ndarray, shape (n_frames, 3, n_atoms)
            Å.

        Returns
        -------
        numpy.ndarray, shape (3, 3, n_frames, n_atoms)
        """
        n_frames, _, n_atoms = displacement.shape
        # All frames in one product: the matrix is read once for all of them.
        columns = displacement.transpose(2, 1, 0).reshape(n_atoms, 3 * n_frames)
        gradients = np.asarray(self.matrix @ columns)
        return gradients.reshape(3, n_atoms, 3, n_frames).transpose(2, 0, 3, 1)

    def d2min(self, displacement: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Return D²_min = Σ_k |d_jk − F_j d⁰_jk|² (Å²), shape (n_frames, n_atoms)."""
        out = np.empty((displacement.shape[0], displacement.shape[2]))
        for frame, places in enumerate(displacement):
            rest = np.zeros(self.first.size)
            local = np.ascontiguousarray(gradients[:, :, frame])
            for a in range(3):  # an axis at a time stays in the cache
                d = places[a][self.second]
                d -= places[a][self.first]
                for b in range(3):
                    d -= local[a, b][self.first] * self.bond[:, b]
                rest += d * d
            out[frame] = self.gather @ rest
        return out


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
    """Strains of the frames of a block.

    Attributes
    ----------
    reference : Reference
    operator : StrainOperator
        Of the bonds there.
    """

    reference: Reference
    operator: StrainOperator

    @classmethod
    def since(cls, reference: Reference, cutoff: Cutoff) -> Deformation:
        """Find the bonds of the reference that are within the cutoff."""
        scaled, cell = reference.scaled, reference.cell
        i, j, shift = pairs_within(
            scaled, cell, cutoff.largest, full=True, periodic=cutoff.periodic
        )
        bond = ((scaled[:, j] - scaled[:, i]).T + shift) @ cell
        near = np.linalg.norm(bond, axis=1) < cutoff.of(i, j)
        operator = StrainOperator.make(
            i[near], j[near], bond[near], scaled.shape[1], cutoff.text
        )
        return cls(reference, operator)

    def fields(
        self, block: Block, scaled: np.ndarray, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return fields of every frame, (n_frames, n_atoms), or (…, 3, 3)."""
        moved = self.reference.moved(scaled)
        self._require_neighbors(moved, block)
        cells = np.broadcast_to(block.cell, (len(moved), 3, 3))
        displacement = np.swapaxes(cells, 1, 2) @ moved
        found: dict[str, np.ndarray] = {}
        local = self.operator.gradients(displacement)
        if "d2min" in names:
            found["d2min"] = self.operator.d2min(displacement, local)
        # Vectors are columns: r = Hᵀs, so the cell alone takes d⁰ to (H₀⁻¹H)ᵀ d⁰.
        affine = np.swapaxes(np.linalg.solve(self.reference.cell, cells), 1, 2)
        affine = affine - np.eye(3)
        gradient = local
        if affine.any():
            gradient = local + affine.transpose(1, 2, 0)[..., None]
        if "deformation_gradient" in names:
            found["deformation_gradient"] = gradient + np.eye(3)[:, :, None, None]
        if {"volumetric_strain", "shear_strain", "von_mises_strain"} & set(names):
            strain = green_lagrange(gradient)
            mean = (strain[0, 0] + strain[1, 1] + strain[2, 2]) / 3
            for a in range(3):
                strain[a, a] -= mean
            found |= {"volumetric_strain": mean, "shear_strain": strain}
            if "von_mises_strain" in names:
                found["von_mises_strain"] = von_mises(strain)
        return {
            n: found[n].transpose(2, 3, 0, 1) if found[n].ndim == 4 else found[n]
            for n in names
        }

    def _require_neighbors(self, moved: np.ndarray, block: Block) -> None:
        """Refuse displacements after which a neighbor may be another image."""
        if np.abs(moved).max() < _NEAR:
            return
        first, second = self.operator.first, self.operator.second
        for frame, places in enumerate(moved):
            apart = np.abs(places[:, second] - places[:, first]).max(axis=0)
            if apart.max() >= 2 * _NEAR:
                bond = int(np.argmax(apart))
                raise QuantityError(
                    f"atoms {first[bond]} and {second[bond]}, neighbors in the "
                    "reference, have come apart by half of the cell in frame "
                    f"{block.first + frame}: strain is defined for a solid",
                    fix="choose a reference nearer in time, like "
                    "reference=traj.isel(time=[0]) and a shorter part",
                )
