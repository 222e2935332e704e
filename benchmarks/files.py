"""Files of 50 MB and more beside h5py, netCDF4, MDAnalysis and dynasor.

``python -m benchmarks.files``; also a part of ``python -m benchmarks``.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import itertools
import lzma
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

import xbp

SIDE, N_ATOMS = 41.144, 4000
Arrays = list[np.ndarray]


def paired(
    own: Callable[[], object],
    peer: Callable[[], object],
    repeat: int = 5,
    path: Path | None = None,
) -> tuple[float, float, float]:
    """Return the shortest times of two calls that take turns, warmed up.

    And the ratio of their shortest times of the processor, of all threads. A `path` is
    touched before each call: nothing that was found in the file before is used again.
    """
    clocks = time.perf_counter, time.process_time
    best = np.full((2, 2), np.inf)
    for turn in range(repeat + 1):
        for place, function in enumerate((own, peer)):
            if path is not None:
                os.utime(path)
            start = [clock() for clock in clocks]
            function()
            spent = [clock() - at for clock, at in zip(clocks, start, strict=True)]
            if turn:
                best[place] = np.minimum(best[place], spent)
    (t, cpu), (t_peer, cpu_peer) = best.tolist()
    return t, t_peer, cpu / cpu_peer


def moving(n_frames: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions (Å) and velocities (Å/ps) of vibrating atoms, 20 fs apart."""
    rng = np.random.default_rng(0)
    place, omega = SIDE * rng.random((N_ATOMS, 3)), rng.uniform(5, 40, (N_ATOMS, 1))
    for number in range(n_frames):
        phase = 0.02 * number * omega + place
        yield place + 0.1 * np.sin(phase), 0.1 * omega * np.cos(phase)


def write_h5md(path: Path, n_frames: int, kind: str) -> None:
    """Write H5MD as programs do, a frame at a time."""
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        atoms = file.create_group("particles/all")
        shape = (n_frames, N_ATOMS, 3)
        made = [
            atoms.create_dataset(f"{name}/value", shape, kind, chunks=(1, N_ATOMS, 3))
            for name in ("position", "velocity")
        ]
        for number, frame in enumerate(moving(n_frames)):
            for node, values in zip(made, frame, strict=True):
                node[number] = values
        atoms["position/time"] = 0.02 * np.arange(n_frames)
        atoms["position/step"] = 10 * np.arange(n_frames)
        atoms["species"] = np.array([b"Cu"] * N_ATOMS)
        atoms.create_group("box").attrs["boundary"] = ["periodic"] * 3
        atoms["box/edges"] = [SIDE] * 3
        for name, unit in (
            ("position/value", "Angstrom"),
            ("velocity/value", "Angstrom ps-1"),
            ("position/time", "ps"),
            ("box/edges", "Angstrom"),
        ):
            atoms[name].attrs["unit"] = unit


def write_netcdf(path: Path, n_frames: int) -> None:
    """Write netCDF as LAMMPS does, in units metal."""
    import netCDF4

    with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as file:
        file.Conventions, file.program = "AMBER", "LAMMPS"
        for name, size in (("frame", None), ("atom", N_ATOMS), ("spatial", 3)):
            file.createDimension(name, size)
        file.createDimension("cell_spatial", 3)
        for name, unit, dims in (
            ("time", "picosecond", ("frame",)),
            ("cell_lengths", "Angstrom", ("frame", "cell_spatial")),
            ("type", None, ("frame", "atom")),
            ("coordinates", "Angstrom", ("frame", "atom", "spatial")),
            ("velocities", "Angstrom/picosecond", ("frame", "atom", "spatial")),
        ):
            node = file.createVariable(name, "f4" if unit else "i4", dims)
            node.setncatts({"units": unit} if unit else {})
        file["time"].scale_factor = 0.002
        for number, (r, v) in enumerate(moving(n_frames)):
            file["time"][number] = 0.02 * number
            file["cell_lengths"][number] = SIDE
            file["coordinates"][number], file["velocities"][number] = r, v
            file["type"][number] = 1


