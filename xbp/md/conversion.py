"""Trajectories of every kind, converted to netCDF or Zarr in bounded memory."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.core.errors import VERSION, require
from xbp.io.publish import new_folder, remove_tree, several, to_path
from xbp.md.open import open_trajectory
from xbp.md.source import require_file
from xbp.md.storage import why_kept, write_trajectory

__all__ = ["convert"]


def convert(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> None:
    """Copy a trajectory of any format, and of any size, to netCDF or Zarr.

    Chunks of frames are read, compressed and written one after the other. The file is
    written beside its place and renamed once complete: what stands at `target` is
    whole, whatever interrupts. A Zarr store grows in ``<target>.part``: after a kill,
    the same call goes on from the frames that are there.

    Parameters
    ----------
    source : path-like, list of them, or pattern
        As for `open_trajectory`.
    target : path-like
        Where to; Zarr (a folder) if it ends in ``.zarr``, else netCDF-4. Positions and
        velocities are kept in single precision: 7 digits, more than a dump has. Zarr is
        compressed by lz4 in chunks of frames and, of large boxes, atoms; netCDF by
        deflate, which is some ten times slower and takes a tenth less.
    overwrite : bool
        Replace a file, or for Zarr a store with a trajectory; another folder, a device
        or a pipe is never replaced.
    progress : bool
        Show a progress bar.
    **options
        As for `open_trajectory`: units, elements, timestep, ….

    Raises
    ------
    FileFormatError
        If `target` exists and `overwrite` is not given, is the source, or may not be
        replaced; if its folder does not exist or the disk is full; or as for
        `open_trajectory`.

    Examples
    --------
    >>> import tempfile, xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step=0.02, rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gas.to_netcdf(f"{folder}/gas.nc")
    ...     convert(f"{folder}/gas.nc", f"{folder}/copy.nc")
    ...     xbp.md.open_trajectory(f"{folder}/copy.nc").sizes["time"]
    4
    """
    paths = several(source) or [to_path(source)]
    with new_folder(target, overwrite=overwrite, replaceable=why_kept) as (
        temporary,
        where,
    ):
        for given in (*paths, options.get("topology")):
            _require_another(given, where)
        label = f"{', '.join(path.name for path in paths)} → {where.name}"
        frames = options.get("chunk_frames")
        with open_trajectory(paths, **options) as traj:
            if where.suffix == ".zarr":
                with _unfinished(where, _job(traj, paths, options)) as folder:
                    _fill(folder, traj, frames, label if progress else None)
                    os.rename(folder.store, temporary)
                return
            bar: Any = contextlib.nullcontext()
            if progress:
                tqdm = require("tqdm.dask", "show the progress", "md")
                bar = tqdm.TqdmCallback(desc=label)
            with bar:
                write_trajectory(traj, temporary, frames=frames)


def _fill(
    folder: _Unfinished, traj: xr.Dataset, frames: int | None, label: str | None
) -> None:
    """Write the frames that a store lacks; with a label, show a bar."""
    with contextlib.ExitStack() as stack:
        show: Callable[[int], None] = lambda done: None  # noqa: E731
        if label is not None:
            tqdm = require("tqdm", "show the progress", "md").tqdm
            total = traj.sizes["time"]
            bar = tqdm(total=total, initial=folder.done, desc=label, unit="frame")
            stack.enter_context(bar)
            show = lambda done: bar.update(done - bar.n)  # noqa: E731

        def on_batch(done: int) -> None:
            folder.record(done)
            show(done)

        write_trajectory(
            traj, folder.store, frames=frames, done=folder.done, on_batch=on_batch
        )


def _require_another(source: str | os.PathLike[str] | None, target: Path) -> None:
    """Refuse to replace what is read, or to write into it."""
    if source is None:
        return
    read = Path(source).resolve()
    same = target.exists() and read.exists() and target.samefile(read)
    require_file(
        not same and read not in target.parents and target not in read.parents,
        target,
        f"its source {read} would be overwritten while it is read",
        fix="choose another name",
    )


@contextlib.contextmanager
def _unfinished(where: Path, job: dict[str, Any]) -> Iterator[_Unfinished]:
    """Yield the folder of a copy: as a call like this one left it, or a new one.

    An error removes it; a kill leaves it.

    Raises
    ------
    FileFormatError
        If it has other files, or another process is at work on it.
    """
    folder = _Unfinished(where.with_name(where.name + ".part"), job)
    folder.require_own()
    folder.path.mkdir(exist_ok=True)
    with (folder.path / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            require_file(
                False,
                folder.path,
                "another process is writing it",
                fix="wait, or stop it",
            )
        try:
            folder.find()
            yield folder
        except Exception:
            remove_tree(folder.path)
            raise
        remove_tree(folder.path)


_JOB, _LOCK, _STORE = "job.json", "lock", "trajectory.zarr"


@dataclass
class _Unfinished:
    """The folder of a Zarr store that is being written.

    Attributes
    ----------
    path : pathlib.Path
    job : dict
        What is copied, and how.
    done : int
        Frames that are there.
    """

    path: Path
    job: dict[str, Any]
    done: int = 0

    @property
    def store(self) -> Path:
        """Where the store is."""
        return self.path / _STORE

    def require_own(self) -> None:
        """Refuse a folder with other files."""
        names = {_JOB, _LOCK, _STORE, f"{_JOB}.part"}
        foreign = self.path.is_symlink() or (
            self.path.exists()
            and (not self.path.is_dir() or {*os.listdir(self.path)} - names)
        )
        require_file(
            not foreign,
            self.path,
            "it contains files that xbp did not write",
            fix="move them",
        )

    def find(self) -> None:
        """Find out how many frames the same call has left."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            left = json.loads((self.path / _JOB).read_text())
            if left["job"] == self.job and self.store.is_dir():
                self.done = int(left["done"])

    def record(self, done: int) -> None:
        """Record how many frames are there."""
        part = self.path / f"{_JOB}.part"
        part.write_text(json.dumps({"job": self.job, "done": done}))
        part.replace(self.path / _JOB)


def _job(
    traj: xr.Dataset, paths: Sequence[Path], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a copy depends on, as JSON gives it back."""
    files = {}
    for name in (*paths, options.get("topology")):
        if name is not None:
            status = Path(name).resolve().stat()
            files[os.fspath(Path(name).resolve())] = [
                status.st_size,
                status.st_mtime_ns,
            ]
    job = {
        "version": VERSION,
        "files": files,
        "options": {name: str(value) for name, value in options.items()},
        "chunks": list(map(list, traj.position.data.chunks)),
    }
    found: dict[str, Any] = json.loads(json.dumps(job))
    return found
