"""Trajectories of every kind, opened lazily in one data model."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import netCDF4
import numpy as np
import xarray as xr

from xbp.core.errors import TemperatureError, XbpError
from xbp.core.guards import (
    choose,
    require_agreement,
    require_positive,
    require_whole,
)
from xbp.core.optional import require
from xbp.core.signal import extend_history
from xbp.core.units import to_kelvin
from xbp.io import netcdf
from xbp.io.hdf5 import HDF5_SIGNATURE
from xbp.io.reader import to_path
from xbp.md.dlpoly import is_history, open_history
from xbp.md.dump import is_dump, open_dump
from xbp.md.extxyz import is_extxyz, open_extxyz
from xbp.md.foreign import open_with_ase, open_with_mdanalysis
from xbp.md.frames import Found, assemble, masses_of, require_motion
from xbp.md.given import Given, LennardJones, Units
from xbp.md.lammps_data import is_data_file, open_data_file
from xbp.md.source import Source, open_source, reading, release, require_file
from xbp.md.trajectory import read_trajectory
from xbp.md.xdatcar import is_xdatcar, open_xdatcar

__all__ = ["open_trajectory"]

Reader = Callable[[Source, Given], Found]

_COMMON = ("elements", "masses", "time_between_frames")
_LAMMPS = (*_COMMON, "units", "lj", "timestep")
#: Text formats with readers of their own: name, how a file begins, its reader, and the
#: arguments that apply. Add a format here.
FORMATS: tuple[tuple[str, Callable[[bytes], bool], Reader, tuple[str, ...]], ...] = (
    ("a LAMMPS dump", is_dump, open_dump, _LAMMPS),
    ("extended XYZ", is_extxyz, open_extxyz, _LAMMPS),
    (
        "a LAMMPS data file, one configuration",
        is_data_file,
        open_data_file,
        ("elements", "masses", "units", "lj"),
    ),
    (
        "a HISTORY of DL_POLY, in Å, ps and Å/ps",
        is_history,
        open_history,
        (*_COMMON, "timestep"),
    ),
    (
        "an XDATCAR of VASP, in Å, whose frame numbers are not MD steps",
        is_xdatcar,
        open_xdatcar,
        _COMMON,
    ),
)


def open_trajectory(
    path: str | os.PathLike[str],
    *,
    units: Units | None = None,
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
    hottest: Any = "10000 K",
) -> xr.Dataset:
    """Open a trajectory lazily: what is computed reads the frames it needs.

    Parameters
    ----------
    path : path-like
        LAMMPS text dump or data file, extended XYZ, DL_POLY's HISTORY, VASP's XDATCAR
        (each also ``.gz``, ``.bz2``, ``.xz`` and, where Python can unpack it, ``.zst``,
        read in place); netCDF or Zarr as `convert` writes them; with `topology`, what
        MDAnalysis reads; otherwise what ASE reads. Recognised by content where
        possible. Arguments below that do not apply to the format, or contradict the
        file, are refused.
    units : {"real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"}, optional
        LAMMPS units of a dump or data file, which do not state them (except with
        ``dump_modify units yes``), of velocities and times in extended XYZ, or of a
        DCD.
    elements : mapping of type or name to symbol, or sequence of symbols of types 1, 2,
    …, optional
        Needed if the file has types, or names that are not elements.
    masses : mapping of symbol to scalar with units, optional
        Masses (bare: u), where they are not those of the elements.
    timestep : scalar with units, optional
        Of the MD (bare: ps; in ``lj`` units: τ): a dump numbers steps, unless it was
        written with ``dump_modify time yes``.
    time_between_frames : scalar with units, optional
        For files that tell no time (bare: ps).
    lj : "argon" or `LennardJones`, optional
        What σ, ε and m stand for, with ``units="lj"``. Masses are m, or by the column
        ``mass``.
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
    hottest : scalar with units
        Highest plausible kinetic temperature (bare: K). If velocities, or displacements
        between two frames, exceed it, units or times are wrong, or the frames are a set
        of configurations.

    Returns
    -------
    xarray.Dataset
        ``position`` (angstrom, from the cell's origin; unwrapped where the file tells
        how), ``velocity`` (angstrom/ps) if written, over time, atom and xyz, as dask
        arrays; ``mass``, ``element``, and ``cell`` with the cell vectors in rows, over
        time where it changes. Atoms are sorted by id. ``attrs["periodic"]`` has a digit
        for each cell vector, "1" where the box is periodic, if the file states it;
        ``attrs["dimension"]`` is 2 if all atoms have the same z in the first and the
        last frame. Frames may be irregular in time; operations that need a constant
        time step refuse them.

    Raises
    ------
    FileFormatError
        If there is no such file, no format takes it, it is cut short or damaged (on
        computing, with the frame named), or its atoms or columns change.
    QuantityError, UnitsError
        If elements, units or times are missing, contradict the file, or are implausible
        for its motion; if `frames` is no slice, `chunk_frames` no positive integer, or
        `masses` no mapping.

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
    ...     options = {"units": "metal", "elements": ["Cu", "Zr"], "timestep": "2 fs"}
    ...     traj = open_trajectory(path, **options).compute()
    >>> traj.element.values.tolist(), traj.position.values[0, 0].tolist()
    (['Zr', 'Cu'], [1.0, 2.0, 3.0])
    """
    where = to_path(path)
    choose(truncated, ("error", "drop"), "truncated")
    if chunk_frames is not None:
        chunk_frames = require_whole(chunk_frames, "chunk_frames")
    kelvin = (
        None
        if temperature is None
        else require_positive(temperature, "temperature", "K")
    )
    limit = require_positive(hottest, "hottest", "K")
    require_file(
        where.exists(),
        where,
        "there is no such file",
        fix="check the spelling and the working directory",
    )
    given = Given(
        where,
        frames,
        units,
        elements,
        masses,
        timestep,
        time_between_frames,
        lj,
        None if topology is None else to_path(topology),
    )
    source = Source(where)
    if not where.is_dir():
        source = open_source(where, keep_part=truncated == "drop")
    head = b"" if where.is_dir() else source.read(0, 4096)
    ends: list[np.ndarray] | None = None
    netcdf3 = head.startswith(b"CDF") and topology is None
    if where.is_dir() or netcdf3 or head.startswith(HDF5_SIGNATURE):
        given.allow("a trajectory with its own times, units and elements")
        with reading(where):
            ds = _open_labelled(where, chunk_frames)
            ds = ds if frames is None else ds.isel(time=frames)
            require_file(ds.sizes["time"] > 0, where, f"frames={frames} selects none")
        history = ds.attrs.get("history")
    else:
        history = None
        with reading(where):
            found = _reader(source, head, given)(source, given)
        mass = masses_of(
            where,
            found.element,
            masses,
            found.mass,
            tolerance=np.inf if found.reduced else 0.25,
        )
        ends = require_motion(where, found, mass, hottest=limit)
        ds = assemble(found, mass, chunk_frames)
        if source.packing:
            ds.set_close(partial(release, source))
    if kelvin is not None:
        if "temperature" in ds.coords and not ds.temperature.ndim:
            own = ds.temperature.attrs.get("units", "K")
            carried = float(to_kelvin(float(ds.temperature), own, name="temperature"))
            require_agreement(
                kelvin,
                carried,
                "temperature",
                "K",
                source=str(where),
                error=TemperatureError,
            )
        ds = ds.assign_coords(temperature=kelvin)
        ds.temperature.attrs = {"units": "K", "long_name": "temperature"}
    arguments = {
        "file": where.name,
        "units": units,
        "elements": _plain(elements),
        "masses": _plain(masses),
        "timestep": timestep,
        "time_between_frames": time_between_frames,
        "lj": lj,
        "frames": frames,
    }
    ds.attrs["history"] = extend_history(history, "open_trajectory", arguments)
    try:
        read_trajectory(ds)
    except XbpError as error:
        raise type(error)(
            f"{path}: {error.summary}", reason=error.reason, fix=error.fix
        ) from None
    if ends is None:
        with reading(where):
            last = ds.position.transpose("time", "atom", "xyz").isel(time=[0, -1])
            ends = [] if "dimension" in ds.attrs else list(last.values)
    if ends and all(map(_is_plane, ends)):
        ds.attrs["dimension"] = 2
    return ds


def _is_plane(position: np.ndarray, flat: float = 1e-6) -> bool:
    """Return whether all atoms have one z, to single precision, and spread in x, y."""
    spread = np.ptp(np.asarray(position, dtype=float), axis=0)
    return bool(spread[2] <= flat * spread[:2].min() and spread[:2].min() > 0)


def _plain(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items()}
    return given


def _reader(source: Source, head: bytes, given: Given) -> Reader:
    """Return the reader for a file, recognised by content where possible."""
    require_file(bool(head.strip()), source.path, "it is empty")
    for name, is_kind, reader, arguments in FORMATS:
        if is_kind(head):
            given.allow(name, *arguments)
            return reader
    require_file(
        not source.packing,
        source.path,
        f"a trajectory format that xbp does not read compressed ({source.packing})",
        fix="unpack it",
    )
    return open_with_ase if given.topology is None else open_with_mdanalysis


def _open_labelled(path: Path, chunk_frames: int | None) -> xr.Dataset:
    """Open netCDF or Zarr in the data model, in whole chunks of the file."""
    _require_stored(path)
    if path.is_dir():
        require("zarr", "it reads Zarr folders", "md")
        ds = xr.open_zarr(path, chunks={})
    else:
        reason = netcdf.decline(path)
        require_file(reason is None, path, f"it cannot be read: {reason}")
        ds = xr.open_dataset(path, engine="netcdf4", chunks={})
    netcdf.require_readable(ds)
    require_file(
        "position" in ds and "time" in ds.dims,
        path,
        f"not a trajectory; its variables are {', '.join(map(str, ds.variables))}",
        fix="xbp.open_dataset(path) opens spectra",
    )
    per_frame = max(1, ds.sizes.get("atom", 1) * 48)
    stored = (ds.position.encoding.get("chunksizes") or (1,))[0]
    # Parts of chunks would be unpacked again for each of ours.
    frames = max(1, (chunk_frames or 8 * 2**20 // per_frame) // stored) * stored
    chunked: xr.Dataset = ds.chunk(
        {dim: frames if dim == "time" else -1 for dim in ds.position.dims}
    )
    return chunked


def _require_stored(path: Path, *, expansion: float = 1100.0) -> None:
    """Refuse a file whose arrays are too large for its size.

    Deflate compresses by 1032 at most.
    """
    size = path.stat().st_size
    if path.is_dir():
        zarr = require("zarr", "it reads Zarr folders", "md")
        size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
        shapes = {
            name: (array.shape, array.dtype.itemsize)
            for name, array in zarr.open_group(path, mode="r").arrays()
        }
    elif h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            shapes = {
                name: (array.shape or (), array.dtype.itemsize)
                for name, array in file.items()
                if isinstance(array, h5py.Dataset)
            }
    else:
        with netCDF4.Dataset(path) as file:
            shapes = {
                name: (array.shape, np.dtype(array.dtype).itemsize)
                for name, array in file.variables.items()
            }
    for name, (shape, itemsize) in shapes.items():
        declared = math.prod(int(length) for length in shape) * itemsize
        require_file(
            declared <= expansion * size + 2**26,
            path,
            f"'{name}' has the shape {shape}, {declared:.3g} bytes in a file of {size}",
        )