def write_dump(path: Path, n_frames: int, opener: Any = open, new: int = 20) -> None:
    """Write a text dump of LAMMPS, of `new` frames again and again."""
    texts = [
        "".join(
            f"{j} 1 {' '.join(f'{x:.7g}' for x in row)}\n"
            for j, row in enumerate(np.hstack(frame).tolist(), start=1)
        )
        for frame in moving(new)
    ]
    bounds = f"0 {SIDE}\n" * 3
    with opener(path, "wt") as file:
        for number in range(n_frames):
            file.write(
                f"ITEM: TIMESTEP\n{10 * number}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n"
                f"ITEM: BOX BOUNDS pp pp pp\n{bounds}"
                f"ITEM: ATOMS id type xu yu zu vx vy vz\n{texts[number % new]}"
            )


def spectra(n_detector: int, n_energy: int) -> xr.Dataset:
    """Return S(2θ,E) with errors."""
    S = np.random.default_rng(0).random((n_detector, n_energy))
    ds = xbp.new_dataset(
        "detector_spectra",
        S,
        std=0.1 * S,
        units="1/meV",
        coords={
            "detector": (np.arange(n_detector), "1"),
            "E": (np.linspace(-50, 50, n_energy), "meV"),
        },
        statistics="quantum",
    )
    return ds.assign_coords(
        two_theta=("detector", np.linspace(3, 135, n_detector), {"units": "degree"}),
        incident_energy=((), 60.0, {"units": "meV"}),
    )


def hdf5_arrays(path: Path, *names: str) -> Arrays:
    """Read arrays with h5py."""
    with h5py.File(path) as file:
        return [file[name][()] for name in names]


def netcdf_arrays(path: Path, *names: str) -> Arrays:
    """Read arrays with netCDF4."""
    import netCDF4

    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return [file[name][:] for name in names]


def stepped(path: Path, **options: Any) -> float:
    """Open a trajectory and read it in chunks, as operations do; one number of it."""
    traj, total = xbp.md.open_trajectory(path, **options), 0.0
    ends = np.cumsum([0, *traj.position.chunks[0]])
    for first, last in itertools.pairwise(ends.tolist()):
        part = traj.isel(time=slice(first, last)).compute()
        total += float(part.position[-1, -1, -1] + part.velocity[-1, -1, -1])
    return total


DUMP: dict[str, Any] = {"units": "metal", "timestep": "2 fs", "elements": ["Cu"]}


def text_by_mdanalysis(path: Path) -> float:
    """Read a dump with MDAnalysis."""
    import MDAnalysis
    from MDAnalysis.coordinates.LAMMPS import DumpReader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert MDAnalysis.__version__
        reader = DumpReader(
            str(path),
            lammps_coordinate_convention="unwrapped",
            unwrap_images=False,
            additional_columns=["vx", "vy", "vz"],
        )
        return sum(float(frame.positions[-1, -1]) for frame in reader)


def text_by_dynasor(path: Path) -> float:
    """Read a dump with dynasor."""
    from dynasor.trajectory.lammps_trajectory_reader import LammpsTrajectoryReader

    reader = LammpsTrajectoryReader(str(path), "Angstrom", "fs")
    return sum(float(frame.positions[-1, -1]) for frame in reader)


def peak_megabytes(path: Path) -> float:
    """Return how far memory rises in a process that reads a dump in chunks."""
    code = (
        "import benchmarks.files as f, pathlib\n"
        "def high(name):\n"
        "    lines = open('/proc/self/status')\n"
        "    return next(int(x.split()[1]) for x in lines if x.startswith(name))\n"
        "before = high('VmRSS')\n"
        f"f.stepped(pathlib.Path({str(path)!r}), **f.DUMP)\n"
        "print((high('VmHWM') - before) / 1e3)\n"
    )
    # Freed memory goes back, unlike in `python -m benchmarks`.
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=plain,
    )
    return float(done.stdout)


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


