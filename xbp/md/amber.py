"""Trajectories in netCDF after AMBER's convention: of AMBER, LAMMPS and ASE."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from xbp.core import constants
from xbp.core.errors import QuantityError, require
from xbp.io import netcdf
from xbp.io.classic import classic_header
from xbp.io.hdf5 import HDF5_ERRORS, HDF5_SIGNATURE, attribute, open_hdf5
from xbp.io.stored import Stored, of_classic, read_parts, read_together
from xbp.md.found import Found
from xbp.md.frames import Frames, Rows, Vectors, part_of, pieces, scaled
from xbp.md.given import Given, at_once, declared_style
from xbp.md.source import Source, reading, require_file
from xbp.md.styles import Style
from xbp.md.topology import (
    Topology,
    elements_of,
    read_topology,
    symbols_by_number,
)

__all__ = ["is_amber", "open_amber"]

#: The library is not safe in several threads.
_lock: Final = threading.Lock()
_POSITIONS: Final = ("unwrapped_coordinates", "coordinates", "scaled_coordinates")
_TYPES: Final = ("atom_types", "type", "Z")
_OTHERS: Final = ("time", "velocities", "cell_lengths", "cell_angles", "cell_origin")
#: Styles of LAMMPS by its units of time and length, in the singular.
_STYLES: Final = {
    ("lj", "lj"): "lj",
    ("femtosecond", "angstrom"): "real",
    ("picosecond", "angstrom"): "metal",
    ("second", "meter"): "si",
    ("second", "centimeter"): "cgs",
    ("femtosecond", "bohr"): "electron",
    ("microsecond", "micrometer"): "micro",
    ("nanosecond", "nanometer"): "nano",
}
#: ASE's unit of velocity, Å √(eV/u) / Å, in Å/ps; it does not label its times.
_ASE: Final = Style(
    "ase", time=np.nan, speed=constants.HBAR_ROOT_EV_PER_U / constants.HBAR
)


def is_amber(source: Source, head: bytes) -> bool:
    """Return whether a file is netCDF after AMBER's convention."""
    if source.packing or not head.startswith((b"CDF", HDF5_SIGNATURE)):
        return False
    if head.startswith(HDF5_SIGNATURE) and not _claims(source.path):
        return False
    if netcdf.decline(source.path) is not None:
        return False
    with reading(source.path):
        return "AMBER" in str(_labels(source.path).attributes.get("Conventions"))


