"""Trajectories of every kind, opened lazily in one data model."""

from __future__ import annotations

import atexit
import gzip
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.errors import FileFormatError, UnitsError, XbpError
from xbp.io.hdf5 import HDF5_SIGNATURE
from xbp.md.assemble import CHUNK_BYTES, assemble, masses_of
from xbp.md.foreign import open_extxyz, open_lammps_data, open_with_ase, open_with_mdanalysis
from xbp.md.labels import positive
from xbp.md.lj import LennardJones
from xbp.md.open_dump import open_dump
from xbp.md.trajectory import read_trajectory
from xbp.optional import require
from xbp.signal import extend_history

__all__ = ["open_trajectory"]

DumpUnits = Literal["real", "metal", "lj"]
#: A plane is flat to the rounding of single precision, relative to its width.
_FLAT = 1e-6


def open_trajectory(
    path: str | os.PathLike[str],
    *,
    units: DumpUnits | None = None,
    elements: Mapping[int, str] | Sequence[str] | None = None,
    masses: Mapping[str, Any] | None = None,
    timestep: Any = None,
    time_between_frames: Any = None,
    lj: LennardJones | Literal["argon"] | None = None,
    topology: str | os.PathLike[str] | None = None,
    temperature: Any = None,
    frames: slice | None = None,
    chunk_frames: int | None = None,
    truncated: Literal["error", "drop"] = "error",
) -> xr.Dataset:
    """Open a trajectory lazily: what is computed reads the frames it needs.

    Parameters
    ----------
    path : path-like
        LAMMPS text dump (also ``.gz``, which is unpacked into a temporary file) or data file, extended XYZ, netCDF
        or Zarr as `convert` writes them; with `topology`, whatever MDAnalysis reads; otherwise what
        ASE reads. Told by content where it can be.
    units : {"real", "metal", "lj"}, optional
        Units of a LAMMPS dump or data file, which do not say them (unless by ``dump_modify units yes``).
    elements : mapping of type to symbol, or sequence of symbols of types 1, 2, …, optional
        Where the file has types and no elements.
    masses : mapping of symbol to scalar with units, optional
        Masses (bare: u), where they are not those of the elements.
    timestep : scalar with units, optional
        Of the MD (bare: ps; in ``lj`` units: τ): a dump numbers steps, unless it was written with
        ``dump_modify time yes``.
    time_between_frames : scalar with units, optional
        For files that tell no time (bare: ps).
    lj : "argon" or `LennardJones`, optional
        What σ, ε and m stand for, with ``units="lj"``. Masses are m, or by the column ``mass``.
    topology : path-like, optional
        Topology for MDAnalysis.
    temperature : scalar with units, optional
        Of the sample (bare: K).
    frames : slice, optional
        Which frames to open.
    chunk_frames : int, optional
        Frames read at a time; by default as many as fit in 8 MiB.
    truncated : {"error", "drop"}
        What to do about a last frame that is cut short.

    Returns
    -------
    xarray.Dataset
        ``position`` (angstrom, from the cell's origin; unwrapped where the file tells how), ``velocity``
        (angstrom/ps) if written, over time, atom and xyz, as dask arrays; ``mass``, ``element``, and
        ``cell`` with the cell vectors in rows, over time where it changes. Atoms are sorted by id.
        ``attrs["periodic"]`` has a digit for each cell vector, "1" where the box repeats, where the file says it;
        ``attrs["dimension"]`` is 2 where all atoms share one z in the first and the last frame.
        Frames may be irregular in time; what needs one time step says so.

    Raises
    ------
    FileFormatError
        If there is no such file, no format takes it, it is cut short or damaged (on computing, with
        the frame named), or its atoms or columns change.
    QuantityError, UnitsError
        If elements, units or times are neither in the file nor given.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = '''ITEM: TIMESTEP
    ... 0
    ... ITEM: NUMBER OF ATOMS
    ... 2
    ... ITEM: BOX BOUNDS pp pp pp
    ... 0 10
    ... 0 10
    ... 0 10
    ... ITEM: ATOMS id type xs ys zs
    ... 2 1 0.5 0.5 0.5
    ... 1 2 0.1 0.2 0.3
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "cu.lammpstrj")
    ...     _ = path.write_text(text)
    ...     traj = open_trajectory(path, units="metal", elements=["Cu", "Zr"], timestep="2 fs").compute()
    >>> traj.element.values.tolist(), traj.position.values[0, 0].tolist()
    (['Zr', 'Cu'], [1.0, 2.0, 3.0])
    """
    where = Path(path)
    if not where.exists():
        raise FileFormatError(
            f"there is no file {where}", reason="it does not exist", fix="check the spelling and the working directory"
        )
    if truncated not in ("error", "drop"):
        raise FileFormatError(
            f"truncated={truncated!r} is not known", reason="it is one of two", fix="'error' or 'drop'"
        )
    head = b"" if where.is_dir() else _head(where)
    if where.is_dir() or head.startswith((HDF5_SIGNATURE, b"CDF")):
        ds = _open_labelled(where, chunk_frames)
        ds = ds.isel(time=frames) if frames is not None else ds
        history = ds.attrs.get("history")
    else:
        if head.startswith(b"\x1f\x8b"):
            where, head = _unpacked(where, keep_part=truncated == "drop")
        history = None
        if head.startswith(b"ITEM: "):
            ds = open_dump(
                where, units, elements, masses, timestep, lj, frames, chunk_frames, drop_truncated=truncated == "drop"
            )
        else:
            ds = _open_foreign(
                where, head, topology, units, elements, masses, time_between_frames, frames, chunk_frames
            )
    if temperature is not None:
        ds = ds.assign_coords(temperature=positive(temperature, "K", "temperature"))
        ds.temperature.attrs = {"units": "K", "long_name": "temperature"}
    arguments = {
        "file": Path(path).name, "units": units, "elements": _plain(elements), "masses": _plain(masses),
        "timestep": timestep, "time_between_frames": time_between_frames, "lj": lj, "frames": frames,
    }  # fmt: skip
    ds.attrs["history"] = extend_history(history, "open_trajectory", arguments)
    read_trajectory(ds)
    if "dimension" not in ds.attrs and _is_plane(ds):
        ds.attrs["dimension"] = 2
    return ds


