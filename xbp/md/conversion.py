"""Trajectories of every kind, converted to netCDF or Zarr in bounded memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import require
from xbp.io.publish import new_folder
from xbp.io.zarr_store import why_no_store
from xbp.md.open import open_trajectory
from xbp.md.source import require_file

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

    Chunks of frames are read, compressed and written one after the other. The file is
    written beside its place and renamed once complete: what stands at `target` is
    whole, whatever interrupts.

    Parameters
    ----------
    source : path-like
        As for `open_trajectory`.
    target : path-like
        Where to; Zarr (a folder) if it ends in ``.zarr``, else netCDF-4. Positions and
        velocities are kept in single precision: 7 digits, more than a dump has.
    overwrite : bool
        Replace a file, or for Zarr a store with a trajectory; another folder, a device
        or a pipe is never replaced.
    progress : bool
        Show a progress bar.
    **options
        As for `open_trajectory`: units, elements, timestep, ….

    Raises
    ------
    FileFormatError
        If `target` exists and `overwrite` is not given, is the source, or may not be
        replaced; if its folder does not exist or the disk is full; or as for
        `open_trajectory`.

    Examples
    --------
    >>> import tempfile, xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step=0.02, rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gas.to_netcdf(f"{folder}/gas.nc")
    ...     convert(f"{folder}/gas.nc", f"{folder}/copy.nc")
    ...     xbp.md.open_trajectory(f"{folder}/copy.nc").sizes["time"]
    4
    """
    with new_folder(target, overwrite=overwrite, replaceable=_why_kept) as (
        temporary,
        where,
    ):
        for given in (source, options.get("topology")):
            _require_another(given, where)
        traj = open_trajectory(source, **options)
        bar: Any = contextlib.nullcontext()
        if progress:
            bar = require("tqdm.dask", "it shows the progress", "md").TqdmCallback(
                desc=f"{Path(source).name} → {where.name}"
            )
        with bar, traj:
            _write(traj, temporary)


def _why_kept(folder: Path) -> str | None:
    """Return why a folder must not be replaced; None for a trajectory's Zarr store."""
    if reason := why_no_store(folder):
        return reason
    with xr.open_zarr(folder, chunks=None) as ds:
        if "position" in ds and "time" in ds.dims:
            return None
    return "it is a Zarr store without a trajectory"


def _require_another(source: str | os.PathLike[str] | None, target: Path) -> None:
    """Refuse to replace what is read, or to write into it."""
    if source is None:
        return
    read = Path(source).resolve()
    same = target.exists() and read.exists() and target.samefile(read)
    require_file(
        not same and read not in target.parents and target not in read.parents,
        target,
        f"its source {read} would be overwritten while it is read",
        fix="choose another name",
    )


def _write(traj: xr.Dataset, path: Path) -> None:
    for variable in traj.variables.values():
        # What it was read with (chunks, packing) is of the old file.
        variable.encoding = {}
    moving = [name for name in ("position", "velocity") if name in traj]
    single = traj.assign({name: traj[name].astype(np.float32) for name in moving})
    zarr = path.suffix == ".zarr"
    packed: dict[str, Any] = {"zlib": True, "complevel": 4, "shuffle": True}
    packed = {} if zarr else {**packed, "_FillValue": None}
    encoding: dict[Any, dict[str, Any]] = {}
    for name in moving:
        chunks = tuple(sizes[0] for sizes in traj[name].chunks or ())
        encoding[name] = {**packed, "chunks" if zarr else "chunksizes": chunks}
    if zarr:
        require("zarr", "it writes Zarr folders", "md")
        # Text has a specification in Zarr's second format, not yet in the third.
        single.to_zarr(path, zarr_format=2, encoding=encoding)
    else:
        encoding |= {name: {"_FillValue": None} for name in single.coords}
        single.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
