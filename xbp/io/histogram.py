"""Histogram HDF5: I(Q,E) and g(E), as ``histogram`` and multiphonon store them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.schema import COORDINATES
from xbp.core.units import convert_factor, parse_unit
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import attribute, chosen, group, groups, numbers
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
from xbp.io.text import check, translated

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["FORMAT", "HistogramBackend", "open_histogram"]

#: Names of the axes in histogram and in multiphonon.
_AXES: Final = {"Q": "Q", "energy": "E", "E": "E"}


def _histograms(file: h5py.File) -> dict[str, h5py.Group]:
    """Return the groups of histograms: the file itself or one level below."""
    found = {}
    for name, candidate in {"/": file, **groups(file)}.items():
        grid = group(candidate, "grid")
        energy = any(grid and group(grid, axis) for axis in _AXES if axis != "Q")
        data = candidate.get(_at(candidate, "data")) if energy else None
        if isinstance(data, h5py.Dataset):
            found[name] = candidate
    return found


def _at(parent: h5py.Group, name: str) -> str:
    """Return where an array is: in the first version of histogram in ``storage``."""
    return f"{name}/storage" if group(parent, name) else name


def _find(file: h5py.File) -> h5py.Group | None:
    return next(iter(_histograms(file).values()), None)


FORMAT = Format(
    "histogram HDF5",
    "hdf5",
    _find,
    "it has no group with 'data' and 'grid/energy' or 'grid/E'",
    guesses=False,
    parts=("grid", "bin boundaries", "data", "errors"),
    guide=Guide(
        "neutrons",
        "multiphonon, histogram",
        "S(Q,E) or g(E), errors, edges, units in SI, of both versions of histogram; "
        "`errors` in it are variances; a sum over Q is an S(E) or a g(E): `quantity=`",
        example("S", '"iqe.h5", T="300 K"'),
        asks=("quantity",),
    ),
)


@FORMAT.reader
def open_histogram(
    path: Path,
    found: h5py.Group,
    *,
    errors: Literal["variance", "std"] = "variance",
    name: str | None = None,
    quantity: Literal["vibrational_dos", "dynamic_structure_factor"] | None = None,
) -> xr.Dataset:
    """Read a histogram HDF5 file.

    Parameters
    ----------
    path : path-like
        File with a group that contains ``data``, ``errors`` and ``grid/Q``,
        ``grid/energy`` (or ``grid/E``) with their bin boundaries and units.
    errors : {"variance", "std"}
        Meaning of ``errors``. The histogram package stores squared error bars; the
        scatter of the points of the public ARCS files agrees.
    name : str, optional
        Which histogram of a file that has several.
    quantity : {"vibrational_dos", "dynamic_structure_factor"}, optional
        What a histogram over energy alone is: a g(E) if its name has DOS in it,
        otherwise asked for, as multiphonon stores sums of S(Q,E) over Q, too.

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)`` with ``S_std``, statistics "quantum"; of a histogram over energy
        alone, ``g(E)`` or ``S(E)``, per meV on an arbitrary scale. Bin boundaries as
        CF bounds, in 1/angstrom and meV; NaN where not measured: NaN, infinities,
        sentinels and negative errors. Bins without any count have std 0, as in the
        file; no fit uses them. If all errors are 0, the file has none.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, or its parts do not fit together.
    QuantityError
        If `name` or `quantity` is needed, or `name` is not one of those of the file.

    References
    ----------
    J. Y. Y. Lin et al., J. Open Source Softw. 3(21), 440 (2018),
    doi:10.21105/joss.00440 (multiphonon).

    Examples
    --------
    >>> import tempfile
    >>> axes = ("Q", [1, 2], "1e+10*m**-1"), ("energy", [0, 2, 4], "1.60218e-22*J")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/iqe.h5", "w") as file:
    ...         file["iqe/data"], file["iqe/errors"] = [[4.0, 9.0]], [[0.04, 0.09]]
    ...         for axis, edges, unit in axes:
    ...             file[f"iqe/grid/{axis}/bin boundaries"] = edges
    ...             file[f"iqe/grid/{axis}"].attrs["unit"] = unit
    ...     ds = open_histogram(f"{folder}/iqe.h5")
    >>> ds.E.values, ds.S_std.values
    (array([1., 3.]), array([[0.2, 0.3]]))
    """
    found = chosen(_histograms(found.file), name)
    edges: dict[str, np.ndarray] = {}
    order: dict[int, str] = {}
    to_mev = 1.0
    for axis, node in found["grid"].items():
        check(axis in _AXES, f"its grid has the axis '{axis}'")
        dim = _AXES[axis]
        factor = _unit_factor(attribute(node, "unit"), COORDINATES[dim][0], axis)
        limits = numbers(node, "bin boundaries", ndim=1) * factor
        widths = np.diff(limits)
        # No instrument has more bins.
        ascending = 1 < limits.size < 1e6 and (widths > 0).all()
        check(ascending, f"the bin boundaries of '{axis}' are not ascending")
        check(np.isfinite(limits).all(), f"a bin boundary of '{axis}' is not finite")
        to_mev = factor if dim == "E" else to_mev
        # The lowest boundary of Q is written as -1e-18 for 0.
        edges[dim] = _without_rounding(limits, widths)
        index = attribute(node, "index")
        order[len(order) if index is None else int(index)] = dim
    dims = tuple(order[i] for i in sorted(order))
    check(len(dims) == len(found["grid"]), "its axes have the same index")
    shape = tuple(edges[dim].size - 1 for dim in dims)
    data, std = (
        numbers(found, _at(found, name), shape=shape) if name in found else None
        for name in ("data", "errors")
    )
    assert data is not None  # by `_histograms`
    power = 2 if errors == "variance" else 1
    if std is not None and power == 2:
        std = np.where(std < 0, -1.0, np.sqrt(np.abs(std)))
    units = str(attribute(found["data"], "unit") or "1")
    if std is not None:
        own = str(attribute(found["errors"], "unit") or "1")
        fits = own == "1" or parse_unit(own) == parse_unit(units) ** power
        check(fits, f"its errors are in {own}, its data in {units}")
    data, std = measured(data, std)
    data, std, units = density_per_mev(data, std, axis=to_mev, units=units)
    title = str(found.name).strip("/") or path.stem
    kind = _quantity(path, title, dims, quantity)
    is_dos = kind == "vibrational_dos"
    return new_dataset(
        kind,
        data,
        std=std,
        units="1/meV" if is_dos and units == "1" else units,
        dims=dims,
        coords={
            dim: (
                _without_rounding((e[1:] + e[:-1]) / 2, np.diff(e)),
                COORDINATES[dim][0],
            )
            for dim, e in sorted(edges.items(), reverse=True)
        },
        edges=edges,
        statistics=None if is_dos else "quantum",
        attrs={
            "title": title,
            "source": f"histogram HDF5 file {path.name}",
        },
    )


def _quantity(path: Path, title: str, dims: tuple[str, ...], given: str | None) -> str:
    """Return what a histogram is, by its axes, its name, or as given."""
    if dims != ("E",):
        right = given in (None, "dynamic_structure_factor")
        check(right, f"it is a map over {dims}, not quantity={given!r}")
        return "dynamic_structure_factor"
    if given is None and "dos" not in title.lower():
        raise QuantityError(
            f"the histogram {title[:60]!r} of {path} may be a g(E) or an S(E)",
            fix="quantity='vibrational_dos' or 'dynamic_structure_factor'",
        )
    return given or "vibrational_dos"


def _without_rounding(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Set values to 0 that differ from it only by rounding, such as -6.9e-14 meV."""
    return np.where(np.abs(values) < 1e-9 * widths.min(), 0.0, values)


def _unit_factor(unit: Any, canonical: str, axis: str) -> float:
    """Return the factor of units like ``1.60218e-22*m**2*kg*s**-2``."""
    check(unit is not None, f"axis '{axis}' has no unit")
    number, _, rest = str(unit).partition("*")
    scale = 1.0
    with contextlib.suppress(ValueError):
        scale, unit = float(number), rest
    with translated(f"the unit of axis '{axis}' is {unit!r}", UnitsError):
        factor = scale * convert_factor(str(unit), canonical)
    # Units are written with six digits (1.60218e-22 J for 1 meV).
    return 1.0 if abs(factor - 1) < 1e-5 else factor


HistogramBackend = FORMAT.backend()
