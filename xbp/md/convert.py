"""Trajectories of any format to one chunked, compressed file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.errors import FileFormatError
from xbp.md.open import open_trajectory
from xbp.optional import require

__all__ = ["convert"]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> None:
    """Copy a trajectory of any format, and of any size, to netCDF or Zarr.

    Chunks of frames are read, compressed and written one after the other. The file is written beside
    its place and renamed once complete: what stands at `target` is whole, whatever interrupts.

    Parameters
    ----------
    source : path-like
        As for `open_trajectory`.
    target : path-like
        Where to; Zarr (a folder) if it ends in ``.zarr``, else netCDF-4. Positions and velocities are
        kept in single precision: 7 digits, more than a dump has.
    overwrite : bool
        Replace what stands there.
    progress : bool
        Show a progress bar.
    **options
        As for `open_trajectory`: units, elements, timestep, ….

    Raises
    ------
    FileFormatError
        If `target` exists and `overwrite` is not given, its folder does not exist, or as for
        `open_trajectory`.

    Examples
    --------
    >>> import tempfile, xbp
    >>> gas = xbp.md.models.ideal_gas(5, 4, cell=10, T=300, mass=40, time_step=0.02, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gas.to_netcdf(f"{folder}/gas.nc")
    ...     convert(f"{folder}/gas.nc", f"{folder}/copy.nc")
    ...     open_trajectory(f"{folder}/copy.nc").sizes["time"]
    4
    """
    where = Path(target).resolve()
    if where.exists() and not overwrite:
        raise FileFormatError(
            f"{where} exists", reason="it would be replaced", fix="choose another name, or say overwrite=True"
        )
    if not where.parent.is_dir():
        raise FileFormatError(
            f"cannot write {where}", reason=f"the folder {where.parent} does not exist", fix="make it first"
        )
    traj = open_trajectory(source, **options)
    bar: Any = contextlib.nullcontext()
    if progress:
        bar = require("tqdm.dask", "it shows the progress", "md").TqdmCallback(
            desc=f"{Path(source).name} → {where.name}"
        )
    # A folder of its own: a Zarr group is one, and a half file in it is nobody's target.
    folder = Path(tempfile.mkdtemp(dir=where.parent, prefix=f".{where.name}.", suffix=".part"))
    try:
        with bar, traj:
            _write(traj, folder / where.name)
        if where.is_dir():
            # A folder cannot be replaced in one step: the old one steps aside until the new one stands.
            os.replace(where, folder / "old")
        os.replace(folder / where.name, where)
    finally:
        shutil.rmtree(folder)


def _write(traj: xr.Dataset, path: Path) -> None:
    for variable in traj.variables.values():
        # What it was read with (chunks, packing) is of the old file.
        variable.encoding = {}
    moving = [name for name in ("position", "velocity") if name in traj]
    chunks = {name: tuple(sizes[0] for sizes in traj[name].chunks or ()) for name in moving}
    single = traj.assign({name: traj[name].astype(np.float32) for name in moving})
    try:
        if path.suffix == ".zarr":
            require("zarr", "it writes Zarr folders", "md")
            # Text has a specification in Zarr's second format, not yet in the third.
            single.to_zarr(path, zarr_format=2, encoding={name: {"chunks": chunks[name]} for name in moving})
        else:
            packed = {"zlib": True, "complevel": 4, "shuffle": True}
            encoding: dict[Any, dict[str, Any]] = {name: {"_FillValue": None} for name in single.coords}
            encoding |= {name: {**packed, "chunksizes": chunks[name], "_FillValue": None} for name in moving}
            single.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
    except OSError as error:
        raise FileFormatError(
            f"cannot write {path.name}", reason=str(error), fix="see that there is room on the disk"
        ) from error
