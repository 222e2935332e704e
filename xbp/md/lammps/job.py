"""All that a run of LAMMPS depends on, in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.guards import (
    choose,
    require_keys,
    require_number,
    require_positive,
    require_whole,
)
from xbp.md.lammps.runs import fingerprint
from xbp.md.lammps.systems import SYSTEMS, System, potential_elements, shipped_potential
from xbp.md.source import require_file
from xbp.md.trajectory import read_trajectory

__all__ = [
    "Configuration",
    "choose_system",
    "collect_job",
    "make_job",
    "pair_lines",
    "potential_file",
    "read_configuration",
]


@dataclass(frozen=True)
class Configuration:
    """One frame of a trajectory, for LAMMPS.

    Attributes
    ----------
    position : numpy.ndarray, shape (n_atoms, 3)
        Inside the cell, Å.
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

    @property
    def counts(self) -> list[int]:
        """Number of atoms of each species."""
        found = np.bincount(self.types, minlength=len(self.species) + 1)[1:]
        return [int(n) for n in found]


def read_configuration(data: xr.Dataset, system: System) -> Configuration:
    """Return the one frame of a Dataset.

    Raises
    ------
    RangeError
        If it has more frames, or its cell is not orthogonal.
    QuantityError
        If it has other species than the system.
    """
    trajectory = read_trajectory(data)
    cell = trajectory.mean_cell
    if trajectory.n_frames != 1 or not np.allclose(cell, np.diag(np.diag(cell))):
        raise RangeError(
            f"the configuration has {trajectory.n_frames} frames in a cell "
            f"{np.round(cell, 3).tolist()}; one frame in an orthogonal cell is needed",
            fix="glass.isel(time=[-1])",
        )
    elements = trajectory.elements().tolist()
    _require_species(set(elements), system.masses, system.name)
    species = [s for s in system.masses if s in set(elements)]
    moving = trajectory.velocity is not None
    block = trajectory.block(0, 1, velocity=moving)
    scaled = block.scaled()[0]
    return Configuration(
        (scaled - np.floor(scaled)).T @ cell,
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
        # In the order of the types, whatever the order given.
        exact = {
            s: require_number(fractions.get(s, 0), f"composition[{s!r}]", least=0)
            for s in system.masses
        }
        total = require_positive(sum(exact.values()), "the sum of composition=")
        system = replace(
            system, composition={s: x / total for s, x in exact.items() if x > 0}
        )
    require_file(
        system.potential != "" or potential is not None,
        system.name,
        "it needs a potential, which the lammps package does not ship",
        fix="potential='ZrCuAl2011.eam.alloy', the path of the file",
    )
    return system


def make_job(
    system: System,
    potential: Any,
    *,
    n_atoms: int,
    cooling_rate: Any,
    melt: Any,
    temperature: Any,
    times: tuple[Any, Any, Any],
    time_between_frames: Any,
    timestep: Any,
    seed: int,
) -> dict[str, Any]:
    """Return all that a run depends on, as plain numbers."""
    n_atoms = require_whole(n_atoms, "n_atoms")
    counts = _counts(n_atoms, system)
    if counts is None:
        near = sorted(range(-100, 101), key=abs)
        fitting = [n for d in near if (n := n_atoms + d) > 0 and _counts(n, system)]
        raise RangeError(
            f"n_atoms={n_atoms} does not divide into "
            f"{', '.join(f'{x:g} {s}' for s, x in system.composition.items())}",
            fix=f"n_atoms={' or '.join(map(str, fitting[:2]))}" if fitting else "",
        )
    hot = require_positive(system.melt if melt is None else melt, "melt", "K")
    clock = _Clock.of(system, timestep, time_between_frames)
    cold = system.final if temperature is None else temperature
    cold = require_number(cold, "temperature", "K", above=0, below=hot)
    if isinstance(cooling_rate, Real):
        raise UnitsError(
            f"cooling_rate={cooling_rate} has no units",
            fix="cooling_rate='1e12 K/s'",
        )
    rate = require_positive(cooling_rate, "cooling_rate", "K/ps")
    names = ("melt_time", "relax_time", "collect_time")
    melt_time, relax_time, collect_time = _durations(names, times)
    free = "nvt" if system.constant_volume else "npt"
    return {
        **clock.job(system, potential, list(system.composition), counts),
        "sides": [(n_atoms / system.number_density) ** (1 / 3)] * 3,
        "moving": False,
        "hottest": hot,
        "temperature": cold,
        "cooling_rate": rate,
        "seed": require_whole(seed, "seed", least=0),
        "stages": [
            clock.stage("melt", hot, hot, melt_time, free),
            clock.stage("quench", hot, cold, (hot - cold) / rate, free),
            clock.stage("relax", cold, cold, relax_time, free),
            clock.stage("collect", cold, cold, collect_time, "nvt"),
        ],
    }


def collect_job(
    system: System,
    potential: Any,
    start: Configuration,
    *,
    temperature: Any,
    times: tuple[Any, Any],
    time_between_frames: Any,
    timestep: Any,
    seed: int,
) -> dict[str, Any]:
    """Return a run that goes on from a configuration, as `make_job` does."""
    kelvin = start.temperature if temperature is None else temperature
    kelvin = require_positive(
        system.final if kelvin is None else kelvin, "temperature", "K"
    )
    clock = _Clock.of(system, timestep, time_between_frames)
    relax_time, collect_time = _durations(("relax_time", "collect_time"), times)
    return {
        **clock.job(system, potential, list(system.composition), start.counts),
        "sides": start.sides,
        "moving": start.velocity is not None,
        "hottest": kelvin,
        "temperature": kelvin,
        "cooling_rate": None,
        "seed": require_whole(seed, "seed", least=0),
        "stages": [
            clock.stage("relax", kelvin, kelvin, relax_time, "nvt"),
            clock.stage("collect", kelvin, kelvin, collect_time, "nvt"),
        ],
    }


def _durations(names: tuple[str, ...], values: tuple[Any, ...]) -> list[float]:
    both = zip(names, values, strict=True)
    return [require_positive(value, name, "ps") for name, value in both]


def _counts(n_atoms: int, system: System) -> list[int] | None:
    """Return how many atoms of each species there are; None if that is not whole."""
    exact = np.array([n_atoms * x for x in system.composition.values()])
    whole = np.abs(exact - exact.round()) <= 1e-6 * max(1, n_atoms)
    return exact.round().astype(int).tolist() if whole.all() else None


@dataclass(frozen=True)
class _Clock:
    """Time step (ps), and after how many frames and thermodynamics are taken."""

    step: float
    frame_every: int
    thermo_every: int

    @classmethod
    def of(
        cls,
        system: System,
        timestep: Any,
        time_between_frames: Any,
        thermo: float = 0.2,
    ) -> _Clock:
        """Thermodynamics are taken at intervals of about `thermo` ps."""
        step = system.timestep if timestep is None else timestep
        step = require_positive(step, "timestep", "ps")
        between = require_positive(time_between_frames, "time_between_frames", "ps")
        every = between / step
        if abs(every - round(every)) > 1e-6 or round(every) < 1:
            raise RangeError(
                f"time_between_frames={time_between_frames} is {every:.6g} time steps "
                f"of {step:g} ps",
                fix="give a multiple of the time step",
            )
        return cls(step, round(every), max(1, round(thermo / step)))

    def stage(
        self, name: str, start: float, end: float, time: float, ensemble: str
    ) -> dict[str, Any]:
        collect = name == "collect"
        multiple = self.frame_every if collect else self.thermo_every
        return {
            "name": name,
            "start": start,
            "end": end,
            "steps": max(1, round(time / self.step / multiple)) * multiple,
            "ensemble": ensemble,
            "collect": collect,
        }

    def job(
        self, system: System, potential: Any, species: list[str], counts: list[int]
    ) -> dict[str, Any]:
        file = potential_file(system, potential, species)
        return {
            "system": system.name,
            "species": species,
            "counts": counts,
            "masses": [system.masses[s] for s in species],
            "pair": pair_lines(system, species),
            "potential": None if file is None else fingerprint(file),
            "timestep": self.step,
            "frame_every": self.frame_every,
            "thermo_every": self.thermo_every,
            "checkpoint_every": max(5000, 10 * self.thermo_every),
        }


def pair_lines(system: System, species: list[str]) -> list[str]:
    """Return the pair commands of a system with its species; ``{potential}`` stays."""
    return [line.replace("{species}", " ".join(species)) for line in system.pair]


def potential_file(system: System, potential: Any, species: list[str]) -> Path | None:
    """Return the file of a potential, if there is one.

    Raises
    ------
    FileFormatError
        If it does not exist.
    QuantityError
        If it is of other elements.
    """
    if potential is None and not system.potential:
        return None
    path = Path(potential).resolve() if potential is not None else None
    path = shipped_potential(str(system.potential)) if path is None else path
    require_file(
        path.is_file(), path, "there is no such file", fix="correct potential="
    )
    known = potential_elements(path, system.pair[0])
    if known is not None:
        _require_species(set(species), known, f"the potential {path.name}")
    return path
