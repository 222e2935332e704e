"""Trajectories that are computed whole go into one array; parts of them do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError
from xbp.md import lazy
from xbp.md.trajectory import Block, read_trajectory

from .conftest import walk

EXTRA = {"time_between_frames": "50 fs"}


@pytest.fixture
def traj(tmp_path: Path) -> xr.Dataset:
    """Ten frames of six atoms in chunks of three, of a text file."""
    whole = walk(10, 6, cell=10 * np.eye(3))
    path = tmp_path / "a.xyz"
    lines = []
    for r, v in zip(whole.position.values, whole.velocity.values, strict=True):
        rows = np.hstack([r, v]).tolist()
        lines += ["6", 'Lattice="10 0 0 0 10 0 0 0 10" Properties=species:S:1:pos:R:3:velo:R:3']  # fmt: skip
        lines += [f"Cu {' '.join(map(repr, row))}" for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return xbp.md.open_trajectory(
        path, chunk_frames=3, units="metal", hottest="1e9 K", **EXTRA
    )


def test_one_array(traj: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[np.ndarray] = []

    class Noted(lazy._Buffers):
        def part(self, first: int, stop: int) -> Any:
            found = super().part(first, stop)
            made.extend(a for a in (found or ()) if a is not None)
            return found

    monkeypatch.setattr(lazy, "_Buffers", Noted)
    apart = [traj.isel(time=slice(i, i + 3)).compute() for i in range(0, 10, 3)]
    assert not made  # of parts there are none
    whole = traj.compute()
    assert len(made) == 8
    for name in ("position", "velocity"):
        expected = np.concatenate([part[name].values for part in apart])
        np.testing.assert_array_equal(whole[name], expected)
        values = whole[name].values
        assert any(part.base is values for part in made)
        made.clear()
        np.testing.assert_array_equal(traj[name].compute(), expected)
        assert len(made) == 4  # only what is wanted
        whole = traj.compute()


def test_other_ways_to_compute(traj: xr.Dataset) -> None:
    expected = traj.position.compute().values
    array = traj.position.data
    kept = traj.persist()
    assert kept.position.data.numblocks == (4, 1, 1)
    for found in (
        kept.position.values,
        np.asarray(array.blocks[1:3]).repeat(1),
        cloudpickle.loads(cloudpickle.dumps(array)).compute(scheduler="sync"),
        dask.compute(*array.to_delayed().ravel().tolist()),
    ):
        if isinstance(found, tuple):
            found = np.concatenate(found)
        found = np.reshape(found, (-1, 6, 3))
        part = expected if len(found) == 10 else expected[3:9]
        np.testing.assert_array_equal(found, part)
    both = dask.compute(array, array.sum(), traj.velocity.data[2])
    np.testing.assert_array_equal(both[0], expected)
    assert both[1] == pytest.approx(expected.sum())


def test_computing_twice_gives_two_arrays(traj: xr.Dataset) -> None:
    (once,) = dask.optimize(traj.position.data)
    first = once.compute()
    again = once.compute()
    np.testing.assert_array_equal(first, again)
    assert not np.shares_memory(first, again)
    lent = cloudpickle.loads(
        cloudpickle.dumps(lazy._Buffers((10, 6, 3), [np.dtype(float)], (0,)))
    )
    assert lent.part(0, 3) is None  # in another process


def test_beside_other_arrays_of_dask(traj: xr.Dataset) -> None:
    both = traj.assign(moved=2 * traj.position).compute()
    np.testing.assert_array_equal(both.moved, 2 * both.position)
    far = (traj.position + 3 * traj.velocity).max().compute()
    assert float(far) == float((both.position + 3 * both.velocity).max())


def test_results_in_the_order_asked_for(traj: xr.Dataset) -> None:
    position, velocity = traj.position.data, traj.velocity.data
    found = dask.compute(position, da.arange(5), velocity, da.ones(2), position.sum())
    plain = traj.compute()
    expected = [plain.position, np.arange(5), plain.velocity, np.ones(2)]
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_array_equal(one, other)


def test_own_file_into_one_array(traj: xr.Dataset, tmp_path: Path) -> None:
    path, expected = tmp_path / "a.nc", traj.compute()
    expected.bp.to_netcdf(path)
    back = xbp.md.open_trajectory(path, chunk_frames=3)
    assert back.position.chunks is not None
    assert back.cell.chunks is None
    array = back.velocity.data
    again = cloudpickle.loads(cloudpickle.dumps(array)).compute(scheduler="sync")
    for one in (back.compute(), back.isel(time=slice(2, 9)).compute()):
        part = expected.sel(time=one.time)
        np.testing.assert_array_equal(one.position, part.position)
        np.testing.assert_array_equal(one.velocity, part.velocity)
    np.testing.assert_array_equal(again, expected.velocity)


@pytest.mark.parametrize("order", ["<", ">"])
def test_single_precision_stays(traj: xr.Dataset, tmp_path: Path, order: str) -> None:
    """Twice the memory holds no more digits; what is computed has double precision."""
    plain, path = traj.compute(), tmp_path / "a.h5"
    kind = np.dtype(f"{order}f4")
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        group = file.create_group("particles/all")
        group["species"] = np.array([b"Cu"] * 6)
        group.create_group("box").attrs["boundary"] = ["periodic"] * 3
        group["box/edges"] = [10.0] * 3
        group["box/edges"].attrs["unit"] = "Angstrom"
        for name, unit in (("position", "Angstrom"), ("velocity", "Angstrom ps-1")):
            node = group.create_dataset(f"{name}/value", data=plain[name].astype(kind))
            node.attrs["unit"] = unit
            group[f"{name}/time"] = plain.time.values
        group["position/time"].attrs["unit"] = "ps"
    single = xbp.md.open_trajectory(path, hottest="1e9 K", chunk_frames=4)
    double = single.assign(
        position=single.position.astype(float), velocity=single.velocity.astype(float)
    )
    assert single.position.dtype == single.velocity.compute().dtype == np.float32
    whole = single.compute()
    assert whole.position.dtype == np.float32
    np.testing.assert_array_equal(whole.position, plain.position.astype(np.float32))
    blocks = [
        read_trajectory(t.compute()).block(0, 10, velocity=True)
        for t in (single, double)
    ]
    for compute in (Block.scaled, Block.velocities, Block.path):
        one, other = map(compute, blocks)
        assert one.dtype == float
        np.testing.assert_array_equal(one, other)
    flows = [block.split_velocities()[1] for block in blocks]
    np.testing.assert_array_equal(*flows)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": "300 K"}, {"frames": slice(2)}]
)
def test_a_closed_file_can_be_written_again(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """HDF5 locks a file while it is open."""
    gas = xbp.md.models.ideal_gas(
        6, 10, cell=10, T=300, mass=40, time_step="20 fs", rng=1
    )
    gas.to_netcdf(path := tmp_path / "a.nc", engine="netcdf4")
    with xbp.md.open_trajectory(path, chunk_frames=3, **options) as ds:
        before = ds.position.compute()
    ds.close()
    gas.assign(position=gas.position + 1).to_netcdf(path, engine="netcdf4")
    with h5py.File(path, "r+") as file:
        file["position"][0] = 7.0
    # As in xarray, what is read after that opens it again.
    expected = before + 1
    expected[dict.fromkeys(["time"], 0)] = 7.0
    np.testing.assert_allclose(ds.position.compute(), expected)


def _written_again(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["position"][0] = 7.0


def test_a_file_that_is_refused_is_closed(tmp_path: Path) -> None:
    """HDF5 locks a file while it is open: its own, or those of parts that do not fit."""
    gas = xbp.md.models.ideal_gas(
        6, 10, cell=10, T=300, mass=40, time_step="20 fs", rng=1
    )
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for path in paths:
        gas.to_netcdf(path, engine="netcdf4")
    kept = []  # with its traceback, and so with what it opened
    for given, options in (
        (paths, {}),
        (paths[0], {"frames": slice(99, None)}),
        ([paths[0], tmp_path / "none.nc"], {}),
    ):
        with pytest.raises(FileFormatError) as caught:
            xbp.md.open_trajectory(given, **options)
        kept.append(caught)
        for path in paths:
            _written_again(path)
    gas.rename(position="place").to_netcdf(paths[1], engine="netcdf4")
    with pytest.raises(FileFormatError, match="not a trajectory") as caught:
        xbp.md.open_trajectory(paths[1])
    kept.append(caught)
    with h5py.File(paths[1], "r+"):
        pass
