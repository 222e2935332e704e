"""Trajectories that other packages read, as far as what they return was found to be what the files say."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from xbp.core.errors import FileFormatError, QuantityError, XbpError
from xbp.core.optional import require
from xbp.md.given import Given, frame_times, named
from xbp.md.lammps_data import data_topology, is_data_file
from xbp.md.lammps_units import style_of
from xbp.md.lazy import Found, LazyFrames, choose, require_same
from xbp.md.source import open_source

__all__ = ["open_with_ase", "open_with_mdanalysis"]

#: Formats of which ASE returns every frame, and velocities, as the file has them: each
#: has a test by hand.
_ASE_MOVING: Final = ("traj", "vasp", "vasp-xml", "vasp-out", "castep-md")
#: Formats that ASE reads wrongly, or whose elements it guesses from names, and what to
#: do.
_ASE_WRONG: Final = {
    "cp2k-dcd": "topology=, for a DCD has no elements",
    "dlp-history": "its first lines are not those of a HISTORY: copy it again",
    "dlp4": "write a HISTORY",
    "gromacs": "topology=, the same file, and elements= where names are no elements",
    "lammps-data": "its first lines are not those of a data file: write_data",
    "lammps-dump-binary": "binary2txt",
    "lammps-dump-text": "a dump begins with ITEM: TIMESTEP",
    "netcdftrajectory": "topology=",
    "proteindatabank": "topology=, the same file, and elements= where names are no "
    "elements",
    "vasp-xdatcar": "its first lines are not those of an XDATCAR of VASP 5: copy it "
    "again",
    "xyz": "write extended XYZ, with a Lattice",
}
#: MDAnalysis's formats that state times, in ps, and those that do not.
_MDA_TIMED: Final = ("XTC", "TRR", "NCDF")
_MDA_UNTIMED: Final = ("DCD", "TRJ", "MDCRD", "CRDBOX", "XYZ", "PDB", "GRO")
_opening: Final = threading.Lock()


def _unreadable(path: Path, package: str, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path} is no trajectory that xbp or {package} reads",
        reason=f"{type(error).__name__}: {error}",
        fix="LAMMPS text dumps, extended XYZ and netCDF are read by content; "
        "topology= hands a file to MDAnalysis",
    )


def open_with_ase(path: Path, given: Given, frames: slice | None) -> Found:
    """Open what ASE reads.

    It is held in memory, since ASE's formats have no common way to seek.
    """
    ase_io = require("ase.io", "it reads what xbp does not", "md")
    try:
        kind = str(
            require("ase.io.formats", "it reads what xbp does not", "md").filetype(
                str(path)
            )
        )
        if kind in _ASE_WRONG:
            raise FileFormatError(
                f"{path} is not read: ASE recognises it as {kind}",
                reason="ASE could return frames, units or elements that are not those "
                "in the file",
                fix=_ASE_WRONG[kind],
            )
        images = ase_io.read(path, index=":", format=kind)
    except XbpError:
        raise
    except Exception as error:  # ASE raises whatever its many readers raise
        raise _unreadable(path, "ASE", error) from error
    if not images or not len(images[0]):
        raise FileFormatError(
            f"{path} has no atoms",
            reason=f"ASE reads it as {kind} with {len(images)} frames",
        )
    given.allow(
        f"read by ASE as {kind}",
        "elements",
        "masses",
        "time_between_frames",
        why="in units that it states",
    )
    chosen = choose(len(images), frames, path)
    first = images[chosen[0]]
    labels = [
        key
        for i in chosen
        for key in images[i].info
        if key == "config_type" or "weight" in key
    ]
    if labels and len(chosen) > 1:
        raise FileFormatError(
            f"{path} is a set of configurations, not a trajectory: its frames have "
            f"{labels[0]} but no time",
            reason="spectra and displacements need consecutive frames of one "
            "simulation",
            fix="open one configuration at a time: frames=slice(0, 1)",
        )
    moving = bool(first.has("momenta"))
    if kind not in _ASE_MOVING and (len(images) > 1 or moving):
        raise FileFormatError(
            f"{path} is read by ASE as {kind}, of which only one frame without "
            "velocities is taken",
            reason="the other frames and velocities that ASE returns for this format "
            "are unverified",
            fix="write extended XYZ, or pass arrays: xbp.md.new_trajectory(position, "
            "time=…, cell=…)",
        )
    symbols = np.array(first.get_chemical_symbols(), dtype=str)
    if "X" in symbols.tolist() and "X" not in (given.elements or ()):
        raise QuantityError(
            f"the elements of {path} are not known",
            reason="ASE names some atoms X",
            fix="elements={'X': 'Cu'}",
        )
    # ASE's unit of time is Å √(u/eV).
    per_ps = 1000 * float(require("ase.units", "it reads what xbp does not", "md").fs)
    held = _Held(path, tuple(images), symbols, per_ps if moving else None)
    own = (
        [images[i].info.get("time") for i in chosen] if kind == "castep-md" else [None]
    )
    times = None if None in own else np.array(own, dtype=float) / per_ps
    time = frame_times(path, len(chosen), own=times, between=given.between)
    cells = np.stack([np.asarray(images[i].cell) for i in chosen])
    element = named(path, symbols, given.elements)
    periodic = "".join(str(int(side)) for side in first.pbc)
    lazy = LazyFrames(chosen, len(first), moving, held)
    return Found(lazy, cells, element, np.asarray(first.get_masses()), time, periodic)


@dataclass(frozen=True)
class _Held:
    path: Path
    images: tuple[Any, ...]
    symbols: np.ndarray
    per_ps: float | None

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        position = np.empty((len(numbers), self.symbols.size, 3))
        velocity = None if self.per_ps is None else np.empty_like(position)
        for place, number in enumerate(numbers):
            atoms, where = self.images[number], f"{self.path}, frame {number}"
            require_same(
                np.array(atoms.get_chemical_symbols(), dtype=str), self.symbols, where
            )
            position[place] = atoms.get_positions()
            if velocity is not None:
                if not atoms.has("momenta"):
                    raise FileFormatError(
                        f"{where} has no velocities",
                        reason="the first frame has",
                        fix="select frames with frames=",
                    )
                velocity[place] = atoms.get_velocities() * self.per_ps
        return position, velocity


def open_with_mdanalysis(path: Path, given: Given, frames: slice | None) -> Found:
    """Open what MDAnalysis reads; every task opens the files anew."""
    data = _data_topology(Path(given.topology))
    opened = _Universe(
        str(given.topology), str(path), None if data is None else data[0].size
    )
    try:
        universe = opened.universe()
        trajectory = universe.trajectory
        kind = str(np.atleast_1d(trajectory.format)[0]).upper()
        chosen = choose(len(trajectory), frames, path)
        times, cells = [], []
        for number in chosen if kind in (*_MDA_TIMED, *_MDA_UNTIMED) else ():
            step = trajectory[number]
            times.append(float(step.time) if kind in _MDA_TIMED else 0.0)
            cells.append(
                np.zeros((3, 3))
                if step.dimensions is None
                else step.triclinic_dimensions
            )
        moving = bool(trajectory[chosen[0]].has_velocities)
        if data is None:
            names = _names(universe.atoms)
            masses = (
                np.asarray(universe.atoms.masses, dtype=float)
                if hasattr(universe.atoms, "masses")
                else None
            )
        else:
            names, masses = data
        header = dict(trajectory._file.header) if kind == "DCD" else {}
    except XbpError:
        raise
    except Exception as error:  # MDAnalysis raises whatever its many readers raise
        raise _unreadable(path, "MDAnalysis", error) from error
    if not cells:
        raise FileFormatError(
            f"{path} is read by MDAnalysis as {kind}, a format that xbp does not "
            "accept",
            reason="times and units are verified only for "
            f"{', '.join((*_MDA_TIMED, *_MDA_UNTIMED))}",
            fix="pass arrays: xbp.md.new_trajectory(position, time=…, cell=…)",
        )
    own = (
        np.array(times)
        if kind in _MDA_TIMED and np.ptp(times) > 0 and opened.has_times()
        else None
    )
    length, marks, step_ = 1.0, None, None
    if kind == "DCD":
        length, marks, step_ = _dcd(path, given, header, np.array(chosen))
    else:
        given.allow("read by MDAnalysis as "
                    f"{kind}", "elements", "masses", "time_between_frames", "topology",
                    why="in units that it states")  # fmt: skip
    ask = "time_between_frames='20 fs'" + (
        "" if marks is None else ", or timestep='2 fs'"
    )
    time = frame_times(
        path,
        len(chosen),
        own=own,
        marks=marks,
        step=step_,
        between=given.between,
        ask=ask,
    )
    element = named(path, names, given.elements)
    lazy = LazyFrames(chosen, names.size, moving, _Scaled(opened, length))
    return Found(lazy, np.array(cells, dtype=float) * length, element, masses, time)


def _data_topology(path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return types and masses of a LAMMPS data file, which is read by xbp.

    None for another topology.
    """
    if not path.is_file():
        return None
    source = open_source(path)
    return data_topology(source) if is_data_file(source.read(0, 4096)) else None


