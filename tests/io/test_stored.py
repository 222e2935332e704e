"""Arrays in files, read past the libraries that wrote them: the same numbers, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from xbp.io.classic import classic_variables
from xbp.io.stored import Stored, of_classic, of_hdf5

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
        assert of_classic(path, ["fixed", *names], range(7)) is None
        assert classic_variables(path)["fixed"].shape == (5,)


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
