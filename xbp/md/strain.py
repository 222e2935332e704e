"""Local deformation about every atom: one sparse linear operator, and what is made of its answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from xbp.errors import QuantityError

__all__ = ["StrainOperator", "deviatoric", "green_lagrange", "von_mises"]

#: Moments of the bonds, relative to the largest, below which they do not span a direction.
_FLAT = 1e-10


@dataclass(frozen=True)
class StrainOperator:
    r"""Deformation gradients of all atoms, linear in the displacements while neighbors are fixed.

    .. math:: F_j = \Big(\sum_k d_{jk}\otimes d^0_{jk}\Big) \Big(\sum_k d^0_{jk}\otimes d^0_{jk}\Big)^{-1}
              = A + \sum_k (u_k - u_j) \otimes w_{jk}, \quad w_{jk} = V_j^{-1} d^0_{jk}

    with d = A d⁰ + u_k − u_j: A is what the cell has done, u how far the atoms are from where that
    would have taken them.

    Attributes
    ----------
    first, second : numpy.ndarray of int, shape (n_bonds,)
        Atoms of each bond; every bond is there from both sides.
    bond : numpy.ndarray, shape (n_bonds, 3)
        d⁰, from first to second, Å.
    matrix : scipy.sparse.csr_array, shape (3 n_atoms, n_atoms)
        Row 3j + b gives Σ_k (u_k − u_j) w_b.
    gather : scipy.sparse.csr_array, shape (n_atoms, n_bonds)
        Sums over the bonds of each atom.

    References
    ----------
    M. L. Falk & J. S. Langer, Phys. Rev. E 57, 7192 (1998), doi:10.1103/PhysRevE.57.7192, eqs. 2.11–2.14.
    """

    first: np.ndarray
    second: np.ndarray
    bond: np.ndarray
    matrix: scipy.sparse.csr_array
    gather: scipy.sparse.csr_array

    @classmethod
    def make(cls, first: np.ndarray, second: np.ndarray, bond: np.ndarray, n_atoms: int) -> StrainOperator:
        """Build the operator from the bonds of the reference.

        Raises
        ------
        QuantityError
            If an atom's neighbors do not span space, unless all bonds lie in one plane (or line), which is
            then all there is: nothing deforms across it.
        """
        one = np.ones(first.size)
        gather = scipy.sparse.csr_array((one, (first, np.arange(first.size))), shape=(n_atoms, first.size))
        moments = (gather @ (bond[:, :, None] * bond[:, None, :]).reshape(-1, 9)).reshape(n_atoms, 3, 3)
        whole, axes = np.linalg.eigh(moments.sum(axis=0))
        missing = axes[:, whole <= _FLAT * whole[-1]]
        flat = np.linalg.eigvalsh(moments)
        rank = 3 - missing.shape[1]
        short = flat[:, 3 - rank] <= _FLAT * flat[:, -1]
        if rank == 0 or short.any():
            raise QuantityError(
                f"{int(short.sum()) if rank else n_atoms} atoms have neighbors that do not span space, "
                f"like atom {int(np.argmax(short))}",
                reason="their deformation is not determined by so few",
                fix="raise cutoff=, or leave those atoms out: traj.isel(atom=...)",
            )
        # Across a plane in which all bonds lie nothing is known to deform: w has no part there.
        inverse = np.linalg.inv(moments + (missing @ missing.T) * whole[-1]) if rank < 3 else np.linalg.inv(moments)
        weight = np.einsum("nab,nb->na", inverse[first], bond)
        rows = (3 * first[:, None] + np.arange(3)).ravel()
        ends = np.concatenate([np.repeat(second, 3), np.repeat(first, 3)])
        values = np.concatenate([weight.ravel(), -weight.ravel()])
        matrix = scipy.sparse.csr_array((values, (np.tile(rows, 2), ends)), shape=(3 * n_atoms, n_atoms))
        matrix.sum_duplicates()
        return cls(first, second, bond, matrix, gather)

    def gradients(self, displacement: np.ndarray) -> np.ndarray:
        """Return F − A of every atom, shape (n_atoms, 3, 3), of displacements (n_atoms, 3) in Å."""
        rows = (self.matrix @ displacement).reshape(-1, 3, 3)
        return np.swapaxes(rows, 1, 2)

    def d2min(self, displacement: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Return D²_min = Σ_k |d_jk − F_j d⁰_jk|² (a sum, Å²), shape (n_atoms,)."""
        rest = displacement[self.second] - displacement[self.first]
        rest -= np.einsum("nab,nb->na", gradients[self.first], self.bond)
        return np.asarray(self.gather @ np.einsum("na,na->n", rest, rest))


def green_lagrange(gradient: np.ndarray) -> np.ndarray:
    """Return the strain η = ½(FᵀF − 1) of deformation gradients (..., 3, 3).

    Examples
    --------
    >>> green_lagrange(np.diag([1.1, 1.0, 1.0]))[0, 0].round(6)
    np.float64(0.105)
    """
    # With F = 1 + g this is ½(g + gᵀ + gᵀg), which keeps the digits of a small g.
    g = gradient - np.eye(3)
    transposed = np.swapaxes(g, -1, -2)
    return np.asarray((g + transposed + transposed @ g) / 2)


def deviatoric(strain: np.ndarray) -> np.ndarray:
    """Return η − (tr η/3) 1 of strains (..., 3, 3)."""
    return np.asarray(strain - np.trace(strain, axis1=-2, axis2=-1)[..., None, None] / 3 * np.eye(3))


def von_mises(shear: np.ndarray) -> np.ndarray:
    """Return √(½ dev η : dev η) of deviatoric strains (..., 3, 3).

    Examples
    --------
    >>> von_mises(np.array([[0, 0.01, 0], [0.01, 0, 0], [0, 0, 0]])).round(6)
    np.float64(0.01)
    """
    return np.asarray(np.sqrt(np.einsum("...ab,...ab->...", shear, shear) / 2))
