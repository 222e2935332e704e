"""Arrays in files, read past the libraries that wrote them: the same numbers, or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from xbp.io.classic import classic_header
from xbp.io.hdf5 import numbers_of_each
from xbp.io.masks import Extremes, survey
from xbp.io.stored import (
    PART,
    Stored,
    of_classic,
    of_hdf5,
    read_parts,
    read_together,
)

VALUES = np.arange(7 * 5 * 3).reshape(7, 5, 3) / 4
RANGES = (range(7), range(2, 6), range(6, -1, -2), range(1, 7, 3), range(3, 4))


def read(stored: Stored | None) -> np.ndarray:
    assert stored is not None
    with stored.path.open("rb", buffering=0) as stream:
        return stored.read(stream)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4", "<i4", ">i8", "u1"])
@pytest.mark.parametrize("chunks", [None, (1, 5, 3), (3, 5, 3), (7, 5, 3)])
def test_hdf5(tmp_path: Path, kind: str, chunks: Any) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=VALUES.astype(kind), chunks=chunks)
    with h5py.File(path) as file:
        for rows in RANGES:
            found = read(of_hdf5(file["a"], rows))
            assert found.dtype.isnative
            np.testing.assert_array_equal(found, file["a"][()][list(rows)])
        stored = of_hdf5(file["a"], range(7))
        assert stored is not None
        whole = stored.whole()
        np.testing.assert_array_equal(whole, file["a"][()])
        assert whole.dtype == float


def test_what_hdf5_has_to_unpack_or_to_convert(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(100)
    with h5py.File(path, "w", userblock_size=0) as file:
        file.create_dataset("packed", data=VALUES, compression="gzip")
        file.create_dataset("checked", data=VALUES, fletcher32=True)
        file.create_dataset("columns", data=VALUES, chunks=(7, 5, 1))
        file.create_dataset("empty", shape=VALUES.shape, dtype="f8", chunks=(1, 5, 3))
        file.create_dataset("never", shape=VALUES.shape, dtype="f8")
        file["one"], file["truth"] = 1.0, VALUES > 3
        file["names"] = ["a", "b"]
        space = h5py.h5s.create_simple((7,))
        h5py.h5d.create(file.id, b"odd", odd, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(7.0, dtype="f4")
        )
    with h5py.File(path) as file:
        for name, node in file.items():
            assert of_hdf5(node, range(7)) is None, name
    with h5py.File(tmp_path / "b.h5", "w", userblock_size=512) as file:
        file["a"] = VALUES
    with h5py.File(tmp_path / "b.h5") as file:
        assert of_hdf5(file["a"], range(7)) is None


def test_classic_records(tmp_path: Path) -> None:
    """Records of several variables alternate, each padded to four bytes; one is not."""
    for names in (("a", "b", "c"), ("c",)):
        path = tmp_path / f"{len(names)}.nc"
        with scipy.io.netcdf_file(path, "w") as file:
            file.createDimension("frame", None)
            for name, size in (("x", 5), ("y", 3)):
                file.createDimension(name, size)
            file.createVariable("fixed", "f8", ("x",))[:] = VALUES[0, :, 0]
            made = {
                "a": ("f4", ("frame", "x", "y"), VALUES),
                "b": ("f8", ("frame",), VALUES[:, 0, 0]),
                "c": ("i2", ("frame", "y"), VALUES[:, 0].astype("i2")),
            }
            for name in names:
                kind, dims, values = made[name]
                file.createVariable(name, kind, dims)[:] = values
        for rows in RANGES:
            found = of_classic(path, list(names), rows)
            assert found is not None
            for name, stored in found.items():
                np.testing.assert_array_equal(read(stored), made[name][2][list(rows)])
            for name, values in read_together(path, found).items():
                np.testing.assert_array_equal(values, made[name][2][list(rows)])
        fixed = of_classic(path, ["fixed"], range(1, 4))["fixed"]
        np.testing.assert_array_equal(read(fixed), VALUES[0, 1:4, 0])
        head = classic_header(path)
        assert head.variables["fixed"].shape == (5,)
        assert head.dimensions == {"frame": 7, "x": 5, "y": 3}


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = VALUES
    with h5py.File(path) as file:
        stored = of_hdf5(file["a"], range(7))
    assert stored is not None
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="9 bytes too early"):
        read(stored)


@pytest.mark.parametrize("whole_at_once", [True, False])
def test_arrays_that_alternate_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_at_once: bool
) -> None:
    """Pieces that follow each other are read in one go, whatever array they are of."""
    calls: list[int] = []

    def preadv(file: int, buffers: Any, place: int) -> int:
        calls.append(len(buffers))
        if not whole_at_once:
            return 0
        with open(file, "rb", closefd=False) as stream:
            stream.seek(place)
            return sum(stream.readinto(buffer) for buffer in buffers)

    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    path, n_frames = tmp_path / "a.h5", 40
    rng = np.random.default_rng(0)
    made = {name: rng.random((n_frames, 1000, 3)) for name in "rv"}
    with h5py.File(path, "w", rdcc_nbytes=0) as file:
        nodes = {
            name: file.create_dataset(name, a.shape, kind, chunks=(1, *a.shape[1:]))
            for (name, a), kind in zip(made.items(), ("f4", ">f8"), strict=True)
        }
        for frame in range(n_frames):
            for name, node in nodes.items():
                node[frame] = made[name][frame]
        arrays = [of_hdf5(node, range(n_frames)) for node in nodes.values()]
    into = [np.empty((n_frames, 1000, 3), "f4"), None]
    found = {name: np.full(a.shape, np.nan) for name, a in made.items()}
    for part, some in read_parts(path, arrays, n_frames, into):
        for name, values in zip(found, some, strict=True):
            found[name][part] = values
    np.testing.assert_array_equal(found["r"], made["r"].astype("f4"))
    np.testing.assert_array_equal(into[0], found["r"])
    np.testing.assert_array_equal(found["v"], made["v"])
    assert max(calls) > 10


def test_numbers_are_looked_at_as_they_are_read(tmp_path: Path) -> None:
    path, values = tmp_path / "a.h5", np.arange(3 * PART // 2, dtype=float)
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = values, values.astype(">i4")
        file.create_dataset("c", data=values, chunks=(PART // 8,))
    for name in "abc":
        parts = dict[int, np.ndarray]()
        with h5py.File(path) as file:
            stored = of_hdf5(file[name], range(values.size))
        assert stored is not None
        whole = stored.whole(lambda at, part, parts=parts: parts.update({at: part}))
        np.testing.assert_array_equal(whole, values)
        assert list(parts) == [0, PART]
        np.testing.assert_array_equal(np.concatenate([*parts.values()]), values)


def test_arrays_that_are_read_at_the_same_time(tmp_path: Path) -> None:
    path, values = tmp_path / "a.h5", np.arange(2.0**20 + 4).reshape(4, -1)
    with h5py.File(path, "w") as file:
        file["a"], file["b"], file["c"] = values, -values.astype(">f4"), values[:2]
    parts = {name: dict[int, np.ndarray]() for name in "ab"}
    looks = {
        name: lambda at, part, own=own: own.update({at: part.copy()})
        for name, own in parts.items()
    }
    with h5py.File(path) as file:
        a, b = numbers_of_each(file, looks, ndim=2)
        with pytest.raises(ValueError, match="'c' has the shape"):
            numbers_of_each(file, looks | {"c": looks["a"]}, ndim=2)
    np.testing.assert_array_equal(a, values)
    np.testing.assert_array_equal(b, -values)
    for name, own in (("a", a), ("b", b)):
        seen = [parts[name][at] for at in range(0, a.size, PART)]
        np.testing.assert_array_equal(np.concatenate(seen), own.reshape(-1))


def test_a_few_of_many_chunks(tmp_path: Path) -> None:
    """Those are looked for one by one, also where others were never written."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        node = file.create_dataset("a", (1000, 3), "f8", chunks=(1, 3))
        node[:990] = np.arange(2970).reshape(990, 3)
    with h5py.File(path) as file:
        few = of_hdf5(file["a"], [0, 1, 988, 989])
        np.testing.assert_array_equal(read(few), file["a"][[0, 1, 988, 989]])
        assert of_hdf5(file["a"], [0, 999]) is None
        assert of_hdf5(file["a"], range(1000)) is None


