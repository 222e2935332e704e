"""Trajectories in several files, joined in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import xbp
from xbp.core.errors import FileFormatError
from xbp.md import open_trajectory

OPTIONS = {"units": "metal", "elements": ["Cu"], "timestep": "2 fs"}


def write(path: Path, steps: range, atoms: int = 2, side: float = 10.0) -> Path:
    """A dump of atoms that move by 0.01 Å a frame of ten steps along x."""
    text = ""
    for step in steps:
        rows = "".join(
            f"{n + 1} 1 {1 + 3 * n + step / 1000:g} 2 3\n" for n in range(atoms)
        )
        text += (
            f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{atoms}\n"
            f"ITEM: BOX BOUNDS pp pp pp\n{f'0 {side}' + chr(10)}"
            f"{f'0 {side}' + chr(10)}{f'0 {side}' + chr(10)}"
            f"ITEM: ATOMS id type xu yu zu\n{rows}"
        )
    path.write_text(text)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A run that crashed after step 40, and was begun again at 30."""
    return [
        write(tmp_path / "part10.dump", range(30, 80, 10)),
        write(tmp_path / "part2.dump", range(0, 50, 10)),
    ]


def test_parts_are_one_trajectory_in_the_order_of_their_times(
    parts: list[Path], tmp_path: Path
) -> None:
    whole = open_trajectory(write(tmp_path / "whole", range(0, 80, 10)), **OPTIONS)
    for given in (parts, [str(p) for p in parts], str(tmp_path / "part*.dump")):
        with open_trajectory(given, **OPTIONS) as traj:
            np.testing.assert_allclose(traj.time, whole.time)
            np.testing.assert_array_equal(traj.position, whole.position)
            assert traj.position.chunks is not None
            assert traj.cell.dims == ("vector", "xyz")
            assert traj.position.attrs == whole.position.attrs
    some = open_trajectory(parts, frames=slice(2, None, 2), **OPTIONS)
    np.testing.assert_allclose(some.time, whole.time[2::2])
    assert traj.attrs["history"].count("part2.dump") == 2  # opened, and joined


def test_parts_of_another_cell_have_one_in_each_frame(
    parts: list[Path], tmp_path: Path
) -> None:
    parts.append(write(tmp_path / "c.dump", range(80, 100, 10), side=10.5))
    traj = open_trajectory(parts, **OPTIONS)
    assert traj.cell.dims == ("time", "vector", "xyz")
    np.testing.assert_allclose(traj.cell[:, 0, 0], [10] * 8 + [10.5] * 2)


@pytest.mark.parametrize(
    ("steps", "atoms", "says"),
    [
        (range(0, 50, 10), 2, "both begin at 0 ps"),
        (range(20, 40, 10), 2, "ends before .*part2.dump does"),
        (range(50, 90, 10), 3, "3 atoms with .* 2 atoms with"),
    ],
)
def test_parts_that_do_not_follow_each_other_are_refused(
    parts: list[Path], tmp_path: Path, steps: range, atoms: int, says: str
) -> None:
    other = write(tmp_path / "other.dump", steps, atoms)
    with pytest.raises(FileFormatError, match=says) as refused:
        open_trajectory([parts[1], other], **OPTIONS)
    assert "[xbp.md.open_trajectory(path, ...) for path in paths]" in refused.value.fix


def test_a_pattern_of_one_file_is_that_file(parts: list[Path], tmp_path: Path) -> None:
    traj = open_trajectory(tmp_path / "part1*.dump", **OPTIONS)
    assert traj.sizes["time"] == 5
    with pytest.raises(FileFormatError, match=r"no file matches .*none\*"):
        open_trajectory(tmp_path / "none*.dump", **OPTIONS)
    (tmp_path / "with[1].dump").write_bytes(parts[1].read_bytes())
    assert open_trajectory(tmp_path / "with[1].dump", **OPTIONS).sizes["time"] == 5


def test_several_spectra_are_opened_one_by_one(tmp_path: Path) -> None:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1, 5, 5), np.linspace(1, 9, 9), energy="5 meV", width="4 meV",
        T="280 K", u2="0.01 angstrom^2",
    )  # fmt: skip
    paths = [tmp_path / "run1.nc", tmp_path / "run2.nc"]
    for path, T in zip(paths, ("280 K", "300 K"), strict=True):
        S.assign_coords(temperature=((), float(T[:3]), {"units": "K"})).bp.to_netcdf(
            path
        )
    names: dict[str, object] = {"xbp": xbp, "paths": paths}
    exec("import glob, xarray", names)
    for given in (paths, tuple(paths), iter_of(paths), str(tmp_path / "run*.nc")):
        with pytest.raises(FileFormatError, match=r"2 files, .*run1.nc, run2.nc") as no:
            xbp.open_dataset(given)
        # What it says to type works.
        runs, series = no.value.fix.split("; if they have the same Q and E, ")
        exec(runs, names)
        assert eval(series, names).sizes["temperature"] == 2
    assert xbp.open_dataset(str(tmp_path / "run1*")).temperature == 280
    with pytest.raises(FileFormatError, match="no file matches"):
        xbp.open_dataset("nowhere*.nc")


def iter_of(paths: list[Path]) -> object:
    return (path for path in paths)
