"""Trajectories in memory: Atoms of ASE, a Universe, a Trajectory of dynasor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np

from xbp.core import constants
from xbp.md.found import Found
from xbp.md.frames import Frames, Rows
from xbp.md.given import Given, at_once
from xbp.md.source import Source, require_file
from xbp.md.topology import Topology, elements_of, topology_of

__all__ = ["ASE_SPEED", "TIMES", "found_of_images", "reader_of"]

#: ASE's unit of velocity, Å √(eV/u) / Å, in Å/ps.
ASE_SPEED: Final = constants.HBAR_ROOT_EV_PER_U / constants.HBAR
#: Where `to_mdanalysis` leaves the times, ps, with what reads a Universe's frames.
TIMES: Final = "xbp_times"
#: Readers of MDAnalysis whose times are those of the file.
_TIMED: Final = ("XTC", "TRR", "TNG", "H5MD")


def reader_of(data: Any) -> tuple[str, Callable[[Source, Given], Found]] | None:
    """Return what objects are called, and their reader; None for a path.

    They are ASE's Atoms or a sequence of them, a Universe of MDAnalysis, or a
    Trajectory of dynasor, known by what they can do.
    """
    if hasattr(data, "get_positions") and hasattr(data, "get_chemical_symbols"):
        data = [data]
    if isinstance(data, list | tuple) or hasattr(data, "iterimages"):
        images = list(data)
        if images and all(hasattr(image, "get_positions") for image in images):
            return "ASE Atoms", lambda _, given: found_of_images(images, given)
        return None
    if hasattr(data, "trajectory") and hasattr(data, "atoms"):
        return "MDAnalysis Universe", partial(_found_of_universe, data)
    if hasattr(data, "atomic_indices") and hasattr(data, "frame_step"):
        return "dynasor Trajectory", partial(_found_of_dynasor, data)
    return None


def found_of_images(
    images: list[Any], given: Given, *, times: np.ndarray | None = None
) -> Found:
    """Return the trajectory of some Atoms of ASE, whose times are asked for.

    Parameters
    ----------
    images : list of ase.Atoms
    given : Given
    times : numpy.ndarray, optional
        Of all images, ps.

    Raises
    ------
    QuantityError, UnitsError
        If elements, cell or times are not known.
    """
    path = given.path
    given.allow(
        f"{path}, with units of its own",
        *("elements", "masses", "time_between_frames", "cell", "reader_options"),
    )
    chosen = given.choose(len(images))
    first = images[chosen[0]]
    require_file(len(first) > 0, path, "it has no atoms")
    for number in chosen:
        problem = f"n_atoms changed from {len(first)} to {len(images[number])}"
        same = len(images[number]) == len(first)
        require_file(same, f"{path}, frame {number}", problem, fix="split the file")
    symbols = np.array(first.get_chemical_symbols(), dtype=str)
    topology = Topology(symbols, np.asarray(first.get_masses(), dtype=float))
    boxes = np.stack([np.asarray(images[i].cell, dtype=float) for i in chosen])
    cells, element, time = at_once(
        lambda: given.cells(boxes),
        lambda: elements_of(given, topology._replace(weigh=False), symbols.size),
        lambda: given.times(len(chosen), own=None if times is None else times[chosen]),
    )

    def rows(numbers: range) -> Iterator[Rows]:
        for atoms in (images[number] for number in numbers):
            v = atoms.get_velocities() * ASE_SPEED if atoms.has("momenta") else None
            names = np.array(atoms.get_chemical_symbols(), dtype=str)
            yield Rows(names, None, np.asarray(atoms.get_positions(), float), v)

    def forces(numbers: range) -> Iterator[Rows]:
        for atoms in (images[number] for number in numbers):
            names = np.array(atoms.get_chemical_symbols(), dtype=str)
            yield Rows(names, None, np.asarray(_results(atoms)["forces"], float))

    periodic = "".join(str(int(side)) for side in first.pbc)
    every = [_results(images[i]) for i in chosen]
    names = set(every[0]).intersection(*every)
    known = sorted(names & {"energy", "free_energy"})
    return Found(
        Frames(path, chosen, rows), cells, element, topology.masses, time, periodic,
        energies={n: np.array([own[n] for own in every], dtype=float) for n in known},
        forces={"force": Frames(path, chosen, forces)} if "forces" in names else {},
    )  # fmt: skip


def _results(atoms: Any) -> dict[str, Any]:
    """Return the energies and forces that Atoms carry, in eV and eV/Å."""
    found = getattr(getattr(atoms, "calc", None), "results", {})
    return {name: value for name, value in found.items() if value is not None}


def _found_of_universe(universe: Any, _: Source, given: Given) -> Found:
    """Return the trajectory of a Universe, in Å and ps; it is read by a copy."""
    path, own = given.path, universe.copy()
    given.allow(
        f"{path}, with units of its own",
        *("elements", "masses", "time_between_frames", "cell"),
    )
    trajectory, lock = own.trajectory, threading.Lock()
    chosen = given.choose(len(trajectory))
    boxes, stamps = np.zeros((len(chosen), 3, 3)), np.zeros(len(chosen))
    for place, number in enumerate(chosen):
        step = trajectory[number]
        stamps[place] = step.time
        if step.dimensions is not None:
            boxes[place] = step.triclinic_dimensions
    moving = bool(trajectory[chosen[0]].has_velocities)
    topology, n_atoms = topology_of(own.atoms), int(own.atoms.n_atoms)
    kind = str(np.atleast_1d(trajectory.format)[0]).upper()
    stated = getattr(universe.trajectory, TIMES, None)
    timed = kind in _TIMED or stated is not None
    stamps = stamps if stated is None else np.asarray(stated)[list(chosen)]
    cells, element, time = at_once(
        lambda: given.cells(boxes),
        lambda: elements_of(given, topology, n_atoms),
        # Of other formats MDAnalysis counts frames, 1 ps apart.
        lambda: given.times(len(chosen), own=stamps if timed else None),
    )
    names = np.arange(n_atoms)

    def rows(numbers: range) -> Iterator[Rows]:
        with lock:  # it has one state
            found = [
                (
                    step.positions.astype(float),
                    step.velocities * 1.0 if moving else None,
                )
                for step in (trajectory[number] for number in numbers)
            ]
        for r, v in found:
            yield Rows(names, None, r, v)

    return Found(Frames(path, chosen, rows), cells, element, topology.masses, time)


def _found_of_dynasor(trajectory: Any, _: Source, given: Given) -> Found:
    """Return what a Trajectory of dynasor reads, in Å and Å/fs; it states no times."""
    path = given.path
    given.allow(
        f"{path}, with units of its own",
        *("elements", "masses", "time_between_frames"),
    )
    indices = {name: np.asarray(at) for name, at in trajectory.atomic_indices.items()}
    order = np.argsort(np.concatenate(list(indices.values())), kind="stable")
    require_file(order.size == trajectory.n_atoms, path, "its species overlap")
    names = np.repeat(list(indices), [at.size for at in indices.values()])[order]
    frames = []
    for frame in trajectory:  # it can only be read forward
        r, v = frame.positions_by_type, frame.velocities_by_type
        every = [r] if v is None else [r, v]
        parts = [np.concatenate([one[name] for name in indices]) for one in every]
        frames.append([part[order] for part in parts])
    chosen = given.choose(len(frames))
    box = np.asarray(trajectory.cell, dtype=float)
    element, time = at_once(
        lambda: elements_of(given, Topology(names), names.size),
        lambda: given.times(len(chosen)),
    )

    def rows(numbers: range) -> Iterator[Rows]:
        for number in numbers:
            r, *v = frames[number]
            yield Rows(names, None, r, *(1e3 * one for one in v))

    cells = np.broadcast_to(box, (len(chosen), 3, 3))
    return Found(Frames(path, chosen, rows), cells, element, None, time)
