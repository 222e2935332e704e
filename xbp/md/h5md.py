"""Trajectories in HDF5: H5MD of any program, and MDANSE's .mdt."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.io.hdf5 import (
    HDF5_SIGNATURE,
    labels_of,
    open_hdf5,
    require_own,
    texts_of,
)
from xbp.io.stored import Some, Stored, of_hdf5, read_parts
from xbp.md.found import Found
from xbp.md.frames import Frames, Rows, Vectors, part_of, pieces, scaled
from xbp.md.given import Given, at_once, declared_style
from xbp.md.source import Source, reading, require_file
from xbp.md.styles import Style, unit_factor
from xbp.md.topology import Topology, elements_of, read_topology

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["is_h5md", "is_mdt", "open_h5md", "open_mdt"]

_lock: Final = threading.Lock()


def _has(source: Source, head: bytes, *names: str) -> bool:
    """Return whether a file is HDF5 and has some groups or datasets."""
    if source.packing or not head.startswith(HDF5_SIGNATURE):
        return False
    with reading(source.path), open_hdf5(source.path) as file:
        return all(name in file for name in names)


def is_h5md(source: Source, head: bytes) -> bool:
    """Return whether a file is H5MD."""
    return _has(source, head, "h5md", "particles")


def is_mdt(source: Source, head: bytes) -> bool:
    """Return whether a file is a trajectory of MDANSE."""
    return _has(source, head, "configuration/coordinates", "time")


@dataclass(frozen=True)
class _Series:
    """Numbers in a file, of one frame after the other, or fixed.

    Attributes
    ----------
    name : str
        Of the dataset.
    fixed : bool
        Whether all frames have the same.
    unit : str or None
    few : tuple of int
        Frames that are read when the trajectory is opened: the first and the last two.
    ends : Stored or None
        Where they are, if they are not packed.
    version : tuple of int
        Of the file.
    """

    name: str
    fixed: bool
    unit: str | None
    few: tuple[int, ...] = ()
    ends: Stored | None = None
    version: tuple[int, ...] = ()

    def stored(self, path: Path, numbers: range) -> Stored | None:
        """Return where those of some frames are in a file, if they are not packed."""
        if self.fixed:
            return None
        version = _version(path)
        known = version == self.version and set(numbers) <= set(self.few)
        if known and self.ends is not None:
            return self.ends.some([self.few.index(number) for number in numbers])
        if len(numbers) < 3:  # looking for all takes longer
            return None
        with _lock:  # several tasks would look for the same
            every = _places(path, self.name, *version)
        return None if every is None else every.some(numbers)

    def read(self, file: h5py.File, numbers: range) -> np.ndarray:
        """Return those of some frames, (n_frames, …)."""
        node = file[self.name]
        if not self.fixed:
            return part_of(node, numbers)
        values = np.asarray(node[()])
        one = values[0] if len(values) == 1 else values
        return np.broadcast_to(one, (len(numbers), *one.shape))


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=8)
def _places(path: Path, name: str, *_version: int) -> Stored | None:
    """Return where all frames of a dataset are, if they are not packed."""
    with open_hdf5(path) as file:
        return of_hdf5(file[name], range(len(file[name])))


def _series(
    node: Any, shape: tuple[int, ...], n_frames: int, chosen: range = range(0)
) -> _Series | None:
    """Return a dataset, or the element of H5MD, whose frames have a shape.

    Parameters
    ----------
    node : h5py.Group, h5py.Dataset or None
    shape : tuple of int
        Of one frame.
    n_frames : int
    chosen : range
        Frames of which the first and the last are read at once.

    Raises
    ------
    ValueError
        If it has another shape, or claims more than the file stores.
    """
    node = node.get("value") if isinstance(node, h5py.Group) else node
    if node is None:
        return None
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiu":
        raise ValueError(f"{node.name} is not an array of the right type")
    require_own(node)
    fixed = node.shape in (shape, (1, *shape)) and node.shape != (n_frames, *shape)
    if not fixed and node.shape != (n_frames, *shape):
        wanted = (n_frames, *shape)
        raise ValueError(f"{node.name} has the shape {node.shape}, not {wanted}")
    stored, claimed = node.id.get_storage_size(), node.size * node.dtype.itemsize
    if not stored or claimed > 1032 * stored:
        raise ValueError(f"{node.name} claims {claimed} bytes, of {stored} stored")
    few = tuple(sorted({*chosen[:2], *chosen[-2:]}))
    ends = of_hdf5(node, few) if few and not fixed else None
    version = _version(Path(node.file.filename)) if ends is not None else ()
    return _Series(node.name, fixed, _unit(node), few, ends, version)


def _unit(node: Any) -> str | None:
    """Return the unit that a dataset states, or None."""
    found = [texts_of(node.attrs[n]) for n in ("unit", "units") if n in node.attrs]
    return str(found[0][0]) or None if found and found[0].size else None


@dataclass(frozen=True)
class _Contents:
    """What a reader finds in an open file: series over frames, and their labels.

    Attributes
    ----------
    path : Path
    n_frames, n_atoms : int
    position, velocity, image, ids : _Series
        All but the first may be missing.
    cells : numpy.ndarray, shape (n_chosen, 3, 3)
        Å.
    periodic : str or None
    style : Style
    block : int
        Frames that are stored together.
    packed : bool
        Whether the positions are compressed.
    """

    path: Path
    n_frames: int
    n_atoms: int
    position: _Series
    velocity: _Series | None
    image: _Series | None
    ids: _Series | None
    cells: np.ndarray
    periodic: str | None
    style: Style
    block: int
    packed: bool

    def found(
        self,
        given: Given,
        chosen: range,
        topology: Topology | None,
        times: np.ndarray | None,
        steps: np.ndarray | None = None,
    ) -> Found:
        """Return the trajectory."""
        path, style, cells = self.path, self.style, self.cells
        places = {number: place for place, number in enumerate(chosen)}
        same = np.arange(self.n_atoms)

        def rows(numbers: range, into: Vectors = (None, None)) -> Iterator[Rows]:
            every = (self.position, self.velocity, self.image, self.ids)
            found: list[Some] = [
                None if s is None else s.stored(path, numbers) for s in every
            ]
            packed = [
                s is not None and one is None
                for s, one in zip(every, found, strict=True)
            ]
            if any(packed):
                with open_hdf5(path) as file:
                    found = [
                        series.read(file, numbers)
                        if series is not None and one is None
                        else one
                        for series, one in zip(every, found, strict=True)
                    ]
            for part, some in read_parts(path, found, len(numbers), into):
                r, v, image, ids = some
                assert r is not None
                own = [None if a is None else a[part] for a in into]
                r = _spatial(scaled(r, style.length, own[0]))
                v = None if v is None else _spatial(scaled(v, style.speed, own[1]))
                if image is not None:
                    at = [places[number] for number in numbers[part]]
                    r = r + _spatial(image) @ cells[at]
                yield from pieces(same, ids, r, v)

        element, time = at_once(
            lambda: elements_of(given, topology, self.n_atoms),
            lambda: given.times(len(chosen), own=times, marks=steps, style=style),
        )
        return Found(
            Frames(path, chosen, rows, kept=self.packed, straight=True),
            cells,
            element,
            None if topology is None else topology.masses,
            time,
            self.periodic,
            style.name == "lj",
            self.block,
        )


def _spatial(vectors: np.ndarray) -> np.ndarray:
    """Return vectors with three components: those in a plane have no third."""
    if vectors.shape[-1] == 3:
        return vectors
    return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, 1)])


def open_h5md(source: Source, given: Given) -> Found:
    """Open H5MD; images unwrap positions, ids sort atoms.

    Units are those of its module "units"; without, they are asked for. In two
    dimensions z is 0 in a cell of 1 Å.

    Raises
    ------
    FileFormatError
        If it is damaged.
    QuantityError, UnitsError
        If the group, units, elements, cell or times are neither in the file nor given,
        or contradict it.

    References
    ----------
    P. de Buyl, P. H. Colberg & F. Höfling, Comput. Phys. Commun. 185, 1546 (2014),
    doi:10.1016/j.cpc.2014.01.018.
    """
    path = source.path
    with reading(path), open_hdf5(path) as file:
        group = _group(given, file)
        position = group.get("position")
        require_file(position is not None, path, f"{group.name} has no position")
        value = position.get("value") if isinstance(position, h5py.Group) else position
        shape = tuple(value.shape)
        plausible = len(shape) == 3 and min(shape) > 0 and shape[2] in (2, 3)
        require_file(plausible, path, f"its positions have the shape {shape}")
        n_frames, n_atoms, _ = shape
        chosen = given.choose(n_frames)
        r, v, image, ids, mass = (
            _series(group.get(name), one, n_frames, chosen)
            for name, one in (
                ("position", shape[1:]),
                ("velocity", shape[1:]),
                ("image", shape[1:]),
                ("id", (n_atoms,)),
                ("mass", (n_atoms,)),
            )
        )
        assert r is not None
        declared = {"length": r.unit, **({"speed": v.unit} if v else {})}
        timing = position if isinstance(position, h5py.Group) else {}
        if (clock := timing.get("time")) is not None:
            declared["time"] = _unit(clock)
        style = declared_style(given, declared)
        times, steps = (_spaced(timing.get(n), chosen) for n in ("time", "step"))
        together = ["image", "id", "box/edges"]
        together += ["velocity"] if given.velocities is not False else []
        for name in together:
            _require_together(group.get(name), chosen, n_frames, time=times, step=steps)
        cells, periodic = _box(given, group, shape, chosen, style)
        topology = read_topology(given)
        if topology is None:
            labels = _species(file, group, n_atoms)
            masses = None
            if mass is not None:
                factor = style.mass
                if mass.unit is not None:
                    factor = unit_factor(mass.unit, "u", f"mass of {path}")
                if mass.unit is not None or style.name != "declared":
                    masses = mass.read(file, chosen[:1])[0] * factor
            in_u = masses is not None and style.name != "lj"
            topology = None if labels is None else Topology(labels, masses, weigh=in_u)
            if topology is not None and ids is not None:
                order = np.argsort(ids.read(file, chosen[:1])[0], kind="stable")
                masses = None if masses is None else masses[order]
                topology = topology._replace(names=topology.names[order], masses=masses)
        block, packed = (value.chunks or (1,))[0], value.compression is not None
    allowed = ["elements", "masses", "time_between_frames", "cell", "group"]
    allowed += ["topology", "atom_style", "units", "lj"]
    given.allow("H5MD", *allowed, *(["timestep"] if steps is not None else []))
    found = _Contents(
        *(path, n_frames, n_atoms, r, v, image, ids, cells, periodic, style, block),
        packed,
    )
    if times is not None:
        times = times * style.time
    if times is not None and np.isnan(style.time):
        # Without units, times are only taken to be unequal where they are.
        times, steps = None, steps if given.timestep is not None else times
    return found.found(given, chosen, topology, times, steps)


def _group(given: Given, file: h5py.File) -> h5py.Group:
    """Return the group of particles: the only one, or the given."""
    particles = file["particles"]
    names = [n for n in particles if isinstance(particles.get(n), h5py.Group)]
    require_file(bool(names), given.path, "it has no group of particles")
    if given.group is None and len(names) > 1:
        raise QuantityError(
            f"{given.path} has several groups of particles: {', '.join(names)}",
            fix=f"group={names[0]!r}",
        )
    name = names[0] if given.group is None else choose(given.group, names, "group")
    return particles[name]


def _spaced(node: Any, chosen: range) -> np.ndarray | None:
    """Return the steps or times of frames: listed, or an increment and an offset."""
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiu":
        return None
    if node.shape in ((), (1,)) and len(chosen) + chosen[-1] > 1:
        offset = np.ravel(node.attrs.get("offset", 0))[0]
        return float(offset) + float(np.ravel(node[()])[0]) * np.array(chosen)
    return np.ravel(part_of(node, chosen) if node.shape else node[()]).astype(float)


def _require_together(
    node: Any, chosen: range, n_frames: int, **of_positions: np.ndarray | None
) -> None:
    """Refuse an element that was sampled at other times, or steps, than positions.

    Raises
    ------
    FileFormatError
    """
    value = node.get("value") if isinstance(node, h5py.Group) else None
    if n_frames < 2 or value is None or value.shape[:1] != (n_frames,):
        return
    for name, theirs in of_positions.items():
        own = _spaced(node.get(name), chosen)
        if own is None or theirs is None:
            continue
        step = np.abs(np.diff(theirs)).mean() if theirs.size > 1 else np.abs(theirs)
        wrong = np.abs(own - theirs) > 1e-3 * step
        at = int(wrong.argmax())
        require_file(
            not wrong.any(),
            node.file.filename,
            f"{node.name} has {name} {own[at]:g} where the positions have "
            f"{theirs[at]:g}",
            fix="velocities=False leaves velocities out",
        )


def _box(
    given: Given,
    group: h5py.Group,
    shape: tuple[int, ...],
    chosen: range,
    style: Style,
) -> tuple[np.ndarray, str | None]:
    """Return the cells of frames, Å, and which sides are periodic, if stated."""
    n_frames, _, n_axes = shape
    box = group.get("box")
    edges = box.get("edges") if isinstance(box, h5py.Group) else None
    sides = box.attrs.get("boundary") if isinstance(box, h5py.Group) else None
    cells = np.zeros((len(chosen), 3, 3))
    if edges is not None:
        value = edges.get("value") if isinstance(edges, h5py.Group) else edges
        tilted = value.ndim == 3 or (value.ndim == 2 and value is edges)
        one = (n_axes, n_axes) if tilted else (n_axes,)
        series = _series(edges, one, n_frames)
        assert series is not None
        factor = style.length
        if series.unit is not None:
            factor = unit_factor(series.unit, "angstrom", "the edges of the box")
        read = series.read(group.file, chosen).astype(float) * factor
        if read.ndim == 2:
            read = read[:, :, None] * np.eye(n_axes)
        cells[:, :n_axes, :n_axes] = read
        if n_axes == 2:
            cells[:, 2, 2] = 1.0
    digits = None
    if sides is not None:
        texts = texts_of(sides).tolist()
        texts = texts * n_axes if len(texts) == 1 else texts
        if set(texts) <= {"periodic", "none", "nonperiodic"}:
            digits = "".join(str(int(text == "periodic")) for text in texts)
            digits = digits.ljust(3, "1")
    return given.cells(cells), digits


def _species(file: h5py.File, group: h5py.Group, n_atoms: int) -> np.ndarray | None:
    """Return what atoms are called: symbols as MDMC writes them, else species."""
    species = group.get("species")
    if isinstance(species, h5py.Group):
        species = species.get("value")
    for node in (file.get("parameters/atom_symbols"), species):
        if isinstance(node, h5py.Dataset):
            require_own(node)
            labels = labels_of(node)
            if labels.size == n_atoms:
                return labels
            every = labels.reshape(-1, n_atoms) if labels.size % n_atoms == 0 else None
            same = every is not None and bool((every == every[0]).all())
            require_file(same, file.filename, "the species of its particles change")
            assert every is not None
            return np.asarray(every[0])
    return None


def open_mdt(source: Source, given: Given) -> Found:
    """Open a trajectory of MDANSE, which is in nm, ps and nm/ps, also if it says not.

    Raises
    ------
    FileFormatError
        If it is damaged, or has other units.
    QuantityError
        If its elements are isotopes of its own, or its cell is not there, nor given.
    """
    path = source.path
    with reading(path), open_hdf5(path) as file:
        node = file["configuration/coordinates"]
        n_frames, n_atoms, n_axes = node.shape
        plausible = n_frames > 0 and n_axes == 3
        require_file(plausible, path, f"it has the shape {node.shape}")
        chosen = given.choose(n_frames)
        r, v = (
            _series(file.get(f"configuration/{name}"), (n_atoms, 3), n_frames, chosen)
            for name in ("coordinates", "velocities")
        )
        assert r is not None
        cell = _series(file.get("unit_cell"), (3, 3), n_frames)
        clock = _series(file["time"], (), n_frames)
        assert clock is not None
        for series, unit in ((r, "nm"), (v, "nm/ps"), (cell, "nm"), (clock, "ps")):
            own = unit if series is None else series.unit or unit
            require_file(own == unit, path, f"it has units of {own}, not {unit}")
        cells = np.zeros((len(chosen), 3, 3))
        if cell is not None:
            cells = 10.0 * cell.read(file, chosen)
        times = clock.read(file, chosen).astype(float)
        if "composition/atom_types" in file:
            names = labels_of(file["composition/atom_types"])
        else:
            names = texts_of(np.asarray(file["chemical_system/atoms"][()])[:, 0])
        require_file(names.size == n_atoms, path, f"it names {names.size} atoms")
        block, packed = (node.chunks or (1,))[0], node.compression is not None
    given.allow("a trajectory of MDANSE", "elements", "masses", "cell")
    style = Style("declared", length=10.0, speed=10.0)
    found = _Contents(
        *(path, n_frames, n_atoms, r, v, None, None, given.cells(cells)),
        *(None, style, block, packed),
    )
    return found.found(given, chosen, Topology(names), times)
