"""A trajectory, checked against the data model and cut into blocks of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import dimension_of, temperature_coordinate
from xbp.core.data import require_over, require_values, unwrap
from xbp.core.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    kind_of,
    require,
)
from xbp.core.guards import require_agreement
from xbp.core.schema import check_coordinate, require_units
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, to_kelvin
from xbp.md.block import HALF_A_CELL, Block, cell_rate, contains_affine, heights
from xbp.md.plane import images_along
from xbp.models.dimension import kinetic_degrees

__all__ = [
    "Block",
    "Trajectory",
    "drift_unknown",
    "read_trajectory",
    "sample_temperature",
]


def drift_unknown(fix: str) -> Diagnostic:
    """Return the diagnostic of positions too far apart to follow the whole."""
    text = f"{HALF_A_CELL}: drift was not removed"
    return Diagnostic("drift_unknown", "warning", text, fix)


@dataclass(frozen=True)
class Trajectory:
    """What the engine needs of a trajectory, in Å, ps and u.

    Attributes
    ----------
    position, velocity : array, shape (time, atom, 3)
        numpy or dask, in the file's units; velocity may be None.
    element : numpy.ndarray of str, shape (atom,), or None
    mass : numpy.ndarray, shape (atom,), or None
        In u.
    cell : numpy.ndarray, shape (3, 3) or (time, 3, 3)
        Rows are cell vectors, Å.
    time : numpy.ndarray, shape (time,)
        In ps.
    units : tuple of float
        Factors to Å and Å/ps.
    source : xarray.Dataset
        What was passed.
    """

    position: Any
    velocity: Any
    element: np.ndarray | None
    mass: np.ndarray | None
    cell: np.ndarray
    time: np.ndarray
    units: tuple[float, float]
    source: xr.Dataset

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.position.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.position.shape[1])

    @property
    def mean_cell(self) -> np.ndarray:
        """Cell averaged over the frames, shape (3, 3), Å."""
        return np.asarray(self.cell.reshape(-1, 3, 3).mean(axis=0))

    @property
    def cells(self) -> np.ndarray:
        """Cell of every frame, shape (time, 3, 3), Å."""
        return np.broadcast_to(self.cell, (self.n_frames, 3, 3))

    @property
    def volume(self) -> float:
        """Volume of the mean cell, Å³."""
        return float(abs(np.linalg.det(self.mean_cell)))

    @property
    def density(self) -> float:
        """Atoms per volume, 1/Å³; per area of a plane, 1/Å²."""
        across = heights(self.mean_cell)[~self._images]
        return self.n_atoms / self.volume * float(np.prod(across))

    @property
    def time_step(self) -> float:
        """Time between frames, ps.

        Raises
        ------
        CoordinateError
            If there is one frame, or the frames are not equally spaced.
        """
        if self.n_frames < 2:
            raise CoordinateError(
                "the trajectory has one frame; motion needs several",
                fix="use structure_factor() or radial_distribution()",
            )
        steps = np.diff(self.time)
        step = float(np.median(steps))
        uneven = np.abs(steps - step) > 1e-4 * step  # rounding of times with few digits
        if uneven.any():
            at = int(np.argmax(uneven))
            raise CoordinateError(
                f"the frames are not equally spaced: {steps[at]:.6g} ps after frame "
                f"{at}, elsewhere {step:.6g} ps",
                fix="traj.isel(time=slice(start, stop, step))",
            )
        return float((self.time[-1] - self.time[0]) / (self.n_frames - 1))

    @property
    def degrees_of_freedom(self) -> int:
        """Kinetic ones, the centre of mass being at rest: 3(N−1), in a plane 2(N−1)."""
        return kinetic_degrees(self.n_atoms, self.dimension)

    @property
    def has_thermometer(self) -> bool:
        """Whether the temperature is to be measured by the velocities."""
        known = self.velocity is not None and self.mass is not None
        several = min(self.n_atoms, self.n_frames) > 1
        return known and several and self.temperature() is None

    def _stated(self, name: str, plural: str, fix: str) -> Any:
        """Return what a trajectory may lack; refuse one without it."""
        if getattr(self, name) is None:
            raise QuantityError(f"the trajectory has no {plural}", fix=fix)
        return getattr(self, name)

    def require_velocity(self) -> None:
        """Refuse a trajectory without velocities."""
        self._stated("velocity", "velocities", "LAMMPS: dump ... vx vy vz")

    def masses(self) -> np.ndarray:
        """Return the masses; refuse a trajectory without them."""
        fix = "traj['mass'] = ('atom', values, {'units': 'u'}), or weights='unit'"
        return np.asarray(self._stated("mass", "masses", fix))

    def elements(self) -> np.ndarray:
        """Return the elements; refuse a trajectory without them."""
        fix = "traj.assign_coords(element=('atom', symbols)), or weights='unit'"
        return np.asarray(self._stated("element", "elements", fix))

    @cached_property
    def share(self) -> np.ndarray:
        """Fraction of the mass in each atom, equal if masses are unknown."""
        mass = np.ones(self.n_atoms) if self.mass is None else self.mass
        return np.asarray(mass / mass.sum())

    @cached_property
    def dimension(self) -> int:
        """Three, or two of a plane of atoms."""
        return dimension_of(self.source)

    @cached_property
    def repeats(self) -> np.ndarray:
        """Cell vectors along which the box repeats: not open, not across a plane."""
        return np.asarray(_sides(self.source) & self._images)

    @property
    def lowest_wavevector(self) -> float:
        """Smallest wave vector that the box allows, 1/Å; infinite if none is.

        Of a skew cell it may be a sum of reciprocal vectors.
        """
        sides = [np.arange(-2, 3) if one else np.zeros(1) for one in self.repeats]
        hkl = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 3)
        Q = np.linalg.norm(2 * np.pi * hkl @ np.linalg.inv(self.mean_cell).T, axis=1)
        return float(Q[Q > 0].min(initial=np.inf))

    @property
    def is_periodic(self) -> bool:
        """Whether the box repeats in all dimensions of the atoms."""
        return int(self.repeats.sum()) == self.dimension

    @property
    def _images(self) -> np.ndarray:
        """Along which cell vectors an atom has images: not across a plane."""
        return images_along(self.mean_cell, self.dimension)

    @cached_property
    def affine(self) -> bool | None:
        """Whether velocities contain the motion of the cell; None if it is unclear.

        Programs differ: velocities are often those relative to a moving cell.
        """
        if self.velocity is None or self._rate is None:
            return None
        several = np.unique(np.linspace(0, self.n_frames - 1, 128).astype(int)).tolist()
        found = [self.block(i, i + 1, velocity=True, affine=True) for i in several]
        both = [(one.velocities(), one.affine_velocities()) for one in found]
        velocity, affine = map(np.concatenate, zip(*both, strict=True))
        return contains_affine(velocity, affine, self.share)

    def motion(
        self,
        drift: np.ndarray,
        window: float,
        *,
        velocity: bool = False,
        least: float = 0.1,
    ) -> dict[str, str]:
        """Record what was done about the motion of centre of mass and cell.

        Parameters
        ----------
        drift : numpy.ndarray, shape (3,)
            Mean velocity of the centre of mass, Å/ps; NaN where it is not known.
        window : float
            Time over which motion is seen, ps.
        velocity : bool
            Whether the results are of velocities.
        least : float
            Å; a drift by less within the window is taken off without a word.

        Returns
        -------
        dict
            Attributes to set: ``center_of_mass`` and ``affine_motion``, and what is to
            be known.
        """
        doubts, attrs = [], {"center_of_mass": "at rest"}
        way = float(np.linalg.norm(drift)) * window
        if not np.isfinite(way):
            attrs["center_of_mass"] = "as in the trajectory"
            doubts.append(drift_unknown("write frames more often"))
        elif way > least:
            text = f"a drift of {way:.3g} angstrom in {window:.4g} ps was removed"
            doubts.append(Diagnostic("drift", "info", text))
        if self.cell.ndim == 3:
            known = self.affine if velocity and self._rate is not None else True
            states = {True: "taken off", False: "not in the velocities"}
            attrs["affine_motion"] = "unknown" if known is None else states[known]
            if known is None:
                text = "the motion of the cell was kept if velocities include it"
                fix = "simulate at constant volume"
                doubts.append(Diagnostic("affine_motion", "warning", text, fix))
        return {**attrs, **diagnosed({}, *doubts)}

    @cached_property
    def _rate(self) -> np.ndarray | None:
        return cell_rate(self.cells, self.time)

    def block(
        self,
        start: int,
        stop: int,
        *,
        position: bool = True,
        velocity: bool = False,
        affine: bool = False,
    ) -> Block:
        """Return frames start … stop−1.

        With `affine`, the velocities are taken to contain the motion of the cell.
        """
        if velocity:
            self.require_velocity()
        rate = self._rate if velocity and (affine or self.affine) else None
        return Block(
            self.position[start:stop] if position or rate is not None else None,
            self.velocity[start:stop] if velocity else None,
            self.cells[start:stop],
            self.units,
            start,
            share=self.share,
            rate=None if rate is None else rate[start:stop],
            dimension=self.dimension,
        )

    def temperature(self) -> float | None:
        """Return the scalar temperature of the Dataset in K, or None."""
        if "temperature" not in self.source.coords:
            return None
        carried = self.source.coords["temperature"]
        fix = "traj.drop_vars('temperature'), and T="
        wanted = "a trajectory has one temperature"
        require_over(carried, (), wanted, fix=fix, error=TemperatureError)
        units = require_units(carried, "coordinate 'temperature'", "K")
        return float(to_kelvin(float(carried), units, name="T"))

    def doubts_about(self, temperature: xr.Variable) -> list[Diagnostic]:
        """Return the diagnostic of velocities of another temperature than stated (K).

        Three frames suffice: each has its temperature to √(2/degrees of freedom).
        """
        known = self.velocity is not None and self.mass is not None
        if not known or self.n_atoms < 2 or "source" in temperature.attrs:
            return []
        at = {0, self.n_frames // 2, self.n_frames - 1}
        frames = [self.block(i, i + 1, position=False, velocity=True) for i in at]
        compute = require("dask", "read trajectories in chunks", "md").compute
        (blocks,) = compute(frames)
        energy = np.mean([block.twice_kinetic(self.mass) for block in blocks])
        found = float(energy) / (self.degrees_of_freedom * constants.BOLTZMANN)
        stated = float(temperature)
        allowed = stated * max(0.1, 5 * np.sqrt(2 / self.degrees_of_freedom))
        # At rest they were never drawn.
        if found < 1e-3 or not abs(found - stated) > allowed:
            return []
        text = f"the velocities give {found:.4g} K, but T = {stated:.4g} K is stated"
        fix = "correct temperature= or T=; rigid bonds lower it, too"
        return [Diagnostic("temperature_of_velocities", "warning", text, fix)]


def read_trajectory(data: xr.Dataset) -> Trajectory:
    """Check a Dataset against the data model of a trajectory.

    Parameters
    ----------
    data : xarray.Dataset
        ``position`` (time, atom, xyz), and where present ``velocity``, ``mass`` (atom),
        ``element`` (atom); ``cell`` (vector, xyz), or (time, vector, xyz) if it
        changes; each with units.

    Returns
    -------
    Trajectory

    Raises
    ------
    QuantityError, UnitsError, CoordinateError
        If it is not a trajectory, or something is missing, empty or in other units.

    Examples
    --------
    >>> import numpy as np
    >>> position = (("time", "atom", "xyz"), np.zeros((2, 1, 3)), {"units": "angstrom"})
    >>> cell = (("vector", "xyz"), 10 * np.eye(3), {"units": "angstrom"})
    >>> time = {"time": ("time", [0.0, 0.5], {"units": "ps"})}
    >>> traj = xr.Dataset({"position": position, "cell": cell}, coords=time)
    >>> round(read_trajectory(traj).volume, 6)
    1000.0
    """
    if not isinstance(data, xr.Dataset) or "position" not in data:
        raise QuantityError(
            "a trajectory is needed, a Dataset with 'position'; got "
            f"{kind_of(data)} without it",
            fix="open one with xbp.md.open_trajectory(path)",
        )
    plain, _ = unwrap(data)
    position, length = _array(plain, "position", "angstrom")
    velocity, speed = None, 1.0
    if "velocity" in plain:
        velocity, speed = _array(plain, "velocity", "angstrom/ps")
    check_coordinate(plain, "time")
    element = mass = None
    if "element" in plain.variables:
        element = plain["element"].values.astype(str)
    if "mass" in plain:
        given = plain["mass"].values
        if given.dtype.kind not in "fiu":
            raise QuantityError(f"'mass' is of type {given.dtype}, not numbers")
        mass = given.astype(float) * _factor(plain, "mass", "u")
        limits: Any = {"above": 0, "below": np.inf, "error": QuantityError}
        require_values(mass, "'mass'", "u", **limits)
    for name, per_atom in (("element", element), ("mass", mass)):
        if per_atom is not None and per_atom.shape != position.shape[1:2]:
            raise QuantityError(
                f"'{name}' has the shape {per_atom.shape}, with {position.shape[1]} "
                "atoms",
                fix=f"traj['{name}'] = ('atom', values)",
            )
    time = plain["time"].values * _factor(plain, "time", "ps")
    cell = _cell(plain)
    return Trajectory(
        position, velocity, element, mass, cell, time, (length, speed), plain
    )


def _factor(data: xr.Dataset, name: str, units: str) -> float:
    """Return the factor from the units of a variable."""
    own = require_units(data[name], f"'{name}'", units)
    return convert_factor(own, units, name=f"'{name}'")


def _array(data: xr.Dataset, name: str, units: str) -> tuple[Any, float]:
    """Return a vector for every atom and time, over ('time', 'atom', 'xyz')."""
    array, dims = data[name], ("time", "atom", "xyz")
    shaped = set(array.dims) == set(dims) and array.sizes["xyz"] == 3
    if not shaped or array.dtype.kind not in "fiu" or array.size == 0:
        problem = "is empty" if array.size == 0 else f"has the type {array.dtype}"
        raise QuantityError(
            f"'{name}' has the shape {dict(array.sizes)} and {problem}; it must be "
            f"numbers over {dims}",
            fix="traj.expand_dims('time') for one frame",
        )
    return array.transpose(*dims).data, _factor(data, name, units)


def _sides(data: xr.Dataset) -> np.ndarray:
    """Return which sides are periodic: all, without ``attrs["periodic"]``."""
    digits = str(data.attrs.get("periodic", "111"))
    return np.array([digit != "0" for digit in digits.ljust(3, "1")[:3]])


def _cell(data: xr.Dataset) -> np.ndarray:
    """Return the cell in Å, (3, 3) or (time, 3, 3); refuse one that has no volume."""
    cell = data.get("cell")
    sizes = {} if cell is None else {d: n for d, n in cell.sizes.items() if d != "time"}
    if cell is None or sizes != {"vector": 3, "xyz": 3}:
        raise QuantityError(
            f"the trajectory needs a 'cell' of three vectors; it has {sizes or 'none'}",
            fix=_CELL,
        )
    dims = ("time", "vector", "xyz")["time" not in cell.dims :]
    values = np.asarray(cell.transpose(*dims).values, dtype=float)
    values = values * _factor(data, "cell", "angstrom")
    if values.ndim == 3 and not (open_ := ~_sides(data)).all() and open_.any():
        # Open sides follow the outermost atoms: they are no motion of a cell.
        values[:, open_] = values[:, open_].mean(axis=0)
    with np.errstate(invalid="ignore"):  # of cells that are not finite
        volume = np.abs(np.linalg.det(values))
    if not (volume > 1e-9 * np.abs(values).max() ** 3).all():
        raise RangeError(
            f"'cell' has the volume {np.min(volume):g} angstrom**3; a free cluster has "
            "no allowed Q",
            fix=_CELL,
        )
    return values


_CELL = "traj['cell'] = (('vector', 'xyz'), rows, {'units': 'angstrom'})"


def sample_temperature(
    trajectory: Trajectory, T: Any, measured: tuple[float, float | None] | None = None
) -> xr.Variable | None:
    """Return the temperature (K): given, of the Dataset, or measured by velocities.

    Parameters
    ----------
    trajectory : Trajectory
    T : scalar with units, optional
        Bare: K.
    measured : (float, float or None), optional
        T = Σ m v² / (3 (N−1) k_B) with the centre of mass at rest, and its standard
        deviation; then ``attrs["source"]`` is ``"velocities"`` and ``attrs["std"]`` the
        latter. Below 1 mK and above 100 000 K velocities were never drawn, or are in
        other units: None.
    """
    carried = trajectory.temperature()
    given = None if T is None else float(temperature_coordinate(T).values)
    if given is not None and carried is not None:
        require_agreement(
            given,
            carried,
            "T",
            "K",
            source="the trajectory",
            tolerance=1e-9,
            error=TemperatureError,
        )
    if given is not None or carried is not None:
        return temperature_coordinate(given if given is not None else carried)
    if measured is None or not 1e-3 < measured[0] < 1e5:
        return None
    found = temperature_coordinate(measured[0])
    std = {} if measured[1] is None else {"std": measured[1]}
    found.attrs |= {"source": "velocities", **std}
    return found
