"""GSD of HOOMD-blue and TNG of GROMACS, through the packages of their makers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from xbp.core.errors import require
from xbp.md.found import Found
from xbp.md.frames import Frames, Rows
from xbp.md.given import Given, at_once, named
from xbp.md.source import Source, reading, require_file
from xbp.md.tng_blocks import Description
from xbp.md.topology import Topology, elements_of, read_topology

__all__ = ["is_gsd", "is_tng", "open_gsd", "open_tng"]

_PURPOSE: Final = "read this format"


def is_gsd(head: bytes) -> bool:
    """Return whether a file that begins so is GSD."""
    return head.startswith(b"\xdf\x65" * 4)


def is_tng(head: bytes) -> bool:
    """Return whether a file that begins so is TNG."""
    return b"GENERAL INFO\0" in head[:64]


def _require_plain(source: Source) -> None:
    require_file(
        not source.packing,
        source.path,
        "this format cannot be read compressed",
        fix="unpack it",
    )


def _opened(source: Source) -> Any:
    return require("gsd.hoomd", _PURPOSE, "gsd").open(str(source.path), mode="r")


def open_gsd(source: Source, given: Given) -> Found:
    """Open GSD; positions are from the corner of the cell, unwrapped by images.

    It has steps, types and numbers without units. What the file does not store of
    velocities and masses is not there: the package would fill in zeros and ones.

    Raises
    ------
    FileFormatError
        If it is damaged.
    UnitsError, QuantityError
        If units, elements or the time step are not given, or contradict it.
    """
    path = source.path
    _require_plain(source)
    with reading(path), _opened(source) as file:
        chosen = given.choose(len(file))
        first = file[chosen[0]].particles
        types = np.array(first.types, dtype=str)[np.asarray(first.typeid)]
        moving, weighed = (
            any(file.file.chunk_exists(n, f"particles/{name}") for n in (0, chosen[0]))
            for name in ("velocity", "mass")
        )
        own = np.asarray(first.mass, dtype=float) if weighed else None
        boxes, steps = [], []
        for number in chosen:
            configuration = file[number].configuration
            boxes.append(np.asarray(configuration.box, dtype=float))
            steps.append(configuration.step)
    style = given.style(None)
    given.allow(
        "GSD of HOOMD-blue",
        *("units", "lj", "elements", "masses", "timestep", "time_between_frames"),
    )
    masses = style.masses(own, types.size)
    x, y, z, xy, xz, yz = np.array(boxes).T
    cells = np.zeros((len(chosen), 3, 3))
    cells[:, 0, 0], cells[:, 1, 1], cells[:, 2, 2] = x, y, np.where(z > 0, z, 1.0)
    cells[:, 1, 0], cells[:, 2, 0], cells[:, 2, 1] = xy * y, xz * z, yz * z
    cells *= style.length
    reduced = style.name == "lj"
    # Masses of 1 are often those of a unit of its own.
    topology = Topology(types, masses, weigh=False)
    cells, element, time = at_once(
        lambda: given.cells(cells),
        # Particles of reduced units may have any names.
        lambda: (
            named(given, types) if reduced else elements_of(given, topology, types.size)
        ),
        lambda: given.times(len(chosen), marks=np.array(steps, float), style=style),
    )
    places = {number: place for place, number in enumerate(chosen)}

    def rows(numbers: range) -> Iterator[Rows]:
        with _opened(source) as frames:
            for number in numbers:
                atoms, cell = frames[number].particles, cells[places[number]]
                corner = -cell.sum(axis=0) / 2
                r = np.asarray(atoms.position, dtype=float) * style.length - corner
                v = np.asarray(atoms.velocity, dtype=float) * style.speed
                yield Rows(
                    np.asarray(atoms.typeid),
                    None,
                    r + np.asarray(atoms.image) @ cell,
                    v if moving else None,
                )

    return Found(
        Frames(path, chosen, rows), cells, element, masses, time, "111", reduced
    )


#: Blocks of TNG: positions, velocities, and the box.
_R, _V, _BOX = "TNG_TRAJ_POSITIONS", "TNG_TRAJ_VELOCITIES", "TNG_TRAJ_BOX_SHAPE"


class _Tng:
    """An open TNG file, which is read by MD steps."""

    def __init__(self, source: Source) -> None:
        iterator = require("pytng", _PURPOSE, "tng").TNGFileIterator
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strides in files of one frame
            fix, why = "gmx trjconv -f run.tng -o run.xtc", "cannot be read by pytng"
            with reading(source.path, fix, why):
                self._file = iterator(str(source.path), "r")
        self.n_atoms = int(self._file.n_atoms)
        self.strides: dict[str, int] = dict(self._file.block_strides)
        require_file(_R in self.strides, source.path, "it has no positions")
        self.steps = range(0, int(self._file.n_steps), self.strides[_R])

    def __enter__(self) -> _Tng:
        return self

    def __exit__(self, *_: object) -> None:
        self._file._close()

    def read(self, number: int, *blocks: str) -> list[np.ndarray]:
        """Read blocks of a frame, in the unit of the file and ps."""
        self._file.read_step(self.steps[number])
        found = []
        step = self._file.current_integrator_step
        for name in blocks:
            shape = (1, 9) if name == _BOX else (self.n_atoms, 3)
            values = np.full(shape, np.nan, dtype=np.float32)
            get = {_R: "get_positions", _V: "get_velocities", _BOX: "get_box"}[name]
            getattr(step, get)(values)
            if not step.read_success:
                raise ValueError(f"{name} of frame {number} cannot be read")
            found.append(values.astype(float))
        return found

    def time(self, number: int) -> float:
        """Return the time of a frame in ps, NaN without."""
        self._file.read_step(self.steps[number])
        found = self._file.current_integrator_step.get_time()
        return np.nan if found is None else 1e12 * float(found)


def open_tng(source: Source, given: Given) -> Found:
    """Open TNG of GROMACS; elements by its masses and names, or a topology.

    Raises
    ------
    FileFormatError
        If it is damaged, or velocities were written at other steps than positions.
    UnitsError, QuantityError
        If elements, cell or times are neither in the file nor given, or contradict it.

    References
    ----------
    M. Lundborg et al., J. Comput. Chem. 35, 260 (2014), doi:10.1002/jcc.23495.
    """
    path = source.path
    _require_plain(source)
    about = Description.of(source)
    length = about.length
    with reading(path), _Tng(source) as file:
        require_file(len(file.steps) > 0, path, "it has no frames")
        chosen, n_atoms = given.choose(len(file.steps)), file.n_atoms
        times = np.array([file.time(number) for number in chosen])
        steps = np.array([file.steps[number] for number in chosen], dtype=float)
        own = np.zeros((len(chosen), 3, 3))
        if _BOX in file.strides:
            boxes = [file.read(number, _BOX)[0] for number in chosen]
            own = length * np.stack(boxes).reshape(-1, 3, 3)
        strides = file.strides
    moving = _V in strides and given.velocities is not False
    require_file(
        not moving or strides[_V] == strides[_R],
        path,
        f"it has positions every {strides[_R]} steps, velocities every "
        f"{strides.get(_V)}",
        fix="velocities=False leaves these out",
    )
    given.allow(
        "TNG",
        *("elements", "masses", "topology", "atom_style", "cell", "timestep"),
        "time_between_frames",
    )
    timed = bool(np.isfinite(times).all())
    topology = read_topology(given) or about.topology(n_atoms)
    cells, element, time = at_once(
        lambda: given.cells(own),
        lambda: elements_of(given, topology, n_atoms),
        lambda: given.times(len(chosen), own=times if timed else None, marks=steps),
    )
    blocks = (_R, _V) if moving else (_R,)
    names = np.arange(n_atoms)

    def rows(numbers: range) -> Iterator[Rows]:
        with _Tng(source) as frames:
            for number in numbers:
                r, *v = (length * part for part in frames.read(number, *blocks))
                yield Rows(names, None, r, *v)

    masses = None if topology is None else topology.masses
    return Found(Frames(path, chosen, rows), cells, element, masses, time)
