"""HDF5 as scipp writes it (``save_hdf5``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from xbp.core.errors import require
from xbp.io.exchange import from_scipp
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import open_hdf5
from xbp.io.hdf5_checks import require_stored
from xbp.io.reader import Format
from xbp.io.text import check, translated

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT", "ScippFileBackend", "open_scipp_file"]


def _find(file: h5py.File) -> str | None:
    kind = file.attrs.get("scipp-type")
    return kind if isinstance(kind, str) else None


FORMAT = Format(
    "scipp HDF5",
    "hdf5",
    _find,
    "it has no attribute 'scipp-type'",
    guesses=False,
    parts=("coords", "masks", "data"),
    guide=Guide(
        "neutrons",
        "scipp (`save_hdf5`), scippneutron, ESS workflows",
        "one dense DataArray, or `name=` of a Dataset, with variances, bin edges and "
        "masks, as `from_scipp`; `quantity=` unless xbp wrote it",
        example("S", '"map.hdf5"', "print(S.bp)"),
        asks=("quantity", "name", "T", "statistics"),
        extra="scipp",
    ),
)


@FORMAT.reader
def open_scipp_file(
    path: Path,
    kind: str,
    *,
    quantity: str | None = None,
    name: str | None = None,
    T: Any = None,
    statistics: Literal["quantum", "classical"] | None = None,
) -> xr.Dataset:
    """Read an HDF5 file of scipp.

    Parameters
    ----------
    path : path-like
        File of ``save_hdf5``.
    quantity : str, optional
        What the data are, such as "dynamic_structure_factor"; not for what xbp wrote.
    name : str, optional
        Which DataArray of a Dataset.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of that of the file. Files of scipp
        do not tell °C from K: 20 °C written by others than xbp are read as 20 K.
    statistics : {"quantum", "classical"}, optional
        As for `from_scipp`.

    Returns
    -------
    xarray.Dataset
        As of `from_scipp`.

    Raises
    ------
    MissingDependencyError
        If scipp is not installed.
    FileFormatError
        If the file is damaged.
    QuantityError
        If `quantity` or `name` is needed, or the data are not a dense DataArray.

    Examples
    --------
    >>> import tempfile, xbp  # doctest: +SKIP
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")  # doctest: +SKIP
    >>> S.bp.to_scipp().save_hdf5("glass.hdf5")  # doctest: +SKIP
    >>> xbp.open_dataset("glass.hdf5").identical(S)  # doctest: +SKIP
    True
    """
    scipp = require("scipp", "read its files", "scipp")
    with open_hdf5(path) as file:
        require_stored(file)
        with translated(f"{path} cannot be read by scipp", Exception):
            data = scipp.io.load_hdf5(file)
    check(
        isinstance(data, scipp.DataArray | scipp.Dataset),
        f"it has the type {kind}, not DataArray",
    )
    ds = from_scipp(data, quantity, T=T, statistics=statistics, name=name)
    return ds if isinstance(ds, xr.Dataset) else ds.to_dataset()


ScippFileBackend = FORMAT.backend()
