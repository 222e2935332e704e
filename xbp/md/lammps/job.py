"""All that a run of LAMMPS depends on, in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

from xbp.core.errors import FileFormatError, QuantityError, RangeError, UnitsError
from xbp.core.units import magnitude
from xbp.md.labels import positive, whole
from xbp.md.lammps.folder import fingerprint
from xbp.md.lammps.systems import SYSTEMS, System, potential_elements, shipped_potential

__all__ = ["choose_system", "collect_job", "make_job", "pair_lines", "potential_file"]

#: Thermodynamics are taken at intervals of about this many ps.
_THERMO = 0.2


def choose_system(
    system: str | System, composition: Mapping[str, float] | None, potential: Any
) -> System:
    """Return the system that arguments mean, with its composition in the order of its types."""
    if isinstance(system, str):
        if system not in SYSTEMS:
            raise QuantityError(
                f"there is no system {system!r}",
                reason="known are " + ", ".join(SYSTEMS),
                fix="name one, or describe yours: xbp.md.lammps.System(...)",
            )
        system = SYSTEMS[system]()
    if composition is not None:
        if set(composition) - set(system.masses):
            raise QuantityError(
                f"composition={dict(composition)} has other species than {system.name}",
                reason=f"those are {', '.join(system.masses)}",
                fix="use these, or describe a System of your own",
            )
        if (
            not all(0 <= x < float("inf") for x in composition.values())
            or not sum(composition.values()) > 0
        ):
            raise RangeError(
                f"composition={dict(composition)}",
                reason="fractions are not negative, and not all 0",
                fix="like {'Zr': 0.46, 'Cu': 0.46, 'Al': 0.08}",
            )
        # In the order of the types, whatever the order given.
        given = {
            s: float(composition[s]) for s in system.masses if composition.get(s, 0) > 0
        }
        total = sum(given.values())
        system = replace(system, composition={s: x / total for s, x in given.items()})
    if system.potential == "" and potential is None:
        raise FileFormatError(
            f"{system.name} needs a potential",
            reason="the lammps package does not ship it",
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
    """Write down in plain numbers all that a run depends on."""
    n_atoms, seed = whole(n_atoms, "n_atoms", 1), whole(seed, "seed")
    species = list(system.composition)
    exact = [n_atoms * fraction for fraction in system.composition.values()]
    counts = [round(x) for x in exact]
    if any(
        abs(x - n) > 1e-6 * max(1, n_atoms) for x, n in zip(exact, counts, strict=True)
    ):
        fitting = [
            n
            for n in range(max(1, n_atoms - 100), n_atoms + 101)
            if _divides(n, system)
        ]
        near = sorted(fitting, key=lambda n: abs(n - n_atoms))[:2]
        raise RangeError(
            f"n_atoms={n_atoms} does not divide into "
            f"{', '.join(f'{x:g} {s}' for s, x in system.composition.items())}",
            reason="that would be "
            f"{', '.join(f'{x:g} {s}' for s, x in zip(species, exact, strict=True))}",
            fix=f"n_atoms={' or '.join(map(str, near))}"
            if near
            else "another number of atoms",
        )
    hot = system.melt if melt is None else positive(melt, "K", "melt")
    clock = _Clock.of(system, timestep, time_between_frames)
    cold = (
        system.final
        if temperature is None
        else positive(temperature, "K", "temperature")
    )
    if hot <= cold:
        raise RangeError(
            f"melt={hot:g} K is not above temperature={cold:g} K",
            reason="a glass is cooled from the liquid",
            fix="raise melt=",
        )
    if isinstance(cooling_rate, Real):
        raise UnitsError(
            f"cooling_rate={cooling_rate} has no units",
            reason="rates are given in K/s as in K/ps",
            fix="like '1e12 K/s'",
        )
    rate = magnitude(cooling_rate, "K/ps", name="cooling_rate")
    if rate <= 0:
        raise RangeError(
            f"cooling_rate={cooling_rate}",
            reason="it must be positive",
            fix="like '1e12 K/s'",
        )
    melt_time, relax_time, collect_time = (
        positive(t, "ps", name)
        for t, name in zip(
            times, ("melt_time", "relax_time", "collect_time"), strict=True
        )
    )
    free = "nvt" if system.constant_volume else "npt"
    return {
        **clock.job(system, potential, species, counts),
        "sides": [(n_atoms / system.number_density) ** (1 / 3)] * 3,
        "moving": False,
        "hottest": hot,
        "temperature": cold,
        "cooling_rate": rate,
        "seed": seed,
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
    *,
    counts: list[int],
    sides: list[float],
    moving: bool,
    temperature: float,
    times: tuple[Any, Any],
    time_between_frames: Any,
    timestep: Any,
    seed: int,
) -> dict[str, Any]:
    """Write down a run that goes on from a configuration, as `make_job` does."""
    seed = whole(seed, "seed")
    clock = _Clock.of(system, timestep, time_between_frames)
    relax_time, collect_time = (
        positive(t, "ps", name)
        for t, name in zip(times, ("relax_time", "collect_time"), strict=True)
    )
    return {
        **clock.job(system, potential, list(system.composition), counts),
        "sides": sides,
        "moving": moving,
        "hottest": temperature,
        "temperature": temperature,
        "cooling_rate": None,
        "seed": seed,
        "stages": [
            clock.stage("relax", temperature, temperature, relax_time, "nvt"),
            clock.stage("collect", temperature, temperature, collect_time, "nvt"),
        ],
    }


@dataclass(frozen=True)
class _Clock:
    """Steps of a run: the time step (ps), and after how many frames and thermodynamics are taken."""

    step: float
    frame_every: int
    thermo_every: int

    @classmethod
    def of(cls, system: System, timestep: Any, time_between_frames: Any) -> _Clock:
        step = (
            system.timestep
            if timestep is None
            else positive(timestep, "ps", "timestep")
        )
        every = positive(time_between_frames, "ps", "time_between_frames") / step
        if abs(every - round(every)) > 1e-6 or round(every) < 1:
            raise RangeError(
                f"time_between_frames={time_between_frames} is {every:.6g} time steps",
                reason=f"frames are taken at steps of {step:g} ps",
                fix="give a multiple of the time step",
            )
        return cls(step, round(every), max(1, round(_THERMO / step)))

    def stage(
        self, name: str, start: float, end: float, time: float, ensemble: str
    ) -> dict[str, Any]:
        multiple = self.frame_every if name == "collect" else self.thermo_every
        steps = max(multiple, round(time / self.step / multiple) * multiple)
        return {
            "name": name, "start": start, "end": end, "steps": steps, "ensemble": ensemble,
            "collect": name == "collect",
        }  # fmt: skip

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


def _divides(n: int, system: System) -> bool:
    return all(abs(n * x - round(n * x)) < 1e-6 for x in system.composition.values())


def pair_lines(system: System, species: list[str]) -> list[str]:
    """Return the pair_style and pair_coeff lines of a system with its species put in.

    ``{potential}`` stays.
    """
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
    path = None
    if potential is not None:
        path = Path(potential).resolve()
        if not path.is_file():
            raise FileFormatError(
                f"there is no file {path}",
                reason="potential= names it",
                fix="check the spelling",
            )
    elif system.potential:
        path = shipped_potential(system.potential)
    if path is not None:
        known = potential_elements(path, system.pair[0])
        if known is not None and set(species) - set(known):
            raise QuantityError(
                f"the potential {path.name} has no "
                f"{', '.join(sorted(set(species) - set(known)))}",
                reason=f"it is for {', '.join(known)}",
                fix="choose another potential, or another composition",
            )
    return path