def _names(atoms: Any) -> np.ndarray:
    """Return elements where the topology has them, else types or names.

    Nothing is guessed.
    """
    for attribute in ("elements", "types", "names"):
        if hasattr(atoms, attribute):
            found = np.asarray(getattr(atoms, attribute), dtype=str)
            if found.size and all(name.strip() for name in found.tolist()):
                return found
    raise QuantityError(
        "the topology does not name its atoms",
        reason="it has no elements, types or names",
    )


def _dcd(
    path: Path, given: Given, header: dict[str, Any], chosen: np.ndarray
) -> tuple[float, np.ndarray | None, float | None]:
    """Return what a DCD says: Å per unit of length, MD steps, and ps per step.

    Its header has the time between frames in units that programs do not agree on, and
    placeholders: it is not used. LAMMPS, CHARMM and NAMD count MD steps in it.
    """
    title = str(header.get("remarks", "")).upper()
    by_lammps = "LAMMPS" in title
    counted = by_lammps or "CHARMM" in title or "NAMD" in title
    given.allow("a DCD, whose header has no time in known "
                "units", "units", "elements", "masses", "time_between_frames",
                "lj", "topology", *(["timestep"] if counted else []))  # fmt: skip
    length, unit = 1.0, 1.0
    if by_lammps or given.units is not None or given.lj is not None:
        style = style_of(path, given.units, None, given.lj)
        length, unit = style.length, style.time if style.name == "lj" else 1.0
    marks = (
        header["istart"] + chosen * header["nsavc"]
        if counted and header.get("nsavc", 0) > 0
        else None
    )
    step = (
        given.timestep * unit
        if unit != 1.0 and isinstance(given.timestep, (int, float))
        else given.step
    )
    return length, marks, step


