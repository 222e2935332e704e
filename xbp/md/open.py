"""Trajectories of every kind: opened lazily in one data model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of, temperature_coordinate
from xbp.core.errors import TemperatureError, XbpError, require
from xbp.core.guards import (
    choose,
    require_agreement,
    require_kind,
    require_positive,
    require_whole,
)
from xbp.core.signal import extend_history
from xbp.io import netcdf
from xbp.io.hdf5 import HDF5_SIGNATURE, contents
from xbp.io.publish import several, to_path
from xbp.io.zarr_store import require_stored
from xbp.md.amber import is_amber, open_amber
from xbp.md.block import ATOM_BYTES
from xbp.md.dlpoly_vasp import (
    is_history,
    is_xdatcar,
    open_history,
    open_xdatcar,
)
from xbp.md.extxyz import is_extxyz, open_extxyz
from xbp.md.foreign import open_with_ase, open_with_mdanalysis, require_plain
from xbp.md.found import Found, assemble, masses_of, require_motion, require_room
from xbp.md.given import Given
from xbp.md.gsd_tng import is_gsd, is_tng, open_gsd, open_tng
from xbp.md.h5md import is_h5md, is_mdt, open_h5md, open_mdt
from xbp.md.lammps_data import is_data_file, open_data_file
from xbp.md.lammps_text import is_dump, open_dump
from xbp.md.objects import reader_of
from xbp.md.parts import joined
from xbp.md.plane import Dimension, Frame, dimension_attribute
from xbp.md.source import Source, open_source, reading, release, require_file
from xbp.md.styles import LennardJones, Units
from xbp.md.trajectory import read_trajectory
from xbp.md.xyz import is_xyz, open_xyz

__all__ = ["open_trajectory"]

Reader = Callable[[Source, Given], Found]

_COMMON = ("elements", "masses", "time_between_frames")
_LAMMPS = (*_COMMON, "units", "lj", "timestep")


@dataclass(frozen=True)
class Kind:
    """A format with a reader of its own.

    Attributes
    ----------
    name : str
        As the argument `format`.
    text : str
        What a file of it is, for messages.
    is_kind : callable
        Whether a file is of it, by its first bytes.
    reader : callable
    arguments : tuple of str, or None
        That apply; None where the reader checks them itself.
    """

    name: str
    text: str
    is_kind: Callable[[Source, bytes], bool]
    reader: Reader
    arguments: tuple[str, ...] | None = None


def _by_head(is_kind: Callable[[bytes], bool]) -> Callable[[Source, bytes], bool]:
    return lambda _, head: is_kind(head)


#: Add a format here: the first that a file is of reads it.
_FOLDER = "name a file in it", "is a folder, and not a Zarr store"
FORMATS: tuple[Kind, ...] = (
    Kind("lammps-dump", "a LAMMPS dump", _by_head(is_dump), open_dump, _LAMMPS),
    Kind("extxyz", "extended XYZ", _by_head(is_extxyz), open_extxyz, _LAMMPS),
    Kind("xyz", "plain XYZ", _by_head(is_xyz), open_xyz),
    Kind(
        "lammps-data",
        "a LAMMPS data file, one configuration",
        _by_head(is_data_file),
        open_data_file,
        ("elements", "masses", "units", "lj", "atom_style"),
    ),
    Kind(
        "dl-poly",
        "a HISTORY of DL_POLY, in Å, ps and Å/ps",
        _by_head(is_history),
        open_history,
        (*_COMMON, "timestep", "cell"),
    ),
    Kind(
        "xdatcar",
        "an XDATCAR of VASP, in Å, whose frame numbers are not MD steps",
        _by_head(is_xdatcar),
        open_xdatcar,
        _COMMON,
    ),
    Kind("amber-netcdf", "netCDF of AMBER, LAMMPS or ASE", is_amber, open_amber),
    Kind("gsd", "GSD of HOOMD-blue", _by_head(is_gsd), open_gsd),
    Kind("tng", "TNG of GROMACS", _by_head(is_tng), open_tng),
    Kind("h5md", "H5MD", is_h5md, open_h5md),
    Kind("mdanse", "a trajectory of MDANSE", is_mdt, open_mdt),
)


def open_trajectory(
    path: Any,
    *,
    units: Units | None = None,
    elements: Mapping[Any, str] | Sequence[str] | None = None,
    masses: Mapping[str, Any] | None = None,
    timestep: Any = None,
    time_between_frames: Any = None,
    lj: LennardJones | Literal["argon"] | None = None,
    topology: str | os.PathLike[str] | None = None,
    temperature: Any = None,
    dimension: Dimension | None = None,
    frames: slice | None = None,
    chunk_frames: int | None = None,
    truncated: Literal["error", "drop"] = "error",
    hottest: Any = "10000 K",
    densest: Any = "1.7 angstrom^3",
    cell: Any = None,
    velocities: str | os.PathLike[str] | Literal[False] | None = None,
    atom_style: str | None = None,
    group: str | None = None,
    format: str | None = None,
    reader_options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Open a trajectory lazily: what is computed reads the frames it needs.

    Parameters
    ----------
    path : path-like, list of them, pattern, or objects
        LAMMPS text dump or data file, extended or plain XYZ (CP2K), DL_POLY's HISTORY,
        VASP's XDATCAR (each also ``.gz``, ``.bz2``, ``.xz`` and, where Python can
        unpack it, ``.zst``, read in place); netCDF of AMBER, LAMMPS and ASE, H5MD,
        MDANSE's ``.mdt``, GSD and TNG; netCDF or Zarr as `convert` writes them; with
        `topology`, what MDAnalysis reads; otherwise what ASE reads. Recognised by
        content where possible. Or objects in memory: ASE's Atoms or a list of them, a
        Universe of MDAnalysis, a Trajectory of dynasor. Several files, as a list or a
        pattern such as "run*.dump", are one run and its restarts: joined by their
        times, each from its first frame on. Arguments below that do not apply to the
        format, or contradict the file, are refused.
    units : {"real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"}, optional
        LAMMPS units of a dump or data file, which do not state them (except with
        ``dump_modify units yes``), of velocities and times in extended XYZ, or of a
        DCD.
    elements : mapping of type or name to symbol, or sequence of symbols of types 1, 2,
    …, optional
        Needed if the file has types, or names that are not elements. A "virtual" site,
        such as M of TIP4P water, is left out: ``{"OW": "O", "MW": "virtual"}``.
    masses : mapping of symbol to scalar with units, optional
        Masses (bare: u), where they are not those of the elements.
    timestep : scalar with units, optional
        Of the MD (bare: ps; in ``lj`` units: τ; above 0.1 with its units): a dump
        numbers steps, unless it was written with ``dump_modify time yes``.
    time_between_frames : scalar with units, optional
        For files that tell no time (bare: ps).
    lj : "argon" or `LennardJones`, optional
        The meaning of σ, ε and m, with ``units="lj"``. Masses are m, or by the column
        ``mass``.
    topology : path-like, optional
        A file with the names or types of the atoms, of which `elements` are: a LAMMPS
        data file, or whatever MDAnalysis reads, such as GRO, TPR, PSF and PDB. Elements
        that it does not state follow from its masses, or from names that are symbols.
    temperature : scalar with units, optional
        Of the sample (bare: K).
    dimension : {2, 3}, optional
        2 for a plane of atoms, all of one z; by default as the first and the last frame
        show. A plane that leaves z is an error, at any frame that is read.
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
    densest : scalar with units
        Least plausible volume per atom (bare: angstrom³; hydrogen at 200 GPa has 1.8),
        of the cell and of the space that the atoms take up. Below it the lengths have
        other units, such as σ of Lennard-Jones, or positions are something else.
    cell : scalar with units, three of them, or array_like, shape (3, 3), optional
        Side, sides or vectors (bare: Å), for files without a cell; beside CP2K's XYZ
        also its file of cells.
    velocities : path-like or False, optional
        CP2K's file of velocities beside plain XYZ, in bohr per atomic unit of time.
        False leaves velocities out, where they contradict the positions.
    atom_style : str, optional
        Of a LAMMPS data file that does not state it, such as "charge" or "hybrid
        sphere dipole".
    group : str, optional
        Group of particles, where H5MD has several.
    format : str, optional
        Of the file, instead of what its content shows: a name of `FORMATS` of this
        module, such as "lammps-dump" or "h5md", else what MDAnalysis (with `topology`)
        or ASE calls it.
    reader_options : mapping, optional
        Passed on to the reader of MDAnalysis or ASE.

    Returns
    -------
    xarray.Dataset
        ``position`` (angstrom, from the cell's origin; unwrapped where the file tells
        how), ``velocity`` (angstrom/ps) if written, over time, atom and xyz, as dask
        arrays; ``mass``, ``element``, and ``cell`` with the cell vectors in rows, over
        time where it changes; ``energy`` (eV) and ``force`` (eV/angstrom) of extended
        XYZ and ASE, and others by their names, such as ``mace_energy``. Atoms are
        sorted by id. ``attrs["periodic"]`` has a digit
        for each cell vector, "1" where the box is periodic, if the file states it;
        ``attrs["dimension"]`` is 2 if all atoms have the same z and no v_z in the first
        and the last frame, and differ in x and in y. Frames may be irregular in time;
        operations that need a constant time step refuse them.

    Raises
    ------
    FileFormatError
        If the file does not exist, no format takes it, it is cut short or damaged (on
        computing, with the frame named), or its atoms or columns change.
    QuantityError, UnitsError
        If elements, units or times are missing, contradict the file, or are implausible
        for its motion; if `frames` is not a slice, `chunk_frames` not positive, or
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
    options = {name: value for name, value in locals().items() if name != "path"}
    if len(parts := several(path) or []) > 1:
        return _open_parts(parts, options)
    memory = reader_of(path)
    where = to_path(path) if memory is None else Path(memory[0])
    choose(truncated, ("error", "drop"), "truncated")
    if chunk_frames is not None:
        chunk_frames = require_whole(chunk_frames, "chunk_frames")
    if temperature is not None:
        temperature = require_positive(temperature, "temperature", "K")
    limit = require_positive(hottest, "hottest", "K")
    least = require_positive(densest, "densest", "angstrom**3")
    there = memory is not None or where.exists()
    require_file(there, where, "it does not exist", fix="correct the path")
    arguments: dict[str, Any] = {
        "units": units,
        "elements": elements,
        "masses": masses,
        "timestep": timestep,
        "time_between_frames": time_between_frames,
        "lj": lj,
        "frames": frames,
        "cell": cell,
        "atom_style": atom_style,
        "group": group,
        "format": format,
        "reader_options": reader_options,
    }
    given = Given(
        where,
        **arguments,
        topology=topology and to_path(topology),
        velocities=to_path(velocities) if velocities else velocities,
    )
    source, head, history = Source(where), b"", None
    closing: list[Callable[[], None]] = []
    with _closed_on_error(closing):
        is_file = memory is None and not where.is_dir()
        if is_file:
            source = open_source(where, keep_part=truncated == "drop")
            closing += [partial(release, source)] if source.packing else []
            head = source.read(0, 4096)
        kind = _kind(source, head, given) if is_file else None
        binary = head.startswith((b"CDF", HDF5_SIGNATURE)) and not source.packing
        if memory is None and (not is_file or (binary and kind is None)):
            given.allow("a trajectory with its own times, units and elements")
            with reading(where, *_FOLDER[: 2 * where.is_dir()]):
                stored = _open_labelled(where, closing)
                chosen = slice(None) if frames is None else frames
                chunked = _chunked(stored, chunk_frames)
                closing.insert(0, chunked.close)
                ds = chunked.isel(time=chosen)
                require_file(
                    ds.sizes["time"] > 0, where, f"frames={frames} selects none"
                )
                ends = _ends(stored.isel(time=chosen))
                if dimension is None and "dimension" in ds.attrs:
                    dimension = dimension_of(ds)
            history = ds.attrs.get("history")
        else:
            with reading(where):
                reader = _reader(source, kind, given) if memory is None else memory[1]
                found = reader(source, given)
                found = found if velocities is not False else found.at_rest()
                found = found.without_sites()
            require_room(where, found, least)
            tolerance = np.inf if found.reduced else 0.25
            mass = masses_of(
                where, found.element, masses, found.mass, tolerance=tolerance
            )
            ends = require_motion(where, found, mass, hottest=limit)
            ds = assemble(found, mass, chunk_frames)
        ds.attrs |= dimension_attribute(ends, dimension)
        arguments["dimension"] = ds.attrs.get("dimension")
        recorded = {"file": where.name, **{k: _plain(v) for k, v in arguments.items()}}
        ds.attrs["history"] = extend_history(history, "open_trajectory", recorded)
        try:
            trajectory = read_trajectory(ds)
        except XbpError as error:
            raise type(error)(
                f"{path}: {error.summary}", reason=error.reason, fix=error.fix
            ) from None
        if temperature is not None:
            carried = ds.coords.get("temperature")
            if carried is not None and not carried.ndim:
                require_agreement(
                    temperature,
                    trajectory.temperature() or 0.0,
                    "temperature",
                    "K",
                    source=str(where),
                    error=TemperatureError,
                )
            ds = ds.assign_coords(temperature=temperature_coordinate(temperature))
    ds.set_close(partial(_close, closing))
    return ds


def _open_parts(paths: Sequence[Path], options: dict[str, Any]) -> xr.Dataset:
    """Open several files as one trajectory, of which `frames` are chosen."""
    given = Given(paths[0], frames=options.pop("frames"))
    found: dict[str, xr.Dataset] = {}
    closing: list[Callable[[], None]] = []
    with _closed_on_error(closing):
        for path in paths:
            found[str(path)] = open_trajectory(path, **options)
            closing.append(found[str(path)].close)
        ds = joined(found)
        read_trajectory(ds)
        given.choose(ds.sizes["time"])  # refused if it selects none
    ds = ds.isel(time=given.frames or slice(None))
    ds.set_close(partial(_close, closing))
    return ds


def _close(every: Sequence[Callable[[], None]]) -> None:
    for close in every:
        close()


@contextmanager
def _closed_on_error(every: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Close what was opened until then, if the rest fails."""
    try:
        yield
    except BaseException:
        _close(every)
        raise


