"""Local fields of every atom: its neighbors, and its deformation since a reference.

The deformation is one sparse linear operator on the displacements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError, require, shown
from xbp.core.guards import choose, require_kind
from xbp.core.operation import operation
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history
from xbp.md.neighbors import (
    Cutoff,
    choose_cutoff,
    coordination_and_distance,
    pairs_within,
)
from xbp.md.reference import NEAR, Reference, choose_reference
from xbp.md.run import delayed
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = ["FIELDS", "Field", "FieldMaker", "local_fields"]


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
                f"{short.sum()} atoms, like {np.argmax(short)}, have too few neighbors "
                f"within {cutoff.text}, or all in one plane",
                fix="raise cutoff=, or traj.isel(atom=...)",
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

    def fields(
        self, block: Block, scaled: np.ndarray, names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return fields of every frame, (n_frames, n_atoms), or (…, 3, 3)."""
        moved = self.reference.moved(scaled)
        self._require_neighbors(moved, block)
        cells = block.cells
        displacement = np.swapaxes(cells, 1, 2) @ moved
        found: dict[str, np.ndarray] = {}
        local = self.gradients(displacement)
        if "d2min" in names:
            found["d2min"] = self.d2min(displacement, local)
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
            axes = range(block.dimension)
            mean = np.trace(strain[: len(axes), : len(axes)]) / len(axes)
            for a in axes:
                strain[a, a] -= mean
            found |= {"volumetric_strain": mean, "shear_strain": strain}
            if "von_mises_strain" in names:
                found["von_mises_strain"] = von_mises(strain)
        return {
            n: a.transpose(2, 3, 0, 1) if a.ndim == 4 else a for n, a in found.items()
        }

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
                    f"atoms {first[bond]} and {second[bond]}, once neighbors, are half "
                    f"a cell apart in frame {block.first + frame}",
                    fix="pass a reference= nearer in time",
                )