def _claims(path: Path) -> bool:
    """Return whether an HDF5 file says AMBER, before all of it is checked."""
    with contextlib.suppress(*HDF5_ERRORS), open_hdf5(path) as file:
        return "AMBER" in str(attribute(file, "Conventions"))
    return False


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file that is HDF5."""
    with _lock, require("netCDF4", "read netCDF", "md").Dataset(path) as file:
        file.set_auto_maskandscale(False)
        yield file


class _Labels(NamedTuple):
    """What there is in a file, beside numbers.

    Attributes
    ----------
    classic : bool
        Whether it is netCDF 3, and not HDF5.
    sizes : dict of str to int
        Of dimensions.
    attributes : mapping
        Of the file.
    variables : mapping of str to (tuple of str, mapping)
        Dimensions of each, and attributes.
    """

    classic: bool
    sizes: dict[str, int]
    attributes: Mapping[str, Any]
    variables: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]


def _labels(path: Path) -> _Labels:
    with path.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    if classic:
        head = classic_header(path)
        variables = {n: (v.dims, v.attributes) for n, v in head.variables.items()}
        return _Labels(True, head.dimensions, head.attributes, variables)
    with _opened(path) as file:
        return _Labels(
            False,
            {name: len(own) for name, own in file.dimensions.items()},
            dict(file.__dict__),
            {n: (v.dimensions, dict(v.__dict__)) for n, v in file.variables.items()},
        )


@dataclass(frozen=True)
class _Header:
    """What a file has: variables, their units and factors.

    Attributes
    ----------
    program : str
        That wrote it.
    positions, types : str
        Names of variables; empty without.
    units : dict of str to str, or to None
        Of every variable.
    scales : dict of str to float
        Factors that the file applies.
    over_frames : frozenset of str
        Variables that each frame has.
    n_atoms, n_frames : int
    classic : bool
        Whether it is netCDF 3, and not HDF5.
    """

    path: Path
    program: str
    positions: str
    types: str
    units: dict[str, str | None]
    scales: dict[str, float]
    over_frames: frozenset[str]
    n_atoms: int
    n_frames: int
    classic: bool

    def parts(
        self,
        names: list[str],
        numbers: range,
        into: Mapping[str, np.ndarray | None] | None = None,
    ) -> Iterator[tuple[range, dict[str, np.ndarray]]]:
        """Yield some frames, and variables of them, as `read` does.

        What is in the file as in one of the arrays `into` is read into it.
        """
        names = [name for name in names if name in self.units]
        if not (self.classic and self.over_frames.issuperset(names)):
            yield numbers, self.read(names, numbers)
            return
        stored = of_classic(self.path, names, numbers)
        every = list(stored.values())
        own_arrays = [(into or {}).get(name) for name in stored]
        for part, found in read_parts(self.path, every, len(numbers), own_arrays):
            own = dict(zip(stored, found, strict=True))
            yield (
                numbers[part],
                {n: scaled(a, self.scales[n]) for n, a in own.items() if a is not None},
            )

    def read(self, names: list[str], numbers: range) -> dict[str, np.ndarray]:
        """Read variables of some frames, scaled; those that are missing are not there.

        A variable without frames is that of every frame.
        """
        there = [name for name in names if name in self.units]
        found = (self._classic if self.classic else self._hdf5)(there, numbers)
        return {
            name: scaled(
                values
                if name in self.over_frames
                else np.broadcast_to(values, (len(numbers), *values.shape)),
                self.scales[name],
            )
            for name, values in found.items()
        }

    def _hdf5(self, names: list[str], numbers: range) -> dict[str, np.ndarray]:
        with _opened(self.path) as file:
            every = {name: file.variables[name] for name in names}
            return {
                name: part_of(data, numbers) if name in self.over_frames else data[...]
                for name, data in every.items()
            }

    def _classic(self, names: list[str], numbers: range) -> dict[str, np.ndarray]:
        head, stored = classic_header(self.path), dict[str, Stored]()
        for name in names:
            own = head.variables[name]
            rows = numbers
            if name not in self.over_frames:
                rows = range(head.dimensions[own.dims[0]] if own.dims else 1)
            stored |= of_classic(self.path, [name], rows)
        found = read_together(self.path, stored)
        return {n: a if head.variables[n].dims else a[0] for n, a in found.items()}


def _header(path: Path) -> _Header:
    labels = _labels(path)
    dims = {name: own for name, (own, _) in labels.variables.items()}
    kind = next((name for name in _POSITIONS if name in dims), "")
    require_file(bool(kind), path, "it has no positions of atoms")
    restart = len(dims[kind]) == 2
    n_frames = 1 if restart else labels.sizes[dims[kind][0]]
    require_file(n_frames > 0, path, "it has no frames")
    attributes = {name: own for name, (_, own) in labels.variables.items()}
    frames = (n for n, own in dims.items() if own[:1] == ("frame",) and not restart)
    return _Header(
        path,
        str(labels.attributes.get("program", "")).upper(),
        kind,
        next((name for name in _TYPES if name in dims), ""),
        {name: own.get("units") for name, own in attributes.items()},
        {n: float(own.get("scale_factor", 1)) for n, own in attributes.items()},
        frozenset(frames),
        labels.sizes["atom"],
        n_frames,
        labels.classic,
    )


def _style(given: Given, head: _Header) -> Style:
    """Return the units of a file: its program's, declared, or else given."""
    if head.program.startswith("LAMMPS"):
        texts = [str(head.units.get(name)) for name in ("time", "cell_lengths")]
        time, length = (text.lower().removesuffix("s") for text in texts)
        return given.style(_STYLES.get((time, length)))
    if head.program.startswith("ASE"):
        return _ASE
    names = {"length": head.positions, "time": "time", "speed": "velocities"}
    there = {field: name for field, name in names.items() if name in head.units}
    return declared_style(given, {f: head.units[name] for f, name in there.items()})


