"""Local deformation about every atom.

One sparse linear operator, and what is made of its answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from xbp.core.errors import QuantityError

__all__ = ["StrainOperator", "green_lagrange", "von_mises"]

#: Moments of the bonds, relative to the largest, below which they do not span a
#: direction.
_FLAT = 1e-10


@dataclass(frozen=True)
class StrainOperator:
    r"""Deformation gradients of all atoms, linear in the displacements while neighbors are fixed.

    .. math:: F_j = \Big(\sum_k d_{jk}\otimes d^0_{jk}\Big) \Big(\sum_k d^0_{jk}\otimes
    d^0_{jk}\Big)^{-1}
              = A + \sum_k (u_k - u_j) \otimes w_{jk}, \quad w_{jk} = V_j^{-1} d^0_{jk}

    with d = A d⁰ + u_k − u_j: A is what the cell has done, u how far the atoms are from
    where that would have taken them.

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
        """Build the operator from the bonds of the reference, within a cutoff that messages name.

        Raises
        ------
        QuantityError
            If an atom's neighbors do not span space, unless all bonds lie in one plane
            (or line), which is then all there is: nothing deforms across it.
        """
        one = np.ones(first.size)
        gather = scipy.sparse.csr_array(
            (one, (first, np.arange(first.size))), shape=(n_atoms, first.size)
        )
        moments = (
            gather @ (bond[:, :, None] * bond[:, None, :]).reshape(-1, 9)
        ).reshape(n_atoms, 3, 3)
        whole, axes = np.linalg.eigh(moments.sum(axis=0))
        missing = axes[:, whole <= _FLAT * whole[-1]]
        flat = np.linalg.eigvalsh(moments)
        rank = 3 - missing.shape[1]
        short = (
            flat[:, 3 - max(rank, 1)] <= _FLAT * flat[:, -1]
        )  # without any bond all are short of one
        if short.any():
            raise QuantityError(
                f"{int(short.sum())} atoms have neighbors that do not span space, "
                f"like atom {int(np.argmax(short))}; "
                f"the cutoff is {cutoff}",
                reason="their deformation is not determined by so few",
                fix="give a larger cutoff=, or leave those atoms out: "
                "traj.isel(atom=...)",
            )
        # Across a plane in which all bonds lie nothing is known to deform: w has no
        # part there.
        inverse = (
            np.linalg.inv(moments + (missing @ missing.T) * whole[-1])
            if rank < 3
            else np.linalg.inv(moments)
        )
        weight = np.einsum("nab,nb->na", inverse[first], bond)
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
        return (
            np.asarray(self.matrix @ columns)
            .reshape(3, n_atoms, 3, n_frames)
            .transpose(2, 0, 3, 1)
        )

    def d2min(self, displacement: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Return D²_min = Σ_k |d_jk − F_j d⁰_jk|² (a sum, Å²) of arrays as above, shape (n_frames, n_atoms)."""
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
    return np.asarray(
        np.sqrt(diagonal / 2 + shear[0, 1] ** 2 + shear[0, 2] ** 2 + shear[1, 2] ** 2)
    )