def _is_plane(ds: xr.Dataset) -> bool:
    """Tell whether all atoms of the first and the last frame share one z, and spread in x and y."""

    def flat(frame: int) -> bool:
        spread = np.ptp(np.asarray(ds.position.isel(time=frame).transpose("atom", "xyz").values, dtype=float), axis=0)
        return bool(spread[2] <= _FLAT * spread[:2].min() and spread[:2].min() > 0)

    return flat(0) and flat(-1)


def _plain(given: Any) -> Any:
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else given


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4096)


def _unpacked(path: Path, *, keep_part: bool) -> tuple[Path, bytes]:
    """Unpack a gzip file, whose frames cannot be found without reading all before them."""
    handle, name = tempfile.mkstemp(suffix=".lammpstrj", prefix="xbp-")
    atexit.register(Path(name).unlink, missing_ok=True)
    try:
        with os.fdopen(handle, "wb") as target, gzip.open(path, "rb") as source:
            shutil.copyfileobj(source, target, 2**20)
    except (EOFError, OSError) as error:
        # What came out before the end of a cut file is good.
        if not (keep_part and isinstance(error, EOFError)):
            raise FileFormatError(
                f"{path} cannot be unpacked",
                reason=str(error),
                fix="it may be cut short: truncated='drop', or copy it again",
            ) from error
    return Path(name), _head(Path(name))


def _open_labelled(path: Path, chunk_frames: int | None) -> xr.Dataset:
    """Open netCDF or Zarr in the data model, in the chunks it is stored in."""
    try:
        if path.is_dir():
            require("zarr", "it reads Zarr folders", "md")
            ds = xr.open_zarr(path, chunks={})
        else:
            ds = xr.open_dataset(path, engine="netcdf4", chunks={})
    except XbpError:
        raise
    except Exception as error:  # netCDF4, HDF5, zarr and xarray raise a dozen kinds
        raise FileFormatError(
            f"{path} cannot be read", reason=f"{type(error).__name__}: {error}", fix="copy it again from its source"
        ) from error
    if "position" not in ds or "time" not in ds.dims:
        raise FileFormatError(
            f"{path} holds no trajectory",
            reason=f"its variables are {', '.join(map(str, ds.variables)) or 'none'}",
            fix="xbp.open_dataset(path) opens spectra",
        )
    frames = chunk_frames or max(1, CHUNK_BYTES // max(1, ds.sizes.get("atom", 1) * 48))
    stored = ds.position.encoding.get("chunksizes") or (1,)
    # Whole chunks of the file, or they would be unpacked again for each of ours.
    frames = max(1, frames // stored[0]) * stored[0]
    chunked: xr.Dataset = ds.chunk({dim: frames if dim == "time" else -1 for dim in ds.position.dims})
    return chunked


def _open_foreign(
    path: Path,
    head: bytes,
    topology: Any,
    units: str | None,
    elements: Any,
    masses: Mapping[str, Any] | None,
    time_between_frames: Any,
    frames: slice | None,
    chunk_frames: int | None,
) -> xr.Dataset:
    first, _, rest = head.partition(b"\n")
    if topology is not None:
        found = open_with_mdanalysis(path, Path(topology), frames)
    elif first.strip().isdigit() and b"Lattice=" in rest.partition(b"\n")[0]:
        found = open_extxyz(path, frames)
    elif b"xlo xhi" in head and b"atom types" in head:
        found = open_lammps_data(path, units, elements, frames)
    else:
        found = open_with_ase(path, frames)
    element = found.element
    if isinstance(elements, Mapping):
        element = np.array([elements.get(e, e) for e in element.tolist()], dtype=str)
    n = len(found.lazy.numbers)
    if found.time is not None and time_between_frames is None:
        time = found.time
    elif time_between_frames is not None or n == 1:
        step = 0.0 if n == 1 else positive(time_between_frames, "ps", "time_between_frames")
        time = np.arange(n) * step
    else:
        raise UnitsError(
            f"{path} does not tell the time between its frames",
            reason="spectra need it",
            fix="time_between_frames='20 fs'",
        )
    mass = masses_of(element, masses, found.mass)
    return assemble(found.lazy, time, found.cells, element, mass, chunk_frames, periodic=found.periodic)
