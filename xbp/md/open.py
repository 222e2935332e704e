"""Trajectories of every kind, opened lazily in one data model."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import netCDF4
import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, TemperatureError, XbpError
from xbp.core.optional import require
from xbp.core.signal import extend_history
from xbp.core.units import to_kelvin
from xbp.io import netcdf
from xbp.io.arguments import to_path
from xbp.io.hdf5 import HDF5_SIGNATURE
from xbp.md.assemble import CHUNK_BYTES, assemble, masses_of
from xbp.md.dlpoly import is_history, open_history
from xbp.md.extxyz import is_extxyz, open_extxyz
from xbp.md.foreign import open_with_ase, open_with_mdanalysis
from xbp.md.given import Given
from xbp.md.labels import positive
from xbp.md.lammps_data import is_data_file, open_data_file
from xbp.md.lammps_units import Units
from xbp.md.lazy import Found
from xbp.md.lj import LennardJones
from xbp.md.open_dump import open_dump
from xbp.md.plausible import require_motion
from xbp.md.source import Source, open_source, release
from xbp.md.trajectory import read_trajectory
from xbp.md.xdatcar import is_xdatcar, open_xdatcar

__all__ = ["open_trajectory"]

#: A plane is flat to the rounding of single precision, relative to its width.
_FLAT = 1e-6


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
    ...     traj = open_trajectory(path, units="metal", elements=["Cu", "Zr"], timestep="2 fs").compute()
    >>> traj.element.values.tolist(), traj.position.values[0, 0].tolist()
    (['Zr', 'Cu'], [1.0, 2.0, 3.0])
    """
    where = to_path(path)
    _require_arguments(frames, chunk_frames, elements, masses)
    if not where.exists():
        raise FileFormatError(
            f"there is no file {where}",
            reason="it does not exist",
            fix="check the spelling and the working directory",
        )
    if truncated not in ("error", "drop"):
        raise FileFormatError(
            f"truncated={truncated!r} is not known",
            reason="it is one of two",
            fix="'error' or 'drop'",
        )
    given = Given(
        where, units, elements, masses, timestep, time_between_frames, lj, topology
    )
    source = (
        None if where.is_dir() else open_source(where, keep_part=truncated == "drop")
    )
    head = b"" if source is None else source.read(0, 4096)
    labelled = source is None or head.startswith((HDF5_SIGNATURE, b"CDF"))
    if labelled and not (topology is not None and head.startswith(b"CDF")):
        ds = _open_labelled(where, chunk_frames)
        given.allow(
            "a trajectory with labels", why="with times, units and elements of its own"
        )
        ds = ds.isel(time=frames) if frames is not None else ds
        history = ds.attrs.get("history")
    else:
        assert source is not None
        history = None
        found = _open_text(source, head, given, frames, truncated)
        mass = masses_of(
            where,
            found.element,
            masses,
            found.mass,
            tolerance=np.inf if found.reduced else 0.25,
        )
        require_motion(where, found, mass, hottest=positive(hottest, "K", "hottest"))
        ds = assemble(found, mass, chunk_frames)
        if source.packing:
            ds.set_close(partial(release, source))
    if temperature is not None:
        _require_temperature(where, ds, temperature)
        ds = ds.assign_coords(temperature=positive(temperature, "K", "temperature"))
        ds.temperature.attrs = {"units": "K", "long_name": "temperature"}
    arguments = {
        "file": where.name, "units": units, "elements": _plain(elements), "masses": _plain(masses),
        "timestep": timestep, "time_between_frames": time_between_frames, "lj": lj, "frames": frames,
    }  # fmt: skip
    ds.attrs["history"] = extend_history(history, "open_trajectory", arguments)
    try:
        read_trajectory(ds)
    except XbpError as error:
        raise type(error)(
            f"{path}: {error.summary}", reason=error.reason, fix=error.fix
        ) from None
    if "dimension" not in ds.attrs and _is_plane(ds):
        ds.attrs["dimension"] = 2
    return ds


def _require_arguments(
    frames: Any, chunk_frames: Any, elements: Any, masses: Any
) -> None:
    """Refuse arguments of another kind than they must be."""
    if frames is not None:
        try:
            if not isinstance(frames, slice):
                raise TypeError("it must be a slice, or None for all frames")
            frames.indices(1)
        except (TypeError, ValueError) as error:
            raise QuantityError(
                f"frames={frames!r} selects no frames",
                reason=str(error),
                fix="frames=slice(0, 100, 2)",
            ) from None
    if chunk_frames is not None:
        try:
            count = operator.index(chunk_frames)
        except TypeError:
            count = 0
        if count < 1 or isinstance(chunk_frames, bool):
            raise QuantityError(
                f"chunk_frames={chunk_frames!r}",
                reason="it is a count",
                fix="give a positive integer, or leave it out",
            )
    if masses is not None and not isinstance(masses, Mapping):
        raise QuantityError(
            f"masses={masses!r}",
            reason="it must give a mass for each element",
            fix="masses={'Cu': '62.93 u'}",
        )
    if elements is not None and not isinstance(elements, Iterable):
        raise QuantityError(
            f"elements={elements!r}",
            reason="it must give an element for each type",
            fix="elements=['Zr', 'Cu']",
        )


