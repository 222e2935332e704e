"""Elastic moduli of the parts of a glass, and how much they vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import RangeError
from xbp.core.guards import require_number, require_positive
from xbp.core.operation import operation
from xbp.core.signal import extend_history
from xbp.core.units import convert_factor
from xbp.md.block import heights
from xbp.md.lattice.elastic import (
    isotropic_moduli,
    non_affine_displacements,
    stiffness,
)
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.labels import glass_attributes
from xbp.md.lattice.modes import Springs
from xbp.md.plane import images_along

__all__ = ["local_moduli", "long_waves_of_cells"]

#: Bytes of the products of one chunk of pairs.
_CHUNK = 2**26


@operation(takes="force_constants", gives="local_moduli", step=4)
def local_moduli(
    data: xr.Dataset, size: Any = "8 angstrom", *, tolerance: float = 1e-6
) -> xr.Dataset:
    r"""Compute the elastic moduli of the cells of a glass, and their variance.

    The whole glass is strained, its atoms go to their new minimum, and the modulus of a
    cell is the change of the stress in it: with half of each pair of atoms counted for
    either of them, and u the displacements besides the strain, per strain βλ,

    .. math:: A^c_{\alpha\beta\gamma\lambda} = -\frac{N}{2VN_c} \sum_{i\in c} \sum_j
              r_{ij}^\gamma \Phi_{ij}^{\alpha\delta} \left[\delta_{\delta\beta}
              r_{ij}^\lambda + u_j^{\delta\beta\lambda} - u_i^{\delta\beta\lambda}
              \right]

    from which stiffness and moduli follow as in `elastic_constants`. The mean over
    cells, each weighted by its N_c atoms, is therefore the modulus of the glass; that
    without u, the affine one, is the affine (Born) modulus. A modulus of the
    other kind, of a cell that is strained alone, is not computed: its mean is larger.

    Parameters
    ----------
    data : xarray.Dataset
        From `force_constants`.
    size : scalar with units
        Edge of the cells (bare: angstrom), into which the box is divided evenly: the
        edges are as near to it as that allows.
    tolerance : float
        As for `elastic_constants`.

    Returns
    -------
    xarray.Dataset
        Over ``cell``: ``bulk_modulus``, ``shear_modulus``, ``affine_bulk_modulus``,
        ``affine_shear_modulus`` (GPa; of a plane N/m), ``n_atoms`` and ``center`` (Å).
        Of each modulus ``<name>_mean`` and ``<name>_variance``, over its mean squared,
        with its std from the number of cells. ``disorder`` is the relative variance of
        the shear modulus times the atoms per cell, over 3: to first order γ of
        `fluctuating_elasticity` if cells are independent (then it does not depend on
        their size); other theories have other factors. ``edge`` (Å) are the edges of
        the cells.

    Raises
    ------
    QuantityError, UnitsError, SimulationError
        As for `elastic_constants`.
    RangeError
        If the box is less than two cells, or a cell has no atom.

    Notes
    -----
    Each atom has the volume V/N, so that a perfect crystal has no variance, however
    the cells cut it. Cells with few atoms have a negative modulus at times.

    References
    ----------
    J. F. Lutsko, J. Appl. Phys. 64, 1152 (1988), doi:10.1063/1.341877; H. Mizuno, S.
    Mossa and J.-L. Barrat, Phys. Rev. E 87, 042306 (2013),
    doi:10.1103/PhysRevE.87.042306 (ideas, from memory). The equations were derived from
    those of `elastic_constants`; that of γ from the Born approximation for scalar
    waves in a medium of uncorrelated fluctuations.

    Examples
    --------
    In an fcc crystal of springs all cells have the moduli of the whole:

    >>> import numpy as np, xbp
    >>> corners = 4.0 * np.array(list(np.ndindex(3, 3, 3)))[:, None]
    >>> base = np.array([(0, 0, 0), (2, 2, 0), (2, 0, 2), (0, 2, 2)])
    >>> at = (corners + base).reshape(-1, 3)
    >>> bond = at[:, None] - at
    >>> bond -= 12 * np.round(bond / 12)
    >>> near = abs(np.linalg.norm(bond, axis=2) - 8**0.5) < 0.1
    >>> unit = np.where(near[..., None], bond / 8**0.5, 0)
    >>> matrix = -np.einsum("ija,ijb->iajb", unit, unit)
    >>> every = np.arange(108)
    >>> matrix[every, :, every, :] = -matrix.sum(axis=2)
    >>> crystal = xbp.md.new_trajectory(
    ...     at[None], time=[0.0], cell=12 * np.eye(3), mass=[40] * 108,
    ...     element=["Ar"] * 108)
    >>> phi = xbp.md.lattice.new_force_constants(matrix.reshape(324, 324), crystal)
    >>> found = phi.bp.local_moduli("5 angstrom")
    >>> found.sizes["cell"], float(found.shear_modulus_variance) < 1e-12
    (8, True)
    """
    precise = require_number(tolerance, "tolerance", above=0, most=0.01)
    edge = require_positive(size, "size", "angstrom")
    trajectory, springs = read_force_constants(data)
    d = springs.dimension
    cells, counts = _cells(springs, edge)
    index = np.ravel_multi_index(tuple(cells.T), tuple(counts))
    n_atoms = np.bincount(index, minlength=int(counts.prod()))
    if not n_atoms.all():
        raise RangeError(
            f"{(n_atoms == 0).sum()} of {n_atoms.size} cells of {edge:g} angstrom have "
            "no atom",
            fix="pass a larger size=",
        )
    units = "N/m" if d == 2 else "GPa"
    unit = convert_factor(f"eV/angstrom**{d}", units, name="moduli")
    unit *= trajectory.density
    affine, relaxed = long_waves_of_cells(springs, index, n_atoms.size, precise)
    ds = xr.Dataset()
    ds["n_atoms"] = ("cell", n_atoms, {"units": "1", "long_name": "number of atoms"})
    for prefix, text, waves in (
        ("", "", affine + relaxed),
        ("affine_", "affine ", affine),
    ):
        tensors = [stiffness(a) * unit / n for a, n in zip(waves, n_atoms, strict=True)]
        moduli = np.array([isotropic_moduli(tensor) for tensor in tensors])
        for name, values in zip(("bulk", "shear"), moduli.T, strict=True):
            what = f"{text}{name} modulus"
            _add_modulus(ds, f"{prefix}{name}_modulus", what, values, n_atoms, units)
    per_cell = springs.n_atoms / n_atoms.size / 3
    text = "relative variance of the shear modulus times atoms per cell, over 3"
    for end in ("", "_std"):
        value = ds[f"shear_modulus_variance{end}"].values * per_cell
        attrs = {"units": "1", **({"long_name": text} if not end else {})}
        ds[f"disorder{end}"] = ((), value, attrs)
    places = (np.array(list(np.ndindex(*counts))) + 0.5) / counts @ springs.cell
    label = {"units": "angstrom", "long_name": "centre of the cell"}
    edges = heights(springs.cell) / counts
    ds = ds.assign_coords(center=(("cell", "xyz"), places, label))
    ds["edge"] = ("xyz", edges, {"units": "angstrom", "long_name": "edge of the cells"})
    ds.attrs = {
        **glass_attributes(data, trajectory),
        "quantity": "local_moduli",
        "history": extend_history(
            data.attrs.get("history"),
            "local_moduli",
            {"size": f"{edge:g} angstrom", "tolerance": precise},
        ),
    }
    return ds


def _cells(springs: Springs, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the cell of every atom, (n_atoms, 3), and how many there are, (3,)."""
    along = images_along(springs.cell, springs.dimension)
    counts = np.maximum(np.round(heights(springs.cell) / edge), 1).astype(int)
    counts = np.where(along, counts, 1)
    if counts.prod() < 2:
        raise RangeError(
            f"a cell of {edge:g} angstrom is as large as the box, "
            f"{heights(springs.cell)[along].max():.4g} angstrom",
            fix="pass a smaller size=",
        )
    if counts.prod() > springs.n_atoms:
        raise RangeError(
            f"there are more cells of {edge:g} angstrom than atoms",
            fix="pass a larger size=",
        )
    scaled = springs.position @ np.linalg.inv(springs.cell)
    # Atoms on a face by rounding are on one side of it.
    inside = (scaled + 1e-9) % 1.0
    return np.minimum((inside * counts).astype(int), counts - 1), counts


