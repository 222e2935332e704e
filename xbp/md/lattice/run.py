"""Work at many wave vectors, one file for each, so that a run can resume."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.errors import SimulationError, require
from xbp.core.guards import (
    RNG,
    require_flag,
    require_fraction,
    require_seed,
    require_whole,
)
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, DATASET_LABELS
from xbp.core.signal import extend_history
from xbp.core.status import diagnosed
from xbp.io.publish import check_target, new_file, reported
from xbp.md.lammps.runs import at_rest, begin, remove
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.job import DTYPES, Precision, highest_energy, make_job
from xbp.md.lattice.modes import (
    Springs,
    draw_wavevector,
    participation_ratio,
    shell_means,
    squared,
)
from xbp.md.lattice.modes import (
    bloch_modes as modes_at,
)
from xbp.md.lattice.product import random_moments
from xbp.md.lattice.sampling import imaginary_modes, replicate_weights
from xbp.md.lattice.strengths import Bins, box_displacements, mode_strengths
from xbp.md.structure import structure_factor
from xbp.md.trajectory import Trajectory

__all__ = ["bloch_modes", "run_wavevectors", "work"]

FIELDS = ("volumetric_strain", "shear_strain")


@operation(takes="force_constants", gives="bloch_modes", step=1)
def bloch_modes(
    data: xr.Dataset,
    out: str | os.PathLike[str] | None = None,
    n_wavevectors: int = 16,
    *,
    Q_max: Any = "8.5 1/angstrom",
    dQ: Any = "0.05 1/angstrom",
    E_max: Any = None,
    dE: Any = "0.1 meV",
    max_wavevectors_per_shell: int | None = 25,
    strain: bool = False,
    cutoff: Any = None,
    k: Any = None,
    inner: float = 0.5,
    rng: RNG = 1,
    most_imaginary: float = 0.001,
    precision: Precision = "single",
    processes: int = 1,
    progress: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    r"""Find the modes of a glass at wave vectors of any length.

    The box, repeated without end, has 3N modes at every wave vector k of its Brillouin
    zone: the eigenvectors of

    .. math:: D_{ij}(\mathbf k) = \frac{1}{\sqrt{m_i m_j}} \sum_{\mathbf R}
              \Phi_{ij}(\mathbf R)\, e^{i\mathbf k\cdot(\mathbf r_j + \mathbf R -
              \mathbf r_i)}

    The box therefore sets no lowest energy. The modes scatter at every Q = k + G.

    Parameters
    ----------
    data : xarray.Dataset
        From `force_constants`.
    out : path-like, optional
        The netCDF file to make. Finished k are kept beside it in ``<out>.run``; if a
        run is interrupted, the same call continues it. None: the result is only
        returned.
    n_wavevectors : int
        Number of wave vectors k, drawn at random; every fourth from a sphere about Γ.
    Q_max, dQ : scalar with units
        Largest Q, and width of the shells (bare: 1/angstrom). ``Q_max=None``: find only
        the energies of the modes, for g(E).
    E_max : scalar with units, optional
        Find only the modes up to this energy (bare: meV); by default all. With it, u²
        and sums over all energies are not known.
    dE : scalar with units
        Width of the energy bins of the scattering (bare: meV).
    max_wavevectors_per_shell : int or None
        Use at most this many Q of each shell and k, drawn at random; None for all.
    strain : bool
        Whether to compute the volumetric and the shear strain of the modes too, for
        `bloch_fluctuations`.
    cutoff : scalar with units, or mapping, optional
        Cutoff of the neighbors that define the strain, as for `local_fields`.
    k : array_like, shape (n, 3), optional
        Use these wave vectors, in units of the reciprocal vectors, with equal weights;
        `n_wavevectors` is then not used.
    inner : float
        Radius of the sphere about Γ, in units of the largest that fits into the zone.
    rng : int, numpy.random.Generator or None
        Of the random numbers that draw k, and Q in a shell. A run is continued only if
        it is an int.
    most_imaginary : float
        Spectra are refused if more than this fraction of the modes is imaginary, or if
        one imaginary mode extends through the glass (participation ratio above 0.3).
    precision : {"single", "double"}
        Precision of the eigensolver.
    processes : int
        Number of processes; they share the wave vectors.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Replace `out`, and discard an unfinished run.

    Returns
    -------
    xarray.Dataset
        The modes of each k: ``mode_energy`` (meV; negative where imaginary, NaN where
        fewer modes were found) and, with Q, ``species_share``, ``displacement_share``
        and ``participation_ratio`` of each mode; ``strength`` and
        ``transverse_strength`` (1/u/meV) over k, ``pair``, Q and E; and ``Sq`` of the
        atoms at rest. The next steps are `bloch_structure_factor`, `bloch_vdos`,
        `bloch_currents`, `bloch_fluctuations` and `jackknife`.

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If an argument is invalid, or the matrix would not fit in memory.
    FileFormatError
        If `out` exists or cannot be written.
    SimulationError
        If a process fails, or an unfinished run belongs to a different call.

    References
    ----------
    P. B. Allen & J. L. Feldman, Phys. Rev. B 48, 12581 (1993),
    doi:10.1103/PhysRevB.48.12581 (modes of a repeated box of a glass).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> modes = phi.bp.bloch_modes(n_wavevectors=2, Q_max=None)
    >>> modes.mode_energy.dims, modes.mode_energy.attrs["units"]
    (('k', 'mode'), 'meV')
    """
    given = dict(locals())
    trajectory, springs = read_force_constants(data)
    given["rng"] = require_seed(rng)
    given["most_imaginary"] = require_fraction(most_imaginary, "most_imaginary")
    job, inputs = make_job(trajectory, springs, given)

    def collect(parts: list[dict[str, Any]]) -> xr.Dataset:
        return _collected(parts, job, data, trajectory, given)

    return run_wavevectors(
        job,
        inputs,
        collect,
        out=out,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
    )


def run_wavevectors(
    job: Mapping[str, Any],
    inputs: Mapping[str, bytes],
    collect: Callable[[list[dict[str, Any]]], xr.Dataset],
    *,
    out: str | os.PathLike[str] | None,
    processes: int,
    progress: bool,
    overwrite: bool,
) -> xr.Dataset:
    """Compute all wave vectors of a job, or those that an interrupted call left.

    Parameters
    ----------
    job, inputs : mapping
        As from `make_job`.
    collect : callable
        Makes the result from what `work` found at each wave vector, in turn.
    out, processes, progress, overwrite
        As for `bloch_modes`.
    """
    processes = require_whole(processes, "processes", most=os.cpu_count() or 1)
    require_flag(progress, "progress")
    overwrite = require_flag(overwrite, "overwrite")
    with contextlib.ExitStack() as stack:
        if out is None:
            place = stack.enter_context(tempfile.TemporaryDirectory())
            where, folder = None, Path(place) / "k.run"
        else:
            where = check_target(out, overwrite=overwrite)
            folder = where.with_name(where.name + ".run")
        with reported(folder):
            begin(folder, dict(job), dict(inputs), anew=overwrite)
            (folder / "lock").touch()
        with at_rest(folder):
            _compute(folder, job, processes, progress)
            parts = []
            for index in range(job["n_wavevectors"]):
                with np.load(folder / f"k{index:04d}.npz") as arrays:
                    parts.append(dict(arrays))
            made = collect(parts)
        if where is not None:
            packed = {"zlib": True, "complevel": 1}
            how = {name: packed for name in made if made[name].dtype.kind == "f"}
            with new_file(where, overwrite=overwrite) as (part, _):
                made.to_netcdf(part, engine="netcdf4", encoding=how)
        remove(folder)
    return made


def work(folder: Path, first: int = 0, step: int = 1) -> Iterator[int]:
    """Compute every `step`-th wave vector of a run that is not finished yet.

    Yields
    ------
    int
        The index of each, once its file is complete.
    """
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "springs.npz") as arrays:
        loaded = dict(arrays)
    names = ("first", "second", "block", "position", "cell", "mass")
    springs = Springs(*(loaded[name] for name in names))
    for index in range(first, job["n_wavevectors"], step):
        place = folder / f"k{index:04d}.npz"
        if place.is_file():
            continue
        part = place.with_name(place.name + ".part")
        with part.open("wb") as stream:
            np.savez(stream, **_at(springs, job, loaded, index))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, place)
        yield index


def _at(
    springs: Springs, job: Mapping[str, Any], loaded: Mapping[str, Any], index: int
) -> dict[str, Any]:
    """Find the modes at one wave vector and sum them in bins."""
    if job["k"] is None:
        k, stratum, share = draw_wavevector(
            springs.cell, index, job["rng"], job["inner"], springs.dimension
        )
    else:
        k = np.array(job["k"][index]) @ (2 * np.pi * np.linalg.inv(springs.cell).T)
        stratum, share = 0, 1.0
    found: dict[str, Any] = {"k": k, "stratum": stratum, "share": share}
    if "n_moments" in job:
        rng = np.random.default_rng([job["rng"], index, 1])
        given = (job["n_vectors"], job["n_moments"], job["E_max"])
        return {**found, "moments": random_moments(springs, k, *given, rng)}
    bins = job["bins"]
    energy, vectors = modes_at(
        springs,
        k,
        dtype=DTYPES[job["precision"]],
        E_max=job["E_max"],
        vectors=bins is not None,
    )
    found["mode_energy"] = energy
    if vectors is None:
        return found
    groups = loaded["groups"]
    power = squared(vectors, springs.dimension)
    found["species_share"] = groups @ power
    found["displacement_share"] = (groups / springs.mass) @ power
    found["participation_ratio"] = participation_ratio(vectors, springs.dimension)
    Q, E = (np.arange(bins[f"n_{axis}"] + 1) * bins[f"d{axis}"] for axis in "QE")
    bonds = None
    if job["strain"]:
        names = ("bond_first", "bond_second", "bond_weight")
        bonds = tuple(loaded[name] for name in names)
    rng = np.random.default_rng([job["rng"], index, 1])
    strengths = mode_strengths(
        springs, k, energy, vectors, groups, Bins(Q, E, bins["most"]), bonds, rng
    )
    return {**found, **strengths}


def _compute(
    folder: Path, job: Mapping[str, Any], processes: int, progress: bool
) -> None:
    """Compute all wave vectors of a run, in this process or in several."""

    def finished() -> int:
        return len(list(folder.glob("k*.npz")))

    with _bar(job["n_wavevectors"], progress) as show:
        show(finished())
        if processes == 1:
            for _ in work(folder):
                show(finished())
            return
        # Each process uses one thread for linear algebra.
        names = ("OMP", "OPENBLAS", "MKL")
        single = {f"{name}_NUM_THREADS": "1" for name in names}
        start = (
            "import sys, pathlib; from xbp.md.lattice import run; "
            "folder, first, step = sys.argv[1:]; "
            "[None for _ in run.work(pathlib.Path(folder), int(first), int(step))]"
        )
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            workers = [
                subprocess.Popen(
                    [sys.executable, "-c", start, str(folder), str(i), str(processes)],
                    stderr=errors,
                    env={**os.environ, **single},
                )
                for i in range(processes)
            ]
            try:
                while any(worker.poll() is None for worker in workers):
                    time.sleep(0.2)
                    show(finished())
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()
            errors.seek(0)
            printed = errors.read().strip()[-400:]
    if any(worker.returncode for worker in workers):
        raise SimulationError(
            "a process ended before it finished its wave vectors",
            reason=printed.rpartition("\n")[2] or "it was killed",
            fix="repeat the call to continue the run",
        )


@contextlib.contextmanager
def _bar(total: int, progress: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows how many wave vectors are finished."""
    if not progress:
        yield lambda done: None
        return
    with require("tqdm", "show the progress", "md").tqdm(
        total=total, unit="k", desc="Bloch modes"
    ) as bar:
        yield lambda done: bar.update(done - bar.n)


