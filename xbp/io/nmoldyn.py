"""nMoldyn's and MDANSE 1's classic netCDF: S(Q,E), F(Q,t), g(E), mean squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.io.correlations import Column, Function, correlation, has_functions
from xbp.io.guide import Guide, example
from xbp.io.reader import Format

__all__ = ["FORMAT", "NmoldynBackend", "open_nmoldyn"]

#: Axes of nMoldyn's dimensions, the best first.
_DIMENSIONS = {
    "NQVALUES": ("q",),
    "NTIMES": ("time",),
    "NFREQUENCIES": ("angular_frequency", "frequency"),
    # nMoldyn 2
    "Q": ("q",),
    "TIME": ("time",),
    "FREQUENCY": ("frequency",),
}
#: Variables of nMoldyn 2, as those of nMoldyn 3 are called, and their dimensions.
_SECOND = {
    "dsf": ("Sqw-total", ("Q", "FREQUENCY")),
    "sf": ("Fqt-total", ("Q", "TIME")),
}
#: Units of MMTK, in which nMoldyn 2 writes without naming any.
_OF_MMTK = {"q": "nm^-1", "time": "ps", "frequency": "THz"}


def _find(ds: xr.Dataset) -> dict[str, Column] | None:
    columns = {}
    for name, variable in ds.variables.items():
        if variable.dtype.kind not in "fiu":
            continue
        units = str(variable.attrs.get("units", "")).strip()
        axes: tuple[tuple[str, ...], ...]
        if "axis" in variable.attrs:  # MDANSE
            named = str(variable.attrs["axis"]).split("|")
            axes = tuple((axis,) for axis in named if axis != "index")
        else:
            axes = tuple(_DIMENSIONS.get(str(dim), ()) for dim in variable.dims)
        units = "" if units in ("au", "unitless") else units
        columns[str(name)] = Column(_reader(ds, str(name)), units, axes)
    second = {name for name, (_, dims) in _SECOND.items() if _over(ds, name, dims)}
    for name in second:
        new, column = _SECOND[name][0], columns[name]
        if name == "dsf":  # as in nMoldyn 3 a density in rad/ps, over another axis
            column = column._replace(read=_reader(ds, name, 2 * np.pi))
        columns[new] = column
    for name, units in _OF_MMTK.items() if second else ():
        if name in columns and not columns[name].units:
            columns[name] = columns[name]._replace(units=units)
    return columns if has_functions(columns) else None


def _over(ds: xr.Dataset, name: str, dims: tuple[str, ...]) -> bool:
    """Return whether a variable has the dimensions and axes of nMoldyn 2."""
    pairs = [(_DIMENSIONS[dim][0], dim) for dim in dims]
    return (
        name in ds.variables
        and ds[name].dims == dims
        and all(a in ds.variables and ds[a].dims == (d,) for a, d in pairs)
    )


def _reader(ds: xr.Dataset, name: str, factor: float = 1.0) -> Any:
    return lambda: factor * np.asarray(ds.variables[name].values, dtype=float)


FORMAT = Format(
    "nMoldyn netCDF",
    "classic",
    _find,
    "it has no variable such as 'Sqw-total', 's(q,f)_total' or 'dsf' with its axes",
    guesses=False,
    guide=Guide(
        "neutrons",
        "nMoldyn 2 and 3, MDANSE 1: `.nc`",
        "as MDANSE HDF5; nMoldyn's density is taken per rad/ps, and the units that "
        "nMoldyn 2 does not write are those of MMTK: 1/nm, ps, THz",
        example("S", '"water.nc", T="300 K"'),
        asks=("frequency_units", "T"),
    ),
)


@FORMAT.reader
def open_nmoldyn(
    path: Path,
    columns: dict[str, Column],
    *,
    function: Function | None = None,
    part: str = "total",
    frequency_units: str | None = None,
    T: Any = None,
) -> xr.Dataset:
    """Read a result of nMoldyn, or of MDANSE 1, in classic netCDF.

    Parameters
    ----------
    path : path-like
        File with variables such as ``Sqw-total`` over ``q`` and ``angular_frequency``,
        or, of nMoldyn 2, ``dsf`` over ``q`` and ``frequency``.
    function, part, frequency_units, T
        As for `open_mdanse`.

    Returns
    -------
    xarray.Dataset
        As of `open_mdanse`. S(Q,E) and g(E) are per meV on nMoldyn's scale, if its
        numbers are per rad/ps: the integral of S(Q,E) over E is πF(Q,0). The functions
        ``dsf`` and ``sf`` of nMoldyn 2 are read in the units of MMTK.

    Raises
    ------
    FileFormatError
        If the file is damaged or has no such function.
    QuantityError
        If `part` is not in the file, or `frequency_units` is missing.

    References
    ----------
    T. Róg et al., J. Comput. Chem. 24, 657 (2003), doi:10.1002/jcc.10243.

    Examples
    --------
    >>> import tempfile
    >>> import xarray as xr
    >>> axes = "NQVALUES", "NFREQUENCIES"
    >>> frequency = (axes[1], [0.0, 1.0], {"units": "rad ps-1"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xr.Dataset({
    ...         "q": ("NQVALUES", [5.0], {"units": "nm^-1"}),
    ...         "angular_frequency": frequency,
    ...         "Sqw-total": (axes, [[4.0, 2.0]], {"units": "unitless"}),
    ...     }).to_netcdf(f"{folder}/a.nc", format="NETCDF3_CLASSIC")
    ...     S = open_nmoldyn(f"{folder}/a.nc").S
    >>> S.Q.values, S.E.values.round(4), S.values.round(3)
    (array([0.5]), array([0.    , 0.6582]), array([[6.077, 3.039]]))
    """
    return correlation(
        columns,
        function=function,
        part=part,
        frequency_units=frequency_units,
        temperature=T,
        attrs={"source": f"nMoldyn netCDF file {path.name}"},
    )


NmoldynBackend = FORMAT.backend()