def _ends(ds: xr.Dataset) -> list[Frame]:
    """Return the first and the last frame."""
    ends = ds[[n for n in ("position", "velocity") if n in ds]].isel(time=[0, -1])
    plain = ends.transpose("time", "atom", "xyz").compute()
    moving = "velocity" in plain
    return [
        (plain.position.values[i], plain.velocity.values[i] if moving else None)
        for i in (0, -1)
    ]


def _plain(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items()}
    return given


def _kind(source: Source, head: bytes, given: Given) -> Kind | None:
    """Return the format of a file, as given or by its content; None for libraries'."""
    require_plain(source.path, head)
    if given.format is not None:
        require_kind(given.format, str, "format", "a name such as 'lammps-dump'")
        return next((kind for kind in FORMATS if kind.name == given.format), None)
    return next((kind for kind in FORMATS if kind.is_kind(source, head)), None)


def _reader(source: Source, kind: Kind | None, given: Given) -> Reader:
    """Return the reader for a file; without one of our own that of a library."""
    if kind is not None:
        if kind.arguments is not None:
            given.allow(kind.text, *kind.arguments)
        return kind.reader
    require_file(
        not source.packing,
        source.path,
        f"a trajectory format that xbp does not read compressed ({source.packing})",
        fix="unpack it",
    )
    return open_with_ase if given.topology is None else open_with_mdanalysis


