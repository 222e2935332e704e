"""What a reader finds in a trajectory: checked, and labelled as a Dataset."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.guards import require_keys, require_positive
from xbp.md.frames import Frames, Rows
from xbp.md.given import SITE
from xbp.md.models import new_trajectory
from xbp.md.plane import Frame
from xbp.md.source import require_file
from xbp.md.weights import atomic_mass

__all__ = [
    "Found",
    "assemble",
    "cell_volume",
    "masses_of",
    "require_motion",
    "require_room",
]


@dataclass(frozen=True)
class Found:
    """What a reader finds in a file.

    Attributes
    ----------
    frames : Frames
    cells : numpy.ndarray, shape (n_frames, 3, 3)
        Å.
    element : numpy.ndarray of str, shape (n_atoms,)
    mass : numpy.ndarray, shape (n_atoms,), or None
        u; 0 or NaN where it is not known.
    time : numpy.ndarray, shape (n_frames,)
        ps.
    periodic : str or None
        As ``attrs["periodic"]`` of a trajectory.
    reduced : bool
        Whether masses are in Lennard-Jones units, so that they may differ from those
        of the elements.
    block : int
        Frames that are stored, and so read, together.
    energies : dict of str to numpy.ndarray, shape (n_frames,)
        Energies that stand beside the frames, by name, eV.
    forces : dict of str to Frames
        Forces, in the place of positions, by name, eV/Å.
    """

    frames: Frames
    cells: np.ndarray
    element: np.ndarray
    mass: np.ndarray | None
    time: np.ndarray
    periodic: str | None = None
    reduced: bool = False
    block: int = 1
    energies: dict[str, np.ndarray] = field(default_factory=dict)
    forces: dict[str, Frames] = field(default_factory=dict)

    def at_rest(self) -> Found:
        """Return it without velocities."""
        read = self.frames.rows

        def rows(numbers: range) -> Iterator[Rows]:
            return (one._replace(velocity=None) for one in read(numbers))

        return replace(self, frames=replace(self.frames, rows=rows, straight=False))

    def without_sites(self) -> Found:
        """Return it without the virtual sites of `elements`.

        Raises
        ------
        QuantityError
            If one of them has a mass.
        """
        atoms = np.flatnonzero(self.element != SITE)
        if atoms.size == self.element.size:
            return self
        left, mass = self.element == SITE, self.mass
        heavy = np.zeros(0) if mass is None else mass[left][mass[left] > 0]
        if heavy.size or not atoms.size:
            wrong = f"a site of {heavy[0]:g} u" if heavy.size else "every atom"
            raise QuantityError(
                f"elements= makes {wrong} in {self.frames.path} a virtual site, "
                "without mass",
                fix="name the element of every atom that has a mass",
            )
        return replace(
            self,
            frames=replace(self.frames, atoms=atoms),
            forces={n: replace(f, atoms=atoms) for n, f in self.forces.items()},
            element=self.element[atoms],
            mass=None if mass is None else mass[atoms],
        )


def assemble(found: Found, mass: np.ndarray, chunk: int | None) -> xr.Dataset:
    """Return the trajectory as a Dataset, by default in chunks of about 8 MiB."""
    frames, cells = found.frames, found.cells
    bytes_ = frames.n_atoms * 3 * sum(kind.itemsize for kind in frames.dtypes)
    # Parts of blocks would be unpacked again for each chunk; huge ones stay apart.
    block = found.block if found.block * bytes_ <= 2**28 else 1
    default = max(1, 8 * 2**20 // bytes_ // block) * block
    size = chunk or default
    position, velocity = frames.arrays(size)
    ds = new_trajectory(
        position,
        time=found.time,
        cell=cells[0] if np.allclose(cells, cells[0], rtol=1e-9, atol=0) else cells,
        velocity=velocity,
        element=found.element,
        mass=mass,
    )
    if found.periodic is not None:
        ds.attrs["periodic"] = found.periodic
    for name, energy in found.energies.items():
        labels = {"units": "eV", "long_name": "energy"}
        ds[name] = ("time", energy, labels)
    for name, read in found.forces.items():
        labels = {"units": "eV/angstrom", "long_name": "force"}
        ds[name] = (ds.position.dims, read.arrays(size)[0], labels)
    return ds


def cell_volume(cell: np.ndarray, where: str) -> float:
    """Return the volume of a cell; refuse cells without one.

    Raises
    ------
    FileFormatError

    Examples
    --------
    >>> round(cell_volume(np.diag([2.0, 3.0, -4.0]), "a"), 9)
    24.0
    """
    known = cell.shape == (3, 3) and (np.abs(cell) < 1e30).all()
    volume = float(abs(np.linalg.det(cell))) if known else float("nan")
    thick = volume > 1e-9 * np.abs(cell).max() ** 3
    require_file(bool(thick), where, f"the cell has a volume of {volume:g}")
    return volume


def masses_of(
    path: Path,
    element: np.ndarray,
    given: Mapping[str, Any] | None,
    known: np.ndarray | None,
    *,
    tolerance: float = 0.25,
) -> np.ndarray:
    """Return the mass of every atom: as given, else in the file, else the element's.

    Parameters
    ----------
    path : Path
    element : numpy.ndarray of str, shape (n_atoms,)
    given : mapping of symbol to scalar with units, optional
        Bare: u.
    known : numpy.ndarray, shape (n_atoms,), or None
        Of the file, u; 0 or NaN where it has none.
    tolerance : float
        Relative; masses in the file that differ more from those of the elements
        contradict them.

    Raises
    ------
    QuantityError
        If masses and elements contradict, or a mass is not known.

    Examples
    --------
    >>> element, known = np.array(["Cu", "Zr"]), np.array([0.0, 91.0])
    >>> masses_of(Path("a"), element, None, known).round(1).tolist()
    [63.5, 91.0]
    """
    symbols = np.unique(element).tolist()
    given = require_keys(given, "masses", symbols)
    mass = np.full(element.size, np.nan) if known is None else np.array(known, float)
    mass[~(np.isfinite(mass) & (mass > 0))] = np.nan
    for symbol in symbols:
        atoms = element == symbol
        if symbol in given:
            mass[atoms] = require_positive(given[symbol], f"masses[{symbol!r}]", "u")
            continue
        here = mass[atoms]
        try:
            standard = atomic_mass(symbol)
        except QuantityError as error:
            # The user's own name for an atom; its mass must be in the file.
            if np.isnan(here).any():
                raise QuantityError(
                    f"{error.summary}, and {path} has no mass for it", fix=error.fix
                ) from None
            continue
        wrong = here[np.abs(here - standard) > tolerance * standard]
        if wrong.size:
            raise QuantityError(
                f"the mass of {symbol} in {path} is {wrong[0]:g} u, but the element "
                f"has {standard:g} u",
                fix=f"masses={{'{symbol}': '{wrong[0]:g} u'}}, or correct elements=",
            )
        mass[atoms] = np.where(np.isnan(here), standard, here)
    return mass


def require_room(path: Path, found: Found, least: float) -> None:
    """Refuse cells and positions in which atoms have less than the least volume, Å³.

    Atoms of that volume fill at most a box about their positions with room for one more
    on each side. Velocities, forces and fractional coordinates that pass for positions
    lie within a much smaller one.

    Raises
    ------
    FileFormatError
    """
    cells, n_atoms = found.cells, max(found.element.size, 1)
    thin = np.linalg.norm(np.linalg.inv(cells), axis=1).max()
    # A plane of atoms is as thick as these.
    each = np.abs(np.linalg.det(cells)).min() / n_atoms * max(1.0, 2.0 * thin)
    dense = f"{each:.3g} angstrom³ per atom: its lengths have the wrong units"
    fix = "correct the cell, or lower densest="
    require_file(each > least, path, dense, fix=fix)
    sides = np.ptp(found.frames.first.position.reshape(-1, 3), axis=0)
    require_file(
        n_atoms * least < np.prod(sides + 2 * least ** (1 / 3)),
        path,
        f"its {n_atoms} atoms lie within {sides.max():.3g} angstrom: these are not "
        "positions in angstrom",
        fix="open the file of positions, or convert them to angstrom",
    )


def require_motion(
    path: Path,
    found: Found,
    mass: np.ndarray,
    *,
    hottest: float,
    factor: float = 2.0,
    rounding: float = 0.002,
    diameter: float = 2.0,
) -> list[Frame]:
    r"""Refuse frames whose displacements are impossible in the time between them.

    Colliding atoms at a kinetic temperature T move no further than

    .. math:: \langle\Delta r^2\rangle \le 2 \ell^2 \left(\frac{v t}{\ell} - 1 + e^{-v
        t/\ell}\right), \quad
              v^2 = \frac{3 k_B T}{m}, \quad \ell = \frac{1}{\sqrt 2\, n \pi d^2}

    which is v²t² at short times and 6Dt with D = vℓ/3 at long ones. The first two and
    the last two frames are read and compared, to the nearest images, which makes
    displacements smaller still.

    Parameters
    ----------
    path : Path
    found : Found
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    hottest : float
        Highest kinetic temperature allowed, K.
    factor : float
        Displacements may belong to a temperature this many times (and 10/√N, as few
        atoms scatter) above that of the velocities in the file.
    rounding : float
        Å, of positions.
    diameter : float
        d, Å: atoms collide at no smaller distance. ℓ is at least a quarter of it.

    Returns
    -------
    list of Frame
        The first and the last frame, if they can be read.

    Raises
    ------
    QuantityError
        If velocities or displacements correspond to a higher temperature.

    References
    ----------
    S. Chapman & T. G. Cowling, The Mathematical Theory of Non-Uniform Gases, 3rd ed.
    (1970), chapters 5 and 6.
    """
    numbers, n_atoms = found.frames.numbers, found.frames.n_atoms
    ends: list[Frame] = []
    for first in sorted({0, max(0, len(numbers) - 2)}):
        pair = numbers[first : first + 2]
        try:
            position, velocity = found.frames.stack(pair)
        except FileFormatError:
            if len(numbers) == 1:
                raise
            # A damaged frame is named when it is computed; the others are good.
            continue
        speed: Any = velocity
        moving = speed is not None
        ends += [(position[i], speed[i] if moving else None) for i in (0, -1)]
        if n_atoms < 2:
            continue
        kelvin = np.nan
        if velocity is not None:
            square = _about_centre(velocity, mass) / len(pair)
            kelvin = square / (3 * (n_atoms - 1) * constants.BOLTZMANN)
        if kelvin > hottest:
            raise QuantityError(
                f"the velocities in {path} give T = {kelvin:.3g} K, above hottest="
                f"{hottest:g} K",
                fix="correct units= (or elements=, masses=), or raise hottest=",
            )
        step = float(np.ptp(found.time[first : first + 2]))
        if not step > 0:
            continue
        cells = found.cells[[first, first + 1]]
        scaled = np.matmul(position, np.linalg.inv(cells))
        hop = scaled[1] - scaled[0]
        way = (hop - np.round(hop)) @ cells.mean(axis=0)
        jump = _about_centre(way[None], mass)
        density = n_atoms / abs(np.linalg.det(cells[0]))
        free = max(1 / (np.sqrt(2) * density * np.pi * diameter**2), diameter / 4)

        own = (factor + 10 / np.sqrt(n_atoms)) * kelvin if kelvin > 0 else np.inf
        limit = min(hottest, own)
        reach = functools.partial(_reach, mass, step, free, rounding)
        if jump > reach(limit):
            way, most = np.sqrt(np.array([jump, reach(limit)]) / mass.sum())
            of = f"T = {kelvin:.3g} K of the velocities" if own < hottest else ""
            fix = (
                "correct units=, timestep= or time_between_frames=; "
                "open independent configurations one at a time: "
                "frames=slice(0, 1)"
            )
            if of and jump <= reach(hottest):  # the positions alone are possible
                fix = f"velocities=False leaves the velocities out; or {fix}"
            raise QuantityError(
                f"after frame {first} of {path} atoms move by {way:.3g} angstrom in "
                f"{step:.4g} ps; thermal motion is at most {most:.3g} angstrom "
                f"({of or f'hottest={hottest:g} K'})",
                fix=fix,
            )
    return [ends[0], ends[-1]] if ends else []


def _reach(
    mass: np.ndarray, step: float, free: float, rounding: float, kelvin: float
) -> float:
    """Return the largest Σ m Δr² of thermal motion, see `require_motion`."""
    x = np.sqrt(3 * constants.BOLTZMANN * kelvin / mass) * step / free
    most = float((mass * 2 * free**2 * (x + np.expm1(-x))).sum())
    return most + 3 * rounding**2 * float(mass.sum())


def _about_centre(vectors: np.ndarray, mass: np.ndarray) -> float:
    """Return Σ m |v|² of some frames, less that of the centre of mass."""
    rest = vectors - np.einsum("tjc,j->tc", vectors, mass / mass.sum())[:, None]
    return float(np.einsum("tjc,tjc,j->", rest, rest, mass))
