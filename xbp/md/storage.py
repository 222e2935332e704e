"""How trajectories are stored: in netCDF or Zarr, in compressed chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import require
from xbp.io.zarr_store import why_no_store

__all__ = ["chunk_sizes", "why_kept", "write_trajectory"]

#: Bytes of a chunk, and atoms in it where all of them would make a larger one: frames
#: are read one after the other for densities, and atoms for their own motion.
_BYTES, _ATOMS = 2**22, 2**15
#: Bytes that are copied before the next ones are read.
_BATCH = 2**28


def chunk_sizes(
    n_frames: int, n_atoms: int, read: int | None = None
) -> tuple[int, int, int]:
    """Return how many frames, atoms and axes a chunk has.

    Parameters
    ----------
    n_frames, n_atoms : int
    read : int, optional
        Frames that are read at a time, of which a chunk has a multiple.

    Examples
    --------
    >>> chunk_sizes(1000, 4000), chunk_sizes(1000, 1_000_000)
    ((87, 4000, 3), (10, 32768, 3))
    """
    atoms = n_atoms if n_atoms <= 4 * _ATOMS else _ATOMS
    frames = max(1, _BYTES // (12 * min(atoms, _ATOMS)))
    if read is not None:
        frames = max(1, frames // read) * read
    return min(frames, n_frames), atoms, 3


def write_trajectory(
    traj: xr.Dataset,
    path: Path,
    *,
    frames: int | None = None,
    done: int = 0,
    on_batch: Callable[[int], None] = lambda done: None,
) -> None:
    """Write a trajectory, positions and velocities in single precision.

    Parameters
    ----------
    traj : xarray.Dataset
    path : pathlib.Path
        A Zarr store if it ends in ``.zarr``, else netCDF-4.
    frames : int, optional
        In a chunk.
    done : int
        How many frames a Zarr store has already.
    on_batch : callable
        Called with the number of frames that a Zarr store has, after each batch.
    """
    for variable in traj.variables.values():
        # What it was read with (chunks, packing) is of the old file.
        variable.encoding = {}
    moving = [name for name in ("position", "velocity") if name in traj]
    n_frames, n_atoms = traj.sizes["time"], traj.sizes["atom"]
    read = traj.position.chunksizes.get("time", (None,))[0]
    chunks = chunk_sizes(n_frames, n_atoms, read)
    if frames is not None:
        chunks = (frames, *chunks[1:])
    single = traj.assign(
        {
            name: traj[name]
            .transpose("time", "atom", "xyz")
            .chunk({"time": chunks[0], "atom": -1, "xyz": -1})
            .astype(np.float32)
            for name in moving
        }
    )
    if path.suffix != ".zarr":
        packed = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}
        encoding: dict[Any, Any] = {n: {**packed, "_FillValue": None} for n in moving}
        encoding |= {name: {"_FillValue": None} for name in single.coords}
        single.to_netcdf(path, engine="netcdf4", format="NETCDF4", encoding=encoding)
        return
    require("zarr", "write Zarr stores", "md")
    codecs = require("numcodecs", "compress Zarr stores", "md")
    packer = codecs.Blosc("lz4", clevel=1, shuffle=codecs.Blosc.BITSHUFFLE)
    if not done:
        # Text has a specification in Zarr's second format, not yet in the third.
        how = {name: {"chunks": chunks, "compressors": (packer,)} for name in moving}
        single.to_zarr(path, mode="w", zarr_format=2, encoding=how, compute=False)
    step = max(1, _BATCH // (12 * n_atoms * chunks[0])) * chunks[0]
    plain = single[moving].drop_vars([str(name) for name in single.coords])
    for first in range(done, n_frames, step):
        part = slice(first, min(first + step, n_frames))
        plain.isel(time=part).to_zarr(path, region={"time": part})
        on_batch(part.stop)


def why_kept(folder: Path) -> str | None:
    """Return why a folder must not be replaced; None for a trajectory's Zarr store."""
    if reason := why_no_store(folder):
        return reason
    with xr.open_zarr(folder, chunks=None) as ds:
        if "position" in ds and "time" in ds.dims:
            return None
    return "it is a Zarr store without a trajectory"