def _collected(
    parts: list[dict[str, Any]],
    job: Mapping[str, Any],
    data: xr.Dataset,
    trajectory: Trajectory,
    given: Mapping[str, Any],
) -> xr.Dataset:
    """Put the modes of all wave vectors into one Dataset."""

    def stacked(name: str) -> np.ndarray:
        """Stack over k, with NaN where a k has fewer modes."""
        rows = [part[name] for part in parts]
        most = max(row.shape[-1] for row in rows)
        full = np.full((len(rows), *rows[0].shape[:-1], most), np.nan)
        for target, row in zip(full, rows, strict=True):
            target[..., : row.shape[-1]] = row
        return full

    kept = ("position", "cell", "mass", "element", "time")
    ds = data.drop_vars([name for name in data.variables if name not in kept])
    energy = stacked("mode_energy")
    highest = float(np.nanmax(energy, initial=0.0))
    _, springs = read_force_constants(data)
    if job["E_max"] is not None:
        highest = highest_energy(springs)
    label = {"units": "meV", "long_name": "energy of the mode"}
    ds["mode_energy"] = (("k", "mode"), energy, label)
    ds = ds.assign_coords(
        wavevector=(("k", "xyz"), np.array([p["k"] for p in parts]), _PER_LENGTH),
        stratum=("k", np.array([int(p["stratum"]) for p in parts])),
        stratum_share=("k", np.array([float(p["share"]) for p in parts])),
        glass=("k", np.zeros(len(parts), dtype=int)),
    )
    names = np.unique(trajectory.elements())
    if job["bins"] is not None:
        bins = job["bins"]
        by_species = ("k", "species", "mode")
        ds["species_share"] = (by_species, stacked("species_share"))
        shares = stacked("displacement_share")
        ds["displacement_share"] = (by_species, shares, {"units": "1/u"})
        ds["participation_ratio"] = (("k", "mode"), stacked("participation_ratio"))
        a, b = np.triu_indices(names.size)
        pairs = [f"{names[i]}-{names[j]}" for i, j in zip(a, b, strict=True)]
        axes: dict[str, Any] = {}
        for dim in "QE":
            edges = np.arange(bins[f"n_{dim}"] + 1) * bins[f"d{dim}"]
            bounds = np.stack([edges[:-1], edges[1:]], axis=1)
            units, text = COORDINATES[dim]
            own = {"units": units, "long_name": text, "bounds": f"{dim}_bnds"}
            axes[dim] = (dim, bounds.mean(axis=1), own)
            axes[f"{dim}_bnds"] = ((dim, "bnds"), bounds)
        ds = ds.assign_coords(species=names, pair=pairs, **axes)
        # A few k leave few Q in the smallest shells, off their centres.
        edges = np.append(ds["Q_bnds"].values[:, 0], ds["Q_bnds"].values[-1, 1])
        k, weights = ds["wavevector"].values, replicate_weights(ds)[0][0]
        means = shell_means(trajectory.mean_cell, k, weights, edges, springs.dimension)
        ds["Q"] = ds["Q"].copy(data=means)
        if springs.dimension == 2 and job["E_max"] is None:
            ds = ds.assign(box_displacements(springs, trajectory.elements(), len(k)))
        dims = ("k", "pair", "Q", "E")
        for name, which, units in (
            ("strength", dims, "1/u/meV"),
            ("transverse_strength", dims, "1/u/meV"),
            ("field_strength", ("k", "field", "Q", "E"), "1/angstrom**2/u/meV"),
        ):
            if name in parts[0]:
                values = np.stack([p[name] for p in parts]).astype(np.float32)
                ds[name] = (which, values, {"units": units})
        if job["strain"]:
            ds = ds.assign_coords(field=list(FIELDS))
        ds["n_wavevectors"] = (("k", "Q"), np.stack([p["count"] for p in parts]))
        ds["Sq"] = (("pair", "Q"), _static(data, bins))
    ds.attrs = {
        **DATASET_LABELS,
        "quantity": "bloch_modes",
        **({"dimension": 2} if trajectory.dimension == 2 else {}),
        **({} if job["E_max"] is None else {"E_max": job["E_max"]}),
        "highest_energy": highest,
        "most_imaginary": given["most_imaginary"],
        **diagnosed(data.attrs, *imaginary_modes(energy, highest)),
    }
    shown = {
        name: value
        for name, value in given.items()
        if name not in ("data", "out", "k", "processes", "progress", "overwrite")
    }
    before = data.attrs.get("history")
    ds.attrs["history"] = extend_history(before, "bloch_modes", shown)
    return ds


_PER_LENGTH = {"units": "1/angstrom", "long_name": "wave vector of the zone"}


def _static(data: xr.Dataset, bins: Mapping[str, Any]) -> np.ndarray:
    """Return the partial S(Q) of the atoms at rest, per atom, in the shells of Q.

    The repeated box scatters elastically only at its own wave vectors; shells without
    any are NaN.
    """
    kept = ("position", "cell", "mass", "element", "time")
    rest = data.drop_vars([name for name in data.variables if name not in kept])
    rest.attrs = {"quantity": "trajectory", "dimension": dimension_of(data)}
    found = structure_factor(
        rest,
        bins["n_Q"] * bins["dQ"],
        bins["dQ"],
        weights="unit",
        partials=True,
        normalization="number",
    )
    at = np.round(found["Q_bnds"].values[:, 0] / bins["dQ"]).astype(int)
    partial = found["Sq"].transpose("pair", "Q").values
    full = np.full((len(partial), bins["n_Q"]), np.nan)
    inside = at < bins["n_Q"]
    full[:, at[inside]] = partial[:, inside]
    return full