def _require_temperature(path: Path, ds: xr.Dataset, temperature: Any) -> None:
    """Refuse a temperature that is not the one in the file."""
    if "temperature" not in ds.coords or ds.temperature.ndim:
        return
    own = float(
        to_kelvin(
            float(ds.temperature),
            ds.temperature.attrs.get("units", "K"),
            name="temperature",
        )
    )
    if not np.isclose(
        own, positive(temperature, "K", "temperature"), rtol=1e-6, atol=0
    ):
        raise TemperatureError(
            f"temperature={temperature} contradicts {path}",
            reason=f"the file gives {own:g} K",
            fix="leave temperature= out",
        )


def _is_plane(ds: xr.Dataset) -> bool:
    """Return whether all atoms of the first and the last frame have the same z, and spread in x and y."""

    def flat(frame: int) -> bool:
        spread = np.ptp(
            np.asarray(
                ds.position.isel(time=frame).transpose("atom", "xyz").values,
                dtype=float,
            ),
            axis=0,
        )
        return bool(spread[2] <= _FLAT * spread[:2].min() and spread[:2].min() > 0)

    return flat(0) and flat(-1)


def _plain(given: Any) -> Any:
    return (
        {str(k): str(v) for k, v in given.items()}
        if isinstance(given, Mapping)
        else given
    )


def _open_labelled(path: Path, chunk_frames: int | None) -> xr.Dataset:
    """Open netCDF or Zarr in the data model, in the chunks it is stored in."""
    try:
        _require_stored(path)
        if path.is_dir():
            require("zarr", "it reads Zarr folders", "md")
            ds = xr.open_zarr(path, chunks={})
        elif (reason := netcdf.decline(path)) is not None:
            raise FileFormatError(
                f"{path} cannot be read",
                reason=reason,
                fix="copy it again from its source",
            )
        else:
            ds = xr.open_dataset(path, engine="netcdf4", chunks={})
    except XbpError:
        raise
    except Exception as error:  # netCDF4, HDF5, zarr and xarray raise a dozen kinds
        raise FileFormatError(
            f"{path} cannot be read",
            reason=f"{type(error).__name__}: {error}",
            fix="copy it again from its source",
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
    chunked: xr.Dataset = ds.chunk(
        {dim: frames if dim == "time" else -1 for dim in ds.position.dims}
    )
    return chunked


def _require_stored(path: Path, *, expansion: float = 1100.0) -> None:
    """Refuse a file whose arrays are too large for its size.

    Deflate compresses by 1032 at most.
    """
    if path.is_dir():
        arrays = require("zarr", "it reads Zarr folders", "md").open_group(
            path, mode="r"
        )
        size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
        shapes = {
            name: (array.shape, array.dtype.itemsize) for name, array in arrays.arrays()
        }
    elif not h5py.is_hdf5(path):
        size = path.stat().st_size
        with netCDF4.Dataset(path) as file:
            shapes = {
                name: (array.shape, np.dtype(array.dtype).itemsize)
                for name, array in file.variables.items()
            }
    else:
        size = path.stat().st_size
        with h5py.File(path, "r") as file:
            shapes = {
                n: (a.shape or (), a.dtype.itemsize)
                for n, a in file.items()
                if isinstance(a, h5py.Dataset)
            }
    for name, (shape, itemsize) in shapes.items():
        declared = math.prod(int(length) for length in shape) * itemsize
        if declared > expansion * size + 2**26:
            raise FileFormatError(
                f"{path}: '{name}' has the shape {shape}",
                reason=f"this needs {declared:.3g} bytes, but the file has {size}",
                fix="it is damaged: copy it again",
            )


def _open_text(
    source: Source, head: bytes, given: Given, frames: slice | None, truncated: str
) -> Found:
    """Open a file with the reader for its format, recognised by content where possible."""
    if source.packing and not head.strip():
        raise FileFormatError(
            f"{source.path} is empty",
            reason=f"the {source.packing} archive contains no data",
        )
    if head.startswith(b"ITEM: "):
        return open_dump(source, given, frames, drop_truncated=truncated == "drop")
    for is_kind, reader in (
        (is_extxyz, open_extxyz),
        (is_data_file, open_data_file),
        (is_history, open_history),
        (is_xdatcar, open_xdatcar),
    ):
        if is_kind(head):
            return reader(source, given, frames)
    if source.packing:
        raise FileFormatError(
            f"{source.path} ({source.packing}) is not a trajectory format that xbp "
            "reads compressed",
            reason="xbp reads compressed LAMMPS dumps and data files, extended XYZ, "
            "HISTORY and XDATCAR",
            fix="unpack it",
        )
    return (open_with_ase if given.topology is None else open_with_mdanalysis)(
        source.path, given, frames
    )
