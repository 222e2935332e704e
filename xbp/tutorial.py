"""Small data sets that come with xbp."""

from __future__ import annotations

from importlib.resources import as_file, files

import xarray as xr

from xbp.errors import FileFormatError

__all__ = ["open_dataset"]

NAMES = ("zr46cu46al8_md", "zr46cu46al8_fluctuations")


def open_dataset(name: str) -> xr.Dataset:
    """Open an embedded data set, in memory.

    Parameters
    ----------
    name : {"zr46cu46al8_md", "zr46cu46al8_fluctuations"}
        ``zr46cu46al8_md``: S(Q,E), S(Q) and g(E), with standard deviations, of a Zr46Cu46Al8
        metallic glass of 4000 atoms from classical MD at 300 K. ``zr46cu46al8_fluctuations``: what
        `compare_fluctuations` finds of six local fields in it.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    FileFormatError
        If there is no such data set.

    Examples
    --------
    >>> open_dataset("zr46cu46al8_md").sizes["Q"]
    169
    """
    if name not in NAMES:
        raise FileFormatError(
            f"there is no embedded data set {name!r}", reason=f"xbp comes with {', '.join(NAMES)}", fix="name one"
        )
    with as_file(files("xbp.data") / f"{name}.nc") as path:
        return xr.load_dataset(path, engine="netcdf4")