@dataclass(frozen=True)
class Field:
    """What a field is: units, label of an axis, name in figures, and its kind.

    A field of neighbors is counted anew in each frame, the others from the reference.
    A deviatoric tensor is symmetric, and its trace is zero.
    """

    units: str
    label: str
    name: str
    of_neighbors: bool = False
    tensor: Literal["", "general", "deviatoric"] = ""

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the field."""
        return ("time", "atom", *(("row", "column") if self.tensor else ()))


FIELDS = {
    "coordination": Field("1", "number of neighbors", "coordination", True),
    "neighbor_distance": Field(
        "angstrom", "mean distance of the neighbors", "neighbor distance", True
    ),
    "d2min": Field(
        "angstrom**2", "non-affine displacement D²_min", r"$D^2_\mathrm{min}$"
    ),
    "volumetric_strain": Field("1", "volumetric strain", "volumetric strain"),
    "shear_strain": Field(
        "1", "shear strain (deviatoric tensor)", "shear strain", tensor="deviatoric"
    ),
    "von_mises_strain": Field("1", "von Mises shear strain", "von Mises strain"),
    "deformation_gradient": Field(
        "1", "deformation gradient", "deformation gradient", tensor="general"
    ),
}
_OF_NEIGHBORS = tuple(name for name, field in FIELDS.items() if field.of_neighbors)


@dataclass(frozen=True)
class FieldMaker:
    """Computes fields of the frames of a block.

    Attributes
    ----------
    names : tuple of str
        Of `FIELDS`.
    cutoff : Cutoff
    deformation : Deformation or None
        Where strains are among the fields.
    """

    names: tuple[str, ...]
    cutoff: Cutoff
    deformation: Deformation | None

    @classmethod
    def make(
        cls, trajectory: Trajectory, names: Sequence[str], given: Mapping[str, Any]
    ) -> FieldMaker:
        """Check names, ``cutoff`` and ``reference`` of a call, and find the bonds."""
        for name in names:
            choose(name, FIELDS, "field")
        if not names or len(set(names)) < len(names):
            raise QuantityError(f"fields={shown(list(names))} must be different names")
        cutoff = choose_cutoff(trajectory, given["cutoff"])
        deformation = None
        if not set(names) <= set(_OF_NEIGHBORS):
            reference = choose_reference(trajectory, given["reference"])
            deformation = Deformation.since(reference, cutoff)
        return cls(tuple(names), cutoff, deformation)

    @property
    def arguments(self) -> dict[str, Any]:
        """The cutoff and reference that were chosen."""
        since = None if self.deformation is None else self.deformation.reference.text
        return {"cutoff": self.cutoff.text, "reference": since}

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """Return every field, (n_frames, n_atoms), or (…, 3, 3) for tensors."""
        scaled = block.scaled()
        out: dict[str, np.ndarray] = {}
        if set(_OF_NEIGHBORS) & set(self.names):
            both = coordination_and_distance(scaled, block.cells, self.cutoff)
            out |= zip(_OF_NEIGHBORS, both, strict=True)
        if self.deformation is not None:
            rest = [name for name in self.names if name not in _OF_NEIGHBORS]
            out |= self.deformation.fields(block, scaled, rest)
        return {name: out[name] for name in self.names}


@operation(takes="trajectory", gives="local_fields", step=8)
def local_fields(
    data: xr.Dataset,
    fields: str | Sequence[str],
    *,
    cutoff: Any = None,
    reference: Any = "mean",
) -> xr.Dataset:
    r"""Compute local fields of every atom and its neighbors, lazily.

    .. math:: F_j = \Big(\sum_k d_{jk}\otimes d^0_{jk}\Big)\Big(\sum_k d^0_{jk}\otimes
              d^0_{jk}\Big)^{-1}, \quad
              D^2_{min,j} = \sum_k |d_{jk} - F_j d^0_{jk}|^2, \quad \eta_j = \tfrac12
              (F_j^T F_j - 1)

    over the bonds d⁰ of the reference within the cutoff and what has become of them, d.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory.
    fields : str or sequence of str
        ``coordination``: neighbors within the cutoff; ``neighbor_distance``: their mean
        distance (angstrom), NaN without one; ``d2min`` (angstrom², a sum over bonds);
        ``volumetric_strain``, tr η/3; ``shear_strain``, the tensor η − (tr η/3) 1;
        ``von_mises_strain``, √(½ dev η : dev η); ``deformation_gradient``, the tensor
        F. Strains are pure numbers.
    cutoff : scalar with units, "pairs" or mapping, optional
        Distance below which atoms are neighbors (bare: angstrom). By default the end of
        the first shell: the first minimum of g(r) behind the first maxima of nine
        tenths of the pairs of elements. ``"pairs"``: the first minimum of every pair's
        g(r); or ``{"Cu-Zr": 3.6, …}``, which a network needs whose bonds are the
        neighbors meant. Recorded in ``attrs["cutoff"]``.
    reference : {"mean", "first"} or xarray.Dataset
        Where strains are counted from: the mean place of every atom, the first frame,
        or a trajectory of one frame. Its bonds are used throughout; the numbers and
        distances of neighbors are those of each frame.

    Returns
    -------
    xarray.Dataset
        One variable for each field, over time and atom; tensors also over ``row`` and
        ``column``. As dask arrays. In a plane of atoms strains are those in it, with
        tr η/2 in place of tr η/3.

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If a field, cutoff or reference is not known, g(r) has no minimum that can be
        the end of a shell, an atom's neighbors do not span space, or (on computing)
        former neighbors come apart by half of the cell.

    References
    ----------
    M. L. Falk & J. S. Langer, Phys. Rev. E 57, 7192 (1998),
    doi:10.1103/PhysRevE.57.7192, eqs. 2.11–2.14; F. Shimizu, S. Ogata & J. Li, Mater.
    Trans. 48, 2923 (2007), doi:10.2320/matertrans.MJ200769.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 50, cell=10, energy="8 meV", T=300, mass=40, time_step="20 fs", rng=1)
    >>> local = solid.bp.local_fields(["coordination", "shear_strain"], cutoff=4)
    >>> local.shear_strain.dims
    ('time', 'atom', 'row', 'column')
    >>> round(float(abs(local.shear_strain.isel(row=0, column=1)).mean()), 2)
    0.02
    """
    given = dict(locals())
    array = require("dask.array", "local fields are computed lazily", "md")
    trajectory = read_trajectory(data)
    require_kind(fields, (str, Sequence), "fields", "names, such as ['d2min']")
    names = (fields,) if isinstance(fields, str) else tuple(fields)
    maker = FieldMaker.make(trajectory, names, given)
    compute = delayed(maker)
    n_numbers = sum(9 if FIELDS[name].tensor else 1 for name in names)
    # The answers of one task take about 64 MiB.
    frames = max(1, 2**26 // (8 * n_numbers * trajectory.n_atoms))
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for start in range(0, trajectory.n_frames, frames):
        stop = min(start + frames, trajectory.n_frames)
        made = compute(replace(trajectory.block(start, stop), share=None))
        for name in names:
            shape = (stop - start, trajectory.n_atoms, 3, 3)[: len(FIELDS[name].dims)]
            parts[name].append(array.from_delayed(made[name], shape, dtype=float))
    chosen = {key: text for key, text in maker.arguments.items() if text is not None}
    labels = {"quantity": "local_fields", **chosen}
    labels |= {"dimension": 2} if trajectory.dimension == 2 else {}
    history = extend_history(
        trajectory.source.attrs.get("history"),
        "local_fields",
        {"fields": list(names), **chosen},
    )
    variables = {
        name: (
            FIELDS[name].dims,
            array.concatenate(parts[name]),
            {"units": FIELDS[name].units, "long_name": FIELDS[name].label, **labels},
        )
        for name in names
    }
    coords: dict[Any, Any] = {
        name: coordinate
        for name, coordinate in trajectory.source.coords.items()
        if set(coordinate.dims) <= {"time", "atom"}
    }
    if any(FIELDS[name].tensor for name in names):
        coords |= {"row": list("xyz"), "column": list("xyz")}
    conventions = {"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION}
    return xr.Dataset(variables, coords, {**conventions, **labels, "history": history})
