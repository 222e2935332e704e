"""Histogram HDF5: I(Q,E) as the neutron ``histogram`` package and multiphonon store it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lazy_loader
import numpy as np
import pint
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, UnitsError, XbpError
from xbp.core.schema import COORDINATES
from xbp.core.units import parse_unit, registry
from xbp.io.arguments import to_path, without
from xbp.io.hdf5 import HDF5_ERRORS, attribute, numbers, open_hdf5
from xbp.io.measured import density_per_mev, measured

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["HistogramBackend", "decline", "open_histogram"]

# No instrument has more bins than this along one axis; a file that claims so is
# damaged.
_MAX_BINS = 1_000_000
_LACKS = "it has no group with 'data' and 'grid/energy' or 'grid/E', with or without 'grid/Q'"
#: Names of the axes in histogram and in multiphonon.
_AXES = {"Q": ("Q",), "E": ("energy", "E")}
#: Fraction of a bin width below which a value is rounding of accumulated steps, and is
#: set to 0.
_ROUNDING = 1e-9


def decline(path: Path) -> str | None:
    """Say why a file is not a histogram HDF5, or None where it is."""
    try:
        with open_hdf5(path) as file:
            return None if _find(file) is not None else _LACKS
    except HDF5_ERRORS as error:
        return f"HDF5 cannot read it ({error})"


def open_histogram(
    path: str | os.PathLike[str], *, errors: Literal["variance", "std"] = "variance"
) -> xr.Dataset:
    """Read a histogram HDF5 file.

    Parameters
    ----------
    path : path-like
        File with a group that holds ``data``, ``errors`` and ``grid/Q``,
        ``grid/energy`` (or ``grid/E``) with their bin boundaries and units.
    errors : {"variance", "std"}
        What ``errors`` holds. The histogram package stores squared error bars; the
        scatter of the points of the public ARCS files agrees.

    Returns
    -------
    xarray.Dataset
        ``g(E)`` with ``g_std`` of a histogram over energy alone, per meV on an arbitrary
        scale, as multiphonon's densities of states are; else
        ``S(Q,E)`` with ``S_std``, statistics "quantum"; bin boundaries as CF bounds, in
        1/angstrom and meV; NaN where not measured: NaN, infinities, sentinels and
        negative errors. Bins without any count have std 0, as in the file; no fit uses
        them. If all errors are 0, the file has none.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, or its parts do not fit together.

    References
    ----------
    J. Y. Y. Lin et al., J. Open Source Softw. 3(21), 440 (2018),
    doi:10.21105/joss.00440 (multiphonon).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/iqe.h5", "w") as file:
    ...         file["iqe/data"], file["iqe/errors"] = [[4.0, 9.0]], [[0.04, 0.09]]
    ...         for axis, edges, unit in (("Q", [1, 2], "1e+10*m**-1"), ("energy", [0, 2, 4], "1.60218e-22*J")):
    ...             file[f"iqe/grid/{axis}/bin boundaries"] = edges
    ...             file[f"iqe/grid/{axis}"].attrs["unit"] = unit
    ...     ds = open_histogram(f"{folder}/iqe.h5")
    >>> ds.E.values, ds.S_std.values
    (array([1., 3.]), array([[0.2, 0.3]]))
    """
    if errors not in ("variance", "std"):
        raise FileFormatError(
            f"errors={errors!r} is not known",
            reason="it is one of two",
            fix="'variance' or 'std'",
        )
    where = to_path(path)
    try:
        with open_hdf5(where) as file:
            group = _find(file)
            if group is None:
                raise FileFormatError(
                    f"{where} is no histogram HDF5",
                    reason=_LACKS,
                    fix="xbp.open_dataset(path) tells which formats were tried",
                )
            return _read(group, where, errors)
    except XbpError:
        raise
    except HDF5_ERRORS as error:
        raise FileFormatError(
            f"{where} cannot be read",
            reason=f"{type(error).__name__}: {error}",
            fix="it may be truncated, or no HDF5 at all: copy it again from its source",
        ) from error


def _find(file: h5py.File) -> h5py.Group | None:
    """Return the group that looks like a histogram.

    The file itself or one level below.
    """
    for candidate in (file, *file.values()):
        if not isinstance(candidate, h5py.Group) or not isinstance(
            candidate.get("data"), h5py.Dataset
        ):
            continue
        grid = candidate.get("grid")
        if isinstance(grid, h5py.Group) and _axis_name(grid, "E"):
            return candidate
    return None


def _axis_name(grid: h5py.Group, dim: str) -> str | None:
    """Return what the file calls an axis; None where it has none."""
    return next(
        (name for name in _AXES[dim] if isinstance(grid.get(name), h5py.Group)), None
    )


def _read(group: h5py.Group, path: Path, errors: str) -> xr.Dataset:
    edges: dict[str, np.ndarray] = {}
    order: dict[int, str] = {}
    to_mev = 1.0
    grid = group["grid"]
    found = [dim for dim in _AXES if _axis_name(grid, dim)]
    if len(found) < len(grid):
        raise _damaged(path, f"its axes are {', '.join(grid)}")
    for dim in found:
        axis = str(_axis_name(group["grid"], dim))
        node = group["grid"][axis]
        boundaries = _numbers(node, "bin boundaries", path, ndim=1)
        factor = _unit_factor(attribute(node, "unit"), COORDINATES[dim][0], axis, path)
        scaled = boundaries * factor
        if dim == "E":
            to_mev = factor
        if not np.isfinite(scaled).all() or (np.diff(scaled) <= 0).any():
            raise _damaged(path, f"the bin boundaries of '{axis}' are not ascending")
        # The lowest boundary of Q is written as -1e-18 where 0 is meant.
        edges[dim] = _without_rounding(scaled, np.diff(scaled).min())
        index = attribute(node, "index")
        order[len(order) if index is None else int(index)] = dim
    dims = tuple(order[i] for i in sorted(order))
    shape = tuple(edges[dim].size - 1 for dim in dims)
    if len(dims) != len(found):
        raise _damaged(path, "its two axes have the same index")
    data = _numbers(group, "data", path, shape=shape)
    std = None
    if "errors" in group:
        raw = _numbers(group, "errors", path, shape=shape)
        std = (
            np.where(raw < 0, -1.0, np.sqrt(np.abs(raw)))
            if errors == "variance"
            else raw
        )
    data, std = measured(data, std)
    written = _text(attribute(group["data"], "unit") or "1")
    data, std, units = density_per_mev(data, std, axis=to_mev, units=written)
    one = "vibrational_dos" if dims == ("E",) else None
    if one and units == "1":
        units = "1/meV"
    return new_dataset(
        one or "dynamic_structure_factor",
        data,
        std=std,
        units=units,
        dims=dims,
        coords={dim: (_centres(edges[dim]), COORDINATES[dim][0]) for dim in dims},
        edges=edges,
        statistics=None if one else "quantum",
        attrs={
            "title": str(group.name).strip("/") or path.stem,
            "source": f"histogram HDF5 file {path.name}",
        },
    )


def _centres(edges: np.ndarray) -> np.ndarray:
    return _without_rounding((edges[1:] + edges[:-1]) / 2, np.diff(edges).min())


def _without_rounding(values: np.ndarray, width: float) -> np.ndarray:
    """Set values to 0 that differ from it by rounding alone, such as -6.9e-14 meV."""
    return np.where(np.abs(values) < _ROUNDING * width, 0.0, values)


def _numbers(
    group: h5py.Group,
    name: str,
    path: Path,
    *,
    ndim: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Read a dataset of numbers, its shape checked before a byte of it is read."""
    node = group.get(name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiu":
        raise _damaged(path, f"'{name}' is missing or holds no numbers")
    if shape is not None and node.shape != shape:
        raise _damaged(path, f"'{name}' has the shape {node.shape}, its grid {shape}")
    if ndim is not None and (node.ndim != ndim or not 2 <= node.size <= _MAX_BINS):
        raise _damaged(path, f"'{name}' has the shape {node.shape}")
    if node.size and node.id.get_storage_size() == 0:
        raise _damaged(path, f"'{name}' was declared and never written")
    values: np.ndarray = numbers(group, name)
    return values


def _unit_factor(unit: Any, canonical: str, axis: str, path: Path) -> float:
    """Return the factor to the canonical unit of strings like ``1.60218e-22*m**2*kg*s**-2``."""
    if unit is None:
        raise _damaged(path, f"axis '{axis}' has no unit")
    number, _, rest = _text(unit).partition("*")
    try:
        scale, unit_text = float(number), rest
    except ValueError:
        scale, unit_text = 1.0, _text(unit)
    try:
        factor = float(
            registry().Quantity(scale, parse_unit(unit_text)).m_as(canonical)
        )
    except (UnitsError, ValueError, pint.PintError) as error:
        raise _damaged(
            path, f"the unit {_text(unit)!r} of axis '{axis}' is not one of {canonical}"
        ) from error
    # Units are written with six digits (1.60218e-22 J for 1 meV): a factor that is 1
    # within them is 1.
    return 1.0 if abs(factor - 1) < 1e-5 else factor


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _damaged(path: Path, what: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged: {what}",
        reason="a histogram HDF5 holds 'data', 'errors' and ascending 'bin "
        "boundaries' with units that fit together",
        fix="copy it again from its source, or write it anew",
    )


class HistogramBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="histogram")``."""

    description = "Histogram HDF5 files of I(Q,E), as multiphonon stores them"
    url = "https://github.com/neutrons/multiphonon"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "errors")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        errors: Literal["variance", "std"] = "variance",
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_histogram`."""
        return without(open_histogram(filename_or_obj, errors=errors), drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never guess: an HDF5 file without ``engine=`` is netcdf4's to xarray."""
        return False