def readers(folder: Path) -> Iterator[tuple[str, Path, Any, Any]]:
    """Yield what is read, the file, and both ways of reading all of it."""
    for kind, n_frames in (("f8", 500), ("f4", 1000)):
        path = folder / f"{kind}.h5"
        write_h5md(path, n_frames, kind)
        names = [f"particles/all/{name}/value" for name in ("position", "velocity")]
        yield (
            f"H5MD, {kind}",
            path,
            lambda path=path: xbp.md.open_trajectory(path).compute(),
            lambda path=path, names=names: hdf5_arrays(path, *names),
        )
    path = folder / "lammps.nc"
    write_netcdf(path, 1000)
    yield (
        "netCDF of LAMMPS, f4",
        path,
        lambda path=path: xbp.md.open_trajectory(path, elements=["Cu"]).compute(),
        lambda path=path: netcdf_arrays(path, "coordinates", "velocities"),
    )
    path = folder / "own.nc"
    xbp.md.open_trajectory(folder / "f8.h5").compute().bp.to_netcdf(path)
    yield (
        "netCDF of xbp, trajectory",
        path,
        lambda path=path: xbp.md.open_trajectory(path).compute(),
        lambda path=path: hdf5_arrays(path, "position", "velocity"),
    )
    for n_detector in (4000, 1000):
        data = spectra(n_detector, 4000)
        path = folder / f"{n_detector}.nxspe"
        data.bp.to_nxspe(path)
        yield (
            "NXSPE",
            path,
            lambda path=path: xbp.open_dataset(path, T="300 K"),
            lambda path=path: hdf5_arrays(path, "xbp/data/data", "xbp/data/error"),
        )
    path = folder / "a.nc"
    data.bp.to_netcdf(path)
    yield (
        "netCDF of xbp, S(2θ,E)",
        path,
        lambda path=path: xbp.open_dataset(path).compute(),
        lambda path=path: hdf5_arrays(path, "S", "S_std"),
    )


def main() -> None:
    """Measure everything and print it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, path, own, peer in readers(folder):
            t, raw, cpu = paired(own, peer, repeat=20, path=path)
            size = path.stat().st_size / 1e6
            print(
                f"{what}, {size:.0f} MB: {t:.3f} s, its arrays {raw:.3f} s: "
                f"{t / raw:.2f}x (bar 1.5x; of processor time {cpu:.2f}x)"
            )
        path = folder / "a.lammpstrj"
        write_dump(path, 200)
        size = path.stat().st_size / 1e6
        for what, function in (
            ("MDAnalysis", text_by_mdanalysis),
            ("dynasor", text_by_dynasor),
        ):
            t, peer, _ = paired(
                lambda: stepped(path, **DUMP), lambda f=function: f(path), repeat=2
            )
            print(
                f"LAMMPS dump, {size:.0f} MB: {t:.2f} s, {what} {peer:.2f} s: "
                f"{peer / t:.1f}x as fast (bar 1.5x)"
            )
        openers: dict[str, Any] = {
            "gz": partial(gzip.open, compresslevel=1),
            "bz2": partial(bz2.open, compresslevel=1),
            "xz": partial(lzma.open, preset=0),
        }
        if (zstd := _zstd()) is not None:
            openers["zst"] = zstd.open
        for suffix, opener in openers.items():
            peaks = []
            for n_frames in (300, 900):
                path = folder / f"{n_frames}.lammpstrj.{suffix}"
                write_dump(path, n_frames, opener)
                peaks.append(f"{peak_megabytes(path):.0f} MB of {n_frames} frames")
                os.remove(path)
            print(f"memory beyond the imports, dump.{suffix}: {', '.join(peaks)}")


if __name__ == "__main__":
    main()
