"""Trajectories with known answers: an ideal gas, oscillators, a harmonic chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import RangeError
from xbp.core.guards import (
    RNG,
    require_kind,
    require_mass,
    require_memory,
    require_positive,
    require_seed,
    require_whole,
)
from xbp.core.schema import COORDINATES, DATASET_LABELS
from xbp.md.plane import Dimension, Frame, dimension_attribute

__all__ = ["einstein_solid", "harmonic_chain", "ideal_gas", "new_trajectory"]

#: Of absurd arguments; positions that are no numbers are refused at the end.
_OVERFLOW = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def new_trajectory(
    position: Any,
    *,
    time: Any,
    cell: Any,
    velocity: Any = None,
    element: Any = None,
    mass: Any = None,
    temperature: Any = None,
    dimension: Dimension | None = None,
) -> xr.Dataset:
    """Make a trajectory from plain arrays.

    Parameters
    ----------
    position : array_like, shape (n_frames, n_atoms, 3)
        In Å; numpy or dask.
    time : array_like, shape (n_frames,)
        In ps.
    cell : array_like, shape (3, 3) or (n_frames, 3, 3)
        Rows are the cell vectors, in Å.
    velocity : array_like, shape (n_frames, n_atoms, 3), optional
        In Å/ps.
    element : array_like of str, shape (n_atoms,), optional
    mass : array_like, shape (n_atoms,), optional
        In u.
    temperature : scalar with units, optional
        Bare: K.
    dimension : {2, 3}, optional
        2 for a plane of atoms, all of one z, as in `open_trajectory`; by default as
        numpy arrays show.

    Returns
    -------
    xarray.Dataset
        In the data model.

    Examples
    --------
    >>> import numpy as np
    >>> traj = new_trajectory(np.zeros((1, 2, 3)), time=[0.0], cell=10 * np.eye(3))
    >>> traj.position.dims
    ('time', 'atom', 'xyz')
    """
    dims, length = ("time", "atom", "xyz"), {"units": "angstrom"}
    cell = np.asarray(cell, dtype=float)
    cell_dims = ("time", "vector", "xyz")[3 - cell.ndim :]
    moment = {"units": "ps", "long_name": COORDINATES["time"][1]}
    variables: dict[str, Any] = {
        "position": (dims, position, {**length, "long_name": "position"}),
        "cell": (cell_dims, cell, length),
    }
    coords: dict[str, Any] = {
        "time": ("time", np.asarray(time, dtype=float), moment),
        "xyz": ["x", "y", "z"],
    }
    if velocity is not None:
        variables["velocity"] = (dims, velocity, {"units": "angstrom/ps"})
    if mass is not None:
        variables["mass"] = ("atom", np.asarray(mass, dtype=float), {"units": "u"})
    if element is not None:
        coords["element"] = ("atom", np.asarray(element, dtype=str))
    if temperature is not None:
        coords["temperature"] = temperature_coordinate(temperature)
    ends: list[Frame] = []
    if isinstance(position, np.ndarray) and position.ndim == 3 and position.size:
        moving = isinstance(velocity, np.ndarray) and velocity.ndim == 3
        ends = [(position[at], velocity[at] if moving else None) for at in (0, -1)]
    attrs = {"quantity": "trajectory", **dimension_attribute(ends, dimension)}
    return xr.Dataset(variables, coords, {**DATASET_LABELS, **attrs})


@_OVERFLOW
def ideal_gas(
    n_atoms: int,
    n_frames: int,
    *,
    cell: Any,
    T: Any,
    mass: Any,
    time_step: Any,
    element: str = "Ar",
    rng: RNG,
) -> xr.Dataset:
    r"""Make atoms that fly freely: S(Q) = 1 and a Gaussian in E.

    .. math:: S(Q,E) = \frac{1}{\sqrt{2\pi}\,\hbar Q v} e^{-E^2/2(\hbar Q v)^2}, \quad
              v^2 = k_BT/m

    Parameters
    ----------
    n_atoms, n_frames : int
    cell : scalar with units
        Side of the cubic cell (bare: Å).
    T, mass, time_step : scalars with units
        Bare: K, u, ps.
    element : str
    rng : int, numpy.random.Generator or None
        Of the random positions and velocities. The same int gives the same trajectory;
        None, a new one each time.

    Returns
    -------
    xarray.Dataset
        A trajectory.

    References
    ----------
    J.-P. Hansen & I. R. McDonald, Theory of Simple Liquids, 4th ed. (2013), section
    8.1.

    Examples
    --------
    >>> gas = ideal_gas(2, 3, cell=10, T=300, mass=40, time_step="20 fs", rng=1)
    >>> gas.sizes["time"]
    3
    """
    given = _Model(locals())
    side = require_positive(cell, "cell", "angstrom")
    velocity = given.speed * given.rng.standard_normal((given.n_atoms, 3))
    start = side * given.rng.random((given.n_atoms, 3))
    position = start + given.time[:, None, None] * velocity
    velocity = np.broadcast_to(velocity, position.shape)
    return given.trajectory(position, velocity, side * np.eye(3))


@_OVERFLOW
def einstein_solid(
    n_atoms: int,
    n_frames: int,
    *,
    cell: Any,
    energy: Any,
    T: Any,
    mass: Any,
    time_step: Any,
    element: str = "Ar",
    rng: RNG,
) -> xr.Dataset:
    r"""Make atoms that vibrate independently about random places with one energy ħΩ.

    .. math:: F_s(Q,t) = e^{-Q^2 u^2 (1 - \cos\Omega t)}, \quad u^2 = k_BT/m\Omega^2,
              \quad g(E) = \delta(E - \hbar\Omega)

    Parameters
    ----------
    n_atoms, n_frames, cell, T, mass, time_step, element, rng
        As for `ideal_gas`.
    energy : scalar with units
        ħΩ (bare: meV).

    Returns
    -------
    xarray.Dataset
        A trajectory.

    References
    ----------
    S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter, vol. 1 (1984),
    section 4.3.

    Examples
    --------
    >>> solid = einstein_solid(
    ...     2, 3, cell=10, energy="5 meV", T=300, mass=40, time_step="20 fs", rng=1)
    >>> solid.sizes["atom"]
    2
    """
    given = _Model(locals())
    side = require_positive(cell, "cell", "angstrom")
    omega = 2 * np.pi * require_positive(energy, "energy", "meV", energy=True)
    omega /= constants.PLANCK
    shape = (given.n_atoms, 3)
    # A thermal oscillator: both quadratures are Gaussian.
    a, b = given.speed / omega * given.rng.standard_normal((2, *shape))
    phase = omega * given.time[:, None, None]
    moved = a * np.cos(phase) + b * np.sin(phase)
    velocity = omega * (b * np.cos(phase) - a * np.sin(phase))
    position = side * given.rng.random(shape) + moved
    return given.trajectory(position, velocity, side * np.eye(3))


@_OVERFLOW
def harmonic_chain(
    n_atoms: int,
    n_frames: int,
    *,
    spacing: Any,
    energy_max: Any,
    T: Any,
    mass: Any,
    time_step: Any,
    element: str = "Ar",
    rng: RNG,
) -> xr.Dataset:
    r"""Make a closed chain along x of atoms tied by springs, at a temperature.

    .. math:: E(q) = E_{max} |\sin(qa/2)|, \quad S_1(q,E) = \frac{q^2
              k_BT}{2m\Omega_q^2}
              [\delta(E - \hbar\Omega_q) + \delta(E + \hbar\Omega_q)]

    The one-phonon part S₁ is that of small displacements.

    Parameters
    ----------
    n_atoms, n_frames, T, mass, time_step, element, rng
        As for `ideal_gas`.
    spacing : scalar with units
        Distance a of neighbours (bare: Å). The cell is n·a long and 2a wide.
    energy_max : scalar with units
        Largest phonon energy (bare: meV).

    Returns
    -------
    xarray.Dataset
        A trajectory.

    References
    ----------
    N. W. Ashcroft & N. D. Mermin, Solid State Physics (1976), eq. 22.29.

    Examples
    --------
    >>> chain = harmonic_chain(
    ...     8, 3, spacing=3, energy_max=20, T=50, mass=40, time_step="20 fs", rng=1)
    >>> chain.sizes["atom"]
    8
    """
    given = _Model(locals())
    n, a = given.n_atoms, require_positive(spacing, "spacing", "angstrom")
    top = 2 * np.pi * require_positive(energy_max, "energy_max", "meV", energy=True)
    omega = top / constants.PLANCK * np.abs(np.sin(np.pi * np.fft.fftfreq(n)))
    # White noise in real space has Gaussian Fourier amplitudes that belong to a real
    # displacement.
    noise = np.fft.fft(given.rng.standard_normal((2, n)), axis=1)
    c, s = np.where(omega > 0, given.speed / omega, 0.0) * noise
    phase = omega * given.time[:, None]
    x = np.fft.ifft(c * np.cos(phase) + s * np.sin(phase), axis=1).real
    rate = omega * (s * np.cos(phase) - c * np.sin(phase))
    position = np.zeros((given.n_frames, n, 3))
    velocity = np.zeros_like(position)
    position[..., 0] = x + a * np.arange(n)
    velocity[..., 0] = np.fft.ifft(rate, axis=1).real
    return given.trajectory(position, velocity, a * np.diag([n, 2.0, 2.0]))


class _Model:
    """The arguments that all models have in common, and the trajectory they give."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.n_atoms = require_whole(given["n_atoms"], "n_atoms")
        self.n_frames = require_whole(given["n_frames"], "n_frames")
        require_memory(
            12 * self.n_atoms * self.n_frames, "positions of n_atoms in n_frames"
        )
        require_kind(given["element"], str, "element", "a symbol, such as 'Ar'")
        self.element = [given["element"]] * self.n_atoms
        mass = require_mass(given["mass"])
        self.mass = np.full(self.n_atoms, mass)
        self.kelvin = float(temperature_coordinate(given["T"]).values)
        #: Thermal velocity along one axis, Å/ps.
        self.speed = np.sqrt(constants.BOLTZMANN * self.kelvin / mass)
        step = require_positive(given["time_step"], "time_step", "ps")
        self.time = np.arange(self.n_frames) * step
        self.rng = np.random.default_rng(require_seed(given["rng"]))

    def trajectory(
        self, position: np.ndarray, velocity: np.ndarray, cell: np.ndarray
    ) -> xr.Dataset:
        for name, values in (("time", self.time), ("position", position)):
            if not np.isfinite(values).all():
                raise RangeError(f"a {name} of the model is too large to be a number")
        return new_trajectory(
            position, time=self.time, cell=cell, velocity=velocity,
            element=self.element, mass=self.mass, temperature=self.kelvin,
        )  # fmt: skip
