"""What every atom sees of its neighbors: how many, how far, and how they deform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.optional import require
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history
from xbp.md.cutoff import Cutoff, choose_cutoff
from xbp.md.deformation import Deformation
from xbp.md.neighbors import coordination_and_distance
from xbp.md.reference import choose_reference
from xbp.md.run import delayed
from xbp.md.trajectory import Block, Trajectory, read_trajectory

__all__ = ["FIELDS", "Field", "FieldMaker", "local_fields"]

#: Answers of one task take about this much memory.
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Field:
    """What a field is: its units, what stands on an axis, and whether it is a tensor."""

    units: str
    label: str
    is_tensor: bool = False


FIELDS = {
    "coordination": Field("1", "number of neighbors"),
    "neighbor_distance": Field("angstrom", "mean distance of the neighbors"),
    "d2min": Field("angstrom**2", "non-affine displacement D²_min"),
    "volumetric_strain": Field("1", "volumetric strain"),
    "shear_strain": Field("1", "shear strain (deviatoric tensor)", is_tensor=True),
    "von_mises_strain": Field("1", "von Mises shear strain"),
    "deformation_gradient": Field("1", "deformation gradient", is_tensor=True),
}
_OF_NEIGHBORS = {"coordination", "neighbor_distance"}


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
        cls,
        data: xr.Dataset,
        trajectory: Trajectory,
        names: Sequence[str],
        cutoff: Any,
        reference: Any,
    ) -> FieldMaker:
        """Hold the arguments to what they may be.

        Find the cutoff, the reference and its bonds.
        """
        for name in names:
            if name not in FIELDS:
                raise QuantityError(
                    f"there is no local field {name!r}",
                    reason="xbp computes " + ", ".join(FIELDS),
                    fix="name one of these, or pass an array of your own over time "
                    "and atom",
                )
        if not names or len(set(names)) < len(names):
            raise QuantityError(
                f"fields={list(names)}",
                reason="each is computed once",
                fix="name one or more",
            )
        chosen = choose_cutoff(data, trajectory, cutoff)
        if set(names) <= _OF_NEIGHBORS:
            return cls(tuple(names), chosen, None)
        return cls(
            tuple(names),
            chosen,
            Deformation.since(choose_reference(trajectory, reference), chosen),
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """What history tells of it."""
        since = None if self.deformation is None else self.deformation.reference.text
        return {"cutoff": self.cutoff.text, "reference": since}

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """Return every field, shape (n_frames, n_atoms) or (n_frames, n_atoms, 3, 3)."""
        scaled = block.scaled()
        out: dict[str, np.ndarray] = {}
        if _OF_NEIGHBORS & set(self.names):
            both = coordination_and_distance(scaled, block.cell, self.cutoff)
            out |= zip(("coordination", "neighbor_distance"), both, strict=True)
        if self.deformation is not None:
            out |= self.deformation.fields(
                block, scaled, [n for n in self.names if n not in _OF_NEIGHBORS]
            )
        return {name: out[name] for name in self.names}


@operation(takes="trajectory", gives="local_fields", step=8)
def local_fields(
    data: xr.Dataset,
    fields: str | Sequence[str],
    *,
    cutoff: Any = None,
    reference: Any = "mean",
) -> xr.Dataset:
    r"""Compute what every atom sees of its neighbors, lazily.

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
        neighbors meant. In ``attrs["cutoff"]`` and history.
    reference : {"mean", "first"} or xarray.Dataset
        Where strains are counted from: the mean place of every atom, the first frame,
        or a trajectory of one frame. Its bonds are used throughout; the numbers and
        distances of neighbors are those of each frame.

    Returns
    -------
    xarray.Dataset
        One variable for each field, over time and atom; tensors also over ``row`` and
        ``column``. As dask arrays. Of a plane of atoms, a simulation in two dimensions,
        the neighbors are those in the plane: nothing deforms across it, and the
        volumetric strain is (η_xx + η_yy)/3.

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
    ...     100, 50, cell=10, energy="8 meV", T=300, mass=40, time_step="20 fs", seed=1)
    >>> local = solid.bp.local_fields(["coordination", "shear_strain"], cutoff="4 angstrom")
    >>> local.shear_strain.dims
    ('time', 'atom', 'row', 'column')
    >>> round(float(abs(local.shear_strain.isel(row=0, column=1)).mean()), 2)
    0.02
    """
    dask = require("dask", "local fields are computed lazily, as its arrays", "md")
    array = require(
        "dask.array", "local fields are computed lazily, as its arrays", "md"
    )
    trajectory = read_trajectory(data)
    if not isinstance(fields, str | Sequence):
        raise QuantityError(
            f"fields={fields!r}",
            reason="fields go by name",
            fix="local_fields(['d2min', …])",
        )
    names = (fields,) if isinstance(fields, str) else tuple(fields)
    maker = FieldMaker.make(data, trajectory, names, cutoff, reference)
    n_numbers = sum(9 if FIELDS[name].is_tensor else 1 for name in names)
    frames = max(1, _CHUNK_BYTES // (8 * n_numbers * trajectory.n_atoms))
    shared = dask.delayed(maker, pure=False)
    compute = delayed(_one_chunk)
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for start in range(0, trajectory.n_frames, frames):
        stop = min(start + frames, trajectory.n_frames)
        block = trajectory.block(start, stop)
        answer = compute(block.position, block.cell, block.units, start, shared)
        for name in names:
            shape = (
                stop - start,
                trajectory.n_atoms,
                *((3, 3) if FIELDS[name].is_tensor else ()),
            )
            parts[name].append(array.from_delayed(answer[name], shape, dtype=float))
    history = extend_history(
        trajectory.source.attrs.get("history"),
        "local_fields",
        {"fields": list(names), **maker.arguments},
    )
    said = {
        "quantity": "local_fields",
        **{key: text for key, text in maker.arguments.items() if text is not None},
    }
    ds = xr.Dataset(
        {
            name: (
                (
                    "time",
                    "atom",
                    *(("row", "column") if FIELDS[name].is_tensor else ()),
                ),
                array.concatenate(parts[name]),
                {"units": FIELDS[name].units, "long_name": FIELDS[name].label, **said},
            )
            for name in names
        },
        coords={
            n: c
            for n, c in trajectory.source.coords.items()
            if {"time", "atom"} >= set(c.dims)
        },
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            **said,
            "history": history,
        },
    )
    axes = list("xyz")
    return (
        ds.assign_coords(row=axes, column=axes)
        if any(FIELDS[n].is_tensor for n in names)
        else ds
    )


def _one_chunk(
    position: Any,
    cell: np.ndarray,
    units: tuple[float, float],
    first: int,
    maker: FieldMaker,
) -> dict[str, np.ndarray]:
    return maker(Block(position, None, cell, units, first))
