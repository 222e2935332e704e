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

# Time steps written with few digits differ by rounding.
_SAME_STEP = 1e-4
#: Frames that show whether velocities contain the motion of the cell.
_AFFINE_FRAMES = 128


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
                "the trajectory has one frame",
                reason="nothing about its motion is known",
                fix="use what needs one frame only: .bp.structure_factor(), "
                ".bp.radial_distribution()",
            )
        steps = np.diff(self.time)
        step = float(np.median(steps))
        uneven = np.abs(steps - step) > _SAME_STEP * step
        if uneven.any():
            at = int(np.argmax(uneven))
            raise CoordinateError(
                f"the frames are not equally spaced: {steps[at]:.6g} ps after frame "
                f"{at}, elsewhere {step:.6g} ps",
                reason="time correlations need one time step",
                fix="choose an evenly spaced part: traj.isel(time=slice(start, stop, "
                "step))",
            )
        return float((self.time[-1] - self.time[0]) / (self.n_frames - 1))

    @property
    def degrees_of_freedom(self) -> int:
        """Kinetic ones, the centre of mass being at rest: 3(N−1), in a plane 2(N−1)."""
        return int(self.source.attrs.get("dimension", 3)) * (self.n_atoms - 1)

    @property
    def has_thermometer(self) -> bool:
        """Whether velocities can tell the temperature, which the Dataset does not carry; one frame cannot."""
        known = self.velocity is not None and self.mass is not None
        return (
            known
            and self.temperature() is None
            and min(self.n_atoms, self.n_frames) > 1
        )

    def require_velocity(self) -> None:
        """Say what is missing where something is made of velocities."""
        if self.velocity is None:
            raise QuantityError(
                "the trajectory has no velocities",
                reason="currents, the vibrational density of states and the "
                "temperature are made of them",
                fix="write them in the simulation (LAMMPS: dump ... vx vy vz), or "
                "pass T= where only T is missing",
            )

    @cached_property
    def share(self) -> np.ndarray:
        """Of each atom in the mass of all, shape (atom,).

        Equal where masses are not known.
        """
        mass = np.ones(self.n_atoms) if self.mass is None else self.mass
        return np.asarray(mass / mass.sum())

    @cached_property
    def dimension(self) -> int:
        """Three, or two where all atoms are in one plane.

        By ``attrs["dimension"]``, or in a cell too thin for more.
        """
        if self.source.attrs.get("dimension", 3) == 2:
            return 2
        return 3 if self._images.all() else 2

    @cached_property
    def repeats(self) -> np.ndarray:
        """Along which cell vectors the box repeats, shape (3,).

        Not along open sides, and not across a plane.
        """
        return np.asarray(_sides(self.source) & self._images)

    @cached_property
    def _images(self) -> np.ndarray:
        plane = self.source.attrs.get("dimension", 3) == 2
        return periodic_axes(self.block(0, 1).scaled()[0], self.mean_cell, plane=plane)

    def require_space(self, what: str) -> None:
        """Refuse what is made for three dimensions where there are two."""
        if self.dimension == 2:
            raise QuantityError(
                f"the trajectory is a plane of atoms, but {what} is defined in three "
                "dimensions",
                reason="degrees of freedom, directions and densities are different in "
                "two dimensions",
                fix="structure_factor(), radial_distribution(), msd() and "
                "local_fields() work in two dimensions",
            )

    @cached_property
    def affine(self) -> bool | None:
        """Whether velocities contain the motion of the cell, as some frames show.

        None where it cannot be seen.

        Programs differ: where the cell is a variable of its own, velocities are often
        those within it.
        """
        if self.velocity is None or self._rate is None:
            return None
        several = np.unique(
            np.linspace(0, self.n_frames - 1, _AFFINE_FRAMES).astype(int)
        ).tolist()
        found = [
            self._block(frame, frame + 1, position=True, velocity=True, rate=self._rate)
            for frame in several
        ]
        return contains_affine(
            np.concatenate([block.velocities() for block in found]),
            np.concatenate([block.affine_velocities() for block in found]),
            self.share,
        )

    def motion(
        self, drift: np.ndarray, window: float, *, velocity: bool = False
    ) -> dict[str, str]:
        """Return what is recorded of the motion of the whole, as `motion_attrs` does."""
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
        self, start: int, stop: int, *, position: bool = True, velocity: bool = False
    ) -> Block:
        """Return frames start … stop−1."""
        if velocity:
            self.require_velocity()
        rate = self._rate if velocity and self.affine else None
        return self._block(
            start,
            stop,
            position=position or rate is not None,
            velocity=velocity,
            rate=rate,
        )

    def _block(
        self,
        start: int,
        stop: int,
        *,
        position: bool,
        velocity: bool,
        rate: np.ndarray | None,
    ) -> Block:
        return Block(
            self.position[start:stop] if position else None,
            self.velocity[start:stop] if velocity else None,
            self.cell if self.cell.ndim == 2 else self.cell[start:stop],
            self.units,
            start,
            None,
            self.share,
            None if rate is None else rate[start:stop],
        )

    def masses(self) -> np.ndarray:
        """Return the masses, or say that they are missing."""
        if self.mass is None:
            raise QuantityError(
                "the trajectory has no masses",
                reason="the weights are made of them",
                fix="traj['mass'] = ('atom', values, {'units': 'u'}), or "
                "weights='unit'",
            )
        return self.mass

    def elements(self) -> np.ndarray:
        """Return the elements, or say that they are missing."""
        if self.element is None:
            raise QuantityError(
                "the trajectory does not say which elements its atoms are",
                reason="weights and partials are made of them",
                fix="traj = traj.assign_coords(element=('atom', symbols)), or "
                "weights='unit'",
            )
        return self.element

    def temperature(self) -> float | None:
        """Return the scalar temperature that the Dataset carries, in K.

        None if it carries none.
        """
        if "temperature" not in self.source.coords:
            return None
        carried = self.source.coords["temperature"]
        if carried.ndim:
            raise TemperatureError(
                f"the trajectory's temperature is over {carried.dims}",
                reason="one trajectory has one temperature",
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
    """Hold a Dataset to the data model of a trajectory.

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
        If it is no trajectory, or something is missing, empty or of another unit.

    Examples
    --------
    >>> import numpy as np
    >>> traj = xr.Dataset(
    ...     {"position": (("time", "atom", "xyz"), np.zeros((2, 1, 3)), {"units": "angstrom"}),
    ...      "cell": (("vector", "xyz"), 10 * np.eye(3), {"units": "angstrom"})},
    ...     coords={"time": ("time", [0.0, 0.5], {"units": "ps"})}, attrs={"quantity": "trajectory"})
    >>> round(read_trajectory(traj).volume, 6)
    1000.0
    """
    if not isinstance(data, xr.Dataset) or "position" not in data:
        raise QuantityError(
            "got "
            f"{'a Dataset without positions' if isinstance(data, xr.Dataset) else type(data).__name__}",
            reason="this needs a trajectory, a Dataset with 'position' over time, "
            "atom and xyz",
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
        mass = np.asarray(plain["mass"].values, dtype=float) * convert_factor(
            units, "u", name="'mass'"
        )
        if not (np.isfinite(mass) & (mass > 0)).all():
            raise QuantityError(
                f"'mass' holds {mass[~(np.isfinite(mass) & (mass > 0))][0]:g} u",
                reason="a mass is finite and positive",
                fix="traj['mass'] = ('atom', values, {'units': 'u'})",
            )
    for name, per_atom in (("element", element), ("mass", mass)):
        if per_atom is not None and per_atom.shape != (position.sizes["atom"],):
            raise QuantityError(
                f"'{name}' has the shape {per_atom.shape}",
                reason=f"there are {position.sizes['atom']} atoms",
                fix=f"give it over 'atom': traj['{name}'] = ('atom', values)",
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
    array = data[name]
    if (
        set(array.dims) != {"time", "atom", "xyz"}
        or array.sizes["xyz"] != 3
        or array.dtype.kind not in "fiu"
    ):
        raise QuantityError(
            f"'{name}' has the shape {dict(array.sizes)} and type {array.dtype}",
            reason="it is a vector for every atom at every time, over ('time', "
            "'atom', 'xyz')",
            fix="traj.expand_dims('time') where the time is missing; three components "
            "for two-dimensional data too",
        )
    if array.size == 0:
        raise QuantityError(
            f"'{name}' is empty (shape {dict(array.sizes)})",
            reason="there is nothing to compute on",
            fix="look at the selection that made it",
        )
    require_units(array, f"'{name}'", units)
    return array.transpose("time", "atom", "xyz")


def _sides(data: xr.Dataset) -> np.ndarray:
    """Return which sides of the box are periodic, by ``attrs["periodic"]``.

    All, where it says nothing.
    """
    digits = str(data.attrs.get("periodic", "111"))
    return np.array([digit != "0" for digit in digits.ljust(3, "1")[:3]])


def _cell(data: xr.Dataset) -> np.ndarray:
    """Return the cell in Å, (3, 3) or (time, 3, 3); refuse one that has no volume."""
    fix = "traj['cell'] = (('vector', 'xyz'), rows, {'units': 'angstrom'})"
    if "cell" not in data:
        raise QuantityError(
            "the trajectory has no 'cell'",
            reason="it sets the wave vectors allowed",
            fix=fix,
        )
    cell = data["cell"]
    dims = ("time", "vector", "xyz") if "time" in cell.dims else ("vector", "xyz")
    if (
        set(cell.dims) != set(dims)
        or cell.sizes["vector"] != 3
        or cell.sizes["xyz"] != 3
    ):
        raise QuantityError(
            f"'cell' has the shape {dict(cell.sizes)}",
            reason="its rows are the three cell vectors",
            fix=fix,
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
            f"'cell' has the volume {np.min(volume):g} angstrom**3",
            reason="three cell vectors that are finite and span a volume are needed; "
            "a free cluster has no allowed Q",
            fix=fix,
        )
    return values
