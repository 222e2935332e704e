"""Conversion of a dump, and of a binary file, beside what parser and disk need alone.

``python -m benchmarks.convert``
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import dask
import numpy as np

import xbp
from benchmarks.md import N_ATOMS, vibrating
from benchmarks.process import best
from xbp.md.storage import write_trajectory

FRAMES = 600
HOW = {"units": "metal", "timestep": "20 fs", "elements": ["Cu"]}


def write_dump(path: Path) -> None:
    """Write a LAMMPS dump as large as a few hundred frames are."""
    traj = vibrating(FRAMES, N_ATOMS).compute()
    with path.open("w") as file:
        for number, frame in enumerate(traj.position.values):
            file.write(
                f"ITEM: TIMESTEP\n{number}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n"
                "ITEM: BOX BOUNDS pp pp pp\n"
            )
            file.writelines(f"0 {side}\n" for side in np.diag(traj.cell.values))
            file.write("ITEM: ATOMS id type xu yu zu\n")
            file.writelines(
                f"{j + 1} 1 {x:.7g} {y:.7g} {z:.7g}\n"
                for j, (x, y, z) in enumerate(frame)
            )


def parse(path: Path) -> None:
    """Read all frames, and keep none."""
    with xbp.md.open_trajectory(path, **HOW) as traj:
        dask.compute([frames.max() for frames in traj.position.data.blocks])


def copy(path: Path) -> None:
    """Read the frames of a store, write as many bytes, and wait for the disk."""
    with xbp.md.open_trajectory(path) as traj, path.with_name("raw").open("wb") as raw:
        for block in traj.position.data.blocks:
            raw.write(np.asarray(block).astype(np.float32).tobytes())
        os.fsync(raw.fileno())


def main() -> None:
    """Print seconds of both, and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        dump, store = Path(folder, "a.lammpstrj"), Path(folder, "a.zarr")
        write_dump(dump)
        limit = best(lambda: parse(dump))
        for target in (store, Path(folder, "a.nc")):
            own = best(
                lambda to=target: xbp.md.convert(dump, to, overwrite=True, **HOW)
            )
            size = dump.stat().st_size / 1e6
            print(
                f"dump of {size:.0f} MB to {target.suffix}: {own:.2f} s, read alone "
                f"{limit:.2f} s: {100 * limit / own:.0f} % of the parser (bar 80 %)"
            )
        frames = vibrating(FRAMES, 10 * N_ATOMS)
        write_trajectory(frames, large := Path(folder, "large.zarr"))
        limit = best(lambda: copy(large))
        again = Path(folder, "b.zarr")
        own = best(lambda: xbp.md.convert(large, again, overwrite=True))
        print(
            f"Zarr to Zarr, {FRAMES * 10 * N_ATOMS * 12 / 1e6:.0f} MB: {own:.2f} s, plain "
            f"copy {limit:.2f} s: {100 * limit / own:.0f} % of the disk (bar 80 %)"
        )


if __name__ == "__main__":
    main()
