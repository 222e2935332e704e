"""Local fields of every atom: its neighbors, and its deformation since a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, require, shown
from xbp.core.guards import choose, require_kind
from xbp.core.operation import operation
from xbp.core.schema import DATASET_LABELS
from xbp.core.signal import extend_history
from xbp.md.deformation import Deformation, d2min, deformation_gradient, von_mises
from xbp.md.neighbors import Cutoff, choose_cutoff, neighborhoods
from xbp.md.reference import choose_reference
from xbp.md.run import delayed
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = ["FIELDS", "Field", "FieldMaker", "local_fields"]


@dataclass(frozen=True)
class Field:
    """What a field is, and what computes it.

    Attributes
    ----------
    units, label, name : str
        Units, label of an axis, and name in figures.
    compute : callable
        Takes `Deformed`, or `Neighborhoods` if `of_neighbors`, and returns an array
        (n_frames, n_atoms), or (3, 3, n_frames, n_atoms) for a tensor.
    of_neighbors : bool
        Whether it is counted anew in each frame, not from the reference.
    tensor : {"", "general", "deviatoric"}
        A deviatoric tensor is symmetric, and its trace is zero.
    """

    units: str
    label: str
    name: str
    compute: Callable[[Any], np.ndarray]
    of_neighbors: bool = False
    tensor: Literal["", "general", "deviatoric"] = ""

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the field."""
        return ("time", "atom", *(("row", "column") if self.tensor else ()))


FIELDS = {
    "coordination": Field(
        "1",
        "number of neighbors",
        "coordination",
        lambda around: around.number,
        of_neighbors=True,
    ),
    "neighbor_distance": Field(
        "angstrom",
        "mean distance of the neighbors",
        "neighbor distance",
        lambda around: around.distance,
        of_neighbors=True,
    ),
    "d2min": Field(
        "angstrom**2", "non-affine displacement D²_min", r"$D^2_\mathrm{min}$", d2min
    ),
    "volumetric_strain": Field(
        "1", "volumetric strain", "volumetric strain", lambda frames: frames.strain[0]
    ),
    "shear_strain": Field(
        "1",
        "shear strain (deviatoric tensor)",
        "shear strain",
        lambda frames: frames.strain[1],
        tensor="deviatoric",
    ),
    "von_mises_strain": Field(
        "1",
        "von Mises shear strain",
        "von Mises strain",
        lambda frames: von_mises(frames.strain[1]),
    ),
    "deformation_gradient": Field(
        "1",
        "deformation gradient",
        "deformation gradient",
        deformation_gradient,
        tensor="general",
    ),
}


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
            choose(name, FIELDS, "fields")
        if not names or len(set(names)) < len(names):
            raise QuantityError(f"fields={shown(list(names))} must be different names")
        cutoff = choose_cutoff(trajectory, given["cutoff"])
        deformation = None
        if not all(FIELDS[name].of_neighbors for name in names):
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
        fields = {name: FIELDS[name] for name in self.names}
        around = None
        if any(field.of_neighbors for field in fields.values()):
            around = neighborhoods(scaled, block.cells, self.cutoff)
        frames = None
        if self.deformation is not None:
            frames = self.deformation.of_frames(block, scaled)
        out = {}
        for name, field in fields.items():
            found = field.compute(around if field.of_neighbors else frames)
            shape = (*((3, 3) if field.tensor else ()), block.n_frames, block.n_atoms)
            if found.shape != shape:
                raise ValueError(
                    f"field {name!r} has the shape {found.shape}, not {shape}"
                )
            out[name] = found.transpose(2, 3, 0, 1) if field.tensor else found
        return out


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
    array = require("dask.array", "compute local fields lazily", "md")
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
    labels = {**DATASET_LABELS, **labels, "history": history}
    return xr.Dataset(variables, coords, labels)
