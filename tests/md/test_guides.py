"""The examples of docs/files.md and docs/md.md that open a trajectory run on a file of their format."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import xbp
from xbp.md import convert, open_trajectory
from xbp.md.guides import FILES, TrajectoryFile

from . import test_binary, test_formats, test_xyz, tng_file
from .test_formats import DATA, POSITIONS, SPEED
from .test_open import SCALED, VELOCITY, dump, written

DOCS = Path(__file__).parents[2] / "docs"
R, V = np.array(POSITIONS), np.array([SPEED] * 3)
#: Frames of the file, in which atoms move as in the time between them that the example names.
Make = Callable[[Path], object]


def moving(step: float) -> np.ndarray:
    """Positions of three frames some ps apart."""
    return R[0] + V * step * np.arange(3)[:, None, None]


def universe(folder: Path, trajectory: str, topology: str) -> None:
    mda = pytest.importorskip("MDAnalysis")
    made = mda.Universe.empty(2, trajectory=True)
    for name in ("elements", "names"):
        made.add_TopologyAttr(name, ["Cu", "Zr"])
    with mda.Writer(str(folder / trajectory), n_atoms=2) as writer:
        for number, r in enumerate(R):
            made.dimensions = [10, 11, 12, 90, 90, 90]
            made.atoms.positions = r
            made.trajectory.ts.time = 0.02 * number
            writer.write(made)
    made.atoms.write(str(folder / topology))


def of_ase(folder: Path, name: str, step: float) -> None:
    ase = pytest.importorskip("ase.io")
    images = []
    for r in moving(step):
        atoms = pytest.importorskip("ase").Atoms("CuZr", r, cell=[10, 11, 12], pbc=True)
        atoms.set_velocities(V[0] / test_formats.ASE)
        images.append(atoms)
    ase.write(str(folder / name), images)


def mdt(folder: Path) -> None:
    with h5py.File(folder / "run.mdt", "w") as file:
        file["configuration/coordinates"], file["configuration/velocities"] = R / 10, V / 10  # fmt: skip
        file["unit_cell"], file["time"] = [np.diag([1.0, 1.1, 1.2])] * 3, [0, 0.02, 0.04]  # fmt: skip
        file.create_dataset("composition/atom_types", data=["Cu", "Zr"], dtype=h5py.string_dtype())  # fmt: skip


def amber(folder: Path) -> None:
    of_frames = {
        "time": ("f4", ("frame",), [0, 0.02, 0.04], {"units": "picosecond"}),
        "cell_lengths": ("f8", test_binary.SIDES, [[10, 11, 12]] * 3, {"units": "angstrom"}),
        "cell_angles": ("f8", test_binary.ANGLES, [[90] * 3] * 3, {"units": "degree"}),
        "coordinates": ("f4", test_binary.VECTORS, R, {"units": "angstrom"}),
    }  # fmt: skip
    test_binary.amber(folder / "run.nc", of_frames, program="sander")
    universe(folder, "other.xtc", "run.pdb")


def tng(folder: Path) -> None:
    pytest.importorskip("pytng")
    names, weights = [("CU", "a"), ("ZR", "b")], [63.546, 91.224]
    tng_file.write(folder / "run.tng", R, V, names=names, weights=weights)


def lattice(comment: str) -> str:
    return test_formats.xyz(comment, "")


def cp2k(folder: Path) -> None:
    written(folder, test_xyz.xyz(POSITIONS), "run-pos-1.xyz")
    written(folder, test_xyz.xyz(test_xyz.SPEEDS), "run-vel-1.xyz")


def dumped(folder: Path, name: str) -> None:
    written(folder, dump(SCALED, VELOCITY, "id type xu yu zu vx vy vz"), name)


def parts(folder: Path) -> None:
    dumped(folder, "run.dump")
    first, *rest = (folder / "run.dump").read_text().split("ITEM: TIMESTEP")[1:]
    for i, frames in enumerate(([first], rest)):
        text = "".join(f"ITEM: TIMESTEP{frame}" for frame in frames)
        written(folder, text, f"part{i}.dump")


def h5(folder: Path) -> None:
    kinds = h5py.enum_dtype({"Cu": 3, "Zr": 8}, basetype="i")
    path = test_binary.h5md(folder / "run.h5", species=np.array([3, 8], dtype=kinds))
    with h5py.File(path, "r+") as file:
        file["particles/all/box"].attrs["boundary"] = np.array(["periodic"] * 3, "S8")


def own(folder: Path) -> None:
    written(folder, test_formats.history(), "HISTORY")
    convert(folder / "HISTORY", folder / "run.nc")


#: By the name of the row.
GOOD: dict[str, Make] = {
    "a LAMMPS dump": lambda folder: dumped(folder, "run.dump"),
    "extended XYZ": lambda folder: written(folder, lattice(""), "run.xyz"),
    "plain XYZ": lambda folder: written(folder, test_xyz.xyz(moving(1e-3).tolist(), "i = {n}"), "run.xyz"),
    "a LAMMPS data file": lambda folder: written(folder, DATA, "glass.data"),
    "a HISTORY of DL_POLY": lambda folder: written(folder, test_formats.history(), "HISTORY"),
    "an XDATCAR of VASP": lambda folder: written(folder, test_formats.numbered(1, 2), "XDATCAR"),
    "netCDF of AMBER": amber,
    "GSD of HOOMD-blue": lambda folder: test_binary.gsd(folder / "run.gsd", types=("A", "B")),
    "TNG of GROMACS": tng,
    "H5MD": h5,
    "a trajectory of MDANSE": mdt,
    "XTC, TRR, DCD and others, with a topology": lambda folder: universe(folder, "run.xtc", "run.pdb"),
    "ASE `.traj`, `vasprun.xml`, OUTCAR, CASTEP `.md`": lambda folder: of_ase(folder, "run.traj", 5e-3),
    "NetCDF and Zarr of xbp": own,
}  # fmt: skip
#: What cannot be written here, and what takes its place: MDAnalysis writes neither TPR nor PRMTOP.
INSTEAD = {"run.tpr": "run.pdb", "run.prmtop": "run.pdb"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_the_example_of_a_trajectory_runs(
    file: TrajectoryFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file.engine == "gsd":
        pytest.importorskip("gsd.hoomd")
    code = file.guide.example
    for name, other in INSTEAD.items():
        code = code.replace(name, other)
    GOOD[file.name](tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"xbp": xbp}
    exec(code, names)
    names["traj"].close()


def test_examples_of_trajectories_are_calls() -> None:
    assert set(GOOD) == {file.name for file in FILES}
    known = set(inspect.signature(open_trajectory).parameters)
    for file in FILES:
        assert file.guide.example.count("\n") == 1
        assert {*file.options, *file.guide.asks} <= known
        assert used(file.guide.example) <= known
    for code in in_table():
        assert used(code) <= known


def used(code: str) -> set[str | None]:
    """Names of the arguments of the call that opens a trajectory."""
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]
    opening = next(c for c in calls if "open_trajectory" in ast.unparse(c.func))
    return {keyword.arg for keyword in opening.keywords}


def in_table() -> list[str]:
    """The calls in the table of docs/md.md that open a file."""
    page = (DOCS / "md.md").read_text(encoding="utf-8")
    table = page.partition("## Opening")[2].partition("\n\nTimes, units")[0]
    return re.findall(r'`((?:xbp\.md\.)?open_trajectory\("[^`]*\))`', table)


#: Files of the calls in the table of docs/md.md, in its order.
TABLE: tuple[Make, ...] = (
    lambda folder: written(folder, dump(SCALED, VELOCITY, "id type xu yu zu"), "dump.lammpstrj"),
    lambda folder: written(folder, DATA, "glass.data"),
    lambda folder: written(folder, lattice(""), "run.xyz"),
    GOOD["a HISTORY of DL_POLY"],
    GOOD["an XDATCAR of VASP"],
    lambda folder: test_binary.lammps(folder / "run.nc"),
    h5,
    cp2k,
    GOOD["GSD of HOOMD-blue"],
    tng,
    lambda folder: (written(folder, test_formats.dcd(b"Written by LAMMPS"), "run.dcd"), written(folder, DATA, "run.data")),
    own,
    parts,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", range(len(TABLE)))
def test_the_calls_of_the_page_run(
    row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = in_table()
    assert len(calls) == len(TABLE)
    for package in ("gsd.hoomd", "MDAnalysis"):
        pytest.importorskip(package)
    TABLE[row](tmp_path)
    monkeypatch.chdir(tmp_path)
    traj = eval(calls[row], {"xbp": xbp, "open_trajectory": open_trajectory})
    assert traj.sizes["atom"] > 1
    traj.close()
