"""Trajectories that other packages read: extended XYZ and more through ASE, the rest through MDAnalysis."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.optional import require

__all__ = ["Foreign", "LazyFrames", "open_extxyz", "open_lammps_data", "open_with_ase", "open_with_mdanalysis"]


@dataclass(frozen=True)
class LazyFrames:
    """Frames that are read when they are computed.

    Attributes
    ----------
    numbers : range
        Frames of the file.
    n_atoms : int
    has_velocity : bool
    read : callable
        Some of the numbers → positions (Å) and velocities (Å/ps, or None), (n_frames, n_atoms, 3).
    """

    numbers: range
    n_atoms: int
    has_velocity: bool
    read: Callable[[range], tuple[np.ndarray, np.ndarray | None]]

    def arrays(self, chunk: int) -> tuple[Any, Any]:
        """Return positions and velocities as dask arrays; both of a chunk come from one reading."""
        dask = require("dask", "trajectories are opened lazily, as its arrays", "md")
        array = require("dask.array", "trajectories are opened lazily, as its arrays", "md")
        # One node of the graph holds the reader, whose index of the file can be large; the tasks refer to it.
        read, reader = dask.delayed(_read, pure=False), dask.delayed(self.read, pure=False)
        positions, velocities = [], []
        for first in range(0, len(self.numbers), chunk):
            numbers = self.numbers[first : first + chunk]
            both = read(reader, numbers)
            shape = (len(numbers), self.n_atoms, 3)
            positions.append(array.from_delayed(both[0], shape, dtype=float))
            velocities.append(array.from_delayed(both[1], shape, dtype=float))
        return array.concatenate(positions), array.concatenate(velocities) if self.has_velocity else None


def _read(
    read: Callable[[range], tuple[np.ndarray, np.ndarray | None]], numbers: range
) -> tuple[np.ndarray, np.ndarray | None]:
    return read(numbers)


@dataclass(frozen=True)
class Foreign:
    """What another package read: lazy frames, cells (n_frames, 3, 3), and what it knows of atoms and boundaries."""

    lazy: LazyFrames
    cells: np.ndarray
    element: np.ndarray
    mass: np.ndarray | None
    time: np.ndarray | None
    periodic: str | None = None


def _unreadable(path: Path, package: str, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path} is no trajectory that xbp or {package} reads",
        reason=f"{type(error).__name__}: {error}",
        fix="LAMMPS text dumps, extended XYZ and netCDF are read by content; topology= hands a file to MDAnalysis",
    )


def _choose(n: int, frames: slice | None, path: Path) -> range:
    chosen = range(n)[frames or slice(None)]
    if len(chosen) == 0:
        raise FileFormatError(f"frames={frames} leaves nothing", reason=f"{path} has {n} frames", fix="widen it")
    return chosen


def open_extxyz(path: Path, frames: slice | None) -> Foreign:
    """Open extended XYZ: frames are found by their numbers of lines, and parsed by ASE when needed."""
    offsets = [0]
    with path.open("rb") as stream:
        while line := stream.readline():
            if not line.strip():
                break
            if not line.strip().isdigit():
                raise FileFormatError(
                    f"{path}, frame {len(offsets) - 1} begins with '{line[:20].decode('ascii', 'replace').strip()}'",
                    reason="a frame of XYZ begins with the number of its atoms",
                    fix="the file is damaged there: copy it again",
                )
            for _ in range(int(line) + 1):
                if not stream.readline():
                    raise FileFormatError(
                        f"{path} is cut short in frame {len(offsets) - 1}",
                        reason=f"the frame should have {int(line)} atoms",
                        fix=f"frames=slice(0, {len(offsets) - 1}) of a mended copy; copy it again",
                    )
            offsets.append(stream.tell())
    chosen = _choose(len(offsets) - 1, frames, path)
    return _from_ase(path, chosen, _XyzFrames(path, tuple(offsets)))


@dataclass(frozen=True)
class _XyzFrames:
    path: Path
    offsets: tuple[int, ...]

    def __call__(self, numbers: range) -> list[Any]:
        ase_io = require("ase.io", "it parses extended XYZ", "md")
        images = []
        with self.path.open("rb") as stream:
            for number in numbers:
                stream.seek(self.offsets[number])
                text = stream.read(self.offsets[number + 1] - self.offsets[number]).decode("utf-8")
                images.append(ase_io.read(io.StringIO(text), format="extxyz"))
        return images


def open_lammps_data(
    path: Path, units: str | None, elements: Mapping[int, str] | Sequence[str] | None, frames: slice | None
) -> Foreign:
    """Open the configuration of a LAMMPS data file, which says neither units nor, but by masses, elements."""
    if units not in ("metal", "real"):
        raise UnitsError(
            f"the units of {path} are {'not known' if units is None else repr(units)}",
            reason="a data file does not say them",
            fix="say units='metal' (Å, ps) or 'real' (Å, fs), as in the LAMMPS input",
        )
    options: dict[str, Any] = {"format": "lammps-data", "units": units}
    if elements is not None:
        numbers = require("ase.data", "it reads LAMMPS data files", "md").atomic_numbers
        by_type = dict(elements) if isinstance(elements, Mapping) else dict(enumerate(elements, start=1))
        unknown = [symbol for symbol in by_type.values() if symbol not in numbers]
        if unknown:
            raise QuantityError(
                f"elements={elements} names '{unknown[0]}'", reason="it is no element", fix="use symbols like 'Zr'"
            )
        options["Z_of_type"] = {kind: numbers[symbol] for kind, symbol in by_type.items()}
    return open_with_ase(path, frames, **options)


def open_with_ase(path: Path, frames: slice | None, **options: Any) -> Foreign:
    """Open what ASE reads; it is held in memory, since ASE's formats have no common way to seek."""
    ase_io = require("ase.io", "it reads what xbp does not", "md")
    try:
        images = ase_io.read(path, index=":", **options)
    except Exception as error:  # ASE raises whatever its many readers raise
        raise _unreadable(path, "ASE", error) from error
    return _from_ase(path, _choose(len(images), frames, path), _Held(tuple(images)))


