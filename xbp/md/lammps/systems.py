"""Model glasses by name: composition, forces, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from xbp.core import constants
from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.md.plane import Dimension
from xbp.md.styles import ARGON

__all__ = ["SYSTEMS", "System"]

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
        Atoms per Å³ (in a plane, Å²) at the start; the pressure changes it unless
        `constant_volume`.
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
    dimension : {2, 3}
        2 for atoms in a plane.
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
    dimension: Dimension = 3
    reference: str = ""

    def __post_init__(self) -> None:
        choose(self.dimension, Dimension, "dimension")
        for line in self.pair:
            # A line of LAMMPS can do anything, a shell command too; these describe
            # forces.
            if not line.startswith(_PAIR_COMMANDS) or "\n" in line or "$" in line:
                raise QuantityError(
                    f"pair has the line {line!r}; only these commands are allowed: "
                    f"{', '.join(c.strip() for c in _PAIR_COMMANDS)}"
                )


def _argon() -> tuple[float, float, float]:
    """Return σ (Å), m (u) and ε (eV, ε/k_B is 120 K) of argon."""
    return ARGON.length, ARGON.atomic_mass, constants.BOLTZMANN_MEV * 1e-3 * 120.0


def _kob_andersen_pair() -> tuple[str, ...]:
    size, _, epsilon = _argon()
    pairs = ((1, 1, 1.0, 1.0), (1, 2, 1.5, 0.8), (2, 2, 0.5, 0.88))
    lines = ["pair_style lj/smooth/linear 9.0"]
    lines += [
        f"pair_coeff {i} {j} {epsilon * e:.10g} {size * s:.10g} {2.5 * size * s:.10g}"
        for i, j, e, s in pairs
    ]
    return tuple(lines)


def _kob_andersen() -> System:
    size, mass, _ = _argon()
    return System(
        "kob_andersen",
        {"A": 0.8, "B": 0.2},
        {"A": mass, "B": mass},
        _kob_andersen_pair(),
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


def _kob_andersen_2d() -> System:
    size, mass, _ = _argon()
    return System(
        "kob_andersen_2d",
        # With 80:20, planes crystallise.
        {"A": 0.65, "B": 0.35},
        {"A": mass, "B": mass},
        _kob_andersen_pair(),
        number_density=1.2 / size**2,
        melt=120.0,
        final=6.0,
        timestep=0.005,
        constant_volume=True,
        dimension=2,
        reference="R. Brüning et al., J. Phys.: Condens. Matter 21, 035117 (2009), "
        "doi:10.1088/0953-8984/21/3/035117; "
        "potential and force shifted to zero at 2.5 sigma",
    )


def _inverse_power_pair() -> tuple[str, ...]:
    size, _, epsilon = _argon()
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
    return tuple(lines)


def _inverse_power() -> System:
    size, mass, _ = _argon()
    return System(
        "inverse_power",
        {"A": 0.5, "B": 0.5},
        {"A": mass, "B": mass},
        _inverse_power_pair(),
        number_density=0.82 / size**3,
        melt=240.0,
        final=6.0,
        timestep=0.005,
        constant_volume=True,
        reference="E. Lerner, J. Non-Cryst. Solids 522, 119570 (2019), "
        "doi:10.1016/j.jnoncrysol.2019.119570",
    )


def _inverse_power_2d() -> System:
    size, mass, _ = _argon()
    return System(
        "inverse_power_2d",
        {"A": 0.5, "B": 0.5},
        {"A": mass, "B": mass},
        _inverse_power_pair(),
        number_density=0.86 / size**2,
        melt=120.0,
        final=6.0,
        timestep=0.005,
        constant_volume=True,
        dimension=2,
        reference="G. Kapteijns, E. Bouchbinder & E. Lerner, Phys. Rev. Lett. 121, "
        "055501 (2018), doi:10.1103/PhysRevLett.121.055501; "
        "number density from memory",
    )


def _falling(power: int, order: int) -> float:
    """Return the factor of the derivative of that order of x**power."""
    return float(np.prod([power - k for k in range(order)])) if order else 1.0


_MASS = {"Zr": 91.224, "Cu": 63.546, "Al": 26.9815, "Si": 28.0855, "O": 15.9994}
SYSTEMS: dict[str, Callable[[], System]] = {
    "kob_andersen": _kob_andersen,
    "inverse_power": _inverse_power,
    "kob_andersen_2d": _kob_andersen_2d,
    "inverse_power_2d": _inverse_power_2d,
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
