"""Trajectories with known answers.

An ideal gas, independent oscillators, a harmonic chain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.schema import CONVENTIONS, COORDINATES, SCHEMA_VERSION
from xbp.md.labels import positive

__all__ = ["einstein_solid", "harmonic_chain", "ideal_gas", "new_trajectory"]


def new_trajectory(
    position: Any,
    *,
    time: Any,
    cell: Any,
    velocity: Any = None,
    element: Any = None,
    mass: Any = None,
    temperature: Any = None,
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

    Returns
    -------
    xarray.Dataset
        In the data model.

    Examples
    --------
    >>> new_trajectory(np.zeros((1, 2, 3)), time=[0.0], cell=10 * np.eye(3)).position.dims
    ('time', 'atom', 'xyz')
    """
    dims = ("time", "atom", "xyz")
    cell = np.asarray(cell, dtype=float)
    ds = xr.Dataset(
        {
            "position": (
                dims,
                position,
                {"units": "angstrom", "long_name": "position"},
            ),
            "cell": (
                ("vector", "xyz") if cell.ndim == 2 else ("time", "vector", "xyz"),
                cell,
                {"units": "angstrom"},
            ),
        },
        coords={
            "time": (
                "time",
                np.asarray(time, dtype=float),
                {"units": "ps", "long_name": COORDINATES["time"][1]},
            ),
            "xyz": ["x", "y", "z"],
        },
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            "quantity": "trajectory",
        },
    )
    if velocity is not None:
        ds["velocity"] = (dims, velocity, {"units": "angstrom/ps"})
    if mass is not None:
        ds["mass"] = ("atom", np.asarray(mass, dtype=float), {"units": "u"})
    if element is not None:
        ds = ds.assign_coords(element=("atom", np.asarray(element, dtype=str)))
    return (
        ds
        if temperature is None
        else ds.assign_coords(temperature=temperature_coordinate(temperature))
    )


def ideal_gas(
    n_atoms: int,
    n_frames: int,
    *,
    cell: Any,
    T: Any,
    mass: Any,
    time_step: Any,
    element: str = "Ar",
    seed: int,
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
    seed : int
        Of the random positions and velocities.

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
    >>> ideal_gas(2, 3, cell=10, T=300, mass=40, time_step="20 fs", seed=1).sizes["time"]
    3
    """
    side, m = positive(cell, "angstrom", "cell"), positive(mass, "u", "mass")
    kelvin = float(temperature_coordinate(T).values)
    time = np.arange(n_frames) * positive(time_step, "ps", "time_step")
    rng = np.random.default_rng(seed)
    velocity = np.sqrt(constants.BOLTZMANN * kelvin / m) * rng.standard_normal(
        (n_atoms, 3)
    )
    position = side * rng.random((n_atoms, 3)) + time[:, None, None] * velocity
    return new_trajectory(
        position, time=time, cell=side * np.eye(3), velocity=np.broadcast_to(velocity, position.shape),
        element=[element] * n_atoms, mass=np.full(n_atoms, m), temperature=kelvin,
    )  # fmt: skip


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
    seed: int,
) -> xr.Dataset:
    r"""Make atoms that vibrate independently about random places, all with one energy ħΩ.

    .. math:: F_s(Q,t) = e^{-Q^2 u^2 (1 - \cos\Omega t)}, \quad u^2 = k_BT/m\Omega^2,
              \quad g(E) = \delta(E - \hbar\Omega)

    Parameters
    ----------
    n_atoms, n_frames, cell, T, mass, time_step, element, seed
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
    >>> einstein_solid(2, 3, cell=10, energy="5 meV", T=300, mass=40, time_step="20 fs", seed=1).sizes["atom"]
    2
    """
    side, m = positive(cell, "angstrom", "cell"), positive(mass, "u", "mass")
    omega = (
        2 * np.pi * positive(energy, "meV", "energy", energy=True) / constants.PLANCK
    )
    kelvin = float(temperature_coordinate(T).values)
    time = np.arange(n_frames) * positive(time_step, "ps", "time_step")
    rng = np.random.default_rng(seed)
    # A thermal oscillator: both quadratures are Gaussian.
    a, b = (
        np.sqrt(constants.BOLTZMANN * kelvin / m)
        / omega
        * rng.standard_normal((2, n_atoms, 3))
    )
    phase = omega * time[:, None, None]
    position = side * rng.random((n_atoms, 3)) + a * np.cos(phase) + b * np.sin(phase)
    velocity = omega * (b * np.cos(phase) - a * np.sin(phase))
    return new_trajectory(
        position, time=time, cell=side * np.eye(3), velocity=velocity, element=[element] * n_atoms,
        mass=np.full(n_atoms, m), temperature=kelvin,
    )  # fmt: skip


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
    seed: int,
) -> xr.Dataset:
    r"""Make a closed chain along x whose neighbours are tied by springs, at a temperature.

    .. math:: E(q) = E_{max} |\sin(qa/2)|, \quad S_1(q,E) = \frac{q^2
    k_BT}{2m\Omega_q^2}
              [\delta(E - \hbar\Omega_q) + \delta(E + \hbar\Omega_q)]

    The one-phonon part S₁ is that of small displacements.

    Parameters
    ----------
    n_atoms, n_frames, T, mass, time_step, element, seed
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
    >>> harmonic_chain(8, 3, spacing=3, energy_max=20, T=50, mass=40, time_step="20 fs", seed=1).sizes["atom"]
    8
    """
    a, m = positive(spacing, "angstrom", "spacing"), positive(mass, "u", "mass")
    top = (
        2
        * np.pi
        * positive(energy_max, "meV", "energy_max", energy=True)
        / constants.PLANCK
    )
    kelvin = float(temperature_coordinate(T).values)
    time = np.arange(n_frames) * positive(time_step, "ps", "time_step")
    rng = np.random.default_rng(seed)
    mode = np.fft.fftfreq(n_atoms) * n_atoms
    omega = top * np.abs(np.sin(np.pi * mode / n_atoms))
    moving = omega > 0
    # White noise in real space has Gaussian Fourier amplitudes that belong to a real
    # displacement.
    noise = np.fft.fft(rng.standard_normal((2, n_atoms)), axis=1)
    amplitude = (
        np.where(
            moving,
            np.sqrt(constants.BOLTZMANN * kelvin / m) / np.where(moving, omega, 1.0),
            0.0,
        )
        * noise
    )
    phase = omega * time[:, None]
    x = np.fft.ifft(
        amplitude[0] * np.cos(phase) + amplitude[1] * np.sin(phase), axis=1
    ).real
    v = np.fft.ifft(
        omega * (amplitude[1] * np.cos(phase) - amplitude[0] * np.sin(phase)), axis=1
    ).real
    position = np.zeros((n_frames, n_atoms, 3))
    velocity = np.zeros_like(position)
    position[..., 0], velocity[..., 0] = x + a * np.arange(n_atoms), v
    return new_trajectory(
        position, time=time, cell=a * np.diag([n_atoms, 2.0, 2.0]), velocity=velocity, element=[element] * n_atoms,
        mass=np.full(n_atoms, m), temperature=kelvin,
    )  # fmt: skip