def _add_modulus(
    ds: xr.Dataset,
    name: str,
    what: str,
    values: np.ndarray,
    n_atoms: np.ndarray,
    units: str,
) -> None:
    """Add a modulus of cells, its mean and its relative variance."""
    mean = float(np.average(values, weights=n_atoms))
    variance = float(np.average((values - mean) ** 2, weights=n_atoms)) / mean**2
    std = variance * float(np.sqrt(2 / (values.size - 1)))
    ds[name] = ("cell", values, {"units": units, "long_name": f"{what} of the cell"})
    ds[f"{name}_mean"] = ((), mean, {"units": units, "long_name": f"mean {what}"})
    label = {"units": "1", "long_name": f"relative variance of the {what}"}
    ds[f"{name}_variance"] = ((), variance, label)
    ds[f"{name}_variance_std"] = ((), std, {"units": "1"})


def long_waves_of_cells(
    springs: Springs, cell: np.ndarray, n_cells: int, tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of the coefficients of `long_waves` that cells contribute.

    Parameters
    ----------
    springs : Springs
    cell : numpy.ndarray of int, shape (n_atoms,)
        The cell of each atom.
    n_cells : int
        Number of cells.
    tolerance : float
        As for `elastic_constants`.

    Returns
    -------
    affine, relaxed : numpy.ndarray, shape (n_cells, d, d, d, d)
        eV; their sums over cells are those of `long_waves`.
    """
    d = springs.dimension
    moved = non_affine_displacements(springs, tolerance)
    affine, relaxed = np.zeros((2, n_cells, d**4))
    step = max(1, int(_CHUNK // (8 * d**4)))
    for begin in range(0, springs.first.size, step):
        part = slice(begin, begin + step)
        first, second = springs.first[part], springs.second[part]
        bond, block = springs.bond[part, :d], springs.block[part]
        # The energy of a pair depends on the symmetric part alone.
        pull = -(block + block.transpose(0, 2, 1)) / 4
        apart = moved[second] - moved[first]
        uniform = np.einsum("pg,pab,pl->pabgl", bond, pull, bond)
        other = np.einsum("pg,pae,pebl->pabgl", bond, pull, apart)
        to_cells = scipy.sparse.csr_array(
            (np.ones(first.size), (cell[first], np.arange(first.size))),
            shape=(n_cells, first.size),
        )
        affine += to_cells @ uniform.reshape(first.size, -1)
        relaxed += to_cells @ other.reshape(first.size, -1)
    shape = (n_cells, d, d, d, d)
    affine, relaxed = affine.reshape(shape), relaxed.reshape(shape)
    return affine, (relaxed + relaxed.swapaxes(3, 4)) / 2
