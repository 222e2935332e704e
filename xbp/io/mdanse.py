"""MDANSE's HDF5 results (``.mda``, ``.h5``): S(Q,E), F(Q,t), g(E), mean squares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import xarray as xr

from xbp.io.correlations import (
    Column,
    Function,
    correlation,
    has_functions,
    is_function,
)
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import attribute, numbers, open_hdf5, text
from xbp.io.reader import Format

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["FORMAT", "MdanseBackend", "open_mdanse"]


def _columns(file: h5py.File) -> dict[str, Column]:
    """Return the variables, which are labelled with their name, axis and units."""
    found: dict[str, Column] = {}

    def look(place: bytes, info: Any) -> None:
        # Objects are made only for what may be labelled.
        if info.type != h5py.h5o.TYPE_DATASET or info.num_attrs < 2:
            return
        name = place.decode("utf-8", "replace")
        node = file[place]
        if {"axis", "units"} <= set(node.attrs):
            axis, units = (str(attribute(node, key) or "") for key in ("axis", "units"))
            axes = tuple((part,) for part in axis.split("|") if part != "index")
            parent, own = node.parent, name.rpartition("/")[2]
            units = "" if units == "au" else units.strip()
            found[name] = Column(lambda: numbers(parent, own), units, axes)

    h5py.h5o.visit(file.id, look, info=True)
    return found


def _find(file: h5py.File) -> dict[str, Column] | None:
    names: list[bytes] = []
    file.id.links.visit(names.append)
    if not any(is_function(name.decode("utf-8", "replace")) for name in names):
        return None
    columns = _columns(file)
    return columns if has_functions(columns) else None


FORMAT = Format(
    "MDANSE HDF5",
    "hdf5",
    _find,
    "it has no variable such as 's(q,f)_total' or 'dos_total' with its axis",
    guesses=False,
    parts=("s(q,f)_total", "dos_total", "omega"),
    guide=Guide(
        "neutrons",
        "MDANSE: `.mda`, `.h5`",
        "S(Q,E), g(E), F(Q,t) or the mean-square displacement, of all atoms or of "
        "`part=`; per meV on MDANSE's scale, with its resolution and weights",
        example("g", '"dos.mda"'),
        asks=("frequency_units", "T"),
    ),
)


@FORMAT.reader
def open_mdanse(
    path: Path,
    columns: dict[str, Column],
    *,
    function: Function | None = None,
    part: str = "total",
    frequency_units: str | None = None,
    T: Any = None,
) -> xr.Dataset:
    """Read a result of MDANSE in HDF5.

    Parameters
    ----------
    path : path-like
        File of a job such as DynamicCoherentStructureFactor, DensityOfStates.
    function : str, optional
        Which quantity: "dynamic_structure_factor", "vibrational_dos",
        "intermediate_scattering_function" or "mean_square_displacement"; by default
        the first of these in the file.
    part : str
        Which atoms: "total", an element, or a pair such as "HO", as in the names of
        the variables.
    frequency_units : str, optional
        Units of the frequencies, "rad/ps" or "THz", if the file does not state them.
    T : scalar with units, optional
        Temperature of the simulation, which the file does not contain (bare: K).

    Returns
    -------
    xarray.Dataset
        Q in 1/angstrom, E in meV, time in ps. S(Q,E), which is classical, is per meV on
        MDANSE's scale, and so is g(E), at E >= 0. Both are convolved with the
        resolution of the job, ``attrs["instrument_resolution"]``, and weighted by
        ``attrs["weights"]``; only weighted by mass is g(E) that of the vibrations.

    Raises
    ------
    FileFormatError
        If the file is damaged or has no such function.
    QuantityError
        If `part` is not in the file, or `frequency_units` is missing.

    References
    ----------
    G. Goret et al., J. Chem. Inf. Model. 57, 1 (2017), doi:10.1021/acs.jcim.6b00571.

    Examples
    --------
    >>> import tempfile
    >>> parts = ("omega", [0.0, 10.0], "rad/ps", "index"), (
    ...     "dos_total", [0.0, 2.0], "au", "omega")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/dos.mda", "w") as file:
    ...         for name, values, units, axis in parts:
    ...             file[name] = values
    ...             file[name].attrs.update({"units": units, "axis": axis})
    ...     g = open_mdanse(f"{folder}/dos.mda").g
    >>> g.E.values.round(4), g.values.round(4)
    (array([0.    , 6.5821]), array([0.    , 3.0385]))
    """
    attrs = {"source": f"MDANSE file {path.name}"}
    with open_hdf5(path) as file:
        inputs = file.get("metadata/inputs")
        for name in ("weights", "instrument_resolution"):
            if value := text(inputs, name):
                attrs[name] = value.strip('"')
        if task := text(file.get("metadata"), "task_name"):
            attrs["title"] = task.strip('"')
    return correlation(
        columns,
        function=function,
        part=part,
        frequency_units=frequency_units,
        temperature=T,
        attrs=attrs,
    )


MdanseBackend = FORMAT.backend()
