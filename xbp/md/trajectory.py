"""A trajectory in the data model, held to it, and cut into blocks of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError, RangeError, TemperatureError
from xbp.core.pint_data import unwrap
from xbp.core.schema import check_coordinate, require_units
from xbp.core.units import convert_factor, to_kelvin
from xbp.md.block import Block
from xbp.md.motion import AFFINE, cell_rate, contains_affine, motion_attrs
from xbp.md.wavevectors import periodic_axes

__all__ = ["Block", "Trajectory", "read_trajectory"]


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
        return self.cell if self.cell.ndim == 2 else self.cell.mean(axis=0)

    @property
    def volume(self) -> float:
        """Volume of the mean cell, Å³."""
        return float(abs(np.linalg.det(self.mean_cell)))

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
                "the trajectory has one frame, and motion needs several",
                fix="structure_factor() and radial_distribution() need only one",
            )
        steps = np.diff(self.time)
        step = float(np.median(steps))
        uneven = np.abs(steps - step) > 1e-4 * step  # rounding of times with few digits
        if uneven.any():
            at = int(np.argmax(uneven))
            raise CoordinateError(
                f"the frames are not equally spaced: {steps[at]:.6g} ps after frame "
                f"{at}, elsewhere {step:.6g} ps",
                fix="choose a part: traj.isel(time=slice(start, stop, step))",
            )
        return float((self.time[-1] - self.time[0]) / (self.n_frames - 1))

    @property
    def degrees_of_freedom(self) -> int:
        """Kinetic ones, the centre of mass being at rest: 3(N−1), in a plane 2(N−1)."""
        return int(self.source.attrs.get("dimension", 3)) * (self.n_atoms - 1)

    @property
    def has_thermometer(self) -> bool:
        """Whether the temperature is to be measured by the velocities."""
        known = self.velocity is not None and self.mass is not None
        return (
            known
            and self.temperature() is None
            and min(self.n_atoms, self.n_frames) > 1
        )

    def require_velocity(self) -> None:
        """Refuse a trajectory without velocities."""
        if self.velocity is None:
            raise QuantityError(
                "the trajectory has no velocities",
                fix="write them in the simulation (LAMMPS: dump ... vx vy vz), or "
                "pass T= where only the temperature is missing",
            )

    @cached_property
    def share(self) -> np.ndarray:
        """Fraction of the mass in each atom, equal if masses are unknown."""
        mass = np.ones(self.n_atoms) if self.mass is None else self.mass
        return np.asarray(mass / mass.sum())

    @cached_property
    def dimension(self) -> int:
        """Two by ``attrs["dimension"]`` or for a plane of atoms in a thin cell."""
        stated = self.source.attrs.get("dimension", 3) == 2
        return 2 if stated or not self._images.all() else 3

    @cached_property
    def repeats(self) -> np.ndarray:
        """Cell vectors along which the box repeats: not open, not across a plane."""
        return np.asarray(_sides(self.source) & self._images)

    @cached_property
    def _images(self) -> np.ndarray:
        plane = self.source.attrs.get("dimension", 3) == 2
        return periodic_axes(self.block(0, 1).scaled()[0], self.mean_cell, plane=plane)

    def require_space(self, what: str) -> None:
        """Refuse a plane of atoms for what is defined in three dimensions."""
        if self.dimension == 2:
            raise QuantityError(
                f"the trajectory is a plane of atoms, but {what} is defined in three "
                "dimensions",
                fix="structure_factor(), radial_distribution(), msd() and "
                "local_fields() work in two dimensions",
            )

    @cached_property
    def affine(self) -> bool | None:
        """Whether velocities contain the motion of the cell; None if it is unclear.

        Programs differ: velocities are often those relative to a moving cell.
        """
        if self.velocity is None or self._rate is None:
            return None
        several = np.unique(np.linspace(0, self.n_frames - 1, 128).astype(int)).tolist()
        found = [self.block(i, i + 1, velocity=True, affine=True) for i in several]
        return contains_affine(
            np.concatenate([block.velocities() for block in found]),
            np.concatenate([block.affine_velocities() for block in found]),
            self.share,
        )

    def motion(
        self, drift: np.ndarray, window: float, *, velocity: bool = False
    ) -> dict[str, str]:
        """Return the attributes that `motion_attrs` makes."""
        moving = self.cell.ndim == 3
        text = (
            AFFINE[self.affine if velocity and self._rate is not None else True]
            if moving
            else None
        )
        return motion_attrs(drift, window, text)

    @cached_property
    def _rate(self) -> np.ndarray | None:
        return cell_rate(self.cell, self.time)

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
            self.cell if self.cell.ndim == 2 else self.cell[start:stop],
            self.units,
            start,
            share=self.share,
            rate=None if rate is None else rate[start:stop],
        )

    def masses(self) -> np.ndarray:
        """Return the masses; refuse a trajectory without them."""
        if self.mass is None:
            raise QuantityError(
                "the trajectory has no masses",
                fix="traj['mass'] = ('atom', values, {'units': 'u'}), or "
                "weights='unit'",
            )
        return self.mass

    def elements(self) -> np.ndarray:
        """Return the elements; refuse a trajectory without them."""
        if self.element is None:
            raise QuantityError(
                "the trajectory does not state which elements its atoms are",
                fix="traj = traj.assign_coords(element=('atom', symbols)), or "
                "weights='unit'",
            )
        return self.element

    def temperature(self) -> float | None:
        """Return the scalar temperature of the Dataset in K, or None."""
        if "temperature" not in self.source.coords:
            return None
        carried = self.source.coords["temperature"]
        if carried.ndim:
            raise TemperatureError(
                f"the trajectory's temperature is over {carried.dims}",
                fix="traj = traj.drop_vars('temperature'), and T= where one is needed",
            )
        return float(
            to_kelvin(
                float(carried),
                require_units(carried, "coordinate 'temperature'", "K"),
                name="T",
            )
        )


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
        given = "a Dataset without positions"
        given = given if isinstance(data, xr.Dataset) else type(data).__name__
        raise QuantityError(
            f"a trajectory is needed, a Dataset with 'position'; got {given}",
            fix="open one with xbp.md.open_trajectory(path)",
        )
    plain, _ = unwrap(data)
    position = _array(plain, "position", "angstrom")
    velocity = _array(plain, "velocity", "angstrom/ps") if "velocity" in plain else None
    check_coordinate(plain, "time")
    time = plain["time"].values * convert_factor(
        plain["time"].attrs["units"], "ps", name="coordinate 'time'"
    )
    element = (
        plain["element"].values.astype(str) if "element" in plain.variables else None
    )
    mass = None
    if "mass" in plain:
        units = require_units(plain["mass"], "'mass'", "u")
        factor = convert_factor(units, "u", name="'mass'")
        mass = np.asarray(plain["mass"].values, dtype=float) * factor
        wrong = mass[~(np.isfinite(mass) & (mass > 0))]
        if wrong.size:
            raise QuantityError(
                f"'mass' has the value {wrong[0]:g} u; masses are finite and positive",
                fix="traj['mass'] = ('atom', values, {'units': 'u'})",
            )
    for name, per_atom in (("element", element), ("mass", mass)):
        if per_atom is not None and per_atom.shape != (position.sizes["atom"],):
            raise QuantityError(
                f"'{name}' has the shape {per_atom.shape}, with "
                f"{position.sizes['atom']} atoms",
                fix=f"traj['{name}'] = ('atom', values)",
            )
    factor = convert_factor(position.attrs["units"], "angstrom", name="'position'")
    speed = (
        1.0
        if velocity is None
        else convert_factor(velocity.attrs["units"], "angstrom/ps", name="'velocity'")
    )
    return Trajectory(
        position.data,
        None if velocity is None else velocity.data,
        element,
        mass,
        _cell(plain),
        time,
        (factor, speed),
        plain,
    )


def _array(data: xr.Dataset, name: str, units: str) -> xr.DataArray:
    """Return a vector for every atom and time, over ('time', 'atom', 'xyz')."""
    array = data[name]
    if (
        set(array.dims) != {"time", "atom", "xyz"}
        or array.sizes["xyz"] != 3
        or array.dtype.kind not in "fiu"
        or array.size == 0
    ):
        problem = "is empty" if array.size == 0 else f"has the type {array.dtype}"
        raise QuantityError(
            f"'{name}' has the shape {dict(array.sizes)} and {problem}; it must be "
            "numbers over ('time', 'atom', 'xyz')",
            fix="traj.expand_dims('time') for one frame; three components for "
            "two-dimensional data too",
        )
    require_units(array, f"'{name}'", units)
    return array.transpose("time", "atom", "xyz")


def _sides(data: xr.Dataset) -> np.ndarray:
    """Return which sides are periodic: all, without ``attrs["periodic"]``."""
    digits = str(data.attrs.get("periodic", "111"))
    return np.array([digit != "0" for digit in digits.ljust(3, "1")[:3]])


def _cell(data: xr.Dataset) -> np.ndarray:
    """Return the cell in Å, (3, 3) or (time, 3, 3); refuse one that has no volume."""
    fix = "traj['cell'] = (('vector', 'xyz'), rows, {'units': 'angstrom'})"
    cell = data.get("cell")
    dims = ("time", "vector", "xyz")[cell is not None and "time" not in cell.dims :]
    sizes = {} if cell is None else {d: n for d, n in cell.sizes.items() if d != "time"}
    if cell is None or sizes != {"vector": 3, "xyz": 3}:
        own = "there is none" if cell is None else f"'cell' has the shape {sizes}"
        raise QuantityError(
            f"the trajectory needs a 'cell' of three vectors in rows: {own}", fix=fix
        )
    units = require_units(cell, "'cell'", "angstrom")
    values = np.asarray(cell.transpose(*dims).values, dtype=float) * convert_factor(
        units, "angstrom", name="'cell'"
    )
    if values.ndim == 3 and not (open_ := ~_sides(data)).all() and open_.any():
        # Open sides follow the outermost atoms: they are no motion of a cell.
        values[:, open_] = values[:, open_].mean(axis=0)
    volume = (
        np.abs(np.linalg.det(values))
        if np.isfinite(values).all()
        else np.array([np.nan])
    )
    if not (volume > 1e-9 * np.abs(values).max() ** 3).all():
        raise RangeError(
            f"'cell' has the volume {np.min(volume):g} angstrom**3; a free cluster has "
            "no allowed Q",
            fix=fix,
        )
    return values