@dataclass(frozen=True)
class _Universe:
    topology: str
    path: str
    n_atoms: int | None

    def universe(self) -> Any:
        mda = require("MDAnalysis", "it reads what xbp does not", "md")
        # Tasks open files in several threads, and filters of warnings belong to the
        # process.
        with _opening, warnings.catch_warnings():
            # MDAnalysis announces a change of its own interface whenever it opens a
            # DCD.
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._open(mda)

    def _open(self, mda: Any) -> Any:
        if self.n_atoms is not None:
            return mda.Universe.empty(self.n_atoms).load_new(self.path)
        # Elements and masses that are not in the file are not guessed.
        return mda.Universe(self.topology, self.path, to_guess=())

    def has_times(self) -> bool:
        """Tell whether a netCDF file of AMBER has times.

        Without them they are counted in steps of 1 ps.
        """
        if not self.path.lower().endswith((".nc", ".ncdf")):
            return True
        netcdf = require("netCDF4", "it looks for the times", "md")
        with netcdf.Dataset(self.path) as file:
            return "time" in file.variables

    def read(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        trajectory = self.universe().trajectory
        position = np.empty((len(numbers), trajectory.n_atoms, 3))
        velocity = (
            np.empty_like(position) if trajectory[numbers[0]].has_velocities else None
        )
        for place, number in enumerate(numbers):
            step = trajectory[number]
            position[place] = step.positions
            if velocity is not None:
                velocity[place] = step.velocities
        return position, velocity


@dataclass(frozen=True)
class _Scaled:
    opened: _Universe
    length: float

    def __call__(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        position, velocity = self.opened.read(numbers)
        return position * self.length, velocity