@dataclass(frozen=True)
class _Held:
    images: tuple[Any, ...]

    def __call__(self, numbers: range) -> list[Any]:
        return [self.images[n] for n in numbers]


def _from_ase(path: Path, chosen: range, images: Callable[[range], list[Any]]) -> Foreign:
    units = require("ase.units", "it reads what xbp does not", "md")
    try:
        first = images(chosen[:1])[0]
    except XbpError:
        raise
    except Exception as error:  # as above
        raise _unreadable(path, "ASE", error) from error
    symbols = np.array(first.get_chemical_symbols(), dtype=str)
    has_velocity = bool(first.has("momenta"))
    # ASE's unit of time is Å √(u/eV).
    per_ps = 1000 * float(units.fs)

    def read(numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        position = np.empty((len(numbers), len(first), 3))
        velocity = np.empty_like(position) if has_velocity else None
        for place, (number, atoms) in enumerate(zip(numbers, images(numbers), strict=True)):
            if len(atoms) != len(first) or (np.array(atoms.get_chemical_symbols()) != symbols).any():
                raise FileFormatError(
                    f"{path}, frame {number} holds other atoms than frame {chosen[0]}",
                    reason=f"{len(atoms)} atoms against {len(first)}, or other elements",
                    fix="one trajectory holds the same atoms in the same order throughout",
                )
            position[place] = atoms.get_positions()
            if velocity is not None:
                velocity[place] = atoms.get_velocities() * per_ps
        return position, velocity

    cells = np.stack([np.asarray(images(chosen[i : i + 1])[0].cell) for i in range(len(chosen))])
    lazy = LazyFrames(chosen, len(first), has_velocity, read)
    return Foreign(lazy, cells, symbols, first.get_masses(), None, "".join(str(int(side)) for side in first.pbc))


def open_with_mdanalysis(path: Path, topology: Path, frames: slice | None) -> Foreign:
    """Open what MDAnalysis reads; every task opens the files anew."""
    opened = _Universe(str(topology), str(path))
    try:
        universe = opened.universe()
        trajectory = universe.trajectory
        chosen = _choose(len(trajectory), frames, path)
        times, cells = [], []
        for number in chosen:
            step = trajectory[number]
            times.append(step.time)
            cells.append(np.zeros((3, 3)) if step.dimensions is None else step.triclinic_dimensions)
        has_velocity = bool(trajectory[chosen[0]].has_velocities)
        atoms = universe.atoms
        kinds = next((getattr(atoms, n) for n in ("elements", "types", "names") if hasattr(atoms, n)), None)
        masses = np.asarray(atoms.masses, dtype=float) if hasattr(atoms, "masses") else np.zeros(len(atoms))
    except XbpError:
        raise
    except Exception as error:  # MDAnalysis raises whatever its many readers raise
        raise _unreadable(path, "MDAnalysis", error) from error
    element = np.asarray(kinds if kinds is not None else ["X"] * len(atoms), dtype=str)
    return Foreign(
        LazyFrames(chosen, len(atoms), has_velocity, opened.read),
        np.array(cells, dtype=float),
        element,
        masses if (masses > 0).all() else None,
        np.array(times, dtype=float) if np.ptp(times) > 0 else None,
    )


@dataclass(frozen=True)
class _Universe:
    topology: str
    path: str

    def universe(self) -> Any:
        return require("MDAnalysis", "it reads what xbp does not", "md").Universe(self.topology, self.path)

    def read(self, numbers: range) -> tuple[np.ndarray, np.ndarray | None]:
        trajectory = self.universe().trajectory
        position = np.empty((len(numbers), trajectory.n_atoms, 3))
        velocity = np.empty_like(position) if trajectory[numbers[0]].has_velocities else None
        for place, number in enumerate(numbers):
            step = trajectory[number]
            position[place] = step.positions
            if velocity is not None:
                velocity[place] = step.velocities
        return position, velocity