def open_amber(source: Source, given: Given) -> Found:
    """Open netCDF after AMBER's convention; positions are from the corner of the cell.

    AMBER writes Å, ps and Å/ps, with factors. LAMMPS writes its own units, MD steps for
    times with the time step as their factor, types and ids for each frame, and a moving
    corner. ASE writes atomic numbers, velocities in its own unit, and of the cell only
    lengths and angles, which leave the directions of a tilted one open.

    Raises
    ------
    FileFormatError
        If it is damaged.
    UnitsError, QuantityError
        If units, elements, cell or times are neither in the file nor given, or
        contradict it.

    References
    ----------
    AMBER NetCDF Trajectory/Restart Convention, https://ambermd.org/netcdf/nctraj.xhtml.
    """
    path = source.path
    with reading(path):
        head = _header(path)
        chosen = given.choose(head.n_frames)
        found = head.read(list(_OTHERS[:1] + _OTHERS[2:]), chosen)
        first = head.read([head.types, "id", "mass"], chosen[:1])
    style, topology = _style(given, head), read_topology(given)
    by_lammps = head.program.startswith("LAMMPS")
    first = {name: values[0] for name, values in first.items()}
    order = np.argsort(first["id"], kind="stable") if "id" in first else slice(None)
    allowed = ["elements", "masses", "time_between_frames", "cell"]
    allowed += [] if style is _ASE else ["units", "lj"]
    allowed += ["timestep"] if by_lammps else []
    if head.types and topology is None:
        kinds = first[head.types][order]
        names = symbols_by_number(kinds) if style is _ASE else kinds.astype(str)
        mass = first["mass"][order] if "mass" in first else None
        mass = style.masses(mass, head.n_atoms)
        topology = Topology(names, mass, weigh=style.name != "lj")
    else:
        allowed += ["topology", "atom_style"]
    given.allow("netCDF of AMBER's convention", *allowed)
    times, marks = found.get("time"), None
    if times is not None and by_lammps:
        marks = times / head.scales["time"]
    times = None if times is None else times * style.time
    if times is not None and np.isnan(style.time):
        # Without units, times are only taken to be unequal where they are.
        times, marks = None, found["time"] if given.between is not None else None
    (cells, periodic), element, time = at_once(
        lambda: _cells(given, head, found, style),
        lambda: elements_of(given, topology, head.n_atoms),
        lambda: given.times(len(chosen), own=times, marks=marks, style=style),
    )
    corners = np.zeros((len(chosen), 3))
    if "cell_origin" in found:
        corners = found["cell_origin"] * style.length
    at = {number: place for place, number in enumerate(chosen)}
    same = np.arange(head.n_atoms)
    wanted = [head.positions, "velocities", "id"]
    wanted += [head.types] if "id" in first else []

    moved = bool(corners.any())

    def rows(numbers: range, into: Vectors = (None, None)) -> Iterator[Rows]:
        arrays = dict(zip((head.positions, "velocities"), into, strict=True))
        for some, parts in head.parts(wanted, numbers, arrays):
            places = [at[number] for number in some]
            r, v = parts[head.positions], parts.get("velocities")
            if head.positions == "scaled_coordinates":
                r = r @ cells[places]
            else:
                r = scaled(r, style.length)
                r = r - corners[places, None] if moved else r
            v = None if v is None else scaled(v, style.speed)
            yield from pieces(parts.get(head.types, same), parts.get("id"), r, v)

    return Found(
        # A classic file is not compressed: reading it again costs no more than a copy.
        Frames(path, chosen, rows, kept=not head.classic, straight=True),
        cells,
        element,
        None if topology is None else topology.masses,
        time,
        periodic,
        style.name == "lj",
    )


def _cells(
    given: Given, head: _Header, found: dict[str, np.ndarray], style: Style
) -> tuple[np.ndarray, str | None]:
    """Return the cells of frames, and which sides are periodic: open ones have none.

    The first vector is along x, the second in the plane of x and y.
    """
    n_frames = given.choose(head.n_frames)
    if "cell_lengths" not in found:
        return given.cells(np.zeros((len(n_frames), 3, 3))), None
    sides = found["cell_lengths"] * style.length
    angles = found.get("cell_angles", np.full_like(sides, 90.0))
    angles = np.where(angles > 0, angles, 90.0)
    open_ = sides == 0
    tilted = bool((np.abs(angles - 90) > 1e-3).any())
    if open_.any() or (tilted and style is _ASE):
        why = "has open sides, which have no length"
        if not open_.any():
            why = "has a tilted cell, whose directions ASE does not write"
        box = given.require_box(why)
        lengths = np.linalg.norm(box, axis=1)
        if (np.abs(sides - lengths)[~open_] > 0.01).any():
            raise QuantityError(
                f"cell= has the sides {lengths.round(4).tolist()}; {head.path} has "
                f"{sides[0].round(4).tolist()}",
                fix="correct cell=",
            )
        cells = np.broadcast_to(box, (len(sides), 3, 3))
    else:
        a, b, c = np.cos(np.deg2rad(angles)).T
        c_y = (a - b * c) / np.sqrt(1 - c**2)
        cells = np.zeros((len(sides), 3, 3))
        cells[:, 0, 0] = 1
        cells[:, 1, 0], cells[:, 1, 1] = c, np.sqrt(1 - c**2)
        cells[:, 2, 0], cells[:, 2, 1] = b, c_y
        cells[:, 2, 2] = np.sqrt(1 - b**2 - c_y**2)
        cells = np.where(np.abs(cells) < 1e-12, 0.0, cells) * sides[:, :, None]
        cells = given.cells(cells)
    return cells, "".join(str(int(not side)) for side in open_.any(axis=0))