def test_the_header_of_a_classic_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with scipy.io.netcdf_file(path, "w") as file:
        file.title = "glass"
        file.createDimension("frame", None)
        file.createDimension("x", 3)
        made = file.createVariable("a", "f4", ("frame", "x"))
        made.scale_factor, made.valid = 0.5, [1, 2]
        made[:] = VALUES[:, 0]
    head = classic_header(path)
    assert head.attributes == {"title": "glass"}
    own = head.variables["a"]
    assert (own.dims, own.attributes["scale_factor"]) == (("frame", "x"), 0.5)
    assert own.attributes["valid"].tolist() == [1, 2]
    assert head.dimensions == {"frame": 7, "x": 3}
    # A program that still writes does not say how many records there are.
    raw = bytearray(path.read_bytes())
    raw[4:8] = b"\xff" * 4
    path.write_bytes(raw)
    assert classic_header(path).dimensions == {"frame": 7, "x": 3}


def test_a_survey_of_what_was_looked_at_while_it_was_read() -> None:
    """The same bins, and no memory for a mask where every bin counts."""
    rng = np.random.default_rng(0)
    values, std = rng.random((2, 3, PART // 2)) + 1
    assert [a.shape for a in survey(values, std)] == [(3, 1), (3, 1)]
    values[1, 5], values[2, 6], std[2, 7] = np.nan, -1e30, -1
    values[0, 1] = values[0, 2] = std[0, 2] = 0
    known = Extremes(), Extremes()
    for array, one in zip((values, std), known, strict=True):
        for at in range(0, array.size, PART):
            one.look(at, array.reshape(-1)[at : at + PART])
    for found in (survey(values, std), survey(values, std, known=known)):
        there, counts = found
        assert np.argwhere(~there).tolist() == [[1, 5], [2, 6], [2, 7]]
        assert np.argwhere(~counts).tolist() == [[0, 2], [1, 5], [2, 6], [2, 7]]