def _open_labelled(path: Path, closing: list[Callable[[], None]]) -> xr.Dataset:
    """Open netCDF or Zarr in the data model, of which nothing is kept in memory."""
    if path.is_dir():
        require_stored(path)
        ds = xr.open_dataset(path, engine="zarr", chunks=None, cache=False)
    else:
        reason = netcdf.decline(path)
        require_file(
            reason is None,
            path,
            f"not a trajectory that xbp reads: {reason}; {contents(path)}",
            fix="xbp.open_dataset(path) opens spectra",
        )
        ds = netcdf.open_lazily(path, cache=False)
    closing.append(ds.close)
    netcdf.require_readable(ds)
    require_file(
        "position" in ds and "time" in ds.dims,
        path,
        f"not a trajectory, but {', '.join([*map(str, ds.variables)][:6])}"
        f"{', …' * (len(ds.variables) > 6)}",
        fix="xbp.open_dataset(path) opens spectra",
    )
    return ds


def _chunked(ds: xr.Dataset, chunk_frames: int | None) -> xr.Dataset:
    """Return a trajectory in whole chunks of its file."""
    n_atoms = max(1, ds.sizes.get("atom", 1))
    most = 8 * 2**20 // ATOM_BYTES
    how = ds.position.encoding.get("chunksizes") or ds.position.encoding.get("chunks")
    stored = {"time": 1, "atom": n_atoms}
    if how:
        stored |= dict(zip(ds.position.dims, how, strict=True))
    # Parts of chunks would be unpacked again for each of ours.
    frames = (
        max(1, (chunk_frames or most // n_atoms) // stored["time"]) * stored["time"]
    )
    # All atoms in one, unless that is many times what is wanted.
    atoms = -1 if frames * n_atoms <= 4 * most else stored["atom"]
    wanted = {"time": frames, "atom": atoms}
    sizes = {dim: wanted.get(str(dim), -1) for dim in ds.position.dims}
    moving = [name for name in ("position", "velocity") if name in ds]
    variables = [ds[name].variable for name in moving]
    shapes = {(one.dims, one.shape[2:], one.dtype.kind) for one in variables}
    close = None
    if shapes == {(("time", "atom", "xyz"), (3,), "f")} and atoms == -1:
        lazy = require("xbp.md.lazy", "open trajectories lazily", "md")
        ds = lazy.lazy_variables(ds, moving, frames)
        close = ds.close
    # Cells, elements and masses are in memory, as from other files.
    each = {n: v for n, v in ds.variables.items() if {"time", "atom"} <= set(v.dims)}
    chunked: xr.Dataset = ds.drop_vars(each).load().assign(ds[[*each]].chunk(sizes))
    chunked = chunked[[*ds.variables]]
    chunked.set_close(close)
    return chunked
