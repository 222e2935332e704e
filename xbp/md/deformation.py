"""How the surroundings of every atom have deformed since a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xbp.core.errors import QuantityError
from xbp.md.cutoff import Cutoff
from xbp.md.neighbors import pairs_within
from xbp.md.reference import Reference
from xbp.md.strain import StrainOperator, green_lagrange, von_mises
from xbp.md.trajectory import Block

__all__ = ["Deformation"]

#: Displacements (in cells) below which no two atoms can have come apart by half of the
#: cell.
_SAFE = 0.25


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
        i, j, shift = pairs_within(
            reference.scaled,
            reference.cell,
            cutoff.largest,
            full=True,
            periodic=cutoff.periodic,
        )
        bond = (
            (reference.scaled[:, j] - reference.scaled[:, i]).T + shift
        ) @ reference.cell
        near = np.linalg.norm(bond, axis=1) < cutoff.of(i, j)
        n_atoms = reference.scaled.shape[1]
        return cls(
            reference,
            StrainOperator.make(i[near], j[near], bond[near], n_atoms, cutoff.text),
        )

    def fields(
        self, block: Block, scaled: np.ndarray, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return fields of every frame, shape (n_frames, n_atoms) or (n_frames, n_atoms, 3, 3)."""
        moved = self.reference.moved(scaled)
        self._require_neighbors(moved, block)
        cells = np.broadcast_to(block.cell, (len(moved), 3, 3))
        displacement = np.swapaxes(cells, 1, 2) @ moved
        found: dict[str, np.ndarray] = {}
        local = self.operator.gradients(displacement)
        if "d2min" in names:
            found["d2min"] = self.operator.d2min(displacement, local)
        # Vectors stand in columns: r = Hᵀs, so the cell alone takes d⁰ to (H₀⁻¹H)ᵀ d⁰.
        affine = np.swapaxes(
            np.linalg.solve(self.reference.cell, cells), 1, 2
        ) - np.eye(3)
        gradient = (
            local + affine.transpose(1, 2, 0)[..., None] if affine.any() else local
        )
        if "deformation_gradient" in names:
            found["deformation_gradient"] = gradient + np.eye(3)[:, :, None, None]
        if {"volumetric_strain", "shear_strain", "von_mises_strain"} & set(names):
            strain = green_lagrange(gradient)
            mean = found["volumetric_strain"] = (
                strain[0, 0] + strain[1, 1] + strain[2, 2]
            ) / 3
            for a in range(3):
                strain[a, a] -= mean
            found["shear_strain"] = strain
            if "von_mises_strain" in names:
                found["von_mises_strain"] = von_mises(found["shear_strain"])
        return {
            n: found[n].transpose(2, 3, 0, 1) if found[n].ndim == 4 else found[n]
            for n in names
        }

    def _require_neighbors(self, moved: np.ndarray, block: Block) -> None:
        """Refuse displacements so large that the nearest image may not be the one that was a neighbor."""
        if np.abs(moved).max() < _SAFE:
            return
        for frame, places in enumerate(moved):
            apart = np.abs(
                places[:, self.operator.second] - places[:, self.operator.first]
            ).max(axis=0)
            if apart.max() >= 2 * _SAFE:
                bond = int(np.argmax(apart))
                raise QuantityError(
                    f"atoms {self.operator.first[bond]} and "
                    f"{self.operator.second[bond]}, neighbors in the reference, "
                    "have come apart by half of the cell in frame "
                    f"{block.first + frame}",
                    reason="strain is that of a solid, whose neighbors stay",
                    fix="choose a reference nearer in time, like "
                    "reference=traj.isel(time=[0]) and a shorter part",
                )
